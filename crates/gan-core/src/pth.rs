//! Weights as PyTorch saves them (`.pth`, `.pt`): the zip files of versions from 1.6 on, and the plain stream before.
//!
//! Both hold a pickle, a program for a machine that builds objects, and storages, the bare numbers. Here the machine
//! knows only what dicts of tensors need ([`pickle`], [`globals`]): what else a pickle asks for is refused by name,
//! and nothing in a file is ever run. What a file claims is compared with what it holds before anything of the
//! claimed size is made: text is a part of the file, objects are counted, and all tensors together take a small
//! multiple of the file's bytes.

mod globals;
mod legacy;
mod numbers;
mod pickle;
mod storages;
#[cfg(test)]
mod tests;
mod tree;
mod types;
mod zipped;

pub(crate) use numbers::{Maker, TensorAt};
pub(crate) use storages::Storages;

use crate::error::{FileError, cut};
use pickle::{Id, Machine};
use std::path::Path;
use std::rc::Rc;
use tree::Tree;

/// What is wrong with a file, and what can be done about it.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) problem: String,
    pub(crate) remedy: String,
}

impl Fault {
    pub(crate) fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// A file whose parts do not fit together, for which there is no better name.
    pub(crate) fn damaged(what: impl std::fmt::Display) -> Self {
        Self::new(format!("is damaged: {what}"), "fetch or export it again")
    }

    /// A file that ends too early.
    pub(crate) fn short(what: impl std::fmt::Display) -> Self {
        Self::new(
            format!("is cut short: {what}"),
            "fetch it again, to its end",
        )
    }

    /// The error of the file at `path`.
    pub(crate) fn of(self, path: &Path) -> FileError {
        FileError::new(path, self.problem, self.remedy)
    }
}

/// Tensors and their names.
pub(crate) type Named = Vec<(String, Rc<TensorAt>)>;

/// The result of reading a part of a file.
pub(crate) type Read<T> = std::result::Result<T, Fault>;

/// The remedy wherever a file holds more than numbers.
const SAVE: &str = "save its numbers alone: torch.save(net.state_dict(), FILE)";

/// What a file of PyTorch's holds.
pub(crate) struct Pth {
    /// The container, in words.
    pub(crate) kind: &'static str,
    /// Its networks: names as they lie in one another, joined by points, and their tensors.
    pub(crate) networks: Vec<(String, Named)>,
    /// What lies beside them.
    pub(crate) left: Vec<String>,
    /// Where the numbers are.
    pub(crate) storages: Storages,
}

/// Whether these bytes begin as files of PyTorch's do; archives of other kinds are told apart by [`read`].
pub(crate) fn is_one(bytes: &[u8]) -> bool {
    zipped::is_zip(bytes) || legacy::is_pickle(bytes) || legacy::is_tar(bytes)
}

/// Reads what a file holds; of the storages nothing but where they are.
///
/// # Errors
/// A file of another kind, damaged, or that holds what is not read here; see [`pickle`].
pub(crate) fn read(bytes: &[u8]) -> Read<Pth> {
    if zipped::is_zip(bytes) {
        let (pickle, storages) = zipped::open(bytes)?;
        let mut machine = Machine::new(&pickle);
        let root = machine.pickle()?;
        return found("PyTorch's zip format", &machine, root, storages);
    }
    let (machine, root, storages) = legacy::read(bytes)?;
    found(
        "PyTorch's format before version 1.6",
        &machine,
        root,
        storages,
    )
}

fn found(kind: &'static str, machine: &Machine, root: Id, storages: Storages) -> Read<Pth> {
    let Tree { networks, left } = tree::networks(machine, root)?;
    Ok(Pth {
        kind,
        networks,
        left,
        storages,
    })
}

/// Some names, the first of them in full.
pub(crate) fn listed(names: &[String]) -> String {
    const NAMED: usize = 6;
    let mut listed: Vec<String> = names.iter().take(NAMED).map(|name| cut(name, 40)).collect();
    if names.len() > NAMED {
        listed.push(format!("and {} more", names.len() - NAMED));
    }
    listed.join(", ")
}
