//! `samples/step-*.png`: a grid a column.

use super::{picture_name, writing};
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
    /// Grids of `columns` pictures a row in `dir`; pictures of iterations past `from` are removed.
    pub fn open(dir: &Path, columns: usize, from: u64) -> Result<Self> {
        std::fs::create_dir_all(dir).map_err(writing(dir))?;
        for entry in std::fs::read_dir(dir).map_err(writing(dir))?.flatten() {
            let name = entry.file_name();
            let step = name
                .to_str()
                .and_then(|name| name.strip_prefix("step-")?.get(..8)?.parse().ok());
            if step.is_some_and(|t: u64| t > from) {
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
        if let Event::Sampled { t, columns } = event {
            for (name, pictures) in *columns {
                let path = picture_name(&self.dir, *t, name);
                let png = grid(pictures, self.columns)?.png()?;
                std::fs::write(&path, png).map_err(writing(&path))?;
            }
        }
        Ok(())
    }
}
