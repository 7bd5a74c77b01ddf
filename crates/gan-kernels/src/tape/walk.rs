//! The walk from a loss back to the variables, over recorded nodes and candle's stretches between.

use super::node::{Node, Origin, collect, giver};
use super::pause;
use crate::mode::{self, Mode};
use crate::sum;
use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, TensorId, bail};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

/// The gradients of the sum of `y`'s elements with respect to every variable it depends on, without
/// a graph.
///
/// Takes any graph, recorded or not, and any number of times; on a GPU it is candle's `backward`.
///
/// # Errors
/// Those of the ops; a call inside [`crate::mode::penalty`].
pub fn backward(y: &Tensor) -> Result<GradStore> {
    if y.track_op() {
        backward_from(y, &y.ones_like()?)
    } else {
        Ok(GradStore::default())
    }
}

/// As [`backward`], for a given gradient of `y`, of its shape and type: PyTorch's `y.backward(g)`.
///
/// # Errors
/// Those of [`backward`]; a gradient of another shape or type.
pub fn backward_from(y: &Tensor, gradient: &Tensor) -> Result<GradStore> {
    if y.dims() != gradient.dims() || y.dtype() != gradient.dtype() {
        bail!(
            "backward_from: a gradient {:?} of {:?} for a tensor {:?} of {:?}",
            gradient.dims(),
            gradient.dtype(),
            y.dims(),
            y.dtype()
        )
    }
    if mode::current() == Mode::Penalty {
        bail!(
            "tape::backward keeps no graph of its gradients, which a penalty differentiates: compute \
             the function inside tape::pause and call candle's backward"
        )
    }
    pause(|| {
        let mut walk = Walk::default();
        if y.is_variable() {
            walk.keep(y.id(), gradient.detach())?;
        } else if let Some(node) = giver(y) {
            let work = Work::Node(node.clone(), y.clone());
            walk.add(node.place(), work, gradient.detach())?;
        } else if y.track_op() {
            walk.add(u64::MAX, Work::Graph(y.clone()), gradient.detach())?;
        }
        while let Some((_, (work, gradient))) = walk.pending.pop_last() {
            match work {
                Work::Node(node, result) => walk.node(&node, &result, &gradient)?,
                Work::Graph(tensor) => walk.graph(&tensor, gradient)?,
            }
        }
        Ok(walk.gradients)
    })
}

/// What waits for the rest of its gradient.
enum Work {
    /// A node and its result.
    Node(Arc<Node>, Tensor),
    /// A tensor that candle's ops gave.
    Graph(Tensor),
}

#[derive(Default)]
struct Walk {
    /// By place: the last is complete, as whatever adds to a gradient has a larger place.
    pending: BTreeMap<u64, (Work, Tensor)>,
    /// Of variables.
    gradients: GradStore,
}

impl Walk {
    fn add(&mut self, place: u64, work: Work, gradient: Tensor) -> Result<()> {
        match self.pending.entry(place) {
            Entry::Vacant(entry) => {
                entry.insert((work, gradient));
            }
            Entry::Occupied(mut entry) => {
                let (_, sum) = entry.get_mut();
                *sum = sum::add(sum, &gradient)?;
            }
        }
        Ok(())
    }

    fn keep(&mut self, id: TensorId, gradient: Tensor) -> Result<()> {
        let sum = match self.gradients.get_id(id) {
            Some(before) => sum::add(before, &gradient)?,
            None => gradient,
        };
        self.gradients.insert_id(id, sum);
        Ok(())
    }

    fn node(&mut self, node: &Node, result: &Tensor, gradient: &Tensor) -> Result<()> {
        let gradients = node.backward(result, gradient)?;
        for (arg, gradient) in node.args.iter().zip(gradients) {
            let Some(gradient) = gradient.map(|g| g.detach()) else {
                continue;
            };
            let tensor = arg.tensor.clone();
            match &arg.origin {
                Origin::Constant => {}
                Origin::Variable => self.keep(tensor.id(), gradient)?,
                Origin::Node(node) => {
                    let work = Work::Node(node.clone(), tensor);
                    self.add(node.place(), work, gradient)?;
                }
                Origin::Graph(place) => self.add(*place, Work::Graph(tensor), gradient)?,
            }
        }
        Ok(())
    }

    /// Lets candle walk from `tensor` to the variables and nodes behind it.
    fn graph(&mut self, tensor: &Tensor, gradient: Tensor) -> Result<()> {
        let scalar = if tensor.device().is_cpu() {
            tensor.apply_op1(Seed(gradient))?
        } else {
            (tensor * gradient)?.sum_all()?
        };
        let (gradients, met) = collect(|| scalar.backward())?;
        for id in gradients.get_ids() {
            if let Some(gradient) = gradients.get_id(*id) {
                self.keep(*id, gradient.detach())?;
            }
        }
        for (node, result, gradient) in met {
            self.add(node.place(), Work::Node(node, result), gradient)?;
        }
        Ok(())
    }
}

/// A number, always 0, whose gradient with respect to its argument is the tensor given.
struct Seed(Tensor);

impl CustomOp1 for Seed {
    fn name(&self) -> &'static str {
        "seed"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(vec![0.]), Shape::from(())))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(self.0.clone()))
    }
}
