//! Progressive Growing of GANs for Improved Quality, Stability, and Variation, Karras, Aila, Laine, Lehtinen 2018
//! ([arXiv 1710.10196](https://arxiv.org/abs/1710.10196)).
//!
//! Both networks begin at 4x4. A resolution is added by fading its layers in (figure 2): while α rises from 0 to 1, G
//! makes
//!
//! (1 − α)·up(toRGB(coarse)) + α·toRGB(fine),
//!
//! D sees the same mixture from its side, and real pictures are faded alike. The loss is that of WGAN-GP with a
//! penalty on the score's size (appendix A.1):
//!
//! L = E D(x̃) − E D(x) + λ E (‖∇D(x̂)‖₂ − 1)² + ε_drift E D(x)²
//!
//! | paper | code |
//! |---|---|
//! | α | `alpha` of a [`Phase`] |
//! | x, z, x̃, x̂ | `x`, `z`, `fake`, `x_hat` |
//! | ε_drift, λ | `drift` (`epsilon_drift`), `lambda_gp` |
//! | the running average of G (section 5) | `ema` |
//!
//! What the paper leaves open, and deviations, are in README.md:
//!
//! 1. Groups of the minibatch standard deviation, as in the authors' code, hold at most four pictures.
//! 2. Both optimizers start afresh where a resolution is added (`reset`).
//! 3. Batches run on across the end of an epoch.
//!
//! ```
//! use gan_progan::gan_core::candle_core::{Device, Result};
//! use gan_progan::gan_core::{Algorithm, Context, DataInfo, Paper, Preset};
//! use gan_progan::{Config, ProGan};
//!
//! # fn main() -> Result<()> {
//! let data = DataInfo::unlabelled(3, 64).of(1000);
//! let config = Config::preset(Preset::Smoke, &data);
//! let cx = Context::new(&Device::Cpu, 1, data, 200);
//! let gan = ProGan::new(&config, &cx)?; // `gan.step(…)` is an iteration
//! assert!(gan.sampler(0).takes().noise.is_some());
//! # Ok(())
//! # }
//! ```
//!
//! Architecture invariant: depends on `gan-core` and candle only, never on another paper.

mod algorithm;
mod config;
mod model;
mod paper;
mod phase;
mod schedule;

// What public signatures name.
pub use gan_core;

pub use algorithm::ProGan;
pub use config::{Batch, Config};
pub use model::{Discriminator, Generator, Sizes, initial};
pub use phase::Phase;
pub use schedule::Schedule;

/// The paper as the runner's registry holds it.
pub const RECIPE: gan_core::Erased<Config> = gan_core::Erased::NEW;
