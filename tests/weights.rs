//! Weights files that lie, that are not finite, or that are something else: refused by name, before anything of the
//! size that they claim is made.

use crate::program::{bytes, fails, ok};
use candle_core::{DType, Device, Tensor};
use gan_core::{Context, DataInfo, Preset, Recipe, Weights};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use xtask::registry::PAPERS;

/// Shape and bytes of a file's tensors.
type File = BTreeMap<String, (Vec<usize>, Vec<u8>)>;

/// What a paper's generator is saved as.
fn saved(recipe: &dyn Recipe, dir: &Path) -> File {
    let mut data = DataInfo::square(3 * 64 * 64).unwrap();
    data.classes = Some(10);
    let config = recipe.preset(Preset::Smoke, &data).unwrap();
    let cx = Context::new(&Device::Cpu, 1, data, 1);
    let mut algorithm = recipe.build(&config, &cx).unwrap();
    let path = dir.join("g.safetensors");
    for (name, part) in algorithm.parts() {
        if let ("g", Some(params)) = (name, part.params()) {
            params.write_weights(&path).unwrap();
        }
    }
    let weights = Weights::read(&path).unwrap();
    let bytes = |tensor: &Tensor| {
        let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values.iter().flat_map(|x| x.to_le_bytes()).collect()
    };
    let tensors = weights.iter();
    tensors
        .map(|(key, tensor)| (key.to_string(), (tensor.dims().to_vec(), bytes(tensor))))
        .collect()
}

/// A safetensors file of these tensors, whose shapes may say what they like.
fn written(file: &File) -> Vec<u8> {
    let (mut entries, mut body) = (Vec::new(), Vec::new());
    for (key, (shape, bytes)) in file {
        let from = body.len();
        body.extend(bytes);
        entries.push(format!(
            r#""{key}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{from},{}]}}"#,
            body.len()
        ));
    }
    let head = format!("{{{}}}", entries.join(","));
    [&(head.len() as u64).to_le_bytes(), head.as_bytes(), &body].concat()
}

/// Lies about one tensor: what it would be is the same bytes, or none at all.
fn lies(shape: &[usize]) -> Vec<(Vec<usize>, bool)> {
    let mut lies = vec![
        ([&[1], shape].concat(), true),
        (vec![shape.iter().product()], true),
        (shape.iter().rev().copied().collect(), true),
        (vec![0], false),
        (vec![], false),
    ];
    for axis in 0..shape.len() {
        for huge in [0, 1 << 14, 1 << 40, 1 << 62] {
            let mut lie = shape.to_vec();
            lie[axis] = huge;
            // What is huge is empty by another axis, where there is one.
            if let Some(other) = (0..shape.len()).rev().find(|other| *other != axis) {
                lie[other] = 0;
            } else if huge > 0 {
                lie.push(0);
            }
            lies.push((lie, false));
        }
    }
    lies.retain(|(lie, _)| lie != shape);
    lies
}

/// The same sizes everywhere for another: files that fit themselves.
fn consistent(file: &File) -> Vec<File> {
    let sizes: BTreeSet<usize> = file.values().flat_map(|(shape, _)| shape.clone()).collect();
    let mut all = Vec::new();
    for large in &sizes {
        for none in sizes.iter().filter(|none| *none != large) {
            let change = |size: &usize| match size {
                _ if size == large => 1 << 40,
                _ if size == none => 0,
                _ => *size,
            };
            let lie = |(key, (shape, bytes)): (&String, &(Vec<usize>, Vec<u8>))| {
                let mut changed: Vec<usize> = shape.iter().map(change).collect();
                let bytes = match changed == *shape {
                    true => bytes.clone(),
                    false => Vec::new(),
                };
                if changed != *shape && !changed.contains(&0) {
                    changed.push(0);
                }
                (key.clone(), (changed, bytes))
            };
            all.push(file.iter().map(lie).collect());
        }
    }
    all
}

#[test]
fn a_file_that_lies_about_its_shapes_is_refused_before_anything_of_their_size_is_made() {
    for recipe in PAPERS {
        let (paper, dir) = (recipe.info().name, tempfile::tempdir().unwrap());
        let file = saved(*recipe, dir.path());
        let path = dir.path().join("lie.safetensors");
        let open = |file: &File, what: &str| {
            fs::write(&path, written(file)).unwrap();
            let start = Instant::now();
            let opened = Weights::read(&path).map_err(|e| e.to_string());
            let opened = opened.and_then(|weights| {
                let sampler = recipe.open(&weights, &Device::Cpu);
                sampler.map(drop).map_err(|e| e.to_string())
            });
            let took = start.elapsed();
            assert!(took < Duration::from_secs(5), "{paper}, {what}: {took:?}");
            opened
        };
        open(&file, "as it is").unwrap_or_else(|e| panic!("{paper}: {e}"));
        for (key, (shape, bytes)) in &file {
            for (lie, full) in lies(shape) {
                let what = format!("{key} of {shape:?} as {lie:?}");
                let mut lying = file.clone();
                let bytes = if full { bytes.clone() } else { Vec::new() };
                // A scalar has one number.
                let bytes = if lie.is_empty() { vec![0; 4] } else { bytes };
                lying.insert(key.clone(), (lie, bytes));
                let said = open(&lying, &what).expect_err(&format!("{paper} believes {what}"));
                let said = said.lines().next().unwrap();
                let named = said.matches("lie.safetensors: ").count();
                assert!(named == 1 && said.chars().count() <= 300, "{said}");
            }
        }
        for (i, lying) in consistent(&file).iter().enumerate() {
            assert!(
                open(lying, "all").is_err(),
                "{paper} believes {i}: {lying:?}"
            );
        }
    }
}

#[test]
fn what_is_not_finite_is_refused_by_its_tensor() {
    let dir = tempfile::tempdir().unwrap();
    let train = ["train", "dcgan", "--preset", "smoke", "--steps", "1"];
    ok(
        "",
        dir.path(),
        &[&train[..], &["--out", "r", "-q"]].concat(),
    );
    let good = Weights::read(&dir.path().join("r/weights/g.safetensors")).unwrap();
    let key = "main.3.weight";
    for (x, dtype, said) in [
        (f64::NAN, DType::F32, "NaN"),
        (f64::NEG_INFINITY, DType::F16, "-inf"),
        // More than 32 bits hold.
        (1e300, DType::F64, "inf"),
    ] {
        let mut tensors: std::collections::HashMap<String, Tensor> = good
            .iter()
            .map(|(key, t)| (key.into(), t.clone()))
            .collect();
        let tensor = tensors[key].to_dtype(dtype).unwrap();
        let flat = tensor.flatten_all().unwrap();
        let last = flat.dim(0).unwrap() - 1;
        let bad = Tensor::full(x, 1, &Device::Cpu)
            .unwrap()
            .to_dtype(dtype)
            .unwrap();
        let flat = Tensor::cat(&[&flat.narrow(0, 0, last).unwrap(), &bad], 0).unwrap();
        tensors.insert(key.into(), flat.reshape(tensor.shape()).unwrap());
        let path = dir.path().join("bad.safetensors");
        candle_core::safetensors::save(&tensors, &path).unwrap();
        for args in [
            &["sample", "dcgan", "--weights", "bad.safetensors"][..],
            &["weights", "inspect", "bad.safetensors"],
        ] {
            let line = fails(dir.path(), args, 1);
            for word in ["bad.safetensors", key, said, "not finite"] {
                assert!(line.contains(word), "{word:?} in {line}");
            }
        }
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn what_is_no_weights_file_is_called_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let train = ["train", "cgan", "--preset", "smoke", "--steps", "1"];
    ok(
        "",
        dir.path(),
        &[&train[..], &["--out", "a run", "-q"]].concat(),
    );
    let weights = "a run/weights/g.safetensors";
    let says = |args: &[&str], code: i32, words: &[&str]| {
        let line = fails(dir.path(), args, code);
        assert!(line.len() < 300, "{line}");
        for word in words {
            assert!(line.contains(word), "{word:?} in {line}");
        }
    };
    for (name, begin) in [("old.pth", &b"\x80\x02}q"[..]), ("new.pt", b"PK\x03\x04ab")] {
        fs::write(dir.path().join(name), begin).unwrap();
        for args in [
            &["sample", "cgan", "--weights", name],
            &["weights", "inspect", name, "--threads=1"],
        ] {
            says(args, 1, &[name, "cut short", "fetch it again"]);
        }
    }
    let of = ["sample", "cgan", "--weights", "a run"];
    says(&of, 2, &["run's folder", "cargo xtask sample 'a run'"]);
    let of = ["sample", "a run", "--weights", weights];
    says(
        &of,
        2,
        &[
            "run's folder",
            "sample cgan --weights 'a run/weights/g.safetensors'",
        ],
    );
    let of = ["sample", "cgan", "--weights", "a run/weights"];
    says(&of, 1, &["a run/weights", "is a folder", "name a file"]);

    // More classes than labels can name would be sampled one by one.
    let mut file: File = BTreeMap::new();
    for (key, shape) in [
        ("z", [1, 1]),
        ("y", [1, 9999]),
        ("joint", [1, 2]),
        ("out", [16, 1]),
    ] {
        let zeros = |n: usize| vec![0u8; 4 * n];
        file.insert(
            format!("{key}.weight"),
            (shape.to_vec(), zeros(shape[0] * shape[1])),
        );
        file.insert(format!("{key}.bias"), (vec![shape[0]], zeros(shape[0])));
    }
    fs::write(dir.path().join("many.safetensors"), written(&file)).unwrap();
    let of = ["sample", "cgan", "--weights", "many.safetensors"];
    says(&of, 1, &["many.safetensors", "classes is 9999", "1 to 256"]);
    assert!(bytes(&dir.path().join("many.safetensors")).len() < 50_000);
}

/// Finite numbers of which a picture is made that is not.
#[test]
fn weights_whose_pictures_are_not_finite_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = saved(PAPERS[0], dir.path());
    let good = Weights::read(&dir.path().join("g.safetensors")).unwrap();
    let large = |(key, tensor): (&str, &Tensor)| {
        let most = tensor.abs().unwrap().flatten_all().unwrap().max(0).unwrap();
        let most = f64::from(most.to_scalar::<f32>().unwrap()).max(1e-9);
        (key.to_string(), ((tensor / most).unwrap() * 1e38).unwrap())
    };
    let large: std::collections::HashMap<String, Tensor> = good.iter().map(large).collect();
    assert_eq!(large.len(), file.len());
    candle_core::safetensors::save(&large, dir.path().join("large.safetensors")).unwrap();
    let sample = ["sample", "vanilla", "--weights", "large.safetensors"];
    for rest in [
        &[][..],
        &["-n", "300"],
        &["--separate"],
        &["--interpolate", "4"],
    ] {
        let line = fails(dir.path(), &[&sample[..], rest].concat(), 1);
        assert!(
            line.contains("large.safetensors: makes a picture"),
            "{line}"
        );
    }
}

/// As it is for those who use the crates without the program.
#[test]
fn every_network_names_the_file_that_is_not_its() {
    let weights = Weights::from_tensors(Path::new("some.safetensors"), BTreeMap::new());
    let cpu = &Device::Cpu;
    for error in [
        gan_vanilla::Generator::open(&weights, cpu).map(drop),
        gan_cgan::Generator::open(&weights, cpu).map(drop),
        gan_core::nn::strided::Generator::open(&weights, cpu).map(drop),
        gan_core::nn::unet::Unet::open(&weights, cpu).map(drop),
        gan_cyclegan::ResnetGenerator::open(&weights, cpu).map(drop),
        gan_discogan::Generator::open(&weights, cpu).map(drop),
        gan_eval::lenet::Classifier::open(&weights, cpu).map(drop),
    ] {
        let said = error.unwrap_err().to_string();
        let said = said.lines().next().unwrap();
        let named = said.matches("some.safetensors: ").count();
        assert!(
            said.starts_with("some.safetensors: ") && named == 1,
            "{said}"
        );
    }
}

/// A line stays one that can be read, whatever is named.
#[test]
fn names_of_any_length_are_shortened() {
    let dir = tempfile::tempdir().unwrap();
    let name = format!("begin/{}/end.safetensors", "x/".repeat(900));
    let text = "y".repeat(3000);
    for (args, code) in [
        (&["sample", "vanilla", "--weights", &name][..], 1),
        (&["weights", "inspect", &name], 1),
        (&["train", "vanilla", "--data", &name], 1),
        (&["train", "vanilla", "--data", &text], 2),
        (&["train", "vanilla", "--out", &name, "--resume"], 1),
        (&["train", &text], 2),
        (&["train", "vanilla", "--set", &text], 2),
        (&["sample", &text], 1),
    ] {
        let line = fails(dir.path(), args, code);
        assert!(line.chars().count() <= 300, "{line}");
        assert!(line.contains("begin/x/") || line.contains("yyy"), "{line}");
    }
}
