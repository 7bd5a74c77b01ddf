//! Whether the graph of a gradient is kept: a scoped setting of the calling thread.
//!
//! In [`Mode::Plain`], the default, the ops of this crate compute gradients from detached
//! tensors, so no graph of the gradient is kept. A gradient penalty differentiates a gradient;
//! its inner backward runs inside [`penalty`], where the graph is kept and the gradients of
//! variables (weights), which a penalty does not use, are left out.
//!
//! Candle itself detaches gradients in `backward` unless the environment variable
//! `CANDLE_GRAD_DO_NOT_DETACH` is `1` when a thread first calls it; second order needs that.

use candle_core::Tensor;
use std::cell::Cell;

/// What the ops' backward does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Gradients are numbers: nothing is kept to differentiate them again.
    Plain,
    /// Gradients are functions: their graph is kept, and variables get no gradient.
    Penalty,
}

thread_local! {
    static MODE: Cell<Mode> = const { Cell::new(Mode::Plain) };
}

/// The mode of the calling thread.
pub fn current() -> Mode {
    MODE.get()
}

/// Runs `f` in [`Mode::Penalty`] and restores the previous mode, also when `f` panics.
pub fn penalty<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(Mode);
    impl Drop for Restore {
        fn drop(&mut self) {
            MODE.set(self.0);
        }
    }
    let _restore = Restore(MODE.replace(Mode::Penalty));
    f()
}

/// Whether an op's backward has to compute the gradient of its input `x`: not without a graph.
pub(crate) fn wants_grad(x: &Tensor) -> bool {
    x.track_op()
}

/// Whether an op's backward has to compute the gradient of the parameter (weight, bias) `w`: not
/// without a graph, nor in [`Mode::Penalty`] if it is a variable.
pub(crate) fn wants_param_grad(w: &Tensor) -> bool {
    w.track_op() && !(current() == Mode::Penalty && w.is_variable())
}

/// `t` as a gradient op should see it: itself in [`Mode::Penalty`], detached in [`Mode::Plain`].
pub(crate) fn for_grad(t: &Tensor) -> Tensor {
    match current() {
        Mode::Plain => t.detach(),
        Mode::Penalty => t.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restores_after_nesting_and_panic() {
        assert_eq!(current(), Mode::Plain);
        penalty(|| penalty(|| assert_eq!(current(), Mode::Penalty)));
        assert_eq!(current(), Mode::Plain);
        let caught = std::panic::catch_unwind(|| penalty(|| panic!("inside")));
        assert!(caught.is_err());
        assert_eq!(current(), Mode::Plain);
    }
}
