//! Bad input: one line that names the file, what was expected and what to do; nothing saved is lost.
//!
//! Some 500 lines because each fault is made, seen and undone in full.

use crate::program::{bytes, checkpoint, command, error_line, fails, ok, run};
use gan_core::Checkpoint;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const TRAIN: [&str; 4] = ["train", "vanilla", "--preset", "smoke"];

fn assets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../assets")
        .canonicalize()
        .unwrap()
}

fn says(line: &str, words: &[&str]) {
    for word in words {
        assert!(line.contains(word), "{word:?} is missing in {line}");
    }
}

#[test]
fn data_that_is_missing_or_broken() {
    let dir = tempfile::tempdir().unwrap();
    let fail = |data: &str| {
        fails(
            dir.path(),
            &[&TRAIN[..], &["--data", data, "--out", "r"]].concat(),
            1,
        )
    };
    says(
        &fail("no/such/folder"),
        &["no/such/folder", "no such folder", "--data"],
    );
    fs::create_dir(dir.path().join("empty")).unwrap();
    says(
        &fail("empty"),
        &["empty", "holds no files", "MNIST's format"],
    );
    fs::write(dir.path().join("file"), "x").unwrap();
    says(
        &fail("./file"),
        &["file", "is neither a folder nor a zip file"],
    );

    let set = dir.path().join("set");
    fs::create_dir(&set).unwrap();
    let names = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"];
    let restore = || {
        for name in names {
            fs::copy(assets().join("mnist").join(name), set.join(name)).unwrap();
        }
    };
    restore();
    let whole = bytes(&set.join(names[0]));
    fs::write(set.join(names[0]), &whole[..1_000_000]).unwrap();
    says(
        &fail("set"),
        &[
            names[0],
            "9000 x 28 x 28",
            "999984 bytes follow",
            "fetch the file again",
        ],
    );
    let claim = [&whole[..4], &u32::MAX.to_be_bytes(), &whole[8..]].concat();
    fs::write(set.join(names[0]), claim).unwrap();
    says(&fail("set"), &[names[0], "4294967295 x 28 x 28"]);
    fs::write(set.join(names[0]), "hello, world").unwrap();
    says(&fail("set"), &[names[0], "two zero bytes"]);
    restore();
    fs::remove_file(set.join(names[1])).unwrap();
    says(&fail("set"), &[names[1], "cannot be read"]);
    fs::copy(set.join(names[0]), set.join(names[1])).unwrap();
    says(&fail("set"), &[names[1], "not swapped"]);
    restore();
    let mut labels = bytes(&set.join(names[1]));
    labels.truncate(labels.len() - 1);
    labels[7] = labels[7].wrapping_sub(1);
    fs::write(set.join(names[1]), labels).unwrap();
    says(&fail("set"), &[names[1], "9000 pictures"]);
    assert!(
        !dir.path().join("r").exists(),
        "a folder was made for a run that cannot be"
    );
}

fn trained(steps: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let args = [
        &TRAIN[..],
        &[
            "--out",
            "r",
            "--save-every",
            "2",
            "--sample-every",
            "36",
            "--steps",
            steps,
        ],
    ]
    .concat();
    ok("", dir.path(), &args);
    dir
}

#[test]
fn checkpoints_that_are_damaged_are_named_and_the_one_before_serves() {
    let dir = trained("6");
    let (run_dir, resume) = (
        dir.path().join("r"),
        ["train", "vanilla", "--out", "r", "--resume"],
    );
    let newest = checkpoint(&run_dir, 6);
    let whole = bytes(&newest);
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    for damaged in [&whole[..whole.len() - 1], &whole[..100], &[], &flipped] {
        fs::write(&newest, damaged).unwrap();
        let name = "step-00000006.safetensors";
        let args = [
            &resume[..4],
            &["--resume", newest.to_str().unwrap(), "--steps", "8"],
        ]
        .concat();
        says(
            &fails(dir.path(), &args, 1),
            &[name, "is damaged", "the checkpoint before it"],
        );
        let output = run(
            "",
            dir.path(),
            &[&resume[..], &["--steps", "8", "--dry-run"]].concat(),
        );
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        says(
            &said,
            &[
                "warning:",
                name,
                "going on from",
                "step-00000004.safetensors",
            ],
        );
    }
    // It goes on from the one before, to the bytes that were damaged.
    ok("", dir.path(), &[&resume[..], &["--steps", "6"]].concat());
    assert!(bytes(&newest) == whole);
    for t in [2, 4, 6] {
        fs::write(checkpoint(&run_dir, t), "x").unwrap();
    }
    let line = fails(dir.path(), &[&resume[..], &["--steps", "8"]].concat(), 1);
    says(&line, &["checkpoints", "no checkpoint in it is intact"]);
}

#[test]
fn checkpoints_of_another_run_are_refused() {
    let dir = trained("4");
    let other = [
        &TRAIN[..],
        &["--out", "s", "--steps", "4", "--set", "z_dim=9"],
    ]
    .concat();
    ok("", dir.path(), &other);
    ok(
        "",
        dir.path(),
        &[&TRAIN[..], &["--out", "u", "--steps", "4", "--seed", "9"]].concat(),
    );
    let resume = |file: &str| {
        let args = [
            "train", "vanilla", "--out", "r", "--steps", "9", "--resume", file,
        ];
        fails(dir.path(), &args, 1)
    };
    says(
        &resume("s/checkpoints/step-00000004.safetensors"),
        &["s/checkpoints", "z_dim is 9 in it, 8 in config.toml"],
    );
    says(
        &resume("u/checkpoints/step-00000004.safetensors"),
        &["seed 9, not 1"],
    );
    says(
        &resume("s/weights/g.safetensors"),
        &["g.safetensors", "no checkpoint of this program"],
    );
    says(
        &resume("absent.safetensors"),
        &["absent.safetensors", "cannot be read"],
    );
    // Another paper's: the toy's checkpoint under the vanilla run's folder.
    ok(
        "toy-critic",
        dir.path(),
        &["train", "toy-critic", "--out", "t", "--steps", "4"],
    );
    says(
        &resume("t/checkpoints/step-00000004.safetensors"),
        &["is a checkpoint of toy-critic, not of vanilla"],
    );
    let line = fails(
        dir.path(),
        &["train", "vanilla", "--out", "t", "--resume"],
        1,
    );
    says(&line, &["is a run of toy-critic, not of vanilla"]);

    for (option, value, word) in [
        ("--set", "z_dim=3", "--set z_dim"),
        ("--seed", "2", "--seed"),
        ("--preset", "paper", "--preset"),
    ] {
        let line = fails(
            dir.path(),
            &["train", "vanilla", "--out", "r", "--resume", option, value],
            2,
        );
        says(&line, &[word, "would change a run that has begun"]);
    }
    let line = fails(
        dir.path(),
        &[
            "train", "vanilla", "--out", "r", "--resume", "--data", "emoji", "--steps", "9",
        ],
        1,
    );
    says(&line, &["emoji: are other data than this run began with"]);
    for rest in [&[][..], &["--set", "lr=0.1"]] {
        let args = ["train", "vanilla", "--out", "r", "--resume"];
        let line = fails(dir.path(), &[&args[..], rest].concat(), 2);
        says(&line, &["all 4 iterations are done", "--steps"]);
    }
    let line = fails(dir.path(), &[&TRAIN[..], &["--out", "r"]].concat(), 1);
    says(&line, &["r", "holds a run already", "--resume"]);
    let line = fails(
        dir.path(),
        &["train", "vanilla", "--out", "absent", "--resume"],
        1,
    );
    says(&line, &["absent", "no such folder"]);
    let empty = tempfile::tempdir().unwrap();
    let line = fails(empty.path(), &["train", "vanilla", "--resume"], 1);
    says(&line, &["runs/vanilla", "no run to go on with"]);
}

#[test]
fn going_on_from_an_earlier_checkpoint_leaves_one_course() {
    let dir = trained("6");
    let run_dir = dir.path().join("r");
    let whole = bytes(&checkpoint(&run_dir, 6));
    let from = "r/checkpoints/step-00000004.safetensors";
    let args = [
        "train", "vanilla", "--resume", from, "--steps", "5", "--keep", "1",
    ];
    ok("", dir.path(), &args);
    let left: Vec<_> = gan_core::Store::list(&run_dir.join("checkpoints")).unwrap();
    assert_eq!(left.iter().map(|(t, _)| *t).collect::<Vec<_>>(), [4, 5]);
    assert!(
        run_dir
            .join("checkpoints/step-00000006.safetensors.abandoned")
            .exists()
    );
    ok(
        "",
        dir.path(),
        &["train", "vanilla", "--out", "r", "--resume", "--steps", "6"],
    );
    assert!(bytes(&checkpoint(&run_dir, 6)) == whole);

    // A finished run whose checkpoints are gone is not started again over its own results.
    fs::remove_dir_all(run_dir.join("checkpoints")).unwrap();
    let line = fails(
        dir.path(),
        &["train", "vanilla", "--out", "r", "--resume"],
        1,
    );
    says(&line, &["r/checkpoints", "holds no checkpoint"]);
    assert!(run_dir.join("scalars.csv").exists());
    let line = fails(
        dir.path(),
        &[&TRAIN[..], &["--out", "r", "--dry-run"]].concat(),
        1,
    );
    says(&line, &["holds a run already"]);
    let line = fails(dir.path(), &["sample", "r"], 1);
    says(&line, &["holds no intact checkpoint"]);
}

#[test]
fn other_contents_of_the_same_shape_are_other_data() {
    let dir = tempfile::tempdir().unwrap();
    let set = dir.path().join("set");
    fs::create_dir(&set).unwrap();
    for name in ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"] {
        fs::copy(assets().join("mnist").join(name), set.join(name)).unwrap();
    }
    ok(
        "",
        dir.path(),
        &[&TRAIN[..], &["--data", "set", "--out", "r", "--steps", "2"]].concat(),
    );
    let images = set.join("train-images-idx3-ubyte");
    let mut changed = bytes(&images);
    changed[5000] ^= 1;
    fs::write(&images, changed).unwrap();
    let line = fails(
        dir.path(),
        &["train", "vanilla", "--out", "r", "--resume", "--steps", "4"],
        1,
    );
    says(
        &line,
        &[
            "set: are other data than this run began with",
            "changed: train-images-idx3-ubyte",
        ],
    );
    // Sampling needs the checkpoint alone.
    fs::remove_dir_all(&set).unwrap();
    ok(
        "",
        dir.path(),
        &["sample", "r", "-n", "4", "--out", "four.png"],
    );
}

/// `| head` closes the pipe early: the run must end in order all the same.
#[test]
fn a_reader_that_goes_away_does_not_end_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_xtask");
    let script = format!("{program} train vanilla --preset smoke --out r 2>&1 | head -1");
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(output.status.success());
    assert!(checkpoint(&dir.path().join("r"), 36).exists());
}

#[test]
fn a_config_file_that_does_not_fit() {
    let dir = trained("2");
    let config = dir.path().join("r/config.toml");
    let text = String::from_utf8(bytes(&config)).unwrap();
    for (from, to, words) in [
        ("z_dim = 8", "z_dim = \"x\"", &["invalid type"][..]),
        ("z_dim = 8", "zdim = 8", &["zdim"]),
        ("steps = 2", "steps = ", &["line"]),
        (
            "paper = \"vanilla\"",
            "paper = \"other\"",
            &["belongs to other"],
        ),
    ] {
        fs::write(dir.path().join("c.toml"), text.replace(from, to)).unwrap();
        let args = ["train", "vanilla", "--config", "c.toml", "--out", "n"];
        let output = run("", dir.path(), &args);
        let code = output.status.code().unwrap();
        assert!(code == 1 || code == 2);
        says(&error_line(&output, code, &args), words);
    }
    let line = fails(
        dir.path(),
        &["train", "vanilla", "--config", "absent.toml"],
        1,
    );
    says(&line, &["absent.toml", "cannot be read"]);
}

#[test]
fn a_full_disk_ends_the_run_and_keeps_what_was_saved() {
    let dir = trained("2");
    let saved = bytes(&checkpoint(&dir.path().join("r"), 2));
    // A checkpoint has some 300 KiB; no file may pass 64 KiB. On the CPU: a stand-in GPU writes larger files, too.
    let program = env!("CARGO_BIN_EXE_xtask");
    let train = "train vanilla --out r --resume --steps 6 --device cpu";
    let script = format!("ulimit -f 64; exec {program} {train}");
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let line = text
        .lines()
        .find(|line| line.starts_with("error: "))
        .unwrap();
    says(
        line,
        &[
            "step-00000004.safetensors",
            "cannot be written",
            "free some space",
        ],
    );
    assert!(bytes(&checkpoint(&dir.path().join("r"), 2)) == saved);
    let files: Vec<_> = fs::read_dir(dir.path().join("r/checkpoints"))
        .unwrap()
        .flatten()
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");
    ok(
        "",
        dir.path(),
        &["train", "vanilla", "--out", "r", "--resume", "--steps", "6"],
    );
    let never = trained("6");
    let last = |dir: &Path| bytes(&checkpoint(&dir.join("r"), 6));
    assert!(last(dir.path()) == last(never.path()));
}

/// Root may write everywhere, so the program runs as nobody, from a place that nobody can read.
#[test]
fn a_read_only_folder() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = dir.path().join("xtask");
    fs::copy(env!("CARGO_BIN_EXE_xtask"), &program).unwrap();
    let set = dir.path().join("assets/mnist");
    fs::create_dir_all(&set).unwrap();
    for name in ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"] {
        fs::copy(assets().join("mnist").join(name), set.join(name)).unwrap();
    }
    fs::create_dir(dir.path().join("locked")).unwrap();
    fs::set_permissions(dir.path().join("locked"), fs::Permissions::from_mode(0o555)).unwrap();
    let is_root = fs::read_to_string("/proc/self/status")
        .unwrap()
        .contains("\nUid:\t0\t");
    for out in ["locked", "locked/r"] {
        let args = [&TRAIN[..], &["--out", out, "--steps", "2"]].concat();
        let mut command = Command::new(&program);
        command
            .args(&args)
            .current_dir(dir.path())
            .env("GAN_ASSETS", dir.path().join("assets"));
        if is_root {
            command.uid(65534).gid(65534);
        }
        let output = command.output().unwrap();
        says(
            &error_line(&output, 1, &args),
            &["locked", "Permission denied", "--out"],
        );
    }
}

#[test]
fn a_folder_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let args = [&TRAIN[..], &["--out", "r", "--steps", "1000000", "--quiet"]].concat();
    let mut child = command("vanilla", dir.path(), &args)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !dir.path().join("r/config.toml").exists() {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
    let line = fails(
        dir.path(),
        &["train", "vanilla", "--out", "r", "--resume"],
        1,
    );
    says(
        &line,
        &["r: another process is training in this folder", "--out"],
    );
    says(&fails(dir.path(), &args, 1), &["r: holds a run already"]);
    child.kill().unwrap();
    child.wait().unwrap();
    // A killed run leaves no lock.
    ok(
        "",
        dir.path(),
        &[
            "train",
            "vanilla",
            "--out",
            "r",
            "--resume",
            "--steps",
            "1000001",
            "--dry-run",
        ],
    );
}

#[test]
fn weights_that_do_not_fit() {
    let dir = trained("2");
    let sample = |file: &str| fails(dir.path(), &["sample", "vanilla", "--weights", file], 1);
    says(
        &sample("r/weights/d.safetensors"),
        &["d.safetensors", "gen.0.weight is missing"],
    );
    let whole = bytes(&dir.path().join("r/weights/g.safetensors"));
    fs::write(
        dir.path().join("cut.safetensors"),
        &whole[..whole.len() / 2],
    )
    .unwrap();
    says(
        &sample("cut.safetensors"),
        &["cut.safetensors", "cut short"],
    );
    says(&sample("absent"), &["absent", "cannot be read"]);
    says(
        &fails(dir.path(), &["sample", "nowhere"], 1),
        &["nowhere", "no such folder"],
    );
    says(
        &fails(dir.path(), &["weights", "inspect", "absent"], 1),
        &["absent", "cannot be read"],
    );
    let saved = checkpoint(&dir.path().join("r"), 2);
    assert_eq!(Checkpoint::read(&saved).unwrap().header.iteration, 2);
}
