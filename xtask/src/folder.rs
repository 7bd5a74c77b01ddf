//! A run's folder: where things are, who may write, how a new one is made.

use crate::settings::Settings;
use anyhow::{Result, bail};
use gan_core::whole::{Place, clean};
use gan_core::{Event, FileError, Observer, Recipe, Store};
use std::cell::Cell;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

/// A run's folder, locked while this value lives. The lock is the system's, so a killed run leaves none.
///
/// The lock binds a file, not its name: where the folder is removed and made anew, its next owner has another lock.
/// So whoever writes by name looks first whether the folder is still its own.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    place: Place,
    lock: Place,
    /// The lock's file, in which a run that is under way says so.
    mark: File,
    running: Cell<bool>,
    died: bool,
}

/// What a lock's file holds while a run is under way; nothing at all after any end in order.
const RUNNING: &[u8] = b"running\n";

impl RunFolder {
    /// Makes a folder for a new run: `out`, or the next free number under `runs/PAPER`.
    ///
    /// # Errors
    /// A folder that holds a run already, cannot be written, or is locked.
    pub fn create(out: Option<&Path>, paper: &str) -> Result<Self> {
        let path = match out {
            Some(path) => path.to_path_buf(),
            None => next_free(paper)?,
        };
        std::fs::create_dir_all(&path).map_err(|e| FileError::writing(&path, &e))?;
        let folder = Self::lock(path)?;
        refuse_run(&folder.path)?;
        Ok(folder)
    }

    /// Opens the folder of an existing run.
    ///
    /// # Errors
    /// A folder without a run, or one that is locked.
    pub fn open(path: &Path) -> Result<Self> {
        require_run(path)?;
        Self::lock(path.to_path_buf())
    }

    /// Refuses to go on in a folder that is another's now.
    ///
    /// # Errors
    /// A folder that was removed, renamed, made anew, or locked anew by another process.
    pub fn require_own(&self) -> std::result::Result<(), FileError> {
        self.place.require()?;
        match self.lock.is_there() {
            // A lock that someone has swept away binds nobody else yet.
            Ok(None) => Ok(()),
            _ => self.lock.require(),
        }
    }

    fn lock(path: PathBuf) -> Result<Self> {
        let place = Place::open(&path)?;
        let file = path.join(".lock");
        // Without one no run began here, and no name in it is ours.
        let began = file.exists();
        let options = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&file);
        let lock = options.map_err(|e| FileError::writing(&file, &e))?;
        match lock.try_lock() {
            Ok(()) => {
                let mark = lock
                    .try_clone()
                    .map_err(|e| FileError::reading(&file, &e))?;
                let died = mark.metadata().is_ok_and(|about| about.len() > 0);
                let lock = Place::of(&file, lock);
                let folder = Self {
                    path,
                    place,
                    lock,
                    mark,
                    running: Cell::new(false),
                    died,
                };
                folder.require_own()?;
                if began {
                    for dir in [
                        &folder.path,
                        &folder.checkpoints(),
                        &folder.weights(),
                        &folder.path.join("samples"),
                    ] {
                        clean(dir)?;
                    }
                }
                Ok(folder)
            }
            Err(TryLockError::WouldBlock) => bail!(FileError::new(
                &path,
                "another process is training in this folder",
                "wait for it or stop it, or choose another --out"
            )),
            Err(TryLockError::Error(e)) => bail!(FileError::writing(&file, &e)),
        }
    }

    /// Says in the folder that a run is under way, until this value is dropped.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn begin(&self) -> Result<()> {
        self.require_own()?;
        let written = (&self.mark)
            .rewind()
            .and_then(|()| (&self.mark).write_all(RUNNING));
        written.map_err(|e| FileError::writing(&self.path.join(".lock"), &e))?;
        self.running.set(true);
        Ok(())
    }

    /// Whether the run before this one ended without a word: it was killed, or the machine's memory or power failed.
    pub fn died(&self) -> bool {
        self.died
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `config.toml`
    pub fn config(&self) -> PathBuf {
        config(&self.path)
    }

    /// `checkpoints/`
    pub fn checkpoints(&self) -> PathBuf {
        checkpoints(&self.path)
    }

    /// `weights/`
    pub fn weights(&self) -> PathBuf {
        self.path.join("weights")
    }

    /// Writes `config.toml`, whole or not at all.
    pub fn write_config(&self, text: &str) -> Result<()> {
        self.require_own()?;
        let write = |file: &Path| std::fs::write(file, text);
        Ok(gan_core::whole::write_whole(&self.config(), write)?)
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if self.running.get() {
            // Where this fails, the next process only asks itself what has become of this one.
            let _ = self.mark.set_len(0);
        }
    }
}

/// The first of a run's observers: before any other writes, the folder must still be the run's own.
#[derive(Debug)]
pub struct Owned<'a>(pub &'a RunFolder);

impl Observer for Owned<'_> {
    fn on(&mut self, event: &Event<'_>) -> candle_core::Result<()> {
        match event {
            // Nothing is written then, and the system need not be asked each time.
            Event::Stepped { .. } => Ok(()),
            _ => Ok(self.0.require_own()?),
        }
    }
}

/// `config.toml` of a run's folder.
pub fn config(run: &Path) -> PathBuf {
    run.join("config.toml")
}

/// The checkpoints of a run's folder.
pub fn checkpoints(run: &Path) -> PathBuf {
    run.join("checkpoints")
}

/// Whether a run has done all its iterations and was not cut off afterwards.
pub fn is_done(run: &Path, steps: u64) -> bool {
    let newest = Store::list(&checkpoints(run)).map(|all| all.last().map(|(t, _)| *t));
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

/// Refuses a path that is no run's folder.
pub fn require_run(path: &Path) -> Result<()> {
    if config(path).is_file() {
        return Ok(());
    }
    let problem = if path.is_dir() {
        "holds no run (there is no config.toml)"
    } else {
        "no such folder"
    };
    bail!(FileError::new(
        path,
        problem,
        "check the name; runs are under runs/PAPER"
    ))
}

/// Refuses a folder that holds a run.
pub fn refuse_run(path: &Path) -> Result<()> {
    if config(path).exists() {
        bail!(FileError::new(
            path,
            "holds a run already",
            "add --resume to go on with it, or choose another --out"
        ))
    }
    Ok(())
}

/// The settings of a run.
pub fn settings(run: &Path) -> Result<Settings> {
    require_run(run)?;
    Settings::read(&config(run))
}

/// The paper of a run.
///
/// # Errors
/// Settings that name none that is known.
pub fn paper<'a>(
    papers: &[&'a dyn Recipe],
    run: &Path,
    settings: &Settings,
) -> Result<&'a dyn Recipe> {
    let named = crate::settings::paper(papers, &settings.paper);
    // It is no mistake in the command line.
    named.map_err(|error| anyhow::anyhow!("{}: {error}", config(run).display()))
}

/// The newest run of a paper: the highest number under `runs/PAPER`.
pub fn newest(paper: &str) -> Result<PathBuf> {
    match numbers(paper).into_iter().max() {
        Some(number) => Ok(numbered(paper, number)),
        None => bail!(FileError::new(
            &Path::new("runs").join(paper),
            "there is no run to go on with",
            "name one with --out, or start one without --resume"
        )),
    }
}

fn next_free(paper: &str) -> Result<PathBuf> {
    let mut number = numbers(paper).into_iter().max().unwrap_or(0) + 1;
    loop {
        let path = numbered(paper, number);
        let parent = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent).map_err(|e| FileError::writing(parent, &e))?;
        // Two runs that start at once must not share a number.
        match std::fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
            Err(e) => bail!(FileError::writing(&path, &e)),
        }
    }
}

fn numbered(paper: &str, number: u32) -> PathBuf {
    Path::new("runs").join(paper).join(format!("{number:04}"))
}

fn numbers(paper: &str) -> Vec<u32> {
    let entries = std::fs::read_dir(Path::new("runs").join(paper));
    entries
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}
