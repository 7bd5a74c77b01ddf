//! The command line of `train`.

use clap::{Args, ValueEnum};
use gan_core::Preset;
use std::path::PathBuf;

/// Options of `train`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask train vanilla\n  \
    cargo xtask train vanilla --steps 2000 --out runs/quick\n  \
    cargo xtask train vanilla --out runs/quick --resume --steps 4000\n  \
    cargo xtask train vanilla --config runs/quick/config.toml --seed 2\n  \
    cargo xtask train dcgan --data photos/ --set size=64 --skip-small\n  \
    cargo xtask train cyclegan --resume --steps 5400 --stretch\n  \
    cargo xtask train esrgan --data photos/ --init g=x4.pth    learns on from published weights\n  \
    cargo xtask train vanilla --resume --set lr=1e-4           another learning rate from here on\n  \
    cargo xtask train dcgan --resume --data moved/photos       its data are elsewhere now\n\n\
    Ctrl-C finishes the iteration, saves, and says how to go on; a second one ends at once.")]
pub struct TrainArgs {
    /// The paper; `list` shows them
    pub paper: String,
    /// Choice of settings [default: demo]
    #[arg(long, value_enum)]
    pub preset: Option<PresetArg>,
    /// A data set's name (`data ls`), a folder or a zip file, or hf:ORG/NAME [default: the paper's, which `info PAPER` names]
    #[arg(long, value_name = "DATA")]
    pub data: Option<String>,
    /// Weights of VGG19 with torchvision's keys, for a loss that looks at its features
    #[arg(long, value_name = "FILE")]
    pub vgg: Option<PathBuf>,
    /// Starts a network of a new run from saved weights: g=FILE, d=FILE, … (`info PAPER` names its networks); repeatable
    #[arg(long, value_name = "NET=FILE", conflicts_with = "resume")]
    pub init: Vec<String>,
    /// Enlarges pictures that are smaller than the run needs; without this or --skip-small they stop the start
    #[arg(long, conflicts_with = "skip_small")]
    pub enlarge: bool,
    /// Leaves out pictures that are smaller than the run needs
    #[arg(long)]
    pub skip_small: bool,
    /// MiB of memory for decoded pictures; larger sets go to a temporary file in TMPDIR [default: 1024]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(0..=1 << 30))]
    pub memory: Option<u64>,
    /// Iterations of the whole run, from which schedules are reckoned [default: the preset's]
    #[arg(long, value_name = "N")]
    pub steps: Option<u64>,
    /// The same in passes over the data
    #[arg(long, value_name = "N", conflicts_with = "steps", value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    pub epochs: Option<u64>,
    /// Stops after this many iterations; the run stays as long as it is and can be gone on with
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub until: Option<u64>,
    /// With --resume and another length: reckons the schedule of the learning rate anew
    #[arg(long, requires = "resume", conflicts_with = "constant")]
    pub stretch: bool,
    /// With --resume and a greater length: keeps the learning rate where it is
    #[arg(long, requires = "resume")]
    pub constant: bool,
    /// Seed of weights, noise and order [default: 1]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub seed: Option<u64>,
    /// The run's folder [default: runs/PAPER/0001, 0002, …]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Goes on with the run in --out (or the newest of the paper), from its newest checkpoint or from FILE
    #[arg(long, value_name = "FILE", num_args = 0..=1, conflicts_with = "config")]
    pub resume: Option<Option<PathBuf>>,
    /// Reads everything from a run's config.toml; other options override it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Overrides a setting of the paper (`info PAPER` lists them); repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// auto, cpu, cuda or cuda:I
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    pub device: String,
    /// Iterations between two records of the scalars; 0: never [default: 50]
    #[arg(long, value_name = "N")]
    pub log_every: Option<u64>,
    /// Iterations between two grids; 0: never [default: a fortieth of the run]
    #[arg(long, value_name = "N")]
    pub sample_every: Option<u64>,
    /// Iterations between two checkpoints; 0: at the end only [default: a twentieth of the run]
    #[arg(long, value_name = "N")]
    pub save_every: Option<u64>,
    /// Checkpoints to keep: the newest N, and up to N spread over the run before; or all [default: 3]
    #[arg(long, value_name = "N", value_parser = keep)]
    pub keep: Option<u32>,
    /// Prints what would be done and ends
    #[arg(long)]
    pub dry_run: bool,
    /// Prints errors only
    #[arg(long, short)]
    pub quiet: bool,
    /// As a comparison's own: stops and saves when the standard input ends, and takes a run that is done as it is
    #[arg(long, hide = true)]
    pub attended: bool,
}

/// A number of checkpoints; 0 for all of them.
fn keep(word: &str) -> Result<u32, String> {
    match (word, word.parse()) {
        ("all", _) => Ok(0),
        (_, Ok(n)) if n > 0 => Ok(n),
        _ => Err("expected a number from 1 on, or all".into()),
    }
}

/// A preset's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PresetArg {
    /// Learns visibly on two cores in minutes
    Demo,
    /// The paper's own setting
    Paper,
    /// Tiny networks and few iterations, for tests
    Smoke,
}

impl From<PresetArg> for Preset {
    fn from(preset: PresetArg) -> Self {
        match preset {
            PresetArg::Demo => Preset::Demo,
            PresetArg::Paper => Preset::Paper,
            PresetArg::Smoke => Preset::Smoke,
        }
    }
}
