//! Whoever watches a run from here: the terminal and the files of the run's folder.

pub mod csv;
pub mod cut;
pub mod latest;
pub mod notes;
pub mod pictures;
pub mod progress;
pub mod report;
pub mod strips;
pub mod tensorboard;
pub mod terminal;
pub mod times;

pub use terminal::progress_bar;

use gan_core::FileError;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Thousands apart: 14,063.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The picture of where a run was stopped on the way, in `samples`.
pub const INTERRUPTED: &str = "interrupted.png";

/// The grids of one column in `dir`, in the order of their iterations.
fn grids(dir: &Path, column: &str) -> candle_core::Result<Vec<PathBuf>> {
    let ending = format!("-{column}.png");
    let mut grids = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(writing(dir))? {
        let path = entry.map_err(writing(dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| name.starts_with("step-") && name.ends_with(&ending)) {
            grids.push(path);
        }
    }
    grids.sort();
    Ok(grids)
}

/// `step-00000282-fake.png` in `dir`.
pub fn picture_name(dir: &Path, t: u64, column: &str) -> PathBuf {
    dir.join(format!("step-{t:08}-{column}.png"))
}

/// The update whose minimised loss a scalar is: `d` for `loss/d/d`, and for each of several critic updates `loss/d3/d`.
pub fn minimised(scalar: &str) -> Option<&str> {
    let (update, term) = scalar.strip_prefix("loss/")?.split_once('/')?;
    let plain = update.trim_end_matches(|c: char| c.is_ascii_digit());
    (term == update || term == plain).then_some(plain)
}

/// Whether a file is not older than another; one that is not there is.
pub fn is_since(path: &Path, other: &Path) -> bool {
    let written = |path: &Path| std::fs::metadata(path).and_then(|about| about.modified());
    matches!((written(path), written(other)), (Ok(a), Ok(b)) if a >= b)
}

/// Writes at the end of a file, making it where it is missing.
fn append(path: &Path, text: &str) -> candle_core::Result<()> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(writing(path))
}

/// Wraps an I/O error of a file that is being written.
fn writing(path: &Path) -> impl Fn(std::io::Error) -> candle_core::Error + '_ {
    |e| FileError::writing(path, &e).into()
}
