//! Generators that take pictures: any size brought to what they want, and strips for people to look at.

use candle_core::{Result, Tensor, bail};
use gan_core::image::{Picture, grid};
use gan_core::{Draws, Probe, Sampler, Side, Takes};

/// Channels, and what height and width have to be multiples of, for a generator that takes pictures.
pub fn wants(takes: &Takes) -> Option<(usize, usize)> {
    match takes {
        Takes::Image { channels, multiple } | Takes::Sides { channels, multiple } => {
            Some((*channels, *multiple))
        }
        Takes::Latent { .. } | Takes::Labelled { .. } => None,
    }
}

/// What a generator that takes pictures makes of them, in their own size: the translation, and, where it
/// translates both ways, what comes back.
#[derive(Debug)]
pub struct Translation {
    /// `[n, c, h, w]` as the pictures.
    pub translated: Tensor,
    /// The translation translated back.
    pub cycled: Option<Tensor>,
}

/// Translates pictures `[n, c, h, w]` in [−1, 1] of any size. Sides that are no multiple of what the network
/// wants are mirrored on until they are, and cut back; nothing is stretched. `side` is the one that the
/// pictures are of; it does not matter to a generator that takes one side only.
///
/// # Errors
/// A generator that takes no pictures, or makes none of their size.
pub fn translate(
    sampler: &dyn Sampler,
    pictures: &Tensor,
    side: Side,
    draws: &mut dyn Draws,
) -> Result<Translation> {
    let takes = sampler.takes();
    let Some((_, multiple)) = wants(&takes) else {
        bail!("this generator takes no pictures")
    };
    let (_, _, h, w) = pictures.dims4()?;
    let (padded, (top, left)) = padded(pictures, multiple)?;
    let probe = match takes {
        Takes::Sides { .. } => Probe::Side(side, padded.clone()),
        _ => Probe::Image(padded.clone()),
    };
    let made = sampler.sample(&probe, draws)?;
    // The first column is what was given.
    let mut made = made.into_iter().skip(1);
    let mut next = || {
        let Some((name, picture)) = made.next() else {
            return Ok(None);
        };
        let size = |x: &Tensor| x.dims4().map(|(n, _, h, w)| (n, h, w));
        if size(&picture)? != size(&padded)? {
            bail!(
                "{name}: {:?} was made of {:?}, expected pictures of the same size",
                picture.dims(),
                padded.dims()
            )
        }
        let picture = picture.detach().narrow(2, top, h)?.narrow(3, left, w)?;
        picture.contiguous().map(Some)
    };
    match next()? {
        Some(translated) => Ok(Translation {
            translated,
            cycled: next()?,
        }),
        None => bail!("the generator made no pictures"),
    }
}

/// Pictures mirrored on at their borders until both sides are multiples of this, and where they begin then.
fn padded(pictures: &Tensor, multiple: usize) -> Result<(Tensor, (usize, usize))> {
    let (_, _, h, w) = pictures.dims4()?;
    let more = |length: usize| length.next_multiple_of(multiple.max(1)) - length;
    let (top, left) = (more(h) / 2, more(w) / 2);
    let rows = mirrored(h, top, h + more(h));
    let columns = mirrored(w, left, w + more(w));
    let pick = |x: &Tensor, dim, which: Vec<u32>| {
        let n = which.len();
        x.index_select(&Tensor::from_vec(which, n, x.device())?, dim)
    };
    let mut padded = pictures.contiguous()?;
    if more(h) > 0 {
        padded = pick(&padded, 2, rows)?;
    }
    if more(w) > 0 {
        padded = pick(&padded, 3, columns)?;
    }
    Ok((padded, (top, left)))
}

/// For each of `new` places the one of `length` that is there when a line is mirrored on at its ends
/// without repeating them, as often as needed; it begins at `before`.
fn mirrored(length: usize, before: usize, new: usize) -> Vec<u32> {
    let period = 2 * length.saturating_sub(1);
    let place = |i: usize| {
        if period == 0 {
            return 0;
        }
        let i = (i + period - before % period) % period;
        i.min(period - i) as u32
    };
    (0..new).map(place).collect()
}

/// Columns side by side, a picture a row and `across` such strips beside each other.
///
/// # Errors
/// No columns, or of different shapes.
pub fn strips(columns: &[Tensor], across: usize) -> Result<Picture> {
    let Some(first) = columns.first() else {
        bail!("there is nothing to lay out")
    };
    let (n, c, h, w) = first.dims4()?;
    let rows = Tensor::stack(columns, 1)?.reshape((n * columns.len(), c, h, w))?;
    grid(&rows, columns.len() * across.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn a_line_is_mirrored_as_often_as_needed() {
        assert_eq!(mirrored(3, 2, 8), [2, 1, 0, 1, 2, 1, 0, 1]);
        assert_eq!(mirrored(4, 0, 4), [0, 1, 2, 3]);
        assert_eq!(mirrored(1, 3, 8), [0; 8]);
        assert_eq!(mirrored(2, 3, 8), [1, 0, 1, 0, 1, 0, 1, 0]);
    }

    #[test]
    fn padding_keeps_the_picture_in_the_middle() -> Result<()> {
        let values: Vec<f32> = (0..30).map(|i| i as f32).collect();
        let x = Tensor::from_vec(values, (1, 1, 5, 6), &Device::Cpu)?;
        let (padded, (top, left)) = padded(&x, 8)?;
        assert_eq!((padded.dims(), top, left), (&[1, 1, 8, 8][..], 1, 1));
        let middle = padded.narrow(2, top, 5)?.narrow(3, left, 6)?;
        assert_eq!((middle - &x)?.abs()?.max_all()?.to_scalar::<f32>()?, 0.);
        let first = padded.narrow(2, 0, 1)?.flatten_all()?.to_vec1::<f32>()?;
        assert_eq!(first, [7., 6., 7., 8., 9., 10., 11., 10.]);
        Ok(())
    }
}
