//! The settings: one field, one sentence, which is also the help.

use candle_core::{Result, bail};
use gan_core::nn::strided::StridedSizes;
use gan_core::{DataInfo, Preset, check};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Settings of the deep convolutional GAN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Iterations of the whole run: an update of D and one of G each.
    pub iterations: u64,
    /// Pictures in a batch.
    pub batch: usize,
    /// Side of a picture, a power of two from 16; the data's are resized to it.
    pub size: usize,
    /// Channels of a picture: 1 or 3, as the data has.
    pub channels: usize,
    /// Components of the noise z.
    pub z_dim: usize,
    /// Channels of D after its first layer; doubled with each halving of the picture.
    pub width_d: usize,
    /// Channels of G before its last layer; doubled with each halving of the picture.
    pub width_g: usize,
    /// Learning rate of both Adam optimizers.
    pub lr: f64,
    /// Adam's decay of the gradient's mean.
    pub beta1: f64,
    /// Adam's decay of the gradient's square.
    pub beta2: f64,
}

impl Config {
    /// The settings of a preset; those of the paper are in its section 4.
    pub fn preset(preset: Preset, data: &DataInfo) -> Self {
        let paper = Self {
            // One pass over the 3,033,042 bedrooms of LSUN (figure 2).
            iterations: 23_696,
            batch: 128,
            size: 64,
            channels: data.channels,
            z_dim: 100,
            width_d: 64,
            width_g: 64,
            lr: 2e-4,
            beta1: 0.5,
            beta2: 0.999,
        };
        match preset {
            Preset::Paper => paper,
            Preset::Bench => Self { batch: 64, ..paper },
            Preset::Demo => Self {
                iterations: 4_000,
                batch: 64,
                size: StridedSizes::side(data, 32),
                width_d: 32,
                width_g: 32,
                ..paper
            },
            Preset::Smoke => Self {
                iterations: 200,
                batch: 16,
                size: 16,
                z_dim: 8,
                width_d: 8,
                width_g: 8,
                ..paper
            },
        }
    }

    /// The sizes of G.
    pub fn generator(&self) -> StridedSizes {
        StridedSizes {
            size: self.size,
            channels: self.channels,
            width: self.width_g,
        }
    }

    /// The sizes of D.
    pub fn discriminator(&self) -> StridedSizes {
        StridedSizes {
            width: self.width_d,
            ..self.generator()
        }
    }

    /// Refuses what cannot be built.
    pub fn check(&self) -> Result<()> {
        check::within("iterations", self.iterations, 1..=1 << 40)?;
        check::size("batch", self.batch)?;
        check::size("z_dim", self.z_dim)?;
        self.generator().check("width_g")?;
        self.discriminator().check("width_d")?;
        check::positive("lr", self.lr)?;
        check::fraction("beta1", self.beta1)?;
        check::fraction("beta2", self.beta2)
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
            batch: usize,
            c: usize,
            size: usize,
            z: usize,
            f_d: usize,
            f_g: usize,
        }
        let r: Recorded =
            serde_json::from_value(config.clone()).map_err(candle_core::Error::wrap)?;
        if r.opt != "adam" {
            bail!(
                "{fixture}: recorded with opt {:?}, this paper has \"adam\"",
                r.opt
            )
        }
        let config = Self {
            iterations: 1,
            batch: r.batch,
            size: r.size,
            channels: r.c,
            z_dim: r.z,
            width_d: r.f_d,
            width_g: r.f_g,
            lr: r.lr,
            beta1: r.beta1,
            beta2: r.beta2,
        };
        Ok((config, DataInfo::unlabelled(r.c, r.size)))
    }
}
