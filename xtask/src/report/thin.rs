//! Curves as they are drawn: few points that keep every extreme, gaps where a value is no number, bands over seeds.

use super::model::{Curve, Point};

/// Points of a line at most, about.
pub const POINTS: usize = 300;
/// Points of a band.
const BAND: usize = 150;

/// What a curve is drawn over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Iterations.
    Iterations,
    /// Training pictures shown.
    Shown,
    /// Seconds.
    Seconds,
}

impl Axis {
    /// All, in the order of the control.
    pub const ALL: [Self; 3] = [Self::Iterations, Self::Shown, Self::Seconds];

    /// Where a point is on it; none where that is not known.
    pub fn of(self, point: &Point) -> Option<f64> {
        let x = match self {
            Self::Iterations => Some(point.t as f64),
            Self::Shown => point.shown.map(|n| n as f64),
            Self::Seconds => point.seconds,
        };
        x.filter(|x| x.is_finite())
    }

    /// The word for it in the page's markup.
    pub fn key(self) -> &'static str {
        match self {
            Self::Iterations => "iterations",
            Self::Shown => "shown",
            Self::Seconds => "seconds",
        }
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Iterations => "iterations",
            Self::Shown => "training pictures shown",
            Self::Seconds => "seconds of training",
        }
    }
}

/// A stretch of a line without a gap.
pub type Stretch = Vec<(f64, f64)>;

/// A curve over an axis, thinned, in stretches that end where a value is not finite.
pub fn stretches(curve: &Curve, axis: Axis) -> Vec<Stretch> {
    let whole = whole(curve, axis);
    let all: usize = whole.iter().map(Vec::len).sum();
    let share = |stretch: &Stretch| (POINTS * stretch.len()).div_ceil(all.max(1)).max(4);
    whole
        .iter()
        .map(|stretch| thinned(stretch, share(stretch)))
        .collect()
}

/// All points of a curve over an axis.
fn whole(curve: &Curve, axis: Axis) -> Vec<Stretch> {
    let mut stretches = vec![Vec::new()];
    for point in &curve.points {
        let Some(x) = axis.of(point) else {
            continue;
        };
        match (point.value.is_finite(), stretches.last_mut()) {
            (true, Some(stretch)) => stretch.push((x, point.value)),
            _ => stretches.push(Vec::new()),
        }
    }
    stretches.retain(|stretch| !stretch.is_empty());
    stretches
}

/// At most about `most` of the points: the first, the last, and of each of equal parts the least and the greatest.
fn thinned(points: &[(f64, f64)], most: usize) -> Stretch {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Vec::new();
    };
    if points.len() <= most {
        return points.to_vec();
    }
    let parts = (most.saturating_sub(2) / 2).max(1);
    let mut kept = vec![*first];
    for part in points.chunks(points.len().div_ceil(parts)) {
        let by_value =
            |(_, a): &(usize, &(f64, f64)), (_, b): &(usize, &(f64, f64))| a.1.total_cmp(&b.1);
        let least = part.iter().enumerate().min_by(by_value);
        let greatest = part.iter().enumerate().max_by(by_value);
        let mut both: Vec<_> = least.into_iter().chain(greatest).collect();
        both.sort_by_key(|(i, _)| *i);
        kept.extend(both.into_iter().map(|(_, point)| *point));
    }
    kept.push(*last);
    kept.dedup();
    kept
}

/// Values of a curve that are not finite.
pub fn gaps(curve: &Curve) -> usize {
    let points = curve.points.iter();
    points.filter(|point| !point.value.is_finite()).count()
}

/// Several seeds of a curve at one place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Where.
    pub x: f64,
    /// The least value.
    pub least: f64,
    /// The mean.
    pub mean: f64,
    /// The greatest value.
    pub greatest: f64,
}

/// The curves of several seeds as one band, at equal distances as far as two of them reach. Values between two points
/// are on the line between them.
pub fn band(curves: &[&Curve], axis: Axis) -> Vec<Spread> {
    let lines: Vec<Vec<Stretch>> = curves.iter().map(|curve| whole(curve, axis)).collect();
    let ends = lines.iter().filter_map(|line| {
        let from = line.first()?.first()?.0;
        Some((from, line.last()?.last()?.0))
    });
    let mut ends: Vec<(f64, f64)> = ends.collect();
    ends.sort_by(|a, b| b.1.total_cmp(&a.1));
    let from = ends.iter().map(|end| end.0).fold(f64::INFINITY, f64::min);
    // Where one seed alone is left there is no spread.
    let to = ends.get(1).or(ends.first()).map_or(from, |end| end.1);
    let longest = lines.iter().flatten().map(Vec::len).max().unwrap_or(0);
    let n = longest.clamp(2, BAND);
    let at = |i: usize| from + (to - from) * i as f64 / (n - 1) as f64;
    let spread = |x: f64| {
        let values: Vec<f64> = lines.iter().filter_map(|line| value_at(line, x)).collect();
        let sum: f64 = values.iter().sum();
        (!values.is_empty()).then(|| Spread {
            x,
            least: values.iter().copied().fold(f64::INFINITY, f64::min),
            mean: sum / values.len() as f64,
            greatest: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    };
    match from.is_finite() && to > from {
        true => (0..n).filter_map(|i| spread(at(i))).collect(),
        false => Vec::new(),
    }
}

fn value_at(line: &[Stretch], x: f64) -> Option<f64> {
    let stretch = line.iter().find(|stretch| {
        let ends = stretch.first().zip(stretch.last());
        ends.is_some_and(|(first, last)| first.0 <= x && x <= last.0)
    })?;
    let next = stretch.partition_point(|point| point.0 < x);
    let (b, a) = (stretch.get(next)?, stretch.get(next.saturating_sub(1))?);
    let share = match b.0 > a.0 {
        true => (x - a.0) / (b.0 - a.0),
        false => 1.,
    };
    Some(a.1 + (b.1 - a.1) * share)
}

/// At most `most` of `n` things, evenly, with the first and the last.
pub fn evenly(n: usize, most: usize) -> Vec<usize> {
    match (n, most) {
        (0, _) | (_, 0) => Vec::new(),
        (_, 1) => vec![n - 1],
        _ if n <= most => (0..n).collect(),
        _ => (0..most)
            .map(|i| (i * (n - 1) + (most - 1) / 2) / (most - 1))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(values: impl Iterator<Item = f64>) -> Curve {
        let points = values.enumerate().map(|(i, value)| Point {
            t: i as u64,
            shown: None,
            seconds: Some(2. * i as f64),
            value,
        });
        Curve {
            points: points.collect(),
            ..Curve::default()
        }
    }

    #[test]
    fn a_thinned_curve_keeps_its_ends_and_every_extreme() {
        let spikes = [(17, 50.), (4_321, -70.), (9_998, 60.)];
        let of = |i: usize| {
            let spike = spikes.iter().find(|spike| spike.0 == i);
            spike.map_or((i as f64 / 10.).sin(), |spike| spike.1)
        };
        let curve = curve((0..10_000).map(of));
        let lines = stretches(&curve, Axis::Iterations);
        assert_eq!(lines.len(), 1);
        let line = &lines[0];
        assert!(line.len() <= POINTS + 4, "{}", line.len());
        for (i, value) in spikes {
            assert!(line.contains(&(i as f64, value)), "{i}");
        }
        assert_eq!(line.first(), Some(&(0., 0.)));
        assert_eq!(line.last(), Some(&(9_999., of(9_999))));
        assert!(line.is_sorted_by(|a, b| a.0 <= b.0));
    }

    #[test]
    fn what_is_not_finite_is_a_gap_and_counted() {
        let curve = curve([1., f64::NAN, 2., 3., f64::INFINITY, 4.].into_iter());
        assert_eq!(gaps(&curve), 2);
        let lines = stretches(&curve, Axis::Seconds);
        assert_eq!(
            lines,
            [vec![(0., 1.)], vec![(4., 2.), (6., 3.)], vec![(10., 4.)]]
        );
        assert!(stretches(&curve, Axis::Shown).is_empty());
    }

    #[test]
    fn a_band_is_least_mean_and_greatest_of_the_seeds() {
        let seeds = [1., 2., 6.].map(|height| curve((0..11).map(|_| height)));
        let seeds: Vec<&Curve> = seeds.iter().collect();
        let band = band(&seeds, Axis::Iterations);
        assert_eq!(band.len(), 11);
        for at in band {
            assert_eq!((at.least, at.mean, at.greatest), (1., 3., 6.));
        }
        let alone = curve([1.].into_iter());
        assert!(super::band(&[&alone], Axis::Iterations).is_empty());
    }

    #[test]
    fn a_choice_is_even_with_both_ends() {
        assert_eq!(evenly(5, 9), [0, 1, 2, 3, 4]);
        assert_eq!(evenly(41, 5), [0, 10, 20, 30, 40]);
        assert_eq!(evenly(7, 1), [6]);
        assert!(evenly(0, 3).is_empty());
    }
}
