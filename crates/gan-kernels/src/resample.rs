//! Nearest upsampling, pixel shuffle and reflection padding, differentiable any number of times.
//!
//! Each is a linear map that moves numbers; its gradient is its exact adjoint, whose gradient is
//! the map again. Float32 and float64 on the CPU run on loops of this crate, other devices on
//! candle's reshapes and index selections.

use crate::mode::{for_grad, wants_grad};
use crate::par::fill_chunks;
use crate::real::{contiguous, expect_real};
use crate::tape;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Tensor, bail};
use std::mem::MaybeUninit;
use std::ops::Add;

/// Repeats every pixel twice in both directions: x `[b, c, h, w]` gives `[b, c, 2h, 2w]`.
///
/// Errors: not four axes, an empty tensor, a type other than float32 and float64.
pub fn upsample_nearest2x(x: &Tensor) -> Result<Tensor> {
    checked("upsample_nearest2x", x)?;
    apply(x, Map::Repeat)
}

/// Moves channels to space: x `[b, c r², h, w]` gives `[b, c, h r, w r]`, where pixel
/// `(y r + i, x r + j)` of channel c is channel `c r² + i r + j` at `(y, x)`, as in PyTorch.
///
/// Errors: r of zero, channels that r² does not divide, and as [`upsample_nearest2x`].
pub fn pixel_shuffle(x: &Tensor, r: usize) -> Result<Tensor> {
    let [_, c, ..] = checked("pixel_shuffle", x)?;
    match r.checked_mul(r) {
        Some(rr) if rr > 0 && c % rr == 0 => apply(x, Map::Shuffle(r)),
        _ => bail!(
            "pixel_shuffle: channels of {:?} are not a multiple of {r} squared",
            x.shape()
        ),
    }
}

/// The inverse of [`pixel_shuffle`]: x `[b, c, h r, w r]` gives `[b, c r², h, w]`.
///
/// Errors: a height or width that r does not divide, and as [`upsample_nearest2x`].
pub fn pixel_unshuffle(x: &Tensor, r: usize) -> Result<Tensor> {
    let [.., h, w] = checked("pixel_unshuffle", x)?;
    if r == 0 || h % r != 0 || w % r != 0 {
        bail!(
            "pixel_unshuffle: height and width of {:?} are not multiples of {r}",
            x.shape()
        )
    }
    apply(x, Map::Unshuffle(r))
}

/// Pads every side with `p` pixels mirrored at the border, which is not repeated:
/// x `[b, c, h, w]` gives `[b, c, h + 2p, w + 2p]`.
///
/// Errors: a padding not less than the height and the width, and as [`upsample_nearest2x`].
pub fn reflection_pad2d(x: &Tensor, p: usize) -> Result<Tensor> {
    let [_, _, h, w] = checked("reflection_pad2d", x)?;
    if p >= h || p >= w {
        bail!(
            "reflection_pad2d: padding {p} is not less than the sizes of {:?}",
            x.shape()
        )
    }
    apply(x, Map::Reflect(p))
}

fn checked(name: &str, x: &Tensor) -> Result<[usize; 4]> {
    let &[b, c, h, w] = x.dims() else {
        bail!("{name}: expected [b, c, h, w], got {:?}", x.shape())
    };
    if x.elem_count() == 0 {
        bail!("{name}: empty input {:?}", x.shape())
    }
    expect_real(name, x)?;
    Ok([b, c, h, w])
}

/// Where padded coordinate `i` of an axis of `n` comes from.
fn mirrored(i: usize, p: usize, n: usize) -> usize {
    let i = i.abs_diff(p);
    if i < n { i } else { 2 * (n - 1) - i }
}

fn apply(x: &Tensor, map: Map) -> Result<Tensor> {
    let x = x.contiguous()?;
    if x.device().is_cpu() {
        tape::apply1(&x, map)
    } else {
        native(&x, map)
    }
}

/// The maps of a contiguous tensor by candle's reshapes and index selections; their gradients are candle's.
fn native(x: &Tensor, map: Map) -> Result<Tensor> {
    let (b, c, h, w) = x.dims4()?;
    let moved = match map {
        Map::Repeat => x
            .reshape((b, c, h, 1, w, 1))?
            .broadcast_as((b, c, h, 2, w, 2))?,
        Map::Shuffle(r) => x
            .reshape(&[b, c / (r * r), r, r, h, w][..])?
            .permute(vec![0, 1, 4, 2, 5, 3])?,
        Map::Unshuffle(r) => x
            .reshape(&[b, c, h / r, r, w / r, r][..])?
            .permute(vec![0, 1, 3, 5, 2, 4])?,
        Map::Reflect(p) => {
            let index = |n: usize| {
                let all: Vec<u32> = (0..n + 2 * p).map(|i| mirrored(i, p, n) as u32).collect();
                Tensor::from_vec(all, n + 2 * p, x.device())
            };
            return x.index_select(&index(h)?, 2)?.index_select(&index(w)?, 3);
        }
        Map::Sum | Map::Fold(_) => bail!("{}: only a gradient", map.name()),
    };
    moved
        .contiguous()?
        .reshape(map.output([b, c, h, w]).as_slice())
}

/// The maps and their adjoints.
#[derive(Clone, Copy, Debug)]
enum Map {
    Repeat,
    /// The adjoint of `Repeat`: sums of 2 x 2 blocks.
    Sum,
    Shuffle(usize),
    Unshuffle(usize),
    Reflect(usize),
    /// The adjoint of `Reflect`: margins are added to what they mirror.
    Fold(usize),
}

impl Map {
    fn adjoint(self) -> Self {
        match self {
            Map::Repeat => Map::Sum,
            Map::Sum => Map::Repeat,
            Map::Shuffle(r) => Map::Unshuffle(r),
            Map::Unshuffle(r) => Map::Shuffle(r),
            Map::Reflect(p) => Map::Fold(p),
            Map::Fold(p) => Map::Reflect(p),
        }
    }

    fn output(self, [b, c, h, w]: [usize; 4]) -> [usize; 4] {
        match self {
            Map::Repeat => [b, c, 2 * h, 2 * w],
            Map::Sum => [b, c, h / 2, w / 2],
            Map::Shuffle(r) => [b, c / (r * r), h * r, w * r],
            Map::Unshuffle(r) => [b, c * r * r, h / r, w / r],
            Map::Reflect(p) => [b, c, h + 2 * p, w + 2 * p],
            Map::Fold(p) => [b, c, h - 2 * p, w - 2 * p],
        }
    }

    fn run<T: Copy + Add<Output = T> + Send + Sync>(self, x: &[T], dims: [usize; 4]) -> Vec<T> {
        let [b, c, h, w] = dims;
        let [_, oc, oh, ow] = self.output(dims);
        let plane = oh * ow;
        // SAFETY: each arm of `plane` below writes every element of its output plane.
        unsafe {
            fill_chunks(
                b * oc * plane,
                plane,
                b * c * h * w + b * oc * plane,
                |start, out| {
                    let (image, channel) = (start / plane / oc, start / plane % oc);
                    self.plane(&x[image * c * h * w..][..c * h * w], dims, channel, out);
                },
            )
        }
    }

    /// Writes all of one output plane from the image `x`.
    fn plane<T: Copy + Add<Output = T>>(
        self,
        x: &[T],
        [_, _, h, w]: [usize; 4],
        channel: usize,
        out: &mut [MaybeUninit<T>],
    ) {
        let row = |c: usize, y: usize| &x[(c * h + y) * w..][..w];
        match self {
            Map::Repeat => {
                for (y, out) in out.chunks_exact_mut(4 * w).enumerate() {
                    let (first, second) = out.split_at_mut(2 * w);
                    for (pair, &x) in first.chunks_exact_mut(2).zip(row(channel, y)) {
                        pair[0].write(x);
                        pair[1].write(x);
                    }
                    second.copy_from_slice(first);
                }
            }
            Map::Sum => {
                for (y, out) in out.chunks_exact_mut(w / 2).enumerate() {
                    let (a, b) = (row(channel, 2 * y), row(channel, 2 * y + 1));
                    for ((out, a), b) in
                        out.iter_mut().zip(a.chunks_exact(2)).zip(b.chunks_exact(2))
                    {
                        out.write((a[0] + a[1]) + (b[0] + b[1]));
                    }
                }
            }
            Map::Shuffle(r) => {
                for (y, out) in out.chunks_exact_mut(w * r).enumerate() {
                    let first = channel * r * r + y % r * r;
                    if r == 2 {
                        let (a, b) = (row(first, y / 2), row(first + 1, y / 2));
                        for ((pair, &a), &b) in out.chunks_exact_mut(2).zip(a).zip(b) {
                            pair[0].write(a);
                            pair[1].write(b);
                        }
                        continue;
                    }
                    for j in 0..r {
                        for (out, &x) in out[j..].iter_mut().step_by(r).zip(row(first + j, y / r)) {
                            out.write(x);
                        }
                    }
                }
            }
            Map::Unshuffle(r) => {
                let (c, i, j) = (channel / (r * r), channel / r % r, channel % r);
                for (y, out) in out.chunks_exact_mut(w / r).enumerate() {
                    let x = row(c, y * r + i);
                    if r == 2 {
                        for (out, x) in out.iter_mut().zip(x.chunks_exact(2)) {
                            out.write(x[j]);
                        }
                        continue;
                    }
                    for (out, &x) in out.iter_mut().zip(x[j..].iter().step_by(r)) {
                        out.write(x);
                    }
                }
            }
            Map::Reflect(p) => {
                for (y, out) in out.chunks_exact_mut(w + 2 * p).enumerate() {
                    let x = row(channel, mirrored(y, p, h));
                    for i in 0..p {
                        out[i].write(x[p - i]);
                        out[p + w + i].write(x[w - 2 - i]);
                    }
                    for (out, &x) in out[p..p + w].iter_mut().zip(x) {
                        out.write(x);
                    }
                }
            }
            Map::Fold(p) => {
                let (oh, ow) = (h - 2 * p, w - 2 * p);
                // The sources of coordinate i of n: itself, and what its two mirrors show.
                let sources = |i: usize, n: usize| {
                    let low = (1..=p).contains(&i).then(|| p - i);
                    let high = (i + p + 1 >= n && i + 1 < n).then(|| p + 2 * (n - 1) - i);
                    [Some(i + p), low, high].into_iter().flatten()
                };
                for (y, out) in out.chunks_exact_mut(ow).enumerate() {
                    let mut rows = sources(y, oh).map(|r| row(channel, r));
                    let fold = |x: &[T], i: usize| {
                        let first = x[i + p];
                        if i > p && i + p + 1 < ow {
                            return first;
                        }
                        sources(i, ow).skip(1).fold(first, |sum, s| sum + x[s])
                    };
                    let first = rows.next().unwrap_or(&[]);
                    let others: [Option<&[T]>; 2] = [rows.next(), rows.next()];
                    for (i, out) in out.iter_mut().enumerate() {
                        let others = others.iter().flatten();
                        out.write(others.fold(fold(first, i), |sum, x| sum + fold(x, i)));
                    }
                }
            }
        }
    }
}

impl CustomOp1 for Map {
    fn name(&self) -> &'static str {
        match self {
            Map::Repeat => "upsample-nearest-2x",
            Map::Sum => "sum-2x2",
            Map::Shuffle(_) => "pixel-shuffle",
            Map::Unshuffle(_) => "pixel-unshuffle",
            Map::Reflect(_) => "reflection-pad",
            Map::Fold(_) => "reflection-fold",
        }
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, candle_core::Shape)> {
        let &[b, c, h, w] = l.dims() else {
            bail!("{}: expected four axes, got {:?}", self.name(), l.shape())
        };
        let dims = [b, c, h, w];
        let storage = match s {
            CpuStorage::F32(x) => CpuStorage::F32(self.run(contiguous(x, l)?, dims)),
            CpuStorage::F64(x) => CpuStorage::F64(self.run(contiguous(x, l)?, dims)),
            _ => bail!("{}: expected float32 or float64", self.name()),
        };
        Ok((storage, self.output(dims).to_vec().into()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        match wants_grad(x) {
            true => Ok(Some(apply(&for_grad(g), self.adjoint())?)),
            false => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Rng, first_order, numbers, second_order};
    use candle_core::{DType, Device};

    type Op = fn(&Tensor) -> Result<Tensor>;

    const OPS: [(Op, [usize; 4]); 9] = [
        (upsample_nearest2x, [2, 3, 4, 3]),
        (upsample_nearest2x, [1, 1, 1, 5]),
        (|x| pixel_shuffle(x, 2), [2, 8, 3, 2]),
        (|x| pixel_shuffle(x, 3), [1, 9, 2, 3]),
        (|x| pixel_unshuffle(x, 2), [2, 2, 4, 6]),
        (|x| pixel_unshuffle(x, 3), [1, 2, 6, 3]),
        (|x| reflection_pad2d(x, 1), [2, 2, 3, 4]),
        (|x| reflection_pad2d(x, 3), [1, 2, 4, 5]),
        (|x| reflection_pad2d(x, 2), [1, 1, 7, 3]),
    ];

    #[test]
    fn finite_differences() -> Result<()> {
        for (i, (op, dims)) in OPS.iter().enumerate() {
            let x = Rng(i as u64).tensor(dims)?;
            assert!(
                first_order(std::slice::from_ref(&x), &|v| op(&v[0])?.sqr())? < 1e-8,
                "{i}"
            );
            assert!(
                second_order(std::slice::from_ref(&x), &|v| op(&v[0]))? < 1e-7,
                "{i}"
            );
            // Used twice, and a transposed view (the last two axes are exchanged in memory).
            let twice = |v: &[Tensor]| {
                let view = v[0].transpose(2, 3)?;
                (op(&view)? * op(&view)?)? + op(&(&view * 2.0)?)?
            };
            let turned = x.transpose(2, 3)?.contiguous()?;
            assert!(first_order(&[turned], &twice)? < 1e-8, "{i}");
        }
        Ok(())
    }

    #[test]
    fn values() -> Result<()> {
        let x = Tensor::arange(0f32, 12.0, &Device::Cpu)?;
        let y = reflection_pad2d(&x.reshape((1, 1, 3, 4))?, 2)?;
        assert_eq!(
            y.get(0)?.get(0)?.get(0)?.to_vec1::<f32>()?,
            [10.0, 9.0, 8.0, 9.0, 10.0, 11.0, 10.0, 9.0]
        );
        let y = pixel_shuffle(&x.reshape((1, 4, 1, 3))?, 2)?;
        assert_eq!(
            numbers(&y)?,
            [0.0, 3.0, 1.0, 4.0, 2.0, 5.0, 6.0, 9.0, 7.0, 10.0, 8.0, 11.0]
        );
        assert_eq!(numbers(&pixel_unshuffle(&y, 2)?)?, numbers(&x)?);
        let y = upsample_nearest2x(&x.narrow(0, 0, 2)?.reshape((1, 1, 1, 2))?)?;
        assert_eq!(numbers(&y)?, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]);
        Ok(())
    }

    #[test]
    fn candle_ops_of_other_devices_agree() -> Result<()> {
        for (map, dims) in [
            (Map::Repeat, [2, 3, 4, 3]),
            (Map::Shuffle(2), [2, 8, 3, 2]),
            (Map::Unshuffle(3), [1, 2, 6, 3]),
            (Map::Reflect(2), [1, 2, 3, 5]),
        ] {
            let x = Rng(3).tensor(&dims)?;
            assert_eq!(numbers(&native(&x, map)?)?, numbers(&apply(&x, map)?)?);
            let one = std::slice::from_ref(&x);
            assert!(first_order(one, &|v| native(&v[0], map)?.sqr())? < 1e-8);
            assert!(second_order(one, &|v| native(&v[0], map))? < 1e-7);
        }
        Ok(())
    }

    #[test]
    fn wrong_shapes_are_errors() -> Result<()> {
        let t = |d: &[usize]| Tensor::zeros(d, DType::F32, &Device::Cpu);
        let error = |r: Result<Tensor>| r.err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error(upsample_nearest2x(&t(&[3, 4, 5])?)).contains("[3, 4, 5]"));
        assert!(error(upsample_nearest2x(&t(&[0, 4, 5, 5])?)).contains("[0, 4, 5, 5]"));
        assert!(error(pixel_shuffle(&t(&[1, 6, 5, 5])?, 2)).contains("[1, 6, 5, 5]"));
        assert!(error(pixel_shuffle(&t(&[1, 6, 5, 5])?, 0)).contains("[1, 6, 5, 5]"));
        assert!(error(pixel_unshuffle(&t(&[1, 6, 5, 4])?, 2)).contains("[1, 6, 5, 4]"));
        assert!(error(reflection_pad2d(&t(&[1, 6, 3, 5])?, 3)).contains("[1, 6, 3, 5]"));
        Ok(())
    }
}
