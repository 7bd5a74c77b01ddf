//! Time and memory of an SRResNet-shaped training step (24 to 96 px, batch 4, mean squared error;
//! Ledig et al. 2017, arXiv:1609.04802, figure 4), one JSON line:
//! `cargo run -p gan-core --example srresnet_step -- [STEPS [BATCH]]`
//!
//! `tests/reference/compare.py srresnet` runs it and the same step in PyTorch alternately.

use candle_core::{Device, Result, Tensor};
use candle_nn::VarBuilder;
use gan_core::nn::{self, Act, Mode};
use gan_core::rng::CounterRng;
use gan_core::{Context, DataInfo, Draws, Net, Optimizer, Rule};
use gan_kernels::{loss, resample, tape};
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const F: usize = 64;
const BLOCKS: usize = 16;

struct Block {
    conv1: nn::Conv2d,
    bn1: nn::BatchNorm,
    act: nn::PRelu,
    conv2: nn::Conv2d,
    bn2: nn::BatchNorm,
}

struct SrResnet {
    conv_first: nn::Conv2d,
    act_first: nn::PRelu,
    body: Vec<Block>,
    conv_body: nn::Conv2d,
    bn_body: nn::BatchNorm,
    up: Vec<(nn::Conv2d, nn::PRelu)>,
    conv_last: nn::Conv2d,
}

impl SrResnet {
    fn new(vb: VarBuilder<'_>) -> Result<Self> {
        let same = |k: usize| nn::strided_conv(1, k / 2, Act::None);
        let conv3 =
            |name: &str, vb: &VarBuilder<'_>| nn::conv2d_no_bias(F, F, 3, same(3), vb.pp(name));
        let bn = |name: &str, vb: &VarBuilder<'_>| nn::batch_norm(F, Act::None, vb.pp(name));
        let block = |i: usize| {
            let vb = vb.pp(format!("body.{i}"));
            Ok(Block {
                conv1: conv3("conv1", &vb)?,
                bn1: bn("bn1", &vb)?,
                act: nn::prelu(1, vb.pp("act"))?,
                conv2: conv3("conv2", &vb)?,
                bn2: bn("bn2", &vb)?,
            })
        };
        let up = |i: usize| {
            let vb = vb.pp(format!("up.{i}"));
            let conv = nn::conv2d(F, 4 * F, 3, same(3), vb.pp("conv"))?;
            Ok((conv, nn::prelu(1, vb.pp("act"))?))
        };
        Ok(Self {
            conv_first: nn::conv2d(3, F, 9, same(9), vb.pp("conv_first"))?,
            act_first: nn::prelu(1, vb.pp("act_first"))?,
            body: (0..BLOCKS).map(block).collect::<Result<_>>()?,
            conv_body: conv3("conv_body", &vb)?,
            bn_body: bn("bn_body", &vb)?,
            up: (0..2).map(up).collect::<Result<_>>()?,
            conv_last: nn::conv2d(F, 3, 9, same(9), vb.pp("conv_last"))?,
        })
    }

    fn forward(&self, low: &Tensor) -> Result<Tensor> {
        let first = self.act_first.forward(&self.conv_first.forward(low)?)?;
        let mut x = first.clone();
        for b in &self.body {
            let h = b.bn1.forward(&b.conv1.forward(&x)?, Mode::Train)?;
            let h = b.conv2.forward(&b.act.forward(&h)?)?;
            x = gan_kernels::add(&x, &b.bn2.forward(&h, Mode::Train)?)?;
        }
        let h = self
            .bn_body
            .forward(&self.conv_body.forward(&x)?, Mode::Train)?;
        x = gan_kernels::add(&first, &h)?;
        for (conv, act) in &self.up {
            x = act.forward(&resample::pixel_shuffle(&conv.forward(&x)?, 2)?)?;
        }
        self.conv_last.forward(&x)
    }
}

/// The largest resident memory so far, in MiB; 0 where the system does not say.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let steps: usize = args.next().and_then(|n| n.parse().ok()).unwrap_or(20);
    let b: usize = args.next().and_then(|n| n.parse().ok()).unwrap_or(4);
    let device = Device::Cpu;
    let data = DataInfo::picture(3, 96, 96);
    let cx = Context::new(&device, 1, data, 1);
    let g = Net::new(&cx, "g", gan_core::init::as_layers, SrResnet::new)?;
    let mut opt = Optimizer::new(Rule::adam(0.9, 0.999), 1e-4, &[&g.params])?;
    let mut rng = CounterRng::new(1, &device);
    let low = rng.uniform("low", &[b, 3, 24, 24])?;
    let high = rng.uniform("high", &[b, 3, 96, 96])?.affine(2., -1.)?;
    let mut times = Vec::new();
    let _recording = tape::start();
    for t in 0..steps + 2 {
        let start = Instant::now();
        opt.step(&loss::mse(&g.live.forward(&low)?, &high)?)?;
        if t >= 2 {
            times.push(start.elapsed().as_secs_f64());
        }
    }
    times.sort_by(f64::total_cmp);
    let at = |i: usize| times.get(i).map_or(0., |t| (t * 1e4).round() / 1e4);
    println!(
        "{{\"paper\": \"srresnet\", \"batch\": {b}, \"median_s\": {}, \"min_s\": {}, \"iterations\": {steps}, \
         \"peak_rss_mib\": {}}}",
        at(times.len() / 2),
        at(0),
        peak_mib()
    );
    Ok(())
}
