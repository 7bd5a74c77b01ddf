//! What is kept of a run: logs that were damaged, checkpoints; and what is refused or said instead of being done in
//! silence.

use crate::goes_on::{logged, says, train};
use crate::program::{bytes, checkpoint, fails, ok, run};
use gan_core::Store;
use std::fs;

#[test]
fn what_is_cut_from_a_log_is_kept_aside() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let often = [
        "--preset",
        "smoke",
        "--log-every",
        "1",
        "--save-every",
        "10",
        "--steps",
        "30",
        "--quiet",
    ];
    train("vanilla", dir, &[&often[..], &["--until", "20"]].concat());
    let (csv, notes) = (dir.join("r/scalars.csv"), dir.join("r/notes.txt"));
    let whole = bytes(&csv);
    let resume = ["train", "vanilla", "--out", "r", "--resume"];
    let aside = dir.join("r/scalars.csv.cut-0001");

    // Junk at the end is a torn line.
    for junk in [
        &b"\0\0\0\0"[..],
        b"21,loss/d/d,0.5\n22,lo\xff\xfe",
        b"\xc3\x28\n",
    ] {
        fs::write(&csv, [&whole, junk].concat()).unwrap();
        fs::write(&notes, [b"0\ta note\n", junk].concat()).unwrap();
        ok(
            "",
            dir,
            &[
                &resume[..],
                &["--until", "21", "--save-every", "0", "--quiet"],
            ]
            .concat(),
        );
        assert!(bytes(&csv).starts_with(&whole));
        assert_eq!(logged(&dir.join("r"), "loss/d/d").len(), 21);
        assert!(bytes(&notes).starts_with(b"0\ta note\n"));
        assert!(!aside.exists());
        fs::remove_file(checkpoint(&dir.join("r"), 21)).unwrap();
    }
    // One digit of an early line costs that line, and that is said.
    let text = String::from_utf8(whole.clone()).unwrap();
    fs::write(&csv, text.replacen("\n1,", "\n91,", 1)).unwrap();
    let said = ok("", dir, &[&resume[..], &["--save-every", "10"]].concat());
    says(&said, &["1 line of r/scalars.csv", "scalars.csv.cut-0001"]);
    assert_eq!(fs::read_to_string(&aside).unwrap().lines().count(), 1);
    let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
    let (now, before) = (bytes(&csv), lines(&whole) - 1);
    // The head and all but one.
    assert_eq!(lines(&now), before + before / 20 * 10);
    says(
        &fs::read_to_string(&notes).unwrap(),
        &["scalars.csv.cut-0001"],
    );

    // Going on from an earlier checkpoint leaves a course whose log is not lost.
    let from = ["--resume", "r/checkpoints/step-00000010.safetensors"];
    let args = [&["train", "vanilla", "--quiet"], &from[..]].concat();
    ok("", dir, &args);
    let left = fs::read_to_string(dir.join("r/scalars.csv.cut-0002")).unwrap();
    assert!(left.starts_with("11,") && left.contains("\n30,"), "{left}");
    assert!(dir.join("r/tensorboard/train/events.cut-0001").exists());
}

#[test]
fn a_run_whose_checkpoints_are_gone_is_not_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let often = [
        "--preset",
        "smoke",
        "--log-every",
        "1",
        "--save-every",
        "3",
        "--steps",
        "9",
        "--quiet",
    ];
    train("vanilla", dir, &[&often[..], &["--until", "7"]].concat());
    let r = dir.join("r");
    fs::remove_dir_all(r.join("weights")).unwrap();
    fs::rename(r.join("checkpoints"), dir.join("gone")).unwrap();
    let resume = ["train", "vanilla", "--out", "r", "--resume"];
    let log = bytes(&r.join("scalars.csv"));
    for rest in [&[][..], &["--dry-run"], &["--save-every", "100"]] {
        let line = fails(dir, &[&resume[..], rest].concat(), 1);
        says(
            &line,
            &[
                "r/checkpoints",
                "holds no checkpoint, though the run logged 7 iterations",
                "--config",
            ],
        );
    }
    assert!(bytes(&r.join("scalars.csv")) == log);
    // Killed inside its first save it has logged that iteration, and begins again.
    let text = String::from_utf8(log).unwrap();
    let first: String = text
        .split_inclusive('\n')
        .filter(|line| !line.starts_with(['4', '5', '6', '7']))
        .collect();
    fs::write(r.join("scalars.csv"), first).unwrap();
    ok("", dir, &[&resume[..], &["--quiet"]].concat());
    ok(
        "",
        dir,
        &[&["train", "vanilla", "--out", "whole"], &often[..]].concat(),
    );
    assert!(bytes(&r.join("scalars.csv")) == bytes(&dir.join("whole/scalars.csv")));
}

#[test]
fn checkpoints_of_the_whole_run_stay() {
    let dir = tempfile::tempdir().unwrap();
    let often = [
        "--preset",
        "smoke",
        "--save-every",
        "2",
        "--steps",
        "40",
        "--quiet",
    ];
    let kept = |rest: &[&str]| {
        let _ = fs::remove_dir_all(dir.path().join("r"));
        train("vanilla", dir.path(), &[&often[..], rest].concat());
        let all = Store::list(&dir.path().join("r/checkpoints")).unwrap();
        all.into_iter().map(|(t, _)| t).collect::<Vec<_>>()
    };
    assert_eq!(kept(&[]), [16, 32, 36, 38, 40]);
    assert_eq!(kept(&["--keep", "1"]), [32, 40]);
    assert_eq!(
        kept(&["--keep", "all"]),
        (1..=20).map(|i| 2 * i).collect::<Vec<_>>()
    );
    let said = run("", dir.path(), &["train", "vanilla", "--keep", "0"]);
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    says(&said, &["a number from 1 on, or all"]);
}

#[test]
fn a_run_that_has_fallen_apart_is_not_just_done() {
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "--preset",
        "smoke",
        "--steps",
        "40",
        "--log-every",
        "1",
        "--set",
    ];
    let said = train("vanilla", dir.path(), &[&args[..], &["lr=1000"]].concat());
    says(&said, &["done: 40", "may have fallen apart"]);
    fs::remove_dir_all(dir.path().join("r")).unwrap();
    let said = train("vanilla", dir.path(), &[&args[..], &["lr=1e-3"]].concat());
    assert!(!said.contains("fallen apart"), "{said}");
}

#[test]
fn settings_whose_memory_cannot_be_had_are_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    for paper in ["pix2pix", "cyclegan"] {
        let set = ["--set", "size=4096", "--set", "batch=16384"];
        let args = [&["train", paper, "--out", "r"], &set[..]].concat();
        let line = fails(dir.path(), &args, 1);
        says(&line, &[paper, "GiB of memory", "smaller batch"]);
        assert!(!dir.path().join("r").exists());
    }
    // Networks that are larger than any machine, whatever the batch; none of them is made.
    for (paper, set) in [
        ("dcgan", &["size=1024", "width_g=1024", "batch=1"][..]),
        ("wgan", &["size=1024", "width_d=1024", "batch=1"]),
        ("cyclegan", &["width_g=1024", "blocks=64", "batch=1"]),
    ] {
        let set = set.iter().flat_map(|set| ["--set", set]);
        let args = ["train", paper, "--out", "r"].into_iter().chain(set);
        let line = fails(dir.path(), &args.collect::<Vec<_>>(), 1);
        says(&line, &[paper, "GiB of memory", "smaller networks"]);
        assert!(!dir.path().join("r").exists());
    }
}
