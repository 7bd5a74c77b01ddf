//! `sample`: pictures of a trained run or a weights file, as one grid, single files or a film; or translations of
//! given ones.

use crate::cli::SampleArgs;
use crate::dataset::How;
use crate::job::Job;
use crate::looked_at::{Judged, judged};
use crate::nearest::Nearest;
use crate::observers::progress_bar;
use crate::output::{self, Format, Target, Usual, counted};
use crate::shell::quoted;
use crate::translation::larger;
use crate::{Usage, demo, folder, inputs, interpolation, process, room, samedata, settings};
use anyhow::{Context as _, Result, bail};
use candle_core::{Device, Tensor};
use gan_core::data::Split;
use gan_core::image::{Picture, grid, single};
use gan_core::rng::CounterRng;
use gan_core::{
    Checkpoint, FileError, Law, Noise, Probe, Recipe, Sampler, Store, Takes, Weights, fixed_noise,
};
use std::path::{Path, PathBuf};

/// Pictures of a grid where no number is named, and rows of an interpolation.
const USUAL: (usize, usize) = (64, 8);
/// Pictures of each class where no class is named.
const OF_CLASS: usize = 10;
/// Up to as many pictures are made without asking whether they fit into the memory.
const FEW: usize = 256;

/// Runs `sample`.
pub fn sample(papers: &[&dyn Recipe], args: &SampleArgs) -> Result<()> {
    let device = process::device(&args.device)?;
    match &args.weights {
        Some(file) => of_weights(papers, args, file, &device),
        None => of_run(papers, args, &device),
    }
}

fn of_weights(
    papers: &[&dyn Recipe],
    args: &SampleArgs,
    file: &Path,
    device: &Device,
) -> Result<()> {
    let is_run = |path: &Path| folder::config(path).is_file();
    if is_run(file) {
        bail!(Usage(format!(
            "--weights {}: this is a run's folder; cargo xtask sample {}",
            file.display(),
            quoted(file)
        )))
    }
    if is_run(Path::new(&args.run)) {
        let paper = folder::settings(Path::new(&args.run)).map(|settings| settings.paper);
        bail!(Usage(format!(
            "{}: this is a run's folder; leave out --weights, or name its paper: cargo xtask sample {} --weights {}",
            args.run,
            paper.as_deref().unwrap_or("PAPER"),
            quoted(file)
        )))
    }
    let recipe = settings::paper(papers, &args.run)?;
    if args.data.is_some() {
        bail!(Usage(
            "--data: weights alone do not say which data they learned from; leave it out".into()
        ))
    }
    let weights = Weights::read_part(file, args.key.as_deref())?;
    let open = |weights: &Weights| {
        recipe.open(weights, device).with_context(|| {
            let nearest = Nearest::new(papers, weights);
            // Of a file of another kind of network, what it is says more than its first key.
            let other = nearest.filter(|nearest| !nearest.papers.contains(&recipe.info().name));
            let other = other.map_or(String::new(), |nearest| format!("; {}", nearest.said()));
            format!("not a generator of {}{other}", args.run)
        })
    };
    let notes: Vec<String> = weights.notes().to_vec();
    if interpolation::alphas(args)?.is_some() {
        open(&weights)?; // what is wrong with it alone is no matter of the other network
    }
    let networks = interpolation::networks(weights, args, || None)?;
    let samplers: Vec<_> = networks.iter().map(open).collect::<Result<_>>()?;
    notes
        .iter()
        .for_each(|note| say!("{}: {note}", file.display()));
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let usual = Usual {
        dir: PathBuf::new(),
        begin: format!("{}-{stem}-", args.run),
        end: String::new(),
    };
    write(&judged(&samplers, file), args, &[], device, &usual)
}

fn of_run(papers: &[&dyn Recipe], args: &SampleArgs, device: &Device) -> Result<()> {
    let run = Path::new(&args.run);
    if !run.exists() && papers.iter().any(|recipe| recipe.info().name == args.run) {
        let file = demo::generator(&args.run)?;
        return match demo::held_out(papers, args, &file, device)? {
            true => Ok(()),
            false => of_weights(papers, args, &file, device),
        };
    }
    let settings = folder::settings(run)?;
    let recipe = folder::paper(papers, run, &settings)?;
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
    let job = Job::of(recipe, &checkpoint, device).with_context(file)?;
    if let Some(data) = &args.data {
        require_data(run, &job, &checkpoint, data)?;
    }
    let t = checkpoint.header.iteration;
    let usual = Usual {
        dir: run.join("samples"),
        begin: String::new(),
        end: format!("-{t:08}"),
    };
    let classes = &checkpoint.header.data.names;
    if interpolation::alphas(args)?.is_some() {
        let path = &checkpoint.path;
        // A paper that does not pre-train has none.
        let own = || Weights::read_part(path, Some(PRETRAINED)).ok();
        let networks = interpolation::networks(Weights::read(path)?, args, own)?;
        let open = |weights: &Weights| Ok(recipe.open(weights, device)?);
        let samplers: Vec<_> = networks.iter().map(open).collect::<Result<_>>()?;
        return write(&judged(&samplers, path), args, classes, device, &usual);
    }
    let algorithm = job.restored(&checkpoint).with_context(file)?;
    let sampler = Judged {
        sampler: &*algorithm.sampler(t),
        file: &checkpoint.path,
    };
    write(&[sampler], args, classes, device, &usual)
}

/// What papers that pre-train call the network as that left it.
const PRETRAINED: &str = "psnr";

/// Refuses data that are not those of a run: nothing is made of them, but who names them may mean another run.
fn require_data(run: &Path, job: &Job<'_>, checkpoint: &Checkpoint, data: &str) -> Result<()> {
    let place = samedata::place(&job.settings, Some(data));
    let how = How {
        small: job.settings.small,
        ..How::default()
    };
    let progress = progress_bar(false);
    let looked = samedata::look(&place, Split::Train, job.learns, &progress)?;
    let (train, _) = looked.read(job.learns.view, &how, &progress)?;
    samedata::require(run, Some(&checkpoint.header), &place, &train)
}

/// Of several generators all but photographs are refused; `names` are those of the classes, where they have some.
fn write(
    samplers: &[Judged<'_>],
    args: &SampleArgs,
    names: &[String],
    device: &Device,
    usual: &Usual,
) -> Result<()> {
    let Some(sampler) = samplers.first() else {
        bail!("there is no generator")
    };
    let takes = sampler.takes();
    inputs::check(&takes, args)?;
    if let Some(input) = &args.input {
        let samplers: Vec<&dyn Sampler> = samplers.iter().map(|s| s as &dyn Sampler).collect();
        return inputs::sample(&samplers, args, input, device, usual);
    }
    let asked = Asked::new(&takes, args, names)?;
    let target = asked.target(args, usual)?;
    asked.refuse_more_than_memory(sampler, args, device)?;
    let pictures = asked.made(sampler, &takes, args, device)?;
    let n = pictures.dim(0)?;
    match target {
        Target::File(path, Format::Gif) => {
            let film = output::film(&asked.frames(&pictures)?)?;
            output::write(&path, &film, args.force)?;
            say!(
                "{} in a film of {}: {}",
                counted(n),
                asked.columns,
                path.display()
            );
        }
        Target::File(path, format) => {
            let made = format.encode(&grid(&pictures, asked.columns)?)?;
            output::write(&path, &made, args.force)?;
            say!("{}: {}", counted(n), path.display());
        }
        Target::Folder(dir) => {
            let format = args.format.unwrap_or(Format::Png);
            for i in 0..n {
                let made = format.encode(&single(&pictures.narrow(0, i, 1)?)?)?;
                let name = format!("{}.{}", asked.name(i), format.ending());
                output::write(&dir.join(name), &made, args.force)?;
            }
            say!("{}: {}", counted(n), dir.display());
        }
    }
    if asked.class.is_none() && asked.steps.is_none() && !names.is_empty() {
        match n / asked.columns == names.len() && n.is_multiple_of(asked.columns) {
            true => say!("rows, from the top: {}", names.join(", ")),
            false => say!("classes, in their order: {}", names.join(", ")),
        }
    }
    Ok(())
}

/// What is asked for of a generator that takes noise.
struct Asked {
    /// Pictures; of an interpolation those of all rows.
    pictures: usize,
    /// Pictures in a row of the grid.
    columns: usize,
    /// Pictures on each way from one noise vector to another.
    steps: Option<usize>,
    /// The class of all of them.
    class: Option<u32>,
}

impl Asked {
    fn new(takes: &Takes, args: &SampleArgs, names: &[String]) -> Result<Self> {
        let n = args.n.map(usize::from);
        let of_name = |class: &String| class_number(class, takes.classes, names);
        let class = args.class.as_ref().map(of_name).transpose()?;
        if let Some(steps) = args.interpolate.map(usize::from) {
            let rows = n.or(takes.classes).unwrap_or(USUAL.1);
            return Ok(Self {
                pictures: rows * steps,
                columns: steps,
                steps: Some(steps),
                class,
            });
        }
        let (pictures, columns) = match takes.classes {
            Some(classes) if class.is_none() => {
                let n = n.unwrap_or(OF_CLASS * classes);
                match n.is_multiple_of(classes) {
                    true => (n, n / classes),
                    false => (n, square(n)),
                }
            }
            _ => {
                let n = n.unwrap_or(USUAL.0);
                (n, square(n))
            }
        };
        Ok(Self {
            pictures,
            columns,
            steps: None,
            class,
        })
    }

    /// Where the pictures go; the usual name holds all that determines them.
    fn target(&self, args: &SampleArgs, usual: &Usual) -> Result<Target> {
        let named = args.out.as_deref().map(|out| (out, output::target(out)));
        let target = match named {
            Some((_, Ok(Some(target)))) => target,
            Some((_, Err(error))) => return Err(error),
            Some((out, Ok(None))) if args.separate => Target::Folder(out.to_path_buf()),
            Some((out, Ok(None))) => bail!(output::refused(out, "the name has no ending")),
            None => {
                let class = self
                    .class
                    .map_or(String::new(), |class| format!("-class{class}"));
                let scale = args
                    .scale
                    .map_or(String::new(), |scale| format!("-x{scale}"));
                let (kind, n) = match self.steps {
                    Some(steps) => (
                        "interpolation",
                        format!("{}x{steps}", self.pictures / steps),
                    ),
                    None => ("sample", self.pictures.to_string()),
                };
                let rest = format!("-seed{}{class}-n{n}{scale}", args.seed);
                let format = args.format.unwrap_or(Format::Png);
                match args.separate {
                    true => Target::Folder(usual.path(kind, &rest)),
                    false => {
                        let name = format!("{rest}.{}", format.ending());
                        Target::File(usual.path(kind, &name), format)
                    }
                }
            }
        };
        if let Target::File(path, format) = &target {
            inputs::check_file(path, *format, args)?;
        }
        Ok(target)
    }

    /// The name of a single picture, without its ending.
    fn name(&self, i: usize) -> String {
        match self.steps {
            Some(steps) => format!("{:04}-{:03}", i / steps, i % steps),
            None => format!("{i:04}"),
        }
    }

    /// Refuses more pictures than the memory of the machine holds, from what a few of them take.
    fn refuse_more_than_memory(
        &self,
        sampler: &dyn Sampler,
        args: &SampleArgs,
        device: &Device,
    ) -> Result<()> {
        if self.pictures <= FEW {
            return Ok(());
        }
        let takes = sampler.takes();
        let mut few = |n: usize| {
            let mut draws = CounterRng::new(args.seed, device);
            let made = sampler.sample(&fixed_noise(&takes, n, args.seed, device)?, &mut draws)?;
            Ok(grid(&larger(made.last()?, args.scale)?, square(n)).map(drop)?)
        };
        room::refuse_beyond(self.pictures, &mut few, |need| {
            format!(
                "{} pictures need {need}; make fewer at a time (-n, --interpolate), with other seeds",
                self.pictures
            )
        })
    }

    /// The pictures.
    fn made(
        &self,
        sampler: &dyn Sampler,
        takes: &Takes,
        args: &SampleArgs,
        device: &Device,
    ) -> Result<Tensor> {
        let noise = |n| fixed_noise(takes, n, args.seed, device);
        let probe = match self.steps {
            Some(steps) => between(takes, noise(2 * (self.pictures / steps))?, steps)?,
            None => noise(self.pictures)?,
        };
        let probe = match self.class {
            Some(class) => {
                let labels = Tensor::full(class, probe.count()?, &probe.device())?;
                probe.labelled(labels)
            }
            None => probe,
        };
        let mut draws = CounterRng::new(args.seed, device);
        let made = sampler.sample(&probe, &mut draws)?;
        Ok(larger(made.last()?, args.scale)?)
    }

    /// The pictures of each step, all rows at once.
    fn frames(&self, pictures: &Tensor) -> Result<Vec<Picture>> {
        let (n, c, h, w) = pictures.dims4()?;
        let rows = n / self.columns;
        let of_rows = pictures.reshape((rows, self.columns, c, h, w))?;
        let frame = |i| Ok(grid(&of_rows.narrow(1, i, 1)?.squeeze(1)?, square(rows))?);
        (0..self.columns).map(frame).collect()
    }
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
            classes.saturating_sub(1)
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
