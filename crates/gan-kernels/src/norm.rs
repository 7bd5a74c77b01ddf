//! Normalisation with a fused activation: batch, instance, layer and pixel norm, and minibatch
//! standard deviation.
//!
//! Batch, instance and layer norm take `[b, c, h, w]` (or `[b, c]`, and any number of dimensions
//! after the channels) and are one node each: statistics, affine map and [`Act`] in two passes
//! forward and two backward. All are twice differentiable; the second derivative is fused too.
//!
//! Variances are computed about a shift near the mean, in f64 across lanes. Zero-sized inputs are
//! errors.

mod kernels;

use crate::act::{Act, by_act};
use crate::mode::{self, Mode, for_grad, wants_param_grad};
use crate::par;
use crate::real::{Real, by_dtype, kernel, read, slice};
use crate::simd::{self, Isa};
use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, D, InplaceOp1, Layout, Result, Shape, Tensor, Var,
    bail,
};
use kernels::{Affine, Dims, Group, Stats};
use std::mem::MaybeUninit;
use std::sync::{Arc, OnceLock};

/// Batch norm in training: normalises with the mean and the (biased) variance of each channel
/// over the batch, and moves the running statistics.
///
/// `x` is `[b, c, …]`; `weight`, `bias` and the running statistics are `[c]`. As in PyTorch,
/// `momentum` is the weight of the new value, and the running variance takes the unbiased
/// variance; so a channel with one value only is an error. The running statistics are updated in
/// place and see no gradient; every tensor that shares their storage sees the change.
///
/// Ioffe and Szegedy, "Batch normalization", 2015.
#[allow(clippy::too_many_arguments)]
pub fn batch_norm(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    running_mean: &Var,
    running_var: &Var,
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
        return x
            .contiguous()?
            .apply_op3(&weight.contiguous()?, &bias.contiguous()?, op);
    }
    let inv = (var + eps)?.sqrt()?.recip()?;
    let centred = x.broadcast_sub(&channels(&mean, x)?)?;
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

/// Pixel norm: `x / √(mean over channels of x² + eps)`; `x` is `[b, c, …]`.
///
/// Karras et al., "Progressive growing of GANs", 2018, section 4.2 (eps 1e-8).
pub fn pixel_norm(x: &Tensor, eps: f64) -> Result<Tensor> {
    dims("pixel_norm", x, Group::Row)?;
    if x.device().is_cpu() {
        return x.contiguous()?.apply_op1(PixelNorm { eps });
    }
    x.broadcast_mul(&pixel_scale(x, eps)?)
}

/// Appends a channel that holds the mean standard deviation over a group of pictures:
/// `[b, c, h, w]` to `[b, c + 1, h, w]`.
///
/// Groups are strided: with g = min(group, b) pictures a group, picture i is in group
/// i mod (b / g). The deviation is `√(var + eps)` with the population variance over the group of
/// each element, averaged over c, h, w. g has to divide b.
///
/// Karras et al., "Progressive growing of GANs", 2018, section 3 (group 4, eps 1e-8). A
/// composition of candle's ops: it stands once in a network, where pictures are 4x4.
pub fn minibatch_stddev(x: &Tensor, group: usize, eps: f64) -> Result<Tensor> {
    let &[b, c, h, w] = x.dims() else {
        bail!(
            "minibatch_stddev: input {:?}, expected [b, c, h, w]",
            x.dims()
        )
    };
    dims("minibatch_stddev", x, Group::Row)?;
    let g = group.min(b);
    if g == 0 || b % g != 0 {
        bail!(
            "minibatch_stddev: groups of {group} do not divide the batch of {:?}",
            x.dims()
        )
    }
    let y = x.reshape((g, b / g, c * h * w))?;
    let centred = y.broadcast_sub(&y.mean_keepdim(0)?)?;
    let deviation = (centred.sqr()?.mean(0)? + eps)?
        .sqrt()?
        .mean_keepdim(D::Minus1)?; // [b / g, 1]
    let channel = deviation
        .reshape((1, b / g, 1, 1))?
        .broadcast_as((g, b / g, h, w))?;
    Tensor::cat(&[x, &channel.contiguous()?.reshape((b, 1, h, w))?], 1)
}

/// The shape of an input, which must be `[b, c, …]` with at least one element.
fn dims(op: &str, x: &Tensor, group: Group) -> Result<Dims> {
    if x.rank() < 2 || x.elem_count() == 0 {
        bail!(
            "{op}: input {:?}, expected [b, c, …] with at least one element",
            x.dims()
        )
    }
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
        Some((weight, bias)) => x.apply_op3(&weight.contiguous()?, &bias.contiguous()?, norm),
        None => x.apply_op1(norm),
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
    let y = x
        .contiguous()?
        .apply_op3(&weight.contiguous()?, &bias.contiguous()?, norm)?;
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
    let mean = rows.mean_keepdim(over)?;
    let centred = rows.broadcast_sub(&mean)?;
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
fn follow(running: &Var, new: Tensor, factor: f64, momentum: f64) -> Result<()> {
    if running.device().is_cpu() {
        return running.inplace_op1(&Follow {
            new,
            factor,
            momentum,
        });
    }
    running.set(&((running.detach() * (1.0 - momentum))? + (new * (momentum * factor))?)?)
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

/// What a norm computes.
#[derive(Clone)]
struct Spec {
    dims: Dims,
    eps: f64,
    act: Act,
    /// Given mean and variance (evaluation).
    fixed: Option<(Tensor, Tensor)>,
}

/// Batch, instance or layer norm; with gain and offset as a ternary op, without as a unary one.
struct Norm {
    spec: Spec,
    /// Filled by the forward pass.
    stats: Arc<OnceLock<Stats>>,
}

impl Norm {
    fn new(spec: Spec) -> Self {
        Self {
            spec,
            stats: Arc::default(),
        }
    }

    fn stats(&self) -> Result<&Stats> {
        match self.stats.get() {
            Some(stats) => Ok(stats),
            None => bail!("norm: backward before forward"),
        }
    }

    fn forward<T: Real>(&self, x: &[T], affine: Affine<'_, T>) -> Result<CpuStorage> {
        let Spec {
            dims,
            eps,
            act,
            fixed,
        } = &self.spec;
        let run = |given: Option<(&[T], &[T])>| by_act!(*act, T, act => kernels::forward(*dims, x, affine, act, *eps, given));
        let (y, stats) = match fixed {
            None => run(None),
            Some((mean, var)) => read::<T, _>(mean, |mean| {
                read::<T, _>(var, |var| Ok(run(Some((mean, var)))))
            })?,
        };
        // A second forward of one op object would give the same statistics.
        let _ = self.stats.set(stats);
        Ok(T::store(y))
    }

    /// The gradients of input, gain and offset, without a graph.
    fn gradients<T: Real>(
        &self,
        x: &Tensor,
        affine: Option<(&Tensor, &Tensor)>,
        g: &Tensor,
    ) -> Result<[Tensor; 3]> {
        let (Spec { dims, act, .. }, stats) = (&self.spec, self.stats()?);
        let grads = with_affine::<T, _>(affine, |affine| {
            read::<T, _>(x, |x| {
                read::<T, _>(g, |g| {
                    Ok(by_act!(*act, T, act => {
                        kernels::backward(*dims, x, g, affine, act, stats)
                    }))
                })
            })
        })?;
        let device = x.device();
        Ok([
            Tensor::from_vec(grads.x, x.shape(), device)?,
            Tensor::from_vec(grads.gain, dims.c, device)?,
            Tensor::from_vec(grads.offset, dims.c, device)?,
        ])
    }

    /// The gradient of the input as a node of its own.
    fn input_gradient(
        &self,
        x: &Tensor,
        affine: Option<(&Tensor, &Tensor)>,
        g: &Tensor,
    ) -> Result<Tensor> {
        let op = NormGrad {
            norm: Norm {
                spec: self.spec.clone(),
                stats: self.stats.clone(),
            },
            offset: affine.map(|(_, offset)| offset.detach()),
        };
        // Given statistics make dx independent of x.
        let x = if self.spec.fixed.is_some() {
            x.detach()
        } else {
            x.clone()
        };
        match affine {
            Some((gain, _)) => x.apply_op3(gain, g, op),
            None => x.apply_op2(g, op),
        }
    }

    /// The gradients of gain and offset with their graph, for the rare penalty on a network whose
    /// gain is itself computed.
    fn affine_gradients(&self, x: &Tensor, y: &Tensor, g: &Tensor) -> Result<[Tensor; 2]> {
        let Spec {
            dims, eps, fixed, ..
        } = &self.spec;
        let normal = Norm::new(Spec {
            dims: *dims,
            eps: *eps,
            act: Act::None,
            fixed: fixed.clone(),
        });
        let normal = x.apply_op1(normal)?;
        let g = match self.spec.act {
            Act::None => g.clone(),
            act => {
                let slope = if let Act::LeakyRelu(slope) = act {
                    slope
                } else {
                    0.0
                };
                let positive = y.detach().gt(0.0)?.to_dtype(g.dtype())?;
                (g * ((positive * (1.0 - slope))? + slope)?)?
            }
        };
        let shape = (dims.b, dims.c, dims.n);
        let sum = |t: Tensor| t.reshape(shape)?.sum((0, 2));
        Ok([sum((&g * normal)?)?, sum(g)?])
    }
}

/// Hands the numbers of gain and offset to `f`.
fn with_affine<T: Real, R>(
    affine: Option<(&Tensor, &Tensor)>,
    f: impl FnOnce(Affine<'_, T>) -> Result<R>,
) -> Result<R> {
    match affine {
        None => f(Affine {
            gain: None,
            offset: None,
        }),
        Some((gain, offset)) => read::<T, _>(gain, |gain| {
            read::<T, _>(offset, |offset| {
                f(Affine {
                    gain: Some(gain),
                    offset: Some(offset),
                })
            })
        }),
    }
}

impl CustomOp1 for Norm {
    fn name(&self) -> &'static str {
        "norm"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = by_dtype!(s.dtype(), "norm", T => {
            self.forward::<T>(slice(s, l)?, Affine { gain: None, offset: None })?
        });
        Ok((y, l.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        if !x.track_op() {
            return Ok(None);
        }
        let g = for_grad(g).contiguous()?;
        if mode::current() == Mode::Penalty {
            return self.input_gradient(x, None, &g).map(Some);
        }
        let [dx, ..] = by_dtype!(x.dtype(), "norm", T => self.gradients::<T>(x, None, &g)?);
        Ok(Some(dx))
    }
}

impl CustomOp3 for Norm {
    fn name(&self) -> &'static str {
        "norm"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let y = by_dtype!(s1.dtype(), "norm", T => {
            let affine = Affine { gain: Some(slice(s2, l2)?), offset: Some(slice(s3, l3)?) };
            self.forward::<T>(slice(s1, l1)?, affine)?
        });
        Ok((y, l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        gain: &Tensor,
        offset: &Tensor,
        y: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let g = for_grad(g).contiguous()?;
        if mode::current() == Mode::Penalty {
            let dx = if x.track_op() {
                Some(self.input_gradient(x, Some((gain, offset)), &g)?)
            } else {
                None
            };
            if !wants_param_grad(gain) && !wants_param_grad(offset) {
                return Ok((dx, None, None));
            }
            let [d_gain, d_offset] = self.affine_gradients(x, y, &g)?;
            return Ok((
                dx,
                wants_param_grad(gain).then_some(d_gain),
                wants_param_grad(offset).then_some(d_offset),
            ));
        }
        let [dx, d_gain, d_offset] = by_dtype!(x.dtype(), "norm", T => {
            self.gradients::<T>(x, Some((gain, offset)), &g)?
        });
        Ok((
            x.track_op().then_some(dx),
            gain.track_op().then_some(d_gain),
            offset.track_op().then_some(d_offset),
        ))
    }
}

/// The gradient of a norm's input, from the input, the gain if there is one, and the upstream
/// gradient. The offset decides only where the activation bends, so it is no argument.
struct NormGrad {
    norm: Norm,
    offset: Option<Tensor>,
}

impl NormGrad {
    /// The gradients of `g`, input and gain for an upstream gradient `h`.
    fn second(
        &self,
        x: &Tensor,
        gain: Option<&Tensor>,
        g: &Tensor,
        h: &Tensor,
    ) -> Result<[Tensor; 3]> {
        if mode::current() == Mode::Penalty {
            bail!("norm: third derivatives are not implemented")
        }
        let (Spec { dims, act, .. }, stats) = (&self.norm.spec, self.norm.stats()?);
        let h = h.detach().contiguous()?;
        let affine = gain.zip(self.offset.as_ref());
        let device = x.device();
        by_dtype!(x.dtype(), "norm gradient", T => {
            let grads = with_affine::<T, _>(affine, |affine| {
                read::<T, _>(x, |x| {
                    read::<T, _>(g, |g| {
                        read::<T, _>(&h, |h| {
                            Ok(by_act!(*act, T, act => {
                                kernels::second(*dims, x, [g, h], affine, act, stats)
                            }))
                        })
                    })
                })
            })?;
            Ok([
                Tensor::from_vec(grads.g, g.shape(), device)?,
                Tensor::from_vec(grads.x, x.shape(), device)?,
                Tensor::from_vec(grads.gain, dims.c, device)?,
            ])
        })
    }

    fn forward<T: Real>(&self, x: &[T], gain: Option<&[T]>, g: &[T]) -> Result<CpuStorage> {
        let (Spec { dims, act, .. }, stats) = (&self.norm.spec, self.norm.stats()?);
        let run = |offset: Option<&[T]>| {
            let affine = Affine { gain, offset };
            by_act!(*act, T, act => kernels::backward(*dims, x, g, affine, act, stats).x)
        };
        Ok(T::store(match &self.offset {
            None => run(None),
            Some(offset) => read::<T, _>(offset, |offset| Ok(run(Some(offset))))?,
        }))
    }
}

impl CustomOp2 for NormGrad {
    fn name(&self) -> &'static str {
        "norm gradient"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let dx = by_dtype!(s1.dtype(), "norm gradient", T => {
            self.forward::<T>(slice(s1, l1)?, None, slice(s2, l2)?)?
        });
        Ok((dx, l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        g: &Tensor,
        _: &Tensor,
        h: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [dg, dx, _] = self.second(x, None, g, h)?;
        Ok((x.track_op().then_some(dx), g.track_op().then_some(dg)))
    }
}

impl CustomOp3 for NormGrad {
    fn name(&self) -> &'static str {
        "norm gradient"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let dx = by_dtype!(s1.dtype(), "norm gradient", T => {
            self.forward::<T>(slice(s1, l1)?, Some(slice(s2, l2)?), slice(s3, l3)?)?
        });
        Ok((dx, l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        gain: &Tensor,
        g: &Tensor,
        _: &Tensor,
        h: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [dg, dx, d_gain] = self.second(x, Some(gain), g, h)?;
        Ok((
            x.track_op().then_some(dx),
            gain.track_op().then_some(d_gain),
            g.track_op().then_some(dg),
        ))
    }
}

/// `1/√(mean over channels of x² + eps)`, `[b, 1, …]`, from candle's ops.
fn pixel_scale(x: &Tensor, eps: f64) -> Result<Tensor> {
    (x.sqr()?.mean_keepdim(1)? + eps)?.sqrt()?.recip()
}

/// Pixels that a task of pixel norm takes at once: their sums stay in registers and L1.
const PIXELS: usize = 256;

/// `y = x r` for a run of pixels of a picture, whose channels are `n` apart.
#[inline(always)]
fn pixel_norm_body<I: Isa, T: Real>(x: &[T], n: usize, eps: f64, y: &mut [MaybeUninit<T>]) {
    let c = x.len() / n;
    for start in (0..n).step_by(PIXELS) {
        let count = PIXELS.min(n - start);
        let mut sums = [T::ZERO; PIXELS];
        for channel in 0..c {
            let x = &x[channel * n + start..][..count];
            for (s, x) in sums.iter_mut().zip(x) {
                *s = T::madd::<I>(*x, *x, *s);
            }
        }
        let (mean, eps) = (T::of(1.0 / c as f64), T::of(eps));
        for s in &mut sums[..count] {
            *s = T::ONE / T::madd::<I>(*s, mean, eps).root();
        }
        for channel in 0..c {
            let at = channel * n + start..channel * n + start + count;
            for ((y, x), r) in y[at.clone()].iter_mut().zip(&x[at]).zip(&sums) {
                y.write(*x * *r);
            }
        }
    }
}
kernel! {
    fn pixel_norm_kernel<T: Real>(x: &[T], n: usize, eps: f64, y: &mut [MaybeUninit<T>])
        = pixel_norm_body;
}

/// `dx = r (g - x r² mean(g x))` for a picture.
#[inline(always)]
fn pixel_gradient_body<I: Isa, T: Real>(
    x: &[T],
    g: &[T],
    n: usize,
    eps: f64,
    dx: &mut [MaybeUninit<T>],
) {
    let c = x.len() / n;
    for start in (0..n).step_by(PIXELS) {
        let count = PIXELS.min(n - start);
        let (mut squares, mut products) = ([T::ZERO; PIXELS], [T::ZERO; PIXELS]);
        for channel in 0..c {
            let at = channel * n + start..channel * n + start + count;
            let inputs = x[at.clone()].iter().zip(&g[at]);
            for ((s, p), (x, g)) in squares.iter_mut().zip(&mut products).zip(inputs) {
                *s = T::madd::<I>(*x, *x, *s);
                *p = T::madd::<I>(*x, *g, *p);
            }
        }
        let (mean, eps) = (T::of(1.0 / c as f64), T::of(eps));
        for (s, p) in squares.iter_mut().zip(&mut products).take(count) {
            let r = T::ONE / T::madd::<I>(*s, mean, eps).root();
            *p = T::ZERO - r * r * r * mean * *p;
            *s = r;
        }
        for channel in 0..c {
            let at = channel * n + start..channel * n + start + count;
            let inputs = x[at.clone()].iter().zip(&g[at.clone()]);
            let factors = squares.iter().zip(&products);
            for ((dx, (x, g)), (r, p)) in dx[at].iter_mut().zip(inputs).zip(factors) {
                dx.write(T::madd::<I>(*x, *p, *g * *r));
            }
        }
    }
}
kernel! {
    fn pixel_gradient_kernel<T: Real>(
        x: &[T], g: &[T], n: usize, eps: f64, dx: &mut [MaybeUninit<T>]
    ) = pixel_gradient_body;
}

struct PixelNorm {
    eps: f64,
}

impl CustomOp1 for PixelNorm {
    fn name(&self) -> &'static str {
        "pixel_norm"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let level = simd::level();
        let (picture, n) = picture_and_pixels(l.dims());
        let y = by_dtype!(s.dtype(), "pixel_norm", T => {
            let x = slice::<T>(s, l)?;
            // SAFETY: a chunk is a picture, which the kernel writes whole.
            T::store(unsafe {
                par::fill_chunks(x.len(), picture, 2 * x.len(), |start, y| {
                    pixel_norm_kernel(level, &x[start..start + y.len()], n, self.eps, y)
                })
            })
        });
        Ok((y, l.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        if !x.track_op() {
            return Ok(None);
        }
        if mode::current() == Mode::Penalty {
            // From ops that differentiate again.
            let r = pixel_scale(x, self.eps)?;
            let mean = (g * x)?.mean_keepdim(1)?;
            let along = x.broadcast_mul(&(r.sqr()? * mean)?)?;
            return Ok(Some((g - along)?.broadcast_mul(&r)?));
        }
        let level = simd::level();
        let (picture, n) = picture_and_pixels(x.dims());
        let g = g.detach().contiguous()?;
        let dx = by_dtype!(x.dtype(), "pixel_norm", T => {
            let dx = read::<T, _>(x, |x| {
                read::<T, _>(&g, |g| {
                    // SAFETY: a chunk is a picture, which the kernel writes whole.
                    Ok(unsafe {
                        par::fill_chunks(x.len(), picture, 4 * x.len(), |start, dx| {
                            let at = start..start + dx.len();
                            let (x, g) = (&x[at.clone()], &g[at]);
                            pixel_gradient_kernel(level, x, g, n, self.eps, dx)
                        })
                    })
                })
            })?;
            Tensor::from_vec(dx, x.shape(), x.device())?
        });
        Ok(Some(dx))
    }
}

/// How many elements a picture has, and how many pixels.
fn picture_and_pixels(dims: &[usize]) -> (usize, usize) {
    let n: usize = dims[2..].iter().product();
    (dims[1] * n, n)
}
