//! The settings: one field, one sentence, which is also the help.

use crate::model::Sizes;
use candle_core::{Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of the progressively growing GAN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Pictures in a batch: one number, or a list of one for each resolution from 4x4 on.
    pub batch: Batch,
    /// Side of the square that pictures are brought to at the end, a power of two from 4 to 1024.
    pub size: usize,
    /// Whether pictures are mirrored left to right at random.
    pub flip: bool,
    /// Channels of a picture: 1 or 3, as the data has.
    pub channels: usize,
    /// Components of the latent vector z, which G brings to the hypersphere.
    pub z_dim: usize,
    /// Channels are this by twice the resolution in units of 4, where that is not more than fmap_max.
    pub fmap_base: usize,
    /// Channels at most.
    pub fmap_max: usize,
    /// Pictures in a group of the minibatch standard deviation at most; groups are equal parts of the batch.
    pub group: usize,
    /// Whether the networks grow from 4x4; if not, they are trained at full size from the start, with this alpha.
    pub grow: bool,
    /// How far the last resolution is faded in, in a run that does not grow: 1 is wholly.
    pub alpha: f64,
    /// Pictures shown at each resolution once it is faded in; 0, with fading 0: the run's length in equal parts.
    pub stable: u64,
    /// Pictures shown while a resolution is faded in; 0, with stable 0: the run's length in equal parts.
    pub fading: u64,
    /// Whether both Adam optimizers start afresh where a resolution is added.
    pub reset: bool,
    /// Learning rate of both Adam optimizers.
    pub lr: f64,
    /// Adam's decay of the gradient's mean.
    pub beta1: f64,
    /// Adam's decay of the gradient's square.
    pub beta2: f64,
    /// Weight λ of the gradient penalty.
    pub lambda_gp: f64,
    /// Weight of D's squared score of real pictures, which keeps it from drifting away.
    pub drift: f64,
    /// Decay of the average of G's weights, which samples are made by.
    pub ema: f64,
}

/// Pictures in a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a number, or a list of numbers, one for each resolution from 4x4 on"
)]
pub enum Batch {
    /// At all resolutions.
    All(usize),
    /// At 4x4, 8x8, …
    Each(Vec<usize>),
}

impl Batch {
    /// At the resolution of 4·2^level.
    pub fn at(&self, level: usize) -> usize {
        match self {
            Self::All(batch) => *batch,
            Self::Each(batches) => batches.get(level).copied().unwrap_or_default(),
        }
    }

    /// Refuses a table without a number for each of the levels.
    pub(crate) fn check(&self, levels: usize) -> Result<()> {
        let side = |level: usize| 4usize << level;
        let Some(level) = (0..levels).find(|&level| self.at(level) == 0) else {
            return Ok(());
        };
        match self {
            Self::All(_) => bail!("batch is 0, expected at least 1"),
            Self::Each(batches) if batches.len() < levels => bail!(
                "batch has {} numbers, expected {levels}, one for each of the resolutions from 4x4 to {1}x{1}",
                batches.len(),
                side(levels - 1)
            ),
            Self::Each(_) => bail!("batch is 0 at {0}x{0}, expected at least 1", side(level)),
        }
    }
}

impl Config {
    /// Resolutions from 4x4 to the final one.
    pub fn levels(&self) -> usize {
        (self.size.max(4) / 4).ilog2() as usize + 1
    }

    /// The sizes of G and D: channels at 4·2^k are min(fmap_base / 2^(k + 1), fmap_max) (Table 2).
    pub fn sizes(&self) -> Sizes {
        let width = |k: usize| (self.fmap_base >> (k + 1)).min(self.fmap_max);
        Sizes {
            z_dim: self.z_dim,
            channels: self.channels,
            widths: (0..self.levels()).map(width).collect(),
        }
    }
}
