//! A plot as SVG. Colours are marks that the page's style sheet turns into those of its theme.

use super::thin::{Spread, Stretch};
use anyhow::{Result, anyhow};
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Units of a plot: four to a pixel of its usual size, as the library rounds to whole ones.
const SIZE: (u32, u32) = (1600, 880);
/// Height of its text as the library reckons with it; the style sheet sets it.
const TEXT: f64 = 60.;
/// The mark of a variant's colour is this and its number in blue.
const SERIES: RGBColor = RGBColor(0, 0, 0xa0);
/// The mark of text.
const INK: RGBColor = RGBColor(0, 0, 1);
/// The mark of the grid.
const GRID: RGBColor = RGBColor(0, 0, 2);
/// How much greater the greatest value is than the median, all being positive, from which on a plot is logarithmic.
const LOGARITHMIC: f64 = 30.;

/// What is drawn of a variant.
pub struct Series {
    /// The variant's number, which chooses colour and dashes.
    pub variant: usize,
    /// Lines, one a seed, in stretches.
    pub lines: Vec<Vec<Stretch>>,
    /// The band over seeds, with the line of their mean; empty where there are too few seeds.
    pub band: Vec<Spread>,
}

impl Series {
    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        let lines = self.lines.iter().flatten().flatten().copied();
        let band = self.band.iter();
        lines.chain(band.flat_map(|at| [(at.x, at.least), (at.x, at.greatest)]))
    }
}

/// A drawn plot.
pub struct Plot {
    /// What is in the `svg` element.
    pub inside: String,
    /// Whether its values are drawn by their logarithm.
    pub logarithmic: bool,
}

/// The `viewBox` of every plot.
pub fn view_box() -> String {
    format!("0 0 {} {}", SIZE.0, SIZE.1)
}

/// Draws series over an axis of this name; none where there is nothing to draw.
///
/// # Errors
/// Those of the library.
pub fn plot(series: &[Series], axis: &str) -> Result<Option<Plot>> {
    let points: Vec<(f64, f64)> = series.iter().flat_map(Series::points).collect();
    if points.is_empty() {
        return Ok(None);
    }
    let x = padded(range(points.iter().map(|point| point.0)), 0.);
    let mut values: Vec<f64> = points.iter().map(|point| point.1).collect();
    values.sort_by(f64::total_cmp);
    let (least, greatest) = range(values.iter().copied());
    let median = values.get(values.len() / 2).copied().unwrap_or(least);
    let logarithmic = least > 0. && greatest > LOGARITHMIC * median;
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&area);
        chart
            .margin_top(24)
            .margin_right(80)
            .x_label_area_size(150)
            .y_label_area_size(220);
        let x = x.0..x.1;
        let drawn = match logarithmic {
            true => {
                let y = (least / 1.2..greatest * 1.2).log_scale();
                let chart = chart.build_cartesian_2d(x, y).map_err(said)?;
                draw(chart, series, axis)
            }
            false => {
                let y = padded((least, greatest), 0.04);
                let chart = chart.build_cartesian_2d(x, y.0..y.1).map_err(said)?;
                draw(chart, series, axis)
            }
        };
        drawn?;
        area.present().map_err(said)?;
    }
    let inside = text.split_once('>').map_or("", |(_, rest)| rest);
    let inside = inside
        .rsplit_once("</svg>")
        .map_or(inside, |(inside, _)| inside);
    Ok(Some(Plot {
        inside: lean(inside),
        logarithmic,
    }))
}

/// Without what says nothing: a page has hundreds of plots.
fn lean(svg: &str) -> String {
    svg.replace(" opacity=\"1\"", "")
        .replace(" font-family=\"sans-serif\"", "")
        .replace(" \"/>", "\"/>")
}

fn said(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("a plot cannot be drawn: {error}")
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| {
        (a.min(x), b.max(x))
    })
}

/// A range that is not empty, as the library's ticks need one, with a margin as a share of it.
fn padded((a, b): (f64, f64), margin: f64) -> (f64, f64) {
    let size = a.abs().max(b.abs());
    let room = match b - a > 1e-6 * size {
        true => margin * (b - a),
        false => (0.1 * size).max(1e-6),
    };
    (a - room, b + room)
}

fn draw<Y: Ranged<ValueType = f64> + ValueFormatter<f64>>(
    mut chart: ChartContext<'_, SVGBackend<'_>, Cartesian2d<RangedCoordf64, Y>>,
    series: &[Series],
    axis: &str,
) -> Result<()> {
    let style = ("sans-serif", TEXT).into_font().color(&INK);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID.stroke_width(3))
        .axis_style(GRID.stroke_width(3))
        .x_labels(6)
        .y_labels(5)
        .x_label_formatter(&|x| short(*x))
        .y_label_formatter(&|y| short(*y))
        .label_style(style.clone())
        .x_desc(axis)
        .axis_desc_style(style.pos(Pos::new(HPos::Center, VPos::Top)))
        .draw()
        .map_err(said)?;
    for Series {
        variant,
        lines,
        band,
    } in series
    {
        let number = u8::try_from(variant % COLOURS).unwrap_or(0);
        let colour = RGBColor(SERIES.0, SERIES.1, SERIES.2 + number);
        let above = band.iter().map(|at| (at.x, at.greatest));
        let below = band.iter().rev().map(|at| (at.x, at.least));
        let around: Vec<(f64, f64)> = above.chain(below).collect();
        if !around.is_empty() {
            let area = Polygon::new(around, colour.mix(0.2).filled());
            chart.draw_series([area]).map_err(said)?;
            let mean = LineSeries::new(
                band.iter().map(|at| (at.x, at.mean)),
                colour.stroke_width(6),
            );
            chart.draw_series(mean).map_err(said)?;
        }
        for (seed, line) in lines.iter().enumerate() {
            let width = if seed == 0 { 6 } else { 3 };
            for stretch in line {
                match stretch.as_slice() {
                    // A line of one point would not be seen.
                    [point] => chart.draw_series([Circle::new(*point, 8, colour.filled())]),
                    _ => chart.draw_series(LineSeries::new(
                        stretch.iter().copied(),
                        colour.stroke_width(width),
                    )),
                }
                .map_err(said)?;
            }
        }
    }
    Ok(())
}

/// Colours that are told apart; with more variants they come again.
pub const COLOURS: usize = 8;

/// A number in few characters: `12k`, `0.25`, `3e-7`.
pub fn short(x: f64) -> String {
    let size = x.abs();
    match size {
        _ if x == 0. => "0".into(),
        _ if !(1e-3..1e9).contains(&size) => format!("{x:.1e}").replace(".0e", "e"),
        1e6.. => format!("{}M", trimmed(x / 1e6, 2)),
        1e4.. => format!("{}k", trimmed(x / 1e3, 1)),
        1e2.. => trimmed(x, 0),
        1e0.. => trimmed(x, 2),
        _ => trimmed(x, 4),
    }
}

fn trimmed(x: f64, decimals: usize) -> String {
    let text = format!("{x:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(values: &[f64]) -> Vec<Series> {
        let points = values.iter().enumerate().map(|(i, &y)| (i as f64, y));
        vec![Series {
            variant: 1,
            lines: vec![vec![points.collect()]],
            band: Vec::new(),
        }]
    }

    #[test]
    fn numbers_are_short() {
        for (x, text) in [
            (0., "0"),
            (12_345., "12.3k"),
            (250., "250"),
            (0.25, "0.25"),
            (-1.5, "-1.5"),
            (2e-4, "2e-4"),
            (3e6, "3M"),
            (1e30, "1e30"),
        ] {
            assert_eq!(short(x), text);
        }
    }

    #[test]
    fn a_plot_is_a_line_with_its_marks_and_labels() {
        let plot = plot(&lines(&[1., 3., 2.]), "iterations").expect("drawn");
        let plot = plot.expect("a plot");
        assert!(!plot.logarithmic);
        assert!(
            plot.inside.contains("stroke=\"#0000A1\""),
            "{}",
            plot.inside
        );
        assert!(plot.inside.contains("iterations") && !plot.inside.contains("<svg"));
        assert!(plot.inside.contains("<polyline"));
    }

    #[test]
    fn every_range_can_be_drawn() {
        for values in [
            &[0.][..],
            &[3e-4, 3e-4, 3e-4],
            &[1., 1. + 1e-15],
            &[f64::MIN_POSITIVE, 1e-300],
            &[f64::from(f32::MAX), f64::from(f32::MIN)],
            &[f64::from(f32::MAX), 1e-30],
            &[-0., 0.],
            &[1e12, 1e12 + 1.],
        ] {
            let drawn = plot(&lines(values), "x").expect("drawn").expect("a plot");
            assert!(
                !drawn.inside.contains("NaN"),
                "{values:?}: {}",
                drawn.inside
            );
        }
        assert!(plot(&[], "x").expect("nothing to draw").is_none());
        let far = [0.1, 0.2, 0.1, 0.2, 100.];
        let far = plot(&lines(&far), "x").expect("drawn").expect("a plot");
        assert!(far.logarithmic);
    }
}
