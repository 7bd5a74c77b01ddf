//! What of a repository's files is the data set: parquet files, pictures, or a zip file of them.

use super::unpack::Split;
use crate::data::is_picture;
use std::collections::{BTreeMap, BTreeSet};

/// Single pictures that are fetched, at most: each is a question to the server.
const PICTURES: usize = 20_000;

/// What is fetched, and how it is read then.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// A zip file of pictures.
    Zip(String),
    /// Parquet files, with the part of the set that each belongs to.
    Parquet(Vec<(Split, String)>),
    /// Pictures, in folders that say what they are.
    Pictures(Vec<String>),
}

/// Chooses from the names of a repository's files: those in the folder `within`, or that file, where one is named.
/// Nothing, where there is no data set.
///
/// # Errors
/// Several data sets, or more single pictures than are fetched; the sentence says what to name.
pub(super) fn choose(files: &[String], within: Option<&str>) -> Result<Option<Chosen>, String> {
    let is_within = |file: &str| match within {
        None => true,
        Some(within) => {
            file == within
                || file
                    .strip_prefix(within)
                    .is_some_and(|rest| rest.starts_with('/'))
        }
    };
    let of = |ending: &str| -> Vec<String> {
        let found = files
            .iter()
            .filter(|file| is_within(file) && file.to_lowercase().ends_with(ending));
        found.cloned().collect()
    };
    let parquet = of(".parquet");
    if !parquet.is_empty() {
        return one_configuration(parquet).map(Some);
    }
    let pictures: Vec<String> = files
        .iter()
        .filter(|file| is_within(file) && is_picture(file))
        .cloned()
        .collect();
    let mut zips = of(".zip");
    match (pictures.len(), zips.len()) {
        (0, 0) => Ok(None),
        (0, 1) => Ok(zips.pop().map(Chosen::Zip)),
        (0, _) => Err(format!(
            "holds {}; name one of them: …/FILE.zip",
            some(&zips)
        )),
        (n, _) if n > PICTURES => Err(format!(
            "holds {n} single pictures, more than the {PICTURES} that are fetched one by one; clone it with git and name \
             the folder"
        )),
        _ => Ok(Some(Chosen::Pictures(pictures))),
    }
}

/// The first few names, and how many there are.
fn some(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(6).map(String::as_str).collect();
    match names.len().saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The part of a data set that a word names.
fn part(word: &str) -> Option<Split> {
    let word = word.to_lowercase();
    let begins = |names: &[&str]| {
        names.iter().any(|name| {
            let rest = word.strip_prefix(name);
            rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphabetic()))
        })
    };
    let word_is = [
        (Split::Train, &["train", "training"][..]),
        (Split::Test, &["test", "testing"]),
        (Split::Validation, &["validation", "valid", "val", "dev"]),
    ];
    word_is
        .iter()
        .find(|(_, names)| begins(names))
        .map(|(split, _)| *split)
}

/// Parquet files of one configuration: of a set that comes in several forms each has a folder.
fn one_configuration(files: Vec<String>) -> Result<Chosen, String> {
    let mut forms: BTreeMap<String, Vec<(Split, String)>> = BTreeMap::new();
    for file in files {
        let mut folders: Vec<&str> = file.split('/').collect();
        let name = folders.pop().unwrap_or_default();
        let of_name = part(name);
        let of_folder = folders.last().and_then(|folder| part(folder));
        // `CONFIG/train/0000.parquet` or `CONFIG/train-00000-of-00001.parquet`.
        if of_name.is_none() && of_folder.is_some() {
            folders.pop();
        }
        let split = of_name.or(of_folder).unwrap_or(Split::Train);
        forms
            .entry(folders.join("/"))
            .or_default()
            .push((split, file.clone()));
    }
    if forms.len() > 1 {
        let names: BTreeSet<String> = forms.into_keys().filter(|name| !name.is_empty()).collect();
        let names: Vec<String> = names.into_iter().collect();
        return Err(format!(
            "comes in several forms; name one of them: …/FOLDER ({})",
            some(&names)
        ));
    }
    Ok(Chosen::Parquet(forms.into_values().flatten().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(files: &[&str], within: Option<&str>) -> Result<Option<Chosen>, String> {
        let files: Vec<String> = files.iter().map(|file| file.to_string()).collect();
        choose(&files, within)
    }

    #[test]
    fn a_data_set_is_found_among_the_files_of_its_repository() {
        let parquet = |files: &[(Split, &str)]| {
            let files = files.iter().map(|(split, file)| (*split, file.to_string()));
            Ok(Some(Chosen::Parquet(files.collect())))
        };
        // As the hub has MNIST, and as it converts what it does not.
        let mnist = [
            "README.md",
            "mnist/test-00000-of-00001.parquet",
            "mnist/train-00000-of-00001.parquet",
        ];
        let both = [(Split::Test, mnist[1]), (Split::Train, mnist[2])];
        assert_eq!(chosen(&mnist, None), parquet(&both));
        let converted = [
            "plain_text/test/0000.parquet",
            "plain_text/train/0000.parquet",
            "plain_text/train/0001.parquet",
        ];
        let all = [
            (Split::Test, converted[0]),
            (Split::Train, converted[1]),
            (Split::Train, converted[2]),
        ];
        assert_eq!(chosen(&converted, None), parquet(&all));
        assert_eq!(
            chosen(&["data/all.parquet"], None),
            parquet(&[(Split::Train, "data/all.parquet")])
        );
        assert_eq!(
            chosen(&["data/validation-0.parquet"], None),
            parquet(&[(Split::Validation, "data/validation-0.parquet")])
        );
        let zip = Ok(Some(Chosen::Zip("horse2zebra.zip".into())));
        assert_eq!(chosen(&["README.md", "horse2zebra.zip"], None), zip);
        let pictures = Ok(Some(Chosen::Pictures(vec![
            "train/a/1.png".into(),
            "train/b/2.JPG".into(),
        ])));
        assert_eq!(
            chosen(&["train/a/1.png", "train/b/2.JPG", "x.txt"], None),
            pictures
        );
        assert_eq!(chosen(&["README.md"], None), Ok(None));
    }

    #[test]
    fn of_several_one_has_to_be_named() {
        let forms = ["a/train-0.parquet", "b/train-0.parquet"];
        let said = chosen(&forms, None).expect_err("two");
        assert!(said.contains("…/FOLDER (a, b)"), "{said}");
        let one = Chosen::Parquet(vec![(Split::Train, forms[1].into())]);
        assert_eq!(chosen(&forms, Some("b")), Ok(Some(one)));
        let said = chosen(&["a.zip", "b.zip"], None).expect_err("two");
        assert!(said.contains("a.zip, b.zip; name one"), "{said}");
        assert_eq!(
            chosen(&["a.zip", "b.zip"], Some("b.zip")),
            Ok(Some(Chosen::Zip("b.zip".into())))
        );
        // A word that only begins as a part's does is none.
        assert_eq!(part("trainer-1.parquet"), None);
        assert_eq!(part("test-00000-of-00001-abc.parquet"), Some(Split::Test));
        assert_eq!(part("0000.parquet"), None);
        let many: Vec<String> = (0..=PICTURES).map(|i| format!("{i}.png")).collect();
        assert!(choose(&many, None).expect_err("many").contains("clone it"));
    }
}
