//! The loop around a paper's iteration: clock, logs, samples, checkpoints, interruption.

use crate::algorithm::{Algorithm, Law, Probe, Takes};
use crate::checkpoint::Store;
use crate::iter::{Iter, Seen};
use crate::observe::{Event, Observer};
use crate::rng::CounterRng;
use crate::source::{Draws, Source};
use candle_core::{DType, Device, Result, Tensor, bail};
use std::sync::atomic::{AtomicBool, Ordering};

/// From where to where, and how often what happens. Distances of 0 mean never.
#[derive(Debug)]
pub struct Plan<'a> {
    /// Iterations done before.
    pub from: u64,
    /// Iterations of the whole run.
    pub steps: u64,
    /// Iterations between two records of the scalars.
    pub log_every: u64,
    /// Iterations between two grids.
    pub sample_every: u64,
    /// Iterations between two checkpoints; the end is saved in any case.
    pub save_every: u64,
    /// What the generator is shown each time.
    pub probe: Option<Probe>,
    /// Seed of the randomness at sampling.
    pub seed: u64,
    /// Set by whoever wants the run to end after the current iteration.
    pub stop: &'a AtomicBool,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All iterations are done.
    Done,
    /// It was asked to stop after this many iterations.
    Interrupted(u64),
}

/// Runs iterations `plan.from..plan.steps`; with a store, checkpoints on the way and at the end.
///
/// # Errors
/// Those of the step, of an observer, of writing a checkpoint. Nothing saved before is touched.
pub fn train(
    algorithm: &mut dyn Algorithm,
    source: &mut dyn Source,
    plan: &Plan<'_>,
    mut store: Option<&mut Store>,
    observers: &mut [&mut dyn Observer],
) -> Result<Outcome> {
    let mut tell = |event: &Event<'_>| observers.iter_mut().try_for_each(|o| o.on(event));
    let due = |t: u64, every: u64| every > 0 && t.is_multiple_of(every);
    let mut seen = Seen::default();
    let mut t = plan.from;
    tell(&Event::Started {
        from: t,
        steps: plan.steps,
    })?;
    if t == 0 && plan.steps > 0 && plan.sample_every > 0 {
        sample(algorithm, plan, t, None, &mut tell)?;
    }
    let mut interrupted = false;
    while t < plan.steps && !interrupted {
        algorithm.step(&mut Iter::new(t, source, &mut seen))?;
        t += 1;
        interrupted = plan.stop.load(Ordering::Relaxed);
        let last = t == plan.steps || interrupted;
        tell(&Event::Stepped { t })?;
        if due(t, plan.log_every) {
            refuse_nan(&mut seen.unread, t)?;
            let scalars = read(&seen.scalars)?;
            tell(&Event::Logged {
                t,
                scalars: &scalars,
            })?;
        }
        if due(t, plan.sample_every) || (t == plan.steps && plan.sample_every > 0) {
            sample(algorithm, plan, t, seen.pictures.as_ref(), &mut tell)?;
        }
        if let Some(store) = &mut store
            && (last || due(t, plan.save_every))
        {
            refuse_nan(&mut seen.unread, t)?;
            tell(&Event::Saving { t })?;
            let path = store.save(t, algorithm, source)?;
            tell(&Event::Saved { t, path: &path })?;
        }
    }
    let interrupted = interrupted && t < plan.steps;
    tell(&Event::Ended { t, interrupted })?;
    Ok(if interrupted {
        Outcome::Interrupted(t)
    } else {
        Outcome::Done
    })
}

/// Latent vectors for a fixed grid: the same for the same seed. A generator of classes is asked for
/// all of them in equal parts, one class after the other.
///
/// # Errors
/// When the generator takes pictures, which only the data can give.
pub fn fixed_noise(takes: &Takes, n: usize, seed: u64, device: &Device) -> Result<Probe> {
    let mut draws = CounterRng::new(seed, device);
    let mut noise = |shape: &[usize], law| {
        let dims = [&[n], shape].concat();
        match law {
            Law::Normal => draws.normal("fixed z", &dims),
            Law::Uniform => draws.uniform("fixed z", &dims),
        }
    };
    match takes {
        Takes::Latent { shape, law } => Ok(Probe::Latent(noise(shape, *law)?)),
        Takes::Labelled {
            shape,
            law,
            classes,
        } => {
            let labels = (0..n).map(|i| (i * classes / n) as u32);
            Ok(Probe::Labelled {
                z: noise(shape, *law)?,
                labels: Tensor::from_vec(labels.collect::<Vec<_>>(), n, device)?,
            })
        }
        Takes::Image { .. } | Takes::Sides { .. } => {
            bail!("this generator takes pictures, not noise")
        }
    }
}

fn sample(
    algorithm: &dyn Algorithm,
    plan: &Plan<'_>,
    t: u64,
    seen: Option<&(String, Tensor)>,
    tell: &mut dyn FnMut(&Event<'_>) -> Result<()>,
) -> Result<()> {
    let Some(probe) = &plan.probe else {
        return Ok(());
    };
    let mut draws = CounterRng::new(plan.seed, probe.device());
    draws.begin(t);
    let made = algorithm.sampler(t).sample(probe, &mut draws)?;
    let mut columns: Vec<(&str, Tensor)> = Vec::new();
    columns.extend(made);
    if let (Probe::Latent(_) | Probe::Labelled { .. }, Some((role, pictures))) = (probe, seen) {
        columns.push((role, pictures.clone()));
    }
    tell(&Event::Sampled {
        t,
        columns: &columns,
    })
}

fn read(scalars: &[(String, Tensor)]) -> Result<Vec<(String, f32)>> {
    scalars
        .iter()
        .map(|(name, value)| {
            let value = value
                .flatten_all()?
                .to_dtype(DType::F32)?
                .to_vec1::<f32>()?;
            match value[..] {
                [value] => Ok((name.clone(), value)),
                _ => bail!("{name} is logged as {} numbers, expected one", value.len()),
            }
        })
        .collect()
}

fn refuse_nan(unread: &mut Option<Tensor>, t: u64) -> Result<()> {
    match unread.take() {
        Some(flag) if !flag.to_scalar::<f32>()?.is_finite() => bail!(
            "a gradient was not finite in one of the iterations before {t}; go on from the last \
             checkpoint with a lower learning rate"
        ),
        _ => Ok(()),
    }
}
