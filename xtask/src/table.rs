//! `eval`'s values for people, as a table with their protocols, and for programs, as JSON.

use crate::judging::Row;
use crate::measured::Measured;
use gan_eval::Measure;

/// The values of runs: those that can stand in one table under each other, then what each column is.
pub fn table(runs: &[Measured]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut left: Vec<&Measured> = runs.iter().collect();
    while let Some(first) = left.first().copied() {
        let alike = |other: &Measured| other.tall == first.tall && other.notes == first.notes;
        let (together, others): (Vec<_>, Vec<_>) = left.into_iter().partition(|run| alike(run));
        lines.extend(joined(&together));
        left = others;
    }
    lines
}

/// Runs that are measured in the same way, as one table.
fn joined(runs: &[&Measured]) -> Vec<String> {
    let mut lines: Vec<String> = runs
        .iter()
        .map(|run| {
            let settings = &run.settings;
            format!(
                "{}: {} on {}",
                run.run.display(),
                settings.paper,
                settings.data
            )
        })
        .collect();
    let mut rows: Vec<Row> = Vec::new();
    // What all of them stand beside is said once.
    for row in runs.iter().flat_map(|run| &run.yardsticks) {
        if !rows.contains(row) {
            rows.push(row.clone());
        }
    }
    for run in runs {
        rows.extend(run.rows.iter().cloned().map(|row| match runs.len() {
            1 => row,
            _ => Row {
                name: format!("{} {}", run.run.display(), row.name),
                ..row
            },
        }));
    }
    let Some(first) = runs.first() else {
        return lines;
    };
    lines.extend(match first.tall {
        true => tall(&rows),
        false => wide(&rows),
    });
    lines.extend(first.notes.iter().map(|note| format!("  {note}")));
    lines
}

/// Three digits after the point, or three digits where these would be nought.
fn number(x: f64) -> String {
    match x.abs() < 0.01 && x != 0. {
        true => format!("{x:.2e}"),
        false => format!("{x:.3}"),
    }
}

/// The measures of rows, each once.
fn heads(rows: &[Row]) -> Vec<&Measure> {
    let mut heads: Vec<&Measure> = Vec::new();
    for (measure, _) in rows.iter().flat_map(|row| &row.measures) {
        if !heads.iter().any(|head| head.name == measure.name) {
            heads.push(measure);
        }
    }
    heads
}

/// A line a row, then what each measure is.
fn wide(rows: &[Row]) -> Vec<String> {
    let heads = heads(rows);
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let line = |name: &str, cells: Vec<String>| {
        let cells = cells.iter().zip(&heads);
        let cells: Vec<_> = cells
            .map(|(cell, head)| format!("{cell:>0$}", 14.max(head.name.len() + 2)))
            .collect();
        format!("  {name:width$}{}", cells.join(""))
            .trim_end()
            .to_string()
    };
    let mut lines = vec![line(
        "",
        heads.iter().map(|head| head.name.clone()).collect(),
    )];
    for row in rows {
        let cells = heads.iter().map(|head| match find(row, head) {
            Some((measure, Some(ratio))) => format!("{:.4} ({ratio:.2})", measure.value),
            Some((measure, None)) => match measure.error {
                Some(error) => format!("{} ± {}", number(measure.value), number(error)),
                None => number(measure.value),
            },
            None => String::new(),
        });
        lines.push(line(&row.name, cells.collect()));
    }
    let mut said = "";
    for head in heads {
        if head.protocol != said {
            let name = head.name.split(' ').next().unwrap_or_default();
            lines.push(format!("  {name}: {}", head.protocol));
            said = &head.protocol;
        }
    }
    lines
}

fn find<'a>(row: &'a Row, head: &Measure) -> Option<&'a (Measure, Option<f64>)> {
    let mut measures = row.measures.iter();
    measures.find(|(measure, _)| measure.name == head.name)
}

/// A line a measure, a column a moment, then what each measure is.
fn tall(rows: &[Row]) -> Vec<String> {
    let heads = heads(rows);
    let width = heads.iter().map(|head| head.name.len()).max().unwrap_or(0);
    let columns = |cells: &mut dyn Iterator<Item = String>| -> String {
        let cells = rows.iter().zip(cells);
        let cells = cells.map(|(row, cell)| format!("{cell:>0$}", row.name.len().max(7) + 2));
        cells.collect()
    };
    let names = columns(&mut rows.iter().map(|row| row.name.clone()));
    let mut lines = vec![format!("  {:width$}{names}", "")];
    for head in &heads {
        let mut cells = rows.iter().map(|row| {
            let found = find(row, head);
            found.map_or(String::new(), |(measure, _)| {
                format!("{:.3}", measure.value)
            })
        });
        let line = format!("  {:width$}{}", head.name, columns(&mut cells));
        lines.push(line.trim_end().to_string());
    }
    let protocols = heads
        .iter()
        .map(|head| format!("  {}: {}", head.name, head.protocol));
    lines.extend(protocols);
    lines
}
