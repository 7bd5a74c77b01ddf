//! The order in which a run sees its pictures, prepared ahead on a thread of its own.
//!
//! The order is a permutation per epoch, drawn from the seed; batches run across the border of an
//! epoch. The position is one count, so that a checkpoint holds it and the thread cannot change it; what
//! is done to a picture at random depends on its position alone.

use super::bicubic;
use super::{Choice, Data, Pictures, Range, Shrink, Side, View, What};
use crate::FileError;
use crate::rng::{self, Key, Worker};
use candle_core::bail;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};

/// Batches that the thread keeps ready.
const AHEAD: usize = 2;

/// One tensor of a batch, as a plain vector.
#[derive(Debug)]
pub enum Block {
    /// Pictures.
    Pictures {
        /// Values in the range asked for.
        values: Vec<f32>,
        /// `[b, c, h, w]`
        dims: [usize; 4],
    },
    /// A class for each picture.
    Labels(Vec<u32>),
}

/// What batches look like, and in which order their pictures come.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Keeps the orders of two streams of one run apart.
    pub role: &'static str,
    /// The run's seed.
    pub seed: u64,
    /// Pictures of this worker.
    pub b: usize,
    /// Which part of each batch it gets.
    pub worker: Worker,
    /// How pictures are cut.
    pub view: View,
    /// The tensors.
    pub asks: Vec<What>,
}

/// A thread that reads on from a position, batch by batch.
#[derive(Debug)]
pub struct Running {
    request: Request,
    at: u64,
    batches: Receiver<Result<Vec<Block>, FileError>>,
}

impl Running {
    /// Starts after `from` pictures of the run.
    ///
    /// # Errors
    /// A batch of no pictures.
    pub fn start(data: &Data, request: Request, from: u64) -> candle_core::Result<Self> {
        if request.b == 0 {
            bail!("a batch of no pictures was asked for")
        }
        let (send, batches) = sync_channel(AHEAD);
        let (data, asked) = (data.clone(), request.clone());
        std::thread::spawn(move || {
            let asked = &asked;
            let mut order = Order::new(asked.seed, asked.role, stream_len(&data, &asked.asks));
            let mut cursor = from;
            loop {
                let start = cursor + asked.worker.start(asked.b) as u64;
                let positions = start..start + asked.b as u64;
                let which = positions.map(|at| {
                    let choice = choice(asked.seed, asked.role, at, &asked.view);
                    Ok((order.at(at)?, choice))
                });
                let batch = assemble(&data, which, &asked.view, &asked.asks);
                let failed = batch.is_err();
                // The channel closes when the source is dropped or goes on elsewhere.
                if send.send(batch).is_err() || failed {
                    return;
                }
                cursor += asked.worker.all(asked.b) as u64;
            }
        });
        Ok(Self {
            request,
            at: from,
            batches,
        })
    }

    /// Whether its next batch is that of this request at this position.
    pub fn is(&self, request: &Request, at: u64) -> bool {
        self.at == at && self.request == *request
    }

    /// The order that it reads in.
    pub fn role(&self) -> &'static str {
        self.request.role
    }

    /// The next batch.
    ///
    /// # Errors
    /// Those of reading; pictures that cannot be cut as asked for.
    pub fn batch(&mut self) -> candle_core::Result<Vec<Block>> {
        let Ok(batch) = self.batches.recv() else {
            bail!("the thread that reads pictures has ended")
        };
        self.at += self.request.worker.all(self.request.b) as u64;
        Ok(batch?)
    }
}

/// Pictures in an epoch of these asks: of a pair, as many on both sides.
fn stream_len(data: &Data, asks: &[What]) -> usize {
    match (asks.first().map(What::side), &data.b) {
        (Some(Side::B), Some(b)) => b.info().len,
        _ => data.a.info().len,
    }
}

/// What is done at random to the picture at this position of the run.
fn choice(seed: u64, role: &str, position: u64, view: &View) -> Choice {
    if !view.is_random() {
        return Choice::MIDDLE;
    }
    let key = Key::new(seed, &format!("{role}.jitter"), position, 0);
    match rng::uniforms(key, 0, 4)[..] {
        [y, x, coin, quarter] => Choice {
            y,
            x,
            mirror: view.flip && coin < 0.5,
            turns: match view.turns() {
                true => (4. * quarter) as u8, // quarter is below 1
                false => 0,
            },
        },
        _ => Choice::MIDDLE,
    }
}

/// The permutation of the epoch that was asked for last.
struct Order {
    seed: u64,
    role: &'static str,
    epoch: Option<u64>,
    len: usize,
    permutation: Vec<usize>,
}

impl Order {
    fn new(seed: u64, role: &'static str, len: usize) -> Self {
        Self {
            seed,
            role,
            epoch: None,
            len,
            permutation: Vec::new(),
        }
    }

    /// The picture at this position of the run.
    fn at(&mut self, position: u64) -> Result<usize, FileError> {
        let len = self.len.max(1) as u64;
        let (epoch, i) = (position / len, position % len);
        if self.epoch != Some(epoch) {
            self.permutation = rng::permutation(Key::new(self.seed, self.role, epoch, 0), self.len);
            self.epoch = Some(epoch);
        }
        let found = self.permutation.get(i as usize).copied();
        found.ok_or_else(|| wrong("holds no pictures".into()))
    }
}

fn wrong(problem: String) -> FileError {
    FileError::new(Path::new("data set"), problem, "choose another size or set")
}

/// The pictures of these numbers as a run sees them, but for what it does at random.
///
/// # Errors
/// Pictures that cannot be cut as the view says; those of reading.
pub fn batch(
    data: &Data,
    which: impl Iterator<Item = usize>,
    view: &View,
    asks: &[What],
) -> Result<Vec<Block>, FileError> {
    assemble(data, which.map(|i| Ok((i, Choice::MIDDLE))), view, asks)
}

/// The one place that makes tensors of pictures, for any combination of asks.
fn assemble(
    data: &Data,
    which: impl Iterator<Item = Result<(usize, Choice), FileError>>,
    view: &View,
    asks: &[What],
) -> Result<Vec<Block>, FileError> {
    let which: Vec<(usize, Choice)> = which.collect::<Result<_, _>>()?;
    asks.iter()
        .map(|what| match *what {
            What::Labels => {
                let labels = which.iter().map(|&(i, _)| data.a.label(i));
                let labels: Option<Vec<u32>> = labels.collect();
                labels
                    .map(Block::Labels)
                    .ok_or_else(|| wrong("has pictures without a label".into()))
            }
            What::Pictures {
                side,
                range,
                shrink,
            } => {
                let set = match (side, &data.b) {
                    (Side::A, _) => &data.a,
                    (Side::B, Some(b)) => b,
                    (Side::B, None) => return Err(wrong("has one side only".into())),
                };
                let step = match side {
                    Side::A => data.low.as_ref().map_or(1, |low| low.scale),
                    Side::B => 1,
                };
                match (side, &data.low, shrink) {
                    (Side::A, Some(low), Some((factor, Shrink::Bicubic)))
                        if factor == low.scale =>
                    {
                        let view = view.smaller(factor).map_err(wrong)?;
                        pictures(&*low.pictures, &which, (&view, 1), range, None)
                    }
                    _ => pictures(&**set, &which, (view, step), range, shrink),
                }
            }
        })
        .collect()
}

/// Pictures of a set, cut as a view says at multiples of so many pixels.
fn pictures(
    set: &dyn Pictures,
    which: &[(usize, Choice)],
    (view, step): (&View, usize),
    range: Range,
    shrink: Option<(usize, Shrink)>,
) -> Result<Block, FileError> {
    let channels = set.info().channels;
    let mut seen: Option<(usize, usize)> = None;
    let (mut bytes, mut values) = (Vec::new(), Vec::new());
    let scale = |x: f32| match range {
        Range::Signed => x / 127.5 - 1.,
        Range::Unit => x / 255.,
    };
    for &(i, choice) in which {
        let part = view.cut_at(set.size(i), choice, step).map_err(wrong)?;
        let (h, w) = (part.height, part.width);
        bytes.clear();
        set.read(i, part, &mut bytes)?;
        if choice.mirror {
            bytes.chunks_exact_mut(w).for_each(<[u8]>::reverse);
        }
        if choice.turns > 0 {
            let planes = bytes.chunks_exact(h * w);
            let planes = planes.map(|plane| turned(plane, w, choice.turns));
            bytes = planes.collect::<Vec<_>>().concat();
        }
        let (h, w) = match shrink {
            None => {
                values.extend(bytes.iter().map(|&x| scale(f32::from(x))));
                (h, w)
            }
            Some((factor, how)) => {
                if factor == 0 || !h.is_multiple_of(factor) || !w.is_multiple_of(factor) {
                    return Err(wrong(format!(
                        "has pictures of {h}x{w}, which cannot be made {factor} times smaller"
                    )));
                }
                for plane in bytes.chunks_exact(h * w) {
                    let plane = match how {
                        Shrink::Mean => mean(plane, w, factor),
                        Shrink::Bicubic => bicubic::shrunk(plane, (h, w), factor),
                    };
                    values.extend(plane.into_iter().map(scale));
                }
                (h / factor, w / factor)
            }
        };
        match seen {
            Some(first) if first != (h, w) => {
                return Err(wrong(format!(
                    "has pictures of {h}x{w} and of {}x{}; squares of one size were not asked for",
                    first.0, first.1
                )));
            }
            _ => seen = Some((h, w)),
        }
    }
    let (h, w) = seen.unwrap_or_default();
    Ok(Block::Pictures {
        values,
        dims: [which.len(), channels, h, w],
    })
}

/// A square plane of this width after so many quarter turns to the right.
fn turned(plane: &[u8], side: usize, turns: u8) -> Vec<u8> {
    (0..turns).fold(plane.to_vec(), |plane, _| {
        // What was the last row is the first column.
        let columns = (0..side).map(|x| plane.iter().skip(x).step_by(side).rev());
        columns.flatten().copied().collect()
    })
}

/// The mean of each square of pixels, in [0, 255].
fn mean(plane: &[u8], w: usize, factor: usize) -> Vec<f32> {
    let share = (factor * factor) as f32;
    let rows = plane.chunks_exact(w * factor);
    rows.flat_map(|rows| {
        let mut sums = vec![0u32; w / factor];
        for row in rows.chunks_exact(w) {
            for (sum, pixels) in sums.iter_mut().zip(row.chunks_exact(factor)) {
                *sum += pixels.iter().map(|&x| u32::from(x)).sum::<u32>();
            }
        }
        sums.into_iter().map(move |sum| sum as f32 / share)
    })
    .collect()
}

#[cfg(test)]
mod tests;
