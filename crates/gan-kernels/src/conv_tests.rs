//! Tests of the convolutions: against plain loops at every SIMD level, finite differences of both
//! orders, the same bits for any number of threads, and errors.
//!
//! Some 520 lines because it holds them all.

use super::*;
use crate::algorithm::{self, exactly};
use crate::par::testing::with_threads;
use crate::simd::{Level, best, force};
use crate::testing::{Rng, error, first_order, levels, numbers, second_order, wide};
use candle_core::{DType, Device, Var};

/// The three directions by whatever algorithm is chosen among those that do not transform.
mod exact {
    use super::*;

    pub fn forward(
        level: Level,
        s: &ConvShape,
        x: &[f32],
        w: &[f32],
        finish: Finish<'_>,
        gain: f32,
    ) -> Vec<f32> {
        exactly(|| algorithm::forward(level, s, x, w, finish, gain))
    }

    pub fn input_gradient(
        level: Level,
        s: &ConvShape,
        dy: &[f32],
        w: &[f32],
        finish: Finish<'_>,
        gain: f32,
    ) -> Vec<f32> {
        exactly(|| algorithm::input_gradient(level, s, dy, w, finish, gain))
    }

    pub fn weight_gradient(
        level: Level,
        s: &ConvShape,
        x: &[f32],
        dy: &[f32],
        gain: f32,
    ) -> Vec<f32> {
        exactly(|| algorithm::weight_gradient(level, s, x, dy, gain))
    }
}

#[allow(clippy::too_many_arguments)]
fn shape(
    b: usize,
    ci: usize,
    h: usize,
    w: usize,
    co: usize,
    k: (usize, usize),
    stride: usize,
    padding: usize,
) -> ConvShape {
    let (kh, kw) = k;
    let (oh, ow) = (
        (h + 2 * padding - kh) / stride + 1,
        (w + 2 * padding - kw) / stride + 1,
    );
    ConvShape {
        b,
        ci,
        h,
        w,
        co,
        kh,
        kw,
        stride,
        padding,
        oh,
        ow,
    }
}

/// All three directions at every level against float64 loops.
fn agrees(s: &ConvShape, seed: u64) {
    let mut rng = Rng(seed);
    let (x, y, w) = (
        rng.f32s(s.x_len()),
        rng.f32s(s.y_len()),
        rng.f32s(s.w_len()),
    );
    let (bx, by) = (rng.f32s(s.ci), rng.f32s(s.co));
    let gain = 0.75f32;
    let f = plain::forward(s, &wide(&x), &wide(&w), Some(&wide(&by)), 0.75);
    let d = plain::input_gradient(s, &wide(&y), &wide(&w), Some(&wide(&bx)), 0.75);
    let g = plain::weight_gradient(s, &wide(&x), &wide(&y), 0.75);
    let rectified = |v: Vec<f64>| {
        v.iter()
            .map(|&v| if v > 0.0 { v } else { 0.3 * v })
            .collect()
    };
    let (f, d): (Vec<f64>, Vec<f64>) = (rectified(f), rectified(d));
    for level in levels() {
        let e = [
            error(
                &wide(&exact::forward(
                    level,
                    s,
                    &x,
                    &w,
                    Finish {
                        bias: Some(&by),
                        slope: 0.3,
                    },
                    gain,
                )),
                &f,
            ),
            error(
                &wide(&exact::input_gradient(
                    level,
                    s,
                    &y,
                    &w,
                    Finish {
                        bias: Some(&bx),
                        slope: 0.3,
                    },
                    gain,
                )),
                &d,
            ),
            error(&wide(&exact::weight_gradient(level, s, &x, &y, gain)), &g),
        ];
        assert!(e.iter().all(|&e| e < 3e-6), "{s:?} {level:?}: {e:?}");
    }
}

#[test]
fn layers_of_the_papers_agree_with_plain_loops() {
    for (i, s) in [
        shape(2, 64, 12, 12, 64, (3, 3), 1, 1),
        shape(3, 64, 8, 8, 40, (4, 4), 2, 1),
        shape(5, 33, 4, 4, 47, (4, 4), 2, 1),
        shape(2, 3, 32, 32, 64, (4, 4), 2, 1),
        shape(2, 3, 20, 24, 64, (9, 9), 1, 4),
        shape(1, 64, 40, 36, 3, (9, 9), 1, 4),
        shape(1, 3, 40, 36, 64, (9, 9), 1, 4),
        shape(2, 70, 9, 9, 33, (1, 1), 1, 0),
        shape(3, 20, 4, 4, 9, (4, 4), 1, 0),
        shape(1, 64, 7, 9, 1, (4, 4), 1, 1),
        shape(1, 600, 2, 2, 24, (3, 3), 1, 1),
        shape(1, 16, 17, 33, 24, (7, 7), 1, 3),
        shape(2, 16, 15, 14, 24, (7, 7), 2, 3),
        shape(1, 10, 12, 10, 12, (3, 3), 3, 1),
        shape(2, 12, 10, 11, 14, (5, 3), 2, 2),
        shape(2, 9, 5, 5, 10, (1, 1), 2, 0),
        shape(2, 9, 5, 6, 10, (2, 2), 3, 0),
        shape(1, 9, 6, 5, 10, (1, 1), 1, 2),
        // Few pixels, many weights.
        shape(1, 70, 8, 9, 40, (4, 4), 2, 1),
        shape(3, 37, 2, 2, 64, (4, 4), 2, 1),
        shape(2, 33, 5, 3, 33, (3, 3), 1, 1),
        shape(1, 40, 7, 9, 35, (5, 5), 2, 3),
        shape(2, 36, 3, 4, 32, (2, 2), 3, 1),
    ]
    .iter()
    .enumerate()
    {
        agrees(s, i as u64);
    }
}

#[test]
fn random_shapes_agree_with_plain_loops() {
    let mut rng = Rng(11);
    let mut done = 0;
    while done < 300 {
        let (b, ci, co) = (rng.between(1, 4), rng.between(1, 20), rng.between(1, 40));
        let (h, w) = (rng.between(1, 20), rng.between(1, 20));
        let k = (rng.between(1, 9), rng.between(1, 9));
        let (stride, padding) = (rng.between(1, 3), rng.between(0, 4));
        if h + 2 * padding < k.0 || w + 2 * padding < k.1 {
            continue;
        }
        agrees(&shape(b, ci, h, w, co, k, stride, padding), done);
        done += 1;
    }
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    let shapes = [
        shape(4, 32, 12, 12, 64, (3, 3), 1, 1),
        shape(6, 32, 8, 8, 40, (4, 4), 2, 1),
        shape(1, 3, 64, 64, 64, (4, 4), 2, 1),
        shape(1, 32, 48, 48, 3, (9, 9), 1, 4),
        shape(16, 512, 4, 4, 100, (4, 4), 1, 0),
        shape(1, 256, 8, 8, 256, (4, 4), 2, 1),
    ];
    for s in &shapes {
        let mut rng = Rng(5);
        let (x, y, w) = (
            rng.f32s(s.x_len()),
            rng.f32s(s.y_len()),
            rng.f32s(s.w_len()),
        );
        let run = || {
            let level = best();
            (
                exact::forward(level, s, &x, &w, Finish::NONE, 1.0),
                exact::input_gradient(level, s, &y, &w, Finish::NONE, 1.0),
                exact::weight_gradient(level, s, &x, &y, 1.0),
            )
        };
        let first = run();
        for threads in [1, 2, 8, 2] {
            let again = with_threads(threads, run);
            assert!(again == first, "{s:?} with {threads} threads");
        }
    }
}

fn conv(stride: usize, padding: usize) -> Conv2d {
    Conv2d {
        stride,
        padding,
        gain: 0.7,
        ..Default::default()
    }
}

#[test]
fn finite_differences_of_convolution() -> Result<()> {
    let mut rng = Rng(1);
    for (b, h, w, k, stride, padding) in [
        (1, 5, 4, 3, 1, 1),
        (2, 6, 7, 4, 2, 1),
        (2, 4, 4, 4, 1, 0),
        (1, 7, 5, 3, 2, 1),
        (1, 3, 2, 1, 1, 0),
    ] {
        let x = rng.tensor(&[b, 2, h, w])?;
        let (weight, bias) = (rng.tensor(&[3, 2, k, k])?, rng.tensor(&[3])?);
        let f = |v: &[Tensor]| conv2d(&v[0], &v[1], Some(&v[2]), &conv(stride, padding));
        let e = first_order(&[x.clone(), weight.clone(), bias.clone()], &f)?;
        assert!(e < 1e-8, "first order {e} k{k} s{stride}");
        let e = second_order(&[x, weight, bias], &f)?;
        assert!(e < 1e-7, "second order {e} k{k} s{stride}");
    }
    Ok(())
}

#[test]
fn finite_differences_of_transposed_convolution() -> Result<()> {
    let mut rng = Rng(2);
    for (b, h, w, k, stride, padding, output_padding) in [
        (1, 3, 4, 4, 2, 1, 0),
        (2, 3, 2, 3, 2, 1, 1),
        (2, 1, 1, 4, 1, 0, 0),
        (1, 2, 3, 3, 1, 1, 0),
    ] {
        let x = rng.tensor(&[b, 3, h, w])?;
        let (weight, bias) = (rng.tensor(&[3, 2, k, k])?, rng.tensor(&[2])?);
        let c = ConvTranspose2d {
            stride,
            padding,
            output_padding,
            gain: 0.7,
            ..Default::default()
        };
        let f = |v: &[Tensor]| conv_transpose2d(&v[0], &v[1], Some(&v[2]), &c);
        let e = first_order(&[x.clone(), weight.clone(), bias.clone()], &f)?;
        assert!(e < 1e-8, "first order {e} k{k} s{stride}");
        let e = second_order(&[x, weight, bias], &f)?;
        assert!(e < 1e-7, "second order {e} k{k} s{stride}");
    }
    Ok(())
}

#[test]
fn finite_differences_with_an_activation() -> Result<()> {
    let mut rng = Rng(12);
    let x = rng.tensor(&[2, 3, 4, 5])?;
    let all = [x, rng.tensor(&[3, 3, 3, 3])?, rng.tensor(&[3])?];
    for act in [Act::Relu, Act::LeakyRelu(0.2), Act::LeakyRelu(2.0)] {
        let c = Conv2d {
            stride: 2,
            padding: 1,
            gain: 0.7,
            act,
        };
        let f = |v: &[Tensor]| conv2d(&v[0], &v[1], Some(&v[2]), &c);
        assert!(first_order(&all, &f)? < 1e-8, "{act:?}");
        assert!(second_order(&all, &f)? < 1e-7, "{act:?}");
        let c = ConvTranspose2d {
            stride: 2,
            act,
            ..Default::default()
        };
        let f = |v: &[Tensor]| conv_transpose2d(&v[0], &v[1], None, &c);
        assert!(first_order(&all[..2], &f)? < 1e-8, "{act:?}");
        assert!(second_order(&all[..2], &f)? < 1e-7, "{act:?}");
    }
    Ok(())
}

#[test]
fn candle_ops_of_other_devices_are_right() -> Result<()> {
    let mut rng = Rng(13);
    for (h, w, k, stride, padding) in [
        (5, 4, 3, 1, 1),
        (7, 8, 4, 2, 1),
        (9, 6, 2, 2, 0),
        (7, 8, 3, 3, 1),
    ] {
        let all = [
            rng.tensor(&[2, 2, h, w])?,
            rng.tensor(&[3, 2, k, k])?,
            rng.tensor(&[3])?,
        ];
        let c = conv(stride, padding);
        let s = c.shape(&all[0], &all[1])?;
        let f = |v: &[Tensor]| native_conv2d(&v[0], &v[1], Some(&v[2]), &c, &s);
        let ours = conv2d(&all[0], &all[1], Some(&all[2]), &c)?;
        assert!(error(&numbers(&f(&all)?)?, &numbers(&ours)?) < 1e-12);
        assert!(first_order(&all, &f)? < 1e-8, "k{k} s{stride}");
        assert!(second_order(&all, &f)? < 1e-7, "k{k} s{stride}");
    }
    let all = [
        rng.tensor(&[2, 3, 3, 4])?,
        rng.tensor(&[3, 2, 3, 3])?,
        rng.tensor(&[2])?,
    ];
    let c = ConvTranspose2d {
        stride: 2,
        padding: 1,
        output_padding: 1,
        gain: 0.5,
        ..Default::default()
    };
    let f = |v: &[Tensor]| native_conv_transpose2d(&v[0], &v[1], Some(&v[2]), &c);
    let ours = conv_transpose2d(&all[0], &all[1], Some(&all[2]), &c)?;
    assert!(error(&numbers(&f(&all)?)?, &numbers(&ours)?) < 1e-12);
    assert!(first_order(&all, &f)? < 1e-8);
    assert!(second_order(&all, &f)? < 1e-7);
    Ok(())
}

#[test]
fn inputs_used_twice_and_views() -> Result<()> {
    let mut rng = Rng(3);
    // The same input through two convolutions, transposed and narrowed.
    let x = rng.tensor(&[2, 6, 5, 3])?;
    let weight = rng.tensor(&[2, 3, 3, 3])?;
    let f = |v: &[Tensor]| {
        let view = v[0].transpose(1, 3)?; // [2, 3, 5, 6]
        let w = v[1].transpose(2, 3)?;
        let a = conv2d(&view, &w, None, &conv(1, 1))?;
        let b = conv2d(&view.narrow(3, 1, 4)?, &v[1], None, &conv(1, 1))?;
        (a.narrow(3, 1, 4)? * b)? + view.narrow(1, 0, 2)?.narrow(3, 2, 4)?
    };
    assert!(first_order(&[x.clone(), weight.clone()], &f)? < 1e-8);
    assert!(second_order(&[x, weight], &f)? < 1e-6);
    Ok(())
}

/// The same penalty in float32 through this crate and through candle's own ops.
#[test]
fn second_order_agrees_with_candle() -> Result<()> {
    let mut rng = Rng(4);
    let x = rng.tensor(&[4, 3, 16, 16])?;
    let (w1, w2) = (rng.tensor(&[32, 3, 4, 4])?, rng.tensor(&[32, 32, 3, 3])?);
    let w3 = rng.tensor(&[32, 20, 4, 4])?;
    type Layers = fn(&[Tensor]) -> Result<Tensor>;
    let ours: Layers = |v| {
        let y = conv2d(
            &v[0],
            &v[1],
            None,
            &Conv2d {
                stride: 2,
                padding: 1,
                gain: 1.0,
                ..Default::default()
            },
        )?
        .sqr()?;
        let y = conv2d(
            &y,
            &v[2],
            None,
            &Conv2d {
                stride: 1,
                padding: 1,
                gain: 1.0,
                ..Default::default()
            },
        )?
        .sqr()?;
        let c = ConvTranspose2d {
            stride: 2,
            padding: 1,
            ..Default::default()
        };
        conv_transpose2d(&y, &v[3], None, &c)
    };
    let candle: Layers = |v| {
        let y = v[0].conv2d(&v[1], 1, 2, 1, 1)?.sqr()?;
        let y = y.conv2d(&v[2], 1, 1, 1, 1)?.sqr()?;
        y.conv_transpose2d(&v[3], 1, 0, 2, 1)
    };
    let mut results = Vec::new();
    for f in [ours, candle] {
        let mut v = Vec::new();
        for t in [&x, &w1, &w2, &w3] {
            v.push(
                Var::from_tensor(&(t.to_dtype(DType::F32)? * 0.1)?)?
                    .as_tensor()
                    .clone(),
            );
        }
        let y = f(&v)?;
        let grads = crate::mode::penalty(|| y.sum_all()?.backward())?;
        let Some(g) = grads.get(&v[0]) else {
            bail!("no gradient")
        };
        let grads = g.sqr()?.sum_all()?.backward()?;
        let mut all = vec![numbers(&y)?, numbers(g)?];
        for v in &v {
            let Some(g) = grads.get(v) else {
                bail!("no gradient")
            };
            all.push(numbers(g)?);
        }
        results.push(all);
    }
    for (a, b) in results[0].iter().zip(&results[1]) {
        assert!(error(a, b) < 3e-6);
    }
    Ok(())
}

#[test]
fn plain_mode_keeps_no_graph_and_skips_constants() -> Result<()> {
    let mut rng = Rng(6);
    let x = rng.tensor(&[2, 3, 5, 5])?;
    let w = Var::from_tensor(&rng.tensor(&[4, 3, 3, 3])?)?;
    let y = conv2d(&x, &w, None, &conv(1, 1))?;
    let grads = y.sqr()?.sum_all()?.backward()?;
    assert!(grads.get(&x).is_none());
    let Some(g) = grads.get(&w) else {
        bail!("no gradient")
    };
    assert!(!g.track_op());
    // A penalty's inner backward leaves the weights out and keeps the graph of the rest.
    let x = Var::from_tensor(&x)?;
    let y = conv2d(&x, &w, None, &conv(1, 1))?;
    let grads = crate::mode::penalty(|| y.sqr()?.sum_all()?.backward())?;
    assert!(grads.get(&w).is_none());
    assert!(grads.get(&x).is_some_and(|g| g.track_op()));
    Ok(())
}

#[test]
fn forced_levels_reach_the_ops() -> Result<()> {
    let mut rng = Rng(9);
    let x = rng.tensor(&[2, 16, 9, 9])?.to_dtype(DType::F32)?;
    let w = rng.tensor(&[16, 16, 3, 3])?.to_dtype(DType::F32)?;
    let run = || numbers(&conv2d(&x, &w, None, &conv(1, 1))?);
    let reference = run()?;
    for level in levels() {
        assert!(error(&force(level, run)??, &reference) < 1e-6);
    }
    Ok(())
}

#[test]
fn wrong_shapes_are_errors_that_name_them() -> Result<()> {
    let t = |d: &[usize]| Tensor::zeros(d, DType::F32, &Device::Cpu);
    let message = |r: Result<Tensor>| {
        r.map(|_| ())
            .map_err(|e| e.to_string())
            .err()
            .unwrap_or_default()
    };
    let c = Conv2d::default();
    let w = t(&[4, 3, 3, 3])?;
    for (x, w, bias, c) in [
        (t(&[1, 2, 5, 5])?, w.clone(), None, c),
        (t(&[1, 3, 2, 5])?, w.clone(), None, c),
        (t(&[0, 3, 5, 5])?, w.clone(), None, c),
        (t(&[3, 5, 5])?, w.clone(), None, c),
        (t(&[1, 3, 5, 5])?, t(&[4, 3, 3])?, None, c),
        (
            t(&[1, 3, 5, 5])?,
            w.clone(),
            None,
            Conv2d { stride: 0, ..c },
        ),
        (
            t(&[1, 3, 5, 5])?,
            w.clone(),
            None,
            Conv2d {
                padding: usize::MAX / 2,
                ..c
            },
        ),
        (
            t(&[1, 3, 5, 5])?,
            w.clone(),
            None,
            Conv2d {
                padding: 1 << 40,
                ..c
            },
        ),
    ] {
        let m = message(conv2d(&x, &w, bias, &c));
        assert!(m.contains(&format!("{:?}", x.shape())), "{m}");
        assert!(m.contains(&format!("{:?}", w.shape())), "{m}");
    }
    let m = message(conv2d(&t(&[1, 3, 5, 5])?, &w, Some(&t(&[3])?), &c));
    assert!(m.contains("[4]") && m.contains("[3]"), "{m}");
    let half = Tensor::zeros((1, 3, 5, 5), DType::F16, &Device::Cpu)?;
    assert!(message(conv2d(&half, &w, None, &c)).contains("F16"));
    let c = ConvTranspose2d {
        stride: 2,
        ..Default::default()
    };
    for (x, c) in [
        (t(&[1, 3, 5, 5])?, c),
        (
            t(&[1, 4, 5, 5])?,
            ConvTranspose2d {
                output_padding: 2,
                ..c
            },
        ),
        (t(&[1, 4, 1, 1])?, ConvTranspose2d { padding: 2, ..c }),
        (t(&[0, 4, 5, 5])?, c),
    ] {
        let m = message(conv_transpose2d(&x, &w, None, &c));
        assert!(m.contains(&format!("{:?}", x.shape())), "{m}");
    }
    Ok(())
}
