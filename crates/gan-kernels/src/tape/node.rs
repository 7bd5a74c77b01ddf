//! A recorded op with its arguments, hidden from candle behind an op of one small variable.

use crate::profile::timed;
use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, DType, Device, Layout, Result, Shape, Storage,
    Tensor, TensorId, Var, bail,
};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// The op that a node stands for.
pub(super) enum Real {
    One(Box<dyn CustomOp1 + Send + Sync>),
    Two(Box<dyn CustomOp2 + Send + Sync>),
    Three(Box<dyn CustomOp3 + Send + Sync>),
}

/// Where an argument's gradient goes.
pub(super) enum Origin {
    /// Nowhere: there is no graph.
    Constant,
    Variable,
    /// To the node that gave the argument.
    Node(Arc<Node>),
    /// To candle's graph behind the argument, which is walked at this place.
    Graph(u64),
}

pub(super) struct Arg {
    pub tensor: Tensor,
    pub origin: Origin,
}

/// A recorded op. It does not hold its result, so that there is no cycle.
pub(super) struct Node {
    real: Real,
    pub args: Vec<Arg>,
    order: u64,
}

/// How many places there are in the backward walk for each recorded op.
const PLACES: u64 = 4;

impl Node {
    /// Its place in the backward walk, which goes from large to small: arguments come from before.
    pub(super) fn place(&self) -> u64 {
        self.order * PLACES + PLACES - 1
    }

    fn name(&self) -> &'static str {
        match &self.real {
            Real::One(op) => op.name(),
            Real::Two(op) => op.name(),
            Real::Three(op) => op.name(),
        }
    }

    fn forward(&self) -> Result<(CpuStorage, Shape)> {
        let held: Vec<_> = (self.args.iter())
            .map(|arg| arg.tensor.storage_and_layout())
            .collect();
        let mut views = Vec::with_capacity(held.len());
        for (storage, layout) in &held {
            let Storage::Cpu(storage) = &**storage else {
                bail!("{}: expected tensors on the CPU", self.name())
            };
            views.push((storage, *layout));
        }
        let tensors: Vec<&Tensor> = self.args.iter().map(|arg| &arg.tensor).collect();
        timed(self.name(), &tensors, || match (&self.real, &views[..]) {
            (Real::One(op), &[a]) => op.cpu_fwd(a.0, a.1),
            (Real::Two(op), &[a, b]) => op.cpu_fwd(a.0, a.1, b.0, b.1),
            (Real::Three(op), &[a, b, c]) => op.cpu_fwd(a.0, a.1, b.0, b.1, c.0, c.1),
            _ => bail!("{}: recorded with {} arguments", self.name(), views.len()),
        })
    }

    /// The gradients of the arguments from the result and its gradient.
    pub(super) fn backward(&self, result: &Tensor, g: &Tensor) -> Result<[Option<Tensor>; 3]> {
        match (&self.real, &self.args[..]) {
            (Real::One(op), [a]) => Ok([op.bwd(&a.tensor, result, g)?, None, None]),
            (Real::Two(op), [a, b]) => {
                let (da, db) = op.bwd(&a.tensor, &b.tensor, result, g)?;
                Ok([da, db, None])
            }
            (Real::Three(op), [a, b, c]) => {
                let (da, db, dc) = op.bwd(&a.tensor, &b.tensor, &c.tensor, result, g)?;
                Ok([da, db, dc])
            }
            (_, args) => bail!("{}: recorded with {} arguments", self.name(), args.len()),
        }
    }
}

/// The node as candle sees it: an op of a variable that nobody updates.
struct Hidden(Arc<Node>);

impl CustomOp1 for Hidden {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.0.forward()
    }

    /// Candle may leave out the gradient of a variable: its walk ends here.
    fn bwd(&self, _: &Tensor, result: &Tensor, g: &Tensor) -> Result<Option<Tensor>> {
        if met(&self.0, result, g) {
            return Ok(None);
        }
        bail!(
            "{}: this op was recorded by gan_kernels::tape, whose gradients come from \
             gan_kernels::tape::backward(&loss) in place of loss.backward(); compute what candle's \
             backward is to differentiate inside gan_kernels::tape::pause",
            self.0.name()
        )
    }
}

/// A node, its result and the gradient that candle brought there.
type Met = (Arc<Node>, Tensor, Tensor);

thread_local! {
    /// The nodes that candle met; none outside [`collect`].
    static MET: RefCell<Option<Vec<Met>>> = const { RefCell::new(None) };
}

/// Called where candle's walk ends at a node: whether the walk is one of ours.
fn met(node: &Arc<Node>, result: &Tensor, gradient: &Tensor) -> bool {
    MET.with_borrow_mut(|met| match met {
        Some(met) => {
            met.push((node.clone(), result.clone(), gradient.detach()));
            true
        }
        None => false,
    })
}

/// Runs one walk of candle's and returns the nodes that it met.
pub(super) fn collect<R>(walk: impl FnOnce() -> Result<R>) -> Result<(R, Vec<Met>)> {
    struct Closed;
    impl Drop for Closed {
        fn drop(&mut self) {
            MET.set(None);
        }
    }
    let _closed = Closed;
    MET.set(Some(Vec::new()));
    let result = walk()?;
    Ok((result, MET.take().unwrap_or_default()))
}

/// What is known of a tensor that recorded ops gave or took.
enum Known {
    Given(Weak<Node>),
    /// By candle, first taken at this place; and the op that took it last.
    Taken(u64, Weak<Node>),
}

impl Known {
    fn is_alive(&self) -> bool {
        let (Known::Given(node) | Known::Taken(_, node)) = self;
        node.strong_count() > 0
    }
}

/// The calling thread's known tensors: what is missing here is only found a longer way, through
/// candle's graph.
#[derive(Default)]
struct Table {
    known: HashMap<TensorId, Known>,
    /// How many entries lead to a sweep.
    full: usize,
}

const SMALL: usize = 256;

impl Table {
    fn insert(&mut self, id: TensorId, known: Known) {
        if self.known.len() >= self.full.max(SMALL) {
            self.known.retain(|_, known| known.is_alive());
            self.full = 2 * self.known.len();
        }
        self.known.insert(id, known);
    }
}

thread_local! {
    static TABLE: RefCell<Table> = RefCell::default();
    static VARIABLE: RefCell<Option<Var>> = const { RefCell::new(None) };
}

/// How many tensors the calling thread's table holds.
#[cfg(test)]
pub(super) fn known() -> usize {
    TABLE.with_borrow(|table| table.known.len())
}

/// The variable that stands for the arguments of all nodes.
fn variable() -> Result<Var> {
    VARIABLE.with_borrow_mut(|kept| match kept {
        Some(variable) => Ok(variable.clone()),
        None => Ok(kept
            .insert(Var::zeros(1, DType::F32, &Device::Cpu)?)
            .clone()),
    })
}

/// The node that gave `tensor`, if that happened in this thread.
pub(super) fn giver(tensor: &Tensor) -> Option<Arc<Node>> {
    TABLE.with_borrow(|table| match table.known.get(&tensor.id()) {
        Some(Known::Given(node)) => node.upgrade(),
        _ => None,
    })
}

/// Runs `real` on `args` and keeps it for [`super::backward`].
pub(super) fn record(real: Real, args: &[&Tensor]) -> Result<Tensor> {
    static ORDER: AtomicU64 = AtomicU64::new(0);
    let order = ORDER.fetch_add(1, Ordering::Relaxed);
    let args = args.iter().map(|&arg| {
        let position = args.iter().position(|other| other.id() == arg.id());
        Arg {
            tensor: arg.clone(),
            origin: origin(arg, order * PLACES + position.unwrap_or(0) as u64),
        }
    });
    let node = Arc::new(Node {
        real,
        args: args.collect(),
        order,
    });
    let result = variable()?.apply_op1(Hidden(node.clone()))?;
    TABLE.with_borrow_mut(|table| {
        for arg in &node.args {
            if let Origin::Graph(place) = arg.origin {
                table.insert(arg.tensor.id(), Known::Taken(place, Arc::downgrade(&node)));
            }
        }
        table.insert(result.id(), Known::Given(Arc::downgrade(&node)));
    });
    Ok(result)
}

/// A gradient of candle's graph waits for all nodes that took its tensor, and not for those before,
/// into which it may flow: its place is right before the first that took it, `place` if none did.
fn origin(arg: &Tensor, place: u64) -> Origin {
    if arg.is_variable() {
        return Origin::Variable;
    }
    if !arg.track_op() {
        return Origin::Constant;
    }
    if let Some(node) = giver(arg) {
        return Origin::Node(node);
    }
    TABLE.with_borrow(|table| match table.known.get(&arg.id()) {
        Some(Known::Taken(first, _)) => Origin::Graph(*first),
        _ => Origin::Graph(place),
    })
}
