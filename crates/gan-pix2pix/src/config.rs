//! The settings: one field, one sentence, which is also the help.

use crate::model::{DROPOUT, Noise, UnetSizes};
use candle_core::{Result, Tensor, bail};
use gan_core::nn::maps::Norm;
use gan_core::nn::patch;
use gan_core::optim::schedule;
use gan_core::{
    Context, DataInfo, Iter, Jitter, Net, Optimizer, Params, Preset, Range, Rule, check, init,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
    /// Iterations of the whole run: an update of D and one of G each.
    pub iterations: u64,
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
    /// Iterations at the end in which the learning rate falls linearly to 0; 0: it does not.
    pub decay: u64,
    /// Whether samples drop units, too.
    pub sample_dropout: bool,
    /// Whether samples are normalised by their own statistics, not by the running ones.
    pub sample_batch_statistics: bool,
}

impl Config {
    /// The settings of a preset; those of the paper are in its sections 3.3 and 6.
    pub fn preset(preset: Preset, data: &DataInfo) -> Self {
        let paper = Self {
            objective: Objective::CganL1,
            direction: Direction::AToB,
            // 200 epochs (appendix 6.2, façades).
            iterations: 200 * data.len as u64,
            batch: 1,
            size: 256,
            jitter: 30,
            flip: true,
            channels: data.channels,
            norm: Norm::Batch,
            downs: 8,
            width_g: 64,
            dropout: DROPOUT,
            width_d: 64,
            n_layers: 3,
            lambda_l1: 100.,
            lr: 2e-4,
            beta1: 0.5,
            beta2: 0.999,
            decay: 0,
            sample_dropout: true,
            sample_batch_statistics: true,
        };
        match preset {
            Preset::Paper | Preset::Bench => paper,
            Preset::Demo => Self {
                iterations: 1_950,
                batch: 4,
                size: 64,
                jitter: 0,
                flip: false,
                downs: 6,
                width_g: 32,
                width_d: 32,
                n_layers: 2,
                sample_batch_statistics: false,
                ..paper
            },
            Preset::Smoke => Self {
                iterations: 200,
                batch: 2,
                size: 64,
                jitter: 8,
                downs: 6,
                width_g: 4,
                width_d: 4,
                n_layers: 2,
                ..paper
            },
        }
    }

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
    pub fn discriminator(&self) -> patch::PatchSizes {
        patch::PatchSizes {
            channels: 2 * self.channels,
            width: self.width_d,
            n_layers: self.n_layers,
        }
    }

    /// How pictures are made for people.
    pub fn sampling(&self) -> Noise {
        Noise::sampling(self.sample_dropout, self.sample_batch_statistics)
    }

    /// Refuses what cannot be built.
    pub fn check(&self) -> Result<()> {
        check::within("iterations", self.iterations, 1..=1 << 40)?;
        check::size("batch", self.batch)?;
        self.generator().check()?;
        check::crop(self.size, self.jitter, self.generator().multiple())?;
        self.discriminator()
            .check("width_d", "n_layers", self.size)?;
        check::fraction("dropout", self.dropout)?;
        check::positive("lambda_l1", self.lambda_l1)?;
        check::positive("lr", self.lr)?;
        check::fraction("beta1", self.beta1)?;
        check::fraction("beta2", self.beta2)?;
        check::within("decay", self.decay, 0..=self.iterations)
    }

    /// The next pairs (x, y): what is given and what is to be made, `[b, channels, size, size]` each.
    pub(crate) fn pairs(&self, it: &mut Iter<'_>) -> Result<(Tensor, Tensor)> {
        let jitter = Jitter {
            load: self.size + self.jitter,
            flip: self.flip,
        };
        let (a, b) = it.pairs(["x", "y"], self.batch, self.size, Range::Signed, jitter)?;
        Ok(match self.direction {
            Direction::AToB => (a, b),
            Direction::BToA => (b, a),
        })
    }

    /// The weight of the distance in G's loss.
    pub(crate) fn weight_l1(&self) -> f64 {
        match self.objective {
            Objective::Cgan => 0.,
            Objective::L1 | Objective::CganL1 => self.lambda_l1,
        }
    }

    pub(crate) fn new_generator(&self, cx: &Context) -> Result<Net<crate::Unet>> {
        self.check()?;
        check::channels(self.channels, &cx.data)?;
        Net::new(cx, "g", init::convolutions_normal_offsets_zero, |vb| {
            crate::Unet::new(&self.generator(), self.dropout, vb)
        })
    }

    pub(crate) fn new_discriminator(&self, cx: &Context) -> Result<Net<patch::PatchDiscriminator>> {
        Net::new(cx, "d", init::convolutions_normal_offsets_zero, |vb| {
            patch::PatchDiscriminator::new(self.norm, &self.discriminator(), vb)
        })
    }

    pub(crate) fn optimizer(&self, net: &Params) -> Result<Optimizer> {
        Optimizer::new(Rule::adam(self.beta1, self.beta2), self.lr, &[net])
    }

    /// The learning rate of iteration `t`.
    pub(crate) fn lr(&self, t: u64) -> f64 {
        match self.decay {
            0 => self.lr,
            decay => schedule::linear(
                self.lr,
                self.iterations - decay.min(self.iterations),
                decay,
                t,
            ),
        }
    }

    /// The settings of a reference recording and the data it was made with.
    pub fn reference(fixture: &str, config: &Value) -> Result<(Self, DataInfo)> {
        /// The recording's own names.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Recorded {
            opt: String,
            lr: f64,
            beta1: f64,
            beta2: f64,
            d_scale: f64,
            lambda_l1: f64,
            batch: usize,
            c: usize,
            h: usize,
            w: usize,
            downs: usize,
            f_g: usize,
            f_d: usize,
            n_layers: usize,
        }
        let r: Recorded =
            serde_json::from_value(config.clone()).map_err(candle_core::Error::wrap)?;
        if r.opt != "adam" || r.d_scale != 0.5 {
            bail!(
                "{fixture}: recorded with opt {:?} and d_scale {}, this paper has \"adam\" and 0.5",
                r.opt,
                r.d_scale
            )
        }
        let data = DataInfo {
            channels: r.c,
            height: r.h,
            width: r.w,
            classes: None,
            len: r.batch,
        };
        let size = r.h.min(r.w);
        let config = Self {
            iterations: 1,
            batch: r.batch,
            size,
            jitter: 0,
            flip: false,
            channels: r.c,
            downs: r.downs,
            width_g: r.f_g,
            width_d: r.f_d,
            n_layers: r.n_layers,
            lambda_l1: r.lambda_l1,
            lr: r.lr,
            beta1: r.beta1,
            beta2: r.beta2,
            ..Self::preset(Preset::Paper, &data)
        };
        Ok((config, data))
    }
}
