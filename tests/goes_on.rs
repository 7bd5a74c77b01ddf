//! Runs that go on: by the commands that are printed, with data that were moved, at another learning rate, after they
//! were stopped or killed.

use crate::program::{all, bytes, checkpoint, command, error_line, fails, made_on, ok, port, run};
use gan_core::{Checkpoint, Store};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub fn says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in\n{said}");
    }
}

pub fn train(paper: &str, dir: &Path, rest: &[&str]) -> String {
    ok(
        paper,
        dir,
        &[&["train", paper, "--out", "r"], rest].concat(),
    )
}

/// Iterations and values of a run's log under a name, or under all that begin with `NAME/`.
pub fn logged(run: &Path, name: &str) -> Vec<(u64, f32)> {
    let csv = String::from_utf8(bytes(&run.join("scalars.csv"))).unwrap();
    let fields = csv
        .lines()
        .skip(1)
        .map(|line| line.split(',').collect::<Vec<_>>());
    let named = fields
        .filter(|fields| fields[1] == name || (name.ends_with('/') && fields[1].starts_with(name)));
    named
        .map(|fields| (fields[0].parse().unwrap(), fields[2].parse().unwrap()))
        .collect()
}

/// The command that a run printed after this word, as the program's arguments.
fn printed<'a>(said: &'a str, word: &str) -> Vec<&'a str> {
    let line = said
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix(word));
    let mut lines = line.filter_map(|line| line.trim_start().strip_prefix("cargo xtask "));
    let line = lines
        .next()
        .unwrap_or_else(|| panic!("{word} is missing in\n{said}"));
    line.split(' ').collect()
}

fn differs(dir: &Path, before: u64, after: u64) -> bool {
    let weights = |t| {
        let read = Checkpoint::read(&checkpoint(&dir.join("r"), t)).unwrap();
        let of_g = read
            .tensors()
            .iter()
            .filter(|(name, _)| name.starts_with("g."));
        let values = of_g.map(|(_, t)| t.flatten_all().unwrap().to_dtype(candle_core::DType::F32));
        values
            .flat_map(|t| t.unwrap().to_vec1::<f32>().unwrap())
            .collect::<Vec<_>>()
    };
    let (before, after) = (weights(before), weights(after));
    before.len() == after.len() && before != after
}

#[test]
fn every_command_that_a_run_prints_does_something() {
    for recipe in all() {
        let (paper, dir) = (recipe.info().name, tempfile::tempdir().unwrap());
        let dir = dir.path();
        let smoke = ["--preset", "smoke", "--log-every", "1", "--save-every", "1"];
        let rest = ["--keep", "all", "--steps", "4", "--until", "3"];
        let said = train(paper, dir, &[&smoke[..], &rest].concat());
        let said = ok(paper, dir, &printed(&said, "go on"));
        assert!(differs(dir, 3, 4), "{paper}: to the end");
        ok(paper, dir, &printed(&said, "go on"));
        assert!(differs(dir, 4, 8), "{paper}: beyond it");
        let rates = logged(&dir.join("r"), "lr/");
        assert!(rates.iter().any(|(t, _)| *t == 8), "{paper}: {rates:?}");
        assert!(
            rates.iter().all(|(_, rate)| *rate > 0.),
            "{paper}: {rates:?}"
        );
        let sample = printed(&said, "sample");
        if port(recipe).is_none() {
            ok(paper, dir, &sample);
        } else {
            assert_eq!(sample[2..], ["--input", "PATH"]);
        }
    }
}

#[test]
fn a_file_of_settings_keeps_its_length_whatever_is_set() {
    for recipe in all() {
        let (paper, dir) = (recipe.info().name, tempfile::tempdir().unwrap());
        train(
            paper,
            dir.path(),
            &["--preset", "smoke", "--steps", "2", "--quiet"],
        );
        let again = [
            "train",
            paper,
            "--config",
            "r/config.toml",
            "--set",
            "lr=0.005",
        ];
        let said = ok(paper, dir.path(), &[&again[..], &["--dry-run"]].concat());
        says(&said, &["steps   2;", "lr=0.005", "  time    some "]);
    }
}

/// Words that need one another may stand in any order, and the one to blame is named.
#[test]
fn settings_are_judged_together() {
    let dir = tempfile::tempdir().unwrap();
    let dry = |set: &[&str]| {
        let mut args = vec!["train", "pix2pix", "--preset", "smoke", "--dry-run"];
        set.iter().for_each(|word| args.extend(["--set", word]));
        run("", dir.path(), &args)
    };
    for set in [["size=64", "downs=6"], ["downs=6", "size=64"]] {
        let output = dry(&set);
        assert!(output.status.success(), "{output:?}");
    }
    let line = error_line(&dry(&["size=64", "batch=0", "lr=1e-3"]), 2, &[]);
    says(&line, &["--set batch=0", "batch is 0"]);
}

/// A folder of this many pictures in colours, each its own.
fn photos(dir: &Path, n: u8) {
    fs::create_dir_all(dir).unwrap();
    for i in 0..n {
        photo(&dir.join(format!("p{i}.png")), i);
    }
}

fn photo(path: &Path, i: u8) {
    let pixel = |x: u32, y: u32| image::Rgb([x as u8 * 6, y as u8 * 7, 20 * i]);
    image::RgbImage::from_fn(40, 36, pixel).save(path).unwrap();
}

#[test]
fn data_that_were_moved_or_changed() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    photos(&dir.join("here"), 6);
    let begin = [
        "--preset",
        "smoke",
        "--data",
        "here",
        "--log-every",
        "1",
        "--steps",
    ];
    train("dcgan", dir, &[&begin[..], &["4", "--quiet"]].concat());
    let list = String::from_utf8(bytes(&dir.join("r/data.sha256"))).unwrap();
    assert_eq!(list.lines().count(), 6, "{list}");
    let whole = ["train", "dcgan", "--out", "whole"];
    ok("", dir, &[&whole[..], &begin, &["8", "--quiet"]].concat());

    fs::create_dir(dir.join("new place")).unwrap();
    fs::rename(dir.join("here"), dir.join("new place/there")).unwrap();
    let resume = ["train", "dcgan", "--out", "r", "--resume", "--steps", "8"];
    let line = fails(dir, &resume, 1);
    says(
        &line,
        &[
            "here: the data of this run are not there any more",
            "--data PATH",
        ],
    );
    let moved = [&resume[..], &["--data", "new place/there"]].concat();

    // Other contents are refused, by name.
    let there = dir.join("new place/there");
    let kept = bytes(&there.join("p1.png"));
    photo(&there.join("p1.png"), 9);
    fs::rename(there.join("p2.png"), dir.join("p2.png")).unwrap();
    photo(&there.join("z.png"), 3);
    let line = fails(dir, &moved, 1);
    says(
        &line,
        &[
            "new place/there",
            "changed: p1.png; missing: p2.png; new: z.png",
            "restore",
        ],
    );
    assert!(!line.contains("DataInfo"), "{line}");
    // Without the list, which earlier versions did not write, the counts are compared.
    fs::rename(dir.join("r/data.sha256"), dir.join("list")).unwrap();
    photo(&there.join("y.png"), 3);
    says(&fails(dir, &moved, 1), &["6 pictures then, 7 now"]);
    fs::remove_file(there.join("y.png")).unwrap();
    fs::remove_file(there.join("z.png")).unwrap();
    fs::rename(dir.join("p2.png"), there.join("p2.png")).unwrap();
    says(
        &fails(dir, &moved, 1),
        &["as many files, with other names or contents"],
    );
    fs::write(there.join("p1.png"), kept).unwrap();

    let said = ok("", dir, &moved);
    says(&said, &["the data are in", "new place/there now"]);
    assert_eq!(bytes(&dir.join("r/data.sha256")), list.as_bytes());
    says(
        &fs::read_to_string(dir.join("r/config.toml")).unwrap(),
        &["new place/there\""],
    );
    says(
        &fs::read_to_string(dir.join("r/notes.txt")).unwrap(),
        &["4\tthe data are in"],
    );
    let last = |run: &str| bytes(&checkpoint(&dir.join(run), 8));
    assert!(last("r") == last("whole"));
    // From then on it knows the place.
    let longer = ["train", "dcgan", "--out", "r", "--resume", "--steps", "9"];
    ok("", dir, &longer);
}

#[test]
fn what_goes_on_where_sums_can_be_rounded_otherwise_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let train = "train vanilla --preset smoke --steps 9 --out r".split(' ');
    let train: Vec<&str> = train.collect();
    let resume = [&train[..], &["--resume", "--dry-run"]].concat();
    ok("", dir, &[&train[..], &["--until", "3"]].concat());
    // Threads change no bits, and what an earlier version was on is not known.
    let own = fs::read_to_string(dir.join("r/config.toml")).unwrap();
    let own = own
        .lines()
        .find_map(|line| line.strip_prefix("device = \""));
    let own = own.unwrap().split_once(", ").unwrap().0.to_string();
    for device in [&format!("{own}, 99 threads"), "cpu, 99 threads"] {
        made_on(&dir.join("r"), device);
        assert!(!ok("", dir, &resume).contains("one place"), "{device}");
    }
    for device in ["cpu (abacus), 2 threads", "cuda:0, NAME"] {
        made_on(&dir.join("r"), device);
        let said = format!("it was made on {device} up to here and goes on on {own}, ");
        says(&ok("", dir, &resume), &[&said]);
    }
    ok("", dir, &resume[..resume.len() - 1]);
    let notes = fs::read_to_string(dir.join("r/notes.txt")).unwrap();
    says(&notes, &["3\tit was made on cuda:0, NAME up to here"]);
}

#[test]
fn a_learning_rate_is_changed_on_the_way_and_the_file_repeats_that() {
    // One that falls to 0 and is made longer, too; one with momentum and a schedule of its own.
    for (paper, length, set, more) in [
        (
            "cyclegan",
            &["--steps", "10", "--stretch"][..],
            "lr=5e-5",
            "lr=1e-5",
        ),
        ("cgan", &["--steps", "10"], "lr=0.02", "lr_decay=1.5"),
        ("vanilla", &["--steps", "10"], "lr=1e-4", "lr=1e-5"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let smoke = [
            "--preset",
            "smoke",
            "--log-every",
            "1",
            "--save-every",
            "2",
            "--quiet",
        ];
        let first = [&smoke[..], length].concat();
        let first: Vec<_> = first
            .into_iter()
            .filter(|word| *word != "--stretch")
            .collect();
        train(paper, dir, &[&first[..], &["--until", "4"]].concat());
        let before = logged(&dir.join("r"), "lr/g");
        // What makes it another run stays refused.
        let other = ["train", paper, "--out", "r", "--resume", "--set", "batch=3"];
        says(
            &fails(dir, &[&other[..], &["--set", set]].concat(), 2),
            &["--set batch"],
        );
        assert_eq!(logged(&dir.join("r"), "lr/g"), before);
        train(
            paper,
            dir,
            &["--resume", "--set", set, "--until", "7", "--quiet"],
        );
        train(paper, dir, &["--resume", "--set", more, "--quiet"]);
        let rates = logged(&dir.join("r"), "lr/g");
        assert_eq!(rates[..4], before, "{paper}");
        assert!(rates[4].1 < rates[3].1 * 0.9, "{paper}: {rates:?}");
        assert!(rates[9].1 < rates[6].1 * 0.9, "{paper}: {rates:?}");
        let config = fs::read_to_string(dir.join("r/config.toml")).unwrap();
        says(&config, &["changes = [", "from = 4", "from = 7"]);
        let notes = fs::read_to_string(dir.join("r/notes.txt")).unwrap();
        says(&notes, &["4\tlr is ", "from iteration 4 on, it was", "7\t"]);

        // In one go, and killed or stopped in between, to the same bytes.
        let repeat = [
            "train",
            paper,
            "--config",
            "r/config.toml",
            "--quiet",
            "--out",
        ];
        ok("", dir, &[&repeat[..], &["again"]].concat());
        ok("", dir, &[&repeat[..], &["parts", "--until", "5"]].concat());
        ok(
            "",
            dir,
            &["train", paper, "--out", "parts", "--resume", "--quiet"],
        );
        for name in [
            "checkpoints/step-00000010.safetensors",
            "checkpoints/step-00000006.safetensors",
            "scalars.csv",
        ] {
            let [r, again, parts] =
                ["r", "again", "parts"].map(|run| bytes(&dir.join(run).join(name)));
            assert!(r == again, "{paper}: {name} in one go");
            assert!(r == parts, "{paper}: {name} in parts");
        }
        // A rate that is named holds from beginning to end.
        let said = ok(
            "",
            dir,
            &[
                "train",
                paper,
                "--config",
                "r/config.toml",
                "--set",
                "lr=0.5",
                "--dry-run",
            ],
        );
        says(&said, &["lr=0.5"]);
        if paper != "cyclegan" {
            ok("", dir, &["sample", "r", "-n", "4", "--out", "s.png"]);
        }
    }
}

fn kill(pid: u32, signal: &str) {
    let status = Command::new("kill")
        .args([&format!("-{signal}"), &pid.to_string()])
        .status();
    assert!(status.unwrap().success());
}

fn wait_for(done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "waited for a minute"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// All files of a run but those with times in them.
fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(&next).unwrap().flatten() {
            match entry.path() {
                path if path.is_dir() && path.ends_with("tensorboard") => {}
                path if path.ends_with("times.csv") || path.ends_with("report.html") => {}
                path if path.is_dir() => dirs.push(path),
                path => all.push((path.strip_prefix(dir).unwrap().to_path_buf(), bytes(&path))),
            }
        }
    }
    all.sort();
    all
}

#[test]
fn where_a_run_was_stopped_is_shown_and_leaves_no_trace() {
    for (paper, steps) in [("vanilla", "3000"), ("pix2pix", "60")] {
        let dir = tempfile::tempdir().unwrap();
        let often = [
            "--preset",
            "smoke",
            "--steps",
            steps,
            "--save-every",
            "20",
            "--sample-every",
            "30",
        ];
        let args = [&["train", paper, "--out", "r"], &often[..]].concat();
        let child = command(paper, dir.path(), &args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let r = dir.path().join("r");
        wait_for(|| Store::list(&r.join("checkpoints")).is_ok_and(|all| !all.is_empty()));
        kill(child.id(), "INT");
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            continue; // it was done before the signal came
        }
        assert_eq!(output.status.code(), Some(130), "{said}");
        says(
            &said,
            &[
                "r/samples/interrupted.png",
                "sample    cargo xtask sample r",
                "go on     cargo xtask train",
            ],
        );
        let shown = image::open(r.join("samples/interrupted.png")).unwrap();
        let latest = image::open(r.join("samples/latest.png")).unwrap();
        assert_eq!(
            (shown.width(), shown.height()),
            (latest.width(), latest.height())
        );
        train(paper, dir.path(), &["--resume", "--quiet"]);
        ok(
            paper,
            dir.path(),
            &[&["train", paper, "--out", "whole", "--quiet"], &often[..]].concat(),
        );
        let [stopped, whole] = ["r", "whole"].map(|run| files(&dir.path().join(run)));
        let names = |files: &[(PathBuf, Vec<u8>)]| {
            files
                .iter()
                .map(|(name, _)| name.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&stopped), names(&whole), "{paper}");
        for ((name, a), (_, b)) in stopped.iter().zip(&whole) {
            assert!(a == b, "{paper}: {} differs", name.display());
        }
        let column = if paper == "vanilla" { "fake" } else { "strips" };
        let last = format!("samples/step-{:0>8}-{column}.png", steps);
        assert!(bytes(&r.join(last)) == bytes(&r.join("samples/latest.png")));
    }
}

#[test]
fn a_run_that_was_killed_says_so_when_it_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let args = [
        "train",
        "vanilla",
        "--preset",
        "smoke",
        "--steps",
        "1000000",
        "--out",
        "r",
        "--save-every",
        "50",
    ];
    let mut child = command("", dir.path(), &args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let r = dir.path().join("r");
    wait_for(|| Store::list(&r.join("checkpoints")).is_ok_and(|all| !all.is_empty()));
    child.kill().unwrap();
    child.wait().unwrap();
    let (newest, _) = Store::newest(&r.join("checkpoints")).unwrap();
    let until = (newest.unwrap().header.iteration + 3).to_string();
    let resume = ["--resume", "--until", &until];
    let word = "ended without a word before: it was killed, perhaps for want of memory";
    says(&train("vanilla", dir.path(), &resume), &[word]);
    // What ended in order does not.
    let said = train("vanilla", dir.path(), &["--resume", "--dry-run"]);
    assert!(!said.contains(word), "{said}");
    assert_eq!(bytes(&r.join(".lock")), b"");
}
