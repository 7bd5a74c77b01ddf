//! Randomness by role.

use candle_core::{Result, Tensor};

/// Randomness by role. The first axis of a shape is the batch, of which a worker gets its own part; a
/// recorded source checks roles and shapes against its file.
pub trait Draws {
    /// Values from N(0, 1).
    fn normal(&mut self, role: &str, shape: &[usize]) -> Result<Tensor>;
    /// Values from U[0, 1).
    fn uniform(&mut self, role: &str, shape: &[usize]) -> Result<Tensor>;
    /// A dropout mask: 0 with probability `p`, else 1; not scaled.
    fn mask(&mut self, role: &str, p: f64, shape: &[usize]) -> Result<Tensor>;
    /// `n` whole numbers from [0, below).
    fn choices(&mut self, role: &str, n: usize, below: usize) -> Result<Vec<usize>>;
}
