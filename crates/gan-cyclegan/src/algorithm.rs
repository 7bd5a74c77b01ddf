//! The training: one iteration is one update of both generators, then one of each discriminator.

use crate::config::Config;
use crate::model::ResnetGenerator;
use crate::pool::Pool;
use candle_core::{Result, Tensor};
use gan_core::loss::{l1, mse};
use gan_core::nn::Mode::Train;
use gan_core::nn::patch::PatchDiscriminator;
use gan_core::optim::schedule;
use gan_core::{
    Algorithm, Context, Iter, Length, Net, Optimizer, Paper, Rule, Sampler, Side, Stateful,
    Translators, check, init, pictures,
};

/// CycleGAN in training.
#[derive(Debug)]
pub struct CycleGan {
    config: Config,
    length: Length,
    g: Net<ResnetGenerator>,
    f: Net<ResnetGenerator>,
    d_x: Net<PatchDiscriminator>,
    d_y: Net<PatchDiscriminator>,
    opt_g: Optimizer,
    opt_d_x: Optimizer,
    opt_d_y: Optimizer,
    pool_x: Pool,
    pool_y: Pool,
}

impl CycleGan {
    /// Networks whose kernels start from N(0, .02²); an Adam for both generators, one for each
    /// discriminator; empty pools.
    ///
    /// # Errors
    /// A setting out of range, or pictures that do not fit it.
    pub fn new(config: &Config, cx: &Context) -> Result<Self> {
        config.check()?;
        check::channels(config.channels, &cx.data)?;
        let start = init::convolutions_normal_offsets_zero;
        let generator = |name| {
            Net::new(cx, name, start, |vb| {
                ResnetGenerator::new(&config.generator(), vb)
            })
        };
        let discriminator = |name| {
            Net::new(cx, name, start, |vb| {
                PatchDiscriminator::new(config.norm, &config.discriminator(), vb)
            })
        };
        let (g, f) = (generator("g")?, generator("f")?);
        let (d_x, d_y) = (discriminator("d_x")?, discriminator("d_y")?);
        let rule = Rule::adam(config.beta1, config.beta2);
        Ok(Self {
            opt_g: Optimizer::new(rule, config.lr, &[&g.params, &f.params])?,
            opt_d_x: Optimizer::new(rule, config.lr, &[&d_x.params])?,
            opt_d_y: Optimizer::new(rule, config.lr, &[&d_y.params])?,
            pool_x: Pool::new("pool_x", config.pool, &cx.device),
            pool_y: Pool::new("pool_y", config.pool, &cx.device),
            config: config.clone(),
            length: cx.length,
            g,
            f,
            d_x,
            d_y,
        })
    }

    /// E‖F(x) − x‖₁ and E‖G(y) − y‖₁ (section 5.2), where they have a weight.
    fn identity(&self, x: &Tensor, y: &Tensor) -> Result<Option<[Tensor; 2]>> {
        if self.config.lambda_identity == 0. {
            return Ok(None);
        }
        let idt_y = l1(&self.g.live.forward(y, Train)?, y)?;
        let idt_x = l1(&self.f.live.forward(x, Train)?, x)?;
        Ok(Some([idt_x, idt_y]))
    }
}

/// One update of a discriminator: half of E(D(real) − 1)² + E D(fake)².
fn judge(
    d: &Net<PatchDiscriminator>,
    opt: &mut Optimizer,
    (real, fake): (&Tensor, &Tensor),
    it: &mut Iter<'_>,
) -> Result<()> {
    let on_real = mse(&d.live.forward(real, Train)?, 1.)?;
    let on_fake = mse(&d.live.forward(fake, Train)?, 0.)?;
    let loss = ((on_real + on_fake)? / 2.)?;
    it.minimise(opt, d.params.name(), &[(d.params.name(), &loss)])
}

impl Algorithm for CycleGan {
    /// Equation 3 with the least squares of section 4; the discriminators see fakes of the pools.
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let c = &self.config;
        let (lambda, view) = (c.lambda_cycle, c.learns().view);
        let lr = schedule::linear(c.lr, c.decay, &self.length, it.t);
        for opt in [&mut self.opt_g, &mut self.opt_d_x, &mut self.opt_d_y] {
            opt.lr = lr;
        }
        let b = it.share(c.batch)?;
        let [x] = it.batch(b, view, [pictures("x").of(Side::A)])?; // [b, c, size, size]
        let [y] = it.batch(b, view, [pictures("y").of(Side::B)])?;
        let (g, f) = (&self.g.live, &self.f.live);
        let (fake_y, fake_x) = (g.forward(&x, Train)?, f.forward(&y, Train)?);

        // G and F: descend E(D_Y(G(x)) − 1)² + E(D_X(F(y)) − 1)² + λ·(E‖F(G(x)) − x‖₁ + E‖G(F(y)) − y‖₁).
        let cycle_x = l1(&f.forward(&fake_y, Train)?, &x)?;
        let cycle_y = l1(&g.forward(&fake_x, Train)?, &y)?;
        let identity = self.identity(&x, &y)?;
        let gan_g = mse(&self.d_y.frozen.forward(&fake_y, Train)?, 1.)?;
        let gan_f = mse(&self.d_x.frozen.forward(&fake_x, Train)?, 1.)?;
        let mut loss = ((&gan_g + &gan_f)? + ((&cycle_x + &cycle_y)? * lambda)?)?;
        if let Some([idt_x, idt_y]) = &identity {
            loss = (loss + ((idt_x + idt_y)? * (lambda * c.lambda_identity))?)?;
        }
        let mut terms = vec![("g", &loss), ("gan_g", &gan_g), ("gan_f", &gan_f)];
        terms.extend([("cycle_x", &cycle_x), ("cycle_y", &cycle_y)]);
        if let Some([idt_x, idt_y]) = &identity {
            terms.extend([("idt_x", idt_x), ("idt_y", idt_y)]);
        }
        it.minimise(&mut self.opt_g, "g", &terms)?;

        // D_X, then D_Y, each on its data and on fakes of its pool.
        let old_x = self.pool_x.query(&fake_x, it)?;
        judge(&self.d_x, &mut self.opt_d_x, (&x, &old_x), it)?;
        let old_y = self.pool_y.query(&fake_y, it)?;
        judge(&self.d_y, &mut self.opt_d_y, (&y, &old_y), it)
    }

    fn sampler(&self, _: u64) -> Box<dyn Sampler + '_> {
        Box::new(Translators {
            g: self.g.frozen.clone(),
            f: self.f.frozen.clone(),
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
            ("pool_x", &mut self.pool_x),
            ("pool_y", &mut self.pool_y),
        ]
    }
}
