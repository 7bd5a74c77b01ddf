//! Damaged parquet files, and a whole data set.

use crate::user::{User, noise, published};
use std::path::PathBuf;
use std::time::Instant;

/// A generator of numbers for mutants.
fn numbers(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    }
}

/// Unpacks damaged tables: each is unpacked or an error, whatever was done to it.
fn unpack_mutants(seeds: std::ops::Range<u64>) {
    use gan_core::hub::{Split, unpack};
    let dir = tempfile::tempdir().unwrap();
    let [table, zip] = ["train.parquet", "x.zip"].map(|name| dir.path().join(name));
    let files = [
        "cifar10/train-00000-of-00001.parquet",
        "sides-train.parquet",
    ]
    .map(published);
    let mut whole = 0;
    for seed in seeds.clone() {
        let mut random = numbers(seed);
        let mut bytes = files[random(2)].clone();
        for _ in 0..=random(6) {
            // Three in four at the end, where lengths and places are.
            let from = if random(4) > 0 {
                bytes.len().saturating_sub(1500)
            } else {
                0
            };
            let at = from + random((bytes.len() - from).max(1));
            match random(4) {
                0 => bytes.truncate(at),
                1 => bytes[at] ^= 1 << random(8),
                2 => bytes[at] = [0, 0xff, 0x7f, 0x80][random(4)],
                _ => drop(bytes.splice(at..at, noise(1 + random(9), seed as u8))),
            }
            if bytes.is_empty() {
                break;
            }
        }
        std::fs::write(&table, &bytes).unwrap();
        match unpack(&[(Split::Train, table.clone())], &zip, &|_, _| {}) {
            Ok(_) => whole += 1,
            Err(error) => assert!(error.to_string().contains("; "), "{error}"),
        }
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap_or_default();
    eprintln!("{whole} of {seeds:?} could be unpacked; {peak}");
}

#[test]
fn a_damaged_table_is_an_error() {
    unpack_mutants(0..300);
}

#[test]
#[ignore = "takes a minute: 20,000 damaged tables"]
fn many_damaged_tables_are_errors() {
    unpack_mutants(1000..21_000);
}

/// `GAN_CIFAR` names the folder `cifar10` that `tests/reference/parquet.py 50000 FOLDER` has made.
#[test]
#[ignore = "needs 50,000 made pictures; takes minutes"]
fn the_papers_setting_learns_from_a_whole_data_set() {
    let user = User::new();
    let folder = PathBuf::from(std::env::var("GAN_CIFAR").unwrap());
    for part in ["train", "test"] {
        let file = format!("{part}-00000-of-00001.parquet");
        let bytes = std::fs::read(folder.join(&file)).unwrap();
        user.server.put(
            &format!("datasets/uoft-cs/cifar10/plain_text/{file}"),
            &bytes,
        );
    }
    let steps: &[&[&str]] = &[
        &["data", "get", "cifar-10"],
        &[
            "train", "wgan-gp", "--data", "cifar-10", "--preset", "paper", "--until", "100",
            "--out", "r",
        ],
    ];
    for args in steps {
        let begun = Instant::now();
        let (text, errors) = user.ok(args);
        eprintln!(
            "{args:?}: {:.1} s\n{text}\n{errors}",
            begun.elapsed().as_secs_f64()
        );
    }
}
