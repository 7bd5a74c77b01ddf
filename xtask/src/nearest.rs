//! What a file's keys are most like, for an error about a file that fits nothing.

use gan_core::layout::{Layout, nearest};
use gan_core::{Recipe, Weights};

/// The kind of network that most of a file's keys name layers of, the papers that have such a one, and how many of the
/// keys these are.
pub struct Nearest {
    /// Papers' names, the first that a file is opened as before all others.
    pub papers: Vec<&'static str>,
    /// The layout.
    pub layout: &'static Layout,
    /// "12 of 14 keys".
    pub share: String,
}

impl Nearest {
    /// None where no key is of any layout.
    pub fn new(papers: &[&dyn Recipe], weights: &Weights) -> Option<Self> {
        let all = || {
            papers.iter().flat_map(|recipe| {
                let name = recipe.info().name;
                recipe.layouts().iter().map(move |layout| (name, layout))
            })
        };
        let (_, layout) = nearest(all(), weights)?;
        let having = all().filter(|(_, other)| other.name == layout.name);
        let among = layout.among(weights);
        Some(Self {
            papers: having.map(|(name, _)| name).collect(),
            layout,
            share: format!("{among} of {} keys", weights.keys().count()),
        })
    }

    /// In words.
    pub fn said(&self) -> String {
        let papers = self.papers.join(", ");
        format!(
            "its keys are nearest to those of a {} ({papers}; {})",
            self.layout.name, self.share
        )
    }
}
