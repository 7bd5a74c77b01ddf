//! The one error for everything that has to do with a file or folder.

use std::path::{Path, PathBuf};

/// A file or folder that cannot be used: which one, what is wrong with it, what to do next.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}; {remedy}", plain(&path.display().to_string()))]
pub struct FileError {
    /// The file or folder.
    pub path: PathBuf,
    /// What was expected and what was found.
    pub problem: String,
    /// What the user can do next.
    pub remedy: String,
}

/// A text in which control characters are written out: a file's name may hold some, and a terminal would obey them.
pub fn plain(text: &str) -> String {
    let written = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    text.chars().map(written).collect()
}

/// A name or a value that a message quotes and that could be of any length: its beginning, control characters written
/// out.
pub fn brief(text: &str) -> String {
    cut(text, 60)
}

/// The first characters of a text, control characters written out; `…` stands for what is left out.
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => plain(text.get(..end).unwrap_or(text)) + "…",
        None => plain(text),
    }
}

impl FileError {
    /// An error about `path`; `problem` and `remedy` are parts of one sentence.
    pub fn new(path: &Path, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            path: path.to_path_buf(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// A file that could not be read.
    pub fn reading(path: &Path, error: &std::io::Error) -> Self {
        let remedy = match error.kind() {
            std::io::ErrorKind::NotFound => "check the name",
            std::io::ErrorKind::PermissionDenied => "check its permissions",
            _ => "check the disk",
        };
        Self::new(path, format!("cannot be read ({error})"), remedy)
    }

    /// A file that could not be written.
    pub fn writing(path: &Path, error: &std::io::Error) -> Self {
        let remedy = match error.kind() {
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                "make the folder writable or choose another one with --out"
            }
            std::io::ErrorKind::StorageFull
            | std::io::ErrorKind::FileTooLarge
            | std::io::ErrorKind::QuotaExceeded => "free some space, then resume the run",
            _ => "check the folder and the disk",
        };
        Self::new(path, format!("cannot be written ({error})"), remedy)
    }
}

impl From<FileError> for candle_core::Error {
    fn from(error: FileError) -> Self {
        candle_core::Error::wrap(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_gives_a_terminal_nothing_to_obey() {
        let error = FileError::new(Path::new("a\u{1b}[2J\nb\u{9b}é"), "is bad", "mend it");
        assert_eq!(
            error.to_string(),
            "a\\u{1b}[2J\\nb\\u{9b}é: is bad; mend it"
        );
    }
}
