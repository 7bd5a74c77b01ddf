//! `samples/latest.png`: the newest grid, under a name that stays.

use super::grids;
use candle_core::Result;
use gan_core::whole::write_whole;
use gan_core::{Event, FileError, Observer};
use std::path::{Path, PathBuf};

/// Keeps `latest.png` as the newest grid of a run is.
#[derive(Debug)]
pub struct Latest {
    samples: PathBuf,
    column: String,
}

impl Latest {
    /// Of the grids in `samples`, those of this column.
    pub fn new(samples: &Path, column: &str) -> Self {
        Self {
            samples: samples.to_path_buf(),
            column: column.into(),
        }
    }

    fn write(&self) -> Result<()> {
        let path = self.samples.join("latest.png");
        match grids(&self.samples, &self.column)?.last() {
            Some(newest) => {
                let copy = |file: &Path| std::fs::copy(newest, file).map(|_| ());
                Ok(write_whole(&path, copy)?)
            }
            // A run that goes on from before its first grid has none.
            None => match std::fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    Err(FileError::writing(&path, &e).into())
                }
                _ => Ok(()),
            },
        }
    }
}

impl Observer for Latest {
    fn on(&mut self, event: &Event<'_>) -> Result<()> {
        match event {
            Event::Started { .. } | Event::Sampled { .. } => self.write(),
            _ => Ok(()),
        }
    }
}
