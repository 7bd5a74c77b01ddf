//! `train --init NET=FILE`: networks that start from saved weights in place of random ones.

use crate::Usage;
use crate::observers::thousands;
use crate::samedata::absolute;
use crate::settings::{Init, nearest};
use anyhow::{Result, bail};
use gan_core::{Algorithm, Contents, FileError, Weights, brief};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The weights that networks start from, by the networks' names.
#[derive(Clone, Debug, Default)]
pub struct Begins(BTreeMap<String, Arc<Weights>>);

impl Begins {
    /// Reads what the command line names, `NET=FILE` each, and the rest of what the run itself began with; gives what
    /// `config.toml` says of them, too.
    ///
    /// # Errors
    /// Another form; a file that is no weights file or holds several networks of which none has that name; other weights
    /// than the run began with.
    pub fn read(
        given: &[String],
        own: Option<&BTreeMap<String, Init>>,
    ) -> Result<(BTreeMap<String, Init>, Self)> {
        let (mut named, mut all) = (BTreeMap::new(), BTreeMap::new());
        for word in given {
            let Some((net, file)) = word
                .split_once('=')
                .filter(|(net, file)| !net.is_empty() && !file.is_empty())
            else {
                bail!(Usage(format!(
                    "--init {word}: expected NET=FILE, as in g=x4.pth"
                )))
            };
            let file = absolute(file);
            let (weights, sha256) = taken(net, Path::new(&file))?;
            if named
                .insert(net.to_string(), Init { file, sha256 })
                .is_some()
            {
                bail!(Usage(format!("--init {net}=…: named twice")))
            }
            all.insert(net.to_string(), Arc::new(weights));
        }
        for (net, init) in own.into_iter().flatten() {
            if named.contains_key(net) {
                continue;
            }
            let path = Path::new(&init.file);
            let (weights, sha256) = taken(net, path)?;
            if sha256 != init.sha256 {
                let problem = format!(
                    "holds other weights than {net} of this run began with (SHA-256 {}, then {})",
                    brief(&sha256),
                    brief(&init.sha256)
                );
                bail!(FileError::new(
                    path,
                    problem,
                    "restore the file, or start a new run"
                ))
            }
            named.insert(net.clone(), init.clone());
            all.insert(net.clone(), Arc::new(weights));
        }
        Ok((named, Self(all)))
    }

    /// Gives networks that have not been trained yet these weights, and the averages of these networks, too; what was
    /// done, a sentence each.
    ///
    /// # Errors
    /// A network that the paper does not have; weights of other keys or shapes.
    pub fn begin(&self, algorithm: &mut dyn Algorithm) -> Result<Vec<String>> {
        let mut said = Vec::new();
        for (net, weights) in &self.0 {
            let mut parts = algorithm.parts();
            let networks = parts.iter().filter(|(_, part)| part.params().is_some());
            let networks: Vec<&str> = networks.map(|(name, _)| *name).collect();
            if !networks.contains(&net.as_str()) {
                bail!(Usage(format!(
                    "--init {net}=…: this paper has no network of that name; {}",
                    nearest(net, &networks)
                )))
            }
            for (name, part) in &mut parts {
                let Some(params) = part.params() else {
                    continue;
                };
                // An average that is named itself starts from what is named.
                if *name == net || (params.are_average_of(net) && !self.0.contains_key(*name)) {
                    params.begin_from(weights)?;
                }
            }
            said.push(format!(
                "{net} starts from {}: {} numbers, {}",
                weights.path.display(),
                thousands(weights.numbers() as u64),
                weights.kind()
            ));
            said.extend(weights.notes().iter().map(|note| format!("{net}: {note}")));
        }
        Ok(said)
    }
}

/// The network of that name in a file, or the only one that the file holds, and its hash.
fn taken(net: &str, path: &Path) -> Result<(Weights, String)> {
    let contents = Contents::open(path)?;
    let alone = contents.networks().len() == 1;
    let weights = contents.take((!alone).then_some(net))?;
    let sha256 = weights.sha256()?;
    Ok((weights, sha256))
}
