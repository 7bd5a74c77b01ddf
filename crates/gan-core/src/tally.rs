//! What networks and their optimizers would take: counted in place of making them.

use candle_core::Shape;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts the numbers of networks that are built with it in their [`Context`](crate::Context): they have the right
/// shapes and hold nothing, so that settings whose networks no machine holds can be refused before they are made.
///
/// What is counted is there at once, in a step.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    /// Numbers of each variable, by its network and key: one that is asked for twice is one.
    variables: BTreeMap<(String, String), u64>,
    /// Numbers of the optimizers' state.
    state: u64,
    /// Numbers of the gradients of the optimizer that has most: there are those of one at a time.
    gradients: u64,
}

impl Tally {
    fn with<T>(&self, count: impl FnOnce(&mut Counts) -> T) -> T {
        count(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts a variable.
    pub(crate) fn variable(&self, net: &str, key: &str, shape: &Shape) {
        let dims = shape.dims().iter();
        let numbers = dims.fold(1u64, |numbers, &dim| numbers.saturating_mul(dim as u64));
        let name = (net.to_string(), key.to_string());
        self.with(|counts| counts.variables.insert(name, numbers));
    }

    /// Counts an optimizer over a network, which holds so many numbers for each of its.
    pub(crate) fn trained(&self, nets: &[&str], moments: u64) {
        self.with(|counts| {
            let of_nets = counts.variables.iter();
            let of_nets = of_nets.filter(|((net, _), _)| nets.contains(&net.as_str()));
            let numbers = of_nets.fold(0u64, |sum, (_, numbers)| sum.saturating_add(*numbers));
            counts.state = counts.state.saturating_add(numbers.saturating_mul(moments));
            counts.gradients = counts.gradients.max(numbers);
        });
    }

    /// Bytes of weights, of the optimizers' state and of a step's gradients.
    pub fn bytes(&self) -> u64 {
        self.with(|counts| {
            let variables = counts.variables.values();
            let weights = variables.fold(0u64, |sum, numbers| sum.saturating_add(*numbers));
            let all = weights.saturating_add(counts.state);
            all.saturating_add(counts.gradients).saturating_mul(4)
        })
    }
}
