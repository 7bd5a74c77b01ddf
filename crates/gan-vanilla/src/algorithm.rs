//! The training: one iteration is one update of D and one of G.

use crate::config::Config;
use crate::model::{Discriminator, Generator, score};
use candle_core::Result;
use gan_core::loss::bce;
use gan_core::{
    Algorithm, Context, Draws, Iter, Net, Optimizer, Paper, Rule, Sampler, Stateful, View, init,
    pictures,
};

/// The original GAN in training.
#[derive(Debug)]
pub struct Vanilla {
    batch: usize,
    view: View,
    z_dim: usize,
    d: Net<Discriminator>,
    g: Net<Generator>,
    opt_d: Optimizer,
    opt_g: Optimizer,
}

impl Vanilla {
    /// Networks with PyTorch's default initial values and an Adam for each.
    ///
    /// # Errors
    /// A setting out of range.
    pub fn new(config: &Config, cx: &Context) -> Result<Self> {
        config.check()?;
        let view = config.learns().view;
        let picture = view.picture(&cx.data);
        let pixels = picture.iter().product();
        let d = Net::new(cx, "d", init::as_layers, |vb| {
            Discriminator::new(pixels, config.hidden_d, vb)
        })?;
        let g = Net::new(cx, "g", init::as_layers, |vb| {
            Generator::new(config.z_dim, config.hidden_g, picture, vb)
        })?;
        let rule = Rule::adam(config.beta1, config.beta2);
        Ok(Self {
            batch: config.batch,
            view,
            z_dim: config.z_dim,
            opt_d: Optimizer::new(rule, config.lr, &[&d.params])?,
            opt_g: Optimizer::new(rule, config.lr, &[&g.params])?,
            d,
            g,
        })
    }
}

impl Algorithm for Vanilla {
    /// Algorithm 1 of the paper with k = 1.
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let b = it.share(self.batch)?;
        let [x] = it.batch(b, self.view, [pictures("real")])?;
        let x = x.flatten_from(1)?;
        let z = it.normal("z", &[b, self.z_dim])?;
        let fake = self.g.live.forward(&z)?;

        // Ascend ln D(x) + ln(1 − D(G(z))).
        let p_real = self.d.live.forward(&x)?;
        let p_fake = self.d.live.forward(&fake.detach())?;
        let (d_real, d_fake) = (bce(&p_real, 1.)?, bce(&p_fake, 0.)?);
        let d_loss = ((&d_real + &d_fake)? / 2.)?;
        it.log("score/real", &score(&p_real)?);
        it.log("score/fake", &score(&p_fake)?);
        let terms = [("d", &d_loss), ("d_real", &d_real), ("d_fake", &d_fake)];
        it.minimise(&mut self.opt_d, "d", &terms)?;

        // Ascend ln D(G(z)), the same fake through the updated D (section 3's stronger gradient).
        let g_loss = bce(&self.d.frozen.forward(&fake)?, 1.)?;
        it.minimise(&mut self.opt_g, "g", &[("g", &g_loss)])
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
