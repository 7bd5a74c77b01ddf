//! G of the paper (figure 4): 9x9, residual blocks with batch norm, sub-pixel doublings, 9x9.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use gan_core::nn::{
    Act, BatchNorm, Conv2d, Mode, PRelu, add, batch_norm, conv2d, conv2d_no_bias, pixel_shuffle,
    prelu, strided_conv,
};
use gan_core::{Columns, Draws, Port, Probe, Sampler, Takes, strips};

/// Kernel of the first and the last layer.
const WIDE: usize = 9;
/// Kernel of every other layer.
const K: usize = 3;
/// Rows of features that a row of what is made of them depends on, to each side: one for each doubling's convolution,
/// at its size, and four at the end, where a row is 1/2^ups of one: at most 1 + 4/2, or 4 where nothing is doubled.
const HALO: usize = 4;
/// Pixels of features that are enlarged at a time; what is large of them, 64 channels at four times the size, takes 4
/// KiB a pixel and tensor.
const STRIP: usize = 1 << 15;

/// How large the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SrResnetSizes {
    /// Channels of the pictures: 1 or 3.
    pub channels: usize,
    /// Channels of the features.
    pub width: usize,
    /// Residual blocks.
    pub blocks: usize,
    /// Doublings after them.
    pub ups: usize,
}

/// x + what two convolutions make of it.
#[derive(Clone, Debug)]
struct Block {
    conv1: Conv2d,
    bn1: BatchNorm,
    act: PRelu,
    conv2: Conv2d,
    bn2: BatchNorm,
}

fn plain(width: usize, vb: VarBuilder<'_>) -> Result<Conv2d> {
    conv2d_no_bias(width, width, K, strided_conv(1, K / 2, Act::None), vb)
}

impl Block {
    fn new(width: usize, vb: VarBuilder<'_>) -> Result<Self> {
        Ok(Self {
            conv1: plain(width, vb.pp("conv1"))?,
            bn1: batch_norm(width, Act::None, vb.pp("bn1"))?,
            act: prelu(1, vb.pp("act"))?,
            conv2: plain(width, vb.pp("conv2"))?,
            bn2: batch_norm(width, Act::None, vb.pp("bn2"))?,
        })
    }

    /// x `[b, width, h, w]`, to the same.
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let h = self.bn1.forward(&self.conv1.forward(x)?, mode)?;
        let h = self.conv2.forward(&self.act.forward(&h)?)?;
        add(x, &self.bn2.forward(&h, mode)?)
    }
}

/// G: pictures `[b, channels, h, w]` in [0, 1] to pictures `[b, channels, h·2^ups, w·2^ups]` near [−1, 1] (section
/// 3.2 and figure 4).
#[derive(Clone, Debug)]
pub struct SrResnet {
    conv_first: Conv2d,
    act_first: PRelu,
    body: Vec<Block>,
    conv_body: Conv2d,
    bn_body: BatchNorm,
    up: Vec<(Conv2d, PRelu)>,
    conv_last: Conv2d,
    sizes: SrResnetSizes,
}

impl SrResnet {
    /// Keys `conv_first`, `act_first`, `body.N.{conv1, bn1, act, conv2, bn2}`, `conv_body`, `bn_body`,
    /// `up.N.{conv, act}`, `conv_last`.
    pub fn new(sizes: &SrResnetSizes, vb: VarBuilder<'_>) -> Result<Self> {
        let SrResnetSizes {
            channels,
            width,
            blocks,
            ups,
        } = *sizes;
        let same = |k: usize| strided_conv(1, k / 2, Act::None);
        let up = |n: usize| -> Result<_> {
            let vb = vb.pp("up").pp(n);
            let conv = conv2d(width, 4 * width, K, same(K), vb.pp("conv"))?;
            Ok((conv, prelu(1, vb.pp("act"))?))
        };
        let block = |n: usize| Block::new(width, vb.pp("body").pp(n));
        Ok(Self {
            conv_first: conv2d(channels, width, WIDE, same(WIDE), vb.pp("conv_first"))?,
            act_first: prelu(1, vb.pp("act_first"))?,
            body: (0..blocks).map(block).collect::<Result<_>>()?,
            conv_body: plain(width, vb.pp("conv_body"))?,
            bn_body: batch_norm(width, Act::None, vb.pp("bn_body"))?,
            up: (0..ups).map(up).collect::<Result<_>>()?,
            conv_last: conv2d(width, channels, WIDE, same(WIDE), vb.pp("conv_last"))?,
            sizes: *sizes,
        })
    }

    /// How large it is.
    pub fn sizes(&self) -> &SrResnetSizes {
        &self.sizes
    }

    /// Pictures for pictures.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        self.enlarged(&self.features(x, mode)?)
    }

    /// `[b, channels, h, w]` to features `[b, width, h, w]`.
    fn features(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let first = self.act_first.forward(&self.conv_first.forward(x)?)?;
        let mut h = first.clone();
        for block in &self.body {
            h = block.forward(&h, mode)?;
        }
        let h = self.bn_body.forward(&self.conv_body.forward(&h)?, mode)?;
        add(&first, &h)
    }

    /// Features `[b, width, h, w]` to `[b, channels, 2^ups·h, 2^ups·w]`.
    fn enlarged(&self, features: &Tensor) -> Result<Tensor> {
        let mut h = features.clone();
        for (conv, act) in &self.up {
            h = act.forward(&pixel_shuffle(&conv.forward(&h)?, 2)?)?;
        }
        self.conv_last.forward(&h)
    }

    fn port(&self) -> Port {
        let SrResnetSizes {
            channels,
            width,
            blocks,
            ups,
        } = self.sizes;
        let scale = 1 << ups;
        // Features in and around a block; the picture that is made, in both ranges.
        let numbers = 6 * width + 4 * channels * scale * scale;
        Port::new(channels, 1)
            .scale(scale)
            .reach(WIDE / 2 + 2 * blocks + 1 + HALO)
            .bytes(size_of::<f32>() * numbers)
            .restoring()
    }
}

impl Sampler for SrResnet {
    fn takes(&self) -> Takes {
        Takes::pictures(self.port())
    }

    /// The column is `fake`, the picture enlarged, normalised with running statistics. Features are enlarged a few
    /// rows at a time: what is large of them is never there at once.
    fn sample(&self, input: &Probe, _: &mut dyn Draws) -> Result<Columns> {
        let x = input.one()?;
        self.port().check(x)?;
        let features = self.features(&x.affine(0.5, 0.5)?, Mode::Eval)?.detach(); // of [0, 1]
        let make = |rows: &Tensor| self.enlarged(rows);
        let made = strips::by_rows(&features, HALO, 1 << self.sizes.ups, STRIP, make)?;
        Ok(Columns::new("fake", made.detach()))
    }
}
