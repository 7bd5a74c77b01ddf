//! A comparison as it is written down before its first training: each variant's settings and length, and who asked.

use super::calibrate::Calibrated;
use super::variant::Variant;
use crate::cli::{Cli, Command, CompareArgs, TrainArgs};
use crate::observers::thousands;
use crate::samedata::absolute;
use crate::settings::{self, Settings, keys};
use crate::start::{Cadence, Start, fresh};
use crate::{Usage, process};
use anyhow::{Context as _, Result, bail};
use candle_core::Device;
use clap::Parser;
use gan_core::{FileError, Recipe};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// The version of `compare.json` that is written.
const FORMAT: u32 = 1;
/// The share of a run's minutes that its iterations get; pictures, checkpoints, start and end have the rest.
const ITERATIONS: f64 = 0.9;

/// What each run is given.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Budget {
    /// Minutes of time.
    Minutes(f64),
    /// Iterations.
    Steps(u64),
    /// Training pictures shown.
    Images(u64),
}

impl Budget {
    /// What the command line asks for.
    pub fn of(args: &CompareArgs) -> Self {
        match (args.steps, args.images) {
            (Some(steps), _) => Self::Steps(steps),
            (None, Some(images)) => Self::Images(images),
            (None, None) => Self::Minutes(args.minutes.unwrap_or(2.)),
        }
    }

    /// As an option of the command line.
    pub fn option(self) -> String {
        match self {
            Self::Minutes(m) => format!("--minutes {m}"),
            Self::Steps(n) => format!("--steps {n}"),
            Self::Images(n) => format!("--images {n}"),
        }
    }

    /// In words, of each run.
    pub fn words(self) -> String {
        let s = |n: u64| if n == 1 { "" } else { "s" };
        match self {
            Self::Minutes(m) => {
                format!("{m} minute{} a run", if m == 1. { "" } else { "s" })
            }
            Self::Steps(n) => format!("{} iteration{} a run", thousands(n), s(n)),
            Self::Images(n) => format!("{} training picture{} a run", thousands(n), s(n)),
        }
    }

    /// The iterations of a variant that it comes to; none where it is shorter than one.
    fn steps(self, cost: Option<&Calibrated>) -> Option<u64> {
        let steps = match (self, cost) {
            (Self::Steps(n), _) => n as f64,
            (Self::Minutes(m), Some(cost)) => (m * 60. * ITERATIONS / cost.seconds).floor(),
            (Self::Images(n), Some(cost)) => (n as f64 / cost.shown).floor(),
            (_, None) => return None,
        };
        (1. ..1e15).contains(&steps).then_some(steps as u64)
    }
}

/// A comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Version of the file.
    pub format: u32,
    /// What was asked for: a comparison goes on where this is the same.
    pub asked: Asked,
    /// Names, in the order of the command line.
    pub variants: Vec<Planned>,
    /// What was done so that the variants can be compared.
    pub notes: Vec<String>,
    /// Device and threads.
    pub machine: String,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The variants' words.
    pub variants: Vec<String>,
    /// What each run is given.
    pub budget: Budget,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// The preset of variants that name none.
    pub preset: String,
    /// The data, where they were named.
    pub data: Option<String>,
    /// Pictures measured, where it was said.
    pub n: Option<u32>,
}

/// One variant, resolved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planned {
    /// As it was asked for.
    pub name: String,
    /// Words for `train`, but for seed and folder.
    pub words: Vec<String>,
    /// Its settings, with the first of the seeds.
    pub settings: Settings,
    /// Fingerprint of its data.
    pub data_sha256: String,
    /// What an iteration costs, where the budget was reckoned by that.
    pub cost: Option<Calibrated>,
}

impl Asked {
    /// What a command line asks for.
    pub fn of(args: &CompareArgs) -> Self {
        let mut seeds = Vec::new();
        for &seed in &args.seeds {
            if !seeds.contains(&seed) {
                seeds.push(seed);
            }
        }
        Self {
            variants: args.variants.clone(),
            budget: Budget::of(args),
            seeds,
            preset: gan_core::Preset::from(args.preset).name().into(),
            data: args.data.as_deref().map(absolute),
            n: args.n,
        }
    }

    /// A name for the comparison's folder, made of what is compared.
    pub fn name(&self) -> String {
        let plain = |c: char| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '=' => c,
            _ => '-',
        };
        let words: String = self.variants.join("-").chars().map(plain).collect();
        let words: String = words.chars().take(60).collect();
        let budget: String = self.budget.option().replace(' ', "");
        let budget = budget.trim_start_matches('-');
        let hash = hashed(&json!(self));
        format!("{words}-{budget}-{}", hash.get(..6).unwrap_or(&hash))
    }
}

impl Planned {
    /// Its settings with a seed.
    pub fn with(&self, seed: u64) -> Settings {
        Settings {
            seed,
            ..self.settings.clone()
        }
    }

    /// The name of a run's folder: the paper and a hash of all that determines the run.
    pub fn folder(&self, seed: u64) -> String {
        let hash = fingerprint(&self.with(seed), &self.data_sha256);
        let hash = hash.get(..16).unwrap_or(&hash);
        format!("{}-{hash}", self.settings.paper)
    }
}

/// A hash of settings and data, whatever the data's place and whoever made the run.
pub fn fingerprint(settings: &Settings, data_sha256: &str) -> String {
    let mut bare = settings.clone();
    bare.made_with = None;
    bare.data = String::new();
    // Where the weights of a feature network lie is not what they are.
    if let Some(vgg) = &mut bare.vgg {
        vgg.file = String::new();
    }
    hashed(&json!({ "settings": bare, "data": data_sha256 }))
}

fn hashed(value: &serde_json::Value) -> String {
    let digest = Sha256::digest(value.to_string());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The options of `train` that these words are.
///
/// # Errors
/// Words that `train` does not take.
pub fn train_args(words: &[String]) -> Result<TrainArgs> {
    let program = ["cargo xtask".to_string()];
    let parsed = Cli::try_parse_from(program.iter().chain(words));
    match parsed.map(|cli| cli.command) {
        Ok(Command::Train(args)) => Ok(args),
        Ok(_) => bail!("{} is not train", words.join(" ")),
        Err(error) => {
            let text = error.to_string();
            let line = crate::first_line(&text);
            bail!(Usage(line.trim_start_matches("error: ").to_string()))
        }
    }
}

/// A variant before its length is known.
pub struct Draft {
    name: String,
    words: Vec<String>,
    settings: Settings,
    data_sha256: String,
    /// What its generator is given and makes, in words.
    task: String,
    /// Channels, height and width of what it makes.
    picture: [usize; 3],
    /// Whether its paper has a setting `size` that the variant leaves open.
    may_resize: bool,
}

impl Draft {
    fn new(
        papers: &[&dyn Recipe],
        variant: &Variant,
        more: &[String],
        args: &CompareArgs,
        device: &Device,
    ) -> Result<Self> {
        let recipe = settings::paper(papers, &variant.paper)?;
        let usual = gan_core::Preset::from(args.preset).name();
        let preset = variant.preset.as_deref().unwrap_or(usual);
        let mut words: Vec<String> = ["train", &variant.paper, "--preset", preset, "--quiet"]
            .map(String::from)
            .into();
        if let Some(data) = &args.data {
            words.extend(["--data".into(), absolute(data)]);
        }
        if let Some(vgg) = &args.vgg {
            let vgg = absolute(&vgg.display().to_string());
            words.extend(["--vgg".into(), vgg]);
        }
        if args.device != "auto" {
            words.extend(["--device".into(), args.device.clone()]);
        }
        for set in variant.set.iter().chain(more) {
            words.extend(["--set".into(), set.clone()]);
        }
        let start: Start = fresh(recipe, &train_args(&words)?, device)?;
        let job = &start.job;
        let built = job.build(&start.data.info());
        let built = built.map_err(|e| crate::start::usage(&variant.paper, &e))?;
        let task = match built.sampler(0).takes().port {
            None => "makes pictures of noise".to_string(),
            Some(port) if port.scale > 1 => format!("enlarges pictures {} times", port.scale),
            Some(_) => "translates pictures".to_string(),
        };
        Ok(Self {
            name: variant.name.clone(),
            words,
            settings: job.settings.clone(),
            data_sha256: start.data.sha256(),
            task,
            picture: job.learns.view.picture(&start.data.info()),
            may_resize: !variant.sets("size") && keys(recipe).iter().any(|(key, _)| key == "size"),
        })
    }

    /// Words that time its iterations, for so many seconds.
    pub fn calibration(&self, seconds: f64) -> Vec<String> {
        let mut words = self.words.clone();
        if let Some(first) = words.first_mut() {
            *first = "calibrate".into();
        }
        words.extend(["--seconds".into(), seconds.to_string()]);
        words
    }

    /// A hash of all that its iterations' cost depends on.
    pub fn cost_key(&self, machine: &str) -> String {
        let same = Settings {
            seed: 0,
            ..self.settings.clone()
        };
        hashed(&json!([fingerprint(&same, &self.data_sha256), machine]))
    }

    /// As it was asked for.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The paper's name.
    pub fn paper(&self) -> &str {
        &self.settings.paper
    }

    /// The variant with its length.
    ///
    /// # Errors
    /// A budget that is shorter than an iteration.
    pub fn planned(&self, budget: Budget, seed: u64, cost: Option<Calibrated>) -> Result<Planned> {
        let Some(steps) = budget.steps(cost.as_ref()) else {
            let iteration = match (budget, cost) {
                (Budget::Images(_), Some(cost)) => format!("{:.0} pictures", cost.shown),
                (_, Some(cost)) => format!("{:.3} s", cost.seconds),
                _ => "unknown".into(),
            };
            bail!(Usage(format!(
                "{}: {} is no time for one iteration of {} (it takes {iteration}, and {:.0} % of the minutes are for \
                 iterations); give more",
                budget.option(),
                budget.words(),
                self.name,
                100. * ITERATIONS
            )))
        };
        let usual = Cadence::of(steps);
        let settings = Settings {
            steps,
            seed,
            schedule: None,
            log_every: usual.log_every,
            sample_every: usual.sample_every,
            save_every: usual.save_every,
            ..self.settings.clone()
        };
        let mut words = self.words.clone();
        words.extend(["--steps".into(), steps.to_string()]);
        Ok(Planned {
            name: self.name.clone(),
            words,
            settings,
            data_sha256: self.data_sha256.clone(),
            cost,
        })
    }
}

/// What is compared, resolved and checked as far as it can be without training, and what was done to make it
/// comparable.
///
/// # Errors
/// Variants that are unknown, the same, of different tasks, data or sizes; settings that are wrong.
pub fn drafts(
    papers: &[&dyn Recipe],
    args: &CompareArgs,
    device: &Device,
) -> Result<(Vec<Draft>, Vec<String>)> {
    let variants: Vec<Variant> = args
        .variants
        .iter()
        .map(|word| Variant::parse(word))
        .collect::<Result<_>>()?;
    let draft = |variant: &Variant, more: &[String]| {
        Draft::new(papers, variant, more, args, device).with_context(|| variant.name.clone())
    };
    let mut drafts: Vec<Draft> = variants
        .iter()
        .map(|variant| draft(variant, &[]))
        .collect::<Result<_>>()?;
    refuse_apart(&drafts)?;
    let mut notes = Vec::new();
    let sides = |draft: &Draft| draft.picture[1].max(draft.picture[2]);
    let mut sizes: Vec<usize> = drafts.iter().map(sides).collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes.dedup();
    // The largest size that all of them can have.
    for size in sizes.iter().copied().filter(|_| sizes.len() > 1) {
        let other = |draft: &Draft| draft.picture[1..] != [size, size];
        let pairs = variants.iter().zip(&drafts).enumerate();
        let anew = pairs.filter(|(_, (_, now))| other(now) && now.may_resize);
        let anew: Vec<(usize, Result<Draft>)> = anew
            .map(|(i, (variant, _))| (i, draft(variant, &[format!("size={size}")])))
            .collect();
        if anew.iter().any(|(_, made)| made.is_err()) {
            continue;
        }
        for (i, made) in anew {
            if let (Some(now), made) = (drafts.get_mut(i), made?) {
                notes.push(format!(
                    "{}: size={size} instead of {}, so that all make pictures of one size",
                    made.name,
                    sides(now)
                ));
                *now = made;
            }
        }
        break;
    }
    for (i, one) in drafts.iter().enumerate() {
        for other in drafts.iter().take(i) {
            if one.picture != other.picture {
                let written = |[c, h, w]: [usize; 3]| {
                    format!("{h}x{w} {}", if c == 1 { "grey" } else { "colour" })
                };
                bail!(Usage(format!(
                    "{} makes pictures of {}, {} of {}: their values cannot be compared; give both one size, as \
                     {}:size=32",
                    one.name,
                    written(one.picture),
                    other.name,
                    written(other.picture),
                    one.paper()
                )))
            }
            let fingerprint = |draft: &Draft| fingerprint(&draft.settings, &draft.data_sha256);
            if fingerprint(one) == fingerprint(other) {
                bail!(Usage(format!(
                    "{} and {} are the same settings",
                    other.name, one.name
                )))
            }
        }
    }
    Ok((drafts, notes))
}

/// Refuses variants that do different things, or learn from different data.
fn refuse_apart(drafts: &[Draft]) -> Result<()> {
    let Some((first, others)) = drafts.split_first() else {
        return Ok(());
    };
    for other in others {
        if other.task != first.task {
            bail!(Usage(format!(
                "{} {}, {} {}: there is nothing to compare them by",
                first.name, first.task, other.name, other.task
            )))
        }
        if other.data_sha256 != first.data_sha256 {
            bail!(Usage(format!(
                "{} learns from {}, {} from {}: name one for both with --data",
                first.name, first.settings.data, other.name, other.settings.data
            )))
        }
    }
    Ok(())
}

impl Plan {
    /// A plan of these variants.
    pub fn new(asked: Asked, variants: Vec<Planned>, notes: Vec<String>, device: &Device) -> Self {
        Self {
            format: FORMAT,
            asked,
            variants,
            notes,
            machine: process::describe(device),
        }
    }

    /// `compare.json` of a folder.
    pub fn path(out: &Path) -> PathBuf {
        out.join("compare.json")
    }

    /// The plan of a folder; none where there is none yet.
    ///
    /// # Errors
    /// A file that cannot be read or is damaged; one that was made for something else.
    pub fn read(out: &Path, asked: &Asked) -> Result<Option<Self>> {
        let path = Self::path(out);
        let text = match std::fs::read_to_string(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|e| FileError::reading(&path, &e))?,
        };
        let bad = |problem: String| {
            FileError::new(
                &path,
                problem,
                "choose another --out, or remove the folder to begin again",
            )
        };
        let plan: Self = serde_json::from_str(&text)
            .map_err(|e| bad(format!("is no plan of a comparison ({e})")))?;
        if plan.format != FORMAT {
            bail!(bad(format!(
                "has format {}, this version reads {FORMAT}",
                plan.format
            )))
        }
        if plan.asked != *asked {
            bail!(bad(format!(
                "is the plan of another comparison ({} {})",
                plan.asked.variants.join(" "),
                plan.asked.budget.option()
            )))
        }
        Ok(Some(plan))
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn write(&self, out: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        let write = |file: &Path| std::fs::write(file, format!("{text}\n"));
        Ok(gan_core::whole::write_whole(&Self::path(out), write)?)
    }
}
