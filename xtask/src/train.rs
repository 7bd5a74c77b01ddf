//! `train`: resolves what is asked for, says so, and runs the job with the folder's observers.

use crate::cli::TrainArgs;
use crate::finish::{self, End};
use crate::folder::{self, Owned, RunFolder};
use crate::heldout::HeldOut;
use crate::job::{Job, Ran, Running, Watch};
use crate::observers::csv::Csv;
use crate::observers::latest::Latest;
use crate::observers::notes::Notes;
use crate::observers::pictures::Pictures;
use crate::observers::report::Page;
use crate::observers::strips::Strips;
use crate::observers::tensorboard::TensorBoard;
use crate::observers::terminal::{Terminal, expected};
use crate::observers::times::Times;
use crate::observers::{INTERRUPTED, thousands};
use crate::plan::plan;
use crate::resume::resumed;
use crate::samedata;
use crate::settings::{self, MadeWith, Settings};
use crate::shell::quoted;
use crate::start::{fresh, usage};
use crate::{Usage, health, process};
use anyhow::{Context as _, Result, bail};
use gan_core::data::Data;
use gan_core::{
    Checkpoint, Event, FileError, Observer, Outcome, Port, Recipe, Store, device, fixed_noise,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Pictures in a grid.
const GRID: usize = 64;
/// Pictures in a row of a grid.
const COLUMNS: usize = 8;

/// Runs `train`; gives the exit code.
pub fn train(papers: &[&dyn Recipe], args: &TrainArgs) -> Result<u8> {
    let recipe = settings::paper(papers, &args.paper)?;
    let stop = Arc::default();
    if args.attended {
        process::stop_with_parent(&stop);
    }
    let (device, why) = process::choose(&args.device)?;
    if let (Some(why), false) = (why, args.quiet) {
        warn!("warning: {why}");
    }
    let start = match &args.resume {
        Some(file) => resumed(recipe, args, file.as_deref(), &device)?,
        None => fresh(recipe, args, &device)?,
    };
    let job = &start.job;
    let checkpoint = start
        .run
        .as_ref()
        .and_then(|(_, checkpoint)| checkpoint.as_ref());
    let from = checkpoint.map_or(0, |checkpoint| checkpoint.header.iteration);
    if args.until.is_some_and(|until| until <= from) {
        bail!(Usage(format!(
            "--until {}: {} iterations are done already",
            args.until.unwrap_or(0),
            thousands(from)
        )))
    }
    // Built before a folder is made, so that a setting that cannot be built leaves nothing behind.
    let mut running = match job.start(&start.data) {
        // That it does not fit is no fault of the command line.
        Err(error) if device::is_out_of_memory(&error.to_string()) => bail!(error),
        started => started.map_err(|e| usage(&args.paper, &e))?,
    };
    let begun = job.init.begin(&mut *running.algorithm)?;
    // Looked at before the start, so that a run does not end with an error where it would show them.
    let held_out = match running.algorithm.sampler(from).takes().port {
        Some(_) => Some(HeldOut::or_training(job, &start.data)?),
        None => None,
    };
    let mut notes = recipe.notes(&job.settings.config)?;
    notes.extend(begun);
    notes.extend(start.notes);
    notes.extend(held_out.iter().flat_map(|held_out| held_out.notes.clone()));
    if let (Some((folder, Some(checkpoint))), true) = (&start.run, from >= job.settings.steps) {
        restore(&mut running, checkpoint)?;
        let end = End { job, folder };
        if !args.dry_run {
            folder.begin()?;
            store(job, folder, &start.data, from)?.prune(from)?;
        }
        let (shown, path) = (held_out.as_ref(), &checkpoint.path);
        return match end.make_up(&mut running, path, shown, args.dry_run, args.quiet) {
            // A comparison asks for the run as it is to be, whatever of it is there.
            Err(error) if args.attended && error.is::<Usage>() => Ok(0),
            made => made.map(|()| 0),
        };
    }
    let out = match (&start.run, &args.out) {
        (Some((folder, _)), _) => folder.path().to_path_buf(),
        (None, Some(out)) => out.clone(),
        (None, None) => Path::new("runs").join(&args.paper).join("(next number)"),
    };
    // `RunFolder::create` looks again, under the lock; a dry run must say the same.
    if let (None, Some(out)) = (&start.run, &args.out) {
        folder::refuse_run(out)?;
    }
    if args.dry_run {
        say!("{}", plan(job, &start.info, from, &out));
        let iteration = running.tried()?;
        say!("{}", expected(iteration, job.settings.steps - from));
        notes.iter().for_each(|note| say!("  note    {note}"));
        say!("dry run: nothing was done");
        return Ok(0);
    }
    if let Some(checkpoint) = checkpoint {
        restore(&mut running, checkpoint)?;
    }
    if stop.load(Ordering::Relaxed) {
        // Whoever wanted the run has gone, and may have come again: the folder is theirs.
        return Ok(crate::INTERRUPTED);
    }
    let going_on = start.run.is_some();
    let folder = match start.run {
        Some((folder, _)) => folder,
        None => RunFolder::create(args.out.as_deref(), &args.paper)?,
    };
    if going_on && from == 0 {
        // The run was stopped before its first checkpoint: it starts again, and so do its logs.
        for name in [
            "scalars.csv",
            "times.csv",
            "notes.txt",
            "samples",
            "tensorboard",
            "progress.gif",
        ] {
            remove(&folder.path().join(name))?;
        }
    }
    if !args.quiet {
        say!("{}", plan(job, &start.info, from, folder.path()));
        if folder.died() {
            say!(
                "  note    the run ended without a word before: it was killed, perhaps for want of memory, or the machine \
                 stopped"
            );
        }
    }
    folder.begin()?;
    write_config(job, &folder)?;
    samedata::write_list(folder.path(), &start.data)?;
    let run = Run {
        job,
        data: &start.data,
        folder: &folder,
        held_out: held_out.as_ref(),
        quiet: args.quiet,
        stop,
    };
    run.train(&mut running, args.until, notes)
}

/// Where the checkpoints of a run go that has `from` iterations behind it.
fn store(job: &Job<'_>, folder: &RunFolder, data: &Data, from: u64) -> Result<Store> {
    let settings = &job.settings;
    let keep = settings.keep as usize;
    let store = Store::open(&folder.checkpoints(), from, keep, job.header(data))?;
    Ok(store
        .spread(settings.save_every, settings.steps)
        .changed(settings.changed()))
}

fn restore(running: &mut Running<'_>, checkpoint: &Checkpoint) -> Result<()> {
    let restored = running.restore(checkpoint);
    restored.with_context(|| checkpoint.path.display().to_string())
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    };
    match removed {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => bail!(FileError::writing(path, &e)),
        _ => Ok(()),
    }
}

fn write_config(job: &Job<'_>, folder: &RunFolder) -> Result<()> {
    let written = Settings {
        made_with: Some(MadeWith {
            version: env!("CARGO_PKG_VERSION").into(),
            commit: process::commit(),
            device: process::describe(&job.device),
        }),
        ..job.settings.clone()
    };
    folder.write_config(&written.to_toml(job.recipe)?)
}

/// A run under way.
struct Run<'a> {
    job: &'a Job<'a>,
    data: &'a Data,
    folder: &'a RunFolder,
    /// The pictures that a generator of pictures is shown.
    held_out: Option<&'a HeldOut>,
    quiet: bool,
    /// Set by whoever wants it to end.
    stop: Arc<AtomicBool>,
}

impl Run<'_> {
    fn train(
        &self,
        running: &mut Running<'_>,
        until: Option<u64>,
        notes: Vec<String>,
    ) -> Result<u8> {
        let (job, settings, dir) = (self.job, &self.job.settings, self.folder.path());
        let from = running.from;
        let checkpoints = self.folder.checkpoints();
        // Then another course of the run is left, whose logs are not lost either.
        let later = Store::has_later(&checkpoints, from)?;
        let mut store = store(job, self.folder, self.data, from)?;
        let takes = running.algorithm.sampler(from).takes();
        // A row a class, where there are classes.
        let shown = takes.classes.map_or(GRID, |classes| classes * COLUMNS);
        let (mut strips, probe) = match (&takes.port, self.held_out) {
            (Some(port), Some(held_out)) => {
                let (probe, beside) = held_out.shown(port, &job.device)?;
                (Some(Strips::new(&dir.join("samples"), beside)), probe)
            }
            _ => (
                None,
                fixed_noise(&takes, shown, settings.seed, &job.device)?,
            ),
        };
        let mut csv = Csv::open(&dir.join("scalars.csv"), from, later)?;
        let mut times = Times::open(&dir.join("times.csv"), from, later, running.shown())?;
        let mut said = Notes::open(&dir.join("notes.txt"), from, later)?;
        let mut board = TensorBoard::open(&dir.join("tensorboard"), COLUMNS, from, later)?;
        let samples = dir.join("samples");
        let mut pictures = Pictures::open(&samples, COLUMNS, from)?;
        let mut latest = Latest::new(&samples, finish::column(takes.port.as_ref()));
        let mut progress = finish::film(dir, takes.port.as_ref());
        let mut page = Page::new(job.recipe, dir, settings.steps);
        let mut terminal = Terminal::new();
        let mut owned = Owned(self.folder);
        let mut observers: Vec<&mut dyn Observer> = vec![
            &mut owned,
            &mut csv,
            &mut times,
            &mut said,
            &mut board,
            &mut pictures,
        ];
        observers.extend(strips.as_mut().map(|strips| strips as &mut dyn Observer));
        observers.push(&mut latest);
        observers.push(&mut progress);
        // After all whose files it shows.
        observers.push(&mut page);
        if !self.quiet {
            observers.push(&mut terminal);
        }
        process::set_by_signals(&self.stop)?;
        let watch = Watch {
            until,
            notes,
            probe: Some(probe),
            store: Some(&mut store),
        };
        let mut reached = Reached(from);
        observers.push(&mut reached);
        let ran = match running.run(watch, &self.stop, &mut observers) {
            Err(error) if process::is_out_of_memory(&error) => {
                let said = self.out_of_memory(reached.0, store.kept()?.pop());
                if self.folder.require_own().is_ok() {
                    page.fail(&said);
                }
                bail!(said)
            }
            Err(error) => {
                // A folder that went away while something was written into it is what is to be said.
                self.folder.require_own()?;
                page.fail(&crate::one_line(&error));
                bail!(error)
            }
            Ok(ran) => ran,
        };
        let end = End {
            job,
            folder: self.folder,
        };
        end.weights(&mut *running.algorithm, |_| true)?;
        let mut last = Vec::new();
        if let (Some(held_out), Some(port), Outcome::Done) =
            (self.held_out, &takes.port, ran.outcome)
            && held_out.is_held_out
        {
            last = end.held_out(&*running.algorithm, held_out, port)?;
        }
        Ok(self.end(&ran, takes.port.as_ref(), &last))
    }

    /// What to say where a GPU's memory did not suffice after `t` iterations.
    fn out_of_memory(&self, t: u64, newest: Option<(u64, PathBuf)>) -> String {
        let then = match newest {
            Some((_, path)) => format!(
                "{} stands; go on with --resume --device cpu, or start a new run with a smaller batch (--set batch=N)",
                path.display()
            ),
            None => {
                "nothing was saved yet; use a smaller batch (--set batch=N), or --device cpu".into()
            }
        };
        format!(
            "{}, has no memory left after {} iterations; {then}",
            process::describe(&self.job.device),
            thousands(t)
        )
    }

    /// Says what was made and how to go on; gives the exit code.
    fn end(&self, ran: &Ran, port: Option<&Port>, last: &[PathBuf]) -> u8 {
        let (settings, path) = (&self.job.settings, self.folder.path());
        let (dir, quoted_dir) = (path.display(), quoted(path));
        let resume = format!(
            "cargo xtask train {} --out {quoted_dir} --resume",
            settings.paper
        );
        let input = port.map_or("", |_| " --input PATH");
        let sample = format!("cargo xtask sample {quoted_dir}{input}");
        match ran.outcome {
            Outcome::Interrupted(t) => {
                // Said also under --quiet: whoever pressed Ctrl-C wants to know that nothing is lost.
                say!("stopped and saved after {} iterations", thousands(t));
                let pictures = self.folder.path().join("samples").join(INTERRUPTED);
                if pictures.exists() {
                    say!("  pictures  {}", pictures.display());
                }
                say!("  sample    {sample}\n  go on     {resume}");
                return crate::INTERRUPTED;
            }
            _ if self.quiet => return 0,
            Outcome::Paused(t) => {
                say!(
                    "paused and saved after {} of {} iterations{}",
                    thousands(t),
                    thousands(settings.steps),
                    took(ran)
                );
                say!("  sample    {sample}\n  go on     {resume}");
            }
            Outcome::Done => {
                say!(
                    "done: {} iterations{}",
                    thousands(ran.iterations),
                    took(ran)
                );
                say!("  pictures  {dir}/samples, {dir}/progress.gif");
                last.iter()
                    .for_each(|path| say!("  held out  {}", path.display()));
                say!(
                    "  curves    {dir}/scalars.csv, or tensorboard --logdir {}",
                    quoted(path.join("tensorboard"))
                );
                say!("  weights   {dir}/weights");
                say!("  sample    {sample}");
                if let Some(seen) = health::seen(&self.folder.path().join("scalars.csv")) {
                    say!("  note      {seen}");
                }
                // A rate that has fallen to nothing would learn nothing more.
                let stretch = match self.job.learns.scheduled {
                    true => " --stretch",
                    false => "",
                };
                say!(
                    "  go on     {resume} --steps {}{stretch}",
                    2 * settings.steps
                );
            }
        }
        0
    }
}

/// How many iterations are done, for an error to say.
struct Reached(u64);

impl Observer for Reached {
    fn on(&mut self, event: &Event<'_>) -> candle_core::Result<()> {
        if let Event::Stepped { t } = event {
            self.0 = *t;
        }
        Ok(())
    }
}

/// How long a run took, and how much of that it waited for pictures.
fn took(ran: &Ran) -> String {
    format!(
        " in {:.0} s, {:.1} % of them waiting for pictures; {:.0} CPU-seconds, peak memory {} MiB",
        ran.seconds,
        100. * ran.waiting(),
        ran.cpu_seconds,
        ran.peak_rss_mib
    )
}
