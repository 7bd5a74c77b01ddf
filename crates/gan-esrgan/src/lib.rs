//! ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks, Wang, Yu, Wu, Gu, Liu, Dong, Loy, Qiao, Tang
//! 2018 ([arXiv 1809.00219](https://arxiv.org/abs/1809.00219)).
//!
//! The generator: residual-in-residual dense blocks without batch norm (section 3.1),
//!
//! x + β·F(x) around every five convolutions, and once more around every three such blocks, β = .2,
//!
//! then nearest doublings, each followed by a convolution. It is trained on the L1 distance first, and then in a game
//! that asks which of two pictures is more real (section 3.2; C is the discriminator before its sigmoid):
//!
//! D_Ra(a, b) = σ(C(a) − E C(b))
//!
//! D descends −E ln D_Ra(x_r, x_f) − E ln(1 − D_Ra(x_f, x_r))
//!
//! G descends L_percep + λ·(−E ln(1 − D_Ra(x_r, x_f)) − E ln D_Ra(x_f, x_r)) + η·L_1
//!
//! with L_percep of VGG19's features before the activation (section 3.3). G opens published weights in the three ways in
//! which files name its layers, and enlarges pictures of any size.
//!
//! | paper | code |
//! |---|---|
//! | the picture that is given | `low`, at sampling `x` |
//! | x_r, x_f = G(·) | `high`, `fake` |
//! | RRDB, the block of figure 4 | `body` |
//! | β, the factor of residuals | `BETA` |
//! | C(x), D_Ra | `real_score`, `fake_score`; [`loss::relative`] before the sigmoid |
//! | L^Ra | `ra`, [`loss::relativistic_average`] |
//! | L_percep, L_1, λ, η | `percep`, `l1`, `lambda_ra`, `eta_l1` |
//! | θ^INTERP, α (section 3.4) | `Weights::interpolated` of gan-core |
//!
//! What the paper leaves open, and deviations, are in README.md:
//!
//! 1. Doublings are of nearest pixels, as in the published weights.
//! 2. x2 and x1 by making the picture smaller first, its pixels moved to channels, as published weights have it; what is
//!    trained here makes x2 by one doubling.
//! 3. The small picture is made of the crop, not cut from a small picture of the whole.
//! 4. G is updated before D, on one batch.
//! 5. Batches run on across the end of an epoch.
//!
//! ```
//! use gan_esrgan::gan_core::candle_core::{Device, Result};
//! use gan_esrgan::gan_core::{Algorithm, Context, DataInfo, Paper, Preset};
//! use gan_esrgan::{Config, Esrgan};
//!
//! # fn main() -> Result<()> {
//! let data = DataInfo::unlabelled(3, 64).of(100);
//! let config = Config::preset(Preset::Smoke, &data);
//! let cx = Context::new(&Device::Cpu, 1, data, 200);
//! let gan = Esrgan::new(&config, &cx)?; // `gan.step(…)` is an iteration
//! assert_eq!(gan.sampler(0).takes().port.map(|port| port.scale), Some(4));
//! # Ok(())
//! # }
//! ```
//!
//! Architecture invariant: depends on `gan-core` and candle only, never on another paper.

mod algorithm;
mod config;
mod discriminator;
mod layout;
pub mod loss;
mod model;
mod paper;

// What public signatures name.
pub use gan_core;

pub use algorithm::{Esrgan, initial};
pub use config::{Config, Content};
pub use discriminator::{Discriminator, DiscriminatorSizes};
pub use layout::LAYOUTS;
pub use model::{Rrdb, RrdbSizes};

/// The paper as the runner's registry holds it.
pub const RECIPE: gan_core::Erased<Config> = gan_core::Erased::NEW;
