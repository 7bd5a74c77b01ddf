//! Where a file holds the bare numbers of its tensors, and reading them when they are wanted.

use super::types::Numbers;
use super::{Fault, Read};
use crate::error::brief;
use flate2::Crc;
use flate2::read::DeflateDecoder;
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Read as _;

/// How many times the file's size all that is unpacked of it may have; numbers hardly get smaller when packed.
const UNPACKED: usize = 8;

/// A storage as a pickle refers to it.
#[derive(Debug)]
pub(super) struct Storage {
    /// Its name in the file.
    pub(super) key: String,
    /// The type of its numbers.
    pub(super) numbers: Numbers,
    /// How many numbers it has.
    pub(super) size: usize,
    /// Where a view of it begins, and how many numbers the view has; before version 1 storages could be views.
    pub(super) view: Option<(usize, usize)>,
}

/// Where bytes are in a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) start: usize,
    /// Bytes in the file.
    pub(super) length: usize,
    /// Bytes when unpacked, where they are packed.
    pub(super) unpacked: Option<usize>,
    /// Their checksum, where the file has one.
    pub(super) sum: Option<u32>,
}

/// Places by name.
#[derive(Debug, Default)]
pub(crate) struct Storages {
    pub(super) places: HashMap<String, Place>,
    /// What a name begins with in errors.
    pub(super) folder: String,
}

impl Storages {
    /// The place of a storage.
    pub(super) fn place(&self, key: &str) -> Read<Place> {
        self.places.get(key).copied().ok_or_else(|| {
            let name = brief(&format!("{}{key}", self.folder));
            Fault::damaged(format!("the storage {name} is not in it"))
        })
    }
}

/// Reads bytes of one file; what it unpacks has a limit for all of them together.
pub(super) struct Unpacker<'a> {
    file: &'a [u8],
    left: usize,
}

impl<'a> Unpacker<'a> {
    pub(super) fn new(file: &'a [u8]) -> Self {
        Self {
            file,
            left: file.len().saturating_mul(UNPACKED),
        }
    }

    /// The bytes at a place, which `name` names in errors.
    pub(super) fn read(&mut self, place: Place, name: &str) -> Read<Cow<'a, [u8]>> {
        let name = brief(name);
        let end = place.start.checked_add(place.length);
        let packed = end.and_then(|end| self.file.get(place.start..end));
        let packed =
            packed.ok_or_else(|| Fault::short(format!("{name} would end after the file")))?;
        let bytes = match place.unpacked {
            None => Cow::Borrowed(packed),
            Some(size) => {
                self.left = self.left.checked_sub(size).ok_or_else(|| {
                    let file = self.file.len();
                    Fault::new(
                        format!(
                            "would unpack {name} to {size} bytes, and all of its {file} may become {UNPACKED} times as \
                             many"
                        ),
                        "fetch it again from where it is known, or pack it without compression",
                    )
                })?;
                Cow::Owned(unpack(packed, size, &name)?)
            }
        };
        let sum = |bytes: &[u8]| {
            let mut crc = Crc::new();
            crc.update(bytes);
            crc.sum()
        };
        match place.sum {
            Some(expected) if sum(&bytes) != expected => Err(Fault::damaged(format!(
                "{name} does not match its checksum"
            ))),
            _ => Ok(bytes),
        }
    }
}

/// What is packed, which is as long as the file says or an error.
fn unpack(packed: &[u8], size: usize, name: &str) -> Read<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than claimed is enough to see that the claim is false.
    let read = DeflateDecoder::new(packed)
        .take(size as u64 + 1)
        .read_to_end(&mut bytes);
    match read {
        Ok(found) if found == size => Ok(bytes),
        Ok(_) => Err(Fault::damaged(format!(
            "{name} does not unpack to the {size} bytes that it claims"
        ))),
        Err(error) => Err(Fault::damaged(format!(
            "{name} cannot be unpacked ({error})"
        ))),
    }
}
