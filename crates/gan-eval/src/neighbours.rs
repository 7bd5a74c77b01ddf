//! The nearest training picture: whether a generator repeats what it was shown.
//!
//! Of each generated picture the distance to its nearest training picture, beside the same of held-out pictures, which
//! nobody has memorised. The mean |difference| of pixels would see a picture moved by one pixel as another one; so does
//! this distance, the Euclidean one. It is nearer than the held-out ones' also for blurred pictures, which are near to
//! everything: it is read beside a measure that sees blur.

use crate::values;
use candle_core::{Device, Result, Tensor, bail};

/// Distances to the nearest training picture, of pictures that are given once and of training pictures that are added
/// batch by batch.
#[derive(Debug)]
pub struct Nearest {
    /// `[n, d]`
    pictures: Tensor,
    /// |x|² of each.
    norms: Vec<f32>,
    dims: (usize, usize, usize),
    least: Vec<f32>,
}

/// How near pictures are to the training pictures, beside held-out ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Copying {
    /// The median distance as a share of the held-out pictures': 1 is right, 0 is by heart.
    pub ratio: f64,
    /// The share of pictures that are nearer to a training picture than all but one in a hundred held-out ones: .01 is
    /// right.
    pub share: f64,
}

impl Nearest {
    /// Of pictures `[n, c, h, w]`.
    ///
    /// # Errors
    /// No pictures; values that are not finite.
    pub fn new(pictures: &Tensor) -> Result<Self> {
        let (n, c, h, w) = pictures.dims4()?;
        let values = values(pictures)?;
        let norms: Vec<f32> = values.chunks_exact(c * h * w).map(squares).collect();
        Ok(Self {
            pictures: Tensor::from_vec(values, (n, c * h * w), &Device::Cpu)?,
            norms,
            dims: (c, h, w),
            least: vec![f32::INFINITY; n],
        })
    }

    /// Adds training pictures `[m, c, h, w]`.
    ///
    /// # Errors
    /// Another shape; values that are not finite.
    pub fn add(&mut self, training: &Tensor) -> Result<()> {
        let (m, c, h, w) = training.dims4()?;
        if (c, h, w) != self.dims {
            bail!(
                "training pictures are {c}x{h}x{w}, those to compare {:?}",
                self.dims
            )
        }
        let values = values(training)?;
        let norms: Vec<f32> = values.chunks_exact(c * h * w).map(squares).collect();
        let training = Tensor::from_vec(values, (m, c * h * w), &Device::Cpu)?;
        let products = self.pictures.matmul(&training.t()?.contiguous()?)?;
        let products: Vec<Vec<f32>> = products.to_vec2()?;
        let pairs = self.least.iter_mut().zip(&self.norms).zip(products);
        for ((least, own), products) in pairs {
            for (product, norm) in products.iter().zip(&norms) {
                *least = least.min(own + norm - 2. * product);
            }
        }
        Ok(())
    }

    /// The distance of each picture to its nearest training picture.
    pub fn distances(&self) -> Vec<f64> {
        let distances = self.least.iter();
        distances.map(|d| f64::from(d.max(0.)).sqrt()).collect()
    }
}

fn squares(picture: &[f32]) -> f32 {
    // In f64, as the difference of such sums is what counts.
    picture.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() as f32
}

/// How near generated pictures are to the training pictures, beside held-out ones.
///
/// # Errors
/// No pictures; held-out pictures that are all in the training set.
pub fn copying(generated: &[f64], held_out: &[f64]) -> Result<Copying> {
    let sorted = |distances: &[f64]| {
        let mut sorted = distances.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted
    };
    let (made, held) = (sorted(generated), sorted(held_out));
    let (Some(median), Some(usual)) = (made.get(made.len() / 2), held.get(held.len() / 2)) else {
        bail!("there are no pictures to measure")
    };
    let (Some(near), true) = (held.get(held.len() / 100), *usual > 0.) else {
        bail!("the held-out pictures are in the training set, too: nothing says what is a copy")
    };
    let nearer = made.iter().filter(|distance| *distance < near).count();
    Ok(Copying {
        ratio: median / usual,
        share: nearer as f64 / made.len() as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use gan_core::rng::{Key, normals};

    fn pictures(n: usize, seed: u64) -> Tensor {
        let values = normals(Key::new(seed, "pictures", 0, 0), 0, n * 48);
        Tensor::from_vec(values, (n, 3, 4, 4), &Device::Cpu).unwrap()
    }

    fn distances(of: &Tensor, training: &Tensor) -> Vec<f64> {
        let mut nearest = Nearest::new(of).unwrap();
        for from in [0, 100] {
            nearest
                .add(&training.narrow(0, from, 100).unwrap())
                .unwrap();
        }
        nearest.distances()
    }

    #[test]
    fn copies_are_seen_and_other_pictures_of_the_same_law_are_not() {
        let (training, held_out, others) = (pictures(200, 1), pictures(150, 2), pictures(120, 3));
        let held_out = distances(&held_out, &training);
        let fair = copying(&distances(&others, &training), &held_out).unwrap();
        assert!(
            (0.9..1.1).contains(&fair.ratio) && fair.share < 0.06,
            "{fair:?}"
        );
        let by_heart = training.narrow(0, 40, 120).unwrap();
        let copied = copying(&distances(&by_heart, &training), &held_out).unwrap();
        assert!(copied.ratio < 0.01 && copied.share == 1., "{copied:?}");
        // One in three.
        let some = Tensor::cat(
            &[
                others.narrow(0, 0, 80).unwrap(),
                by_heart.narrow(0, 0, 40).unwrap(),
            ],
            0,
        )
        .unwrap();
        let some = copying(&distances(&some, &training), &held_out).unwrap();
        assert!((0.3..0.4).contains(&some.share), "{some:?}");
    }

    #[test]
    fn what_says_nothing_is_refused() {
        assert!(copying(&[], &[1.]).is_err() && copying(&[1.], &[]).is_err());
        let error = copying(&[1.], &[0., 0.]).unwrap_err().to_string();
        assert!(error.contains("nothing says what is a copy"), "{error}");
        let mut nearest = Nearest::new(&pictures(2, 1)).unwrap();
        let wide = Tensor::zeros((1, 3, 4, 5), candle_core::DType::F32, &Device::Cpu).unwrap();
        assert!(nearest.add(&wide).is_err());
        let nan = Tensor::full(f32::NAN, (1, 3, 4, 4), &Device::Cpu).unwrap();
        assert!(nearest.add(&nan).is_err());
    }
}
