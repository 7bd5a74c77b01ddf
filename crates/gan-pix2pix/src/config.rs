//! The settings: one field, one sentence, which is also the help.

use candle_core::{Result, Tensor};
use gan_core::nn::maps::Norm;
use gan_core::nn::patch::{PatchDiscriminator, PatchSizes};
use gan_core::nn::unet::{Noise, Unet, UnetSizes};
use gan_core::optim::schedule;
use gan_core::{
    Context, Iter, Length, Net, Optimizer, Paper, Params, Rule, Side, check, init, pictures,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What G is trained with, as the paper's table 1 compares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// The distance to the true picture alone (equation 3); there is no D.
    L1,
    /// The conditional GAN alone (equation 1).
    Cgan,
    /// Both, the paper's (equation 4).
    CganL1,
}

/// Which side of a pair is given and which is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Direction {
    /// From A to B.
    #[serde(rename = "a2b")]
    AToB,
    /// From B to A.
    #[serde(rename = "b2a")]
    BToA,
}

/// Settings of pix2pix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What G is trained with: l1, cgan or cgan_l1.
    pub objective: Objective,
    /// Which side of a pair is given and which is made: a2b or b2a.
    pub direction: Direction,
    /// Pairs in a batch.
    pub batch: usize,
    /// Side of the square cut from each picture, a multiple of 2 to the power of downs.
    pub size: usize,
    /// Pixels by which a picture's shorter side is larger than size when a square is cut from it at random.
    pub jitter: usize,
    /// Whether pairs are mirrored left to right at random.
    pub flip: bool,
    /// Channels of a picture: 1 or 3, as the data has.
    pub channels: usize,
    /// What features are normalised with: batch or instance.
    pub norm: Norm,
    /// G: how often a picture is halved.
    pub downs: usize,
    /// G: channels at half the picture's size; doubled with each halving, up to eight times.
    pub width_g: usize,
    /// G: probability of dropping a unit in its inner levels, which is the noise z.
    pub dropout: f64,
    /// D: channels after its first layer; doubled with each further one, up to eight times.
    pub width_d: usize,
    /// D: layers of stride 2; 3 judges patches of 70 pixels, 0 single pixels.
    pub n_layers: usize,
    /// Weight λ of the distance to the true picture.
    pub lambda_l1: f64,
    /// Learning rate of both Adam optimizers.
    pub lr: f64,
    /// Adam's decay of the gradient's mean.
    pub beta1: f64,
    /// Adam's decay of the gradient's square.
    pub beta2: f64,
    /// Share of the run, at its end, in which the learning rate falls linearly to 0; 0: it does not.
    pub decay: f64,
    /// Whether samples drop units, too.
    pub sample_dropout: bool,
    /// Whether samples are normalised by their own statistics, not by the running ones.
    pub sample_batch_statistics: bool,
}

impl Config {
    /// The sizes of G.
    pub fn generator(&self) -> UnetSizes {
        UnetSizes {
            inputs: self.channels,
            outputs: self.channels,
            width: self.width_g,
            downs: self.downs,
            norm: self.norm,
        }
    }

    /// The sizes of D, which sees both pictures of a pair.
    pub fn discriminator(&self) -> PatchSizes {
        PatchSizes {
            channels: 2 * self.channels,
            width: self.width_d,
            n_layers: self.n_layers,
        }
    }

    /// How pictures are made for people.
    pub fn sampling(&self) -> Noise {
        Noise::sampling(self.sample_dropout, self.sample_batch_statistics)
    }

    /// The side that is given.
    pub fn input(&self) -> Side {
        match self.direction {
            Direction::AToB => Side::A,
            Direction::BToA => Side::B,
        }
    }

    /// The next pairs (x, y): what is given and what is to be made, `[b, channels, size, size]` each.
    pub(crate) fn pairs(&self, it: &mut Iter<'_>) -> Result<[Tensor; 2]> {
        let given = self.input();
        let asks = [pictures("x").of(given), pictures("y").of(given.other())];
        it.batch(it.share(self.batch)?, self.learns().view, asks)
    }

    /// The weight of the distance in G's loss.
    pub(crate) fn weight_l1(&self) -> f64 {
        match self.objective {
            Objective::Cgan => 0.,
            Objective::L1 | Objective::CganL1 => self.lambda_l1,
        }
    }

    pub(crate) fn new_generator(&self, cx: &Context) -> Result<Net<Unet>> {
        self.check()?;
        check::channels(self.channels, &cx.data)?;
        Net::new(cx, "g", init::convolutions_normal_offsets_zero, |vb| {
            Unet::new(&self.generator(), self.dropout, vb)
        })
    }

    pub(crate) fn new_discriminator(&self, cx: &Context) -> Result<Net<PatchDiscriminator>> {
        Net::new(cx, "d", init::convolutions_normal_offsets_zero, |vb| {
            PatchDiscriminator::new(self.norm, &self.discriminator(), vb)
        })
    }

    pub(crate) fn optimizer(&self, net: &Params) -> Result<Optimizer> {
        Optimizer::new(Rule::adam(self.beta1, self.beta2), self.lr, &[net])
    }

    /// The learning rate of iteration `t`.
    pub(crate) fn lr(&self, length: &Length, t: u64) -> f64 {
        schedule::linear(self.lr, self.decay, length, t)
    }
}
