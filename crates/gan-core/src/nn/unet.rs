//! A U-Net (Ronneberger et al. 2015), whose every level is joined to the one of the same size on the way up, as
//! Isola et al. 2017 (appendix 6.1.1) generate pictures with it.

use super::maps::{Norm, NormLayer};
use super::{
    Act, Conv2d, ConvTranspose2d, Mode, conv_transpose2d, dropout, relu, strided_conv,
    strided_conv_transpose, tanh,
};
use crate::check;
use crate::data::Side;
use crate::draws::Draws;
use crate::layout::Layout;
use crate::params::Net;
use crate::sampler::{Columns, Port, Probe, Sampler, Takes};
use crate::weights::Weights;
use candle_core::{Device, Result, Tensor, bail};
use candle_nn::VarBuilder;

/// The names of its layers.
pub const LAYOUT: Layout = Layout {
    name: "U-Net generator (model.model.1.model.…)",
    layers: &["model.model.#", "model.model.**.model.#"],
};

/// Kernel of every layer.
const K: usize = 4;
/// LeakyReLU on the way down.
const LEAKY: Act = Act::LeakyRelu(0.2);
/// The published network's probability of dropping a unit.
pub const DROPOUT: f64 = 0.5;

/// How large the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnetSizes {
    /// Channels of the picture that it is given.
    pub inputs: usize,
    /// Channels of the picture that it makes.
    pub outputs: usize,
    /// Channels at half the picture's size; doubled with each halving, up to eight times.
    pub width: usize,
    /// How often the picture is halved: 5 to 10.
    pub downs: usize,
    /// What its features are normalised with.
    pub norm: Norm,
}

impl UnetSizes {
    /// Refuses what cannot be built.
    pub fn check(&self) -> Result<()> {
        for channels in [self.inputs, self.outputs] {
            if !matches!(channels, 1 | 3) {
                bail!("channels is {channels}, expected 1 or 3")
            }
        }
        check::within("width_g", self.width, 1..=1024)?;
        check::within("downs", self.downs, 5..=10)
    }

    /// Channels after `k` + 1 halvings.
    fn at(&self, k: usize) -> usize {
        self.width * (1 << k.min(3))
    }

    /// What the sides of a picture are multiples of.
    pub fn multiple(&self) -> usize {
        1 << self.downs
    }
}

/// Where a forward pass takes its statistics from, and whether it drops units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noise {
    /// Mode of the norms.
    pub norm: Mode,
    /// Mode of dropout.
    pub dropout: Mode,
}

impl Noise {
    /// Both as in training.
    pub const TRAIN: Self = Self {
        norm: Mode::Train,
        dropout: Mode::Train,
    };

    /// How pictures are made for people: Isola et al. keep dropout and the batch's statistics at test time, for a
    /// batch of one (section 3.3).
    pub fn sampling(dropout: bool, batch_statistics: bool) -> Self {
        let mode = |on| if on { Mode::Batch } else { Mode::Eval };
        Self {
            norm: mode(batch_statistics),
            dropout: mode(dropout),
        }
    }
}

/// One level: halves the picture, hands it to the next one, doubles it again.
///
/// The published network keeps features before their activation and applies LeakyReLU on the way down and
/// ReLU on the way up. Here they are kept after LeakyReLU, as part of the norm before: ReLU of that is the
/// same number, and commutes with joining and with dropout.
#[derive(Clone, Debug)]
struct Level {
    down: Conv2d,
    inner: Option<(NormLayer, Box<Level>)>,
    up: ConvTranspose2d,
    norm: NormLayer,
    /// Probability of dropping a unit on the way up.
    dropout: Option<f64>,
}

impl Level {
    /// Level `k` of `sizes.downs` − 1, from 1: keys `1` (down), `2` (norm), `3` (the next level), `5` (up),
    /// `6` (norm); of the innermost `1`, `3` and `4`.
    fn new(k: usize, sizes: &UnetSizes, p: f64, vb: VarBuilder<'_>) -> Result<Self> {
        let vb = vb.pp("model");
        let (norm, outer, inside) = (sizes.norm, sizes.at(k - 1), sizes.at(k));
        let innermost = k + 1 == sizes.downs;
        let down = strided_conv(2, 1, if innermost { Act::Relu } else { Act::None });
        let down = norm.conv(outer, inside, K, down, vb.pp(1))?;
        let inner = match innermost {
            true => None,
            false => Some((
                norm.layer(inside, LEAKY, vb.pp(2))?,
                Box::new(Self::new(k + 1, sizes, p, vb.pp(3))?),
            )),
        };
        let (inputs, n) = if innermost {
            (inside, 3)
        } else {
            (2 * inside, 5)
        };
        let up = strided_conv_transpose(2, 1, 0);
        Ok(Self {
            down,
            inner,
            up: norm.conv_transpose(inputs, outer, K, up, vb.pp(n))?,
            norm: norm.layer(outer, Act::Relu, vb.pp(n + 1))?,
            dropout: (k > 3 && !innermost && p > 0.).then_some(p),
        })
    }

    /// x `[b, c, h, w]` after LeakyReLU to `[b, 2·c, h, w]` after ReLU: x itself, and what was made of it.
    fn forward(&self, x: &Tensor, noise: Noise, draws: &mut dyn Draws) -> Result<Tensor> {
        let mut h = self.down.forward(x)?; // [b, c', h/2, w/2]
        if let Some((norm, inner)) = &self.inner {
            h = inner.forward(&norm.forward(&h, noise.norm)?, noise, draws)?; // [b, 2·c', h/2, w/2]
        }
        let mut h = self.norm.forward(&self.up.forward(&h)?, noise.norm)?; // [b, c, h, w]
        if let Some(p) = self.dropout {
            h = dropout(&h, p, noise.dropout, draws)?;
        }
        Tensor::cat(&[&relu(x)?, &h], 1)
    }
}

/// G: pictures `[b, inputs, h, w]` to pictures `[b, outputs, h, w]` in [−1, 1].
#[derive(Clone, Debug)]
pub struct Unet {
    down: Conv2d,
    inner: Level,
    up: ConvTranspose2d,
    sizes: UnetSizes,
}

impl Unet {
    /// Keys `model.model.0` (down), `model.model.1` (the next level), `model.model.3` (up, with bias).
    ///
    /// Units are dropped with probability `p` on the way up through the levels between the innermost and
    /// the first of eight times `width` channels.
    pub fn new(sizes: &UnetSizes, p: f64, vb: VarBuilder<'_>) -> Result<Self> {
        let vb = vb.pp("model").pp("model");
        let (norm, width) = (sizes.norm, sizes.width);
        let up = strided_conv_transpose(2, 1, 0);
        Ok(Self {
            down: norm.conv(sizes.inputs, width, K, strided_conv(2, 1, LEAKY), vb.pp(0))?,
            inner: Level::new(1, sizes, p, vb.pp(1))?,
            up: conv_transpose2d(2 * width, sizes.outputs, K, up, vb.pp(3))?,
            sizes: *sizes,
        })
    }

    /// The sizes of a saved network, from its keys and shapes alone.
    ///
    /// # Errors
    /// Keys or shapes of something else, naming the first that does not fit.
    pub fn recognise(weights: &Weights) -> Result<UnetSizes> {
        let kernel = |key: &str| match weights.dims(key) {
            Some(&[a, b, K, K]) => Ok((a, b)),
            Some(dims) => bail!("{key} is {dims:?}, expected two numbers of channels, {K}, {K}"),
            None => bail!(
                "{key} is missing, the file begins with {}",
                weights.first_keys()
            ),
        };
        let (width, inputs) = kernel("model.model.0.weight")?;
        let (_, outputs) = kernel("model.model.3.weight")?;
        let mut level = "model.model.1".to_string();
        let norm = match weights.dims(&format!("{level}.model.2.weight")) {
            Some(_) => Norm::Batch,
            None => Norm::Instance,
        };
        let mut downs = 1;
        while weights.dims(&format!("{level}.model.1.weight")).is_some() && downs < 16 {
            level.push_str(".model.3");
            downs += 1;
        }
        let sizes = UnetSizes {
            inputs,
            outputs,
            width,
            downs,
            norm,
        };
        sizes.check()?;
        Ok(sizes)
    }

    /// A saved network, with the published one's dropout.
    ///
    /// # Errors
    /// Those of [`Unet::recognise`]; keys that are missing, left over or of another shape.
    pub fn open(weights: &Weights, device: &Device) -> Result<Self> {
        let sizes = Self::recognise(weights).map_err(|e| weights.named(e))?;
        let bare = weights.without_statistics();
        let weights = match sizes.norm {
            Norm::Batch | Norm::Layer => weights,
            Norm::Instance => &bare,
        };
        Ok(Net::open(weights, device, "g", |vb| Self::new(&sizes, DROPOUT, vb))?.frozen)
    }

    /// How large it is.
    pub fn sizes(&self) -> &UnetSizes {
        &self.sizes
    }

    /// Pictures for pictures, whose sides are multiples of [`UnetSizes::multiple`]; dropout's masks are drawn
    /// from the deepest level on.
    pub fn forward(&self, x: &Tensor, noise: Noise, draws: &mut dyn Draws) -> Result<Tensor> {
        let h = self.down.forward(x)?; // [b, width, h/2, w/2]
        let h = self.inner.forward(&h, noise, draws)?; // [b, 2·width, h/2, w/2]
        tanh(&self.up.forward(&h)?)
    }
}

/// A U-Net and how it makes pictures for people.
#[derive(Clone, Debug)]
pub struct Translator {
    /// G.
    pub unet: Unet,
    /// Statistics and dropout.
    pub noise: Noise,
    /// The side whose pictures it is given.
    pub input: Side,
}

impl Translator {
    /// A saved network that makes pictures with dropout and statistics of their own.
    ///
    /// # Errors
    /// Those of [`Unet::open`].
    pub fn open(weights: &Weights, device: &Device) -> Result<Self> {
        Ok(Self {
            unet: Unet::open(weights, device)?,
            noise: Noise::sampling(true, true),
            input: Side::A,
        })
    }
}

impl Sampler for Translator {
    fn takes(&self) -> Takes {
        let sides: &[Side] = match self.input {
            Side::A => &[Side::A],
            Side::B => &[Side::B],
        };
        let UnetSizes { inputs, .. } = self.unet.sizes;
        Takes::pictures(Port::new(inputs, self.unet.sizes.multiple()).of(sides))
    }

    /// The columns are `real`, the picture given, and `fake`. Each picture is a batch of its own, so that
    /// it does not depend on its neighbours.
    fn sample(&self, input: &Probe, draws: &mut dyn Draws) -> Result<Columns> {
        let x = input.one()?;
        Port::new(self.unet.sizes.inputs, self.unet.sizes.multiple()).check(x)?;
        let rows = x.chunk(x.dim(0)?, 0)?;
        let made = rows
            .iter()
            .map(|x| Ok(self.unet.forward(x, self.noise, draws)?.detach()));
        let fake = Tensor::cat(&made.collect::<Result<Vec<_>>>()?, 0)?;
        Ok(Columns::new("real", x.clone()).with("fake", fake))
    }
}
