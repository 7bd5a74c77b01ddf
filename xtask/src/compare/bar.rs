//! The progress of a comparison's runs on the terminal.

use super::plan::Plan;
use super::runs::{Run, State, progress};
use crate::observers::times;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};

/// How often the bar is drawn anew.
const DRAWN: Duration = Duration::from_millis(500);

/// Shows how far the runs are.
pub struct Bar<'a> {
    plan: &'a Plan,
    bar: ProgressBar,
    drawn: Instant,
    said: Vec<bool>,
    quiet: bool,
}

impl<'a> Bar<'a> {
    /// Of a plan that is `quiet`ly followed or not.
    pub fn new(plan: &'a Plan, quiet: bool) -> Self {
        let target = match quiet {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr(),
        };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        let style = ProgressStyle::with_template("{bar:30} {human_pos}/{human_len}  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self {
            plan,
            bar,
            drawn: Instant::now(),
            said: Vec::new(),
            quiet,
        }
    }

    /// Shows how far they are now, and says which are over.
    pub fn draw(&mut self, runs: &[Run]) {
        self.said.resize(runs.len(), false);
        for (i, run) in runs.iter().enumerate() {
            let over = matches!(run.state, State::Done | State::Failed(_));
            if let Some(said) = self.said.get_mut(i)
                && over
                && !std::mem::replace(said, true)
                && !self.quiet
            {
                let line = self.line(i, run, runs.len());
                self.bar.suspend(|| say!("{line}"));
            }
        }
        if self.drawn.elapsed() < DRAWN {
            return;
        }
        self.drawn = Instant::now();
        let steps = |run: &Run| {
            let variant = self.plan.variants.get(run.variant);
            variant.map_or(0, |variant| variant.settings.steps)
        };
        let done = |run: &Run| match run.state {
            State::Waiting => 0,
            State::Training => progress(&run.folder).min(steps(run)),
            _ => steps(run),
        };
        self.bar.set_length(runs.iter().map(steps).sum());
        self.bar.set_position(runs.iter().map(done).sum());
        let under_way = runs.iter().filter_map(|run| {
            let what = match run.state {
                State::Training => "training",
                State::Measuring => "measuring",
                _ => return None,
            };
            let variant = self.plan.variants.get(run.variant)?;
            Some(format!("{what} {}, seed {}", variant.name, run.seed))
        });
        self.bar
            .set_message(under_way.collect::<Vec<_>>().join("; "));
    }

    fn line(&self, i: usize, run: &Run, count: usize) -> String {
        let variant = self.plan.variants.get(run.variant);
        let name = variant.map_or("", |variant| variant.name.as_str());
        let cost = times::read(&run.folder.join("times.csv"));
        let cost = cost.last().map_or(String::new(), |cost| {
            format!(
                ": {:.0} s, {:.0} CPU-seconds, {} MiB",
                cost.seconds, cost.cpu_seconds, cost.peak_mib
            )
        });
        let what = match (&run.state, run.reused) {
            (State::Failed(_), _) => " failed",
            (_, true) => ", done before",
            _ => "",
        };
        format!("[{}/{count}] {name}, seed {}{what}{cost}", i + 1, run.seed)
    }

    /// Takes it away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
