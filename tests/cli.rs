//! Help, plans, suggestions.

use crate::program::{all, fails, ok};
use xtask::registry::PAPERS;

/// What is elsewhere is known by name, and a program that does not fetch says which one does.
#[cfg(not(feature = "hub"))]
#[test]
fn what_is_elsewhere_is_fetched_by_another_program() {
    let dir = tempfile::tempdir().unwrap();
    for args in [
        &["train", "dcgan", "--data", "hf:org/name"][..],
        &["train", "dcgan", "--data", "cifar-10"],
        &["data", "get", "cifar-10"],
        &["data", "inspect", "mnist-full"],
        &["weights", "get", "esrgan"],
        &["weights", "inspect", "hf:org/name/g.pth"],
        &[
            "sample",
            "esrgan",
            "--weights",
            "esrgan",
            "--input",
            "x.png",
        ],
        &["train", "esrgan", "--init", "g=esrgan"],
        &["train", "srgan", "--vgg", "vgg19"],
    ] {
        let line = fails(dir.path(), args, 2);
        assert!(
            line.contains("write cargo xtask-hub in place of cargo xtask"),
            "{args:?}: {line}"
        );
    }
    let text = ok("", dir.path(), &["data", "ls"]);
    assert!(
        text.contains("cifar-10") && text.contains("hf:uoft-cs/cifar10"),
        "{text}"
    );
    let text = ok("", dir.path(), &["weights", "ls"]);
    assert!(text.contains("licence: Apache-2.0"), "{text}");
}

#[test]
fn help_names_every_command_and_shows_examples() {
    let dir = tempfile::tempdir().unwrap();
    let help = ok("", dir.path(), &["--help"]);
    for command in [
        "train", "sample", "list", "info", "data", "weights", "parity", "bench", "doctor", "tidy",
    ] {
        assert!(help.contains(&format!("\n  {command} ")), "{command}");
        let help = ok("", dir.path(), &[command, "--help"]);
        assert!(help.contains("Usage: cargo xtask"), "{command}");
    }
    for command in ["train", "sample", "parity", "bench"] {
        let help = ok("", dir.path(), &[command, "--help"]);
        assert!(help.contains("Examples:\n  cargo xtask"), "{command}");
    }
}

#[test]
fn list_and_info_show_every_paper_and_every_setting() {
    let dir = tempfile::tempdir().unwrap();
    let list = ok("", dir.path(), &["list"]);
    for recipe in PAPERS {
        let paper = recipe.info();
        assert!(list.contains(paper.name) && list.contains(paper.title));
        let info = ok("", dir.path(), &["info", paper.name]);
        for (key, about) in xtask::settings::keys(*recipe) {
            assert!(
                !about.is_empty(),
                "{}: {key} has no description",
                paper.name
            );
            assert!(
                info.contains(&key) && info.contains(&about),
                "{key} in\n{info}"
            );
        }
    }
}

#[test]
fn a_dry_run_shows_the_plan_and_makes_nothing() {
    for recipe in all() {
        let (paper, dir) = (recipe.info().name, tempfile::tempdir().unwrap());
        let said = ok(
            paper,
            dir.path(),
            &[
                "train",
                paper,
                "--dry-run",
                "--steps",
                "77",
                "--set",
                "lr=0.005",
            ],
        );
        for word in ["77", "lr=0.005", recipe.info().data, "dry run"] {
            assert!(said.contains(word), "{word} in\n{said}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

#[test]
fn data_sets_are_listed_and_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    assert!(ok("", dir.path(), &["data", "ls"]).contains("mnist"));
    let said = ok(
        "",
        dir.path(),
        &["data", "inspect", "mnist", "--out", "sheet.png"],
    );
    assert!(
        said.contains("9000 pictures, 28 x 28") && said.contains("10 classes"),
        "{said}"
    );
    assert!(image::open(dir.path().join("sheet.png")).is_ok());
}

#[test]
fn wrong_usage_is_code_2_and_names_the_nearest() {
    let dir = tempfile::tempdir().unwrap();
    let smoke = |rest: &[&str]| -> Vec<String> {
        let args = [&["train", "vanilla", "--preset", "smoke"], rest].concat();
        args.into_iter().map(String::from).collect()
    };
    for (args, words) in [
        (
            vec!["train".into(), "vanila".into()],
            "did you mean \"vanilla\"?",
        ),
        (vec!["train".into(), "xyz".into()], "known: vanilla"),
        (
            vec!["info".into(), "vanill".into()],
            "did you mean \"vanilla\"?",
        ),
        (smoke(&["--set", "hiden_d=3"]), "did you mean \"hidden_d\"?"),
        (smoke(&["--set", "lr"]), "expected KEY=VALUE"),
        (smoke(&["--set", "lr=fast"]), "invalid type"),
        (smoke(&["--set", "batch=-1"]), "batch=-1"),
        (smoke(&["--set", "batch=0"]), "batch is 0"),
        (smoke(&["--set", "epochs=2"]), "has no setting \"epochs\""),
        (smoke(&["--set", "z_dim=1048576"]), "z_dim is 1048576"),
        (smoke(&["--set", "lr=0"]), "lr is 0"),
        (smoke(&["--set", "beta1=1"]), "beta1 is 1"),
        (smoke(&["--steps", "0"]), "at least one iteration"),
        (smoke(&["--device", "gpu"]), "expected auto, cpu, cuda"),
        (smoke(&["--data", "mnits"]), "did you mean \"mnist\"?"),
        (vec!["sample".into(), "pix2pix".into()], "add --weights"),
        (
            vec!["bench".into(), "vanila".into()],
            "did you mean \"vanilla\"?",
        ),
    ] {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let line = fails(dir.path(), &args, 2);
        assert!(line.contains(words), "{words:?} in {line}");
    }
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        0,
        "something was left behind"
    );
}

#[cfg(not(feature = "cuda"))]
#[test]
fn cuda_is_refused_where_it_was_not_built_in() {
    let dir = tempfile::tempdir().unwrap();
    let line = fails(dir.path(), &["train", "vanilla", "--device", "cuda"], 2);
    assert!(
        line.contains("built without CUDA") && line.contains("--device cpu"),
        "{line}"
    );
}
