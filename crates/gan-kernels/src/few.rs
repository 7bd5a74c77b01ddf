//! Convolution gradients where the pixels are few and the weights many (the inner layers of a
//! U-Net at batch 1): the weights are read, or written, once and in place.

use crate::memory::{filled, scratch};
use crate::par::{SendPtr, for_each_chunk, for_each_sized};
use crate::shape::{ConvShape, Grid, pad};
use crate::simd::Level;
use crate::tile::{
    Bias, Columns, Finish, Panel, Run, Source, pack_columns, pack_panel, panel, rectify, tiles,
};
use crate::vector::lanes;

/// dx = gain * (taps of the products of dy and w, summed over output channels), finished.
///
/// The products of each dy pixel with all (input channel, tap) come first, with rows of w as the
/// panels' rows; then each channel's taps are added where they belong.
pub(crate) fn input_gradient(
    level: Level,
    s: &ConvShape,
    dy: &[f32],
    w: &[f32],
    finish: Finish<'_>,
    gain: f32,
) -> Vec<f32> {
    let (lanes, n, pixels) = (lanes(level), s.ci * s.taps(), s.oh * s.ow);
    let (columns, total) = (2 * lanes, s.b * pixels);
    let tiles = tiles(total, level);
    let mut a = scratch(total * s.co);
    for t in &tiles {
        let a = &mut a[t.start * s.co..(t.start + t.len) * s.co];
        for (c, a) in a.chunks_exact_mut(t.len).enumerate() {
            for (i, a) in a.iter_mut().enumerate() {
                let (image, p) = ((t.start + i) / pixels, (t.start + i) % pixels);
                *a = dy[(image * s.co + c) * pixels + p] * gain;
            }
        }
    }
    let mut products = scratch(total * n);
    let (products_at, a_at) = (SendPtr(products.as_mut_ptr()), SendPtr(a.as_mut_ptr()));
    let weights = SendPtr(w.as_ptr().cast_mut());
    let panels = n.div_ceil(columns);
    let group = panels.div_ceil(32);
    for_each_sized(panels.div_ceil(group), s.work() + 4 * s.w_len(), |q| {
        let mut b = scratch((s.co + 1) * columns);
        for q in q * group..((q + 1) * group).min(panels) {
            let first = q * columns;
            let m = columns.min(n - first);
            let halves = [m.min(lanes), m.saturating_sub(lanes)];
            let runs = [
                Run {
                    lane: 0,
                    offset: first,
                    len: halves[0],
                },
                Run {
                    lane: lanes,
                    offset: first + lanes,
                    len: halves[1],
                },
            ];
            let runs = if halves[1] > 0 { &runs[..] } else { &runs[..1] };
            let source = Source {
                data: weights.get(),
                len: w.len(),
                channels: s.co,
                channel: n,
                taps: &[0],
            };
            // SAFETY: the runs are columns of w; b holds co rows and a vector more; the panel's
            // columns of the products belong to this task alone.
            unsafe {
                pack_panel(level, &source, runs, b.as_mut_ptr());
                let c = products_at.get().add(first);
                let call = Panel {
                    tiles: &tiles,
                    k: s.co,
                    a: a_at.get(),
                    b: b.as_ptr(),
                    c: [c, c.wrapping_add(lanes)],
                    c_row: n,
                    n: halves,
                    bias: Bias::Zero,
                    slope: 1.0,
                };
                panel(level, &call);
            }
        }
    });
    let products = &*products;
    let plane = s.h * s.w;
    let mut dx = Vec::with_capacity(s.x_len());
    for i in 0..s.b * s.ci {
        let value = finish.bias.map_or(0.0, |b| b[i % s.ci]);
        dx.resize((i + 1) * plane, value);
    }
    for_each_chunk(&mut dx, plane, s.x_len() + 4 * total * n, |start, dx| {
        let (image, c) = (start / plane / s.ci, start / plane % s.ci);
        for p in 0..pixels {
            let (top, left) = (p / s.ow * s.stride, p % s.ow * s.stride);
            let taps = &products[(image * pixels + p) * n + c * s.taps()..][..s.taps()];
            // Columns j of the kernel with 0 <= left + j - padding < w.
            let first = s.padding.saturating_sub(left).min(s.kw);
            let last = (s.w + s.padding).saturating_sub(left).min(s.kw).max(first);
            for (i, taps) in taps.chunks_exact(s.kw).enumerate() {
                let Some(y) = (top + i).checked_sub(s.padding).filter(|&y| y < s.h) else {
                    continue;
                };
                if last > first {
                    let row = &mut dx[y * s.w + left + first - s.padding..][..last - first];
                    for (dx, t) in row.iter_mut().zip(&taps[first..last]) {
                        *dx += t;
                    }
                }
            }
        }
        if finish.slope != 1.0 {
            rectify(level, dx, finish.slope);
        }
    });
    dx
}

/// The weight gradient where the weights are many and the pixels that are summed few: a product
/// of dy and the unrolled x, written once where it belongs.
pub(crate) fn weight_gradient(
    level: Level,
    s: &ConvShape,
    x: &[f32],
    dy: &[f32],
    gain: f32,
) -> Vec<f32> {
    let (lanes, k, pixels) = (lanes(level), s.ci * s.taps(), s.oh * s.ow);
    let (columns, total) = (2 * lanes, s.b * pixels);
    let grid = Grid::of_input(s);
    let padded = pad(level, x, s.b * s.ci, s.h, s.w, &grid);
    let padded = padded.get();

    // x as [block of (channel, tap)][image][pixel][columns].
    let blocks = k.div_ceil(columns);
    let taps: Vec<usize> = (0..k)
        .map(|i| i / s.taps() * grid.plane() + grid.at(i % s.taps() / s.kw, i % s.taps() % s.kw))
        .collect();
    let mut unrolled = scratch(blocks * total * columns);
    for_each_chunk(
        &mut unrolled,
        total * columns,
        4 * k * total,
        |start, out| {
            let first = start / total;
            let taps = &taps[first..k.min(first + columns)];
            for (p, out) in out.chunks_exact_mut(columns).enumerate() {
                let (image, y, x) = (p / pixels, p % pixels / s.ow, p % s.ow);
                let from = image * s.ci * grid.plane() + y * grid.columns + x;
                for (out, tap) in out.iter_mut().zip(taps) {
                    *out = padded[from + tap];
                }
            }
        },
    );

    // dy as tiles of output channels, its pixels the columns.
    let tiles = tiles(s.co, level);
    let mut a = scratch(s.co * total);
    for t in &tiles {
        for image in 0..s.b {
            let at = |p| t.start * total + (image * pixels + p) * t.len;
            let to: Vec<usize> = (0..pixels).map(at).collect();
            let src = dy[(image * s.co + t.start) * pixels..].as_ptr();
            let c = Columns {
                src,
                row: pixels,
                rows: t.len,
                scale: gain,
                to: &to,
            };
            // SAFETY: dy holds the tile's channels of this image, `a` the tile's rows.
            unsafe { pack_columns(level, &c, a.as_mut_ptr()) }
        }
    }

    let (a, b) = (SendPtr(a.as_mut_ptr()), SendPtr(unrolled.as_mut_ptr()));
    // SAFETY: panel by panel, every column of every row of dw is written.
    unsafe {
        filled(s.w_len(), |dw| {
            let dw = SendPtr(dw.as_mut_ptr().cast::<f32>());
            let group = blocks.div_ceil(32);
            for_each_sized(blocks.div_ceil(group), s.work(), |q| {
                for q in q * group..((q + 1) * group).min(blocks) {
                    let n = (k - q * columns).min(columns);
                    let c = dw.get().add(q * columns);
                    let call = Panel {
                        tiles: &tiles,
                        k: total,
                        a: a.get(),
                        b: b.get().add(q * total * columns),
                        c: [c, c.wrapping_add(lanes)],
                        c_row: k,
                        n: [n.min(lanes), n.saturating_sub(lanes)],
                        bias: Bias::Zero,
                        slope: 1.0,
                    };
                    panel(level, &call);
                }
            });
        })
    }
}
