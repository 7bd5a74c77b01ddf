//! What can be saved into a checkpoint and loaded from it: named tensors under the part's prefix.

use crate::params::Params;
use candle_core::{DType, Device, Result, Tensor, Var, bail};
use std::collections::{BTreeMap, BTreeSet};

/// Something with state. Loading writes into the storage that exists.
pub trait Stateful {
    /// Writes the whole state.
    fn save(&self, to: &mut StateWriter<'_>) -> Result<()>;
    /// Reads what [`Stateful::save`] wrote; an error may leave a part of the state changed.
    fn load(&mut self, from: &mut StateReader<'_>) -> Result<()>;
    /// The parameters, when this is a network.
    fn params(&self) -> Option<&Params> {
        None
    }
}

/// Collects named tensors. They share storage with the run: serialise them before the next step.
#[derive(Debug)]
pub struct StateWriter<'a> {
    prefix: String,
    out: &'a mut BTreeMap<String, Tensor>,
}

impl<'a> StateWriter<'a> {
    /// A writer without a prefix.
    pub fn new(out: &'a mut BTreeMap<String, Tensor>) -> Self {
        Self {
            prefix: String::new(),
            out,
        }
    }

    /// A writer whose keys start with `name.`.
    pub fn part(&mut self, name: &str) -> StateWriter<'_> {
        StateWriter {
            prefix: format!("{}{name}.", self.prefix),
            out: self.out,
        }
    }

    /// Writes a tensor; a key that was written before is an error.
    pub fn tensor(&mut self, key: &str, value: &Tensor) -> Result<()> {
        let key = format!("{}{key}", self.prefix);
        if self.out.contains_key(&key) {
            bail!("the state's key {key} is written twice")
        }
        self.out.insert(key, value.detach());
        Ok(())
    }

    /// Writes a whole number.
    pub fn count(&mut self, key: &str, value: u64) -> Result<()> {
        self.tensor(key, &Tensor::new(&[value as i64], &Device::Cpu)?)
    }
}

/// Hands out named tensors and remembers which were asked for.
#[derive(Debug)]
pub struct StateReader<'a> {
    prefix: String,
    tensors: &'a BTreeMap<String, Tensor>,
    used: &'a mut BTreeSet<String>,
}

impl<'a> StateReader<'a> {
    /// A reader without a prefix; `used` collects the keys that were read.
    pub fn new(tensors: &'a BTreeMap<String, Tensor>, used: &'a mut BTreeSet<String>) -> Self {
        Self {
            prefix: String::new(),
            tensors,
            used,
        }
    }

    /// A reader whose keys start with `name.`.
    pub fn part(&mut self, name: &str) -> StateReader<'_> {
        StateReader {
            prefix: format!("{}{name}.", self.prefix),
            tensors: self.tensors,
            used: self.used,
        }
    }

    /// Whether there is a tensor of that key.
    pub fn has(&self, key: &str) -> bool {
        self.tensors.contains_key(&format!("{}{key}", self.prefix))
    }

    /// The tensor of that key.
    pub fn tensor(&mut self, key: &str) -> Result<Tensor> {
        let key = format!("{}{key}", self.prefix);
        let Some(tensor) = self.tensors.get(&key) else {
            bail!("the saved state lacks {key}")
        };
        let tensor = tensor.clone();
        self.used.insert(key);
        Ok(tensor)
    }

    /// Reads into an existing variable of the same shape and type.
    pub fn var(&mut self, key: &str, var: &Var) -> Result<()> {
        let tensor = self.tensor(key)?;
        if tensor.shape() != var.shape() || tensor.dtype() != var.dtype() {
            bail!(
                "the saved {}{key} is {:?} {:?}, expected {:?} {:?}",
                self.prefix,
                tensor.dtype(),
                tensor.shape(),
                var.dtype(),
                var.shape()
            )
        }
        var.set(&tensor.to_device(var.device())?)
    }

    /// Reads a whole number.
    pub fn count(&mut self, key: &str) -> Result<u64> {
        let tensor = self.tensor(key)?;
        if tensor.dtype() != DType::I64 || tensor.dims() != [1] {
            bail!("the saved {}{key} is not one whole number", self.prefix)
        }
        match tensor.to_vec1::<i64>()?.first() {
            Some(&value) if value >= 0 => Ok(value as u64),
            other => bail!(
                "the saved {}{key} is {other:?}, expected a count",
                self.prefix
            ),
        }
    }
}
