//! What CycleGAN is: its facts, its presets, what it learns from, how it is built.

use crate::algorithm::CycleGan;
use crate::config::Config;
use crate::model::ResnetGenerator;
use candle_core::{Device, Result};
use gan_core::Means::{Always, Channels, Height, Setting, Width};
use gan_core::nn::maps::Norm;
use gan_core::{
    Algorithm, Bench, Context, DataInfo, Layout, Learns, Paper, PaperInfo, Preset, Recording,
    Sampler, View, Weights, check,
};

impl Paper for Config {
    const INFO: PaperInfo = PaperInfo {
        name: "cyclegan",
        title: "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks",
        authors: "Zhu, Park, Isola, Efros",
        year: 2017,
        arxiv: "1703.10593",
        data: "textured",
        recordings: &[Recording {
            name: "cyclegan",
            keys: &[
                ("opt", Always("\"adam\"")),
                ("d_scale", Always("0.5")),
                ("lr", Setting("lr")),
                ("beta1", Setting("beta1")),
                ("beta2", Setting("beta2")),
                ("lambda_cycle", Setting("lambda_cycle")),
                ("lambda_idt", Setting("lambda_identity")),
                ("pool", Setting("pool")),
                ("batch", Setting("batch")),
                ("c", Setting("channels")),
                ("c", Channels),
                ("h", Setting("size")),
                ("h", Height),
                ("w", Width),
                ("f_g", Setting("width_g")),
                ("blocks", Setting("blocks")),
                ("f_d", Setting("width_d")),
                ("n_layers", Setting("n_layers")),
            ],
            set: &[("jitter", "0"), ("flip", "false"), ("decay", "0")],
        }],
        bench: &[Bench::new("cyclegan", DataInfo::unlabelled(3, 128))],
    };

    const LAYOUTS: &'static [Layout] = &[
        Layout {
            name: "ResNet generator (model.N.conv_block.M)",
            layers: &["model.#", "model.#.conv_block.#"],
        },
        gan_core::nn::patch::LAYOUT,
    ];

    /// Those of the paper are in its section 4 and appendix 7.1.
    fn preset(preset: Preset, data: &DataInfo) -> Self {
        let paper = Self {
            batch: 1,
            size: 256,
            jitter: 30,
            flip: true,
            channels: data.channels,
            norm: Norm::Instance,
            blocks: Self::blocks(256),
            width_g: 64,
            width_d: 64,
            n_layers: 3,
            lambda_cycle: 10.,
            lambda_identity: 0.,
            pool: 50,
            lr: 2e-4,
            beta1: 0.5,
            beta2: 0.999,
            decay: 0.5, // the last 100 of 200 epochs
        };
        match preset {
            Preset::Paper => paper,
            Preset::Bench => Self {
                size: 128,
                jitter: 0,
                flip: false,
                blocks: Self::blocks(128),
                lambda_identity: 0.5,
                decay: 0.,
                ..paper
            },
            Preset::Demo => Self {
                batch: 8,
                size: 32,
                jitter: 0,
                flip: false,
                blocks: 1,
                width_g: 24,
                n_layers: 2,
                lr: 4e-4,
                ..paper
            },
            Preset::Smoke => Self {
                batch: 2,
                size: 16,
                jitter: 2,
                blocks: 1,
                width_g: 4,
                width_d: 4,
                n_layers: 1,
                lambda_identity: 0.5,
                pool: 4,
                ..paper
            },
        }
    }

    fn steps(&self, preset: Preset, data: &DataInfo) -> u64 {
        match preset {
            // 200 epochs (appendix 7.1).
            Preset::Paper | Preset::Bench => 200 * data.epoch() as u64,
            Preset::Demo => 6_000,
            Preset::Smoke => 200,
        }
    }

    fn check(&self) -> Result<()> {
        check::size("batch", self.batch)?;
        self.generator().check()?;
        check::norm_of_maps("norm", self.norm)?;
        check::crop(self.size, self.jitter, 4)?;
        self.discriminator()
            .check("width_d", "n_layers", self.size)?;
        check::positive("lambda_cycle", self.lambda_cycle)?;
        check::within("lambda_identity", self.lambda_identity, 0. ..=1e6)?;
        check::within("pool", self.pool, 0..=1 << 14)?;
        check::positive("lr", self.lr)?;
        check::fraction("beta1", self.beta1)?;
        check::fraction("beta2", self.beta2)?;
        check::within("decay", self.decay, 0. ..=1.)
    }

    fn learns(&self) -> Learns {
        let view = View::jittered(self.size, self.jitter).flipped(self.flip);
        Learns::pictures(view, self.batch)
            .apart()
            .scheduled(self.decay > 0.)
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Algorithm>> {
        Ok(Box::new(CycleGan::new(self, cx)?))
    }

    fn open(weights: &Weights, device: &Device) -> Result<Box<dyn Sampler>> {
        Ok(Box::new(ResnetGenerator::open(weights, device)?))
    }
}
