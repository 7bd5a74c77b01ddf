//! What DCGAN is: its facts, its presets, what it learns from, how it is built.

use crate::algorithm::Dcgan;
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
        name: "dcgan",
        title: "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks",
        authors: "Radford, Metz, Chintala",
        year: 2015,
        arxiv: "1511.06434",
        data: "mnist",
        recordings: &[Recording {
            name: "dcgan",
            keys: &[
                ("opt", Always("\"adam\"")),
                ("lr", Setting("lr")),
                ("beta1", Setting("beta1")),
                ("beta2", Setting("beta2")),
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
        bench: &[
            Bench::new("dcgan", DataInfo::unlabelled(3, 64)),
            Bench::new("dcgan-c1", DataInfo::unlabelled(1, 64)),
        ],
    };

    const LAYOUTS: &'static [Layout] = &[gan_core::nn::strided::LAYOUT];

    /// Those of the paper are in its section 4.
    fn preset(preset: Preset, data: &DataInfo) -> Self {
        let paper = Self {
            batch: 128,
            size: 64,
            flip: false,
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
                batch: 64,
                size: StridedSizes::side(data, 32),
                width_d: 32,
                width_g: 32,
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
            // One pass over the 3,033,042 bedrooms of LSUN (figure 2).
            Preset::Paper | Preset::Bench => 23_696,
            Preset::Demo => 4_000,
            Preset::Smoke => 200,
        }
    }

    fn check(&self) -> Result<()> {
        check::size("batch", self.batch)?;
        check::size("z_dim", self.z_dim)?;
        self.generator().check("width_g")?;
        self.discriminator().check("width_d")?;
        check::positive("lr", self.lr)?;
        check::fraction("beta1", self.beta1)?;
        check::fraction("beta2", self.beta2)
    }

    fn learns(&self) -> Learns {
        Learns::pictures(View::square(self.size).flipped(self.flip), self.batch)
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Algorithm>> {
        Ok(Box::new(Dcgan::new(self, cx)?))
    }

    fn open(weights: &Weights, device: &Device) -> Result<Box<dyn Sampler>> {
        Ok(Box::new(Generator::open(weights, device)?))
    }
}
