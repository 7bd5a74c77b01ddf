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

mod descriptors;
mod pyramid;

pub(crate) use pyramid::smoothed;

use candle_core::{DType, Device, Result, Tensor, bail};
use descriptors::{PATCH, cut, gap, normalise, projections};
use gan_core::rng::{self, Key};
use pyramid::{Planes, pyramid};
use std::sync::Arc;

/// No level is smaller; for sizes that are powers of two the last is 16 then, as in the paper.
const SMALLEST: usize = 12;
/// Patches of a level, at most, where there is one of each picture: more say little more, and have to be kept.
const MOST: usize = 1 << 15;
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

impl Protocol {
    /// For sets of `n` pictures: so many patches of each that a level has some 30,000, at most 32 and at least one.
    pub fn of(n: usize, seed: u64) -> Self {
        let usual = Self::default();
        Self {
            patches: (MOST / n.max(1)).clamp(1, usual.patches),
            seed,
            ..usual
        }
    }
}

/// Where patches are taken and which way they are projected: the same for all sets that are compared.
#[derive(Debug)]
struct Places {
    protocol: Protocol,
    dims: (usize, usize, usize, usize),
    levels: Vec<Level>,
}

/// What is drawn for one level.
#[derive(Debug)]
struct Level {
    size: (usize, usize),
    /// Row and column of each patch's upper left corner, `patches` for each picture.
    corners: Vec<[usize; 2]>,
    directions: Vec<f64>,
}

impl Places {
    fn new(dims: (usize, usize, usize, usize), protocol: Protocol) -> Result<Self> {
        let (n, c, h, w) = dims;
        if h.min(w) < LEAST {
            bail!("pictures are {h}x{w}, this distance wants {LEAST}x{LEAST} or more")
        }
        if protocol.patches == 0 || protocol.directions == 0 {
            bail!("this distance wants at least one patch and one direction")
        }
        let mut size = (h, w);
        let mut made = Vec::new();
        for level in 0..levels(h, w) {
            let key = |role| Key::new(protocol.seed, role, level as u64, 0);
            let places = n * protocol.patches;
            let rows = rng::choices(key("swd.y"), places, size.0 - PATCH + 1);
            let columns = rng::choices(key("swd.x"), places, size.1 - PATCH + 1);
            let corners = rows.into_iter().zip(columns);
            let normals = rng::normals(
                key("swd.directions"),
                0,
                protocol.directions * c * PATCH * PATCH,
            );
            made.push(Level {
                size,
                corners: corners.map(|(y, x)| [y, x]).collect(),
                directions: normals.into_iter().map(f64::from).collect(),
            });
            size = (size.0.div_ceil(2), size.1.div_ceil(2));
        }
        Ok(Self {
            protocol,
            dims,
            levels: made,
        })
    }
}

/// The patches of a set of pictures, added batch by batch: the pictures need not be kept.
#[derive(Debug)]
pub struct Patches {
    places: Arc<Places>,
    /// Pictures added.
    count: usize,
    /// The values of each level's patches.
    levels: Vec<Vec<f64>>,
}

impl Patches {
    /// Of the reference: `n` pictures `[c, h, w]` will be added.
    ///
    /// # Errors
    /// Pictures smaller than 16x16; no patches or directions.
    pub fn new((n, c, h, w): (usize, usize, usize, usize), protocol: Protocol) -> Result<Self> {
        Ok(Self::at(Arc::new(Places::new((n, c, h, w), protocol)?)))
    }

    fn at(places: Arc<Places>) -> Self {
        Self {
            count: 0,
            levels: vec![Vec::new(); places.levels.len()],
            places,
        }
    }

    /// Adds pictures `[m, c, h, w]`, the next of the set.
    ///
    /// # Errors
    /// Another shape, more pictures than the set has, values that are not finite.
    pub fn add(&mut self, pictures: &Tensor) -> Result<()> {
        let (m, c, h, w) = pictures.dims4()?;
        let (n, _, _, _) = self.places.dims;
        if (n, c, h, w) != self.places.dims || self.count + m > n {
            bail!(
                "{} pictures were added of {:?}, then {:?}",
                self.count,
                self.places.dims,
                pictures.dims()
            )
        }
        let each = self.places.protocol.patches;
        let planes = pyramid(pictures, self.levels.len())?;
        let levels = self.levels.iter_mut().zip(&self.places.levels);
        for ((values, level), planes) in levels.zip(&planes) {
            let corners = level.corners.iter().skip(self.count * each).take(m * each);
            let positions = corners.enumerate().map(|(i, &[y, x])| [i / each, y, x]);
            cut(planes, &positions.collect::<Vec<_>>(), values)?;
        }
        self.count += m;
        Ok(())
    }

    /// The sorted projections of each level.
    fn projected(mut self) -> Result<Vec<Vec<Vec<f64>>>> {
        let (n, c, _, _) = self.places.dims;
        if self.count != n {
            bail!("{} pictures were added, the set has {n}", self.count)
        }
        let width = c * PATCH * PATCH;
        let levels = self.levels.iter_mut().zip(&self.places.levels);
        levels
            .map(|(values, level)| {
                normalise(values, c);
                let rows = projections(values, &level.directions, width);
                *values = Vec::new();
                rows
            })
            .collect()
    }
}

/// A set of pictures to which others are compared.
#[derive(Debug)]
pub struct SlicedWasserstein {
    places: Arc<Places>,
    /// Of each level a row of sorted values a direction.
    levels: Vec<Vec<Vec<f64>>>,
}

impl SlicedWasserstein {
    /// Takes pictures `[n, c, h, w]` as the reference.
    ///
    /// # Errors
    /// Pictures smaller than 16x16 or with values that are not finite; no patches or directions.
    pub fn new(reference: &Tensor, protocol: Protocol) -> Result<Self> {
        let mut patches = Patches::new(reference.dims4()?, protocol)?;
        patches.add(reference)?;
        Self::of(patches)
    }

    /// Takes the patches of a whole set as the reference.
    ///
    /// # Errors
    /// A set that is not whole.
    pub fn of(reference: Patches) -> Result<Self> {
        Ok(Self {
            places: Arc::clone(&reference.places),
            levels: reference.projected()?,
        })
    }

    /// Height and width of each level, the finest first.
    pub fn sizes(&self) -> Vec<(usize, usize)> {
        self.places.levels.iter().map(|level| level.size).collect()
    }

    /// Of another set, which has as many pictures as the reference: none yet.
    pub fn patches(&self) -> Patches {
        Patches::at(Arc::clone(&self.places))
    }

    /// The distance of other pictures from the reference, level by level.
    ///
    /// # Errors
    /// Another shape than the reference's, the number of pictures included; values that are not finite.
    pub fn distances(&self, pictures: &Tensor) -> Result<Vec<f64>> {
        let dims = self.places.dims;
        if pictures.dims4()? != dims {
            bail!(
                "pictures are {:?}, those to compare them with {dims:?}",
                pictures.dims(),
            )
        }
        let mut patches = self.patches();
        patches.add(pictures)?;
        self.distances_of(patches)
    }

    /// The same of patches that [`SlicedWasserstein::patches`] began.
    ///
    /// # Errors
    /// A set that is not whole, or that was begun elsewhere.
    pub fn distances_of(&self, patches: Patches) -> Result<Vec<f64>> {
        if !Arc::ptr_eq(&patches.places, &self.places) {
            bail!("the patches were taken for another reference")
        }
        let projected = patches.projected()?;
        let pairs = projected.iter().zip(&self.levels);
        Ok(pairs.map(|(a, b)| gap(a, b)).collect())
    }

    /// All that the values depend on besides the pictures.
    pub fn protocol(&self) -> String {
        let (n, c, h, w) = self.places.dims;
        let colour = if c == 1 { "grey" } else { "colour" };
        let Protocol {
            patches,
            directions,
            seed,
        } = self.places.protocol;
        format!(
            "sliced Wasserstein distance of 7x7 patches on a Laplacian pyramid, not multiplied by 1000; \
             {n} + {n} pictures of {h}x{w} {colour}, {patches} patch{} a picture and level, {directions} \
             directions, seed {seed}",
            if patches == 1 { "" } else { "es" }
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
    let mut values = Vec::new();
    cut(&planes, positions, &mut values)?;
    normalise(&mut values, c);
    Tensor::from_vec(values, (positions.len(), c * PATCH * PATCH), &Device::Cpu)
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

    /// Batch by batch the values are the same, bit for bit.
    #[test]
    fn pictures_may_come_in_batches() -> Result<()> {
        let (reference, others) = (pictures(1, 10, 3, 32), pictures(2, 10, 3, 32));
        let protocol = Protocol::of(10, 7);
        let mut patches = Patches::new(reference.dims4()?, protocol)?;
        for (from, m) in [(0, 4), (4, 5), (9, 1)] {
            patches.add(&reference.narrow(0, from, m)?)?;
        }
        assert!(patches.add(&others.narrow(0, 0, 1)?).is_err());
        let distance = SlicedWasserstein::of(patches)?;
        let whole = SlicedWasserstein::new(&reference, protocol)?;
        let mut patches = distance.patches();
        patches.add(&others.narrow(0, 0, 3)?)?;
        assert!(distance.distances_of(distance.patches()).is_err());
        patches.add(&others.narrow(0, 3, 7)?)?;
        assert_eq!(distance.distances_of(patches)?, whole.distances(&others)?);
        assert!(distance.distances_of(whole.patches()).is_err());
        // Many pictures give fewer patches each.
        let patches = [2, 1024, 1025, 10_000, 1 << 20].map(|n| Protocol::of(n, 1).patches);
        assert_eq!(patches, [32, 32, 31, 3, 1]);
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
