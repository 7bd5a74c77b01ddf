//! What a file is: by its name, whether it counts as a picture; by its first bytes, which kind of picture or other
//! thing it is.

use image::ImageFormat;

/// Endings of the files that count as pictures, in lower case.
const ENDINGS: [&str; 10] = [
    "png", "jpg", "jpeg", "jpe", "jfif", "webp", "bmp", "tif", "tiff", "gif",
];
/// The kinds of pictures that are read, in words.
pub(super) const READ: &str = "PNG, JPEG, WebP, BMP, TIFF and GIF";

/// The ending of a file's name in lower case, without the dot; a name may have none.
pub(super) fn ending(name: &str) -> Option<String> {
    let name = name.rsplit('/').next().unwrap_or(name);
    let (stem, ending) = name.rsplit_once('.')?;
    (!stem.is_empty() && !ending.is_empty()).then(|| ending.to_lowercase())
}

/// Whether a file counts as a picture: by its ending alone.
pub(crate) fn is_picture(name: &str) -> bool {
    ending(name).is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

/// The kind of a picture that can be read, by its first bytes.
pub(super) fn format(first: &[u8]) -> Option<ImageFormat> {
    let read = [
        ImageFormat::Png,
        ImageFormat::Jpeg,
        ImageFormat::WebP,
        ImageFormat::Bmp,
        ImageFormat::Tiff,
        ImageFormat::Gif,
    ];
    let format = image::guess_format(first).ok()?;
    read.contains(&format).then_some(format)
}

/// The usual ending of a picture's name, by its first bytes.
#[cfg(feature = "hub")]
pub(crate) fn picture_ending(first: &[u8]) -> Option<&'static str> {
    format(first)?.extensions_str().first().copied()
}

/// A format's name.
pub(super) fn name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Png => "PNG",
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Tiff => "TIFF",
        ImageFormat::Gif => "GIF",
        _ => "other",
    }
}

/// What a file is by its first bytes, with an article, where that is plain and no zip file.
pub(super) fn kind_of(first: &[u8]) -> Option<String> {
    if let Some(format) = format(first) {
        return Some(format!("a {} picture", name(format)));
    }
    let text = String::from_utf8_lossy(first.get(..200).unwrap_or(first)).to_lowercase();
    let text = text.trim_start();
    let at = |from: usize, bytes: &[u8]| first.get(from..).is_some_and(|f| f.starts_with(bytes));
    let is = if first.is_empty() {
        "an empty file"
    } else if text.starts_with("version https://git-lfs") {
        "a pointer of Git LFS in place of the file (git lfs pull fetches it)"
    } else if text.starts_with("<!doctype html") || text.starts_with("<html") {
        "a web page"
    } else if text.starts_with("<svg") || (text.starts_with("<?xml") && text.contains("<svg")) {
        "an SVG drawing"
    } else if at(4, b"ftypavif") || at(4, b"ftypavis") {
        "an AVIF picture"
    } else if [b"ftyphei", b"ftyphev", b"ftypmif", b"ftypmsf"]
        .iter()
        .any(|kind| at(4, *kind))
    {
        "a HEIC picture"
    } else if at(0, &[0x1f, 0x8b]) {
        "compressed with gzip"
    } else if at(257, b"ustar") {
        "a tar archive"
    } else if at(0, b"7z\xbc\xaf") {
        "a 7z archive"
    } else if at(0, b"Rar!") {
        "a RAR archive"
    } else if at(0, b"%PDF") {
        "a PDF document"
    } else {
        return None;
    };
    Some(is.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_first_bytes() {
        let pictures = ["a.JPG", "a/b c.jfif", "x.tar.webp", "ä.Tiff"];
        assert!(pictures.iter().all(|name| is_picture(name)));
        let others = ["a.jpg.txt", "jpg", ".png", "a.png/b", "a.", "a.heic"];
        assert!(!others.iter().any(|name| is_picture(name)));
        assert_eq!(ending("a.b/c").as_deref(), None);
        let is = |first: &[u8], what: &str| {
            let kind = kind_of(first).expect("a kind");
            assert!(kind.contains(what), "{kind}");
        };
        is(b"", "empty");
        is(b"\n <!DOCTYPE HTML>", "web page");
        is(b"RIFF\0\0\0\0WEBPVP8 ", "a WebP picture");
        is(b"\0\0\0\x18ftypheic", "HEIC");
        is(b"II*\0", "TIFF");
        assert_eq!(kind_of(b"hello, world"), None);
        assert_eq!(format(b"\0\0\x01\0"), None); // an icon
    }
}
