//! Trains the original GAN on a folder of MNIST files and writes a picture, without the runner:
//! `cargo run -p gan-vanilla --example digits -- assets/mnist digits.png [ITERATIONS]`

use gan_core::data::{Data, idx};
use gan_core::rng::CounterRng;
use gan_core::{Algorithm, Context, Iter, LiveSource, Paper, Preset, Seen, fixed_noise, image};
use gan_vanilla::{Config, Vanilla};
use std::{path::Path, sync::Arc};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (folder, png, iterations) = match &args[..] {
        [folder, png] => (folder, png, 20_000),
        [folder, png, iterations] => (folder, png, iterations.parse()?),
        _ => return Err("name a folder with MNIST's files and a picture to write".into()),
    };
    let pictures = idx::folder(Path::new(folder), idx::Split::Train)?;
    let (data, device) = (Data::one(Arc::new(pictures)), candle_core::Device::Cpu);
    let (seed, info) = (1, data.info());
    let cx = Context::new(&device, seed, info, 1);
    let mut gan = Vanilla::new(&Config::preset(Preset::Demo, &cx.data), &cx)?;
    let mut source = LiveSource::new(&data, seed, &cx.device);
    let mut seen = Seen::default();
    for t in 0..iterations {
        gan.step(&mut Iter::new(t, &mut source, &mut seen))?;
        if t % 2000 == 1999 {
            println!("{} iterations", t + 1);
        }
    }
    let sampler = gan.sampler(iterations);
    let z = fixed_noise(&sampler.takes(), 64, seed, &cx.device)?;
    let columns = sampler.sample(&z, &mut CounterRng::new(seed, &cx.device))?;
    std::fs::write(png, image::grid(columns.get("fake")?, 8)?.png()?)?;
    println!("wrote {png}");
    Ok(())
}
