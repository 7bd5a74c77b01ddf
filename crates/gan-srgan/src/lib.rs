//! Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network, Ledig, Theis, Huszár,
//! Caballero, Cunningham, Acosta, Aitken, Tejani, Totz, Wang, Shi 2016
//! ([arXiv 1609.04802](https://arxiv.org/abs/1609.04802)).
//!
//! The generator SRResNet (figure 4): residual blocks at the size of the input, then sub-pixel doublings. It is trained
//! on the mean squared error of pixels first, and then against a discriminator (equations 2 and 3):
//!
//! D ascends  E ln D(I^HR) + E ln(1 − D(G(I^LR)))
//!
//! G descends l_X + λ·E(−ln D(G(I^LR))), λ = 1e-3
//!
//! where the content loss l_X is the mean squared error of pixels, or of VGG19's features φ_{2,2} or φ_{5,4}.
//!
//! Two networks open weights and enlarge pictures of any size: the paper's ([`SrResnet`]: batch norm, PReLU, 9x9 at both
//! ends), which is trained here, and the one that public toolboxes publish weights of ([`MsrResnet`]: no batch norm,
//! added to the picture enlarged bilinearly).
//!
//! | paper | code |
//! |---|---|
//! | I^LR, the picture that is given | `low`, at sampling `x` |
//! | I^HR, the true picture | `high` |
//! | B residual blocks | `body` |
//! | G(I^LR) | `fake` |
//! | l_X, its weight 1 and the adversarial one's | `content`, `adv`, `lambda_adv` |
//! | φ_{i,j} | [`Content`] |
//!
//! What the paper leaves open, and deviations, are in README.md:
//!
//! 1. One PReLU slope a layer, and no bias before batch norm.
//! 2. A linear output.
//! 3. The small picture is made of the crop, not cut from a small picture of the whole.
//! 4. Batches run on across the end of an epoch.
//!
//! ```
//! use gan_srgan::gan_core::candle_core::{Device, Result};
//! use gan_srgan::gan_core::{Algorithm, Context, DataInfo, Paper, Preset};
//! use gan_srgan::{Config, Srgan};
//!
//! # fn main() -> Result<()> {
//! let data = DataInfo::unlabelled(3, 64).of(100);
//! let config = Config::preset(Preset::Smoke, &data);
//! let cx = Context::new(&Device::Cpu, 1, data, 200);
//! let gan = Srgan::new(&config, &cx)?; // `gan.step(…)` is an iteration
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
