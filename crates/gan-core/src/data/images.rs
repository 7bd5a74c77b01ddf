//! Folders and zip files of pictures as data sets: PNG, JPEG, WebP, BMP, TIFF and GIF.
//!
//! What a folder means is read from its own folders:
//!
//! | top level | meaning |
//! |---|---|
//! | `train/`, `test/` or else `val/`, in any case | the two splits; each is read by the next two rows |
//! | only folders, each with pictures, where labels are learned | one class a folder, numbered in the natural order of their names |
//! | the same, their names numbers, and `classes.txt` | the names of these classes, a line each, that of folder `0` first |
//! | anything else | pictures without labels, however nested, in the order of their names |
//! | `trainA/`, `trainB/`, `testA/`, `testB/` | the sides of a data set in two domains: [`sides`] |
//! | `low/`, `high/`, also in parts, with the same names in both | for papers that enlarge, pictures and smaller ones: [`low`]; for those that learn labels two classes; for others those in `high/` |
//!
//! A folder that holds nothing but one other folder stands for that one. Names that are nearly those of parts are
//! refused, and what is left out is said. What becomes of pictures of all sizes and kinds is [`Survey`]'s business.

pub(crate) mod decode;
pub mod low;
mod parallel;
mod parts;
pub mod sides;
mod single;
mod survey;
mod told;

pub use single::{Album, Single, open as open_single, tensor};
pub use survey::Survey;

use super::files::{Entry, Files};
use super::kinds::{READ, ending, is_picture};
use super::{Progress, Split};
use crate::FileError;
use parts::{Parts, composed, counted, folder_of, natural, some_of};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use survey::{Item, Partners};

/// Labels are held as bytes.
const CLASSES: usize = 256;

/// The file that names the classes of a set whose folders are their numbers: a name a line, that of class 0 first.
pub(crate) const CLASS_NAMES: &str = "classes.txt";

/// What folders without a name that says what they are mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labels {
    /// Each is a class.
    Needed,
    /// They hold more pictures of one set.
    Ignored,
    /// Each is a class where all can be; else they hold pictures of one set.
    AsFound,
}

/// Looks at the pictures of a folder or zip file: all of them as the train split where it has none.
///
/// # Errors
/// No pictures, or none of that split (the problem begins with "holds no"); folders whose names are nearly those of
/// parts; where labels are needed, a picture in no class's folder; a picture whose header cannot be read; folders of
/// two sides; files that cannot be read; entries of a zip file that are not what their headers say, or that lead out
/// of it.
pub fn open(
    path: &Path,
    split: Split,
    labels: Labels,
    progress: &Progress,
) -> Result<Survey, FileError> {
    let (files, entries) = Files::open(path)?;
    opened(path, (files, &entries), split, labels, progress)
}

/// The same of files that have been listed.
fn opened(
    path: &Path,
    (files, entries): (Files, &[Entry]),
    split: Split,
    labels: Labels,
    progress: &Progress,
) -> Result<Survey, FileError> {
    let named = class_names(path, &files, entries)?;
    let others: Cow<'_, [Entry]> = match &named {
        Some(_) => {
            let others = entries.iter().filter(|entry| entry.name != CLASS_NAMES);
            others.cloned().collect()
        }
        None => entries.into(),
    };
    let mut notes = left_out(&files, &others);
    let pictures = pictures(path, entries)?;
    parts::refuse_near(path, &pictures)?;
    if let Some(first) = parts::first_side(&pictures) {
        return Err(FileError::new(
            path,
            format!("holds {first}, a side of a data set in two domains, expected one set"),
            "name one of its folders (of a zip file: unpack it first)",
        ));
    }
    let mut folders = match Parts::find(path, &pictures, None)? {
        None if split == Split::Test => {
            return Err(FileError::new(
                path,
                "holds no pictures for testing",
                "put them into test/ and the others into train/",
            ));
        }
        None => vec![(String::new(), pictures)],
        Some(parts) => {
            let wanted = folder_of(split, None);
            if parts.folder(split).is_none() {
                let problem = format!("holds no pictures in {wanted}/");
                return Err(FileError::new(path, problem, "add them"));
            }
            let read = [Split::Train, Split::Test].into_iter();
            let read = read.filter_map(|part| Some((parts.folder(part)?, folder_of(part, None))));
            let read: Vec<(&str, String)> = read.collect();
            notes.extend(parts::said(&pictures, &read));
            let inside =
                |(folder, _): &(&str, String)| (format!("{folder}/"), within(&pictures, folder));
            let mut all: Vec<_> = read.iter().map(inside).collect();
            // The one that is wanted comes first.
            if split == Split::Test {
                all.reverse();
            }
            all
        }
    };
    let mut left = Vec::new();
    if labels != Labels::Needed {
        for (i, (inside, listed)) in folders.iter_mut().enumerate() {
            if let Some((high, note)) = low::high_alone(path, inside, listed) {
                *listed = high;
                // The first is the part that is wanted.
                left.extend(Some(note).filter(|_| i == 0));
            }
        }
    }
    let (classes, items) = labelled(path, &files, &folders, labels, named, &mut notes)?;
    let survey = Survey::new(path, files, vec![items], Partners::None, classes, progress)?;
    Ok(match split {
        Split::Train => survey.saying([left, notes].concat()),
        Split::Test => survey.saying(left), // the others are of both parts, and have been said
    })
}

/// A picture: the folder that it is in at the level looked at, empty for none, and the rest of its name.
type Listed<'a> = Vec<(&'a str, (&'a str, &'a Entry))>;

/// The pictures among the files, below the one folder that holds everything, if there is one.
fn pictures<'a>(path: &Path, entries: &'a [Entry]) -> Result<Listed<'a>, FileError> {
    pictures_down_to(path, entries, &parts::is_meant)
}

/// The same, not below a folder whose name means something.
fn pictures_down_to<'a>(
    path: &Path,
    entries: &'a [Entry],
    is_meant: &dyn Fn(&str) -> bool,
) -> Result<Listed<'a>, FileError> {
    let named = entries.iter().filter(|entry| is_picture(&entry.name));
    let mut listed: Listed<'a> = named
        .map(|entry| first_folder(&entry.name, entry))
        .collect();
    let Some(&(mut only, _)) = listed.first() else {
        return Err(no_pictures(path, entries));
    };
    let stays = |folder: &str| folder.is_empty() || is_meant(folder);
    while !stays(only) && listed.iter().all(|(folder, _)| *folder == only) {
        listed = within(&listed, only);
        only = listed.first().map_or("", |(folder, _)| folder);
    }
    Ok(listed)
}

fn no_pictures(path: &Path, files: &[Entry]) -> FileError {
    let n = files.len();
    let problem = match n {
        0 => "holds no files".to_string(),
        _ => format!(
            "holds {} and no picture among them ({})",
            counted(n, "file"),
            endings(files.iter())
        ),
    };
    let remedy = format!(
        "{READ} are read; name a folder or zip file of pictures, or a folder in MNIST's format"
    );
    FileError::new(path, problem, remedy)
}

/// How many files there are of each ending, the most frequent first: `4 .heic, 2 .txt`.
fn endings<'a>(files: impl Iterator<Item = &'a Entry>) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for entry in files {
        let ending = ending(&entry.name).filter(|ending| ending.len() <= 12);
        let kind = ending.map_or("of other names".into(), |ending| format!(".{ending}"));
        *counts.entry(kind).or_default() += 1;
    }
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let kinds: Vec<String> = counts
        .iter()
        .map(|(kind, n)| format!("{n} {kind}"))
        .collect();
    let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
    some_of(&kinds)
}

/// What is to be said of what a folder or zip file holds besides pictures.
fn left_out(files: &Files, entries: &[Entry]) -> Vec<String> {
    let others: Vec<&Entry> = entries
        .iter()
        .filter(|entry| !is_picture(&entry.name))
        .collect();
    let mut notes = Vec::new();
    if !others.is_empty() {
        let are = if others.len() == 1 {
            "is no picture"
        } else {
            "are no pictures"
        };
        notes.push(format!(
            "left out {} that {are} of a kind that is read: {}",
            counted(others.len(), "file"),
            endings(others.into_iter())
        ));
    }
    let special = files.special();
    if !special.is_empty() {
        let named = special
            .iter()
            .map(|(name, what)| format!("{name} ({what})"));
        let named: Vec<String> = named.collect();
        let named: Vec<&str> = named.iter().map(String::as_str).collect();
        notes.push(format!("left out what is no file: {}", some_of(&named)));
    }
    notes
}

fn first_folder<'a>(name: &'a str, entry: &'a Entry) -> (&'a str, (&'a str, &'a Entry)) {
    let (folder, rest) = name.split_once('/').unwrap_or(("", name));
    (folder, (rest, entry))
}

/// What is in one folder of the level looked at, one level down.
fn within<'a>(listed: &Listed<'a>, folder: &str) -> Listed<'a> {
    let inside = listed.iter().filter(|(first, _)| *first == folder);
    inside
        .map(|(_, (rest, entry))| first_folder(rest, entry))
        .collect()
}

/// A picture that keeps folders from being classes: one beside them, or one in a folder within one of them.
fn stray<'a>(listed: &Listed<'a>) -> Option<(&'a Entry, &'static str)> {
    listed.iter().find_map(|(folder, (rest, entry))| {
        match (folder.is_empty(), rest.contains('/')) {
            (true, _) => Some((*entry, "lies beside the folders of the classes")),
            (_, true) => Some((*entry, "lies in a folder within that of a class")),
            _ => None,
        }
    })
}

/// The folders that are or could be classes; none where there are fewer than two, or pictures elsewhere.
fn class_folders<'a>(listed: &Listed<'a>) -> BTreeSet<&'a str> {
    let folders = parts::folders(listed);
    match stray(listed).is_some() || folders.len() < 2 {
        true => BTreeSet::new(),
        false => folders,
    }
}

/// The classes' names, and the pictures of the first part in the order of their names.
fn labelled(
    path: &Path,
    files: &Files,
    shares: &[(String, Listed<'_>)],
    labels: Labels,
    named: Option<Vec<String>>,
    notes: &mut Vec<String>,
) -> Result<(Vec<String>, Vec<Item>), FileError> {
    let Some((within, listed)) = shares.first() else {
        return Ok((Vec::new(), Vec::new()));
    };
    // All parts number their classes alike, also where one of them lacks a class.
    let folders = shares.iter().flat_map(|(_, listed)| class_folders(listed));
    let folders: BTreeSet<&str> = folders.collect();
    if labels != Labels::Needed {
        parts::refuse_letters(path, within, listed)?;
    } else if (parts::folders(listed).len() > 1 || !folders.is_empty())
        && let Some((entry, problem)) = stray(listed)
    {
        let problem = format!("{problem}, and this paper learns from classes");
        let remedy = "put it into the folder of its class, or take it out of the set";
        return Err(FileError::new(&files.path(entry), problem, remedy));
    }
    if labels == Labels::Ignored || folders.is_empty() || stray(listed).is_some() {
        notes.extend(one_set(listed, labels));
        // Where folders could be classes, their numbers tell the set from others: of old.
        let number = |folder: &str| folders.iter().position(|other| *other == folder);
        return Ok((Vec::new(), items(listed, number)));
    }
    let numbered = named.is_some();
    let names = named.unwrap_or_else(|| {
        let mut names: Vec<String> = folders.iter().map(|folder| composed(folder)).collect();
        names.sort_by(|a, b| natural(a, b));
        names.dedup();
        names
    });
    if names.len() > CLASSES {
        let problem = format!(
            "holds {} folders, expected at most {CLASSES} classes",
            names.len()
        );
        let remedy = "put all pictures into one folder if their folders are no classes";
        return Err(FileError::new(path, problem, remedy));
    }
    let number = |folder: &str| {
        if numbered {
            return folder.parse().ok();
        }
        let folder = composed(folder);
        names.iter().position(|name| *name == folder)
    };
    let items = items(listed, number);
    Ok((names, items))
}

/// The names that [`CLASS_NAMES`] gives to the classes, where there is such a file and the folders of all pictures are
/// numbers.
fn class_names(
    path: &Path,
    files: &Files,
    entries: &[Entry],
) -> Result<Option<Vec<String>>, FileError> {
    let Some(entry) = entries.iter().find(|entry| entry.name == CLASS_NAMES) else {
        return Ok(None);
    };
    let folder = |entry: &Entry| {
        let (folder, _) = entry.name.rsplit_once('/')?;
        folder.rsplit('/').next()?.parse::<usize>().ok()
    };
    let pictures = entries.iter().filter(|entry| is_picture(&entry.name));
    let numbers: Option<BTreeSet<usize>> = pictures.map(folder).collect();
    let Some(last) = numbers.and_then(|numbers| numbers.last().copied()) else {
        return Ok(None);
    };
    let text = files.read(entry)?;
    let text = String::from_utf8_lossy(&text);
    let names: Vec<String> = text.lines().map(|line| composed(line.trim())).collect();
    if last >= names.len() {
        let problem = format!(
            "names {} classes, there are pictures in {last}/",
            names.len()
        );
        return Err(FileError::new(
            &path.join(CLASS_NAMES),
            problem,
            "write a line for each class, that of 0 first",
        ));
    }
    Ok(Some(names))
}

fn items(listed: &Listed<'_>, number: impl Fn(&str) -> Option<usize>) -> Vec<Item> {
    let item = |(folder, (_, entry)): &(&str, (&str, &Entry))| Item {
        entry: (*entry).clone(),
        half: None,
        label: number(folder).and_then(|label| u8::try_from(label).ok()),
    };
    listed.iter().map(item).collect()
}

/// What is to be said of several folders that hold one set.
fn one_set(listed: &Listed<'_>, labels: Labels) -> Option<String> {
    let holding = listed.iter().map(|(_, (_, entry))| {
        let holding = entry.name.rsplit_once('/');
        holding.map_or("", |(folder, _)| folder)
    });
    let n = holding.collect::<BTreeSet<_>>().len();
    let why = match (labels, stray(listed)) {
        (Labels::AsFound, Some((entry, why))) => format!("no classes, as {} {why}", entry.name),
        _ => "folders are classes only for papers that learn from labels".into(),
    };
    (n > 1).then(|| format!("{n} folders are read as one set; {why}"))
}

#[cfg(test)]
mod tests;
