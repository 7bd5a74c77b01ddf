//! `eval`: judges a run's generator at several moments by `gan-eval`'s measures.

use crate::cli::EvalArgs;
use crate::eval_sides::Sides;
use crate::observers::thousands;
use crate::settings::Settings;
use crate::table::{as_json, table};
use crate::{Usage, dataset, folder, process, settings};
use anyhow::{Context as _, Result, bail};
use candle_core::{Device, Tensor};
use gan_core::data::{Data, Pictures, Split};
use gan_core::fixed_noise;
use gan_core::rng::{self, CounterRng, Key};
use gan_core::{Checkpoint, Context, FileError, Probe, Recipe, Sampler, Store, Takes, Task};
use gan_eval::Measure;
use gan_eval::baseline::PixelLaws;
use gan_eval::classes::{accuracy, deviation_within};
use gan_eval::lenet::{self, Classifier};
use gan_eval::sliced::{Protocol, SlicedWasserstein};
use std::sync::Arc;

/// Pictures measured, where as many are held out.
const USUAL: usize = 1000;
/// Pictures made or read at once.
const BATCH: usize = 100;
/// Where the digit classifier reads a smaller share of the held-out pictures right, they are no digits.
const READS: f64 = 0.9;

/// The measures of one set of pictures.
pub struct Row {
    /// `start`, an iteration, or what the pictures are.
    pub name: String,
    /// Their values.
    pub measures: Vec<Measure>,
}

/// What all sets of pictures of a run are compared with.
pub trait Judging {
    /// What the generator's values stand beside.
    fn yardsticks(&self) -> Result<Vec<Row>>;
    /// Rows of what a generator makes after `t` iterations.
    fn rows(&self, sampler: &dyn Sampler, name: &str, t: u64) -> Result<Vec<Row>>;
    /// The `i`-th of a row's values as a share of a baseline's, where there is one.
    fn ratio(&self, _i: usize, _value: f64) -> Option<f64> {
        None
    }
    /// Whether the table has a line a measure, for judges that have more measures than moments.
    fn tall(&self) -> bool {
        false
    }
    /// What the table's words mean.
    fn notes(&self) -> Vec<String>;
}

/// Runs `eval`.
pub fn eval(papers: &[&dyn Recipe], args: &EvalArgs) -> Result<()> {
    let device = process::device(&args.device)?;
    let settings = folder::settings(&args.run)?;
    let recipe = settings::paper(papers, &settings.paper)?;
    let (start, checkpoints) = moments(args)?;
    let task = recipe.task(&settings.config)?;
    let (train, _) = dataset::open_for(&settings.data, Split::Train, Some(task))?;
    let cx = Context::new(&device, settings.seed, train.info(), 1);
    let untrained = recipe
        .build(&settings.config, &cx)
        .with_context(|| folder::config(&args.run).display().to_string())?;
    let sampler = untrained.sampler(0);
    let judge: Box<dyn Judging> = match &train {
        Data::Images(set) => Box::new(Judge::new(&*sampler, &settings, set, args, &device)?),
        _ => Box::new(Sides::new(
            &*sampler, &settings, task, &train, args, &device,
        )?),
    };
    let mut rows = judge.yardsticks()?;
    if start {
        rows.extend(judge.rows(&*sampler, "start", 0)?);
    }
    for checkpoint in checkpoints {
        let header = &checkpoint.header;
        let file = || checkpoint.path.display().to_string();
        if header.data_sha256 != train.sha256() {
            warn!("warning: {}: was trained on other data than now", file());
        }
        let cx = Context {
            seed: header.seed,
            data: header.data.clone(),
            ..cx.clone()
        };
        let mut algorithm = recipe.build(&header.config, &cx).with_context(file)?;
        checkpoint
            .restore(&mut *algorithm, None)
            .with_context(file)?;
        let t = header.iteration;
        rows.extend(judge.rows(&*algorithm.sampler(t), &thousands(t), t)?);
    }
    if args.json {
        say!("{}", as_json(&settings, &args.run, &rows, &*judge));
    } else {
        say!(
            "{}: {} on {}",
            args.run.display(),
            settings.paper,
            settings.data
        );
        table(&rows, &*judge).iter().for_each(|line| say!("{line}"));
    }
    Ok(())
}

/// Whether the untrained network is asked for, and which checkpoints.
fn moments(args: &EvalArgs) -> Result<(bool, Vec<Checkpoint>)> {
    let dir = folder::checkpoints(&args.run);
    let kept = match dir.is_dir() {
        true => Store::list(&dir)?,
        false => Vec::new(),
    };
    let mut checkpoints = Vec::new();
    if args.at.is_empty() {
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
    for word in args.at.iter().filter(|word| *word != "start") {
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
    Ok((args.at.iter().any(|word| word == "start"), checkpoints))
}

/// What all sets of pictures are compared with, and by which draws.
struct Judge {
    n: usize,
    train: Arc<dyn Pictures>,
    seed: u64,
    device: Device,
    probe: Probe,
    /// Channels, height and width of the generator's pictures.
    picture: (usize, usize, usize),
    distance: SlicedWasserstein,
    /// Distances of the mean picture plus noise.
    baseline: Vec<f64>,
    /// The labels that the generator is given, and who reads them.
    classes: Option<(Vec<u32>, Option<Classifier>)>,
    /// How well it reads held-out pictures.
    reads: Option<f64>,
}

impl Judge {
    fn new(
        sampler: &dyn Sampler,
        settings: &Settings,
        train: &Arc<dyn Pictures>,
        args: &EvalArgs,
        device: &Device,
    ) -> Result<Self> {
        let takes = sampler.takes();
        if let Takes::Image { .. } | Takes::Sides { .. } = takes {
            bail!(Usage(format!(
                "{}: its generator takes pictures; eval judges generators that take noise",
                settings.paper
            )))
        }
        let (test, _) = dataset::open_for(&settings.data, Split::Test, Some(Task::Images))?;
        let Data::Images(test) = test else {
            bail!("{}: its held-out pictures have two sides", settings.data)
        };
        let most = test.info().len.min(train.info().len);
        let n = args.n.map_or(most.min(USUAL), |n| n as usize);
        if n > most {
            bail!(Usage(format!(
                "-n {n}: the data have {} pictures for testing and {} for training",
                test.info().len,
                train.info().len
            )))
        }
        let seed = args.seed;
        let probe = fixed_noise(&takes, n, seed, device)?;
        let made = columns(sampler, &probe.rows(0, 1)?, device, seed, 0)?;
        let Some((_, c, h, w)) = made.first().map(|(_, x)| x.dims4()).transpose()? else {
            bail!("{}: the generator made no pictures", settings.paper)
        };
        let (held_out, labels) = dataset::pictures(&*test, some(&*test, n, seed), Some(h))?;
        if held_out.dims() != [n, c, h, w] {
            bail!(Usage(format!(
                "{}: the generator's pictures are {:?}, held-out ones come as {:?}",
                settings.paper,
                [n, c, h, w],
                held_out.dims()
            )))
        }
        let protocol = Protocol {
            seed,
            ..Protocol::default()
        };
        let distance = SlicedWasserstein::new(&held_out, protocol)?;
        let mut laws = PixelLaws::new(c, h, w);
        let len = train.info().len;
        for i in (0..len).step_by(BATCH) {
            let (pictures, _) = dataset::pictures(&**train, i..len.min(i + BATCH), Some(h))?;
            laws.add(&pictures)?;
        }
        let baseline = distance.distances(&laws.pictures(n, seed)?)?;
        let mut reads = None;
        let classes = match (&probe, labels) {
            (Probe::Labelled { labels: given, .. }, Some(labels)) => {
                let mut reader = None;
                if lenet::reads(c, h, w) {
                    let classifier = Classifier::embedded(device)?;
                    let share = classifier.accuracy(&held_out.to_device(device)?, &labels)?;
                    reads = Some(share);
                    reader = (share >= READS).then_some(classifier);
                }
                Some((given.to_vec1()?, reader))
            }
            _ => None,
        };
        Ok(Self {
            n,
            train: train.clone(),
            seed,
            device: device.clone(),
            probe,
            picture: (c, h, w),
            distance,
            baseline,
            classes,
            reads,
        })
    }

    /// All measures of n pictures; `labels` are the classes that they should show.
    fn measures(&self, pictures: &Tensor, labels: Option<&[u32]>) -> Result<Vec<Measure>> {
        let mut measures = self.distances(&self.distance.distances(pictures)?);
        let (Some((_, reader)), Some(labels)) = (&self.classes, labels) else {
            return Ok(measures);
        };
        let n = self.n;
        if let Some(classifier) = reader {
            let found = classifier.classify(&pictures.to_device(&self.device)?)?;
            measures.push(Measure {
                name: "accuracy".into(),
                value: accuracy(&found, labels)?,
                protocol: format!(
                    "share of {n} pictures that the LeNet of assets/lenet-mnist.safetensors reads as their \
                     class; it reads {:.1} % of the held-out pictures right",
                    100. * self.reads.unwrap_or_default()
                ),
            });
        }
        measures.push(Measure {
            name: "deviation".into(),
            value: deviation_within(pictures, labels)?,
            protocol: format!(
                "standard deviation of each pixel over the pictures of a class, in [0, 1], mean over pixels \
                 and classes; {n} pictures"
            ),
        });
        Ok(measures)
    }

    fn distances(&self, values: &[f64]) -> Vec<Measure> {
        let levels = self.distance.sizes().into_iter().zip(values);
        levels
            .map(|((h, w), &value)| Measure {
                name: format!("swd {h}x{w}"),
                value,
                protocol: format!(
                    "{}; held-out pictures, brought to this size as for training",
                    self.distance.protocol()
                ),
            })
            .collect()
    }
}

impl Judging for Judge {
    /// What the generator's values stand beside.
    fn yardsticks(&self) -> Result<Vec<Row>> {
        let (_, h, _) = self.picture;
        let which = some(&*self.train, self.n, self.seed);
        let (pictures, labels) = dataset::pictures(&*self.train, which, Some(h))?;
        Ok(vec![
            Row {
                name: "training pictures".into(),
                measures: self.measures(&pictures, labels.as_deref())?,
            },
            Row {
                name: "mean + noise".into(),
                measures: self.distances(&self.baseline),
            },
        ])
    }

    /// One row for each column of pictures that the generator makes.
    fn rows(&self, sampler: &dyn Sampler, name: &str, t: u64) -> Result<Vec<Row>> {
        let made = columns(sampler, &self.probe, &self.device, self.seed, t)?;
        let several = made.len() > 1;
        let given = self.classes.as_ref().map(|(labels, _)| &labels[..]);
        let rows = made.into_iter().map(|(column, pictures)| {
            let name = match several {
                true => format!("{name} {column}"),
                false => name.to_string(),
            };
            let measures = self
                .measures(&pictures, given)
                .with_context(|| format!("the pictures of {name}"))?;
            Ok(Row { name, measures })
        });
        rows.collect()
    }

    /// A distance as a share of the baseline's.
    fn ratio(&self, level: usize, value: f64) -> Option<f64> {
        self.baseline.get(level).map(|baseline| value / baseline)
    }

    fn notes(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "mean + noise: the mean of all training pictures plus normal noise of each pixel's deviation, \
             clipped; in parentheses: the share of its distance; noise of seed {}",
            self.seed
        )];
        if let (Some((_, None)), reads) = (&self.classes, self.reads) {
            lines.push(match reads {
                Some(share) => format!(
                    "accuracy: not stated, the digit classifier reads only {:.1} % of the held-out pictures",
                    100. * share
                ),
                None => "accuracy: not stated, the classifier reads grey digits of 28x28 or 32x32".into(),
            });
        }
        lines
    }
}

/// The mean of all pictures of a set as squares of a side, `[1, c, size, size]`.
///
/// # Errors
/// Those of reading.
pub fn mean(set: &dyn Pictures, size: usize) -> Result<Tensor> {
    let len = set.info().len;
    let mut sum: Option<Tensor> = None;
    for from in (0..len).step_by(BATCH) {
        let part = dataset::squares(set, from..len.min(from + BATCH), size)?.sum_keepdim(0)?;
        sum = Some(match sum {
            Some(sum) => (sum + part)?,
            None => part,
        });
    }
    match sum {
        Some(sum) => Ok((sum / len as f64)?),
        None => bail!("there are no pictures"),
    }
}

/// `n` of a set's pictures, all of them in their own order or some in a random one.
fn some(set: &dyn Pictures, n: usize, seed: u64) -> impl Iterator<Item = usize> {
    let len = set.info().len;
    let order = match n < len {
        true => rng::permutation(Key::new(seed, "eval order", 0, 0), len),
        false => (0..len).collect(),
    };
    order.into_iter().take(n)
}

/// All columns that a generator makes of `probe`, made a batch at a time.
fn columns(
    sampler: &dyn Sampler,
    probe: &Probe,
    device: &Device,
    seed: u64,
    t: u64,
) -> Result<Vec<(&'static str, Tensor)>> {
    let n = probe.count()?;
    let mut draws = CounterRng::new(seed, device);
    draws.begin(t);
    let mut all: Vec<(&'static str, Vec<Tensor>)> = Vec::new();
    for from in (0..n).step_by(BATCH) {
        let made = sampler.sample(&probe.rows(from, BATCH.min(n - from))?, &mut draws)?;
        for (name, pictures) in made {
            let pictures = pictures.detach().to_device(&Device::Cpu)?;
            match all.iter_mut().find(|(known, _)| *known == name) {
                Some((_, parts)) => parts.push(pictures),
                None => all.push((name, vec![pictures])),
            }
        }
    }
    all.into_iter()
        .map(|(name, parts)| Ok((name, Tensor::cat(&parts, 0)?)))
        .collect()
}
