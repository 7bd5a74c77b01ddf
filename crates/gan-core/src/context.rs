//! What a paper's training is built from, besides its settings.

use crate::data::DataInfo;
use crate::tally::Tally;
use crate::weights::Weights;
use candle_core::Device;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long a run is, for whatever is reckoned from that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Length {
    /// The iterations that schedules are reckoned for.
    pub steps: u64,
    /// The iteration from which on rates stay where they are, in a run that was made longer so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_from: Option<u64>,
}

impl Length {
    /// A run of this many iterations.
    pub fn of(steps: u64) -> Self {
        Self {
            steps,
            held_from: None,
        }
    }

    /// The iteration that a schedule takes iteration `t` for.
    pub fn clock(&self, t: u64) -> u64 {
        match self.held_from {
            Some(from) => t.min(from.saturating_sub(1)),
            None => t,
        }
    }
}

/// What `build` may use besides the configuration.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Context {
    /// Where the networks live.
    pub device: Device,
    /// Seed of the initial weights.
    pub seed: u64,
    /// The data's channels, sizes, classes and counts.
    pub data: DataInfo,
    /// The length of the run.
    pub length: Length,
    /// The weights of a feature network, for a paper whose loss looks through one.
    pub features: Option<Arc<Weights>>,
    /// The shapes of all variables by `NET.KEY`, where they are known beforehand: another is refused before it is
    /// made, so that settings which lie about sizes cost no memory.
    pub shapes: Option<Arc<BTreeMap<String, Vec<usize>>>>,
    /// Counts what the networks would take; with it they are of no use otherwise.
    pub tally: Option<Tally>,
}

impl Context {
    /// A run of `steps` iterations on data like this, without a feature network.
    pub fn new(device: &Device, seed: u64, data: DataInfo, steps: u64) -> Self {
        Self {
            device: device.clone(),
            seed,
            data,
            length: Length::of(steps),
            features: None,
            shapes: None,
            tally: None,
        }
    }
}
