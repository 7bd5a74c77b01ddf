//! A run is stopped at moments that are swept over its whole length, or its disk is full at sizes that are swept over
//! what it writes; it is finished then, and all its files must be those of a run that was left alone.
//!
//! Long, and so not run by themselves:
//! `cargo test -p xtask --test main -- --ignored --nocapture sweep::`. `GAN_SWEEP_KILLS=N` sets the kills a paper,
//! `GAN_SWEEP_PAPER=P` takes one alone.

use crate::finish::{files, same};
use crate::program::{PAPERS, command, ok, run};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Several saves, grids and records, in less than a second.
const SMOKE: [&str; 11] = [
    "--preset",
    "smoke",
    "--steps",
    "12",
    "--save-every",
    "3",
    "--sample-every",
    "4",
    "--log-every",
    "1",
    "--quiet",
];

fn train(paper: &str) -> Vec<&str> {
    [&["train", paper, "--out", "r"], &SMOKE[..]].concat()
}

/// All files of a run by name: event files decoded, without their own names' and records' times; the settings without
/// the commit that the program says it is of, as a working tree may change meanwhile.
fn finished(run: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let decoded = |(name, bytes): (PathBuf, Vec<u8>)| match name.to_str().unwrap() {
        "config.toml" => {
            let text = String::from_utf8(bytes).unwrap();
            let lines = text.lines().filter(|line| !line.starts_with("commit = "));
            (name, lines.collect::<Vec<_>>().join("\n").into_bytes())
        }
        path if path.starts_with("tensorboard") => {
            (name.with_file_name("events"), without_times(&name, &bytes))
        }
        _ => (name, bytes),
    };
    let all = files(run);
    let count = all.len();
    let all: BTreeMap<_, _> = all.into_iter().map(decoded).collect();
    assert_eq!(all.len(), count, "two event files in one folder");
    all
}

/// The messages of an event file. Each is its length (8 bytes), a checksum (4), the message and its checksum (4); a
/// message begins with the mark 9 and the time (8 bytes).
fn without_times(name: &Path, mut bytes: &[u8]) -> Vec<u8> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let message = &bytes[12..12 + length];
        assert_eq!(message[0], 9, "{}", name.display());
        messages.extend(&message[9..]);
        bytes = &bytes[16 + length..];
    }
    messages
}

/// Goes on until the run says that it is done; gives how often it was called.
fn finish(paper: &str, dir: &Path) -> u32 {
    let resume = ["train", paper, "--out", "r", "--resume", "--quiet"];
    for calls in 1..5 {
        // What was stopped before its settings were written is no run yet, and is begun again.
        let output = match dir.join("r/config.toml").exists() {
            true => run("", dir, &resume),
            false => run("", dir, &train(paper)),
        };
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            Some(2) if said.contains("all 12 iterations are done") => return calls,
            Some(0) => {}
            code => panic!("{paper}: {code:?}\n{said}"),
        }
    }
    panic!("{paper}: not done after four calls")
}

#[test]
#[ignore = "long: 550 kills"]
fn killed_at_any_moment_of_a_whole_run() {
    let wanted = std::env::var("GAN_SWEEP_KILLS").ok();
    let only = std::env::var("GAN_SWEEP_PAPER").ok();
    for recipe in PAPERS {
        let paper = recipe.info().name;
        if only.as_ref().is_some_and(|only| only != paper) {
            continue;
        }
        let usual = if ["vanilla", "cgan"].contains(&paper) {
            200
        } else {
            30
        };
        killed(paper, wanted.as_ref().map_or(usual, |n| n.parse().unwrap()));
    }
}

fn killed(paper: &str, kills: u32) {
    let whole = tempfile::tempdir().unwrap();
    // The quickest of some, so that most moments are before the end of a run.
    let mut took = Duration::MAX;
    for _ in 0..4 {
        let _ = std::fs::remove_dir_all(whole.path().join("r"));
        let start = Instant::now();
        ok("", whole.path(), &train(paper));
        took = took.min(start.elapsed());
    }
    let wanted = finished(&whole.path().join("r"));
    let (mut alive, mut unbegun, mut at_its_end) = (0, 0, 0);
    for i in 0..kills {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("r");
        let mut kill = |args: &[&str], after: Duration| {
            let mut command = command("", dir.path(), args);
            let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = quiet.spawn().unwrap();
            // Every second is counted from when the run begins, as before that it reads its data.
            while i % 2 == 1 && !run.join("config.toml").exists() {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(after);
            alive += u32::from(child.try_wait().unwrap().is_none());
            child.kill().unwrap();
            child.wait().unwrap();
        };
        // To a little after the end, as no two runs take the same time.
        let moment = took.mul_f64(1.1 * f64::from(i) / f64::from(kills));
        kill(&train(paper), moment);
        unbegun += u32::from(!run.join("config.toml").exists());
        at_its_end += u32::from(run.join("checkpoints/step-00000012.safetensors").exists());
        // Of every third the going on is stopped, too.
        if i % 3 == 0 && run.join("config.toml").exists() {
            let resume = ["train", paper, "--out", "r", "--resume"];
            kill(
                &resume,
                took.mul_f64(f64::from(i * 7 % kills) / f64::from(kills)),
            );
        }
        finish(paper, dir.path());
        same(
            &finished(&run),
            &wanted,
            &format!("{paper}, killed after {moment:?}"),
        );
    }
    println!(
        "{paper}: {kills} moments over {} ms, {alive} processes killed alive, {unbegun} before the run had begun, \
         {at_its_end} after its last checkpoint; {} files the same each time",
        took.as_millis(),
        wanted.len()
    );
}

#[test]
#[ignore = "long: 60 sizes of two kinds of full disks"]
fn a_disk_that_is_full_at_any_size() {
    for paper in ["vanilla", "cyclegan"] {
        let whole = tempfile::tempdir().unwrap();
        ok("", whole.path(), &train(paper));
        let wanted = finished(&whole.path().join("r"));
        let sizes = wanted.values().map(Vec::len);
        let (largest, all) = (sizes.clone().max().unwrap(), sizes.sum::<usize>());
        let mut disks = vec![("files of at most", largest)];
        if Mounted::at(whole.path(), 1024).is_some() {
            disks.push(("a disk of", 2 * all));
        }
        for (kind, most) in disks {
            let mut failed = 0;
            for i in 0..60 {
                let kib = most * i / 58 / 1024 + usize::from(kind == "a disk of");
                failed += u32::from(!full(paper, kind, kib, &wanted));
            }
            println!(
                "{paper}: {kind} 0 to {} KiB in 60 steps, {failed} runs stopped; the same files",
                most / 1024
            );
            assert!(failed > 10 && failed < 60, "{paper}, {kind}: {failed}");
        }
    }
}

/// A run on a disk of so many KiB, gone on with when there is room; gives whether it had enough.
fn full(paper: &str, kind: &str, kib: usize, wanted: &BTreeMap<PathBuf, Vec<u8>>) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let what = format!("{paper}, {kind} {kib} KiB");
    let is_disk = kind == "a disk of";
    let mounted = is_disk.then(|| Mounted::at(dir.path(), kib).unwrap());
    let limit = if is_disk {
        "unlimited".into()
    } else {
        kib.to_string()
    };
    let script = format!("ulimit -f {limit}; exec \"$0\" \"$@\"");
    let output = Command::new("bash")
        .args(["-c", &script, env!("CARGO_BIN_EXE_xtask")])
        .args(train(paper))
        .current_dir(dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.code() {
        Some(0) => {}
        Some(1) => assert!(
            said.contains("error: ") && said.lines().count() == 1,
            "{what}\n{said}"
        ),
        code => panic!("{what}: {code:?}\n{said}"),
    }
    if let Some(mounted) = &mounted {
        mounted.enlarge();
    }
    finish(paper, dir.path());
    same(&finished(&dir.path().join("r")), wanted, &what);
    output.status.success()
}

/// A small disk in memory, where the system lets this process make one.
struct Mounted(PathBuf);

impl Mounted {
    fn at(dir: &Path, kib: usize) -> Option<Self> {
        let options = format!("size={}k", kib.max(4));
        let made = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(dir)
            .output();
        made.is_ok_and(|made| made.status.success())
            .then(|| Self(dir.into()))
    }

    fn enlarge(&self) {
        let mut mount = Command::new("mount");
        let made = mount
            .args(["-o", "remount,size=256m"])
            .arg(&self.0)
            .status();
        assert!(made.unwrap().success());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
