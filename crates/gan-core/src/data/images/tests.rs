//! What folders and zip files mean, and what is refused.

mod folders;
mod kinds;
mod mutated;

use super::*;
use crate::data::{Part, Pictures, Reading, Side, View};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use std::fs;
use std::io::Write;
use std::sync::Arc;

pub(super) type Set = Arc<dyn Pictures>;

/// A set as it is, and what is said of it.
pub(super) fn open(path: &Path, split: Split) -> Result<(Set, Vec<String>), FileError> {
    seen(path, split, &Reading::new(View::whole()))
}

pub(super) fn seen(
    path: &Path,
    split: Split,
    how: &Reading<'_>,
) -> Result<(Set, Vec<String>), FileError> {
    let (data, notes) = super::open(path, split, Labels::AsFound, &|_, _, _| {})?.read(how)?;
    Ok((data.a, notes))
}

fn side(path: &Path, split: Split, side: Side) -> Result<Set, FileError> {
    let survey = sides::side(path, split, side, &|_, _, _| {})?;
    Ok(survey.read(&Reading::new(View::whole()))?.0.a)
}

pub(super) fn png(bytes: &[u8], (w, h): (u32, u32), color: ExtendedColorType) -> Vec<u8> {
    let mut file = Vec::new();
    PngEncoder::new(&mut file)
        .write_image(bytes, w, h, color)
        .expect("a PNG");
    file
}

/// A 2x2 grey picture of one value.
pub(super) fn grey(value: u8) -> Vec<u8> {
    png(&[value; 4], (2, 2), ExtendedColorType::L8)
}

fn jpeg(value: u8) -> Vec<u8> {
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, 100)
        .write_image(&[value; 768], 16, 16, ExtendedColorType::Rgb8)
        .expect("a JPEG");
    file
}

/// A zip file: names, contents, and whether to deflate them.
pub(super) fn zip(files: &[(&str, &[u8], bool)]) -> Vec<u8> {
    let (mut zip, mut directory) = (Vec::new(), Vec::new());
    for (name, contents, deflate) in files {
        let mut crc = flate2::Crc::new();
        crc.update(contents);
        let packed = if *deflate {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(contents).expect("bytes");
            encoder.finish().expect("bytes")
        } else {
            contents.to_vec()
        };
        let mut fields = vec![20, 0, 0, 0, u8::from(*deflate) * 8, 0, 0, 0, 0x21, 0];
        fields.extend(crc.sum().to_le_bytes());
        fields.extend((packed.len() as u32).to_le_bytes());
        fields.extend((contents.len() as u32).to_le_bytes());
        fields.extend((name.len() as u16).to_le_bytes());
        fields.extend([0, 0]);
        let at = zip.len() as u32;
        zip.extend(b"PK\x03\x04");
        zip.extend(&fields);
        zip.extend(name.as_bytes());
        zip.extend(packed);
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(&fields);
        directory.extend([0; 10]);
        directory.extend(at.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (at, len, n) = (zip.len() as u32, directory.len() as u32, files.len() as u16);
    zip.extend(directory);
    zip.extend(b"PK\x05\x06\0\0\0\0");
    zip.extend(n.to_le_bytes());
    zip.extend(n.to_le_bytes());
    zip.extend(len.to_le_bytes());
    zip.extend(at.to_le_bytes());
    zip.extend([0, 0]);
    zip
}

/// The same files in a folder, stored in a zip file, and deflated in one.
pub(super) fn three_ways(
    files: &[(&str, Vec<u8>)],
) -> (tempfile::TempDir, [std::path::PathBuf; 3]) {
    let dir = tempfile::tempdir().expect("a folder");
    let paths = ["set", "stored.zip", "deflated.zip"].map(|name| dir.path().join(name));
    for (name, contents) in files {
        let path = paths[0].join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, contents).expect("a file");
    }
    for (path, deflate) in [(&paths[1], false), (&paths[2], true)] {
        let files: Vec<_> = files.iter().map(|(n, c)| (*n, &c[..], deflate)).collect();
        fs::write(path, zip(&files)).expect("a file");
    }
    (dir, paths)
}

pub(super) fn whole(set: &Set, i: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let part = Part::whole(set.size(i));
    set.read(i, part, &mut bytes).expect("a picture");
    bytes
}

/// The first value of each picture.
fn firsts(set: &Set) -> Vec<u8> {
    let first = |i| whole(set, i)[0];
    (0..set.info().len).map(first).collect()
}

fn labels(set: &Set) -> Vec<Option<u32>> {
    (0..set.info().len).map(|i| set.label(i)).collect()
}

fn refused(path: &Path, words: &[&str]) {
    let error = open(path, Split::Train)
        .map(drop)
        .expect_err("a fault")
        .to_string();
    for word in words {
        assert!(error.contains(word), "{word:?} is missing in {error}");
    }
}

#[test]
fn a_folder_and_zip_files_of_it_are_one_set() {
    let (_dir, paths) = three_ways(&[
        ("b/2.PNG", grey(3)),
        ("a.png", grey(1)),
        ("b/1.png", grey(2)),
        ("notes.txt", b"no picture".to_vec()),
        (".hidden.png", b"no picture".to_vec()),
        ("__MACOSX/a.png", b"no picture".to_vec()),
    ]);
    let sets = paths
        .each_ref()
        .map(|path| open(path, Split::Train).expect("a set").0);
    for set in &sets {
        assert_eq!(firsts(set), [1, 2, 3]);
        assert_eq!((set.info().classes, set.label(0)), (None, None));
        assert_eq!(set.sha256(), sets[0].sha256());
    }
    let error = open(&paths[0], Split::Test)
        .map(drop)
        .expect_err("no test part");
    assert!(error.to_string().contains("for testing"), "{error}");
}

#[test]
fn folders_are_classes_splits_or_sides_by_their_names() {
    let (_dir, paths) = three_ways(&[
        ("all/train/cat/1.png", grey(1)),
        ("all/train/dog/2.png", grey(2)),
        ("all/train/ant/3.png", grey(3)),
        ("all/test/dog/4.png", grey(4)),
        ("all/test/cat/5.png", grey(5)),
    ]);
    for path in &paths {
        let train = open(path, Split::Train).expect("a set").0;
        assert_eq!(firsts(&train), [3, 1, 2]);
        assert_eq!(labels(&train), [Some(0), Some(1), Some(2)]);
        // A class that the split lacks keeps its number.
        let test = open(path, Split::Test).expect("a set").0;
        assert_eq!(firsts(&test), [5, 4]);
        assert_eq!(labels(&test), [Some(1), Some(2)]);
        assert_eq!(test.info().classes, Some(3));
        assert_eq!(test.info().names, ["ant", "cat", "dog"]);
    }
    let (_dir, paths) = three_ways(&[
        ("trainA/1.png", grey(1)),
        ("trainB/1.png", grey(2)),
        ("testB/2.png", grey(3)),
    ]);
    for path in &paths {
        assert_eq!(
            firsts(&side(path, Split::Train, Side::A).expect("a set")),
            [1]
        );
        assert_eq!(
            firsts(&side(path, Split::Test, Side::B).expect("a set")),
            [3]
        );
        let error = side(path, Split::Test, Side::A)
            .map(drop)
            .expect_err("no such side");
        assert!(error.to_string().contains("testA/"), "{error}");
        refused(path, &["testB", "two domains", "name one of its folders"]);
    }
    let (_dir, paths) = three_ways(&[("train/a/1.png", grey(1)), ("train/2.png", grey(2))]);
    let set = open(&paths[1], Split::Train).expect("a set").0;
    assert_eq!((set.info().classes, firsts(&set)), (None, vec![2, 1]));
    let error = open(&paths[1], Split::Test)
        .map(drop)
        .expect_err("no test part");
    assert!(
        error.to_string().contains("no pictures in test/"),
        "{error}"
    );
}

#[test]
fn colours_come_channels_first_and_on_white() {
    let (_dir, paths) = three_ways(&[(
        "a.png",
        png(
            &[1, 2, 3, 255, 9, 9, 9, 0],
            (2, 1),
            ExtendedColorType::Rgba8,
        ),
    )]);
    let set = open(&paths[0], Split::Train).expect("a set").0;
    assert_eq!(whole(&set, 0), [1, 255, 2, 255, 3, 255]);
    assert_eq!(set.info().channels, 3);
    let (_dir, paths) = three_ways(&[("a.jpg", jpeg(77)), ("b.jpeg", jpeg(200))]);
    let set = open(&paths[2], Split::Train).expect("a set").0;
    let values = firsts(&set);
    assert!(
        values[0].abs_diff(77) < 3 && values[1].abs_diff(200) < 3,
        "{values:?}"
    );
}

#[test]
fn pictures_that_cannot_be_used_are_named() {
    let set =
        |name, contents| three_ways(&[("1.png", grey(1)), (name, contents), ("3.png", grey(3))]);
    for (name, contents, words) in [
        (
            "2.png",
            b"hello, world".to_vec(),
            &["2.png", "is no picture that can be read (PNG, JPEG"][..],
        ),
        ("2.png", grey(1)[..40].to_vec(), &["2.png", "damaged"]),
        (
            "2.png",
            png(&[0; 6], (2, 3), ExtendedColorType::L8),
            &["2.png", "3x2 grey, 1.png is 2x2 grey"],
        ),
    ] {
        let (_dir, paths) = set(name, contents);
        for path in &paths {
            refused(path, words);
        }
    }
    // The decoder itself would fill the rest with grey.
    let whole = jpeg(9);
    for n in [whole.len() - 1, whole.len() - 20, 300, 2] {
        let (_dir, paths) = three_ways(&[
            ("1.jpg", jpeg(1)),
            ("2.jpg", whole[..n].to_vec()),
            ("3.jpg", jpeg(3)),
        ]);
        refused(&paths[0], &["2.jpg", "replace it"]);
    }
    let (_dir, paths) = three_ways(&[("a.txt", vec![1])]);
    paths
        .iter()
        .for_each(|path| refused(path, &["holds 1 file and no picture among them (1 .txt)"]));
}

#[test]
fn zip_files_that_lie_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("a.zip");
    let good = zip(&[("a.png", &vec![7; 100_000], true)]);
    let directory = good
        .windows(4)
        .position(|w| w == b"PK\x01\x02")
        .expect("it");
    // A claimed size stands at 22 of the file's own header and at 24 of the directory's.
    let claim = |size: u32| {
        let mut file = good.clone();
        for at in [22, directory + 24] {
            file[at..at + 4].copy_from_slice(&size.to_le_bytes());
        }
        file
    };
    for (file, words) in [
        (
            claim(99),
            &["a.zip/a.png", "has 99 bytes by the zip file's header, more"][..],
        ),
        (claim(100_001), &["less were found"]),
        (claim(u32::MAX - 1), &["more than the 67108864 bytes"]),
        (
            good[..good.len() - 30].to_vec(),
            &["a.zip", "is a zip file that is cut short or damaged"],
        ),
        (
            b"no zip file".to_vec(),
            &["a.zip", "neither a folder nor a zip file"],
        ),
        (
            zip(&[("../a.png", &grey(1), false)]),
            &["../a.png", "leads out of its folder"],
        ),
        (
            zip(&[("/a.png", &grey(1), false)]),
            &["leads out of its folder"],
        ),
        (zip(&[]), &["holds no files"]),
    ] {
        fs::write(&path, file).expect("a file");
        refused(&path, words);
    }
    let mut file = zip(&[("a.png", &grey(1), false)]);
    file[60] ^= 1;
    fs::write(&path, file).expect("a file");
    refused(&path, &["a.png", "another checksum"]);
}

/// Whatever the bytes, there is a set or an error.
#[test]
fn damaged_files_never_panic() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("a.zip");
    let whole = zip(&[("a.png", &grey(1), true), ("b/c.jpg", &jpeg(2), false)]);
    let one = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("a file");
        let _ = open(&path, Split::Train);
    };
    for i in 0..whole.len() {
        one(&whole[..i]);
        for flip in [1, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[i] ^= flip;
            one(&damaged);
        }
    }
    // Without the checksum of a zip file around them.
    for whole in [grey(1), jpeg(2)] {
        for i in 0..whole.len() {
            let _ = Single::decode(&whole[..i]);
            for flip in [1, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[i] ^= flip;
                let _ = Single::decode(&damaged);
            }
        }
    }
}
