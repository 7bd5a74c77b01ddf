//! A folder or a zip file as a list of named files, read alike and within bounds.
//!
//! Nothing is allocated by a size that a zip file claims: an entry is read up to a fixed limit, and then
//! has to have the length and the checksum that its header says.

use crate::FileError;
use crate::whole::open_regular;
use flate2::Crc;
use flate2::read::DeflateDecoder;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use zip::{CompressionMethod, ZipArchive};

/// The largest file that is read, in bytes; a photograph has a tenth of it.
const LARGEST: u64 = 64 << 20;
/// Folders within folders; a link to a folder above it would never end.
const DEEPEST: usize = 16;

/// Files of a folder and all folders in it, or of a zip file.
pub struct Files {
    path: PathBuf,
    kind: Kind,
}

enum Kind {
    Folder,
    Zip(Mutex<ZipArchive<BufReader<File>>>),
}

/// One of [`Files`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Folders and name, joined by `/`.
    pub name: String,
    index: usize,
}

impl Files {
    /// Opens a folder or a zip file and lists its files by name. Hidden files and folders, and what an
    /// archiver of another system adds (`__MACOSX/`), are left out.
    ///
    /// # Errors
    /// A path that is missing, unreadable or neither of the two; a name that leads out of the folder.
    pub fn open(path: &Path) -> Result<(Self, Vec<Entry>), FileError> {
        let about = std::fs::metadata(path).map_err(|e| FileError::reading(path, &e))?;
        let (kind, names) = if about.is_dir() {
            let mut names = Vec::new();
            walk(path, "", 0, &mut names)?;
            (Kind::Folder, names)
        } else {
            let file = open_regular(path)?;
            let archive = ZipArchive::new(BufReader::new(file)).map_err(|e| no_zip(path, &e))?;
            let names = zip_names(path, &archive)?;
            (Kind::Zip(Mutex::new(archive)), names)
        };
        let mut entries: Vec<Entry> = names
            .into_iter()
            .filter(|(_, name)| {
                let mut parts = name.split('/');
                !parts.any(|part| part.starts_with('.') || part == "__MACOSX")
            })
            .map(|(index, name)| Entry { name, index })
            .collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let path = path.to_path_buf();
        Ok((Self { path, kind }, entries))
    }

    /// A single file, as if it were alone in its folder.
    ///
    /// # Errors
    /// A name that is not UTF-8.
    pub fn single(path: &Path) -> Result<(Self, Entry), FileError> {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            let problem = "has a name that is not UTF-8";
            return Err(FileError::new(path, problem, "rename the file"));
        };
        let files = Self {
            path: path.parent().unwrap_or(Path::new("")).to_path_buf(),
            kind: Kind::Folder,
        };
        let name = name.to_string();
        Ok((files, Entry { name, index: 0 }))
    }

    /// The file's name for people: `folder/a.png`, `pictures.zip/a.png`.
    pub fn path(&self, entry: &Entry) -> PathBuf {
        self.path.join(&entry.name)
    }

    /// The contents of a file.
    ///
    /// # Errors
    /// A file that cannot be read or is too large; an entry of a zip file that is encrypted, compressed
    /// by other means than deflate, or not what its header says.
    pub fn read(&self, entry: &Entry) -> Result<Vec<u8>, FileError> {
        let path = self.path(entry);
        let failed = |e: std::io::Error| FileError::reading(&path, &e);
        let too_large = || {
            let problem = format!("has more than the {LARGEST} bytes that are read");
            FileError::new(&path, problem, "make the picture smaller, or leave it out")
        };
        let mut bytes = Vec::new();
        let archive = match &self.kind {
            Kind::Folder => {
                let file = open_regular(&path)?;
                let mut file = file.take(LARGEST + 1);
                file.read_to_end(&mut bytes).map_err(failed)?;
                if bytes.len() as u64 > LARGEST {
                    return Err(too_large());
                }
                return Ok(bytes);
            }
            Kind::Zip(archive) => archive,
        };
        let mut archive = archive.lock().unwrap_or_else(PoisonError::into_inner);
        let mut raw = archive
            .by_index_raw(entry.index)
            .map_err(|e| no_zip(&path, &e))?;
        let (method, claimed, sum) = (raw.compression(), raw.size(), raw.crc32());
        if raw.encrypted() {
            return Err(FileError::new(&path, "is encrypted", "unpack the zip file"));
        }
        if claimed > LARGEST {
            return Err(too_large());
        }
        // One byte more than claimed is enough to see that the claim is false.
        let read = match method {
            CompressionMethod::Stored => (&mut raw).take(claimed + 1).read_to_end(&mut bytes),
            CompressionMethod::DEFLATE => {
                let mut inflated = DeflateDecoder::new(&mut raw).take(claimed + 1);
                inflated.read_to_end(&mut bytes)
            }
            other => {
                let problem = format!("is compressed as {other}, expected stored or deflated");
                let remedy = "unpack the zip file and name the folder";
                return Err(FileError::new(&path, problem, remedy));
            }
        };
        let damaged =
            |problem: String| FileError::new(&path, problem, "fetch the zip file or pack it again");
        read.map_err(|e| damaged(format!("cannot be unpacked ({e})")))?;
        let found = bytes.len() as u64;
        if found != claimed {
            let than = if found > claimed { "more" } else { "less" };
            return Err(damaged(format!(
                "has {claimed} bytes by the zip file's header, {than} were found"
            )));
        }
        let mut crc = Crc::new();
        crc.update(&bytes);
        if crc.sum() != sum {
            return Err(damaged(
                "has another checksum than the zip file says".into(),
            ));
        }
        Ok(bytes)
    }
}

fn no_zip(path: &Path, error: &dyn std::fmt::Display) -> FileError {
    FileError::new(
        path,
        format!("is neither a folder nor a zip file that can be read ({error})"),
        "name a folder of pictures or a zip file of one",
    )
}

fn zip_names(
    path: &Path,
    archive: &ZipArchive<BufReader<File>>,
) -> Result<Vec<(usize, String)>, FileError> {
    let mut names = Vec::new();
    for index in 0..archive.len() {
        let Some(name) = archive.name_for_index(index) else {
            continue;
        };
        let name = name.map_err(|e| no_zip(path, &e))?;
        if name.ends_with('/') {
            continue;
        }
        let outside = name.starts_with('/')
            || name.contains(['\\', '\0'])
            || name.split('/').any(|part| part == ".." || part.is_empty());
        if outside {
            return Err(FileError::new(
                path,
                format!("holds the name {name:?}, which leads out of its folder or is no name"),
                "pack it again with relative names",
            ));
        }
        names.push((index, name.to_string()));
    }
    Ok(names)
}

fn walk(
    root: &Path,
    folder: &str,
    depth: usize,
    names: &mut Vec<(usize, String)>,
) -> Result<(), FileError> {
    let at = root.join(folder);
    if depth > DEEPEST {
        return Err(FileError::new(
            &at,
            format!("lies deeper than {DEEPEST} folders"),
            "look for a link to a folder above it",
        ));
    }
    let failed = |e: std::io::Error| FileError::reading(&at, &e);
    for entry in std::fs::read_dir(&at).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            let remedy = "rename the file";
            return Err(FileError::new(
                &entry.path(),
                "has a name that is not UTF-8",
                remedy,
            ));
        };
        if name.starts_with('.') {
            continue;
        }
        let path = entry.path();
        let about = std::fs::metadata(&path).map_err(|e| FileError::reading(&path, &e))?;
        let name = match folder {
            "" => name.to_string(),
            _ => format!("{folder}/{name}"),
        };
        if about.is_dir() {
            walk(root, &name, depth + 1, names)?;
        } else {
            names.push((names.len(), name));
        }
    }
    Ok(())
}
