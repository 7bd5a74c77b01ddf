//! What a program without the feature `hub` does with names of what is elsewhere: says which program fetches it.

use crate::Usage;
use anyhow::{Result, bail};
use std::path::PathBuf;

fn elsewhere<T>(name: &str) -> Result<T> {
    bail!(Usage(format!(
        "{name} is fetched from elsewhere, which this program is built without: write cargo xtask-hub in place of cargo \
         xtask (it builds some 170 crates more, once)"
    )))
}

/// Says what fetches it.
pub fn located(name: &str) -> Result<PathBuf> {
    elsewhere(name)
}

/// Says what fetches it.
pub fn pinned(name: &str) -> Result<String> {
    elsewhere(name)
}

/// Says what fetches them.
pub fn weights(name: &str) -> Result<PathBuf> {
    elsewhere(name)
}

/// Says what fetches it.
pub fn get_data(name: &str, _: bool) -> Result<()> {
    elsewhere(name)
}

/// Says what fetches them.
pub fn get_weights(name: &str) -> Result<()> {
    elsewhere(name)
}

/// Nothing is known of what is kept.
pub fn kept() -> Result<Vec<(String, PathBuf)>> {
    Ok(Vec::new())
}
