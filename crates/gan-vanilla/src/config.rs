//! The settings: one field, one sentence, which is also the help.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the original GAN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Pictures in a batch.
    pub batch: usize,
    /// Side of the square that pictures are brought to; without it they stay as they are.
    pub size: Option<usize>,
    /// Whether pictures are mirrored left to right at random.
    pub flip: bool,
    /// Components of the noise z.
    pub z_dim: usize,
    /// Units of the discriminator's hidden layer.
    pub hidden_d: usize,
    /// Units of the generator's hidden layer.
    pub hidden_g: usize,
    /// Learning rate of both Adam optimizers.
    pub lr: f64,
    /// Adam's decay of the gradient's mean.
    pub beta1: f64,
    /// Adam's decay of the gradient's square.
    pub beta2: f64,
}
