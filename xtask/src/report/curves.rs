//! The curves of a report: a plot a scalar, over each axis, with its values as a table.

use super::model::{Curve, Of, Point, Report, Run};
use super::plot::{COLOURS, Plot, Series, plot, short, view_box};
use super::thin::{Axis, band, gaps, stretches};
use super::words::scrolled;
use anyhow::Result;
use maud::{Markup, PreEscaped, html};

/// Seeds up to which each has its own line; more are a band.
const LINES: usize = 2;
/// Moments from which on a measure is drawn over the training.
const MOMENTS: usize = 3;

/// The section; none where nothing was logged.
///
/// # Errors
/// A plot that cannot be drawn.
pub fn curves(report: &Report) -> Result<Option<Markup>> {
    let logged: Vec<Vec<Curve>> = report.runs().map(|(_, run)| run.curves.clone()).collect();
    let measured: Vec<Vec<Curve>> = report.runs().map(|(_, run)| over_moments(run)).collect();
    if logged.iter().chain(&measured).all(Vec::is_empty) {
        return Ok(None);
    }
    let axes: Vec<Axis> = Axis::ALL
        .into_iter()
        .filter(|axis| is_known(&logged, *axis))
        .collect();
    let axes = if axes.is_empty() {
        vec![Axis::Iterations]
    } else {
        axes
    };
    let (mut shared, mut own) = (Vec::new(), Vec::new());
    for name in names(&measured).into_iter().chain(names(&logged)) {
        let from = if names(&measured).contains(&name) {
            &measured
        } else {
            &logged
        };
        let drawn = Scalar::of(report, from, name);
        match drawn.is_shared(report) {
            true => shared.push(drawn),
            false => own.push(drawn),
        }
    }
    let n = shared.len();
    let draw = |(i, scalar): (usize, &Scalar<'_>)| scalar.figure(report, &axes, i);
    let shown = shared
        .iter()
        .enumerate()
        .map(draw)
        .collect::<Result<Vec<Markup>>>()?;
    let others = own
        .iter()
        .enumerate()
        .map(|(i, scalar)| draw((n + i, scalar)));
    let others = others.collect::<Result<Vec<Markup>>>()?;
    let several = report.variants.len() > 1;
    Ok(Some(html! {
        div.controls {
            @if axes.len() > 1 { (control(&axes)) }
            @if several { (legend(report)) }
        }
        @if axes.len() < Axis::ALL.len() {
            p.about { "When the values were logged is not known, nor how many pictures had been shown: \
                       they can be drawn over iterations alone." }
        }
        p.about { (how(report)) }
        div.plots { @for figure in &shown { (figure) } }
        @if !others.is_empty() {
            @if shown.is_empty() { div.plots { @for figure in &others { (figure) } } }
            @else { details id="others" {
                summary { "What only some of the variants log (" (others.len()) ")" }
                div.plots { @for figure in &others { (figure) } }
            } }
        }
    }))
}

/// Whether the points of some run are known on an axis, which all but those of failed runs are then.
fn is_known(curves: &[Vec<Curve>], axis: Axis) -> bool {
    let mut points = curves.iter().flatten().flat_map(|curve| &curve.points);
    points.any(|point| axis.of(point).is_some())
}

fn how(report: &Report) -> String {
    let seeds = report
        .variants
        .iter()
        .map(|variant| variant.runs.len())
        .max()
        .unwrap_or(0);
    let mut said = match seeds {
        0 | 1 => String::new(),
        2..=LINES => "A thick line is a variant’s first seed, a thin one its second. ".into(),
        _ => "A line is the mean over the seeds, a band reaches from the least to the greatest. "
            .to_string(),
    };
    said.push_str("Lines have at most some 300 points, among them every extreme. ");
    if report.variants.len() > 1 {
        said.push_str("A loss can be compared between variants of one paper only: papers differ in what they call so.");
    }
    said
}

fn control(axes: &[Axis]) -> Markup {
    html! { fieldset.axes {
        legend { "Curves over" }
        @for axis in axes { label {
            input type="radio" name="axis" id={ "axis-" (axis.key()) } checked[*axis == Axis::Iterations];
            " " (axis.name())
        } }
    } }
}

fn legend(report: &Report) -> Markup {
    html! { ul.legend aria-label="Variants" { @for (i, variant) in report.variants.iter().enumerate() { li {
        svg viewBox="0 0 112 24" width="28" height="6" aria-hidden="true" {
            line x1="0" y1="12" x2="112" y2="12" stroke-width="8" stroke={ "#0000" (format!("{:02X}", 0xa0 + i % COLOURS)) } {}
        }
        " " (variant.name)
    } } } }
}

/// A name once, in the order in which runs have it.
fn names(curves: &[Vec<Curve>]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for curve in curves.iter().flatten() {
        if !names.contains(&curve.name.as_str()) {
            names.push(&curve.name);
        }
    }
    names
}

/// The measures of a run over its moments, where there are enough.
fn over_moments(run: &Run) -> Vec<Curve> {
    let mut curves: Vec<Curve> = Vec::new();
    for measured in &run.measures {
        let Of::Moment(t) = measured.of else {
            continue;
        };
        let mut point = when(run, t);
        point.value = measured.value;
        match curves.iter_mut().find(|curve| curve.name == measured.name) {
            Some(curve) => curve.points.push(point),
            None => curves.push(Curve {
                name: measured.name.clone(),
                about: Some("a measure, at the moments that were measured".into()),
                points: vec![point],
            }),
        }
    }
    curves.retain(|curve| curve.points.len() >= MOMENTS);
    curves
        .iter_mut()
        .for_each(|curve| curve.points.sort_by_key(|point| point.t));
    curves
}

/// The moment after `t` iterations, as far as what was logged tells it.
fn when(run: &Run, t: u64) -> Point {
    let logged = run.curves.iter().flat_map(|curve| &curve.points);
    let nearest = logged.min_by_key(|point| point.t.abs_diff(t));
    let share = nearest.map_or(0., |point| t as f64 / point.t.max(1) as f64);
    Point {
        t,
        // Iterations are of about one length; the next record is seldom far.
        shown: nearest
            .and_then(|point| point.shown)
            .map(|n| (n as f64 * share).round() as u64),
        seconds: nearest
            .and_then(|point| point.seconds)
            .map(|seconds| seconds * share),
        value: f64::NAN,
    }
}

/// A scalar of all runs.
struct Scalar<'a> {
    name: &'a str,
    about: Option<&'a str>,
    /// Variant, seed and curve.
    curves: Vec<(usize, u64, &'a Curve)>,
}

impl<'a> Scalar<'a> {
    fn of(report: &Report, curves: &'a [Vec<Curve>], name: &'a str) -> Self {
        let runs = report.runs().zip(curves);
        let found = runs.filter_map(|((variant, run), curves)| {
            let curve = curves.iter().find(|curve| curve.name == name)?;
            Some((variant, run.seed, curve))
        });
        let curves: Vec<_> = found.collect();
        let about = curves.iter().find_map(|(.., curve)| curve.about.as_deref());
        Self {
            name,
            about,
            curves,
        }
    }

    /// Whether every variant has it that has anything.
    fn is_shared(&self, report: &Report) -> bool {
        report.variants.iter().enumerate().all(|(i, variant)| {
            variant.runs.iter().all(|run| run.curves.is_empty())
                || self.curves.iter().any(|(variant, ..)| *variant == i)
        })
    }

    fn series(&self, report: &Report, axis: Axis) -> Vec<Series> {
        let one = |variant: usize| {
            let own = self.curves.iter().filter(|(of, ..)| *of == variant);
            let curves: Vec<&Curve> = own.map(|(.., curve)| *curve).collect();
            let band = match curves.len() > LINES {
                true => band(&curves, axis),
                false => Vec::new(),
            };
            let lines = match band.is_empty() {
                true => curves.iter().map(|curve| stretches(curve, axis)).collect(),
                false => Vec::new(),
            };
            Series {
                variant,
                lines,
                band,
            }
        };
        (0..report.variants.len()).map(one).collect()
    }

    fn figure(&self, report: &Report, axes: &[Axis], number: usize) -> Result<Markup> {
        let drawn = axes
            .iter()
            .map(|axis| Ok((*axis, plot(&self.series(report, *axis), axis.name())?)));
        let drawn = drawn.collect::<Result<Vec<_>>>()?;
        let bad: usize = self.curves.iter().map(|(.., curve)| gaps(curve)).sum();
        let logarithmic = drawn
            .iter()
            .flat_map(|(_, plot)| plot)
            .any(|plot| plot.logarithmic);
        Ok(html! { figure.scalar {
            h3 { (self.name) }
            @if let Some(about) = self.about { p.about { (about) } }
            @for (axis, plot) in &drawn { @match plot {
                Some(plot) => { (self.svg(report, *axis, plot, number)) },
                None => { p.plot.none.{ "over-" (axis.key()) } { "nothing to draw" } },
            } }
            figcaption {
                @if bad > 0 { p { strong { (bad) " values are not finite" } ", which are gaps" } }
                @if logarithmic { p { "logarithmic scale" } }
                @if report.variants.len() > 1 && !self.is_shared(report) { p { "only " (self.owners(report)) } }
            }
            details { summary { "Values" span.hidden { " of " (self.name) } } (self.table(report)) }
        } })
    }

    fn owners(&self, report: &Report) -> String {
        let has = |i: &usize| self.curves.iter().any(|(variant, ..)| variant == i);
        let names = report.variants.iter().enumerate().filter(|(i, _)| has(i));
        let names: Vec<&str> = names.map(|(_, variant)| variant.name.as_str()).collect();
        names.join(", ")
    }

    fn svg(&self, report: &Report, axis: Axis, plot: &Plot, number: usize) -> Markup {
        let id = format!("plot-{number}-{}", axis.key());
        html! {
            svg.plot.{ "over-" (axis.key()) } viewBox=(view_box()) role="img"
                aria-labelledby={ (id) "-name " (id) "-about" } {
                title id={ (id) "-name" } { (self.name) " over " (axis.name()) }
                desc id={ (id) "-about" } { "Lines of " (self.owners(report)) "; the table below has their values." }
                (PreEscaped(&plot.inside))
            }
        }
    }

    /// A line a run: its first, last, least and greatest values and those between.
    fn table(&self, report: &Report) -> Markup {
        let table = html! { table.numbers {
            caption { "At shares of what was logged of each run, and its extremes" }
            thead { tr {
                th scope="col" { "run" }
                @for head in ["first", "¼", "½", "¾", "last", "least", "greatest"] { th scope="col" { (head) } }
            } }
            tbody { @for (variant, seed, curve) in &self.curves { tr {
                th scope="row" { (report.variants.get(*variant).map_or("", |variant| &variant.name)) ", seed " (seed) }
                @for value in values(curve) { td { (value.map_or("–".into(), short)) } }
            } } }
        } };
        scrolled(&format!("values of {}", self.name), &table)
    }
}

fn values(curve: &Curve) -> Vec<Option<f64>> {
    let last = curve.points.len().saturating_sub(1);
    let at = |share: usize| curve.points.get(last * share / 4).map(|point| point.value);
    let finite = curve
        .points
        .iter()
        .map(|point| point.value)
        .filter(|value| value.is_finite());
    let all: Vec<f64> = finite.collect();
    let mut values: Vec<Option<f64>> = (0..=4).map(at).collect();
    values.push(all.iter().copied().reduce(f64::min));
    values.push(all.iter().copied().reduce(f64::max));
    values
}
