//! Three toy papers with the steps of hard ones: what the traits were settled with.
//!
//! Some 680 lines because the three share their networks and are read side by side.
//!
//! - [`Critic`]: two networks, several critic updates an iteration, a gradient penalty or a clip.
//! - [`Cycle`]: four networks, one optimizer over two of them, a pool of earlier pictures.
//! - [`Grow`]: phases that depend on the iteration, parameters that a phase does not use, an average.
//!
//! Their generator has what makes resuming hard: batch statistics and dropout.

use candle_core::{Device, Result, Tensor, Var, bail};
use candle_nn::{Init, VarBuilder};
use gan_core::data::{Data, DataInfo, InMemory};
use gan_core::nn::{Linear, linear};
use gan_core::{
    Algorithm, Context, Draws, Ema, Erased, Iter, Jitter, Law, Net, Optimizer, Pace, Paper,
    PaperInfo, Preset, Probe, Range, Rule, Sampler, Side, StateReader, StateWriter, Stateful,
    Takes, Task, Weights, init, loss, optim::schedule,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

pub const CRITIC: Erased<Critic> = Erased::NEW;
pub const CYCLE: Erased<Cycle> = Erased::NEW;
pub const GROW: Erased<Grow> = Erased::NEW;

/// Settings of all toys.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Pictures a batch.
    pub batch: usize,
    /// Learning rate.
    pub lr: f64,
    /// Iterations of the run.
    pub steps: u64,
    /// How the critic is kept smooth.
    pub smooth: Smooth,
}

/// How a critic is kept smooth.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Smooth {
    Penalty,
    Clip,
}

const Z: usize = 3;

fn config() -> Config {
    Config {
        batch: 4,
        lr: 1e-2,
        steps: 12,
        smooth: Smooth::Penalty,
    }
}

const fn info(name: &'static str) -> PaperInfo {
    PaperInfo {
        name,
        title: "a toy",
        authors: "nobody",
        year: 2000,
        arxiv: "",
        data: "mnist",
        fixtures: &[],
        bench: &[],
    }
}

/// A small data set of one side or two, 2x2 grey pictures.
pub fn data(task: Task) -> Data {
    let set = |len: usize, tint: usize| -> Arc<InMemory> {
        let info = DataInfo {
            channels: 1,
            height: 2,
            width: 2,
            classes: None,
            len,
        };
        let bytes = (0..len * 4).map(|i| ((i * 37 + i / 4 * 11) % 128 + tint) as u8);
        Arc::new(InMemory::new(info, bytes.collect(), None).expect("a set"))
    };
    match task {
        Task::Unpaired => Data::Unpaired {
            a: set(10, 0),
            b: set(7, 127),
        },
        _ => Data::Images(set(10, 60)),
    }
}

#[derive(Clone, Copy, PartialEq)]
pub enum Mode {
    Train,
    Eval,
}

/// Batch norm without an affine map; enough to have buffers.
struct BatchNorm {
    mean: Var,
    var: Var,
}

impl BatchNorm {
    fn new(n: usize, vb: VarBuilder<'_>) -> Result<Self> {
        let buffer =
            |name, value| Var::from_tensor(&vb.get_with_hints(n, name, Init::Const(value))?);
        Ok(Self {
            mean: buffer("running_mean", 0.)?,
            var: buffer("running_var", 1.)?,
        })
    }

    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let (mean, var) = if mode == Mode::Train {
            let mean = x.mean_keepdim(0)?;
            let var = x.broadcast_sub(&mean)?.sqr()?.mean_keepdim(0)?;
            for (running, now) in [(&self.mean, &mean), (&self.var, &var)] {
                let now = now.detach().squeeze(0)?;
                running.set(&((running.detach() * 0.9)? + (now * 0.1)?)?)?;
            }
            (mean, var)
        } else {
            (
                self.mean.detach().unsqueeze(0)?,
                self.var.detach().unsqueeze(0)?,
            )
        };
        x.broadcast_sub(&mean)?
            .broadcast_div(&(var + 1e-5)?.sqrt()?)
    }
}

/// linear, batch norm, tanh, dropout, linear, tanh
pub struct Generator {
    first: Linear,
    norm: BatchNorm,
    last: Linear,
    inputs: usize,
}

impl Generator {
    fn new(inputs: usize, outputs: usize, vb: VarBuilder<'_>) -> Result<Self> {
        let main = vb.pp("main");
        Ok(Self {
            first: linear(inputs, 8, main.pp(0))?,
            norm: BatchNorm::new(8, main.pp(1))?,
            last: linear(8, outputs, main.pp(4))?,
            inputs,
        })
    }

    fn forward(&self, x: &Tensor, mode: Mode, draws: &mut dyn Draws) -> Result<Tensor> {
        let h = self.norm.forward(&self.first.forward(x)?, mode)?.tanh()?;
        let h = if mode == Mode::Train {
            ((draws.mask("mask", 0.2, h.dims())? * h)? / 0.8)?
        } else {
            h
        };
        self.last.forward(&h)?.tanh()
    }
}

fn pictures(x: &Tensor, side: usize) -> Result<Tensor> {
    x.reshape(((), 1, side, x.elem_count() / x.dim(0)? / side))
}

/// A generator and the height of its pictures.
struct Shown<'a>(&'a Generator, usize);

impl Sampler for Shown<'_> {
    fn takes(&self) -> Takes {
        Takes::Latent {
            shape: vec![self.0.inputs],
            law: Law::Normal,
        }
    }

    fn sample(&self, input: &Probe, draws: &mut dyn Draws) -> Result<Vec<(&'static str, Tensor)>> {
        let Probe::Latent(z) = input else {
            bail!("noise was expected")
        };
        let fake = self.0.forward(z, Mode::Eval, draws)?;
        Ok(vec![("fake", pictures(&fake, self.1)?)])
    }
}

pub struct Discriminator {
    first: Linear,
    last: Linear,
}

impl Discriminator {
    fn new(inputs: usize, vb: VarBuilder<'_>) -> Result<Self> {
        Ok(Self {
            first: linear(inputs, 8, vb.pp("disc.0"))?,
            last: linear(8, 1, vb.pp("disc.2"))?,
        })
    }
}

impl Discriminator {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.last.forward(&self.first.forward(x)?.tanh()?)
    }
}

/// x̂ = εx + (1−ε)x̃, one ε a picture
fn interpolate(x: &Tensor, fake: &Tensor, it: &mut Iter<'_>) -> Result<Tensor> {
    let eps = it.uniform("eps", &[x.dim(0)?, 1])?;
    x.broadcast_mul(&eps)? + fake.broadcast_mul(&eps.affine(-1., 1.)?)?
}

macro_rules! paper {
    ($name:ident, $cli:literal, $task:expr) => {
        impl Paper for $name {
            type Config = Config;
            const INFO: PaperInfo = info($cli);

            fn task(_: &Config) -> Task {
                $task
            }

            fn preset(_: Preset, _: &DataInfo) -> Config {
                config()
            }

            fn pace(config: &Config, _: &DataInfo) -> Pace {
                Pace {
                    steps: config.steps,
                    sample_every: 5,
                }
            }

            fn reference(fixture: &str, _: &serde_json::Value) -> Result<(Config, DataInfo)> {
                bail!("{fixture}: toys have no recordings")
            }

            fn build(config: &Config, cx: &Context) -> Result<Box<dyn Algorithm>> {
                Ok(Box::new(Self::new(config, cx)?))
            }

            fn open(_: &Weights, _: &Device) -> Result<Box<dyn Sampler>> {
                bail!("toys have no weights")
            }
        }
    };
}

// ------------------------------------------------------------------ a critic under a penalty

pub struct Critic {
    config: Config,
    height: usize,
    g: Net<Generator>,
    d: Net<Discriminator>,
    opt_g: Optimizer,
    opt_d: Optimizer,
}

paper!(Critic, "toy-critic", Task::Images);

impl Critic {
    fn new(config: &Config, cx: &Context) -> Result<Self> {
        let pixels = cx.data.pixels();
        let g = Net::new(cx, "g", init::as_layers, |vb| Generator::new(Z, pixels, vb))?;
        let d = Net::new(cx, "d", init::as_layers, |vb| {
            Discriminator::new(pixels, vb)
        })?;
        let rule = match config.smooth {
            Smooth::Penalty => Rule::adam(0., 0.9),
            Smooth::Clip => Rule::RmsProp {
                alpha: 0.99,
                eps: 1e-8,
            },
        };
        Ok(Self {
            opt_g: Optimizer::new(rule, config.lr, &[&g.params])?,
            opt_d: Optimizer::new(rule, config.lr, &[&d.params])?,
            config: config.clone(),
            height: cx.data.height,
            g,
            d,
        })
    }

    fn critic(&mut self, k: usize, it: &mut Iter<'_>) -> Result<()> {
        let x = it
            .images("real", self.config.batch, Range::Signed)?
            .flatten_from(1)?;
        let z = it.normal("z", &[self.config.batch, Z])?;
        let fake = self.g.frozen.forward(&z, Mode::Train, it)?;
        let (f_real, f_fake) = (
            self.d.live.forward(&x)?.mean_all()?,
            self.d.live.forward(&fake)?.mean_all()?,
        );
        let wasserstein = (&f_real - &f_fake)?;
        it.log("wasserstein", &wasserstein);
        let update = format!("d{k}");
        match self.config.smooth {
            Smooth::Penalty => {
                let x_hat = interpolate(&x, &fake, it)?;
                let (gp, _) = loss::gradient_penalty(|x| self.d.live.forward(x), &x_hat)?;
                let d_loss = ((&gp * 10.)? - wasserstein)?;
                it.minimise(&mut self.opt_d, &update, &[("d", &d_loss), ("gp", &gp)])
            }
            Smooth::Clip => {
                it.minimise(&mut self.opt_d, &update, &[("d", &wasserstein.neg()?)])?;
                self.d.params.clip(0.1)
            }
        }
    }
}

impl Algorithm for Critic {
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()> {
        for k in 0..5 {
            self.critic(k, it)?;
        }
        let z = it.normal("z", &[self.config.batch, Z])?;
        let fake = self.g.live.forward(&z, Mode::Train, it)?;
        let g_loss = self.d.frozen.forward(&fake)?.mean_all()?.neg()?;
        it.minimise(&mut self.opt_g, "g", &[("g", &g_loss)])
    }

    fn sampler(&self, _: u64) -> Box<dyn Sampler + '_> {
        Box::new(Shown(&self.g.frozen, self.height))
    }

    fn parts(&mut self) -> Vec<(&'static str, &mut dyn Stateful)> {
        vec![
            ("d", &mut self.d),
            ("g", &mut self.g),
            ("opt_d", &mut self.opt_d),
            ("opt_g", &mut self.opt_g),
        ]
    }
}

// ------------------------------------------------------------------ two cycles and a pool

/// The last few pictures that a generator made; its contents are state, its choices are draws.
pub struct Pool {
    capacity: usize,
    held: Vec<Tensor>,
}

impl Pool {
    fn query(&mut self, fake: &Tensor, role: &str, draws: &mut dyn Draws) -> Result<Tensor> {
        let mut out = Vec::new();
        for picture in fake.detach().chunk(fake.dim(0)?, 0)? {
            if self.held.len() < self.capacity {
                self.held.push(picture.clone());
                out.push(picture);
            } else if draws.choices(&format!("{role}.coin"), 1, 2)? == [0] {
                out.push(picture);
            } else {
                let slot = draws.choices(&format!("{role}.slot"), 1, self.capacity)?[0];
                out.push(std::mem::replace(&mut self.held[slot], picture));
            }
        }
        Tensor::cat(&out, 0)
    }
}

impl Stateful for Pool {
    fn save(&self, to: &mut StateWriter<'_>) -> Result<()> {
        to.count("len", self.held.len() as u64)?;
        for (i, picture) in self.held.iter().enumerate() {
            to.tensor(&i.to_string(), picture)?;
        }
        Ok(())
    }

    fn load(&mut self, from: &mut StateReader<'_>) -> Result<()> {
        let n = from.count("len")?;
        self.held = (0..n)
            .map(|i| from.tensor(&i.to_string()))
            .collect::<Result<_>>()?;
        Ok(())
    }
}

pub struct Cycle {
    config: Config,
    g: Net<Generator>,
    f: Net<Generator>,
    d_x: Net<Discriminator>,
    d_y: Net<Discriminator>,
    opt_g: Optimizer,
    opt_d_x: Optimizer,
    opt_d_y: Optimizer,
    pool_x: Pool,
    pool_y: Pool,
}

paper!(Cycle, "toy-cycle", Task::Unpaired);

impl Cycle {
    fn new(config: &Config, cx: &Context) -> Result<Self> {
        let pixels = cx.data.pixels();
        let generator = |name| {
            Net::new(cx, name, init::as_layers, |vb| {
                Generator::new(pixels, pixels, vb)
            })
        };
        let critic = |name| {
            Net::new(cx, name, init::as_layers, |vb| {
                Discriminator::new(pixels, vb)
            })
        };
        let (g, f, d_x, d_y) = (
            generator("g")?,
            generator("f")?,
            critic("d_x")?,
            critic("d_y")?,
        );
        let adam = |nets: &[_]| Optimizer::new(Rule::adam(0.5, 0.999), config.lr, nets);
        let pool = || Pool {
            capacity: 3,
            held: Vec::new(),
        };
        Ok(Self {
            opt_g: adam(&[&g.params, &f.params])?,
            opt_d_x: adam(&[&d_x.params])?,
            opt_d_y: adam(&[&d_y.params])?,
            config: config.clone(),
            g,
            f,
            d_x,
            d_y,
            pool_x: pool(),
            pool_y: pool(),
        })
    }
}

fn squared(scores: &Tensor, target: f64) -> Result<Tensor> {
    (scores - target)?.sqr()?.mean_all()
}

/// The least-squares loss of a discriminator, halved.
fn d_loss(d: &Discriminator, real: &Tensor, fake: &Tensor) -> Result<Tensor> {
    (squared(&d.forward(real)?, 1.)? + squared(&d.forward(fake)?, 0.)?)? / 2.
}

impl Algorithm for Cycle {
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let lr = schedule::linear(self.config.lr, 5, 10, it.t);
        for opt in [&mut self.opt_g, &mut self.opt_d_x, &mut self.opt_d_y] {
            opt.lr = lr;
        }
        let (g, f) = (&self.g.live, &self.f.live);
        let whole = Jitter::none(2);
        let x = it
            .one("x", Side::A, 2, 2, Range::Signed, whole)?
            .flatten_from(1)?;
        let y = it
            .one("y", Side::B, 2, 2, Range::Signed, whole)?
            .flatten_from(1)?;
        let fake_y = g.forward(&x, Mode::Train, it)?;
        let fake_x = f.forward(&y, Mode::Train, it)?;
        let back_x = f.forward(&fake_y, Mode::Train, it)?;
        let back_y = g.forward(&fake_x, Mode::Train, it)?;
        let gan_g = squared(&self.d_y.frozen.forward(&fake_y)?, 1.)?;
        let gan_f = squared(&self.d_x.frozen.forward(&fake_x)?, 1.)?;
        let cycle = ((back_x - &x)?.abs()?.mean_all()? + (back_y - &y)?.abs()?.mean_all()?)?;
        let g_loss = ((&gan_g + &gan_f)? + (&cycle * 10.)?)?;
        it.minimise(
            &mut self.opt_g,
            "g",
            &[
                ("g", &g_loss),
                ("gan_g", &gan_g),
                ("gan_f", &gan_f),
                ("cycle", &cycle),
            ],
        )?;
        let old_x = self.pool_x.query(&fake_x, "pool_x", it)?;
        let loss = d_loss(&self.d_x.live, &x, &old_x)?;
        it.minimise(&mut self.opt_d_x, "d_x", &[("d_x", &loss)])?;
        let old_y = self.pool_y.query(&fake_y, "pool_y", it)?;
        let loss = d_loss(&self.d_y.live, &y, &old_y)?;
        it.minimise(&mut self.opt_d_y, "d_y", &[("d_y", &loss)])
    }

    fn sampler(&self, _: u64) -> Box<dyn Sampler + '_> {
        Box::new(Translators(&self.g.frozen, &self.f.frozen))
    }

    fn parts(&mut self) -> Vec<(&'static str, &mut dyn Stateful)> {
        vec![
            ("g", &mut self.g),
            ("f", &mut self.f),
            ("d_x", &mut self.d_x),
            ("d_y", &mut self.d_y),
            ("opt_g", &mut self.opt_g),
            ("opt_d_x", &mut self.opt_d_x),
            ("opt_d_y", &mut self.opt_d_y),
            ("pool_x", &mut self.pool_x),
            ("pool_y", &mut self.pool_y),
        ]
    }
}

struct Translators<'a>(&'a Generator, &'a Generator);

impl Sampler for Translators<'_> {
    fn takes(&self) -> Takes {
        Takes::Image {
            channels: 1,
            multiple: 1,
        }
    }

    fn sample(&self, input: &Probe, draws: &mut dyn Draws) -> Result<Vec<(&'static str, Tensor)>> {
        let Probe::Image(x) = input else {
            bail!("pictures were expected")
        };
        let y = self.0.forward(&x.flatten_from(1)?, Mode::Eval, draws)?;
        let back = self.1.forward(&y, Mode::Eval, draws)?;
        let side = x.dim(2)?;
        Ok(vec![
            ("input", x.clone()),
            ("translated", pictures(&y, side)?),
            ("cycled", pictures(&back, side)?),
        ])
    }
}

// ------------------------------------------------------------------ a growing pair

/// A network with two exits (a generator's) or two entries (a critic's): one a level.
pub struct Grown {
    body: Generator,
    mid: Linear,
    level: [Linear; 2],
}

impl Grown {
    fn generator(pixels: usize, vb: VarBuilder<'_>) -> Result<Self> {
        Ok(Self {
            body: Generator::new(Z, 8, vb.pp("body"))?,
            mid: linear(8, 8, vb.pp("mid"))?,
            level: [
                linear(8, pixels / 4, vb.pp("to_rgb.0"))?,
                linear(8, pixels, vb.pp("to_rgb.1"))?,
            ],
        })
    }

    fn critic(pixels: usize, vb: VarBuilder<'_>) -> Result<Self> {
        Ok(Self {
            body: Generator::new(8, 1, vb.pp("body"))?,
            mid: linear(8, 8, vb.pp("mid"))?,
            level: [
                linear(pixels / 4, 8, vb.pp("from_rgb.0"))?,
                linear(pixels, 8, vb.pp("from_rgb.1"))?,
            ],
        })
    }

    /// [b, z] → [b, pixels of the phase]
    fn grow(&self, z: &Tensor, phase: Phase, mode: Mode, draws: &mut dyn Draws) -> Result<Tensor> {
        let h = self.body.forward(z, mode, draws)?;
        match phase {
            Phase::Low => self.level[0].forward(&h),
            Phase::High => self.level[1].forward(&self.mid.forward(&h)?.tanh()?),
        }
    }

    /// [b, pixels of the phase] → [b, 1]
    fn judge(&self, x: &Tensor, phase: Phase, draws: &mut dyn Draws) -> Result<Tensor> {
        let h = match phase {
            Phase::Low => self.level[0].forward(x)?,
            Phase::High => self.mid.forward(&self.level[1].forward(x)?.tanh()?)?,
        };
        self.body.forward(&h.tanh()?, Mode::Train, draws)
    }
}

/// A pure function of the iteration, so that it needs no saved state.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Phase {
    Low,
    High,
}

impl Phase {
    pub fn at(t: u64) -> Self {
        if t < 5 { Phase::Low } else { Phase::High }
    }
}

pub struct Grow {
    config: Config,
    height: usize,
    g: Net<Grown>,
    d: Net<Grown>,
    ema: Ema<Grown>,
    opt_g: Optimizer,
    opt_d: Optimizer,
}

paper!(Grow, "toy-grow", Task::Images);

impl Grow {
    fn new(config: &Config, cx: &Context) -> Result<Self> {
        let pixels = cx.data.pixels();
        let g = Net::new(cx, "g", init::as_layers, |vb| Grown::generator(pixels, vb))?;
        let d = Net::new(cx, "d", init::as_layers, |vb| Grown::critic(pixels, vb))?;
        let adam = |nets| Optimizer::new(Rule::adam(0., 0.99), config.lr, nets);
        Ok(Self {
            opt_g: adam(&[&g.params])?.partial(),
            opt_d: adam(&[&d.params])?.partial(),
            ema: Ema::new(&g, 0.9, |vb| Grown::generator(pixels, vb))?,
            config: config.clone(),
            height: cx.data.height,
            g,
            d,
        })
    }

    fn resolution(&self, phase: Phase) -> usize {
        match phase {
            Phase::Low => self.height / 2,
            Phase::High => self.height,
        }
    }
}

impl Algorithm for Grow {
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let phase = Phase::at(it.t);
        let (b, res) = (self.config.batch, self.resolution(phase));
        let x = it
            .images_at("real", b, res, Range::Signed)?
            .flatten_from(1)?;
        let z = it.normal("z", &[b, Z])?;
        let fake = self.g.live.grow(&z, phase, Mode::Train, it)?;
        let f_real = self.d.live.judge(&x, phase, it)?.mean_all()?;
        let f_fake = self.d.live.judge(&fake.detach(), phase, it)?.mean_all()?;
        let x_hat = interpolate(&x, &fake.detach(), it)?;
        let (gp, _) = loss::gradient_penalty(|x| self.d.live.judge(x, phase, it), &x_hat)?;
        let d_loss = (((&f_fake - &f_real)? + (&gp * 10.)?)? + (f_real.sqr()? * 1e-3)?)?;
        it.minimise(&mut self.opt_d, "d", &[("d", &d_loss), ("gp", &gp)])?;
        let g_loss = self.d.frozen.judge(&fake, phase, it)?.mean_all()?.neg()?;
        it.minimise(&mut self.opt_g, "g", &[("g", &g_loss)])?;
        self.ema.update(&self.g.params)
    }

    fn sampler(&self, t: u64) -> Box<dyn Sampler + '_> {
        let phase = Phase::at(t.saturating_sub(1));
        Box::new(Growing(&self.ema.module, phase, self.resolution(phase)))
    }

    fn parts(&mut self) -> Vec<(&'static str, &mut dyn Stateful)> {
        vec![
            ("d", &mut self.d),
            ("g", &mut self.g),
            ("ema", &mut self.ema),
            ("opt_d", &mut self.opt_d),
            ("opt_g", &mut self.opt_g),
        ]
    }
}

struct Growing<'a>(&'a Grown, Phase, usize);

impl Sampler for Growing<'_> {
    fn takes(&self) -> Takes {
        Takes::Latent {
            shape: vec![Z],
            law: Law::Normal,
        }
    }

    fn sample(&self, input: &Probe, draws: &mut dyn Draws) -> Result<Vec<(&'static str, Tensor)>> {
        let Probe::Latent(z) = input else {
            bail!("noise was expected")
        };
        let fake = self.0.grow(z, self.1, Mode::Eval, draws)?;
        Ok(vec![("fake", pictures(&fake, self.2)?)])
    }
}
