//! `scalars.csv`: one line a number, `iteration,name,value`.

use super::{cut, writing};
use candle_core::Result;
use gan_core::{Event, FileError, Observer};
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// The file's first line.
pub const HEAD: &str = "iteration,name,value";

/// Writes the scalars of a run.
#[derive(Debug)]
pub struct Csv {
    path: PathBuf,
    out: BufWriter<File>,
    notes: Vec<String>,
}

/// The iteration of a line without its end; that of the head is 0.
fn when(line: &str) -> Option<u64> {
    if line == HEAD {
        return Some(0);
    }
    let (t, name, _) = record(line)?;
    (!name.is_empty()).then_some(t)
}

/// Iteration, name and value of a line.
pub fn record(line: &str) -> Option<(u64, &str, f32)> {
    let (t, rest) = line.split_once(',')?;
    let (name, value) = rest.split_once(',')?;
    Some((t.parse().ok()?, name, value.parse().ok()?))
}

/// The last iteration that a run has logged.
///
/// # Errors
/// A file that cannot be read.
pub fn last_iteration(path: &Path) -> std::result::Result<Option<u64>, FileError> {
    let last = cut::last(path, when)?;
    Ok(last.filter(|t| *t > 0))
}

/// All that is logged of a run, in its order; nothing where it cannot be read.
pub fn read(path: &Path) -> Vec<(u64, String, f32)> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let records = text.lines().filter_map(record);
    records
        .map(|(t, name, value)| (t, name.to_string(), value))
        .collect()
}

impl Csv {
    /// Goes on with the file, of which [`cut::cut`] leaves the lines up to `from`; starts one where there is none.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub fn open(path: &Path, from: u64, later: bool) -> Result<Self> {
        let (kept, note) = cut::cut(path, from, later, when)?;
        if !kept.starts_with(HEAD.as_bytes()) {
            let whole = [HEAD.as_bytes(), b"\n", &kept].concat();
            std::fs::write(path, whole).map_err(writing(path))?;
        }
        let file = OpenOptions::new()
            .append(true)
            .open(path)
            .map_err(writing(path))?;
        Ok(Self {
            path: path.to_path_buf(),
            out: BufWriter::new(file),
            notes: note.into_iter().collect(),
        })
    }
}

impl Observer for Csv {
    fn on(&mut self, event: &Event<'_>) -> Result<()> {
        match event {
            Event::Logged { t, scalars } => {
                for (name, value) in *scalars {
                    writeln!(self.out, "{t},{name},{value}").map_err(writing(&self.path))?;
                }
                Ok(())
            }
            Event::Saving { .. } | Event::Ended { .. } => {
                self.out.flush().map_err(writing(&self.path))?;
                // A checkpoint outlives a power cut, and so must the log up to it.
                self.out.get_ref().sync_data().map_err(writing(&self.path))
            }
            _ => Ok(()),
        }
    }

    fn said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_whole_with_iteration_name_and_value() {
        for line in ["10,loss/d/d,0.5", "0,a,NaN", "7,b,-1e-9", HEAD] {
            assert!(when(line).is_some(), "{line}");
        }
        for line in ["", "x,a,1", "10,a", "10,,1", "10,a,", "10,a,1,2", "-1,a,1"] {
            assert!(when(line).is_none(), "{line}");
        }
    }

    #[test]
    fn a_file_that_has_lost_its_head_gets_another() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("scalars.csv");
        let whole = format!("{HEAD}\n1,a,2\n");
        for (text, kept) in [
            ("", format!("{HEAD}\n")),
            ("iterat", format!("{HEAD}\n")),
            ("\0\0\0\0", format!("{HEAD}\n")),
            ("itexation,name,value\n1,a,2\n2,a,3\n", whole.clone()),
            (&whole, whole.clone()),
        ] {
            std::fs::write(&path, text).expect("a file");
            drop(Csv::open(&path, 1, false).expect("opened"));
            assert_eq!(std::fs::read_to_string(&path).expect("a file"), kept);
        }
        assert_eq!(last_iteration(&path).expect("a log"), Some(1));
    }
}
