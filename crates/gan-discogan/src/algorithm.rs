//! The training: one iteration is one update of both discriminators, then one of both generators.

use crate::config::Config;
use crate::model::Generator;
use candle_core::{Result, Tensor};
use gan_core::loss::bce_with_logits;
use gan_core::nn::Mode::Train;
use gan_core::nn::maps::Norm;
use gan_core::nn::strided::Discriminator;
use gan_core::{
    Algorithm, Context, Iter, Net, Optimizer, Paper, Rule, Sampler, Side, Stateful, Translators,
    check, init, pictures,
};

/// DiscoGAN in training.
#[derive(Debug)]
pub struct DiscoGan {
    config: Config,
    g: Net<Generator>,
    f: Net<Generator>,
    d_x: Net<Discriminator>,
    d_y: Net<Discriminator>,
    opt_d: Optimizer,
    opt_g: Optimizer,
}

impl DiscoGan {
    /// Networks whose kernels start from N(0, .02²); an Adam for both discriminators, one for both generators.
    ///
    /// # Errors
    /// A setting out of range, or pictures that do not fit it.
    pub fn new(config: &Config, cx: &Context) -> Result<Self> {
        config.check()?;
        check::channels(config.channels, &cx.data)?;
        let generator = |name| {
            Net::new(cx, name, init::convolutions_normal, |vb| {
                Generator::new(&config.generator(), vb)
            })
        };
        let discriminator = |name| {
            Net::new(cx, name, init::convolutions_normal, |vb| {
                Discriminator::new(Norm::Batch, &config.discriminator(), vb)
            })
        };
        let (g, f) = (generator("g")?, generator("f")?);
        let (d_x, d_y) = (discriminator("d_x")?, discriminator("d_y")?);
        let rule = Rule::adam_decayed(config.beta1, config.beta2, config.weight_decay);
        Ok(Self {
            opt_d: Optimizer::new(rule, config.lr, &[&d_x.params, &d_y.params])?,
            opt_g: Optimizer::new(rule, config.lr, &[&g.params, &f.params])?,
            config: config.clone(),
            g,
            f,
            d_x,
            d_y,
        })
    }
}

/// −E ln D(real) − E ln(1 − D(fake)).
fn judge(d: &Discriminator, real: &Tensor, fake: &Tensor) -> Result<Tensor> {
    let on_real = bce_with_logits(&d.forward(real, Train)?, 1.)?;
    on_real + bce_with_logits(&d.forward(&fake.detach(), Train)?, 0.)?
}

impl Algorithm for DiscoGan {
    /// The two objectives of the crate's head: the same pictures and fakes serve both updates.
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let (d, view) = (self.config.distance, self.config.learns().view);
        let b = it.share(self.config.batch)?;
        let [x] = it.batch(b, view, [pictures("x").of(Side::A).unit()])?; // [b, c, size, size]
        let [y] = it.batch(b, view, [pictures("y").of(Side::B).unit()])?;
        let (g, f) = (&self.g.live, &self.f.live);
        let (fake_y, fake_x) = (g.forward(&x, Train)?, f.forward(&y, Train)?);

        // D_X and D_Y: ascend ln D_X(x) + ln(1 − D_X(F(y))) + ln D_Y(y) + ln(1 − D_Y(G(x))).
        let d_x = judge(&self.d_x.live, &x, &fake_x)?;
        let d_y = judge(&self.d_y.live, &y, &fake_y)?;
        let d_loss = (&d_x + &d_y)?;
        let terms = [("d", &d_loss), ("d_x", &d_x), ("d_y", &d_y)];
        it.minimise(&mut self.opt_d, "d", &terms)?;

        // G and F: descend d(F(G(x)), x) − ln D_Y(G(x)) + d(G(F(y)), y) − ln D_X(F(y)), through the updated D's.
        let rec_x = d.of(&f.forward(&fake_y, Train)?, &x)?;
        let rec_y = d.of(&g.forward(&fake_x, Train)?, &y)?;
        let gan_g = bce_with_logits(&self.d_y.frozen.forward(&fake_y, Train)?, 1.)?;
        let gan_f = bce_with_logits(&self.d_x.frozen.forward(&fake_x, Train)?, 1.)?;
        let g_loss = (((&gan_g + &rec_x)? + &gan_f)? + &rec_y)?;
        let mut terms = vec![("g", &g_loss), ("gan_g", &gan_g), ("gan_f", &gan_f)];
        terms.extend([("rec_x", &rec_x), ("rec_y", &rec_y)]);
        it.minimise(&mut self.opt_g, "g", &terms)
    }

    fn sampler(&self, _: u64) -> Box<dyn Sampler + '_> {
        Box::new(Translators {
            g: &self.g.frozen,
            f: &self.f.frozen,
        })
    }

    fn parts(&mut self) -> Vec<(&'static str, &mut dyn Stateful)> {
        vec![
            ("g", &mut self.g),
            ("f", &mut self.f),
            ("d_x", &mut self.d_x),
            ("d_y", &mut self.d_y),
            ("opt_d", &mut self.opt_d),
            ("opt_g", &mut self.opt_g),
        ]
    }
}
