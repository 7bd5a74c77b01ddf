//! Pictures of any sizes, one at a time: of one file, a folder or a zip file.

use super::decode::{self, Opened};
use super::{Entry, Files, left_out, no_pictures};
use crate::FileError;
use crate::data::kinds::{self, is_picture};
use crate::photo::{self, Photo};
use crate::whole::open_regular;
use candle_core::{Device, Result as Made, Tensor, bail};
use std::io::Read;
use std::path::Path;

/// A picture of its own size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Single {
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// `channels·height·width` values, channels first.
    pub bytes: Vec<u8>,
}

impl Single {
    /// Reads a picture file's contents.
    ///
    /// # Errors
    /// What is damaged or no such picture: the problem and what to do.
    pub(super) fn decode(file: &[u8]) -> Result<Self, decode::Fault> {
        Self::of(decode::open(file)?)
    }

    /// Reads what is behind a header.
    ///
    /// # Errors
    /// As [`Single::decode`].
    pub(super) fn of(opened: Opened<'_>) -> Result<Self, decode::Fault> {
        let looks = opened.looks;
        let pixels = opened.pixels()?.bytes;
        // Channels last in a file, first in a set.
        let mut bytes = Vec::with_capacity(pixels.len());
        for channel in 0..looks.channels {
            bytes.extend(pixels.iter().skip(channel).step_by(looks.channels));
        }
        Ok(Self {
            channels: looks.channels,
            height: looks.height,
            width: looks.width,
            bytes,
        })
    }

    /// The same picture with 3 channels, of which a grey one has three equal ones.
    pub fn rgb(mut self) -> Self {
        if self.channels == 1 {
            self.bytes = self.bytes.repeat(3);
            self.channels = 3;
        }
        self
    }

    /// The same picture with 1 channel: a colour's luma by ITU-R BT.601, 0.299 R + 0.587 G + 0.114 B.
    pub fn grey(mut self) -> Self {
        let mut planes = self.bytes.chunks_exact((self.height * self.width).max(1));
        if let (3, Some(r), Some(g), Some(b)) =
            (self.channels, planes.next(), planes.next(), planes.next())
        {
            let luma = |((&r, &g), &b): ((&u8, &u8), &u8)| {
                let sum = 299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b);
                ((sum + 500) / 1000) as u8 // at most 255
            };
            self.bytes = r.iter().zip(g).zip(b).map(luma).collect();
            self.channels = 1;
        }
        self
    }

    /// The picture as `[1, channels, h, w]` in [−1, 1], grey or in colour as `channels`, 1 or 3, says.
    ///
    /// # Errors
    /// Other channels.
    pub fn tensor(self, channels: usize, device: &Device) -> Made<Tensor> {
        let picture = match channels {
            1 => self.grey(),
            3 => self.rgb(),
            _ => bail!("pictures have 1 or 3 channels, not {channels}"),
        };
        let values = picture.bytes.iter().map(|&x| f32::from(x) / 127.5 - 1.);
        let dims = (1, channels, picture.height, picture.width);
        Tensor::from_vec(values.collect::<Vec<_>>(), dims, device)
    }

    /// The rectangle of this height and width that begins at (top, left); what lies outside is left out.
    pub fn part(&self, (top, left): (usize, usize), (height, width): (usize, usize)) -> Self {
        let height = height.min(self.height.saturating_sub(top));
        let width = width.min(self.width.saturating_sub(left));
        let mut bytes = Vec::with_capacity(self.channels * height * width);
        for plane in self.bytes.chunks_exact((self.height * self.width).max(1)) {
            for row in plane.chunks_exact(self.width).skip(top).take(height) {
                bytes.extend(row.iter().skip(left).take(width));
            }
        }
        Self {
            channels: self.channels,
            height,
            width,
            bytes,
        }
    }

    /// The left and the right half; of an odd width the middle column is in neither.
    pub fn halves(&self) -> (Self, Self) {
        let (half, size) = (self.width / 2, (self.height, self.width / 2));
        (
            self.part((0, 0), size),
            self.part((0, self.width - half), size),
        )
    }
}

/// A picture file's contents as pictures `[1, channels, h, w]` in [−1, 1], for a generator that takes
/// them; [`crate::image::single`] and its `png` are the way back.
///
/// # Errors
/// What is damaged or no such picture; channels other than 1 or 3.
pub fn tensor(file: &[u8], channels: usize, device: &Device) -> Made<Tensor> {
    match Single::decode(file) {
        Ok(single) => single.tensor(channels, device),
        Err((problem, remedy)) => bail!("the picture {problem}; {remedy}"),
    }
}

/// The same of a file, which errors name.
///
/// # Errors
/// Those of [`tensor`]; a file that cannot be read.
pub fn open(path: &Path, channels: usize, device: &Device) -> Made<Tensor> {
    let file = crate::whole::read_regular(path)?;
    match Single::decode(&file) {
        Ok(single) => single.tensor(channels, device),
        Err((problem, remedy)) => Err(FileError::new(path, problem, remedy).into()),
    }
}

/// The pictures of one file, a folder or a zip file, each of its own size and kind.
pub struct Album {
    files: Files,
    entries: Vec<Entry>,
    notes: Vec<String>,
}

impl Album {
    /// Lists the pictures, in the order of their names. A file that is named itself is a picture if its name or its
    /// first bytes say so.
    ///
    /// # Errors
    /// A path that cannot be read or holds no picture.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        if !path.is_dir() && is_one(path)? {
            let (files, entry) = Files::single(path)?;
            return Ok(Self {
                files,
                entries: vec![entry],
                notes: Vec::new(),
            });
        }
        let (files, all) = Files::open(path)?;
        let notes = left_out(&files, &all);
        let named = all.iter().filter(|entry| is_picture(&entry.name));
        let entries: Vec<Entry> = named.cloned().collect();
        if entries.is_empty() {
            return Err(no_pictures(path, &all));
        }
        Ok(Self {
            files,
            entries,
            notes,
        })
    }

    /// What was left out, a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Folders and name of each picture, joined by `/`.
    pub fn names(&self) -> Vec<String> {
        let names = self.entries.iter().map(|entry| entry.name.clone());
        names.collect()
    }

    /// Reads a picture by its name.
    ///
    /// # Errors
    /// A name that is not among [`Album::names`]; a picture that cannot be read or decoded.
    pub fn read(&self, name: &str) -> Result<Single, FileError> {
        let entry = self.entry(name)?;
        let file = self.files.read(entry)?;
        Single::decode(&file).map_err(|fault| self.faulty(entry, fault))
    }

    /// The same as its file has it, within the larger bounds of photographs.
    ///
    /// # Errors
    /// Those of [`Album::read`].
    pub fn photo(&self, name: &str) -> Result<Photo, FileError> {
        let entry = self.entry(name)?;
        let file = self.files.read_within(entry, photo::LARGEST)?;
        Photo::decode(&file).map_err(|fault| self.faulty(entry, fault))
    }

    fn entry(&self, name: &str) -> Result<&Entry, FileError> {
        let entry = self.entries.iter().find(|entry| entry.name == name);
        entry.ok_or_else(|| {
            FileError::new(
                Path::new(name),
                "is not among the pictures",
                "check the name",
            )
        })
    }

    fn faulty(&self, entry: &Entry, (problem, remedy): decode::Fault) -> FileError {
        FileError::new(&self.files.path(entry), problem, remedy)
    }
}

/// Whether a file is one picture, and not a zip file of some.
fn is_one(path: &Path) -> Result<bool, FileError> {
    let mut first = Vec::new();
    let file = open_regular(path)?;
    let read = file.take(512).read_to_end(&mut first);
    read.map_err(|e| FileError::reading(path, &e))?;
    let named = is_picture(&path.to_string_lossy());
    Ok(named && !first.starts_with(b"PK") || kinds::format(&first).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_and_halves() {
        let picture = Single {
            channels: 3,
            height: 2,
            width: 3,
            bytes: (0..18).map(|i| 10 * i).collect(),
        };
        let grey = picture.clone().grey();
        // .299·0 + .587·60 + .114·120 = 48.9, and 10 more with each pixel.
        assert_eq!(grey.bytes, [49, 59, 69, 79, 89, 99]);
        assert_eq!((grey.channels, grey.clone().rgb().bytes.len()), (1, 18));
        assert_eq!(picture.clone().rgb(), picture);
        let (left, right) = grey.halves();
        assert_eq!((left.bytes, right.bytes), (vec![49, 79], vec![69, 99]));
        let nothing = grey.part((5, 5), (2, 2));
        assert!(nothing.rgb().bytes.is_empty());
    }
}
