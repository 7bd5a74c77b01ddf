//! `bench ops`: single ops, ours beside stock candle's, forward and backward together; a JSON line each.
//!
//! `ours_*` is an op as training uses it, recorded on `gan_kernels::tape`; `walk_min_ms` is the same op
//! through candle's `backward`, which for each edge of the graph makes a tensor of zeros and adds the
//! gradient to it.
//! Shapes and names are those of the reference's own benchmark, and as there the gradient of the result
//! is given and not made, so that the two can be run alternately.

use crate::cli::BenchArgs;
use anyhow::Result;
use candle_core::{Device, Tensor, Var};
use gan_core::rng::{self, Key};
use gan_kernels::act::{self, Act};
use gan_kernels::conv::{Conv2d, ConvTranspose2d, conv_transpose2d, conv2d};
use gan_kernels::linear::linear;
use gan_kernels::optim::{Adam, AdamConfig, RmsProp, RmsPropConfig};
use gan_kernels::{norm, resample, tape};
use serde_json::json;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

const M: usize = 1 << 20;

type Run = Box<dyn Fn() -> candle_core::Result<()>>;
type Function = Box<dyn Fn() -> candle_core::Result<Tensor>>;

/// An op to time.
struct Case {
    name: &'static str,
    ours: Run,
    walk: Option<Run>,
    candle: Option<Run>,
}

impl Case {
    /// Our function, and the same of candle's own ops; both with the gradients of all variables.
    fn new(
        name: &'static str,
        ours: impl Fn() -> candle_core::Result<Tensor> + 'static,
        candle: Option<Function>,
    ) -> candle_core::Result<Self> {
        let ours: Rc<dyn Fn() -> candle_core::Result<Tensor>> = Rc::new(ours);
        let gradient = ours()?.detach().copy()?;
        let walked = ours.clone();
        Ok(Self {
            name,
            ours: Box::new(move || {
                let y = tape::record(|| ours())?;
                tape::backward_from(&y, &gradient).map(drop)
            }),
            walk: Some(Box::new(move || walked()?.backward().map(drop))),
            candle: candle.map(|f| -> Run { Box::new(move || f()?.backward().map(drop)) }),
        })
    }
}

fn random(dims: &[usize]) -> candle_core::Result<Var> {
    let n: usize = dims.iter().product();
    let values = rng::normals(Key::new(1, "bench", n as u64, 0), 0, n);
    Var::from_vec(values, dims, &Device::Cpu)
}

fn convolution(
    name: &'static str,
    x: [usize; 4],
    co: usize,
    [k, stride, padding]: [usize; 3],
) -> candle_core::Result<Case> {
    let (x, w, b) = (random(&x)?, random(&[co, x[1], k, k])?, random(&[co])?);
    let how = Conv2d {
        stride,
        padding,
        ..Default::default()
    };
    let stock = (x.clone(), w.clone(), b.clone());
    let candle: Function = Box::new(move || {
        let (x, w, b) = &stock;
        let y = x.conv2d(w, padding, stride, 1, 1)?;
        y.broadcast_add(&b.reshape((1, (), 1, 1))?)
    });
    Case::new(name, move || conv2d(&x, &w, Some(&b), &how), Some(candle))
}

fn transposed(
    name: &'static str,
    x: [usize; 4],
    co: usize,
    [k, stride, padding]: [usize; 3],
) -> candle_core::Result<Case> {
    let (x, w, b) = (random(&x)?, random(&[x[1], co, k, k])?, random(&[co])?);
    let how = ConvTranspose2d {
        stride,
        padding,
        ..Default::default()
    };
    let stock = (x.clone(), w.clone(), b.clone());
    let candle: Function = Box::new(move || {
        let (x, w, b) = &stock;
        let y = x.conv_transpose2d(w, padding, 0, stride, 1)?;
        y.broadcast_add(&b.reshape((1, (), 1, 1))?)
    });
    let ours = move || conv_transpose2d(&x, &w, Some(&b), &how);
    Case::new(name, ours, Some(candle))
}

fn affine(name: &'static str, b: usize, i: usize, o: usize) -> candle_core::Result<Case> {
    let (x, w, bias) = (random(&[b, i])?, random(&[o, i])?, random(&[o])?);
    let stock = (x.clone(), w.clone(), bias.clone());
    let candle: Function = Box::new(move || {
        let (x, w, bias) = &stock;
        x.matmul(&w.t()?)?.broadcast_add(bias)
    });
    Case::new(name, move || linear(&x, &w, Some(&bias), 1.), Some(candle))
}

/// A function of one tensor, beside a composition of candle's ops.
fn unary(
    name: &'static str,
    dims: &[usize],
    ours: fn(&Tensor) -> candle_core::Result<Tensor>,
    candle: Option<fn(&Tensor) -> candle_core::Result<Tensor>>,
) -> candle_core::Result<Case> {
    let x = random(dims)?;
    let stock = x.clone();
    let candle = candle.map(|f| -> Function { Box::new(move || f(&stock)) });
    Case::new(name, move || ours(&x), candle)
}

fn leaky(x: &Tensor) -> candle_core::Result<Tensor> {
    x.relu()? - (x.neg()?.relu()? * 0.2)?
}

fn activations() -> candle_core::Result<Vec<Case>> {
    let dims = [8 * M];
    let slope: fn(&Tensor) -> candle_core::Result<Tensor> = |x| act::leaky_relu(x, 0.2);
    Ok(vec![
        unary("tanh 8M", &dims, act::tanh, Some(Tensor::tanh))?,
        unary("LeakyReLU 8M", &dims, slope, Some(leaky))?,
    ])
}

fn stock_instance_norm(x: &Tensor) -> candle_core::Result<Tensor> {
    let rows = x.flatten_from(2)?;
    let centred = rows.broadcast_sub(&rows.mean_keepdim(2)?)?;
    let deviation = (centred.sqr()?.mean_keepdim(2)? + 1e-5)?.sqrt()?;
    centred.broadcast_div(&deviation)?.reshape(x.dims())
}

fn norms() -> candle_core::Result<Vec<Case>> {
    let batch = [64, 64, 32, 32];
    let per_channel = || Ok::<_, candle_core::Error>([random(&[64])?, random(&[64])?]);
    let ([w, b], [mean, var]) = (per_channel()?, per_channel()?);
    let slope = Act::LeakyRelu(0.2);
    let x = random(&batch)?;
    let stock = x.clone();
    let candle: Function = Box::new(move || {
        let rows = stock.transpose(0, 1)?.flatten_from(1)?; // [c, b·h·w]
        let centred = rows.broadcast_sub(&rows.mean_keepdim(1)?)?;
        let deviation = (centred.sqr()?.mean_keepdim(1)? + 1e-5)?.sqrt()?;
        let y = leaky(&centred.broadcast_div(&deviation)?)?;
        y.reshape((64, 64, 32, 32))?.transpose(0, 1)?.contiguous()
    });
    let batch_norm = Case::new(
        "BatchNorm+LeakyReLU [64,64,32,32]",
        move || norm::batch_norm(&x, &w, &b, &mean, &var, 0.1, 1e-5, slope),
        Some(candle),
    )?;
    let instance = [1, 128, 64, 64];
    let instance_norm = unary(
        "instance norm [1,128,64,64]",
        &instance,
        |x| norm::instance_norm(x, None, 1e-5, Act::None),
        Some(stock_instance_norm),
    )?;
    let fused = unary(
        "instance norm+LeakyReLU [1,128,64,64]",
        &instance,
        |x| norm::instance_norm(x, None, 1e-5, Act::LeakyRelu(0.2)),
        Some(|x| leaky(&stock_instance_norm(x)?)),
    )?;
    Ok(vec![batch_norm, instance_norm, fused])
}

fn optimizers() -> candle_core::Result<Vec<Case>> {
    let (p, g) = (random(&[8 * M])?, random(&[8 * M])?.as_detached_tensor());
    let (p2, g2) = (p.clone(), g.clone());
    let adam = RefCell::new(Adam::new(&p)?);
    let rms = RefCell::new(RmsProp::new(&p)?);
    let adam_config = AdamConfig {
        lr: 1e-4,
        beta1: 0.5,
        ..AdamConfig::default()
    };
    let rms_config = RmsPropConfig {
        lr: 1e-4,
        alpha: 0.99,
        eps: 1e-8,
    };
    let step = |name, ours: Run| Case {
        name,
        ours,
        walk: None,
        candle: None,
    };
    Ok(vec![
        step(
            "Adam step 8M",
            Box::new(move || adam.borrow_mut().step(&p, &g, &adam_config)),
        ),
        step(
            "RMSProp step 8M",
            Box::new(move || rms.borrow_mut().step(&p2, &g2, &rms_config)),
        ),
    ])
}

fn cases() -> candle_core::Result<Vec<Case>> {
    let mut cases = vec![
        convolution("conv3x3 64->64 24x24 b16", [16, 64, 24, 24], 64, [3, 1, 1])?,
        convolution("conv3x3 64->32 32x32 b4", [4, 64, 32, 32], 32, [3, 1, 1])?,
        convolution("conv3x3 192->64 32x32 b4", [4, 192, 32, 32], 64, [3, 1, 1])?,
        convolution(
            "conv3x3 256->256 32x32 b1",
            [1, 256, 32, 32],
            256,
            [3, 1, 1],
        )?,
        convolution(
            "conv4x4s2 64->128 16x16 b64",
            [64, 64, 16, 16],
            128,
            [4, 2, 1],
        )?,
        transposed(
            "convT4x4s2 256->128 8x8 b64",
            [64, 256, 8, 8],
            128,
            [4, 2, 1],
        )?,
        transposed(
            "convT4x4s2 512->256 16x16 b1",
            [1, 512, 16, 16],
            256,
            [4, 2, 1],
        )?,
        transposed("convT4x4 100->512 1x1 b64", [64, 100, 1, 1], 512, [4, 1, 0])?,
        convolution(
            "conv4x4s2 3->64 128x128 b1",
            [1, 3, 128, 128],
            64,
            [4, 2, 1],
        )?,
        convolution("conv9x9 3->64 24x24 b16", [16, 3, 24, 24], 64, [9, 1, 4])?,
        convolution(
            "conv1x1 256->128 16x16 b16",
            [16, 256, 16, 16],
            128,
            [1, 1, 0],
        )?,
        convolution("conv9x9 64->3 96x96 b4", [4, 64, 96, 96], 3, [9, 1, 4])?,
        affine("linear 784->128 b32", 32, 784, 128)?,
        affine("linear 256->784 b32", 32, 256, 784)?,
        affine("linear 1024->1024 b256", 256, 1024, 1024)?,
        unary(
            "upsample x2 [16,64,32,32]",
            &[16, 64, 32, 32],
            resample::upsample_nearest2x,
            None,
        )?,
        unary(
            "pixel shuffle x2 [16,256,24,24]",
            &[16, 256, 24, 24],
            |x| resample::pixel_shuffle(x, 2),
            None,
        )?,
    ];
    cases.extend(norms()?);
    cases.extend(activations()?);
    cases.extend(optimizers()?);
    Ok(cases)
}

/// Median and minimum of a run's times in milliseconds.
fn summary(times: &mut [f64]) -> Option<(f64, f64)> {
    times.sort_by(f64::total_cmp);
    let at = |i: usize| Some((times.get(i)? * 1e6).round() / 1e3);
    Some((at(times.len() / 2)?, at(0)?))
}

/// Times every op, or those whose name contains one of the words after `ops`; the sides of one after
/// another, each for at most a twentieth of `args.seconds` (half a second at least).
pub fn bench(args: &BenchArgs) -> Result<()> {
    let budget = (args.seconds / 20.).max(0.5);
    let words = args.labels.get(1..).unwrap_or_default();
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
    for case in cases()?.into_iter().filter(|case| wanted(case.name)) {
        let sides = [Some(&case.ours), case.walk.as_ref(), case.candle.as_ref()];
        let [ours, walk, candle] = sides.map(|side| {
            let Some(run) = side else { return Ok(None) };
            let (mut times, begin) = (Vec::new(), Instant::now());
            for round in 0..200 {
                if round > 5 && begin.elapsed().as_secs_f64() > budget {
                    break;
                }
                let start = Instant::now();
                run()?;
                // The first rounds fault memory in.
                if round > 1 {
                    times.push(start.elapsed().as_secs_f64());
                }
            }
            candle_core::Result::Ok(summary(&mut times))
        });
        let (ours, walk, candle) = (ours?, walk?, candle?);
        let line = json!({
            "op": case.name,
            "ours_median_ms": ours.map(|(median, _)| median),
            "ours_min_ms": ours.map(|(_, min)| min),
            "walk_min_ms": walk.map(|(_, min)| min),
            "candle_ms": candle.map(|(_, min)| min),
            "threads": gan_kernels::threads(),
        });
        say!("{line}");
    }
    Ok(())
}
