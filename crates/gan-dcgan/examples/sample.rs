//! Opens a generator's weights, saved by this project or by PyTorch, and writes a grid of samples:
//! `cargo run -p gan-dcgan --example sample -- g.safetensors samples.png`

use gan_core::rng::CounterRng;
use gan_core::{Sampler, Weights, fixed_noise, image};
use gan_dcgan::Generator;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [weights, png] = &args[..] else {
        return Err("name a weights file and a picture to write".into());
    };
    let (seed, device) = (1, candle_core::Device::Cpu);
    let g = Generator::open(&Weights::read(Path::new(weights))?, &device)?;
    let z = fixed_noise(&g.takes(), 64, seed, &device)?;
    let columns = g.sample(&z, &mut CounterRng::new(seed, &device))?;
    std::fs::write(png, image::grid(columns.get("fake")?, 8)?.png()?)?;
    println!("wrote {png}");
    Ok(())
}
