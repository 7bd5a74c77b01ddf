//! A paper of one's own under the whole runner: two perceptrons with least squares (Mao et al. 2017) for losses.
//! `cargo run -p xtask --example own_paper -- train own`, then `train own --resume`, `sample runs/own/0001`, `--help`.

use candle_core::{Result, Tensor};
use gan_core::nn::{Linear, leaky_relu, linear, tanh};
use gan_core::{
    Algorithm, Columns, Context, DataInfo, Draws, Erased, Iter, Law, Learns, Net, Optimizer, Paper,
    PaperInfo, Preset, Probe, Rule, Sampler, Stateful, Takes, View, init, loss::mse, pictures,
};

const Z: usize = 16;
const SIDE: usize = 28;

/// The settings: `--set lr=1e-3` changes one, `info own` prints these sentences.
#[derive(Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Config {
    /// Pictures in a batch.
    batch: usize,
    /// Learning rate of both optimizers.
    lr: f64,
}

impl Paper for Config {
    const INFO: PaperInfo = PaperInfo::own("own", "A GAN of one's own", "mnist");

    fn preset(_: Preset, _: &DataInfo) -> Self {
        let (batch, lr) = (32, 3e-4);
        Self { batch, lr }
    }

    fn steps(&self, preset: Preset, _: &DataInfo) -> u64 {
        if preset == Preset::Smoke { 12 } else { 20_000 }
    }

    fn learns(&self) -> Learns {
        Learns::pictures(View::square(SIDE), self.batch)
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Algorithm>> {
        let pixels = cx.data.channels * SIDE * SIDE;
        let d = Net::new(cx, "d", init::as_layers, |vb| Two::new(pixels, 1, vb))?;
        let g = Net::new(cx, "g", init::as_layers, |vb| Two::new(Z, pixels, vb))?;
        let adam = |net: &Net<Two>| Optimizer::new(Rule::adam(0.5, 0.999), self.lr, &[&net.params]);
        Ok(Box::new(Gan(self.clone(), (adam(&d)?, adam(&g)?), d, g)))
    }
}

struct Two(Linear, Linear);

impl Two {
    fn new(inputs: usize, outputs: usize, vb: candle_nn::VarBuilder<'_>) -> Result<Self> {
        let first = linear(inputs, 128, vb.pp("first"))?;
        Ok(Self(first, linear(128, outputs, vb.pp("last"))?))
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.1.forward(&leaky_relu(&self.0.forward(x)?, 0.2)?)
    }
}

impl Sampler for Two {
    fn takes(&self) -> Takes {
        Takes::noise(&[Z], Law::Normal)
    }

    fn sample(&self, input: &Probe, _: &mut dyn Draws) -> Result<Columns> {
        let fake = tanh(&self.forward(input.z()?)?)?.reshape((input.count()?, (), SIDE, SIDE))?;
        Ok(Columns::new("fake", fake))
    }
}

struct Gan(Config, (Optimizer, Optimizer), Net<Two>, Net<Two>);

impl Algorithm for Gan {
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let Self(config, (opt_d, opt_g), d, g) = self;
        let b = it.share(config.batch)?; // of several workers, this one's part
        let [x] = it.batch(b, config.learns().view, [pictures("real")])?;
        let fake = tanh(&g.live.forward(&it.normal("z", &[b, Z])?)?)?;
        let real = mse(&d.live.forward(&x.flatten_from(1)?)?, 1.)?;
        let d_loss = (real + mse(&d.live.forward(&fake.detach())?, 0.)?)?;
        it.minimise(opt_d, "d", &[("d", &d_loss)])?;
        let g_loss = mse(&d.frozen.forward(&fake)?, 1.)?; // no gradient for D's weights
        it.minimise(opt_g, "g", &[("g", &g_loss)])
    }

    fn sampler(&self, _: u64) -> Box<dyn Sampler + '_> {
        Box::new(&self.3.frozen)
    }

    fn parts(&mut self) -> Vec<(&'static str, &mut dyn Stateful)> {
        let Self(_, (opt_d, opt_g), d, g) = self; // all that a checkpoint has to hold
        vec![("d", d), ("g", g), ("opt_d", opt_d), ("opt_g", opt_g)]
    }
}

fn main() -> std::process::ExitCode {
    xtask::main(&[&Erased::<Config>::NEW])
}
