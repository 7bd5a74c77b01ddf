//! The program on a GPU, or on the stand-in for one: every paper trains, goes on, samples and is measured.

use crate::program::{PAPERS, bytes, checkpoint, ok};

/// What is made on the GPU is the same from run to run, whether it was stopped or not.
#[test]
fn every_paper_trains_resumes_samples_and_is_measured() {
    for recipe in PAPERS {
        let paper = recipe.info().name;
        let dir = tempfile::tempdir().unwrap();
        let run = |args: &[&str]| ok(paper, dir.path(), args);
        let gpu = ["--device", "cuda"];
        let train = ["train", paper, "--preset", "smoke", "--steps", "4"];
        let said = run(&[&train[..], &gpu, &["--out", "whole"]].concat());
        assert!(said.contains("cuda"), "{said}");
        run(&[&train[..], &gpu, &["--out", "parts", "--until", "2"]].concat());
        run(&[&["train", paper, "--out", "parts", "--resume"][..], &gpu].concat());
        let end = |out: &str| bytes(&checkpoint(&dir.path().join(out), 4));
        assert!(end("whole") == end("parts"), "{paper}: resumed, other bits");

        let takes = crate::program::port(*recipe).is_some();
        let real = format!("whole/samples/step-{:08}-real.png", 4);
        let input: &[&str] = if takes { &["--input", &real] } else { &[] };
        let sample = [&["sample", "whole", "--out", "sample.png"][..], input, &gpu].concat();
        run(&sample);
        assert!(dir.path().join("sample.png").exists(), "{paper}");
        run(&[&["eval", "whole", "-n", "40", "--at", "last"][..], &gpu].concat());
    }
}
