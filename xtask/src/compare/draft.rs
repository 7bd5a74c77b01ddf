//! Variants before their length is known: each with its settings, and whether they can be compared at all.

use super::calibrate::Calibrated;
use super::plan::{Budget, ITERATIONS, Planned, fingerprint, hashed};
use super::variant::Variant;
use crate::cli::{CompareArgs, EvalArgs, TrainArgs};
use crate::samedata::absolute;
use crate::settings::{self, Settings, keys};
use crate::start::{Cadence, Start, fresh};
use crate::{Usage, eval, measured};
use anyhow::{Context as _, Result, bail};
use candle_core::Device;
use gan_core::Recipe;
use serde_json::json;
use std::path::Path;

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
        let start: Start = fresh(recipe, &TrainArgs::of(&words)?, device)?;
        let job = &start.job;
        let built = job.build(&start.data.info());
        let built = built.map_err(|e| crate::start::usage(&variant.paper, &e))?;
        let sampler = built.sampler(0);
        // What cannot be measured is said before anything is trained.
        let measuring = measured::words(args.n, Path::new("."), &args.device);
        eval::judge(&*sampler, job, &start.data, &EvalArgs::of(&measuring)?)?;
        let task = match sampler.takes().port {
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
            let minutes = match budget {
                Budget::Minutes(_) => format!(
                    ", and {:.0} % of the minutes are for iterations",
                    100. * ITERATIONS
                ),
                _ => String::new(),
            };
            bail!(Usage(format!(
                "{}: no time for one iteration of {} (it takes {iteration}{minutes}); give more",
                budget.option(),
                self.name,
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
        if drafts.iter().any(|now| other(now) && !now.may_resize) {
            continue;
        }
        let pairs = variants.iter().zip(&drafts).enumerate();
        let anew = pairs.filter(|(_, (_, now))| other(now));
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
