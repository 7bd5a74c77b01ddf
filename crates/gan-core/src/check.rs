//! Refusing settings out of range, in the same words everywhere.

use crate::data::DataInfo;
use crate::error::brief;
use crate::nn::maps::Norm;
use candle_core::{Result, bail};
use std::fmt::Display;
use std::ops::RangeInclusive;

/// The number of a key must lie in `range`.
pub fn within<T: PartialOrd + Display>(
    key: &str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<()> {
    match range.contains(&value) {
        true => Ok(()),
        false => bail!(
            "{key} is {}, expected {} to {}",
            brief(&value.to_string()),
            range.start(),
            range.end()
        ),
    }
}

/// A width, a batch, a number of steps: from 1 to 16,384.
pub fn size(key: &str, value: usize) -> Result<()> {
    within(key, value, 1..=1 << 14)
}

/// A learning rate or a weight of a loss.
pub fn positive(key: &str, value: f64) -> Result<()> {
    match value > 0. && value.is_finite() {
        true => Ok(()),
        false => bail!(
            "{key} is {}, expected a number above 0",
            brief(&value.to_string())
        ),
    }
}

/// A decay of a moving average, a momentum, a probability of dropping: 0 to below 1.
pub fn fraction(key: &str, value: f64) -> Result<()> {
    match (0. ..1.).contains(&value) {
        true => Ok(()),
        false => bail!(
            "{key} is {}, expected a number from 0 to below 1",
            brief(&value.to_string())
        ),
    }
}

/// A setting `channels` must be the data's.
pub fn channels(channels: usize, data: &DataInfo) -> Result<()> {
    match channels == data.channels {
        true => Ok(()),
        false => bail!(
            "channels is {channels}, but the data's pictures have {}",
            data.channels
        ),
    }
}

/// Squares of `size` that a run cuts from pictures whose shorter side is `jitter` pixels longer.
pub fn crop(size: usize, jitter: usize, multiple: usize) -> Result<()> {
    within("size", size, 8..=4096)?;
    if !size.is_multiple_of(multiple) {
        bail!("size is {size}, expected a multiple of {multiple}")
    }
    within("jitter", jitter, 0..=4096)
}

/// Crops of `size` whose partners are `scale` times smaller; 0: pictures whole.
pub fn crops(size: usize, scale: usize) -> Result<()> {
    if size == 0 {
        return Ok(());
    }
    within("size", size, 8..=4096)?;
    match size.is_multiple_of(scale) {
        true => Ok(()),
        false => bail!("size is {size}, expected a multiple of scale, {scale}"),
    }
}

/// The norm of a network that translates: over the batch or over each map, as the published ones have it.
pub fn norm_of_maps(key: &str, norm: Norm) -> Result<()> {
    match norm {
        Norm::Batch | Norm::Instance => Ok(()),
        Norm::Layer => bail!("{key} is layer, expected batch or instance"),
    }
}
