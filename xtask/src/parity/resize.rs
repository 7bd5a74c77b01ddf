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
    if !(1. / 64. ..=64.).contains(&scale) {
        bail!("a scale of {scale:e}, expected 1/64 to 64")
    }
    // Before anything is made of the factor: it must be the one between the two.
    let fits = |from: usize, to: usize| (from as f64 * scale).ceil() == to as f64;
    if c == 0 || !fits(h, new_h) || !fits(w, new_w) || new_h * new_w == 0 {
        bail!("{scale} times {:?} is not {:?}", x.dims(), y.dims())
    }
    let (mut difference, mut size) = (0f64, 0f64);
    for channel in 0..c {
        let plane = |t: &Tensor| numbers(&t.narrow(2, channel, 1)?.contiguous()?);
        let (made, _) = bicubic::resized(&plane(x)?, (h, w), scale);
        for (a, b) in made.iter().zip(plane(y)?) {
            difference = difference.max((a - b).abs());
            size = size.max(b.abs());
        }
    }
    Ok(difference / size.max(f64::MIN_POSITIVE))
}
