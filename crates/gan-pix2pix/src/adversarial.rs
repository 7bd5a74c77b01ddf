//! The paper's training: a conditional GAN, with the distance to the true picture or without.

use crate::config::Config;
use candle_core::{Result, Tensor};
use gan_core::loss::{bce_with_logits, l1};
use gan_core::nn::patch::PatchDiscriminator;
use gan_core::nn::unet::{Noise, Translator, Unet};
use gan_core::nn::{Mode::Train, sigmoid};
use gan_core::{Algorithm, Context, Iter, Length, Net, Optimizer, Sampler, Stateful};

/// pix2pix in training, with a discriminator.
#[derive(Debug)]
pub struct Pix2Pix {
    config: Config,
    length: Length,
    d: Net<PatchDiscriminator>,
    g: Net<Unet>,
    opt_d: Optimizer,
    opt_g: Optimizer,
}

impl Pix2Pix {
    /// Networks whose kernels start from N(0, .02²), and an Adam for each.
    ///
    /// # Errors
    /// A setting out of range, or pictures that do not fit it.
    pub fn new(config: &Config, cx: &Context) -> Result<Self> {
        let g = config.new_generator(cx)?;
        let d = config.new_discriminator(cx)?;
        Ok(Self {
            opt_d: config.optimizer(&d.params)?,
            opt_g: config.optimizer(&g.params)?,
            config: config.clone(),
            length: cx.length,
            d,
            g,
        })
    }
}

/// What D sees: x and what may belong to it, as channels of one picture.
fn pair(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    Tensor::cat(&[x, y], 1)
}

impl Algorithm for Pix2Pix {
    /// Equation 4; one fake, so one set of dropout masks, serves D and then G (section 3.3).
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let lambda = self.config.weight_l1();
        let lr = self.config.lr(&self.length, it.t);
        (self.opt_d.lr, self.opt_g.lr) = (lr, lr);
        let [x, y] = self.config.pairs(it)?; // [b, c, size, size]
        let fake = self.g.live.forward(&x, Noise::TRAIN, it)?;

        // Ascend ln D(x, y) + ln(1 − D(x, G(x, z))), halved.
        let real_score = self.d.live.forward(&pair(&x, &y)?, Train)?; // [b, 1, h', w']
        let fake_score = self.d.live.forward(&pair(&x, &fake.detach())?, Train)?;
        let d_real = bce_with_logits(&real_score, 1.)?;
        let d_fake = bce_with_logits(&fake_score, 0.)?;
        let d_loss = ((&d_real + &d_fake)? / 2.)?;
        it.log("score/real", &sigmoid(&real_score.detach())?.mean_all()?);
        it.log("score/fake", &sigmoid(&fake_score.detach())?.mean_all()?);
        let terms = [("d", &d_loss), ("d_real", &d_real), ("d_fake", &d_fake)];
        it.minimise(&mut self.opt_d, "d", &terms)?;

        // Ascend ln D(x, G(x, z)) − λ·‖y − G(x, z)‖₁ through the updated D.
        let g_gan = bce_with_logits(&self.d.frozen.forward(&pair(&x, &fake)?, Train)?, 1.)?;
        let g_l1 = l1(&fake, &y)?;
        let g_loss = (&g_gan + (&g_l1 * lambda)?)?;
        let terms = [("g", &g_loss), ("g_gan", &g_gan), ("g_l1", &g_l1)];
        it.minimise(&mut self.opt_g, "g", &terms)
    }

    fn sampler(&self, _: u64) -> Box<dyn Sampler + '_> {
        Box::new(Translator {
            unet: self.g.frozen.clone(),
            noise: self.config.sampling(),
            input: self.config.input(),
        })
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
