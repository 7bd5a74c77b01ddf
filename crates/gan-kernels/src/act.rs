//! Activations, each one node of the graph with a twice differentiable backward.
//!
//! All work on F32 and F64; F32 tanh, sigmoid and softplus are within 3e-7 of the exact value,
//! relatively (below 1e-37 they flush to about 1e-38 or 0). NaN stays NaN.

use crate::mode::{self, Mode, for_grad, wants_param_grad};
use crate::par;
use crate::real::{
    self, CHUNK, LANES, Map1, Map2, Real, by_dtype, kernel, map1, map2, slice, total,
};
use crate::simd::{self, Isa};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, bail};
use std::mem::MaybeUninit;

/// An activation that norms and affine layers compute in the same node.
///
/// At 0 the derivative is that of the negative side, as in PyTorch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Act {
    /// `x`.
    #[default]
    None,
    /// `max(x, 0)`.
    Relu,
    /// `x` where it is positive, else `slope * x`.
    LeakyRelu(f64),
}

impl Act {
    /// The activation of each element, as a node of its own.
    pub fn apply(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Act::None => Ok(x.clone()),
            Act::Relu => relu(x),
            Act::LeakyRelu(slope) => leaky_relu(x, slope),
        }
    }
}

/// [`Act`] inside a kernel.
pub(crate) trait Activate<T: Real>: Copy + Sync {
    fn value(self, z: T) -> T;
    /// `g` times the derivative at `z`.
    fn chain(self, z: T, g: T) -> T;
}

#[derive(Clone, Copy)]
pub(crate) struct Identity;
#[derive(Clone, Copy)]
pub(crate) struct Relu;
#[derive(Clone, Copy)]
pub(crate) struct Leaky<T>(pub(crate) T);

impl<T: Real> Activate<T> for Identity {
    #[inline(always)]
    fn value(self, z: T) -> T {
        z
    }
    #[inline(always)]
    fn chain(self, _: T, g: T) -> T {
        g
    }
}

impl<T: Real> Activate<T> for Relu {
    #[inline(always)]
    fn value(self, z: T) -> T {
        // The comparison is false for NaN, which so stays.
        if z <= T::ZERO { T::ZERO } else { z }
    }
    #[inline(always)]
    fn chain(self, z: T, g: T) -> T {
        if z <= T::ZERO { T::ZERO } else { g }
    }
}

impl<T: Real> Activate<T> for Leaky<T> {
    #[inline(always)]
    fn value(self, z: T) -> T {
        if z > T::ZERO { z } else { self.0 * z }
    }
    #[inline(always)]
    fn chain(self, z: T, g: T) -> T {
        if z > T::ZERO { g } else { self.0 * g }
    }
}

/// Evaluates an expression with `$a` bound to the [`Activate`] of an [`Act`].
macro_rules! by_act {
    ($act:expr, $T:ty, $a:ident => $body:expr) => {
        match $act {
            $crate::act::Act::None => {
                let $a = $crate::act::Identity;
                $body
            }
            $crate::act::Act::Relu => {
                let $a = $crate::act::Relu;
                $body
            }
            $crate::act::Act::LeakyRelu(slope) => {
                let $a = $crate::act::Leaky(<$T as $crate::real::Real>::of(slope));
                $body
            }
        }
    };
}
pub(crate) use by_act;

/// `x` where it is positive, else `slope * x`; any shape.
///
/// Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic models", 2013.
pub fn leaky_relu(x: &Tensor, slope: f64) -> Result<Tensor> {
    if x.device().is_cpu() {
        return x
            .contiguous()?
            .apply_op1(Pointwise(Fun::Act(Act::LeakyRelu(slope))));
    }
    let positive = x.relu()?;
    &positive + ((x - &positive)? * slope)?
}

/// `max(x, 0)`; any shape. The derivative at 0 is 0.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() {
        return x.contiguous()?.apply_op1(Pointwise(Fun::Act(Act::Relu)));
    }
    x.relu()
}

/// Hyperbolic tangent; any shape.
pub fn tanh(x: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() {
        return x.contiguous()?.apply_op1(Pointwise(Fun::Tanh));
    }
    x.tanh()
}

/// `1 / (1 + exp(-x))`; any shape.
pub fn sigmoid(x: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() {
        return x.contiguous()?.apply_op1(Pointwise(Fun::Sigmoid));
    }
    // By tanh, which neither overflows nor loses its gradient.
    ((x * 0.5)?.tanh()? * 0.5)? + 0.5
}

/// `log(1 + exp(x))`, computed as `max(x, 0) + log1p(exp(-|x|))`, so without overflow; any shape.
pub fn softplus(x: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() {
        return x.contiguous()?.apply_op1(Pointwise(Fun::Softplus));
    }
    x.relu()? + (x.abs()?.neg()?.exp()? + 1.0)?.log()?
}

/// What [`Pointwise`] computes.
#[derive(Clone, Copy)]
enum Fun {
    Act(Act),
    Tanh,
    Sigmoid,
    Softplus,
}

impl<T: Real> Map1<T> for Identity {
    #[inline(always)]
    fn call<I: Isa>(self, x: T) -> T {
        x
    }
}
impl<T: Real> Map1<T> for Relu {
    #[inline(always)]
    fn call<I: Isa>(self, x: T) -> T {
        self.value(x)
    }
}
impl<T: Real> Map1<T> for Leaky<T> {
    #[inline(always)]
    fn call<I: Isa>(self, x: T) -> T {
        self.value(x)
    }
}

/// `g` times the derivative at `x` of an [`Activate`].
#[derive(Clone, Copy)]
struct Chain<A>(A);
impl<T: Real, A: Activate<T>> Map2<T> for Chain<A> {
    #[inline(always)]
    fn call<I: Isa>(self, x: T, g: T) -> T {
        self.0.chain(x, g)
    }
}

/// Defines a map that has no parameters.
macro_rules! map {
    ($name:ident($a:ident) = $e:expr) => {
        #[derive(Clone, Copy)]
        struct $name;
        impl<T: Real> Map1<T> for $name {
            #[inline(always)]
            fn call<I: Isa>(self, $a: T) -> T {
                $e
            }
        }
    };
    ($name:ident($a:ident, $b:ident) = $e:expr) => {
        #[derive(Clone, Copy)]
        struct $name;
        impl<T: Real> Map2<T> for $name {
            #[inline(always)]
            fn call<I: Isa>(self, $a: T, $b: T) -> T {
                $e
            }
        }
    };
}
map!(Tanh(x) = x.tanh::<I>());
map!(Sigmoid(x) = x.sigmoid::<I>());
map!(Softplus(x) = x.softplus::<I>());
// From the result: tanh' = 1 - y², sigmoid' = y (1 - y).
map!(TanhChain(y, g) = g * (T::ONE - y * y));
map!(SigmoidChain(y, g) = g * (y * (T::ONE - y)));
map!(SoftplusChain(x, g) = g * x.sigmoid::<I>());

/// A function of each element.
struct Pointwise(Fun);

impl CustomOp1 for Pointwise {
    fn name(&self) -> &'static str {
        match self.0 {
            Fun::Act(_) => "relu",
            Fun::Tanh => "tanh",
            Fun::Sigmoid => "sigmoid",
            Fun::Softplus => "softplus",
        }
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = by_dtype!(s.dtype(), self.name(), T => {
            let x = slice::<T>(s, l)?;
            T::store(match self.0 {
                Fun::Act(act) => by_act!(act, T, a => map1(x, 1, a)),
                Fun::Tanh => map1(x, 16, Tanh),
                Fun::Sigmoid => map1(x, 12, Sigmoid),
                Fun::Softplus => map1(x, 20, Softplus),
            })
        });
        Ok((y, l.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        if !x.track_op() {
            return Ok(None);
        }
        let at = match self.0 {
            // The second derivative is zero where it exists: nothing flows into the mask.
            Fun::Act(_) => x.detach(),
            Fun::Tanh | Fun::Sigmoid => for_grad(y),
            Fun::Softplus => for_grad(x),
        };
        at.apply_op2(&for_grad(g).contiguous()?, PointwiseGrad(self.0))
            .map(Some)
    }
}

/// The gradient of [`Pointwise`] from `at` (its input, or its result for tanh and sigmoid) and
/// the upstream gradient.
struct PointwiseGrad(Fun);

impl CustomOp2 for PointwiseGrad {
    fn name(&self) -> &'static str {
        "activation gradient"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let y = by_dtype!(s1.dtype(), self.name(), T => {
            let (at, g) = (slice::<T>(s1, l1)?, slice::<T>(s2, l2)?);
            T::store(match self.0 {
                Fun::Act(act) => by_act!(act, T, a => map2(at, g, 1, Chain(a))),
                Fun::Tanh => map2(at, g, 2, TanhChain),
                Fun::Sigmoid => map2(at, g, 2, SigmoidChain),
                Fun::Softplus => map2(at, g, 12, SoftplusChain),
            })
        });
        Ok((y, l1.shape().clone()))
    }

    fn bwd(
        &self,
        at: &Tensor,
        g: &Tensor,
        _: &Tensor,
        h: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let h = for_grad(h).contiguous()?;
        let d_at = if at.track_op() {
            let (at, gh) = (for_grad(at), (for_grad(g) * &h)?);
            match self.0 {
                Fun::Act(_) => Some(at.zeros_like()?),
                // d/dy (1 - y²) = -2 y
                Fun::Tanh => Some(((at * gh)? * -2.0)?),
                // d/dy y (1 - y) = 1 - 2 y
                Fun::Sigmoid => Some((gh * ((at * -2.0)? + 1.0)?)?),
                Fun::Softplus => Some(sigmoid(&at)?.apply_op2(&gh, PointwiseGrad(Fun::Sigmoid))?),
            }
        } else {
            None
        };
        let d_g = if g.track_op() {
            Some(for_grad(at).apply_op2(&h, PointwiseGrad(self.0))?)
        } else {
            None
        };
        Ok((d_at, d_g))
    }
}

/// `max(x, 0) + a min(x, 0)` with a learnt slope: `weight` is `[1]`, or `[c]` with one slope for
/// each index of dimension 1 of `x` `[b, c, …]`.
///
/// He et al., "Delving deep into rectifiers", 2015. The derivative at 0 is `a`.
pub fn prelu(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let slopes = weight.elem_count();
    if weight.rank() != 1 || (slopes != 1 && (x.rank() < 2 || x.dims()[1] != slopes)) {
        bail!(
            "prelu: slopes {:?} for an input {:?}, expected [1] or one for each channel",
            weight.dims(),
            x.dims()
        )
    }
    if weight.dtype() != x.dtype() {
        bail!(
            "prelu: slopes of {:?} for an input of {:?}",
            weight.dtype(),
            x.dtype()
        )
    }
    if x.device().is_cpu() {
        return x.contiguous()?.apply_op2(&weight.contiguous()?, PRelu);
    }
    prelu_composed(x, weight)
}

/// `weight` with dimensions of 1 such that it broadcasts over `x`.
fn per_channel(weight: &Tensor, x: &Tensor) -> Result<Tensor> {
    let mut dims = vec![1; x.rank()];
    if weight.elem_count() > 1 {
        dims[1] = weight.elem_count();
    }
    weight.reshape(dims)
}

fn prelu_composed(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let positive = x.relu()?;
    &positive + (x - &positive)?.broadcast_mul(&per_channel(weight, x)?)?
}

/// Runs of elements that have one slope: `(run length, number of slopes)`.
fn runs(x: &Layout, slopes: usize) -> (usize, usize) {
    match slopes {
        1 => (CHUNK, 1),
        c => (x.dims()[2..].iter().product(), c),
    }
}

#[inline(always)]
fn prelu_body<I: Isa, T: Real>(
    x: &[T],
    run: usize,
    first: usize,
    slopes: &[T],
    y: &mut [MaybeUninit<T>],
) {
    for (i, (x, y)) in x.chunks(run).zip(y.chunks_mut(run)).enumerate() {
        let a = Leaky(slopes[(first + i) % slopes.len()]);
        for (x, y) in x.iter().zip(y) {
            y.write(a.value(*x));
        }
    }
}
kernel! {
    fn prelu_kernel<T: Real>(
        x: &[T], run: usize, first: usize, slopes: &[T], y: &mut [MaybeUninit<T>]
    ) = prelu_body;
}

/// Writes the gradient of the input and, for each run, that of its slope.
#[inline(always)]
fn prelu_grad_body<I: Isa, T: Real>(
    x: &[T],
    g: &[T],
    run: usize,
    first: usize,
    slopes: &[T],
    dx: &mut [MaybeUninit<T>],
    sums: &mut [f64],
) {
    let chunks = x
        .chunks(run)
        .zip(g.chunks(run))
        .zip(dx.chunks_mut(run))
        .zip(sums);
    for (i, (((x, g), dx), sum)) in chunks.enumerate() {
        let a = Leaky(slopes[(first + i) % slopes.len()]);
        let mut lanes = [T::ZERO; LANES];
        let groups = x
            .chunks(LANES)
            .zip(g.chunks(LANES))
            .zip(dx.chunks_mut(LANES));
        for ((x, g), dx) in groups {
            for (((x, g), dx), lane) in x.iter().zip(g).zip(dx).zip(&mut lanes) {
                dx.write(a.chain(*x, *g));
                *lane += if *x > T::ZERO { T::ZERO } else { *g * *x };
            }
        }
        *sum = total(&lanes);
    }
}
kernel! {
    fn prelu_grad_kernel<T: Real>(
        x: &[T], g: &[T], run: usize, first: usize, slopes: &[T],
        dx: &mut [MaybeUninit<T>], sums: &mut [f64]
    ) = prelu_grad_body;
}

struct PRelu;

impl PRelu {
    /// The gradients of input and slopes.
    fn gradients<T: Real>(x: &[T], g: &[T], run: usize, slopes: &[T]) -> (Vec<T>, Vec<T>) {
        let level = simd::level();
        let rows = x.len().div_ceil(run);
        let mut sums = vec![0f64; rows];
        let per_task = CHUNK.div_ceil(run);
        let sum_ptr = par::SendPtr(sums.as_mut_ptr());
        // SAFETY: each chunk is written whole by the kernel. A chunk is `per_task` runs, so the
        // sums that two tasks write are disjoint, and `sums` outlives the call.
        let dx = unsafe {
            par::fill_chunks(x.len(), per_task * run, 2 * x.len(), |start, dx| {
                let (first, end) = (start / run, start + dx.len());
                let count = dx.len().div_ceil(run);
                let sums = std::slice::from_raw_parts_mut(sum_ptr.get().add(first), count);
                prelu_grad_kernel(
                    level,
                    &x[start..end],
                    &g[start..end],
                    run,
                    first,
                    slopes,
                    dx,
                    sums,
                );
            })
        };
        let mut dw = vec![0f64; slopes.len()];
        for (i, sum) in sums.iter().enumerate() {
            dw[i % slopes.len()] += sum;
        }
        (dx, dw.into_iter().map(T::of).collect())
    }
}

impl CustomOp2 for PRelu {
    fn name(&self) -> &'static str {
        "prelu"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let level = simd::level();
        let y = by_dtype!(s1.dtype(), self.name(), T => {
            let (x, slopes) = (slice::<T>(s1, l1)?, slice::<T>(s2, l2)?);
            let (run, _) = runs(l1, slopes.len());
            let run = run.max(1);
            // SAFETY: the kernel writes one element for each of the chunk's.
            T::store(unsafe {
                par::fill_chunks(x.len(), CHUNK.div_ceil(run) * run, x.len(), |start, out| {
                    let x = &x[start..start + out.len()];
                    prelu_kernel(level, x, run, start / run, slopes, out)
                })
            })
        });
        Ok((y, l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        if mode::current() == Mode::Penalty {
            let positive = x.detach().gt(0.0)?.to_dtype(x.dtype())?;
            let negative = (1.0 - &positive)?;
            let dx = if x.track_op() {
                let slope = negative.broadcast_mul(&per_channel(w, x)?)?;
                Some((g * (slope + &positive)?)?)
            } else {
                None
            };
            let dw = if wants_param_grad(w) {
                let mut over: Vec<usize> = (0..x.rank()).collect();
                if w.elem_count() > 1 {
                    over.remove(1);
                }
                Some(((g * x)? * negative)?.sum(over)?.reshape(w.dims())?)
            } else {
                None
            };
            return Ok((dx, dw));
        }
        let g = g.detach().contiguous()?;
        let (run, _) = runs(x.layout(), w.elem_count());
        let (dx, dw) = by_dtype!(x.dtype(), self.name(), T => {
            let (dx, dw) = real::read::<T, _>(x, |x| {
                real::read::<T, _>(&g, |g| {
                    real::read::<T, _>(w, |w| Ok(Self::gradients(x, g, run.max(1), w)))
                })
            })?;
            let dx = Tensor::from_vec(dx, x.shape(), x.device())?;
            (dx, Tensor::from_vec(dw, w.shape(), w.device())?)
        });
        Ok((x.track_op().then_some(dx), w.track_op().then_some(dw)))
    }
}

/// The largest of each run of `pieces` features: `[b, units * pieces]` to `[b, units]`, where
/// feature `u * pieces + k` is piece k of unit u.
///
/// Goodfellow et al., "Maxout networks", 2013. The gradient goes to the first of equal pieces.
pub fn maxout(x: &Tensor, pieces: usize) -> Result<Tensor> {
    let &[b, features] = x.dims() else {
        bail!("maxout: input {:?}, expected [b, units * pieces]", x.dims())
    };
    if pieces == 0 || features == 0 || features % pieces != 0 {
        bail!(
            "maxout: {:?} does not divide into units of {pieces} pieces",
            x.dims()
        )
    }
    if x.device().is_cpu() {
        return x.contiguous()?.apply_op1(Maxout { pieces });
    }
    x.reshape((b, features / pieces, pieces))?.max(2)
}

/// The index of the first largest element; the first NaN counts as largest.
#[inline(always)]
fn first_max<T: Real>(x: &[T]) -> usize {
    let mut best = 0;
    for (i, v) in x.iter().enumerate().skip(1) {
        #[allow(clippy::eq_op)] // NaN is what differs from itself
        if *v > x[best] || (*v != *v && x[best] == x[best]) {
            best = i;
        }
    }
    best
}

/// Output units of one task of a maxout op.
const UNITS: usize = 1 << 12;

/// A map between `[b, units * pieces]` and `[b, units]` by the largest piece.
struct Maxout {
    pieces: usize,
}

fn narrow(shape: &Shape, pieces: usize) -> Result<Shape> {
    let (b, features) = shape.dims2()?;
    Ok(Shape::from((b, features / pieces)))
}

impl CustomOp1 for Maxout {
    fn name(&self) -> &'static str {
        "maxout"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let shape = narrow(l.shape(), self.pieces)?;
        let (units, p) = (shape.elem_count(), self.pieces);
        let y = by_dtype!(s.dtype(), self.name(), T => {
            let x = slice::<T>(s, l)?;
            // SAFETY: each element of the chunk is written.
            T::store(unsafe {
                par::fill_chunks(units, UNITS, x.len(), |start, out| {
                    for (x, y) in x[start * p..].chunks_exact(p).zip(out) {
                        y.write(x[first_max(x)]);
                    }
                })
            })
        });
        Ok((y, shape))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        if !x.track_op() {
            return Ok(None);
        }
        let op = MaxoutLinear {
            pieces: self.pieces,
            spread: true,
        };
        x.detach()
            .apply_op2(&for_grad(g).contiguous()?, op)
            .map(Some)
    }
}

/// With the choice of pieces fixed by `x`: spread `[b, units]` to the chosen of
/// `[b, units * pieces]`, or gather from them. Each is the other's transpose.
struct MaxoutLinear {
    pieces: usize,
    spread: bool,
}

impl CustomOp2 for MaxoutLinear {
    fn name(&self) -> &'static str {
        "maxout gradient"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let p = self.pieces;
        let shape = if self.spread {
            l1.shape().clone()
        } else {
            narrow(l1.shape(), p)?
        };
        let y = by_dtype!(s1.dtype(), self.name(), T => {
            let (x, v) = (slice::<T>(s1, l1)?, slice::<T>(s2, l2)?);
            let n = shape.elem_count();
            // SAFETY: each element of the chunk is written.
            T::store(unsafe {
                if self.spread {
                    par::fill_chunks(n, UNITS * p, x.len(), |start, out| {
                        let units = x[start..].chunks_exact(p).zip(&v[start / p..]);
                        for (out, (x, v)) in out.chunks_exact_mut(p).zip(units) {
                            for o in &mut *out {
                                o.write(T::ZERO);
                            }
                            out[first_max(x)].write(*v);
                        }
                    })
                } else {
                    par::fill_chunks(n, UNITS, x.len(), |start, out| {
                        let units =
                            x[start * p..].chunks_exact(p).zip(v[start * p..].chunks_exact(p));
                        for (out, (x, v)) in out.iter_mut().zip(units) {
                            out.write(v[first_max(x)]);
                        }
                    })
                }
            })
        });
        Ok((y, shape))
    }

    fn bwd(
        &self,
        x: &Tensor,
        v: &Tensor,
        _: &Tensor,
        h: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        if !v.track_op() {
            return Ok((None, None));
        }
        let op = MaxoutLinear {
            pieces: self.pieces,
            spread: !self.spread,
        };
        let dv = x.detach().apply_op2(&for_grad(h).contiguous()?, op)?;
        Ok((None, Some(dv)))
    }
}
