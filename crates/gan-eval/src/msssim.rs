//! Multi-scale structural similarity (Wang, Simoncelli, Bovik 2003): of pairs of generated pictures it tells how much
//! alike they are (Odena et al. 2017; Karras et al. 2018, Table 1). It sees a collapse, not whether pictures are good.

use crate::values;
use candle_core::{Result, Tensor, bail};

/// Exponents of the five scales (Wang et al. 2003, section 3.2), finest first.
const WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];
/// The smallest side: four halvings leave one pixel of it.
pub const LEAST: usize = 16;
/// Side of the window and the Gaussian's deviation, where a plane is large enough.
const WINDOW: (usize, f64) = (11, 1.5);
/// (K·range)² with K .01 and .03 for values from 0 to 255.
const C: [f64; 2] = [2.55 * 2.55, 7.65 * 7.65];

/// The multi-scale similarity of each pair of pictures `[n, c, h, w]` in [−1, 1]; 1 for equal ones, some .1 for
/// pictures without anything in common. A scale whose mean contrast term is negative counts as 0.
///
/// # Errors
/// Other shapes; sides below [`LEAST`]; values that are not finite.
pub fn ms_ssim(a: &Tensor, b: &Tensor) -> Result<Vec<f64>> {
    let (_, c, h, w) = a.dims4()?;
    if a.dims() != b.dims() || h.min(w) < LEAST {
        bail!(
            "pictures of {:?} and {:?}, expected two of one shape with sides from {LEAST} on",
            a.dims(),
            b.dims()
        )
    }
    let (a, b) = (values(a)?, values(b)?);
    let size = c * h * w;
    let pairs = a.chunks_exact(size).zip(b.chunks_exact(size));
    Ok(pairs.map(|(a, b)| pair([a, b], [c, h, w])).collect())
}

/// The mean over pairs of neighbours among n pictures: the first with the second, and so on.
///
/// # Errors
/// Fewer than two pictures; those of [`ms_ssim`].
pub fn among(pictures: &Tensor) -> Result<f64> {
    let (n, c, h, w) = pictures.dims4()?;
    let pairs = n / 2;
    if pairs == 0 {
        bail!("there are {n} pictures, expected at least 2")
    }
    let twos = pictures.narrow(0, 0, 2 * pairs)?;
    let twos = twos.reshape((pairs, 2, c * h * w))?;
    let side = |i: usize| twos.narrow(1, i, 1)?.reshape((pairs, c, h, w));
    let all = ms_ssim(&side(0)?, &side(1)?)?;
    Ok(all.iter().sum::<f64>() / all.len() as f64)
}

fn pair(pictures: [&[f32]; 2], [c, mut h, mut w]: [usize; 3]) -> f64 {
    let wide = |x: &[f32]| -> Vec<f64> { x.iter().map(|&x| (f64::from(x) + 1.) * 127.5).collect() };
    let mut planes = pictures.map(wide);
    let mut product = 1.;
    for (scale, weight) in WEIGHTS.into_iter().enumerate() {
        let last = scale + 1 == WEIGHTS.len();
        let (mut sum, mut count) = (0., 0);
        for (a, b) in planes[0]
            .chunks_exact(h * w)
            .zip(planes[1].chunks_exact(h * w))
        {
            for value in similarities([a, b], (h, w), last) {
                sum += value;
                count += 1;
            }
        }
        product *= (sum / f64::from(count)).max(0.).powf(weight);
        if !last {
            planes = planes.map(|x| halved(&x, c, (h, w)));
            (h, w) = (h / 2, w / 2);
        }
    }
    product
}

/// Contrast and structure at each place where the window fits; with luminance, if that is asked for.
pub(crate) fn similarities(
    [a, b]: [&[f64]; 2],
    (h, w): (usize, usize),
    luminance: bool,
) -> Vec<f64> {
    let n = WINDOW.0.min(h).min(w);
    let deviation = WINDOW.1 * n as f64 / WINDOW.0 as f64;
    let middle = (n as f64 - 1.) / 2.;
    let bell = |i: usize| (-(i as f64 - middle).powi(2) / (2. * deviation.powi(2))).exp();
    let sum: f64 = (0..n).map(bell).sum();
    let window: Vec<f64> = (0..n).map(|i| bell(i) / sum).collect();
    let product =
        |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a * b).collect() };
    let blurred = |x: &[f64]| blur(x, (h, w), &window);
    let (ma, mb) = (blurred(a), blurred(b));
    let (aa, bb, ab) = (
        blurred(&product(a, a)),
        blurred(&product(b, b)),
        blurred(&product(a, b)),
    );
    let means = ma.iter().zip(&mb);
    let squares = aa.iter().zip(&bb).zip(&ab);
    let all = means.zip(squares).map(|((ma, mb), ((aa, bb), ab))| {
        let (both, squares) = (ma * mb, ma * ma + mb * mb);
        let structure = (2. * (ab - both) + C[1]) / (aa + bb - squares + C[1]);
        match luminance {
            true => structure * (2. * both + C[0]) / (squares + C[0]),
            false => structure,
        }
    });
    all.collect()
}

/// A plane filtered in both directions, where the window fits.
fn blur(x: &[f64], (h, w): (usize, usize), window: &[f64]) -> Vec<f64> {
    let weighed = |values: &mut dyn Iterator<Item = &f64>| -> f64 {
        values.zip(window).map(|(x, weight)| x * weight).sum()
    };
    let n = window.len();
    let rows = x.chunks_exact(w);
    let rows: Vec<f64> = rows
        .flat_map(|row| row.windows(n).map(|part| weighed(&mut part.iter())))
        .collect();
    let width = w + 1 - n;
    let places = (0..(h + 1 - n) * width).map(|i| weighed(&mut rows.iter().skip(i).step_by(width)));
    places.collect()
}

/// Means of 2x2 pixels of each plane; an odd last row or column is left out.
fn halved(x: &[f64], c: usize, (h, w): (usize, usize)) -> Vec<f64> {
    let mut half = vec![0.; c * (h / 2) * (w / 2)];
    let planes = half.chunks_exact_mut((h / 2) * (w / 2));
    for (to, from) in planes.zip(x.chunks_exact(h * w)) {
        let twos = from.chunks_exact(2 * w);
        for (to, rows) in to.chunks_exact_mut(w / 2).zip(twos) {
            let (upper, lower) = rows.split_at(w);
            let pixels = upper.chunks_exact(2).zip(lower.chunks_exact(2));
            for (to, (a, b)) in to.iter_mut().zip(pixels) {
                *to = (a.iter().sum::<f64>() + b.iter().sum::<f64>()) / 4.;
            }
        }
    }
    half
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use candle_core::Device;
    use gan_core::Draws;
    use gan_core::rng::CounterRng;

    #[test]
    fn equal_pictures_are_one_and_small_ones_are_refused() {
        let mut draws = CounterRng::new(1, &Device::Cpu);
        let x = draws.uniform("x", &[4, 3, 19, 16]).unwrap();
        let x = x.affine(2., -1.).unwrap();
        for value in ms_ssim(&x, &x).unwrap() {
            assert!((value - 1.).abs() < 1e-12, "{value}");
        }
        let different = among(&x).unwrap();
        assert!((0. ..0.5).contains(&different), "{different}");
        // A picture and its negative: less than nothing in common counts as nothing.
        assert_eq!(ms_ssim(&x, &x.neg().unwrap()).unwrap(), [0.; 4]);
        let small = x.narrow(2, 0, 15).unwrap();
        assert!(ms_ssim(&small, &small).is_err());
        assert!(among(&x.narrow(0, 0, 1).unwrap()).is_err());
    }
}
