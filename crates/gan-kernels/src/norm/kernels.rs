//! The arithmetic of batch, instance and layer norm.
//!
//! Some 630 lines because one set of kernels serves all three, in both orders of derivative.
//!
//! All three see `[b, c, n]` (n = h·w) as b·c rows of n elements. They differ in which rows share
//! their statistics ([`Group`]); gain and offset are per channel in all. So one set of kernels
//! serves them: sums over a group's rows, then a pass that writes the rows. With `x̂ = (x - μ) r`,
//! `r = 1/√(var + ε)`, `z = γ x̂ + β`, `y = act(z)`, N elements in a group, an upstream gradient g,
//! `ĝ = g act'(z)`, `u = γ ĝ` and Σ over a group:
//!
//! - `dx = r (u - Σu/N - x̂ Σ(u x̂)/N)`, which is J u with J symmetric;
//! - for an upstream gradient h of dx: `dĝ = γ J h`, and with `a = Σhu - Σh Σu/N`, `p = Σ h x̂`,
//!   `q = Σ u x̂`, the gradient of x is
//!   `-(r²/N) (q h + p u - q Σh/N - p Σu/N + x̂ (a - 3 p q/N))`.
//!
//! act' is constant wherever it is differentiable. The sign of z is computed again where it is
//! needed, by the same instructions, which costs less than reading y.
//!
//! Sums run in lanes of the element type over at most [`SPAN`](crate::sweep::SPAN) additions about a shift near the
//! mean, then in f64. The order is fixed by the shape.

use super::columns::{columns_backward, columns_forward};
use super::shared::{Affine, Context, Dims, Group, Rows, Shared, Stats, gradient_line, settle};
use crate::act::Activate;
use crate::memory::filled;
use crate::par;
use crate::real::{Real, kernel};
use crate::simd::{self, Isa};
use crate::sweep::{CHUNK, Sums, emit, is_large};
use std::mem::MaybeUninit;
use std::ops::Range;

/// A shift near the mean of a group, about which its squares are summed.
fn shift<T: Real>(x: &[T]) -> T {
    let some = &x[..x.len().min(64)];
    T::of(some.iter().map(|v| v.wide()).sum::<f64>() / some.len() as f64)
}

/// Σ(x - shift) and Σ(x - shift)² over rows.
#[inline(always)]
fn moments_body<I: Isa, T: Real>(x: &[T], n: usize, rows: Rows, shift: T) -> [f64; 2] {
    // Rows that lie one after another are one long row.
    let (count, len) = if rows.step == 1 {
        (1, n * rows.count)
    } else {
        (rows.count, n)
    };
    let mut sums = Sums::<T, 2>::new();
    for i in 0..count {
        let start = (rows.first + i * rows.step) * n;
        sums.add([&x[start..start + len]], |[s, q], [x]| {
            let d = x - shift;
            [s + d, T::madd::<I>(d, d, q)]
        });
    }
    sums.finish()
}
kernel! { fn moments<T: Real>(x: &[T], n: usize, rows: Rows, shift: T) -> [f64; 2] = moments_body; }

/// Writes the rows' y.
#[inline(always)]
fn write_rows_body<I: Isa, T: Real, A: Activate<T>>(
    at: Context<'_, T, A>,
    rows: Rows,
    mean: f64,
    inv: f64,
    y: Shared<MaybeUninit<T>>,
) {
    let past = is_large::<T>(at.dims.len());
    for row in rows.iter() {
        let (scale, offset) = at.affine.line(row % at.dims.c, mean, inv);
        // SAFETY: each row belongs to one task, and the caller's output outlives the tasks.
        let y = unsafe { y.part(at.row(row)) };
        emit(y, [&at.x[at.row(row)]], past, |[x]| {
            at.act.value(T::madd::<I>(x, scale, offset))
        });
    }
}
kernel! {
    fn write_rows<T: Real, A: Activate<T>>(
        at: Context<'_, T, A>, rows: Rows, mean: f64, inv: f64, y: Shared<MaybeUninit<T>>
    ) = write_rows_body;
}

/// Σĝ and Σĝ(x - μ), of all rows together if there is one slot, else of each.
#[inline(always)]
fn gradient_sums_body<I: Isa, T: Real, A: Activate<T>>(
    at: Context<'_, T, A>,
    g: &[T],
    rows: Rows,
    mean: f64,
    inv: f64,
    slots: &mut [[f64; 2]],
) {
    let mu = T::of(mean);
    let mut sums = Sums::<T, 2>::new();
    let each = slots.len() == rows.count;
    for (i, row) in rows.iter().enumerate() {
        let (scale, offset) = at.affine.line(row % at.dims.c, mean, inv);
        sums.add([&at.x[at.row(row)], &g[at.row(row)]], |[s, q], [x, g]| {
            let g = at.act.chain(T::madd::<I>(x, scale, offset), g);
            [s + g, T::madd::<I>(g, x - mu, q)]
        });
        if each {
            slots[i] = std::mem::replace(&mut sums, Sums::new()).finish();
        }
    }
    if !each {
        slots[0] = sums.finish();
    }
}
kernel! {
    fn gradient_sums<T: Real, A: Activate<T>>(
        at: Context<'_, T, A>, g: &[T], rows: Rows, mean: f64, inv: f64, slots: &mut [[f64; 2]]
    ) = gradient_sums_body;
}

/// Writes the rows' `dx = ĝ γ r + (x - μ) slope + constant`.
#[inline(always)]
fn gradient_write_body<I: Isa, T: Real, A: Activate<T>>(
    at: Context<'_, T, A>,
    g: &[T],
    rows: Rows,
    mean: f64,
    inv: f64,
    [slope, constant]: [f64; 2],
    dx: Shared<MaybeUninit<T>>,
) {
    let (mu, slope, constant) = (T::of(mean), T::of(slope), T::of(constant));
    let past = is_large::<T>(at.dims.len());
    for row in rows.iter() {
        let (scale, offset) = at.affine.line(row % at.dims.c, mean, inv);
        // SAFETY: each row belongs to one task, and the caller's output outlives the tasks.
        let dx = unsafe { dx.part(at.row(row)) };
        emit(dx, [&at.x[at.row(row)], &g[at.row(row)]], past, |[x, g]| {
            let g = at.act.chain(T::madd::<I>(x, scale, offset), g);
            T::madd::<I>(g, scale, T::madd::<I>(x - mu, slope, constant))
        });
    }
}
kernel! {
    fn gradient_write<T: Real, A: Activate<T>>(
        at: Context<'_, T, A>, g: &[T], rows: Rows, mean: f64, inv: f64, line: [f64; 2],
        dx: Shared<MaybeUninit<T>>
    ) = gradient_write_body;
}

/// Σh, Σĝ, Σh(x - μ), Σĝ(x - μ) and Σhĝ, of all rows together if there is one slot, else of each.
#[inline(always)]
fn second_sums_body<I: Isa, T: Real, A: Activate<T>>(
    at: Context<'_, T, A>,
    [g, h]: [&[T]; 2],
    rows: Rows,
    mean: f64,
    inv: f64,
    slots: &mut [[f64; 5]],
) {
    let mu = T::of(mean);
    let mut sums = Sums::<T, 5>::new();
    let each = slots.len() == rows.count;
    for (i, row) in rows.iter().enumerate() {
        let (scale, offset) = at.affine.line(row % at.dims.c, mean, inv);
        let inputs = [&at.x[at.row(row)], &g[at.row(row)], &h[at.row(row)]];
        sums.add(inputs, |[sh, sg, hx, gx, hg], [x, g, h]| {
            let g = at.act.chain(T::madd::<I>(x, scale, offset), g);
            let d = x - mu;
            [
                sh + h,
                sg + g,
                T::madd::<I>(h, d, hx),
                T::madd::<I>(g, d, gx),
                T::madd::<I>(h, g, hg),
            ]
        });
        if each {
            slots[i] = std::mem::replace(&mut sums, Sums::new()).finish();
        }
    }
    if !each {
        slots[0] = sums.finish();
    }
}
kernel! {
    fn second_sums<T: Real, A: Activate<T>>(
        at: Context<'_, T, A>, gh: [&[T]; 2], rows: Rows, mean: f64, inv: f64,
        slots: &mut [[f64; 5]]
    ) = second_sums_body;
}

/// The coefficients of [`second_write_body`] in a group.
#[derive(Clone, Copy, Default)]
struct Second {
    /// dĝ = γ (r h + g_x (x - μ) + g_1)
    g_x: f64,
    g_1: f64,
    /// dx = x_h h + x_u γ ĝ + x_x (x - μ) + x_1
    x_h: f64,
    x_u: f64,
    x_x: f64,
    x_1: f64,
}

/// Writes the rows' second-order gradients of g and of x.
#[inline(always)]
fn second_write_body<I: Isa, T: Real, A: Activate<T>>(
    at: Context<'_, T, A>,
    [g, h]: [&[T]; 2],
    rows: Rows,
    mean: f64,
    inv: f64,
    by: Second,
    [dg, dx]: [Shared<MaybeUninit<T>>; 2],
) {
    let (mu, x_h, x_x, x_1) = (T::of(mean), T::of(by.x_h), T::of(by.x_x), T::of(by.x_1));
    for row in rows.iter() {
        let (scale, offset) = at.affine.line(row % at.dims.c, mean, inv);
        let gain = at.affine.gain(row % at.dims.c);
        let (g_x, g_1, x_u) = (
            T::of(by.g_x * gain),
            T::of(by.g_1 * gain),
            T::of(by.x_u * gain),
        );
        // SAFETY: each row belongs to one task, and the caller's outputs outlive the tasks.
        let (dg, dx) = unsafe { (dg.part(at.row(row)), dx.part(at.row(row))) };
        let inputs = at.x[at.row(row)]
            .iter()
            .zip(&g[at.row(row)])
            .zip(&h[at.row(row)]);
        for ((dg, dx), ((x, g), h)) in dg.iter_mut().zip(dx.iter_mut()).zip(inputs) {
            let z = T::madd::<I>(*x, scale, offset);
            let d = *x - mu;
            let u = at.act.chain(z, *g);
            dg.write(
                at.act
                    .chain(z, T::madd::<I>(*h, scale, T::madd::<I>(d, g_x, g_1))),
            );
            let line = T::madd::<I>(d, x_x, x_1);
            dx.write(T::madd::<I>(*h, x_h, T::madd::<I>(u, x_u, line)));
        }
    }
}
kernel! {
    fn second_write<T: Real, A: Activate<T>>(
        at: Context<'_, T, A>, gh: [&[T]; 2], rows: Rows, mean: f64, inv: f64, by: Second,
        out: [Shared<MaybeUninit<T>>; 2]
    ) = second_write_body;
}

/// Runs `sum` over all parts of all groups, then `finish` for each group, then `write` over all
/// parts. A group that is not shared out goes through all three in one task, while its numbers
/// are in cache.
fn schedule(
    dims: Dims,
    sum: impl Fn(usize, Rows, Range<usize>) + Sync,
    finish: impl Fn(usize) + Sync,
    write: impl Fn(usize, Rows) + Sync,
) {
    let (groups, parts) = (dims.groups(), dims.parts());
    let slots = |group: usize, part: usize| match dims.group {
        Group::Channel => group * parts + part..group * parts + part + 1,
        Group::Row | Group::Picture => {
            let rows = dims.part(group, part);
            rows.first..rows.first + rows.count
        }
    };
    let work = 4 * dims.len();
    if parts > 1 {
        par::for_each_sized(groups * parts, work, |i| {
            let (group, part) = (i / parts, i % parts);
            sum(group, dims.part(group, part), slots(group, part));
        });
        (0..groups).for_each(&finish);
        par::for_each_sized(groups * parts, work, |i| {
            write(i / parts, dims.part(i / parts, i % parts))
        });
        return;
    }
    let each = (CHUNK / dims.group_len().max(1)).max(1);
    par::for_each_sized(groups.div_ceil(each), work, |i| {
        for group in i * each..groups.min((i + 1) * each) {
            let rows = dims.rows(group);
            sum(group, rows, slots(group, 0));
            finish(group);
            write(group, rows);
        }
    });
}

/// How many slots of sums [`schedule`] uses.
fn slot_count(dims: Dims) -> usize {
    match dims.group {
        Group::Channel => dims.groups() * dims.parts(),
        Group::Row | Group::Picture => dims.b * dims.c,
    }
}

/// A group's slots, each with its channel's gain.
fn group_slots<T: Real, const K: usize>(
    dims: Dims,
    affine: Affine<'_, T>,
    slots: Shared<[f64; K]>,
    group: usize,
) -> impl Iterator<Item = (f64, [f64; K])> {
    let range = match dims.group {
        Group::Channel => group * dims.parts()..(group + 1) * dims.parts(),
        Group::Row => group..group + 1,
        Group::Picture => group * dims.c..(group + 1) * dims.c,
    };
    let channel = move |i: usize| match dims.group {
        Group::Channel => group,
        Group::Row | Group::Picture => i % dims.c,
    };
    range.map(move |i| {
        // SAFETY: `schedule` calls this after the group's sums are written and before anyone
        // else touches its slots.
        (affine.gain(channel(i)), unsafe { slots.get(i) })
    })
}

/// y and the statistics of the input (or `given` ones: evaluation).
pub(super) fn forward<T: Real, A: Activate<T>>(
    dims: Dims,
    x: &[T],
    affine: Affine<'_, T>,
    act: A,
    eps: f64,
    given: Option<(&[T], &[T])>,
) -> (Vec<T>, Stats) {
    let level = simd::level();
    let groups = dims.groups();
    let inverse = |var: f64| 1.0 / (var + eps).sqrt();
    let mut stats = match given {
        None => Stats {
            mean: vec![0.0; groups],
            var: vec![0.0; groups],
            inv: vec![0.0; groups],
            fixed: false,
        },
        Some((mean, var)) => Stats {
            mean: mean.iter().map(|v| v.wide()).collect(),
            var: var.iter().map(|v| v.wide()).collect(),
            inv: var.iter().map(|v| inverse(v.wide())).collect(),
            fixed: true,
        },
    };
    let fixed = stats.fixed;
    let at = Context {
        dims,
        x,
        affine,
        act,
    };
    let mut slots = vec![[0f64; 2]; if dims.short() { 0 } else { slot_count(dims) }];
    let slots = Shared::new(&mut slots);
    let [mean, var, inv] =
        [&mut stats.mean, &mut stats.var, &mut stats.inv].map(|v| Shared::new(v));
    let first = |group: usize| dims.rows(group).first * dims.n;
    let count = dims.group_len() as f64;
    // SAFETY (of the blocks below): a group's statistics and slots are written by the tasks of
    // that group only, and read after they are written.
    let fill = |y: &mut [MaybeUninit<T>]| {
        let y = Shared::new(y);
        if dims.short() {
            return columns_forward(at, eps, fixed, [mean, var, inv], y);
        }
        let shift = |group| shift(&x[first(group)..first(group) + dims.n]);
        schedule(
            dims,
            |group, rows, range| {
                if !fixed {
                    let s = moments(level, x, dims.n, rows, shift(group));
                    // SAFETY: these slots are this part's; the first takes the sum of all rows.
                    unsafe { slots.set(range.start, s) };
                }
            },
            |group| {
                if fixed {
                    return;
                }
                let mut sums = [0f64; 2];
                for part in 0..dims.parts() {
                    let slot = match dims.group {
                        Group::Channel => group * dims.parts() + part,
                        Group::Row | Group::Picture => dims.part(group, part).first,
                    };
                    // SAFETY: the group's sums are written.
                    let s = unsafe { slots.get(slot) };
                    sums = [sums[0] + s[0], sums[1] + s[1]];
                }
                let (m, v) = settle(sums, shift(group), count);
                // SAFETY: one call a group.
                unsafe {
                    mean.set(group, m);
                    var.set(group, v);
                    inv.set(group, inverse(v));
                }
            },
            |group, rows| {
                // SAFETY: the group's statistics are written, and no one writes them any more.
                let (m, r) = unsafe { (mean.get(group), inv.get(group)) };
                write_rows(level, at, rows, m, r, y);
            },
        );
    };
    // SAFETY: the rows of all groups are all rows, and each is written whole.
    let y = unsafe { filled(dims.len(), fill) };
    (y, stats)
}

/// The gradients of input, gain and offset.
pub(super) struct Gradients<T> {
    pub x: Vec<T>,
    pub gain: Vec<T>,
    pub offset: Vec<T>,
}

/// All gradients in one go.
pub(super) fn backward<T: Real, A: Activate<T>>(
    dims: Dims,
    x: &[T],
    g: &[T],
    affine: Affine<'_, T>,
    act: A,
    stats: &Stats,
) -> Gradients<T> {
    let level = simd::level();
    let at = Context {
        dims,
        x,
        affine,
        act,
    };
    let count = dims.group_len() as f64;
    let mut lines = vec![[0f64; 2]; dims.groups()];
    let mut sums = vec![
        [0f64; 2];
        if dims.short() {
            dims.c
        } else {
            slot_count(dims)
        }
    ];
    let (line, slots) = (Shared::new(&mut lines), Shared::new(&mut sums));
    let fill = |dx: &mut [MaybeUninit<T>]| {
        let dx = Shared::new(dx);
        if dims.short() {
            return columns_backward(at, g, stats, slots, dx);
        }
        schedule(
            dims,
            |group, rows, range| {
                // SAFETY: these slots are this part's.
                let slots = unsafe { slots.part(range) };
                gradient_sums(
                    level,
                    at,
                    g,
                    rows,
                    stats.mean[group],
                    stats.inv[group],
                    slots,
                );
            },
            |group| {
                let mut all = [0f64; 2];
                for (gain, s) in group_slots(dims, affine, slots, group) {
                    all = [all[0] + gain * s[0], all[1] + gain * s[1]];
                }
                // SAFETY: one call a group.
                unsafe {
                    line.set(
                        group,
                        gradient_line(all, stats.inv[group], count, stats.fixed),
                    );
                }
            },
            |group, rows| {
                // SAFETY: the group's line is written, and no one writes it any more.
                let by = unsafe { line.get(group) };
                let (mean, inv) = (stats.mean[group], stats.inv[group]);
                gradient_write(level, at, g, rows, mean, inv, by, dx);
            },
        );
    };
    // SAFETY: the rows of all groups are all rows, and each is written whole.
    let x = unsafe { filled(dims.len(), fill) };
    let (mut gain, mut offset) = (vec![0f64; dims.c], vec![0f64; dims.c]);
    for (i, s) in sums.iter().enumerate() {
        let (channel, group) = slot_owner(dims, i);
        gain[channel] += s[1] * stats.inv[group];
        offset[channel] += s[0];
    }
    let narrow = |v: Vec<f64>| v.into_iter().map(T::of).collect();
    Gradients {
        x,
        gain: narrow(gain),
        offset: narrow(offset),
    }
}

/// The channel and the group of a slot.
fn slot_owner(dims: Dims, slot: usize) -> (usize, usize) {
    match dims.group {
        Group::Channel if dims.short() => (slot, slot),
        Group::Channel => (slot / dims.parts(), slot / dims.parts()),
        Group::Row => (slot % dims.c, slot),
        Group::Picture => (slot % dims.c, slot / dims.c),
    }
}

/// For an upstream gradient `h` of the input's gradient: the gradients of `g`, input and gain.
pub(super) struct SecondGradients<T> {
    pub g: Vec<T>,
    pub x: Vec<T>,
    pub gain: Vec<T>,
}

/// The derivative of `Σ h dx`, in one go.
pub(super) fn second<T: Real, A: Activate<T>>(
    dims: Dims,
    x: &[T],
    gh: [&[T]; 2],
    affine: Affine<'_, T>,
    act: A,
    stats: &Stats,
) -> SecondGradients<T> {
    let level = simd::level();
    // The short-row form serves the first order only.
    let at = Context {
        dims,
        x,
        affine,
        act,
    };
    let count = dims.group_len() as f64;
    let mut by = vec![Second::default(); dims.groups()];
    let mut sums = vec![[0f64; 5]; slot_count(dims)];
    let (coefficients, slots) = (Shared::new(&mut by), Shared::new(&mut sums));
    let mut dx = Vec::new();
    let fill_g = |dg: &mut [MaybeUninit<T>]| {
        let dg = Shared::new(dg);
        let fill_x = |dx: &mut [MaybeUninit<T>]| {
            let out = [dg, Shared::new(dx)];
            schedule(
                dims,
                |group, rows, range| {
                    // SAFETY: these slots are this part's.
                    let slots = unsafe { slots.part(range) };
                    second_sums(
                        level,
                        at,
                        gh,
                        rows,
                        stats.mean[group],
                        stats.inv[group],
                        slots,
                    );
                },
                |group| {
                    let mut all = [0f64; 5];
                    for (gain, [h, g, hx, gx, hg]) in group_slots(dims, affine, slots, group) {
                        let add = [h, gain * g, hx, gain * gx, gain * hg];
                        for (a, b) in all.iter_mut().zip(add) {
                            *a += b;
                        }
                    }
                    // SAFETY: one call a group.
                    unsafe {
                        let by = second_coefficients(all, stats.inv[group], count, stats.fixed);
                        coefficients.set(group, by);
                    }
                },
                |group, rows| {
                    // SAFETY: the group's coefficients are written, and no one writes them now.
                    let by = unsafe { coefficients.get(group) };
                    let (mean, inv) = (stats.mean[group], stats.inv[group]);
                    second_write(level, at, gh, rows, mean, inv, by, out);
                },
            );
        };
        // SAFETY: the rows of all groups are all rows, and each is written whole.
        dx = unsafe { filled(dims.len(), fill_x) };
    };
    // SAFETY: as above.
    let dg = unsafe { filled(dims.len(), fill_g) };
    // dγ = r Σĝ (h - Σh/N - (x - μ) r p/N); the group's sums are those behind `Second`.
    let mut gain = vec![0f64; dims.c];
    for (i, [_, g, _, gx, hg]) in sums.iter().enumerate() {
        let (channel, group) = match dims.group {
            Group::Channel => (i / dims.parts(), i / dims.parts()),
            _ => slot_owner(dims, i),
        };
        gain[channel] += stats.inv[group] * hg + by[group].g_1 * g + by[group].g_x * gx;
    }
    SecondGradients {
        g: dg,
        x: dx,
        gain: gain.into_iter().map(T::of).collect(),
    }
}

/// From a group's Σh, Σu, Σh(x - μ), Σu(x - μ) and Σhu.
fn second_coefficients([h, u, hx, ux, hu]: [f64; 5], inv: f64, n: f64, fixed: bool) -> Second {
    if fixed {
        return Second::default();
    }
    let (p, q) = (inv * hx, inv * ux);
    let a = hu - h * u / n;
    let outer = -inv * inv / n;
    Second {
        g_x: -inv * inv * p / n,
        g_1: -inv * h / n,
        x_h: outer * q,
        x_u: outer * p,
        x_x: outer * inv * (a - 3.0 * p * q / n),
        x_1: outer * -(q * h + p * u) / n,
    }
}
