//! Wasserstein GAN, Arjovsky, Chintala, Bottou 2017 ([arXiv 1701.07875](https://arxiv.org/abs/1701.07875)).
//!
//! The critic f does not classify; over the K-Lipschitz functions its best value is K times the Wasserstein
//! distance of data and samples (equation 2),
//!
//! W(P_r, P_g) = max_{‖f‖_L ≤ 1}  E_x f(x) − E_z f(g(z)),
//!
//! which, unlike the Jensen–Shannon divergence, has a useful gradient for g where the two supports do not
//! meet (theorem 3). Four things change against the original GAN, and can be seen in `step`:
//!
//! 1. f has no sigmoid;
//! 2. the losses have no logarithm;
//! 3. f's weights are clipped to a box after each of its updates, which bounds its Lipschitz constant;
//! 4. RMSProp, no optimizer with momentum.
//!
//! | paper, Algorithm 1 | code |
//! |---|---|
//! | f_w, g_θ | `self.d`, `self.g` |
//! | x, z | `x`, `z` |
//! | α, c, m, n_critic | `lr`, `clip`, `batch`, `n_critic` |
//! | line 5: g_w | the gradient of `f_fake − f_real`, whose descent is the ascent of line 6 |
//! | line 7: clip(w, −c, c) | `self.d.params.clip(…)` |
//!
//! Deviations, with reasons in README.md:
//!
//! 1. RMSProp's decay is .99.
//! 2. Kernels start from N(0, .02²).
//! 3. n_critic is the same in the whole run.
//! 4. Batches run on across the end of an epoch.
//!
//! ```
//! use gan_wgan::gan_core::candle_core::{Device, Result};
//! use gan_wgan::gan_core::{Algorithm, Context, DataInfo, Paper, Preset};
//! use gan_wgan::{Config, Wgan};
//!
//! # fn main() -> Result<()> {
//! let data = DataInfo::unlabelled(3, 64).of(1000);
//! let config = Config::preset(Preset::Smoke, &data);
//! let cx = Context::new(&Device::Cpu, 1, data, 200);
//! let gan = Wgan::new(&config, &cx)?; // `gan.step(…)` is an iteration
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

pub use algorithm::Wgan;
pub use config::Config;
pub use gan_core::nn::strided::{Discriminator as Critic, Generator, StridedSizes};

/// The paper as the runner's registry holds it.
pub const RECIPE: gan_core::Erased<Config> = gan_core::Erased::NEW;
