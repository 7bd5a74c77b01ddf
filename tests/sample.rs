//! `sample`: where pictures go, in which format, what is never written over, what of an input is bad.

use crate::program::{PAPERS, bytes, command, error_line, fails, names, ok, run};
use image::AnimationDecoder;
use image::codecs::gif::GifDecoder;
use std::fs;
use std::io::Cursor;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

fn trained(dir: &Path, paper: &str, rest: &[&str]) {
    let args = ["train", paper, "--preset", "smoke", "--steps", "1", "-q"];
    ok("", dir, &[&args[..], rest].concat());
}

fn says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in\n{said}");
    }
}

fn size(path: &Path) -> (u32, u32) {
    let picture = image::load_from_memory(&bytes(path)).unwrap();
    (picture.width(), picture.height())
}

/// A picture whose every pixel differs from the next.
fn save(path: &Path, (w, h): (u32, u32)) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let colour = |x: u32, y: u32| image::Rgb([(40 * x) as u8, (30 * y) as u8, (x * y) as u8]);
    image::RgbImage::from_fn(w, h, colour).save(path).unwrap();
}

/// Two sides of pictures so small that a network trains on them at once.
fn two_sides(dir: &Path, with_test: bool) {
    let parts: &[&str] = match with_test {
        true => &["trainA", "trainB", "testA", "testB"],
        false => &["trainA", "trainB"],
    };
    for (i, part) in parts.iter().enumerate() {
        for name in ["a.png", "b.png", "c.png"] {
            save(&dir.join(part).join(name), (20, 18 + i as u32));
        }
    }
}

#[test]
fn an_ending_is_a_format_and_a_folder_holds_single_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    trained(dir, "vanilla", &["--out", "r"]);
    let sample = |rest: &[&str]| ok("", dir, &[&["sample", "r"], rest].concat());
    let format = |name: &str| image::guess_format(&bytes(&dir.join(name))).unwrap();
    sample(&["-n", "4", "--out", "new/v.JPG"]);
    assert_eq!(format("new/v.JPG"), image::ImageFormat::Jpeg);
    assert_eq!(size(&dir.join("new/v.JPG")), (62, 62));
    sample(&["-n", "4", "--out", "v.png", "--scale", "3"]);
    assert_eq!(size(&dir.join("v.png")), (2 * 86 + 2, 2 * 86 + 2));
    let large = image::load_from_memory(&bytes(&dir.join("v.png")))
        .unwrap()
        .to_luma8();
    assert!((0..3).all(|i| large.get_pixel(2 + i, 4) == large.get_pixel(2, 2)));
    let mode = |name: &str| fs::metadata(dir.join(name)).unwrap().mode();
    fs::write(dir.join("plain"), "x").unwrap();
    assert_eq!(mode("v.png"), mode("plain"));

    says(&sample(&["-n", "1", "--out", "one/"]), &["1 picture: one"]);
    says(&sample(&["-n", "3", "--out", "new"]), &["3 pictures: new"]);
    assert_eq!(
        names(&dir.join("new")),
        ["0000.png", "0001.png", "0002.png", "v.JPG"]
    );
    assert_eq!(size(&dir.join("new/0002.png")), (28, 28));
    let way = ["--interpolate", "4", "-n", "2"];
    sample(&[&way[..], &["--out", "way.gif"]].concat());
    let film = GifDecoder::new(Cursor::new(bytes(&dir.join("way.gif")))).unwrap();
    let frames = film.into_frames().collect_frames().unwrap();
    assert_eq!(frames.len(), 4);
    assert_ne!(frames[0].buffer(), frames[3].buffer());
    sample(&[&way[..], &["--separate", "--format", "jpg", "--out", "way"]].concat());
    assert_eq!(names(&dir.join("way")).len(), 8);
    assert_eq!(format("way/0001-003.jpg"), image::ImageFormat::Jpeg);

    let refused = |rest: &[&str], words: &[&str]| {
        says(&fails(dir, &[&["sample", "r"], rest].concat(), 2), words);
    };
    for out in ["v.webp", "v.gif.x", "v", "v."] {
        refused(&["--out", out], &[out, ".png, .jpg, .jpeg", "/ at its end"]);
    }
    refused(&["--out", "v.gif"], &["--interpolate"]);
    refused(&["--out", "w.png", "--format", "jpg"], &["--format"]);
    refused(&["--out", "w.png", "--separate"], &["several files"]);
    let many = ["-n", "4096", "--interpolate", "256", "--scale", "64"];
    refused(
        &many,
        &[
            "1048576 pictures need some",
            "MiB of memory, this machine has",
        ],
    );
}

#[test]
fn nothing_is_written_over_but_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    trained(dir, "cgan", &["--out", "r"]);
    let usual = |rest: &[&str]| ok("", dir, &[&["sample", "r"], rest].concat());
    let before = names(&dir.join("r/samples")).len();
    let ways: [&[&str]; 8] = [
        &[],
        &["-n", "20"],
        &["--class", "3"],
        &["--class", "7"],
        &["--seed", "2"],
        &["--scale", "2"],
        &["--format", "jpg"],
        &["--interpolate", "3"],
    ];
    // Each has a name of its own; the same again is the same file.
    for way in ways.iter().chain(&ways) {
        usual(way);
    }
    assert_eq!(names(&dir.join("r/samples")).len(), before + ways.len());
    usual(&["--class", "3", "--out", "c.png"]);
    let three = bytes(&dir.join("c.png"));
    let seven = ["sample", "r", "--class", "7", "--out", "c.png"];
    says(
        &fails(dir, &seven, 1),
        &["c.png", "is there already", "--force"],
    );
    assert_eq!(bytes(&dir.join("c.png")), three);
    usual(&["--class", "7", "--out", "c.png", "--force"]);
    assert_ne!(bytes(&dir.join("c.png")), three);
    fs::create_dir(dir.join("d.png")).unwrap();
    usual(&["-n", "2", "--out", "d.png"]);
    assert_eq!(names(&dir.join("d.png")).len(), 2);
    let pipe = Command::new("mkfifo").arg(dir.join("p.png")).status();
    assert!(pipe.unwrap().success());
    says(
        &fails(dir, &["sample", "r", "--out", "p.png"], 1),
        &["p.png", "no regular file"],
    );
}

#[test]
fn one_bad_picture_does_not_end_a_folder_and_small_ones_are_padded() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    two_sides(&dir.join("data"), true);
    trained(dir, "cyclegan", &["--data", "./data", "--out", "r"]);
    let input = dir.join("in");
    let sizes = [(1, 1), (2, 7), (7, 2), (1, 40), (33, 9)];
    for (w, h) in sizes {
        save(&input.join(format!("{w} x {h}.png")), (w, h));
    }
    for name in ["x.jpg", "x.png", "x.jpg.png", "in \"it's\"/\u{e4}\n.png"] {
        save(&input.join(name), (9, 8));
    }
    let cut = bytes(&input.join("33 x 9.png"));
    fs::write(input.join("cut.png"), &cut[..cut.len() / 2]).unwrap();
    let sample = |rest: &[&str]| run("", dir, &[&["sample", "r", "--input", "in"], rest].concat());
    let args = ["sample"];
    let one = sample(&["--out", "out"]);
    says(&String::from_utf8_lossy(&one.stdout), &["9 pictures: out"]);
    let line = error_line(&one, 1, &args);
    says(
        &line,
        &["1 of 10 pictures was not translated: ", "in/cut.png: is"],
    );
    for (w, h) in sizes {
        assert_eq!(size(&dir.join(format!("out/{w} x {h}.png"))), (w, h));
    }
    for name in [
        "x.jpg.png",
        "x.png.png",
        "x.jpg.png.png",
        "in \"it's\"/\u{e4}\n.png",
    ] {
        assert_eq!(size(&dir.join("out").join(name)), (9, 8), "{name}");
    }
    // Several are named in turn.
    for i in 0..6 {
        fs::write(input.join(format!("bad {i}.png")), "no picture").unwrap();
    }
    let many = sample(&["--out", "more/", "--format", "jpg", "--strip"]);
    let line = error_line(&many, 1, &args);
    says(
        &line,
        &[
            "7 of 16 pictures were not translated",
            "bad 0.png",
            "and 3 more",
        ],
    );
    let said = String::from_utf8_lossy(&many.stderr).into_owned();
    assert_eq!(said.matches("warning: ").count(), 7, "{said}");
    assert!(line.len() < 300, "{line}");
    assert_eq!(size(&dir.join("more/33 x 9.jpg")), (3 * 35 + 2, 13));

    // The other way is another folder by itself.
    let usual = |rest: &[&str]| {
        let args = ["sample", "r", "--input", "data/testA"];
        ok("", dir, &[&args[..], rest].concat())
    };
    says(&usual(&[]), &["translated-00000001-a2b-seed1"]);
    says(
        &usual(&["--direction", "b2a"]),
        &["translated-00000001-b2a-seed1"],
    );
    usual(&[]);
    let other = ["sample", "r", "--input", "data/testB"];
    says(
        &fails(dir, &other, 1),
        &["a.png", "is there already", "--force"],
    );
    let into = [
        "sample",
        "r",
        "--input",
        "data/testA",
        "--out",
        "data/testA",
    ];
    says(&fails(dir, &into, 1), &["is an input", "written over"]);
    let separate = ["sample", "r", "--input", "in", "--separate"];
    says(&fails(dir, &separate, 2), &["--separate"]);
}

#[test]
fn a_damaged_test_picture_is_named_before_training_and_conversions_are_noted() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    two_sides(&dir.join("data"), true);
    let train = [
        "train", "cyclegan", "--preset", "smoke", "--steps", "1", "--data", "./data", "--out",
    ];
    let said = ok("", dir, &[&train[..], &["r"]].concat());
    says(&said, &["note    held out: ", "held-out-a2b.png"]);
    says(
        &String::from_utf8(bytes(&dir.join("r/notes.txt"))).unwrap(),
        &["held out: "],
    );
    fs::write(dir.join("data/testB/b.png"), "no picture").unwrap();
    let line = fails(dir, &[&train[..], &["s"]].concat(), 1);
    says(&line, &["data/testB/b.png"]);
    assert!(!dir.join("s").exists());
    let line = fails(dir, &["train", "cyclegan", "--out", "r", "--resume"], 1);
    says(&line, &["data/testB/b.png"]);
}

#[test]
fn data_that_were_moved_are_known_by_their_contents() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    two_sides(&dir.join("data"), true);
    trained(dir, "cyclegan", &["--data", "./data", "--out", "r"]);
    fs::rename(dir.join("data"), dir.join("moved")).unwrap();
    let eval = ["eval", "r", "--at", "last", "--json"];
    says(&fails(dir, &eval, 1), &["data", "--data"]);
    let input = [
        "sample",
        "r",
        "--input",
        "moved/testA/a.png",
        "--out",
        "a.png",
    ];
    for args in [&eval[..], &input] {
        ok("", dir, &[args, &["--data", "moved"]].concat());
        save(&dir.join("moved/trainA/new.png"), (20, 18));
        let line = fails(dir, &[args, &["--data", "moved"]].concat(), 1);
        says(&line, &["moved", "other data"]);
        fs::remove_file(dir.join("moved/trainA/new.png")).unwrap();
    }
}

#[test]
fn what_is_printed_can_be_pasted_and_read_only_folders_are_said() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let out = "a b/it's \u{1b}[1m\"ü\"";
    let args = [
        "train", "vanilla", "--preset", "smoke", "--steps", "2", "--out", out,
    ];
    let said = ok("", dir, &args);
    assert!(!said.contains('\u{1b}'));
    for begin in ["  sample ", "  go on "] {
        let line = said
            .lines()
            .find_map(|line| line.strip_prefix(begin))
            .unwrap();
        let line = line
            .trim()
            .replacen("cargo xtask", env!("CARGO_BIN_EXE_xtask"), 1);
        let pasted = Command::new("bash")
            .args(["-c", &line])
            .current_dir(dir)
            .output();
        let pasted = pasted.unwrap();
        let error = String::from_utf8_lossy(&pasted.stderr).into_owned();
        assert!(pasted.status.success(), "{line}\n{error}");
    }
    let samples = dir.join(out).join("samples");
    assert!(
        names(&samples).contains(&"sample-00000004-seed1-n64.png".into())
            || names(&samples).contains(&"sample-00000002-seed1-n64.png".into())
    );
    fs::set_permissions(&samples, fs::Permissions::from_mode(0o555)).unwrap();
    // Root may write there all the same.
    if fs::write(samples.join("try"), "x").is_err() {
        let line = fails(dir, &["sample", out, "-n", "9"], 1);
        says(&line, &["cannot be written", "--out"]);
    }
    fs::set_permissions(&samples, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_standard_output_that_is_full_is_an_error_and_one_that_is_closed_is_none() {
    let dir = tempfile::tempdir().unwrap();
    trained(dir.path(), "vanilla", &["--out", "r"]);
    for args in [
        &["list"][..],
        &["--help"],
        &["info", "vanilla"],
        &["eval", "r", "-n", "20", "--at", "last", "--json"],
        &["sample", "r", "-n", "1"],
    ] {
        let full = fs::File::create("/dev/full").unwrap();
        let mut program = command("", dir.path(), args);
        let program = program.stdout(Stdio::from(full)).stderr(Stdio::piped());
        let line = error_line(&program.output().unwrap(), 1, args);
        says(&line, &["standard output", "No space left"]);
    }
    let (read, write) = std::io::pipe().unwrap();
    drop(read);
    let mut program = command("", dir.path(), &["list"]);
    let gone = program
        .stdout(Stdio::from(write))
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert!(gone.status.success() && gone.stderr.is_empty(), "{gone:?}");
}

/// The generators that come with the project are opened, and make pictures without a run.
#[test]
fn a_paper_alone_shows_its_demo() {
    let dir = tempfile::tempdir().unwrap();
    let mut shown = 0;
    for recipe in PAPERS {
        let paper = recipe.info().name;
        // Its generator is too large to come with the project.
        if paper == "pix2pix" {
            continue;
        }
        let said = ok(
            "",
            dir.path(),
            &["sample", paper, "--out", &format!("{paper}.png")],
        );
        assert!(said.contains("as it comes with the project"), "{said}");
        let picture = image::open(dir.path().join(format!("{paper}.png"))).unwrap();
        let mut values = picture.to_luma8().into_raw();
        values.sort_unstable();
        values.dedup();
        assert!(values.len() > 100, "{paper}: {} shades", values.len());
        shown += 1;
    }
    assert!(shown >= 11);
}
