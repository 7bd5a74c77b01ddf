//! The report of a comparison, drawn while its runs go on and at its end.

use super::plan::Plan;
use super::runs::{Run, State};
use crate::report::{self, Given, Pace, model};
use anyhow::Result;
use gan_core::Recipe;
use std::path::{Path, PathBuf};

/// The page, and when it was drawn.
pub struct Page<'a> {
    papers: &'a [&'a dyn Recipe],
    plan: &'a Plan,
    path: PathBuf,
    command: String,
    pace: Pace,
    /// How many runs were over when it was drawn last.
    over: Option<usize>,
}

impl<'a> Page<'a> {
    /// A page in a comparison's folder; `command` repeats the comparison.
    ///
    /// # Errors
    /// A file of its name that is no report.
    pub fn new(
        papers: &'a [&'a dyn Recipe],
        plan: &'a Plan,
        out: &Path,
        command: String,
    ) -> Result<Self> {
        let path = out.join(report::NAME);
        report::refuse_foreign(&path)?;
        Ok(Self {
            papers,
            plan,
            path,
            command,
            pace: Pace::default(),
            over: None,
        })
    }

    /// Draws it where that is due: when a run is over, every now and then, and at the end. One that cannot be written is
    /// no reason to stop training: that is said, and the values are elsewhere, too.
    pub fn draw(&mut self, runs: &[Run], at_the_end: bool) {
        let over = runs
            .iter()
            .filter(|run| matches!(run.state, State::Done | State::Failed(_)))
            .count();
        let another = self.over != Some(over);
        if !(at_the_end || another || self.pace.is_due()) {
            return;
        }
        self.over = Some(over);
        let page = self.report(runs, !at_the_end);
        if let Err(error) = self.pace.draw(|| report::write(&page, &self.path)) {
            warn!("warning: {}", crate::one_line(&error));
        }
    }

    fn report(&self, runs: &[Run], live: bool) -> model::Report {
        let variants = self.plan.variants.iter().enumerate().map(|(i, planned)| {
            let own = runs.iter().filter(|run| run.variant == i);
            let given = own.map(|run| Given {
                folder: run.folder.clone(),
                settings: planned.with(run.seed),
                state: match &run.state {
                    State::Waiting if live => model::State::Waiting,
                    State::Waiting => model::State::Stopped { done: 0 },
                    State::Training => model::State::Training { done: 0 },
                    State::Measuring => model::State::Measuring,
                    State::Done => model::State::Done,
                    State::Failed(error) => model::State::Failed(error.clone()),
                },
            });
            (planned.name.clone(), given.collect())
        });
        let variants: Vec<(String, Vec<Given>)> = variants.collect();
        let mut page = report::beside(self.papers, &variants);
        let asked = &self.plan.asked;
        let names: Vec<&str> = variants.iter().map(|(name, _)| name.as_str()).collect();
        page.title = format!(
            "{} beside each other",
            gan_core::cut(&names.join(", "), 100)
        );
        page.command = self.command.clone();
        let seeds: Vec<String> = asked.seeds.iter().map(u64::to_string).collect();
        let data = self
            .plan
            .variants
            .first()
            .map(|planned| &planned.settings.data);
        let mut fact = |name: &str, value: String| page.facts.push((name.into(), value));
        fact("data", data.cloned().unwrap_or_default());
        fact("budget", asked.budget.words());
        fact("seeds", seeds.join(" "));
        fact("machine", self.plan.machine.clone());
        fact("version", env!("CARGO_PKG_VERSION").into());
        page.notes.extend(self.plan.notes.iter().cloned());
        page.live = live;
        page
    }
}
