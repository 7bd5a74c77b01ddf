//! `--vgg`: a loss that looks at VGG19's features, from a file that is checked before anything starts and that a run
//! keeps to; and networks between two (`--interpolate-with`).

use crate::program::{bytes, error_line, fails, names, ok, run};
use candle_core::{Device, Tensor};
use gan_core::Weights;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// VGG19 of a few channels, as a recording has it, without the layer of this number, and another one for `seed` 2.
fn vgg(path: &Path, leave_out: usize, factor: f64) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
    let file = root.join("srgan-vgg.safetensors");
    let all = candle_core::safetensors::load(file, &Device::Cpu).unwrap();
    let left = format!("features.{leave_out}.");
    let own = all.into_iter().filter_map(|(key, tensor)| {
        let key = key.strip_prefix("init.vgg.")?.to_string();
        (!key.starts_with(&left)).then(|| (key, (tensor * factor).unwrap()))
    });
    let mut own: HashMap<String, Tensor> = own.collect();
    // As published: what lies behind the features is in the file, too.
    let dense = Tensor::zeros((2, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
    own.insert("classifier.0.weight".into(), dense);
    candle_core::safetensors::save(&own, path).unwrap();
}

const NONE: usize = 99;

fn args<'a>(paper: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    let smoke = [
        "train",
        paper,
        "--preset",
        "smoke",
        "--set",
        "content=vgg54",
    ];
    [&smoke[..], rest].concat()
}

fn scalars(run: &Path) -> String {
    String::from_utf8(bytes(&run.join("scalars.csv"))).unwrap()
}

#[test]
fn the_weights_of_vgg_are_checked_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    vgg(&at("vgg.safetensors"), NONE, 1.);
    vgg(&at("short.safetensors"), 28, 1.);
    fs::write(at("page.pth"), "<html>sign in</html>").unwrap();
    for paper in ["srgan", "esrgan"] {
        let refused = |rest: &[&str], code: i32, words: &[&str]| {
            let rest = [rest, &["--out", "new"]].concat();
            let said = fails(dir.path(), &args(paper, &rest), code);
            for word in words {
                assert!(said.contains(word), "{word} is missing in {said}");
            }
            assert!(!at("new").exists(), "{said}");
        };
        refused(
            &[],
            2,
            &[paper, "--vgg FILE", "vgg19-dcbb9e9d.pth", "content"],
        );
        refused(&["--vgg", "no.pth"], 1, &["no.pth"]);
        refused(&["--vgg", "page.pth"], 1, &["page.pth", "web page"]);
        let short = ["short.safetensors", "features.28"];
        refused(&["--vgg", "short.safetensors"], 1, &short);
        // Enlarging networks are no feature networks.
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/gan-srgan/photos-x4.pth");
        let own = own.to_str().unwrap();
        refused(&["--vgg", own], 1, &["photos-x4.pth", "features.0"]);
        // Crops that the poolings would leave nothing of.
        let small = [
            "--vgg",
            "vgg.safetensors",
            "--set",
            "size=8",
            "--set",
            "levels=1",
        ];
        let small = if paper == "srgan" {
            &small[..4]
        } else {
            &small[..]
        };
        refused(small, 2, &["size is 8", "from 16 on"]);
        // A loss of pixels looks at nothing.
        let stand_in = if paper == "srgan" {
            "content=mse"
        } else {
            "content=l1"
        };
        let pixels = ["--vgg", "vgg.safetensors", "--set", stand_in];
        refused(&pixels, 2, &["--vgg", "looks at no features"]);
    }
}

#[test]
fn a_run_keeps_to_the_features_that_it_began_with() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    vgg(&at("vgg.safetensors"), NONE, 1.);
    vgg(&at("other.safetensors"), NONE, 0.9);
    let train = |rest: &[&str]| ok("", dir.path(), &args("srgan", rest));
    train(&["--vgg", "vgg.safetensors", "--steps", "8", "--out", "whole"]);
    let half = [
        "--vgg",
        "vgg.safetensors",
        "--steps",
        "8",
        "--until",
        "6",
        "--out",
        "half",
    ];
    train(&half);
    let config = String::from_utf8(bytes(&at("half/config.toml"))).unwrap();
    assert!(
        config.contains("vgg = {") && config.contains("vgg.safetensors"),
        "{config}"
    );
    // Other weights are refused, the same in another file are not, and neither is a file that was moved.
    let resume = |rest: &[&str]| {
        let resume = ["train", "srgan", "--out", "half", "--resume"];
        run("", dir.path(), &[&resume[..], rest].concat())
    };
    let said = error_line(&resume(&["--vgg", "other.safetensors"]), 1, &[]);
    assert!(said.contains("other weights of VGG19"), "{said}");
    fs::rename(at("vgg.safetensors"), at("moved.safetensors")).unwrap();
    let said = error_line(&resume(&[]), 1, &[]);
    assert!(
        said.contains("vgg.safetensors") && said.contains("--vgg FILE"),
        "{said}"
    );
    let done = resume(&["--vgg", "moved.safetensors"]);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(scalars(&at("half")), scalars(&at("whole")));
    let weights = |run: &str| bytes(&at(run).join("weights/g.safetensors"));
    assert_eq!(weights("half"), weights("whole"));
    // Its config.toml names the file, so that the run is repeated by it alone; the loss of other weights is another.
    let again = [
        "train",
        "srgan",
        "--config",
        "half/config.toml",
        "--out",
        "again",
    ];
    ok("", dir.path(), &again);
    assert_eq!(weights("again"), weights("whole"));
    train(&[
        "--vgg",
        "other.safetensors",
        "--steps",
        "8",
        "--out",
        "other",
    ]);
    assert_ne!(weights("other"), weights("whole"));
    // Sampling needs no features.
    fs::remove_file(at("moved.safetensors")).unwrap();
    let photo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/gan-srgan/colosseum.png");
    let photo = photo.to_str().unwrap();
    ok(
        "",
        dir.path(),
        &["sample", "half", "--input", photo, "--out", "large.png"],
    );
}

/// A small photograph, and a run of each paper that went into its second stage.
fn trained(dir: &Path) {
    let picture = image::RgbImage::from_fn(13, 11, |x, y| {
        image::Rgb([(x * 19) as u8, (y * 23) as u8, 90])
    });
    picture.save(dir.join("photo.png")).unwrap();
    for paper in ["srgan", "esrgan"] {
        // Far enough that both networks make something of the picture.
        let set = ["pretrain=30", "lr=0.01", "lr_gan=0.01"].map(|set| ["--set", set]);
        let out = format!("run-{paper}");
        let args = [
            "train", paper, "--preset", "smoke", "--steps", "40", "--out", &out,
        ];
        let args = [&args[..], &set.concat()].concat();
        ok("", dir, &args);
    }
}

#[test]
fn networks_between_two_are_their_mean_and_a_strip_shows_several() {
    let dir = tempfile::tempdir().unwrap();
    trained(dir.path());
    let made = |rest: &[&str]| {
        let input = ["--input", "photo.png", "--force", "--out", "made.png"];
        let said = ok("", dir.path(), &[&["sample"], rest, &input].concat());
        let picture = image::load_from_memory(&bytes(&dir.path().join("made.png"))).unwrap();
        (picture.to_rgb8(), said)
    };
    for paper in ["srgan", "esrgan"] {
        let file = |net: &str| format!("run-{paper}/weights/{net}.safetensors");
        let (g, psnr, run) = (file("g"), file("psnr"), format!("run-{paper}"));
        let of = |weights: &str| made(&[paper, "--weights", weights]).0;
        let between = |alpha: &str| {
            made(&[
                paper,
                "--weights",
                &g,
                "--interpolate-with",
                &psnr,
                "--alpha",
                alpha,
            ])
            .0
        };
        assert_ne!(of(&g), of(&psnr));
        assert_eq!(between("1"), of(&g));
        assert_eq!(between("0"), of(&psnr));
        // A run knows what pre-training left.
        assert_eq!(made(&[&run, "--alpha", "0"]).0, of(&psnr));
        assert_eq!(made(&[&run, "--alpha", "0.3"]).0, between("0.3"));
        let usual = made(&[paper, "--weights", &g, "--interpolate-with", &psnr]).0;
        assert_eq!(usual, between("0.8"));
        // Each picture of a strip is the one that is made alone.
        let (strip, said) = made(&[&run, "--strip", "--alpha", "0,0.3,1"]);
        assert!(said.contains("bicubic, then alpha 0, 0.3, 1"), "{said}");
        let (w, h) = of(&g).dimensions();
        let gap = strip.width() - 4 * w;
        assert!(gap.is_multiple_of(5), "{gap}");
        for (i, alone) in ["0", "0.3", "1"].iter().enumerate() {
            let x = gap / 5 + (i as u32 + 1) * (w + gap / 5);
            let shown = image::imageops::crop_imm(&strip, x, gap / 5, w, h).to_image();
            assert_eq!(shown, between(alone), "{paper}, alpha {alone}");
        }
        let (strip, said) = made(&[
            paper,
            "--weights",
            &g,
            "--interpolate-with",
            &psnr,
            "--strip",
        ]);
        assert!(said.contains("alpha 0, 0.2, 0.4, 0.6, 0.8, 1"), "{said}");
        assert_eq!(strip.width(), 7 * w + 8 * gap / 5);
    }
    // The weights are the mean, number by number.
    let [g, psnr] = ["g", "psnr"].map(|net| {
        Weights::read(
            &dir.path()
                .join(format!("run-esrgan/weights/{net}.safetensors")),
        )
        .unwrap()
    });
    let between = g.interpolated(&psnr, 0.25).unwrap();
    let values = |weights: &Weights, key: &str| {
        let tensor = weights.get(key).unwrap().flatten_all().unwrap();
        tensor.to_vec1::<f32>().unwrap()
    };
    for key in g.keys() {
        let all = values(&g, key).into_iter().zip(values(&psnr, key));
        for ((a, b), mean) in all.zip(values(&between, key)) {
            assert!((mean - (0.25 * a + 0.75 * b)).abs() < 1e-6, "{key}");
        }
    }
}

#[test]
fn networks_that_cannot_be_interpolated_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    trained(dir.path());
    let refused = |rest: &[&str], code: i32, words: &[&str]| {
        let input = ["--input", "photo.png", "--out", "made.png"];
        let said = fails(dir.path(), &[&["sample"], rest, &input].concat(), code);
        for word in words {
            assert!(said.contains(word), "{word} is missing in {said}");
        }
        assert!(!dir.path().join("made.png").exists(), "{said}");
    };
    let g = "run-esrgan/weights/g.safetensors";
    let with = ["esrgan", "--weights", g, "--interpolate-with"];
    let other = |file: &'static str| [&with[..], &[file]].concat();
    let srgan = other("run-srgan/weights/g.safetensors");
    refused(
        &srgan,
        1,
        &[
            "run-srgan/weights/g.safetensors",
            "cannot be interpolated",
            g,
        ],
    );
    refused(&other("absent.pth"), 1, &["absent.pth"]);
    let alone = ["esrgan", "--weights", g, "--alpha", "0.5"];
    refused(&alone, 2, &["--interpolate-with FILE"]);
    refused(
        &["run-esrgan", "--alpha", "0,1"],
        2,
        &["--alpha", "--strip"],
    );
    let output = run("", dir.path(), &["sample", "run-esrgan", "--alpha", "1.5"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(2) && said.contains("from 0 to 1"),
        "{said}"
    );
    let none: Vec<String> = names(dir.path())
        .into_iter()
        .filter(|n| n.ends_with(".pth"))
        .collect();
    assert!(none.is_empty());
}
