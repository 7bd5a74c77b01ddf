//! Files that PyTorch wrote (`tests/pth/make_pth.py`), and files made here that lie.

mod lies;
mod mutated;

use crate::containers::Contents;
use crate::weights::Weights;
use candle_core::{DType, Tensor};
use std::path::{Path, PathBuf};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/pth")
        .join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap()
}

/// The numbers of the formula in `make_pth.py`.
fn formula(n: usize, k: usize) -> Vec<f32> {
    let value = |i: usize| ((37 * i + 11 * k) % 101) as f32 - 50.;
    (0..n).map(|i| value(i) / 64.).collect()
}

fn numbers(weights: &Weights, key: &str) -> Vec<f32> {
    let tensor = weights
        .get(key)
        .unwrap_or_else(|| panic!("{key} is missing"));
    let flat = tensor
        .to_dtype(DType::F32)
        .and_then(|t: Tensor| t.flatten_all());
    flat.unwrap().to_vec1().unwrap()
}

/// Holds what was read to what the script's function `network` makes.
fn is_network(weights: &Weights, k: usize, dtype: DType, what: &str) {
    let keys: Vec<&str> = weights.keys().collect();
    let expected = [
        "conv.bias",
        "conv.weight",
        "norm.num_batches_tracked",
        "norm.running_mean",
    ];
    assert_eq!(keys, expected, "{what}");
    for (key, shape, k) in [
        ("conv.weight", &[4, 3, 3, 3][..], k),
        ("conv.bias", &[4], k + 1),
        ("norm.running_mean", &[4], k + 2),
    ] {
        let tensor = weights.get(key).unwrap();
        assert_eq!(
            (tensor.dims(), tensor.dtype()),
            (shape, dtype),
            "{what}: {key}"
        );
        assert_eq!(
            numbers(weights, key),
            formula(tensor.elem_count(), k),
            "{what}: {key}"
        );
    }
    let counter = weights.get("norm.num_batches_tracked").unwrap();
    assert_eq!(
        (counter.dims(), counter.dtype()),
        (&[][..], DType::I64),
        "{what}"
    );
    assert_eq!(counter.to_scalar::<i64>().unwrap(), 7, "{what}");
}

fn said(name: &str) -> String {
    match Weights::read(&path(name)) {
        Ok(weights) => panic!("{name} is read: {:?}", weights.keys().collect::<Vec<_>>()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn both_containers_all_protocols_and_types() {
    for (name, dtype) in [
        ("plain.pth", DType::F32),
        ("plain-legacy.pth", DType::F32),
        ("protocol1.pth", DType::F32),
        ("protocol1-legacy.pth", DType::F32),
        ("protocol3.pth", DType::F32),
        ("protocol4.pth", DType::F32),
        ("protocol4-legacy.pth", DType::F32),
        ("protocol5.pth", DType::F32),
        ("deflated.pth", DType::F32),
        ("unchecked.pth", DType::F32),
        ("half.pth", DType::F16),
        ("bfloat-legacy.pth", DType::BF16),
        ("double.pth", DType::F64),
    ] {
        let weights = Weights::read(&path(name)).unwrap_or_else(|error| panic!("{error}"));
        is_network(&weights, 0, dtype, name);
        let kind = match name.contains("legacy") {
            true => "PyTorch's format before version 1.6",
            false => "PyTorch's zip format",
        };
        assert_eq!(weights.kind(), kind);
        let wide = (dtype != DType::F32).then_some("32-bit ones");
        let notes = weights.notes().join("; ");
        assert_eq!(notes.is_empty(), wide.is_none(), "{name}: {notes}");
        assert!(wide.is_none_or(|wide| notes.ends_with(wide)), "{notes}");
    }
}

#[test]
fn whole_numbers_keep_their_values() {
    let weights = Weights::read(&path("integers.pth")).unwrap();
    for (key, dtype, first) in [
        ("bool", DType::U8, 1.),
        ("int16", DType::I16, -3.),
        ("int32", DType::I32, -3.),
        ("int64", DType::I64, -3.),
        ("int8", DType::I16, -3.),
        ("uint8", DType::U8, 253.),
    ] {
        let last = if key == "bool" { 1. } else { 5. };
        assert_eq!(weights.get(key).unwrap().dtype(), dtype);
        assert_eq!(numbers(&weights, key), [first, 0., last], "{key}");
    }
}

#[test]
fn tensors_share_turn_repeat_and_enter_storages() {
    for name in ["views.pth", "views-legacy.pth"] {
        let weights = Weights::read(&path(name)).unwrap();
        let base = formula(24, 0);
        let at = |rows: &[usize], columns: &[usize]| -> Vec<f32> {
            let mut chosen = Vec::new();
            for row in rows {
                chosen.extend(columns.iter().map(|column| base[4 * row + column]));
            }
            chosen
        };
        let turned: Vec<f32> = (0..4).flat_map(|c| at(&[0, 1, 2, 3, 4, 5], &[c])).collect();
        for (key, shape, expected) in [
            ("whole", &[6, 4][..], base.clone()),
            ("rows", &[2, 4], at(&[2, 3], &[0, 1, 2, 3])),
            ("turned", &[4, 6], turned),
            ("columns", &[6, 2], at(&[0, 1, 2, 3, 4, 5], &[1, 3])),
            ("repeated", &[3, 4], at(&[1, 1, 1], &[0, 1, 2, 3])),
            ("corner", &[], at(&[5], &[3])),
            ("none", &[0, 5], vec![]),
        ] {
            assert_eq!(weights.dims(key), Some(shape), "{name}: {key}");
            assert_eq!(numbers(&weights, key), expected, "{name}: {key}");
        }
    }
}

#[test]
fn storages_that_are_views_of_storages() {
    let weights = Weights::read(&path("views-old.pth")).unwrap();
    let base = formula(12, 0);
    assert_eq!(numbers(&weights, "first"), base[..6]);
    let turned = [6, 9, 7, 10, 8, 11].map(|i| base[i]);
    assert_eq!(numbers(&weights, "second"), turned);
}

#[test]
fn wrappers_are_taken_off_and_named() {
    for (name, notes) in [
        ("params.pth", &["took params_ema of params, params_ema"][..]),
        (
            "module.pth",
            &[
                "took state_dict",
                "left out epoch, loss, optimizer, scheduler, best",
                "left out what PyTorch puts before every key (module.)",
            ],
        ),
        (
            "nested.pth",
            &["took model.generator of model.generator, model.discriminator"],
        ),
        (
            "joined.pth",
            &["took generator of discriminator, generator"],
        ),
        ("parameters.pth", &[]),
    ] {
        let weights = Weights::read(&path(name)).unwrap_or_else(|error| panic!("{error}"));
        is_network(&weights, 0, DType::F32, name);
        assert_eq!(weights.notes(), notes, "{name}");
    }
}

#[test]
fn a_key_chooses_among_networks() {
    for (name, key, k) in [
        ("several.pth", "netG_A", 0),
        ("several.pth", "netG_B", 3),
        ("several.pth", "netD_A", 4),
        ("params.pth", "params", 5),
        ("nested.pth", "model.generator", 0),
        ("nested.pth", "generator", 0),
        ("joined.pth", "discriminator", 4),
        ("module.pth", "state_dict", 0),
    ] {
        let weights = Weights::read_part(&path(name), Some(key));
        let weights = weights.unwrap_or_else(|error| panic!("{name} {key}: {error}"));
        is_network(&weights, k, DType::F32, &format!("{name} {key}"));
    }
    let said = said("several.pth");
    for word in ["netG_A", "netG_B", "netD_A", "--key"] {
        assert!(said.contains(word), "{said}");
    }
    let wrong = Weights::read_part(&path("several.pth"), Some("netG")).unwrap_err();
    assert!(wrong.to_string().contains("netG_B"), "{wrong}");
    let held = Contents::open(&path("several.pth")).unwrap().networks();
    let names: Vec<&str> = held.iter().map(|held| held.name.as_str()).collect();
    assert_eq!(names, ["netG_A", "netG_B", "netD_A"]);
    assert!(
        held.iter()
            .all(|held| (held.tensors, held.numbers) == (4, 117))
    );
    assert_eq!(held[0].types, ["f32", "i64"]);
}

#[test]
fn lists_and_numbers_serve_as_names() {
    for name in ["list.pth", "numbered.pth"] {
        let weights = Weights::read(&path(name)).unwrap();
        assert_eq!(weights.keys().collect::<Vec<_>>(), ["0", "1"]);
        assert_eq!(weights.dims("0"), Some(&[2, 2][..]));
        assert_eq!(numbers(&weights, "1"), formula(3, 1));
    }
}

#[test]
fn what_is_no_network_is_called_what_it_is() {
    for (name, words) in [
        ("optimizer.pth", &["optimizer", "no network"][..]),
        ("training.pth", &["optimizer", "no network"]),
        (
            "whole.pth",
            &["whole module", "__main__.Net", "state_dict()"],
        ),
        (
            "whole-legacy.pth",
            &["whole module", "__main__.Net", "state_dict()"],
        ),
        ("code.pth", &["asks for posix.system", "nothing", "is run"]),
        (
            "code-legacy.pth",
            &["asks for posix.system", "nothing", "is run"],
        ),
        ("single.pth", &["one tensor without a name", "state_dict()"]),
        ("nothing.pth", &["epoch, losses", "no network"]),
        ("complex.pth", &["complex numbers in c", "t.float()"]),
        ("eight.pth", &["8 bits in e", "t.float()"]),
        ("quantized.pth", &["quantized", "dequantize()"]),
        ("sparse.pth", &["sparse", "to_dense()"]),
        ("script.pth", &["TorchScript", "state_dict()"]),
        ("big.pth", &["big-endian"]),
        ("big-legacy.pth", &["big-endian"]),
        ("lacking.pth", &["plain/data/0 is not in it"]),
    ] {
        let said = said(name);
        assert!(said.chars().count() <= crate::LONGEST, "{said}");
        for word in words.iter().chain(&[name]) {
            assert!(said.contains(word), "{word:?} in {said}");
        }
    }
    assert!(!Path::new("ran.txt").exists() && !path("ran.txt").exists());
}
