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
                pictures(&**set, &which, view, range, shrink)
            }
        })
        .collect()
}

fn pictures(
    set: &dyn Pictures,
    which: &[(usize, Choice)],
    view: &View,
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
        let part = view.cut(set.size(i), choice).map_err(wrong)?;
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
mod tests {
    use super::super::{DataInfo, Held, labels as asked_labels, pictures as asked};
    use super::*;
    use std::sync::Arc;

    /// Ten pictures of 2x4 whose values rise to the right, labelled by their numbers; a second side 100 higher.
    fn data() -> Data {
        let set = |tint: usize| -> Arc<dyn Pictures> {
            let info = DataInfo::picture(1, 2, 4).labelled(10).of(10);
            let bytes = (0..80).map(|i| (i / 8 * 8 + i % 8 + tint) as u8).collect();
            Arc::new(Held::new(info, bytes, Some((0..10).collect())).expect("a set"))
        };
        Data::paired(set(0), set(100)).expect("pairs")
    }

    fn request(b: usize, view: View, asks: Vec<What>) -> Request {
        Request {
            role: "order",
            seed: 1,
            b,
            worker: Worker::ALONE,
            view,
            asks,
        }
    }

    fn labels(running: &mut Running) -> Vec<u32> {
        match &running.batch().expect("a batch")[..] {
            [Block::Labels(labels)] => labels.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn values(blocks: &[Block], i: usize) -> Vec<f32> {
        match &blocks[i] {
            Block::Pictures { values, .. } => values.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn start(b: usize, seed: u64, from: u64) -> Running {
        let mut request = request(b, View::whole(), vec![asked_labels("y").what]);
        request.seed = seed;
        Running::start(&data(), request, from).expect("a thread")
    }

    #[test]
    fn an_epoch_holds_each_picture_once_and_the_next_has_another_order() {
        let mut running = start(4, 1, 0);
        let all: Vec<u32> = (0..5).flat_map(|_| labels(&mut running)).collect();
        let (mut first, mut second) = (all[..10].to_vec(), all[10..].to_vec());
        assert_ne!(first, second);
        first.sort_unstable();
        second.sort_unstable();
        assert_eq!(first, (0..10).collect::<Vec<_>>());
        assert_eq!(second, first);
    }

    #[test]
    fn the_order_depends_on_the_seed_alone_and_not_on_batches_or_restarts() {
        let want = labels(&mut start(12, 1, 0));
        let mut got = labels(&mut start(3, 1, 0));
        got.extend(labels(&mut start(4, 1, 3)));
        got.extend(labels(&mut start(5, 1, 7)));
        assert_eq!(got, want);
        assert_ne!(labels(&mut start(12, 2, 0)), want);
        // Two workers' parts are one worker's batch.
        let part = |index| {
            let mut request = request(6, View::whole(), vec![asked_labels("y").what]);
            request.worker = Worker::new(index, 2).expect("a worker");
            let mut running = Running::start(&data(), request, 0).expect("a thread");
            (labels(&mut running), labels(&mut running))
        };
        let ((a, next_a), (b, next_b)) = (part(0), part(1));
        assert_eq!([a, b].concat(), want);
        assert_eq!([next_a, next_b].concat(), labels(&mut start(12, 1, 12)));
    }

    #[test]
    fn turns_are_to_the_right() {
        assert_eq!(turned(&[1, 2, 3, 4], 2, 1), [3, 1, 4, 2]);
        assert_eq!(turned(&[1, 2, 3, 4], 2, 2), [4, 3, 2, 1]);
        assert_eq!(turned(&[1, 2, 3, 4], 2, 3), [2, 4, 1, 3]);
        // A low picture is shrunk from the square as it is turned.
        let info = DataInfo::unlabelled(1, 4).of(3);
        let bytes = (0..48).map(|i| (i * i * 7 % 251) as u8).collect();
        let data = Data::one(Arc::new(Held::new(info, bytes, None).expect("a set")));
        let asks = [
            asked("high").unit().what,
            asked("low").unit().shrunk(2).what,
        ];
        let request = request(20, View::square(4).turned(true), asks.to_vec());
        let blocks = Running::start(&data, request, 0).and_then(|mut run| run.batch());
        let blocks = blocks.expect("a batch");
        let (high, low) = (values(&blocks, 0), values(&blocks, 1));
        for (square, low) in high.chunks_exact(16).zip(low.chunks_exact(4)) {
            let bytes: Vec<u8> = square.iter().map(|x| (x * 255.).round() as u8).collect();
            let want = bicubic::shrunk(&bytes, (4, 4), 2);
            let got: Vec<f32> = low.iter().map(|low| (low * 255.).round()).collect();
            assert_eq!(got, want);
        }
    }

    #[test]
    fn ranges_and_averages() {
        let asks = [
            asked("u").unit().what,
            asked("s").what,
            asked("half").unit().averaged(2).what,
            asked("low").unit().shrunk(2).what,
        ];
        let blocks = batch(&data(), [3].into_iter(), &View::whole(), &asks).expect("a batch");
        let [unit, signed, half] = [0, 1, 2].map(|i| values(&blocks, i));
        for (u, s) in unit.iter().zip(&signed) {
            assert!((u * 2. - 1. - s).abs() < 1e-6);
        }
        let mean = |i: usize| (unit[i] + unit[i + 1] + unit[i + 4] + unit[i + 5]) / 4.;
        assert!((half[0] - mean(0)).abs() < 1e-6 && (half[1] - mean(2)).abs() < 1e-6);
        for block in &blocks[2..] {
            assert!(matches!(
                block,
                Block::Pictures {
                    dims: [1, 1, 1, 2],
                    ..
                }
            ));
        }
        for factor in [0, 3] {
            let ask = [asked("x").averaged(factor).what];
            assert!(batch(&data(), [3].into_iter(), &View::whole(), &ask).is_err());
        }
    }

    /// Squares: from the middle without a run, at random in one, the same in all tensors of a batch, and
    /// the same whatever the batches and wherever the run went on.
    #[test]
    fn crops_and_flips_depend_on_the_position_alone() {
        let crop = View::crop(2).flipped(true);
        let x = asked("x").unit().what;
        let middle = batch(&data(), [3].into_iter(), &crop, &[x]).expect("a picture");
        assert_eq!(
            values(&middle, 0),
            [25, 26, 29, 30].map(|x| x as f32 / 255.)
        );

        let y = asked("y").of(Side::B).unit().what;
        let low = asked("low").unit().averaged(2).what;
        let run = |b, from, view| {
            let request = request(b, view, vec![x, y, low]);
            let blocks = Running::start(&data(), request, from).and_then(|mut r| r.batch());
            [0, 1, 2].map(|i| values(blocks.as_ref().expect("a batch"), i))
        };
        let all = run(25, 0, crop);
        let (parts, rest) = (run(7, 0, crop), run(18, 7, crop));
        for i in 0..3 {
            assert_eq!([&parts[i][..], &rest[i][..]].concat(), all[i]);
        }
        for (x, y) in all[0].iter().zip(&all[1]) {
            assert!((y - x - 100. / 255.).abs() < 1e-6, "{x} and {y}");
        }
        for (square, low) in all[0].chunks_exact(4).zip(&all[2]) {
            assert!((square.iter().sum::<f32>() / 4. - low).abs() < 1e-6);
        }
        // Values rise to the right in every picture of the set; in a mirrored one they fall.
        let mirrored = all[0].chunks_exact(4).filter(|p| p[1] < p[0]).count();
        assert!((5..20).contains(&mirrored), "{mirrored} of 25 are mirrored");
        let plain = run(25, 0, View::crop(2));
        assert!(plain[0].chunks_exact(4).all(|p| p[1] > p[0]));
        // Turned, its 25 squares are in all eight positions, the averages are those of the squares as they then are,
        // and what is cut and mirrored is as without turns.
        let turned = run(25, 0, crop.turned(true));
        for (y, x) in turned[1].iter().zip(&turned[0]) {
            assert!((y - x - 100. / 255.).abs() < 1e-6, "{x} and {y}");
        }
        let mut positions = std::collections::BTreeSet::new();
        for (i, square) in turned[0].chunks_exact(4).enumerate() {
            assert!((square.iter().sum::<f32>() / 4. - turned[2][i]).abs() < 1e-6);
            let mut sorted = square.to_vec();
            sorted.sort_by(f32::total_cmp);
            let ranks = square.iter().map(|x| sorted.iter().position(|y| x == y));
            positions.insert(ranks.collect::<Vec<_>>());
            let mut before = all[0][4 * i..4 * i + 4].to_vec();
            before.sort_by(f32::total_cmp);
            assert_eq!(sorted, before);
        }
        assert_eq!(positions.len(), 8, "{positions:?}");
        let error = batch(&data(), [3].into_iter(), &View::crop(3), &[x]).expect_err("too large");
        assert!(error.to_string().contains("a square of 3"), "{error}");
    }
}
