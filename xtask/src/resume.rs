//! `train --resume`: what goes on must be the same run.

use crate::begins::Begins;
use crate::cli::TrainArgs;
use crate::folder::{self, RunFolder};
use crate::job::Job;
use crate::observers::{self, progress_bar, thousands};
use crate::samedata;
use crate::settings::{self, Change, MadeWith, Settings};
use crate::start::{self, Start};
use crate::{Usage, features, memory, process};
use anyhow::{Result, bail};
use candle_core::Device;
use gan_core::data::Split;
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
    refuse_changes(args, &settings)?;
    settings.log_every = args.log_every.unwrap_or(settings.log_every);
    settings.sample_every = args.sample_every.unwrap_or(settings.sample_every);
    let save_every = settings.save_every;
    settings.save_every = args.save_every.unwrap_or(settings.save_every);
    settings.keep = args.keep.unwrap_or(settings.keep);
    let checkpoint = match file {
        Some(file) => Some(Checkpoint::read(file)?),
        None => newest(&folder)?,
    };
    if checkpoint.is_none() {
        refuse_to_begin_again(&folder, save_every)?;
    }
    let mut notes = Vec::new();
    if let Some(checkpoint) = &checkpoint {
        notes.extend(check(recipe, checkpoint, &settings)?);
        notes.extend(elsewhere(settings.made_with.as_ref(), device));
    }
    let header = checkpoint.as_ref().map(|checkpoint| &checkpoint.header);
    let from = header.map_or(0, |header| header.iteration);
    let changed = change(recipe, &mut settings, args, from)?;
    let learns = recipe.learns(&settings.config)?;
    let own = settings.vgg.as_ref();
    let (vgg, features) = features::read(&args.paper, &learns, args.vgg.as_deref(), own)?.unzip();
    settings.vgg = vgg;
    let progress = progress_bar(args.quiet);
    let place = samedata::place(&settings, args.data.as_deref());
    let looked = samedata::look(&place, Split::Train, learns, &progress)?;
    let info = looked.info();
    memory::require(recipe, &settings.config, &info, device)?;
    let (data, said) = start::read(recipe, looked, &learns, settings.small, args)?;
    notes.splice(0..0, said);
    samedata::require(&path, header, &place, &data)?;
    if place != settings.data {
        notes.push(format!("the data are in {place} now"));
        settings.data = place;
    }
    let before = settings.steps;
    let wanted = start::steps(args, &learns, &data).unwrap_or(settings.steps);
    notes.extend(lengthen(&mut settings, &learns, args, wanted, from)?);
    // The end of a run that is as long as it was: what it leaves may still have to be made.
    let at_its_end = from == settings.steps && from == before;
    if from >= settings.steps && (!at_its_end || !changed.is_empty()) {
        bail!(all_done(&path, from, learns.scheduled))
    }
    notes.extend(changed);
    // From its first checkpoint on a run needs them no more.
    let init = match &checkpoint {
        Some(_) => Begins::default(),
        None => Begins::read(&[], Some(&settings.init))?.1,
    };
    let mut job = Job::new(recipe, settings, device)?;
    job.features = features;
    job.init = init;
    Ok(Start {
        job,
        info,
        data,
        notes,
        run: Some((folder, checkpoint)),
    })
}

/// What to say of a run that goes on where it can have other bits than where it was made. What was written by versions that
/// did not name a processor's instructions is not known.
fn elsewhere(made_with: Option<&MadeWith>, device: &Device) -> Option<String> {
    let before = &made_with?.device;
    let arithmetic = match before.split_once(", ") {
        Some((cpu, _)) if cpu.starts_with("cpu") => cpu,
        _ => before,
    };
    if arithmetic == "cpu" || arithmetic == process::arithmetic(device) {
        return None;
    }
    Some(format!(
        "it was made on {before} up to here and goes on on {}, whose sums can be rounded otherwise: its bits need not be \
         those of a run made in one place",
        process::describe(device)
    ))
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
            "{length}; what its schedule sets stays where it is from iteration {} on",
            thousands(from)
        )));
    }
    bail!(Usage(format!(
        "--steps {wanted}: this run's schedule (a rate that falls, a network that grows) ends at {} iterations; --stretch \
         reckons it anew, --constant stays where it ends (--until N only stops earlier)",
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

/// Refuses to begin again, over its own results, a run that got as far as saving and has no checkpoint any more.
/// `save_every` is how often it saved.
fn refuse_to_begin_again(folder: &RunFolder, save_every: u64) -> Result<()> {
    let reached = observers::csv::last_iteration(&folder.path().join("scalars.csv"))?;
    let done = match (folder.weights().exists(), reached) {
        (true, _) => "the run got as far as writing weights".to_string(),
        // Killed inside its first save it logged that iteration, and has nothing to go on from.
        (false, Some(t)) if save_every > 0 && t > save_every => {
            format!("the run logged {} iterations", thousands(t))
        }
        _ => return Ok(()),
    };
    bail!(FileError::new(
        &folder.checkpoints(),
        format!("holds no checkpoint, though {done}"),
        "put its checkpoints back, or start a new run in another folder with --config FILE and this run's config.toml"
    ))
}

/// Refuses options that would make it another run, by name.
fn refuse_changes(args: &TrainArgs, settings: &Settings) -> Result<()> {
    let mut changed = Vec::new();
    if args
        .preset
        .is_some_and(|preset| Preset::from(preset).name() != settings.preset)
    {
        changed.push("--preset");
    }
    if start::small(args).is_some_and(|small| small != settings.small) {
        changed.push("--enlarge or --skip-small");
    }
    if args.seed.is_some_and(|seed| seed != settings.seed) {
        changed.push("--seed");
    }
    refuse(&changed)
}

fn refuse(changed: &[&str]) -> Result<()> {
    if changed.is_empty() {
        return Ok(());
    }
    bail!(Usage(format!(
        "{} would change a run that has begun; leave it out, or start a new run without --resume",
        changed.join(", ")
    )))
}

/// Changes settings from iteration `from` on, where the paper lets them change; gives what is to be said of that.
fn change(
    recipe: &dyn Recipe,
    settings: &mut Settings,
    args: &TrainArgs,
    from: u64,
) -> Result<Vec<String>> {
    let now = settings.config_at(from);
    let wanted = settings::apply(recipe, &now, &args.set)?;
    let keys = settings::keys(recipe);
    let differ = keys.iter().map(|(key, _)| key.as_str());
    let differ = differ.filter(|key| wanted.get(key) != now.get(key));
    let (may, fixed): (Vec<_>, Vec<_>) = differ.partition(|key| recipe.rates().contains(key));
    let fixed: Vec<_> = fixed.iter().map(|key| format!("--set {key}")).collect();
    refuse(&fixed.iter().map(String::as_str).collect::<Vec<_>>())?;
    if may.is_empty() {
        return Ok(Vec::new());
    }
    // What was to change after this belongs to the course that is left.
    settings.changes.retain(|change| change.from <= from);
    let set = wanted.as_object().into_iter().flatten();
    let set = set.filter(|(key, _)| may.contains(&key.as_str()));
    settings.changes.push(Change {
        from,
        set: set
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
    });
    let said = may.into_iter().map(|key| {
        let [before, now] = [&now, &wanted].map(|config| config.get(key).unwrap_or(&Value::Null));
        format!(
            "{key} is {now} from iteration {} on, it was {before}",
            thousands(from)
        )
    });
    Ok(said.collect())
}

/// Refuses a checkpoint of another paper, configuration or seed; gives what is to be said of one of an earlier version.
fn check(
    recipe: &dyn Recipe,
    checkpoint: &Checkpoint,
    settings: &Settings,
) -> Result<Option<String>> {
    let header = &checkpoint.header;
    let mut saved = header.config.clone();
    if header.is_old() {
        settings::modernise(recipe, &mut saved);
    }
    let of_its_last = settings.config_at(header.iteration.saturating_sub(1));
    let difference = if header.paper != settings.paper {
        format!(
            "is a checkpoint of {}, not of {}",
            header.paper, settings.paper
        )
    } else if let differ = differences(&saved, &of_its_last)
        && !differ.is_empty()
    {
        format!(
            "was saved with other settings ({})",
            gan_core::cut(&differ.join(", "), 150)
        )
    } else if header.seed != settings.seed {
        format!(
            "was saved with seed {}, not {} as in config.toml",
            header.seed, settings.seed
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
