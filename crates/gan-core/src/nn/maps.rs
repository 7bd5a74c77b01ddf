//! The norm of feature maps that a network is told to have: over the batch, over each picture, or over
//! each map of it.

use super::{
    Act, BatchNorm, Conv2d, ConvTranspose2d, LayerNorm, Mode, batch_norm, instance_norm, layer_norm,
};
use super::{conv_transpose2d, conv_transpose2d_no_bias, conv2d, conv2d_no_bias};
use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use gan_kernels::conv;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What feature maps are normalised with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Statistics of each channel over the batch, and an affine map: pictures of a batch see each other.
    Batch,
    /// Statistics of each picture over all its channels, and an affine map.
    Layer,
    /// Statistics of each channel of each picture, without an affine map.
    Instance,
}

impl Norm {
    /// A norm of `channels` maps with an activation in the same node; batch norm's keys are `weight`,
    /// `bias`, `running_mean` and `running_var`, layer norm's the first two, instance norm has none.
    pub fn layer(self, channels: usize, act: Act, vb: VarBuilder<'_>) -> Result<NormLayer> {
        Ok(match self {
            Norm::Batch => NormLayer::Batch(batch_norm(channels, act, vb)?),
            Norm::Layer => NormLayer::Layer(layer_norm(channels, act, vb)?),
            Norm::Instance => NormLayer::Instance(act),
        })
    }

    /// The convolution before it: with a bias where the norm has no offset of its own, as published
    /// networks have it (before instance norm it has no effect).
    pub fn conv(
        self,
        inputs: usize,
        outputs: usize,
        k: usize,
        how: conv::Conv2d,
        vb: VarBuilder<'_>,
    ) -> Result<Conv2d> {
        match self {
            Norm::Batch | Norm::Layer => conv2d_no_bias(inputs, outputs, k, how, vb),
            Norm::Instance => conv2d(inputs, outputs, k, how, vb),
        }
    }

    /// The transposed convolution before it, as [`Norm::conv`].
    pub fn conv_transpose(
        self,
        inputs: usize,
        outputs: usize,
        k: usize,
        how: conv::ConvTranspose2d,
        vb: VarBuilder<'_>,
    ) -> Result<ConvTranspose2d> {
        match self {
            Norm::Batch | Norm::Layer => conv_transpose2d_no_bias(inputs, outputs, k, how, vb),
            Norm::Instance => conv_transpose2d(inputs, outputs, k, how, vb),
        }
    }
}

/// A norm with the activation after it.
#[derive(Clone, Debug)]
pub enum NormLayer {
    /// Over the batch.
    Batch(BatchNorm),
    /// Over each picture.
    Layer(LayerNorm),
    /// Over each map.
    Instance(Act),
}

impl NormLayer {
    /// x `[b, channels, h, w]`; layer and instance norm are the same in every mode.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        match self {
            NormLayer::Batch(norm) => norm.forward(x, mode),
            NormLayer::Layer(norm) => norm.forward(x),
            NormLayer::Instance(act) => instance_norm(x, *act),
        }
    }
}
