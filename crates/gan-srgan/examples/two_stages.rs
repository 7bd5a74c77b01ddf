//! Trains SRGAN on a folder or zip file of photographs, pre-training and game, and writes G, without the runner:
//! `cargo run -p gan-srgan --example two_stages -- assets/photos.zip g.safetensors [PRETRAIN GAME]`

use gan_core::data::images::{self, Labels};
use gan_core::data::{Reading, Split};
use gan_core::{Algorithm, Context, Iter, LiveSource, Paper, Preset, Seen};
use gan_srgan::{Config, Srgan};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (folder, weights, pretrain, game) = match &args[..] {
        [folder, weights] => (folder, weights, 2_000, 200),
        [folder, weights, pretrain, game] => (folder, weights, pretrain.parse()?, game.parse()?),
        _ => return Err("name a folder of photographs and a weights file to write".into()),
    };
    let (seed, device) = (1, candle_core::Device::Cpu);
    let survey = images::open(
        Path::new(folder),
        Split::Train,
        Labels::Ignored,
        &|_, _, _| {},
    )?;
    let config = Config {
        pretrain,
        ..Config::preset(Preset::Demo, &survey.info())
    };
    let (data, _) = survey.read(&Reading::new(config.view()))?;
    let cx = Context::new(&device, seed, data.info(), pretrain + game);
    let mut gan = Srgan::new(&config, &cx)?;
    let (mut source, mut seen) = (LiveSource::new(&data, seed, &device), Seen::default());
    for t in 0..pretrain + game {
        gan.step(&mut Iter::new(t, &mut source, &mut seen))?;
    }
    for (name, part) in gan.parts() {
        if let ("g", Some(params)) = (name, part.params()) {
            params.write_weights(Path::new(weights))?;
        }
    }
    println!(
        "wrote {weights}, a network that makes photographs {} times as large",
        config.scale
    );
    Ok(())
}
