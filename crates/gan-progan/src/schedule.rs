//! What is trained when: a pure function of the iteration, the settings and the run's length.

use crate::config::Config;
use crate::phase::Phase;
use candle_core::{Result, bail};
use gan_core::Length;

/// The phases of a run.
#[derive(Clone, Debug)]
pub struct Schedule {
    length: Length,
    /// First iteration, level, and whether the level is faded in.
    parts: Vec<(u64, usize, bool)>,
    /// Of a run that does not grow.
    fixed: Option<Phase>,
}

impl Schedule {
    /// The phases of these settings in a run of this length.
    ///
    /// # Errors
    /// A length that ends before the last resolution is faded in.
    pub fn new(config: &Config, length: Length) -> Result<Self> {
        let last = config.levels() - 1;
        let fixed = (!config.grow).then_some(Phase {
            level: last,
            alpha: config.alpha,
        });
        // 4x4, then each resolution twice: faded in, and stable (section 2 and appendix A.1).
        let parts = (0..=last).flat_map(|level| [(level, true), (level, false)]);
        let parts: Vec<(usize, bool)> = parts.skip(1).collect();
        let iterations: Vec<f64> = match (config.stable, config.fading) {
            (0, 0) => {
                // As many pictures in each part.
                let each = |&(level, _): &(usize, bool)| 1. / config.batch.at(level) as f64;
                let all: f64 = parts.iter().map(each).sum();
                let share = length.steps as f64 / all;
                parts.iter().map(|part| share * each(part)).collect()
            }
            (stable, fading) => {
                let shown = |fades: bool| if fades { fading } else { stable };
                let batches = |&(level, fades): &(usize, bool)| {
                    shown(fades).div_ceil(config.batch.at(level) as u64) as f64
                };
                parts.iter().map(batches).collect()
            }
        };
        let mut starts = Vec::new();
        let mut from = 0.;
        for ((level, fades), n) in parts.into_iter().zip(iterations) {
            starts.push((from as u64, level, fades));
            from += n;
        }
        let schedule = Self {
            length,
            parts: starts,
            fixed,
        };
        match schedule.parts.last() {
            Some(&(start, ..)) if config.grow && config.stable > 0 && start >= length.steps => {
                bail!(
                    "the run has {} iterations, but {1}x{1} is faded in after {start} only; make it longer, or lower stable \
                     and fading (0 and 0: equal parts of the run)",
                    length.steps,
                    config.size
                )
            }
            _ => Ok(schedule),
        }
    }

    /// The phase of iteration t, from 0.
    pub fn phase(&self, t: u64) -> Phase {
        if let Some(phase) = self.fixed {
            return phase;
        }
        let t = self.length.clock(t);
        let i = self.parts.partition_point(|(start, ..)| *start <= t);
        let Some(&(start, level, fades)) = self.parts.get(i.saturating_sub(1)) else {
            return Phase::whole(0);
        };
        let end = self.parts.get(i).map_or(self.length.steps, |part| part.0);
        match fades {
            // α rises linearly (figure 2) and lies between 0 and 1, as neither trains all layers that take part.
            true => Phase {
                level,
                alpha: (t - start + 1) as f64 / (end - start + 1) as f64,
            },
            false => Phase::whole(level),
        }
    }

    /// Whether iteration t is the first of a resolution that was added to another.
    pub fn grows(&self, t: u64) -> bool {
        t > 0 && self.phase(t).level > self.phase(t - 1).level
    }

    /// After how many iterations a part of the run ends.
    pub fn ends(&self) -> Vec<u64> {
        let ends = self.parts.iter().skip(1).map(|part| part.0);
        match self.fixed {
            Some(_) => Vec::new(),
            None => ends.collect(),
        }
    }
}
