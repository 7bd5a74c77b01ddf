//! Times the ops of this crate beside stock candle's, forward and backward together.
//!
//! `cargo run --example ops [THREADS [FILTER]]` prints one JSON line an op:
//! `ours_median_ms`, `ours_min_ms`, `ours_forward_min_ms`, and `candle_ms` (minimum) where
//! stock candle computes the right thing. Backward means the gradients of the input and of the
//! weights for a gradient of ones. Rounds of both sides alternate.

use candle_core::{DType, Device, Result, Tensor, Var};
use gan_kernels::conv::{Conv2d, ConvTranspose2d, conv_transpose2d, conv2d};
use gan_kernels::linear::linear;
use gan_kernels::resample;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Longest time for one op, all rounds of both sides.
const BUDGET: Duration = Duration::from_millis(1500);

type Run = Box<dyn Fn() -> Result<Tensor>>;

struct Case {
    name: String,
    ours: Run,
    candle: Option<Run>,
}

fn random(dims: &[usize]) -> Result<Var> {
    Var::randn(0f32, 1f32, dims, &Device::Cpu)
}

fn convolution(
    name: &str,
    x: [usize; 4],
    co: usize,
    k: usize,
    stride: usize,
    padding: usize,
) -> Result<Case> {
    let (x, w, b) = (random(&x)?, random(&[co, x[1], k, k])?, random(&[co])?);
    let (x2, w2, b2) = (x.clone(), w.clone(), b.clone());
    let conv = Conv2d {
        stride,
        padding,
        gain: 1.0,
        ..Default::default()
    };
    Ok(Case {
        name: name.into(),
        ours: Box::new(move || conv2d(&x, &w, Some(&b), &conv)),
        candle: Some(Box::new(move || {
            x2.conv2d(&w2, padding, stride, 1, 1)?
                .broadcast_add(&b2.reshape((1, (), 1, 1))?)
        })),
    })
}

fn transposed(
    name: &str,
    x: [usize; 4],
    co: usize,
    k: usize,
    stride: usize,
    padding: usize,
) -> Result<Case> {
    let (x, w, b) = (random(&x)?, random(&[x[1], co, k, k])?, random(&[co])?);
    let (x2, w2, b2) = (x.clone(), w.clone(), b.clone());
    let conv = ConvTranspose2d {
        stride,
        padding,
        ..Default::default()
    };
    Ok(Case {
        name: name.into(),
        ours: Box::new(move || conv_transpose2d(&x, &w, Some(&b), &conv)),
        candle: Some(Box::new(move || {
            let y = x2.conv_transpose2d(&w2, padding, 0, stride, 1)?;
            y.broadcast_add(&b2.reshape((1, (), 1, 1))?)
        })),
    })
}

fn affine(name: &str, b: usize, i: usize, o: usize) -> Result<Case> {
    let (x, w, bias) = (random(&[b, i])?, random(&[o, i])?, random(&[o])?);
    let (x2, w2, b2) = (x.clone(), w.clone(), bias.clone());
    Ok(Case {
        name: name.into(),
        ours: Box::new(move || linear(&x, &w, Some(&bias), 1.0)),
        candle: Some(Box::new(move || x2.matmul(&w2.t()?)?.broadcast_add(&b2))),
    })
}

fn unary(
    name: &str,
    x: &[usize],
    ours: fn(&Tensor) -> Result<Tensor>,
    candle: Option<fn(&Tensor) -> Result<Tensor>>,
) -> Result<Case> {
    let x = random(x)?;
    let x2 = x.clone();
    Ok(Case {
        name: name.into(),
        ours: Box::new(move || ours(&x)),
        candle: candle.map(|f| Box::new(move || f(&x2)) as Run),
    })
}

fn cases() -> Result<Vec<Case>> {
    Ok(vec![
        convolution("conv3x3 64->64 24x24 b16", [16, 64, 24, 24], 64, 3, 1, 1)?,
        convolution(
            "conv4x4s2 64->128 16x16 b64",
            [64, 64, 16, 16],
            128,
            4,
            2,
            1,
        )?,
        convolution("conv3x3 256->256 32x32 b1", [1, 256, 32, 32], 256, 3, 1, 1)?,
        convolution("conv4x4s2 3->64 128x128 b1", [1, 3, 128, 128], 64, 4, 2, 1)?,
        convolution("conv9x9 3->64 24x24 b16", [16, 3, 24, 24], 64, 9, 1, 4)?,
        transposed("convT4x4s2 256->128 8x8 b64", [64, 256, 8, 8], 128, 4, 2, 1)?,
        transposed(
            "convT4x4s2 512->256 16x16 b1",
            [1, 512, 16, 16],
            256,
            4,
            2,
            1,
        )?,
        convolution("conv3x3 64->32 32x32 b4", [4, 64, 32, 32], 32, 3, 1, 1)?,
        convolution("conv3x3 192->64 32x32 b4", [4, 192, 32, 32], 64, 3, 1, 1)?,
        convolution(
            "conv1x1 256->128 16x16 b16",
            [16, 256, 16, 16],
            128,
            1,
            1,
            0,
        )?,
        convolution("conv9x9 64->3 96x96 b4", [4, 64, 96, 96], 3, 9, 1, 4)?,
        convolution("conv4x4 512->1 4x4 b64", [64, 512, 4, 4], 1, 4, 1, 0)?,
        transposed("convT4x4 100->512 1x1 b64", [64, 100, 1, 1], 512, 4, 1, 0)?,
        transposed("convT4x4s2 64->3 32x32 b64", [64, 64, 32, 32], 3, 4, 2, 1)?,
        affine("linear 784->128 b32", 32, 784, 128)?,
        affine("linear 128->1 b32", 32, 128, 1)?,
        affine("linear 64->256 b32", 32, 64, 256)?,
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
            Some(|x| {
                let (b, c, h, w) = x.dims4()?;
                let y = x
                    .reshape((b, c / 4, 2, 2, h, w))?
                    .permute((0, 1, 4, 2, 5, 3))?;
                y.contiguous()?.reshape((b, c / 4, 2 * h, 2 * w))
            }),
        )?,
        unary(
            "reflection pad 1 [1,256,64,64]",
            &[1, 256, 64, 64],
            |x| resample::reflection_pad2d(x, 1),
            None,
        )?,
    ])
}

fn timed(run: &Run, backward: bool) -> Result<f64> {
    let start = Instant::now();
    let y = run()?;
    if backward {
        y.backward()?;
    }
    drop(y);
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    gan_kernels::set_threads(args.first().and_then(|a| a.parse().ok()).unwrap_or(0));
    let filter = args.get(1).cloned().unwrap_or_default();
    let stock = args.get(2).is_none_or(|a| a != "ours");
    debug_assert_eq!(DType::F32.size_in_bytes(), 4);
    for case in cases()?.iter().filter(|c| c.name.contains(&filter)) {
        let (mut ours, mut forward, mut candle) = (Vec::new(), f64::INFINITY, f64::INFINITY);
        let start = Instant::now();
        for round in 0..200 {
            if round > 3 && start.elapsed() > BUDGET {
                break;
            }
            let both = timed(&case.ours, true)?;
            forward = forward.min(timed(&case.ours, false)?);
            if round > 0 {
                ours.push(both);
            }
            // Stock candle is slow: a few rounds give its minimum.
            if let Some(run) = case.candle.as_ref().filter(|_| stock && round < 6) {
                candle = candle.min(timed(run, true)?);
            }
        }
        ours.sort_by(f64::total_cmp);
        let line = serde_json::json!({
            "op": case.name,
            "ours_median_ms": (ours[ours.len() / 2] * 1e3).round() / 1e3,
            "ours_min_ms": (ours[0] * 1e3).round() / 1e3,
            "ours_forward_min_ms": (forward * 1e3).round() / 1e3,
            "candle_ms": candle.is_finite().then_some((candle * 1e3).round() / 1e3),
            "threads": gan_kernels::threads(),
        });
        println!("{line}");
    }
    Ok(())
}
