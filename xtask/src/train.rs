//! `train`: resolves what is asked for, says so, and runs the loop with the folder's observers.

use crate::cli::TrainArgs;
use crate::folder::{self, RunFolder};
use crate::heldout::HeldOut;
use crate::observers::csv::Csv;
use crate::observers::pictures::Pictures;
use crate::observers::progress::Progress;
use crate::observers::strips::{self, Strips};
use crate::observers::tensorboard::TensorBoard;
use crate::observers::terminal::Terminal;
use crate::observers::thousands;
use crate::plan::plan;
use crate::resume::resumed;
use crate::settings::{self, MadeWith, Settings};
use crate::{INTERRUPTED, Usage, dataset, process};
use anyhow::{Context as _, Result, bail};
use candle_core::Device;
use gan_core::data::{Data, idx};
use gan_core::train::{Plan, fixed_noise};
use gan_core::{
    Algorithm, Checkpoint, Context, DataInfo, FileError, Header, LiveSource, Observer, Outcome,
    Preset, Recipe, Store, Takes, Task,
};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Pictures in a grid.
const GRID: usize = 64;
/// Pictures in a row of a grid.
const COLUMNS: usize = 8;

/// What a run starts with.
pub struct Start {
    /// The settings, complete.
    pub settings: Settings,
    /// The data set, open.
    pub data: Data,
    /// What was done to pictures that were not as they should be.
    pub notes: Vec<String>,
    /// The folder of the run to go on with, and its checkpoint if it got as far as one.
    pub run: Option<(RunFolder, Option<Checkpoint>)>,
}

/// Runs `train`; gives the exit code.
pub fn train(papers: &[&dyn Recipe], args: &TrainArgs) -> Result<u8> {
    let recipe = settings::paper(papers, &args.paper)?;
    let device = process::device(&args.device)?;
    let start = match &args.resume {
        Some(file) => resumed(recipe, args, file.as_deref())?,
        None => fresh(recipe, args)?,
    };
    let (settings, info) = (&start.settings, start.data.info());
    let cx = Context::new(&device, settings.seed, info.clone(), 1);
    // Built before a folder is made, so that a setting that cannot be built leaves nothing behind.
    let mut algorithm = recipe
        .build(&settings.config, &cx)
        .map_err(|e| usage(&args.paper, &e))?;
    let mut source = LiveSource::new(&start.data, settings.seed, &device);
    let checkpoint = start
        .run
        .as_ref()
        .and_then(|(_, checkpoint)| checkpoint.as_ref());
    let from = checkpoint.map_or(0, |checkpoint| checkpoint.header.iteration);
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
        say!("{}", plan(recipe, settings, &info, &device, from, &out));
        start.notes.iter().for_each(|note| say!("  note    {note}"));
        say!("dry run: nothing was done");
        return Ok(0);
    }
    if let Some(checkpoint) = checkpoint {
        checkpoint
            .restore(&mut *algorithm, Some(&mut source))
            .with_context(|| checkpoint.path.display().to_string())?;
    }
    let going_on = start.run.is_some();
    let folder = match start.run {
        Some((folder, _)) => folder,
        None => RunFolder::create(args.out.as_deref(), &args.paper)?,
    };
    if going_on && from == 0 {
        let weights = folder.path().join("weights");
        if weights.exists() {
            bail!(FileError::new(
                &folder.checkpoints(),
                "holds no checkpoint, though the run got as far as writing weights",
                "put its checkpoints back, or start a new run"
            ))
        }
        // The run was stopped before its first checkpoint: it starts again, and so do its logs.
        for path in ["scalars.csv", "samples", "tensorboard", "progress.gif"]
            .map(|name| folder.path().join(name))
        {
            remove(&path)?;
        }
    }
    if !args.quiet {
        say!(
            "{}",
            plan(recipe, settings, &info, &device, from, folder.path())
        );
        start.notes.iter().for_each(|note| say!("  note    {note}"));
    }
    write_config(recipe, settings, &device, &folder)?;
    let mut run = Run {
        settings,
        data: &start.data,
        device: &device,
        folder: &folder,
        task: recipe.task(&settings.config)?,
        quiet: args.quiet,
    };
    run.train(&mut *algorithm, &mut source, from)
}

pub(crate) fn usage(paper: &str, error: &candle_core::Error) -> Usage {
    let text = error.to_string();
    Usage(format!(
        "{paper}: {}",
        text.lines().next().unwrap_or_default()
    ))
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

/// The settings of a new run: preset or file, then what the command line overrides.
fn fresh(recipe: &dyn Recipe, args: &TrainArgs) -> Result<Start> {
    let base = args.config.as_deref().map(Settings::read).transpose()?;
    if let (Some(base), Some(path)) = (&base, &args.config) {
        if base.paper != args.paper {
            bail!(FileError::new(
                path,
                format!("belongs to {}, not to {}", base.paper, args.paper),
                "name the paper it belongs to"
            ))
        }
        if args.preset.is_some() {
            bail!(Usage(
                "--preset and --config exclude each other: the file holds all settings".into()
            ))
        }
    }
    let name = match (&args.data, &base) {
        (Some(name), _) => absolute(name),
        (None, Some(base)) => base.data.clone(),
        (None, None) => recipe.info().data.into(),
    };
    let preset = args.preset.map_or(Preset::Demo, Preset::from);
    let task = task(recipe, preset, base.as_ref())?;
    let (data, notes) = dataset::open_for(&name, idx::Split::Train, Some(task))?;
    let info = data.info();
    let config = match &base {
        Some(base) => recipe
            .check(&base.config)
            .map_err(|e| usage("the file's settings", &e))?,
        None => recipe.preset(preset, &info)?,
    };
    let config = settings::apply(recipe, &config, &args.set)?;
    let pace = recipe.pace(&config, &info)?;
    check_task(recipe, &config, &data)?;
    // Other settings may make another length of the run.
    let kept = base.as_ref();
    let same = kept.filter(|base| base.config == config);
    let steps = args.steps.or(same.map(|b| b.steps)).unwrap_or(pace.steps);
    if steps == 0 {
        bail!(Usage("--steps 0: a run has at least one iteration".into()))
    }
    let settings = Settings {
        paper: args.paper.clone(),
        preset: kept.map_or(preset.name().into(), |b| b.preset.clone()),
        data: name,
        seed: args.seed.or(kept.map(|b| b.seed)).unwrap_or(1),
        steps,
        log_every: args
            .log_every
            .or(kept.map(|b| b.log_every))
            .unwrap_or((steps / 10).clamp(1, 50)),
        sample_every: args
            .sample_every
            .or(same.map(|b| b.sample_every))
            .unwrap_or(pace.sample_every),
        save_every: args
            .save_every
            .or(kept.map(|b| b.save_every))
            .unwrap_or((steps / 20).max(1)),
        keep: args.keep.or(kept.map(|b| b.keep)).unwrap_or(3),
        config,
        made_with: None,
    };
    let mut notes = notes;
    let size = settings.config.get("size").and_then(Value::as_u64);
    let shorter = info.height.min(info.width);
    if let (Some(size), Task::Paired | Task::Unpaired) = (size, task)
        && (shorter as u64) < size
    {
        notes.push(format!(
            "pictures of {shorter}x{shorter} are enlarged for a network of {size}x{size}; --set size=N makes a \
             smaller one"
        ));
    }
    Ok(Start {
        settings,
        data,
        notes,
        run: None,
    })
}

/// What a paper learns from, which has to be known before its data can be opened and its preset be made for
/// them.
fn task(recipe: &dyn Recipe, preset: Preset, base: Option<&Settings>) -> Result<Task> {
    let config = match base {
        Some(base) => base.config.clone(),
        None => recipe.preset(preset, &DataInfo::square(28 * 28)?)?,
    };
    recipe
        .task(&config)
        .map_err(|e| usage("the file's settings", &e).into())
}

/// Refuses a data set that is not what the paper learns from.
fn check_task(recipe: &dyn Recipe, config: &serde_json::Value, data: &Data) -> Result<()> {
    let problem = match (recipe.task(config)?, data) {
        (Task::Images, Data::Images(_))
        | (Task::Unpaired, Data::Unpaired { .. })
        | (Task::Paired, Data::Paired { .. }) => return Ok(()),
        (Task::Labelled, Data::Images(set)) if set.info().classes.is_some() => return Ok(()),
        (Task::Labelled, _) => "pictures with labels",
        (Task::Unpaired, _) => "two sets of pictures, A and B",
        (Task::Paired, _) => "pairs of pictures, A and B",
        (Task::Images, _) => "one set of pictures",
    };
    bail!(Usage(format!(
        "{} learns from {problem}, which this data set does not have; choose another with --data",
        recipe.info().name
    )))
}

/// A folder's name without the current directory in it, so that a run goes on from anywhere.
pub(crate) fn absolute(name: &str) -> String {
    match std::fs::canonicalize(name) {
        Ok(path) if !dataset::EMBEDDED.iter().any(|set| set.name == name) => {
            path.display().to_string()
        }
        _ => name.to_string(),
    }
}

fn write_config(
    recipe: &dyn Recipe,
    settings: &Settings,
    device: &Device,
    folder: &RunFolder,
) -> Result<()> {
    let written = Settings {
        made_with: Some(MadeWith {
            version: env!("CARGO_PKG_VERSION").into(),
            commit: commit(),
            device: process::describe(device),
        }),
        ..settings.clone()
    };
    folder.write_config(&written.to_toml(recipe)?)
}

/// The workspace's commit, when git is there to tell.
fn commit() -> String {
    let run = || {
        let root = dataset::workspace().ok()?;
        let git = std::process::Command::new("git")
            .args(["describe", "--always", "--dirty", "--abbrev=12"])
            .current_dir(root)
            .output()
            .ok()?;
        let text = String::from_utf8(git.stdout).ok()?;
        (git.status.success() && !text.trim().is_empty()).then(|| text.trim().to_string())
    };
    run().unwrap_or_else(|| "unknown".into())
}

/// A run under way.
struct Run<'a> {
    settings: &'a Settings,
    data: &'a Data,
    device: &'a Device,
    folder: &'a RunFolder,
    task: Task,
    quiet: bool,
}

impl Run<'_> {
    fn train(
        &mut self,
        algorithm: &mut dyn Algorithm,
        source: &mut LiveSource,
        from: u64,
    ) -> Result<u8> {
        let (settings, dir) = (self.settings, self.folder.path());
        let header = Header::new(&settings.paper, settings.seed, &settings.config, self.data);
        let mut store = Store::open(
            &self.folder.checkpoints(),
            from,
            settings.keep as usize,
            header,
        )?;
        let takes = algorithm.sampler(from).takes();
        let noise = |n| fixed_noise(&takes, n, settings.seed, self.device);
        let probe = match &takes {
            Takes::Latent { .. } => Some(noise(GRID)?),
            Takes::Labelled { classes, .. } => Some(noise(classes * COLUMNS)?), // a row a class
            Takes::Image { .. } | Takes::Sides { .. } => None,
        };
        let held_out = match &probe {
            None => HeldOut::open(settings, self.task, self.data),
            Some(_) => None,
        };
        let mut strips = None;
        let probe = match &held_out {
            Some(held_out) => {
                let (probe, truth) = held_out.shown(&takes, self.device)?;
                strips = Some(Strips::new(&dir.join("samples"), truth));
                Some(probe)
            }
            None => probe,
        };
        if let (Some(note), false) = (held_out.as_ref().and_then(|h| h.note.as_ref()), self.quiet) {
            say!("  note    {note}");
        }
        let mut csv = Csv::open(&dir.join("scalars.csv"), from)?;
        let mut board = TensorBoard::open(&dir.join("tensorboard"), COLUMNS, from)?;
        let mut pictures = Pictures::open(&dir.join("samples"), COLUMNS, from)?;
        let shown = strips.as_ref().map_or("fake", |_| strips::COLUMN);
        let mut progress = Progress::new(dir, shown);
        let mut terminal = Terminal::new();
        let mut observers: Vec<&mut dyn Observer> = vec![&mut csv, &mut board, &mut pictures];
        observers.extend(strips.as_mut().map(|strips| strips as &mut dyn Observer));
        observers.push(&mut progress);
        if !self.quiet {
            observers.push(&mut terminal);
        }
        let stop = process::watch_signals()?;
        let plan = Plan {
            from,
            steps: settings.steps,
            log_every: settings.log_every,
            sample_every: settings.sample_every,
            save_every: settings.save_every,
            probe,
            seed: settings.seed,
            stop: &stop,
        };
        let start = Instant::now();
        let outcome = gan_core::train(algorithm, source, &plan, Some(&mut store), &mut observers)?;
        let weights = dir.join("weights");
        std::fs::create_dir_all(&weights).map_err(|e| FileError::writing(&weights, &e))?;
        for (name, part) in algorithm.parts() {
            if let Some(params) = part.params() {
                params.write_weights(&weights.join(format!("{name}.safetensors")))?;
            }
        }
        let mut last = Vec::new();
        if let (Some(held_out), Outcome::Done) = (&held_out, outcome) {
            let sampler = algorithm.sampler(settings.steps);
            last = held_out.write(&*sampler, dir, settings.seed, self.device)?;
        }
        Ok(self.end(from, outcome, start, &last))
    }

    /// Says what was made and how to go on; gives the exit code.
    fn end(&self, from: u64, outcome: Outcome, start: Instant, last: &[PathBuf]) -> u8 {
        let (settings, dir) = (self.settings, self.folder.path().display());
        let resume = format!("cargo xtask train {} --out {dir} --resume", settings.paper);
        match outcome {
            Outcome::Interrupted(t) => {
                // Said also under --quiet: whoever pressed Ctrl-C wants to know that nothing is lost.
                say!("stopped and saved after {} iterations", thousands(t));
                say!("  go on   {resume}");
                INTERRUPTED
            }
            Outcome::Done => {
                if !self.quiet {
                    let done = thousands(settings.steps - from);
                    say!(
                        "done: {done} iterations in {:.0} s",
                        start.elapsed().as_secs_f64()
                    );
                    say!("  pictures  {dir}/samples, {dir}/progress.gif");
                    last.iter()
                        .for_each(|path| say!("  held out  {}", path.display()));
                    say!(
                        "  curves    {dir}/scalars.csv, or tensorboard --logdir {dir}/tensorboard"
                    );
                    say!("  weights   {dir}/weights");
                    let input = if last.is_empty() { "" } else { " --input PATH" };
                    say!("  sample    cargo xtask sample {dir}{input}");
                    say!("  go on     {resume} --steps {}", 2 * settings.steps);
                }
                0
            }
        }
    }
}
