//! What `train` is about to do, in words.

use crate::job::Job;
use crate::observers::thousands;
use crate::process;
use gan_core::{DataInfo, Sides};
use std::path::Path;

/// What will be done, in a few lines.
pub fn plan(job: &Job<'_>, info: &DataInfo, from: u64, out: &Path) -> String {
    let (settings, paper) = (&job.settings, job.recipe.info());
    let config = job.settings.config_at(from);
    let config = config.as_object().into_iter().flatten();
    let config: Vec<_> = config
        .filter(|(_, value)| !value.is_null())
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
    let sizes = match info.smallest {
        None => String::new(),
        Some((h, w)) => format!(" (the median; the smallest has {h}x{w})"),
    };
    let counted = |n: usize, what: &str| {
        let s = if n == 1 { "" } else { "s" };
        format!("{} {what}{s}", thousands(n as u64))
    };
    let counts = match info.len_b {
        None => counted(info.len, "picture"),
        Some(_) if job.learns.sides == Sides::Paired => counted(info.len, "pair"),
        Some(b) => format!(
            "{} and {}",
            thousands(info.len as u64),
            counted(b, "picture")
        ),
    };
    format!(
        "{}: {}\n  \
         data    {}: {counts} of {}x{}x{}{sizes}\n  \
         preset  {}: {}\n  \
         steps   {steps}; scalars {}, grids {}, checkpoints {}\n  \
         device  {}\n  \
         seed    {}\n  \
         output  {}",
        paper.name,
        paper.cited(),
        settings.data,
        info.channels,
        info.height,
        info.width,
        settings.preset,
        config.join(" "),
        every(settings.log_every),
        every(settings.sample_every),
        every(settings.save_every),
        process::describe(&job.device),
        settings.seed,
        out.display()
    )
}
