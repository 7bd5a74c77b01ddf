//! Ops on devices for which this crate has no kernels.
//!
//! Candle's ops compute the value there, without a graph; a node with the op's own backward takes
//! it over. So the rule of an op's gradient stands in one place for all devices, and ops that are
//! gradients are composed in the same way.

use crate::profile::timed;
use crate::real::expect_real;
use crate::tape;
use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp2, Layout, MetalStorage, Result, Shape, Storage,
    Tensor, bail,
};
use std::sync::Mutex;

/// An op of one argument with a form made of candle's ops.
pub(crate) trait Composed1: CustomOp1 + Send + Sync + 'static {
    /// The value in fresh memory, from an argument that is contiguous and has no graph.
    fn composed(&self, x: &Tensor) -> Result<Tensor>;
}

/// As [`Composed1`], of two arguments.
pub(crate) trait Composed2: CustomOp2 + Send + Sync + 'static {
    /// As [`Composed1::composed`].
    fn composed(&self, a: &Tensor, b: &Tensor) -> Result<Tensor>;
}

/// `op` of any view of F32 or F64, recorded where that is asked for ([`tape`]).
pub(crate) fn apply1(x: &Tensor, op: impl Composed1) -> Result<Tensor> {
    expect_real(op.name(), x)?;
    let x = x.contiguous()?;
    match x.device().is_cpu() {
        true => tape::apply1(&x, op),
        false => handed1(&x, op),
    }
}

/// As [`apply1`], of two arguments.
pub(crate) fn apply2(a: &Tensor, b: &Tensor, op: impl Composed2) -> Result<Tensor> {
    expect_real(op.name(), a)?;
    let (a, b) = (a.contiguous()?, b.contiguous()?);
    match a.device().is_cpu() {
        true => tape::apply2(&a, &b, op),
        false => handed2(&a, &b, op),
    }
}

/// As [`apply2`], for an op that is a gradient: it is never recorded.
pub(crate) fn plain2(a: &Tensor, b: &Tensor, op: impl Composed2) -> Result<Tensor> {
    let (a, b) = (a.contiguous()?, b.contiguous()?);
    match a.device().is_cpu() {
        true => tape::plain2(&a, &b, op),
        false => handed2(&a, &b, op),
    }
}

fn handed1(x: &Tensor, op: impl Composed1) -> Result<Tensor> {
    timed(op.name(), &[x], || {
        let value = op.composed(&x.detach())?;
        x.apply_op1(Handed::new(op, value))
    })
}

fn handed2(a: &Tensor, b: &Tensor, op: impl Composed2) -> Result<Tensor> {
    timed(op.name(), &[a, b], || {
        let value = op.composed(&a.detach(), &b.detach())?;
        a.apply_op2(b, Handed::new(op, value))
    })
}

/// An op whose value is there already.
struct Handed<C> {
    op: C,
    /// Taken by the forward pass, so that the graph does not hold the memory a second time.
    value: Mutex<Option<Tensor>>,
}

impl<C> Handed<C> {
    fn new(op: C, value: Tensor) -> Self {
        let value = Mutex::new(Some(value));
        Self { op, value }
    }

    /// A copy of the value, as candle gives no tensor's storage away.
    fn hand<S: BackendStorage>(
        &self,
        name: &str,
        of: impl FnOnce(&Storage) -> Option<&S>,
    ) -> Result<(S, Shape)> {
        let value = self.value.lock().ok().and_then(|mut value| value.take());
        let Some(value) = value else {
            bail!("{name}: its value was taken before")
        };
        let (storage, layout) = value.storage_and_layout();
        match (of(&storage), layout.contiguous_offsets()) {
            (Some(storage), Some((0, _))) => {
                Ok((storage.try_clone(layout)?, layout.shape().clone()))
            }
            _ => bail!("{name}: the composed value lies on another device, or is a view"),
        }
    }
}

fn cpu(storage: &Storage) -> Option<&CpuStorage> {
    match storage {
        Storage::Cpu(storage) => Some(storage),
        _ => None,
    }
}

fn cuda(storage: &Storage) -> Option<&CudaStorage> {
    match storage {
        Storage::Cuda(storage) => Some(storage),
        _ => None,
    }
}

fn metal(storage: &Storage) -> Option<&MetalStorage> {
    match storage {
        Storage::Metal(storage) => Some(storage),
        _ => None,
    }
}

impl<C: CustomOp1> CustomOp1 for Handed<C> {
    fn name(&self) -> &'static str {
        self.op.name()
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.hand(self.name(), cpu)
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        self.hand(self.name(), cuda)
    }

    fn metal_fwd(&self, _: &MetalStorage, _: &Layout) -> Result<(MetalStorage, Shape)> {
        self.hand(self.name(), metal)
    }

    fn bwd(&self, x: &Tensor, result: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        self.op.bwd(x, result, g)
    }
}

impl<C: CustomOp2> CustomOp2 for Handed<C> {
    fn name(&self) -> &'static str {
        self.op.name()
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.hand(self.name(), cpu)
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.hand(self.name(), cuda)
    }

    fn metal_fwd(
        &self,
        _: &MetalStorage,
        _: &Layout,
        _: &MetalStorage,
        _: &Layout,
    ) -> Result<(MetalStorage, Shape)> {
        self.hand(self.name(), metal)
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        result: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        self.op.bwd(a, b, result, g)
    }
}

/// `value` where `mask` is not 0, else `other`: a choice with a number.
pub(crate) fn choose(mask: &Tensor, value: f64, other: &Tensor) -> Result<Tensor> {
    let value = Tensor::new(value, other.device())?.to_dtype(other.dtype())?;
    mask.where_cond(&value.broadcast_as(other.shape())?, other)
}

/// The larger of `a` and `b`: of equal ones `a`, and NaN counts as largest. Its gradient goes to
/// the one that it is, where candle's `maximum` would share it out.
pub(crate) fn first_max(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    // The three cases exclude one another, so the sum of the masks is a mask.
    let nan = (b.ne(b)? * a.eq(a)?)?;
    (b.gt(a)? + nan)?.where_cond(b, a)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    /// Twice its argument; its backward says three times.
    struct Twice;

    impl CustomOp1 for Twice {
        fn name(&self) -> &'static str {
            "twice"
        }
        fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
            bail!("the kernel of the CPU")
        }
        fn bwd(&self, _: &Tensor, _: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
            (g * 3.0).map(Some)
        }
    }

    impl Composed1 for Twice {
        fn composed(&self, x: &Tensor) -> Result<Tensor> {
            x * 2.0
        }
    }

    #[test]
    fn a_value_is_handed_over_with_the_ops_own_gradient() -> Result<()> {
        let x = Var::new(&[1f32, -2.0], &Device::Cpu)?;
        let y = handed1(&x, Twice)?;
        assert_eq!(y.to_vec1::<f32>()?, [2.0, -4.0]);
        let gradients = y.sum_all()?.backward()?;
        let gradient = gradients.get(&x).map(|g| g.to_vec1()).transpose()?;
        assert_eq!(gradient, Some(vec![3f32, 3.0]));
        // A view of something larger is refused, as its storage would be the larger one's.
        let view = Tensor::new(&[0f32, 1.0, 2.0], &Device::Cpu)?.narrow(0, 1, 2)?;
        assert!(x.apply_op1(Handed::new(Twice, view)).is_err());
        Ok(())
    }

    #[test]
    fn the_first_of_equals_and_nan_are_largest() -> Result<()> {
        let nan = f64::NAN;
        let a = Var::new(&[1.0, 2.0, 3.0, nan, 0.0, nan], &Device::Cpu)?;
        let b = Var::new(&[1.0, 3.0, 2.0, 5.0, nan, nan], &Device::Cpu)?;
        let y = first_max(&a, &b)?;
        let text = format!("{:?}", y.to_vec1::<f64>()?);
        assert_eq!(text, "[1.0, 3.0, 3.0, NaN, NaN, NaN]");
        let gradients = y.sum_all()?.backward()?;
        let gradient = gradients.get(&a).map(|g| g.to_vec1()).transpose()?;
        assert_eq!(gradient, Some(vec![1f64, 0.0, 1.0, 1.0, 0.0, 1.0]));
        Ok(())
    }
}
