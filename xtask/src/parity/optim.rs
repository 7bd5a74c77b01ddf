//! The recording `optim`: each optimizer's steps over given gradients.

use super::recorded::Recorded;
use super::{NotYet, Recording, Report, compare};
use anyhow::{Result, bail};
use candle_core::{Device, Tensor};
use gan_core::optim::{Optimizer, Rule, schedule};
use gan_core::{Context, DataInfo, Iter, Net, Seen, StateWriter, Stateful, brief};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Optimizers in a recording at most: the states of all are held.
const MOST: usize = 64;

/// One optimizer of the recording `optim`.
#[derive(Deserialize)]
struct Recipe {
    name: String,
    kind: String,
    lr: f64,
    #[serde(default)]
    beta1: f64,
    #[serde(default)]
    beta2: f64,
    #[serde(default)]
    eps: f64,
    #[serde(default)]
    weight_decay: f64,
    #[serde(default)]
    alpha: f64,
    #[serde(default)]
    momentum: f64,
    #[serde(default)]
    momentum_step: f64,
    lr_decay: Option<f64>,
    lr_halves_at: Option<u64>,
}

impl Recipe {
    fn rule(&self, t: u64) -> Result<Rule> {
        Ok(match self.kind.as_str() {
            "adam" => Rule::Adam {
                beta1: self.beta1,
                beta2: self.beta2,
                eps: self.eps,
                decay: self.weight_decay,
            },
            "rmsprop" => Rule::RmsProp {
                alpha: self.alpha,
                eps: self.eps,
            },
            "sgd" => Rule::Sgd {
                momentum: self.momentum + self.momentum_step * t as f64,
            },
            kind => bail!(NotYet(format!(
                "optimizers of kind {} cannot be replayed yet",
                brief(kind)
            ))),
        })
    }

    fn lr(&self, t: u64) -> f64 {
        match (self.lr_decay, self.lr_halves_at) {
            (Some(decay), _) => schedule::exponential(self.lr, decay, 0., t),
            (None, Some(at)) => schedule::stepped(self.lr, 0.5, &[at], t),
            (None, None) => self.lr,
        }
    }
}

/// Each optimizer over the recorded gradients: g is the gradient of Σ w·g.
pub fn replay(recording: &Recording, device: &Device) -> Result<Report> {
    let recipes: Vec<Recipe> = recording.meta("config")?;
    let start = recording.tensor("w0")?.to_device(device)?;
    let gradients = recording.tensor("grads")?.to_device(device)?;
    let (steps, n) = gradients.dims2()?;
    if start.dims() != [n] || n == 0 || steps == 0 {
        let dims = (start.dims(), gradients.dims());
        bail!(
            "w0 is {:?} and grads {:?}, expected [n] and [steps, n]",
            dims.0,
            dims.1
        )
    }
    if recipes.len() > MOST {
        bail!("{} optimizers, expected at most {MOST}", recipes.len())
    }
    let mut got = BTreeMap::new();
    for recipe in &recipes {
        let cx = Context::new(device, 1, DataInfo::picture(1, 1, n), 1);
        let net = Net::new(&cx, "o", gan_core::init::as_layers, |vb| vb.get(n, "w"))?;
        for (_, var) in net.params.trainable() {
            var.set(&start)?;
        }
        let mut opt = Optimizer::new(recipe.rule(0)?, recipe.lr(0), &[&net.params])?;
        let mut source = Recorded::new(Vec::new(), device, Rc::default());
        let mut seen = Seen::default();
        let mut after: BTreeMap<String, Vec<Tensor>> = BTreeMap::new();
        for t in 0..steps as u64 {
            (opt.rule, opt.lr) = (recipe.rule(t)?, recipe.lr(t));
            let loss = (&net.live * gradients.get(t as usize)?)?.sum_all()?;
            Iter::new(t, &mut source, &mut seen).minimise(&mut opt, "o", &[("o", &loss)])?;
            let mut state = BTreeMap::new();
            opt.save(&mut StateWriter::new(&mut state))?;
            net.params.save(&mut StateWriter::new(&mut state))?;
            for (key, value) in state {
                let key = key.rsplit('.').next().unwrap_or(&key).to_string();
                after
                    .entry(format!("{}.{key}", recipe.name))
                    .or_default()
                    .push(value.copy()?);
            }
        }
        for (key, values) in after {
            got.insert(key, Tensor::stack(&values, 0)?);
        }
    }
    let inputs = ["w0", "grads"];
    compare(recording, &got, |key| {
        (!inputs.contains(&key)).then(|| key.to_string())
    })
}
