//! The one error for everything that has to do with a file or folder.

use std::path::{Path, PathBuf};

/// Characters of a message, what is put before it aside: it is to be read at a glance, however long the names in it.
pub const LONGEST: usize = 290;
/// Characters that a file's name has in a message where what is said of it is long, too.
const NAME: usize = 60;

/// A file or folder that cannot be used: which one, what is wrong with it, what to do next. Names that would make the
/// message longer than [`LONGEST`] are shown by their beginning and their end.
#[derive(Debug, thiserror::Error)]
#[error("{}", worded(path, problem, remedy))]
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

/// A text of at most so many characters, control characters written out: of a longer one the beginning and the end,
/// with `…` for what is left out between them.
pub fn shortened(text: &str, most: usize) -> String {
    let text = plain(text);
    let n = text.chars().count();
    if n <= most {
        return text;
    }
    let begin = most / 2;
    let end = n - most.saturating_sub(begin + 1);
    let all = || text.chars();
    all()
        .take(begin)
        .chain(['…'])
        .chain(all().skip(end))
        .collect()
}

fn worded(path: &Path, problem: &str, remedy: &str) -> String {
    // What the user can do is said in full; there are no names in it.
    let rest = remedy.chars().count() + 4;
    let path = path.display().to_string();
    let named = plain(&path).chars().count().min(NAME);
    let problem = shortened(problem, LONGEST.saturating_sub(named + rest).max(NAME));
    let room = LONGEST.saturating_sub(problem.chars().count() + rest);
    let path = shortened(&path, room.max(NAME));
    format!("{path}: {problem}; {remedy}")
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

    #[test]
    fn names_of_any_length_leave_a_message_that_can_be_read() {
        let long = |c: &str| format!("begin/{}/end", c.repeat(5000));
        let error = FileError::new(Path::new(&long("a")), long("é"), "mend it");
        let said = error.to_string();
        assert_eq!(said.chars().count(), LONGEST, "{said}");
        for whole in ["begin/aaa", "aaa/end: begin/ééé", "ééé/end; mend it"] {
            assert!(said.contains(whole), "{said}");
        }
        // As long as there is room, a name is whole.
        let name = "a".repeat(200);
        let said = FileError::new(Path::new(&name), "is bad", "mend it").to_string();
        assert_eq!(said, format!("{name}: is bad; mend it"));
    }
}
