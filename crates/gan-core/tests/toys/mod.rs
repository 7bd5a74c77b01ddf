//! Five toy papers with the steps of hard ones: what the traits were settled with.
//!
//! - [`critic`]: two networks, several critic updates an iteration, a gradient penalty or a clip.
//! - [`cycle`]: four networks, one optimizer over two of them, a pool of earlier pictures.
//! - [`grow`]: pictures that become larger with the iteration, parameters that a phase does not use, an
//!   average.
//! - [`upscale`]: pictures twice as large as those given, learned from crops and the same crops made
//!   smaller; a phase without a discriminator first.
//! - [`matched`]: pairs and classes in one batch.
//!
//! Their generator has what makes resuming hard: batch statistics and dropout.

pub mod critic;
pub mod cycle;
pub mod grow;
pub mod matched;
pub mod upscale;

pub use critic::CRITIC;
pub use cycle::CYCLE;
pub use grow::GROW;
pub use matched::MATCHED;
pub use upscale::UPSCALE;

use candle_core::{Result, Tensor, Var};
use candle_nn::{Init, VarBuilder};
use gan_core::data::{Data, Held, Reading, bring};
use gan_core::nn::{Linear, linear};
use gan_core::{
    Columns, DataInfo, Draws, Iter, Law, PaperInfo, Probe, Recipe, Sampler, Sides, Takes, View,
};
use std::sync::Arc;

pub const TOYS: &[&dyn Recipe] = &[&CRITIC, &CYCLE, &GROW, &UPSCALE, &MATCHED];

/// Components of the noise.
const Z: usize = 3;

const fn info(name: &'static str, data: &'static str) -> PaperInfo {
    PaperInfo {
        name,
        title: "a toy",
        authors: "nobody",
        year: 2000,
        arxiv: "",
        data,
        recordings: &[],
        bench: &[],
    }
}

/// What registering a toy takes besides its networks and its step: its settings and facts.
macro_rules! paper {
    ($name:ident, $config:ident, $cli:literal on $data:literal, $learns:expr) => {
        /// Settings.
        #[derive(Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $config {
            /// Pictures a batch.
            pub batch: usize,
            /// Learning rate.
            pub lr: f64,
            /// How the critic is kept smooth: penalty or clip.
            pub smooth: String,
        }

        impl gan_core::Paper for $config {
            const INFO: gan_core::PaperInfo = crate::toys::info($cli, $data);

            fn preset(_: gan_core::Preset, _: &gan_core::DataInfo) -> Self {
                Self {
                    batch: 4,
                    lr: 1e-2,
                    smooth: "penalty".into(),
                }
            }

            fn steps(&self, _: gan_core::Preset, _: &gan_core::DataInfo) -> u64 {
                12
            }

            fn check(&self) -> candle_core::Result<()> {
                gan_core::check::size("batch", self.batch)
            }

            fn learns(&self) -> gan_core::Learns {
                $learns(self.batch)
            }

            fn build(
                &self,
                cx: &gan_core::Context,
            ) -> candle_core::Result<Box<dyn gan_core::Algorithm>> {
                Ok(Box::new($name::new(self, cx)?))
            }

            fn open(
                _: &gan_core::Weights,
                _: &candle_core::Device,
            ) -> candle_core::Result<Box<dyn gan_core::Sampler>> {
                candle_core::bail!("toys have no weights")
            }
        }
    };
}
use paper;

/// A small data set of 8x8 grey pictures as a toy wants it: of one side or two, with classes.
pub fn data(sides: Sides, view: View) -> Data {
    let set = |len: usize, tint: usize| {
        let info = DataInfo::unlabelled(1, 8).labelled(3).of(len);
        let bytes = (0..len * 64).map(|i| ((i * 37 + i / 64 * 11) % 128 + tint) as u8);
        let labels = (0..len).map(|i| (i % 3) as u8).collect();
        let held = Held::new(info, bytes.collect(), Some(labels)).expect("a set");
        bring(Arc::new(held), &Reading::new(view)).expect("a size")
    };
    match sides {
        Sides::One => Data::one(set(10, 60)),
        Sides::Apart => Data::apart(set(10, 0), set(7, 127)),
        Sides::Paired => Data::paired(set(10, 0), set(10, 127)).expect("pairs"),
    }
}

#[derive(Clone, Copy, PartialEq)]
pub enum Mode {
    Train,
    Eval,
}

/// Batch norm without an affine map; enough to have buffers.
struct BatchNorm {
    mean: Var,
    var: Var,
}

impl BatchNorm {
    fn new(n: usize, vb: VarBuilder<'_>) -> Result<Self> {
        let buffer =
            |name, value| Var::from_tensor(&vb.get_with_hints(n, name, Init::Const(value))?);
        Ok(Self {
            mean: buffer("running_mean", 0.)?,
            var: buffer("running_var", 1.)?,
        })
    }

    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let (mean, var) = if mode == Mode::Train {
            let mean = x.mean_keepdim(0)?;
            let var = x.broadcast_sub(&mean)?.sqr()?.mean_keepdim(0)?;
            for (running, now) in [(&self.mean, &mean), (&self.var, &var)] {
                let now = now.detach().squeeze(0)?;
                running.set(&((running.detach() * 0.9)? + (now * 0.1)?)?)?;
            }
            (mean, var)
        } else {
            (
                self.mean.detach().unsqueeze(0)?,
                self.var.detach().unsqueeze(0)?,
            )
        };
        x.broadcast_sub(&mean)?
            .broadcast_div(&(var + 1e-5)?.sqrt()?)
    }
}

/// linear, batch norm, tanh, dropout, linear, tanh
pub struct Generator {
    first: Linear,
    norm: BatchNorm,
    last: Linear,
    inputs: usize,
}

impl Generator {
    fn new(inputs: usize, outputs: usize, vb: VarBuilder<'_>) -> Result<Self> {
        let main = vb.pp("main");
        Ok(Self {
            first: linear(inputs, 8, main.pp(0))?,
            norm: BatchNorm::new(8, main.pp(1))?,
            last: linear(8, outputs, main.pp(4))?,
            inputs,
        })
    }

    fn forward(&self, x: &Tensor, mode: Mode, draws: &mut dyn Draws) -> Result<Tensor> {
        let h = self.norm.forward(&self.first.forward(x)?, mode)?.tanh()?;
        let h = if mode == Mode::Train {
            ((draws.mask("mask", 0.2, h.dims())? * h)? / 0.8)?
        } else {
            h
        };
        self.last.forward(&h)?.tanh()
    }
}

/// Rows of pixels as square pictures `[b, 1, side, side]`.
fn square(x: &Tensor, side: usize) -> Result<Tensor> {
    x.reshape(((), x.elem_count() / x.dim(0)? / side / side, side, side))
}

/// A generator and the height of its pictures.
struct Shown<'a>(&'a Generator, usize);

impl Sampler for Shown<'_> {
    fn takes(&self) -> Takes {
        Takes::noise(&[self.0.inputs], Law::Normal)
    }

    fn sample(&self, input: &Probe, draws: &mut dyn Draws) -> Result<Columns> {
        let fake = self.0.forward(input.z()?, Mode::Eval, draws)?;
        Ok(Columns::new("fake", square(&fake, self.1)?))
    }
}

pub struct Discriminator {
    first: Linear,
    last: Linear,
}

impl Discriminator {
    fn new(inputs: usize, vb: VarBuilder<'_>) -> Result<Self> {
        Ok(Self {
            first: linear(inputs, 8, vb.pp("disc.0"))?,
            last: linear(8, 1, vb.pp("disc.2"))?,
        })
    }
}

impl Discriminator {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.last.forward(&self.first.forward(x)?.tanh()?)
    }
}

/// x̂ = εx + (1−ε)x̃, one ε a picture
fn interpolate(x: &Tensor, fake: &Tensor, it: &mut Iter<'_>) -> Result<Tensor> {
    let eps = it.uniform("eps", &[x.dim(0)?, 1])?;
    x.broadcast_mul(&eps)? + fake.broadcast_mul(&eps.affine(-1., 1.)?)?
}
