//! Commands of this program as processes of their own: so that memory, signals and aborts are their own, too.

use crate::folder;
use anyhow::{Context as _, Result, bail};
use gan_core::Store;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often a process is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// Characters of an error that are kept.
const SAID: usize = 600;

/// What keeps several commands from going on: they were asked to stop.
#[derive(Debug)]
pub struct Stopped;

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stopped")
    }
}

impl std::error::Error for Stopped {}

/// Runs a command to its end; it is ended where `stop` is set.
///
/// # Errors
/// The command's own, by its last line; [`Stopped`].
pub fn run(words: &[String], threads: Option<u16>, stop: &AtomicBool) -> Result<()> {
    child(words, threads, stop, false)
}

/// The same of a training that saves where it is when its input ends, and so is not lost when this process is.
///
/// # Errors
/// As [`run`].
pub fn attended(words: &[String], threads: Option<u16>, stop: &AtomicBool) -> Result<()> {
    child(words, threads, stop, true)
}

fn child(words: &[String], threads: Option<u16>, stop: &AtomicBool, attended: bool) -> Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    if let Some(threads) = threads {
        command.args(["--threads", &threads.to_string()]);
    }
    let mut child = command
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("this program could not be started")?;
    let errors = child.stderr.take();
    let said = std::thread::spawn(move || errors.map(said).unwrap_or_default());
    let status = wait(&mut child, stop, attended)?;
    let said = said.join().unwrap_or_default();
    if stop.load(Ordering::Relaxed) {
        bail!(Stopped)
    }
    match status.success() {
        true => Ok(()),
        false if said.is_empty() => bail!("its process ended with {status}"),
        false => bail!(said),
    }
}

fn wait(child: &mut Child, stop: &AtomicBool, attended: bool) -> Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if stop.load(Ordering::Relaxed) {
            drop(child.stdin.take());
            if !attended {
                // It has ended by itself where this fails.
                let _ = child.kill();
            }
        }
        std::thread::sleep(LOOK);
    }
}

/// Passes warnings on; gives the last error.
fn said(errors: impl Read) -> String {
    let mut last = String::new();
    for line in BufReader::new(errors).lines() {
        let Ok(line) = line else {
            break;
        };
        match line.strip_prefix("error: ") {
            Some(error) => last = gan_core::shortened(error, SAID),
            None if line.starts_with("warning: ") => warn!("{line}"),
            // Without such a line an abort or a panic says what it says.
            None if !line.trim().is_empty() => last = gan_core::shortened(&line, SAID),
            None => {}
        }
    }
    last
}

/// Whether a run has done all its iterations and was not cut off afterwards.
pub fn is_done(run: &Path, steps: u64) -> bool {
    let newest = Store::list(&folder::checkpoints(run)).map(|all| all.last().map(|(t, _)| *t));
    let marked = std::fs::metadata(run.join(".lock")).map(|about| about.len());
    matches!((newest, marked), (Ok(Some(t)), Ok(0)) if t >= steps) && !is_locked(run)
}

/// Whether another process has a folder.
pub fn is_locked(run: &Path) -> bool {
    match File::open(run.join(".lock")) {
        Ok(lock) => matches!(lock.try_lock(), Err(std::fs::TryLockError::WouldBlock)),
        Err(_) => false,
    }
}
