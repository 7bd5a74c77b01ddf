//! Data sets of the hub: found in their repositories, fetched, and brought into a form that is read.

use super::address::{Address, Kind, is_commit};
use super::cache::{self, Folder};
use super::listing::{Chosen, choose};
use super::transfer::{Progress, Step, refused, unreachable};
use super::unpack::unpack;
use super::{Hub, keep, read};
use crate::FileError;
use hf_hub::{HFClient, HFError};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the hub has what it converted itself.
const CONVERTED: &str = "refs/convert/parquet";

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

impl Hub {
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
        if let Some(kept) = self.kept(folder, address, commit) {
            return Ok(kept); // another process has made it meanwhile
        }
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
        let (Some(commit), Some(files)) = (commit.filter(|commit| is_commit(commit)), files) else {
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
        let status = |status: u16| refused(&name, status, None);
        match &error {
            HFError::AuthRequired { .. } => status(401),
            HFError::Forbidden { .. } => status(403),
            HFError::RepoNotFound { .. }
            | HFError::RevisionNotFound { .. }
            | HFError::EntryNotFound { .. } => status(404),
            HFError::RateLimited { retry_after, .. } => {
                refused(&name, 429, retry_after.map(|after| after.as_secs()))
            }
            HFError::Http { context } => status(context.status.as_u16()),
            HFError::Request { source, .. } => {
                unreachable(&name, &self.endpoint, source, self.waits)
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
