//! Data sets in two domains: aligned pairs, or two sets without a correspondence.

use super::parts::{self, Parts, composed, counted, folder_of, some_of};
use super::survey::{Half, Item, Partners};
use super::{Entry, Files, Listed, Survey, left_out, pictures, within};
use crate::FileError;
use crate::data::{Progress, Side, Split};
use std::collections::BTreeMap;
use std::path::Path;

/// Width to height of the halves of a picture that is taken for a pair, in twentieths: from a square on, but for
/// what rounding takes from it, to a wide screen. A photograph's halves are portraits, which are taken for no pair.
const HALVES: std::ops::RangeInclusive<usize> = 19..=50;

/// Height and width of the halves of a picture that can be a pair: of an even width, and of a shape that a single
/// picture seldom has.
pub fn halves((height, width): (usize, usize)) -> Option<(usize, usize)> {
    let half = width / 2;
    let plausible = HALVES.contains(&(20 * half / height.max(1)));
    (width % 2 == 0 && plausible).then_some((height, half))
}

/// Looks at pairs: `trainA/NAME` with `trainB/NAME` (endings may differ), or pictures of two halves, A on the left
/// and B on the right, in `train/` or at the top level.
///
/// # Errors
/// Pictures without a partner, by name; pairs of two sizes; a picture that has no two halves; and as
/// [`super::open`].
pub fn paired(path: &Path, split: Split, progress: &Progress) -> Result<Survey, FileError> {
    let (files, entries) = Files::open(path)?;
    let mut notes = left_out(&files, &entries);
    let listed = pictures(path, &entries)?;
    parts::refuse_near(path, &listed)?;
    if parts::first_side(&listed).is_none() {
        return joined(path, split, files, &listed, notes, progress);
    }
    let [a, b] = both(path, &listed, split)?;
    notes.extend(said(path, &listed)?);
    let names = [Side::A, Side::B].map(|side| folder_of(split, Some(side)));
    let (a, b): (Vec<_>, Vec<_>) = pairs(path, &names, &a, &b)?.into_iter().unzip();
    let sides = [a, b].map(|side| side.into_iter().map(whole).collect());
    let survey = Survey::new(
        path,
        files,
        sides.into(),
        Partners::Equal,
        Vec::new(),
        progress,
    )?;
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
    Ok(of_train(survey, split, notes))
}

/// What is left out and read otherwise is said with the train part.
fn of_train(survey: Survey, split: Split, notes: Vec<String>) -> Survey {
    match split {
        Split::Train => survey.saying(notes),
        Split::Test => survey,
    }
}

/// Looks at pictures that show a pair each.
fn joined(
    path: &Path,
    split: Split,
    files: Files,
    listed: &Listed<'_>,
    mut notes: Vec<String>,
    progress: &Progress,
) -> Result<Survey, FileError> {
    let part = joined_part(path, split, listed, &mut notes)?;
    if part.is_empty() {
        let folder = folder_of(split, None);
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
    let survey = Survey::new(
        path,
        files,
        sides.into(),
        Partners::Equal,
        Vec::new(),
        progress,
    )?;
    let oblong = oblong(&survey)?;
    if oblong > 0 {
        let all = part.len();
        notes.push(format!(
            "{oblong} of {all} pictures are split into halves that are no squares: A on the left, B on the right"
        ));
    }
    Ok(of_train(survey, split, notes))
}

/// The pictures of a part, where each shows a pair.
fn joined_part<'a>(
    path: &Path,
    split: Split,
    listed: &Listed<'a>,
    notes: &mut Vec<String>,
) -> Result<Listed<'a>, FileError> {
    let Some(found) = Parts::find(path, listed, None)? else {
        parts::refuse_letters(path, "", listed)?;
        return Ok(match split {
            Split::Train => listed.clone(),
            Split::Test => Listed::new(),
        });
    };
    let read = [Split::Train, Split::Test].into_iter();
    let read = read.filter_map(|part| Some((found.folder(part)?, folder_of(part, None))));
    notes.extend(parts::said(listed, &read.collect::<Vec<_>>()));
    let folder = found.folder(split);
    let part = folder.map_or(Listed::new(), |folder| within(listed, folder));
    parts::refuse_letters(path, &format!("{}/", folder.unwrap_or_default()), &part)?;
    Ok(part)
}

/// How many of the pictures have halves that are no squares.
fn oblong(survey: &Survey) -> Result<usize, FileError> {
    // The survey has halved their width.
    let size = |looks: &super::decode::Looks| (looks.height, looks.full_width);
    let mut seen = survey.side(0);
    if let Some((entry, looks)) = seen.find(|(_, looks)| halves(size(looks)).is_none()) {
        let (height, width) = size(looks);
        let why = match width % 2 {
            0 => "whose halves, A on the left and B on the right, are of no usual shape",
            _ => "an odd width, of which A on the left and B on the right have no halves",
        };
        return Err(FileError::new(
            &survey.path_of(entry),
            format!("is {width} wide and {height} high, {why}"),
            "put pairs into trainA/ and trainB/ by the same names, or squares side by side",
        ));
    }
    let all = survey.side(0);
    Ok(all
        .filter(|(_, looks)| looks.full_width != 2 * looks.height)
        .count())
}

/// Looks at `trainA/` and `trainB/` as two sets of any two counts.
///
/// # Errors
/// A side without pictures; and as [`super::open`].
pub fn apart(path: &Path, split: Split, progress: &Progress) -> Result<Survey, FileError> {
    let (files, entries) = Files::open(path)?;
    let mut notes = left_out(&files, &entries);
    let listed = pictures(path, &entries)?;
    parts::refuse_near(path, &listed)?;
    let sides = both(path, &listed, split)?.map(|side| {
        let entries = side.into_iter().map(|(_, (_, entry))| whole(entry));
        entries.collect()
    });
    notes.extend(said(path, &listed)?);
    let survey = Survey::new(
        path,
        files,
        sides.into(),
        Partners::None,
        Vec::new(),
        progress,
    )?;
    Ok(of_train(survey, split, notes))
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
        Partners::None,
        Vec::new(),
        progress,
    )
}

/// What is to be said of the folders that were read as sides, and of the pictures in none of them.
fn said(path: &Path, listed: &Listed<'_>) -> Result<Vec<String>, FileError> {
    let mut read = Vec::new();
    for split in [Split::Train, Split::Test] {
        for side in [Side::A, Side::B] {
            let parts = Parts::find(path, listed, Some(side))?;
            let folder = parts.and_then(|parts| parts.folder(split));
            read.extend(folder.map(|folder| (folder, folder_of(split, Some(side)))));
        }
    }
    Ok(parts::said(listed, &read))
}

/// A file as one picture.
pub(super) fn whole(entry: &Entry) -> Item {
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
    let parts = Parts::find(path, listed, Some(side))?;
    if let Some(folder) = parts.and_then(|parts| parts.folder(split)) {
        return Ok(within(listed, folder));
    }
    let name = folder_of(split, Some(side));
    let mut found: Vec<String> = Vec::new();
    let others = parts::folders(listed).into_iter();
    for folder in others.filter(|folder| !parts::is_meant(folder)) {
        let inside = within(listed, folder);
        match parts::folders(&inside) {
            none if none.is_empty() => found.push(format!("{folder}/")),
            some => found.extend(some.iter().map(|inner| format!("{folder}/{inner}/"))),
        }
    }
    let found: Vec<&str> = found.iter().map(String::as_str).collect();
    let found = match found[..] {
        [] => String::new(),
        _ => format!("; found {}", some_of(&found)),
    };
    Err(FileError::new(
        path,
        format!("holds no pictures in {name}/{found}"),
        "add them; the two domains are in trainA/ and trainB/, for testing in testA/ and testB/",
    ))
}

/// The pictures of two folders of these names by their own names, endings aside. Where the first has no partner for a
/// picture of the second, that one's name may end with a factor: `0801x4.png` beside `0801.png`.
///
/// # Errors
/// Two pictures of one name, and those without a partner.
pub(super) fn pairs<'a>(
    path: &Path,
    folders: &[String; 2],
    a: &Listed<'a>,
    b: &Listed<'a>,
) -> Result<Vec<(&'a Entry, &'a Entry)>, FileError> {
    type Named<'a> = BTreeMap<String, (String, &'a Entry)>;
    let by_name = |side: &Listed<'a>, known: Option<&Named<'_>>| {
        let mut names: Named<'a> = BTreeMap::new();
        for (folder, (rest, entry)) in side {
            let name = [folder, "/", rest].concat();
            let stem = name.rsplit_once('.').map_or(&*name, |(stem, _)| stem);
            let written = (stem.to_string(), *entry);
            let mut key = composed(stem);
            let bare = key.trim_end_matches(|c: char| c.is_ascii_digit());
            if let (Some(known), Some(bare)) = (known, bare.strip_suffix('x'))
                && !known.contains_key(&key)
                && known.contains_key(bare)
            {
                key = bare.to_string();
            }
            if let Some((_, other)) = names.insert(key, written) {
                return Err(FileError::new(
                    &path.join(&entry.name),
                    format!("has the name of {} but for its ending", other.name),
                    "rename one of them, so that each has one partner",
                ));
            }
        }
        Ok(names)
    };
    let a = by_name(a, None)?;
    let mut b = by_name(b, Some(&a))?;
    let (mut pairs, mut alone) = (Vec::new(), Vec::new());
    for (name, (written, entry)) in a {
        match b.remove(&name) {
            Some((_, partner)) => pairs.push((written, entry, partner)),
            None => alone.push(entry.name.as_str()),
        }
    }
    alone.extend(b.values().map(|(_, entry)| entry.name.as_str()));
    if alone.is_empty() {
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        return Ok(pairs.into_iter().map(|(_, a, b)| (a, b)).collect());
    }
    let [first, second] = folders;
    Err(FileError::new(
        path,
        format!(
            "holds {} without a partner: {}",
            counted(alone.len(), "picture"),
            some_of(&alone)
        ),
        format!(
            "a pair has one name in {first}/ and {second}/; add the partners or take these out"
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
    if parts::first_side(&listed).is_none() {
        return Ok(Kind::One);
    }
    let [a, b] = both(path, &listed, Split::Train)?;
    let names = [Side::A, Side::B].map(|side| folder_of(Split::Train, Some(side)));
    Ok(match pairs(path, &names, &a, &b) {
        Ok(_) => Kind::Paired,
        Err(_) => Kind::Unpaired,
    })
}

#[cfg(test)]
mod tests;
