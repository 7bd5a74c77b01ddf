//! Times activations, norms, losses and optimizers beside stock candle's.
//!
//! `cargo run --example elem [THREADS [FILTER [alone]]]` prints one JSON line an op: milliseconds of
//! forward and backward together. `ours_…` are the node alone; `ours_with_candle_ms` adds what
//! candle's `backward` does around each node (it makes the gradient of ones, and for each edge of
//! the graph a tensor of zeros and a sum), which `candle_ms`, stock candle's time, contains too.
//! Rounds alternate; `alone` leaves out all but the nodes themselves.

use candle_core::{DType, Device, Result, Tensor, Var};
use gan_kernels::act::{self, Act};
use gan_kernels::optim::{Adam, AdamConfig, RmsProp, RmsPropConfig, Sgd, SgdConfig};
use gan_kernels::{loss, norm, pool2d};
use std::cell::RefCell;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Longest time for one op, all rounds of all sides.
const BUDGET: Duration = Duration::from_millis(1500);

const M: usize = 1 << 20;

type Run = Box<dyn Fn() -> Result<()>>;
type Function = fn(&Tensor) -> Result<Tensor>;
type Step = Box<dyn FnMut(&Var, &Tensor) -> Result<()>>;

struct Case {
    name: &'static str,
    /// The node's forward and backward.
    alone: Option<Run>,
    ours: Run,
    candle: Option<Run>,
}

fn random(dims: &[usize]) -> Result<Var> {
    Var::randn(0f32, 1f32, dims, &Device::Cpu)
}

/// Forward and backward of a function of one large tensor.
fn layer(
    name: &'static str,
    x: &[usize],
    ours: impl Fn(&Tensor) -> Result<Tensor> + 'static,
    candle: Option<Function>,
) -> Result<Case> {
    let x = random(x)?;
    let x2 = x.clone();
    Ok(Case {
        name,
        alone: None,
        ours: Box::new(move || ours(&x)?.backward().map(drop)),
        candle: candle.map(|f| Box::new(move || f(&x2)?.backward().map(drop)) as Run),
    })
}

/// An activation of `n` elements.
fn activation(
    name: &'static str,
    op: &'static str,
    n: usize,
    ours: Function,
    candle: Option<Function>,
) -> Result<Case> {
    let (x, g) = (random(&[n])?, Tensor::ones(n, DType::F32, &Device::Cpu)?);
    let alone = Box::new(move || act::time_both(op, &x, &g).map(drop));
    Ok(Case {
        alone: Some(alone),
        ..layer(name, &[n], ours, candle)?
    })
}

/// A norm, with gain and offset unless it is instance norm.
fn normal(
    name: &'static str,
    kind: &'static str,
    dims: &[usize],
    act: Act,
    candle: Option<Function>,
) -> Result<Case> {
    let c = dims[1];
    let (x, g) = (random(dims)?, Tensor::ones(dims, DType::F32, &Device::Cpu)?);
    let (w, b, w2, b2) = (random(&[c])?, random(&[c])?, random(&[c])?, random(&[c])?);
    let (mean, var) = (random(&[c])?, random(&[c])?);
    let alone = Box::new(move || {
        let affine = (kind != "instance").then_some((w.as_tensor(), b.as_tensor()));
        norm::time_both(kind, &x, affine, act, &g).map(drop)
    });
    let ours = move |x: &Tensor| match kind {
        "batch" => norm::batch_norm(x, &w2, &b2, &mean, &var, 0.1, 1e-5, act),
        "instance" => norm::instance_norm(x, None, 1e-5, act),
        _ => norm::layer_norm(x, Some((&w2, &b2)), 1e-5, act),
    };
    Ok(Case {
        alone: Some(alone),
        ..layer(name, dims, ours, candle)?
    })
}

fn stock_batch_norm(x: &Tensor) -> Result<Tensor> {
    let (b, c, h, w) = x.dims4()?;
    let rows = x.transpose(0, 1)?.reshape((c, b * h * w))?;
    let centred = rows.broadcast_sub(&rows.mean_keepdim(1)?)?;
    let y = centred.broadcast_div(&(centred.sqr()?.mean_keepdim(1)? + 1e-5)?.sqrt()?)?;
    let y = (y.relu()? - (y.neg()?.relu()? * 0.2)?)?;
    y.reshape((c, b, h, w))?.transpose(0, 1)?.contiguous()
}

fn stock_instance_norm(x: &Tensor) -> Result<Tensor> {
    let rows = x.flatten_from(2)?;
    let centred = rows.broadcast_sub(&rows.mean_keepdim(2)?)?;
    centred
        .broadcast_div(&(centred.sqr()?.mean_keepdim(2)? + 1e-5)?.sqrt()?)?
        .reshape(x.dims())
}

fn stock_leaky_relu(x: &Tensor) -> Result<Tensor> {
    x.relu()? - (x.neg()?.relu()? * 0.2)?
}

fn step(name: &'static str, run: impl Fn() -> Result<()> + 'static) -> Case {
    Case {
        name,
        alone: None,
        ours: Box::new(run),
        candle: None,
    }
}

fn optimizers() -> Result<Vec<Case>> {
    let (p, g) = (random(&[8 * M])?, random(&[8 * M])?.as_detached_tensor());
    let mut adam = Adam::new(&p)?;
    let mut rms = RmsProp::new(&p)?;
    let mut sgd = Sgd::new();
    let adam_config = AdamConfig {
        lr: 1e-4,
        beta1: 0.5,
        ..Default::default()
    };
    let rms_config = RmsPropConfig {
        lr: 1e-4,
        alpha: 0.99,
        eps: 1e-8,
    };
    let sgd_config = SgdConfig {
        lr: 1e-4,
        momentum: 0.5,
    };
    let shared = |mut f: Step| {
        let (p, g) = (p.clone(), g.clone());
        let f = RefCell::new(move || f(&p, &g));
        move || f.borrow_mut()()
    };
    Ok(vec![
        step(
            "Adam step 8M",
            shared(Box::new(move |p, g| adam.step(p, g, &adam_config))),
        ),
        step(
            "RMSProp step 8M",
            shared(Box::new(move |p, g| rms.step(p, g, &rms_config))),
        ),
        step(
            "SGD step 8M",
            shared(Box::new(move |p, g| sgd.step(p, g, &sgd_config))),
        ),
    ])
}

fn cases() -> Result<Vec<Case>> {
    let leaky = Act::LeakyRelu(0.2);
    let (bn, instance): (Function, Function) = (stock_batch_norm, stock_instance_norm);
    let stock_leaky: Function = stock_leaky_relu;
    let mut cases = vec![
        normal(
            "BatchNorm+LeakyReLU [64,64,32,32]",
            "batch",
            &[64, 64, 32, 32],
            leaky,
            Some(bn),
        )?,
        normal(
            "BatchNorm+LeakyReLU [64,128,16,16]",
            "batch",
            &[64, 128, 16, 16],
            leaky,
            Some(bn),
        )?,
        normal(
            "BatchNorm+ReLU [64,512,4,4]",
            "batch",
            &[64, 512, 4, 4],
            Act::Relu,
            None,
        )?,
        normal(
            "instance norm [1,128,64,64]",
            "instance",
            &[1, 128, 64, 64],
            Act::None,
            Some(instance),
        )?,
        normal(
            "instance norm+ReLU [1,128,64,64]",
            "instance",
            &[1, 128, 64, 64],
            Act::Relu,
            None,
        )?,
        normal(
            "layer norm+LeakyReLU [64,64,32,32]",
            "layer",
            &[64, 64, 32, 32],
            leaky,
            None,
        )?,
        activation("tanh 8M", "tanh", 8 * M, act::tanh, Some(Tensor::tanh))?,
        activation("sigmoid 8M", "sigmoid", 8 * M, act::sigmoid, None)?,
        activation("softplus 8M", "softplus", 8 * M, act::softplus, None)?,
        activation(
            "LeakyReLU 8M",
            "leaky_relu",
            8 * M,
            |x| act::leaky_relu(x, 0.2),
            Some(stock_leaky),
        )?,
        activation(
            "LeakyReLU 1M",
            "leaky_relu",
            M,
            |x| act::leaky_relu(x, 0.2),
            Some(stock_leaky),
        )?,
        layer(
            "pixel norm [16,128,32,32]",
            &[16, 128, 32, 32],
            |x| norm::pixel_norm(x, 1e-8),
            None,
        )?,
        layer(
            "maxout [100,1200] 5",
            &[100, 1200],
            |x| act::maxout(x, 5),
            None,
        )?,
        layer(
            "avg pool 2 [16,128,32,32]",
            &[16, 128, 32, 32],
            |x| pool2d::avg_pool2d(x, (2, 2), (2, 2)),
            None,
        )?,
        layer(
            "max pool 2 [16,64,96,96]",
            &[16, 64, 96, 96],
            |x| pool2d::max_pool2d(x, (2, 2), (2, 2)),
            None,
        )?,
        layer(
            "BCE on logits 1M",
            &[M],
            |x| loss::bce_with_logits(x, 1.0),
            None,
        )?,
        layer(
            "MSE to 0, 1M",
            &[M],
            |x| loss::mse(x, 0.0),
            Some(|x| x.sqr()?.mean_all()),
        )?,
        layer(
            "L1 to 0, 1M",
            &[M],
            |x| loss::l1(x, 0.0),
            Some(|x| x.abs()?.mean_all()),
        )?,
    ];
    cases.extend(optimizers()?);
    Ok(cases)
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let threads = args.next().and_then(|t| t.parse().ok()).unwrap_or(0);
    gan_kernels::set_threads(threads);
    let filter = args.next().unwrap_or_default();
    let all = args.next().is_none();
    for case in cases()?.iter().filter(|c| c.name.contains(&filter)) {
        let whole = all || case.alone.is_none();
        let sides = [
            case.alone.as_ref(),
            Some(&case.ours).filter(|_| whole),
            case.candle.as_ref().filter(|_| all),
        ];
        let mut times = [const { Vec::new() }; 3];
        let start = Instant::now();
        let mut rounds = 0;
        while rounds < 6 || (start.elapsed() < BUDGET && rounds < 200) {
            rounds += 1;
            for (run, times) in sides.iter().zip(&mut times) {
                let Some(run) = run else { continue };
                let start = Instant::now();
                run()?;
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
        // The first rounds fault memory in.
        let [alone, ours, candle] = times.map(|times| {
            let mut times = times.get(2..)?.to_vec();
            let middle = median(&mut times);
            Some((middle, times[0]))
        });
        let (ours_median, ours_min) = alone.or(ours).unwrap_or_default();
        let smallest =
            |side: Option<(f64, f64)>| side.map_or("null".into(), |(_, min)| format!("{min:.3}"));
        println!(
            r#"{{"op": "{}", "ours_median_ms": {ours_median:.3}, "ours_min_ms": {ours_min:.3}, "ours_with_candle_ms": {}, "candle_ms": {}, "threads": {}}}"#,
            case.name,
            smallest(ours),
            smallest(candle),
            gan_kernels::threads(),
        );
    }
    Ok(())
}
