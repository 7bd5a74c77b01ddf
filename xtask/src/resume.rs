//! `train --resume`: what goes on must be the same run.

use crate::Usage;
use crate::cli::TrainArgs;
use crate::dataset;
use crate::folder::{self, RunFolder};
use crate::job::Job;
use crate::observers::{progress_bar, thousands};
use crate::settings::{self, Settings};
use crate::start::{self, Start, absolute};
use anyhow::{Result, bail};
use candle_core::Device;
use gan_core::data::{Data, Split};
use gan_core::{Checkpoint, FileError, Learns, Length, Preset, Recipe, Store};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A run that goes on: its own settings, but for what may change.
///
/// # Errors
/// Options that would make it another run; checkpoints and data that are not its own.
pub fn resumed<'a>(
    recipe: &'a dyn Recipe,
    args: &TrainArgs,
    file: Option<&Path>,
    device: &Device,
) -> Result<Start<'a>> {
    let path = match (&args.out, file) {
        (Some(out), _) => out.clone(),
        (None, Some(file)) => run_of(file)?,
        (None, None) => folder::newest(&args.paper)?,
    };
    let folder = RunFolder::open(&path)?;
    let settings = folder::settings(&path)?;
    if settings.paper != args.paper {
        bail!(FileError::new(
            &folder.config(),
            format!("is a run of {}, not of {}", settings.paper, args.paper),
            "name the paper of the run"
        ))
    }
    let mut settings = settings.complete(recipe).map_err(|error| {
        let problem = format!("its settings: {}", crate::one_line(&error));
        FileError::new(&folder.config(), problem, "restore the file")
    })?;
    refuse_changes(recipe, args, &settings)?;
    settings.log_every = args.log_every.unwrap_or(settings.log_every);
    settings.sample_every = args.sample_every.unwrap_or(settings.sample_every);
    settings.save_every = args.save_every.unwrap_or(settings.save_every);
    settings.keep = args.keep.unwrap_or(settings.keep);
    let learns = recipe.learns(&settings.config)?;
    let progress = progress_bar(args.quiet);
    let looked = dataset::look(&settings.data, Split::Train, Some(learns), &progress)?;
    let info = looked.info();
    let (data, mut notes) = start::read(recipe, looked, &learns, settings.small, args)?;
    let checkpoint = match file {
        Some(file) => Some(Checkpoint::read(file)?),
        None => newest(&folder)?,
    };
    if let Some(checkpoint) = &checkpoint {
        notes.extend(check(recipe, checkpoint, &settings, &data)?);
    }
    let from = checkpoint
        .as_ref()
        .map_or(0, |checkpoint| checkpoint.header.iteration);
    let before = settings.steps;
    let wanted = start::steps(args, &learns, &data).unwrap_or(settings.steps);
    notes.extend(lengthen(&mut settings, &learns, args, wanted, from)?);
    // The end of a run that is as long as it was: what it leaves may still have to be made.
    let at_its_end = from == settings.steps && from == before;
    if from >= settings.steps && !at_its_end {
        bail!(all_done(&path, from, learns.scheduled))
    }
    Ok(Start {
        job: Job::new(recipe, settings, device)?,
        info,
        data,
        notes,
        run: Some((folder, checkpoint)),
    })
}

/// What to say of a run that has nothing left to do.
pub fn all_done(run: &Path, iterations: u64, scheduled: bool) -> Usage {
    Usage(format!(
        "{}: all {} iterations are done; add --steps N{} to train on",
        run.display(),
        thousands(iterations),
        match scheduled {
            true => " and --stretch or --constant",
            false => "",
        }
    ))
}

/// Another length of the run, and what is to be said of it.
fn lengthen(
    settings: &mut Settings,
    learns: &Learns,
    args: &TrainArgs,
    wanted: u64,
    from: u64,
) -> Result<Option<String>> {
    let before = settings.steps;
    if wanted == before {
        return match args.stretch || args.constant {
            true => bail!(Usage(
                "--stretch and --constant are for another length of the run: add --steps N".into()
            )),
            false => Ok(None),
        };
    }
    settings.steps = wanted;
    if !learns.scheduled {
        settings.schedule = None;
        return Ok(None);
    }
    let length = format!(
        "the run has {} iterations now, not {}",
        thousands(wanted),
        thousands(before)
    );
    if args.stretch {
        settings.schedule = None;
        return Ok(Some(format!(
            "{length}; the schedule of the learning rate is reckoned anew from iteration {} on",
            thousands(from)
        )));
    }
    if args.constant && from > 0 {
        let length_before = settings.schedule.unwrap_or(Length::of(before));
        settings.schedule = Some(Length {
            held_from: Some(length_before.held_from.unwrap_or(from).min(from)),
            ..length_before
        });
        return Ok(Some(format!(
            "{length}; the learning rate stays where it is from iteration {} on",
            thousands(from)
        )));
    }
    bail!(Usage(format!(
        "--steps {wanted}: the learning rate of this run falls towards its end at {} iterations; --stretch \
         reckons it anew, --constant keeps it where it is (--until N only stops earlier)",
        thousands(before)
    )))
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
    if start::small(args).is_some_and(|small| small != settings.small) {
        changed.push("--enlarge or --skip-small".into());
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

/// Refuses a checkpoint of another paper, configuration, seed or data set; gives what is to be said of one
/// of an earlier version.
fn check(
    recipe: &dyn Recipe,
    checkpoint: &Checkpoint,
    settings: &Settings,
    data: &Data,
) -> Result<Option<String>> {
    let header = &checkpoint.header;
    let mut saved = header.config.clone();
    if header.is_old() {
        settings::modernise(recipe, &mut saved);
    }
    let info = data.info();
    let other_data = match header.is_old() {
        true => (header.data.channels, header.data.len) != (info.channels, info.epoch()),
        false => header.data_sha256 != data.sha256(),
    };
    let difference = if header.paper != settings.paper {
        format!(
            "is a checkpoint of {}, not of {}",
            header.paper, settings.paper
        )
    } else if let differ = differences(&saved, &settings.config)
        && !differ.is_empty()
    {
        format!("was saved with other settings ({})", differ.join(", "))
    } else if header.seed != settings.seed {
        format!("was saved with seed {}, not {}", header.seed, settings.seed)
    } else if other_data {
        format!(
            "was saved with other data ({:?}; now {info:?}, with other contents)",
            header.data
        )
    } else {
        let note = "this run was begun by an earlier version: whether its data are the same cannot be told, \
                    and where pictures are resized, once now, it goes on to other bits than then";
        return Ok(header.is_old().then(|| note.to_string()));
    };
    bail!(FileError::new(
        &checkpoint.path,
        difference,
        "resume it in its own run's folder"
    ))
}

/// Settings of a checkpoint that are others now.
fn differences(saved: &Value, now: &Value) -> Vec<String> {
    let keys = now.as_object().into_iter().flatten();
    let differ = keys.filter(|(key, value)| saved.get(key).unwrap_or(&Value::Null) != *value);
    differ
        .map(|(key, value)| {
            let saved = saved.get(key).map_or("nothing".into(), ToString::to_string);
            format!("{key} is {saved} in it, {value} in config.toml")
        })
        .collect()
}
