//! The norm of feature maps that a network is told to have: over the batch, or over each picture.

use super::{Act, BatchNorm, Conv2d, ConvTranspose2d, Mode, batch_norm, instance_norm};
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
    /// Statistics of the batch, and an affine map.
    Batch,
    /// Statistics of each picture, without an affine map.
    Instance,
}

impl Norm {
    /// A norm of `channels` maps with an activation in the same node; batch norm's keys are `weight`,
    /// `bias`, `running_mean` and `running_var`, instance norm has none.
    pub fn layer(self, channels: usize, act: Act, vb: VarBuilder<'_>) -> Result<NormLayer> {
        Ok(match self {
            Norm::Batch => NormLayer::Batch(batch_norm(channels, act, vb)?),
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
            Norm::Batch => conv2d_no_bias(inputs, outputs, k, how, vb),
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
            Norm::Batch => conv_transpose2d_no_bias(inputs, outputs, k, how, vb),
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
    Instance(Act),
}

impl NormLayer {
    /// x `[b, channels, h, w]`; instance norm is the same in every mode.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        match self {
            NormLayer::Batch(norm) => norm.forward(x, mode),
            NormLayer::Instance(act) => instance_norm(x, *act),
        }
    }
}
