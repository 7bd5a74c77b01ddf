//! `weights inspect`: what a weights file or checkpoint is.

use crate::cli::{WeightsArgs, WeightsCommand};
use crate::observers::thousands;
use anyhow::Result;
use candle_core::{Device, Tensor};
use gan_core::{Checkpoint, Recipe, Weights};
use std::path::Path;

/// Runs `weights`.
pub fn weights(papers: &[&dyn Recipe], args: &WeightsArgs) -> Result<()> {
    match &args.command {
        WeightsCommand::Inspect { file } => inspect(papers, file),
    }
}

fn inspect(papers: &[&dyn Recipe], file: &Path) -> Result<()> {
    let weights = Weights::read(file)?;
    // Every checkpoint keeps the positions of its source; what has them is one, and must be intact.
    let is_checkpoint = weights.keys().any(|key| key.starts_with("source."));
    say!("{}", file.display());
    if is_checkpoint {
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
                Ok(_) => fits.push(name),
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
            say!("  generator of {}", fits.join(", "));
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

fn shape(tensor: &Tensor) -> String {
    format!("{:?} {:?}", tensor.dtype(), tensor.dims()).to_lowercase()
}
