//! Average and max pooling of `[b, c, h, w]`, right on any size.
//!
//! Windows that would reach over the right or lower edge are dropped, as in PyTorch:
//! the output has `(h - kernel) / stride + 1` rows, rounded down.

mod halves;

use crate::composed::first_max;
use crate::mode::for_grad;
use crate::par;
use crate::real::{Real, by_dtype, expect_real, slice};
use crate::simd;
use crate::tape;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, bail};
use halves::{average_back_halves, average_halves, beats, gather_halves, spread_halves};
use std::mem::MaybeUninit;

/// The mean over windows of `kernel` (height, width) that lie `stride` apart.
///
/// `x` is `[b, c, h, w]`. A window larger than the picture is an error. The gradient is right
/// where windows overlap or leave a border, and differentiates again.
pub fn avg_pool2d(x: &Tensor, kernel: (usize, usize), stride: (usize, usize)) -> Result<Tensor> {
    let windows = Windows::new("avg_pool2d", x, kernel, stride)?;
    let x = x.contiguous()?;
    if x.device().is_cpu() {
        return tape::apply1(&x, AvgPool(windows));
    }
    avg_composed(&windows, &x)
}

fn avg_composed(windows: &Windows, x: &Tensor) -> Result<Tensor> {
    let sum = windows.shifted(x)?.into_iter().reduce(|a, b| a? + b?);
    match sum {
        Some(sum) => sum? / (windows.kernel.0 * windows.kernel.1) as f64,
        None => bail!("avg_pool2d: empty window {:?}", windows.kernel),
    }
}

/// The largest element of windows of `kernel` (height, width) that lie `stride` apart.
///
/// `x` is `[b, c, h, w]`. The gradient goes to the first of equal elements, in reading order. NaN
/// counts as largest.
pub fn max_pool2d(x: &Tensor, kernel: (usize, usize), stride: (usize, usize)) -> Result<Tensor> {
    let windows = Windows::new("max_pool2d", x, kernel, stride)?;
    let x = x.contiguous()?;
    if x.device().is_cpu() {
        return tape::apply1(&x, MaxPool(windows));
    }
    max_composed(&windows, &x)
}

fn max_composed(windows: &Windows, x: &Tensor) -> Result<Tensor> {
    let places = windows.shifted(x)?.into_iter();
    match places.reduce(|a, b| first_max(&a?, &b?)) {
        Some(max) => max,
        None => bail!("max_pool2d: empty window {:?}", windows.kernel),
    }
}

/// Where windows lie in pictures.
#[derive(Clone, Copy)]
struct Windows {
    planes: usize,
    h: usize,
    w: usize,
    oh: usize,
    ow: usize,
    kernel: (usize, usize),
    stride: (usize, usize),
}

impl Windows {
    fn new(
        op: &str,
        x: &Tensor,
        kernel: (usize, usize),
        stride: (usize, usize),
    ) -> Result<Windows> {
        let &[b, c, h, w] = x.dims() else {
            bail!("{op}: input {:?}, expected [b, c, h, w]", x.dims())
        };
        expect_real(op, x)?;
        if b * c == 0 {
            bail!("{op}: input {:?} is empty", x.dims())
        }
        if kernel.0 == 0 || kernel.1 == 0 || stride.0 == 0 || stride.1 == 0 {
            bail!("{op}: window {kernel:?} and stride {stride:?}, expected at least 1")
        }
        if kernel.0 > h || kernel.1 > w {
            bail!(
                "{op}: window {kernel:?} is larger than the pictures of {:?}",
                x.dims()
            )
        }
        let (oh, ow) = ((h - kernel.0) / stride.0 + 1, (w - kernel.1) / stride.1 + 1);
        Ok(Windows {
            planes: b * c,
            h,
            w,
            oh,
            ow,
            kernel,
            stride,
        })
    }

    fn input(&self) -> usize {
        self.h * self.w
    }

    fn output(&self) -> usize {
        self.oh * self.ow
    }

    fn work(&self) -> usize {
        self.planes * self.output() * self.kernel.0 * self.kernel.1
    }

    /// A shape with the two last dimensions replaced.
    fn shape(&self, of: &Shape, h: usize, w: usize) -> Shape {
        Shape::from((of.dims()[0], of.dims()[1], h, w))
    }

    /// For each place in a window, the elements at that place, `[b, c, oh, ow]`.
    fn shifted(&self, x: &Tensor) -> Result<Vec<Result<Tensor>>> {
        let pick = |t: Tensor, dim: usize, start: usize, stride: usize, count: usize| {
            if stride == 1 {
                return t.narrow(dim, start, count);
            }
            let at: Vec<u32> = (0..count).map(|i| (start + i * stride) as u32).collect();
            t.contiguous()?
                .index_select(&Tensor::new(at, t.device())?, dim)
        };
        Ok((0..self.kernel.0)
            .flat_map(|ky| (0..self.kernel.1).map(move |kx| (ky, kx)))
            .map(|(ky, kx)| {
                let rows = pick(x.clone(), 2, ky, self.stride.0, self.oh)?;
                pick(rows, 3, kx, self.stride.1, self.ow)
            })
            .collect())
    }

    /// Where the largest element of a window is, in its plane.
    #[inline(always)]
    fn first_max<T: Real>(&self, x: &[T], oy: usize, ox: usize) -> usize {
        let start = oy * self.stride.0 * self.w + ox * self.stride.1;
        let mut best = start;
        for ky in 0..self.kernel.0 {
            for i in start + ky * self.w..start + ky * self.w + self.kernel.1 {
                if beats(x[i], x[best]) {
                    best = i;
                }
            }
        }
        best
    }

    /// The means of the windows of all planes.
    fn average<T: Real>(&self, x: &[T]) -> Vec<T> {
        let scale = T::of(1.0 / (self.kernel.0 * self.kernel.1) as f64);
        let plane = |x: &[T], y: &mut [MaybeUninit<T>]| {
            for (oy, y) in y.chunks_exact_mut(self.ow).enumerate() {
                for (ox, y) in y.iter_mut().enumerate() {
                    let start = oy * self.stride.0 * self.w + ox * self.stride.1;
                    let mut sum = T::ZERO;
                    for ky in 0..self.kernel.0 {
                        for v in &x[start + ky * self.w..][..self.kernel.1] {
                            sum += *v;
                        }
                    }
                    y.write(sum * scale);
                }
            }
        };
        let level = simd::level();
        let is_half = self.is_half();
        let n = self.output();
        // SAFETY: a chunk is an output plane, and both forms write all rows of it.
        unsafe {
            par::fill_chunks(self.planes * n, n, self.work(), |start, y| {
                let x = &x[start / n * self.input()..][..self.input()];
                if is_half {
                    average_halves(level, x, self.w, self.ow, y);
                } else {
                    plane(x, y);
                }
            })
        }
    }

    /// The transpose of [`Windows::average`].
    fn average_back<T: Real>(&self, g: &[T]) -> Vec<T> {
        if self.is_half() {
            let (level, n) = (simd::level(), self.input());
            // SAFETY: the kernel writes each element of the chunk, an input plane.
            return unsafe {
                par::fill_chunks(self.planes * n, n, self.work(), |start, dx| {
                    let g = &g[start / n * self.output()..][..self.output()];
                    average_back_halves(level, g, self.w, self.ow, dx);
                })
            };
        }
        let scale = T::of(1.0 / (self.kernel.0 * self.kernel.1) as f64);
        self.fill_inputs(|plane, dx| {
            let g = &g[plane * self.output()..][..self.output()];
            for (oy, g) in g.chunks_exact(self.ow).enumerate() {
                for ky in 0..self.kernel.0 {
                    let row = &mut dx[(oy * self.stride.0 + ky) * self.w..][..self.w];
                    for (ox, g) in g.iter().enumerate() {
                        for d in &mut row[ox * self.stride.1..][..self.kernel.1] {
                            *d += *g * scale;
                        }
                    }
                }
            }
        })
    }

    /// Planes of the input's size that start as zeros.
    fn fill_inputs<T: Real>(&self, f: impl Fn(usize, &mut [T]) + Sync) -> Vec<T> {
        let n = self.input();
        // SAFETY: each element of the chunk is written before `f` sees it.
        unsafe {
            par::fill_chunks(self.planes * n, n, self.work(), |start, dx| {
                for d in &mut *dx {
                    d.write(T::ZERO);
                }
                // All elements are initialised, and `MaybeUninit<T>` has the layout of T.
                f(start / n, &mut *(std::ptr::from_mut(dx) as *mut [T]))
            })
        }
    }

    /// Whether windows are the usual ones, 2x2 side by side.
    fn is_half(&self) -> bool {
        self.kernel == (2, 2) && self.stride == (2, 2)
    }

    /// For each window, the element of `v` at the place of the largest of `x`.
    fn gather<T: Real>(&self, x: &[T], v: &[T]) -> Vec<T> {
        let n = self.output();
        if self.is_half() {
            let level = simd::level();
            // SAFETY: the kernel writes each element of the chunk, an output plane.
            return unsafe {
                par::fill_chunks(self.planes * n, n, self.work(), |start, y| {
                    let plane = start / n * self.input()..(start / n + 1) * self.input();
                    gather_halves(level, &x[plane.clone()], &v[plane], self.w, self.ow, y);
                })
            };
        }
        // SAFETY: each element of the chunk, an output plane, is written.
        unsafe {
            par::fill_chunks(self.planes * n, n, self.work(), |start, y| {
                let plane = start / n * self.input()..(start / n + 1) * self.input();
                let (x, v) = (&x[plane.clone()], &v[plane]);
                for (i, y) in y.iter_mut().enumerate() {
                    y.write(v[self.first_max(x, i / self.ow, i % self.ow)]);
                }
            })
        }
    }

    /// The transpose of [`Windows::gather`] in `v`.
    fn spread<T: Real>(&self, x: &[T], g: &[T]) -> Vec<T> {
        if self.is_half() {
            let (level, n) = (simd::level(), self.input());
            // SAFETY: the kernel writes each element of the chunk, an input plane.
            return unsafe {
                par::fill_chunks(self.planes * n, n, self.work(), |start, dx| {
                    let g = &g[start / n * self.output()..][..self.output()];
                    spread_halves(level, &x[start..start + n], g, self.w, self.ow, dx);
                })
            };
        }
        self.fill_inputs(|plane, dx| {
            let x = &x[plane * self.input()..][..self.input()];
            let g = &g[plane * self.output()..][..self.output()];
            for (i, g) in g.iter().enumerate() {
                dx[self.first_max(x, i / self.ow, i % self.ow)] += *g;
            }
        })
    }
}

/// `[b, c, h, w]` to `[b, c, oh, ow]`.
struct AvgPool(Windows);

impl CustomOp1 for AvgPool {
    fn name(&self) -> &'static str {
        "avg_pool2d"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = by_dtype!(s.dtype(), self.name(), T => T::store(self.0.average(slice::<T>(s, l)?)));
        Ok((y, self.0.shape(l.shape(), self.0.oh, self.0.ow)))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        if !x.track_op() {
            return Ok(None);
        }
        tape::plain1(&for_grad(g).contiguous()?, AvgPoolBack(self.0)).map(Some)
    }
}

/// The transpose: `[b, c, oh, ow]` to `[b, c, h, w]`.
struct AvgPoolBack(Windows);

impl CustomOp1 for AvgPoolBack {
    fn name(&self) -> &'static str {
        "avg_pool2d gradient"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = by_dtype!(s.dtype(), self.name(), T => {
            T::store(self.0.average_back(slice::<T>(s, l)?))
        });
        Ok((y, self.0.shape(l.shape(), self.0.h, self.0.w)))
    }

    fn bwd(&self, g: &Tensor, _: &Tensor, h: &Tensor) -> Result<Option<Tensor>> {
        if !g.track_op() {
            return Ok(None);
        }
        tape::plain1(&for_grad(h).contiguous()?, AvgPool(self.0)).map(Some)
    }
}

/// `[b, c, h, w]` to `[b, c, oh, ow]`.
struct MaxPool(Windows);

impl CustomOp1 for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool2d"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = by_dtype!(s.dtype(), self.name(), T => {
            let x = slice::<T>(s, l)?;
            T::store(self.0.gather(x, x))
        });
        Ok((y, self.0.shape(l.shape(), self.0.oh, self.0.ow)))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        if !x.track_op() {
            return Ok(None);
        }
        let op = MaxPoolLinear {
            windows: self.0,
            spread: true,
        };
        tape::plain2(&x.detach(), &for_grad(g).contiguous()?, op).map(Some)
    }
}

/// With the places fixed by `x`: spread gradients of windows to their largest elements, or gather
/// from those. Each is the other's transpose.
struct MaxPoolLinear {
    windows: Windows,
    spread: bool,
}

impl CustomOp2 for MaxPoolLinear {
    fn name(&self) -> &'static str {
        "max_pool2d gradient"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let w = self.windows;
        let y = by_dtype!(s1.dtype(), self.name(), T => {
            let (x, v) = (slice::<T>(s1, l1)?, slice::<T>(s2, l2)?);
            T::store(if self.spread { w.spread(x, v) } else { w.gather(x, v) })
        });
        let (h, width) = if self.spread {
            (w.h, w.w)
        } else {
            (w.oh, w.ow)
        };
        Ok((y, w.shape(l1.shape(), h, width)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        v: &Tensor,
        _: &Tensor,
        h: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        if !v.track_op() {
            return Ok((None, None));
        }
        let op = MaxPoolLinear {
            windows: self.windows,
            spread: !self.spread,
        };
        let dv = tape::plain2(&x.detach(), &for_grad(h).contiguous()?, op)?;
        Ok((None, Some(dv)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// What other devices compute agrees with the kernels.
    #[test]
    fn compositions_agree() -> Result<()> {
        let x = Tensor::arange(0f64, 126., &Device::Cpu)?
            .reshape((1, 2, 7, 9))?
            .sin()?;
        for (kernel, stride) in [((2, 2), (2, 2)), ((3, 2), (1, 2)), ((2, 3), (3, 1))] {
            let windows = Windows::new("pool", &x, kernel, stride)?;
            let pairs = [
                (avg_pool2d(&x, kernel, stride)?, avg_composed(&windows, &x)?),
                (max_pool2d(&x, kernel, stride)?, max_composed(&windows, &x)?),
            ];
            for (a, b) in pairs {
                assert!((a - b)?.abs()?.sum_all()?.to_scalar::<f64>()? < 1e-12);
            }
        }
        Ok(())
    }
}
