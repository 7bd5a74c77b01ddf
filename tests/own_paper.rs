//! The example of a paper of one's own: the whole runner serves it.

use crate::program::{bytes, checkpoint, ok, run};

#[test]
fn a_paper_of_ones_own_trains_goes_on_and_is_sampled() {
    let dir = tempfile::tempdir().unwrap();
    let own = |args: &[&str]| ok("own", dir.path(), args);
    let train = ["train", "own", "--preset", "smoke", "--quiet", "--out"];
    own(&[&train[..], &["whole"]].concat());
    own(&[&train[..], &["r", "--until", "5"]].concat());
    own(&["train", "own", "--resume", "--out", "r", "--quiet"]);
    let last = |run: &str| bytes(&checkpoint(&dir.path().join(run), 12));
    assert!(last("r") == last("whole"));
    own(&["sample", "r", "-n", "4", "--out", "four.png"]);
    let four = image::open(dir.path().join("four.png")).unwrap();
    assert_eq!(four.width(), 2 * (28 + 2) + 2);
    // What it does not declare is left out of what is said.
    let said = own(&["list"]);
    assert!(
        said.trim_end().ends_with("own          A GAN of one's own"),
        "{said}"
    );
    let said = own(&["info", "own"]);
    assert!(
        said.contains("Pictures in a batch") && !said.contains("arxiv"),
        "{said}"
    );
    let args = ["sample", "own", "--weights", "r/weights/g.safetensors"];
    let said = run("own", dir.path(), &args).stderr;
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(
        said.contains("weights of own are not opened alone"),
        "{said}"
    );
}
