//! Learning to Discover Cross-Domain Relations with Generative Adversarial Networks, Kim, Cha, Kim, Lee, Kim
//! 2017 ([arXiv 1703.05192](https://arxiv.org/abs/1703.05192)).
//!
//! From two sets of pictures without a correspondence, G learns to turn an x into a y, and F the other way
//! round. Each has a discriminator for what it makes, and what was turned there and back is compared with what
//! it was, each way by a loss of its own:
//!
//! min_{G,F}  d(F(G(x)), x) − E ln D_Y(G(x)) + d(G(F(y)), y) − E ln D_X(F(y))
//!
//! max_{D_X,D_Y}  E ln D_X(x) + E ln(1 − D_X(F(y))) + E ln D_Y(y) + E ln(1 − D_Y(G(x)))
//!
//! | paper | code |
//! |---|---|
//! | x_A, x_B: a batch of each set | `x`, `y` |
//! | G_AB, G_BA | `g`, `f` |
//! | x_AB, x_BA | `fake_y`, `fake_x` |
//! | D_A, D_B, before the sigmoid | `d_x`, `d_y` |
//! | L_GAN_B, L_GAN_A | `gan_g`, `gan_f` |
//! | L_CONST_A, L_CONST_B, and their metric d | `rec_x`, `rec_y`, [`Distance`] |
//!
//! Deviations, with reasons in README.md:
//!
//! 1. The losses follow the paper, not the authors' code, which departs from it.
//! 2. Batches run on across the end of an epoch; the two sides have epochs of their own.
//! 3. Networks deeper or shallower than for 64 px have a halving more or less.
//! 4. The demo's networks and batches are small.
//!
//! ```
//! use gan_discogan::gan_core::candle_core::{Device, Result};
//! use gan_discogan::gan_core::{Algorithm, Context, DataInfo, Paper, Preset};
//! use gan_discogan::{Config, DiscoGan};
//!
//! # fn main() -> Result<()> {
//! let data = DataInfo::unlabelled(3, 32).of(1000);
//! let config = Config::preset(Preset::Smoke, &data);
//! let cx = Context::new(&Device::Cpu, 1, data, 200);
//! let gan = DiscoGan::new(&config, &cx)?; // `gan.step(…)` is an iteration
//! assert!(gan.sampler(0).takes().port.is_some());
//! # Ok(())
//! # }
//! ```
//!
//! Architecture invariant: depends on `gan-core` and candle only, never on another paper.

mod algorithm;
mod config;
mod model;
mod paper;

// What public signatures name.
pub use gan_core;

pub use algorithm::DiscoGan;
pub use config::{Config, Distance};
pub use gan_core::nn::strided::{Discriminator, StridedSizes};
pub use model::{Generator, GeneratorSizes};

/// The paper as the runner's registry holds it.
pub const RECIPE: gan_core::Erased<Config> = gan_core::Erased::NEW;
