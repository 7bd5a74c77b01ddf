//! Enlarges a photograph with published weights:
//! `cargo run -p gan-esrgan --example upscale -- FILE.pth photo.jpg large.png`

use gan_core::{Weights, photo};
use gan_esrgan::Rrdb;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [weights, from, to] = &args[..] else {
        return Err("name a weights file, a photograph and a picture to write".into());
    };
    let weights = Weights::read(Path::new(weights))?;
    let g = Rrdb::open(&weights, &candle_core::Device::Cpu)?;
    photo::upscale(&g, Path::new(from), Path::new(to))?;
    println!("wrote {to}");
    Ok(())
}
