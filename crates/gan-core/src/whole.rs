//! Files that are written whole or not at all.

use crate::error::FileError;
use std::fs::{File, Permissions};
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
