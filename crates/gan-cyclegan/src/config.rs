//! The settings: one field, one sentence, which is also the help.

use crate::model::ResnetSizes;
use candle_core::{Result, bail};
use gan_core::nn::maps::Norm;
use gan_core::nn::patch;
use gan_core::optim::schedule;
use gan_core::{DataInfo, Jitter, Preset, check};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Settings of CycleGAN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Iterations of the whole run: an update of both generators and one of each discriminator.
    pub iterations: u64,
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
    /// Iterations at the end in which the learning rate falls linearly to 0; 0: it does not.
    pub decay: u64,
}

impl Config {
    /// The settings of a preset; those of the paper are in its section 4 and appendix 7.1.
    pub fn preset(preset: Preset, data: &DataInfo) -> Self {
        let epochs = |n: u64| n * data.len as u64;
        let paper = Self {
            iterations: epochs(200),
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
            decay: epochs(100),
        };
        match preset {
            Preset::Paper => paper,
            Preset::Bench => Self {
                size: 128,
                jitter: 0,
                flip: false,
                blocks: Self::blocks(128),
                lambda_identity: 0.5,
                decay: 0,
                ..paper
            },
            Preset::Demo => Self {
                iterations: 2_700,
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
                decay: 1_350,
                ..paper
            },
            Preset::Smoke => Self {
                iterations: 200,
                batch: 2,
                size: 16,
                jitter: 2,
                blocks: 1,
                width_g: 4,
                width_d: 4,
                n_layers: 1,
                lambda_identity: 0.5,
                pool: 4,
                decay: 100,
                ..paper
            },
        }
    }

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
    pub fn discriminator(&self) -> patch::PatchSizes {
        patch::PatchSizes {
            channels: self.channels,
            width: self.width_d,
            n_layers: self.n_layers,
        }
    }

    /// What is done to pictures at random.
    pub fn jitter(&self) -> Jitter {
        Jitter {
            load: self.size + self.jitter,
            flip: self.flip,
        }
    }

    /// Refuses what cannot be built.
    pub fn check(&self) -> Result<()> {
        check::within("iterations", self.iterations, 1..=1 << 40)?;
        check::size("batch", self.batch)?;
        self.generator().check()?;
        check::crop(self.size, self.jitter, 4)?;
        self.discriminator()
            .check("width_d", "n_layers", self.size)?;
        check::positive("lambda_cycle", self.lambda_cycle)?;
        check::within("lambda_identity", self.lambda_identity, 0. ..=1e6)?;
        check::within("pool", self.pool, 0..=1 << 14)?;
        check::positive("lr", self.lr)?;
        check::fraction("beta1", self.beta1)?;
        check::fraction("beta2", self.beta2)?;
        check::within("decay", self.decay, 0..=self.iterations)
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
            lambda_cycle: f64,
            lambda_idt: f64,
            pool: usize,
            batch: usize,
            c: usize,
            h: usize,
            w: usize,
            f_g: usize,
            blocks: usize,
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
            blocks: r.blocks,
            width_g: r.f_g,
            width_d: r.f_d,
            n_layers: r.n_layers,
            lambda_cycle: r.lambda_cycle,
            lambda_identity: r.lambda_idt,
            pool: r.pool,
            lr: r.lr,
            beta1: r.beta1,
            beta2: r.beta2,
            decay: 0,
            ..Self::preset(Preset::Paper, &data)
        };
        Ok((config, data))
    }
}
