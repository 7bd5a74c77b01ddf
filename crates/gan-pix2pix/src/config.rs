//! The settings: one field, one sentence, which is also the help; and the paper's facts.

use crate::adversarial::Pix2Pix;
use crate::model::{DROPOUT, Noise, Translator, Unet, UnetSizes};
use crate::regression::Regression;
use candle_core::{Device, Result, Tensor};
use gan_core::Means::{Always, Channels, Height, Setting, Width};
use gan_core::nn::maps::Norm;
use gan_core::nn::patch::{PatchDiscriminator, PatchSizes};
use gan_core::optim::schedule;
use gan_core::{
    Algorithm, Context, DataInfo, Iter, Learns, Length, Net, Optimizer, Paper, PaperInfo, Params,
    Preset, Recording, Rule, Sampler, Side, View, Weights, check, init, pictures,
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

impl Paper for Config {
    const INFO: PaperInfo = PaperInfo {
        name: "pix2pix",
        title: "Image-to-Image Translation with Conditional Adversarial Networks",
        authors: "Isola, Zhu, Zhou, Efros",
        year: 2017,
        arxiv: "1611.07004",
        data: "outline",
        recordings: &[Recording {
            name: "pix2pix",
            keys: &[
                ("opt", Always("\"adam\"")),
                ("d_scale", Always("0.5")),
                ("lr", Setting("lr")),
                ("beta1", Setting("beta1")),
                ("beta2", Setting("beta2")),
                ("lambda_l1", Setting("lambda_l1")),
                ("batch", Setting("batch")),
                ("c", Setting("channels")),
                ("c", Channels),
                ("h", Setting("size")),
                ("h", Height),
                ("w", Width),
                ("downs", Setting("downs")),
                ("f_g", Setting("width_g")),
                ("f_d", Setting("width_d")),
                ("n_layers", Setting("n_layers")),
            ],
            set: &[("jitter", "0"), ("flip", "false")],
        }],
        bench: &[("pix2pix", DataInfo::unlabelled(3, 256))],
    };

    /// Those of the paper are in its sections 3.3 and 6.
    fn preset(preset: Preset, data: &DataInfo) -> Self {
        let paper = Self {
            objective: Objective::CganL1,
            direction: Direction::AToB,
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
            decay: 0.,
            sample_dropout: true,
            sample_batch_statistics: true,
        };
        match preset {
            Preset::Paper | Preset::Bench => paper,
            Preset::Demo => Self {
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

    fn steps(&self, preset: Preset, data: &DataInfo) -> u64 {
        match preset {
            // 200 epochs (appendix 6.2, façades).
            Preset::Paper | Preset::Bench => 200 * data.epoch() as u64,
            Preset::Demo => 1_950,
            Preset::Smoke => 200,
        }
    }

    fn check(&self) -> Result<()> {
        check::size("batch", self.batch)?;
        self.generator().check()?;
        check::norm_of_maps("norm", self.norm)?;
        check::crop(self.size, self.jitter, self.generator().multiple())?;
        self.discriminator()
            .check("width_d", "n_layers", self.size)?;
        check::fraction("dropout", self.dropout)?;
        check::positive("lambda_l1", self.lambda_l1)?;
        check::positive("lr", self.lr)?;
        check::fraction("beta1", self.beta1)?;
        check::fraction("beta2", self.beta2)?;
        check::within("decay", self.decay, 0. ..=1.)
    }

    fn learns(&self) -> Learns {
        let view = View::jittered(self.size, self.jitter).flipped(self.flip);
        Learns::pictures(view, self.batch)
            .paired(self.input())
            .scheduled(self.decay > 0.)
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Algorithm>> {
        Ok(match self.objective {
            Objective::L1 => Box::new(Regression::new(self, cx)?),
            Objective::Cgan | Objective::CganL1 => Box::new(Pix2Pix::new(self, cx)?),
        })
    }

    fn open(weights: &Weights, device: &Device) -> Result<Box<dyn Sampler>> {
        Ok(Box::new(Translator::open(weights, device)?))
    }
}
