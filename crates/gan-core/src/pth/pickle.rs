//! The pickle machine: a stack, a memo and objects, which are read and never run.
//!
//! It knows the instructions that Python writes for dicts, lists, numbers, text and tensors, of all protocols.
//! Objects stand in one list and refer to each other by their number, so that nothing is copied when a pickle refers
//! to it twice, and a circle harms nobody. Objects, marks, places of the memo and what is copied from one object into another are counted together,
//! and there is a limit for all of them.

mod objects;

use super::globals::{self, Global};
use super::numbers::TensorAt;
use super::storages::Storage;
use super::{Fault, Read};
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
