//! What a run wants to see of its pictures: the one place that says how they are fitted, when they are
//! read and when a batch is cut from them.

use super::DataInfo;
use serde::{Deserialize, Serialize};

/// The largest side, in pixels, of pictures that are read, brought to size or padded.
pub(super) const LARGEST_SIDE: usize = 8192;

/// Which part of a data set in two domains; a set in one domain is side A.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The domain X.
    A,
    /// The domain Y.
    B,
}

impl Side {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Side::A => Side::B,
            Side::B => Side::A,
        }
    }

    /// A or B, as in the names of folders.
    pub fn letter(self) -> char {
        match self {
            Side::A => 'A',
            Side::B => 'B',
        }
    }
}

/// The range of a picture's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Range {
    /// [−1, 1]
    Signed,
    /// [0, 1]
    Unit,
}

/// How pictures are brought to what the networks take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fit {
    /// As they are; all have one size.
    Whole,
    /// Each in its own size, without what is left at the right and at the bottom of a multiple.
    Multiple {
        /// Height and width are multiples of it.
        of: usize,
    },
    /// The shorter side is brought to `load`, once, when a picture is read. Of it a square of `size` is
    /// kept: the one in the middle where both are equal, one at random in each batch where `load` is larger.
    Square {
        /// Side of the square.
        size: usize,
        /// The shorter side before it is cut; at least `size`.
        load: usize,
    },
    /// A square of `size` cut at random in each batch from the picture in its full size.
    Crop {
        /// Side of the square.
        size: usize,
    },
}

/// How a run sees its pictures.
///
/// What is random is a pure function of the run's seed and the picture's running number, so that a run
/// that goes on makes the same choices; all tensors of a batch share them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// How pictures are brought to what the networks take.
    pub fit: Fit,
    /// Whether every other picture, at random, is mirrored left to right.
    pub flip: bool,
    /// Whether squares are turned, by none to three quarter turns at random. Whole pictures never are.
    pub turn: bool,
}

/// A rectangle of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Part {
    /// All of a picture of this height and width.
    pub fn whole((height, width): (usize, usize)) -> Self {
        Self {
            top: 0,
            left: 0,
            height,
            width,
        }
    }
}

/// What is kept of a picture when it is read: a part of it, brought to a height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The part, in pixels of the picture as it is.
    pub part: Part,
    /// The height and width that it is brought to.
    pub size: (usize, usize),
}

impl Kept {
    /// What is kept of a picture that is this many times smaller; none where the picture is scaled, or the part is no
    /// whole number of its pixels.
    pub(super) fn smaller(self, times: usize) -> Option<Self> {
        let Part {
            top,
            left,
            height,
            width,
        } = self.part;
        let all = [top, left, height, width];
        let fits = times > 0 && all.iter().all(|length| length.is_multiple_of(times));
        (fits && self.size == (height, width)).then(|| Self {
            part: Part {
                top: top / times,
                left: left / times,
                height: height / times,
                width: width / times,
            },
            size: (height / times, width / times),
        })
    }
}

/// Where a square is cut, in parts of the room there is, whether it is mirrored and how far it is turned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// From 0 (the top) to below 1.
    pub y: f32,
    /// From 0 (the left) to below 1.
    pub x: f32,
    /// Mirrored left to right.
    pub mirror: bool,
    /// Quarter turns to the right, after mirroring: 0 to 3.
    pub turns: u8,
}

impl Choice {
    /// The middle, neither mirrored nor turned.
    pub const MIDDLE: Self = Self {
        y: 0.5,
        x: 0.5,
        mirror: false,
        turns: 0,
    };
}

impl View {
    /// Pictures as they are.
    pub const fn whole() -> Self {
        Self::of(Fit::Whole)
    }

    /// Squares of `size` from the middle.
    pub const fn square(size: usize) -> Self {
        Self::of(Fit::Square { size, load: size })
    }

    /// Squares of `size` at random, from pictures whose shorter side is `jitter` pixels longer.
    pub const fn jittered(size: usize, jitter: usize) -> Self {
        let load = size.saturating_add(jitter);
        Self::of(Fit::Square { size, load })
    }

    /// Squares of `size` at random, from pictures in their full size.
    pub const fn crop(size: usize) -> Self {
        Self::of(Fit::Crop { size })
    }

    /// Each picture in its own size, cut at the right and at the bottom to a multiple of this number.
    pub const fn multiples(of: usize) -> Self {
        let of = if of == 0 { 1 } else { of };
        Self::of(Fit::Multiple { of })
    }

    const fn of(fit: Fit) -> Self {
        Self {
            fit,
            flip: false,
            turn: false,
        }
    }

    /// The same, mirrored at random or not.
    pub const fn flipped(self, flip: bool) -> Self {
        Self { flip, ..self }
    }

    /// The same, its squares turned at random or not; with mirroring that makes all eight positions of a square.
    pub const fn turned(self, turn: bool) -> Self {
        Self { turn, ..self }
    }

    /// Whether a batch holds turned pictures: squares alone keep their shape.
    pub(super) fn turns(&self) -> bool {
        self.turn && matches!(self.fit, Fit::Square { .. } | Fit::Crop { .. })
    }

    /// The shortest side that a picture needs so that nothing is enlarged but by the jitter; 0: any will do.
    pub fn needs(&self) -> usize {
        match self.fit {
            Fit::Whole => 0,
            Fit::Multiple { of } => of,
            Fit::Square { size, .. } | Fit::Crop { size } => size,
        }
    }

    /// The same without chance: squares from the middle, nothing mirrored or turned.
    pub fn still(self) -> Self {
        let fit = match self.fit {
            Fit::Square { size, .. } => Fit::Square { size, load: size },
            other => other,
        };
        Self::of(fit)
    }

    /// Whether a batch depends on chance: where squares are cut, what is mirrored and what is turned.
    pub fn is_random(&self) -> bool {
        let crops = match self.fit {
            Fit::Whole | Fit::Multiple { .. } => false,
            Fit::Square { size, load } => load > size,
            Fit::Crop { .. } => true,
        };
        crops || self.flip || self.turns()
    }

    /// What is kept of a picture of this height and width when it is read. One smaller than what is needed
    /// is enlarged.
    ///
    /// # Errors
    /// A size that it cannot be brought to; the sentence says which.
    pub fn kept(&self, (h, w): (usize, usize)) -> Result<Kept, String> {
        let whole = Part::whole((h, w));
        let kept = match self.fit {
            Fit::Whole => Kept {
                part: whole,
                size: (h, w),
            },
            Fit::Multiple { of } => {
                let multiple = |(h, w): (usize, usize)| (h - h % of, w - w % of);
                match h.min(w) < of {
                    true => Kept {
                        part: whole,
                        size: multiple(shorter((h, w), of)),
                    },
                    false => Kept {
                        part: Part::whole(multiple((h, w))),
                        size: multiple((h, w)),
                    },
                }
            }
            Fit::Square { size, load } if size == load => {
                let side = h.min(w);
                Kept {
                    part: Part {
                        top: (h - side) / 2,
                        left: (w - side) / 2,
                        height: side,
                        width: side,
                    },
                    size: (size, size),
                }
            }
            Fit::Square { load, .. } => Kept {
                part: whole,
                size: shorter((h, w), load),
            },
            Fit::Crop { size } => Kept {
                part: whole,
                size: match h.min(w) < size {
                    true => shorter((h, w), size),
                    false => (h, w),
                },
            },
        };
        let (height, width) = kept.size;
        let scaled = kept.size != (kept.part.height, kept.part.width);
        if height.min(width) == 0 || (scaled && height.max(width) > LARGEST_SIDE) {
            return Err(format!(
                "a picture of {h}x{w} cannot be brought to {height}x{width}"
            ));
        }
        Ok(kept)
    }

    /// Channels, height and width of the pictures that a network sees. Of pictures as they are these are the
    /// data's.
    pub fn picture(&self, data: &DataInfo) -> [usize; 3] {
        let (h, w) = match self.fit {
            Fit::Whole => (data.height, data.width),
            Fit::Multiple { of } => (data.height - data.height % of, data.width - data.width % of),
            Fit::Square { size, .. } | Fit::Crop { size } => (size, size),
        };
        [data.channels, h, w]
    }

    /// The part of a picture, held in this height and width, that a choice cuts for a batch.
    ///
    /// # Errors
    /// A picture smaller than the square; the sentence says so.
    pub fn cut(&self, held: (usize, usize), choice: Choice) -> Result<Part, String> {
        self.cut_at(held, choice, 1)
    }

    /// The same, beginning at multiples of `step` pixels only, where each such square is a pixel of a smaller picture.
    ///
    /// # Errors
    /// As [`View::cut`].
    pub(super) fn cut_at(
        &self,
        held: (usize, usize),
        choice: Choice,
        step: usize,
    ) -> Result<Part, String> {
        let (Fit::Square { size, .. } | Fit::Crop { size }) = self.fit else {
            return Ok(Part::whole(held));
        };
        if held.0.min(held.1) < size {
            return Err(format!(
                "a square of {size} cannot be cut from a picture of {}x{}",
                held.0, held.1
            ));
        }
        let start = |length: usize, at: f32| {
            let room = (length - size) / step.max(1);
            ((at * (room + 1) as f32) as usize).min(room) * step
        };
        Ok(Part {
            top: start(held.0, choice.y),
            left: start(held.1, choice.x),
            height: size,
            width: size,
        })
    }

    /// How pictures are seen that are this many times smaller and lie beside those of this view.
    ///
    /// # Errors
    /// Squares of a size that is no multiple; the sentence says so.
    pub(super) fn smaller(self, times: usize) -> Result<Self, String> {
        let part = |length: usize| match length.is_multiple_of(times) {
            true => Ok(length / times),
            false => Err(format!(
                "squares of {length} are no whole number of pixels of the low pictures, which are {times} times smaller"
            )),
        };
        let fit = match self.fit {
            Fit::Whole => Fit::Whole,
            Fit::Multiple { of } => Fit::Multiple { of: part(of)? },
            Fit::Square { size, load } => Fit::Square {
                size: part(size)?,
                load: part(load)?,
            },
            Fit::Crop { size } => Fit::Crop { size: part(size)? },
        };
        Ok(Self { fit, ..self })
    }
}

/// Height and width with the shorter side brought to this length, the longer one in proportion.
fn shorter((h, w): (usize, usize), side: usize) -> (usize, usize) {
    let short = h.min(w).max(1);
    let scaled = |length: usize| (length * side + short / 2) / short;
    (scaled(h), scaled(w))
}

/// How pictures are made smaller by a whole factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shrink {
    /// Each value is the mean of a square, as in networks that grow.
    Mean,
    /// MATLAB's antialiased bicubic filter (a = −1/2, widened by the factor; borders mirrored with the edge
    /// pixel repeated), as in super-resolution.
    Bicubic,
}

/// One tensor of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ask<'a> {
    /// Its name, as the reference names it.
    pub role: &'a str,
    /// What it holds.
    pub what: What,
}

/// What a tensor of a batch holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// The classes of side A's pictures, `[b]` (u32).
    Labels,
    /// Pictures `[b, c, h, w]`.
    Pictures {
        /// Of this side.
        side: Side,
        /// Range of values.
        range: Range,
        /// By how much they are smaller than the view says, and how they are made so.
        shrink: Option<(usize, Shrink)>,
    },
}

impl What {
    /// The side that it is of; labels are side A's.
    pub fn side(&self) -> Side {
        match self {
            What::Labels => Side::A,
            What::Pictures { side, .. } => *side,
        }
    }
}

/// Pictures of side A in [−1, 1].
pub const fn pictures(role: &str) -> Ask<'_> {
    Ask {
        role,
        what: What::Pictures {
            side: Side::A,
            range: Range::Signed,
            shrink: None,
        },
    }
}

/// The classes of side A's pictures.
pub const fn labels(role: &str) -> Ask<'_> {
    Ask {
        role,
        what: What::Labels,
    }
}

impl Ask<'_> {
    fn with(
        mut self,
        change: impl FnOnce(&mut Side, &mut Range, &mut Option<(usize, Shrink)>),
    ) -> Self {
        if let What::Pictures {
            side,
            range,
            shrink,
        } = &mut self.what
        {
            change(side, range, shrink);
        }
        self
    }

    /// Of this side. Labels stay as they are, here and below.
    pub fn of(self, of: Side) -> Self {
        self.with(|side, _, _| *side = of)
    }

    /// In [0, 1].
    pub fn unit(self) -> Self {
        self.with(|_, range, _| *range = Range::Unit)
    }

    /// Smaller by a whole factor: each value is the mean of a square.
    pub fn averaged(self, factor: usize) -> Self {
        self.with(|_, _, shrink| *shrink = Some((factor, Shrink::Mean)))
    }

    /// Smaller by a whole factor, by MATLAB's bicubic filter.
    pub fn shrunk(self, factor: usize) -> Self {
        self.with(|_, _, shrink| *shrink = Some((factor, Shrink::Bicubic)))
    }
}

#[cfg(test)]
mod tests;
