//! The tables of a report: settings, values of measures, what runs have cost.

use super::model::{Better, Measured, Of, Report, Run, State, spread};
use super::thin::evenly;
use super::words::{scrolled, status, whole};
use maud::{Markup, html};

/// Moments of a single run's table at most.
const MOMENTS: usize = 7;

/// The settings that differ, a column a variant; of one variant all of them.
pub fn settings(report: &Report) -> Markup {
    let several = report.variants.len() > 1;
    let table = html! {
        table {
            caption {
                @if several { "Settings that are not the same in all variants" }
                @else { "Settings of the paper" }
            }
            thead { tr {
                th scope="col" { "setting" }
                @for variant in &report.variants { th scope="col" { (variant.name) } }
            } }
            tbody { @for setting in &report.settings { tr {
                th scope="row" {
                    code { (setting.key) }
                    @if !setting.about.is_empty() { span.about { (setting.about) } }
                }
                @for value in &setting.values {
                    td { @match value { Some(value) => { code { (value) } }, None => { "–" } } }
                }
            } } }
        }
    };
    scrolled("settings", &table)
}

/// A measure of all variants.
#[derive(Debug, Default)]
struct Line<'a> {
    name: &'a str,
    protocol: &'a str,
    better: Option<Better>,
    /// The values of each variant's runs at their last moments.
    cells: Vec<Vec<&'a Measured>>,
}

impl Line<'_> {
    /// The variant whose values are better than all others by more than both deviations.
    fn best(&self) -> Option<usize> {
        let sign = match self.better? {
            Better::Lower => 1.,
            Better::Higher => -1.,
        };
        let spread = |(i, cell): (usize, &Vec<&Measured>)| {
            let (mean, deviation) = moments(cell)?;
            Some((i, sign * mean, deviation))
        };
        let all = self.cells.iter().enumerate().filter_map(spread);
        // Of one seed nobody knows how far the next would lie from it.
        let all = all.map(|(i, mean, deviation)| Some((i, mean, deviation?)));
        let mut all = all.collect::<Option<Vec<_>>>()?;
        all.sort_by(|a, b| a.1.total_cmp(&b.1));
        let (first, second) = (all.first()?, all.get(1)?);
        let apart = |next: &(usize, f64, f64)| next.1 - first.1 > first.2 + next.2;
        // What follows may be nearer than the second, where its deviation is greater.
        (apart(second) && all.iter().skip(1).all(apart)).then_some(first.0)
    }
}

/// Mean and standard deviation of a cell's values.
fn moments(cell: &[&Measured]) -> Option<(f64, Option<f64>)> {
    let values: Vec<f64> = cell.iter().map(|measured| measured.value).collect();
    spread(&values)
}

/// The last moment at which a run was measured.
fn last(run: &Run) -> Option<u64> {
    let moments = run
        .measures
        .iter()
        .filter_map(|measured| match measured.of {
            Of::Moment(t) => Some(t),
            Of::Yardstick(_) => None,
        });
    moments.max()
}

fn lines(report: &Report) -> Vec<Line<'_>> {
    let mut lines: Vec<Line<'_>> = Vec::new();
    for (variant, run) in report.runs() {
        let Some(last) = last(run) else {
            continue;
        };
        for measured in &run.measures {
            if measured.of != Of::Moment(last) {
                continue;
            }
            let at = lines.iter().position(|line| line.name == measured.name);
            let at = at.unwrap_or_else(|| {
                lines.push(Line {
                    name: &measured.name,
                    protocol: &measured.protocol,
                    better: measured.better,
                    cells: vec![Vec::new(); report.variants.len()],
                });
                lines.len() - 1
            });
            let cell = lines
                .get_mut(at)
                .and_then(|line| line.cells.get_mut(variant));
            if let Some(cell) = cell {
                cell.push(measured);
            }
        }
    }
    lines
}

fn yardsticks(report: &Report) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for measured in report.runs().flat_map(|(_, run)| &run.measures) {
        match &measured.of {
            Of::Yardstick(name) if !names.contains(&name.as_str()) => names.push(name),
            _ => {}
        }
    }
    names
}

fn yardstick(report: &Report, name: &str, measure: &str) -> Option<f64> {
    let mut all = report.runs().flat_map(|(_, run)| &run.measures);
    let is_it = |measured: &&Measured| {
        measured.name == measure && matches!(&measured.of, Of::Yardstick(of) if of == name)
    };
    all.find(is_it).map(|measured| measured.value)
}

/// A value with about four digits.
pub fn number(x: f64) -> String {
    match x == 0. {
        true => "0".into(),
        false => format!("{x:.0$}", decimals(x)),
    }
}

fn decimals(x: f64) -> usize {
    match x.abs() {
        1e3.. => 0,
        1e2.. => 1,
        1e1.. => 2,
        1e0.. => 3,
        1e-2.. => 4,
        _ => 6,
    }
}

fn direction(better: Option<Better>) -> &'static str {
    match better {
        Some(Better::Lower) => "lower is better",
        Some(Better::Higher) => "higher is better",
        None => "",
    }
}

/// What was measured: of one run a column a moment, of several a column a variant.
pub fn measures(report: &Report) -> Markup {
    let lines = lines(report);
    if lines.is_empty() {
        return html! { p { "Nothing was measured yet; " code { "cargo xtask eval RUN" } " does that." } };
    }
    let yardsticks = yardsticks(report);
    let mut runs = report.runs();
    let table = match (runs.next(), runs.next()) {
        (Some((_, run)), None) => over_moments(report, &lines, &yardsticks, run),
        _ => over_variants(report, &lines, &yardsticks),
    };
    html! {
        (scrolled("measures", &table))
        dl.protocols { @for (protocol, names) in protocols(&lines) {
            dt { (names.join(", ")) }
            dd { (protocol) }
        } }
    }
}

/// Each protocol once, with the measures that have it.
fn protocols<'a>(lines: &[Line<'a>]) -> Vec<(&'a str, Vec<&'a str>)> {
    let mut all: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in lines.iter().filter(|line| !line.protocol.is_empty()) {
        match all
            .iter_mut()
            .find(|(protocol, _)| *protocol == line.protocol)
        {
            Some((_, names)) => names.push(line.name),
            None => all.push((line.protocol, vec![line.name])),
        }
    }
    all
}

fn name(line: &Line<'_>) -> Markup {
    html! { th scope="row" {
        (line.name)
        @if line.better.is_some() { span.about { (direction(line.better)) } }
    } }
}

fn over_moments(report: &Report, lines: &[Line<'_>], yardsticks: &[&str], run: &Run) -> Markup {
    let moment = |measured: &Measured| match measured.of {
        Of::Moment(t) => Some(t),
        Of::Yardstick(_) => None,
    };
    let mut moments: Vec<u64> = run.measures.iter().filter_map(moment).collect();
    moments.sort_unstable();
    moments.dedup();
    let chosen = evenly(moments.len(), MOMENTS);
    let chosen: Vec<u64> = chosen
        .iter()
        .filter_map(|&i| moments.get(i).copied())
        .collect();
    let at = |name: &str, t: u64| {
        let mut all = run.measures.iter();
        all.find(|measured| measured.name == name && moment(measured) == Some(t))
    };
    html! { table.numbers {
        caption {
            "Measured after so many iterations"
            @if chosen.len() < moments.len() { ", " (chosen.len()) " of " (moments.len()) " moments" }
            @if run.measures.iter().any(|measured| measured.error.is_some()) {
                "; ± is the estimate’s own error"
            }
        }
        thead { tr {
            th scope="col" { "measure" }
            @for name in yardsticks { th scope="col" { (name) } }
            @for t in &chosen {
                th scope="col" { @if *t == 0 { "untrained" } @else { (whole(*t)) } }
            }
        } }
        tbody { @for line in lines { tr {
            (name(line))
            @for name in yardsticks { td { (optional(yardstick(report, name, line.name))) } }
            @for t in &chosen { td { @if let Some(measured) = at(line.name, *t) {
                (number(measured.value))
                @if let Some(error) = measured.error { " ± " (format!("{error:.0$}", decimals(measured.value))) }
            } } }
        } } }
    } }
}

fn optional(value: Option<f64>) -> String {
    value.map_or("–".into(), number)
}

fn over_variants(report: &Report, lines: &[Line<'_>], yardsticks: &[&str]) -> Markup {
    let n = lines
        .iter()
        .flat_map(|line| &line.cells)
        .map(Vec::len)
        .max()
        .unwrap_or(0);
    html! { table.numbers {
        caption {
            "Measured after the last iteration. "
            @if n > 1 {
                "Mean ± standard deviation over n = " (n) " seeds. Best: better than every other variant by more than both \
                 deviations together."
            } @else {
                "One seed each: how far apart seeds lie is not known, so none is called best."
            }
        }
        thead { tr {
            th scope="col" { "measure" }
            @for variant in &report.variants { th scope="col" { (variant.name) } }
            @for name in yardsticks { th scope="col" { (name) } }
        } }
        tbody { @for line in lines { @let best = line.best(); tr {
            (name(line))
            @for (i, cell) in line.cells.iter().enumerate() { td { (value(cell, best == Some(i), n)) } }
            @for name in yardsticks { td { (optional(yardstick(report, name, line.name))) } }
        } } }
    } }
}

fn value(cell: &[&Measured], best: bool, n: usize) -> Markup {
    let Some((mean, deviation)) = moments(cell) else {
        return html! { "–" };
    };
    let mut text = number(mean);
    if let Some(deviation) = deviation {
        let deviation = match mean == 0. {
            true => number(deviation),
            false => format!("{deviation:.0$}", decimals(mean)),
        };
        text.push_str(&format!(" ± {deviation}"));
    }
    html! {
        @if best { strong { (text) } span.best { "best" } } @else { (text) }
        @if cell.len() < n { span.about { "n = " (cell.len()) } }
    }
}

/// Seconds as people say them.
pub fn time(seconds: f64) -> String {
    match seconds {
        3600.0.. => {
            let minutes = (seconds / 60.).round();
            format!("{} h {:02} min", (minutes / 60.).floor(), minutes % 60.)
        }
        100.0.. => {
            let seconds = seconds.round();
            format!("{} min {:02} s", (seconds / 60.).floor(), seconds % 60.)
        }
        _ => format!("{seconds:.1} s"),
    }
}

/// How far each run is, and what it has cost.
pub fn costs(report: &Report) -> Markup {
    let or = |text: Option<String>| text.unwrap_or_else(|| "–".into());
    let table = html! { table.numbers {
        caption { "Each run; – is what was not recorded" }
        thead { tr {
            th scope="col" { "variant" }
            th scope="col" { "seed" }
            th.text scope="col" { "state" }
            th scope="col" { "iterations" }
            th scope="col" { "pictures shown" }
            th scope="col" { "time" }
            th scope="col" { "CPU time" }
            th scope="col" { "peak memory" }
        } }
        tbody { @for variant in &report.variants { @for run in &variant.runs { tr {
            th scope="row" { (variant.name) }
            td { (run.seed) }
            td.text { @match &run.state {
                State::Failed(_) => { strong { (status(run)) } },
                _ => { (status(run)) },
            } }
            td { (whole(run.steps)) }
            td { (or(run.shown.map(whole))) }
            td { (or(run.seconds.map(time))) }
            td { (or(run.cpu_seconds.map(time))) }
            td { (or(run.peak_mib.filter(|mib| *mib > 0).map(|mib| format!("{} MiB", whole(mib))))) }
        } } } }
    } };
    scrolled("time and memory", &table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line<'a>(better: Better, values: &'a [Vec<Measured>]) -> Line<'a> {
        Line {
            better: Some(better),
            cells: values.iter().map(|cell| cell.iter().collect()).collect(),
            ..Line::default()
        }
    }

    fn cells(values: &[&[f64]]) -> Vec<Vec<Measured>> {
        let cell = |values: &&[f64]| {
            let values = values.iter().map(|&value| Measured {
                value,
                ..Measured::default()
            });
            values.collect()
        };
        values.iter().map(cell).collect()
    }

    #[test]
    fn best_is_what_the_spread_does_not_explain() {
        let apart = cells(&[&[1., 1.1], &[2., 2.1], &[9., 9.5]]);
        assert_eq!(line(Better::Lower, &apart).best(), Some(0));
        assert_eq!(line(Better::Higher, &apart).best(), Some(2));
        let near = cells(&[&[1., 2.], &[1.5, 2.5]]);
        assert_eq!(line(Better::Lower, &near).best(), None);
        // The third overlaps the first, though the second does not.
        let wide = cells(&[&[1., 1.1], &[2., 2.1], &[0., 5.]]);
        assert_eq!(line(Better::Lower, &wide).best(), None);
        assert_eq!(line(Better::Lower, &cells(&[&[1.], &[2.]])).best(), None);
        let alone = cells(&[&[1., 1.1], &[2., 2.1], &[9.]]);
        assert_eq!(line(Better::Lower, &alone).best(), None);
        let unknown = Line {
            better: None,
            ..line(Better::Lower, &apart)
        };
        assert_eq!(unknown.best(), None);
    }

    #[test]
    fn times_and_values_are_said_with_what_matters() {
        assert_eq!(time(3.12), "3.1 s");
        assert_eq!(time(125.), "2 min 05 s");
        assert_eq!(time(3_599.9), "60 min 00 s");
        assert_eq!(time(7_500.), "2 h 05 min");
        assert_eq!(number(0.012_34), "0.0123");
        assert_eq!(number(12.345), "12.35");
        assert_eq!(number(-2_345.6), "-2346");
    }
}
