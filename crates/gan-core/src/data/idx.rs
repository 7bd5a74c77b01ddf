//! IDX files (MNIST's format): a bounded reader that believes the file's length, not its header.

pub use super::Split;
use super::held::written;
use super::{DataInfo, Held, SourceFile};
use crate::FileError;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// The largest file that is read: MNIST's largest is 47 MB, EMNIST's 548 MB.
const LARGEST: u64 = 1 << 30;

/// Reads `train-images-idx3-ubyte` and `train-labels-idx1-ubyte` (or `t10k-…`) of a folder.
///
/// # Errors
/// A missing, truncated or malformed file, by name; where there are no pictures of that split, the problem begins with
/// "holds no".
pub fn folder(dir: &Path, split: Split) -> Result<Held, FileError> {
    let stem = match split {
        Split::Train => "train",
        Split::Test => "t10k",
    };
    let [usual, other] = candidates(dir, &format!("{stem}-images"), "idx3-ubyte");
    if !usual.exists() && !other.exists() {
        let problem = format!("holds no {stem}-images-idx3-ubyte");
        return Err(FileError::new(dir, problem, "add it and its labels"));
    }
    let (images_file, images, images_sum) = open(dir, &format!("{stem}-images"), "idx3-ubyte", 3)?;
    let (labels_file, labels, labels_sum) = open(dir, &format!("{stem}-labels"), "idx1-ubyte", 1)?;
    let [len, height, width] = images.dims[..] else {
        return Err(shape_error(&images_file, &images.dims));
    };
    if labels.dims != [len] {
        return Err(FileError::new(
            &labels_file,
            format!(
                "{} has {len} pictures, this has {:?} labels",
                images_file.display(),
                labels.dims
            ),
            "take both files from one data set",
        ));
    }
    let mut info = DataInfo::picture(1, height, width).of(len);
    info.classes = labels.bytes.iter().max().map(|&m| usize::from(m) + 1);
    let held = Held::new(info, images.bytes, Some(labels.bytes))
        .map_err(|problem| FileError::new(&images_file, problem, "check the file"))?;
    let named = |path: &Path, sha256| SourceFile {
        name: path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into(),
        sha256,
    };
    let files = [(&images_file, images_sum), (&labels_file, labels_sum)];
    Ok(held.read_from(files.map(|(path, sum)| named(path, sum)).into()))
}

/// Whether the folder looks like MNIST's.
pub fn is_folder(dir: &Path) -> bool {
    candidates(dir, "train-images", "idx3-ubyte")
        .iter()
        .any(|path| path.is_file())
}

/// Dimensions and bytes of one file.
#[derive(Debug, PartialEq, Eq)]
pub struct Idx {
    /// As the header says; their product is the number of bytes.
    pub dims: Vec<usize>,
    /// The values, row by row.
    pub bytes: Vec<u8>,
}

fn candidates(dir: &Path, stem: &str, ending: &str) -> [PathBuf; 2] {
    // Both spellings are in circulation: `train-images-idx3-ubyte` and `train-images.idx3-ubyte`.
    ["-", "."].map(|dash| dir.join(format!("{stem}{dash}{ending}")))
}

/// Path, contents and SHA-256 of a file.
fn open(
    dir: &Path,
    stem: &str,
    ending: &str,
    dims: usize,
) -> Result<(PathBuf, Idx, String), FileError> {
    let [usual, other] = candidates(dir, stem, ending);
    let path = if other.is_file() { other } else { usual };
    let bytes = bytes(&path)?;
    let sum = written(&Sha256::digest(&bytes));
    let idx = understood(&path, bytes)?;
    if idx.dims.len() != dims {
        return Err(shape_error(&path, &idx.dims));
    }
    Ok((path, idx, sum))
}

fn shape_error(path: &Path, dims: &[usize]) -> FileError {
    FileError::new(
        path,
        format!("has the dimensions {dims:?}, not those of MNIST's file of that name"),
        "check that pictures and labels are not swapped",
    )
}

/// Reads one file of unsigned bytes.
///
/// # Errors
/// A file that is missing, not IDX, compressed, of another type, truncated, or longer than its
/// header says; nothing is allocated before the header agrees with the file's length.
pub fn read(path: &Path) -> Result<Idx, FileError> {
    understood(path, bytes(path)?)
}

fn bytes(path: &Path) -> Result<Vec<u8>, FileError> {
    let about = std::fs::metadata(path).map_err(|e| FileError::reading(path, &e))?;
    if !about.is_file() {
        let remedy = "fetch the file again, or decompress it";
        return Err(FileError::new(path, "is no regular file", remedy));
    }
    let length = about.len();
    if length > LARGEST {
        return Err(FileError::new(
            path,
            format!("has {length} bytes, more than the {LARGEST} that are read"),
            "split the data set",
        ));
    }
    std::fs::read(path).map_err(|e| FileError::reading(path, &e))
}

fn understood(path: &Path, bytes: Vec<u8>) -> Result<Idx, FileError> {
    parse(bytes)
        .map_err(|problem| FileError::new(path, problem, "fetch the file again, or decompress it"))
}

fn parse(mut bytes: Vec<u8>) -> Result<Idx, String> {
    let (kind, dims) = match bytes[..] {
        [0x1f, 0x8b, ..] => return Err("is compressed with gzip".into()),
        [0, 0, kind, dims, ..] => (kind, usize::from(dims)),
        _ => return Err("does not start with IDX's two zero bytes".into()),
    };
    if kind != 8 {
        return Err(format!(
            "holds values of type {kind:#04x}, expected unsigned bytes (0x08)"
        ));
    }
    if !(1..=4).contains(&dims) {
        return Err(format!("has {dims} dimensions, expected 1 to 4"));
    }
    let start = 4 + 4 * dims;
    let Some(header) = bytes.get(4..start) else {
        return Err(format!(
            "ends inside its header, after {} bytes",
            bytes.len()
        ));
    };
    let dims: Vec<usize> = header
        .chunks_exact(4)
        .map(|word| word.iter().fold(0, |n, &byte| n << 8 | usize::from(byte)))
        .collect();
    let claimed = dims.iter().try_fold(1usize, |n, &dim| n.checked_mul(dim));
    let found = bytes.len() - start;
    if claimed != Some(found) {
        let claimed = claimed.map_or("more bytes than fit in memory".into(), |n| {
            format!("{n} bytes")
        });
        return Err(format!(
            "says in its header {} ({claimed}), {found} bytes follow",
            dims.iter()
                .map(usize::to_string)
                .collect::<Vec<_>>()
                .join(" x ")
        ));
    }
    bytes.drain(..start);
    Ok(Idx { dims, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dims: &[u32], bytes: &[u8]) -> Vec<u8> {
        let mut file = vec![0, 0, 8, dims.len() as u8];
        dims.iter().for_each(|d| file.extend(d.to_be_bytes()));
        file.extend(bytes);
        file
    }

    #[test]
    fn reads_what_it_should() {
        let idx = parse(file(&[2, 1, 3], &[1, 2, 3, 4, 5, 6])).expect("a file");
        assert_eq!(idx.dims, [2, 1, 3]);
        assert_eq!(idx.bytes, [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn refuses_every_prefix_and_every_longer_file() {
        let whole = file(&[2, 1, 3], &[1, 2, 3, 4, 5, 6]);
        for n in 0..whole.len() {
            assert!(parse(whole[..n].to_vec()).is_err(), "{n} bytes");
        }
        assert!(parse([&whole[..], &[7]].concat()).is_err());
    }

    #[test]
    fn refuses_claims_without_allocating() {
        let error = parse(file(&[u32::MAX, 28, 28], &[0; 100])).expect_err("a claim");
        assert!(
            error.contains("4294967295 x 28 x 28") && error.contains("100 bytes follow"),
            "{error}"
        );
        let huge = parse(file(&[u32::MAX; 4], &[0; 100])).expect_err("a claim");
        assert!(huge.contains("than fit in memory"), "{huge}");
        assert!(
            parse(vec![0x1f, 0x8b, 8, 0])
                .expect_err("gzip")
                .contains("gzip")
        );
        assert!(
            parse(vec![0, 0, 0x0d, 1, 0, 0, 0, 0])
                .expect_err("floats")
                .contains("0x0d")
        );
    }
}
