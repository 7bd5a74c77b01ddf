//! Trains on a folder of MNIST files and prints the Wasserstein estimate, without the runner:
//! `cargo run -p gan-wgan-gp --example penalty -- assets/mnist`

use gan_core::data::{Data, idx};
use gan_core::{Algorithm, Context, Iter, LiveSource, Paper, Preset, Seen};
use gan_wgan_gp::{Config, WganGp};
use std::{path::Path, sync::Arc};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(folder) = std::env::args().nth(1) else {
        return Err("name a folder with MNIST's files".into());
    };
    let pictures = idx::folder(Path::new(&folder), idx::Split::Train)?;
    let (data, device) = (Data::one(Arc::new(pictures)), candle_core::Device::Cpu);
    let (seed, info) = (1, data.info());
    let cx = Context::new(&device, seed, info, 1);
    let mut gan = WganGp::new(&Config::preset(Preset::Smoke, &cx.data), &cx)?;
    let mut source = LiveSource::new(&data, seed, &cx.device);
    let mut seen = Seen::default();
    for t in 0..200 {
        gan.step(&mut Iter::new(t, &mut source, &mut seen))?;
        if t % 20 == 19 {
            let estimate = seen.scalars.iter().find(|(name, _)| name == "wasserstein");
            let estimate = estimate.map(|(_, value)| value.to_scalar::<f32>());
            println!(
                "iteration {}: {:.4}",
                t + 1,
                estimate.transpose()?.unwrap_or_default()
            );
        }
    }
    Ok(())
}
