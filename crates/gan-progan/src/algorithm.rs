//! The training: one iteration is an update of D, one of G, and one of G's average.

use crate::config::Config;
use crate::model::{At, Discriminator, Generator, initial};
use crate::schedule::Schedule;
use candle_core::{Device, Result, Tensor};
use gan_core::loss::gradient_penalty;
use gan_core::{
    Algorithm, Context, Draws, Ema, Iter, Net, Optimizer, Paper, Rule, Sampler, Stateful, check,
};

/// The progressively growing GAN in training.
#[derive(Debug)]
pub struct ProGan {
    config: Config,
    schedule: Schedule,
    d: Net<Discriminator>,
    g: Net<Generator>,
    ema: Ema<Generator>,
    opt_d: Optimizer,
    opt_g: Optimizer,
}

impl ProGan {
    /// Networks of all resolutions from N(0, 1), an Adam for each, and the average of G.
    ///
    /// # Errors
    /// A setting out of range, pictures that do not fit it, a run that ends before the last growth.
    pub fn new(config: &Config, cx: &Context) -> Result<Self> {
        config.check()?;
        check::channels(config.channels, &cx.data)?;
        let schedule = Schedule::new(config, cx.length)?;
        let sizes = config.sizes();
        let d = Net::new(cx, "d", initial, |vb| {
            Discriminator::new(&sizes, config.group, vb)
        })?;
        let generator = |vb| Generator::new(&sizes, vb);
        let g = Net::new(cx, "g", initial, generator)?;
        let rule = Rule::adam(config.beta1, config.beta2);
        Ok(Self {
            schedule,
            ema: Ema::new(&g, config.ema, generator)?,
            opt_d: Optimizer::new(rule, config.lr, &[&d.params])?,
            opt_g: Optimizer::new(rule, config.lr, &[&g.params])?,
            config: config.clone(),
            d,
            g,
        })
    }
}

impl Algorithm for ProGan {
    /// Algorithm 1 of the Wasserstein GAN with gradient penalty, n_critic = 1, with drift (appendix A.1).
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let phase = self.schedule.phase(it.t);
        let Config {
            z_dim,
            lambda_gp,
            drift: epsilon_drift,
            ..
        } = self.config;
        for opt in [&mut self.opt_d, &mut self.opt_g] {
            if self.config.reset && self.schedule.grows(it.t) {
                opt.reset()?;
            }
            opt.train_only(|key| phase.uses(key));
        }
        let m = it.share(self.config.batch.at(phase.level))?;
        let view = self.config.learns().view;
        let [x] = it.batch(m, view, [phase.real(self.config.size)])?;
        let x = phase.faded(&x)?;
        let z = it.normal("z", &[m, z_dim])?;
        let eps = it.uniform("eps", &[m, 1, 1, 1])?;
        let fake = self.g.frozen.forward(&z, &phase)?;
        let x_hat = (x.broadcast_mul(&eps)? + fake.broadcast_mul(&(1. - &eps)?)?)?;
        let (gp, norms) = gradient_penalty(|x| self.d.live.forward(x, &phase), &x_hat)?;
        let real = self.d.live.forward(&x, &phase)?;
        let f_fake = self.d.live.forward(&fake, &phase)?.mean_all()?;
        let (f_real, drift) = (real.mean_all()?, real.sqr()?.mean_all()?);
        let wasserstein = (&f_real - &f_fake)?;
        let d_loss = (((&gp * lambda_gp)? + (&drift * epsilon_drift)?)? - &wasserstein)?;
        it.log("wasserstein", &wasserstein);
        it.log("gradient_norm", &norms.mean_all()?);
        it.log("resolution", &number(phase.side() as f64)?);
        it.log("alpha", &number(phase.alpha)?);
        let terms = [
            ("d", &d_loss),
            ("f_real", &f_real),
            ("f_fake", &f_fake),
            ("gp", &gp),
            ("drift", &drift),
        ];
        it.minimise(&mut self.opt_d, "d", &terms)?;
        let z = it.normal("z", &[m, z_dim])?;
        let fake = self.g.live.forward(&z, &phase)?;
        let g_loss = self.d.frozen.forward(&fake, &phase)?.mean_all()?.neg()?;
        it.minimise(&mut self.opt_g, "g", &[("g", &g_loss)])?;
        self.ema.update(&self.g.params, |key| phase.uses(key))
    }

    fn sampler(&self, t: u64) -> Box<dyn Sampler + '_> {
        Box::new(At {
            g: &self.ema.module,
            phase: self.schedule.phase(t.saturating_sub(1)), // the one that was trained last
        })
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

/// A number to be logged.
fn number(value: f64) -> Result<Tensor> {
    Tensor::new(value as f32, &Device::Cpu)
}
