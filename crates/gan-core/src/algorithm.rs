//! A paper as the runner sees it: its training, its generator, its configuration.

use crate::data::DataInfo;
use crate::iter::Iter;
use crate::source::{Draws, Side};
use crate::state::Stateful;
use crate::weights::Weights;
use candle_core::{Device, Result, Tensor};
use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::marker::PhantomData;

/// One paper's training, ready to run. A checkpoint is `parts()`, the source, and the iteration number.
pub trait Algorithm {
    /// One iteration as the paper defines it: every network is updated as often as its algorithm box says.
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()>;
    /// What people look at and metrics judge after `t` iterations: the generator, or its average.
    fn sampler(&self, t: u64) -> Box<dyn Sampler + '_>;
    /// All mutable state by name, as the reference names it: d g f m d_x d_y ema opt_d pool_x …
    fn parts(&mut self) -> Vec<(&'static str, &mut dyn Stateful)>;
}

/// A generator alone: what a trained run samples from and what a weights file opens.
pub trait Sampler {
    /// What [`Sampler::sample`] wants.
    fn takes(&self) -> Takes;
    /// Named columns of pictures `[n, c, h, w]` in [−1, 1], whatever range the paper trains in.
    ///
    /// `draws` serves papers that are random at sampling, too.
    fn sample(&self, input: &Probe, draws: &mut dyn Draws) -> Result<Vec<(&'static str, Tensor)>>;
}

impl<S: Sampler + ?Sized> Sampler for &S {
    fn takes(&self) -> Takes {
        (**self).takes()
    }

    fn sample(&self, input: &Probe, draws: &mut dyn Draws) -> Result<Vec<(&'static str, Tensor)>> {
        (**self).sample(input, draws)
    }
}

/// The law of a latent vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// N(0, 1)
    Normal,
    /// U[0, 1)
    Uniform,
}

/// What a generator takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Takes {
    /// A latent vector of this shape (without the batch) and law.
    Latent {
        /// `[z]` or `[z, 1, 1]`
        shape: Vec<usize>,
        /// The law of each component.
        law: Law,
    },
    /// A latent vector and a class.
    Labelled {
        /// `[z]`
        shape: Vec<usize>,
        /// The law of each component.
        law: Law,
        /// Classes are 0 to below this.
        classes: usize,
    },
    /// A picture in [−1, 1].
    Image {
        /// 1 or 3
        channels: usize,
        /// What height and width are multiples of; whoever has others pads and crops.
        multiple: usize,
    },
    /// A picture of either of two sides, in [−1, 1]; each is translated to the other side.
    Sides {
        /// 1 or 3
        channels: usize,
        /// What height and width are multiples of; whoever has others pads and crops.
        multiple: usize,
    },
}

/// What a generator is given.
#[derive(Clone, Debug)]
pub enum Probe {
    /// Latent vectors `[n, …shape]`.
    Latent(Tensor),
    /// Latent vectors `[n, …shape]` and a class for each.
    Labelled {
        /// `[n, …shape]`
        z: Tensor,
        /// `[n]` (u32)
        labels: Tensor,
    },
    /// Pictures `[n, c, h, w]` in [−1, 1].
    Image(Tensor),
    /// Pictures `[n, c, h, w]` in [−1, 1] of two sides.
    Sides {
        /// Of the domain X.
        x: Tensor,
        /// Of the domain Y, as many.
        y: Tensor,
    },
    /// Pictures `[n, c, h, w]` in [−1, 1] of one side, for a generator that takes either.
    Side(Side, Tensor),
}

impl Probe {
    /// Where its tensors are.
    pub fn device(&self) -> &Device {
        self.first().device()
    }

    /// How many pictures it asks for.
    ///
    /// # Errors
    /// A tensor without dimensions.
    pub fn count(&self) -> Result<usize> {
        self.first().dim(0)
    }

    /// Rows `from` to `from + n` of it.
    ///
    /// # Errors
    /// When it has fewer.
    pub fn rows(&self, from: usize, n: usize) -> Result<Self> {
        let rows = |x: &Tensor| x.narrow(0, from, n)?.contiguous();
        Ok(match self {
            Probe::Latent(z) => Probe::Latent(rows(z)?),
            Probe::Labelled { z, labels } => Probe::Labelled {
                z: rows(z)?,
                labels: rows(labels)?,
            },
            Probe::Image(x) => Probe::Image(rows(x)?),
            Probe::Sides { x, y } => Probe::Sides {
                x: rows(x)?,
                y: rows(y)?,
            },
            Probe::Side(side, x) => Probe::Side(*side, rows(x)?),
        })
    }

    fn first(&self) -> &Tensor {
        match self {
            Probe::Latent(x)
            | Probe::Image(x)
            | Probe::Side(_, x)
            | Probe::Labelled { z: x, .. }
            | Probe::Sides { x, .. } => x,
        }
    }
}

/// What a paper is and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct PaperInfo {
    /// The name on the command line.
    pub name: &'static str,
    /// The paper's title.
    pub title: &'static str,
    /// Its authors, as cited.
    pub authors: &'static str,
    /// Year of publication.
    pub year: u32,
    /// arXiv identifier.
    pub arxiv: &'static str,
    /// Name of the data set that it learns from where none is named.
    pub data: &'static str,
    /// Reference recordings (`paper` in their metadata) that its training replays.
    pub fixtures: &'static [&'static str],
    /// Labels of its benchmarks, as the reference's own has them, and the data each is run on.
    pub bench: &'static [(&'static str, DataInfo)],
}

/// What kind of data a paper learns from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Pictures.
    Images,
    /// Pictures with classes.
    Labelled,
    /// Two sets of pictures without a correspondence.
    Unpaired,
    /// Two sets of pictures, each of which has its partner in the other.
    Paired,
}

/// A named choice of settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Tiny networks and few iterations: for tests.
    Smoke,
    /// Learns visibly on two cores in minutes.
    Demo,
    /// The paper's own setting.
    Paper,
    /// The reference benchmark's setting.
    Bench,
}

impl Preset {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Preset::Smoke => "smoke",
            Preset::Demo => "demo",
            Preset::Paper => "paper",
            Preset::Bench => "bench",
        }
    }
}

/// How long a run is and how often it shows itself, where the command line does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Iterations of the whole run.
    pub steps: u64,
    /// Iterations between two grids of samples.
    pub sample_every: u64,
}

impl Pace {
    /// A run of this many iterations, with forty grids.
    pub fn of(iterations: u64) -> Self {
        Self {
            steps: iterations,
            sample_every: iterations.div_ceil(40),
        }
    }
}

/// What `build` may use besides the configuration.
#[derive(Clone, Debug)]
pub struct Context {
    /// Where the networks live.
    pub device: Device,
    /// Seed of the initial weights.
    pub seed: u64,
    /// The data's channels, size, classes and length.
    pub data: DataInfo,
}

/// What a paper crate writes: typed, with its own configuration.
pub trait Paper {
    /// Denies unknown fields; each field's doc comment is its help.
    type Config: Serialize + DeserializeOwned + JsonSchema;
    /// Name, title, authors.
    const INFO: PaperInfo;
    /// What it learns from.
    fn task(config: &Self::Config) -> Task;
    /// The settings of a preset for a data set.
    fn preset(preset: Preset, data: &DataInfo) -> Self::Config;
    /// Refuses a setting out of range.
    ///
    /// # Errors
    /// Names the key, its value and what it may be.
    fn check(_: &Self::Config) -> Result<()> {
        Ok(())
    }
    /// Length of the run and distance between grids.
    fn pace(config: &Self::Config, data: &DataInfo) -> Pace;
    /// The configuration of a reference recording and the data it was made with.
    ///
    /// # Errors
    /// When a key has a value that this implementation does not have; only parity calls it.
    fn reference(fixture: &str, config: &Value) -> Result<(Self::Config, DataInfo)>;
    /// Networks and optimizers.
    ///
    /// # Errors
    /// A setting out of range, naming the key and what it may be.
    fn build(config: &Self::Config, cx: &Context) -> Result<Box<dyn Algorithm>>;
    /// A generator from a weights file; the layout is recognised from keys and shapes alone.
    ///
    /// # Errors
    /// When keys or shapes do not fit, naming the first that differ.
    fn open(weights: &Weights, device: &Device) -> Result<Box<dyn Sampler>>;
}

/// What a registry holds: a [`Paper`] with the type of its configuration erased.
pub trait Recipe: Sync {
    /// Name, title, authors.
    fn info(&self) -> PaperInfo;
    /// JSON schema of the configuration.
    fn schema(&self) -> Schema;
    /// See [`Paper::preset`].
    fn preset(&self, preset: Preset, data: &DataInfo) -> Result<Value>;
    /// Reads the configuration and gives it back complete; an error names the key.
    fn check(&self, config: &Value) -> Result<Value>;
    /// See [`Paper::task`].
    fn task(&self, config: &Value) -> Result<Task>;
    /// See [`Paper::pace`].
    fn pace(&self, config: &Value, data: &DataInfo) -> Result<Pace>;
    /// See [`Paper::reference`].
    fn reference(&self, fixture: &str, config: &Value) -> Result<(Value, DataInfo)>;
    /// See [`Paper::build`].
    fn build(&self, config: &Value, cx: &Context) -> Result<Box<dyn Algorithm>>;
    /// See [`Paper::open`].
    fn open(&self, weights: &Weights, device: &Device) -> Result<Box<dyn Sampler>>;
}

/// Makes a [`Recipe`] of a [`Paper`] `P`: `pub const RECIPE: Erased<P> = Erased::NEW;`
#[derive(Debug)]
pub struct Erased<P>(PhantomData<fn() -> P>);

impl<P> Erased<P> {
    /// The only value.
    pub const NEW: Self = Self(PhantomData);
}

impl<P: Paper> Erased<P> {
    fn read(config: &Value) -> Result<P::Config> {
        P::Config::deserialize(config).map_err(candle_core::Error::wrap)
    }

    fn write(config: &P::Config) -> Result<Value> {
        serde_json::to_value(config).map_err(candle_core::Error::wrap)
    }
}

impl<P: Paper> Recipe for Erased<P> {
    fn info(&self) -> PaperInfo {
        P::INFO
    }

    fn schema(&self) -> Schema {
        schemars::schema_for!(P::Config)
    }

    fn preset(&self, preset: Preset, data: &DataInfo) -> Result<Value> {
        Self::write(&P::preset(preset, data))
    }

    fn check(&self, config: &Value) -> Result<Value> {
        let config = Self::read(config)?;
        P::check(&config)?;
        Self::write(&config)
    }

    fn task(&self, config: &Value) -> Result<Task> {
        Ok(P::task(&Self::read(config)?))
    }

    fn pace(&self, config: &Value, data: &DataInfo) -> Result<Pace> {
        Ok(P::pace(&Self::read(config)?, data))
    }

    fn reference(&self, fixture: &str, config: &Value) -> Result<(Value, DataInfo)> {
        let (config, data) = P::reference(fixture, config)?;
        Ok((Self::write(&config)?, data))
    }

    fn build(&self, config: &Value, cx: &Context) -> Result<Box<dyn Algorithm>> {
        P::build(&Self::read(config)?, cx)
    }

    fn open(&self, weights: &Weights, device: &Device) -> Result<Box<dyn Sampler>> {
        P::open(weights, device)
    }
}
