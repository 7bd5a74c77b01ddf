//! The measures of pictures that were made of noise: added batch by batch, so that the pictures need not be kept.

use crate::cache;
use anyhow::Result;
use candle_core::{Device, Tensor};
use gan_eval::Measure;
use gan_eval::classes::{Deviations, accuracy};
use gan_eval::features::{FeatureSet, Features};
use gan_eval::frechet::{self, Statistics};
use gan_eval::kid::{self, kid_with_error};
use gan_eval::lenet::{self, Classifier};
use gan_eval::msssim;
use gan_eval::neighbours::{Nearest, copying};
use gan_eval::precision::{self, precision_recall};
use gan_eval::sliced::{Patches, Protocol, SlicedWasserstein};
use std::rc::Rc;

/// Pictures of a set whose nearest training pictures are looked for, at most.
const NEAREST: usize = 500;

/// A measure, and its share of a baseline's where there is one.
pub type Value = (Measure, Option<f64>);

/// Who looks at pictures.
#[derive(Default)]
pub struct Readers {
    /// Reads digits, where the data are such.
    pub digits: Option<Classifier>,
    /// The share of held-out digits that it reads right.
    pub reads: Option<f64>,
    /// A network whose features are compared, too.
    pub network: Option<Box<dyn Features>>,
}

impl Readers {
    /// The networks whose features are compared, of pictures of this size.
    fn networks(&self, (c, h, w): (usize, usize, usize)) -> Vec<&dyn Features> {
        let digits = self.digits.as_ref().filter(|_| lenet::reads(c, h, w));
        let digits = digits.map(|digits| digits as &dyn Features);
        digits.into_iter().chain(self.network.as_deref()).collect()
    }

    /// No features yet, of each network.
    fn sets(&self, dims: (usize, usize, usize)) -> Vec<FeatureSet> {
        let networks = self.networks(dims).into_iter();
        networks
            .map(|network| FeatureSet::new(network.width()))
            .collect()
    }

    /// Adds the features of pictures. Those of the data, which are `known`, are kept where the network is slow.
    fn add(
        &self,
        dims: (usize, usize, usize),
        pictures: &Tensor,
        known: bool,
        sets: &mut [FeatureSet],
    ) -> Result<()> {
        for (set, network) in sets.iter_mut().zip(self.networks(dims)) {
            let is_slow = self
                .network
                .as_ref()
                .is_some_and(|n| n.name() == network.name());
            let features = match cache::folder().filter(|_| known && is_slow) {
                Some(folder) => cache::features(network, pictures, &folder.join("features"))?,
                None => network.of(pictures)?,
            };
            set.add(&features)?;
        }
        Ok(())
    }
}

/// What pictures of one size are compared with.
pub struct Reference {
    readers: Rc<Readers>,
    n: usize,
    seed: u64,
    dims: (usize, usize, usize),
    distance: SlicedWasserstein,
    /// The held-out pictures' features of each network.
    features: Vec<FeatureSet>,
    /// Distances of held-out pictures to training pictures; none where some are the same.
    held_out: Option<Vec<f64>>,
    /// Distances of the mean picture plus noise.
    baseline: Vec<f64>,
}

/// All training pictures of a size, a batch at a time.
pub type Each<'a> = dyn Fn(&mut dyn FnMut(&Tensor) -> Result<()>) -> Result<()> + 'a;

/// The held-out pictures, to which others will be compared, added batch by batch.
pub struct Begun {
    readers: Rc<Readers>,
    n: usize,
    seed: u64,
    dims: (usize, usize, usize),
    patches: Patches,
    features: Vec<FeatureSet>,
    first: Vec<Tensor>,
}

impl Begun {
    /// Of `n` pictures `[c, h, w]`.
    ///
    /// # Errors
    /// Pictures that are too small.
    pub fn new(
        n: usize,
        dims: (usize, usize, usize),
        seed: u64,
        readers: &Rc<Readers>,
    ) -> Result<Self> {
        let (c, h, w) = dims;
        Ok(Self {
            readers: Rc::clone(readers),
            n,
            seed,
            dims,
            patches: Patches::new((n, c, h, w), Protocol::of(n, seed))?,
            features: readers.sets(dims),
            first: Vec::new(),
        })
    }

    /// Adds held-out pictures.
    ///
    /// # Errors
    /// Pictures of another size.
    pub fn add(&mut self, pictures: &Tensor) -> Result<()> {
        self.patches.add(pictures)?;
        self.readers
            .add(self.dims, pictures, true, &mut self.features)?;
        keep(&mut self.first, pictures)
    }

    /// The reference, once all are added.
    ///
    /// # Errors
    /// Those of reading the training pictures.
    pub fn end(self, training: &Each<'_>) -> Result<Reference> {
        let held_out = distances(&self.first, training)?;
        Ok(Reference {
            readers: self.readers,
            n: self.n,
            seed: self.seed,
            dims: self.dims,
            distance: SlicedWasserstein::of(self.patches)?,
            features: self.features,
            held_out: copying(&held_out, &held_out).is_ok().then_some(held_out),
            baseline: Vec::new(),
        })
    }
}

/// Keeps the first pictures of a set.
fn keep(first: &mut Vec<Tensor>, pictures: &Tensor) -> Result<()> {
    let there: usize = first.iter().map(|part| part.dim(0).unwrap_or(0)).sum();
    let more = pictures.dim(0)?.min(NEAREST.saturating_sub(there));
    if more > 0 {
        first.push(pictures.narrow(0, 0, more)?);
    }
    Ok(())
}

/// The distance of each picture to its nearest training picture.
fn distances(pictures: &[Tensor], training: &Each<'_>) -> Result<Vec<f64>> {
    let mut nearest = Nearest::new(&Tensor::cat(pictures, 0)?)?;
    training(&mut |batch| Ok(nearest.add(batch)?))?;
    Ok(nearest.distances())
}

impl Reference {
    /// A set that is compared with it; `labels` are the classes that its pictures should show.
    pub fn set<'l>(self: &Rc<Self>, labels: Option<&'l [u32]>) -> Set<'l> {
        Set {
            reference: Rc::clone(self),
            labels,
            known: false,
            patches: self.distance.patches(),
            features: self.readers.sets(self.dims),
            similar: (0., 0),
            found: Vec::new(),
            deviations: Deviations::default(),
            first: Vec::new(),
            count: 0,
        }
    }

    /// Takes a set as what the distances of others are a share of.
    ///
    /// # Errors
    /// A set that is not whole.
    pub fn compare_with(&mut self, patches: Patches) -> Result<()> {
        self.baseline = self.distance.distances_of(patches)?;
        Ok(())
    }

    /// No patches yet of a set that is compared.
    pub fn patches(&self) -> Patches {
        self.distance.patches()
    }

    fn pictures(&self) -> String {
        let (c, h, w) = self.dims;
        let colour = if c == 1 { "grey" } else { "colour" };
        format!(
            "{} + {} held-out pictures of {h}x{w} {colour}",
            self.n, self.n
        )
    }

    /// A distance a level, and its share of the baseline's.
    fn distances(&self, patches: Patches) -> Result<Vec<Value>> {
        let values = self.distance.distances_of(patches)?;
        let levels = self.distance.sizes().into_iter().zip(values).enumerate();
        let values = levels.map(|(level, ((h, w), value))| {
            let measure = Measure {
                name: format!("swd {h}x{w}"),
                value,
                error: None,
                protocol: format!(
                    "{}; held-out pictures, brought to this size as for training",
                    self.distance.protocol()
                ),
            };
            let share = self.baseline.get(level).map(|baseline| value / baseline);
            (measure, share)
        });
        Ok(values.collect())
    }
}

/// A set of pictures that is measured.
pub struct Set<'l> {
    reference: Rc<Reference>,
    labels: Option<&'l [u32]>,
    /// Whether the pictures are those of the data, which others will be compared with again.
    known: bool,
    patches: Patches,
    features: Vec<FeatureSet>,
    /// The similarities of pairs, summed, and how many.
    similar: (f64, usize),
    /// The digits that were read.
    found: Vec<u32>,
    deviations: Deviations,
    first: Vec<Tensor>,
    count: usize,
}

impl Set<'_> {
    /// The same of pictures of the data.
    pub fn known(self) -> Self {
        Self {
            known: true,
            ..self
        }
    }

    /// Adds pictures, the next of the set; pairs of neighbours are within a batch.
    ///
    /// # Errors
    /// Pictures of another size, values that are not finite.
    pub fn add(&mut self, pictures: &Tensor) -> Result<()> {
        let pictures = &pictures.detach().to_device(&Device::Cpu)?;
        let (m, _, h, w) = pictures.dims4()?;
        self.patches.add(pictures)?;
        let (readers, dims) = (&self.reference.readers, self.reference.dims);
        readers.add(dims, pictures, self.known, &mut self.features)?;
        if h.min(w) >= msssim::LEAST && m >= 2 {
            let pairs = m / 2;
            self.similar.0 += msssim::among(pictures)? * pairs as f64;
            self.similar.1 += pairs;
        }
        if let Some(labels) = self.labels {
            let labels = labels.get(self.count..self.count + m).unwrap_or_default();
            self.deviations.add(pictures, labels)?;
            let digits = readers.digits.as_ref();
            if let Some(digits) = digits.filter(|_| lenet::reads(dims.0, h, w)) {
                self.found.extend(digits.classify(pictures)?);
            }
        }
        keep(&mut self.first, pictures)?;
        self.count += m;
        Ok(())
    }

    /// All measures of the set.
    ///
    /// # Errors
    /// A set that is not whole; those of reading the training pictures.
    pub fn end(self, training: &Each<'_>) -> Result<Vec<Value>> {
        let reference = &*self.reference;
        let (_, h, w) = reference.dims;
        let n = self.count;
        let mut all = reference.distances(self.patches)?;
        let mut add = |name: String, value: f64, error: Option<f64>, protocol: String| {
            let measure = Measure {
                name,
                value,
                error,
                protocol,
            };
            all.push((measure, None));
        };
        if self.similar.1 > 0 {
            add(
                "ms-ssim".into(),
                self.similar.0 / self.similar.1 as f64,
                None,
                format!(
                    "multi-scale structural similarity (5 scales, window up to 11x11) of {} pairs of neighbours at \
                     {h}x{w}, mean; lower is more varied, that of training pictures is right",
                    self.similar.1
                ),
            );
        }
        let sets = self.features.iter().zip(&reference.features);
        let networks = reference.readers.networks(reference.dims);
        for (network, (made, real)) in networks.into_iter().zip(sets) {
            by_features(network, reference, real, made, &mut add)?;
        }
        if let Some(held_out) = &reference.held_out {
            let copying = copying(&distances(&self.first, training)?, held_out)?;
            let of = format!(
                "Euclidean distance of pixels to the nearest training picture, {} + {} held-out pictures",
                n.min(NEAREST),
                held_out.len()
            );
            add(
                "nearest".into(),
                copying.ratio,
                None,
                format!(
                    "median {of}, as a share of the held-out ones'; 0 is by heart, blurred pictures are below 1, too"
                ),
            );
            add(
                "copied".into(),
                copying.share,
                None,
                format!("share of pictures nearer than all but 1 % of the held-out ones: {of}"),
            );
        }
        let Some(labels) = self.labels else {
            return Ok(all);
        };
        if !self.found.is_empty() {
            add(
                "accuracy".into(),
                accuracy(&self.found, labels)?,
                None,
                format!(
                    "share of {n} pictures that the LeNet of crates/gan-eval/lenet-mnist.safetensors reads as their \
                     class; it reads {:.1} % of the held-out pictures right",
                    100. * reference.readers.reads.unwrap_or_default()
                ),
            );
        }
        add(
            "deviation".into(),
            self.deviations.within()?,
            None,
            format!(
                "standard deviation of each pixel over the pictures of a class, in [0, 1], mean over pixels \
                 and classes; {n} pictures"
            ),
        );
        Ok(all)
    }
}

/// The measures that compare features.
fn by_features(
    network: &dyn Features,
    reference: &Reference,
    real: &FeatureSet,
    made: &FeatureSet,
    add: &mut dyn FnMut(String, f64, Option<f64>, String),
) -> Result<()> {
    // Inception's are known by their names alone, which no other network's may have.
    let name = |what: &str| match network.name() {
        "inception" => what.to_string(),
        other => format!("{other}-{what}"),
    };
    let of = format!("{}; {}", reference.pictures(), network.protocol());
    let n = reference.n;
    if n >= frechet::LEAST {
        let distance = Statistics::new(real)?.distance(&Statistics::new(made)?)?;
        let protocol = format!(
            "Fréchet distance of features, covariances with n - 1; it is larger for fewer pictures; {of}"
        );
        add(name("fid"), distance, None, protocol);
    }
    if n >= kid::LEAST {
        let found = kid_with_error(real, made, reference.seed)?;
        let protocol = format!(
            "kernel distance of features, (x·y / {} + 1)³, unbiased; ± the standard error over ten parts; {of}",
            network.width()
        );
        add(name("kid"), found.value, found.error, protocol);
    }
    if n >= precision::LEAST {
        let found = precision_recall(real, made)?;
        let k = precision::K;
        add(
            name("precision"),
            found.precision,
            None,
            format!("share of pictures among held-out ones, {k} neighbours; {of}"),
        );
        add(
            name("recall"),
            found.recall,
            None,
            format!("share of held-out pictures among those that were made, {k} neighbours; {of}"),
        );
    }
    Ok(())
}
