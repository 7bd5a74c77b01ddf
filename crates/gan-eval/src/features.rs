//! Features: what a network makes of pictures, by which sets of pictures are compared instead of by their pixels.

use candle_core::{DType, Device, Result, Tensor, bail};

/// A network whose features are compared.
pub trait Features {
    /// Its name, as it stands in the names of measures.
    fn name(&self) -> &str;
    /// Numbers a picture.
    fn width(&self) -> usize;
    /// All that the features depend on besides the pictures: weights, resizing, range of values.
    fn protocol(&self) -> String;
    /// Features `[n, width]`, f32, of pictures `[n, c, h, w]` in [−1, 1].
    ///
    /// # Errors
    /// Pictures that it cannot take.
    fn of(&self, pictures: &Tensor) -> Result<Tensor>;
}

/// The features of a set of pictures, added batch by batch: the pictures themselves need not be kept.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureSet {
    width: usize,
    values: Vec<f32>,
}

impl FeatureSet {
    /// Of no picture yet, with so many numbers a picture.
    pub fn new(width: usize) -> Self {
        Self {
            width,
            values: Vec::new(),
        }
    }

    /// Adds features `[n, width]`.
    ///
    /// # Errors
    /// Another width; values that are not finite.
    pub fn add(&mut self, features: &Tensor) -> Result<()> {
        let (_, width) = features.dims2()?;
        if width != self.width || width == 0 {
            bail!(
                "features have {width} numbers a picture, those before {}",
                self.width
            )
        }
        let features = features.detach().to_device(&Device::Cpu)?;
        let values: Vec<f32> = features.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        if !values.iter().all(|x| x.is_finite()) {
            bail!("the features hold values that are not finite, there is nothing to measure")
        }
        self.values.extend(values);
        Ok(())
    }

    /// Of these features alone.
    ///
    /// # Errors
    /// As [`FeatureSet::add`].
    pub fn of(features: &Tensor) -> Result<Self> {
        let mut set = Self::new(features.dims2()?.1);
        set.add(features)?;
        Ok(set)
    }

    /// Pictures.
    pub fn len(&self) -> usize {
        self.values.len() / self.width.max(1)
    }

    /// Whether there is no picture.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Numbers a picture.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The features of the pictures from `from` on, at most `count`, `[n, width]` in f64.
    ///
    /// # Errors
    /// Pictures past the end.
    pub fn rows(&self, from: usize, count: usize) -> Result<Tensor> {
        let to = (from + count).min(self.len());
        let Some(values) = self.values.get(from * self.width..to * self.width) else {
            bail!(
                "there are {} pictures, those from {from} on were asked for",
                self.len()
            )
        };
        let values: Vec<f64> = values.iter().map(|&x| f64::from(x)).collect();
        Tensor::from_vec(values, (to - from, self.width), &Device::Cpu)
    }

    /// The features of these pictures alone.
    ///
    /// # Errors
    /// A picture that there is not.
    pub fn chosen(&self, which: &[usize]) -> Result<Self> {
        let mut chosen = Self::new(self.width);
        for &i in which {
            match self.values.get(i * self.width..(i + 1) * self.width) {
                Some(values) => chosen.values.extend(values),
                None => bail!(
                    "there are {} pictures, number {i} was asked for",
                    self.len()
                ),
            }
        }
        Ok(chosen)
    }

    /// Blocks of at most `size` pictures: the number of the first of each.
    pub(crate) fn blocks(&self, size: usize) -> impl Iterator<Item = usize> + use<> {
        (0..self.len()).step_by(size.max(1))
    }
}

/// Refuses two sets that cannot be compared, or one with fewer pictures than `least`.
pub(crate) fn require(a: &FeatureSet, b: &FeatureSet, least: usize, what: &str) -> Result<()> {
    if a.width() != b.width() {
        bail!(
            "{what}: one set has features of {} numbers, the other of {}",
            a.width(),
            b.width()
        )
    }
    let n = a.len().min(b.len());
    if n < least {
        bail!("{what} wants {least} pictures at least in each set, there are {n}")
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_added_batch_by_batch_and_checked() {
        let batch = |values: &[f32]| {
            Tensor::from_slice(values, (values.len() / 2, 2), &Device::Cpu).unwrap()
        };
        let mut set = FeatureSet::new(2);
        set.add(&batch(&[1., 2., 3., 4.])).unwrap();
        set.add(&batch(&[5., 6.])).unwrap();
        assert_eq!((set.len(), set.width()), (3, 2));
        let rows: Vec<Vec<f64>> = set.rows(1, 9).unwrap().to_vec2().unwrap();
        assert_eq!(rows, [[3., 4.], [5., 6.]]);
        assert_eq!(
            set.chosen(&[2, 0])
                .unwrap()
                .rows(0, 2)
                .unwrap()
                .to_vec2::<f64>()
                .unwrap(),
            [[5., 6.], [1., 2.]]
        );
        assert!(set.chosen(&[3]).is_err() && set.rows(4, 1).is_err());
        for bad in [f32::NAN, f32::INFINITY] {
            let error = set.add(&batch(&[1., bad])).unwrap_err().to_string();
            assert!(error.contains("not finite"), "{error}");
        }
        let wide = Tensor::zeros((1, 3), DType::F32, &Device::Cpu).unwrap();
        assert!(set.add(&wide).is_err());
        assert_eq!(set.len(), 3);
    }
}
