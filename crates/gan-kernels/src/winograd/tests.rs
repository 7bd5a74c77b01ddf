//! All forms and directions against plain loops in float64, at every SIMD level.

use super::*;
use crate::par::testing::with_threads;
use crate::plain;
use crate::simd::best;
use crate::testing::{Rng, error, levels, wide};

fn shape(
    b: usize,
    ci: usize,
    (h, w): (usize, usize),
    co: usize,
    form: Form,
    p: usize,
) -> ConvShape {
    let (k, stride) = match form {
        Form::F43 => (3, 1),
        Form::F34 => (4, 1),
        Form::F42 => (4, 2),
    };
    ConvShape {
        b,
        ci,
        h,
        w,
        co,
        kh: k,
        kw: k,
        stride,
        padding: p,
        oh: (h + 2 * p - k) / stride + 1,
        ow: (w + 2 * p - k) / stride + 1,
    }
}

/// The largest error of each direction at any level, relative to the largest number.
fn errors(s: &ConvShape, seed: u64) -> [f64; 3] {
    let form = form(s).unwrap_or(Form::F43);
    let mut rng = Rng(seed);
    let (x, y, w) = (
        rng.f32s(s.x_len()),
        rng.f32s(s.y_len()),
        rng.f32s(s.w_len()),
    );
    let (bx, by) = (rng.f32s(s.ci), rng.f32s(s.co));
    let finish = |bias| Finish {
        bias: Some(bias),
        slope: 0.3,
    };
    let rectified = |v: Vec<f64>| -> Vec<f64> {
        v.iter()
            .map(|&v| if v > 0.0 { v } else { 0.3 * v })
            .collect()
    };
    let f = rectified(plain::forward(
        s,
        &wide(&x),
        &wide(&w),
        Some(&wide(&by)),
        0.75,
    ));
    let d = rectified(plain::input_gradient(
        s,
        &wide(&y),
        &wide(&w),
        Some(&wide(&bx)),
        0.75,
    ));
    let g = plain::weight_gradient(s, &wide(&x), &wide(&y), 0.75);
    let mut worst = [0f64; 3];
    for level in levels() {
        let ours = forward(level, form, s, &x, &w, finish(&by), 0.75);
        worst[0] = worst[0].max(error(&wide(&ours), &f));
        if has_input_gradient(s) {
            let ours = input_gradient(level, form, s, &y, &w, finish(&bx), 0.75);
            worst[1] = worst[1].max(error(&wide(&ours), &d));
        }
        let ours = weight_gradient(level, form, s, &x, &y, 0.75);
        worst[2] = worst[2].max(error(&wide(&ours), &g));
    }
    worst
}

#[test]
fn random_shapes_agree_with_plain_loops() {
    let mut rng = Rng(3);
    let mut done = 0;
    while done < 240 {
        let form = [Form::F43, Form::F34, Form::F42][done % 3];
        let (b, ci, co) = (rng.between(1, 5), rng.between(1, 40), rng.between(1, 40));
        let (h, w, p) = (rng.between(1, 21), rng.between(1, 21), rng.between(0, 3));
        if h.min(w) + 2 * p < 4 {
            continue;
        }
        let s = shape(b, ci, (h, w), co, form, p);
        let e = errors(&s, done as u64);
        assert!(e.iter().all(|&e| e < 7e-6), "{s:?}: {e:?}");
        done += 1;
    }
}

#[test]
fn sizes_of_the_papers_agree_with_plain_loops() {
    for (i, s) in [
        // Few tiles and many channels, many tiles, sections and chunks, rows left over.
        shape(1, 150, (16, 16), 70, Form::F43, 1),
        shape(5, 64, (24, 24), 64, Form::F43, 1),
        shape(1, 130, (15, 15), 72, Form::F34, 1),
        shape(4, 40, (33, 31), 64, Form::F34, 1),
        shape(1, 96, (16, 16), 72, Form::F42, 1),
        shape(40, 32, (16, 16), 33, Form::F42, 1),
        shape(70, 130, (8, 8), 70, Form::F42, 1),
        // Rows of more tiles than a task has at a time, which end anywhere in them.
        shape(1, 20, (9, 1030), 24, Form::F43, 1),
        shape(2, 33, (5, 517), 40, Form::F43, 1),
        shape(2, 20, (7, 620), 24, Form::F34, 2),
        shape(2, 33, (10, 900), 40, Form::F42, 1),
    ]
    .iter()
    .enumerate()
    {
        let e = errors(s, i as u64);
        assert!(e.iter().all(|&e| e < 7e-6), "{s:?}: {e:?}");
    }
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    for s in [
        shape(1, 150, (16, 16), 70, Form::F43, 1),
        shape(6, 64, (24, 24), 64, Form::F43, 1),
        shape(2, 40, (33, 31), 64, Form::F34, 1),
        shape(1, 96, (16, 16), 72, Form::F42, 1),
        shape(70, 130, (8, 8), 70, Form::F42, 1),
    ] {
        let form = form(&s).unwrap_or(Form::F43);
        let mut rng = Rng(5);
        let (x, y, w) = (
            rng.f32s(s.x_len()),
            rng.f32s(s.y_len()),
            rng.f32s(s.w_len()),
        );
        let run = || {
            let level = best();
            (
                forward(level, form, &s, &x, &w, Finish::NONE, 1.0),
                input_gradient(level, form, &s, &y, &w, Finish::NONE, 1.0),
                weight_gradient(level, form, &s, &x, &y, 1.0),
            )
        };
        let first = run();
        for threads in [1, 2, 8, 2] {
            let again = with_threads(threads, run);
            assert!(again == first, "{s:?} with {threads} threads");
        }
    }
}

/// The public ops choose Winograd's forms for these shapes: what they give is near float64's,
/// is not what the direct algorithm gives, and a penalty through them is near the direct one's.
#[test]
fn ops_choose_it_and_can_be_held_to_direct() -> candle_core::Result<()> {
    use crate::algorithm::exactly;
    use crate::conv::{Conv2d, conv2d};
    use crate::{act, mode};
    use candle_core::{DType, Tensor, Var};
    let mut rng = Rng(9);
    let x = rng.tensor(&[8, 32, 32, 32])?;
    let w = [rng.tensor(&[64, 32, 4, 4])?, rng.tensor(&[48, 64, 3, 3])?];
    // The gradient of a smooth function of the gradient of two layers, and their output.
    let run = |dtype: DType| -> candle_core::Result<Vec<Tensor>> {
        let x = Var::from_tensor(&x.to_dtype(dtype)?)?;
        let w = [
            Var::from_tensor(&(w[0].to_dtype(dtype)? * 0.05)?)?,
            Var::from_tensor(&(w[1].to_dtype(dtype)? * 0.05)?)?,
        ];
        let down = Conv2d {
            stride: 2,
            padding: 1,
            ..Default::default()
        };
        let same = Conv2d {
            padding: 1,
            ..Default::default()
        };
        let h = act::tanh(&conv2d(&x, &w[0], None, &down)?)?;
        let y = conv2d(&h, &w[1], None, &same)?;
        let inner = mode::penalty(|| act::tanh(&y)?.sum_all()?.backward())?;
        let Some(g) = inner.get(&x) else {
            candle_core::bail!("no gradient of x")
        };
        let outer = g.sqr()?.sum_all()?.backward()?;
        let mut all = vec![y.clone(), g.clone()];
        all.extend(w.iter().filter_map(|w| outer.get(w).cloned()));
        Ok(all)
    };
    let exact = run(DType::F64)?;
    let chosen = run(DType::F32)?;
    let held = exactly(|| run(DType::F32))?;
    assert_eq!((exact.len(), chosen.len(), held.len()), (4, 4, 4));
    for ((exact, chosen), held) in exact.iter().zip(&chosen).zip(&held) {
        let exact = crate::testing::numbers(exact)?;
        let (chosen, held) = (
            crate::testing::numbers(chosen)?,
            crate::testing::numbers(held)?,
        );
        let (e, d) = (error(&chosen, &exact), error(&held, &exact));
        assert!(e < 1e-5 && d < 3e-6, "chosen {e}, direct {d}");
        assert_ne!(chosen, held);
    }
    Ok(())
}
