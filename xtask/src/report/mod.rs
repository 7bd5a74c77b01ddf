//! `report`: one page of a run, or of several beside each other. `train` and `compare` draw theirs by the same code.
//!
//! A report is a value ([`model::Report`]), from which the page is drawn alone (`page`); [`read::run`] fills it
//! from a run's folder.

mod curves;
mod gather;
pub mod model;
mod page;
mod pictures;
mod plot;
pub mod read;
mod tables;
#[cfg(test)]
mod tests;
mod thin;
mod words;

use crate::cli::ReportArgs;
use crate::shell::quoted;
use anyhow::Result;
use gan_core::{FileError, Recipe, whole};
pub use gather::{Given, beside, of_runs};
use model::{Report, State};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The name of the page in a run's folder.
pub const NAME: &str = "report.html";
/// The least time between two pages while runs go on.
const LEAST: Duration = Duration::from_secs(10);
/// A page is drawn anew when the runs have taken this many times what the last one took: it costs a hundredth of them.
const PATIENCE: u32 = 100;

/// How often the page of runs under way is drawn.
#[derive(Debug, Default)]
pub struct Pace(Option<(Instant, Duration)>);

impl Pace {
    /// Whether it is time for another page.
    pub fn is_due(&self) -> bool {
        self.0
            .is_none_or(|(when, took)| when.elapsed() >= LEAST.max(took * PATIENCE))
    }

    /// Draws a page, and notes when and how long that took.
    ///
    /// # Errors
    /// Those of `draw`.
    pub fn draw(&mut self, draw: impl FnOnce() -> Result<()>) -> Result<()> {
        let start = Instant::now();
        let drawn = draw();
        self.0 = Some((Instant::now(), start.elapsed()));
        drawn
    }
}

/// Runs `report`.
///
/// # Errors
/// Folders without anything of a run; a page that cannot be written, or that would be written over another's file.
pub fn report(papers: &[&dyn Recipe], args: &ReportArgs) -> Result<()> {
    let out = match (&args.out, args.runs.as_slice()) {
        (Some(out), _) => out.clone(),
        (None, [run]) => run.join(NAME),
        (None, _) => PathBuf::from(NAME),
    };
    let mut report = of_runs(papers, &args.runs)?;
    let mut command = String::from("cargo xtask report");
    for run in &args.runs {
        command = format!("{command} {}", quoted(run));
    }
    match args.runs.as_slice() {
        // What `train` writes again while the run goes on.
        [run] => report.live = out == run.join(NAME) && is_training(&report),
        _ => report.command = format!("{command} --out {}", quoted(&out)),
    }
    if !args.force {
        refuse_foreign(&out)?;
    }
    write(&report, &out)?;
    say!("{}", out.display());
    Ok(())
}

fn is_training(report: &Report) -> bool {
    report
        .runs()
        .any(|(_, run)| matches!(run.state, State::Training { .. }))
}

/// Draws a report and writes its page, whole or not at all.
///
/// # Errors
/// A page that cannot be written.
pub fn write(report: &Report, path: &Path) -> Result<()> {
    let page = page::page(report)?;
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        std::fs::create_dir_all(dir).map_err(|e| FileError::writing(dir, &e))?;
    }
    Ok(whole::write_whole(path, |file| {
        std::fs::write(file, &page)
    })?)
}

/// Refuses a file that is no report.
///
/// # Errors
/// One that is there.
pub fn refuse_foreign(path: &Path) -> Result<(), FileError> {
    let mut begin = Vec::new();
    match std::fs::symlink_metadata(path) {
        Err(_) => return Ok(()),
        Ok(_) => {
            let read = whole::open_regular(path)?
                .take(2048)
                .read_to_end(&mut begin);
            read.map_err(|e| FileError::reading(path, &e))?;
        }
    }
    match begin.is_empty() || String::from_utf8_lossy(&begin).contains(page::GENERATOR) {
        true => Ok(()),
        false => Err(FileError::new(
            path,
            "is there already and is no report",
            "choose another --out, or write over it with --force",
        )),
    }
}
