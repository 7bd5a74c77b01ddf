//! Where batches and randomness come from: live (a data set and a counter-based generator), or recorded.

use crate::data::{Data, Feed, Pictures, Shape as Form};
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
    /// Pictures `[b, c, h, w]` of one side of an unpaired set.
    One {
        /// The side.
        side: Side,
        /// Batch size.
        b: usize,
        /// Range of values.
        range: Range,
    },
}

/// A data set in an order drawn anew for each epoch, and the run's random numbers.
#[derive(Debug)]
pub struct LiveSource {
    rng: CounterRng,
    device: Device,
    a: Feed,
    b: Option<Feed>,
}

impl LiveSource {
    /// Batches on `device`, orders and draws from `seed`.
    pub fn new(data: &Data, seed: u64, device: &Device) -> Self {
        let feed = |pictures: &Arc<dyn Pictures>, role| Feed::new(pictures.clone(), seed, role);
        let (a, b) = match data {
            Data::Images(pictures) => (feed(pictures, "order"), None),
            Data::Unpaired { a, b } => (feed(a, "order.a"), Some(feed(b, "order.b"))),
        };
        Self {
            rng: CounterRng::new(seed, device),
            device: device.clone(),
            a,
            b,
        }
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
        let (feed, b, res, range, labelled) = match want {
            Want::Images { b, res, range } => (&mut self.a, b, res, range, false),
            Want::Labelled { b, range } => (&mut self.a, b, None, range, true),
            Want::One { side, b, range } => match (side, &mut self.b) {
                (Side::A, Some(_)) => (&mut self.a, b, None, range, false),
                (Side::B, Some(feed)) => (feed, b, None, range, false),
                (_, None) => bail!("this paper wants an unpaired data set, this one has one side"),
            },
        };
        let batch = feed.next(Form { b, res, range })?;
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
