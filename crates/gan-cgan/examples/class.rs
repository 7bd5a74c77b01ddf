//! Opens a generator's weights and writes a grid of one class:
//! `cargo run -p gan-cgan --example class -- g.safetensors 7 sevens.png`

use candle_core::Tensor;
use gan_cgan::Generator;
use gan_core::rng::CounterRng;
use gan_core::{Sampler, Weights, fixed_noise, image};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [weights, class, png] = &args[..] else {
        return Err("name a weights file, a class and a picture to write".into());
    };
    let (seed, device) = (1, candle_core::Device::Cpu);
    let g = Generator::open(&Weights::read(Path::new(weights))?, &device)?;
    let labels = Tensor::full(class.parse::<u32>()?, 64, &device)?;
    let probe = fixed_noise(&g.takes(), 64, seed, &device)?.labelled(labels);
    let columns = g.sample(&probe, &mut CounterRng::new(seed, &device))?;
    std::fs::write(png, image::grid(columns.get("fake")?, 8)?.png()?)?;
    println!("wrote {png}");
    Ok(())
}
