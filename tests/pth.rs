//! Weights as people have them: what the program says and makes of PyTorch's files, and of its own checkpoints.
//!
//! The files are those of gan-core's tests (`crates/gan-core/tests/pth/make_pth.py`).

use crate::program::{bytes, checkpoint, fails, ok};
use candle_core::DType;
use gan_core::{Contents, Weights};
use std::fs;
use std::path::{Path, PathBuf};

fn file(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/gan-core/tests/pth");
    root.join(name).canonicalize().unwrap()
}

/// A folder with copies of the files, so that their names in what is said are short.
fn folder(names: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in names {
        fs::copy(file(name), dir.path().join(name)).unwrap();
    }
    dir
}

/// Pictures of vanilla's generator with these weights, and what is said on the way.
fn sampled(dir: &Path, weights: &str, out: &str) -> (Vec<u8>, String) {
    let sample = ["sample", "vanilla", "--weights", weights];
    let said = ok("", dir, &[&sample[..], &["-n", "4", "--out", out]].concat());
    (bytes(&dir.join(out)), said)
}

#[test]
fn pictures_of_a_pth_are_those_of_its_safetensors() {
    let dir = folder(&["vanilla.pth", "vanilla-legacy.pth"]);
    let sample = |weights: &str, out: &str| sampled(dir.path(), weights, out);
    let (zip, said) = sample("vanilla.pth", "a.png");
    for word in ["took generator of generator, discriminator", "module."] {
        assert!(said.contains(word), "{word:?} in {said}");
    }
    let (legacy, said) = sample("vanilla-legacy.pth", "b.png");
    assert!(said.contains("half precision"), "{said}");
    assert_eq!(zip, legacy);
    let said = ok(
        "",
        dir.path(),
        &["weights", "convert", "vanilla.pth", "g.safetensors"],
    );
    for word in [
        "took generator",
        "g.safetensors: 4 tensors, 96 numbers (f32)",
    ] {
        assert!(said.contains(word), "{word:?} in {said}");
    }
    assert_eq!(zip, sample("g.safetensors", "c.png").0);
    // What was half precision stays so.
    let said = ok(
        "",
        dir.path(),
        &["weights", "convert", "vanilla-legacy.pth", "h.safetensors"],
    );
    assert!(said.contains("(f16)") && !said.contains("half"), "{said}");
    let half = Weights::read(&dir.path().join("h.safetensors")).unwrap();
    assert!(half.iter().all(|(_, tensor)| tensor.dtype() == DType::F16));
    assert_eq!(zip, sample("h.safetensors", "d.png").0);
}

#[test]
fn inspect_says_what_a_file_is() {
    let names = [
        "vanilla.pth",
        "several.pth",
        "module.pth",
        "double.pth",
        "vanilla-legacy.pth",
    ];
    let dir = folder(&names);
    for (args, words) in [
        (
            &["vanilla.pth"][..],
            &[
                "PyTorch's zip format",
                "holds generator: 4 tensors, 96 numbers (f32)",
                "holds discriminator: 1 tensor, 4 numbers (f32)",
                "took generator",
                "generator of vanilla",
                "gen.2.weight",
            ][..],
        ),
        (
            &["vanilla.pth", "--key", "discriminator"],
            &[
                "took discriminator",
                "no generator that this program knows",
                "gen.0.weight is missing",
            ],
        ),
        (
            &["vanilla-legacy.pth"],
            &["before version 1.6", "half precision", "(f16)"],
        ),
        (
            &["several.pth"],
            &[
                "holds netG_A: 4 tensors",
                "holds netG_B",
                "holds netD_A",
                "--key NAME",
            ],
        ),
        (
            &["several.pth", "--key", "netG_B"],
            &["took netG_B", "conv.weight", "f32 [4, 3, 3, 3]"],
        ),
        (
            &["module.pth"],
            &[
                "took state_dict",
                "left out epoch, loss, optimizer, scheduler, best",
                "module.",
            ],
        ),
        (
            &["double.pth"],
            &["64-bit numbers are read as 32-bit ones", "f64"],
        ),
    ] {
        let said = ok("", dir.path(), &[&["weights", "inspect"], args].concat());
        for word in words {
            assert!(said.contains(word), "{word:?} in {said}");
        }
    }
    let line = fails(
        dir.path(),
        &["sample", "vanilla", "--weights", "several.pth"],
        1,
    );
    for word in [
        "several.pth: holds 3 networks",
        "netG_A, netG_B, netD_A",
        "--key NAME",
    ] {
        assert!(line.contains(word), "{word:?} in {line}");
    }
    let of = [
        "sample",
        "vanilla",
        "--weights",
        "vanilla.pth",
        "--key",
        "discriminator",
    ];
    assert!(fails(dir.path(), &of, 1).contains("gen.0.weight is missing"));
}

#[test]
fn what_is_there_is_not_converted_over() {
    let dir = folder(&["plain.pth", "whole.pth"]);
    let there = dir.path().join("a.safetensors");
    fs::write(&there, "mine").unwrap();
    let line = fails(dir.path(), &convert(&["plain.pth", "a.safetensors"]), 1);
    assert!(line.contains("--force"), "{line}");
    let line = fails(dir.path(), &convert(&["plain.pth", "a.pth"]), 2);
    assert!(line.contains(".safetensors"), "{line}");
    let line = fails(dir.path(), &convert(&["whole.pth", "b.safetensors"]), 1);
    assert!(line.contains("whole module"), "{line}");
    assert_eq!(bytes(&there), b"mine");
    ok(
        "",
        dir.path(),
        &convert(&["plain.pth", "a.safetensors", "--force"]),
    );
    let [from, to] =
        ["plain.pth", "a.safetensors"].map(|name| Weights::read(&dir.path().join(name)).unwrap());
    let numbers = |weights: &Weights| {
        let all = weights.iter();
        let all = all.map(|(key, t)| {
            let numbers = t.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
            (
                key.to_string(),
                t.dtype(),
                t.dims().to_vec(),
                numbers.to_vec1::<f64>().unwrap(),
            )
        });
        all.collect::<Vec<_>>()
    };
    assert_eq!(numbers(&from), numbers(&to));
    // The same again is no other file.
    ok("", dir.path(), &convert(&["plain.pth", "a.safetensors"]));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
}

#[test]
fn a_checkpoint_gives_its_generator() {
    let dir = tempfile::tempdir().unwrap();
    for (paper, key, other) in [
        ("vanilla", "g", None),
        ("cyclegan", "g", Some("f")),
        ("progan", "ema", Some("g")),
    ] {
        let name = format!("{paper}-run");
        let train = [
            "train", paper, "--preset", "smoke", "--steps", "2", "--out", &name, "-q",
        ];
        ok("", dir.path(), &train);
        let run = dir.path().join(&name);
        let saved = checkpoint(&run, 2);
        let of = |weights: &Weights| {
            let all = weights.iter();
            let all = all.map(|(key, t)| {
                let flat = t.flatten_all().unwrap();
                (key.to_string(), flat.to_vec1::<f32>().unwrap())
            });
            all.collect::<Vec<_>>()
        };
        let alone = |name: &str| {
            of(&Weights::read(&run.join(format!("weights/{name}.safetensors"))).unwrap())
        };
        let taken = Weights::read(&saved).unwrap();
        assert_eq!(of(&taken), alone(key), "{paper}");
        let notes = taken.notes().join("; ");
        assert!(notes.starts_with(&format!("took {key} of d")), "{notes}");
        if let Some(other) = other {
            let taken = Weights::read_part(&saved, Some(other)).unwrap();
            assert_eq!(of(&taken), alone(other), "{paper}");
            let said = format!("--key {other} takes the other generator");
            assert!(notes.contains(&said), "{notes}");
        }
        // Changed anywhere, it is no weights file either.
        let mut damaged = bytes(&saved);
        let last = damaged.len() - 1;
        damaged[last] ^= 1;
        let place = dir.path().join("damaged.safetensors");
        fs::write(&place, damaged).unwrap();
        let error = Contents::open(&place).err().unwrap().to_string();
        assert!(error.contains("do not match its hash"), "{error}");
        let path = format!("{name}/checkpoints/step-00000002.safetensors");
        let said = ok("", dir.path(), &["weights", "inspect", &path]);
        let shared = format!("checkpoint of {paper} after 2 iterations");
        for word in [&*shared, "intact", "generator of", paper] {
            assert!(said.contains(word), "{word:?} in {said}");
        }
    }
    let path = "vanilla-run/checkpoints/step-00000002.safetensors";
    let sample = |weights: &str, out: &str| sampled(dir.path(), weights, out).0;
    assert_eq!(
        sample(path, "a.png"),
        sample("vanilla-run/weights/g.safetensors", "b.png")
    );
}

fn convert<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    [&["weights", "convert"], rest].concat()
}
