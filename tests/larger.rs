//! Papers that enlarge: photographs with and without low partners, what a run shows of them, and what `eval` states.

use crate::program::{bytes, checkpoint, error_line, ok, run};
use gan_core::data::bicubic::resized;
use gan_core::image::Picture;
use gan_eval::similarity::{high_frequency, likeness};
use image::{GrayImage, Rgb, RgbImage};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Makes pictures twice as large, from crops of 8.
const TOY: &str = "toy-upscale";

/// A coloured picture of this width and height with edges of all directions.
fn photo((w, h): (u32, u32), seed: u32) -> RgbImage {
    RgbImage::from_fn(w, h, |x, y| {
        let wave = |a: u32, b: u32| {
            let at = f64::from(a * x + b * y + 40 * seed) / 9.;
            (127.5 + 100. * at.sin() + f64::from((x / 5 + y / 7 + seed) % 2) * 25.) as u8
        };
        Rgb([wave(1, 3), wave(2, 1), wave(3, seed)])
    })
}

fn save(picture: &RgbImage, path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    picture.save(path).unwrap();
}

/// One plane by MATLAB's bicubic filter, clipped and rounded.
fn scaled(picture: &RgbImage, scale: f64) -> RgbImage {
    let (w, h) = picture.dimensions();
    let planes = [0, 1, 2].map(|c| {
        let plane: Vec<f64> = picture.pixels().map(|p| f64::from(p.0[c])).collect();
        resized(&plane, (h as usize, w as usize), scale)
    });
    let (height, width) = planes[0].1;
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let at = y as usize * width + x as usize;
        Rgb([0, 1, 2].map(|c: usize| (planes[c].0[at] + 0.5).floor().clamp(0., 255.) as u8))
    })
}

fn picture(of: &RgbImage) -> Picture {
    Picture {
        width: of.width() as usize,
        height: of.height() as usize,
        channels: 3,
        bytes: of.as_raw().clone(),
    }
}

fn train(dir: &Path, data: &str, out: &str, more: &[&str]) -> String {
    let args = [
        "train",
        TOY,
        "--data",
        data,
        "--out",
        out,
        "--steps",
        "4",
        "--save-every",
        "2",
    ];
    ok(
        TOY,
        dir,
        &[&args[..], &["--sample-every", "4"], more].concat(),
    )
}

fn judged(dir: &Path, out: &str) -> Value {
    let said = ok(TOY, dir, &["eval", out, "--json"]);
    // The child is a test program, which says so first.
    serde_json::from_str(&said[said.find('{').unwrap()..]).unwrap()
}

fn value(json: &Value, row: &str, name: &str) -> (f64, String) {
    let rows = json["rows"].as_array().unwrap();
    let row = rows.iter().find(|of| of["of"] == row).unwrap();
    let measures = row["measures"].as_array().unwrap();
    let found = measures.iter().find(|m| m["name"] == name).unwrap();
    let protocol = found["protocol"].as_str().unwrap();
    (found["value"].as_f64().unwrap(), protocol.to_string())
}

/// What bicubic is worth for these pairs of low pictures and truths: the means of the measures.
fn bicubic(pairs: &[(RgbImage, RgbImage)]) -> Vec<(&'static str, f64)> {
    let of = pairs.iter().map(|(low, truth)| {
        let (made, truth) = (picture(&scaled(low, 2.)), picture(truth));
        let alike = likeness(&made, &truth, 2).unwrap();
        let fine = [&made, &truth].map(|of| high_frequency(of, 2).unwrap());
        (alike, fine)
    });
    let of: Vec<_> = of.collect();
    let n = of.len() as f64;
    let fine = |i: usize| of.iter().map(|(_, fine)| fine[i]).sum::<f64>();
    vec![
        ("psnr y", of.iter().map(|(a, _)| a.psnr_y).sum::<f64>() / n),
        ("ssim y", of.iter().map(|(a, _)| a.ssim_y).sum::<f64>() / n),
        (
            "psnr rgb",
            of.iter().map(|(a, _)| a.psnr_rgb).sum::<f64>() / n,
        ),
        (
            "ssim rgb",
            of.iter().map(|(a, _)| a.ssim_rgb).sum::<f64>() / n,
        ),
        ("high frequency", fine(0) / fine(1)),
    ]
}

/// Photographs of two sizes that are no multiples, with low pictures that no filter makes of them and without.
#[test]
fn photographs_are_judged_whole_beside_bicubic_and_with_their_own_low_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for i in 0..5 {
        let high = photo((20 + 2 * i, 24), i);
        save(&high, &dir.join(format!("made/train/{i}.png")));
        save(&high, &dir.join(format!("given/train/high/{i}.png")));
        let low = scaled(&image::imageops::flip_horizontal(&high), 0.5);
        save(&low, &dir.join(format!("given/train/low/{i}x2.png")));
    }
    let (mut made, mut given) = (Vec::new(), Vec::new());
    for (i, (w, h)) in [(33, 26), (40, 31), (40, 31)].into_iter().enumerate() {
        let high = photo((w, h), 7 + i as u32);
        save(&high, &dir.join(format!("made/test/{i}.png")));
        let high = image::imageops::crop_imm(&high, 0, 0, w / 2 * 2, h / 2 * 2).to_image();
        save(&high, &dir.join(format!("given/test/high/{i}.png")));
        made.push((scaled(&high, 0.5), high.clone()));
        let mut low = scaled(&high, 0.5);
        low.pixels_mut().for_each(|p| p.0 = p.0.map(|x| x / 2));
        save(&low, &dir.join(format!("given/test/low/{i}.png")));
        given.push((low, high));
    }
    for (data, pairs, low) in [
        (
            "made",
            &made,
            "made of them by MATLAB's antialiased bicubic filter, 2 times smaller",
        ),
        ("given", &given, "low pictures as given"),
    ] {
        let said = train(dir, data, &format!("r-{data}"), &[]);
        assert_eq!(
            said.contains("train/low/, 2 times smaller"),
            data == "given",
            "{said}"
        );
        let json = judged(dir, &format!("r-{data}"));
        for (name, want) in bicubic(pairs) {
            let (got, protocol) = value(&json, "bicubic", name);
            assert!(
                (got - want).abs() < 1e-9 * want.abs(),
                "{data} {name}: {got}, not {want}"
            );
            for words in [
                "3 held-out pictures",
                "26x32 to 30x40 colour",
                "2 pixels taken off",
                low,
            ] {
                assert!(protocol.contains(words), "{words:?} is not in {protocol}");
            }
        }
        for row in ["start", "2", "4"] {
            let (better, protocol) = value(&json, row, "better");
            assert!(
                (0. ..=3.).contains(&better) && better.fract() == 0.,
                "{better}"
            );
            assert!(protocol.contains("than what bicubic makes"), "{protocol}");
            let (psnr, _) = value(&json, row, "psnr y");
            assert!((3. ..60.).contains(&psnr), "{psnr}");
        }
        let said = ok(
            TOY,
            dir,
            &["eval", &format!("r-{data}"), "--at", "last", "-n", "2"],
        );
        for words in [
            "bicubic",
            "psnr rgb",
            "high frequency",
            "2 held-out pictures",
            "better",
        ] {
            assert!(said.contains(words), "{words:?} is not in {said}");
        }
    }
    // What is learned from is what lies there.
    let [a, b] =
        ["made", "given"].map(|data| bytes(&checkpoint(&dir.join(format!("r-{data}")), 4)));
    assert_ne!(a, b);
    // The value of the last network is that of the pictures which `sample` writes.
    let json = judged(dir, "r-given");
    let psnr = given.iter().enumerate().map(|(i, (low, truth))| {
        save(low, &dir.join(format!("in/{i}.png")));
        let (from, to) = (format!("in/{i}.png"), format!("out-{i}.png"));
        ok(
            TOY,
            dir,
            &["sample", "r-given", "--input", &from, "--out", &to],
        );
        let made = image::open(dir.join(to)).unwrap().into_rgb8();
        likeness(&picture(&made), &picture(truth), 2)
            .unwrap()
            .psnr_y
    });
    let psnr = psnr.sum::<f64>() / 3.;
    let (stated, _) = value(&json, "4", "psnr y");
    assert!((stated - psnr).abs() < 1e-9 * psnr, "{stated}, not {psnr}");
    // A run goes on with the low pictures that it began with only.
    let resume = ["train", TOY, "--out", "r-given", "--resume", "--steps"];
    ok(TOY, dir, &[&resume[..], &["6"]].concat());
    save(&photo((10, 12), 3), &dir.join("given/train/low/0x2.png"));
    let output = run(TOY, dir, &[&resume[..], &["8"]].concat());
    let line = error_line(&output, 1, &resume);
    assert!(line.contains("changed: train/low/0x2.png"), "{line}");
}

/// Low as it is, bicubic, what is made, and the truth.
#[test]
fn strips_show_whole_pictures_of_one_size() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for i in 0..4 {
        save(&photo((24, 24), i), &dir.join(format!("set/train/{i}.png")));
    }
    for i in 0..2 {
        save(
            &photo((25, 18), 9 + i),
            &dir.join(format!("set/test/{i}.png")),
        );
    }
    train(dir, "set", "r", &[]);
    for name in ["samples/step-00000004-strips.png", "held-out.png"] {
        let strip = image::open(dir.join("r").join(name)).unwrap().into_rgb8();
        // One strip below the other while it runs, beside it at the end.
        let (w, h) = (24 + 2, 18 + 2);
        let (rows, across) = if name.starts_with("held") {
            (1, 2)
        } else {
            (2, 1)
        };
        assert_eq!(strip.dimensions(), (4 * across * w + 2, rows * h + 2));
        for i in 0..2 {
            let truth = photo((25, 18), 9 + i);
            let truth = image::imageops::crop_imm(&truth, 0, 0, 24, 18).to_image();
            let low = scaled(&truth, 0.5);
            let bicubic = scaled(&low, 2.);
            let (left, top) = match name.starts_with("held") {
                true => (i * 4 * w + 2, 2),
                false => (2, i * h + 2),
            };
            for y in 0..18 {
                for x in 0..24 {
                    let at = |column: u32| strip.get_pixel(left + column * w + x, top + y);
                    assert_eq!(at(0), low.get_pixel(x / 2, y / 2));
                    assert_eq!(at(1), bicubic.get_pixel(x, y));
                    assert_eq!(at(3), truth.get_pixel(x, y));
                }
            }
        }
    }
    // Of two sizes the middles are shown, as large as the crops of the training.
    save(&photo((30, 30), 5), &dir.join("set/test/5.png"));
    train(dir, "set", "s", &[]);
    let strip = image::open(dir.join("s/samples/step-00000004-strips.png")).unwrap();
    assert_eq!((strip.width(), strip.height()), (4 * 10 + 2, 3 * 10 + 2));
}

#[test]
fn what_cannot_be_learned_from_or_judged_is_said_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let fail = |args: &[&str], words: &[&str]| {
        let line = error_line(&run(TOY, dir, args), 1, args);
        for word in words {
            assert!(line.contains(word), "{word:?} is not in {line}");
        }
    };
    let new = |data| ["train", TOY, "--steps", "1", "--out", "x", "--data", data];
    for i in 0..3 {
        save(&photo((12, 12), i), &dir.join(format!("set/high/{i}.png")));
        save(&photo((6, 6), i), &dir.join(format!("set/low/{i}.png")));
    }
    train(dir, "set", "r", &[]);
    fail(&["eval", "r"], &["holds no pictures for testing", "test/"]);
    // Those that do not enlarge learn from the high ones, and that is said.
    let inspected = ok("", dir, &["data", "inspect", "set"]);
    for words in [
        "3 pictures, 12 x 12",
        "set/low/ is left out",
        "papers that enlarge",
    ] {
        let words = words.replace("set/", "");
        assert!(
            inspected.contains(&words),
            "{words:?} is not in {inspected}"
        );
    }
    save(&photo((6, 6), 1), &dir.join("set/low/9.png"));
    fail(
        &new("set"),
        &["1 picture without a partner: low/9.png", "add the partners"],
    );
    fs::remove_file(dir.join("set/low/9.png")).unwrap();
    save(&photo((6, 5), 1), &dir.join("set/low/1.png"));
    fail(
        &new("set"),
        &[
            "low/1.png: is 6 wide and 5 high, expected 6 wide and 6 high",
            "take low/ away",
        ],
    );
    fs::remove_dir_all(dir.join("set/high")).unwrap();
    fail(&new("set"), &["holds low/ and no high/"]);
    assert!(!dir.join("x").exists());
    // A photograph that leaves no place for the window, of one pixel or of a few; grey ones beside coloured ones.
    for i in 0..3 {
        save(&photo((12, 12), i), &dir.join(format!("own/train/{i}.png")));
    }
    GrayImage::from_fn(20, 20, |x, y| image::Luma([(9 * x + 3 * y) as u8]))
        .save({
            fs::create_dir_all(dir.join("own/test")).unwrap();
            dir.join("own/test/grey.png")
        })
        .unwrap();
    train(dir, "own", "o", &[]);
    assert!(value(&judged(dir, "o"), "4", "psnr y").0.is_finite());
    for (w, h) in [(1, 1), (15, 40)] {
        save(&photo((w, h), 1), &dir.join("own/test/small.png"));
        let size = format!(
            "test/small.png for testing, which is {} wide and {h} high",
            w / 2 * 2 + w % 2 * u32::from(w == 1)
        );
        fail(&["eval", "o"], &[&size, "16 pixels are needed a side"]);
    }
}

/// The scale is a setting: what is looked at for the preset's would be left aside in silence.
#[test]
fn low_pictures_of_another_scale_than_the_settings_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for i in 0..3 {
        save(&photo((32, 32), i), &dir.join(format!("set/high/{i}.png")));
        save(&photo((16, 16), i), &dir.join(format!("set/low/{i}.png")));
    }
    let train = ["train", "srgan", "--preset", "smoke", "--steps", "1", "-q"];
    let of = |scale: &'static str, out: &'static str| {
        let rest = ["--data", "set", "--set", scale, "--out", out];
        run("", dir, &[&train[..], &rest].concat())
    };
    let line = error_line(&of("scale=4", "x"), 1, &[]);
    let words = "is 16 wide and 16 high, expected 8 wide and 8 high";
    assert!(line.contains(words), "{line}");
    assert!(!dir.join("x").exists());
    assert!(of("scale=2", "r").status.success());
    assert!(dir.join("r/weights/g.safetensors").is_file());
}
