//! The values of a comparison: of each variant the mean over its seeds, and how far they lie apart.

use super::plan::Plan;
use super::runs::{Run, State, measured};
use crate::cli::EvalArgs;
use crate::measured::{self, Asked};
use crate::report::model::{Of, spread};
use crate::report::read::measures;
use serde::Serialize;

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
    /// `0.123 ± 0.004`, or what stands for no value.
    pub fn text(&self) -> String {
        let values: Vec<f64> = self.values.iter().map(|(_, value)| *value).collect();
        match spread(&values) {
            Some((mean, Some(deviation))) => format!("{mean:.4} ± {deviation:.4}"),
            Some((mean, None)) => format!("{mean:.4}"),
            None => "–".into(),
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
        let args = EvalArgs::of(&measured::words(plan.asked.n, &run.folder, device));
        let Some(values) = args
            .ok()
            .and_then(|args| measured(&run.folder, steps, &Asked::of(&args)))
        else {
            continue;
        };
        for one in measures(&values) {
            // Beside the last moment's values those of what they stand beside count.
            if matches!(one.of, Of::Moment(t) if t != steps) {
                continue;
            }
            let at = lines.iter().position(|line| line.name == one.name);
            let at = at.unwrap_or_else(|| {
                lines.push(Line {
                    name: one.name,
                    protocol: one.protocol,
                    yardsticks: Vec::new(),
                    cells: vec![Cell::default(); plan.variants.len()],
                });
                lines.len() - 1
            });
            let Some(line) = lines.get_mut(at) else {
                continue;
            };
            match (one.of, line.cells.get_mut(run.variant)) {
                (Of::Moment(_), Some(cell)) => cell.values.push((run.seed, one.value)),
                (Of::Yardstick(of), _)
                    if !line.yardsticks.iter().any(|(known, _)| *known == of) =>
                {
                    line.yardsticks.push((of, one.value));
                }
                _ => {}
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
