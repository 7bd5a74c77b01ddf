//! One picture file as 8-bit values, upright, on white; its header before its pixels. The kind of file is decided
//! by its first bytes.
//!
//! Nothing is decoded that would take more than its [`Bounds`], whatever the file's own size.

use crate::data::kinds::{READ, format, kind_of, name};
use crate::data::view::LARGEST_SIDE;
use image::codecs::{bmp, gif, jpeg, png, tiff, webp};
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, Limits};
use std::io::Cursor;

const REPLACE: &str = "replace it or take it out of the set";

/// What is read at most.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Pixels a side.
    pub side: usize,
    /// Bytes of a picture as its file has it, decoded.
    pub decoded: u64,
    /// Whether it is read for itself: floating-point values and the colour profile, too.
    pub alone: bool,
    /// What to do about a picture that is larger.
    pub remedy: &'static str,
}

/// Of a picture in a set: 9,400 x 9,400 pixels in colour.
const OF_A_SET: Bounds = Bounds {
    side: LARGEST_SIDE,
    decoded: 256 << 20,
    alone: false,
    remedy: "make it smaller, or take it out of the set",
};
/// Bytes that a decoder may take besides, for tables and rows, and as many again as the picture has.
const BESIDES: u64 = 16 << 20;

/// What is wrong with a picture, and what to do.
pub type Fault = (String, &'static str);

/// What a header says of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looks {
    /// Height in pixels, upright.
    pub height: usize,
    /// Width in pixels, upright; of a half, the half's.
    pub width: usize,
    /// Width of the whole picture.
    pub full_width: usize,
    /// 1 (grey) or 3 (RGB; a palette is one of colours).
    pub channels: usize,
    /// Whether an orientation tag says that it is not stored upright.
    pub turned: bool,
    /// Whether it has more than 8 bits a channel.
    pub deep: bool,
    /// Whether it is the first of several: frames of a film, pages of a document.
    pub first: bool,
    /// Bytes that it takes decoded.
    pub bytes: u64,
}

/// A picture whose header has been read.
pub struct Opened<'a> {
    decoder: Box<dyn ImageDecoder + 'a>,
    format: ImageFormat,
    orientation: Orientation,
    /// What the header says.
    pub looks: Looks,
    /// What the colours mean, of a picture that is read for itself.
    pub profile: Option<Vec<u8>>,
}

/// A picture's values, and what only they tell.
pub struct Pixels {
    /// `height·width·channels` values, channels last.
    pub bytes: Vec<u8>,
    /// Whether white shows through it.
    pub clear: bool,
    /// The largest value, of a picture of 16 bits a channel.
    pub brightest: Option<u16>,
}

/// Reads a picture's header.
///
/// # Errors
/// What is no picture of a kind that is read; a JPEG without its end; sides above 8192, or too many bytes decoded.
pub fn open(file: &[u8]) -> Result<Opened<'_>, Fault> {
    open_within(file, &OF_A_SET)
}

/// The same within other bounds.
///
/// # Errors
/// As [`open`].
pub fn open_within<'a>(file: &'a [u8], bounds: &Bounds) -> Result<Opened<'a>, Fault> {
    let Some(format) = format(file) else {
        return Err(match kind_of(file) {
            Some(kind) => (format!("is {kind}, expected a picture ({READ})"), REPLACE),
            None => (format!("is no picture that can be read ({READ})"), REPLACE),
        });
    };
    // The decoders would fill what is missing with grey, or make room for what is not there.
    let (whole, frame) = match format {
        ImageFormat::Jpeg => (jpeg_is_whole(file), 0),
        ImageFormat::WebP => webp_frame(file).map_or((false, 0), |frame| (true, frame)),
        _ => (true, 0),
    };
    if !whole {
        let problem = format!("is cut short (a {} picture without its end)", name(format));
        return Err((problem, REPLACE));
    }
    let broken = |e| broken(format, &e);
    let (mut decoder, first) = decoder(file, format).map_err(broken)?;
    let orientation = decoder.orientation().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    let quarter = matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    );
    let (width, height) = match quarter {
        true => (height as usize, width as usize),
        false => (width as usize, height as usize),
    };
    let color = decoder.color_type();
    let bytes = decoder.total_bytes().max(4 * frame);
    check_size(width, height, bytes, bounds)?;
    // A TIFF's is not found any more once there are limits. One that cannot be read is none.
    let profile = match bounds.alone {
        true => decoder.icc_profile().ok().flatten(),
        false => None,
    };
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(2 * bytes + BESIDES);
    decoder.set_limits(limits).map_err(broken)?;
    let floats = matches!(color, ColorType::Rgb32F | ColorType::Rgba32F);
    if floats && !bounds.alone {
        let problem = "holds floating-point values, expected 8 or 16 bits a channel".to_string();
        return Err((problem, "save it again with 8 or 16 bits a channel"));
    }
    let looks = Looks {
        height,
        width,
        full_width: width,
        channels: if color.has_color() { 3 } else { 1 },
        turned: orientation != Orientation::NoTransforms,
        deep: color.bits_per_pixel() > 8 * u16::from(color.channel_count()),
        first,
        bytes,
    };
    Ok(Opened {
        decoder,
        format,
        orientation,
        looks,
        profile,
    })
}

fn check_size(width: usize, height: usize, bytes: u64, bounds: &Bounds) -> Result<(), Fault> {
    let Bounds { side, decoded, .. } = *bounds;
    if width.max(height) > side {
        let problem = format!(
            "is {width} pixels wide and {height} high, more than the {side} a side that are read"
        );
        return Err((problem, bounds.remedy));
    }
    if bytes > decoded {
        let [needs, most] = [bytes, decoded].map(|bytes| bytes.div_ceil(1 << 20));
        let problem = format!("takes {needs} MiB decoded, more than the {most} MiB that are read");
        return Err((problem, bounds.remedy));
    }
    Ok(())
}

/// The decoder of a file, and whether it holds more than the one picture that it gives.
fn decoder(
    file: &[u8],
    format: ImageFormat,
) -> Result<(Box<dyn ImageDecoder + '_>, bool), ImageError> {
    let from = Cursor::new(file);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(BESIDES);
    let (decoder, first): (Box<dyn ImageDecoder + '_>, _) = match format {
        ImageFormat::Png => {
            let decoder = png::PngDecoder::with_limits(from, limits)?;
            let first = decoder.is_apng()?;
            (Box::new(decoder), first)
        }
        ImageFormat::WebP => {
            let decoder = webp::WebPDecoder::new(from)?;
            let first = decoder.has_animation();
            (Box::new(decoder), first)
        }
        ImageFormat::Gif => (Box::new(gif::GifDecoder::new(from)?), has_frames(file)),
        ImageFormat::Tiff => (Box::new(tiff::TiffDecoder::new(from)?), has_pages(file)),
        ImageFormat::Bmp => (Box::new(bmp::BmpDecoder::new(from)?), false),
        _ => (Box::new(jpeg::JpegDecoder::new(from)?), false),
    };
    Ok((decoder, first))
}

/// Whether a GIF has a second frame; what is damaged has none.
fn has_frames(file: &[u8]) -> bool {
    let mut options = ::gif::DecodeOptions::new();
    options.skip_frame_decoding(true);
    let Ok(mut decoder) = options.read_info(Cursor::new(file)) else {
        return false;
    };
    let mut more = || matches!(decoder.next_frame_info(), Ok(Some(_)));
    more() && more()
}

/// Whether a TIFF has a second page; what is damaged has none.
fn has_pages(file: &[u8]) -> bool {
    ::tiff::decoder::Decoder::new(Cursor::new(file)).is_ok_and(|pages| pages.more_images())
}

impl Opened<'_> {
    /// Decodes it as it is, upright.
    ///
    /// # Errors
    /// A damaged picture.
    pub fn upright(self) -> Result<DynamicImage, Fault> {
        let format = self.format;
        let decoded = DynamicImage::from_decoder(self.decoder);
        let mut picture = decoded.map_err(|e| broken(format, &e))?;
        picture.apply_orientation(self.orientation);
        Ok(picture)
    }

    /// Whether its kind of file has transparency always, used or not.
    pub fn always_clear(&self) -> bool {
        self.format == ImageFormat::Gif
    }

    /// Whether its kind of file has colours always, also of a grey picture.
    pub fn always_coloured(&self) -> bool {
        matches!(
            self.format,
            ImageFormat::Gif | ImageFormat::Bmp | ImageFormat::WebP
        )
    }

    /// Decodes it.
    ///
    /// # Errors
    /// A damaged picture.
    pub fn pixels(self) -> Result<Pixels, Fault> {
        let channels = self.looks.channels;
        let picture = self.upright()?;
        let brightest = brightest(&picture);
        let (bytes, clear) = match (channels, picture.color().has_alpha()) {
            (1, false) => (picture.into_luma8().into_raw(), false),
            (1, true) => on_white::<2>(&picture.into_luma_alpha8().into_raw()),
            (_, false) => (picture.into_rgb8().into_raw(), false),
            (_, true) => on_white::<4>(&picture.into_rgba8().into_raw()),
        };
        Ok(Pixels {
            bytes,
            clear,
            brightest,
        })
    }
}

/// The largest value of a picture of 16 bits a channel, transparency aside.
fn brightest(picture: &DynamicImage) -> Option<u16> {
    match picture {
        DynamicImage::ImageLuma16(p) => p.iter().max().copied(),
        DynamicImage::ImageRgb16(p) => p.iter().max().copied(),
        DynamicImage::ImageLumaA16(p) => p.pixels().map(|p| p.0[0]).max(),
        DynamicImage::ImageRgba16(p) => p.pixels().flat_map(|p| [p.0[0], p.0[1], p.0[2]]).max(),
        _ => None,
    }
}

fn broken(format: ImageFormat, e: &ImageError) -> Fault {
    let said = e.to_string(); // of several lines at times
    let said: String = said
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(100)
        .collect();
    let kind = name(format);
    let problem = match e {
        ImageError::Limits(_) => {
            format!("is a {kind} picture that takes too much memory to read ({said})")
        }
        ImageError::Unsupported(_) => {
            format!("is a {kind} picture of a kind that is not read ({said})")
        }
        _ => format!("is a damaged {kind} picture ({said})"),
    };
    (problem, REPLACE)
}

/// Drops the last of N channels, which says how much of a pixel covers the white; beside it, whether any white shows.
fn on_white<const N: usize>(pixels: &[u8]) -> (Vec<u8>, bool) {
    let mut clear = false;
    let mut bytes = Vec::with_capacity(pixels.len() / N * (N - 1));
    for pixel in pixels.chunks_exact(N) {
        if let [colors @ .., alpha] = pixel {
            let alpha = u32::from(*alpha);
            clear |= alpha < 255;
            bytes.extend(colors.iter().map(|&color| {
                // Rounded; at most 255.
                ((u32::from(color) * alpha + 255 * (255 - alpha) + 127) / 255) as u8
            }));
        }
    }
    (bytes, clear)
}

/// Pixels of the largest frame of a WebP file, which may be larger than the picture; none where a part is longer than
/// the file.
fn webp_frame(file: &[u8]) -> Option<u64> {
    let number = |at: usize, n: usize| {
        let bytes = file.get(at..at + n)?.iter().rev();
        Some(bytes.fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
    };
    // Parts begin with a name and a length; frames of a film are parts within parts.
    let (mut at, mut largest) = (12, 0);
    while let (Some(kind), Some(length)) = (file.get(at..at + 4), number(at + 4, 4)) {
        let (start, length) = (at + 8, length as usize);
        if start + length > file.len() {
            return None;
        }
        let sides = match kind {
            b"VP8 " => number(start + 6, 4).map(|n| (n & 0x3fff, n >> 16 & 0x3fff)),
            b"VP8L" => number(start + 1, 4).map(|n| ((n & 0x3fff) + 1, (n >> 14 & 0x3fff) + 1)),
            _ => None,
        };
        largest = largest.max(sides.map_or(0, |(width, height)| width * height));
        at = match kind {
            b"ANMF" => start + 16,
            _ => start + length + length % 2,
        };
    }
    Some(largest)
}

/// Whether a JPEG file's segments lead to its end marker (ITU T.81, annex B).
fn jpeg_is_whole(file: &[u8]) -> bool {
    let byte = |i: usize| file.get(i).copied();
    let mut i = 2; // after the start marker
    while let (Some(0xff), Some(marker)) = (byte(i), byte(i + 1)) {
        match marker {
            0xd9 => return true,
            0xff => i += 1,               // fill
            0x01 | 0xd0..=0xd8 => i += 2, // markers that stand alone
            _ => {
                let (Some(high), Some(low)) = (byte(i + 2), byte(i + 3)) else {
                    return false;
                };
                i += 2 + (usize::from(high) << 8 | usize::from(low));
                if marker == 0xda {
                    // Coded data: FF is followed by 0, or is a restart marker.
                    while let Some(value) = byte(i) {
                        let stuffed = matches!(byte(i + 1), Some(0 | 0xd0..=0xd7));
                        if value == 0xff && !stuffed {
                            break;
                        }
                        i += 1;
                    }
                }
            }
        }
    }
    false
}
