//! Judging runs: every paper's generator has values, each with its protocol; what cannot be judged is said.

use crate::program::{bytes, checkpoint, fails, ok, port, run};
use serde_json::Value;
use std::fs;
use std::path::Path;
use xtask::registry::PAPERS;

/// A smoke run with checkpoints after 2 and 4 iterations.
fn trained(paper: &str, dir: &Path) {
    let train = ["train", paper, "--preset", "smoke", "--out", paper];
    ok(
        "",
        dir,
        &[
            &train[..],
            &["--steps", "4", "--save-every", "2", "--quiet"],
        ]
        .concat(),
    );
}

fn says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in\n{said}");
    }
}

#[test]
fn every_paper_is_judged_at_its_start_and_at_each_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    for recipe in PAPERS {
        let paper = recipe.info().name;
        trained(paper, dir.path());
        let port = port(*recipe);
        let enlarges = port.as_ref().is_some_and(|port| port.scale > 1);
        // Photographs are larger, and fewer are held out.
        let n = if enlarges { "3" } else { "40" };
        let args = ["eval", paper, "-n", n, "--json"];
        let said = ok("", dir.path(), &args);
        let json: Value = serde_json::from_str(&said).unwrap();
        let rows = json["rows"].as_array().unwrap();
        let row = |name: &str| {
            let is = |row: &&Value| {
                let of = row["of"].as_str().unwrap();
                of.split(' ').next() == name.split(' ').next()
            };
            let row = rows
                .iter()
                .find(is)
                .unwrap_or_else(|| panic!("{paper} {name}\n{said}"));
            row["measures"].as_array().unwrap().clone()
        };
        let yardsticks: &[&str] = match port {
            Some(_) if enlarges => &["bicubic"],
            Some(_) => &["input", "truth"],
            None => &["training pictures", "mean + noise"],
        };
        for name in yardsticks.iter().copied().chain(["start", "2", "4"]) {
            let measures = row(name);
            // A network that grows begins with pictures that no measure is for.
            let small = format!("\"of\":\"{name} (");
            let small = said.contains(&small) && said.contains("too small to measure");
            assert!(small || !measures.is_empty(), "{paper} {name}");
            for measure in measures {
                assert!(
                    measure["value"].as_f64().unwrap().is_finite(),
                    "{paper} {name}"
                );
                assert!(!measure["protocol"].as_str().unwrap().is_empty());
            }
        }
        assert_eq!(
            ok("", dir.path(), &args),
            said,
            "{paper}: the same command, other values"
        );
        if enlarges {
            assert!(row("4").iter().any(|m| m["name"] == "better"), "{said}");
            continue;
        }
        if port.is_some() {
            let of = |name: &str, measure: &str| {
                let all = row(name);
                let ends = |m: &&Value| m["name"].as_str().unwrap().ends_with(measure);
                all.iter().find(ends).unwrap()["value"].as_f64().unwrap()
            };
            assert_eq!((of("truth", "l1"), of("input", "of input")), (0., 1.));
            assert!((0.01..2.).contains(&of("4", "of input")), "{said}");
            continue;
        }
        let share = |name: &str| row(name)[0]["of_baseline"].as_f64().unwrap();
        assert_eq!(share("mean + noise"), 1.);
        // Forty pictures are enough to tell training pictures from noise.
        assert!(
            share("training pictures") < 0.7,
            "{paper}: {}",
            share("training pictures")
        );
    }
}

#[test]
fn the_table_says_what_its_values_depend_on() {
    let dir = tempfile::tempdir().unwrap();
    trained("vanilla", dir.path());
    let said = ok(
        "",
        dir.path(),
        &["eval", "vanilla", "-n", "50", "--at", "start,last"],
    );
    says(
        &said,
        &[
            "vanilla on mnist",
            "swd 28x28",
            "swd 14x14",
            "training pictures",
            "mean + noise",
            "(1.00)",
            "start",
            "swd: sliced Wasserstein distance",
            "50 + 50 pictures of 28x28 grey",
            "seed 1",
        ],
    );
    assert!(!said.contains("accuracy"), "{said}");
    let moments = said.lines().filter(|line| line.starts_with("  4 ")).count();
    assert_eq!((moments, said.contains("\n  2 ")), (1, false), "{said}");

    trained("cgan", dir.path());
    let said = ok("", dir.path(), &["eval", "cgan", "-n", "50"]);
    says(
        &said,
        &[
            "accuracy",
            "deviation",
            "LeNet",
            "of the held-out pictures right",
        ],
    );
}

#[test]
fn what_cannot_be_judged_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let fail = |args: &[&str], code, words: &[&str]| {
        says(&fails(dir.path(), &[&["eval"], args].concat(), code), words);
    };
    fail(&["absent"], 1, &["absent", "no such folder"]);
    fs::create_dir(dir.path().join("empty")).unwrap();
    fail(&["empty"], 1, &["empty", "holds no run"]);

    trained("vanilla", dir.path());
    fail(&["vanilla", "--at", "3"], 2, &["--at 3", "start 2 4"]);
    fail(&["vanilla", "--at", "start,first"], 2, &["--at first"]);
    fail(
        &["vanilla", "-n", "1001"],
        2,
        &["-n 1001", "1000 pictures for testing"],
    );

    // A damaged checkpoint is left out with a warning, and refused where it is asked for.
    let newest = checkpoint(&dir.path().join("vanilla"), 4);
    let whole = bytes(&newest);
    fs::write(&newest, &whole[..whole.len() / 2]).unwrap();
    let output = run("", dir.path(), &["eval", "vanilla", "-n", "20"]);
    assert!(output.status.success());
    says(
        &String::from_utf8_lossy(&output.stderr),
        &["warning: ", "step-00000004"],
    );
    fail(&["vanilla", "--at", "4"], 1, &["step-00000004", "damaged"]);
    fs::remove_dir_all(dir.path().join("vanilla/checkpoints")).unwrap();
    fail(
        &["vanilla"],
        1,
        &["holds no intact checkpoint", "--at start"],
    );
    ok(
        "",
        dir.path(),
        &["eval", "vanilla", "-n", "20", "--at", "start"],
    );

    // Data without held-out pictures.
    for i in 0..4u8 {
        let path = dir.path().join(format!("set/{i}.png"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::GrayImage::from_pixel(16, 16, image::Luma([60 * i]))
            .save(path)
            .unwrap();
    }
    let train = [
        "train", "vanilla", "--preset", "smoke", "--steps", "1", "--data", "./set",
    ];
    ok("", dir.path(), &[&train[..], &["--out", "v"]].concat());
    fail(&["v"], 1, &["set", "no pictures for testing", "test/"]);
}
