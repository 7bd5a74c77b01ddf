//! The pictures of a report: evenly chosen moments, as small as the page's size asks for, inside the page.

use super::model::{Report, Run, Shot};
use super::thin::evenly;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, ImageFormat};
use std::path::Path;

/// Bytes of the files of all pictures of a report of one run, and of several. In the page they are a third more.
const ROOM: [usize; 2] = [1_800_000, 3_600_000];
/// Moments that are tried, most first.
const MOMENTS: [usize; 4] = [25, 17, 11, 7];
/// Pixels a side of what is shown as it is, and of what is made smaller.
const SIDE: u32 = 1100;
/// Bytes of a file that is read.
const LARGEST: u64 = 256 << 20;
/// The last bytes of a PNG: without them it was cut off.
const PNG_END: &[u8] = b"IEND\xae\x42\x60\x82";

/// How grids are shown, from as they are to small.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Way {
    /// Rows and columns of pictures at most.
    most: u32,
    /// Pixels a side at most.
    side: u32,
    /// The JPEG's quality; none for the file itself.
    quality: Option<u8>,
}

const WAYS: [Way; 5] = [
    way(u32::MAX, SIDE, None),
    way(u32::MAX, SIDE, Some(88)),
    way(4, SIDE, Some(85)),
    way(4, 480, Some(75)),
    way(2, 320, Some(60)),
];

const fn way(most: u32, side: u32, quality: Option<u8>) -> Way {
    Way {
        most,
        side,
        quality,
    }
}

/// A grid as the page has it.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Iterations done.
    pub t: u64,
    /// The picture, as a `data:` address.
    pub source: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// The slider's places at which it is seen.
    pub at: Vec<usize>,
}

/// The pictures of a report.
#[derive(Debug, Default)]
pub struct Film {
    /// The slider's places, as shares of a run.
    pub places: Vec<f64>,
    /// The grids of each run, in the order of [`Report::runs`].
    pub runs: Vec<Vec<Frame>>,
    /// What was done to show them, and what could not be shown; a sentence each.
    pub said: Vec<String>,
}

/// The pictures of a report, as large as it has room.
pub fn film(report: &Report) -> Film {
    let runs: Vec<&Run> = report.runs().map(|(_, run)| run).collect();
    let room = match runs.len() {
        ..=1 => ROOM[0],
        _ => ROOM[1],
    };
    for way in WAYS {
        for most in MOMENTS {
            // Fewer moments serve before the pictures themselves are made worse, but not too few.
            if let Some(film) = tried(&runs, way, most, room) {
                return film;
            }
        }
    }
    let said = "The pictures are too large to be shown here; the runs' folders have them.";
    Film {
        said: vec![said.into()],
        ..Film::default()
    }
}

fn share(shot: &Shot, run: &Run) -> f64 {
    shot.t as f64 / run.steps.max(1) as f64
}

/// The film in this way; none where it is larger than `room`.
fn tried(runs: &[&Run], way: Way, most: usize, room: usize) -> Option<Film> {
    let longest = runs.iter().max_by_key(|run| run.pictures.len())?;
    let chosen = evenly(longest.pictures.len(), most);
    let shots = chosen.iter().filter_map(|&i| longest.pictures.get(i));
    let mut film = Film {
        places: shots.map(|shot| share(shot, longest)).collect(),
        ..Film::default()
    };
    let (mut bytes, mut fewer, mut lost) = (0, false, Vec::new());
    for run in runs {
        let mut frames: Vec<Frame> = Vec::new();
        for (place, &at) in film.places.iter().enumerate() {
            let away = |shot: &&Shot| (share(shot, run) - at).abs();
            let nearest = run
                .pictures
                .iter()
                .min_by(|a, b| away(a).total_cmp(&away(b)));
            let Some(shot) = nearest else {
                continue;
            };
            if let Some(frame) = frames.iter_mut().find(|frame| frame.t == shot.t) {
                frame.at.push(place);
                continue;
            }
            let Some(Shown {
                file,
                format,
                size: (width, height),
                cropped,
            }) = shown(&shot.file, way)
            else {
                lost.push(shot.file.display().to_string());
                continue;
            };
            fewer |= cropped;
            bytes += file.len();
            if bytes > room || width.max(height) > way.side {
                return None;
            }
            frames.push(Frame {
                t: shot.t,
                source: format!("data:{format};base64,{}", STANDARD.encode(file)),
                width,
                height,
                at: vec![place],
            });
        }
        film.runs.push(frames);
    }
    let moments = longest.pictures.len();
    if moments > film.places.len() {
        let n = film.places.len();
        film.said.push(format!(
            "{n} of {moments} moments are shown; the runs' folders have all."
        ));
    }
    if fewer {
        film.said.push(format!(
            "Of each grid up to {0} rows and {0} columns are shown.",
            way.most
        ));
    }
    if way.quality.is_some() {
        film.said
            .push("The pictures are JPEGs here, with loss; the files themselves have none.".into());
    }
    lost.dedup();
    if let Some(first) = lost.first() {
        let more = match lost.len() {
            1 => String::new(),
            n => format!(" and {} more", n - 1),
        };
        film.said
            .push(format!("Not a whole picture, and left out: {first}{more}."));
    }
    Some(film)
}

struct Shown {
    file: Vec<u8>,
    format: &'static str,
    size: (u32, u32),
    cropped: bool,
}

/// A file in this way; none where it is no whole picture.
fn shown(path: &Path, way: Way) -> Option<Shown> {
    let file = gan_core::whole::read_within(path, LARGEST).ok()?;
    if !file.ends_with(PNG_END) {
        return None;
    }
    let picture = image::load_from_memory_with_format(&file, ImageFormat::Png).ok()?;
    let Some(quality) = way.quality else {
        let size = (picture.width(), picture.height());
        return Some(Shown {
            file,
            format: "image/png",
            size,
            cropped: false,
        });
    };
    let (mut picture, cropped) = fewer(picture, way.most);
    if picture.width().max(picture.height()) > way.side {
        picture = picture.resize(way.side, way.side, FilterType::Triangle);
    }
    let mut file = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut file, quality);
    match picture.color().has_color() {
        true => encoder.encode_image(&picture.to_rgb8()).ok()?,
        false => encoder.encode_image(&picture.to_luma8()).ok()?,
    }
    let size = (picture.width(), picture.height());
    Some(Shown {
        file,
        format: "image/jpeg",
        size,
        cropped,
    })
}

/// The first rows and columns of a grid, and whether there are more.
fn fewer(grid: DynamicImage, most: u32) -> (DynamicImage, bool) {
    let gap = u32::try_from(gan_core::image::GAP).unwrap_or(0);
    let Some(cell) = cell(&grid, gap) else {
        return (grid, false);
    };
    let kept = |side: u32| {
        (side.saturating_sub(gap) / cell)
            .min(most)
            .saturating_mul(cell)
            + gap
    };
    let (width, height) = (kept(grid.width()), kept(grid.height()));
    match (width, height) == (grid.width(), grid.height()) {
        true => (grid, false),
        false => (grid.crop_imm(0, 0, width, height), true),
    }
}

/// The side of a grid's squares, a gap included: the smallest of which all borders are black.
fn cell(grid: &DynamicImage, gap: u32) -> Option<u32> {
    let pixels = grid.to_luma8();
    let (width, height) = pixels.dimensions();
    let is_black = |x: u32, y: u32| {
        pixels
            .get_pixel_checked(x, y)
            .is_some_and(|pixel| pixel.0 == [0])
    };
    let is_border = |cell: u32| {
        let borders = |side: u32| (0..=side.saturating_sub(gap) / cell).map(move |k| k * cell);
        let columns =
            borders(width).all(|x| (0..height).all(|y| is_black(x, y) && is_black(x + gap - 1, y)));
        columns
            && borders(height)
                .all(|y| (0..width).all(|x| is_black(x, y) && is_black(x, y + gap - 1)))
    };
    let sides = (1..=32)
        .rev()
        .filter(|n| width.saturating_sub(gap).is_multiple_of(*n));
    let cells = sides.map(|n| width.saturating_sub(gap) / n);
    let mut cells =
        cells.filter(|cell| *cell > 2 * gap && height.saturating_sub(gap).is_multiple_of(*cell));
    cells.find(|cell| is_border(*cell))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, Luma, Rgb, RgbImage};

    /// Grey squares of 16 pixels with a gap of two around each, every one of another brightness.
    fn grid(columns: u32, rows: u32) -> GrayImage {
        GrayImage::from_fn(columns * 18 + 2, rows * 18 + 2, |x, y| {
            let inside = x % 18 >= 2 && y % 18 >= 2;
            Luma([if inside {
                (40 + x / 18 + 8 * (y / 18)) as u8
            } else {
                0
            }])
        })
    }

    fn run(shots: &[(u64, &Path)], steps: u64) -> Run {
        let shots = shots.iter().map(|(t, file)| Shot {
            t: *t,
            column: "fake".into(),
            file: file.to_path_buf(),
        });
        Run {
            steps,
            pictures: shots.collect(),
            ..Run::default()
        }
    }

    fn report(runs: Vec<Run>) -> Report {
        let variants = vec![super::super::model::Variant {
            name: "a".into(),
            runs,
        }];
        Report {
            variants,
            ..Report::default()
        }
    }

    #[test]
    fn a_grid_is_cropped_between_its_pictures() {
        let grid = DynamicImage::from(grid(8, 8));
        assert_eq!(cell(&grid, 2), Some(18));
        let (cropped, fewer) = fewer(grid, 4);
        assert!(fewer);
        assert_eq!((cropped.width(), cropped.height()), (74, 74));
        let (whole, is_fewer) = super::fewer(cropped, 4);
        assert!(!is_fewer && whole.width() == 74);
    }

    #[test]
    fn places_are_shares_of_the_longest_and_others_show_their_nearest() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.png");
        grid(2, 2).save(&path).expect("a picture");
        let long: Vec<(u64, &Path)> = (0..=40).map(|i| (10 * i, path.as_path())).collect();
        let short = [(0, path.as_path()), (50, &path)];
        let film = film(&report(vec![run(&long, 400), run(&short, 100)]));
        assert_eq!(film.places.len(), 25);
        assert_eq!(
            (film.places.first(), film.places.last()),
            (Some(&0.), Some(&1.))
        );
        assert_eq!(film.runs[0].len(), 25);
        assert_eq!(
            film.runs[1]
                .iter()
                .map(|frame| frame.at.len())
                .sum::<usize>(),
            25
        );
        assert_eq!(film.runs[1][1].at.last(), Some(&24));
        assert!(film.runs[0][0].source.starts_with("data:image/png;base64,"));
        assert!(film.said[0].contains("25 of 41 moments"), "{:?}", film.said);
    }

    #[test]
    fn a_file_that_is_cut_is_named_and_left_out() {
        let dir = tempfile::tempdir().expect("a folder");
        let (good, cut) = (dir.path().join("a.png"), dir.path().join("cut.png"));
        grid(2, 2).save(&good).expect("a picture");
        let bytes = std::fs::read(&good).expect("a file");
        std::fs::write(&cut, &bytes[..bytes.len() / 2]).expect("a file");
        let gone = dir.path().join("gone.png");
        let film = film(&report(vec![run(
            &[(0, &good), (5, &cut), (10, &gone)],
            10,
        )]));
        assert_eq!(film.runs[0].len(), 1);
        assert!(
            film.said[0].contains("cut.png and 1 more"),
            "{:?}",
            film.said
        );
    }

    #[test]
    fn what_is_large_is_made_to_fit() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.png");
        // Noise, which no format makes small.
        let mut state = 1u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8 | 1
        };
        let picture = RgbImage::from_fn(514, 514, |x, y| match x % 64 < 2 || y % 64 < 2 {
            true => Rgb([0; 3]),
            false => Rgb([noise(), noise(), noise()]),
        });
        picture.save(&path).expect("a picture");
        let shots: Vec<(u64, &Path)> = (0..5).map(|i| (i, path.as_path())).collect();
        let runs: Vec<Run> = (0..4).map(|_| run(&shots, 4)).collect();
        let film = film(&report(runs));
        let size: usize = film
            .runs
            .iter()
            .flatten()
            .map(|frame| frame.source.len())
            .sum();
        assert!(size < 5_000_000, "{size}");
        assert_eq!(film.runs[3].len(), 5);
        assert!(film.runs[0][0].source.starts_with("data:image/jpeg"));
    }
}
