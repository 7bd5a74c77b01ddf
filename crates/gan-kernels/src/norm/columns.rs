//! Batch norm where a channel's row in a picture is short: vectors run along channels.
//!
//! A picture's channels lie one after another, so a block of channels is a run of columns. Sums
//! run along pictures, a lane for each column; then the columns of a channel are added up.

use super::shared::{Context, Dims, Shared, Stats, gradient_line, settle};
use crate::act::Activate;
use crate::par;
use crate::real::{Real, kernel};
use crate::simd::{self, Isa};
use crate::sweep::SPAN;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Columns that one task takes at most.
const COLUMNS: usize = 256;

/// The columns that one task of the short-row form takes: channels, and where a picture's start.
#[derive(Clone, Copy)]
struct Columns {
    first: usize,
    count: usize,
}

impl Dims {
    /// Channels of one task of the short-row form.
    fn block(self) -> usize {
        (COLUMNS / self.n.max(1)).max(1)
    }

    fn columns(self, task: usize) -> Columns {
        let first = task * self.block();
        Columns {
            first,
            count: self.block().min(self.c - first),
        }
    }

    /// Where the columns lie in a picture.
    #[inline(always)]
    fn columns_of(self, picture: usize, columns: Columns) -> Range<usize> {
        let start = (picture * self.c + columns.first) * self.n;
        start..start + columns.count * self.n
    }
}

/// Adds the columns of each channel to its f64 sums and clears them.
#[inline(always)]
fn gather<T: Real>(columns: &mut [T; COLUMNS], n: usize, sums: &mut [f64]) {
    for (sum, columns) in sums.iter_mut().zip(columns.chunks_mut(n)) {
        for column in columns {
            *sum += column.wide();
            *column = T::ZERO;
        }
    }
}

/// Each channel's value over its columns.
#[inline(always)]
fn spread<T: Real>(n: usize, count: usize, value: impl Fn(usize) -> T) -> [T; COLUMNS] {
    let mut columns = [T::ZERO; COLUMNS];
    for (channel, columns) in columns.chunks_mut(n).take(count).enumerate() {
        columns.fill(value(channel));
    }
    columns
}

/// The sums of the channels' columns about their shifts.
#[inline(always)]
fn columns_moments_body<I: Isa, T: Real>(
    dims: Dims,
    x: &[T],
    at: Columns,
    shift: &[T; COLUMNS],
    sums: &mut [[f64; COLUMNS]; 2],
) {
    let (mut s, mut q) = ([T::ZERO; COLUMNS], [T::ZERO; COLUMNS]);
    for picture in 0..dims.b {
        let x = &x[dims.columns_of(picture, at)];
        for (((x, shift), s), q) in x.iter().zip(shift).zip(&mut s).zip(&mut q) {
            let d = *x - *shift;
            *s += d;
            *q = T::madd::<I>(d, d, *q);
        }
        if picture % SPAN == SPAN - 1 || picture == dims.b - 1 {
            gather(&mut s, dims.n, &mut sums[0]);
            gather(&mut q, dims.n, &mut sums[1]);
        }
    }
}
kernel! {
    fn columns_moments<T: Real>(
        dims: Dims, x: &[T], at: Columns, shift: &[T; COLUMNS], sums: &mut [[f64; COLUMNS]; 2]
    ) = columns_moments_body;
}

#[inline(always)]
fn columns_write_body<I: Isa, T: Real, A: Activate<T>>(
    at: Context<'_, T, A>,
    columns: Columns,
    [scale, offset]: [&[T; COLUMNS]; 2],
    y: Shared<MaybeUninit<T>>,
) {
    for picture in 0..at.dims.b {
        let range = at.dims.columns_of(picture, columns);
        // SAFETY: a channel belongs to one task, and the caller's output outlives the tasks.
        let y = unsafe { y.part(range.clone()) };
        for (((y, x), scale), offset) in y.iter_mut().zip(&at.x[range]).zip(scale).zip(offset) {
            y.write(at.act.value(T::madd::<I>(*x, *scale, *offset)));
        }
    }
}
kernel! {
    fn columns_write<T: Real, A: Activate<T>>(
        at: Context<'_, T, A>, columns: Columns, line: [&[T; COLUMNS]; 2],
        y: Shared<MaybeUninit<T>>
    ) = columns_write_body;
}

/// `kernels::forward` for short rows of batch norm: vectors along channels, sums along pictures.
pub(super) fn columns_forward<T: Real, A: Activate<T>>(
    at: Context<'_, T, A>,
    eps: f64,
    fixed: bool,
    [mean, var, inv]: [Shared<f64>; 3],
    y: Shared<MaybeUninit<T>>,
) {
    let level = simd::level();
    let Dims { b, c, n, .. } = at.dims;
    let tasks = c.div_ceil(at.dims.block());
    par::for_each_sized(tasks, 4 * at.dims.len(), |task| {
        let columns = at.dims.columns(task);
        let Columns { first, count } = columns;
        // SAFETY: a channel belongs to one task.
        let (mean, var, inv) = unsafe {
            let range = first..first + count;
            (
                mean.part(range.clone()),
                var.part(range.clone()),
                inv.part(range),
            )
        };
        if !fixed {
            let shifts: [T; COLUMNS] = std::array::from_fn(|channel| {
                if channel >= count {
                    return T::ZERO;
                }
                let few = b.min(8);
                let sum: f64 = (0..few)
                    .flat_map(|p| &at.x[(p * c + first + channel) * n..][..n])
                    .map(|v| v.wide())
                    .sum();
                T::of(sum / (few * n) as f64)
            });
            let mut sums = [[0f64; COLUMNS]; 2];
            let shift = spread(n, count, |channel| shifts[channel]);
            columns_moments(level, at.dims, at.x, columns, &shift, &mut sums);
            for channel in 0..count {
                let sums = [sums[0][channel], sums[1][channel]];
                let (m, v) = settle(sums, shifts[channel], (b * n) as f64);
                (mean[channel], var[channel]) = (m, v);
                inv[channel] = 1.0 / (v + eps).sqrt();
            }
        }
        let line = |channel: usize| at.affine.line(first + channel, mean[channel], inv[channel]);
        let scale = spread(n, count, |channel| line(channel).0);
        let offset = spread(n, count, |channel| line(channel).1);
        columns_write(level, at, columns, [&scale, &offset], y);
    });
}

/// The columns' coefficients in [`columns_backward`].
struct ColumnLines<T> {
    scale: [T; COLUMNS],
    offset: [T; COLUMNS],
    mean: [T; COLUMNS],
    slope: [T; COLUMNS],
    constant: [T; COLUMNS],
}

#[inline(always)]
fn columns_gradient_sums_body<I: Isa, T: Real, A: Activate<T>>(
    at: Context<'_, T, A>,
    g: &[T],
    columns: Columns,
    by: &ColumnLines<T>,
    sums: &mut [[f64; COLUMNS]; 2],
) {
    let (mut s, mut q) = ([T::ZERO; COLUMNS], [T::ZERO; COLUMNS]);
    for picture in 0..at.dims.b {
        let range = at.dims.columns_of(picture, columns);
        let inputs = at.x[range.clone()].iter().zip(&g[range]);
        let lines = by.scale.iter().zip(&by.offset).zip(&by.mean);
        for (((x, g), ((scale, offset), mean)), (s, q)) in
            inputs.zip(lines).zip(s.iter_mut().zip(&mut q))
        {
            let g = at.act.chain(T::madd::<I>(*x, *scale, *offset), *g);
            *s += g;
            *q = T::madd::<I>(g, *x - *mean, *q);
        }
        if picture % SPAN == SPAN - 1 || picture == at.dims.b - 1 {
            gather(&mut s, at.dims.n, &mut sums[0]);
            gather(&mut q, at.dims.n, &mut sums[1]);
        }
    }
}
kernel! {
    fn columns_gradient_sums<T: Real, A: Activate<T>>(
        at: Context<'_, T, A>, g: &[T], columns: Columns, by: &ColumnLines<T>,
        sums: &mut [[f64; COLUMNS]; 2]
    ) = columns_gradient_sums_body;
}

#[inline(always)]
fn columns_gradient_write_body<I: Isa, T: Real, A: Activate<T>>(
    at: Context<'_, T, A>,
    g: &[T],
    columns: Columns,
    by: &ColumnLines<T>,
    dx: Shared<MaybeUninit<T>>,
) {
    for picture in 0..at.dims.b {
        let range = at.dims.columns_of(picture, columns);
        // SAFETY: a channel belongs to one task, and the caller's output outlives the tasks.
        let dx = unsafe { dx.part(range.clone()) };
        let inputs = dx.iter_mut().zip(&at.x[range.clone()]).zip(&g[range]);
        let lines = by.scale.iter().zip(&by.offset).zip(&by.mean);
        let ends = by.slope.iter().zip(&by.constant);
        for ((((dx, x), g), ((scale, offset), mean)), (slope, constant)) in
            inputs.zip(lines).zip(ends)
        {
            let g = at.act.chain(T::madd::<I>(*x, *scale, *offset), *g);
            let rest = T::madd::<I>(*x - *mean, *slope, *constant);
            dx.write(T::madd::<I>(g, *scale, rest));
        }
    }
}
kernel! {
    fn columns_gradient_write<T: Real, A: Activate<T>>(
        at: Context<'_, T, A>, g: &[T], columns: Columns, by: &ColumnLines<T>,
        dx: Shared<MaybeUninit<T>>
    ) = columns_gradient_write_body;
}

/// `kernels::backward` for short rows of batch norm; `slots` gets a channel's Σĝ and Σĝ(x - μ).
pub(super) fn columns_backward<T: Real, A: Activate<T>>(
    at: Context<'_, T, A>,
    g: &[T],
    stats: &Stats,
    slots: Shared<[f64; 2]>,
    dx: Shared<MaybeUninit<T>>,
) {
    let level = simd::level();
    let n = at.dims.n;
    let length = at.dims.group_len() as f64;
    let tasks = at.dims.c.div_ceil(at.dims.block());
    par::for_each_sized(tasks, 4 * at.dims.len(), |task| {
        let columns = at.dims.columns(task);
        let Columns { first, count } = columns;
        let line = |i: usize| {
            at.affine
                .line(first + i, stats.mean[first + i], stats.inv[first + i])
        };
        let mut by = ColumnLines {
            scale: spread(n, count, |i| line(i).0),
            offset: spread(n, count, |i| line(i).1),
            mean: spread(n, count, |i| T::of(stats.mean[first + i])),
            slope: [T::ZERO; COLUMNS],
            constant: [T::ZERO; COLUMNS],
        };
        let mut sums = [[0f64; COLUMNS]; 2];
        columns_gradient_sums(level, at, g, columns, &by, &mut sums);
        // SAFETY: a channel belongs to one task.
        let slots = unsafe { slots.part(first..first + count) };
        let mut lines = [[0f64; 2]; COLUMNS];
        for i in 0..count {
            slots[i] = [sums[0][i], sums[1][i]];
            let gain = at.affine.gain(first + i);
            let weighted = [gain * sums[0][i], gain * sums[1][i]];
            lines[i] = gradient_line(weighted, stats.inv[first + i], length, stats.fixed);
        }
        by.slope = spread(n, count, |i| T::of(lines[i][0]));
        by.constant = spread(n, count, |i| T::of(lines[i][1]));
        columns_gradient_write(level, at, g, columns, &by, dx);
    });
}
