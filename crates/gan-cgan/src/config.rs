//! The settings: one field, one sentence, which is also the help; and the paper's facts.

use crate::joint::Joint;
use crate::model::{DROPOUT, Discriminator, Generator, GeneratorWidths, JudgeWidths};
use crate::split::Split;
use candle_core::{Device, Result, bail};
use gan_core::Means::{self, Always, Classes, Pixels, Setting};
use gan_core::optim::schedule;
use gan_core::{
    Algorithm, Context, DataInfo, Learns, Net, Optimizer, Paper, PaperInfo, Params, Preset,
    Recording, Rule, Sampler, View, Weights, check, init,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What judges pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Design {
    /// One network for picture and class together, the paper's.
    Joint,
    /// One network for the picture, another for whether picture and class match.
    Split,
}

/// How weights are updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerKind {
    /// Gradient descent with momentum, the paper's.
    Sgd,
    /// Adam, β₁ .5 and β₂ .999, at a constant learning rate.
    Adam,
}

/// Settings of the conditional GAN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What judges pictures: joint or split.
    pub design: Design,
    /// Pictures in a batch.
    pub batch: usize,
    /// Side of the square that pictures are brought to; without it they stay as they are.
    pub size: Option<usize>,
    /// Whether pictures are mirrored left to right at random.
    pub flip: bool,
    /// Number of classes, as the data has.
    pub classes: usize,
    /// Components of the noise z.
    pub z_dim: usize,
    /// G: units after z.
    pub g_z_units: usize,
    /// G: units after the class.
    pub g_y_units: usize,
    /// G: units after both.
    pub g_joint_units: usize,
    /// D: maxout units after the picture.
    pub d_x_units: usize,
    /// D: pieces of each of them.
    pub d_x_pieces: usize,
    /// D: maxout units after the class.
    pub d_y_units: usize,
    /// D: pieces of each of them.
    pub d_y_pieces: usize,
    /// D: maxout units after both.
    pub d_joint_units: usize,
    /// D: pieces of each of them.
    pub d_joint_pieces: usize,
    /// G: probability of dropping a unit of a hidden layer.
    pub g_dropout: f64,
    /// D: probability of dropping a unit of a hidden layer.
    pub d_dropout: f64,
    /// How weights are updated: sgd or adam.
    pub optimizer: OptimizerKind,
    /// Learning rate at the start.
    pub lr: f64,
    /// SGD: what the learning rate is divided by in each iteration.
    pub lr_decay: f64,
    /// SGD: the smallest learning rate.
    pub lr_min: f64,
    /// SGD: momentum at the start.
    pub momentum: f64,
    /// SGD: momentum in the end.
    pub momentum_end: f64,
    /// SGD: iterations in which the momentum goes from the one to the other.
    pub momentum_steps: u64,
}

impl Config {
    /// The widths of G.
    pub fn generator(&self) -> GeneratorWidths {
        GeneratorWidths {
            z_dim: self.z_dim,
            z: self.g_z_units,
            y: self.g_y_units,
            joint: self.g_joint_units,
        }
    }

    /// Refuses data that these settings do not fit.
    pub fn check_data(&self, data: &DataInfo) -> Result<()> {
        match data.classes {
            Some(classes) if classes == self.classes => Ok(()),
            Some(classes) => bail!("classes is {}, but the data has {classes}", self.classes),
            None => bail!("the data has no labels, this paper needs them"),
        }
    }

    /// An optimizer for one network.
    pub(crate) fn optimizer(&self, net: &Params) -> Result<Optimizer> {
        let rule = match self.optimizer {
            OptimizerKind::Sgd => Rule::Sgd {
                momentum: self.momentum,
            },
            OptimizerKind::Adam => Rule::adam(0.5, 0.999),
        };
        Optimizer::new(rule, self.lr, &[net])
    }

    /// Sets learning rate and momentum of iteration `t` (section 4.1).
    pub(crate) fn schedule(&self, t: u64, optimizers: &mut [&mut Optimizer]) {
        if self.optimizer == OptimizerKind::Adam {
            return;
        }
        let progress = (t as f64 / self.momentum_steps as f64).min(1.);
        let momentum = self.momentum + (self.momentum_end - self.momentum) * progress;
        for opt in optimizers {
            opt.lr = schedule::exponential(self.lr, self.lr_decay, self.lr_min, t);
            opt.rule = Rule::Sgd { momentum };
        }
    }

    /// The widths of D, and of M.
    pub fn judge(&self) -> JudgeWidths {
        JudgeWidths {
            x: (self.d_x_units, self.d_x_pieces),
            y: (self.d_y_units, self.d_y_pieces),
            joint: (self.d_joint_units, self.d_joint_pieces),
        }
    }

    /// The generator that both designs share.
    pub(crate) fn new_generator(&self, cx: &Context) -> Result<Net<Generator>> {
        let picture = self.learns().view.picture(&cx.data);
        Net::new(cx, "g", init::as_layers, |vb| {
            Generator::new(self.generator(), self.classes, self.g_dropout, picture, vb)
        })
    }

    /// A judge of pictures, with classes or without.
    pub(crate) fn new_discriminator(
        &self,
        name: &str,
        classes: Option<usize>,
        cx: &Context,
    ) -> Result<Net<Discriminator>> {
        let pixels = self.learns().view.picture(&cx.data).iter().product();
        Net::new(cx, name, init::as_layers, |vb| {
            Discriminator::new(pixels, classes, self.judge(), self.d_dropout, vb)
        })
    }
}

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
        bench: &[("cgan", DataInfo::unlabelled(1, 28).labelled(10))],
    };

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
