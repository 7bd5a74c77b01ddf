//! Activations, each one node of the graph with a twice differentiable backward.
//!
//! All work on F32 and F64; F32 tanh, sigmoid and softplus are within 3e-7 of the exact value,
//! relatively (below 1e-37 they flush to about 1e-38 or 0). NaN stays NaN.

mod masked;
mod maxout;
mod prelu;

pub use masked::masked;
pub use maxout::maxout;
pub use prelu::prelu;

use crate::composed::{self, Composed1, Composed2, choose};
use crate::mode::for_grad;
use crate::real::{Real, by_dtype, slice};
use crate::simd::Isa;
use crate::sweep::{Map1, Map2, map1, map2};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, DType, Layout, Result, Shape, Tensor};

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
        // A choice between constants, which the compiler does not turn into a jump.
        g * if z > T::ZERO { T::ONE } else { self.0 }
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
    composed::apply1(x, Pointwise(Fun::Act(Act::LeakyRelu(slope))))
}

/// `max(x, 0)`; any shape. The derivative at 0 is 0.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    composed::apply1(x, Pointwise(Fun::Act(Act::Relu)))
}

/// Hyperbolic tangent; any shape. The derivative is `1 - y²`, from the result.
pub fn tanh(x: &Tensor) -> Result<Tensor> {
    composed::apply1(x, Pointwise(Fun::Tanh))
}

/// `1 / (1 + exp(-x))`; any shape. The derivative is `y (1 - y)`, from the result.
///
/// In F32, `x` below -88 counts as -88, so that the result and its logarithm stay finite.
pub fn sigmoid(x: &Tensor) -> Result<Tensor> {
    composed::apply1(x, Pointwise(Fun::Sigmoid))
}

/// `log(1 + exp(x))`, computed as `max(x, 0) + log1p(exp(-|x|))`, so without overflow; any shape.
/// The derivative is [`sigmoid`].
pub fn softplus(x: &Tensor) -> Result<Tensor> {
    composed::apply1(x, Pointwise(Fun::Softplus))
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
            Fun::Act(Act::LeakyRelu(_)) => "leaky_relu",
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
        composed::plain2(&at, &for_grad(g), PointwiseGrad(self.0)).map(Some)
    }
}

impl Composed1 for Pointwise {
    fn composed(&self, x: &Tensor) -> Result<Tensor> {
        match self.0 {
            Fun::Act(Act::None) => x.copy(),
            Fun::Act(Act::Relu) => choose(&x.le(0.0)?, 0.0, x),
            Fun::Act(Act::LeakyRelu(slope)) => x.gt(0.0)?.where_cond(x, &(x * slope)?),
            Fun::Tanh => x.tanh(),
            Fun::Sigmoid => {
                // As the kernel of F32, which keeps exp finite. `where`, as a GPU's `maximum`
                // drops NaN.
                let x = match x.dtype() {
                    DType::F32 => &choose(&x.lt(-88.0)?, -88.0, x)?,
                    _ => x,
                };
                (x.neg()?.exp()? + 1.0)?.recip()
            }
            Fun::Softplus => x.relu()? + log_rest(x)?,
        }
    }
}

/// `log(1 + exp(-|x|))` from candle's ops, to the last digits also where it is small: `log u` has
/// the relative error of `u - 1`, which the quotient takes out again (Kahan; Higham, "Accuracy and
/// stability of numerical algorithms", 2002, problem 1.5).
pub(crate) fn log_rest(x: &Tensor) -> Result<Tensor> {
    let e = x.abs()?.neg()?.exp()?;
    let u = (&e + 1.0)?;
    let d = (&u - 1.0)?;
    d.eq(0.0)?.where_cond(&e, &((u.log()? * &e)? / &d)?)
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
        let h = for_grad(h);
        let d_at = if at.track_op() {
            let (at, gh) = (for_grad(at), (for_grad(g) * &h)?);
            match self.0 {
                Fun::Act(_) => Some(at.zeros_like()?),
                // d/dy (1 - y²) = -2 y
                Fun::Tanh => Some(((at * gh)? * -2.0)?),
                // d/dy y (1 - y) = 1 - 2 y
                Fun::Sigmoid => Some((gh * ((at * -2.0)? + 1.0)?)?),
                Fun::Softplus => Some(composed::plain2(
                    &sigmoid(&at)?,
                    &gh,
                    PointwiseGrad(Fun::Sigmoid),
                )?),
            }
        } else {
            None
        };
        let d_g = if g.track_op() {
            Some(composed::plain2(&for_grad(at), &h, PointwiseGrad(self.0))?)
        } else {
            None
        };
        Ok((d_at, d_g))
    }
}

impl Composed2 for PointwiseGrad {
    fn composed(&self, at: &Tensor, g: &Tensor) -> Result<Tensor> {
        match self.0 {
            Fun::Act(Act::None) => g.copy(),
            Fun::Act(Act::Relu) => choose(&at.le(0.0)?, 0.0, g),
            Fun::Act(Act::LeakyRelu(slope)) => at.gt(0.0)?.where_cond(g, &(g * slope)?),
            Fun::Tanh => g * (1.0 - at.sqr()?)?,
            Fun::Sigmoid => g * (at * (1.0 - at)?)?,
            Fun::Softplus => g * Pointwise(Fun::Sigmoid).composed(at)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape;
    use crate::testing::numbers;
    use candle_core::Device;

    const FUNS: [Fun; 6] = [
        Fun::Act(Act::None),
        Fun::Act(Act::Relu),
        Fun::Act(Act::LeakyRelu(0.2)),
        Fun::Tanh,
        Fun::Sigmoid,
        Fun::Softplus,
    ];

    /// Each number for itself, as tails are small; below 1e-37 the kernels of F32 flush.
    fn assert_close(a: &Tensor, b: &Tensor, limit: f64, what: &str) -> Result<()> {
        for (a, b) in numbers(a)?.into_iter().zip(numbers(b)?) {
            let same = a == b || (a.is_nan() && b.is_nan());
            let near = (a - b).abs() <= limit * a.abs().max(b.abs()).max(1e-30);
            assert!(same || near, "{what}: {a:e} and {b:e}");
        }
        Ok(())
    }

    /// What other devices compute agrees with the kernels: values, and gradients as functions.
    #[test]
    fn compositions_agree() -> Result<()> {
        let inf = f64::INFINITY;
        let points = [
            -inf, -100., -89., -88., -87.5, -80., -20., -17., -16., -3., -0.5, -1e-3, -0., 0.,
            1e-30, 0.1, 0.9, 4., 16., 17., 20., 87., 100., inf,
        ];
        let wide = Tensor::new(&points, &Device::Cpu)?;
        let g = Tensor::arange(1f64, 25., &Device::Cpu)?;
        for fun in FUNS {
            let name = Pointwise(fun).name();
            for (dtype, limit) in [(DType::F64, 1e-14), (DType::F32, 1e-6)] {
                let (x, g) = (wide.to_dtype(dtype)?, g.to_dtype(dtype)?);
                let y = tape::plain1(&x, Pointwise(fun))?;
                assert_close(&y, &Pointwise(fun).composed(&x)?, limit, name)?;
                let at = match fun {
                    Fun::Tanh | Fun::Sigmoid => &y,
                    _ => &x,
                };
                let dx = tape::plain2(at, &g, PointwiseGrad(fun))?;
                assert_close(&dx, &PointwiseGrad(fun).composed(at, &g)?, limit, name)?;
            }
        }
        let nan = Tensor::new(&[f64::NAN], &Device::Cpu)?;
        for fun in FUNS {
            assert!(numbers(&Pointwise(fun).composed(&nan)?)?[0].is_nan());
        }
        Ok(())
    }

    #[test]
    fn types_without_kernels_are_refused_by_name() -> Result<()> {
        let x = Tensor::zeros(2, DType::F16, &Device::Cpu)?;
        let message = sigmoid(&x).err().map(|e| e.to_string());
        let message = message.unwrap_or_default();
        assert!(message.starts_with("sigmoid: dtype F16"), "{message}");
        Ok(())
    }
}
