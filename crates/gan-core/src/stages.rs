//! A training in two stages, as super-resolution has it: a generator alone on the distance to the true picture, then
//! the game. What is trained when is a pure function of the iteration and the settings.

use crate::check;
use crate::context::Length;
use crate::optim::schedule;
use candle_core::Result;

/// A learning rate that falls at some iterations.
#[derive(Clone, Copy, Debug)]
pub struct Falling<'a> {
    /// At the beginning.
    pub lr: f64,
    /// The iterations at which it is multiplied.
    pub at: &'a [u64],
    /// By what.
    pub factor: f64,
}

/// The two stages of a run.
#[derive(Clone, Copy, Debug)]
pub struct Stages<'a> {
    /// Iterations of the first, where there is a second.
    pub pretrain: u64,
    /// Whether there is a second.
    pub adversarial: bool,
    /// The rate of the first.
    pub first: Falling<'a>,
    /// The rate of the second, whose iterations are counted from its beginning.
    pub second: Falling<'a>,
}

impl Stages<'_> {
    /// The settings that make the rates.
    pub const RATES: &'static [&'static str] = &[
        "lr",
        "lr_at",
        "lr_factor",
        "lr_gan",
        "lr_gan_at",
        "lr_gan_factor",
    ];

    /// Refuses settings out of range; they are called `pretrain` and as [`Stages::RATES`] has them.
    ///
    /// # Errors
    /// Names the key.
    pub fn check(&self) -> Result<()> {
        check::within("pretrain", self.pretrain, 0..=1 << 40)?;
        check::positive("lr", self.first.lr)?;
        check::positive("lr_factor", self.first.factor)?;
        check::positive("lr_gan", self.second.lr)?;
        check::positive("lr_gan_factor", self.second.factor)
    }

    /// Whether iteration t, from 0, is of the first stage.
    pub fn pretrains(&self, t: u64) -> bool {
        !self.adversarial || t < self.pretrain
    }

    /// Whether iteration t is the first of the second stage.
    pub fn turns(&self, t: u64) -> bool {
        self.adversarial && t == self.pretrain
    }

    /// The learning rate of iteration t.
    pub fn rate(&self, t: u64) -> f64 {
        let (Falling { lr, at, factor }, t) = match self.pretrains(t) {
            true => (self.first, t),
            false => (self.second, t - self.pretrain),
        };
        schedule::stepped(lr, factor, at, t)
    }

    /// The number of iterations after which the first stage ends, where the second is in the run.
    pub fn ends(&self, length: &Length) -> Vec<u64> {
        let ends = self.adversarial && (1..length.steps).contains(&self.pretrain);
        ends.then_some(self.pretrain).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stage_has_its_own_clock_and_rate() {
        let mut stages = Stages {
            pretrain: 10,
            adversarial: true,
            first: Falling {
                lr: 1.,
                at: &[4, 8],
                factor: 0.5,
            },
            second: Falling {
                lr: 3.,
                at: &[2],
                factor: 0.1,
            },
        };
        let rates = |stages: &Stages<'_>| [0, 3, 4, 8, 9, 10, 11, 12].map(|t| stages.rate(t));
        assert_eq!(rates(&stages), [1., 1., 0.5, 0.25, 0.25, 3., 3., 3. * 0.1]);
        assert!(stages.pretrains(9) && !stages.pretrains(10) && stages.turns(10));
        assert_eq!(stages.ends(&Length::of(11)), [10]);
        assert!(stages.ends(&Length::of(10)).is_empty());
        stages.adversarial = false;
        assert_eq!(rates(&stages), [1., 1., 0.5, 0.25, 0.25, 0.25, 0.25, 0.25]);
        assert!(
            stages.pretrains(10) && !stages.turns(10) && stages.ends(&Length::of(99)).is_empty()
        );
    }
}
