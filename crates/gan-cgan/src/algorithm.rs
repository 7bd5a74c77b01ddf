//! The paper as the runner sees it; the training itself is in `joint.rs` and `split.rs`.

use crate::config::{Config, Design};
use crate::joint::Joint;
use crate::model::Generator;
use crate::split::Split;
use candle_core::{Device, Result};
use gan_core::{
    Algorithm, Context, DataInfo, Pace, Paper, PaperInfo, Preset, Sampler, Task, Weights,
};
use serde_json::Value;

/// The conditional GAN.
#[derive(Debug)]
pub struct Cgan;

impl Paper for Cgan {
    type Config = Config;

    const INFO: PaperInfo = PaperInfo {
        name: "cgan",
        title: "Conditional Generative Adversarial Nets",
        authors: "Mirza, Osindero",
        year: 2014,
        arxiv: "1411.1784",
        data: "mnist",
        fixtures: &["cgan-joint", "cgan-split"],
        bench: &[(
            "cgan",
            DataInfo {
                channels: 1,
                height: 28,
                width: 28,
                classes: Some(10),
                len: 1,
            },
        )],
    };

    fn task(_: &Config) -> Task {
        Task::Labelled
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
        Ok(match config.design {
            Design::Joint => Box::new(Joint::new(config, cx)?),
            Design::Split => Box::new(Split::new(config, cx)?),
        })
    }

    fn open(weights: &Weights, device: &Device) -> Result<Box<dyn Sampler>> {
        Ok(Box::new(Generator::open(weights, device)?))
    }
}
