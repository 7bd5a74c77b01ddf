//! Times activations, norms, losses and optimizers beside stock candle's.
//!
//! `cargo run --example elem [THREADS [FILTER]]` prints one JSON line an op. Times are of forward
//! and backward together. Candle's `backward` allocates and adds a gradient for each edge of the
//! graph, which is not these ops' work: the time of a node that only hands its gradient on is
//! measured in the same rounds and taken off (`…_with_candle_ms` are the times before that).

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Result, Shape, Tensor, Var};
use gan_kernels::act::{self, Act};
use gan_kernels::optim::{Adam, AdamConfig, RmsProp, RmsPropConfig, Sgd, SgdConfig};
use gan_kernels::{loss, norm, pool2d};
use std::cell::RefCell;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Longest time for one op, all rounds of all sides.
const BUDGET: Duration = Duration::from_millis(1500);

type Run = Box<dyn Fn() -> Result<()>>;

struct Case {
    name: &'static str,
    ours: Run,
    candle: Option<Run>,
    /// The part of both that is candle's bookkeeping.
    bookkeeping: Option<Run>,
}

/// A node that makes its output from nothing and hands its gradient on.
struct HandOn {
    output: Shape,
    gradient: Option<Shape>,
}

thread_local! {
    static ONE: RefCell<Vec<(Shape, Tensor)>> = const { RefCell::new(Vec::new()) };
}

/// A tensor of ones that is made once.
fn ones(shape: &Shape) -> Result<Tensor> {
    ONE.with_borrow_mut(|all| {
        if let Some((_, t)) = all.iter().find(|(s, _)| s == shape) {
            return Ok(t.clone());
        }
        let t = Tensor::ones(shape, candle_core::DType::F32, &Device::Cpu)?;
        all.push((shape.clone(), t.clone()));
        Ok(t)
    })
}

impl CustomOp1 for HandOn {
    fn name(&self) -> &'static str {
        "hand on"
    }
    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        // Nothing reads the numbers, so the memory stays untouched.
        let n = self.output.elem_count();
        Ok((CpuStorage::F32(Vec::with_capacity(n)), self.output.clone()))
    }
    fn bwd(&self, _: &Tensor, _: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(match &self.gradient {
            None => g.clone(),
            Some(shape) => ones(shape)?,
        }))
    }
}

fn random(dims: &[usize]) -> Result<Var> {
    Var::randn(0f32, 1f32, dims, &Device::Cpu)
}

/// Forward and backward of a function of one large tensor.
fn layer(
    name: &'static str,
    x: &[usize],
    ours: impl Fn(&Tensor) -> Result<Tensor> + 'static,
    candle: Option<fn(&Tensor) -> Result<Tensor>>,
) -> Result<Case> {
    let x = random(x)?;
    let y = ours(&x)?.shape().clone();
    let (x2, x3) = (x.clone(), x.clone());
    let gradient = (&y != x.shape()).then(|| x.shape().clone());
    Ok(Case {
        name,
        ours: Box::new(move || ours(&x)?.backward().map(drop)),
        candle: candle.map(|f| Box::new(move || f(&x2)?.backward().map(drop)) as Run),
        bookkeeping: Some(Box::new(move || {
            let node = HandOn {
                output: y.clone(),
                gradient: gradient.clone(),
            };
            x3.apply_op1(node)?.backward().map(drop)
        })),
    })
}

fn batch_norm(name: &'static str, dims: &[usize], act: Act) -> Result<Case> {
    let c = dims[1];
    let (w, b) = (random(&[c])?, random(&[c])?);
    let (mean, var) = (random(&[c])?, random(&[c])?);
    let ours = move |x: &Tensor| norm::batch_norm(x, &w, &b, &mean, &var, 0.1, 1e-5, act);
    layer(name, dims, ours, Some(stock_batch_norm))
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

fn step(name: &'static str, run: impl Fn() -> Result<()> + 'static, candle: Option<Run>) -> Case {
    Case {
        name,
        ours: Box::new(run),
        candle,
        bookkeeping: None,
    }
}

fn cases() -> Result<Vec<Case>> {
    let leaky = Act::LeakyRelu(0.2);
    const M: usize = 1 << 20;
    let affine = |c: usize| Ok::<_, candle_core::Error>((random(&[c])?, random(&[c])?));
    let (w64, b64) = affine(64)?;
    let (p, g) = (random(&[8 * M])?, random(&[8 * M])?);
    let g2 = (g.as_tensor().clone(), g.as_tensor().clone());
    let adam = RefCell::new(Adam::new(&p)?);
    let (p2, rms) = (p.clone(), RefCell::new(RmsProp::new(&p)?));
    let (p3, sgd) = (p.clone(), RefCell::new(Sgd::new()));
    let adam_config = AdamConfig {
        lr: 1e-4,
        beta1: 0.5,
        ..Default::default()
    };
    Ok(vec![
        batch_norm(
            "BatchNorm+LeakyReLU [64,64,32,32]",
            &[64, 64, 32, 32],
            leaky,
        )?,
        batch_norm(
            "BatchNorm+LeakyReLU [64,128,16,16]",
            &[64, 128, 16, 16],
            leaky,
        )?,
        batch_norm("BatchNorm+ReLU [64,512,4,4]", &[64, 512, 4, 4], Act::Relu)?,
        batch_norm("BatchNorm [16,64,24,24]", &[16, 64, 24, 24], Act::None)?,
        layer(
            "instance norm [1,128,64,64]",
            &[1, 128, 64, 64],
            |x| norm::instance_norm(x, None, 1e-5, Act::None),
            Some(stock_instance_norm),
        )?,
        layer(
            "instance norm+ReLU [1,128,64,64]",
            &[1, 128, 64, 64],
            |x| norm::instance_norm(x, None, 1e-5, Act::Relu),
            None,
        )?,
        layer(
            "instance norm+LeakyReLU [1,256,64,64]",
            &[1, 256, 64, 64],
            move |x| norm::instance_norm(x, None, 1e-5, leaky),
            None,
        )?,
        layer(
            "layer norm+LeakyReLU [64,64,32,32]",
            &[64, 64, 32, 32],
            move |x| norm::layer_norm(x, Some((&w64, &b64)), 1e-5, leaky),
            None,
        )?,
        layer(
            "pixel norm [16,128,32,32]",
            &[16, 128, 32, 32],
            |x| norm::pixel_norm(x, 1e-8),
            None,
        )?,
        layer("tanh 8M", &[8 * M], act::tanh, Some(Tensor::tanh))?,
        layer("sigmoid 8M", &[8 * M], act::sigmoid, None)?,
        layer("softplus 8M", &[8 * M], act::softplus, None)?,
        layer(
            "LeakyReLU 8M",
            &[8 * M],
            |x| act::leaky_relu(x, 0.2),
            Some(stock_leaky_relu),
        )?,
        layer(
            "LeakyReLU 1M",
            &[M],
            |x| act::leaky_relu(x, 0.2),
            Some(stock_leaky_relu),
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
        step(
            "Adam step 8M",
            move || adam.borrow_mut().step(&p, &g, &adam_config),
            None,
        ),
        step(
            "RMSProp step 8M",
            move || {
                rms.borrow_mut().step(
                    &p2,
                    &g2.0,
                    &RmsPropConfig {
                        lr: 1e-4,
                        alpha: 0.99,
                        eps: 1e-8,
                    },
                )
            },
            None,
        ),
        step(
            "SGD step 8M",
            move || {
                sgd.borrow_mut().step(
                    &p3,
                    &g2.1,
                    &SgdConfig {
                        lr: 1e-4,
                        momentum: 0.5,
                    },
                )
            },
            None,
        ),
    ])
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
    for case in cases()?.iter().filter(|c| c.name.contains(&filter)) {
        let sides = [
            Some(&case.ours),
            case.candle.as_ref(),
            case.bookkeeping.as_ref(),
        ];
        let mut times = [const { Vec::new() }; 3];
        let start = Instant::now();
        while times[0].len() < 4 || (start.elapsed() < BUDGET && times[0].len() < 200) {
            for (run, times) in sides.iter().zip(&mut times) {
                let Some(run) = run else { continue };
                let start = Instant::now();
                run()?;
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
        // The first rounds fault memory in.
        let mut stats = times.iter_mut().map(|times| {
            let times = times.get_mut(2..)?;
            let middle = median(times);
            Some((middle, times[0]))
        });
        let (ours, candle, rest) = (stats.next(), stats.next(), stats.next());
        let (rest_median, rest_min) = rest.flatten().unwrap_or_default();
        let (ours_median, ours_min) = ours.flatten().unwrap_or_default();
        let candle = candle
            .flatten()
            .map_or("null".into(), |(_, min)| format!("{:.3}", min - rest_min));
        println!(
            r#"{{"op": "{}", "ours_median_ms": {:.3}, "ours_min_ms": {:.3}, "candle_ms": {candle}, "ours_with_candle_ms": {ours_min:.3}, "threads": {}}}"#,
            case.name,
            ours_median - rest_median,
            ours_min - rest_min,
            gan_kernels::threads(),
        );
    }
    Ok(())
}
