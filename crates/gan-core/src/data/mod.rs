//! Data sets: pictures with or without labels, the order in which a run sees them, and their readers.

mod feed;
#[cfg(feature = "data")]
mod files;
mod fit;
pub mod idx;
#[cfg(feature = "data")]
pub mod images;

mod view;

pub use feed::{Batch, Feed, Fit as OldFit, Shape, batch};
pub use fit::{padded, resized};
pub use view::{Ask, Choice, Fit, Kept, Part, Range, Shrink, Side, View, What, labels, pictures};

use crate::FileError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
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

/// Pictures of one size, by number.
pub trait Pictures: Debug + Send + Sync {
    /// Sizes and counts; `len` is at least 1.
    fn info(&self) -> &DataInfo;
    /// Appends picture `i` < `len` to `into`: `channels·height·width` bytes, channels first.
    fn read(&self, i: usize, into: &mut Vec<u8>) -> Result<(), FileError>;
    /// The class of picture `i`.
    fn label(&self, i: usize) -> Option<u32>;
    /// SHA-256 of sizes, pictures and labels, in hexadecimal: whether two sets are the same.
    fn sha256(&self) -> &str;
}

/// A data set as a run sees it.
#[derive(Clone, Debug)]
pub enum Data {
    /// Pictures, with labels or without.
    Images(Arc<dyn Pictures>),
    /// Two sets without a correspondence, of any two counts.
    Unpaired {
        /// The domain X.
        a: Arc<dyn Pictures>,
        /// The domain Y.
        b: Arc<dyn Pictures>,
    },
    /// Two sets of as many pictures in one size: picture i of one belongs to picture i of the other.
    Paired {
        /// The domain X.
        a: Arc<dyn Pictures>,
        /// The domain Y.
        b: Arc<dyn Pictures>,
    },
}

impl Data {
    /// SHA-256 of the contents, in hexadecimal.
    pub fn sha256(&self) -> String {
        match self {
            Data::Images(pictures) => pictures.sha256().to_string(),
            Data::Unpaired { a, b } => format!("{}+{}", a.sha256(), b.sha256()),
            Data::Paired { a, b } => format!("{}={}", a.sha256(), b.sha256()),
        }
    }

    /// Sizes and counts.
    pub fn info(&self) -> DataInfo {
        match self {
            Data::Images(pictures) => pictures.info().clone(),
            Data::Unpaired { a, b } | Data::Paired { a, b } => DataInfo {
                len: a.info().len.max(b.info().len),
                ..a.info().clone()
            },
        }
    }
}

/// Pictures held in memory.
pub struct InMemory {
    info: DataInfo,
    bytes: Vec<u8>,
    labels: Option<Vec<u8>>,
    sha256: String,
}

impl Debug for InMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "InMemory({:?})", self.info)
    }
}

impl InMemory {
    /// `bytes` holds `info.len` pictures, channels first; `labels`, where there are some, one a picture.
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
        hash.update(format!("{info:?}"));
        hash.update(&bytes);
        hash.update(labels.as_deref().unwrap_or_default());
        let sha256 = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
        Ok(Self {
            info,
            bytes,
            labels,
            sha256,
        })
    }
}

impl Pictures for InMemory {
    fn info(&self) -> &DataInfo {
        &self.info
    }

    fn read(&self, i: usize, into: &mut Vec<u8>) -> Result<(), FileError> {
        let n = self.info.pixels();
        into.extend(self.bytes.iter().skip(i * n).take(n));
        Ok(())
    }

    fn label(&self, i: usize) -> Option<u32> {
        self.labels.as_ref()?.get(i).map(|&label| u32::from(label))
    }

    fn sha256(&self) -> &str {
        &self.sha256
    }
}
