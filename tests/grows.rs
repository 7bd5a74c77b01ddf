//! Generators whose pictures have another size than they were given, or than they had before.

use crate::program::{bytes, error_line, ok, run};
use image::AnimationDecoder;
use image::codecs::gif::GifDecoder;
use std::io::Cursor;
use std::path::Path;

fn size(path: &Path) -> (u32, u32) {
    let picture = image::load_from_memory(&bytes(path)).unwrap();
    (picture.width(), picture.height())
}

fn train(paper: &str, dir: &Path) -> String {
    let args = [
        "train", paper, "--preset", "smoke", "--steps", "8", "--out", "r",
    ];
    let every = ["--sample-every", "2", "--save-every", "4", "--keep", "9"];
    ok(paper, dir, &[&args[..], &every].concat())
}

/// Grids, film, samples and values of a network that grows from 16 to 32 pixels after five iterations.
#[test]
fn a_network_that_grows_is_shown_and_judged_at_each_size() {
    let (paper, dir) = ("toy-grow", tempfile::tempdir().unwrap());
    let dir = dir.path();
    train(paper, dir);
    let grid = |t: u32| size(&dir.join(format!("r/samples/step-{t:08}-fake.png")));
    let cells = |side: u32| (8 * (side + 2) + 2, 8 * (side + 2) + 2);
    assert_eq!([0, 4, 6, 8].map(grid), [16, 16, 32, 32].map(cells));
    let film = bytes(&dir.join("r/progress.gif"));
    let frames = GifDecoder::new(Cursor::new(film)).unwrap().into_frames();
    let frames = frames.collect_frames().unwrap();
    assert_eq!(frames.len(), 5);
    assert!(
        frames
            .iter()
            .all(|frame| frame.buffer().dimensions() == cells(32))
    );
    ok(paper, dir, &["sample", "r", "-n", "1", "--out", "one.png"]);
    assert_eq!(size(&dir.join("one.png")), (36, 36));
    let said = ok(paper, dir, &["eval", "r", "-n", "40", "--json"]);
    // A child of the test program says more than the program itself.
    let line = said.lines().find(|line| line.starts_with('{')).unwrap();
    let json: serde_json::Value = serde_json::from_str(line).unwrap();
    let row = |name: &str| {
        let rows = json["rows"].as_array().unwrap();
        let row = rows.iter().find(|row| row["of"] == name).unwrap();
        let measures = row["measures"].as_array().unwrap();
        let all = measures
            .iter()
            .map(|m| (m["name"].as_str().unwrap(), m["of_baseline"].as_f64()));
        all.collect::<Vec<_>>()
    };
    let names = |name: &str| row(name).iter().map(|(name, _)| *name).collect::<Vec<_>>();
    assert_eq!(
        names("start"),
        ["swd 16x16", "ms-ssim", "nearest", "copied"]
    );
    assert_eq!(names("4"), ["swd 16x16", "ms-ssim", "nearest", "copied"]);
    assert_eq!(
        names("8"),
        [
            "swd 32x32",
            "swd 16x16",
            "ms-ssim",
            "lenet-fid",
            "lenet-kid",
            "lenet-precision",
            "lenet-recall",
            "nearest",
            "copied"
        ]
    );
    assert!(
        row("4")
            .iter()
            .filter(|(name, _)| name.starts_with("swd"))
            .all(|(_, share)| share.is_some_and(|x| x > 0.))
    );
}

/// Strips, held-out pictures, samples and values of a network that doubles its pictures.
#[test]
fn a_network_that_enlarges_is_shown_and_judged_beside_the_truth() {
    let (paper, dir) = ("toy-upscale", tempfile::tempdir().unwrap());
    let dir = dir.path();
    train(paper, dir);
    // Given (shown twice as large), bicubic, made and true, eight of them and whole; at the end 64, four strips in a row.
    let strip = (4 * (28 + 2) + 2, 8 * (28 + 2) + 2);
    assert_eq!(size(&dir.join("r/samples/step-00000008-strips.png")), strip);
    assert_eq!(
        size(&dir.join("r/samples/step-00000008-real.png")).1,
        14 + 4
    );
    assert_eq!(
        size(&dir.join("r/held-out.png")),
        (16 * 30 + 2, 16 * 30 + 2)
    );
    let input = image::RgbImage::from_fn(21, 1, |x, _| image::Rgb([x as u8 * 9; 3]));
    input.save(dir.join("in.png")).unwrap();
    ok(
        paper,
        dir,
        &["sample", "r", "--input", "in.png", "--out", "out.png"],
    );
    assert_eq!(size(&dir.join("out.png")), (42, 2));
    ok(
        paper,
        dir,
        &[
            "sample",
            "r",
            "--input",
            "in.png",
            "--strip",
            "--out",
            "strip.png",
        ],
    );
    assert_eq!(size(&dir.join("strip.png")), (2 * 44 + 2, 2 + 4));
    let said = ok(paper, dir, &["eval", "r", "--at", "start,last", "-n", "50"]);
    for word in [
        "psnr y",
        "ssim rgb",
        "bicubic",
        "50 held-out pictures",
        "28x28 grey",
    ] {
        assert!(said.contains(word), "{word:?} is missing in\n{said}");
    }
}

/// ProGAN's first pictures are smaller than any measure takes.
#[test]
fn pictures_that_are_too_small_to_measure_are_said() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    train("progan", dir);
    let said = ok(
        "progan",
        dir,
        &["eval", "r", "-n", "20", "--at", "start,4,last"],
    );
    for words in [
        "start (4x4: too small",
        "4 (8x8: too small",
        "swd 16x16",
        "ms-ssim",
    ] {
        assert!(said.contains(words), "{words:?} is missing in\n{said}");
    }
    // A grid at the end of each part of the run, too.
    let grids: Vec<String> = std::fs::read_dir(dir.join("r/samples"))
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with("-fake.png"))
        .collect();
    for t in [0, 1, 2, 3, 4, 6, 8] {
        let name = format!("step-{t:08}-fake.png");
        assert!(grids.contains(&name), "{name} is missing among {grids:?}");
    }
}

#[test]
fn growth_that_cannot_be_is_refused_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let refused = |set: &[&str], words: &str| {
        let args = [
            "train", "progan", "--preset", "smoke", "--out", "r", "--steps", "8", "--data", "few",
        ];
        let set: Vec<&str> = set.iter().flat_map(|word| ["--set", word]).collect();
        let output = run("", dir, &[&args[..], &set].concat());
        let code = output.status.code().filter(|code| [1, 2].contains(code));
        let line = error_line(&output, code.unwrap(), &set);
        assert!(line.contains(words), "{line}");
        assert!(!dir.join("r").exists());
    };
    std::fs::create_dir(dir.join("few")).unwrap();
    for i in 0..9 {
        let picture = image::RgbImage::from_fn(24, 20, |x, y| image::Rgb([x as u8, y as u8, i]));
        picture.save(dir.join(format!("few/{i}.png"))).unwrap();
    }
    refused(&["size=48"], "a power of two from 4 to 1024");
    refused(&["size=32"], "--enlarge");
    refused(&["stable=64", "fading=64"], "faded in after 32 only");
    refused(&["batch=[8, 8, 0]"], "batch is 0 at 16x16");
    refused(&["batch=[8, 8]"], "batch has 2 numbers, expected 3");
    refused(&["batch=many"], "expected a number, or a list of numbers");
}
