//! What WGAN is: its facts, its presets, what it learns from, how it is built.

use crate::algorithm::Wgan;
use crate::config::Config;
use candle_core::{Device, Result};
use gan_core::Means::{Always, Channels, Setting, Side};
use gan_core::nn::strided::{Generator, StridedSizes};
use gan_core::{
    Algorithm, Bench, Context, DataInfo, Layout, Learns, Paper, PaperInfo, Preset, Recording,
    Sampler, View, Weights, check,
};

impl Paper for Config {
    const INFO: PaperInfo = PaperInfo {
        name: "wgan",
        title: "Wasserstein GAN",
        authors: "Arjovsky, Chintala, Bottou",
        year: 2017,
        arxiv: "1701.07875",
        data: "mnist",
        recordings: &[Recording {
            name: "wgan",
            keys: &[
                ("opt", Always("\"rmsprop\"")),
                ("lr", Setting("lr")),
                ("n_critic", Setting("n_critic")),
                ("clip", Setting("clip")),
                ("batch", Setting("batch")),
                ("c", Setting("channels")),
                ("c", Channels),
                ("size", Setting("size")),
                ("size", Side),
                ("z", Setting("z_dim")),
                ("f_d", Setting("width_d")),
                ("f_g", Setting("width_g")),
            ],
            set: &[],
        }],
        bench: &[Bench::new("wgan", DataInfo::unlabelled(3, 64))],
    };

    const LAYOUTS: &'static [Layout] = &[gan_core::nn::strided::LAYOUT];

    /// Those of the paper are the defaults of its Algorithm 1.
    fn preset(preset: Preset, data: &DataInfo) -> Self {
        let paper = Self {
            batch: 64,
            size: 64,
            flip: false,
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
                size: StridedSizes::side(data, 32),
                width_d: 16,
                width_g: 16,
                lr: 2e-4,
                ..paper
            },
            Preset::Smoke => Self {
                batch: 16,
                size: 16,
                z_dim: 8,
                width_d: 8,
                width_g: 8,
                ..paper
            },
        }
    }

    fn steps(&self, preset: Preset, _: &DataInfo) -> u64 {
        match preset {
            // The paper does not say; its curves (figures 3 and 4) run on to this order of magnitude.
            Preset::Paper | Preset::Bench => 100_000,
            Preset::Demo => 4_000,
            Preset::Smoke => 200,
        }
    }

    fn check(&self) -> Result<()> {
        check::size("batch", self.batch)?;
        check::size("z_dim", self.z_dim)?;
        self.generator().check("width_g")?;
        self.critic().check("width_d")?;
        check::positive("lr", self.lr)?;
        check::fraction("alpha", self.alpha)?;
        check::within("n_critic", self.n_critic, 1..=100)?;
        check::positive("clip", self.clip)
    }

    fn learns(&self) -> Learns {
        Learns::pictures(View::square(self.size).flipped(self.flip), self.batch)
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Algorithm>> {
        Ok(Box::new(Wgan::new(self, cx)?))
    }

    fn open(weights: &Weights, device: &Device) -> Result<Box<dyn Sampler>> {
        Ok(Box::new(Generator::open(weights, device)?))
    }
}
