//! Convolutions by Winograd's minimal filtering, in all three directions.
//!
//! A layer becomes N x N matrix products between transformed tiles and transformed kernels:
//! 3x3 kernels of stride 1 by F(4x4, 3x3), 4x4 kernels of stride 1 by F(3x3, 4x4), and 4x4 kernels
//! of stride 2 by F(4x4, 2x2) on phases. A convolution of stride 2 reads four phases of its input,
//! each with its own 2x2 taps, summed before the way back; its input gradient writes four phases
//! of its output, each with its own 2x2 taps. The weight gradient multiplies the transformed
//! input by the transformed gradient and sums over tiles.
//!
//! Of the two operands of a product, the larger one stays in the cache of the task that made it:
//! with many tiles they are transformed block by block and the weights once for all; with few
//! tiles the weights are transformed block by block, and never written to memory as a whole.
//!
//! Matrices lie a few cache lines farther apart than they are large: with powers of two all N x N
//! streams of a transform would fall into one set of the first-level cache.

mod correlation;
mod form;
mod layer;
mod source;
mod transform;

use crate::shape::{ConvShape, Phases};
use crate::simd::Level;
use crate::tile::Finish;
use correlation::Correlation;
pub(crate) use form::Form;
use layer::Layer;
use source::Source;
use transform::Order;

/// Floats of a task's operand; with its sums, twice as many, they stay in the second-level cache.
const LOCAL: usize = 1 << 17;

/// The form for a kernel and stride, whatever the sizes.
pub(crate) fn form(s: &ConvShape) -> Option<Form> {
    match (s.kh, s.kw, s.stride) {
        (3, 3, 1) => Some(Form::F43),
        (4, 4, 1) => Some(Form::F34),
        (4, 4, 2) => Some(Form::F42),
        _ => None,
    }
}

/// Distance between the beginnings of matrices of `n` floats.
fn apart(n: usize) -> usize {
    n.next_multiple_of(16) + 48
}

/// Copies `count` matrices of `n` floats. Transforms write to a small buffer first: written to a
/// large one, each of their streams would wait for its cache line.
///
/// # Safety
///
/// `src` and `dst` are valid for all matrices.
unsafe fn copy_matrices(
    (src, src_matrix): (*const f32, usize),
    (dst, dst_matrix): (*mut f32, usize),
    count: usize,
    n: usize,
) {
    for i in 0..count {
        // SAFETY: the caller answers for both.
        unsafe {
            std::ptr::copy_nonoverlapping(src.add(i * src_matrix), dst.add(i * dst_matrix), n)
        }
    }
}

/// A convolution's taps in the order of a form: one order, or one for each phase (y, x).
fn forward_orders(s: &ConvShape) -> Vec<Order> {
    if s.stride == 1 {
        return vec![std::array::from_fn(|i| i)];
    }
    let order = |a: usize, b: usize| -> Order {
        std::array::from_fn(|i| {
            if i < 4 {
                (i / 2 * 2 + a) * 4 + i % 2 * 2 + b
            } else {
                0
            }
        })
    };
    (0..4).map(|f| order(f / 2, f % 2)).collect()
}

/// The input of a convolution. Of its tiles' rows eight floats are read, or twelve of two phases.
fn input_source<'a>(form: Form, s: &ConvShape, x: &'a [f32]) -> Source<'a> {
    let size = s.stride * form.n();
    Source {
        data: x,
        channels: s.ci,
        height: s.h,
        width: s.w,
        rows: s.oh.div_ceil(form.m()),
        columns: s.ow.div_ceil(form.m()),
        step: s.stride * form.m(),
        size: (size, size),
        top: -(s.padding as isize),
        left: -(s.padding as isize),
    }
}

/// y = gain * convolution(x, w), finished with one bias a channel of y.
pub(crate) fn forward(
    level: Level,
    form: Form,
    s: &ConvShape,
    x: &[f32],
    w: &[f32],
    finish: Finish<'_>,
    gain: f32,
) -> Vec<f32> {
    assert_eq!((x.len(), w.len()), (s.x_len(), s.w_len()));
    assert!(finish.bias.is_none_or(|b| b.len() == s.co));
    Layer {
        form,
        source: input_source(form, s, x),
        images: s.b,
        planes: s.ci * s.stride * s.stride,
        shifts: vec![(0, 0)],
        stride: 1,
        m: s.co,
        height: s.oh,
        width: s.ow,
        w,
        row: s.ci * s.taps(),
        channel: s.taps(),
        channels: s.ci,
        orders: forward_orders(s),
        factors: form.factors(gain),
        finish,
    }
    .run(level)
}

/// Whether [`input_gradient`] can compute a layer: its output phases must be of equal size.
pub(crate) fn has_input_gradient(s: &ConvShape) -> bool {
    s.h.is_multiple_of(s.stride) && s.w.is_multiple_of(s.stride)
}

/// dx = gain * the transposed convolution of dy, finished with one bias a channel of x.
pub(crate) fn input_gradient(
    level: Level,
    form: Form,
    s: &ConvShape,
    dy: &[f32],
    w: &[f32],
    finish: Finish<'_>,
    gain: f32,
) -> Vec<f32> {
    assert_eq!((dy.len(), w.len()), (s.y_len(), s.w_len()));
    assert!(finish.bias.is_none_or(|b| b.len() == s.ci) && has_input_gradient(s));
    let (height, width) = (s.h / s.stride, s.w / s.stride);
    let (ys, xs) = (Phases::new(s, s.kh), Phases::new(s, s.kw));
    // Taps of a phase lie at neighbouring pixels, from the last tap to the first.
    let (mut shifts, mut orders) = (Vec::new(), Vec::new());
    let r = form.r();
    for y in &ys.taps {
        for x in &xs.taps {
            shifts.push((y[r - 1].1, x[r - 1].1));
            orders.push(std::array::from_fn(|i| match i {
                i if i < r * r => y[r - 1 - i / r].0 * s.kw + x[r - 1 - i % r].0,
                _ => 0,
            }));
        }
    }
    let largest = |axis: fn(&(usize, usize)) -> usize| shifts.iter().map(axis).max().unwrap_or(0);
    let source = Source {
        data: dy,
        channels: s.co,
        height: s.oh,
        width: s.ow,
        rows: height.div_ceil(form.m()),
        columns: width.div_ceil(form.m()),
        step: form.m(),
        size: (form.n() + largest(|s| s.0), form.n() + largest(|s| s.1)),
        top: ys.first,
        left: xs.first,
    };
    Layer {
        form,
        source,
        images: s.b,
        planes: s.co,
        shifts,
        stride: s.stride,
        m: s.ci,
        height,
        width,
        w,
        row: s.taps(),
        channel: s.ci * s.taps(),
        channels: s.co,
        orders,
        factors: form.factors(gain),
        finish,
    }
    .run(level)
}

/// dw = gain * the correlation of x and dy.
pub(crate) fn weight_gradient(
    level: Level,
    form: Form,
    s: &ConvShape,
    x: &[f32],
    dy: &[f32],
    gain: f32,
) -> Vec<f32> {
    assert_eq!((x.len(), dy.len()), (s.x_len(), s.y_len()));
    let x = input_source(form, s, x);
    let dy = Source {
        data: dy,
        channels: s.co,
        height: s.oh,
        width: s.ow,
        step: form.m(),
        // Four floats are read of a tile's row.
        size: (form.m(), 4),
        top: 0,
        left: 0,
        ..x
    };
    Correlation {
        form,
        x,
        dy,
        tiles: s.b * x.tiles_per_image(),
        spread: s.stride,
        taps: s.taps(),
        orders: forward_orders(s),
        factors: form.factors(gain),
    }
    .run(level)
}

#[cfg(test)]
mod tests;
