//! Batch, instance and layer norm as nodes of the graph, and their gradient as one.

use super::kernels;
use super::shared::{Affine, Dims, Stats};
use crate::act::{Act, by_act};
use crate::mode::{self, Mode, for_grad, wants_param_grad};
use crate::real::{Real, by_dtype, read, slice};
use crate::tape;
use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail,
};
use std::sync::{Arc, OnceLock};

/// What a norm computes.
#[derive(Clone)]
pub(super) struct Spec {
    pub dims: Dims,
    pub eps: f64,
    pub act: Act,
    /// Given mean and variance (evaluation).
    pub fixed: Option<(Tensor, Tensor)>,
}

/// Batch, instance or layer norm; with gain and offset as a ternary op, without as a unary one.
pub(super) struct Norm {
    pub spec: Spec,
    /// Filled by the forward pass.
    pub stats: Arc<OnceLock<Stats>>,
}

impl Norm {
    pub(super) fn new(spec: Spec) -> Self {
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
            Some((gain, _)) => tape::plain3(&x, gain, g, op),
            None => tape::plain2(&x, g, op),
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
        let normal = tape::plain1(x, normal)?;
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
