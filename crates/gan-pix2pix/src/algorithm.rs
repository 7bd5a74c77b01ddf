//! The paper as the runner sees it; the training itself is in `adversarial.rs` and `regression.rs`.

use crate::adversarial::Pix2Pix;
use crate::config::{Config, Objective};
use crate::model::Translator;
use crate::regression::Regression;
use candle_core::{Device, Result};
use gan_core::{
    Algorithm, Context, DataInfo, Pace, Paper, PaperInfo, Preset, Sampler, Task, Weights,
};
use serde_json::Value;

/// Image-to-image translation with conditional adversarial networks.
#[derive(Debug)]
pub struct Isola;

impl Paper for Isola {
    type Config = Config;

    const INFO: PaperInfo = PaperInfo {
        name: "pix2pix",
        title: "Image-to-Image Translation with Conditional Adversarial Networks",
        authors: "Isola, Zhu, Zhou, Efros",
        year: 2017,
        arxiv: "1611.07004",
        data: "outline",
        fixtures: &["pix2pix"],
        bench: &[(
            "pix2pix",
            DataInfo {
                channels: 3,
                height: 256,
                width: 256,
                classes: None,
                len: 1,
            },
        )],
    };

    fn task(_: &Config) -> Task {
        Task::Paired
    }

    fn preset(preset: Preset, data: &DataInfo) -> Config {
        Config::preset(preset, data)
    }

    fn check(config: &Config) -> Result<()> {
        config.check()
    }

    fn pace(config: &Config, _: &DataInfo) -> Pace {
        Pace::of(config.iterations)
    }

    fn reference(fixture: &str, config: &Value) -> Result<(Config, DataInfo)> {
        Config::reference(fixture, config)
    }

    fn build(config: &Config, cx: &Context) -> Result<Box<dyn Algorithm>> {
        Ok(match config.objective {
            Objective::L1 => Box::new(Regression::new(config, cx)?),
            Objective::Cgan | Objective::CganL1 => Box::new(Pix2Pix::new(config, cx)?),
        })
    }

    fn open(weights: &Weights, device: &Device) -> Result<Box<dyn Sampler>> {
        Ok(Box::new(Translator::open(weights, device)?))
    }
}
