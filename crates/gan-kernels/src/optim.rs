//! Adam, RMSProp and SGD as one pass over a parameter, its gradient and its state, in place.
//!
//! The formulas are PyTorch's. The functions over slices are the kernels; [`Adam`], [`RmsProp`]
//! and [`Sgd`] hold the state of one parameter and update a [`Var`] in its own storage, so that
//! every tensor that shares it sees the change. Drop graphs that read a parameter before it is
//! updated: they would see the new value.
//!
//! State is F32 on the CPU; on other devices and for other dtypes the same formulas are composed
//! from candle's ops.

use crate::par::{self, SendPtr};

use crate::simd::{self, Isa};
use crate::sweep::CHUNK;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, DType, InplaceOp2, Layout, Result, Tensor, Var, bail};
use std::cell::RefCell;

/// Adam's settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamConfig {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the root, after the correction of its bias.
    pub eps: f64,
    /// L2 penalty: this many times the parameter is added to the gradient before the moments see it.
    pub weight_decay: f64,
}

impl Default for AdamConfig {
    /// The values of the paper.
    fn default() -> Self {
        Self {
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.,
        }
    }
}

/// RMSProp's settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsPropConfig {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the mean of squared gradients.
    pub alpha: f64,
    /// Added to the root.
    pub eps: f64,
}

/// The settings of stochastic gradient descent with momentum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdConfig {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the velocity; 0 for plain gradient descent.
    pub momentum: f64,
}

/// Adam's factors in one step.
#[derive(Clone, Copy)]
struct AdamFactors {
    beta1: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
    /// lr / (1 - beta1^t)
    rate: f32,
    /// 1 / √(1 - beta2^t)
    root: f32,
    eps: f32,
    decay: f32,
}

impl AdamConfig {
    fn corrections(&self, step: u64) -> (f64, f64) {
        let power = |beta: f64| beta.powf(step as f64);
        (
            self.lr / (1.0 - power(self.beta1)),
            1.0 / (1.0 - power(self.beta2)).sqrt(),
        )
    }

    fn factors(&self, step: u64) -> AdamFactors {
        let (rate, root) = self.corrections(step);
        AdamFactors {
            beta1: self.beta1 as f32,
            rest1: (1.0 - self.beta1) as f32,
            beta2: self.beta2 as f32,
            rest2: (1.0 - self.beta2) as f32,
            rate: rate as f32,
            root: root as f32,
            eps: self.eps as f32,
            decay: self.weight_decay as f32,
        }
    }
}

#[inline(always)]
fn adam_body<I: Isa>(p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], by: AdamFactors) {
    for (((p, g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
        let g = I::madd(by.decay, *p, *g); // exactly g without decay
        let mean = I::madd(*m, by.beta1, by.rest1 * g);
        let square = I::madd(*v, by.beta2, by.rest2 * g * g);
        (*m, *v) = (mean, square);
        *p -= by.rate * mean / I::madd(square.sqrt(), by.root, by.eps);
    }
}
simd::dispatch! {
    fn adam_kernel(p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], by: AdamFactors)
        = adam_body;
}

#[inline(always)]
fn rms_prop_body<I: Isa>(p: &mut [f32], g: &[f32], v: &mut [f32], by: [f32; 4]) {
    let [lr, alpha, rest, eps] = by;
    for ((p, g), v) in p.iter_mut().zip(g).zip(v) {
        let square = I::madd(*v, alpha, rest * *g * *g);
        *v = square;
        *p -= lr * *g / (square.sqrt() + eps);
    }
}
simd::dispatch! {
    fn rms_prop_kernel(p: &mut [f32], g: &[f32], v: &mut [f32], by: [f32; 4]) = rms_prop_body;
}

#[inline(always)]
fn sgd_body<I: Isa>(p: &mut [f32], g: &[f32], velocity: &mut [f32], lr: f32, momentum: f32) {
    if velocity.is_empty() {
        for (p, g) in p.iter_mut().zip(g) {
            *p = I::madd(-lr, *g, *p);
        }
        return;
    }
    for ((p, g), v) in p.iter_mut().zip(g).zip(velocity) {
        *v = I::madd(momentum, *v, *g);
        *p = I::madd(-lr, *v, *p);
    }
}
simd::dispatch! {
    fn sgd_kernel(p: &mut [f32], g: &[f32], velocity: &mut [f32], lr: f32, momentum: f32)
        = sgd_body;
}

/// Runs `f` on the same chunk of all slices, in parallel. Slices that are empty stay empty.
fn chunks<const N: usize>(slices: [&mut [f32]; N], f: impl Fn(usize, [&mut [f32]; N]) + Sync) {
    let len = slices[0].len();
    let slices = slices.map(|s| (SendPtr(s.as_mut_ptr()), s.len()));
    par::for_each_sized(len.div_ceil(CHUNK), 8 * len, |i| {
        let start = i * CHUNK;
        let part = slices.each_ref().map(|(base, len)| {
            let (start, end) = (start.min(*len), (start + CHUNK).min(*len));
            // SAFETY: chunk i is `[start, end)` of a slice that is borrowed until all tasks are
            // done; chunks do not overlap, and each index is passed once.
            unsafe { std::slice::from_raw_parts_mut(base.get().add(start), end - start) }
        });
        f(start, part);
    });
}

/// An error unless all lengths are those of the parameter.
fn expect_lengths(op: &str, p: usize, others: &[usize]) -> Result<()> {
    if others.iter().any(|n| *n != p) {
        bail!("{op}: {p} parameters, but {others:?} gradients and state")
    }
    Ok(())
}

/// One step of Adam (Kingma and Ba, 2015), the `step`-th, counted from 1.
///
/// `g ← g + weight_decay p`, `m ← β₁ m + (1 - β₁) g`, `v ← β₂ v + (1 - β₂) g²`,
/// `p ← p - lr / (1 - β₁ᵗ) · m / (√v / √(1 - β₂ᵗ) + eps)`.
/// All slices have one length.
pub fn adam(
    p: &mut [f32],
    g: &[f32],
    m: &mut [f32],
    v: &mut [f32],
    config: &AdamConfig,
    step: u64,
) -> Result<()> {
    expect_lengths("adam", p.len(), &[g.len(), m.len(), v.len()])?;
    if step == 0 {
        bail!("adam: step 0, steps count from 1")
    }
    let (level, by) = (simd::level(), config.factors(step));
    chunks([p, m, v], |start, [p, m, v]| {
        let g = &g[start..start + p.len()];
        adam_kernel(level, p, g, m, v, by);
    });
    Ok(())
}

/// One step of RMSProp (Tieleman and Hinton, 2012): `v ← α v + (1 - α) g²`,
/// `p ← p - lr g / (√v + eps)`. All slices have one length.
pub fn rms_prop(p: &mut [f32], g: &[f32], v: &mut [f32], config: &RmsPropConfig) -> Result<()> {
    expect_lengths("rms_prop", p.len(), &[g.len(), v.len()])?;
    let level = simd::level();
    let by = [config.lr, config.alpha, 1.0 - config.alpha, config.eps].map(|x| x as f32);
    chunks([p, v], |start, [p, v]| {
        let g = &g[start..start + p.len()];
        rms_prop_kernel(level, p, g, v, by);
    });
    Ok(())
}

/// One step of gradient descent with momentum: `v ← momentum v + g`, `p ← p - lr v`.
///
/// With an empty `velocity` the step is plain: `p ← p - lr g`. Else all slices have one length.
pub fn sgd(p: &mut [f32], g: &[f32], velocity: &mut [f32], config: &SgdConfig) -> Result<()> {
    let moving = if velocity.is_empty() {
        p.len()
    } else {
        velocity.len()
    };
    expect_lengths("sgd", p.len(), &[g.len(), moving])?;
    let (level, lr, momentum) = (simd::level(), config.lr as f32, config.momentum as f32);
    chunks([p, velocity], |start, [p, v]| {
        let g = &g[start..start + p.len()];
        sgd_kernel(level, p, g, v, lr, momentum);
    });
    Ok(())
}

/// A number for each element of a parameter, which an optimizer keeps from step to step.
#[derive(Debug)]
enum State {
    /// For an F32 parameter on the CPU.
    Host(Vec<f32>),
    /// For any other.
    Device(Tensor),
}

impl State {
    fn zeros(p: &Var) -> Result<State> {
        Ok(if p.device().is_cpu() && p.dtype() == DType::F32 {
            State::Host(vec![0.0; p.elem_count()])
        } else {
            State::Device(p.zeros_like()?.detach())
        })
    }

    /// As a tensor of the parameter's shape.
    fn tensor(&self, p: &Var) -> Result<Tensor> {
        match self {
            State::Host(v) => Tensor::from_slice(v, p.shape(), p.device()),
            State::Device(t) => Ok(t.clone()),
        }
    }

    fn load(&mut self, name: &str, from: &Tensor, p: &Var) -> Result<()> {
        if from.dims() != p.dims() {
            bail!(
                "{name}: shape {:?} for a parameter {:?}",
                from.dims(),
                p.dims()
            )
        }
        match self {
            State::Host(v) => {
                *v = from.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
            }
            State::Device(t) => {
                *t = from.to_dtype(p.dtype())?.to_device(p.device())?.detach();
            }
        }
        Ok(())
    }
}

/// An error unless `g` can be the gradient of `p`.
fn expect_gradient(op: &str, p: &Var, g: &Tensor) -> Result<()> {
    if p.dims() != g.dims() || p.dtype() != g.dtype() {
        bail!(
            "{op}: gradient {:?} {:?} for a parameter {:?} {:?}",
            g.dtype(),
            g.dims(),
            p.dtype(),
            p.dims()
        )
    }
    Ok(())
}

/// Hands the numbers of parameter and gradient to a function once.
struct Step<'a, F> {
    name: &'static str,
    /// Candle passes `self` as shared; the function changes the optimizer's state.
    f: RefCell<Option<&'a mut F>>,
}

impl<F: FnMut(&mut [f32], &[f32]) -> Result<()>> InplaceOp2 for Step<'_, F> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(
        &self,
        s1: &mut CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<()> {
        let Some(f) = self.f.borrow_mut().take() else {
            return Ok(());
        };
        match (s1, s2, l1.contiguous_offsets(), l2.contiguous_offsets()) {
            (CpuStorage::F32(p), CpuStorage::F32(g), Some((p0, p1)), Some((g0, g1))) => {
                f(&mut p[p0..p1], &g[g0..g1])
            }
            (s1, ..) => bail!(
                "{}: expected contiguous F32 tensors, got {:?} {l1:?} and {l2:?}",
                self.name,
                s1.dtype()
            ),
        }
    }
}

/// Applies `f` to the numbers of a CPU parameter and its gradient.
fn in_place(
    name: &'static str,
    p: &Var,
    g: &Tensor,
    mut f: impl FnMut(&mut [f32], &[f32]) -> Result<()>,
) -> Result<()> {
    let g = g.detach().contiguous()?;
    let step = Step {
        name,
        f: RefCell::new(Some(&mut f)),
    };
    crate::profile::timed(name, &[], || p.inplace_op2(&g, &step))
}

/// Adam for one parameter: the moments and the number of steps taken.
#[derive(Debug)]
pub struct Adam {
    steps: u64,
    exp_avg: State,
    exp_avg_sq: State,
}

impl Adam {
    /// Moments of zero.
    pub fn new(p: &Var) -> Result<Self> {
        Ok(Self {
            steps: 0,
            exp_avg: State::zeros(p)?,
            exp_avg_sq: State::zeros(p)?,
        })
    }

    /// One step ([`adam`]); `g` has the shape and dtype of `p`.
    pub fn step(&mut self, p: &Var, g: &Tensor, config: &AdamConfig) -> Result<()> {
        expect_gradient("adam", p, g)?;
        let step = self.steps + 1;
        match (&mut self.exp_avg, &mut self.exp_avg_sq) {
            (State::Host(m), State::Host(v)) => {
                in_place("adam", p, g, |p, g| adam(p, g, m, v, config, step))?;
            }
            (State::Device(m), State::Device(v)) => {
                let g = match config.weight_decay {
                    0. => g.detach(),
                    decay => (g.detach() + (p.detach() * decay)?)?,
                };
                *m = ((&*m * config.beta1)? + (&g * (1.0 - config.beta1))?)?;
                *v = ((&*v * config.beta2)? + (g.sqr()? * (1.0 - config.beta2))?)?;
                let (rate, root) = config.corrections(step);
                let below = ((v.sqrt()? * root)? + config.eps)?;
                p.set(&(p.detach() - ((&*m / below)? * rate)?)?)?;
            }
            _ => bail!("adam: the two moments lie on different devices"),
        }
        self.steps = step;
        Ok(())
    }

    /// How many steps were taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// PyTorch's `exp_avg` and `exp_avg_sq`, in the parameter's shape.
    pub fn moments(&self, p: &Var) -> Result<[Tensor; 2]> {
        Ok([self.exp_avg.tensor(p)?, self.exp_avg_sq.tensor(p)?])
    }

    /// Goes on from saved moments and a number of steps taken.
    pub fn load(&mut self, p: &Var, moments: [&Tensor; 2], steps: u64) -> Result<()> {
        self.exp_avg.load("exp_avg", moments[0], p)?;
        self.exp_avg_sq.load("exp_avg_sq", moments[1], p)?;
        self.steps = steps;
        Ok(())
    }
}

/// RMSProp for one parameter: the mean of squared gradients.
#[derive(Debug)]
pub struct RmsProp {
    square_avg: State,
}

impl RmsProp {
    /// A mean of zero.
    pub fn new(p: &Var) -> Result<Self> {
        Ok(Self {
            square_avg: State::zeros(p)?,
        })
    }

    /// One step ([`rms_prop`]); `g` has the shape and dtype of `p`.
    pub fn step(&mut self, p: &Var, g: &Tensor, config: &RmsPropConfig) -> Result<()> {
        expect_gradient("rms_prop", p, g)?;
        match &mut self.square_avg {
            State::Host(v) => in_place("rms_prop", p, g, |p, g| rms_prop(p, g, v, config)),
            State::Device(v) => {
                let g = g.detach();
                *v = ((&*v * config.alpha)? + (g.sqr()? * (1.0 - config.alpha))?)?;
                let change = ((g / (v.sqrt()? + config.eps)?)? * config.lr)?;
                p.set(&(p.detach() - change)?)
            }
        }
    }

    /// PyTorch's `square_avg`, in the parameter's shape.
    pub fn square_avg(&self, p: &Var) -> Result<Tensor> {
        self.square_avg.tensor(p)
    }

    /// Goes on from a saved mean.
    pub fn load(&mut self, p: &Var, square_avg: &Tensor) -> Result<()> {
        self.square_avg.load("square_avg", square_avg, p)
    }
}

/// Gradient descent for one parameter: the velocity, from the first step with momentum on.
#[derive(Debug, Default)]
pub struct Sgd {
    velocity: Option<State>,
}

impl Sgd {
    /// No velocity yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One step ([`sgd`]); `g` has the shape and dtype of `p`.
    pub fn step(&mut self, p: &Var, g: &Tensor, config: &SgdConfig) -> Result<()> {
        expect_gradient("sgd", p, g)?;
        let host = p.device().is_cpu() && p.dtype() == DType::F32;
        if config.momentum == 0.0 {
            return if host {
                in_place("sgd", p, g, |p, g| sgd(p, g, &mut [], config))
            } else {
                p.set(&(p.detach() - (g.detach() * config.lr)?)?)
            };
        }
        if self.velocity.is_none() {
            self.velocity = Some(State::zeros(p)?);
        }
        match &mut self.velocity {
            Some(State::Host(v)) => in_place("sgd", p, g, |p, g| sgd(p, g, v, config)),
            Some(State::Device(v)) => {
                *v = ((&*v * config.momentum)? + g.detach())?;
                p.set(&(p.detach() - (&*v * config.lr)?)?)
            }
            None => Ok(()),
        }
    }

    /// PyTorch's `momentum_buffer`, in the parameter's shape, if there was a step with momentum.
    pub fn momentum_buffer(&self, p: &Var) -> Result<Option<Tensor>> {
        self.velocity.as_ref().map(|v| v.tensor(p)).transpose()
    }

    /// Goes on from a saved velocity.
    pub fn load(&mut self, p: &Var, momentum_buffer: &Tensor) -> Result<()> {
        let mut velocity = State::zeros(p)?;
        velocity.load("momentum_buffer", momentum_buffer, p)?;
        self.velocity = Some(velocity);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
