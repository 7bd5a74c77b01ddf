//! The settings: one field, one sentence, which is also the help.

use crate::model::GeneratorSizes;
use candle_core::{Result, Tensor};
use gan_core::loss::{huber, l1, mse};
use gan_core::nn::strided::StridedSizes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far a picture that was turned there and back is from what it was; a mean over all values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Distance {
    /// The square of the difference.
    Mse,
    /// Its size.
    L1,
    /// Half its square below 1, then its size less a half.
    Huber,
}

impl Distance {
    /// d(a, b), a scalar.
    pub fn of(self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        match self {
            Distance::Mse => mse(a, b),
            Distance::L1 => l1(a, b),
            Distance::Huber => huber(a, b),
        }
    }
}

/// Settings of DiscoGAN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The distance d of a reconstruction: mse, l1 or huber.
    pub distance: Distance,
    /// Pictures of each side in a batch.
    pub batch: usize,
    /// Side of the square that is kept of each picture, a power of two.
    pub size: usize,
    /// Whether pictures are mirrored left to right at random.
    pub flip: bool,
    /// Channels of a picture: 1 or 3, as the data has.
    pub channels: usize,
    /// G and F: channels at half the picture's size; doubled with each halving down to 4x4.
    pub width_g: usize,
    /// G and F: channels of a further layer at 1x1, in the middle; 0: there is none.
    pub bottleneck: usize,
    /// D_X and D_Y: channels at half the picture's size; doubled with each halving down to 4x4.
    pub width_d: usize,
    /// Learning rate of both Adam optimizers.
    pub lr: f64,
    /// Adam's decay of the gradient's mean.
    pub beta1: f64,
    /// Adam's decay of the gradient's square.
    pub beta2: f64,
    /// Weight of an L2 penalty on all weights, as part of their gradient.
    pub weight_decay: f64,
}

impl Config {
    fn sizes(&self, width: usize) -> StridedSizes {
        StridedSizes {
            size: self.size,
            channels: self.channels,
            width,
        }
    }

    /// The sizes of G and F.
    pub fn generator(&self) -> GeneratorSizes {
        GeneratorSizes {
            strided: self.sizes(self.width_g),
            bottleneck: self.bottleneck,
        }
    }

    /// The sizes of D_X and D_Y.
    pub fn discriminator(&self) -> StridedSizes {
        self.sizes(self.width_d)
    }
}
