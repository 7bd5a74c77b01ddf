//! `progress.gif`: the grids of the fixed noise or inputs, one after the other, when a run ends.

use super::grids;
use candle_core::{Error, Result};
use gan_core::{Event, Observer};
use image::codecs::gif::{GifDecoder, GifEncoder, Repeat};
use image::imageops::{FilterType, resize};
use image::{AnimationDecoder, Delay, Frame};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Frames at most; a run with more grids shows every second, third, … of them.
const FRAMES: usize = 60;
/// How long a grid is seen, and the last one.
const SHOWN: [Duration; 2] = [Duration::from_millis(150), Duration::from_millis(2000)];
/// The encoder's choice of colours: 1 is best, 30 fastest.
const SPEED: i32 = 10;
/// The last byte of a GIF: a film without it was cut off, if only between two frames.
const TRAILER: u8 = b';';

/// Writes the film of a run. It is made of the files in `samples/`, so a run that was stopped and went
/// on has one without a gap.
#[derive(Debug)]
pub struct Progress {
    samples: PathBuf,
    film: PathBuf,
    column: String,
}

impl Progress {
    /// The film `progress.gif` in the run's folder `dir`, of the grids in its `samples` of one column.
    pub fn new(dir: &Path, column: &str) -> Self {
        Self {
            samples: dir.join("samples"),
            film: dir.join("progress.gif"),
            column: column.into(),
        }
    }

    fn write(&self) -> Result<()> {
        let grids = grids(&self.samples, &self.column)?;
        let stride = grids.len().div_ceil(FRAMES).max(1);
        let last = grids.len().saturating_sub(1);
        // Counted from the end, so that the last grid is always among them.
        let shown = |i: &usize| (last - i).is_multiple_of(stride);
        let mut pictures = Vec::new();
        for (i, path) in grids.iter().enumerate().filter(|(i, _)| shown(i)) {
            // A grid that someone has changed since is no reason for a run to fail.
            if let Ok(grid) = image::open(path) {
                pictures.push((i, grid.to_rgba8()));
            }
        }
        // All frames are as large as the largest; of a network that grows, pixels can be seen to do so.
        let largest = pictures.iter().map(|(_, grid)| grid.dimensions()).max();
        let (width, height) = largest.unwrap_or_default();
        let frames = pictures.into_iter().map(|(i, grid)| {
            let grid = match grid.dimensions() == (width, height) {
                true => grid,
                false => resize(&grid, width, height, FilterType::Nearest),
            };
            let delay = Delay::from_saturating_duration(SHOWN[usize::from(i == last)]);
            Frame::from_parts(grid, 0, 0, delay)
        });
        let frames: Vec<Frame> = frames.collect();
        if frames.len() < 2 {
            return Ok(());
        }
        let mut film = Vec::new();
        let mut encoder = GifEncoder::new_with_speed(&mut film, SPEED);
        encoder.set_repeat(Repeat::Infinite).map_err(Error::wrap)?;
        encoder.encode_frames(frames).map_err(Error::wrap)?;
        drop(encoder);
        let write = |file: &Path| std::fs::write(file, &film);
        Ok(gan_core::whole::write_whole(&self.film, write)?)
    }

    /// Whether the film is there to its end and as new as its grids; of a run with too few grids for one, that there is
    /// none.
    pub fn is_whole(&self) -> bool {
        let grids = grids(&self.samples, &self.column).unwrap_or_default();
        if grids.len() < 2 {
            return true;
        }
        // One from before a run went on has an end, too.
        if !grids.iter().all(|grid| super::is_since(&self.film, grid)) {
            return false;
        }
        let film = std::fs::read(&self.film).unwrap_or_default();
        let frames = GifDecoder::new(Cursor::new(&film)).map(AnimationDecoder::into_frames);
        film.ends_with(&[TRAILER]) && frames.is_ok_and(|mut all| all.all(|frame| frame.is_ok()))
    }
}

impl Observer for Progress {
    fn on(&mut self, event: &Event<'_>) -> Result<()> {
        match event {
            Event::Ended { .. } => self.write(),
            _ => Ok(()),
        }
    }
}
