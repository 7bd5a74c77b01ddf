//! Fetching what is elsewhere, with a bar for each file.

use super::bar::fetching_bar;
use super::{OFFLINE, QUIET, data, weights};
use crate::Usage;
use crate::observers::thousands;
use crate::settings::nearest;
use anyhow::{Result, anyhow, bail};
use gan_core::hub::{Address, Hub, Kept, Kind, Sum};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

fn hub() -> Result<Hub> {
    Ok(Hub::from_env(OFFLINE.load(Ordering::Relaxed))?)
}

fn address(kind: Kind, text: &str) -> Result<Address> {
    Address::parse(kind, text).map_err(|problem| anyhow!(Usage(problem)))
}

fn data_set(name: &str, fresh: bool) -> Result<Kept> {
    let address = address(Kind::Dataset, &data::address(name))?;
    let quiet = QUIET.load(Ordering::Relaxed);
    Ok(hub()?.data(&address, fresh, &fetching_bar(quiet))?)
}

/// The folder or zip file of a data set.
///
/// # Errors
/// An address of another form; those of [`Hub::data`].
pub fn located(name: &str) -> Result<PathBuf> {
    Ok(data_set(name, false)?.place)
}

/// The same data set at the commit that is here.
///
/// # Errors
/// Those of [`located`].
pub fn pinned(name: &str) -> Result<String> {
    let kept = data_set(name, false)?;
    let commit = address(Kind::Dataset, &kept.address)?.revision;
    Ok(match (data::known(name), commit) {
        (Some(set), Some(commit)) => format!("{}@{commit}", set.name),
        _ => kept.address,
    })
}

/// The file of weights that an address or a name is of.
///
/// # Errors
/// Those of [`Hub::file`] and [`Hub::url`].
pub fn weights(name: &str) -> Result<PathBuf> {
    let bar = fetching_bar(QUIET.load(Ordering::Relaxed));
    match weights::known(name) {
        Some(published) => Ok(hub()?
            .url(name, &weights::url(published), &sum(published), &bar)?
            .0),
        None => Ok(hub()?.file(&address(Kind::Model, name)?, &bar)?),
    }
}

fn sum(published: &weights::Published) -> Sum {
    match published.digits() {
        Some(digits) => Sum::Sha256(digits.into()),
        None => Sum::Unknown,
    }
}

/// `data get`: fetches a data set and says where it is.
///
/// # Errors
/// A name that is none; those of [`located`].
pub fn get_data(name: &str, fresh: bool) -> Result<()> {
    if !super::is_elsewhere(name) {
        if crate::dataset::EMBEDDED.iter().any(|set| set.name == name) {
            bail!(Usage(format!(
                "data get {name}: it comes with the project, there is nothing to fetch"
            )))
        }
        let known: Vec<_> = data::DATA.iter().map(|set| set.name).collect();
        bail!(Usage(format!(
            "data get {name}: no such data set, expected hf:ORG/NAME or a name; {}",
            nearest(name, &known)
        )))
    }
    let kept = data_set(name, fresh)?;
    say!("{}", kept.address);
    say!("  {}", kept.place.display());
    kept.notes.iter().for_each(|note| say!("  note: {note}"));
    if !fresh && !name.contains('@') && kept.address.contains('@') {
        say!("  at the commit that is here; --refresh asks for a newer one");
    }
    Ok(())
}

/// `weights get`: fetches weights and says what they are.
///
/// # Errors
/// A name that is none; those of [`weights()`].
pub fn get_weights(name: &str) -> Result<()> {
    let Some(published) = weights::known(name) else {
        if super::is_address(name) {
            say!("{}", weights(name)?.display());
            return Ok(());
        }
        let known: Vec<_> = weights::WEIGHTS
            .iter()
            .map(|published| published.name)
            .collect();
        bail!(Usage(format!(
            "weights get {name}: no such weights, expected hf:ORG/NAME/FILE or a name; {}",
            nearest(name, &known)
        )))
    };
    let bar = fetching_bar(QUIET.load(Ordering::Relaxed));
    let (file, download) = hub()?.url(name, &weights::url(published), &sum(published), &bar)?;
    say!("{}", file.display());
    say!("  {}", published.about);
    say!("  licence: {}", published.licence);
    match download {
        Some(download) => {
            say!("  {} bytes from {}", thousands(download.size), download.url);
            let so = match (download.verified, published.digits()) {
                (true, Some(digits)) => {
                    format!("begins with {digits}, as the name that its publishers gave it says")
                }
                _ => "unverified: its publishers state none, this is what was fetched".into(),
            };
            say!("  SHA-256 {}, {so}", download.sha256);
        }
        None => say!("  put there by hand, not checked"),
    }
    Ok(())
}

/// The data sets that are here.
///
/// # Errors
/// An environment that names no folder for a cache.
pub fn kept() -> Result<Vec<(String, PathBuf)>> {
    let kept = hub()?.all_kept().into_iter();
    Ok(kept.map(|kept| (kept.address, kept.place)).collect())
}
