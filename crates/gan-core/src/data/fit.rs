//! Pictures of another size than a data set has: resized, or with a border around them.

use super::{DataInfo, InMemory, Pictures};
use crate::FileError;
use image::imageops::{FilterType, resize};
use image::{ImageBuffer, Luma};
use std::path::Path;

/// The largest side that pictures are brought to.
const SIDE: usize = 8192;

/// A set whose pictures have this height, their width in proportion, rounded to whole values: the mean of
/// squares of pixels where both sides shrink by one whole factor, else a triangle filter.
///
/// # Errors
/// A height of 0 or above 8192; those of reading.
pub fn resized(pictures: &dyn Pictures, height: usize) -> Result<InMemory, FileError> {
    let info = pictures.info();
    let (h, w) = size(info, height).map_err(wrong)?;
    let each = |values: &[u8]| {
        let values: Vec<f32> = values.iter().map(|&x| f32::from(x)).collect();
        let values = plane(&values, (info.height, info.width), (h, w));
        values
            .iter()
            .map(|x| x.round().clamp(0., 255.) as u8)
            .collect()
    };
    planes(pictures, (h, w), each)
}

/// A square set of this size with a black border of equal width, or one pixel more at the end, around
/// its pictures: MNIST's digits as 32x32.
///
/// # Errors
/// A size below the pictures' or above 8192; those of reading.
pub fn padded(pictures: &dyn Pictures, size: usize) -> Result<InMemory, FileError> {
    let (height, width) = (pictures.info().height, pictures.info().width);
    if size < height.max(width) || size > SIDE {
        return Err(wrong(format!(
            "pictures of {height}x{width} cannot be padded to {size}x{size}"
        )));
    }
    let (top, left) = ((size - height) / 2, (size - width) / 2);
    planes(pictures, (size, size), |values| {
        let mut bytes = vec![0; size * size];
        let rows = bytes.chunks_exact_mut(size).skip(top);
        for (row, values) in rows.zip(values.chunks_exact(width)) {
            row.iter_mut()
                .skip(left)
                .zip(values)
                .for_each(|(to, from)| *to = *from);
        }
        bytes
    })
}

pub(super) fn wrong(problem: String) -> FileError {
    FileError::new(Path::new("data set"), problem, "choose another size")
}

/// The same set with every plane of h·w values changed.
fn planes(
    pictures: &dyn Pictures,
    (height, width): (usize, usize),
    each: impl Fn(&[u8]) -> Vec<u8>,
) -> Result<InMemory, FileError> {
    let info = pictures.info();
    let mut bytes = Vec::with_capacity(info.len * info.channels * height * width);
    let mut picture = Vec::with_capacity(info.pixels());
    for i in 0..info.len {
        picture.clear();
        pictures.read(i, &mut picture)?;
        for values in picture.chunks_exact(info.height * info.width) {
            bytes.extend(each(values));
        }
    }
    let labels: Option<Vec<u8>> = (0..info.len)
        .map(|i| pictures.label(i).and_then(|label| u8::try_from(label).ok()))
        .collect();
    let info = DataInfo {
        height,
        width,
        ..info.clone()
    };
    let labels = labels.filter(|_| info.classes.is_some());
    InMemory::new(info, bytes, labels).map_err(wrong)
}

/// Height and width of pictures brought to this height.
pub(super) fn size(info: &DataInfo, height: usize) -> Result<(usize, usize), String> {
    let width = (info.width * height + info.height / 2) / info.height.max(1);
    if height == 0 || width == 0 || height.max(width) > SIDE {
        return Err(format!(
            "pictures of {}x{} cannot be brought to the height {height}",
            info.height, info.width
        ));
    }
    Ok((height, width))
}

/// Height and width of pictures whose shorter side is brought to this length.
pub(super) fn shorter(info: &DataInfo, side: usize) -> Result<(usize, usize), String> {
    let short = info.height.min(info.width).max(1);
    let scaled = |length: usize| (length * side + short / 2) / short;
    let (height, width) = (scaled(info.height), scaled(info.width));
    if side == 0 || height.max(width) > SIDE {
        return Err(format!(
            "pictures of {}x{} cannot be brought to a shorter side of {side}",
            info.height, info.width
        ));
    }
    Ok((height, width))
}

/// One plane from `from` = (h, w) to `to`, with values in [0, 255].
///
/// Where both sides shrink by the same whole factor, each value is the mean of its square, as in the
/// papers that halve pictures. Else a triangle filter: linear interpolation on the way up, a weighted mean
/// over twice the distance of the new pixels on the way down; at the border its weights are normalised.
pub(super) fn plane(values: &[f32], from: (usize, usize), to: (usize, usize)) -> Vec<f32> {
    let ((h, w), (new_h, new_w)) = (from, to);
    if from == to {
        return values.to_vec();
    }
    if h.is_multiple_of(new_h) && w.is_multiple_of(new_w) && h / new_h == w / new_w {
        let factor = h / new_h;
        let share = (factor * factor) as f32;
        let mut sums = vec![0f32; new_h * new_w];
        for (y, row) in values.chunks_exact(w).enumerate() {
            let sums = sums.iter_mut().skip(y / factor * new_w);
            for (sum, pixels) in sums.zip(row.chunks_exact(factor)) {
                *sum += pixels.iter().sum::<f32>();
            }
        }
        return sums.into_iter().map(|sum| sum / share).collect();
    }
    // The filter clips to [0, 1], the range that `image` gives to floats.
    let scaled: Vec<f32> = values.iter().map(|x| x / 255.).collect();
    let Some(picture) = ImageBuffer::<Luma<f32>, _>::from_raw(w as u32, h as u32, scaled) else {
        return vec![0.; new_h * new_w]; // a plane of another length than h·w, which no caller has
    };
    let picture = resize(&picture, new_w as u32, new_h as u32, FilterType::Triangle);
    picture.into_raw().into_iter().map(|x| x * 255.).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(height: usize, width: usize, bytes: Vec<u8>) -> InMemory {
        let info = DataInfo {
            channels: 1,
            height,
            width,
            classes: Some(3),
            len: bytes.len() / (height * width),
        };
        let labels = (0..info.len).map(|i| i as u8 % 3).collect();
        InMemory::new(info, bytes, Some(labels)).expect("a set")
    }

    fn pictures(set: &InMemory, i: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        set.read(i, &mut bytes).expect("a picture");
        bytes
    }

    #[test]
    fn a_border_leaves_the_picture_and_its_label() {
        let padded = padded(&set(2, 3, (1..13).collect()), 6).expect("a set");
        let picture = pictures(&padded, 1);
        assert_eq!(picture.len(), 36);
        assert_eq!(&picture[2 * 6 + 1..2 * 6 + 4], &[7, 8, 9]);
        assert_eq!(&picture[3 * 6 + 1..3 * 6 + 4], &[10, 11, 12]);
        assert_eq!(picture.iter().filter(|&&x| x != 0).count(), 6);
        assert_eq!(padded.label(1), Some(1));
        assert!(super::padded(&set(2, 3, vec![0; 6]), 2).is_err());
    }

    #[test]
    fn a_constant_stays_one_and_a_ramp_stays_one_inside() {
        for to in [(3, 5), (7, 11), (32, 40)] {
            let constant = plane(&[99.; 80], (8, 10), to);
            assert_eq!(constant.len(), to.0 * to.1);
            assert!(
                constant.iter().all(|x| (x - 99.).abs() < 1e-3),
                "{constant:?}"
            );
        }
        // A pixel's centre is at its index plus a half: y = 28·(i + .5)/32 − .5 of a ramp with slope 4.
        let ramp: Vec<f32> = (0..28 * 28).map(|i| 4. * (i / 28) as f32).collect();
        let up = plane(&ramp, (28, 28), (32, 32));
        for (i, row) in up.chunks_exact(32).enumerate().skip(1).take(30) {
            let want = 4. * (28. * (i as f32 + 0.5) / 32. - 0.5);
            assert!(
                row.iter().all(|x| (x - want).abs() < 1e-2),
                "row {i}: {row:?}, {want}"
            );
        }
        let down = plane(&ramp, (28, 28), (20, 20));
        for (i, row) in down.chunks_exact(20).enumerate().skip(2).take(16) {
            let want = 4. * (28. * (i as f32 + 0.5) / 20. - 0.5);
            assert!(
                row.iter().all(|x| (x - want).abs() < 1.),
                "row {i}: {row:?}, {want}"
            );
        }
    }

    #[test]
    fn sizes_are_in_proportion_and_bounded() {
        let small = resized(&set(4, 6, vec![8; 48]), 2).expect("a set");
        assert_eq!((small.info().height, small.info().width), (2, 3));
        assert_eq!(pictures(&small, 1), [8; 6]);
        for height in [0, 8193] {
            let error = resized(&set(4, 6, vec![8; 48]), height).expect_err("a size");
            assert!(error.to_string().contains("4x6"), "{error}");
        }
        assert_ne!(small.sha256(), set(4, 6, vec![8; 48]).sha256());
    }
}
