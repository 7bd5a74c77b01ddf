//! What a run starts with: its settings, from a preset or a file and the command line, and its data.

use crate::begins::Begins;
use crate::cli::TrainArgs;
use crate::dataset::{self, How};
use crate::folder::RunFolder;
use crate::job::Job;
use crate::observers::progress_bar;
use crate::samedata::absolute;
use crate::settings::{self, Change, FORMAT, Settings};
use crate::{Usage, features, hub, memory};
use anyhow::{Result, bail};
use candle_core::Device;
use gan_core::data::{Data, DataInfo, Small, Split};
use gan_core::{Checkpoint, FileError, Learns, Preset, Recipe, Sides};
use std::path::Path;

/// What a run starts with.
pub struct Start<'a> {
    /// The paper, its settings, where it runs.
    pub job: Job<'a>,
    /// The data set as it is.
    pub info: DataInfo,
    /// The data set as the run sees it.
    pub data: Data,
    /// What was done to pictures, and what else is to be said.
    pub notes: Vec<String>,
    /// The folder of the run to go on with, and its checkpoint if it got as far as one.
    pub run: Option<(RunFolder, Option<Checkpoint>)>,
}

/// Iterations between what a run does on the way, where nobody says how many.
pub struct Cadence {
    /// Between two records of the scalars.
    pub log_every: u64,
    /// Between two grids.
    pub sample_every: u64,
    /// Between two checkpoints.
    pub save_every: u64,
}

impl Cadence {
    /// That of a run of so many iterations.
    pub fn of(steps: u64) -> Self {
        Self {
            log_every: (steps / 10).clamp(1, 50),
            sample_every: steps.div_ceil(40),
            save_every: (steps / 20).max(1),
        }
    }
}

/// A mistake in the settings of a paper, as the user's.
pub fn usage(paper: &str, error: &candle_core::Error) -> Usage {
    let text = error.to_string();
    Usage(format!(
        "{paper}: {}",
        text.lines().next().unwrap_or_default()
    ))
}

/// The data of a run: looked at, then read once its settings are known.
///
/// # Errors
/// Those of looking and reading; data that are not what the paper learns from.
pub fn read(
    recipe: &dyn Recipe,
    looked: dataset::Looked,
    learns: &Learns,
    small: Small,
    args: &TrainArgs,
) -> Result<(Data, Vec<String>)> {
    let how = How {
        small,
        memory: args.memory.map_or(How::default().memory, |mib| mib << 20),
    };
    let (data, mut notes) = looked.read(learns.view, &how, &progress_bar(args.quiet))?;
    if let Some(low) = data
        .low
        .as_ref()
        .filter(|low| learns.enlarges != Some(low.scale))
    {
        bail!(Usage(format!(
            "{}: its low pictures are {} times smaller than its high ones, this run enlarges {} times",
            args.data.as_deref().unwrap_or_default(),
            low.scale,
            learns.enlarges.unwrap_or(1)
        )))
    }
    let names = &data.a.info().names;
    if learns.labels && !names.is_empty() {
        let rows = "rows of grids and numbers of classes, from 0";
        notes.push(format!("{rows}: {}", names.join(", ")));
    }
    let epoch = data.info().epoch();
    if learns.batch > epoch {
        notes.push(format!(
            "a batch of {} is larger than the {epoch} there are: it has some of them more than once",
            learns.batch
        ));
    }
    let problem = match (learns.sides, &data.b, data.paired) {
        (Sides::One, None, _) | (Sides::Apart, Some(_), false) | (Sides::Paired, Some(_), true) => {
            match (learns.labels, data.a.info().classes) {
                (true, None) => "pictures with labels",
                _ => return Ok((data, notes)),
            }
        }
        (Sides::Apart, ..) => "two sets of pictures, A and B",
        (Sides::Paired, ..) => "pairs of pictures, A and B",
        (Sides::One, ..) => "one set of pictures",
    };
    bail!(Usage(format!(
        "{} learns from {problem}, which this data set does not have; choose another with --data",
        recipe.info().name
    )))
}

/// A new run: preset or file, then what the command line overrides.
///
/// # Errors
/// Settings and data that do not fit.
pub fn fresh<'a>(recipe: &'a dyn Recipe, args: &TrainArgs, device: &Device) -> Result<Start<'a>> {
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
    let complete = |base: Settings| match base.complete(recipe) {
        Ok(base) => Ok(base),
        Err(error) => Err(Usage(format!(
            "{}: its settings: {}; see cargo xtask info {}",
            args.config.as_deref().unwrap_or(Path::new("")).display(),
            crate::one_line(&error),
            args.paper
        ))),
    };
    let base = base.map(complete).transpose()?;
    let base = base.as_ref();
    let name = match (&args.data, base) {
        (Some(name), _) => absolute(name),
        (None, Some(base)) => base.data.clone(),
        (None, None) => recipe.info().data.into(),
    };
    let name = hub::pinned(name)?;
    let preset = args.preset.map_or(Preset::Demo, Preset::from);
    // What it learns from has to be known before its data can be looked at and its preset be made for them.
    let likely = match base {
        Some(base) => base.config.clone(),
        None => recipe.preset(preset, &DataInfo::square(28 * 28)?)?,
    };
    // What is wrong with them is said below, of settings that are made for the data.
    let likely = settings::apply(recipe, &likely, &args.set).unwrap_or(likely);
    let learns = recipe.learns(&likely)?;
    let looked = dataset::look(&name, Split::Train, Some(learns), &progress_bar(args.quiet))?;
    let info = looked.info();
    let config = match base {
        Some(base) => base.config.clone(),
        None => recipe.preset(preset, &info)?,
    };
    let config = settings::apply(recipe, &config, &args.set)?;
    let learns = recipe.learns(&config)?;
    // Before pictures are brought to a size that there may be no room for.
    memory::require(recipe, &config, &info, device)?;
    let own = base.and_then(|base| base.vgg.as_ref());
    let (vgg, features) = features::read(&args.paper, &learns, args.vgg.as_deref(), own)?.unzip();
    let (named, init) = Begins::read(&args.init, base.map(|base| &base.init))?;
    let small = small(args).or(base.map(|b| b.small)).unwrap_or_default();
    let (data, notes) = read(recipe, looked, &learns, small, args)?;
    let steps = match (steps(args, &learns, &data), base) {
        (Some(steps), _) => steps,
        (None, Some(base)) => base.steps,
        (None, None) => recipe.steps(&config, preset, &info)?,
    };
    if let (0, None, None, Some(path)) = (steps, args.steps, args.epochs, &args.config) {
        let problem = "asks for 0 iterations, expected at least one";
        bail!(FileError::new(path, problem, "add --steps N"))
    }
    if steps == 0 {
        bail!(Usage("--steps 0: a run has at least one iteration".into()))
    }
    let usual = Cadence::of(steps);
    let settings = Settings {
        format: FORMAT,
        paper: args.paper.clone(),
        preset: base.map_or(preset.name().into(), |b| b.preset.clone()),
        data: name,
        vgg,
        init: named,
        small,
        seed: args.seed.or(base.map(|b| b.seed)).unwrap_or(1),
        steps,
        schedule: base.filter(|b| b.steps == steps).and_then(|b| b.schedule),
        log_every: args
            .log_every
            .or(base.map(|b| b.log_every))
            .unwrap_or(usual.log_every),
        sample_every: args
            .sample_every
            .or(base.filter(|b| b.steps == steps).map(|b| b.sample_every))
            .unwrap_or(usual.sample_every),
        save_every: args
            .save_every
            .or(base.map(|b| b.save_every))
            .unwrap_or(usual.save_every),
        keep: args.keep.or(base.map(|b| b.keep)).unwrap_or(3),
        changes: base.map_or(Vec::new(), |b| unless_set(&b.changes, &args.set)),
        config,
        made_with: None,
    };
    let mut job = Job::new(recipe, settings, device)?;
    job.features = features;
    job.init = init;
    Ok(Start {
        job,
        info,
        data,
        notes,
        run: None,
    })
}

/// The changes of a run that is repeated, but for settings that the command line names: these are as it says, from
/// beginning to end.
fn unless_set(changes: &[Change], set: &[String]) -> Vec<Change> {
    let named = |key: &str| {
        let mut keys = set.iter().filter_map(|word| word.split_once('='));
        keys.any(|(named, _)| named.trim() == key)
    };
    let mut changes = changes.to_vec();
    changes
        .iter_mut()
        .for_each(|change| change.set.retain(|key, _| !named(key)));
    changes.retain(|change| !change.set.is_empty());
    changes
}

/// What the command line says of small pictures.
pub fn small(args: &TrainArgs) -> Option<Small> {
    match (args.enlarge, args.skip_small) {
        (true, _) => Some(Small::Enlarge),
        (_, true) => Some(Small::Skip),
        _ => None,
    }
}

/// The length of the run that the command line asks for.
pub fn steps(args: &TrainArgs, learns: &Learns, data: &Data) -> Option<u64> {
    let of_epochs = |epochs: u64| {
        let pictures = epochs.saturating_mul(data.info().epoch() as u64);
        pictures.div_ceil(learns.batch.max(1) as u64)
    };
    args.steps.or(args.epochs.map(of_epochs))
}
