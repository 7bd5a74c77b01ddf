//! The sliced Wasserstein distance on patches of a Laplacian pyramid (Karras et al. 2018, "Progressive
//! Growing of GANs", section 5).
//!
//! Each set of pictures becomes a pyramid: level i holds what the next, half as large, lacks, the last
//! level the picture itself. Patches of 7x7 pixels at random places of a level are normalised a channel
//! (mean 0, deviation 1 over the set) and projected onto random directions; the distance between two sets
//! is the mean |difference| of the sorted projections. A small value says that the patches of the two sets
//! are alike at that scale: large ones at the last level, fine texture at level 0.
//!
//! All arithmetic is in f64.

use crate::values;
use candle_core::{DType, Device, Result, Tensor, bail};
use gan_core::rng::{self, Key};

/// Side of a patch.
const PATCH: usize = 7;
/// No level is smaller; for sizes that are powers of two the last is 16 then, as in the paper.
const SMALLEST: usize = 12;
/// The smallest picture.
pub const LEAST: usize = 16;

/// What is drawn. The paper has 16,384 pictures, 128 patches of each and 512 directions; the values are
/// not comparable with its table, nor multiplied by 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// Patches of each picture at each level; both sets give them at the same places.
    pub patches: usize,
    /// Directions at each level.
    pub directions: usize,
    /// Seed of places and directions.
    pub seed: u64,
}

impl Default for Protocol {
    fn default() -> Self {
        Self {
            patches: 32,
            directions: 128,
            seed: 1,
        }
    }
}

/// A set of pictures to which others are compared.
#[derive(Debug)]
pub struct SlicedWasserstein {
    protocol: Protocol,
    dims: (usize, usize, usize, usize),
    levels: Vec<Level>,
}

/// One level of the reference.
#[derive(Debug)]
struct Level {
    size: (usize, usize),
    positions: Vec<[usize; 3]>,
    directions: Vec<f64>,
    /// A row of sorted values a direction.
    projections: Vec<Vec<f64>>,
}

impl SlicedWasserstein {
    /// Takes pictures `[n, c, h, w]` as the reference.
    ///
    /// # Errors
    /// Pictures smaller than 16x16 or with values that are not finite; no patches or directions.
    pub fn new(reference: &Tensor, protocol: Protocol) -> Result<Self> {
        let dims = reference.dims4()?;
        let (n, c, h, w) = dims;
        if h.min(w) < LEAST {
            bail!("pictures are {h}x{w}, this distance wants {LEAST}x{LEAST} or more")
        }
        if protocol.patches == 0 || protocol.directions == 0 {
            bail!("this distance wants at least one patch and one direction")
        }
        let count = levels(h, w);
        let mut made = Vec::with_capacity(count);
        for (level, planes) in pyramid(reference, count)?.into_iter().enumerate() {
            let key = |role| Key::new(protocol.seed, role, level as u64, 0);
            let places = n * protocol.patches;
            let rows = rng::choices(key("swd.y"), places, planes.h - PATCH + 1);
            let columns = rng::choices(key("swd.x"), places, planes.w - PATCH + 1);
            let positions = rows.into_iter().zip(columns).enumerate();
            let positions: Vec<_> = positions
                .map(|(i, (y, x))| [i / protocol.patches, y, x])
                .collect();
            let normals = rng::normals(
                key("swd.directions"),
                0,
                protocol.directions * c * PATCH * PATCH,
            );
            let directions: Vec<f64> = normals.into_iter().map(f64::from).collect();
            let descriptors = patches(&planes, &positions)?;
            made.push(Level {
                size: (planes.h, planes.w),
                projections: projections(&descriptors, &directions, c * PATCH * PATCH)?,
                positions,
                directions,
            });
        }
        Ok(Self {
            protocol,
            dims,
            levels: made,
        })
    }

    /// Height and width of each level, the finest first.
    pub fn sizes(&self) -> Vec<(usize, usize)> {
        self.levels.iter().map(|level| level.size).collect()
    }

    /// The distance of other pictures from the reference, level by level.
    ///
    /// # Errors
    /// Another shape than the reference's, the number of pictures included; values that are not finite.
    pub fn distances(&self, pictures: &Tensor) -> Result<Vec<f64>> {
        if pictures.dims4()? != self.dims {
            bail!(
                "pictures are {:?}, those to compare them with {:?}",
                pictures.dims(),
                self.dims
            )
        }
        let planes = pyramid(pictures, self.levels.len())?;
        let pairs = planes.iter().zip(&self.levels);
        pairs
            .map(|(planes, level)| {
                let descriptors = patches(planes, &level.positions)?;
                let width = planes.c * PATCH * PATCH;
                let other = projections(&descriptors, &level.directions, width)?;
                Ok(gap(&other, &level.projections))
            })
            .collect()
    }

    /// All that the values depend on besides the pictures.
    pub fn protocol(&self) -> String {
        let (n, c, h, w) = self.dims;
        let colour = if c == 1 { "grey" } else { "colour" };
        let Protocol {
            patches,
            directions,
            seed,
        } = self.protocol;
        format!(
            "sliced Wasserstein distance of 7x7 patches on a Laplacian pyramid, not multiplied by 1000; \
             {n} + {n} pictures of {h}x{w} {colour}, {patches} patches a picture and level, {directions} \
             directions, seed {seed}"
        )
    }
}

/// How many levels pictures of this size have.
fn levels(h: usize, w: usize) -> usize {
    let mut side = h.min(w);
    let mut levels = 1;
    while side.div_ceil(2) >= SMALLEST {
        side = side.div_ceil(2);
        levels += 1;
    }
    levels
}

/// The distance between two sets of descriptors `[m, d]` (f64) over directions `[k, d]` of any length.
///
/// # Errors
/// Shapes that do not fit.
pub fn sliced_wasserstein(a: &Tensor, b: &Tensor, directions: &Tensor) -> Result<f64> {
    let ((_, width), (k, d)) = (a.dims2()?, directions.dims2()?);
    if a.dims() != b.dims() || width != d || k == 0 {
        bail!(
            "descriptors are {:?} and {:?}, directions {:?}",
            a.dims(),
            b.dims(),
            directions.dims()
        )
    }
    let numbers = |t: &Tensor| t.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
    let directions = numbers(directions)?;
    let project = |t: &Tensor| projections(&numbers(t)?, &directions, width);
    Ok(gap(&project(a)?, &project(b)?))
}

/// The Laplacian pyramid of pictures `[n, c, h, w]`: f64 tensors, the finest first.
///
/// # Errors
/// Values that are not finite; levels smaller than 3x3, which cannot be mirrored.
pub fn laplacian(pictures: &Tensor, levels: usize) -> Result<Vec<Tensor>> {
    let planes = pyramid(pictures, levels)?.into_iter();
    planes
        .map(|p| Tensor::from_vec(p.values, (p.n, p.c, p.h, p.w), &Device::Cpu))
        .collect()
}

/// Patches of one level `[n, c, h, w]` (f64) at `positions` (picture, row, column of the upper left
/// corner) as normalised descriptors `[m, c·49]` in the order channel, row, column.
///
/// # Errors
/// A position outside the level.
pub fn descriptors(level: &Tensor, positions: &[[usize; 3]]) -> Result<Tensor> {
    let (n, c, h, w) = level.dims4()?;
    let values = level.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
    let planes = Planes { n, c, h, w, values };
    let values = patches(&planes, positions)?;
    Tensor::from_vec(values, (positions.len(), c * PATCH * PATCH), &Device::Cpu)
}

/// One plane filtered with [1 4 6 4 1] / 16 in both directions; borders are mirrored without repeating the edge.
pub(crate) fn smoothed(plane: Vec<f64>, (h, w): (usize, usize)) -> Result<Vec<f64>> {
    let plane = Planes {
        n: 1,
        c: 1,
        h,
        w,
        values: plane,
    };
    Ok(plane.smooth()?.values)
}

/// Pictures as plain numbers.
struct Planes {
    n: usize,
    c: usize,
    h: usize,
    w: usize,
    values: Vec<f64>,
}

fn pyramid(pictures: &Tensor, levels: usize) -> Result<Vec<Planes>> {
    let (n, c, h, w) = pictures.dims4()?;
    let values = values(pictures)?.into_iter().map(f64::from).collect();
    let mut whole = Planes { n, c, h, w, values };
    let mut out = Vec::with_capacity(levels);
    for _ in 1..levels {
        let small = whole.down()?;
        let up = small.up(whole.h, whole.w)?;
        for (x, up) in whole.values.iter_mut().zip(up.values) {
            *x -= up;
        }
        out.push(whole);
        whole = small;
    }
    out.push(whole);
    Ok(out)
}

impl Planes {
    /// Filters with [1 4 6 4 1] / 16 in both directions; borders are mirrored without repeating the edge.
    fn smooth(&self) -> Result<Planes> {
        let (h, w) = (self.h, self.w);
        if h.min(w) < 3 {
            bail!("a level of {h}x{w} has no borders to mirror, take fewer levels")
        }
        let mut values = Vec::with_capacity(self.values.len());
        let mut rows = vec![0.; h * w];
        for plane in self.values.chunks_exact(h * w) {
            for (to, from) in rows.chunks_exact_mut(w).zip(plane.chunks_exact(w)) {
                for (x, to) in to.iter_mut().enumerate() {
                    *to = taps(x, w, |x| from.get(x).copied());
                }
            }
            for y in 0..h {
                values.extend((0..w).map(|x| taps(y, h, |y| rows.get(y * w + x).copied())));
            }
        }
        Ok(Planes { values, ..*self })
    }

    /// Smooths and keeps every second pixel, from the first.
    fn down(&self) -> Result<Planes> {
        let smooth = self.smooth()?;
        let rows = smooth.values.chunks_exact(self.h * self.w);
        let rows = rows.flat_map(|plane| plane.chunks_exact(self.w).step_by(2));
        Ok(Planes {
            h: self.h.div_ceil(2),
            w: self.w.div_ceil(2),
            values: rows
                .flat_map(|row| row.iter().step_by(2))
                .copied()
                .collect(),
            ..*self
        })
    }

    /// Zeros between the pixels, from the second, then four times the filter.
    fn up(&self, h: usize, w: usize) -> Result<Planes> {
        let mut values = vec![0.; self.n * self.c * h * w];
        let planes = values.chunks_exact_mut(h * w);
        for (to, from) in planes.zip(self.values.chunks_exact(self.h * self.w)) {
            let rows = to.chunks_exact_mut(w).step_by(2);
            for (to, from) in rows.zip(from.chunks_exact(self.w)) {
                to.iter_mut()
                    .step_by(2)
                    .zip(from)
                    .for_each(|(to, x)| *to = 4. * x);
            }
        }
        Planes {
            values,
            h,
            w,
            ..*self
        }
        .smooth()
    }
}

/// [1 4 6 4 1] / 16 around `i` of `n` values.
fn taps(i: usize, n: usize, at: impl Fn(usize) -> Option<f64>) -> f64 {
    let get = |offset: usize| {
        // `offset` is 2 more than it means, so that no number is negative.
        let j = if i + offset < 2 {
            2 - i - offset
        } else {
            i + offset - 2
        };
        let j = if j >= n { 2 * (n - 1) - j } else { j };
        at(j).unwrap_or(0.)
    };
    (get(0) + get(4) + 4. * (get(1) + get(3)) + 6. * get(2)) / 16.
}

/// Normalised descriptors, one after the other.
fn patches(planes: &Planes, positions: &[[usize; 3]]) -> Result<Vec<f64>> {
    let Planes { n, c, h, w, .. } = *planes;
    let area = PATCH * PATCH;
    let mut values = Vec::with_capacity(positions.len() * c * area);
    for &[i, y, x] in positions {
        if i >= n || y + PATCH > h || x + PATCH > w {
            bail!("a patch at row {y}, column {x} of picture {i} lies outside [{n}, {c}, {h}, {w}]")
        }
        for channel in 0..c {
            let rows = (0..PATCH).map(|dy| ((i * c + channel) * h + y + dy) * w + x);
            for start in rows {
                values.extend(planes.values.iter().skip(start).take(PATCH));
            }
        }
    }
    for channel in 0..c {
        let each = |values: &[f64], f: &dyn Fn(f64) -> f64| -> f64 {
            let patches = values.chunks_exact(c * area);
            let sum: f64 = patches
                .map(|patch| {
                    patch
                        .iter()
                        .skip(channel * area)
                        .take(area)
                        .map(|&x| f(x))
                        .sum::<f64>()
                })
                .sum();
            sum / (positions.len() * area) as f64
        };
        let mean = each(&values, &|x| x);
        let deviation = each(&values, &|x| (x - mean) * (x - mean)).sqrt();
        // Pictures without any variation have descriptors of 0.
        let scale = if deviation > 0. { 1. / deviation } else { 0. };
        for patch in values.chunks_exact_mut(c * area) {
            for x in patch.iter_mut().skip(channel * area).take(area) {
                *x = (*x - mean) * scale;
            }
        }
    }
    Ok(values)
}

/// Descriptors `[m, width]` along each of the directions `[k, width]`, sorted: k rows of m values.
fn projections(descriptors: &[f64], directions: &[f64], width: usize) -> Result<Vec<Vec<f64>>> {
    let unit: Vec<f64> = directions
        .chunks_exact(width)
        .flat_map(|direction| {
            let length = direction.iter().map(|x| x * x).sum::<f64>().sqrt();
            direction.iter().map(move |x| x / length)
        })
        .collect();
    let matrix =
        |values: &[f64]| Tensor::from_slice(values, (values.len() / width, width), &Device::Cpu);
    let mut rows = matrix(&unit)?
        .matmul(&matrix(descriptors)?.t()?)?
        .to_vec2::<f64>()?;
    rows.iter_mut()
        .for_each(|row| row.sort_unstable_by(f64::total_cmp));
    Ok(rows)
}

/// Mean |a − b|.
fn gap(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    let count: usize = a.iter().map(Vec::len).sum();
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    pairs.map(|(a, b)| (a - b).abs()).sum::<f64>() / count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pictures with structure at every scale.
    fn pictures(seed: u64, n: usize, c: usize, side: usize) -> Tensor {
        let noise = rng::normals(Key::new(seed, "test", 0, 0), 0, n * c * side * side);
        let values: Vec<f32> = noise
            .chunks_exact(side)
            .flat_map(|row| {
                row.iter().scan(0., |sum, x| {
                    *sum = 0.8 * *sum + 0.3 * x;
                    Some(*sum)
                })
            })
            .collect();
        Tensor::from_vec(values, (n, c, side, side), &Device::Cpu).expect("pictures")
    }

    #[test]
    fn a_pyramid_adds_up_to_its_picture_at_any_size() -> Result<()> {
        for side in [16, 17, 28, 31] {
            let x = pictures(1, 2, 3, side);
            let mut levels = laplacian(&x, 3)?;
            let mut sum = levels.remove(2);
            for level in levels.into_iter().rev() {
                let (n, c, h, w) = level.dims4()?;
                let (_, _, small_h, small_w) = sum.dims4()?;
                let values = sum.flatten_all()?.to_vec1()?;
                let small = Planes {
                    n,
                    c,
                    h: small_h,
                    w: small_w,
                    values,
                };
                let up = small.up(h, w)?.values;
                sum = (level + Tensor::from_vec(up, (n, c, h, w), &Device::Cpu)?)?;
            }
            let error = (sum - x.to_dtype(DType::F64)?)?
                .abs()?
                .max_all()?
                .to_scalar::<f64>()?;
            assert!(error < 1e-12, "{side}: {error}");
        }
        Ok(())
    }

    #[test]
    fn equal_sets_have_no_distance_and_others_one_that_grows() -> Result<()> {
        let reference = pictures(1, 40, 1, 32);
        let distance = SlicedWasserstein::new(&reference, Protocol::default())?;
        assert_eq!(distance.sizes(), [(32, 32), (16, 16)]);
        assert_eq!(distance.distances(&reference)?, [0., 0.]);
        let same_law = distance.distances(&pictures(2, 40, 1, 32))?;
        let smooth = pyramid(&reference, 2)?;
        let blurred = smooth.last().map(|small| small.up(32, 32)).transpose()?;
        let blurred = blurred.map_or(vec![], |p| p.values);
        let blurred = Tensor::from_vec(blurred, (40, 1, 32, 32), &Device::Cpu)?;
        let far = distance.distances(&blurred)?;
        assert!(
            far[0] > 3. * same_law[0] && same_law[0] > 0.,
            "{far:?} {same_law:?}"
        );
        // A blur leaves more of the coarse level.
        assert!(far[1] < far[0] / 2., "{far:?}");
        assert!(
            distance
                .protocol()
                .contains("40 + 40 pictures of 32x32 grey")
        );
        Ok(())
    }

    #[test]
    fn sizes_and_values_that_do_not_fit_are_refused() -> Result<()> {
        let refused = |x: &Tensor| SlicedWasserstein::new(x, Protocol::default()).map(|_| ());
        assert!(refused(&pictures(1, 2, 1, 15)).is_err());
        assert!(refused(&(pictures(1, 2, 1, 16) / 0.)?).is_err());
        let distance = SlicedWasserstein::new(&pictures(1, 4, 3, 20), Protocol::default())?;
        assert_eq!(distance.sizes(), [(20, 20)]);
        assert!(distance.distances(&pictures(1, 5, 3, 20)).is_err());
        // A collapsed generator has a distance, not NaN.
        let grey = Tensor::zeros((4, 3, 20, 20), DType::F32, &Device::Cpu)?;
        assert!(distance.distances(&grey)?[0] > 0.1);
        Ok(())
    }

    #[test]
    fn levels_end_before_twelve() {
        for (side, want) in [
            (16, 1),
            (23, 2),
            (22, 1),
            (28, 2),
            (32, 2),
            (64, 3),
            (256, 5),
        ] {
            assert_eq!(levels(side, side), want, "{side}");
        }
    }
}
