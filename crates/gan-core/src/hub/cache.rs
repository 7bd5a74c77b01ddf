//! Where files of the hub are kept: the folders that the hub's own tools use, so that each finds what the others have
//! fetched.
//!
//! `CACHE/datasets--ORG--NAME/blobs/ETAG` holds contents, `…/snapshots/COMMIT/PATH` leads to them, `…/refs/BRANCH` says
//! which commit a branch was at, and a file in `CACHE/.locks` is locked by whoever fetches.

use super::address::{Address, is_commit};
use crate::FileError;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

/// The folder of one repository in the cache.
#[derive(Debug)]
pub(super) struct Folder {
    cache: PathBuf,
    name: String,
}

impl Folder {
    /// That of an address.
    pub fn of(cache: &Path, address: &Address) -> Self {
        let (owner, name) = (&address.owner, &address.name);
        Self {
            cache: cache.to_path_buf(),
            name: format!("{}--{owner}--{name}", address.kind.plural()),
        }
    }

    /// Its name, by which it is told from others.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn path(&self) -> PathBuf {
        self.cache.join(&self.name)
    }

    /// The commit that an address is of, where it names one or its branch was asked for before.
    pub fn commit(&self, address: &Address) -> Option<String> {
        let revision = address.revision();
        if is_commit(revision) {
            return Some(revision.to_string());
        }
        let text = std::fs::read_to_string(self.path().join("refs").join(revision)).ok()?;
        let commit = text.trim();
        is_commit(commit).then(|| commit.to_string())
    }

    /// Keeps which commit a branch is at.
    ///
    /// # Errors
    /// A cache that cannot be written.
    pub fn keep_commit(&self, address: &Address, commit: &str) -> Result<(), FileError> {
        let revision = address.revision();
        if is_commit(revision) || self.commit(address).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.path().join("refs").join(revision);
        make_folder_of(&path)?;
        crate::whole::write_whole(&path, |file| std::fs::write(file, commit))
            .map_err(|error| unwritable(&error))
    }

    /// The files of a commit.
    pub fn snapshot(&self, commit: &str) -> PathBuf {
        self.path().join("snapshots").join(commit)
    }

    /// A file of a commit that is here.
    pub fn file(&self, commit: &str, path: &str) -> Option<PathBuf> {
        let file = self.snapshot(commit).join(path);
        file.is_file().then_some(file)
    }

    /// Where contents go.
    pub fn blob(&self, etag: &str) -> PathBuf {
        self.path().join("blobs").join(etag)
    }

    /// Locks contents for one process, and waits while another has them; `waits` is called once if it does.
    ///
    /// # Errors
    /// A cache that cannot be written.
    pub fn lock(&self, etag: &str, waits: impl FnOnce()) -> Result<File, FileError> {
        let path = self.cache.join(".locks").join(&self.name);
        lock(&path.join(format!("{etag}.lock")), waits)
    }

    /// Leads from a file of a commit to contents that are here.
    ///
    /// # Errors
    /// A cache that cannot be written.
    pub fn point(&self, commit: &str, path: &str, etag: &str) -> Result<PathBuf, FileError> {
        let file = self.snapshot(commit).join(path);
        make_folder_of(&file)?;
        let _ = std::fs::remove_file(&file); // a link to nothing
        lead(&file, &self.blob(etag), path, etag)
            .map_err(|e| unwritable(&FileError::writing(&file, &e)))?;
        Ok(file)
    }
}

/// A link whose way is told from where it is, so that a cache can be moved.
#[cfg(unix)]
fn lead(file: &Path, _: &Path, path: &str, etag: &str) -> std::io::Result<()> {
    let up = "../".repeat(2 + path.matches('/').count());
    std::os::unix::fs::symlink(format!("{up}blobs/{etag}"), file)
}

/// Other systems than Unix let not everyone make links.
#[cfg(not(unix))]
fn lead(file: &Path, blob: &Path, _: &str, _: &str) -> std::io::Result<()> {
    std::fs::hard_link(blob, file).or_else(|_| std::fs::copy(blob, file).map(|_| ()))
}

/// Locks a file of this name, which is made, and waits while another process has it.
///
/// # Errors
/// A folder that cannot be written.
pub(super) fn lock(path: &Path, waits: impl FnOnce()) -> Result<File, FileError> {
    make_folder_of(path)?;
    let opened = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path);
    let failed = |e: &std::io::Error| unwritable(&FileError::writing(path, e));
    let file = opened.map_err(|e| failed(&e))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => waits(),
        Err(TryLockError::Error(e)) => return Err(failed(&e)),
    }
    file.lock().map_err(|e| failed(&e))?;
    Ok(file)
}

/// Makes the folder that a file goes into.
///
/// # Errors
/// One that cannot be made.
pub(super) fn make_folder_of(path: &Path) -> Result<(), FileError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|e| unwritable(&FileError::writing(folder, &e)))
}

/// The same error with what to do about a cache.
pub(super) fn unwritable(error: &FileError) -> FileError {
    let remedy = "free some space or make the cache writable; HF_HUB_CACHE and XDG_CACHE_HOME name other folders";
    FileError::new(&error.path, error.problem.clone(), remedy)
}

/// The cache's folder by the usual variables: `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `HF_HOME/hub`,
/// `XDG_CACHE_HOME/huggingface/hub`, `~/.cache/huggingface/hub`.
pub(super) fn usual() -> Option<PathBuf> {
    let named = set("HF_HUB_CACHE").or_else(|| set("HUGGINGFACE_HUB_CACHE"));
    named.or_else(|| Some(home()?.join("hub")))
}

/// The hub's own folder, where its tools keep the token, too.
pub(super) fn home() -> Option<PathBuf> {
    let of_caches = || Some(caches()?.join("huggingface"));
    set("HF_HOME").or_else(of_caches)
}

/// The folder of all caches of the user.
pub(super) fn caches() -> Option<PathBuf> {
    set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))
}

fn set(name: &str) -> Option<PathBuf> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty());
    value.map(PathBuf::from)
}
