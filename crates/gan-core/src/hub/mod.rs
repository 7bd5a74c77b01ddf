//! Data sets and weights from the Hugging Face Hub, and files from the web: fetched once, gone on with where they were
//! cut, checked against what the server says they are, and kept where the hub's own tools keep theirs.
//!
//! [`hf_hub`] asks the hub what a repository holds. The files themselves are fetched here: hf-hub 1.0 begins one that
//! was cut from its start, does not check what it gets, and waits without end for a server that is silent.

mod address;
mod cache;
mod listing;
mod sets;
mod sums;
mod transfer;
mod unpack;

pub use address::{Address, Kind, PREFIX};
pub use sets::Kept;
pub use sums::Sum;
pub use transfer::{Progress, Step};
pub use unpack::{READER, Split, unpack};

use crate::FileError;
use cache::Folder;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use transfer::{Remote, Transfer};

/// Where the hub is, unless `HF_ENDPOINT` says otherwise.
const ENDPOINT: &str = "https://huggingface.co";
/// Seconds that a silent server is waited for, unless `HF_HUB_DOWNLOAD_TIMEOUT` says otherwise.
const WAITS: u64 = 10;
/// The folder of this project among the user's caches.
const OWN: &str = "gan-zoo";

/// The hub as the environment describes it, and what is here of it.
#[derive(Debug)]
pub struct Hub {
    endpoint: String,
    token: Option<String>,
    cache: PathBuf,
    own: PathBuf,
    waits: u64,
    offline: bool,
    transfer: OnceLock<Transfer>,
}

/// A file from the web that is here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Download {
    /// Where it is from.
    pub url: String,
    /// Its bytes.
    pub size: u64,
    /// SHA-256 of its contents, in hexadecimal.
    pub sha256: String,
    /// Whether its source says what that is to be.
    pub verified: bool,
}

impl Hub {
    /// The hub by the usual variables: `HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME`, `HF_HUB_CACHE`, `HF_HUB_OFFLINE`,
    /// `HF_HUB_DOWNLOAD_TIMEOUT`, `XDG_CACHE_HOME`.
    ///
    /// # Errors
    /// An environment that names no folder for a cache.
    pub fn from_env(offline: bool) -> Result<Self, FileError> {
        let set = |name: &str| {
            std::env::var(name)
                .ok()
                .filter(|value| !value.trim().is_empty())
        };
        let is_on = |name: &str| {
            let value = set(name).map(|value| value.to_lowercase());
            value.is_some_and(|value| ["1", "true", "yes", "on"].contains(&value.trim()))
        };
        let no_folder = || {
            let problem = "the environment names no folder for a cache";
            FileError::new(
                Path::new("hub"),
                problem,
                "set HOME, HF_HUB_CACHE and XDG_CACHE_HOME",
            )
        };
        let kept = || {
            let path = set("HF_TOKEN_PATH").map(PathBuf::from);
            let path = path.or_else(|| Some(cache::home()?.join("token")))?;
            std::fs::read_to_string(path).ok()
        };
        let token = set("HF_TOKEN").or_else(|| match is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            true => None,
            false => kept(),
        });
        let waits = set("HF_HUB_DOWNLOAD_TIMEOUT").and_then(|waits| waits.trim().parse().ok());
        let endpoint = set("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.into());
        Ok(Self {
            endpoint: endpoint.trim().trim_end_matches('/').to_string(),
            token: token
                .map(|token| token.trim().to_string())
                .filter(|token| !token.is_empty()),
            cache: cache::usual().ok_or_else(no_folder)?,
            own: cache::caches().ok_or_else(no_folder)?.join(OWN),
            waits: waits.filter(|&waits| waits > 0).unwrap_or(WAITS),
            offline: offline || is_on("HF_HUB_OFFLINE"),
            transfer: OnceLock::new(),
        })
    }

    /// A file of a repository, from the cache or else from the hub.
    ///
    /// # Errors
    /// A file that is neither; those of fetching.
    pub fn file(&self, address: &Address, progress: &Progress<'_>) -> Result<PathBuf, FileError> {
        let path = address.path.as_deref().unwrap_or_default();
        let by_hand = self.by_hand(address);
        if by_hand.is_file() {
            return Ok(by_hand);
        }
        let folder = Folder::of(&self.cache, address);
        let here = folder
            .commit(address)
            .and_then(|commit| folder.file(&commit, path));
        match here {
            Some(file) => Ok(file),
            None => self.online(address, || self.fetched(address, &folder, path, progress)),
        }
    }

    fn fetched(
        &self,
        address: &Address,
        folder: &Folder,
        path: &str,
        progress: &Progress<'_>,
    ) -> Result<PathBuf, FileError> {
        let transfer = self.transfer()?;
        let about = transfer.about(&self.remote(address, address.revision(), path))?;
        let named = |text: &str| {
            !text.is_empty()
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
        };
        let (Some(commit), Some(etag)) = (
            &about.commit,
            about.etag.as_ref().filter(|etag| named(etag)),
        ) else {
            let problem = format!(
                "{} does not say which commit or contents it is of",
                self.endpoint
            );
            return Err(FileError::new(
                Path::new(&address.to_string()),
                problem,
                "check HF_ENDPOINT",
            ));
        };
        let waits = || progress(Step::Waiting);
        let lock = folder.lock(etag, waits)?;
        let blob = folder.blob(etag);
        if !blob.is_file() {
            cache::make_folder_of(&blob)?;
            let remote = self.remote(address, commit, path);
            transfer.fetch(&remote, &blob, &Sum::of_etag(etag), &about, progress)?;
        }
        let file = folder.point(commit, path, etag)?;
        folder.keep_commit(address, commit)?;
        drop(lock);
        Ok(file)
    }

    /// A file from the web under the name `name`, from the cache or else from there; beside it, what is known of it.
    ///
    /// # Errors
    /// A file that is neither; those of fetching.
    pub fn url(
        &self,
        name: &str,
        url: &str,
        sum: &Sum,
        progress: &Progress<'_>,
    ) -> Result<(PathBuf, Option<Download>), FileError> {
        let file = self
            .own
            .join("weights")
            .join(url.rsplit('/').next().unwrap_or(name));
        let mut record = file.clone().into_os_string();
        record.push(".json");
        let record = PathBuf::from(record);
        if file.is_file() {
            return Ok((file, read(&record)));
        }
        let by_hand = format!("fetch {url} elsewhere and put it at {}", file.display());
        if self.offline {
            return Err(FileError::new(
                Path::new(name),
                "is not here, and no server is asked (offline)",
                by_hand,
            ));
        }
        let mut lock = file.clone().into_os_string();
        lock.push(".lock");
        let lock = cache::lock(Path::new(&lock), || progress(Step::Waiting))?;
        if file.is_file() {
            return Ok((file, read(&record)));
        }
        let remote = Remote {
            name: name.into(),
            url: url.into(),
            token: None,
        };
        let transfer = self.transfer()?;
        let fetched = transfer
            .about(&remote)
            .and_then(|about| transfer.fetch(&remote, &file, sum, &about, progress));
        let fetched = fetched.map_err(|error| or_by_hand(error, &by_hand))?;
        let download = Download {
            url: url.into(),
            size: fetched.size,
            sha256: fetched.sha256,
            verified: *sum != Sum::Unknown,
        };
        keep(&record, &download)?;
        drop(lock);
        Ok((file, Some(download)))
    }

    /// Where people put what they fetched elsewhere: a file, or the folder of a data set.
    fn by_hand(&self, address: &Address) -> PathBuf {
        let repository = self
            .own
            .join("by-hand")
            .join(address.kind.plural())
            .join(&address.owner)
            .join(&address.name);
        match &address.path {
            Some(path) => repository.join(path),
            None => repository,
        }
    }

    fn transfer(&self) -> Result<&Transfer, FileError> {
        if self.transfer.get().is_none() {
            let made = Transfer::new(self.waits).map_err(|e| self.no_client(&e))?;
            let _ = self.transfer.set(made); // another thread's is as good
        }
        self.transfer
            .get()
            .ok_or_else(|| self.no_client(&"it was not made"))
    }

    fn no_client(&self, error: &dyn std::fmt::Display) -> FileError {
        let problem = format!("no connection can be made safe on this machine ({error})");
        FileError::new(
            Path::new(&self.endpoint),
            problem,
            "install the system's certificates (ca-certificates)",
        )
    }

    fn remote(&self, address: &Address, revision: &str, path: &str) -> Remote<'_> {
        let part = |text: &str| -> String { url_part(text) };
        let path: Vec<String> = path.split('/').map(part).collect();
        Remote {
            name: address.to_string(),
            url: format!(
                "{}/{}{}/resolve/{}/{}",
                self.endpoint,
                address.kind.before(),
                address.repository(),
                part(revision),
                path.join("/")
            ),
            token: self.token.as_deref(),
        }
    }

    /// Asks a server, unless that is not wanted; where it cannot be done, says how to do without.
    fn online<T>(
        &self,
        address: &Address,
        ask: impl FnOnce() -> Result<T, FileError>,
    ) -> Result<T, FileError> {
        let by_hand = self.by_hand(address);
        let (what, it) = match address.path {
            Some(_) => ("the file", "it"),
            None => ("its files", "them"),
        };
        let by_hand = format!(
            "fetch {what} elsewhere, from {}/{}{}, and put {it} at {}",
            self.endpoint,
            address.kind.before(),
            address.repository(),
            by_hand.display()
        );
        match self.offline {
            true => {
                let problem = "is not here, and no server is asked (offline)";
                Err(FileError::new(
                    Path::new(&address.to_string()),
                    problem,
                    by_hand,
                ))
            }
            false => ask().map_err(|error| or_by_hand(error, &by_hand)),
        }
    }
}

/// An error of a server that cannot be reached, with the way around it.
fn or_by_hand(error: FileError, by_hand: &str) -> FileError {
    match error.remedy.starts_with(transfer::NETWORK) {
        true => FileError::new(
            &error.path,
            error.problem,
            format!("{}, or {by_hand}", transfer::NETWORK),
        ),
        false => error,
    }
}

/// A part of an address, everything written out that could mean something else there.
fn url_part(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

fn read<T: for<'de> Deserialize<'de>>(record: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(record).ok()?).ok()
}

fn keep<T: Serialize>(record: &Path, what: &T) -> Result<(), FileError> {
    let text = serde_json::to_vec_pretty(what).unwrap_or_default();
    cache::make_folder_of(record)?;
    crate::whole::write_whole(record, |file| std::fs::write(file, &text))
        .map_err(|error| cache::unwritable(&error))
}
