//! Generators whose pictures have another size than they were given, or than they had before.

use crate::program::{bytes, ok};
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
    assert_eq!(names("start"), ["swd 16x16"]);
    assert_eq!(names("4"), ["swd 16x16"]);
    assert_eq!(names("8"), ["swd 32x32", "swd 16x16"]);
    assert!(
        row("4")
            .iter()
            .all(|(_, share)| share.is_some_and(|x| x > 0.))
    );
}

/// Strips, held-out pictures, samples and values of a network that doubles its pictures.
#[test]
fn a_network_that_enlarges_is_shown_and_judged_beside_the_truth() {
    let (paper, dir) = ("toy-upscale", tempfile::tempdir().unwrap());
    let dir = dir.path();
    train(paper, dir);
    // Given (shown twice as large), made and true, eight of them; at the end 64, four strips in a row.
    let strip = (3 * (8 + 2) + 2, 8 * (8 + 2) + 2);
    assert_eq!(size(&dir.join("r/samples/step-00000008-strips.png")), strip);
    assert_eq!(size(&dir.join("r/samples/step-00000008-real.png")).1, 4 + 4);
    assert_eq!(
        size(&dir.join("r/held-out.png")),
        (12 * 10 + 2, 16 * 10 + 2)
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
    for word in ["l1", "of input", "psnr", "truth", "50 held-out pictures"] {
        assert!(said.contains(word), "{word:?} is missing in\n{said}");
    }
}
