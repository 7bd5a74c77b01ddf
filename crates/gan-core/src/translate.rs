//! Pictures of any size given to a generator: padded to what it can take, and cropped afterwards.

use crate::draws::Draws;
use crate::sampler::{Columns, Port, Probe, Sampler};
use candle_core::{Result, Tensor, bail};

/// What a generator makes of pictures of any size: they are mirrored on at their borders to what it can
/// take, and all columns are cropped to the part that they were, or that has become of it where the
/// generator makes larger ones. Nothing is stretched.
///
/// # Errors
/// A generator that takes no pictures; pictures of two sizes; those of [`Sampler::sample`].
pub fn translate(sampler: &dyn Sampler, input: &Probe, draws: &mut dyn Draws) -> Result<Columns> {
    let Some(port) = sampler.takes().port else {
        bail!("this generator takes no pictures")
    };
    let (h, w) = match (&input.x, &input.y) {
        (Some(x), Some(y)) if x.dims() != y.dims() => bail!(
            "pictures of the two sides are {:?} and {:?}, expected one size",
            x.dims(),
            y.dims()
        ),
        (Some(x), _) | (None, Some(x)) => {
            let (_, _, h, w) = x.dims4()?;
            (h, w)
        }
        (None, None) => bail!("this generator takes pictures, it was given none"),
    };
    let padded = input.map_pictures(|x| padded(x, &port))?;
    let (full_h, full_w) = (target(h, &port), target(w, &port));
    sampler.sample(&padded, draws)?.map(|name, made| {
        // A column is as large as what was given, or as what was made of it.
        let (_, _, made_h, made_w) = made.dims4()?;
        let scale = made_h / full_h.max(1);
        if (made_h, made_w) != (scale * full_h, scale * full_w) || scale == 0 {
            bail!("the column {name} is {made_h}x{made_w}, made of pictures of {full_h}x{full_w}")
        }
        let (top, left) = ((full_h - h) / 2 * scale, (full_w - w) / 2 * scale);
        made.narrow(2, top, h * scale)?
            .narrow(3, left, w * scale)?
            .contiguous()
    })
}

/// The length that a side is padded to.
pub(crate) fn target(length: usize, port: &Port) -> usize {
    length
        .max(port.least)
        .next_multiple_of(port.multiple.max(1))
}

/// For each line of a side that was padded, the line of the side that it shows: mirrored on at both ends, whose last
/// line is not repeated. The side has at least one line.
pub(crate) fn places(length: usize, port: &Port) -> impl Iterator<Item = u32> + use<> {
    let full = target(length, port);
    let period = (2 * length.saturating_sub(1)).max(1);
    let first = period - (full - length) / 2 % period;
    (0..full).map(move |i| {
        let at = (first + i) % period;
        at.min(period - at) as u32
    })
}

/// Pictures `[n, c, h, w]` mirrored on at their borders until the generator takes them.
fn padded(x: &Tensor, port: &Port) -> Result<Tensor> {
    let (_, _, h, w) = x.dims4()?;
    if h == 0 || w == 0 {
        bail!("pictures of {h}x{w} cannot be padded")
    }
    let mirrored = |length: usize| Tensor::from_iter(places(length, port), x.device());
    match (target(h, port), target(w, port)) == (h, w) {
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
    use crate::data::Side;
    use crate::rng::CounterRng;
    use crate::sampler::Takes;
    use candle_core::Device;

    /// Keeps what it was given as a column, and each pixel twice in both directions.
    struct Twice;

    impl Sampler for Twice {
        fn takes(&self) -> Takes {
            Takes::pictures(Port::new(1, 4).least(8).scale(2))
        }

        fn sample(&self, input: &Probe, _: &mut dyn Draws) -> Result<Columns> {
            let x = input.one()?;
            self.takes().port.map_or(Ok(()), |port| port.check(x))?;
            let (n, c, h, w) = x.dims4()?;
            let large = x
                .reshape((n, c, h, 1, w, 1))?
                .broadcast_as((n, c, h, 2, w, 2))?
                .reshape((n, c, 2 * h, 2 * w))?;
            Ok(Columns::new("low", x.clone()).with("fake", large))
        }
    }

    #[test]
    fn sizes_stay_or_grow_and_borders_are_mirrored() -> Result<()> {
        let device = Device::Cpu;
        let mut draws = CounterRng::new(1, &device);
        let values = |x: &Tensor| x.flatten_all()?.to_vec1::<f32>();
        for (h, w) in [(1, 1), (4, 8), (5, 3), (7, 13)] {
            let x = Tensor::arange(0f32, (h * w) as f32, &device)?.reshape((1, 1, h, w))?;
            let made = translate(&Twice, &Probe::pictures(Side::B, x.clone()), &mut draws)?;
            assert_eq!(values(made.get("low")?)?, values(&x)?);
            let large = made.get("fake")?;
            assert_eq!(large.dims(), [1, 1, 2 * h, 2 * w]);
            let corner = large.narrow(2, 2 * h - 1, 1)?.narrow(3, 2 * w - 1, 1)?;
            assert_eq!(values(&corner)?, [(h * w - 1) as f32]);
        }
        let x = Tensor::new(&[1f32, 2., 3.], &device)?.reshape((1, 1, 1, 3))?;
        let row = padded(&x, &Port::new(1, 8))?;
        let row = row.narrow(2, 0, 1)?.flatten_all()?.to_vec1::<f32>()?;
        assert_eq!(row, [3., 2., 1., 2., 3., 2., 1., 2.]);
        Ok(())
    }
}
