//! What single papers promise beyond the sweeps: classes, sizes, films, weights from elsewhere.

use crate::program::{bytes, fails, ok};
use image::AnimationDecoder;
use image::codecs::gif::GifDecoder;
use std::fs;
use std::io::Cursor;
use std::path::Path;

fn smoke(dir: &Path, paper: &str, rest: &[&str]) {
    let args = [
        "train", paper, "--preset", "smoke", "--steps", "4", "--out", "r",
    ];
    ok("", dir, &[&args[..], rest].concat());
}

fn size(png: &[u8]) -> (u32, u32) {
    let picture = image::load_from_memory(png).unwrap();
    (picture.width(), picture.height())
}

#[test]
fn a_class_fills_the_grid_and_without_one_each_has_a_row() {
    let dir = tempfile::tempdir().unwrap();
    smoke(dir.path(), "cgan", &["--set", "design=split"]);
    let sample = |rest: &[&str]| {
        let args = ["sample", "r", "--force", "--out", "s.png"];
        ok("", dir.path(), &[&args[..], rest].concat());
        bytes(&dir.path().join("s.png"))
    };
    let cell = |n: u32| n * 30 + 2;
    assert_eq!(size(&sample(&[])), (cell(10), cell(10)));
    assert_eq!(size(&sample(&["-n", "20"])), (cell(2), cell(10)));
    let (three, seven) = (sample(&["--class", "3"]), sample(&["--class", "7"]));
    assert_eq!(size(&three), (cell(8), cell(8)));
    assert_ne!(three, seven);
    // Without the runner's checkpoint, from the weights alone.
    let args = ["sample", "cgan", "--weights", "r/weights/g.safetensors"];
    let rest = ["--class", "3", "--out", "w.png"];
    ok("", dir.path(), &[&args[..], &rest].concat());
    assert_eq!(bytes(&dir.path().join("w.png")), three);

    let refused = |args: &[&str]| fails(dir.path(), &[&["sample"], args].concat(), 2);
    let said = refused(&["r", "--class", "10"]);
    assert!(
        said.contains("--class 10: this generator has the classes 0 to 9"),
        "{said}"
    );
    fs::remove_dir_all(dir.path().join("r")).unwrap();
    smoke(dir.path(), "dcgan", &[]);
    let said = refused(&["r", "--class", "1"]);
    assert!(said.contains("this generator knows no classes"), "{said}");
}

#[test]
fn a_film_shows_the_grids_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    smoke(dir.path(), "wgan", &["--sample-every", "1"]);
    let frames = |dir: &Path| {
        let film = bytes(&dir.join("r/progress.gif"));
        let frames = GifDecoder::new(Cursor::new(film)).unwrap().into_frames();
        frames.collect_frames().unwrap()
    };
    let seen = frames(dir.path());
    assert_eq!(seen.len(), 5); // before the first iteration and after each
    let last = bytes(&dir.path().join("r/samples/step-00000004-fake.png"));
    let last = image::load_from_memory(&last).unwrap().to_rgba8();
    let far = seen[4].buffer().iter().zip(last.iter());
    assert!(far.map(|(a, b)| a.abs_diff(*b)).all(|gap| gap < 16));
    let args = ["train", "wgan", "--out", "r", "--resume", "--steps", "6"];
    ok("", dir.path(), &args);
    assert_eq!(frames(dir.path()).len(), 7);
}

#[test]
fn data_and_settings_that_do_not_fit_a_paper() {
    let dir = tempfile::tempdir().unwrap();
    let save = |path: &str, width: u32, height: u32| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::GrayImage::new(width, height).save(path).unwrap();
    };
    for i in 0..3 {
        save(&format!("plain/{i}.png"), 16, 16);
    }
    let refused = |paper: &str, rest: &[&str]| {
        let args = ["train", paper, "--preset", "smoke", "--out", "new"];
        let said = fails(dir.path(), &[&args[..], rest].concat(), 2);
        assert!(!dir.path().join("new").exists(), "{said}");
        said
    };
    for (paper, rest, want) in [
        (
            "cgan",
            &["--data", "plain"][..],
            "cgan learns from pictures with labels, which this data set does not have",
        ),
        (
            "dcgan",
            &["--set", "size=48"],
            "size is 48, expected a power of two from 16 to 1024",
        ),
        (
            "wgan",
            &["--set", "channels=3"],
            "channels is 3, but the data's pictures have 1",
        ),
        (
            "cgan",
            &["--set", "classes=7"],
            "classes is 7, but the data has 10",
        ),
        (
            "cgan",
            &["--set", "design=both"],
            "expected `joint` or `split`",
        ),
        (
            "wgan",
            &["--set", "clip=0"],
            "clip is 0, expected a number above 0",
        ),
    ] {
        let said = refused(paper, rest);
        assert!(said.contains(want), "{want:?} is missing in {said}");
    }
}
