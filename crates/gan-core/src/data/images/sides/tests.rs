//! What two sides are, what is made of pictures of all kinds, and what is refused.

use super::super::tests::{grey, png, three_ways, zip};
use super::*;
use crate::data::images::{Album, Labels};
use crate::data::{Part, Pictures, Reading, Small, View};
use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

type Set = Arc<dyn Pictures>;

/// Both sides, and what is said of them.
struct Both {
    a: Set,
    b: Set,
    notes: Vec<String>,
}

fn read(survey: Result<Survey, FileError>, view: View) -> Result<Both, FileError> {
    let mut how = Reading::new(view);
    how.small = Small::Enlarge;
    let (data, notes) = survey?.read(&how)?;
    let (a, b) = (data.a, data.b.expect("two sides"));
    Ok(Both { a, b, notes })
}

fn paired(path: &Path, split: Split) -> Result<Both, FileError> {
    read(super::paired(path, split, &|_, _, _| {}), View::whole())
}

fn unpaired(path: &Path, split: Split) -> Result<Both, FileError> {
    read(super::apart(path, split, &|_, _, _| {}), View::whole())
}

/// A folder with these files.
fn folder(files: &[(&str, Vec<u8>)]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, contents) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, contents).expect("a file");
    }
    let path = dir.path().to_path_buf();
    (dir, path)
}

/// A grey picture of this height and width, all of one value.
fn plain(value: u8, (h, w): (usize, usize)) -> Vec<u8> {
    png(
        &vec![value; h * w],
        (w as u32, h as u32),
        ExtendedColorType::L8,
    )
}

fn picture(set: &Set, i: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    set.read(i, Part::whole(set.size(i)), &mut bytes)
        .expect("a picture");
    bytes
}

fn says(error: &FileError, words: &[&str]) {
    let error = error.to_string();
    for word in words {
        assert!(error.contains(word), "{word:?} is missing in {error}");
    }
}

#[test]
fn pairs_have_one_name_whatever_its_letters_and_ending() {
    let files = [
        ("trainA/z.png", grey(3)),
        ("trainA/a b.png", grey(1)),
        ("trainA/Bäume/ß 木.png", grey(2)),
        ("trainB/Bäume/ß 木.PNG", grey(12)),
        ("trainB/a b.png", grey(11)),
        ("trainB/z.png", grey(13)),
        ("testA/t.png", grey(4)),
        ("testB/t.png", grey(14)),
    ];
    let (_dir, paths) = three_ways(&files);
    for path in &paths {
        let sides = paired(path, Split::Train).expect("pairs");
        for i in 0..3 {
            assert_eq!(picture(&sides.a, i)[0] + 10, picture(&sides.b, i)[0]);
        }
        assert!(sides.notes.is_empty(), "{:?}", sides.notes);
        assert_eq!(kind(path).expect("a kind"), Kind::Paired);
        let test = paired(path, Split::Test).expect("pairs");
        assert_eq!((picture(&test.a, 0)[0], picture(&test.b, 0)[0]), (4, 14));
    }
}

#[test]
fn pairs_that_do_not_match_are_listed() {
    let mut files: Vec<(String, Vec<u8>)> = (0..7)
        .map(|i| (format!("trainA/only {i}.png"), grey(1)))
        .collect();
    files.push(("trainB/b.png".into(), grey(1)));
    let files: Vec<_> = files.iter().map(|(n, c)| (n.as_str(), c.clone())).collect();
    let (_dir, path) = folder(&files);
    let error = paired(&path, Split::Train)
        .map(drop)
        .expect_err("no partners");
    let words = [
        "8 pictures without a partner",
        "trainA/only 0.png",
        "and 3 more",
    ];
    says(&error, &words);
    assert_eq!(kind(&path).expect("a kind"), Kind::Unpaired);
    let both = unpaired(&path, Split::Train).expect("two sides");
    assert_eq!((both.a.info().len, both.b.info().len), (7, 1));

    let (_dir, path) = folder(&[
        ("trainA/1.png", plain(1, (4, 6))),
        ("trainB/1.png", plain(1, (6, 4))),
    ]);
    let error = paired(&path, Split::Train)
        .map(drop)
        .expect_err("two sizes");
    let words = ["trainB/1.png: is 6x4", "trainA/1.png is 4x6", "one size"];
    says(&error, &words);

    let (_dir, path) = folder(&[("trainA/1.png", grey(1)), ("testB/1.png", grey(1))]);
    for error in [paired(&path, Split::Train), unpaired(&path, Split::Train)] {
        says(
            &error.map(drop).expect_err("an empty side"),
            &["no pictures in trainB/"],
        );
    }
    let (_dir, path) = folder(&[
        ("trainA/1.png", grey(1)),
        ("trainA/1.jpg", grey(1)),
        ("trainB/1.png", grey(1)),
    ]);
    says(
        &paired(&path, Split::Train)
            .map(drop)
            .expect_err("two of a name"),
        &["trainA/1.png", "but for its ending"],
    );
}

#[test]
fn pictures_twice_as_wide_as_high_are_pairs() {
    // A is 7 on the left, B 9 on the right.
    let row: Vec<u8> = [[7u8; 3], [9; 3]].concat();
    let joined = png(&row.repeat(3), (6, 3), ExtendedColorType::L8);
    let (_dir, path) = folder(&[
        ("train/1.png", joined.clone()),
        ("train/2.png", plain(5, (2, 4))),
        ("test/1.png", joined),
    ]);
    let sides = super::paired(&path, Split::Train, &|_, _, _| {});
    let sides = read(sides, View::square(2)).expect("pairs");
    assert_eq!(picture(&sides.a, 0), [7; 4]);
    assert_eq!(picture(&sides.b, 0), [9; 4]);
    assert_eq!(picture(&sides.b, 1), [5; 4]);
    assert!(sides.notes.join("\n").contains("2x2"), "{:?}", sides.notes);
    assert_eq!(
        paired(&path, Split::Test).expect("pairs").a.info().height,
        3
    );
    fs::write(path.join("train/3.png"), plain(5, (4, 4))).expect("a file");
    let error = paired(&path, Split::Train).map(drop).expect_err("no pair");
    says(
        &error,
        &["train/3.png", "4 wide and 4 high", "of no usual shape"],
    );
    let (_dir, path) = folder(&[("1.png", plain(5, (4, 8)))]);
    assert_eq!(paired(&path, Split::Train).expect("pairs").a.info().len, 1);
    says(
        &paired(&path, Split::Test)
            .map(drop)
            .expect_err("no test part"),
        &["testA/", "A|B"],
    );
}

/// What a pair can be is wide enough that a single picture is not taken for one.
#[test]
fn halves_have_usual_shapes() {
    for (size, want) in [
        ((256, 512), Some((256, 256))),
        ((48, 128), Some((48, 64))),
        ((90, 320), Some((90, 160))),
        ((256, 510), Some((256, 255))),
        ((32, 65), None),
        ((48, 64), None),
        ((1080, 1920), None),
        ((10, 600), None),
        ((0, 0), None),
    ] {
        assert_eq!(halves(size), want, "{size:?}");
    }
    let (_dir, path) = folder(&[("1.png", plain(5, (4, 8))), ("2.png", plain(5, (4, 12)))]);
    let sides = read(
        super::paired(&path, Split::Train, &|_, _, _| {}),
        View::square(4),
    );
    let notes = sides.expect("pairs").notes.join("\n");
    assert!(
        notes.contains("1 of 2 pictures are split into halves that are no squares"),
        "{notes}"
    );
    fs::write(path.join("3.png"), plain(5, (4, 9))).expect("a file");
    let error = paired(&path, Split::Train)
        .map(drop)
        .expect_err("no halves");
    says(&error, &["3.png: is 9 wide and 4 high, an odd width"]);
}

/// Systems write é as one letter or as two, and folders in any case; what lies beside the sides is said.
#[test]
fn one_name_in_two_forms_is_one_pair() {
    let (_dir, path) = folder(&[
        ("TrainA/caf\u{e9}2.png", grey(1)),
        ("TrainA/cafe\u{301}1.png", grey(2)),
        ("trainB/cafe\u{301}2.PNG", grey(11)),
        ("trainB/caf\u{e9}1.jpg", grey(12)),
        ("valA/x.png", grey(3)),
        ("valB/x.webp", grey(13)),
        ("stray.png", grey(9)),
    ]);
    let sides = paired(&path, Split::Train).expect("pairs");
    for i in 0..2 {
        assert_eq!(picture(&sides.a, i)[0] + 10, picture(&sides.b, i)[0]);
    }
    let notes = sides.notes.join("\n");
    for words in [
        "TrainA/ is read as trainA/, valA/ is read as testA/",
        "stray.png",
    ] {
        assert!(notes.contains(words), "{words:?} is missing in {notes}");
    }
    let held = paired(&path, Split::Test).expect("pairs");
    assert_eq!(picture(&held.b, 0), [13; 4]);
    assert_eq!(kind(&path).expect("a kind"), Kind::Paired);
}

#[test]
fn sizes_and_kinds_are_brought_together_and_nothing_is_stretched() {
    // Columns 0 to 7; the middle square has columns 2 to 5.
    let wide: Vec<u8> = (0..4).flat_map(|_| 0..8u8).collect();
    let clear = [255u8, 0, 0, 0].repeat(16);
    let deep: Vec<u8> = [0x1234u16; 36]
        .iter()
        .flat_map(|x| x.to_ne_bytes())
        .collect();
    let (_dir, path) = folder(&[
        ("trainA/1.png", png(&wide, (8, 4), ExtendedColorType::L8)),
        (
            "trainA/2.png",
            png(&clear, (4, 4), ExtendedColorType::Rgba8),
        ),
        ("trainB/1.png", png(&deep, (6, 6), ExtendedColorType::L16)),
        (
            "trainB/2.png",
            palette(&[1, 0, 1, 1], &[9, 8, 7, 30, 20, 10], (2, 2)),
        ),
        ("trainB/3.png", plain(77, (2, 3))),
    ]);
    let survey = super::apart(&path, Split::Train, &|_, _, _| {});
    let info = survey.as_ref().expect("two sides").info();
    assert_eq!((info.channels, info.len, info.len_b), (3, 2, Some(3)));
    assert_eq!(
        (info.height, info.width, info.smallest),
        (4, 4, Some((2, 2)))
    );
    let sides = read(survey, View::square(2)).expect("two sides");
    assert_eq!((sides.a.info().len, sides.b.info().len), (2, 3));
    for info in [sides.a.info(), sides.b.info()] {
        assert_eq!((info.channels, info.height, info.width), (3, 2, 2));
    }
    let first = picture(&sides.a, 0);
    assert_eq!(first, [3, 5, 3, 5].repeat(3)); // means of 2, 3 and of 4, 5, rounded up
    assert_eq!(picture(&sides.a, 1), [255; 12]); // nothing but white is left
    assert_eq!(picture(&sides.b, 0), [0x12; 12]);
    assert_eq!(
        picture(&sides.b, 1),
        [30, 9, 30, 30, 20, 8, 20, 20, 10, 7, 10, 10]
    );
    let notes = sides.notes.join("\n");
    for words in [
        "1 of 5 pictures have transparency",
        "1 of 5 pictures have more than 8 bits",
        "3 of 5 pictures are grey",
        "2 of 5 pictures are cut to the square in their middle, 3 are brought to 2x2",
    ] {
        assert!(notes.contains(words), "{words:?} is missing in\n{notes}");
    }
}

/// A PNG of two colours, an index a byte.
fn palette(indices: &[u8], colours: &[u8], (h, w): (usize, usize)) -> Vec<u8> {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    for row in indices.chunks(w) {
        zlib.write_all(&[0]).expect("bytes");
        zlib.write_all(row).expect("bytes");
    }
    let mut head = Vec::new();
    head.extend((w as u32).to_be_bytes());
    head.extend((h as u32).to_be_bytes());
    head.extend([8, 3, 0, 0, 0]);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let data = zlib.finish().expect("bytes");
    for (kind, data) in [
        (b"IHDR", &head[..]),
        (b"PLTE", colours),
        (b"IDAT", &data),
        (b"IEND", &[]),
    ] {
        let mut crc = Crc::new();
        crc.update(kind);
        crc.update(data);
        file.extend((data.len() as u32).to_be_bytes());
        file.extend(kind);
        file.extend(data);
        file.extend(crc.sum().to_be_bytes());
    }
    file
}

/// A JPEG of 16x32 (height x width), black on the left, whose tag says that it is to be turned clockwise.
fn turned() -> Vec<u8> {
    let row: Vec<u8> = [[0u8; 16], [255; 16]].concat();
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, 100)
        .write_image(&row.repeat(16), 32, 16, ExtendedColorType::L8)
        .expect("a JPEG");
    // APP1: TIFF, big-endian, one entry: tag 0x0112 (orientation), a short, 6.
    let tag = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let mut segment = vec![0xff, 0xe1];
    segment.extend((tag.len() as u16 + 2).to_be_bytes());
    segment.extend(tag);
    file.splice(2..2, segment);
    file
}

#[test]
fn orientation_tags_turn_pictures_upright() {
    let (_dir, path) = folder(&[("a.jpg", turned()), ("b.png", plain(9, (32, 16)))]);
    let survey =
        super::super::open(&path, Split::Train, Labels::Ignored, &|_, _, _| {}).expect("a set");
    let (data, notes) = survey.read(&Reading::new(View::whole())).expect("a set");
    let set = data.a;
    assert_eq!((set.info().height, set.info().width), (32, 16));
    let turned = picture(&set, 0);
    let (top, bottom) = (turned[5 * 16 + 8], turned[27 * 16 + 8]);
    assert!(top < 20 && bottom > 235, "{top} {bottom}");
    assert_eq!(
        notes,
        ["1 of 2 pictures are turned as their orientation tag says"]
    );
    let album = Album::open(&path.join("a.jpg")).expect("a picture");
    assert_eq!(album.names(), ["a.jpg"]);
    let single = album.read("a.jpg").expect("a picture");
    assert_eq!((single.height, single.width, single.channels), (32, 16, 1));
    assert_eq!(single.bytes, turned);
}

#[test]
fn one_that_is_cut_short_is_named_on_either_side() {
    let whole = turned();
    let cut = whole[..whole.len() - 30].to_vec();
    let files = [("trainA/a.jpg", turned()), ("trainB/a.jpg", cut)];
    let (_dir, path) = folder(&files);
    for error in [paired(&path, Split::Train), unpaired(&path, Split::Train)] {
        says(
            &error.map(drop).expect_err("a cut file"),
            &["trainB/a.jpg", "cut short"],
        );
    }
    let stored: Vec<_> = files.iter().map(|(n, c)| (*n, &c[..], false)).collect();
    let file = path.join("s.zip");
    fs::write(&file, zip(&stored)).expect("a file");
    let album = Album::open(&file).expect("pictures");
    assert_eq!(album.names(), ["trainA/a.jpg", "trainB/a.jpg"]);
    assert!(album.read("trainA/a.jpg").is_ok());
    says(
        &album.read("trainB/a.jpg").expect_err("a cut file"),
        &["s.zip/trainB/a.jpg", "cut short"],
    );
}
