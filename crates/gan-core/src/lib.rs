//! What two or more GAN papers share.
//!
//! A paper owns one iteration ([`Algorithm::step`]); this crate owns the loop around it: data,
//! clock, logs, pictures, checkpoints, interruption ([`train()`]). The seams are
//!
//! - [`Iter::minimise`], through which every gradient passes: it is checked, recorded and applied;
//! - [`Source`], from which every batch and every random number comes: live, or recorded for parity;
//! - [`Stateful`], by which every part of a run is saved into and loaded from a checkpoint.
//!
//! A loop without the runner:
//!
//! ```
//! use gan_core::candle_core::{Device, Result, Tensor};
//! use gan_core::{Context, DataInfo, Net, Optimizer, Rule, init, nn};
//!
//! # fn main() -> Result<()> {
//! let cx = Context::new(&Device::Cpu, 1, DataInfo::unlabelled(1, 28), 100);
//! let net = Net::new(&cx, "d", init::as_layers, |vb| nn::linear(784, 1, vb))?;
//! let mut adam = Optimizer::new(Rule::adam(0.9, 0.999), 1e-3, &[&net.params])?;
//! let x = Tensor::ones((2, 784), gan_core::candle_core::DType::F32, &cx.device)?;
//! adam.step(&net.live.forward(&x)?.sqr()?.mean_all()?)?;
//! # Ok(())
//! # }
//! ```
//!
//! Architecture invariants:
//!
//! - This crate knows no paper's crate; papers are cited where a formula is theirs. Code enters it when two
//!   papers use it, or when one does and another that is on its way will.
//! - Dependencies point one way: `xtask → gan-PAPER → gan-core → gan-kernels → candle`.
//! - All randomness comes from [`rng`], a pure function of (seed, role, iteration, index).
//! - A [`candle_core::Var`] is never replaced: optimizers, frozen views and averages share it.
//! - This crate prints nothing, reads no command line and sets no environment variable.

// What public signatures name, so that whoever depends on this crate alone can name it, too.
pub use {candle_core, candle_nn, gan_kernels};

pub mod algorithm;
pub mod check;
pub mod checkpoint;
pub mod containers;
pub mod context;
pub mod data;
pub mod device;
pub mod draws;
mod error;
pub mod grad;
#[cfg(feature = "hub")]
pub mod hub;
pub mod image;
pub mod init;
pub mod iter;
pub mod layout;
pub mod live;
pub mod loss;
mod networks;
pub mod nn;
pub mod observe;
mod opening;
pub mod optim;
pub mod paper;
pub mod params;
#[cfg(feature = "data")]
pub mod photo;
mod pth;
pub mod rng;
pub mod sampler;
pub mod source;
pub mod stages;
pub mod state;
pub mod store;
pub mod strips;
mod tally;
pub mod train;
pub mod translate;
mod translators;
pub mod weights;
pub mod whole;

pub use algorithm::Algorithm;
pub use checkpoint::{Checkpoint, Header};
pub use containers::Contents;
pub use context::{Context, Length};
pub use data::{Ask, DataInfo, Range, Side, View, labels, pictures};
pub use device::DeviceError;
pub use draws::Draws;
pub use error::{FileError, LONGEST, brief, cut, plain, shortened};
pub use iter::{Iter, Recorder, Reducer, Seen, Update};
pub use layout::Layout;
pub use live::LiveSource;
pub use observe::{Event, Observer};
pub use optim::{Optimizer, Rule};
pub use paper::{Bench, Erased, Learns, Means, Paper, PaperInfo, Preset, Recipe, Recording, Sides};
pub use params::{Ema, Net, Params};
pub use rng::Worker;
pub use sampler::{Columns, Law, Noise, Port, Probe, Sampler, Takes, fixed_noise};
pub use source::Source;
pub use stages::{Falling, Stages};
pub use state::{StateReader, StateWriter, Stateful};
pub use store::Store;
pub use tally::Tally;
pub use train::{Outcome, Plan, train};
pub use translate::translate;
pub use translators::Translators;
pub use weights::Weights;
