//! Networks that start from saved weights: `train --init NET=FILE`.

use crate::program::{PAPERS, bytes, checkpoint, fails, ok};
use candle_core::Tensor;
use gan_core::{Checkpoint, Weights};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

fn smoke<'a>(paper: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let all = [
        "train",
        paper,
        "--preset",
        "smoke",
        "--steps",
        "2",
        "--quiet",
        "--save-every",
        "1",
        "--log-every",
        "0",
        "--sample-every",
        "0",
        "--threads",
        "1",
        "--out",
        out,
    ];
    [&all, more].concat()
}

/// The tensors of a network in a checkpoint.
fn network(checkpoint: &Checkpoint, net: &str) -> BTreeMap<String, Tensor> {
    let tensors = checkpoint.tensors().iter();
    let of =
        tensors.filter_map(|(key, tensor)| Some((key.strip_prefix(&format!("{net}."))?, tensor)));
    of.map(|(key, tensor)| (key.to_string(), tensor.clone()))
        .collect()
}

fn save(path: &Path, tensors: &BTreeMap<String, Tensor>) {
    let tensors: HashMap<_, _> = tensors.clone().into_iter().collect();
    candle_core::safetensors::save(&tensors, path).unwrap();
}

#[test]
fn every_network_of_every_paper_starts_from_saved_weights() {
    for recipe in PAPERS {
        let dir = tempfile::tempdir().unwrap();
        let paper = recipe.info().name;
        ok(paper, dir.path(), &smoke(paper, "first", &["--seed", "2"]));
        let last = Checkpoint::read(&checkpoint(&dir.path().join("first"), 2)).unwrap();
        let nets = std::fs::read_dir(dir.path().join("first/weights"))
            .unwrap()
            .flatten();
        let nets: Vec<String> = nets
            .map(|entry| {
                entry
                    .path()
                    .file_stem()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_string()
            })
            .filter(|net| !network(&last, net).is_empty())
            .collect();
        assert!(!nets.is_empty(), "{paper}");
        let file = checkpoint(&dir.path().join("first"), 2);
        let words: Vec<String> = nets
            .iter()
            .map(|net| format!("{net}={}", file.display()))
            .collect();
        let init: Vec<&str> = words
            .iter()
            .flat_map(|word| ["--init", word.as_str()])
            .collect();
        let text = ok(
            paper,
            dir.path(),
            &[&smoke(paper, "second", &init)[..], &["--dry-run"]].concat(),
        );
        for net in &nets {
            assert!(
                text.contains(&format!("note    {net} starts from ")),
                "{paper}: {text}"
            );
        }
        ok(paper, dir.path(), &smoke(paper, "second", &init));
        let config = std::fs::read_to_string(dir.path().join("second/config.toml")).unwrap();
        assert!(config.contains("init = {"), "{config}");
        let begun = Checkpoint::read(&checkpoint(&dir.path().join("second"), 1)).unwrap();
        for net in &nets {
            let [begun, from] = [&begun, &last].map(|of| network(of, net));
            assert_eq!(begun.len(), from.len(), "{paper} {net}");
            // One iteration moves kernels little; those of another seed are elsewhere.
            let length = |of: &dyn Fn(&str) -> Tensor| -> f64 {
                let kernels = from.iter().filter(|(_, tensor)| tensor.rank() > 1);
                let squares = kernels.map(|(key, _)| of(key).sqr().unwrap().sum_all().unwrap());
                squares
                    .map(|sum| f64::from(sum.to_scalar::<f32>().unwrap()))
                    .sum::<f64>()
                    .sqrt()
            };
            let moved = length(&|key| (&begun[key] - &from[key]).unwrap());
            let whole = length(&|key| from[key].clone());
            assert!(moved < 0.5 * whole, "{paper} {net}: {moved} of {whole}");
        }
        // The same again, from its settings alone.
        let config = dir.path().join("second/config.toml");
        let config = config.to_str().unwrap();
        ok(
            paper,
            dir.path(),
            &[
                "train",
                paper,
                "--config",
                config,
                "--quiet",
                "--threads",
                "1",
                "--out",
                "third",
            ],
        );
        let ends = ["second", "third"].map(|run| bytes(&checkpoint(&dir.path().join(run), 2)));
        assert!(ends[0] == ends[1], "{paper}");
    }
}

#[test]
fn a_network_is_what_its_file_holds_and_no_other_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    // With a rate so small that no weight moves.
    let still = ["--set", "lr=1e-30"];
    for (out, more) in [("a", &["--seed", "1"][..]), ("b", &["--seed", "2"])] {
        ok(
            "dcgan",
            dir.path(),
            &smoke("dcgan", out, &[&still[..], more].concat()),
        );
    }
    let g = dir.path().join("b/weights/g.safetensors");
    let word = format!("g={}", g.display());
    ok(
        "dcgan",
        dir.path(),
        &smoke(
            "dcgan",
            "c",
            &[&still[..], &["--seed", "1", "--init", &word]].concat(),
        ),
    );
    let read = |run: &str, net: &str| {
        let weights =
            Weights::read(&dir.path().join(format!("{run}/weights/{net}.safetensors"))).unwrap();
        let kernels = weights.iter().filter(|(_, tensor)| tensor.rank() > 1);
        let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        kernels
            .map(|(key, tensor)| (key.to_string(), values(tensor)))
            .collect::<Vec<_>>()
    };
    assert_eq!(read("c", "g"), read("b", "g"));
    assert_ne!(read("c", "g"), read("a", "g"));
    assert_eq!(read("c", "d"), read("a", "d"));
}

#[test]
fn an_average_starts_where_its_network_does() {
    let dir = tempfile::tempdir().unwrap();
    ok(
        "progan",
        dir.path(),
        &smoke("progan", "a", &["--seed", "2"]),
    );
    let word = format!("g={}", dir.path().join("a/weights/g.safetensors").display());
    ok(
        "progan",
        dir.path(),
        &smoke("progan", "b", &["--init", &word]),
    );
    let read = |run: &str, t, net: &str| {
        network(
            &Checkpoint::read(&checkpoint(&dir.path().join(run), t)).unwrap(),
            net,
        )
    };
    let (from, average) = (read("a", 2, "g"), read("b", 1, "ema"));
    let far = average.iter().map(|(key, tensor)| {
        let d = (tensor - &from[key])
            .unwrap()
            .abs()
            .unwrap()
            .max_all()
            .unwrap();
        d.to_scalar::<f32>().unwrap()
    });
    // .999 of it, and .001 of what one iteration has made of it.
    let most = far.fold(0., f32::max);
    assert!(most < 1e-4, "{most}");
}

#[test]
fn a_run_that_was_killed_at_once_starts_from_the_same_files_again() {
    let dir = tempfile::tempdir().unwrap();
    ok(
        "vanilla",
        dir.path(),
        &smoke("vanilla", "a", &["--seed", "2"]),
    );
    let g = dir.path().join("g.safetensors");
    std::fs::copy(dir.path().join("a/weights/g.safetensors"), &g).unwrap();
    for out in ["whole", "cut"] {
        ok(
            "vanilla",
            dir.path(),
            &smoke("vanilla", out, &["--init", "g=g.safetensors"]),
        );
    }
    // As it is when a process is killed before its first checkpoint.
    let cut = dir.path().join("cut");
    for folder in ["checkpoints", "weights"] {
        std::fs::remove_dir_all(cut.join(folder)).unwrap();
    }
    let resume = [
        "train",
        "vanilla",
        "--resume",
        "--quiet",
        "--threads",
        "1",
        "--out",
        "cut",
    ];
    let kept = bytes(&g);
    std::fs::remove_file(&g).unwrap();
    let line = fails(dir.path(), &resume, 1);
    assert!(line.contains("g.safetensors: cannot be read"), "{line}");
    std::fs::copy(dir.path().join("whole/weights/g.safetensors"), &g).unwrap();
    let line = fails(dir.path(), &resume, 1);
    assert!(
        line.contains("holds other weights than g of this run began with"),
        "{line}"
    );
    std::fs::write(&g, kept).unwrap();
    ok("vanilla", dir.path(), &resume);
    let ends = ["whole", "cut"].map(|run| bytes(&checkpoint(&dir.path().join(run), 2)));
    assert!(ends[0] == ends[1]);
    // From then on they are not needed.
    std::fs::remove_file(&g).unwrap();
    ok(
        "vanilla",
        dir.path(),
        &[&resume[..], &["--steps", "3"]].concat(),
    );
}

#[test]
fn what_does_not_fit_is_refused_before_there_is_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    ok("dcgan", dir.path(), &smoke("dcgan", "a", &[]));
    let tensors = network(
        &Checkpoint::read(&checkpoint(&dir.path().join("a"), 2)).unwrap(),
        "g",
    );
    let key = tensors
        .keys()
        .find(|key| key.ends_with("weight"))
        .unwrap()
        .clone();
    let with = |name: &str, change: &dyn Fn(&mut BTreeMap<String, Tensor>)| {
        let mut changed = tensors.clone();
        change(&mut changed);
        save(&dir.path().join(name), &changed);
    };
    with("missing.safetensors", &|t| drop(t.remove(&key)));
    with("more.safetensors", &|t| {
        drop(t.insert("x.weight".into(), t[&key].clone()))
    });
    with("shape.safetensors", &|t| {
        drop(t.insert(key.clone(), t[&key].unsqueeze(0).unwrap()))
    });
    with("nan.safetensors", &|t| {
        drop(t.insert(key.clone(), (&t[&key] * f64::NAN).unwrap()))
    });
    let cases = [
        (
            "g=missing.safetensors",
            1,
            format!("missing.safetensors: {key} is missing"),
        ),
        (
            "g=more.safetensors",
            1,
            "more.safetensors: x.weight is more than g has".into(),
        ),
        (
            "g=shape.safetensors",
            1,
            format!("shape.safetensors: {key} is [1, "),
        ),
        ("g=nan.safetensors", 1, "nan.safetensors".into()),
        (
            "g=absent.safetensors",
            1,
            "absent.safetensors: cannot be read".into(),
        ),
        (
            "x=missing.safetensors",
            2,
            "no network of that name; known: d g".into(),
        ),
        ("g", 2, "expected NET=FILE".into()),
        ("=x", 2, "expected NET=FILE".into()),
    ];
    for (word, code, expected) in cases {
        let line = fails(dir.path(), &smoke("dcgan", "b", &["--init", word]), code);
        assert!(line.contains(&expected), "{word}: {line}");
        assert!(!dir.path().join("b").exists());
    }
    // Of a file that holds several networks the one of that name is taken, or none.
    let all = checkpoint(&dir.path().join("a"), 2);
    let word = format!("c={}", all.display());
    let line = fails(dir.path(), &smoke("dcgan", "b", &["--init", &word]), 1);
    assert!(line.contains("\"c\"") || line.contains(" c"), "{line}");
    let resume = ["train", "dcgan", "--resume", "--out", "a", "--init", "g=x"];
    let output = crate::program::run("dcgan", dir.path(), &resume);
    assert_eq!(output.status.code(), Some(2));
}
