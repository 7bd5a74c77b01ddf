//! `train --resume`: what goes on must be the same run.

use crate::Usage;
use crate::cli::TrainArgs;
use crate::dataset;
use crate::folder::{self, RunFolder};
use crate::observers::thousands;
use crate::settings::{self, Settings};
use crate::train::{Start, absolute, usage};
use anyhow::{Result, bail};
use gan_core::data::{Data, idx};
use gan_core::{Checkpoint, FileError, Preset, Recipe, Store};
use std::path::{Path, PathBuf};

/// The settings of a run that goes on: its own, but for what may change.
pub fn resumed(recipe: &dyn Recipe, args: &TrainArgs, file: Option<&Path>) -> Result<Start> {
    let path = match (&args.out, file) {
        (Some(out), _) => out.clone(),
        (None, Some(file)) => run_of(file)?,
        (None, None) => folder::newest(&args.paper)?,
    };
    let folder = RunFolder::open(&path)?;
    let mut settings = folder::settings(&path)?;
    if settings.paper != args.paper {
        bail!(FileError::new(
            &folder.config(),
            format!("is a run of {}, not of {}", settings.paper, args.paper),
            "name the paper of the run"
        ))
    }
    refuse_changes(recipe, args, &settings)?;
    settings.steps = args.steps.unwrap_or(settings.steps);
    settings.log_every = args.log_every.unwrap_or(settings.log_every);
    settings.sample_every = args.sample_every.unwrap_or(settings.sample_every);
    settings.save_every = args.save_every.unwrap_or(settings.save_every);
    settings.keep = args.keep.unwrap_or(settings.keep);
    settings.config = recipe.check(&settings.config).map_err(|e| {
        FileError::new(
            &folder.config(),
            usage("its settings", &e).0,
            "restore the file",
        )
    })?;
    let task = recipe.task(&settings.config)?;
    let (data, notes) = dataset::open_for(&settings.data, idx::Split::Train, Some(task))?;
    let checkpoint = match file {
        Some(file) => Some(Checkpoint::read(file)?),
        None => newest(&folder)?,
    };
    if let Some(checkpoint) = &checkpoint {
        check(checkpoint, &settings, &data)?;
        if checkpoint.header.iteration >= settings.steps {
            bail!(Usage(format!(
                "{}: all {} iterations are done; add --steps N to train on",
                path.display(),
                thousands(checkpoint.header.iteration)
            )))
        }
    }
    Ok(Start {
        settings,
        data,
        notes,
        run: Some((folder, checkpoint)),
    })
}

/// The run's folder of a checkpoint `RUN/checkpoints/step-….safetensors`.
fn run_of(file: &Path) -> Result<PathBuf> {
    let file = &file
        .canonicalize()
        .map_err(|e| FileError::reading(file, &e))?;
    match file.parent().and_then(Path::parent) {
        Some(run) => Ok(run.to_path_buf()),
        None => bail!(FileError::new(
            file,
            "lies in no run's folder",
            "name the folder with --out"
        )),
    }
}

fn newest(folder: &RunFolder) -> Result<Option<Checkpoint>> {
    let dir = folder.checkpoints();
    if !dir.is_dir() {
        return Ok(None);
    }
    let (checkpoint, damaged) = Store::newest(&dir)?;
    for error in &damaged {
        warn!("warning: {error}");
    }
    match (&checkpoint, damaged.is_empty()) {
        (Some(checkpoint), false) => {
            warn!("warning: going on from {}", checkpoint.path.display());
        }
        (None, false) => bail!(FileError::new(
            &dir,
            "no checkpoint in it is intact",
            "start the run again in another folder"
        )),
        _ => {}
    }
    Ok(checkpoint)
}

/// Refuses options that would make it another run, by name.
fn refuse_changes(recipe: &dyn Recipe, args: &TrainArgs, settings: &Settings) -> Result<()> {
    let mut changed = Vec::new();
    if args
        .preset
        .is_some_and(|preset| Preset::from(preset).name() != settings.preset)
    {
        changed.push("--preset".to_string());
    }
    if args
        .data
        .as_ref()
        .is_some_and(|data| absolute(data) != settings.data)
    {
        changed.push("--data".into());
    }
    if args.seed.is_some_and(|seed| seed != settings.seed) {
        changed.push("--seed".into());
    }
    let wanted = settings::apply(recipe, &settings.config, &args.set)?;
    for (key, _) in settings::keys(recipe) {
        if wanted.get(&key) != settings.config.get(&key) {
            changed.push(format!("--set {key}"));
        }
    }
    if !changed.is_empty() {
        bail!(Usage(format!(
            "{} would change a run that has begun; leave it out, or start a new run without --resume",
            changed.join(", ")
        )))
    }
    Ok(())
}

/// Refuses a checkpoint of another paper, configuration, seed or data set.
fn check(checkpoint: &Checkpoint, settings: &Settings, data: &Data) -> Result<()> {
    let header = &checkpoint.header;
    let difference = if header.paper != settings.paper {
        format!(
            "is a checkpoint of {}, not of {}",
            header.paper, settings.paper
        )
    } else if header.config != settings.config {
        let keys = settings.config.as_object().into_iter().flatten();
        let keys: Vec<_> = keys
            .filter(|(key, value)| header.config.get(key) != Some(value))
            .map(|(key, value)| {
                let saved = header
                    .config
                    .get(key)
                    .map_or("nothing".into(), ToString::to_string);
                format!("{key} is {saved} in it, {value} in config.toml")
            })
            .collect();
        format!("was saved with other settings ({})", keys.join(", "))
    } else if header.seed != settings.seed {
        format!("was saved with seed {}, not {}", header.seed, settings.seed)
    } else if header.data_sha256 != data.sha256() {
        let info = &data.info();
        format!(
            "was saved with other data ({:?}; now {:?}, with other contents)",
            header.data, info
        )
    } else {
        return Ok(());
    };
    bail!(FileError::new(
        &checkpoint.path,
        difference,
        "resume it in its own run's folder"
    ))
}
