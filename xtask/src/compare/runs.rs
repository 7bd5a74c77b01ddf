//! The runs of a comparison: each is a process of its own, so that memory, signals and aborts are its own, too.

use super::plan::{Plan, Planned};
use crate::folder;
use crate::measured::{self, Asked};
use crate::observers::csv;
use anyhow::{Context as _, Result, bail};
use gan_core::{FileError, Store};
use serde_json::Value;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a process is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How long a run may still be held by a process that is ending.
const HELD: Duration = Duration::from_secs(60);
/// Characters of an error that are kept.
const SAID: usize = 600;

/// Where a run is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Not begun, or to be gone on with.
    Waiting,
    /// Under way.
    Training,
    /// Trained; its pictures are being measured.
    Measuring,
    /// Trained and measured.
    Done,
    /// It ended with this error.
    Failed(String),
}

/// One run of a comparison.
#[derive(Clone, Debug)]
pub struct Run {
    /// The variant's number.
    pub variant: usize,
    /// Its seed.
    pub seed: u64,
    /// Its folder.
    pub folder: PathBuf,
    /// Where it is.
    pub state: State,
    /// Whether it was there before this comparison began.
    pub reused: bool,
}

/// All runs, and what they share.
pub struct Runs<'a> {
    plan: &'a Plan,
    threads: Option<u16>,
    device: String,
    stop: &'a AtomicBool,
    all: Mutex<Vec<Run>>,
}

/// What keeps a comparison from going on: it was asked to stop.
#[derive(Debug)]
pub struct Stopped;

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stopped")
    }
}

impl std::error::Error for Stopped {}

impl<'a> Runs<'a> {
    /// The runs of a plan, whose folders are in `pool`: each seed's of all variants, then the next seed's.
    pub fn new(
        plan: &'a Plan,
        pool: &Path,
        threads: Option<u16>,
        device: &str,
        stop: &'a AtomicBool,
    ) -> Self {
        let seeds = plan.asked.seeds.iter();
        let all = seeds.flat_map(|&seed| {
            let variants = plan.variants.iter().enumerate();
            variants.map(move |(variant, planned)| {
                let folder = pool.join(planned.folder(seed));
                let done = is_done(&folder, planned.settings.steps);
                Run {
                    variant,
                    seed,
                    folder,
                    state: State::Waiting,
                    reused: done,
                }
            })
        });
        Self {
            plan,
            threads,
            device: device.into(),
            stop,
            all: Mutex::new(all.collect()),
        }
    }

    /// All runs as they are now.
    pub fn now(&self) -> Vec<Run> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.clone()
    }

    fn set(&self, i: usize, state: State) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(run) = all.get_mut(i) {
            run.state = state;
        }
    }

    /// Trains and measures all of them, `parallel` at once; `look` is called every now and then, and when a run is
    /// another than before.
    ///
    /// # Errors
    /// [`Stopped`]; those of `look`. A run that fails is no error: its state says so.
    pub fn train(&self, parallel: usize, mut look: impl FnMut(&[Run]) -> Result<()>) -> Result<()> {
        let count = self.now().len();
        let queue: Mutex<VecDeque<usize>> = Mutex::new((0..count).collect());
        let next = || {
            let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            match self.stop.load(Ordering::Relaxed) {
                true => None,
                false => queue.pop_front(),
            }
        };
        std::thread::scope(|scope| {
            let work = || {
                while let Some(i) = next() {
                    let Some(run) = self.now().get(i).cloned() else {
                        return;
                    };
                    let state = match self.run(i, &run) {
                        Ok(()) => State::Done,
                        Err(error) if error.is::<Stopped>() => State::Waiting,
                        Err(error) => State::Failed(crate::one_line(&error)),
                    };
                    self.set(i, state);
                }
            };
            let workers: Vec<_> = (0..parallel.clamp(1, count.max(1)))
                .map(|_| scope.spawn(work))
                .collect();
            let mut looked = Ok(());
            while !workers.iter().all(|worker| worker.is_finished()) {
                if looked.is_ok() {
                    looked = look(&self.now());
                    if looked.is_err() {
                        self.stop.store(true, Ordering::Relaxed);
                    }
                }
                std::thread::sleep(LOOK);
            }
            looked?;
            look(&self.now())
        })?;
        match self.stop.load(Ordering::Relaxed) {
            true => bail!(Stopped),
            false => Ok(()),
        }
    }

    fn run(&self, i: usize, run: &Run) -> Result<()> {
        let Some(planned) = self.plan.variants.get(run.variant) else {
            bail!("there is no such variant")
        };
        if !is_done(&run.folder, planned.settings.steps) {
            self.set(i, State::Training);
            self.wait_until_free(&run.folder)?;
            self.child(&train_words(planned, run), true)?;
        }
        self.set(i, State::Measuring);
        let words = measured::words(self.plan.asked.n, &run.folder, &self.device);
        let asked = Asked::of(&measured::args(&words)?);
        if measured(&run.folder, planned.settings.steps, &asked).is_none() {
            self.child(&words, false)?;
            if measured(&run.folder, planned.settings.steps, &asked).is_none() {
                bail!("{}: its values were not saved", run.folder.display())
            }
        }
        Ok(())
    }

    /// A process that was killed with a comparison before may need a moment to end.
    fn wait_until_free(&self, folder: &Path) -> Result<()> {
        let begin = Instant::now();
        while is_locked(folder) && begin.elapsed() < HELD {
            if self.stop.load(Ordering::Relaxed) {
                bail!(Stopped)
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Runs a command of this program to its end. One that is `attended` saves where it is when its input ends; any
    /// other is ended.
    fn child(&self, words: &[String], attended: bool) -> Result<()> {
        let mut command = Command::new(std::env::current_exe()?);
        if let Some(threads) = self.threads {
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
        let status = self.wait(&mut child, attended)?;
        let said = said.join().unwrap_or_default();
        if self.stop.load(Ordering::Relaxed) {
            bail!(Stopped)
        }
        match status.success() {
            true => Ok(()),
            false if said.is_empty() => bail!("its process ended with {status}"),
            false => bail!(said),
        }
    }

    fn wait(&self, child: &mut Child, attended: bool) -> Result<ExitStatus> {
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if self.stop.load(Ordering::Relaxed) {
                drop(child.stdin.take());
                if !attended {
                    // It has ended by itself where this fails.
                    let _ = child.kill();
                }
            }
            std::thread::sleep(LOOK);
        }
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

fn train_words(planned: &Planned, run: &Run) -> Vec<String> {
    let out = run.folder.display().to_string();
    let mut words = match folder::config(&run.folder).exists() {
        true => {
            let words = ["train", &planned.settings.paper, "--resume", "--quiet"];
            let mut words: Vec<String> = words.map(String::from).into();
            // The device is no setting of a run.
            let mut given = planned.words.iter();
            if given.any(|word| word == "--device") {
                words.extend(["--device".into(), given.next().cloned().unwrap_or_default()]);
            }
            words
        }
        false => {
            let mut words = planned.words.clone();
            words.extend(["--seed".into(), run.seed.to_string()]);
            words
        }
    };
    words.extend(["--out".into(), out, "--attended".into()]);
    words
}

/// The values of a run after its last iteration, where they were saved for these options.
pub fn measured(folder: &Path, steps: u64, asked: &Asked) -> Option<Value> {
    let saved = measured::saved(folder)?;
    let fits = saved.get("asked") == serde_json::to_value(asked).ok().as_ref();
    let at = saved.get("iteration").and_then(Value::as_u64);
    (fits && at == Some(steps)).then_some(saved)
}

/// Whether a run has done all its iterations and was not cut off afterwards.
fn is_done(run: &Path, steps: u64) -> bool {
    let newest = Store::list(&folder::checkpoints(run)).map(|all| all.last().map(|(t, _)| *t));
    let marked = std::fs::metadata(run.join(".lock")).map(|about| about.len());
    matches!((newest, marked), (Ok(Some(t)), Ok(0)) if t >= steps) && !is_locked(run)
}

/// Whether another process has a folder.
fn is_locked(run: &Path) -> bool {
    match File::open(run.join(".lock")) {
        Ok(lock) => matches!(lock.try_lock(), Err(std::fs::TryLockError::WouldBlock)),
        Err(_) => false,
    }
}

/// The iterations that a run has logged.
pub fn progress(run: &Path) -> u64 {
    let logged = csv::last_iteration(&run.join("scalars.csv"));
    logged.ok().flatten().unwrap_or(0)
}

/// Keeps a comparison's folder while this value lives.
///
/// # Errors
/// A folder that cannot be written, or that another process has.
pub fn hold(out: &Path) -> Result<File> {
    std::fs::create_dir_all(out).map_err(|e| FileError::writing(out, &e))?;
    let path = out.join(".lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|e| FileError::writing(&path, &e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => bail!(FileError::new(
            out,
            "another process is comparing in this folder",
            "wait for it or stop it, or choose another --out"
        )),
        Err(std::fs::TryLockError::Error(e)) => bail!(FileError::writing(&path, &e)),
    }
}
