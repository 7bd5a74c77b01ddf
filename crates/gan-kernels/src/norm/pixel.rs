//! Pixel norm, and minibatch standard deviation.

use super::dims;
use super::shared::Group;
use crate::mode::{self, Mode};
use crate::par;
use crate::real::{Real, by_dtype, kernel, read, slice};
use crate::simd::{self, Isa};
use crate::tape;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, D, Layout, Result, Shape, Tensor, bail};
use std::mem::MaybeUninit;

/// Pixel norm: `x / √(mean over channels of x² + eps)`; `x` is `[b, c, …]`.
///
/// Karras et al., "Progressive growing of GANs", 2018, section 4.2 (eps 1e-8).
pub fn pixel_norm(x: &Tensor, eps: f64) -> Result<Tensor> {
    dims("pixel_norm", x, Group::Row)?;
    if x.device().is_cpu() {
        return tape::apply1(&x.contiguous()?, PixelNorm { eps });
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
