//! `results`: every paper's demo trained, measured and written down: `docs/results.md`, its pictures, and the generators
//! that come with the project. What the page says is read from `docs/results/PAPER.json`, so that one paper can be done
//! again without the others.

use crate::cli::ResultsArgs;
use crate::dataset::workspace;
use crate::finish::column;
use crate::job::Job;
use crate::observers::{picture_name, thousands, times};
use crate::settings::{self, MadeWith, Settings};
use crate::{child, folder, measured, process};
use anyhow::{Context as _, Result, bail};
use candle_core::{DType, Device};
use gan_core::whole::write_whole;
use gan_core::{Checkpoint, FileError, Recipe, Store};
use image::ImageFormat;
use image::codecs::jpeg::JpegEncoder;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

/// The largest generator that comes with the project, in bytes.
const LARGEST: u64 = 2 << 20;
/// A picture of more bytes is written as JPEG.
const PNG: u64 = 100_000;
/// The quality of such a JPEG.
const QUALITY: u8 = 88;

/// What is kept of a paper's demo.
#[derive(Serialize, Deserialize)]
struct Kept {
    paper: String,
    title: String,
    data: String,
    steps: u64,
    cpu_seconds: f64,
    peak_mib: u64,
    made_with: Option<MadeWith>,
    picture: String,
    /// Bytes of the generator that comes with the project; none where it is too large.
    generator: Option<u64>,
    measured: Value,
}

/// Runs `results`; gives the exit code.
pub fn results(papers: &[&dyn Recipe], args: &ResultsArgs, threads: Option<u16>) -> Result<u8> {
    let wanted: Vec<&dyn Recipe> = match args.papers.is_empty() {
        true => papers.to_vec(),
        false => args
            .papers
            .iter()
            .map(|name| settings::paper(papers, name))
            .collect::<Result<_>>()?,
    };
    let project = match &args.project {
        Some(project) => project.clone(),
        None => workspace()?,
    };
    let stop = process::watch_signals()?;
    for recipe in &wanted {
        let name = recipe.info().name;
        let run = args.runs.join(name);
        let at = run.display().to_string();
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        say!("{name}: {at}");
        let begun = folder::config(&run).exists();
        let done = begun && folder::is_done(&run, folder::settings(&run)?.steps);
        let ended = match done {
            true => Ok(()),
            false => {
                let mut train = words(&["train", name, "--quiet", "--attended", "--out", &at]);
                train.extend(begun.then(|| "--resume".to_string()));
                child::attended(&train, threads, &stop)
            }
        };
        let eval = measured::words(None, &run, "cpu");
        let ended = ended.and_then(|()| child::run(&eval, threads, &stop));
        match ended {
            Err(error) if error.is::<child::Stopped>() => {
                say!("stopped; the same command goes on where it was");
                return Ok(crate::INTERRUPTED);
            }
            ended => ended.with_context(|| name.to_string())?,
        };
    }
    // Written when all runs are there: before, they would be of a project that is not as it was committed.
    for recipe in wanted {
        keep(recipe, &args.runs.join(recipe.info().name), &project)?;
    }
    let page = project.join("docs/results.md");
    let text = page_of(papers, &project)?;
    write_whole(&page, |file| std::fs::write(file, &text))?;
    say!("{}", page.display());
    Ok(0)
}

/// Leaves what is to be said of a run in the project: values, picture, generator.
fn keep(recipe: &dyn Recipe, run: &Path, project: &Path) -> Result<()> {
    let info = recipe.info();
    let settings = folder::settings(run)?;
    let (docs, weights) = (project.join("docs/results"), project.join("assets/weights"));
    for dir in [&docs, &weights] {
        std::fs::create_dir_all(dir).map_err(|e| FileError::writing(dir, &e))?;
    }
    let newest = Store::newest(&folder::checkpoints(run))?.0;
    let Some(checkpoint) = newest else {
        bail!("{}: has no checkpoint", run.display())
    };
    let (part, column) = shown(recipe, &settings, &checkpoint)?;
    let picture = picture(run, &docs, info.name, settings.steps, column)?;
    let from = run.join(format!("weights/{part}.safetensors"));
    let to = weights.join(format!("{}.safetensors", info.name));
    let generator = halved(&from, &to)?;
    let Some(Value::Object(mut measured)) = measured::saved(run) else {
        bail!("{}: its values were not saved", run.display())
    };
    // Where the run lies is nobody else's business.
    measured.remove("run");
    let cost = times::read(&run.join("times.csv"));
    let cost = cost.last().copied().unwrap_or_default();
    let kept = Kept {
        paper: info.name.into(),
        title: info.title.into(),
        data: settings.data.clone(),
        steps: settings.steps,
        cpu_seconds: cost.cpu_seconds,
        peak_mib: cost.peak_mib,
        made_with: settings.made_with.clone(),
        picture,
        generator,
        measured: Value::Object(measured),
    };
    let text = serde_json::to_string_pretty(&kept)?;
    let path = docs.join(format!("{}.json", info.name));
    write_whole(&path, |file| std::fs::write(file, format!("{text}\n")))?;
    Ok(())
}

/// The part of a run that its pictures are made by, and the column of grids that shows them.
fn shown(
    recipe: &dyn Recipe,
    settings: &Settings,
    checkpoint: &Checkpoint,
) -> Result<(&'static str, &'static str)> {
    let job = Job::new(recipe, settings.clone(), &Device::Cpu)?;
    let mut algorithm = job.restored(checkpoint)?;
    let takes = algorithm.sampler(settings.steps).takes();
    let names: Vec<&str> = algorithm
        .parts()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    // Where an average is kept, the pictures are its.
    let part = if names.contains(&"ema") { "ema" } else { "g" };
    Ok((part, column(takes.port.as_ref())))
}

/// Copies the last grid; gives its name in `docs/results`.
fn picture(run: &Path, docs: &Path, paper: &str, steps: u64, column: &str) -> Result<String> {
    let from = picture_name(&run.join("samples"), steps, column);
    let bytes = std::fs::read(&from).map_err(|e| FileError::reading(&from, &e))?;
    let (name, bytes) = match bytes.len() as u64 > PNG {
        false => (format!("{paper}.png"), bytes),
        true => {
            let decoded = image::load_from_memory_with_format(&bytes, ImageFormat::Png)
                .with_context(|| from.display().to_string())?;
            let mut made = Vec::new();
            JpegEncoder::new_with_quality(&mut made, QUALITY).encode_image(&decoded.to_rgb8())?;
            (format!("{paper}.jpg"), made)
        }
    };
    write_whole(&docs.join(&name), |file| std::fs::write(file, &bytes))?;
    Ok(name)
}

/// Writes weights in half precision; gives their bytes, and none where they are too large to come with the project.
fn halved(from: &Path, to: &Path) -> Result<Option<u64>> {
    let tensors = candle_core::safetensors::load(from, &Device::Cpu)?;
    let mut halves = HashMap::new();
    for (key, tensor) in tensors {
        let half = match tensor.dtype() {
            DType::F32 => tensor.to_dtype(DType::F16)?,
            _ => tensor,
        };
        halves.insert(key, half);
    }
    let bytes: usize = halves
        .values()
        .map(|half| half.elem_count() * half.dtype().size_in_bytes())
        .sum();
    if bytes as u64 > LARGEST {
        return Ok(None);
    }
    write_whole(to, |file| {
        candle_core::safetensors::save(&halves, file).map_err(std::io::Error::other)
    })?;
    let about = std::fs::metadata(to).map_err(|e| FileError::reading(to, &e))?;
    Ok(Some(about.len()))
}

/// The page, of all that is kept.
fn page_of(papers: &[&dyn Recipe], project: &Path) -> Result<String> {
    let mut text = String::from(
        "# Results\n\nEach paper's demo, trained, measured and written down by `cargo xtask --threads 1 results`; values in \
         `results/PAPER.json`. The picture is the last grid of the run's own noise or inputs. Values are of the protocol \
         that stands below them, on which they depend; CPU-seconds are of the processor, and of what else it does.\n",
    );
    for recipe in papers {
        let path = project.join(format!("docs/results/{}.json", recipe.info().name));
        let Ok(bytes) = std::fs::read(&path) else {
            continue;
        };
        let kept: Kept = serde_json::from_slice(&bytes)
            .map_err(|e| FileError::new(&path, e.to_string(), "run cargo xtask results again"))?;
        section(&mut text, &kept)?;
    }
    Ok(text)
}

fn section(text: &mut String, kept: &Kept) -> Result<()> {
    writeln!(text, "\n## {}: {}\n", kept.paper, kept.title)?;
    let made = match &kept.made_with {
        Some(made) => format!(
            " ({}, version {}, commit {})",
            made.device, made.version, made.commit
        ),
        None => String::new(),
    };
    writeln!(
        text,
        "`cargo xtask train {}` on {}: {} iterations, {:.0} CPU-seconds, {} MiB{made}.",
        kept.paper,
        kept.data,
        thousands(kept.steps),
        kept.cpu_seconds,
        kept.peak_mib
    )?;
    match kept.generator {
        Some(bytes) => writeln!(
            text,
            "Its generator comes with the project, {} kB in half precision: `cargo xtask sample {}`.",
            bytes / 1000,
            kept.paper
        )?,
        None => writeln!(text, "Its generator is too large to come with the project.")?,
    }
    writeln!(
        text,
        "\n![{} after its demo](results/{})\n",
        kept.paper, kept.picture
    )?;
    let rows: Vec<&Value> = kept
        .measured
        .get("rows")
        .and_then(Value::as_array)
        .map_or(Vec::new(), |rows| rows.iter().collect());
    let word = |value: &Value, key: &str| {
        let word = value.get(key).and_then(Value::as_str);
        word.unwrap_or_default().to_string()
    };
    let of: Vec<String> = rows.iter().map(|row| word(row, "of")).collect();
    writeln!(text, "| | {} |", of.join(" | "))?;
    writeln!(text, "|---|{}", "---|".repeat(of.len()))?;
    let measures = |row: &Value| -> Vec<Value> {
        let measures = row.get("measures").and_then(Value::as_array);
        measures.cloned().unwrap_or_default()
    };
    let mut heads: Vec<(String, String)> = Vec::new();
    for measure in rows.iter().flat_map(|row| measures(row)) {
        let head = (word(&measure, "name"), word(&measure, "protocol"));
        if !heads.iter().any(|(name, _)| *name == head.0) {
            heads.push(head);
        }
    }
    for (name, _) in &heads {
        let cells = rows.iter().map(|row| {
            let found = measures(row).into_iter().find(|m| word(m, "name") == *name);
            let number = |key: &str| found.as_ref().and_then(|m| m.get(key)?.as_f64());
            match (number("value"), number("error")) {
                (Some(value), Some(error)) => format!("{value:.3} ± {error:.3}"),
                (Some(value), None) => format!("{value:.3}"),
                _ => String::new(),
            }
        });
        writeln!(
            text,
            "| {name} | {} |",
            cells.collect::<Vec<_>>().join(" | ")
        )?;
    }
    writeln!(text)?;
    let mut said = String::new();
    for (name, protocol) in &heads {
        if *protocol != said {
            // One protocol serves all sizes.
            let words = name
                .split(' ')
                .filter(|word| !word.starts_with(|c: char| c.is_ascii_digit()));
            writeln!(
                text,
                "- {}: {protocol}.",
                words.collect::<Vec<_>>().join(" ")
            )?;
            said.clone_from(protocol);
        }
    }
    Ok(())
}
