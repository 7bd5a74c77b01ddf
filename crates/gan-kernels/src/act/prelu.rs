//! The rectifier with a learnt slope.

use super::{Activate, Leaky};
use crate::mode::{self, Mode, wants_param_grad};
use crate::par;
use crate::real::{Real, by_dtype, expect_real, kernel, read, slice};
use crate::simd::{self, Isa};
use crate::sweep::{CHUNK, LANES, total};
use crate::tape;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use std::mem::MaybeUninit;

/// `max(x, 0) + a min(x, 0)` with a learnt slope: `weight` is `[1]`, or `[c]` with one slope for
/// each index of dimension 1 of `x` `[b, c, …]`.
///
/// He et al., "Delving deep into rectifiers", 2015. The derivative at 0 is `a`.
pub fn prelu(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let slopes = weight.elem_count();
    if weight.rank() != 1 || (slopes != 1 && (x.rank() < 2 || x.dims()[1] != slopes)) {
        bail!(
            "prelu: slopes {:?} for an input {:?}, expected [1] or one for each channel",
            weight.dims(),
            x.dims()
        )
    }
    if weight.dtype() != x.dtype() {
        bail!(
            "prelu: slopes of {:?} for an input of {:?}",
            weight.dtype(),
            x.dtype()
        )
    }
    expect_real("prelu", x)?;
    if x.device().is_cpu() {
        return tape::apply2(&x.contiguous()?, &weight.contiguous()?, PRelu);
    }
    prelu_composed(x, weight)
}

/// `weight` with dimensions of 1 such that it broadcasts over `x`.
fn per_channel(weight: &Tensor, x: &Tensor) -> Result<Tensor> {
    let mut dims = vec![1; x.rank()];
    if weight.elem_count() > 1 {
        dims[1] = weight.elem_count();
    }
    weight.reshape(dims)
}

fn prelu_composed(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    // Two choices, as the slope's gradient must not see 0 * x of a positive x, which may be infinite.
    let (positive, zero) = (x.gt(0.0)?, x.zeros_like()?);
    let negative = positive.where_cond(&zero, x)?;
    positive.where_cond(x, &zero)? + negative.broadcast_mul(&per_channel(weight, x)?)?
}

/// Runs of elements that have one slope: `(run length, number of slopes)`.
fn runs(x: &Layout, slopes: usize) -> (usize, usize) {
    match slopes {
        1 => (CHUNK, 1),
        c => (x.dims()[2..].iter().product(), c),
    }
}

#[inline(always)]
fn prelu_body<I: Isa, T: Real>(
    x: &[T],
    run: usize,
    first: usize,
    slopes: &[T],
    y: &mut [MaybeUninit<T>],
) {
    for (i, (x, y)) in x.chunks(run).zip(y.chunks_mut(run)).enumerate() {
        let a = Leaky(slopes[(first + i) % slopes.len()]);
        for (x, y) in x.iter().zip(y) {
            y.write(a.value(*x));
        }
    }
}
kernel! {
    fn prelu_kernel<T: Real>(
        x: &[T], run: usize, first: usize, slopes: &[T], y: &mut [MaybeUninit<T>]
    ) = prelu_body;
}

/// Writes the gradient of the input and, for each run, that of its slope.
#[inline(always)]
fn prelu_grad_body<I: Isa, T: Real>(
    x: &[T],
    g: &[T],
    run: usize,
    first: usize,
    slopes: &[T],
    dx: &mut [MaybeUninit<T>],
    sums: &mut [f64],
) {
    let chunks = x
        .chunks(run)
        .zip(g.chunks(run))
        .zip(dx.chunks_mut(run))
        .zip(sums);
    for (i, (((x, g), dx), sum)) in chunks.enumerate() {
        let a = Leaky(slopes[(first + i) % slopes.len()]);
        let mut lanes = [T::ZERO; LANES];
        let groups = x
            .chunks(LANES)
            .zip(g.chunks(LANES))
            .zip(dx.chunks_mut(LANES));
        for ((x, g), dx) in groups {
            for (((x, g), dx), lane) in x.iter().zip(g).zip(dx).zip(&mut lanes) {
                dx.write(a.chain(*x, *g));
                *lane += if *x > T::ZERO { T::ZERO } else { *g * *x };
            }
        }
        *sum = total(&lanes);
    }
}
kernel! {
    fn prelu_grad_kernel<T: Real>(
        x: &[T], g: &[T], run: usize, first: usize, slopes: &[T],
        dx: &mut [MaybeUninit<T>], sums: &mut [f64]
    ) = prelu_grad_body;
}

struct PRelu;

impl PRelu {
    /// The gradients of input and slopes.
    fn gradients<T: Real>(x: &[T], g: &[T], run: usize, slopes: &[T]) -> (Vec<T>, Vec<T>) {
        let level = simd::level();
        let rows = x.len().div_ceil(run);
        let mut sums = vec![0f64; rows];
        let per_task = CHUNK.div_ceil(run);
        let sum_ptr = par::SendPtr(sums.as_mut_ptr());
        // SAFETY: each chunk is written whole by the kernel. A chunk is `per_task` runs, so the
        // sums that two tasks write are disjoint, and `sums` outlives the call.
        let dx = unsafe {
            par::fill_chunks(x.len(), per_task * run, 2 * x.len(), |start, dx| {
                let (first, end) = (start / run, start + dx.len());
                let count = dx.len().div_ceil(run);
                let sums = std::slice::from_raw_parts_mut(sum_ptr.get().add(first), count);
                prelu_grad_kernel(
                    level,
                    &x[start..end],
                    &g[start..end],
                    run,
                    first,
                    slopes,
                    dx,
                    sums,
                );
            })
        };
        let mut dw = vec![0f64; slopes.len()];
        for (i, sum) in sums.iter().enumerate() {
            dw[i % slopes.len()] += sum;
        }
        (dx, dw.into_iter().map(T::of).collect())
    }
}

impl CustomOp2 for PRelu {
    fn name(&self) -> &'static str {
        "prelu"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let level = simd::level();
        let y = by_dtype!(s1.dtype(), self.name(), T => {
            let (x, slopes) = (slice::<T>(s1, l1)?, slice::<T>(s2, l2)?);
            let (run, _) = runs(l1, slopes.len());
            let run = run.max(1);
            // SAFETY: the kernel writes one element for each of the chunk's.
            T::store(unsafe {
                par::fill_chunks(x.len(), CHUNK.div_ceil(run) * run, x.len(), |start, out| {
                    let x = &x[start..start + out.len()];
                    prelu_kernel(level, x, run, start / run, slopes, out)
                })
            })
        });
        Ok((y, l1.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        if mode::current() == Mode::Penalty {
            let positive = x.detach().gt(0.0)?.to_dtype(x.dtype())?;
            let negative = (1.0 - &positive)?;
            let dx = if x.track_op() {
                let slope = negative.broadcast_mul(&per_channel(w, x)?)?;
                Some((g * (slope + &positive)?)?)
            } else {
                None
            };
            let dw = if wants_param_grad(w) {
                let mut over: Vec<usize> = (0..x.rank()).collect();
                if w.elem_count() > 1 {
                    over.remove(1);
                }
                Some(((g * x)? * negative)?.sum(over)?.reshape(w.dims())?)
            } else {
                None
            };
            return Ok((dx, dw));
        }
        let g = g.detach().contiguous()?;
        let (run, _) = runs(x.layout(), w.elem_count());
        let (dx, dw) = by_dtype!(x.dtype(), self.name(), T => {
            let (dx, dw) = read::<T, _>(x, |x| {
                read::<T, _>(&g, |g| {
                    read::<T, _>(w, |w| Ok(Self::gradients(x, g, run.max(1), w)))
                })
            })?;
            let dx = Tensor::from_vec(dx, x.shape(), x.device())?;
            (dx, Tensor::from_vec(dw, w.shape(), w.device())?)
        });
        Ok((x.track_op().then_some(dx), w.track_op().then_some(dw)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// What other devices compute agrees with the kernels.
    #[test]
    fn composition_agrees() -> Result<()> {
        let x = Tensor::new(&[[-3.0f64, -0.5, 0.0], [0.1, -0.9, 4.0]], &Device::Cpu)?;
        let w = Tensor::new(&[0.1f64, -0.5, 2.0], &Device::Cpu)?;
        for w in [w.clone(), w.narrow(0, 0, 1)?] {
            let difference = (prelu(&x, &w)? - prelu_composed(&x, &w)?)?
                .abs()?
                .sum_all()?;
            assert!(difference.to_scalar::<f64>()? < 1e-14);
        }
        Ok(())
    }
}
