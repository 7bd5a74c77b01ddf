//! What an iteration trains: a resolution, and how far it is faded in.

use candle_core::{Result, Tensor};
use gan_core::nn::{avg_pool2d, upsample_nearest2x};
use gan_core::{Ask, pictures};

/// What an iteration trains: pictures of 4·2^level, of which the last doubling is faded in by alpha.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Phase {
    /// Doublings of 4x4.
    pub level: usize,
    /// α of the paper's figure 2, above 0, up to 1; at 1 the layers of the resolution before are left out.
    pub alpha: f64,
}

impl Phase {
    /// All of the resolution 4·2^level.
    pub fn whole(level: usize) -> Self {
        Self { level, alpha: 1. }
    }

    /// Side of the pictures.
    pub fn side(&self) -> usize {
        4 << self.level
    }

    /// Whether the resolution before still takes part.
    pub fn fades(&self) -> bool {
        self.level > 0 && self.alpha < 1.
    }

    /// Whether a parameter of either network takes part. Its key may begin with the network's name.
    pub fn uses(&self, key: &str) -> bool {
        let mut words = key
            .split('.')
            .skip_while(|word| !matches!(*word, "blocks" | "to_rgb" | "from_rgb"));
        let (Some(kind), Some(Ok(k))) = (words.next(), words.next().map(str::parse::<usize>))
        else {
            return true; // the layers at 4x4
        };
        match kind {
            "blocks" => k < self.level,
            _ => k == self.level || (self.fades() && k + 1 == self.level),
        }
    }

    /// What is asked of the data, whose pictures are brought to the final `side`: the mean over each square.
    pub fn real(&self, side: usize) -> Ask<'static> {
        match side / self.side() {
            1 => pictures("real"),
            factor => pictures("real").averaged(factor),
        }
    }

    /// Real pictures, faded as G's are (section 2, figure 2): (1 − α)·up(down(x)) + α·x.
    pub fn faded(&self, x: &Tensor) -> Result<Tensor> {
        match self.fades() {
            true => self.mix(&upsample_nearest2x(&avg_pool2d(x, (2, 2), (2, 2))?)?, x),
            false => Ok(x.clone()),
        }
    }

    /// (1 − α)·old + α·new
    pub fn mix(&self, old: &Tensor, new: &Tensor) -> Result<Tensor> {
        (old * (1. - self.alpha))? + (new * self.alpha)?
    }
}
