//! The settings: one field, one sentence, which is also the help.

use gan_core::nn::strided::StridedSizes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the Wasserstein GAN with gradient penalty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Pictures in a batch.
    pub batch: usize,
    /// Side of the square that pictures are brought to, a power of two from 16.
    pub size: usize,
    /// Whether pictures are mirrored left to right at random.
    pub flip: bool,
    /// Channels of a picture: 1 or 3, as the data has.
    pub channels: usize,
    /// Components of the noise z.
    pub z_dim: usize,
    /// Channels of the critic after its first layer; doubled with each halving of the picture.
    pub width_d: usize,
    /// Channels of G before its last layer; doubled with each halving of the picture.
    pub width_g: usize,
    /// Learning rate of both Adam optimizers.
    pub lr: f64,
    /// Adam's decay of the gradient's mean.
    pub beta1: f64,
    /// Adam's decay of the gradient's square.
    pub beta2: f64,
    /// Updates of the critic for one of G.
    pub n_critic: usize,
    /// Weight λ of the gradient penalty.
    pub lambda_gp: f64,
}

impl Config {
    /// The sizes of G.
    pub fn generator(&self) -> StridedSizes {
        StridedSizes {
            size: self.size,
            channels: self.channels,
            width: self.width_g,
        }
    }

    /// The sizes of the critic.
    pub fn critic(&self) -> StridedSizes {
        StridedSizes {
            width: self.width_d,
            ..self.generator()
        }
    }
}
