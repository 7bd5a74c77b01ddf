//! A paper as the runner sees it: facts, presets, and how its training is built.

use crate::algorithm::Algorithm;
use crate::context::{Context, Length};
use crate::data::{DataInfo, Side, View};
use crate::layout::Layout;
use crate::nn::vgg::Features;
use crate::sampler::Sampler;
use crate::weights::Weights;
use candle_core::{Device, Result, bail};
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::marker::PhantomData;

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
    /// Reference recordings that its training replays.
    pub recordings: &'static [Recording],
    /// Its benchmarks.
    pub bench: &'static [Bench],
}

/// A benchmark: iterations of the preset of that name on pictures that are made.
#[derive(Clone, Debug)]
pub struct Bench {
    /// Its label, as the reference's own has it.
    pub label: &'static str,
    /// The data that it is run on.
    pub data: DataInfo,
    /// Settings that are others than the preset's, as JSON.
    pub set: &'static [(&'static str, &'static str)],
}

impl Bench {
    /// The preset as it is.
    pub const fn new(label: &'static str, data: DataInfo) -> Self {
        Self {
            label,
            data,
            set: &[],
        }
    }
}

impl PaperInfo {
    /// What is published nowhere: no authors, no recordings, no benchmarks.
    pub const fn own(name: &'static str, title: &'static str, data: &'static str) -> Self {
        Self {
            name,
            title,
            authors: "",
            year: 0,
            arxiv: "",
            data,
            recordings: &[],
            bench: &[],
        }
    }

    /// Title, year and arXiv identifier, as far as it has them.
    pub fn cited(&self) -> String {
        let Self { title, arxiv, .. } = self;
        match (self.year, arxiv.is_empty()) {
            (0, _) => title.to_string(),
            (year, true) => format!("{title} ({year})"),
            (year, false) => format!("{title} ({year}, arXiv {arxiv})"),
        }
    }
}

/// How the configuration of a reference recording reads as settings. Parity alone looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Recording {
    /// `paper` in the recording's metadata.
    pub name: &'static str,
    /// What each key of its configuration means; a key may mean several things.
    pub keys: &'static [(&'static str, Means)],
    /// Settings that the recording does not name, as JSON; all others are the paper preset's.
    pub set: &'static [(&'static str, &'static str)],
}

/// What a key of a recording's configuration means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// The setting of this name.
    Setting(&'static str),
    /// Nothing that could be set: it has to have this value, as JSON.
    Always(&'static str),
    /// How the recording's first weights were made; it may be missing.
    Nothing,
    /// Channels of the pictures.
    Channels,
    /// Pictures have three channels, whatever its value.
    Colour,
    /// Height of the pictures.
    Height,
    /// Width of the pictures.
    Width,
    /// Height of pictures that are this many times smaller than those learnt from.
    LowHeight(usize),
    /// Width of pictures that are this many times smaller than those learnt from.
    LowWidth(usize),
    /// Height and width of the pictures.
    Side,
    /// How often 4x4 is doubled: the setting of this name, and height and width of the pictures, are 4·2^n.
    Doublings(&'static str),
    /// Values of a picture that is one row of grey ones.
    Pixels,
    /// Classes of the pictures.
    Classes,
}

/// Whether a paper learns from one set of pictures or from two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sides {
    /// One set.
    One,
    /// Two sets without a correspondence.
    Apart,
    /// Two sets, each picture of which has its partner in the other.
    Paired,
}

/// What a paper learns from, and what else the runner has to know of its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Learns {
    /// One set of pictures or two.
    pub sides: Sides,
    /// Whether it needs classes.
    pub labels: bool,
    /// How it sees pictures.
    pub view: View,
    /// The side that its generator is given, where it learns one way only.
    pub input: Side,
    /// Pictures in a batch.
    pub batch: usize,
    /// Whether a schedule of its depends on the length of the run.
    pub scheduled: bool,
    /// How many times smaller the pictures are that it is given, where it learns to enlarge them: they are made of the
    /// others, or lie beside them.
    pub enlarges: Option<usize>,
    /// The features of VGG19 that its loss looks at, where it does: the weights have to be named.
    pub features: Option<Features>,
}

impl Learns {
    /// From one set of pictures without classes, at rates that do not depend on the length of the run.
    pub fn pictures(view: View, batch: usize) -> Self {
        Self {
            sides: Sides::One,
            labels: false,
            view,
            input: Side::A,
            batch,
            scheduled: false,
            enlarges: None,
            features: None,
        }
    }

    /// The same from pictures with classes.
    pub fn labelled(self) -> Self {
        Self {
            labels: true,
            ..self
        }
    }

    /// The same from two sets without a correspondence.
    pub fn apart(self) -> Self {
        Self {
            sides: Sides::Apart,
            ..self
        }
    }

    /// The same from pairs, of which the picture of this side is given.
    pub fn paired(self, input: Side) -> Self {
        Self {
            sides: Sides::Paired,
            input,
            ..self
        }
    }

    /// The same from pictures and those this many times smaller.
    pub fn enlarging(self, scale: usize) -> Self {
        Self {
            enlarges: Some(scale),
            ..self
        }
    }

    /// The same with a loss that looks at features of VGG19, or at none.
    pub fn looking_at(self, features: Option<Features>) -> Self {
        Self { features, ..self }
    }

    /// The same with a schedule that depends on the length of the run, or without.
    pub fn scheduled(self, scheduled: bool) -> Self {
        Self { scheduled, ..self }
    }
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

/// What a paper crate writes, for the type of its settings: a field is a setting, its doc comment the help;
/// unknown fields are denied.
pub trait Paper: Serialize + DeserializeOwned + JsonSchema + Sized {
    /// Name, title, authors.
    const INFO: PaperInfo;
    /// The settings that make the learning rate: these alone may be changed while a run is under way, as no state
    /// depends on them.
    const RATES: &'static [&'static str] = &["lr"];
    /// The key names of its networks, by which a file that does not fit is told.
    const LAYOUTS: &'static [Layout] = &[];
    /// The settings of a preset for a data set.
    fn preset(preset: Preset, data: &DataInfo) -> Self;
    /// Iterations of a preset's run with these settings.
    fn steps(&self, preset: Preset, data: &DataInfo) -> u64;
    /// Refuses a setting out of range; where it is not written, none is.
    ///
    /// # Errors
    /// Names the key, its value and what it may be.
    fn check(&self) -> Result<()> {
        Ok(())
    }
    /// What it learns from.
    fn learns(&self) -> Learns;
    /// The numbers of iterations after which a part of a run of this length ends: a grid is made there, too.
    fn parts_end(&self, _: &Length) -> Vec<u64> {
        Vec::new()
    }
    /// What is to be said when a run with these settings starts, a sentence each: where something stands in for what
    /// the paper has.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
    /// Networks and optimizers.
    ///
    /// # Errors
    /// A setting out of range, naming the key and what it may be; data that do not fit.
    fn build(&self, cx: &Context) -> Result<Box<dyn Algorithm>>;
    /// A generator from a weights file; the layout is recognised from keys and shapes alone. Where it is not
    /// written, a generator is sampled from its run's folder only.
    ///
    /// # Errors
    /// When keys or shapes do not fit, naming the first that differ.
    fn open(_: &Weights, _: &Device) -> Result<Box<dyn Sampler>> {
        bail!(
            "weights of {} are not opened alone, name its run's folder",
            Self::INFO.name
        )
    }
}

/// What a registry holds: a [`Paper`] with the type of its settings erased.
pub trait Recipe: Sync {
    /// Name, title, authors.
    fn info(&self) -> PaperInfo;
    /// See [`Paper::RATES`].
    fn rates(&self) -> &'static [&'static str];
    /// See [`Paper::LAYOUTS`].
    fn layouts(&self) -> &'static [Layout];
    /// JSON schema of the settings.
    fn schema(&self) -> Schema;
    /// See [`Paper::preset`].
    fn preset(&self, preset: Preset, data: &DataInfo) -> Result<Value>;
    /// See [`Paper::steps`].
    fn steps(&self, config: &Value, preset: Preset, data: &DataInfo) -> Result<u64>;
    /// Reads the settings and gives them back complete; an error names the key.
    fn check(&self, config: &Value) -> Result<Value>;
    /// See [`Paper::learns`].
    fn learns(&self, config: &Value) -> Result<Learns>;
    /// See [`Paper::parts_end`].
    fn parts_end(&self, config: &Value, length: &Length) -> Result<Vec<u64>>;
    /// See [`Paper::notes`].
    fn notes(&self, config: &Value) -> Result<Vec<String>>;
    /// See [`Paper::build`].
    fn build(&self, config: &Value, cx: &Context) -> Result<Box<dyn Algorithm>>;
    /// See [`Paper::open`]; its errors name the file.
    fn open(&self, weights: &Weights, device: &Device) -> Result<Box<dyn Sampler>>;
}

/// Makes a [`Recipe`] of the settings `C` of a [`Paper`]: `pub const RECIPE: Erased<Config> = Erased::NEW;`
#[derive(Debug)]
pub struct Erased<C>(PhantomData<fn() -> C>);

impl<C> Erased<C> {
    /// The only value.
    pub const NEW: Self = Self(PhantomData);
}

impl<C: Paper> Erased<C> {
    fn read(config: &Value) -> Result<C> {
        C::deserialize(config).map_err(candle_core::Error::wrap)
    }

    fn write(config: &C) -> Result<Value> {
        serde_json::to_value(config).map_err(candle_core::Error::wrap)
    }
}

impl<C: Paper> Recipe for Erased<C> {
    fn info(&self) -> PaperInfo {
        C::INFO
    }

    fn rates(&self) -> &'static [&'static str] {
        C::RATES
    }

    fn layouts(&self) -> &'static [Layout] {
        C::LAYOUTS
    }

    fn schema(&self) -> Schema {
        schemars::schema_for!(C)
    }

    fn preset(&self, preset: Preset, data: &DataInfo) -> Result<Value> {
        Self::write(&C::preset(preset, data))
    }

    fn steps(&self, config: &Value, preset: Preset, data: &DataInfo) -> Result<u64> {
        Ok(Self::read(config)?.steps(preset, data))
    }

    fn check(&self, config: &Value) -> Result<Value> {
        let config = Self::read(config)?;
        config.check()?;
        Self::write(&config)
    }

    fn learns(&self, config: &Value) -> Result<Learns> {
        Ok(Self::read(config)?.learns())
    }

    fn parts_end(&self, config: &Value, length: &Length) -> Result<Vec<u64>> {
        Ok(Self::read(config)?.parts_end(length))
    }

    fn notes(&self, config: &Value) -> Result<Vec<String>> {
        Ok(Self::read(config)?.notes())
    }

    fn build(&self, config: &Value, cx: &Context) -> Result<Box<dyn Algorithm>> {
        Self::read(config)?.build(cx)
    }

    fn open(&self, weights: &Weights, device: &Device) -> Result<Box<dyn Sampler>> {
        C::open(weights, device).map_err(|error| weights.named(error))
    }
}
