//! Convolutions whose kernel covers the whole input: one matrix product in each direction.

use crate::matmul::{Matrix, matmul};
use crate::shape::ConvShape;
use crate::simd::Level;
use crate::tile::Finish;

/// y = gain * convolution(x, w), finished with one bias a channel of y.
pub(crate) fn forward(
    level: Level,
    s: &ConvShape,
    x: &[f32],
    w: &[f32],
    finish: Finish<'_>,
    gain: f32,
) -> Vec<f32> {
    assert_eq!((x.len(), w.len()), (s.x_len(), s.w_len()));
    assert!(finish.bias.is_none_or(|b| b.len() == s.co));
    let k = s.ci * s.taps();
    let (a, b) = (
        Matrix {
            data: x,
            row: k,
            column: 1,
        },
        Matrix {
            data: w,
            row: 1,
            column: k,
        },
    );
    matmul(level, s.b, s.co, k, a, b, gain, finish)
}

/// dx = gain * the transposed convolution of dy, finished with one bias a channel of x.
pub(crate) fn input_gradient(
    level: Level,
    s: &ConvShape,
    dy: &[f32],
    w: &[f32],
    finish: Finish<'_>,
    gain: f32,
) -> Vec<f32> {
    assert_eq!((dy.len(), w.len()), (s.y_len(), s.w_len()));
    assert!(finish.bias.is_none_or(|b| b.len() == s.ci));
    let k = s.ci * s.taps();
    let (a, b) = (
        Matrix {
            data: dy,
            row: s.co,
            column: 1,
        },
        Matrix {
            data: w,
            row: k,
            column: 1,
        },
    );
    let spread = |b: &[f32]| (0..k).map(|i| b[i / s.taps()]).collect();
    let spread: Option<Vec<f32>> = finish.bias.map(spread);
    let finish = Finish {
        bias: spread.as_deref(),
        ..finish
    };
    matmul(level, s.b, k, s.co, a, b, gain, finish)
}

/// dw = gain * the correlation of x and dy.
pub(crate) fn weight_gradient(
    level: Level,
    s: &ConvShape,
    x: &[f32],
    dy: &[f32],
    gain: f32,
) -> Vec<f32> {
    assert_eq!((x.len(), dy.len()), (s.x_len(), s.y_len()));
    let k = s.ci * s.taps();
    let (a, b) = (
        Matrix {
            data: dy,
            row: 1,
            column: s.co,
        },
        Matrix {
            data: x,
            row: k,
            column: 1,
        },
    );
    matmul(level, s.co, k, s.b, a, b, gain, Finish::NONE)
}
