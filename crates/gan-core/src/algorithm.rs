//! A paper's training, as the loop around it sees it.

use crate::iter::Iter;
use crate::sampler::Sampler;
use crate::state::Stateful;
use candle_core::Result;

/// One paper's training, ready to run. A checkpoint is `parts()`, the source, and the iteration number.
pub trait Algorithm {
    /// One iteration as the paper defines it: every network is updated as often as its algorithm box says.
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()>;
    /// What people look at and metrics judge after `t` iterations: the generator, or its average. What it
    /// makes may have another size for another `t`.
    fn sampler(&self, t: u64) -> Box<dyn Sampler + '_>;
    /// All mutable state by name, as the reference names it: d g f m d_x d_y ema opt_d pool_x …
    fn parts(&mut self) -> Vec<(&'static str, &mut dyn Stateful)>;
}
