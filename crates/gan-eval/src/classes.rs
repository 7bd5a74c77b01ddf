//! Pictures that were made for a class: whether they show it, and whether they differ.
//!
//! Accuracy alone hides a generator that knows one picture of each class by heart; the deviation within a
//! class shows it.

use crate::values;
use candle_core::{Result, Tensor, bail};

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
    let (n, c, h, w) = pictures.dims4()?;
    if labels.len() != n {
        bail!("{n} pictures have {} labels", labels.len())
    }
    let (values, pixels) = (values(pictures)?, c * h * w);
    let mut classes: Vec<u32> = labels.to_vec();
    classes.sort_unstable();
    classes.dedup();
    let mut sum = 0.;
    for &class in &classes {
        let pictures = || {
            let all = values.chunks_exact(pixels).zip(labels);
            all.filter(|(_, label)| **label == class)
                .map(|(picture, _)| picture)
        };
        let count = pictures().count();
        if count < 2 {
            bail!("class {class} has one picture, its deviation wants two or more")
        }
        let mut means = vec![0f64; pixels];
        for picture in pictures() {
            means
                .iter_mut()
                .zip(picture)
                .for_each(|(m, &x)| *m += f64::from(x) / count as f64);
        }
        let mut squares = vec![0f64; pixels];
        for picture in pictures() {
            let gaps = means.iter().zip(picture).map(|(m, &x)| f64::from(x) - m);
            squares
                .iter_mut()
                .zip(gaps)
                .for_each(|(s, gap)| *s += gap * gap / count as f64);
        }
        // Half of it: [−1, 1] is twice as wide as [0, 1].
        sum += squares.iter().map(|s| s.sqrt()).sum::<f64>() / pixels as f64 / 2.;
    }
    Ok(sum / classes.len() as f64)
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
