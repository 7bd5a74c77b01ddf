//! What belongs to the process: environment, signals, device.

use crate::Usage;
use anyhow::{Context, Result, bail};
use candle_core::Device;
use gan_core::device::{self, DeviceError};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Variables that libraries read once at their first use, and what they must be.
const ENVIRONMENT: [(&str, &str); 3] = [
    ("CANDLE_GRAD_DO_NOT_DETACH", "1"),
    ("CANDLE_NUM_THREADS", "1"),
    ("MIMALLOC_PURGE_DELAY", "-1"),
];

/// Tells the second start from the first, so that an environment that cannot be set does not loop.
pub const SETTLED: &str = "GAN_XTASK_SETTLED";

/// Starts the program again, as the same process, where the environment is not what the libraries need.
///
/// # Errors
/// When the program cannot be started again.
pub fn settle(threads: Option<u16>) -> Result<()> {
    let threads = match threads {
        Some(threads) => usize::from(threads),
        None => std::env::var("RAYON_NUM_THREADS")
            .ok()
            .and_then(|n| n.parse().ok())
            .filter(|&n| n > 0)
            .map_or_else(|| std::thread::available_parallelism().map(Into::into), Ok)
            .unwrap_or(1),
    };
    // candle reads the processor list from disk at every product when this is not set.
    let threads = ("RAYON_NUM_THREADS", threads.to_string());
    let wanted = ENVIRONMENT.map(|(name, value)| (name, value.to_string()));
    let wrong: Vec<_> = wanted
        .into_iter()
        .chain([threads])
        .filter(|(name, value)| std::env::var(name).as_ref() != Ok(value))
        .collect();
    if wrong.is_empty() || std::env::var_os(SETTLED).is_some() {
        return Ok(());
    }
    let program = std::env::current_exe().context("the program's own file is not known")?;
    let mut again = Command::new(program);
    again
        .args(std::env::args_os().skip(1))
        .envs(wrong)
        .env(SETTLED, "1");
    replace(again).context("the program could not be started again with its environment")
}

/// Runs a command in this process's place; returns only where that fails.
#[cfg(unix)]
fn replace(mut command: Command) -> std::io::Result<()> {
    Err(std::os::unix::process::CommandExt::exec(&mut command))
}

/// Runs a command and ends as it does: other systems than Unix have no way to replace a process.
#[cfg(not(unix))]
fn replace(mut command: Command) -> std::io::Result<()> {
    std::process::exit(command.status()?.code().unwrap_or(1))
}

/// Threads of the CPU kernels, as settled.
pub fn threads() -> usize {
    candle_core::utils::get_num_threads()
}

/// A flag that Ctrl-C, SIGTERM or SIGHUP sets; a second one of the first two ends the process at once, with exit code
/// 130. A terminal that is closed may say so several times, by its shell and by the system, so a second SIGHUP ends
/// nothing, and after one the first SIGTERM neither.
pub fn watch_signals() -> Result<Arc<AtomicBool>> {
    let stop = Arc::default();
    set_by_signals(&stop)?;
    Ok(stop)
}

/// The same of a flag that something else may set, too.
pub fn set_by_signals(stop: &Arc<AtomicBool>) -> Result<()> {
    let asked = Arc::default();
    for signal in [SIGINT, SIGTERM] {
        let code = i32::from(crate::INTERRUPTED);
        flag::register_conditional_shutdown(signal, code, Arc::clone(&asked))?;
        flag::register(signal, Arc::clone(&asked))?;
        flag::register(signal, stop.clone())?;
    }
    #[cfg(unix)]
    {
        use signal_hook::consts::SIGHUP;
        // Under nohup a run is to outlive its terminal.
        if !ignored(SIGHUP) {
            flag::register(SIGHUP, stop.clone())?;
        }
    }
    Ok(())
}

/// Sets a flag when the standard input ends: whoever started this process holds its other end, and is gone then.
pub fn stop_with_parent(stop: &Arc<AtomicBool>) {
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        // What is read does not matter, nor why it ended.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        stop.store(true, Ordering::Relaxed);
    });
}

/// Makes writing past a file size limit an ordinary error instead of a signal that kills.
///
/// # Errors
/// A system that does not let it.
pub fn outlive_size_limits() -> Result<()> {
    #[cfg(unix)]
    flag::register(signal_hook::consts::SIGXFSZ, Arc::default())?;
    Ok(())
}

/// Whether this process was started with a signal ignored; where the system does not say, it is left as it is.
#[cfg(unix)]
fn ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_none_or(|mask| mask >> (signal - 1) & 1 == 1)
}

/// Opens `auto`, `cpu`, `cuda` or `cuda:I`; a program with CUDA says on the standard error output why `auto` is the
/// CPU, where it is.
///
/// # Errors
/// An unknown name; `cuda` where this build or this machine has none: never a silent fallback.
pub fn device(name: &str) -> Result<Device> {
    let (device, why) = choose(name)?;
    why.iter().for_each(|why| warn!("warning: {why}"));
    Ok(device)
}

/// The same without saying it: why `auto` is the CPU is given back.
///
/// # Errors
/// As [`device()`].
pub fn choose(name: &str) -> Result<(Device, Option<String>)> {
    match device::choose(name) {
        Ok((device, why)) => Ok((
            device,
            why.map(|why| format!("--device auto takes the CPU: {why}")),
        )),
        Err(error @ DeviceError::Unknown(_)) => bail!(Usage(format!("--device {error}"))),
        Err(DeviceError::NotBuilt) => bail!(Usage(format!(
            "--device {name}: this program was built without CUDA; use cargo xtask-cuda, or --device cpu"
        ))),
        Err(error) => bail!("--device {name}: {error}, or use --device cpu"),
    }
}

/// A device in words: what computes there, and a processor's threads.
pub fn describe(device: &Device) -> String {
    match (device, threads()) {
        (Device::Cpu, 1) => format!("{}, 1 thread", arithmetic(device)),
        (Device::Cpu, threads) => format!("{}, {threads} threads", arithmetic(device)),
        _ => arithmetic(device),
    }
}

/// What the bits of a run can depend on besides the run: a processor's vector instructions (its threads change nothing), or
/// a GPU.
pub fn arithmetic(device: &Device) -> String {
    match device {
        Device::Cpu => format!("cpu ({})", simd()),
        other => device::describe(other),
    }
}

/// The widest vector instructions that the kernels use here.
pub fn simd() -> String {
    format!("{:?}", gan_kernels::simd::best()).to_lowercase()
}

/// The workspace's commit, when git is there to tell.
pub fn commit() -> String {
    let run = || {
        let root = crate::dataset::workspace().ok()?;
        let git = Command::new("git")
            // Without its locks: where a file may not be written to its end, one would stay.
            .args(["--no-optional-locks", "describe"])
            .args(["--always", "--dirty", "--abbrev=12"])
            .current_dir(root)
            .output()
            .ok()?;
        let text = String::from_utf8(git.stdout).ok()?;
        (git.status.success() && !text.trim().is_empty()).then(|| text.trim().to_string())
    };
    run().unwrap_or_else(|| "unknown".into())
}

/// Whether an error, or what caused it, says that a GPU has no memory left.
pub fn is_out_of_memory(error: &anyhow::Error) -> bool {
    device::is_out_of_memory(&format!("{error:#}"))
}

/// Has a panic print one line like any other failure; with `RUST_BACKTRACE` what is usual is printed, too.
///
/// CUDA's libraries are looked for before they are used, but what wraps them panics where one lacks a function.
pub fn report_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        #[cfg(feature = "hub")]
        if std::thread::current().name() == Some(gan_core::hub::READER) {
            return;
        }
        let what = info.payload_as_str().unwrap_or("no message");
        let what = what.lines().next().unwrap_or_default();
        let place = info
            .location()
            .map(|at| format!(" at {at}"))
            .unwrap_or_default();
        warn!(
            "error: a fault of the program{place}: {what}; checkpoints that were written stand, please report this"
        );
        if std::env::var_os("RUST_BACKTRACE").is_some_and(|wanted| wanted != "0") {
            usual(info);
        }
    }));
}

/// The largest resident memory of this process so far, in MiB.
///
/// # Errors
/// A system that does not say.
pub fn peak_rss_mib() -> Result<u64> {
    Ok(kib("/proc/self/status", "VmHWM:").context("/proc/self/status has no VmHWM")? / 1024)
}

/// A number of KiB in one of the system's tables; none where the system has no such table.
pub fn kib(table: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(table).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
