//! Data sets by name, folder or zip file.

use crate::settings::nearest;
use crate::{Usage, made};
use anyhow::{Result, bail};
use candle_core::{Device, Tensor};
use gan_core::data::images::sides::{self, Sides};
use gan_core::data::{Data, Fit, Pictures, Shape, Split, batch, idx, images};
use gan_core::{FileError, Jitter, Range, Side, Task};
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
    /// What is made of it.
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// As it is.
    Whole,
    /// Side B alone where one set is wanted: pictures of both would be a mixture of two data sets.
    Sides,
    /// Squares of one size.
    Squares,
    /// Outlines and the pictures that they are of.
    Outline,
    /// Digits on photographs, and plain ones.
    Textured,
}

/// The data sets in `assets/`.
pub const EMBEDDED: &[Embedded] = &[
    Embedded {
        name: "mnist",
        about: "10,000 of MNIST's handwritten digits, 28x28 grey (9,000 train, 1,000 test)",
        path: "mnist",
        kind: Kind::Whole,
    },
    Embedded {
        name: "emoji",
        about: "1,316 emoji in Noto's drawings, 64x64 colour (1,216 train, 100 test); for papers that learn \
                from two sides: A in Twemoji's, B in Noto's",
        path: "emoji.zip",
        kind: Kind::Sides,
    },
    Embedded {
        name: "outline",
        about: "pairs: outlines (A) of the emoji in Noto's drawings (B), 64x64 colour (1,216 train, 100 test)",
        path: "emoji.zip",
        kind: Kind::Outline,
    },
    Embedded {
        name: "textured",
        about: "two sides: digits blended into photographs (A) and plain digits (B), 32x32 colour (4,500 and \
                4,000 train, 500 and 445 test)",
        path: "photos.zip",
        kind: Kind::Textured,
    },
    Embedded {
        name: "photos",
        about: "83 photographs, the square in the middle of each in colour (71 of 204x204 train, 12 of 144x144 test)",
        path: "photos.zip",
        kind: Kind::Squares,
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

/// Opens a data set by name, folder (MNIST's format, or pictures) or zip file of pictures, as what it is:
/// pairs, two sides, or one set.
///
/// # Errors
/// Those of [`locate`] and of reading.
pub fn open(name: &str, split: Split) -> Result<Data> {
    Ok(open_for(name, split, None)?.0)
}

/// Opens a data set as a task wants it where that is possible, and as what it is where it is not. Beside it,
/// what was done to pictures that were not as they should be: a sentence each.
///
/// # Errors
/// Those of [`locate`] and of reading.
pub fn open_for(name: &str, split: Split, task: Option<Task>) -> Result<(Data, Vec<String>)> {
    let path = locate(name)?;
    let two = |sides: Sides, paired| {
        let (a, b): (Arc<dyn Pictures>, Arc<dyn Pictures>) = (Arc::new(sides.a), Arc::new(sides.b));
        let data = match paired {
            true => Data::Paired { a, b },
            false => Data::Unpaired { a, b },
        };
        (data, sides.notes)
    };
    let one = |(set, notes)| (Data::Images(Arc::new(set)), notes);
    let kind = embedded(name).map(|set| set.kind);
    Ok(match (kind, task) {
        (Some(Kind::Whole) | None, _) if idx::is_folder(&path) => {
            one((idx::folder(&path, split)?, Vec::new()))
        }
        (Some(Kind::Outline), task) => {
            let b = sides::side(&path, split, Side::B)?;
            let a: Arc<dyn Pictures> = Arc::new(made::outlines(&b)?);
            let b: Arc<dyn Pictures> = Arc::new(b);
            let data = match task {
                Some(Task::Unpaired) => Data::Unpaired { a, b },
                _ => Data::Paired { a, b },
            };
            (data, Vec::new())
        }
        (Some(Kind::Textured), _) => {
            let made::Textured { a, b, .. } = textured(split)?;
            (Data::Unpaired { a, b }, Vec::new())
        }
        // Its notes say nothing that `data ls` does not.
        (Some(Kind::Squares), _) => one((sides::squares(&path, split)?.0, Vec::new())),
        (_, Some(Task::Paired)) => two(sides::paired(&path, split)?, true),
        (_, Some(Task::Unpaired)) => two(sides::unpaired(&path, split)?, false),
        (Some(Kind::Sides), _) => one((sides::side(&path, split, Side::B)?, Vec::new())),
        (_, Some(Task::Images | Task::Labelled)) => one(images::open(&path, split)?),
        (_, None) => match sides::kind(&path)? {
            sides::Kind::One => one(images::open(&path, split)?),
            sides::Kind::Paired => two(sides::paired(&path, split)?, true),
            sides::Kind::Unpaired => two(sides::unpaired(&path, split)?, false),
        },
    })
}

fn textured(split: Split) -> Result<made::Textured> {
    let digits = idx::folder(&locate("mnist")?, split)?;
    made::textured(&digits, &locate("photos")?, split)
}

/// What the pictures of an unpaired set's side A should become, in A's order: for measuring only.
#[derive(Debug)]
pub struct Truth {
    /// The true partners.
    pub partners: Arc<dyn Pictures>,
    /// Their classes, where they have some.
    pub labels: Option<Vec<u32>>,
}

/// The truth about the data set of this name, where it is known.
///
/// # Errors
/// Those of [`open`].
pub fn truth(name: &str, split: Split) -> Result<Option<Truth>> {
    match embedded(name).map(|set| set.kind) {
        Some(Kind::Textured) => {
            let made::Textured {
                partners, labels, ..
            } = textured(split)?;
            let labels = Some(labels);
            Ok(Some(Truth { partners, labels }))
        }
        Some(Kind::Outline | Kind::Sides) => {
            let partners = Arc::new(sides::side(&locate(name)?, split, Side::B)?);
            let labels = None;
            Ok(Some(Truth { partners, labels }))
        }
        _ => Ok(None),
    }
}

/// Some pictures of a set as squares `[n, c, size, size]` in [−1, 1]: what is left of the sides is cut off.
///
/// # Errors
/// Those of reading; a size that pictures cannot be brought to.
pub fn squares(
    set: &dyn Pictures,
    which: impl Iterator<Item = usize>,
    size: usize,
) -> Result<Tensor> {
    let fit = Fit::Square {
        size,
        jitter: Jitter::none(size),
    };
    Ok(fitted(set, which, fit)?.0)
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
    fitted(set, which, res.map_or(Fit::Whole, Fit::Height))
}

fn fitted(
    set: &dyn Pictures,
    which: impl Iterator<Item = usize>,
    fit: Fit,
) -> Result<(Tensor, Option<Vec<u32>>)> {
    let shape = Shape {
        b: 0,
        fit,
        range: Range::Signed,
    };
    let batch = batch(set, which, shape)?;
    let pictures = Tensor::from_vec(batch.values, &batch.dims[..], &Device::Cpu)?;
    Ok((pictures, batch.labels))
}
