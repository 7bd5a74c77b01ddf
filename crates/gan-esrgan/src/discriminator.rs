//! D, VGG-like as SRGAN's (section 4.1): levels of two convolutions, the second of which halves the picture, and two
//! dense layers.

use candle_core::{Result, Tensor, bail};
use candle_nn::VarBuilder;
use gan_core::nn::{
    Act, BatchNorm, Conv2d, Linear, Mode, batch_norm, conv2d, conv2d_no_bias, leaky_relu, linear,
    strided_conv,
};

/// Slope of LeakyReLU for negative numbers.
const SLOPE: f64 = 0.2;
/// How often the channels are doubled at most.
const DOUBLINGS: usize = 3;

/// How large the network and its pictures are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiscriminatorSizes {
    /// Channels of the pictures.
    pub channels: usize,
    /// Their height.
    pub height: usize,
    /// Their width.
    pub width: usize,
    /// Channels of the first level's features.
    pub features: usize,
    /// Levels.
    pub levels: usize,
    /// Units of the first dense layer.
    pub dense: usize,
}

/// One level: a convolution of 3x3, and one of 4x4 that halves.
#[derive(Clone, Debug)]
struct Level {
    conv0: Conv2d,
    bn0: Option<BatchNorm>,
    conv1: Conv2d,
    bn1: BatchNorm,
}

/// Pictures `[b, channels, height, width]` in [0, 1] to scores C(x) `[b]`, without a sigmoid.
#[derive(Clone, Debug)]
pub struct Discriminator {
    levels: Vec<Level>,
    linear1: Linear,
    linear2: Linear,
}

impl Discriminator {
    /// Keys `convK_0`, `bnK_0` (from K = 1 on), `convK_1`, `bnK_1`, `linear1`, `linear2`.
    ///
    /// # Errors
    /// Pictures that its levels leave nothing of.
    pub fn new(sizes: &DiscriminatorSizes, vb: VarBuilder<'_>) -> Result<Self> {
        let leaky = Act::LeakyRelu(SLOPE);
        let mut inputs = sizes.channels;
        let level = |k: usize| -> Result<Level> {
            let outputs = sizes.features << k.min(DOUBLINGS);
            let (conv, bn) = (vb.pp(format!("conv{k}_0")), vb.pp(format!("bn{k}_0")));
            // No norm before what is seen of the picture itself.
            let (conv0, bn0) = match k {
                0 => (
                    conv2d(inputs, outputs, 3, strided_conv(1, 1, leaky), conv)?,
                    None,
                ),
                _ => {
                    let how = strided_conv(1, 1, Act::None);
                    let norm = batch_norm(outputs, leaky, bn)?;
                    (conv2d_no_bias(inputs, outputs, 3, how, conv)?, Some(norm))
                }
            };
            inputs = outputs;
            let half = strided_conv(2, 1, Act::None);
            let conv = vb.pp(format!("conv{k}_1"));
            Ok(Level {
                conv0,
                bn0,
                conv1: conv2d_no_bias(outputs, outputs, 4, half, conv)?,
                bn1: batch_norm(outputs, leaky, vb.pp(format!("bn{k}_1")))?,
            })
        };
        let levels = (0..sizes.levels).map(level).collect::<Result<Vec<_>>>()?;
        let (h, w) = (sizes.height >> sizes.levels, sizes.width >> sizes.levels);
        if h * w == 0 {
            bail!(
                "levels is {}, but pictures of {}x{} are halved to nothing before that",
                sizes.levels,
                sizes.height,
                sizes.width
            )
        }
        Ok(Self {
            levels,
            linear1: linear(inputs * h * w, sizes.dense, vb.pp("linear1"))?,
            linear2: linear(sizes.dense, 1, vb.pp("linear2"))?,
        })
    }

    /// Scores for a batch.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut h = x.clone();
        for level in &self.levels {
            h = level.conv0.forward(&h)?;
            if let Some(norm) = &level.bn0 {
                h = norm.forward(&h, mode)?;
            }
            h = level.bn1.forward(&level.conv1.forward(&h)?, mode)?; // half as high and wide
        }
        let h = leaky_relu(&self.linear1.forward(&h.flatten_from(1)?)?, SLOPE)?; // [b, dense]
        self.linear2.forward(&h)?.flatten_all() // [b, 1] to [b]
    }
}
