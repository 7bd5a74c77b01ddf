//! PyTorch's files before version 1.6: four pickles (a number that only these files have, a version, what the machine
//! was like, the object), a fifth with the names of the storages, then each of those: its length and its numbers.

use super::pickle::{Id, Machine, Node};
use super::storages::{Place, Storage, Storages};
use super::zipped::big_endian;
use super::{Fault, Read};
use crate::error::brief;
use std::collections::HashMap;

/// The number that these files begin with.
const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;
/// The version of the format, the only one there was.
const VERSION: i128 = 1001;

/// Whether these bytes begin as a pickle does: one of protocol 2 or later, or the number itself in protocol 1.
pub(super) fn is_pickle(bytes: &[u8]) -> bool {
    matches!(bytes, [0x80, 0..=5, ..]) || bytes.starts_with(b"L119547037146038801333356")
}

/// Whether these bytes begin as a tar archive does, in which the very first versions saved.
pub(super) fn is_tar(bytes: &[u8]) -> bool {
    bytes.get(257..262) == Some(b"ustar")
}

/// What a file holds: its objects, the number of the one that was saved, and where the storages are.
pub(super) fn read(bytes: &[u8]) -> Read<(Machine<'_>, Id, Storages)> {
    if is_tar(bytes) {
        return Err(Fault::new(
            "is a tar archive; PyTorch before version 0.1.11 saved in such, and others do",
            "if it holds weights, load it with PyTorch and save them with torch.save",
        ));
    }
    let mut machine = Machine::new(bytes);
    let first = machine.pickle()?;
    if !matches!(machine.node(first), Node::Int(MAGIC)) {
        return Err(Fault::new(
            "is a pickle that torch.save did not write",
            "save the tensors with torch.save, or as safetensors",
        ));
    }
    let version = machine.pickle()?;
    match machine.node(version) {
        Node::Int(VERSION) => {}
        Node::Int(other) => {
            let problem = format!("has version {other} of PyTorch's format, expected {VERSION}");
            return Err(Fault::new(problem, "save it with torch.save as it comes"));
        }
        _ => return Err(Fault::damaged("it has no version")),
    }
    let system = machine.pickle()?;
    if !is_little(&machine, system) {
        return Err(big_endian());
    }
    let root = machine.pickle()?;
    let keys = machine.pickle()?;
    let storages = storages(bytes, &machine, keys)?;
    Ok((machine, root, storages))
}

/// Whether the machine that wrote the file had the lowest byte first; all but a few do.
fn is_little(machine: &Machine, system: Id) -> bool {
    let Node::Dict(entries) = machine.node(system) else {
        return true;
    };
    !entries.iter().any(|(key, value)| {
        matches!(machine.node(*key), Node::Text("little_endian"))
            && matches!(machine.node(*value), Node::Bool(false))
    })
}

/// Where the storages are; each is as long as the type of its numbers, which the pickles before name, and its own
/// count of them say.
fn storages(bytes: &[u8], machine: &Machine, keys: Id) -> Read<Storages> {
    let Node::List(keys) = machine.node(keys) else {
        return Err(Fault::damaged("the names of its storages are not there"));
    };
    let known = machine.storages().iter();
    let known: HashMap<&str, &Storage> = known.map(|at| (at.key.as_str(), &**at)).collect();
    let mut storages = Storages {
        folder: "storage ".into(),
        ..Storages::default()
    };
    let mut at = machine.at();
    for key in keys {
        let key = machine.key(*key);
        let key = key.ok_or_else(|| Fault::damaged("a storage has no name"))?;
        let name = brief(&key);
        let Some(storage) = known.get(&*key) else {
            return Err(Fault::damaged(format!(
                "the storage {name} belongs to no tensor"
            )));
        };
        let end = || Fault::short(format!("the storage {name} would end after the file"));
        let (count, rest) = bytes
            .get(at..)
            .and_then(|rest| rest.split_first_chunk::<8>())
            .ok_or_else(end)?;
        let count = usize::try_from(i64::from_le_bytes(*count));
        let count = count
            .map_err(|_| Fault::damaged(format!("the storage {name} has a length below 0")))?;
        let length = count.checked_mul(storage.numbers.bytes());
        let length = length.filter(|&n| n <= rest.len()).ok_or_else(end)?;
        let place = Place {
            start: at + 8,
            length,
            unpacked: None,
            sum: None,
        };
        storages.places.insert(key.into_owned(), place);
        at = at + 8 + length;
    }
    Ok(storages)
}
