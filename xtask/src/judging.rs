//! What `eval` compares pictures by, whatever they are made of.

use anyhow::Result;
use gan_core::Sampler;
use gan_eval::Measure;

/// The measures of one set of pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// `start`, an iteration, or what the pictures are.
    pub name: String,
    /// Their values, each with its share of a baseline's, where there is one.
    pub measures: Vec<(Measure, Option<f64>)>,
}

/// What all sets of pictures of a run are compared with.
pub trait Judging {
    /// What the generator's values stand beside.
    fn yardsticks(&self) -> Result<Vec<Row>>;
    /// Rows of what a generator makes after `t` iterations.
    fn rows(&self, sampler: &dyn Sampler, name: &str, t: u64) -> Result<Vec<Row>>;
    /// Whether the table has a line a measure, for judges that have more measures than moments.
    fn tall(&self) -> bool {
        false
    }
    /// What the table's words mean.
    fn notes(&self) -> Vec<String>;
}
