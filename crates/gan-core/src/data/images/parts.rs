//! What folders are by their names: the parts of a data set, its sides, or near misses of these.

use super::Listed;
use crate::FileError;
use crate::data::{Side, Split};
use crate::error::shortened;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::path::Path;
use unicode_normalization::UnicodeNormalization;

/// Names in a message, at most.
const NAMED: usize = 5;
/// Characters of such names, at most, unless one alone has more.
const LENGTH: usize = 100;

/// A part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Share {
    Train,
    Test,
    /// Held out where there is no test part.
    Validation,
}

/// Spellings of parts, in lower case; those with `true` are the names that are read.
const SHARES: [(&str, Share, bool); 22] = [
    ("train", Share::Train, true),
    ("training", Share::Train, false),
    ("trainset", Share::Train, false),
    ("trainingset", Share::Train, false),
    ("traindata", Share::Train, false),
    ("trainingdata", Share::Train, false),
    ("trainimages", Share::Train, false),
    ("trainingimages", Share::Train, false),
    ("test", Share::Test, true),
    ("tests", Share::Test, false),
    ("testing", Share::Test, false),
    ("testset", Share::Test, false),
    ("testingset", Share::Test, false),
    ("testdata", Share::Test, false),
    ("testimages", Share::Test, false),
    ("val", Share::Validation, true),
    ("valid", Share::Validation, true),
    ("validation", Share::Validation, true),
    ("valset", Share::Validation, false),
    ("validset", Share::Validation, false),
    ("validationset", Share::Validation, false),
    ("valdata", Share::Validation, false),
];

impl Share {
    fn name(self) -> &'static str {
        match self {
            Share::Train => "train",
            Share::Test => "test",
            Share::Validation => "val",
        }
    }
}

/// The name of the folder of a part, or of one side of it.
pub(super) fn folder_of(split: Split, side: Option<Side>) -> String {
    let share = match split {
        Split::Train => Share::Train,
        Split::Test => Share::Test,
    };
    name_of(share, side)
}

fn name_of(share: Share, side: Option<Side>) -> String {
    match side {
        None => share.name().into(),
        Some(side) => format!("{}{}", share.name(), side.letter()),
    }
}

/// The part and side that a folder's name is read as; upper and lower case do not matter.
fn role(folder: &str) -> Option<(Share, Option<Side>)> {
    let folder = folder.to_lowercase();
    let sides = [(None, ""), (Some(Side::A), "a"), (Some(Side::B), "b")];
    sides.into_iter().find_map(|(side, letter)| {
        let stem = folder.strip_suffix(letter)?;
        let known = SHARES.iter().find(|(name, _, read)| *read && *name == stem);
        known.map(|(_, share, _)| (*share, side))
    })
}

/// The name that a folder should have which is named nearly as a part: `train_A`, `Testing`, `A train`.
fn near(folder: &str) -> Option<String> {
    let bare: String = folder.chars().filter(|c| c.is_alphanumeric()).collect();
    let bare = bare.to_lowercase();
    let cut = |side| match side {
        None => vec![Some(&*bare)],
        Some(Side::A) => vec![bare.strip_suffix('a'), bare.strip_prefix('a')],
        Some(Side::B) => vec![bare.strip_suffix('b'), bare.strip_prefix('b')],
    };
    let sides = [None, Some(Side::A), Some(Side::B)];
    sides.into_iter().find_map(|side| {
        let known = |stem: &str| SHARES.iter().find(|(name, ..)| *name == stem);
        let (_, share, _) = cut(side).into_iter().flatten().find_map(known)?;
        Some(name_of(*share, side))
    })
}

/// Whether a folder that holds all others is a part or a side by its name.
pub(super) fn is_meant(folder: &str) -> bool {
    let meant = role(folder);
    meant.is_some_and(|(share, side)| share != Share::Validation || side.is_some())
}

/// The first of the folders that is a side of a data set in two domains.
pub(super) fn first_side<'a>(listed: &Listed<'a>) -> Option<&'a str> {
    let is_side = |folder: &&str| matches!(role(folder), Some((_, Some(_))));
    listed.iter().map(|(folder, _)| *folder).find(is_side)
}

/// Refuses folders whose names are nearly those of parts: to read them as anything else would mix what is to be
/// apart.
pub(super) fn refuse_near(path: &Path, listed: &Listed<'_>) -> Result<(), FileError> {
    let right = |folder: &&str| match role(folder) {
        None => near(folder),
        Some(_) => None,
    };
    let mut found: Vec<&str> = folders(listed).into_iter().collect();
    let mut meant: BTreeSet<String> = found.iter().filter_map(right).collect();
    found.retain(|folder| right(folder).is_some());
    if found.is_empty() {
        let worded = folders(listed).into_iter();
        let worded = worded.filter_map(|folder| Some((folder, worded_as(folder)?)));
        let worded: Vec<(&str, Share)> = worded.collect();
        let train = worded.iter().any(|(_, share)| *share == Share::Train);
        if train && worded.iter().any(|(_, share)| *share != Share::Train) {
            let others = worded.iter().filter(|(folder, _)| role(folder).is_none());
            meant = others
                .clone()
                .map(|(_, share)| share.name().into())
                .collect();
            found = others.map(|(folder, _)| *folder).collect();
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    found.truncate(NAMED);
    let meant: Vec<&str> = meant.iter().map(String::as_str).collect();
    Err(close_to(path, &found, &meant))
}

/// The part that one of the words of a folder's name says: `DIV2K_train_HR`, `val2017`.
fn worded_as(folder: &str) -> Option<Share> {
    let folder = folder.to_lowercase();
    let words = folder.split(|c: char| !c.is_alphabetic());
    let known = |word: &str| SHARES.iter().find(|(name, ..)| *name == word);
    words.filter_map(known).map(|(_, share, _)| *share).next()
}

/// Refuses `A/` and `B/` alone where no classes are meant.
pub(super) fn refuse_letters(
    path: &Path,
    within: &str,
    listed: &Listed<'_>,
) -> Result<(), FileError> {
    let found = folders(listed);
    let lower: Vec<String> = found.iter().map(|folder| folder.to_lowercase()).collect();
    if lower != ["a", "b"] {
        return Ok(());
    }
    let found = found.iter().map(|folder| format!("{within}{folder}"));
    let found: Vec<String> = found.collect();
    let found: Vec<&str> = found.iter().map(String::as_str).collect();
    Err(close_to(path, &found, &["trainA", "trainB"]))
}

fn close_to(path: &Path, found: &[&str], right: &[&str]) -> FileError {
    let plural = if found.len() == 1 { "is" } else { "are" };
    FileError::new(
        path,
        format!(
            "holds {}, which {plural} nearly {}",
            slashed(found),
            slashed(right)
        ),
        "rename: parts are train/ and test/ (or val/), in two domains trainA/, trainB/, testA/, testB/",
    )
}

/// Names of folders in a sentence: `train/, test/`.
pub(super) fn slashed(folders: &[&str]) -> String {
    let named: Vec<String> = folders.iter().map(|folder| format!("{folder}/")).collect();
    named.join(", ")
}

/// The folders of the level looked at, sorted.
pub(super) fn folders<'a>(listed: &Listed<'a>) -> BTreeSet<&'a str> {
    let folders = listed.iter().map(|(folder, _)| *folder);
    folders.filter(|folder| !folder.is_empty()).collect()
}

/// The folders that hold the parts of a set, or of one side of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    /// What a run learns from.
    pub train: Option<&'a str>,
    /// What it is judged by.
    pub test: Option<&'a str>,
}

impl<'a> Parts<'a> {
    /// The folder of a part.
    pub fn folder(&self, split: Split) -> Option<&'a str> {
        match split {
            Split::Train => self.train,
            Split::Test => self.test,
        }
    }

    /// Finds them; none where no folder is one of train or test by its name. Validation pictures are held out where
    /// there are none for testing.
    ///
    /// # Errors
    /// Two folders for one part.
    pub fn find(
        path: &Path,
        listed: &Listed<'a>,
        side: Option<Side>,
    ) -> Result<Option<Self>, FileError> {
        let [train, test, validation] = Self::shares(path, listed, side)?;
        let others = match side {
            None => [None; 3],
            Some(side) => Self::shares(path, listed, Some(side.other()))?,
        };
        // Both sides are held out from the same part.
        let has_test = test.is_some() || others[1].is_some();
        let found = train.is_some() || has_test;
        Ok(found.then_some(Self {
            train,
            test: if has_test { test } else { validation },
        }))
    }

    fn shares(
        path: &Path,
        listed: &Listed<'a>,
        side: Option<Side>,
    ) -> Result<[Option<&'a str>; 3], FileError> {
        let mut found = [None; 3];
        for (slot, share) in found
            .iter_mut()
            .zip([Share::Train, Share::Test, Share::Validation])
        {
            let all = folders(listed).into_iter();
            let all: Vec<&str> = all
                .filter(|folder| role(folder) == Some((share, side)))
                .collect();
            if let [first, second, ..] = all[..] {
                let problem = format!("holds {first}/ and {second}/, which are one part of a set");
                return Err(FileError::new(
                    path,
                    problem,
                    "put their pictures into one of them",
                ));
            }
            *slot = all.first().copied();
        }
        Ok(found)
    }
}

/// What is to be said of the folders that were read as parts, and of the pictures in none of them.
pub(super) fn said(listed: &Listed<'_>, read: &[(&str, String)]) -> Vec<String> {
    let other = |(folder, meant): &&(&str, String)| folder != meant;
    let as_others = read.iter().filter(other);
    let as_others: Vec<String> = as_others
        .map(|(folder, meant)| format!("{folder}/ is read as {meant}/"))
        .collect();
    let mut notes = Vec::new();
    if !as_others.is_empty() {
        notes.push(as_others.join(", "));
    }
    let is_read = |folder: &str| read.iter().any(|(read, _)| *read == folder);
    let beside = listed.iter().filter(|(folder, _)| !is_read(folder));
    let beside: Vec<&str> = beside.map(|(_, (_, entry))| entry.name.as_str()).collect();
    if !beside.is_empty() {
        let read: Vec<&str> = read.iter().map(|(folder, _)| *folder).collect();
        notes.push(format!(
            "left out {} beside {}: {}",
            counted(beside.len(), "picture"),
            slashed(&read),
            some_of(&beside)
        ));
    }
    notes
}

/// The first of the names, as many as fit a line, and how many more there are.
pub(super) fn some_of(names: &[&str]) -> String {
    let mut length = 0;
    let fits = |name: &&&str| {
        length += name.chars().count();
        length <= LENGTH
    };
    let n = names.iter().take(NAMED).take_while(fits).count().max(1);
    let shown = names.iter().take(n).map(|name| shortened(name, LENGTH));
    let shown: Vec<String> = shown.collect();
    match names.len().saturating_sub(n) {
        0 => shown.join(", "),
        n => format!("{} and {n} more", shown.join(", ")),
    }
}

/// `1 picture`, `2 pictures`.
pub(super) fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// A name as it is compared: systems write the same letters in two ways.
pub(super) fn composed(name: &str) -> String {
    name.nfc().collect()
}

/// Numbers in names by their value, so that 2 comes before 10; the rest by its characters.
pub(super) fn natural(a: &str, b: &str) -> Ordering {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (mut left, mut right) = (a, b);
    loop {
        let (n, m) = (digits(left), digits(right));
        if n > 0 && m > 0 {
            let (x, y) = (left.split_at(n), right.split_at(m));
            let [p, q] = [x.0, y.0].map(|number| number.trim_start_matches('0'));
            match p.len().cmp(&q.len()).then_with(|| p.cmp(q)) {
                Ordering::Equal => (left, right) = (x.1, y.1),
                other => return other,
            }
            continue;
        }
        let (mut x, mut y) = (left.chars(), right.chars());
        match (x.next(), y.next()) {
            (None, None) => return a.cmp(b),
            (x, y) if x != y => return x.cmp(&y),
            _ => (left, right) = (x.as_str(), y.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_parts_and_near_misses() {
        for (folder, is) in [
            ("train", Some((Share::Train, None))),
            ("TRAIN", Some((Share::Train, None))),
            ("TrainA", Some((Share::Train, Some(Side::A)))),
            ("testb", Some((Share::Test, Some(Side::B)))),
            ("Validation", Some((Share::Validation, None))),
            ("valA", Some((Share::Validation, Some(Side::A)))),
            ("training", None),
            ("trains", None),
            ("a", None),
        ] {
            assert_eq!(role(folder), is, "{folder}");
        }
        for (folder, right) in [
            ("training", Some("train")),
            ("Test-Set", Some("test")),
            ("train_A", Some("trainA")),
            ("b train", Some("trainB")),
            ("testing-b", Some("testB")),
            ("trains", None),
            ("latest", None),
            ("A", None),
            ("cat", None),
        ] {
            assert_eq!(near(folder).as_deref(), right, "{folder}");
        }
    }

    #[test]
    fn numbers_are_ordered_by_value_and_all_else_as_before() {
        let mut names = ["10", "9b", "2", "b1", "a10", "a9", "01", "1", "Z", "é", "a"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(
            names,
            ["01", "1", "2", "9b", "10", "Z", "a", "a9", "a10", "b1", "é"]
        );
        let mut plain = ["dog", "Cat", "ant", "x-1", "x1", "x_1", "ant hill"];
        let mut sorted = plain;
        plain.sort_by(|a, b| natural(a, b));
        sorted.sort_unstable();
        assert_eq!(plain, sorted);
    }
}
