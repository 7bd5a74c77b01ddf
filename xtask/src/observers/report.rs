//! `report.html`: the page of a run, drawn anew while it goes on.

use crate::report::model::{Report, Run, State};
use crate::report::{self, NAME, Pace};
use candle_core::Result;
use gan_core::{Event, Observer, Recipe};
use std::path::{Path, PathBuf};

/// Draws the page of a run.
pub struct Page<'a> {
    recipe: &'a dyn Recipe,
    dir: PathBuf,
    steps: u64,
    pace: Pace,
    failed: bool,
}

impl<'a> Page<'a> {
    /// The page of a run of so many iterations in `dir`.
    pub fn new(recipe: &'a dyn Recipe, dir: &Path, steps: u64) -> Self {
        Self {
            recipe,
            dir: dir.to_path_buf(),
            steps,
            pace: Pace::default(),
            failed: false,
        }
    }

    /// Says on the page why the run has failed.
    pub fn fail(&mut self, why: &str) {
        self.draw(State::Failed(why.into()));
    }

    /// Draws it. A page that cannot be written is no reason for a run to end.
    fn draw(&mut self, state: State) {
        let path = self.dir.join(NAME);
        let mut pace = std::mem::take(&mut self.pace);
        let drawn = pace.draw(|| {
            report::refuse_foreign(&path)?;
            report::write(&self.report(state)?, &path)
        });
        self.pace = pace;
        if let (Err(error), false) = (drawn, self.failed) {
            warn!("note: the report is not drawn: {}", crate::one_line(&error));
            self.failed = true;
        }
    }

    fn report(&self, state: State) -> anyhow::Result<Report> {
        let mut report = report::of_runs(&[self.recipe], std::slice::from_ref(&self.dir))?;
        report.live = matches!(state, State::Training { .. });
        let runs = report
            .variants
            .iter_mut()
            .flat_map(|variant| &mut variant.runs);
        runs.for_each(|run: &mut Run| run.state = state.clone());
        Ok(report)
    }
}

impl Observer for Page<'_> {
    fn on(&mut self, event: &Event<'_>) -> Result<()> {
        match event {
            Event::Started { from: done, .. } => self.draw(State::Training { done: *done }),
            Event::Sampled { t, .. } if self.pace.is_due() => {
                self.draw(State::Training { done: *t })
            }
            Event::Ended { t } => self.draw(match *t >= self.steps {
                true => State::Done,
                false => State::Stopped { done: *t },
            }),
            _ => {}
        }
        Ok(())
    }
}
