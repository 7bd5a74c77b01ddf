//! The values of a comparison: of each variant the mean over its seeds, and how far they lie apart.

use super::plan::Plan;
use super::runs::{Run, State, measured};
use crate::measured::{self, Asked};
use crate::observers::thousands;
use serde::Serialize;
use serde_json::Value;

/// A measure, of all variants.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// The measure's name; with the column of pictures before it, where a generator makes several.
    pub name: String,
    /// What the value depends on.
    pub protocol: String,
    /// The value of what the pictures are compared with, by its name.
    pub yardsticks: Vec<(String, f64)>,
    /// A cell a variant.
    pub cells: Vec<Cell>,
}

/// A variant's values of a measure.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Cell {
    /// Seed and value.
    pub values: Vec<(u64, f64)>,
}

impl Cell {
    /// The mean; none without values.
    pub fn mean(&self) -> Option<f64> {
        let n = self.values.len();
        (n > 0).then(|| self.values.iter().map(|(_, value)| value).sum::<f64>() / n as f64)
    }

    /// The standard deviation (n − 1); none below two values.
    pub fn deviation(&self) -> Option<f64> {
        let (mean, n) = (self.mean()?, self.values.len());
        let squares = self.values.iter().map(|(_, value)| (value - mean).powi(2));
        (n > 1).then(|| (squares.sum::<f64>() / (n - 1) as f64).sqrt())
    }

    /// `0.123 ± 0.004`, or what stands for no value.
    pub fn text(&self) -> String {
        match (self.mean(), self.deviation()) {
            (Some(mean), Some(deviation)) => format!("{mean:.4} ± {deviation:.4}"),
            (Some(mean), None) => format!("{mean:.4}"),
            _ => "–".into(),
        }
    }
}

/// What was measured of all runs that are done, in the order in which `eval` says it.
pub fn lines(plan: &Plan, runs: &[Run], device: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for run in runs.iter().filter(|run| run.state == State::Done) {
        let Some(planned) = plan.variants.get(run.variant) else {
            continue;
        };
        let steps = planned.settings.steps;
        let args = measured::args(&measured::words(plan.asked.n, &run.folder, device));
        let Some(values) = args
            .ok()
            .and_then(|args| measured(&run.folder, steps, &Asked::of(&args)))
        else {
            continue;
        };
        let rows = values.get("rows").and_then(Value::as_array);
        for row in rows.into_iter().flatten() {
            let of = row.get("of").and_then(Value::as_str).unwrap_or_default();
            let last = thousands(steps);
            // Of several columns each has its own lines.
            let column = match of.strip_prefix(last.as_str()) {
                Some(column) => Some(column.trim()),
                None if of == "start" || of.starts_with("start ") => continue,
                None => None,
            };
            let measures = row.get("measures").and_then(Value::as_array);
            for measure in measures.into_iter().flatten() {
                let text = |key: &str| measure.get(key).and_then(Value::as_str);
                let (Some(name), Some(value)) =
                    (text("name"), measure.get("value").and_then(Value::as_f64))
                else {
                    continue;
                };
                let name = match column.filter(|column| !column.is_empty()) {
                    Some(column) => format!("{column}: {name}"),
                    None => name.to_string(),
                };
                let at = lines.iter().position(|line| line.name == name);
                let at = at.unwrap_or_else(|| {
                    lines.push(Line {
                        name,
                        protocol: text("protocol").unwrap_or_default().into(),
                        yardsticks: Vec::new(),
                        cells: vec![Cell::default(); plan.variants.len()],
                    });
                    lines.len() - 1
                });
                let Some(line) = lines.get_mut(at) else {
                    continue;
                };
                match (column, line.cells.get_mut(run.variant)) {
                    (Some(_), Some(cell)) => cell.values.push((run.seed, value)),
                    _ if line.yardsticks.iter().any(|(known, _)| known == of) => {}
                    _ => line.yardsticks.push((of.into(), value)),
                }
            }
        }
    }
    lines.retain(|line| line.cells.iter().any(|cell| !cell.values.is_empty()));
    lines
}

/// The values as lines of text: a line a measure, a column a variant.
pub fn table(plan: &Plan, lines: &[Line]) -> Vec<String> {
    let mut yardsticks: Vec<&str> = Vec::new();
    for (name, _) in lines.iter().flat_map(|line| &line.yardsticks) {
        if !yardsticks.contains(&name.as_str()) {
            yardsticks.push(name);
        }
    }
    let mut rows = vec![vec![String::new()]];
    if let Some(head) = rows.first_mut() {
        head.extend(plan.variants.iter().map(|variant| variant.name.clone()));
        head.extend(yardsticks.iter().map(|name| (*name).to_string()));
    }
    for line in lines {
        let mut row = vec![line.name.clone()];
        row.extend(line.cells.iter().map(Cell::text));
        row.extend(yardsticks.iter().map(|name| {
            let found = line.yardsticks.iter().find(|(known, _)| known == name);
            found.map_or(String::new(), |(_, value)| format!("{value:.4}"))
        }));
        rows.push(row);
    }
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).enumerate();
            let cells = cells.map(|(i, (cell, &width))| match i {
                0 => format!("  {cell:width$}"),
                _ => format!("  {cell:>width$}"),
            });
            cells.collect::<String>().trim_end().to_string()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_says_mean_and_deviation() {
        let cell = |values: &[f64]| Cell {
            values: values.iter().map(|&value| (1, value)).collect(),
        };
        assert_eq!(cell(&[]).text(), "–");
        assert_eq!(cell(&[0.25]).text(), "0.2500");
        assert_eq!(cell(&[1., 2., 3.]).text(), "2.0000 ± 1.0000");
    }
}
