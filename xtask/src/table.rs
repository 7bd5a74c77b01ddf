//! `eval`'s values for people, as a table with their protocols, and for programs, as JSON.

use crate::judging::{Judging, Row};
use crate::settings::Settings;
use gan_eval::Measure;
use serde_json::{Value, json};
use std::path::Path;

/// The rows under each other, then what each column is.
pub fn table(rows: &[Row], judge: &dyn Judging) -> Vec<String> {
    let mut heads: Vec<&Measure> = Vec::new();
    for (measure, _) in rows.iter().flat_map(|row| &row.measures) {
        if !heads.iter().any(|head| head.name == measure.name) {
            heads.push(measure);
        }
    }
    if judge.tall() {
        let mut lines = tall(rows, &heads);
        lines.extend(judge.notes().iter().map(|note| format!("  {note}")));
        return lines;
    }
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let line = |name: &str, cells: Vec<String>| {
        let cells: Vec<_> = cells.iter().map(|cell| format!("{cell:>14}")).collect();
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
            Some((measure, None)) => format!("{:.3}", measure.value),
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
    lines.extend(judge.notes().iter().map(|note| format!("  {note}")));
    lines
}

fn find<'a>(row: &'a Row, head: &Measure) -> Option<&'a (Measure, Option<f64>)> {
    let mut measures = row.measures.iter();
    measures.find(|(measure, _)| measure.name == head.name)
}

/// A line a measure, a column a moment, then what each measure is.
fn tall(rows: &[Row], heads: &[&Measure]) -> Vec<String> {
    let width = heads.iter().map(|head| head.name.len()).max().unwrap_or(0);
    let columns = |cells: &mut dyn Iterator<Item = String>| -> String {
        let cells = rows.iter().zip(cells);
        let cells = cells.map(|(row, cell)| format!("{cell:>0$}", row.name.len().max(7) + 2));
        cells.collect()
    };
    let names = columns(&mut rows.iter().map(|row| row.name.clone()));
    let mut lines = vec![format!("  {:width$}{names}", "")];
    for head in heads {
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

/// The same as JSON.
pub fn as_json(settings: &Settings, run: &Path, rows: &[Row]) -> Value {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            let measures: Vec<Value> = row
                .measures
                .iter()
                .map(|(measure, ratio)| {
                    json!({
                        "name": measure.name,
                        "value": measure.value,
                        "of_baseline": ratio,
                        "protocol": measure.protocol,
                    })
                })
                .collect();
            json!({ "of": row.name, "measures": measures })
        })
        .collect();
    json!({
        "run": run.display().to_string(),
        "paper": settings.paper,
        "data": settings.data,
        "rows": rows,
    })
}
