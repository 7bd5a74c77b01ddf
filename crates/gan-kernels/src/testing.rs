//! Helpers of the unit tests: reproducible numbers, and finite differences of both orders.

use crate::mode;
use crate::simd::{Level, best};
use candle_core::{Device, Result, Tensor, Var};

/// A generator of reproducible numbers (splitmix64).
pub(crate) struct Rng(pub u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e3779b97f4a7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d049bb133111eb);
        z ^ (z >> 31)
    }
    /// Uniform in -1 to 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
    /// One of `from ..= to`.
    pub(crate) fn between(&mut self, from: usize, to: usize) -> usize {
        from + (self.next() % (to - from + 1) as u64) as usize
    }
    pub(crate) fn f32s(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.unit() as f32).collect()
    }
    /// A float64 tensor.
    pub(crate) fn tensor(&mut self, dims: &[usize]) -> Result<Tensor> {
        let n = dims.iter().product();
        let v: Vec<f64> = (0..n).map(|_| self.unit()).collect();
        Tensor::from_vec(v, dims, &Device::Cpu)
    }
}

/// The levels that this processor offers.
pub(crate) fn levels() -> impl Iterator<Item = Level> {
    [Level::Portable, Level::Avx2, Level::Avx512]
        .into_iter()
        .filter(|&l| l <= best())
}

pub(crate) fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// The largest difference, relative to the largest number of `b`.
pub(crate) fn error(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let scale = b.iter().fold(1e-30f64, |m, x| m.max(x.abs()));
    let diff = a.iter().zip(b).fold(0f64, |m, (a, b)| m.max((a - b).abs()));
    assert!(a.iter().all(|x| x.is_finite()));
    diff / scale
}

pub(crate) fn numbers(t: &Tensor) -> Result<Vec<f64>> {
    t.to_dtype(candle_core::DType::F64)?
        .flatten_all()?
        .to_vec1()
}

type Function<'a> = &'a dyn Fn(&[Tensor]) -> Result<Tensor>;

fn variables(inputs: &[Tensor]) -> Result<Vec<Tensor>> {
    inputs
        .iter()
        .map(|t| Ok(Var::from_tensor(t)?.as_tensor().clone()))
        .collect()
}

/// Gradients of the scalar `f(inputs)` against central differences; returns the largest error.
fn compare(inputs: &[Tensor], f: Function<'_>) -> Result<f64> {
    let vars = variables(inputs)?;
    let grads = f(&vars)?.backward()?;
    let mut worst = 0f64;
    for (i, input) in inputs.iter().enumerate() {
        let exact = match grads.get(&vars[i]) {
            Some(g) => numbers(g)?,
            None => vec![0.0; input.elem_count()],
        };
        let base = numbers(input)?;
        let step = 1e-5;
        let mut slopes = Vec::new();
        for j in 0..base.len() {
            let value = |d: f64| -> Result<f64> {
                let mut moved = base.clone();
                moved[j] += d;
                let mut all = inputs.to_vec();
                all[i] = Tensor::from_vec(moved, input.dims(), &Device::Cpu)?;
                f(&variables(&all)?)?.to_scalar::<f64>()
            };
            slopes.push((value(step)? - value(-step)?) / (2.0 * step));
        }
        worst = worst.max(error(&exact, &slopes));
    }
    Ok(worst)
}

/// First order: the gradient of `sum(c f(inputs))` for a random c.
pub(crate) fn first_order(inputs: &[Tensor], f: Function<'_>) -> Result<f64> {
    compare(inputs, &|v| {
        let y = f(v)?;
        let c = Rng(7).tensor(y.dims())?;
        (y * c)?.sum_all()
    })
}

/// Second order, as a gradient penalty takes it: the gradient of `sum(c2 g g)`, where g is the
/// gradient of `sum(c f(inputs)^2)` with respect to the first input.
pub(crate) fn second_order(inputs: &[Tensor], f: Function<'_>) -> Result<f64> {
    compare(inputs, &|v| {
        let y = f(v)?;
        let c = Rng(7).tensor(y.dims())?;
        let grads = mode::penalty(|| (y.sqr()? * c)?.sum_all()?.backward())?;
        let Some(g) = grads.get(&v[0]) else {
            candle_core::bail!("no gradient of the input")
        };
        let c2 = Rng(8).tensor(g.dims())?;
        (g.sqr()? * c2)?.sum_all()
    })
}
