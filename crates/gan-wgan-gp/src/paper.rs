//! What WGAN-GP is: its facts, its presets, what it learns from, how it is built.

use crate::algorithm::WganGp;
use crate::config::Config;
use candle_core::{Device, Result};
use gan_core::Means::{Always, Channels, Nothing, Setting, Side};
use gan_core::nn::strided::{Generator, StridedSizes};
use gan_core::{
    Algorithm, Bench, Context, DataInfo, Layout, Learns, Paper, PaperInfo, Preset, Recording,
    Sampler, View, Weights, check,
};

impl Paper for Config {
    const INFO: PaperInfo = PaperInfo {
        name: "wgan-gp",
        title: "Improved Training of Wasserstein GANs",
        authors: "Gulrajani, Ahmed, Arjovsky, Dumoulin, Courville",
        year: 2017,
        arxiv: "1704.00028",
        data: "mnist",
        recordings: &[Recording {
            name: "wgan-gp",
            keys: &[
                ("opt", Always("\"adam\"")),
                ("lr", Setting("lr")),
                ("beta1", Setting("beta1")),
                ("beta2", Setting("beta2")),
                ("n_critic", Setting("n_critic")),
                ("lambda_gp", Setting("lambda_gp")),
                ("batch", Setting("batch")),
                ("c", Setting("channels")),
                ("c", Channels),
                ("size", Setting("size")),
                ("size", Side),
                ("z", Setting("z_dim")),
                ("f_d", Setting("width_d")),
                ("f_g", Setting("width_g")),
                ("d_last", Nothing),
            ],
            set: &[],
        }],
        bench: &[Bench::new("wgan-gp", DataInfo::unlabelled(3, 64))],
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
            lr: 1e-4,
            beta1: 0.,
            beta2: 0.9,
            n_critic: 5,
            lambda_gp: 10.,
        };
        match preset {
            Preset::Paper | Preset::Bench => paper,
            Preset::Demo => Self {
                size: StridedSizes::side(data, 32),
                width_d: 16,
                width_g: 16,
                lr: 5e-4,
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
            // Section 5.1: each architecture is trained for 200,000 iterations of G.
            Preset::Paper | Preset::Bench => 200_000,
            Preset::Demo => 2_000,
            Preset::Smoke => 200,
        }
    }

    fn check(&self) -> Result<()> {
        check::size("batch", self.batch)?;
        check::size("z_dim", self.z_dim)?;
        self.generator().check("width_g")?;
        self.critic().check("width_d")?;
        check::positive("lr", self.lr)?;
        check::fraction("beta1", self.beta1)?;
        check::fraction("beta2", self.beta2)?;
        check::within("n_critic", self.n_critic, 1..=100)?;
        check::within("lambda_gp", self.lambda_gp, 0. ..=1e6)
    }

    fn learns(&self) -> Learns {
        Learns::pictures(View::square(self.size).flipped(self.flip), self.batch)
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Algorithm>> {
        Ok(Box::new(WganGp::new(self, cx)?))
    }

    fn open(weights: &Weights, device: &Device) -> Result<Box<dyn Sampler>> {
        Ok(Box::new(Generator::open(weights, device)?))
    }
}
