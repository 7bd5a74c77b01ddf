//! The recording `resize`: MATLAB's bicubic filter, plane by plane.

use super::{Group, Recording, Report, numbers};
use anyhow::{Result, bail};
use candle_core::Tensor;
use gan_core::data::bicubic;
use serde::Deserialize;

/// What is accepted, as the reference's notes have it.
const LIMIT: f64 = 1e-5;

/// One picture made smaller or larger.
#[derive(Deserialize)]
struct Case {
    x: String,
    y: String,
    scale: f64,
}

/// Compares each resized picture.
pub fn replay(recording: &Recording) -> Result<Report> {
    let cases: Vec<Case> = recording.meta("config")?;
    let mut groups = Vec::new();
    for case in cases {
        let (x, y) = (recording.tensor(&case.x)?, recording.tensor(&case.y)?);
        groups.push(Group {
            error: error(x, y, case.scale)?,
            name: case.y,
            limit: LIMIT,
        });
    }
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Report {
        name: recording.name.clone(),
        groups,
        later: Vec::new(),
    })
}

/// max|a−b| / max|b| of `x` `[h, w, c]` scaled, neither clipped nor rounded.
fn error(x: &Tensor, y: &Tensor, scale: f64) -> Result<f64> {
    let (&[h, w, c], &[new_h, new_w, _]) = (x.dims(), y.dims()) else {
        bail!("pictures [h, w, c] were expected, not {:?}", x.dims())
    };
    let (mut difference, mut size) = (0f64, 0f64);
    for channel in 0..c {
        let plane = |t: &Tensor| numbers(&t.narrow(2, channel, 1)?.contiguous()?);
        let (made, size_made) = bicubic::resized(&plane(x)?, (h, w), scale);
        if size_made != (new_h, new_w) {
            bail!("{size_made:?} was made, {new_h}x{new_w} was recorded")
        }
        for (a, b) in made.iter().zip(plane(y)?) {
            difference = difference.max((a - b).abs());
            size = size.max(b.abs());
        }
    }
    Ok(difference / size.max(f64::MIN_POSITIVE))
}
