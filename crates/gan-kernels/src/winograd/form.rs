//! The one-dimensional transforms of Winograd's minimal filtering.
//!
//! `F(M, R)` computes M outputs of a filter with R taps with `N = M + R - 1` multiplications: both
//! sides are polynomials, multiplied by evaluating them at N points and interpolating (Lavin and
//! Gray 2016, arXiv:1509.09308; Blahut 2010). The points decide the rounding: with 0, ±2/3, ±3/2
//! and infinity the error of six points is some twice that of a plain sum, with the more usual
//! 0, ±1, ±2 some eight times (Barabasz et al. 2018, arXiv:1803.10986).
//!
//! Three functions are enough for all directions: `differences` (B^T) turns N inputs,
//! `evaluate` (A, or G without its factors) turns D coefficients into their values at the points,
//! and `interpolate` is its transpose (A^T, or G^T without its factors).
//!
//! # Safety
//!
//! As for [`Vector`]: the processor must offer the level.
#![allow(unsafe_op_in_unsafe_fn, clippy::missing_safety_doc)]

use crate::vector::Vector;

/// The most points of any form.
pub(crate) const MAX_POINTS: usize = 6;

/// Up to [`MAX_POINTS`] vectors.
pub(crate) type Row<I> = [<I as Vector>::F; MAX_POINTS];

/// Where the polynomials are evaluated.
pub(crate) trait Points {
    /// How many points.
    const N: usize;
    /// The factors of G's rows.
    const FACTORS: [f32; MAX_POINTS];

    /// B^T d, N to N.
    unsafe fn differences<I: Vector>(d: &Row<I>) -> Row<I>;
    /// The values of a polynomial with D coefficients, D to N.
    unsafe fn evaluate<I: Vector, const D: usize>(d: &Row<I>) -> Row<I>;
    /// The transpose of [`Points::evaluate`], N to D.
    unsafe fn interpolate<I: Vector, const D: usize>(m: &Row<I>) -> Row<I>;
}

/// The values of a polynomial with D coefficients at x and -x.
#[inline(always)]
unsafe fn pair<I: Vector, const D: usize>(d: &Row<I>, x: f32) -> (I::F, I::F) {
    let (mut even, mut odd) = (d[0], I::mul(I::splat(x), d[1]));
    if D > 2 {
        even = I::fma(I::splat(x * x), d[2], even);
    }
    if D > 3 {
        odd = I::fma(I::splat(x * x * x), d[3], odd);
    }
    (I::add(even, odd), I::sub(even, odd))
}

/// The transpose of [`pair`] at x = a and x = b, from the values at a, -a, b and -b.
#[inline(always)]
unsafe fn pairs_back<I: Vector, const D: usize>(m: [I::F; 4], a: f32, b: f32) -> Row<I> {
    let (p, q) = (I::add(m[0], m[1]), I::sub(m[0], m[1]));
    let (r, s) = (I::add(m[2], m[3]), I::sub(m[2], m[3]));
    let both = |a: f32, b: f32, x, y| I::fma(I::splat(a), x, I::mul(I::splat(b), y));
    let mut y = [I::splat(0.0); MAX_POINTS];
    y[0] = I::add(p, r);
    y[1] = both(a, b, q, s);
    if D > 2 {
        y[2] = both(a * a, b * b, p, r);
    }
    if D > 3 {
        y[3] = both(a * a * a, b * b * b, q, s);
    }
    y
}

/// 0, ±a, ±b and infinity, with a = 2/3 and b = 3/2.
pub(crate) struct Six;

impl Six {
    const A: f32 = 2.0 / 3.0;
    const B: f32 = 1.5;
}

impl Points for Six {
    const N: usize = 6;
    const FACTORS: [f32; 6] = [
        1.0,
        -81.0 / 130.0,
        -81.0 / 130.0,
        8.0 / 65.0,
        8.0 / 65.0,
        1.0,
    ];

    #[inline(always)]
    unsafe fn differences<I: Vector>(d: &Row<I>) -> Row<I> {
        // a b = 1, so that a² b² = 1, a b² = b and a² b = a; a² + b² = 97 / 36.
        let (a, b, sum) = (Self::A, Self::B, I::splat(-97.0 / 36.0));
        let near = |c: f32, x, y| I::fma(I::splat(-c * c), x, y);
        let (e1, e2) = (near(b, d[2], d[4]), near(a, d[2], d[4]));
        let o1 = I::fma(I::splat(a), d[3], I::mul(I::splat(-b), d[1]));
        let o2 = I::fma(I::splat(b), d[3], I::mul(I::splat(-a), d[1]));
        [
            I::fma(sum, d[2], I::add(d[0], d[4])),
            I::add(e1, o1),
            I::sub(e1, o1),
            I::add(e2, o2),
            I::sub(e2, o2),
            I::fma(sum, d[3], I::add(d[1], d[5])),
        ]
    }

    #[inline(always)]
    unsafe fn evaluate<I: Vector, const D: usize>(d: &Row<I>) -> Row<I> {
        let ((p1, n1), (p2, n2)) = (pair::<I, D>(d, Self::A), pair::<I, D>(d, Self::B));
        [d[0], p1, n1, p2, n2, d[D - 1]]
    }

    #[inline(always)]
    unsafe fn interpolate<I: Vector, const D: usize>(m: &Row<I>) -> Row<I> {
        let mut y = pairs_back::<I, D>([m[1], m[2], m[3], m[4]], Self::A, Self::B);
        y[0] = I::add(y[0], m[0]);
        y[D - 1] = I::add(y[D - 1], m[5]);
        y
    }
}

/// ±a, ±b and infinity, with a = 3/8 and b = 5/4.
///
/// Found by a scan of pairs of short binary fractions: the error of F(4x4, 2x2) with 0, ±1, 1/2
/// and infinity is twice as large.
pub(crate) struct Five;

impl Five {
    const A: f32 = 0.375;
    const B: f32 = 1.25;
    /// 1 / (2 a (a² - b²)), and the same with a and b exchanged.
    const FACTOR_A: f32 = 1.0 / (2.0 * Self::A * (Self::A * Self::A - Self::B * Self::B));
    const FACTOR_B: f32 = 1.0 / (2.0 * Self::B * (Self::B * Self::B - Self::A * Self::A));
}

impl Points for Five {
    const N: usize = 5;
    const FACTORS: [f32; 6] = [
        Self::FACTOR_A,
        -Self::FACTOR_A,
        Self::FACTOR_B,
        -Self::FACTOR_B,
        1.0,
        0.0,
    ];

    #[inline(always)]
    unsafe fn differences<I: Vector>(d: &Row<I>) -> Row<I> {
        let (a, b) = (Self::A, Self::B);
        let near = |c: f32, x, y| I::fma(I::splat(-c * c), x, y);
        let (e1, o1) = (near(b, d[0], d[2]), near(b, d[1], d[3]));
        let (e2, o2) = (near(a, d[0], d[2]), near(a, d[1], d[3]));
        let last = I::fma(I::splat(-(a * a + b * b)), d[2], d[4]);
        [
            I::fma(I::splat(a), e1, o1),
            I::fma(I::splat(-a), e1, o1),
            I::fma(I::splat(b), e2, o2),
            I::fma(I::splat(-b), e2, o2),
            I::fma(I::splat(a * a * b * b), d[0], last),
            d[5],
        ]
    }

    #[inline(always)]
    unsafe fn evaluate<I: Vector, const D: usize>(d: &Row<I>) -> Row<I> {
        let ((p1, n1), (p2, n2)) = (pair::<I, D>(d, Self::A), pair::<I, D>(d, Self::B));
        [p1, n1, p2, n2, d[D - 1], d[5]]
    }

    #[inline(always)]
    unsafe fn interpolate<I: Vector, const D: usize>(m: &Row<I>) -> Row<I> {
        let mut y = pairs_back::<I, D>([m[0], m[1], m[2], m[3]], Self::A, Self::B);
        y[D - 1] = I::add(y[D - 1], m[4]);
        y
    }
}

/// A two-dimensional form: the same one-dimensional form along rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// F(4x4, 3x3): 36 multiplications for 16 outputs, which take 144 directly.
    F43,
    /// F(3x3, 4x4): 36 for 9 outputs, which take 144.
    F34,
    /// F(4x4, 2x2): 25 for 16 outputs, which take 64.
    F42,
}

impl Form {
    /// Points along an axis, which is also the size of an input tile.
    pub(crate) fn n(self) -> usize {
        match self {
            Form::F43 | Form::F34 => 6,
            Form::F42 => 5,
        }
    }
    /// Outputs of a tile along an axis.
    pub(crate) fn m(self) -> usize {
        match self {
            Form::F43 | Form::F42 => 4,
            Form::F34 => 3,
        }
    }
    /// Taps along an axis.
    pub(crate) fn r(self) -> usize {
        self.n() + 1 - self.m()
    }
    /// Matrices of a layer: points of both axes.
    pub(crate) fn matrices(self) -> usize {
        self.n() * self.n()
    }
    /// What the weights' value at each pair of points is multiplied by, times `gain`.
    pub(crate) fn factors(self, gain: f32) -> [f32; MAX_POINTS * MAX_POINTS] {
        let (n, f) = match self {
            Form::F43 | Form::F34 => (6, Six::FACTORS),
            Form::F42 => (5, Five::FACTORS),
        };
        std::array::from_fn(|i| {
            if i < n * n {
                f[i / n] * f[i % n] * gain
            } else {
                0.0
            }
        })
    }
}

/// Runs `$body::<I, points, outputs, taps>(args)` for `$form`.
macro_rules! by_form {
    ($form:expr, $body:ident::<$isa:ident>($($arg:expr),*)) => {
        match $form {
            $crate::winograd::form::Form::F43 => $body::<$isa, $crate::winograd::form::Six, 4, 3>($($arg),*),
            $crate::winograd::form::Form::F34 => $body::<$isa, $crate::winograd::form::Six, 3, 4>($($arg),*),
            $crate::winograd::form::Form::F42 => $body::<$isa, $crate::winograd::form::Five, 4, 2>($($arg),*),
        }
    };
}
pub(crate) use by_form;
