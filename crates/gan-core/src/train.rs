//! The loop around a paper's iteration: clock, logs, samples, checkpoints, interruption.

use crate::algorithm::Algorithm;
use crate::iter::{Iter, Seen};
use crate::observe::{Event, Observer};
use crate::rng::CounterRng;
use crate::sampler::Probe;
use crate::source::Source;
use crate::store::Store;
use candle_core::{DType, Result, Tensor, bail};
use std::sync::atomic::{AtomicBool, Ordering};

/// From where to where, and how often what happens. Distances of 0 mean never.
#[derive(Debug)]
pub struct Plan<'a> {
    /// Iterations done before.
    pub from: u64,
    /// Iterations of the whole run.
    pub steps: u64,
    /// Iterations to stop after, where that is before the whole run's.
    pub until: Option<u64>,
    /// What is to be said when the loop begins, a sentence each.
    pub notes: Vec<String>,
    /// Iterations between two records of the scalars.
    pub log_every: u64,
    /// Iterations between two grids.
    pub sample_every: u64,
    /// Numbers of iterations after which there is a grid, too, where there are grids at all.
    pub sample_at: Vec<u64>,
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
    /// It stopped after this many iterations, as it was meant to.
    Paused(u64),
    /// It was asked to stop after this many iterations.
    Interrupted(u64),
}

/// Tells all observers, and then all of them what each has to say to that.
fn tell(observers: &mut [&mut dyn Observer], t: u64, event: &Event<'_>) -> Result<()> {
    observers.iter_mut().try_for_each(|o| o.on(event))?;
    let notes: Vec<String> = observers.iter_mut().flat_map(|o| o.said()).collect();
    for text in &notes {
        let noted = Event::Noted { t, text };
        observers.iter_mut().try_for_each(|o| o.on(&noted))?;
    }
    Ok(())
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
    let mut tell = |t: u64, event: &Event<'_>| tell(observers, t, event);
    let due = |t: u64, every: u64| every > 0 && t.is_multiple_of(every);
    let end = plan.until.map_or(plan.steps, |until| until.min(plan.steps));
    let mut seen = Seen::default();
    let mut t = plan.from;
    tell(
        t,
        &Event::Started {
            from: t,
            steps: plan.steps,
        },
    )?;
    for text in &plan.notes {
        tell(t, &Event::Noted { t, text })?;
    }
    if t == 0
        && plan.steps > 0
        && plan.sample_every > 0
        && let Some(columns) = &sample(algorithm, plan, t, None)?
    {
        tell(t, &Event::Sampled { t, columns })?;
    }
    let mut interrupted = false;
    while t < end && !interrupted {
        algorithm.step(&mut Iter::new(t, source, &mut seen))?;
        t += 1;
        interrupted = plan.stop.load(Ordering::Relaxed);
        let last = t == end || interrupted;
        tell(t, &Event::Stepped { t })?;
        if due(t, plan.log_every) {
            refuse_nan(&mut seen.unread, t, store.as_deref())?;
            let scalars = read(&seen.scalars)?;
            tell(
                t,
                &Event::Logged {
                    t,
                    scalars: &scalars,
                },
            )?;
        }
        let shown = due(t, plan.sample_every) || t == plan.steps || plan.sample_at.contains(&t);
        if shown
            && plan.sample_every > 0
            && let Some(columns) = &sample(algorithm, plan, t, seen.pictures.as_ref())?
        {
            tell(t, &Event::Sampled { t, columns })?;
        }
        if let Some(store) = &mut store
            && (last || due(t, plan.save_every))
        {
            refuse_nan(&mut seen.unread, t, Some(store))?;
            tell(t, &Event::Saving { t })?;
            let path = store.save(t, algorithm, source)?;
            tell(t, &Event::Saved { t, path: &path })?;
        }
    }
    // Saved first: whoever stops a run may not want to wait for pictures.
    if interrupted
        && t < plan.steps
        && plan.sample_every > 0
        && let Some(columns) = &sample(algorithm, plan, t, None)?
    {
        tell(t, &Event::Interrupted { t, columns })?;
    }
    tell(t, &Event::Ended { t })?;
    Ok(match t {
        _ if t >= plan.steps => Outcome::Done,
        _ if interrupted => Outcome::Interrupted(t),
        _ => Outcome::Paused(t),
    })
}

/// The column of the pictures that an iteration trained on, beside what a generator makes of noise.
const REAL: &str = "real";

/// What the generator makes of what it is shown each time, where it is shown something.
fn sample(
    algorithm: &dyn Algorithm,
    plan: &Plan<'_>,
    t: u64,
    seen: Option<&Tensor>,
) -> Result<Option<Vec<(&'static str, Tensor)>>> {
    let Some(probe) = &plan.probe else {
        return Ok(None);
    };
    let mut draws = CounterRng::new(plan.seed, &probe.device());
    draws.begin(t);
    let made = algorithm.sampler(t).sample(probe, &mut draws)?;
    let mut columns: Vec<(&str, Tensor)> = made.into_iter().collect();
    if let (None, None, Some(pictures)) = (&probe.x, &probe.y, seen) {
        columns.push((REAL, pictures.clone()));
    }
    Ok(Some(columns))
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

fn refuse_nan(unread: &mut Option<Tensor>, t: u64, store: Option<&Store>) -> Result<()> {
    match unread.take() {
        Some(flag) if !flag.to_scalar::<f32>()?.is_finite() => bail!(
            "a gradient was not finite in one of the iterations before {t}; {}; start a new run with a lower \
             learning rate",
            store.map_or(Ok("nothing was saved".into()), Store::stands)?
        ),
        _ => Ok(()),
    }
}
