//! The order in which a run sees its pictures, prepared ahead on a thread of its own.
//!
//! The order is a permutation per epoch, drawn from the seed; batches run across the border of an
//! epoch. The position is one count, so that a checkpoint holds it and the thread cannot change it.

use super::{DataInfo, Pictures, fit};
use crate::FileError;
use crate::rng::{self, Key};
use crate::source::Range;
use candle_core::bail;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

/// Batches that the thread keeps ready.
const AHEAD: usize = 2;

/// What a batch looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Pictures.
    pub b: usize,
    /// Height wanted, where it differs from the data's; the width follows in proportion.
    pub res: Option<usize>,
    /// Range of values.
    pub range: Range,
}

impl Shape {
    /// Height and width of the pictures of a data set in this shape.
    fn size(&self, info: &DataInfo) -> Result<(usize, usize), String> {
        match self.res {
            None => Ok((info.height, info.width)),
            Some(res) => fit::size(info, res),
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
        shape.size(info).map_err(candle_core::Error::msg)?;
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
                let order = (0..shape.b as u64).map(|k| order.at(cursor + k));
                let batch = batch(&*pictures, order, shape);
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

/// The pictures of these numbers, as a run with this shape sees them; `shape.b` does not matter.
///
/// # Errors
/// A size that pictures cannot be brought to; those of reading.
pub fn batch(
    pictures: &dyn Pictures,
    which: impl Iterator<Item = usize>,
    shape: Shape,
) -> Result<Batch, FileError> {
    let info = pictures.info();
    let (h, w) = shape.size(info).map_err(fit::wrong)?;
    let mut bytes = Vec::with_capacity(shape.b * info.pixels());
    let mut labels = info.classes.is_some().then(|| Vec::with_capacity(shape.b));
    let mut b = 0;
    for i in which {
        pictures.read(i, &mut bytes)?;
        if let (Some(labels), Some(label)) = (&mut labels, pictures.label(i)) {
            labels.push(label);
        }
        b += 1;
    }
    let scale = |x: f32| match shape.range {
        Range::Signed => x / 127.5 - 1.,
        Range::Unit => x / 255.,
    };
    let values = if (h, w) == (info.height, info.width) {
        bytes.iter().map(|&x| scale(f32::from(x))).collect()
    } else {
        let mut values = Vec::with_capacity(b * info.channels * h * w);
        for plane in bytes.chunks_exact(info.height * info.width) {
            let plane: Vec<f32> = plane.iter().map(|&x| f32::from(x)).collect();
            let plane = fit::plane(&plane, (info.height, info.width), (h, w));
            values.extend(plane.into_iter().map(scale));
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
            res: None,
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
                res: Some(1),
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
            res: Some(3),
            ..shape(1)
        });
        assert_eq!(other.expect("a batch").dims, [1, 1, 3, 6]);
        assert!(
            feed.next(Shape {
                res: Some(0),
                ..shape(1)
            })
            .is_err()
        );
    }
}
