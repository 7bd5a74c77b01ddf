//! What pix2pix is: its facts, its presets, what it learns from, how it is built.

use crate::adversarial::Pix2Pix;
use crate::config::{Config, Direction, Objective};
use crate::regression::Regression;
use candle_core::{Device, Result};
use gan_core::Means::{Always, Channels, Height, Setting, Width};
use gan_core::nn::maps::Norm;
use gan_core::nn::unet::{DROPOUT, Translator};
use gan_core::{
    Algorithm, Bench, Context, DataInfo, Layout, Learns, Paper, PaperInfo, Preset, Recording,
    Sampler, View, Weights, check,
};

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
        bench: &[Bench::new("pix2pix", DataInfo::unlabelled(3, 256))],
    };

    const LAYOUTS: &'static [Layout] = &[gan_core::nn::unet::LAYOUT, gan_core::nn::patch::LAYOUT];

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
