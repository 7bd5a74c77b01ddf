//! Opens a generator's weights, saved by this project or by PyTorch, and translates a picture of any size:
//! `cargo run -p gan-discogan --example discover -- g.safetensors photo.png drawing.png`

use candle_core::Device;
use gan_core::data::images::tensor;
use gan_core::rng::CounterRng;
use gan_core::{Probe, Side, Weights, image, translate};
use gan_discogan::Generator;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [weights, from, to] = &args[..] else {
        return Err("name a weights file, a picture to translate and one to write".into());
    };
    let device = Device::Cpu;
    let g = Generator::open(&Weights::read(Path::new(weights))?, &device)?;
    let x = tensor(&std::fs::read(from)?, g.sizes().strided.channels, &device)?;
    let probe = Probe::pictures(Side::A, x);
    let columns = translate(&g, &probe, &mut CounterRng::new(1, &device))?;
    std::fs::write(to, image::single(columns.get("fake")?)?.png()?)?;
    println!("wrote {to}");
    Ok(())
}
