//! Papers that learn from two sides, on people's own pictures: what trains, is shown, translated and judged.

use crate::program::{bytes, fails, ok};
use std::fs;
use std::path::Path;

/// A colour picture of this width and height whose corner is brighter than the rest.
fn save(dir: &Path, name: &str, (w, h): (u32, u32), tint: u8) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let picture = image::RgbImage::from_fn(w, h, |x, y| {
        let bright = if x < w / 3 && y < h / 3 { 120 } else { 0 };
        image::Rgb([tint + bright, bright, 60])
    });
    picture.save(path).unwrap();
}

fn size(path: &Path) -> (u32, u32) {
    let picture = image::load_from_memory(&bytes(path)).unwrap();
    (picture.width(), picture.height())
}

fn says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in\n{said}");
    }
}

/// Names with spaces and letters of other alphabets, several sizes, a turned and a transparent picture.
fn pairs(dir: &Path) {
    for (i, name) in ["a b", "ß 木", "c"].iter().enumerate() {
        let side = 64 + 8 * i as u32;
        save(dir, &format!("pairs/trainA/{name}.png"), (side, side), 10);
        save(dir, &format!("pairs/trainB/{name}.jpg"), (side, side), 90);
    }
    let clear = image::RgbaImage::from_pixel(64, 64, image::Rgba([9, 9, 9, 0]));
    clear.save(dir.join("pairs/trainA/d.png")).unwrap();
    save(dir, "pairs/trainB/d.png", (64, 64), 90);
    for side in ["testA", "testB"] {
        save(dir, &format!("pairs/{side}/e.png"), (64, 64), 50);
        save(dir, &format!("pairs/{side}/f.png"), (64, 64), 70);
    }
}

const STEPS: [&str; 7] = [
    "--preset",
    "smoke",
    "--steps",
    "2",
    "--sample-every",
    "1",
    "--out",
];

#[test]
fn pairs_of_a_folder_train_are_shown_translated_and_judged() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pairs(dir);
    let train = [
        &["train", "pix2pix", "--data", "./pairs"][..],
        &STEPS,
        &["r"],
    ]
    .concat();
    let said = ok("", dir, &train);
    says(
        &said,
        &[
            "4 pairs of 3x64x64",
            "1 of 8 pictures have transparency and are drawn on white",
            "6 of 8 pictures are brought to a shorter side of 72",
            "held-out.png",
            "sample r --input PATH",
        ],
    );
    // Input, output and truth of both held-out pairs; all of them at the end.
    assert_eq!(
        size(&dir.join("r/samples/step-00000002-strips.png")),
        (3 * 66 + 2, 2 * 66 + 2)
    );
    assert_eq!(size(&dir.join("r/held-out.png")), (6 * 66 + 2, 66 + 2));
    assert!(dir.join("r/progress.gif").is_file());

    // One picture, in its own size, and the same again.
    save(dir, "in/ein Bild.jpg", (75, 50), 10);
    save(dir, "in/tief/木.png", (20, 130), 10);
    let sample = |rest: &[&str]| ok("", dir, &[&["sample", "r", "--input"], rest].concat());
    for out in ["one.png", "two.png"] {
        sample(&["in/ein Bild.jpg", "--out", out]);
    }
    assert_eq!(size(&dir.join("one.png")), (75, 50));
    assert_eq!(bytes(&dir.join("one.png")), bytes(&dir.join("two.png")));
    sample(&["in/ein Bild.jpg", "--out", "seed.png", "--seed", "2"]);
    assert_ne!(bytes(&dir.join("one.png")), bytes(&dir.join("seed.png")));
    // A folder: names are kept; each picture is what it is alone.
    sample(&["in", "--out", "out"]);
    assert_eq!(size(&dir.join("out/tief/木.png")), (20, 130));
    assert_eq!(
        bytes(&dir.join("out/ein Bild.png")),
        bytes(&dir.join("one.png"))
    );
    sample(&["in"]);
    assert!(
        dir.join("r/samples/translated-00000002-seed1/tief/木.png")
            .is_file()
    );
    sample(&["in/ein Bild.jpg", "--strip", "--out", "strip.png"]);
    assert_eq!(size(&dir.join("strip.png")), (2 * 77 + 2, 54));
    // From the weights alone.
    let weights = ["sample", "pix2pix", "--weights", "r/weights/g.safetensors"];
    let rest = ["--input", "in/ein Bild.jpg", "--out", "w.png"];
    ok("", dir, &[&weights[..], &rest].concat());
    assert_eq!(bytes(&dir.join("w.png")), bytes(&dir.join("one.png")));

    let said = ok("", dir, &["eval", "r", "--at", "start,last"]);
    says(
        &said,
        &[
            "l1", "of input", "of mean", "psnr", "gradient", "truth", "start",
        ],
    );
    says(&said, &["2 held-out pictures of 64x64 colour"]);
}

#[test]
fn two_sides_train_both_ways() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for i in 0..5 {
        save(dir, &format!("two/trainA/{i}.png"), (24, 20), 10);
    }
    for i in 0..3 {
        save(dir, &format!("two/trainB/{i} b.jpg"), (20, 20), 90);
    }
    let train = [
        &["train", "cyclegan", "--data", "./two"][..],
        &STEPS,
        &["r"],
    ]
    .concat();
    let said = ok("", dir, &train);
    let words = [
        "5 and 3 pictures of 3x20x24 (the median; the smallest has 20x20)",
        "8 of 8 pictures are brought to a shorter side of 18, from which squares of 16 are cut at random",
        "grids show training pictures",
    ];
    says(&said, &words);
    let strips = size(&dir.join("r/samples/step-00000002-strips.png"));
    assert_eq!(strips, (6 * 18 + 2, 3 * 18 + 2));
    // Nothing is held out, and nothing says so; neither is anything missing.
    assert!(!said.contains("held out"), "{said}");
    for name in ["held-out-a2b.png", "held-out-b2a.png"] {
        assert!(!dir.join("r").join(name).exists(), "{name}");
    }
    let resume = ["train", "cyclegan", "--out", "r", "--resume"];
    says(&fails(dir, &resume, 2), &["all 2 iterations are done"]);

    save(dir, "in.png", (33, 21), 10);
    let sample = |out: &str, rest: &[&str]| {
        let args = ["sample", "r", "--input", "in.png", "--out", out];
        ok("", dir, &[&args[..], rest].concat());
        bytes(&dir.join(out))
    };
    let there = sample("there.png", &[]);
    assert_eq!(size(&dir.join("there.png")), (33, 21));
    assert_eq!(sample("a.png", &["--direction", "a2b"]), there);
    assert_ne!(sample("b.png", &["--direction", "b2a"]), there);
    sample("strip.png", &["--strip"]);
    assert_eq!(size(&dir.join("strip.png")), (3 * 35 + 2, 25));

    let said = fails(dir, &["eval", "r"], 1);
    says(&said, &["no pictures in testA/"]);
    let larger = ["--set", "size=24", "--dry-run"];
    let larger = [&["train", "cyclegan", "--data", "./two"][..], &larger].concat();
    says(
        &fails(dir, &larger, 1),
        &[
            "8 pictures whose shorter side is below the 24 pixels",
            "--enlarge",
        ],
    );
    let said = ok("", dir, &[&larger[..], &["--enlarge"]].concat());
    says(
        &said,
        &["8 of 8 pictures are smaller than 24 pixels and are enlarged"],
    );
    let train = [&["train", "cyclegan"][..], &STEPS, &["t"]].concat();
    ok("", dir, &train);
    let said = ok("", dir, &["eval", "t", "-n", "30", "--at", "last"]);
    says(
        &said,
        &[
            "a2b l1",
            "a2b cycle",
            "b2a cycle",
            "a2b swd 16x16",
            "b2a swd",
        ],
    );
}

#[test]
fn what_does_not_fit_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    pairs(dir);
    let train = |paper: &str, data: &str, code: i32, words: &[&str]| {
        let args = [
            &["train", paper, "-q", "--data", data][..],
            &STEPS,
            &["new"],
        ]
        .concat();
        says(&fails(dir, &args, code), words);
        assert!(!dir.join("new").exists());
    };
    fs::remove_file(dir.join("pairs/trainB/ß 木.jpg")).unwrap();
    train(
        "pix2pix",
        "./pairs",
        1,
        &["1 picture without a partner: trainA/ß 木.png"],
    );
    save(dir, "pairs/trainB/ß 木.png", (64, 80), 1);
    train(
        "pix2pix",
        "./pairs",
        1,
        &["trainB/ß 木.png", "80x64", "one size"],
    );
    save(dir, "joined/1.png", (128, 80), 1);
    train(
        "pix2pix",
        "./joined",
        1,
        &["joined/1.png", "128 wide and 80 high", "halves"],
    );
    save(dir, "one/trainA/1.png", (64, 64), 1);
    train("cyclegan", "./one", 1, &["no pictures in trainB/"]);
    train("pix2pix", "mnist", 2, &["learns from pairs of pictures"]);
    train("pix2pix", "textured", 2, &["learns from pairs of pictures"]);
    train("dcgan", "outline", 2, &["learns from one set of pictures"]);
    train("dcgan", "./one", 1, &["trainA", "expected one set"]);

    ok(
        "",
        dir,
        &[&["train", "pix2pix"][..], &STEPS, &["p"]].concat(),
    );
    ok(
        "",
        dir,
        &[&["train", "vanilla"][..], &STEPS, &["v"]].concat(),
    );
    let sample = |args: &[&str], code: i32, words: &[&str]| {
        says(&fails(dir, &[&["sample"], args].concat(), code), words);
    };
    let input = "one/trainA/1.png";
    sample(&["p"], 2, &["takes pictures", "--input"]);
    sample(&["v", "--input", input], 2, &["takes noise", "--input"]);
    sample(&["v", "--direction", "a2b"], 2, &["--direction"]);
    sample(&["p", "--input", input, "-n", "3"], 2, &["-n"]);
    sample(
        &["p", "--input", input, "--direction", "b2a"],
        2,
        &["one way only"],
    );
    sample(
        &["p", "--input", "absent.png"],
        1,
        &["absent.png", "check the name"],
    );
    sample(
        &["p", "--input", "pairs", "--out", "x.png"],
        2,
        &["need a folder"],
    );
    sample(
        &["p", "--input", input, "--out", input],
        1,
        &["written over"],
    );
    fs::write(dir.join("one/trainA/2.jpg"), "no picture").unwrap();
    sample(
        &["p", "--input", "one", "--out", "o"],
        1,
        &["2.jpg", "is no picture that can be read"],
    );
    let said = ok(
        "",
        dir,
        &["data", "inspect", "outline", "--out", "sheet.png"],
    );
    says(
        &said,
        &[
            "train  pairs",
            "A    1216 pictures, 64 x 64",
            "test   pairs",
        ],
    );
    assert_eq!(size(&dir.join("sheet.png")), (10 * 66 + 2, 10 * 66 + 2));
}
