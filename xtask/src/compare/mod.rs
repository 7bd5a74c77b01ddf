//! `compare`: trains variants under one budget, on the same data, in the same order, with the same seeds, and measures
//! them side by side.
//!
//! What will be done is written down before the first training ([`plan`]), so that a comparison that was stopped goes
//! on with the same lengths. Each run is a process of its own ([`runs`]) in a folder that is named after all that
//! determines it, so that a run which was done before is taken as it is.

mod bar;
pub mod calibrate;
mod draft;
mod page;
mod plan;
mod results;
mod runs;
mod variant;

use crate::child::{self, Stopped};
use crate::cli::CompareArgs;
use crate::observers::thousands;
use crate::settings::MadeWith;
use crate::shell::quoted;
use crate::{folder, process, report};
use anyhow::{Context as _, Result, bail};
use bar::Bar;
use calibrate::Calibrated;
use candle_core::Device;
use draft::Draft;
use gan_core::Recipe;
use page::Page;
use plan::{Asked, Budget, Plan};
use runs::{Processes, Run, Runs, State};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where comparisons are, unless a folder is named.
const FOLDER: &str = "runs/compare";
/// The share of a run's time that its calibration takes, and the most seconds.
const CALIBRATION: (f64, f64) = (0.04, 10.);

/// Runs `compare`; gives the exit code.
pub fn compare(papers: &[&dyn Recipe], args: &CompareArgs, threads: Option<u16>) -> Result<u8> {
    let device = process::device(&args.device)?;
    let asked = Asked::of(args);
    let out = match &args.out {
        Some(out) => out.clone(),
        None => Path::new(FOLDER).join(asked.name()),
    };
    // Runs that were made for one comparison are found by the next.
    let pool = match &args.out {
        Some(out) => out.join("runs"),
        None => Path::new(FOLDER).join("runs"),
    };
    if args.dry_run {
        return dry(papers, args, &asked, &out, &device);
    }
    // What cannot be compared is refused before a folder is made.
    let drafted = match Plan::read(&out, &asked)? {
        Some(_) => None,
        None => Some(draft::drafts(papers, args, &device)?),
    };
    let _held = runs::hold(&out)?;
    let stop = process::watch_signals()?;
    let processes = Processes {
        threads: shared(threads, args.parallel),
        stop: &stop,
    };
    // Another process may have written one before the folder was this one's.
    let known = Plan::read(&out, &asked)?;
    let going_on = known.is_some();
    let plan = match (known, drafted) {
        (Some(plan), _) => plan,
        (None, Some((drafts, notes))) => {
            let plan = match planned(&drafts, asked, notes, &pool, &processes, &device) {
                Err(error) if error.is::<Stopped>() => return Ok(stopped(args)),
                planned => planned?,
            };
            plan.write(&out)?;
            plan
        }
        (None, None) => bail!("{}: was removed meanwhile", Plan::path(&out).display()),
    };
    let all = Runs::new(&plan, &pool, &args.device, processes);
    if !args.json {
        begin(&plan, &all.now(), &out, going_on, args.parallel);
    }
    let mut bar = Bar::new(&plan, args.json);
    let mut page = Page::new(papers, &plan, &out, command(args))?;
    let trained = all.train(usize::from(args.parallel), |runs| {
        bar.draw(runs);
        page.draw(runs, false);
    });
    bar.end();
    let runs = all.now();
    page.draw(&runs, true);
    match trained {
        Err(error) if error.is::<Stopped>() => Ok(stopped(args)),
        trained => trained.and_then(|()| end(&plan, &runs, args, &out)),
    }
}

/// Says how to go on; gives the exit code.
fn stopped(args: &CompareArgs) -> u8 {
    say!(
        "stopped; the same command goes on where it was\n  go on  {}",
        command(args)
    );
    crate::INTERRUPTED
}

/// What would be done, without calibrating.
fn dry(
    papers: &[&dyn Recipe],
    args: &CompareArgs,
    asked: &Asked,
    out: &Path,
    device: &Device,
) -> Result<u8> {
    let (drafts, notes) = draft::drafts(papers, args, device)?;
    say!(
        "compare {} variants, {} seeds, {}\n  folder  {}",
        drafts.len(),
        asked.seeds.len(),
        asked.budget.words(),
        out.display()
    );
    notes.iter().for_each(|note| say!("  note    {note}"));
    if let Budget::Minutes(minutes) = asked.budget {
        say!(
            "  time    {}",
            expected(minutes, drafts.len() * asked.seeds.len())
        );
    }
    say!("dry run: nothing was done");
    Ok(0)
}

fn expected(minutes: f64, runs: usize) -> String {
    format!(
        "some {:.0} minutes, {runs} runs of {minutes}, calibration and measuring besides",
        minutes * runs as f64
    )
}

/// The kernels' threads of a process, where several run at once: each has its part of them.
fn shared(threads: Option<u16>, parallel: u16) -> Option<u16> {
    match (threads, parallel) {
        (threads, 1) => threads,
        (threads, parallel) => {
            let all = threads.map_or_else(process::threads, usize::from);
            Some((all as u16 / parallel).max(1))
        }
    }
}

/// The variants with their lengths; what has to be timed is timed, once for all comparisons on this machine.
fn planned(
    drafts: &[Draft],
    asked: Asked,
    notes: Vec<String>,
    pool: &Path,
    processes: &Processes<'_>,
    device: &Device,
) -> Result<Plan> {
    // Where several run at once each has fewer threads.
    let machine = match processes.threads {
        Some(threads) => format!("{}, {threads} a run", process::describe(device)),
        None => process::describe(device),
    };
    let seed = asked.seeds.first().copied().unwrap_or(1);
    let mut variants = Vec::new();
    for draft in drafts {
        let cost = match asked.budget {
            Budget::Steps(_) => None,
            Budget::Minutes(m) => {
                let (share, most) = CALIBRATION;
                let seconds = (60. * m * share).min(most);
                Some(calibrated(draft, seconds, pool, processes, &machine)?)
            }
            // Pictures are counted, not timed.
            Budget::Images(_) => Some(calibrated(draft, 0., pool, processes, &machine)?),
        };
        variants.push(draft.planned(asked.budget, seed, cost)?);
    }
    Ok(Plan::new(asked, variants, notes, device))
}

/// What an iteration of a variant costs: as it was found before, or timed now in a process of its own.
fn calibrated(
    draft: &Draft,
    seconds: f64,
    pool: &Path,
    processes: &Processes<'_>,
    machine: &str,
) -> Result<Calibrated> {
    let name = format!("{}-{}.json", draft.paper(), draft.cost_key(machine));
    let folder = pool.join("calibrations");
    let path = folder.join(name);
    let known = std::fs::read(&path).ok();
    if let Some(cost) = known.and_then(|bytes| serde_json::from_slice::<Timed>(&bytes).ok())
        && cost.for_seconds >= seconds
    {
        return Ok(cost.cost);
    }
    warn!("calibration of {}", draft.name());
    let words = draft.calibration(seconds);
    let printed = child::run(&words, processes.threads, processes.stop)
        .with_context(|| draft.name().to_string())?;
    let cost = serde_json::from_str(&printed)
        .with_context(|| format!("the calibration of {}", draft.name()))?;
    let timed = Timed {
        for_seconds: seconds,
        cost,
    };
    std::fs::create_dir_all(&folder).map_err(|e| gan_core::FileError::writing(&folder, &e))?;
    let text = serde_json::to_string(&timed)?;
    gan_core::whole::write_whole(&path, |file| std::fs::write(file, &text))?;
    Ok(cost)
}

/// A calibration that is kept.
#[derive(serde::Serialize, serde::Deserialize)]
struct Timed {
    for_seconds: f64,
    cost: Calibrated,
}

/// Says what will be done.
fn begin(plan: &Plan, runs: &[Run], out: &Path, going_on: bool, parallel: u16) {
    let asked = &plan.asked;
    let seeds: Vec<String> = asked.seeds.iter().map(u64::to_string).collect();
    say!(
        "compare {} variants, seeds {}, {}{}",
        plan.variants.len(),
        seeds.join(" "),
        asked.budget.words(),
        if going_on { " (goes on)" } else { "" }
    );
    say!("  folder  {}", out.display());
    let width = plan
        .variants
        .iter()
        .map(|v| v.name.len())
        .max()
        .unwrap_or(0);
    for variant in &plan.variants {
        let cost = variant.cost.map_or(String::new(), |cost| {
            format!(
                ", {:.1} ms and {:.0} pictures each",
                1e3 * cost.seconds,
                cost.shown
            )
        });
        say!(
            "  {:width$}  {} iterations{cost}",
            variant.name,
            thousands(variant.settings.steps)
        );
    }
    plan.notes.iter().for_each(|note| say!("  note    {note}"));
    let left = runs.iter().filter(|run| !run.reused).count();
    if left < runs.len() {
        let done = runs.len() - left;
        say!("  note    {done} of {} runs are done already", runs.len());
    }
    let commit = process::commit();
    let reused = runs.iter().filter(|run| run.reused);
    let made = reused.filter_map(|run| folder::settings(&run.folder).ok()?.made_with);
    let made: Vec<MadeWith> = made.collect();
    let elsewhere = made.iter().filter(|made| made.device != plan.machine);
    let elsewhere: BTreeSet<&str> = elsewhere.map(|made| made.device.as_str()).collect();
    // Of several at once times are not comparable anyway.
    if parallel == 1 && !elsewhere.is_empty() {
        let elsewhere: Vec<&str> = elsewhere.into_iter().collect();
        say!(
            "  note    some of them were not made on {}, but on {}: their times are not comparable with the others'",
            plan.machine,
            elsewhere.join("; ")
        );
    }
    let other = made.iter().filter(|made| made.commit != commit);
    let other: BTreeSet<&str> = other.map(|made| made.commit.as_str()).collect();
    if !other.is_empty() {
        let other: Vec<&str> = other.into_iter().collect();
        say!(
            "  note    some of them were made at another commit than now ({}; now {commit}): remove their folders to train \
             them again",
            other.join(", ")
        );
    }
    match (parallel, asked.budget) {
        (1, Budget::Minutes(minutes)) if left > 0 => {
            say!("  time    {}", expected(minutes, left));
        }
        (1, _) => {}
        _ => say!("  note    {parallel} runs at once: their times are not comparable"),
    }
}

/// Says what came of it; gives the exit code.
fn end(plan: &Plan, runs: &[Run], args: &CompareArgs, out: &Path) -> Result<u8> {
    let lines = results::lines(plan, runs, &args.device);
    let failed: Vec<(&Run, &str)> = runs
        .iter()
        .filter_map(|run| match &run.state {
            State::Failed(error) => Some((run, error.as_str())),
            _ => None,
        })
        .collect();
    let name = |run: &Run| {
        let variant = plan.variants.get(run.variant);
        variant
            .map_or("", |variant| variant.name.as_str())
            .to_string()
    };
    let results = json!({
        "variants": plan.variants.iter().map(|v| &v.name).collect::<Vec<_>>(),
        "seeds": plan.asked.seeds,
        "budget": plan.asked.budget,
        "runs": runs.iter().map(|run| json!({
            "variant": name(run),
            "seed": run.seed,
            "folder": run.folder.display().to_string(),
            "error": match &run.state { State::Failed(error) => Some(error), _ => None },
        })).collect::<Vec<_>>(),
        "measures": lines,
    });
    let path: PathBuf = out.join("results.json");
    let text = serde_json::to_string_pretty(&results)?;
    gan_core::whole::write_whole(&path, |file| std::fs::write(file, format!("{text}\n")))?;
    if args.json {
        say!("{results}");
    } else {
        results::table(plan, &lines)
            .iter()
            .for_each(|line| say!("{line}"));
        let mut said = "";
        for line in lines.iter() {
            if line.protocol != said {
                let name = line.name.split(' ').next().unwrap_or_default();
                say!("  {name}: {}", line.protocol);
                said = &line.protocol;
            }
        }
        say!(
            "  ±: the standard deviation over {} seeds",
            plan.asked.seeds.len()
        );
        say!("  values  {}", path.display());
        say!("  report  {}", out.join(report::NAME).display());
    }
    for (run, error) in &failed {
        warn!("error: {}, seed {}: {error}", name(run), run.seed);
    }
    if !failed.is_empty() && !args.json {
        say!("  again   {}", command(args));
    }
    Ok(u8::from(!failed.is_empty()))
}

/// The command that repeats a comparison.
fn command(args: &CompareArgs) -> String {
    let mut words = vec!["cargo xtask compare".to_string()];
    words.extend(args.variants.iter().map(quoted));
    words.push(Budget::of(args).option());
    let seeds: Vec<String> = args.seeds.iter().map(u64::to_string).collect();
    words.push(format!("--seeds {}", seeds.join(",")));
    let preset = gan_core::Preset::from(args.preset).name();
    if preset != "demo" {
        words.push(format!("--preset {preset}"));
    }
    if let Some(data) = &args.data {
        words.push(format!("--data {}", quoted(data)));
    }
    if let Some(vgg) = &args.vgg {
        words.push(format!("--vgg {}", quoted(vgg)));
    }
    if let Some(n) = args.n {
        words.push(format!("-n {n}"));
    }
    if let Some(out) = &args.out {
        words.push(format!("--out {}", quoted(out)));
    }
    if args.device != "auto" {
        words.push(format!("--device {}", args.device));
    }
    words.join(" ")
}
