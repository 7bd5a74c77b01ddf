//! Measures of generated pictures, and the networks that they need.
//!
//! - [`sliced`]: the sliced Wasserstein distance between two sets of pictures, level by level;
//! - [`baseline`]: pictures that any generator should beat;
//! - [`features`]: what a network makes of pictures, by which sets are compared: [`frechet`] (FID with Inception's),
//!   [`kid`], [`precision`];
//! - [`neighbours`]: whether pictures are copies of training pictures;
//! - [`classes`]: whether pictures show the class that was asked for, and whether they differ;
//! - [`msssim`]: how much alike pictures of a set are;
//! - [`pairs`]: pictures beside those that they should be;
//! - [`similarity`]: the same of photographs of 8 bits, as super-resolution states it;
//! - [`lenet`]: the small network that reads digits, trained by this project and embedded.
//!
//! Architecture invariants:
//!
//! - Depends on `gan-core`, its kernels and candle only; no paper's name occurs in this crate.
//! - Pictures are tensors `[n, c, h, w]` in [−1, 1]. Every measure refuses what is not finite.
//! - A value is a pure function of the pictures and its protocol, whose seed draws all positions,
//!   directions and noise ([`gan_core::rng`]); [`Measure::protocol`] says all that the value depends on.
//! - Files are not this crate's business, and nothing is printed here.
//!
//! ```
//! use gan_eval::gan_core::candle_core::{Device, Result, Tensor};
//! use gan_eval::pairs::{l1, psnr};
//!
//! # fn main() -> Result<()> {
//! let black = Tensor::full(-1f32, (2, 3, 8, 8), &Device::Cpu)?; // pictures in [−1, 1]
//! let grey = Tensor::full(0f32, (2, 3, 8, 8), &Device::Cpu)?;
//! assert_eq!(l1(&grey, &black)?, 1.);
//! assert!((psnr(&grey, &black)? - 6.02).abs() < 0.01); // dB
//! # Ok(())
//! # }
//! ```

pub use gan_core;

pub mod baseline;
pub mod classes;
pub mod features;
pub mod frechet;
pub mod kid;
pub mod lenet;
pub mod msssim;
pub mod neighbours;
pub mod pairs;
pub mod precision;
pub mod similarity;
pub mod sliced;

/// One value of a measure.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// What was measured: `swd 32x32`, `accuracy`, …
    pub name: String,
    /// The value.
    pub value: f64,
    /// Its standard error, where it is known.
    pub error: Option<f64>,
    /// How: features, resolution, numbers of pictures and draws, split, seed.
    pub protocol: String,
}

/// Which values of a measure are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Smaller ones.
    Lower,
    /// Greater ones.
    Higher,
}

impl Measure {
    /// The measure's own name, without what it was taken of: `swd` of `a2b swd 16x16`.
    pub fn kind(&self) -> &str {
        let words = self.name.split(' ');
        let mut words = words.filter(|word| !["a2b", "b2a"].contains(word));
        words.next().unwrap_or_default()
    }

    /// Which values are better; none where neither end is: pictures should be as varied and as sharp as real ones.
    pub fn better(&self) -> Option<Better> {
        match self.kind().rsplit('-').next().unwrap_or_default() {
            "swd" | "fid" | "kid" | "l1" | "of" | "cycle" | "copied" => Some(Better::Lower),
            "accuracy" | "precision" | "recall" | "psnr" => Some(Better::Higher),
            _ if self.kind().starts_with("psnr") || self.kind().starts_with("ssim") => {
                Some(Better::Higher)
            }
            _ => None,
        }
    }
}

/// The values of pictures, checked.
pub(crate) fn values(pictures: &candle_core::Tensor) -> candle_core::Result<Vec<f32>> {
    let values = pictures
        .detach()
        .to_device(&candle_core::Device::Cpu)?
        .to_dtype(candle_core::DType::F32)?
        .flatten_all()?
        .to_vec1::<f32>()?;
    if values.is_empty() {
        candle_core::bail!("there are no pictures to measure")
    }
    if !values.iter().all(|x| x.is_finite()) {
        candle_core::bail!(
            "the pictures hold values that are not finite, there is nothing to measure"
        )
    }
    Ok(values)
}
