//! Losses that two or more papers use.

use crate::grad;
use candle_core::{Result, Tensor};

pub use gan_kernels::loss::{Target, bce, bce_with_logits, huber, l1, mse};

/// The two-sided gradient penalty mean((‖∇f(x̂)‖₂ − 1)²) (Gulrajani et al. 2017, Algorithm 1, line 7), without
/// λ, and the norms ‖∇f(x̂)‖₂ `[b]` that it is made of.
///
/// x̂ is `[b, …]`, f gives a score a picture; the norm is over all but the batch. The result is
/// differentiable with respect to f's weights.
///
/// # Errors
/// Those of [`grad::input_gradient`].
pub fn gradient_penalty(
    f: impl FnOnce(&Tensor) -> Result<Tensor>,
    x_hat: &Tensor,
) -> Result<(Tensor, Tensor)> {
    let slope = grad::input_gradient(f, x_hat)?.flatten_from(1)?; // [b, c·h·w]
    // The root's slope is infinite at 0, where a saturated critic arrives; 1e-12 is nothing beside 1.
    let norms = (slope.sqr()?.sum(1)? + 1e-12)?.sqrt()?; // [b]
    Ok(((&norms - 1.)?.sqr()?.mean_all()?, norms))
}
