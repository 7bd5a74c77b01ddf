//! PNG and JPEG files that are written while the picture is made.

use super::{Form, Kind};
use candle_core::{Error, Result, bail};
use image::ImageEncoder;
use image::codecs::jpeg::JpegEncoder;
use png::{BitDepth, ColorType, Encoder, Info};
use std::borrow::Cow;
use std::io::Write;
use std::path::Path;

/// Of 100; what a JPEG loses at this is not seen.
pub const QUALITY: u8 = 95;
/// Pixels a side of a JPEG, at most.
const JPEG_SIDE: usize = 65_535;
/// Bytes of a JPEG's values, which are held whole, at most.
const JPEG_HELD: usize = 1 << 30;
/// Bytes of each part of a PNG.
const PART: usize = 64 << 10;

/// How a picture is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Without loss, row by row.
    Png,
    /// Smaller, with loss: 8 bits, and what is transparent on white.
    Jpeg,
}

impl Format {
    /// What a file's ending says: `.png`, `.jpg` or `.jpeg` in any case.
    pub fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_string_lossy().to_lowercase();
        match ending.as_str() {
            "png" => Some(Self::Png),
            "jpg" | "jpeg" => Some(Self::Jpeg),
            _ => None,
        }
    }

    /// Refuses a picture that the format does not hold, before it is made.
    ///
    /// # Errors
    /// Sides that are too long; more values than a JPEG's are held.
    pub fn check(self, form: &Form) -> Result<()> {
        let Form { height, width, .. } = *form;
        let held = height
            .saturating_mul(width)
            .saturating_mul(form.kind.channels);
        match self {
            Self::Jpeg if height.max(width) > JPEG_SIDE => bail!(
                "it becomes {width} pixels wide and {height} high, more than the {JPEG_SIDE} that a JPEG has at most: \
                 write a PNG"
            ),
            Self::Jpeg if held > JPEG_HELD => bail!(
                "it becomes {width} pixels wide and {height} high, {} MiB that a JPEG is made of at once, expected at \
                 most {}: write a PNG",
                held >> 20,
                JPEG_HELD >> 20
            ),
            Self::Png if i32::try_from(height.max(width)).is_err() => bail!(
                "it becomes {width} pixels wide and {height} high, more than the {} that a PNG has at most",
                i32::MAX
            ),
            _ => Ok(()),
        }
    }

    /// What it does not keep of pictures of this kind, a sentence each.
    pub fn loses(self, kind: Kind, opaque: bool) -> Vec<&'static str> {
        let mut lost = Vec::new();
        if self == Self::Jpeg && kind.deep {
            lost.push("16 bits a channel became a JPEG's 8");
        }
        if self == Self::Jpeg && kind.alpha && !opaque {
            lost.push("what was transparent was put on white, as a JPEG is opaque");
        }
        lost
    }
}

/// Writes a picture whose rows come in bands, from above. Of a PNG no more than a band is held; of a JPEG, the 8-bit
/// values of the whole. A colour profile is written, too.
///
/// # Errors
/// Those of [`Format::check`], of the bands, and of writing; too few or too many rows.
pub fn write(
    to: &mut dyn Write,
    format: Format,
    form: &Form,
    profile: Option<&[u8]>,
    bands: &mut dyn Iterator<Item = Result<Vec<u8>>>,
) -> Result<()> {
    format.check(form)?;
    match format {
        Format::Png => png(to, form, profile, bands),
        Format::Jpeg => jpeg(to, form, profile, bands),
    }
}

fn png(
    to: &mut dyn Write,
    form: &Form,
    profile: Option<&[u8]>,
    bands: &mut dyn Iterator<Item = Result<Vec<u8>>>,
) -> Result<()> {
    let mut info = Info::with_size(form.width as u32, form.height as u32);
    info.color_type = match (form.kind.channels, form.kind.alpha) {
        (1, false) => ColorType::Grayscale,
        (1, true) => ColorType::GrayscaleAlpha,
        (_, false) => ColorType::Rgb,
        (_, true) => ColorType::Rgba,
    };
    info.bit_depth = match form.kind.deep {
        true => BitDepth::Sixteen,
        false => BitDepth::Eight,
    };
    info.icc_profile = profile.map(Cow::Borrowed);
    let encoder = Encoder::with_info(to, info).map_err(Error::wrap)?;
    let mut file = encoder.write_header().map_err(Error::wrap)?;
    let mut rows = file.stream_writer_with_size(PART).map_err(Error::wrap)?;
    let mut left = form.row() * form.height;
    for band in bands {
        let band = band?;
        let Some(rest) = left.checked_sub(band.len()) else {
            return wrong(form);
        };
        left = rest;
        rows.write_all(&band)?;
    }
    if left > 0 {
        return wrong(form);
    }
    rows.finish().map_err(Error::wrap)?;
    file.finish().map_err(Error::wrap)
}

fn jpeg(
    to: &mut dyn Write,
    form: &Form,
    profile: Option<&[u8]>,
    bands: &mut dyn Iterator<Item = Result<Vec<u8>>>,
) -> Result<()> {
    let n = form.height * form.width * form.kind.channels;
    let mut values = Vec::with_capacity(n);
    for band in bands {
        eight_on_white(form.kind, &band?, &mut values);
    }
    if values.len() != n {
        return wrong(form);
    }
    let mut encoder = JpegEncoder::new_with_quality(to, QUALITY);
    if let Some(profile) = profile {
        encoder
            .set_icc_profile(profile.to_vec())
            .map_err(Error::wrap)?;
    }
    let color = match form.kind.channels {
        1 => image::ExtendedColorType::L8,
        _ => image::ExtendedColorType::Rgb8,
    };
    let (width, height) = (form.width as u32, form.height as u32);
    encoder
        .encode(&values, width, height, color)
        .map_err(Error::wrap)
}

fn wrong(form: &Form) -> Result<()> {
    bail!(
        "other rows were made than the {} that were expected",
        form.height
    )
}

/// Appends the colours of pixels as 8-bit values, on white where they are transparent.
fn eight_on_white(kind: Kind, bytes: &[u8], values: &mut Vec<u8>) {
    let most = u64::from(kind.most());
    for pixel in bytes.chunks_exact(kind.bytes().max(1)) {
        let value = |i| u64::from(kind.value(pixel, i));
        let opaque = if kind.alpha {
            value(kind.channels)
        } else {
            most
        };
        values.extend((0..kind.channels).map(|i| {
            let on_white = value(i) * opaque + most * (most - opaque); // of most²
            ((on_white * 255 + most * most / 2) / (most * most)) as u8 // at most 255
        }));
    }
}
