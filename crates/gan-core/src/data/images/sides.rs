//! Data sets in two domains: aligned pairs, or two sets without a correspondence.

use super::survey::{Half, Item, NAMED};
use super::{Entry, Files, Listed, Survey, folder_of, is_side, pictures, within};
use crate::FileError;
use crate::data::{Progress, Side, Split};
use std::collections::BTreeMap;
use std::path::Path;

/// Looks at pairs: `trainA/NAME` with `trainB/NAME` (endings may differ), or pictures that are twice as wide
/// as they are high, A on the left and B on the right, in `train/` or at the top level.
///
/// # Errors
/// Pictures without a partner, by name; pairs of two sizes; a picture with another shape; and as
/// [`super::open`].
pub fn paired(path: &Path, split: Split, progress: &Progress) -> Result<Survey, FileError> {
    let (files, entries) = Files::open(path)?;
    let listed = pictures(path, &entries)?;
    if listed.iter().any(|(first, _)| is_side(first)) {
        let [a, b] = both(path, &listed, split)?;
        let (a, b): (Vec<_>, Vec<_>) = pairs(path, split, &a, &b)?.into_iter().unzip();
        let sides = [a, b].map(|side| side.into_iter().map(whole).collect());
        let survey = Survey::new(path, files, sides.into(), true, Vec::new(), progress)?;
        for ((first, a), (second, b)) in survey.side(0).zip(survey.side(1)) {
            if (a.height, a.width) != (b.height, b.width) {
                return Err(FileError::new(
                    &survey.path_of(second),
                    format!(
                        "is {}x{}, its partner {} is {}x{}",
                        b.height, b.width, first.name, a.height, a.width
                    ),
                    "bring both to one size, or take the pair out of the set",
                ));
            }
        }
        return Ok(survey);
    }
    let has = |name| listed.iter().any(|(first, _)| *first == name);
    let part = match (has("train") || has("test"), split) {
        (true, split) => within(&listed, folder_of(split)),
        (false, Split::Train) => listed,
        (false, Split::Test) => Listed::new(),
    };
    if part.is_empty() {
        let folder = folder_of(split);
        return Err(FileError::new(
            path,
            format!(
                "holds no pairs in {folder}A/ and {folder}B/, and no A|B pictures in {folder}/"
            ),
            "add them",
        ));
    }
    let sides = [Half::Left, Half::Right].map(|half| {
        let halves = part.iter().map(|(_, (_, entry))| Item {
            half: Some(half),
            ..whole(entry)
        });
        halves.collect()
    });
    let survey = Survey::new(path, files, sides.into(), true, Vec::new(), progress)?;
    // The survey has halved their width.
    let odd = survey
        .side(0)
        .find(|(_, looks)| looks.full_width != 2 * looks.height);
    match odd.map(|(entry, looks)| (entry.clone(), *looks)) {
        None => Ok(survey),
        Some((entry, looks)) => Err(FileError::new(
            &survey.path_of(&entry),
            format!(
                "is {}x{} (height x width), expected a pair: twice as wide as high, A on the left, B on \
                 the right",
                looks.height, looks.full_width
            ),
            "put pairs into trainA/ and trainB/ by the same names, or both halves into one picture",
        )),
    }
}

/// Looks at `trainA/` and `trainB/` as two sets of any two counts.
///
/// # Errors
/// A side without pictures; and as [`super::open`].
pub fn apart(path: &Path, split: Split, progress: &Progress) -> Result<Survey, FileError> {
    let (files, entries) = Files::open(path)?;
    let sides = both(path, &pictures(path, &entries)?, split)?.map(|side| {
        let entries = side.into_iter().map(|(_, (_, entry))| whole(entry));
        entries.collect()
    });
    Survey::new(path, files, sides.into(), false, Vec::new(), progress)
}

/// Looks at `trainA`, `trainB`, `testA` or `testB` alone, as one set without labels.
///
/// # Errors
/// As [`super::open`], and when there is no such folder.
pub fn side(
    path: &Path,
    split: Split,
    side: Side,
    progress: &Progress,
) -> Result<Survey, FileError> {
    let (files, entries) = Files::open(path)?;
    let part = one(path, &pictures(path, &entries)?, split, side)?;
    let part = part.into_iter().map(|(_, (_, entry))| whole(entry));
    Survey::new(
        path,
        files,
        vec![part.collect()],
        false,
        Vec::new(),
        progress,
    )
}

fn whole(entry: &Entry) -> Item {
    Item {
        entry: entry.clone(),
        half: None,
        label: None,
    }
}

fn both<'a>(path: &Path, listed: &Listed<'a>, split: Split) -> Result<[Listed<'a>; 2], FileError> {
    Ok([
        one(path, listed, split, Side::A)?,
        one(path, listed, split, Side::B)?,
    ])
}

fn one<'a>(
    path: &Path,
    listed: &Listed<'a>,
    split: Split,
    side: Side,
) -> Result<Listed<'a>, FileError> {
    let name = format!("{}{}", folder_of(split), side.letter());
    let part = within(listed, &name);
    if part.is_empty() {
        return Err(FileError::new(
            path,
            format!("holds no pictures in {name}/"),
            "add them; the two domains are in trainA/ and trainB/, for testing in testA/ and testB/",
        ));
    }
    Ok(part)
}

/// The pictures of both sides by their names, endings aside.
fn pairs<'a>(
    path: &Path,
    split: Split,
    a: &Listed<'a>,
    b: &Listed<'a>,
) -> Result<Vec<(&'a Entry, &'a Entry)>, FileError> {
    let by_name = |side: &Listed<'a>| {
        let mut names: BTreeMap<String, &'a Entry> = BTreeMap::new();
        for (folder, (rest, entry)) in side {
            let name = [folder, "/", rest].concat();
            let stem = name.rsplit_once('.').map_or(&*name, |(stem, _)| stem);
            if let Some(other) = names.insert(stem.to_string(), entry) {
                return Err(FileError::new(
                    &path.join(&entry.name),
                    format!("has the name of {} but for its ending", other.name),
                    "rename one of them, so that each has one partner",
                ));
            }
        }
        Ok(names)
    };
    let (a, mut b) = (by_name(a)?, by_name(b)?);
    let (mut pairs, mut alone) = (Vec::new(), Vec::new());
    for (name, entry) in a {
        match b.remove(&name) {
            Some(partner) => pairs.push((entry, partner)),
            None => alone.push(entry.name.as_str()),
        }
    }
    alone.extend(b.values().map(|entry| entry.name.as_str()));
    if alone.is_empty() {
        return Ok(pairs);
    }
    let more = match alone.len().saturating_sub(NAMED) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    let shown: Vec<_> = alone.iter().take(NAMED).copied().collect();
    let folder = folder_of(split);
    Err(FileError::new(
        path,
        format!(
            "holds {} picture{} without a partner: {}{more}",
            alone.len(),
            if alone.len() == 1 { "" } else { "s" },
            shown.join(", ")
        ),
        format!(
            "a pair has one name in {folder}A/ and {folder}B/; add the partners or take these out"
        ),
    ))
}

/// What a folder or zip file holds, as far as its folders say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One set.
    One,
    /// Two domains in which each picture has a partner of its name.
    Paired,
    /// Two domains.
    Unpaired,
}

/// What a folder or zip file holds.
///
/// # Errors
/// A path that cannot be read or holds no picture.
pub fn kind(path: &Path) -> Result<Kind, FileError> {
    let (_, entries) = Files::open(path)?;
    let listed = pictures(path, &entries)?;
    if !listed.iter().any(|(first, _)| is_side(first)) {
        return Ok(Kind::One);
    }
    let [a, b] = both(path, &listed, Split::Train)?;
    Ok(match pairs(path, Split::Train, &a, &b) {
        Ok(_) => Kind::Paired,
        Err(_) => Kind::Unpaired,
    })
}

#[cfg(test)]
mod tests;
