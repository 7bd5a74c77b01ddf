//! DualGAN: Unsupervised Dual Learning for Image-to-Image Translation, Yi, Zhang, Tan, Gong 2017
//! ([arXiv 1704.02510](https://arxiv.org/abs/1704.02510)).
//!
//! From two sets of pictures without a correspondence, G_A learns to turn a u into a v, and G_B the other way
//! round, as dual learning trains two translators of languages. Critics with clipped weights estimate how far
//! what they make is from the sets, in Wasserstein's distance:
//!
//! min_{G,F}  λ_U·‖x − F(G(x, z), z')‖₁ + λ_V·‖y − G(F(y, z'), z)‖₁ − E D_Y(G(x, z)) − E D_X(F(y, z'))
//!
//! min_{D_Y}  E D_Y(G(x, z)) − E D_Y(y), |weights| ≤ c, and D_X alike
//!
//! | paper | code |
//! |---|---|
//! | u ∈ U, v ∈ V: a batch of each set | `x`, `y` |
//! | G_A, G_B | `g`, `f` |
//! | D_A (of V), D_B (of U) | `d_y`, `d_x` |
//! | z, z': the noise: dropout | [`Noise`] |
//! | λ_U, λ_V, c, n_critic | `lambda_u`, `lambda_v`, `clip`, `n_critic` |
//!
//! Deviations, with reasons in README.md:
//!
//! 1. The losses follow the paper's Algorithm 1, not the authors' code, which is another program.
//! 2. Batches run on across the end of an epoch; the two sides have epochs of their own.
//! 3. Pictures are resized in proportion before they are cropped, not to a square.
//! 4. The demo's networks are small, its batches large, its λ, c and learning rate others; its samples are normalised by
//!    running statistics, and at 32 px no unit is dropped.
//!
//! ```
//! use gan_dualgan::gan_core::candle_core::{Device, Result};
//! use gan_dualgan::gan_core::{Algorithm, Context, DataInfo, Paper, Preset};
//! use gan_dualgan::{Config, DualGan};
//!
//! # fn main() -> Result<()> {
//! let data = DataInfo::unlabelled(3, 32).of(1000);
//! let config = Config::preset(Preset::Smoke, &data);
//! let cx = Context::new(&Device::Cpu, 1, data, 200);
//! let gan = DualGan::new(&config, &cx)?; // `gan.step(…)` is an iteration
//! assert!(gan.sampler(0).takes().port.is_some());
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

pub use algorithm::DualGan;
pub use config::Config;
pub use gan_core::nn::patch::{PatchDiscriminator, PatchSizes};
pub use gan_core::nn::unet::{Noise, Translator, Unet, UnetSizes};

/// The paper as the runner's registry holds it.
pub const RECIPE: gan_core::Erased<Config> = gan_core::Erased::NEW;
