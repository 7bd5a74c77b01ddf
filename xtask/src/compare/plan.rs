//! A comparison as it is written down before its first training: each variant's settings and length, and who asked.

use super::calibrate::Calibrated;
use crate::cli::CompareArgs;
use crate::observers::thousands;
use crate::process;
use crate::samedata::absolute;
use crate::settings::Settings;
use anyhow::{Result, bail};
use candle_core::Device;
use gan_core::FileError;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// The version of `compare.json` that is written.
const FORMAT: u32 = 1;
/// The share of a run's minutes that its iterations get; pictures, checkpoints, start and end have the rest.
pub const ITERATIONS: f64 = 0.9;

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
    pub fn steps(self, cost: Option<&Calibrated>) -> Option<u64> {
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

/// SHA-256 of a value, in hexadecimal.
pub fn hashed(value: &serde_json::Value) -> String {
    let digest = Sha256::digest(value.to_string());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
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
