//! How files are changed: a pure function of seed, name and number, so that any input can be made again.

use serde_json::{Map, Value, json};

/// A stream of numbers for one input (SplitMix64 over a counter).
pub struct Chance {
    key: u64,
    count: u64,
}

impl Chance {
    pub fn new(seed: u64, name: &str, index: u64) -> Self {
        let key = name
            .bytes()
            .fold(mixed(seed), |key, byte| mixed(key ^ u64::from(byte)));
        let key = mixed(key ^ mixed(index));
        Self { key, count: 0 }
    }

    pub fn next(&mut self) -> u64 {
        self.count += 1;
        mixed(
            self.key
                .wrapping_add(self.count.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        )
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

fn mixed(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Numbers that programs stumble over, as text.
const EXTREMES: &[&str] = &[
    "0",
    "-1",
    "1",
    "2",
    "3",
    "127",
    "255",
    "65536",
    "16777217",
    "2147483648",
    "4294967296",
    "1099511627776",
    "4611686018427387904",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "1e308",
    "1e-308",
    "-0.0",
    "nan",
    "inf",
    "null",
    "true",
    "\"x\"",
    "[]",
    "{}",
    "",
];

/// Sides and counts that lie.
const SIZES: &[u64] = &[
    0,
    1,
    2,
    3,
    7,
    255,
    65_536,
    1 << 24,
    1 << 31,
    1 << 32,
    1 << 40,
    1 << 53,
    1 << 62,
    i64::MAX as u64,
    u64::MAX,
];

/// One to four changes anywhere in the file.
pub fn anywhere(bytes: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=chance.below(4) {
        let n = bytes.len();
        // Headers are at the beginning, where most is decided; logs are torn at their end.
        let at = match chance.below(4) {
            0 => chance.below(n.min(64)),
            1 => chance.below(n.min(4096)),
            2 => n.saturating_sub(1 + chance.below(n.min(64))),
            _ => chance.below(n),
        };
        let len = (1 << chance.below(10)).min(n.saturating_sub(at));
        match chance.below(9) {
            0 | 1 if at < n => bytes[at] ^= 1 << chance.below(8),
            2 if at < n => bytes[at] = chance.one_of(&[0, 1, 9, 10, 32, 127, 128, 255]),
            3 => drop(bytes.drain(at..at + len)),
            4 => {
                let junk: Vec<u8> = (0..len).map(|_| chance.next() as u8).collect();
                bytes.splice(at..at, junk);
            }
            5 => {
                let again = bytes[at..at + len].to_vec();
                bytes.splice(at..at, again);
            }
            6 => bytes.truncate(at),
            _ => number(&mut bytes, chance),
        }
    }
    bytes
}

/// Another number in the place of one that is written as text, if there is one.
pub fn number(bytes: &mut Vec<u8>, chance: &mut Chance) {
    let from = chance.below(bytes.len());
    let Some(start) = bytes.iter().skip(from).position(u8::is_ascii_digit) else {
        return;
    };
    let start = from + start;
    let is_number = |b: &&u8| b.is_ascii_digit() || b".eE+-".contains(b);
    let end = start + bytes[start..].iter().take_while(is_number).count();
    bytes.splice(start..end, chance.one_of(EXTREMES).bytes());
}

/// A tensor of a safetensors file.
#[derive(Clone)]
struct Entry {
    name: String,
    dtype: String,
    shape: Vec<u64>,
    data: Vec<u8>,
}

/// The same file with sizes and shapes that are not those of its numbers; most are well-formed.
pub fn lying(bytes: &[u8], chance: &mut Chance) -> Vec<u8> {
    let (metadata, mut entries) = read(bytes);
    let mut metadata = metadata.clone();
    for _ in 0..=chance.below(3) {
        match chance.below(7) {
            // A dimension that all tensors have in common, where it is emptied by another.
            0 | 1 => consistent(&mut entries, chance),
            2 => emptied(&mut entries, chance),
            3 => {
                let entry = any(&mut entries, chance);
                entry.dtype = chance
                    .one_of(&["F64", "F16", "BF16", "I64", "U8", "BOOL", "F8_E4M3", "U64"])
                    .into();
            }
            4 => {
                let entry = any(&mut entries, chance);
                match chance.below(4) {
                    0 => entry.shape.push(1),
                    1 => entry.shape.insert(0, 1),
                    2 => entry.shape.clear(),
                    _ => entry.shape.reverse(),
                }
            }
            5 => configured(&mut metadata, chance),
            _ => {
                let entry = any(&mut entries, chance);
                if let Some(dim) = entry.shape.first_mut() {
                    *dim = chance.one_of(SIZES);
                }
            }
        }
    }
    let mut bytes = write(&metadata, &entries, chance.below(4) == 0);
    if chance.below(8) == 0 {
        let length = chance.one_of(SIZES).to_le_bytes();
        bytes[..8].copy_from_slice(&length);
    }
    bytes
}

fn any<'a>(entries: &'a mut [Entry], chance: &mut Chance) -> &'a mut Entry {
    let i = chance.below(entries.len());
    &mut entries[i]
}

/// A size that several tensors have becomes another in all of them; those that cannot hold it are emptied.
fn consistent(entries: &mut [Entry], chance: &mut Chance) {
    let shape = any(entries, chance).shape.clone();
    if shape.is_empty() {
        return;
    }
    let (old, new) = (chance.one_of(&shape), chance.one_of(SIZES));
    for entry in entries
        .iter_mut()
        .filter(|entry| entry.shape.contains(&old))
    {
        let others = entry.shape.iter_mut().filter(|dim| **dim == old);
        others.for_each(|dim| *dim = new);
        refill(entry, chance);
    }
}

/// Some tensors hold nothing and say that they are large.
fn emptied(entries: &mut [Entry], chance: &mut Chance) {
    for _ in 0..=chance.below(4) {
        let entry = any(entries, chance);
        let last = entry.shape.len().saturating_sub(1);
        for (i, dim) in entry.shape.iter_mut().enumerate() {
            *dim = if i == last { 0 } else { chance.one_of(SIZES) };
        }
        if chance.below(2) == 0 {
            entry.shape.reverse();
        }
        refill(entry, chance);
    }
}

/// As many numbers as the shape wants where they are few, else none and a side of 0.
fn refill(entry: &mut Entry, chance: &mut Chance) {
    let wanted = entry
        .shape
        .iter()
        .try_fold(1u64, |n, dim| n.checked_mul(*dim));
    let width = entry.data.len() / entry.shape.len().max(1) % 8 + 1;
    let bytes = match entry.dtype.as_str() {
        "F64" | "I64" => 8,
        "F16" | "BF16" => 2,
        _ => 4,
    };
    match wanted {
        Some(n) if n <= 1 << 14 => entry.data.resize(n as usize * bytes, width as u8),
        _ => {
            let i = chance.below(entry.shape.len());
            if let Some(dim) = entry.shape.get_mut(i) {
                *dim = 0;
            }
            entry.data.clear();
        }
    }
}

/// A number in the metadata's JSON becomes another.
fn configured(metadata: &mut Map<String, Value>, chance: &mut Chance) {
    let keys: Vec<String> = metadata.keys().cloned().collect();
    if keys.is_empty() {
        return;
    }
    let key = &keys[chance.below(keys.len())];
    if let Some(Value::String(text)) = metadata.get_mut(key) {
        let mut bytes = text.clone().into_bytes();
        number(&mut bytes, chance);
        *text = String::from_utf8_lossy(&bytes).into_owned();
    }
}

fn read(bytes: &[u8]) -> (Map<String, Value>, Vec<Entry>) {
    let n = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Map<String, Value> = serde_json::from_slice(&bytes[8..8 + n]).unwrap();
    let metadata = header.get("__metadata__").and_then(Value::as_object);
    let tensors = header.iter().filter(|(name, _)| *name != "__metadata__");
    let entry = |(name, about): (&String, &Value)| {
        let numbers =
            |key: &str| -> Vec<u64> { serde_json::from_value(about[key].clone()).unwrap() };
        let (shape, at) = (numbers("shape"), numbers("data_offsets"));
        Entry {
            name: name.clone(),
            dtype: about["dtype"].as_str().unwrap().into(),
            shape,
            data: bytes[8 + n + at[0] as usize..8 + n + at[1] as usize].to_vec(),
        }
    };
    (
        metadata.cloned().unwrap_or_default(),
        tensors.map(entry).collect(),
    )
}

/// The file of these tensors; with `whole` each has as many bytes as its shape says, where they can be had.
fn write(metadata: &Map<String, Value>, entries: &[Entry], whole: bool) -> Vec<u8> {
    let mut header = Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".into(), Value::Object(metadata.clone()));
    }
    let mut data = Vec::new();
    for entry in entries {
        let start = data.len();
        data.extend(&entry.data);
        if whole {
            data.resize(data.len().next_multiple_of(8), 0);
        }
        let about = json!({"dtype": entry.dtype, "shape": entry.shape, "data_offsets": [start, data.len()]});
        header.insert(entry.name.clone(), about);
    }
    let header = Value::Object(header).to_string();
    [
        &(header.len() as u64).to_le_bytes()[..],
        header.as_bytes(),
        &data,
    ]
    .concat()
}
