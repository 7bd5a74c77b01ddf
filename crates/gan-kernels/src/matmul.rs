//! Products of matrices in any orientation, with a scale and a bias in the same pass.

use crate::memory::{Scratch, filled, scratch};
use crate::par::{SendPtr, for_each_sized};
use crate::simd::Level;
use crate::tile::{
    Bias, Columns, Finish, Panel, Run, Source, Tile, pack_columns, pack_panel, panel, tiles,
};
use crate::vector::lanes;

/// A matrix in memory: element (i, j) is `data[i * row + j * column]`; one of the two steps is 1.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub data: &'a [f32],
    pub row: usize,
    pub column: usize,
}

impl Matrix<'_> {
    fn transposed(self) -> Self {
        Self {
            row: self.column,
            column: self.row,
            ..self
        }
    }

    fn holds(&self, rows: usize, columns: usize) -> bool {
        let last = match (rows, columns) {
            (0, _) | (_, 0) => return true,
            _ => (rows - 1) * self.row + (columns - 1) * self.column,
        };
        (self.row == 1 || self.column == 1) && last < self.data.len()
    }
}

/// Tiles of A that a task runs over a panel of B after packing it.
const TILES: usize = 16;

/// `C = scale * A B`, finished with a bias a column: C `[m][n]`, A `[m][k]`, B `[k][n]`, bias `[n]`.
#[allow(clippy::too_many_arguments)]
pub(crate) fn matmul(
    level: Level,
    m: usize,
    n: usize,
    k: usize,
    a: Matrix<'_>,
    b: Matrix<'_>,
    scale: f32,
    finish: Finish<'_>,
) -> Vec<f32> {
    assert!(a.holds(m, k) && b.holds(k, n) && finish.bias.is_none_or(|b| b.len() == n));
    if n == 1 && m > 1 {
        // One column would fill one lane of a panel: compute the row C^T instead.
        let spread = finish.bias.map(|b| vec![b[0]; m]);
        let finish = Finish {
            bias: spread.as_deref(),
            ..finish
        };
        let (a, b) = (a.transposed(), b.transposed());
        return matmul(level, 1, m, k, b, a, scale, finish);
    }
    let lanes = lanes(level);
    let columns = 2 * lanes;
    let tiles = tiles(m, level);
    let mut packed = pack_rows(level, &tiles, m, k, &a, scale);
    let at = SendPtr(packed.as_mut_ptr());
    let panels = n.div_ceil(columns);
    let groups = tiles.len().div_ceil(TILES);
    // SAFETY: the tasks write all rows of all columns of C, each its own.
    unsafe {
        filled(m * n, |c| {
            let c = SendPtr(c.as_mut_ptr().cast::<f32>());
            for_each_sized(panels * groups, m * n * k, |q| {
                let (group, first) = (q / panels, q % panels * columns);
                let width = columns.min(n - first);
                let halves = [width.min(lanes), width.saturating_sub(lanes)];
                let mut packed = scratch((k + 1) * columns);
                pack_columns_of(level, &b, k, first, width, lanes, &mut packed);
                let c = c.get().wrapping_add(first);
                let call = Panel {
                    tiles: &tiles[group * TILES..tiles.len().min((group + 1) * TILES)],
                    k,
                    a: at.get(),
                    b: packed.as_ptr(),
                    c: [c, c.wrapping_add(lanes)],
                    c_row: n,
                    n: halves,
                    slope: finish.slope,
                    bias: finish
                        .bias
                        .map_or(Bias::Zero, |b| Bias::Columns(b[first..].as_ptr())),
                };
                panel(level, &call);
            });
        })
    }
}

/// A as tiles, times `scale`.
fn pack_rows(
    level: Level,
    tiles: &[Tile],
    m: usize,
    k: usize,
    a: &Matrix<'_>,
    scale: f32,
) -> Scratch {
    let mut out = scratch(m * k);
    let at = SendPtr(out.as_mut_ptr());
    for_each_sized(tiles.len(), 4 * m * k, |t| {
        let t = tiles[t];
        // SAFETY: the tile's part of `out` belongs to this task alone.
        let part = unsafe { std::slice::from_raw_parts_mut(at.get().add(t.start * k), t.len * k) };
        if a.column == 1 {
            let to: Vec<usize> = (0..k).map(|j| j * t.len).collect();
            let src = a.data[t.start * a.row..].as_ptr();
            let c = Columns {
                src,
                row: a.row,
                rows: t.len,
                scale,
                to: &to,
            };
            // SAFETY: A holds the tile's rows, `part` a run of `t.len` for each column.
            unsafe { pack_columns(level, &c, part.as_mut_ptr()) }
        } else {
            for (j, part) in part.chunks_exact_mut(t.len).enumerate() {
                let a = &a.data[j * a.column + t.start..][..t.len];
                part.iter_mut().zip(a).for_each(|(p, a)| *p = a * scale);
            }
        }
    });
    out
}

/// Columns `first .. first + width` of B as a panel.
fn pack_columns_of(
    level: Level,
    b: &Matrix<'_>,
    k: usize,
    first: usize,
    width: usize,
    lanes: usize,
    out: &mut [f32],
) {
    let columns = 2 * lanes;
    assert!(out.len() >= (k + 1) * columns);
    if b.column == 1 {
        let source = Source {
            data: b.data.as_ptr(),
            len: b.data.len(),
            channels: k,
            channel: b.row,
            taps: &[0],
        };
        let second = width.saturating_sub(lanes);
        let runs = [
            Run {
                lane: 0,
                offset: first,
                len: width.min(lanes),
            },
            Run {
                lane: lanes,
                offset: first + lanes,
                len: second,
            },
        ];
        // SAFETY: the runs are columns of B; `out` holds k rows and a vector more.
        unsafe {
            pack_panel(
                level,
                &source,
                &runs[..1 + usize::from(second > 0)],
                out.as_mut_ptr(),
            )
        }
    } else {
        let to: Vec<usize> = (0..k).map(|j| j * columns).collect();
        let src = b.data[first * b.column..].as_ptr();
        let c = Columns {
            src,
            row: b.column,
            rows: width,
            scale: 1.0,
            to: &to,
        };
        // SAFETY: B holds these columns, which are rows in memory; `out` holds k rows.
        unsafe { pack_columns(level, &c, out.as_mut_ptr()) }
    }
}
