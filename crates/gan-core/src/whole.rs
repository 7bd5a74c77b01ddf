//! Files that are read to their end, and written whole or not at all.

use crate::error::FileError;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// How the names of files begin that are not whole yet; what an interrupted write leaves has such a name.
pub(crate) const TEMPORARY: &str = ".saving-";

/// Writes a file whole or not at all: `write` fills a temporary file beside `path`, which is flushed
/// to disk and renamed.
pub fn write_whole(
    path: &Path,
    write: impl FnOnce(&Path) -> std::io::Result<()>,
) -> std::result::Result<(), FileError> {
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let wrap = |e: std::io::Error| FileError::writing(path, &e);
    let mut named = tempfile::Builder::new();
    named.prefix(TEMPORARY);
    #[cfg(unix)]
    named.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // less the umask, as for any other file
    let temporary = named.tempfile_in(dir).map_err(wrap)?.into_temp_path();
    let about = std::fs::metadata(&temporary).map_err(wrap)?;
    write(&temporary).map_err(wrap)?;
    // What writes may have put a file of its own there, with other permissions: safetensors does.
    std::fs::set_permissions(&temporary, about.permissions()).map_err(wrap)?;
    // Opened to be written, as other systems than Unix flush nothing else.
    File::options()
        .append(true)
        .open(&temporary)
        .and_then(|file| file.sync_all())
        .map_err(wrap)?;
    temporary.persist(path).map_err(|e| wrap(e.error))?;
    sync_folder(dir).map_err(wrap)
}

/// Writes a file whole or not at all, as it is made: `write` is given where its bytes go. What fails there is an
/// error of the file, what fails otherwise is `write`'s own.
///
/// # Errors
/// Those of `write`; a file that cannot be written.
pub fn stream_whole<E: From<FileError>>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let mut own = None;
    let written = write_whole(path, |file| {
        let mut sink = Sink {
            to: BufWriter::new(File::options().write(true).open(file)?),
            failed: None,
        };
        let made = write(&mut sink);
        match (made, sink.failed.take()) {
            (_, Some(error)) => Err(error),
            (Err(error), None) => {
                let said = std::io::Error::other("it was not made");
                own = Some(error);
                Err(said)
            }
            (Ok(()), None) => sink.to.flush(),
        }
    });
    match own {
        Some(error) => Err(error),
        None => Ok(written?),
    }
}

/// Remembers the first error of writing: encoders wrap theirs.
struct Sink<W> {
    to: W,
    failed: Option<std::io::Error>,
}

impl<W: Write> Sink<W> {
    fn noted<T>(&mut self, done: std::io::Result<T>) -> std::io::Result<T> {
        if let Err(error) = &done {
            let copy = match error.raw_os_error() {
                Some(code) => std::io::Error::from_raw_os_error(code),
                None => std::io::Error::new(error.kind(), error.to_string()),
            };
            self.failed.get_or_insert(copy);
        }
        done
    }
}

impl<W: Write> Write for Sink<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let done = self.to.write(bytes);
        self.noted(done)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let done = self.to.flush();
        self.noted(done)
    }
}

/// Flushes a folder, so that a name that was changed in it outlives a power cut.
#[cfg(unix)]
fn sync_folder(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Other systems than Unix open no folder as a file, and flush names themselves.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> std::io::Result<()> {
    Ok(())
}

/// Keeps what is cut from the file `NAME` beside it, as `NAME.cut-0001` or the next number that is free; gives the path.
///
/// # Errors
/// A folder that cannot be written.
pub fn set_aside(path: &Path, bytes: &[u8]) -> std::result::Result<PathBuf, FileError> {
    let mut number = 1;
    loop {
        let mut name = path.as_os_str().to_os_string();
        name.push(format!(".cut-{number:04}"));
        let aside = PathBuf::from(name);
        if !aside.exists() {
            write_whole(&aside, |file| std::fs::write(file, bytes))?;
            return Ok(aside);
        }
        number += 1;
    }
}

/// Whether a name in a folder of ours is that of a file that an interrupted write has left: our own, or that of the
/// file which safetensors fills before it renames it.
fn is_left(name: &str) -> bool {
    let of_safetensors = |rest: &str| rest.len() == 6 && rest.chars().all(char::is_alphanumeric);
    name.starts_with(TEMPORARY) || name.strip_prefix(".tmp").is_some_and(of_safetensors)
}

/// Removes what interrupted writes have left in a folder; one that is not there holds nothing.
///
/// # Errors
/// A folder that cannot be read, a file that cannot be removed.
pub fn clean(dir: &Path) -> std::result::Result<(), FileError> {
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|e| FileError::reading(dir, &e))?,
    };
    for entry in entries.flatten() {
        if !is_left(&entry.file_name().to_string_lossy()) {
            continue;
        }
        let path = entry.path();
        let removed = match entry.file_type() {
            Ok(kind) if kind.is_dir() => std::fs::remove_dir_all(&path),
            _ => std::fs::remove_file(&path),
        };
        removed.map_err(|e| FileError::writing(&path, &e))?;
    }
    Ok(())
}

/// A folder in `dir` for files that are to be whole before they take their places; it goes with the value, and with
/// the next [`clean`] where the process was killed.
///
/// # Errors
/// A folder that cannot be written.
pub fn aside(dir: &Path) -> std::result::Result<tempfile::TempDir, FileError> {
    tempfile::Builder::new()
        .prefix(TEMPORARY)
        .tempdir_in(dir)
        .map_err(|e| FileError::writing(dir, &e))
}

/// A folder as it was when it was opened. While this value lives no other folder has its inode, so that one which
/// took its place by name can be told from it.
///
/// On other systems than Unix, which open no folder as a file, its name is all that is looked at.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    opened: Option<File>,
}

impl Place {
    /// The folder, or file, that is at `path` now.
    ///
    /// # Errors
    /// One that cannot be opened.
    pub fn open(path: &Path) -> std::result::Result<Self, FileError> {
        let opened = cfg!(unix).then(|| File::open(path)).transpose();
        Ok(Self {
            path: path.to_path_buf(),
            opened: opened.map_err(|e| FileError::reading(path, &e))?,
        })
    }

    /// The same of one that is open.
    pub fn of(path: &Path, opened: File) -> Self {
        Self {
            path: path.to_path_buf(),
            opened: Some(opened),
        }
    }

    /// Whether what is at the path is what was opened; `None` where nothing is there.
    ///
    /// # Errors
    /// A system that does not say.
    pub fn is_there(&self) -> std::io::Result<Option<bool>> {
        match std::fs::metadata(&self.path) {
            Ok(now) => self.is(&now).map(Some),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    #[cfg(unix)]
    fn is(&self, now: &std::fs::Metadata) -> std::io::Result<bool> {
        use std::os::unix::fs::MetadataExt;
        let own = self.opened.as_ref().map(File::metadata).transpose()?;
        Ok(own.is_none_or(|own| (now.dev(), now.ino()) == (own.dev(), own.ino())))
    }

    #[cfg(not(unix))]
    fn is(&self, _: &std::fs::Metadata) -> std::io::Result<bool> {
        Ok(true)
    }

    /// Refuses to go on where the folder is gone or another has taken its place: a process whose run was removed
    /// must not write into the next one, nor remove what is there.
    ///
    /// # Errors
    /// Another folder, or none.
    pub fn require(&self) -> std::result::Result<(), FileError> {
        let found = match self.is_there() {
            Ok(Some(true)) => return Ok(()),
            Ok(Some(false)) => "another has taken its place",
            Ok(None) => "it was removed or renamed",
            Err(e) => return Err(FileError::reading(&self.path, &e)),
        };
        Err(FileError::new(
            &self.path,
            format!("is no longer what this process began in ({found}); nothing was written"),
            "a run that was moved goes on with --resume and its new name",
        ))
    }
}

/// Opens a file that can be read to its end; a named pipe would be waited for without end.
///
/// # Errors
/// A file that is missing, not readable, or no regular file.
pub fn open_regular(path: &Path) -> std::result::Result<File, FileError> {
    let about = std::fs::metadata(path).map_err(|e| FileError::reading(path, &e))?;
    match about.is_file() {
        true => File::open(path).map_err(|e| FileError::reading(path, &e)),
        false => Err(FileError::new(
            path,
            "is no regular file",
            "name the file itself",
        )),
    }
}

/// The bytes of a regular file.
///
/// # Errors
/// Those of [`open_regular`], and of reading.
pub fn read_regular(path: &Path) -> std::result::Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    match open_regular(path)?.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(e) => Err(FileError::reading(path, &e)),
    }
}

/// The bytes of a regular file that has at most so many.
///
/// # Errors
/// Those of [`open_regular`] and of reading; a larger file.
pub fn read_within(path: &Path, most: u64) -> std::result::Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    let read = open_regular(path)?.take(most + 1).read_to_end(&mut bytes);
    read.map_err(|e| FileError::reading(path, &e))?;
    match bytes.len() as u64 > most {
        true => Err(FileError::new(
            path,
            format!("has more than the {most} bytes that are read"),
            "make it smaller",
        )),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn what_is_written_whole_has_the_permissions_of_any_other_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let [whole, plain] = ["whole", "plain"].map(|name| dir.path().join(name));
        std::fs::write(&plain, "x").expect("a file");
        // As safetensors does: a private file takes the place of the one that was to be filled.
        let replace = |file: &Path| {
            let private = tempfile::NamedTempFile::new_in(dir.path())?;
            private.persist(file).map_err(|e| e.error).map(|_| ())
        };
        write_whole(&whole, replace).expect("written");
        let mode = |path: &Path| {
            std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(path).expect("a file"))
        };
        assert_eq!(mode(&whole), mode(&plain));
    }

    #[test]
    fn only_what_writes_have_left_is_cleaned() {
        let dir = tempfile::tempdir().expect("a folder");
        let mine = [".saving-a", ".tmpAb3dEf"];
        let kept = ["a", ".tmp", ".tmp-notes", ".tmpAb3dEfg", "x.tmpAb3dEf"];
        for name in mine.iter().chain(&kept) {
            std::fs::write(dir.path().join(name), "x").expect("a file");
        }
        std::fs::create_dir(dir.path().join(".saving-b")).expect("a folder");
        std::fs::write(dir.path().join(".saving-b/x"), "x").expect("a file");
        clean(dir.path()).expect("cleaned");
        clean(&dir.path().join("absent")).expect("nothing to do");
        let left = std::fs::read_dir(dir.path()).expect("a folder").count();
        assert_eq!(left, kept.len());
        assert!(kept.iter().all(|name| dir.path().join(name).exists()));
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_took_anothers_place_is_told_from_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("r");
        std::fs::create_dir(&path).expect("a folder");
        let place = Place::open(&path).expect("a folder");
        place.require().expect("the same");
        std::fs::remove_dir(&path).expect("removed");
        let said = place.require().expect_err("nothing is there").to_string();
        assert!(said.contains("removed or renamed"), "{said}");
        std::fs::create_dir(&path).expect("a folder");
        let said = place.require().expect_err("another").to_string();
        assert!(said.contains("another has taken its place"), "{said}");
    }
}
