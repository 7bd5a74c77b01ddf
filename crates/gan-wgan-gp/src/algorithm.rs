//! The training: one iteration is `n_critic` updates of the critic and one of G.

use crate::config::Config;
use candle_core::Result;
use gan_core::loss::gradient_penalty;
use gan_core::nn::Mode::Train;
use gan_core::nn::maps::Norm;
use gan_core::nn::strided::{Discriminator as Critic, Generator};
use gan_core::{
    Algorithm, Context, Draws, Iter, Net, Optimizer, Paper, Rule, Sampler, Stateful, check, init,
    pictures,
};

/// The Wasserstein GAN with gradient penalty in training; the critic is the network `d`.
#[derive(Debug)]
pub struct WganGp {
    config: Config,
    d: Net<Critic>,
    g: Net<Generator>,
    opt_d: Optimizer,
    opt_g: Optimizer,
}

impl WganGp {
    /// Networks whose kernels start from N(0, .02²), and an Adam for each.
    ///
    /// # Errors
    /// A setting out of range, or pictures that do not fit it.
    pub fn new(config: &Config, cx: &Context) -> Result<Self> {
        config.check()?;
        check::channels(config.channels, &cx.data)?;
        let d = Net::new(cx, "d", init::convolutions_normal, |vb| {
            Critic::new(Norm::Layer, &config.critic(), vb)
        })?;
        let g = Net::new(cx, "g", init::convolutions_normal, |vb| {
            Generator::new(config.z_dim, &config.generator(), vb)
        })?;
        let rule = Rule::adam(config.beta1, config.beta2);
        Ok(Self {
            opt_d: Optimizer::new(rule, config.lr, &[&d.params])?,
            opt_g: Optimizer::new(rule, config.lr, &[&g.params])?,
            config: config.clone(),
            d,
            g,
        })
    }
}

impl Algorithm for WganGp {
    /// Algorithm 1 of the paper.
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let m = it.share(self.config.batch)?;
        let view = self.config.learns().view;
        let Config {
            z_dim,
            n_critic,
            lambda_gp,
            ..
        } = self.config;
        for k in 0..n_critic {
            let [x] = it.batch(m, view, [pictures("real")])?; // line 4
            let z = it.normal("z", &[m, z_dim, 1, 1])?;
            let eps = it.uniform("eps", &[m, 1, 1, 1])?;
            let fake = self.g.frozen.forward(&z, Train)?; // line 5
            let x_hat = (x.broadcast_mul(&eps)? + fake.broadcast_mul(&(1. - &eps)?)?)?; // line 6
            let (gp, norms) = gradient_penalty(|x| self.d.live.forward(x, Train), &x_hat)?;
            let f_real = self.d.live.forward(&x, Train)?.mean_all()?;
            let f_fake = self.d.live.forward(&fake, Train)?.mean_all()?;
            let wasserstein = (&f_real - &f_fake)?;
            let d_loss = ((&gp * lambda_gp)? - &wasserstein)?; // line 7
            it.log("wasserstein", &wasserstein);
            it.log("gradient_norm", &norms.mean_all()?);
            let terms = [
                ("d", &d_loss),
                ("f_real", &f_real),
                ("f_fake", &f_fake),
                ("gp", &gp),
            ];
            it.minimise(&mut self.opt_d, &format!("d{k}"), &terms)?; // line 9
        }
        let z = it.normal("z", &[m, z_dim, 1, 1])?; // line 11
        let fake = self.g.live.forward(&z, Train)?;
        let g_loss = self.d.frozen.forward(&fake, Train)?.mean_all()?.neg()?;
        it.minimise(&mut self.opt_g, "g", &[("g", &g_loss)]) // line 12
    }

    fn sampler(&self, _: u64) -> Box<dyn Sampler + '_> {
        Box::new(&self.g.frozen)
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
