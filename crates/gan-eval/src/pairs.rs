//! Pictures beside those that they should be: distances, and how much there is to see in them.
//!
//! Pictures are `[n, c, h, w]` in [−1, 1].

use crate::values;
use candle_core::{Result, Tensor, bail};

/// The mean absolute difference of all values; at most 2.
///
/// # Errors
/// Other shapes; values that are not finite.
pub fn l1(pictures: &Tensor, truth: &Tensor) -> Result<f64> {
    let (a, b) = both(pictures, truth)?;
    let sum: f64 = a
        .iter()
        .zip(&b)
        .map(|(a, b)| f64::from((a - b).abs()))
        .sum();
    Ok(sum / a.len() as f64)
}

/// The peak signal-to-noise ratio in dB, 10·log₁₀(2² ÷ mean squared difference) of each picture, averaged
/// over pictures; a picture without any difference counts as 100.
///
/// # Errors
/// As [`l1`].
pub fn psnr(pictures: &Tensor, truth: &Tensor) -> Result<f64> {
    let (n, ..) = pictures.dims4()?;
    let (a, b) = both(pictures, truth)?;
    let size = a.len() / n.max(1);
    let each = a
        .chunks_exact(size)
        .zip(b.chunks_exact(size))
        .map(|(a, b)| {
            let squares = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2));
            let mean = squares.sum::<f64>() / size as f64;
            (10. * (4. / mean).log10()).min(100.)
        });
    Ok(each.sum::<f64>() / n as f64)
}

/// The mean magnitude of Sobel's gradient over all planes: low for blurred pictures, 0 for plain ones.
///
/// # Errors
/// Values that are not finite.
pub fn gradient(pictures: &Tensor) -> Result<f64> {
    let (_, _, h, w) = pictures.dims4()?;
    let values = values(pictures)?;
    let planes = values.chunks_exact(h * w);
    let sum: f64 = planes
        .flat_map(|plane| sobel(plane, h, w))
        .map(f64::from)
        .sum();
    Ok(sum / values.len() as f64)
}

/// The magnitude of Sobel's gradient of one plane (kernels ÷ 8: a ramp has its slope; the border repeated).
/// A plane of another length than h·w gives nothing.
pub fn sobel(plane: &[f32], h: usize, w: usize) -> Vec<f32> {
    if h * w == 0 || plane.len() != h * w {
        return Vec::new();
    }
    let rows: Vec<&[f32]> = plane.chunks_exact(w).collect();
    let row = |y: usize| rows.get(y.min(h - 1)).copied().unwrap_or_default();
    let mut all = Vec::with_capacity(plane.len());
    for y in 0..h {
        let (upper, here, lower) = (row(y.saturating_sub(1)), row(y), row(y + 1));
        for x in 0..w {
            let (left, right) = (x.saturating_sub(1), (x + 1).min(w - 1));
            let at = |row: &[f32], x: usize| row.get(x).copied().unwrap_or(0.);
            let column = |x: usize| at(upper, x) + 2. * at(here, x) + at(lower, x);
            let line = |row: &[f32]| at(row, left) + 2. * at(row, x) + at(row, right);
            let dx = (column(right) - column(left)) / 8.;
            let dy = (line(lower) - line(upper)) / 8.;
            all.push((dx * dx + dy * dy).sqrt());
        }
    }
    all
}

fn both(a: &Tensor, b: &Tensor) -> Result<(Vec<f32>, Vec<f32>)> {
    if a.dims() != b.dims() {
        bail!("pictures {:?} are compared with {:?}", a.dims(), b.dims())
    }
    Ok((values(a)?, values(b)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn distances_of_known_pictures() -> Result<()> {
        let a = Tensor::new(&[0f32, 0.5, -0.5, 1.], &Device::Cpu)?.reshape((2, 1, 1, 2))?;
        let b = Tensor::new(&[0.2f32, 0.3, -0.5, 1.], &Device::Cpu)?.reshape((2, 1, 1, 2))?;
        assert!((l1(&a, &b)? - 0.1).abs() < 1e-6);
        // 10·log₁₀(4 / .04) = 20 and a picture without a difference.
        assert!((psnr(&a, &b)? - 60.).abs() < 1e-4);
        assert!(l1(&a, &b.reshape((1, 1, 2, 2))?).is_err());
        Ok(())
    }

    #[test]
    fn a_ramp_has_its_slope_and_a_plain_picture_none() -> Result<()> {
        let ramp: Vec<f32> = (0..25).map(|i| 0.1 * (i % 5) as f32).collect();
        let found = sobel(&ramp, 5, 5);
        for row in found.chunks_exact(5) {
            // Half of it at the border, which is repeated.
            for (x, m) in row.iter().enumerate() {
                let want = if x % 4 == 0 { 0.05 } else { 0.1 };
                assert!((m - want).abs() < 1e-6, "{found:?}");
            }
        }
        let ramp = Tensor::from_vec(ramp, (1, 1, 5, 5), &Device::Cpu)?;
        assert!((gradient(&ramp)? - 0.08).abs() < 1e-6);
        assert_eq!(gradient(&ramp.zeros_like()?)?, 0.);
        assert!(sobel(&[0.; 3], 2, 2).is_empty());
        Ok(())
    }
}
