//! Improved Training of Wasserstein GANs, Gulrajani, Ahmed, Arjovsky, Dumoulin, Courville 2017
//! ([arXiv 1704.00028](https://arxiv.org/abs/1704.00028)).
//!
//! The critic of the Wasserstein GAN, kept 1-Lipschitz by a penalty in place of clipped weights (equation 3):
//!
//! L = E_x̃ D(x̃) − E_x D(x) + λ E_x̂ (‖∇_x̂ D(x̂)‖₂ − 1)²,   x̂ = εx + (1 − ε)x̃, ε ~ U[0, 1] for each picture.
//!
//! | paper, Algorithm 1 | code |
//! |---|---|
//! | x, z, ε | `x`, `z`, `eps` |
//! | x̃ = G(z), x̂ | `fake`, `x_hat` |
//! | λ, n_critic, m | `lambda_gp`, `n_critic`, `batch` |
//! | (‖∇_x̂ D(x̂)‖₂ − 1)² | `gp`, and the norms `norms` |
//! | α, β₁, β₂ | `lr`, `beta1`, `beta2` |
//!
//! Deviations, with reasons in README.md:
//!
//! 1. The networks are DCGAN's at all sizes, with layer norm in the critic.
//! 2. Kernels start from N(0, .02²).
//! 3. Batches run on across the end of an epoch.
//!
//! ```
//! use gan_wgan_gp::gan_core::candle_core::{Device, Result};
//! use gan_wgan_gp::gan_core::{Algorithm, Context, DataInfo, Paper, Preset};
//! use gan_wgan_gp::{Config, WganGp};
//!
//! # fn main() -> Result<()> {
//! let data = DataInfo::unlabelled(3, 64).of(1000);
//! let config = Config::preset(Preset::Smoke, &data);
//! let cx = Context::new(&Device::Cpu, 1, data, 200);
//! let gan = WganGp::new(&config, &cx)?; // `gan.step(…)` is an iteration
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

pub use algorithm::WganGp;
pub use config::Config;
pub use gan_core::nn::strided::{Discriminator as Critic, Generator, StridedSizes};

/// The paper as the runner's registry holds it.
pub const RECIPE: gan_core::Erased<Config> = gan_core::Erased::NEW;
