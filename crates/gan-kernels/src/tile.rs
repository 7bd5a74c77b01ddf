//! The register-tile matrix product that every dense kernel runs on, and its packing.
//!
//! Some 630 lines because a kernel, its arguments and what it may touch belong together.
//!
//! `C[m][n] = sum_k A[m][k] B[k][n]`, with `B` cut into panels two vectors wide and `A` into
//! tiles of a few rows. A panel's two halves have C pointers of their own, so that a panel may
//! hold pixels of two images. Sums run over k in order, so a result does not depend on the
//! panel that it is computed in.
//!
//! # Safety
//!
//! The functions here are unsafe because they work on raw pointers: a caller computes all offsets
//! from shapes that it has checked, and answers for the ranges that each function documents.
// Loops count rows and halves of register tiles, of which several arrays exist.
#![allow(unsafe_op_in_unsafe_fn, clippy::needless_range_loop)]

use crate::simd::{Level, dispatch};
use crate::vector::{MAX_LANES, Vector, max_rows};

/// How many k a pass over a panel covers: its part of a tile of A, and much of the panel, stay in
/// the first-level cache.
const K_BLOCK: usize = 512;

/// How many floats ahead of its loads the product asks for cache lines.
const AHEAD: usize = 512;

/// Rows `start .. start + len` of A, computed in one register tile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tile {
    pub start: usize,
    pub len: usize,
}

/// Cuts `m` rows into the fewest tiles, of nearly equal size (no nearly empty last tile).
pub(crate) fn tiles(m: usize, level: Level) -> Vec<Tile> {
    cut(m, max_rows(level))
}

/// As [`tiles`], for [`correlate`]: more than ten pointers and the compiler spills.
pub(crate) fn correlate_tiles(m: usize, level: Level) -> Vec<Tile> {
    cut(m, max_rows(level).min(10))
}

fn cut(m: usize, most: usize) -> Vec<Tile> {
    let n = m.div_ceil(most);
    (0..n)
        .map(|i| (m * i / n, m * (i + 1) / n))
        .map(|(a, b)| Tile {
            start: a,
            len: b - a,
        })
        .collect()
}

/// One panel's product, see [`panel`].
#[derive(Clone, Copy)]
pub(crate) struct Panel<'a> {
    pub tiles: &'a [Tile],
    pub k: usize,
    /// Packed A: tile after tile, `[k][rows of the tile]`.
    pub a: *const f32,
    /// Packed B: `[k][2 * LANES]`.
    pub b: *const f32,
    /// Where row 0 of C starts, for each half.
    pub c: [*mut f32; 2],
    /// Distance between rows of C.
    pub c_row: usize,
    /// How many columns of each half are stored.
    pub n: [usize; 2],
    /// What sums start from.
    pub bias: Bias,
    /// Factor of negative results, 0 to 1: a (leaky) ReLU, or nothing where it is 1.
    pub slope: f32,
}

/// What is done to a layer's output as it is written: a bias is added, then negative numbers are
/// multiplied by `slope`, which lies between 0 and 1.
#[derive(Clone, Copy)]
pub(crate) struct Finish<'a> {
    pub bias: Option<&'a [f32]>,
    pub slope: f32,
}

impl Finish<'_> {
    pub(crate) const NONE: Self = Self {
        bias: None,
        slope: 1.0,
    };

    /// The bias of rows `first ..`.
    pub(crate) fn rows(&self, first: usize) -> Bias {
        self.bias
            .map_or(Bias::Zero, |b| Bias::Rows(b[first..].as_ptr()))
    }
}

/// What the sums of a panel start from.
#[derive(Clone, Copy)]
pub(crate) enum Bias {
    Zero,
    /// One number a row of C.
    Rows(*const f32),
    /// One number a column of the panel, from its first on.
    Columns(*const f32),
    /// What C holds.
    Sums,
}

/// Runs `$body::<I, LEN>(args)` for a tile of `$len` rows.
macro_rules! by_rows {
    ($len:expr, $body:ident::<$isa:ident>($($arg:expr),*)) => {
        match $len {
            1 => $body::<$isa, 1>($($arg),*),
            2 => $body::<$isa, 2>($($arg),*),
            3 => $body::<$isa, 3>($($arg),*),
            4 => $body::<$isa, 4>($($arg),*),
            5 if $isa::ROWS >= 5 => $body::<$isa, 5>($($arg),*),
            6 if $isa::ROWS >= 6 => $body::<$isa, 6>($($arg),*),
            7 if $isa::ROWS >= 7 => $body::<$isa, 7>($($arg),*),
            8 if $isa::ROWS >= 8 => $body::<$isa, 8>($($arg),*),
            9 if $isa::ROWS >= 9 => $body::<$isa, 9>($($arg),*),
            10 if $isa::ROWS >= 10 => $body::<$isa, 10>($($arg),*),
            11 if $isa::ROWS >= 11 => $body::<$isa, 11>($($arg),*),
            12 if $isa::ROWS >= 12 => $body::<$isa, 12>($($arg),*),
            13 if $isa::ROWS >= 13 => $body::<$isa, 13>($($arg),*),
            14 if $isa::ROWS >= 14 => $body::<$isa, 14>($($arg),*),
            // Not to write it would leave memory to be read that holds nothing.
            _ => panic!("tiles() makes no tile of {} rows", $len),
        }
    };
}

/// A register tile of M rows and HALVES vectors.
#[inline(always)]
unsafe fn halves<I: Vector, const M: usize, const HALVES: usize>(
    p: &Panel,
    start: usize,
    k0: usize,
    k: usize,
) {
    let mut rows = std::ptr::null();
    let mut first = [I::splat(0.0); HALVES];
    match p.bias {
        Bias::Rows(bias) if k0 == 0 => rows = bias,
        Bias::Columns(bias) if k0 == 0 => {
            for half in 0..HALVES {
                first[half] = I::load_part(bias.wrapping_add(half * I::LANES), p.n[half]);
            }
        }
        _ => {}
    }
    let mut acc = [first; M];
    if !rows.is_null() {
        for i in 0..M {
            acc[i] = [I::splat(*rows.add(start + i)); HALVES];
        }
    }
    let mut a = p.a.add(start * p.k + k0 * M);
    let mut b = p.b.add(k0 * 2 * I::LANES);
    for _ in 0..k {
        // Both operands are read from front to back, often from the third-level cache.
        I::prefetch(a.wrapping_add(AHEAD));
        I::prefetch(b.wrapping_add(AHEAD));
        I::prefetch(b.wrapping_add(AHEAD + I::LANES));
        let mut row = [I::splat(0.0); HALVES];
        for half in 0..HALVES {
            row[half] = I::load(b.add(half * I::LANES));
        }
        for (i, acc) in acc.iter_mut().enumerate() {
            let v = I::splat(*a.add(i));
            for half in 0..HALVES {
                acc[half] = I::fma(v, row[half], acc[half]);
            }
        }
        a = a.add(M);
        b = b.add(2 * I::LANES);
    }
    // Three short loops: the compiler unrolls them, which keeps the sums in registers; it does not
    // unroll one long loop.
    let at = |i: usize, half: usize| p.c[half].wrapping_add((start + i) * p.c_row);
    if k0 > 0 || matches!(p.bias, Bias::Sums) {
        for i in 0..M {
            for half in 0..HALVES {
                acc[i][half] = I::add(acc[i][half], I::load_part(at(i, half), p.n[half]));
            }
        }
    }
    if p.slope != 1.0 && k0 + k == p.k {
        let slope = I::splat(p.slope);
        for i in 0..M {
            for half in 0..HALVES {
                acc[i][half] = I::max(I::mul(acc[i][half], slope), acc[i][half]);
            }
        }
    }
    for i in 0..M {
        for half in 0..HALVES {
            I::store_part(at(i, half), acc[i][half], p.n[half]);
        }
    }
}

#[inline(always)]
unsafe fn tile<I: Vector, const M: usize>(p: &Panel, start: usize, k0: usize, k: usize) {
    halves::<I, M, 2>(p, start, k0, k)
}

#[inline(always)]
unsafe fn first_half<I: Vector, const M: usize>(p: &Panel, start: usize, k0: usize, k: usize) {
    halves::<I, M, 1>(p, start, k0, k)
}

#[inline(always)]
unsafe fn panel_body<I: Vector>(p: &Panel) {
    let mut k0 = 0;
    loop {
        let k = K_BLOCK.min(p.k - k0);
        for t in p.tiles {
            if p.n[1] > 0 {
                by_rows!(t.len, tile::<I>(p, t.start, k0, k));
            } else {
                by_rows!(t.len, first_half::<I>(p, t.start, k0, k));
            }
        }
        k0 += k;
        if k0 >= p.k {
            break;
        }
    }
}

dispatch! {
    /// All tiles' rows of one panel of C (zeros, or the bias, if `k` is 0).
    ///
    /// `a` holds `k` columns of all tiles, `b` `k` rows of a panel, `bias` a number a row; each
    /// half of C is valid for its `n` columns of every row.
    pub(crate) unsafe fn panel(p: &Panel<'_>) = panel_body;
}

/// A run of neighbouring pixels: `len` lanes from lane `lane` on, read from `offset` on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Run {
    pub lane: usize,
    pub offset: usize,
    pub len: usize,
}

/// Where a panel's rows come from: channel by channel, tap by tap.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub data: *const f32,
    /// Floats that may be read from `data` on.
    pub len: usize,
    pub channels: usize,
    pub channel: usize,
    /// Offsets of the taps, added to a run's.
    pub taps: &'a [usize],
}

#[inline(always)]
unsafe fn copy_runs<I: Vector, const N: usize>(s: &Source, runs: &[Run], dst: *mut f32) {
    let mut r = [Run::default(); N];
    r.copy_from_slice(runs);
    let mut d = dst;
    for c in 0..s.channels {
        let x = s.data.add(c * s.channel);
        for &tap in s.taps {
            let x = x.add(tap);
            for r in &r {
                I::store(d.add(r.lane), I::load(x.add(r.offset)));
            }
            d = d.add(2 * I::LANES);
        }
    }
}

#[inline(always)]
unsafe fn pack_panel_body<I: Vector>(s: &Source, runs: &[Run], dst: *mut f32) {
    let Some(last_run) = runs.iter().map(|r| r.offset).max() else {
        return;
    };
    let last_tap = s.taps.iter().max().copied().unwrap_or(0);
    let end = s.channels.saturating_sub(1) * s.channel + last_tap + last_run + I::LANES;
    if end <= s.len {
        match runs.len() {
            1 => return copy_runs::<I, 1>(s, runs, dst),
            2 => return copy_runs::<I, 2>(s, runs, dst),
            3 => return copy_runs::<I, 3>(s, runs, dst),
            4 => return copy_runs::<I, 4>(s, runs, dst),
            _ => {}
        }
    }
    let whole = end <= s.len;
    let mut d = dst;
    for c in 0..s.channels {
        for &tap in s.taps {
            let x = s.data.add(c * s.channel + tap);
            for r in runs {
                let n = if whole { I::LANES } else { r.len };
                I::store(d.add(r.lane), I::load_part(x.add(r.offset), n));
            }
            d = d.add(2 * I::LANES);
        }
    }
}

dispatch! {
    /// Packs a panel of B: `dst[(channel, tap)][lane] = data[channel, tap, run's pixel]`.
    ///
    /// Runs are sorted by lane and at most one vector long. Whole vectors are stored, each
    /// overwriting what the one before left behind its end: `dst` holds one vector more than its
    /// rows. Lanes that no run covers hold arbitrary numbers.
    pub(crate) unsafe fn pack_panel(s: &Source<'_>, runs: &[Run], dst: *mut f32) = pack_panel_body;
}

/// Columns of A that [`pack_columns`] packs.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'a> {
    pub src: *const f32,
    /// Distance between rows in `src`; neighbouring columns are neighbours.
    pub row: usize,
    pub rows: usize,
    pub scale: f32,
    /// Where column j goes: `rows` floats from `dst + to[j]` on.
    pub to: &'a [usize],
}

#[inline(always)]
unsafe fn pack_columns_body<I: Vector>(c: &Columns, dst: *mut f32) {
    let scale = I::splat(c.scale);
    let mut j = 0;
    while j < c.to.len() {
        let n = I::LANES.min(c.to.len() - j);
        let mut r0 = 0;
        while r0 < c.rows {
            let rows = I::LANES.min(c.rows - r0);
            let mut r = [I::splat(0.0); MAX_LANES];
            for (i, r) in r.iter_mut().enumerate().take(rows) {
                *r = I::load_part(c.src.add((r0 + i) * c.row + j), n);
            }
            I::transpose(&mut r);
            for (i, r) in r.iter().enumerate().take(n) {
                I::store_part(dst.add(c.to[j + i] + r0), I::mul(*r, scale), rows);
            }
            r0 += rows;
        }
        j += n;
    }
}

dispatch! {
    /// Writes columns of a row-major matrix as rows: a transposition with free row addresses.
    ///
    /// `src` is valid for `rows` rows of `to.len()` floats, `dst` for `rows` floats at each `to`.
    pub(crate) unsafe fn pack_columns(c: &Columns<'_>, dst: *mut f32) = pack_columns_body;
}

/// Where [`sum_taps`] reads and writes: a plane of products and a plane of the result.
#[derive(Clone, Copy)]
pub(crate) struct Shift {
    /// First product row (of `width` columns); `rows` rows follow each other.
    pub src: *const f32,
    pub rows: usize,
    pub width: usize,
    /// The result plane, `height x pitch`, and where product (0, 0) goes: it may lie outside.
    pub dst: *mut f32,
    pub height: usize,
    pub pitch: usize,
    pub y: isize,
    pub x: isize,
    /// Step in the result for one step in the products.
    pub stride: usize,
}

#[inline(always)]
fn rectify_body<I: Vector>(x: &mut [f32], slope: f32) {
    for x in x {
        *x = if *x > 0.0 { *x } else { *x * slope };
    }
}

dispatch! {
    /// Multiplies negative numbers by `slope`.
    pub(crate) fn rectify(x: &mut [f32], slope: f32) = rectify_body;
}

#[inline(always)]
unsafe fn shift_add_body<I: Vector>(s: &Shift) {
    let (step, height, pitch) = (s.stride as isize, s.height as isize, s.pitch as isize);
    // Columns c with 0 <= x + c * stride < pitch.
    let first = if s.x < 0 { (-s.x + step - 1) / step } else { 0 };
    let last = ((pitch - s.x + step - 1) / step).min(s.width as isize);
    if last <= first {
        return;
    }
    let (first, n) = (first as usize, (last - first) as usize);
    for r in 0..s.rows {
        let y = s.y + (r * s.stride) as isize;
        if y < 0 || y >= height {
            continue;
        }
        let src = s.src.add(r * s.width + first);
        let dst = s.dst.offset(y * pitch + s.x + (first * s.stride) as isize);
        if s.stride == 1 {
            let mut i = 0;
            while i < n {
                let m = I::LANES.min(n - i);
                let (a, b) = (I::load_part(src.add(i), m), I::load_part(dst.add(i), m));
                I::store_part(dst.add(i), I::add(a, b), m);
                i += m;
            }
        } else {
            for i in 0..n {
                *dst.add(i * s.stride) += *src.add(i);
            }
        }
    }
}

dispatch! {
    /// Adds a plane of products to the result, shifted, spread by the stride and clipped.
    pub(crate) unsafe fn shift_add(s: &Shift) = shift_add_body;
}

/// Two rows to be woven into one, for each of `rows` channels.
#[derive(Clone, Copy)]
pub(crate) struct Weave {
    pub even: *const f32,
    pub odd: *const f32,
    pub src_row: usize,
    pub rows: usize,
    pub dst: *mut f32,
    pub dst_row: usize,
    /// Floats to store in each row: at most two vectors.
    pub len: usize,
}

#[inline(always)]
unsafe fn weave_body<I: Vector>(w: &Weave) {
    let (n0, n1) = (w.len.min(I::LANES), w.len.saturating_sub(I::LANES));
    let half = w.len.div_ceil(2).min(I::LANES);
    for r in 0..w.rows {
        let a = I::load_part(w.even.add(r * w.src_row), half);
        let b = I::load_part(w.odd.add(r * w.src_row), half);
        let (lo, hi) = I::interleave(a, b);
        let d = w.dst.add(r * w.dst_row);
        I::store_part(d, lo, n0);
        if n1 > 0 {
            I::store_part(d.add(I::LANES), hi, n1);
        }
    }
}

dispatch! {
    /// `dst = even[0] odd[0] even[1] …` for each row.
    pub(crate) unsafe fn weave(w: &Weave) = weave_body;
}

/// One call of [`correlate`].
#[derive(Clone, Copy)]
pub(crate) struct Correlate<'a> {
    /// Where each row of the result reads its first pixel; at most a tile's rows.
    pub x: &'a [*const f32],
    /// Offsets of the pixels in `x`.
    pub pixels: &'a [usize],
    /// `[pixel][2 * LANES]`, in the same order of pixels.
    pub d: *const f32,
    /// `[row of x][c_row]`, two vectors of each.
    pub c: *mut f32,
    pub c_row: usize,
    /// Whether the result is added to what `c` holds.
    pub add: bool,
}

/// No instruction, but one that the compiler moves no load across.
#[inline(always)]
fn keep_order() {
    #[cfg(not(miri))]
    // SAFETY: the assembly is empty.
    unsafe {
        std::arch::asm!("", options(nostack, preserves_flags))
    }
}

#[inline(always)]
unsafe fn correlate_tile<I: Vector, const M: usize>(p: &Correlate) {
    let mut acc = [[I::splat(0.0); 2]; M];
    let mut x = [std::ptr::null::<f32>(); M];
    x.copy_from_slice(p.x);
    let mut d = p.d;
    // One loop over a table: nested loops over images, rows and columns make the compiler spill.
    for &o in p.pixels {
        let (d0, d1) = (I::load(d), I::load(d.add(I::LANES)));
        for i in 0..M {
            let v = I::splat(*x[i].add(o));
            acc[i][0] = I::fma(v, d0, acc[i][0]);
            acc[i][1] = I::fma(v, d1, acc[i][1]);
            // Else the compiler moves all loads to the front, runs out of registers and spills.
            keep_order();
        }
        d = d.add(2 * I::LANES);
    }
    for (i, acc) in acc.iter().enumerate() {
        for half in 0..2 {
            let c = p.c.add(i * p.c_row + half * I::LANES);
            let v = if p.add {
                I::add(acc[half], I::load(c))
            } else {
                acc[half]
            };
            I::store(c, v);
        }
    }
}

#[inline(always)]
unsafe fn correlate_body<I: Vector>(p: &Correlate) {
    by_rows!(p.x.len(), correlate_tile::<I>(p));
}

dispatch! {
    /// `c[i][n] (+)= sum over pixels of x[i][pixel] * d[pixel][n]`, x read in place.
    pub(crate) unsafe fn correlate(p: &Correlate<'_>) = correlate_body;
}

/// Sums `chunks` matrices and transposes the sum, see [`reduce`].
#[derive(Clone, Copy)]
pub(crate) struct Reduce {
    pub src: *const f32,
    /// Distance between rows, and between chunks.
    pub src_row: usize,
    pub chunk: usize,
    pub chunks: usize,
    pub rows: usize,
    pub columns: usize,
    pub dst: *mut f32,
    pub dst_row: usize,
    pub scale: f32,
}

#[inline(always)]
unsafe fn reduce_body<I: Vector>(p: &Reduce) {
    let scale = I::splat(p.scale);
    // Rows inside: neighbouring rows become neighbours, so cache lines of dst are completed.
    let mut j0 = 0;
    while j0 < p.columns {
        let columns = I::LANES.min(p.columns - j0);
        let mut i0 = 0;
        while i0 < p.rows {
            let rows = I::LANES.min(p.rows - i0);
            let mut r = [I::splat(0.0); MAX_LANES];
            for (i, r) in r.iter_mut().enumerate().take(rows) {
                let s = p.src.add((i0 + i) * p.src_row + j0);
                let mut v = I::load_part(s, columns);
                for chunk in 1..p.chunks {
                    v = I::add(v, I::load_part(s.add(chunk * p.chunk), columns));
                }
                *r = I::mul(v, scale);
            }
            I::transpose(&mut r);
            for (j, r) in r.iter().enumerate().take(columns) {
                I::store_part(p.dst.add((j0 + j) * p.dst_row + i0), *r, rows);
            }
            i0 += rows;
        }
        j0 += columns;
    }
}

dispatch! {
    /// `dst[j][i] = scale * sum over chunks of src[chunk][i][j]`, chunks added in order.
    pub(crate) unsafe fn reduce(p: &Reduce) = reduce_body;
}

/// A plane to be padded and split into `phases x phases` planes of `rows x columns`.
#[derive(Clone, Copy)]
pub(crate) struct PadPlane {
    pub src: *const f32,
    pub height: usize,
    pub width: usize,
    pub dst: *mut f32,
    pub phases: usize,
    /// The coordinates in `src` of the padded plane's first element.
    pub y0: isize,
    pub x0: isize,
    pub rows: usize,
    pub columns: usize,
}

/// Which `i` of `0 .. count` have `0 <= first + i * step < size`.
#[inline(always)]
fn inside(first: isize, step: usize, size: usize, count: usize) -> (usize, usize) {
    let from = ((-first).max(0) as usize).div_ceil(step).min(count);
    let to = ((size as isize - first).max(0) as usize)
        .div_ceil(step)
        .clamp(from, count);
    (from, to)
}

#[inline(always)]
unsafe fn pad_plane_body<I: Vector>(p: &PadPlane) {
    for phase in 0..p.phases * p.phases {
        let (y0, x0) = (
            p.y0 + (phase / p.phases) as isize,
            p.x0 + (phase % p.phases) as isize,
        );
        let (top, bottom) = inside(y0, p.phases, p.height, p.rows);
        let (left, right) = inside(x0, p.phases, p.width, p.columns);
        let dst = p.dst.add(phase * p.rows * p.columns);
        if right == left || top == bottom {
            zero::<I>(dst, p.rows * p.columns);
            continue;
        }
        zero::<I>(dst, top * p.columns + left);
        let n = right - left;
        for row in top..bottom {
            let y = y0 + (row * p.phases) as isize;
            let x = x0 + (left * p.phases) as isize;
            let src = p.src.offset(y * p.width as isize + x);
            let dst = dst.add(row * p.columns + left);
            match p.phases {
                1 => copy_row::<I>(src, dst, n),
                2 => copy_evens::<I>(src, dst, n),
                s => (0..n).for_each(|i| *dst.add(i) = *src.add(i * s)),
            }
            // The rest of this row and the beginning of the next.
            if row + 1 < bottom {
                zero::<I>(dst.add(n), p.columns - n);
            }
        }
        let end = (bottom - 1) * p.columns + right;
        zero::<I>(dst.add(end), p.rows * p.columns - end);
    }
}

#[inline(always)]
unsafe fn zero<I: Vector>(dst: *mut f32, n: usize) {
    let mut i = 0;
    while i < n {
        I::store_part(dst.add(i), I::splat(0.0), I::LANES.min(n - i));
        i += I::LANES;
    }
}

#[inline(always)]
unsafe fn copy_row<I: Vector>(src: *const f32, dst: *mut f32, n: usize) {
    let mut i = 0;
    while i + I::LANES <= n {
        I::store(dst.add(i), I::load(src.add(i)));
        i += I::LANES;
    }
    if i < n {
        I::store_part(dst.add(i), I::load_part(src.add(i), n - i), n - i);
    }
}

/// `dst[i] = src[2 i]`, reading `2 n - 1` floats.
#[inline(always)]
unsafe fn copy_evens<I: Vector>(src: *const f32, dst: *mut f32, n: usize) {
    let mut i = 0;
    while i < n {
        let m = I::LANES.min(n - i);
        let (src, len) = (src.add(2 * i), 2 * m - 1);
        let a = I::load_part(src, len.min(I::LANES));
        let b = match len.checked_sub(I::LANES) {
            Some(len) => I::load_part(src.add(I::LANES), len),
            None => I::splat(0.0),
        };
        I::store_part(dst.add(i), I::evens(a, b), m);
        i += m;
    }
}

dispatch! {
    /// Writes all of the padded, split plane.
    pub(crate) unsafe fn pad_plane(p: &PadPlane) = pad_plane_body;
}
