//! Layers over the kernels of `gan-kernels`, with PyTorch's key names and PyTorch's default initial values.
//!
//! A layer asks its [`VarBuilder`] for `weight`, `bias` and, where it has some, running statistics; a
//! paper's own initial values come from the rule given to [`crate::Net::new`].

mod bilinear;
pub mod maps;
pub mod patch;
pub mod strided;
pub mod unet;
pub mod vgg;

use crate::draws::Draws;
use candle_core::{Result, Tensor, Var};
use candle_nn::{Init, VarBuilder};
use gan_kernels::{conv, norm};

pub use bilinear::bilinear;
use gan_kernels::act::masked;
pub use gan_kernels::act::{Act, leaky_relu, maxout, relu, sigmoid, softplus, tanh};
pub use gan_kernels::norm::{minibatch_stddev, pixel_norm};
pub use gan_kernels::pool2d::{avg_pool2d, max_pool2d};
pub use gan_kernels::resample::{
    pixel_shuffle, pixel_unshuffle, reflection_pad2d, upsample_nearest2x,
};
pub use gan_kernels::{add, add_scaled};

/// Which statistics a network normalises with and whether it drops units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The batch's statistics, which move the running ones; dropout.
    Train,
    /// The running statistics; no dropout.
    Eval,
    /// The batch's statistics, the running ones stay; dropout: noise at test time.
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
    let layer = conv2d_no_bias(inputs, outputs, k, how, vb.clone())?;
    let bias = vb.get_with_hints(outputs, "bias", uniform(inputs * k * k))?;
    Ok(Conv2d {
        bias: Some(bias),
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

/// How a convolution runs: stride, zeros around the input, activation.
pub fn strided_conv(stride: usize, padding: usize, act: Act) -> conv::Conv2d {
    conv::Conv2d {
        stride,
        padding,
        act,
        ..Default::default()
    }
}

/// How a transposed convolution runs: stride, and rows and columns cut off and added in the end.
pub fn strided_conv_transpose(
    stride: usize,
    padding: usize,
    output_padding: usize,
) -> conv::ConvTranspose2d {
    conv::ConvTranspose2d {
        stride,
        padding,
        output_padding,
        ..Default::default()
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
    let layer = conv_transpose2d_no_bias(inputs, outputs, k, how, vb.clone())?;
    let bias = vb.get_with_hints(outputs, "bias", uniform(outputs * k * k))?;
    Ok(ConvTranspose2d {
        bias: Some(bias),
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
        Mode::Train | Mode::Batch => masked(x, &draws.mask("mask", p, x.dims())?, 1. / (1. - p)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::CounterRng;
    use crate::{Context, DataInfo, Net, Params, init};
    use candle_core::{DType, Device};

    fn context() -> Context {
        Context::new(&Device::Cpu, 1, DataInfo::unlabelled(1, 1), 1)
    }

    fn shapes(params: &Params) -> Vec<(String, Vec<usize>)> {
        let all = params.all().into_iter();
        all.map(|(key, var)| (key, var.dims().to_vec())).collect()
    }

    #[test]
    fn keys_shapes_and_initial_values_are_pytorchs() -> Result<()> {
        let net = Net::new(&context(), "n", init::as_layers, |vb| {
            let how = conv::ConvTranspose2d::default();
            Ok((
                conv2d(3, 8, 4, conv::Conv2d::default(), vb.pp("c"))?,
                conv_transpose2d(8, 2, 4, how, vb.pp("t"))?,
                linear(50, 5, vb.pp("l"))?,
                batch_norm(8, Act::None, vb.pp("b"))?,
                layer_norm(8, Act::None, vb.pp("ln"))?,
                prelu(1, vb.pp("p"))?,
            ))
        })?;
        let want = [
            ("c.weight", vec![8, 3, 4, 4]),
            ("c.bias", vec![8]),
            ("t.weight", vec![8, 2, 4, 4]),
            ("t.bias", vec![2]),
            ("l.weight", vec![5, 50]),
            ("l.bias", vec![5]),
            ("b.weight", vec![8]),
            ("b.bias", vec![8]),
            ("b.running_mean", vec![8]),
            ("b.running_var", vec![8]),
            ("ln.weight", vec![8]),
            ("ln.bias", vec![8]),
            ("p.weight", vec![1]),
        ];
        let want = want.map(|(key, dims)| (key.to_string(), dims));
        assert_eq!(shapes(&net.params), want);
        let largest = |key: &str| -> Result<f32> {
            let all = net.params.all();
            let var = all
                .iter()
                .find(|(known, _)| known == key)
                .map(|(_, var)| var);
            let values = var
                .map(|var| var.flatten_all()?.to_vec1::<f32>())
                .transpose()?;
            Ok(values
                .unwrap_or_default()
                .iter()
                .fold(0., |m, x| x.abs().max(m)))
        };
        for (key, fan_in) in [("c.weight", 48.), ("t.weight", 32.), ("l.weight", 50f32)] {
            let (largest, bound) = (largest(key)?, 1. / fan_in.sqrt());
            assert!(
                largest <= bound && largest > 0.9 * bound,
                "{key}: {largest} of {bound}"
            );
        }
        assert_eq!(
            (largest("b.running_var")?, largest("p.weight")?),
            (1., 0.25)
        );
        Ok(())
    }

    #[test]
    fn both_builds_move_the_same_statistics_in_training_only() -> Result<()> {
        let build = |vb| batch_norm(1, Act::None, vb);
        let net = Net::new(&context(), "n", init::as_layers, build)?;
        let mean = || -> Result<f32> {
            let all = net.params.all();
            let mean = all.iter().find(|(key, _)| key == "running_mean");
            mean.map_or(Ok(0.), |(_, var)| var.get(0)?.to_scalar())
        };
        let x = Tensor::new(&[1f32, 3.], &Device::Cpu)?.reshape((2, 1, 1, 1))?;
        net.live.forward(&x, Mode::Train)?;
        assert!((mean()? - 0.2).abs() < 1e-6); // .9·0 + .1·2
        net.frozen.forward(&x, Mode::Train)?;
        assert!((mean()? - 0.38).abs() < 1e-6);
        for mode in [Mode::Eval, Mode::Batch] {
            net.live.forward(&x, mode)?;
        }
        assert!((mean()? - 0.38).abs() < 1e-6);
        let normalised = net
            .live
            .forward(&x, Mode::Batch)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        assert!((normalised[0] + 1.).abs() < 1e-4 && (normalised[1] - 1.).abs() < 1e-4);
        assert_eq!(net.params.trainable().len(), 2);
        Ok(())
    }

    #[test]
    fn dropout_keeps_the_mean_and_rests_in_evaluation() -> Result<()> {
        let x = Tensor::ones(10_000, DType::F32, &Device::Cpu)?;
        let mut rng = CounterRng::new(1, &Device::Cpu);
        let y = dropout(&x, 0.25, Mode::Train, &mut rng)?.to_vec1::<f32>()?;
        let dropped = y.iter().filter(|&&v| v == 0.).count();
        assert!((2350..2650).contains(&dropped), "{dropped} of 10,000");
        assert!(y.iter().all(|&v| v == 0. || (v - 4. / 3.).abs() < 1e-6));
        let kept = dropout(&x, 0.25, Mode::Eval, &mut rng)?.to_vec1::<f32>()?;
        assert!(kept.iter().all(|&v| v == 1.));
        Ok(())
    }
}
