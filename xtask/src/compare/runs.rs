//! The runs of a comparison: each is a process of its own, so that memory, signals and aborts are its own, too.

use super::plan::{Plan, Planned};
use crate::child::{self, Stopped};
use crate::cli::EvalArgs;
use crate::folder;
use crate::measured::{self, Asked};
use crate::observers::csv;
use anyhow::{Result, bail};
use gan_core::FileError;
use serde_json::Value;
use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a process is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How long a run may still be held by a process that is ending.
const HELD: Duration = Duration::from_secs(60);

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

/// What the processes of a comparison share.
#[derive(Clone, Copy)]
pub struct Processes<'a> {
    /// The kernels' threads of each.
    pub threads: Option<u16>,
    /// Ends them.
    pub stop: &'a AtomicBool,
}

/// All runs, and what they share.
pub struct Runs<'a> {
    plan: &'a Plan,
    device: String,
    processes: Processes<'a>,
    all: Mutex<Vec<Run>>,
}

impl<'a> Runs<'a> {
    /// The runs of a plan, whose folders are in `pool`: each seed's of all variants, then the next seed's.
    pub fn new(plan: &'a Plan, pool: &Path, device: &str, processes: Processes<'a>) -> Self {
        let seeds = plan.asked.seeds.iter();
        let all = seeds.flat_map(|&seed| {
            let variants = plan.variants.iter().enumerate();
            variants.map(move |(variant, planned)| {
                let folder = pool.join(planned.folder(seed));
                let done = folder::is_done(&folder, planned.settings.steps);
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
            device: device.into(),
            processes,
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

    /// Trains and measures all of them, `parallel` at once; `look` is called every now and then, and at the end. A run
    /// that fails is no error: its state says so.
    ///
    /// # Errors
    /// [`Stopped`], where runs are left.
    pub fn train(&self, parallel: usize, mut look: impl FnMut(&[Run])) -> Result<()> {
        let count = self.now().len();
        let queue: Mutex<VecDeque<usize>> = Mutex::new((0..count).collect());
        let next = || {
            let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            match self.processes.stop.load(Ordering::Relaxed) {
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
            while !workers.iter().all(|worker| worker.is_finished()) {
                look(&self.now());
                std::thread::sleep(LOOK);
            }
        });
        let runs = self.now();
        look(&runs);
        match runs.iter().any(|run| run.state == State::Waiting) {
            true => bail!(Stopped),
            false => Ok(()),
        }
    }

    fn run(&self, i: usize, run: &Run) -> Result<()> {
        let Some(planned) = self.plan.variants.get(run.variant) else {
            bail!("there is no such variant")
        };
        let Processes { threads, stop } = self.processes;
        if !folder::is_done(&run.folder, planned.settings.steps) {
            self.set(i, State::Training);
            self.wait_until_free(&run.folder)?;
            child::attended(&train_words(planned, run), threads, stop)?;
        }
        self.set(i, State::Measuring);
        let words = measured::words(self.plan.asked.n, &run.folder, &self.device);
        let asked = Asked::of(&EvalArgs::of(&words)?);
        if measured(&run.folder, planned.settings.steps, &asked).is_none() {
            child::run(&words, threads, stop)?;
            if measured(&run.folder, planned.settings.steps, &asked).is_none() {
                bail!("{}: its values were not saved", run.folder.display())
            }
        }
        Ok(())
    }

    /// A process that was killed with a comparison before may need a moment to end.
    fn wait_until_free(&self, folder: &Path) -> Result<()> {
        let begin = Instant::now();
        while folder::is_locked(folder) && begin.elapsed() < HELD {
            if self.processes.stop.load(Ordering::Relaxed) {
                bail!(Stopped)
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
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
