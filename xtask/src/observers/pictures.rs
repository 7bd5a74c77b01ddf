//! `samples/step-*.png`: a grid a column; `interrupted.png` where a run was stopped on the way.

use super::{INTERRUPTED, picture_name, writing};
use candle_core::Result;
use gan_core::image::grid;
use gan_core::{Event, Observer};
use std::path::{Path, PathBuf};

/// Writes the grids of a run.
#[derive(Debug)]
pub struct Pictures {
    dir: PathBuf,
    columns: usize,
}

impl Pictures {
    /// Grids of `columns` pictures a row in `dir`; pictures of iterations past `from`, and of where the run was
    /// interrupted, are removed.
    pub fn open(dir: &Path, columns: usize, from: u64) -> Result<Self> {
        std::fs::create_dir_all(dir).map_err(writing(dir))?;
        for entry in std::fs::read_dir(dir).map_err(writing(dir))?.flatten() {
            let name = entry.file_name();
            let step = name
                .to_str()
                .and_then(|name| name.strip_prefix("step-")?.get(..8)?.parse().ok());
            if step.is_some_and(|t: u64| t > from) || name == INTERRUPTED {
                std::fs::remove_file(entry.path()).map_err(writing(dir))?;
            }
        }
        Ok(Self {
            dir: dir.to_path_buf(),
            columns,
        })
    }
}

impl Observer for Pictures {
    fn on(&mut self, event: &Event<'_>) -> Result<()> {
        let write = |path: &Path, pictures| {
            let png = grid(pictures, self.columns)?.png()?;
            std::fs::write(path, png).map_err(writing(path))
        };
        match event {
            Event::Sampled { t, columns } => columns
                .iter()
                .try_for_each(|(name, made)| write(&picture_name(&self.dir, *t, name), made)),
            // Of what takes pictures, which has several columns, a strip is shown.
            Event::Interrupted {
                columns: [(_, made)],
                ..
            } => write(&self.dir.join(INTERRUPTED), made),
            _ => Ok(()),
        }
    }
}
