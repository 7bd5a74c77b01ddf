//! What DualGAN is: its facts, its presets, what it learns from, how it is built.

use crate::algorithm::DualGan;
use crate::config::Config;
use candle_core::{Device, Result};
use gan_core::Means::{Always, Channels, Height, Setting, Width};
use gan_core::nn::unet::{DROPOUT, Translator};
use gan_core::{
    Algorithm, Bench, Context, DataInfo, Layout, Learns, Paper, PaperInfo, Preset, Recording,
    Sampler, View, Weights, check,
};

impl Paper for Config {
    const INFO: PaperInfo = PaperInfo {
        name: "dualgan",
        title: "DualGAN: Unsupervised Dual Learning for Image-to-Image Translation",
        authors: "Yi, Zhang, Tan, Gong",
        year: 2017,
        arxiv: "1704.02510",
        data: "textured",
        recordings: &[Recording {
            name: "dualgan",
            keys: &[
                ("opt", Always("\"rmsprop\"")),
                ("lr", Setting("lr")),
                ("n_critic", Setting("n_critic")),
                ("clip", Setting("clip")),
                ("lambda_u", Setting("lambda_u")),
                ("lambda_v", Setting("lambda_v")),
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
        bench: &[Bench::new("dualgan", DataInfo::unlabelled(3, 256))],
    };

    const LAYOUTS: &'static [Layout] = &[gan_core::nn::unet::LAYOUT, gan_core::nn::patch::LAYOUT];

    /// README.md says which of these are the paper's and which are choices.
    fn preset(preset: Preset, data: &DataInfo) -> Self {
        let paper = Self {
            n_critic: 3,
            clip: 0.01,
            batch: 1,
            size: 256,
            jitter: 0,
            flip: false,
            channels: data.channels,
            downs: 8,
            width_g: 64,
            dropout: DROPOUT,
            width_d: 64,
            n_layers: 3,
            lambda_u: 100.,
            lambda_v: 100.,
            lr: 5e-5,
            alpha: 0.99,
            sample_dropout: true,
            sample_batch_statistics: true,
        };
        match preset {
            Preset::Paper | Preset::Bench => paper,
            Preset::Demo => Self {
                clip: 0.1,
                batch: 8,
                size: 32,
                downs: 5,
                width_g: 16,
                width_d: 16,
                n_layers: 2,
                lambda_u: 10.,
                lambda_v: 10.,
                lr: 5e-4,
                sample_batch_statistics: false,
                ..paper
            },
            Preset::Smoke => Self {
                n_critic: 2,
                batch: 2,
                size: 32,
                jitter: 4,
                flip: true,
                downs: 5,
                width_g: 2,
                width_d: 4,
                n_layers: 1,
                ..paper
            },
        }
    }

    fn steps(&self, preset: Preset, data: &DataInfo) -> u64 {
        match preset {
            // The paper does not say; a choice.
            Preset::Paper | Preset::Bench => (45 * data.epoch() / self.batch.max(1)) as u64,
            Preset::Demo => 2_700,
            Preset::Smoke => 200,
        }
    }

    fn check(&self) -> Result<()> {
        check::size("n_critic", self.n_critic)?;
        check::positive("clip", self.clip)?;
        check::size("batch", self.batch)?;
        self.generator().check()?;
        check::crop(self.size, self.jitter, self.generator().multiple())?;
        self.critic().check("width_d", "n_layers", self.size)?;
        check::fraction("dropout", self.dropout)?;
        check::positive("lambda_u", self.lambda_u)?;
        check::positive("lambda_v", self.lambda_v)?;
        check::positive("lr", self.lr)?;
        check::fraction("alpha", self.alpha)
    }

    fn learns(&self) -> Learns {
        let view = View::jittered(self.size, self.jitter).flipped(self.flip);
        Learns::pictures(view, self.batch).apart()
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Algorithm>> {
        Ok(Box::new(DualGan::new(self, cx)?))
    }

    fn open(weights: &Weights, device: &Device) -> Result<Box<dyn Sampler>> {
        Ok(Box::new(Translator::open(weights, device)?))
    }
}
