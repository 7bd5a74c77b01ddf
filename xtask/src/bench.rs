//! `bench`: the time of a registered training step, in the form of the reference's own benchmark.

use crate::cli::BenchArgs;
use crate::job::Job;
use crate::settings::{self, Settings, nearest};
use crate::{Usage, ops, process};
use anyhow::{Result, bail};
use candle_core::{Device, Tensor};
use cpu_time::ProcessTime;
use gan_core::data::{Range, What};
use gan_core::nn::vgg::Vgg19;
use gan_core::rng::CounterRng;
use gan_core::{
    Ask, Bench, DataInfo, Draws, Iter, Preset, Recipe, Seen, Source, StateReader, StateWriter,
    Stateful, View,
};
#[cfg(feature = "cuda")]
use gan_kernels::meter;
use gan_kernels::profile;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// Iterations before the clock starts, as in the reference.
const WARM_UP: u64 = 2;

/// Runs `bench`.
pub fn bench(papers: &[&dyn Recipe], args: &BenchArgs) -> Result<()> {
    let known: Vec<&str> = papers
        .iter()
        .flat_map(|recipe| recipe.info().bench.iter().map(|bench| bench.label))
        .collect();
    if args.labels.first().is_some_and(|label| label == "ops") {
        return ops::bench(args);
    }
    let labels: Vec<&str> = match args.labels.is_empty() {
        true => known.clone(),
        false => args.labels.iter().map(String::as_str).collect(),
    };
    for label in &labels {
        if !known.contains(label) {
            bail!(Usage(format!(
                "no benchmark is called {label:?}; {}",
                nearest(label, &known)
            )))
        }
    }
    let [label] = labels[..] else {
        return labels.into_iter().try_for_each(|label| apart(label, args));
    };
    for recipe in papers {
        let mut its = recipe.info().bench.iter();
        if let Some(bench) = its.find(|bench| bench.label == label) {
            return time(*recipe, bench, args);
        }
    }
    Ok(())
}

/// One label in a process of its own, so that the peak memory is its own.
fn apart(label: &str, args: &BenchArgs) -> Result<()> {
    let status = std::process::Command::new(std::env::current_exe()?)
        .args(["bench", label, "--device", &args.device])
        .args([
            "--steps",
            &args.steps.to_string(),
            "--seconds",
            &args.seconds.to_string(),
        ])
        .args(args.set.iter().flat_map(|set| ["--set", set]))
        .args(args.profile.then_some("--profile"))
        .args(args.small.then_some("--small"))
        .status()?;
    match status.success() {
        true => Ok(()),
        false => bail!("the benchmark of {label} ended with {status}"),
    }
}

fn time(recipe: &dyn Recipe, bench: &Bench, args: &BenchArgs) -> Result<()> {
    let Bench { label, data, set } = bench;
    let device = process::device(&args.device)?;
    let preset = match args.small {
        true => Preset::Smoke,
        false => Preset::Bench,
    };
    let config = recipe.preset(preset, data)?;
    let set = set.iter().map(|(key, value)| format!("{key}={value}"));
    let set: Vec<String> = set.chain(args.set.iter().cloned()).collect();
    let config = settings::apply(recipe, &config, &set)?;
    let steps = recipe.steps(&config, preset, data)?;
    let settings = Settings::bare(recipe, config.clone(), steps);
    let mut job = Job::new(recipe, settings, &device)?;
    if job.learns.features.is_some() {
        let narrower = if args.small { 16 } else { 1 };
        job.features = Some(Arc::new(Vgg19::untrained(narrower, &device)?));
    }
    let mut algorithm = job.build(data)?;
    let mut source = Made {
        rng: CounterRng::new(1, &device),
        data: data.clone(),
        device: device.clone(),
        made: HashMap::new(),
    };
    let mut seen = Seen::default();
    let (mut walls, mut cpus) = (Vec::new(), Vec::new());
    let mut costs = Costs::default();
    let begin = Instant::now();
    for t in 0..WARM_UP + args.steps {
        if args.profile && t == WARM_UP {
            profile::start();
        }
        // Of the last warm iteration, which does what every later one does.
        let count = t + 1 == WARM_UP;
        if count {
            costs.begin(&device)?;
        }
        let (wall, cpu) = (Instant::now(), ProcessTime::now());
        algorithm.step(&mut Iter::new(t, &mut source, &mut seen))?;
        if count {
            costs.end(&device)?;
        }
        device.synchronize()?;
        if t >= WARM_UP {
            walls.push(wall.elapsed().as_secs_f64());
            cpus.push(cpu.elapsed().as_secs_f64());
        }
        if walls.len() >= 2 && begin.elapsed().as_secs_f64() > args.seconds {
            break;
        }
    }
    let iterations = walls.len();
    if args.profile {
        print_profile(&profile::finish(), walls.iter().sum(), iterations);
    }
    walls.sort_by(f64::total_cmp);
    cpus.sort_by(f64::total_cmp);
    let middle = |i: usize| walls.get(i).copied().unwrap_or_default();
    let median = (middle((iterations - 1) / 2) + middle(iterations / 2)) / 2.;
    let round = |seconds: f64| (seconds * 1e6).round() / 1e6;
    let mut line = json!({
        "paper": label,
        "batch": config.get("batch"),
        "median_s": round(median),
        "min_s": round(middle(0)),
        "min_cpu_s": round(cpus.first().copied().unwrap_or_default()),
        "iterations": iterations,
        "peak_rss_mib": process::peak_rss_mib()?,
        "threads": process::threads(),
        "device": process::describe(&device),
    });
    if let (Some(line), true) = (line.as_object_mut(), device.is_cuda()) {
        line.extend(costs.said());
    }
    say!("{line}");
    Ok(())
}

/// What an iteration on a GPU costs besides time.
#[derive(Default)]
struct Costs {
    bytes: Option<u64>,
    counts: Vec<(&'static str, Option<u64>)>,
}

impl Costs {
    /// What is counted, where anything is.
    #[cfg(feature = "cuda")]
    const COUNTED: [&str; 4] = ["launches", "library_calls", "htod", "syncs"];

    #[cfg(feature = "cuda")]
    fn begin(&mut self, device: &Device) -> Result<()> {
        meter::reset_peak(device)?;
        self.counts = Self::COUNTED.map(|what| (what, meter::count(what))).into();
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn end(&mut self, device: &Device) -> Result<()> {
        for (what, count) in &mut self.counts {
            let after = meter::count(what);
            *count = after.zip(*count).map(|(after, before)| after - before);
        }
        self.bytes = meter::peak_bytes(device)?;
        Ok(())
    }

    #[cfg(not(feature = "cuda"))]
    fn begin(&mut self, _: &Device) -> Result<()> {
        Ok(())
    }

    #[cfg(not(feature = "cuda"))]
    fn end(&mut self, _: &Device) -> Result<()> {
        Ok(())
    }

    /// The entries of the line.
    fn said(&self) -> serde_json::Map<String, serde_json::Value> {
        let mib = self.bytes.map(|bytes| bytes.div_ceil(1 << 20));
        let counts = self.counts.iter().copied();
        let all = [("peak_device_mib", mib)].into_iter().chain(counts);
        all.map(|(what, n)| (what.into(), json!(n))).collect()
    }
}

/// How many ops a profile shows.
const SHOWN: usize = 40;

/// A table of the ops that took longest; what is left is candle's own ops and the rest of the step.
fn print_profile(seen: &[profile::Entry], total: f64, iterations: usize) {
    let row = |share: f64, calls: f64, ms: f64, op: &str| {
        say!("{:5.1} % {calls:6.1} x {ms:9.3} ms  {op}", share * 100.)
    };
    let n = iterations.max(1) as f64;
    for e in seen.iter().take(SHOWN) {
        let ms = e.seconds / e.calls.max(1) as f64 * 1e3;
        row(e.seconds / total, e.calls as f64 / n, ms, &e.op);
    }
    let rest: f64 = seen.iter().skip(SHOWN).map(|e| e.seconds).sum();
    let ours: f64 = seen.iter().map(|e| e.seconds).sum();
    row(rest / total, 1., rest / n * 1e3, "other ops of gan-kernels");
    row(
        1. - ours / total,
        1.,
        (total - ours) / n * 1e3,
        "everything else",
    );
}

/// Pictures made once, noise made anew.
struct Made {
    rng: CounterRng,
    data: DataInfo,
    device: Device,
    made: HashMap<String, Vec<Tensor>>,
}

impl Source for Made {
    fn begin(&mut self, t: u64) {
        self.rng.begin(t);
    }

    fn batch(
        &mut self,
        b: usize,
        view: &View,
        asks: &[Ask<'_>],
    ) -> candle_core::Result<Vec<Tensor>> {
        let key = format!("{b} {view:?} {asks:?}");
        if let Some(made) = self.made.get(&key) {
            return Ok(made.clone());
        }
        let [c, h, w] = view.picture(&self.data);
        let made = asks.iter().map(|ask| match ask.what {
            What::Labels => {
                let labels = self
                    .rng
                    .choices(ask.role, b, self.data.classes.unwrap_or(10))?;
                let labels: Vec<u32> = labels.into_iter().map(|label| label as u32).collect();
                Tensor::from_vec(labels, b, &self.device)
            }
            What::Pictures { range, shrink, .. } => {
                let k = shrink.map_or(1, |(factor, _)| factor.max(1));
                let unit = self.rng.uniform(ask.role, &[b, c, h / k, w / k])?;
                match range {
                    Range::Unit => Ok(unit),
                    Range::Signed => unit.affine(2., -1.),
                }
            }
        });
        let made = made.collect::<candle_core::Result<Vec<_>>>()?;
        self.made.insert(key, made.clone());
        Ok(made)
    }
}

impl Draws for Made {
    fn normal(&mut self, role: &str, shape: &[usize]) -> candle_core::Result<Tensor> {
        self.rng.normal(role, shape)
    }

    fn uniform(&mut self, role: &str, shape: &[usize]) -> candle_core::Result<Tensor> {
        self.rng.uniform(role, shape)
    }

    fn mask(&mut self, role: &str, p: f64, shape: &[usize]) -> candle_core::Result<Tensor> {
        self.rng.mask(role, p, shape)
    }

    fn choices(&mut self, role: &str, n: usize, below: usize) -> candle_core::Result<Vec<usize>> {
        self.rng.choices(role, n, below)
    }
}

impl Stateful for Made {
    fn save(&self, _: &mut StateWriter<'_>) -> candle_core::Result<()> {
        Ok(())
    }

    fn load(&mut self, _: &mut StateReader<'_>) -> candle_core::Result<()> {
        Ok(())
    }
}
