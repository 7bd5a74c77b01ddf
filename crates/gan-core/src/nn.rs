//! Layers over the kernels of `gan-kernels`, with PyTorch's key names and PyTorch's default initial values.
//!
//! A layer asks its [`VarBuilder`] for `weight`, `bias` and, where it has some, running statistics; a
//! paper's own initial values come from the rule given to [`crate::Net::new`].

use crate::source::Draws;
use candle_core::{Result, Tensor, Var};
use candle_nn::{Init, VarBuilder};
use gan_kernels::{conv, norm};

pub use gan_kernels::act::{Act, leaky_relu, maxout, relu, sigmoid, softplus, tanh};
pub use gan_kernels::norm::{minibatch_stddev, pixel_norm};
pub use gan_kernels::pool2d::{avg_pool2d, max_pool2d};
pub use gan_kernels::resample::{
    pixel_shuffle, pixel_unshuffle, reflection_pad2d, upsample_nearest2x,
};

/// Which statistics a network normalises with and whether it drops units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The batch's statistics, which move the running ones; dropout.
    Train,
    /// The running statistics; no dropout.
    Eval,
    /// The batch's statistics, the running ones stay; dropout (pix2pix at test time).
    Batch,
}

/// PyTorch's default for weights and biases: U(−1/√fan_in, 1/√fan_in).
fn uniform(fan_in: usize) -> Init {
    let bound = 1. / (fan_in as f64).sqrt();
    Init::Uniform {
        lo: -bound,
        up: bound,
    }
}

/// y = gain·x·wᵀ + b.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
    gain: f64,
}

/// Keys `weight` `[outputs, inputs]` and `bias` `[outputs]`.
pub fn linear(inputs: usize, outputs: usize, vb: VarBuilder<'_>) -> Result<Linear> {
    let init = uniform(inputs);
    Ok(Linear {
        weight: vb.get_with_hints((outputs, inputs), "weight", init)?,
        bias: Some(vb.get_with_hints(outputs, "bias", init)?),
        gain: 1.,
    })
}

impl Linear {
    /// The factor on the weights (equalised learning rate).
    pub fn with_gain(self, gain: f64) -> Self {
        Self { gain, ..self }
    }

    /// x `[…, inputs]` to `[…, outputs]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        gan_kernels::linear::linear(x, &self.weight, self.bias.as_ref(), self.gain)
    }
}

/// A convolution layer.
#[derive(Clone, Debug)]
pub struct Conv2d {
    weight: Tensor,
    bias: Option<Tensor>,
    how: conv::Conv2d,
}

/// A convolution with a bias: keys `weight` `[outputs, inputs, k, k]` and `bias` `[outputs]`.
pub fn conv2d(
    inputs: usize,
    outputs: usize,
    k: usize,
    how: conv::Conv2d,
    vb: VarBuilder<'_>,
) -> Result<Conv2d> {
    let bias = vb.get_with_hints(outputs, "bias", uniform(inputs * k * k));
    let layer = conv2d_no_bias(inputs, outputs, k, how, vb)?;
    Ok(Conv2d {
        bias: Some(bias?),
        ..layer
    })
}

/// A convolution without a bias: key `weight` `[outputs, inputs, k, k]`.
pub fn conv2d_no_bias(
    inputs: usize,
    outputs: usize,
    k: usize,
    how: conv::Conv2d,
    vb: VarBuilder<'_>,
) -> Result<Conv2d> {
    let init = uniform(inputs * k * k);
    Ok(Conv2d {
        weight: vb.get_with_hints((outputs, inputs, k, k), "weight", init)?,
        bias: None,
        how,
    })
}

impl Conv2d {
    /// x `[b, inputs, h, w]` to `[b, outputs, h', w']`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        conv::conv2d(x, &self.weight, self.bias.as_ref(), &self.how)
    }
}

/// A transposed convolution layer.
#[derive(Clone, Debug)]
pub struct ConvTranspose2d {
    weight: Tensor,
    bias: Option<Tensor>,
    how: conv::ConvTranspose2d,
}

/// A transposed convolution with a bias: keys `weight` `[inputs, outputs, k, k]` and `bias` `[outputs]`.
pub fn conv_transpose2d(
    inputs: usize,
    outputs: usize,
    k: usize,
    how: conv::ConvTranspose2d,
    vb: VarBuilder<'_>,
) -> Result<ConvTranspose2d> {
    let bias = vb.get_with_hints(outputs, "bias", uniform(outputs * k * k));
    let layer = conv_transpose2d_no_bias(inputs, outputs, k, how, vb)?;
    Ok(ConvTranspose2d {
        bias: Some(bias?),
        ..layer
    })
}

/// A transposed convolution without a bias: key `weight` `[inputs, outputs, k, k]`.
pub fn conv_transpose2d_no_bias(
    inputs: usize,
    outputs: usize,
    k: usize,
    how: conv::ConvTranspose2d,
    vb: VarBuilder<'_>,
) -> Result<ConvTranspose2d> {
    // PyTorch takes the second dimension for the inputs here, too.
    let init = uniform(outputs * k * k);
    Ok(ConvTranspose2d {
        weight: vb.get_with_hints((inputs, outputs, k, k), "weight", init)?,
        bias: None,
        how,
    })
}

impl ConvTranspose2d {
    /// x `[b, inputs, h, w]` to `[b, outputs, h', w']`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        conv::conv_transpose2d(x, &self.weight, self.bias.as_ref(), &self.how)
    }
}

/// Batch norm with an activation in the same node.
#[derive(Clone, Debug)]
pub struct BatchNorm {
    weight: Tensor,
    bias: Tensor,
    running_mean: Var,
    running_var: Var,
    act: Act,
}

/// PyTorch's ε of all norms.
const EPS: f64 = 1e-5;
/// PyTorch's weight of a new batch in the running statistics.
const MOMENTUM: f64 = 0.1;

/// Keys `weight`, `bias`, `running_mean`, `running_var`, each `[channels]`; ε 1e-5, momentum .1.
pub fn batch_norm(channels: usize, act: Act, vb: VarBuilder<'_>) -> Result<BatchNorm> {
    let get = |key, value| vb.get_with_hints(channels, key, Init::Const(value));
    Ok(BatchNorm {
        weight: get("weight", 1.)?,
        bias: get("bias", 0.)?,
        // Shares the variable's storage: the live and the frozen build move the same statistics.
        running_mean: Var::from_tensor(&get("running_mean", 0.)?)?,
        running_var: Var::from_tensor(&get("running_var", 1.)?)?,
        act,
    })
}

impl BatchNorm {
    /// x `[b, channels, …]`; in [`Mode::Train`] moves the running statistics, in a frozen build too.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let (w, b, act) = (&self.weight, &self.bias, self.act);
        let (mean, var) = (&self.running_mean, &self.running_var);
        match mode {
            Mode::Train => norm::batch_norm(x, w, b, mean, var, MOMENTUM, EPS, act),
            Mode::Batch => norm::batch_norm_batch(x, w, b, EPS, act),
            Mode::Eval => norm::batch_norm_eval(x, w, b, mean, var, EPS, act),
        }
    }
}

/// Layer norm over c, h, w with one gain and offset a channel, and an activation in the same node.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    act: Act,
}

/// Keys `weight` and `bias`, each `[channels]`; ε 1e-5.
pub fn layer_norm(channels: usize, act: Act, vb: VarBuilder<'_>) -> Result<LayerNorm> {
    Ok(LayerNorm {
        weight: vb.get_with_hints(channels, "weight", Init::Const(1.))?,
        bias: vb.get_with_hints(channels, "bias", Init::Const(0.))?,
        act,
    })
}

impl LayerNorm {
    /// x `[b, channels, …]`
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        norm::layer_norm(x, Some((&self.weight, &self.bias)), EPS, self.act)
    }
}

/// Instance norm without an affine map, with an activation in the same node: x `[b, c, …]`; ε 1e-5.
pub fn instance_norm(x: &Tensor, act: Act) -> Result<Tensor> {
    norm::instance_norm(x, None, EPS, act)
}

/// LeakyReLU whose slope is learnt.
#[derive(Clone, Debug)]
pub struct PRelu {
    weight: Tensor,
}

/// Key `weight` `[1]` or `[channels]`; starts at .25, as in PyTorch.
pub fn prelu(slopes: usize, vb: VarBuilder<'_>) -> Result<PRelu> {
    Ok(PRelu {
        weight: vb.get_with_hints(slopes, "weight", Init::Const(0.25))?,
    })
}

impl PRelu {
    /// x `[b, channels, …]`
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        gan_kernels::act::prelu(x, &self.weight)
    }
}

/// Drops each value with probability `p` and divides the rest by 1 − p; not in [`Mode::Eval`].
pub fn dropout(x: &Tensor, p: f64, mode: Mode, draws: &mut dyn Draws) -> Result<Tensor> {
    match mode {
        Mode::Eval => Ok(x.clone()),
        Mode::Train | Mode::Batch => x * (draws.mask("mask", p, x.dims())? / (1. - p))?,
    }
}
