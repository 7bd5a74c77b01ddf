//! Which algorithm computes a convolution: a pure function of its shape.
//!
//! With `t` tiles in all images (of 4x4 outputs, or 3x3 for 4x4 kernels of stride 1) and `c` the
//! smaller number of channels, in this order:
//!
//! | layer | forward | input gradient | weight gradient |
//! |---|---|---|---|
//! | 3x3, stride 1, `t >= 16`, `c >= 16`, `t c >= 2048` | F(4x4, 3x3) | the same | the same |
//! | 4x4, stride 1, `t >= 16`, `c >= 16`, `t c >= 2048` (4096 for weights) | F(3x3, 4x4) | the same | the same |
//! | 4x4, stride 2, `t >= 16`, `c >= 32`, `t c >= 4096`; even inputs for their gradient | F(4x4, 2x2) | the same | the same |
//! | the kernel covers the input | one matrix product | the same | the same |
//! | at most 8 outputs, stride 1 | thin | | x and dy exchanged |
//! | at most 8 inputs | | thin | |
//! | at most 128 outputs in all images, 32 channels or more | weights read once | the same | weights written once |
//! | everything else | direct | direct | direct |
//!
//! So a 4x4 kernel that covers its input (a generator's first layer) is F(3x3, 4x4)'s where it is
//! large, though its tiles have one output of nine that exists: one product would do there.
//!
//! *Thin*, *direct* and the two forms that touch the weights once are exact up to the order of a
//! sum. Winograd's forms F(MxM, RxR) need a quarter to 0.39 of the multiplications and round a
//! little more: their largest error is 1e-6 to 7e-6 of the largest output. The transforms cost more
//! than they save where tiles or channels are few; the limits are where both took equally long.
//!
//! [`direct`] leaves Winograd out, for comparisons.

use crate::direct as exact;
use crate::direct::Shape;
use crate::simd::Level;
use crate::tile::Finish;
use crate::winograd::{self, Form};
use std::cell::Cell;

thread_local! {
    static DIRECT: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` with convolutions that this thread calls held to the algorithms that do not transform.
///
/// A gradient's op chooses when it runs: a backward pass has to lie inside `f` too.
pub fn direct<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            DIRECT.set(self.0);
        }
    }
    let _restore = Restore(DIRECT.replace(true));
    f()
}

/// The form for one direction, if Winograd's is the faster algorithm there.
fn form(s: &Shape, weights: bool) -> Option<Form> {
    let form = winograd::form(s).filter(|_| !DIRECT.get())?;
    let c = s.ci.min(s.co);
    let t = s.b * s.oh.div_ceil(form.m()) * s.ow.div_ceil(form.m());
    let (channels, product) = match form {
        Form::F43 => (16, 2048),
        Form::F34 => (16, if weights { 4096 } else { 2048 }),
        Form::F42 => (32, 4096),
    };
    (t >= 16 && c >= channels && t * c >= product).then_some(form)
}

/// y = gain * convolution(x, w), finished with one bias a channel of y.
pub(crate) fn forward(
    level: Level,
    s: &Shape,
    x: &[f32],
    w: &[f32],
    finish: Finish<'_>,
    gain: f32,
) -> Vec<f32> {
    match form(s, false) {
        Some(form) => winograd::forward(level, form, s, x, w, finish, gain),
        None => exact::forward(level, s, x, w, finish, gain),
    }
}

/// dx = gain * the transposed convolution of dy, finished with one bias a channel of x.
pub(crate) fn input_gradient(
    level: Level,
    s: &Shape,
    dy: &[f32],
    w: &[f32],
    finish: Finish<'_>,
    gain: f32,
) -> Vec<f32> {
    match form(s, false).filter(|_| winograd::has_input_gradient(s)) {
        Some(form) => winograd::input_gradient(level, form, s, dy, w, finish, gain),
        None => exact::input_gradient(level, s, dy, w, finish, gain),
    }
}

/// dw = gain * the correlation of x and dy.
pub(crate) fn weight_gradient(
    level: Level,
    s: &Shape,
    x: &[f32],
    dy: &[f32],
    gain: f32,
) -> Vec<f32> {
    match form(s, true) {
        Some(form) => winograd::weight_gradient(level, form, s, x, dy, gain),
        None => exact::weight_gradient(level, s, x, dy, gain),
    }
}
