//! Time and memory of a DCGAN-shaped training step (64 px, grey, batch 64), one JSON line:
//! `cargo run -p gan-core --example dcgan_step -- plain|penalty [STEPS [BATCH]]`
//!
//! `plain` is DCGAN's step. `penalty` puts layer norm into D and adds a gradient penalty to its loss.
//! The resident memory is read after a tenth of the steps and at the end: it must not grow.

use candle_core::{DType, Device, Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};
use gan_core::loss::{bce_with_logits, gradient_penalty};
use gan_core::nn::{self, Act, Mode};
use gan_core::rng::CounterRng;
use gan_core::{Context, DataInfo, Draws, Net, Optimizer, Rule};
use gan_kernels::{conv, tape};
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const Z: usize = 100;
const F: usize = 64;
const SLOPE: Act = Act::LeakyRelu(0.2);

enum Norm {
    Batch(nn::BatchNorm),
    Layer(nn::LayerNorm),
}

struct D {
    first: nn::Conv2d,
    middle: Vec<(nn::Conv2d, Norm)>,
    last: nn::Conv2d,
}

fn half() -> conv::Conv2d {
    conv::Conv2d {
        stride: 2,
        padding: 1,
        ..Default::default()
    }
}

impl D {
    fn new(penalty: bool, vb: VarBuilder<'_>) -> Result<Self> {
        let norm = |c: usize, vb| {
            Ok::<_, candle_core::Error>(match penalty {
                true => Norm::Layer(nn::layer_norm(c, SLOPE, vb)?),
                false => Norm::Batch(nn::batch_norm(c, SLOPE, vb)?),
            })
        };
        let middle = (0..3).map(|i| {
            let (from, to) = (F << i, F << (i + 1));
            let conv = nn::conv2d_no_bias(from, to, 4, half(), vb.pp(format!("c{i}")))?;
            Ok((conv, norm(to, vb.pp(format!("n{i}")))?))
        });
        Ok(Self {
            first: nn::conv2d_no_bias(1, F, 4, half(), vb.pp("first"))?,
            middle: middle.collect::<Result<_>>()?,
            last: nn::conv2d_no_bias(8 * F, 1, 4, conv::Conv2d::default(), vb.pp("last"))?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut h = nn::leaky_relu(&self.first.forward(x)?, 0.2)?;
        for (conv, norm) in &self.middle {
            h = conv.forward(&h)?;
            h = match norm {
                Norm::Batch(norm) => norm.forward(&h, Mode::Train)?,
                Norm::Layer(norm) => norm.forward(&h)?,
            };
        }
        self.last.forward(&h)?.flatten_from(1)
    }
}

struct G {
    blocks: Vec<(nn::ConvTranspose2d, nn::BatchNorm)>,
    last: nn::ConvTranspose2d,
}

impl G {
    fn new(vb: VarBuilder<'_>) -> Result<Self> {
        let double = conv::ConvTranspose2d {
            stride: 2,
            padding: 1,
            ..Default::default()
        };
        let blocks = (0..4).map(|i| {
            let (from, to) = (if i == 0 { Z } else { (16 * F) >> i }, (8 * F) >> i);
            let how = if i == 0 {
                conv::ConvTranspose2d::default()
            } else {
                double
            };
            let up = nn::conv_transpose2d_no_bias(from, to, 4, how, vb.pp(format!("c{i}")))?;
            Ok((up, nn::batch_norm(to, Act::Relu, vb.pp(format!("n{i}")))?))
        });
        Ok(Self {
            blocks: blocks.collect::<Result<_>>()?,
            last: nn::conv_transpose2d_no_bias(F, 1, 4, double, vb.pp("last"))?,
        })
    }

    fn forward(&self, z: &Tensor) -> Result<Tensor> {
        let mut h = z.clone();
        for (conv, norm) in &self.blocks {
            h = norm.forward(&conv.forward(&h)?, Mode::Train)?;
        }
        nn::tanh(&self.last.forward(&h)?)
    }
}

fn resident_mib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|line| {
        line.trim_start_matches(':')
            .trim()
            .split(' ')
            .next()?
            .parse::<u64>()
            .ok()
    });
    kib.unwrap_or(0) / 1024
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let kind = args.next().unwrap_or_else(|| "plain".into());
    let steps: usize = args.next().and_then(|n| n.parse().ok()).unwrap_or(20);
    let b: usize = args.next().and_then(|n| n.parse().ok()).unwrap_or(64);
    let penalty = match kind.as_str() {
        "plain" => false,
        "penalty" => true,
        other => bail!("{other}: expected plain or penalty"),
    };
    let device = Device::Cpu;
    let data = DataInfo::picture(1, 64, 64);
    let cx = Context::new(&device, 1, data, 1);
    let small = |_: &str, _: &candle_core::Shape, hint: Init| match hint {
        Init::Uniform { .. } => Init::Randn {
            mean: 0.,
            stdev: 0.02,
        },
        other => other,
    };
    let d = Net::new(&cx, "d", small, |vb| D::new(penalty, vb))?;
    let g = Net::new(&cx, "g", small, G::new)?;
    let adam = |net| Optimizer::new(Rule::adam(0.5, 0.999), 2e-4, &[net]);
    let (mut opt_d, mut opt_g) = (adam(&d.params)?, adam(&g.params)?);
    let mut rng = CounterRng::new(1, &device);
    let x = rng.uniform("x", &[b, 1, 64, 64])?.affine(2., -1.)?;
    let (mut times, mut early) = (Vec::new(), 0);
    let _recording = tape::start();
    for t in 0..steps + 2 {
        let start = Instant::now();
        rng.begin(t as u64);
        let fake = g.live.forward(&rng.normal("z", &[b, Z, 1, 1])?)?;
        let real = bce_with_logits(&d.live.forward(&x)?, 1.)?;
        let mut loss = (real + bce_with_logits(&d.live.forward(&fake.detach())?, 0.)?)?;
        if penalty {
            let eps = rng.uniform("eps", &[b, 1, 1, 1])?;
            let x_hat =
                (x.broadcast_mul(&eps)? + fake.detach().broadcast_mul(&eps.affine(-1., 1.)?)?)?;
            let (gp, _) = gradient_penalty(|x| d.live.forward(x), &x_hat)?;
            loss = (loss + (gp * 10.)?)?;
        }
        opt_d.step(&loss)?;
        drop(loss);
        opt_g.step(&bce_with_logits(&d.frozen.forward(&fake)?, 1.)?)?;
        drop(fake);
        if t >= 2 {
            times.push(start.elapsed().as_secs_f64());
        }
        if t == steps / 10 + 2 {
            early = resident_mib("VmRSS");
        }
    }
    times.sort_by(f64::total_cmp);
    let at = |i: usize| times.get(i).map_or(0., |t| (t * 1e4).round() / 1e4);
    println!(
        "{{\"step\": \"dcgan {kind} 64 px b{b}\", \"median_s\": {}, \"min_s\": {}, \"steps\": {steps}, \
         \"rss_mib_early\": {early}, \"rss_mib_end\": {}, \"peak_rss_mib\": {}, \"dtype\": \"{:?}\"}}",
        at(times.len() / 2),
        at(0),
        resident_mib("VmRSS"),
        resident_mib("VmHWM"),
        DType::F32
    );
    Ok(())
}
