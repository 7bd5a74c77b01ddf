//! The options of `report`.

use clap::Args;
use std::path::PathBuf;

/// Options of `report`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask report runs/vanilla/0001\n  \
    cargo xtask report runs/vanilla/0001 runs/vanilla/0002 --out both.html\n\n\
    A page without any need of a network: curves, measures (those of the last eval), pictures over the training, time\n\
    and memory. Runs whose settings differ in the seed alone are one variant. `train` draws that of its run itself.")]
pub struct ReportArgs {
    /// Runs' folders
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// The page [default: report.html in the run's folder; of several runs here]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Writes over a file that is no report
    #[arg(long)]
    pub force: bool,
}
