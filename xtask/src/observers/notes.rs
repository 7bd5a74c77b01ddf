//! `notes.txt`: what was said while a run went on, one line each, after the iteration and a tab.

use super::{append, cut};
use candle_core::Result;
use gan_core::{Event, Observer};
use std::path::{Path, PathBuf};

/// Writes the notes of a run.
#[derive(Debug)]
pub struct Notes {
    path: PathBuf,
    from: u64,
    kept: Vec<String>,
    notes: Vec<String>,
}

/// The iteration of a line.
fn when(line: &str) -> Option<u64> {
    line.split_once('\t')?.0.parse().ok()
}

impl Notes {
    /// Goes on with the file, of which [`cut::cut`] leaves the lines up to `from`.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub fn open(path: &Path, from: u64, later: bool) -> Result<Self> {
        let (kept, note) = cut::cut(path, from, later, when)?;
        let kept = String::from_utf8_lossy(&kept);
        Ok(Self {
            path: path.to_path_buf(),
            from,
            kept: kept.split_inclusive('\n').map(str::to_string).collect(),
            notes: note.into_iter().collect(),
        })
    }
}

/// What a line says, whenever.
fn said(line: &str) -> Option<&str> {
    line.split_once('\t').map(|(_, text)| text)
}

impl Observer for Notes {
    fn on(&mut self, event: &Event<'_>) -> Result<()> {
        let Event::Noted { t, text } = event else {
            return Ok(());
        };
        let line = format!("{t}\t{}\n", text.replace('\n', " "));
        // A run that is gone on with begins with what it has said when it began.
        if *t == self.from && self.kept.iter().any(|kept| said(kept) == said(&line)) {
            return Ok(());
        }
        append(&self.path, &line)?;
        self.kept.push(line);
        Ok(())
    }

    fn said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_kept_up_to_where_a_run_goes_on() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("notes.txt");
        let says = |from, said: &[(u64, &str)]| {
            let mut notes = Notes::open(&path, from, false).expect("notes");
            for &(t, text) in said {
                notes.on(&Event::Noted { t, text }).expect("a line");
            }
            std::fs::read_to_string(&path).unwrap_or_default()
        };
        assert_eq!(says(0, &[(0, "a"), (3, "b\nc")]), "0\ta\n3\tb c\n");
        assert_eq!(says(2, &[(2, "a"), (2, "d")]), "0\ta\n2\td\n");
        assert_eq!(says(2, &[(4, "a")]), "0\ta\n2\td\n4\ta\n");
        assert_eq!(says(3, &[(3, "d")]), "0\ta\n2\td\n");
        std::fs::write(&path, "0\ta\n1\tcut").expect("a file");
        assert_eq!(says(9, &[]), "0\ta\n");
    }
}
