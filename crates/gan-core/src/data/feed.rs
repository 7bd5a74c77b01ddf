//! The order in which a run sees its pictures, prepared ahead on a thread of its own.
//!
//! The order is a permutation per epoch, drawn from the seed; batches run across the border of an
//! epoch. The position is one count, so that a checkpoint holds it and the thread cannot change it; what
//! is done to a picture at random depends on its position alone.

use super::{DataInfo, Pictures, fit};
use crate::FileError;
use crate::rng::{self, Key};
use crate::source::{Jitter, Range};
use candle_core::bail;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

/// Batches that the thread keeps ready.
const AHEAD: usize = 2;

/// How pictures are brought to the size that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// They are not.
    Whole,
    /// To this height; the width follows in proportion.
    Height(usize),
    /// A square is cut out: at random by a [`Feed`], from the middle of the picture's shorter side by [`batch`].
    Square {
        /// Its side.
        size: usize,
        /// What a [`Feed`] does at random.
        jitter: Jitter,
    },
}

/// What a batch looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Pictures.
    pub b: usize,
    /// How pictures are brought to the size asked for.
    pub fit: Fit,
    /// Range of values.
    pub range: Range,
}

impl Shape {
    /// Height and width that the pictures of a data set are resized to, and those of the part that is kept.
    fn sizes(&self, info: &DataInfo, random: bool) -> Result<[(usize, usize); 2], String> {
        let resized = match self.fit {
            Fit::Whole => (info.height, info.width),
            Fit::Height(height) => fit::size(info, height)?,
            Fit::Square { size, jitter } => {
                if size > jitter.load {
                    return Err(format!(
                        "a square of {size} cannot be cut from pictures that are loaded at {}",
                        jitter.load
                    ));
                }
                let load = if random { jitter.load } else { size };
                return Ok([fit::shorter(info, load)?, (size, size)]);
            }
        };
        Ok([resized, resized])
    }
}

/// Where a square is cut, in parts of the room there is, and whether the picture is mirrored.
#[derive(Clone, Copy)]
struct Cut {
    y: f32,
    x: f32,
    mirror: bool,
}

impl Cut {
    const MIDDLE: Self = Self {
        y: 0.5,
        x: 0.5,
        mirror: false,
    };

    /// The choices for the picture at this position of the run.
    fn at(seed: u64, role: &str, position: u64, fit: Fit) -> Self {
        let Fit::Square { jitter, .. } = fit else {
            return Self::MIDDLE;
        };
        let key = Key::new(seed, &format!("{role}.jitter"), position, 0);
        match rng::uniforms(key, 0, 3)[..] {
            [y, x, coin] => Self {
                y,
                x,
                mirror: jitter.flip && coin < 0.5,
            },
            _ => Self::MIDDLE,
        }
    }

    /// The part of a plane of `from` = (h, w) that is kept.
    fn apply(&self, plane: &[f32], from: (usize, usize), to: (usize, usize)) -> Vec<f32> {
        let start = |from: usize, to: usize, at: f32| {
            let room = from.saturating_sub(to);
            ((at * (room + 1) as f32) as usize).min(room)
        };
        let (top, left) = (start(from.0, to.0, self.y), start(from.1, to.1, self.x));
        let rows = plane.chunks_exact(from.1).skip(top).take(to.0);
        let rows = rows.map(|row| row.iter().copied().skip(left).take(to.1));
        match self.mirror {
            false => rows.flatten().collect(),
            true => rows
                .flat_map(|row| row.collect::<Vec<_>>().into_iter().rev())
                .collect(),
        }
    }
}

/// One batch, as plain vectors.
#[derive(Debug)]
pub struct Batch {
    /// Values in the range asked for.
    pub values: Vec<f32>,
    /// `[b, c, h, w]`
    pub dims: [usize; 4],
    /// One a picture, where the set has labels.
    pub labels: Option<Vec<u32>>,
}

/// A position in a data set and the thread that reads on from there.
#[derive(Debug)]
pub struct Feed {
    pictures: Arc<dyn Pictures>,
    seed: u64,
    role: &'static str,
    cursor: u64,
    running: Option<(Shape, Receiver<Result<Batch, FileError>>)>,
}

impl Feed {
    /// Starts at the first epoch; `role` keeps the orders of two feeds of one run apart.
    pub fn new(pictures: Arc<dyn Pictures>, seed: u64, role: &'static str) -> Self {
        Self {
            pictures,
            seed,
            role,
            cursor: 0,
            running: None,
        }
    }

    /// Pictures in the set.
    pub fn len(&self) -> usize {
        self.pictures.info().len
    }

    /// Never: a set has a picture at least.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Pictures handed out since the start of the run.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Continues after `cursor` pictures.
    pub fn seek(&mut self, cursor: u64) {
        self.cursor = cursor;
        self.running = None;
    }

    /// The next batch.
    pub fn next(&mut self, shape: Shape) -> candle_core::Result<Batch> {
        let info = self.pictures.info();
        if shape.b == 0 {
            bail!("a batch of no pictures was asked for")
        }
        shape.sizes(info, true).map_err(candle_core::Error::msg)?;
        let batches = match self.running.take() {
            Some((running, batches)) if running == shape => batches,
            _ => self.start(shape),
        };
        let Ok(batch) = batches.recv() else {
            bail!("the thread that reads pictures has ended")
        };
        let batch = batch?;
        self.cursor += shape.b as u64;
        self.running = Some((shape, batches));
        Ok(batch)
    }

    fn start(&self, shape: Shape) -> Receiver<Result<Batch, FileError>> {
        let (send, receive) = sync_channel(AHEAD);
        let (pictures, seed, role) = (self.pictures.clone(), self.seed, self.role);
        let mut cursor = self.cursor;
        std::thread::spawn(move || {
            let mut order = Order::new(seed, role, pictures.info().len);
            loop {
                let positions = cursor..cursor + shape.b as u64;
                let order = positions.map(|at| (order.at(at), Cut::at(seed, role, at, shape.fit)));
                let batch = assemble(&*pictures, order, shape, true);
                let failed = batch.is_err();
                // The channel closes when the feed is dropped or seeks elsewhere.
                if send.send(batch).is_err() || failed {
                    return;
                }
                cursor += shape.b as u64;
            }
        });
        receive
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
    fn at(&mut self, position: u64) -> usize {
        let (epoch, i) = (position / self.len as u64, position % self.len as u64);
        if self.epoch != Some(epoch) {
            self.permutation = rng::permutation(Key::new(self.seed, self.role, epoch, 0), self.len);
            self.epoch = Some(epoch);
        }
        self.permutation.get(i as usize).copied().unwrap_or(0)
    }
}

/// The pictures of these numbers, as a run with this shape sees them but for what it does at random;
/// `shape.b` does not matter.
///
/// # Errors
/// A size that pictures cannot be brought to; those of reading.
pub fn batch(
    pictures: &dyn Pictures,
    which: impl Iterator<Item = usize>,
    shape: Shape,
) -> Result<Batch, FileError> {
    assemble(pictures, which.map(|i| (i, Cut::MIDDLE)), shape, false)
}

fn assemble(
    pictures: &dyn Pictures,
    which: impl Iterator<Item = (usize, Cut)>,
    shape: Shape,
    random: bool,
) -> Result<Batch, FileError> {
    let info = pictures.info();
    let whole = (info.height, info.width);
    let [resized, kept] = shape.sizes(info, random).map_err(fit::wrong)?;
    let mut cuts = Vec::with_capacity(shape.b);
    let mut bytes = Vec::with_capacity(shape.b * info.pixels());
    let mut labels = info.classes.is_some().then(|| Vec::with_capacity(shape.b));
    for (i, cut) in which {
        pictures.read(i, &mut bytes)?;
        if let (Some(labels), Some(label)) = (&mut labels, pictures.label(i)) {
            labels.push(label);
        }
        cuts.push(cut);
    }
    let (b, (h, w)) = (cuts.len(), kept);
    let scale = |x: f32| match shape.range {
        Range::Signed => x / 127.5 - 1.,
        Range::Unit => x / 255.,
    };
    let still = cuts.iter().all(|cut| !cut.mirror);
    let values = if still && resized == whole && kept == whole {
        bytes.iter().map(|&x| scale(f32::from(x))).collect()
    } else {
        let mut values = Vec::with_capacity(b * info.channels * h * w);
        let planes = bytes.chunks_exact(info.height * info.width);
        let cuts = cuts
            .iter()
            .flat_map(|cut| std::iter::repeat_n(cut, info.channels));
        for (plane, cut) in planes.zip(cuts) {
            let plane: Vec<f32> = plane.iter().map(|&x| f32::from(x)).collect();
            let plane = fit::plane(&plane, whole, resized);
            values.extend(cut.apply(&plane, resized, kept).into_iter().map(scale));
        }
        values
    };
    Ok(Batch {
        values,
        dims: [b, info.channels, h, w],
        labels,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{DataInfo, InMemory};
    use super::*;

    fn feed(seed: u64) -> Feed {
        let info = DataInfo {
            channels: 1,
            height: 2,
            width: 4,
            classes: Some(10),
            len: 10,
        };
        let bytes = (0..80).map(|i| (i / 8 * 8 + i % 8) as u8).collect();
        let set = InMemory::new(info, bytes, Some((0..10).collect())).expect("a set");
        Feed::new(Arc::new(set), seed, "order")
    }

    fn shape(b: usize) -> Shape {
        Shape {
            b,
            fit: Fit::Whole,
            range: Range::Unit,
        }
    }

    fn labels(feed: &mut Feed, b: usize) -> Vec<u32> {
        feed.next(shape(b))
            .expect("a batch")
            .labels
            .expect("labels")
    }

    #[test]
    fn an_epoch_holds_each_picture_once_and_the_next_has_another_order() {
        let mut feed = feed(1);
        let all: Vec<u32> = (0..5).flat_map(|_| labels(&mut feed, 4)).collect();
        let (mut first, mut second) = (all[..10].to_vec(), all[10..].to_vec());
        assert_ne!(first, second);
        first.sort_unstable();
        second.sort_unstable();
        assert_eq!(first, (0..10).collect::<Vec<_>>());
        assert_eq!(second, first);
    }

    #[test]
    fn the_order_depends_on_the_seed_alone_and_not_on_batches_or_restarts() {
        let (mut whole, mut parts, mut other) = (feed(1), feed(1), feed(2));
        let want = labels(&mut whole, 12);
        let mut got = labels(&mut parts, 3);
        got.extend(labels(&mut parts, 4));
        let cursor = parts.cursor();
        let mut parts = feed(1);
        parts.seek(cursor);
        got.extend(labels(&mut parts, 5));
        assert_eq!(got, want);
        assert_ne!(labels(&mut other, 12), want);
    }

    #[test]
    fn ranges_and_averages() {
        let mut feed = feed(1);
        let unit = feed.next(shape(1)).expect("a batch");
        feed.seek(0);
        let signed = feed
            .next(Shape {
                range: Range::Signed,
                ..shape(1)
            })
            .expect("a batch");
        for (u, s) in unit.values.iter().zip(&signed.values) {
            assert!((u * 2. - 1. - s).abs() < 1e-6);
        }
        feed.seek(0);
        let half = feed
            .next(Shape {
                fit: Fit::Height(1),
                ..shape(1)
            })
            .expect("a batch");
        assert_eq!(half.dims, [1, 1, 1, 2]);
        let mean = |i: usize| {
            let v = &unit.values;
            (v[i] + v[i + 1] + v[i + 4] + v[i + 5]) / 4.
        };
        assert!((half.values[0] - mean(0)).abs() < 1e-6);
        assert!((half.values[1] - mean(2)).abs() < 1e-6);
        let other = feed.next(Shape {
            fit: Fit::Height(3),
            ..shape(1)
        });
        assert_eq!(other.expect("a batch").dims, [1, 1, 3, 6]);
        assert!(
            feed.next(Shape {
                fit: Fit::Height(0),
                ..shape(1)
            })
            .is_err()
        );
    }
    /// Squares: from the middle without a run, at random in one, the same in both of a pair, and the same
    /// whatever the batches and wherever the run went on.
    #[test]
    fn crops_and_flips_depend_on_the_position_alone() {
        let square = |size, load, flip| Shape {
            b: 5,
            fit: Fit::Square {
                size,
                jitter: Jitter { load, flip },
            },
            range: Range::Unit,
        };
        let set = feed(1).pictures;
        let middle = batch(&*set, [3].into_iter(), square(2, 2, true)).expect("a picture");
        assert_eq!(middle.dims, [1, 1, 2, 2]);
        let want = [25, 26, 29, 30].map(|x| x as f32 / 255.);
        assert_eq!(middle.values, want);

        let jitter = square(2, 3, true);
        let values = |feed: &mut Feed, b| feed.next(Shape { b, ..jitter }).expect("a batch").values;
        let (mut whole, mut parts, mut pair) = (feed(1), feed(1), feed(1));
        let all = values(&mut whole, 25);
        assert_eq!(values(&mut pair, 25), all);
        let mut got = values(&mut parts, 7);
        let cursor = parts.cursor();
        let mut parts = feed(1);
        parts.seek(cursor);
        got.extend(values(&mut parts, 18));
        assert_eq!(got, all);
        // Values rise to the right in every picture of the set; in a mirrored one they fall.
        let mirrored = all.chunks_exact(4).filter(|p| p[1] < p[0]).count();
        assert!((5..20).contains(&mirrored), "{mirrored} of 25 are mirrored");
        let mut plain = feed(1);
        let plain = plain
            .next(Shape {
                b: 25,
                ..square(2, 3, false)
            })
            .expect("a batch")
            .values;
        assert!(plain.chunks_exact(4).all(|p| p[1] > p[0]));
        let error = feed(1)
            .next(square(3, 2, false))
            .expect_err("too large a square");
        assert!(error.to_string().contains("loaded at 2"), "{error}");
    }
}
