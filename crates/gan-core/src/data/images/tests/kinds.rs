//! Kinds of picture files: what is read of each, what is said, and what is left out.

use super::*;
use crate::data::images::{self, Album};
use crate::data::{Reading, View};
use image::codecs::{bmp::BmpEncoder, gif::GifEncoder, tiff::TiffEncoder, webp::WebPEncoder};
use image::{DynamicImage, Frame};
use std::io::Cursor;

/// A picture of 5x3 without symmetry, of three values that a palette holds.
fn scene() -> DynamicImage {
    let value = |x: u32, y: u32| image::Rgb([[10u8, 200, 90][((x + 2 * y) % 3) as usize], 40, 7]);
    image::RgbImage::from_fn(5, 3, value).into()
}

/// The same in every kind that keeps it, by name.
fn kinds() -> Vec<(&'static str, Vec<u8>)> {
    let scene = scene();
    let mut made = vec![(
        "a.png",
        super::png(scene.as_bytes(), (5, 3), ExtendedColorType::Rgb8),
    )];
    for (name, picture) in [
        ("b.tif", scene.clone()),
        ("c.TIFF", scene.to_rgb16().into()),
        ("d.tif", scene.to_rgba8().into()),
    ] {
        let mut file = Cursor::new(Vec::new());
        picture
            .write_with_encoder(TiffEncoder::new(&mut file))
            .expect("a TIFF");
        made.push((name, file.into_inner()));
    }
    let mut file = Vec::new();
    scene
        .write_with_encoder(BmpEncoder::new(&mut file))
        .expect("a BMP");
    made.push(("e.bmp", file));
    let mut file = Vec::new();
    scene
        .write_with_encoder(WebPEncoder::new_lossless(&mut file))
        .expect("a WebP");
    made.push(("f.webp", file));
    let mut file = Vec::new();
    let frames = [
        Frame::new(scene.to_rgba8()),
        Frame::new(scene.rotate180().to_rgba8()),
    ];
    GifEncoder::new(&mut file)
        .encode_frames(frames)
        .expect("a GIF");
    made.push(("g.gif", file));
    made
}

#[test]
fn all_kinds_show_the_same_and_what_else_there_is_is_said() {
    let mut files = kinds();
    // The first bytes decide what it is, not the ending.
    files.push(("h.jpg", files[5].1.clone()));
    files.push(("i.webp", files[0].1.clone()));
    for other in [
        "x.heic",
        "y.HEIC",
        "notes.txt",
        "Thumbs.db",
        "desktop.ini",
        "noending",
    ] {
        files.push((other, b"x".to_vec()));
    }
    let (_dir, paths) = three_ways(&files);
    for path in &paths {
        let (set, notes) = open(path, Split::Train).expect("a set");
        assert_eq!((set.info().len, set.info().channels), (9, 3));
        for i in 0..9 {
            assert_eq!(whole(&set, i), whole(&set, 0), "picture {i}");
        }
        let notes = notes.join("\n");
        for words in [
            "left out 4 files that are no pictures of a kind that is read: 2 .heic, 1 .txt, 1 of other names",
            "1 of 9 pictures have more than 8 bits a channel",
            "1 of 9 pictures are the first of several frames or pages, the others are left out: g.gif",
        ] {
            assert!(notes.contains(words), "{words:?} is missing in\n{notes}");
        }
        // What is opaque everywhere has no white behind it, whatever its kind could have.
        assert!(!notes.contains("transparency"), "{notes}");
        let album = Album::open(path).expect("pictures");
        assert_eq!((album.names().len(), album.notes().len()), (9, 1));
    }
    // A file that is named itself is known by its first bytes, too.
    let plain = paths[0].join("noending");
    fs::write(&plain, &files[5].1).expect("a file");
    let album = Album::open(&plain).expect("a picture");
    assert_eq!(album.read("noending").expect("a picture").width, 5);
    let error = open(&plain, Split::Train)
        .map(drop)
        .expect_err("no folder")
        .to_string();
    assert!(
        error.contains("is a WebP picture, expected a folder"),
        "{error}"
    );
}

/// A TIFF of two pages: the second directory follows the first.
#[test]
fn later_pages_are_said_to_be_left_out() {
    let mut file = Cursor::new(Vec::new());
    scene()
        .to_luma8()
        .write_with_encoder(TiffEncoder::new(&mut file))
        .expect("a TIFF");
    let mut file = file.into_inner();
    let start = u32::from_le_bytes([file[4], file[5], file[6], file[7]]) as usize;
    let entries = usize::from(u16::from_le_bytes([file[start], file[start + 1]]));
    let next = start + 2 + 12 * entries;
    let directory = file[start..next + 4].to_vec();
    let end = file.len() as u32;
    file[next..next + 4].copy_from_slice(&end.to_le_bytes());
    file.extend(directory);
    let (_dir, paths) = three_ways(&[("scan.tif", file)]);
    let (set, notes) = open(&paths[0], Split::Train).expect("a set");
    assert_eq!(whole(&set, 0), scene().to_luma8().into_raw());
    assert!(
        notes.join("\n").contains("several frames or pages"),
        "{notes:?}"
    );
}

#[test]
fn what_is_dark_for_its_depth_is_said() {
    let deep = |values: [u16; 4]| {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_ne_bytes())
            .collect();
        super::png(&bytes, (2, 2), ExtendedColorType::L16)
    };
    let (_dir, paths) = three_ways(&[
        ("a.png", deep([0, 5, 1000, 1023])),
        ("b.png", deep([7, 16_383, 0, 0])),
        ("c.png", deep([0, 0, 0, 16_384])),
        ("d.png", grey(3)),
    ]);
    let (_, notes) = open(&paths[0], Split::Train).expect("a set");
    let says = "2 of 4 pictures have 16 bits a channel and no value above 16383 of 65535";
    assert!(notes.join("\n").contains(says), "{notes:?}");
}

/// The header of a PNG of this size and kind, without its pixels.
fn claims(width: u32, height: u32, depth: u8, kind: u8) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(width.to_be_bytes());
    chunk.extend(height.to_be_bytes());
    chunk.extend([depth, kind, 0, 0, 0]);
    let mut crc = flate2::Crc::new();
    crc.update(&chunk);
    file.extend(13u32.to_be_bytes());
    file.extend(&chunk);
    file.extend(crc.sum().to_be_bytes());
    // The header ends where pixels begin.
    file.extend(b"\0\0\0\x01IDAT\x78\xc9\x8d\x1e\xa4");
    file
}

#[test]
fn what_a_picture_is_instead_and_which_limit_it_passes_is_said() {
    for (name, file, words) in [
        (
            "x.png",
            claims(9, 9000, 8, 0),
            &["9 pixels wide and 9000 high", "8192 a side"][..],
        ),
        ("x.png", claims(100_000, 1, 1, 0), &["100000 pixels wide"]),
        (
            "x.jpg",
            claims(8192, 8192, 16, 6),
            &["takes 512 MiB decoded", "256 MiB"],
        ),
        (
            "x.jpg",
            b"<!DOCTYPE html><p>404".to_vec(),
            &["is a web page, expected a picture"],
        ),
        (
            "x.png",
            b"version https://git-lfs.github.com/spec/v1".to_vec(),
            &["Git LFS"],
        ),
        (
            "x.jpg",
            b"\0\0\0\x18ftypheic\0\0\0\0".to_vec(),
            &["is a HEIC picture"],
        ),
        ("x.webp", Vec::new(), &["is an empty file"]),
        (
            "x.png",
            grey(1)[..50].to_vec(),
            &["is a damaged PNG picture"],
        ),
    ] {
        let (_dir, paths) = three_ways(&[("a.png", grey(1)), (name, file)]);
        for path in &paths {
            let error = open(path, Split::Train)
                .map(drop)
                .expect_err("a fault")
                .to_string();
            assert!(
                error.contains(name) && !error.contains("PNG or JPEG"),
                "{error}"
            );
            for word in words {
                assert!(error.contains(word), "{word:?} is missing in {error}");
            }
            let album = Album::open(path).expect("pictures");
            assert_eq!(album.read(name).expect_err("a fault").to_string(), error);
        }
    }
}

/// Of a picture that is cut short nothing is made up.
#[test]
fn pictures_without_their_end_are_refused() {
    let read = |file: &[u8]| Single::decode(file).map(|single| single.bytes);
    for (name, file) in kinds() {
        let whole = read(&file).expect("a picture");
        for n in 0..file.len() {
            if let Ok(bytes) = read(&file[..n]) {
                assert!(bytes == whole, "{name} cut to {n} bytes of {}", file.len());
            }
        }
    }
    let how = Reading::new(View::whole());
    let (_dir, paths) = three_ways(&kinds());
    assert!(super::seen(&paths[2], Split::Train, &how).is_ok());
}

/// What is wrong with a picture is said in a line that can be read, also where a zip file gives it a name of thousands
/// of characters.
#[test]
fn names_of_any_length_are_shortened() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("set.zip");
    let name = |begin: &str, i: usize| format!("{begin}/{}{i}.png", "long/".repeat(9000));
    let large = super::png(&[1; 6], (3, 2), ExtendedColorType::L8);
    for files in [
        [("a", grey(1)), ("b", b"no picture".to_vec())],
        [("a", grey(1)), ("b", large)],
        [("trainA", grey(1)), ("trainB", grey(2))],
        [("train_a", grey(1)), ("test b", grey(2))],
        [("..", grey(1)), ("b", grey(2))],
    ] {
        let files: Vec<(String, Vec<u8>)> = (0..6)
            .flat_map(|i| files.clone().map(|(begin, file)| (name(begin, i), file)))
            .collect();
        let files: Vec<_> = files.iter().map(|(n, f)| (&**n, &f[..], true)).collect();
        fs::write(&path, super::zip(&files)).expect("a file");
        let square = Reading::new(View::square(8));
        let quiet = |_: &str, _: usize, _: usize| {};
        let paired = sides::paired(&path, Split::Train, &quiet);
        let errors = [
            super::open(&path, Split::Train).map(drop),
            super::seen(&path, Split::Train, &square).map(drop),
            paired.and_then(|survey| survey.read(&square)).map(drop),
        ];
        for error in errors {
            let said = error.expect_err("no set").to_string();
            assert!(said.contains("set.zip"), "{said}");
            assert!(said.chars().count() <= crate::LONGEST, "{said}");
        }
        let notes = images::open(&path, Split::Train, Labels::Ignored, &quiet);
        let notes = notes.and_then(|survey| {
            let mut how = Reading::new(View::square(2));
            how.small = crate::data::Small::Enlarge;
            Ok(survey.read(&how)?.1)
        });
        for note in notes.unwrap_or_default() {
            assert!(note.chars().count() <= crate::LONGEST, "{note}");
        }
    }
}
