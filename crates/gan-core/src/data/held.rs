//! Pictures held decoded, in memory or in a temporary file without a name.

use super::{DataInfo, Part, Pictures, SourceFile};
use crate::FileError;
use sha2::{Digest, Sha256};
use std::fmt::Debug;
use std::fs::File;
#[cfg(unix)]
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Height, width and first byte of each picture.
enum Layout {
    /// All have one size.
    Even(usize, usize),
    /// Each has its own.
    Each(Vec<(u32, u32, u64)>),
}

impl Layout {
    /// Where pictures of these sizes lie, one after the other, and how many bytes they have together.
    fn new(channels: usize, sizes: &[(usize, usize)]) -> (Self, u64) {
        let mut end = 0;
        let each: Vec<_> = sizes
            .iter()
            .map(|&(h, w)| {
                let start = end;
                end += (channels * h * w) as u64;
                (h as u32, w as u32, start)
            })
            .collect();
        match sizes {
            [first, rest @ ..] if rest.iter().all(|size| size == first) => {
                (Layout::Even(first.0, first.1), end)
            }
            _ => (Layout::Each(each), end),
        }
    }

    fn at(&self, i: usize, channels: usize) -> ((usize, usize), u64) {
        match self {
            Layout::Even(h, w) => ((*h, *w), (i * channels * h * w) as u64),
            Layout::Each(all) => match all.get(i) {
                Some(&(h, w, start)) => ((h as usize, w as usize), start),
                None => ((0, 0), 0),
            },
        }
    }
}

enum Store {
    Memory(Vec<u8>),
    /// The file has no name; the path is its folder's.
    File(File, PathBuf),
}

/// Pictures held decoded, 8 bits a channel.
pub struct Held {
    info: DataInfo,
    layout: Layout,
    store: Store,
    labels: Option<Vec<u8>>,
    sha256: String,
    files: Vec<SourceFile>,
}

impl Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Held({:?})", self.info)
    }
}

impl Held {
    /// `bytes` holds `info.len` pictures of one size, channels first; `labels`, where there are some, one a
    /// picture.
    ///
    /// # Errors
    /// When the lengths do not fit, or a label is not below `info.classes`; the sentence says which.
    pub fn new(info: DataInfo, bytes: Vec<u8>, labels: Option<Vec<u8>>) -> Result<Self, String> {
        if info.len == 0 || info.pixels() == 0 {
            return Err("there are no pictures".into());
        }
        if bytes.len() != info.len * info.pixels() {
            return Err(format!(
                "{} pictures of {} values need {} bytes, there are {}",
                info.len,
                info.pixels(),
                info.len * info.pixels(),
                bytes.len()
            ));
        }
        if let Some(labels) = &labels {
            if labels.len() != info.len {
                return Err(format!(
                    "{} pictures have {} labels",
                    info.len,
                    labels.len()
                ));
            }
            let classes = info.classes.unwrap_or(0);
            if let Some(label) = labels.iter().find(|&&label| usize::from(label) >= classes) {
                return Err(format!("label {label} among {classes} classes"));
            }
        }
        let mut hash = Sha256::new();
        hash.update(format!(
            "channels={} height={} width={} classes={} len={}",
            info.channels,
            info.height,
            info.width,
            info.classes.unwrap_or(0),
            info.len
        ));
        hash.update(&bytes);
        hash.update(labels.as_deref().unwrap_or_default());
        Ok(Self {
            layout: Layout::Even(info.height, info.width),
            info,
            store: Store::Memory(bytes),
            labels,
            sha256: hex(hash),
            files: Vec::new(),
        })
    }

    /// The same, read from these files.
    pub(super) fn read_from(self, files: Vec<SourceFile>) -> Self {
        Self { files, ..self }
    }
}

/// A hash in hexadecimal.
pub(super) fn hex(hash: Sha256) -> String {
    written(&hash.finalize())
}

/// Bytes in hexadecimal.
pub(super) fn written(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

impl Pictures for Held {
    fn info(&self) -> &DataInfo {
        &self.info
    }

    fn size(&self, i: usize) -> (usize, usize) {
        self.layout.at(i, self.info.channels).0
    }

    fn read(&self, i: usize, part: Part, into: &mut Vec<u8>) -> Result<(), FileError> {
        let ((h, w), start) = self.layout.at(i, self.info.channels);
        if i >= self.info.len || part.top + part.height > h || part.left + part.width > w {
            return Err(FileError::new(
                Path::new("data set"),
                format!("has no {part:?} in its picture {i} of {h}x{w}"),
                "this is a fault of the program",
            ));
        }
        let mut rows = Vec::new();
        for channel in 0..self.info.channels {
            let from = start + (channel * h * w + part.top * w) as u64;
            let n = part.height * w;
            let rows: &[u8] = match &self.store {
                Store::Memory(bytes) => bytes.get(from as usize..from as usize + n).unwrap_or(&[]),
                Store::File(file, folder) => {
                    rows.resize(n, 0);
                    read_at(file, &mut rows, from).map_err(|e| FileError::reading(folder, &e))?;
                    &rows
                }
            };
            if part.width == w {
                into.extend_from_slice(rows);
            } else {
                for row in rows.chunks_exact(w.max(1)) {
                    into.extend(row.iter().skip(part.left).take(part.width));
                }
            }
        }
        Ok(())
    }

    fn label(&self, i: usize) -> Option<u32> {
        self.labels.as_ref()?.get(i).map(|&label| u32::from(label))
    }

    fn sha256(&self) -> &str {
        &self.sha256
    }

    fn files(&self) -> &[SourceFile] {
        &self.files
    }
}

/// Pictures whose sizes are known and whose values are yet to come, in any order and from several threads.
pub(super) struct Slots {
    channels: usize,
    len: usize,
    layout: Layout,
    store: Place,
}

enum Place {
    Memory(Mutex<Vec<u8>>),
    File(File, PathBuf),
}

/// Where pictures are held that memory is not to hold.
fn folder(wanted: Option<&Path>) -> PathBuf {
    let usual = Path::new("/var/tmp");
    match (wanted, std::env::var_os("TMPDIR")) {
        (Some(folder), _) => folder.to_path_buf(),
        (None, Some(folder)) => folder.into(),
        // On many systems /tmp is memory.
        (None, None) if usual.is_dir() => usual.to_path_buf(),
        _ => std::env::temp_dir(),
    }
}

impl Slots {
    /// Room for pictures of these heights and widths: in memory, or in a file in `cache` or the system's
    /// folder for temporary files.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn new(
        channels: usize,
        sizes: &[(usize, usize)],
        in_memory: bool,
        cache: Option<&Path>,
    ) -> Result<Self, FileError> {
        let (layout, bytes) = Layout::new(channels, sizes);
        let store = if in_memory {
            Place::Memory(Mutex::new(vec![0; bytes as usize]))
        } else {
            let folder = folder(cache);
            let file = tempfile::tempfile_in(&folder).map_err(|e| no_room(&folder, bytes, &e))?;
            Place::File(file, folder)
        };
        Ok(Self {
            channels,
            len: sizes.len(),
            layout,
            store,
        })
    }

    /// Writes picture `i`, channels first, in its size.
    ///
    /// # Errors
    /// Another number of values; a disk that is full.
    pub fn fill(&self, i: usize, values: &[u8]) -> Result<(), FileError> {
        let ((h, w), start) = self.layout.at(i, self.channels);
        if i >= self.len || values.len() != self.channels * h * w {
            return Err(FileError::new(
                Path::new("data set"),
                format!("has {} values for a picture of {h}x{w}", values.len()),
                "this is a fault of the program",
            ));
        }
        match &self.store {
            Place::Memory(bytes) => {
                let mut bytes = bytes.lock().unwrap_or_else(PoisonError::into_inner);
                let start = start as usize;
                if let Some(slot) = bytes.get_mut(start..start + values.len()) {
                    slot.copy_from_slice(values);
                }
                Ok(())
            }
            Place::File(file, folder) => write_at(file, values, start).map_err(|e| {
                let ((h, w), last) = self.layout.at(self.len.saturating_sub(1), self.channels);
                no_room(folder, last + (self.channels * h * w) as u64, &e)
            }),
        }
    }

    /// The pictures, all of which have been filled in. `info` counts them; its sizes are set here.
    pub fn finish(self, info: DataInfo, labels: Option<Vec<u8>>, sha256: String) -> Held {
        let sizes: Vec<_> = (0..self.len)
            .map(|i| self.layout.at(i, self.channels).0)
            .collect();
        Held {
            info: info.sized(&sizes).of(self.len),
            layout: self.layout,
            store: match self.store {
                Place::Memory(bytes) => {
                    Store::Memory(bytes.into_inner().unwrap_or_else(PoisonError::into_inner))
                }
                Place::File(file, folder) => Store::File(file, folder),
            },
            labels,
            sha256,
            files: Vec::new(),
        }
    }
}

/// Fills `bytes` from a place in a file, which several threads read.
#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], at: u64) -> std::io::Result<()> {
    file.read_exact_at(bytes, at)
}

/// Writes `bytes` at a place in a file, which several threads write.
#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], at: u64) -> std::io::Result<()> {
    file.write_all_at(bytes, at)
}

/// One thread at a time, where a file has but one position.
#[cfg(not(unix))]
static POSITION: Mutex<()> = Mutex::new(());

#[cfg(not(unix))]
fn read_at(mut file: &File, bytes: &mut [u8], at: u64) -> std::io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    let _alone = POSITION.lock().unwrap_or_else(PoisonError::into_inner);
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(bytes)
}

#[cfg(not(unix))]
fn write_at(mut file: &File, bytes: &[u8], at: u64) -> std::io::Result<()> {
    use std::io::{Seek, SeekFrom, Write};
    let _alone = POSITION.lock().unwrap_or_else(PoisonError::into_inner);
    file.seek(SeekFrom::Start(at))?;
    file.write_all(bytes)
}

fn no_room(folder: &Path, bytes: u64, error: &std::io::Error) -> FileError {
    FileError::new(
        folder,
        format!(
            "cannot hold {} MiB of decoded pictures ({error})",
            bytes.div_ceil(1 << 20)
        ),
        "name a folder with more room in TMPDIR, raise --memory, or choose a smaller size",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pictures of 2x3 and 3x2 with two channels, in both places.
    #[test]
    fn memory_and_file_give_the_same_parts() {
        let sizes = [(2, 3), (3, 2)];
        let values: Vec<u8> = (0..24).collect();
        let held = [true, false].map(|in_memory| {
            let slots = Slots::new(2, &sizes, in_memory, None).expect("room");
            for i in [1, 0] {
                slots
                    .fill(i, &values[12 * i..12 * i + 12])
                    .expect("a picture");
            }
            assert!(slots.fill(2, &values[..12]).is_err());
            assert!(slots.fill(0, &values[..11]).is_err());
            slots.finish(DataInfo::picture(2, 1, 1), None, "hash".into())
        });
        for set in &held {
            assert_eq!(
                (set.size(0), set.size(1), set.info().len),
                ((2, 3), (3, 2), 2)
            );
            let part = Part {
                top: 1,
                left: 1,
                height: 1,
                width: 2,
            };
            let mut bytes = Vec::new();
            set.read(0, part, &mut bytes).expect("a part");
            assert_eq!(bytes, [4, 5, 10, 11]);
            set.read(1, Part::whole((3, 2)), &mut bytes)
                .expect("a picture");
            assert_eq!(bytes[4..], values[12..]);
            assert!(set.read(1, part, &mut bytes).is_err());
        }
    }

    /// The hash covers named fields, so that no change of words changes it.
    #[test]
    fn the_hash_of_a_set_is_pinned() {
        let info = DataInfo::picture(1, 1, 2).labelled(3).of(2);
        let set = Held::new(info, vec![1, 2, 3, 4], Some(vec![0, 2])).expect("a set");
        let want = "channels=1 height=1 width=2 classes=3 len=2";
        let mut hash = Sha256::new();
        hash.update(want);
        hash.update([1, 2, 3, 4, 0, 2]);
        assert_eq!(set.sha256(), hex(hash));
    }
}
