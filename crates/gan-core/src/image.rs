//! Pictures for people: grids and PNG files.

use candle_core::{DType, Device, Result, Tensor, bail};
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

/// Pixels between two pictures of a grid.
pub const GAP: usize = 2;

/// An 8-bit picture, row by row, channels last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// `height·width·channels` values.
    pub bytes: Vec<u8>,
}

impl Picture {
    /// The picture as a PNG file.
    pub fn png(&self) -> Result<Vec<u8>> {
        let mut file = Vec::new();
        let color = if self.channels == 1 {
            ExtendedColorType::L8
        } else {
            ExtendedColorType::Rgb8
        };
        PngEncoder::new(&mut file)
            .write_image(&self.bytes, self.width as u32, self.height as u32, color)
            .map_err(candle_core::Error::wrap)?;
        Ok(file)
    }
}

/// Lays out pictures `[n, c, h, w]` in [−1, 1] (values outside are clipped) in rows of `columns`,
/// with black lines between them.
///
/// # Errors
/// No pictures, channels other than 1 or 3, a value that is not finite.
pub fn grid(pictures: &Tensor, columns: usize) -> Result<Picture> {
    laid_out(pictures, columns, GAP)
}

/// The one picture of `[1, c, h, w]` in [−1, 1] (values outside are clipped), in its own size.
///
/// # Errors
/// Another number of pictures, channels other than 1 or 3, a value that is not finite.
pub fn single(picture: &Tensor) -> Result<Picture> {
    match picture.dims4()? {
        (1, ..) => laid_out(picture, 1, 0),
        _ => bail!(
            "one picture [1, c, h, w] was expected, not {:?}",
            picture.dims()
        ),
    }
}

fn laid_out(pictures: &Tensor, columns: usize, gap: usize) -> Result<Picture> {
    let (n, channels, h, w) = pictures.dims4()?;
    if n * h * w == 0 || columns == 0 || !matches!(channels, 1 | 3) {
        bail!(
            "a grid wants pictures [n, 1 or 3, h, w], not {:?}",
            pictures.dims()
        )
    }
    let columns = columns.min(n);
    let rows = n.div_ceil(columns);
    let (width, height) = (columns * (w + gap) + gap, rows * (h + gap) + gap);
    let pixels = pictures
        .detach()
        .to_device(&Device::Cpu)?
        .to_dtype(DType::F32)?;
    let pixels = pixels
        .permute((0, 2, 3, 1))?
        .flatten_all()?
        .to_vec1::<f32>()?; // [n, h, w, c]
    if let Some((at, x)) = pixels.iter().enumerate().find(|(_, x)| !x.is_finite()) {
        bail!(
            "picture {} of {n} holds a number that is not finite ({x}); the network that made it is unusable",
            at / (h * w * channels) + 1
        )
    }
    let mut bytes = vec![0; width * height * channels];
    for (i, picture) in pixels.chunks_exact(h * w * channels).enumerate() {
        let (top, left) = (i / columns * (h + gap) + gap, i % columns * (w + gap) + gap);
        for (y, row) in picture.chunks_exact(w * channels).enumerate() {
            let start = ((top + y) * width + left) * channels;
            for (byte, x) in bytes.iter_mut().skip(start).zip(row) {
                *byte = ((x + 1.) * 127.5).round().clamp(0., 255.) as u8;
            }
        }
    }
    Ok(Picture {
        width,
        height,
        channels,
        bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_has_each_pixel_where_it_belongs() -> Result<()> {
        let values: Vec<f32> = (0..3 * 3 * 2 * 2).map(|i| i as f32 / 18. - 1.).collect();
        let pictures = Tensor::from_vec(values, (3, 3, 2, 2), &Device::Cpu)?;
        let grid = grid(&pictures, 2)?;
        assert_eq!((grid.width, grid.height, grid.channels), (10, 10, 3));
        let at = |x: usize, y: usize, c: usize| grid.bytes[(y * 10 + x) * 3 + c];
        assert_eq!(at(0, 0, 0), 0);
        // Picture 2, channel 1, row 1, column 0 is value 2·12 + 4 + 2 = 30.
        let want = ((30f32 / 18.) * 127.5).round() as u8;
        assert_eq!(at(2, 7, 1), want);
        let one = single(&pictures.narrow(0, 2, 1)?)?;
        assert_eq!((one.width, one.height, one.bytes[2 * 3 + 1]), (2, 2, want));
        assert!(single(&pictures).is_err());
        let spoilt = (&pictures / &pictures.zeros_like()?)?;
        let said = super::grid(&spoilt, 2).map(drop).map_err(|e| e.to_string());
        assert!(said.is_err_and(|said| said.contains("picture 1 of 3 holds a number")));
        let file = grid.png()?;
        let back = image::load_from_memory(&file).map_err(candle_core::Error::wrap)?;
        assert_eq!(back.to_rgb8().into_raw(), grid.bytes);
        Ok(())
    }
}
