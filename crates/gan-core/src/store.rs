//! A run's folder of checkpoints: which are written, which stay, which is the newest that is intact.

use crate::algorithm::Algorithm;
use crate::checkpoint::{Checkpoint, Header};
use crate::error::{FileError, plain};
use crate::source::Source;
use crate::whole::{Place, clean};
use candle_core::Result;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Ending of checkpoints that a run has left behind by going on from an earlier one.
const ABANDONED: &str = ".abandoned";

/// A run's folder of checkpoints: `step-00001000.safetensors`.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    place: Place,
    keep: usize,
    /// Iterations between two checkpoints, and those of the whole run; 0 where they are not known.
    every: u64,
    end: u64,
    /// Settings that were changed on the way, each with the iterations that were done before.
    changed: Vec<(u64, Value)>,
    header: Header,
}

/// Which checkpoints stay when the newest is that after `newest` iterations.
///
/// A run's own are those after a multiple of `every` iterations and after `end`: the newest `keep` of them stay, and up
/// to `keep` spread evenly over the run, so that its course can still be measured. Others were saved when it was
/// stopped: the newest `keep` stay until the run has one of its own again. So which stay at the end depends on these
/// numbers alone, not on where the run was stopped. A `keep` of 0 keeps all.
fn stays(all: &[u64], newest: u64, keep: usize, every: u64, end: u64) -> BTreeSet<u64> {
    if keep == 0 {
        return all.iter().copied().collect();
    }
    let own = |t: u64| (every > 0 && t.is_multiple_of(every)) || t == end;
    // Doubled where it would be too many, so that no checkpoint is wanted that was removed before.
    let mut stride = every;
    while every > 0 && newest / stride > keep as u64 {
        stride = stride.saturating_mul(2);
    }
    let is_spread = |t: u64| stride > 0 && t.is_multiple_of(stride);
    let last_own = all.iter().copied().filter(|&t| own(t)).max();
    let mut sorted = all.to_vec();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    let newest_own = sorted.iter().filter(|&&t| own(t)).take(keep);
    let others = sorted.iter().filter(|&&t| !own(t));
    let since = others.filter(|&&t| last_own.is_none_or(|own| t > own));
    let spread = sorted.iter().filter(|&&t| is_spread(t));
    newest_own
        .chain(since.take(keep))
        .chain(spread)
        .copied()
        .collect()
}

impl Store {
    /// Opens the folder for a run that goes on after `from` iterations, making it where it is missing.
    ///
    /// Removes what an interrupted write left, and sets checkpoints past `from` aside (`….abandoned`):
    /// they belong to another course of the run, or are damaged.
    pub fn open(
        dir: &Path,
        from: u64,
        keep: usize,
        header: Header,
    ) -> std::result::Result<Self, FileError> {
        std::fs::create_dir_all(dir).map_err(|e| FileError::writing(dir, &e))?;
        let place = Place::open(dir)?;
        clean(dir)?;
        for (_, path) in Self::list(dir)?.iter().filter(|(t, _)| *t > from) {
            let mut aside = path.clone().into_os_string();
            aside.push(ABANDONED);
            std::fs::rename(path, aside).map_err(|e| FileError::writing(path, &e))?;
        }
        Ok(Self {
            dir: dir.to_path_buf(),
            place,
            keep,
            every: 0,
            end: 0,
            changed: Vec::new(),
            header,
        })
    }

    /// The same for a run that saves after each `every` iterations and after its `end`: beside the newest `keep` of
    /// these, up to `keep` stay that are spread over the run.
    pub fn spread(self, every: u64, end: u64) -> Self {
        Self { every, end, ..self }
    }

    /// The same for a run whose settings change on the way: from which iteration on, and to what.
    pub fn changed(self, changed: Vec<(u64, Value)>) -> Self {
        Self { changed, ..self }
    }

    /// Whether going on after `from` iterations would set checkpoints aside.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn has_later(dir: &Path, from: u64) -> std::result::Result<bool, FileError> {
        Ok(dir.is_dir() && Self::list(dir)?.iter().any(|(t, _)| *t > from))
    }

    /// Writes the checkpoint after `t` iterations and removes those that do not stay: all but the newest `keep` (0: none),
    /// and what [`Store::spread`] says.
    ///
    /// # Errors
    /// A state that is not finite, which names the checkpoint that stands; a file that cannot be written; a folder
    /// that is no longer the one that was opened.
    pub fn save(
        &mut self,
        t: u64,
        algorithm: &mut dyn Algorithm,
        source: &dyn Source,
    ) -> Result<PathBuf> {
        self.place.require()?;
        self.header.iteration = t;
        for (from, config) in &self.changed {
            if *from < t {
                self.header.config = config.clone();
            }
        }
        let path = self.dir.join(format!("step-{t:08}.safetensors"));
        let then = self.stands()?;
        Checkpoint::write_or(&path, &self.header, algorithm, source, &then)?;
        self.prune(t)?;
        Ok(path)
    }

    /// Removes the checkpoints that do not stay when the newest is that after `t` iterations, as [`Store::save`] does: a
    /// process that was killed in between has left one too many.
    ///
    /// # Errors
    /// A folder that cannot be read or written, or is no longer the one that was opened.
    pub fn prune(&self, t: u64) -> std::result::Result<(), FileError> {
        let all = Self::list(&self.dir)?;
        let ts: Vec<u64> = all.iter().map(|(t, _)| *t).collect();
        let stays = stays(&ts, t, self.keep, self.every, self.end);
        for (_, old) in all.iter().filter(|(t, _)| !stays.contains(t)) {
            self.place.require()?;
            std::fs::remove_file(old).map_err(|e| FileError::writing(old, &e))?;
        }
        Ok(())
    }

    /// What is left where a run ends with an error, for the error to say.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn stands(&self) -> std::result::Result<String, FileError> {
        Ok(match self.kept()?.pop() {
            Some((_, path)) => format!("{} stands", plain(&path.display().to_string())),
            None => "nothing was saved".into(),
        })
    }

    /// Iteration and file of each checkpoint that is there, oldest first.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn kept(&self) -> std::result::Result<Vec<(u64, PathBuf)>, FileError> {
        Self::list(&self.dir)
    }

    /// Iteration and file of each checkpoint in the folder, oldest first.
    pub fn list(dir: &Path) -> std::result::Result<Vec<(u64, PathBuf)>, FileError> {
        let entries = std::fs::read_dir(dir).map_err(|e| FileError::reading(dir, &e))?;
        let mut all: Vec<_> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name();
                let number = name.to_str()?.strip_prefix("step-")?;
                let t = number.strip_suffix(".safetensors")?.parse().ok()?;
                Some((t, entry.path()))
            })
            .collect();
        all.sort();
        Ok(all)
    }

    /// The newest checkpoint that is intact, and what is wrong with those after it.
    ///
    /// # Errors
    /// A folder that cannot be read. One that a newer version has written before an intact one was found: to go on
    /// from an earlier one would set aside what that version has done.
    pub fn newest(
        dir: &Path,
    ) -> std::result::Result<(Option<Checkpoint>, Vec<FileError>), FileError> {
        let mut damaged = Vec::new();
        for (_, path) in Self::list(dir)?.iter().rev() {
            match Checkpoint::look(path) {
                Ok(checkpoint) => return Ok((Some(checkpoint), damaged)),
                Err(fault) if fault.newer => return Err(fault.error),
                Err(fault) => damaged.push(fault.error),
            }
        }
        Ok((None, damaged))
    }
}

#[cfg(test)]
mod tests {
    use super::stays;
    use std::collections::BTreeSet;

    /// What is there after a run that saves at these moments, one after the other.
    fn left(moments: &[u64], keep: usize, every: u64, end: u64) -> Vec<u64> {
        let mut there = BTreeSet::new();
        for &t in moments {
            there.insert(t);
            let all: Vec<u64> = there.iter().copied().collect();
            there = stays(&all, t, keep, every, end);
            assert!(there.contains(&t), "{t} of {moments:?}");
        }
        there.into_iter().collect()
    }

    #[test]
    fn the_newest_checkpoints_stay_and_some_of_the_whole_run() {
        let run: Vec<u64> = (1..=20).map(|i| 10 * i).collect();
        assert_eq!(left(&run, 3, 10, 200), [80, 160, 180, 190, 200]);
        assert_eq!(left(&run[..7], 3, 10, 200), [20, 40, 50, 60, 70]);
        assert_eq!(left(&run, 1, 10, 200), [160, 200]);
        assert_eq!(left(&run, 0, 10, 200), run);
        assert_eq!(left(&[7], 3, 0, 7), [7]);
        // Where nothing is known of the run, as many as are asked for.
        assert_eq!(left(&run, 2, 0, 0), [190, 200]);
    }

    #[test]
    fn where_a_run_was_stopped_does_not_show_in_the_end() {
        let whole = [10, 20, 30, 40, 50, 55];
        for stops in [&[3][..], &[10], &[19, 21], &[51, 52, 53, 54], &[33, 34, 35]] {
            let mut moments = [&whole[..], stops].concat();
            moments.sort_unstable();
            assert_eq!(left(&moments, 2, 10, 55), left(&whole, 2, 10, 55));
            // While it goes on, the newest are there, whoever saved them.
            let newest = *stops.last().unwrap_or(&0);
            moments.retain(|t| *t <= newest);
            assert!(left(&moments, 2, 10, 55).contains(&newest));
        }
        // One that saves at its end alone and is stopped on the way.
        assert_eq!(left(&[3, 5, 8], 2, 0, 9), [5, 8]);
        assert_eq!(left(&[3, 5, 8, 9], 2, 0, 9), [9]);
    }
}
