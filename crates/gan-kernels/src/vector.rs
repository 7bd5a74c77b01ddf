//! Vectors of floats for the hand-blocked kernels: one trait, one type a SIMD level.
//!
//! Bodies are single intrinsics or short sequences of them. Some 580 lines because all three levels
//! are read side by side.
//!
//! # Safety
//!
//! Every function is unsafe for the same two reasons: the processor must offer the level (kernels
//! are entered through `simd::dispatch!` alone), and pointers must be valid for the lanes that
//! the function's name says.
#![allow(
    unsafe_op_in_unsafe_fn,
    clippy::missing_safety_doc,
    clippy::needless_range_loop
)]

#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512};
use crate::simd::{Isa, Level, Portable};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// The most lanes of any level.
pub(crate) const MAX_LANES: usize = 16;

/// Lanes of a vector at `level`.
pub(crate) fn lanes(level: Level) -> usize {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => Avx512::LANES,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => Avx2::LANES,
        _ => Portable::LANES,
    }
}

/// Rows of the largest register tile at `level` (its width is two vectors).
pub(crate) fn max_rows(level: Level) -> usize {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => Avx512::ROWS,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => Avx2::ROWS,
        _ => Portable::ROWS,
    }
}

/// A vector of `LANES` floats.
pub(crate) trait Vector: Isa {
    type F: Copy;
    const LANES: usize;
    /// Rows of a register tile that is two vectors wide.
    const ROWS: usize;

    unsafe fn splat(v: f32) -> Self::F;
    /// Asks for the cache line at `p`, which may be any address.
    #[inline(always)]
    unsafe fn prefetch(p: *const f32) {
        #[cfg(target_arch = "x86_64")]
        _mm_prefetch::<_MM_HINT_T0>(p.cast());
        #[cfg(not(target_arch = "x86_64"))]
        let _ = p;
    }
    unsafe fn load(p: *const f32) -> Self::F;
    /// The first `n <= LANES` lanes from memory, the others zero.
    unsafe fn load_part(p: *const f32, n: usize) -> Self::F;
    unsafe fn store(p: *mut f32, v: Self::F);
    /// Stores the first `n <= LANES` lanes.
    unsafe fn store_part(p: *mut f32, v: Self::F, n: usize);
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn sub(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F;
    /// The larger; `b` where one is no number.
    unsafe fn max(a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`.
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// Transposes the matrix whose rows are the first `LANES` vectors of `r`.
    unsafe fn transpose(r: &mut [Self::F; MAX_LANES]);
    /// `(a0 b0 a1 b1 …, the second half of the same)`.
    unsafe fn interleave(a: Self::F, b: Self::F) -> (Self::F, Self::F);
    /// `a0 a2 … b0 b2 …`.
    unsafe fn evens(a: Self::F, b: Self::F) -> Self::F;
    /// Four floats from each lane's pointer, as four vectors.
    unsafe fn quads(p: &[*const f32; MAX_LANES], offset: usize) -> [Self::F; 4];
    /// The reverse of [`Vector::quads`]: four floats to each lane's pointer.
    unsafe fn store_quads(v: [Self::F; 4], p: &[*mut f32; MAX_LANES], offset: usize);
    /// As [`Vector::store_quads`], of which lane l stores the first `n[l] <= 4`.
    unsafe fn store_quads_part(
        v: [Self::F; 4],
        p: &[*mut f32; MAX_LANES],
        offset: usize,
        n: &[u8; MAX_LANES],
    );
}

impl Vector for Portable {
    type F = [f32; 4];
    const LANES: usize = 4;
    const ROWS: usize = 4;

    #[inline(always)]
    unsafe fn splat(v: f32) -> [f32; 4] {
        [v; 4]
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> [f32; 4] {
        p.cast::<[f32; 4]>().read_unaligned()
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize) -> [f32; 4] {
        let mut v = [0.0; 4];
        for (i, v) in v.iter_mut().enumerate().take(n) {
            *v = *p.add(i);
        }
        v
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: [f32; 4]) {
        p.cast::<[f32; 4]>().write_unaligned(v)
    }
    #[inline(always)]
    unsafe fn store_part(p: *mut f32, v: [f32; 4], n: usize) {
        for (i, v) in v.iter().enumerate().take(n) {
            *p.add(i) = *v;
        }
    }
    #[inline(always)]
    unsafe fn add(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn sub(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| a[i] - b[i])
    }
    #[inline(always)]
    unsafe fn mul(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| a[i] * b[i])
    }
    #[inline(always)]
    unsafe fn max(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn fma(a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|i| Self::madd(a[i], b[i], c[i]))
    }
    #[inline(always)]
    unsafe fn transpose(r: &mut [[f32; 4]; MAX_LANES]) {
        for i in 0..4 {
            for j in 0..i {
                let v = r[i][j];
                r[i][j] = r[j][i];
                r[j][i] = v;
            }
        }
    }
    #[inline(always)]
    unsafe fn interleave(a: [f32; 4], b: [f32; 4]) -> ([f32; 4], [f32; 4]) {
        ([a[0], b[0], a[1], b[1]], [a[2], b[2], a[3], b[3]])
    }
    #[inline(always)]
    unsafe fn evens(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        [a[0], a[2], b[0], b[2]]
    }
    #[inline(always)]
    unsafe fn quads(p: &[*const f32; MAX_LANES], offset: usize) -> [[f32; 4]; 4] {
        let r: [[f32; 4]; 4] = std::array::from_fn(|l| Self::load(p[l].wrapping_add(offset)));
        std::array::from_fn(|i| std::array::from_fn(|l| r[l][i]))
    }
    #[inline(always)]
    unsafe fn store_quads(v: [[f32; 4]; 4], p: &[*mut f32; MAX_LANES], offset: usize) {
        Self::store_quads_part(v, p, offset, &[4; MAX_LANES])
    }
    #[inline(always)]
    unsafe fn store_quads_part(
        v: [[f32; 4]; 4],
        p: &[*mut f32; MAX_LANES],
        offset: usize,
        n: &[u8; MAX_LANES],
    ) {
        for l in 0..4 {
            for i in 0..usize::from(n[l]) {
                *p[l].wrapping_add(offset + i) = v[i][l];
            }
        }
    }
}

/// Sixteen words, of which the eight from `8 - n` on have their sign bit set in the first `n`.
#[cfg(target_arch = "x86_64")]
static AVX2_MASKS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn avx2_mask(n: usize) -> __m256i {
    _mm256_loadu_si256(AVX2_MASKS.as_ptr().add(8 - n).cast())
}

/// Transposes the 4x4 matrix in each 128-bit half.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn avx2_turn(r: [__m256; 4]) -> [__m256; 4] {
    let (a, b) = (
        _mm256_unpacklo_ps(r[0], r[1]),
        _mm256_unpackhi_ps(r[0], r[1]),
    );
    let (c, d) = (
        _mm256_unpacklo_ps(r[2], r[3]),
        _mm256_unpackhi_ps(r[2], r[3]),
    );
    [
        _mm256_shuffle_ps::<0x44>(a, c),
        _mm256_shuffle_ps::<0xee>(a, c),
        _mm256_shuffle_ps::<0x44>(b, d),
        _mm256_shuffle_ps::<0xee>(b, d),
    ]
}

#[cfg(target_arch = "x86_64")]
impl Vector for Avx2 {
    type F = __m256;
    const LANES: usize = 8;
    const ROWS: usize = 6;

    #[inline(always)]
    unsafe fn splat(v: f32) -> __m256 {
        _mm256_set1_ps(v)
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> __m256 {
        _mm256_loadu_ps(p)
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize) -> __m256 {
        _mm256_maskload_ps(p, avx2_mask(n))
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: __m256) {
        _mm256_storeu_ps(p, v)
    }
    #[inline(always)]
    unsafe fn store_part(p: *mut f32, v: __m256, n: usize) {
        if n == 8 {
            _mm256_storeu_ps(p, v)
        } else {
            _mm256_maskstore_ps(p, avx2_mask(n), v)
        }
    }
    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        _mm256_add_ps(a, b)
    }
    #[inline(always)]
    unsafe fn sub(a: __m256, b: __m256) -> __m256 {
        _mm256_sub_ps(a, b)
    }
    #[inline(always)]
    unsafe fn mul(a: __m256, b: __m256) -> __m256 {
        _mm256_mul_ps(a, b)
    }
    #[inline(always)]
    unsafe fn max(a: __m256, b: __m256) -> __m256 {
        _mm256_max_ps(a, b)
    }
    #[inline(always)]
    unsafe fn fma(a: __m256, b: __m256, c: __m256) -> __m256 {
        _mm256_fmadd_ps(a, b, c)
    }
    #[inline(always)]
    unsafe fn transpose(r: &mut [__m256; MAX_LANES]) {
        // Pairs, then quadruples within 128-bit halves, then the halves.
        let mut t = [_mm256_setzero_ps(); 8];
        for i in 0..4 {
            t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
            t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
        }
        let mut q = [_mm256_setzero_ps(); 8];
        for i in 0..2 {
            let t = &t[4 * i..4 * i + 4];
            q[4 * i] = _mm256_shuffle_ps::<0x44>(t[0], t[2]);
            q[4 * i + 1] = _mm256_shuffle_ps::<0xee>(t[0], t[2]);
            q[4 * i + 2] = _mm256_shuffle_ps::<0x44>(t[1], t[3]);
            q[4 * i + 3] = _mm256_shuffle_ps::<0xee>(t[1], t[3]);
        }
        for i in 0..4 {
            r[i] = _mm256_permute2f128_ps::<0x20>(q[i], q[i + 4]);
            r[i + 4] = _mm256_permute2f128_ps::<0x31>(q[i], q[i + 4]);
        }
    }
    #[inline(always)]
    unsafe fn interleave(a: __m256, b: __m256) -> (__m256, __m256) {
        let (lo, hi) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
        (
            _mm256_permute2f128_ps::<0x20>(lo, hi),
            _mm256_permute2f128_ps::<0x31>(lo, hi),
        )
    }
    #[inline(always)]
    unsafe fn evens(a: __m256, b: __m256) -> __m256 {
        let (lo, hi) = (
            _mm256_permute2f128_ps::<0x20>(a, b),
            _mm256_permute2f128_ps::<0x31>(a, b),
        );
        // Halves are now (a0..3, b0..3) and (a4..7, b4..7).
        _mm256_shuffle_ps::<0x88>(lo, hi)
    }
    #[inline(always)]
    unsafe fn quads(p: &[*const f32; MAX_LANES], offset: usize) -> [__m256; 4] {
        // Row i holds lanes i and i + 4; a 4x4 transposition in each half follows.
        let row = |i: usize| {
            let (a, b) = (p[i].wrapping_add(offset), p[i + 4].wrapping_add(offset));
            _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(_mm_loadu_ps(a)), _mm_loadu_ps(b))
        };
        avx2_turn([row(0), row(1), row(2), row(3)])
    }
    #[inline(always)]
    unsafe fn store_quads(v: [__m256; 4], p: &[*mut f32; MAX_LANES], offset: usize) {
        let r = avx2_turn(v);
        for i in 0..4 {
            _mm_storeu_ps(p[i].wrapping_add(offset), _mm256_castps256_ps128(r[i]));
            let high = _mm256_extractf128_ps::<1>(r[i]);
            _mm_storeu_ps(p[i + 4].wrapping_add(offset), high);
        }
    }
    #[inline(always)]
    unsafe fn store_quads_part(
        v: [__m256; 4],
        p: &[*mut f32; MAX_LANES],
        offset: usize,
        n: &[u8; MAX_LANES],
    ) {
        let r = avx2_turn(v);
        let mask = |l: usize| _mm256_castsi256_si128(avx2_mask(usize::from(n[l])));
        for i in 0..4 {
            let (low, high) = (
                _mm256_castps256_ps128(r[i]),
                _mm256_extractf128_ps::<1>(r[i]),
            );
            _mm_maskstore_ps(p[i].wrapping_add(offset), mask(i), low);
            _mm_maskstore_ps(p[i + 4].wrapping_add(offset), mask(i + 4), high);
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn avx512_mask(n: usize) -> __mmask16 {
    ((1u32 << n) - 1) as __mmask16
}

/// Transposes the 4x4 matrix in each 128-bit quarter.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn avx512_turn(r: [__m512; 4]) -> [__m512; 4] {
    let (a, b) = (
        _mm512_unpacklo_ps(r[0], r[1]),
        _mm512_unpackhi_ps(r[0], r[1]),
    );
    let (c, d) = (
        _mm512_unpacklo_ps(r[2], r[3]),
        _mm512_unpackhi_ps(r[2], r[3]),
    );
    [
        _mm512_shuffle_ps::<0x44>(a, c),
        _mm512_shuffle_ps::<0xee>(a, c),
        _mm512_shuffle_ps::<0x44>(b, d),
        _mm512_shuffle_ps::<0xee>(b, d),
    ]
}

#[cfg(target_arch = "x86_64")]
impl Vector for Avx512 {
    type F = __m512;
    const LANES: usize = 16;
    const ROWS: usize = 14;

    #[inline(always)]
    unsafe fn splat(v: f32) -> __m512 {
        _mm512_set1_ps(v)
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> __m512 {
        _mm512_loadu_ps(p)
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize) -> __m512 {
        _mm512_maskz_loadu_ps(avx512_mask(n), p)
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: __m512) {
        _mm512_storeu_ps(p, v)
    }
    #[inline(always)]
    unsafe fn store_part(p: *mut f32, v: __m512, n: usize) {
        _mm512_mask_storeu_ps(p, avx512_mask(n), v)
    }
    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        _mm512_add_ps(a, b)
    }
    #[inline(always)]
    unsafe fn sub(a: __m512, b: __m512) -> __m512 {
        _mm512_sub_ps(a, b)
    }
    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        _mm512_mul_ps(a, b)
    }
    #[inline(always)]
    unsafe fn max(a: __m512, b: __m512) -> __m512 {
        _mm512_max_ps(a, b)
    }
    #[inline(always)]
    unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
        _mm512_fmadd_ps(a, b, c)
    }
    #[inline(always)]
    unsafe fn transpose(r: &mut [__m512; MAX_LANES]) {
        // Pairs, then quadruples within 128-bit quarters, then the quarters in two steps.
        let mut t = [_mm512_setzero_ps(); 16];
        for i in 0..8 {
            t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
            t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
        }
        let mut q = [_mm512_setzero_ps(); 16];
        for i in 0..4 {
            let t = &t[4 * i..4 * i + 4];
            q[4 * i] = _mm512_shuffle_ps::<0x44>(t[0], t[2]);
            q[4 * i + 1] = _mm512_shuffle_ps::<0xee>(t[0], t[2]);
            q[4 * i + 2] = _mm512_shuffle_ps::<0x44>(t[1], t[3]);
            q[4 * i + 3] = _mm512_shuffle_ps::<0xee>(t[1], t[3]);
        }
        for i in 0..4 {
            t[i] = _mm512_shuffle_f32x4::<0x88>(q[i], q[i + 4]);
            t[i + 4] = _mm512_shuffle_f32x4::<0xdd>(q[i], q[i + 4]);
            t[i + 8] = _mm512_shuffle_f32x4::<0x88>(q[i + 8], q[i + 12]);
            t[i + 12] = _mm512_shuffle_f32x4::<0xdd>(q[i + 8], q[i + 12]);
        }
        for i in 0..4 {
            r[i] = _mm512_shuffle_f32x4::<0x88>(t[i], t[i + 8]);
            r[i + 8] = _mm512_shuffle_f32x4::<0xdd>(t[i], t[i + 8]);
            r[i + 4] = _mm512_shuffle_f32x4::<0x88>(t[i + 4], t[i + 12]);
            r[i + 12] = _mm512_shuffle_f32x4::<0xdd>(t[i + 4], t[i + 12]);
        }
    }
    #[inline(always)]
    unsafe fn interleave(a: __m512, b: __m512) -> (__m512, __m512) {
        let lo = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        let hi = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        (
            _mm512_permutex2var_ps(a, lo, b),
            _mm512_permutex2var_ps(a, hi, b),
        )
    }
    #[inline(always)]
    unsafe fn evens(a: __m512, b: __m512) -> __m512 {
        let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        _mm512_permutex2var_ps(a, even, b)
    }
    #[inline(always)]
    unsafe fn quads(p: &[*const f32; MAX_LANES], offset: usize) -> [__m512; 4] {
        // Row i holds lanes i, i + 4, i + 8 and i + 12; a 4x4 transposition in each quarter
        // follows. Loads that broadcast under a mask need no shuffle.
        let row = |i: usize| {
            let at = |l: usize| _mm_loadu_ps(p[i + l].wrapping_add(offset));
            let mut r = _mm512_castps128_ps512(at(0));
            r = _mm512_mask_broadcast_f32x4(r, 0x00f0, at(4));
            r = _mm512_mask_broadcast_f32x4(r, 0x0f00, at(8));
            _mm512_mask_broadcast_f32x4(r, 0xf000, at(12))
        };
        avx512_turn([row(0), row(1), row(2), row(3)])
    }
    #[inline(always)]
    unsafe fn store_quads(v: [__m512; 4], p: &[*mut f32; MAX_LANES], offset: usize) {
        let r = avx512_turn(v);
        for i in 0..4 {
            let to = |l: usize| p[i + l].wrapping_add(offset);
            _mm_storeu_ps(to(0), _mm512_castps512_ps128(r[i]));
            _mm_storeu_ps(to(4), _mm512_extractf32x4_ps::<1>(r[i]));
            _mm_storeu_ps(to(8), _mm512_extractf32x4_ps::<2>(r[i]));
            _mm_storeu_ps(to(12), _mm512_extractf32x4_ps::<3>(r[i]));
        }
    }
    #[inline(always)]
    unsafe fn store_quads_part(
        v: [__m512; 4],
        p: &[*mut f32; MAX_LANES],
        offset: usize,
        n: &[u8; MAX_LANES],
    ) {
        let r = avx512_turn(v);
        let mask = |l: usize| ((1u32 << n[l]) - 1) as __mmask8;
        for i in 0..4 {
            let to = |l: usize| p[i + l].wrapping_add(offset);
            _mm_mask_storeu_ps(to(0), mask(i), _mm512_castps512_ps128(r[i]));
            _mm_mask_storeu_ps(to(4), mask(i + 4), _mm512_extractf32x4_ps::<1>(r[i]));
            _mm_mask_storeu_ps(to(8), mask(i + 8), _mm512_extractf32x4_ps::<2>(r[i]));
            _mm_mask_storeu_ps(to(12), mask(i + 12), _mm512_extractf32x4_ps::<3>(r[i]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{best, dispatch};

    #[inline(always)]
    fn shuffles_body<I: Vector>() {
        let n = I::LANES;
        let at = |i: usize, j: usize| (i * n + j) as f32;
        let m: Vec<f32> = (0..n * n).map(|i| i as f32).collect();
        let (mut t, mut z, mut e, mut part) =
            (m.clone(), vec![0f32; 2 * n], vec![0f32; n], vec![-1f32; n]);
        // SAFETY: `dispatch!` chose a level that exists; all vectors hold `n * n`, `2 n` or `n`.
        unsafe {
            let mut r = [I::splat(0.0); MAX_LANES];
            for i in 0..n {
                r[i] = I::load(m.as_ptr().add(i * n));
            }
            I::transpose(&mut r);
            for i in 0..n {
                I::store(t.as_mut_ptr().add(i * n), r[i]);
            }
            let (a, b) = I::interleave(I::load(m.as_ptr()), I::load(m.as_ptr().add(n)));
            I::store(z.as_mut_ptr(), a);
            I::store(z.as_mut_ptr().add(n), b);
            let evens = I::evens(I::load(m.as_ptr()), I::load(m.as_ptr().add(n)));
            I::store(e.as_mut_ptr(), evens);
            I::store_part(part.as_mut_ptr(), I::load_part(m.as_ptr().add(1), 2), 3);
        }
        for i in 0..n {
            assert_eq!(e[i], at(0, 2 * i));
            for j in 0..n {
                assert_eq!(t[i * n + j], at(j, i));
            }
            assert_eq!((z[2 * i], z[2 * i + 1]), (at(0, i), at(1, i)));
        }
        assert_eq!(part[..4], [1.0, 2.0, 0.0, -1.0][..]);

        // Lane l of quad i is element 5 l + i, and the way back restores it.
        let from: [*const f32; MAX_LANES] = std::array::from_fn(|l| m.as_ptr().wrapping_add(l));
        let (mut q, mut back, mut some) =
            (vec![0f32; 4 * n], vec![-1f32; 4 * n], vec![-1f32; 4 * n]);
        let to = |v: &mut Vec<f32>| -> [*mut f32; MAX_LANES] {
            let p = v.as_mut_ptr();
            std::array::from_fn(|l| p.wrapping_add(4 * l))
        };
        let counts: [u8; MAX_LANES] = std::array::from_fn(|l| (l % 5) as u8);
        // SAFETY: m holds n + 4 floats, the others four a lane.
        unsafe {
            let v = I::quads(&from, 1);
            for i in 0..4 {
                I::store(q.as_mut_ptr().add(i * n), v[i]);
            }
            I::store_quads(v, &to(&mut back), 0);
            I::store_quads_part(v, &to(&mut some), 0, &counts);
        }
        for l in 0..n {
            for i in 0..4 {
                let x = m[l + 1 + i];
                assert_eq!((q[i * n + l], back[4 * l + i]), (x, x));
                assert_eq!(some[4 * l + i], if i < l % 5 { x } else { -1.0 });
            }
        }
    }
    dispatch! { fn shuffles() = shuffles_body; }

    #[test]
    fn shuffles_at_every_level() {
        for level in [Level::Portable, Level::Avx2, Level::Avx512] {
            if level <= best() {
                shuffles(level);
            }
        }
    }
}
