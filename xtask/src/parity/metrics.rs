//! The recording `metrics`: each measure that `gan-eval` has, on recorded pictures and places.

use super::{Group, Recording, Report, numbers};
use anyhow::{Context as _, Result, bail};
use candle_core::{DType, Tensor};
use gan_core::image::Picture;
use gan_eval::features::FeatureSet;
use gan_eval::frechet::Statistics;
use gan_eval::kid::{kid, standard_error};
use gan_eval::msssim::ms_ssim;
use gan_eval::similarity::{Likeness, likeness};
use gan_eval::sliced::{descriptors, laplacian, sliced_wasserstein};
use serde::Deserialize;

/// What is accepted for a value that is recorded in f64.
const LIMIT: f64 = 1e-9;
/// What is accepted for the levels of a pyramid, which are recorded in f32.
const LIMIT_F32: f64 = 1e-7;

/// Levels of a pyramid at most: each halves the sides.
const LEVELS: usize = 32;

/// Channels of pictures at most: a patch has 49 values of each.
const CHANNELS: usize = 4;

/// The recording's settings.
#[derive(Deserialize)]
struct Config {
    levels: usize,
    /// Pixels that PSNR and SSIM leave out on each side.
    border: usize,
}

/// Compares what can be compared, and lists the rest.
pub fn replay(recording: &Recording) -> Result<Report> {
    let mut groups = Vec::new();
    if recording.with_prefix("swd.").next().is_some() {
        groups.extend(sliced(recording)?);
    }
    if recording.with_prefix("msssim.").next().is_some() {
        groups.push(similarity(recording)?);
    }
    if recording.with_prefix("features.").next().is_some() {
        groups.extend(features(recording)?);
    }
    let pairs: Vec<String> = recording
        .tensors
        .keys()
        .filter_map(|key| pair(key))
        .collect();
    for name in &pairs {
        groups.extend(alike(recording, name)?);
    }
    let mut later: Vec<String> = recording
        .tensors
        .keys()
        .filter_map(|key| key.split('.').next())
        .filter(|part| {
            !["swd", "msssim", "features", "frechet", "kid"].contains(part)
                && !pairs.iter().any(|pair| pair == part)
        })
        .map(str::to_string)
        .collect();
    later.dedup();
    Ok(Report {
        name: recording.name.clone(),
        groups,
        later,
    })
}

/// The distances of two sets of recorded features.
fn features(recording: &Recording) -> Result<Vec<Group>> {
    let set = |which: &str| -> Result<FeatureSet> {
        let key = format!("features.{which}");
        FeatureSet::of(recording.tensor(&key)?).with_context(|| key)
    };
    let (a, b) = (set("a")?, set("b")?);
    let distance = Statistics::new(&a)?.distance(&Statistics::new(&b)?)?;
    let mut groups = vec![
        compared("frechet", recording, &[distance], LIMIT)?,
        compared("kid", recording, &[kid(&a, &b)?], LIMIT)?,
    ];
    if recording.with_prefix("kid.subset.").next().is_some() {
        let subsets = |which: &str| rows(recording, &format!("kid.subset.{which}"));
        let pairs = subsets("a")?.into_iter().zip(subsets("b")?);
        let values = pairs.map(|(in_a, in_b)| Ok(kid(&a.chosen(&in_a)?, &b.chosen(&in_b)?)?));
        let values: Vec<f64> = values.collect::<Result<_>>()?;
        let (mean, error) = standard_error(&values)?;
        groups.extend([
            compared("kid.subset.mean", recording, &[mean], LIMIT)?,
            compared("kid.subset.standard_error", recording, &[error], LIMIT)?,
            compared("kid.subset.values", recording, &values, LIMIT)?,
        ]);
    }
    Ok(groups)
}

/// The name of a pair, of the key of its first picture: `pair0.a`.
fn pair(key: &str) -> Option<String> {
    let name = key.strip_suffix(".a")?;
    let number = name.strip_prefix("pair")?;
    let is = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is.then(|| name.to_string())
}

/// PSNR and SSIM of two pictures of 8 bits.
fn alike(recording: &Recording, name: &str) -> Result<Vec<Group>> {
    let config: Config = recording.meta("config")?;
    let picture = |which: &str| -> Result<Picture> {
        let key = format!("{name}.{which}");
        picture(recording.tensor(&key)?).with_context(|| key)
    };
    let found = likeness(&picture("a")?, &picture("b")?, config.border)
        .with_context(|| name.to_string())?;
    let Likeness {
        psnr_y,
        psnr_rgb,
        ssim_y,
        ssim_rgb,
    } = found;
    let values = [
        ("psnr_rgb", psnr_rgb),
        ("psnr_y", psnr_y),
        ("ssim_rgb", ssim_rgb),
        ("ssim_y", ssim_y),
    ];
    let groups =
        values.map(|(what, value)| compared(&format!("{name}.{what}"), recording, &[value], LIMIT));
    groups.into_iter().collect()
}

/// A recorded picture `[h, w, c]` of 8 bits.
fn picture(tensor: &Tensor) -> Result<Picture> {
    let (height, width, channels) = tensor.dims3()?;
    if tensor.dtype() != DType::U8 {
        bail!("holds {:?}, expected 8 bits a value", tensor.dtype())
    }
    Ok(Picture {
        width,
        height,
        channels,
        bytes: tensor.flatten_all()?.to_vec1()?,
    })
}

fn similarity(recording: &Recording) -> Result<Group> {
    let (a, b) = (recording.tensor("msssim.a")?, recording.tensor("msssim.b")?);
    let got = ms_ssim(a, b)?;
    compared("msssim.value", recording, &got, LIMIT)
}

/// The largest difference from a recorded tensor, as a share of its largest number.
fn compared(name: &str, recording: &Recording, got: &[f64], limit: f64) -> Result<Group> {
    let want = numbers(recording.tensor(name)?)?;
    if got.len() != want.len() {
        bail!("{name}: {} values, {} were recorded", got.len(), want.len())
    }
    let gap = got
        .iter()
        .zip(&want)
        .fold(0f64, |gap, (a, b)| match (a - b).abs() {
            d if d.is_nan() => f64::INFINITY,
            d => gap.max(d),
        });
    let size = want.iter().fold(0f64, |size, x| size.max(x.abs()));
    Ok(Group {
        name: name.into(),
        error: gap / size,
        limit,
    })
}

fn sliced(recording: &Recording) -> Result<Vec<Group>> {
    let config: Config = recording.meta("config")?;
    if !(1..=LEVELS).contains(&config.levels) {
        bail!("levels is {}, expected 1 to {LEVELS}", config.levels)
    }
    let (a, b) = (recording.tensor("swd.a")?, recording.tensor("swd.b")?);
    let channels = a.dims4()?.1;
    if !(1..=CHANNELS).contains(&channels) {
        bail!("pictures of {channels} channels, expected 1 to {CHANNELS}")
    }
    let directions = recording.tensor("swd.directions")?;
    let mut groups = Vec::new();
    let pyramids = (laplacian(a, config.levels)?, laplacian(b, config.levels)?);
    for (level, (a, b)) in pyramids.0.iter().zip(&pyramids.1).enumerate() {
        let positions = positions(recording, &format!("swd.positions.{level}"))?;
        let value = sliced_wasserstein(
            &descriptors(a, &positions)?,
            &descriptors(b, &positions)?,
            directions,
        )?;
        let (name, pyramid) = (format!("swd.value.{level}"), format!("swd.level.{level}.a"));
        groups.push(compared(&name, recording, &[value], LIMIT)?);
        groups.push(compared(&pyramid, recording, &numbers(a)?, LIMIT_F32)?);
    }
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(groups)
}

/// Rows of picture, row and column.
fn positions(recording: &Recording, key: &str) -> Result<Vec<[usize; 3]>> {
    // Rows of nothing could be any number.
    let (_, 3) = recording.tensor(key)?.dims2()? else {
        bail!("{key} does not have three columns")
    };
    let rows = rows(recording, key)?.into_iter();
    rows.map(|row| {
        <[usize; 3]>::try_from(row)
            .ok()
            .with_context(|| format!("{key} has no three columns"))
    })
    .collect()
}

/// Rows of numbers that count something.
fn rows(recording: &Recording, key: &str) -> Result<Vec<Vec<usize>>> {
    let rows: Vec<Vec<i64>> = recording.tensor(key)?.to_dtype(DType::I64)?.to_vec2()?;
    rows.into_iter()
        .map(|row| {
            Ok(row
                .into_iter()
                .map(usize::try_from)
                .collect::<Result<_, _>>()?)
        })
        .collect()
}
