//! Translating pictures of any size: padded to what a generator can take, and cropped afterwards.

use crate::algorithm::{Probe, Sampler, Takes};
use crate::source::Draws;
use candle_core::{Result, Tensor, bail};

/// What a generator makes of pictures whose sides need not be multiples of anything: they are mirrored on
/// at their borders, and all columns are cropped to their size again. Nothing is stretched.
///
/// # Errors
/// A generator that takes no pictures; those of [`Sampler::sample`].
pub fn translate(
    sampler: &dyn Sampler,
    input: &Probe,
    draws: &mut dyn Draws,
) -> Result<Vec<(&'static str, Tensor)>> {
    let (Takes::Image { multiple, .. } | Takes::Sides { multiple, .. }) = sampler.takes() else {
        bail!("this generator takes no pictures")
    };
    let pad = |x: &Tensor| padded(x, multiple);
    let (x, padded) = match input {
        Probe::Image(x) => (x, Probe::Image(pad(x)?)),
        Probe::Side(side, x) => (x, Probe::Side(*side, pad(x)?)),
        Probe::Sides { x, y } if x.dims() == y.dims() => {
            let (padded_x, y) = (pad(x)?, pad(y)?);
            (x, Probe::Sides { x: padded_x, y })
        }
        Probe::Sides { x, y } => bail!(
            "pictures of the two sides are {:?} and {:?}, expected one size",
            x.dims(),
            y.dims()
        ),
        Probe::Latent(_) | Probe::Labelled { .. } => bail!("noise is not translated"),
    };
    let (_, _, h, w) = x.dims4()?;
    let (top, left) = (before(h, multiple), before(w, multiple));
    let columns = sampler.sample(&padded, draws)?.into_iter();
    columns
        .map(|(name, made)| {
            Ok((
                name,
                made.narrow(2, top, h)?.narrow(3, left, w)?.contiguous()?,
            ))
        })
        .collect()
}

/// Rows or columns that are added before a side of this length; as many, or one more, come after.
fn before(length: usize, multiple: usize) -> usize {
    (length.next_multiple_of(multiple) - length) / 2
}

/// Pictures `[n, c, h, w]` mirrored on at their borders, whose last line is not repeated, until both sides
/// are multiples.
fn padded(x: &Tensor, multiple: usize) -> Result<Tensor> {
    let (_, _, h, w) = x.dims4()?;
    if h == 0 || w == 0 || multiple == 0 {
        bail!("pictures of {h}x{w} cannot be padded to multiples of {multiple}")
    }
    let mirrored = |length: usize| -> Result<Tensor> {
        let period = (2 * (length - 1)).max(1);
        let first = period - before(length, multiple) % period;
        let places = (0..length.next_multiple_of(multiple)).map(|i| {
            let at = (first + i) % period;
            at.min(period - at) as u32
        });
        Tensor::from_iter(places, x.device())
    };
    match h.is_multiple_of(multiple) && w.is_multiple_of(multiple) {
        true => Ok(x.clone()),
        false => x
            .contiguous()?
            .index_select(&mirrored(h)?, 2)?
            .index_select(&mirrored(w)?, 3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::CounterRng;
    use candle_core::Device;

    /// Keeps what it was given as a column.
    struct Same;

    impl Sampler for Same {
        fn takes(&self) -> Takes {
            Takes::Image {
                channels: 1,
                multiple: 4,
            }
        }

        fn sample(&self, input: &Probe, _: &mut dyn Draws) -> Result<Vec<(&'static str, Tensor)>> {
            let Probe::Image(x) = input else {
                bail!("pictures were expected")
            };
            assert!(x.dim(2)?.is_multiple_of(4) && x.dim(3)?.is_multiple_of(4));
            Ok(vec![("fake", x.clone())])
        }
    }

    #[test]
    fn sizes_stay_and_borders_are_mirrored() -> Result<()> {
        let device = Device::Cpu;
        let mut draws = CounterRng::new(1, &device);
        for (h, w) in [(1, 1), (4, 8), (5, 3), (7, 13)] {
            let x = Tensor::arange(0f32, (h * w) as f32, &device)?.reshape((1, 1, h, w))?;
            let made = translate(&Same, &Probe::Image(x.clone()), &mut draws)?;
            let values = |x: &Tensor| x.flatten_all()?.to_vec1::<f32>();
            assert_eq!(values(&made[0].1)?, values(&x)?);
        }
        let x = Tensor::new(&[1f32, 2., 3.], &device)?.reshape((1, 1, 1, 3))?;
        let row = padded(&x, 8)?
            .narrow(2, 0, 1)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        assert_eq!(row, [3., 2., 1., 2., 3., 2., 1., 2.]);
        Ok(())
    }
}
