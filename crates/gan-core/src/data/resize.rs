//! Pictures brought to another height and width, or put within a border: 8 bits a channel.
//!
//! Where both sides shrink by one whole factor, each value is the mean of its square, as in the papers
//! that halve pictures. Else a triangle filter, widened by the factor on the way down: what users of
//! other tools know as antialiased bilinear.

use super::view::LARGEST_SIDE;
use super::{Held, Part, Pictures, labels_of};
use crate::FileError;
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use std::path::Path;

/// A part of a picture of this height and width, `channels` (1 or 3) last, brought to another size.
///
/// # Errors
/// A picture of other channels or fewer values; the sentence says so.
pub(super) fn brought(
    pixels: &[u8],
    channels: usize,
    (h, w): (usize, usize),
    part: Part,
    (new_h, new_w): (usize, usize),
) -> Result<Vec<u8>, String> {
    let kind = match channels {
        1 => PixelType::U8,
        3 => PixelType::U8x3,
        _ => return Err(format!("has {channels} channels, expected 1 or 3")),
    };
    if (part.height, part.width) == (new_h, new_w) {
        let rows = pixels.chunks_exact((w * channels).max(1)).skip(part.top);
        let rows = rows.take(part.height);
        return Ok(rows
            .flat_map(|row| {
                row.iter()
                    .skip(part.left * channels)
                    .take(part.width * channels)
            })
            .copied()
            .collect());
    }
    let factor = part.height / new_h.max(1);
    if factor > 1 && part.height == factor * new_h && part.width == factor * new_w {
        return Ok(means(pixels, channels, w, part, factor));
    }
    let failed = |e: &dyn std::fmt::Display| format!("cannot be resized ({e})");
    let from = ImageRef::new(w as u32, h as u32, pixels, kind).map_err(|e| failed(&e))?;
    let mut to = Image::new(new_w as u32, new_h as u32, kind);
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .use_alpha(false)
        .crop(
            part.left as f64,
            part.top as f64,
            part.width as f64,
            part.height as f64,
        );
    Resizer::new()
        .resize(&from, &mut to, &options)
        .map_err(|e| failed(&e))?;
    Ok(to.into_vec())
}

/// The mean of each square of pixels, rounded; filters that work line by line would round twice.
fn means(pixels: &[u8], channels: usize, w: usize, part: Part, factor: usize) -> Vec<u8> {
    let rows = pixels
        .chunks_exact(w * channels)
        .skip(part.top)
        .take(part.height);
    let rows: Vec<&[u8]> = rows.collect();
    let count = (factor * factor) as u32;
    let mut made = Vec::with_capacity(rows.len() / factor * part.width / factor * channels);
    for rows in rows.chunks_exact(factor) {
        let mut sums = vec![0u32; part.width / factor * channels];
        for row in rows {
            let row = row.chunks_exact(channels).skip(part.left).take(part.width);
            for (i, pixel) in row.enumerate() {
                let sums = sums.iter_mut().skip(i / factor * channels);
                sums.zip(pixel).for_each(|(sum, &x)| *sum += u32::from(x));
            }
        }
        made.extend(
            sums.into_iter()
                .map(|sum| ((sum + count / 2) / count) as u8),
        );
    }
    made
}

/// Channels last to channels first.
pub(super) fn planar(pixels: Vec<u8>, channels: usize) -> Vec<u8> {
    match channels {
        1 => pixels,
        _ => (0..channels)
            .flat_map(|channel| pixels.iter().skip(channel).step_by(channels).copied())
            .collect(),
    }
}

/// A square set of this size with a black border of equal width, or one pixel more at the end, around
/// its pictures of one size: MNIST's digits as 32x32.
///
/// # Errors
/// A size below the pictures' or above 8192; those of reading.
pub fn padded(pictures: &dyn Pictures, size: usize) -> Result<Held, FileError> {
    let wrong =
        |problem: String| FileError::new(Path::new("data set"), problem, "choose another size");
    let info = pictures.info();
    let (height, width) = (info.height, info.width);
    if size < height.max(width) || size > LARGEST_SIDE || info.smallest.is_some() {
        return Err(wrong(format!(
            "pictures of {height}x{width} cannot be padded to {size}x{size}"
        )));
    }
    let (top, left) = ((size - height) / 2, (size - width) / 2);
    let mut bytes = Vec::with_capacity(info.len * info.channels * size * size);
    let mut picture = Vec::with_capacity(info.pixels());
    for i in 0..info.len {
        picture.clear();
        pictures.whole(i, &mut picture)?;
        for plane in picture.chunks_exact(height * width) {
            let start = bytes.len();
            bytes.resize(start + size * size, 0);
            for (row, values) in plane.chunks_exact(width).enumerate() {
                let at = start + (top + row) * size + left;
                if let Some(slot) = bytes.get_mut(at..at + width) {
                    slot.copy_from_slice(values);
                }
            }
        }
    }
    let labels = labels_of(pictures);
    let mut info = info.clone();
    (info.height, info.width) = (size, size);
    Held::new(info, bytes, labels).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::super::DataInfo;
    use super::*;

    fn plane(values: &[u8], from: (usize, usize), to: (usize, usize)) -> Vec<u8> {
        brought(values, 1, from, Part::whole(from), to).expect("a size")
    }

    #[test]
    fn a_border_leaves_the_picture_and_its_label() {
        let info = DataInfo::picture(1, 2, 3).labelled(3).of(2);
        let set = Held::new(info, (1..13).collect(), Some(vec![0, 1])).expect("a set");
        let padded = padded(&set, 6).expect("a set");
        let mut picture = Vec::new();
        padded
            .read(1, Part::whole((6, 6)), &mut picture)
            .expect("a picture");
        assert_eq!(picture.len(), 36);
        assert_eq!(&picture[2 * 6 + 1..2 * 6 + 4], &[7, 8, 9]);
        assert_eq!(&picture[3 * 6 + 1..3 * 6 + 4], &[10, 11, 12]);
        assert_eq!(picture.iter().filter(|&&x| x != 0).count(), 6);
        assert_eq!(padded.label(1), Some(1));
        assert!(super::padded(&set, 2).is_err());
    }

    #[test]
    fn a_constant_stays_one_and_a_ramp_stays_one_inside() {
        for to in [(3, 5), (7, 11), (32, 40), (4, 5)] {
            let constant = plane(&[99; 80], (8, 10), to);
            assert_eq!(constant, vec![99; to.0 * to.1]);
        }
        // A pixel's centre is at its index plus a half: y = 28·(i + .5)/n − .5 of a ramp with slope 4.
        let ramp: Vec<u8> = (0..28 * 28).map(|i| 4 * (i / 28) as u8).collect();
        for n in [32, 20] {
            let made = plane(&ramp, (28, 28), (n, n));
            for (i, row) in made.chunks_exact(n).enumerate().skip(2).take(n - 4) {
                let want = 4. * (28. * (i as f32 + 0.5) / n as f32 - 0.5);
                let far = |x: &u8| (f32::from(*x) - want).abs();
                assert!(
                    row.iter().all(|x| far(x) <= 1.5),
                    "row {i}: {row:?}, {want}"
                );
            }
        }
        // Halved: means of squares, rounded; a part alone, in colour.
        assert_eq!(plane(&[1, 2, 3, 4, 2, 2, 4, 5], (2, 4), (1, 2)), [2, 4]);
        let part = Part {
            top: 0,
            left: 1,
            height: 1,
            width: 2,
        };
        let colours = [1, 2, 3, 4, 5, 6, 8, 7, 6];
        let both = brought(&colours, 3, (1, 3), part, (1, 2)).expect("a part");
        assert_eq!(both, [4, 5, 6, 8, 7, 6]);
        assert_eq!(planar(both, 3), [4, 8, 5, 7, 6, 6]);
    }
}
