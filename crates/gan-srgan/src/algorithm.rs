//! The training: G alone on the mean squared error, then the game.

use crate::config::{Config, Content};
use crate::discriminator::Discriminator;
use crate::model::SrResnet;
use candle_core::{Result, Tensor, bail};
use gan_core::loss::{bce_with_logits, mse};
use gan_core::nn::Mode::Train;
use gan_core::nn::sigmoid;
use gan_core::nn::vgg::Vgg19;
use gan_core::{
    Algorithm, Context, Ema, Iter, Net, Optimizer, Rule, Sampler, Stateful, check, init,
};

/// SRGAN in training.
#[derive(Debug)]
pub struct Srgan {
    config: Config,
    g: Net<SrResnet>,
    /// G as pre-training left it: SRResNet.
    psnr: Ema<SrResnet>,
    opt_g: Optimizer,
    /// D, where there is a game.
    game: Option<(Net<Discriminator>, Optimizer)>,
    vgg: Option<Vgg19>,
}

impl Srgan {
    /// Networks as PyTorch starts them, and an Adam for each. Where `content` looks at VGG19's features and
    /// [`Context::features`] has none, everything but a step of the game can be done.
    ///
    /// # Errors
    /// A setting out of range, data that do not fit it, weights that are not VGG19's.
    pub fn new(config: &Config, cx: &Context) -> Result<Self> {
        gan_core::Paper::check(config)?;
        check::channels(config.channels, &cx.data)?;
        let sizes = config.generator();
        let generator = |vb| SrResnet::new(&sizes, vb);
        let g = Net::new(cx, "g", init::as_layers, generator)?;
        let adam = Rule::adam(config.beta1, config.beta2);
        let game = match config.adversarial {
            true => {
                let sizes = config.discriminator(&cx.data);
                let d = Net::new(cx, "d", init::as_layers, |vb| {
                    Discriminator::new(&sizes, vb)
                })?;
                let opt_d = Optimizer::new(adam, config.lr_gan, &[&d.params])?;
                Some((d, opt_d))
            }
            false => None,
        };
        let vgg = match (&cx.features, config.content.features()) {
            (Some(weights), Some(features)) => Some(Vgg19::open(weights, features, &cx.device)?),
            _ => None,
        };
        Ok(Self {
            psnr: Ema::new(&g, 0., generator)?,
            opt_g: Optimizer::new(adam, config.lr, &[&g.params])?,
            config: config.clone(),
            g,
            game,
            vgg,
        })
    }

    /// Equation 4: G on the mean squared error.
    fn pretrain(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let [low, high] = self.config.crops(it)?;
        let loss = mse(&self.g.live.forward(&low, Train)?, &high)?;
        it.minimise(&mut self.opt_g, "g", &[("g", &loss)])?;
        self.psnr.update(&self.g.params, |_| true)
    }

    /// Equations 2 and 3: D on what is real and what G made, then G on the perceptual loss.
    fn adversarial(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let [low, high] = self.config.crops(it)?;
        let fake = self.g.live.forward(&low, Train)?;
        self.judge(it, &high, &fake.detach())?;
        let Some((d, _)) = &self.game else {
            bail!("adversarial is false: there is no D")
        };

        // Descend l_X + λ·(−ln D(G(I^LR))), the same fake through the updated D.
        let adv = bce_with_logits(&d.frozen.forward(&fake, Train)?, 1.)?;
        let content = self.content(&fake, &high)?;
        let loss = (&content + (&adv * self.config.lambda_adv)?)?;
        let terms = [("g", &loss), ("content", &content), ("adv", &adv)];
        it.minimise(&mut self.opt_g, "g", &terms)
    }

    /// Ascends ln D(I^HR) + ln(1 − D(G(I^LR))) (equation 2). What it computes is gone before G's own update.
    fn judge(&mut self, it: &mut Iter<'_>, high: &Tensor, fake: &Tensor) -> Result<()> {
        let Some((d, opt_d)) = &mut self.game else {
            return Ok(());
        };
        let real_score = d.live.forward(high, Train)?; // [b]
        let fake_score = d.live.forward(fake, Train)?;
        let d_real = bce_with_logits(&real_score, 1.)?;
        let d_fake = bce_with_logits(&fake_score, 0.)?;
        let d_loss = (&d_real + &d_fake)?;
        it.log("score/real", &sigmoid(&real_score.detach())?.mean_all()?);
        it.log("score/fake", &sigmoid(&fake_score.detach())?.mean_all()?);
        let terms = [("d", &d_loss), ("d_real", &d_real), ("d_fake", &d_fake)];
        it.minimise(opt_d, "d", &terms)
    }

    /// l_X of pictures in [−1, 1] (section 2.2.1).
    fn content(&self, fake: &Tensor, high: &Tensor) -> Result<Tensor> {
        let vgg = match (self.config.content, &self.vgg) {
            (Content::Mse, _) => return mse(fake, high),
            (_, Some(vgg)) => vgg,
            (_, None) => bail!(
                "content looks at VGG19's features, whose weights were not given: Context::features"
            ),
        };
        let phi = |x: &Tensor| vgg.forward(&x.affine(0.5, 0.5)?)? / self.config.vgg_divisor;
        mse(&phi(fake)?, &phi(&high.detach())?.detach())
    }
}

impl Algorithm for Srgan {
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let stages = self.config.stages();
        let rate = stages.rate(it.t);
        self.opt_g.lr = rate;
        if stages.pretrains(it.t) {
            return self.pretrain(it);
        }
        if stages.turns(it.t) {
            self.opt_g.reset()?; // what it knows is of another loss
        }
        if let Some((_, opt_d)) = &mut self.game {
            opt_d.lr = rate;
        }
        self.adversarial(it)
    }

    fn sampler(&self, _: u64) -> Box<dyn Sampler + '_> {
        Box::new(&self.g.frozen)
    }

    fn parts(&mut self) -> Vec<(&'static str, &mut dyn Stateful)> {
        let mut parts: Vec<(&'static str, &mut dyn Stateful)> = Vec::new();
        if let Some((d, opt_d)) = &mut self.game {
            parts.push(("d", d));
            parts.push(("opt_d", opt_d));
        }
        parts.push(("g", &mut self.g));
        parts.push(("opt_g", &mut self.opt_g));
        parts.push(("psnr", &mut self.psnr));
        parts
    }
}
