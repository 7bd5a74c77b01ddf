//! What a file's object is: which of its dicts are networks, and what lies beside them.

use super::pickle::{Id, Machine, Node};
use super::{Fault, Named, Read, SAVE};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// How deep networks may lie in one another's wrappers.
const DEEPEST: usize = 8;
/// Entries that are looked at; a pickle may refer to the same dict a thousand times from a thousand others.
const MOST: usize = 1 << 21;
/// Bytes of text that count as an entry.
const TEXT: usize = 64;
/// Names that are kept of what is left out.
const NAMED: usize = 100;

/// The networks of a file.
#[derive(Default)]
pub(super) struct Tree {
    /// Names as they lie in one another, joined by points, and their tensors.
    pub(super) networks: Vec<(String, Named)>,
    /// The names of what lies beside them.
    pub(super) left: Vec<String>,
}

/// Looks for networks in an object.
///
/// # Errors
/// An object without one, by what it is.
pub(super) fn networks(machine: &Machine, root: Id) -> Read<Tree> {
    let mut walk = Walk {
        machine,
        seen: 0,
        optimizers: false,
    };
    let tree = match machine.node(root) {
        Node::Tensor(_) => {
            return Err(Fault::new(
                "holds one tensor without a name, and a network's have names",
                SAVE,
            ));
        }
        _ => walk.entries(root, "", 0)?,
    };
    if !tree.networks.is_empty() {
        return Ok(tree);
    }
    Err(match (walk.optimizers, &tree.left[..]) {
        (true, _) => Fault::new(
            "holds the state of an optimizer and no network",
            "name the file of the network itself, which training writes beside it",
        ),
        (false, []) => Fault::new("holds no tensors", SAVE),
        (false, left) => Fault::new(
            format!("holds {}, and no network", super::listed(left)),
            SAVE,
        ),
    })
}

struct Walk<'m, 'a> {
    machine: &'m Machine<'a>,
    seen: usize,
    /// Whether the state of an optimizer was seen.
    optimizers: bool,
}

impl<'a> Walk<'_, 'a> {
    /// The named entries of a dict, or the numbered ones of a list.
    fn named(&mut self, id: Id) -> Read<Vec<(Cow<'a, str>, Id)>> {
        let machine = self.machine;
        let entries: Vec<(Cow<str>, Id)> = match machine.node(id) {
            Node::Dict(pairs) => {
                let named = |(key, value): &(Id, Id)| Some((machine.key(*key)?, *value));
                pairs.iter().filter_map(named).collect()
            }
            Node::List(items) | Node::Tuple(items) => {
                let numbered = items.iter().enumerate();
                numbered
                    .map(|(i, id)| (i.to_string().into(), *id))
                    .collect()
            }
            _ => Vec::new(),
        };
        self.look(entries.len())?;
        Ok(entries)
    }

    /// Counts entries that are looked at, and text that is copied.
    fn look(&mut self, n: usize) -> Read<()> {
        self.seen = self.seen.saturating_add(n);
        match self.seen <= MOST {
            true => Ok(()),
            false => Err(Fault::new(
                "holds more names in its dicts than any network has",
                SAVE,
            )),
        }
    }

    /// The name of an entry among all of the file's.
    fn path(&mut self, path: &str, key: &str) -> Read<String> {
        let whole = match path {
            "" => key.to_string(),
            path => format!("{path}.{key}"),
        };
        self.look(whole.len() / TEXT)?;
        Ok(whole)
    }

    /// What lies under a name.
    fn entries(&mut self, id: Id, path: &str, depth: usize) -> Read<Tree> {
        let entries = self.named(id)?;
        let has = |name: &str| entries.iter().any(|(key, _)| key == name);
        if has("state") && has("param_groups") {
            self.optimizers = true;
            return Ok(Tree::default());
        }
        let (mut own, mut beside, mut under) = (Vec::new(), Vec::new(), Tree::default());
        for (key, value) in entries {
            match self.machine.node(value) {
                Node::Tensor(tensor) => {
                    self.look(key.len() / TEXT)?;
                    own.push((key.into_owned(), tensor.clone()));
                }
                Node::Dict(_) | Node::List(_) | Node::Tuple(_) if depth < DEEPEST => {
                    let path = self.path(path, &key)?;
                    let tree = self.entries(value, &path, depth + 1)?;
                    match tree.networks.is_empty() {
                        true => beside.push(path),
                        false => {
                            under.networks.extend(tree.networks);
                            under.left.extend(tree.left);
                        }
                    }
                }
                _ => beside.push(self.path(path, &key)?),
            }
        }
        // A tensor beside networks, as the mean of some pictures, makes no network of a dict of networks; nor does a
        // dict of small things beside its tensors make something else of a network.
        let below: usize = under
            .networks
            .iter()
            .map(|(_, tensors)| tensors.len())
            .sum();
        if !own.is_empty() && own.len() >= below {
            beside.extend(under.networks.into_iter().map(|(name, _)| name));
            under.networks = vec![(path.to_string(), unique(own))];
        } else {
            beside.extend(own.into_iter().map(|(key, _)| key));
        }
        under.left.extend(beside);
        under.left.truncate(NAMED);
        Ok(under)
    }
}

/// Of tensors with one name the last, as in a dict that is filled in this order.
fn unique(tensors: Named) -> Named {
    let map: BTreeMap<_, _> = tensors.into_iter().collect();
    map.into_iter().collect()
}
