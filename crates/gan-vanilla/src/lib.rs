//! Generative Adversarial Nets, Goodfellow et al. 2014 ([arXiv 1406.2661](https://arxiv.org/abs/1406.2661)).
//!
//! Two networks play a minimax game: D tells data from samples, G makes samples that D takes for data,
//!
//! min_G max_D  E_x ln D(x) + E_z ln(1 − D(G(z)))   (equation 1).
//!
//! | paper | code |
//! |---|---|
//! | x, a batch of data | `x` |
//! | z, noise | `z` |
//! | G(z) | `fake` |
//! | D(x), D(G(z)): probabilities | `self.d.live.forward(…)` |
//! | −ln D(x), −ln(1 − D(G(z))) | `bce(p, 1.)`, `bce(p, 0.)` |
//!
//! Deviations, with reasons in README.md:
//!
//! 1. G maximises ln D(G(z)) instead of minimising ln(1 − D(G(z))) (the paper's own advice, section 3).
//! 2. D's loss is the mean of its two terms, not their sum.
//! 3. Adam instead of gradient descent with momentum.
//! 4. LeakyReLU in both networks instead of maxout (D) and ReLU with sigmoid (G).
//! 5. k = 1 and one fake batch an iteration, which serves D and then G.
//! 6. z from N(0, 1); pictures in [−1, 1].
//! 7. Batches run on across the end of an epoch.
//!
//! Architecture invariant: depends on `gan-core` and candle only, never on another paper.

mod algorithm;
mod config;
mod model;
mod paper;

pub use algorithm::Vanilla;
pub use config::Config;
pub use model::{Discriminator, Generator};

/// The paper as the runner's registry holds it.
pub const RECIPE: gan_core::Erased<Config> = gan_core::Erased::NEW;
