//! Counter-based randomness: every draw is a pure function of (seed, role, iteration, index).
//!
//! A key is SHA-256 of those four; the words are ChaCha8's under that key. Each value takes a fixed
//! number of words, so that a worker can start at its own slice. Draws are made on the host and
//! copied, so that a CPU and a GPU see the same noise.

use crate::draws::Draws;
use candle_core::{Device, Result, Tensor, bail};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// What a stream of random numbers is for.
#[derive(Clone, Copy, Debug)]
pub struct Key([u8; 32]);

impl Key {
    /// The `index`-th use of `role` in iteration `t` of the run with this `seed`.
    pub fn new(seed: u64, role: &str, t: u64, index: u64) -> Self {
        let mut hash = Sha256::new();
        for word in [seed, t, index] {
            hash.update(word.to_le_bytes());
        }
        hash.update(role.as_bytes());
        Self(hash.finalize().into())
    }

    fn words(self, from: u128) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::from_seed(self.0);
        rng.set_word_pos(from);
        rng
    }
}

/// `n` values from [0, 1), the first of them the `from`-th of the stream; multiples of 2⁻²⁴, one word each.
pub fn uniforms(key: Key, from: usize, n: usize) -> Vec<f32> {
    let mut words = key.words(from as u128);
    let (mut values, mut block) = (Vec::with_capacity(n), [0; 1024]);
    while values.len() < n {
        words.fill_bytes(&mut block);
        let (block, _) = block.as_chunks::<4>();
        let left = n - values.len();
        let unit = |word: &[u8; 4]| (u32::from_le_bytes(*word) >> 8) as f32 / (1u32 << 24) as f32;
        values.extend(block.iter().take(left).map(unit));
    }
    values
}

/// `n` values from N(0, 1), the first of them the `from`-th of the stream.
///
/// Box–Muller in f64: two words give two values, so a value takes one word and |value| < 6.8.
pub fn normals(key: Key, from: usize, n: usize) -> Vec<f32> {
    const UNIT: f64 = 1. / (1u64 << 32) as f64;
    let mut words = key.words((from - from % 2) as u128);
    let mut values = Vec::with_capacity(n + 2);
    while values.len() < n + from % 2 {
        let u = (f64::from(words.next_u32()) + 0.5) * UNIT;
        let v = f64::from(words.next_u32()) * UNIT;
        let radius = (-2. * u.ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * v).sin_cos();
        values.push((radius * cos) as f32);
        values.push((radius * sin) as f32);
    }
    values.drain(..from % 2);
    values.truncate(n);
    values
}

/// The first `n` whole numbers from [0, below) of the stream, as [`choices_from`].
pub fn choices(key: Key, n: usize, below: usize) -> Vec<usize> {
    choices_from(key, 0, n, below)
}

/// `n` whole numbers from [0, below), the first of them the `from`-th of the stream; two words each. Their
/// frequencies differ by less than 2⁻³² of one another.
pub fn choices_from(key: Key, from: usize, n: usize, below: usize) -> Vec<usize> {
    let mut words = key.words(2 * from as u128);
    (0..n).map(|_| choice(&mut words, below)).collect()
}

/// A random order of 0..n (Fisher–Yates).
pub fn permutation(key: Key, n: usize) -> Vec<usize> {
    let mut words = key.words(0);
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        order.swap(i, choice(&mut words, i + 1));
    }
    order
}

fn choice(words: &mut ChaCha8Rng, below: usize) -> usize {
    ((u128::from(words.next_u64()) * below as u128) >> 64) as usize
}

/// One of several workers that share each batch equally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worker {
    index: usize,
    count: usize,
}

impl Worker {
    /// The only one.
    pub const ALONE: Self = Self { index: 0, count: 1 };

    /// Worker `index`, from 0, of `count`.
    ///
    /// # Errors
    /// An index that is not below the count.
    pub fn new(index: usize, count: usize) -> Result<Self> {
        match index < count {
            true => Ok(Self { index, count }),
            false => bail!("worker {index} of {count}: workers are numbered from 0"),
        }
    }

    /// Its part of a batch.
    ///
    /// # Errors
    /// A batch that cannot be shared equally.
    pub fn share(self, batch: usize) -> Result<usize> {
        match batch.is_multiple_of(self.count) {
            true => Ok(batch / self.count),
            false => bail!(
                "a batch of {batch} cannot be shared equally by {} workers",
                self.count
            ),
        }
    }

    /// How many all workers take when each takes `share`.
    pub fn all(self, share: usize) -> usize {
        share * self.count
    }

    /// Where its part begins when each takes `share`.
    pub fn start(self, share: usize) -> usize {
        share * self.index
    }
}

/// The run's random numbers: counts how often each role was drawn in the current iteration.
#[derive(Debug)]
pub struct CounterRng {
    seed: u64,
    worker: Worker,
    t: u64,
    uses: HashMap<String, u64>,
    device: Device,
}

impl CounterRng {
    /// The generator of the run with this seed; its tensors are made on `device`.
    pub fn new(seed: u64, device: &Device) -> Self {
        Self::shared(seed, device, Worker::ALONE)
    }

    /// One worker's part of the run's random numbers.
    pub fn shared(seed: u64, device: &Device, worker: Worker) -> Self {
        Self {
            seed,
            worker,
            t: 0,
            uses: HashMap::new(),
            device: device.clone(),
        }
    }

    /// Starts iteration `t`: the counts of uses begin at zero.
    pub fn begin(&mut self, t: u64) {
        self.t = t;
        self.uses.clear();
    }

    fn key(&mut self, role: &str) -> Key {
        let uses = self.uses.entry(role.to_string()).or_insert(0);
        let key = Key::new(self.seed, role, self.t, *uses);
        *uses += 1;
        key
    }

    /// The next tensor of a role: its key, where this worker's values begin, and how many they are.
    fn place(&mut self, role: &str, shape: &[usize]) -> (Key, usize, usize) {
        let n = shape.iter().product();
        (self.key(role), self.worker.start(n), n)
    }
}

impl Draws for CounterRng {
    fn normal(&mut self, role: &str, shape: &[usize]) -> Result<Tensor> {
        let (key, from, n) = self.place(role, shape);
        Tensor::from_vec(normals(key, from, n), shape, &self.device)
    }

    fn uniform(&mut self, role: &str, shape: &[usize]) -> Result<Tensor> {
        let (key, from, n) = self.place(role, shape);
        Tensor::from_vec(uniforms(key, from, n), shape, &self.device)
    }

    fn mask(&mut self, role: &str, p: f64, shape: &[usize]) -> Result<Tensor> {
        let (key, from, n) = self.place(role, shape);
        let mut keep = uniforms(key, from, n);
        for u in &mut keep {
            *u = if f64::from(*u) < p { 0. } else { 1. };
        }
        Tensor::from_vec(keep, shape, &self.device)
    }

    fn choices(&mut self, role: &str, n: usize, below: usize) -> Result<Vec<usize>> {
        if below == 0 {
            bail!("{role}: a choice among none");
        }
        let (key, from, n) = self.place(role, &[n]);
        Ok(choices_from(key, from, n, below))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_of_a_stream_is_the_stream_from_there() {
        let key = Key::new(7, "z", 3, 0);
        for from in [0, 1, 2, 5, 16, 17] {
            assert_eq!(normals(key, from, 9), normals(key, 0, 40)[from..from + 9]);
            assert_eq!(uniforms(key, from, 9), uniforms(key, 0, 40)[from..from + 9]);
        }
    }

    #[test]
    fn every_part_of_the_key_matters() {
        let base = uniforms(Key::new(1, "z", 2, 3), 0, 8);
        for key in [
            Key::new(2, "z", 2, 3),
            Key::new(1, "eps", 2, 3),
            Key::new(1, "z", 3, 3),
            Key::new(1, "z", 2, 4),
        ] {
            assert_ne!(base, uniforms(key, 0, 8));
        }
    }

    #[test]
    fn moments_are_those_of_the_law() {
        let n = 200_000;
        let z = normals(Key::new(1, "z", 0, 0), 0, n);
        let moment = |k: i32| z.iter().map(|&x| f64::from(x).powi(k)).sum::<f64>() / n as f64;
        // Standard errors are √(1/n), √(2/n), √(15/n), √(96/n): five of each.
        for (k, want, variance) in [(1, 0., 1.), (2, 1., 2.), (3, 0., 15.), (4, 3., 96.)] {
            let error = (moment(k) - want).abs();
            assert!(
                error < 5. * (variance / n as f64).sqrt(),
                "moment {k}: off by {error}"
            );
        }
        let u = uniforms(Key::new(1, "u", 0, 0), 0, n);
        let mean = u.iter().map(|&x| f64::from(x)).sum::<f64>() / n as f64;
        assert!((mean - 0.5).abs() < 5. * (1. / 12. / n as f64).sqrt());
        assert!(u.iter().all(|u| (0. ..1.).contains(u)));
    }

    #[test]
    fn a_permutation_holds_each_index_once_and_choices_stay_below() {
        let mut order = permutation(Key::new(1, "order", 0, 0), 1000);
        assert_ne!(order[..10], (0..10).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<_>>());
        let picks = choices(Key::new(1, "slot", 0, 0), 3000, 3);
        for k in 0..3 {
            let count = picks.iter().filter(|&&p| p == k).count();
            assert!((850..1150).contains(&count), "{k} was chosen {count} times");
        }
    }

    #[test]
    fn uses_count_within_an_iteration() -> Result<()> {
        let mut rng = CounterRng::new(5, &Device::Cpu);
        let draw = |rng: &mut CounterRng| rng.normal("z", &[4])?.to_vec1::<f32>();
        rng.begin(1);
        let (a, b) = (draw(&mut rng)?, draw(&mut rng)?);
        assert_ne!(a, b);
        rng.begin(1);
        assert_eq!(a, draw(&mut rng)?);
        rng.begin(2);
        assert_ne!(a, draw(&mut rng)?);
        Ok(())
    }
}
