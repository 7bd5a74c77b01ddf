//! Data sets by name, folder or zip file.

use crate::Usage;
use crate::settings::nearest;
use anyhow::{Result, bail};
use candle_core::{Device, Tensor};
use gan_core::data::{Data, Fit, Pictures, Shape, batch, idx, images};
use gan_core::{FileError, Range, Side};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An embedded data set.
#[derive(Debug)]
pub struct Embedded {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Its folder or file in `assets/`.
    path: &'static str,
    /// The side that serves as one set of pictures, where it has two.
    side: Option<Side>,
}

/// The data sets in `assets/`.
pub const EMBEDDED: &[Embedded] = &[
    Embedded {
        name: "mnist",
        about: "10,000 of MNIST's handwritten digits, 28x28 grey (9,000 train, 1,000 test)",
        path: "mnist",
        side: None,
    },
    Embedded {
        name: "emoji",
        about: "1,316 emoji in Noto's drawings, 64x64 colour (1,216 train, 100 test)",
        path: "emoji.zip",
        // One style: pictures of both would be a mixture of two data sets.
        side: Some(Side::B),
    },
];

fn embedded(name: &str) -> Option<&'static Embedded> {
    EMBEDDED.iter().find(|set| set.name == name)
}

/// The folder of this workspace, as it was when the program was built.
///
/// # Errors
/// When it is not there any more.
pub fn workspace() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    match root.canonicalize() {
        Ok(root) => Ok(root),
        Err(error) => Err(FileError::reading(&root, &error).into()),
    }
}

/// The folder of the embedded data sets: `GAN_ASSETS`, or the workspace's own.
fn assets() -> Result<PathBuf> {
    match std::env::var_os("GAN_ASSETS") {
        Some(dir) => Ok(dir.into()),
        None => Ok(workspace()?.join("assets")),
    }
}

/// The folder or file of a data set: an embedded one's, or the path itself.
///
/// # Errors
/// A name that is neither, with the nearest known one.
pub fn locate(name: &str) -> Result<PathBuf> {
    if let Some(set) = embedded(name) {
        let path = assets()?.join(set.path);
        if !path.exists() {
            bail!(FileError::new(
                &path,
                "the embedded data set is missing",
                "set GAN_ASSETS to the project's assets folder"
            ))
        }
        return Ok(path);
    }
    let path = PathBuf::from(name);
    if path.exists() {
        return Ok(path);
    }
    if path.components().count() == 1 {
        let known: Vec<_> = EMBEDDED.iter().map(|set| set.name).collect();
        bail!(Usage(format!(
            "--data {name}: no such data set and no such folder or file; {}",
            nearest(name, &known)
        )))
    }
    bail!(FileError::new(
        &path,
        "no such folder or file",
        "check --data"
    ))
}

/// Opens a data set by name, folder (MNIST's format, or pictures) or zip file of pictures.
pub fn open(name: &str, split: idx::Split) -> Result<Data> {
    let path = locate(name)?;
    if idx::is_folder(&path) {
        return Ok(Data::Images(Arc::new(idx::folder(&path, split)?)));
    }
    let pictures = match embedded(name).and_then(|set| set.side) {
        Some(side) => images::side(&path, split, side)?,
        None => images::open(&path, split)?,
    };
    Ok(Data::Images(Arc::new(pictures)))
}

/// Some pictures of a set, `[n, c, h, w]` in [−1, 1], brought to a height, and their labels.
///
/// # Errors
/// Those of reading; a size that pictures cannot be brought to.
pub fn pictures(
    set: &dyn Pictures,
    which: impl Iterator<Item = usize>,
    res: Option<usize>,
) -> Result<(Tensor, Option<Vec<u32>>)> {
    let shape = Shape {
        b: 0,
        fit: res.map_or(Fit::Whole, Fit::Height),
        range: Range::Signed,
    };
    let batch = batch(set, which, shape)?;
    let pictures = Tensor::from_vec(batch.values, &batch.dims[..], &Device::Cpu)?;
    Ok((pictures, batch.labels))
}
