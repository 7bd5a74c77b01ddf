//! Data sets by name or folder.

use crate::Usage;
use crate::settings::nearest;
use anyhow::{Result, bail};
use gan_core::FileError;
use gan_core::data::{Data, idx};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An embedded data set.
#[derive(Debug)]
pub struct Embedded {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
}

/// The data sets in `assets/`.
pub const EMBEDDED: &[Embedded] = &[Embedded {
    name: "mnist",
    about: "10,000 of MNIST's handwritten digits, 28x28 grey (9,000 train, 1,000 test)",
}];

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

/// The folder of a data set: an embedded one's, or the path itself.
///
/// # Errors
/// A name that is neither, with the nearest known one.
pub fn locate(name: &str) -> Result<PathBuf> {
    if EMBEDDED.iter().any(|set| set.name == name) {
        let dir = assets()?.join(name);
        if !dir.is_dir() {
            bail!(FileError::new(
                &dir,
                "the folder of the embedded data set is missing",
                "set GAN_ASSETS to the project's assets folder"
            ))
        }
        return Ok(dir);
    }
    let path = PathBuf::from(name);
    if path.is_dir() {
        return Ok(path);
    }
    if !path.exists() && path.components().count() == 1 {
        let known: Vec<_> = EMBEDDED.iter().map(|set| set.name).collect();
        bail!(Usage(format!(
            "--data {name}: no such data set and no such folder; {}",
            nearest(name, &known)
        )))
    }
    let problem = if path.exists() {
        "is a file, expected a folder with train-images-idx3-ubyte and train-labels-idx1-ubyte"
    } else {
        "no such folder"
    };
    bail!(FileError::new(&path, problem, "check --data"))
}

/// Opens a data set by name or folder.
pub fn open(name: &str, split: idx::Split) -> Result<Data> {
    let dir = locate(name)?;
    if !idx::is_folder(&dir) {
        bail!(FileError::new(
            &dir,
            "holds no train-images-idx3-ubyte",
            "name a folder in MNIST's format"
        ))
    }
    Ok(Data::Images(Arc::new(idx::folder(&dir, split)?)))
}
