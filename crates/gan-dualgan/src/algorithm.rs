//! The training: one iteration is `n_critic` updates of both critics and one of both generators.

use crate::config::Config;
use candle_core::{Result, Tensor};
use gan_core::loss::l1;
use gan_core::nn::Mode::Train;
use gan_core::nn::maps::Norm;
use gan_core::nn::patch::PatchDiscriminator as Critic;
use gan_core::nn::unet::{Noise, Translator, Unet};
use gan_core::{
    Algorithm, Context, Iter, Net, Optimizer, Paper, Rule, Sampler, Side, Stateful, Translators,
    check, init, pictures,
};

/// DualGAN in training.
#[derive(Debug)]
pub struct DualGan {
    config: Config,
    g: Net<Unet>,
    f: Net<Unet>,
    d_x: Net<Critic>,
    d_y: Net<Critic>,
    opt_g: Optimizer,
    opt_d_x: Optimizer,
    opt_d_y: Optimizer,
}

impl DualGan {
    /// Networks whose kernels start from N(0, .02²); an RMSProp for both generators, one for each critic.
    ///
    /// # Errors
    /// A setting out of range, or pictures that do not fit it.
    pub fn new(config: &Config, cx: &Context) -> Result<Self> {
        config.check()?;
        check::channels(config.channels, &cx.data)?;
        let start = init::convolutions_normal_offsets_zero;
        let generator = |name| {
            Net::new(cx, name, start, |vb| {
                Unet::new(&config.generator(), config.dropout, vb)
            })
        };
        let critic = |name| {
            Net::new(cx, name, start, |vb| {
                Critic::new(Norm::Batch, &config.critic(), vb)
            })
        };
        let (g, f) = (generator("g")?, generator("f")?);
        let (d_x, d_y) = (critic("d_x")?, critic("d_y")?);
        let rule = Rule::RmsProp {
            alpha: config.alpha,
            eps: 1e-8,
        };
        Ok(Self {
            opt_g: Optimizer::new(rule, config.lr, &[&g.params, &f.params])?,
            opt_d_x: Optimizer::new(rule, config.lr, &[&d_x.params])?,
            opt_d_y: Optimizer::new(rule, config.lr, &[&d_y.params])?,
            config: config.clone(),
            g,
            f,
            d_x,
            d_y,
        })
    }

    /// The next batch of each set, `[b, c, size, size]`.
    fn batches(&self, it: &mut Iter<'_>) -> Result<[Tensor; 2]> {
        let (b, view) = (it.share(self.config.batch)?, self.config.learns().view);
        let [x] = it.batch(b, view, [pictures("x").of(Side::A)])?;
        let [y] = it.batch(b, view, [pictures("y").of(Side::B)])?;
        Ok([x, y])
    }
}

/// The k-th update of a critic: descend E D(fake) − E D(real).
fn judge(
    d: &Net<Critic>,
    opt: &mut Optimizer,
    (real, fake): (&Tensor, &Tensor),
    k: usize,
    it: &mut Iter<'_>,
) -> Result<()> {
    let f_real = d.live.forward(real, Train)?.mean_all()?;
    let f_fake = d.live.forward(fake, Train)?.mean_all()?;
    let (name, loss) = (d.params.name(), (&f_fake - &f_real)?);
    it.log(&format!("wasserstein/{name}"), &loss.neg()?);
    let terms = [(name, &loss), ("f_real", &f_real), ("f_fake", &f_fake)];
    it.minimise(opt, &format!("{name}{k}"), &terms)
}

impl Algorithm for DualGan {
    /// Algorithm 1 of the paper.
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let Config {
            n_critic,
            clip,
            lambda_u,
            lambda_v,
            ..
        } = self.config;
        for k in 0..n_critic {
            let [x, y] = self.batches(it)?; // line 4
            let fake_y = self.g.frozen.forward(&x, Noise::TRAIN, it)?;
            let fake_x = self.f.frozen.forward(&y, Noise::TRAIN, it)?;
            judge(&self.d_y, &mut self.opt_d_y, (&y, &fake_y), k, it)?; // lines 5 and 6
            judge(&self.d_x, &mut self.opt_d_x, (&x, &fake_x), k, it)?;
            self.d_y.params.clip(clip)?; // line 7
            self.d_x.params.clip(clip)?;
        }
        let [x, y] = self.batches(it)?; // line 9
        let (g, f) = (&self.g.live, &self.f.live);
        let fake_y = g.forward(&x, Noise::TRAIN, it)?;
        let fake_x = f.forward(&y, Noise::TRAIN, it)?;

        // Descend λ_U·‖x − F(G(x))‖₁ + λ_V·‖y − G(F(y))‖₁ − D_Y(G(x)) − D_X(F(y)) (lines 10 and 11).
        let rec_x = l1(&f.forward(&fake_y, Noise::TRAIN, it)?, &x)?;
        let rec_y = l1(&g.forward(&fake_x, Noise::TRAIN, it)?, &y)?;
        let score = |d: &Net<Critic>, fake| d.frozen.forward(fake, Train)?.mean_all()?.neg();
        let (gan_g, gan_f) = (score(&self.d_y, &fake_y)?, score(&self.d_x, &fake_x)?);
        let rec = ((&rec_x * lambda_u)? + (&rec_y * lambda_v)?)?;
        let loss = ((rec + &gan_g)? + &gan_f)?;
        let mut terms = vec![("g", &loss), ("gan_g", &gan_g), ("gan_f", &gan_f)];
        terms.extend([("rec_x", &rec_x), ("rec_y", &rec_y)]);
        it.minimise(&mut self.opt_g, "g", &terms)
    }

    fn sampler(&self, _: u64) -> Box<dyn Sampler + '_> {
        let translator = |net: &Net<Unet>| Translator {
            unet: net.frozen.clone(),
            noise: self.config.sampling(),
            input: Side::A,
        };
        Box::new(Translators {
            g: translator(&self.g),
            f: translator(&self.f),
        })
    }

    fn parts(&mut self) -> Vec<(&'static str, &mut dyn Stateful)> {
        vec![
            ("g", &mut self.g),
            ("f", &mut self.f),
            ("d_x", &mut self.d_x),
            ("d_y", &mut self.d_y),
            ("opt_g", &mut self.opt_g),
            ("opt_d_x", &mut self.opt_d_x),
            ("opt_d_y", &mut self.opt_d_y),
        ]
    }
}
