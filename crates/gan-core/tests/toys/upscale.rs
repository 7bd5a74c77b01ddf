//! Pictures twice as large as those given: a phase on the distance alone, then a game.

use super::{Discriminator, paper};
use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use gan_core::loss::mse;
use gan_core::nn::{Act, Conv2d, conv2d, strided_conv, tanh};
use gan_core::{
    Algorithm, Columns, Context, Draws, Erased, Iter, Learns, Net, Optimizer, Paper, Port, Probe,
    Rule, Sampler, Stateful, Takes, View, init, pictures,
};

pub const UPSCALE: Erased<UpscaleConfig> = Erased::NEW;

/// Side of the crops, and how much smaller the pictures given are.
const CROP: usize = 8;
const SCALE: usize = 2;
/// Iterations on the distance alone.
const PRETRAINED: u64 = 5;

/// Each pixel four times, then a convolution.
pub struct Enlarger {
    conv: Conv2d,
    channels: usize,
}

impl Enlarger {
    fn new(channels: usize, vb: VarBuilder<'_>) -> Result<Self> {
        let how = strided_conv(1, 1, Act::None);
        let conv = conv2d(channels, channels, 3, how, vb.pp("conv"))?;
        Ok(Self { conv, channels })
    }

    /// [b, c, h, w] → [b, c, 2h, 2w]
    fn forward(&self, low: &Tensor) -> Result<Tensor> {
        let (b, c, h, w) = low.dims4()?;
        let large = low.reshape((b, c, h, 1, w, 1))?;
        let large = large.broadcast_as((b, c, h, SCALE, w, SCALE))?;
        let large = large.reshape((b, c, SCALE * h, SCALE * w))?;
        tanh(&self.conv.forward(&large)?)
    }
}

pub struct Upscale {
    config: UpscaleConfig,
    g: Net<Enlarger>,
    d: Net<Discriminator>,
    opt_g: Optimizer,
    opt_d: Optimizer,
}

paper!(Upscale, UpscaleConfig, "toy-upscale" on "mnist", |batch| {
    Learns::pictures(View::crop(CROP).flipped(true), batch).enlarging(SCALE)
});

impl Upscale {
    fn new(config: &UpscaleConfig, cx: &Context) -> Result<Self> {
        let c = cx.data.channels;
        let g = Net::new(cx, "g", init::as_layers, |vb| Enlarger::new(c, vb))?;
        let d = Net::new(cx, "d", init::as_layers, |vb| {
            Discriminator::new(c * CROP * CROP, vb)
        })?;
        let adam = |nets| Optimizer::new(Rule::adam(0.9, 0.999), config.lr, nets);
        Ok(Self {
            opt_g: adam(&[&g.params])?,
            opt_d: adam(&[&d.params])?,
            config: config.clone(),
            g,
            d,
        })
    }

    fn pretrain(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let [low, high] = self.crops(it)?;
        let content = mse(&self.g.live.forward(&low)?, &high)?;
        it.minimise(&mut self.opt_g, "g", &[("g", &content)])
    }

    fn adversarial(&mut self, it: &mut Iter<'_>) -> Result<()> {
        if it.t == PRETRAINED {
            self.opt_g.reset()?;
        }
        let [low, high] = self.crops(it)?;
        let fake = self.g.live.forward(&low)?;
        let score = |d: &Discriminator, x: &Tensor| d.forward(&x.flatten_from(1)?);
        let d_real = mse(&score(&self.d.live, &high)?, 1.)?;
        let d_fake = mse(&score(&self.d.live, &fake.detach())?, 0.)?;
        it.minimise(&mut self.opt_d, "d", &[("d", &(d_real + d_fake)?)])?;
        let content = mse(&fake, &high)?;
        let adv = mse(&score(&self.d.frozen, &fake)?, 1.)?;
        let loss = (&content + (&adv * 1e-2)?)?;
        it.minimise(
            &mut self.opt_g,
            "g",
            &[("g", &loss), ("content", &content), ("adv", &adv)],
        )
    }

    fn crops(&self, it: &mut Iter<'_>) -> Result<[Tensor; 2]> {
        let asks = [pictures("low").shrunk(SCALE), pictures("high")];
        it.batch(
            it.share(self.config.batch)?,
            self.config.learns().view,
            asks,
        )
    }
}

impl Algorithm for Upscale {
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()> {
        match it.t < PRETRAINED {
            true => self.pretrain(it),
            false => self.adversarial(it),
        }
    }

    fn sampler(&self, _: u64) -> Box<dyn Sampler + '_> {
        Box::new(Enlarged(&self.g.frozen))
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

struct Enlarged<'a>(&'a Enlarger);

impl Sampler for Enlarged<'_> {
    fn takes(&self) -> Takes {
        let port = Port::new(self.0.channels, 1).least(2).scale(SCALE).reach(1);
        Takes::pictures(port.restoring().bytes(256))
    }

    fn sample(&self, input: &Probe, _: &mut dyn Draws) -> Result<Columns> {
        let low = input.one()?;
        let fake = self.0.forward(low)?.detach();
        Ok(Columns::new("real", low.clone()).with("fake", fake))
    }
}
