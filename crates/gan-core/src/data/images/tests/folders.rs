//! What folders mean by their names, what lies beside them, and what is no file.

use super::*;
use crate::data::images::{Album, sides};
use sha2::{Digest, Sha256};

fn survey(path: &Path, split: Split, labels: Labels) -> Result<(Set, Vec<String>), FileError> {
    let survey = super::super::open(path, split, labels, &|_, _, _| {})?;
    let (data, notes) = survey.read(&Reading::new(View::whole()))?;
    Ok((data.a, notes))
}

fn names(files: &[&str]) -> (tempfile::TempDir, [std::path::PathBuf; 3]) {
    let numbered = files.iter().zip(1..);
    let files: Vec<_> = numbered.map(|(name, i)| (*name, grey(i))).collect();
    three_ways(&files)
}

fn says(error: FileError, words: &[&str]) {
    let error = error.to_string();
    for word in words {
        assert!(error.contains(word), "{word:?} is missing in {error}");
    }
}

#[test]
fn parts_are_known_in_any_case_and_validation_is_held_out() {
    for (train, test, note) in [
        (
            "TRAIN",
            "Test",
            "TRAIN/ is read as train/, Test/ is read as test/",
        ),
        ("train", "validation", "validation/ is read as test/"),
    ] {
        let files = [
            format!("{train}/a/1.png"),
            format!("{test}/b/2.png"),
            "s.png".into(),
        ];
        let (_dir, paths) = names(&files.each_ref().map(String::as_str));
        for path in &paths {
            let (set, notes) = survey(path, Split::Train, Labels::Ignored).expect("a set");
            assert_eq!((firsts(&set), set.info().classes), (vec![1], None));
            assert!(notes.iter().any(|said| said == note), "{notes:?}");
            assert!(notes.join("\n").contains("1 picture beside"), "{notes:?}");
            let (set, notes) = survey(path, Split::Test, Labels::Ignored).expect("a set");
            assert_eq!((firsts(&set), notes.len()), (vec![2], 0));
        }
    }
    let (_dir, paths) = names(&["train/1.png", "test/2.png", "Valid/3.png"]);
    let (set, notes) = survey(&paths[0], Split::Train, Labels::Needed).expect("a set");
    assert_eq!(firsts(&set), [1]);
    let note = "left out 1 picture beside train/, test/: Valid/3.png";
    assert_eq!(notes, [note]);
    // Alone it is a folder like any other.
    let (_dir, paths) = names(&["valid/1.png", "invalid/2.png"]);
    let (set, _) = survey(&paths[1], Split::Train, Labels::Needed).expect("a set");
    assert_eq!(set.info().names, ["invalid", "valid"]);
    let error = survey(&paths[1], Split::Test, Labels::Needed).map(drop);
    assert!(error.expect_err("no part").problem.starts_with("holds no "));
    let (_dir, paths) = names(&["train/1.png", "Train/2.png", "test/3.png"]);
    let error = survey(&paths[0], Split::Train, Labels::Needed).map(drop);
    says(
        error.expect_err("twice"),
        &["Train/ and train/", "one part"],
    );
}

#[test]
fn names_that_are_nearly_right_are_refused_with_the_right_ones() {
    for (files, words) in [
        (
            ["Training/1.png", "test/2.png"],
            &["Training/", "nearly train/"][..],
        ),
        (
            ["set/training/1.png", "set/testing/2.png"],
            &["testing/, training/", "test/, train/"],
        ),
        (
            ["DIV2K_train_HR/1.png", "DIV2K_valid_HR/2.png"],
            &["DIV2K_train_HR/, DIV2K_valid_HR/", "train/, val/"],
        ),
        (["train_A/1.png", "train-b/2.png"], &["trainA/, trainB/"]),
        (
            ["A/1.png", "b/2.png"],
            &["A/, b/", "nearly trainA/, trainB/"],
        ),
        (["A/train/1.png", "B/train/2.png"], &["A/, B/", "trainA/"]),
        (
            ["train/A/1.png", "train/B/2.png"],
            &["train/A/, train/B/", "trainA/"],
        ),
    ] {
        let (_dir, paths) = names(&files);
        for path in &paths {
            let quiet = |_: &str, _: usize, _: usize| {};
            for error in [
                survey(path, Split::Train, Labels::Ignored).map(drop),
                sides::paired(path, Split::Train, &quiet).map(drop),
            ] {
                says(error.expect_err("near"), words);
            }
            assert!(sides::apart(path, Split::Train, &quiet).is_err());
        }
    }
    // One word alone says nothing.
    let (_dir, paths) = names(&["train station/1.png", "bus/2.png"]);
    assert!(survey(&paths[0], Split::Train, Labels::Needed).is_ok());
    // Letters can be classes.
    let (_dir, paths) = names(&["A/1.png", "B/2.png"]);
    let (set, _) = survey(&paths[0], Split::Train, Labels::Needed).expect("a set");
    assert_eq!(set.info().names, ["A", "B"]);
    let error = sides::apart(&paths[0], Split::Train, &|_, _, _| {}).map(drop);
    says(
        error.expect_err("no sides"),
        &["no pictures in trainA/; found A/, B/"],
    );
}

#[test]
fn classes_are_in_natural_order_and_only_for_those_who_learn_them() {
    let (_dir, paths) = names(&["10/a.png", "2/b.png", "1/c.png", "1/d.png"]);
    for path in &paths {
        let (set, notes) = survey(path, Split::Train, Labels::Needed).expect("a set");
        assert_eq!(set.info().names, ["1", "2", "10"]);
        assert_eq!((firsts(&set), notes.len()), (vec![3, 4, 1, 2], 0));
        assert_eq!(labels(&set), [Some(0), Some(0), Some(2), Some(1)]);
        let (set, notes) = survey(path, Split::Train, Labels::Ignored).expect("a set");
        assert_eq!((set.info().classes, set.label(0)), (None, None));
        assert!(
            notes[0].starts_with("3 folders are read as one set"),
            "{notes:?}"
        );
        // As it was when folders were classes for all, so that such runs go on.
        let mut sum = Sha256::new();
        for (name, value, folder) in [
            ("1/c.png", 3, 0),
            ("1/d.png", 4, 0),
            ("10/a.png", 1, 1),
            ("2/b.png", 2, 2),
        ] {
            sum.update((name.len() as u64).to_le_bytes());
            sum.update(name);
            sum.update(Sha256::digest(grey(value)));
            sum.update([folder, 0]);
        }
        let sum: String = sum.finalize().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(set.sha256(), sum);
    }
    for (stray, words) in [
        ("stray.png", &["stray.png", "beside the folders"][..]),
        (
            "cat/more/3.png",
            &["cat/more/3.png", "within that of a class"],
        ),
    ] {
        let (_dir, paths) = names(&["cat/1.png", "dog/2.png", stray]);
        let error = survey(&paths[0], Split::Train, Labels::Needed).map(drop);
        says(error.expect_err("a stray"), words);
        let (set, notes) = survey(&paths[0], Split::Train, Labels::AsFound).expect("a set");
        assert_eq!((set.info().classes, set.info().len), (None, 3));
        assert!(notes.join("\n").contains(stray), "{notes:?}");
        let (set, notes) = survey(&paths[0], Split::Train, Labels::Ignored).expect("a set");
        assert!(
            set.info().len == 3 && !notes.join("\n").contains(stray),
            "{notes:?}"
        );
    }
    // More folders than labels can count are no trouble for those who do not count.
    let many: Vec<String> = (0..300).map(|i| format!("{i}/x.png")).collect();
    let (_dir, paths) = names(&many.iter().map(String::as_str).collect::<Vec<_>>()[..250]);
    assert!(survey(&paths[1], Split::Train, Labels::Needed).is_ok());
    let files: Vec<_> = many.iter().map(|name| (name.as_str(), grey(1))).collect();
    let (_dir, paths) = three_ways(&files);
    assert!(survey(&paths[1], Split::Train, Labels::Ignored).is_ok());
    let error = survey(&paths[1], Split::Train, Labels::Needed).map(drop);
    says(
        error.expect_err("too many"),
        &["300 folders", "at most 256 classes"],
    );
}

#[test]
fn names_in_zip_files_of_other_systems() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("a.zip");
    let (one, two) = (grey(1), grey(2));
    let made = |names: [&str; 2]| zip(&[(names[0], &one[..], true), (names[1], &two[..], false)]);
    let replace = |mut file: Vec<u8>, from: u8, to: u8| {
        file.iter_mut()
            .filter(|byte| **byte == from)
            .for_each(|byte| *byte = to);
        file
    };
    for (file, want) in [
        (
            made(["./set/cat/1.png", "./set/dog/2.png"]),
            ["set/cat/1.png", "set/dog/2.png"],
        ),
        (
            made(["train\\1.png", "train\\deep\\2.png"]),
            ["train/1.png", "train/deep/2.png"],
        ),
        // 0x82 is é in DOS's alphabet.
        (
            replace(made(["caf~1.png", "caf~2.png"]), b'~', 0x82),
            ["café1.png", "café2.png"],
        ),
    ] {
        fs::write(&path, file).expect("a file");
        assert_eq!(Album::open(&path).expect("pictures").names(), want);
        let set = survey(&path, Split::Train, Labels::Ignored)
            .expect("a set")
            .0;
        assert_eq!(firsts(&set), [1, 2]);
    }
    for (names, words) in [
        (["a.png", "./a.png"], "twice"),
        (["..\\a.png", "b.png"], "leads out"),
        (["\\a.png", "b.png"], "leads out"),
    ] {
        fs::write(&path, made(names)).expect("a file");
        says(
            Album::open(&path).map(drop).expect_err("a fault"),
            &["a.zip", words],
        );
    }
    for (bytes, words) in [
        (&b"\x1f\x8b\x08\0"[..], "compressed with gzip"),
        (b"Rar!\x1a\x07", "RAR archive"),
    ] {
        fs::write(&path, bytes).expect("a file");
        says(
            open(&path, Split::Train).map(drop).expect_err("no zip"),
            &["a.zip", words],
        );
    }
}

#[cfg(unix)]
#[test]
fn links_and_what_is_no_file() {
    use std::os::unix::{ffi::OsStrExt, fs::symlink, net::UnixListener};
    let (_dir, paths) = names(&["1.png", "deep/2.png"]);
    let set = &paths[0];
    symlink("nowhere", set.join("README")).expect("a link");
    symlink("..", set.join("deep/again")).expect("a link");
    symlink(".", set.join("self")).expect("a link");
    symlink("../1.png", set.join("deep/3.png")).expect("a link");
    let pipe = std::process::Command::new("mkfifo")
        .arg(set.join("p.png"))
        .status();
    assert!(pipe.expect("mkfifo").success());
    let _socket = UnixListener::bind(set.join("s")).expect("a socket");
    let (data, notes) = open(set, Split::Train).expect("a set");
    assert_eq!(firsts(&data), [1, 2, 1]);
    let special = &notes[0];
    for words in [
        "p.png (a named pipe)",
        "s (a socket)",
        "README (a link to nothing)",
    ] {
        assert!(special.contains(words), "{words:?} is missing in {notes:?}");
    }
    let album = Album::open(set).expect("pictures");
    assert_eq!(album.names(), ["1.png", "deep/2.png", "deep/3.png"]);
    // A picture that is not there is missed, and one whose name cannot be told again is refused.
    symlink("gone.png", set.join("4.png")).expect("a link");
    says(
        open(set, Split::Train).map(drop).expect_err("gone"),
        &["4.png", "leads nowhere"],
    );
    fs::remove_file(set.join("4.png")).expect("removed");
    let odd = |name: &[u8]| set.join(std::ffi::OsStr::from_bytes(name));
    fs::write(odd(b"caf\xe9.txt"), "x").expect("a file");
    assert!(open(set, Split::Train).is_ok());
    fs::write(odd(b"caf\xe9.png"), grey(1)).expect("a file");
    says(
        open(set, Split::Train).map(drop).expect_err("a name"),
        &["not UTF-8", "rename it"],
    );
}
