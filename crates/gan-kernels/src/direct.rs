//! Direct convolution on the CPU in f32: forward, input gradient and weight gradient.
//!
//! Some 700 lines because the three directions share their pieces.
//!
//! Implicit matrix products over plain NCHW. A convolution of stride s reads a zero-padded copy
//! of its input that is split into s x s phases, so that every tap of neighbouring outputs is a
//! run of neighbouring floats; the input gradient is s x s convolutions of stride 1, one an
//! output phase, with the taps that reach it, so no zeros are multiplied.
//!
//! The functions take slices and check their lengths once; below that, offsets follow from the
//! shape.

use crate::memory::{Scratch, filled, scratch};
use crate::par::{SendPtr, for_each_chunk, for_each_sized};
use crate::shape::{ConvShape, Grid, Phases, pad};
use crate::simd::Level;
use crate::tile::{
    Columns, Correlate, Finish, Panel, Reduce, Run, Source, Tile, Weave, correlate,
    correlate_tiles, pack_columns, pack_panel, panel, reduce, tiles, weave,
};
use crate::vector::lanes;

/// Fewer tasks than this in a weight gradient, and the images are summed in chunks.
const FEW_TASKS: usize = 8;
/// Up to this many panels, weights are packed tile by tile as they are used.
const FEW_PANELS: usize = 4;
/// About how many pixels a pass of the weight gradient sums: their part of dy stays in cache.
const PIXEL_BLOCK: usize = 160;

/// y = gain * convolution(x, w), finished with one bias a channel of y.
pub(crate) fn forward(
    level: Level,
    s: &ConvShape,
    x: &[f32],
    w: &[f32],
    finish: Finish<'_>,
    gain: f32,
) -> Vec<f32> {
    assert_eq!((x.len(), w.len()), (s.x_len(), s.w_len()));
    assert!(finish.bias.is_none_or(|b| b.len() == s.co));
    let k = s.ci * s.taps();
    let grid = Grid::of_input(s);
    let padded = pad(level, x, s.b * s.ci, s.h, s.w, &grid);
    let taps: Vec<usize> = (0..s.taps()).map(|t| grid.at(t / s.kw, t % s.kw)).collect();
    let tiles = tiles(s.co, level);
    let conv = Phase {
        source: padded.get(),
        images: s.b,
        channels: s.ci,
        channel: grid.plane(),
        pitch: grid.columns,
        height: s.oh,
        width: s.ow,
        m: s.co,
        tiles: &tiles,
        finish,
    };
    // SAFETY: both write every element of y: all rows of all pixels of all images.
    unsafe {
        filled(s.y_len(), |y| {
            let y = SendPtr(y.as_mut_ptr().cast());
            if conv.panels(lanes(level)).1 <= FEW_PANELS {
                conv.few_panels(level, &taps, w, gain, y);
            } else {
                let a = pack_rows(level, &tiles, w, k, gain);
                conv.unit_stride(level, &taps, &a, y);
            }
        })
    }
}

/// dx = gain * the transposed convolution of dy, finished with one bias a channel of x.
pub(crate) fn input_gradient(
    level: Level,
    s: &ConvShape,
    dy: &[f32],
    w: &[f32],
    finish: Finish<'_>,
    gain: f32,
) -> Vec<f32> {
    assert_eq!((dy.len(), w.len()), (s.y_len(), s.w_len()));
    assert!(finish.bias.is_none_or(|b| b.len() == s.ci));
    let (ys, xs) = (Phases::new(s, s.kh), Phases::new(s, s.kw));
    let (height, width) = (s.h.div_ceil(s.stride), s.w.div_ceil(s.stride));
    let grid = Grid {
        phases: 1,
        y0: ys.first,
        x0: xs.first,
        rows: height + ys.extent,
        columns: width + xs.extent,
    };
    let padded = pad(level, dy, s.b * s.co, s.oh, s.ow, &grid);
    let tiles = tiles(s.ci, level);
    let packed = pack_phases(level, s, &ys, &xs, &grid, &tiles, w, gain);
    let conv = Phase {
        source: padded.get(),
        images: s.b,
        channels: s.co,
        channel: grid.plane(),
        pitch: grid.columns,
        height,
        width,
        m: s.ci,
        tiles: &tiles,
        finish,
    };
    // SAFETY: each of the two writes every element of dx: all rows of all pixels of all phases.
    unsafe {
        filled(s.x_len(), |dx| {
            let dx = SendPtr(dx.as_mut_ptr().cast());
            if s.stride == 1 {
                conv.unit_stride(level, &packed.taps[0], &packed.a, dx);
            } else {
                conv.interleaved(level, s, &packed, dx);
            }
        })
    }
}

/// dw = gain * the correlation of x and dy.
pub(crate) fn weight_gradient(
    level: Level,
    s: &ConvShape,
    x: &[f32],
    dy: &[f32],
    gain: f32,
) -> Vec<f32> {
    assert_eq!((x.len(), dy.len()), (s.x_len(), s.y_len()));
    let (lanes, pixels, kk) = (lanes(level), s.oh * s.ow, s.taps());
    let (columns, k) = (2 * lanes, s.ci * s.taps());
    let grid = Grid::of_input(s);
    let padded = pad(level, x, s.b * s.ci, s.h, s.w, &grid);
    let x = SendPtr(padded.get().as_ptr().cast_mut());

    // dy as [block of channels][image][pixel][columns].
    let blocks = s.co.div_ceil(columns);
    let mut turned = scratch(blocks * s.b * pixels * columns);
    let to: Vec<usize> = (0..pixels).map(|p| p * columns).collect();
    for_each_chunk(
        &mut turned,
        pixels * columns,
        s.y_len() * 4,
        |start, out| {
            let (block, image) = (
                start / (pixels * columns) / s.b,
                start / (pixels * columns) % s.b,
            );
            let first = block * columns;
            let from = (image * s.co + first) * pixels;
            let rows = columns.min(s.co - first);
            let c = Columns {
                src: dy[from..].as_ptr(),
                row: pixels,
                rows,
                scale: 1.0,
                to: &to,
            };
            // SAFETY: the block's channels of this image are in dy, and `out` is `pixels` rows of
            // `columns` floats.
            unsafe { pack_columns(level, &c, out.as_mut_ptr()) }
        },
    );
    let turned_at = SendPtr(turned.as_mut_ptr());

    let tiles = correlate_tiles(k, level);
    let chunks = if tiles.len() >= FEW_TASKS {
        1
    } else {
        s.b.min(FEW_TASKS)
    };
    let width = blocks * columns;
    let mut sums = scratch(chunks * k * width);
    let sums_at = SendPtr(sums.as_mut_ptr());
    let group = tiles.len().div_ceil(16);
    let groups = tiles.len().div_ceil(group);
    let rows = (PIXEL_BLOCK / s.ow).clamp(1, s.oh);
    let images = if rows == s.oh {
        (PIXEL_BLOCK / pixels).max(1)
    } else {
        1
    };
    let image = s.ci * grid.plane();
    let taps: Vec<usize> = (0..k)
        .map(|i| i / kk * grid.plane() + grid.at(i % kk / s.kw, i % kk % s.kw))
        .collect();
    // The pixels of a block, row by row of all its images.
    let offsets: Vec<usize> = (0..images * rows * s.ow)
        .map(|p| {
            let (row, column) = (p / s.ow, p % s.ow);
            row / rows * image + row % rows * grid.columns + column
        })
        .collect();
    let task = |q: usize| {
        let (chunk, g) = (q / groups, q % groups);
        let (from, to) = (s.b * chunk / chunks, s.b * (chunk + 1) / chunks);
        for b in (from..to).step_by(images) {
            for block in 0..blocks {
                for row in (0..s.oh).step_by(rows) {
                    for t in &tiles[g * group..((g + 1) * group).min(tiles.len())] {
                        let mut at = [std::ptr::null::<f32>(); 16];
                        for (at, tap) in at.iter_mut().zip(&taps[t.start..t.start + t.len]) {
                            let o = b * image + tap + row * grid.columns;
                            // SAFETY: a tap of a pixel of the padded copy.
                            *at = unsafe { x.get().add(o) };
                        }
                        let pixel = (block * s.b + b) * pixels + row * s.ow;
                        // SAFETY: `pixel` is one of `turned`; the tile's rows of this chunk's
                        // sums belong to this task alone.
                        let (d, c) = unsafe {
                            let c = (chunk * k + t.start) * width + block * columns;
                            (turned_at.get().add(pixel * columns), sums_at.get().add(c))
                        };
                        let call = Correlate {
                            x: &at[..t.len],
                            pixels: &offsets[..images.min(to - b) * rows.min(s.oh - row) * s.ow],
                            d,
                            c,
                            c_row: width,
                            add: b > from || row > 0,
                        };
                        // SAFETY: all pixels are inside the padded copy and `turned`: blocks of
                        // several images cover whole images, which follow each other in both.
                        unsafe { correlate(level, &call) }
                    }
                }
            }
        }
    };
    for_each_sized(groups * chunks, s.work(), task);

    let mut dw: Vec<f32> = Vec::with_capacity(s.w_len());
    let dw_at = SendPtr(dw.as_mut_ptr());
    let sums_at = SendPtr(sums.as_mut_ptr());
    let step = 4 * lanes;
    for_each_sized(k.div_ceil(step), s.w_len() * (1 + chunks), |q| {
        let first = q * step;
        // SAFETY: rows `first ..` of the sums become columns of dw that no other task writes.
        unsafe {
            let call = Reduce {
                src: sums_at.get().add(first * width),
                src_row: width,
                chunk: k * width,
                chunks,
                rows: step.min(k - first),
                columns: s.co,
                dst: dw_at.get().add(first),
                dst_row: k,
                scale: gain,
            };
            reduce(level, &call);
        }
    });
    // SAFETY: `reduce` wrote all k columns of all co rows.
    unsafe { dw.set_len(s.w_len()) };
    dw
}

/// The weights of all output phases, packed.
struct PackedPhases {
    a: Scratch,
    /// For each phase (y, x): offsets of its taps, and where its matrix starts in `a`.
    taps: Vec<Vec<usize>>,
    start: Vec<usize>,
}

#[allow(clippy::too_many_arguments)]
fn pack_phases(
    level: Level,
    s: &ConvShape,
    ys: &Phases,
    xs: &Phases,
    grid: &Grid,
    tiles: &[Tile],
    w: &[f32],
    gain: f32,
) -> PackedPhases {
    let kk = s.taps();
    let (mut taps, mut start, mut total) = (Vec::new(), Vec::new(), 0);
    // Which phase a tap belongs to, its place among that phase's taps; each tap has one phase.
    let mut place = vec![(0, 0); kk];
    for y in &ys.taps {
        for x in &xs.taps {
            let mut offsets = Vec::with_capacity(y.len() * x.len());
            for &(i, ey) in y {
                for &(j, ex) in x {
                    place[i * s.kw + j] = (taps.len(), offsets.len());
                    offsets.push(ey * grid.columns + ex);
                }
            }
            start.push(total);
            total += s.ci * s.co * offsets.len();
            taps.push(offsets);
        }
    }
    let mut a = scratch(total);
    let at = SendPtr(a.as_mut_ptr());
    // A task packs one tile's rows of some of the channels that are summed over.
    let step = 64;
    let parts = s.co.div_ceil(step);
    for_each_sized(tiles.len() * parts, 4 * total, |q| {
        let (t, part) = (tiles[q / parts], q % parts);
        let mut to = vec![0; kk];
        for c in part * step..((part + 1) * step).min(s.co) {
            for (to, &(phase, i)) in to.iter_mut().zip(&place) {
                let n: usize = taps[phase].len();
                *to = start[phase] + t.start * s.co * n + (c * n + i) * t.len;
            }
            let src = w[(c * s.ci + t.start) * kk..].as_ptr();
            let columns = Columns {
                src,
                row: kk,
                rows: t.len,
                scale: gain,
                to: &to,
            };
            // SAFETY: `w` holds the tile's rows of channel c; every (tile, channel, tap) has
            // `t.len` floats of its own in `a`.
            unsafe { pack_columns(level, &columns, at.get()) }
        }
    });
    PackedPhases { a, taps, start }
}

/// Packs `w` `[rows][k]` as tiles.
fn pack_rows(level: Level, tiles: &[Tile], w: &[f32], k: usize, gain: f32) -> Scratch {
    let rows: usize = tiles.iter().map(|t| t.len).sum();
    let mut a = scratch(rows * k);
    let at = SendPtr(a.as_mut_ptr());
    let step = 1024.min(k);
    let parts = k.div_ceil(step);
    for_each_sized(tiles.len() * parts, 4 * rows * k, |q| {
        let (t, first) = (tiles[q / parts], q % parts * step);
        let to: Vec<usize> = (first..k.min(first + step))
            .map(|j| t.start * k + j * t.len)
            .collect();
        let src = w[t.start * k + first..].as_ptr();
        let columns = Columns {
            src,
            row: k,
            rows: t.len,
            scale: gain,
            to: &to,
        };
        // SAFETY: `w` holds the tile's rows; every (tile, column) has `t.len` floats in `a`.
        unsafe { pack_columns(level, &columns, at.get()) }
    });
    a
}

/// One convolution of stride 1 over a padded copy, or one phase of an input gradient.
struct Phase<'a> {
    /// `[images][channels]` planes.
    source: &'a [f32],
    images: usize,
    channels: usize,
    /// Floats a plane, and a row of it.
    channel: usize,
    pitch: usize,
    /// Pixels of the output (of one phase of it).
    height: usize,
    width: usize,
    m: usize,
    tiles: &'a [Tile],
    finish: Finish<'a>,
}

/// The runs of the pixels `first .. first + lanes` of an image (cut at its end), from lane `lane`.
fn push_runs(
    runs: &mut Runs,
    conv: &Phase,
    lane: usize,
    image: usize,
    first: usize,
    lanes: usize,
) -> usize {
    let n = lanes.min(conv.height * conv.width - first);
    let base = image * conv.channels * conv.channel;
    let mut done = 0;
    while done < n {
        let (y, x) = ((first + done) / conv.width, (first + done) % conv.width);
        let len = (conv.width - x).min(n - done);
        runs.list[runs.len] = Run {
            lane: lane + done,
            offset: base + y * conv.pitch + x,
            len,
        };
        runs.len += 1;
        done += len;
    }
    n
}

/// At most one run a lane.
struct Runs {
    list: [Run; 2 * crate::vector::MAX_LANES],
    len: usize,
}

impl Runs {
    fn new() -> Self {
        Self {
            list: [Run::default(); 2 * crate::vector::MAX_LANES],
            len: 0,
        }
    }
    fn get(&self) -> &[Run] {
        &self.list[..self.len]
    }
}

impl Phase<'_> {
    fn source<'a>(&self, taps: &'a [usize]) -> Source<'a> {
        Source {
            data: self.source.as_ptr(),
            len: self.source.len(),
            channels: self.channels,
            channel: self.channel,
            taps,
        }
    }

    /// Panels of all images: vectors an image, and panels in all.
    fn panels(&self, lanes: usize) -> (usize, usize) {
        let vectors = (self.height * self.width).div_ceil(lanes);
        (vectors, (self.images * vectors).div_ceil(2))
    }

    /// The pixels of panel `q`, where each half's first row goes in `out`, and how many columns
    /// it has.
    fn target(&self, q: usize, lanes: usize, out: *mut f32) -> (Runs, [*mut f32; 2], [usize; 2]) {
        let pixels = self.height * self.width;
        let vectors = pixels.div_ceil(lanes);
        let mut runs = Runs::new();
        let (mut c, mut n) = ([std::ptr::null_mut(); 2], [0; 2]);
        for half in 0..2 {
            let v = 2 * q + half;
            if v < self.images * vectors {
                let (image, first) = (v / vectors, v % vectors * lanes);
                n[half] = push_runs(&mut runs, self, half * lanes, image, first, lanes);
                c[half] = out.wrapping_add(image * self.m * pixels + first);
            }
        }
        (runs, c, n)
    }

    /// As [`Self::unit_stride`] with few panels: they are packed first, then each task packs a
    /// tile of the weights `w` `[m][k]` and uses it at once.
    ///
    /// # Safety
    ///
    /// As for `unit_stride`.
    unsafe fn few_panels(
        &self,
        level: Level,
        taps: &[usize],
        w: &[f32],
        gain: f32,
        out: SendPtr<f32>,
    ) {
        let (lanes, pixels) = (lanes(level), self.height * self.width);
        let (_, panels) = self.panels(lanes);
        let k = self.channels * taps.len();
        assert!(w.len() >= self.m * k);
        let size = (k + 1) * 2 * lanes;
        let mut packed = scratch(panels * size);
        let source = self.source(taps);
        for (q, b) in packed.chunks_exact_mut(size).enumerate() {
            let (runs, ..) = self.target(q, lanes, out.get());
            // SAFETY: the runs are pixels of the source; b holds k rows and a vector more.
            unsafe { pack_panel(level, &source, runs.get(), b.as_mut_ptr()) }
        }
        let packed = SendPtr(packed.as_mut_ptr());
        let work = self.images * pixels * self.m * k + 4 * self.m * k;
        for_each_sized(self.tiles.len(), work, |t| {
            let t = self.tiles[t];
            let mut a = scratch(t.len * k);
            let step = 1024.min(k);
            let to: Vec<usize> = (0..step).map(|j| j * t.len).collect();
            for first in (0..k).step_by(step) {
                let c = Columns {
                    src: w[t.start * k + first..].as_ptr(),
                    row: k,
                    rows: t.len,
                    scale: gain,
                    to: &to[..step.min(k - first)],
                };
                // SAFETY: w holds the tile's rows, a has `t.len` floats for each column.
                unsafe { pack_columns(level, &c, a.as_mut_ptr().add(first * t.len)) }
            }
            let tile = [Tile {
                start: 0,
                len: t.len,
            }];
            for q in 0..panels {
                let (_, c, n) = self.target(q, lanes, out.get());
                // SAFETY: the tile's rows of `out` belong to this task alone.
                unsafe {
                    let call = Panel {
                        tiles: &tile,
                        k,
                        a: a.as_ptr(),
                        b: packed.get().add(q * size),
                        c: c.map(|c| c.wrapping_add(t.start * pixels)),
                        c_row: pixels,
                        n,
                        bias: self.finish.rows(t.start),
                        slope: self.finish.slope,
                    };
                    panel(level, &call);
                }
            }
        });
    }

    /// Writes `out` `[images][m][height * width]`.
    ///
    /// # Safety
    ///
    /// `out` is valid for all of it; the source holds every pixel's taps.
    unsafe fn unit_stride(&self, level: Level, taps: &[usize], a: &[f32], out: SendPtr<f32>) {
        let (lanes, pixels) = (lanes(level), self.height * self.width);
        let (_, panels) = self.panels(lanes);
        let k = self.channels * taps.len();
        assert!(a.len() >= self.m * k);
        let source = self.source(taps);
        let (data, a) = (
            SendPtr(source.data.cast_mut()),
            SendPtr(a.as_ptr().cast_mut()),
        );
        let len = source.len;
        let group = (panels / 16).clamp(1, 8);
        let work = self.images * pixels * self.m * k;
        let (channels, channel, tiles) = (self.channels, self.channel, self.tiles);
        for_each_sized(panels.div_ceil(group), work, |q| {
            let mut b = scratch((k + 1) * 2 * lanes);
            for q in q * group..((q + 1) * group).min(panels) {
                let (runs, c, n) = self.target(q, lanes, out.get());
                let source = Source {
                    data: data.get(),
                    len,
                    channels,
                    channel,
                    taps,
                };
                let (a, b) = (a.get(), b.as_mut_ptr());
                let call = Panel {
                    tiles,
                    k,
                    a,
                    b,
                    c,
                    c_row: pixels,
                    n,
                    bias: self.finish.rows(0),
                    slope: self.finish.slope,
                };
                // SAFETY: the runs are pixels of the source; b holds k rows and a vector more; the
                // panel's pixels of `out` belong to this task alone.
                unsafe {
                    pack_panel(level, &source, runs.get(), b);
                    panel(level, &call);
                }
            }
        });
    }

    /// Writes dx `[images][m][s.h][s.w]`, whose phases this convolution's panels produce.
    ///
    /// # Safety
    ///
    /// `out` is valid for all of it; the source holds every pixel's taps.
    unsafe fn interleaved(
        &self,
        level: Level,
        s: &ConvShape,
        packed: &PackedPhases,
        out: SendPtr<f32>,
    ) {
        let lanes = lanes(level);
        let (vectors, panels) = self.panels(lanes);
        let most = packed.taps.iter().map(Vec::len).max().unwrap_or(0) * self.channels;
        let source = self.source(&[]);
        let (data, a) = (
            SendPtr(source.data.cast_mut()),
            SendPtr(packed.a.as_ptr().cast_mut()),
        );
        let len = source.len;
        let total = panels * s.stride;
        let group = (total / 16).clamp(1, 4);
        for_each_sized(total.div_ceil(group), s.work(), |q| {
            let mut b = scratch((most + 1) * 2 * lanes);
            // [m][x phase][lane]
            let row = s.stride * 2 * lanes;
            let mut t = scratch(self.m * row + lanes);
            for q in q * group..((q + 1) * group).min(total) {
                let (fy, q) = (q / panels, q % panels);
                let mut runs = Runs::new();
                let mut images = [0; 2 * crate::vector::MAX_LANES];
                for half in 0..2 {
                    let v = 2 * q + half;
                    if v < self.images * vectors {
                        let (image, first) = (v / vectors, v % vectors * lanes);
                        let from = runs.len;
                        push_runs(&mut runs, self, half * lanes, image, first, lanes);
                        images[from..runs.len].fill(image);
                    }
                }
                for fx in 0..s.stride {
                    let taps = &packed.taps[fy * s.stride + fx];
                    let k = self.channels * taps.len();
                    let (channels, channel) = (self.channels, self.channel);
                    let source = Source {
                        data: data.get(),
                        len,
                        channels,
                        channel,
                        taps,
                    };
                    // SAFETY: as in `unit_stride`, with the result in this task's scratch.
                    unsafe {
                        // One pointer for both: a second one taken from `b` would end the first one's
                        // right.
                        let b = b.as_mut_ptr();
                        let c = t.as_mut_ptr().add(fx * 2 * lanes);
                        let call = Panel {
                            tiles: self.tiles,
                            k,
                            a: a.get().add(packed.start[fy * s.stride + fx]),
                            b,
                            c: [c, c.add(lanes)],
                            c_row: row,
                            n: [lanes; 2],
                            bias: self.finish.rows(0),
                            slope: self.finish.slope,
                        };
                        pack_panel(level, &source, runs.get(), b);
                        panel(level, &call);
                    }
                }
                for (r, &image) in runs.get().iter().zip(&images) {
                    let pixel = r.offset - image * self.channels * self.channel;
                    let (y, x) = (
                        pixel / self.pitch * s.stride + fy,
                        pixel % self.pitch * s.stride,
                    );
                    if y >= s.h {
                        continue;
                    }
                    let columns = (r.len * s.stride).min(s.w - x);
                    let at = (image * self.m * s.h + y) * s.w + x;
                    // SAFETY: `columns` floats from (y, x) on are in dx's row, and no other
                    // task has this run of this row phase.
                    unsafe {
                        let (src, dst) = (t.as_ptr().add(r.lane), out.get().add(at));
                        if s.stride == 2 {
                            let call = Weave {
                                even: src,
                                odd: src.add(2 * lanes),
                                src_row: row,
                                rows: self.m,
                                dst,
                                dst_row: s.h * s.w,
                                len: columns,
                            };
                            weave(level, &call);
                        } else {
                            for m in 0..self.m {
                                for i in 0..columns {
                                    let lane = i % s.stride * 2 * lanes + i / s.stride;
                                    *dst.add(m * s.h * s.w + i) = *src.add(m * row + lane);
                                }
                            }
                        }
                    }
                }
            }
        });
    }
}
