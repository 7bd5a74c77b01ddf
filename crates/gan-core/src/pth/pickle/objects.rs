//! What a pickle's calls and persistent names stand for: dicts, tensors, storages.

use super::{Id, Machine, Node};
use crate::pth::Read;
use crate::pth::globals::{self, Global};
use crate::pth::numbers::TensorAt;
use crate::pth::storages::Storage;
use std::borrow::Cow;
use std::rc::Rc;

impl<'a> Machine<'a> {
    /// What a call of a known name makes of its arguments.
    pub(super) fn reduce(&mut self) -> Read<()> {
        let (args, callable) = (self.pop()?, self.pop()?);
        self.call(callable, args, 0)
    }

    fn call(&mut self, callable: Id, args: Id, depth: usize) -> Read<()> {
        let Node::Global(global) = *self.node(callable) else {
            return Err(self.damaged());
        };
        let args: Vec<Id> = match self.node(args) {
            // The longest are those of tensors.
            Node::Tuple(args) if args.len() <= 16 => args.clone(),
            _ => return Err(self.damaged()),
        };
        match (global, &args[..]) {
            (Global::Dict, []) => self.push(Node::Dict(Vec::new())),
            (Global::Dict, [pairs]) => self.dict(*pairs),
            (Global::Tensor, [storage, offset, shape, strides, ..]) => {
                let tensor = self.tensor(*storage, *offset, *shape, *strides)?;
                self.push(Node::Tensor(Rc::new(tensor)))
            }
            (Global::Typed, [storage, offset, shape, strides, _, _, numbers, ..]) => {
                let mut tensor = self.tensor(*storage, *offset, *shape, *strides)?;
                match self.node(*numbers) {
                    Node::Global(Global::Numbers(numbers)) => tensor.numbers = *numbers,
                    _ => return Err(self.damaged()),
                }
                self.push(Node::Tensor(Rc::new(tensor)))
            }
            (Global::Same, [first, ..]) => {
                self.stack.push(*first);
                Ok(())
            }
            (Global::Subclass, [callable, _, args, ..]) if depth == 0 => {
                self.call(*callable, *args, 1)
            }
            (Global::Other, _) => self.push(Node::Other),
            _ => Err(self.damaged()),
        }
    }

    /// A dict of a list of pairs, as Python 2 wrote ordered ones.
    fn dict(&mut self, pairs: Id) -> Read<()> {
        let items = match self.node(pairs) {
            Node::List(items) | Node::Tuple(items) => items,
            _ => return Err(self.damaged()),
        };
        let n = items.len();
        let pair = |id: &Id| match self.node(*id) {
            Node::List(pair) | Node::Tuple(pair) => match pair[..] {
                [key, value] => Some((key, value)),
                _ => None,
            },
            _ => None,
        };
        let held: Option<Vec<(Id, Id)>> = items.iter().map(pair).collect();
        let held = held.ok_or_else(|| self.damaged())?;
        self.count(n)?;
        self.push(Node::Dict(held))
    }

    fn tensor(&self, storage: Id, offset: Id, shape: Id, strides: Id) -> Read<TensorAt> {
        let (Node::Storage(storage), Some(offset)) = (self.node(storage), self.size(offset)) else {
            return Err(self.damaged());
        };
        let (Some(shape), Some(strides)) = (self.sizes(shape), self.sizes(strides)) else {
            return Err(self.damaged());
        };
        if shape.len() != strides.len() {
            return Err(self.damaged());
        }
        Ok(TensorAt {
            numbers: storage.numbers,
            storage: storage.clone(),
            offset,
            shape,
            strides,
        })
    }

    /// A number that counts something.
    fn size(&self, id: Id) -> Option<usize> {
        match self.node(id) {
            Node::Int(n) => usize::try_from(*n).ok(),
            _ => None,
        }
    }

    fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        match self.node(id) {
            // PyTorch itself has an end at 64 dimensions.
            Node::Tuple(items) | Node::List(items) if items.len() <= 64 => {
                items.iter().map(|id| self.size(*id)).collect()
            }
            _ => None,
        }
    }

    /// The text of an object; numbers serve as keys, too.
    pub(in crate::pth) fn key(&self, id: Id) -> Option<Cow<'a, str>> {
        match self.node(id) {
            Node::Text(text) => Some(Cow::Borrowed(text)),
            Node::Int(n) => Some(n.to_string().into()),
            _ => None,
        }
    }

    /// What a persistent name stands for: a storage.
    pub(super) fn persistent(&mut self) -> Read<()> {
        let id = self.pop()?;
        let Node::Tuple(items) = self.node(id) else {
            return Err(self.damaged());
        };
        let [kind, class, key, _, size, ref view @ ..] = items[..] else {
            return Err(match items.first().map(|kind| self.node(*kind)) {
                // Before version 1.6 a module was saved with the text of its program.
                Some(Node::Text("module")) => globals::module("its class"),
                _ => self.damaged(),
            });
        };
        let (Node::Text("storage"), Node::Global(Global::Storage(numbers))) =
            (self.node(kind), self.node(class))
        else {
            return Err(self.damaged());
        };
        let (Some(key), Some(size)) = (self.key(key), self.size(size)) else {
            return Err(self.damaged());
        };
        let view = match view.first().map(|view| self.node(*view)) {
            None | Some(Node::None) => None,
            // Which storage it is a view of, where it begins in it, how long it is.
            Some(Node::Tuple(items)) => match items[..] {
                [_, offset, size] => Some((self.size(offset), self.size(size))),
                _ => Some((None, None)),
            },
            Some(_) => Some((None, None)),
        };
        let view = match view {
            None => None,
            Some((Some(offset), Some(size))) => Some((offset, size)),
            Some(_) => return Err(self.damaged()),
        };
        let storage = Rc::new(Storage {
            key: key.into_owned(),
            numbers: *numbers,
            size,
            view,
        });
        self.storages.push(storage.clone());
        self.push(Node::Storage(storage))
    }

    /// The state of an object: attributes of dicts and tensors, which are not needed.
    pub(super) fn build(&mut self) -> Read<()> {
        self.pop()?;
        match self.node(self.top()?) {
            Node::Dict(_) | Node::Tensor(_) | Node::Other => Ok(()),
            _ => Err(self.damaged()),
        }
    }
}
