//! The values of a run as they were measured: as JSON, and kept in the run's folder.

use crate::Usage;
use crate::cli::EvalArgs;
use crate::judging::Row;
use crate::settings::Settings;
use anyhow::{Result, bail};
use gan_eval::Better;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What values of a run depend on besides the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Moments.
    pub at: Vec<String>,
    /// Pictures, where it was said.
    pub n: Option<u32>,
    /// The measures, where not all of them.
    pub metrics: Vec<String>,
    /// The file of Inception's weights.
    pub inception: Option<PathBuf>,
    /// Seed of noise, places, directions and choice of pictures.
    pub seed: u64,
}

impl Asked {
    /// What `eval` is asked for.
    pub fn of(args: &EvalArgs) -> Self {
        Self {
            at: args.at.clone(),
            n: args.n,
            metrics: args.metrics.clone(),
            inception: args.inception.clone(),
            seed: args.seed,
        }
    }
}

/// The command line that measures what a run's generator makes before the first iteration and after the last.
pub fn words(n: Option<u32>, folder: &Path, device: &str) -> Vec<String> {
    let run = folder.display().to_string();
    let words = [
        "eval",
        &run,
        "--at",
        "start,last",
        "--json",
        "--device",
        device,
    ];
    let mut words: Vec<String> = words.map(String::from).into();
    if let Some(n) = n {
        words.extend(["-n".into(), n.to_string()]);
    }
    words
}

/// The values of a run.
pub struct Measured {
    /// The run's folder.
    pub run: PathBuf,
    /// Its settings.
    pub settings: Settings,
    /// What was asked for.
    pub asked: Asked,
    /// Iterations of the last moment.
    pub iteration: u64,
    /// What the generator's values stand beside.
    pub yardsticks: Vec<Row>,
    /// The generator's.
    pub rows: Vec<Row>,
    /// Whether its table has a line a measure.
    pub tall: bool,
    /// What the table's words mean.
    pub notes: Vec<String>,
}

/// The file in a run's folder that has the values measured last.
fn metrics(run: &Path) -> PathBuf {
    run.join("metrics.json")
}

/// The values of a run that were measured last; none where there are none that can be read.
pub fn saved(run: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(metrics(run)).ok()?).ok()
}

impl Measured {
    /// Keeps the measures of these names alone; of none, all.
    ///
    /// # Errors
    /// A name that no measure has here.
    pub fn keep(&mut self, names: &[String]) -> Result<()> {
        let rows = || self.yardsticks.iter().chain(&self.rows);
        let mut known: Vec<&str> = Vec::new();
        for (measure, _) in rows().flat_map(|row| &row.measures) {
            if !known.contains(&measure.kind()) {
                known.push(measure.kind());
            }
        }
        if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
            bail!(Usage(format!(
                "--metrics {name}: {} has no such measure; there are {}",
                self.run.display(),
                known.join(" ")
            )))
        }
        if !names.is_empty() {
            for row in self.yardsticks.iter_mut().chain(&mut self.rows) {
                row.measures
                    .retain(|(measure, _)| names.iter().any(|name| name == measure.kind()));
            }
        }
        Ok(())
    }

    /// The values as JSON.
    pub fn json(&self) -> Value {
        let rows: Vec<Value> = self
            .yardsticks
            .iter()
            .chain(&self.rows)
            .map(|row| {
                let measures: Vec<Value> = row
                    .measures
                    .iter()
                    .map(|(measure, ratio)| {
                        json!({
                            "name": measure.name,
                            "value": measure.value,
                            "error": measure.error,
                            "better": measure.better().map(|better| match better {
                                Better::Lower => "lower",
                                Better::Higher => "higher",
                            }),
                            "of_baseline": ratio,
                            "protocol": measure.protocol,
                        })
                    })
                    .collect();
                json!({ "of": row.name, "measures": measures })
            })
            .collect();
        json!({
            "run": self.run.display().to_string(),
            "paper": self.settings.paper,
            "data": self.settings.data,
            "asked": self.asked,
            "iteration": self.iteration,
            "rows": rows,
            "notes": self.notes,
        })
    }

    /// Leaves them in the run's folder. They are printed in any case, so a folder that cannot be written is no error.
    pub fn save(&self, json: &Value) {
        let write = |file: &Path| std::fs::write(file, format!("{json}\n"));
        if let Err(error) = gan_core::whole::write_whole(&metrics(&self.run), write) {
            warn!("warning: {error}");
        }
    }
}
