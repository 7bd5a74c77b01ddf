//! Files changed at random, for every reader of weights, checkpoints, settings, logs and recordings: no panic, no
//! abort, no hang, bounded memory, and messages that name the file and can be read.
//!
//! A child of the test program reads a range of inputs, each a pure function of (seed, reader, number), under a limit
//! of its memory; what it says and what each input cost are looked at here. An input is made again by its numbers:
//! `GAN_MUTANT_READER=R GAN_MUTANT_SEED=S GAN_MUTANT_FROM=N GAN_MUTANT_COUNT=1 cargo test … -- --ignored mutants::long`.

mod change;

use crate::program::{PAPERS, bytes, checkpoint, ok, port};
use candle_core::Device;
use change::{Chance, anywhere, lying};
use gan_core::data::{Data, idx};
use gan_core::{Checkpoint, Context, Header, LiveSource, Preset, Sides};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use xtask::observers::csv::Csv;
use xtask::observers::notes::Notes;
use xtask::tfevents::EventFile;

/// The readers, how many inputs each gets in the short and in the long form, and how many of a hundred lie about sizes.
const READERS: &[(&str, u64, u64, u64)] = &[
    ("weights", 60, 6_000, 40),
    ("checkpoint", 20, 3_000, 30),
    ("header", 20, 1_500, 100),
    ("config", 24, 3_000, 0),
    ("csv", 40, 1_500, 0),
    ("notes", 40, 1_500, 0),
    ("events", 40, 1_500, 0),
    ("recording", 20, 2_000, 60),
];

/// What an input may cost.
const SECONDS: u64 = 10;
const MEMORY_KIB: u64 = 1 << 20;
/// Characters of a message.
const LONGEST: usize = 300;

#[test]
fn short() {
    let readers = READERS.iter();
    let faults: Vec<String> = readers
        .flat_map(|&(reader, n, ..)| sweep(reader, n, 1))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
#[ignore = "long: 20,000 inputs"]
fn long() {
    let number = |name: &str| std::env::var(name).ok().map(|n| n.parse::<u64>().unwrap());
    let seed = number("GAN_MUTANT_SEED").unwrap_or(2);
    let only = std::env::var("GAN_MUTANT_READER").ok();
    let is_wanted = |reader: &str| only.as_ref().is_none_or(|only| only == reader);
    let readers = READERS.iter().filter(|(reader, ..)| is_wanted(reader));
    let count = number("GAN_MUTANT_COUNT");
    let swept = readers.flat_map(|&(reader, _, n, _)| sweep(reader, count.unwrap_or(n), seed));
    let faults: Vec<String> = swept.collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Lets children read `count` inputs and looks at what they said; one that ends early is a fault, and the next goes on.
/// Gives the first faults.
fn sweep(reader: &str, count: u64, seed: u64) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    prepare(reader, dir.path());
    let first = std::env::var("GAN_MUTANT_FROM").map_or(0, |n| n.parse().unwrap());
    let (mut next, mut faults) = (first, Vec::new());
    let (mut peak, mut slowest, mut refused) = (0, 0, 0);
    while next < first + count {
        let job = format!("{reader} {next} {} {seed}", first + count - next);
        let (whole, said) = child_of(&job, dir.path());
        let inputs: Vec<&str> = said.split("\n== ").skip(1).collect();
        assert!(!inputs.is_empty(), "{job}\n{said}");
        for input in &inputs {
            next += 1;
            let cost: Vec<u64> = words(input, "\ncost ")
                .filter_map(|n| n.parse().ok())
                .collect();
            let [kib, ms, size] = cost[..] else {
                faults.push(format!("ends the program: {input}"));
                continue;
            };
            (peak, slowest) = (peak.max(kib), slowest.max(ms));
            refused += u64::from(input.contains("\nerror: "));
            let fault = fault(input, kib, size);
            faults.extend(fault.map(|what| format!("{what}: {input}")));
        }
        let done = next == first + count && whole;
        assert!(
            done || next < first + count || !faults.is_empty(),
            "{job}\n{said}"
        );
    }
    println!(
        "{reader}: {count} inputs (seed {seed}), {refused} refused; at most {} MiB and {slowest} ms; {} faults",
        peak / 1024,
        faults.len()
    );
    faults.truncate(10);
    let named = |what| format!("{reader}, seed {seed}, {what}");
    faults.into_iter().map(named).collect()
}

/// What is wrong with how an input was read, if anything is.
fn fault(input: &str, kib: u64, size: u64) -> Option<String> {
    if input.contains("panicked") {
        return Some("panics".into());
    }
    if kib > MEMORY_KIB.max(4 * size / 1024) {
        return Some(format!("takes {kib} KiB"));
    }
    let file = words(input, "").nth(1)?;
    let is_message = |line: &&str| line.starts_with("error: ") || line.starts_with("warning: ");
    let messages: Vec<&str> = input.lines().filter(is_message).collect();
    if let Some(line) = messages.iter().find(|line| line.chars().count() > LONGEST) {
        return Some(format!("{} characters", line.chars().count()));
    }
    // What is wrong with a run as a whole names its folder, with its data theirs and the option for others, with what
    // it learns the iteration.
    let begins = ["error: r: ", "error: few: ", "error: iteration "];
    let others =
        |line: &str| begins.iter().any(|begin| line.starts_with(begin)) || line.contains("--data");
    let is_named = |line: &&str| line.contains(file) || others(line);
    (!messages.is_empty() && !messages.iter().any(is_named))
        .then(|| "does not name the file".into())
}

/// A child that reads the inputs of a job: whether it came to its end, and what it said.
fn child_of(job: &str, dir: &Path) -> (bool, String) {
    let test = std::env::current_exe().unwrap();
    // Allocators reserve far more than they use; what is used is looked at input by input.
    let script =
        "ulimit -v 12582912; exec \"$0\" --exact mutants::child --ignored --nocapture --quiet";
    let output = Command::new("bash")
        .args(["-c", script, test.to_str().unwrap()])
        .env("GAN_MUTANT_JOB", job)
        .env("RAYON_NUM_THREADS", "2")
        .env("CANDLE_GRAD_DO_NOT_DETACH", "1")
        .env("CANDLE_NUM_THREADS", "1")
        .env("MIMALLOC_PURGE_DELAY", "0")
        .env("RUST_BACKTRACE", "0")
        .current_dir(dir)
        .stdout(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), said)
}

/// The words after a mark, to the end of its line.
fn words<'a>(text: &'a str, mark: &str) -> impl Iterator<Item = &'a str> {
    let rest = text.split_once(mark).map_or("", |(_, rest)| rest);
    rest.lines().next().unwrap_or("").split(' ')
}

/// The files that are changed, and what is read beside them.
fn prepare(reader: &str, dir: &Path) {
    let plain = dir.join("plain");
    fs::create_dir(&plain).unwrap();
    match reader {
        "weights" => {
            for recipe in PAPERS {
                let side = if port(*recipe).is_some() { 64 } else { 28 };
                let mut data = gan_core::DataInfo::square(side * side).unwrap();
                data.classes = Some(10);
                let config = recipe.preset(Preset::Smoke, &data).unwrap();
                let cx = Context::new(&Device::Cpu, 1, data, 1);
                let mut algorithm = recipe.build(&config, &cx).unwrap();
                let path = plain.join(format!("{}.safetensors", recipe.info().name));
                for params in algorithm
                    .parts()
                    .iter()
                    .filter_map(|(_, part)| part.params())
                {
                    if params.name() == "g" {
                        params.write_weights(&path).unwrap();
                    }
                }
            }
            let input = image::GrayImage::from_fn(16, 16, |x, y| image::Luma([(x * y) as u8]));
            input.save(dir.join("in.png")).unwrap();
        }
        "recording" => {
            let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
            for name in [
                "vanilla-alt",
                "cgan-joint-alt",
                "cgan-split-alt",
                "wgan-gp-alt",
                "optim-alt",
                "layers",
                "metrics-swd",
                "resize",
                "cyclegan-alt",
                "dcgan",
            ] {
                let name = format!("{name}.safetensors");
                fs::copy(fixtures.join(&name), plain.join(&name)).unwrap();
            }
        }
        _ => {
            let few = dir.join("few");
            fs::create_dir(&few).unwrap();
            for i in 0..12 {
                let grey = |x: u32, y: u32| image::Luma([(x * i + y) as u8]);
                let picture = image::GrayImage::from_fn(28, 28, grey);
                picture.save(few.join(format!("{i}.png"))).unwrap();
            }
            let train = [
                "train", "vanilla", "--data", "few", "--preset", "smoke", "--out", "r", "--steps",
                "4",
            ];
            let often = ["--log-every", "1", "--sample-every", "1", "--keep", "1"];
            ok("", dir, &[&train[..], &often].concat());
            let run = dir.join("r");
            // The same text in every folder that the test is run in.
            let config = fs::read_to_string(run.join("config.toml")).unwrap();
            let data = few.canonicalize().unwrap();
            let config = config.replace(data.to_str().unwrap(), "few");
            fs::write(run.join("config.toml"), config).unwrap();
            let events = fs::read_dir(run.join("tensorboard/train"))
                .unwrap()
                .flatten();
            let events = events.map(|entry| entry.path()).next().unwrap();
            fs::write(
                run.join("notes.txt"),
                "0\tone\n2\ttwo, and more\n4\tthree\n",
            )
            .unwrap();
            let file = match reader {
                "csv" => run.join("scalars.csv"),
                "notes" => run.join("notes.txt"),
                "config" => run.join("config.toml"),
                "events" => events,
                _ => checkpoint(&run, 4),
            };
            fs::copy(&file, plain.join(file.file_name().unwrap())).unwrap();
        }
    }
}

/// Not a test: reads the inputs of a job, one after the other.
#[test]
#[ignore = "started by other tests only"]
fn child() {
    let Ok(job) = std::env::var("GAN_MUTANT_JOB") else {
        return;
    };
    let [reader, from, count, seed] = job.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{job}")
    };
    let (from, count, seed): (u64, u64, u64) = (
        from.parse().unwrap(),
        count.parse().unwrap(),
        seed.parse().unwrap(),
    );
    let lies = READERS.iter().find(|(name, ..)| *name == reader).unwrap().3;
    let mut plain: Vec<PathBuf> = fs::read_dir("plain")
        .unwrap()
        .flatten()
        .map(|e| e.path())
        .collect();
    plain.sort();
    watch();
    for index in from..from + count {
        let mut chance = Chance::new(seed, reader, index);
        let file = chance.one_of(&(0..plain.len()).collect::<Vec<_>>());
        let name = plain[file].file_name().unwrap().to_str().unwrap();
        let whole = bytes(&plain[file]);
        let lie = chance.below(100) < lies as usize;
        let input = match (reader, lie) {
            ("header", _) => headed(&plain[file], &mut chance),
            (_, true) => lying(&whole, &mut chance),
            (_, false) => anywhere(&whole, &mut chance),
        };
        eprintln!("\n== {index} {name} lie {lie}");
        let (start, before) = (Instant::now(), memory());
        BUSY.store(index + 1, Ordering::SeqCst);
        read(reader, name, &input, index);
        BUSY.store(0, Ordering::SeqCst);
        let kib = memory().1.saturating_sub(before.0);
        eprintln!(
            "\ncost {kib} {} {}",
            start.elapsed().as_millis(),
            input.len()
        );
    }
}

/// One more than the number of the input that is being read.
static BUSY: AtomicU64 = AtomicU64::new(0);

/// Ends the process where one input takes too long.
fn watch() {
    std::thread::spawn(|| {
        let (mut seen, mut since) = (0, Instant::now());
        loop {
            std::thread::sleep(Duration::from_millis(50));
            let now = BUSY.load(Ordering::SeqCst);
            if now != seen {
                (seen, since) = (now, Instant::now());
            } else if now > 0 && since.elapsed() > Duration::from_secs(SECONDS) {
                eprintln!("input {} takes more than {SECONDS} s", now - 1);
                std::process::abort();
            }
        }
    });
}

/// Resident memory now, and its peak since the last call, in KiB.
fn memory() -> (u64, u64) {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let kib = |key| {
        words(&text, key)
            .find_map(|word| word.trim().parse().ok())
            .unwrap()
    };
    let now = (kib("VmRSS:"), kib("VmHWM:"));
    fs::write("/proc/self/clear_refs", "5").unwrap(); // the peak starts anew
    now
}

fn run(args: &[&str]) -> ExitCode {
    xtask::run(
        PAPERS,
        ["xtask"].iter().chain(args).map(Into::into).collect(),
    )
}

/// What a user would do with the file.
fn read(reader: &str, name: &str, input: &[u8], index: u64) {
    let even = index.is_multiple_of(2);
    let put = |path: &str| fs::write(path, input).unwrap();
    let resume = [
        "train",
        "vanilla",
        "--out",
        "r",
        "--resume",
        "--steps",
        "6",
        "--dry-run",
    ];
    match reader {
        "weights" => {
            put(name);
            let paper = name.strip_suffix(".safetensors").unwrap();
            let recipe = PAPERS
                .iter()
                .find(|recipe| recipe.info().name == paper)
                .unwrap();
            let one: &[&str] = match port(*recipe) {
                Some(_) => &["--input", "in.png"],
                None => &["-n", "1"],
            };
            let sample = [
                "sample",
                paper,
                "--weights",
                name,
                "--out",
                "out.png",
                "--force",
            ];
            match even {
                true => run(&[&sample[..], one].concat()),
                false => run(&["weights", "inspect", name]),
            };
        }
        "recording" => {
            put(name);
            run(&["parity", name]);
        }
        "checkpoint" | "header" => {
            put(&format!("r/checkpoints/{name}"));
            let sample = ["sample", "r", "-n", "1", "--out", "out.png", "--force"];
            run(if even { &sample } else { &resume });
        }
        "config" => {
            put("r/config.toml");
            let again = [
                "train",
                "vanilla",
                "--config",
                "r/config.toml",
                "--out",
                "n",
                "--dry-run",
            ];
            match index % 3 {
                0 => run(&["sample", "r", "-n", "1", "--out", "out.png", "--force"]),
                1 => run(&resume),
                _ => run(&again),
            };
        }
        "csv" | "notes" | "events" => {
            // What is cut is kept beside it, so each has a folder of its own.
            let _ = fs::remove_dir_all("logs");
            fs::create_dir("logs").unwrap();
            let path = format!("logs/{name}");
            put(&path);
            let opened = match reader {
                "csv" => Csv::open(Path::new(&path), 3, !even).map(drop),
                "notes" => Notes::open(Path::new(&path), 3, !even).map(drop),
                _ => EventFile::resume(Path::new("logs"), 3, !even)
                    .map(drop)
                    .map_err(candle_core::Error::wrap),
            };
            if let Err(error) = opened {
                eprintln!("error: {}", error.to_string().lines().next().unwrap_or(""));
            }
        }
        _ => panic!("{reader}"),
    }
}

/// A checkpoint whose header lies, under a hash that is right.
fn headed(plain: &Path, chance: &mut Chance) -> Vec<u8> {
    let saved = Checkpoint::read(plain).unwrap();
    let (recipe, data) = (PAPERS[0], saved.header.data.clone());
    assert_eq!(
        recipe.learns(&saved.header.config).unwrap().sides,
        Sides::One
    );
    let cx = Context::new(&Device::Cpu, 1, data, 4);
    let mut algorithm = recipe.build(&saved.header.config, &cx).unwrap();
    let mut text = serde_json::to_value(&saved.header)
        .unwrap()
        .to_string()
        .into_bytes();
    let header = loop {
        let mut changed = text.clone();
        change::number(&mut changed, chance);
        // One that does not read as a header at all cannot have been written.
        if let Ok(header) = serde_json::from_slice::<Header>(&changed) {
            text = changed;
            if chance.below(3) > 0 {
                break header;
            }
        }
    };
    drop(text);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/mnist");
    let digits = idx::folder(&root, idx::Split::Test).unwrap();
    let source = LiveSource::new(&Data::one(std::sync::Arc::new(digits)), 1, &Device::Cpu);
    saved.restore(&mut *algorithm, None).unwrap();
    let path = Path::new("headed.safetensors");
    Checkpoint::write(path, &header, &mut *algorithm, &source).unwrap();
    bytes(path)
}
