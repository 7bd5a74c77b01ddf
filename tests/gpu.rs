//! The program on a GPU, or on the stand-in for one: every paper trains, goes on, samples and is measured.

use crate::program::{PAPERS, bytes, checkpoint, ok};
use gan_core::Bench;

/// Iterations of each paper that are compared with the CPU's; on a GPU there are more.
const ITERATIONS: &str = "8";

/// What is made on the GPU is the same from run to run, whether it was stopped or not.
#[test]
fn every_paper_trains_resumes_samples_and_is_measured() {
    for recipe in PAPERS {
        let paper = recipe.info().name;
        let dir = tempfile::tempdir().unwrap();
        let run = |args: &[&str]| ok(paper, dir.path(), args);
        let gpu = ["--device", "cuda"];
        let port = crate::program::port(*recipe);
        let enlarges = port.as_ref().is_some_and(|port| port.scale > 1);
        let train = ["train", paper, "--preset", "smoke", "--steps", "4"];
        // Both stages, and the run goes on in the second.
        let stages: &[&str] = if enlarges {
            &["--set", "pretrain=1"]
        } else {
            &[]
        };
        let train = [&train[..], stages].concat();
        let said = run(&[&train[..], &gpu, &["--out", "whole"]].concat());
        assert!(said.contains("cuda"), "{said}");
        run(&[&train[..], &gpu, &["--out", "parts", "--until", "2"]].concat());
        run(&[&["train", paper, "--out", "parts", "--resume"][..], &gpu].concat());
        let end = |out: &str| bytes(&checkpoint(&dir.path().join(out), 4));
        assert!(end("whole") == end("parts"), "{paper}: resumed, other bits");

        // What enlarges shows no column of what it was given, and is held out fewer and larger pictures.
        let photo = dir.path().join("photo.png");
        image::RgbImage::new(7, 5).save(photo).unwrap();
        let input: &[&str] = match port {
            Some(_) if enlarges => &["--input", "photo.png"],
            Some(_) => &["--input", "whole/samples/step-00000004-real.png"],
            None => &[],
        };
        let n = if enlarges { "2" } else { "40" };
        let sample = [&["sample", "whole", "--out", "sample.png"][..], input, &gpu].concat();
        run(&sample);
        assert!(dir.path().join("sample.png").exists(), "{paper}");
        run(&[&["eval", "whole", "-n", n, "--at", "last"][..], &gpu].concat());
    }
}

/// The whole command, on the networks of the smoke presets, beside a benchmark that says what the reference's
/// would: every recording, every op and each paper's iterations agree with the CPU's.
#[test]
fn gpu_check_passes_and_writes_its_table() {
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("page.md");
    std::fs::write(
        &page,
        "before\n<!-- gpu-check -->\nold\n<!-- /gpu-check -->\nafter\n",
    )
    .unwrap();
    let python = dir.path().join("python");
    let script = "#!/bin/sh\n[ \"$1\" = -c ] || echo '{\"median_s\": 1000}'\n";
    std::fs::write(&python, script).unwrap();
    std::fs::set_permissions(&python, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let args = [
        "gpu-check",
        "--small",
        "--iterations",
        ITERATIONS,
        "--steps",
        "2",
        "--rounds",
        "1",
        "--out",
        "page.md",
        "--python",
        "./python",
    ];
    let said = ok("", dir.path(), &args);
    assert!(said.contains("checks passed"), "{said}");
    let text = String::from_utf8(bytes(&page)).unwrap();
    let table = text
        .strip_prefix("before\n<!-- gpu-check -->\n")
        .and_then(|text| text.strip_suffix("<!-- /gpu-check -->\nafter\n"))
        .unwrap_or_else(|| panic!("{text}"));
    assert!(said.contains(table) && !table.contains("old"), "{text}");
    for recipe in PAPERS {
        let paper = recipe.info().name;
        for line in [
            format!("{paper}, {ITERATIONS} iterations"),
            format!("{paper}, stopped and resumed | the same bits"),
        ] {
            assert!(table.contains(&line), "{line} is missing in\n{table}");
        }
        for Bench { label, .. } in recipe.info().bench {
            let row = table
                .lines()
                .find(|line| line.starts_with(&format!("| {label} |")))
                .unwrap();
            assert!(
                row.contains("| 1,000,000.00 |") || row.contains("| 1000000.00 |"),
                "{row}"
            );
            assert!(!row.contains("not counted"), "{row}");
        }
    }
}
