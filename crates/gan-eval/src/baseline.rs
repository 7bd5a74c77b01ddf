//! What a generator has to beat: the mean picture with noise of each pixel's deviation.
//!
//! It has every pixel's mean and deviation right and nothing that two pixels have in common.

use crate::values;
use candle_core::{Device, Result, Tensor, bail};
use gan_core::rng::{self, Key};

/// Mean and deviation of each pixel of a training set.
#[derive(Clone, Debug)]
pub struct PixelLaws {
    picture: (usize, usize, usize),
    count: usize,
    /// Sum and sum of squares of each pixel.
    sums: Vec<(f64, f64)>,
}

impl PixelLaws {
    /// Of pictures with this many channels, this height and width; none so far.
    pub fn new(channels: usize, height: usize, width: usize) -> Self {
        Self {
            picture: (channels, height, width),
            count: 0,
            sums: vec![(0., 0.); channels * height * width],
        }
    }

    /// Takes more of the training set: `[b, c, h, w]`.
    ///
    /// # Errors
    /// Another shape, or values that are not finite.
    pub fn add(&mut self, pictures: &Tensor) -> Result<()> {
        let (b, c, h, w) = pictures.dims4()?;
        if (c, h, w) != self.picture {
            bail!(
                "pictures are {:?}, those before {:?}",
                (c, h, w),
                self.picture
            )
        }
        for picture in values(pictures)?.chunks_exact(self.sums.len()) {
            for ((sum, squares), &x) in self.sums.iter_mut().zip(picture) {
                *sum += f64::from(x);
                *squares += f64::from(x) * f64::from(x);
            }
        }
        self.count += b;
        Ok(())
    }

    /// `n` pictures `[n, c, h, w]`: the mean plus normal noise with each pixel's deviation, clipped to
    /// [−1, 1].
    ///
    /// # Errors
    /// No pictures so far, or none asked for.
    pub fn pictures(&self, n: usize, seed: u64) -> Result<Tensor> {
        self.part(0, n, seed)
    }

    /// `n` of such pictures from number `from` on: the same whatever parts they are made in.
    ///
    /// # Errors
    /// As [`PixelLaws::pictures`].
    pub fn part(&self, from: usize, n: usize, seed: u64) -> Result<Tensor> {
        if n == 0 || self.count == 0 {
            bail!("{n} pictures were asked for, {} were seen", self.count)
        }
        let count = self.count as f64;
        let laws: Vec<(f64, f64)> = self
            .sums
            .iter()
            .map(|(sum, squares)| {
                let mean = sum / count;
                (mean, (squares / count - mean * mean).max(0.).sqrt())
            })
            .collect();
        let noise = rng::normals(
            Key::new(seed, "baseline", 0, 0),
            from * laws.len(),
            n * laws.len(),
        );
        let made = noise.into_iter().zip(laws.iter().cycle());
        let made: Vec<f32> = made
            .map(|(z, (mean, deviation))| (mean + deviation * f64::from(z)).clamp(-1., 1.) as f32)
            .collect();
        let (c, h, w) = self.picture;
        Tensor::from_vec(made, (n, c, h, w), &Device::Cpu)
    }
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
        let mut laws = PixelLaws::new(1, 1, 3);
        laws.add(&training.narrow(0, 0, 4)?)?;
        laws.add(&training.narrow(0, 4, 6)?)?;
        let made = laws.pictures(20_000, 1)?;
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
        let again = laws.pictures(20_000, 1)?;
        assert_eq!((&again - made)?.abs()?.max_all()?.to_scalar::<f32>()?, 0.);
        let part = (laws.part(7, 5, 1)? - again.narrow(0, 7, 5)?)?;
        assert_eq!(part.abs()?.max_all()?.to_scalar::<f32>()?, 0.);
        assert!(laws.pictures(0, 1).is_err());
        Ok(())
    }
}
