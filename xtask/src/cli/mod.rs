//! The command line: names, help and types of all options.

use crate::Usage;
use crate::output::Format;
use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

mod compare;
mod report;
mod train;

pub use compare::{CalibrateArgs, CompareArgs, ResultsArgs};
pub use report::ReportArgs;
pub use train::{PresetArg, TrainArgs};

/// Trains, resumes, samples and checks GAN papers.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version,
    arg_required_else_help = true,
    after_help = "Examples:\n  \
        cargo xtask train vanilla                       learns digits in a minute or two\n  \
        cargo xtask train vanilla --set lr=1e-4 --seed 2\n  \
        cargo xtask train vanilla --resume              goes on with the newest run\n  \
        cargo xtask sample runs/vanilla/0001 -n 100\n  \
        cargo xtask info vanilla                        the paper, its settings, what they mean"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Threads of the CPU kernels [default: all cores]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
    /// Asks no server: data sets and weights from elsewhere are those that are here
    #[arg(long, global = true)]
    pub offline: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Trains a paper, or goes on with a run
    Train(TrainArgs),
    /// Makes pictures with a trained run or a weights file
    Sample(SampleArgs),
    /// Measures how near a run's pictures are to held-out ones, at several moments
    Eval(EvalArgs),
    /// Trains variants under one budget, on the same data and seeds, and measures them side by side
    Compare(CompareArgs),
    /// Trains every paper's demo, measures it, and writes docs/results.md and the generators that come with the project
    Results(ResultsArgs),
    /// Draws a page of a run, or of several beside each other
    Report(ReportArgs),
    /// Times a run's iterations, for a comparison that is given minutes
    #[command(hide = true)]
    Calibrate(CalibrateArgs),
    /// Lists the papers
    List,
    /// Shows a paper, its settings and what they mean
    Info(InfoArgs),
    /// Looks at data sets, and fetches them
    Data(DataArgs),
    /// Looks at weights files and checkpoints, and fetches published ones
    Weights(WeightsArgs),
    /// Trains the small network that reads digits
    Classifier(ClassifierArgs),
    /// Replays reference recordings and compares losses, gradients and weights
    Parity(ParityArgs),
    /// Times training steps; one JSON line each
    Bench(BenchArgs),
    /// Says what is built in, what is found of CUDA, and what to do next
    Doctor(DoctorArgs),
    /// Checks a GPU against the CPU, and writes what that shows and costs into docs/gpu.md
    GpuCheck(GpuCheckArgs),
    /// Checks the house rules
    Tidy,
}

/// A share, from 0 to 1.
fn alpha(word: &str) -> Result<f64, String> {
    let alpha = word.parse().ok().filter(|a| (0. ..=1.).contains(a));
    alpha.ok_or_else(|| "expected a number from 0 to 1".into())
}

/// The command that these words are, without the program's name.
///
/// # Errors
/// Words that are none: wrong usage.
fn parsed(words: &[String]) -> Result<Command> {
    let program = ["cargo xtask".to_string()];
    match Cli::try_parse_from(program.iter().chain(words)) {
        Ok(cli) => Ok(cli.command),
        Err(error) => {
            let text = error.to_string();
            let line = crate::first_line(&text);
            bail!(Usage(line.trim_start_matches("error: ").to_string()))
        }
    }
}

impl TrainArgs {
    /// The options that these words are, of which the first is `train`.
    ///
    /// # Errors
    /// Words that `train` does not take.
    pub fn of(words: &[String]) -> Result<Self> {
        match parsed(words)? {
            Command::Train(args) => Ok(args),
            _ => bail!("{} is not train", words.join(" ")),
        }
    }
}

impl EvalArgs {
    /// The options that these words are, of which the first is `eval`.
    ///
    /// # Errors
    /// Words that `eval` does not take.
    pub fn of(words: &[String]) -> Result<Self> {
        match parsed(words)? {
            Command::Eval(args) => Ok(args),
            _ => bail!("{} is not eval", words.join(" ")),
        }
    }
}

/// Options of `sample`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask sample runs/vanilla/0001\n  \
    cargo xtask sample runs/vanilla/0001 --interpolate 10 --out between.gif\n  \
    cargo xtask sample runs/vanilla/0001 -n 9 --scale 4 --out large/\n  \
    cargo xtask sample runs/cgan/0001 --class 7 -n 25\n  \
    cargo xtask sample dcgan --weights netG.pth -n 16 --seed 7\n  \
    cargo xtask sample cyclegan --weights both.pth --key netG_B --input photo.jpg\n\n\
    A generator that takes pictures translates those of --input, each in its own size:\n  \
    cargo xtask sample RUN --input photo.jpg --out drawing.png\n  \
    cargo xtask sample RUN --input folder --direction b2a --strip --out translated\n\n\
    One that enlarges or mends keeps what a photograph is (grey, 16 bits, transparency, colour profile) and sees it\n\
    tile by tile, so that any size fits the memory:\n  \
    cargo xtask sample esrgan --weights x4.pth --input photo.jpg --out large.png\n  \
    cargo xtask sample esrgan --weights x4.pth --input album.zip --format jpg --memory 512 --out large/")]
pub struct SampleArgs {
    /// A run's folder, or a paper's name together with --weights
    pub run: String,
    /// A generator's weights: PyTorch's (.pth, .pt), safetensors, or a checkpoint
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Which network of --weights, where it holds several (`weights inspect` lists them)
    #[arg(long, value_name = "NAME", requires = "weights")]
    pub key: Option<String>,
    /// Another network of the same shapes, to make pictures with one between both: ESRGAN's network interpolation
    #[arg(long, value_name = "FILE")]
    pub interpolate_with: Option<PathBuf>,
    /// How far from that network (of a run alone, from what pre-training left), 0, to the one that is sampled, 1;
    /// several, with commas between, for --strip [default: 0.8; strip: 0,0.2,…,1]
    #[arg(long, value_name = "A", value_delimiter = ',', value_parser = alpha)]
    pub alpha: Vec<f64>,
    /// Pictures to make (with --interpolate: rows) [default: 64; rows: 8]
    #[arg(short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub n: Option<u16>,
    /// Seed of the noise
    #[arg(long, default_value_t = 1, value_name = "S")]
    pub seed: u64,
    /// The class of all pictures, by its name or number, for a generator of classes [default: all classes in
    /// turn, a row each]
    #[arg(long, value_name = "C")]
    pub class: Option<String>,
    /// Pictures on the way from one noise vector to another, a row a pair
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=256))]
    pub interpolate: Option<u16>,
    /// The pictures to translate, for a generator that takes pictures: one, a folder or a zip file
    #[arg(long, value_name = "PATH")]
    pub input: Option<PathBuf>,
    /// Which way, for a run that translates both ways [default: a2b]
    #[arg(long, value_enum, value_name = "WAY")]
    pub direction: Option<DirectionArg>,
    /// Writes the input beside its translation (and what comes back, where both ways are translated); beside a picture
    /// that was enlarged, the input enlarged by a bicubic filter
    #[arg(long)]
    pub strip: bool,
    /// Pixels a side of the tiles that a photograph is enlarged in [default: what --memory holds]
    #[arg(long, value_name = "N", conflicts_with = "memory", value_parser = clap::value_parser!(u32).range(8..=65_535))]
    pub tile: Option<u32>,
    /// Pixels around a tile that the generator sees besides; with as many as it reaches no tile shows [default: 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=4096))]
    pub overlap: Option<u32>,
    /// MiB of memory that tiles may take, the photograph aside [default: 1024]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    pub memory: Option<u64>,
    /// Writes a file a picture into a folder, not a grid
    #[arg(long)]
    pub separate: bool,
    /// Shows each pixel as N x N
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub scale: Option<u16>,
    /// The format of files whose names the program chooses [default: png]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// A file, whose ending says its format (.png .jpg .jpeg; with --interpolate also .gif), or, with / at its end, a
    /// folder of single pictures [default: in samples/ of the run, or here; the name says what was asked for]
    #[arg(long, value_name = "PATH")]
    pub out: Option<PathBuf>,
    /// Writes over files that are there with other contents
    #[arg(long)]
    pub force: bool,
    /// The run's data, where they were moved: equal contents count
    #[arg(long, value_name = "DATA")]
    pub data: Option<String>,
    /// auto, cpu, cuda or cuda:I
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    pub device: String,
}

/// A direction of translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DirectionArg {
    /// From side A to side B
    #[value(name = "a2b")]
    A2b,
    /// From side B to side A
    #[value(name = "b2a")]
    B2a,
}

/// Options of `eval`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask eval runs/vanilla/0001\n  \
    cargo xtask eval runs/vanilla/0001 --at start,last\n  \
    cargo xtask eval runs/wgan/0001 runs/wgan-gp/0001 --at last\n\n\
    Values stand beside those of the mean picture plus noise of each pixel's deviation; in parentheses \
    the share of it. Each is printed with its protocol, on which it depends, and saved\n\
    in the run's metrics.json.")]
pub struct EvalArgs {
    /// Folders of runs
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// The run's data, where they were moved: equal contents count
    #[arg(long, value_name = "DATA")]
    pub data: Option<String>,
    /// Moments: start (the untrained network), an iteration, last [default: start and all checkpoints]
    #[arg(long, value_name = "T,…", value_delimiter = ',')]
    pub at: Vec<String>,
    /// Pictures to measure [default: as many as are held out, up to 1000; of each side up to 500]
    #[arg(short, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub n: Option<u32>,
    /// The measures to print: swd, fid, accuracy, … [default: all that can be stated]
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub metrics: Vec<String>,
    /// Weights of Inception v3 in pytorch-fid's or torchvision's layout, for fid, kid, precision and recall
    #[arg(long, value_name = "FILE")]
    pub inception: Option<PathBuf>,
    /// Seed of noise, places, directions and choice of pictures
    #[arg(long, default_value_t = 1, value_name = "S")]
    pub seed: u64,
    /// Prints JSON, an object and a line for each run
    #[arg(long)]
    pub json: bool,
    /// auto, cpu, cuda or cuda:I
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    pub device: String,
}

/// Options of `info`.
#[derive(Debug, Args)]
pub struct InfoArgs {
    /// The paper
    pub paper: String,
}

/// Options of `data`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask data ls\n  \
    cargo xtask data inspect photos/ --out sheet.png\n  \
    cargo xtask-hub data get cifar-10\n  \
    cargo xtask-hub data get hf:ORG/NAME@REVISION/FOLDER")]
pub struct DataArgs {
    /// What to look at.
    #[command(subcommand)]
    pub command: DataCommand,
}

/// The commands of `data`.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Lists the data sets that have a name, and those from elsewhere that are here
    Ls,
    /// Fetches a data set from elsewhere, and says where it is
    #[command(after_help = "Examples:\n  \
        cargo xtask-hub data get cifar-10\n  \
        cargo xtask-hub data get hf:ORG/NAME\n  \
        cargo xtask-hub data get hf:ORG/NAME@REVISION/FOLDER_OR_FILE.zip\n\n\
    Parquet files are unpacked into a zip file of pictures. What was cut is gone on with; what is here is not asked for \
    again. HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE and HF_HUB_DOWNLOAD_TIMEOUT mean what they mean \
    to the hub's own tools.")]
    Get {
        /// A name (`data ls`), or hf:ORG/NAME, hf:ORG/NAME@REVISION, hf:ORG/NAME/FOLDER_OR_FILE
        data: String,
        /// Asks whether a branch has got on since
        #[arg(long)]
        refresh: bool,
    },
    /// Shows counts, sizes and classes of a data set, and writes a contact sheet
    Inspect {
        /// A data set's name, a folder or a zip file
        data: String,
        /// The contact sheet to write (.png, .jpg)
        #[arg(long, value_name = "PATH")]
        out: Option<PathBuf>,
    },
}

/// Options of `weights`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask weights inspect netG.pth\n  \
    cargo xtask weights inspect checkpoint.pth --key params\n  \
    cargo xtask weights convert netG.pth g.safetensors\n  \
    cargo xtask-hub weights get esrgan")]
pub struct WeightsArgs {
    /// What to look at.
    #[command(subcommand)]
    pub command: WeightsCommand,
}

/// The commands of `weights`.
#[derive(Debug, Subcommand)]
pub enum WeightsCommand {
    /// Lists the published weights that have a name, with their licences
    Ls,
    /// Fetches published weights, and says where they are and what they are known by
    #[command(after_help = "Examples:\n  \
        cargo xtask-hub weights get esrgan\n  \
        cargo xtask-hub weights get hf:ORG/NAME/FILE\n\n\
    Wherever a command takes a file of weights it takes a name or an address, too. GAN_WEIGHTS_URL names another place \
    that has the files.")]
    Get {
        /// A name (`weights ls`), or hf:ORG/NAME/FILE, hf:ORG/NAME@REVISION/FILE
        name: String,
    },
    /// Says what a file is: container, networks, types of numbers, which papers it fits, and its tensors
    #[command(after_help = "Examples:\n  \
        cargo xtask weights inspect runs/vanilla/0001/weights/g.safetensors\n  \
        cargo xtask weights inspect netG.pth\n  \
        cargo xtask weights inspect checkpoint.pth --key params")]
    Inspect {
        /// A file of PyTorch's (.pth, .pt), a safetensors file or a checkpoint
        file: PathBuf,
        /// Which network, where the file holds several
        #[arg(long, value_name = "NAME")]
        key: Option<String>,
    },
    /// Writes a network of a file as safetensors, its numbers of the types that they have
    #[command(after_help = "Examples:\n  \
        cargo xtask weights convert netG.pth g.safetensors\n  \
        cargo xtask weights convert both.pth b.safetensors --key netG_B\n\n\
    Nothing in a .pth file is run. What was taken and what was left out is said.")]
    Convert {
        /// A file of PyTorch's (.pth, .pt), a safetensors file or a checkpoint
        file: PathBuf,
        /// The file to write; its name ends with .safetensors
        out: PathBuf,
        /// Which network, where the file holds several
        #[arg(long, value_name = "NAME")]
        key: Option<String>,
        /// Writes over a file that is there with other contents
        #[arg(long)]
        force: bool,
    },
}

/// Options of `classifier`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask classifier --out crates/gan-eval/lenet-mnist.safetensors\n\n\
    Without options it makes the weights that come with the project, and prints their test accuracy.")]
pub struct ClassifierArgs {
    /// The weights file to write (safetensors)
    #[arg(long, default_value = "lenet-mnist.safetensors", value_name = "FILE")]
    pub out: PathBuf,
    /// Seed of weights, order and shifts
    #[arg(long, default_value_t = 1, value_name = "S")]
    pub seed: u64,
    /// Passes over the 9,000 training digits [default: 15]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub epochs: Option<u64>,
    /// auto, cpu, cuda or cuda:I
    #[arg(long, default_value = "cpu", value_name = "DEVICE")]
    pub device: String,
}

/// Options of `parity`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask parity tests/fixtures/*.safetensors\n\n\
    A group's error is max|a−b| / max|b| over its tensors. Exit code 1 when an error is over its limit, \
    2 for a recording that this version cannot replay.")]
pub struct ParityArgs {
    /// Reference recordings
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// auto, cpu, cuda or cuda:I
    #[arg(long, default_value = "cpu", value_name = "DEVICE")]
    pub device: String,
}

/// Options of `bench`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask bench vanilla --threads 2\n  \
    cargo xtask bench ops                  single ops, ours beside stock candle's\n\n\
    Pictures are made once, noise is drawn in the step, losses are not read. Several labels run in a \
    process each, so that the peak memory is their own.")]
pub struct BenchArgs {
    /// What to time: labels of papers; or `ops`, then words in the names of ops [default: all papers]
    #[arg(value_name = "LABEL")]
    pub labels: Vec<String>,
    /// Overrides a setting of the papers (`info PAPER` lists them); repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Iterations timed at most
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u64).range(2..))]
    pub steps: u64,
    /// Stop timing after this many seconds (two iterations at least)
    #[arg(long, default_value_t = 20., value_name = "S")]
    pub seconds: f64,
    /// Also print which ops, on which shapes, the time went to
    #[arg(long)]
    pub profile: bool,
    /// Times the networks of the smoke preset, to try the benchmark itself
    #[arg(long)]
    pub small: bool,
    /// auto, cpu, cuda or cuda:I
    #[arg(long, default_value = "cpu", value_name = "DEVICE")]
    pub device: String,
}

/// Options of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `gpu-check`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask-cuda gpu-check\n  \
    cargo xtask-cuda gpu-check --python venv/bin/python\n\n\
    Replays every recording, compares every op and each paper's iterations with the CPU's, and times the \
    iterations of `bench`, alternately with the reference's where PyTorch sees the GPU. Exit code 1 when a \
    check fails.")]
pub struct GpuCheckArgs {
    /// cuda or cuda:I
    #[arg(long, default_value = "cuda", value_name = "DEVICE")]
    pub device: String,
    /// Iterations of each paper that are compared with the CPU's
    #[arg(long, default_value_t = 30, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub iterations: u64,
    /// Iterations timed at most
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u64).range(2..))]
    pub steps: u64,
    /// Stop timing a paper after this many seconds (two iterations at least)
    #[arg(long, default_value_t = 20., value_name = "S")]
    pub seconds: f64,
    /// How often each time is taken in turn with PyTorch's
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub rounds: u64,
    /// Times the networks of the smoke preset, to try the command itself
    #[arg(long)]
    pub small: bool,
    /// The Python that has PyTorch
    #[arg(long, default_value = "python3", value_name = "COMMAND")]
    pub python: String,
    /// A folder of recordings [default: tests/fixtures of the project]
    #[arg(long, value_name = "DIR")]
    pub fixtures: Option<PathBuf>,
    /// The page whose table is written [default: docs/gpu.md of the project]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}
