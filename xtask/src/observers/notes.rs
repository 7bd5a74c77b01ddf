//! `notes.txt`: what was said while a run went on, one line each, after the iteration and a tab.

use super::writing;
use candle_core::Result;
use gan_core::{Event, FileError, Observer};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes the notes of a run.
#[derive(Debug)]
pub struct Notes {
    path: PathBuf,
    from: u64,
    kept: Vec<String>,
}

impl Notes {
    /// Goes on with the file; lines of iterations past `from`, or not whole, are removed.
    pub fn open(path: &Path, from: u64) -> Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(FileError::reading(path, &e).into()),
        };
        let is_kept = |line: &&str| {
            let t = line
                .split_once('\t')
                .and_then(|(t, _)| t.parse::<u64>().ok());
            line.ends_with('\n') && t.is_some_and(|t| t <= from)
        };
        let kept: Vec<String> = text
            .split_inclusive('\n')
            .take_while(is_kept)
            .map(str::to_string)
            .collect();
        if kept.concat() != text {
            std::fs::write(path, kept.concat()).map_err(writing(path))?;
        }
        let path = path.to_path_buf();
        Ok(Self { path, from, kept })
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
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path);
        file.and_then(|mut file| file.write_all(line.as_bytes()))
            .map_err(writing(&self.path))?;
        self.kept.push(line);
        Ok(())
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
            let mut notes = Notes::open(&path, from).expect("notes");
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
