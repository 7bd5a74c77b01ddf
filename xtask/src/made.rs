//! Data sets that are made when they are loaded: of the embedded pictures alone, so that everyone has the
//! same.

use anyhow::{Result, bail};
use gan_core::FileError;
use gan_core::data::images::{Album, Single};
use gan_core::data::{DataInfo, Held, Pictures, Split, padded};
use gan_core::rng::{self, Key};
use std::path::Path;
use std::sync::Arc;

/// Factor from a gradient's magnitude to ink; steeper edges than 1/2.5 are black.
const INK: f32 = 2.5;

/// Outlines of pictures, dark on white: 1 − 2·min(1, 2.5·m) for values in [−1, 1], of which m is the
/// magnitude of Sobel's gradient (kernels ÷ 8, the border repeated), the largest of the channels. As many
/// channels as the pictures have, all equal, 8 bits.
///
/// # Errors
/// Those of reading.
pub fn outlines(pictures: &dyn Pictures) -> Result<Held> {
    let info = pictures.info();
    let (h, w) = (info.height, info.width);
    let mut bytes = Vec::with_capacity(info.len * info.pixels());
    let mut picture = Vec::with_capacity(info.pixels());
    for i in 0..info.len {
        picture.clear();
        pictures.whole(i, &mut picture)?;
        let mut steepest = vec![0f32; h * w];
        for plane in picture.chunks_exact(h * w) {
            let plane: Vec<f32> = plane.iter().map(|&x| f32::from(x) / 127.5 - 1.).collect();
            for (most, m) in steepest
                .iter_mut()
                .zip(gan_eval::pairs::sobel(&plane, h, w))
            {
                *most = most.max(m);
            }
        }
        let ink = steepest.iter().map(|m| {
            let x = 1. - 2. * (INK * m).min(1.);
            ((x + 1.) * 127.5).round() as u8 // in [0, 255]
        });
        bytes.extend(ink.collect::<Vec<_>>().repeat(info.channels));
    }
    let mut info = info.clone();
    (info.classes, info.names) = (None, Vec::new());
    set(info, bytes)
}

/// Side of the textured digits.
const SIDE: usize = 32;
/// Seed of their patches: the data set is the same in all runs.
const SEED: u64 = 2016;

/// Digits on photographs and plain digits, without a correspondence, as MNIST-M has them (Ganin et al.
/// 2016, "Domain-Adversarial Training of Neural Networks", section 5.2.2).
#[derive(Debug)]
pub struct Textured {
    /// Digits blended into patches of photographs: |patch − digit| in each channel.
    pub a: Arc<Held>,
    /// Other digits, white on black, as RGB. One in nine is left out, so that A has more.
    pub b: Arc<Held>,
    /// The plain digits of A in its order. For measuring only.
    pub partners: Arc<Held>,
    /// The classes of A in its order. For measuring only.
    pub labels: Vec<u32>,
}

/// Makes both sides of one split: A of every other digit, B of the rest, 32x32 with a black border of two
/// pixels; patches from the photographs in the split's folder of `photos`, halved in size.
///
/// # Errors
/// Digits without labels, or too few; photographs that cannot be read or are too small.
pub fn textured(digits: &dyn Pictures, photos: &Path, split: Split) -> Result<Textured> {
    let digits = padded(digits, SIDE)?;
    let len = digits.info().len;
    let (role, folder) = match split {
        Split::Train => ("textured train", "train/"),
        Split::Test => ("textured test", "test/"),
    };
    let photos = halved(photos, folder)?;
    let count = len.div_ceil(2);
    let which = rng::choices(Key::new(SEED, role, 0, 0), count, photos.len());
    let places = rng::uniforms(Key::new(SEED, role, 0, 1), 0, 2 * count);
    let (mut a, mut partners, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for ((i, which), place) in (0..len).step_by(2).zip(which).zip(places.chunks_exact(2)) {
        let mut digit = Vec::with_capacity(SIDE * SIDE);
        digits.whole(i, &mut digit)?;
        let (Some(label), Some(photo), [y, x]) = (digits.label(i), photos.get(which), place) else {
            bail!("textured digits want digits with labels and photographs")
        };
        let at = |room: usize, part: f32| ((room + 1) as f32 * part) as usize;
        let corner = (at(photo.height - SIDE, *y), at(photo.width - SIDE, *x));
        let patch = photo.part(corner, (SIDE, SIDE)).rgb();
        let blend = patch.bytes.iter().zip(digit.iter().cycle());
        a.extend(blend.map(|(p, d)| p.abs_diff(*d)));
        partners.extend(digit.repeat(3));
        labels.push(label);
    }
    let mut b = Vec::new();
    // One in nine is left out: 4,000 of 4,500 train.
    for i in (1..len).step_by(2).filter(|i| i / 2 % 9 != 8) {
        let mut digit = Vec::with_capacity(SIDE * SIDE);
        digits.whole(i, &mut digit)?;
        b.extend(digit.repeat(3));
    }
    let rgb = |bytes: Vec<u8>| {
        let info = DataInfo::picture(3, SIDE, SIDE).of(bytes.len() / (3 * SIDE * SIDE));
        set(info, bytes).map(Arc::new)
    };
    Ok(Textured {
        a: rgb(a)?,
        b: rgb(b)?,
        partners: rgb(partners)?,
        labels,
    })
}

/// The photographs of a folder, each at half its size.
fn halved(path: &Path, folder: &str) -> Result<Vec<Single>> {
    let album = Album::open(path)?;
    let mut photos = Vec::new();
    for name in album.names().iter().filter(|name| name.starts_with(folder)) {
        let photo = album.read(name)?;
        let (height, width) = (photo.height / 2, photo.width / 2);
        if height.min(width) < SIDE {
            bail!(FileError::new(
                &path.join(name),
                format!("is {}x{}, too small for patches", photo.height, photo.width),
                "take it out of the photographs"
            ))
        }
        let mut bytes = Vec::with_capacity(photo.channels * height * width);
        for plane in photo.bytes.chunks_exact(photo.height * photo.width) {
            let mut rows = plane.chunks_exact(photo.width);
            while let (Some(upper), Some(lower)) = (rows.next(), rows.next()) {
                let squares = upper.chunks_exact(2).zip(lower.chunks_exact(2));
                bytes.extend(squares.map(|(upper, lower)| {
                    let sum: u32 = upper.iter().chain(lower).map(|&x| u32::from(x)).sum();
                    ((sum + 2) / 4) as u8 // the mean of four bytes
                }));
            }
        }
        photos.push(Single {
            channels: photo.channels,
            height,
            width,
            bytes,
        });
    }
    if photos.is_empty() {
        let problem = format!("holds no photographs in {folder}");
        bail!(FileError::new(path, problem, "restore the file"))
    }
    Ok(photos)
}

fn set(info: DataInfo, bytes: Vec<u8>) -> Result<Held> {
    Held::new(info, bytes, None).map_err(anyhow::Error::msg)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::dataset;
    use candle_core::Tensor;
    use gan_eval::lenet::Classifier;
    use gan_eval::pairs::l1;

    fn bytes(set: &dyn Pictures, i: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        set.whole(i, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn an_edge_is_a_line_and_a_plain_picture_white() {
        // Left half black, right half grey in the first channel alone.
        let mut values = vec![100u8; 2 * 3 * 36];
        for plane in values.chunks_exact_mut(36).step_by(3).take(1) {
            plane.chunks_exact_mut(6).for_each(|row| row[..3].fill(0));
        }
        let info = DataInfo::picture(3, 6, 6).of(2);
        let set = outlines(&set(info, values).unwrap()).unwrap();
        // The step is 100/127.5, its gradient half of it on both sides: ink .98.
        let line = ((1. - 2. * INK * 50. / 127.5 + 1.) * 127.5).round() as u8;
        assert_eq!(bytes(&set, 0), [255, 255, line, line, 255, 255].repeat(18));
        assert_eq!(bytes(&set, 1), [255; 108]);
    }

    #[test]
    fn textured_digits_are_the_same_for_everyone() {
        let made = |split| {
            let digits = dataset::open("mnist", split).unwrap().0.a;
            let photos = dataset::locate("photos").unwrap();
            textured(&*digits, &photos, split).unwrap()
        };
        let (train, test) = (made(Split::Train), made(Split::Test));
        let counts = [&train, &test].map(|set| (set.a.info().len, set.b.info().len));
        assert_eq!(counts, [(4500, 4000), (500, 445)]);
        let sums = [&train.a, &train.b, &test.a, &test.b].map(|set| set.sha256()[..8].to_string());
        assert_eq!(sums, ["20cbeabc", "46b2b9e1", "ed49c09d", "99ad9a29"]);
        // |patch − digit| gives the patch back where the digit is black.
        let (a, plain) = (bytes(&*test.a, 3), bytes(&*test.partners, 3));
        assert!(
            plain
                .iter()
                .zip(&a)
                .all(|(&d, &x)| d.max(x) >= d.abs_diff(x))
        );
        assert_ne!(a, plain);

        // What the classifier reads, and how far the input is from its partner.
        let all = |set: Arc<dyn Pictures>| dataset::held(&set, 0..500).unwrap().0;
        let (a, partners) = (all(test.a.clone()), all(test.partners.clone()));
        let reader = Classifier::embedded(&candle_core::Device::Cpu).unwrap();
        let grey = |x: &Tensor| {
            let plane = |i, share: f64| (x.narrow(1, i, 1).unwrap() * share).unwrap();
            let sum = (plane(0, 0.299) + plane(1, 0.587)).unwrap();
            (sum + plane(2, 0.114)).unwrap()
        };
        let share = |x: &Tensor| reader.accuracy(&grey(x), &test.labels).unwrap();
        let found = (share(&a), share(&partners), l1(&a, &partners).unwrap());
        assert!(found.0 < 0.5 && found.1 > 0.97, "{found:?}");
        assert!((0.7..0.9).contains(&found.2), "{found:?}");
    }
}
