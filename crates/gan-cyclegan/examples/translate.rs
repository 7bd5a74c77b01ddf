//! Opens a generator's weights, saved by this project or by PyTorch, and translates a picture of any size:
//! `cargo run -p gan-cyclegan --example translate -- g.safetensors horse.png zebra.png`

use candle_core::{Device, Tensor};
use gan_core::data::images::Album;
use gan_core::rng::CounterRng;
use gan_core::{Probe, Weights, image, translate};
use gan_cyclegan::ResnetGenerator;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [weights, from, to] = &args[..] else {
        return Err("name a weights file, a picture to translate and one to write".into());
    };
    let device = Device::Cpu;
    let g = ResnetGenerator::open(&Weights::read(Path::new(weights))?, &device)?;
    let mut album = Album::open(Path::new(from))?;
    let name = album.names().into_iter().next().ok_or("no picture")?;
    let single = match g.sizes().inputs {
        1 => album.read(&name)?.grey(),
        _ => album.read(&name)?.rgb(),
    };
    let shape = (1, single.channels, single.height, single.width);
    let values = single.bytes.iter().map(|&x| f32::from(x) / 127.5 - 1.);
    let x = Tensor::from_vec(values.collect::<Vec<_>>(), shape, &device)?;
    let columns = translate(&g, &Probe::Image(x), &mut CounterRng::new(1, &device))?;
    let (_, fake) = columns.last().ok_or("no pictures")?;
    std::fs::write(to, image::single(fake)?.png()?)?;
    println!("wrote {to}");
    Ok(())
}
