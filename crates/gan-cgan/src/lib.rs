//! Conditional Generative Adversarial Nets, Mirza and Osindero 2014
//! ([arXiv 1411.1784](https://arxiv.org/abs/1411.1784)).
//!
//! Both networks are also given y, here the class of a digit (equation 2):
//!
//! min_G max_D  E_x ln D(x|y) + E_z ln(1 − D(G(z|y)|y))
//!
//! | paper | code |
//! |---|---|
//! | x, a batch of data in [0, 1] | `x` |
//! | y, its classes as one-hot vectors | `y` |
//! | z, noise from the unit hypercube | `z` |
//! | G(z\|y) | `fake` |
//! | D(x\|y), before the sigmoid | `self.d.live.forward(&x, Some(&y), …)` |
//!
//! There are two designs of the discriminator. [`Joint`] is the paper's: D judges picture and class together.
//! [`Split`] has two networks: D judges whether a picture is real, M whether it matches the class; M's
//! negatives are real pictures under a wrong class.
//!
//! Deviations, with reasons in README.md:
//!
//! 1. The learning rate falls with each iteration, the momentum rises over `momentum_steps` iterations; the
//!    paper does not give the steps.
//! 2. Dropout's kept units are divided by 1 − p in training, not multiplied by it at sampling.
//! 3. G is trained with −ln D, as Goodfellow et al. 2014 advise.
//! 4. Fresh noise for G's update, the same classes.
//! 5. `split` is not in the paper.
//! 6. The demo's networks are narrow.
//! 7. Initial values are PyTorch's default.
//! 8. Batches run on across the end of an epoch.
//!
//! ```
//! use gan_cgan::gan_core::candle_core::{Device, Result};
//! use gan_cgan::gan_core::{Algorithm, Context, DataInfo, Paper, Preset};
//! use gan_cgan::{Config, Joint};
//!
//! # fn main() -> Result<()> {
//! let data = DataInfo::unlabelled(1, 28).labelled(10).of(1000);
//! let config = Config::preset(Preset::Smoke, &data);
//! let cx = Context::new(&Device::Cpu, 1, data, 200);
//! let gan = Joint::new(&config, &cx)?; // `gan.step(…)` is an iteration
//! assert!(gan.sampler(0).takes().classes.is_some());
//! # Ok(())
//! # }
//! ```
//!
//! Architecture invariant: depends on `gan-core` and candle only, never on another paper.

mod config;
mod joint;
mod model;
mod paper;
mod split;

// What public signatures name.
pub use gan_core;

pub use config::{Config, Design, OptimizerKind};
pub use joint::Joint;
pub use model::{Discriminator, Generator, GeneratorWidths, JudgeWidths, Maxout};
pub use split::Split;

/// The paper as the runner's registry holds it.
pub const RECIPE: gan_core::Erased<Config> = gan_core::Erased::NEW;
