//! Generative Adversarial Nets, Goodfellow et al. 2014 ([arXiv 1406.2661](https://arxiv.org/abs/1406.2661)).
//!
//! Two networks play a minimax game: D tells data from samples, G makes samples that D takes for data,
//!
//! min_G max_D  E_x ln D(x) + E_z ln(1 − D(G(z)))   (equation 1).
//!
//! | paper | code |
//! |---|---|
//! | x, a batch of data | `x` |
//! | z, noise | `z` |
//! | G(z) | `fake` |
//! | D(x), D(G(z)): probabilities | `self.d.live.forward(…)` |
//! | −ln D(x), −ln(1 − D(G(z))) | `bce(p, 1.)`, `bce(p, 0.)` |
//!
//! Deviations, with reasons in README.md:
//!
//! 1. G maximises ln D(G(z)) instead of minimising ln(1 − D(G(z))) (the paper's own advice, section 3).
//! 2. D's loss is the mean of its two terms, not their sum.
//! 3. Adam instead of gradient descent with momentum.
//! 4. LeakyReLU in both networks instead of maxout (D) and ReLU with sigmoid (G).
//! 5. k = 1 and one fake batch an iteration, which serves D and then G.
//! 6. z from N(0, 1); pictures in [−1, 1].
//! 7. Batches run on across the end of an epoch.
//!
//! ```
//! use gan_vanilla::gan_core::candle_core::{Device, Result};
//! use gan_vanilla::gan_core::{Algorithm, Context, DataInfo, Paper, Preset};
//! use gan_vanilla::{Config, Vanilla};
//!
//! # fn main() -> Result<()> {
//! let data = DataInfo::unlabelled(1, 28).of(1000);
//! let config = Config::preset(Preset::Smoke, &data);
//! let cx = Context::new(&Device::Cpu, 1, data, 200);
//! let gan = Vanilla::new(&config, &cx)?; // `gan.step(…)` is an iteration
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

// What public signatures name.
pub use gan_core;

pub use algorithm::Vanilla;
pub use config::Config;
pub use model::{Discriminator, Generator};

/// The paper as the runner's registry holds it.
pub const RECIPE: gan_core::Erased<Config> = gan_core::Erased::NEW;
