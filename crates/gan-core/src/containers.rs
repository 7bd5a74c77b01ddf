//! Weights in every container that people have them in: PyTorch's files, safetensors and this program's checkpoints.
//!
//! A file is looked at first ([`Contents::open`]): what it is and which networks it holds. Then one is taken, and of
//! nothing else are tensors made.

use crate::checkpoint::{self, Checkpoint, Header};
use crate::error::{FileError, brief};
use crate::networks::{Network, apart, choose, names, parts, within};
use crate::pth::{self, Fault, Maker, Pth, TensorAt, listed};
use crate::weights::Weights;
use candle_core::safetensors::Load;
use candle_core::{DType, Device, Tensor};
use safetensors::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Parts of a checkpoint that are no networks, by how their names begin.
const STATE: [&str; 3] = ["opt_", "pool_", "source"];
/// Parts of a checkpoint that are generators, the one that is wanted first: the average of one, one, and the one of
/// the way back.
const MAKERS: [&str; 3] = ["ema", "g", "f"];

/// A weights file that was looked at.
pub struct Contents {
    path: PathBuf,
    kind: String,
    bytes: Vec<u8>,
    networks: Vec<Network<Found>>,
    left: Vec<String>,
    storages: Option<pth::Storages>,
    header: Option<Header>,
}

/// A tensor that is made when it is taken.
#[derive(Clone)]
enum Found {
    Pth(Rc<TensorAt>),
    Safe { key: String, about: Shape },
    Made(Tensor),
}

#[derive(Clone)]
struct Shape {
    dims: Vec<usize>,
    dtype: Dtype,
}

/// What a file says of one of its networks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its name in the file, by which it is chosen; empty for one that has none.
    pub name: String,
    /// How many tensors it has.
    pub tensors: usize,
    /// How many numbers they have together.
    pub numbers: usize,
    /// The types of the numbers, each once.
    pub types: Vec<String>,
}

impl Contents {
    /// Looks at a file; of its numbers none are read yet, but a checkpoint is held to its hash.
    ///
    /// # Errors
    /// A folder; a file that is missing, cut short, damaged, of another kind, or that would run code.
    pub fn open(path: &Path) -> std::result::Result<Self, FileError> {
        if path.is_dir() {
            return Err(FileError::new(
                path,
                "is a folder, not a weights file",
                "name a file in it (a run's are in its weights/)",
            ));
        }
        let bytes = crate::whole::read_regular(path)?;
        if pth::is_one(&bytes) {
            return Self::of_pytorch(path, bytes).map_err(|fault| fault.of(path));
        }
        match checkpoint::is_one(&bytes) {
            true => Self::of_checkpoint(path, &bytes),
            false => Self::of_safetensors(path, bytes).map_err(|fault| fault.of(path)),
        }
    }

    fn of_pytorch(path: &Path, bytes: Vec<u8>) -> pth::Read<Self> {
        let Pth {
            kind,
            networks,
            left,
            storages,
        } = pth::read(&bytes)?;
        let found = |(name, tensors): (String, pth::Named)| {
            let tensors = tensors.into_iter();
            Network::new(
                name,
                tensors.map(|(key, at)| (key, Found::Pth(at))).collect(),
            )
        };
        Ok(Self {
            path: path.to_path_buf(),
            kind: kind.into(),
            bytes,
            networks: apart(networks.into_iter().map(found).collect()),
            left,
            storages: Some(storages),
            header: None,
        })
    }

    fn of_safetensors(path: &Path, bytes: Vec<u8>) -> pth::Read<Self> {
        let file = SafeTensors::deserialize(&bytes).map_err(|_| no_weights(&bytes))?;
        let mut tensors: Vec<(String, Found)> = Vec::new();
        for (key, view) in file.tensors() {
            let about = Shape {
                dims: view.shape().to_vec(),
                dtype: view.dtype(),
            };
            let found = Found::Safe {
                key: key.clone(),
                about,
            };
            tensors.push((key, found));
        }
        tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(Self {
            path: path.to_path_buf(),
            kind: "safetensors".into(),
            bytes,
            networks: apart(vec![Network::new("", tensors)]),
            left: Vec::new(),
            storages: None,
            header: None,
        })
    }

    fn of_checkpoint(path: &Path, bytes: &[u8]) -> std::result::Result<Self, FileError> {
        let checkpoint = Checkpoint::of(path, bytes)?;
        let tensors = checkpoint.tensors().iter();
        let tensors = tensors.map(|(key, tensor)| (key.clone(), Found::Made(tensor.clone())));
        let mut networks = parts(Network::new("", tensors.collect()));
        networks.retain(|network| !STATE.iter().any(|begin| network.name.starts_with(begin)));
        Ok(Self {
            path: path.to_path_buf(),
            kind: "checkpoint of this program".into(),
            bytes: Vec::new(),
            networks,
            left: Vec::new(),
            storages: None,
            header: Some(checkpoint.header),
        })
    }

    /// The container, in words.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// What a checkpoint says of its run.
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// What lies beside the networks, by name.
    pub fn left(&self) -> &[String] {
        &self.left
    }

    /// The networks.
    pub fn networks(&self) -> Vec<Held> {
        let held = |network: &Network<Found>| {
            let tensors = network.tensors.iter().map(|(_, tensor)| tensor);
            let mut types: Vec<String> = tensors.clone().map(Found::type_of).collect();
            types.sort();
            types.dedup();
            let numbers = tensors.map(|tensor| {
                let sides = tensor.dims().iter();
                sides.fold(1usize, |n, &side| n.saturating_mul(side))
            });
            Held {
                name: network.name.clone(),
                tensors: network.tensors.len(),
                numbers: numbers.fold(0, usize::saturating_add),
                types,
            }
        };
        self.networks.iter().map(held).collect()
    }

    /// The name of the network that [`Contents::take`] would take.
    ///
    /// # Errors
    /// Several networks of which any could be meant, or a name that none has.
    pub fn meant(&self, key: Option<&str>) -> std::result::Result<&str, FileError> {
        let at = self.chosen(key).map_err(|fault| fault.of(&self.path))?;
        Ok(self.networks.get(at).map_or("", |network| &network.name))
    }

    /// Takes the network of that name, or without one the generator.
    ///
    /// # Errors
    /// Several networks of which any could be meant, or a name that none has, all by name; a tensor that its file does
    /// not hold; a number that is not finite as one of 32 bits, by its tensor.
    pub fn take(&self, key: Option<&str>) -> std::result::Result<Weights, FileError> {
        let fault = |fault: Fault| fault.of(&self.path);
        let inside;
        let (network, others) = match self.chosen(key) {
            Ok(at) => (self.networks.get(at), names(&self.networks)),
            // Perhaps what the keys of a network begin with is meant.
            Err(error) => match key.and_then(|key| within(&self.networks, key)) {
                Some(network) => {
                    inside = network;
                    (Some(&inside), Vec::new())
                }
                None => return Err(fault(error)),
            },
        };
        let network = network.ok_or_else(|| fault(Fault::damaged("it holds no tensors")))?;
        let tensors = self.made(network).map_err(fault)?;
        let notes = self.notes(network, &others, &tensors);
        let weights = Weights::from_file(&self.path, tensors, self.kind.clone(), notes);
        match weights.endless() {
            Ok(None) => Ok(weights),
            Ok(Some((key, x))) => Err(FileError::new(
                &self.path,
                format!("holds a number that is not finite: {x} in {key}"),
                "its training has failed; take weights from before that",
            )),
            Err(error) => Err(FileError::new(
                &self.path,
                format!("has a tensor that cannot be read ({error})"),
                "export it again as 32-bit numbers",
            )),
        }
    }

    /// The place of the network that is meant.
    fn chosen(&self, key: Option<&str>) -> Result<usize, Fault> {
        if key.is_none() && self.header.is_some() {
            let mut makers = MAKERS.iter();
            let place = |name: &str| self.networks.iter().position(|part| part.name == name);
            if let Some(at) = makers.find_map(|name| place(name)) {
                return Ok(at);
            }
        }
        choose(&self.networks, key)
    }

    fn made(&self, network: &Network<Found>) -> pth::Read<BTreeMap<String, Tensor>> {
        let none = pth::Storages::default();
        let mut maker = Maker::new(&self.bytes, self.storages.as_ref().unwrap_or(&none));
        let file = match network.tensors.first() {
            Some((_, Found::Safe { .. })) => {
                Some(SafeTensors::deserialize(&self.bytes).map_err(|_| no_weights(&self.bytes))?)
            }
            _ => None,
        };
        let mut tensors = BTreeMap::new();
        for (key, found) in &network.tensors {
            let tensor = match found {
                Found::Made(tensor) => tensor.clone(),
                Found::Pth(at) => maker.make(key, at)?,
                Found::Safe { key: whole, about } => {
                    let view = file.as_ref().and_then(|file| file.tensor(whole).ok());
                    let made = view.and_then(|view| view.load(&Device::Cpu).ok());
                    made.ok_or_else(|| {
                        let (key, kind) = (brief(key), format!("{:?}", about.dtype));
                        Fault::new(
                            format!(
                                "holds numbers of the type {kind} in {key}, which are not read here"
                            ),
                            "export it again as 32-bit numbers",
                        )
                    })?
                }
            };
            tensors.insert(key.clone(), tensor);
        }
        Ok(tensors)
    }

    /// What is to be said of what was taken.
    fn notes(
        &self,
        network: &Network<Found>,
        all: &[String],
        tensors: &BTreeMap<String, Tensor>,
    ) -> Vec<String> {
        let mut notes = Vec::new();
        let name = brief(&network.name);
        match (&*name, all) {
            ("", _) => {}
            (name, [] | [_]) => notes.push(format!("took {name}")),
            (name, all) => notes.push(format!("took {name} of {}", listed(all))),
        }
        let is_maker = |name: &str| MAKERS.contains(&name);
        if self.header.is_some() && is_maker(&name) {
            for other in all
                .iter()
                .filter(|other| **other != name && is_maker(other))
            {
                notes.push(format!("--key {other} takes the other generator"));
            }
        }
        if !self.left.is_empty() {
            notes.push(format!("left out {}", listed(&self.left)));
        }
        if network.bare {
            notes.push("left out what PyTorch puts before every key (module.)".into());
        }
        let holds = |dtypes: &[DType]| tensors.values().any(|t| dtypes.contains(&t.dtype()));
        if holds(&[DType::F16, DType::BF16]) {
            notes.push("half precision numbers are read as 32-bit ones".into());
        }
        if holds(&[DType::F64]) {
            notes.push("64-bit numbers are read as 32-bit ones".into());
        }
        notes
    }
}

impl Found {
    fn dims(&self) -> &[usize] {
        match self {
            Found::Pth(at) => at.dims(),
            Found::Safe { about, .. } => &about.dims,
            Found::Made(tensor) => tensor.dims(),
        }
    }

    fn type_of(&self) -> String {
        match self {
            Found::Pth(at) => at.type_of(),
            Found::Safe { about, .. } => format!("{:?}", about.dtype).to_lowercase(),
            Found::Made(tensor) => tensor.dtype().as_str().to_string(),
        }
    }
}

impl Weights {
    /// Reads the generator of a file: of a file of PyTorch's (`.pth`, `.pt`), safetensors, or a checkpoint.
    ///
    /// # Errors
    /// Those of [`Contents::open`] and [`Contents::take`].
    pub fn read(path: &Path) -> std::result::Result<Self, FileError> {
        Self::read_part(path, None)
    }

    /// The same of the network with that name, where a file holds several.
    ///
    /// # Errors
    /// Those of [`Contents::open`] and [`Contents::take`].
    pub fn read_part(path: &Path, key: Option<&str>) -> std::result::Result<Self, FileError> {
        Contents::open(path)?.take(key)
    }
}

/// Says what a file is that is no weights file.
fn no_weights(bytes: &[u8]) -> Fault {
    let text = bytes.trim_ascii_start();
    if text.starts_with(b"version https://git-lfs") {
        return Fault::new(
            "is a pointer of Git LFS and not the file itself",
            "fetch the file: git lfs pull, or the page's own download",
        );
    }
    if text.starts_with(b"<") {
        return Fault::new(
            "is a web page and no weights file",
            "fetch the file itself, by the page's own download",
        );
    }
    Fault::new(
        "is neither a safetensors file nor one of PyTorch's (.pth, .pt), or is cut short",
        "fetch or export it again",
    )
}
