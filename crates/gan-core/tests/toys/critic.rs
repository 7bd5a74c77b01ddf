//! A critic under a penalty, or with clipped weights.

use super::{Discriminator, Generator, Mode, Shown, Z, interpolate, paper};
use candle_core::Result;
use gan_core::{
    Algorithm, Context, Draws, Erased, Iter, Learns, Net, Optimizer, Paper, Rule, Sampler,
    Stateful, View, init, loss, pictures,
};

pub const CRITIC: Erased<CriticConfig> = Erased::NEW;

pub struct Critic {
    config: CriticConfig,
    view: View,
    height: usize,
    g: Net<Generator>,
    d: Net<Discriminator>,
    opt_g: Optimizer,
    opt_d: Optimizer,
}

paper!(Critic, CriticConfig, "toy-critic" on "mnist", |batch| Learns::pictures(View::whole(), batch));

impl Critic {
    fn new(config: &CriticConfig, cx: &Context) -> Result<Self> {
        let pixels = cx.data.pixels();
        let g = Net::new(cx, "g", init::as_layers, |vb| Generator::new(Z, pixels, vb))?;
        let d = Net::new(cx, "d", init::as_layers, |vb| {
            Discriminator::new(pixels, vb)
        })?;
        let rule = match config.smooth.as_str() {
            "penalty" => Rule::adam(0., 0.9),
            _ => Rule::RmsProp {
                alpha: 0.99,
                eps: 1e-8,
            },
        };
        Ok(Self {
            opt_g: Optimizer::new(rule, config.lr, &[&g.params])?,
            opt_d: Optimizer::new(rule, config.lr, &[&d.params])?,
            config: config.clone(),
            view: config.learns().view,
            height: cx.data.height,
            g,
            d,
        })
    }

    fn critic(&mut self, k: usize, it: &mut Iter<'_>) -> Result<()> {
        let b = it.share(self.config.batch)?;
        let [x] = it.batch(b, self.view, [pictures("real")])?;
        let x = x.flatten_from(1)?;
        let z = it.normal("z", &[b, Z])?;
        let fake = self.g.frozen.forward(&z, Mode::Train, it)?;
        let (f_real, f_fake) = (
            self.d.live.forward(&x)?.mean_all()?,
            self.d.live.forward(&fake)?.mean_all()?,
        );
        let wasserstein = (&f_real - &f_fake)?;
        it.log("wasserstein", &wasserstein);
        let update = format!("d{k}");
        match self.config.smooth.as_str() {
            "penalty" => {
                let x_hat = interpolate(&x, &fake, it)?;
                let (gp, _) = loss::gradient_penalty(|x| self.d.live.forward(x), &x_hat)?;
                let d_loss = ((&gp * 10.)? - wasserstein)?;
                it.minimise(&mut self.opt_d, &update, &[("d", &d_loss), ("gp", &gp)])
            }
            _ => {
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
        let z = it.normal("z", &[it.share(self.config.batch)?, Z])?;
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
