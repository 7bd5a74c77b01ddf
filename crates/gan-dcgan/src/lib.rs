//! Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks, Radford,
//! Metz, Chintala 2015 ([arXiv 1511.06434](https://arxiv.org/abs/1511.06434)).
//!
//! The game of Goodfellow et al. 2014 between convolutional networks:
//!
//! min_G max_D  E_x ln D(x) + E_z ln(1 − D(G(z)))
//!
//! with strided convolutions in place of pooling, batch norm in both networks, no hidden dense layers,
//! ReLU in G, LeakyReLU in D (section 3).
//!
//! | paper | code |
//! |---|---|
//! | x, a batch of data | `x` |
//! | z, noise | `z` |
//! | G(z) | `fake` |
//! | ln D/(1 − D), the score before the sigmoid | `self.d.live.forward(…)` |
//! | −ln D(x), −ln(1 − D(G(z))) | `bce_with_logits(score, 1.)`, `bce_with_logits(score, 0.)` |
//!
//! Deviations, with reasons in README.md:
//!
//! 1. Noise from N(0, 1), not uniform.
//! 2. The same fake batch serves D and then G.
//! 3. Batch norm's gains start at 1.
//! 4. Any power of two from 16 for the side of a picture.
//! 5. Batches run on across the end of an epoch.
//!
//! ```
//! use gan_dcgan::gan_core::candle_core::{Device, Result};
//! use gan_dcgan::gan_core::{Algorithm, Context, DataInfo, Paper, Preset};
//! use gan_dcgan::{Config, Dcgan};
//!
//! # fn main() -> Result<()> {
//! let data = DataInfo::unlabelled(3, 64).of(1000);
//! let config = Config::preset(Preset::Smoke, &data);
//! let cx = Context::new(&Device::Cpu, 1, data, 200);
//! let gan = Dcgan::new(&config, &cx)?; // `gan.step(…)` is an iteration
//! assert!(gan.sampler(0).takes().noise.is_some());
//! # Ok(())
//! # }
//! ```
//!
//! Architecture invariant: depends on `gan-core` and candle only, never on another paper.

mod algorithm;
mod config;
mod paper;

// What public signatures name.
pub use gan_core;

pub use algorithm::Dcgan;
pub use config::Config;
pub use gan_core::nn::strided::{Discriminator, Generator, StridedSizes};

/// The paper as the runner's registry holds it.
pub const RECIPE: gan_core::Erased<Config> = gan_core::Erased::NEW;
