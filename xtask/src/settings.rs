//! How a run's settings come about: preset, config file, `--set`; and how they are written down.

use crate::Usage;
use anyhow::{Context, Result, bail};
use gan_core::data::Small;
use gan_core::{DataInfo, FileError, Header, Length, Preset, Recipe, brief, cut};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// All that `train` needs to do the same again: what `config.toml` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Version of the file; 1 where it does not say.
    #[serde(default = "first_format")]
    pub format: u32,
    /// The paper's name.
    pub paper: String,
    /// The preset that the paper's settings started from.
    pub preset: String,
    /// Name or folder of the data set.
    pub data: String,
    /// The weights of VGG19, for a loss that looks at its features.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vgg: Option<Vgg>,
    /// The networks that start from saved weights, and which these are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub init: BTreeMap<String, Init>,
    /// Seed of weights, noise and order.
    pub seed: u64,
    /// What becomes of pictures that are too small.
    #[serde(default)]
    pub small: Small,
    /// Iterations of the whole run.
    pub steps: u64,
    /// What schedules are reckoned from, where that is not the whole run: it was made longer and its rates
    /// stay where they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Length>,
    /// Iterations between two records of the scalars.
    pub log_every: u64,
    /// Iterations between two grids.
    pub sample_every: u64,
    /// Iterations between two checkpoints.
    pub save_every: u64,
    /// The newest checkpoints to keep, and as many of the run before; 0: all.
    pub keep: u32,
    /// Settings that were changed on the way, in the order in which that was done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// The paper's own settings, complete.
    pub config: Value,
    /// What the run was made with; for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_with: Option<MadeWith>,
}

/// The weights of VGG19 that a run's loss looks through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vgg {
    /// Their file.
    pub file: String,
    /// SHA-256 of the weights that are used, whatever the file's container.
    pub sha256: String,
}

/// The weights that a network starts from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Init {
    /// Their file.
    pub file: String,
    /// SHA-256 of the weights, whatever the file's container.
    pub sha256: String,
}

/// Settings that were changed while a run was under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Iterations that were done before.
    pub from: u64,
    /// The settings and what they are from then on.
    pub set: Map<String, Value>,
}

/// The version of `config.toml` that is written.
pub const FORMAT: u32 = 2;

fn first_format() -> u32 {
    1
}

/// Brings a paper's settings of before format 2 into today's form: the length of the run was one of them, a
/// decay was a number of iterations, nothing but pairs and sides was mirrored. Gives the length that
/// schedules were reckoned from, where there was one.
pub fn modernise(recipe: &dyn Recipe, config: &mut Value) -> Option<u64> {
    let known = keys(recipe);
    let has = |key: &str| known.iter().any(|(known, _)| known == key);
    let table = config.as_object_mut()?;
    let length = table.remove("iterations").and_then(|n| n.as_u64());
    table.remove("epochs");
    if let (Some(decay), Some(n)) = (table.get("decay").and_then(Value::as_u64), length) {
        table.insert("decay".into(), (decay as f64 / n.max(1) as f64).into());
    }
    if has("flip") && !table.contains_key("flip") {
        table.insert("flip".into(), false.into());
    }
    length
}

/// Versions and machine of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MadeWith {
    /// Version of this program.
    pub version: String,
    /// The commit it was built from, when git knows it.
    pub commit: String,
    /// Device and threads.
    pub device: String,
}

impl Settings {
    /// Reads a `config.toml`.
    ///
    /// # Errors
    /// A missing file, a syntax error with its line, an unknown or missing key.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| FileError::reading(path, &e))?;
        let format = toml::from_str::<toml::Table>(&text)
            .ok()
            .and_then(|table| table.get("format")?.as_integer());
        if let Some(format) = format.filter(|&format| format > i64::from(FORMAT)) {
            bail!(FileError::new(
                path,
                format!(
                    "was written by a newer version of this program (format is {format}, this one reads 1 and \
                     {FORMAT})"
                ),
                "use that version, or a newer one",
            ))
        }
        let settings = toml::from_str(&text).map_err(|e| {
            let before = e.span().and_then(|span| text.get(..span.start));
            let line = before.map_or(0, |before| before.matches('\n').count());
            let written = text.lines().nth(line).filter(|line| !line.starts_with('#'));
            let key = written.and_then(|line| line.split_once('='));
            let key = key.map_or(String::new(), |(key, _)| format!(", {}", brief(key.trim())));
            FileError::new(
                path,
                format!(
                    "line {}{key}: {}",
                    line + 1,
                    cut(crate::first_line(e.message()), 160)
                ),
                "compare it with the config.toml of another run",
            )
        })?;
        Ok(settings)
    }

    /// The settings that a checkpoint's run had as far as its networks depend on them.
    ///
    /// # Errors
    /// As [`Settings::complete`].
    pub fn of(recipe: &dyn Recipe, header: &Header) -> Result<Self> {
        let length = header.length.unwrap_or(Length::of(header.iteration));
        let settings = Self {
            format: if header.is_old() { 1 } else { FORMAT },
            seed: header.seed,
            schedule: header.length,
            ..Self::bare(recipe, header.config.clone(), length.steps)
        };
        settings.complete(recipe)
    }

    /// Settings of a run of this many iterations that nobody looks at and that saves nothing.
    pub fn bare(recipe: &dyn Recipe, config: Value, steps: u64) -> Self {
        Self {
            format: FORMAT,
            paper: recipe.info().name.into(),
            preset: String::new(),
            data: recipe.info().data.into(),
            vgg: None,
            init: BTreeMap::new(),
            small: Small::default(),
            seed: 1,
            steps,
            schedule: None,
            log_every: 0,
            sample_every: 0,
            save_every: 0,
            keep: 1,
            changes: Vec::new(),
            config,
            made_with: None,
        }
    }

    /// The paper's settings that the iteration with this number is done with.
    pub fn config_at(&self, t: u64) -> Value {
        let mut config = self.config.clone();
        for change in self.changes.iter().filter(|change| change.from <= t) {
            for (key, value) in &change.set {
                config[key.as_str()] = value.clone();
            }
        }
        config
    }

    /// From which iteration on the paper's settings are others than before, and all of them as they are then.
    pub fn changed(&self) -> Vec<(u64, Value)> {
        let from = self.changes.iter().map(|change| change.from);
        from.map(|t| (t, self.config_at(t))).collect()
    }

    /// What schedules are reckoned from.
    pub fn length(&self) -> Length {
        self.schedule.unwrap_or(Length::of(self.steps))
    }

    /// Brings settings of an earlier version into today's form, and checks the paper's own.
    ///
    /// # Errors
    /// A version that is not known; a setting that is unknown, missing or out of range.
    pub fn complete(mut self, recipe: &dyn Recipe) -> Result<Self> {
        match self.format {
            FORMAT => {}
            1 => {
                let length = modernise(recipe, &mut self.config);
                self.schedule = length.filter(|n| *n != self.steps).map(Length::of);
                self.format = FORMAT;
            }
            other => bail!("format {other} is not known, expected 1 or {FORMAT}"),
        }
        self.config = match recipe.check(&self.config) {
            Ok(config) => config,
            Err(error) => {
                let said = crate::one_line(&error.into());
                match blamed(recipe, &self.config).filter(|key| !said.contains(key.as_str())) {
                    Some(key) => bail!("{key}: {said}"),
                    None => bail!(said),
                }
            }
        };
        for Change { from, set } in &self.changes {
            if let Some(key) = set
                .keys()
                .find(|key| !recipe.rates().contains(&key.as_str()))
            {
                bail!("changes: {key} cannot change on the way")
            }
            if let Err(error) = recipe.check(&self.config_at(*from)) {
                bail!("changes from {from} on: {}", crate::one_line(&error.into()))
            }
        }
        Ok(self)
    }

    /// The settings as TOML, each of the paper's keys under its own description.
    pub fn to_toml(&self, recipe: &dyn Recipe) -> Result<String> {
        let mut text = String::from(
            "# The complete settings of this run. `train PAPER --config FILE` repeats it.\n",
        );
        let bare = Self {
            config: Value::Null,
            made_with: None,
            ..self.clone()
        };
        let Value::Object(entries) = serde_json::to_value(&bare)? else {
            bail!("settings are not a table")
        };
        // serde_json sorts keys; the order of the fields reads better.
        for key in [
            "format",
            "paper",
            "preset",
            "data",
            "vgg",
            "init",
            "small",
            "seed",
            "steps",
            "schedule",
            "log_every",
            "sample_every",
            "save_every",
            "keep",
            "changes",
        ] {
            if let Some(value) = entries.get(key) {
                if key == "changes" {
                    writeln!(
                        text,
                        "# Changed on the way, after the iterations that `from` says."
                    )?;
                }
                writeln!(text, "{key} = {}", toml_value(value)?)?;
            }
        }
        writeln!(text, "\n[config]")?;
        for (key, about) in keys(recipe) {
            if let Some(value) = self.config.get(&key).filter(|value| !value.is_null()) {
                writeln!(text, "# {about}\n{key} = {}", toml_value(value)?)?;
            }
        }
        if let Some(made_with) = &self.made_with {
            writeln!(
                text,
                "\n[made_with]\n{}",
                toml::to_string(made_with)?.trim_end()
            )?;
        }
        Ok(text)
    }
}

/// The setting that is at fault where a paper refuses its settings: the first that it refuses among others that are
/// known to be good. What is of the wrong type is refused without a name.
fn blamed(recipe: &dyn Recipe, config: &Value) -> Option<String> {
    let data = DataInfo::square(28 * 28).ok()?;
    let good = recipe.preset(Preset::Smoke, &data).ok()?;
    let refused = |(key, value): &(&String, &Value)| {
        let mut one = good.clone();
        one[key.as_str()] = (*value).clone();
        recipe.check(&one).is_err()
    };
    let (key, _) = config.as_object()?.iter().find(refused)?;
    Some(key.clone())
}

fn toml_value(value: &Value) -> Result<String> {
    Ok(toml::Value::try_from(value)?.to_string())
}

/// Keys of a paper's settings with their descriptions, in the order of the struct's fields.
pub fn keys(recipe: &dyn Recipe) -> Vec<(String, String)> {
    let schema = recipe.schema();
    let Some(Value::Object(properties)) = schema.get("properties") else {
        return Vec::new();
    };
    properties
        .iter()
        .map(|(key, property)| {
            let about = property.get("description").and_then(Value::as_str);
            (key.clone(), about.unwrap_or_default().replace('\n', " "))
        })
        .collect()
}

/// The paper of that name.
///
/// # Errors
/// An unknown name, with the nearest known one.
pub fn paper<'a>(papers: &[&'a dyn Recipe], name: &str) -> Result<&'a dyn Recipe> {
    match papers.iter().find(|recipe| recipe.info().name == name) {
        Some(recipe) => Ok(*recipe),
        None => {
            let names: Vec<_> = papers.iter().map(|recipe| recipe.info().name).collect();
            bail!(Usage(format!(
                "no paper is called {name:?}; {}",
                nearest(name, &names)
            )))
        }
    }
}

/// A suggestion: the nearest of the known names, or all of them.
pub fn nearest(name: &str, known: &[&str]) -> String {
    let best = known
        .iter()
        .map(|candidate| {
            (
                strsim::normalized_damerau_levenshtein(name, candidate),
                candidate,
            )
        })
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((similarity, candidate)) if similarity >= 0.5 => {
            format!("did you mean {candidate:?}?")
        }
        _ => format!("known: {}", known.join(" ")),
    }
}

/// Applies `--set key=value` to a paper's settings and checks the result.
///
/// # Errors
/// A word without `=`, an unknown key (with the nearest known one), a value of the wrong type or out of range. All
/// words are applied before any is judged, as one may need another.
pub fn apply(recipe: &dyn Recipe, config: &Value, set: &[String]) -> Result<Value> {
    let mut applied = vec![config.clone()];
    for word in set {
        let mut config = applied.last().cloned().unwrap_or_default();
        let (key, value) = setting(recipe, word)?;
        config[key] = value;
        applied.push(config);
    }
    let said = |config: &Value| {
        let error = recipe.check(config).err()?;
        Some(crate::first_line(&error.to_string()).to_string())
    };
    let whole = applied.last().unwrap_or(config);
    let Some(problem) = said(whole) else {
        return recipe.check(whole).context("the settings of this paper");
    };
    // The first word from which on it is so is to blame.
    let mut words = set.iter().zip(applied.iter().skip(1));
    match words.find(|(_, config)| said(config).as_ref() == Some(&problem)) {
        Some((word, _)) => bail!(Usage(format!("--set {word}: {problem}"))),
        _ => recipe.check(whole).context("the settings of this paper"),
    }
}

/// Key and value of a word `key=value`.
fn setting<'a>(recipe: &dyn Recipe, word: &'a str) -> Result<(&'a str, Value)> {
    let keys = keys(recipe);
    let Some((key, text)) = word.split_once('=') else {
        bail!(Usage(format!("--set {word}: expected KEY=VALUE")))
    };
    let key = key.trim();
    if !keys.iter().any(|(known, _)| known == key) {
        let known: Vec<_> = keys.iter().map(|(known, _)| known.as_str()).collect();
        bail!(Usage(format!(
            "--set {word}: {} has no setting {key:?}; {}",
            recipe.info().name,
            nearest(key, &known)
        )))
    }
    // What is not TOML is a word: `--set opt=adam` needs no quotes.
    let value = match toml::from_str::<toml::Table>(&format!("value = {text}")) {
        Ok(mut table) => table
            .remove("value")
            .map(serde_json::to_value)
            .transpose()?,
        Err(_) => Some(Value::String(text.trim().to_string())),
    };
    // JSON, in which settings are kept, has neither infinity nor NaN.
    if value.as_ref().is_some_and(Value::is_null) {
        bail!(Usage(format!(
            "--set {word}: {} is not finite, expected a number",
            text.trim()
        )))
    }
    Ok((key, value.unwrap_or_default()))
}
