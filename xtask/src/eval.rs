//! `eval`: judges a run's generator at several moments by `gan-eval`'s measures.

use crate::cli::EvalArgs;
use crate::dataset::How;
use crate::eval_larger::Enlargements;
use crate::eval_noise::Noises;
use crate::eval_sides::Translations;
use crate::job::Job;
use crate::judging::Judging;
use crate::measured::{Asked, Measured};
use crate::observers::{progress_bar, thousands};
use crate::table::table;
use crate::{Usage, folder, process, samedata};
use anyhow::{Context as _, Result, bail};
use candle_core::Device;
use gan_core::data::{Data, Split};
use gan_core::{Checkpoint, FileError, Recipe, Sampler, Store};
use std::path::Path;

/// Runs `eval`.
pub fn eval(papers: &[&dyn Recipe], args: &EvalArgs) -> Result<()> {
    let device = process::device(&args.device)?;
    // A mistake in the name of the last run is not to be found after the first was measured.
    for run in &args.runs {
        folder::paper(papers, run, &folder::settings(run)?)?;
        moments(run, &args.at)?;
    }
    let mut measured = Vec::new();
    for run in &args.runs {
        let mut one = one(papers, run, args, &device)?;
        one.keep(&args.metrics)?;
        let json = one.json();
        one.save(&json);
        match args.json {
            true => say!("{json}"),
            false => measured.push(one),
        }
    }
    table(&measured).iter().for_each(|line| say!("{line}"));
    Ok(())
}

/// Measures one run.
fn one(papers: &[&dyn Recipe], run: &Path, args: &EvalArgs, device: &Device) -> Result<Measured> {
    let mut settings = folder::settings(run)?;
    settings.data = samedata::place(&settings, args.data.as_deref());
    let recipe = folder::paper(papers, run, &settings)?;
    let file = || folder::config(run).display().to_string();
    let job = settings
        .complete(recipe)
        .and_then(|settings| Job::new(recipe, settings, device));
    let job = job.with_context(file)?;
    let (start, checkpoints) = moments(run, &args.at)?;
    let how = How {
        small: job.settings.small,
        ..How::default()
    };
    let progress = progress_bar(args.json);
    let place = &job.settings.data;
    let looked = samedata::look(place, Split::Train, job.learns, &progress)?;
    let (train, _) = looked.read(job.learns.view, &how, &progress)?;
    let untrained = job.build(&train.info()).with_context(file)?;
    let sampler = untrained.sampler(0);
    let judge = judge(&*sampler, &job, &train, args)?;
    let yardsticks = judge.yardsticks()?;
    let mut rows = Vec::new();
    if start {
        rows.extend(judge.rows(&*sampler, "start", 0)?);
    }
    let mut iteration = 0;
    for checkpoint in checkpoints {
        let header = &checkpoint.header;
        let file = || checkpoint.path.display().to_string();
        if args.data.is_some() {
            samedata::require(run, Some(header), place, &train)?;
        } else if !header.is_old() && header.data_sha256 != train.sha256() {
            warn!("warning: {}: was trained on other data than now", file());
        }
        let of = Job::of(recipe, &checkpoint, device).with_context(file)?;
        let algorithm = of.restored(&checkpoint).with_context(file)?;
        iteration = header.iteration;
        let name = thousands(iteration);
        rows.extend(judge.rows(&*algorithm.sampler(iteration), &name, iteration)?);
    }
    Ok(Measured {
        run: run.to_path_buf(),
        asked: Asked::of(args),
        iteration,
        yardsticks,
        rows,
        tall: judge.tall(),
        notes: judge.notes(),
        settings: job.settings,
    })
}

/// What a run's pictures are compared with, by what its generator is given.
///
/// # Errors
/// Data without a test part, too few pictures.
pub fn judge(
    sampler: &dyn Sampler,
    job: &Job<'_>,
    train: &Data,
    args: &EvalArgs,
) -> Result<Box<dyn Judging>> {
    if let (Some(_), Some(_)) = (&args.inception, sampler.takes().port) {
        bail!(Usage(
            "--inception: its features compare pictures that are made of noise; leave it out"
                .into()
        ))
    }
    Ok(match sampler.takes().port {
        None => Box::new(Noises::new(sampler, job, train, args)?),
        Some(port) if port.scale > 1 => Box::new(Enlargements::new(port, job, args)?),
        Some(port) => Box::new(Translations::new(port, job, train, args)?),
    })
}

/// Whether the untrained network is asked for, and which checkpoints.
fn moments(run: &Path, at: &[String]) -> Result<(bool, Vec<Checkpoint>)> {
    let dir = folder::checkpoints(run);
    let kept = match dir.is_dir() {
        true => Store::list(&dir)?,
        false => Vec::new(),
    };
    let mut checkpoints = Vec::new();
    if at.is_empty() {
        for (_, path) in &kept {
            match Checkpoint::read(path) {
                Ok(checkpoint) => checkpoints.push(checkpoint),
                Err(error) => warn!("warning: {error}"),
            }
        }
        if checkpoints.is_empty() {
            bail!(FileError::new(
                &dir,
                "holds no intact checkpoint",
                "train the run first, or ask for the untrained network with --at start"
            ))
        }
        checkpoints.sort_by_key(|checkpoint| checkpoint.header.iteration);
        return Ok((true, checkpoints));
    }
    for word in at.iter().filter(|word| *word != "start") {
        let found = match word.as_str() {
            "last" => kept.iter().max_by_key(|(t, _)| *t),
            _ => kept.iter().find(|(t, _)| word.parse() == Ok(*t)),
        };
        let Some((_, path)) = found else {
            let mut known: Vec<_> = kept.iter().map(|(t, _)| *t).collect();
            known.sort_unstable();
            let known: Vec<_> = known.iter().map(u64::to_string).collect();
            bail!(Usage(format!(
                "--at {word}: no such checkpoint; there are start {}",
                known.join(" ")
            )))
        };
        checkpoints.push(Checkpoint::read(path)?);
    }
    Ok((at.iter().any(|word| word == "start"), checkpoints))
}
