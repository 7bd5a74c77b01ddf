//! The kernel distance of two sets of features (Bińkowski et al. 2018, "Demystifying MMD GANs", section 4): the unbiased
//! estimate of the squared maximum mean discrepancy with the kernel k(x, y) = (x·y / d + 1)³. With the features of
//! Inception it is the KID. Unlike the Fréchet distance its expectation does not depend on the number of pictures; it
//! can be negative, where the sets are nearer than chance would have them. All arithmetic is in f64.

use crate::features::{FeatureSet, require};
use candle_core::{Result, Tensor, bail};
use gan_core::rng::{Key, permutation};

/// Pictures at once.
const BLOCK: usize = 512;
/// The fewest pictures of a set.
pub const LEAST: usize = 2;
/// Parts that a standard error is taken over.
const PARTS: usize = 10;

/// A kernel distance, and how far it may be off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kid {
    /// The unbiased estimate of all pictures.
    pub value: f64,
    /// Its standard error: the deviation (n − 1) over ten parts that have no picture in common, divided by √10; none
    /// for fewer than two pictures a part.
    pub error: Option<f64>,
}

/// The kernel distance of two sets.
///
/// # Errors
/// Fewer than two pictures in a set; features of different widths.
pub fn kid(a: &FeatureSet, b: &FeatureSet) -> Result<f64> {
    require(a, b, LEAST, "the kernel distance")?;
    let (n, m) = (a.len() as f64, b.len() as f64);
    let own = |set: &FeatureSet| -> Result<f64> { Ok(sum(set, set)? - diagonal(set)?) };
    Ok(own(a)? / (n * (n - 1.)) + own(b)? / (m * (m - 1.)) - 2. * sum(a, b)? / (n * m))
}

/// The same with its standard error, by parts that `seed` draws.
///
/// # Errors
/// As [`kid`].
pub fn kid_with_error(a: &FeatureSet, b: &FeatureSet, seed: u64) -> Result<Kid> {
    let value = kid(a, b)?;
    let size = a.len().min(b.len()) / PARTS;
    if size < LEAST {
        return Ok(Kid { value, error: None });
    }
    let order = |set: &FeatureSet, role: &str| permutation(Key::new(seed, role, 0, 0), set.len());
    let (order_a, order_b) = (order(a, "kid.a"), order(b, "kid.b"));
    let parts = order_a.chunks_exact(size).zip(order_b.chunks_exact(size));
    let values = parts
        .take(PARTS)
        .map(|(in_a, in_b)| kid(&a.chosen(in_a)?, &b.chosen(in_b)?));
    let values: Vec<f64> = values.collect::<Result<_>>()?;
    Ok(Kid {
        value,
        error: Some(standard_error(&values)?.1),
    })
}

/// Mean and standard error of values: the deviation (n − 1) divided by √n.
///
/// # Errors
/// Fewer than two values.
pub fn standard_error(values: &[f64]) -> Result<(f64, f64)> {
    let n = values.len();
    if n < 2 {
        bail!("a standard error wants two values at least, there are {n}")
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Ok((mean, (squares / (n - 1) as f64 / n as f64).sqrt()))
}

/// k of products of features.
fn kernel(products: &Tensor, d: usize) -> Result<Tensor> {
    let base = ((products / d as f64)? + 1.)?;
    base.sqr()? * base
}

/// The sum of k over all pairs.
fn sum(a: &FeatureSet, b: &FeatureSet) -> Result<f64> {
    let mut sum = 0.;
    for i in a.blocks(BLOCK) {
        let rows = a.rows(i, BLOCK)?;
        for j in b.blocks(BLOCK) {
            let products = rows.matmul(&b.rows(j, BLOCK)?.t()?.contiguous()?)?;
            sum += kernel(&products, a.width())?
                .sum_all()?
                .to_scalar::<f64>()?;
        }
    }
    Ok(sum)
}

/// The sum of k of each with itself.
fn diagonal(set: &FeatureSet) -> Result<f64> {
    let mut sum = 0.;
    for i in set.blocks(BLOCK) {
        let squares = set.rows(i, BLOCK)?.sqr()?.sum(1)?;
        sum += kernel(&squares, set.width())?
            .sum_all()?
            .to_scalar::<f64>()?;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use gan_core::rng::normals;

    fn set(n: usize, seed: u64, shift: f64) -> FeatureSet {
        let values = normals(Key::new(seed, "features", 0, 0), 0, n * 6);
        let values = Tensor::from_vec(values, (n, 6), &Device::Cpu).unwrap();
        FeatureSet::of(&(values + shift).unwrap()).unwrap()
    }

    #[test]
    fn sets_of_one_law_are_within_some_standard_errors_of_0_and_others_are_not() {
        let (a, b, c) = (set(600, 1, 0.), set(700, 2, 0.), set(700, 3, 0.8));
        let same = kid_with_error(&a, &b, 1).unwrap();
        let other = kid_with_error(&a, &c, 1).unwrap();
        let error = same.error.unwrap();
        assert!(same.value.abs() < 4. * error, "{same:?}");
        assert!(other.value > 10. * other.error.unwrap(), "{other:?}");
        // Blocks make no difference but in rounding.
        let whole = |x: &FeatureSet, y: &FeatureSet| {
            let products = x
                .rows(0, 999)
                .unwrap()
                .matmul(&y.rows(0, 999).unwrap().t().unwrap())
                .unwrap();
            kernel(&products, 6)
                .unwrap()
                .sum_all()
                .unwrap()
                .to_scalar::<f64>()
                .unwrap()
        };
        let (in_blocks, at_once) = (sum(&a, &b).unwrap(), whole(&a, &b));
        assert!((in_blocks - at_once).abs() < 1e-9 * at_once.abs());
    }

    #[test]
    fn few_pictures_have_no_error_and_one_has_no_distance() {
        assert_eq!(
            kid_with_error(&set(19, 1, 0.), &set(40, 2, 0.), 1)
                .unwrap()
                .error,
            None
        );
        let error = kid(&set(1, 1, 0.), &set(40, 2, 0.))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("wants 2 pictures at least in each set, there are 1"),
            "{error}"
        );
        assert!(standard_error(&[1.]).is_err());
        // The unbiased estimate of a set with itself is below 0: no picture is compared with itself within a set.
        let two = set(2, 1, 0.);
        assert!(kid(&two, &two).unwrap() < 0.);
    }
}
