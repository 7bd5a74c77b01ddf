//! How pictures are read: brought to what a run needs, once, and held.

use super::held::Slots;
use super::resize::{brought, planar};
use super::view::View;
use super::{Pictures, labels_of};
use crate::FileError;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes that pictures take in memory, those that are held and those that are being decoded, where a run does not say:
/// 87,000 pictures of 64x64 in colour. Larger sets go to a temporary file.
pub const DEFAULT_MEMORY: u64 = 1 << 30;

/// What becomes of pictures that are smaller than what a run needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Small {
    /// They are an error.
    #[default]
    Refuse,
    /// They are enlarged.
    Enlarge,
    /// They are left out.
    Skip,
}

/// Told what is being done, how much of it is done, and how much there is: after each picture, by any thread.
pub type Progress = dyn Fn(&str, usize, usize) + Sync;

/// What a run needs of its pictures, and where they may be held.
#[non_exhaustive]
pub struct Reading<'a> {
    /// How the run sees them.
    pub view: View,
    /// What becomes of those that are too small.
    pub small: Small,
    /// Bytes that pictures may take in memory, those that are held and those that are being decoded. One picture alone
    /// may take more while it is decoded.
    pub memory: u64,
    /// The folder for what does not fit; none: the system's for temporary files.
    pub cache: Option<PathBuf>,
    /// Told what is being done.
    pub progress: &'a Progress,
}

impl Reading<'_> {
    /// For this view; small pictures are refused, the usual memory is held, nobody is told.
    pub fn new(view: View) -> Self {
        Self {
            view,
            small: Small::Refuse,
            memory: DEFAULT_MEMORY,
            cache: None,
            progress: &|_, _, _| {},
        }
    }
}

/// A set that is held already, brought to what a run needs; small pictures are enlarged, as whoever made the
/// set knows its size.
///
/// # Errors
/// A size that pictures cannot be brought to; those of reading.
pub fn bring(
    pictures: Arc<dyn Pictures>,
    reading: &Reading<'_>,
) -> Result<Arc<dyn Pictures>, FileError> {
    let wrong =
        |problem: String| FileError::new(Path::new("data set"), problem, "choose another size");
    let info = pictures.info();
    let sizes: Vec<_> = (0..info.len).map(|i| pictures.size(i)).collect();
    let kept = sizes
        .iter()
        .map(|&size| reading.view.kept(size).map_err(wrong));
    let kept: Vec<_> = kept.collect::<Result<_, _>>()?;
    if kept
        .iter()
        .zip(&sizes)
        .all(|(kept, size)| kept.size == *size)
    {
        return Ok(pictures);
    }
    let new: Vec<_> = kept.iter().map(|kept| kept.size).collect();
    let bytes: u64 = new
        .iter()
        .map(|(h, w)| (info.channels * h * w) as u64)
        .sum();
    let in_memory = bytes <= reading.memory;
    let slots = Slots::new(info.channels, &new, in_memory, reading.cache.as_deref())?;
    let mut picture = Vec::new();
    for (i, kept) in kept.iter().enumerate() {
        picture.clear();
        pictures.whole(i, &mut picture)?;
        let (h, w) = pictures.size(i);
        let planes = picture.chunks_exact((h * w).max(1)).map(|plane| {
            let made = brought(plane, 1, (h, w), kept.part, kept.size).map_err(wrong)?;
            Ok(planar(made, 1))
        });
        slots.fill(i, &planes.collect::<Result<Vec<_>, FileError>>()?.concat())?;
        (reading.progress)("bringing pictures to size", i + 1, info.len);
    }
    let labels = labels_of(&*pictures);
    // The hash is that of the set as it was: a run of another size learns from the same data.
    let held = slots.finish(info.clone(), labels, pictures.sha256().into());
    Ok(Arc::new(held.read_from(pictures.files().to_vec())))
}
