//! The shape of a convolution, its padded copies and the phases of its strides.

use crate::memory::{Scratch, scratch};
use crate::par::for_each_chunk;
use crate::simd::Level;
use crate::tile::{PadPlane, pad_plane};

/// A convolution: x `[b, ci, h, w]`, weight `[co, ci, kh, kw]`, y `[b, co, oh, ow]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ConvShape {
    pub b: usize,
    pub ci: usize,
    pub h: usize,
    pub w: usize,
    pub co: usize,
    pub kh: usize,
    pub kw: usize,
    pub stride: usize,
    pub padding: usize,
    pub oh: usize,
    pub ow: usize,
}

impl ConvShape {
    pub(crate) fn x_len(&self) -> usize {
        self.b * self.ci * self.h * self.w
    }
    pub(crate) fn y_len(&self) -> usize {
        self.b * self.co * self.oh * self.ow
    }
    pub(crate) fn w_len(&self) -> usize {
        self.co * self.ci * self.taps()
    }
    pub(crate) fn taps(&self) -> usize {
        self.kh * self.kw
    }
    /// Multiply-adds of one direction.
    pub(crate) fn work(&self) -> usize {
        self.y_len() * self.ci * self.taps()
    }
    /// Whether the kernel covers the whole input, so that all directions are one matrix product.
    pub(crate) fn covers(&self) -> bool {
        self.oh == 1 && self.ow == 1 && self.padding == 0 && self.kh == self.h && self.kw == self.w
    }
    /// The convolution of stride 1 whose weight gradient is this one's with x and dy exchanged.
    pub(crate) fn exchanged(&self) -> Option<ConvShape> {
        let p = (self.kh == self.kw)
            .then(|| (self.kh - 1).checked_sub(self.padding))
            .flatten()?;
        (self.stride == 1).then_some(ConvShape {
            ci: self.co,
            h: self.oh,
            w: self.ow,
            co: self.ci,
            padding: p,
            oh: self.h,
            ow: self.w,
            ..*self
        })
    }
}

/// Where a padded copy of a plane begins and how large it is, split into phases by the stride.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    /// Phases an axis.
    pub(crate) phases: usize,
    /// The plane's coordinates of the copy's first element; outside the plane are zeros.
    pub(crate) y0: isize,
    pub(crate) x0: isize,
    /// Size of one phase.
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl Grid {
    /// The padded input of a convolution.
    pub(crate) fn of_input(s: &ConvShape) -> Self {
        let p = -(s.padding as isize);
        let rows = s.oh + (s.kh - 1) / s.stride;
        Self {
            phases: s.stride,
            y0: p,
            x0: p,
            rows,
            columns: s.ow + (s.kw - 1) / s.stride,
        }
    }
    pub(crate) fn plane(&self) -> usize {
        self.phases * self.phases * self.rows * self.columns
    }
    /// Offset of padded coordinate (y, x) for output (0, 0).
    pub(crate) fn at(&self, y: usize, x: usize) -> usize {
        let phase = y % self.phases * self.phases + x % self.phases;
        (phase * self.rows + y / self.phases) * self.columns + x / self.phases
    }
}

/// The padded copy, or the tensor itself where there is nothing to pad or to split.
pub(crate) enum Padded<'a> {
    Same(&'a [f32]),
    Copy(Scratch),
}

impl Padded<'_> {
    pub(crate) fn get(&self) -> &[f32] {
        match self {
            Padded::Same(x) => x,
            Padded::Copy(x) => x,
        }
    }
}

pub(crate) fn pad<'a>(
    level: Level,
    x: &'a [f32],
    planes: usize,
    h: usize,
    w: usize,
    g: &Grid,
) -> Padded<'a> {
    if g.phases == 1 && (g.y0, g.x0, g.rows, g.columns) == (0, 0, h, w) {
        return Padded::Same(x);
    }
    let plane = g.plane();
    // A vector more than the planes, so that whole vectors can be read at the end.
    let mut out = scratch(planes * plane + crate::vector::MAX_LANES);
    let step = (4096 / plane.max(1)).max(1);
    for_each_chunk(
        &mut out[..planes * plane],
        step * plane,
        planes * plane,
        |start, out| {
            for (i, out) in out.chunks_exact_mut(plane).enumerate() {
                let from = (start / plane + i) * h * w;
                let call = PadPlane {
                    src: x[from..from + h * w].as_ptr(),
                    height: h,
                    width: w,
                    dst: out.as_mut_ptr(),
                    phases: g.phases,
                    y0: g.y0,
                    x0: g.x0,
                    rows: g.rows,
                    columns: g.columns,
                };
                // SAFETY: src is a plane of x, dst a padded plane.
                unsafe { pad_plane(level, &call) }
            }
        },
    );
    Padded::Copy(out)
}

/// Which taps reach an output phase of the input gradient, along one axis.
///
/// Output `y = stride * g + f` gets tap `i` of dy's row `g + (f + padding - i) / stride` where
/// that is a whole number.
pub(crate) struct Phases {
    /// The smallest such shift, and how far the largest is from it.
    pub(crate) first: isize,
    pub(crate) extent: usize,
    /// For each phase, (tap, shift - first).
    pub(crate) taps: Vec<Vec<(usize, usize)>>,
}

impl Phases {
    pub(crate) fn new(s: &ConvShape, k: usize) -> Self {
        let stride = s.stride as isize;
        let shift = |f: usize, i: usize| {
            let e = (f + s.padding) as isize - i as isize;
            (e.rem_euclid(stride) == 0).then(|| e.div_euclid(stride))
        };
        let all = || (0..s.stride).flat_map(|f| (0..k).filter_map(move |i| shift(f, i)));
        let first = all().min().unwrap_or(0);
        let last = all().max().unwrap_or(0);
        let taps = (0..s.stride)
            .map(|f| {
                let pair = |i| shift(f, i).map(|e| (i, (e - first) as usize));
                (0..k).filter_map(pair).collect()
            })
            .collect();
        Self {
            first,
            extent: (last - first) as usize,
            taps,
        }
    }
}
