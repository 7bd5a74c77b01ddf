//! The training: one iteration is `n_critic` updates of the critic and one of G.

use crate::config::Config;
use candle_core::Result;
use gan_core::nn::Mode::Train;
use gan_core::nn::maps::Norm;
use gan_core::nn::strided::{Discriminator as Critic, Generator};
use gan_core::{
    Algorithm, Context, Draws, Iter, Net, Optimizer, Paper, Rule, Sampler, Stateful, check, init,
    pictures,
};

/// The Wasserstein GAN in training; the critic f is the network `d`.
#[derive(Debug)]
pub struct Wgan {
    config: Config,
    d: Net<Critic>,
    g: Net<Generator>,
    opt_d: Optimizer,
    opt_g: Optimizer,
}

impl Wgan {
    /// Networks whose kernels start from N(0, .02²), and an RMSProp for each.
    ///
    /// # Errors
    /// A setting out of range, or pictures that do not fit it.
    pub fn new(config: &Config, cx: &Context) -> Result<Self> {
        config.check()?;
        check::channels(config.channels, &cx.data)?;
        let d = Net::new(cx, "d", init::convolutions_normal, |vb| {
            Critic::new(Norm::Batch, &config.critic(), vb)
        })?;
        let g = Net::new(cx, "g", init::convolutions_normal, |vb| {
            Generator::new(config.z_dim, &config.generator(), vb)
        })?;
        let rule = Rule::RmsProp {
            alpha: config.alpha,
            eps: 1e-8,
        };
        Ok(Self {
            opt_d: Optimizer::new(rule, config.lr, &[&d.params])?,
            opt_g: Optimizer::new(rule, config.lr, &[&g.params])?,
            config: config.clone(),
            d,
            g,
        })
    }
}

impl Algorithm for Wgan {
    /// Algorithm 1 of the paper.
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let m = it.share(self.config.batch)?;
        let view = self.config.learns().view;
        let Config {
            z_dim,
            n_critic,
            clip,
            ..
        } = self.config;
        for k in 0..n_critic {
            let [x] = it.batch(m, view, [pictures("real")])?; // line 3
            let z = it.normal("z", &[m, z_dim, 1, 1])?; // line 4
            let fake = self.g.frozen.forward(&z, Train)?;
            let f_real = self.d.live.forward(&x, Train)?.mean_all()?;
            let f_fake = self.d.live.forward(&fake, Train)?.mean_all()?;
            let d_loss = (&f_fake - &f_real)?;
            it.log("wasserstein", &d_loss.neg()?);
            let terms = [("d", &d_loss), ("f_real", &f_real), ("f_fake", &f_fake)];
            it.minimise(&mut self.opt_d, &format!("d{k}"), &terms)?; // lines 5 and 6
            self.d.params.clip(clip)?; // line 7
        }
        let z = it.normal("z", &[m, z_dim, 1, 1])?; // line 9
        let fake = self.g.live.forward(&z, Train)?;
        let g_loss = self.d.frozen.forward(&fake, Train)?.mean_all()?.neg()?;
        it.minimise(&mut self.opt_g, "g", &[("g", &g_loss)]) // lines 10 and 11
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
