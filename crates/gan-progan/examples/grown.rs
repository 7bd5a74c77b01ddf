//! Opens an average of G and writes what it makes of the same latents at each of its resolutions:
//! `cargo run -p gan-progan --example grown -- ema.safetensors grown.png`

use gan_core::{Sampler, Weights, fixed_noise, image};
use gan_progan::{Generator, Phase};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [weights, png] = &args[..] else {
        return Err("name a weights file and a picture to write".into());
    };
    let (seed, device) = (1, candle_core::Device::Cpu);
    let weights = Weights::read(Path::new(weights))?;
    let sizes = Generator::recognise(&weights)?;
    let g = Generator::open(&weights, &device)?;
    let z = fixed_noise(&g.takes(), 8, seed, &device)?;
    let (last, mut rows) = (sizes.widths.len() - 1, Vec::new());
    for level in 0..=last {
        let small = g
            .forward(z.z()?, &Phase::whole(level))?
            .clamp(-1f32, 1f32)?;
        rows.push(small.upsample_nearest2d(4 << last, 4 << last)?);
    }
    let all = candle_core::Tensor::cat(&rows, 0)?;
    std::fs::write(png, image::grid(&all, 8)?.png()?)?;
    println!("wrote {png}");
    Ok(())
}
