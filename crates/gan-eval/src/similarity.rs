//! Enlarged and mended photographs beside the true ones: PSNR and SSIM as super-resolution states them, and how much
//! fine detail there is.
//!
//! Pictures are of 8 bits, as their files are; all is reckoned in f64. Y is BT.601's luma in studio range, 16 + 65.481 R
//! + 128.553 G + 24.966 B for R, G, B in [0, 1], not rounded; a grey picture counts as one of three equal channels.

use crate::msssim::similarities;
use crate::sliced::smoothed;
use candle_core::{Result, bail};
use gan_core::image::Picture;

/// The smallest side, borders taken off: of SSIM's window.
pub const LEAST: usize = 11;
/// PSNR of a picture without any difference, and the highest there is, in dB.
pub const HIGHEST: f64 = 100.;

/// How much a picture is like another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Likeness {
    /// 10·log₁₀(255² ÷ mean squared difference) of Y, in dB; at most [`HIGHEST`].
    pub psnr_y: f64,
    /// The same of all channels together.
    pub psnr_rgb: f64,
    /// Structural similarity of Y (Wang et al. 2004: Gaussian window of 11x11, σ 1.5, K₁ .01, K₂ .03, range 255), the
    /// mean over places where the window fits; 1 for equal pictures.
    pub ssim_y: f64,
    /// The mean of the channels' structural similarities.
    pub ssim_rgb: f64,
}

/// How much a picture is like the true one, without `border` pixels on each side.
///
/// # Errors
/// Pictures of two sizes or kinds; sides below [`LEAST`] without the borders; fewer bytes than the sizes say.
pub fn likeness(picture: &Picture, truth: &Picture, border: usize) -> Result<Likeness> {
    let (a, b) = (Inside::new(picture, border)?, Inside::new(truth, border)?);
    if (a.size, a.planes.len()) != (b.size, b.planes.len()) {
        bail!(
            "a picture {} wide and {} high of {} channels is compared with one {} wide and {} high of {}",
            picture.width,
            picture.height,
            picture.channels,
            truth.width,
            truth.height,
            truth.channels
        )
    }
    let channels = a.planes.len() as f64;
    let pairs = || a.planes.iter().zip(&b.planes);
    let error = pairs().map(|(a, b)| squared(a, b)).sum::<f64>() / channels;
    let ssim: f64 = pairs().map(|(p, q)| mean_similarity(p, q, a.size)).sum();
    let (ya, yb) = (a.luma(), b.luma());
    Ok(Likeness {
        psnr_y: decibels(squared(&ya, &yb)),
        psnr_rgb: decibels(error),
        ssim_y: mean_similarity(&ya, &yb, a.size),
        ssim_rgb: ssim / channels,
    })
}

/// The energy of what is fine in a picture, without `border` pixels on each side: the mean square of Y minus Y smoothed
/// with the Laplacian pyramid's kernel, [1 4 6 4 1] / 16 in both directions. Blurred pictures have little of it; it is
/// stated as a share of the true picture's.
///
/// # Errors
/// As [`likeness`].
pub fn high_frequency(picture: &Picture, border: usize) -> Result<f64> {
    let inside = Inside::new(picture, border)?;
    let luma = inside.luma();
    Ok(squared(&smoothed(luma.clone(), inside.size)?, &luma))
}

/// The values of a picture without its borders.
struct Inside {
    /// Height and width.
    size: (usize, usize),
    /// One of each channel.
    planes: Vec<Vec<f64>>,
}

impl Inside {
    fn new(picture: &Picture, border: usize) -> Result<Self> {
        let &Picture {
            width,
            height,
            channels,
            ref bytes,
        } = picture;
        let without = |side: usize| {
            side.checked_sub(border.saturating_mul(2))
                .filter(|side| *side >= LEAST)
        };
        let (Some(h), Some(w)) = (without(height), without(width)) else {
            bail!(
                "a picture {width} wide and {height} high is too small to measure: {border} pixels are taken off on each \
                 side, and {LEAST} have to be left"
            )
        };
        if !matches!(channels, 1 | 3) || bytes.len() != width * height * channels {
            bail!(
                "a picture {width} wide and {height} high has {} values and {channels} channels, expected 1 or 3",
                bytes.len()
            )
        }
        let plane = |channel: usize| {
            let rows = bytes.chunks_exact(width * channels).skip(border).take(h);
            let values = rows.flat_map(|row| {
                let row = row.iter().skip(channel).step_by(channels);
                row.skip(border).take(w).map(|&x| f64::from(x))
            });
            values.collect()
        };
        Ok(Self {
            size: (h, w),
            planes: (0..channels).map(plane).collect(),
        })
    }

    /// BT.601's luma in studio range, from 16 to 235.
    fn luma(&self) -> Vec<f64> {
        match &self.planes[..] {
            [r, g, b] => {
                let pixels = r.iter().zip(g).zip(b);
                pixels
                    .map(|((r, g), b)| 16. + (65.481 * r + 128.553 * g + 24.966 * b) / 255.)
                    .collect()
            }
            planes => planes
                .iter()
                .flatten()
                .map(|x| 16. + 219. * x / 255.)
                .collect(),
        }
    }
}

/// The mean squared difference.
fn squared(a: &[f64], b: &[f64]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b));
    squares.sum::<f64>() / a.len() as f64
}

fn decibels(error: f64) -> f64 {
    (10. * (255. * 255. / error).log10()).min(HIGHEST)
}

fn mean_similarity(a: &[f64], b: &[f64], size: (usize, usize)) -> f64 {
    let all = similarities([a, b], size, true);
    all.iter().sum::<f64>() / all.len() as f64
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn picture(
        (width, height): (usize, usize),
        channels: usize,
        of: impl Fn(usize) -> usize,
    ) -> Picture {
        Picture {
            width,
            height,
            channels,
            bytes: (0..width * height * channels)
                .map(|i| of(i) as u8)
                .collect(),
        }
    }

    #[test]
    fn equal_pictures_and_steps_of_one_have_known_values() {
        let a = picture((20, 17), 3, |i| i * 31 % 200);
        let same = likeness(&a, &a, 2).unwrap();
        assert_eq!((same.psnr_y, same.psnr_rgb), (HIGHEST, HIGHEST));
        assert!((same.ssim_y - 1.).abs() < 1e-12 && (same.ssim_rgb - 1.).abs() < 1e-12);
        // One step in each channel is 219/255 of one in Y: 20·log₁₀ 255 and 20·log₁₀(255·255/219) dB.
        let b = picture((20, 17), 3, |i| i * 31 % 200 + 1);
        let near = likeness(&b, &a, 2).unwrap();
        assert!((near.psnr_rgb - 20. * 255f64.log10()).abs() < 1e-9);
        assert!((near.psnr_y - 20. * (255. * 255. / 219f64).log10()).abs() < 1e-9);
        assert!(near.ssim_y < 1. && near.ssim_y > 0.99);
        // A difference in the borders alone is none.
        let edge = picture((20, 17), 3, |i| i * 31 % 200 + usize::from(i < 60));
        assert_eq!(likeness(&edge, &a, 2).unwrap(), same);
        assert_ne!(likeness(&edge, &a, 0).unwrap(), same);
        // Grey is three equal channels.
        let (grey, other) = (
            picture((15, 15), 1, |i| i),
            picture((15, 15), 1, |i| i * i % 200),
        );
        let three = |of: &Picture| picture((15, 15), 3, |i| usize::from(of.bytes[i / 3]));
        let (one, all) = (
            likeness(&grey, &other, 1).unwrap(),
            likeness(&three(&grey), &three(&other), 1).unwrap(),
        );
        for (a, b) in [
            (one.psnr_y, all.psnr_y),
            (one.psnr_rgb, all.psnr_rgb),
            (one.ssim_y, all.ssim_y),
            (one.ssim_rgb, all.ssim_rgb),
        ] {
            assert!((a - b).abs() < 1e-9, "{one:?} and {all:?}");
        }
    }

    #[test]
    fn what_is_fine_counts_and_what_is_plain_does_not() {
        let flat = picture((14, 14), 3, |_| 90);
        assert!(high_frequency(&flat, 1).unwrap() < 1e-20);
        // Black and white pixels in turn: smoothing leaves their mean, and half the range of Y is the difference.
        let board = picture((15, 13), 1, |i| i % 15 % 2 * 255);
        let energy = high_frequency(&board, 1).unwrap();
        assert!((energy - 109.5 * 109.5).abs() < 1e-9, "{energy}");
        let ramp = picture((40, 40), 1, |i| i % 40 * 3);
        assert!(high_frequency(&ramp, 0).unwrap() < 0.01 * energy);
    }

    #[test]
    fn what_cannot_be_compared_is_said() {
        let a = picture((19, 19), 3, |i| i % 255);
        assert!(likeness(&a, &a, 4).is_ok());
        for (other, border, says) in [
            (
                picture((19, 18), 3, |i| i % 255),
                4,
                "19 wide and 18 high is too small",
            ),
            (
                picture((1, 1), 3, |_| 0),
                usize::MAX / 4,
                "1 wide and 1 high is too small",
            ),
            (
                picture((19, 20), 3, |i| i % 255),
                0,
                "compared with one 19 wide and 20 high",
            ),
            (
                picture((19, 19), 1, |i| i % 255),
                0,
                "of 3 channels is compared",
            ),
            (
                picture((19, 19), 2, |i| i % 255),
                0,
                "2 channels, expected 1 or 3",
            ),
        ] {
            let error = likeness(&a, &other, border).unwrap_err().to_string();
            let alone = high_frequency(&other, border).map_err(|e| e.to_string());
            let said = alone.is_err_and(|alone| alone.contains(says));
            assert!(error.contains(says) || said, "{error}");
        }
    }
}
