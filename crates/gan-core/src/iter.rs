//! What a step may use besides its own state: batches, randomness, the one way to update, the log.

use crate::data::{Ask, Range, View, What};
use crate::draws::Draws;
use crate::optim::Optimizer;
use crate::source::Source;
use candle_core::{CpuStorage, DType, Device, Result, Storage, Tensor, bail};
use gan_kernels::tape;

/// What one iteration leaves behind for whoever looks at the run.
#[derive(Debug, Default)]
pub struct Seen {
    /// Named scalars, as tensors: reading one waits for a GPU, so they are read when they are logged.
    pub scalars: Vec<(String, Tensor)>,
    /// The last pictures that the iteration trained on, in [−1, 1].
    pub pictures: Option<Tensor>,
    /// On a GPU: 0 while every gradient so far was finite, else NaN.
    pub unread: Option<Tensor>,
}

/// One update, as a recorder sees it.
#[derive(Debug)]
pub struct Update<'a> {
    /// The iteration, from 0.
    pub t: u64,
    /// The update's name, as the reference names it: `d`, `g`, `d0`, …
    pub name: &'a str,
    /// The loss terms; the first is the one minimised.
    pub terms: &'a [(&'a str, &'a Tensor)],
    /// `NET.KEY` and its gradient; none where the loss does not reach the parameter.
    pub gradients: &'a [(String, Option<Tensor>)],
}

/// Called for each update before it is applied.
pub type Recorder<'a> = dyn FnMut(&Update<'_>) -> Result<()> + 'a;

/// Puts together what several workers have made of their parts of a batch.
pub trait Reducer {
    /// The mean of each tensor over all workers, which call this with tensors of the same shapes in the
    /// same order.
    ///
    /// # Errors
    /// A worker that is lost.
    fn mean(&mut self, tensors: Vec<Tensor>) -> Result<Vec<Tensor>>;
}

/// One iteration. Implements [`Draws`]; made anew for each iteration, which resets the counts of roles.
///
/// While it lives, ops are recorded on the tape of [`gan_kernels::tape`], whose backward is faster than
/// candle's; [`Iter::minimise`] takes any loss. Whoever wants a gradient of their own inside a step calls
/// `tape::backward` in place of candle's `backward`, or [`crate::grad::input_gradient`] for one that is
/// to be differentiated.
pub struct Iter<'a> {
    /// The iteration's number, from 0.
    pub t: u64,
    source: &'a mut dyn Source,
    seen: &'a mut Seen,
    recorder: Option<&'a mut Recorder<'a>>,
    reducer: Option<&'a mut dyn Reducer>,
    _recording: tape::Recording,
}

impl<'a> Iter<'a> {
    /// Starts iteration `t`; what it leaves behind goes to `seen`, whose scalars are cleared.
    pub fn new(t: u64, source: &'a mut dyn Source, seen: &'a mut Seen) -> Self {
        seen.scalars.clear();
        source.begin(t);
        Self {
            t,
            source,
            seen,
            recorder: None,
            reducer: None,
            _recording: tape::start(),
        }
    }

    /// Shows every update to `recorder`.
    pub fn recorded(mut self, recorder: &'a mut Recorder<'a>) -> Self {
        self.recorder = Some(recorder);
        self
    }

    /// Shares every update with the other workers.
    pub fn reduced(mut self, reducer: &'a mut dyn Reducer) -> Self {
        self.reducer = Some(reducer);
        self
    }

    /// This worker's part of a batch: all of it, where there is one worker. The first axis of everything
    /// that a step asks for is the part's.
    ///
    /// # Errors
    /// A batch that cannot be shared equally.
    pub fn share(&self, batch: usize) -> Result<usize> {
        self.source.share(batch)
    }

    /// One update: the gradient of the first term with respect to `opt`'s parameters only, checked,
    /// recorded, and applied at once. Logs every term as `loss/UPDATE/TERM`, `grad_norm/NET` and `lr/NET`.
    ///
    /// Several workers take the mean of their gradients and terms before these are judged, so that all of
    /// them go on or all stop.
    ///
    /// # Errors
    /// A loss or gradient that is not finite (nothing is applied then); a parameter without a gradient that
    /// the optimizer trains.
    pub fn minimise(
        &mut self,
        opt: &mut Optimizer,
        update: &str,
        terms: &[(&str, &Tensor)],
    ) -> Result<()> {
        let Some((_, loss)) = terms.first() else {
            bail!("update {update} has no loss term")
        };
        if loss.elem_count() != 1 {
            bail!(
                "update {update}: the loss has the shape {:?}, expected one number",
                loss.dims()
            )
        }
        let mut gradients = opt.gradients(loss)?;
        let mut values: Vec<Tensor> = terms.iter().map(|(_, value)| value.detach()).collect();
        if let Some(reducer) = &mut self.reducer {
            values = together(&mut **reducer, &mut gradients, values)?;
        }
        let names = terms.iter().map(|(term, _)| *term);
        let terms: &[(&str, &Tensor)] = &names.zip(&values).collect::<Vec<_>>();
        for (term, value) in terms {
            self.log(&format!("loss/{update}/{term}"), value);
        }
        for net in opt.nets() {
            self.log(
                &format!("lr/{net}"),
                &Tensor::new(opt.lr as f32, &Device::Cpu)?,
            );
        }
        self.check(update, terms, &gradients)?;
        if let Some(recorder) = &mut self.recorder {
            recorder(&Update {
                t: self.t,
                name: update,
                terms,
                gradients: &gradients,
            })?;
        }
        opt.apply(&gradients)
    }

    /// Refuses what is not finite and logs the norm of each network's gradient.
    fn check(
        &mut self,
        update: &str,
        terms: &[(&str, &Tensor)],
        gradients: &[(String, Option<Tensor>)],
    ) -> Result<()> {
        let mut norms: Vec<(&str, Tensor)> = Vec::new();
        let mut first_bad = None;
        for (key, gradient) in gradients {
            let Some(gradient) = gradient else { continue };
            let square = square_sum(gradient)?;
            if gradient.device().is_cpu() && !square.to_scalar::<f32>()?.is_finite() {
                first_bad.get_or_insert(key.as_str());
            }
            let net = key.split('.').next().unwrap_or(key);
            match norms.last_mut() {
                Some((last, sum)) if *last == net => *sum = (&*sum + square)?,
                _ => norms.push((net, square)),
            }
        }
        let on_cpu = terms.iter().all(|(_, value)| value.device().is_cpu());
        for (term, value) in terms {
            if on_cpu
                && !value
                    .to_dtype(DType::F32)?
                    .flatten_all()?
                    .to_vec1::<f32>()?
                    .iter()
                    .all(|x| x.is_finite())
            {
                bail!(
                    "iteration {}, update {update}: the loss {term} is not finite; this update was not made. \
                     Lower the learning rate, or look at the last samples for what went wrong",
                    self.t
                )
            }
        }
        if let Some(key) = first_bad {
            bail!(
                "iteration {}, update {update}: the gradient of {key} is not finite; this update was not made. \
                 Lower the learning rate, or look at the last samples for what went wrong",
                self.t
            )
        }
        for (net, square) in norms {
            if !on_cpu {
                let flag = square.affine(0., 0.)?;
                self.seen.unread = Some(match self.seen.unread.take() {
                    Some(unread) => (unread + flag)?,
                    None => flag,
                });
            }
            self.log(&format!("grad_norm/{net}"), &square.sqrt()?);
        }
        Ok(())
    }

    /// Logs one number under a name of the dictionary: `score/real`, `wasserstein`, `lr/NET`, …
    ///
    /// A name that is logged again in the same iteration keeps its last value.
    pub fn log(&mut self, name: &str, value: &Tensor) {
        let value = value.detach();
        match self
            .seen
            .scalars
            .iter_mut()
            .find(|(known, _)| known == name)
        {
            Some((_, known)) => *known = value,
            None => self.seen.scalars.push((name.to_string(), value)),
        }
    }

    /// The next `b` positions of the data: a tensor for each ask, all of the same positions, cut and mirrored
    /// alike, as `view` says.
    ///
    /// # Errors
    /// What the data do not have; those of reading.
    pub fn batch<const N: usize>(
        &mut self,
        b: usize,
        view: View,
        asks: [Ask<'_>; N],
    ) -> Result<[Tensor; N]> {
        let tensors = self.source.batch(b, &view, &asks)?;
        for (ask, tensor) in asks.iter().zip(&tensors) {
            if let What::Pictures { range, .. } = ask.what {
                self.seen.pictures = Some(match range {
                    Range::Signed => tensor.clone(),
                    Range::Unit => tensor.affine(2., -1.)?,
                });
            }
        }
        match tensors.try_into() {
            Ok(tensors) => Ok(tensors),
            Err(tensors) => bail!("the source gave {} tensors, expected {N}", tensors.len()),
        }
    }
}

/// The mean of gradients and loss terms over all workers; gives the terms.
fn together(
    reducer: &mut dyn Reducer,
    gradients: &mut [(String, Option<Tensor>)],
    terms: Vec<Tensor>,
) -> Result<Vec<Tensor>> {
    let own = gradients
        .iter()
        .filter_map(|(_, gradient)| gradient.clone());
    let all = own.chain(terms).collect::<Vec<_>>();
    let n = all.len();
    let means = reducer.mean(all)?;
    if means.len() != n {
        bail!("{n} tensors were to be reduced, {} came back", means.len())
    }
    let mut means = means.into_iter();
    for gradient in gradients
        .iter_mut()
        .filter_map(|(_, gradient)| gradient.as_mut())
    {
        if let Some(mean) = means.next() {
            *gradient = mean;
        }
    }
    Ok(means.collect())
}

/// Σ x² as a tensor without dimensions; on the CPU in one pass, in an order that is always the same.
fn square_sum(x: &Tensor) -> Result<Tensor> {
    if !x.device().is_cpu() || x.dtype() != DType::F32 || !x.is_contiguous() {
        return x.detach().to_dtype(DType::F32)?.sqr()?.sum_all();
    }
    let (storage, layout) = x.storage_and_layout();
    let (Storage::Cpu(CpuStorage::F32(values)), Some((from, to))) =
        (&*storage, layout.contiguous_offsets())
    else {
        bail!("a contiguous f32 tensor on the CPU was expected")
    };
    const LANES: usize = 16;
    let mut sums = [0f32; LANES];
    let chunks = values.get(from..to).unwrap_or(&[]).chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().map(|x| x * x).sum();
    for chunk in chunks {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *sum += x * x;
        }
    }
    Tensor::new(sums.iter().sum::<f32>() + rest, x.device())
}

impl Draws for Iter<'_> {
    fn normal(&mut self, role: &str, shape: &[usize]) -> Result<Tensor> {
        self.source.normal(role, shape)
    }

    fn uniform(&mut self, role: &str, shape: &[usize]) -> Result<Tensor> {
        self.source.uniform(role, shape)
    }

    fn mask(&mut self, role: &str, p: f64, shape: &[usize]) -> Result<Tensor> {
        self.source.mask(role, p, shape)
    }

    fn choices(&mut self, role: &str, n: usize, below: usize) -> Result<Vec<usize>> {
        self.source.choices(role, n, below)
    }
}
