//! The settings: one field, one sentence, which is also the help.

use crate::model::{Discriminator, Generator, GeneratorWidths, JudgeWidths};
use candle_core::{Result, bail};
use gan_core::optim::schedule;
use gan_core::{Context, DataInfo, Net, Optimizer, Paper, Params, Rule, init};
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
