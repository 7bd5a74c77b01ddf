//! Running the program, or the test program in its place with toy papers registered.

pub use crate::toys::TOYS;
use candle_core::Device;
use gan_core::{Context, DataInfo, Erased, Port, Preset, Recipe};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
pub use xtask::registry::PAPERS;

const CHILD: &str = "GAN_TEST_ARGS";

/// The example of a paper of one's own.
const OWN: Erased<crate::own::Config> = Erased::NEW;

/// What the test program knows in place of the registered papers.
fn toys() -> Vec<&'static dyn Recipe> {
    let own: [&dyn Recipe; 1] = [&OWN];
    TOYS.iter().copied().chain(own).collect()
}

/// Every paper that the sweeps cover, the registered ones first.
pub fn all() -> Vec<&'static dyn Recipe> {
    // The embedded pairs have no classes, which the last toy learns from.
    let toys = TOYS.iter().filter(|toy| toy.info().name != "toy-matched");
    PAPERS.iter().chain(toys).copied().collect()
}

/// The pictures that a paper's generator takes, if it takes any, on a data set like its own.
pub fn port(recipe: &dyn Recipe) -> Option<Port> {
    let mut data = DataInfo::square(3 * 64 * 64).unwrap();
    data.classes = Some(10);
    let config = recipe.preset(Preset::Smoke, &data).unwrap();
    let cx = Context::new(&Device::Cpu, 1, data, 1);
    let algorithm = recipe.build(&config, &cx).unwrap();
    algorithm.sampler(0).takes().port
}

/// A command line of the program that knows this paper, to be run in `dir`.
pub fn command(paper: &str, dir: &Path, args: &[&str]) -> Command {
    let mut command;
    if toys().iter().any(|toy| toy.info().name == paper) {
        command = Command::new(std::env::current_exe().unwrap());
        command.args([
            "--exact",
            "program::as_a_program",
            "--ignored",
            "--nocapture",
            "--quiet",
        ]);
        command.env(CHILD, args.join("\u{1f}"));
        command.env("RAYON_NUM_THREADS", "2");
    } else {
        command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(args);
        // As if it were started without cargo.
        for name in [
            "CANDLE_GRAD_DO_NOT_DETACH",
            "CANDLE_NUM_THREADS",
            "MIMALLOC_PURGE_DELAY",
        ] {
            command.env_remove(name);
        }
    }
    command.current_dir(dir);
    command
}

/// Not a test: what a child does in place of the program.
#[test]
#[ignore = "started by other tests only"]
fn as_a_program() {
    if let Ok(args) = std::env::var(CHILD) {
        xtask::process::outlive_size_limits().unwrap();
        let args = args.split('\u{1f}').map(Into::into);
        let code = xtask::run(
            &toys(),
            std::iter::once("xtask".into()).chain(args).collect(),
        );
        let code = if code == std::process::ExitCode::SUCCESS {
            0
        } else {
            1
        };
        std::process::exit(code);
    }
}

/// Runs a command line in `dir`.
pub fn run(paper: &str, dir: &Path, args: &[&str]) -> Output {
    command(paper, dir, args).output().unwrap()
}

/// Runs a command line that must succeed; gives its output.
pub fn ok(paper: &str, dir: &Path, args: &[&str]) -> String {
    let output = run(paper, dir, args);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{args:?}: {}\n{text}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// Runs a command line that must fail with this code and one line; gives the line.
pub fn fails(dir: &Path, args: &[&str], code: i32) -> String {
    error_line(&run("", dir, args), code, args)
}

/// The one error line of a failed run; warnings may come before it, and on a busy machine what takes its time.
pub fn error_line(output: &Output, code: i32, args: &[&str]) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{args:?}\n{text}");
    let lines: Vec<_> = text
        .lines()
        .filter(|line| {
            let usual = [
                "warning: ",
                "looking at pictures: ",
                "reading pictures: ",
                "bringing pictures to size: ",
                "enlarging ",
            ];
            !usual.iter().any(|start| line.starts_with(start))
        })
        .collect();
    assert_eq!(lines.len(), 1, "{args:?}\n{text}");
    assert!(lines[0].starts_with("error: "), "{text}");
    lines[0].to_string()
}

/// A checkpoint's file.
pub fn checkpoint(run: &Path, t: u64) -> PathBuf {
    run.join(format!("checkpoints/step-{t:08}.safetensors"))
}

/// Makes a run's file say that it was made on another device.
pub fn made_on(run: &Path, device: &str) {
    let path = run.join("config.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let line = |line: &str| match line.starts_with("device = ") {
        true => format!("device = {device:?}\n"),
        false => format!("{line}\n"),
    };
    std::fs::write(path, text.lines().map(line).collect::<String>()).unwrap();
}

pub fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The names of every file of a folder, those that begin with a dot too.
pub fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
