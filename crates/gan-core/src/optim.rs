//! Adam, RMSProp and SGD with momentum, by PyTorch's formulas, and schedules of the learning rate.
//!
//! On the CPU an update is one pass over parameter, gradient and moments, in place; elsewhere it is
//! composed of tensor operations. Both are compared with PyTorch's recorded steps.

use crate::params::Params;
use crate::state::{StateReader, StateWriter, Stateful};
use candle_core::{CpuStorage, Device, InplaceOp2, Layout, Result, Tensor, Var, bail};
use std::cell::RefCell;

/// How an optimizer turns a gradient g into a change of the weight w.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Adam (Kingma & Ba 2015, Algorithm 1):
    /// m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², w ← w − lr·m̂/(√v̂ + ε).
    Adam {
        /// β₁
        beta1: f64,
        /// β₂
        beta2: f64,
        /// ε
        eps: f64,
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
    /// Adam with ε = 1e-8.
    pub fn adam(beta1: f64, beta2: f64) -> Self {
        Rule::Adam {
            beta1,
            beta2,
            eps: 1e-8,
        }
    }

    /// Names of the moments, as PyTorch's state has them.
    fn moments(self) -> &'static [&'static str] {
        match self {
            Rule::Adam { .. } => &["exp_avg", "exp_avg_sq"],
            Rule::RmsProp { .. } => &["square_avg"],
            Rule::Sgd { .. } => &["momentum_buffer"],
        }
    }
}

/// A parameter's moments: plain numbers beside the CPU's weights, tensors elsewhere.
#[derive(Debug)]
enum Moments {
    Host(Vec<Vec<f32>>),
    Device(Vec<Tensor>),
}

/// One parameter with its state.
#[derive(Debug)]
struct Slot {
    key: String,
    var: Var,
    moments: Moments,
    steps: u64,
}

/// An optimizer over the parameters of one network or several.
#[derive(Debug)]
pub struct Optimizer {
    /// The rule; a schedule may change its numbers between steps, not its kind.
    pub rule: Rule,
    /// The learning rate; a schedule may set it before each step.
    pub lr: f64,
    slots: Vec<Slot>,
    partial: bool,
}

impl Optimizer {
    /// Over everything trainable in `nets`; moments start at zero.
    pub fn new(rule: Rule, lr: f64, nets: &[&Params]) -> Result<Self> {
        let mut slots: Vec<Slot> = Vec::new();
        for net in nets {
            for (key, var) in net.trainable() {
                let key = format!("{}.{key}", net.name());
                if slots.iter().any(|slot| slot.key == key) {
                    bail!("an optimizer was given {key} twice")
                }
                let count = rule.moments().len();
                let moments = if var.device().is_cpu() {
                    Moments::Host(vec![vec![0.; var.elem_count()]; count])
                } else {
                    Moments::Device(vec![var.zeros_like()?.detach(); count])
                };
                slots.push(Slot {
                    key,
                    var,
                    moments,
                    steps: 0,
                });
            }
        }
        Ok(Self {
            rule,
            lr,
            slots,
            partial: false,
        })
    }

    /// Allows losses that do not reach every parameter; those that they do not reach stay as they are.
    pub fn partial(mut self) -> Self {
        self.partial = true;
        self
    }

    /// `NET.KEY` and gradient of each parameter, detached from the graph.
    pub(crate) fn gradients(&self, loss: &Tensor) -> Result<Vec<(String, Option<Tensor>)>> {
        let mut store = loss.backward()?;
        let gradients = self.slots.iter().map(|slot| {
            let gradient = store.remove(&slot.var).map(|gradient| gradient.detach());
            if gradient.is_none() && !self.partial {
                bail!(
                    "the loss does not reach {}, which its update should train",
                    slot.key
                )
            }
            Ok((slot.key.clone(), gradient))
        });
        gradients.collect()
    }

    /// One step. Each parameter counts its own steps, as in PyTorch.
    pub(crate) fn apply(&mut self, gradients: &[(String, Option<Tensor>)]) -> Result<()> {
        for (slot, (_, gradient)) in self.slots.iter_mut().zip(gradients) {
            let Some(gradient) = gradient else { continue };
            slot.steps += 1;
            let scaled = Scaled::new(self.rule, self.lr, slot.steps);
            match &mut slot.moments {
                Moments::Host(moments) => {
                    let fused = Fused {
                        scaled,
                        moments: RefCell::new(moments),
                    };
                    slot.var.inplace_op2(&gradient.contiguous()?, &fused)?;
                }
                Moments::Device(moments) => composed(&scaled, &slot.var, moments, gradient)?,
            }
        }
        Ok(())
    }
}

impl Stateful for Optimizer {
    fn save(&self, to: &mut StateWriter<'_>) -> Result<()> {
        for slot in &self.slots {
            for (i, name) in self.rule.moments().iter().enumerate() {
                let key = format!("{}.{name}", slot.key);
                match &slot.moments {
                    Moments::Host(moments) => {
                        let values = moments.get(i).map_or(&[][..], |values| values);
                        to.tensor(
                            &key,
                            &Tensor::from_slice(values, slot.var.shape(), &Device::Cpu)?,
                        )?;
                    }
                    Moments::Device(moments) => {
                        if let Some(moment) = moments.get(i) {
                            to.tensor(&key, moment)?;
                        }
                    }
                }
            }
            to.count(&format!("{}.step", slot.key), slot.steps)?;
        }
        Ok(())
    }

    fn load(&mut self, from: &mut StateReader<'_>) -> Result<()> {
        for slot in &mut self.slots {
            for (i, name) in self.rule.moments().iter().enumerate() {
                let saved = from.tensor(&format!("{}.{name}", slot.key))?;
                if saved.shape() != slot.var.shape() {
                    bail!(
                        "the saved {}.{name} is {:?}, expected {:?}",
                        slot.key,
                        saved.shape(),
                        slot.var.shape()
                    )
                }
                match &mut slot.moments {
                    Moments::Host(moments) => {
                        if let Some(moment) = moments.get_mut(i) {
                            *moment = saved.flatten_all()?.to_vec1()?;
                        }
                    }
                    Moments::Device(moments) => {
                        if let Some(moment) = moments.get_mut(i) {
                            *moment = saved.to_device(slot.var.device())?;
                        }
                    }
                }
            }
            slot.steps = from.count(&format!("{}.step", slot.key))?;
        }
        Ok(())
    }
}

/// The rule's numbers for one step, bias corrections included.
enum Scaled {
    Adam {
        beta1: f64,
        beta2: f64,
        eps: f64,
        /// lr / (1 − β₁ᵗ)
        step: f64,
        /// √(1 − β₂ᵗ)
        root: f64,
    },
    RmsProp {
        alpha: f64,
        eps: f64,
        lr: f64,
    },
    Sgd {
        momentum: f64,
        lr: f64,
    },
}

impl Scaled {
    fn new(rule: Rule, lr: f64, steps: u64) -> Self {
        match rule {
            Rule::Adam { beta1, beta2, eps } => {
                let correction = |beta: f64| 1. - beta.powf(steps as f64);
                Scaled::Adam {
                    beta1,
                    beta2,
                    eps,
                    step: lr / correction(beta1),
                    root: correction(beta2).sqrt(),
                }
            }
            Rule::RmsProp { alpha, eps } => Scaled::RmsProp { alpha, eps, lr },
            Rule::Sgd { momentum } => Scaled::Sgd { momentum, lr },
        }
    }
}

/// One pass over weight, gradient and moments, in place.
struct Fused<'a> {
    scaled: Scaled,
    moments: RefCell<&'a mut Vec<Vec<f32>>>,
}

impl InplaceOp2 for Fused<'_> {
    fn name(&self) -> &'static str {
        "optimizer"
    }

    fn cpu_fwd(
        &self,
        w: &mut CpuStorage,
        w_layout: &Layout,
        g: &CpuStorage,
        g_layout: &Layout,
    ) -> Result<()> {
        let (CpuStorage::F32(w), CpuStorage::F32(g)) = (w, g) else {
            bail!("the optimizers take f32 weights and gradients")
        };
        let (Some((w0, w1)), Some((g0, g1))) =
            (w_layout.contiguous_offsets(), g_layout.contiguous_offsets())
        else {
            bail!("the optimizers take contiguous weights and gradients")
        };
        let (Some(w), Some(g)) = (w.get_mut(w0..w1), g.get(g0..g1)) else {
            bail!("a weight or gradient lies outside its storage")
        };
        let mut moments = self.moments.borrow_mut();
        match (&self.scaled, &mut moments[..]) {
            (
                &Scaled::Adam {
                    beta1,
                    beta2,
                    eps,
                    step,
                    root,
                },
                [m, v],
            ) => {
                let (new1, keep2, new2) = ((1. - beta1) as f32, beta2 as f32, (1. - beta2) as f32);
                let (eps, step, root) = (eps as f32, step as f32, root as f32);
                for (((w, &g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
                    *m += (g - *m) * new1;
                    *v = *v * keep2 + g * g * new2;
                    *w -= step * *m / (v.sqrt() / root + eps);
                }
            }
            (&Scaled::RmsProp { alpha, eps, lr }, [v]) => {
                let (keep, new) = (alpha as f32, (1. - alpha) as f32);
                let (eps, lr) = (eps as f32, lr as f32);
                for ((w, &g), v) in w.iter_mut().zip(g).zip(v) {
                    *v = *v * keep + g * g * new;
                    *w -= lr * g / (v.sqrt() + eps);
                }
            }
            (&Scaled::Sgd { momentum, lr }, [v]) => {
                let (momentum, lr) = (momentum as f32, lr as f32);
                for ((w, &g), v) in w.iter_mut().zip(g).zip(v) {
                    *v = *v * momentum + g;
                    *w -= lr * *v;
                }
            }
            _ => bail!("the optimizer's rule was replaced by one of another kind"),
        }
        Ok(())
    }
}

/// The same by tensor operations.
fn composed(scaled: &Scaled, w: &Var, moments: &mut [Tensor], g: &Tensor) -> Result<()> {
    let moved = match (scaled, moments) {
        (
            Scaled::Adam {
                beta1,
                beta2,
                eps,
                step,
                root,
            },
            [m, v],
        ) => {
            *m = ((&*m * *beta1)? + (g * (1. - beta1))?)?;
            *v = ((&*v * *beta2)? + (g.sqr()? * (1. - beta2))?)?;
            ((&*m * *step)? / ((v.sqrt()? / *root)? + *eps)?)?
        }
        (Scaled::RmsProp { alpha, eps, lr }, [v]) => {
            *v = ((&*v * *alpha)? + (g.sqr()? * (1. - alpha))?)?;
            ((g * *lr)? / (v.sqrt()? + *eps)?)?
        }
        (Scaled::Sgd { momentum, lr }, [v]) => {
            *v = ((&*v * *momentum)? + g)?;
            (&*v * *lr)?
        }
        _ => bail!("the optimizer's rule was replaced by one of another kind"),
    };
    w.set(&(w.detach() - moved)?)
}

/// Learning rates as functions of the iteration.
pub mod schedule {
    /// `lr` for `constant` iterations, then falling linearly to 0 over `decay` more.
    pub fn linear(lr: f64, constant: u64, decay: u64, t: u64) -> f64 {
        let left = (constant + decay).saturating_sub(t.max(constant));
        lr * left as f64 / decay.max(1) as f64
    }

    /// `lr / factor^t`, never below `floor`.
    pub fn exponential(lr: f64, factor: f64, floor: f64, t: u64) -> f64 {
        (lr / factor.powf(t as f64)).max(floor)
    }

    /// `lr`, halved at each of these iterations.
    pub fn halved(lr: f64, at: &[u64], t: u64) -> f64 {
        lr * 0.5f64.powi(at.iter().filter(|&&step| t >= step).count() as i32)
    }
}
