//! Losses, each one node that gives the mean over all elements, a scalar of shape `[]`.
//!
//! Some 530 lines because each loss stands beside the others in each of its forms: kernel, candle's ops, derivative.
//!
//! Sums run in lanes and then in f64, in an order fixed by the number of elements.

use crate::act::{log_rest, sigmoid};
use crate::composed::{self, Composed1, Composed2, choose};
use crate::mode::{self, Mode};
use crate::par;
use crate::real::{Real, by_dtype, kernel, read, same_kind, slice};
use crate::simd::{self, Isa};
use crate::sweep::{CHUNK, Sums, emit};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, bail};
use std::mem::MaybeUninit;
use std::ops::Range;

/// What a loss compares with: one number for all elements, or a tensor of the input's shape.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// The same target for each element.
    Const(f64),
    /// A target for each element, of the input's shape and dtype.
    Each(&'a Tensor),
}

impl From<f64> for Target<'_> {
    fn from(value: f64) -> Self {
        Target::Const(value)
    }
}

impl<'a> From<&'a Tensor> for Target<'a> {
    fn from(value: &'a Tensor) -> Self {
        Target::Each(value)
    }
}

/// Binary cross entropy of probabilities `p` in [0, 1] (any shape): the mean of
/// `-(y log p + (1 - y) log(1 - p))`.
///
/// As in PyTorch, logarithms are cut at -100, and the gradient is
/// `(p - y) / max(p (1 - p), 1e-12)`. Targets lie in [0, 1] and must have no graph. Second
/// derivatives are not implemented: a penalty belongs on logits.
pub fn bce<'a>(p: &Tensor, target: impl Into<Target<'a>>) -> Result<Tensor> {
    Loss::Bce.apply(p, target.into())
}

/// Binary cross entropy of logits `x` (any shape, any value): the mean of
/// `max(x, 0) - x y + log(1 + exp(-|x|))`.
///
/// The gradient is `sigmoid(x) - y`. Targets lie in [0, 1] and must have no graph.
pub fn bce_with_logits<'a>(x: &Tensor, target: impl Into<Target<'a>>) -> Result<Tensor> {
    Loss::BceLogits.apply(x, target.into())
}

/// The mean of `|a - b|`; the derivative where they are equal is 0.
pub fn l1<'a>(a: &Tensor, b: impl Into<Target<'a>>) -> Result<Tensor> {
    Loss::L1.apply(a, b.into())
}

/// The mean of `(a - b)²`.
pub fn mse<'a>(a: &Tensor, b: impl Into<Target<'a>>) -> Result<Tensor> {
    Loss::Mse.apply(a, b.into())
}

/// The mean of `d²/2` where `|d| < 1`, else of `|d| − 1/2`, with `d = a - b` (Huber 1964).
pub fn huber<'a>(a: &Tensor, b: impl Into<Target<'a>>) -> Result<Tensor> {
    Loss::Huber.apply(a, b.into())
}

#[derive(Clone, Copy, PartialEq)]
enum Loss {
    Bce,
    BceLogits,
    L1,
    Mse,
    Huber,
}

impl Loss {
    fn name(self) -> &'static str {
        match self {
            Loss::Bce => "bce",
            Loss::BceLogits => "bce_with_logits",
            Loss::L1 => "l1",
            Loss::Mse => "mse",
            Loss::Huber => "huber",
        }
    }

    fn apply(self, x: &Tensor, target: Target<'_>) -> Result<Tensor> {
        if x.elem_count() == 0 {
            bail!("{}: input {:?} has no elements", self.name(), x.dims())
        }
        if let Target::Each(y) = target {
            same_kind(self.name(), x, y)?;
            if matches!(self, Loss::Bce | Loss::BceLogits) && y.track_op() {
                bail!("{}: the target has a graph; detach it", self.name())
            }
        }
        match target {
            Target::Const(target) => composed::apply1(x, ToConst { loss: self, target }),
            Target::Each(y) => composed::apply2(x, y, ToEach { loss: self }),
        }
    }

    /// The loss from candle's ops. Choices are made by `where`, as a GPU's `maximum` drops NaN.
    fn composed(self, x: &Tensor, target: Target<'_>) -> Result<Tensor> {
        let constant;
        let y = match target {
            Target::Each(y) => y,
            Target::Const(y) => {
                constant = Tensor::full(y, x.shape(), x.device())?.to_dtype(x.dtype())?;
                &constant
            }
        };
        let each = match self {
            Loss::Bce => {
                let log = |p: &Tensor| {
                    let log = p.log()?;
                    choose(&log.lt(-100.0)?, -100.0, &log)
                };
                ((y * log(x)?)? + ((1.0 - y)? * log(&(1.0 - x)?)?)?)?.neg()?
            }
            Loss::BceLogits => ((x.relu()? - (x * y)?)? + log_rest(x)?)?,
            Loss::L1 => (x - y)?.abs()?,
            Loss::Mse => (x - y)?.sqr()?,
            Loss::Huber => {
                let d = (x - y)?;
                let (size, bowl) = (d.abs()?, (d.sqr()? * 0.5)?);
                size.lt(1.0)?.where_cond(&bowl, &(&size - 0.5)?)?
            }
        };
        each.mean_all()
    }

    /// The mean over all elements.
    fn mean<T: Real>(self, x: &[T], y: Targets<'_, T>) -> T {
        let level = simd::level();
        let mut sums = vec![0f64; x.len().div_ceil(CHUNK)];
        par::for_each_chunk(&mut sums, 1, x.len() * self.cost(), |i, sum| {
            let range = i * CHUNK..x.len().min((i + 1) * CHUNK);
            sum[0] = match self {
                Loss::Bce => sum_of(level, Bce, x, y, range),
                Loss::BceLogits => sum_of(level, BceLogits, x, y, range),
                Loss::L1 => sum_of(level, L1, x, y, range),
                Loss::Mse => sum_of(level, Mse, x, y, range),
                Loss::Huber => sum_of(level, Huber, x, y, range),
            };
        });
        T::of(sums.iter().sum::<f64>() / x.len() as f64)
    }

    /// `factor` times the derivative at each element.
    fn slopes<T: Real>(self, x: &[T], y: Targets<'_, T>, factor: f64) -> Vec<T> {
        let (level, factor) = (simd::level(), T::of(factor));
        // SAFETY: the kernel writes each element of the chunk.
        unsafe {
            par::fill_chunks(
                x.len(),
                CHUNK,
                x.len() * self.cost(),
                |start, out| match self {
                    Loss::Bce => slopes_of(level, Bce, x, y, factor, start, out),
                    Loss::BceLogits => slopes_of(level, BceLogits, x, y, factor, start, out),
                    Loss::L1 => slopes_of(level, L1, x, y, factor, start, out),
                    Loss::Mse => slopes_of(level, Mse, x, y, factor, start, out),
                    Loss::Huber => slopes_of(level, Huber, x, y, factor, start, out),
                },
            )
        }
    }

    /// An element's work in multiply-adds.
    fn cost(self) -> usize {
        match self {
            Loss::Bce => 40,
            Loss::BceLogits => 20,
            Loss::L1 | Loss::Mse | Loss::Huber => 1,
        }
    }

    /// The gradient of x from candle's ops and this crate's, which differentiate again.
    fn gradient(self, x: &Tensor, target: Target<'_>, g: &Tensor) -> Result<Tensor> {
        let minus = |a: &Tensor| match target {
            Target::Const(y) => a - y,
            Target::Each(y) => a - y,
        };
        let slope = match self {
            Loss::Bce => {
                let v = (x * (1.0 - x)?)?;
                (minus(x)? / choose(&v.lt(1e-12)?, 1e-12, &v)?)?
            }
            Loss::BceLogits => minus(&sigmoid(x)?)?,
            Loss::L1 => {
                // 0, or NaN, stays.
                let d = minus(x)?.detach();
                choose(&d.lt(0.0)?, -1.0, &choose(&d.gt(0.0)?, 1.0, &d)?)?
            }
            Loss::Mse => (minus(x)? * 2.0)?,
            Loss::Huber => {
                let d = minus(x)?;
                choose(&d.lt(-1.0)?, -1.0, &choose(&d.gt(1.0)?, 1.0, &d)?)?
            }
        };
        slope.broadcast_mul(&(g / x.elem_count() as f64)?)
    }

    /// As [`Loss::gradient`], with a graph.
    fn penalty(self, x: &Tensor, target: Target<'_>, g: &Tensor) -> Result<Tensor> {
        if self == Loss::Bce {
            bail!("bce: no second derivative; use bce_with_logits")
        }
        self.gradient(x, target, g)
    }

    /// As [`Loss::gradient`], without one and by kernels where there are any. `g` stays where it is
    /// on other devices, as reading it would wait for them.
    fn plain(self, x: &Tensor, target: Target<'_>, g: &Tensor) -> Result<Tensor> {
        if !x.device().is_cpu() {
            let y;
            let target = match target {
                Target::Const(y) => Target::Const(y),
                Target::Each(each) => {
                    y = each.detach();
                    Target::Each(&y)
                }
            };
            return self.gradient(&x.detach(), target, &g.detach());
        }
        let factor = scalar(g)? / x.elem_count() as f64;
        by_dtype!(x.dtype(), self.name(), T => {
            let dx = read::<T, _>(x, |x| match target {
                Target::Const(y) => Ok(self.slopes(x, Targets::Const(y), factor)),
                Target::Each(y) => {
                    read::<T, _>(y, |y| Ok(self.slopes(x, Targets::Each(y), factor)))
                }
            })?;
            Tensor::from_vec(dx, x.shape(), x.device())
        })
    }
}

#[derive(Clone, Copy)]
enum Targets<'a, T> {
    Const(f64),
    Each(&'a [T]),
}

/// A loss of one element, and its derivative in x.
trait Element<T: Real>: Copy + Sync {
    fn value<I: Isa>(self, x: T, y: T) -> T;
    fn slope<I: Isa>(self, x: T, y: T) -> T;
}

#[derive(Clone, Copy)]
struct Bce;
#[derive(Clone, Copy)]
struct BceLogits;
#[derive(Clone, Copy)]
struct L1;
#[derive(Clone, Copy)]
struct Mse;
#[derive(Clone, Copy)]
struct Huber;

impl<T: Real> Element<T> for Bce {
    #[inline(always)]
    fn value<I: Isa>(self, x: T, y: T) -> T {
        let least = T::of(-100.0);
        let log = |p: T| if p.log() < least { least } else { p.log() };
        T::ZERO - (y * log(x) + (T::ONE - y) * log(T::ONE - x))
    }
    #[inline(always)]
    fn slope<I: Isa>(self, x: T, y: T) -> T {
        let (v, least) = (x * (T::ONE - x), T::of(1e-12));
        (x - y) / if v < least { least } else { v }
    }
}

impl<T: Real> Element<T> for BceLogits {
    #[inline(always)]
    fn value<I: Isa>(self, x: T, y: T) -> T {
        // The two large terms cancel first, so that the rest is not lost beside them.
        ((if x > T::ZERO { x } else { T::ZERO }) - x * y) + x.log_rest::<I>()
    }
    #[inline(always)]
    fn slope<I: Isa>(self, x: T, y: T) -> T {
        x.sigmoid::<I>() - y
    }
}

impl<T: Real> Element<T> for L1 {
    #[inline(always)]
    fn value<I: Isa>(self, x: T, y: T) -> T {
        (x - y).magnitude()
    }
    #[inline(always)]
    fn slope<I: Isa>(self, x: T, y: T) -> T {
        let d = x - y;
        // 0, or NaN, stays.
        let sign = if d > T::ZERO { T::ONE } else { d };
        if d < T::ZERO { T::ZERO - T::ONE } else { sign }
    }
}

impl<T: Real> Element<T> for Mse {
    #[inline(always)]
    fn value<I: Isa>(self, x: T, y: T) -> T {
        (x - y) * (x - y)
    }
    #[inline(always)]
    fn slope<I: Isa>(self, x: T, y: T) -> T {
        let d = x - y;
        d + d
    }
}

impl<T: Real> Element<T> for Huber {
    #[inline(always)]
    fn value<I: Isa>(self, x: T, y: T) -> T {
        let (d, half) = (x - y, T::of(0.5));
        let size = d.magnitude();
        if size < T::ONE {
            half * d * d
        } else {
            size - half
        }
    }
    #[inline(always)]
    fn slope<I: Isa>(self, x: T, y: T) -> T {
        // NaN stays.
        let (d, minus) = (x - y, T::ZERO - T::ONE);
        let d = if d > T::ONE { T::ONE } else { d };
        if d < minus { minus } else { d }
    }
}

#[inline(always)]
fn sum_body<I: Isa, T: Real, E: Element<T>>(
    e: E,
    x: &[T],
    y: Targets<'_, T>,
    range: Range<usize>,
) -> f64 {
    let mut sums = Sums::<T, 1>::new();
    match y {
        Targets::Const(y) => {
            let y = T::of(y);
            sums.add([&x[range]], |[s], [x]| [s + e.value::<I>(x, y)]);
        }
        Targets::Each(y) => {
            sums.add([&x[range.clone()], &y[range]], |[s], [x, y]| {
                [s + e.value::<I>(x, y)]
            });
        }
    }
    sums.finish()[0]
}
kernel! {
    fn sum_of<T: Real, E: Element<T>>(
        e: E, x: &[T], y: Targets<'_, T>, range: Range<usize>
    ) -> f64 = sum_body;
}

#[inline(always)]
fn slopes_body<I: Isa, T: Real, E: Element<T>>(
    e: E,
    x: &[T],
    y: Targets<'_, T>,
    factor: T,
    start: usize,
    out: &mut [MaybeUninit<T>],
) {
    let range = start..start + out.len();
    match y {
        Targets::Const(y) => {
            let y = T::of(y);
            emit(out, [&x[range]], false, |[x]| factor * e.slope::<I>(x, y));
        }
        Targets::Each(y) => {
            let inputs = [&x[range.clone()], &y[range]];
            emit(out, inputs, false, |[x, y]| factor * e.slope::<I>(x, y));
        }
    }
}
kernel! {
    fn slopes_of<T: Real, E: Element<T>>(
        e: E, x: &[T], y: Targets<'_, T>, factor: T, start: usize, out: &mut [MaybeUninit<T>]
    ) = slopes_body;
}

/// The gradient that flows into a scalar, as a number.
fn scalar(g: &Tensor) -> Result<f64> {
    by_dtype!(g.dtype(), "loss", T => Ok(g.to_scalar::<T>()?.wide()))
}

struct ToConst {
    loss: Loss,
    target: f64,
}

impl CustomOp1 for ToConst {
    fn name(&self) -> &'static str {
        self.loss.name()
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = by_dtype!(s.dtype(), self.name(), T => {
            T::store(vec![self.loss.mean(slice::<T>(s, l)?, Targets::Const(self.target))])
        });
        Ok((y, Shape::from(())))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        if !x.track_op() {
            return Ok(None);
        }
        let target = Target::Const(self.target);
        match mode::current() {
            Mode::Penalty => self.loss.penalty(x, target, g).map(Some),
            Mode::Plain => self.loss.plain(x, target, g).map(Some),
        }
    }
}

impl Composed1 for ToConst {
    fn composed(&self, x: &Tensor) -> Result<Tensor> {
        self.loss.composed(x, Target::Const(self.target))
    }
}

struct ToEach {
    loss: Loss,
}

impl CustomOp2 for ToEach {
    fn name(&self) -> &'static str {
        self.loss.name()
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let y = by_dtype!(s1.dtype(), self.name(), T => {
            let (x, y) = (slice::<T>(s1, l1)?, slice::<T>(s2, l2)?);
            T::store(vec![self.loss.mean(x, Targets::Each(y))])
        });
        Ok((y, Shape::from(())))
    }

    fn bwd(
        &self,
        x: &Tensor,
        y: &Tensor,
        _: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dx = match mode::current() {
            Mode::Penalty => self.loss.penalty(x, Target::Each(y), g)?,
            Mode::Plain => self.loss.plain(x, Target::Each(y), g)?,
        };
        // Targets with a graph occur where the loss is a function of the difference.
        let dy = if y.track_op() { Some(dx.neg()?) } else { None };
        Ok((x.track_op().then_some(dx), dy))
    }
}

impl Composed2 for ToEach {
    fn composed(&self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        self.loss.composed(x, Target::Each(y))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::numbers;
    use candle_core::{DType, Device};

    const ALL: [Loss; 4] = [Loss::Bce, Loss::BceLogits, Loss::L1, Loss::Mse];

    /// What other devices compute agrees with the kernels, for each element by itself: values, and
    /// gradients.
    #[test]
    fn compositions_agree() -> Result<()> {
        let probabilities = [0., 1e-38, 1e-13, 1e-9, 0.01, 0.4, 0.8, 1.];
        let anything = [-100., -20., -17., -0.3, 0., 0.8, 16., 100.];
        let device = Device::Cpu;
        for (dtype, limit) in [(DType::F64, 1e-13), (DType::F32, 1e-6)] {
            let g = Tensor::new(0.7f64, &device)?.to_dtype(dtype)?;
            for loss in ALL {
                let points = match loss {
                    Loss::Bce => probabilities,
                    _ => anything,
                };
                for (x, y) in points
                    .into_iter()
                    .flat_map(|x| [0., 0.3, 0.8, 1.].map(|y| (x, y)))
                {
                    let x = Tensor::new(&[x], &device)?.to_dtype(dtype)?;
                    let each = Tensor::new(&[y], &device)?.to_dtype(dtype)?;
                    for target in [Target::Const(y), Target::Each(&each)] {
                        let value = numbers(&loss.apply(&x, target)?)?[0];
                        let composed = numbers(&loss.composed(&x, target)?)?[0];
                        let slope = numbers(&loss.plain(&x, target, &g)?)?[0];
                        let gradient = numbers(&loss.gradient(&x, target, &g)?)?[0];
                        for (a, b) in [(value, composed), (slope, gradient)] {
                            let near = (a - b).abs() <= limit * a.abs().max(b.abs()).max(1e-30);
                            assert!(near, "{} of {x} to {y}: {a:e} and {b:e}", loss.name());
                        }
                    }
                }
            }
        }
        Ok(())
    }

    #[test]
    fn nan_is_not_lost_in_a_composition() -> Result<()> {
        let x = Tensor::new(&[f64::NAN], &Device::Cpu)?;
        let g = Tensor::new(1f64, &Device::Cpu)?;
        for loss in ALL {
            assert!(numbers(&loss.composed(&x, Target::Const(0.))?)?[0].is_nan());
            assert!(numbers(&loss.gradient(&x, Target::Const(0.), &g)?)?[0].is_nan());
        }
        Ok(())
    }
}
