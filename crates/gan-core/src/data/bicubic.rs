//! Pictures made smaller or larger by MATLAB's bicubic filter, which super-resolution is trained and
//! measured with.
//!
//! Keys' cubic with a = −1/2 (Keys 1981, equation 15), widened by the factor where a picture shrinks, so
//! that it does not alias; weights are normalised; borders are mirrored with the edge pixel repeated; rows
//! are filtered first.

/// Keys' cubic convolution kernel with a = −1/2.
fn cubic(x: f64) -> f64 {
    let x = x.abs();
    match x {
        _ if x <= 1. => (1.5 * x - 2.5) * x * x + 1.,
        _ if x <= 2. => ((-0.5 * x + 2.5) * x - 4.) * x + 2.,
        _ => 0.,
    }
}

/// A side of this length, scaled: ⌈length·scale⌉.
fn scaled(length: usize, scale: f64) -> usize {
    (length as f64 * scale).ceil() as usize
}

/// The old pixels that the new pixel `i` of a side is made of, and their weights.
pub(crate) fn taps(from: usize, scale: f64, i: usize) -> Vec<(usize, f64)> {
    let widen = scale.min(1.);
    let reach = 2. / widen;
    let mirrored = |i: i64| {
        let period = 2 * from as i64;
        let i = i.rem_euclid(period);
        i.min(period - 1 - i) as usize
    };
    // Pixel centres are at whole numbers plus a half.
    let centre = (i as f64 + 0.5) / scale - 0.5;
    let first = (centre - reach).floor() as i64;
    let last = (centre + reach).ceil() as i64;
    let weights = (first..=last).map(|k| (k, cubic((centre - k as f64) * widen)));
    let weights: Vec<(i64, f64)> = weights.filter(|(_, weight)| *weight != 0.).collect();
    let sum: f64 = weights.iter().map(|(_, weight)| weight).sum();
    let normalised = weights
        .into_iter()
        .map(|(k, weight)| (mirrored(k), weight / sum));
    normalised.collect()
}

/// A plane of `from` = (h, w) scaled by a factor, its sides rounded up; neither clipped nor rounded. Gives
/// the new height and width, too.
pub fn resized(plane: &[f64], from: (usize, usize), scale: f64) -> (Vec<f64>, (usize, usize)) {
    let to = (scaled(from.0, scale), scaled(from.1, scale));
    let columns: Vec<_> = (0..to.1).map(|i| taps(from.1, scale, i)).collect();
    let row = |y: usize| plane.chunks_exact(from.1.max(1)).nth(y).unwrap_or(&[]);
    let mut values = Vec::with_capacity(to.0 * to.1);
    for i in 0..to.0 {
        let mut filtered = vec![0f64; from.1];
        for (y, weight) in taps(from.0, scale, i) {
            for (sum, x) in filtered.iter_mut().zip(row(y)) {
                *sum += weight * x;
            }
        }
        values.extend(columns.iter().map(|taps| {
            let terms = taps
                .iter()
                .map(|&(x, weight)| weight * filtered.get(x).unwrap_or(&0.));
            terms.sum::<f64>()
        }));
    }
    (values, to)
}

/// A plane of bytes made smaller by a whole factor; clipped and rounded to whole values, as the published
/// low pictures are, which are files of 8 bits.
pub(super) fn shrunk(plane: &[u8], (h, w): (usize, usize), factor: usize) -> Vec<f32> {
    let plane: Vec<f64> = plane.iter().map(|&x| f64::from(x)).collect();
    let (small, _) = resized(&plane, (h, w), 1. / factor as f64);
    small
        .into_iter()
        .map(|x| (x + 0.5).floor().clamp(0., 255.) as f32)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_and_ramps_stay() {
        for (scale, size) in [(2., (10, 12)), (0.5, (3, 3)), (1. / 3., (2, 2))] {
            let (flat, to) = resized(&[7.; 30], (5, 6), scale);
            assert_eq!((to, flat.len()), (size, size.0 * size.1));
            assert!(flat.iter().all(|x| (x - 7.).abs() < 1e-12), "{flat:?}");
        }
        let ramp: Vec<f64> = (0..32).map(f64::from).collect();
        let (half, _) = resized(&ramp, (1, 32), 0.5);
        for (i, x) in half.iter().enumerate().skip(3).take(10) {
            assert!((x - (2. * i as f64 + 0.5)).abs() < 1e-12, "{i}: {x}");
        }
        assert_eq!(shrunk(&[10; 16], (4, 4), 2), [10.; 4]);
    }
}
