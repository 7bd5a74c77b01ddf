//! The recording `layers`: values, gradients of first order, and the gradients of a penalty.
//!
//! For each case it holds the input `x`, parameters, an upstream gradient `c`, and what PyTorch in
//! float64 made of them: `y`, `dx`, `d.*`, statistics `after.*`, and where `second_order` says so
//! `second.value` = Σ dx² with its gradients. Each tensor has a limit of its own.

use super::{Recording, Report, compare};
use anyhow::{Context as _, anyhow};
use candle_core::{Device, Result, Tensor, Var, bail};
use gan_core::brief;
use gan_kernels::act::{self, Act};
use gan_kernels::conv::{Conv2d, ConvTranspose2d, conv_transpose2d, conv2d};
use gan_kernels::linear::linear;
use gan_kernels::{loss, mode, norm, pool2d, resample};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a case's function sees: its entry of the configuration, parameters and buffers.
struct Layer<'a> {
    about: &'a Value,
    params: BTreeMap<String, Var>,
    buffers: BTreeMap<String, Var>,
}

impl Layer<'_> {
    /// A stride, a padding, a group: small in every layer, so that nothing large is made of one that is not.
    fn number(&self, key: &str) -> Result<usize> {
        match self.about.get(key).map(|n| (n.as_u64(), n)) {
            None => Ok(0),
            Some((Some(n @ 0..=1024), _)) => Ok(n as usize),
            Some((_, n)) => bail!("{key} is {}, expected 0 to 1024", brief(&n.to_string())),
        }
    }
    fn param(&self, key: &str) -> Result<&Var> {
        match self.params.get(key) {
            Some(v) => Ok(v),
            None => bail!("no parameter {key}"),
        }
    }
    fn buffer(&self, key: &str) -> Result<&Var> {
        match self.buffers.get(key) {
            Some(v) => Ok(v),
            None => bail!("no buffer {key}"),
        }
    }
    /// The convolution whose parameters begin with `prefix`.
    fn conv(&self, x: &Tensor, prefix: &str, stride: usize, padding: usize) -> Result<Tensor> {
        let bias = self
            .params
            .get(&format!("{prefix}bias"))
            .map(|b| b.as_tensor());
        let weight = self.param(&format!("{prefix}weight"))?;
        let ((b, _, h, w), (outputs, ..)) = (x.dims4()?, weight.dims4()?);
        afford(&[b, outputs, h + 2 * padding, w + 2 * padding])?;
        let conv = Conv2d {
            stride,
            padding,
            ..Default::default()
        };
        conv2d(x, weight, bias, &conv)
    }
    fn linear(&self, x: &Tensor, prefix: &str) -> Result<Tensor> {
        let bias = self.param(&format!("{prefix}bias"))?;
        let weight = self.param(&format!("{prefix}weight"))?;
        let (outputs, inputs) = weight.dims2()?;
        afford(&[x.elem_count() / inputs.max(1), outputs])?;
        linear(x, weight, Some(bias), 1.0)
    }
    fn affine(&self, prefix: &str) -> Result<(&Tensor, &Tensor)> {
        let get =
            |key| Ok::<_, candle_core::Error>(self.param(&format!("{prefix}{key}"))?.as_tensor());
        Ok((get("weight")?, get("bias")?))
    }
}

/// Values that a layer makes at most: small shapes may multiply to more than memory holds.
const MOST: usize = 1 << 24;

/// Refuses a result of this shape where it would be too large.
fn afford(dims: &[usize]) -> Result<()> {
    let values = dims.iter().fold(1usize, |n, dim| n.saturating_mul(*dim));
    match values <= MOST {
        true => Ok(()),
        false => bail!("a result of {values} values, expected at most {MOST}"),
    }
}

type Run = fn(&Layer<'_>, &Tensor) -> Result<Tensor>;

/// Cases by the beginning of their name; the longest match counts.
const CASES: &[(&str, Run)] = &[
    ("conv_k", |l, x| {
        l.conv(x, "", l.number("stride")?, l.number("padding")?)
    }),
    ("conv_nobias", |l, x| {
        l.conv(x, "", l.number("stride")?, l.number("padding")?)
    }),
    ("conv_reflect", |l, x| {
        let x = resample::reflection_pad2d(x, l.number("padding")?)?;
        l.conv(&x, "1.", l.number("stride")?, 0)
    }),
    ("convt_k", |l, x| {
        let conv = ConvTranspose2d {
            stride: l.number("stride")?,
            padding: l.number("padding")?,
            output_padding: l.number("output_padding")?,
            gain: 1.0,
            ..Default::default()
        };
        let weight = l.param("weight")?;
        let ((b, _, h, w), (_, outputs, kh, kw)) = (x.dims4()?, weight.dims4()?);
        let side = |n: usize, k: usize| n.saturating_mul(conv.stride).saturating_add(k);
        afford(&[b, outputs, side(h, kh), side(w, kw)])?;
        conv_transpose2d(x, weight, Some(l.param("bias")?), &conv)
    }),
    ("linear", |l, x| l.linear(x, "")),
    ("mlp_lrelu", |l, x| {
        l.linear(&act::leaky_relu(&l.linear(x, "0.")?, 0.2)?, "2.")
    }),
    ("conv_lrelu_conv", |l, x| {
        let x = act::leaky_relu(&l.conv(x, "0.", 2, 1)?, 0.2)?;
        l.conv(&x, "2.", 1, 1)
    }),
    ("critic_ln", |l, x| {
        let x = l.conv(x, "0.", 2, 1)?;
        let x = norm::layer_norm(&x, Some(l.affine("1.")?), 1e-5, Act::LeakyRelu(0.2))?;
        l.conv(&x, "3.", 1, 0)
    }),
    ("batch_norm_train", |l, x| {
        let ((w, b), mean, var) = (
            l.affine("")?,
            l.buffer("running_mean")?,
            l.buffer("running_var")?,
        );
        norm::batch_norm(x, w, b, mean, var, 0.1, 1e-5, Act::None)
    }),
    ("batch_norm_eval", |l, x| {
        let ((w, b), mean, var) = (
            l.affine("")?,
            l.buffer("running_mean")?,
            l.buffer("running_var")?,
        );
        norm::batch_norm_eval(x, w, b, mean, var, 1e-5, Act::None)
    }),
    ("instance_norm", |_, x| {
        norm::instance_norm(x, None, 1e-5, Act::None)
    }),
    ("instance_norm_affine", |l, x| {
        norm::instance_norm(x, Some(l.affine("")?), 1e-5, Act::None)
    }),
    ("layer_norm", |l, x| {
        norm::layer_norm(x, Some(l.affine("")?), 1e-5, Act::None)
    }),
    ("pixel_norm", |_, x| norm::pixel_norm(x, 1e-8)),
    ("minibatch_stddev", |l, x| {
        norm::minibatch_stddev(x, l.number("group")?, 1e-8)
    }),
    ("pixel_shuffle", |_, x| resample::pixel_shuffle(x, 2)),
    ("upsample_nearest", |_, x| resample::upsample_nearest2x(x)),
    ("avg_pool", |_, x| pool2d::avg_pool2d(x, (2, 2), (2, 2))),
    ("max_pool", |_, x| pool2d::max_pool2d(x, (2, 2), (2, 2))),
    ("leaky_relu_02", |_, x| act::leaky_relu(x, 0.2)),
    ("leaky_relu_001", |_, x| act::leaky_relu(x, 0.01)),
    ("prelu", |l, x| act::prelu(x, l.param("weight")?)),
    ("tanh", |_, x| act::tanh(x)),
    ("sigmoid", |_, x| act::sigmoid(x)),
    ("maxout", |l, x| {
        act::maxout(&l.linear(x, "")?, l.number("pieces")?)
    }),
    ("bce", |l, x| {
        // Without reduction: the loss of each element alone.
        let target = l
            .about
            .get("target")
            .and_then(Value::as_f64)
            .unwrap_or_default();
        let each: Result<Vec<Tensor>> = (0..x.dims1()?)
            .map(|i| loss::bce_with_logits(&x.narrow(0, i, 1)?, target)?.reshape(1))
            .collect();
        Tensor::cat(&each?, 0)
    }),
];

/// The function of a case: the longest name that its own begins with.
fn run_of(name: &str) -> Option<Run> {
    let matching = CASES.iter().filter(|(prefix, _)| name.starts_with(prefix));
    let longest = matching.max_by_key(|(prefix, _)| prefix.len());
    longest.map(|(_, run)| *run)
}

/// Replays every case of the file; one that is not known is an error.
pub fn replay(recording: &Recording, device: &Device) -> anyhow::Result<Report> {
    let cases: Vec<Value> = recording.meta("config")?;
    let (mut got, mut inputs) = (BTreeMap::new(), Vec::new());
    for about in &cases {
        let name = about
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let run = run_of(name).ok_or_else(|| anyhow!("the case {:?} is not known", brief(name)))?;
        for (key, value) in
            case(about, name, run, recording, device).with_context(|| brief(name))?
        {
            got.insert(format!("{name}.{key}"), value);
        }
        inputs.extend(["x", "c", "param.", "buffer."].map(|part| format!("{name}.{part}")));
    }
    compare(recording, &got, |key| {
        let is_input = inputs.iter().any(|input| match input.ends_with('.') {
            true => key.starts_with(input.as_str()),
            false => key == input,
        });
        (!is_input).then(|| key.to_string())
    })
}

/// What a case computes, by the recording's names.
fn case(
    about: &Value,
    name: &str,
    run: Run,
    recording: &Recording,
    device: &Device,
) -> anyhow::Result<BTreeMap<String, Tensor>> {
    let var = |t: &Tensor| Var::from_tensor(&t.to_device(device)?);
    let under = |kind: &str| -> anyhow::Result<BTreeMap<String, Var>> {
        let prefix = format!("{name}.{kind}.");
        let found = recording.with_prefix(&prefix);
        found.map(|(k, t)| Ok((k.to_string(), var(t)?))).collect()
    };
    let layer = Layer {
        about,
        params: under("param")?,
        buffers: under("buffer")?,
    };
    let x = var(recording.tensor(&format!("{name}.x"))?)?;
    let y = run(&layer, &x)?;
    let c = match recording.tensor(&format!("{name}.c")) {
        Ok(c) => var(c)?,
        Err(_) => var(&y.ones_like()?)?,
    };
    let mut found = BTreeMap::from([("y".to_string(), y.clone())]);
    let mut keep = |key: String, t: Option<&Tensor>| {
        if let Some(t) = t {
            found.insert(key, t.detach());
        }
    };
    let grads = (&y * c.as_detached_tensor())?.sum_all()?.backward()?;
    keep("dx".into(), grads.get(&x));
    for (k, v) in &layer.params {
        keep(format!("d.{k}"), grads.get(v));
    }
    for (k, v) in &layer.buffers {
        keep(format!("after.{k}"), Some(v));
    }
    if about.get("second_order").and_then(Value::as_bool) == Some(true) {
        let score = (run(&layer, &x)? * c.as_tensor())?.sum_all()?;
        let grads = mode::penalty(|| score.backward())?;
        let dx = grads.get(&x).context("no gradient of the input")?;
        let value = dx.sqr()?.sum_all()?;
        let grads = value.backward()?;
        keep("second.value".into(), Some(&value));
        keep("second.x".into(), grads.get(&x));
        keep("second.c".into(), grads.get(&c));
        for (k, v) in &layer.params {
            keep(format!("second.{k}"), grads.get(v));
        }
    }
    Ok(found)
}
