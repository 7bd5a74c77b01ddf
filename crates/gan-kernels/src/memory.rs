//! Memory for kernels: outputs that are not zeroed first, and scratch that is kept per thread.

use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};

/// A vector of `len` elements that `fill` writes, without a pass that zeroes them first.
///
/// # Safety
///
/// `fill` must write every element of the slice, unless it panics.
pub(crate) unsafe fn filled<T: Copy>(
    len: usize,
    fill: impl FnOnce(&mut [MaybeUninit<T>]),
) -> Vec<T> {
    let mut v = Vec::with_capacity(len);
    fill(&mut v.spare_capacity_mut()[..len]);
    // SAFETY: the capacity is at least `len`, and the caller promises that `fill` wrote all of it.
    unsafe { v.set_len(len) };
    v
}

/// One cache line, the unit in which scratch is allocated, so that it is aligned for any vector.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

thread_local! {
    static FREE: RefCell<Vec<Vec<Line>>> = const { RefCell::new(Vec::new()) };
}

/// A 64-byte aligned `[f32]` from the calling thread's free list, to which it returns when dropped.
///
/// It holds arbitrary (initialised) numbers.
pub(crate) struct Scratch {
    lines: Vec<Line>,
    len: usize,
}

/// Takes scratch of `len` floats; the buffer grows and is never given back to the allocator.
pub(crate) fn scratch(len: usize) -> Scratch {
    let need = len.div_ceil(16);
    let mut lines = FREE
        .try_with(|free| {
            let free = &mut *free.borrow_mut();
            // The smallest buffer that is large enough, else the largest one.
            let fit = (0..free.len())
                .filter(|&i| free[i].len() >= need)
                .min_by_key(|&i| free[i].len());
            let pick = fit.or_else(|| (0..free.len()).max_by_key(|&i| free[i].len()));
            pick.map(|i| free.swap_remove(i)).unwrap_or_default()
        })
        .unwrap_or_default();
    if lines.len() < need {
        lines.clear();
        lines.resize(need, Line([0.0; 16]));
    }
    Scratch { lines, len }
}

impl Deref for Scratch {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: `Line` is `repr(C)` around 16 floats, and `lines` holds at least `len / 16`.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`; the borrow is unique because `self` is.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        // While a thread ends its free list may be gone; then the buffer is simply freed.
        let _ = FREE.try_with(|free| free.borrow_mut().push(lines));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scratch_is_aligned_and_reused() {
        let address = {
            let mut s = scratch(1000);
            s[999] = 1.0;
            assert_eq!(s.as_ptr() as usize % 64, 0);
            s.as_ptr()
        };
        let (a, b) = (scratch(900), scratch(900));
        assert_eq!(a.as_ptr(), address);
        assert_ne!(a.as_ptr(), b.as_ptr());
        assert_eq!(b.len(), 900);
    }
}
