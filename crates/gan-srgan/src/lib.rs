//! Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network, Ledig, Theis, Huszár,
//! Caballero, Cunningham, Acosta, Aitken, Tejani, Totz, Wang, Shi 2016
//! ([arXiv 1609.04802](https://arxiv.org/abs/1609.04802)).
//!
//! The generator SRResNet (figure 4): residual blocks at the size of the input, then sub-pixel doublings. Two networks
//! open weights and enlarge pictures of any size: the paper's ([`SrResnet`]: batch norm, PReLU, 9x9 at both ends), and
//! the one that public toolboxes publish weights of ([`MsrResnet`]: no batch norm, added to the picture enlarged
//! bilinearly). Their training comes with a later version.
//!
//! | paper | code |
//! |---|---|
//! | I^LR, the picture that is given | `x` |
//! | B residual blocks | `body` |
//! | G(I^LR) | `fake` |
//!
//! Deviations, with reasons in README.md:
//!
//! 1. One PReLU slope a layer, and no bias before batch norm.
//! 2. A linear output.
//!
//! ```
//! use gan_srgan::gan_core::candle_core::{Device, Result};
//! use gan_srgan::gan_core::{Context, DataInfo, Net, Probe, Sampler, Side, init, rng::CounterRng, Draws};
//! use gan_srgan::{SrResnet, SrResnetSizes};
//!
//! # fn main() -> Result<()> {
//! let sizes = SrResnetSizes { channels: 3, width: 16, blocks: 1, ups: 2 };
//! let cx = Context::new(&Device::Cpu, 1, DataInfo::unlabelled(3, 8), 1);
//! let g = Net::new(&cx, "g", init::as_layers, |vb| SrResnet::new(&sizes, vb))?.frozen;
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
mod model;
mod msr;
mod paper;

// What public signatures name.
pub use gan_core;

pub use algorithm::Srgan;
pub use config::{Config, Content};
pub use discriminator::{Discriminator, DiscriminatorSizes};
pub use layout::{LAYOUTS, open};
pub use model::{SrResnet, SrResnetSizes};
pub use msr::{MsrResnet, MsrResnetSizes};

/// The paper as the runner's registry holds it.
pub const RECIPE: gan_core::Erased<Config> = gan_core::Erased::NEW;
