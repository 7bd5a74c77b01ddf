//! The settings: one field, one sentence, which is also the help.

use candle_core::{Result, bail};
use gan_core::{DataInfo, Preset, check};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Settings of the original GAN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Pictures in a batch.
    pub batch: usize,
    /// Passes over the data.
    pub epochs: u64,
    /// Components of the noise z.
    pub z_dim: usize,
    /// Units of the discriminator's hidden layer.
    pub hidden_d: usize,
    /// Units of the generator's hidden layer.
    pub hidden_g: usize,
    /// Learning rate of both Adam optimizers.
    pub lr: f64,
    /// Adam's decay of the gradient's mean.
    pub beta1: f64,
    /// Adam's decay of the gradient's square.
    pub beta2: f64,
}

impl Config {
    /// The settings of a preset. The paper gives none for this form; see README.md, "Settings".
    pub fn preset(preset: Preset, _: &DataInfo) -> Self {
        let usual = Self {
            batch: 32,
            epochs: 50,
            z_dim: 64,
            hidden_d: 128,
            hidden_g: 256,
            lr: 3e-4,
            beta1: 0.9,
            beta2: 0.999,
        };
        match preset {
            Preset::Paper | Preset::Bench => usual,
            // The embedded set has a seventh of MNIST's digits, so an epoch is a seventh as long.
            Preset::Demo => Self {
                epochs: 200,
                ..usual
            },
            Preset::Smoke => Self {
                batch: 256,
                epochs: 1,
                z_dim: 8,
                hidden_d: 16,
                hidden_g: 16,
                ..usual
            },
        }
    }

    /// Refuses what cannot be built.
    pub fn check(&self) -> Result<()> {
        for (key, value) in [
            ("batch", self.batch),
            ("z_dim", self.z_dim),
            ("hidden_d", self.hidden_d),
            ("hidden_g", self.hidden_g),
        ] {
            check::size(key, value)?;
        }
        check::within("epochs", self.epochs, 1..=1 << 32)?;
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
            d_scale: f64,
            batch: usize,
            img: usize,
            z: usize,
            hidden_d: usize,
            hidden_g: usize,
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
        let config = Self {
            batch: r.batch,
            epochs: 1,
            z_dim: r.z,
            hidden_d: r.hidden_d,
            hidden_g: r.hidden_g,
            lr: r.lr,
            beta1: r.beta1,
            beta2: r.beta2,
        };
        let data = DataInfo {
            channels: 1,
            height: 1,
            width: r.img,
            classes: None,
            len: r.batch,
        };
        Ok((config, data))
    }
}
