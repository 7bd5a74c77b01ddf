//! Image-to-Image Translation with Conditional Adversarial Networks, Isola, Zhu, Zhou, Efros 2017
//! ([arXiv 1611.07004](https://arxiv.org/abs/1611.07004)).
//!
//! From pairs of pictures (x, y), G learns to make y of x. D is shown x and either y or G's picture, and
//! judges each patch of it (equations 1, 3, 4):
//!
//! min_G max_D  E ln D(x, y) + E ln(1 − D(x, G(x, z))) + λ·E‖y − G(x, z)‖₁
//!
//! | paper | code |
//! |---|---|
//! | x, the picture that is given | `x` |
//! | y, the picture that belongs to it | `y` |
//! | z, the noise: dropout | [`gan_core::nn::dropout`] in [`Unet`] |
//! | G(x, z) | `fake` |
//! | D(x, y), before the sigmoid, for each patch | `self.d.live.forward(&pair(&x, &y)?, …)` |
//! | L_cGAN, L_L1, λ | `g_gan`, `g_l1`, `lambda` |
//!
//! [`Pix2Pix`] is the paper's training, with λ or without (`objective = cgan`); [`Regression`] is the
//! distance alone, which the paper compares with.
//!
//! Deviations, with reasons in README.md:
//!
//! 1. G ascends ln D, and D's objective is halved, as section 3.3 says.
//! 2. One fake, with one set of masks, serves D and then G.
//! 3. Batch norm's gains start at 1.
//! 4. Pictures are resized in proportion before they are cropped, not to a square.
//! 5. The innermost features have no batch norm, and dropout is where the published network has it.
//! 6. Batches run on across the end of an epoch.
//! 7. The demo's samples are normalised by running statistics.
//! 8. `norm = instance` and `decay` are not in the paper.
//!
//! ```
//! use gan_pix2pix::gan_core::candle_core::{Device, Result};
//! use gan_pix2pix::gan_core::{Algorithm, Context, DataInfo, Paper, Preset};
//! use gan_pix2pix::{Config, Pix2Pix};
//!
//! # fn main() -> Result<()> {
//! let data = DataInfo::unlabelled(3, 64).of(1000);
//! let config = Config::preset(Preset::Smoke, &data);
//! let cx = Context::new(&Device::Cpu, 1, data, 200);
//! let gan = Pix2Pix::new(&config, &cx)?; // `gan.step(…)` is an iteration
//! assert!(gan.sampler(0).takes().port.is_some());
//! # Ok(())
//! # }
//! ```
//!
//! Architecture invariant: depends on `gan-core` and candle only, never on another paper.

mod adversarial;
mod config;
mod paper;
mod regression;

// What public signatures name.
pub use gan_core;

pub use adversarial::Pix2Pix;
pub use config::{Config, Direction, Objective};
pub use gan_core::nn::maps::Norm;
pub use gan_core::nn::patch::{PatchDiscriminator, PatchSizes};
pub use gan_core::nn::unet::{Noise, Translator, Unet, UnetSizes};
pub use regression::Regression;

/// The paper as the runner's registry holds it.
pub const RECIPE: gan_core::Erased<Config> = gan_core::Erased::NEW;
