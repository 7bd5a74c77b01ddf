//! The training: G alone on the L1 distance, then the game.

use crate::config::{Config, Content};
use crate::discriminator::Discriminator;
use crate::loss::{relative, relativistic_average};
use crate::model::Rrdb;
use candle_core::{Result, Shape, Tensor, bail};
use candle_nn::Init;
use gan_core::loss::l1;
use gan_core::nn::Mode::Train;
use gan_core::nn::sigmoid;
use gan_core::nn::vgg::Vgg19;
use gan_core::{
    Algorithm, Context, Ema, Iter, Net, Optimizer, Rule, Sampler, Stateful, check, init,
};

/// What the initial values of residual branches are multiplied by (section 3.1; the factor is the authors' code's).
const SMALLER: f64 = 0.1;

/// G's initial values: kernels of dense blocks from N(0, 2 / fan-in) (He et al. 2015), made smaller, offsets 0; the rest
/// as the layers ask for it themselves.
pub fn initial(key: &str, shape: &Shape, hint: Init) -> Init {
    match (key.contains(".rdb"), shape.dims()) {
        (true, [_, inputs, h, w]) => Init::Randn {
            mean: 0.,
            stdev: SMALLER * (2. / (inputs * h * w) as f64).sqrt(),
        },
        (true, _) => Init::Const(0.),
        (false, _) => init::as_layers(key, shape, hint),
    }
}

/// ESRGAN in training.
#[derive(Debug)]
pub struct Esrgan {
    config: Config,
    g: Net<Rrdb>,
    /// G as pre-training left it: the network that gives the highest PSNR.
    psnr: Ema<Rrdb>,
    opt_g: Optimizer,
    /// D, where there is a game.
    game: Option<(Net<Discriminator>, Optimizer)>,
    vgg: Option<Vgg19>,
}

impl Esrgan {
    /// Networks and an Adam for each. Where `content` looks at VGG19's features and [`Context::features`] has none,
    /// everything but a step of the game can be done.
    ///
    /// # Errors
    /// A setting out of range, data that do not fit it, weights that are not VGG19's.
    pub fn new(config: &Config, cx: &Context) -> Result<Self> {
        gan_core::Paper::check(config)?;
        check::channels(config.channels, &cx.data)?;
        let sizes = config.generator();
        let generator = |vb| Rrdb::new(&sizes, vb);
        let g = Net::new(cx, "g", initial, generator)?;
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

    /// Section 4.1, the first stage: G on the L1 distance.
    fn pretrain(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let [low, high] = self.config.crops(it)?;
        let loss = l1(&self.g.live.forward(&low)?, &high)?;
        it.minimise(&mut self.opt_g, "g", &[("g", &loss)])?;
        self.psnr.update(&self.g.params, |_| true)
    }

    /// The second stage: G, then D on the same pictures.
    fn adversarial(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let [low, high] = self.config.crops(it)?;
        let fake = self.fool(it, &low, &high)?;
        self.judge(it, &high, &fake)
    }

    /// G on L_percep + λ·L_G^Ra + η·L_1 (equation 3); gives G's pictures, without what led to them.
    fn fool(&mut self, it: &mut Iter<'_>, low: &Tensor, high: &Tensor) -> Result<Tensor> {
        let Some((d, _)) = &self.game else {
            bail!("adversarial is false: there is no D")
        };
        let fake = self.g.live.forward(low)?;
        let l1 = l1(&fake, high)?;
        let percep = match (self.config.content, &self.vgg) {
            (Content::L1, _) => None,
            (Content::Vgg54, Some(vgg)) => Some(perceptual(vgg, &fake, high)?),
            (Content::Vgg54, None) => bail!(
                "content looks at VGG19's features, whose weights were not given: Context::features"
            ),
        };
        let real_score = d.frozen.forward(high, Train)?.detach(); // C(x_r) [b]
        let ra = relativistic_average(&d.frozen.forward(&fake, Train)?, &real_score)?;
        let mut loss = ((&ra * self.config.lambda_ra)? + (&l1 * self.config.eta_l1)?)?;
        if let Some(percep) = &percep {
            loss = (percep + loss)?;
        }
        let mut terms = vec![("g", &loss), ("ra", &ra), ("l1", &l1)];
        terms.extend(percep.iter().map(|percep| ("percep", percep)));
        it.minimise(&mut self.opt_g, "g", &terms)?;
        Ok(fake.detach())
    }

    /// D on L_D^Ra (equation 1).
    fn judge(&mut self, it: &mut Iter<'_>, high: &Tensor, fake: &Tensor) -> Result<()> {
        let Some((d, opt_d)) = &mut self.game else {
            return Ok(());
        };
        let real_score = d.live.forward(high, Train)?;
        let fake_score = d.live.forward(fake, Train)?; // C(x_f) [b]
        let d_loss = relativistic_average(&real_score, &fake_score)?;
        let gap = (real_score.mean_all()? - fake_score.mean_all()?)?;
        let (real, fake) = (real_score.detach(), fake_score.detach());
        it.log(
            "score/real",
            &sigmoid(&relative(&real, &fake)?)?.mean_all()?,
        );
        it.log(
            "score/fake",
            &sigmoid(&relative(&fake, &real)?)?.mean_all()?,
        );
        it.minimise(opt_d, "d", &[("d", &d_loss), ("d_gap", &gap)])
    }
}

/// L_percep: the L1 distance of φ_{5,4} before the activation (section 3.3).
fn perceptual(vgg: &Vgg19, fake: &Tensor, high: &Tensor) -> Result<Tensor> {
    l1(&vgg.forward(fake)?, &vgg.forward(high)?.detach())
}

impl Algorithm for Esrgan {
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
