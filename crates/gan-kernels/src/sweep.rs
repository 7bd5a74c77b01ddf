//! Passes over large slices: elementwise maps, writes past the caches, and sums in lanes.

use crate::par;
use crate::real::{Real, kernel};
use crate::simd::{self, Isa};
use std::mem::MaybeUninit;

/// Elements of one task of an elementwise op: 64 KiB of `f32`, so that tasks are many but not tiny.
pub(crate) const CHUNK: usize = 1 << 14;

/// A function of one element.
pub(crate) trait Map1<T: Real>: Copy + Sync {
    fn call<I: Isa>(self, x: T) -> T;
}

/// A function of two elements.
pub(crate) trait Map2<T: Real>: Copy + Sync {
    fn call<I: Isa>(self, a: T, b: T) -> T;
}

/// Outputs of at least so many bytes are written past the caches: they would not stay there, and
/// an ordinary store reads the line that it overwrites from memory first.
const LARGE: usize = 1 << 24;

/// Whether an output of `len` elements is written past the caches.
pub(crate) fn is_large<T>(len: usize) -> bool {
    len * size_of::<T>() >= LARGE
}

/// Elements that [`emit`] computes before it writes them past the caches.
const BLOCK: usize = 64;

/// A block of results at the start of a cache line.
#[repr(align(64))]
struct Block<T>([T; BLOCK]);

/// Writes a block past the caches.
#[inline(always)]
fn stream<T: Real>(out: &mut [MaybeUninit<T>; BLOCK], block: &Block<T>) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{__m128i, _mm_load_si128, _mm_stream_si128};
        let from = std::ptr::from_ref(block).cast::<__m128i>();
        let to = out.as_mut_ptr().cast::<__m128i>();
        for i in 0..size_of::<Block<T>>() / size_of::<__m128i>() {
            // SAFETY: both hold `BLOCK` elements of T, and the caller passes an aligned `out`;
            // SSE2 is part of x86-64.
            unsafe { _mm_stream_si128(to.add(i), _mm_load_si128(from.add(i))) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    for (out, x) in out.iter_mut().zip(&block.0) {
        out.write(*x);
    }
}

/// Writes `f` of the elements at one place of each input, at all places of `out`; past the caches
/// if `past` and where alignment permits.
#[inline(always)]
pub(crate) fn emit<T: Real, const N: usize>(
    out: &mut [MaybeUninit<T>],
    inputs: [&[T]; N],
    past: bool,
    f: impl Fn([T; N]) -> T,
) {
    let n = out.len();
    let inputs = inputs.map(|x| &x[..n]);
    if !past || !out.as_ptr().addr().is_multiple_of(align_of::<Block<T>>()) {
        for (i, out) in out.iter_mut().enumerate() {
            out.write(f(inputs.map(|x| x[i])));
        }
        return;
    }
    let whole = inputs.map(|x| x.as_chunks::<BLOCK>().0);
    let rest = inputs.map(|x| x.as_chunks::<BLOCK>().1);
    let (blocks, tail) = out.as_chunks_mut::<BLOCK>();
    for (i, out) in blocks.iter_mut().enumerate() {
        let at: [&[T; BLOCK]; N] = std::array::from_fn(|k| &whole[k][i]);
        let mut block = Block([T::ZERO; BLOCK]);
        for (j, y) in block.0.iter_mut().enumerate() {
            *y = f(at.map(|x| x[j]));
        }
        stream(out, &block);
    }
    for (i, out) in tail.iter_mut().enumerate() {
        out.write(f(rest.map(|x| x[i])));
    }
    // Stores past the caches are not ordered with those that tell other threads of them.
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of x86-64.
    unsafe {
        std::arch::x86_64::_mm_sfence()
    };
}

#[inline(always)]
fn map1_body<I: Isa, T: Real, F: Map1<T>>(f: F, x: &[T], y: &mut [MaybeUninit<T>], past: bool) {
    emit(y, [x], past, |[x]| f.call::<I>(x));
}
kernel! {
    fn map1_kernel<T: Real, F: Map1<T>>(f: F, x: &[T], y: &mut [MaybeUninit<T>], past: bool)
        = map1_body;
}

#[inline(always)]
fn map2_body<I: Isa, T: Real, F: Map2<T>>(
    f: F,
    ab: [&[T]; 2],
    y: &mut [MaybeUninit<T>],
    past: bool,
) {
    emit(y, ab, past, |[a, b]| f.call::<I>(a, b));
}
kernel! {
    fn map2_kernel<T: Real, F: Map2<T>>(
        f: F, ab: [&[T]; 2], y: &mut [MaybeUninit<T>], past: bool
    ) = map2_body;
}

/// `f` of each element; `cost` is an element's work in multiply-adds.
pub(crate) fn map1<T: Real, F: Map1<T>>(x: &[T], cost: usize, f: F) -> Vec<T> {
    let (level, past) = (simd::level(), is_large::<T>(x.len()));
    // SAFETY: the kernel writes each element of the chunk.
    unsafe {
        par::fill_chunks(x.len(), CHUNK, x.len() * cost, |start, out| {
            map1_kernel(level, f, &x[start..start + out.len()], out, past)
        })
    }
}

/// `f` of each pair of elements; `cost` is a pair's work in multiply-adds.
pub(crate) fn map2<T: Real, F: Map2<T>>(a: &[T], b: &[T], cost: usize, f: F) -> Vec<T> {
    assert_eq!(a.len(), b.len(), "the caller compares shapes");
    let (level, past) = (simd::level(), is_large::<T>(a.len()));
    // SAFETY: the kernel writes each element of the chunk.
    unsafe {
        par::fill_chunks(a.len(), CHUNK, a.len() * cost, |start, out| {
            let end = start + out.len();
            map2_kernel(level, f, [&a[start..end], &b[start..end]], out, past)
        })
    }
}

/// How many lanes a sum keeps: two vectors of the widest level.
pub(crate) const LANES: usize = 32;

/// Adds lanes up in a fixed order.
#[inline(always)]
pub(crate) fn total<T: Real>(lanes: &[T; LANES]) -> f64 {
    let mut sums = [0f64; 8];
    for eight in lanes.chunks_exact(8) {
        for (s, x) in sums.iter_mut().zip(eight) {
            *s += x.wide();
        }
    }
    ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]))
}

/// Additions in a lane of the element type before it is added up in f64.
pub(crate) const SPAN: usize = 64;

/// K sums in lanes of the element type, added up in f64 after [`SPAN`] additions a lane.
pub(crate) struct Sums<T, const K: usize> {
    lanes: [[T; LANES]; K],
    additions: usize,
    sums: [f64; K],
}

// Several arrays are walked by one index, which iterators would hide.
#[allow(clippy::needless_range_loop)]
impl<T: Real, const K: usize> Sums<T, K> {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self {
            lanes: [[T::ZERO; LANES]; K],
            additions: 0,
            sums: [0.0; K],
        }
    }

    /// Adds a row: `f` maps sums and the elements at one place of each slice to new sums.
    #[inline(always)]
    pub(crate) fn add<const N: usize>(
        &mut self,
        rows: [&[T]; N],
        f: impl Fn([T; K], [T; N]) -> [T; K],
    ) {
        let n = rows[0].len();
        let rows = rows.map(|r| &r[..n]);
        let whole = rows.map(|r| r.as_chunks::<LANES>().0);
        let rest = rows.map(|r| r.as_chunks::<LANES>().1);
        let count = whole[0].len();
        let mut done = 0;
        while done < count {
            if self.additions >= SPAN {
                self.flush();
            }
            let end = count.min(done + SPAN - self.additions);
            self.additions += end - done;
            let mut lanes = self.lanes;
            for i in done..end {
                let at: [&[T; LANES]; N] = std::array::from_fn(|r| &whole[r][i]);
                for j in 0..LANES {
                    let new = f(std::array::from_fn(|k| lanes[k][j]), at.map(|a| a[j]));
                    for k in 0..K {
                        lanes[k][j] = new[k];
                    }
                }
            }
            self.lanes = lanes;
            done = end;
        }
        for j in 0..rest[0].len() {
            let new = f(
                std::array::from_fn(|k| self.lanes[k][j]),
                rest.map(|r| r[j]),
            );
            for k in 0..K {
                self.lanes[k][j] = new[k];
            }
        }
        self.additions += usize::from(!rest[0].is_empty());
    }

    #[inline(always)]
    fn flush(&mut self) {
        for (s, lanes) in self.sums.iter_mut().zip(&self.lanes) {
            *s += total(lanes);
        }
        self.lanes = [[T::ZERO; LANES]; K];
        self.additions = 0;
    }

    #[inline(always)]
    pub(crate) fn finish(mut self) -> [f64; K] {
        self.flush();
        self.sums
    }
}
