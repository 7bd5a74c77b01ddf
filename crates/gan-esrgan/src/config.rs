//! The settings: one field, one sentence, which is also the help.

use crate::discriminator::DiscriminatorSizes;
use crate::model::RrdbSizes;
use candle_core::{Result, Tensor};
use gan_core::nn::vgg::Features;
use gan_core::{DataInfo, Falling, Iter, Paper, Stages, View, pictures};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What L_percep is (section 3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// The L1 distance of VGG19's features φ_{5,4}, before the activation.
    Vgg54,
    /// Nothing: the L1 distance of pixels, with its weight η, stands alone beside the adversarial loss.
    L1,
}

impl Content {
    /// The features that are looked at, where there are some.
    pub fn features(self) -> Option<Features> {
        match self {
            Content::Vgg54 => Some(Features::Vgg54Before),
            Content::L1 => None,
        }
    }
}

/// Settings of ESRGAN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Crops in a batch.
    pub batch: usize,
    /// Side of the crops that are to be made, a multiple of scale; 0: pictures whole, which all have one size.
    pub size: usize,
    /// How many times as large pictures become: 2 or 4.
    pub scale: usize,
    /// Whether crops are mirrored, and turned by quarter turns, at random.
    pub augment: bool,
    /// Channels of a picture: 1 or 3, as the data has.
    pub channels: usize,
    /// G: residual-in-residual dense blocks.
    pub blocks: usize,
    /// G: channels of the features.
    pub width_g: usize,
    /// G: channels that each convolution of a dense block adds.
    pub growth: usize,
    /// D: channels of the first level; doubled with each further one, up to eight times.
    pub width_d: usize,
    /// D: levels, each of which halves the picture.
    pub levels: usize,
    /// D: units of the dense layer.
    pub dense: usize,
    /// What L_percep is in the game: vgg54 (features of VGG19, whose weights --vgg names), or l1 (none: pixels alone).
    pub content: Content,
    /// Weight λ of the relativistic adversarial loss.
    pub lambda_ra: f64,
    /// Weight η of the L1 distance of pixels in the game.
    pub eta_l1: f64,
    /// Iterations of pre-training on the L1 distance, before the game.
    pub pretrain: u64,
    /// Whether the game follows; if not, there is no D, and the whole run is pre-training.
    pub adversarial: bool,
    /// Learning rate of pre-training.
    pub lr: f64,
    /// Iterations of pre-training at which its learning rate is multiplied by lr_factor.
    pub lr_at: Vec<u64>,
    /// What the learning rate of pre-training is multiplied by then.
    pub lr_factor: f64,
    /// Learning rate of G and D in the game.
    pub lr_gan: f64,
    /// Iterations of the game, counted from its beginning, at which its learning rate is multiplied by lr_gan_factor.
    pub lr_gan_at: Vec<u64>,
    /// What the learning rate of the game is multiplied by then.
    pub lr_gan_factor: f64,
    /// Adam's decay of the gradient's mean.
    pub beta1: f64,
    /// Adam's decay of the gradient's square.
    pub beta2: f64,
}

impl Config {
    /// The sizes of G.
    pub fn generator(&self) -> RrdbSizes {
        RrdbSizes {
            channels: self.channels,
            width: self.width_g,
            growth: self.growth,
            blocks: self.blocks,
            ups: self.scale.max(1).ilog2() as usize,
            unshuffle: 1,
        }
    }

    /// The sizes of D, which sees crops of these data.
    pub fn discriminator(&self, data: &DataInfo) -> DiscriminatorSizes {
        let [channels, height, width] = self.view().picture(data);
        DiscriminatorSizes {
            channels,
            height,
            width,
            features: self.width_d,
            levels: self.levels,
            dense: self.dense,
        }
    }

    /// How pictures are cut.
    pub fn view(&self) -> View {
        match self.size {
            0 => View::whole().flipped(self.augment),
            size => View::crop(size).flipped(self.augment).turned(self.augment),
        }
    }

    /// Pre-training and the game.
    pub fn stages(&self) -> Stages<'_> {
        Stages {
            pretrain: self.pretrain,
            adversarial: self.adversarial,
            first: Falling {
                lr: self.lr,
                at: &self.lr_at,
                factor: self.lr_factor,
            },
            second: Falling {
                lr: self.lr_gan,
                at: &self.lr_gan_at,
                factor: self.lr_gan_factor,
            },
        }
    }

    /// The next pictures that are given, `[b, channels, h, w]`, and those that are to be made, `[b, channels, scale·h,
    /// scale·w]`, both in [0, 1].
    pub(crate) fn crops(&self, it: &mut Iter<'_>) -> Result<[Tensor; 2]> {
        let low = pictures("low").unit().shrunk(self.scale);
        let asks = [low, pictures("high").unit()];
        it.batch(it.share(self.batch)?, self.learns().view, asks)
    }
}
