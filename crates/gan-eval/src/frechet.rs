//! The Fréchet distance of two sets of features (Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule
//! Converge to a Local Nash Equilibrium", equation 6): the distance of the normal laws that have their means and
//! covariances,
//!
//! |m₁ − m₂|² + tr(C₁ + C₂ − 2 (C₁ C₂)^½).
//!
//! With the features of Inception it is the FID; with others its value is another, and so is its name. A set's
//! covariance is divided by n − 1. The trace of the root is the sum of the roots of the eigenvalues of L C₂ Lᵀ with
//! LᵀL = C₁, which are those of C₁ C₂: L is made of the eigenvectors of C₁, so that a covariance without full rank,
//! as of fewer pictures than features, is no special case. All arithmetic is in f64.

use crate::features::FeatureSet;
use candle_core::{D, Device, Result, Tensor, bail};
use nalgebra::DMatrix;

/// Pictures at once.
const BLOCK: usize = 1024;
/// The fewest pictures that have a covariance.
pub const LEAST: usize = 2;

/// Mean and covariance of a set of features.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// Pictures.
    pub n: usize,
    /// `[d]`, f64.
    pub mean: Tensor,
    /// `[d, d]`, f64, divided by n − 1.
    pub covariance: Tensor,
}

impl Statistics {
    /// Those of a set.
    ///
    /// # Errors
    /// Fewer than two pictures.
    pub fn new(set: &FeatureSet) -> Result<Self> {
        let (n, d) = (set.len(), set.width());
        if n < LEAST {
            bail!("a covariance wants {LEAST} pictures at least, there are {n}")
        }
        let mut mean = Tensor::zeros(d, candle_core::DType::F64, &Device::Cpu)?;
        for from in set.blocks(BLOCK) {
            mean = (mean + set.rows(from, BLOCK)?.sum(0)?)?;
        }
        let mean = (mean / n as f64)?;
        // The mean is taken off first: sums of squares alone lose digits where it is large.
        let mut squares = Tensor::zeros((d, d), candle_core::DType::F64, &Device::Cpu)?;
        for from in set.blocks(BLOCK) {
            let rows = set.rows(from, BLOCK)?.broadcast_sub(&mean)?;
            squares = (squares + rows.t()?.contiguous()?.matmul(&rows)?)?;
        }
        Ok(Self {
            n,
            mean,
            covariance: (squares / (n - 1) as f64)?,
        })
    }

    /// The Fréchet distance to other statistics, 0 or more; 0 for the same set.
    ///
    /// # Errors
    /// Statistics of other features.
    pub fn distance(&self, other: &Self) -> Result<f64> {
        if self.mean.dims() != other.mean.dims() {
            bail!(
                "one set has features of {} numbers, the other of {}",
                self.mean.elem_count(),
                other.mean.elem_count()
            )
        }
        let means = (&self.mean - &other.mean)?
            .sqr()?
            .sum_all()?
            .to_scalar::<f64>()?;
        let traces = trace(&self.covariance)? + trace(&other.covariance)?;
        let root = root_trace(&self.covariance, &other.covariance)?;
        // Rounding alone takes it below 0.
        Ok((means + traces - 2. * root).max(0.))
    }
}

fn trace(matrix: &Tensor) -> Result<f64> {
    let d = matrix.dim(D::Minus1)?;
    let identity = Tensor::eye(d, matrix.dtype(), matrix.device())?;
    (matrix * identity)?.sum_all()?.to_scalar()
}

/// tr (A B)^½ of two symmetric matrices without negative eigenvalues.
fn root_trace(a: &Tensor, b: &Tensor) -> Result<f64> {
    let d = a.dim(0)?;
    let eigen = dense(a)?.symmetric_eigen();
    let roots: Vec<f64> = eigen.eigenvalues.iter().map(|x| x.max(0.).sqrt()).collect();
    let roots = Tensor::from_vec(roots, (d, 1), &Device::Cpu)?;
    // nalgebra's columns are the eigenvectors: its slice is their transpose, row by row.
    let vectors = Tensor::from_slice(eigen.eigenvectors.as_slice(), (d, d), &Device::Cpu)?;
    let l = vectors.broadcast_mul(&roots)?;
    let product = l.matmul(b)?.matmul(&l.t()?.contiguous()?)?;
    // Rounding leaves it not quite symmetric.
    let product = ((&product + product.t()?)? / 2.)?;
    let eigenvalues = dense(&product)?.symmetric_eigenvalues();
    Ok(eigenvalues.iter().map(|x| x.max(0.).sqrt()).sum())
}

fn dense(matrix: &Tensor) -> Result<DMatrix<f64>> {
    let d = matrix.dim(0)?;
    // Symmetric, so that the order of rows and columns is all the same.
    Ok(DMatrix::from_vec(d, d, matrix.flatten_all()?.to_vec1()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gan_core::rng::{Key, normals};

    fn set(n: usize, d: usize, seed: u64, scale: f64) -> FeatureSet {
        let values: Vec<f32> = normals(Key::new(seed, "features", 0, 0), 0, n * d);
        let values = Tensor::from_vec(values, (n, d), &Device::Cpu).unwrap();
        FeatureSet::of(&(values * scale).unwrap()).unwrap()
    }

    #[test]
    fn a_set_has_no_distance_from_itself_and_one_that_is_known_from_its_multiple() {
        for (n, d) in [(50, 8), (5, 12), (2, 3)] {
            let one = Statistics::new(&set(n, d, 1, 1.)).unwrap();
            let own = one.distance(&one).unwrap();
            assert!(own < 1e-10, "{n} {d}: {own}");
            // (C · 4C)^½ = 2C: |m|² + tr C.
            let double = Statistics::new(&set(n, d, 1, 2.)).unwrap();
            let mean = one
                .mean
                .sqr()
                .unwrap()
                .sum_all()
                .unwrap()
                .to_scalar::<f64>()
                .unwrap();
            let want = mean + trace(&one.covariance).unwrap();
            for got in [
                one.distance(&double).unwrap(),
                double.distance(&one).unwrap(),
            ] {
                assert!((got - want).abs() < 1e-9 * want, "{n} {d}: {got}, {want}");
            }
        }
    }

    #[test]
    fn what_has_no_covariance_is_refused() {
        let error = Statistics::new(&set(1, 3, 1, 1.)).unwrap_err().to_string();
        assert!(
            error.contains("wants 2 pictures at least, there are 1"),
            "{error}"
        );
        let (three, four) = (set(5, 3, 1, 1.), set(5, 4, 1, 1.));
        let [three, four] = [three, four].map(|set| Statistics::new(&set).unwrap());
        let error = three.distance(&four).unwrap_err().to_string();
        assert!(
            error.contains("features of 3 numbers, the other of 4"),
            "{error}"
        );
    }

    /// What Inception's features take.
    #[test]
    #[ignore = "some seconds"]
    fn two_thousand_features() {
        let sets = [1, 2].map(|seed| Statistics::new(&set(2500, 2048, seed, 1.)).unwrap());
        let begin = std::time::Instant::now();
        let distance = sets[0].distance(&sets[1]).unwrap();
        println!("{distance} in {:?}", begin.elapsed());
    }
}
