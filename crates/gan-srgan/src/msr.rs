//! The network that public toolboxes call MSRResNet: SRResNet without batch norm, whose output is added to the picture
//! enlarged bilinearly.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use gan_core::nn::{Act, Conv2d, add, bilinear, conv2d, pixel_shuffle, strided_conv};
use gan_core::{Columns, Draws, Port, Probe, Sampler, Takes, strips};

/// Kernel of every layer.
const K: usize = 3;
/// Slope of LeakyReLU for negative numbers.
const SLOPE: f64 = 0.1;
/// Rows of features that a row of what is made of them depends on, to each side: one for the first enlargement, half
/// of one for a second, and one or less for the two layers at the end.
const HALO: usize = 3;
/// Pixels of features that are enlarged at a time; see the same number of the paper's network.
const STRIP: usize = 1 << 15;

/// How large the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsrResnetSizes {
    /// Channels of the pictures: 1 or 3.
    pub channels: usize,
    /// Channels of the features.
    pub width: usize,
    /// Residual blocks.
    pub blocks: usize,
    /// How many times as large the pictures become: 2, 3 or 4.
    pub scale: usize,
}

impl MsrResnetSizes {
    /// The factors of the enlargements, one after the other.
    fn factors(&self) -> &'static [usize] {
        match self.scale {
            4 => &[2, 2],
            3 => &[3],
            _ => &[2],
        }
    }
}

/// Pictures `[b, channels, h, w]` in [0, 1] to pictures `[b, channels, h·scale, w·scale]` near [0, 1].
#[derive(Clone, Debug)]
pub struct MsrResnet {
    conv_first: Conv2d,
    body: Vec<[Conv2d; 2]>,
    up: Vec<(Conv2d, usize)>,
    conv_hr: Conv2d,
    conv_last: Conv2d,
    sizes: MsrResnetSizes,
}

impl MsrResnet {
    /// Keys `conv_first`, `body.N.conv1`, `body.N.conv2`, `upconv1`, for x4 also `upconv2`, `conv_hr`, `conv_last`.
    pub fn new(sizes: &MsrResnetSizes, vb: VarBuilder<'_>) -> Result<Self> {
        let MsrResnetSizes {
            channels, width, ..
        } = *sizes;
        let conv = |inputs: usize, outputs: usize, act: Act, vb: VarBuilder<'_>| {
            conv2d(inputs, outputs, K, strided_conv(1, K / 2, act), vb)
        };
        let lrelu = Act::LeakyRelu(SLOPE);
        let block = |n: usize| -> Result<_> {
            let vb = vb.pp("body").pp(n);
            Ok([
                conv(width, width, Act::Relu, vb.pp("conv1"))?,
                conv(width, width, Act::None, vb.pp("conv2"))?,
            ])
        };
        let up = |(i, &factor): (usize, &usize)| -> Result<_> {
            let vb = vb.pp(format!("upconv{}", i + 1));
            Ok((conv(width, width * factor * factor, lrelu, vb)?, factor))
        };
        let factors = sizes.factors().iter().enumerate();
        Ok(Self {
            conv_first: conv(channels, width, lrelu, vb.pp("conv_first"))?,
            body: (0..sizes.blocks).map(block).collect::<Result<_>>()?,
            up: factors.map(up).collect::<Result<_>>()?,
            conv_hr: conv(width, width, lrelu, vb.pp("conv_hr"))?,
            conv_last: conv(width, channels, Act::None, vb.pp("conv_last"))?,
            sizes: *sizes,
        })
    }

    /// How large it is.
    pub fn sizes(&self) -> &MsrResnetSizes {
        &self.sizes
    }

    /// Pictures for pictures.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        add(&self.enlarged(&self.features(x)?)?, &self.larger(x)?)
    }

    /// The picture enlarged bilinearly.
    fn larger(&self, x: &Tensor) -> Result<Tensor> {
        let (_, _, h, w) = x.dims4()?;
        bilinear(x, h * self.sizes.scale, w * self.sizes.scale)
    }

    /// `[b, channels, h, w]` to features `[b, width, h, w]`.
    fn features(&self, x: &Tensor) -> Result<Tensor> {
        let mut h = self.conv_first.forward(x)?;
        for [conv1, conv2] in &self.body {
            h = add(&h, &conv2.forward(&conv1.forward(&h)?)?)?;
        }
        Ok(h)
    }

    /// Features `[b, width, h, w]` to `[b, channels, scale·h, scale·w]`.
    fn enlarged(&self, features: &Tensor) -> Result<Tensor> {
        let mut h = features.clone();
        for (conv, factor) in &self.up {
            // The activation is that of each number: it does not matter whether it comes before they are moved.
            h = pixel_shuffle(&conv.forward(&h)?, *factor)?;
        }
        self.conv_last.forward(&self.conv_hr.forward(&h)?)
    }

    fn port(&self) -> Port {
        let MsrResnetSizes {
            channels,
            width,
            blocks,
            scale,
        } = self.sizes;
        // Features in and around a block; the picture that is made, its base, their sum, and all in both ranges.
        let numbers = 4 * width + 6 * channels * scale * scale;
        Port::new(channels, 1)
            .scale(scale)
            .reach(1 + 2 * blocks + HALO)
            .bytes(size_of::<f32>() * numbers)
            .restoring()
    }
}

impl Sampler for MsrResnet {
    fn takes(&self) -> Takes {
        Takes::pictures(self.port())
    }

    /// The column is `fake`, the picture enlarged. Features are enlarged a few rows at a time: what is large of them
    /// is never there at once.
    fn sample(&self, input: &Probe, _: &mut dyn Draws) -> Result<Columns> {
        let x = input.one()?;
        self.port().check(x)?;
        let x = x.affine(0.5, 0.5)?; // [0, 1]
        let features = self.features(&x)?.detach();
        let make = |rows: &Tensor| self.enlarged(rows);
        let made = strips::by_rows(&features, HALO, self.sizes.scale, STRIP, make)?;
        let made = add(&made.detach(), &self.larger(&x)?)?;
        Ok(Columns::new("fake", made.affine(2., -1.)?))
    }
}
