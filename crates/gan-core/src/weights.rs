//! A network's weights alone: named tensors, for inference and for sharing. Files of them are opened by
//! [`crate::containers`].

use crate::error::{cut, shortened};
use crate::networks::{Network, bare};
use candle_core::{DType, Tensor};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Characters of a file's name in an error of what the file holds.
const NAME: usize = 100;
/// Characters of a key, where several are named.
const KEY: usize = 60;

/// Named tensors read from a file.
#[derive(Clone, Debug)]
pub struct Weights {
    /// Where they were read from.
    pub path: PathBuf,
    tensors: BTreeMap<String, Tensor>,
    kind: String,
    notes: Vec<String>,
}

impl Weights {
    /// The first number that is not finite as one of 32 bits, and its key.
    pub(crate) fn endless(&self) -> candle_core::Result<Option<(&str, f32)>> {
        for (key, tensor) in self.iter().filter(|(_, tensor)| tensor.dtype().is_float()) {
            let values = tensor.to_dtype(DType::F32)?.flatten_all()?;
            let values = values.to_vec1::<f32>()?;
            if let Some(&x) = values.iter().find(|x| !x.is_finite()) {
                return Ok(Some((key, x)));
            }
        }
        Ok(None)
    }

    /// Tensors that are in memory already; `path` is what errors name. What PyTorch puts before every key of a network
    /// that was trained on several devices (`module.`) or compiled is left out.
    pub fn from_tensors(path: &Path, tensors: BTreeMap<String, Tensor>) -> Self {
        let network = bare(Network::new("", tensors.into_iter().collect()));
        let tensors = network.tensors.into_iter().collect();
        Self::from_file(path, tensors, "tensors in memory".into(), Vec::new())
    }

    /// Tensors of a file, what its container is, and what is to be said of how they were taken from it.
    pub(crate) fn from_file(
        path: &Path,
        tensors: BTreeMap<String, Tensor>,
        kind: String,
        notes: Vec<String>,
    ) -> Self {
        Self {
            path: path.to_path_buf(),
            tensors,
            kind,
            notes,
        }
    }

    /// The container that they were read from, in words.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// What is to be said of how they were taken from their file, a sentence each; nothing where there was nothing to
    /// choose or to leave out.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The tensor of that key.
    pub fn get(&self, key: &str) -> Option<&Tensor> {
        self.tensors.get(key)
    }

    /// The shape of that key's tensor.
    pub fn dims(&self, key: &str) -> Option<&[usize]> {
        self.tensors.get(key).map(Tensor::dims)
    }

    /// How many numbers all tensors hold.
    pub fn numbers(&self) -> usize {
        self.tensors.values().map(Tensor::elem_count).sum()
    }

    /// The same without running statistics, which some versions of PyTorch save for norms that do not use
    /// them: instance norm.
    pub fn without_statistics(&self) -> Self {
        self.only(|key| !is_buffer(key))
    }

    /// The same with the tensors alone whose key is among these.
    pub fn only(&self, among: impl Fn(&str) -> bool) -> Self {
        let tensors = self.tensors.iter().filter(|(key, _)| among(key));
        Self {
            tensors: tensors.map(|(key, t)| (key.clone(), t.clone())).collect(),
            ..self.clone()
        }
    }

    /// The network between two of the same shapes: (1 − α)·other + α·self, number by number (Wang et al. 2018, section
    /// 3.4, where `self` is the network that a game has trained and `other` the one it began with).
    ///
    /// # Errors
    /// Other keys or shapes, naming the first that differs and the file of `other`.
    pub fn interpolated(&self, other: &Self, alpha: f64) -> candle_core::Result<Self> {
        let differs = |key: &str, found: Option<&[usize]>, wanted: Option<&[usize]>| {
            let said =
                |dims: Option<&[usize]>| dims.map_or("none".into(), |dims| format!("{dims:?}"));
            other.named(candle_core::Error::Msg(format!(
                "cannot be interpolated with {}: {} is {} here and {} there; networks of one kind and size can",
                shortened(&self.path.display().to_string(), NAME),
                cut(key, KEY),
                said(found),
                said(wanted)
            )))
        };
        let counted = |weights: &Self| weights.only(|key| !is_counter(key));
        let (of_self, of_other) = (counted(self), counted(other));
        if let Some(key) = of_other.keys().find(|key| of_self.dims(key).is_none()) {
            return Err(differs(key, of_other.dims(key), None));
        }
        let each = of_self.iter().map(|(key, own)| {
            let Some(tensor) = of_other.get(key).filter(|t| t.dims() == own.dims()) else {
                return Err(differs(key, of_other.dims(key), Some(own.dims())));
            };
            let [own, tensor] = [own, tensor].map(|tensor| tensor.to_dtype(DType::F32));
            Ok((
                key.to_string(),
                ((own? * alpha)? + (tensor? * (1. - alpha))?)?,
            ))
        });
        let tensors = each.collect::<candle_core::Result<_>>()?;
        Ok(Self {
            tensors,
            ..self.clone()
        })
    }

    /// SHA-256 of keys, shapes and values as numbers of 32 bits, in hexadecimal: the same whatever the container.
    ///
    /// # Errors
    /// Numbers that have no 32 bits.
    pub fn sha256(&self) -> candle_core::Result<String> {
        let mut sum = Sha256::new();
        for (key, tensor) in self.iter() {
            sum.update(format!("{key} {:?}\n", tensor.dims()));
            let values = tensor.to_dtype(DType::F32)?.flatten_all()?;
            for x in values.to_vec1::<f32>()? {
                sum.update(x.to_le_bytes());
            }
        }
        let bytes: [u8; 32] = sum.finalize().into();
        Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// An error of what the file holds, with the file's name before it, once.
    pub fn named(&self, error: candle_core::Error) -> candle_core::Error {
        let text = error.to_string();
        // What follows is candle's own trace.
        let text = text.lines().next().unwrap_or_default();
        let file = shortened(&self.path.display().to_string(), NAME);
        match text.starts_with(&format!("{file}: ")) {
            true => error,
            false => candle_core::Error::Msg(format!("{file}: {text}")).bt(),
        }
    }

    /// All keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The first keys, for an error that says what a file is not.
    pub fn first_keys(&self) -> String {
        let keys: Vec<String> = self.keys().take(3).map(|key| cut(key, KEY)).collect();
        keys.join(", ")
    }

    /// Keys and tensors, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(key, t)| (key.as_str(), t))
    }
}

/// PyTorch's count of batches that a norm has seen.
const COUNTER: &str = "num_batches_tracked";
/// Leaf names of what a forward pass moves and no optimizer or clip may touch.
const BUFFERS: [&str; 3] = ["running_mean", "running_var", COUNTER];

/// Whether a key is that of a counter which no forward pass here uses.
pub(crate) fn is_counter(key: &str) -> bool {
    key.ends_with(COUNTER)
}

/// Whether a key is one of those that a forward pass moves and no optimizer or clip may touch.
pub(crate) fn is_buffer(key: &str) -> bool {
    key.rsplit('.')
        .next()
        .is_some_and(|leaf| BUFFERS.contains(&leaf))
}
