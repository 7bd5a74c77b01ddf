//! Inception v3 (Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision", table 1), in whose
//! features the distances between sets of pictures are stated that papers publish (Heusel et al. 2017; Bińkowski et
//! al. 2018). Its weights come from a file and are never trained here.
//!
//! | layers | output |
//! |---|---|
//! | convolutions and two max pools | 192 x 35 x 35 |
//! | `Mixed_5b` to `Mixed_5d` | 288 x 35 x 35 |
//! | `Mixed_6a` to `Mixed_6e` | 768 x 17 x 17 |
//! | `Mixed_7a` to `Mixed_7c` | 2048 x 8 x 8 |
//! | mean over all pixels | 2048: the features |
//!
//! Two files of weights are public, and the networks that they belong to differ in their pools ([`Origin`]). Both saw
//! pictures in [−1, 1]: torchvision's documentation of `inception_v3` asks for ImageNet's mean m and deviation s,
//! (x − m) / s, and its `transform_input`, which is on for the published weights, makes of that (x − m) / s · s / .5 +
//! (m − .5) / .5 = 2x − 1.

mod layers;
#[cfg(test)]
mod tests;

use crate::features::Features;
use candle_core::{DType, Device, Result, Tensor, bail};
use gan_core::nn::bilinear;
use gan_core::{Net, Weights};
use layers::{Layers, Pool, WIDTH};

/// Height and width of the pictures that it was trained on.
const SIDE: usize = 299;
/// Pictures read at once; with these, a process with the weights stays below 400 MB.
const BATCH: usize = 8;

/// Where weights come from, which says what the network's pools are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// TensorFlow's of 2015, with 1008 classes, as pytorch-fid has them (`pt_inception-2015-12-05`): published
    /// distances are reckoned with these. Average pools leave out what lies outside of the picture, and the pool of
    /// the last block is a max pool.
    TensorFlow,
    /// torchvision's (`inception_v3_google`), with 1000 classes. Average pools count zeros around the picture.
    Torchvision,
}

impl Origin {
    /// Told by the number of classes.
    fn of(weights: &Weights) -> Result<Self> {
        let known = "Inception v3 of pytorch-fid (pt_inception-2015-12-05: 1008 classes) or torchvision \
                     (inception_v3_google: 1000)";
        match weights.dims("fc.weight") {
            Some([1008, WIDTH]) => Ok(Origin::TensorFlow),
            Some([1000, WIDTH]) => Ok(Origin::Torchvision),
            Some(dims) => bail!(
                "fc.weight is {dims:?}, expected [1008, {WIDTH}] or [1000, {WIDTH}] of {known}"
            ),
            None => bail!(
                "fc.weight is missing, expected {known}; the file begins with {}",
                weights.first_keys()
            ),
        }
    }

    /// The pools at stride 1: those of all blocks but the last, and that of the last.
    fn pools(self) -> [Pool; 2] {
        match self {
            Origin::TensorFlow => [Pool::Mean { outside: false }, Pool::Max { stride: 1 }],
            Origin::Torchvision => [Pool::Mean { outside: true }; 2],
        }
    }
}

/// Inception v3 up to its features.
#[derive(Clone, Debug)]
pub struct Inception {
    layers: Layers,
    origin: Origin,
    /// Of the weights that the features depend on.
    sha256: String,
    device: Device,
}

impl Inception {
    /// The network of a file with the keys of pytorch-fid's or torchvision's weights, told apart by the number of
    /// classes. What lies behind the features or beside them (`fc`, `AuxLogits`) is not used.
    ///
    /// # Errors
    /// Layers that are missing, left over or of another shape, by name and with the file's; numbers that are not
    /// finite, or negative variances.
    pub fn open(weights: &Weights, device: &Device) -> Result<Self> {
        let origin = Origin::of(weights).map_err(|error| weights.named(error))?;
        let beside = ["fc.", "AuxLogits."];
        let part = weights.only(|key| {
            !key.ends_with("num_batches_tracked")
                && !beside.iter().any(|name| key.starts_with(name))
        });
        let build = |vb| Layers::new(origin.pools(), vb);
        Ok(Self {
            layers: Net::open(&part, device, "inception", build)?.frozen,
            origin,
            sha256: part.sha256()?,
            device: device.clone(),
        })
    }

    /// Which weights it has.
    pub fn origin(&self) -> Origin {
        self.origin
    }
}

impl Features for Inception {
    /// `inception`, in whose features published distances are stated, or `inception-torchvision`, whose distances are
    /// not comparable with those.
    fn name(&self) -> &str {
        match self.origin {
            Origin::TensorFlow => "inception",
            Origin::Torchvision => "inception-torchvision",
        }
    }

    /// Numbers a picture.
    fn width(&self) -> usize {
        WIDTH
    }

    /// All that features depend on beside the pictures.
    fn protocol(&self) -> String {
        let origin = match self.origin {
            Origin::TensorFlow => "TensorFlow's weights of 2015 with the pools of pytorch-fid",
            Origin::Torchvision => "torchvision's weights, not comparable with published distances",
        };
        format!(
            "Inception v3, {origin}, SHA-256 of their tensors {}, {WIDTH} features after the last average pool, pictures \
             resized to {SIDE}x{SIDE} bilinearly without smoothing and seen in [-1, 1]",
            self.sha256
        )
    }

    /// The features `[n, 2048]`, on the CPU, of pictures `[n, c, h, w]` in [−1, 1] of any size; c = 3, or 1 for grey
    /// ones, which are seen as coloured ones. Values are taken as they are: for pictures that a file of 8 bits would
    /// round, round them before.
    ///
    /// # Errors
    /// Other numbers of channels; no pictures; values that are not finite, in pictures or features.
    fn of(&self, pictures: &Tensor) -> Result<Tensor> {
        crate::values(pictures)?;
        let (n, c, ..) = pictures.dims4()?;
        if c != 1 && c != 3 {
            bail!(
                "Inception v3 sees pictures of 1 or 3 channels, not {:?}",
                pictures.dims()
            )
        }
        let parts = (0..n).step_by(BATCH).map(|i| {
            let part = pictures.narrow(0, i, BATCH.min(n - i))?.detach();
            let x = part.to_device(&self.device)?.to_dtype(DType::F32)?;
            let x = bilinear(&x, SIDE, SIDE)?;
            let x = match c {
                1 => Tensor::cat(&[&x, &x, &x], 1)?,
                _ => x,
            };
            self.layers.forward(&x)?.to_device(&Device::Cpu)
        });
        let features = Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 0)?;
        if !features.sum_all()?.to_scalar::<f32>()?.is_finite() {
            bail!("the features of Inception v3 are not finite, its weights cannot be right")
        }
        Ok(features)
    }
}
