//! Fast, twice differentiable CPU kernels as candle custom ops.
//!
//! Stock candle trains slowly on a CPU, and some of its gradients are wrong (strided convolution
//! on sizes that the stride does not divide, pooling, nearest upsampling). This crate holds
//! replacements for any candle user who trains on a CPU. On other devices the same functions use
//! candle's own ops.
//!
//! ```
//! use candle_core::{Device, Tensor, Var};
//! use gan_kernels::conv::{Conv2d, conv2d};
//!
//! # fn main() -> candle_core::Result<()> {
//! let device = Device::Cpu;
//! let x = Tensor::randn(0f32, 1., (4, 3, 32, 32), &device)?;
//! let w = Var::from_tensor(&(Tensor::randn(0f32, 1., (16, 3, 4, 4), &device)? * 0.02)?)?;
//! let how = Conv2d { stride: 2, padding: 1, ..Default::default() };
//! let y = conv2d(&x, &w, None, &how)?; // [4, 16, 16, 16]
//! let gradients = y.sqr()?.mean_all()?.backward()?;
//! assert_eq!(gradients.get(&w).map(|g| g.dims().to_vec()), Some(vec![16, 3, 4, 4]));
//! # Ok(())
//! # }
//! ```
//!
//! # Architecture invariants
//!
//! - The crate depends on candle-core alone (with CUDA also on libloading), and speaks of tensors, layers and losses, never of
//!   models or training algorithms.
//! - It is the one place with `unsafe`. Each use states in a `SAFETY:` sentence why it is sound;
//!   shapes and bounds are checked once, where an op is entered.
//! - Tensors between ops are plain contiguous NCHW. An op accepts any view and copies it if it
//!   has to; it returns a fresh tensor.
//! - Every op returns the same bits for any number of threads and from run to run: each output
//!   element is written by one task, and the order of every sum is fixed by the shapes.
//! - Which algorithm runs is a pure function of the shapes and of the SIMD level ([`simd`]),
//!   never of a measurement at run time.
//! - All work is split on one pool ([`set_threads`]); no candle op is called inside a task.
//! - A device without kernels of this crate gets the value from candle's ops and the gradient by the
//!   op's own rule (`composed`), or, where candle's gradients follow the rule, both from candle's ops.
//!   What it cannot do is an error that names the op.
//! - Gradients of ops are ops. Whether their graph is kept is the scoped [`mode`]'s business: in
//!   `Plain` it is not, so that networks without a gradient penalty pay nothing.
//! - A public function applies its op through [`tape`], which records it where that is asked for.
//! - An op's backward returns nothing for arguments without a graph (`!arg.track_op()`).
//! - Wrong shapes are errors that name the shapes, checked where an op is entered. Asserts below that guard
//!   what the crate itself promises; one that fails is a fault of the crate, whatever the input.

pub mod act;
mod algorithm;
mod composed;
pub mod conv;
mod direct;
#[cfg(test)]
mod elem_tests;
mod few;
mod finish;
pub mod linear;
#[cfg(feature = "cuda")]
pub mod loading;
pub mod loss;
mod matmul;
mod memory;
#[cfg(feature = "cuda")]
pub mod meter;
pub mod mode;
pub mod norm;
pub mod optim;
mod par;
mod plain;
pub mod pool2d;
mod product;
pub mod profile;
mod real;
pub mod resample;
mod shape;
pub mod simd;
mod sum;
mod sweep;
pub mod tape;
#[cfg(test)]
mod testing;
mod thin;
mod tile;
mod vector;
mod winograd;

pub use par::{set_threads, threads};
pub use sum::{add, add_scaled};
