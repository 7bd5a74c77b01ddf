//! `eval` for generators that take noise: their pictures beside held-out ones, brought to the size that they
//! have at that moment.

use crate::Usage;
use crate::cli::EvalArgs;
use crate::dataset::{self, How};
use crate::job::Job;
use crate::judging::{Judging, Row};
use crate::measuring::{Begun, Each, Readers, Reference, Set};
use anyhow::{Context as _, Result, bail};
use candle_core::{Device, Tensor};
use gan_core::data::{Data, Pictures, Small, Split, pictures};
use gan_core::rng::{self, CounterRng, Key};
use gan_core::{Probe, Sampler, View, Weights, fixed_noise};
use gan_eval::baseline::PixelLaws;
use gan_eval::classes::accuracy;
use gan_eval::features::Features;
use gan_eval::inception::Inception;
use gan_eval::lenet::{self, Classifier};
use gan_eval::{precision, sliced};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

/// Pictures measured, where as many are held out.
const USUAL: usize = 1000;
/// Pictures made or read at once.
const BATCH: usize = 100;
/// Training pictures that copies are looked for among, at most.
const KNOWN: usize = 20_000;
/// Where the digit classifier reads a smaller share of the held-out pictures right, they are no digits.
const READS: f64 = 0.9;

/// What all sets of pictures are compared with, and by which draws.
pub struct Noises {
    n: usize,
    train: Data,
    test: Data,
    view: View,
    seed: u64,
    probe: Probe,
    /// Channels, height and width of the pictures at the end.
    picture: [usize; 3],
    readers: Rc<Readers>,
    /// What pictures of each size are compared with, once it was needed.
    sizes: RefCell<BTreeMap<(usize, usize), Rc<Size>>>,
    /// Whether the generator is given classes, and which.
    given: Option<Vec<u32>>,
}

/// What pictures of one size are compared with.
struct Size {
    reference: Rc<Reference>,
    /// Of the training pictures.
    laws: PixelLaws,
}

impl Noises {
    /// For the untrained generator of a job and its training part.
    ///
    /// # Errors
    /// Data without a test part; too many pictures asked for; weights of a feature network that cannot be read.
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
        let given = match &probe.labels {
            Some(labels) => Some(labels.to_vec1()?),
            None => None,
        };
        let mut judge = Self {
            n,
            picture: view.picture(&train.info()),
            train: train.clone(),
            test,
            view,
            seed,
            probe,
            readers: Rc::default(),
            sizes: RefCell::default(),
            given,
        };
        judge.readers = Rc::new(Readers {
            network: args
                .inception
                .as_deref()
                .map(|file| inception(file, device))
                .transpose()?,
            ..judge.find_readers()?
        });
        Ok(judge)
    }

    /// Who looks at the pictures: where the classifier reads the held-out ones, they are digits.
    fn find_readers(&self) -> Result<Readers> {
        let [c, h, w] = self.picture;
        let labels = self.labels(&self.test.a);
        let (Some(labels), true) = (labels, lenet::reads(c, h, w)) else {
            return Ok(Readers::default());
        };
        let classifier = Classifier::embedded(&Device::Cpu)?;
        let mut found = Vec::new();
        self.each(&self.test, self.n, (h, w), &mut |pictures| {
            found.extend(classifier.classify(pictures)?);
            Ok(())
        })?;
        let share = accuracy(&found, &labels)?;
        Ok(Readers {
            digits: (share >= READS).then_some(classifier),
            reads: Some(share),
            network: None,
        })
    }

    fn labels(&self, set: &Arc<dyn Pictures>) -> Option<Vec<u32>> {
        let labels = some(&**set, self.n, self.seed)
            .into_iter()
            .map(|i| set.label(i));
        labels.collect::<Option<Vec<u32>>>()
    }

    /// `n` pictures of a part at a size that the run's is a multiple of, a batch at a time.
    fn each(
        &self,
        data: &Data,
        n: usize,
        (h, w): (usize, usize),
        add: &mut dyn FnMut(&Tensor) -> Result<()>,
    ) -> Result<()> {
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
        for which in some(&*data.a, n, self.seed).chunks(BATCH) {
            add(&dataset::seen(data, which.iter().copied(), self.view, ask)?)?;
        }
        Ok(())
    }

    /// What pictures of a size are compared with, the distances of the mean picture plus noise among it.
    fn size(&self, (h, w): (usize, usize)) -> Result<Rc<Size>> {
        if let Some(known) = self.sizes.borrow().get(&(h, w)) {
            return Ok(Rc::clone(known));
        }
        let [c, _, _] = self.picture;
        let mut begun = Begun::new(self.n, (c, h, w), self.seed, &self.readers)?;
        self.each(&self.test, self.n, (h, w), &mut |pictures| {
            begun.add(pictures)
        })?;
        let mut reference = begun.end(&|add| self.training((h, w), add))?;
        let mut laws = PixelLaws::new(c, h, w);
        let all = self.train.a.info().len;
        self.each(&self.train, all, (h, w), &mut |pictures| {
            Ok(laws.add(pictures)?)
        })?;
        let mut patches = reference.patches();
        self.noise(&laws, &mut |pictures| Ok(patches.add(pictures)?))?;
        reference.compare_with(patches)?;
        let size = Rc::new(Size {
            reference: Rc::new(reference),
            laws,
        });
        self.sizes.borrow_mut().insert((h, w), Rc::clone(&size));
        Ok(size)
    }

    /// Training pictures that copies are looked for among.
    fn training(
        &self,
        size: (usize, usize),
        add: &mut dyn FnMut(&Tensor) -> Result<()>,
    ) -> Result<()> {
        self.each(&self.train, self.train.a.info().len.min(KNOWN), size, add)
    }

    /// The mean of all training pictures plus noise.
    fn noise(&self, laws: &PixelLaws, add: &mut dyn FnMut(&Tensor) -> Result<()>) -> Result<()> {
        for from in (0..self.n).step_by(BATCH) {
            add(&laws.part(from, BATCH.min(self.n - from), self.seed)?)?;
        }
        Ok(())
    }
}

impl Judging for Noises {
    /// What the generator's values stand beside.
    fn yardsticks(&self) -> Result<Vec<Row>> {
        let [_, h, w] = self.picture;
        let given = self.given.as_ref();
        let labels = given.and_then(|_| self.labels(&self.train.a));
        let size = self.size((h, w))?;
        let training: &Each<'_> = &|add| self.training((h, w), add);
        let mut known = size.reference.set(labels.as_deref()).known();
        self.each(&self.train, self.n, (h, w), &mut |pictures| {
            known.add(pictures)
        })?;
        let mut noise = size.reference.set(None).known();
        self.noise(&size.laws, &mut |pictures| noise.add(pictures))?;
        Ok(vec![
            Row {
                name: "training pictures".into(),
                measures: known.end(training)?,
            },
            Row {
                name: "mean + noise".into(),
                measures: noise.end(training)?,
            },
        ])
    }

    /// One row for each column of pictures that the generator makes.
    fn rows(&self, sampler: &dyn Sampler, name: &str, t: u64) -> Result<Vec<Row>> {
        let mut draws = CounterRng::new(self.seed, &self.probe.device());
        draws.begin(t);
        let given = self.given.as_deref();
        let mut sets: Vec<(&str, (usize, usize), Option<Set<'_>>)> = Vec::new();
        for from in (0..self.n).step_by(BATCH) {
            let probe = self.probe.rows(from, BATCH.min(self.n - from))?;
            for (column, pictures) in sampler.sample(&probe, &mut draws)? {
                let (_, _, h, w) = pictures.dims4()?;
                if from == 0 {
                    // A network that grows begins with some that no measure is for.
                    let set = match h.min(w) < sliced::LEAST {
                        true => None,
                        false => Some(self.size((h, w))?.reference.set(given)),
                    };
                    sets.push((column, (h, w), set));
                }
                let mut known = sets.iter_mut();
                let found = known.find(|(known, size, _)| *known == column && *size == (h, w));
                if let Some((_, _, Some(set))) = found {
                    set.add(&pictures)
                        .with_context(|| format!("the pictures of {name}"))?;
                }
            }
        }
        let several = sets.len() > 1;
        let rows = sets.into_iter().map(|(column, (h, w), set)| {
            let name = match several {
                true => format!("{name} {column}"),
                false => name.to_string(),
            };
            let Some(set) = set else {
                let name = format!("{name} ({h}x{w}: too small to measure)");
                let measures = Vec::new();
                return Ok(Row { name, measures });
            };
            let measures = set
                .end(&|add| self.training((h, w), add))
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
        if self.n < precision::LEAST {
            let least = precision::LEAST;
            lines.push(format!(
                "precision, recall: not stated, they want {least} pictures at least"
            ));
        }
        if let (Some(_), None, reads) = (&self.given, &self.readers.digits, self.readers.reads) {
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

/// The network whose features published distances are stated in.
fn inception(file: &Path, device: &Device) -> Result<Box<dyn Features>> {
    let weights = Weights::read(file)?;
    Ok(Box::new(Inception::open(&weights, device)?))
}

/// `n` of a set's pictures, all of them in their own order or some in a random one.
fn some(set: &dyn Pictures, n: usize, seed: u64) -> Vec<usize> {
    let len = set.info().len;
    match n < len {
        true => {
            let mut order = rng::permutation(Key::new(seed, "eval order", 0, 0), len);
            order.truncate(n);
            order
        }
        false => (0..len).collect(),
    }
}
