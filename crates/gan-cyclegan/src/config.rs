//! The settings: one field, one sentence, which is also the help; and the paper's facts.

use crate::algorithm::CycleGan;
use crate::model::{ResnetGenerator, ResnetSizes};
use candle_core::{Device, Result};
use gan_core::Means::{Always, Channels, Height, Setting, Width};
use gan_core::nn::maps::Norm;
use gan_core::nn::patch::PatchSizes;
use gan_core::{
    Algorithm, Context, DataInfo, Learns, Paper, PaperInfo, Preset, Recording, Sampler, View,
    Weights, check,
};
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

impl Paper for Config {
    const INFO: PaperInfo = PaperInfo {
        name: "cyclegan",
        title: "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks",
        authors: "Zhu, Park, Isola, Efros",
        year: 2017,
        arxiv: "1703.10593",
        data: "textured",
        recordings: &[Recording {
            name: "cyclegan",
            keys: &[
                ("opt", Always("\"adam\"")),
                ("d_scale", Always("0.5")),
                ("lr", Setting("lr")),
                ("beta1", Setting("beta1")),
                ("beta2", Setting("beta2")),
                ("lambda_cycle", Setting("lambda_cycle")),
                ("lambda_idt", Setting("lambda_identity")),
                ("pool", Setting("pool")),
                ("batch", Setting("batch")),
                ("c", Setting("channels")),
                ("c", Channels),
                ("h", Setting("size")),
                ("h", Height),
                ("w", Width),
                ("f_g", Setting("width_g")),
                ("blocks", Setting("blocks")),
                ("f_d", Setting("width_d")),
                ("n_layers", Setting("n_layers")),
            ],
            set: &[("jitter", "0"), ("flip", "false"), ("decay", "0")],
        }],
        bench: &[("cyclegan", DataInfo::unlabelled(3, 128))],
    };

    /// Those of the paper are in its section 4 and appendix 7.1.
    fn preset(preset: Preset, data: &DataInfo) -> Self {
        let paper = Self {
            batch: 1,
            size: 256,
            jitter: 30,
            flip: true,
            channels: data.channels,
            norm: Norm::Instance,
            blocks: Self::blocks(256),
            width_g: 64,
            width_d: 64,
            n_layers: 3,
            lambda_cycle: 10.,
            lambda_identity: 0.,
            pool: 50,
            lr: 2e-4,
            beta1: 0.5,
            beta2: 0.999,
            decay: 0.5, // the last 100 of 200 epochs
        };
        match preset {
            Preset::Paper => paper,
            Preset::Bench => Self {
                size: 128,
                jitter: 0,
                flip: false,
                blocks: Self::blocks(128),
                lambda_identity: 0.5,
                decay: 0.,
                ..paper
            },
            Preset::Demo => Self {
                batch: 8,
                size: 32,
                jitter: 0,
                flip: false,
                blocks: 3,
                width_g: 24,
                width_d: 32,
                n_layers: 2,
                lambda_cycle: 5.,
                lr: 4e-4,
                ..paper
            },
            Preset::Smoke => Self {
                batch: 2,
                size: 16,
                jitter: 2,
                blocks: 1,
                width_g: 4,
                width_d: 4,
                n_layers: 1,
                lambda_identity: 0.5,
                pool: 4,
                ..paper
            },
        }
    }

    fn steps(&self, preset: Preset, data: &DataInfo) -> u64 {
        match preset {
            // 200 epochs (appendix 7.1).
            Preset::Paper | Preset::Bench => 200 * data.epoch() as u64,
            Preset::Demo => 2_700,
            Preset::Smoke => 200,
        }
    }

    fn check(&self) -> Result<()> {
        check::size("batch", self.batch)?;
        self.generator().check()?;
        check::norm_of_maps("norm", self.norm)?;
        check::crop(self.size, self.jitter, 4)?;
        self.discriminator()
            .check("width_d", "n_layers", self.size)?;
        check::positive("lambda_cycle", self.lambda_cycle)?;
        check::within("lambda_identity", self.lambda_identity, 0. ..=1e6)?;
        check::within("pool", self.pool, 0..=1 << 14)?;
        check::positive("lr", self.lr)?;
        check::fraction("beta1", self.beta1)?;
        check::fraction("beta2", self.beta2)?;
        check::within("decay", self.decay, 0. ..=1.)
    }

    fn learns(&self) -> Learns {
        let view = View::jittered(self.size, self.jitter).flipped(self.flip);
        Learns::pictures(view, self.batch)
            .apart()
            .scheduled(self.decay > 0.)
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Algorithm>> {
        Ok(Box::new(CycleGan::new(self, cx)?))
    }

    fn open(weights: &Weights, device: &Device) -> Result<Box<dyn Sampler>> {
        Ok(Box::new(ResnetGenerator::open(weights, device)?))
    }
}
