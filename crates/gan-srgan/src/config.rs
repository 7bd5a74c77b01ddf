//! The settings: one field, one sentence, which is also the help.

use crate::discriminator::DiscriminatorSizes;
use crate::model::SrResnetSizes;
use candle_core::{Result, Tensor};
use gan_core::nn::vgg::Features;
use gan_core::{DataInfo, Falling, Iter, Paper, Stages, View, pictures};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What G's pictures are compared with the true ones by (section 2.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// The mean squared error of pixels (equation 4).
    Mse,
    /// That of VGG19's features φ_{2,2} (equation 5).
    Vgg22,
    /// That of VGG19's features φ_{5,4} (equation 5).
    Vgg54,
}

impl Content {
    /// The features that are looked at, where it is not pixels.
    pub fn features(self) -> Option<Features> {
        match self {
            Content::Mse => None,
            Content::Vgg22 => Some(Features::Vgg22),
            Content::Vgg54 => Some(Features::Vgg54),
        }
    }
}

/// Settings of SRGAN.
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
    /// G: residual blocks.
    pub blocks: usize,
    /// G: channels of the features.
    pub width_g: usize,
    /// D: channels of the first layer; eight times as many of the last.
    pub width_d: usize,
    /// D: units of the dense layer.
    pub dense: usize,
    /// What G is compared by in the game: mse (pixels), or vgg22 or vgg54 (features of VGG19, whose weights --vgg names).
    pub content: Content,
    /// What VGG19's features are divided by.
    pub vgg_divisor: f64,
    /// Weight of the adversarial loss.
    pub lambda_adv: f64,
    /// Iterations of pre-training on the mean squared error, before the game.
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
    pub fn generator(&self) -> SrResnetSizes {
        SrResnetSizes {
            channels: self.channels,
            width: self.width_g,
            blocks: self.blocks,
            ups: self.scale.max(1).ilog2() as usize,
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

    /// The next I^LR `[b, channels, h, w]` in [0, 1] and I^HR `[b, channels, scale·h, scale·w]` in [−1, 1] (section
    /// 3.2).
    pub(crate) fn crops(&self, it: &mut Iter<'_>) -> Result<[Tensor; 2]> {
        let asks = [pictures("low").unit().shrunk(self.scale), pictures("high")];
        it.batch(it.share(self.batch)?, self.learns().view, asks)
    }
}
