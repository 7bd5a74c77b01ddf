//! How many pictures a second are read, brought to size and cut, one JSON line:
//! `cargo run -p gan-core --example read_pictures -- FOLDER [SIZE [JITTER [BATCH]]]`
//!
//! `first` is the first pass over the files: looked at, decoded, brought to a shorter side of SIZE + JITTER, and
//! squares of SIZE cut at random. `later` is each pass after it, which cuts from what is held.

use candle_core::Device;
use gan_core::data::images::Labels;
use gan_core::data::{Reading, Split, images, pictures};
use gan_core::{LiveSource, Source, View};
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().ok_or("name a folder of pictures")?;
    let mut number = |usual: usize| args.next().map_or(Ok(usual), |n| n.parse());
    let (size, jitter, batch) = (number(64)?, number(8)?, number(64)?);
    let view = View::jittered(size, jitter);
    let start = Instant::now();
    let survey = images::open(
        Path::new(&folder),
        Split::Train,
        Labels::Ignored,
        &|_, _, _| {},
    )?;
    let (data, notes) = survey.read(&Reading::new(view))?;
    let n = data.info().len;
    let mut source = LiveSource::new(&data, 1, &Device::Cpu);
    let mut pass = || {
        for t in 0..n.div_ceil(batch) {
            source.begin(t as u64);
            source.batch(batch, &view, &[pictures("real")])?;
        }
        candle_core::Result::Ok(())
    };
    pass()?;
    let first = start.elapsed().as_secs_f64();
    let start = Instant::now();
    pass()?;
    let later = start.elapsed().as_secs_f64();
    notes.iter().for_each(|note| eprintln!("{note}"));
    println!(
        "{{\"pictures\": {n}, \"size\": {size}, \"first_per_s\": {:.0}, \"later_per_s\": {:.0}}}",
        n as f64 / first,
        n as f64 / later
    );
    Ok(())
}
