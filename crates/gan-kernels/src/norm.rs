//! Normalisation with a fused activation: batch, instance, layer and pixel norm, and minibatch
//! standard deviation.
//!
//! Batch, instance and layer norm take `[b, c, h, w]` (or `[b, c]`, and any number of dimensions
//! after the channels) and are one node each: statistics, affine map and [`Act`] in two passes
//! forward and two backward. All are twice differentiable; the second derivative is fused too.
//!
//! Variances are computed about a shift near the mean, in f64 across lanes. Zero-sized inputs are
//! errors.

mod columns;
mod kernels;
mod ops;
mod pixel;
mod shared;

pub use pixel::{minibatch_stddev, pixel_norm};

use crate::act::Act;
use crate::real::{expect_real, read};
use crate::tape;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Tensor, bail};
use ops::{Norm, Spec};
use shared::{Dims, Group};

/// Batch norm in training: normalises with the mean and the (biased) variance of each channel
/// over the batch, and moves the running statistics.
///
/// `x` is `[b, c, …]`; `weight`, `bias` and the running statistics are `[c]`. As in PyTorch,
/// `momentum` is the weight of the new value, and the running variance takes the unbiased
/// variance; so a channel with one value only is an error. The running statistics (a `Var`, or a
/// tensor that shares its storage) are updated in place and see no gradient; every tensor that
/// shares their storage sees the change.
///
/// Ioffe and Szegedy, "Batch normalization", 2015.
#[allow(clippy::too_many_arguments)]
pub fn batch_norm(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    running_mean: &Tensor,
    running_var: &Tensor,
    momentum: f64,
    eps: f64,
    act: Act,
) -> Result<Tensor> {
    let dims = dims("batch_norm", x, Group::Channel)?;
    for (name, t) in [
        ("running mean", running_mean),
        ("running variance", running_var),
    ] {
        expect_channels("batch_norm", name, t, x)?;
        if !t.is_contiguous() {
            bail!(
                "batch_norm: {name} with the layout {:?}, expected a contiguous one",
                t.layout()
            )
        }
    }
    let n = dims.group_len();
    if n < 2 {
        bail!(
            "batch_norm: input {:?} has one value for each channel, no variance",
            x.dims()
        )
    }
    let (y, mean, var) = batch_statistics("batch_norm", x, weight, bias, eps, act, dims)?;
    let unbiased = n as f64 / (n - 1) as f64;
    follow(running_mean, mean, 1.0, momentum)?;
    follow(running_var, var, unbiased, momentum)?;
    Ok(y)
}

/// Batch norm with the batch's statistics, without running ones: for a network that uses batch
/// statistics at test time, or in a second pass that must not count.
///
/// Shapes as for [`batch_norm`]. One value for each channel is allowed; the result is then `bias`.
pub fn batch_norm_batch(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
    act: Act,
) -> Result<Tensor> {
    let dims = dims("batch_norm", x, Group::Channel)?;
    Ok(batch_statistics("batch_norm", x, weight, bias, eps, act, dims)?.0)
}

/// Batch norm in evaluation: normalises with the running statistics.
///
/// Shapes as for [`batch_norm`].
pub fn batch_norm_eval(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    running_mean: &Tensor,
    running_var: &Tensor,
    eps: f64,
    act: Act,
) -> Result<Tensor> {
    const OP: &str = "batch_norm";
    let dims = dims(OP, x, Group::Channel)?;
    for (name, t) in [
        ("running mean", running_mean),
        ("running variance", running_var),
    ] {
        expect_channels(OP, name, t, x)?;
    }
    expect_affine(OP, x, weight, bias)?;
    let (mean, var) = (
        running_mean.detach().contiguous()?,
        running_var.detach().contiguous()?,
    );
    if x.device().is_cpu() {
        let op = Norm::new(Spec {
            dims,
            eps,
            act,
            fixed: Some((mean, var)),
        });
        return tape::apply3(
            &x.contiguous()?,
            &weight.contiguous()?,
            &bias.contiguous()?,
            op,
        );
    }
    eval_composed(x, weight, bias, &mean, &var, eps, act)
}

fn eval_composed(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    mean: &Tensor,
    var: &Tensor,
    eps: f64,
    act: Act,
) -> Result<Tensor> {
    let inv = (var + eps)?.sqrt()?.recip()?;
    let centred = x.broadcast_sub(&channels(mean, x)?)?;
    let y = centred.broadcast_mul(&channels(&(weight * inv)?, x)?)?;
    act.apply(&y.broadcast_add(&channels(bias, x)?)?)
}

/// Instance norm: mean and variance of each picture's each channel.
///
/// `x` is `[b, c, …]`; `affine` holds a gain and an offset `[c]`.
///
/// Ulyanov, Vedaldi and Lempitsky, "Instance normalization", 2016.
pub fn instance_norm(
    x: &Tensor,
    affine: Option<(&Tensor, &Tensor)>,
    eps: f64,
    act: Act,
) -> Result<Tensor> {
    let dims = dims("instance_norm", x, Group::Row)?;
    grouped("instance_norm", x, affine, eps, act, dims)
}

/// Layer norm over all dimensions but the first: mean and variance of each picture.
///
/// `x` is `[b, c, …]`; `affine` holds a gain and an offset, either `[c]` (one for each channel:
/// group norm with one group) or of the shape of a picture, `[c, …]` (one for each element).
///
/// Ba, Kiros and Hinton, "Layer normalization", 2016.
pub fn layer_norm(
    x: &Tensor,
    affine: Option<(&Tensor, &Tensor)>,
    eps: f64,
    act: Act,
) -> Result<Tensor> {
    const OP: &str = "layer_norm";
    let dims = dims(OP, x, Group::Picture)?;
    match affine {
        Some((gain, offset)) if x.rank() > 2 && gain.rank() > 1 => {
            let picture = &x.dims()[1..];
            if gain.dims() != picture || offset.dims() != picture {
                bail!(
                    "{OP}: gain {:?} and offset {:?} for an input {:?}",
                    gain.dims(),
                    offset.dims(),
                    x.dims()
                )
            }
            let y = grouped(OP, x, None, eps, Act::None, dims)?;
            act.apply(&y.broadcast_mul(gain)?.broadcast_add(offset)?)
        }
        _ => grouped(OP, x, affine, eps, act, dims),
    }
}

/// The shape of an input, which must be `[b, c, …]` with at least one element.
fn dims(op: &str, x: &Tensor, group: Group) -> Result<Dims> {
    if x.rank() < 2 || x.elem_count() == 0 {
        bail!(
            "{op}: input {:?}, expected [b, c, …] with at least one element",
            x.dims()
        )
    }
    expect_real(op, x)?;
    let (b, c) = (x.dims()[0], x.dims()[1]);
    Ok(Dims {
        b,
        c,
        n: x.dims()[2..].iter().product(),
        group,
    })
}

/// An error unless `t` has one value for each channel of `x`, and its dtype.
fn expect_channels(op: &str, name: &str, t: &Tensor, x: &Tensor) -> Result<()> {
    if t.dims() != [x.dims()[1]] {
        bail!(
            "{op}: {name} {:?} for an input {:?}, expected one for each channel",
            t.dims(),
            x.dims()
        )
    }
    if t.dtype() != x.dtype() {
        bail!(
            "{op}: {name} of {:?} for an input of {:?}",
            t.dtype(),
            x.dtype()
        )
    }
    Ok(())
}

fn expect_affine(op: &str, x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<()> {
    expect_channels(op, "gain", weight, x)?;
    expect_channels(op, "offset", bias, x)
}

/// A `[c]` tensor with dimensions of 1 such that it broadcasts over `x` `[b, c, …]`.
fn channels(t: &Tensor, x: &Tensor) -> Result<Tensor> {
    let mut dims = vec![1; x.rank()];
    dims[1] = x.dims()[1];
    t.reshape(dims)
}

fn grouped(
    op: &str,
    x: &Tensor,
    affine: Option<(&Tensor, &Tensor)>,
    eps: f64,
    act: Act,
    dims: Dims,
) -> Result<Tensor> {
    if let Some((weight, bias)) = affine {
        expect_affine(op, x, weight, bias)?;
    }
    if !x.device().is_cpu() {
        return Ok(composed(x, affine, eps, act, dims)?.0);
    }
    let (x, norm) = (
        x.contiguous()?,
        Norm::new(Spec {
            dims,
            eps,
            act,
            fixed: None,
        }),
    );
    match affine {
        Some((weight, bias)) => tape::apply3(&x, &weight.contiguous()?, &bias.contiguous()?, norm),
        None => tape::apply1(&x, norm),
    }
}

/// y, and the mean and population variance of each channel.
fn batch_statistics(
    op: &str,
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
    act: Act,
    dims: Dims,
) -> Result<(Tensor, Tensor, Tensor)> {
    expect_affine(op, x, weight, bias)?;
    if !x.device().is_cpu() {
        return composed(x, Some((weight, bias)), eps, act, dims);
    }
    let norm = Norm::new(Spec {
        dims,
        eps,
        act,
        fixed: None,
    });
    let stats = norm.stats.clone();
    let y = tape::apply3(
        &x.contiguous()?,
        &weight.contiguous()?,
        &bias.contiguous()?,
        norm,
    )?;
    let Some(stats) = stats.get() else {
        bail!("{op}: no statistics")
    };
    let tensor = |v: &[f64]| Tensor::new(v, x.device())?.to_dtype(x.dtype());
    Ok((y, tensor(&stats.mean)?, tensor(&stats.var)?))
}

/// The norm from candle's own ops: y, mean and variance of the groups.
fn composed(
    x: &Tensor,
    affine: Option<(&Tensor, &Tensor)>,
    eps: f64,
    act: Act,
    Dims { b, c, n, group }: Dims,
) -> Result<(Tensor, Tensor, Tensor)> {
    let rows = x.reshape((b, c, n))?;
    let over: &[usize] = match group {
        Group::Channel => &[0, 2],
        Group::Row => &[2],
        Group::Picture => &[1, 2],
    };
    // About the first value of each group, so that a mean far from 0 costs no digits.
    let mut shift = rows.detach();
    for dim in over {
        shift = shift.narrow(*dim, 0, 1)?;
    }
    let moved = rows.broadcast_sub(&shift)?;
    let mean = moved.mean_keepdim(over)?;
    let centred = moved.broadcast_sub(&mean)?;
    let mean = (shift + mean)?;
    let var = centred.sqr()?.mean_keepdim(over)?;
    let mut y = centred.broadcast_div(&(&var + eps)?.sqrt()?)?;
    if let Some((weight, bias)) = affine {
        y = y
            .broadcast_mul(&channels(weight, &rows)?)?
            .broadcast_add(&channels(bias, &rows)?)?;
    }
    let flat = |t: &Tensor| t.detach().flatten_all();
    Ok((act.apply(&y.reshape(x.dims())?)?, flat(&mean)?, flat(&var)?))
}

/// `running ← (1 - momentum) running + momentum · factor · new`, in place.
fn follow(running: &Tensor, new: Tensor, factor: f64, momentum: f64) -> Result<()> {
    if running.device().is_cpu() {
        return running.inplace_op1(&Follow {
            new,
            factor,
            momentum,
        });
    }
    let moved = ((running.detach() * (1.0 - momentum))? + (new * (momentum * factor))?)?;
    running.slice_set(&moved, 0, 0)
}

struct Follow {
    new: Tensor,
    factor: f64,
    momentum: f64,
}

impl InplaceOp1 for Follow {
    fn name(&self) -> &'static str {
        "running statistics"
    }

    fn cpu_fwd(&self, s: &mut CpuStorage, l: &Layout) -> Result<()> {
        let Some((start, end)) = l.contiguous_offsets() else {
            bail!("running statistics: expected a contiguous tensor, got the layout {l:?}")
        };
        let mix =
            |old: f64, new: f64| (1.0 - self.momentum) * old + self.momentum * self.factor * new;
        match s {
            CpuStorage::F32(v) => read::<f32, _>(&self.new, |new| {
                for (v, new) in v[start..end].iter_mut().zip(new) {
                    *v = mix(f64::from(*v), f64::from(*new)) as f32;
                }
                Ok(())
            }),
            CpuStorage::F64(v) => read::<f64, _>(&self.new, |new| {
                for (v, new) in v[start..end].iter_mut().zip(new) {
                    *v = mix(*v, *new);
                }
                Ok(())
            }),
            _ => bail!("running statistics: {:?}, expected F32 or F64", s.dtype()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// What other devices compute agrees with the kernels.
    #[test]
    fn composition_agrees() -> Result<()> {
        let x = Tensor::arange(0f64, 72., &Device::Cpu)?
            .reshape((2, 3, 3, 4))?
            .sin()?;
        let w = Tensor::new(&[0.5f64, -1.0, 2.0], &Device::Cpu)?;
        let act = Act::LeakyRelu(0.2);
        for group in [Group::Channel, Group::Row, Group::Picture] {
            let dims = dims("norm", &x, group)?;
            for affine in [None, Some((&w, &w))] {
                let want = composed(&x, affine, 1e-5, act, dims)?.0;
                let got = grouped("norm", &x, affine, 1e-5, act, dims)?;
                let difference = (want - got)?.abs()?.sum_all()?.to_scalar::<f64>()?;
                assert!(difference < 1e-12, "{group:?}: {difference:e}");
            }
        }
        let (mean, var) = (w.sqr()?, w.sqr()?);
        let want = batch_norm_eval(&x, &w, &w, &mean, &var, 1e-5, act)?;
        let got = eval_composed(&x, &w, &w, &mean, &var, 1e-5, act)?;
        assert!((want - got)?.abs()?.sum_all()?.to_scalar::<f64>()? < 1e-12);
        Ok(())
    }
}
