//! What generators that take pictures make of them, and strips for people to look at.

use candle_core::{Device, Result, Tensor, bail};
use gan_core::data::bicubic::resized;
use gan_core::image::{Picture, grid};
use gan_core::rng::CounterRng;
use gan_core::{Draws, Probe, Sampler, Side};

/// What a generator that takes pictures makes of them, in their own size or as many times as large as it
/// makes them: the translation, and, where it translates both ways, what comes back.
#[derive(Debug)]
pub struct Translation {
    /// `[n, c, h, w]` of the pictures, times the generator's scale.
    pub translated: Tensor,
    /// The translation translated back.
    pub cycled: Option<Tensor>,
}

/// Translates pictures `[n, c, h, w]` in [−1, 1] of any size, as [`gan_core::translate()`] does. `side` is the
/// one that the pictures are of; it does not matter to a generator that takes one side only.
///
/// # Errors
/// A generator that takes no pictures, or makes no column `fake`.
pub fn translated(
    sampler: &dyn Sampler,
    pictures: &Tensor,
    side: Side,
    draws: &mut dyn Draws,
) -> Result<Translation> {
    let probe = Probe::pictures(side, pictures.clone());
    let made = gan_core::translate(sampler, &probe, draws)?;
    Ok(Translation {
        translated: made.get("fake")?.detach(),
        cycled: made.get("cycled").ok().map(Tensor::detach),
    })
}

/// Translates `[n, c, h, w]` picture by picture, as a network with statistics of the batch is used; the
/// i-th picture's randomness depends on the seed and i alone. On the CPU whatever the device.
///
/// # Errors
/// Those of the generator.
pub fn each(
    sampler: &dyn Sampler,
    pictures: &Tensor,
    side: Side,
    seed: u64,
    device: &Device,
) -> Result<Translation> {
    let mut draws = CounterRng::new(seed, device);
    let (mut all, mut cycled) = (Vec::new(), Vec::new());
    for i in 0..pictures.dim(0)? {
        draws.begin(i as u64);
        let one = pictures.narrow(0, i, 1)?.to_device(device)?;
        let made = translated(sampler, &one, side, &mut draws)?;
        all.push(made.translated.to_device(&Device::Cpu)?);
        if let Some(back) = made.cycled {
            cycled.push(back.to_device(&Device::Cpu)?);
        }
    }
    Ok(Translation {
        translated: Tensor::cat(&all, 0)?,
        cycled: match cycled.is_empty() {
            true => None,
            false => Some(Tensor::cat(&cycled, 0)?),
        },
    })
}

/// Pictures `[n, c, h, w]` as large as others are, each pixel repeated, so that pixels can be seen.
///
/// # Errors
/// A size that is no whole multiple.
fn enlarged(pictures: &Tensor, (h, w): (usize, usize)) -> Result<Tensor> {
    let (n, c, from_h, from_w) = pictures.dims4()?;
    if (from_h, from_w) == (h, w) {
        return Ok(pictures.clone());
    }
    let scale = h / from_h.max(1);
    if (scale * from_h, scale * from_w) != (h, w) {
        bail!("pictures of {from_h}x{from_w} cannot be shown at {h}x{w}")
    }
    let shape = (n, c, from_h, scale, from_w, scale);
    let pictures = pictures.detach().reshape((n, c, from_h, 1, from_w, 1))?;
    pictures.broadcast_as(shape)?.reshape((n, c, h, w))
}

/// Pictures `[n, c, h, w]` in [−1, 1] made `scale` times as large by MATLAB's bicubic filter, as files of 8 bits hold
/// them: clipped and rounded.
///
/// # Errors
/// Pictures that are none.
pub fn bicubic(pictures: &Tensor, scale: usize) -> Result<Tensor> {
    let (n, c, h, w) = pictures.dims4()?;
    let values: Vec<f32> = pictures
        .detach()
        .to_device(&Device::Cpu)?
        .flatten_all()?
        .to_vec1()?;
    let mut made = Vec::with_capacity(values.len() * scale * scale);
    for plane in values.chunks_exact((h * w).max(1)) {
        let plane: Vec<f64> = plane
            .iter()
            .map(|&x| ((f64::from(x) + 1.) * 127.5).round())
            .collect();
        let (large, _) = resized(&plane, (h, w), scale as f64);
        let rounded = large
            .into_iter()
            .map(|x| (x + 0.5).floor().clamp(0., 255.) as f32);
        made.extend(rounded.map(|x| x / 127.5 - 1.));
    }
    Tensor::from_vec(made, (n, c, scale * h, scale * w), &Device::Cpu)
}

/// The same pictures as many times as large, each pixel repeated; as they are where no number is named.
///
/// # Errors
/// Pictures that are none.
pub fn larger(pictures: &Tensor, times: Option<u16>) -> Result<Tensor> {
    let (_, _, h, w) = pictures.dims4()?;
    let times = times.map_or(1, usize::from);
    enlarged(pictures, (h * times, w * times))
}

/// Columns side by side, a picture a row and `across` such strips beside each other; smaller pictures are
/// shown as large as the largest.
///
/// # Errors
/// No columns, of different numbers of pictures, or of sizes that are no multiples of one another.
pub fn strips(columns: &[Tensor], across: usize) -> Result<Picture> {
    let Some(largest) = columns.iter().max_by_key(|column| column.elem_count()) else {
        bail!("there is nothing to lay out")
    };
    let (n, c, h, w) = largest.dims4()?;
    let columns: Vec<Tensor> = columns
        .iter()
        .map(|column| enlarged(column, (h, w)))
        .collect::<Result<_>>()?;
    let rows = Tensor::stack(&columns, 1)?.reshape((n * columns.len(), c, h, w))?;
    grid(&rows, columns.len() * across.max(1))
}
