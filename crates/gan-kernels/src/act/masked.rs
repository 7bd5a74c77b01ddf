//! Products with a constant mask: dropout.

use crate::mode::{for_grad, wants_grad};
use crate::real::{Real, by_dtype, slice};
use crate::simd::Isa;
use crate::sweep::{Map2, map2};
use crate::tape;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor, bail};

/// `x * (scale * mask)` of tensors of one shape, where the mask is constant.
///
/// Dropout with probability p has a mask of zeros and ones and a scale of 1 / (1 - p).
///
/// # Errors
/// Shapes or types that differ.
pub fn masked(x: &Tensor, mask: &Tensor, scale: f64) -> Result<Tensor> {
    if x.dims() != mask.dims() || x.dtype() != mask.dtype() {
        bail!(
            "masked: {:?} of {:?} and a mask {:?} of {:?}",
            x.dims(),
            x.dtype(),
            mask.dims(),
            mask.dtype()
        )
    }
    let mask = mask.detach();
    if x.device().is_cpu() && matches!(x.dtype(), DType::F32 | DType::F64) {
        return tape::apply2(&x.contiguous()?, &mask.contiguous()?, Masked { scale });
    }
    x * (mask * scale)?
}

#[derive(Clone, Copy)]
struct Masked {
    scale: f64,
}

impl<T: Real> Map2<T> for Masked {
    #[inline(always)]
    fn call<I: Isa>(self, x: T, mask: T) -> T {
        x * (mask * T::of(self.scale))
    }
}

impl CustomOp2 for Masked {
    fn name(&self) -> &'static str {
        "masked"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let y = by_dtype!(s1.dtype(), self.name(), T => {
            T::store(map2(slice::<T>(s1, l1)?, slice::<T>(s2, l2)?, 1, *self))
        });
        Ok((y, l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        mask: &Tensor,
        _: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dx = wants_grad(x).then(|| masked(&for_grad(g), mask, self.scale));
        Ok((dx.transpose()?, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Rng, first_order, numbers, second_order};

    #[test]
    fn gradients_of_both_orders() -> Result<()> {
        let mut rng = Rng(4);
        let x = rng.tensor(&[3, 5])?;
        let mask = rng.tensor(&[3, 5])?.ge(0.)?.to_dtype(DType::F64)?;
        let f = |v: &[Tensor]| masked(&v[0], &mask, 1.5);
        assert!(first_order(std::slice::from_ref(&x), &f)? < 1e-9);
        assert!(second_order(std::slice::from_ref(&x), &f)? < 1e-7);
        let y = numbers(&masked(&x, &mask, 2.)?)?;
        let expected = numbers(&((&x * &mask)? * 2.)?)?;
        assert_eq!(y, expected);
        assert!(masked(&x, &mask.t()?, 2.).is_err());
        Ok(())
    }
}
