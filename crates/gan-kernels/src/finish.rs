//! Gradients of what a layer's output is finished with: sums for the bias, masks for the
//! activation. Both are ops that can be differentiated again.

use crate::mode::{for_grad, wants_grad};
use crate::par::fill_chunks;
use crate::real::contiguous;
use crate::{simd, tape};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Tensor, bail};
use std::mem::MaybeUninit;

/// `g` where `y` is positive, else `slope * g`. Differentiable with respect to `g`.
pub(crate) fn rectified_gradient(y: &Tensor, g: &Tensor, slope: f64) -> Result<Tensor> {
    tape::plain2(
        &g.contiguous()?,
        &y.contiguous()?,
        RectifiedGradient { slope },
    )
}

/// Arguments g and y, of which y has no graph: its derivative is zero almost everywhere.
struct RectifiedGradient {
    slope: f64,
}

impl CustomOp2 for RectifiedGradient {
    fn name(&self) -> &'static str {
        "rectified-gradient"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, candle_core::Shape)> {
        let storage = match (s1, s2) {
            (CpuStorage::F32(g), CpuStorage::F32(y)) => {
                let (g, y) = (contiguous(g, l1)?, contiguous(y, l2)?);
                let (level, slope, n) = (simd::level(), self.slope as f32, g.len());
                // SAFETY: `mask` writes every element of its chunk.
                CpuStorage::F32(unsafe {
                    fill_chunks(n, 1 << 14, n, |start, out| {
                        mask(level, &g[start..], &y[start..], slope, out)
                    })
                })
            }
            (CpuStorage::F64(g), CpuStorage::F64(y)) => {
                let (g, y) = (contiguous(g, l1)?, contiguous(y, l2)?);
                let each = |(&g, &y): (&f64, &f64)| if y > 0.0 { g } else { g * self.slope };
                CpuStorage::F64(g.iter().zip(y).map(each).collect())
            }
            _ => bail!("rectified gradient: expected two tensors of float32 or of float64"),
        };
        Ok((storage, l1.shape().clone()))
    }

    fn bwd(
        &self,
        g: &Tensor,
        y: &Tensor,
        _: &Tensor,
        h: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dg = match wants_grad(g) {
            true => Some(rectified_gradient(&y.detach(), &for_grad(h), self.slope)?),
            false => None,
        };
        Ok((dg, None))
    }
}

#[inline(always)]
fn mask_body<I: simd::Isa>(g: &[f32], y: &[f32], slope: f32, out: &mut [MaybeUninit<f32>]) {
    assert!(g.len() >= out.len() && y.len() >= out.len());
    for ((out, &g), &y) in out.iter_mut().zip(g).zip(y) {
        out.write(if y > 0.0 { g } else { g * slope });
    }
}
simd::dispatch! {
    fn mask(g: &[f32], y: &[f32], slope: f32, out: &mut [MaybeUninit<f32>]) = mask_body;
}

/// Sums over all axes but axis 1: x `[b, c, ...]` gives `[c]`. Differentiable.
pub(crate) fn channel_sums(x: &Tensor) -> Result<Tensor> {
    tape::plain1(&x.contiguous()?, ChannelSums)
}

struct ChannelSums;

impl CustomOp1 for ChannelSums {
    fn name(&self) -> &'static str {
        "channel-sums"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, candle_core::Shape)> {
        let &[b, c, ref rest @ ..] = l.dims() else {
            bail!(
                "channel sums: expected two axes or more, got {:?}",
                l.shape()
            )
        };
        let n: usize = rest.iter().product();
        let storage = match s {
            CpuStorage::F32(x) => {
                let x = contiguous(x, l)?;
                let mut sums = vec![0f32; c];
                let level = simd::level();
                let step = c.div_ceil(16);
                if n == 1 {
                    // Columns of a matrix: add row by row.
                    crate::par::for_each_chunk(&mut sums, step, b * c, |start, sums| {
                        add_rows(level, x, c, start, sums)
                    });
                    return Ok((CpuStorage::F32(sums), c.into()));
                }
                crate::par::for_each_chunk(&mut sums, step, b * c * n, |start, sums| {
                    for (i, sum) in sums.iter_mut().enumerate() {
                        let planes = (0..b).map(|b| &x[(b * c + start + i) * n..][..n]);
                        *sum = planes.map(|p| f64::from(plane_sum(level, p))).sum::<f64>() as f32;
                    }
                });
                CpuStorage::F32(sums)
            }
            CpuStorage::F64(x) => {
                let x = contiguous(x, l)?;
                let mut sums = vec![0f64; c];
                for (i, x) in x.chunks_exact(n.max(1)).enumerate() {
                    sums[i % c] += x.iter().sum::<f64>();
                }
                CpuStorage::F64(sums)
            }
            _ => bail!("channel sums: expected float32 or float64"),
        };
        Ok((storage, c.into()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        let mut dims = vec![1; x.rank()];
        dims[1] = g.elem_count();
        Ok(Some(for_grad(g).reshape(dims)?.broadcast_as(x.shape())?))
    }
}

/// A sum in sixteen lanes, so that it vectorises and its order is the same at every level.
#[inline(always)]
fn plane_sum_body<I: simd::Isa>(x: &[f32]) -> f32 {
    let mut lanes = [0f32; 16];
    let (whole, rest) = x.as_chunks::<16>();
    for x in whole {
        for (lane, x) in lanes.iter_mut().zip(x) {
            *lane += x;
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane += x;
    }
    lanes.iter().sum()
}
simd::dispatch! { fn plane_sum(x: &[f32]) -> f32 = plane_sum_body; }

/// Adds columns `start ..` of all rows of `x` (`columns` wide) to `sums`.
#[inline(always)]
fn add_rows_body<I: simd::Isa>(x: &[f32], columns: usize, start: usize, sums: &mut [f32]) {
    for row in x.chunks_exact(columns) {
        for (sum, x) in sums.iter_mut().zip(&row[start..]) {
            *sum += x;
        }
    }
}
simd::dispatch! {
    fn add_rows(x: &[f32], columns: usize, start: usize, sums: &mut [f32]) = add_rows_body;
}
