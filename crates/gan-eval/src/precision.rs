//! Improved precision and recall (Kynkäänniemi et al. 2019, "Improved Precision and Recall Metric for Assessing
//! Generative Models", equations 1 and 2): precision is the share of generated pictures that lie in a ball around a
//! real one that reaches to its k-th nearest real neighbour; recall the same with both sets exchanged. Blurred or
//! foreign pictures cost precision, missing kinds of pictures recall. All arithmetic is in f64.

use crate::features::{FeatureSet, require};
use candle_core::{Result, Tensor};

/// The neighbour that a ball reaches to, as in the paper.
pub const K: usize = 3;
/// The fewest pictures of a set: each has k others.
pub const LEAST: usize = K + 1;
/// Pictures at once.
const BLOCK: usize = 512;

/// Precision and recall, each in [0, 1].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrecisionRecall {
    /// The share of generated pictures among real ones.
    pub precision: f64,
    /// The share of real pictures among generated ones.
    pub recall: f64,
}

/// Precision and recall of generated pictures.
///
/// # Errors
/// Fewer than four pictures in a set; features of different widths.
pub fn precision_recall(real: &FeatureSet, made: &FeatureSet) -> Result<PrecisionRecall> {
    require(real, made, LEAST, "precision and recall")?;
    let radii = (radii(real)?, radii(made)?);
    Ok(PrecisionRecall {
        precision: share_within(made, real, &radii.0)?,
        recall: share_within(real, made, &radii.1)?,
    })
}

/// Squared distances of the pictures of two sets, block by block: the first picture of each block, and rows.
fn squared(rows: &Tensor, others: &Tensor) -> Result<Vec<Vec<f64>>> {
    let norms = |x: &Tensor| x.sqr()?.sum(1);
    let products = rows.matmul(&others.t()?.contiguous()?)?;
    let sums = norms(rows)?
        .unsqueeze(1)?
        .broadcast_add(&norms(others)?.unsqueeze(0)?)?;
    (sums - (products * 2.)?)?.relu()?.to_vec2()
}

/// The squared distance of each picture to its k-th nearest other one.
fn radii(set: &FeatureSet) -> Result<Vec<f64>> {
    let mut radii = Vec::with_capacity(set.len());
    for i in set.blocks(BLOCK) {
        let rows = set.rows(i, BLOCK)?;
        let mut nearest = vec![Vec::new(); rows.dim(0)?];
        for j in set.blocks(BLOCK) {
            let distances = squared(&rows, &set.rows(j, BLOCK)?)?;
            for (at, (near, distances)) in nearest.iter_mut().zip(distances).enumerate() {
                let others = distances.into_iter().enumerate();
                near.extend(others.filter(|(b, _)| i + at != j + b).map(|(_, d)| d));
                near.sort_by(f64::total_cmp);
                near.truncate(K);
            }
        }
        radii.extend(
            nearest
                .iter()
                .map(|near| near.last().copied().unwrap_or(0.)),
        );
    }
    Ok(radii)
}

/// The share of the pictures of `set` that lie within the radius of any of `centres`.
fn share_within(set: &FeatureSet, centres: &FeatureSet, radii: &[f64]) -> Result<f64> {
    let mut within = 0usize;
    for i in set.blocks(BLOCK) {
        let rows = set.rows(i, BLOCK)?;
        let mut found = vec![false; rows.dim(0)?];
        for j in centres.blocks(BLOCK) {
            let distances = squared(&rows, &centres.rows(j, BLOCK)?)?;
            for (found, distances) in found.iter_mut().zip(distances) {
                let mut pairs = distances.iter().zip(radii.iter().skip(j));
                *found = *found || pairs.any(|(d, radius)| d <= radius);
            }
        }
        within += found.iter().filter(|found| **found).count();
    }
    Ok(within as f64 / set.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use gan_core::rng::{Key, normals};

    fn set(n: usize, seed: u64, scale: f64, shift: f64) -> FeatureSet {
        let values = normals(Key::new(seed, "features", 0, 0), 0, n * 4);
        let values = Tensor::from_vec(values, (n, 4), &Device::Cpu).unwrap();
        FeatureSet::of(&((values * scale).unwrap() + shift).unwrap()).unwrap()
    }

    #[test]
    fn a_narrow_set_costs_recall_and_a_wide_one_precision() {
        let real = set(600, 1, 1., 0.);
        let of = |made: &FeatureSet| precision_recall(&real, made).unwrap();
        let same = of(&set(600, 2, 1., 0.));
        assert!(same.precision > 0.85 && same.recall > 0.85, "{same:?}");
        let narrow = of(&set(600, 2, 0.2, 0.));
        assert!(narrow.precision > 0.95 && narrow.recall < 0.2, "{narrow:?}");
        let wide = of(&set(600, 2, 4., 0.));
        assert!(wide.precision < 0.4 && wide.recall > 0.8, "{wide:?}");
        let far = of(&set(600, 2, 1., 50.));
        assert_eq!((far.precision, far.recall), (0., 0.));
        let own = of(&real);
        assert_eq!((own.precision, own.recall), (1., 1.));
    }

    /// By hand: on a line, with k = 3.
    #[test]
    fn few_pictures_are_counted_as_by_hand() {
        let line = |values: &[f32]| {
            FeatureSet::of(&Tensor::from_slice(values, (values.len(), 1), &Device::Cpu).unwrap())
                .unwrap()
        };
        // Radii of the real: 3, 2, 2, 3 around 0, 1, 2, 3; of the made: 12, 10, 9, 12 around 5, 7, 8, 17.
        let found = precision_recall(&line(&[0., 1., 2., 3.]), &line(&[5., 7., 8., 17.])).unwrap();
        assert_eq!(found.precision, 0.25);
        assert_eq!(found.recall, 1.);
        let error = precision_recall(&line(&[0., 1., 2.]), &line(&[0., 1., 2., 3.])).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("wants 4 pictures at least in each set, there are 3")
        );
    }
}
