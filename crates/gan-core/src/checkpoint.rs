//! Checkpoints: one safetensors file that holds the whole state of a run, whole or not at all.
//!
//! Tensors are named `PART.KEY`. One metadata entry, `gan`, holds JSON with the format's version,
//! paper, iteration, seed, length, configuration, the data's shape, and a SHA-256 of all of it and of every
//! tensor's name, type, shape and bytes. Nothing in the file depends on time, place or threads: equal
//! states give equal bytes. A file is written under another name, flushed to disk, then renamed.

use crate::algorithm::Algorithm;
use crate::context::Length;
use crate::data::{Data, DataInfo};
use crate::error::{FileError, cut};
use crate::source::Source;
use crate::state::{StateReader, StateWriter};
use crate::whole::write_whole;
use candle_core::{DType, Device, Result, Tensor, bail};
use safetensors::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

const FORMAT: u32 = 2;
/// The format before schedules were reckoned from the length of the run alone: it lacks the length, its
/// settings hold it, and the hash of its data is of another kind.
const OLD: u32 = 1;
const ENTRY: &str = "gan";
const SOURCE: &str = "source";

/// What a checkpoint says of the run it belongs to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Version of the format.
    pub format: u32,
    /// The paper's name.
    pub paper: String,
    /// Iterations done.
    pub iteration: u64,
    /// The run's seed.
    pub seed: u64,
    /// The length that schedules are reckoned from; none in format 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<Length>,
    /// The paper's configuration, complete.
    pub config: Value,
    /// Shape of the data.
    pub data: DataInfo,
    /// SHA-256 of the data's contents; of another kind in format 1.
    pub data_sha256: String,
    /// Hash of the above and of the tensors, in hexadecimal.
    pub sha256: String,
}

impl Header {
    /// The header of a run's checkpoints; iteration and hash are filled in when one is written.
    pub fn new(paper: &str, seed: u64, length: Length, config: &Value, data: &Data) -> Self {
        Self {
            format: FORMAT,
            paper: paper.into(),
            iteration: 0,
            seed,
            length: Some(length),
            config: config.clone(),
            data: data.info(),
            data_sha256: data.sha256(),
            sha256: String::new(),
        }
    }

    /// Whether it was written by a version before format 2.
    pub fn is_old(&self) -> bool {
        self.format == OLD
    }
}

/// All state of a run by name: parts and source.
pub fn state(
    algorithm: &mut dyn Algorithm,
    source: &dyn Source,
) -> Result<BTreeMap<String, Tensor>> {
    let mut tensors = parts(algorithm)?;
    source.save(&mut StateWriter::new(&mut tensors).part(SOURCE))?;
    Ok(tensors)
}

/// The state of a training by name, without its source.
pub fn parts(algorithm: &mut dyn Algorithm) -> Result<BTreeMap<String, Tensor>> {
    let mut tensors = BTreeMap::new();
    let mut writer = StateWriter::new(&mut tensors);
    for (name, part) in algorithm.parts() {
        part.save(&mut writer.part(name))?;
    }
    Ok(tensors)
}

/// Writes `tensors` back into the run; without a source its position is left out.
///
/// # Errors
/// Strict: a missing, left over or mis-shaped tensor; the run's state is then undefined.
pub fn restore(
    tensors: &BTreeMap<String, Tensor>,
    algorithm: &mut dyn Algorithm,
    source: Option<&mut dyn Source>,
) -> Result<()> {
    let mut used = BTreeSet::new();
    let mut reader = StateReader::new(tensors, &mut used);
    for (name, part) in algorithm.parts() {
        part.load(&mut reader.part(name))?;
    }
    let skip = match source {
        Some(source) => source.load(&mut reader.part(SOURCE)).map(|()| None)?,
        None => Some(format!("{SOURCE}.")),
    };
    let skipped = |key: &str| skip.as_ref().is_some_and(|skip| key.starts_with(skip));
    match tensors
        .keys()
        .find(|key| !used.contains(*key) && !skipped(key))
    {
        Some(key) => bail!("the saved state has {key}, which this paper does not know"),
        None => Ok(()),
    }
}

/// A tensor's bytes, little-endian.
struct Bytes {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
    /// A number that is not finite, if there is one.
    endless: Option<f64>,
}

impl Bytes {
    fn new(tensor: &Tensor) -> Result<Self> {
        // Looked for where the numbers are on the host in any case, so that a device is not waited for once more.
        let mut endless = None;
        let flat = tensor.to_device(&Device::Cpu)?.flatten_all()?;
        let (dtype, bytes) = match tensor.dtype() {
            DType::F32 => {
                let values = flat.to_vec1::<f32>()?;
                endless = values.iter().find(|x| !x.is_finite()).map(|&x| x.into());
                (
                    Dtype::F32,
                    values.iter().flat_map(|x| x.to_le_bytes()).collect(),
                )
            }
            DType::F64 => {
                let values = flat.to_vec1::<f64>()?;
                endless = values.iter().find(|x| !x.is_finite()).copied();
                (
                    Dtype::F64,
                    values.iter().flat_map(|x| x.to_le_bytes()).collect(),
                )
            }
            DType::I64 => {
                let values = flat.to_vec1::<i64>()?;
                (
                    Dtype::I64,
                    values.iter().flat_map(|x| x.to_le_bytes()).collect(),
                )
            }
            other => bail!("state of type {other:?} cannot be saved"),
        };
        Ok(Self {
            dtype,
            shape: tensor.dims().to_vec(),
            bytes,
            endless,
        })
    }
}

impl View for &Bytes {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// Hash of the header (its own hash left empty) and of all tensors, in the order of their names.
fn hash<'a>(
    header: &Header,
    tensors: impl Iterator<Item = (&'a str, Dtype, &'a [usize], &'a [u8])>,
) -> std::result::Result<String, serde_json::Error> {
    let bare = Header {
        sha256: String::new(),
        ..header.clone()
    };
    let mut hash = Sha256::new();
    let mut field = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    field(serde_json::to_string(&bare)?.as_bytes());
    for (name, dtype, shape, bytes) in tensors {
        field(name.as_bytes());
        field(format!("{dtype:?} {shape:?}").as_bytes());
        field(bytes);
    }
    Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

/// What is wrong with a checkpoint.
pub(crate) struct Fault {
    pub error: FileError,
    /// Whether it is whole as far as can be told, and of a format that only a newer version reads.
    pub newer: bool,
}

/// The JSON that a checkpoint's bytes hold, if they hold any.
fn entry(bytes: &[u8]) -> std::result::Result<Option<String>, safetensors::SafeTensorError> {
    let (_, metadata) = SafeTensors::read_metadata(bytes)?;
    let entries = metadata.metadata().as_ref();
    Ok(entries.and_then(|entries| entries.get(ENTRY)).cloned())
}

/// Whether these are a checkpoint's bytes, intact or not.
pub(crate) fn is_one(bytes: &[u8]) -> bool {
    entry(bytes).is_ok_and(|json| json.is_some())
}

/// The format of a checkpoint that a newer version has written. Looked at before all else: of what such a version
/// writes nothing but the number can be known.
fn newer(bytes: &[u8]) -> Option<u64> {
    let json = entry(bytes).ok()??;
    let header: Value = serde_json::from_str(&json).ok()?;
    let format = header.get("format")?.as_u64()?;
    (format > u64::from(FORMAT)).then_some(format)
}

/// A checkpoint read from disk and verified.
#[derive(Debug)]
pub struct Checkpoint {
    /// Where it was read from.
    pub path: PathBuf,
    /// What it says of its run.
    pub header: Header,
    tensors: BTreeMap<String, Tensor>,
}

impl Checkpoint {
    /// Writes the state of a run after `header.iteration` iterations.
    ///
    /// # Errors
    /// A state that is not finite, by part and tensor; a file that cannot be written.
    pub fn write(
        path: &Path,
        header: &Header,
        algorithm: &mut dyn Algorithm,
        source: &dyn Source,
    ) -> Result<()> {
        Self::write_or(path, header, algorithm, source, "it was not saved")
    }

    /// The same; `then` is what is to be said of a state that is not finite.
    pub(crate) fn write_or(
        path: &Path,
        header: &Header,
        algorithm: &mut dyn Algorithm,
        source: &dyn Source,
        then: &str,
    ) -> Result<()> {
        let state = state(algorithm, source)?;
        let mut tensors = BTreeMap::new();
        for (name, tensor) in &state {
            let bytes = Bytes::new(tensor)?;
            if let Some(x) = bytes.endless {
                let (part, key) = name.split_once('.').unwrap_or(("", name));
                bail!(
                    "the state after {} iterations is not finite: {key} of part {part} holds {x}; {then}; start a new \
                     run with a lower learning rate",
                    header.iteration
                )
            }
            tensors.insert(name.as_str(), bytes);
        }
        let views = tensors
            .iter()
            .map(|(name, t)| (*name, t.dtype, &t.shape[..], &t.bytes[..]));
        let header = Header {
            sha256: hash(header, views).map_err(candle_core::Error::wrap)?,
            ..header.clone()
        };
        let json = serde_json::to_string(&header).map_err(candle_core::Error::wrap)?;
        let entry = HashMap::from([(ENTRY.to_string(), json)]);
        Ok(write_whole(path, |file| {
            safetensors::serialize_to_file(&tensors, Some(entry), file).map_err(|e| match e {
                safetensors::SafeTensorError::IoError(e) => e,
                e => std::io::Error::other(e),
            })
        })?)
    }

    /// Reads and verifies a checkpoint.
    ///
    /// # Errors
    /// A file that is missing, cut short, changed anywhere, or of another format; by name.
    pub fn read(path: &Path) -> std::result::Result<Self, FileError> {
        Self::look(path).map_err(|fault| fault.error)
    }

    pub(crate) fn look(path: &Path) -> std::result::Result<Self, Fault> {
        let damaged = |error| Fault {
            error,
            newer: false,
        };
        let bytes = crate::whole::read_regular(path).map_err(damaged)?;
        Self::judged(path, &bytes)
    }

    /// Verifies a checkpoint whose bytes were read.
    ///
    /// # Errors
    /// Those of [`Checkpoint::read`].
    pub(crate) fn of(path: &Path, bytes: &[u8]) -> std::result::Result<Self, FileError> {
        Self::judged(path, bytes).map_err(|fault| fault.error)
    }

    fn judged(path: &Path, bytes: &[u8]) -> std::result::Result<Self, Fault> {
        let damaged = |error| Fault {
            error,
            newer: false,
        };
        if let Some(format) = newer(bytes) {
            let error = FileError::new(
                path,
                format!(
                    "was written by a newer version of this program (it has format {format}, this one reads {OLD} \
                     and {FORMAT})"
                ),
                "use that version, or a newer one",
            );
            return Err(Fault { error, newer: true });
        }
        Self::parse(path, bytes).map_err(|problem| {
            let error = match entry(bytes) {
                Ok(None) => FileError::new(
                    path,
                    "is no checkpoint of this program: it lacks the entry `gan`",
                    "name a file of the run's checkpoints/; networks alone cannot be trained on",
                ),
                _ => FileError::new(
                    path,
                    format!("is damaged or no checkpoint of this program ({problem})"),
                    "resume from the checkpoint before it",
                ),
            };
            damaged(error)
        })
    }

    fn parse(path: &Path, bytes: &[u8]) -> std::result::Result<Self, String> {
        let text = |e: safetensors::SafeTensorError| cut(&e.to_string(), 80);
        let file = SafeTensors::deserialize(bytes).map_err(text)?;
        let json = entry(bytes)
            .map_err(text)?
            .ok_or("it lacks the entry `gan`")?;
        let header: Header = serde_json::from_str(&json)
            .map_err(|e| format!("its entry `gan`: {}", cut(&e.to_string(), 80)))?;
        if header.is_old() == header.length.is_some() || ![OLD, FORMAT].contains(&header.format) {
            return Err(format!(
                "it has format {}, this program reads formats {OLD} and {FORMAT}",
                header.format
            ));
        }
        // Sizes are multiplied later; no picture is larger.
        let DataInfo {
            channels,
            height,
            width,
            ..
        } = header.data;
        if channels > 1 << 10 || height.max(width) > 1 << 20 {
            return Err(format!(
                "its data are pictures of {channels}x{height}x{width}"
            ));
        }
        let views: BTreeMap<_, _> = file.tensors().into_iter().collect();
        let fields = views
            .iter()
            .map(|(name, t)| (name.as_str(), t.dtype(), t.shape(), t.data()));
        let found = hash(&header, fields).map_err(|e| e.to_string())?;
        if found != header.sha256 {
            return Err("its contents do not match its hash".into());
        }
        let mut tensors = BTreeMap::new();
        for (name, view) in views {
            let dtype = DType::try_from(view.dtype()).map_err(|e| e.to_string())?;
            let tensor = Tensor::from_raw_buffer(view.data(), dtype, view.shape(), &Device::Cpu);
            tensors.insert(name, tensor.map_err(|e| e.to_string())?);
        }
        Ok(Self {
            path: path.to_path_buf(),
            header,
            tensors,
        })
    }

    /// Writes the state into the run; without a source, all but the position in the data.
    ///
    /// # Errors
    /// A state that does not fit; the run's state is then undefined.
    pub fn restore(
        &self,
        algorithm: &mut dyn Algorithm,
        source: Option<&mut dyn Source>,
    ) -> Result<()> {
        restore(&self.tensors, algorithm, source)
    }

    /// The state, by name.
    pub fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.tensors
    }
}
