//! Data sets by name, folder or zip file.

use crate::settings::nearest;
use crate::{Usage, hub, made};
use anyhow::{Result, bail};
use candle_core::{Device, Tensor};
use gan_core::data::images::{Labels, Survey, sides};
use gan_core::data::{
    Block, Data, Pictures, Progress, Reading, Small, Split, batch, bring, idx, images, pictures,
};
use gan_core::{Ask, DataInfo, FileError, Learns, Side, Sides, View};
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
pub fn assets() -> Result<PathBuf> {
    match std::env::var_os("GAN_ASSETS") {
        Some(dir) => Ok(dir.into()),
        None => Ok(workspace()?.join("assets")),
    }
}

/// The folder or file of a data set: an embedded one's, the path itself, or what was fetched from elsewhere.
///
/// # Errors
/// A name that is none, with the nearest known one; those of fetching.
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
    if hub::is_elsewhere(name) {
        return hub::located(name);
    }
    if path.components().count() == 1 {
        let elsewhere = hub::data::DATA.iter().map(|set| set.name);
        let known: Vec<_> = EMBEDDED
            .iter()
            .map(|set| set.name)
            .chain(elsewhere)
            .collect();
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

/// How pictures are read, besides how a run sees them.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// What becomes of pictures that are too small; those of sets that have a name are enlarged.
    pub small: Small,
    /// Bytes of decoded pictures that may be held in memory.
    pub memory: u64,
}

impl Default for How {
    fn default() -> Self {
        Self {
            small: Small::Refuse,
            memory: gan_core::data::DEFAULT_MEMORY,
        }
    }
}

/// A data set that was looked at, so that a run's settings can be made for it.
pub enum Looked {
    /// People's own files.
    Files(Survey),
    /// Files of an embedded set, or of another that has a name.
    Embedded(Survey),
    /// A set that is held already.
    Made(Data),
}

impl Looked {
    /// Counts, channels, classes and sizes.
    pub fn info(&self) -> DataInfo {
        match self {
            Looked::Files(survey) | Looked::Embedded(survey) => survey.info(),
            Looked::Made(data) => data.info(),
        }
    }

    /// The pictures as a run sees them; beside them, what was changed: a sentence each.
    ///
    /// # Errors
    /// Those of reading.
    pub fn read(self, view: View, how: &How, progress: &Progress) -> Result<(Data, Vec<String>)> {
        let mut reading = Reading::new(view);
        (reading.small, reading.memory, reading.progress) = (how.small, how.memory, progress);
        let info = self.info();
        let (data, notes) = match self {
            Looked::Files(survey) => return Ok(survey.read(&reading)?),
            Looked::Embedded(survey) => {
                reading.small = Small::Enlarge;
                survey.read(&reading)?
            }
            Looked::Made(data) => {
                let a = bring(data.a.clone(), &reading)?;
                let b = data.b.clone().map(|b| bring(b, &reading)).transpose()?;
                let data = match (b, data.paired) {
                    (None, _) => Data::one(a),
                    (Some(b), false) => Data::apart(a, b),
                    (Some(b), true) => Data::paired(a, b).map_err(anyhow::Error::msg)?,
                };
                (data, Vec::new())
            }
        };
        // Of an embedded set nothing else is to be said that `data ls` does not.
        let notes = match (data.a.size(0), (info.height, info.width)) {
            (to, from) if to != from && info.smallest.is_none() => vec![format!(
                "pictures of {}x{} are brought to {}x{}",
                from.0, from.1, to.0, to.1
            )],
            _ => notes
                .into_iter()
                .filter(|note| note.contains("temporary file"))
                .collect(),
        };
        Ok((data, notes))
    }
}

/// Opens a data set by name, folder (MNIST's format, or pictures) or zip file of pictures, as what it is:
/// pairs, two sides, or one set; its pictures as they are, or brought to one size where they differ.
///
/// # Errors
/// Those of [`locate`] and of reading.
pub fn open(name: &str, split: Split) -> Result<(Data, Vec<String>)> {
    let looked = look(name, split, None, &|_, _, _| {})?;
    let info = looked.info();
    let (view, how) = match info.smallest {
        None => (View::whole(), How::default()),
        Some((h, w)) => {
            let small = Small::Enlarge;
            let how = How {
                small,
                ..How::default()
            };
            (View::square(info.side().max(h.min(w))), how)
        }
    };
    looked.read(view, &how, &|_, _, _| {})
}

/// Looks at a data set as a paper wants it where that is possible, and as what it is where it is not, or where no
/// paper wants it.
///
/// # Errors
/// Those of [`locate`] and of reading.
pub fn look(
    name: &str,
    split: Split,
    wanted: Option<Learns>,
    progress: &Progress,
) -> Result<Looked> {
    let labels = match wanted.map(|learns| learns.labels) {
        Some(true) => Labels::Needed,
        Some(false) => Labels::Ignored,
        None => Labels::AsFound,
    };
    let scale = wanted.and_then(|learns| learns.enlarges);
    let wanted = wanted.map(|learns| learns.sides);
    let path = locate(name)?;
    let kind = embedded(name).map(|set| set.kind);
    // Whoever names a set that has a name knows how large its pictures are.
    let is_known = kind.is_some() || hub::data::known(name).is_some();
    let files = |survey| match is_known {
        true => Looked::Embedded(survey),
        false => Looked::Files(survey),
    };
    let one_side = || sides::side(&path, split, Side::B, progress);
    Ok(match (kind, wanted) {
        (Some(Kind::Whole) | None, _) if idx::is_folder(&path) => {
            Looked::Made(Data::one(Arc::new(idx::folder(&path, split)?)))
        }
        (Some(Kind::Outline), wanted) => {
            let b = one_side()?.read(&Reading::new(View::whole()))?.0.a;
            let a: Arc<dyn Pictures> = Arc::new(made::outlines(&*b)?);
            Looked::Made(match wanted {
                Some(Sides::Apart) => Data::apart(a, b),
                _ => Data::paired(a, b).map_err(anyhow::Error::msg)?,
            })
        }
        (Some(Kind::Textured), _) => {
            let made::Textured { a, b, .. } = textured(split)?;
            Looked::Made(Data::apart(a, b))
        }
        (Some(Kind::Squares), _) => files(images::open(&path, split, labels, progress)?),
        (_, Some(Sides::Paired)) => files(sides::paired(&path, split, progress)?),
        (_, Some(Sides::Apart)) => files(sides::apart(&path, split, progress)?),
        (Some(Kind::Sides), _) => files(one_side()?),
        (None, Some(Sides::One)) if let Some(scale) = scale => {
            files(images::low::enlarging(&path, split, scale, progress)?)
        }
        (_, Some(Sides::One)) => files(images::open(&path, split, labels, progress)?),
        (_, None) => files(match sides::kind(&path)? {
            sides::Kind::One => images::open(&path, split, labels, progress)?,
            sides::Kind::Paired => sides::paired(&path, split, progress)?,
            sides::Kind::Unpaired => sides::apart(&path, split, progress)?,
        }),
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

/// The truth about the data set of this name, where it is known, as a run sees it.
///
/// # Errors
/// Those of [`open`].
pub fn truth(name: &str, split: Split, view: View) -> Result<Option<Truth>> {
    let (partners, labels): (Arc<dyn Pictures>, _) = match embedded(name).map(|set| set.kind) {
        Some(Kind::Textured) => {
            let made::Textured {
                partners, labels, ..
            } = textured(split)?;
            (partners, Some(labels))
        }
        Some(Kind::Outline | Kind::Sides) => {
            let survey = sides::side(&locate(name)?, split, Side::B, &|_, _, _| {})?;
            (survey.read(&Reading::new(View::whole()))?.0.a, None)
        }
        _ => return Ok(None),
    };
    let partners = bring(partners, &Reading::new(view))?;
    Ok(Some(Truth { partners, labels }))
}

/// Some pictures of a side as a run sees them without chance, `[n, c, h, w]` in [−1, 1].
///
/// # Errors
/// Those of reading; a size that pictures cannot be brought to.
pub fn seen(
    data: &Data,
    which: impl Iterator<Item = usize>,
    view: View,
    ask: Ask<'_>,
) -> Result<Tensor> {
    let mut blocks = batch(data, which, &view.still(), &[ask.what])?.into_iter();
    match blocks.next() {
        Some(Block::Pictures { values, dims }) => {
            Ok(Tensor::from_vec(values, &dims[..], &Device::Cpu)?)
        }
        _ => bail!("{} is no picture", ask.role),
    }
}

/// Some pictures of one side as they are held, `[n, c, h, w]` in [−1, 1], and their classes where they have
/// some.
///
/// # Errors
/// Those of reading; pictures of different sizes.
pub fn held(
    set: &Arc<dyn Pictures>,
    which: impl Iterator<Item = usize>,
) -> Result<(Tensor, Option<Vec<u32>>)> {
    let which: Vec<usize> = which.collect();
    let data = Data::one(set.clone());
    let tensor = seen(&data, which.iter().copied(), View::whole(), pictures("x"))?;
    let labels = which.iter().map(|&i| set.label(i)).collect();
    let labels: Option<Vec<u32>> = labels;
    Ok((tensor, labels.filter(|_| set.info().classes.is_some())))
}
