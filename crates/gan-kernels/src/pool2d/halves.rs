//! Pooling over windows of 2x2 side by side, in loops that the compiler vectorises.

use crate::real::{Real, kernel};
use crate::simd::Isa;
use std::mem::MaybeUninit;

/// Whether `a` is larger than `b`, which comes before it; NaN is larger than all numbers.
#[inline(always)]
#[allow(clippy::eq_op)] // NaN is what differs from itself
pub(super) fn beats<T: Real>(a: T, b: T) -> bool {
    (a > b) | ((a != a) & (b == b))
}

/// Windows of a pair of rows: the four elements of each.
#[inline(always)]
fn windows<T: Real>(upper: &[T], lower: &[T]) -> impl Iterator<Item = [T; 4]> {
    let pairs = upper
        .as_chunks::<2>()
        .0
        .iter()
        .zip(lower.as_chunks::<2>().0);
    pairs.map(|([a, b], [c, d])| [*a, *b, *c, *d])
}

/// Windows that are taken at once. Their elements go through small arrays, one for each place in
/// a window, between loops that the compiler vectorises.
const BLOCK: usize = 64;

/// Splits up to [`BLOCK`] windows of a pair of rows into their four places.
#[inline(always)]
fn split<T: Real>(upper: &[T], lower: &[T]) -> [[T; BLOCK]; 4] {
    let mut places = [[T::ZERO; BLOCK]; 4];
    let [a, b, c, d] = &mut places;
    for (row, left, right) in [(upper, a, b), (lower, c, d)] {
        match <&[[T; 2]; BLOCK]>::try_from(row.as_chunks::<2>().0).ok() {
            // The count is a constant for all but the last block of a row.
            Some(pairs) => {
                for ((l, r), pair) in left.iter_mut().zip(right).zip(pairs) {
                    (*l, *r) = (pair[0], pair[1]);
                }
            }
            None => {
                for ((l, r), pair) in left.iter_mut().zip(right).zip(row.as_chunks::<2>().0) {
                    (*l, *r) = (pair[0], pair[1]);
                }
            }
        }
    }
    places
}

/// The value that goes with the first largest of each window's elements.
#[inline(always)]
fn choose<T: Real>(x: &[[T; BLOCK]; 4], v: &[[T; BLOCK]; 4]) -> [T; BLOCK] {
    let mut chosen = [T::ZERO; BLOCK];
    for j in 0..BLOCK {
        let (mut best, mut value) = (x[0][j], v[0][j]);
        for k in 1..4 {
            let better = beats(x[k][j], best);
            best = if better { x[k][j] } else { best };
            value = if better { v[k][j] } else { value };
        }
        chosen[j] = value;
    }
    chosen
}

/// 1 at the first largest of each window's elements, else 0.
#[inline(always)]
fn marks<T: Real>(x: &[[T; BLOCK]; 4]) -> [[T; BLOCK]; 4] {
    let mut marks = [[T::ZERO; BLOCK]; 4];
    for j in 0..BLOCK {
        let [a, b, c, d] = [x[0][j], x[1][j], x[2][j], x[3][j]];
        let (right, below) = (beats(b, a), beats(d, c));
        let (upper, lower) = (if right { b } else { a }, if below { d } else { c });
        let down = beats(lower, upper);
        let mark = |yes: bool| if yes { T::ONE } else { T::ZERO };
        marks[0][j] = mark(!right & !down);
        marks[1][j] = mark(right & !down);
        marks[2][j] = mark(!below & down);
        marks[3][j] = mark(below & down);
    }
    marks
}

#[inline(always)]
fn average_halves_body<I: Isa, T: Real>(x: &[T], w: usize, ow: usize, y: &mut [MaybeUninit<T>]) {
    let quarter = T::of(0.25);
    for (y, x) in y.chunks_exact_mut(ow).zip(x.chunks_exact(2 * w)) {
        let (upper, lower) = x.split_at(w);
        for (y, [a, b, c, d]) in y.iter_mut().zip(windows(upper, lower)) {
            y.write((a + b + c + d) * quarter);
        }
    }
}
kernel! {
    pub(super) fn average_halves<T: Real>(x: &[T], w: usize, ow: usize, y: &mut [MaybeUninit<T>])
        = average_halves_body;
}

#[inline(always)]
fn gather_halves_body<I: Isa, T: Real>(
    x: &[T],
    v: &[T],
    w: usize,
    ow: usize,
    y: &mut [MaybeUninit<T>],
) {
    let rows = x.chunks_exact(2 * w).zip(v.chunks_exact(2 * w));
    for (y, (x, v)) in y.chunks_exact_mut(ow).zip(rows) {
        for (i, y) in y.chunks_mut(BLOCK).enumerate() {
            let (start, len) = (2 * BLOCK * i, 2 * y.len());
            let cut = |rows: &[T]| split(&rows[start..][..len], &rows[w + start..][..len]);
            for (y, v) in y.iter_mut().zip(choose(&cut(x), &cut(v))) {
                y.write(v);
            }
        }
    }
}
kernel! {
    pub(super) fn gather_halves<T: Real>(
        x: &[T], v: &[T], w: usize, ow: usize, y: &mut [MaybeUninit<T>]
    ) = gather_halves_body;
}

#[inline(always)]
fn average_back_halves_body<I: Isa, T: Real>(
    g: &[T],
    w: usize,
    ow: usize,
    dx: &mut [MaybeUninit<T>],
) {
    let quarter = T::of(0.25);
    let whole = g.len() / ow * 2 * w;
    for d in &mut dx[whole..] {
        d.write(T::ZERO);
    }
    for (dx, g) in dx[..whole].chunks_exact_mut(2 * w).zip(g.chunks_exact(ow)) {
        for dx in dx.chunks_exact_mut(w) {
            for d in &mut dx[2 * ow..] {
                d.write(T::ZERO);
            }
            for ([a, b], g) in dx.as_chunks_mut::<2>().0.iter_mut().zip(g) {
                a.write(*g * quarter);
                b.write(*g * quarter);
            }
        }
    }
}
kernel! {
    pub(super) fn average_back_halves<T: Real>(g: &[T], w: usize, ow: usize, dx: &mut [MaybeUninit<T>])
        = average_back_halves_body;
}

#[inline(always)]
fn spread_halves_body<I: Isa, T: Real>(
    x: &[T],
    g: &[T],
    w: usize,
    ow: usize,
    dx: &mut [MaybeUninit<T>],
) {
    let whole = g.len() / ow * 2 * w;
    // The last row of an odd height, and the last column of an odd width, get nothing.
    for d in &mut dx[whole..] {
        d.write(T::ZERO);
    }
    let rows = x.chunks_exact(2 * w).zip(g.chunks_exact(ow));
    for (dx, (x, g)) in dx[..whole].chunks_exact_mut(2 * w).zip(rows) {
        let ((x0, x1), (d0, d1)) = (x.split_at(w), dx.split_at_mut(w));
        for d in [&mut d0[2 * ow..], &mut d1[2 * ow..]] {
            for d in d {
                d.write(T::ZERO);
            }
        }
        for (i, g) in g.chunks(BLOCK).enumerate() {
            let at = 2 * BLOCK * i..2 * BLOCK * i + 2 * g.len();
            let marks = marks(&split(&x0[at.clone()], &x1[at.clone()]));
            for (d, row) in [&mut *d0, &mut *d1].into_iter().zip([[0, 1], [2, 3]]) {
                let pairs = d[at.clone()].as_chunks_mut::<2>().0;
                for (((d, g), l), r) in pairs
                    .iter_mut()
                    .zip(g)
                    .zip(&marks[row[0]])
                    .zip(&marks[row[1]])
                {
                    d[0].write(*g * *l);
                    d[1].write(*g * *r);
                }
            }
        }
    }
}
kernel! {
    pub(super) fn spread_halves<T: Real>(
        x: &[T], g: &[T], w: usize, ow: usize, dx: &mut [MaybeUninit<T>]
    ) = spread_halves_body;
}
