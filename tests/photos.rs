//! `sample --input` with a generator that enlarges: kinds that are kept, tiles, folders with faults, what is never left
//! half.

use crate::program::{bytes, command, error_line, names, ok, run};
use image::{DynamicImage, GenericImageView, ImageFormat};
use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

/// The toy paper whose generator makes pictures twice as large.
const TOY: &str = "toy-upscale";

/// A run of it on pictures of this many channels.
fn trained(dir: &Path, out: &str, grey: bool) {
    for i in 0..6u32 {
        let of = |x: u32, y: u32| [(40 * x + i) as u8, (30 * y) as u8, (x * y) as u8];
        let path = dir.join(format!("set-{out}/{i}.png"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match grey {
            true => image::GrayImage::from_fn(16, 16, |x, y| image::Luma([of(x, y)[0]]))
                .save(path)
                .unwrap(),
            false => image::RgbImage::from_fn(16, 16, |x, y| image::Rgb(of(x, y)))
                .save(path)
                .unwrap(),
        }
    }
    let data = format!("./set-{out}");
    let args = [
        "train", TOY, "--data", &data, "--steps", "3", "-q", "--out", out,
    ];
    ok(TOY, dir, &args);
}

fn says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in\n{said}");
    }
}

fn sample(dir: &Path, run: &str, input: &str, rest: &[&str]) -> Output {
    let args = ["sample", run, "--input", input];
    crate::program::run(TOY, dir, &[&args[..], rest].concat())
}

fn made(dir: &Path, run: &str, input: &str, rest: &[&str]) -> String {
    let args = ["sample", run, "--input", input];
    ok(TOY, dir, &[&args[..], rest].concat())
}

fn open(path: &Path) -> DynamicImage {
    image::load_from_memory(&bytes(path)).unwrap()
}

/// One photograph of each kind, and what is no photograph.
fn album(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    let value = |x: u32, y: u32| (x * 9 + y * 5) as u8;
    let save = |name: &str, picture: DynamicImage| picture.save(dir.join(name)).unwrap();
    let colour =
        image::RgbImage::from_fn(21, 17, |x, y| image::Rgb([value(x, y), 90, value(y, x)]));
    save("colour.png", colour.clone().into());
    save("colour.jpg", colour.clone().into());
    save("colour.tif", colour.clone().into());
    save("colour.bmp", colour.clone().into());
    save("colour.webp", colour.into());
    save(
        "deep.png",
        image::ImageBuffer::from_fn(7, 5, |x, y| image::Luma([(x * 9000 + y) as u16])).into(),
    );
    save(
        "clear.png",
        image::RgbaImage::from_fn(20, 12, |x, y| {
            image::Rgba([200, value(x, y), 0, if x < 10 { 255 } else { 0 }])
        })
        .into(),
    );
    save(
        "one.png",
        image::GrayImage::from_pixel(1, 1, image::Luma([99])).into(),
    );
    fs::write(dir.join("text.png"), "no picture").unwrap();
}

#[test]
fn an_album_keeps_its_kinds_and_a_bad_file_costs_none_of_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    trained(dir, "r", false);
    album(&dir.join("in"));
    let output = sample(dir, "r", "in", &["--out", "large/"]);
    let line = error_line(&output, 1, &["sample"]);
    says(
        &line,
        &["1 of 9 pictures was not enlarged", "text.png", "no picture"],
    );
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    says(&said, &["8 pictures: large"]);
    let large = |name: &str| open(&dir.join("large").join(name));
    for ending in ["png", "jpg", "tif", "bmp", "webp"] {
        let picture = large(&format!("colour.{ending}.png"));
        assert_eq!(picture.color(), image::ColorType::Rgb8, "{ending}");
        assert_eq!(picture.dimensions(), (42, 34));
    }
    assert_eq!(large("deep.png").color(), image::ColorType::L16);
    assert_eq!(large("deep.png").dimensions(), (14, 10));
    assert_eq!(large("clear.png").color(), image::ColorType::Rgba8);
    let clear = large("clear.png").to_rgba8();
    assert_eq!(
        (clear.get_pixel(5, 5).0[3], clear.get_pixel(35, 5).0),
        (255, [0; 4])
    );
    assert_eq!(large("one.png").color(), image::ColorType::L8);
    assert_eq!(names(&dir.join("large")).len(), 8);

    // JPEG holds less, and that is said, in a line for all.
    fs::remove_file(dir.join("in/text.png")).unwrap();
    let said = made(dir, "r", "in", &["--format", "jpg", "--out", "flat/"]);
    says(
        &said,
        &[
            "note: 16 bits a channel became a JPEG's 8: deep.png",
            "note: what was transparent was put on white, as a JPEG is opaque: clear.png",
        ],
    );
    let flat = open(&dir.join("flat/clear.jpg")).to_rgb8();
    assert!(flat.get_pixel(35, 5).0.iter().all(|x| *x > 250));
    // A grey network takes colours one by one.
    trained(dir, "g", true);
    made(dir, "g", "in", &["--out", "grey/"]);
    let picture = open(&dir.join("grey/clear.png"));
    assert_eq!(picture.color(), image::ColorType::Rgba8);
    assert!(
        names(&dir.join("r/samples"))
            .iter()
            .all(|name| !name.starts_with(".saving"))
    );
}

#[test]
fn tiles_are_not_seen_and_names_hold_what_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    trained(dir, "r", false);
    album(&dir.join("in"));
    let input = "in/colour.png";
    made(dir, "r", input, &["--out", "whole.png"]);
    let whole = open(&dir.join("whole.png")).to_rgb8();
    for (i, rest) in [["--tile", "8"], ["--tile", "11"]].iter().enumerate() {
        let out = format!("tiled-{i}.png");
        made(dir, "r", input, &[&rest[..], &["--out", &out]].concat());
        let tiled = open(&dir.join(&out)).to_rgb8();
        let far = whole.iter().zip(tiled.iter()).map(|(a, b)| a.abs_diff(*b));
        assert!(far.max().unwrap() <= 1);
    }
    // Twice the same; with other tiles, another name.
    for _ in 0..2 {
        made(dir, "r", input, &[]);
    }
    made(dir, "r", input, &["--tile", "16", "--overlap", "0"]);
    made(dir, "r", input, &["--memory", "2"]);
    let samples = names(&dir.join("r/samples"));
    for rest in ["", "-tile16-overlap0", "-memory2"] {
        let name = format!("enlarged-00000003-seed1{rest}");
        assert!(samples.contains(&name), "{name}: {samples:?}");
    }
    // Bicubic beside it; each pixel larger.
    made(dir, "r", input, &["--strip", "--out", "strip.png"]);
    let strip = open(&dir.join("strip.png")).to_rgb8();
    assert_eq!(strip.dimensions(), (2 * 42 + 6, 34 + 4));
    for y in 0..34 {
        for x in 0..42 {
            let shown = strip.get_pixel(x + 42 + 4, y + 2);
            assert_eq!(shown, whole.get_pixel(x, y));
        }
    }
    assert!((0..38).all(|y| strip.get_pixel(44, y).0 == [0; 3]));
    let input = open(&dir.join(input)).to_rgb8();
    let near = |a: &[u8; 3], b: &[u8; 3]| a.iter().zip(b).all(|(a, b)| a.abs_diff(*b) < 20);
    assert!(near(
        &strip.get_pixel(2 + 9, 2 + 9).0,
        &input.get_pixel(4, 4).0
    ));
    made(
        dir,
        "r",
        "in/clear.png",
        &["--scale", "3", "--strip", "--out", "pixels.png"],
    );
    let pixels = open(&dir.join("pixels.png"));
    assert_eq!(pixels.dimensions(), (2 * 120 + 6, 72 + 4));
    assert_eq!(pixels.color(), image::ColorType::Rgba8);
    let refused = |rest: &[&str], words: &[&str]| {
        let output = sample(dir, "r", "in", rest);
        says(&error_line(&output, 1, &["sample"]), words);
    };
    refused(&["--out", "in"], &["is an input", "written over"]);
    // What is there stays, and is found out after the first rows.
    fs::write(dir.join("there.png"), "something").unwrap();
    let output = sample(dir, "r", "in/colour.png", &["--out", "there.png"]);
    says(
        &error_line(&output, 1, &["sample"]),
        &["there.png", "--force"],
    );
    assert_eq!(bytes(&dir.join("there.png")), b"something");
    made(
        dir,
        "r",
        "in/colour.png",
        &["--out", "there.png", "--force"],
    );
    assert_eq!(bytes(&dir.join("there.png")), bytes(&dir.join("whole.png")));
}

#[test]
fn a_full_disk_and_a_stop_leave_nothing_half() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    trained(dir, "r", false);
    let noise = image::RgbImage::from_fn(700, 500, |x, y| {
        let mixed = (x * 7919 + y * 104_729).wrapping_mul(2_654_435_761);
        image::Rgb([(mixed >> 8) as u8, (mixed >> 16) as u8, (mixed >> 24) as u8])
    });
    noise.save(dir.join("noise.png")).unwrap();
    fs::create_dir(dir.join("out")).unwrap();
    let args = [
        "sample",
        "r",
        "--input",
        "noise.png",
        "--out",
        "out/",
        "--tile",
        "64",
    ];
    // No file may pass 64 KiB.
    let program = command(TOY, dir, &args);
    let words: Vec<_> = std::iter::once(program.get_program())
        .chain(program.get_args())
        .map(|word| word.to_str().unwrap().to_string())
        .collect();
    let mut limited = std::process::Command::new("bash");
    limited
        .args(["-c", "ulimit -f 64; exec \"$@\"", "-"])
        .args(words);
    for (name, value) in program.get_envs() {
        limited.env(name, value.unwrap());
    }
    let output = limited.current_dir(dir).output().unwrap();
    let line = error_line(&output, 1, &args);
    says(&line, &["out/noise.png", "cannot be written"]);
    assert!(names(&dir.join("out")).is_empty());

    // What takes long is stopped as a run is.
    let slow = [&args[..6], &["--tile", "8", "--overlap", "64"]].concat();
    let mut child = command(TOY, dir, &slow)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = || {
        names(&dir.join("out"))
            .iter()
            .any(|name| name.starts_with(".saving"))
    };
    for _ in 0..600 {
        if begun() || child.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let kill = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    let output = child.wait_with_output().unwrap();
    says(&error_line(&output, 1, &slow), &["stopped", "is not there"]);
    assert!(names(&dir.join("out")).is_empty());
}

#[test]
fn what_a_file_claims_is_not_believed_and_conversions_are_said() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    trained(dir, "r", false);
    fs::create_dir(dir.join("in")).unwrap();
    // A PNG whose header says 50,000 x 50,000.
    let mut png = Vec::new();
    let one = image::RgbImage::from_pixel(1, 1, image::Rgb([1, 2, 3]));
    let mut to = std::io::Cursor::new(&mut png);
    DynamicImage::from(one)
        .write_to(&mut to, ImageFormat::Png)
        .unwrap();
    let mut header = [50_000u32.to_be_bytes(), 50_000u32.to_be_bytes()].concat();
    header.extend([8, 2, 0, 0, 0]);
    png[16..29].copy_from_slice(&header);
    let mut sum = u32::MAX;
    for byte in &png[12..29] {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 {
                sum >> 1 ^ 0xedb8_8320
            } else {
                sum >> 1
            };
        }
    }
    png[29..33].copy_from_slice(&(!sum).to_be_bytes());
    fs::write(dir.join("in/huge.png"), png).unwrap();
    let output = run(
        TOY,
        dir,
        &["sample", "r", "--input", "in/huge.png", "--out", "x.png"],
    );
    says(
        &error_line(&output, 1, &["sample"]),
        &["huge.png", "takes 7153 MiB decoded, more than the 640"],
    );
    assert!(!dir.join("x.png").exists());
    // A film, too wide for a JPEG where it is enlarged.
    let frame = || {
        image::Frame::new(image::RgbaImage::from_pixel(
            6,
            4,
            image::Rgba([9, 200, 9, 255]),
        ))
    };
    let mut film = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut film);
    encoder.encode_frames([frame(), frame()]).unwrap();
    drop(encoder);
    fs::write(dir.join("in/film.gif"), film).unwrap();
    let wide = image::GrayImage::from_pixel(33_000, 1, image::Luma([7]));
    wide.save(dir.join("in/wide.png")).unwrap();
    let output = sample(dir, "r", "in", &["--format", "jpg", "--out", "out/"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    says(
        &said,
        &[
            "1 picture: out",
            "note: the first of several pictures in the file was read: film.gif",
        ],
    );
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    says(
        &said,
        &[
            "wide.png: it becomes 66000 pixels wide",
            "write a PNG",
            "2 of 3 pictures were not enlarged",
        ],
    );
    assert_eq!(open(&dir.join("out/film.jpg")).dimensions(), (12, 8));
}
