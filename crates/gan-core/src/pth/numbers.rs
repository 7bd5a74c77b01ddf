//! Tensors of storages: the numbers that shape, strides and offset choose.

use super::storages::{Place, Storage, Storages, Unpacker};
use super::types::Numbers;
use super::{Fault, Read};
use crate::error::brief;
use candle_core::{DType, Device, Tensor};
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;

/// How many times the file's size all tensors together may take. They may share numbers and repeat them, but a file
/// that is nothing but claims must not fill the memory.
const REPEATED: usize = 8;
/// What is allowed in any case, in bytes.
const SMALL: usize = 1 << 20;

/// A tensor as a file describes it.
#[derive(Clone, Debug)]
pub(crate) struct TensorAt {
    pub(super) numbers: Numbers,
    pub(super) storage: Rc<Storage>,
    /// Where in the storage it begins, in numbers.
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    /// How far its neighbours along each axis are apart, in numbers.
    pub(super) strides: Vec<usize>,
}

impl TensorAt {
    /// Its shape.
    pub(crate) fn dims(&self) -> &[usize] {
        &self.shape
    }

    /// What becomes of its numbers; none where they are not read.
    pub(crate) fn dtype(&self) -> Option<DType> {
        match self.numbers {
            Numbers::Kept(dtype) => Some(dtype),
            Numbers::I8 => Some(DType::I16),
            Numbers::Other(..) => None,
        }
    }

    /// The type of its numbers, in words.
    pub(crate) fn type_of(&self) -> String {
        match self.numbers {
            Numbers::Kept(dtype) => dtype.as_str().to_string(),
            Numbers::I8 => "i8".to_string(),
            Numbers::Other(kind, _) => kind.to_string(),
        }
    }

    /// How many numbers it has; none where no machine could count them.
    fn count(&self) -> Option<usize> {
        // An empty tensor's other sides must not be of any size, either: they are multiplied later.
        let mut all = self.shape.iter().map(|&side| side.max(1));
        let most = all.try_fold(1usize, |n, side| n.checked_mul(side))?;
        let most = most.checked_mul(8).filter(|&n| n <= isize::MAX as usize);
        most.map(|_| self.shape.iter().product())
    }

    /// The last number of the storage that it reaches; none where that is past all counting.
    fn last(&self) -> Option<usize> {
        let mut axes = self.shape.iter().zip(&self.strides);
        axes.try_fold(self.offset, |last, (side, stride)| {
            last.checked_add(side.saturating_sub(1).checked_mul(*stride)?)
        })
    }

    /// Whether its numbers lie one after the other.
    fn is_dense(&self) -> bool {
        let axes = self.shape.iter().zip(&self.strides).rev();
        let mut expected = Some(1usize);
        for (side, stride) in axes {
            if *side != 1 && Some(*stride) != expected {
                return false;
            }
            expected = expected.and_then(|n| n.checked_mul(*side));
        }
        true
    }
}

/// Makes tensors of one file.
pub(crate) struct Maker<'a> {
    storages: &'a Storages,
    unpacker: Unpacker<'a>,
    /// Storages by the places where they are; they may be shared.
    read: HashMap<usize, Cow<'a, [u8]>>,
    left: usize,
    file: usize,
}

impl<'a> Maker<'a> {
    /// Of the file with these bytes.
    pub(crate) fn new(file: &'a [u8], storages: &'a Storages) -> Self {
        Self {
            storages,
            unpacker: Unpacker::new(file),
            read: HashMap::new(),
            left: file.len().saturating_mul(REPEATED).max(SMALL),
            file: file.len(),
        }
    }

    /// The tensor that errors call `key`.
    ///
    /// # Errors
    /// Numbers of a type that is not read; a storage that is shorter than it claims; a shape that leaves it.
    pub(crate) fn make(&mut self, key: &str, tensor: &TensorAt) -> Read<Tensor> {
        let key = brief(key);
        let Some(dtype) = tensor.dtype() else {
            let kind = match tensor.numbers {
                Numbers::Other(kind, _) => kind,
                _ => "numbers of another type",
            };
            return Err(Fault::new(
                format!("holds {kind} in {key}, and those are not read here"),
                "save it as 32-bit floating point numbers: t.float()",
            ));
        };
        let too_large = || {
            let (shape, file) = (brief(&format!("{:?}", tensor.shape)), self.file);
            Fault::damaged(format!(
                "{key} would be {shape}, far more than a file of {file} bytes holds"
            ))
        };
        let count = tensor.count().ok_or_else(too_large)?;
        // One that repeats its numbers is as large as one that does not.
        let bytes = count.checked_mul(dtype.size_in_bytes());
        let left = bytes.and_then(|bytes| self.left.checked_sub(bytes));
        self.left = left.ok_or_else(too_large)?;
        let numbers = match count {
            0 => Cow::Borrowed(&[][..]),
            _ => self.numbers(&key, tensor, count)?,
        };
        let made = match tensor.numbers {
            Numbers::I8 => {
                let wide: Vec<i16> = numbers.iter().map(|&byte| i16::from(byte as i8)).collect();
                Tensor::from_vec(wide, &tensor.shape[..], &Device::Cpu)
            }
            _ => Tensor::from_raw_buffer(&numbers, dtype, &tensor.shape, &Device::Cpu),
        };
        made.map_err(|error| Fault::damaged(format!("{key} cannot be made ({error})")))
    }

    /// The bytes of a tensor's numbers, one number after the other.
    fn numbers(&mut self, key: &str, tensor: &TensorAt, count: usize) -> Read<Cow<'_, [u8]>> {
        let (storage, width) = (&tensor.storage, tensor.numbers.bytes());
        let place = self.storages.place(&storage.key)?;
        let name = format!("{}{}", self.storages.folder, storage.key);
        let bytes = Self::storage(&mut self.read, &mut self.unpacker, place, &name)?;
        let claimed = storage.size.checked_mul(storage.numbers.bytes());
        if claimed.is_none_or(|claimed| claimed > bytes.len()) {
            return Err(Fault::damaged(format!(
                "{key} lies in the storage {} of {} numbers, and the file holds {} bytes of it",
                brief(&name),
                storage.size,
                bytes.len()
            )));
        }
        let bytes = match storage.view {
            None => bytes.get(..claimed.unwrap_or(0)),
            Some((offset, size)) => {
                let width = storage.numbers.bytes();
                let end = offset
                    .checked_add(size)
                    .and_then(|end| end.checked_mul(width));
                let start = offset.checked_mul(width);
                start
                    .zip(end)
                    .and_then(|(start, end)| bytes.get(start..end))
            }
        };
        let outside = || {
            Fault::damaged(format!(
                "{key} leaves its storage: {} with strides {} from {} on, in {} numbers",
                brief(&format!("{:?}", tensor.shape)),
                brief(&format!("{:?}", tensor.strides)),
                tensor.offset,
                storage.size
            ))
        };
        let bytes = bytes.ok_or_else(outside)?;
        let room = bytes.len() / width;
        if tensor.last().is_none_or(|last| last >= room) {
            return Err(outside());
        }
        if tensor.is_dense() {
            let start = tensor.offset * width;
            return bytes
                .get(start..start + count * width)
                .map(Cow::Borrowed)
                .ok_or_else(outside);
        }
        let mut gathered = Vec::with_capacity(count * width);
        gather(
            bytes,
            width,
            tensor.offset,
            &tensor.shape,
            &tensor.strides,
            &mut gathered,
        );
        match gathered.len() == count * width {
            true => Ok(Cow::Owned(gathered)),
            false => Err(outside()),
        }
    }

    fn storage<'b>(
        read: &'b mut HashMap<usize, Cow<'a, [u8]>>,
        unpacker: &mut Unpacker<'a>,
        place: Place,
        name: &str,
    ) -> Read<&'b [u8]> {
        Ok(match read.entry(place.start) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(free) => free.insert(unpacker.read(place, name)?),
        })
    }
}

/// Puts the numbers of a tensor, the last axis fastest, behind one another; there are at most as many axes as PyTorch
/// has, so that it may call itself for each.
fn gather(
    bytes: &[u8],
    width: usize,
    offset: usize,
    shape: &[usize],
    strides: &[usize],
    to: &mut Vec<u8>,
) {
    match (shape, strides) {
        ([side, shape @ ..], [stride, strides @ ..]) => {
            for i in 0..*side {
                gather(bytes, width, offset + i * stride, shape, strides, to);
            }
        }
        _ => to.extend(
            bytes
                .get(offset * width..(offset + 1) * width)
                .unwrap_or_default(),
        ),
    }
}
