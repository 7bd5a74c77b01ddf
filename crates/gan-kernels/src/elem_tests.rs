//! Norms, activations, pools and losses: derivatives of first and second order against central
//! differences in f64, bits for any number of threads, SIMD levels, and errors.
//!
//! Some 780 lines because one table of cases runs through all of these checks.

use crate::act::{self, Act};
use crate::par::testing::with_threads;
use crate::simd::{self, Level};
use crate::{loss, mode, norm, pool2d};
use candle_core::{DType, Device, Result, Tensor, Var};

type Function = Box<dyn Fn(&[Tensor]) -> Result<Tensor>>;

/// A function of some tensors, and whether its first input's gradient is differentiated again.
struct Case {
    name: &'static str,
    shapes: Vec<Vec<usize>>,
    second: bool,
    f: Function,
}

fn case(
    name: &'static str,
    shapes: &[&[usize]],
    second: bool,
    f: impl Fn(&[Tensor]) -> Result<Tensor> + 'static,
) -> Case {
    Case {
        name,
        shapes: shapes.iter().map(|s| s.to_vec()).collect(),
        second,
        f: Box::new(f),
    }
}

/// `n` almost evenly spaced numbers in [-1.5, 1.5], none at 0, shuffled and moved by the seed.
///
/// They are distinct, so that no small step changes which of several is largest.
fn numbers(n: usize, seed: u64) -> Vec<f64> {
    let mut z = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut keys: Vec<(u64, usize)> = (0..n)
        .map(|i| {
            z ^= z << 13;
            z ^= z >> 7;
            z ^= z << 17;
            (z, i)
        })
        .collect();
    keys.sort_unstable();
    keys.iter()
        .map(|(key, rank)| {
            let moved = 0.1 + 0.3 * (key % 1000) as f64 / 1000.0;
            3.0 * (*rank as f64 + moved) / n as f64 - 1.5
        })
        .collect()
}

fn tensor(shape: &[usize], seed: u64) -> Tensor {
    let n = shape.iter().product();
    Tensor::from_vec(numbers(n, seed), shape, &Device::Cpu).unwrap()
}

const LEAKY: Act = Act::LeakyRelu(0.2);

fn cases() -> Vec<Case> {
    let mut out = Vec::new();
    // Elementwise, with a strided view and an input used twice.
    type Unary = fn(&Tensor) -> Result<Tensor>;
    let unary: [(&'static str, Unary); 5] = [
        ("leaky_relu", |x| act::leaky_relu(x, 0.2)),
        ("relu", act::relu),
        ("tanh", act::tanh),
        ("sigmoid", act::sigmoid),
        ("softplus", act::softplus),
    ];
    for (name, f) in unary {
        out.push(case(name, &[&[2, 3, 5]], true, move |v| f(&v[0])));
        out.push(case(name, &[&[3, 4]], true, move |v| f(&v[0].t()?)));
        out.push(case(name, &[&[1, 7]], true, move |v| {
            f(&v[0])? * f(&(&v[0] * 1.7)?)?
        }));
    }
    out.push(case("prelu", &[&[2, 3, 4, 5], &[1]], true, |v| {
        act::prelu(&v[0], &v[1])
    }));
    out.push(case("prelu", &[&[2, 3, 4, 5], &[3]], true, |v| {
        act::prelu(&v[0], &v[1])
    }));
    out.push(case("prelu twice", &[&[1, 4], &[4]], true, |v| {
        act::prelu(&v[0], &v[1])? * &v[0]
    }));
    out.push(case("prelu", &[&[4, 2, 3], &[4]], true, |v| {
        act::prelu(&v[0].transpose(0, 1)?, &v[1])
    }));
    out.push(case("maxout", &[&[3, 12]], true, |v| act::maxout(&v[0], 3)));
    out.push(case("maxout", &[&[8, 1]], true, |v| {
        act::maxout(&v[0].t()?, 4)?.sqr()
    }));
    // Batch norm: long and short rows, one and several pictures.
    for shape in [
        &[4, 3, 6, 7][..],
        &[3, 2, 2, 3],
        &[5, 4],
        &[1, 3, 5, 5],
        &[2, 10, 6, 6],
    ] {
        let c = shape[1];
        for act in [Act::None, Act::Relu, LEAKY] {
            out.push(case("batch_norm", &[shape, &[c], &[c]], true, move |v| {
                norm::batch_norm_batch(&v[0], &v[1], &v[2], 1e-5, act)
            }));
        }
    }
    out.push(case(
        "batch_norm running",
        &[&[3, 2, 3, 3], &[2], &[2]],
        true,
        |v| {
            let (mean, var) = (
                Var::zeros(2, DType::F64, v[0].device())?,
                Var::ones(2, DType::F64, v[0].device())?,
            );
            norm::batch_norm(&v[0], &v[1], &v[2], &mean, &var, 0.1, 1e-5, LEAKY)
        },
    ));
    for shape in [&[2, 3, 6, 7][..], &[3, 4], &[1, 2, 3, 3]] {
        let c = shape[1];
        out.push(case(
            "batch_norm_eval",
            &[shape, &[c], &[c]],
            true,
            move |v| {
                let (mean, var) = (tensor(&[c], 77), (tensor(&[c], 78).sqr()? + 0.5)?);
                norm::batch_norm_eval(&v[0], &v[1], &v[2], &mean, &var, 1e-5, LEAKY)
            },
        ));
    }
    for shape in [&[2, 3, 6, 7][..], &[1, 2, 3, 3], &[2, 10, 5, 4]] {
        let c = shape[1];
        for act in [Act::None, LEAKY] {
            out.push(case("instance_norm", &[shape], true, move |v| {
                norm::instance_norm(&v[0], None, 1e-5, act)
            }));
            out.push(case(
                "instance_norm affine",
                &[shape, &[c], &[c]],
                true,
                move |v| norm::instance_norm(&v[0], Some((&v[1], &v[2])), 1e-5, act),
            ));
        }
    }
    for shape in [&[2, 3, 6, 7][..], &[1, 2, 3, 3], &[9, 3, 2, 2], &[3, 5]] {
        let c = shape[1];
        for act in [Act::None, Act::Relu, LEAKY] {
            out.push(case("layer_norm", &[shape], true, move |v| {
                norm::layer_norm(&v[0], None, 1e-5, act)
            }));
            out.push(case(
                "layer_norm channel",
                &[shape, &[c], &[c]],
                true,
                move |v| norm::layer_norm(&v[0], Some((&v[1], &v[2])), 1e-5, act),
            ));
        }
    }
    out.push(case(
        "layer_norm element",
        &[&[2, 3, 2, 3], &[3, 2, 3], &[3, 2, 3]],
        true,
        |v| norm::layer_norm(&v[0], Some((&v[1], &v[2])), 1e-5, LEAKY),
    ));
    out.push(case(
        "layer_norm strided, twice",
        &[&[3, 2, 4, 3], &[3], &[3]],
        true,
        |v| {
            let x = v[0].transpose(0, 1)?;
            norm::layer_norm(&x, Some((&v[1], &v[2])), 1e-5, LEAKY)? * &x
        },
    ));
    out.push(case(
        "instance_norm strided, twice",
        &[&[3, 2, 4, 3]],
        true,
        |v| {
            let x = v[0].transpose(2, 3)?;
            norm::instance_norm(&x, None, 1e-5, LEAKY)? * &x
        },
    ));
    out.push(case(
        "batch_norm strided, twice",
        &[&[3, 2, 4, 3], &[3], &[3]],
        true,
        |v| {
            let x = v[0].transpose(0, 1)?;
            norm::batch_norm_batch(&x, &v[1], &v[2], 1e-5, LEAKY)? * &x
        },
    ));
    for shape in [&[2, 5, 3, 4][..], &[1, 4], &[3, 2, 17, 16]] {
        out.push(case("pixel_norm", &[shape], true, |v| {
            norm::pixel_norm(&v[0], 1e-8)
        }));
    }
    out.push(case(
        "pixel_norm strided, twice",
        &[&[3, 2, 4, 3]],
        true,
        |v| {
            let x = v[0].transpose(0, 3)?;
            norm::pixel_norm(&x, 1e-8)? * &x
        },
    ));
    for (shape, group) in [
        ([4, 3, 2, 3], 2),
        ([8, 2, 4, 4], 4),
        ([3, 2, 1, 2], 4),
        ([1, 2, 2, 2], 4),
    ] {
        // A lone picture deviates from itself by exactly 0, where √ has no second derivative that
        // differences could find next to the small eps.
        let eps = if shape[0] == 1 { 0.1 } else { 1e-8 };
        out.push(case("minibatch_stddev", &[&shape], true, move |v| {
            norm::minibatch_stddev(&v[0], group, eps)
        }));
    }
    out.push(case(
        "minibatch_stddev strided, twice",
        &[&[3, 4, 2, 3]],
        true,
        |v| {
            let x = v[0].transpose(0, 1)?;
            let y = norm::minibatch_stddev(&x, 2, 1e-8)?;
            y.broadcast_mul(&x.narrow(1, 0, 1)?)
        },
    ));
    type Pool = fn(&Tensor, (usize, usize), (usize, usize)) -> Result<Tensor>;
    let pools: [(&'static str, Pool); 2] = [
        ("avg_pool2d", pool2d::avg_pool2d),
        ("max_pool2d", pool2d::max_pool2d),
    ];
    for (name, pool) in pools {
        for (shape, k, s) in [
            ([2, 3, 6, 4], (2, 2), (2, 2)),
            ([1, 2, 5, 7], (2, 2), (2, 2)),
            ([2, 2, 7, 5], (3, 2), (2, 1)),
            ([1, 1, 4, 9], (2, 3), (3, 4)),
            ([2, 1, 3, 3], (3, 3), (1, 1)),
        ] {
            out.push(case(name, &[&shape], true, move |v| pool(&v[0], k, s)));
        }
        out.push(case(name, &[&[1, 2, 5, 6]], true, move |v| {
            let x = v[0].transpose(2, 3)?;
            pool(&x, (2, 2), (2, 2))? * pool(&(&x * 2.)?, (2, 2), (2, 2))?
        }));
    }
    out.push(case("bce_with_logits", &[&[3, 4]], true, |v| {
        loss::bce_with_logits(&v[0], 1.0)
    }));
    out.push(case("bce_with_logits", &[&[3, 4]], true, |v| {
        let target = (tensor(&[4, 3], 5).sqr()? / 2.25)?;
        loss::bce_with_logits(&v[0].t()?, &target)
    }));
    out.push(case("bce", &[&[5, 1]], false, |v| {
        loss::bce(&((&v[0] / 4.)? + 0.5)?, 0.3)
    }));
    out.push(case("bce", &[&[2, 3]], false, |v| {
        let target = (tensor(&[2, 3], 5).sqr()? / 2.25)?;
        loss::bce(&((&v[0] / 4.)? + 0.5)?, &target)
    }));
    out.push(case("mse", &[&[3, 4], &[3, 4]], true, |v| {
        loss::mse(&v[0], &v[1])
    }));
    out.push(case("mse", &[&[1, 4]], true, |v| loss::mse(&v[0], 0.4)));
    // Differences on both sides of 1.
    out.push(case("huber", &[&[3, 4], &[3, 4]], true, |v| {
        loss::huber(&(&v[0] * 1.7)?, &v[1])
    }));
    out.push(case("huber", &[&[1, 4]], true, |v| loss::huber(&v[0], 0.4)));
    out.push(case("l1", &[&[3, 4], &[3, 4]], false, |v| {
        loss::l1(&v[0], &v[1])
    }));
    out.push(case("l1", &[&[1, 4]], false, |v| loss::l1(&v[0], 0.4)));
    out
}

fn vars(inputs: &[Tensor]) -> Vec<Var> {
    inputs
        .iter()
        .map(|t| Var::from_tensor(t).unwrap())
        .collect()
}

fn tensors(vars: &[Var]) -> Vec<Tensor> {
    vars.iter().map(|v| v.as_tensor().clone()).collect()
}

fn number(t: &Tensor) -> f64 {
    t.to_dtype(DType::F64).unwrap().to_scalar().unwrap()
}

fn flat(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap()
}

/// The largest difference, relative to the largest number.
fn error(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let most = b.iter().fold(0f64, |m, x| m.max(x.abs()));
    let worst = a.iter().zip(b).fold(0f64, |m, (x, y)| {
        let d = (x - y).abs();
        if d.is_nan() { f64::INFINITY } else { m.max(d) }
    });
    worst / most.max(1e-3)
}

/// Compares gradients with central differences of `value`.
fn against_differences(
    name: &str,
    inputs: &[Tensor],
    grads: &[Option<Tensor>],
    value: impl Fn(&[Tensor]) -> f64,
) {
    for (i, input) in inputs.iter().enumerate() {
        let x = flat(input);
        let differences: Vec<f64> = (0..x.len())
            .map(|j| {
                let at = |h: f64| {
                    let mut moved = x.clone();
                    moved[j] += h;
                    let mut all = inputs.to_vec();
                    all[i] = Tensor::from_vec(moved, input.shape(), &Device::Cpu).unwrap();
                    value(&all)
                };
                // Small, as a function may bend close by.
                let h = 2e-6;
                (at(h) - at(-h)) / (2.0 * h)
            })
            .collect();
        let grad = grads[i].as_ref().map_or(vec![0.0; x.len()], flat);
        let e = error(&grad, &differences);
        assert!(
            e < 1e-6,
            "{name} {:?}, input {i}: error {e:e}\n{grad:?}\n{differences:?}",
            input.dims()
        );
    }
}

fn weighted(y: &Tensor) -> Tensor {
    let c = tensor(y.dims(), 99);
    (y * c).unwrap().sum_all().unwrap()
}

#[test]
fn first_order() {
    for (n, case) in cases().iter().enumerate() {
        let inputs: Vec<Tensor> = case
            .shapes
            .iter()
            .enumerate()
            .map(|(i, s)| tensor(s, 1000 * n as u64 + i as u64 + 1))
            .collect();
        let vars = vars(&inputs);
        let loss = weighted(&(case.f)(&tensors(&vars)).unwrap());
        let grads = loss.backward().unwrap();
        let grads: Vec<_> = vars.iter().map(|v| grads.get(v).cloned()).collect();
        against_differences(case.name, &inputs, &grads, |x| {
            number(&weighted(&(case.f)(x).unwrap()))
        });
    }
}

/// A function of the gradient of the first input.
fn penalty(case: &Case, vars: &[Var]) -> Tensor {
    let dx = mode::penalty(|| {
        let loss = weighted(&(case.f)(&tensors(vars)).unwrap());
        loss.backward().unwrap().get(&vars[0]).unwrap().clone()
    });
    (dx.sqr().unwrap() * tensor(dx.dims(), 98))
        .unwrap()
        .sum_all()
        .unwrap()
}

#[test]
fn second_order() {
    for (n, case) in cases().iter().enumerate().filter(|(_, c)| c.second) {
        let inputs: Vec<Tensor> = case
            .shapes
            .iter()
            .enumerate()
            .map(|(i, s)| tensor(s, 1000 * n as u64 + i as u64 + 1))
            .collect();
        let vars = vars(&inputs);
        let grads = penalty(case, &vars).backward().unwrap();
        let grads: Vec<_> = vars.iter().map(|v| grads.get(v).cloned()).collect();
        against_differences(case.name, &inputs, &grads, |x| {
            number(&penalty(case, &self::vars(x)))
        });
    }
}

#[test]
fn plain_mode_keeps_no_graph_of_gradients() {
    for case in cases() {
        let inputs: Vec<Tensor> = case.shapes.iter().map(|s| tensor(s, 3)).collect();
        // The gradients that the op itself returns; those of candle's ops around it keep theirs.
        if case.name.contains("twice")
            || case.name.contains("minibatch")
            || case.name.contains("element")
        {
            continue;
        }
        let vars = vars(&inputs);
        let y = (case.f)(&tensors(&vars)).unwrap();
        let grads = y.backward().unwrap();
        for v in &vars {
            let Some(grad) = grads.get(v) else {
                panic!("{}: no gradient", case.name)
            };
            assert!(!grad.track_op(), "{}: the gradient has a graph", case.name);
        }
    }
}

/// Outputs and gradients in f32 on sizes that are shared out among threads: as many as are given, or
/// what there are.
fn large(threads: Option<usize>) -> Vec<(&'static str, Vec<Tensor>)> {
    let run = |name: &'static str, shapes: &[&[usize]], f: &dyn Fn(&[Tensor]) -> Result<Tensor>| {
        let vars: Vec<Var> = shapes
            .iter()
            .enumerate()
            .map(|(i, s)| {
                let t = tensor(s, 40 + i as u64).to_dtype(DType::F32).unwrap();
                Var::from_tensor(&t).unwrap()
            })
            .collect();
        let compute = || {
            let y = f(&tensors(&vars)).unwrap();
            let c = tensor(y.dims(), 99).to_dtype(DType::F32).unwrap();
            let grads = (&y * c).unwrap().sum_all().unwrap().backward().unwrap();
            let mut out = vec![y.clone()];
            out.extend(vars.iter().map(|v| grads.get(v).unwrap().clone()));
            out
        };
        let out = match threads {
            Some(n) => with_threads(n, compute),
            None => compute(),
        };
        (name, out)
    };
    let d = &Device::Cpu;
    vec![
        run("leaky_relu", &[&[3, 70_001]], &|v| {
            act::leaky_relu(&v[0], 0.2)
        }),
        run("tanh", &[&[3, 70_001]], &|v| act::tanh(&v[0])),
        run("sigmoid", &[&[3, 70_001]], &|v| act::sigmoid(&v[0])),
        run("softplus", &[&[3, 70_001]], &|v| act::softplus(&v[0])),
        run("prelu", &[&[2, 3, 130, 131], &[3]], &|v| {
            act::prelu(&v[0], &v[1])
        }),
        run("prelu", &[&[2, 3, 130, 131], &[1]], &|v| {
            act::prelu(&v[0], &v[1])
        }),
        run("maxout", &[&[100, 1200]], &|v| act::maxout(&v[0], 5)),
        run("batch_norm", &[&[5, 11, 30, 31], &[11], &[11]], &|v| {
            norm::batch_norm_batch(&v[0], &v[1], &v[2], 1e-5, LEAKY)
        }),
        run(
            "batch_norm, few channels",
            &[&[9, 3, 50, 31], &[3], &[3]],
            &|v| norm::batch_norm_batch(&v[0], &v[1], &v[2], 1e-5, LEAKY),
        ),
        run(
            "batch_norm, short",
            &[&[70, 150, 4, 4], &[150], &[150]],
            &|v| {
                let mean = Var::zeros(150, DType::F32, d)?;
                norm::batch_norm(
                    &v[0],
                    &v[1],
                    &v[2],
                    &mean,
                    &Tensor::ones(150, DType::F32, d)?,
                    0.1,
                    1e-5,
                    Act::Relu,
                )
            },
        ),
        run("instance_norm", &[&[2, 37, 40, 33]], &|v| {
            norm::instance_norm(&v[0], None, 1e-5, LEAKY)
        }),
        run("layer_norm", &[&[2, 37, 40, 33], &[37], &[37]], &|v| {
            norm::layer_norm(&v[0], Some((&v[1], &v[2])), 1e-5, LEAKY)
        }),
        run("layer_norm, many", &[&[20, 37, 8, 9], &[37], &[37]], &|v| {
            norm::layer_norm(&v[0], Some((&v[1], &v[2])), 1e-5, LEAKY)
        }),
        run("pixel_norm", &[&[4, 50, 20, 31]], &|v| {
            norm::pixel_norm(&v[0], 1e-8)
        }),
        run("avg_pool2d", &[&[4, 30, 33, 32]], &|v| {
            pool2d::avg_pool2d(&v[0], (2, 2), (2, 2))
        }),
        run("max_pool2d", &[&[4, 30, 33, 32]], &|v| {
            pool2d::max_pool2d(&v[0], (2, 2), (2, 2))
        }),
        run("bce_with_logits", &[&[3, 70_001]], &|v| {
            loss::bce_with_logits(&v[0], 1.0)
        }),
        run("mse", &[&[3, 70_001], &[3, 70_001]], &|v| {
            loss::mse(&v[0], &v[1])
        }),
        run("huber", &[&[3, 70_001], &[3, 70_001]], &|v| {
            loss::huber(&v[0], &v[1])
        }),
        run("l1", &[&[3, 70_001], &[3, 70_001]], &|v| {
            loss::l1(&v[0], &v[1])
        }),
    ]
}

#[test]
fn same_bits_for_any_number_of_threads() {
    let bits = |threads| -> Vec<(&'static str, Vec<Vec<u32>>)> {
        let bits = |t: &Tensor| {
            t.flatten_all()
                .unwrap()
                .to_vec1::<f32>()
                .unwrap()
                .iter()
                .map(|x| x.to_bits())
                .collect()
        };
        large(Some(threads))
            .iter()
            .map(|(n, ts)| (*n, ts.iter().map(bits).collect()))
            .collect()
    };
    let one = bits(1);
    for threads in [2, 8, 2] {
        for (a, b) in one.iter().zip(bits(threads)) {
            assert!(a.1 == b.1, "{} differs with {threads} threads", a.0);
        }
    }
}

#[test]
fn levels_agree() {
    let reference = simd::force(Level::Portable, || large(None)).unwrap();
    for level in [Level::Avx2, Level::Avx512] {
        let Ok(got) = simd::force(level, || large(None)) else {
            continue;
        };
        for ((name, a), (_, b)) in got.iter().zip(&reference) {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                let e = error(&flat(a), &flat(b));
                assert!(e < 2e-6, "{name}, tensor {i} at {level:?}: error {e:e}");
            }
        }
    }
}

#[test]
fn f32_agrees_with_f64() {
    let single = large(None);
    // The same shapes as in `large`, in f64, for the ops whose sums are long.
    let x = tensor(&[5, 11, 30, 31], 40);
    let y =
        norm::batch_norm_batch(&x, &tensor(&[11], 41), &tensor(&[11], 42), 1e-5, LEAKY).unwrap();
    assert!(error(&flat(&single[7].1[0]), &flat(&y)) < 1e-6);
    let y = act::softplus(&tensor(&[3, 70_001], 40)).unwrap();
    assert!(error(&flat(&single[3].1[0]), &flat(&y)) < 1e-6);
}

#[test]
fn statistics_survive_a_large_offset() {
    // Mean 1000, deviation about 1: a plain sum of squares in f32 would lose the variance.
    let x = (tensor(&[4, 3, 40, 40], 7) + 1000.0)
        .unwrap()
        .to_dtype(DType::F32)
        .unwrap();
    let want =
        norm::instance_norm(&x.to_dtype(DType::F64).unwrap(), None, 1e-5, Act::None).unwrap();
    let got = norm::instance_norm(&x, None, 1e-5, Act::None).unwrap();
    assert!(error(&flat(&got), &flat(&want)) < 1e-4);
    let one = Tensor::ones(3, DType::F32, &Device::Cpu).unwrap();
    let (mean, var) = (
        Var::zeros(3, DType::F32, &Device::Cpu).unwrap(),
        Var::zeros(3, DType::F32, &Device::Cpu).unwrap(),
    );
    norm::batch_norm(&x, &one, &one, &mean, &var, 1.0, 1e-5, Act::None).unwrap();
    let wide = x
        .to_dtype(DType::F64)
        .unwrap()
        .transpose(0, 1)
        .unwrap()
        .flatten_from(1)
        .unwrap();
    assert!(error(&flat(&mean), &flat(&wide.mean(1).unwrap())) < 1e-7);
    assert!(error(&flat(&var), &flat(&wide.var(1).unwrap())) < 1e-6);
}

#[test]
fn running_statistics_move_in_place_and_only_in_training() {
    let d = &Device::Cpu;
    let x = tensor(&[4, 2, 3, 3], 1);
    let one = Tensor::ones(2, DType::F64, d).unwrap();
    let (mean, var) = (
        Var::zeros(2, DType::F64, d).unwrap(),
        Var::ones(2, DType::F64, d).unwrap(),
    );
    // A tensor that shares the storage is as good as the variable.
    let shared = mean.detach();
    norm::batch_norm_batch(&x, &one, &one, 1e-5, Act::None).unwrap();
    norm::batch_norm_eval(&x, &one, &one, &mean, &var, 1e-5, Act::None).unwrap();
    assert_eq!(flat(&mean), [0.0, 0.0]);
    norm::batch_norm(&x, &one, &one, &shared, &var, 0.1, 1e-5, Act::None).unwrap();
    let rows = x.transpose(0, 1).unwrap().flatten_from(1).unwrap();
    let want = (rows.mean(1).unwrap() * 0.1).unwrap();
    assert!(error(&flat(&shared), &flat(&want)) < 1e-12);
    let want = ((rows.var(1).unwrap() * 0.1).unwrap() + 0.9).unwrap();
    assert!(error(&flat(&var), &flat(&want)) < 1e-12);
}

#[test]
fn derivatives_at_zero_and_nan() {
    let d = &Device::Cpu;
    let gradient = |f: fn(&Tensor) -> Result<Tensor>| -> Vec<f64> {
        let x = Var::new(
            &[0f32, -0.0, 1.0, -1.0, f32::INFINITY, f32::NEG_INFINITY],
            d,
        )
        .unwrap();
        let y = f(&x).unwrap();
        flat(y.sum_all().unwrap().backward().unwrap().get(&x).unwrap())
    };
    assert_eq!(gradient(act::relu), [0.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
    assert_eq!(
        gradient(|x| act::leaky_relu(x, 0.25)),
        [0.25, 0.25, 1.0, 0.25, 1.0, 0.25]
    );
    let x = Tensor::new(&[f32::NAN, f32::NEG_INFINITY], d).unwrap();
    let y: Vec<f32> = act::relu(&x).unwrap().to_vec1().unwrap();
    assert!(y[0].is_nan() && y[1] == 0.0);
    let x = Tensor::new(&[[1f32, f32::NAN, 3.0, 2.0, 2.0, 1.0]], d).unwrap();
    let y: Vec<f32> = act::maxout(&x, 3)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap();
    assert!(y[0].is_nan() && y[1] == 2.0);
}

#[test]
fn bce_is_stable() {
    let d = &Device::Cpu;
    for (x, y, value, slope) in [
        (300f32, 0.0, 300.0, 1.0),
        (-300.0, 0.0, 0.0, 0.0),
        (300.0, 1.0, 0.0, 0.0),
        (-300.0, 1.0, 300.0, -1.0),
    ] {
        let x = Var::new(&[x], d).unwrap();
        let loss = loss::bce_with_logits(&x, y).unwrap();
        assert!((number(&loss) - value).abs() < 1e-30);
        let gradient = flat(loss.backward().unwrap().get(&x).unwrap())[0];
        assert!((gradient - slope).abs() < 1e-30);
    }
    // Probabilities at the ends: logarithms are cut at -100.
    for (p, y, value) in [
        (0f32, 1.0, 100.0),
        (1.0, 0.0, 100.0),
        (1.0, 1.0, 0.0),
        (0.0, 0.0, 0.0),
    ] {
        let p = Var::new(&[p], d).unwrap();
        let loss = loss::bce(&p, y).unwrap();
        assert_eq!(number(&loss), value);
        assert!(flat(loss.backward().unwrap().get(&p).unwrap())[0].is_finite());
    }
}

#[test]
fn wrong_shapes_are_errors_that_name_them() {
    let d = &Device::Cpu;
    let t = |dims: &[usize]| Tensor::zeros(dims, DType::F32, d).unwrap();
    let x = t(&[2, 3, 4, 5]);
    let (three, four) = (t(&[3]), t(&[4]));
    let v = |n: usize| Var::zeros(n, DType::F32, d).unwrap();
    let none = Act::None;
    let bad: Vec<(Result<Tensor>, &[&str])> = vec![
        (
            norm::batch_norm_batch(&x, &four, &three, 1e-5, none),
            &["[4]", "[2, 3, 4, 5]"],
        ),
        (
            norm::batch_norm_batch(&x, &three, &four, 1e-5, none),
            &["[4]", "[2, 3, 4, 5]"],
        ),
        (
            norm::batch_norm(&x, &three, &three, &v(4), &v(3), 0.1, 1e-5, none),
            &["[4]", "[2, 3, 4, 5]"],
        ),
        (
            norm::batch_norm(&t(&[1, 3]), &three, &three, &v(3), &v(3), 0.1, 1e-5, none),
            &["[1, 3]"],
        ),
        (
            norm::batch_norm_eval(&x, &three, &three, &four, &three, 1e-5, none),
            &["[4]", "[2, 3, 4, 5]"],
        ),
        (
            norm::instance_norm(&x, Some((&four, &three)), 1e-5, none),
            &["[4]", "[2, 3, 4, 5]"],
        ),
        (
            norm::layer_norm(&x, Some((&four, &three)), 1e-5, none),
            &["[4]", "[2, 3, 4, 5]"],
        ),
        (
            norm::layer_norm(&x, Some((&t(&[3, 5, 4]), &t(&[3, 4, 5]))), 1e-5, none),
            &["[3, 5, 4]", "[2, 3, 4, 5]"],
        ),
        (norm::pixel_norm(&four, 1e-8), &["[4]"]),
        (
            norm::minibatch_stddev(&t(&[6, 3, 4, 4]), 4, 1e-8),
            &["4", "[6, 3, 4, 4]"],
        ),
        (norm::minibatch_stddev(&t(&[6, 3]), 4, 1e-8), &["[6, 3]"]),
        (act::prelu(&x, &four), &["[4]", "[2, 3, 4, 5]"]),
        (act::maxout(&t(&[2, 7]), 3), &["[2, 7]", "3"]),
        (act::maxout(&t(&[2, 7]), 0), &["[2, 7]"]),
        (
            pool2d::avg_pool2d(&x, (5, 5), (1, 1)),
            &["(5, 5)", "[2, 3, 4, 5]"],
        ),
        (pool2d::max_pool2d(&x, (2, 2), (0, 2)), &["(0, 2)"]),
        (pool2d::max_pool2d(&three, (2, 2), (2, 2)), &["[3]"]),
        (
            loss::bce_with_logits(&x, &t(&[2, 3, 5, 4])),
            &["[2, 3, 4, 5]", "[2, 3, 5, 4]"],
        ),
        (loss::mse(&x, &three), &["[2, 3, 4, 5]", "[3]"]),
        (loss::l1(&t(&[0, 3]), 0.0), &["[0, 3]"]),
    ];
    for (result, names) in bad {
        let message = result.expect_err(names[0]).to_string();
        for name in names {
            assert!(message.contains(name), "{message:?} does not name {name}");
        }
    }
    let empty = t(&[0, 3, 4, 4]);
    assert!(norm::batch_norm_batch(&empty, &three, &three, 1e-5, none).is_err());
    assert!(norm::instance_norm(&empty, None, 1e-5, none).is_err());
    assert!(norm::layer_norm(&empty, None, 1e-5, none).is_err());
    assert!(norm::pixel_norm(&empty, 1e-8).is_err());
    assert!(norm::minibatch_stddev(&empty, 4, 1e-8).is_err());
    assert!(pool2d::avg_pool2d(&empty, (2, 2), (2, 2)).is_err());
    assert!(act::relu(&empty.to_dtype(DType::U32).unwrap()).is_err());
    assert_eq!(act::tanh(&empty).unwrap().dims(), [0, 3, 4, 4]);
    assert_eq!(act::prelu(&empty, &three).unwrap().dims(), [0, 3, 4, 4]);
}

/// Outputs of 16 MiB and more are written past the caches; the numbers are the same.
#[test]
fn large_outputs_are_those_of_small_pieces() {
    let x = tensor(&[2, 33, 257, 255], 1).to_dtype(DType::F32).unwrap();
    let g = tensor(&[2, 33, 257, 255], 2).to_dtype(DType::F32).unwrap();
    let both = |x: &Tensor, g: &Tensor| {
        let x = Var::from_tensor(&x.copy().unwrap()).unwrap();
        let y = norm::instance_norm(&x, None, 1e-5, LEAKY).unwrap();
        let z = act::tanh(&y).unwrap();
        let grads = (&z * g).unwrap().sum_all().unwrap().backward().unwrap();
        let dx = grads.get(&x).unwrap().clone();
        [y, z, dx].map(|t| t.flatten_all().unwrap().to_vec1::<f32>().unwrap())
    };
    let whole = both(&x, &g);
    let pieces: Vec<_> = (0..2)
        .map(|i| both(&x.narrow(0, i, 1).unwrap(), &g.narrow(0, i, 1).unwrap()))
        .collect();
    for (i, whole) in whole.iter().enumerate() {
        let pieces: Vec<f32> = pieces.iter().flat_map(|p| p[i].clone()).collect();
        assert!(*whole == pieces, "output {i} differs");
    }
}
