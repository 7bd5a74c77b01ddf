//! The generators of the papers' demos that come with the project: `sample PAPER` shows what they make, so that there is
//! something to look at before anything was trained.

use crate::cli::{SampleArgs, TrainArgs};
use crate::heldout::HeldOut;
use crate::start::fresh;
use crate::{Usage, dataset, output, settings};
use anyhow::{Result, bail};
use candle_core::Device;
use gan_core::{FileError, Recipe, Weights, whole};
use std::path::{Path, PathBuf};

/// The file of a paper's generator.
///
/// # Errors
/// A paper whose generator is too large to come with the project.
pub fn generator(paper: &str) -> Result<PathBuf> {
    let path = dataset::assets()?.join(format!("weights/{paper}.safetensors"));
    match path.is_file() {
        true => {
            say!(
                "the generator of {paper}'s demo, as it comes with the project (docs/results.md); cargo xtask train \
                 {paper} trains one"
            );
            Ok(path)
        }
        false => bail!(Usage(format!(
            "{paper}: a paper alone has nothing to sample from, as its demo's generator does not come with the project; \
             train it (cargo xtask train {paper}) and name the run's folder, or add --weights FILE"
        ))),
    }
}

/// Writes what a generator of pictures makes of held-out ones of its demo's data, where no others are named. Gives
/// whether it did.
///
/// # Errors
/// Those of reading, of the generator, of writing.
pub fn held_out(
    papers: &[&dyn Recipe],
    args: &SampleArgs,
    file: &Path,
    device: &Device,
) -> Result<bool> {
    let recipe = settings::paper(papers, &args.run)?;
    let sampler = recipe.open(&Weights::read(file)?, device)?;
    let Some(port) = sampler.takes().port.filter(|_| args.input.is_none()) else {
        return Ok(false);
    };
    let words = ["train", &args.run, "--quiet"].map(String::from);
    let start = fresh(recipe, &TrainArgs::of(&words)?, device)?;
    let held_out = HeldOut::open(&start.job, &start.data)?;
    let out = match &args.out {
        Some(out) => out.clone(),
        None => PathBuf::from(format!("{}-held-out.png", args.run)),
    };
    let aside = match out.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => whole::aside(dir)?,
        _ => whole::aside(Path::new("."))?,
    };
    for made in held_out.write(&*sampler, &port, aside.path(), args.seed, device)? {
        let bytes = std::fs::read(&made).map_err(|e| FileError::reading(&made, &e))?;
        output::write(&out, &bytes, args.force)?;
    }
    say!(
        "held-out pictures of {} and what becomes of them: {}; --input PATH takes your own",
        start.job.settings.data,
        out.display()
    );
    Ok(true)
}
