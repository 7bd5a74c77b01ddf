//! Pictures beside which smaller ones are given, for papers that learn to enlarge.
//!
//! | folders, in any case | meaning |
//! |---|---|
//! | `high/NAME`, `low/NAME` | a picture and the same some times smaller; endings may differ, and a low one's name may end with its factor: `0801x4.png` |
//! | `train/high/`, `train/low/`, `test/high/`, `test/low/` | the same in parts |
//! | neither | pictures of which low ones are made: [`super::open`] |

use super::parts::{self, Parts, folder_of, slashed};
use super::sides::{pairs, whole};
use super::survey::Partners;
use super::{Entry, Files, Labels, Listed, Survey, left_out, opened, pictures_down_to, within};
use crate::FileError;
use crate::data::{Progress, Split};
use std::path::Path;

/// The folder of the pictures as they should become.
const HIGH: &str = "high";
/// The folder of the smaller ones.
const LOW: &str = "low";
/// Words by which people name such folders.
const WORDS: [(&str, &str); 7] = [
    ("hr", HIGH),
    ("highres", HIGH),
    ("hires", HIGH),
    ("high", HIGH),
    ("lr", LOW),
    ("lowres", LOW),
    ("low", LOW),
];

/// What the other folders are to be called.
const RENAME: &str = "rename: low pictures are in low/ and what they should become in high/; of a set in parts in \
                      train/low/, train/high/, test/low/ and test/high/";

/// Looks at the pictures of a folder or zip file for a paper that enlarges `scale` times: with their low partners where
/// these are given, else as [`super::open`] does.
///
/// # Errors
/// Pictures without a partner, by name; a low picture that is not `scale` times smaller than its partner; `low/` without
/// `high/`; folders whose names are nearly these; and as [`super::open`].
pub fn enlarging(
    path: &Path,
    split: Split,
    scale: usize,
    progress: &Progress,
) -> Result<Survey, FileError> {
    let (files, entries) = Files::open(path)?;
    let stays = |folder: &str| parts::is_meant(folder) || is(folder, LOW) || is(folder, HIGH);
    let listed = pictures_down_to(path, &entries, &stays)?;
    refuse_near(path, "", &listed)?;
    let parts = Parts::find(path, &listed, None)?;
    let (inside, part) = match parts.map(|parts| parts.folder(split)) {
        Some(Some(folder)) => (format!("{folder}/"), within(&listed, folder)),
        None if split == Split::Train => (String::new(), listed.clone()),
        _ => (String::new(), Listed::new()),
    };
    refuse_near(path, &inside, &part)?;
    let Some([high, low]) = given(&part) else {
        return opened(path, (files, &entries), split, Labels::Ignored, progress);
    };
    let mut notes = Vec::new();
    if split == Split::Train {
        notes.extend(left_out(&files, &entries));
        if let Some(found) = parts {
            let read = [Split::Train, Split::Test].into_iter();
            let read = read.filter_map(|of| Some((found.folder(of)?, folder_of(of, None))));
            notes.extend(parts::said(&listed, &read.collect::<Vec<_>>()));
        }
        let read = [high, low].map(|folder| (folder, folder.to_string()));
        notes.extend(parts::said(&part, &read));
    }
    notes.push(format!(
        "low pictures are those of {inside}{low}/, {scale} times smaller than those of {inside}{high}/"
    ));
    let names = [high, low].map(|folder| format!("{inside}{folder}"));
    let pairs = pairs(path, &names, &within(&part, high), &within(&part, low))?;
    let (high, low): (Vec<&Entry>, Vec<&Entry>) = pairs.into_iter().unzip();
    let sides = [high, low].map(|side| side.into_iter().map(whole).collect());
    let partners = Partners::Smaller(scale);
    let survey = Survey::new(path, files, sides.into(), partners, Vec::new(), progress)?;
    refuse_other_sizes(&survey, scale)?;
    Ok(survey.saying(notes))
}

/// Where the pictures of a part lie in `high/` and smaller ones by the same names in `low/`: those in `high/`, and what
/// is to be said of it. They are what a paper that does not enlarge learns from.
pub(super) fn high_alone<'a>(
    path: &Path,
    inside: &str,
    listed: &Listed<'a>,
) -> Option<(Listed<'a>, String)> {
    let [high, low] = given(listed)?;
    let names = [high, low].map(|folder| format!("{inside}{folder}"));
    pairs(path, &names, &within(listed, high), &within(listed, low)).ok()?;
    let [high_folder, low_folder] = names;
    let note = format!(
        "{low_folder}/ is left out: its pictures have the names of those in {high_folder}/, as low ones for papers that \
         enlarge have"
    );
    Some((within(listed, high), note))
}

fn is(folder: &str, name: &str) -> bool {
    folder.to_lowercase() == name
}

/// The folders of a level by the names that are read, high and low, where there is one of each.
fn given<'a>(listed: &Listed<'a>) -> Option<[&'a str; 2]> {
    let folders = parts::folders(listed);
    let named = |name: &str| {
        let all: Vec<&str> = folders.iter().filter(|f| is(f, name)).copied().collect();
        match all[..] {
            [only] => Some(only),
            _ => None,
        }
    };
    Some([named(HIGH)?, named(LOW)?])
}

/// Refuses folders that are nearly `low/` and `high/`, and one of these without the other: low pictures would be
/// learned from as if they were high ones.
fn refuse_near(path: &Path, inside: &str, listed: &Listed<'_>) -> Result<(), FileError> {
    if given(listed).is_some() {
        return Ok(());
    }
    let folders = parts::folders(listed);
    let worded = |folder: &str| {
        let folder = folder.to_lowercase();
        let mut words = folder.split(|c: char| !c.is_alphabetic());
        words
            .find_map(|word| WORDS.iter().find(|(known, _)| *known == word))
            .map(|(_, name)| *name)
    };
    let all = |name: &str| -> Vec<String> {
        let named = folders.iter().filter(|folder| worded(folder) == Some(name));
        named.map(|folder| format!("{inside}{folder}")).collect()
    };
    let (high, low) = (all(HIGH), all(LOW));
    if !high.is_empty() && !low.is_empty() {
        let found: Vec<&str> = high.iter().chain(&low).map(String::as_str).collect();
        let problem = format!(
            "holds {}, which are nearly {inside}high/, {inside}low/",
            slashed(&found)
        );
        return Err(FileError::new(path, problem, RENAME));
    }
    match folders.iter().find(|folder| is(folder, LOW)) {
        None => Ok(()),
        Some(low) => {
            let problem = format!(
                "holds {inside}{low}/ and no {inside}high/, which would hold what low pictures should become"
            );
            let remedy = "add high/ with a picture of each name, or rename low/ if its pictures are not low ones";
            Err(FileError::new(path, problem, remedy))
        }
    }
}

fn refuse_other_sizes(survey: &Survey, scale: usize) -> Result<(), FileError> {
    const OTHERWISE: &str = "or take low/ away, and low pictures are made of the high ones";
    for ((high, h), (low, l)) in survey.side(0).zip(survey.side(1)) {
        if (h.height, h.width) == (scale * l.height, scale * l.width) {
            continue;
        }
        let (height, width) = (h.height / scale.max(1), h.width / scale.max(1));
        if (h.height, h.width) != (scale * height, scale * width) {
            let (height, width) = (scale * height, scale * width);
            let cut = match height.min(width) {
                0 => "take the pair out of the set".into(),
                _ => format!("cut it to {width} wide and {height} high and make its partner anew"),
            };
            return Err(FileError::new(
                &survey.path_of(high),
                format!(
                    "is {} wide and {} high, which is no multiple of {scale}, so that no low picture fits it",
                    h.width, h.height
                ),
                format!("{cut}, {OTHERWISE}"),
            ));
        }
        return Err(FileError::new(
            &survey.path_of(low),
            format!(
                "is {} wide and {} high, expected {width} wide and {height} high: {scale} times smaller than its partner \
                 {}",
                l.width, l.height, high.name
            ),
            format!("make it anew from its partner, take the pair out of the set, {OTHERWISE}"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
