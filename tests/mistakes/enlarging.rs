//! Deliberate mistakes in SRGAN's and ESRGAN's steps.

use super::{NONE, STALE, copy, verdict};
use candle_core::{Device, Result, Tensor};
use gan_core::loss::{bce_with_logits as bce, l1, mse};
use gan_core::nn::Mode::Train;
use gan_core::nn::vgg::{Features, Vgg19};
use gan_core::{
    Algorithm, Context, DataInfo, Erased, Iter, Learns, Net, Optimizer, Paper, PaperInfo, Params,
    Preset, Rule, Sampler, Stateful, Weights, init, pictures,
};
use gan_esrgan::Rrdb;
use gan_esrgan::loss::relative;
use gan_srgan::SrResnet;
use serde::{Deserialize, Serialize};

mistaken!(MistakenSr, gan_srgan::Config, sr);
mistaken!(MistakenEsr, gan_esrgan::Config, esr);

const OTHER_SIDE: u8 = 40;
const DIVIDED_ONCE: u8 = 41;
const SIGNED: u8 = 42;
const SATURATING: u8 = 43;
const WEIGHT: u8 = 44;
const BETA1: u8 = 45;
const OTHER_DISTANCE: u8 = 46;
const HALVED: u8 = 47;
const ONE_SIDED: u8 = 48;
const DETACHED_MEANS: u8 = 49;
const PLAIN: u8 = 50;
const D_FIRST: u8 = 51;

/// The features on the other side of the activation.
fn across(features: Features) -> Features {
    match features {
        Features::Vgg54 => Features::Vgg54Before,
        _ => Features::Vgg54,
    }
}

fn vgg(cx: &Context, features: Option<Features>, mistake: u8) -> Result<Option<Vgg19>> {
    let features = features.map(|features| match mistake {
        OTHER_SIDE => across(features),
        _ => features,
    });
    match (&cx.features, features) {
        (Some(weights), Some(features)) => Ok(Some(Vgg19::open(weights, features, &Device::Cpu)?)),
        _ => Ok(None),
    }
}

fn parts<'a>(
    g: &'a mut dyn Stateful,
    opt_g: &'a mut Optimizer,
    d: Option<(&'a mut dyn Stateful, &'a mut Optimizer)>,
) -> Vec<(&'static str, &'a mut dyn Stateful)> {
    let mut parts: Vec<(&'static str, &mut dyn Stateful)> = vec![("g", g), ("opt_g", opt_g)];
    if let Some((d, opt_d)) = d {
        parts.push(("d", d));
        parts.push(("opt_d", opt_d));
    }
    parts
}

// --------------------------------------------------------------------- SRGAN

type SrD = gan_srgan::Discriminator;

struct Sr {
    mistake: u8,
    config: gan_srgan::Config,
    g: Net<SrResnet>,
    opt_g: Optimizer,
    /// D, D before its update, and its optimizer.
    game: Option<(Net<SrD>, Net<SrD>, Optimizer)>,
    vgg: Option<Vgg19>,
}

fn sr(config: &gan_srgan::Config, mistake: u8, cx: &Context) -> Result<Box<dyn Algorithm>> {
    let mut config = config.clone();
    match mistake {
        WEIGHT => config.lambda_adv *= 2.,
        BETA1 => config.beta1 = 0.5,
        _ => {}
    }
    let sizes = config.generator();
    let g = Net::new(cx, "g", init::as_layers, |vb| SrResnet::new(&sizes, vb))?;
    let adam = Rule::adam(config.beta1, config.beta2);
    let opt = |lr: f64, net: &Params| Optimizer::new(adam, lr, &[net]);
    let sizes = config.discriminator(&cx.data);
    let d = || Net::new(cx, "d", init::as_layers, |vb| SrD::new(&sizes, vb));
    let game = match config.adversarial {
        true => {
            let net = d()?;
            let opt_d = opt(config.lr_gan, &net.params)?;
            Some((net, d()?, opt_d))
        }
        false => None,
    };
    let lr = if config.adversarial {
        config.lr_gan
    } else {
        config.lr
    };
    Ok(Box::new(Sr {
        mistake,
        opt_g: opt(lr, &g.params)?,
        vgg: vgg(cx, config.content.features(), mistake)?,
        config,
        g,
        game,
    }))
}

impl Algorithm for Sr {
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let asks = [
            pictures("low").unit().shrunk(self.config.scale),
            pictures("high"),
        ];
        let [low, high] = it.batch(self.config.batch, self.config.learns().view, asks)?;
        let fake = self.g.live.forward(&low, Train)?;
        let Some((d, old, opt_d)) = &mut self.game else {
            let loss = match self.mistake {
                OTHER_DISTANCE => l1(&fake, &high)?,
                _ => mse(&fake, &high)?,
            };
            return it.minimise(&mut self.opt_g, "g", &[("g", &loss)]);
        };
        let d_real = bce(&d.live.forward(&high, Train)?, 1.)?;
        let d_fake = bce(&d.live.forward(&fake.detach(), Train)?, 0.)?;
        let d_loss = (&d_real + &d_fake)?;
        copy(&d.params, &old.params)?;
        let terms = [("d", &d_loss), ("d_real", &d_real), ("d_fake", &d_fake)];
        it.minimise(opt_d, "d", &terms)?;
        let d = if self.mistake == STALE { old } else { d };
        let score = d.frozen.forward(&fake, Train)?;
        let adv = match self.mistake {
            SATURATING => bce(&score, 0.)?.neg()?,
            _ => bce(&score, 1.)?,
        };
        let content = match &self.vgg {
            None => mse(&fake, &high)?,
            Some(vgg) => {
                let seen = |x: &Tensor| match self.mistake {
                    SIGNED => vgg.forward(x),
                    _ => vgg.forward(&x.affine(0.5, 0.5)?),
                };
                let content = mse(&seen(&fake)?, &seen(&high)?.detach())?;
                let divisor = self.config.vgg_divisor;
                match self.mistake {
                    DIVIDED_ONCE => (content / divisor)?,
                    _ => (content / (divisor * divisor))?,
                }
            }
        };
        let loss = (&content + (&adv * self.config.lambda_adv)?)?;
        let terms = [("g", &loss), ("content", &content), ("adv", &adv)];
        it.minimise(&mut self.opt_g, "g", &terms)
    }

    fn sampler(&self, _: u64) -> Box<dyn Sampler + '_> {
        Box::new(&self.g.frozen)
    }

    fn parts(&mut self) -> Vec<(&'static str, &mut dyn Stateful)> {
        let d = self.game.as_mut().map(|(d, _, opt_d)| (d as _, opt_d));
        parts(&mut self.g, &mut self.opt_g, d)
    }
}

/// The least is of the order that the reference's own table has (`tests/reference/README.md`, section 9).
#[test]
fn mistakes_in_srgan_are_caught() {
    fn of<const MISTAKE: u8>(recording: &str) -> (String, f64) {
        verdict(&Erased::<MistakenSr<MISTAKE>>::NEW, recording).unwrap()
    }
    for recording in ["srgan-pretrain", "srgan-mse", "srgan-vgg"] {
        let (name, ratio) = of::<NONE>(recording);
        assert!(
            ratio < 1.,
            "{recording} without a mistake: {name} is {ratio} of its limit"
        );
    }
    for ((name, ratio), least, what) in [
        (
            of::<OTHER_DISTANCE>("srgan-pretrain"),
            10_000.,
            "L1 for the mean squared error",
        ),
        (of::<BETA1>("srgan-pretrain"), 100., "beta1 .5"),
        (of::<WEIGHT>("srgan-mse"), 100., "adversarial weight 2e-3"),
        (
            of::<STALE>("srgan-mse"),
            1_000.,
            "G through the D of before",
        ),
        (
            of::<OTHER_SIDE>("srgan-vgg"),
            10_000.,
            "features before the activation",
        ),
        (
            of::<DIVIDED_ONCE>("srgan-vgg"),
            100_000.,
            "divided by 12.75 once",
        ),
        (of::<SIGNED>("srgan-vgg"), 10_000., "VGG sees [−1, 1]"),
        (
            of::<SATURATING>("srgan-vgg"),
            10_000.,
            "G descends ln(1 − D)",
        ),
    ] {
        assert!(ratio > least, "{what}: {name} is {ratio} of its limit");
    }
}

// -------------------------------------------------------------------- ESRGAN

type EsrD = gan_esrgan::Discriminator;

struct Esr {
    mistake: u8,
    config: gan_esrgan::Config,
    g: Net<Rrdb>,
    opt_g: Optimizer,
    game: Option<(Net<EsrD>, Optimizer)>,
    vgg: Option<Vgg19>,
}

fn esr(config: &gan_esrgan::Config, mistake: u8, cx: &Context) -> Result<Box<dyn Algorithm>> {
    let mut config = config.clone();
    if mistake == WEIGHT {
        config.eta_l1 = 0.;
    }
    let sizes = config.generator();
    let g = Net::new(cx, "g", init::as_layers, |vb| Rrdb::new(&sizes, vb))?;
    let adam = Rule::adam(config.beta1, config.beta2);
    let opt = |lr: f64, net: &Params| Optimizer::new(adam, lr, &[net]);
    let game = match config.adversarial {
        true => {
            let sizes = config.discriminator(&cx.data);
            let d = Net::new(cx, "d", init::as_layers, |vb| EsrD::new(&sizes, vb))?;
            let opt_d = opt(config.lr_gan, &d.params)?;
            Some((d, opt_d))
        }
        false => None,
    };
    let lr = if config.adversarial {
        config.lr_gan
    } else {
        config.lr
    };
    Ok(Box::new(Esr {
        mistake,
        opt_g: opt(lr, &g.params)?,
        vgg: vgg(cx, config.content.features(), mistake)?,
        config,
        g,
        game,
    }))
}

impl Esr {
    /// The relativistic average loss, or what it is mistaken for; `of_g` says whose it is.
    fn relativistic(&self, a: &Tensor, b: &Tensor, of_g: bool) -> Result<Tensor> {
        let above = |a: &Tensor, b: &Tensor| match (self.mistake, of_g) {
            (DETACHED_MEANS, false) => relative(a, &b.detach()),
            (PLAIN, false) => Ok(a.clone()),
            _ => relative(a, b),
        };
        let (first, second) = (bce(&above(a, b)?, 1.)?, bce(&above(b, a)?, 0.)?);
        match (self.mistake, of_g) {
            (ONE_SIDED, true) => Ok(first),
            (HALVED, _) => (first + second)? * 0.5,
            _ => first + second,
        }
    }

    fn update_d(&mut self, it: &mut Iter<'_>, high: &Tensor, fake: &Tensor) -> Result<()> {
        let Some((d, _)) = &self.game else {
            return Ok(());
        };
        let c_real = d.live.forward(high, Train)?;
        let c_fake = d.live.forward(&fake.detach(), Train)?;
        let loss = self.relativistic(&c_real, &c_fake, false)?;
        let gap = (c_real.mean_all()? - c_fake.mean_all()?)?;
        match &mut self.game {
            Some((_, opt_d)) => it.minimise(opt_d, "d", &[("d", &loss), ("d_gap", &gap)]),
            None => Ok(()),
        }
    }
}

impl Algorithm for Esr {
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let low = pictures("low").unit().shrunk(self.config.scale);
        let asks = [low, pictures("high").unit()];
        let [low, high] = it.batch(self.config.batch, self.config.learns().view, asks)?;
        let fake = self.g.live.forward(&low)?;
        let pixels = match self.mistake {
            OTHER_DISTANCE => mse(&fake, &high)?,
            _ => l1(&fake, &high)?,
        };
        if self.game.is_none() {
            return it.minimise(&mut self.opt_g, "g", &[("g", &pixels)]);
        }
        if self.mistake == D_FIRST {
            self.update_d(it, &high, &fake)?;
        }
        if let (Some((d, _)), Some(vgg)) = (&self.game, &self.vgg) {
            let percep = l1(&vgg.forward(&fake)?, &vgg.forward(&high)?.detach())?;
            let c_real = d.frozen.forward(&high, Train)?.detach();
            let ra = self.relativistic(&d.frozen.forward(&fake, Train)?, &c_real, true)?;
            let rest = ((&ra * self.config.lambda_ra)? + (&pixels * self.config.eta_l1)?)?;
            let loss = (&percep + rest)?;
            let terms = [
                ("g", &loss),
                ("percep", &percep),
                ("ra", &ra),
                ("l1", &pixels),
            ];
            it.minimise(&mut self.opt_g, "g", &terms)?;
        }
        match self.mistake {
            D_FIRST => Ok(()),
            _ => self.update_d(it, &high, &fake),
        }
    }

    fn sampler(&self, _: u64) -> Box<dyn Sampler + '_> {
        Box::new(&self.g.frozen)
    }

    fn parts(&mut self) -> Vec<(&'static str, &mut dyn Stateful)> {
        let d = self.game.as_mut().map(|(d, opt_d)| (d as _, opt_d));
        parts(&mut self.g, &mut self.opt_g, d)
    }
}

#[test]
fn mistakes_in_esrgan_are_caught() {
    type Verdict = std::result::Result<(String, f64), String>;
    fn of<const MISTAKE: u8>(recording: &str) -> Verdict {
        verdict(&Erased::<MistakenEsr<MISTAKE>>::NEW, recording)
    }
    for recording in ["esrgan-pretrain", "esrgan-gan"] {
        let (name, ratio) = of::<NONE>(recording).unwrap();
        assert!(
            ratio < 1.,
            "{recording} without a mistake: {name} is {ratio} of its limit"
        );
    }
    let game = "esrgan-gan";
    for (found, least, what) in [
        (
            of::<OTHER_DISTANCE>("esrgan-pretrain"),
            100_000.,
            "MSE for L1",
        ),
        (
            of::<OTHER_SIDE>(game),
            10_000.,
            "features after the activation",
        ),
        (of::<HALVED>(game), 10_000., "RaGAN halved"),
        (
            of::<ONE_SIDED>(game),
            10_000.,
            "G's RaGAN without the real term",
        ),
        (of::<DETACHED_MEANS>(game), 10_000., "D's means detached"),
        (of::<PLAIN>(game), 10_000., "the plain loss for D"),
        (of::<WEIGHT>(game), 1_000., "weight of L1 0"),
    ] {
        let (name, ratio) = found.unwrap();
        assert!(ratio > least, "{what}: {name} is {ratio} of its limit");
    }
    let said = of::<D_FIRST>(game).unwrap_err();
    assert!(
        said.contains("update.0.g, this run did update.0.d"),
        "{said}"
    );
}
