//! Files that are read to their end, and written whole or not at all.

use crate::error::FileError;
use std::fs::{File, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

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
    let temporary = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .permissions(Permissions::from_mode(0o666)) // less the umask, as for any other file
        .tempfile_in(dir)
        .map_err(wrap)?
        .into_temp_path();
    write(&temporary).map_err(wrap)?;
    File::open(&temporary)
        .and_then(|file| file.sync_all())
        .map_err(wrap)?;
    temporary.persist(path).map_err(|e| wrap(e.error))?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(wrap)
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
