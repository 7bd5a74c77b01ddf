//! `weights inspect` and `weights convert`: what a weights file is, and a network of it as safetensors.

use crate::cli::{WeightsArgs, WeightsCommand};
use crate::nearest::Nearest;
use crate::observers::thousands;
use crate::{Usage, first_line, hub, output};
use anyhow::{Result, bail};
use candle_core::{Device, Tensor};
use gan_core::containers::Held;
use gan_core::{Contents, Noise, Recipe, Takes, Weights};
use std::path::Path;

/// What the names of files end with that `convert` writes.
const ENDING: &str = "safetensors";

/// Runs `weights`.
pub fn weights(papers: &[&dyn Recipe], args: &WeightsArgs) -> Result<()> {
    match &args.command {
        WeightsCommand::Ls => {
            for published in hub::weights::WEIGHTS {
                say!("{:21} {}", published.name, published.about);
                say!(
                    "{:21} {}; licence: {}",
                    "",
                    published.url,
                    published.licence
                );
            }
            Ok(())
        }
        WeightsCommand::Get { name } => hub::get_weights(name),
        WeightsCommand::Inspect { file, key } => inspect(papers, file, key.as_deref()),
        WeightsCommand::Convert {
            file,
            out,
            key,
            force,
        } => convert(file, out, key.as_deref(), *force),
    }
}

fn inspect(papers: &[&dyn Recipe], file: &Path, key: Option<&str>) -> Result<()> {
    let contents = Contents::open(file)?;
    let networks = contents.networks();
    // Nothing is wrong with a file that holds several networks; they are what is to be shown.
    let several = key.is_none() && networks.len() > 1 && contents.meant(None).is_err();
    let weights = match several {
        true => None,
        false => Some(contents.take(key)?),
    };
    say!("{}", file.display());
    match contents.header() {
        Some(header) => say!(
            "  checkpoint of {} after {} iterations, seed {}, intact",
            header.paper,
            thousands(header.iteration),
            header.seed
        ),
        None => say!("  {}", contents.kind()),
    }
    if networks.len() > 1 {
        let each = networks.iter();
        each.for_each(|held| say!("  holds {}: {}", held.name, amount(held)));
    }
    let Some(weights) = weights else {
        say!("  --key NAME says more of one of them");
        return Ok(());
    };
    for note in weights.notes() {
        say!("  {note}");
    }
    fits(papers, &weights);
    say!("  {}", amount_of(&weights));
    for (key, tensor) in weights.iter() {
        say!("  {key:40} {}", shape(tensor));
    }
    Ok(())
}

/// Says which papers' generators these are.
fn fits(papers: &[&dyn Recipe], weights: &Weights) {
    // Papers may share a generator.
    let (mut fits, mut reasons) = (Vec::new(), Vec::new());
    for recipe in papers {
        let name = recipe.info().name;
        match recipe.open(weights, &Device::Cpu) {
            Ok(sampler) => fits.push((name, sampler.takes())),
            Err(error) => reasons.push((name, first_line(&error.to_string()).to_string())),
        }
    }
    if fits.is_empty() {
        say!("  no generator that this program knows");
        // What keeps it from being what it is nearest to; all reasons, where it is near nothing.
        let nearest = Nearest::new(papers, weights);
        let about = |name: &str| {
            nearest
                .as_ref()
                .is_none_or(|n| n.papers.first() == Some(&name))
        };
        nearest
            .iter()
            .for_each(|nearest| say!("    {}", nearest.said()));
        let reasons = reasons.iter().filter(|(name, _)| about(name));
        reasons.for_each(|(name, reason)| say!("    {name}: {reason}"));
        return;
    }
    let names: Vec<_> = fits.iter().map(|(name, _)| *name).collect();
    say!("  generator of {}", names.join(", "));
    if let Some((_, takes)) = fits.first() {
        say!("  takes {}", wanted(takes));
    }
}

fn convert(file: &Path, out: &Path, key: Option<&str>, force: bool) -> Result<()> {
    if out.extension().is_none_or(|ending| ending != ENDING) {
        bail!(Usage(format!(
            "{}: safetensors are written, name a file that ends with .{ENDING}",
            out.display()
        )))
    }
    let weights = Weights::read_part(file, key)?;
    let tensors = weights
        .iter()
        .map(|(key, tensor)| (key.to_string(), tensor));
    let bytes = safetensors::serialize(tensors, None)?;
    output::write_as(out, &bytes, force, "name")?;
    for note in weights.notes() {
        // The numbers are written as they are.
        if !note.ends_with("32-bit ones") {
            say!("{}: {note}", file.display());
        }
    }
    say!("{}: {}", out.display(), amount_of(&weights));
    Ok(())
}

/// How much a network holds, in words.
fn amount(held: &Held) -> String {
    let tensors = match held.tensors {
        1 => "1 tensor".to_string(),
        n => format!("{} tensors", thousands(n as u64)),
    };
    let numbers = match held.numbers {
        1 => "1 number".to_string(),
        n => format!("{} numbers", thousands(n as u64)),
    };
    format!("{tensors}, {numbers} ({})", held.types.join(", "))
}

fn amount_of(weights: &Weights) -> String {
    let types = weights.iter().map(|(_, tensor)| tensor.dtype().as_str());
    let mut types: Vec<String> = types.map(str::to_string).collect();
    types.sort();
    types.dedup();
    amount(&Held {
        name: String::new(),
        tensors: weights.keys().count(),
        numbers: weights.numbers(),
        types,
    })
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
