//! `parity`: replays a reference recording and compares losses, gradients and final weights with it.
//!
//! A recording holds initial weights (`init.NET.KEY`), every batch, noise and choice in the order of
//! use (`draw.NNNN.ROLE`), losses (`loss.T.UPDATE.TERM`), gradients (`grad.T.UPDATE.NET.KEY`) and the
//! state after its iterations (`final.NET.KEY`). The run takes its draws from there, so an algorithm
//! needs no path of its own for this. A group's error is max|a−b| / max|b| over all its tensors.

mod layers;
mod metrics;
mod optim;
mod reading;
mod recorded;
mod resize;

use crate::cli::ParityArgs;
use crate::process;
use anyhow::{Context as _, Result, anyhow, bail};
use candle_core::{DType, Device, Tensor};
use gan_core::{
    Context, FileError, Iter, Preset, Recipe, Seen, Update, Weights, brief, checkpoint, cut,
};
use recorded::Recorded;
use serde::Deserialize;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

const FORMAT: &str = "gan-reference/1";

/// One group of tensors of a recording.
#[derive(Debug)]
pub struct Group {
    /// `loss.d`, `grad.g`, `final.d`, `buffers.g`, or a tensor's name.
    pub name: String,
    /// max|a−b| / max|b|
    pub error: f64,
    /// What is accepted.
    pub limit: f64,
}

/// How a recording compares.
#[derive(Debug)]
pub struct Report {
    /// What was replayed.
    pub name: String,
    /// All groups, sorted by name.
    pub groups: Vec<Group>,
    /// Parts of the recording whose code does not exist yet.
    pub later: Vec<String>,
}

impl Report {
    /// Groups whose error is over the limit.
    pub fn failed(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(|group| !within(group))
    }
}

fn within(group: &Group) -> bool {
    group.error <= group.limit // false for NaN
}

/// A recording that this version has no code for.
#[derive(Debug)]
pub struct NotYet(String);

impl std::fmt::Display for NotYet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotYet {}

/// Runs `parity`; gives the exit code.
pub fn parity(papers: &[&dyn Recipe], args: &ParityArgs) -> Result<u8> {
    let device = process::device(&args.device)?;
    let mut code = 0;
    for file in &args.files {
        let report = match check(papers, file, &device) {
            Ok(report) => report,
            Err(error) => match error.downcast_ref::<NotYet>() {
                Some(not_yet) => {
                    say!("{}: {not_yet}", file.display());
                    code = if code == 1 { 1 } else { 2 };
                    continue;
                }
                None => return Err(error),
            },
        };
        say!("{}: {}", file.display(), report.name);
        for group in &report.groups {
            let verdict = if within(group) { "ok" } else { "OVER" };
            say!(
                "  {:28} error {:.1e}  limit {:.1e}  {verdict}",
                group.name,
                group.error,
                group.limit
            );
        }
        if !report.later.is_empty() {
            say!("  cannot be replayed yet: {}", report.later.join(" "));
            code = if code == 1 { 1 } else { 2 };
        }
        if report.failed().next().is_some() {
            code = 1;
        }
    }
    Ok(code)
}

/// Replays one recording.
///
/// # Errors
/// A file that is not a recording, or one of a paper that is not known; a run that asks for other
/// draws than were recorded, or in another order.
pub fn check(papers: &[&dyn Recipe], file: &Path, device: &Device) -> Result<Report> {
    let recording = Recording::read(file)?;
    replayed(papers, &recording, device).with_context(|| file.display().to_string())
}

fn replayed(papers: &[&dyn Recipe], recording: &Recording, device: &Device) -> Result<Report> {
    match recording.name.as_str() {
        "optim" | "optim-decay" => return optim::replay(recording, device),
        "layers" => return layers::replay(recording, device),
        "metrics" => return metrics::replay(recording),
        "resize" => return resize::replay(recording),
        _ => {}
    }
    let paper: String = recording.meta("paper")?;
    for recipe in papers {
        if let Some(reading) = recipe.info().recordings.iter().find(|r| r.name == paper) {
            return replay(*recipe, reading, recording, device);
        }
    }
    bail!(NotYet(format!(
        "recordings of {} cannot be replayed yet",
        brief(&paper)
    )))
}

struct Recording {
    path: PathBuf,
    name: String,
    tensors: BTreeMap<String, Tensor>,
    metadata: HashMap<String, String>,
}

impl Recording {
    fn read(path: &Path) -> Result<Self> {
        let fault = |problem: &str| FileError::new(path, problem, "record it again");
        let bytes = gan_core::whole::read_regular(path)?;
        let unreadable = || fault("is not a safetensors file, or is cut short");
        let (_, metadata) =
            safetensors::SafeTensors::read_metadata(&bytes).map_err(|_| unreadable())?;
        let metadata = metadata.metadata().clone().unwrap_or_default();
        if metadata.get("format").map(String::as_str) != Some(FORMAT) {
            bail!(fault(&format!("is no recording of the format {FORMAT}")))
        }
        let name = metadata
            .get("name")
            .cloned()
            .ok_or_else(|| fault("has no name"))?;
        let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu);
        Ok(Self {
            path: path.to_path_buf(),
            name,
            tensors: tensors.map_err(|_| unreadable())?.into_iter().collect(),
            metadata,
        })
    }

    /// An entry of the metadata; all but plain strings are JSON.
    fn meta<T: for<'de> Deserialize<'de>>(&self, key: &str) -> Result<T> {
        let text = self
            .metadata
            .get(key)
            .with_context(|| format!("the recording lacks {key}"))?;
        let read = serde_json::from_str(text)
            .or_else(|_| serde_json::from_value(Value::String(text.clone())));
        // What serde says quotes values of any length.
        read.map_err(|e| anyhow!("the recording's {key}: {}", cut(&e.to_string(), 160)))
    }

    fn tensor(&self, key: &str) -> Result<&Tensor> {
        let found = self.tensors.get(key);
        found.with_context(|| format!("the recording lacks {}", brief(key)))
    }

    fn with_prefix(&self, prefix: &str) -> impl Iterator<Item = (&str, &Tensor)> {
        let start = prefix.to_string();
        self.tensors
            .iter()
            .filter_map(move |(key, t)| Some((key.strip_prefix(&start)?, t)))
    }
}

/// What a replayed run did.
#[derive(Default)]
struct Tape {
    events: Vec<String>,
    values: BTreeMap<String, Tensor>,
}

/// What a feature network's weights are called among the first weights.
const FEATURES: &str = "init.vgg.";

fn replay(
    recipe: &dyn Recipe,
    reading: &gan_core::Recording,
    recording: &Recording,
    device: &Device,
) -> Result<Report> {
    let config = recording.meta("config")?;
    let (config, data) = reading::settings(recipe, reading, &config)?;
    let steps = recipe.steps(&config, Preset::Paper, &data)?;
    let mut cx = Context::new(device, 1, data, steps);
    let features: BTreeMap<String, Tensor> = recording
        .with_prefix(FEATURES)
        .map(|(key, tensor)| (key.to_string(), tensor.clone()))
        .collect();
    if !features.is_empty() {
        cx.features = Some(Arc::new(Weights::from_tensors(&recording.path, features)));
    }
    // The recorded weights say how large the networks are, before the settings do.
    let shapes = recording.with_prefix("init.");
    let shapes = shapes.map(|(key, tensor)| (key.to_string(), tensor.dims().to_vec()));
    cx.shapes = Some(Arc::new(shapes.collect()));
    let mut algorithm = recipe.build(&config, &cx)?;
    let tape = Rc::new(RefCell::new(Tape::default()));
    let draws = recording
        .with_prefix("draw.")
        .map(|(key, t)| (key.to_string(), t.clone()));
    let mut source = Recorded::new(draws.collect(), device, tape.clone());
    let mut state = checkpoint::state(&mut *algorithm, &source)?;
    // What is not recorded stays as it is: a variable is not set to itself.
    for value in state.values_mut() {
        *value = value.copy()?.detach();
    }
    let features = FEATURES.trim_start_matches("init.");
    let first = recording
        .with_prefix("init.")
        .filter(|(key, _)| !key.starts_with(features));
    for (key, value) in first {
        if !state.contains_key(key) {
            bail!(
                "the recording starts with {}, this paper has no such weight",
                brief(key)
            )
        }
        state.insert(key.to_string(), value.clone());
        // An average starts as a copy of G, and is not recorded before the end.
        if let Some(average) = key.strip_prefix("g.").map(|key| format!("ema.{key}"))
            && state.contains_key(&average)
        {
            state.insert(average, value.clone());
        }
    }
    checkpoint::restore(&state, &mut *algorithm, Some(&mut source))?;
    let mut seen = Seen::default();
    for t in 0..recording.meta("iterations")? {
        let mut recorder = |update: &Update<'_>| {
            let mut tape = tape.borrow_mut();
            tape.events.push(format!("update.{t}.{}", update.name));
            for (term, value) in update.terms {
                tape.values
                    .insert(format!("loss.{t}.{}.{term}", update.name), value.copy()?);
            }
            for (key, gradient) in update.gradients {
                if let Some(gradient) = gradient {
                    tape.values
                        .insert(format!("grad.{t}.{}.{key}", update.name), gradient.copy()?);
                }
            }
            Ok(())
        };
        let mut it = Iter::new(t, &mut source, &mut seen).recorded(&mut recorder);
        algorithm.step(&mut it)?;
    }
    for (key, value) in checkpoint::state(&mut *algorithm, &source)? {
        tape.borrow_mut()
            .values
            .insert(format!("final.{key}"), value);
    }
    let tape = tape.borrow();
    let events: Vec<String> = recording.meta("events")?;
    if let Some(i) =
        (0..events.len().max(tape.events.len())).find(|&i| events.get(i) != tape.events.get(i))
    {
        let none = "nothing".to_string();
        let found = |events: &[String]| brief(events.get(i).unwrap_or(&none));
        bail!(
            "event {i} of the recording is {}, this run did {}",
            found(&events),
            found(&tape.events)
        )
    }
    compare(recording, &tape.values, group)
}

/// The group in whose maximum a tensor is measured.
fn group(key: &str) -> Option<String> {
    let parts: Vec<&str> = key.split('.').collect();
    let buffer = key.ends_with("running_mean") || key.ends_with("running_var");
    match parts[..] {
        ["loss", _, _, term] => Some(format!("loss.{term}")),
        ["grad", _, _, net, ..] => Some(format!("grad.{net}")),
        ["final", net, ..] if buffer => Some(format!("buffers.{net}")),
        ["final", net, ..] => Some(format!("final.{net}")),
        _ => None,
    }
}

fn compare(
    recording: &Recording,
    got: &BTreeMap<String, Tensor>,
    group: impl Fn(&str) -> Option<String>,
) -> Result<Report> {
    let limits: BTreeMap<String, f64> = recording.meta("limit")?;
    let ignored: Vec<String> = match recording.metadata.contains_key("ignore") {
        true => recording.meta("ignore")?,
        false => Vec::new(),
    };
    let mut sums: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for (key, want) in &recording.tensors {
        let Some(group) = group(key) else { continue };
        let skip = if key.starts_with("grad.") { 3 } else { 1 };
        let weight = key.split('.').skip(skip).collect::<Vec<_>>().join(".");
        if ignored.contains(&weight) {
            continue;
        }
        let Some(value) = got.get(key) else {
            bail!("this run has no {}", brief(key))
        };
        if value.dims() != want.dims() {
            bail!("{key} is {:?}, recorded {:?}", value.dims(), want.dims())
        }
        let (value, want) = (numbers(value)?, numbers(want)?);
        let (difference, size) = sums.entry(group).or_default();
        for (a, b) in value.iter().zip(&want) {
            // NaN must not get lost in a maximum.
            let d = (a - b).abs();
            *difference = if d.is_nan() {
                f64::INFINITY
            } else {
                difference.max(d)
            };
            *size = size.max(b.abs());
        }
    }
    let groups = sums.into_iter().map(|(name, (difference, size))| {
        let limit = limits.get(&name).copied();
        Ok(Group {
            error: if size > 0. {
                difference / size
            } else {
                difference
            },
            limit: limit
                .with_context(|| format!("the recording has no limit for {}", brief(&name)))?,
            name,
        })
    });
    Ok(Report {
        name: recording.name.clone(),
        groups: groups.collect::<Result<_>>()?,
        later: Vec::new(),
    })
}

fn numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    let tensor = tensor.to_device(&Device::Cpu)?.flatten_all()?;
    Ok(tensor.to_dtype(DType::F64)?.to_vec1()?)
}
