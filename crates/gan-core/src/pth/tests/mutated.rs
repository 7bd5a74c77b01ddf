//! Files of PyTorch's that are changed at random: whatever the bytes, there are tensors or an error that can be read;
//! no panic, no wait without end. A failure says its number, by which the same bytes are made again.

use super::bytes;
use crate::containers::Contents;
use crate::rng::{Key, choices};
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

const SEED: u64 = 19;
/// What each input may take.
const LONGEST: Duration = Duration::from_secs(10);
/// Instructions of pickles, of which the machine knows most.
const OPS: &[u8] = b"().0123QRNJKMIXTUBCFGLabcdehijlpqrstu]}\x80\x81\x82\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\
    \x91\x92\x93\x94\x95\x96";
/// What counts and lengths are made to say.
const LIES: [u64; 14] = [
    0,
    1,
    2,
    3,
    255,
    256,
    65_535,
    1 << 24,
    i32::MAX as u64,
    u32::MAX as u64,
    1 << 40,
    1 << 62,
    i64::MAX as u64,
    u64::MAX,
];
const FILES: [&str; 14] = [
    "plain.pth",
    "plain-legacy.pth",
    "deflated.pth",
    "views.pth",
    "views-legacy.pth",
    "views-old.pth",
    "params.pth",
    "module.pth",
    "several.pth",
    "protocol4.pth",
    "protocol4-legacy.pth",
    "protocol1-legacy.pth",
    "parameters.pth",
    "integers.pth",
];

/// Numbers that depend on the input's number alone.
struct Dice(Vec<usize>);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0.pop().expect("enough numbers") % n.max(1)
    }
}

/// The places of one text in another.
fn places(bytes: &[u8], what: &[u8]) -> Vec<usize> {
    let windows = bytes.windows(what.len()).enumerate();
    windows
        .filter(|(_, part)| *part == what)
        .map(|(i, _)| i)
        .collect()
}

/// Where the pickle is: of a zip file after its first header.
fn pickle(bytes: &[u8]) -> std::ops::Range<usize> {
    let start = places(bytes, b"\x80\x02").last().copied().unwrap_or(0);
    let start = match bytes.starts_with(b"PK") {
        true => places(bytes, b"\x80").first().copied().unwrap_or(0),
        false => start.min(140),
    };
    start..(start + 700).min(bytes.len())
}

fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice) {
    for _ in 0..1 + dice.below(4) {
        let n = bytes.len();
        let inside = pickle(bytes);
        let at = match dice.below(6) {
            0 => dice.below(n),
            1 => n.saturating_sub(1 + dice.below(64)),
            // The zip file's directory.
            2 => {
                let headers = places(bytes, b"PK\x01\x02");
                let header = headers.get(dice.below(headers.len())).copied();
                header.unwrap_or(0) + dice.below(46)
            }
            _ => inside.start + dice.below(inside.len()),
        };
        let end = (at + 1 + dice.below(24)).min(n);
        match dice.below(10) {
            0 if dice.below(4) == 0 => bytes.truncate(at),
            1 if at < end => drop(bytes.drain(at..end)),
            2 if at < end => {
                let twice = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, twice));
            }
            3 if at < n => bytes[at] ^= 1 << dice.below(8),
            4 if at < n => bytes[at] = dice.below(256) as u8,
            5 | 6 if at < n => bytes[at] = OPS[dice.below(OPS.len())],
            7 if at <= n => {
                let op = OPS[dice.below(OPS.len())];
                bytes.insert(at, op);
            }
            // Many times the same, where objects could be piled up.
            8 if at <= n && dice.below(20) == 0 => {
                let op = OPS[dice.below(OPS.len())];
                drop(bytes.splice(at..at, vec![op; 1 << dice.below(20)]));
            }
            _ => {
                let lie = LIES[dice.below(LIES.len())].to_le_bytes();
                let width = [1, 2, 4, 8][dice.below(4)];
                let room = bytes.iter_mut().skip(at);
                room.zip(&lie[..width]).for_each(|(byte, lie)| *byte = *lie);
            }
        }
    }
}

/// The checksums of a changed zip file would be all that is ever found: they are taken away.
fn unchecked(mut bytes: Vec<u8>) -> Vec<u8> {
    for (mark, at) in [(b"PK\x03\x04", 14), (b"PK\x01\x02", 16)] {
        for place in places(&bytes, mark) {
            if let Some(sum) = bytes.get_mut(place + at..place + at + 4) {
                sum.fill(0);
            }
        }
    }
    bytes
}

/// Reads an input as a user would: all that is in it, and one of its networks.
fn read(name: &str, input: Vec<u8>, file: &std::path::Path) -> Result<bool, String> {
    std::fs::write(file, &input).unwrap();
    let start = Instant::now();
    let read = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let contents = Contents::open(file)?;
        let names: Vec<String> = contents
            .networks()
            .into_iter()
            .map(|held| held.name)
            .collect();
        let first = names.first().filter(|name| !name.is_empty());
        let taken = contents
            .take(None)
            .or_else(|_| contents.take(first.map(String::as_str)));
        taken.map(|weights| weights.numbers())
    }));
    let took = start.elapsed();
    if took > LONGEST {
        return Err(format!("{name} takes {took:?}"));
    }
    match read {
        Err(_) => Err(format!("{name} panics")),
        Ok(Ok(numbers)) if numbers * 8 > (4 * input.len()).max(1 << 20) * 8 => {
            Err(format!("{name} has {numbers} numbers"))
        }
        Ok(Ok(_)) => Ok(true),
        Ok(Err(error)) => {
            let said = error.to_string();
            match said.chars().count() <= crate::LONGEST && said.contains("input.pth: ") {
                true => Ok(false),
                false => Err(format!("{name} says {said}")),
            }
        }
    }
}

fn sweep(inputs: std::ops::Range<u64>) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("input.pth");
    let (mut opened, mut faults, start) = (0, Vec::new(), Instant::now());
    for index in inputs.clone() {
        let mut dice = Dice(choices(Key::new(SEED, "pth", 0, index), 64, 1 << 32));
        let name = FILES[dice.below(FILES.len())];
        let mut input = bytes(name);
        if dice.below(4) > 0 {
            input = unchecked(input);
        }
        mutate(&mut input, &mut dice);
        match read(name, input, &file) {
            Ok(whole) => opened += u64::from(whole),
            Err(fault) => faults.push(format!("input {index}: {fault}")),
        }
    }
    println!(
        "{} inputs (seed {SEED}) in {:?}, {opened} opened; peak of memory {} KiB",
        inputs.end - inputs.start,
        start.elapsed(),
        peak()
    );
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(peak() < 1 << 20, "{} KiB", peak());
}

/// The most memory that the process had so far, in KiB; 0 where the system does not say.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    kib.and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

#[test]
fn mutated_files_give_tensors_or_a_line() {
    sweep(0..400);
}

#[test]
#[ignore = "long: 20,000 inputs"]
fn mutated_files_in_great_number() {
    sweep(0..20_000);
}
