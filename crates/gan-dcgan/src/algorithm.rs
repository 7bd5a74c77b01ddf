//! The training: one iteration is one update of D and one of G.

use crate::config::Config;
use candle_core::Result;
use gan_core::loss::bce_with_logits;
use gan_core::nn::Mode::Train;
use gan_core::nn::maps::Norm;
use gan_core::nn::sigmoid;
use gan_core::nn::strided::{Discriminator, Generator};
use gan_core::{
    Algorithm, Context, Draws, Iter, Net, Optimizer, Paper, Rule, Sampler, Stateful, check, init,
    pictures,
};

/// The deep convolutional GAN in training.
#[derive(Debug)]
pub struct Dcgan {
    config: Config,
    d: Net<Discriminator>,
    g: Net<Generator>,
    opt_d: Optimizer,
    opt_g: Optimizer,
}

impl Dcgan {
    /// Networks whose kernels start from N(0, .02²), and an Adam for each.
    ///
    /// # Errors
    /// A setting out of range, or pictures that do not fit it.
    pub fn new(config: &Config, cx: &Context) -> Result<Self> {
        config.check()?;
        check::channels(config.channels, &cx.data)?;
        let d = Net::new(cx, "d", init::convolutions_normal, |vb| {
            Discriminator::new(Norm::Batch, &config.discriminator(), vb)
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

impl Algorithm for Dcgan {
    /// Goodfellow's Algorithm 1 with k = 1; real and fake pictures go through D's batch norm apart.
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let b = it.share(self.config.batch)?;
        let [x] = it.batch(b, self.config.learns().view, [pictures("real")])?;
        let z = it.normal("z", &[b, self.config.z_dim, 1, 1])?;
        let fake = self.g.live.forward(&z, Train)?; // [b, channels, size, size]

        // Ascend ln D(x) + ln(1 − D(G(z))).
        let real_score = self.d.live.forward(&x, Train)?; // [b]
        let fake_score = self.d.live.forward(&fake.detach(), Train)?;
        let d_real = bce_with_logits(&real_score, 1.)?;
        let d_fake = bce_with_logits(&fake_score, 0.)?;
        let d_loss = (&d_real + &d_fake)?;
        it.log("score/real", &sigmoid(&real_score.detach())?.mean_all()?);
        it.log("score/fake", &sigmoid(&fake_score.detach())?.mean_all()?);
        let terms = [("d", &d_loss), ("d_real", &d_real), ("d_fake", &d_fake)];
        it.minimise(&mut self.opt_d, "d", &terms)?;

        // Ascend ln D(G(z)), the same fake through the updated D.
        let g_loss = bce_with_logits(&self.d.frozen.forward(&fake, Train)?, 1.)?;
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
