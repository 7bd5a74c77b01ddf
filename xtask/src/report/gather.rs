//! Reports of folders: which runs are one variant, what the variants are called, and which settings differ.

use super::model::{Report, Run, Setting, State, Variant};
use super::read;
use crate::folder;
use crate::settings::{self, Settings};
use crate::shell::quoted;
use anyhow::Result;
use gan_core::Recipe;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Keys that a variant's name has at most.
const NAMED: usize = 3;

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
    match (paths, firsts.as_slice()) {
        ([path], [first]) => alone(papers, path, first, &mut report),
        (_, firsts) => {
            if let [first] = firsts {
                describe(papers, first, &mut report);
            } else {
                let names = gan_core::cut(&names.join(", "), 100);
                report.title = format!("{names} beside each other");
            }
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
    if !folder::is_locked(path) {
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

/// The heading of a variant alone.
fn describe(papers: &[&dyn Recipe], found: &Found, report: &mut Report) {
    let Some(settings) = &found.settings else {
        report.title = found.path.display().to_string();
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
}

/// What is said of a single run.
fn alone(papers: &[&dyn Recipe], path: &Path, found: &Found, report: &mut Report) {
    describe(papers, found, report);
    let mut fact = |name: &str, value: String| report.facts.push((name.into(), value));
    fact("folder", path.display().to_string());
    let Some(settings) = &found.settings else {
        return;
    };
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
    let config = quoted(folder::config(path));
    report.command = format!("cargo xtask train {} --config {config}", settings.paper);
}

/// A run that somebody else knows: where it is, what it is to be, and how far it is.
#[derive(Clone, Debug)]
pub struct Given {
    /// Its folder, which need not be there yet.
    pub folder: PathBuf,
    /// Its settings, with its own seed.
    pub settings: Settings,
    /// How far it is. Of one under way the iterations are those of its folder, where it has more.
    pub state: State,
}

/// Variants by their names, with the settings that differ and what their folders hold. Heading, command and facts are
/// the caller's.
pub fn beside(papers: &[&dyn Recipe], variants: &[(String, Vec<Given>)]) -> Report {
    let found = |given: &Given| {
        let mut run = read::run(&given.folder)
            .map(|(_, run)| run)
            .unwrap_or_default();
        let in_folder = run.state.done(run.steps).unwrap_or(0);
        run.seed = given.settings.seed;
        run.steps = given.settings.steps;
        run.state = match &given.state {
            State::Training { done } => State::Training {
                done: in_folder.max(*done),
            },
            State::Stopped { done } => State::Stopped {
                done: in_folder.max(*done),
            },
            other => other.clone(),
        };
        Found {
            path: given.folder.clone(),
            settings: Some(given.settings.clone()),
            run,
        }
    };
    let found: Vec<Vec<Found>> = variants
        .iter()
        .map(|(_, runs)| runs.iter().map(found).collect())
        .collect();
    let firsts: Vec<&Found> = found.iter().filter_map(|runs| runs.first()).collect();
    let settings = differing(papers, &firsts);
    let variants = variants.iter().zip(found);
    Report {
        settings,
        variants: variants
            .map(|((name, _), runs)| Variant {
                name: name.clone(),
                runs: runs.into_iter().map(|found| found.run).collect(),
            })
            .collect(),
        ..Report::default()
    }
}
