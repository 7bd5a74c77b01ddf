//! The length of a run: held once, stopped earlier, made longer; and runs of the format before.

use crate::program::{bytes, checkpoint, fails, ok};
use gan_core::Checkpoint;
use std::fs;
use std::path::Path;

fn says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in\n{said}");
    }
}

/// The learning rate of G in each logged iteration.
fn rates(run: &Path) -> Vec<f32> {
    let csv = String::from_utf8(bytes(&run.join("scalars.csv"))).unwrap();
    let lines = csv.lines().filter_map(|line| line.split_once(",lr/g,"));
    lines.map(|(_, rate)| rate.parse().unwrap()).collect()
}

fn train(dir: &Path, rest: &[&str]) -> String {
    ok(
        "",
        dir,
        &[&["train", "cyclegan", "--out", "r"], rest].concat(),
    )
}

#[test]
fn a_longer_run_needs_a_choice_where_its_schedule_depends_on_the_length() {
    let whole = tempfile::tempdir().unwrap();
    // A rate that falls in the second half.
    let first = [
        "--preset",
        "smoke",
        "--set",
        "lr=8e-4",
        "--log-every",
        "1",
        "--steps",
        "8",
    ];
    let said = train(whole.path(), &first);
    // The printed command says how to go on, and what it does is not nothing.
    says(&said, &["--resume --steps 16 --stretch"]);
    let run = |dir: &Path| dir.join("r");
    let want = [8., 8., 8., 8., 8., 6., 4., 2.].map(|x: f32| x * 1e-4);
    let near = |got: &[f32], want: &[f32]| {
        assert_eq!(got.len(), want.len(), "{got:?}");
        assert!(
            got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-8),
            "{got:?}"
        );
    };
    near(&rates(&run(whole.path())), &want);

    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let said = train(dir, &[&first[..], &["--until", "6"]].concat());
    says(
        &said,
        &["paused and saved after 6 of 8 iterations", "--resume"],
    );
    let refused = |rest: &[&str], words: &[&str]| {
        let args = [&["train", "cyclegan", "--out", "r"], rest].concat();
        says(&fails(dir, &args, 2), words);
    };
    refused(
        &["--resume", "--steps", "10"],
        &["--stretch", "--constant", "--until"],
    );
    refused(&["--resume", "--stretch"], &["add --steps N"]);
    refused(
        &["--resume", "--until", "6"],
        &["6 iterations are done already"],
    );
    let alone = [
        "train",
        "cyclegan",
        "--out",
        "r",
        "--stretch",
        "--steps",
        "10",
    ];
    assert_eq!(crate::program::run("", dir, &alone).status.code(), Some(2));

    // To its end as if it had never paused.
    let copy = tempfile::tempdir().unwrap();
    let into = |name: &str| {
        let to = copy.path().join(name);
        let status = std::process::Command::new("cp")
            .arg("-r")
            .arg(run(dir))
            .arg(&to)
            .status();
        assert!(status.unwrap().success());
        to
    };
    let longer = |name: &str, rest: &[&str]| {
        let to = into(name);
        let args = ["train", "cyclegan", "--out", name, "--resume"];
        ok("", copy.path(), &[&args[..], rest].concat());
        to
    };
    let same = longer("same", &[]);
    assert_eq!(
        bytes(&checkpoint(&same, 8)),
        bytes(&checkpoint(&run(whole.path()), 8))
    );

    let stretched = longer("stretched", &["--steps", "12", "--stretch"]);
    near(
        &rates(&stretched)[6..],
        &[8., 20. / 3., 16. / 3., 4., 8. / 3., 4. / 3.].map(|x| x * 1e-4),
    );
    let held = longer("held", &["--steps", "10", "--constant"]);
    near(&rates(&held)[6..], &[6e-4; 4]);
    // The choice stands in settings, checkpoint and log, and goes on to hold.
    says(
        &fs::read_to_string(held.join("config.toml")).unwrap(),
        &["steps = 10", "schedule = { held_from = 6, steps = 8 }"],
    );
    let header = Checkpoint::read(&checkpoint(&held, 10)).unwrap().header;
    assert_eq!(header.length.unwrap().held_from, Some(6));
    says(
        &fs::read_to_string(held.join("notes.txt")).unwrap(),
        &["6\t", "10 iterations now, not 8", "stays where it is"],
    );
    let args = [
        "train",
        "cyclegan",
        "--out",
        "held",
        "--resume",
        "--steps",
        "11",
        "--constant",
    ];
    ok("", copy.path(), &args);
    near(&rates(&held)[10..], &[6e-4]);
}

#[test]
fn a_length_in_epochs_or_from_a_file_is_one_number() {
    let dir = tempfile::tempdir().unwrap();
    let dry = |rest: &[&str]| {
        let args = ["train", "dcgan", "--preset", "smoke", "--dry-run"];
        ok("", dir.path(), &[&args[..], rest].concat())
    };
    says(&dry(&["--epochs", "2"]), &["steps   1,125;"]); // 2 · 9,000 / 16
    says(
        &dry(&["--epochs", "2", "--set", "batch=9"]),
        &["steps   2,000;"],
    );
    let both = ["train", "dcgan", "--epochs", "2", "--steps", "3"];
    let output = crate::program::run("", dir.path(), &both);
    assert_eq!(output.status.code(), Some(2));
    // Another setting leaves the length of a file as it is.
    let args = [
        "train", "dcgan", "--preset", "smoke", "--steps", "3", "--out", "r", "--quiet",
    ];
    ok("", dir.path(), &args);
    let args = [
        "train",
        "dcgan",
        "--config",
        "r/config.toml",
        "--set",
        "lr=1e-3",
        "--dry-run",
    ];
    says(&ok("", dir.path(), &args), &["steps   3;"]);
}

/// Runs that were begun before format 2 (`tests/format1`): their settings are read, and they go on to the
/// weights that they went on to then.
#[test]
fn runs_of_the_format_before_go_on() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/format1");
    for (paper, from, to) in [("vanilla", 2, 4), ("cyclegan", 3, 6)] {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("r");
        fs::create_dir_all(run.join("checkpoints")).unwrap();
        fs::copy(
            root.join(paper).join("config.toml"),
            run.join("config.toml"),
        )
        .unwrap();
        fs::copy(checkpoint(&root.join(paper), from), checkpoint(&run, from)).unwrap();
        let said = ok("", dir.path(), &["train", paper, "--out", "r", "--resume"]);
        says(&said, &["begun by an earlier version"]);
        let [then, now] = [root.join(paper), run.clone()].map(|run| {
            let read = Checkpoint::read(&checkpoint(&run, to)).unwrap();
            let tensors = read.tensors().iter().map(|(name, t)| {
                let t = t
                    .to_dtype(candle_core::DType::F32)
                    .unwrap()
                    .flatten_all()
                    .unwrap();
                let bits = t.to_vec1::<f32>().unwrap();
                (
                    name.clone(),
                    bits.iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
                )
            });
            (read.header.format, tensors.collect::<Vec<_>>())
        });
        assert_eq!((then.0, now.0), (1, 2));
        assert!(then.1 == now.1, "{paper} goes on to other weights");
        let args = ["train", paper, "--config", "r/config.toml", "--dry-run"];
        says(&ok("", dir.path(), &args), &["dry run"]);
        if paper == "vanilla" {
            ok(
                "",
                dir.path(),
                &["sample", "r", "-n", "4", "--out", "s.png"],
            );
            // The old file itself says enough for a new run.
            let file = root.join(paper).join("config.toml");
            let args = [
                "train",
                paper,
                "--config",
                file.to_str().unwrap(),
                "--dry-run",
            ];
            says(&ok("", dir.path(), &args), &["steps   4;", "flip=false"]);
        }
    }
}
