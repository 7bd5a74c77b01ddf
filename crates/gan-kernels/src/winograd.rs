//! Convolutions by Winograd's minimal filtering, in all three directions.
//!
//! A layer becomes N x N matrix products between transformed tiles and transformed kernels:
//! 3x3 kernels of stride 1 by F(4x4, 3x3), 4x4 kernels of stride 1 by F(3x3, 4x4), and 4x4 kernels
//! of stride 2 by F(4x4, 2x2) on phases. A convolution of stride 2 reads four phases of its input,
//! each with its own 2x2 taps, summed before the way back; its input gradient writes four phases
//! of its output, each with its own 2x2 taps. The weight gradient multiplies the transformed
//! input by the transformed gradient and sums over tiles.
//!
//! Of the two operands of a product, the larger one stays in the cache of the task that made it:
//! with many tiles they are transformed block by block and the weights once for all; with few
//! tiles the weights are transformed block by block, and never written to memory as a whole.
//!
//! Distances between matrices are odd multiples of a few cache lines: with powers of two all N x N
//! streams of a transform would fall into one set of the first-level cache.

mod form;
mod source;
mod transform;

use crate::direct::{Phases, Shape};
use crate::memory::{Scratch, filled, scratch};
use crate::par::{SendPtr, for_each_sized};
use crate::simd::Level;
use crate::tile::{Bias, Finish, Panel, Tile, panel, tiles};
use crate::vector::{MAX_LANES, lanes};
pub(crate) use form::Form;
use form::MAX_POINTS;
use source::{Source, Window};
use std::ops::Range;
use transform::{Kernels, Order, Outputs, Sums, Tiles, collect, gradient, input, output, weights};

/// Up to this many tiles the weights are transformed block by block; up to twice as many if there
/// are more than [`LARGE`] transformed weights.
const FEW_TILES: usize = 64;
const LARGE: usize = 1 << 20;
/// Floats of a task's operand; with its sums, twice as many, they stay in the second-level cache.
const LOCAL: usize = 1 << 17;
/// Channels whose tiles a task pads and transforms at a time.
const CHANNELS: usize = 16;
/// Floats of the weight gradient's sums up to which each section of the tiles has its own.
const SECTION: usize = 1 << 18;
/// Sections of the tiles in a weight gradient.
const SECTIONS: usize = 8;
/// Up to this many tiles the weight gradient's sums are the larger part of its work.
const FEW_SUMMED: usize = 64;
/// Floats of transformed tiles that a weight gradient holds at a time.
const CHUNK: usize = 6 << 20;

/// The form for a kernel and stride, whatever the sizes.
pub(crate) fn form(s: &Shape) -> Option<Form> {
    match (s.kh, s.kw, s.stride) {
        (3, 3, 1) => Some(Form::F43),
        (4, 4, 1) => Some(Form::F34),
        (4, 4, 2) => Some(Form::F42),
        _ => None,
    }
}

/// Floats between matrices of `n` floats.
fn apart(n: usize) -> usize {
    n.next_multiple_of(16) + 48
}

/// Copies `count` matrices of `n` floats. Transforms write to a small buffer first: written to a
/// large one, each of their streams would wait for its cache line.
///
/// # Safety
///
/// `src` and `dst` are valid for all matrices.
unsafe fn copy_matrices(
    (src, src_matrix): (*const f32, usize),
    (dst, dst_matrix): (*mut f32, usize),
    count: usize,
    n: usize,
) {
    for i in 0..count {
        // SAFETY: the caller answers for both.
        unsafe {
            std::ptr::copy_nonoverlapping(src.add(i * src_matrix), dst.add(i * dst_matrix), n)
        }
    }
}

/// A convolution's taps in the order of a form: one order, or one for each phase (y, x).
fn forward_orders(s: &Shape) -> Vec<Order> {
    if s.stride == 1 {
        return vec![std::array::from_fn(|i| i)];
    }
    let order = |a: usize, b: usize| -> Order {
        std::array::from_fn(|i| {
            if i < 4 {
                (i / 2 * 2 + a) * 4 + i % 2 * 2 + b
            } else {
                0
            }
        })
    };
    (0..4).map(|f| order(f / 2, f % 2)).collect()
}

/// The input of a convolution. Of its tiles' rows eight floats are read, or twelve of two phases.
fn input_source<'a>(form: Form, s: &Shape, x: &'a [f32]) -> Source<'a> {
    let size = s.stride * form.n();
    Source {
        data: x,
        channels: s.ci,
        height: s.h,
        width: s.w,
        rows: s.oh.div_ceil(form.m()),
        columns: s.ow.div_ceil(form.m()),
        step: s.stride * form.m(),
        size: (size, size),
        top: -(s.padding as isize),
        left: -(s.padding as isize),
    }
}

/// y = gain * convolution(x, w), finished with one bias a channel of y.
pub(crate) fn forward(
    level: Level,
    form: Form,
    s: &Shape,
    x: &[f32],
    w: &[f32],
    finish: Finish<'_>,
    gain: f32,
) -> Vec<f32> {
    assert_eq!((x.len(), w.len()), (s.x_len(), s.w_len()));
    assert!(finish.bias.is_none_or(|b| b.len() == s.co));
    Layer {
        form,
        source: input_source(form, s, x),
        images: s.b,
        planes: s.ci * s.stride * s.stride,
        shifts: vec![(0, 0)],
        stride: 1,
        m: s.co,
        height: s.oh,
        width: s.ow,
        w,
        row: s.ci * s.taps(),
        channel: s.taps(),
        channels: s.ci,
        orders: forward_orders(s),
        factors: form.factors(gain),
        finish,
    }
    .run(level)
}

/// Whether [`input_gradient`] can compute a layer: its output phases must be of equal size.
pub(crate) fn has_input_gradient(s: &Shape) -> bool {
    s.h.is_multiple_of(s.stride) && s.w.is_multiple_of(s.stride)
}

/// dx = gain * the transposed convolution of dy, finished with one bias a channel of x.
pub(crate) fn input_gradient(
    level: Level,
    form: Form,
    s: &Shape,
    dy: &[f32],
    w: &[f32],
    finish: Finish<'_>,
    gain: f32,
) -> Vec<f32> {
    assert_eq!((dy.len(), w.len()), (s.y_len(), s.w_len()));
    assert!(finish.bias.is_none_or(|b| b.len() == s.ci) && has_input_gradient(s));
    let (height, width) = (s.h / s.stride, s.w / s.stride);
    let (ys, xs) = (Phases::new(s, s.kh), Phases::new(s, s.kw));
    // Taps of a phase lie at neighbouring pixels, from the last tap to the first.
    let (mut shifts, mut orders) = (Vec::new(), Vec::new());
    let r = form.r();
    for y in &ys.taps {
        for x in &xs.taps {
            shifts.push((y[r - 1].1, x[r - 1].1));
            orders.push(std::array::from_fn(|i| match i {
                i if i < r * r => y[r - 1 - i / r].0 * s.kw + x[r - 1 - i % r].0,
                _ => 0,
            }));
        }
    }
    let largest = |axis: fn(&(usize, usize)) -> usize| shifts.iter().map(axis).max().unwrap_or(0);
    let source = Source {
        data: dy,
        channels: s.co,
        height: s.oh,
        width: s.ow,
        rows: height.div_ceil(form.m()),
        columns: width.div_ceil(form.m()),
        step: form.m(),
        size: (form.n() + largest(|s| s.0), form.n() + largest(|s| s.1)),
        top: ys.first,
        left: xs.first,
    };
    Layer {
        form,
        source,
        images: s.b,
        planes: s.co,
        shifts,
        stride: s.stride,
        m: s.ci,
        height,
        width,
        w,
        row: s.taps(),
        channel: s.ci * s.taps(),
        channels: s.co,
        orders,
        factors: form.factors(gain),
        finish,
    }
    .run(level)
}

/// A direction that writes images: `[images][m][stride * height][stride * width]`.
struct Layer<'a> {
    form: Form,
    source: Source<'a>,
    images: usize,
    /// What is summed over: channels, or their phases (y, x).
    planes: usize,
    /// For each phase (y, x) of the output, the row and column at which a tile begins.
    shifts: Vec<(usize, usize)>,
    /// Phases of the output along an axis.
    stride: usize,
    m: usize,
    /// Size of a phase of the output.
    height: usize,
    width: usize,
    w: &'a [f32],
    /// Floats in `w` between output channels, and between input channels.
    row: usize,
    channel: usize,
    channels: usize,
    /// The taps of each phase of the output or, if that has one, of each phase of the input.
    orders: Vec<Order>,
    factors: [f32; MAX_POINTS * MAX_POINTS],
    finish: Finish<'a>,
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

    fn run(&self, level: Level) -> Vec<f32> {
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

/// dw = gain * the correlation of x and dy.
pub(crate) fn weight_gradient(
    level: Level,
    form: Form,
    s: &Shape,
    x: &[f32],
    dy: &[f32],
    gain: f32,
) -> Vec<f32> {
    assert_eq!((x.len(), dy.len()), (s.x_len(), s.y_len()));
    let x = input_source(form, s, x);
    let dy = Source {
        data: dy,
        channels: s.co,
        height: s.oh,
        width: s.ow,
        step: form.m(),
        // Four floats are read of a tile's row.
        size: (form.m(), 4),
        top: 0,
        left: 0,
        ..x
    };
    Correlation {
        form,
        x,
        dy,
        tiles: s.b * x.tiles_per_image(),
        spread: s.stride,
        taps: s.taps(),
        orders: forward_orders(s),
        factors: form.factors(gain),
    }
    .run(level)
}

/// The weight gradient: rows are channels of dy, columns channels of x.
struct Correlation<'a> {
    form: Form,
    x: Source<'a>,
    dy: Source<'a>,
    /// Tiles of all images.
    tiles: usize,
    /// Phases of x along an axis; each phase (y, x) has its own taps.
    spread: usize,
    taps: usize,
    orders: Vec<Order>,
    factors: [f32; MAX_POINTS * MAX_POINTS],
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
                c: [c, c.add(lanes)],
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

    fn run(&self, level: Level) -> Vec<f32> {
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

#[cfg(test)]
mod tests;
