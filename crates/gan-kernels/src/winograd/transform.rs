//! The two-dimensional transforms: tiles of inputs, gradients and weights to their values at the
//! points, and back.
//!
//! A vector holds the same element of as many tiles (or channels) as it has lanes, so a transform
//! is arithmetic between vectors. Tiles are read by `Vector::quads`, four neighbouring floats of
//! each lane.
//!
//! # Safety
//!
//! As in `tile`: a caller answers for the ranges that each structure documents.
#![allow(unsafe_op_in_unsafe_fn, clippy::needless_range_loop)]

use super::form::{Form, MAX_POINTS, Points, Row, by_form};
use crate::simd::dispatch;
use crate::tile::Bias;
use crate::vector::{MAX_LANES, Vector};

type Square<I> = [Row<I>; MAX_POINTS];

/// Six neighbouring columns of a tile's row.
#[inline(always)]
unsafe fn load_row<I: Vector>(at: &[*const f32; MAX_LANES], offset: usize) -> Row<I> {
    let (a, b) = (I::quads(at, offset), I::quads(at, offset + 4));
    [a[0], a[1], a[2], a[3], b[0], b[1]]
}

/// The five even and the five odd columns among ten.
#[inline(always)]
unsafe fn load_row_pair<I: Vector>(at: &[*const f32; MAX_LANES], offset: usize) -> [Row<I>; 2] {
    let (a, b) = (I::quads(at, offset), I::quads(at, offset + 4));
    let (c, none) = (I::quads(at, offset + 8), I::splat(0.0));
    [
        [a[0], a[2], b[0], b[2], c[0], none],
        [a[1], a[3], b[1], b[3], c[1], none],
    ]
}

/// Column `j` of the first `n` rows.
#[inline(always)]
unsafe fn column<I: Vector>(t: &Square<I>, j: usize, n: usize) -> Row<I> {
    let mut c = [I::splat(0.0); MAX_POINTS];
    for i in 0..n {
        c[i] = t[i][j];
    }
    c
}

/// Tiles to be transformed, see [`input`] and [`gradient`].
#[derive(Clone, Copy)]
pub(crate) struct Tiles<'a> {
    /// Where each lane's first tile begins.
    pub at: [*const f32; MAX_LANES],
    /// Floats between rows of a tile.
    pub row: usize,
    /// What is added to all lanes' pointers for each further tile.
    pub offsets: &'a [usize],
    /// Where matrix 0 of the first tile goes.
    pub dst: *mut f32,
    /// Floats in `dst` between tiles, and between matrices.
    pub step: usize,
    pub matrix: usize,
    /// Whether a tile's columns are every second one: then there are two tiles, of the even and
    /// of the odd columns, of which the second one goes this far behind the first.
    pub pair: Option<usize>,
    /// How many lanes are stored.
    pub lanes: usize,
}

/// The second half of the transform: columns, stored.
#[inline(always)]
unsafe fn store_input<I: Vector, P: Points>(t: &Square<I>, dst: *mut f32, p: &Tiles) {
    for j in 0..P::N {
        let r = P::differences::<I>(&column::<I>(t, j, P::N));
        for i in 0..P::N {
            I::store_part(dst.add((i * P::N + j) * p.matrix), r[i], p.lanes);
        }
    }
}

#[inline(always)]
unsafe fn input_tiles<I: Vector, P: Points, const M: usize, const R: usize>(p: &Tiles) {
    let none: Square<I> = [[I::splat(0.0); MAX_POINTS]; MAX_POINTS];
    for (k, &offset) in p.offsets.iter().enumerate() {
        let dst = p.dst.add(k * p.step);
        let (mut t, mut odd) = (none, none);
        if let Some(second) = p.pair {
            for i in 0..P::N {
                let [a, b] = load_row_pair::<I>(&p.at, offset + i * p.row);
                (t[i], odd[i]) = (P::differences::<I>(&a), P::differences::<I>(&b));
            }
            store_input::<I, P>(&t, dst, p);
            store_input::<I, P>(&odd, dst.add(second), p);
        } else {
            for i in 0..P::N {
                t[i] = P::differences::<I>(&load_row::<I>(&p.at, offset + i * p.row));
            }
            store_input::<I, P>(&t, dst, p);
        }
    }
}

#[inline(always)]
unsafe fn input_body<I: Vector>(form: Form, p: &Tiles) {
    by_form!(form, input_tiles::<I>(p));
}

dispatch! {
    /// `V = B^T d B` for each tile d of the input.
    ///
    /// A tile is N rows of which eight floats are read (twelve of a pair).
    pub(crate) unsafe fn input(form: Form, p: &Tiles<'_>) = input_body;
}

#[inline(always)]
unsafe fn gradient_tiles<I: Vector, P: Points, const M: usize, const R: usize>(p: &Tiles) {
    for (k, &offset) in p.offsets.iter().enumerate() {
        let mut t: Square<I> = [[I::splat(0.0); MAX_POINTS]; MAX_POINTS];
        for i in 0..M {
            let g = I::quads(&p.at, offset + i * p.row);
            let none = I::splat(0.0);
            t[i] = P::evaluate::<I, M>(&[g[0], g[1], g[2], g[3], none, none]);
        }
        let dst = p.dst.add(k * p.step);
        for j in 0..P::N {
            let r = P::evaluate::<I, M>(&column::<I>(&t, j, M));
            for i in 0..P::N {
                I::store_part(dst.add((i * P::N + j) * p.matrix), r[i], p.lanes);
            }
        }
    }
}

#[inline(always)]
unsafe fn gradient_body<I: Vector>(form: Form, p: &Tiles) {
    by_form!(form, gradient_tiles::<I>(p));
}

dispatch! {
    /// `A g A^T` for each tile g of the output's gradient.
    ///
    /// A tile is M rows of which four floats are read.
    pub(crate) unsafe fn gradient(form: Form, p: &Tiles<'_>) = gradient_body;
}

/// A table of taps: which of a kernel's taps is tap (i, j) of the form.
pub(crate) type Order = [usize; 16];

/// Kernels to be transformed, see [`weights`].
#[derive(Clone, Copy)]
pub(crate) struct Kernels<'a> {
    /// Each lane's kernel of the first channel.
    pub at: [*const f32; MAX_LANES],
    /// Floats between channels, and how many there are.
    pub channel: usize,
    pub channels: usize,
    /// Taps of a kernel, 9 or 16.
    pub taps: usize,
    /// The parts that a kernel has, each with a form's taps.
    pub orders: &'a [Order],
    /// Where matrix 0 of the first channel's first part goes.
    pub dst: *mut f32,
    /// Floats in `dst` between parts, between channels and between matrices.
    pub part: usize,
    pub step: usize,
    pub matrix: usize,
    /// How many lanes are stored.
    pub lanes: usize,
    /// Factors of the matrices.
    pub factors: &'a [f32; MAX_POINTS * MAX_POINTS],
}

#[inline(always)]
unsafe fn weight_tiles<I: Vector, P: Points, const M: usize, const R: usize>(p: &Kernels) {
    for c in 0..p.channels {
        let mut w = [I::splat(0.0); 16];
        let from = c * p.channel;
        if p.taps == 9 {
            let (a, b) = (I::quads(&p.at, from), I::quads(&p.at, from + 4));
            w[..4].copy_from_slice(&a);
            w[4..8].copy_from_slice(&b);
            w[8] = I::quads(&p.at, from + 5)[3];
        } else {
            for q in 0..4 {
                w[4 * q..4 * q + 4].copy_from_slice(&I::quads(&p.at, from + 4 * q));
            }
        }
        for (part, order) in p.orders.iter().enumerate() {
            let mut t: Square<I> = [[I::splat(0.0); MAX_POINTS]; MAX_POINTS];
            for i in 0..R {
                let mut g = [I::splat(0.0); MAX_POINTS];
                for j in 0..R {
                    g[j] = w[order[i * R + j] & 15];
                }
                t[i] = P::evaluate::<I, R>(&g);
            }
            let dst = p.dst.add(c * p.step + part * p.part);
            for j in 0..P::N {
                let r = P::evaluate::<I, R>(&column::<I>(&t, j, R));
                for i in 0..P::N {
                    let v = I::mul(r[i], I::splat(p.factors[i * P::N + j]));
                    I::store_part(dst.add((i * P::N + j) * p.matrix), v, p.lanes);
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn weights_body<I: Vector>(form: Form, p: &Kernels) {
    by_form!(form, weight_tiles::<I>(p));
}

dispatch! {
    /// `U = G g G^T` for each kernel g, or each of its parts.
    pub(crate) unsafe fn weights(form: Form, p: &Kernels<'_>) = weights_body;
}

/// Products to be turned into outputs, see [`output`].
#[derive(Clone, Copy)]
pub(crate) struct Outputs<'a> {
    /// Matrix 0 of the first channel, for each of the output's interleaved columns (one, or two).
    pub src: &'a [*const f32],
    /// Floats between channels, and between matrices.
    pub step: usize,
    pub matrix: usize,
    pub channels: usize,
    /// Where each lane's tile begins in the first channel.
    pub at: [*mut f32; MAX_LANES],
    /// Floats between channels, and between a tile's rows, in the output.
    pub plane: usize,
    pub row: usize,
    /// Rows and columns of each lane's tile that exist; none if all lanes' tiles are whole.
    pub exist: Option<&'a ([u8; MAX_LANES], [u8; MAX_LANES])>,
    pub bias: Bias,
    pub slope: f32,
}

#[inline(always)]
unsafe fn interpolate2<I: Vector, P: Points, const D: usize>(
    src: *const f32,
    matrix: usize,
) -> Square<I> {
    let mut t: Square<I> = [[I::splat(0.0); MAX_POINTS]; MAX_POINTS];
    for i in 0..P::N {
        let mut m = [I::splat(0.0); MAX_POINTS];
        for j in 0..P::N {
            m[j] = I::load(src.add((i * P::N + j) * matrix));
        }
        t[i] = P::interpolate::<I, D>(&m);
    }
    let mut y: Square<I> = [[I::splat(0.0); MAX_POINTS]; MAX_POINTS];
    for j in 0..D {
        let c = P::interpolate::<I, D>(&column::<I>(&t, j, P::N));
        for i in 0..D {
            y[i][j] = c[i];
        }
    }
    y
}

#[inline(always)]
unsafe fn finished<I: Vector>(v: &Row<I>, bias: I::F, slope: I::F) -> [I::F; 4] {
    let mut y = [v[0], v[1], v[2], v[3]];
    for y in &mut y {
        let v = I::add(*y, bias);
        *y = I::max(I::mul(v, slope), v);
    }
    y
}

#[inline(always)]
unsafe fn store_row<I: Vector>(p: &Outputs, v: [I::F; 4], offset: usize, row: usize, from: u8) {
    let Some((rows, columns)) = p.exist else {
        return I::store_quads(v, &p.at, offset);
    };
    let mut n = [0; MAX_LANES];
    for l in 0..I::LANES {
        if row < usize::from(rows[l]) {
            n[l] = columns[l].saturating_sub(from).min(4);
        }
    }
    I::store_quads_part(v, &p.at, offset, &n);
}

#[inline(always)]
unsafe fn output_tiles<I: Vector, P: Points, const M: usize, const R: usize>(p: &Outputs) {
    let slope = I::splat(p.slope);
    for c in 0..p.channels {
        let bias = match p.bias {
            Bias::Rows(b) => I::splat(*b.add(c)),
            _ => I::splat(0.0),
        };
        let to = c * p.plane;
        let even = interpolate2::<I, P, M>(p.src[0].add(c * p.step), p.matrix);
        if p.src.len() == 1 {
            for i in 0..M {
                let y = finished::<I>(&even[i], bias, slope);
                store_row::<I>(p, y, to + i * p.row, i, 0);
            }
        } else {
            let odd = interpolate2::<I, P, M>(p.src[1].add(c * p.step), p.matrix);
            for i in 0..M {
                let a = finished::<I>(&even[i], bias, slope);
                let b = finished::<I>(&odd[i], bias, slope);
                let to = to + i * p.row;
                store_row::<I>(p, [a[0], b[0], a[1], b[1]], to, i, 0);
                store_row::<I>(p, [a[2], b[2], a[3], b[3]], to + 4, i, 4);
            }
        }
    }
}

#[inline(always)]
unsafe fn output_body<I: Vector>(form: Form, p: &Outputs) {
    by_form!(form, output_tiles::<I>(p));
}

dispatch! {
    /// `A^T m A` for each channel's products m, finished and stored.
    pub(crate) unsafe fn output(form: Form, p: &Outputs<'_>) = output_body;
}

/// Sums to be turned into weight gradients, see [`collect`].
#[derive(Clone, Copy)]
pub(crate) struct Sums<'a> {
    /// Matrix 0 of each part, sixteen lanes at most.
    pub src: &'a [*const f32],
    pub matrix: usize,
    /// Floats between sections, which are added in order, and how many there are.
    pub section: usize,
    pub sections: usize,
    pub orders: &'a [Order],
    /// Where each lane's kernel goes.
    pub at: [*mut f32; MAX_LANES],
    /// How many lanes are stored.
    pub lanes: usize,
    pub taps: usize,
    pub factors: &'a [f32; MAX_POINTS * MAX_POINTS],
}

#[inline(always)]
unsafe fn collect_tiles<I: Vector, P: Points, const M: usize, const R: usize>(p: &Sums) {
    let mut w = [I::splat(0.0); 16];
    for (&src, order) in p.src.iter().zip(p.orders) {
        let mut t: Square<I> = [[I::splat(0.0); MAX_POINTS]; MAX_POINTS];
        for i in 0..P::N {
            let mut m = [I::splat(0.0); MAX_POINTS];
            for j in 0..P::N {
                let from = src.add((i * P::N + j) * p.matrix);
                let mut v = I::load(from);
                for s in 1..p.sections {
                    v = I::add(v, I::load(from.add(s * p.section)));
                }
                m[j] = I::mul(v, I::splat(p.factors[i * P::N + j]));
            }
            t[i] = P::interpolate::<I, R>(&m);
        }
        for j in 0..R {
            let c = P::interpolate::<I, R>(&column::<I>(&t, j, P::N));
            for i in 0..R {
                w[order[i * R + j] & 15] = c[i];
            }
        }
    }
    let quad = |i: usize| [w[i], w[i + 1], w[i + 2], w[i + 3]];
    let mut n = [0; MAX_LANES];
    n[..p.lanes].fill(4);
    if p.taps == 9 {
        for i in [0, 4, 5] {
            I::store_quads_part(quad(i), &p.at, i, &n);
        }
    } else {
        for i in [0, 4, 8, 12] {
            I::store_quads_part(quad(i), &p.at, i, &n);
        }
    }
}

#[inline(always)]
unsafe fn collect_body<I: Vector>(form: Form, p: &Sums) {
    by_form!(form, collect_tiles::<I>(p));
}

dispatch! {
    /// `G^T u G` for each lane's sums u: the gradient of its kernel.
    pub(crate) unsafe fn collect(form: Form, p: &Sums<'_>) = collect_body;
}
