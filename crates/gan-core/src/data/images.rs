//! Folders and zip files of PNG and JPEG pictures as data sets.
//!
//! What a folder means is read from its own folders:
//!
//! | top level | meaning |
//! |---|---|
//! | `train/`, `test/` | the two splits; each is read by the next two rows |
//! | only folders, each with pictures | one class a folder, numbered in the order of their names |
//! | anything else | pictures without labels, however nested, in the order of their names |
//! | `trainA/`, `trainB/`, `testA/`, `testB/` | the sides of a data set in two domains: [`side`] |
//!
//! A folder that holds nothing but one other folder stands for that one. Pictures are held in memory,
//! decoded: 8 bits a channel, grey or RGB, transparent ones on white, JPEG's orientation tag ignored.

use super::files::{Entry, Files};
use super::{DataInfo, InMemory, Split};
use crate::FileError;
use crate::source::Side;
use image::{DynamicImage, ImageDecoder, ImageReader, Limits};
use std::collections::BTreeSet;
use std::io::Cursor;
use std::path::Path;

/// Endings of the files that count as pictures, in lower case.
const ENDINGS: [&str; 3] = [".png", ".jpg", ".jpeg"];
/// The most that a set may take in memory, in bytes: 87,000 pictures of 64x64 in colour.
const LARGEST: usize = 1 << 30;
/// The largest side of a picture in pixels.
const SIDE: u32 = 8192;
/// Labels are held as bytes.
const CLASSES: usize = 256;

/// Reads the pictures of a folder or zip file: all of them as the train split where it has none.
///
/// # Errors
/// No pictures, or none of that split; a picture that cannot be decoded, or has not the first one's size
/// and channels; sets that are too large; folders of two sides; files that cannot
/// be read; entries of a zip file that are not what their headers say, or that lead out of it.
pub fn open(path: &Path, split: Split) -> Result<InMemory, FileError> {
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

/// Reads `trainA`, `trainB`, `testA` or `testB` of a folder or zip file, without labels.
///
/// # Errors
/// As [`open`], and when there is no such folder.
pub fn side(path: &Path, split: Split, side: Side) -> Result<InMemory, FileError> {
    let (mut files, entries) = Files::open(path)?;
    let name = match side {
        Side::A => format!("{}A", folder_of(split)),
        Side::B => format!("{}B", folder_of(split)),
    };
    let part = within(&pictures(path, &entries)?, &name);
    if part.is_empty() {
        let problem = format!("holds no pictures in {name}/");
        return Err(FileError::new(path, problem, "add them"));
    }
    load(path, &mut files, &part, &BTreeSet::new())
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
    let is_picture = |entry: &&Entry| {
        let name = entry.name.to_lowercase();
        ENDINGS.iter().any(|ending| name.ends_with(ending))
    };
    let named = entries.iter().filter(is_picture);
    let mut listed: Listed<'a> = named
        .map(|entry| first_folder(&entry.name, entry))
        .collect();
    let Some(&(mut only, _)) = listed.first() else {
        return Err(FileError::new(
            path,
            match entries.len() {
                0 => "holds no files".to_string(),
                n => format!("holds {n} files and no picture among them (.png, .jpg, .jpeg)"),
            },
            "name a folder or zip file of pictures, or a folder in MNIST's format",
        ));
    };
    let meant = |folder: &str| folder.is_empty() || folder_names_a_part(folder);
    while !meant(only) && listed.iter().all(|(folder, _)| *folder == only) {
        listed = within(&listed, only);
        only = listed.first().map_or("", |(folder, _)| folder);
    }
    Ok(listed)
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
) -> Result<InMemory, FileError> {
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
    let mut first: Option<(&str, DataInfo)> = None;
    for (folder, (_, entry)) in listed {
        let file = files.read(entry)?;
        let fault =
            |problem: String, remedy: &str| FileError::new(&files.path(entry), problem, remedy);
        let want = first.as_ref().map(|(name, info)| (*name, info));
        let (info, pixels) =
            decode(&file, want).map_err(|(problem, remedy)| fault(problem, remedy))?;
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
        // Channels last in a file, first in a set.
        for channel in 0..info.channels {
            bytes.extend(pixels.iter().skip(channel).step_by(info.channels));
        }
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
    InMemory::new(info, bytes, (!classes.is_empty()).then_some(labels))
        .map_err(|problem| FileError::new(path, problem, "check its pictures"))
}

/// A picture's sizes and its bytes, channels last; `want` is the first picture's name and sizes.
fn decode(
    file: &[u8],
    want: Option<(&str, &DataInfo)>,
) -> Result<(DataInfo, Vec<u8>), (String, &'static str)> {
    let broken = |e: image::ImageError| {
        let problem = format!("is no PNG or JPEG picture, or is damaged ({e})");
        (problem, "replace it or take it out of the set")
    };
    let mut reader = ImageReader::new(Cursor::new(file))
        .with_guessed_format()
        .map_err(|e| broken(e.into()))?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE);
    limits.max_image_height = Some(SIDE);
    reader.limits(limits);
    let is_jpeg = reader.format() == Some(image::ImageFormat::Jpeg);
    let decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    let color = decoder.color_type();
    let channels = if color.has_color() { 3 } else { 1 };
    let info = DataInfo {
        channels,
        height: height as usize,
        width: width as usize,
        classes: None,
        len: 1,
    };
    // Before it is decoded, so that a header cannot claim more than the first picture has.
    if let Some((name, want)) = want
        && *want != info
    {
        let says = |info: &DataInfo| {
            let color = if info.channels == 1 { "grey" } else { "colour" };
            format!("{}x{} {color}", info.height, info.width)
        };
        let problem = format!("is {}, {name} is {}", says(&info), says(want));
        let remedy = "bring all pictures to one size and kind, or take it out of the set";
        return Err((problem, remedy));
    }
    // The decoder fills what is missing with grey.
    if is_jpeg && !jpeg_is_whole(file) {
        let problem = "is cut short (a JPEG picture without its end)".to_string();
        return Err((problem, "replace it or take it out of the set"));
    }
    let picture = DynamicImage::from_decoder(decoder).map_err(broken)?;
    let bytes = match (channels, color.has_alpha()) {
        (1, false) => picture.into_luma8().into_raw(),
        (1, true) => on_white::<2>(&picture.into_luma_alpha8().into_raw()),
        (_, false) => picture.into_rgb8().into_raw(),
        (_, true) => on_white::<4>(&picture.into_rgba8().into_raw()),
    };
    Ok((info, bytes))
}

/// Drops the last of N channels, which says how much of a pixel covers the white.
fn on_white<const N: usize>(pixels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(pixels.len() / N * (N - 1));
    for pixel in pixels.chunks_exact(N) {
        if let [colors @ .., alpha] = pixel {
            let alpha = u32::from(*alpha);
            bytes.extend(colors.iter().map(|&color| {
                // Rounded; at most 255.
                ((u32::from(color) * alpha + 255 * (255 - alpha) + 127) / 255) as u8
            }));
        }
    }
    bytes
}

/// Whether a JPEG file's segments lead to its end marker (ITU T.81, annex B).
fn jpeg_is_whole(file: &[u8]) -> bool {
    let byte = |i: usize| file.get(i).copied();
    let mut i = 2; // after the start marker
    while let (Some(0xff), Some(marker)) = (byte(i), byte(i + 1)) {
        match marker {
            0xd9 => return true,
            0xff => i += 1,               // fill
            0x01 | 0xd0..=0xd8 => i += 2, // markers that stand alone
            _ => {
                let (Some(high), Some(low)) = (byte(i + 2), byte(i + 3)) else {
                    return false;
                };
                i += 2 + (usize::from(high) << 8 | usize::from(low));
                if marker == 0xda {
                    // Coded data: FF is followed by 0, or is a restart marker.
                    while let Some(value) = byte(i) {
                        let stuffed = matches!(byte(i + 1), Some(0 | 0xd0..=0xd7));
                        if value == 0xff && !stuffed {
                            break;
                        }
                        i += 1;
                    }
                }
            }
        }
    }
    false
}

#[cfg(test)]
mod tests;
