//! Bilinear resizing of `[b, c, h, w]`, as networks have it between their layers and before them.

use candle_core::{Result, Tensor, bail};

/// x `[b, c, h, w]` to `[b, c, height, width]`: pixel centres lie at whole numbers plus a half, borders are repeated.
///
/// The two nearest pixels of each direction are mixed, also where the picture becomes smaller: nothing is smoothed
/// before, so what is fine may be left out. It is what PyTorch's `interpolate` does with `mode="bilinear"` and
/// `align_corners=False`, which reckons places in less precision. Differentiable.
///
/// # Errors
/// Another number of dimensions; a size of 0.
pub fn bilinear(x: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    let (_, _, h, w) = x.dims4()?;
    if [h, w, height, width].contains(&0) {
        bail!("bilinear: {h}x{w} cannot become {height}x{width}")
    }
    along(&along(x, 2, h, height)?, 3, w, width)
}

/// Along one axis, from `n` to `size`.
fn along(x: &Tensor, axis: usize, n: usize, size: usize) -> Result<Tensor> {
    if n == size {
        return Ok(x.clone());
    }
    let scale = size as f64 / n as f64;
    let places = (0..size).map(|i| ((i as f64 + 0.5) / scale - 0.5).clamp(0., n as f64 - 1.));
    let places: Vec<f64> = places.collect();
    let x = x.contiguous()?;
    let device = x.device();
    let pick = |at: fn(f64) -> f64| {
        let at = places.iter().map(|&place| at(place) as u32);
        x.index_select(&Tensor::from_iter(at, device)?, axis)
    };
    let mut line = [1; 4];
    if let Some(line) = line.get_mut(axis) {
        *line = size;
    }
    let share = places.iter().map(|place| place.fract() as f32);
    let share = Tensor::from_iter(share, device)?.reshape(&line)?;
    let (a, b) = (pick(f64::floor)?, pick(f64::ceil)?);
    &a + (b - &a)?.broadcast_mul(&share.to_dtype(x.dtype())?)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn a_ramp_is_enlarged_and_made_smaller_along_its_slope() -> Result<()> {
        let x = Tensor::new(&[0f32, 3., 6.], &Device::Cpu)?.reshape((1, 1, 1, 3))?;
        let y = bilinear(&x, 3, 9)?;
        assert_eq!(y.dims(), [1, 1, 3, 9]);
        let near = |y: &Tensor, wanted: &[f32]| -> Result<()> {
            let row = y.narrow(2, 0, 1)?.flatten_all()?.to_vec1::<f32>()?;
            let is_near = row.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-5);
            assert!(is_near && row.len() == wanted.len(), "{row:?}");
            Ok(())
        };
        near(&y, &[0., 0., 1., 2., 3., 4., 5., 6., 6.])?;
        // The middle of nine, and of each three the one in the middle: the others are left out.
        near(&bilinear(&y, 1, 1)?, &[3.])?;
        near(&bilinear(&y, 1, 3)?, &[0., 3., 6.])?;
        let error = bilinear(&x, 0, 9).expect_err("a size of 0");
        assert!(error.to_string().contains("1x3"), "{error}");
        Ok(())
    }
}
