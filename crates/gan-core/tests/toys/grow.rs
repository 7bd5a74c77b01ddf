//! A pair of networks that grows: its pictures become twice as large.

use super::{Generator, Mode, Z, interpolate, paper, square};
use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use gan_core::nn::{Linear, linear};
use gan_core::{
    Algorithm, Columns, Context, Draws, Ema, Erased, Iter, Law, Learns, Net, Optimizer, Paper,
    Probe, Rule, Sampler, Stateful, Takes, View, init, loss, pictures,
};

pub const GROW: Erased<GrowConfig> = Erased::NEW;

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
    /// The phase of iteration `t`.
    pub fn at(t: u64) -> Self {
        if t < 5 { Phase::Low } else { Phase::High }
    }

    /// By how much its pictures are smaller than those of the end.
    fn factor(self) -> usize {
        match self {
            Phase::Low => 2,
            Phase::High => 1,
        }
    }

    /// Whether it trains the parameter of this key.
    fn trains(self, key: &str) -> bool {
        let other = match self {
            Phase::Low => ["rgb.1.", "mid."],
            Phase::High => ["rgb.0.", "rgb.0."],
        };
        !other.iter().any(|part| key.contains(part))
    }
}

pub struct Grow {
    config: GrowConfig,
    view: View,
    side: usize,
    g: Net<Grown>,
    d: Net<Grown>,
    ema: Ema<Grown>,
    opt_g: Optimizer,
    opt_d: Optimizer,
}

paper!(Grow, GrowConfig, "toy-grow" on "mnist", |batch| {
    Learns::pictures(View::square(32), batch)
});

impl Grow {
    fn new(config: &GrowConfig, cx: &Context) -> Result<Self> {
        let view = config.learns().view;
        let picture = view.picture(&cx.data);
        let pixels = picture.iter().product();
        let g = Net::new(cx, "g", init::as_layers, |vb| Grown::generator(pixels, vb))?;
        let d = Net::new(cx, "d", init::as_layers, |vb| Grown::critic(pixels, vb))?;
        let adam = |nets| Optimizer::new(Rule::adam(0., 0.99), config.lr, nets);
        Ok(Self {
            opt_g: adam(&[&g.params])?,
            opt_d: adam(&[&d.params])?,
            ema: Ema::new(&g, 0.9, |vb| Grown::generator(pixels, vb))?,
            config: config.clone(),
            view,
            side: picture[2],
            g,
            d,
        })
    }
}

impl Algorithm for Grow {
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let (phase, b) = (Phase::at(it.t), it.share(self.config.batch)?);
        for opt in [&mut self.opt_g, &mut self.opt_d] {
            opt.train_only(|key| phase.trains(key));
        }
        let [x] = it.batch(b, self.view, [pictures("real").averaged(phase.factor())])?;
        let x = x.flatten_from(1)?;
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
        self.ema.update(&self.g.params, |_| true)
    }

    fn sampler(&self, t: u64) -> Box<dyn Sampler + '_> {
        let phase = Phase::at(t.saturating_sub(1));
        Box::new(Growing(&self.ema.module, phase, self.side / phase.factor()))
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
        Takes::noise(&[Z], Law::Normal)
    }

    fn sample(&self, input: &Probe, draws: &mut dyn Draws) -> Result<Columns> {
        let fake = self.0.grow(input.z()?, self.1, Mode::Eval, draws)?;
        Ok(Columns::new("fake", square(&fake, self.2)?))
    }
}
