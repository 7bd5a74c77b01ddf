//! The two networks: perceptrons with one hidden layer. Key names are those of a PyTorch `Sequential`.

use candle_core::{D, Device, Result, Tensor, bail};
use candle_nn::VarBuilder;
use gan_core::nn::{Linear, leaky_relu, linear, sigmoid, tanh};
use gan_core::{Columns, DataInfo, Draws, Law, Net, Probe, Sampler, Takes, Weights};

/// LeakyReLU's slope for negative values, PyTorch's default.
const SLOPE: f64 = 0.01;

/// D: pictures as vectors `[b, pixels]` to probabilities `[b, 1]` that they are data.
#[derive(Clone, Debug)]
pub struct Discriminator {
    hidden: Linear,
    out: Linear,
}

impl Discriminator {
    /// Keys `disc.0.{weight, bias}`, `disc.2.{weight, bias}`.
    pub fn new(pixels: usize, hidden: usize, vb: VarBuilder<'_>) -> Result<Self> {
        Ok(Self {
            hidden: linear(pixels, hidden, vb.pp("disc.0"))?,
            out: linear(hidden, 1, vb.pp("disc.2"))?,
        })
    }
}

impl Discriminator {
    /// Probabilities for a batch.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let h = leaky_relu(&self.hidden.forward(x)?, SLOPE)?; // [b, hidden]
        sigmoid(&self.out.forward(&h)?) // [b, 1]
    }
}

/// G: noise `[b, z]` to pictures as vectors `[b, pixels]` in [−1, 1].
#[derive(Clone, Debug)]
pub struct Generator {
    hidden: Linear,
    out: Linear,
    z_dim: usize,
    picture: [usize; 3],
}

impl Generator {
    /// Keys `gen.0.{weight, bias}`, `gen.2.{weight, bias}`; `picture` is `[c, h, w]`.
    pub fn new(
        z_dim: usize,
        hidden: usize,
        picture: [usize; 3],
        vb: VarBuilder<'_>,
    ) -> Result<Self> {
        let pixels = picture.iter().product();
        Ok(Self {
            hidden: linear(z_dim, hidden, vb.pp("gen.0"))?,
            out: linear(hidden, pixels, vb.pp("gen.2"))?,
            z_dim,
            picture,
        })
    }

    /// A saved generator.
    ///
    /// # Errors
    /// Those of [`Generator::sizes`]; keys that are missing, left over or of another shape.
    pub fn open(weights: &Weights, device: &Device) -> Result<Self> {
        let (z_dim, hidden, picture) = Self::sizes(weights).map_err(|e| weights.named(e))?;
        let build = |vb| Self::new(z_dim, hidden, picture, vb);
        Ok(Net::open(weights, device, "g", build)?.frozen)
    }

    /// Sizes of a saved generator: z, hidden, and the picture, square and grey or RGB.
    ///
    /// # Errors
    /// Other keys or shapes, naming the first that differs.
    pub fn sizes(weights: &Weights) -> Result<(usize, usize, [usize; 3])> {
        let dims = |key: &str| match weights.dims(key) {
            Some(&[rows, columns]) => Ok((rows, columns)),
            Some(dims) => bail!("{key} is {dims:?}, expected two dimensions"),
            None => bail!("{key} is missing"),
        };
        let ((hidden, z_dim), (pixels, width)) = (dims("gen.0.weight")?, dims("gen.2.weight")?);
        // Sizes are believed only where the file holds numbers for them.
        for (key, want) in [("gen.0.bias", hidden), ("gen.2.bias", pixels)] {
            match weights.dims(key) {
                Some(&[n]) if n == want => {}
                Some(dims) => bail!("{key} is {dims:?}, expected [{want}]"),
                None => bail!("{key} is missing"),
            }
        }
        if width != hidden || z_dim == 0 {
            bail!(
                "gen.2.weight is [{pixels}, {width}], gen.0.weight [{hidden}, {z_dim}]: they do not fit"
            )
        }
        let square = DataInfo::square(pixels)?;
        Ok((
            z_dim,
            hidden,
            [square.channels, square.height, square.width],
        ))
    }
}

impl Generator {
    /// Pictures for a batch of noise.
    pub fn forward(&self, z: &Tensor) -> Result<Tensor> {
        let h = leaky_relu(&self.hidden.forward(z)?, SLOPE)?; // [b, hidden]
        tanh(&self.out.forward(&h)?) // [b, pixels]
    }
}

impl Sampler for Generator {
    fn takes(&self) -> Takes {
        Takes::noise(&[self.z_dim], Law::Normal)
    }

    fn sample(&self, input: &Probe, _: &mut dyn Draws) -> Result<Columns> {
        let z = input.z()?;
        let [c, h, w] = self.picture;
        let fake = self.forward(z)?.reshape((z.dim(0)?, c, h, w))?;
        Ok(Columns::new("fake", fake))
    }
}

/// Mean probability, for the log.
pub(crate) fn score(p: &Tensor) -> Result<Tensor> {
    p.detach().flatten_all()?.mean(D::Minus1)
}
