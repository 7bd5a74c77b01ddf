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
//! A folder that holds nothing but one other folder stands for that one. Pictures are held in memory,
//! decoded: 8 bits a channel, grey or RGB (palettes are colours), transparent ones on white, turned upright
//! as JPEG's orientation tag says.

mod decode;
pub mod sides;
mod single;

pub use single::{Album, Single};

use super::files::{Entry, Files};
use super::{DataInfo, InMemory, Split};
use crate::FileError;
use decode::Looks;
use std::collections::BTreeSet;
use std::path::Path;

/// Endings of the files that count as pictures, in lower case.
const ENDINGS: [&str; 3] = [".png", ".jpg", ".jpeg"];
/// The most that a set may take in memory, in bytes: 87,000 pictures of 64x64 in colour.
const LARGEST: usize = 1 << 30;
/// Labels are held as bytes.
const CLASSES: usize = 256;

/// Reads the pictures of a folder or zip file: all of them as the train split where it has none. Beside
/// them, what was done to pictures that were not as they should be: a sentence each.
///
/// # Errors
/// No pictures, or none of that split; a picture that cannot be decoded, or has not the first one's size
/// and channels; sets that are too large; folders of two sides; files that cannot
/// be read; entries of a zip file that are not what their headers say, or that lead out of it.
pub fn open(path: &Path, split: Split) -> Result<(InMemory, Vec<String>), FileError> {
    let (mut files, entries) = Files::open(path)?;
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
    if !(has("train") || has("test")) {
        return match split {
            Split::Train => load(path, &mut files, &pictures, &classes(&pictures)),
            Split::Test => Err(FileError::new(
                path,
                "holds no pictures for testing",
                "put them into test/ and the others into train/",
            )),
        };
    }
    let part = |name| within(&pictures, name);
    if !has(wanted) {
        let problem = format!("holds no pictures in {wanted}/");
        return Err(FileError::new(path, problem, "add them"));
    }
    // Both splits number their classes alike, also where one of them lacks a class.
    let mut names = classes(&part("train"));
    names.extend(classes(&part("test")));
    load(path, &mut files, &part(wanted), &names)
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

/// Decodes pictures in the order of their names; with classes, each is in the folder of one.
fn load(
    path: &Path,
    files: &mut Files,
    listed: &Listed<'_>,
    classes: &BTreeSet<String>,
) -> Result<(InMemory, Vec<String>), FileError> {
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
    let mut bytes = Vec::new();
    let mut labels = Vec::new();
    let mut all: Vec<Looks> = Vec::new();
    let mut first: Option<(&str, DataInfo)> = None;
    for (folder, (_, entry)) in listed {
        let file = files.read(entry)?;
        let fault =
            |problem: String, remedy: &str| FileError::new(&files.path(entry), problem, remedy);
        let want = first.as_ref().map(|(name, info)| (*name, info));
        let (single, looks) =
            decode(&file, want).map_err(|(problem, remedy)| fault(problem, remedy))?;
        let info = info(&looks);
        if listed.len().saturating_mul(info.pixels()) > LARGEST {
            return Err(FileError::new(
                path,
                format!(
                    "holds {} pictures of {}x{}, more than the {LARGEST} bytes that are held in memory",
                    listed.len(),
                    info.height,
                    info.width
                ),
                "take fewer pictures or make them smaller",
            ));
        }
        all.push(looks);
        bytes.extend(single.bytes);
        if !classes.is_empty() {
            match classes.iter().position(|class| class == folder) {
                Some(label) => labels.push(label as u8),
                None => {
                    return Err(fault(
                        "lies in no class's folder, as others do".into(),
                        "put it into one",
                    ));
                }
            }
        }
        first.get_or_insert((&entry.name, info));
    }
    let Some((_, info)) = first else {
        return Err(FileError::new(path, "holds no pictures", "add some"));
    };
    let info = DataInfo {
        len: listed.len(),
        classes: (!classes.is_empty()).then_some(classes.len()),
        ..info
    };
    let set = InMemory::new(info, bytes, (!classes.is_empty()).then_some(labels))
        .map_err(|problem| FileError::new(path, problem, "check its pictures"))?;
    Ok((set, sides::converted(&all)))
}

fn info(looks: &Looks) -> DataInfo {
    DataInfo {
        channels: looks.channels,
        height: looks.height,
        width: looks.width,
        classes: None,
        len: 1,
    }
}

/// A picture, which has to have the sizes and kind of the first one; `want` is that one's name and sizes.
fn decode(file: &[u8], want: Option<(&str, &DataInfo)>) -> Result<(Single, Looks), decode::Fault> {
    let opened = decode::open(file)?;
    let looks = opened.looks;
    let found = info(&looks);
    // Before it is decoded, so that a header cannot claim more than the first picture has.
    if let Some((name, want)) = want
        && *want != found
    {
        let says = |info: &DataInfo| {
            let color = if info.channels == 1 { "grey" } else { "colour" };
            format!("{}x{} {color}", info.height, info.width)
        };
        let problem = format!("is {}, {name} is {}", says(&found), says(want));
        let remedy = "bring all pictures to one size and kind, or take it out of the set";
        return Err((problem, remedy));
    }
    Ok((Single::of(opened)?, looks))
}

#[cfg(test)]
mod tests;
