//! ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks, Wang, Yu, Wu, Gu, Liu, Dong, Loy, Qiao, Tang
//! 2018 ([arXiv 1809.00219](https://arxiv.org/abs/1809.00219)).
//!
//! The generator: residual-in-residual dense blocks without batch norm (section 3.1),
//!
//! x + β·F(x) around every five convolutions, and once more around every three such blocks, β = .2,
//!
//! then nearest doublings, each followed by a convolution. It opens published weights in the three ways in which files
//! name its layers, and enlarges pictures of any size. Its training comes with a later version.
//!
//! | paper | code |
//! |---|---|
//! | I^LR, the picture that is given | `x` |
//! | RRDB, the block of figure 4 | `body` |
//! | β, the factor of residuals | `BETA` |
//! | G(I^LR) | `fake` |
//!
//! Deviations, with reasons in README.md:
//!
//! 1. Doublings are of nearest pixels, as in the published weights.
//! 2. x2 and x1 by making the picture smaller first, its pixels moved to channels, as published weights have it.
//!
//! ```
//! use gan_esrgan::gan_core::candle_core::{Device, Result};
//! use gan_esrgan::gan_core::{Context, DataInfo, Net, Probe, Sampler, Side, init, rng::CounterRng, Draws};
//! use gan_esrgan::{Rrdb, RrdbSizes};
//!
//! # fn main() -> Result<()> {
//! let sizes = RrdbSizes { channels: 3, width: 16, growth: 8, blocks: 1, ups: 2, unshuffle: 1 };
//! let cx = Context::new(&Device::Cpu, 1, DataInfo::unlabelled(3, 8), 1);
//! let g = Net::new(&cx, "g", init::as_layers, |vb| Rrdb::new(&sizes, vb))?.frozen;
//! let mut draws = CounterRng::new(1, &Device::Cpu);
//! let x = draws.uniform("x", &[1, 3, 8, 12])?; // in [−1, 1]
//! let made = g.sample(&Probe::pictures(Side::A, x), &mut draws)?;
//! assert_eq!(made.get("fake")?.dims(), [1, 3, 32, 48]);
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
