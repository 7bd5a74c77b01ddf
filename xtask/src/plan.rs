//! What `train` is about to do, in words.

use crate::observers::thousands;
use crate::process;
use crate::settings::Settings;
use candle_core::Device;
use gan_core::{DataInfo, Recipe};
use std::path::Path;

/// What will be done, in a few lines.
pub fn plan(
    recipe: &dyn Recipe,
    settings: &Settings,
    info: &DataInfo,
    device: &Device,
    from: u64,
    out: &Path,
) -> String {
    let paper = recipe.info();
    let config = settings.config.as_object().into_iter().flatten();
    let config: Vec<_> = config
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let every = |n: u64| match n {
        0 => "never".to_string(),
        n => format!("every {}", thousands(n)),
    };
    let steps = match from {
        0 => thousands(settings.steps),
        from => format!("{} to {}", thousands(from), thousands(settings.steps)),
    };
    format!(
        "{}: {} ({}, arXiv {})\n  \
         data    {}: {} pictures of {}x{}x{}\n  \
         preset  {}: {}\n  \
         steps   {steps}; scalars {}, grids {}, checkpoints {}\n  \
         device  {}\n  \
         seed    {}\n  \
         output  {}",
        paper.name,
        paper.title,
        paper.year,
        paper.arxiv,
        settings.data,
        thousands(info.len as u64),
        info.channels,
        info.height,
        info.width,
        settings.preset,
        config.join(" "),
        every(settings.log_every),
        every(settings.sample_every),
        every(settings.save_every),
        process::describe(device),
        settings.seed,
        out.display()
    )
}
