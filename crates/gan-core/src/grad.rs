//! Gradients with respect to an input, kept differentiable: what a gradient penalty is made of.

use candle_core::{DType, Device, Result, Tensor, Var, bail};

/// The gradient of Σ f(x) with respect to x at `at`, itself differentiable with respect to f's weights.
///
/// f itself is kept from the tape; what it uses from outside (besides parameters) must not have been
/// recorded on one.
///
/// # Errors
/// When f does not depend on its input, or candle drops the graph of gradients (see
/// [`second_order_works`]).
pub fn input_gradient(f: impl FnOnce(&Tensor) -> Result<Tensor>, at: &Tensor) -> Result<Tensor> {
    if !second_order_works()? {
        bail!(
            "second derivatives are off: set CANDLE_GRAD_DO_NOT_DETACH=1 in the environment before \
             the program starts (candle reads it once per thread, at the first backward)"
        )
    }
    let x = Var::from_tensor(&at.detach())?; // a leaf of its own: copies
    // Candle's graph, as the tape's is differentiated once.
    let score = gan_kernels::tape::pause(|| f(&x))?.sum_all()?;
    // In this mode the kernels keep the graph of their gradients, and leave out those of the weights.
    match gan_kernels::mode::penalty(|| score.backward())?.remove(&x) {
        Some(gradient) => Ok(gradient),
        None => bail!("the function under the gradient does not depend on its input"),
    }
}

/// Whether candle keeps the graph of gradients in this thread: tries d²(x³)/dx² = 6x.
pub fn second_order_works() -> Result<bool> {
    thread_local! {
        static WORKS: std::cell::OnceCell<bool> = const { std::cell::OnceCell::new() };
    }
    if let Some(works) = WORKS.with(|works| works.get().copied()) {
        return Ok(works);
    }
    let x = Var::from_tensor(&Tensor::ones(1, DType::F64, &Device::Cpu)?)?;
    let cube = ((x.as_tensor() * x.as_tensor())? * x.as_tensor())?.sum_all()?;
    let first = cube.backward()?;
    let second = match first.get(&x) {
        Some(first) => first.sum_all()?.backward()?,
        None => bail!("x has no gradient"),
    };
    let works = match second.get(&x) {
        Some(second) => (second.sum_all()?.to_scalar::<f64>()? - 6.).abs() < 1e-9,
        None => false,
    };
    Ok(WORKS.with(|cell| *cell.get_or_init(|| works)))
}
