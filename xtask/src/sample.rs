//! `sample`: pictures of a trained run or a weights file, as one grid; or translations of given ones.

use crate::cli::SampleArgs;
use crate::job::Job;
use crate::{Usage, folder, inputs, process, settings};
use anyhow::{Context as _, Result, bail};
use candle_core::{Device, Tensor};
use gan_core::image::grid;
use gan_core::rng::CounterRng;
use gan_core::{FileError, Law, Noise, Probe, Recipe, Sampler, Store, Takes, Weights, fixed_noise};
use std::path::{Path, PathBuf};

/// Runs `sample`.
pub fn sample(papers: &[&dyn Recipe], args: &SampleArgs) -> Result<()> {
    let device = process::device(&args.device)?;
    if let Some(file) = &args.weights {
        let recipe = settings::paper(papers, &args.run)?;
        let weights = Weights::read(file)?;
        let sampler = recipe
            .open(&weights, &device)
            .with_context(|| format!("{}: not a generator of {}", file.display(), args.run))?;
        let usual = match &args.input {
            Some(_) => args.run.clone(),
            None => format!("{}.png", args.run),
        };
        return write(&*sampler, args, &[], &device, PathBuf::from(usual));
    }
    let run = Path::new(&args.run);
    if !run.exists() && papers.iter().any(|recipe| recipe.info().name == args.run) {
        bail!(Usage(format!(
            "{}: a paper alone has nothing to sample from; name a run's folder, or add --weights FILE",
            args.run
        )))
    }
    let settings = folder::settings(run)?;
    let recipe = settings::paper(papers, &settings.paper)?;
    let dir = folder::checkpoints(run);
    let (checkpoint, damaged) = match dir.is_dir() {
        true => Store::newest(&dir)?,
        false => (None, Vec::new()),
    };
    damaged.iter().for_each(|error| warn!("warning: {error}"));
    let Some(checkpoint) = checkpoint else {
        bail!(FileError::new(
            &dir,
            "holds no intact checkpoint",
            "train the run first"
        ))
    };
    // All that sampling needs is in the checkpoint; the training data may be elsewhere by now.
    let file = || checkpoint.path.display().to_string();
    let job = Job::of(recipe, &checkpoint, &device).with_context(file)?;
    let algorithm = job.restored(&checkpoint).with_context(file)?;
    let t = checkpoint.header.iteration;
    let sampler = algorithm.sampler(t);
    let name = match args.interpolate {
        None if args.input.is_some() => format!("translated-{t:08}"),
        Some(_) => format!("interpolation-{t:08}-seed{}.png", args.seed),
        None => format!("sample-{t:08}-seed{}.png", args.seed),
    };
    let classes = &checkpoint.header.data.names;
    let usual = run.join("samples").join(name);
    write(&*sampler, args, classes, &device, usual)
}

/// `names` are those of the classes, where they have some.
fn write(
    sampler: &dyn Sampler,
    args: &SampleArgs,
    names: &[String],
    device: &Device,
    usual: PathBuf,
) -> Result<()> {
    let takes = sampler.takes();
    inputs::check(&takes, args)?;
    if let Some(input) = &args.input {
        return inputs::sample(sampler, args, input, device, usual);
    }
    let classes = takes.classes;
    let noise = |n| fixed_noise(&takes, n, args.seed, device);
    let (probe, columns) = match (args.interpolate, classes) {
        (Some(steps), _) => {
            let steps = usize::from(steps);
            let rows = args.n.map_or(classes.unwrap_or(8), usize::from);
            (between(&takes, noise(2 * rows)?, steps)?, steps)
        }
        (None, Some(classes)) if args.class.is_none() => {
            let n = args.n.map_or(10 * classes, usize::from);
            let columns = match n.is_multiple_of(classes) {
                true => n / classes,
                false => square(n),
            };
            (noise(n)?, columns)
        }
        (None, _) => {
            let n = args.n.map_or(64, usize::from);
            (noise(n)?, square(n))
        }
    };
    let probe = match &args.class {
        Some(class) => {
            let number = class_number(class, classes, names)?;
            let labels = Tensor::full(number, probe.count()?, &probe.device())?;
            probe.labelled(labels)
        }
        None => probe,
    };
    let mut draws = CounterRng::new(args.seed, device);
    let made = sampler.sample(&probe, &mut draws)?;
    let pictures = made.last()?;
    let path = args.out.clone().unwrap_or(usual);
    let png = grid(pictures, columns)?.png()?;
    std::fs::write(&path, png).map_err(|e| FileError::writing(&path, &e))?;
    say!("{} pictures: {}", pictures.dim(0)?, path.display());
    let rows = pictures.dim(0)? / columns;
    if args.class.is_none() && args.interpolate.is_none() && !names.is_empty() {
        match rows == names.len() && pictures.dim(0)? == rows * columns {
            true => say!("rows, from the top: {}", names.join(", ")),
            false => say!("classes, in their order: {}", names.join(", ")),
        }
    }
    Ok(())
}

/// Columns of a grid that is about as high as it is wide.
fn square(n: usize) -> usize {
    (n as f64).sqrt().ceil() as usize
}

/// The number of a class by its name, or by its number where no name is one.
fn class_number(class: &str, classes: Option<usize>, names: &[String]) -> Result<u32> {
    let Some(classes) = classes else {
        bail!(Usage(format!(
            "--class {class}: this generator knows no classes"
        )))
    };
    if let Some(number) = names.iter().position(|name| name == class) {
        return Ok(number as u32);
    }
    let is_number = |word: &str| word.parse::<u32>().is_ok();
    let by_number = !names.iter().any(|name| is_number(name));
    match class.parse::<u32>() {
        Ok(number) if by_number && (number as usize) < classes => Ok(number),
        _ if names.is_empty() => bail!(Usage(format!(
            "--class {class}: this generator has the classes 0 to {}",
            classes - 1
        ))),
        _ => bail!(Usage(format!(
            "--class {class}: this run has no such class; {}",
            nearest_of(class, names)
        ))),
    }
}

/// Names, the nearest first, as many as fit a line.
fn nearest_of(word: &str, names: &[String]) -> String {
    let near = |name: &str| strsim::normalized_damerau_levenshtein(word, name);
    let mut sorted: Vec<&str> = names.iter().map(String::as_str).collect();
    sorted.sort_by(|a, b| near(b).total_cmp(&near(a)));
    let mut shown = String::from("it has");
    for (i, name) in sorted.iter().enumerate() {
        if i > 0 && shown.len() + name.len() > 160 {
            return format!("{shown} and {} more", sorted.len() - i);
        }
        shown = format!("{shown}{} {name}", if i > 0 { "," } else { "" });
    }
    shown
}

/// `steps` latent vectors from each even row of `ends` to the odd one after it; both ends' class is the first's.
fn between(takes: &Takes, ends: Probe, steps: usize) -> Result<Probe> {
    let Some(Noise { shape, law }) = &takes.noise else {
        bail!(Usage(
            "--interpolate: this generator takes pictures, not noise".into()
        ))
    };
    let z = ends.z()?;
    let labels = ends
        .labels
        .as_ref()
        .map(Tensor::to_vec1::<u32>)
        .transpose()?;
    let width: usize = shape.iter().product();
    let values = z.flatten_all()?.to_vec1::<f32>()?;
    let mut path = Vec::new();
    for pair in values.chunks_exact(2 * width) {
        let (a, b) = pair.split_at(width);
        let dot =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        let angle = (dot(a, b) / (dot(a, a) * dot(b, b)).sqrt())
            .clamp(-1., 1.)
            .acos();
        for i in 0..steps {
            let t = i as f64 / (steps - 1) as f64;
            // Along the great circle for normal noise, whose vectors all but lie on a sphere; else straight.
            let (p, q) = match law {
                Law::Normal if angle.sin() > 1e-6 => (
                    ((1. - t) * angle).sin() / angle.sin(),
                    (t * angle).sin() / angle.sin(),
                ),
                _ => (1. - t, t),
            };
            path.extend(
                a.iter()
                    .zip(b)
                    .map(|(&a, &b)| (p * f64::from(a) + q * f64::from(b)) as f32),
            );
        }
    }
    let n = path.len() / width;
    let z = Tensor::from_vec(path, [&[n], &shape[..]].concat(), z.device())?;
    let Some(labels) = labels else {
        return Ok(Probe::noise(z));
    };
    let labels = labels.iter().step_by(2);
    let labels: Vec<u32> = labels.flat_map(|&label| vec![label; steps]).collect();
    let labels = Tensor::from_vec(labels, n, z.device())?;
    Ok(Probe::noise(z).labelled(labels))
}
