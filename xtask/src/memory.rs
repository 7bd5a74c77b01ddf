//! Whether this machine's memory suffices for a run, found out before it starts: an iteration is tried on a part of a
//! batch, and of the pictures' size where the networks allow that, and what it takes is reckoned up to the whole.

use crate::job::Job;
use crate::observers::thousands;
use crate::process::{kib, peak_rss_mib};
use crate::settings::Settings;
use anyhow::{Result, bail};
use candle_core::{Device, Tensor};
use gan_core::data::{Data, Fit, Held};
use gan_core::{
    Ask, DataInfo, Draws, Iter, LiveSource, Recipe, Seen, Sides, Source, StateReader, StateWriter,
    Stateful, View,
};
use serde_json::Value;
use std::sync::Arc;

/// No paper's iteration takes more than this many times the bytes of its pictures.
const FACTOR: u64 = 4096;
/// By how much the memory has to grow from one try to the next, so that what is reckoned from it is more than chance.
const GROWTH: u64 = 48;
/// The smallest side that is tried.
const SMALLEST: usize = 16;

/// MiB of memory that this process may have: the machine's, or its control group's; none where the system does not say.
pub fn machine_mib() -> Option<u64> {
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").unwrap_or_default();
    let group = group
        .trim()
        .parse::<u64>()
        .map_or(u64::MAX, |bytes| bytes >> 20);
    Some((kib("/proc/meminfo", "MemTotal:")? >> 10).min(group))
}

/// Refuses settings whose iteration needs more memory than this machine has. `info` is of the data as they are.
///
/// # Errors
/// Such settings, with the estimate.
pub fn require(
    recipe: &dyn Recipe,
    config: &Value,
    info: &DataInfo,
    device: &Device,
) -> Result<()> {
    let (Some(machine), true) = (machine_mib(), device.is_cpu()) else {
        return Ok(());
    };
    let job = Job::new(recipe, Settings::bare(recipe, config.clone(), 1), device)?;
    let name = recipe.info().name;
    if let Some(needed) = job.weighs(info).map(|bytes| bytes >> 20)
        && needed > machine
    {
        bail!(
            "{name}: its networks and what trains them take {} GiB of memory with these settings, and there are {}; use \
             smaller networks or pictures (cargo xtask info {name} lists the settings)",
            thousands(needed.div_ceil(1 << 10)),
            machine >> 10
        )
    }
    let pictures = job.learns.view.picture(info).iter().product::<usize>() * job.learns.batch;
    if (pictures as u64).saturating_mul(4 * FACTOR) >> 20 < machine {
        return Ok(());
    }
    match estimate(&job, info) {
        Some(needed) if needed > machine => bail!(
            "{name}: an iteration needs some {} GiB of memory with these settings, and there are {}; use a smaller batch or \
             smaller pictures (cargo xtask info {name} lists the settings)",
            needed.div_ceil(1 << 10),
            machine >> 10
        ),
        _ => Ok(()),
    }
}

/// MiB that an iteration takes, where that is more than what was tried.
fn estimate(job: &Job<'_>, info: &DataInfo) -> Option<u64> {
    let batch = job.learns.batch;
    let whole = match job.learns.view.fit {
        Fit::Whole | Fit::Multiple { .. } => None,
        Fit::Square { size, .. } | Fit::Crop { size } => Some(size),
    };
    // The part of one picture's pixels and of the batch; from the smallest side that the networks take upwards.
    let mut sides: Vec<Option<usize>> = vec![whole];
    while let Some(&Some(side)) = sides.last()
        && side.is_multiple_of(2)
        && side / 2 >= SMALLEST
    {
        sides.push(Some(side / 2));
    }
    let area = |side: Option<usize>| match (side, whole) {
        (Some(side), Some(whole)) => (side as f64 / whole as f64).powi(2),
        _ => 1.,
    };
    let parts = sides.iter().rev().map(|&side| (side, 1));
    let shares = (1..)
        .map(|i| (whole, 1usize << i))
        .take_while(|(_, b)| *b < batch);
    let mut before: Option<(f64, u64)> = None;
    for (side, share) in parts.chain(shares) {
        let Some(peak) = tried(job, info, side, share) else {
            // Too small for the networks; what is too small for one side was not measured yet.
            continue;
        };
        let units = area(side) * share as f64;
        if let Some((fewer, less)) = before
            && peak >= less + GROWTH
            // Before that, what was freed for earlier tries hides a part of it.
            && 2 * peak >= 3 * less
        {
            let each = (peak - less) as f64 / (units - fewer);
            return Some(peak + (each * (batch as f64 - units)) as u64);
        }
        before = Some((units, peak));
    }
    None
}

/// MiB of this process at its peak after one iteration with pictures of this side and a batch of `share`; none where
/// the networks do not take them.
fn tried(job: &Job<'_>, info: &DataInfo, side: Option<usize>, share: usize) -> Option<u64> {
    let [channels, h, w] = job.learns.view.picture(info);
    let (h, w) = side.map_or((h, w), |side| (side, side));
    let mut one = DataInfo::picture(channels, h, w);
    one.classes = info.classes;
    let made = || {
        let bytes = (0..one.pixels()).map(|i| (i * 37 % 251) as u8);
        let labels = one.classes.map(|_| vec![0]);
        Some(Arc::new(
            Held::new(one.clone(), bytes.collect(), labels).ok()?,
        ))
    };
    let data = match job.learns.sides {
        Sides::One => Data::one(made()?),
        Sides::Apart => Data::apart(made()?, made()?),
        Sides::Paired => Data::paired(made()?, made()?).ok()?,
    };
    let mut source = Part {
        live: LiveSource::new(&data, 1, &job.device),
        side,
        share,
    };
    // Built for the pictures as the run sees them, whatever is tried.
    let mut algorithm = job.build(info).ok()?;
    let mut seen = Seen::default();
    algorithm
        .step(&mut Iter::new(0, &mut source, &mut seen))
        .ok()?;
    peak_rss_mib().ok()
}

/// A part of each batch, of pictures of another side than is asked for.
struct Part {
    live: LiveSource,
    side: Option<usize>,
    share: usize,
}

impl Draws for Part {
    fn normal(&mut self, role: &str, shape: &[usize]) -> candle_core::Result<Tensor> {
        self.live.normal(role, shape)
    }

    fn uniform(&mut self, role: &str, shape: &[usize]) -> candle_core::Result<Tensor> {
        self.live.uniform(role, shape)
    }

    fn mask(&mut self, role: &str, p: f64, shape: &[usize]) -> candle_core::Result<Tensor> {
        self.live.mask(role, p, shape)
    }

    fn choices(&mut self, role: &str, n: usize, below: usize) -> candle_core::Result<Vec<usize>> {
        self.live.choices(role, n, below)
    }
}

impl Source for Part {
    fn begin(&mut self, t: u64) {
        self.live.begin(t);
    }

    fn batch(&mut self, b: usize, _: &View, asks: &[Ask<'_>]) -> candle_core::Result<Vec<Tensor>> {
        let view = self.side.map_or(View::whole(), View::square);
        self.live.batch(b, &view, asks)
    }

    fn share(&self, batch: usize) -> candle_core::Result<usize> {
        Ok(batch.min(self.share))
    }
}

impl Stateful for Part {
    fn save(&self, to: &mut StateWriter<'_>) -> candle_core::Result<()> {
        self.live.save(to)
    }

    fn load(&mut self, from: &mut StateReader<'_>) -> candle_core::Result<()> {
        self.live.load(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::PAPERS;
    use gan_core::Preset;

    #[test]
    fn what_networks_take_is_counted_without_them() -> Result<()> {
        let info = DataInfo::picture(3, 64, 64).labelled(10).of(64);
        for recipe in PAPERS {
            let config = recipe.preset(Preset::Smoke, &info)?;
            let settings = Settings::bare(*recipe, config, 1);
            let job = Job::new(*recipe, settings, &Device::Cpu)?;
            let mut built = job.build(&info)?;
            let mut numbers = 0;
            for (_, part) in built.parts() {
                let all = part.params().map(|params| params.all());
                let all = all.into_iter().flatten();
                numbers += all.map(|(_, var)| var.elem_count() as u64).sum::<u64>();
            }
            // Weights; one or two moments of each; the gradients of half of them or all.
            let counted = job.weighs(&info);
            let fits = |bytes| (4 * numbers * 5 / 2 - 4096..=16 * numbers).contains(&bytes);
            let name = recipe.info().name;
            anyhow::ensure!(counted.is_some_and(fits), "{name}: {counted:?}, {numbers}");
        }
        Ok(())
    }
}
