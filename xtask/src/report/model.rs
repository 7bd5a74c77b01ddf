//! What a report shows, as a value: whoever has runs fills it, and the page is drawn from it alone.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A report of one run, or of several variants beside each other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The heading.
    pub title: String,
    /// What is asked or shown, in a sentence.
    pub lead: Option<String>,
    /// The command that does the same again, as a shell takes it.
    pub command: String,
    /// What holds for all runs (data, budget, machine, versions): name and value.
    pub facts: Vec<(String, String)>,
    /// What has to be said, a sentence each.
    pub notes: Vec<String>,
    /// The settings that differ between the variants; of one variant all of them.
    pub settings: Vec<Setting>,
    /// What is compared.
    pub variants: Vec<Variant>,
    /// Whether the file will be written again while its runs go on, so that the page shall look for it.
    pub live: bool,
}

/// A setting.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Setting {
    /// Its key.
    pub key: String,
    /// What it means.
    pub about: String,
    /// Its value in each variant, in their order; none where a variant has no such setting.
    pub values: Vec<Option<String>>,
}

/// Runs that differ in their seed alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Variant {
    /// What it is called.
    pub name: String,
    /// Its runs.
    pub runs: Vec<Run>,
}

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It has not begun.
    #[default]
    Waiting,
    /// It is under way.
    Training {
        /// Iterations done.
        done: u64,
    },
    /// It is trained, and its pictures are being measured.
    Measuring,
    /// It was stopped and can be gone on with.
    Stopped {
        /// Iterations done.
        done: u64,
    },
    /// It has done all iterations.
    Done,
    /// It has failed, for this reason.
    Failed(String),
}

/// A run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Run {
    /// Its seed.
    pub seed: u64,
    /// How far it is.
    pub state: State,
    /// Iterations of the whole run.
    pub steps: u64,
    /// Training pictures shown so far.
    pub shown: Option<u64>,
    /// Seconds that it has taken.
    pub seconds: Option<f64>,
    /// Processor seconds of all threads.
    pub cpu_seconds: Option<f64>,
    /// The largest resident memory in MiB.
    pub peak_mib: Option<u64>,
    /// What was logged.
    pub curves: Vec<Curve>,
    /// Grids from the same noise or inputs, in the order of their iterations.
    pub pictures: Vec<Shot>,
    /// What was measured.
    pub measures: Vec<Measured>,
    /// What was said while it went on: iteration and sentence.
    pub notes: Vec<(u64, String)>,
}

/// A scalar over a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Curve {
    /// Its name.
    pub name: String,
    /// What it means.
    pub about: Option<String>,
    /// Its values, in the order of their iterations.
    pub points: Vec<Point>,
}

/// A value of a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Iterations done.
    pub t: u64,
    /// Training pictures shown by then.
    #[serde(default)]
    pub shown: Option<u64>,
    /// Seconds since the beginning.
    #[serde(default)]
    pub seconds: Option<f64>,
    /// The value; JSON has no NaN, which is none there.
    #[serde(deserialize_with = "or_nan")]
    pub value: f64,
}

fn or_nan<'de, D: serde::Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

/// A grid of pictures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shot {
    /// Iterations done.
    pub t: u64,
    /// What the pictures are: `fake`, `strips`.
    pub column: String,
    /// Its file, a PNG.
    pub file: PathBuf,
}

/// A value that pictures were measured by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Measured {
    /// What was measured.
    pub of: Of,
    /// The measure's name.
    pub name: String,
    /// The value.
    pub value: f64,
    /// How far the value may be off by the choice of pictures, where that is known.
    pub error: Option<f64>,
    /// Which values are better.
    pub better: Option<Better>,
    /// What the value depends on.
    pub protocol: String,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Of {
    /// What a generator made after these iterations.
    Moment(u64),
    /// What its values stand beside: training pictures, a bicubic filter.
    Yardstick(String),
}

impl Default for Of {
    fn default() -> Self {
        Self::Moment(0)
    }
}

/// Which values of a measure are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// Smaller ones.
    Lower,
    /// Greater ones.
    Higher,
}

/// Mean and standard deviation (n − 1) of values; none of no value, no deviation of one.
pub fn spread(values: &[f64]) -> Option<(f64, Option<f64>)> {
    let n = values.len();
    let mean = values.iter().sum::<f64>() / n as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let deviation = (n > 1).then(|| (squares / (n - 1) as f64).sqrt());
    (n > 0).then_some((mean, deviation))
}

impl State {
    /// Iterations done of a run of so many.
    pub fn done(&self, steps: u64) -> Option<u64> {
        match self {
            Self::Waiting => Some(0),
            Self::Training { done } | Self::Stopped { done } => Some(*done),
            Self::Done | Self::Measuring => Some(steps),
            Self::Failed(_) => None,
        }
    }
}

impl Report {
    /// All runs with the number of their variant.
    pub fn runs(&self) -> impl Iterator<Item = (usize, &Run)> {
        let variants = self.variants.iter().enumerate();
        variants.flat_map(|(i, variant)| variant.runs.iter().map(move |run| (i, run)))
    }
}
