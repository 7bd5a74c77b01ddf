//! Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks, Zhu, Park, Isola, Efros
//! 2017 ([arXiv 1703.10593](https://arxiv.org/abs/1703.10593)).
//!
//! From two sets of pictures without a correspondence, G learns to turn an x into a y, and F the other way
//! round. Each has a discriminator for what it makes, and what was turned there and back must be what it was
//! (equations 1, 2, 3, with the least squares of section 4):
//!
//! min_{G,F}  E(D_Y(G(x)) − 1)² + E(D_X(F(y)) − 1)² + λ·(E‖F(G(x)) − x‖₁ + E‖G(F(y)) − y‖₁)
//!
//! min_{D_Y}  E(D_Y(y) − 1)² + E D_Y(G(x))², halved, and D_X alike
//!
//! | paper | code |
//! |---|---|
//! | x, y: a batch of each set | `x`, `y` |
//! | G(x), F(y) | `fake_y`, `fake_x` |
//! | L_GAN(G, D_Y), L_GAN(F, D_X) | `gan_g`, `gan_f` |
//! | the two halves of L_cyc, λ | `cycle_x`, `cycle_y`, `lambda` |
//! | L_identity (section 5.2) | `idt_x`, `idt_y` |
//! | the buffer of 50 earlier fakes | [`Pool`] |
//!
//! Deviations, with reasons in README.md:
//!
//! 1. One update of both generators together, then D_X, then D_Y.
//! 2. The learning rate falls in each iteration, not in each epoch.
//! 3. Pictures are resized in proportion before they are cropped, not to a square.
//! 4. Batches run on across the end of an epoch; the two sides have epochs of their own.
//! 5. `norm = batch` is not in the paper.
//! 6. The demo's networks are small, its λ is 5 and its learning rate 4e-4.
//!
//! ```
//! use gan_cyclegan::gan_core::candle_core::{Device, Result};
//! use gan_cyclegan::gan_core::{Algorithm, Context, DataInfo, Paper, Preset};
//! use gan_cyclegan::{Config, CycleGan};
//!
//! # fn main() -> Result<()> {
//! let data = DataInfo::unlabelled(3, 32).of(1000);
//! let config = Config::preset(Preset::Smoke, &data);
//! let cx = Context::new(&Device::Cpu, 1, data, 200);
//! let gan = CycleGan::new(&config, &cx)?; // `gan.step(…)` is an iteration
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
mod pool;

// What public signatures name.
pub use gan_core;

pub use algorithm::CycleGan;
pub use config::Config;
pub use gan_core::Translators;
pub use gan_core::nn::maps::Norm;
pub use gan_core::nn::patch::PatchDiscriminator;
pub use model::{ResnetGenerator, ResnetSizes};
pub use pool::Pool;

/// The paper as the runner's registry holds it.
pub const RECIPE: gan_core::Erased<Config> = gan_core::Erased::NEW;
