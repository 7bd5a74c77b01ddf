//! The live source: a data set in an order drawn anew for each epoch, and the run's random numbers.

use crate::data::{Ask, Block, Data, Request, Running, Side, View, What};
use crate::draws::Draws;
use crate::rng::{CounterRng, Worker};
use crate::source::Source;
use crate::state::{StateReader, StateWriter, Stateful};
use candle_core::{Device, Result, Tensor, bail};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A data set in an order drawn anew for each epoch, and the run's random numbers.
///
/// Sides that are asked for in one batch share one order; the position of each side is counted, and
/// sides that were asked for apart cannot be asked for together afterwards.
#[derive(Debug)]
pub struct LiveSource {
    rng: CounterRng,
    seed: u64,
    device: Device,
    data: Data,
    worker: Worker,
    cursors: [u64; 2],
    running: Vec<Running>,
    waited: Duration,
    shown: Arc<AtomicU64>,
}

/// The side's place among the cursors.
fn place(side: Side) -> usize {
    match side {
        Side::A => 0,
        Side::B => 1,
    }
}

impl LiveSource {
    /// Batches on `device`, orders and draws from `seed`.
    pub fn new(data: &Data, seed: u64, device: &Device) -> Self {
        Self::shared(data, seed, device, Worker::ALONE)
    }

    /// The part of one of several workers, whose parts put together are what one worker gets.
    pub fn shared(data: &Data, seed: u64, device: &Device, worker: Worker) -> Self {
        Self {
            rng: CounterRng::shared(seed, device, worker),
            seed,
            device: device.clone(),
            data: data.clone(),
            worker,
            cursors: [0; 2],
            running: Vec::new(),
            waited: Duration::ZERO,
            shown: Arc::default(),
        }
    }

    /// Counts the pictures that were asked for so far, of all workers; a pair counts once. It counts this process's
    /// only, and is no part of the state.
    pub fn shown(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.shown)
    }

    /// The sides of these asks, and the role of the order in which they are seen: that of all sides has no
    /// letter.
    fn stream(&self, asks: &[Ask<'_>]) -> Result<(Vec<Side>, &'static str)> {
        let all: &[Side] = match self.data.b {
            None => &[Side::A],
            Some(_) => &[Side::A, Side::B],
        };
        if let Some(ask) = asks.iter().find(|ask| !all.contains(&ask.what.side())) {
            bail!(
                "{} is asked for of side {}, the data set has one side",
                ask.role,
                ask.what.side().letter()
            )
        }
        let asked = |side: &&Side| asks.iter().any(|ask| ask.what.side() == **side);
        let sides: Vec<Side> = all.iter().filter(asked).copied().collect();
        let role = match sides[..] {
            _ if sides.len() == all.len() => "order",
            [Side::A] => "order.a",
            _ => "order.b",
        };
        if sides.len() == 2 && !self.data.paired {
            bail!(
                "pictures of both sides are asked for together, but those of the data set have no partners"
            )
        }
        if asks.iter().any(|ask| ask.what == What::Labels) && self.data.a.info().classes.is_none() {
            bail!("labels are asked for, the data set has none")
        }
        Ok((sides, role))
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

    fn batch(&mut self, b: usize, view: &View, asks: &[Ask<'_>]) -> Result<Vec<Tensor>> {
        let (sides, role) = self.stream(asks)?;
        let Some(from) = sides.first().map(|&side| self.cursors[place(side)]) else {
            bail!("a batch without a tensor was asked for")
        };
        if sides.iter().any(|&side| self.cursors[place(side)] != from) {
            bail!("both sides are asked for together after they were asked for apart")
        }
        let request = Request {
            role,
            seed: self.seed,
            b,
            worker: self.worker,
            view: *view,
            asks: asks.iter().map(|ask| ask.what).collect(),
        };
        // The thread that reads ahead goes on where the next batch is what it expects.
        let known = self
            .running
            .iter()
            .position(|running| running.is(&request, from));
        let mut running = match known {
            Some(i) => self.running.swap_remove(i),
            None => {
                self.running.retain(|running| running.role() != role);
                Running::start(&self.data, request, from)?
            }
        };
        let start = Instant::now();
        let blocks = running.batch()?;
        self.waited += start.elapsed();
        self.running.push(running);
        let all = self.worker.all(b) as u64;
        self.shown.fetch_add(all, Ordering::Relaxed);
        for side in sides {
            self.cursors[place(side)] = from + all;
        }
        blocks
            .into_iter()
            .map(|block| match block {
                Block::Pictures { values, dims } => {
                    Tensor::from_vec(values, &dims[..], &self.device)
                }
                Block::Labels(labels) => Tensor::from_vec(labels, b, &self.device),
            })
            .collect()
    }

    fn share(&self, batch: usize) -> Result<usize> {
        self.worker.share(batch)
    }

    fn waited(&self) -> Duration {
        self.waited
    }
}

impl Stateful for LiveSource {
    fn save(&self, to: &mut StateWriter<'_>) -> Result<()> {
        let [a, b] = self.cursors;
        to.count("cursor.a", a)?;
        match &self.data.b {
            Some(_) => to.count("cursor.b", b),
            None => Ok(()),
        }
    }

    fn load(&mut self, from: &mut StateReader<'_>) -> Result<()> {
        self.cursors = [from.count("cursor.a")?, 0];
        if self.data.b.is_some() {
            self.cursors = [self.cursors[0], from.count("cursor.b")?];
        }
        self.running.clear();
        Ok(())
    }
}
