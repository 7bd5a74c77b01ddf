//! Gradients through the tape against candle's, graphs of every shape, lifetimes, errors.

use super::*;
use crate::act::{self, Act};
use crate::conv::{Conv2d, ConvTranspose2d, conv_transpose2d, conv2d};
use crate::linear::linear_act;
use crate::par::testing::with_threads;
use crate::testing::{Rng, error, numbers};
use crate::{add, add_scaled, loss, norm, pool2d, resample};
use candle_core::{CpuStorage, D, DType, Device, Layout, Shape, Var};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

type Function = Box<dyn Fn(&[Tensor]) -> Result<Tensor>>;

/// A function and the shapes of its inputs.
struct Case(&'static str, &'static [&'static [usize]], Function);

fn case(
    name: &'static str,
    shapes: &'static [&'static [usize]],
    f: impl Fn(&[Tensor]) -> Result<Tensor> + 'static,
) -> Case {
    Case(name, shapes, Box::new(f))
}

const LEAKY: Act = Act::LeakyRelu(0.2);
const PICTURE: &[usize] = &[2, 4, 6, 6];

/// Every op of the crate that networks use.
fn ops() -> Vec<Case> {
    let one: &[&[usize]] = &[PICTURE];
    let affine: &[&[usize]] = &[PICTURE, &[4], &[4]];
    vec![
        case("conv", &[PICTURE, &[3, 4, 3, 3], &[3]], |v| {
            let how = Conv2d {
                stride: 2,
                padding: 1,
                gain: 0.7,
                act: LEAKY,
            };
            conv2d(&v[0], &v[1], Some(&v[2]), &how)
        }),
        case("conv without bias", &[PICTURE, &[3, 4, 3, 3]], |v| {
            conv2d(&v[0], &v[1], None, &Conv2d::default())
        }),
        case("conv_transpose", &[PICTURE, &[4, 3, 4, 4], &[3]], |v| {
            let how = ConvTranspose2d {
                stride: 2,
                padding: 1,
                act: Act::Relu,
                ..Default::default()
            };
            conv_transpose2d(&v[0], &v[1], Some(&v[2]), &how)
        }),
        case("linear", &[&[2, 3, 5], &[4, 5], &[4]], |v| {
            linear_act(&v[0], &v[1], Some(&v[2]), 0.6, LEAKY)
        }),
        case("batch norm", affine, |v| {
            norm::batch_norm_batch(&v[0], &v[1], &v[2], 1e-5, LEAKY)
        }),
        case("batch norm with running statistics", affine, |v| {
            let mean = Tensor::zeros(4, v[0].dtype(), &Device::Cpu)?;
            let var = mean.ones_like()?;
            norm::batch_norm(&v[0], &v[1], &v[2], &mean, &var, 0.1, 1e-5, LEAKY)
        }),
        case("batch norm in evaluation", affine, |v| {
            let mean = v[1].detach();
            norm::batch_norm_eval(&v[0], &v[1], &v[2], &mean, &mean.sqr()?, 1e-5, LEAKY)
        }),
        case("instance norm", one, |v| {
            norm::instance_norm(&v[0], None, 1e-5, LEAKY)
        }),
        case("layer norm", affine, |v| {
            norm::layer_norm(&v[0], Some((&v[1], &v[2])), 1e-5, Act::Relu)
        }),
        case("pixel norm", one, |v| norm::pixel_norm(&v[0], 1e-8)),
        case("minibatch deviation", one, |v| {
            norm::minibatch_stddev(&v[0], 2, 1e-8)
        }),
        case("leaky_relu", one, |v| act::leaky_relu(&v[0], 0.2)),
        case("relu", one, |v| act::relu(&v[0])),
        case("tanh", one, |v| act::tanh(&v[0])),
        case("sigmoid", one, |v| act::sigmoid(&v[0])),
        case("softplus", one, |v| act::softplus(&v[0])),
        case("prelu", &[PICTURE, &[4]], |v| act::prelu(&v[0], &v[1])),
        case("maxout", &[&[3, 10]], |v| act::maxout(&v[0], 5)),
        case("avg_pool", one, |v| {
            pool2d::avg_pool2d(&v[0], (3, 3), (2, 2))
        }),
        case("max_pool", one, |v| {
            pool2d::max_pool2d(&v[0], (2, 2), (2, 2))
        }),
        case("upsample", one, |v| resample::upsample_nearest2x(&v[0])),
        case("pixel_shuffle", one, |v| resample::pixel_shuffle(&v[0], 2)),
        case("reflection_pad", one, |v| {
            resample::reflection_pad2d(&v[0], 2)
        }),
        case("bce_with_logits", one, |v| {
            loss::bce_with_logits(&v[0], 0.9)
        }),
        case("mse", &[PICTURE, PICTURE], |v| loss::mse(&v[0], &v[1])),
        case("l1", &[PICTURE, PICTURE], |v| loss::l1(&v[0], &v[1])),
        case("add", &[PICTURE, PICTURE], |v| add(&v[0], &v[1])),
        case("add scaled", &[PICTURE, PICTURE], |v| {
            add_scaled(&v[0], &v[1], 0.2)
        }),
    ]
}

/// Graphs that mix recorded ops with candle's.
fn graphs() -> Vec<Case> {
    let two: &[&[usize]] = &[PICTURE, PICTURE];
    vec![
        case("a chain", two, |v| {
            act::tanh(&act::leaky_relu(&act::sigmoid(&v[0])?, 0.2)?)
        }),
        case("the input twice", two, |v| add(&v[0], &v[0])),
        case("a candle tensor twice", two, |v| {
            let h = (act::tanh(&v[0])? * 2.0)?;
            add(&h, &h)
        }),
        case("a diamond", two, |v| {
            let h = act::tanh(&v[0])?;
            add(&act::sigmoid(&h)?, &act::relu(&h)?)
        }),
        case("a candle tensor taken early and late", two, |v| {
            let a = (act::tanh(&v[0])? * 3.0)?;
            let b = act::sigmoid(&a)?;
            let c = (&b * &a)?;
            add(&act::softplus(&c)?, &act::tanh(&a)?)
        }),
        case("cat, narrow and reshape between", two, |v| {
            let (a, b) = (act::tanh(&v[0])?, act::sigmoid(&v[1])?);
            let both = Tensor::cat(&[&a, &b, &a], 1)?;
            let h = act::relu(&both.narrow(1, 2, 8)?)?.flatten_from(1)?;
            act::softplus(&(h.mean_keepdim(D::Minus1)? * 0.5)?)
        }),
        case("views", two, |v| {
            let a = act::tanh(&v[0].transpose(2, 3)?)?;
            act::sigmoid(&(a.narrow(2, 1, 3)? + v[1].narrow(2, 0, 3)?)?)
        }),
        case("a variable in both kinds of ops", two, |v| {
            act::tanh(&v[0])? * &v[0] + act::sigmoid(&v[0])?
        }),
        case("no op of this crate", two, |v| (&v[0] * &v[1])? + &v[0]),
        case("half the mean of two losses", two, |v| {
            let a = loss::bce_with_logits(&act::tanh(&v[0])?, 1.0)?;
            (a + loss::bce_with_logits(&v[1], 0.0)?)? / 2.0
        }),
        case("a part that is not recorded", two, |v| {
            let plain = pause(|| act::tanh(&v[0]))?;
            add(&act::sigmoid(&plain)?, &act::relu(&v[0])?)
        }),
        case("a gradient penalty beside it", two, |v| {
            let gradient = pause(|| -> Result<Tensor> {
                let x = Var::from_tensor(&v[1].detach())?;
                let score = act::tanh(&(x.as_tensor() * &v[0])?)?.sum_all()?;
                let mut store = mode::penalty(|| score.backward())?;
                Ok(store.remove(&x).unwrap())
            })?;
            let penalty = act::sigmoid(&gradient)?.sqr()?.sum_all()?;
            act::tanh(&v[0])?.mean_all()? + (penalty * 0.1)?
        }),
        case("the result is a variable's view", two, |v| {
            v[0].flatten_all()
        }),
    ]
}

fn inputs(shapes: &[&[usize]], dtype: DType) -> Result<Vec<Var>> {
    let mut rng = Rng(5);
    let made = shapes.iter().map(|dims| {
        let t = rng.tensor(dims)?.to_dtype(dtype)?;
        Var::from_tensor(&t)
    });
    made.collect()
}

fn tensors(vars: &[Var]) -> Vec<Tensor> {
    vars.iter().map(|v| v.as_tensor().clone()).collect()
}

fn gradient_for(y: &Tensor) -> Result<Tensor> {
    Rng(9).tensor(y.dims())?.to_dtype(y.dtype())
}

fn taped(f: &Function, vars: &[Var]) -> Result<Vec<Option<Tensor>>> {
    let y = record(|| f(&tensors(vars)))?;
    let mut store = backward_from(&y, &gradient_for(&y)?)?;
    Ok(vars.iter().map(|v| store.remove(v)).collect())
}

#[test]
fn gradients_are_those_of_candles_walk() -> Result<()> {
    for Case(name, shapes, f) in ops().into_iter().chain(graphs()) {
        for (dtype, bound) in [(DType::F64, 1e-14), (DType::F32, 1e-6)] {
            let vars = inputs(shapes, dtype)?;
            let y = f(&tensors(&vars))?;
            let want = (&y * gradient_for(&y)?)?.sum_all()?.backward()?;
            for (v, got) in vars.iter().zip(taped(&f, &vars)?) {
                match (got, want.get(v)) {
                    (Some(got), Some(want)) => {
                        assert_eq!(got.dims(), want.dims(), "{name}");
                        assert_eq!(got.dtype(), dtype, "{name}");
                        assert!(!got.track_op(), "{name}: the gradient has a graph");
                        let e = error(&numbers(&got)?, &numbers(want)?);
                        assert!(e <= bound, "{name}, {dtype:?}: {e:e}");
                    }
                    (None, None) => {}
                    (got, want) => panic!("{name}: {got:?} for {want:?}"),
                }
            }
        }
    }
    Ok(())
}

#[test]
fn every_op_is_recorded() -> Result<()> {
    for Case(name, shapes, f) in ops() {
        let vars = inputs(shapes, DType::F32)?;
        let y = record(|| f(&tensors(&vars)))?;
        // A composition of candle's ops, and a reshape of three dimensions to two.
        if name != "minibatch deviation" && name != "linear" {
            assert!(node::giver(&y).is_some(), "{name}");
        }
    }
    Ok(())
}

#[test]
fn any_number_of_threads_gives_the_same_bits() -> Result<()> {
    let vars = inputs(&[&[4, 8, 70, 70], &[8, 8, 3, 3], &[8]], DType::F32)?;
    let f: Function = Box::new(|v| {
        let how = Conv2d {
            padding: 1,
            act: LEAKY,
            ..Default::default()
        };
        let h = conv2d(&v[0], &v[1], Some(&v[2]), &how)?;
        let h = add(&conv2d(&h, &v[1], Some(&v[2]), &how)?, &h)?;
        let h = norm::instance_norm(&add(&h, &v[0])?, None, 1e-5, Act::Relu)?;
        act::tanh(&(conv2d(&h, &v[1], None, &how)? * 0.1)?)
    });
    let run = || -> Result<Vec<Vec<f32>>> {
        let gradients = taped(&f, &vars)?.into_iter().flatten();
        gradients.map(|g| g.flatten_all()?.to_vec1()).collect()
    };
    let first = run()?;
    assert_eq!(first.len(), 3);
    for threads in [1, 2, 8] {
        let again = with_threads(threads, run)?;
        assert!(again == first, "{threads} threads");
    }
    Ok(())
}

#[test]
fn a_graph_is_walked_twice_with_the_same_result() -> Result<()> {
    let x = Var::new(&[0.3f64, -0.4], &Device::Cpu)?;
    let y = record(|| act::tanh(&act::sigmoid(&x)?)?.sum_all())?;
    let once = backward(&y)?.get(&x).unwrap().to_vec1::<f64>()?;
    assert_eq!(once, backward(&y)?.get(&x).unwrap().to_vec1::<f64>()?);
    Ok(())
}

#[test]
fn losses_without_a_graph_and_variables() -> Result<()> {
    let x = Var::new(&[3f32], &Device::Cpu)?;
    assert!(backward(&x.detach())?.get(&x).is_none());
    let ones = backward(x.as_tensor())?;
    assert_eq!(ones.get(&x).unwrap().to_vec1::<f32>()?, [1.]);
    let y = record(|| act::tanh(&x.detach()))?;
    assert!(!y.track_op() && node::giver(&y).is_none());
    Ok(())
}

#[test]
fn a_node_from_another_thread_is_found_by_candles_walk() -> Result<()> {
    let x = Var::new(&[0.3f64, -0.4], &Device::Cpu)?;
    let there = x.clone();
    let h = std::thread::spawn(move || record(|| act::tanh(&act::sigmoid(&there)?)));
    let h = h.join().unwrap()?;
    let got = backward(&record(|| act::relu(&h))?)?;
    let want = act::relu(&act::tanh(&act::sigmoid(&x)?)?)?.backward()?;
    let (got, want) = (got.get(&x).unwrap(), want.get(&x).unwrap());
    assert_eq!(got.to_vec1::<f64>()?, want.to_vec1::<f64>()?);
    Ok(())
}

#[test]
fn candles_backward_on_a_recorded_graph_is_an_error() -> Result<()> {
    let x = Var::new(&[0.3f64], &Device::Cpu)?;
    let y = record(|| act::tanh(&x))?;
    for y in [y.clone(), (&y * 2.0)?] {
        let message = y.backward().unwrap_err().to_string();
        assert!(message.contains("gan_kernels::tape::backward"), "{message}");
    }
    // Also right after a walk of the tape, and after one that failed.
    backward(&(&y * 2.0)?)?;
    assert!(y.backward().is_err());
    let fails = record(|| act::tanh(&(&y * 2.0)?.apply_op1(Fails)?))?;
    assert!(backward(&fails).is_err());
    assert!(y.backward().is_err());
    assert!(!recording() && PAUSED.get() == 0);
    Ok(())
}

/// As gradients are linear in those that arrive, any order gives the right ones; the right order
/// comes to each node once.
#[test]
fn a_node_is_visited_once_however_often_paths_meet() -> Result<()> {
    let x = Var::new(&[0.3f64], &Device::Cpu)?;
    let visits = Arc::new(AtomicUsize::new(0));
    let count = |x: &Tensor| apply1(x, Counts(visits.clone()));
    let y = record(|| {
        let mut h = count(&x)?;
        for i in 0..10 {
            let (a, b) = (count(&h)?, count(&h)?);
            // Now and then candle's ops stand between, before one path or all.
            let c = if i % 3 == 0 { (&h * 0.5)? } else { h.clone() };
            h = add(&add(&a, &c)?, &count(&c)?)?;
            h = if i % 2 == 0 {
                (add(&b, &h)? * 0.2)?
            } else {
                add(&h, &b)?
            };
        }
        Ok::<_, candle_core::Error>(h)
    })?;
    backward(&y)?;
    assert_eq!(visits.load(Ordering::Relaxed), 31);
    Ok(())
}

/// Its argument; counts its backward passes.
struct Counts(Arc<AtomicUsize>);
impl CustomOp1 for Counts {
    fn name(&self) -> &'static str {
        "counts"
    }
    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((s.clone(), l.shape().clone()))
    }
    fn bwd(&self, _: &Tensor, _: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Some(g.clone()))
    }
}

struct Fails;
impl CustomOp1 for Fails {
    fn name(&self) -> &'static str {
        "fails"
    }
    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((s.clone(), l.shape().clone()))
    }
}

#[test]
fn wrong_gradients_and_a_penalty_are_errors() -> Result<()> {
    let x = Var::new(&[0.3f64, 1.0], &Device::Cpu)?;
    let y = record(|| act::tanh(&x))?;
    let message = |g: &Tensor| backward_from(&y, g).unwrap_err().to_string();
    let g = Tensor::ones(3, DType::F64, &Device::Cpu)?;
    assert!(message(&g).contains("[3]") && message(&g).contains("[2]"));
    assert!(message(&y.to_dtype(DType::F32)?).contains("F32"));
    let inside = mode::penalty(|| backward(&y)).unwrap_err().to_string();
    assert!(inside.contains("pause"), "{inside}");
    Ok(())
}

#[test]
fn recordings_overlap_and_pauses_end() {
    assert!(!recording());
    let (a, b) = (start(), start());
    drop(a);
    assert!(recording());
    pause(|| assert!(!recording()));
    mode::penalty(|| assert!(!recording()));
    assert!(std::panic::catch_unwind(|| pause(|| panic!("inside"))).is_err());
    assert!(recording());
    drop(b);
    assert!(!recording());
}

/// Nodes go with their tensors, whether or not a backward came, and the table forgets them.
#[test]
fn nothing_stays_after_a_thousand_steps() -> Result<()> {
    let x = Var::new(&[0.3f32, -0.4], &Device::Cpu)?;
    let mut last = None;
    for i in 0..1000 {
        let y = record(|| {
            let h = (act::tanh(&act::sigmoid(&x)?)? * 2.0)?;
            add(&act::relu(&h)?, &h)?.sum_all()
        })?;
        if i % 2 == 0 {
            backward(&y)?;
        }
        let h = record(|| act::tanh(&x))?;
        last = node::giver(&h).map(|node| std::sync::Arc::downgrade(&node));
    }
    assert!(node::known() <= 520, "{} entries", node::known());
    assert!(last.unwrap().upgrade().is_none());
    // A graph that is alive stays known however many others come and go.
    let y = record(|| act::tanh(&x))?;
    for _ in 0..1000 {
        record(|| act::tanh(&x))?;
    }
    assert!(node::giver(&y).is_some());
    Ok(())
}
