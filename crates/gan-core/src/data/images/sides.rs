//! Data sets in two domains: aligned pairs, or two sets without a correspondence.
//!
//! Their pictures come in any sizes and kinds, since a run brings them to its own size anyway. They are
//! never stretched: each is cut to the square in its middle, and where the squares differ all are brought
//! to the smallest one's size, or to the largest that fits in memory. Where one has colours, all have.
//! What was changed is said in notes.

use super::decode::Looks;
use super::single::Single;
use super::{Entry, Files, LARGEST, Listed, decode, folder_of, is_side, pictures, within};
use crate::FileError;
use crate::data::{DataInfo, InMemory, Split};
use crate::source::Side;
use std::collections::BTreeMap;
use std::path::Path;

/// Names in an error, at most.
const NAMED: usize = 5;

/// Both sides of a data set.
#[derive(Debug)]
pub struct Sides {
    /// The domain X.
    pub a: InMemory,
    /// The domain Y.
    pub b: InMemory,
    /// What was done to pictures that were not as they should be: a sentence each.
    pub notes: Vec<String>,
}

/// Reads pairs: `trainA/NAME` with `trainB/NAME` (endings may differ), or pictures that are twice as wide
/// as they are high, A on the left and B on the right, in `train/` or at the top level.
///
/// # Errors
/// Pictures without a partner, by name; pairs of two sizes; a picture with another shape; and as
/// [`super::open`].
pub fn paired(path: &Path, split: Split) -> Result<Sides, FileError> {
    let (mut files, entries) = Files::open(path)?;
    let listed = pictures(path, &entries)?;
    if listed.iter().any(|(first, _)| is_side(first)) {
        let [a, b] = both(path, &listed, split)?;
        let pairs = pairs(path, split, &a, &b)?;
        let looks = survey(&mut files, pairs.iter().flat_map(|(a, b)| [*a, *b]))?;
        for (pair, looks) in pairs.iter().zip(looks.chunks_exact(2)) {
            if let [a, b] = looks
                && (a.height, a.width) != (b.height, b.width)
            {
                return Err(FileError::new(
                    &files.path(pair.1),
                    format!(
                        "is {}x{}, its partner {} is {}x{}",
                        b.height, b.width, pair.0.name, a.height, a.width
                    ),
                    "bring both to one size, or take the pair out of the set",
                ));
            }
        }
        let plan = Plan::new(path, &looks, looks.len())?;
        let (a, b): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        return Ok(Sides {
            a: plan.load(path, &mut files, &a)?,
            b: plan.load(path, &mut files, &b)?,
            notes: plan.notes(&looks),
        });
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
    let joined: Vec<&Entry> = part.iter().map(|(_, (_, entry))| *entry).collect();
    let mut looks = survey(&mut files, joined.iter().copied())?;
    for (entry, looks) in joined.iter().zip(&mut looks) {
        if looks.width != 2 * looks.height {
            return Err(FileError::new(
                &files.path(entry),
                format!(
                    "is {}x{} (height x width), expected a pair: twice as wide as high, A on the left, B on \
                     the right",
                    looks.height, looks.width
                ),
                "put pairs into trainA/ and trainB/ by the same names, or both halves into one picture",
            ));
        }
        looks.width = looks.height;
    }
    let plan = Plan::new(path, &looks, 2 * looks.len())?;
    let mut sides = [Vec::new(), Vec::new()];
    for entry in &joined {
        let (a, b) = single(&mut files, entry)?.halves();
        for (bytes, half) in sides.iter_mut().zip([a, b]) {
            bytes.extend(plan.square(half));
        }
    }
    let [a, b] = sides.map(|bytes| plan.set(path, joined.len(), bytes));
    Ok(Sides {
        a: a?,
        b: b?,
        notes: plan.notes(&looks),
    })
}

/// Reads `trainA/` and `trainB/` as two sets of any two counts.
///
/// # Errors
/// A side without pictures; and as [`super::open`].
pub fn unpaired(path: &Path, split: Split) -> Result<Sides, FileError> {
    let (mut files, entries) = Files::open(path)?;
    let [a, b] = both(path, &pictures(path, &entries)?, split)?.map(|side| {
        let entries = side.into_iter().map(|(_, (_, entry))| entry);
        entries.collect::<Vec<_>>()
    });
    let looks = survey(&mut files, a.iter().chain(&b).copied())?;
    let plan = Plan::new(path, &looks, looks.len())?;
    Ok(Sides {
        a: plan.load(path, &mut files, &a)?,
        b: plan.load(path, &mut files, &b)?,
        notes: plan.notes(&looks),
    })
}

/// Reads one set as [`super::open`] does, without labels, of pictures in any sizes and kinds.
///
/// # Errors
/// As [`super::open`], but for differing sizes.
pub fn squares(path: &Path, split: Split) -> Result<(InMemory, Vec<String>), FileError> {
    let (mut files, entries) = Files::open(path)?;
    let folder = folder_of(split);
    let part = within(&pictures(path, &entries)?, folder);
    if part.is_empty() {
        let problem = format!("holds no pictures in {folder}/");
        return Err(FileError::new(path, problem, "add them"));
    }
    let part: Vec<&Entry> = part.iter().map(|(_, (_, entry))| *entry).collect();
    let looks = survey(&mut files, part.iter().copied())?;
    let plan = Plan::new(path, &looks, looks.len())?;
    Ok((plan.load(path, &mut files, &part)?, plan.notes(&looks)))
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
    let letter = match side {
        Side::A => 'A',
        Side::B => 'B',
    };
    let name = format!("{}{letter}", folder_of(split));
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

/// What the headers of pictures say.
fn survey<'a>(
    files: &mut Files,
    entries: impl Iterator<Item = &'a Entry>,
) -> Result<Vec<Looks>, FileError> {
    let mut all = Vec::new();
    for entry in entries {
        let file = files.read(entry)?;
        let looks = decode::open(&file).map(|opened| opened.looks);
        all.push(
            looks
                .map_err(|(problem, remedy)| FileError::new(&files.path(entry), problem, remedy))?,
        );
    }
    Ok(all)
}

fn single(files: &mut Files, entry: &Entry) -> Result<Single, FileError> {
    let file = files.read(entry)?;
    match Single::decode(&file) {
        Ok(single) => Ok(single),
        Err((problem, remedy)) => Err(FileError::new(&files.path(entry), problem, remedy)),
    }
}

/// What all pictures of a set are brought to.
#[derive(Clone, Copy)]
struct Plan {
    channels: usize,
    side: usize,
}

impl Plan {
    /// The smallest square of pictures that look like this, or the largest of which `count` fit in memory.
    fn new(path: &Path, looks: &[Looks], count: usize) -> Result<Self, FileError> {
        let channels = looks.iter().map(|looks| looks.channels).max().unwrap_or(1);
        let shorter = looks.iter().map(|looks| looks.height.min(looks.width));
        let fits = (LARGEST / (channels * count.max(1))).isqrt();
        let side = shorter.min().unwrap_or(0).min(fits);
        if side == 0 {
            let problem = format!("holds {count} pictures, more than are held in memory");
            return Err(FileError::new(path, problem, "take fewer pictures"));
        }
        Ok(Self { channels, side })
    }

    fn square(self, single: Single) -> Vec<u8> {
        let single = if self.channels == 3 {
            single.rgb()
        } else {
            single
        };
        single.square(self.side)
    }

    fn load(self, path: &Path, files: &mut Files, part: &[&Entry]) -> Result<InMemory, FileError> {
        let mut bytes = Vec::with_capacity(part.len() * self.channels * self.side * self.side);
        for entry in part {
            bytes.extend(self.square(single(files, entry)?));
        }
        self.set(path, part.len(), bytes)
    }

    fn set(self, path: &Path, len: usize, bytes: Vec<u8>) -> Result<InMemory, FileError> {
        let info = DataInfo {
            channels: self.channels,
            height: self.side,
            width: self.side,
            classes: None,
            len,
        };
        InMemory::new(info, bytes, None)
            .map_err(|problem| FileError::new(path, problem, "check its pictures"))
    }

    /// What this makes of pictures that look like this.
    fn notes(self, looks: &[Looks]) -> Vec<String> {
        let mut notes = converted(looks);
        let count = |is: &dyn Fn(&Looks) -> bool| looks.iter().filter(|looks| is(looks)).count();
        let grey = count(&|looks| looks.channels < self.channels);
        if grey > 0 {
            notes.push(format!(
                "{grey} of {} pictures are grey and get three equal channels, as others have colours",
                looks.len()
            ));
        }
        let side = self.side;
        let cut = count(&|looks| looks.height != looks.width);
        let scaled = count(&|looks| looks.height.min(looks.width) != side);
        if cut + scaled > 0 {
            notes.push(format!(
                "{cut} of {} pictures are cut to the square in their middle, {scaled} are brought to \
                 {side}x{side}, the smallest one's size or the largest that memory holds",
                looks.len()
            ));
        }
        notes
    }
}

/// What reading alone changes of pictures that look like this.
pub(super) fn converted(looks: &[Looks]) -> Vec<String> {
    let all = looks.len();
    let count = |is: fn(&Looks) -> bool| looks.iter().filter(|looks| is(looks)).count();
    let said = [
        (
            count(|looks| looks.turned),
            "are turned as their orientation tag says",
        ),
        (
            count(|looks| looks.clear),
            "have transparency and are drawn on white",
        ),
        (
            count(|looks| looks.deep),
            "have more than 8 bits a channel and are rounded to 8",
        ),
    ];
    let said = said.into_iter().filter(|(n, _)| *n > 0);
    said.map(|(n, what)| format!("{n} of {all} pictures {what}"))
        .collect()
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

/// Reads `trainA`, `trainB`, `testA` or `testB` of a folder or zip file, without labels; all pictures have
/// one size and kind.
///
/// # Errors
/// As [`super::open`], and when there is no such folder.
pub fn side(path: &Path, split: Split, side: Side) -> Result<InMemory, FileError> {
    let (mut files, entries) = Files::open(path)?;
    let part = one(path, &pictures(path, &entries)?, split, side)?;
    Ok(super::load(path, &mut files, &part, &Default::default())?.0)
}

#[cfg(test)]
mod tests;
