//! `samples/step-*-strips.png`: held-out pictures and what has become of them, side by side.

use super::{INTERRUPTED, picture_name, writing};
use crate::heldout::Beside;
use crate::translation::strips;
use candle_core::{Result, Tensor};
use gan_core::{Event, Observer};
use std::path::{Path, PathBuf};

/// The column of a file's name, which the film is made of, too.
pub const COLUMN: &str = "strips";

/// Writes comparison strips of a run.
#[derive(Debug)]
pub struct Strips {
    dir: PathBuf,
    beside: Beside,
}

impl Strips {
    /// Strips in `dir`, which [`super::pictures::Pictures::open`] has made: what a generator that takes
    /// pictures shows (input, output; or input, translated, cycled from both sides) and, where there are
    /// some, the true partners of its input; of one that enlarges input, bicubic, output, truth.
    pub fn new(dir: &Path, beside: Beside) -> Self {
        let dir = dir.to_path_buf();
        Self { dir, beside }
    }
}

impl Observer for Strips {
    fn on(&mut self, event: &Event<'_>) -> Result<()> {
        let shown = match event {
            Event::Sampled { t, columns } => Some((picture_name(&self.dir, *t, COLUMN), columns)),
            Event::Interrupted { columns, .. } => Some((self.dir.join(INTERRUPTED), columns)),
            _ => None,
        };
        if let Some((path, columns)) = shown {
            let made: Vec<&Tensor> = columns.iter().map(|(_, pictures)| pictures).collect();
            let (input, made) = made.split_at(made.len().min(1));
            let columns = input.iter().copied().chain(&self.beside.plain);
            let columns = columns.chain(made.iter().copied());
            let columns: Vec<Tensor> = columns.chain(&self.beside.truth).cloned().collect();
            let png = strips(&columns, 1)?.png()?;
            std::fs::write(&path, png).map_err(writing(&path))?;
        }
        Ok(())
    }
}
