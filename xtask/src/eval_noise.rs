//! `eval` for generators that take noise: their pictures beside held-out ones, brought to the size that they
//! have at that moment.

use crate::Usage;
use crate::cli::EvalArgs;
use crate::dataset::{self, How};
use crate::job::Job;
use crate::judging::{Judging, Row};
use anyhow::{Context as _, Result, bail};
use candle_core::{Device, Tensor};
use gan_core::data::{Data, Pictures, Small, Split, pictures};
use gan_core::rng::{self, CounterRng, Key};
use gan_core::{Probe, Sampler, View, fixed_noise};
use gan_eval::Measure;
use gan_eval::baseline::PixelLaws;
use gan_eval::classes::{accuracy, deviation_within};
use gan_eval::lenet::{self, Classifier};
use gan_eval::msssim;
use gan_eval::sliced::{self, Protocol, SlicedWasserstein};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// Pictures measured, where as many are held out.
const USUAL: usize = 1000;
/// Pictures made or read at once.
const BATCH: usize = 100;
/// Where the digit classifier reads a smaller share of the held-out pictures right, they are no digits.
const READS: f64 = 0.9;

/// What all sets of pictures are compared with, and by which draws.
pub struct Noises {
    n: usize,
    train: Data,
    test: Data,
    view: View,
    seed: u64,
    device: Device,
    probe: Probe,
    /// Channels, height and width of the pictures at the end.
    picture: [usize; 3],
    /// The distances at each size that pictures have had.
    sizes: RefCell<BTreeMap<(usize, usize), Rc<Size>>>,
    /// The labels that the generator is given, and who reads them.
    classes: Option<(Vec<u32>, Option<Classifier>)>,
    /// How well it reads held-out pictures.
    reads: Option<f64>,
}

/// What pictures of one size are compared with.
struct Size {
    distance: SlicedWasserstein,
    /// Distances of the mean picture plus noise.
    baseline: Vec<f64>,
}

impl Noises {
    /// For the untrained generator of a job and its training part.
    ///
    /// # Errors
    /// Data without a test part; too many pictures asked for.
    pub fn new(
        sampler: &dyn Sampler,
        job: &Job<'_>,
        train: &Data,
        args: &EvalArgs,
    ) -> Result<Self> {
        let (settings, device, view) = (&job.settings, &job.device, job.learns.view);
        let quiet = |_: &str, _: usize, _: usize| {};
        let how = How {
            small: Small::Enlarge,
            ..How::default()
        };
        let looked = dataset::look(&settings.data, Split::Test, Some(job.learns), &quiet)?;
        let (test, _) = looked.read(view.still(), &how, &quiet)?;
        let counts = [&test, train].map(|data| data.a.info().len);
        let most = counts[0].min(counts[1]);
        let n = args.n.map_or(most.min(USUAL), |n| n as usize);
        if n > most {
            bail!(Usage(format!(
                "-n {n}: the data have {} pictures for testing and {} for training",
                counts[0], counts[1]
            )))
        }
        let seed = args.seed;
        let takes = sampler.takes();
        let probe = fixed_noise(&takes, n, seed, device)?;
        let mut judge = Self {
            n,
            picture: view.picture(&train.info()),
            train: train.clone(),
            test,
            view,
            seed,
            device: device.clone(),
            probe,
            sizes: RefCell::default(),
            classes: None,
            reads: None,
        };
        let [c, h, w] = judge.picture;
        if let (Some(given), Some(labels)) = (&judge.probe.labels, judge.labels(&judge.test.a)) {
            let mut reader = None;
            if lenet::reads(c, h, w) {
                let classifier = Classifier::embedded(device)?;
                let held_out = judge.pictures(&judge.test, (h, w))?;
                let share = classifier.accuracy(&held_out.to_device(device)?, &labels)?;
                judge.reads = Some(share);
                reader = (share >= READS).then_some(classifier);
            }
            judge.classes = Some((given.to_vec1()?, reader));
        }
        Ok(judge)
    }

    fn labels(&self, set: &Arc<dyn Pictures>) -> Option<Vec<u32>> {
        let labels = some(&**set, self.n, self.seed).map(|i| set.label(i));
        labels.collect::<Option<Vec<u32>>>()
    }

    /// `n` pictures of a part at a size that the run's is a multiple of.
    fn pictures(&self, data: &Data, size: (usize, usize)) -> Result<Tensor> {
        self.at(data, some(&*data.a, self.n, self.seed), size)
    }

    fn at(
        &self,
        data: &Data,
        which: impl Iterator<Item = usize>,
        (h, w): (usize, usize),
    ) -> Result<Tensor> {
        let [_, full_h, full_w] = self.picture;
        let factor = full_h / h.max(1);
        if (factor * h, factor * w) != (full_h, full_w) {
            bail!(
                "the generator's pictures are {h}x{w}, those of the data {full_h}x{full_w}: they cannot be compared"
            )
        }
        let ask = match factor {
            1 => pictures("held out"),
            _ => pictures("held out").averaged(factor),
        };
        dataset::seen(data, which, self.view, ask)
    }

    /// What pictures of a size are compared with.
    fn size(&self, (h, w): (usize, usize)) -> Result<Rc<Size>> {
        if let Some(size) = self.sizes.borrow().get(&(h, w)) {
            return Ok(size.clone());
        }
        let protocol = Protocol {
            seed: self.seed,
            ..Protocol::default()
        };
        let distance = SlicedWasserstein::new(&self.pictures(&self.test, (h, w))?, protocol)?;
        let [c, _, _] = self.picture;
        let mut laws = PixelLaws::new(c, h, w);
        let len = self.train.a.info().len;
        for i in (0..len).step_by(BATCH) {
            laws.add(&self.at(&self.train, i..len.min(i + BATCH), (h, w))?)?;
        }
        let baseline = distance.distances(&laws.pictures(self.n, self.seed)?)?;
        let size = Rc::new(Size { distance, baseline });
        self.sizes.borrow_mut().insert((h, w), size.clone());
        Ok(size)
    }

    /// All measures of n pictures; `labels` are the classes that they should show.
    fn measures(
        &self,
        pictures: &Tensor,
        labels: Option<&[u32]>,
    ) -> Result<Vec<(Measure, Option<f64>)>> {
        let (_, _, h, w) = pictures.dims4()?;
        let size = self.size((h, w))?;
        let mut measures = size.distances(&size.distance.distances(pictures)?);
        if h.min(w) >= msssim::LEAST && self.n >= 2 {
            let measure = Measure {
                name: "ms-ssim".into(),
                value: msssim::among(pictures)?,
                protocol: format!(
                    "multi-scale structural similarity (5 scales, window up to 11x11) of {} pairs of neighbours at \
                     {h}x{w}, mean; lower is more varied, that of training pictures is right",
                    self.n / 2
                ),
            };
            measures.push((measure, None));
        }
        let (Some((_, reader)), Some(labels)) = (&self.classes, labels) else {
            return Ok(measures);
        };
        let n = self.n;
        if let Some(classifier) = reader {
            let found = classifier.classify(&pictures.to_device(&self.device)?)?;
            let measure = Measure {
                name: "accuracy".into(),
                value: accuracy(&found, labels)?,
                protocol: format!(
                    "share of {n} pictures that the LeNet of crates/gan-eval/lenet-mnist.safetensors reads as their \
                     class; it reads {:.1} % of the held-out pictures right",
                    100. * self.reads.unwrap_or_default()
                ),
            };
            measures.push((measure, None));
        }
        let measure = Measure {
            name: "deviation".into(),
            value: deviation_within(pictures, labels)?,
            protocol: format!(
                "standard deviation of each pixel over the pictures of a class, in [0, 1], mean over pixels \
                 and classes; {n} pictures"
            ),
        };
        measures.push((measure, None));
        Ok(measures)
    }
}

impl Size {
    /// A distance a level, and its share of the baseline's.
    fn distances(&self, values: &[f64]) -> Vec<(Measure, Option<f64>)> {
        let levels = self
            .distance
            .sizes()
            .into_iter()
            .zip(values)
            .zip(&self.baseline);
        levels
            .map(|(((h, w), &value), baseline)| {
                let measure = Measure {
                    name: format!("swd {h}x{w}"),
                    value,
                    protocol: format!(
                        "{}; held-out pictures, brought to this size as for training",
                        self.distance.protocol()
                    ),
                };
                (measure, Some(value / baseline))
            })
            .collect()
    }
}

impl Judging for Noises {
    /// What the generator's values stand beside.
    fn yardsticks(&self) -> Result<Vec<Row>> {
        let [_, h, w] = self.picture;
        let labels = self
            .classes
            .as_ref()
            .and_then(|_| self.labels(&self.train.a));
        let pictures = self.pictures(&self.train, (h, w))?;
        let size = self.size((h, w))?;
        Ok(vec![
            Row {
                name: "training pictures".into(),
                measures: self.measures(&pictures, labels.as_deref())?,
            },
            Row {
                name: "mean + noise".into(),
                measures: size.distances(&size.baseline),
            },
        ])
    }

    /// One row for each column of pictures that the generator makes.
    fn rows(&self, sampler: &dyn Sampler, name: &str, t: u64) -> Result<Vec<Row>> {
        let made = columns(sampler, &self.probe, self.seed, t)?;
        let several = made.len() > 1;
        let given = self.classes.as_ref().map(|(labels, _)| &labels[..]);
        let rows = made.into_iter().map(|(column, pictures)| {
            let name = match several {
                true => format!("{name} {column}"),
                false => name.to_string(),
            };
            let (_, _, h, w) = pictures.dims4()?;
            // A network that grows begins with some that no measure is for.
            if h.min(w) < sliced::LEAST {
                let name = format!("{name} ({h}x{w}: too small to measure)");
                let measures = Vec::new();
                return Ok(Row { name, measures });
            }
            let measures = self
                .measures(&pictures, given)
                .with_context(|| format!("the pictures of {name}"))?;
            Ok(Row { name, measures })
        });
        rows.collect()
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
    seed: u64,
    t: u64,
) -> Result<Vec<(&'static str, Tensor)>> {
    let n = probe.count()?;
    let mut draws = CounterRng::new(seed, &probe.device());
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
