//! A network over the tensors of a file: what its layers ask for is looked up, nothing is drawn first.
//!
//! What a file claims costs no memory: every tensor is compared with what the layer wants before one is made, and
//! what does not fit is stood in for by zeros that take up none.

use crate::error::cut;
use crate::weights::{Weights, is_counter};
use candle_core::{DType, Device, Result, Shape, Tensor, Var, bail};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What does not fit that an error names, where that is not too long to be read.
const NAMED: usize = 4;
const LONGEST: usize = 180;

/// The variables of a network, by their keys, in the order in which it asked for them.
pub(crate) type Vars = Arc<Mutex<Vec<(String, Var)>>>;

/// The name in a file of what a network asks for by its own.
pub(crate) type Names = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// Takes the variables of a network from a file, and notes what does not fit.
#[derive(Clone)]
pub(crate) struct Opening {
    vars: Vars,
    weights: Weights,
    names: Names,
    found: Arc<Mutex<Found>>,
}

#[derive(Default)]
struct Found {
    asked: BTreeSet<String>,
    /// Numbers that the layers have asked for.
    numbers: usize,
    missing: Vec<String>,
    misshapen: Vec<String>,
}

impl Opening {
    /// Of `weights`, whose keys are these names of the network's own, into these variables, of which there are none
    /// yet.
    pub(crate) fn new(vars: &Vars, weights: &Weights, names: Names) -> Self {
        Self {
            vars: vars.clone(),
            weights: weights.clone(),
            names,
            found: Arc::default(),
        }
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the network is built over.
    pub(crate) fn live(&self, device: &Device) -> VarBuilder<'static> {
        VarBuilder::from_backend(Box::new(self.clone()), DType::F32, device.clone())
    }

    /// Refuses a file that is not, tensor for tensor, what the network asked for; `complete` where it was built to
    /// its end.
    ///
    /// # Errors
    /// Keys that are missing, left over or of another shape or type, the first of them by name. Only PyTorch's
    /// counters `num_batches_tracked`, which no forward pass here uses, may be left over.
    pub(crate) fn refuse_misfits(&self, complete: bool) -> Result<()> {
        let found = self.found();
        let left = self.weights.keys();
        let is_left = |key: &&str| complete && !found.asked.contains(*key) && !is_counter(key);
        let left = left.filter(is_left);
        let left: Vec<String> = left.map(|key| format!("{key} is not expected")).collect();
        // The first of each kind, then all others.
        let kinds = [&found.missing, &found.misshapen, &left];
        let firsts = kinds.iter().filter_map(|kind| kind.first());
        let others = kinds.iter().flat_map(|kind| kind.iter().skip(1));
        let faults: Vec<&String> = firsts.chain(others).collect();
        if faults.is_empty() {
            return Ok(());
        }
        let mut named: Vec<String> = Vec::new();
        for fault in faults.iter().take(NAMED).map(|fault| cut(fault, LONGEST)) {
            let before: usize = named.iter().map(String::len).sum();
            if before > 0 && before + fault.len() > LONGEST {
                break;
            }
            named.push(fault);
        }
        if faults.len() > named.len() {
            named.push(format!("and {} more", faults.len() - named.len()));
        }
        bail!("the weights do not fit: {}", named.join(", "))
    }

    /// The tensor of that key, as it is wanted; else what is wrong with it.
    fn fitting(&self, key: &str, shape: &Shape) -> std::result::Result<&Tensor, String> {
        match self.weights.get(key) {
            None => Err(format!("{key} is missing")),
            Some(tensor) if tensor.shape() != shape => Err(format!(
                "{key} is {:?}, expected {:?}",
                tensor.dims(),
                shape.dims()
            )),
            Some(tensor) if !tensor.dtype().is_float() => Err(format!(
                "{key} holds {}, expected floating point numbers",
                tensor.dtype().as_str()
            )),
            Some(tensor) => Ok(tensor),
        }
    }
}

impl SimpleBackend for Opening {
    fn get(&self, shape: Shape, key: &str, _: Init, _: DType, device: &Device) -> Result<Tensor> {
        // A dimension of 0 would hide how large the others are.
        let product = |n: usize, &dim: &usize| n.checked_mul(dim).filter(|_| dim > 0);
        let numbers = shape.dims().iter().try_fold(1, product);
        let name = &(self.names)(key);
        let mut found = self.found();
        found.asked.insert(name.clone());
        found.numbers = found.numbers.saturating_add(numbers.unwrap_or(usize::MAX));
        match self.fitting(name, &shape) {
            Ok(tensor) if numbers.is_some() => {
                let tensor = tensor.to_dtype(DType::F32)?.to_device(device)?;
                let var = Var::from_tensor(&tensor)?;
                let mut vars = self.vars.lock().unwrap_or_else(PoisonError::into_inner);
                vars.push((key.to_string(), var.clone()));
                return Ok(var.as_tensor().clone());
            }
            Ok(_) => found
                .misshapen
                .push(format!("{name} is {:?} and holds no numbers", shape.dims())),
            Err(fault) if self.weights.get(name).is_none() => found.missing.push(fault),
            Err(fault) => found.misshapen.push(fault),
        }
        // Layers may copy what they are given; together they get no more than twice what the file has, which leaves
        // room to name all that is wrong with a file of which a part is missing.
        if found.numbers / 2 > self.weights.numbers() {
            bail!(
                "{name} would be {:?}, more than the file holds",
                shape.dims()
            )
        }
        Tensor::zeros((), DType::F32, device)?.broadcast_as(shape)
    }

    fn get_unchecked(&self, key: &str, _: DType, _: &Device) -> Result<Tensor> {
        bail!("{key}: asked for without a shape")
    }

    fn contains_tensor(&self, key: &str) -> bool {
        self.weights.get(&(self.names)(key)).is_some()
    }
}
