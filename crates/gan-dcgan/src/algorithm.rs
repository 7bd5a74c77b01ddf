//! The training: one iteration is one update of D and one of G.

use crate::config::Config;
use candle_core::{Device, Result};
use gan_core::loss::bce_with_logits;
use gan_core::nn::Mode::Train;
use gan_core::nn::sigmoid;
use gan_core::nn::strided::{Discriminator, Generator, Norm};
use gan_core::{
    Algorithm, Context, DataInfo, Draws, Iter, Net, Optimizer, Pace, Paper, PaperInfo, Preset,
    Range, Rule, Sampler, Stateful, Task, Weights, init,
};
use serde_json::Value;

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
        config.generator().check_data(&cx.data)?;
        let d = Net::new(cx, "d", init::convolutions_normal, |vb| {
            Discriminator::new(Norm::Batch, &config.discriminator(), vb)
        })?;
        let g = Net::new(cx, "g", init::convolutions_normal, |vb| {
            Generator::new(config.z_dim, &config.generator(), vb)
        })?;
        let adam = Rule::adam(config.beta1, config.beta2);
        Ok(Self {
            opt_d: Optimizer::new(adam, config.lr, &[&d.params])?,
            opt_g: Optimizer::new(adam, config.lr, &[&g.params])?,
            config: config.clone(),
            d,
            g,
        })
    }
}

impl Algorithm for Dcgan {
    /// Goodfellow's Algorithm 1 with k = 1; real and fake pictures go through D's batch norm apart.
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let b = self.config.batch;
        let x = it.images_at("real", b, self.config.size, Range::Signed)?;
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

impl Paper for Dcgan {
    type Config = Config;

    const INFO: PaperInfo = PaperInfo {
        name: "dcgan",
        title: "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks",
        authors: "Radford, Metz, Chintala",
        year: 2015,
        arxiv: "1511.06434",
        data: "mnist",
        fixtures: &["dcgan"],
        bench: &[
            ("dcgan", DataInfo::unlabelled(3, 64)),
            ("dcgan-c1", DataInfo::unlabelled(1, 64)),
        ],
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

    fn pace(config: &Config, _: &DataInfo) -> Pace {
        Pace::of(config.iterations)
    }

    fn reference(fixture: &str, config: &Value) -> Result<(Config, DataInfo)> {
        Config::reference(fixture, config)
    }

    fn build(config: &Config, cx: &Context) -> Result<Box<dyn Algorithm>> {
        Ok(Box::new(Self::new(config, cx)?))
    }

    fn open(weights: &Weights, device: &Device) -> Result<Box<dyn Sampler>> {
        Ok(Box::new(Generator::open(weights, device)?))
    }
}
