//! The pickle machine: a stack, a memo and objects, which are read and never run.
//!
//! It knows the instructions that Python writes for dicts, lists, numbers, text and tensors, of all protocols.
//! Objects stand in one list and refer to each other by their number, so that nothing is copied when a pickle refers
//! to it twice, and a circle harms nobody. Objects, marks, places of the memo and what is copied from one object into another are counted together,
//! and there is a limit for all of them.

use super::globals::{self, Global};
use super::numbers::TensorAt;
use super::storages::Storage;
use super::{Fault, Read};
use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;

/// Objects of one pickle; a network of a hundred thousand tensors takes fewer.
const MOST: usize = 1 << 21;

/// The number of an object.
pub(super) type Id = usize;

/// What a pickle builds.
#[derive(Clone, Debug)]
pub(super) enum Node<'a> {
    None,
    Bool(bool),
    Int(i128),
    /// A number that nothing here needs.
    Float,
    Text(&'a str),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(Rc<Storage>),
    Tensor(Rc<TensorAt>),
    /// Something harmless that is left as it is, such as bytes, or a number of numpy's.
    Other,
}

/// The state of the machine; after a pickle its objects.
pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    nodes: Vec<Node<'a>>,
    /// Objects that may still be made.
    left: usize,
    /// The storages that it refers to, each once.
    storages: Vec<Rc<Storage>>,
}

impl<'a> Machine<'a> {
    /// A machine at the beginning of `bytes`.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            nodes: Vec::new(),
            left: MOST,
            storages: Vec::new(),
        }
    }

    /// The bytes after the pickles that were read.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The object of this number.
    pub(super) fn node(&self, id: Id) -> &Node<'a> {
        self.nodes.get(id).unwrap_or(&Node::None)
    }

    /// The storages that the pickles referred to.
    pub(super) fn storages(&self) -> &[Rc<Storage>] {
        &self.storages
    }

    /// Reads one pickle and gives its object; objects of earlier pickles stay.
    pub(super) fn pickle(&mut self) -> Read<Id> {
        self.stack.clear();
        self.marks.clear();
        self.memo.clear();
        loop {
            let start = self.at;
            let [op] = self.array()?;
            if op == b'.' {
                return match self.stack[..] {
                    [id] => Ok(id),
                    _ => Err(self.damaged()),
                };
            }
            self.step(op).map_err(|stop| match stop {
                Stop::Fault(fault) => fault,
                Stop::Unknown => Fault::new(
                    format!(
                        "has a pickle with the instruction 0x{op:02x} at byte {start}, which no file of tensors needs"
                    ),
                    "fetch or export it again",
                ),
            })?;
        }
    }

    fn damaged(&self) -> Fault {
        Fault::damaged(format!("its pickle makes no sense before byte {}", self.at))
    }

    /// The next bytes, which are there or the file is cut short.
    fn take(&mut self, n: u64) -> Read<&'a [u8]> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = usize::try_from(n).ok().and_then(|n| rest.get(..n));
        let Some(taken) = taken else {
            return Err(Fault::short(format!(
                "its pickle wants {n} bytes more at byte {}, {} are there",
                self.at,
                rest.len()
            )));
        };
        self.at += taken.len();
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let taken = self.take(N as u64)?;
        taken.try_into().map_err(|_| self.damaged())
    }

    fn text(&mut self, n: u64) -> Read<&'a str> {
        let taken = self.take(n)?;
        std::str::from_utf8(taken).map_err(|_| self.damaged())
    }

    /// The text up to the end of the line.
    fn line(&mut self) -> Read<&'a str> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|&byte| byte == b'\n');
        let Some(end) = end else {
            return Err(Fault::short("a line of its pickle has no end"));
        };
        let line = self.text(end as u64)?;
        self.at += 1;
        Ok(line)
    }

    /// Counts objects that are about to be made.
    fn count(&mut self, n: usize) -> Read<()> {
        match self.left.checked_sub(n) {
            Some(left) => self.left = left,
            None => {
                return Err(Fault::new(
                    format!("has a pickle of more than {MOST} objects"),
                    super::SAVE,
                ));
            }
        }
        Ok(())
    }

    fn push(&mut self, node: Node<'a>) -> Read<()> {
        self.count(1)?;
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
        Ok(())
    }

    fn pop(&mut self) -> Read<Id> {
        // What lies under a mark is not to be had before the mark is.
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len() > floor {
            true => self.stack.pop().ok_or_else(|| self.damaged()),
            false => Err(self.damaged()),
        }
    }

    fn top(&self) -> Read<Id> {
        self.stack.last().copied().ok_or_else(|| self.damaged())
    }

    /// All that was put on the stack since the last mark.
    fn since_mark(&mut self) -> Read<Vec<Id>> {
        match self.marks.pop() {
            Some(mark) if mark <= self.stack.len() => Ok(self.stack.split_off(mark)),
            _ => Err(self.damaged()),
        }
    }

    fn remember(&mut self, key: u64) -> Read<()> {
        self.count(1)?;
        let id = self.top()?;
        self.memo.insert(key, id);
        Ok(())
    }

    fn recall(&mut self, key: u64) -> Read<()> {
        self.count(1)?;
        match self.memo.get(&key) {
            Some(&id) => self.stack.push(id),
            None => return Err(self.damaged()),
        }
        Ok(())
    }

    fn tuple(&mut self, n: usize) -> Read<()> {
        let mut items = Vec::with_capacity(n);
        for _ in 0..n {
            items.push(self.pop()?);
        }
        items.reverse();
        self.push(Node::Tuple(items))
    }

    fn append(&mut self, items: Vec<Id>) -> Read<()> {
        let list = self.top()?;
        match self.nodes.get_mut(list) {
            Some(Node::List(held)) => held.extend(items),
            _ => return Err(self.damaged()),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Read<()> {
        let dict = self.top()?;
        let (pairs, []) = items.as_chunks::<2>() else {
            return Err(self.damaged());
        };
        match self.nodes.get_mut(dict) {
            Some(Node::Dict(held)) => held.extend(pairs.iter().map(|[key, value]| (*key, *value))),
            _ => return Err(self.damaged()),
        }
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Read<()> {
        // What comes is looked at to say what the file is: only a whole module holds these names.
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let rest = rest.get(..rest.len().min(1 << 20)).unwrap_or_default();
        let global = globals::find(module, name, rest)?;
        self.push(Node::Global(global))
    }

    /// What a call of a known name makes of its arguments.
    fn reduce(&mut self) -> Read<()> {
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
    pub(super) fn key(&self, id: Id) -> Option<Cow<'a, str>> {
        match self.node(id) {
            Node::Text(text) => Some(Cow::Borrowed(text)),
            Node::Int(n) => Some(n.to_string().into()),
            _ => None,
        }
    }

    /// What a persistent name stands for: a storage.
    fn persistent(&mut self) -> Read<()> {
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
    fn build(&mut self) -> Read<()> {
        self.pop()?;
        match self.node(self.top()?) {
            Node::Dict(_) | Node::Tensor(_) | Node::Other => Ok(()),
            _ => Err(self.damaged()),
        }
    }

    /// A whole number of so many bytes, the lowest first; one that is too long for what files of tensors hold is left.
    fn long(&mut self, n: u64) -> Read<()> {
        let bytes = self.take(n)?;
        let sign = match bytes.last() {
            Some(last) if last & 0x80 != 0 => 0xff,
            _ => 0,
        };
        let mut wide = [sign; 16];
        match wide.get_mut(..bytes.len()) {
            Some(low) => {
                low.copy_from_slice(bytes);
                self.push(Node::Int(i128::from_le_bytes(wide)))
            }
            None => self.push(Node::Other),
        }
    }

    fn step(&mut self, op: u8) -> std::result::Result<(), Stop> {
        match op {
            0x80 => {
                let [protocol] = self.array()?;
                if protocol > 5 {
                    let problem =
                        format!("has a pickle of protocol {protocol}, 5 is the highest known");
                    let remedy = "save it with torch.save as it comes";
                    return Err(Fault::new(problem, remedy).into());
                }
            }
            // A frame says how long it is, which nothing here needs.
            0x95 => drop(self.array::<8>()?),
            b'(' => {
                self.count(1)?;
                self.marks.push(self.stack.len());
            }
            b'0' => drop(self.pop()?),
            b'1' => drop(self.since_mark()?),
            b'2' => {
                self.count(1)?;
                self.stack.push(self.top()?);
            }
            b'N' => self.push(Node::None)?,
            0x88 => self.push(Node::Bool(true))?,
            0x89 => self.push(Node::Bool(false))?,
            b'K' => {
                let [n] = self.array()?;
                self.push(Node::Int(n.into()))?;
            }
            b'M' => {
                let n = u16::from_le_bytes(self.array()?);
                self.push(Node::Int(n.into()))?;
            }
            b'J' => {
                let n = i32::from_le_bytes(self.array()?);
                self.push(Node::Int(n.into()))?;
            }
            0x8a => {
                let [n] = self.array()?;
                self.long(n.into())?;
            }
            0x8b => {
                let n = u32::from_le_bytes(self.array()?);
                self.long(n.into())?;
            }
            b'I' | b'L' => {
                let line = self.line()?;
                let node = match line {
                    "00" => Some(Node::Bool(false)),
                    "01" => Some(Node::Bool(true)),
                    _ => line.trim_end_matches('L').parse().ok().map(Node::Int),
                };
                let node = node.ok_or_else(|| self.damaged())?;
                self.push(node)?;
            }
            b'F' => {
                self.line()?;
                self.push(Node::Float)?;
            }
            b'G' => {
                self.array::<8>()?;
                self.push(Node::Float)?;
            }
            b'X' => {
                let n = u32::from_le_bytes(self.array()?);
                self.unicode(n.into())?;
            }
            0x8c => {
                let [n] = self.array()?;
                self.unicode(n.into())?;
            }
            0x8d => {
                let n = u64::from_le_bytes(self.array()?);
                self.unicode(n)?;
            }
            // Text of Python 2.
            b'U' | b'C' => {
                let [n] = self.array()?;
                self.raw(n.into(), op == b'U')?;
            }
            b'T' | b'B' => {
                let n = u32::from_le_bytes(self.array()?);
                self.raw(n.into(), op == b'T')?;
            }
            0x8e | 0x96 => {
                let n = u64::from_le_bytes(self.array()?);
                self.raw(n, false)?;
            }
            b')' => self.push(Node::Tuple(Vec::new()))?,
            b't' => {
                let items = self.since_mark()?;
                self.push(Node::Tuple(items))?;
            }
            0x85 => self.tuple(1)?,
            0x86 => self.tuple(2)?,
            0x87 => self.tuple(3)?,
            b']' => self.push(Node::List(Vec::new()))?,
            b'l' => {
                let items = self.since_mark()?;
                self.push(Node::List(items))?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.since_mark()?;
                self.append(items)?;
            }
            b'}' => self.push(Node::Dict(Vec::new()))?,
            b'd' => {
                let items = self.since_mark()?;
                self.push(Node::Dict(Vec::new()))?;
                self.set(&items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(&[key, value])?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.set(&items)?;
            }
            // Sets hold no tensors that a name leads to.
            0x8f => self.push(Node::Other)?,
            0x90 => {
                self.since_mark()?;
                match self.node(self.top()?) {
                    Node::Other => {}
                    _ => return Err(self.damaged().into()),
                }
            }
            0x91 => {
                self.since_mark()?;
                self.push(Node::Other)?;
            }
            b'q' => {
                let [key] = self.array()?;
                self.remember(key.into())?;
            }
            b'r' => {
                let key = u32::from_le_bytes(self.array()?);
                self.remember(key.into())?;
            }
            0x94 => {
                let key = self.memo.len() as u64;
                self.remember(key)?;
            }
            b'h' => {
                let [key] = self.array()?;
                self.recall(key.into())?;
            }
            b'j' => {
                let key = u32::from_le_bytes(self.array()?);
                self.recall(key.into())?;
            }
            b'p' | b'g' => {
                let line = self.line()?;
                let key = line.parse().map_err(|_| self.damaged())?;
                match op {
                    b'p' => self.remember(key)?,
                    _ => self.recall(key)?,
                }
            }
            // An instance by name at once (i) is of a class that is not known, or it would be written otherwise.
            b'c' | b'i' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(module, name)?;
                if op == b'i' {
                    return Err(Stop::Unknown);
                }
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Node::Text(name), Node::Text(module)) = (self.node(name), self.node(module))
                else {
                    return Err(self.damaged().into());
                };
                let (module, name) = (*module, *name);
                self.global(module, name)?;
            }
            b'R' | 0x81 => self.reduce()?,
            0x92 => {
                // Arguments by name are those of classes that are not known.
                self.pop()?;
                self.reduce()?;
            }
            b'b' => self.build()?,
            b'Q' => self.persistent()?,
            _ => return Err(Stop::Unknown),
        }
        Ok(())
    }

    fn unicode(&mut self, n: u64) -> Read<()> {
        let taken = self.take(n)?;
        // Python may write half of a surrogate pair, which is no text anywhere else.
        match std::str::from_utf8(taken) {
            Ok(text) => self.push(Node::Text(text)),
            Err(_) => self.push(Node::Other),
        }
    }

    fn raw(&mut self, n: u64, is_text: bool) -> Read<()> {
        let taken = self.take(n)?;
        match std::str::from_utf8(taken) {
            Ok(text) if is_text => self.push(Node::Text(text)),
            _ => self.push(Node::Other),
        }
    }
}

/// Why the machine stops.
enum Stop {
    Fault(Fault),
    /// An instruction that it does not know.
    Unknown,
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Stop::Fault(fault)
    }
}
