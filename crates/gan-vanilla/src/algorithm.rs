//! The training: one iteration is one update of D and one of G.

use crate::config::Config;
use crate::model::{Discriminator, Generator, score};
use candle_core::{Device, Result};
use gan_core::loss::bce;
use gan_core::{
    Algorithm, Context, DataInfo, Draws, Iter, Net, Optimizer, Pace, Paper, PaperInfo, Preset,
    Range, Rule, Sampler, Stateful, Task, Weights, init,
};
use serde_json::Value;

/// The original GAN in training.
#[derive(Debug)]
pub struct Vanilla {
    batch: usize,
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
        let pixels = cx.data.pixels();
        let d = Net::new(cx, "d", init::as_layers, |vb| {
            Discriminator::new(pixels, config.hidden_d, vb)
        })?;
        let g = Net::new(cx, "g", init::as_layers, |vb| {
            Generator::new(config.z_dim, config.hidden_g, &cx.data, vb)
        })?;
        let adam = Rule::adam(config.beta1, config.beta2);
        Ok(Self {
            batch: config.batch,
            z_dim: config.z_dim,
            opt_d: Optimizer::new(adam, config.lr, &[&d.params])?,
            opt_g: Optimizer::new(adam, config.lr, &[&g.params])?,
            d,
            g,
        })
    }
}

impl Algorithm for Vanilla {
    /// Algorithm 1 of the paper with k = 1.
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let x = it
            .images("real", self.batch, Range::Signed)?
            .flatten_from(1)?;
        let z = it.normal("z", &[self.batch, self.z_dim])?;
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

impl Paper for Vanilla {
    type Config = Config;

    const INFO: PaperInfo = PaperInfo {
        name: "vanilla",
        title: "Generative Adversarial Nets",
        authors: "Goodfellow, Pouget-Abadie, Mirza, Xu, Warde-Farley, Ozair, Courville, Bengio",
        year: 2014,
        arxiv: "1406.2661",
        data: "mnist",
        fixtures: &["vanilla"],
        bench: &[(
            "vanilla",
            DataInfo {
                channels: 1,
                height: 28,
                width: 28,
                classes: None,
                len: 1,
            },
        )],
    };

    fn task(_: &Config) -> Task {
        Task::Images
    }

    fn preset(preset: Preset, data: &DataInfo) -> Config {
        Config::preset(preset, data)
    }

    fn check(config: &Config) -> Result<()> {
        config.check()
    }

    fn pace(config: &Config, data: &DataInfo) -> Pace {
        let batch = config.batch.max(1) as u64;
        Pace {
            steps: config
                .epochs
                .saturating_mul(data.len as u64)
                .div_ceil(batch),
            sample_every: (data.len as u64).div_ceil(batch),
        }
    }

    fn reference(fixture: &str, config: &Value) -> Result<(Config, DataInfo)> {
        Config::reference(fixture, config)
    }

    fn build(config: &Config, cx: &Context) -> Result<Box<dyn Algorithm>> {
        Ok(Box::new(Self::new(config, cx)?))
    }

    fn open(weights: &Weights, device: &Device) -> Result<Box<dyn Sampler>> {
        let (z_dim, hidden, data) = Generator::sizes(weights)?;
        let g = Net::open(weights, device, "g", |vb| {
            Generator::new(z_dim, hidden, &data, vb)
        })?;
        Ok(Box::new(g.frozen))
    }
}
