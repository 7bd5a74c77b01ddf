//! Pictures that were made for a class: whether they show it, and whether they differ.
//!
//! Accuracy alone hides a generator that knows one picture of each class by heart; the deviation within a
//! class shows it.

use crate::values;
use candle_core::{Result, Tensor, bail};
use std::collections::BTreeMap;

/// The share of `found` that equals `wanted`.
///
/// # Errors
/// Lists of different lengths, or empty ones.
pub fn accuracy(found: &[u32], wanted: &[u32]) -> Result<f64> {
    if found.len() != wanted.len() || found.is_empty() {
        bail!(
            "{} classes were found, {} were wanted",
            found.len(),
            wanted.len()
        )
    }
    let right = found.iter().zip(wanted).filter(|(a, b)| a == b).count();
    Ok(right as f64 / found.len() as f64)
}

/// The deviation within a class: for each class the mean over pixels of the standard deviation over the
/// class's pictures, brought to [0, 1]; averaged over the classes.
///
/// # Errors
/// Another number of labels than pictures; a class with one picture, which has no deviation; no class.
pub fn deviation_within(pictures: &Tensor, labels: &[u32]) -> Result<f64> {
    let mut deviations = Deviations::default();
    deviations.add(pictures, labels)?;
    deviations.within()
}

/// The sums that [`deviation_within`] is made of, to which pictures are added batch by batch.
#[derive(Clone, Debug, Default)]
pub struct Deviations {
    /// Of each class the pictures, and each pixel's sum and sum of squares.
    classes: BTreeMap<u32, (usize, Vec<(f64, f64)>)>,
    pixels: Option<usize>,
}

impl Deviations {
    /// Adds pictures `[n, c, h, w]` of these classes.
    ///
    /// # Errors
    /// Another number of labels than pictures, another size than before.
    pub fn add(&mut self, pictures: &Tensor, labels: &[u32]) -> Result<()> {
        let (n, c, h, w) = pictures.dims4()?;
        if labels.len() != n {
            bail!("{n} pictures have {} labels", labels.len())
        }
        let pixels = c * h * w;
        if *self.pixels.get_or_insert(pixels) != pixels {
            bail!("pictures have {pixels} values, those before others")
        }
        let values = values(pictures)?;
        for (picture, label) in values.chunks_exact(pixels).zip(labels) {
            let (count, sums) = self.classes.entry(*label).or_default();
            sums.resize(pixels, (0., 0.));
            *count += 1;
            for ((sum, squares), &x) in sums.iter_mut().zip(picture) {
                *sum += f64::from(x);
                *squares += f64::from(x) * f64::from(x);
            }
        }
        Ok(())
    }

    /// The deviation within a class, in [0, 1].
    ///
    /// # Errors
    /// A class with one picture; no class.
    pub fn within(&self) -> Result<f64> {
        let mut sum = 0.;
        for (class, (count, sums)) in &self.classes {
            if *count < 2 {
                bail!("class {class} has one picture, its deviation wants two or more")
            }
            let n = *count as f64;
            let deviations = sums.iter().map(|(sum, squares)| {
                let mean = sum / n;
                (squares / n - mean * mean).max(0.).sqrt() / 2.
            });
            sum += deviations.sum::<f64>() / sums.len() as f64;
        }
        match self.classes.len() {
            0 => bail!("there are no pictures to measure"),
            classes => Ok(sum / classes as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn the_deviation_is_that_of_each_class_in_unit_range() -> Result<()> {
        // Class 0: pixels ±1 and 0, 0; class 7: twice the same picture.
        let values = [1f32, 0., -1., 0., 0.3, 0.9, 0.3, 0.9];
        let pictures = Tensor::from_slice(&values, (4, 1, 1, 2), &Device::Cpu)?;
        let found = deviation_within(&pictures, &[0, 0, 7, 7])?;
        // Class 0: (½ + 0) / 2; class 7: 0.
        assert!((found - 0.125).abs() < 1e-9, "{found}");
        assert!(deviation_within(&pictures, &[0, 0, 7, 8]).is_err());
        assert!(deviation_within(&pictures, &[0, 0]).is_err());
        assert_eq!(accuracy(&[1, 2, 3, 4], &[1, 2, 3, 5])?, 0.75);
        assert!(accuracy(&[], &[]).is_err());
        Ok(())
    }
}
