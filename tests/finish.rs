//! How runs end: what they leave, what is made up for later, who may still write, signals.

use crate::program::{bytes, checkpoint, command, error_line, fails, ok, run};
use gan_core::Store;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in\n{said}");
    }
}

/// All files of a folder, by their names in it.
pub fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(&next).unwrap().flatten() {
            match entry.path() {
                path if path.is_dir() => dirs.push(path),
                path => {
                    let name = path.strip_prefix(dir).unwrap().to_path_buf();
                    all.insert(name, bytes(&path));
                }
            }
        }
    }
    all
}

pub fn same(found: &BTreeMap<PathBuf, Vec<u8>>, wanted: &BTreeMap<PathBuf, Vec<u8>>, what: &str) {
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(wanted), "{what}");
    for (name, bytes) in wanted {
        assert!(found[name] == *bytes, "{what}: {} differs", name.display());
    }
}

#[test]
fn what_a_run_leaves_at_its_end_is_made_up_for() {
    for (paper, held_out) in [
        ("vanilla", &[][..]),
        ("pix2pix", &["held-out.png"]),
        ("cyclegan", &["held-out-a2b.png", "held-out-b2a.png"]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let smoke = ["train", paper, "--preset", "smoke", "--out", "r"];
        let often = ["--steps", "3", "--sample-every", "1"];
        ok("", dir.path(), &[&smoke[..], &often].concat());
        let run_dir = dir.path().join("r");
        let whole = files(&run_dir);
        let is_left = |name: &&PathBuf| {
            let name = name.to_str().unwrap();
            name.starts_with("weights/") || name == "progress.gif" || name.contains("held-out")
        };
        let left: Vec<PathBuf> = whole.keys().filter(is_left).cloned().collect();
        for name in ["progress.gif", "weights/g.safetensors"]
            .iter()
            .chain(held_out)
        {
            assert!(left.contains(&name.into()), "{paper}: {left:?}");
        }
        let resume = ["train", paper, "--out", "r", "--resume"];
        let all_done = || {
            says(
                &fails(dir.path(), &resume, 2),
                &["r: all 3 iterations are done", "--steps"],
            );
        };
        all_done();
        // Stopped before each of them was made, in any order; or cut off.
        for (i, first) in left.iter().enumerate() {
            let half = whole[first].len() / 2;
            let cuts = match (paper, first.extension()) {
                ("vanilla", _) => &[None, Some(1), Some(half)][..],
                // What translates takes its time: weights and films are the same for all.
                (_, Some(png)) if png == "png" => &[None, Some(1)],
                _ => &[],
            };
            for &cut in cuts {
                match cut {
                    None => left[i..]
                        .iter()
                        .for_each(|name| fs::remove_file(run_dir.join(name)).unwrap()),
                    Some(n) => {
                        let bytes = &whole[first];
                        fs::write(run_dir.join(first), &bytes[..bytes.len() - n]).unwrap();
                    }
                }
                let what = format!("{paper}: {} cut by {cut:?}", first.display());
                if cut.is_none() {
                    let before = files(&run_dir);
                    let said = ok("", dir.path(), &[&resume[..], &["--dry-run"]].concat());
                    says(&said, &["missing", "nothing was done"]);
                    same(&files(&run_dir), &before, &what);
                }
                let said = ok("", dir.path(), &resume);
                says(&said, &["all 3 iterations are done, but not all", "made"]);
                same(&files(&run_dir), &whole, &what);
            }
        }
        fs::remove_dir_all(run_dir.join("weights")).unwrap();
        ok("", dir.path(), &[&resume[..], &["--quiet"]].concat());
        same(&files(&run_dir), &whole, paper);
        all_done();
        // One that has too few grids for a film promises none.
        if paper == "vanilla" {
            fs::remove_file(run_dir.join("progress.gif")).unwrap();
            fs::remove_dir_all(run_dir.join("samples")).unwrap();
            all_done();
        }
    }
}

#[test]
fn what_a_shorter_run_left_does_not_stand_for_a_longer_ones() {
    for (paper, left) in [
        ("vanilla", &["progress.gif", "weights"][..]),
        ("pix2pix", &["held-out.png", "progress.gif", "weights"]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let smoke = ["train", paper, "--preset", "smoke", "--out", "r"];
        let often = ["--steps", "2", "--sample-every", "1"];
        ok("", dir.path(), &[&smoke[..], &often].concat());
        let (run_dir, old) = (dir.path().join("r"), dir.path().join("old"));
        fs::create_dir(&old).unwrap();
        for name in left {
            fs::rename(run_dir.join(name), old.join(name)).unwrap();
        }
        let resume = ["train", paper, "--out", "r", "--resume"];
        ok("", dir.path(), &[&resume[..], &["--steps", "4"]].concat());
        let whole = files(&run_dir);
        // As if it had been killed right after its last checkpoint.
        fs::remove_dir_all(run_dir.join("weights")).unwrap();
        for name in left {
            fs::rename(old.join(name), run_dir.join(name)).unwrap();
        }
        ok("", dir.path(), &resume);
        same(&files(&run_dir), &whole, paper);
        says(&fails(dir.path(), &resume, 2), &["all 4 iterations"]);
    }
}

const ENDLESS: [&str; 8] = [
    "train", "vanilla", "--preset", "smoke", "--steps", "1000000", "--out", "r",
];

fn spawn(dir: &Path, rest: &[&str]) -> Child {
    let mut command = command("", dir, &[&ENDLESS[..], rest].concat());
    let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    piped.spawn().unwrap()
}

fn wait_for(done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        let waited = start.elapsed();
        assert!(waited < Duration::from_secs(60), "waited for a minute");
        std::thread::yield_now();
    }
}

fn signal(child: &Child, signal: &str) {
    let status = Command::new("kill")
        .args([&format!("-{signal}"), &child.id().to_string()])
        .status();
    assert!(status.unwrap().success());
}

fn saved(dir: &Path) -> usize {
    Store::list(&dir.join("r/checkpoints")).map_or(0, |all| all.len())
}

#[test]
fn a_process_whose_folder_was_removed_leaves_the_next_run_alone() {
    let dir = tempfile::tempdir().unwrap();
    let often = ["--save-every", "1", "--sample-every", "1", "--keep"];
    let old = spawn(dir.path(), &[&often[..], &["1"]].concat());
    wait_for(|| saved(dir.path()) > 0);
    signal(&old, "STOP");
    let run_dir = dir.path().join("r");
    fs::remove_dir_all(&run_dir).unwrap();
    let new = [
        &["train", "vanilla", "--preset", "smoke", "--steps", "4"],
        &often[..],
        &["9", "--out"],
    ]
    .concat();
    ok("", dir.path(), &[&new[..], &["r"]].concat());
    let whole = files(&run_dir);
    // It goes on, saves or not, to its next write.
    signal(&old, "CONT");
    let output = old.wait_with_output().unwrap();
    let line = error_line(&output, 1, &["the old process"]);
    assert!(line.contains("r"), "{line}");
    same(&files(&run_dir), &whole, "the new run");
    assert_eq!(saved(dir.path()), 4);
}

#[test]
fn a_process_whose_folder_was_renamed_or_locked_anew_ends_with_an_error() {
    for moved in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let old = spawn(dir.path(), &["--save-every", "0", "--log-every", "1"]);
        let run_dir = dir.path().join("r");
        wait_for(|| run_dir.join("samples/step-00000000-fake.png").exists());
        signal(&old, "STOP");
        if moved {
            fs::rename(&run_dir, dir.path().join("s")).unwrap();
        } else {
            fs::rename(run_dir.join(".lock"), dir.path().join("lock")).unwrap();
            fs::write(run_dir.join(".lock"), "").unwrap();
        }
        signal(&old, "CONT");
        let output = old.wait_with_output().unwrap();
        let line = error_line(&output, 1, &["the old process"]);
        says(&line, &["is no longer what this process began in"]);
        assert!(!run_dir.join("weights").exists());
    }
}

#[test]
fn a_run_whose_state_is_not_finite_keeps_its_last_good_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let begin = ["train", "pix2pix", "--preset", "smoke", "--out", "r"];
    let often = ["--save-every", "1", "--keep", "1", "--steps", "60"];
    let output = run(
        "",
        dir.path(),
        &[&begin[..], &often, &["--set", "lr=1e6"]].concat(),
    );
    let line = error_line(&output, 1, &begin);
    says(
        &line,
        &["not finite", "stands", "lower learning rate", "step-"],
    );
    let (newest, damaged) = Store::newest(&dir.path().join("r/checkpoints")).unwrap();
    assert!(damaged.is_empty(), "{damaged:?}");
    let newest = newest.unwrap();
    says(&line, &[newest.path.file_name().unwrap().to_str().unwrap()]);
    for (name, tensor) in newest.tensors() {
        if tensor.dtype().is_float() {
            let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert!(values.iter().all(|x| x.is_finite()), "{name}");
        }
    }
    assert!(!dir.path().join("r/weights").exists());
}

#[test]
fn files_have_usual_permissions_and_what_was_left_half_done_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let begin = ["train", "vanilla", "--preset", "smoke", "--out", "r"];
    ok("", dir.path(), &[&begin[..], &["--steps", "2"]].concat());
    let run_dir = dir.path().join("r");
    let mode = |name: &str| fs::metadata(run_dir.join(name)).unwrap().mode();
    for name in [
        "checkpoints/step-00000002.safetensors",
        "weights/g.safetensors",
        "progress.gif",
        "config.toml",
    ] {
        assert_eq!(mode(name), mode("scalars.csv"), "{name}");
    }
    let names: Vec<_> = files(&run_dir).into_keys().collect();
    for place in ["", "checkpoints", "weights"] {
        for name in [".saving-AbCdEf", ".tmpAbCdEf"] {
            fs::write(run_dir.join(place).join(name), "half").unwrap();
        }
    }
    fs::create_dir(run_dir.join(".saving-folder")).unwrap();
    fs::write(run_dir.join(".saving-folder/held-out.png"), "half").unwrap();
    let resume = ["train", "vanilla", "--out", "r", "--resume"];
    fails(dir.path(), &resume, 2);
    assert_eq!(files(&run_dir).into_keys().collect::<Vec<_>>(), names);
    // A folder in which no run began holds nothing of ours.
    fs::create_dir(dir.path().join("s")).unwrap();
    fs::write(dir.path().join("s/.tmpAbCdEf"), "someone's").unwrap();
    let other = [&begin[..4], &["--out", "s", "--steps", "2"]].concat();
    ok("", dir.path(), &other);
    assert!(dir.path().join("s/.tmpAbCdEf").exists());
}

#[test]
fn a_terminal_that_is_closed_ends_a_run_like_ctrl_c() {
    // More than one signal reaches a run whose terminal is closed; all but the first two of a user are no haste.
    for signals in [&["HUP"][..], &["HUP", "HUP", "TERM"]] {
        let dir = tempfile::tempdir().unwrap();
        let mut child = spawn(dir.path(), &["--save-every", "0"]);
        wait_for(|| dir.path().join("r/samples/step-00000000-fake.png").exists());
        std::thread::sleep(Duration::from_millis(100));
        // The terminal is gone before the signal comes.
        child.stdout.take();
        child.stderr.take();
        signal(&child, "STOP");
        signals.iter().for_each(|name| signal(&child, name));
        signal(&child, "CONT");
        assert_eq!(child.wait().unwrap().code(), Some(130));
        assert_eq!(saved(dir.path()), 1, "{signals:?}");
        assert!(dir.path().join("r/weights/g.safetensors").exists());
    }
}

#[test]
fn a_run_under_nohup_outlives_its_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_xtask");
    let script = format!("trap '' HUP; exec {program} {}", ENDLESS.join(" "));
    let mut child = Command::new("bash")
        .args(["-c", &script])
        .current_dir(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = dir.path().join("r/samples/step-00000000-fake.png");
    wait_for(|| began.exists());
    std::thread::sleep(Duration::from_millis(100));
    signal(&child, "HUP");
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "it ended");
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(saved(dir.path()), 1);
}

#[test]
fn signals_inside_a_save_lose_nothing() {
    for signals in [&["TERM"][..], &["HUP"], &["INT", "TERM"]] {
        let dir = tempfile::tempdir().unwrap();
        let checkpoints = dir.path().join("r/checkpoints");
        let child = spawn(dir.path(), &["--save-every", "1", "--keep", "2"]);
        wait_for(|| saved(dir.path()) > 1);
        wait_for(|| {
            let names = fs::read_dir(&checkpoints).unwrap().flatten();
            let mut names = names.map(|entry| entry.file_name());
            names.any(|name| name.to_string_lossy().starts_with(".saving-"))
        });
        signal(&child, "STOP");
        signals.iter().for_each(|name| signal(&child, name));
        signal(&child, "CONT");
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{signals:?}");
        let (newest, damaged) = Store::newest(&checkpoints).unwrap();
        assert!(damaged.is_empty(), "{damaged:?}");
        let steps = (newest.unwrap().header.iteration + 2).to_string();
        let rest = ["--save-every", "0", "--steps", &steps];
        let resume = ["train", "vanilla", "--out", "r", "--resume"];
        ok("", dir.path(), &[&resume[..], &rest].concat());
        let whole = [&ENDLESS[..4], &["--out", "whole", "--steps", &steps]].concat();
        ok("", dir.path(), &whole);
        let last = |name: &str| {
            let t = steps.parse().unwrap();
            bytes(&checkpoint(&dir.path().join(name), t))
        };
        assert!(last("r") == last("whole"), "{signals:?}");
        let hidden = files(&dir.path().join("r")).into_keys();
        let hidden: Vec<_> = hidden
            .filter(|name| {
                let name = name.file_name().unwrap().to_str().unwrap();
                name.starts_with(".saving-") || name.starts_with(".tmp")
            })
            .collect();
        assert!(hidden.is_empty(), "{hidden:?}");
    }
}

#[test]
fn what_a_newer_version_has_written_is_called_so() {
    let dir = tempfile::tempdir().unwrap();
    let begin = ["train", "vanilla", "--preset", "smoke", "--out", "r"];
    let often = ["--steps", "4", "--save-every", "2"];
    ok("", dir.path(), &[&begin[..], &often].concat());
    let resume = ["train", "vanilla", "--out", "r", "--resume", "--steps", "6"];
    let newest = checkpoint(&dir.path().join("r"), 4);
    let whole = bytes(&newest);
    let format = br#"{\"format\":2"#;
    let at = whole.windows(format.len()).position(|w| w == format);
    let mut newer = whole.clone();
    newer[at.unwrap() + format.len() - 1] = b'9';
    fs::write(&newest, &newer).unwrap();
    let line = fails(dir.path(), &resume, 1);
    says(
        &line,
        &["step-00000004", "newer version", "it has format 9"],
    );
    assert!(bytes(&newest) == newer);
    fs::write(&newest, &whole).unwrap();

    let config = dir.path().join("r/config.toml");
    let text = String::from_utf8(bytes(&config)).unwrap();
    let later = text.replace("format = 2", "format = 3\nspeed = \"high\"");
    fs::write(&config, later).unwrap();
    let line = fails(dir.path(), &resume, 1);
    says(&line, &["r/config.toml", "newer version", "format is 3"]);

    for (from, to, words) in [
        ("z_dim = 8", "z_dim = \"x\"", &["z_dim", "invalid type"][..]),
        ("z_dim = 8", "z_dim = -1", &["z_dim"]),
        (
            "seed = 1",
            "seed = \"x\"",
            &["seed", "line", "invalid type"],
        ),
        ("keep = 3", "keep = -3", &["keep", "line"]),
        ("seed = 1", "\"a\\u001b[2Jb\" = 1", &["a\\u{1b}[2Jb"]),
    ] {
        fs::write(&config, text.replacen(from, to, 1)).unwrap();
        let line = fails(dir.path(), &resume, 1);
        says(&line, words);
        says(&line, &["r/config.toml"]);
        fs::copy(&config, dir.path().join("c.toml")).unwrap();
        let again = ["train", "vanilla", "--config", "c.toml", "--out", "n"];
        let output = run("", dir.path(), &again);
        let line = error_line(&output, output.status.code().unwrap(), &again);
        says(&line, words);
        says(&line, &["c.toml"]);
    }
}

#[test]
fn a_terminal_obeys_no_name_that_is_printed() {
    let dir = tempfile::tempdir().unwrap();
    let name = "a\u{1b}[2J\nb";
    let line = fails(
        dir.path(),
        &["train", "vanilla", "--out", name, "--resume"],
        1,
    );
    says(&line, &["a\\u{1b}[2J\\nb: no such folder"]);
    let begin = ["train", "vanilla", "--preset", "smoke", "--out", name];
    let said = ok("", dir.path(), &[&begin[..], &["--steps", "2"]].concat());
    assert!(!said.contains('\u{1b}'), "{said}");
    let line = fails(
        dir.path(),
        &["train", "vanilla", "--out", name, "--resume"],
        2,
    );
    assert!(!line.contains('\u{1b}'), "{line}");
}
