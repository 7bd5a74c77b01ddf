//! The directions that write images: a convolution and its input gradient.

use super::form::{Form, MAX_POINTS};
use super::source::{Source, Window};
use super::transform::{Kernels, Order, Outputs, Tiles, input, output, weights};
use super::{LOCAL, apart, copy_matrices};
use crate::memory::{filled, scratch};
use crate::par::{SendPtr, for_each_sized};
use crate::simd::Level;
use crate::tile::{Bias, Finish, Panel, Tile, panel, tiles};
use crate::vector::{MAX_LANES, lanes};
use std::ops::Range;

/// Up to this many tiles the weights are transformed block by block; up to twice as many if there
/// are more than [`LARGE`] transformed weights.
const FEW_TILES: usize = 64;
const LARGE: usize = 1 << 20;
/// Channels whose tiles a task pads and transforms at a time.
const CHANNELS: usize = 16;

/// A direction that writes images: `[images][m][stride * height][stride * width]`.
pub(super) struct Layer<'a> {
    pub form: Form,
    pub source: Source<'a>,
    pub images: usize,
    /// What is summed over: channels, or their phases (y, x).
    pub planes: usize,
    /// For each phase (y, x) of the output, the row and column at which a tile begins.
    pub shifts: Vec<(usize, usize)>,
    /// Phases of the output along an axis.
    pub stride: usize,
    pub m: usize,
    /// Size of a phase of the output.
    pub height: usize,
    pub width: usize,
    pub w: &'a [f32],
    /// Floats in `w` between output channels, and between input channels.
    pub row: usize,
    pub channel: usize,
    pub channels: usize,
    /// The taps of each phase of the output or, if that has one, of each phase of the input.
    pub orders: Vec<Order>,
    pub factors: [f32; MAX_POINTS * MAX_POINTS],
    pub finish: Finish<'a>,
}

/// A block of transformed weights, `[matrix][tile of rows][plane][row]`.
#[derive(Clone, Copy)]
struct Block {
    at: *mut f32,
    /// Floats between the matrices, and between phases of the output.
    matrix: usize,
    phase: usize,
}

impl Layer<'_> {
    /// Tiles of all images, of one phase.
    fn tiles(&self) -> usize {
        self.images * self.source.tiles_per_image()
    }

    /// Planes that a channel has: 1, or four phases.
    fn parts(&self) -> usize {
        self.planes / self.channels
    }

    /// Steps in the source for a step in a plane.
    fn spread(&self) -> usize {
        if self.parts() == 1 { 1 } else { 2 }
    }

    /// About how many multiply-adds all products have.
    fn work(&self) -> usize {
        self.shifts.len() * self.form.matrices() * self.tiles() * self.planes * self.m
    }

    /// The result.
    pub fn run(&self, level: Level) -> Vec<f32> {
        let len = self.images * self.m * self.height * self.width * self.shifts.len();
        // SAFETY: both write all channels of all tiles of all phases.
        unsafe {
            filled(len, |out| {
                let out = SendPtr(out.as_mut_ptr().cast::<f32>());
                let large = self.form.matrices() * self.planes * self.m > LARGE;
                if self.tiles() <= if large { 2 * FEW_TILES } else { FEW_TILES } {
                    self.few_tiles(level, out);
                } else {
                    self.many_tiles(level, out);
                }
            })
        }
    }

    /// Transforms the kernels of a tile of output channels and of input channels `from .. to`,
    /// for `orders` of the phases. The block holds input channels `first ..`.
    ///
    /// # Safety
    ///
    /// The block holds these rows, `planes` of them a channel, in all its matrices.
    unsafe fn transform_weights(
        &self,
        level: Level,
        t: Tile,
        channels: Range<usize>,
        orders: &[Order],
        block: Block,
    ) {
        let at = std::array::from_fn(|l| {
            let row = t.start + l.min(t.len - 1);
            self.w[row * self.row + channels.start * self.channel..].as_ptr()
        });
        let parts = self.parts();
        let kernels = Kernels {
            at,
            channel: self.channel,
            channels: channels.len(),
            taps: self.taps(),
            orders,
            dst: block.at,
            part: if parts == 1 { block.phase } else { t.len },
            step: parts * t.len,
            matrix: block.matrix,
            lanes: t.len,
            factors: &self.factors,
        };
        // SAFETY: `w` holds a kernel for each row and channel; the caller answers for the block.
        unsafe { weights(level, self.form, &kernels) }
    }

    /// Taps of a kernel: how far apart neighbouring kernels are, along rows or along channels.
    fn taps(&self) -> usize {
        self.row.min(self.channel)
    }

    /// Transforms the vector of tiles `first ..` of a phase, the channels `channels` of `window`.
    ///
    /// # Safety
    ///
    /// `dst` is valid for a vector in `2 * LANES` floats for each plane, in each matrix.
    unsafe fn transform_tiles(
        &self,
        level: Level,
        first: usize,
        phase: usize,
        (window, channels): (&Window<'_>, Range<usize>),
        (dst, matrix): (*mut f32, usize),
    ) {
        let ((down, right), spread) = (self.shifts[phase], self.spread());
        let (columns, start) = (2 * lanes(level), window.channel(channels.start));
        let at = std::array::from_fn(|l| {
            let t = (first + l).min(self.tiles() - 1).min(window.last());
            start.wrapping_add(window.place(t) + down * window.pitch + right)
        });
        // Rows of phases; the phases of columns come in pairs.
        let place = |k: usize| k / spread * window.channel + k % spread * window.pitch;
        let offsets: Vec<usize> = (0..channels.len() * spread).map(place).collect();
        let call = Tiles {
            at,
            row: spread * window.pitch,
            offsets: &offsets,
            dst,
            step: spread * columns,
            matrix,
            pair: (spread == 2).then_some(columns),
            lanes: lanes(level),
        };
        // SAFETY: tiles lie in the window, which is a vector longer than its channels.
        unsafe { input(level, self.form, &call) }
    }

    /// Turns the products of the vector of tiles `first ..` into outputs, for channels
    /// `rows.start ..` and the phases in row `fy`.
    ///
    /// # Safety
    ///
    /// `src` holds these rows, `out` the whole result.
    #[allow(clippy::too_many_arguments)]
    unsafe fn write(
        &self,
        level: Level,
        first: usize,
        fy: usize,
        rows: Range<usize>,
        src: &[*const f32],
        matrix: usize,
        out: *mut f32,
    ) {
        let (tile_rows, tile_columns) = (self.source.rows, self.source.columns);
        let (m, stride) = (self.form.m(), self.stride);
        let pitch = self.width * stride;
        let plane = self.height * stride * pitch;
        let (mut high, mut wide) = ([0u8; MAX_LANES], [0u8; MAX_LANES]);
        let mut whole = m == 4;
        let at = std::array::from_fn(|l| {
            let t = first + l;
            if t >= self.tiles() {
                whole &= l >= lanes(level);
                return out;
            }
            let (image, y, x) = (
                t / (tile_rows * tile_columns),
                t / tile_columns % tile_rows * m,
                t % tile_columns * m,
            );
            let (h, w) = (m.min(self.height - y), m.min(self.width - x));
            whole &= l >= lanes(level) || (h == m && w == m);
            (high[l], wide[l]) = (h as u8, (w * stride) as u8);
            let to = (image * self.m + rows.start) * plane + (y * stride + fy) * pitch + x * stride;
            out.wrapping_add(to)
        });
        let exist = (high, wide);
        let call = Outputs {
            src,
            step: 2 * lanes(level),
            matrix,
            channels: rows.len(),
            at,
            plane,
            row: stride * pitch,
            exist: (!whole).then_some(&exist),
            bias: self.finish.rows(rows.start),
            slope: self.finish.slope,
        };
        // SAFETY: the tiles' rows and columns that exist are in `out`.
        unsafe { output(level, self.form, &call) }
    }

    /// All weights are transformed first; each task then transforms a block of tiles, multiplies
    /// it and writes its outputs.
    ///
    /// # Safety
    ///
    /// `out` is valid for the whole result.
    unsafe fn many_tiles(&self, level: Level, out: SendPtr<f32>) {
        let (n2, lanes, parts) = (self.form.matrices(), lanes(level), self.parts());
        let (columns, total, tiles) = (2 * lanes, self.tiles(), tiles(self.m, level));
        let rows = self.stride;

        // Channels are summed in groups, so that a group's tiles stay in cache.
        let most = (LOCAL * 3 / 2 / (rows * n2 * parts * columns)).max(CHANNELS);
        let groups = self.channels.div_ceil(most);
        let group = self.channels.div_ceil(groups);
        let matrix = apart(self.m * group * parts);
        let phase = n2 * matrix;
        let phases = self.shifts.len();
        let mut packed = scratch(groups * phases * phase);
        let at = SendPtr(packed.as_mut_ptr());
        let (step, count) = (32, phases * n2 * self.m * self.planes);
        let ranges = group.div_ceil(step);
        for_each_sized(groups * tiles.len() * ranges, count, |q| {
            let (g, t, from) = (
                q / ranges / tiles.len(),
                tiles[q / ranges % tiles.len()],
                q % ranges * step,
            );
            let channels = g * group..self.channels.min((g + 1) * group);
            let k = channels.len() * parts;
            let range = channels.start + from..channels.end.min(channels.start + from + step);
            if range.is_empty() {
                return;
            }
            let n = range.len() * parts * t.len;
            let small = apart(n);
            let mut buffer = scratch(phases * n2 * small);
            let block = Block {
                at: buffer.as_mut_ptr(),
                matrix: small,
                phase: n2 * small,
            };
            // SAFETY: the layout is `[group][phase][matrix][tile][plane][row]`, of which each
            // task writes its own planes of a tile.
            unsafe {
                self.transform_weights(level, t, range, &self.orders, block);
                let to = g * phases * phase + t.start * k + from * parts * t.len;
                let to = (at.get().add(to), matrix);
                copy_matrices((block.at, small), to, phases * n2, n);
            }
        });

        let (v_matrix, p_matrix) = (apart(group * parts * columns), apart(self.m * columns));
        for_each_sized(total.div_ceil(columns) * rows, self.work(), |q| {
            let (first, fy) = (q / rows * columns, q % rows);
            let last = total.min(first + columns);
            let halves = [lanes, if last > first + lanes { lanes } else { 0 }];
            let mut v = scratch(rows * n2 * v_matrix);
            let mut products = scratch(rows * n2 * p_matrix);
            // SAFETY: offsets follow the layouts `[phase][matrix][plane or row][column]`; the
            // outputs of this block's tiles in these phases belong to this task alone.
            unsafe {
                for g in 0..groups {
                    let channels = g * group..self.channels.min((g + 1) * group);
                    for c in channels.clone().step_by(CHANNELS) {
                        let part = c..channels.end.min(c + CHANNELS);
                        let window = self.source.window(level, first..last, part.clone());
                        for (fx, t) in (0..rows).flat_map(|f| [(f, 0), (f, lanes)]) {
                            if first + t < last {
                                let to = (c - channels.start) * parts * columns + t;
                                let to = v.as_mut_ptr().add(fx * n2 * v_matrix + to);
                                let (t, f) = (first + t, fy * rows + fx);
                                let from = (&window, part.clone());
                                self.transform_tiles(level, t, f, from, (to, v_matrix));
                            }
                        }
                    }
                    for i in 0..rows * n2 {
                        let c = products.as_mut_ptr().add(i * p_matrix);
                        let call = Panel {
                            tiles: &tiles,
                            k: channels.len() * parts,
                            a: at.get().add(((g * rows + fy) * rows * n2 + i) * matrix),
                            b: v.as_ptr().add(i * v_matrix),
                            c: [c, c.add(lanes)],
                            c_row: columns,
                            n: halves,
                            bias: if g == 0 { Bias::Zero } else { Bias::Sums },
                            slope: 1.0,
                        };
                        panel(level, &call);
                    }
                }
                for t in (first..last).step_by(lanes) {
                    let from = products.as_ptr().add(t - first);
                    let src = [from, from.add((rows - 1) * n2 * p_matrix)];
                    let src = &src[..rows];
                    self.write(level, t, fy, 0..self.m, src, p_matrix, out.get());
                }
            }
        });
    }

    /// All tiles are transformed first; each task then transforms a block of the weights,
    /// multiplies it and writes the outputs of its channels.
    ///
    /// # Safety
    ///
    /// `out` is valid for the whole result.
    unsafe fn few_tiles(&self, level: Level, out: SendPtr<f32>) {
        let (n2, lanes, k) = (self.form.matrices(), lanes(level), self.planes);
        let (columns, total, tiles) = (2 * lanes, self.tiles(), tiles(self.m, level));
        let panels = total.div_ceil(columns);
        let v_matrix = apart(k * panels * columns);
        let mut v = scratch(self.shifts.len() * n2 * v_matrix);
        let v = SendPtr(v.as_mut_ptr());
        let ranges = self.channels.div_ceil(CHANNELS);
        let count = self.shifts.len() * n2 * k * total;
        for_each_sized(panels * ranges, count, |q| {
            let (p, c) = (q / ranges, q % ranges * CHANNELS);
            let channels = c..self.channels.min(c + CHANNELS);
            let tiles = p * columns..total.min((p + 1) * columns);
            let window = self.source.window(level, tiles.clone(), channels.clone());
            let n = channels.len() * self.parts() * columns;
            let small = apart(n);
            let mut buffer = scratch(n2 * small);
            for f in 0..self.shifts.len() {
                // SAFETY: the layout is `[phase][matrix][panel][plane][column]`, of which each
                // task writes its own planes of a panel.
                unsafe {
                    for t in tiles.clone().step_by(lanes) {
                        let dst = (buffer.as_mut_ptr().add(t - tiles.start), small);
                        self.transform_tiles(level, t, f, (&window, channels.clone()), dst);
                    }
                    let to = f * n2 * v_matrix + (p * k + c * self.parts()) * columns;
                    let to = (v.get().add(to), v_matrix);
                    copy_matrices((buffer.as_ptr(), small), to, n2, n);
                }
            }
        });

        // A task has as many tiles of rows as its sums allow, and eight tasks share the rows.
        let rows = self.stride;
        let sums = rows * n2 * panels * columns;
        let most = tiles.iter().map(|t| t.len).max().unwrap_or(1);
        let group = (2 * LOCAL / (sums * most)).clamp(1, tiles.len().div_ceil(8 / rows));
        let groups = tiles.len().div_ceil(group);
        let parts = self.parts();
        let step = (LOCAL / (rows * n2 * group * most * parts)).clamp(16, 512);
        for_each_sized(groups * rows, self.work(), |q| {
            let (g, fy) = (q / rows, q % rows);
            let tiles = &tiles[tiles.len() * g / groups..tiles.len() * (g + 1) / groups];
            let (first, m) = (tiles[0].start, tiles.iter().map(|t| t.len).sum::<usize>());
            let local: Vec<Tile> = tiles
                .iter()
                .map(|t| Tile {
                    start: t.start - first,
                    len: t.len,
                })
                .collect();
            let p_matrix = apart(m * panels * columns);
            let mut products = scratch(rows * n2 * p_matrix);
            let matrix = apart(m * step * parts);
            let mut packed = scratch(rows * n2 * matrix);
            let orders = match self.shifts.len() {
                1 => &self.orders[..],
                _ => &self.orders[fy * rows..(fy + 1) * rows],
            };
            // SAFETY: offsets follow the layouts `[phase][matrix][tile][plane][row]` of the weights
            // and `[phase][matrix][panel][row][column]` of the products; the outputs of these
            // channels in these phases belong to this task alone.
            unsafe {
                for c in (0..self.channels).step_by(step) {
                    let range = c..self.channels.min(c + step);
                    let (from, k_part) = (c * parts, range.len() * parts);
                    for (t, l) in tiles.iter().zip(&local) {
                        let block = Block {
                            at: packed.as_mut_ptr().add(l.start * k_part),
                            matrix,
                            phase: n2 * matrix,
                        };
                        self.transform_weights(level, *t, range.clone(), orders, block);
                    }
                    for (fx, xi) in (0..rows * n2).map(|i| (i / n2, i % n2)) {
                        let f = fy * rows + fx;
                        for p in 0..panels {
                            let to = (fx * n2 + xi) * p_matrix + p * m * columns;
                            let out = products.as_mut_ptr().add(to);
                            let b = (f * n2 + xi) * v_matrix + (p * k + from) * columns;
                            let second = total > p * columns + lanes;
                            let call = Panel {
                                tiles: &local,
                                k: k_part,
                                a: packed.as_ptr().add((fx * n2 + xi) * matrix),
                                b: v.get().add(b),
                                c: [out, out.add(lanes)],
                                c_row: columns,
                                n: [lanes, if second { lanes } else { 0 }],
                                bias: if c == 0 { Bias::Zero } else { Bias::Sums },
                                slope: 1.0,
                            };
                            panel(level, &call);
                        }
                    }
                }
                for t in (0..total).step_by(lanes) {
                    let (p, half) = (t / columns, t % columns);
                    let from = products.as_ptr().add(p * m * columns + half);
                    let src = [from, from.add((rows - 1) * n2 * p_matrix)];
                    let src = &src[..rows];
                    self.write(level, t, fy, first..first + m, src, p_matrix, out.get());
                }
            }
        });
    }
}
