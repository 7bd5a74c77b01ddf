//! Some 600 lines because each mistaken step is read beside the right one, and they share what judges them.
//!
//! Deliberate mistakes in DiscoGAN's, DualGAN's and ProGAN's steps, and in those of the papers that enlarge, each of which
//! its recording has to show. Those of the vanilla GAN are in `parity.rs`.

use candle_core::{Device, Result, Tensor};
use gan_core::loss::{bce_with_logits as bce, gradient_penalty, l1, mse};
use gan_core::nn::Mode::Train;
use gan_core::nn::maps::Norm;
use gan_core::nn::patch::PatchDiscriminator;
use gan_core::nn::strided::Discriminator;
use gan_core::nn::unet::{Noise, Translator, Unet};
use gan_core::{
    Algorithm, Context, DataInfo, Draws, Ema, Erased, Iter, Learns, Net, Optimizer, Paper,
    PaperInfo, Params, Preset, Recipe, Rule, Sampler, Side, Stateful, Weights, init, pictures,
};
use gan_discogan::{Distance, Generator};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The settings of a paper, whose training is built with a mistake.
macro_rules! mistaken {
    ($name:ident, $config:ty, $build:expr) => {
        #[derive(Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(transparent)]
        struct $name<const MISTAKE: u8>($config);

        impl<const MISTAKE: u8> Paper for $name<MISTAKE> {
            const INFO: PaperInfo = <$config>::INFO;

            fn preset(preset: Preset, data: &DataInfo) -> Self {
                Self(<$config>::preset(preset, data))
            }

            fn steps(&self, preset: Preset, data: &DataInfo) -> u64 {
                self.0.steps(preset, data)
            }

            fn check(&self) -> Result<()> {
                self.0.check()
            }

            fn learns(&self) -> Learns {
                self.0.learns()
            }

            fn build(&self, cx: &Context) -> Result<Box<dyn Algorithm>> {
                $build(&self.0, MISTAKE, cx)
            }

            fn open(weights: &Weights, device: &Device) -> Result<Box<dyn Sampler>> {
                <$config>::open(weights, device)
            }
        }
    };
}

mod enlarging;

mistaken!(MistakenDisco, gan_discogan::Config, disco);
mistaken!(MistakenDual, gan_dualgan::Config, dual);
mistaken!(MistakenGrow, gan_progan::Config, grow);

/// The group that is furthest over its limit and how far; or the error of a step that draws otherwise.
fn verdict(recipe: &dyn Recipe, name: &str) -> std::result::Result<(String, f64), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
    let file = root.join(format!("{name}.safetensors"));
    let report = xtask::parity::check(&[recipe], &file, &Device::Cpu);
    let report = report.map_err(|error| format!("{error:#}"))?;
    let ratios = report
        .groups
        .iter()
        .map(|group| (group.name.clone(), group.error / group.limit));
    Ok(ratios.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap())
}

/// The weights of a network as they are now, as those of another.
fn copy(from: &Params, to: &Params) -> Result<()> {
    for ((_, old), (_, now)) in to.all().iter().zip(from.all()) {
        old.set(&now.copy()?.detach())?;
    }
    Ok(())
}

const NONE: u8 = 0;
const STALE: u8 = 1;
const DETACHED: u8 = 2;
const AGAIN: u8 = 3;

// ------------------------------------------------------------------ DiscoGAN

const HALVED: u8 = 10;
const SATURATING: u8 = 11;
const NO_DECAY: u8 = 12;
const L1: u8 = 13;
const BETA1: u8 = 14;
const WEAKER_DECAY: u8 = 15;

struct Disco {
    mistake: u8,
    config: gan_discogan::Config,
    nets: [Net<Generator>; 2],
    judges: [Net<Discriminator>; 2],
    /// The judges before their update.
    old: [Net<Discriminator>; 2],
    opt_d: Optimizer,
    opt_g: Optimizer,
}

fn disco(config: &gan_discogan::Config, mistake: u8, cx: &Context) -> Result<Box<dyn Algorithm>> {
    let mut config = config.clone();
    match mistake {
        NO_DECAY => config.weight_decay = 0.,
        L1 => config.distance = Distance::L1,
        BETA1 => config.beta1 = 0.9,
        WEAKER_DECAY => config.weight_decay *= 0.9,
        _ => {}
    }
    let g = |name| {
        Net::new(cx, name, init::as_layers, |vb| {
            Generator::new(&config.generator(), vb)
        })
    };
    let d = |name| {
        Net::new(cx, name, init::as_layers, |vb| {
            Discriminator::new(Norm::Batch, &config.discriminator(), vb)
        })
    };
    let (nets, judges) = ([g("g")?, g("f")?], [d("d_x")?, d("d_y")?]);
    let rule = Rule::adam_decayed(config.beta1, config.beta2, config.weight_decay);
    let opt = |nets: [&Params; 2]| -> Result<Optimizer> { Optimizer::new(rule, config.lr, &nets) };
    Ok(Box::new(Disco {
        mistake,
        opt_d: opt(judges.each_ref().map(|net| &net.params))?,
        opt_g: opt(nets.each_ref().map(|net| &net.params))?,
        old: [d("d_x")?, d("d_y")?],
        config,
        nets,
        judges,
    }))
}

impl Algorithm for Disco {
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let (b, view) = (self.config.batch, self.config.learns().view);
        let [x] = it.batch(b, view, [pictures("x").of(Side::A).unit()])?;
        let [y] = it.batch(b, view, [pictures("y").of(Side::B).unit()])?;
        let [g, f] = self.nets.each_ref().map(|net| &net.live);
        let (mut fake_y, mut fake_x) = (g.forward(&x, Train)?, f.forward(&y, Train)?);
        let judged = |d: &Discriminator, real: &Tensor, fake: &Tensor| {
            bce(&d.forward(real, Train)?, 1.)? + bce(&d.forward(&fake.detach(), Train)?, 0.)?
        };
        let d_x = judged(&self.judges[0].live, &x, &fake_x)?;
        let d_y = judged(&self.judges[1].live, &y, &fake_y)?;
        let share = if self.mistake == HALVED { 0.5 } else { 1. };
        let d_loss = ((&d_x + &d_y)? * share)?;
        for (now, old) in self.judges.iter().zip(&self.old) {
            copy(&now.params, &old.params)?;
        }
        let terms = [("d", &d_loss), ("d_x", &d_x), ("d_y", &d_y)];
        it.minimise(&mut self.opt_d, "d", &terms)?;
        if self.mistake == AGAIN {
            (fake_y, fake_x) = (g.forward(&x, Train)?, f.forward(&y, Train)?);
        }
        let given = |fake: &Tensor| match self.mistake {
            DETACHED => fake.detach(),
            _ => fake.clone(),
        };
        let rec_x = self
            .config
            .distance
            .of(&f.forward(&given(&fake_y), Train)?, &x)?;
        let rec_y = self
            .config
            .distance
            .of(&g.forward(&given(&fake_x), Train)?, &y)?;
        let judges = match self.mistake {
            STALE => &self.old,
            _ => &self.judges,
        };
        let fooled = |d: &Net<Discriminator>, fake: &Tensor| {
            let score = d.frozen.forward(fake, Train)?;
            match self.mistake {
                SATURATING => bce(&score, 0.)?.neg(),
                _ => bce(&score, 1.),
            }
        };
        let (gan_g, gan_f) = (fooled(&judges[1], &fake_y)?, fooled(&judges[0], &fake_x)?);
        let g_loss = (((&gan_g + &rec_x)? + &gan_f)? + &rec_y)?;
        let mut terms = vec![("g", &g_loss), ("gan_g", &gan_g), ("gan_f", &gan_f)];
        terms.extend([("rec_x", &rec_x), ("rec_y", &rec_y)]);
        it.minimise(&mut self.opt_g, "g", &terms)
    }

    fn sampler(&self, _: u64) -> Box<dyn Sampler + '_> {
        Box::new(&self.nets[0].frozen)
    }

    fn parts(&mut self) -> Vec<(&'static str, &mut dyn Stateful)> {
        let [g, f] = &mut self.nets;
        let [d_x, d_y] = &mut self.judges;
        vec![
            ("g", g),
            ("f", f),
            ("d_x", d_x),
            ("d_y", d_y),
            ("opt_d", &mut self.opt_d),
            ("opt_g", &mut self.opt_g),
        ]
    }
}

#[test]
fn mistakes_in_discogan_are_caught() {
    fn of<const MISTAKE: u8>() -> (String, f64) {
        verdict(&Erased::<MistakenDisco<MISTAKE>>::NEW, "discogan").unwrap()
    }
    let (name, ratio) = of::<NONE>();
    assert!(
        ratio < 1.,
        "without a mistake {name} is {ratio} of its limit"
    );
    // The reference's own table (section 9 of its README) has about these errors for them.
    for ((name, ratio), least, what) in [
        (of::<HALVED>(), 10_000., "D's loss halved"),
        (of::<STALE>(), 5_000., "G through the D of before"),
        (
            of::<DETACHED>(),
            2_000.,
            "a reconstruction of a detached fake",
        ),
        (of::<AGAIN>(), 2_000., "fakes made again for G"),
        (of::<SATURATING>(), 50_000., "G descends ln(1 − D)"),
        (of::<NO_DECAY>(), 5_000., "no weight decay"),
        (of::<WEAKER_DECAY>(), 2_000., "weight decay .009"),
        (of::<L1>(), 50_000., "L1 for MSE"),
        (of::<BETA1>(), 20_000., "beta1 .9"),
    ] {
        assert!(ratio > least, "{what}: {name} is {ratio} of its limit");
    }
}

// ------------------------------------------------------------------ DualGAN

const SWAPPED: u8 = 20;
const L2: u8 = 21;
const CLIP_FIRST: u8 = 22;
const CLIP_WIDER: u8 = 23;
const CLIP_STATISTICS: u8 = 24;
const ALPHA: u8 = 25;
const ONE_BATCH: u8 = 26;
const NO_DROPOUT: u8 = 27;

struct Dual {
    mistake: u8,
    config: gan_dualgan::Config,
    nets: [Net<Unet>; 2],
    critics: [Net<PatchDiscriminator>; 2],
    /// The critics before their last update.
    old: [Net<PatchDiscriminator>; 2],
    opt_g: Optimizer,
    opts: [Optimizer; 2],
}

fn dual(config: &gan_dualgan::Config, mistake: u8, cx: &Context) -> Result<Box<dyn Algorithm>> {
    let mut config = config.clone();
    match mistake {
        SWAPPED => (config.lambda_u, config.lambda_v) = (config.lambda_v, config.lambda_u),
        CLIP_WIDER => config.clip *= 1.01,
        ALPHA => config.alpha = 0.9,
        NO_DROPOUT => config.dropout = 0.,
        _ => {}
    }
    let g = |name| {
        Net::new(cx, name, init::as_layers, |vb| {
            Unet::new(&config.generator(), config.dropout, vb)
        })
    };
    let d = |name| {
        Net::new(cx, name, init::as_layers, |vb| {
            PatchDiscriminator::new(Norm::Batch, &config.critic(), vb)
        })
    };
    let (nets, critics) = ([g("g")?, g("f")?], [d("d_x")?, d("d_y")?]);
    let rule = Rule::RmsProp {
        alpha: config.alpha,
        eps: 1e-8,
    };
    let opt = |nets: &[&Params]| Optimizer::new(rule, config.lr, nets);
    Ok(Box::new(Dual {
        mistake,
        opt_g: opt(&[&nets[0].params, &nets[1].params])?,
        opts: [opt(&[&critics[0].params])?, opt(&[&critics[1].params])?],
        old: [d("d_x")?, d("d_y")?],
        config,
        nets,
        critics,
    }))
}

impl Dual {
    fn batches(&self, it: &mut Iter<'_>) -> Result<[Tensor; 2]> {
        let (b, view) = (self.config.batch, self.config.learns().view);
        let [x] = it.batch(b, view, [pictures("x").of(Side::A)])?;
        let [y] = it.batch(b, view, [pictures("y").of(Side::B)])?;
        Ok([x, y])
    }

    fn clip(&self) -> Result<()> {
        for critic in &self.critics {
            critic.params.clip(self.config.clip)?;
            if self.mistake == CLIP_STATISTICS {
                for (_, var) in critic.params.all() {
                    var.set(&var.detach().clamp(-self.config.clip, self.config.clip)?)?;
                }
            }
        }
        Ok(())
    }
}

impl Algorithm for Dual {
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let mut first = None;
        for k in 0..self.config.n_critic {
            let [x, y] = match (&first, self.mistake) {
                (Some(batch), ONE_BATCH) => Clone::clone(batch),
                _ => self.batches(it)?,
            };
            first.get_or_insert([x.clone(), y.clone()]);
            let [g, f] = self.nets.each_ref().map(|net| &net.frozen);
            let fake_y = g.forward(&x, Noise::TRAIN, it)?;
            let fake_x = f.forward(&y, Noise::TRAIN, it)?;
            if self.mistake == CLIP_FIRST {
                self.clip()?;
            }
            for (i, real, fake) in [(1, &y, &fake_y), (0, &x, &fake_x)] {
                let d = &self.critics[i];
                copy(&d.params, &self.old[i].params)?;
                let f_real = d.live.forward(real, Train)?.mean_all()?;
                let f_fake = d.live.forward(fake, Train)?.mean_all()?;
                let (name, loss) = (d.params.name(), (&f_fake - &f_real)?);
                let terms = [(name, &loss), ("f_real", &f_real), ("f_fake", &f_fake)];
                it.minimise(&mut self.opts[i], &format!("{name}{k}"), &terms)?;
            }
            if self.mistake != CLIP_FIRST {
                self.clip()?;
            }
        }
        let [x, y] = self.batches(it)?;
        let [g, f] = self.nets.each_ref().map(|net| &net.live);
        let fake_y = g.forward(&x, Noise::TRAIN, it)?;
        let fake_x = f.forward(&y, Noise::TRAIN, it)?;
        let given = |fake: &Tensor| match self.mistake {
            DETACHED => fake.detach(),
            _ => fake.clone(),
        };
        let distance = |a: &Tensor, b: &Tensor| match self.mistake {
            L2 => mse(a, b),
            _ => l1(a, b),
        };
        let rec_x = distance(&f.forward(&given(&fake_y), Noise::TRAIN, it)?, &x)?;
        let rec_y = distance(&g.forward(&given(&fake_x), Noise::TRAIN, it)?, &y)?;
        let critics = match self.mistake {
            STALE => &self.old,
            _ => &self.critics,
        };
        let score = |i: usize, fake: &Tensor| {
            let score = critics[i].frozen.forward(fake, Train)?;
            score.mean_all()?.neg()
        };
        let (gan_g, gan_f) = (score(1, &fake_y)?, score(0, &fake_x)?);
        let rec = ((&rec_x * self.config.lambda_u)? + (&rec_y * self.config.lambda_v)?)?;
        let loss = ((rec + &gan_g)? + &gan_f)?;
        let mut terms = vec![("g", &loss), ("gan_g", &gan_g), ("gan_f", &gan_f)];
        terms.extend([("rec_x", &rec_x), ("rec_y", &rec_y)]);
        it.minimise(&mut self.opt_g, "g", &terms)
    }

    fn sampler(&self, _: u64) -> Box<dyn Sampler + '_> {
        Box::new(Translator {
            unet: self.nets[0].frozen.clone(),
            noise: Noise::TRAIN,
            input: Side::A,
        })
    }

    fn parts(&mut self) -> Vec<(&'static str, &mut dyn Stateful)> {
        let [g, f] = &mut self.nets;
        let [d_x, d_y] = &mut self.critics;
        let [opt_d_x, opt_d_y] = &mut self.opts;
        vec![
            ("g", g),
            ("f", f),
            ("d_x", d_x),
            ("d_y", d_y),
            ("opt_g", &mut self.opt_g),
            ("opt_d_x", opt_d_x),
            ("opt_d_y", opt_d_y),
        ]
    }
}

#[test]
fn mistakes_in_dualgan_are_caught() {
    type Verdict = std::result::Result<(String, f64), String>;
    fn of<const MISTAKE: u8>() -> Verdict {
        verdict(&Erased::<MistakenDual<MISTAKE>>::NEW, "dualgan")
    }
    let (name, ratio) = of::<NONE>().unwrap();
    assert!(
        ratio < 1.,
        "without a mistake {name} is {ratio} of its limit"
    );
    for (found, least, what) in [
        (of::<SWAPPED>(), 10_000., "λ_U and λ_V swapped"),
        (of::<L2>(), 10_000., "L2 for L1"),
        (
            of::<DETACHED>(),
            10_000.,
            "a reconstruction of a detached fake",
        ),
        (of::<CLIP_FIRST>(), 10_000., "clipped before the update"),
        (of::<CLIP_WIDER>(), 1_000., "clipped to .101"),
        (
            of::<CLIP_STATISTICS>(),
            10_000.,
            "running statistics clipped",
        ),
        (of::<ALPHA>(), 1_000., "alpha .9"),
        (of::<STALE>(), 200., "G through the critics of before"),
    ] {
        let (name, ratio) = found.unwrap();
        assert!(ratio > least, "{what}: {name} is {ratio} of its limit");
    }
    // Two draw otherwise than was recorded.
    for (found, what) in [
        (of::<ONE_BATCH>(), "mask was asked for, x was recorded"),
        (of::<NO_DROPOUT>(), "x was asked for, mask was recorded"),
    ] {
        let said = found.unwrap_err();
        assert!(said.contains(what), "{said}");
    }
}

// -------------------------------------------------------------------- ProGAN

const AVERAGE_FIRST: u8 = 30;
const AVERAGE_99: u8 = 31;
const NOT_FADED: u8 = 32;
const NO_DRIFT: u8 = 33;
const NEIGHBOURS: u8 = 34;
const FADED_MORE: u8 = 35;
const BETA2: u8 = 36;
const SAME_Z: u8 = 37;

struct Grow {
    mistake: u8,
    config: gan_progan::Config,
    d: Net<gan_progan::Discriminator>,
    /// D before its update.
    old: Net<gan_progan::Discriminator>,
    g: Net<gan_progan::Generator>,
    ema: Ema<gan_progan::Generator>,
    opt_d: Optimizer,
    opt_g: Optimizer,
}

fn grow(config: &gan_progan::Config, mistake: u8, cx: &Context) -> Result<Box<dyn Algorithm>> {
    let mut config = config.clone();
    match mistake {
        AVERAGE_99 => config.ema = 0.99,
        NO_DRIFT => config.drift = 0.,
        FADED_MORE => config.alpha += 0.01,
        BETA2 => config.beta2 = 0.999,
        _ => {}
    }
    let sizes = config.sizes();
    let d = || {
        Net::new(cx, "d", gan_progan::initial, |vb| {
            gan_progan::Discriminator::new(&sizes, config.group, vb)
        })
    };
    let generator = |vb| gan_progan::Generator::new(&sizes, vb);
    let (d, old) = (d()?, d()?);
    let g = Net::new(cx, "g", gan_progan::initial, generator)?;
    let rule = Rule::adam(config.beta1, config.beta2);
    Ok(Box::new(Grow {
        mistake,
        ema: Ema::new(&g, config.ema, generator)?,
        opt_d: Optimizer::new(rule, config.lr, &[&d.params])?,
        opt_g: Optimizer::new(rule, config.lr, &[&g.params])?,
        config,
        d,
        old,
        g,
    }))
}

/// The batch in an order in which groups of pictures that lay side by side are what D takes for its strided ones.
fn side_by_side(x: &Tensor, group: usize) -> Result<Tensor> {
    let (b, c, h, w) = x.dims4()?;
    let groups = x.reshape((b / group, group, c * h * w))?;
    groups.transpose(0, 1)?.contiguous()?.reshape((b, c, h, w))
}

impl Algorithm for Grow {
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let gan_progan::Config {
            z_dim,
            lambda_gp,
            drift: epsilon_drift,
            alpha,
            group,
            ..
        } = self.config;
        let level = self.config.levels() - 1;
        let phase = gan_progan::Phase { level, alpha };
        for opt in [&mut self.opt_d, &mut self.opt_g] {
            opt.train_only(|key| phase.uses(key));
        }
        let m = self.config.batch.at(level);
        let view = self.config.learns().view;
        let mistake = self.mistake;
        let judged = |d: &gan_progan::Discriminator, x: &Tensor| match mistake {
            NEIGHBOURS => d.forward(&side_by_side(x, group)?, &phase),
            _ => d.forward(x, &phase),
        };
        let [mut x] = it.batch(m, view, [pictures("real")])?;
        if mistake != NOT_FADED {
            x = phase.faded(&x)?;
        }
        let z = it.normal("z", &[m, z_dim])?;
        let eps = it.uniform("eps", &[m, 1, 1, 1])?;
        let fake = self.g.frozen.forward(&z, &phase)?;
        let x_hat = (x.broadcast_mul(&eps)? + fake.broadcast_mul(&(1. - &eps)?)?)?;
        let (gp, _) = gradient_penalty(|x| judged(&self.d.live, x), &x_hat)?;
        let real = judged(&self.d.live, &x)?;
        let f_fake = judged(&self.d.live, &fake)?.mean_all()?;
        let (f_real, drift) = (real.mean_all()?, real.sqr()?.mean_all()?);
        let d_loss = ((&f_fake - &f_real)? + ((&gp * lambda_gp)? + (&drift * epsilon_drift)?)?)?;
        let terms = [
            ("d", &d_loss),
            ("f_real", &f_real),
            ("f_fake", &f_fake),
            ("gp", &gp),
            ("drift", &drift),
        ];
        copy(&self.d.params, &self.old.params)?;
        it.minimise(&mut self.opt_d, "d", &terms)?;
        if mistake == AVERAGE_FIRST {
            self.ema.update(&self.g.params, |_| true)?;
        }
        let fresh = it.normal("z", &[m, z_dim])?;
        let z = if mistake == SAME_Z { z } else { fresh };
        let fake = self.g.live.forward(&z, &phase)?;
        let d = match mistake {
            STALE => &self.old,
            _ => &self.d,
        };
        let g_loss = judged(&d.frozen, &fake)?.mean_all()?.neg()?;
        it.minimise(&mut self.opt_g, "g", &[("g", &g_loss)])?;
        match mistake {
            AVERAGE_FIRST => Ok(()),
            _ => self.ema.update(&self.g.params, |_| true),
        }
    }

    fn sampler(&self, _: u64) -> Box<dyn Sampler + '_> {
        Box::new(&self.g.frozen)
    }

    fn parts(&mut self) -> Vec<(&'static str, &mut dyn Stateful)> {
        vec![
            ("d", &mut self.d),
            ("g", &mut self.g),
            ("ema", &mut self.ema),
            ("opt_d", &mut self.opt_d),
            ("opt_g", &mut self.opt_g),
        ]
    }
}

/// The least is of the order that the reference's own table has (`tests/reference/README.md`, section 9).
#[test]
fn mistakes_in_progan_are_caught() {
    fn of<const MISTAKE: u8>(recording: &str) -> (String, f64) {
        verdict(&Erased::<MistakenGrow<MISTAKE>>::NEW, recording).unwrap()
    }
    for recording in ["progan-grow", "progan-stable"] {
        let (name, ratio) = of::<NONE>(recording);
        assert!(
            ratio < 1.,
            "{recording} without a mistake: {name} is {ratio} of its limit"
        );
    }
    for ((name, ratio), least, what) in [
        (
            of::<AVERAGE_FIRST>("progan-grow"),
            8.,
            "average before the update",
        ),
        (of::<AVERAGE_99>("progan-grow"), 12., "average of .99"),
        (
            of::<NOT_FADED>("progan-grow"),
            5_000.,
            "real pictures not faded",
        ),
        (of::<NO_DRIFT>("progan-grow"), 800., "no drift"),
        (
            of::<NEIGHBOURS>("progan-grow"),
            5_000.,
            "groups of neighbours",
        ),
        (
            of::<FADED_MORE>("progan-grow"),
            5_000.,
            "α a hundredth larger",
        ),
        (
            of::<SAME_Z>("progan-grow"),
            10_000.,
            "one z for both updates",
        ),
        (of::<NO_DRIFT>("progan-stable"), 400., "no drift"),
        (
            of::<NEIGHBOURS>("progan-stable"),
            1_000.,
            "groups of neighbours",
        ),
        (of::<BETA2>("progan-stable"), 12., "β₂ .999"),
        (
            of::<STALE>("progan-stable"),
            4_000.,
            "G's step through the D before its update",
        ),
    ] {
        println!("{what}: {name} is {ratio:.0} times its limit");
        assert!(
            ratio > least,
            "{what}: {name} is {ratio} times its limit, expected above {least}"
        );
    }
}
