//! TensorBoard: the scalars as run `train`, each column of pictures as a run of its own (`fake`, `real`).

use super::writing;
use crate::tfevents::EventFile;
use candle_core::Result;
use gan_core::image::grid;
use gan_core::{Event, Observer};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The run that holds the scalars.
const SCALARS: &str = "train";

/// Writes event files of a run.
#[derive(Debug)]
pub struct TensorBoard {
    dir: PathBuf,
    from: u64,
    later: bool,
    columns: usize,
    notes: Vec<String>,
    files: BTreeMap<String, EventFile>,
}

impl TensorBoard {
    /// Event files under `dir`, each cut at the first record past `from`, after which there are `later` checkpoints or
    /// not; grids of `columns` a row.
    ///
    /// # Errors
    /// Files that cannot be read or written.
    pub fn open(dir: &Path, columns: usize, from: u64, later: bool) -> Result<Self> {
        let mut board = Self {
            dir: dir.to_path_buf(),
            from,
            later,
            columns,
            notes: Vec::new(),
            files: BTreeMap::new(),
        };
        // All that exist are cut now, also those that this run will not write to again.
        if let Ok(entries) = std::fs::read_dir(dir) {
            for entry in entries.flatten() {
                if let (true, Some(name)) = (entry.path().is_dir(), entry.file_name().to_str()) {
                    board.file(name)?;
                }
            }
        }
        Ok(board)
    }

    fn file(&mut self, name: &str) -> Result<&mut EventFile> {
        let dir = self.dir.join(name);
        if !self.files.contains_key(name) {
            let file = EventFile::resume(&dir, self.from, self.later).map_err(writing(&dir))?;
            let note = |aside: &PathBuf| {
                format!("what was cut of the events is kept in {}", aside.display())
            };
            self.notes.extend(file.aside().iter().map(note));
            self.files.insert(name.to_string(), file);
        }
        match self.files.get_mut(name) {
            Some(file) => Ok(file),
            None => candle_core::bail!("{name}: no event file"),
        }
    }
}

impl Observer for TensorBoard {
    fn on(&mut self, event: &Event<'_>) -> Result<()> {
        let dir = self.dir.clone();
        match event {
            Event::Logged { t, scalars } => {
                let values: Vec<_> = scalars
                    .iter()
                    .map(|(name, value)| (name.as_str(), *value))
                    .collect();
                self.file(SCALARS)?
                    .scalars(*t, &values)
                    .map_err(writing(&dir))
            }
            Event::Sampled { t, columns } => {
                for (name, pictures) in *columns {
                    let picture = grid(pictures, self.columns)?;
                    let (h, w, c) = (picture.height, picture.width, picture.channels);
                    self.file(name)?
                        .image_png(*t, "samples", h as u32, w as u32, c as u32, &picture.png()?)
                        .map_err(writing(&dir))?;
                }
                Ok(())
            }
            Event::Saving { .. } | Event::Ended { .. } => self
                .files
                .values_mut()
                .try_for_each(EventFile::flush)
                .map_err(writing(&dir)),
            _ => Ok(()),
        }
    }

    fn said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }
}
