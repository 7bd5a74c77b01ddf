//! Held-out pictures for a paper that learns from two sides: what its grids show, and its last translations.

use crate::dataset;
use crate::settings::Settings;
use crate::translate::{self, Translation, strips};
use anyhow::Result;
use candle_core::{Device, Tensor};
use gan_core::data::{Data, Pictures, Split};
use gan_core::rng::CounterRng;
use gan_core::{FileError, Probe, Sampler, Side, Takes, Task};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Pictures in the grids of a run.
const SHOWN: usize = 8;
/// Pictures translated at its end, at most.
const LAST: usize = 64;
/// Strips beside each other then.
const ACROSS: usize = 4;

/// Both sides of a data set's test part; of its training part where it has none.
#[derive(Debug)]
pub struct HeldOut {
    a: Arc<dyn Pictures>,
    b: Arc<dyn Pictures>,
    paired: bool,
    /// The side that a generator of one direction takes.
    input: Side,
    /// Side of the squares that the network is made for.
    size: usize,
    /// And their channels.
    channels: usize,
    /// Why the pictures are not held out, if they are not.
    pub note: Option<String>,
}

impl HeldOut {
    /// The held-out pictures of a run with these settings and this training part; nothing for one set.
    pub fn open(settings: &Settings, task: Task, train: &Data) -> Option<Self> {
        let (data, note) = match dataset::open_for(&settings.data, Split::Test, Some(task)) {
            Ok((data, _)) => (data, None),
            Err(error) => {
                let note = format!("grids show training pictures, there are no others: {error}");
                (train.clone(), Some(note))
            }
        };
        let (a, b, paired) = match data {
            Data::Paired { a, b } => (a, b, true),
            Data::Unpaired { a, b } => (a, b, false),
            Data::Images(_) => return None,
        };
        let of = |key: &str| settings.config.get(key);
        let size = of("size").and_then(|size| usize::try_from(size.as_u64()?).ok());
        let direction = of("direction").and_then(|direction| direction.as_str());
        Some(Self {
            size: size.unwrap_or(train.info().height),
            channels: train.info().channels,
            input: match direction {
                Some(direction) if direction.starts_with('b') => Side::B,
                _ => Side::A,
            },
            a,
            b,
            paired,
            note,
        })
    }

    /// Whether each picture has its true partner.
    pub fn paired(&self) -> bool {
        self.paired
    }

    /// The side that a generator of one direction takes.
    pub fn input(&self) -> Side {
        self.input
    }

    /// Pictures of a side.
    pub fn len(&self, side: Side) -> usize {
        self.side(side).info().len
    }

    fn side(&self, side: Side) -> &dyn Pictures {
        match side {
            Side::A => &*self.a,
            Side::B => &*self.b,
        }
    }

    /// Up to `n` pictures of a side as `[n, c, size, size]`, spread evenly over it. Of a pair both sides
    /// give the same.
    ///
    /// # Errors
    /// Those of reading.
    pub fn pictures(&self, side: Side, n: usize) -> Result<Tensor> {
        let pictures = spread(self.side(side), n, self.size)?;
        // The held-out part may be grey where the other has colours.
        match pictures.dim(1)? < self.channels {
            true => Ok(pictures.repeat((1, self.channels, 1, 1))?),
            false => Ok(pictures),
        }
    }

    /// What the grids of a run show, and the true partners.
    ///
    /// # Errors
    /// Those of reading.
    pub fn shown(&self, takes: &Takes, device: &Device) -> Result<(Probe, Option<Tensor>)> {
        let pictures = |side, n| Ok::<_, anyhow::Error>(self.pictures(side, n)?.to_device(device)?);
        let fewest = self.a.info().len.min(self.b.info().len).min(SHOWN);
        Ok(match takes {
            Takes::Sides { .. } => {
                let (x, y) = (pictures(Side::A, fewest)?, pictures(Side::B, fewest)?);
                (Probe::Sides { x, y }, None)
            }
            _ => {
                let probe = Probe::Image(pictures(self.input, SHOWN)?);
                let truth = self.paired.then(|| pictures(other(self.input), SHOWN));
                (probe, truth.transpose()?)
            }
        })
    }

    /// Writes strips of up to 64 held-out pictures: `held-out.png`, or one file a direction. Gives their
    /// paths.
    ///
    /// # Errors
    /// Those of reading, of the generator and of writing.
    pub fn write(
        &self,
        sampler: &dyn Sampler,
        dir: &Path,
        seed: u64,
        device: &Device,
    ) -> Result<Vec<PathBuf>> {
        let ways: &[(Side, &str)] = match sampler.takes() {
            Takes::Sides { .. } => &[(Side::A, "held-out-a2b.png"), (Side::B, "held-out-b2a.png")],
            _ => &[(self.input, "held-out.png")],
        };
        let mut paths = Vec::new();
        for (side, name) in ways {
            let input = self.pictures(*side, LAST)?;
            let Translation { translated, cycled } = all(sampler, &input, *side, seed, device)?;
            let mut columns = vec![input, translated];
            columns.extend(cycled);
            if self.paired && matches!(sampler.takes(), Takes::Image { .. }) {
                columns.push(self.pictures(other(*side), LAST)?);
            }
            let path = dir.join(name);
            let png = strips(&columns, ACROSS)?.png()?;
            std::fs::write(&path, png).map_err(|e| FileError::writing(&path, &e))?;
            paths.push(path);
        }
        Ok(paths)
    }
}

/// The side that is not this one.
pub fn other(side: Side) -> Side {
    match side {
        Side::A => Side::B,
        Side::B => Side::A,
    }
}

/// Up to `n` pictures of a set as `[n, c, size, size]`, spread evenly over it.
///
/// # Errors
/// Those of reading.
pub fn spread(set: &dyn Pictures, n: usize, size: usize) -> Result<Tensor> {
    dataset::squares(set, which(set.info().len, n), size)
}

/// Up to `n` of `len` numbers, spread evenly.
pub fn which(len: usize, n: usize) -> impl Iterator<Item = usize> {
    let n = n.min(len);
    (0..n).map(move |i| i * len / n)
}

/// Translates `[n, c, h, w]` picture by picture, as a network with statistics of the batch is used; the
/// i-th picture's randomness depends on the seed and i alone. On the CPU whatever the device.
///
/// # Errors
/// Those of the generator.
pub fn all(
    sampler: &dyn Sampler,
    pictures: &Tensor,
    side: Side,
    seed: u64,
    device: &Device,
) -> Result<Translation> {
    let mut draws = CounterRng::new(seed, device);
    let (mut translated, mut cycled) = (Vec::new(), Vec::new());
    for i in 0..pictures.dim(0)? {
        draws.begin(i as u64);
        let one = pictures.narrow(0, i, 1)?.to_device(device)?;
        let made = translate::translate(sampler, &one, side, &mut draws)?;
        translated.push(made.translated.to_device(&Device::Cpu)?);
        if let Some(back) = made.cycled {
            cycled.push(back.to_device(&Device::Cpu)?);
        }
    }
    Ok(Translation {
        translated: Tensor::cat(&translated, 0)?,
        cycled: match cycled.is_empty() {
            true => None,
            false => Some(Tensor::cat(&cycled, 0)?),
        },
    })
}
