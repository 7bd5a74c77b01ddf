//! The element types of elementwise ops, norms and losses with their approximations of exp, tanh
//! and the like, the macro that compiles a generic kernel for each SIMD level, and access to a
//! tensor's numbers.
//!
//! The approximations are branch-free, so that the compiler vectorises them, and let NaN through.

use crate::simd::Isa;
use candle_core::{CpuStorage, Layout, Result, Storage, Tensor, WithDType, bail};

/// `f32`, or `f64` (for finite differences), in a kernel.
pub(crate) trait Real: WithDType {
    const ZERO: Self;
    const ONE: Self;
    fn of(x: f64) -> Self;
    fn wide(self) -> f64;
    /// As a tensor's storage.
    fn store(v: Vec<Self>) -> CpuStorage {
        Self::to_cpu_storage_owned(v)
    }
    /// `a * b + c`, fused where that is one instruction.
    fn madd<I: Isa>(a: Self, b: Self, c: Self) -> Self;
    fn root(self) -> Self;
    fn magnitude(self) -> Self;
    fn tanh<I: Isa>(self) -> Self;
    fn sigmoid<I: Isa>(self) -> Self;
    /// `log(1 + exp(-|self|))`.
    fn log_rest<I: Isa>(self) -> Self;
    /// `log(1 + exp(self))`, the larger of 0 and `self` and a rest.
    #[inline(always)]
    fn softplus<I: Isa>(self) -> Self {
        (if self > Self::ZERO { self } else { Self::ZERO }) + self.log_rest::<I>()
    }
    /// The natural logarithm.
    fn log(self) -> Self;
}

/// `exp(x)` for x in [-87, 88], relative error below 2e-7.
///
/// Cody–Waite reduction to `x = n ln 2 + r`, a polynomial in r (Cephes' `expf`), and `n` added to
/// the exponent. Adding 1.5 * 2^23 rounds to an integer, which then stands in the low bits.
#[inline(always)]
fn exp_f32<I: Isa>(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    let shifted = I::madd(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = I::madd(n, -0.693_359_4, x);
    let r = I::madd(n, 2.121_944_4e-4, r);
    let mut p = 1.987_569_1e-4;
    p = I::madd(p, r, 1.398_2e-3);
    p = I::madd(p, r, 8.333_452e-3);
    p = I::madd(p, r, 4.166_579_6e-2);
    p = I::madd(p, r, 1.666_666_5e-1);
    p = I::madd(p, r, 0.5);
    let y = I::madd(p, r * r, r) + 1.0;
    f32::from_bits(y.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// `x` held to [low, high]; NaN stays NaN.
#[inline(always)]
fn clamp_f32(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

impl Real for f32 {
    const ZERO: f32 = 0.0;
    const ONE: f32 = 1.0;

    #[inline(always)]
    fn of(x: f64) -> f32 {
        x as f32
    }

    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn madd<I: Isa>(a: f32, b: f32, c: f32) -> f32 {
        I::madd(a, b, c)
    }

    #[inline(always)]
    fn root(self) -> f32 {
        self.sqrt()
    }

    #[inline(always)]
    fn magnitude(self) -> f32 {
        self.abs()
    }

    /// An odd polynomial (Cephes' `tanhf`) where |x| < 0.625, else `1 - 2 / (exp(2|x|) + 1)`.
    #[inline(always)]
    fn tanh<I: Isa>(self) -> f32 {
        let a = self.abs();
        let e = exp_f32::<I>(2.0 * clamp_f32(a, 0.0, 9.5));
        let large = 1.0 - 2.0 / (e + 1.0);
        let z = self * self;
        let mut p = -5.704_988_7e-3;
        p = I::madd(p, z, 2.063_909e-2);
        p = I::madd(p, z, -5.373_971_6e-2);
        p = I::madd(p, z, 1.333_144_2e-1);
        p = I::madd(p, z, -3.333_328e-1);
        let small = I::madd(p * z, self, self);
        (if a < 0.625 { small } else { large }).copysign(self)
    }

    #[inline(always)]
    fn sigmoid<I: Isa>(self) -> f32 {
        1.0 / (1.0 + exp_f32::<I>(clamp_f32(0.0 - self, -87.0, 88.0)))
    }

    /// `log1p(u)` with `u = exp(-|x|)` is `2 artanh(s)` with `s = u / (2 + u)`, at most 1/3, whose
    /// series is cut where it no longer counts.
    #[inline(always)]
    fn log_rest<I: Isa>(self) -> f32 {
        let u = exp_f32::<I>(clamp_f32(0.0 - self.abs(), -87.0, 0.0));
        let s = u / (2.0 + u);
        let z = s * s;
        let mut p = 1.0 / 15.0;
        p = I::madd(p, z, 1.0 / 13.0);
        p = I::madd(p, z, 1.0 / 11.0);
        p = I::madd(p, z, 1.0 / 9.0);
        p = I::madd(p, z, 1.0 / 7.0);
        p = I::madd(p, z, 1.0 / 5.0);
        p = I::madd(p, z, 1.0 / 3.0);
        2.0 * I::madd(p * z, s, s)
    }

    #[inline(always)]
    fn log(self) -> f32 {
        self.ln()
    }
}

impl Real for f64 {
    const ZERO: f64 = 0.0;
    const ONE: f64 = 1.0;

    #[inline(always)]
    fn of(x: f64) -> f64 {
        x
    }

    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }

    #[inline(always)]
    fn madd<I: Isa>(a: f64, b: f64, c: f64) -> f64 {
        if I::FMA { a.mul_add(b, c) } else { a * b + c }
    }

    #[inline(always)]
    fn root(self) -> f64 {
        self.sqrt()
    }

    #[inline(always)]
    fn magnitude(self) -> f64 {
        self.abs()
    }

    #[inline(always)]
    fn tanh<I: Isa>(self) -> f64 {
        f64::tanh(self)
    }

    #[inline(always)]
    fn sigmoid<I: Isa>(self) -> f64 {
        1.0 / (1.0 + (-self).exp())
    }

    #[inline(always)]
    fn log_rest<I: Isa>(self) -> f64 {
        (-self.abs()).exp().ln_1p()
    }

    #[inline(always)]
    fn log(self) -> f64 {
        self.ln()
    }
}

/// Compiles a generic kernel body for each SIMD level and defines a function that picks one.
///
/// As `simd::dispatch!`, with type parameters: `kernel! { fn k<T: Real>(x: &[T]) = body; }`
/// defines `k(level, x)`, where `body<I: Isa, T: Real>(x)` is `#[inline(always)]`.
macro_rules! kernel {
    ($(#[$meta:meta])* $vis:vis fn $name:ident<$($g:ident: $bound:path),*>(
        $($arg:ident: $ty:ty),* $(,)?
    ) $(-> $ret:ty)? = $body:ident;) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name<$($g: $bound),*>(
            level: $crate::simd::Level,
            $($arg: $ty),*
        ) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            fn avx512<$($g: $bound),*>($($arg: $ty),*) $(-> $ret)? {
                $body::<$crate::simd::Avx512, $($g),*>($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            fn avx2<$($g: $bound),*>($($arg: $ty),*) $(-> $ret)? {
                $body::<$crate::simd::Avx2, $($g),*>($($arg),*)
            }
            match level {
                // SAFETY: `Level` values above Portable come from `level()` and `best()`, which
                // give them only on processors with these features.
                #[cfg(target_arch = "x86_64")]
                $crate::simd::Level::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::simd::Level::Avx2 => unsafe { avx2($($arg),*) },
                _ => $body::<$crate::simd::Portable, $($g),*>($($arg),*),
            }
        }
    };
}
pub(crate) use kernel;

/// Evaluates an expression with the type `$T` standing for the element type of a dtype.
macro_rules! by_dtype {
    ($dtype:expr, $op:expr, $T:ident => $body:expr) => {
        match $dtype {
            candle_core::DType::F32 => {
                type $T = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $T = f64;
                $body
            }
            other => candle_core::bail!("{}: dtype {other:?}, expected F32 or F64", $op),
        }
    };
}
pub(crate) use by_dtype;

/// An error unless `x` is F32 or F64: other types have no kernels, on any device.
pub(crate) fn expect_real(op: &str, x: &Tensor) -> Result<()> {
    by_dtype!(x.dtype(), op, _T => Ok(()))
}

/// The numbers of a contiguous CPU storage.
pub(crate) fn slice<'a, T: WithDType>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    contiguous(storage.as_slice::<T>()?, layout)
}

/// The numbers of a storage that a layout covers; every op makes its arguments contiguous.
pub(crate) fn contiguous<'a, T>(numbers: &'a [T], layout: &Layout) -> Result<&'a [T]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&numbers[start..end]),
        None => bail!("expected a contiguous tensor, got the layout {layout:?}"),
    }
}

/// Hands the numbers of a contiguous CPU tensor to `f`.
pub(crate) fn read<T: WithDType, R>(t: &Tensor, f: impl FnOnce(&[T]) -> Result<R>) -> Result<R> {
    let (storage, layout) = t.storage_and_layout();
    match &*storage {
        Storage::Cpu(s) => f(slice(s, layout)?),
        _ => bail!("expected a tensor on the CPU, got one on {:?}", t.device()),
    }
}

/// An error unless `b` has the shape, dtype and device of `a`.
pub(crate) fn same_kind(op: &str, a: &Tensor, b: &Tensor) -> Result<()> {
    if a.dims() != b.dims() {
        bail!("{op}: shapes {:?} and {:?} differ", a.dims(), b.dims())
    }
    if a.dtype() != b.dtype() || !a.device().same_device(b.device()) {
        bail!(
            "{op}: {:?} on {:?} and {:?} on {:?} differ",
            a.dtype(),
            a.device(),
            b.dtype(),
            b.device()
        )
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Portable;

    fn worst(f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64, low: f32, high: f32) -> f64 {
        let n = 200_000;
        (0..=n)
            .map(|i| low + (high - low) * i as f32 / n as f32)
            .map(|x| {
                let want = exact(f64::from(x));
                ((f64::from(f(x)) - want) / want.abs().max(1e-37)).abs()
            })
            .fold(0.0, f64::max)
    }

    #[test]
    fn approximations_are_accurate() {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
        let errors = [
            worst(exp_f32::<Portable>, f64::exp, -87.0, 88.0),
            worst(<f32 as Real>::tanh::<Portable>, f64::tanh, -12.0, 12.0),
            worst(<f32 as Real>::tanh::<Portable>, f64::tanh, -0.7, 0.7),
            worst(<f32 as Real>::sigmoid::<Portable>, sigmoid, -80.0, 80.0),
            worst(<f32 as Real>::softplus::<Portable>, softplus, -80.0, 80.0),
        ];
        assert!(errors.iter().all(|e| *e < 3e-7), "{errors:?}");
    }

    #[test]
    fn extremes_and_nan() {
        for x in [f32::NAN, -f32::NAN] {
            assert!(Real::tanh::<Portable>(x).is_nan());
            assert!(Real::sigmoid::<Portable>(x).is_nan());
            assert!(Real::softplus::<Portable>(x).is_nan());
        }
        let inf = f32::INFINITY;
        assert_eq!(Real::tanh::<Portable>(inf), 1.0);
        assert_eq!(Real::tanh::<Portable>(-inf), -1.0);
        assert_eq!(
            Real::tanh::<Portable>(-0.0f32).to_bits(),
            (-0.0f32).to_bits()
        );
        assert_eq!(Real::sigmoid::<Portable>(inf), 1.0);
        assert!(Real::sigmoid::<Portable>(-inf) < 1e-37);
        assert_eq!(Real::softplus::<Portable>(inf), inf);
        assert!(Real::softplus::<Portable>(-inf) < 1e-37);
    }
}
