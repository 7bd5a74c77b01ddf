//! A tape of this crate's own ops, whose backward leaves out what candle's does around each node.
//!
//! Candle's `backward` makes, for each edge of the graph, a tensor of zeros and adds the gradient to
//! it, on one thread. For an elementwise op on a large tensor that is several times the op's own
//! work. While recording is on ([`record`], [`start`]), an op of this crate on the CPU is instead kept
//! with its arguments in a node of its own, and [`backward`] moves gradients from node to node:
//! nothing is filled with zeros, and where several gradients meet they are added on all threads.
//!
//! ```
//! use candle_core::{Device, Tensor, Var};
//! use gan_kernels::{act, tape};
//!
//! let x = Var::new(&[-1f32, 0.5, 2.], &Device::Cpu)?;
//! let loss = tape::record(|| act::leaky_relu(&x, 0.2)?.sum_all())?;
//! let gradients = tape::backward(&loss)?;
//! assert_eq!(gradients.get(&x).map(|g| g.to_vec1()).transpose()?, Some(vec![0.2f32, 1., 1.]));
//! # Ok::<(), candle_core::Error>(())
//! ```
//!
//! - Candle's own ops may stand anywhere in the graph: candle walks each stretch of them, and the
//!   gradients that arrive at recorded nodes are taken from there.
//! - [`backward`] also serves graphs of which nothing, or a part only, was recorded. Candle's own
//!   `backward` cannot pass a recorded node: it ends with an error that names this module, never
//!   with a gradient that lacks a part.
//! - What is recorded is differentiated once. A function that a gradient penalty differentiates runs
//!   inside [`pause`], its inner backward is candle's, inside [`crate::mode::penalty`]; the loss made
//!   of it may be added to recorded ones.
//! - Nodes live as long as the tensors that they gave, as candle's do. Order of work and of sums
//!   depends on the graph alone, so gradients have the same bits for any number of threads.

mod node;
mod walk;

#[cfg(test)]
mod tests;

pub use walk::{backward, backward_from};

use crate::mode::{self, Mode};
use crate::profile::timed;
use candle_core::{CustomOp1, CustomOp2, CustomOp3, Result, Tensor};
use node::Real;
use std::cell::Cell;
use std::marker::PhantomData;

thread_local! {
    /// How many [`Recording`]s and [`pause`]s the thread is inside of: guards may end in any order.
    static STARTED: Cell<usize> = const { Cell::new(0) };
    static PAUSED: Cell<usize> = const { Cell::new(0) };
}

/// Recording in the calling thread, until it is dropped.
#[must_use = "recording ends when this is dropped"]
#[derive(Debug)]
pub struct Recording(PhantomData<*const ()>);

impl Drop for Recording {
    fn drop(&mut self) {
        STARTED.set(STARTED.get().saturating_sub(1));
    }
}

/// Records until what it returns is dropped; recordings may overlap.
pub fn start() -> Recording {
    STARTED.set(STARTED.get() + 1);
    Recording(PhantomData)
}

/// Runs `f` and records the ops of this crate in it.
pub fn record<R>(f: impl FnOnce() -> R) -> R {
    let _recording = start();
    f()
}

/// Runs `f` without recording, so that candle's `backward` can differentiate what it gives, also
/// twice.
pub fn pause<R>(f: impl FnOnce() -> R) -> R {
    struct Resume;
    impl Drop for Resume {
        fn drop(&mut self) {
            PAUSED.set(PAUSED.get().saturating_sub(1));
        }
    }
    PAUSED.set(PAUSED.get() + 1);
    let _resume = Resume;
    f()
}

/// Whether ops are recorded in the calling thread now: not inside [`pause`], nor in
/// [`Mode::Penalty`], whose gradients keep candle's graph.
pub fn recording() -> bool {
    STARTED.get() > 0 && PAUSED.get() == 0 && mode::current() == Mode::Plain
}

/// Whether an op on these arguments gets a node: not where there is nothing to differentiate.
fn wanted(args: &[&Tensor]) -> bool {
    recording()
        && args.iter().any(|arg| arg.track_op())
        && args.iter().all(|arg| arg.device().is_cpu())
}

/// `op` of `x`: recorded, or as a node of candle's graph.
pub(crate) fn apply1<C>(x: &Tensor, op: C) -> Result<Tensor>
where
    C: CustomOp1 + Send + Sync + 'static,
{
    match wanted(&[x]) {
        true => node::record(Real::One(Box::new(op)), &[x]),
        false => plain1(x, op),
    }
}

/// As [`apply1`], of two arguments.
pub(crate) fn apply2<C>(a: &Tensor, b: &Tensor, op: C) -> Result<Tensor>
where
    C: CustomOp2 + Send + Sync + 'static,
{
    match wanted(&[a, b]) {
        true => node::record(Real::Two(Box::new(op)), &[a, b]),
        false => plain2(a, b, op),
    }
}

/// As [`apply1`], of three arguments.
pub(crate) fn apply3<C>(a: &Tensor, b: &Tensor, c: &Tensor, op: C) -> Result<Tensor>
where
    C: CustomOp3 + Send + Sync + 'static,
{
    match wanted(&[a, b, c]) {
        true => node::record(Real::Three(Box::new(op)), &[a, b, c]),
        false => plain3(a, b, c, op),
    }
}

/// `op` of `x` as a node of candle's graph.
pub(crate) fn plain1<C>(x: &Tensor, op: C) -> Result<Tensor>
where
    C: CustomOp1 + Send + Sync + 'static,
{
    timed(op.name(), &[x], || x.apply_op1(op))
}

/// As [`plain1`], of two arguments.
pub(crate) fn plain2<C>(a: &Tensor, b: &Tensor, op: C) -> Result<Tensor>
where
    C: CustomOp2 + Send + Sync + 'static,
{
    timed(op.name(), &[a, b], || a.apply_op2(b, op))
}

/// As [`plain1`], of three arguments.
pub(crate) fn plain3<C>(a: &Tensor, b: &Tensor, c: &Tensor, op: C) -> Result<Tensor>
where
    C: CustomOp3 + Send + Sync + 'static,
{
    timed(op.name(), &[a, b, c], || a.apply_op3(b, c, op))
}
