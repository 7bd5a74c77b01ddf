//! A generator of transposed convolutions and a discriminator of strided ones, each halving or doubling
//! the picture: 4x4 kernels, stride 2, no pooling, no hidden dense layer, no bias.
//!
//! The shape is that of Radford et al. 2015 (figure 1) for any power of two: `width` channels at half
//! the picture's size, twice as many at a quarter, down to 4x4. Key names are those of one PyTorch
//! `Sequential` called `main` that holds convolution, norm and activation as entries of their own.

use super::maps::{Norm, NormLayer};
use super::{
    Act, BatchNorm, Conv2d, ConvTranspose2d, Mode, batch_norm, conv_transpose2d_no_bias,
    conv2d_no_bias, tanh,
};
use crate::check;
use crate::data::DataInfo;
use crate::draws::Draws;
use crate::layout::Layout;
use crate::params::Net;
use crate::sampler::{Columns, Law, Probe, Sampler, Takes};
use crate::weights::Weights;
use candle_core::{Device, Result, Tensor, bail};
use candle_nn::VarBuilder;
use gan_kernels::conv;

/// The names of the layers of both networks.
pub const LAYOUT: Layout = Layout {
    name: "generator or discriminator of strided convolutions (main.N)",
    layers: &["main.#"],
};

/// Kernel of every layer, and the size of the smallest picture inside.
const K: usize = 4;
/// LeakyReLU's slope (Radford et al. 2015, section 4).
const LEAKY: Act = Act::LeakyRelu(0.2);

/// How large the pictures and the networks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StridedSizes {
    /// Side of a picture: a power of two from 16.
    pub size: usize,
    /// 1 or 3.
    pub channels: usize,
    /// Channels at half the picture's size.
    pub width: usize,
}

impl StridedSizes {
    /// Refuses what cannot be built; `width_key` is the setting that `width` comes from.
    pub fn check(&self, width_key: &str) -> Result<()> {
        let &Self {
            size,
            channels,
            width,
        } = self;
        if !size.is_power_of_two() || !(16..=1024).contains(&size) {
            bail!("size is {size}, expected a power of two from 16 to 1024")
        }
        if !matches!(channels, 1 | 3) {
            bail!("channels is {channels}, expected 1 or 3")
        }
        check::within(width_key, width, 1..=1024)
    }

    /// The smallest power of two that holds the data's pictures, from 16 to `most`.
    pub fn side(data: &DataInfo, most: usize) -> usize {
        data.side().min(most).next_power_of_two().clamp(16, most)
    }

    /// Channels at 4x4.
    fn widest(&self) -> usize {
        self.width * self.size / (2 * K)
    }
}

/// z `[b, z, 1, 1]` to pictures `[b, channels, size, size]` in [−1, 1].
#[derive(Clone, Debug)]
pub struct Generator {
    blocks: Vec<(ConvTranspose2d, BatchNorm)>,
    last: ConvTranspose2d,
    z_dim: usize,
}

impl Generator {
    /// Keys `main.N.weight` for the transposed convolutions (N = 0, 3, 6, …) and
    /// `main.N.{weight, bias, running_mean, running_var}` for the norms after all but the last.
    pub fn new(z_dim: usize, sizes: &StridedSizes, vb: VarBuilder<'_>) -> Result<Self> {
        let vb = vb.pp("main");
        let double = conv::ConvTranspose2d {
            stride: 2,
            padding: 1,
            ..Default::default()
        };
        let (mut inputs, mut width) = (z_dim, sizes.widest());
        let (mut how, mut n) = (conv::ConvTranspose2d::default(), 0);
        let mut blocks = Vec::new();
        while width >= sizes.width {
            let up = conv_transpose2d_no_bias(inputs, width, K, how, vb.pp(n))?;
            blocks.push((up, batch_norm(width, Act::Relu, vb.pp(n + 1))?));
            (inputs, width, how, n) = (width, width / 2, double, n + 3);
        }
        Ok(Self {
            blocks,
            last: conv_transpose2d_no_bias(inputs, sizes.channels, K, double, vb.pp(n))?,
            z_dim,
        })
    }

    /// z and sizes of a saved generator, from its keys and shapes alone.
    ///
    /// # Errors
    /// Keys or shapes of something else, naming the first that does not fit.
    pub fn recognise(weights: &Weights) -> Result<(usize, StridedSizes)> {
        let kernel = |n: usize| -> Result<Option<(usize, usize)>> {
            let key = format!("main.{n}.weight");
            match weights.dims(&key) {
                None => Ok(None),
                Some(&[inputs, outputs, K, K]) => Ok(Some((inputs, outputs))),
                Some(dims) => bail!("{key} is {dims:?}, expected [inputs, outputs, {K}, {K}]"),
            }
        };
        let Some((z_dim, _)) = kernel(0)? else {
            bail!("main.0.weight is missing")
        };
        let (mut last, mut layers) = ((0, 0), 0);
        while let Some(found) = kernel(3 * layers)? {
            (last, layers) = (found, layers + 1);
        }
        if !(3..=9).contains(&layers) {
            bail!("there are {layers} transposed convolutions main.0, main.3, …, expected 3 to 9")
        }
        let sizes = StridedSizes {
            size: K << (layers - 1),
            channels: last.1,
            width: last.0,
        };
        sizes.check("the width of the last layer")?;
        check::size("the length of z", z_dim)?;
        Ok((z_dim, sizes))
    }

    /// A saved generator.
    ///
    /// # Errors
    /// Those of [`Generator::recognise`]; keys that are missing, left over or of another shape.
    pub fn open(weights: &Weights, device: &Device) -> Result<Self> {
        let (z_dim, sizes) = Self::recognise(weights).map_err(|e| weights.named(e))?;
        let build = |vb| Self::new(z_dim, &sizes, vb);
        Ok(Net::open(weights, device, "g", build)?.frozen)
    }

    /// Pictures for a batch of noise.
    pub fn forward(&self, z: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut h = z.clone();
        for (up, norm) in &self.blocks {
            h = norm.forward(&up.forward(&h)?, mode)?; // [b, widest, 4, 4], [b, widest/2, 8, 8], …
        }
        tanh(&self.last.forward(&h)?)
    }
}

impl Sampler for Generator {
    fn takes(&self) -> Takes {
        Takes::noise(&[self.z_dim, 1, 1], Law::Normal)
    }

    fn sample(&self, input: &Probe, _: &mut dyn Draws) -> Result<Columns> {
        Ok(Columns::new("fake", self.forward(input.z()?, Mode::Eval)?))
    }
}

/// Pictures `[b, channels, size, size]` to scores `[b]`, without a sigmoid.
#[derive(Clone, Debug)]
pub struct Discriminator {
    first: Conv2d,
    blocks: Vec<(Conv2d, NormLayer)>,
    last: Conv2d,
}

impl Discriminator {
    /// Keys `main.N.weight` for the convolutions (N = 0, 2, 5, 8, …) and `main.N.{weight, bias, …}` for
    /// the norms after all but the first and the last. A penalty on the gradient at each picture needs a
    /// norm that does not look at the others.
    pub fn new(norm: Norm, sizes: &StridedSizes, vb: VarBuilder<'_>) -> Result<Self> {
        let vb = vb.pp("main");
        let half = conv::Conv2d {
            stride: 2,
            padding: 1,
            ..Default::default()
        };
        let mut width = sizes.width;
        let leaky = conv::Conv2d { act: LEAKY, ..half };
        let first = conv2d_no_bias(sizes.channels, width, K, leaky, vb.pp(0))?;
        let (mut blocks, mut n) = (Vec::new(), 2);
        while width < sizes.widest() {
            let down = conv2d_no_bias(width, 2 * width, K, half, vb.pp(n))?;
            (width, n) = (2 * width, n + 3);
            let vb = vb.pp(n - 2);
            blocks.push((down, norm.layer(width, LEAKY, vb)?));
        }
        Ok(Self {
            first,
            blocks,
            last: conv2d_no_bias(width, 1, K, conv::Conv2d::default(), vb.pp(n))?,
        })
    }

    /// Scores for a batch.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut h = self.first.forward(x)?; // [b, width, size/2, size/2]
        for (down, norm) in &self.blocks {
            h = down.forward(&h)?; // [b, 2·width, size/4, size/4], …, [b, widest, 4, 4]
            h = norm.forward(&h, mode)?;
        }
        self.last.forward(&h)?.flatten_all() // [b, 1, 1, 1] to [b]
    }
}
