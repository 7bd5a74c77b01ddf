//! What a generator has to beat: the mean picture with noise of each pixel's deviation.
//!
//! It has every pixel's mean and deviation right and nothing that two pixels have in common.

use crate::values;
use candle_core::{Device, Result, Tensor, bail};
use gan_core::rng::{self, Key};

/// `n` pictures `[n, c, h, w]`: the mean of `training` `[m, c, h, w]` plus normal noise with the deviation
/// that each pixel has in it, clipped to [−1, 1].
///
/// # Errors
/// No pictures, or values that are not finite.
pub fn mean_plus_noise(training: &Tensor, n: usize, seed: u64) -> Result<Tensor> {
    let (m, c, h, w) = training.dims4()?;
    if n == 0 {
        bail!("no pictures were asked for")
    }
    let (values, pixels) = (values(training)?, c * h * w);
    let mut sums = vec![(0f64, 0f64); pixels];
    for picture in values.chunks_exact(pixels) {
        for ((sum, squares), &x) in sums.iter_mut().zip(picture) {
            *sum += f64::from(x);
            *squares += f64::from(x) * f64::from(x);
        }
    }
    let laws: Vec<(f64, f64)> = sums
        .into_iter()
        .map(|(sum, squares)| {
            let mean = sum / m as f64;
            (mean, (squares / m as f64 - mean * mean).max(0.).sqrt())
        })
        .collect();
    let noise = rng::normals(Key::new(seed, "baseline", 0, 0), 0, n * pixels);
    let made = noise.into_iter().zip(laws.iter().cycle());
    let made: Vec<f32> = made
        .map(|(z, (mean, deviation))| (mean + deviation * f64::from(z)).clamp(-1., 1.) as f32)
        .collect();
    Tensor::from_vec(made, (n, c, h, w), &Device::Cpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pixel_has_its_mean_and_deviation() -> Result<()> {
        // Pixels of 0 ± .1, .5 ± .05, and a constant beyond the range.
        let row = |sign: f32| [0.1 * sign, 0.5 + 0.05 * sign, -3.];
        let training: Vec<f32> = (0..10)
            .flat_map(|i| row(if i % 2 == 0 { 1. } else { -1. }))
            .collect();
        let training = Tensor::from_vec(training, (10, 1, 1, 3), &Device::Cpu)?;
        let made = mean_plus_noise(&training, 20_000, 1)?;
        assert_eq!(made.dims(), [20_000, 1, 1, 3]);
        let pixels = made.flatten_from(1)?.t()?.to_vec2::<f32>()?;
        for (pixel, (mean, deviation)) in pixels.iter().zip([(0., 0.1), (0.5, 0.05), (-1., 0.)]) {
            let n = pixel.len() as f64;
            let m = pixel.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
            let v = pixel
                .iter()
                .map(|&x| (f64::from(x) - m).powi(2))
                .sum::<f64>()
                / n;
            assert!((m - mean).abs() < 5e-3 && (v.sqrt() - deviation).abs() < 5e-3);
        }
        let again = mean_plus_noise(&training, 20_000, 1)?;
        assert_eq!((again - made)?.abs()?.max_all()?.to_scalar::<f32>()?, 0.);
        assert!(mean_plus_noise(&training, 0, 1).is_err());
        Ok(())
    }
}
