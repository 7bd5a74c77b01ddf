//! A network's weights alone, as one safetensors file: for inference and for sharing.

use crate::error::{FileError, shortened};
use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What PyTorch puts before every key of a network that was trained on several devices.
const WRAPPER: &str = "module.";
/// Characters of a file's name in an error of what the file holds.
const NAME: usize = 100;

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
    /// A folder; a file that is missing, truncated or of another format; a number that is not finite as one of 32
    /// bits, by its tensor.
    pub fn read(path: &Path) -> std::result::Result<Self, FileError> {
        if path.is_dir() {
            let remedy = "name a file in it (a run's are in its weights/)";
            return Err(FileError::new(
                path,
                "is a folder, not a weights file",
                remedy,
            ));
        }
        let bytes = crate::whole::read_regular(path)?;
        let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
            .map_err(|_| no_safetensors(path, &bytes))?;
        drop(bytes);
        let weights = Self::from_tensors(path, tensors.into_iter().collect());
        match weights.endless() {
            Ok(None) => Ok(weights),
            Ok(Some((key, x))) => Err(FileError::new(
                path,
                format!("holds a number that is not finite: {x} in {key}"),
                "its training has failed; take weights from before that",
            )),
            Err(error) => Err(FileError::new(
                path,
                format!("has a tensor that cannot be read ({error})"),
                "export it again as 32-bit numbers",
            )),
        }
    }

    /// The first number that is not finite as one of 32 bits, and its key.
    fn endless(&self) -> candle_core::Result<Option<(&str, f32)>> {
        for (key, tensor) in self.iter().filter(|(_, tensor)| tensor.dtype().is_float()) {
            let values = tensor.to_dtype(DType::F32)?.flatten_all()?;
            let values = values.to_vec1::<f32>()?;
            if let Some(&x) = values.iter().find(|x| !x.is_finite()) {
                return Ok(Some((key, x)));
            }
        }
        Ok(None)
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

    /// How many numbers all tensors hold.
    pub fn numbers(&self) -> usize {
        self.tensors.values().map(Tensor::elem_count).sum()
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
        let keys: Vec<&str> = self.keys().take(3).collect();
        keys.join(", ")
    }

    /// Keys and tensors, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(key, t)| (key.as_str(), t))
    }
}

/// How PyTorch's own files begin: a zip file with a pickle in it, or, before 2020, a pickle.
const PYTORCH: [&[u8]; 2] = [b"PK\x03\x04", b"\x80\x02"];

/// Says what a file is that is no safetensors file.
fn no_safetensors(path: &Path, bytes: &[u8]) -> FileError {
    match PYTORCH.iter().any(|begin| bytes.starts_with(begin)) {
        true => FileError::new(
            path,
            "is a file of PyTorch's own kind (.pth, .pt), not a safetensors file",
            "convert it: python3 -c \"import torch as t, safetensors.torch as s; \
             s.save_file(t.load('IN.pth', map_location='cpu'), 'OUT.safetensors')\"",
        ),
        false if SafeTensors::deserialize(bytes).is_ok() => FileError::new(
            path,
            "holds tensors of a type that is not read here",
            "export it again as 32-bit numbers",
        ),
        false => FileError::new(
            path,
            "is not a safetensors file, or is cut short",
            "fetch or export it again",
        ),
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
