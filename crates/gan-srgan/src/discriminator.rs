//! D of the paper (figure 4): eight convolutions, every second of which halves the picture, and two dense layers.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use gan_core::nn::{
    Act, BatchNorm, Conv2d, Linear, Mode, batch_norm, conv2d, conv2d_no_bias, leaky_relu, linear,
    strided_conv,
};

/// Kernel of every layer.
const K: usize = 3;
/// Slope of LeakyReLU for negative numbers (section 2.1).
const SLOPE: f64 = 0.2;
/// Convolutions, two of each number of channels (figure 4).
const CONVOLUTIONS: usize = 8;

/// How large the network and its pictures are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiscriminatorSizes {
    /// Channels of the pictures.
    pub channels: usize,
    /// Their height.
    pub height: usize,
    /// Their width.
    pub width: usize,
    /// Channels of the first layer's features.
    pub features: usize,
    /// Units of the first dense layer.
    pub dense: usize,
}

/// Pictures `[b, channels, height, width]` in [−1, 1] to scores `[b]`, without a sigmoid.
#[derive(Clone, Debug)]
pub struct Discriminator {
    first: Conv2d,
    rest: Vec<(Conv2d, BatchNorm)>,
    dense: Linear,
    last: Linear,
}

impl Discriminator {
    /// Keys `features.0` (convolution), then `features.N` and `features.N+1` (convolution, norm) with N = 2, 5, …, 20,
    /// `classifier.0`, `classifier.2`.
    pub fn new(sizes: &DiscriminatorSizes, vb: VarBuilder<'_>) -> Result<Self> {
        let leaky = Act::LeakyRelu(SLOPE);
        let (features, classifier) = (vb.pp("features"), vb.pp("classifier"));
        let how = strided_conv(1, K / 2, leaky);
        let first = conv2d(sizes.channels, sizes.features, K, how, features.pp(0))?;
        let (mut inputs, mut h, mut w) = (sizes.features, sizes.height, sizes.width);
        let mut rest = Vec::new();
        for n in 1..CONVOLUTIONS {
            let (outputs, stride) = (sizes.features << (n / 2), 1 + n % 2);
            let how = strided_conv(stride, K / 2, Act::None);
            let conv = conv2d_no_bias(inputs, outputs, K, how, features.pp(3 * n - 1))?;
            rest.push((conv, batch_norm(outputs, leaky, features.pp(3 * n))?));
            (inputs, h, w) = (outputs, h.div_ceil(stride), w.div_ceil(stride));
        }
        Ok(Self {
            first,
            rest,
            dense: linear(inputs * h * w, sizes.dense, classifier.pp(0))?,
            last: linear(sizes.dense, 1, classifier.pp(2))?,
        })
    }

    /// Scores for a batch.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut h = self.first.forward(x)?; // [b, features, height, width]
        for (conv, norm) in &self.rest {
            h = norm.forward(&conv.forward(&h)?, mode)?; // …, [b, 8·features, height/16, width/16]
        }
        let h = leaky_relu(&self.dense.forward(&h.flatten_from(1)?)?, SLOPE)?; // [b, dense]
        self.last.forward(&h)?.flatten_all() // [b, 1] to [b]
    }
}
