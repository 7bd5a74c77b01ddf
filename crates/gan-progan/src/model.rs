//! Generator and discriminator of all resolutions at once; a phase says which layers take part.

use crate::phase::Phase;
use candle_core::{Result, Shape, Tensor, bail};
use candle_nn::{Init, VarBuilder};
use gan_core::gan_kernels::conv;
use gan_core::gan_kernels::linear::linear;
use gan_core::nn::{
    self, Act, Conv2d, Linear, avg_pool2d, leaky_relu, minibatch_stddev, pixel_norm,
    upsample_nearest2x,
};
use gan_core::{Columns, Draws, Law, Net, Probe, Sampler, Takes, Weights, check};

/// LeakyReLU's slope (appendix A.1).
const SLOPE: f64 = 0.2;
const LEAKY: Act = Act::LeakyRelu(SLOPE);
/// ε of pixel norm (section 4.2), and of the minibatch standard deviation.
const EPS: f64 = 1e-8;

/// How large the networks are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Components of z.
    pub z_dim: usize,
    /// 1 or 3.
    pub channels: usize,
    /// Channels of the layers at 4x4, 8x8, … up to the final resolution.
    pub widths: Vec<usize>,
}

impl Sizes {
    /// Channels at 4·2^k.
    fn width(&self, k: usize) -> usize {
        self.widths.get(k).copied().unwrap_or_default()
    }

    /// Each pair of neighbouring resolutions: its place and the channels of both.
    fn pairs(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let next = self.widths.iter().skip(1);
        let pairs = self.widths.iter().zip(next).enumerate();
        pairs.map(|(k, (&coarse, &fine))| (k, coarse, fine))
    }
}

/// All weights from N(0, 1), all biases 0 (section 4.1): the scale is a gain of the layers.
pub fn initial(key: &str, _: &Shape, _: Init) -> Init {
    match key.ends_with("bias") {
        true => Init::Const(0.),
        false => Init::Randn {
            mean: 0.,
            stdev: 1.,
        },
    }
}

/// A k x k convolution that keeps the size, its weights scaled by gain/√fan_in (He's constant, section 4.1).
fn equalised(
    inputs: usize,
    outputs: usize,
    k: usize,
    (gain, act): (f64, Act),
    vb: VarBuilder<'_>,
) -> Result<Conv2d> {
    let how = conv::Conv2d {
        padding: k / 2,
        gain: gain / ((inputs * k * k) as f64).sqrt(),
        act,
        ..Default::default()
    };
    nn::conv2d(inputs, outputs, k, how, vb)
}

/// What a layer with LeakyReLU has: a gain of √2.
const RECTIFIED: (f64, Act) = (std::f64::consts::SQRT_2, LEAKY);
/// What a last layer has.
const PLAIN: (f64, Act) = (1., Act::None);

/// z `[b, z]` to pictures `[b, channels, s, s]`, s = 4·2^level (Table 2).
#[derive(Clone, Debug)]
pub struct Generator {
    dense: (Tensor, Tensor),
    conv: Conv2d,
    blocks: Vec<[Conv2d; 2]>,
    to_rgb: Vec<Conv2d>,
    sizes: Sizes,
}

impl Generator {
    /// Keys `initial.dense`, `initial.conv`, `blocks.K.conv0`, `blocks.K.conv1` (at 8·2^K), `to_rgb.K` (at 4·2^K).
    pub fn new(sizes: &Sizes, vb: VarBuilder<'_>) -> Result<Self> {
        let (first, vb_first) = (sizes.width(0), vb.pp("initial"));
        let dense = vb_first.pp("dense");
        let weight = dense.get((16 * first, sizes.z_dim), "weight")?;
        let dense = (weight, dense.get(first, "bias")?);
        let conv = equalised(first, first, 3, RECTIFIED, vb_first.pp("conv"))?;
        let blocks = sizes.pairs().map(|(k, coarse, fine)| {
            let vb = vb.pp("blocks").pp(k);
            Ok([
                equalised(coarse, fine, 3, RECTIFIED, vb.pp("conv0"))?,
                equalised(fine, fine, 3, RECTIFIED, vb.pp("conv1"))?,
            ])
        });
        let blocks = blocks.collect::<Result<_>>()?;
        let to_rgb = sizes.widths.iter().enumerate();
        let to_rgb = to_rgb
            .map(|(k, &width)| equalised(width, sizes.channels, 1, PLAIN, vb.pp("to_rgb").pp(k)));
        Ok(Self {
            dense,
            conv,
            blocks,
            to_rgb: to_rgb.collect::<Result<_>>()?,
            sizes: sizes.clone(),
        })
    }

    /// The sizes of a saved generator, from its keys and shapes alone.
    ///
    /// # Errors
    /// Keys or shapes of something else, naming the first that does not fit.
    pub fn recognise(weights: &Weights) -> Result<Sizes> {
        let z_dim = match weights.dims("initial.dense.weight") {
            Some(&[_, z_dim]) => z_dim,
            Some(dims) => {
                bail!("initial.dense.weight is {dims:?}, expected [16 channels at 4x4, z]")
            }
            None => bail!("initial.dense.weight is missing"),
        };
        check::size("the length of z", z_dim)?;
        let (mut widths, mut channels) = (Vec::new(), 0);
        while let Some(dims) = weights.dims(&format!("to_rgb.{}.weight", widths.len())) {
            match *dims {
                [colours @ (1 | 3), width, 1, 1] if widths.is_empty() || colours == channels => {
                    channels = colours;
                    widths.push(width);
                }
                _ => bail!(
                    "to_rgb.{}.weight is {dims:?}, expected [1 or 3, channels, 1, 1]",
                    widths.len()
                ),
            }
        }
        if !(1..=9).contains(&widths.len()) {
            bail!(
                "there are {} layers to_rgb.0, to_rgb.1, …, expected 1 to 9 (4x4 to 1024x1024)",
                widths.len()
            )
        }
        Ok(Sizes {
            z_dim,
            channels,
            widths,
        })
    }

    /// A saved generator.
    ///
    /// # Errors
    /// Those of [`Generator::recognise`]; keys that are missing, left over or of another shape.
    pub fn open(weights: &Weights, device: &candle_core::Device) -> Result<Self> {
        let sizes = Self::recognise(weights)?;
        let build = |vb| Self::new(&sizes, vb);
        Ok(Net::open(weights, device, "g", build)?.frozen)
    }

    /// Pictures for a batch of latents.
    pub fn forward(&self, z: &Tensor, phase: &Phase) -> Result<Tensor> {
        let (weight, bias) = &self.dense;
        let (b, width) = (z.dim(0)?, self.sizes.width(0));
        // A 4x4 convolution of z on a 1x1 map has 16·z inputs, of which all but z are zeros (appendix A.1).
        let gain = std::f64::consts::SQRT_2 / 4. / (self.sizes.z_dim as f64).sqrt();
        let z = pixel_norm(z, EPS)?; // on the hypersphere
        let h = linear(&z, weight, None, gain)?.reshape((b, width, 4, 4))?;
        let h = h.broadcast_add(&bias.reshape((1, width, 1, 1))?)?;
        let h = pixel_norm(&leaky_relu(&h, SLOPE)?, EPS)?;
        let mut h = pixel_norm(&self.conv.forward(&h)?, EPS)?;
        let mut coarse = h.clone();
        for [conv0, conv1] in self.blocks.iter().take(phase.level) {
            coarse = h;
            h = pixel_norm(&conv0.forward(&upsample_nearest2x(&coarse)?)?, EPS)?; // [b, width, 8·2^k, 8·2^k]
            h = pixel_norm(&conv1.forward(&h)?, EPS)?;
        }
        let rgb = at(&self.to_rgb, phase.level)?.forward(&h)?;
        if !phase.fades() {
            return Ok(rgb);
        }
        let old = at(&self.to_rgb, phase.level - 1)?.forward(&coarse)?;
        phase.mix(&upsample_nearest2x(&old)?, &rgb)
    }
}

/// The layer of a resolution.
fn at(layers: &[Conv2d], level: usize) -> Result<&Conv2d> {
    match layers.get(level) {
        Some(layer) => Ok(layer),
        None => bail!(
            "these networks have {} resolutions, no {level}",
            layers.len()
        ),
    }
}

/// A generator at a phase of its training.
#[derive(Debug)]
pub(crate) struct At<'a> {
    pub(crate) g: &'a Generator,
    pub(crate) phase: Phase,
}

impl Sampler for At<'_> {
    fn takes(&self) -> Takes {
        Takes::noise(&[self.g.sizes.z_dim], Law::Normal)
    }

    fn sample(&self, input: &Probe, _: &mut dyn Draws) -> Result<Columns> {
        let made = self.g.forward(input.z()?, &self.phase)?;
        Ok(Columns::new("fake", made.clamp(-1f32, 1f32)?)) // G ends without tanh
    }
}

impl Generator {
    /// At its final resolution.
    fn whole(&self) -> At<'_> {
        let phase = Phase::whole(self.blocks.len());
        At { g: self, phase }
    }
}

impl Sampler for Generator {
    fn takes(&self) -> Takes {
        self.whole().takes()
    }

    fn sample(&self, input: &Probe, draws: &mut dyn Draws) -> Result<Columns> {
        self.whole().sample(input, draws)
    }
}

/// Pictures `[b, channels, s, s]` to scores `[b]` (Table 2).
#[derive(Clone, Debug)]
pub struct Discriminator {
    from_rgb: Vec<Conv2d>,
    blocks: Vec<[Conv2d; 2]>,
    conv: Conv2d,
    dense: [Linear; 2],
    group: usize,
}

impl Discriminator {
    /// Keys `from_rgb.K` (at 4·2^K), `blocks.K.conv0`, `blocks.K.conv1` (at 8·2^K), `final.conv`, `final.dense0`,
    /// `final.dense1`; groups of the minibatch standard deviation hold at most `group` pictures.
    pub fn new(sizes: &Sizes, group: usize, vb: VarBuilder<'_>) -> Result<Self> {
        let from_rgb = sizes.widths.iter().enumerate().map(|(k, &width)| {
            equalised(sizes.channels, width, 1, RECTIFIED, vb.pp("from_rgb").pp(k))
        });
        let from_rgb = from_rgb.collect::<Result<_>>()?;
        let blocks = sizes.pairs().map(|(k, coarse, fine)| {
            let vb = vb.pp("blocks").pp(k);
            Ok([
                equalised(fine, fine, 3, RECTIFIED, vb.pp("conv0"))?,
                equalised(fine, coarse, 3, RECTIFIED, vb.pp("conv1"))?,
            ])
        });
        let blocks = blocks.collect::<Result<_>>()?;
        let (width, vb) = (sizes.width(0), vb.pp("final"));
        let linear = |inputs: usize, outputs, gain: f64, vb| {
            let layer = nn::linear(inputs, outputs, vb)?;
            candle_core::Result::Ok(layer.with_gain(gain / (inputs as f64).sqrt()))
        };
        Ok(Self {
            from_rgb,
            blocks,
            conv: equalised(width + 1, width, 3, RECTIFIED, vb.pp("conv"))?,
            dense: [
                linear(16 * width, width, std::f64::consts::SQRT_2, vb.pp("dense0"))?,
                linear(width, 1, 1., vb.pp("dense1"))?,
            ],
            group,
        })
    }

    /// Scores of a batch of pictures.
    pub fn forward(&self, x: &Tensor, phase: &Phase) -> Result<Tensor> {
        let level = phase.level;
        let mut h = at(&self.from_rgb, level)?.forward(x)?;
        for (k, [conv0, conv1]) in self.blocks.iter().enumerate().take(level).rev() {
            h = conv1.forward(&conv0.forward(&h)?)?; // [b, width, 8·2^k, 8·2^k]
            h = avg_pool2d(&h, (2, 2), (2, 2))?;
            if k + 1 == level && phase.fades() {
                let small = avg_pool2d(x, (2, 2), (2, 2))?;
                h = phase.mix(&at(&self.from_rgb, k)?.forward(&small)?, &h)?;
            }
        }
        let b = x.dim(0)?;
        let h = self
            .conv
            .forward(&minibatch_stddev(&h, groups(b, self.group), EPS)?)?;
        let [dense0, dense1] = &self.dense;
        let h = leaky_relu(&dense0.forward(&h.flatten_from(1)?)?, SLOPE)?;
        dense1.forward(&h)?.flatten_all()
    }
}

/// Pictures in a group: the largest divisor of the batch that is at most `group`.
fn groups(batch: usize, group: usize) -> usize {
    let divides = |n: &usize| batch.is_multiple_of(*n);
    (1..=group.min(batch)).rev().find(divides).unwrap_or(1)
}
