//! `weights inspect`: what a weights file or checkpoint is.

use crate::cli::{WeightsArgs, WeightsCommand};
use crate::observers::thousands;
use anyhow::Result;
use candle_core::{Device, Tensor};
use gan_core::{Checkpoint, Noise, Recipe, Takes, Weights};
use std::path::Path;

/// Runs `weights`.
pub fn weights(papers: &[&dyn Recipe], args: &WeightsArgs) -> Result<()> {
    match &args.command {
        WeightsCommand::Inspect { file } => inspect(papers, file),
    }
}

/// Whether these are a checkpoint's tensors: every one keeps the positions of its source. It must be intact, too.
pub fn is_checkpoint(weights: &Weights) -> bool {
    weights.keys().any(|key| key.starts_with("source."))
}

fn inspect(papers: &[&dyn Recipe], file: &Path) -> Result<()> {
    let weights = Weights::read(file)?;
    say!("{}", file.display());
    if is_checkpoint(&weights) {
        let header = Checkpoint::read(file)?.header;
        say!(
            "  checkpoint of {} after {} iterations, seed {}, intact",
            header.paper,
            thousands(header.iteration),
            header.seed
        );
    } else {
        // Papers may share a generator.
        let (mut fits, mut reasons) = (Vec::new(), Vec::new());
        for recipe in papers {
            let name = recipe.info().name;
            match recipe.open(&weights, &Device::Cpu) {
                Ok(sampler) => fits.push((name, sampler.takes())),
                Err(error) => {
                    let text = error.to_string();
                    reasons.push(format!(
                        "{name}: {}",
                        text.lines().next().unwrap_or_default()
                    ));
                }
            }
        }
        if fits.is_empty() {
            say!("  no generator that this program knows");
            reasons.iter().for_each(|reason| say!("    {reason}"));
        } else {
            let names: Vec<_> = fits.iter().map(|(name, _)| *name).collect();
            say!("  generator of {}", names.join(", "));
            if let Some((_, takes)) = fits.first() {
                say!("  takes {}", wanted(takes));
            }
        }
    }
    let numbers: usize = weights.iter().map(|(_, t)| t.elem_count()).sum();
    say!(
        "  {} tensors, {} numbers",
        weights.keys().count(),
        thousands(numbers as u64)
    );
    for (key, tensor) in weights.iter() {
        say!("  {key:40} {}", shape(tensor));
    }
    Ok(())
}

/// What a generator takes, in words.
fn wanted(takes: &Takes) -> String {
    let mut words = Vec::new();
    if let Some(Noise { shape, law }) = &takes.noise {
        words.push(format!("noise {shape:?} ({law:?})").to_lowercase());
    }
    words.extend(takes.classes.map(|n| format!("a class of {n}")));
    if let Some(port) = &takes.port {
        let colour = if port.channels == 1 { "grey" } else { "colour" };
        let reach = match port.reach {
            Some(pixels) => format!("{pixels} pixels to each side"),
            None => "the whole picture".into(),
        };
        words.push(format!(
            "pictures in {colour} from {0}x{0}, made {1} times as large, each pixel by {reach}",
            port.least, port.scale
        ));
    }
    words.join(", ")
}

fn shape(tensor: &Tensor) -> String {
    format!("{:?} {:?}", tensor.dtype(), tensor.dims()).to_lowercase()
}
