//! Where batches and randomness come from: live (a data set and a counter-based generator), or recorded.

use crate::data::{Data, Feed, Fit, Pictures, Shape as Form};
use crate::rng::CounterRng;
use crate::state::{StateReader, StateWriter, Stateful};
use candle_core::{Device, Result, Tensor, bail};
use std::sync::Arc;

/// Randomness by role. A recorded source checks roles and shapes against its file.
pub trait Draws {
    /// Values from N(0, 1).
    fn normal(&mut self, role: &str, shape: &[usize]) -> Result<Tensor>;
    /// Values from U[0, 1).
    fn uniform(&mut self, role: &str, shape: &[usize]) -> Result<Tensor>;
    /// A dropout mask: 0 with probability `p`, else 1; not scaled.
    fn mask(&mut self, role: &str, p: f64, shape: &[usize]) -> Result<Tensor>;
    /// `n` whole numbers from [0, below).
    fn choices(&mut self, role: &str, n: usize, below: usize) -> Result<Vec<usize>>;
}

/// Batches and randomness of a run; its state is the position in the data.
pub trait Source: Draws + Stateful {
    /// Starts iteration `t`.
    fn begin(&mut self, t: u64);
    /// The next batch; `roles` name its tensors in order, as the reference names them.
    fn batch(&mut self, roles: &[&str], want: Want) -> Result<Vec<Tensor>>;
}

/// The range of a picture's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// [−1, 1]
    Signed,
    /// [0, 1]
    Unit,
}

/// Which part of an unpaired data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The domain X.
    A,
    /// The domain Y.
    B,
}

/// How a run sees pictures that it crops: resized to `load`, of which a square is cut at random.
///
/// The choices are a pure function of the run's seed and the picture's running number, so that a run
/// that goes on makes the same ones. Pictures of a pair are treated alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jitter {
    /// The shorter side after resizing, at least the side of the square; where it is equal, a square
    /// picture is not cropped.
    pub load: usize,
    /// Whether every other picture, at random, is mirrored left to right.
    pub flip: bool,
}

impl Jitter {
    /// Resized to `size`, nothing at random.
    pub fn none(size: usize) -> Self {
        Self {
            load: size,
            flip: false,
        }
    }
}

/// What a step asks for.
#[derive(Clone, Copy, Debug)]
pub enum Want {
    /// Pictures `[b, c, h, w]`; with `res`, brought to that height.
    Images {
        /// Batch size.
        b: usize,
        /// Height wanted; the width follows in proportion. The mean of squares of pixels where the data's
        /// height is a multiple of it, else a triangle filter.
        res: Option<usize>,
        /// Range of values.
        range: Range,
    },
    /// Pictures `[b, c, h, w]` and their labels `[b]` (u32).
    Labelled {
        /// Batch size.
        b: usize,
        /// Range of values.
        range: Range,
    },
    /// Pictures `[b, c, size, size]` of one side of an unpaired set.
    One {
        /// The side.
        side: Side,
        /// Batch size.
        b: usize,
        /// Side of the square that is cut from each picture.
        size: usize,
        /// Range of values.
        range: Range,
        /// What is done to each picture at random.
        jitter: Jitter,
    },
    /// Two tensors of pictures `[b, c, size, size]`: a side and, picture by picture, what belongs to it.
    Pairs {
        /// Batch size.
        b: usize,
        /// Side of the square that is cut from each picture.
        size: usize,
        /// Range of values.
        range: Range,
        /// What is done to each pair at random: the same to both of its pictures.
        jitter: Jitter,
    },
}

/// A data set in an order drawn anew for each epoch, and the run's random numbers.
#[derive(Debug)]
pub struct LiveSource {
    rng: CounterRng,
    device: Device,
    a: Feed,
    b: Option<Feed>,
    paired: bool,
}

impl LiveSource {
    /// Batches on `device`, orders and draws from `seed`.
    pub fn new(data: &Data, seed: u64, device: &Device) -> Self {
        let feed = |pictures: &Arc<dyn Pictures>, role| Feed::new(pictures.clone(), seed, role);
        let (a, b) = match data {
            Data::Images(pictures) => (feed(pictures, "order"), None),
            Data::Unpaired { a, b } => (feed(a, "order.a"), Some(feed(b, "order.b"))),
            // One role for both: as many pictures in one order, with the same choices for each pair.
            Data::Paired { a, b } => (feed(a, "order"), Some(feed(b, "order"))),
        };
        Self {
            rng: CounterRng::new(seed, device),
            device: device.clone(),
            a,
            b,
            paired: matches!(data, Data::Paired { .. }),
        }
    }

    /// Both pictures of each pair.
    fn pairs(&mut self, form: Form) -> Result<Vec<Tensor>> {
        let Some(second) = self.b.as_mut().filter(|_| self.paired) else {
            bail!("this paper wants pairs of pictures, the data set has none")
        };
        let (a, b) = (self.a.len(), second.len());
        if a != b {
            bail!("{a} pictures cannot be paired with {b}")
        }
        [&mut self.a, second]
            .into_iter()
            .map(|feed| {
                let batch = feed.next(form)?;
                Tensor::from_vec(batch.values, &batch.dims[..], &self.device)
            })
            .collect()
    }
}

impl Draws for LiveSource {
    fn normal(&mut self, role: &str, shape: &[usize]) -> Result<Tensor> {
        self.rng.normal(role, shape)
    }

    fn uniform(&mut self, role: &str, shape: &[usize]) -> Result<Tensor> {
        self.rng.uniform(role, shape)
    }

    fn mask(&mut self, role: &str, p: f64, shape: &[usize]) -> Result<Tensor> {
        self.rng.mask(role, p, shape)
    }

    fn choices(&mut self, role: &str, n: usize, below: usize) -> Result<Vec<usize>> {
        self.rng.choices(role, n, below)
    }
}

impl Source for LiveSource {
    fn begin(&mut self, t: u64) {
        self.rng.begin(t);
    }

    fn batch(&mut self, _: &[&str], want: Want) -> Result<Vec<Tensor>> {
        let (feed, b, fit, range, labelled) = match want {
            Want::Images { b, res, range } => {
                let fit = res.map_or(Fit::Whole, Fit::Height);
                (&mut self.a, b, fit, range, false)
            }
            Want::Labelled { b, range } => (&mut self.a, b, Fit::Whole, range, true),
            Want::One {
                side,
                b,
                size,
                range,
                jitter,
            } => {
                let fit = Fit::Square { size, jitter };
                match (side, self.b.as_mut().filter(|_| !self.paired)) {
                    (Side::A, Some(_)) => (&mut self.a, b, fit, range, false),
                    (Side::B, Some(feed)) => (feed, b, fit, range, false),
                    (_, None) => {
                        bail!("this paper wants two sets of pictures without a correspondence")
                    }
                }
            }
            Want::Pairs {
                b,
                size,
                range,
                jitter,
            } => {
                let fit = Fit::Square { size, jitter };
                return self.pairs(Form { b, fit, range });
            }
        };
        let batch = feed.next(Form { b, fit, range })?;
        let mut tensors = vec![Tensor::from_vec(
            batch.values,
            &batch.dims[..],
            &self.device,
        )?];
        if labelled {
            let Some(labels) = batch.labels else {
                bail!("this paper wants labels, the data set has none")
            };
            tensors.push(Tensor::from_vec(labels, b, &self.device)?);
        }
        Ok(tensors)
    }
}

impl Stateful for LiveSource {
    fn save(&self, to: &mut StateWriter<'_>) -> Result<()> {
        to.count("cursor.a", self.a.cursor())?;
        match &self.b {
            Some(b) => to.count("cursor.b", b.cursor()),
            None => Ok(()),
        }
    }

    fn load(&mut self, from: &mut StateReader<'_>) -> Result<()> {
        self.a.seek(from.count("cursor.a")?);
        if let Some(b) = &mut self.b {
            b.seek(from.count("cursor.b")?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DataInfo, InMemory};
    use std::collections::{BTreeMap, BTreeSet};

    /// Sets whose second pictures are the first ones with every value 100 higher.
    fn sides(len_b: usize) -> [Arc<InMemory>; 2] {
        [(6, 0), (len_b, 100)].map(|(len, tint)| {
            let info = DataInfo {
                channels: 1,
                height: 4,
                width: 5,
                classes: None,
                len,
            };
            let bytes = (0..len * 20).map(|i| (i % 120 + tint) as u8).collect();
            Arc::new(InMemory::new(info, bytes, None).expect("a set"))
        })
    }

    fn want(b: usize) -> Want {
        Want::Pairs {
            b,
            size: 3,
            range: Range::Unit,
            jitter: Jitter {
                load: 4,
                flip: true,
            },
        }
    }

    fn paired(len_b: usize) -> LiveSource {
        let [a, b] = sides(len_b);
        LiveSource::new(&Data::Paired { a, b }, 1, &Device::Cpu)
    }

    fn values(source: &mut LiveSource, b: usize) -> Result<[Vec<f32>; 2]> {
        match &source.batch(&["x", "y"], want(b))?[..] {
            [x, y] => Ok([x.flatten_all()?.to_vec1()?, y.flatten_all()?.to_vec1()?]),
            _ => bail!("two tensors were expected"),
        }
    }

    #[test]
    fn both_of_a_pair_are_cut_and_mirrored_alike_also_after_going_on() -> Result<()> {
        let mut source = paired(6);
        values(&mut source, 5)?;
        let mut state = BTreeMap::new();
        source.save(&mut StateWriter::new(&mut state))?;
        let [x, y] = values(&mut source, 20)?;
        for (x, y) in x.iter().zip(&y) {
            assert!((y - x - 100. / 255.).abs() < 1e-6, "{x} and {y}");
        }
        let mirrored = x.chunks_exact(9).filter(|p| p[1] < p[0]).count();
        assert!((3..17).contains(&mirrored), "{mirrored} of 20 are mirrored");
        let mut other = paired(6);
        other.load(&mut StateReader::new(&state, &mut BTreeSet::new()))?;
        assert_eq!(values(&mut other, 20)?, [x, y]);
        Ok(())
    }

    #[test]
    fn data_of_another_kind_are_refused() {
        let said = |source: &mut LiveSource, want| {
            let said = source.batch(&["x", "y"], want).map(drop);
            said.expect_err("another kind of data").to_string()
        };
        let [a, b] = sides(6);
        let mut unpaired = LiveSource::new(&Data::Unpaired { a, b }, 1, &Device::Cpu);
        assert!(said(&mut unpaired, want(2)).contains("wants pairs"));
        assert!(said(&mut paired(5), want(2)).contains("6 pictures cannot be paired with 5"));
        let one = Want::One {
            side: Side::A,
            b: 2,
            size: 3,
            range: Range::Unit,
            jitter: Jitter::none(4),
        };
        assert!(said(&mut paired(6), one).contains("without a correspondence"));
    }
}
