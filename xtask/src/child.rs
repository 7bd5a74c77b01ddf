//! Commands of this program as processes of their own: so that memory, signals and aborts are their own, too.

use crate::process::SETTLED;
use anyhow::{Context as _, Result, bail};
use std::io::{BufRead, BufReader, Read};
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

/// Runs a command to its end, and gives what it printed; it is ended where `stop` is set.
///
/// # Errors
/// The command's own, by its last line; [`Stopped`].
pub fn run(words: &[String], threads: Option<u16>, stop: &AtomicBool) -> Result<String> {
    child(words, threads, stop, false)
}

/// The same of a training that saves where it is when its input ends, and so is not lost when this process is.
///
/// # Errors
/// As [`run`].
pub fn attended(words: &[String], threads: Option<u16>, stop: &AtomicBool) -> Result<()> {
    child(words, threads, stop, true).map(|_| ())
}

fn child(
    words: &[String],
    threads: Option<u16>,
    stop: &AtomicBool,
    attended: bool,
) -> Result<String> {
    let mut command = Command::new(std::env::current_exe()?);
    if let Some(threads) = threads {
        command.args(["--threads", &threads.to_string()]);
    }
    let mut child = command
        .args(words)
        // Its threads are its own.
        .env_remove(SETTLED)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("this program could not be started")?;
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    // Both are read at once, as a process waits where nobody does.
    let printed = std::thread::spawn(move || output.map(printed).unwrap_or_default());
    let said = std::thread::spawn(move || errors.map(said).unwrap_or_default());
    let status = wait(&mut child, stop, attended)?;
    let printed = printed.join().unwrap_or_default();
    let said = said.join().unwrap_or_default();
    if stop.load(Ordering::Relaxed) {
        bail!(Stopped)
    }
    match status.success() {
        true => Ok(printed),
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

fn printed(mut output: impl Read) -> String {
    let mut bytes = Vec::new();
    // What cannot be read to its end is not what was wanted, and its reader says so.
    let _ = output.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
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
