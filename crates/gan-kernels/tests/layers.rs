//! Replays the recorded layers: values, gradients of first order, and the gradients of a penalty.
//!
//! The fixture holds, for each case, the input `x`, parameters, an upstream gradient `c`, and
//! what float64 PyTorch made of them: `y`, `dx`, `d.*`, statistics `after.*`, and where
//! `second_order` says so `second.value` = sum of dx squared with its gradients. A tensor is
//! accepted if max|a - b| / max|b| is within the limit recorded for it.

use candle_core::{DType, Device, Result, Tensor, Var, bail};
use gan_kernels::act::{self, Act};
use gan_kernels::conv::{Conv2d, ConvTranspose2d, conv_transpose2d, conv2d};
use gan_kernels::linear::linear;
use gan_kernels::{loss, mode, norm, pool2d, resample};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fixtures/layers.safetensors"
);

/// What a case's function sees: its entry of the configuration, parameters and buffers.
struct Layer<'a> {
    about: &'a Value,
    params: BTreeMap<String, Var>,
    buffers: BTreeMap<String, Var>,
}

impl Layer<'_> {
    fn number(&self, key: &str) -> usize {
        self.about[key].as_u64().unwrap_or_default() as usize
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
        let conv = Conv2d {
            stride,
            padding,
            ..Default::default()
        };
        conv2d(x, self.param(&format!("{prefix}weight"))?, bias, &conv)
    }
    fn linear(&self, x: &Tensor, prefix: &str) -> Result<Tensor> {
        let bias = self.param(&format!("{prefix}bias"))?;
        linear(x, self.param(&format!("{prefix}weight"))?, Some(bias), 1.0)
    }
    fn affine(&self, prefix: &str) -> Result<(&Tensor, &Tensor)> {
        let get =
            |key| Ok::<_, candle_core::Error>(self.param(&format!("{prefix}{key}"))?.as_tensor());
        Ok((get("weight")?, get("bias")?))
    }
}

type Run = fn(&Layer<'_>, &Tensor) -> Result<Tensor>;

/// Cases by the beginning of their name; the longest match counts.
const CASES: &[(&str, Run)] = &[
    ("conv_k", |l, x| {
        l.conv(x, "", l.number("stride"), l.number("padding"))
    }),
    ("conv_nobias", |l, x| {
        l.conv(x, "", l.number("stride"), l.number("padding"))
    }),
    ("conv_reflect", |l, x| {
        let x = resample::reflection_pad2d(x, l.number("padding"))?;
        l.conv(&x, "1.", l.number("stride"), 0)
    }),
    ("convt_k", |l, x| {
        let conv = ConvTranspose2d {
            stride: l.number("stride"),
            padding: l.number("padding"),
            output_padding: l.number("output_padding"),
            gain: 1.0,
            ..Default::default()
        };
        conv_transpose2d(x, l.param("weight")?, Some(l.param("bias")?), &conv)
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
        norm::minibatch_stddev(x, l.number("group"), 1e-8)
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
        act::maxout(&l.linear(x, "")?, l.number("pieces"))
    }),
    ("bce", |l, x| {
        // Without reduction: the loss of each element alone.
        let target = l.about["target"].as_f64().unwrap_or_default();
        let each: Result<Vec<Tensor>> = (0..x.dims1()?)
            .map(|i| loss::bce_with_logits(&x.narrow(0, i, 1)?, target)?.reshape(1))
            .collect();
        Tensor::cat(&each?, 0)
    }),
];

fn run_of(name: &str) -> Option<Run> {
    let matching = CASES.iter().filter(|(prefix, _)| name.starts_with(prefix));
    matching
        .max_by_key(|(prefix, _)| prefix.len())
        .map(|(_, run)| *run)
}

fn error(a: &Tensor, b: &Tensor) -> Result<f64> {
    if a.dims() != b.dims() {
        bail!("shapes {:?} and {:?}", a.shape(), b.shape())
    }
    let numbers = |t: &Tensor| t.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
    let (a, b) = (numbers(a)?, numbers(b)?);
    let scale = b.iter().fold(1e-30f64, |m, x| m.max(x.abs()));
    // A NaN is an infinite error.
    let worst = a
        .iter()
        .zip(&b)
        .fold(0f64, |m, (a, b)| match (a - b).abs() {
            d if d.is_nan() => f64::INFINITY,
            d => m.max(d),
        });
    Ok(worst / scale)
}

fn replay(about: &Value, tensors: &BTreeMap<String, Tensor>) -> Result<BTreeMap<String, Tensor>> {
    let Some(name) = about["name"].as_str() else {
        bail!("a case without a name")
    };
    let Some(run) = run_of(name) else {
        bail!("unknown case {name}: add it to CASES")
    };
    let under = |kind: &str| -> Result<BTreeMap<String, Var>> {
        let prefix = format!("{name}.{kind}.");
        let named = tensors
            .iter()
            .filter_map(|(k, t)| Some((k.strip_prefix(&prefix)?, t)));
        named
            .map(|(k, t)| Ok((k.to_string(), Var::from_tensor(t)?)))
            .collect()
    };
    let layer = Layer {
        about,
        params: under("param")?,
        buffers: under("buffer")?,
    };
    let x = Var::from_tensor(&tensors[&format!("{name}.x")])?;
    let second = about["second_order"].as_bool().unwrap_or_default();
    let y = run(&layer, &x)?;
    let c = match tensors.get(&format!("{name}.c")) {
        Some(c) => Var::from_tensor(c)?,
        None => Var::from_tensor(&y.ones_like()?)?,
    };
    let mut found = BTreeMap::from([("y".to_string(), y.clone())]);
    let mut keep = |key: String, t: Option<&Tensor>| {
        if let Some(t) = t {
            found.insert(key, t.clone());
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
    if second {
        let grads = mode::penalty(|| (run(&layer, &x)? * c.as_tensor())?.sum_all()?.backward())?;
        let Some(dx) = grads.get(&x) else {
            bail!("no input gradient")
        };
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

#[test]
fn recorded_layers_are_replayed() -> Result<()> {
    let tensors: BTreeMap<String, Tensor> = candle_core::safetensors::load(FILE, &Device::Cpu)?
        .into_iter()
        .collect();
    let bytes = std::fs::read(FILE)?;
    let (_, header) =
        safetensors::SafeTensors::read_metadata(&bytes).map_err(candle_core::Error::wrap)?;
    let Some(meta) = header.metadata() else {
        bail!("no metadata")
    };
    let json =
        |key: &str| serde_json::from_str::<Value>(&meta[key]).map_err(candle_core::Error::wrap);
    let (config, limits) = (json("config")?, json("limit")?);
    let mut failures = Vec::new();
    let mut checked = BTreeSet::new();
    for about in config.as_array().into_iter().flatten() {
        let name = about["name"].as_str().unwrap_or_default();
        let found = match replay(about, &tensors) {
            Ok(found) => found,
            Err(e) => {
                failures.push(format!("{name}: {e}"));
                continue;
            }
        };
        for (key, want) in &tensors {
            let Some(what) = key.strip_prefix(&format!("{name}.")) else {
                continue;
            };
            checked.insert(key.clone());
            if what == "x"
                || what == "c"
                || what.starts_with("param.")
                || what.starts_with("buffer.")
            {
                continue;
            }
            let limit = limits[key].as_f64().unwrap_or(1e-5);
            match found.get(what).map(|t| error(t, want)) {
                Some(Ok(e)) if e <= limit => {}
                Some(Ok(e)) => failures.push(format!("{key}: error {e:.2e} over {limit:.2e}")),
                Some(Err(e)) => failures.push(format!("{key}: {e}")),
                None => failures.push(format!("{key}: not computed")),
            }
        }
    }
    let unknown: Vec<_> = tensors.keys().filter(|k| !checked.contains(*k)).collect();
    assert!(unknown.is_empty(), "tensors of no case: {unknown:?}");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}
