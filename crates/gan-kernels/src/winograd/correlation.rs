//! The weight gradient.

use super::form::{Form, MAX_POINTS};
use super::source::Source;
use super::transform::{Order, Sums, Tiles, collect, gradient, input};
use super::{LOCAL, apart, copy_matrices};
use crate::memory::{Scratch, filled, scratch};
use crate::par::{SendPtr, for_each_sized};
use crate::simd::Level;
use crate::tile::{Bias, Panel, Tile, panel, tiles};
use crate::vector::lanes;
use std::ops::Range;

/// Floats of the sums up to which each section of the tiles has its own.
const SECTION: usize = 1 << 18;
/// Sections of the tiles at most.
const SECTIONS: usize = 8;
/// Up to this many tiles the sums are the larger part of the work.
const FEW_SUMMED: usize = 64;
/// Floats of transformed tiles that are held at a time.
const CHUNK: usize = 6 << 20;

/// The weight gradient: rows are channels of dy, columns channels of x.
pub(super) struct Correlation<'a> {
    pub form: Form,
    pub x: Source<'a>,
    pub dy: Source<'a>,
    /// Tiles of all images.
    pub tiles: usize,
    /// Phases of x along an axis; each phase (y, x) has its own taps.
    pub spread: usize,
    pub taps: usize,
    pub orders: Vec<Order>,
    pub factors: [f32; MAX_POINTS * MAX_POINTS],
}

/// Transformed tiles `[matrix][panel or tile of rows][tile][column or row]`.
#[derive(Clone, Copy)]
struct Operand {
    at: SendPtr<f32>,
    matrix: usize,
    /// Tiles that it holds.
    len: usize,
}

impl Correlation<'_> {
    /// Phases of x, each with a panel of its own.
    fn parts(&self) -> usize {
        self.spread * self.spread
    }

    /// Panels of columns: a block of channels has one for each part.
    fn panels(&self, level: Level) -> usize {
        self.x.channels.div_ceil(2 * lanes(level)) * self.parts()
    }

    /// Transforms x's tiles `range` for a panel (and the next one, if x has phases): `[matrix]`
    /// `[panel][tile][column]` from `dst` on, panels `next` floats apart.
    ///
    /// # Safety
    ///
    /// `dst` holds these tiles in each matrix.
    unsafe fn transform_x(
        &self,
        level: Level,
        panel: usize,
        range: Range<usize>,
        (dst, matrix, next): (*mut f32, usize, usize),
    ) {
        let (lanes, parts) = (lanes(level), self.parts());
        let first = panel / parts * 2 * lanes;
        let channels = first..self.x.channels.min(first + 2 * lanes);
        let window = self.x.window(level, range.clone(), channels.clone());
        let offsets: Vec<usize> = range.map(|t| window.place(t)).collect();
        let row = panel % parts / self.spread * window.pitch;
        for half in [0, lanes] {
            if half >= channels.len() {
                continue;
            }
            let at = std::array::from_fn(|l| {
                let c = (first + half + l).min(channels.end - 1);
                window.channel(c).wrapping_add(row)
            });
            let call = Tiles {
                at,
                row: self.spread * window.pitch,
                offsets: &offsets,
                dst: dst.wrapping_add(half),
                step: 2 * lanes,
                matrix,
                pair: (self.spread == 2).then_some(next),
                lanes,
            };
            // SAFETY: tiles lie in the window, which is a vector longer than its channels.
            unsafe { input(level, self.form, &call) }
        }
    }

    /// Transforms dy's tiles `range` for a tile of rows: `[matrix][tile][row]` from `dst` on.
    ///
    /// # Safety
    ///
    /// `dst` holds these tiles in each matrix.
    unsafe fn transform_dy(
        &self,
        level: Level,
        rows: Tile,
        range: Range<usize>,
        (dst, matrix): (*mut f32, usize),
    ) {
        let channels = rows.start..rows.start + rows.len;
        let window = self.dy.window(level, range.clone(), channels);
        let offsets: Vec<usize> = range.map(|t| window.place(t)).collect();
        let at = std::array::from_fn(|l| window.channel(rows.start + l.min(rows.len - 1)));
        let call = Tiles {
            at,
            row: window.pitch,
            offsets: &offsets,
            dst,
            step: rows.len,
            matrix,
            pair: None,
            lanes: rows.len,
        };
        // SAFETY: tiles lie in the window, which is a vector longer than its channels if it is a
        // copy; else four floats are a whole tile's row.
        unsafe { gradient(level, self.form, &call) }
    }

    /// Adds the products of one matrix, for one panel, to the sums (or begins them).
    ///
    /// # Safety
    ///
    /// `c` holds the sums of this panel, rows `c_row` floats apart, from the first of `tiles` on.
    unsafe fn multiply(
        &self,
        level: Level,
        (xi, p): (usize, usize),
        tiles: &[Tile],
        (v, y): (Operand, Operand),
        (c, c_row): (*mut f32, usize),
        begin: bool,
    ) {
        let lanes = lanes(level);
        let second = self.x.channels > p / self.parts() * 2 * lanes + lanes;
        // SAFETY: offsets follow the layouts of `Operand`.
        unsafe {
            let call = Panel {
                tiles,
                k: y.len,
                a: y.at.get().add(xi * y.matrix),
                b: v.at.get().add(xi * v.matrix + p * v.len * 2 * lanes),
                c: [c, c.wrapping_add(lanes)],
                c_row,
                n: [lanes, if second { lanes } else { 0 }],
                bias: if begin { Bias::Zero } else { Bias::Sums },
                slope: 1.0,
            };
            panel(level, &call);
        }
    }

    fn sums_matrix(&self, level: Level) -> usize {
        apart(self.dy.channels * self.panels(level) * 2 * lanes(level))
    }

    fn operands(&self, level: Level, len: usize, buffer: &mut Scratch) -> (Operand, Operand) {
        let v_matrix = apart(self.panels(level) * 2 * lanes(level) * len);
        let at = buffer.as_mut_ptr();
        let v = Operand {
            at: SendPtr(at),
            matrix: v_matrix,
            len,
        };
        let y = Operand {
            at: SendPtr(at.wrapping_add(self.form.matrices() * v_matrix)),
            matrix: apart(self.dy.channels * len),
            len,
        };
        (v, y)
    }

    /// Floats of both operands for `len` tiles.
    fn operands_len(&self, level: Level, len: usize) -> usize {
        let columns = self.panels(level) * 2 * lanes(level);
        self.form.matrices() * (apart(columns * len) + apart(self.dy.channels * len))
    }

    /// The gradient.
    pub fn run(&self, level: Level) -> Vec<f32> {
        let len = self.dy.channels * self.x.channels * self.taps;
        // SAFETY: each way writes all kernels of all channels.
        unsafe {
            filled(len, |dw| {
                let dw = SendPtr(dw.as_mut_ptr().cast::<f32>());
                let section = self.form.matrices() * self.sums_matrix(level);
                if section <= SECTION {
                    self.sections(level, section, dw);
                } else if self.tiles <= FEW_SUMMED {
                    self.blocks(level, dw);
                } else {
                    self.chunks(level, section, dw);
                }
            })
        }
    }

    /// Floats of the transformed tiles, one tile.
    fn tile_floats(&self, level: Level) -> usize {
        self.form.matrices() * (self.panels(level) * 2 * lanes(level) + self.dy.channels)
    }

    /// With few weights, each section of the tiles has sums of its own.
    ///
    /// # Safety
    ///
    /// `dw` is valid for all kernels.
    unsafe fn sections(&self, level: Level, section: usize, dw: SendPtr<f32>) {
        let (total, panels) = (self.tiles, self.panels(level));
        let (n2, lanes, tiles) = (
            self.form.matrices(),
            lanes(level),
            tiles(self.dy.channels, level),
        );
        let len = (2 * LOCAL / self.tile_floats(level))
            .clamp(16, 256)
            .min(total);
        let sections = total.div_ceil(len).min(SECTIONS);
        let mut sums = scratch(sections * section);
        let at = SendPtr(sums.as_mut_ptr());
        let work = total * self.tile_floats(level) * self.dy.channels;
        for_each_sized(sections, work, |s| {
            let range = total * s / sections..total * (s + 1) / sections;
            let mut buffer = scratch(self.operands_len(level, len));
            for from in range.clone().step_by(len) {
                let part = from..range.end.min(from + len);
                let (v, y) = self.operands(level, part.len(), &mut buffer);
                // SAFETY: the buffer holds both operands of `part`, and the section its sums.
                unsafe {
                    for p in (0..panels).step_by(self.spread) {
                        let next = v.len * 2 * lanes;
                        let dst = (v.at.get().add(p * next), v.matrix, next);
                        self.transform_x(level, p, part.clone(), dst);
                    }
                    for t in &tiles {
                        let dst = (y.at.get().add(t.start * y.len), y.matrix);
                        self.transform_dy(level, *t, part.clone(), dst);
                    }
                    for (xi, p) in (0..n2 * panels).map(|i| (i / panels, i % panels)) {
                        let c = s * section + xi * self.sums_matrix(level) + p * 2 * lanes;
                        let c = (at.get().add(c), panels * 2 * lanes);
                        let begin = from == range.start;
                        self.multiply(level, (xi, p), &tiles, (v, y), c, begin);
                    }
                }
            }
        });
        let sums = (&*sums, section, sections);
        // SAFETY: the caller answers for dw.
        unsafe { self.finish_all(level, sums, dw) }
    }

    /// Tiles are transformed in chunks by all threads, then multiplied matrix by matrix.
    ///
    /// # Safety
    ///
    /// `dw` is valid for all kernels.
    unsafe fn chunks(&self, level: Level, section: usize, dw: SendPtr<f32>) {
        let (total, panels) = (self.tiles, self.panels(level));
        let (n2, lanes, tiles) = (
            self.form.matrices(),
            lanes(level),
            tiles(self.dy.channels, level),
        );
        let len = (CHUNK / self.tile_floats(level)).clamp(16, 4096).min(total);
        let mut buffer = scratch(self.operands_len(level, len));
        let mut sums = scratch(section);
        let at = SendPtr(sums.as_mut_ptr());
        for from in (0..total).step_by(len) {
            let range = from..total.min(from + len);
            let (v, y) = self.operands(level, range.len(), &mut buffer);
            self.transform(level, range.clone(), &tiles, (v, y));
            let work = range.len() * self.tile_floats(level) * self.dy.channels;
            for_each_sized(n2 * panels, work, |q| {
                let (xi, p) = (q / panels, q % panels);
                // SAFETY: each task has the sums of a panel of one matrix to itself.
                unsafe {
                    let c = at.get().add(xi * self.sums_matrix(level) + p * 2 * lanes);
                    let c = (c, panels * 2 * lanes);
                    self.multiply(level, (xi, p), &tiles, (v, y), c, from == 0);
                }
            });
        }
        // SAFETY: the caller answers for dw.
        unsafe { self.finish_all(level, (&sums, section, 1), dw) }
    }

    /// With few tiles the sums are the larger part: each task has those of some kernels, in all
    /// matrices, and turns them into gradients at once.
    ///
    /// # Safety
    ///
    /// `dw` is valid for all kernels.
    unsafe fn blocks(&self, level: Level, dw: SendPtr<f32>) {
        let (total, parts) = (self.tiles, self.parts());
        let (n2, lanes, tiles) = (
            self.form.matrices(),
            lanes(level),
            tiles(self.dy.channels, level),
        );
        let mut buffer = scratch(self.operands_len(level, total));
        let (v, y) = self.operands(level, total, &mut buffer);
        self.transform(level, 0..total, &tiles, (v, y));
        let c_row = parts * 2 * lanes;
        let most = tiles.iter().map(|t| t.len).max().unwrap_or(1);
        let group = (LOCAL / (n2 * most * c_row)).max(1);
        let (groups, blocks) = (tiles.len().div_ceil(group), self.panels(level) / parts);
        let work = total * self.tile_floats(level) * self.dy.channels;
        for_each_sized(groups * blocks, work, |q| {
            let (block, g) = (q / groups, q % groups);
            let tiles = &tiles[tiles.len() * g / groups..tiles.len() * (g + 1) / groups];
            let (first, rows) = (tiles[0].start, tiles.iter().map(|t| t.len).sum::<usize>());
            let matrix = apart(rows * c_row);
            let mut sums = scratch(n2 * matrix);
            for (xi, part) in (0..n2 * parts).map(|i| (i / parts, i % parts)) {
                let c = sums[xi * matrix + part * 2 * lanes..].as_mut_ptr();
                // The kernel counts rows from the first one of all.
                let c = (c.wrapping_sub(first * c_row), c_row);
                let p = block * parts + part;
                // SAFETY: the sums hold the rows of this group's tiles.
                unsafe { self.multiply(level, (xi, p), tiles, (v, y), c, true) }
            }
            for row in 0..rows {
                let sums = (&sums[row * c_row..], matrix, 0, 1);
                // SAFETY: these kernels belong to this task alone.
                unsafe { self.finish(level, first + row, block, sums, dw) }
            }
        });
    }

    /// Transforms tiles `range` of x and dy with all threads.
    fn transform(
        &self,
        level: Level,
        range: Range<usize>,
        tiles: &[Tile],
        (v, y): (Operand, Operand),
    ) {
        let (n2, columns) = (self.form.matrices(), 2 * lanes(level));
        let (step, pairs) = (16, self.panels(level) / self.spread);
        let ranges = range.len().div_ceil(step);
        let floats = range.len() * self.tile_floats(level);
        for_each_sized((pairs + tiles.len()) * ranges, floats, |q| {
            let (job, to) = (q / ranges, q % ranges * step);
            let part = range.start + to..range.end.min(range.start + to + step);
            let count = part.len();
            // SAFETY: each task writes its own tiles of its own panels, or rows.
            unsafe {
                if let Some(t) = job.checked_sub(pairs) {
                    let t = tiles[t];
                    let small = apart(count * t.len);
                    let mut buffer = scratch(n2 * small);
                    self.transform_dy(level, t, part, (buffer.as_mut_ptr(), small));
                    let dst = y.at.get().add(t.start * y.len + to * t.len);
                    let from = (buffer.as_ptr(), small);
                    copy_matrices(from, (dst, y.matrix), n2, count * t.len);
                } else {
                    let (p, next) = (job * self.spread, count * columns);
                    let small = apart(self.spread * next);
                    let mut buffer = scratch(n2 * small);
                    self.transform_x(level, p, part, (buffer.as_mut_ptr(), small, next));
                    for i in 0..self.spread {
                        let dst = v.at.get().add(((p + i) * v.len + to) * columns);
                        let from = (buffer.as_ptr().add(i * next), small);
                        copy_matrices(from, (dst, v.matrix), n2, next);
                    }
                }
            }
        });
    }

    /// The gradients of all kernels from the sums of all sections.
    ///
    /// # Safety
    ///
    /// `dw` is valid for all kernels.
    unsafe fn finish_all(
        &self,
        level: Level,
        (sums, section, sections): (&[f32], usize, usize),
        dw: SendPtr<f32>,
    ) {
        let (lanes, matrix) = (lanes(level), self.sums_matrix(level));
        let columns = 2 * lanes * self.panels(level);
        let floats = self.form.matrices() * self.dy.channels * columns * (1 + sections);
        for_each_sized(self.dy.channels, floats, |row| {
            for block in 0..self.panels(level) / self.parts() {
                let from = row * columns + block * self.parts() * 2 * lanes;
                let sums = (&sums[from..], matrix, section, sections);
                // SAFETY: each task writes the kernels of its own row.
                unsafe { self.finish(level, row, block, sums, dw) }
            }
        });
    }

    /// The gradients of the kernels of a row and a block of channels, whose sums begin at
    /// `sums[0]`, given with the distances of matrices and sections and the number of the latter.
    ///
    /// # Safety
    ///
    /// `dw` is valid for these kernels.
    unsafe fn finish(
        &self,
        level: Level,
        row: usize,
        block: usize,
        (sums, matrix, section, sections): (&[f32], usize, usize, usize),
        dw: SendPtr<f32>,
    ) {
        let lanes = lanes(level);
        for half in [0, lanes] {
            let first = block * 2 * lanes + half;
            if first >= self.x.channels {
                continue;
            }
            let n = lanes.min(self.x.channels - first);
            let at = std::array::from_fn(|l| {
                let c = first + l.min(n - 1);
                dw.get()
                    .wrapping_add((row * self.x.channels + c) * self.taps)
            });
            let mut src = [std::ptr::null(); 4];
            for (part, src) in src.iter_mut().enumerate().take(self.parts()) {
                *src = sums[part * 2 * lanes + half..].as_ptr();
            }
            let call = Sums {
                src: &src[..self.parts()],
                matrix,
                section,
                sections,
                orders: &self.orders,
                at,
                lanes: n,
                taps: self.taps,
                factors: &self.factors,
            };
            // SAFETY: the sums hold both halves of a panel for each part.
            unsafe { collect(level, self.form, &call) }
        }
    }
}
