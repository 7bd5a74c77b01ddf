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
    // Large pictures are small on a sheet, however thin.
    fs::create_dir(dir.path().join("wide")).unwrap();
    for i in 0..2u32 {
        let shade = |x: u32, _: u32| image::Luma([(x / 3 + 50 * i) as u8]);
        let wide = image::GrayImage::from_fn(600, 1, shade);
        wide.save(dir.path().join(format!("wide/{i}.png"))).unwrap();
    }
    let sheet = ["data", "inspect", "./wide", "--out", "wide.png"];
    ok("", dir.path(), &sheet);
    let sheet = image::open(dir.path().join("wide.png")).unwrap().to_luma8();
    assert_eq!(sheet.dimensions(), (2 * (200 + 2) + 2, 1 + 2 + 2));
    assert_eq!(
        [2, 100, 404 - 1].map(|x| sheet.get_pixel(x, 2).0[0]),
        [0, 98, 249]
    );
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
    refused(
        "./set",
        &["set/2.png", "is no picture that can be read", "replace it"],
    );
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

/// Folders are classes by their names for whoever learns from labels, and more pictures for all others.
#[test]
fn classes_keep_their_names() {
    let dir = tempfile::tempdir().unwrap();
    let place = |path: &str| dir.path().join("set").join(path);
    for (i, name) in [
        "Train/2/a.png",
        "Train/10/b.png",
        "Train/10/c.png",
        "TEST/2/d.png",
    ]
    .into_iter()
    .enumerate()
    {
        save(&place(name), 8, 60 * i as u8);
    }
    fs::write(place("Train/2/notes.TXT"), "x").unwrap();
    let said = ok("", dir.path(), &["data", "inspect", "./set"]);
    for words in [
        "train  3 pictures, 8 x 8, 3 channels",
        "2 classes (2: 1, 10: 2)",
        "test   1 picture,",
        "note: left out 1 file that is no picture of a kind that is read: 1 .txt",
        "note: Train/ is read as train/, TEST/ is read as test/",
    ] {
        assert!(said.contains(words), "{words:?} is missing in\n{said}");
    }
    let train = |paper: &str| {
        let args = ["train", paper, "--preset", "smoke", "--steps", "2"];
        ok(
            "",
            dir.path(),
            &[&args[..], &["--data", "./set", "--out", paper]].concat(),
        )
    };
    let said = train("vanilla");
    assert!(said.contains("2 folders are read as one set"), "{said}");
    let said = train("cgan");
    assert!(said.contains("numbers of classes, from 0: 2, 10"), "{said}");
    let sample = |class: &str| {
        let out = format!("class-{class}.png");
        let args = ["sample", "cgan", "-n", "4", "--out", &out, "--class", class];
        ok("", dir.path(), &args);
        bytes(&dir.path().join(out))
    };
    assert!(sample("2") != sample("10"));
    let line = fails(dir.path(), &["sample", "cgan", "--class", "1"], 2);
    assert!(line.contains("no such class; it has 10, 2"), "{line}");
    let said = ok("", dir.path(), &["sample", "cgan", "-n", "6"]);
    assert!(said.contains("rows, from the top: 2, 10"), "{said}");

    save(&place("Train/stray.png"), 8, 9);
    let args = [
        "train", "cgan", "--preset", "smoke", "--data", "./set", "--out", "r",
    ];
    let line = fails(dir.path(), &args, 1);
    assert!(
        line.contains("stray.png") && line.contains("beside the folders"),
        "{line}"
    );
    fs::rename(place("TEST"), place("testing")).unwrap();
    for args in [&args[..], &["data", "inspect", "./set"]] {
        let line = fails(dir.path(), args, 1);
        assert!(line.contains("testing/, which is nearly test/"), "{line}");
    }
}

/// What would be waited for without end is not opened, and a limit is said where a picture passes it.
#[cfg(unix)]
#[test]
fn pipes_are_left_out_and_limits_are_said() {
    let dir = tempfile::tempdir().unwrap();
    let set = dir.path().join("set");
    save(&set.join("1.png"), 8, 1);
    let pipe = std::process::Command::new("mkfifo")
        .arg(set.join("2.png"))
        .status();
    assert!(pipe.unwrap().success());
    let said = ok("", dir.path(), &["data", "inspect", "./set"]);
    assert!(
        said.contains("left out what is no file: 2.png (a named pipe)"),
        "{said}"
    );
    // A BMP's header: its own size, width, height, one plane of 24 bits, nothing packed.
    let mut tall = b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
    tall.extend([8u32.to_le_bytes(), 9000u32.to_le_bytes()].concat());
    tall.extend([1, 0, 24, 0]);
    tall.extend([0; 24]);
    fs::write(set.join("3.bmp"), tall).unwrap();
    for args in [
        &["data", "inspect", "./set"][..],
        &["train", "dcgan", "--data", "./set"],
    ] {
        let line = fails(dir.path(), args, 1);
        assert!(
            line.contains("set/3.bmp: is 8 pixels wide and 9000 high"),
            "{line}"
        );
    }
}
