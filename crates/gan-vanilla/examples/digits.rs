//! Trains the original GAN on a folder of MNIST files and writes a picture, without the runner:
//! `cargo run -p gan-vanilla --example digits -- assets/mnist digits.png`

use gan_core::data::{Data, idx};
use gan_core::rng::CounterRng;
use gan_core::train::fixed_noise;
use gan_core::{Algorithm, Context, Iter, LiveSource, Preset, Seen, image};
use gan_vanilla::{Config, Vanilla};
use std::path::PathBuf;
use std::sync::Arc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let folder = args.next().ok_or("name a folder with MNIST's files")?;
    let png = args.next().ok_or("name a picture to write")?;
    let data = Data::Images(Arc::new(idx::folder(&folder, idx::Split::Train)?));
    let device = candle_core::Device::Cpu;
    let cx = Context {
        device: device.clone(),
        seed: 1,
        data: data.info(),
    };
    let mut gan = Vanilla::new(&Config::preset(Preset::Demo, &cx.data), &cx)?;
    let mut source = LiveSource::new(&data, cx.seed, &device);
    let mut seen = Seen::default();
    for t in 0..3000 {
        gan.step(&mut Iter::new(t, &mut source, &mut seen))?;
        if t % 500 == 499 {
            for (name, value) in &seen.scalars {
                print!("{name} {:.3}  ", value.to_scalar::<f32>()?);
            }
            println!("after {} iterations", t + 1);
        }
    }
    let sampler = gan.sampler(3000);
    let z = fixed_noise(&sampler.takes(), 64, 1, &device)?;
    let columns = sampler.sample(&z, &mut CounterRng::new(1, &device))?;
    std::fs::write(&png, image::grid(&columns[0].1, 8)?.png()?)?;
    println!("wrote {}", png.display());
    Ok(())
}
