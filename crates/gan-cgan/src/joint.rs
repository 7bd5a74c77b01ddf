//! The paper's design: one discriminator judges picture and class together.

use crate::config::Config;
use crate::model::{Discriminator, Generator, encode};
use candle_core::Result;
use gan_core::loss::bce_with_logits;
use gan_core::nn::{Mode::Train, sigmoid};
use gan_core::{
    Algorithm, Context, Draws, Iter, Net, Optimizer, Paper, Sampler, Stateful, labels, pictures,
};

/// The conditional GAN in training, with D(x|y).
#[derive(Debug)]
pub struct Joint {
    config: Config,
    d: Net<Discriminator>,
    g: Net<Generator>,
    opt_d: Optimizer,
    opt_g: Optimizer,
}

impl Joint {
    /// Networks with PyTorch's default initial values and an optimizer for each.
    ///
    /// # Errors
    /// A setting out of range; data without labels.
    pub fn new(config: &Config, cx: &Context) -> Result<Self> {
        config.check()?;
        config.check_data(&cx.data)?;
        let d = config.new_discriminator("d", Some(config.classes), cx)?;
        let g = config.new_generator(cx)?;
        Ok(Self {
            opt_d: config.optimizer(&d.params)?,
            opt_g: config.optimizer(&g.params)?,
            config: config.clone(),
            d,
            g,
        })
    }
}

impl Algorithm for Joint {
    /// Goodfellow's Algorithm 1 with k = 1 on the objective of equation 2.
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let b = it.share(self.config.batch)?;
        self.config
            .schedule(it.t, &mut [&mut self.opt_d, &mut self.opt_g]);
        let view = self.config.learns().view;
        let [x, labels] = it.batch(b, view, [pictures("x").unit(), labels("y")])?;
        let (x, y) = (x.flatten_from(1)?, encode(&labels, self.config.classes)?);

        // Ascend ln D(x|y) + ln(1 − D(G(z|y)|y)).
        let z = it.uniform("z", &[b, self.config.z_dim])?;
        let fake = self.g.frozen.forward(&z, &y, Train, it)?;
        let real_score = self.d.live.forward(&x, Some(&y), Train, it)?;
        let fake_score = self.d.live.forward(&fake, Some(&y), Train, it)?;
        let d_real = bce_with_logits(&real_score, 1.)?;
        let d_fake = bce_with_logits(&fake_score, 0.)?;
        let d_loss = (&d_real + &d_fake)?;
        it.log("score/real", &sigmoid(&real_score.detach())?.mean_all()?);
        it.log("score/fake", &sigmoid(&fake_score.detach())?.mean_all()?);
        let terms = [("d", &d_loss), ("d_real", &d_real), ("d_fake", &d_fake)];
        it.minimise(&mut self.opt_d, "d", &terms)?;

        // Ascend ln D(G(z|y)|y) with fresh noise.
        let z = it.uniform("z", &[b, self.config.z_dim])?;
        let fake = self.g.live.forward(&z, &y, Train, it)?;
        let g_loss = bce_with_logits(&self.d.frozen.forward(&fake, Some(&y), Train, it)?, 1.)?;
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
