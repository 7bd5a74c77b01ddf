//! Convolutions with few output channels: unrolling the input for three rows of weights would
//! cost more than the product. Products of all channels for every tap come first, then the taps
//! are shifted and added.

use crate::memory::{Scratch, filled, scratch};
use crate::par::{SendPtr, for_each};
use crate::shape::ConvShape;
use crate::simd::Level;
use crate::tile::{
    Bias, Finish, Panel, Run, Shift, Source, pack_panel, panel, rectify, shift_add, tiles,
};
use crate::vector::lanes;

/// y = gain * convolution(x, w), finished with one bias a channel of y.
pub(crate) fn forward(
    level: Level,
    s: &ConvShape,
    x: &[f32],
    w: &[f32],
    finish: Finish<'_>,
    gain: f32,
) -> Vec<f32> {
    assert_eq!((x.len(), w.len()), (s.x_len(), s.w_len()));
    assert!(finish.bias.is_none_or(|b| b.len() == s.co));
    // Row (co, tap), column ci.
    let rows = s.co * s.taps();
    let a = pack_gathered(level, rows, s.ci, gain, |m, k| {
        w[(m / s.taps() * s.ci + k) * s.taps() + m % s.taps()]
    });
    let at = |t: usize| {
        let p = s.padding as isize;
        (p - (t / s.kw) as isize, p - (t % s.kw) as isize)
    };
    let thin = Thin {
        b: s.b,
        m: s.co,
        k: s.ci,
        h: s.h,
        w: s.w,
        oh: s.oh,
        ow: s.ow,
        stride: 1,
    };
    thin_product(level, &thin, &a, x, finish, s.taps(), at)
}

/// dx = gain * the transposed convolution of dy, finished with one bias a channel of x.
pub(crate) fn input_gradient(
    level: Level,
    s: &ConvShape,
    dy: &[f32],
    w: &[f32],
    finish: Finish<'_>,
    gain: f32,
) -> Vec<f32> {
    assert_eq!((dy.len(), w.len()), (s.y_len(), s.w_len()));
    assert!(finish.bias.is_none_or(|b| b.len() == s.ci));
    let rows = s.ci * s.taps();
    let a = pack_gathered(level, rows, s.co, gain, |m, k| w[k * rows + m]);
    let at = |t: usize| {
        let p = s.padding as isize;
        ((t / s.kw) as isize - p, (t % s.kw) as isize - p)
    };
    let thin = Thin {
        b: s.b,
        m: s.ci,
        k: s.co,
        h: s.oh,
        w: s.ow,
        oh: s.h,
        ow: s.w,
        stride: s.stride,
    };
    thin_product(level, &thin, &a, dy, finish, s.taps(), at)
}

/// Packs a small matrix, given by its elements, as tiles.
fn pack_gathered(
    level: Level,
    rows: usize,
    k: usize,
    gain: f32,
    at: impl Fn(usize, usize) -> f32,
) -> Scratch {
    let mut a = scratch(rows * k);
    for t in tiles(rows, level) {
        let out = &mut a[t.start * k..(t.start + t.len) * k];
        for (j, out) in out.chunks_exact_mut(t.len).enumerate() {
            for (i, out) in out.iter_mut().enumerate() {
                *out = at(t.start + i, j) * gain;
            }
        }
    }
    a
}

/// A layer with few output channels m: `[b, k, h, w]` to `[b, m, oh, ow]`.
struct Thin {
    pub b: usize,
    pub m: usize,
    pub k: usize,
    pub h: usize,
    pub w: usize,
    pub oh: usize,
    pub ow: usize,
    /// Steps in the output for a step in the input.
    pub stride: usize,
}

/// Products of all channels for each (output channel, tap), then taps shifted and added.
///
/// `a` is packed with rows (output channel, tap); input pixel (r, c) adds tap t at
/// `stride * (r, c) + at(t)`.
fn thin_product(
    level: Level,
    s: &Thin,
    a: &[f32],
    x: &[f32],
    finish: Finish<'_>,
    taps: usize,
    at: impl Fn(usize) -> (isize, isize),
) -> Vec<f32> {
    let rows = s.m * taps;
    let tiles = tiles(rows, level);
    let at: Vec<(isize, isize)> = (0..taps).map(at).collect();
    let first = at.iter().map(|a| a.0).min().unwrap_or(0);
    let last = at.iter().map(|a| a.0).max().unwrap_or(0);
    // Few images are cut into bands of output rows; a band recomputes the products at its edges.
    let reach = (last - first) as usize + 1;
    let bands = 8usize.div_ceil(s.b).min(s.oh / (4 * reach)).max(1);
    let lanes = lanes(level);
    let block = (256 / s.w).clamp(1, s.h);
    let len = s.b * s.m * s.oh * s.ow;
    let (x_at, a_at) = (
        SendPtr(x.as_ptr().cast_mut()),
        SendPtr(a.as_ptr().cast_mut()),
    );
    let task = |q: usize, y: SendPtr<f32>| {
        let (image, band) = (q / bands, q % bands);
        let (y0, y1) = (s.oh * band / bands, s.oh * (band + 1) / bands);
        for m in 0..s.m {
            let from = (image * s.m + m) * s.oh * s.ow + y0 * s.ow;
            // SAFETY: this band's rows of y belong to this task alone.
            let part =
                unsafe { std::slice::from_raw_parts_mut(y.get().add(from), (y1 - y0) * s.ow) };
            part.fill(finish.bias.map_or(0.0, |b| b[m]));
        }
        // Input rows r with y0 <= stride * r + shift < y1 for some shift.
        let stride = s.stride as isize;
        let r0 = (y0 as isize - last).max(0) as usize;
        let r0 = r0.div_ceil(s.stride);
        let r1 = (y1 as isize - first + stride - 1).div_euclid(stride);
        let r1 = r1.clamp(0, s.h as isize) as usize;
        let pitch = (block * s.w).next_multiple_of(2 * lanes) + lanes;
        let mut products = scratch(rows * pitch + 2 * lanes);
        let mut b = scratch((s.k + 1) * 2 * lanes);
        for row in (r0..r1).step_by(block) {
            let pixels = block.min(r1 - row) * s.w;
            for p in (0..pixels).step_by(2 * lanes) {
                let from = image * s.k * s.h * s.w + row * s.w + p;
                let mut runs = [Run::default(); 2];
                let n = (pixels - p).min(2 * lanes);
                runs[0] = Run {
                    lane: 0,
                    offset: from,
                    len: n.min(lanes),
                };
                runs[1] = Run {
                    lane: lanes,
                    offset: from + lanes,
                    len: n.saturating_sub(lanes),
                };
                let runs = &runs[..if n > lanes { 2 } else { 1 }];
                let source = Source {
                    data: x_at.get(),
                    len: x.len(),
                    channels: s.k,
                    channel: s.h * s.w,
                    taps: &[0],
                };
                // SAFETY: the runs are pixels of this image; products and b are this task's own,
                // and a row of products is at least a panel longer than its last pixel's start.
                unsafe {
                    // One pointer for both: a second one taken from `b` would end the first one's right.
                    let (b, c) = (b.as_mut_ptr(), products.as_mut_ptr().add(p));
                    let call = Panel {
                        tiles: &tiles,
                        k: s.k,
                        a: a_at.get(),
                        b,
                        c: [c, c.add(lanes)],
                        c_row: pitch,
                        n: [lanes; 2],
                        bias: Bias::Zero,
                        slope: 1.0,
                    };
                    pack_panel(level, &source, runs, b);
                    panel(level, &call);
                }
            }
            for m in 0..s.m {
                for (t, &(dy, dx)) in at.iter().enumerate() {
                    // SAFETY: `shift_add` clips to this band's rows of y.
                    unsafe {
                        let from = (image * s.m + m) * s.oh * s.ow + y0 * s.ow;
                        let call = Shift {
                            src: products.as_ptr().add((m * taps + t) * pitch),
                            rows: pixels / s.w,
                            width: s.w,
                            dst: y.get().add(from),
                            height: y1 - y0,
                            pitch: s.ow,
                            y: (row * s.stride) as isize + dy - y0 as isize,
                            x: dx,
                            stride: s.stride,
                        };
                        shift_add(level, &call);
                    }
                }
            }
        }
        if finish.slope != 1.0 {
            for m in 0..s.m {
                let from = (image * s.m + m) * s.oh * s.ow + y0 * s.ow;
                // SAFETY: this band's rows of y, written above, belong to this task alone.
                unsafe {
                    let at = y.get().add(from);
                    let part = std::slice::from_raw_parts_mut(at, (y1 - y0) * s.ow);
                    rectify(level, part, finish.slope);
                }
            }
        }
    };
    // SAFETY: the bands cover all rows of y, and each task fills its band first.
    unsafe {
        filled(len, |y| {
            let y = SendPtr(y.as_mut_ptr().cast::<f32>());
            let work = s.b * s.h * s.w * s.k * rows;
            if work < crate::par::SMALL {
                (0..s.b * bands).for_each(|q| task(q, y));
            } else {
                for_each(s.b * bands, |q| task(q, y));
            }
        })
    }
}
