//! Convolution in f64 by plain loops: what finite differences and comparisons need.

use crate::shape::ConvShape;

/// Calls `f(index of x, index of w, index of y)` for every product of a convolution.
fn products(s: &ConvShape, mut f: impl FnMut(usize, usize, usize)) {
    for (b, o) in pairs(s.b, s.co) {
        for (c, (i, j)) in (0..s.ci).flat_map(|c| pairs(s.kh, s.kw).map(move |t| (c, t))) {
            let w = ((o * s.ci + c) * s.kh + i) * s.kw + j;
            for oy in 0..s.oh {
                let Some(y) = inside(oy * s.stride + i, s.padding, s.h) else {
                    continue;
                };
                for ox in 0..s.ow {
                    let Some(x) = inside(ox * s.stride + j, s.padding, s.w) else {
                        continue;
                    };
                    let at = ((b * s.ci + c) * s.h + y) * s.w + x;
                    f(at, w, ((b * s.co + o) * s.oh + oy) * s.ow + ox);
                }
            }
        }
    }
}

fn pairs(n: usize, m: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).flat_map(move |i| (0..m).map(move |j| (i, j)))
}

fn inside(padded: usize, padding: usize, size: usize) -> Option<usize> {
    padded.checked_sub(padding).filter(|&i| i < size)
}

fn bias_or_zero(len: usize, channels: usize, plane: usize, bias: Option<&[f64]>) -> Vec<f64> {
    match bias {
        Some(bias) => (0..len).map(|i| bias[i / plane % channels]).collect(),
        None => vec![0.0; len],
    }
}

/// As `direct::forward`.
pub(crate) fn forward(
    s: &ConvShape,
    x: &[f64],
    w: &[f64],
    bias: Option<&[f64]>,
    gain: f64,
) -> Vec<f64> {
    let mut y = bias_or_zero(s.y_len(), s.co, s.oh * s.ow, bias);
    products(s, |i, k, o| y[o] += x[i] * (w[k] * gain));
    y
}

/// As `direct::input_gradient`.
pub(crate) fn input_gradient(
    s: &ConvShape,
    dy: &[f64],
    w: &[f64],
    bias: Option<&[f64]>,
    gain: f64,
) -> Vec<f64> {
    let mut dx = bias_or_zero(s.x_len(), s.ci, s.h * s.w, bias);
    products(s, |i, k, o| dx[i] += dy[o] * (w[k] * gain));
    dx
}

/// As `direct::weight_gradient`.
pub(crate) fn weight_gradient(s: &ConvShape, x: &[f64], dy: &[f64], gain: f64) -> Vec<f64> {
    let mut dw = vec![0.0; s.w_len()];
    products(s, |i, k, o| dw[k] += x[i] * dy[o] * gain);
    dw
}
