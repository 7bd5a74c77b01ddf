//! Photographs: pictures as their files have them, which a generator that restores makes larger or better.
//!
//! [`upscale`] does it from file to file. What it is made of: a [`Photo`] is read; an [`Enlarger`] gives it to the
//! generator tile by tile ([`Tiles`]) and hands out the rows that are done ([`Bands`]); [`write()`] makes a PNG or a
//! JPEG of them as they come. So neither the generator's memory nor the picture that it makes grows with the
//! photograph: beside the photograph itself, what is held at a time is a row of tiles (a JPEG's 8-bit values are held
//! whole).
//!
//! The kind is kept: grey stays grey, 16 bits stay 16, transparency stays. What is transparent is enlarged as it would
//! look on black, its colours times its opacity, and divided by the opacity afterwards: so colours that nobody sees
//! colour no border. The opacity goes through the generator, too, as a grey picture: a smoother filter would
//! make borders that lie elsewhere than those of the colours, which are then too dark or too bright there. Where
//! everything near is opaque, or clear, so is what is made, exactly.

mod bands;
mod smooth;
#[cfg(test)]
mod tests;
mod tiles;
mod upscale;
mod write;

pub use bands::{Bands, Enlarger, Watch};
pub use smooth::Smooth;
pub use tiles::Tiles;
pub use upscale::upscale;
pub use write::{Format, QUALITY, write};

use crate::FileError;
use crate::data::images::decode::{Bounds, Fault, open_within};
use image::DynamicImage;
use std::path::Path;

/// Bytes that a photograph's file has at most, and its values: 100 megapixels of 16 bits in colour.
pub const LARGEST: u64 = 640 << 20;
/// Bytes of a colour profile that is kept.
const LARGEST_PROFILE: usize = 4 << 20;

const BOUNDS: Bounds = Bounds {
    side: 65_535,
    decoded: LARGEST,
    alone: true,
    remedy: "make it smaller",
};

/// What a picture's pixels are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// 1 (grey) or 3 (RGB), transparency aside.
    pub channels: usize,
    /// Whether each pixel has an opacity, too.
    pub alpha: bool,
    /// Whether each value has 16 bits, not 8.
    pub deep: bool,
}

impl Kind {
    /// Values of a pixel.
    pub fn values(self) -> usize {
        self.channels + usize::from(self.alpha)
    }

    /// Bytes of a pixel.
    pub fn bytes(self) -> usize {
        self.values() * if self.deep { 2 } else { 1 }
    }

    /// The largest value: white, and opaque.
    pub fn most(self) -> u16 {
        if self.deep { u16::MAX } else { u8::MAX.into() }
    }

    /// Value `i` of a picture's bytes; nothing is black.
    pub(crate) fn value(self, bytes: &[u8], i: usize) -> u16 {
        let at = |i: usize| bytes.get(i).copied().unwrap_or(0);
        match self.deep {
            true => u16::from_be_bytes([at(2 * i), at(2 * i + 1)]),
            false => at(i).into(),
        }
    }

    /// Appends a value to a picture's bytes.
    pub(crate) fn push(self, bytes: &mut Vec<u8>, value: u16) {
        match self.deep {
            true => bytes.extend(value.to_be_bytes()),
            false => bytes.push(value.min(u8::MAX.into()) as u8),
        }
    }
}

/// How large a picture is, and of which kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// What its pixels are.
    pub kind: Kind,
}

impl Form {
    /// Bytes of a row.
    pub fn row(&self) -> usize {
        self.width * self.kind.bytes()
    }

    /// The same, so many times as large.
    pub fn times(self, scale: usize) -> Self {
        Self {
            height: self.height * scale,
            width: self.width * scale,
            ..self
        }
    }
}

/// A picture as its file has it, upright.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Photo {
    /// How large it is, and of which kind.
    pub form: Form,
    /// Row by row, opacity after the colours; of 16 bits the higher byte first, as in a PNG.
    pub bytes: Vec<u8>,
    /// What the colours mean (an ICC profile), where the file says so.
    pub profile: Option<Vec<u8>>,
    /// What is not as the file has it, a sentence each.
    pub notes: Vec<&'static str>,
}

impl Photo {
    /// Reads a picture: PNG, JPEG, WebP, BMP, TIFF, or the first frame of a GIF.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged, no such picture, or too large.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let file = crate::whole::read_within(path, LARGEST)?;
        Self::decode(&file).map_err(|(problem, remedy)| FileError::new(path, problem, remedy))
    }

    /// The same of a file's contents.
    ///
    /// # Errors
    /// What is wrong and what to do.
    pub(crate) fn decode(file: &[u8]) -> Result<Self, Fault> {
        let mut opened = open_within(file, &BOUNDS)?;
        let (height, width) = (opened.looks.height, opened.looks.width);
        let mut notes = Vec::new();
        if opened.looks.first {
            notes.push("the first of several pictures in the file was read");
        }
        let profile = opened.profile.take();
        let (clear, coloured) = (opened.always_clear(), opened.always_coloured());
        let picture = opened.upright()?;
        if matches!(
            picture,
            DynamicImage::ImageRgb32F(_) | DynamicImage::ImageRgba32F(_)
        ) {
            notes.push("floating-point values were read as 16 bits, those from 0 to 1");
        }
        let (kind, bytes) = values(picture);
        let photo = Self {
            form: Form {
                height,
                width,
                kind,
            },
            bytes,
            profile: None,
            notes,
        };
        // What a kind of file cannot say is told by the pixels.
        let alpha = kind.alpha && !(clear && photo.is_opaque());
        let channels = match coloured && photo.is_grey() {
            true => 1,
            false => kind.channels,
        };
        let kind = Kind {
            channels,
            alpha,
            ..kind
        };
        let space: &[u8] = if channels == 1 { b"GRAY" } else { b"RGB " };
        let fits = |profile: &Vec<u8>| {
            // What the values were in the file: of CMYK they are RGB by now.
            profile.len() <= LARGEST_PROFILE && profile.get(16..20) == Some(space)
        };
        Ok(Self {
            profile: profile.filter(fits),
            ..photo.with_kind(kind)
        })
    }

    /// A row's bytes; outside there are none.
    pub fn row(&self, y: usize) -> &[u8] {
        let row = self.form.row();
        self.bytes.get(y * row..(y + 1) * row).unwrap_or(&[])
    }

    /// The opacity of a pixel, of the kind's most.
    pub(crate) fn opacity(&self, y: usize, x: usize) -> u16 {
        let Kind {
            channels, alpha, ..
        } = self.form.kind;
        match alpha {
            true => self
                .form
                .kind
                .value(self.row(y), x * (channels + 1) + channels),
            false => self.form.kind.most(),
        }
    }

    /// Whether nothing shows through it.
    pub fn is_opaque(&self) -> bool {
        let Form { height, width, .. } = self.form;
        let most = self.form.kind.most();
        !self.form.kind.alpha || (0..height).all(|y| (0..width).all(|x| self.opacity(y, x) == most))
    }

    /// Whether all its colours are greys.
    fn is_grey(&self) -> bool {
        let kind = self.form.kind;
        let grey = |pixel: &[u8]| {
            let first = kind.value(pixel, 0);
            (1..kind.channels).all(|i| kind.value(pixel, i) == first)
        };
        self.bytes.chunks_exact(kind.bytes().max(1)).all(grey)
    }

    /// The same without the opacity, or with the first of its colours alone, as the kind says.
    fn with_kind(self, kind: Kind) -> Self {
        let was = self.form.kind;
        if was == kind {
            return self;
        }
        let mut bytes = Vec::with_capacity(self.form.height * self.form.width * kind.bytes());
        for pixel in self.bytes.chunks_exact(was.bytes().max(1)) {
            let opacity = kind.alpha.then_some(was.channels);
            for i in (0..kind.channels).chain(opacity) {
                kind.push(&mut bytes, was.value(pixel, i));
            }
        }
        Self {
            bytes,
            form: Form { kind, ..self.form },
            ..self
        }
    }
}

/// A decoded picture's kind and its bytes.
fn values(picture: DynamicImage) -> (Kind, Vec<u8>) {
    let kind = |channels, alpha, deep| Kind {
        channels,
        alpha,
        deep,
    };
    let wide = |values: Vec<u16>| {
        let mut bytes = Vec::with_capacity(2 * values.len());
        bytes.extend(values.iter().flat_map(|value| value.to_be_bytes()));
        bytes
    };
    match picture {
        DynamicImage::ImageLuma8(p) => (kind(1, false, false), p.into_raw()),
        DynamicImage::ImageLumaA8(p) => (kind(1, true, false), p.into_raw()),
        DynamicImage::ImageRgb8(p) => (kind(3, false, false), p.into_raw()),
        DynamicImage::ImageRgba8(p) => (kind(3, true, false), p.into_raw()),
        DynamicImage::ImageLuma16(p) => (kind(1, false, true), wide(p.into_raw())),
        DynamicImage::ImageLumaA16(p) => (kind(1, true, true), wide(p.into_raw())),
        DynamicImage::ImageRgb16(p) => (kind(3, false, true), wide(p.into_raw())),
        DynamicImage::ImageRgba16(p) => (kind(3, true, true), wide(p.into_raw())),
        other => match other.color().has_alpha() {
            true => (kind(3, true, true), wide(other.into_rgba16().into_raw())),
            false => (kind(3, false, true), wide(other.into_rgb16().into_raw())),
        },
    }
}
