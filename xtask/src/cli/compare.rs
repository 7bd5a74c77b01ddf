//! The command lines of `compare` and of the calibration that it begins with.

use super::train::{PresetArg, TrainArgs};
use clap::Args;
use std::path::PathBuf;

/// Options of `compare`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask compare vanilla dcgan wgan wgan-gp --minutes 2 --seeds 1,2\n  \
    cargo xtask compare wgan wgan:clip=0.1 wgan:clip=0.001 --steps 2000\n  \
    cargo xtask compare cyclegan cyclegan:lambda_identity=0.5 --images 20000 --seeds 1,2,3\n  \
    cargo xtask compare dcgan@paper dcgan --data photos/ --minutes 10\n\n\
    A variant is PAPER[@PRESET][:KEY=VALUE,…]. Each run is a process of its own, one after another. The same command\n\
    again goes on where it was stopped; runs done before with the same settings are taken as they are. A variant that\n\
    fails is reported and costs the others nothing.")]
pub struct CompareArgs {
    /// What is compared: papers, with a preset and settings where they differ from the usual ones
    #[arg(required = true, num_args = 2.., value_name = "VARIANT")]
    pub variants: Vec<String>,
    /// Minutes of each run; a calibration turns them into iterations before the first training [default: 2]
    #[arg(long, value_name = "M", group = "budget", value_parser = minutes)]
    pub minutes: Option<f64>,
    /// Iterations of each run
    #[arg(long, value_name = "N", group = "budget", value_parser = clap::value_parser!(u64).range(1..))]
    pub steps: Option<u64>,
    /// Training pictures that each run is shown
    #[arg(long, value_name = "N", group = "budget", value_parser = clap::value_parser!(u64).range(1..))]
    pub images: Option<u64>,
    /// Seeds; each variant is trained with each of them
    #[arg(long, value_name = "S,…", value_delimiter = ',', default_values_t = [1, 2],
        value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub seeds: Vec<u64>,
    /// The preset of variants that name none
    #[arg(long, value_enum, default_value = "demo")]
    pub preset: PresetArg,
    /// The data of all variants [default: the papers', where they are the same]
    #[arg(long, value_name = "DATA")]
    pub data: Option<String>,
    /// Weights of VGG19, for losses that look at its features
    #[arg(long, value_name = "FILE")]
    pub vgg: Option<PathBuf>,
    /// Pictures to measure, as eval's -n
    #[arg(short, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub n: Option<u32>,
    /// Runs at once; their times are then not comparable
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub parallel: u16,
    /// The comparison's folder [default: runs/compare/ and a name made of what is compared]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Says what would be done, and ends
    #[arg(long)]
    pub dry_run: bool,
    /// Prints the values as JSON
    #[arg(long)]
    pub json: bool,
    /// auto, cpu, cuda or cuda:I
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    pub device: String,
}

/// Minutes, or a part of one.
fn minutes(word: &str) -> Result<f64, String> {
    let minutes = word.parse().ok().filter(|m: &f64| m.is_finite() && *m > 0.);
    minutes.ok_or_else(|| "expected a number above 0".into())
}

/// Options of `calibrate`.
#[derive(Debug, Args)]
pub struct CalibrateArgs {
    /// The run.
    #[command(flatten)]
    pub run: TrainArgs,
    /// Seconds to time it for.
    #[arg(long, default_value_t = 5.)]
    pub seconds: f64,
}

/// Options of `results`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask --threads 1 results           all demos: 40 minutes (AVX-512), 2 hours (AVX2)\n  \
    cargo xtask --threads 1 results srgan     one of them; the others stay as they are\n\n\
    Runs that are done are taken as they are; what was stopped goes on.")]
pub struct ResultsArgs {
    /// Papers whose demos are trained and measured where that was not done yet [default: all]
    #[arg(value_name = "PAPER")]
    pub papers: Vec<String>,
    /// The folder of the runs
    #[arg(long, default_value = "runs/results", value_name = "DIR")]
    pub runs: PathBuf,
    /// The project's folder, in which docs and assets are written [default: this one]
    #[arg(long, value_name = "DIR")]
    pub project: Option<PathBuf>,
}
