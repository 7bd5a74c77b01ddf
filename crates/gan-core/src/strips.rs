//! A local network applied to a few rows at a time, so that what is large in it is never there at once.

use candle_core::{Result, Tensor, bail};

/// What `make` makes of x `[n, c, h, w]`, `[n, c', h·scale, w·scale]`, some `pixels` of a picture of x at a time.
///
/// A row of what is made may depend on `halo` rows of x above and below its own; where x ends, so does what `make` is
/// given, so that it sees the borders that it would see of the whole.
///
/// # Errors
/// Those of `make`, and what it makes of another height.
pub fn by_rows(
    x: &Tensor,
    halo: usize,
    scale: usize,
    pixels: usize,
    make: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let (_, _, h, w) = x.dims4()?;
    let rows = (pixels / w.max(1)).max(4 * halo).max(1);
    let mut made = Vec::with_capacity(h.div_ceil(rows));
    for from in (0..h).step_by(rows) {
        let to = (from + rows).min(h);
        let (top, bottom) = (from.saturating_sub(halo), (to + halo).min(h));
        let strip = make(&x.narrow(2, top, bottom - top)?.contiguous()?)?;
        let height = strip.dim(2)?;
        if height != (bottom - top) * scale {
            bail!("{height} rows were made of {}, times {scale}", bottom - top)
        }
        let strip = strip.narrow(2, (from - top) * scale, (to - from) * scale)?;
        made.push(strip.contiguous()?);
    }
    match &made[..] {
        [whole] => Ok(whole.clone()),
        strips => Tensor::cat(strips, 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draws::Draws;
    use crate::rng::CounterRng;
    use candle_core::Device;
    use gan_kernels::conv::{Conv2d, conv2d};
    use gan_kernels::resample::upsample_nearest2x;

    #[test]
    fn strips_make_what_the_whole_makes() -> Result<()> {
        let mut rng = CounterRng::new(1, &Device::Cpu);
        let w = rng.normal("w", &[3, 3, 3, 3])?;
        let how = Conv2d {
            padding: 1,
            ..Default::default()
        };
        let make = |x: &Tensor| {
            let large = upsample_nearest2x(&conv2d(x, &w, None, &how)?)?;
            conv2d(&large, &w, None, &how)
        };
        for h in [1, 2, 7, 8, 9, 40] {
            let x = rng.normal("x", &[1, 3, h, 5])?;
            let largest = |pixels| -> Result<f32> {
                let strips = by_rows(&x, 2, 2, pixels, make)?;
                (strips - make(&x)?)?.abs()?.max_all()?.to_scalar()
            };
            for pixels in [1, 50, 10_000] {
                assert!(largest(pixels)? < 1e-5, "{h}, {pixels}");
            }
        }
        Ok(())
    }
}
