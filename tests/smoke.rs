//! Every paper trains, goes on, samples, and leaves what a run should leave.

use crate::program::{TOYS, all, bytes, checkpoint, ok, port};
use gan_core::{Checkpoint, Port};
use std::path::Path;

fn pictures(run: &Path, name: &str) -> image::GrayImage {
    image::load_from_memory(&bytes(&run.join("samples").join(name)))
        .unwrap()
        .to_luma8()
}

#[test]
fn every_paper_trains_resumes_and_samples() {
    for recipe in all() {
        let paper = recipe.info().name;
        let dir = tempfile::tempdir().unwrap();
        let train = [
            "train",
            paper,
            "--preset",
            "smoke",
            "--log-every",
            "2",
            "--sample-every",
            "4",
        ];
        let said = ok(
            paper,
            dir.path(),
            &[&train[..], &["--steps", "10", "--until", "6"]].concat(),
        );
        let out = format!("runs/{paper}/0001");
        for word in [
            recipe.info().title,
            recipe.info().data,
            "smoke",
            "cpu",
            &out,
            "paused and saved after 6 of 10 iterations",
        ] {
            assert!(said.contains(word), "{word:?} is missing in\n{said}");
        }
        let run = dir.path().join(&out);
        ok(paper, dir.path(), &["train", paper, "--resume"]);
        let saved = Checkpoint::read(&checkpoint(&run, 10)).unwrap();
        assert_eq!(
            (saved.header.paper.as_str(), saved.header.iteration),
            (paper, 10)
        );

        // Scalars: each logged iteration once, in order, and all finite.
        let csv = String::from_utf8(bytes(&run.join("scalars.csv"))).unwrap();
        let mut steps = Vec::new();
        for line in csv.lines().skip(1) {
            let [t, name, value] = line.split(',').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            assert!(value.parse::<f32>().unwrap().is_finite(), "{line}");
            if name == "loss/g/g" {
                steps.push(t.parse::<u64>().unwrap());
            }
        }
        assert_eq!(steps, [2, 4, 6, 8, 10], "{paper}");

        // Pictures: those of the fixed noise change with training, those of the data are there.
        let first = pictures(&run, "step-00000000-fake.png");
        let last = pictures(&run, "step-00000010-fake.png");
        assert_ne!(first.as_raw(), last.as_raw());
        // What enlarges makes one column; the picture that was given stands beside it in strips.
        let port = port(recipe);
        let real = match &port {
            Some(port) if port.restores => "held-out.png",
            _ => "samples/step-00000010-real.png",
        };
        let real = image::open(run.join(real)).unwrap().into_rgb8();
        assert!(real.pixels().any(|p| p.0[0] > 200));
        let names = std::fs::read_dir(run.join("tensorboard")).unwrap();
        let names: Vec<_> = names.flatten().map(|e| e.file_name()).collect();
        assert!(names.iter().any(|n| n == "fake") && names.iter().any(|n| n == "train"));
        for name in names {
            let events = std::fs::read_dir(run.join("tensorboard").join(&name))
                .unwrap()
                .count();
            assert_eq!(events, 1, "{paper}: {name:?}");
        }
        assert!(run.join("weights/g.safetensors").is_file());

        if let Some(port) = port {
            pictures_are_translated(paper, &port, dir.path(), &out);
            continue;
        }
        ok(
            paper,
            dir.path(),
            &["sample", &out, "-n", "9", "--out", "nine.png"],
        );
        ok(
            paper,
            dir.path(),
            &["sample", &out, "-n", "9", "--out", "again.png"],
        );
        ok(
            paper,
            dir.path(),
            &[
                "sample",
                &out,
                "-n",
                "9",
                "--seed",
                "2",
                "--out",
                "other.png",
            ],
        );
        let sample = |name: &str| bytes(&dir.path().join(name));
        assert_eq!(sample("nine.png"), sample("again.png"));
        assert_ne!(sample("nine.png"), sample("other.png"));
        let nine = image::load_from_memory(&sample("nine.png")).unwrap();
        let one = nine.width() / 3 - 2;
        ok(
            paper,
            dir.path(),
            &[
                "sample",
                &out,
                "-n",
                "2",
                "--interpolate",
                "5",
                "--out",
                "way.png",
            ],
        );
        let way = image::load_from_memory(&sample("way.png")).unwrap();
        assert_eq!(
            (way.width(), way.height()),
            (5 * (one + 2) + 2, 2 * (one + 2) + 2)
        );
    }
}

/// A picture of a size that no network halves keeps it; the same seed gives the same, from the run and, in one
/// direction, from the weights alone.
fn pictures_are_translated(paper: &str, port: &Port, dir: &Path, run: &str) {
    let colours = |x: u32, y: u32| image::Rgb([(x * 5) as u8, (y * 6) as u8, (x * y) as u8]);
    let input = image::RgbImage::from_fn(50, 37, colours);
    input.save(dir.join("input.png")).unwrap();
    let sample = |of: &[&str], out: &str| {
        let args = [&["sample"], of, &["--input", "input.png", "--out", out]].concat();
        ok(paper, dir, &args);
        bytes(&dir.join(out))
    };
    let first = sample(&[run], "a.png");
    assert_eq!(first, sample(&[run], "b.png"), "{paper}");
    let made = image::load_from_memory(&first).unwrap().to_rgb8();
    let scale = port.scale as u32;
    let size = (made.width(), made.height());
    assert_eq!(size, (50 * scale, 37 * scale), "{paper}");
    assert_ne!(made, input, "{paper}");
    if TOYS.iter().any(|toy| toy.info().name == paper) {
        return; // toys open no weights
    }
    let weights = format!("{run}/weights/g.safetensors");
    assert_eq!(
        first,
        sample(&[paper, "--weights", &weights], "w.png"),
        "{paper}"
    );
}

#[test]
fn a_generator_alone_opens_from_its_weights() {
    let dir = tempfile::tempdir().unwrap();
    ok(
        "",
        dir.path(),
        &[
            "train", "vanilla", "--preset", "smoke", "--steps", "4", "--out", "r",
        ],
    );
    let weights = "r/weights/g.safetensors";
    ok(
        "",
        dir.path(),
        &["sample", "r", "-n", "4", "--out", "a.png"],
    );
    ok(
        "",
        dir.path(),
        &[
            "sample",
            "vanilla",
            "--weights",
            weights,
            "-n",
            "4",
            "--out",
            "b.png",
        ],
    );
    assert_eq!(
        bytes(&dir.path().join("a.png")),
        bytes(&dir.path().join("b.png"))
    );
    let said = ok("", dir.path(), &["weights", "inspect", weights]);
    assert!(
        said.contains("generator of vanilla") && said.contains("gen.2.weight"),
        "{said}"
    );
    let said = ok(
        "",
        dir.path(),
        &["weights", "inspect", "r/weights/d.safetensors"],
    );
    assert!(
        said.contains("no generator") && said.contains("gen.0.weight is missing"),
        "{said}"
    );
    let said = ok(
        "",
        dir.path(),
        &[
            "weights",
            "inspect",
            "r/checkpoints/step-00000004.safetensors",
        ],
    );
    assert!(
        said.contains("checkpoint of vanilla after 4 iterations"),
        "{said}"
    );
}

#[test]
fn a_config_file_repeats_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let set = ["--set", "lr=1e-4", "--set", "z_dim=5"];
    let args = [
        "train", "vanilla", "--preset", "smoke", "--steps", "4", "--seed", "7", "--out", "a",
    ];
    ok("", dir.path(), &[&args[..], &set].concat());
    ok(
        "",
        dir.path(),
        &[
            "train",
            "vanilla",
            "--config",
            "a/config.toml",
            "--out",
            "b",
        ],
    );
    let saved = |run| bytes(&checkpoint(&dir.path().join(run), 4));
    assert_eq!(saved("a"), saved("b"));
    // Another setting leaves the length; two epochs have 36 iterations each, but for the last's end.
    let args = [
        "train",
        "vanilla",
        "--config",
        "a/config.toml",
        "--set",
        "lr=1e-3",
        "--dry-run",
    ];
    assert!(ok("", dir.path(), &args).contains("steps   4;"));
    let epochs = [&args[..4], &["--epochs", "2", "--dry-run"]].concat();
    assert!(ok("", dir.path(), &epochs).contains("steps   71;"));
    let text = String::from_utf8(bytes(&dir.path().join("a/config.toml"))).unwrap();
    assert!(
        text.contains("# Components of the noise z.\nz_dim = 5\n"),
        "{text}"
    );
}

#[test]
fn every_benchmark_runs() {
    for bench in all().iter().flat_map(|recipe| recipe.info().bench) {
        let label = bench.label;
        let dir = tempfile::tempdir().unwrap();
        // The benchmark's own batch would take minutes.
        let args = ["bench", label, "--steps", "2", "--seconds", "0.1"];
        let deep = label.contains("srgan");
        let shallow = if deep {
            &["--set", "blocks=1"][..]
        } else {
            &[]
        };
        let rest = [&args[..], &["--set", "batch=2"], shallow].concat();
        let said = ok("", dir.path(), &rest);
        let line: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(line["paper"], label);
        for key in [
            "median_s",
            "min_s",
            "min_cpu_s",
            "peak_rss_mib",
            "batch",
            "threads",
        ] {
            assert!(
                line[key].as_f64().is_some_and(|x| x > 0.),
                "{key} in {line}"
            );
        }
    }
}

#[test]
fn the_workspace_keeps_its_own_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    assert_eq!(xtask::tidy::tidy(&root).unwrap(), Vec::<String>::new());
}
