//! The settings: one field, one sentence, which is also the help.

use crate::model::ResnetSizes;
use gan_core::nn::maps::Norm;
use gan_core::nn::patch::PatchSizes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of CycleGAN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Pictures of each side in a batch.
    pub batch: usize,
    /// Side of the square cut from each picture, a multiple of 4.
    pub size: usize,
    /// Pixels by which a picture's shorter side is larger than size when a square is cut from it at random.
    pub jitter: usize,
    /// Whether pictures are mirrored left to right at random.
    pub flip: bool,
    /// Channels of a picture: 1 or 3, as the data has.
    pub channels: usize,
    /// What features are normalised with: batch or instance.
    pub norm: Norm,
    /// G and F: residual blocks.
    pub blocks: usize,
    /// G and F: channels at full size; twice and four times as many at half and at a quarter.
    pub width_g: usize,
    /// D_X and D_Y: channels after the first layer; doubled with each further one, up to eight times.
    pub width_d: usize,
    /// D_X and D_Y: layers of stride 2; 3 judges patches of 70 pixels, 0 single pixels.
    pub n_layers: usize,
    /// Weight λ of the cycle.
    pub lambda_cycle: f64,
    /// Weight of the identity loss in parts of the cycle's; 0: there is none.
    pub lambda_identity: f64,
    /// Pictures in each of the two pools of earlier fakes.
    pub pool: usize,
    /// Learning rate of all Adam optimizers.
    pub lr: f64,
    /// Adam's decay of the gradient's mean.
    pub beta1: f64,
    /// Adam's decay of the gradient's square.
    pub beta2: f64,
    /// Share of the run, at its end, in which the learning rate falls linearly to 0; 0: it does not.
    pub decay: f64,
}

impl Config {
    /// The paper's residual blocks for pictures of this side (appendix 7.2): 6 at 128, 9 from 256 on.
    pub fn blocks(size: usize) -> usize {
        if size < 256 { 6 } else { 9 }
    }

    /// The sizes of G and F.
    pub fn generator(&self) -> ResnetSizes {
        ResnetSizes {
            inputs: self.channels,
            outputs: self.channels,
            width: self.width_g,
            blocks: self.blocks,
            norm: self.norm,
        }
    }

    /// The sizes of D_X and D_Y.
    pub fn discriminator(&self) -> PatchSizes {
        PatchSizes {
            channels: self.channels,
            width: self.width_d,
            n_layers: self.n_layers,
        }
    }
}
