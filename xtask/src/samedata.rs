//! The data of a run that goes on: where they are now, whether they are those that it began with, and if not, which
//! files differ.

use crate::dataset::{self, Looked};
use crate::hub;
use crate::observers::thousands;
use crate::settings::Settings;
use anyhow::{Result, bail};
use gan_core::data::{Data, Progress, Split};
use gan_core::{DataInfo, FileError, Header, Learns};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Names in an error, at most.
const NAMED: usize = 3;

/// A folder's name without the current directory in it, so that a run goes on from anywhere.
pub fn absolute(name: &str) -> String {
    match std::fs::canonicalize(name) {
        Ok(path) if !dataset::EMBEDDED.iter().any(|set| set.name == name) => {
            path.display().to_string()
        }
        _ => name.to_string(),
    }
}

/// Where the data of a run are: where the command line says that they are now, or where they were.
pub fn place(settings: &Settings, given: Option<&str>) -> String {
    given.map_or_else(|| settings.data.clone(), absolute)
}

/// Looks at the data of a run at their [`place`].
///
/// # Errors
/// Those of looking; data that are gone, with the advice to say where they are now.
pub fn look(place: &str, split: Split, learns: Learns, progress: &Progress) -> Result<Looked> {
    let is_embedded = dataset::EMBEDDED.iter().any(|set| set.name == place);
    if !is_embedded && !Path::new(place).exists() && !hub::is_elsewhere(place) {
        bail!(FileError::new(
            Path::new(place),
            "the data of this run are not there any more",
            "if they were moved, say where they are now: --data PATH"
        ))
    }
    dataset::look(place, split, Some(learns), progress)
}

/// The list of the files that a run's data were read from, in the form of `sha256sum`.
fn list(run: &Path) -> PathBuf {
    run.join("data.sha256")
}

/// A line for each file: hash, two spaces, name; a name that would not fit into a line is written as `sha256sum` does.
fn lines(files: &BTreeMap<String, String>) -> String {
    let line = |(name, sha256): (&String, &String)| match name.contains(['\\', '\n', '\r']) {
        false => format!("{sha256}  {name}\n"),
        true => {
            let name = name.replace('\\', "\\\\").replace('\n', "\\n");
            format!("\\{sha256}  {}\n", name.replace('\r', "\\r"))
        }
    };
    files.iter().map(line).collect()
}

/// Writes the list into the folder of a run that learns from these data.
///
/// # Errors
/// A folder that cannot be written.
pub fn write_list(run: &Path, data: &Data) -> Result<()> {
    let (path, text) = (list(run), lines(&data.files()));
    // Data that were made have no files.
    if text.is_empty() || std::fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    let write = |file: &Path| std::fs::write(file, &text);
    Ok(gan_core::whole::write_whole(&path, write)?)
}

/// What is in one of the lists and not in the other, in words; none where there is no list, or no difference.
fn changed_files(run: &Path, data: &Data) -> Option<String> {
    let text = std::fs::read_to_string(list(run)).ok()?;
    let now = lines(&data.files());
    let split = |line: &str| -> Option<(String, String)> {
        let (sha256, name) = line.split_once("  ")?;
        Some((name.to_string(), sha256.to_string()))
    };
    let [then, now] = [&text, &now]
        .map(|text| -> BTreeMap<String, String> { text.lines().filter_map(split).collect() });
    let other = then
        .iter()
        .filter(|(name, sum)| now.get(*name).is_some_and(|now| now != *sum));
    let gone = then.keys().filter(|name| !now.contains_key(*name));
    let new = now.keys().filter(|name| !then.contains_key(*name));
    let said = [
        (other.map(|(name, _)| name).collect::<Vec<_>>(), "changed"),
        (gone.collect(), "missing"),
        (new.collect(), "new"),
    ];
    let said = said.into_iter().filter(|(names, _)| !names.is_empty());
    let said: Vec<String> = said
        .map(|(names, what)| format!("{what}: {}", some(&names)))
        .collect();
    (!said.is_empty()).then(|| said.join("; "))
}

/// The first of these names, and how many more there are.
fn some(names: &[&String]) -> String {
    let shown: Vec<_> = names.iter().take(NAMED).map(|name| clipped(name)).collect();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {} more", shown.join(", "), thousands(more as u64)),
    }
}

/// The end of a name that is too long for an error.
fn clipped(name: &str) -> String {
    const LENGTH: usize = 40;
    let length = name.chars().count();
    match length > LENGTH {
        true => {
            let end: String = name.chars().skip(length - LENGTH).collect();
            format!("…{end}")
        }
        false => name.to_string(),
    }
}

/// Counts and sizes that differ, in words.
fn changed_shape(then: &DataInfo, now: &DataInfo) -> String {
    let pictures = |info: &DataInfo| match info.len_b {
        None => thousands(info.len as u64),
        Some(b) => format!("{} and {}", thousands(info.len as u64), thousands(b as u64)),
    };
    let classes = |info: &DataInfo| info.classes.unwrap_or(0);
    if pictures(then) != pictures(now) {
        format!("{} pictures then, {} now", pictures(then), pictures(now))
    } else if then.channels != now.channels {
        format!("{} channels then, {} now", then.channels, now.channels)
    } else if classes(then) != classes(now) {
        format!("{} classes then, {} now", classes(then), classes(now))
    } else {
        "as many files, with other names or contents".into()
    }
}

/// Refuses data that are not those which a run began with, as its checkpoint says; without one, as its list of files
/// does.
///
/// # Errors
/// Other data, naming the files that have changed, are missing or new.
pub fn require(run: &Path, header: Option<&Header>, place: &str, data: &Data) -> Result<()> {
    let info = data.info();
    let difference = match header {
        None => changed_files(run, data),
        Some(header) => {
            let same = match header.is_old() {
                true => (header.data.channels, header.data.len) == (info.channels, info.epoch()),
                false => header.data_sha256 == data.sha256(),
            };
            let said =
                || changed_files(run, data).unwrap_or_else(|| changed_shape(&header.data, &info));
            (!same).then(said)
        }
    };
    match difference {
        None => Ok(()),
        Some(difference) => bail!(FileError::new(
            Path::new(place),
            format!("are other data than this run began with ({difference})"),
            "restore them, or name a folder of the same contents with --data"
        )),
    }
}
