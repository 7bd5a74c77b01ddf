//! G: residual-in-residual dense blocks at the size of the input, then doublings.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use gan_core::nn::{
    Act, Conv2d, add, add_scaled, conv2d, pixel_unshuffle, strided_conv, upsample_nearest2x,
};
use gan_core::{Columns, Draws, Port, Probe, Sampler, Takes, strips};

/// Kernel of every layer.
const K: usize = 3;
/// The factor β of residuals (section 3.1).
const BETA: f64 = 0.2;
/// Slope of LeakyReLU for negative numbers.
const SLOPE: f64 = 0.2;
/// Convolutions of a dense block (figure 4).
const DENSE: usize = 5;
/// Dense blocks of a residual-in-residual one (figure 4).
const BLOCKS: usize = 3;
/// Rows of features that a row of what is made of them depends on, to each side: layers of 3x3 at one, two, four, …
/// times the size, together 1/2 + 1/4 + … + 2/2^ups of a row, or 2 where nothing is doubled.
const HALO: usize = 2;
/// Pixels of features that are enlarged at a time; what is large of them, 64 channels at four times the size, takes 4
/// KiB a pixel and tensor.
const STRIP: usize = 1 << 14;

/// How large the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RrdbSizes {
    /// Channels of the pictures, given and made: 1 or 3.
    pub channels: usize,
    /// Channels of the features.
    pub width: usize,
    /// Channels that each convolution of a dense block adds.
    pub growth: usize,
    /// Residual-in-residual dense blocks.
    pub blocks: usize,
    /// Doublings after them.
    pub ups: usize,
    /// The factor by which the picture is first made smaller, its pixels moved to channels: 1, 2 or 4.
    pub unshuffle: usize,
}

impl RrdbSizes {
    /// How many times as large the pictures become: 2^ups / unshuffle, at least 1.
    pub fn scale(&self) -> usize {
        (1usize << self.ups.min(8)) / self.unshuffle.max(1)
    }
}

fn conv(inputs: usize, outputs: usize, act: Act, vb: VarBuilder<'_>) -> Result<Conv2d> {
    conv2d(inputs, outputs, K, strided_conv(1, K / 2, act), vb)
}

/// Five convolutions, each of which is given what all before it have made (figure 4).
#[derive(Clone, Debug)]
struct DenseBlock {
    grow: Vec<Conv2d>,
    last: Conv2d,
}

impl DenseBlock {
    /// Keys `conv1` to `conv5`.
    fn new(sizes: &RrdbSizes, vb: &VarBuilder<'_>) -> Result<Self> {
        let RrdbSizes { width, growth, .. } = *sizes;
        let inputs = |k: usize| width + k * growth;
        let grow = (1..DENSE).map(|k| {
            let vb = vb.pp(format!("conv{k}"));
            conv(inputs(k - 1), growth, Act::LeakyRelu(SLOPE), vb)
        });
        let grow = grow.collect::<Result<_>>()?;
        let vb = vb.pp(format!("conv{DENSE}"));
        let last = conv(inputs(DENSE - 1), width, Act::None, vb)?;
        Ok(Self { grow, last })
    }

    /// x `[b, width, h, w]`, to the same: x + β·F(x).
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut all = x.clone();
        for conv in &self.grow {
            all = Tensor::cat(&[&all, &conv.forward(&all)?], 1)?; // [b, width + k·growth, h, w]
        }
        add_scaled(x, &self.last.forward(&all)?, BETA)
    }
}

/// G: pictures `[b, channels, h, w]` in [0, 1] to pictures `[b, channels, h·scale, w·scale]` near [0, 1] (figures 3
/// and 4; no batch norm).
#[derive(Clone, Debug)]
pub struct Rrdb {
    conv_first: Conv2d,
    body: Vec<[DenseBlock; BLOCKS]>,
    conv_body: Conv2d,
    up: Vec<Conv2d>,
    conv_hr: Conv2d,
    conv_last: Conv2d,
    sizes: RrdbSizes,
}

impl Rrdb {
    /// Keys `conv_first`, `body.N.rdbM.convK` with M from 1 to 3 and K from 1 to 5, `conv_body`, `conv_up1`,
    /// `conv_up2`, …, `conv_hr`, `conv_last`.
    pub fn new(sizes: &RrdbSizes, vb: VarBuilder<'_>) -> Result<Self> {
        let RrdbSizes {
            channels, width, ..
        } = *sizes;
        let act = Act::LeakyRelu(SLOPE);
        let block = |n: usize| -> Result<_> {
            let vb = vb.pp("body").pp(n);
            let dense = |m: usize| DenseBlock::new(sizes, &vb.pp(format!("rdb{m}")));
            Ok([dense(1)?, dense(2)?, dense(3)?])
        };
        let inputs = channels * sizes.unshuffle.pow(2);
        let up = |n: usize| conv(width, width, act, vb.pp(format!("conv_up{n}")));
        Ok(Self {
            conv_first: conv(inputs, width, Act::None, vb.pp("conv_first"))?,
            body: (0..sizes.blocks).map(block).collect::<Result<_>>()?,
            conv_body: conv(width, width, Act::None, vb.pp("conv_body"))?,
            up: (1..=sizes.ups).map(up).collect::<Result<_>>()?,
            conv_hr: conv(width, width, act, vb.pp("conv_hr"))?,
            conv_last: conv(width, channels, Act::None, vb.pp("conv_last"))?,
            sizes: *sizes,
        })
    }

    /// How large it is.
    pub fn sizes(&self) -> &RrdbSizes {
        &self.sizes
    }

    /// Pictures for pictures, whose sides are multiples of [`RrdbSizes::unshuffle`].
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.enlarged(&self.features(x)?)
    }

    /// `[b, channels, h, w]` to features `[b, width, h / unshuffle, w / unshuffle]`.
    fn features(&self, x: &Tensor) -> Result<Tensor> {
        let first = match self.sizes.unshuffle {
            1 => self.conv_first.forward(x)?,
            r => self.conv_first.forward(&pixel_unshuffle(x, r)?)?,
        };
        let mut h = first.clone();
        for block in &self.body {
            let mut inner = h.clone();
            for dense in block {
                inner = dense.forward(&inner)?;
            }
            h = add_scaled(&h, &inner, BETA)?;
        }
        add(&first, &self.conv_body.forward(&h)?)
    }

    /// Features `[b, width, h, w]` to `[b, channels, 2^ups·h, 2^ups·w]`.
    fn enlarged(&self, features: &Tensor) -> Result<Tensor> {
        let mut h = features.clone();
        for conv in &self.up {
            h = conv.forward(&upsample_nearest2x(&h)?)?;
        }
        self.conv_last.forward(&self.conv_hr.forward(&h)?)
    }

    /// Pixels to each side of a given one that what is made of it depends on: one a convolution.
    fn reach(&self) -> usize {
        let body = 1 + BLOCKS * DENSE * self.sizes.blocks + 1;
        (body + HALO) * self.sizes.unshuffle
    }

    /// Bytes that a pixel of the input takes: in a dense block its input, those of the blocks around it, and all
    /// maps twice while they are joined; the picture that is made, in both ranges.
    fn bytes(&self) -> usize {
        let RrdbSizes {
            channels,
            width,
            growth,
            unshuffle,
            ..
        } = self.sizes;
        let features = 5 * width + 2 * (DENSE - 1) * growth;
        let made = 4 * channels * self.sizes.scale().pow(2);
        size_of::<f32>() * (features.div_ceil(unshuffle.pow(2)) + made)
    }
}

impl Sampler for Rrdb {
    fn takes(&self) -> Takes {
        let RrdbSizes {
            channels,
            unshuffle,
            ..
        } = self.sizes;
        let port = Port::new(channels, unshuffle)
            .scale(self.sizes.scale())
            .reach(self.reach())
            .bytes(self.bytes());
        Takes::pictures(port.restoring())
    }

    /// The column is `fake`, the picture enlarged. Features are enlarged a few rows at a time: what is large of them
    /// is never there at once.
    fn sample(&self, input: &Probe, _: &mut dyn Draws) -> Result<Columns> {
        let x = input.one()?;
        self.takes().port.map_or(Ok(()), |port| port.check(x))?;
        let features = self.features(&x.affine(0.5, 0.5)?)?.detach(); // [0, 1]
        let make = |rows: &Tensor| self.enlarged(rows);
        let made = strips::by_rows(&features, HALO, 1 << self.sizes.ups, STRIP, make)?;
        Ok(Columns::new("fake", made.detach().affine(2., -1.)?))
    }
}
