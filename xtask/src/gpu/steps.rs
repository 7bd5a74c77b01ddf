//! Step by step along a run: whether a device trains as the CPU does, and goes on as it stopped.
//!
//! Two devices round differently, and training magnifies that: two runs part after some tens of iterations,
//! whatever is right or wrong. So every iteration on the device starts from the CPU's state, with the same
//! batch and draws, and its end is compared with the CPU's. Errors are measured as [`crate::parity`] measures
//! them: max|a−b| / max|b| over all tensors of a group and all iterations.

use super::smoke;
use crate::job::Job;
use anyhow::{Context as _, Result, bail};
use candle_core::{DType, Device, Tensor};
use gan_core::data::Data;
use gan_core::rng::CounterRng;
use gan_core::{Algorithm, Draws, Iter, LiveSource, Recipe, Seen, checkpoint};
use std::collections::BTreeMap;

/// What is accepted, as in the recordings: weights, moments and buffers after an iteration, and its scalars.
pub const LIMIT: f64 = 1e-5;
/// How often the CPU repeats an iteration from a state that is moved by some roundings.
const TRIES: u64 = 8;
/// By how much: a sum of many terms in another order moves by some roundings, not by one.
const ROUNDINGS: f64 = 4. * f32::EPSILON as f64;
/// How many times as far from the CPU as the CPU is from itself the device may be in an iteration that
/// magnifies roundings.
const ROOM: f64 = 2.;

/// A group of tensors, and how far the device's were from the CPU's.
#[derive(Clone, Debug)]
pub struct Group {
    /// A part's weights (`d`), buffers (`d running_mean`) or moments (`opt_d exp_avg`); or a scalar's name.
    pub name: String,
    /// max|a−b| / max|b|
    pub error: f64,
    /// The tensor and the iteration that differed most.
    pub worst: String,
}

/// A tensor of an iteration that magnifies roundings: the CPU itself gets elsewhere when all numbers of the
/// state before it are moved by a few roundings.
#[derive(Clone, Debug)]
pub struct Loose {
    /// The tensor and the iteration.
    pub place: String,
    /// How far the device's is from the CPU's, over the group's size.
    pub error: f64,
    /// How far the CPU's is from itself.
    pub own: f64,
}

/// How a device's iterations compare with the CPU's.
#[derive(Clone, Debug)]
pub struct Report {
    /// All groups, sorted by name; what is loose is left out of them.
    pub groups: Vec<Group>,
    /// How many tensors were compared.
    pub tensors: usize,
    /// Those beyond the limit that roundings account for.
    pub loose: Vec<Loose>,
}

impl Report {
    /// Groups beyond the limit.
    pub fn failed(&self) -> impl Iterator<Item = &Group> {
        self.groups
            .iter()
            .filter(|group| group.error.is_nan() || group.error > LIMIT)
    }
}

/// A state or the scalars of one iteration.
type Tensors = BTreeMap<String, Tensor>;

/// A job's training on one device.
struct Training<'a> {
    algorithm: Box<dyn Algorithm>,
    source: LiveSource,
    seen: Seen,
    job: &'a Job<'a>,
}

impl<'a> Training<'a> {
    fn start(job: &'a Job<'a>, data: &Data) -> Result<Self> {
        Ok(Self {
            algorithm: job.build(&data.info())?,
            source: LiveSource::new(data, job.settings.seed, &job.device),
            seen: Seen::default(),
            job,
        })
    }

    /// A copy of the state.
    fn state(&mut self) -> Result<Tensors> {
        let state = checkpoint::state(&mut *self.algorithm, &self.source)?;
        let host = |(key, tensor): (String, Tensor)| Ok((key, host(&tensor)?));
        state.into_iter().map(host).collect()
    }

    fn restore(&mut self, state: &Tensors) -> Result<()> {
        Ok(checkpoint::restore(
            state,
            &mut *self.algorithm,
            Some(&mut self.source),
        )?)
    }

    /// Iteration `t`; gives its scalars.
    fn step(&mut self, t: u64) -> Result<Tensors> {
        let mut it = Iter::new(t, &mut self.source, &mut self.seen);
        self.algorithm
            .step(&mut it)
            .with_context(|| format!("{}, iteration {t}", self.job.recipe.info().name))?;
        let scalars = self.seen.scalars.iter();
        scalars
            .map(|(name, value)| Ok((name.clone(), host(value)?)))
            .collect()
    }
}

/// A copy on the CPU.
fn host(tensor: &Tensor) -> Result<Tensor> {
    Ok(tensor.detach().copy()?.to_device(&Device::Cpu)?)
}

/// max|a−b| of two tensors; infinite where one is not a number.
fn difference(a: &Tensor, b: &Tensor) -> Result<f64> {
    if a.dims() != b.dims() {
        bail!("its shape is {:?}, the CPU's {:?}", a.dims(), b.dims())
    }
    let pairs = numbers(a)?.into_iter().zip(numbers(b)?);
    // NaN must not get lost in a maximum.
    Ok(pairs.fold(0., |worst: f64, (a, b)| match (a - b).abs() {
        d if d.is_nan() => f64::INFINITY,
        d => worst.max(d),
    }))
}

fn numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    let flat = tensor.flatten_all()?;
    Ok(flat.to_dtype(DType::F64)?.to_vec1()?)
}

/// What an iteration leaves behind: its scalars and its state.
fn left(training: &mut Training<'_>, t: u64) -> Result<Tensors> {
    let mut all = training.step(t)?;
    for (key, tensor) in training.state()? {
        all.insert(format!("{STATE}{key}"), tensor);
    }
    Ok(all)
}

/// Marks keys of the state, beside names of scalars.
const STATE: &str = "state ";

/// The group of what an iteration leaves behind: a scalar's name; of the state the part, of moments and
/// buffers also their kind.
fn group(key: &str) -> String {
    let Some(key) = key.strip_prefix(STATE) else {
        return key.to_string();
    };
    let part = key.split('.').next().unwrap_or(key);
    let kind = key.rsplit('.').next().unwrap_or(key);
    match part.starts_with("opt") || kind.starts_with("running_") {
        true => format!("{part} {kind}"),
        false => part.to_string(),
    }
}

/// The state with each number moved at random by up to [`ROUNDINGS`].
fn moved(state: &Tensors, rng: &mut CounterRng) -> Result<Tensors> {
    let one = |(key, tensor): (&String, &Tensor)| {
        if tensor.dtype() != DType::F32 {
            return Ok((key.clone(), tensor.clone()));
        }
        let by = rng.uniform(key, tensor.dims())?.affine(2., -1.)? * ROUNDINGS;
        Ok((key.clone(), (tensor * (by? + 1.)?)?))
    };
    state.iter().map(one).collect()
}

/// Does the first `iterations` of a paper's smoke preset on the CPU, and each of them also on `device`, from
/// the CPU's state before it.
///
/// # Errors
/// Those of the step, on either device; what the two name differently.
pub fn follow(recipe: &dyn Recipe, device: &Device, iterations: u64) -> Result<Report> {
    let (on_cpu, data) = smoke(recipe, &Device::Cpu)?;
    let (on_device, _) = smoke(recipe, device)?;
    let mut cpu = Training::start(&on_cpu, &data)?;
    let mut other = Training::start(&on_device, &data)?;
    let mut sizes: BTreeMap<String, f64> = BTreeMap::new();
    let mut found = Vec::new();
    for t in 0..iterations {
        let before = cpu.state()?;
        other.restore(&before)?;
        let (want, got) = (left(&mut cpu, t)?, left(&mut other, t)?);
        if !want.keys().eq(got.keys()) {
            bail!("iteration {t} leaves other tensors on the device than on the CPU")
        }
        let mut over = Vec::new();
        for ((key, b), a) in want.iter().zip(got.values()) {
            let size = sizes.entry(group(key)).or_default();
            *size = numbers(b)?.iter().fold(*size, |size, b| size.max(b.abs()));
            let difference = difference(a, b).with_context(|| format!("{key} in iteration {t}"))?;
            if difference > LIMIT * *size {
                over.push((key, found.len()));
            }
            found.push((key.clone(), t, difference, 0.));
        }
        if over.is_empty() {
            continue;
        }
        let mut again = Training::start(&on_cpu, &data)?;
        let mut rng = CounterRng::new(t, &Device::Cpu);
        for i in 0..TRIES {
            rng.begin(i);
            again.restore(&moved(&before, &mut rng)?)?;
            let near = left(&mut again, t)?;
            for &(key, at) in &over {
                let (Some(a), Some(b), Some(found)) =
                    (near.get(key), want.get(key), found.get_mut(at))
                else {
                    bail!("iteration {t} does not leave {key} behind each time")
                };
                found.3 = difference(a, b)?.max(found.3);
            }
        }
    }
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    let (tensors, mut loose) = (found.len(), Vec::new());
    for (key, t, difference, own) in found {
        let name = group(&key);
        let size = sizes.get(&name).copied().unwrap_or_default();
        let relative = |d: f64| if size > 0. { d / size } else { d };
        let (error, own) = (relative(difference), relative(own));
        let place = format!("{} in iteration {t}", key.trim_start_matches(STATE));
        if error > LIMIT && error <= ROOM * own {
            loose.push(Loose { place, error, own });
            continue;
        }
        let group = groups.entry(name.clone()).or_insert(Group {
            name,
            error: 0.,
            worst: String::new(),
        });
        if error > group.error {
            (group.error, group.worst) = (error, place);
        }
    }
    Ok(Report {
        groups: groups.into_values().collect(),
        tensors,
        loose,
    })
}

/// Whether a run that stops after `iterations` and goes on for as many more ends in the same bits as one that
/// does not stop; if not, the first tensor that differs.
///
/// # Errors
/// Those of the step.
pub fn resumed(recipe: &dyn Recipe, device: &Device, iterations: u64) -> Result<Option<String>> {
    let (job, data) = smoke(recipe, device)?;
    let mut whole = Training::start(&job, &data)?;
    let mut before = whole.state()?;
    for t in 0..2 * iterations {
        if t == iterations {
            before = whole.state()?;
        }
        whole.step(t)?;
    }
    let mut again = Training::start(&job, &data)?;
    again.restore(&before)?;
    for t in iterations..2 * iterations {
        again.step(t)?;
    }
    let (want, got) = (whole.state()?, again.state()?);
    for ((key, a), (other, b)) in want.iter().zip(&got) {
        if key != other || bits(a)? != bits(b)? {
            return Ok(Some(key.clone()));
        }
    }
    Ok((want.len() != got.len()).then(|| "the number of tensors".into()))
}

/// The numbers as bits, so that NaN equals itself and −0 is not 0.
fn bits(tensor: &Tensor) -> Result<Vec<u64>> {
    // Every f32 and every count of iterations has a double of its own.
    let values = tensor
        .flatten_all()?
        .to_dtype(DType::F64)?
        .to_vec1::<f64>()?;
    Ok(values.into_iter().map(f64::to_bits).collect())
}
