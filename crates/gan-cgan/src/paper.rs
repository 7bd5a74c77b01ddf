//! What CGAN is: its facts, its presets, what it learns from, how it is built.

use crate::config::{Config, Design, OptimizerKind};
use crate::joint::Joint;
use crate::model::{DROPOUT, Generator};
use crate::split::Split;
use candle_core::{Device, Result, bail};
use gan_core::Means::{self, Always, Classes, Pixels, Setting};
use gan_core::{
    Algorithm, Bench, Context, DataInfo, Layout, Learns, Paper, PaperInfo, Preset, Recording,
    Sampler, View, Weights, check,
};

/// What a recording of either design calls the settings.
const RECORDED: &[(&str, Means)] = &[
    ("opt", Always("\"sgd\"")),
    ("lr", Setting("lr")),
    ("lr_decay", Setting("lr_decay")),
    ("lr_min", Setting("lr_min")),
    ("momentum", Setting("momentum")),
    ("momentum_end", Setting("momentum_end")),
    ("momentum_steps", Setting("momentum_steps")),
    ("batch", Setting("batch")),
    ("img", Pixels),
    ("classes", Setting("classes")),
    ("classes", Classes),
    ("z", Setting("z_dim")),
    ("gz", Setting("g_z_units")),
    ("gy", Setting("g_y_units")),
    ("gj", Setting("g_joint_units")),
    ("hx", Setting("d_x_units")),
    ("kx", Setting("d_x_pieces")),
    ("hy", Setting("d_y_units")),
    ("ky", Setting("d_y_pieces")),
    ("hj", Setting("d_joint_units")),
    ("kj", Setting("d_joint_pieces")),
    ("p", Setting("g_dropout")),
    ("p", Setting("d_dropout")),
];

impl Paper for Config {
    const INFO: PaperInfo = PaperInfo {
        name: "cgan",
        title: "Conditional Generative Adversarial Nets",
        authors: "Mirza, Osindero",
        year: 2014,
        arxiv: "1411.1784",
        data: "mnist",
        recordings: &[
            Recording {
                name: "cgan-joint",
                keys: RECORDED,
                set: &[("size", "null"), ("design", "\"joint\"")],
            },
            Recording {
                name: "cgan-split",
                keys: RECORDED,
                set: &[("size", "null"), ("design", "\"split\"")],
            },
        ],
        bench: &[Bench::new("cgan", DataInfo::unlabelled(1, 28).labelled(10))],
    };

    const LAYOUTS: &'static [Layout] = &[
        Layout {
            name: "generator of CGAN",
            layers: &["z", "y", "joint", "out"],
        },
        Layout {
            name: "discriminator of CGAN",
            layers: &["x", "y", "joint", "out"],
        },
    ];
    const RATES: &'static [&'static str] = &["lr", "lr_decay", "lr_min"];

    /// Those of the paper are in its section 4.1.
    fn preset(preset: Preset, data: &DataInfo) -> Self {
        let paper = Self {
            design: Design::Joint,
            batch: 100,
            size: Some(data.side()),
            flip: false,
            classes: data.classes.unwrap_or(10),
            z_dim: 100,
            g_z_units: 200,
            g_y_units: 1000,
            g_joint_units: 1200,
            d_x_units: 240,
            d_x_pieces: 5,
            d_y_units: 50,
            d_y_pieces: 5,
            d_joint_units: 240,
            d_joint_pieces: 4,
            g_dropout: DROPOUT,
            d_dropout: DROPOUT,
            optimizer: OptimizerKind::Sgd,
            lr: 0.1,
            lr_decay: 1.00004,
            lr_min: 1e-6,
            momentum: 0.5,
            momentum_end: 0.7,
            momentum_steps: 1000,
        };
        let narrow = Self {
            g_z_units: 50,
            g_y_units: 250,
            g_joint_units: 300,
            d_x_units: 64,
            d_x_pieces: 3,
            d_y_units: 16,
            d_y_pieces: 3,
            d_joint_units: 64,
            d_joint_pieces: 3,
            ..paper.clone()
        };
        match preset {
            Preset::Paper | Preset::Bench => paper,
            Preset::Demo => Self {
                g_dropout: 0.4,
                momentum_end: 0.5,
                ..narrow
            },
            Preset::Smoke => Self {
                batch: 32,
                ..narrow
            },
        }
    }

    fn steps(&self, preset: Preset, _: &DataInfo) -> u64 {
        match preset {
            // The learning rate has fallen to its smallest after this many (.1 / 1.00004^t = 1e-6).
            Preset::Paper | Preset::Bench => 287_830,
            Preset::Demo => 28_000,
            Preset::Smoke => 200,
        }
    }

    fn check(&self) -> Result<()> {
        for (key, value) in [
            ("batch", self.batch),
            ("size", self.size.unwrap_or(1)),
            ("z_dim", self.z_dim),
            ("g_z_units", self.g_z_units),
            ("g_y_units", self.g_y_units),
            ("g_joint_units", self.g_joint_units),
            ("d_x_units", self.d_x_units),
            ("d_y_units", self.d_y_units),
            ("d_joint_units", self.d_joint_units),
        ] {
            check::size(key, value)?;
        }
        for (key, value) in [
            ("d_x_pieces", self.d_x_pieces),
            ("d_y_pieces", self.d_y_pieces),
            ("d_joint_pieces", self.d_joint_pieces),
        ] {
            check::within(key, value, 1..=64)?;
        }
        // A wrong class needs another one.
        check::within("classes", self.classes, 2..=1000)?;
        check::positive("lr", self.lr)?;
        if self.optimizer == OptimizerKind::Adam && self.lr > 0.01 {
            bail!(
                "lr is {}, expected at most 0.01 with optimizer = adam, 2e-4 for example",
                self.lr
            )
        }
        check::within("lr_decay", self.lr_decay, 1. ..=10.)?;
        check::within("lr_min", self.lr_min, 0. ..=self.lr)?;
        for (key, value) in [
            ("g_dropout", self.g_dropout),
            ("d_dropout", self.d_dropout),
            ("momentum", self.momentum),
            ("momentum_end", self.momentum_end),
        ] {
            check::fraction(key, value)?;
        }
        check::within("momentum_steps", self.momentum_steps, 1..=1 << 40)
    }

    fn learns(&self) -> Learns {
        let view = self.size.map_or(View::whole(), View::square);
        Learns::pictures(view.flipped(self.flip), self.batch).labelled()
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Algorithm>> {
        Ok(match self.design {
            Design::Joint => Box::new(Joint::new(self, cx)?),
            Design::Split => Box::new(Split::new(self, cx)?),
        })
    }

    fn open(weights: &Weights, device: &Device) -> Result<Box<dyn Sampler>> {
        Ok(Box::new(Generator::open(weights, device)?))
    }
}
