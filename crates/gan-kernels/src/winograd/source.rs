//! An image tensor cut into tiles, and padded copies of the parts of it that a task reads.

use crate::memory::{Scratch, scratch};
use crate::par::{SendPtr, for_each_sized};
use crate::simd::Level;
use crate::tile::{PadPlane, pad_plane};
use crate::vector::MAX_LANES;
use std::ops::Range;

/// A tensor `[images][channels][height][width]` whose tiles overlap and reach beyond its edges.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub data: &'a [f32],
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    /// Tiles of an image along each axis.
    pub rows: usize,
    pub columns: usize,
    /// From a tile to the next one, along both axes.
    pub step: usize,
    /// Rows and columns that are read of a tile.
    pub size: (usize, usize),
    /// Where the first tile begins; negative where it reaches into the padding.
    pub top: isize,
    pub left: isize,
}

/// Some channels of the images that some tiles lie in, padded with zeros.
pub(super) struct Window<'a> {
    source: Source<'a>,
    /// The copy, or nothing where tiles can be read from the tensor itself.
    copy: Option<Scratch>,
    tiles: Range<usize>,
    /// Whether the copy has a slot for each row of tiles, of no more columns than are read; else for each image.
    by_rows: bool,
    first_channel: usize,
    /// Floats between channels, between slots and between rows.
    pub channel: usize,
    slot: usize,
    pub pitch: usize,
}

impl<'a> Source<'a> {
    pub fn tiles_per_image(&self) -> usize {
        self.rows * self.columns
    }

    /// Whether tiles lie side by side and cover the images, so that no copy is needed.
    fn is_whole(&self) -> bool {
        (self.top, self.left) == (0, 0)
            && self.size.0 <= self.step
            && self.size.1 <= self.step
            && (self.height, self.width) == (self.rows * self.step, self.columns * self.step)
    }

    /// The first row of tiles that a window has of an image.
    fn first_row(&self, tiles: &Range<usize>, image: usize) -> usize {
        if image == tiles.start / self.tiles_per_image() {
            tiles.start % self.tiles_per_image() / self.columns
        } else {
            0
        }
    }

    /// The part of a row of tiles that `tiles` have of it: its first column, and how many.
    fn columns_of(&self, tiles: &Range<usize>, row: usize) -> (usize, usize) {
        let from = tiles.start.max(row * self.columns);
        let to = tiles.end.min((row + 1) * self.columns);
        (from - row * self.columns, to - from)
    }

    /// The part of the tensor that `tiles` (some at least) read of `channels`.
    pub fn window(&self, level: Level, tiles: Range<usize>, channels: Range<usize>) -> Window<'a> {
        let (per, last) = (self.tiles_per_image(), tiles.end - 1);
        let images = tiles.start / per..last / per + 1;
        let mut window = Window {
            source: *self,
            copy: None,
            tiles: tiles.clone(),
            // Tiles of wide images lie in two rows at most, and are few of each.
            by_rows: tiles.len() < self.columns,
            first_channel: channels.start,
            channel: self.height * self.width,
            slot: self.channels * self.height * self.width,
            pitch: self.width,
        };
        if self.is_whole() {
            return window;
        }
        let rows = tiles.start / self.columns..last / self.columns + 1;
        let slots = match window.by_rows {
            true => rows.clone(),
            false => images.clone(),
        };
        // All images have as many rows as the one with the most.
        let span = |image: usize| {
            let to = if image + 1 == images.end {
                last % per / self.columns
            } else {
                self.rows - 1
            };
            to - self.first_row(&tiles, image)
        };
        let (most, columns) = match window.by_rows {
            true => {
                let columns = rows.map(|row| self.columns_of(&tiles, row).1);
                (0, columns.max().unwrap_or(1))
            }
            false => (images.clone().map(span).max().unwrap_or(0), self.columns),
        };
        let height = most * self.step + self.size.0;
        window.pitch = (columns - 1) * self.step + self.size.1;
        window.slot = height * window.pitch;
        // An odd number of cache lines, so that channels fall into different cache sets.
        window.channel = ((slots.len() * window.slot / 16) | 1) * 16 + 16;
        let mut copy = scratch(channels.len() * window.channel + MAX_LANES);
        let at = SendPtr(copy.as_mut_ptr());
        for_each_sized(channels.len(), 2 * channels.len() * window.channel, |c| {
            for (i, slot) in slots.clone().enumerate() {
                let (image, row, column) = match window.by_rows {
                    true => {
                        let (column, _) = self.columns_of(&tiles, slot);
                        (slot / self.rows, slot % self.rows, column)
                    }
                    false => (slot, self.first_row(&tiles, slot), 0),
                };
                let plane = image * self.channels + channels.start + c;
                let from = plane * self.height * self.width;
                // SAFETY: src is a plane of the tensor, dst the slot's part of the channel.
                unsafe {
                    let call = PadPlane {
                        src: self.data[from..from + self.height * self.width].as_ptr(),
                        height: self.height,
                        width: self.width,
                        dst: at.get().add(c * window.channel + i * window.slot),
                        phases: 1,
                        y0: self.top + (row * self.step) as isize,
                        x0: self.left + (column * self.step) as isize,
                        rows: height,
                        columns: window.pitch,
                    };
                    pad_plane(level, &call);
                }
            }
        });
        window.copy = Some(copy);
        window
    }
}

impl Window<'_> {
    /// Where tile `t` begins in a channel.
    pub fn place(&self, t: usize) -> usize {
        let s = &self.source;
        let (per, first) = (s.tiles_per_image(), self.tiles.start);
        let (image, y, x) = (t / per, t % per / s.columns, t % s.columns);
        let (slot, y, x) = match (&self.copy, self.by_rows) {
            (Some(_), true) => {
                let row = t / s.columns;
                let (column, _) = s.columns_of(&self.tiles, row);
                (row - first / s.columns, 0, x - column)
            }
            (Some(_), false) => {
                let y = y - s.first_row(&self.tiles, image);
                (image - first / per, y, x)
            }
            (None, _) => (image, y, x),
        };
        slot * self.slot + (y * self.pitch + x) * s.step
    }

    /// The last tile that it holds.
    pub fn last(&self) -> usize {
        self.tiles.end - 1
    }

    /// The first float of a channel.
    pub fn channel(&self, c: usize) -> *const f32 {
        match &self.copy {
            Some(copy) => copy[(c - self.first_channel) * self.channel..].as_ptr(),
            None => self.source.data[c * self.channel..].as_ptr(),
        }
    }
}
