//! Time and memory of enlarging a picture of 512x384 with 23 blocks of 64 channels, one JSON line:
//! `cargo run -p gan-esrgan --example enlarge_time -- [RUNS [BLOCKS]]`
//!
//! `tests/reference/compare.py enlarge` runs it and the same in PyTorch alternately.

use candle_core::{Device, Result};
use gan_core::rng::CounterRng;
use gan_core::{Context, DataInfo, Draws, Net, Probe, Sampler, Side, init};
use gan_esrgan::{Rrdb, RrdbSizes};
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The largest resident memory so far, in MiB; 0 where the system does not say.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let mut number = |usual| args.next().and_then(|n| n.parse().ok()).unwrap_or(usual);
    let (runs, blocks) = (number(2), number(23));
    let sizes = RrdbSizes {
        channels: 3,
        width: 64,
        growth: 32,
        blocks,
        ups: 2,
        unshuffle: 1,
    };
    let cx = Context::new(&Device::Cpu, 1, DataInfo::unlabelled(3, 8), 1);
    let g = Net::new(&cx, "g", init::as_layers, |vb| Rrdb::new(&sizes, vb))?.frozen;
    let mut draws = CounterRng::new(1, &Device::Cpu);
    let x = draws.uniform("x", &[1, 3, 384, 512])?;
    let mut times = Vec::new();
    for _ in 0..runs {
        let start = Instant::now();
        g.sample(&Probe::pictures(Side::A, x.clone()), &mut draws)?;
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    let at = |i: usize| times.get(i).map_or(0., |t| (t * 1e4).round() / 1e4);
    println!(
        "{{\"paper\": \"enlarge\", \"median_s\": {}, \"min_s\": {}, \"peak_rss_mib\": {}}}",
        at(times.len() / 2),
        at(0),
        peak_mib()
    );
    Ok(())
}
