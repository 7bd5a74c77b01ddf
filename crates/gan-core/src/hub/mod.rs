//! Data sets and weights from the Hugging Face Hub, and files from the web: fetched once, gone on with where they were
//! cut, checked against what the server says they are, and kept where the hub's own tools keep theirs.
//!
//! [`hf_hub`] asks the hub what a repository holds. The files themselves are fetched here: hf-hub 1.0 begins one that
//! was cut from its start, does not check what it gets, and waits without end for a server that is silent.

mod address;
mod cache;
mod listing;
mod transfer;
mod unpack;

pub use address::{Address, Kind, PREFIX};
pub use transfer::{Progress, Step, Sum};
pub use unpack::{READER, Split, unpack};

use crate::FileError;
use cache::Folder;
use hf_hub::{HFClient, HFError};
use listing::{Chosen, choose};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;
use transfer::{Remote, Transfer};

/// Where the hub is, unless `HF_ENDPOINT` says otherwise.
const ENDPOINT: &str = "https://huggingface.co";
/// Seconds that a silent server is waited for, unless `HF_HUB_DOWNLOAD_TIMEOUT` says otherwise.
const WAITS: u64 = 10;
/// Where the hub has what it converted itself.
const CONVERTED: &str = "refs/convert/parquet";
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

/// A data set that is here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// What it was asked for as, at the commit that it is of: `hf:ORG/NAME@COMMIT`.
    pub address: String,
    /// The folder or zip file of its pictures.
    pub place: PathBuf,
    /// What is to be said of it, a sentence each.
    pub notes: Vec<String>,
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
    /// A file that is neither; those of [`Transfer::fetch`].
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

    /// A data set: what is here of it, or else what the hub has. With `fresh` a branch is asked for again.
    ///
    /// # Errors
    /// A repository without a data set that is read; those of [`Hub::file`] and of [`unpack`].
    pub fn data(
        &self,
        address: &Address,
        fresh: bool,
        progress: &Progress<'_>,
    ) -> Result<Kept, FileError> {
        let by_hand = self.by_hand(address);
        if by_hand.exists() {
            return self.put_by_hand(address, &by_hand, progress);
        }
        let folder = Folder::of(&self.cache, address);
        let at = folder.commit(address).filter(|_| !fresh);
        if let Some(kept) = at.and_then(|commit| self.kept(&folder, address, &commit)) {
            return Ok(kept);
        }
        self.online(address, || {
            let (commit, files) = self.listed(address)?;
            if let Some(kept) = self.kept(&folder, address, &commit) {
                folder.keep_commit(address, &commit)?;
                return Ok(kept);
            }
            let named = |problem: String, remedy: &str| {
                FileError::new(Path::new(&address.to_string()), problem, remedy)
            };
            let of_one = "one data set at a time is read";
            let within = address.path.as_deref();
            let chosen = choose(&files, within).map_err(|problem| named(problem, of_one))?;
            let (of, chosen) = match chosen {
                Some(chosen) => (address.at(&commit), chosen),
                None => {
                    let none = || {
                        let problem = format!(
                            "holds no parquet, zip or picture file among its {} files",
                            files.len()
                        );
                        named(
                            problem,
                            "name another data set, or a folder of this one: hf:ORG/NAME/FOLDER",
                        )
                    };
                    if address.revision.is_some() {
                        return Err(none());
                    }
                    let converted = address.at(CONVERTED);
                    let (commit, files) = self.listed(&converted).map_err(|_| none())?;
                    let chosen =
                        choose(&files, within).map_err(|problem| named(problem, of_one))?;
                    (address.at(&commit), chosen.ok_or_else(none)?)
                }
            };
            let kept = self.taken(&folder, address, &commit, &of, chosen, progress)?;
            folder.keep_commit(address, &commit)?;
            Ok(kept)
        })
    }

    /// Fetches what was chosen and makes a place of it that is read.
    fn taken(
        &self,
        folder: &Folder,
        address: &Address,
        commit: &str,
        of: &Address,
        chosen: Chosen,
        progress: &Progress<'_>,
    ) -> Result<Kept, FileError> {
        let [record, zip, lock] =
            ["json", "zip", "lock"].map(|ending| self.record(folder, address, commit, ending));
        let lock = cache::lock(&lock, || progress(Step::Waiting))?;
        let (place, notes) = match chosen {
            Chosen::Zip(file) => (self.file(&of.file(&file), progress)?, Vec::new()),
            Chosen::Pictures(files) => {
                for (i, file) in files.iter().enumerate() {
                    self.file(&of.file(file), &|_| {})?;
                    let what = "fetching pictures";
                    progress(Step::Counting {
                        what,
                        done: i + 1,
                        all: files.len(),
                    });
                }
                let within = address.path.as_deref().unwrap_or_default();
                (folder.snapshot(of.revision()).join(within), Vec::new())
            }
            Chosen::Parquet(files) => {
                let mut here = Vec::new();
                for (split, file) in files {
                    here.push((split, self.file(&of.file(&file), progress)?));
                }
                let rows = |done: usize, all: usize| {
                    progress(Step::Counting {
                        what: "unpacking",
                        done,
                        all,
                    })
                };
                let notes = unpack(&here, &zip, &rows)?;
                (zip, notes)
            }
        };
        let kept = Kept {
            address: address.at(commit).to_string(),
            place,
            notes,
        };
        keep(&record, &kept)?;
        drop(lock);
        Ok(kept)
    }

    /// What the user put into the cache: taken as it is.
    fn put_by_hand(
        &self,
        address: &Address,
        place: &Path,
        progress: &Progress<'_>,
    ) -> Result<Kept, FileError> {
        let mut notes = vec![format!(
            "{} was put there by hand and is not checked",
            place.display()
        )];
        let mut kept = |place: PathBuf, more: Vec<String>| {
            notes.extend(more);
            Kept {
                address: address.to_string(),
                place,
                notes: std::mem::take(&mut notes),
            }
        };
        let mut files = Vec::new();
        list(place, "", &mut files).map_err(|e| FileError::reading(place, &e))?;
        let chosen = choose(&files, None)
            .map_err(|problem| FileError::new(place, problem, "leave one there"))?;
        let at = |file: &str| match file {
            "" => place.to_path_buf(),
            file => place.join(file),
        };
        match chosen {
            Some(Chosen::Zip(file)) => Ok(kept(at(&file), Vec::new())),
            Some(Chosen::Parquet(files)) => {
                let files: Vec<_> = files
                    .iter()
                    .map(|(split, file)| (*split, at(file)))
                    .collect();
                let zip = place.with_extension("unpacked.zip");
                let is_older = |file: &Path| {
                    Some(
                        file.metadata().ok()?.modified().ok()?
                            <= zip.metadata().ok()?.modified().ok()?,
                    )
                };
                let notes = match files.iter().all(|(_, file)| is_older(file) == Some(true)) {
                    true => Vec::new(),
                    false => unpack(&files, &zip, &|done, all| {
                        progress(Step::Counting {
                            what: "unpacking",
                            done,
                            all,
                        })
                    })?,
                };
                Ok(kept(zip, notes))
            }
            _ => Ok(kept(place.to_path_buf(), Vec::new())),
        }
    }

    /// All data sets that are here.
    pub fn all_kept(&self) -> Vec<Kept> {
        let mut files = Vec::new();
        let root = self.own.join("data");
        let _ = list(&root, "", &mut files); // a cache that is not there holds nothing
        files.sort();
        let records = files.iter().filter(|file| file.ends_with(".json"));
        let kept = records.filter_map(|file| read::<Kept>(&root.join(file)));
        kept.filter(|kept| kept.place.exists()).collect()
    }

    /// A file from the web under the name `name`, from the cache or else from there; beside it, what is known of it.
    ///
    /// # Errors
    /// A file that is neither; those of [`Transfer::fetch`].
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
            .join(&address.owner)
            .join(&address.name);
        match &address.path {
            Some(path) => repository.join(path),
            None => repository,
        }
    }

    fn record(&self, folder: &Folder, address: &Address, commit: &str, ending: &str) -> PathBuf {
        let within = address.path.as_deref().map_or(String::new(), |path| {
            format!("-{}", path.replace('/', "--"))
        });
        self.own
            .join("data")
            .join(folder.name())
            .join(format!("{commit}{within}.{ending}"))
    }

    fn kept(&self, folder: &Folder, address: &Address, commit: &str) -> Option<Kept> {
        let kept: Kept = read(&self.record(folder, address, commit, "json"))?;
        kept.place.exists().then_some(kept)
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
        let what = match (address.kind, &address.path) {
            (_, Some(_)) => "the file",
            _ => "its files",
        };
        let by_hand = format!(
            "fetch {what} elsewhere, from {}/{}{}, and put {} at {}",
            self.endpoint,
            address.kind.before(),
            address.repository(),
            if what == "the file" { "it" } else { "them" },
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

    /// The commit that a revision is at, and the names of its files.
    fn listed(&self, address: &Address) -> Result<(String, Vec<String>), FileError> {
        let waits = Duration::from_secs(self.waits);
        let client = reqwest::Client::builder()
            .connect_timeout(waits)
            .read_timeout(waits)
            .build()
            .map_err(|e| self.no_client(&e))?;
        let builder = HFClient::builder()
            .client(client)
            .endpoint(&self.endpoint)
            .cache_dir(&self.cache);
        let builder = builder.retry_max_attempts(2);
        let builder = match &self.token {
            Some(token) => builder.token(token),
            None => builder,
        };
        let hub = builder.build_sync().map_err(|e| self.refusal(address, e))?;
        let revision = address.revision().to_string();
        let (owner, name) = (&address.owner, &address.name);
        let (commit, files) = match address.kind {
            Kind::Dataset => {
                let about = hub.dataset(owner, name).info().revision(revision).send();
                let about = about.map_err(|e| self.refusal(address, e))?;
                (about.sha, about.siblings)
            }
            Kind::Model => {
                let about = hub.model(owner, name).info().revision(revision).send();
                let about = about.map_err(|e| self.refusal(address, e))?;
                (about.sha, about.siblings)
            }
        };
        let (Some(commit), Some(files)) =
            (commit.filter(|commit| address::is_commit(commit)), files)
        else {
            let problem = format!(
                "{} does not say which commit it is at or which files it holds",
                self.endpoint
            );
            return Err(FileError::new(
                Path::new(&address.to_string()),
                problem,
                "check HF_ENDPOINT",
            ));
        };
        Ok((
            commit,
            files.into_iter().map(|file| file.rfilename).collect(),
        ))
    }

    /// What the hub's answer means, in the words of [`transfer`].
    fn refusal(&self, address: &Address, error: HFError) -> FileError {
        let name = address.to_string();
        let status = |status: u16| transfer::refused(&name, status, None);
        match &error {
            HFError::AuthRequired { .. } => status(401),
            HFError::Forbidden { .. } => status(403),
            HFError::RepoNotFound { .. }
            | HFError::RevisionNotFound { .. }
            | HFError::EntryNotFound { .. } => status(404),
            HFError::RateLimited { retry_after, .. } => {
                transfer::refused(&name, 429, retry_after.map(|after| after.as_secs()))
            }
            HFError::Http { context } => status(context.status.as_u16()),
            HFError::Request { source, .. } => {
                transfer::unreachable(&name, &self.endpoint, source, self.waits)
            }
            other => {
                let said = crate::cut(other.to_string().lines().next().unwrap_or_default(), 120);
                FileError::new(
                    Path::new(&name),
                    format!("the hub's answer cannot be used ({said})"),
                    "check HF_ENDPOINT",
                )
            }
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

/// The files of a folder and all folders in it, or a file alone, by their names within.
fn list(folder: &Path, within: &str, files: &mut Vec<String>) -> std::io::Result<()> {
    if folder.is_file() {
        files.push(within.to_string());
        return Ok(());
    }
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_string();
        let name = match within {
            "" => name,
            within => format!("{within}/{name}"),
        };
        match entry.file_type()?.is_dir() {
            true => list(&entry.path(), &name, files)?,
            false => files.push(name),
        }
    }
    Ok(())
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
