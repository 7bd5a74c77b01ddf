//! Published weights from the command line: what they make of a photograph, and what other files are said to be.
//!
//! The files are those of the crates' own tests (`tests/reference/make_published.py`).

use crate::program::{fails, ok};
use candle_core::{DType, Device, Tensor};
use gan_core::Weights;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn file(paper: &str, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("../crates/gan-{paper}/tests/published"))
        .join(name)
}

fn copied(paper: &str, names: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in names {
        fs::copy(file(paper, name), dir.path().join(name)).unwrap();
    }
    dir
}

/// A picture of the reference, in [0, 1], as a PNG file, and what it holds.
fn png(paper: &str, name: &str, to: &Path) -> Vec<u8> {
    let pictures = Weights::read(&file(paper, "pictures.safetensors")).unwrap();
    let picture = pictures.get(name).unwrap();
    let (_, _, h, w) = picture.dims4().unwrap();
    let values = picture
        .permute((0, 2, 3, 1))
        .unwrap()
        .flatten_all()
        .unwrap();
    let values = values.to_vec1::<f32>().unwrap();
    let bytes: Vec<u8> = values
        .iter()
        .map(|x| (x * 255.).round().clamp(0., 255.) as u8)
        .collect();
    let image = image::RgbImage::from_raw(w as u32, h as u32, bytes.clone()).unwrap();
    image.save(to).unwrap();
    bytes
}

/// The largest difference of a PNG file from these values, in steps of 255.
fn far(path: &Path, wanted: &[u8]) -> u8 {
    let made = image::open(path).unwrap().into_rgb8().into_raw();
    assert_eq!(made.len(), wanted.len());
    let far = made.iter().zip(wanted).map(|(a, b)| a.abs_diff(*b));
    far.max().unwrap()
}

#[test]
fn photographs_become_what_pytorch_makes_of_them() {
    for (paper, names, wanted) in [
        (
            "esrgan",
            &["own.pth", "trunk-legacy.pth", "numbered.pth"][..],
            "tiny",
        ),
        ("srgan", &["msr.pth"][..], "msr"),
    ] {
        let dir = copied(paper, names);
        png(paper, "x", &dir.path().join("x.png"));
        let wanted = png(paper, wanted, &dir.path().join("wanted.png"));
        for name in names {
            let out = format!("{name}.png");
            let sample = ["sample", paper, "--weights", name];
            let args = [&sample[..], &["--input", "x.png", "--out", &out]].concat();
            ok("", dir.path(), &args);
            assert!(far(&dir.path().join(out), &wanted) <= 1, "{name}");
            let said = ok("", dir.path(), &["weights", "inspect", name]);
            let generator = format!("generator of {paper}");
            assert!(
                said.contains(&generator) && said.contains("4 times"),
                "{said}"
            );
        }
        // Tiles with as much around them as the network reaches are not seen.
        let sample = [
            "sample",
            paper,
            "--weights",
            names[0],
            "--input",
            "wanted.png",
        ];
        let tiles = ["--tile", "8", "--overlap", "64", "--out", "tiles.png"];
        ok("", dir.path(), &[&sample[..], &tiles].concat());
        ok(
            "",
            dir.path(),
            &[&sample[..], &["--out", "whole.png"]].concat(),
        );
        let whole = image::open(dir.path().join("whole.png")).unwrap();
        let whole = whole.into_rgb8().into_raw();
        assert!(far(&dir.path().join("tiles.png"), &whole) <= 1);
    }
}

/// A safetensors file of these keys and shapes.
fn write(path: &Path, tensors: &[(&str, &[usize])]) {
    let tensors: BTreeMap<String, Tensor> = tensors
        .iter()
        .map(|(key, shape)| {
            let zeros = Tensor::zeros(*shape, DType::F32, &Device::Cpu).unwrap();
            (key.to_string(), zeros)
        })
        .collect();
    let tensors = tensors.into_iter().collect();
    candle_core::safetensors::save(&tensors, path).unwrap();
}

/// A file of something else is told by its keys, whatever it is tried as.
#[test]
fn files_of_other_networks_are_told_by_their_keys() {
    let dir = copied("srgan", &["msr.pth"]);
    let at = |name: &str| dir.path().join(name);
    write(
        &at("patch.safetensors"),
        &[
            ("model.0.weight", &[8, 3, 4, 4]),
            ("model.2.weight", &[16, 8, 4, 4]),
        ],
    );
    write(
        &at("d.safetensors"),
        &[
            ("conv0_0.weight", &[8, 3, 3, 3]),
            ("bn1_0.bias", &[8]),
            ("linear1.weight", &[1, 8]),
        ],
    );
    write(&at("other.safetensors"), &[("encoder.block", &[2, 2])]);
    for (name, words) in [
        ("patch.safetensors", "PatchGAN discriminator (model.N)"),
        ("d.safetensors", "discriminator of ESRGAN"),
        ("msr.pth", "MSRResNet"),
    ] {
        let args = ["sample", "esrgan", "--weights", name, "--input", "x.png"];
        let said = fails(dir.path(), &args, 1);
        assert!(said.contains("not a generator of esrgan"), "{said}");
        let own = name == "d.safetensors";
        assert!(
            own || said.contains(words),
            "{words:?} is missing in {said}"
        );
        let inspected = ok("", dir.path(), &["weights", "inspect", name]);
        let fits = name == "msr.pth";
        let words = if fits { "generator of srgan" } else { words };
        assert!(
            inspected.contains(words),
            "{words:?} is missing in {inspected}"
        );
    }
    let args = [
        "sample",
        "esrgan",
        "--weights",
        "other.safetensors",
        "--input",
        "x.png",
    ];
    let said = fails(dir.path(), &args, 1);
    assert!(
        said.contains("the file begins with encoder.block"),
        "{said}"
    );
}
