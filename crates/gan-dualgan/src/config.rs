//! The settings: one field, one sentence, which is also the help.

use gan_core::nn::maps::Norm;
use gan_core::nn::patch::PatchSizes;
use gan_core::nn::unet::{Noise, UnetSizes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of DualGAN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Updates of both critics before one of the generators.
    pub n_critic: usize,
    /// Bound c of a critic's weights.
    pub clip: f64,
    /// Pictures of each side in a batch.
    pub batch: usize,
    /// Side of the square cut from each picture, a multiple of 2 to the power of downs.
    pub size: usize,
    /// Pixels by which a picture's shorter side is larger than size when a square is cut from it at random.
    pub jitter: usize,
    /// Whether pictures are mirrored left to right at random.
    pub flip: bool,
    /// Channels of a picture: 1 or 3, as the data has.
    pub channels: usize,
    /// G and F: how often a picture is halved.
    pub downs: usize,
    /// G and F: channels at half the picture's size; doubled with each halving, up to eight times.
    pub width_g: usize,
    /// G and F: probability of dropping a unit in the inner levels, which is the noise z.
    pub dropout: f64,
    /// D_X and D_Y: channels after the first layer; doubled with each further one, up to eight times.
    pub width_d: usize,
    /// D_X and D_Y: layers of stride 2; 3 judges patches of 70 pixels, 0 single pixels.
    pub n_layers: usize,
    /// Weight λ_U of the distance of F(G(x)) to x.
    pub lambda_u: f64,
    /// Weight λ_V of the distance of G(F(y)) to y.
    pub lambda_v: f64,
    /// Learning rate of all RMSProp optimizers.
    pub lr: f64,
    /// RMSProp's decay of the mean of squared gradients.
    pub alpha: f64,
    /// Whether samples drop units, too.
    pub sample_dropout: bool,
    /// Whether samples are normalised by their own statistics, not by the running ones.
    pub sample_batch_statistics: bool,
}

impl Config {
    /// The sizes of G and F.
    pub fn generator(&self) -> UnetSizes {
        UnetSizes {
            inputs: self.channels,
            outputs: self.channels,
            width: self.width_g,
            downs: self.downs,
            norm: Norm::Batch,
        }
    }

    /// The sizes of D_X and D_Y.
    pub fn critic(&self) -> PatchSizes {
        PatchSizes {
            channels: self.channels,
            width: self.width_d,
            n_layers: self.n_layers,
        }
    }

    /// How pictures are made for people.
    pub fn sampling(&self) -> Noise {
        Noise::sampling(self.sample_dropout, self.sample_batch_statistics)
    }
}
