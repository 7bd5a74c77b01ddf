//! What generators that take pictures make of them, and strips for people to look at.

use candle_core::{Result, Tensor, bail};
use gan_core::image::{Picture, grid};
use gan_core::{Draws, Probe, Sampler, Side, Takes};

/// The channels of the pictures that a generator takes, if it takes any.
pub fn channels(takes: &Takes) -> Option<usize> {
    match takes {
        Takes::Image { channels, .. } | Takes::Sides { channels, .. } => Some(*channels),
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

/// Translates pictures `[n, c, h, w]` in [−1, 1] of any size, as [`gan_core::translate`] does. `side` is the
/// one that the pictures are of; it does not matter to a generator that takes one side only.
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
    let probe = match takes {
        Takes::Sides { .. } => Probe::Side(side, pictures.clone()),
        _ => Probe::Image(pictures.clone()),
    };
    // The first column is what was given.
    let mut made = gan_core::translate(sampler, &probe, draws)?
        .into_iter()
        .skip(1);
    let mut next = || made.next().map(|(_, picture)| picture.detach());
    match next() {
        Some(translated) => Ok(Translation {
            translated,
            cycled: next(),
        }),
        None => bail!("the generator made no pictures"),
    }
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
