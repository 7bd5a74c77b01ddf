//! Adam, RMSProp and SGD with momentum, by PyTorch's formulas, and schedules of the learning rate.
//!
//! The kernels are `gan_kernels::optim`: on the CPU one pass over parameter, gradient and moments, in
//! place. What is here is an optimizer over whole networks and its state by name.

use crate::params::Params;
use crate::state::{StateReader, StateWriter, Stateful};
use candle_core::{Result, Tensor, Var, bail};
use gan_kernels::{optim, tape};

/// How an optimizer turns a gradient g into a change of the weight w.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Adam (Kingma & Ba 2015, Algorithm 1), of a gradient with an L2 penalty on the weights: g ← g + decay·w,
    /// m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², w ← w − lr·m̂/(√v̂ + ε).
    Adam {
        /// β₁
        beta1: f64,
        /// β₂
        beta2: f64,
        /// ε
        eps: f64,
        /// The penalty's weight; 0: there is none.
        decay: f64,
    },
    /// RMSProp (Hinton, lecture 6e): v ← αv + (1−α)g², w ← w − lr·g/(√v + ε).
    RmsProp {
        /// α
        alpha: f64,
        /// ε
        eps: f64,
    },
    /// Gradient descent with momentum μ: v ← μv + g, w ← w − lr·v.
    Sgd {
        /// μ
        momentum: f64,
    },
}

impl Rule {
    /// Adam with ε = 1e-8 and no penalty.
    pub fn adam(beta1: f64, beta2: f64) -> Self {
        Self::adam_decayed(beta1, beta2, 0.)
    }

    /// Adam with ε = 1e-8 and an L2 penalty of this weight, as PyTorch's `Adam(weight_decay=…)` has it; AdamW is
    /// another rule.
    pub fn adam_decayed(beta1: f64, beta2: f64, decay: f64) -> Self {
        Rule::Adam {
            beta1,
            beta2,
            eps: 1e-8,
            decay,
        }
    }

    /// Numbers that it keeps for each that it trains.
    fn moments(&self) -> u64 {
        match self {
            Rule::Adam { .. } => 2,
            Rule::RmsProp { .. } => 1,
            Rule::Sgd { momentum } => u64::from(*momentum != 0.),
        }
    }
}

/// One parameter with its state.
#[derive(Debug)]
struct Slot {
    key: String,
    var: Var,
    state: State,
    /// Whether the present phase trains it.
    trained: bool,
}

/// The kernels' optimizer of one parameter.
#[derive(Debug)]
enum State {
    Adam(optim::Adam),
    RmsProp(optim::RmsProp),
    Sgd(optim::Sgd),
}

impl State {
    fn new(rule: Rule, var: &Var) -> Result<Self> {
        Ok(match rule {
            Rule::Adam { .. } => State::Adam(optim::Adam::new(var)?),
            Rule::RmsProp { .. } => State::RmsProp(optim::RmsProp::new(var)?),
            Rule::Sgd { .. } => State::Sgd(optim::Sgd::new()),
        })
    }
}

/// An optimizer over the parameters of one network or several.
#[derive(Debug)]
pub struct Optimizer {
    /// The rule; a schedule may change its numbers between steps, not its kind.
    pub rule: Rule,
    /// The learning rate; a schedule may set it before each step.
    pub lr: f64,
    slots: Vec<Slot>,
}

impl Optimizer {
    /// Over everything trainable in `nets`; moments start at zero.
    pub fn new(rule: Rule, lr: f64, nets: &[&Params]) -> Result<Self> {
        let mut slots: Vec<Slot> = Vec::new();
        if let Some(tally) = nets.iter().find_map(|net| net.tally()) {
            let names: Vec<&str> = nets.iter().map(|net| net.name()).collect();
            tally.trained(&names, rule.moments());
        }
        for net in nets {
            for (key, var) in net.trainable() {
                let key = format!("{}.{key}", net.name());
                if slots.iter().any(|slot| slot.key == key) {
                    bail!("an optimizer was given {key} twice")
                }
                slots.push(Slot {
                    key,
                    state: State::new(rule, &var)?,
                    var,
                    trained: true,
                });
            }
        }
        Ok(Self { rule, lr, slots })
    }

    /// Trains only the parameters whose `NET.KEY` is among these from now on, until it is told otherwise;
    /// the others stay as they are, with their state.
    ///
    /// A phase says so in each of its steps, as this is not saved.
    pub fn train_only(&mut self, among: impl Fn(&str) -> bool) {
        for slot in &mut self.slots {
            slot.trained = among(&slot.key);
        }
    }

    /// Forgets moments and counts of steps, as if it were new: for a phase that starts afresh.
    pub fn reset(&mut self) -> Result<()> {
        for slot in &mut self.slots {
            slot.state = State::new(self.rule, &slot.var)?;
        }
        Ok(())
    }

    /// Names of its networks, in their order.
    pub fn nets(&self) -> Vec<&str> {
        let mut nets: Vec<&str> = Vec::new();
        for slot in &self.slots {
            let net = slot.key.split('.').next().unwrap_or(&slot.key);
            if nets.last() != Some(&net) {
                nets.push(net);
            }
        }
        nets
    }

    /// One step down the gradient of `loss`, for loops without the runner: [`crate::Iter::minimise`]
    /// checks, records and logs as well.
    ///
    /// Faster where the loss was computed inside [`tape::record`], which is up to such a loop.
    pub fn step(&mut self, loss: &Tensor) -> Result<()> {
        let gradients = self.gradients(loss)?;
        self.apply(&gradients)
    }

    /// `NET.KEY` and gradient of each parameter, detached from the graph; none for those that are not
    /// trained now.
    pub(crate) fn gradients(&self, loss: &Tensor) -> Result<Vec<(String, Option<Tensor>)>> {
        let mut store = tape::backward(loss)?;
        let gradients = self.slots.iter().map(|slot| {
            let gradient = store.remove(&slot.var).map(|gradient| gradient.detach());
            if gradient.is_none() && slot.trained {
                bail!(
                    "the loss does not reach {}, which its update should train",
                    slot.key
                )
            }
            Ok((slot.key.clone(), gradient.filter(|_| slot.trained)))
        });
        gradients.collect()
    }

    /// One step. Each parameter counts its own steps, as in PyTorch.
    pub(crate) fn apply(&mut self, gradients: &[(String, Option<Tensor>)]) -> Result<()> {
        let lr = self.lr;
        for (slot, (_, gradient)) in self.slots.iter_mut().zip(gradients) {
            let Some(g) = gradient else { continue };
            let w = &slot.var;
            match (self.rule, &mut slot.state) {
                (
                    Rule::Adam {
                        beta1,
                        beta2,
                        eps,
                        decay,
                    },
                    State::Adam(state),
                ) => {
                    let config = optim::AdamConfig {
                        lr,
                        beta1,
                        beta2,
                        eps,
                        weight_decay: decay,
                    };
                    state.step(w, g, &config)?;
                }
                (Rule::RmsProp { alpha, eps }, State::RmsProp(state)) => {
                    state.step(w, g, &optim::RmsPropConfig { lr, alpha, eps })?;
                }
                (Rule::Sgd { momentum }, State::Sgd(state)) => {
                    state.step(w, g, &optim::SgdConfig { lr, momentum })?;
                }
                _ => bail!("the optimizer's rule was replaced by one of another kind"),
            }
        }
        Ok(())
    }
}

impl Stateful for Optimizer {
    fn save(&self, to: &mut StateWriter<'_>) -> Result<()> {
        for Slot {
            key, var, state, ..
        } in &self.slots
        {
            let mut to = to.part(key);
            match state {
                State::Adam(state) => {
                    let [m, v] = state.moments(var)?;
                    to.tensor("exp_avg", &m)?;
                    to.tensor("exp_avg_sq", &v)?;
                    to.count("step", state.steps())?;
                }
                State::RmsProp(state) => to.tensor("square_avg", &state.square_avg(var)?)?,
                // There is none before the first step with momentum.
                State::Sgd(state) => {
                    if let Some(buffer) = state.momentum_buffer(var)? {
                        to.tensor("momentum_buffer", &buffer)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn load(&mut self, from: &mut StateReader<'_>) -> Result<()> {
        for Slot {
            key, var, state, ..
        } in &mut self.slots
        {
            let mut from = from.part(key);
            match state {
                State::Adam(state) => {
                    let moments = [from.tensor("exp_avg")?, from.tensor("exp_avg_sq")?];
                    state.load(var, moments.each_ref(), from.count("step")?)?;
                }
                State::RmsProp(state) => state.load(var, &from.tensor("square_avg")?)?,
                State::Sgd(state) => {
                    *state = optim::Sgd::new();
                    if from.has("momentum_buffer") {
                        state.load(var, &from.tensor("momentum_buffer")?)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Learning rates as functions of the iteration.
pub mod schedule {
    use crate::context::Length;

    /// `lr`, falling linearly to 0 over the last part of a run, `decay` of its iterations.
    pub fn linear(lr: f64, decay: f64, length: &Length, t: u64) -> f64 {
        let falling = (decay * length.steps as f64).round() as u64;
        if falling == 0 {
            return lr;
        }
        let constant = length.steps.saturating_sub(falling);
        let left = length.steps.saturating_sub(length.clock(t).max(constant));
        lr * left as f64 / falling as f64
    }

    /// `lr / factor^t`, never below `floor`.
    pub fn exponential(lr: f64, factor: f64, floor: f64, t: u64) -> f64 {
        (lr / factor.powf(t as f64)).max(floor)
    }

    /// `lr`, multiplied by `factor` at each of these iterations.
    pub fn stepped(lr: f64, factor: f64, at: &[u64], t: u64) -> f64 {
        lr * factor.powi(at.iter().filter(|&&step| t >= step).count() as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, DataInfo, Length, Net, init, nn};
    use candle_core::{DType, Device};
    use std::collections::{BTreeMap, BTreeSet};

    /// State that is loaded replaces what was there, a momentum that does not exist yet included.
    #[test]
    fn loading_forgets_what_was_there() -> Result<()> {
        let cx = Context::new(&Device::Cpu, 1, DataInfo::unlabelled(1, 1), 1);
        let x = Tensor::ones((1, 2), DType::F32, &cx.device)?;
        let sgd = Rule::Sgd { momentum: 0.5 };
        let rms = Rule::RmsProp {
            alpha: 0.9,
            eps: 1e-8,
        };
        for rule in [Rule::adam(0.9, 0.99), rms, sgd] {
            let net = Net::new(&cx, "n", init::as_layers, |vb| nn::linear(2, 1, vb))?;
            let mut opt = Optimizer::new(rule, 0.1, &[&net.params])?;
            let mut tensors = BTreeMap::new();
            opt.save(&mut StateWriter::new(&mut tensors))?;
            let moved = |opt: &mut Optimizer| -> Result<Vec<f32>> {
                let weight = net.params.trainable().remove(0).1;
                let before = weight.copy()?.detach();
                opt.step(&net.live.forward(&x)?.sum_all()?)?;
                let change = (weight.detach() - &before)?.flatten_all()?.to_vec1();
                weight.set(&before)?;
                change
            };
            let first = moved(&mut opt)?;
            moved(&mut opt)?;
            opt.load(&mut StateReader::new(&tensors, &mut BTreeSet::new()))?;
            for (a, b) in first.iter().zip(moved(&mut opt)?) {
                assert!(
                    (a - b).abs() < 1e-6,
                    "{rule:?}: {a} at first, {b} after loading"
                );
            }
        }
        Ok(())
    }

    /// A rate that falls in the last quarter of a run, in one made longer where it stays, and in one whose
    /// schedule is reckoned anew.
    #[test]
    fn a_rate_is_reckoned_from_the_length() {
        let rates =
            |length: Length, ts: [u64; 4]| ts.map(|t| schedule::linear(8., 0.25, &length, t));
        let length = Length::of(16);
        assert_eq!(rates(length, [0, 12, 13, 15]), [8., 8., 6., 2.]);
        let held = Length {
            held_from: Some(14),
            ..length
        };
        assert_eq!(rates(held, [12, 13, 14, 40]), [8., 6., 6., 6.]);
        assert_eq!(rates(Length::of(32), [23, 24, 28, 31]), [8., 8., 4., 1.]);
        assert_eq!(schedule::linear(8., 0., &length, 99), 8.);
    }
}
