//! What is elsewhere: data sets and weights by name, on the hub and on the web. Fetched by programs that are built with
//! the feature `hub`; all others know the names, and say so.

#[cfg(feature = "hub")]
mod bar;
pub mod data;
#[cfg(feature = "hub")]
mod fetch;
pub mod weights;
#[cfg(not(feature = "hub"))]
mod without;

#[cfg(feature = "hub")]
use fetch as inner;
#[cfg(not(feature = "hub"))]
use without as inner;

pub use inner::{get_data, get_weights, kept};

use crate::cli::{Command, WeightsCommand};
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether no server is asked.
static OFFLINE: AtomicBool = AtomicBool::new(false);
/// Whether nothing is said of what is being fetched.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Takes from a command line whether servers may be asked, and puts files that are here in place of weights that are
/// named as what is elsewhere.
///
/// # Errors
/// Weights that cannot be fetched.
pub fn settle(command: &mut Command, offline: bool) -> Result<()> {
    OFFLINE.store(offline, Ordering::Relaxed);
    let files: Vec<&mut PathBuf> = match command {
        Command::Train(args) => {
            QUIET.store(args.quiet, Ordering::Relaxed);
            for init in &mut args.init {
                if let Some((net, file)) = init.split_once('=') {
                    *init = format!("{net}={}", resolved(Path::new(file))?.display());
                }
            }
            args.vgg.iter_mut().collect()
        }
        Command::Compare(args) => args.vgg.iter_mut().collect(),
        Command::Sample(args) => args
            .weights
            .iter_mut()
            .chain(&mut args.interpolate_with)
            .collect(),
        Command::Eval(args) => args.inception.iter_mut().collect(),
        Command::Weights(args) => match &mut args.command {
            WeightsCommand::Inspect { file, .. } | WeightsCommand::Convert { file, .. } => {
                vec![file]
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    for file in files {
        *file = resolved(file)?;
    }
    Ok(())
}

/// The file that weights are in: the path itself, or what was fetched of an address or a name.
fn resolved(file: &Path) -> Result<PathBuf> {
    let named = file
        .to_str()
        .filter(|name| is_address(name) || weights::known(name).is_some());
    match named.filter(|_| !file.exists()) {
        Some(name) => inner::weights(name),
        None => Ok(file.to_path_buf()),
    }
}

fn is_address(name: &str) -> bool {
    name.starts_with("hf:")
}

/// Whether this names a data set that is elsewhere.
pub fn is_elsewhere(name: &str) -> bool {
    is_address(name) || data::known(name).is_some()
}

/// The folder or zip file of a data set that is elsewhere, fetched where it is not here.
///
/// # Errors
/// Those of fetching; in a program without the feature, which one has it.
pub fn located(name: &str) -> Result<PathBuf> {
    inner::located(name)
}

/// The same data set by a name that stays what it is: at the commit that is here.
///
/// # Errors
/// Those of [`located`].
pub fn pinned(name: String) -> Result<String> {
    match is_elsewhere(&name) {
        true => inner::pinned(&name),
        false => Ok(name),
    }
}
