//! How long an iteration of a run takes, and how many pictures it is shown: what turns minutes or pictures into a
//! number of iterations.

use crate::cli::CalibrateArgs;
use crate::process;
use crate::settings;
use crate::start::{fresh, usage};
use anyhow::Result;
use gan_core::Recipe;
use serde::{Deserialize, Serialize};
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Moments of the run at which iterations are timed: a network that grows is slower in the end.
const MOMENTS: u64 = 8;

/// What an iteration costs, the mean over a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibrated {
    /// Seconds.
    pub seconds: f64,
    /// Training pictures shown; a pair counts once.
    pub shown: f64,
}

/// Runs `calibrate`: prints [`Calibrated`] as JSON.
pub fn calibrate(papers: &[&dyn Recipe], args: &CalibrateArgs) -> Result<()> {
    let run = &args.run;
    let recipe = settings::paper(papers, &run.paper)?;
    let device = process::device(&run.device)?;
    let start = fresh(recipe, run, &device)?;
    let steps = start.job.settings.steps;
    let mut running = start
        .job
        .start(&start.data)
        .map_err(|e| usage(&run.paper, &e))?;
    let shown = running.shown();
    let moments = MOMENTS.min(steps);
    let (mut seconds, mut pictures) = (0., 0.);
    for moment in 0..moments {
        let from = steps * moment / moments;
        let next = steps * (moment + 1) / moments;
        // The first one also pays for what is done once.
        if from + 1 < next {
            running.step(from)?;
        }
        let (before, clock) = (shown.load(Ordering::Relaxed), Instant::now());
        let mut done = 0u64;
        let mut t = (from + 1).min(next - 1);
        while done == 0 || t < next && clock.elapsed().as_secs_f64() < args.seconds / moments as f64
        {
            running.step(t)?;
            (done, t) = (done + 1, t + 1);
        }
        seconds += clock.elapsed().as_secs_f64() / done as f64;
        pictures += (shown.load(Ordering::Relaxed) - before) as f64 / done as f64;
    }
    let calibrated = Calibrated {
        seconds: seconds / moments as f64,
        shown: pictures / moments as f64,
    };
    say!("{}", serde_json::to_string(&calibrated)?);
    Ok(())
}
