//! The cases: for each public op of gan-kernels its odd shapes, settings, views, numbers and types.
//!
//! A table of nearly 1000 lines because each op has corners of its own.

use super::case::*;
use candle_core::{DType, Device, Result, Tensor, Var};
use gan_kernels::act::{self, Act};
use gan_kernels::conv::{Conv2d, ConvTranspose2d, conv_transpose2d, conv2d};
use gan_kernels::linear::{linear, linear_act};
use gan_kernels::optim::{Adam, AdamConfig, RmsProp, RmsPropConfig, Sgd, SgdConfig};
use gan_kernels::{add, add_scaled, loss, norm, pool2d, resample, tape};
use std::fmt;
use std::rc::Rc;

const LEAKY: Act = Act::LeakyRelu(0.2);

/// Where activations and losses bend, saturate, or leave the range of F32's exp.
const SATURATED: Numbers = Numbers::Given(&[
    -100., 100., -88., -20., 20., -17., 17., -16., -3., 3., -0.5, 0.5, -1e-3, 0., -1e-20, 1e-20,
]);
/// The negative half, where results are small and count by themselves.
const TAIL: Numbers = Numbers::Given(&[
    -100., -89., -88., -87., -80., -60., -40., -30., -20., -17., -16., -10., -5., -2., -1., -0.1,
]);
const PROBABILITIES: Numbers = Numbers::Given(&[0., 1., 1e-30, 1e-13, 1e-9, 1e-3, 0.4, 0.5, 0.999]);
const HUGE: Numbers = Numbers::Given(&[1e18, -3e18, 2e17, -1e16]);
const NAN: Numbers = Numbers::Given(&[1., f64::NAN, -2., 3., 2., -1., f64::NAN]);

/// A function of which several cases are made.
struct Op<'a> {
    all: &'a mut Vec<Case>,
    ops: &'static [&'static str],
    scale: Scale,
    second: Option<Expected>,
}

impl Op<'_> {
    /// The function of these arguments, with no others, views or types.
    fn case(
        &mut self,
        name: impl Into<String>,
        args: &[Arg],
        f: impl Fn(&[Tensor]) -> Result<Tensor> + 'static,
    ) {
        self.push(name.into(), args, Rc::new(f), DType::F32, Expected::Numbers);
    }

    /// The same on all views, in F64, and in a type that has to be refused.
    fn views(
        &mut self,
        name: impl Into<String>,
        args: &[Arg],
        f: impl Fn(&[Tensor]) -> Result<Tensor> + 'static,
    ) {
        let (name, f): (String, Rc<Function>) = (name.into(), Rc::new(f));
        // All arguments in the same view, and then each in another than the one before.
        let same = VIEWS.map(|view| (format!("{view:?}"), vec![view]));
        for (how, views) in same.into_iter().chain([("mixed".into(), VIEWS.to_vec())]) {
            let seen = |(arg, &view): (&Arg, &View)| match arg.role {
                Role::State => arg.clone(),
                _ => arg.clone().view(view),
            };
            let args: Vec<Arg> = args.iter().zip(views.iter().cycle()).map(seen).collect();
            let name = format!("{name}, {how}");
            self.push(name, &args, f.clone(), DType::F32, Expected::Numbers);
        }
        let types = [
            (DType::F64, Expected::Numbers),
            (DType::F16, Expected::Error),
        ];
        for (dtype, expected) in types {
            self.push(
                format!("{name}, {dtype:?}"),
                args,
                f.clone(),
                dtype,
                expected,
            );
        }
    }

    fn push(
        &mut self,
        name: String,
        args: &[Arg],
        f: Rc<Function>,
        dtype: DType,
        expected: Expected,
    ) {
        let args = args.to_vec();
        // What fails in the first order has no second.
        let second = self.second.filter(|_| expected == Expected::Numbers);
        self.all.push(Case {
            ops: self.ops,
            name,
            scale: self.scale,
            first: expected,
            second: second.unwrap_or(Expected::Numbers),
            run: Box::new(move |device| Measured {
                first: part(first_order(&*f, &args, dtype, device)),
                second: second.map(|_| part(second_order(&*f, &args, dtype, device))),
            }),
        });
    }
}

pub(super) fn all() -> Vec<Case> {
    let mut all = Vec::new();
    activations(&mut all);
    losses(&mut all);
    convolutions(&mut all);
    matrices(&mut all);
    norms(&mut all);
    pools(&mut all);
    moves(&mut all);
    refusals(&mut all);
    optimizers(&mut all);
    graphs(&mut all);
    all
}

fn of<'a>(all: &'a mut Vec<Case>, ops: &'static [&'static str]) -> Op<'a> {
    Op {
        all,
        ops,
        scale: Scale::Largest,
        second: Some(Expected::Numbers),
    }
}

/// A pointwise function whose results count by themselves.
fn pointwise<'a>(all: &'a mut Vec<Case>, ops: &'static [&'static str]) -> Op<'a> {
    Op {
        scale: Scale::Each,
        ..of(all, ops)
    }
}

/// Numbers of all kinds for a function of one argument of any shape. Where `each`, results of all
/// numbers count by themselves, else those of [`TAIL`] alone.
fn activation(
    all: &mut Vec<Case>,
    ops: &'static [&'static str],
    each: bool,
    f: fn(&Tensor) -> Result<Tensor>,
) {
    let f = move |v: &[Tensor]| f(first(v)?);
    of(all, ops).views("[3, 5]", &[arg(&[3, 5], 2.)], f);
    let mut op = match each {
        true => pointwise(all, ops),
        false => of(all, ops),
    };
    op.case("saturated", &[arg(&[48], 1.).numbers(SATURATED)], f);
    op.case("tiny", &[arg(&[7], 1e-15)], f);
    op.case("NaN", &[arg(&[7], 1.).numbers(NAN)], f);
    op.case("one number, without dimensions", &[arg(&[], 3.)], f);
    op.case("more than a block of threads", &[arg(&[3, 701], 3.)], f);
    pointwise(all, ops).case("tail", &[arg(&[16], 1.).numbers(TAIL)], f);
}

fn first(v: &[Tensor]) -> Result<&Tensor> {
    match v {
        [x, ..] => Ok(x),
        [] => candle_core::bail!("a case without arguments"),
    }
}

fn activations(all: &mut Vec<Case>) {
    activation(all, &["act::relu"], true, act::relu);
    activation(all, &["act::leaky_relu"], true, |x| act::leaky_relu(x, 0.2));
    // 1 - y² of a y near 1, and y (1 - y), have the error of y's last digit.
    activation(all, &["act::tanh"], false, act::tanh);
    activation(all, &["act::sigmoid"], false, act::sigmoid);
    activation(all, &["act::softplus"], true, act::softplus);
    for act in [Act::None, Act::Relu, LEAKY] {
        let name = format!("{act:?}");
        let few = arg(&[4, 6], 1.).numbers(Numbers::Few);
        of(all, &["act::Act::apply"]).case(name, &[few], move |v| act.apply(&v[0]));
    }
    let mut op = of(all, &["act::prelu"]);
    for slopes in [1, 5] {
        let args = [arg(&[2, 5, 3, 3], 1.), arg(&[slopes], 0.5)];
        op.views(format!("{slopes} slopes"), &args, |v| {
            act::prelu(&v[0], &v[1])
        });
    }
    let few = arg(&[3, 4], 1.).numbers(Numbers::Few);
    op.case("at 0", &[few, arg(&[4], 0.5)], |v| act::prelu(&v[0], &v[1]));
    let endless = arg(&[5], 1.).numbers(Numbers::Given(&[f64::INFINITY, -1., 2.]));
    op.second = None;
    op.case("infinite", &[endless, arg(&[1], 0.5)], |v| {
        act::prelu(&v[0], &v[1])
    });

    let mut op = of(all, &["act::maxout"]);
    op.views("[4, 12], 3 pieces", &[arg(&[4, 12], 1.)], |v| {
        act::maxout(&v[0], 3)
    });
    let few = arg(&[5, 10], 1.).numbers(Numbers::Few);
    op.case("equal pieces", &[few], |v| act::maxout(&v[0], 5));
    op.case("one piece", &[arg(&[1, 3], 1.)], |v| act::maxout(&v[0], 1));
    op.case("NaN", &[arg(&[2, 9], 1.).numbers(NAN)], |v| {
        act::maxout(&v[0], 3)
    });

    let mask = arg(&[3, 5], 1.).numbers(Numbers::Given(&[1., 0., 0., 1.]));
    let args = [arg(&[3, 5], 1.), mask.role(Role::Constant)];
    let mut op = of(all, &["act::masked"]);
    for view in VIEWS {
        let args = args.each_ref().map(|arg| arg.clone().view(view));
        op.case(format!("{view:?}"), &args, |v| {
            act::masked(&v[0], &v[1], 2.)
        });
    }
    let mut op = of(all, &["add"]);
    for view in VIEWS {
        let args = [arg(&[3, 5], 1.).view(view), arg(&[3, 5], 1e-3)];
        op.case(format!("{view:?}"), &args, |v| add(&v[0], &v[1]));
        op.case(format!("{view:?}, twice"), &args, |v| add(&v[0], &v[0]));
    }
    let mut op = of(all, &["add_scaled"]);
    for view in VIEWS {
        let args = [arg(&[3, 5], 1.).view(view), arg(&[3, 5], 1e-3)];
        op.case(format!("{view:?}"), &args, |v| {
            add_scaled(&v[0], &v[1], 0.2)
        });
    }
}

/// A loss to a number, to a tensor without a graph, and saturated.
fn loss_to(
    all: &mut Vec<Case>,
    ops: &'static [&'static str],
    second: Expected,
    inputs: Numbers,
    f: fn(&Tensor, loss::Target<'_>) -> Result<Tensor>,
) {
    let mut op = pointwise(all, ops);
    op.second = Some(second);
    // One element each, so that no sum hides it.
    let Numbers::Given(points) = inputs else {
        return;
    };
    for &x in points {
        for y in [0., 1., 0.9] {
            let one = Arg {
                numbers: Numbers::Around(x, 0.),
                ..arg(&[1], 1.)
            };
            op.case(format!("{x:e} to {y}"), &[one], move |v| f(&v[0], y.into()));
        }
    }
    op.scale = Scale::Largest;
    let many = arg(&[3, 5], 1.).numbers(inputs);
    let target = arg(&[3, 5], 1.)
        .numbers(Numbers::Around(0.5, 0.5))
        .role(Role::Constant);
    op.views("to 0.9", std::slice::from_ref(&many), move |v| {
        f(&v[0], 0.9.into())
    });
    let wide = arg(&[3, 1701], 0.5).numbers(Numbers::Around(0.5, 0.499));
    op.case("more than a block of threads", &[wide], move |v| {
        f(&v[0], 0.1.into())
    });
    op.views("to each", &[many, target], move |v| {
        f(&v[0], (&v[1]).into())
    });
}

fn losses(all: &mut Vec<Case>) {
    let numbers = Expected::Numbers;
    loss_to(
        all,
        &["loss::bce"],
        Expected::Error,
        PROBABILITIES,
        |p, y| loss::bce(p, y),
    );
    loss_to(all, &["loss::bce_with_logits"], numbers, TAIL, |x, y| {
        loss::bce_with_logits(x, y)
    });
    loss_to(all, &["loss::l1"], numbers, SATURATED, |a, y| {
        loss::l1(a, y)
    });
    loss_to(all, &["loss::mse"], numbers, SATURATED, |a, y| {
        loss::mse(a, y)
    });
    loss_to(all, &["loss::huber"], numbers, SATURATED, |a, y| {
        loss::huber(a, y)
    });
    for y in [0., 1.] {
        let logits = arg(&[16], 1.).numbers(SATURATED);
        let mut op = of(all, &["loss::bce_with_logits"]);
        op.case(format!("saturated to {y}"), &[logits], move |v| {
            loss::bce_with_logits(&v[0], y)
        });
        // A discriminator that ends in a sigmoid, far off and sure of itself.
        for x in [-100., -88., -20., -17., 0., 3., 20., 100.] {
            let mut op = pointwise(all, &["loss::bce"]);
            op.second = None;
            let one = Arg {
                numbers: Numbers::Around(x, 0.),
                ..arg(&[1], 1.)
            };
            op.case(format!("of sigmoid({x}) to {y}"), &[one], move |v| {
                loss::bce(&act::sigmoid(&v[0])?, y)
            });
        }
    }
    let both = [arg(&[3, 5], 1.), arg(&[3, 5], 1.)];
    let mut op = of(all, &["loss::l1"]);
    op.case("a target with a graph", &both, |v| loss::l1(&v[0], &v[1]));
    op.case("at 0", &[arg(&[8], 0.)], |v| loss::l1(&v[0], 0.));
    op.case("NaN", &[arg(&[4], 1.).numbers(NAN)], |v| {
        loss::l1(&v[0], 0.)
    });
    let mut op = of(all, &["loss::mse"]);
    op.case("a target with a graph", &both, |v| loss::mse(&v[0], &v[1]));
    let mut op = of(all, &["loss::huber"]);
    op.case("a target with a graph", &both, |v| {
        loss::huber(&(&v[0] * 2.)?, &v[1])
    });
    op.case("at 1", &[arg(&[8], 0.)], |v| loss::huber(&v[0], 1.));
    op.case("NaN", &[arg(&[4], 1.).numbers(NAN)], |v| {
        loss::huber(&v[0], 0.)
    });
    let mut op = of(all, &["loss::bce"]);
    op.second = None;
    op.case("NaN", &[arg(&[4], 1.).numbers(NAN)], |v| {
        loss::bce(&v[0], 0.)
    });
}

fn convolutions(all: &mut Vec<Case>) {
    let mut op = of(all, &["conv::conv2d"]);
    let conv = Conv2d {
        stride: 2,
        padding: 1,
        gain: 0.7,
        act: LEAKY,
    };
    let args = [
        arg(&[2, 3, 7, 6], 1.),
        arg(&[4, 3, 3, 3], 0.5),
        arg(&[4], 0.5),
    ];
    op.views("[2, 3, 7, 6], 3x3, stride 2, padding 1", &args, move |v| {
        conv2d(&v[0], &v[1], Some(&v[2]), &conv)
    });
    for (b, ci, co, h, w, kh, kw, stride, padding) in [
        (1, 1, 1, 1, 1, 1, 1, 1, 0),
        (1, 3, 4, 10, 7, 4, 4, 2, 1),
        (2, 2, 3, 8, 8, 4, 4, 2, 1),
        (1, 2, 3, 8, 8, 4, 2, 3, 2),
        (3, 2, 4, 6, 6, 1, 1, 2, 0),
        (1, 2, 3, 4, 4, 5, 5, 1, 2),
        (1, 17, 3, 3, 5, 3, 3, 1, 1),
        (2, 3, 2, 5, 6, 1, 1, 3, 2),
        (1, 2, 3, 9, 9, 2, 2, 4, 0),
        (1, 2, 3, 4, 4, 4, 4, 1, 0),
        (1, 2, 3, 33, 31, 3, 3, 2, 1),
    ] {
        for (act, gain) in [(Act::None, 1.), (Act::Relu, 0.7)] {
            let conv = Conv2d {
                stride,
                padding,
                gain,
                act,
            };
            let args = [arg(&[b, ci, h, w], 1.), arg(&[co, ci, kh, kw], 1.)];
            let name = format!(
                "[{b}, {ci}, {h}, {w}] to {co}, {kh}x{kw}, stride {stride}, padding {padding}, {act:?}"
            );
            op.case(name, &args, move |v| conv2d(&v[0], &v[1], None, &conv));
        }
    }

    let mut op = of(all, &["conv::conv_transpose2d"]);
    let conv = ConvTranspose2d {
        stride: 2,
        padding: 1,
        output_padding: 1,
        gain: 0.7,
        act: LEAKY,
    };
    let args = [
        arg(&[2, 3, 4, 3], 1.),
        arg(&[3, 4, 3, 3], 0.5),
        arg(&[4], 0.5),
    ];
    op.views(
        "[2, 3, 4, 3], 3x3, stride 2, padding 1, output padding 1",
        &args,
        move |v| conv_transpose2d(&v[0], &v[1], Some(&v[2]), &conv),
    );
    for (b, ci, co, h, w, kh, kw, stride, padding, output_padding) in [
        (1, 1, 1, 1, 1, 1, 1, 1, 0, 0),
        (2, 3, 2, 4, 5, 4, 4, 2, 1, 0),
        (2, 5, 3, 1, 1, 4, 4, 1, 0, 0),
        (1, 3, 2, 4, 3, 5, 3, 3, 2, 2),
        (1, 3, 2, 4, 3, 5, 3, 3, 1, 0),
        (1, 2, 3, 3, 3, 2, 2, 4, 0, 0),
        (2, 2, 3, 3, 3, 1, 1, 2, 0, 1),
        (2, 2, 3, 3, 4, 3, 3, 1, 1, 0),
    ] {
        for (act, gain) in [(Act::None, 1.), (Act::Relu, 0.7)] {
            let conv = ConvTranspose2d {
                stride,
                padding,
                output_padding,
                gain,
                act,
            };
            let args = [arg(&[b, ci, h, w], 1.), arg(&[ci, co, kh, kw], 1.)];
            let name = format!(
                "[{b}, {ci}, {h}, {w}] to {co}, {kh}x{kw}, stride {stride}, padding {padding}, \
                 output padding {output_padding}, {act:?}"
            );
            op.case(name, &args, move |v| {
                conv_transpose2d(&v[0], &v[1], None, &conv)
            });
        }
    }
}

fn matrices(all: &mut Vec<Case>) {
    let mut op = of(all, &["linear::linear"]);
    let layer = |x: &[usize]| [arg(x, 1.), arg(&[4, 6], 0.5), arg(&[4], 0.5)];
    op.views("[5, 6] to 4", &layer(&[5, 6]), |v| {
        linear(&v[0], &v[1], Some(&v[2]), 0.5)
    });
    op.views("[2, 3, 6] to 4", &layer(&[2, 3, 6]), |v| {
        linear(&v[0], &v[1], None, 1.)
    });
    op.case("[6] to 4", &layer(&[6]), |v| {
        linear(&v[0], &v[1], Some(&v[2]), 0.5)
    });
    op.case("[1, 1] to 1", &[arg(&[1, 1], 1.), arg(&[1, 1], 1.)], |v| {
        linear(&v[0], &v[1], None, 1.)
    });
    let args = [arg(&[3, 6], 1.).numbers(HUGE), arg(&[4, 6], 1e-18)];
    op.case("huge and tiny", &args, |v| linear(&v[0], &v[1], None, 1.));
    let mut op = of(all, &["linear::linear_act"]);
    for act in [Act::Relu, LEAKY, Act::LeakyRelu(1.5), Act::LeakyRelu(-0.5)] {
        let name = format!("[5, 6] to 4, {act:?}");
        op.views(name, &layer(&[5, 6]), move |v| {
            linear_act(&v[0], &v[1], Some(&v[2]), 0.5, act)
        });
    }
}

fn norms(all: &mut Vec<Case>) {
    const SHAPES: [&[usize]; 6] = [
        &[4, 3, 5, 5],
        &[6, 5],
        &[2, 3, 1, 1],
        &[3, 2, 7],
        &[1, 2, 3, 2],
        &[2, 2, 37, 31],
    ];
    let affine = |shape: &[usize]| {
        let channels = [shape.get(1).copied().unwrap_or(1)];
        [
            arg(shape, 1.),
            arg(&channels, 1.).numbers(Numbers::Around(1., 0.5)),
            arg(&channels, 0.5),
        ]
    };
    // Two values of a group are one more and one less than their mean, and one value is the mean: but
    // for eps, what norms make of them is constant.
    let scale = |values: usize| match values {
        1 => Scale::LargestOrOne,
        _ => Scale::Largest,
    };
    let eps = |values: usize| if values > 2 { 1e-5 } else { 0.1 };
    let product = |dims: &[usize]| dims.iter().product::<usize>();
    // Far from 0 beside its spread, huge, and so small that eps counts.
    let spreads = [
        ("far from 0", Numbers::Around(10., 1.)),
        ("huge", Numbers::Around(0., 1e4)),
        ("tiny", Numbers::Around(0., 1e-3)),
    ];
    // Without a spread, what is left of a difference of equal numbers is multiplied by 1/√eps, and again
    // in each order.
    let constant = |op: &mut Op<'_>, x: &[usize], f: Rc<Function>| {
        (op.scale, op.second) = (Scale::LargestOrOne, None);
        let x = arg(x, 1.).numbers(Numbers::Around(0.05, 0.));
        let [_, gain, offset] = affine(&x.shape);
        op.push(
            "constant".into(),
            &[x, gain, offset],
            f,
            DType::F32,
            Expected::Numbers,
        );
    };

    let f = |eps| move |v: &[Tensor]| norm::batch_norm_batch(&v[0], &v[1], &v[2], eps, Act::Relu);
    let mut op = of(all, &["norm::batch_norm_batch"]);
    op.views("[4, 3, 3, 5]", &affine(&[4, 3, 3, 5]), f(1e-5));
    for shape in SHAPES {
        let values = product(shape) / shape[1];
        op.case(format!("{shape:?}"), &affine(shape), f(eps(values)));
    }
    for (name, numbers) in spreads {
        let [x, gain, offset] = affine(&[4, 3, 3, 5]);
        op.case(name, &[x.numbers(numbers), gain, offset], f(1e-5));
    }
    constant(&mut op, &[4, 3, 3, 5], Rc::new(f(1e-5)));
    op.case("[1, 3]", &affine(&[1, 3]), f(0.1));

    let mut op = of(all, &["norm::batch_norm"]);
    let running = |channels: usize| {
        let state = |centre| arg(&[channels], 1.).numbers(Numbers::Around(centre, 0.5));
        [state(0.), state(1.)]
    };
    for shape in [&[4, 3, 3, 5][..], &[6, 5], &[2, 3, 1, 1], &[1, 2, 3, 2]] {
        let state = running(shape[1]).map(|arg| arg.role(Role::State));
        let args: Vec<Arg> = affine(shape).into_iter().chain(state).collect();
        let eps = eps(product(shape) / shape[1]);
        let f = move |v: &[Tensor]| {
            norm::batch_norm(&v[0], &v[1], &v[2], &v[3], &v[4], 0.1, eps, LEAKY)
        };
        match shape[0] {
            4 => op.views(format!("{shape:?}"), &args, f),
            _ => op.case(format!("{shape:?}"), &args, f),
        }
        // Statistics that are a part of something longer.
        let narrowed = args.iter().map(|arg| match arg.role {
            Role::State => arg.clone().view(View::Narrowed),
            _ => arg.clone(),
        });
        let narrowed: Vec<Arg> = narrowed.collect();
        op.case(format!("{shape:?}, statistics narrowed"), &narrowed, f);
    }
    // One value for each channel has no variance: refused.
    let state = running(3).map(|arg| arg.role(Role::State));
    let args: Vec<Arg> = affine(&[1, 3]).into_iter().chain(state.clone()).collect();
    let f: Rc<Function> = Rc::new(|v: &[Tensor]| {
        norm::batch_norm(&v[0], &v[1], &v[2], &v[3], &v[4], 0.1, 1e-5, Act::None)
    });
    op.push(
        "[1, 3]".into(),
        &args,
        f.clone(),
        DType::F32,
        Expected::Error,
    );
    // So are statistics that do not lie in one piece.
    let spread = state.map(|arg| arg.view(View::Broadcast));
    let args: Vec<Arg> = affine(&[4, 3]).into_iter().chain(spread).collect();
    op.push(
        "statistics broadcast".into(),
        &args,
        f,
        DType::F32,
        Expected::Error,
    );

    let mut op = of(all, &["norm::batch_norm_eval"]);
    for shape in [&[4, 3, 3, 5][..], &[1, 3]] {
        let fixed = running(shape[1]).map(|arg| arg.role(Role::Constant));
        let args: Vec<Arg> = affine(shape).into_iter().chain(fixed).collect();
        op.views(format!("{shape:?}"), &args, |v| {
            norm::batch_norm_eval(&v[0], &v[1], &v[2], &v[3], &v[4], 1e-5, Act::Relu)
        });
    }

    let mut op = of(all, &["norm::instance_norm"]);
    let f = |eps| move |v: &[Tensor]| norm::instance_norm(&v[0], Some((&v[1], &v[2])), eps, LEAKY);
    op.views("[2, 3, 3, 5]", &affine(&[2, 3, 3, 5]), f(1e-5));
    op.case("without a gain", &[arg(&[2, 3, 5, 4], 1.)], |v| {
        norm::instance_norm(&v[0], None, 1e-5, Act::None)
    });
    for shape in SHAPES {
        let values = product(&shape[2..]);
        op.scale = scale(values);
        op.case(format!("{shape:?}"), &affine(shape), f(eps(values)));
    }
    op.scale = Scale::Largest;
    for (name, numbers) in spreads {
        op.case(name, &[arg(&[2, 3, 5, 4], 1.).numbers(numbers)], |v| {
            norm::instance_norm(&v[0], None, 1e-5, Act::Relu)
        });
    }
    constant(&mut op, &[2, 3, 5, 4], Rc::new(f(1e-5)));

    let mut op = of(all, &["norm::layer_norm"]);
    let f = |v: &[Tensor]| norm::layer_norm(&v[0], Some((&v[1], &v[2])), 1e-5, LEAKY);
    op.views("[2, 3, 3, 5]", &affine(&[2, 3, 3, 5]), f);
    for shape in SHAPES {
        op.case(format!("{shape:?}"), &affine(shape), f);
        let picture = shape.get(1..).unwrap_or_default();
        let each = [arg(shape, 1.), arg(picture, 0.5), arg(picture, 0.5)];
        op.case(format!("{shape:?}, a gain for each element"), &each, f);
    }
    for (name, numbers) in spreads {
        op.case(name, &[arg(&[2, 3, 5, 4], 1.).numbers(numbers)], |v| {
            norm::layer_norm(&v[0], None, 1e-5, Act::None)
        });
    }
    constant(&mut op, &[2, 3, 5, 4], Rc::new(f));

    let mut op = of(all, &["norm::pixel_norm"]);
    let f = |v: &[Tensor]| norm::pixel_norm(&v[0], 1e-8);
    op.views("[2, 7, 3, 5]", &[arg(&[2, 7, 3, 5], 1.)], f);
    op.case("[4, 5]", &[arg(&[4, 5], 1.)], f);
    op.case("one channel", &[arg(&[1, 1, 2, 3], 1.)], |v| {
        norm::pixel_norm(&v[0], 0.1)
    });
    for (name, numbers) in spreads {
        op.case(name, &[arg(&[2, 7, 3], 1.).numbers(numbers)], f);
    }

    let mut op = of(all, &["norm::minibatch_stddev"]);
    for (b, group) in [(6, 3), (4, 4), (1, 4), (2, 4)] {
        let name = format!("a batch of {b} in groups of {group}");
        let f = move |v: &[Tensor]| norm::minibatch_stddev(&v[0], group, 1e-8);
        let x = arg(&[b, 2, 3, 5], 1.);
        match b {
            6 => op.views(name, &[x], f),
            _ => op.case(name, &[x], f),
        }
    }
}

fn pools(all: &mut Vec<Case>) {
    type Pair = (usize, usize);
    const WINDOWS: [(Pair, Pair, usize, usize); 6] = [
        ((2, 2), (2, 2), 6, 4),
        ((2, 2), (2, 2), 7, 5),
        ((3, 3), (2, 2), 7, 8),
        ((2, 3), (1, 2), 5, 9),
        ((1, 1), (2, 2), 5, 5),
        ((3, 2), (3, 3), 3, 2),
    ];
    type Pool = fn(&Tensor, Pair, Pair) -> Result<Tensor>;
    let both: [(&'static [&'static str], Pool); 2] = [
        (&["pool2d::avg_pool2d"], pool2d::avg_pool2d),
        (&["pool2d::max_pool2d"], pool2d::max_pool2d),
    ];
    for (ops, f) in both {
        let mut op = of(all, ops);
        for (kernel, stride, h, w) in WINDOWS {
            let name = format!("[2, 3, {h}, {w}], {kernel:?}, {stride:?}");
            let f = move |v: &[Tensor]| f(&v[0], kernel, stride);
            let x = arg(&[2, 3, h, w], 1.);
            match (h, kernel.0) {
                (7, _) => op.views(name.clone(), std::slice::from_ref(&x), f),
                _ => op.case(name.clone(), std::slice::from_ref(&x), f),
            }
            let few = x.numbers(Numbers::Few);
            op.case(format!("{name}, equal elements"), &[few], f);
        }
        // A gradient that is NaN has no rule.
        op.second = None;
        let x = arg(&[1, 1, 4, 4], 1.).numbers(NAN);
        op.case("NaN", &[x], move |v| f(&v[0], (2, 2), (2, 2)));
    }
}

fn moves(all: &mut Vec<Case>) {
    let mut op = of(all, &["resample::upsample_nearest2x"]);
    for shape in [[2, 3, 5, 4], [1, 1, 1, 1]] {
        op.views(format!("{shape:?}"), &[arg(&shape, 1.)], |v| {
            resample::upsample_nearest2x(&v[0])
        });
    }
    let mut op = of(all, &["resample::pixel_shuffle"]);
    for (shape, r) in [([2, 8, 3, 2], 2), ([1, 9, 2, 3], 3), ([1, 2, 3, 3], 1)] {
        op.views(format!("{shape:?} by {r}"), &[arg(&shape, 1.)], move |v| {
            resample::pixel_shuffle(&v[0], r)
        });
    }
    let mut op = of(all, &["resample::pixel_unshuffle"]);
    for (shape, r) in [([2, 2, 4, 6], 2), ([1, 2, 6, 3], 3)] {
        op.views(format!("{shape:?} by {r}"), &[arg(&shape, 1.)], move |v| {
            resample::pixel_unshuffle(&v[0], r)
        });
    }
    let mut op = of(all, &["resample::reflection_pad2d"]);
    for (shape, p) in [([2, 3, 4, 5], 3), ([1, 1, 7, 3], 2), ([1, 2, 3, 3], 0)] {
        op.views(format!("{shape:?} by {p}"), &[arg(&shape, 1.)], move |v| {
            resample::reflection_pad2d(&v[0], p)
        });
    }
}

/// Shapes and settings that do not fit, which is said before a device is asked.
fn refusals(all: &mut Vec<Case>) {
    let x = || arg(&[2, 3, 5, 5], 1.);
    let (weight, three) = (arg(&[4, 3, 6, 6], 1.), arg(&[3], 1.));
    let wrong: [(&'static [&'static str], Vec<Arg>, Rc<Function>); 15] = [
        (
            &["conv::conv2d"],
            vec![x(), weight.clone()],
            Rc::new(|v| conv2d(&v[0], &v[1], None, &Conv2d::default())),
        ),
        (
            &["conv::conv_transpose2d"],
            vec![x(), weight],
            Rc::new(|v| conv_transpose2d(&v[0], &v[1], None, &ConvTranspose2d::default())),
        ),
        (
            &["linear::linear"],
            vec![arg(&[2, 3], 1.), arg(&[3, 2], 1.)],
            Rc::new(|v| linear(&v[0], &v[1], None, 1.)),
        ),
        (
            &["act::prelu"],
            vec![x(), arg(&[5], 1.)],
            Rc::new(|v| act::prelu(&v[0], &v[1])),
        ),
        (
            &["act::maxout"],
            vec![arg(&[2, 3], 1.)],
            Rc::new(|v| act::maxout(&v[0], 2)),
        ),
        (
            &["act::masked"],
            vec![x(), arg(&[5], 1.)],
            Rc::new(|v| act::masked(&v[0], &v[1], 1.)),
        ),
        (
            &["add"],
            vec![x(), arg(&[1, 3, 5, 5], 1.)],
            Rc::new(|v| add(&v[0], &v[1])),
        ),
        (
            &["loss::mse"],
            vec![x(), arg(&[5], 1.)],
            Rc::new(|v| loss::mse(&v[0], &v[1])),
        ),
        (
            &["loss::bce"],
            vec![x(), x()],
            Rc::new(|v| loss::bce(&v[0], &v[1])),
        ),
        (
            &["loss::l1"],
            vec![arg(&[0, 2], 1.)],
            Rc::new(|v| loss::l1(&v[0], 0.)),
        ),
        (
            &["norm::layer_norm"],
            vec![x(), arg(&[5], 1.), three.clone()],
            Rc::new(|v| norm::layer_norm(&v[0], Some((&v[1], &v[2])), 1e-5, Act::None)),
        ),
        (
            &["norm::instance_norm"],
            vec![three],
            Rc::new(|v| norm::instance_norm(&v[0], None, 1e-5, Act::None)),
        ),
        (
            &["norm::minibatch_stddev"],
            vec![arg(&[5, 1, 2, 2], 1.)],
            Rc::new(|v| norm::minibatch_stddev(&v[0], 4, 1e-8)),
        ),
        (
            &["pool2d::max_pool2d"],
            vec![x()],
            Rc::new(|v| pool2d::max_pool2d(&v[0], (6, 1), (1, 1))),
        ),
        (
            &["resample::reflection_pad2d"],
            vec![x()],
            Rc::new(|v| resample::reflection_pad2d(&v[0], 5)),
        ),
    ];
    for (ops, args, f) in wrong {
        let shapes: Vec<&[usize]> = args.iter().map(|arg| arg.shape.as_slice()).collect();
        let name = format!("refused: {shapes:?}");
        of(all, ops).push(name, &args, f, DType::F32, Expected::Error);
    }
}

/// How often each optimizer steps before and after its state is saved and loaded.
const STEPS: u64 = 3;

/// The gradient of step `t`: zeros, tiny and huge numbers among others, and a view every second time.
fn step_gradient(t: u64, dtype: DType, device: &Device) -> Result<Tensor> {
    const MIXED: Numbers = Numbers::Given(&[0., 1., -1e-12, 1e-3, -0.3, 1e8, 2.]);
    match t % 2 {
        0 => tensor(Numbers::Around(0., 1.), &[5, 7], 50 + t, dtype, device)?.t(),
        _ => tensor(MIXED, &[7, 5], 50 + t, dtype, device),
    }
}

/// A parameter after each step, and the state that `step` gives.
fn optimizer<C: Copy + fmt::Debug + 'static, O: 'static>(
    all: &mut Vec<Case>,
    ops: &'static [&'static str],
    configs: &[C],
    new: impl Fn(&Var) -> Result<O> + Copy + 'static,
    step: impl Fn(&mut O, &Var, &Tensor, &C) -> Result<()> + Copy + 'static,
    reload: impl Fn(O, &Var) -> Result<(O, Vec<Tensor>)> + Copy + 'static,
) {
    for &config in configs {
        for dtype in [DType::F32, DType::F64] {
            let run = move |device: &Device| -> Result<Vec<Quantity>> {
                let numbers = Numbers::Around(0., 1.);
                let p = Var::from_tensor(&tensor(numbers, &[7, 5], 49, dtype, device)?)?;
                let mut state = new(&p)?;
                let mut found = Vec::new();
                for t in 1..=2 * STEPS {
                    let gradient = step_gradient(t, dtype, device)?;
                    step(&mut state, &p, &gradient, &config)?;
                    found.push(quantity(format!("parameter after step {t}"), &p)?);
                    if t % STEPS == 0 {
                        let (loaded, tensors) = reload(state, &p)?;
                        state = loaded;
                        for (i, t) in tensors.iter().enumerate() {
                            found.push(quantity(format!("state {i}"), t)?);
                        }
                    }
                }
                Ok(found)
            };
            all.push(Case {
                ops,
                name: format!("{config:?}, {dtype:?}"),
                scale: Scale::Largest,
                first: Expected::Numbers,
                second: Expected::Numbers,
                run: Box::new(move |device| Measured {
                    first: part(run(device)),
                    second: None,
                }),
            });
        }
    }
}

fn optimizers(all: &mut Vec<Case>) {
    let adam = |lr, beta1, beta2, weight_decay| AdamConfig {
        lr,
        beta1,
        beta2,
        weight_decay,
        ..AdamConfig::default()
    };
    optimizer(
        all,
        &[
            "optim::Adam::step",
            "optim::Adam::new",
            "optim::Adam::steps",
            "optim::Adam::moments",
            "optim::Adam::load",
        ],
        &[
            AdamConfig::default(),
            adam(0.05, 0.5, 0.999, 0.),
            adam(0.05, 0., 0.99, 0.1),
        ],
        Adam::new,
        Adam::step,
        |adam, p| {
            let moments = adam.moments(p)?;
            let mut loaded = Adam::new(p)?;
            loaded.load(p, moments.each_ref(), adam.steps())?;
            let steps = Tensor::new(loaded.steps() as f64, p.device())?;
            let [m, v] = moments;
            Ok((loaded, vec![m, v, steps]))
        },
    );
    let rms = |lr, alpha, eps| RmsPropConfig { lr, alpha, eps };
    optimizer(
        all,
        &[
            "optim::RmsProp::step",
            "optim::RmsProp::new",
            "optim::RmsProp::square_avg",
            "optim::RmsProp::load",
        ],
        &[rms(0.05, 0.99, 1e-8), rms(5e-5, 0.9, 1e-3)],
        RmsProp::new,
        RmsProp::step,
        |state, p| {
            let mean = state.square_avg(p)?;
            let mut loaded = RmsProp::new(p)?;
            loaded.load(p, &mean)?;
            Ok((loaded, vec![mean]))
        },
    );
    let sgd = |lr, momentum| SgdConfig { lr, momentum };
    optimizer(
        all,
        &[
            "optim::Sgd::step",
            "optim::Sgd::new",
            "optim::Sgd::momentum_buffer",
            "optim::Sgd::load",
        ],
        &[sgd(0.1, 0.), sgd(0.1, 0.5), sgd(0.01, 0.99)],
        |_| Ok(Sgd::new()),
        Sgd::step,
        |state, p| {
            let mut loaded = Sgd::new();
            let velocity = state.momentum_buffer(p)?;
            if let Some(velocity) = &velocity {
                loaded.load(p, velocity)?;
            }
            Ok((loaded, velocity.into_iter().collect()))
        },
    );
}

/// A small critic, with an op of candle's in the middle and one result used twice.
fn critic(v: &[Tensor]) -> Result<Tensor> {
    let [x, conv, gain, offset, last, ..] = v else {
        candle_core::bail!("a critic has five arguments")
    };
    let how = Conv2d {
        stride: 2,
        padding: 1,
        act: LEAKY,
        ..Default::default()
    };
    let h = conv2d(x, conv, None, &how)?;
    let h = norm::layer_norm(&h, Some((gain, offset)), 1e-5, LEAKY)?;
    let h = add(&act::tanh(&(&h * 0.5)?)?, &h)?;
    linear(&h.flatten_from(1)?, last, None, 1.)
}

fn critics_arguments() -> Vec<Arg> {
    vec![
        arg(&[3, 2, 7, 6], 1.),
        arg(&[4, 2, 4, 4], 0.5),
        arg(&[4], 1.).numbers(Numbers::Around(1., 0.5)),
        arg(&[4], 0.5),
        arg(&[1, 36], 0.5),
    ]
}

fn graphs(all: &mut Vec<Case>) {
    let args = critics_arguments();
    // Its second order is what this is for.
    of(all, &["mode::penalty"]).case("a critic", &args, critic);

    let recorded = |how: fn(&[Tensor]) -> Result<(Tensor, Tensor)>| {
        move |device: &Device| -> Result<Vec<Quantity>> {
            let (variables, views) = make(&critics_arguments(), DType::F32, device)?;
            let (y, gradient) = how(&views)?;
            let gradients = match y.rank() {
                0 => tape::backward(&y)?,
                _ => tape::backward_from(&y, &gradient)?,
            };
            let mut found = vec![quantity("value", &y)?];
            for (i, variable) in variables.iter().enumerate() {
                if let Some(gradient) = gradients.get(variable) {
                    found.push(quantity(format!("d{i}"), gradient)?);
                }
            }
            Ok(found)
        }
    };
    type Recorded = fn(&[Tensor]) -> Result<(Tensor, Tensor)>;
    let cases: [(&'static [&'static str], &str, Recorded); 4] = [
        (&["tape::backward", "tape::record"], "recorded", |v| {
            let y = tape::record(|| loss::bce_with_logits(&critic(v)?, 0.9))?;
            Ok((y.clone(), y))
        }),
        (&["tape::backward", "tape::pause"], "a part paused", |v| {
            let y = tape::record(|| {
                let h = tape::pause(|| critic(v))?;
                loss::mse(&act::sigmoid(&h)?, 0.3)
            })?;
            Ok((y.clone(), y))
        }),
        (
            &["tape::backward_from", "tape::start"],
            "a gradient given",
            |v| {
                let recording = tape::start();
                let y = critic(v)?;
                drop(recording);
                let gradient = factors(&y, 93)?;
                Ok((y, gradient))
            },
        ),
        (
            &["tape::backward_from"],
            "nothing recorded, a view given",
            |v| {
                let y = critic(v)?;
                let one = Tensor::new(&[[2f32]], y.device())?;
                let gradient = one.broadcast_as(y.shape())?;
                Ok((y, gradient))
            },
        ),
    ];
    for (ops, name, how) in cases {
        let run = recorded(how);
        all.push(Case {
            ops,
            name: name.into(),
            scale: Scale::Largest,
            first: Expected::Numbers,
            second: Expected::Numbers,
            run: Box::new(move |device| Measured {
                first: part(run(device)),
                second: None,
            }),
        });
    }
}
