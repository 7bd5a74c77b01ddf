//! The names that a pickle may ask for, and what is said of all others.

use super::types::Numbers;
use super::{Fault, Read, SAVE};
use crate::error::brief;

/// What a known name stands for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Global {
    /// An ordered dict, which is one like any other here.
    Dict,
    /// A tensor of a storage, an offset, a shape and strides.
    Tensor,
    /// The same with a type of its numbers that is not its storage's.
    Typed,
    /// A call that gives its first argument: a parameter its tensor, a size its numbers.
    Same,
    /// A tensor with attributes of its own: which call makes it, its class, the arguments of the call.
    Subclass,
    /// A class of storages.
    Storage(Numbers),
    /// A type of numbers.
    Numbers(Numbers),
    /// A class of small things that lie beside networks; they are left as they are.
    Other,
}

/// What the class of a whole module is told by: the dicts in which it keeps its parameters and its parts.
const MODULE: [&str; 2] = ["_parameters", "_modules"];

/// What a name stands for; `rest` is what follows in the file.
pub(super) fn find(module: &str, name: &str, rest: &[u8]) -> Read<Global> {
    let found = match (module, name) {
        ("collections", "OrderedDict") => Some(Global::Dict),
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Some(Global::Tensor),
        ("torch._utils", "_rebuild_tensor_v3") => Some(Global::Typed),
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state")
        | ("torch", "Size") => Some(Global::Same),
        ("torch._tensor", "_rebuild_from_type_v2") => Some(Global::Subclass),
        ("torch" | "torch.cuda" | "torch.storage", _) if name.ends_with("Storage") => {
            Numbers::of_storage(name).map(Global::Storage)
        }
        ("torch", "Tensor" | "device")
        | ("torch.nn.parameter", "Parameter")
        | ("collections", "Counter")
        | ("builtins" | "__builtin__", "set" | "frozenset" | "bytearray")
        | ("_codecs", "encode")
        | ("numpy", "dtype")
        | ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar")
        // Classes of numpy's own types of numbers, as its version 2 writes them.
        | ("numpy.dtypes", _) => Some(Global::Other),
        ("torch", _) => Numbers::of_name(name).map(Global::Numbers),
        _ => None,
    };
    found.ok_or_else(|| refused(module, name, rest))
}

/// A file that holds a whole module and not its numbers alone.
pub(super) fn module(class: &str) -> Fault {
    Fault::new(
        format!(
            "holds a whole module ({class}), which only its own program could build; tensors alone are read"
        ),
        SAVE,
    )
}

/// What is said of a name that is not known.
fn refused(module_of: &str, name: &str, rest: &[u8]) -> Fault {
    let full = brief(&format!("{module_of}.{name}"));
    let holds = |what: &&str| rest.windows(what.len()).any(|part| part == what.as_bytes());
    if MODULE.iter().all(holds) {
        return module(&full);
    }
    match (module_of, name) {
        ("torch._utils", "_rebuild_qtensor") => Fault::new(
            "holds a quantized tensor, and floating point numbers are expected",
            "save its floating point numbers: t.dequantize()",
        ),
        ("torch._utils", "_rebuild_sparse_tensor" | "_rebuild_sparse_csr_tensor")
        | ("torch.serialization", "_get_layout") => Fault::new(
            "holds a sparse tensor, and dense ones are expected",
            "save it as a dense one: t.to_dense()",
        ),
        ("torch._utils", _) if name.starts_with("_rebuild_meta") => Fault::new(
            "holds a tensor without numbers (on the device meta)",
            "save the network with its numbers",
        ),
        _ => Fault::new(
            format!("asks for {full}, which is code: nothing in a weights file is run here"),
            SAVE,
        ),
    }
}
