//! The distance to the true picture alone, which the paper compares with (table 1, "L1").

use crate::config::Config;
use candle_core::Result;
use gan_core::loss::l1;
use gan_core::nn::unet::{Noise, Translator, Unet};
use gan_core::{Algorithm, Context, Iter, Length, Net, Optimizer, Sampler, Stateful};

/// The generator in training without a discriminator.
#[derive(Debug)]
pub struct Regression {
    config: Config,
    length: Length,
    g: Net<Unet>,
    opt_g: Optimizer,
}

impl Regression {
    /// A generator whose kernels start from N(0, .02²), and its Adam.
    ///
    /// # Errors
    /// A setting out of range, or pictures that do not fit it.
    pub fn new(config: &Config, cx: &Context) -> Result<Self> {
        let g = config.new_generator(cx)?;
        Ok(Self {
            opt_g: config.optimizer(&g.params)?,
            config: config.clone(),
            length: cx.length,
            g,
        })
    }
}

impl Algorithm for Regression {
    /// Equation 3.
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()> {
        self.opt_g.lr = self.config.lr(&self.length, it.t);
        let [x, y] = self.config.pairs(it)?; // [b, c, size, size]
        let fake = self.g.live.forward(&x, Noise::TRAIN, it)?;
        let g_l1 = l1(&fake, &y)?;
        let g_loss = (&g_l1 * self.config.weight_l1())?;
        it.minimise(&mut self.opt_g, "g", &[("g", &g_loss), ("g_l1", &g_l1)])
    }

    fn sampler(&self, _: u64) -> Box<dyn Sampler + '_> {
        Box::new(Translator {
            unet: self.g.frozen.clone(),
            noise: self.config.sampling(),
            input: self.config.input(),
        })
    }

    fn parts(&mut self) -> Vec<(&'static str, &mut dyn Stateful)> {
        vec![("g", &mut self.g), ("opt_g", &mut self.opt_g)]
    }
}
