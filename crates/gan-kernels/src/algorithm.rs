//! Which algorithm computes a convolution: a pure function of its shape.
//!
//! With `t` tiles in all images (of 4x4 outputs, or 3x3 for 4x4 kernels of stride 1) and `c` the
//! smaller number of channels, in this order:
//!
//! | layer | forward | input gradient | weight gradient |
//! |---|---|---|---|
//! | the kernel covers the input | one matrix product | the same | the same |
//! | 3x3, stride 1, `t >= 16`, `c >= 16`, `t c >= 2048` | F(4x4, 3x3) | the same | the same |
//! | 4x4, stride 1, `t >= 16`, `c >= 16`, `t c >= 2048` (4096 for weights) | F(3x3, 4x4) | the same | the same |
//! | 4x4, stride 2, `t >= 16`, `c >= 32`, `t c >= 4096`; even inputs for their gradient | F(4x4, 2x2) | the same | the same |
//! | at most 8 output channels, stride 1, more than one tap | thin | | x and dy exchanged |
//! | at most 8 input channels, more than one tap | | thin | |
//! | at most 128 output pixels in all images, 32 output channels or more | | weights read once | weights written once |
//! | everything else | direct | direct | direct |
//!
//! *X and dy exchanged* is the direct weight gradient of [`ConvShape::exchanged`], where there is one and
//! the outputs are fewer than the inputs.
//!
//! *Thin*, *direct* and the two forms that touch the weights once are exact up to the order of a
//! sum. Winograd's forms F(MxM, RxR) need a quarter to 0.39 of the multiplications and round a
//! little more: their largest error is 1e-6 to 7e-6 of the largest output. The transforms cost more
//! than they save where tiles or channels are few; the limits are where both took equally long.

use crate::shape::ConvShape;
use crate::simd::Level;
use crate::tile::Finish;
use crate::winograd::{self, Form};
use crate::{direct, few, product, thin};
use std::cell::Cell;

/// Up to this many channels, rows of taps fill a register tile better than im2col does.
const THIN: usize = 8;
/// Up to this many pixels in all images, the weights are the larger part of the work.
const FEW_PIXELS: usize = 128;
/// From this many output channels on, that is worth an algorithm of its own.
const FEW_CHANNELS: usize = 32;

thread_local! {
    static EXACT: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` with convolutions that this thread calls held to the algorithms that do not transform.
///
/// A gradient's op chooses when it runs: a backward pass has to lie inside `f` too.
#[cfg(test)]
pub(crate) fn exactly<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            EXACT.set(self.0);
        }
    }
    let _restore = Restore(EXACT.replace(true));
    f()
}

/// The form for one direction, if Winograd's is the faster algorithm there.
fn form(s: &ConvShape, weights: bool) -> Option<Form> {
    let form = winograd::form(s).filter(|_| !EXACT.get())?;
    let c = s.ci.min(s.co);
    let t = s.b * s.oh.div_ceil(form.m()) * s.ow.div_ceil(form.m());
    let (channels, product) = match form {
        Form::F43 => (16, 2048),
        Form::F34 => (16, if weights { 4096 } else { 2048 }),
        Form::F42 => (32, 4096),
    };
    (t >= 16 && c >= channels && t * c >= product).then_some(form)
}

/// Whether the weights are so many and the pixels so few that weights are touched once.
fn is_few(s: &ConvShape) -> bool {
    s.b * s.oh * s.ow <= FEW_PIXELS && s.co >= FEW_CHANNELS
}

/// y = gain * convolution(x, w), finished with one bias a channel of y.
pub(crate) fn forward(
    level: Level,
    s: &ConvShape,
    x: &[f32],
    w: &[f32],
    finish: Finish<'_>,
    gain: f32,
) -> Vec<f32> {
    if s.covers() {
        return product::forward(level, s, x, w, finish, gain);
    }
    let thin = s.co <= THIN && s.stride == 1 && s.taps() > 1;
    match form(s, false) {
        Some(form) => winograd::forward(level, form, s, x, w, finish, gain),
        None if thin => thin::forward(level, s, x, w, finish, gain),
        None => direct::forward(level, s, x, w, finish, gain),
    }
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
    if s.covers() {
        return product::input_gradient(level, s, dy, w, finish, gain);
    }
    let thin = s.ci <= THIN && s.taps() > 1;
    match form(s, false).filter(|_| winograd::has_input_gradient(s)) {
        Some(form) => winograd::input_gradient(level, form, s, dy, w, finish, gain),
        None if thin => thin::input_gradient(level, s, dy, w, finish, gain),
        None if is_few(s) => few::input_gradient(level, s, dy, w, finish, gain),
        None => direct::input_gradient(level, s, dy, w, finish, gain),
    }
}

/// dw = gain * the correlation of x and dy.
pub(crate) fn weight_gradient(
    level: Level,
    s: &ConvShape,
    x: &[f32],
    dy: &[f32],
    gain: f32,
) -> Vec<f32> {
    if s.covers() {
        return product::weight_gradient(level, s, x, dy, gain);
    }
    if let Some(form) = form(s, true) {
        return winograd::weight_gradient(level, form, s, x, dy, gain);
    }
    let exchanged = s.exchanged().filter(|_| s.co <= THIN && s.ci > s.co);
    if let Some(exchanged) = exchanged {
        let (kk, k) = (s.taps(), s.ci * s.taps());
        let t = direct::weight_gradient(level, &exchanged, dy, x, gain);
        // Taps come out reversed, and the two channel axes exchanged.
        return (0..s.w_len())
            .map(|i| t[((i / kk % s.ci) * s.co + i / k) * kk + kk - 1 - i % kk])
            .collect();
    }
    match is_few(s) {
        true => few::weight_gradient(level, s, x, dy, gain),
        false => direct::weight_gradient(level, s, x, dy, gain),
    }
}
