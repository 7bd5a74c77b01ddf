//! A run as its folder has it. What is missing, cut or from an earlier version is said, and the rest is read.

use super::model::{Better, Curve, Measured, Of, Point, Run, Shot, State};
use crate::folder;
use crate::measured;
use crate::observers::times::{self, Cost};
use crate::observers::{csv, strips};
use crate::settings::Settings;
use anyhow::{Result, bail};
use gan_core::FileError;
use serde_json::Value;
use std::path::Path;

/// A run's settings, where they can be read, and the run. One that has not reached its end is under way where its
/// folder says so: whoever knows better says that ([`State`]).
///
/// # Errors
/// A folder in which nothing of a run can be read.
pub fn run(path: &Path) -> Result<(Option<Settings>, Run)> {
    let (settings, fault) = match Settings::read(&folder::config(path)) {
        Ok(settings) => (Some(settings), None),
        Err(error) => (None, Some(crate::one_line(&error))),
    };
    let mut run = Run {
        seed: settings.as_ref().map_or(0, |settings| settings.seed),
        ..Run::default()
    };
    run.notes.extend(fault.map(|fault| (0, fault)));
    let costs = times::read(&path.join("times.csv"));
    if let Some(last) = costs.last() {
        run.shown = Some(last.shown);
        run.seconds = Some(last.seconds);
        run.cpu_seconds = Some(last.cpu_seconds);
        run.peak_mib = Some(last.peak_mib);
    }
    curves(&path.join("scalars.csv"), &costs, &mut run);
    run.pictures = shots(&path.join("samples"));
    match measured::saved(path) {
        Some(values) => run.measures = measures(&values),
        None if path.join("metrics.json").exists() => {
            run.notes
                .push((0, "metrics.json cannot be read; eval makes it anew".into()));
        }
        None => {}
    }
    let said = std::fs::read(path.join("notes.txt")).unwrap_or_default();
    run.notes
        .extend(String::from_utf8_lossy(&said).lines().filter_map(|line| {
            let (t, text) = line.split_once('\t')?;
            Some((t.parse().ok()?, text.to_string()))
        }));
    if settings.is_none() && run.curves.is_empty() && run.pictures.is_empty() {
        folder::require_run(path)?;
        bail!(FileError::new(
            path,
            "holds nothing of a run that can be read",
            "check the name; runs are under runs/PAPER"
        ))
    }
    let logged = run.curves.iter().filter_map(|curve| curve.points.last());
    let shown = run.pictures.last().map(|shot| shot.t);
    let done = logged
        .map(|point| point.t)
        .chain(shown)
        .chain(saved(path))
        .max();
    let done = done.unwrap_or(0);
    run.steps = settings.as_ref().map_or(done, |settings| settings.steps);
    let is_marked = std::fs::metadata(path.join(".lock")).is_ok_and(|about| about.len() > 0);
    run.state = match (is_marked, done >= run.steps && settings.is_some()) {
        (true, _) => State::Training { done },
        (false, true) => State::Done,
        (false, false) => State::Stopped { done },
    };
    if !is_marked && done > 0 {
        let parts = [
            (
                run.curves.is_empty(),
                "scalars.csv has no values: there are no curves",
            ),
            (
                costs.is_empty(),
                "times.csv has no values: what the run has cost is not known",
            ),
            (
                run.pictures.is_empty(),
                "samples has no grids: there are no pictures",
            ),
        ];
        let missing = parts.iter().filter(|(is_missing, _)| *is_missing);
        run.notes
            .extend(missing.map(|(_, said)| (0, (*said).to_string())));
    }
    Ok((settings, run))
}

/// The iteration of the newest checkpoint, by its name.
fn saved(path: &Path) -> Option<u64> {
    let entries = std::fs::read_dir(folder::checkpoints(path)).ok()?.flatten();
    let numbers = entries.filter_map(|entry| {
        let name = entry.file_name();
        let name = name.to_str()?.strip_prefix("step-")?;
        name.strip_suffix(".safetensors")?.parse().ok()
    });
    numbers.max()
}

fn curves(path: &Path, costs: &[Cost], run: &mut Run) {
    let bytes = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    // The last line may be under way.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let mut bad = 0;
    for line in whole.lines().filter(|line| *line != csv::HEAD) {
        let Some((t, name, value)) = csv::record(line).filter(|(_, name, _)| !name.is_empty())
        else {
            bad += 1;
            continue;
        };
        let (shown, seconds) = when(costs, t).unzip();
        let value = f64::from(value);
        let point = Point {
            t,
            shown,
            seconds,
            value,
        };
        match run.curves.iter_mut().find(|curve| curve.name == name) {
            Some(curve) => curve.points.push(point),
            None => run.curves.push(Curve {
                name: name.to_string(),
                about: about(name),
                points: vec![point],
            }),
        }
    }
    run.curves
        .iter_mut()
        .for_each(|curve| curve.points.sort_by_key(|point| point.t));
    run.curves.sort_by_key(|curve| rank(&curve.name));
    if bad > 0 {
        run.notes.push((
            0,
            format!("scalars.csv: lines that cannot be read are left out: {bad}"),
        ));
    }
}

/// Pictures shown and seconds after `t` iterations: those of the same line, or between two.
fn when(costs: &[Cost], t: u64) -> Option<(u64, f64)> {
    let next = costs.partition_point(|cost| cost.iteration < t);
    let after = costs.get(next)?;
    let before = next
        .checked_sub(1)
        .and_then(|i| costs.get(i))
        .copied()
        .unwrap_or_default();
    let span = after.iteration.saturating_sub(before.iteration).max(1);
    let share = t.saturating_sub(before.iteration) as f64 / span as f64;
    let shown = after.shown.saturating_sub(before.shown) as f64 * share;
    let seconds = before.seconds + (after.seconds - before.seconds) * share;
    Some((before.shown + shown.round() as u64, seconds))
}

/// What people look at first comes first.
fn rank(name: &str) -> usize {
    let order = ["loss/", "wasserstein", "score/", "grad_norm/", "lr/"];
    let place = order.iter().position(|start| name.starts_with(start));
    // What a paper logs of its own is between its losses and what all have.
    place.map_or(2 * order.len() - 7, |place| 2 * place)
}

/// What a scalar of a common name is.
fn about(name: &str) -> Option<String> {
    let (kind, rest) = name.split_once('/').unwrap_or((name, ""));
    Some(match (kind, rest) {
        ("loss", rest) => {
            let (update, term) = rest.split_once('/')?;
            match update == term {
                true => format!("loss that the update of {update} minimises"),
                false => format!("term {term} of the loss of the update of {update}"),
            }
        }
        ("score", "real") => "what the discriminator gives training pictures, on average".into(),
        ("score", "fake") => "what the discriminator gives generated pictures, on average".into(),
        ("grad_norm", net) => format!("norm of the gradient of {net}"),
        ("lr", net) => format!("learning rate of {net}"),
        ("wasserstein", "") => "the critic’s estimate of the Wasserstein distance".into(),
        _ => return None,
    })
}

/// The grids of one column: strips of inputs and outputs where there are some, else what the generator makes.
fn shots(samples: &Path) -> Vec<Shot> {
    let entries = std::fs::read_dir(samples).into_iter().flatten().flatten();
    let mut shots: Vec<Shot> = entries
        .filter_map(|entry| {
            let file = entry.path();
            let name = file.file_name()?.to_str()?;
            let name = name.strip_prefix("step-")?.strip_suffix(".png")?;
            let (t, column) = name.split_once('-').unwrap_or((name, ""));
            let (t, column) = (t.parse().ok()?, column.to_string());
            Some(Shot { t, column, file })
        })
        .collect();
    let has = |column: &str| shots.iter().any(|shot| shot.column == column);
    let column = match [strips::COLUMN, "fake"]
        .into_iter()
        .find(|column| has(column))
    {
        Some(column) => column.to_string(),
        None => shots
            .iter()
            .map(|shot| shot.column.clone())
            .min()
            .unwrap_or_default(),
    };
    shots.retain(|shot| shot.column == column);
    shots.sort_by_key(|shot| shot.t);
    shots
}

/// The values of `metrics.json`.
pub fn measures(values: &Value) -> Vec<Measured> {
    let mut all = Vec::new();
    let rows = values.get("rows").and_then(Value::as_array);
    for row in rows.into_iter().flatten() {
        let (of, column) = of(row.get("of").and_then(Value::as_str).unwrap_or_default());
        let measures = row.get("measures").and_then(Value::as_array);
        for measure in measures.into_iter().flatten() {
            let text = |key: &str| measure.get(key).and_then(Value::as_str);
            let number = |key: &str| measure.get(key).and_then(Value::as_f64);
            let (Some(name), Some(value)) = (text("name"), number("value")) else {
                continue;
            };
            all.push(Measured {
                of: of.clone(),
                name: match column.is_empty() {
                    true => name.to_string(),
                    false => format!("{column}: {name}"),
                },
                value,
                error: number("error"),
                better: text("better").and_then(better),
                protocol: text("protocol").unwrap_or_default().to_string(),
            });
        }
    }
    all
}

/// `4,000 A to B`: the moment, and which of several columns of pictures.
fn of(row: &str) -> (Of, &str) {
    let (word, rest) = row.split_once(' ').unwrap_or((row, ""));
    match (word, word.replace(',', "").parse()) {
        ("start", _) => (Of::Moment(0), rest.trim()),
        (_, Ok(t)) => (Of::Moment(t), rest.trim()),
        _ => (Of::Yardstick(row.to_string()), ""),
    }
}

fn better(word: &str) -> Option<Better> {
    match word {
        "lower" => Some(Better::Lower),
        "higher" => Some(Better::Higher),
        _ => None,
    }
}
