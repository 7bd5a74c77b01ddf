//! A network's weights alone, as one safetensors file: for inference and for sharing.

use crate::error::FileError;
use candle_core::{Device, Tensor};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What PyTorch puts before every key of a network that was trained on several devices.
const WRAPPER: &str = "module.";

/// Named tensors read from a file.
#[derive(Clone, Debug)]
pub struct Weights {
    /// Where they were read from.
    pub path: PathBuf,
    tensors: BTreeMap<String, Tensor>,
}

impl Weights {
    /// Reads a safetensors file.
    ///
    /// # Errors
    /// A file that is missing, truncated or of another format.
    pub fn read(path: &Path) -> std::result::Result<Self, FileError> {
        let bytes = crate::whole::read_regular(path)?;
        let tensors =
            candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).map_err(|_| {
                FileError::new(
                    path,
                    "is not a safetensors file, or is cut short",
                    "fetch or export it again",
                )
            })?;
        Ok(Self::from_tensors(path, tensors.into_iter().collect()))
    }

    /// Tensors that are in memory already; `path` is what errors name. A `module.` before every key, as
    /// PyTorch writes it for networks trained on several devices, is left out.
    pub fn from_tensors(path: &Path, tensors: BTreeMap<String, Tensor>) -> Self {
        let wrapped = tensors.keys().all(|key| key.starts_with(WRAPPER));
        let tensors = match wrapped {
            false => tensors,
            true => tensors
                .into_iter()
                .map(|(key, t)| (key.trim_start_matches(WRAPPER).to_string(), t))
                .collect(),
        };
        Self {
            path: path.to_path_buf(),
            tensors,
        }
    }

    /// The tensor of that key.
    pub fn get(&self, key: &str) -> Option<&Tensor> {
        self.tensors.get(key)
    }

    /// The shape of that key's tensor.
    pub fn dims(&self, key: &str) -> Option<&[usize]> {
        self.tensors.get(key).map(Tensor::dims)
    }

    /// The same without running statistics, which some versions of PyTorch save for norms that do not use
    /// them: instance norm.
    pub fn without_statistics(&self) -> Self {
        let tensors = self.tensors.iter().filter(|(key, _)| !is_buffer(key));
        Self {
            path: self.path.clone(),
            tensors: tensors.map(|(key, t)| (key.clone(), t.clone())).collect(),
        }
    }

    /// All keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The first keys, for an error that says what a file is not.
    pub fn first_keys(&self) -> String {
        let keys: Vec<&str> = self.keys().take(3).collect();
        keys.join(", ")
    }

    /// Keys and tensors, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(key, t)| (key.as_str(), t))
    }
}

/// Leaf names of what a forward pass moves and no optimizer or clip may touch.
const BUFFERS: [&str; 3] = ["running_mean", "running_var", "num_batches_tracked"];

/// Whether a key is one of those that a forward pass moves and no optimizer or clip may touch.
pub(crate) fn is_buffer(key: &str) -> bool {
    key.rsplit('.')
        .next()
        .is_some_and(|leaf| BUFFERS.contains(&leaf))
}
