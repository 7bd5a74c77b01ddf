//! Two judges: D, whether a picture is real; M, whether picture and class match.

use crate::config::Config;
use crate::model::{Discriminator, Generator, encode};
use candle_core::{Result, Tensor};
use gan_core::loss::bce_with_logits;
use gan_core::nn::{Mode::Train, sigmoid};
use gan_core::{
    Algorithm, Context, Draws, Iter, Net, Optimizer, Paper, Sampler, Stateful, labels, pictures,
};

/// The conditional GAN in training, with D(x) and M(x, y).
#[derive(Debug)]
pub struct Split {
    config: Config,
    d: Net<Discriminator>,
    m: Net<Discriminator>,
    g: Net<Generator>,
    opt_d: Optimizer,
    opt_m: Optimizer,
    opt_g: Optimizer,
}

impl Split {
    /// Networks with PyTorch's default initial values and an optimizer for each.
    ///
    /// # Errors
    /// A setting out of range; data without labels.
    pub fn new(config: &Config, cx: &Context) -> Result<Self> {
        config.check()?;
        config.check_data(&cx.data)?;
        let d = config.new_discriminator("d", None, cx)?;
        let m = config.new_discriminator("m", Some(config.classes), cx)?;
        let g = config.new_generator(cx)?;
        Ok(Self {
            opt_d: config.optimizer(&d.params)?,
            opt_m: config.optimizer(&m.params)?,
            opt_g: config.optimizer(&g.params)?,
            config: config.clone(),
            d,
            m,
            g,
        })
    }
}

/// For each class another one: (y + 1 + shift) mod classes, the shift from 0 to below classes − 1.
fn wrong(labels: &Tensor, classes: usize, it: &mut Iter<'_>) -> Result<Tensor> {
    let (n, device) = (labels.elem_count(), labels.device());
    let labels = labels.to_vec1::<u32>()?;
    let shifts = it.choices("wrong", n, classes - 1)?;
    let wrong = labels.iter().zip(shifts);
    let wrong = wrong.map(|(&y, shift)| ((y as usize + 1 + shift) % classes) as u32);
    Tensor::from_vec(wrong.collect::<Vec<_>>(), n, device)
}

impl Algorithm for Split {
    /// An update of D, one of M, and one of G against both.
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let b = it.share(self.config.batch)?;
        let Config { classes, z_dim, .. } = self.config;
        let optimizers = [&mut self.opt_d, &mut self.opt_m, &mut self.opt_g];
        self.config.schedule(it.t, &mut { optimizers });
        let view = self.config.learns().view;
        let [x, labels] = it.batch(b, view, [pictures("x").unit(), labels("y")])?;
        let x = x.flatten_from(1)?;
        let y = encode(&labels, classes)?;
        let y_wrong = encode(&wrong(&labels, classes, it)?, classes)?;

        // D ascends ln D(x) + ln(1 − D(G(z|y))).
        let z = it.uniform("z", &[b, z_dim])?;
        let fake = self.g.frozen.forward(&z, &y, Train, it)?;
        let real_score = self.d.live.forward(&x, None, Train, it)?;
        let fake_score = self.d.live.forward(&fake, None, Train, it)?;
        let d_real = bce_with_logits(&real_score, 1.)?;
        let d_fake = bce_with_logits(&fake_score, 0.)?;
        let d_loss = (&d_real + &d_fake)?;
        it.log("score/real", &sigmoid(&real_score.detach())?.mean_all()?);
        it.log("score/fake", &sigmoid(&fake_score.detach())?.mean_all()?);
        let terms = [("d", &d_loss), ("d_real", &d_real), ("d_fake", &d_fake)];
        it.minimise(&mut self.opt_d, "d", &terms)?;

        // M ascends ln M(x, y) + ln(1 − M(x, a wrong y)); it sees real pictures only.
        let m_right = bce_with_logits(&self.m.live.forward(&x, Some(&y), Train, it)?, 1.)?;
        let m_wrong = bce_with_logits(&self.m.live.forward(&x, Some(&y_wrong), Train, it)?, 0.)?;
        let m_loss = (&m_right + &m_wrong)?;
        let terms = [("m", &m_loss), ("m_right", &m_right), ("m_wrong", &m_wrong)];
        it.minimise(&mut self.opt_m, "m", &terms)?;

        // G ascends ln D(G(z|y)) + ln M(G(z|y), y) with fresh noise.
        let z = it.uniform("z", &[b, z_dim])?;
        let fake = self.g.live.forward(&z, &y, Train, it)?;
        let g_real = bce_with_logits(&self.d.frozen.forward(&fake, None, Train, it)?, 1.)?;
        let g_match = bce_with_logits(&self.m.frozen.forward(&fake, Some(&y), Train, it)?, 1.)?;
        let g_loss = (&g_real + &g_match)?;
        let terms = [("g", &g_loss), ("g_real", &g_real), ("g_match", &g_match)];
        it.minimise(&mut self.opt_g, "g", &terms)
    }

    fn sampler(&self, _: u64) -> Box<dyn Sampler + '_> {
        Box::new(&self.g.frozen)
    }

    fn parts(&mut self) -> Vec<(&'static str, &mut dyn Stateful)> {
        vec![
            ("d", &mut self.d),
            ("m", &mut self.m),
            ("g", &mut self.g),
            ("opt_d", &mut self.opt_d),
            ("opt_m", &mut self.opt_m),
            ("opt_g", &mut self.opt_g),
        ]
    }
}
