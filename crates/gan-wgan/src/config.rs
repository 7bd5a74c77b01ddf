//! The settings: one field, one sentence, which is also the help.

use candle_core::{Result, bail};
use gan_core::nn::strided::StridedSizes;
use gan_core::{DataInfo, Preset, check};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Settings of the Wasserstein GAN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Iterations of the whole run: `n_critic` updates of the critic and one of G each.
    pub iterations: u64,
    /// Pictures in a batch.
    pub batch: usize,
    /// Side of a picture, a power of two from 16; the data's are resized to it.
    pub size: usize,
    /// Channels of a picture: 1 or 3, as the data has.
    pub channels: usize,
    /// Components of the noise z.
    pub z_dim: usize,
    /// Channels of the critic after its first layer; doubled with each halving of the picture.
    pub width_d: usize,
    /// Channels of G before its last layer; doubled with each halving of the picture.
    pub width_g: usize,
    /// Learning rate α of both RMSProp optimizers.
    pub lr: f64,
    /// RMSProp's decay of the gradient's square.
    pub alpha: f64,
    /// Updates of the critic for one of G.
    pub n_critic: usize,
    /// Bound c of the critic's weights, to which they are clipped after each update.
    pub clip: f64,
}

impl Config {
    /// The settings of a preset; those of the paper are the defaults of its Algorithm 1.
    pub fn preset(preset: Preset, data: &DataInfo) -> Self {
        let paper = Self {
            // The paper does not say; its curves (figures 3 and 4) run on to this order of magnitude.
            iterations: 100_000,
            batch: 64,
            size: 64,
            channels: data.channels,
            z_dim: 100,
            width_d: 64,
            width_g: 64,
            lr: 5e-5,
            alpha: 0.99,
            n_critic: 5,
            clip: 0.01,
        };
        match preset {
            Preset::Paper | Preset::Bench => paper,
            Preset::Demo => Self {
                iterations: 4_000,
                size: StridedSizes::side(data, 32),
                width_d: 16,
                width_g: 16,
                lr: 2e-4,
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

    /// The sizes of the critic.
    pub fn critic(&self) -> StridedSizes {
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
        self.critic().check("width_d")?;
        check::positive("lr", self.lr)?;
        check::fraction("alpha", self.alpha)?;
        check::within("n_critic", self.n_critic, 1..=100)?;
        check::positive("clip", self.clip)
    }

    /// The settings of a reference recording and the data it was made with.
    pub fn reference(fixture: &str, config: &Value) -> Result<(Self, DataInfo)> {
        /// The recording's own names.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Recorded {
            opt: String,
            lr: f64,
            n_critic: usize,
            clip: f64,
            batch: usize,
            c: usize,
            size: usize,
            z: usize,
            f_d: usize,
            f_g: usize,
        }
        let r: Recorded =
            serde_json::from_value(config.clone()).map_err(candle_core::Error::wrap)?;
        if r.opt != "rmsprop" {
            bail!(
                "{fixture}: recorded with opt {:?}, this paper has \"rmsprop\"",
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
            alpha: 0.99,
            n_critic: r.n_critic,
            clip: r.clip,
        };
        Ok((config, DataInfo::unlabelled(r.c, r.size)))
    }
}
