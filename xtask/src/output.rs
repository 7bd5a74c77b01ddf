//! Pictures that are made on demand: where they go, in which format, and what is never written over.

use crate::Usage;
use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use gan_core::image::Picture;
use gan_core::photo::QUALITY;
use gan_core::{FileError, whole};
use image::codecs::gif::{GifEncoder, Repeat};
use image::codecs::jpeg::JpegEncoder;
use image::{Delay, DynamicImage, ExtendedColorType, Frame, GrayImage, RgbImage};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a picture of a GIF is seen.
const SHOWN: Duration = Duration::from_millis(100);
/// The encoder's choice of colours: 1 is best, 30 fastest.
const SPEED: i32 = 10;

/// How a picture is written; the ending of its file's name says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Without loss
    Png,
    /// Smaller, with loss
    #[value(name = "jpg", alias = "jpeg")]
    Jpeg,
    /// Pictures that move
    #[value(skip)]
    Gif,
}

/// Endings in lower case, and what they mean.
const ENDINGS: [(&str, Format); 4] = [
    ("png", Format::Png),
    ("jpg", Format::Jpeg),
    ("jpeg", Format::Jpeg),
    ("gif", Format::Gif),
];

impl Format {
    /// The ending of its files.
    pub fn ending(self) -> &'static str {
        let mut endings = ENDINGS.iter();
        endings
            .find(|(_, format)| *format == self)
            .map_or("", |(ending, _)| ending)
    }

    /// A picture as a file of this format; as a GIF it does not move.
    ///
    /// # Errors
    /// A picture that is too large for the format.
    pub fn encode(self, picture: &Picture) -> Result<Vec<u8>> {
        let (width, height) = (
            u32::try_from(picture.width)?,
            u32::try_from(picture.height)?,
        );
        let color = match picture.channels {
            1 => ExtendedColorType::L8,
            _ => ExtendedColorType::Rgb8,
        };
        Ok(match self {
            Format::Png => picture.png()?,
            Format::Gif => film(std::slice::from_ref(picture))?,
            Format::Jpeg => {
                let mut file = Vec::new();
                JpegEncoder::new_with_quality(&mut file, QUALITY)
                    .encode(&picture.bytes, width, height, color)
                    .with_context(|| format!("a JPEG of {width}x{height}"))?;
                file
            }
        })
    }
}

/// Pictures of one size as a GIF that shows them in turn, without end.
///
/// # Errors
/// Pictures that are too large for the format.
pub fn film(pictures: &[Picture]) -> Result<Vec<u8>> {
    let mut file = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut file, SPEED);
    encoder.set_repeat(Repeat::Infinite)?;
    for picture in pictures {
        let (width, height) = (
            u32::try_from(picture.width)?,
            u32::try_from(picture.height)?,
        );
        let bytes = picture.bytes.clone();
        let shown: Option<DynamicImage> = match picture.channels {
            1 => GrayImage::from_raw(width, height, bytes).map(Into::into),
            _ => RgbImage::from_raw(width, height, bytes).map(Into::into),
        };
        let shown = shown.context("a picture has fewer values than its size says")?;
        let delay = Delay::from_saturating_duration(SHOWN);
        let frame = Frame::from_parts(shown.to_rgba8(), 0, 0, delay);
        encoder
            .encode_frame(frame)
            .with_context(|| format!("a GIF of {width}x{height}"))?;
    }
    drop(encoder);
    Ok(file)
}

/// Where pictures go whose place the command line does not name, and what their names begin and end with.
pub struct Usual {
    /// The folder.
    pub dir: PathBuf,
    /// Before the word for what a picture is.
    pub begin: String,
    /// After it.
    pub end: String,
}

impl Usual {
    /// The path of what is made: a word for what it is, and what else determines it.
    pub fn path(&self, kind: &str, rest: &str) -> PathBuf {
        let Self { dir, begin, end } = self;
        dir.join(format!("{begin}{kind}{end}{rest}"))
    }
}

/// Where pictures go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One file.
    File(PathBuf, Format),
    /// A folder of files.
    Folder(PathBuf),
}

/// What `--out` names: a folder that is there or whose name ends with `/` is a folder, an ending a file's format;
/// nothing where the name has no ending.
///
/// # Errors
/// An ending that stands for no format.
pub fn target(out: &Path) -> Result<Option<Target>> {
    let slash = out.as_os_str().as_encoded_bytes().ends_with(b"/");
    if slash || out.is_dir() {
        return Ok(Some(Target::Folder(out.to_path_buf())));
    }
    let Some(ending) = out.extension() else {
        return Ok(None);
    };
    let lower = ending.to_string_lossy().to_lowercase();
    match ENDINGS.iter().find(|(known, _)| *known == lower) {
        Some((_, format)) => Ok(Some(Target::File(out.to_path_buf(), *format))),
        None => bail!(refused(
            out,
            &format!("the ending .{lower} is no format that pictures are written in")
        )),
    }
}

/// What to say of an `--out` that is none.
pub fn refused(out: &Path, why: &str) -> Usage {
    Usage(format!(
        "--out {}: {why}; name a file that ends with .png, .jpg, .jpeg (or .gif, with --interpolate), or a folder with \
         / at its end",
        out.display()
    ))
}

/// Why a file was not written.
#[derive(Debug)]
pub enum Lost {
    /// What was to be in it could not be made.
    Made(anyhow::Error),
    /// It cannot be written, or is there.
    Written(anyhow::Error),
}

impl From<FileError> for Lost {
    fn from(error: FileError) -> Self {
        Self::Written(error.into())
    }
}

impl From<Lost> for anyhow::Error {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Made(error) | Lost::Written(error) => error,
        }
    }
}

/// Writes a file whole, with the folders that it lies in. One that is there stays, unless it would be the same or
/// `force` is given.
///
/// # Errors
/// A file that is there and another; one that cannot be written.
pub fn write(path: &Path, bytes: &[u8], force: bool) -> Result<()> {
    write_as(path, bytes, force, "--out")
}

/// The same; `option` is how the command line names the place.
///
/// # Errors
/// Those of [`write()`].
pub fn write_as(path: &Path, bytes: &[u8], force: bool, option: &str) -> Result<()> {
    Ok(stream_as(path, force, option, |to| {
        Ok(to.write_all(bytes)?)
    })?)
}

/// The same of a file whose bytes are written as they are made, once: beside one that is there they are looked at as far
/// as they are the same.
///
/// # Errors
/// Those of `make`, and of [`write()`].
pub fn stream(
    path: &Path,
    force: bool,
    make: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<(), Lost> {
    stream_as(path, force, "--out", make)
}

fn stream_as(
    path: &Path,
    force: bool,
    option: &str,
    make: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<(), Lost> {
    match std::fs::metadata(path) {
        Ok(about) if !about.is_file() => Err(FileError::new(
            path,
            "is there already and is no regular file",
            format!("choose another {option}"),
        ))?,
        Ok(_) if !force => return same(path, option, make),
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(FileError::writing(path, &e))?,
        _ => {}
    }
    if let Some(folder) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|e| FileError::writing(folder, &e))?;
    }
    // What a link points to is written, not the link.
    let place = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    whole::stream_whole(&place, |to| make(to).map_err(Lost::Made))
}

/// Refuses what would be other contents than those of a file that is there.
fn same(
    path: &Path,
    option: &str,
    make: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<(), Lost> {
    let reading = |e: &std::io::Error| FileError::reading(path, e);
    let mut there = Compared {
        there: BufReader::new(whole::open_regular(path)?),
        differs: false,
        failed: None,
    };
    let made = make(&mut there);
    if let Some(e) = &there.failed {
        Err(reading(e))?;
    }
    if !there.differs {
        made.map_err(Lost::Made)?;
        // What is there may go on.
        there.differs = !there.there.fill_buf().map_err(|e| reading(&e))?.is_empty();
    }
    match there.differs {
        true => Err(FileError::new(
            path,
            "is there already, with other contents",
            format!("choose another {option}, or write over it with --force"),
        ))?,
        false => Ok(()),
    }
}

/// Takes what a file holds already; the first byte that differs is an error.
struct Compared<R> {
    there: R,
    differs: bool,
    failed: Option<std::io::Error>,
}

impl<R: BufRead> Write for Compared<R> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let there = match self.there.fill_buf() {
            Ok(there) => there,
            Err(e) => {
                let said = e.to_string();
                self.failed = Some(e);
                return Err(std::io::Error::other(said));
            }
        };
        let n = there.len().min(bytes.len());
        if there.get(..n) != bytes.get(..n) || (n == 0 && !bytes.is_empty()) {
            self.differs = true;
            return Err(std::io::Error::other("it is there with other contents"));
        }
        self.there.consume(n);
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// "1 picture", "2 pictures".
pub fn counted(n: usize) -> String {
    match n {
        1 => "1 picture".into(),
        n => format!("{n} pictures"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_is_a_format_and_a_slash_a_folder() {
        let of = |name: &str| target(Path::new(name)).map_err(|e| e.to_string());
        let file = |name: &str, format| Ok(Some(Target::File(name.into(), format)));
        assert_eq!(of("a.b/v.JPG"), file("a.b/v.JPG", Format::Jpeg));
        assert_eq!(of("v.jpeg"), file("v.jpeg", Format::Jpeg));
        assert_eq!(of("v.gif"), file("v.gif", Format::Gif));
        assert_eq!(of(".png"), Ok(None));
        assert_eq!(of("name"), Ok(None));
        for folder in ["new.png/", "."] {
            assert_eq!(of(folder), Ok(Some(Target::Folder(folder.into()))));
        }
        let said = of("a.webp").expect_err("no format of ours");
        assert!(said.contains(".webp") && said.contains(".jpeg"), "{said}");
    }

    #[test]
    fn what_is_there_stays_unless_it_is_the_same() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("new/a.png");
        write(&path, b"one", false)?;
        write(&path, b"one", false)?;
        let said = write(&path, b"two", false).map_err(|e| e.to_string());
        assert!(said.is_err_and(|said| said.contains("--force")));
        assert_eq!(std::fs::read(&path)?, b"one");
        // The beginning or more of what is there is something else, too.
        for other in ["on", "onex", ""] {
            assert!(write(&path, other.as_bytes(), false).is_err());
        }
        let fails = |to: &mut dyn Write| {
            to.write_all(b"o")?;
            bail!("not made")
        };
        assert!(matches!(stream(&path, false, fails), Err(Lost::Made(_))));
        assert!(matches!(stream(&path, true, fails), Err(Lost::Made(_))));
        assert_eq!(std::fs::read(&path)?, b"one");
        write(&path, b"two", true)?;
        assert_eq!(std::fs::read(&path)?, b"two");
        let link = dir.path().join("link.png");
        std::os::unix::fs::symlink(&path, &link)?;
        write(&link, b"three", true)?;
        assert_eq!(std::fs::read(&path)?, b"three");
        assert!(write(dir.path(), b"x", true).is_err());
        Ok(())
    }

    #[test]
    fn formats_hold_the_picture() -> Result<()> {
        for channels in [1, 3] {
            let bytes = vec![200; 5 * 4 * channels];
            let (width, height) = (5, 4);
            let picture = Picture {
                width,
                height,
                channels,
                bytes,
            };
            for (_, format) in ENDINGS {
                let file = format.encode(&picture)?;
                let read = image::load_from_memory(&file)?;
                assert_eq!((read.width(), read.height()), (5, 4));
                assert!(read.to_luma8().iter().all(|x| x.abs_diff(200) < 3));
                assert_eq!(
                    image::guess_format(&file)?.extensions_str()[0],
                    format.ending()
                );
            }
        }
        Ok(())
    }
}
