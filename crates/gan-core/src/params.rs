//! A network's parameters by name, and the network built over them: once live, once frozen.

use crate::context::Context;
use crate::init;
use crate::opening::{Opening, Vars};
use crate::rng::Key;
use crate::state::{StateReader, StateWriter, Stateful};
use crate::tally::Tally;
use crate::weights::{Weights, is_buffer, is_counter};
use crate::whole::write_whole;
use candle_core::{DType, Device, Result, Shape, Tensor, Var, bail};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, MutexGuard, PoisonError};

/// What the average of a network is called.
fn average_of(net: &str) -> String {
    format!("average of {net}")
}

type InitRule = dyn Fn(&str, &Shape, Init) -> Init + Send + Sync;

/// A network's variables, in the order in which the network asked for them (PyTorch's `parameters()`).
///
/// Clones share the variables. Each is initialised from (seed, `NET.KEY`).
#[derive(Clone)]
pub struct Params {
    name: Arc<str>,
    seed: u64,
    device: Device,
    init: Arc<InitRule>,
    shapes: Option<Arc<BTreeMap<String, Vec<usize>>>>,
    tally: Option<Tally>,
    vars: Vars,
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.vars().iter().map(|(key, _)| key.clone()).collect();
        write!(f, "Params({}: {})", self.name, keys.join(" "))
    }
}

impl Params {
    fn new(
        name: &str,
        seed: u64,
        device: &Device,
        init: impl Fn(&str, &Shape, Init) -> Init + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            seed,
            device: device.clone(),
            init: Arc::new(init),
            shapes: None,
            tally: None,
            vars: Arc::default(),
        }
    }

    /// Empty parameters for an average of others, whose shapes are known to be right.
    fn average_of(other: &Params) -> Self {
        Self {
            name: average_of(&other.name).into(),
            shapes: None,
            vars: Arc::default(),
            ..other.clone()
        }
    }

    /// Refuses a variable that is known to have another shape, or not to be.
    fn expect(&self, key: &str, shape: &Shape) -> Result<()> {
        let Some(shapes) = &self.shapes else {
            return Ok(());
        };
        match shapes.get(&format!("{}.{key}", self.name)) {
            Some(dims) if dims == shape.dims() => Ok(()),
            Some(dims) => bail!(
                "{}.{key} is {dims:?}, the settings make it {:?}",
                self.name,
                shape.dims()
            ),
            None => bail!("{}.{key} is missing", self.name),
        }
    }

    /// What counts its variables in place of making them.
    pub(crate) fn tally(&self) -> Option<&Tally> {
        self.tally.as_ref()
    }

    fn vars(&self) -> MutexGuard<'_, Vec<(String, Var)>> {
        self.vars.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The network's name, as the reference names it: `d`, `g`, `d_x`, …
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Key and variable of everything that is trained.
    pub fn trainable(&self) -> Vec<(String, Var)> {
        self.vars()
            .iter()
            .filter(|(key, _)| !is_buffer(key))
            .cloned()
            .collect()
    }

    /// Key and variable of everything, buffers included.
    pub fn all(&self) -> Vec<(String, Var)> {
        self.vars().clone()
    }

    /// How many numbers are trained.
    pub fn count(&self) -> usize {
        self.trainable()
            .iter()
            .map(|(_, var)| var.elem_count())
            .sum()
    }

    /// Clips every trained number to [−c, c]; buffers stay as they are.
    pub fn clip(&self, c: f64) -> Result<()> {
        for (_, var) in self.trainable() {
            var.set(&var.detach().clamp(-c, c)?)?;
        }
        Ok(())
    }

    /// Whether these are the average of the network of this name.
    pub fn are_average_of(&self, net: &str) -> bool {
        &*self.name == average_of(net).as_str()
    }

    /// Takes the numbers of saved weights, buffers included, in place of those that it has: the same keys and shapes, in
    /// 32 bits. Counters of batches are nothing to it.
    ///
    /// # Errors
    /// Other keys or shapes; the error names the file and the first of them, and nothing is changed.
    pub fn begin_from(&self, weights: &Weights) -> Result<()> {
        let vars = self.all();
        let differs = |problem: String| weights.named(candle_core::Error::Msg(problem));
        let mut tensors = Vec::new();
        for (key, var) in &vars {
            let tensor = match weights.get(key) {
                Some(tensor) if tensor.dims() == var.dims() => tensor,
                Some(tensor) => {
                    return Err(differs(format!(
                        "{key} is {:?}, expected {:?} for {} with these settings",
                        tensor.dims(),
                        var.dims(),
                        self.name
                    )));
                }
                None => {
                    let problem = format!(
                        "{key} is missing, which {} has with these settings",
                        self.name
                    );
                    return Err(differs(problem));
                }
            };
            tensors.push(tensor.to_dtype(DType::F32)?.to_device(&self.device)?);
        }
        let is_surplus = |key: &&str| !is_counter(key) && !vars.iter().any(|(own, _)| own == key);
        if let Some(key) = weights.keys().find(is_surplus) {
            let problem = format!("{key} is more than {} has with these settings", self.name);
            return Err(differs(problem));
        }
        let mut pairs = vars.iter().zip(&tensors);
        pairs.try_for_each(|((_, var), tensor)| var.set(tensor))
    }

    /// A view whose tensors are the variables: a loss through it has gradients for them.
    pub fn live(&self) -> VarBuilder<'static> {
        self.view(Kind::Live)
    }

    /// A view of the same storage without gradients; it may not ask for new names.
    pub fn frozen(&self) -> VarBuilder<'static> {
        self.view(Kind::Frozen)
    }

    fn view(&self, kind: Kind) -> VarBuilder<'static> {
        let view = View {
            params: self.clone(),
            kind,
        };
        VarBuilder::from_backend(Box::new(view), DType::F32, self.device.clone())
    }

    /// Writes the network's weights and buffers under its own key names.
    pub fn write_weights(&self, path: &Path) -> Result<()> {
        let tensors: HashMap<String, Tensor> = self
            .all()
            .into_iter()
            .map(|(key, var)| Ok((key, var.detach().to_device(&Device::Cpu)?)))
            .collect::<Result<_>>()?;
        Ok(write_whole(path, |file| {
            candle_core::safetensors::save(&tensors, file).map_err(std::io::Error::other)
        })?)
    }
}

impl Stateful for Params {
    fn save(&self, to: &mut StateWriter<'_>) -> Result<()> {
        self.vars()
            .iter()
            .try_for_each(|(key, var)| to.tensor(key, var))
    }

    fn load(&mut self, from: &mut StateReader<'_>) -> Result<()> {
        self.vars()
            .iter()
            .try_for_each(|(key, var)| from.var(key, var))
    }

    fn params(&self) -> Option<&Params> {
        Some(self)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Live,
    Frozen,
}

struct View {
    params: Params,
    kind: Kind,
}

impl SimpleBackend for View {
    fn get(&self, shape: Shape, key: &str, hint: Init, _: DType, _: &Device) -> Result<Tensor> {
        let params = &self.params;
        if let Some(tally) = &params.tally {
            tally.variable(&params.name, key, &shape);
            return Tensor::zeros((), DType::F32, &params.device)?.broadcast_as(shape);
        }
        let mut vars = params.vars();
        let var = match vars.iter().find(|(known, _)| known == key) {
            Some((_, var)) => {
                if var.shape() != &shape {
                    bail!(
                        "{}.{key} is {:?} already, now asked for as {shape:?}",
                        params.name,
                        var.shape()
                    )
                }
                var.clone()
            }
            None if self.kind == Kind::Frozen => bail!(
                "{}.{key}: the frozen build asks for a name that the live one did not",
                params.name
            ),
            None => {
                params.expect(key, &shape)?;
                let init = if is_buffer(key) {
                    hint
                } else {
                    (params.init)(key, &shape, hint)
                };
                let role = format!("{}.{key}", params.name);
                let values = init::values(init, &shape, Key::new(params.seed, &role, 0, 0))?;
                let var = Var::from_vec(values, shape, &params.device)?;
                vars.push((key.to_string(), var.clone()));
                var
            }
        };
        // A buffer is handed out as the Var's own tensor, so that `Var::from_tensor` shares it: a
        // forward pass through either build moves the same statistics.
        Ok(if self.kind == Kind::Frozen && !is_buffer(key) {
            var.as_detached_tensor()
        } else {
            var.as_tensor().clone()
        })
    }

    fn get_unchecked(&self, key: &str, _: DType, _: &Device) -> Result<Tensor> {
        bail!("{}.{key}: asked for without a shape", self.params.name)
    }

    fn contains_tensor(&self, key: &str) -> bool {
        self.params.vars().iter().any(|(known, _)| known == key)
    }
}

/// A network built twice over the same storage.
///
/// Gradients flow through both builds to their inputs; only `live` gives gradients for the weights.
#[derive(Debug)]
pub struct Net<M> {
    /// The variables.
    pub params: Params,
    /// For the network's own update.
    pub live: M,
    /// For everyone else's update, and where no gradient is wanted.
    pub frozen: M,
}

impl<M> Net<M> {
    /// Builds the network; `name` is its name among [`crate::Algorithm::parts`].
    ///
    /// `build` is called twice; the second call may not ask for other names.
    pub fn new(
        cx: &Context,
        name: &str,
        init: impl Fn(&str, &Shape, Init) -> Init + Send + Sync + 'static,
        build: impl Fn(VarBuilder<'static>) -> Result<M>,
    ) -> Result<Self> {
        let mut params = Params::new(name, cx.seed, &cx.device, init);
        (params.shapes, params.tally) = (cx.shapes.clone(), cx.tally.clone());
        Ok(Self {
            live: build(params.live())?,
            frozen: build(params.frozen())?,
            params,
        })
    }

    /// Builds the network over the tensors of `weights`, which are compared with what it asks for before anything of
    /// their size is made.
    ///
    /// # Errors
    /// Strict: keys that are missing, left over or of another shape or type, by name and with the file's. Only
    /// PyTorch's counters `num_batches_tracked`, which no forward pass here uses, may be left over.
    pub fn open(
        weights: &Weights,
        device: &Device,
        name: &str,
        build: impl Fn(VarBuilder<'static>) -> Result<M>,
    ) -> Result<Self> {
        Self::open_as(weights, device, name, str::to_string, build)
    }

    /// The same where the file has other names for what the network asks for: `names` gives the file's.
    ///
    /// # Errors
    /// Those of [`Net::open`], with the file's names.
    pub fn open_as(
        weights: &Weights,
        device: &Device,
        name: &str,
        names: impl Fn(&str) -> String + Send + Sync + 'static,
        build: impl Fn(VarBuilder<'static>) -> Result<M>,
    ) -> Result<Self> {
        let names = Arc::new(names);
        let open = || {
            let params = Params::new(name, 0, device, init::as_layers);
            let opening = Opening::new(&params.vars, weights, names.clone());
            let live = build(opening.live(device));
            // What does not fit says more than what the network makes of it.
            opening.refuse_misfits(live.is_ok())?;
            Ok(Self {
                live: live?,
                frozen: build(params.frozen())?,
                params,
            })
        };
        open().map_err(|error| weights.named(error))
    }
}

impl<M> Stateful for Net<M> {
    fn save(&self, to: &mut StateWriter<'_>) -> Result<()> {
        self.params.save(to)
    }

    fn load(&mut self, from: &mut StateReader<'_>) -> Result<()> {
        self.params.load(from)
    }

    fn params(&self) -> Option<&Params> {
        Some(&self.params)
    }
}

/// An exponential moving average of a network's weights, with a network over it.
#[derive(Debug)]
pub struct Ema<M> {
    /// The average's variables.
    pub params: Params,
    /// The network that reads them.
    pub module: M,
    decay: f64,
}

impl<M> Ema<M> {
    /// Starts as a copy of `net`. Under [`Ema::update`], average ← decay·average + (1 − decay)·weight.
    pub fn new(
        net: &Net<M>,
        decay: f64,
        build: impl Fn(VarBuilder<'static>) -> Result<M>,
    ) -> Result<Self> {
        let params = Params::average_of(&net.params);
        build(params.live())?; // makes the variables
        let ema = Self {
            module: build(params.frozen())?,
            params,
            decay,
        };
        ema.blend(&net.params, 0., |_| true)?;
        Ok(ema)
    }

    /// Moves the average of the parameters whose key is among these towards `params`; buffers are copied. Where the
    /// others have never moved, their average is what it would be anyway, and costs no time.
    pub fn update(&self, params: &Params, among: impl Fn(&str) -> bool) -> Result<()> {
        self.blend(params, self.decay, among)
    }

    fn blend(&self, params: &Params, decay: f64, among: impl Fn(&str) -> bool) -> Result<()> {
        let pairs = self.params.all().into_iter().zip(params.all());
        for ((key, average), (_, weight)) in pairs.filter(|((key, _), _)| among(key)) {
            if is_buffer(&key) || decay == 0. {
                average.set(&weight.copy()?.detach())?;
            } else {
                // In this form an average that equals its weight stays exactly where it is.
                let gap = (weight.detach() - average.detach())?;
                average.set(&(average.detach() + (gap * (1. - decay))?)?)?;
            }
        }
        Ok(())
    }
}

impl<M> Stateful for Ema<M> {
    fn save(&self, to: &mut StateWriter<'_>) -> Result<()> {
        self.params.save(to)
    }

    fn load(&mut self, from: &mut StateReader<'_>) -> Result<()> {
        self.params.load(from)
    }

    fn params(&self) -> Option<&Params> {
        Some(&self.params)
    }
}
