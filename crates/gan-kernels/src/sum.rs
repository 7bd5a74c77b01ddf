//! The sum of two tensors of one shape: a residual connection, and gradients that meet.
//!
//! The second may have a factor, as the residuals of very deep networks have.

use crate::mode::{for_grad, wants_grad};
use crate::real::{Real, by_dtype, slice};
use crate::simd::Isa;
use crate::sweep::{Map2, map2};
use crate::tape;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor, bail};

/// `a + b` of tensors of one shape; on the CPU on all threads.
///
/// # Errors
/// Shapes or types that differ.
pub fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    add_scaled(a, b, 1.)
}

/// `a + scale * b` of tensors of one shape; on the CPU on all threads.
///
/// # Errors
/// Shapes or types that differ.
pub fn add_scaled(a: &Tensor, b: &Tensor, scale: f64) -> Result<Tensor> {
    if a.dims() != b.dims() || a.dtype() != b.dtype() {
        bail!(
            "add: {:?} of {:?} and {:?} of {:?}",
            a.dims(),
            a.dtype(),
            b.dims(),
            b.dtype()
        )
    }
    if a.device().is_cpu() && matches!(a.dtype(), DType::F32 | DType::F64) {
        return tape::apply2(&a.contiguous()?, &b.contiguous()?, Add { scale });
    }
    match scale == 1. {
        true => a + b,
        false => a + (b * scale)?,
    }
}

#[derive(Clone, Copy)]
struct Add {
    scale: f64,
}

#[derive(Clone, Copy)]
struct Scaled<T>(T);

impl<T: Real> Map2<T> for Scaled<T> {
    #[inline(always)]
    fn call<I: Isa>(self, a: T, b: T) -> T {
        a + self.0 * b
    }
}

impl CustomOp2 for Add {
    fn name(&self) -> &'static str {
        "add"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let y = by_dtype!(s1.dtype(), self.name(), T => {
            T::store(map2(slice::<T>(s1, l1)?, slice::<T>(s2, l2)?, 1, Scaled(T::of(self.scale))))
        });
        Ok((y, l1.shape().clone()))
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        _: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let g = for_grad(g);
        let to_b = || match self.scale == 1. {
            true => Ok(g.clone()),
            false => &g * self.scale,
        };
        let to_b = wants_grad(b).then(to_b).transpose()?;
        Ok((wants_grad(a).then(|| g.clone()), to_b))
    }
}
