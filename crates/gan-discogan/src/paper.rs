//! What DiscoGAN is: its facts, its presets, what it learns from, how it is built.

use crate::algorithm::DiscoGan;
use crate::config::{Config, Distance};
use crate::model::Generator;
use candle_core::{Device, Result};
use gan_core::Means::{Always, Channels, Setting, Side};
use gan_core::{
    Algorithm, Bench, Context, DataInfo, Layout, Learns, Paper, PaperInfo, Preset, Recording,
    Sampler, View, Weights, check,
};

impl Paper for Config {
    const INFO: PaperInfo = PaperInfo {
        name: "discogan",
        title: "Learning to Discover Cross-Domain Relations with Generative Adversarial Networks",
        authors: "Kim, Cha, Kim, Lee, Kim",
        year: 2017,
        arxiv: "1703.05192",
        data: "textured",
        recordings: &[Recording {
            name: "discogan",
            keys: &[
                ("opt", Always("\"adam\"")),
                ("d_scale", Always("1.0")),
                ("lr", Setting("lr")),
                ("beta1", Setting("beta1")),
                ("beta2", Setting("beta2")),
                ("weight_decay", Setting("weight_decay")),
                ("distance", Setting("distance")),
                ("batch", Setting("batch")),
                ("c", Setting("channels")),
                ("c", Channels),
                ("size", Setting("size")),
                ("size", Side),
                ("f_g", Setting("width_g")),
                ("f_d", Setting("width_d")),
                ("bottleneck", Setting("bottleneck")),
            ],
            set: &[("flip", "false")],
        }],
        bench: &[Bench::new("discogan", DataInfo::unlabelled(3, 64))],
    };

    const LAYOUTS: &'static [Layout] = &[gan_core::nn::strided::LAYOUT];

    /// README.md says which of these are the paper's and which are choices.
    fn preset(preset: Preset, data: &DataInfo) -> Self {
        let paper = Self {
            distance: Distance::Mse,
            batch: 200,
            size: 64,
            flip: false,
            channels: data.channels,
            width_g: 64,
            bottleneck: 0,
            width_d: 64,
            lr: 2e-4,
            beta1: 0.5,
            beta2: 0.999,
            weight_decay: 1e-4,
        };
        match preset {
            Preset::Paper => paper,
            Preset::Bench => Self { batch: 64, ..paper },
            Preset::Demo => Self {
                batch: 8,
                size: 32,
                width_g: 32,
                width_d: 32,
                ..paper
            },
            Preset::Smoke => Self {
                batch: 2,
                size: 16,
                width_g: 4,
                bottleneck: 6,
                width_d: 4,
                ..paper
            },
        }
    }

    fn steps(&self, preset: Preset, data: &DataInfo) -> u64 {
        match preset {
            // The paper does not say; a choice.
            Preset::Paper | Preset::Bench => (200 * data.epoch() / self.batch.max(1)) as u64,
            Preset::Demo => 5_400,
            Preset::Smoke => 200,
        }
    }

    fn check(&self) -> Result<()> {
        check::size("batch", self.batch)?;
        self.generator().check()?;
        self.discriminator().check("width_d")?;
        check::positive("lr", self.lr)?;
        check::fraction("beta1", self.beta1)?;
        check::fraction("beta2", self.beta2)?;
        check::within("weight_decay", self.weight_decay, 0. ..=1.)
    }

    fn learns(&self) -> Learns {
        Learns::pictures(View::square(self.size).flipped(self.flip), self.batch).apart()
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Algorithm>> {
        Ok(Box::new(DiscoGan::new(self, cx)?))
    }

    fn open(weights: &Weights, device: &Device) -> Result<Box<dyn Sampler>> {
        Ok(Box::new(Generator::open(weights, device)?))
    }
}
