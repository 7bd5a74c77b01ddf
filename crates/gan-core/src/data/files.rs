//! A folder or a zip file as a list of named files, read alike and within bounds.
//!
//! Nothing is allocated by a size that a zip file claims: an entry is read up to a fixed limit, and then
//! has to have the length and the checksum that its header says. Nothing but regular files and links to them is
//! opened: a named pipe would be waited for without end. Names are UTF-8, as a set is known by them and what is made
//! of a picture gets its name; a picture or a folder with another name is refused.

use crate::FileError;
use crate::whole::open_regular;
use flate2::Crc;
use flate2::read::DeflateDecoder;
use std::fs::{File, FileType};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use zip::{CompressionMethod, ZipArchive};

/// The largest file of a set that is read, in bytes; a photograph has a tenth of it.
const LARGEST: u64 = 64 << 20;
/// Folders within folders.
const DEEPEST: usize = 16;
/// Folders that are listed; links among a dozen folders lead through more than anyone has.
const MOST: usize = 1 << 20;
/// What systems and archivers put beside people's files, in lower case; hidden files are nothing, too.
const NOTHING: [&str; 7] = [
    "__macosx",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "@eadir",
    "$recycle.bin",
    "lost+found",
];

/// Files of a folder and all folders in it, or of a zip file.
pub struct Files {
    path: PathBuf,
    kind: Kind,
    special: Vec<(String, &'static str)>,
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
    /// Opens a folder or a zip file and lists its files by name. Hidden files and folders, and what systems and
    /// archivers add, are nothing; a link is what it leads to.
    ///
    /// # Errors
    /// A path that is missing, unreadable or neither of the two; a name that leads out of the folder, is there
    /// twice or is not UTF-8.
    pub fn open(path: &Path) -> Result<(Self, Vec<Entry>), FileError> {
        let about = std::fs::metadata(path).map_err(|e| FileError::reading(path, &e))?;
        let (kind, mut entries, special) = if about.is_dir() {
            let mut walk = Walk::new(path);
            let real = std::fs::canonicalize(path).map_err(|e| FileError::reading(path, &e))?;
            walk.folder("", &mut vec![real])?;
            (Kind::Folder, walk.entries, walk.special)
        } else {
            let file = open_regular(path)?;
            let archive = ZipArchive::new(BufReader::new(file)).map_err(|e| no_zip(path, &e))?;
            let entries = zip_entries(path, &archive)?;
            (Kind::Zip(Mutex::new(archive)), entries, Vec::new())
        };
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let twice = entries.windows(2).find_map(|pair| match pair {
            [a, b] if a.name == b.name => Some(a.name.clone()),
            _ => None,
        });
        if let Some(name) = twice {
            let problem = format!("holds the name {name:?} twice");
            return Err(FileError::new(path, problem, "pack it again"));
        }
        let path = path.to_path_buf();
        let files = Self {
            path,
            kind,
            special,
        };
        Ok((files, entries))
    }

    /// What was listed and is no file that could be opened, and what it is instead: `("a.png", "a named pipe")`.
    pub fn special(&self) -> &[(String, &'static str)] {
        &self.special
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
            special: Vec::new(),
        };
        let name = name.to_string();
        Ok((files, Entry { name, index: 0 }))
    }

    /// The file's name for people: `folder/a.png`, `pictures.zip/a.png`.
    pub fn path(&self, entry: &Entry) -> PathBuf {
        self.path.join(&entry.name)
    }

    /// Bytes that reading a file takes at most.
    pub fn size(&self, entry: &Entry) -> u64 {
        let size = match &self.kind {
            Kind::Folder => std::fs::metadata(self.path(entry))
                .map(|about| about.len())
                .ok(),
            Kind::Zip(archive) => {
                let mut archive = archive.lock().unwrap_or_else(PoisonError::into_inner);
                let raw = archive.by_index_raw(entry.index).map(|raw| raw.size());
                raw.ok()
            }
        };
        size.unwrap_or(LARGEST).min(LARGEST)
    }

    /// The contents of a file.
    ///
    /// # Errors
    /// A file that cannot be read or is too large; an entry of a zip file that is encrypted, compressed
    /// by other means than deflate, or not what its header says.
    pub fn read(&self, entry: &Entry) -> Result<Vec<u8>, FileError> {
        self.read_within(entry, LARGEST)
    }

    /// The same of a file of at most so many bytes.
    ///
    /// # Errors
    /// Those of [`Files::read`].
    pub fn read_within(&self, entry: &Entry, most: u64) -> Result<Vec<u8>, FileError> {
        let path = self.path(entry);
        let failed = |e: std::io::Error| FileError::reading(&path, &e);
        let too_large = || {
            let problem = format!("has more than the {most} bytes that are read of a picture");
            FileError::new(&path, problem, "make the picture smaller, or leave it out")
        };
        let mut bytes = Vec::new();
        let archive = match &self.kind {
            Kind::Folder => {
                let file = open_regular(&path)?;
                let mut file = file.take(most + 1);
                file.read_to_end(&mut bytes).map_err(failed)?;
                if bytes.len() as u64 > most {
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
        if raw.is_symlink() {
            let problem = "is a link, and a zip file holds no more of it";
            return Err(FileError::new(
                &path,
                problem,
                "pack the pictures themselves",
            ));
        }
        if claimed > most {
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
    let mut first = Vec::new();
    // What cannot be read is reported by whoever opened it.
    let _ = File::open(path).map(|file| file.take(512).read_to_end(&mut first));
    let (problem, remedy) = match &first[..] {
        [b'P', b'K', 3..=6, ..] => (
            format!("is a zip file that is cut short or damaged ({error})"),
            "fetch the zip file or pack it again",
        ),
        first => match super::kinds::kind_of(first) {
            Some(kind) => (
                format!("is {kind}, expected a folder or a zip file of pictures"),
                "name a folder that holds it, or the folder that an archive was unpacked into",
            ),
            None => (
                format!("is neither a folder nor a zip file that can be read ({error})"),
                "name a folder of pictures or a zip file of one",
            ),
        },
    };
    FileError::new(path, problem, remedy)
}

fn is_nothing(part: &str) -> bool {
    part.starts_with('.') || NOTHING.contains(&part.to_lowercase().as_str())
}

/// The entries of a zip file by names with `/` between folders: some archivers of Windows write `\`, others begin
/// with `./`.
fn zip_entries(
    path: &Path,
    archive: &ZipArchive<BufReader<File>>,
) -> Result<Vec<Entry>, FileError> {
    let mut entries = Vec::new();
    for index in 0..archive.len() {
        let Some(name) = archive.name_for_index(index) else {
            continue;
        };
        let written = name.map_err(|e| no_zip(path, &e))?;
        let name = written.replace('\\', "/");
        if name.ends_with('/') {
            continue;
        }
        let parts: Vec<&str> = name.split('/').filter(|part| *part != ".").collect();
        let outside = |part: &&str| *part == ".." || part.is_empty() || part.contains('\0');
        if parts.is_empty() || parts.iter().any(outside) {
            let short: String = written.chars().take(60).collect();
            return Err(FileError::new(
                path,
                format!("holds the name {short:?}, which leads out of its folder or is no name"),
                "pack it again with relative names",
            ));
        }
        if !parts.iter().any(|part| is_nothing(part)) {
            let name = parts.join("/");
            entries.push(Entry { name, index });
        }
    }
    Ok(entries)
}

/// The way through a folder.
struct Walk<'a> {
    root: &'a Path,
    folders: usize,
    entries: Vec<Entry>,
    special: Vec<(String, &'static str)>,
}

impl<'a> Walk<'a> {
    fn new(root: &'a Path) -> Self {
        Self {
            root,
            folders: 0,
            entries: Vec::new(),
            special: Vec::new(),
        }
    }

    /// Lists a folder and those in it. `above` holds where it and the folders above it really are: a link to one of
    /// them leads to nothing new.
    fn folder(&mut self, folder: &str, above: &mut Vec<PathBuf>) -> Result<(), FileError> {
        let at = self.root.join(folder);
        self.folders += 1;
        if above.len() > DEEPEST + 1 || self.folders > MOST {
            let problem = match above.len() > DEEPEST + 1 {
                true => format!("lies deeper than {DEEPEST} folders"),
                false => format!("is one of more than {MOST} folders"),
            };
            let remedy = "look for links that lead from folder to folder";
            return Err(FileError::new(&at, problem, remedy));
        }
        let failed = |e: std::io::Error| FileError::reading(&at, &e);
        for entry in std::fs::read_dir(&at).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(failed)?);
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if is_nothing(&name) {
                continue;
            }
            let exact = entry.file_name().to_str().is_some();
            let name = match folder {
                "" => name.to_string(),
                _ => format!("{folder}/{name}"),
            };
            let Some(about) = followed(&path, &name, kind)? else {
                self.special.push((name, "a link to nothing"));
                continue;
            };
            let is_picture = super::kinds::is_picture(&name);
            if !exact && (about.is_dir() || (about.is_file() && is_picture)) {
                let problem = "has a name that is not UTF-8";
                return Err(FileError::new(&path, problem, "rename it"));
            } else if about.is_file() {
                let index = self.entries.len();
                self.entries.push(Entry { name, index });
            } else if about.is_dir() {
                let Some(real) = really(&path, kind, above)? else {
                    continue;
                };
                above.push(real);
                self.folder(&name, above)?;
                above.pop();
            } else {
                self.special.push((name, what(about)));
            }
        }
        Ok(())
    }
}

/// What is at a path, links followed; nothing, where a link leads nowhere. What has a picture's name has to be there.
fn followed(path: &Path, name: &str, kind: FileType) -> Result<Option<FileType>, FileError> {
    if !kind.is_symlink() {
        return Ok(Some(kind));
    }
    match std::fs::metadata(path) {
        Ok(about) => Ok(Some(about.file_type())),
        Err(_) if !super::kinds::is_picture(name) => Ok(None),
        Err(e) => Err(FileError::new(
            path,
            format!("is a link that leads nowhere ({e})"),
            "bring back what it leads to, or take it out of the set",
        )),
    }
}

/// Where a folder really is, below the last of `above`; nothing, where it is a link to one of these.
fn really(path: &Path, kind: FileType, above: &[PathBuf]) -> Result<Option<PathBuf>, FileError> {
    let real = match (kind.is_symlink(), above.last(), path.file_name()) {
        (false, Some(last), Some(name)) => last.join(name),
        _ => std::fs::canonicalize(path).map_err(|e| FileError::reading(path, &e))?,
    };
    Ok((!above.contains(&real)).then_some(real))
}

/// What is neither a file nor a folder.
fn what(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a named pipe";
        } else if kind.is_socket() {
            return "a socket";
        }
    }
    let _ = kind;
    "a device"
}
