//! Devices and what is said where one is missing; `doctor`.
//!
//! With CUDA built in, the tests that need a GPU take the stand-in, where `LD_LIBRARY_PATH` holds it.

use crate::program::{command, ok};
use serde_json::Value;
use std::path::Path;

fn json(dir: &Path) -> Value {
    serde_json::from_str(&ok("", dir, &["doctor", "--json"])).unwrap()
}

#[test]
fn doctor_says_what_is_built_in_and_what_to_do_next() {
    let dir = tempfile::tempdir().unwrap();
    let said = ok("", dir.path(), &["doctor"]);
    for word in ["candle 0.", "threads", "cuda  ", "next  "] {
        assert!(said.contains(word), "{word} in\n{said}");
    }
    let report = json(dir.path());
    let built_in = cfg!(feature = "cuda");
    assert_eq!(report["cuda"].is_object(), built_in, "{report}");
    assert_eq!(
        report["features"].as_array().unwrap().len(),
        usize::from(built_in)
    );
    assert!(report["next"].as_str().is_some_and(|next| !next.is_empty()));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// The alias cannot name the file, which would be looked for from the folder that cargo is called in.
#[test]
fn the_alias_for_cuda_says_what_its_settings_file_says() {
    let settings = |name: &str| -> toml::Table {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../.cargo")
            .join(name);
        std::fs::read_to_string(path).unwrap().parse().unwrap()
    };
    let config = settings("config.toml");
    let alias = config["alias"]["xtask-cuda"].as_array().unwrap();
    let words: Vec<&str> = alias.iter().map(|word| word.as_str().unwrap()).collect();
    let mut said = toml::Table::new();
    for pair in words.windows(2).filter(|pair| pair[0] == "--config") {
        said.extend(pair[1].parse::<toml::Table>().unwrap());
    }
    assert_eq!(said, settings("cuda.toml"));
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_build_without_cuda_takes_the_cpu_without_a_word() {
    let dir = tempfile::tempdir().unwrap();
    let output = command("", dir.path(), &["train", "vanilla", "--dry-run"])
        .output()
        .unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("device  cpu"));
}

#[cfg(feature = "cuda")]
mod cuda {
    use super::*;
    use crate::program::{checkpoint, error_line, run};
    use gan_core::Checkpoint;
    use std::path::PathBuf;
    use std::process::Output;

    const TRAIN: [&str; 6] = ["train", "vanilla", "--preset", "smoke", "--out", "r"];

    /// The stand-in's folder of libraries, where there is one.
    fn standin() -> Option<PathBuf> {
        let folders = std::env::var_os("LD_LIBRARY_PATH")?;
        let knows = b"STANDIN_GPU_REFUSE_ALLOCATION";
        std::env::split_paths(&folders).find(|folder| {
            let driver = std::fs::read(folder.join("libcuda.so.1")).unwrap_or_default();
            driver.windows(knows.len()).any(|bytes| bytes == knows)
        })
    }

    fn with(dir: &Path, args: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut command = command("", dir, args);
        // A backtrace in an error of candle's must not reach the line.
        command.env("RUST_BACKTRACE", "1");
        command.envs(environment.iter().copied()).output().unwrap()
    }

    fn refused(dir: &Path, args: &[&str], environment: &[(&str, &str)], words: &[&str]) {
        let line = error_line(&with(dir, args, environment), 1, args);
        for word in words {
            assert!(line.contains(word), "{word:?} is missing in {line}");
        }
        assert!(!line.contains("panicked"), "{line}");
    }

    /// The program starts without a driver, trains on the CPU, and says so in one line.
    #[test]
    fn without_a_driver() {
        let dir = tempfile::tempdir().unwrap();
        let nothing = [("LD_LIBRARY_PATH", "/nowhere")];
        let report = with(dir.path(), &["doctor", "--json"], &nothing);
        let report: Value = serde_json::from_slice(&report.stdout).unwrap();
        if report["cuda"]["libraries"][0]["path"].is_string() {
            eprintln!("left out: this machine has a driver");
            return;
        }
        let looked_for = [
            "no NVIDIA driver",
            "libcuda.so and libcuda.so.13",
            "install a driver for CUDA",
        ];
        let args = [&TRAIN[..], &["--device", "cuda"]].concat();
        refused(dir.path(), &args, &nothing, &looked_for);
        assert!(!dir.path().join("r").exists());
        let output = with(
            dir.path(),
            &[&TRAIN[..], &["--steps", "2"]].concat(),
            &nothing,
        );
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let warnings: Vec<_> = said
            .lines()
            .filter(|line| line.starts_with("warning: "))
            .collect();
        assert_eq!(warnings.len(), 1, "{said}");
        assert!(
            warnings[0].contains("takes the CPU: no NVIDIA driver"),
            "{said}"
        );
        assert!(checkpoint(&dir.path().join("r"), 2).exists());
    }

    #[test]
    fn a_library_that_is_missing_is_named() {
        let Some(standin) = standin() else { return };
        for (missing, words) in [
            (
                "libcublas.so",
                "CUDA's library libcublas is missing: looked for libcublas.so",
            ),
            (
                "libcurand.so",
                "CUDA's library libcurand is missing: looked for libcurand.so",
            ),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let folder = dir.path().join("lib");
            std::fs::create_dir(&folder).unwrap();
            for entry in std::fs::read_dir(&standin).unwrap().flatten() {
                if !entry.file_name().to_str().unwrap().starts_with(missing) {
                    std::os::unix::fs::symlink(entry.path(), folder.join(entry.file_name()))
                        .unwrap();
                }
            }
            let environment = [("LD_LIBRARY_PATH", folder.to_str().unwrap())];
            for device in ["auto", "cuda"] {
                let args = [&TRAIN[..], &["--device", device]].concat();
                let remedy = "pip install";
                refused(
                    dir.path(),
                    &args,
                    &environment,
                    &[words, remedy, "--device cpu"],
                );
            }
            assert!(with(dir.path(), &["doctor"], &environment).status.success());
        }
    }

    #[test]
    fn a_driver_that_is_too_old_or_finds_no_gpu_or_fewer() {
        if standin().is_none() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let on = |device| [&TRAIN[..], &["--dry-run", "--device", device]].concat();
        let old = [("STANDIN_GPU_DRIVER", "12040")];
        for device in ["auto", "cuda"] {
            refused(
                dir.path(),
                &on(device),
                &old,
                &["is for CUDA 12.4, expected 13.0"],
            );
        }
        let two = [("STANDIN_GPU_COUNT", "2")];
        refused(
            dir.path(),
            &on("cuda:7"),
            &two,
            &["there is no GPU 7", "finds 2"],
        );
        let none = [("STANDIN_GPU_COUNT", "0")];
        refused(
            dir.path(),
            &on("cuda"),
            &none,
            &["finds no GPU", "CUDA_VISIBLE_DEVICES"],
        );
        let output = with(dir.path(), &on("auto"), &none);
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("takes the CPU"));
        let report = json(dir.path());
        assert_eq!(
            report["cuda"]["gpus"][0]["name"], "stand-in GPU",
            "{report}"
        );
    }

    #[test]
    fn memory_that_runs_out_ends_the_run_and_what_was_saved_stands() {
        if standin().is_none() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let args = [
            &TRAIN[..],
            &[
                "--device",
                "cuda",
                "--steps",
                "600",
                "--save-every",
                "2",
                "--sample-every",
                "0",
                "--keep",
                "600",
            ],
            &["--quiet"],
        ]
        .concat();
        // The first is refused while the networks are built, the last in the middle of the run.
        for (refuse, words) in [
            ("1", "the GPU has no memory left"),
            (
                "300",
                "after 0 iterations; nothing was saved yet; use a smaller batch",
            ),
            ("6000", "stands; go on with --resume --device cpu"),
        ] {
            let _ = std::fs::remove_dir_all(dir.path().join("r"));
            let environment = [("STANDIN_GPU_REFUSE_ALLOCATION", refuse)];
            refused(dir.path(), &args, &environment, &[words, "--set batch=N"]);
        }
        let saved: Vec<_> = std::fs::read_dir(dir.path().join("r/checkpoints"))
            .unwrap()
            .flatten()
            .collect();
        assert!(!saved.is_empty());
        for file in &saved {
            Checkpoint::read(&file.path()).unwrap();
        }
        let steps = (2 * saved.len() + 2).to_string();
        let resume = [
            &["train", "vanilla", "--out", "r", "--resume", "--quiet"][..],
            &["--device", "cpu", "--steps", &steps],
        ]
        .concat();
        let output = run("", dir.path(), &resume);
        assert!(output.status.success(), "{output:?}");
    }
}
