//! Folders and zip files of PNG and JPEG pictures as data sets.
//!
//! What a folder means is read from its own folders:
//!
//! | top level | meaning |
//! |---|---|
//! | `train/`, `test/` | the two splits; each is read by the next two rows |
//! | only folders, each with pictures | one class a folder, numbered in the order of their names |
//! | anything else | pictures without labels, however nested, in the order of their names |
//! | `trainA/`, `trainB/`, `testA/`, `testB/` | the sides of a data set in two domains: [`sides`] |
//!
//! A folder that holds nothing but one other folder stands for that one. What becomes of pictures of all
//! sizes and kinds is [`Survey`]'s business.

mod decode;
pub mod sides;
mod single;
mod survey;

pub use single::{Album, Single, open as open_single, tensor};
pub use survey::Survey;

use super::files::{Entry, Files};
use super::{Progress, Split};
use crate::FileError;
use std::collections::BTreeSet;
use std::path::Path;
use survey::Item;

/// Endings of the files that count as pictures, in lower case.
const ENDINGS: [&str; 3] = [".png", ".jpg", ".jpeg"];
/// Labels are held as bytes.
const CLASSES: usize = 256;

/// Looks at the pictures of a folder or zip file: all of them as the train split where it has none.
///
/// # Errors
/// No pictures, or none of that split; a picture whose header cannot be read; folders of two sides; files
/// that cannot be read; entries of a zip file that are not what their headers say, or that lead out of it.
pub fn open(path: &Path, split: Split, progress: &Progress) -> Result<Survey, FileError> {
    let (files, entries) = Files::open(path)?;
    let pictures = pictures(path, &entries)?;
    if let Some((first, _)) = pictures.iter().find(|(first, _)| is_side(first)) {
        return Err(FileError::new(
            path,
            format!("holds {first}, a side of a data set in two domains, expected one set"),
            "name one of its folders (of a zip file: unpack it first)",
        ));
    }
    let has = |name| pictures.iter().any(|(first, _)| *first == name);
    let wanted = folder_of(split);
    let (part, names) = if !(has("train") || has("test")) {
        if split == Split::Test {
            return Err(FileError::new(
                path,
                "holds no pictures for testing",
                "put them into test/ and the others into train/",
            ));
        }
        let names = classes(&pictures);
        (pictures, names)
    } else {
        let part = |name| within(&pictures, name);
        if !has(wanted) {
            let problem = format!("holds no pictures in {wanted}/");
            return Err(FileError::new(path, problem, "add them"));
        }
        // Both splits number their classes alike, also where one of them lacks a class.
        let mut names = classes(&part("train"));
        names.extend(classes(&part("test")));
        (part(wanted), names)
    };
    let items = labelled(path, &files, &part, &names)?;
    let classes = names.into_iter().collect();
    Survey::new(path, files, vec![items], false, classes, progress)
}

fn folder_of(split: Split) -> &'static str {
    match split {
        Split::Train => "train",
        Split::Test => "test",
    }
}

fn is_side(folder: &str) -> bool {
    ["trainA", "trainB", "testA", "testB"].contains(&folder)
}

/// A picture: the folder that it is in at the level looked at, empty for none, and the rest of its name.
type Listed<'a> = Vec<(&'a str, (&'a str, &'a Entry))>;

/// The pictures among the files, below the one folder that holds everything, if there is one.
fn pictures<'a>(path: &Path, entries: &'a [Entry]) -> Result<Listed<'a>, FileError> {
    let named = entries.iter().filter(|entry| is_picture(&entry.name));
    let mut listed: Listed<'a> = named
        .map(|entry| first_folder(&entry.name, entry))
        .collect();
    let Some(&(mut only, _)) = listed.first() else {
        return Err(no_pictures(path, entries.len()));
    };
    let meant = |folder: &str| folder.is_empty() || folder_names_a_part(folder);
    while !meant(only) && listed.iter().all(|(folder, _)| *folder == only) {
        listed = within(&listed, only);
        only = listed.first().map_or("", |(folder, _)| folder);
    }
    Ok(listed)
}

fn is_picture(name: &str) -> bool {
    let name = name.to_lowercase();
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}

fn no_pictures(path: &Path, files: usize) -> FileError {
    FileError::new(
        path,
        match files {
            0 => "holds no files".to_string(),
            n => format!("holds {n} files and no picture among them (.png, .jpg, .jpeg)"),
        },
        "name a folder or zip file of pictures, or a folder in MNIST's format",
    )
}

fn folder_names_a_part(folder: &str) -> bool {
    is_side(folder) || [Split::Train, Split::Test].map(folder_of).contains(&folder)
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

/// The names of the classes; none where the pictures have no labels.
fn classes(listed: &Listed<'_>) -> BTreeSet<String> {
    let names: BTreeSet<_> = listed
        .iter()
        .map(|(folder, _)| folder.to_string())
        .collect();
    let flat = listed.iter().all(|(_, (rest, _))| !rest.contains('/'));
    match names.contains("") || !flat || names.len() < 2 {
        true => BTreeSet::new(),
        false => names,
    }
}

/// Pictures in the order of their names; with classes, each is in the folder of one.
fn labelled(
    path: &Path,
    files: &Files,
    listed: &Listed<'_>,
    classes: &BTreeSet<String>,
) -> Result<Vec<Item>, FileError> {
    if classes.len() > CLASSES {
        return Err(FileError::new(
            path,
            format!(
                "holds {} folders, expected at most {CLASSES} classes",
                classes.len()
            ),
            "put all pictures into one folder if their folders are no classes",
        ));
    }
    let item = |(folder, (_, entry)): &(&str, (&str, &Entry))| {
        let label = classes.iter().position(|class| class == folder);
        if label.is_none() && !classes.is_empty() {
            let problem = "lies in no class's folder, as others do";
            return Err(FileError::new(
                &files.path(entry),
                problem,
                "put it into one",
            ));
        }
        Ok(Item {
            entry: (*entry).clone(),
            half: None,
            label: label.and_then(|label| u8::try_from(label).ok()),
        })
    };
    listed.iter().map(item).collect()
}

#[cfg(test)]
mod tests;
