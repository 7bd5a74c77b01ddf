//! `gpu-check`: one command on a machine with a GPU that shows whether it computes what the CPU does, and what
//! that costs; its table stands in `docs/gpu.md`.

use super::{edge, steps};
use crate::cli::GpuCheckArgs;
use crate::observers::thousands;
use crate::{Usage, dataset, one_line, parity, process};
use anyhow::{Context as _, Result, bail};
use candle_core::Device;
use gan_core::{FileError, Recipe};
use serde::Deserialize;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The table stands between these lines.
const MARKS: [&str; 2] = ["<!-- gpu-check -->", "<!-- /gpu-check -->"];

/// Of what iterations leave behind, how much may be as far from the CPU's as the CPU is from itself. CycleGAN
/// has the most, a tenth: biases before its instance norms, whose gradients are nothing but roundings.
const LOOSE: f64 = 0.15;

/// One check, in words.
struct Checked {
    what: String,
    result: String,
    passed: bool,
}

/// One line of `bench`, ours or the reference's.
#[derive(Clone, Debug, Deserialize)]
struct Timed {
    median_s: f64,
    #[serde(default)]
    peak_device_mib: Option<u64>,
    #[serde(default)]
    launches: Option<u64>,
    #[serde(default)]
    library_calls: Option<u64>,
    #[serde(default)]
    htod: Option<u64>,
    #[serde(default)]
    syncs: Option<u64>,
}

/// An iteration of a paper at full size.
struct Cost {
    label: String,
    ours: Timed,
    /// The reference's seconds, taken in turn with ours.
    theirs: Option<f64>,
}

impl Cost {
    /// The reference's time over ours.
    fn ratio(&self) -> Option<f64> {
        self.theirs.map(|theirs| theirs / self.ours.median_s)
    }

    /// Of several rounds the middle one in this order stands in the table.
    fn order(&self) -> f64 {
        self.ratio().unwrap_or_default()
    }
}

/// Runs `gpu-check`; gives the exit code.
///
/// # Errors
/// A device that cannot be opened; a file whose table cannot be written. What a check finds is no error: it is
/// printed, stands in the table, and makes the exit code 1.
pub fn gpu_check(papers: &[&dyn Recipe], args: &GpuCheckArgs) -> Result<u8> {
    let device = process::device(&args.device)?;
    if device.is_cpu() {
        bail!(Usage(format!(
            "--device {}: gpu-check compares a GPU with the CPU",
            args.device
        )))
    }
    // Read first, so that an hour's work is not lost for want of a place to write it.
    let page = match &args.out {
        Some(path) => path.clone(),
        None => dataset::workspace()?.join("docs/gpu.md"),
    };
    let parts = split(&page)?;
    let mut checks = Vec::new();
    recordings(papers, &device, args, &mut checks)?;
    ops(&device, &mut checks);
    for recipe in papers {
        alone(*recipe, &device, args, &mut checks);
    }
    let costs = costs(papers, args, &mut checks)?;
    let failed = checks.iter().filter(|check| !check.passed).count();
    let table = table(&device, args.small, &checks, &costs);
    let text = format!(
        "{}{}\n\n{table}\n{}{}",
        parts[0], MARKS[0], MARKS[1], parts[1]
    );
    gan_core::whole::write_whole(&page, |file| std::fs::write(file, &text))?;
    say!("{table}");
    say!("the table stands in {}", page.display());
    say!(
        "{}",
        match failed {
            0 => format!("all {} checks passed", checks.len()),
            _ => format!("{failed} of {} checks FAILED", checks.len()),
        }
    );
    Ok(u8::from(failed > 0))
}

/// What stands before and after the table.
fn split(page: &Path) -> Result<[String; 2]> {
    let text = std::fs::read_to_string(page).map_err(|e| FileError::reading(page, &e))?;
    let found = text
        .split_once(MARKS[0])
        .and_then(|(before, rest)| Some((before, rest.split_once(MARKS[1])?.1)));
    match found {
        Some((before, after)) => Ok([before.into(), after.into()]),
        None => bail!(FileError::new(
            page,
            format!("has no lines {} and {}", MARKS[0], MARKS[1]),
            "add them where the table is to stand",
        )),
    }
}

fn note(checks: &mut Vec<Checked>, what: String, result: Result<String, String>) {
    let passed = result.is_ok();
    let result = result.unwrap_or_else(|problem| format!("FAILED: {problem}"));
    say!("{what}: {result}");
    checks.push(Checked {
        what,
        result,
        passed,
    });
}

/// Every recording of the reference, replayed on the device.
fn recordings(
    papers: &[&dyn Recipe],
    device: &Device,
    args: &GpuCheckArgs,
    checks: &mut Vec<Checked>,
) -> Result<()> {
    let folder = match &args.fixtures {
        Some(folder) => folder.clone(),
        None => dataset::workspace()?.join("tests/fixtures"),
    };
    let entries = std::fs::read_dir(&folder).map_err(|e| FileError::reading(&folder, &e))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| {
        path.extension()
            .is_some_and(|ending| ending == "safetensors")
    });
    files.sort();
    if files.is_empty() {
        bail!(FileError::new(
            &folder,
            "holds no recording",
            "name another folder with --fixtures"
        ))
    }
    let mut worst = (0f64, String::new());
    let mut problems = Vec::new();
    for file in &files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        match parity::check(papers, file, device) {
            Ok(report) => {
                for group in &report.groups {
                    let share = group.error / group.limit;
                    if share.is_nan() || share > worst.0 {
                        worst = (share, format!("{name}, {}", group.name));
                    }
                }
                let over = report
                    .failed()
                    .map(|group| format!("{name}: {} is over", group.name));
                problems.extend(over);
            }
            Err(error) => problems.push(format!("{name}: {}", one_line(&error))),
        }
    }
    let result = match problems.is_empty() {
        true => Ok(format!(
            "{} of {} within their limits; at most {:.0} % of one ({})",
            files.len(),
            files.len(),
            100. * worst.0,
            worst.1
        )),
        false => Err(problems.join("; ")),
    };
    note(checks, "recordings of the reference".into(), result);
    Ok(())
}

/// Every public op of gan-kernels beside the CPU's.
fn ops(device: &Device, checks: &mut Vec<Checked>) {
    let mut faults = Vec::new();
    let mut see = |outcome: &edge::Outcome| {
        faults.extend(
            outcome
                .faults
                .iter()
                .map(|fault| format!("{}: {fault}", outcome.case)),
        );
    };
    let result = match edge::sweep(&Device::Cpu, device, &mut see) {
        Err(error) => Err(error.to_string()),
        Ok(summary) if faults.is_empty() => Ok(format!(
            "{} cases of {} functions; first order within {:.1e}, second {:.1e}",
            summary.cases,
            edge::names().len(),
            summary.first,
            summary.second
        )),
        Ok(summary) => Err(format!(
            "{} of {} cases: {}",
            summary.faulty,
            summary.cases,
            faults.join("; ")
        )),
    };
    note(checks, "ops of gan-kernels".into(), result);
}

/// A paper's iterations beside the CPU's, and that a run goes on where it stopped.
fn alone(recipe: &dyn Recipe, device: &Device, args: &GpuCheckArgs, checks: &mut Vec<Checked>) {
    let name = recipe.info().name;
    let result = match steps::follow(recipe, device, args.iterations) {
        Err(error) => Err(one_line(&error)),
        Ok(report) => {
            let worst = report.groups.iter().map(|group| group.error);
            let said = format!(
                "within {:.1e}; {} of {} tensors in iterations that magnify roundings",
                worst.fold(0., f64::max),
                thousands(report.loose.len() as u64),
                thousands(report.tensors as u64)
            );
            match report.failed().next() {
                Some(group) => Err(format!(
                    "{} is off by {:.1e} ({})",
                    group.name, group.error, group.worst
                )),
                None if report.loose.len() as f64 > LOOSE * report.tensors as f64 => Err(said),
                None => Ok(said),
            }
        }
    };
    note(
        checks,
        format!("{name}, {} iterations one by one", args.iterations),
        result,
    );
    let result = match steps::resumed(recipe, device, 2) {
        Err(error) => Err(one_line(&error)),
        Ok(Some(tensor)) => Err(format!("{tensor} has other bits")),
        Ok(None) => Ok("the same bits".into()),
    };
    note(checks, format!("{name}, stopped and resumed"), result);
}

/// Times every label of `bench` in processes of its own, alternately with the reference where PyTorch has a GPU.
fn costs(
    papers: &[&dyn Recipe],
    args: &GpuCheckArgs,
    checks: &mut Vec<Checked>,
) -> Result<Vec<Cost>> {
    let reference = dataset::workspace()?.join("tests/reference/bench.py");
    let torch = has_torch(args);
    if !torch {
        say!(
            "no PyTorch with a GPU behind {}: only our own steps are timed",
            args.python
        );
    }
    let own = std::env::current_exe()?;
    let numbers = [args.steps.to_string(), args.seconds.to_string()];
    let limits = ["--steps", &numbers[0], "--seconds", &numbers[1]];
    let mut costs = Vec::new();
    for label in papers
        .iter()
        .flat_map(|recipe| recipe.info().bench.iter().map(|bench| bench.label))
    {
        let ours = || {
            let mut command = Command::new(&own);
            command
                .args(["bench", label, "--device", &args.device])
                .args(limits);
            timed(command.args(args.small.then_some("--small")))
        };
        let theirs = || {
            let mut command = Command::new(&args.python);
            timed(
                command
                    .arg(&reference)
                    .args([label, "--device", "cuda"])
                    .args(limits),
            )
        };
        let measured = (0..if torch { args.rounds } else { 1 })
            .map(|_| Ok((ours()?, torch.then(&theirs).transpose()?)))
            .collect::<Result<Vec<_>>>();
        let rounds = match measured {
            Ok(rounds) => rounds,
            // One that does not fit into the GPU's memory must not cost the table of the others.
            Err(error) => {
                note(checks, format!("{label}, timed"), Err(one_line(&error)));
                continue;
            }
        };
        let mut rounds: Vec<Cost> = rounds
            .into_iter()
            .map(|(ours, theirs)| Cost {
                label: label.into(),
                theirs: theirs.map(|theirs| theirs.median_s),
                ours,
            })
            .collect();
        rounds.sort_by(|a, b| a.order().total_cmp(&b.order()));
        if let Some(cost) = rounds
            .into_iter()
            .nth(args.rounds as usize / 2 * usize::from(torch))
        {
            say!("{label}: {:.2} ms", 1e3 * cost.ours.median_s);
            costs.push(cost);
        }
    }
    Ok(costs)
}

fn has_torch(args: &GpuCheckArgs) -> bool {
    let ask = "import sys, torch; sys.exit(not torch.cuda.is_available())";
    let output = Command::new(&args.python).args(["-c", ask]).output();
    output.is_ok_and(|output| output.status.success())
}

/// The last line that a benchmark prints.
fn timed(command: &mut Command) -> Result<Timed> {
    let output = command
        .output()
        .with_context(|| format!("{command:?} cannot be started"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{command:?} ended with {}: {}",
            output.status,
            error.lines().last().unwrap_or_default()
        )
    }
    let line = said.lines().last().unwrap_or_default();
    serde_json::from_str(line)
        .with_context(|| format!("{command:?} said {line:?}, expected a line of JSON"))
}

/// The page's part between the marks.
fn table(device: &Device, small: bool, checks: &[Checked], costs: &[Cost]) -> String {
    let mut text = String::new();
    let standin = costs.iter().any(|cost| cost.ours.launches.is_some());
    let small = if small {
        "; iterations of the smoke presets' networks"
    } else {
        ""
    };
    let _ = writeln!(text, "On {}{small}.\n", process::describe(device));
    text += "| check | result |\n|---|---|\n";
    for Checked { what, result, .. } in checks {
        let _ = writeln!(text, "| {what} | {} |", result.replace('|', "\\|"));
    }
    text += "\n| iteration | ms | PyTorch's ms | PyTorch's / ours | memory MiB | launches | library calls | uploads | waits |\n\
             |---|---|---|---|---|---|---|---|---|\n";
    let number = |n: Option<u64>| n.map_or("not counted".into(), thousands);
    for cost in costs {
        let Cost { label, ours, .. } = cost;
        let ms = |seconds: f64| format!("{:.2}", 1e3 * seconds);
        // A stand-in's times say nothing of a GPU's.
        let time = if standin {
            "–".into()
        } else {
            ms(ours.median_s)
        };
        let their = cost.theirs.map_or("–".into(), ms);
        let ratio = cost.ratio().map_or("–".into(), |r| format!("{r:.2}"));
        let _ = writeln!(
            text,
            "| {label} | {time} | {their} | {ratio} | {} | {} | {} | {} | {} |",
            number(ours.peak_device_mib),
            number(ours.launches),
            number(ours.library_calls),
            number(ours.htod),
            number(ours.syncs)
        );
    }
    text
}
