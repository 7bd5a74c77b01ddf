//! Folders and zip files of pictures through the real program: what trains, and what is refused by name.

use crate::program::{bytes, fails, ok};
use std::fs;
use std::path::{Path, PathBuf};

fn emoji() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.join("assets/emoji.zip")
}

fn save(path: &Path, side: u32, value: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let picture = image::RgbImage::from_pixel(side, side, image::Rgb([value; 3]));
    picture.save(path).unwrap();
}

#[test]
fn a_folder_of_pictures_and_the_embedded_emoji_train() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..6 {
        save(&dir.path().join(format!("set/{i}.png")), 8, 40 * i);
    }
    let train = ["train", "vanilla", "--preset", "smoke", "--steps", "2"];
    for data in ["./set", "emoji"] {
        ok("", dir.path(), &[&train[..], &["--data", data]].concat());
    }
    let said = ok(
        "",
        dir.path(),
        &["data", "inspect", "emoji", "--out", "sheet.png"],
    );
    for words in [
        "train  1216 pictures, 64 x 64, 3 channels",
        "test   100 pictures",
    ] {
        assert!(said.contains(words), "{words:?} is missing in\n{said}");
    }
    assert!(dir.path().join("sheet.png").exists());
    let said = ok("", dir.path(), &["data", "inspect", "./set"]);
    assert!(said.contains("test   not usable"), "{said}");
    assert!(ok("", dir.path(), &["data", "ls"]).contains("emoji.zip"));
}

#[test]
fn pictures_that_cannot_be_used_are_named_and_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let set = dir.path().join("set");
    let refused = |data: &str, words: &[&str]| {
        let train = ["train", "vanilla", "--preset", "smoke", "--out", "r"];
        let line = fails(dir.path(), &[&train[..], &["--data", data]].concat(), 1);
        for word in words {
            assert!(line.contains(word), "{word:?} is missing in {line}");
        }
        assert!(!dir.path().join("r").exists(), "a folder was made");
    };
    fs::create_dir(&set).unwrap();
    fs::write(set.join("notes.txt"), "no picture").unwrap();
    refused("./set", &["set", "no picture among them", "MNIST's format"]);

    save(&set.join("1.png"), 8, 1);
    save(&set.join("3.png"), 8, 3);
    fs::write(set.join("2.png"), "a text file").unwrap();
    refused("./set", &["set/2.png", "no PNG or JPEG", "replace it"]);
    save(&set.join("2.png"), 7, 2);
    let words = [
        "set: holds 1 picture ",
        "2.png (7 wide, 7 high)",
        "8 pixels",
        "--enlarge",
        "--skip-small",
    ];
    refused("./set", &words);

    // A JPEG in the middle that has lost its end.
    let photos = dir.path().join("photos");
    for name in ["1.jpg", "2.jpg", "3.jpg"] {
        save(&photos.join(name), 64, 9);
    }
    let whole = bytes(&photos.join("2.jpg"));
    fs::write(photos.join("2.jpg"), &whole[..whole.len() - 40]).unwrap();
    refused("./photos", &["photos/2.jpg", "cut short"]);

    // A zip file whose directory says another size than there is, and one with a name that escapes.
    fs::write(dir.path().join("no.zip"), "hello, world").unwrap();
    refused("./no.zip", &["no.zip", "neither a folder nor a zip file"]);
    let zip = bytes(&emoji());
    let end = zip.windows(4).rposition(|w| w == b"PK\x05\x06").unwrap();
    let start = u32::from_le_bytes(zip[end + 16..end + 20].try_into().unwrap()) as usize;
    // Other names for the sides, so that they are four classes of one set.
    let sides = [b"testA/", b"testB/", b"rainA/", b"rainB/"];
    let is_side = |i: usize| sides.iter().any(|side| zip[i..].starts_with(*side));
    let mut classes = zip.clone();
    for i in (0..end).filter(|&i| is_side(i)) {
        classes[i] = b'c';
    }
    for (at, new, words) in [
        (
            24,
            &1000u32.to_le_bytes()[..],
            &["1f308.png", "more were found"][..],
        ),
        (
            24,
            &(u32::MAX - 1).to_le_bytes(),
            &["1f308.png", "more than the 67108864 bytes"],
        ),
        (46, b"../st/", &["../st/1f308.png", "leads out"]),
    ] {
        let mut file = classes.clone();
        file[start + at..start + at + new.len()].copy_from_slice(new);
        fs::write(dir.path().join("lies.zip"), file).unwrap();
        refused("./lies.zip", words);
    }
}

/// Portraits, panoramas, a picture that is turned by its tag, grey ones and transparent ones: papers that take
/// squares train on them.
#[test]
fn pictures_of_all_sizes_and_kinds_train() {
    let dir = tempfile::tempdir().unwrap();
    let set = dir.path().join("set");
    fs::create_dir(&set).unwrap();
    let colours = |x: u32, y: u32| image::Rgb([(x * 3) as u8, (y * 2) as u8, 90]);
    for (i, (w, h)) in [(178, 218), (64, 64), (300, 70), (80, 200)]
        .into_iter()
        .enumerate()
    {
        let picture = image::RgbImage::from_fn(w, h, colours);
        picture.save(set.join(format!("{i}.png"))).unwrap();
        picture.save(set.join(format!("{i}.jpg"))).unwrap();
    }
    let grey = image::GrayImage::from_fn(90, 120, |x, _| image::Luma([x as u8]));
    grey.save(set.join("grey.png")).unwrap();
    let clear = image::RgbaImage::from_pixel(70, 70, image::Rgba([9, 9, 9, 100]));
    clear.save(set.join("clear.png")).unwrap();
    // APP1: TIFF, big-endian, one entry: orientation 6, a quarter turn clockwise.
    let mut turned = bytes(&set.join("3.jpg"));
    let tag = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let length = (tag.len() as u16 + 2).to_be_bytes();
    turned.splice(2..2, [&[0xff, 0xe1], &length[..], tag].concat());
    fs::write(set.join("turned.jpg"), turned).unwrap();
    for paper in ["dcgan", "wgan", "wgan-gp"] {
        let args = [
            "train", paper, "--preset", "smoke", "--steps", "2", "--out", paper,
        ];
        let rest = ["--data", "./set", "--set", "size=64", "--set", "batch=4"];
        let said = ok("", dir.path(), &[&args[..], &rest].concat());
        for words in [
            "11 pictures of 3x",
            "the smallest has 64x64",
            "1 of 11 pictures are turned",
            "1 of 11 pictures are grey",
            "8 of 11 pictures are cut to the square in their middle",
        ] {
            assert!(said.contains(words), "{words:?} is missing in\n{said}");
        }
    }
    // Mirrored pictures are other pictures; what stays in memory and what does not are the same.
    let saved = |out: &str, rest: &[&str]| {
        let args = [
            "train", "dcgan", "--preset", "smoke", "--steps", "3", "--quiet",
        ];
        let data = ["--data", "./set", "--set", "size=32", "--out", out];
        ok("", dir.path(), &[&args[..], &data, rest].concat());
        bytes(
            &dir.path()
                .join(out)
                .join("checkpoints/step-00000003.safetensors"),
        )
    };
    let plain = saved("plain", &[]);
    assert!(plain == saved("packed", &["--memory", "0"]));
    assert!(plain != saved("flipped", &["--set", "flip=true"]));
}
