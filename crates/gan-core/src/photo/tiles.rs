//! How a photograph is cut into tiles, so that what a generator takes of memory is bounded.
//!
//! Tiles are cut from the photograph as `translate` would give it to the generator: mirrored on at its borders until
//! its sides are what the generator takes. So tiles begin at multiples of what the generator wants, the borders of the
//! photograph are the same as those of the whole, and a tile that is given with at least the generator's reach around
//! it becomes what it would become in the whole.

use super::Form;
use crate::sampler::Port;
use crate::translate::target;
use candle_core::{Result, bail};

/// Bytes that a pixel is taken to cost where nobody has counted: a network of 64 channels that enlarges four times.
const UNCOUNTED: usize = 16 << 10;
/// Bytes of a value as a network has it.
const VALUE: usize = 4;
/// The smallest tile that is chosen: those below are all border.
const SMALLEST: usize = 32;

/// Squares of a photograph that a generator is given one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiles {
    /// Pixels a side of a tile, in the photograph.
    pub side: usize,
    /// Pixels around a tile that the generator is given besides, and that are cut away afterwards.
    pub overlap: usize,
}

impl Tiles {
    /// The overlap where none is named and the generator reaches at least as far.
    pub const OVERLAP: usize = 16;

    /// The usual overlap for a generator: not more than it reaches.
    pub fn overlap(port: &Port) -> usize {
        port.reach.map_or(0, |reach| reach.min(Self::OVERLAP))
    }

    /// All of a photograph as one tile.
    pub fn whole(port: &Port, form: &Form) -> Self {
        Self {
            side: target(form.height, port).max(target(form.width, port)),
            overlap: Self::overlap(port),
        }
    }

    /// The largest tiles with this overlap whose memory ([`Tiles::needs`]) is at most so many bytes; where the whole
    /// photograph fits, or the generator has to see it whole, there is one. It depends on nothing else.
    ///
    /// # Errors
    /// Fewer bytes than small tiles take.
    pub fn within(bytes: u64, overlap: usize, port: &Port, form: &Form) -> Result<Self> {
        let whole = Self {
            overlap,
            ..Self::whole(port, form)
        };
        if port.reach.is_none() || whole.needs(port, form) <= bytes {
            return Ok(whole);
        }
        // In multiples of what the generator takes: the largest that fits, which more do the larger they are.
        let multiple = port.multiple.max(1);
        let of = |n: usize| Self {
            side: n * multiple,
            overlap,
        };
        let (mut fits, mut beyond) = (SMALLEST.div_ceil(multiple), whole.side / multiple);
        if of(fits).needs(port, form) > bytes {
            let mib = |bytes: u64| bytes.div_ceil(1 << 20);
            bail!(
                "tiles of {} pixels and {overlap} around them take {} MiB, expected at most {}: allow more memory",
                fits * multiple,
                mib(of(fits).needs(port, form)),
                mib(bytes)
            )
        }
        while fits + 1 < beyond {
            let middle = fits + (beyond - fits) / 2;
            match of(middle).needs(port, form) <= bytes {
                true => fits = middle,
                false => beyond = middle,
            }
        }
        Ok(of(fits))
    }

    /// Bytes that enlarging a photograph takes with these tiles, itself aside: the generator's, of one tile, and a row
    /// of tiles of what is made.
    pub fn needs(&self, port: &Port, form: &Form) -> u64 {
        let side = self.side.saturating_add(self.overlap.saturating_mul(2));
        let given = |length: usize| side.min(target(length, port));
        let area = given(form.height) as u64 * given(form.width) as u64;
        // The colours that were made are held while the opacity is.
        let made = VALUE * port.scale * port.scale * port.channels;
        let pixel = port.bytes.unwrap_or(UNCOUNTED) + made;
        let band = form.times(port.scale).row() * self.side.min(form.height) * port.scale;
        area.saturating_mul(pixel as u64)
            .saturating_add(band as u64)
    }

    /// The lines that cut a side of this length.
    pub(super) fn lines(&self, length: usize, port: &Port) -> Vec<Line> {
        let multiple = port.multiple.max(1);
        let full = target(length, port);
        let least = port.least.next_multiple_of(multiple).min(full);
        let top = (full - length) / 2;
        let overlap = self.overlap.min(full).next_multiple_of(multiple);
        // As many tiles as there have to be, of one length, so that the last is not all border.
        let side = self.side.clamp(1, full.max(1)).next_multiple_of(multiple);
        let step = full
            .div_ceil(full.div_ceil(side).max(1))
            .next_multiple_of(multiple);
        let line = |start: usize| {
            let end = (start + step).min(full);
            let (from, to) = (start.max(top), end.min(top + length));
            let (mut first, mut last) = (start.saturating_sub(overlap), (end + overlap).min(full));
            if last - first < least {
                last = (first + least).min(full);
                first = last - least;
            }
            (from < to).then_some(Line {
                first,
                last,
                from: from - first,
                to: to - first,
                at: from - top,
            })
        };
        (0..full).step_by(step.max(1)).filter_map(line).collect()
    }
}

/// One side of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Where what the generator is given begins in the padded photograph.
    pub first: usize,
    /// Where it ends.
    pub last: usize,
    /// Where what is kept begins in what is given.
    pub from: usize,
    /// Where it ends.
    pub to: usize,
    /// Where what is kept begins in the photograph.
    pub at: usize,
}

impl Line {
    /// Pixels that are given.
    pub fn given(&self) -> usize {
        self.last - self.first
    }

    /// Pixels that are kept.
    pub fn kept(&self) -> usize {
        self.to - self.from
    }
}
