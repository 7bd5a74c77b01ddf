//! Where batches and randomness come from.

use crate::data::{Ask, View};
use crate::draws::Draws;
use crate::state::Stateful;
use candle_core::{Result, Tensor};
use std::time::Duration;

/// Batches and randomness of a run; its state is the position in the data.
pub trait Source: Draws + Stateful {
    /// Starts iteration `t`.
    fn begin(&mut self, t: u64);

    /// The next `b` positions: a tensor for each ask, in order, all of the same positions and cut and
    /// mirrored alike.
    fn batch(&mut self, b: usize, view: &View, asks: &[Ask<'_>]) -> Result<Vec<Tensor>>;

    /// This worker's part of a batch: all of it, where there is one worker.
    ///
    /// # Errors
    /// A batch that cannot be shared equally.
    fn share(&self, batch: usize) -> Result<usize> {
        Ok(batch)
    }

    /// How long the run has waited for batches so far.
    fn waited(&self) -> Duration {
        Duration::ZERO
    }
}
