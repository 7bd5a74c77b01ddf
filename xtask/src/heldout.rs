//! Held-out pictures for a generator that takes pictures: what its grids show, and its last translations.

use crate::dataset::{self, How};
use crate::job::Job;
use crate::translation::{Translation, bicubic, each, strips};
use anyhow::Result;
use candle_core::{Device, Tensor};
use gan_core::data::{Data, Small, Split, pictures};
use gan_core::{DataInfo, FileError, Learns, Port, Probe, Sampler, Side, View};
use std::path::{Path, PathBuf};

/// Pictures in the grids of a run.
const SHOWN: usize = 8;
/// Pictures translated at its end, at most.
const LAST: usize = 64;
/// Strips beside each other then.
const ACROSS: usize = 4;
/// The longest side of pictures that are shown whole beside what is made of them: 64 strips of four such pictures are
/// one of 4096x4096.
const WHOLE: usize = 256;

/// What stands beside what a generator makes of pictures, where there is any.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// The same pictures enlarged by the bicubic filter.
    pub plain: Option<Tensor>,
    /// What they should become.
    pub truth: Option<Tensor>,
}

/// How held-out pictures are seen: as in training but for chance. A paper that enlarges is shown whole ones where all
/// have one size that can be looked at.
fn seen(learns: &Learns, info: &DataInfo) -> View {
    let alike = info.smallest.is_none() && info.height.max(info.width) <= WHOLE;
    match learns.enlarges {
        Some(scale) if alike => View::multiples(scale),
        _ => learns.view.still(),
    }
}

/// A data set's test part; its training part where it has none.
#[derive(Debug)]
pub struct HeldOut {
    data: Data,
    /// How they are seen.
    view: View,
    /// Channels of the pictures that the network is made for.
    channels: usize,
    /// Whether the pictures are held out.
    pub is_held_out: bool,
    /// What was done to the pictures, or why they are not held out: a sentence each.
    pub notes: Vec<String>,
}

impl HeldOut {
    /// The test part of a job's data, with this training part.
    ///
    /// # Errors
    /// A data set without one; pictures in it that cannot be read.
    pub fn open(job: &Job<'_>, train: &Data) -> Result<Self> {
        let learns = job.learns;
        let how = How {
            small: match (learns.enlarges, job.settings.small) {
                // An enlarged picture has no low partner.
                (Some(_), Small::Skip) => Small::Skip,
                _ => Small::Enlarge,
            },
            ..How::default()
        };
        let quiet = |_: &str, _: usize, _: usize| {};
        let looked = dataset::look(&job.settings.data, Split::Test, Some(learns), &quiet)?;
        let view = seen(&learns, &looked.info());
        let (data, notes) = looked.read(view, &how, &quiet)?;
        let notes = notes.iter().map(|note| format!("held out: {note}"));
        Ok(Self {
            channels: train.a.info().channels,
            data,
            view,
            is_held_out: true,
            notes: notes.collect(),
        })
    }

    /// The same; the training part, said so, where the data set has no test part.
    ///
    /// # Errors
    /// A test part that cannot be read.
    pub fn or_training(job: &Job<'_>, train: &Data) -> Result<Self> {
        match Self::open(job, train) {
            Err(error) if is_missing(&error) => Ok(Self {
                channels: train.a.info().channels,
                data: train.clone(),
                view: job.learns.view,
                is_held_out: false,
                notes: vec![format!(
                    "grids show training pictures, no held-out ones: {error}"
                )],
            }),
            opened => opened,
        }
    }

    /// Whether each picture has its true partner in the other side.
    pub fn paired(&self) -> bool {
        self.data.paired
    }

    /// Pictures of a side.
    pub fn len(&self, side: Side) -> usize {
        self.data.side(side).map_or(0, |set| set.info().len)
    }

    /// Up to `n` pictures of a side as the run sees them, `scale` times smaller, spread evenly over it. Of a
    /// pair both sides give the same.
    ///
    /// # Errors
    /// Those of reading.
    pub fn pictures(&self, side: Side, n: usize, scale: usize) -> Result<Tensor> {
        let which = which(self.len(side), n);
        let ask = match scale {
            1 => pictures("held out").of(side),
            _ => pictures("held out").of(side).shrunk(scale),
        };
        let pictures = dataset::seen(&self.data, which, self.view, ask)?;
        // The held-out part may be grey where the other has colours.
        match pictures.dim(1)? < self.channels {
            true => Ok(pictures.repeat((1, self.channels, 1, 1))?),
            false => Ok(pictures),
        }
    }

    /// What pictures of this side should become, where that is known: their partners, or they themselves in
    /// full size.
    ///
    /// # Errors
    /// Those of reading.
    pub fn truth(&self, port: &Port, side: Side, n: usize) -> Result<Option<Tensor>> {
        Ok(match (self.paired(), port.scale) {
            (true, 1) => Some(self.pictures(side.other(), n, 1)?),
            (_, 1) => None,
            _ => Some(self.pictures(side, n, 1)?),
        })
    }

    /// What the grids of a run show, and what stands beside what becomes of it.
    ///
    /// # Errors
    /// Those of reading.
    pub fn shown(&self, port: &Port, device: &Device) -> Result<(Probe, Beside)> {
        let fewest = port.sides.iter().map(|&side| self.len(side)).min();
        let n = fewest.unwrap_or(0).min(SHOWN);
        let mut probe = Probe::default();
        let mut beside = Beside::default();
        for &side in port.sides {
            let given = self.pictures(side, n, port.scale)?;
            if port.scale > 1 {
                beside.plain = Some(bicubic(&given, port.scale)?.to_device(device)?);
            }
            probe = probe.with(side, given.to_device(device)?);
        }
        if let [side] = port.sides {
            let truth = self.truth(port, *side, n)?;
            beside.truth = truth.map(|truth| truth.to_device(device)).transpose()?;
        }
        Ok((probe, beside))
    }

    /// Writes strips of up to 64 held-out pictures: `held-out.png`, or one file a direction. Gives their
    /// paths.
    ///
    /// # Errors
    /// Those of reading, of the generator and of writing.
    pub fn write(
        &self,
        sampler: &dyn Sampler,
        port: &Port,
        dir: &Path,
        seed: u64,
        device: &Device,
    ) -> Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for &side in port.sides {
            let name = match (port.both_ways(), side) {
                (false, _) => "held-out.png",
                (true, Side::A) => "held-out-a2b.png",
                (true, Side::B) => "held-out-b2a.png",
            };
            let input = self.pictures(side, LAST, port.scale)?;
            let Translation { translated, cycled } = each(sampler, &input, side, seed, device)?;
            let plain = match port.scale {
                1 => None,
                scale => Some(bicubic(&input, scale)?),
            };
            let mut columns = vec![input];
            columns.extend(plain);
            columns.push(translated);
            columns.extend(cycled);
            if !port.both_ways() {
                columns.extend(self.truth(port, side, LAST)?);
            }
            let path = dir.join(name);
            let png = strips(&columns, ACROSS)?.png()?;
            std::fs::write(&path, png).map_err(|e| FileError::writing(&path, &e))?;
            paths.push(path);
        }
        Ok(paths)
    }
}

/// Whether an error says that there is nothing, and not that something is wrong with what there is.
fn is_missing(error: &anyhow::Error) -> bool {
    let file = error.downcast_ref::<FileError>();
    file.is_some_and(|error| error.problem.starts_with("holds no "))
}

/// Up to `n` of `len` numbers, spread evenly.
pub fn which(len: usize, n: usize) -> impl Iterator<Item = usize> {
    let n = n.min(len);
    (0..n).map(move |i| i * len / n)
}
