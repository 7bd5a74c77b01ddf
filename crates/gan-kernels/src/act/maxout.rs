//! The largest of several features.

use crate::composed::first_max as first_max_of;
use crate::mode::for_grad;
use crate::par;
use crate::real::{Real, by_dtype, expect_real, slice};
use crate::tape;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, bail};

/// The largest of each run of `pieces` features: `[b, units * pieces]` to `[b, units]`, where
/// feature `u * pieces + k` is piece k of unit u.
///
/// Goodfellow et al., "Maxout networks", 2013. The gradient goes to the first of equal pieces.
pub fn maxout(x: &Tensor, pieces: usize) -> Result<Tensor> {
    let &[b, features] = x.dims() else {
        bail!("maxout: input {:?}, expected [b, units * pieces]", x.dims())
    };
    if pieces == 0 || features == 0 || features % pieces != 0 {
        bail!(
            "maxout: {:?} does not divide into units of {pieces} pieces",
            x.dims()
        )
    }
    expect_real("maxout", x)?;
    if x.device().is_cpu() {
        return tape::apply1(&x.contiguous()?, Maxout { pieces });
    }
    maxout_composed(x, b, pieces)
}

/// Piece by piece, as candle's `max` gives its gradient to all of equal pieces and drops NaN.
fn maxout_composed(x: &Tensor, b: usize, pieces: usize) -> Result<Tensor> {
    let units = x.reshape((b, (), pieces))?;
    let first = units.narrow(2, 0, 1)?.squeeze(2)?;
    (1..pieces).try_fold(first, |max, k| {
        first_max_of(&max, &units.narrow(2, k, 1)?.squeeze(2)?)
    })
}

/// The index of the first largest element; the first NaN counts as largest.
#[inline(always)]
fn first_max<T: Real>(x: &[T]) -> usize {
    let mut best = 0;
    for (i, v) in x.iter().enumerate().skip(1) {
        #[allow(clippy::eq_op)] // NaN is what differs from itself
        if *v > x[best] || (*v != *v && x[best] == x[best]) {
            best = i;
        }
    }
    best
}

/// Output units of one task of a maxout op.
const UNITS: usize = 1 << 12;

/// A map between `[b, units * pieces]` and `[b, units]` by the largest piece.
struct Maxout {
    pieces: usize,
}

fn narrow(shape: &Shape, pieces: usize) -> Result<Shape> {
    let (b, features) = shape.dims2()?;
    Ok(Shape::from((b, features / pieces)))
}

impl CustomOp1 for Maxout {
    fn name(&self) -> &'static str {
        "maxout"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let shape = narrow(l.shape(), self.pieces)?;
        let (units, p) = (shape.elem_count(), self.pieces);
        let y = by_dtype!(s.dtype(), self.name(), T => {
            let x = slice::<T>(s, l)?;
            // SAFETY: each element of the chunk is written.
            T::store(unsafe {
                par::fill_chunks(units, UNITS, x.len(), |start, out| {
                    for (x, y) in x[start * p..].chunks_exact(p).zip(out) {
                        y.write(x[first_max(x)]);
                    }
                })
            })
        });
        Ok((y, shape))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        if !x.track_op() {
            return Ok(None);
        }
        let op = MaxoutLinear {
            pieces: self.pieces,
            spread: true,
        };
        tape::plain2(&x.detach(), &for_grad(g).contiguous()?, op).map(Some)
    }
}

/// With the choice of pieces fixed by `x`: spread `[b, units]` to the chosen of
/// `[b, units * pieces]`, or gather from them. Each is the other's transpose.
struct MaxoutLinear {
    pieces: usize,
    spread: bool,
}

impl CustomOp2 for MaxoutLinear {
    fn name(&self) -> &'static str {
        "maxout gradient"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let p = self.pieces;
        let shape = if self.spread {
            l1.shape().clone()
        } else {
            narrow(l1.shape(), p)?
        };
        let y = by_dtype!(s1.dtype(), self.name(), T => {
            let (x, v) = (slice::<T>(s1, l1)?, slice::<T>(s2, l2)?);
            let n = shape.elem_count();
            // SAFETY: each element of the chunk is written.
            T::store(unsafe {
                if self.spread {
                    par::fill_chunks(n, UNITS * p, x.len(), |start, out| {
                        let units = x[start..].chunks_exact(p).zip(&v[start / p..]);
                        for (out, (x, v)) in out.chunks_exact_mut(p).zip(units) {
                            for o in &mut *out {
                                o.write(T::ZERO);
                            }
                            out[first_max(x)].write(*v);
                        }
                    })
                } else {
                    par::fill_chunks(n, UNITS, x.len(), |start, out| {
                        let units =
                            x[start * p..].chunks_exact(p).zip(v[start * p..].chunks_exact(p));
                        for (out, (x, v)) in out.iter_mut().zip(units) {
                            out.write(v[first_max(x)]);
                        }
                    })
                }
            })
        });
        Ok((y, shape))
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
        let op = MaxoutLinear {
            pieces: self.pieces,
            spread: !self.spread,
        };
        let dv = tape::plain2(&x.detach(), &for_grad(h).contiguous()?, op)?;
        Ok((None, Some(dv)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::numbers;
    use candle_core::{Device, Var};

    /// What other devices compute agrees with the kernels, where pieces are equal or NaN too.
    #[test]
    fn composition_agrees() -> Result<()> {
        let nan = f64::NAN;
        let numbers_of_x = [1., 1., 0., 2., 3., 3., nan, 5., nan, 5., nan, 6.];
        let x = Var::from_tensor(&Tensor::new(&numbers_of_x, &Device::Cpu)?.reshape((2, 6))?)?;
        let text = |y: &Tensor| -> Result<String> {
            let gradients =
                (y * Tensor::new(&[[1f64, 2.], [3., 4.]], &Device::Cpu)?)?.backward()?;
            let gradient = gradients.get(&x).map(numbers).transpose()?;
            Ok(format!("{:?} {gradient:?}", numbers(y)?))
        };
        assert_eq!(text(&maxout(&x, 3)?)?, text(&maxout_composed(&x, 2, 3)?)?);
        Ok(())
    }
}
