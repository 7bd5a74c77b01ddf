//! Data sets: pictures with or without labels, the order in which a run sees them, and their readers.

pub mod bicubic;
mod feed;
#[cfg(feature = "data")]
mod files;
mod held;
pub mod idx;
#[cfg(feature = "data")]
pub mod images;
#[cfg(feature = "data")]
mod kinds;
mod reading;
mod resize;
mod view;

#[cfg(feature = "hub")]
pub(crate) use images::CLASS_NAMES;
#[cfg(feature = "hub")]
pub(crate) use kinds::{is_picture, picture_ending};

pub use feed::{Block, Request, Running, batch};
pub use held::Held;
pub use reading::{DEFAULT_MEMORY, Progress, Reading, Small, bring};
pub use resize::padded;
pub use view::{Ask, Choice, Fit, Kept, Part, Range, Shrink, Side, View, What, labels, pictures};

use crate::FileError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

/// What a paper may know of a data set before it sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct DataInfo {
    /// Channels of a picture: 1 or 3.
    pub channels: usize,
    /// Height in pixels; where sizes differ, of the picture that is the median by area.
    pub height: usize,
    /// Width in pixels, of the same picture.
    pub width: usize,
    /// Height and width of the picture with the shortest side, where sizes differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smallest: Option<(usize, usize)>,
    /// Number of classes, for a set with labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
    /// The classes' names in their order, where they have some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Number of pictures (of side A).
    pub len: usize,
    /// Number of side B's pictures, for a set in two domains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub len_b: Option<usize>,
}

impl DataInfo {
    /// One picture of this size, without classes.
    pub const fn picture(channels: usize, height: usize, width: usize) -> Self {
        Self {
            channels,
            height,
            width,
            smallest: None,
            classes: None,
            names: Vec::new(),
            len: 1,
            len_b: None,
        }
    }

    /// One square picture without classes.
    pub const fn unlabelled(channels: usize, side: usize) -> Self {
        Self::picture(channels, side, side)
    }

    /// The same with this many classes.
    pub const fn labelled(self, classes: usize) -> Self {
        let mut info = self;
        info.classes = Some(classes);
        info
    }

    /// The same with this many pictures.
    pub const fn of(self, len: usize) -> Self {
        let mut info = self;
        info.len = len;
        info
    }

    /// The same for pictures of these heights and widths.
    pub fn sized(mut self, sizes: &[(usize, usize)]) -> Self {
        let mut sorted = sizes.to_vec();
        sorted.sort_by_key(|&(h, w)| (h * w, h));
        let middle = sorted.len().saturating_sub(1) / 2;
        let middle = sorted.get(middle).copied().unwrap_or_default();
        (self.height, self.width) = middle;
        let smallest = sizes
            .iter()
            .copied()
            .min_by_key(|&(h, w)| (h.min(w), h.max(w)));
        self.smallest = smallest.filter(|_| sizes.iter().any(|size| *size != middle));
        self
    }

    /// A square picture of this many values, grey or RGB, as a perceptron's last layer makes it.
    ///
    /// # Errors
    /// When there is none.
    pub fn square(pixels: usize) -> candle_core::Result<Self> {
        for channels in [1, 3] {
            let side = (pixels / channels).isqrt();
            if side > 0 && side * side * channels == pixels {
                return Ok(Self::unlabelled(channels, side));
            }
        }
        candle_core::bail!("{pixels} values are no square picture, grey or RGB")
    }

    /// Values in one picture.
    pub fn pixels(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// The shorter side of the median picture.
    pub fn side(&self) -> usize {
        self.height.min(self.width)
    }

    /// Pictures in a pass over the data: of the larger side, where there are two.
    pub fn epoch(&self) -> usize {
        self.len.max(self.len_b.unwrap_or(0))
    }
}

/// Which of the two parts of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// What a run learns from: `train-images…`, `train/`.
    Train,
    /// What it is judged by: `t10k-images…`, `test/`.
    Test,
}

/// A file that pictures were read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Its name in the folder or zip file of the set.
    pub name: String,
    /// SHA-256 of its contents, in hexadecimal.
    pub sha256: String,
}

/// Pictures by number, each in its own size.
pub trait Pictures: Debug + Send + Sync {
    /// Sizes and counts; `len` is at least 1.
    fn info(&self) -> &DataInfo;
    /// Height and width of picture `i` as it is held.
    fn size(&self, i: usize) -> (usize, usize);
    /// Appends a part of picture `i` < `len` to `into`: `channels·height·width` bytes, channels first.
    ///
    /// # Errors
    /// A part that lies outside; a file that cannot be read.
    fn read(&self, i: usize, part: Part, into: &mut Vec<u8>) -> Result<(), FileError>;
    /// Appends all of picture `i`, as [`Pictures::read`].
    ///
    /// # Errors
    /// As [`Pictures::read`].
    fn whole(&self, i: usize, into: &mut Vec<u8>) -> Result<(), FileError> {
        self.read(i, Part::whole(self.size(i)), into)
    }
    /// The class of picture `i`.
    fn label(&self, i: usize) -> Option<u32>;
    /// SHA-256 in hexadecimal, by which sets are told apart: of sizes, pictures and labels, or of the names
    /// and contents of the files that they were read from.
    fn sha256(&self) -> &str;
    /// The files that they were read from, for a set that was read from some.
    fn files(&self) -> &[SourceFile] {
        &[]
    }
}

/// The classes of all pictures of a set that has classes.
fn labels_of(pictures: &dyn Pictures) -> Option<Vec<u8>> {
    pictures.info().classes?;
    (0..pictures.info().len)
        .map(|i| u8::try_from(pictures.label(i)?).ok())
        .collect()
}

/// Pictures that lie beside those of a set, each a whole number of times smaller than its partner.
#[derive(Clone, Debug)]
pub struct Low {
    /// The pictures, in the order of their partners.
    pub pictures: Arc<dyn Pictures>,
    /// How many times smaller they are.
    pub scale: usize,
}

/// A data set as a run sees it: pictures of one side or two, with labels or without.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Data {
    /// The pictures, or those of the domain X.
    pub a: Arc<dyn Pictures>,
    /// Those of the domain Y.
    pub b: Option<Arc<dyn Pictures>>,
    /// Whether picture i of one side belongs to picture i of the other.
    pub paired: bool,
    /// Smaller pictures beside those of side A, where they are given: what is asked for of that side by
    /// [`Shrink::Bicubic`] and their factor is cut from them.
    pub low: Option<Low>,
}

impl Data {
    /// One set of pictures.
    pub fn one(a: Arc<dyn Pictures>) -> Self {
        Self {
            a,
            b: None,
            paired: false,
            low: None,
        }
    }

    /// Two sets without a correspondence, of any two counts.
    pub fn apart(a: Arc<dyn Pictures>, b: Arc<dyn Pictures>) -> Self {
        Self {
            a,
            b: Some(b),
            paired: false,
            low: None,
        }
    }

    /// Two sets, picture i of one belonging to picture i of the other.
    ///
    /// # Errors
    /// Other counts, or a pair of two sizes.
    pub fn paired(a: Arc<dyn Pictures>, b: Arc<dyn Pictures>) -> Result<Self, String> {
        let counts = [&a, &b].map(|side| side.info().len);
        if counts[0] != counts[1] {
            let [a, b] = counts;
            return Err(format!("{a} pictures cannot be paired with {b}"));
        }
        if let Some(i) = (0..counts[0]).find(|&i| a.size(i) != b.size(i)) {
            return Err(format!(
                "the pictures of pair {i} are {:?} and {:?}, expected one size",
                a.size(i),
                b.size(i)
            ));
        }
        Ok(Self {
            a,
            b: Some(b),
            paired: true,
            low: None,
        })
    }

    /// The same with pictures that are `scale` times smaller beside those of side A.
    ///
    /// # Errors
    /// Other counts or channels, or a picture that is not as many times smaller; the sentence says which.
    pub fn with_low(self, pictures: Arc<dyn Pictures>, scale: usize) -> Result<Self, String> {
        let (high, low) = (self.a.info(), pictures.info());
        if (high.len, high.channels) != (low.len, low.channels) {
            return Err(format!(
                "{} pictures of {} channels lie beside {} smaller ones of {}",
                high.len, high.channels, low.len, low.channels
            ));
        }
        let is = |i: usize| {
            let (h, w) = pictures.size(i);
            self.a.size(i) == (scale * h, scale * w)
        };
        if let Some(i) = (0..high.len).find(|&i| !is(i)) {
            return Err(format!(
                "picture {i} is {:?}, its low partner {:?}, expected {scale} times smaller",
                self.a.size(i),
                pictures.size(i)
            ));
        }
        let low = Some(Low { pictures, scale });
        Ok(Self { low, ..self })
    }

    /// The pictures of a side, where there is one.
    pub fn side(&self, side: Side) -> Option<&Arc<dyn Pictures>> {
        match side {
            Side::A => Some(&self.a),
            Side::B => self.b.as_ref(),
        }
    }

    /// SHA-256 of the contents, in hexadecimal.
    pub fn sha256(&self) -> String {
        let sides = match (&self.b, self.paired) {
            (None, _) => self.a.sha256().to_string(),
            (Some(b), false) => format!("{}+{}", self.a.sha256(), b.sha256()),
            (Some(b), true) => format!("{}={}", self.a.sha256(), b.sha256()),
        };
        match &self.low {
            None => sides,
            Some(low) => format!("{sides}/{}", low.pictures.sha256()),
        }
    }

    /// Name and SHA-256 of each file that the pictures were read from; none for a set that was made.
    pub fn files(&self) -> BTreeMap<String, String> {
        let low = self.low.as_ref().map(|low| &low.pictures);
        let sides = [Some(&self.a), self.b.as_ref(), low].into_iter().flatten();
        let files = sides.flat_map(|side| side.files());
        files
            .map(|file| (file.name.clone(), file.sha256.clone()))
            .collect()
    }

    /// Sizes and counts.
    pub fn info(&self) -> DataInfo {
        let mut info = self.a.info().clone();
        info.len_b = self.b.as_ref().map(|b| b.info().len);
        info
    }
}
