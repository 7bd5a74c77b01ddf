//! Pictures with low partners: what is found, what is asked for, and what is refused.

use super::super::tests::{grey, png, three_ways};
use super::super::{Labels, open};
use super::*;
use crate::data::{Data, Pictures, Reading, Small, View};
use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

const QUIET: &Progress = &|_, _, _| {};

/// A picture of this height and width, each value `tint` more than twice its row and its column.
fn ramp(tint: usize, (h, w): (usize, usize), channels: usize) -> Vec<u8> {
    let values = (0..h * w).flat_map(|i| vec![(2 * (i / w) + i % w + tint) as u8; channels]);
    let colour = match channels {
        1 => ExtendedColorType::L8,
        _ => ExtendedColorType::Rgb8,
    };
    png(&values.collect::<Vec<_>>(), (w as u32, h as u32), colour)
}

fn read(path: &Path, split: Split, view: View) -> Result<(Data, Vec<String>), FileError> {
    enlarging(path, split, 2, QUIET)?.read(&Reading::new(view))
}

fn whole(set: &dyn Pictures, i: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    set.whole(i, &mut bytes).expect("a picture");
    bytes
}

fn error(files: &[(&str, Vec<u8>)], split: Split) -> String {
    let (_dir, paths) = three_ways(files);
    let errors = paths.iter().map(|path| {
        let read = read(path, split, View::multiples(2));
        let error = read.map(drop).expect_err("refused").to_string();
        error.replace(&path.display().to_string(), "HERE")
    });
    let errors: Vec<String> = errors.collect();
    assert!(errors.iter().all(|error| *error == errors[0]), "{errors:?}");
    errors[0].clone()
}

#[test]
fn partners_are_found_by_name_in_folders_and_zip_files() {
    let files = |train: &str| {
        let named = [
            ("HIGH/b.png", ramp(10, (8, 6), 1)),
            ("HIGH/a.png", ramp(20, (4, 4), 1)),
            ("low/a.png", ramp(100, (2, 2), 1)),
            ("low/bx2.png", ramp(110, (4, 3), 1)),
        ];
        named.map(|(name, file)| (format!("{train}{name}"), file))
    };
    for train in ["", "train/", "Train/"] {
        let mut all = files(train).to_vec();
        if !train.is_empty() {
            all.push(("test/HIGH/t.png".into(), ramp(1, (2, 2), 1)));
            all.push(("test/low/t.png".into(), ramp(2, (1, 1), 1)));
        }
        let all: Vec<_> = all.iter().map(|(n, f)| (n.as_str(), f.clone())).collect();
        let (_dir, paths) = three_ways(&all);
        for path in &paths {
            let (data, notes) = read(path, Split::Train, View::multiples(2)).expect("a set");
            let low = data.low.as_ref().expect("low pictures");
            assert_eq!(
                (data.info().len, data.info().len_b, low.scale),
                (2, None, 2)
            );
            assert_eq!((data.a.size(0), low.pictures.size(0)), ((4, 4), (2, 2)));
            assert_eq!((data.a.size(1), low.pictures.size(1)), ((8, 6), (4, 3)));
            assert_eq!(whole(&*low.pictures, 0), [100, 101, 102, 103]);
            assert_eq!(data.files().len(), 4);
            let alone = Data::one(data.a.clone());
            assert!(data.sha256().starts_with(&alone.sha256()) && data.sha256() != alone.sha256());
            let said = notes.join("\n");
            assert!(said.contains("low/, 2 times smaller"), "{said}");
            let test = read(path, Split::Test, View::multiples(2));
            match train.is_empty() {
                true => assert!(
                    test.map(drop)
                        .expect_err("no part")
                        .problem
                        .starts_with("holds no ")
                ),
                false => assert_eq!(
                    whole(&*test.expect("a part").0.low.expect("low").pictures, 0),
                    [2]
                ),
            }
            // One that does not enlarge learns from the high ones; one that learns classes finds two.
            let plain = |labels| {
                let survey = open(path, Split::Train, labels, QUIET).expect("a set");
                survey
                    .read(&Reading::new(View::square(2)))
                    .map(|(data, notes)| (data, notes.join("\n")))
            };
            let (high, said) = plain(Labels::Ignored)
                .map_err(|e| e.to_string())
                .expect("a set");
            // The factor in a name is none of theirs to know, so that these are pairs.
            assert_eq!((high.info().len, high.low.is_some()), (2, false));
            assert!(said.contains("low/ is left out"), "{said}");
            let (classes, _) = plain(Labels::Needed)
                .map_err(|e| e.to_string())
                .expect("a set");
            assert_eq!((classes.info().classes, classes.info().len), (Some(2), 4));
        }
    }
}

/// A part with low pictures beside one without: nothing is said to be left out that is not.
#[test]
fn one_part_alone_may_have_low_pictures() {
    let (_dir, paths) = three_ways(&[
        ("train/1.png", ramp(1, (4, 4), 1)),
        ("test/high/1.png", ramp(2, (4, 4), 1)),
        ("test/low/1.png", ramp(3, (2, 2), 1)),
    ]);
    for path in &paths {
        let (data, notes) = read(path, Split::Train, View::multiples(2)).expect("a set");
        assert!(data.low.is_none() && notes.is_empty(), "{notes:?}");
        let (data, notes) = read(path, Split::Test, View::multiples(2)).expect("a set");
        assert!(
            data.low.is_some() && notes[0].contains("test/low/, 2 times"),
            "{notes:?}"
        );
        let plain = |split| {
            let survey = open(path, split, Labels::AsFound, QUIET).expect("a set");
            survey.read(&Reading::new(View::whole())).expect("a set")
        };
        let (data, notes) = plain(Split::Test);
        assert_eq!((data.info().len, data.info().classes), (1, None));
        assert!(notes[0].contains("test/low/ is left out"), "{notes:?}");
        assert_eq!(plain(Split::Train).1, Vec::<String>::new());
    }
}

/// Where no low pictures are given, the set is what it is to every paper.
#[test]
fn sets_without_low_pictures_stay_as_they_are() {
    let named = ["1.png", "high/1.png", "b/1.png"];
    for name in named {
        let (_dir, paths) = three_ways(&[(name, grey(1)), ("z.png", grey(2))]);
        let (data, _) = read(&paths[0], Split::Train, View::multiples(2)).expect("a set");
        let plain = open(&paths[0], Split::Train, Labels::Ignored, QUIET).expect("a set");
        let (plain, _) = plain.read(&Reading::new(View::whole())).expect("a set");
        assert!(data.low.is_none());
        assert_eq!((data.sha256(), data.info().len), (plain.sha256(), 2));
    }
}

#[test]
fn what_does_not_fit_is_named_before_anything_is_read() {
    let high = ("high/a.png", ramp(1, (8, 6), 1));
    let low = |name: &'static str, size| (name, ramp(1, size, 1));
    let lonely = error(
        &[
            high.clone(),
            low("low/a.png", (4, 3)),
            low("low/b.png", (4, 3)),
        ],
        Split::Train,
    );
    assert_eq!(
        lonely,
        "HERE: holds 1 picture without a partner: low/b.png; a pair has one name in high/ and low/; add the partners or \
         take these out"
    );
    for (files, wants) in [
        (
            vec![high.clone(), low("low/a.png", (4, 4))],
            "low/a.png: is 4 wide and 4 high, expected 3 wide and 4 high: 2 times smaller than its partner high/a.png",
        ),
        (
            vec![("high/a.png", ramp(1, (9, 6), 1)), low("low/a.png", (5, 3))],
            "high/a.png: is 6 wide and 9 high, which is no multiple of 2, so that no low picture fits it; cut it to 6 wide \
             and 8 high",
        ),
        (
            vec![("high/a.png", ramp(1, (1, 1), 1)), low("low/a.png", (1, 1))],
            "high/a.png: is 1 wide and 1 high, which is no multiple of 2, so that no low picture fits it; take the pair out",
        ),
        (
            vec![low("low/a.png", (4, 3))],
            "HERE: holds low/ and no high/",
        ),
        (
            vec![
                ("HR/a.png", ramp(1, (8, 6), 1)),
                low("LR_bicubic/a.png", (4, 3)),
            ],
            "HERE: holds HR/, LR_bicubic/, which are nearly high/, low/; rename",
        ),
        (
            vec![
                ("train/a_high/a.png", ramp(1, (8, 6), 1)),
                low("train/low/a.png", (4, 3)),
            ],
            "holds train/a_high/, train/low/, which are nearly train/high/, train/low/",
        ),
        (
            vec![
                high.clone(),
                low("low/a.png", (4, 3)),
                low("low/a.jpg", (4, 3)),
            ],
            "has the name of low/a.jpg but for its ending",
        ),
    ] {
        let error = error(&files, Split::Train);
        assert!(error.contains(wants), "{wants:?} is not in {error:?}");
    }
}

/// Of a picture that is too small its partner goes with it, and none is enlarged.
#[test]
fn small_pictures_go_with_their_partners() {
    let (_dir, paths) = three_ways(&[
        ("high/a.png", ramp(1, (8, 6), 1)),
        ("high/b.png", ramp(2, (4, 4), 1)),
        ("low/a.png", ramp(3, (4, 3), 1)),
        ("low/b.png", ramp(4, (2, 2), 1)),
    ]);
    let read = |small| {
        let mut how = Reading::new(View::crop(6));
        how.small = small;
        enlarging(&paths[0], Split::Train, 2, QUIET)
            .expect("a set")
            .read(&how)
    };
    for small in [Small::Refuse, Small::Enlarge] {
        let error = read(small).map(drop).expect_err("too small").to_string();
        assert!(
            error.contains("1 picture with low partners") && error.contains("high/b.png"),
            "{error}"
        );
        assert!(
            error.contains("--skip-small") && !error.contains("--enlarge"),
            "{error}"
        );
    }
    let (data, notes) = read(Small::Skip).expect("a set");
    let low = data.low.expect("low pictures");
    assert_eq!((data.a.info().len, low.pictures.info().len), (1, 1));
    assert_eq!((data.a.size(0), low.pictures.size(0)), ((8, 6), (4, 3)));
    assert!(
        notes.join("\n").contains("1 of 2 pictures are left out"),
        "{notes:?}"
    );
    let odd = enlarging(&paths[0], Split::Train, 2, QUIET).expect("a set");
    let error = odd.read(&Reading::new(View::crop(3))).map(drop);
    let error = error.expect_err("no whole pixels").to_string();
    assert!(
        error.contains("squares of 3 are no whole number"),
        "{error}"
    );
    // A run that resizes has no use for them.
    let resized = enlarging(&paths[0], Split::Train, 2, QUIET).expect("a set");
    let error = resized.read(&Reading::new(View::square(4))).map(drop);
    let error = error.expect_err("resized").to_string();
    assert!(
        error.contains("another size") && error.contains("take low/ away"),
        "{error}"
    );
}

/// Grey low pictures of coloured ones, transparent ones, a JPEG that is turned by its tag: all are brought to one kind.
#[test]
fn partners_of_other_kinds_fit() {
    let clear: Vec<u8> = [10, 20, 30, 0].repeat(12);
    // An orientation tag (EXIF, "turned to the left") in front of the JPEG's first segment.
    let mut turned = Vec::new();
    JpegEncoder::new_with_quality(&mut turned, 100)
        .encode(&[77; 8 * 6 * 3], 8, 6, ExtendedColorType::Rgb8)
        .expect("a JPEG");
    let exif =
        b"\xff\xe1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    turned.splice(2..2, exif.iter().copied());
    let (_dir, paths) = three_ways(&[
        ("high/a.png", ramp(1, (8, 6), 3)),
        ("high/b.jpg", turned),
        ("high/c.png", ramp(1, (8, 6), 1)),
        ("low/a.png", ramp(3, (4, 3), 1)),
        ("low/b.png", ramp(4, (4, 3), 3)),
        ("low/c.png", png(&clear, (3, 4), ExtendedColorType::Rgba8)),
    ]);
    for path in &paths {
        let (data, notes) = read(path, Split::Train, View::crop(4)).expect("a set");
        let low = data.low.expect("low pictures").pictures;
        assert_eq!((data.a.info().channels, low.info().channels), (3, 3));
        assert_eq!((data.a.size(1), low.size(1)), ((8, 6), (4, 3)));
        assert_eq!(whole(&*low, 2), [255; 36]);
        let said = notes.join("\n");
        for words in ["2 of 6 pictures are grey", "1 of 6 pictures are turned"] {
            assert!(said.contains(words), "{words:?} is not in {said}");
        }
    }
}
