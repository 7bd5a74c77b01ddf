//! What the kernels of batch, instance and layer norm share: which rows belong together, their
//! statistics, and slices that tasks write parts of.

use crate::par::SendPtr;
use crate::real::Real;
use std::ops::Range;

/// Rows shorter than this are taken together, with vectors along channels (batch norm).
const SHORT: usize = 32;

/// With fewer groups than this, each is shared out among this many tasks at most.
const FEW: usize = 8;

/// Which rows share their statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    /// The rows of a channel (batch norm).
    Channel,
    /// Each row apart (instance norm).
    Row,
    /// The rows of a picture (layer norm).
    Picture,
}

/// A norm's input: b pictures of c channels of n elements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dims {
    pub b: usize,
    pub c: usize,
    pub n: usize,
    pub group: Group,
}

/// Every `step`-th row from `first`.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub first: usize,
    pub step: usize,
    pub count: usize,
}

impl Rows {
    pub(super) fn iter(self) -> impl Iterator<Item = usize> {
        (0..self.count).map(move |i| self.first + i * self.step)
    }
}

impl Dims {
    pub(super) fn len(self) -> usize {
        self.b * self.c * self.n
    }

    pub(super) fn groups(self) -> usize {
        match self.group {
            Group::Channel => self.c,
            Group::Row => self.b * self.c,
            Group::Picture => self.b,
        }
    }

    pub(super) fn rows(self, group: usize) -> Rows {
        match self.group {
            Group::Channel => Rows {
                first: group,
                step: self.c,
                count: self.b,
            },
            Group::Row => Rows {
                first: group,
                step: 1,
                count: 1,
            },
            Group::Picture => Rows {
                first: group * self.c,
                step: 1,
                count: self.c,
            },
        }
    }

    /// Elements that share their statistics.
    pub(super) fn group_len(self) -> usize {
        self.n * self.rows(0).count
    }

    /// How many tasks share a group's rows.
    pub(super) fn parts(self) -> usize {
        if self.groups() >= FEW {
            1
        } else {
            self.rows(0).count.min(FEW)
        }
    }

    /// The rows of a group that belong to one of its parts.
    pub(super) fn part(self, group: usize, part: usize) -> Rows {
        let rows = self.rows(group);
        let (start, end) = (
            rows.count * part / self.parts(),
            rows.count * (part + 1) / self.parts(),
        );
        Rows {
            first: rows.first + start * rows.step,
            step: rows.step,
            count: end - start,
        }
    }

    pub(super) fn short(self) -> bool {
        self.group == Group::Channel && self.n < SHORT
    }
}

/// Mean, population variance and `1/√(var + ε)` of each group.
#[derive(Debug)]
pub(super) struct Stats {
    pub mean: Vec<f64>,
    pub var: Vec<f64>,
    pub inv: Vec<f64>,
    /// The statistics are given (evaluation), not computed from the input.
    pub fixed: bool,
}

/// Gain and offset of each channel; absent: 1 and 0.
#[derive(Clone, Copy)]
pub(super) struct Affine<'a, T> {
    pub gain: Option<&'a [T]>,
    pub offset: Option<&'a [T]>,
}

impl<T: Real> Affine<'_, T> {
    pub(super) fn gain(&self, channel: usize) -> f64 {
        self.gain.map_or(1.0, |g| g[channel].wide())
    }

    /// z = x · scale + offset of a channel.
    #[inline(always)]
    pub(super) fn line(&self, channel: usize, mean: f64, inv: f64) -> (T, T) {
        let scale = self.gain(channel) * inv;
        let offset = self.offset.map_or(0.0, |o| o[channel].wide());
        (T::of(scale), T::of(offset - mean * scale))
    }
}

/// A slice that tasks share, each writing parts of its own.
pub(super) struct Shared<T> {
    start: SendPtr<T>,
    len: usize,
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Shared<T> {}

impl<T> Shared<T> {
    pub(super) fn new(v: &mut [T]) -> Self {
        Self {
            start: SendPtr(v.as_mut_ptr()),
            len: v.len(),
        }
    }

    /// # Safety
    ///
    /// The slice must outlive the part, and no one else may use these elements meanwhile.
    #[inline(always)]
    pub(super) unsafe fn part<'a>(self, range: Range<usize>) -> &'a mut [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: the range is inside the slice; the caller answers for the rest.
        unsafe { std::slice::from_raw_parts_mut(self.start.get().add(range.start), range.len()) }
    }

    /// # Safety
    ///
    /// As for [`Shared::part`].
    pub(super) unsafe fn set(self, i: usize, value: T) {
        // SAFETY: the caller's promise.
        unsafe { self.part(i..i + 1)[0] = value }
    }

    /// # Safety
    ///
    /// The slice must outlive the call, and no one may write the element meanwhile; others may read it.
    pub(super) unsafe fn get(self, i: usize) -> T
    where
        T: Copy,
    {
        assert!(i < self.len);
        // SAFETY: the element is inside the slice; the caller answers for the rest. It is read through
        // the pointer, as a reference that could write would have to be the only one.
        unsafe { self.start.get().add(i).read() }
    }
}

/// What the kernels of a group know besides its rows.
#[derive(Clone, Copy)]
pub(super) struct Context<'a, T, A> {
    pub dims: Dims,
    pub x: &'a [T],
    pub affine: Affine<'a, T>,
    pub act: A,
}

impl<T, A> Context<'_, T, A> {
    #[inline(always)]
    pub(super) fn row(&self, row: usize) -> Range<usize> {
        row * self.dims.n..(row + 1) * self.dims.n
    }
}

/// Mean and population variance from the sums about a shift.
pub(super) fn settle<T: Real>([sum, square]: [f64; 2], shift: T, count: f64) -> (f64, f64) {
    let m = sum / count;
    let v = square / count - m * m;
    // Rounding may give a little less than zero; NaN stays.
    (shift.wide() + m, if v < 0.0 { 0.0 } else { v })
}

/// The slope and constant of `dx = ĝ γ r + (x - μ) slope + constant` from the group's Σu and Σu(x - μ).
pub(super) fn gradient_line(sums: [f64; 2], inv: f64, count: f64, fixed: bool) -> [f64; 2] {
    if fixed {
        return [0.0; 2];
    }
    [-inv * inv * inv * sums[1] / count, -inv * sums[0] / count]
}
