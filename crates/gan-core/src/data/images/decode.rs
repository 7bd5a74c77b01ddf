//! One PNG or JPEG file as 8-bit values, upright, on white; its header before its pixels.

use crate::data::view::LARGEST_SIDE;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader, Limits};
use std::io::Cursor;

const REPLACE: &str = "replace it or take it out of the set";

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
    /// Whether it has transparency.
    pub clear: bool,
    /// Whether it has more than 8 bits a channel.
    pub deep: bool,
}

/// A picture whose header has been read.
pub struct Opened<'a> {
    decoder: Box<dyn ImageDecoder + 'a>,
    orientation: Orientation,
    /// What the header says.
    pub looks: Looks,
}

/// Reads a picture's header.
///
/// # Errors
/// What is no PNG or JPEG; a JPEG without its end; sides above 8192.
pub fn open(file: &[u8]) -> Result<Opened<'_>, Fault> {
    let mut reader = ImageReader::new(Cursor::new(file))
        .with_guessed_format()
        .map_err(|e| broken(e.into()))?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(LARGEST_SIDE as u32);
    limits.max_image_height = Some(LARGEST_SIDE as u32);
    reader.limits(limits);
    // The decoder would fill what is missing with grey.
    if reader.format() == Some(image::ImageFormat::Jpeg) && !jpeg_is_whole(file) {
        let problem = "is cut short (a JPEG picture without its end)".to_string();
        return Err((problem, REPLACE));
    }
    let mut decoder = reader.into_decoder().map_err(broken)?;
    let orientation = decoder.orientation().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    let quarter = matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    );
    let (width, height) = if quarter {
        (height, width)
    } else {
        (width, height)
    };
    let color = decoder.color_type();
    let looks = Looks {
        height: height as usize,
        width: width as usize,
        full_width: width as usize,
        channels: if color.has_color() { 3 } else { 1 },
        turned: orientation != Orientation::NoTransforms,
        clear: color.has_alpha(),
        deep: color.bits_per_pixel() > 8 * u16::from(color.channel_count()),
    };
    Ok(Opened {
        decoder: Box::new(decoder),
        orientation,
        looks,
    })
}

impl Opened<'_> {
    /// `height·width·channels` values, channels last.
    ///
    /// # Errors
    /// A damaged picture.
    pub fn pixels(self) -> Result<Vec<u8>, Fault> {
        let mut picture = DynamicImage::from_decoder(self.decoder).map_err(broken)?;
        picture.apply_orientation(self.orientation);
        Ok(match (self.looks.channels, self.looks.clear) {
            (1, false) => picture.into_luma8().into_raw(),
            (1, true) => on_white::<2>(&picture.into_luma_alpha8().into_raw()),
            (_, false) => picture.into_rgb8().into_raw(),
            (_, true) => on_white::<4>(&picture.into_rgba8().into_raw()),
        })
    }
}

fn broken(e: image::ImageError) -> Fault {
    let said = e.to_string(); // of several lines at times
    let said = said.lines().next().unwrap_or_default();
    let problem = format!("is no PNG or JPEG picture, or is damaged ({said})");
    (problem, REPLACE)
}

/// Drops the last of N channels, which says how much of a pixel covers the white.
fn on_white<const N: usize>(pixels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(pixels.len() / N * (N - 1));
    for pixel in pixels.chunks_exact(N) {
        if let [colors @ .., alpha] = pixel {
            let alpha = u32::from(*alpha);
            bytes.extend(colors.iter().map(|&color| {
                // Rounded; at most 255.
                ((u32::from(color) * alpha + 255 * (255 - alpha) + 127) / 255) as u8
            }));
        }
    }
    bytes
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
