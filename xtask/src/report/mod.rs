//! `report`: one page of a run, or of several beside each other. `train` and `compare` draw theirs by the same code.
//!
//! A report is a value ([`model::Report`]), from which the page is drawn alone ([`page::page`]); [`read::run`] fills it
//! from a run's folder.

mod curves;
pub mod model;
mod page;
mod pictures;
mod plot;
pub mod read;
mod tables;
mod thin;

use crate::cli::ReportArgs;
use crate::folder;
use crate::settings::{self, Settings};
use crate::shell::quoted;
use anyhow::Result;
use gan_core::{FileError, Recipe, whole};
use model::{Report, Run, Setting, State, Variant};
use serde_json::{Map, Value};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The name of the page in a run's folder.
pub const NAME: &str = "report.html";
/// Keys that a variant's name has at most.
const NAMED: usize = 3;

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

/// A run's folder and what it holds.
struct Found {
    path: PathBuf,
    settings: Option<Settings>,
    run: Run,
}

/// The report of runs as they are in their folders; those that differ in their seed alone are one variant.
///
/// # Errors
/// A folder without anything of a run.
pub fn of_runs(papers: &[&dyn Recipe], paths: &[PathBuf]) -> Result<Report> {
    let mut variants: Vec<Vec<Found>> = Vec::new();
    for path in paths {
        let (settings, mut run) = read::run(path)?;
        settle(path, &mut run);
        let found = Found {
            path: path.clone(),
            settings,
            run,
        };
        let same = |runs: &&mut Vec<Found>| {
            runs.first().is_some_and(|first| {
                is_same(first, &found) && runs.iter().all(|other| other.run.seed != found.run.seed)
            })
        };
        match variants.iter_mut().find(same) {
            Some(runs) => runs.push(found),
            None => variants.push(vec![found]),
        }
    }
    let firsts: Vec<&Found> = variants.iter().filter_map(|runs| runs.first()).collect();
    let mut report = Report {
        settings: differing(papers, &firsts),
        ..Report::default()
    };
    let names = names(&firsts, &report.settings);
    match paths {
        [path] => alone(papers, path, &firsts, &mut report),
        _ => {
            report.title = names.join(", ");
            report.title = format!("{} beside each other", gan_core::cut(&report.title, 100));
            for found in variants.iter().flatten() {
                let name = format!("{}, seed {}", paper(found), found.run.seed);
                report.facts.push((name, found.path.display().to_string()));
            }
        }
    }
    let runs = variants.into_iter().zip(names);
    report.variants = runs
        .map(|(runs, name)| Variant {
            name,
            runs: runs.into_iter().map(|found| found.run).collect(),
        })
        .collect();
    Ok(report)
}

/// A run whose folder says that it is under way is not, where nobody holds the folder: it was killed.
fn settle(path: &Path, run: &mut Run) {
    let State::Training { done } = run.state else {
        return;
    };
    let lock = std::fs::File::open(path.join(".lock"));
    if lock.is_ok_and(|lock| lock.try_lock_shared().is_ok()) {
        run.state = State::Stopped { done };
        run.notes.push((
            0,
            "the run ended without a word: it was killed, or the machine stopped".into(),
        ));
    }
}

fn paper(found: &Found) -> &str {
    found
        .settings
        .as_ref()
        .map_or("unknown paper", |settings| &settings.paper)
}

/// Whether two runs differ in nothing but their seed.
fn is_same(a: &Found, b: &Found) -> bool {
    match (&a.settings, &b.settings) {
        (Some(a), Some(b)) => {
            let bare = |settings: &Settings| Settings {
                seed: 0,
                made_with: None,
                ..settings.clone()
            };
            bare(a) == bare(b)
        }
        _ => false,
    }
}

/// The settings of a run under the names that people give them.
fn flat(found: &Found) -> Map<String, Value> {
    let Some(settings) = &found.settings else {
        return Map::new();
    };
    let mut all = Map::new();
    all.insert("paper".into(), settings.paper.clone().into());
    all.insert("preset".into(), settings.preset.clone().into());
    all.insert("data".into(), settings.data.clone().into());
    all.insert("steps".into(), settings.steps.into());
    all.extend(settings.config.as_object().cloned().unwrap_or_default());
    all
}

/// The settings that differ; of one run all of its paper's.
fn differing(papers: &[&dyn Recipe], firsts: &[&Found]) -> Vec<Setting> {
    let all: Vec<Map<String, Value>> = firsts.iter().map(|found| flat(found)).collect();
    let mut keys: Vec<&String> = Vec::new();
    for key in ["paper", "preset", "data", "steps"] {
        keys.extend(
            all.first()
                .and_then(|first| first.get_key_value(key))
                .map(|(key, _)| key),
        );
    }
    for key in all.iter().flat_map(Map::keys) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let differs = |key: &&&String| {
        let mut values = all.iter().map(|one| one.get(**key));
        let first = values.next();
        firsts.len() < 2 || values.any(|value| Some(value) != first)
    };
    let about = |key: &str| {
        let known = firsts
            .iter()
            .filter_map(|found| settings::paper(papers, paper(found)).ok());
        let mut known = known.flat_map(settings::keys);
        known
            .find(|(known, _)| known == key)
            .map(|(_, about)| about)
    };
    let one = |key: &String| Setting {
        key: key.clone(),
        about: about(key).unwrap_or_default(),
        values: all
            .iter()
            .map(|one| one.get(key).filter(|value| !value.is_null()).map(word))
            .collect(),
    };
    keys.iter().filter(differs).map(|key| one(key)).collect()
}

/// A value as `--set` takes it.
fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What the variants are called: their paper, what differs among those of one paper, and where that says too little
/// their folder.
fn names(firsts: &[&Found], settings: &[Setting]) -> Vec<String> {
    let named: Vec<String> = firsts
        .iter()
        .enumerate()
        .map(|(i, found)| {
            let same = |j: &usize| {
                firsts
                    .get(*j)
                    .is_some_and(|other| paper(other) == paper(found))
            };
            let alike: Vec<usize> = (0..firsts.len()).filter(same).collect();
            let value = |setting: &Setting, i: usize| setting.values.get(i).cloned().flatten();
            let keys = settings.iter().filter(|setting| {
                alike
                    .iter()
                    .any(|j| value(setting, *j) != value(setting, i))
            });
            let words = keys.take(NAMED).filter_map(|setting| {
                Some(format!(
                    " {}={}",
                    setting.key,
                    gan_core::brief(&value(setting, i)?)
                ))
            });
            format!("{}{}", paper(found), words.collect::<String>())
        })
        .collect();
    let is_once = |name: &String| named.iter().filter(|other| *other == name).count() == 1;
    let pairs = firsts.iter().zip(&named);
    pairs
        .map(|(found, name)| match is_once(name) {
            true => name.clone(),
            false => format!("{name} ({})", found.path.display()),
        })
        .collect()
}

/// What is said of a single run.
fn alone(papers: &[&dyn Recipe], path: &Path, firsts: &[&Found], report: &mut Report) {
    let Some(settings) = firsts.first().and_then(|found| found.settings.as_ref()) else {
        report.title = path.display().to_string();
        return;
    };
    report.title = format!("{} on {}", settings.paper, settings.data);
    if let Ok(recipe) = settings::paper(papers, &settings.paper) {
        let info = recipe.info();
        report.lead = Some(match (info.authors.is_empty(), info.year) {
            (true, _) | (_, 0) => info.title.to_string(),
            (false, year) => format!("{}, {year}: {}", info.authors, info.title),
        });
    }
    let config = quoted(folder::config(path));
    report.command = format!("cargo xtask train {} --config {config}", settings.paper);
    let mut fact = |name: &str, value: String| report.facts.push((name.into(), value));
    fact("folder", path.display().to_string());
    fact("data", settings.data.clone());
    fact("preset", settings.preset.clone());
    fact("seed", settings.seed.to_string());
    if let Some(made_with) = &settings.made_with {
        fact("device", made_with.device.clone());
        fact(
            "version",
            format!("{}, commit {}", made_with.version, made_with.commit),
        );
    }
}
