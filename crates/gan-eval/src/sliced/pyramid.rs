//! The Laplacian pyramid: level i holds what the next, half as large, lacks; the last is the small picture itself.

use crate::values;
use candle_core::{Result, Tensor, bail};

/// One plane filtered with [1 4 6 4 1] / 16 in both directions; borders are mirrored without repeating the edge.
pub(crate) fn smoothed(plane: Vec<f64>, (h, w): (usize, usize)) -> Result<Vec<f64>> {
    let plane = Planes {
        n: 1,
        c: 1,
        h,
        w,
        values: plane,
    };
    Ok(plane.smooth()?.values)
}

/// Pictures as plain numbers.
pub(super) struct Planes {
    pub(super) n: usize,
    pub(super) c: usize,
    pub(super) h: usize,
    pub(super) w: usize,
    pub(super) values: Vec<f64>,
}

/// The Laplacian pyramid of pictures, the finest level first.
pub(super) fn pyramid(pictures: &Tensor, levels: usize) -> Result<Vec<Planes>> {
    let (n, c, h, w) = pictures.dims4()?;
    let values = values(pictures)?.into_iter().map(f64::from).collect();
    let mut whole = Planes { n, c, h, w, values };
    let mut out = Vec::with_capacity(levels);
    for _ in 1..levels {
        let small = whole.down()?;
        let up = small.up(whole.h, whole.w)?;
        for (x, up) in whole.values.iter_mut().zip(up.values) {
            *x -= up;
        }
        out.push(whole);
        whole = small;
    }
    out.push(whole);
    Ok(out)
}

impl Planes {
    /// Filters with [1 4 6 4 1] / 16 in both directions; borders are mirrored without repeating the edge.
    fn smooth(&self) -> Result<Planes> {
        let (h, w) = (self.h, self.w);
        if h.min(w) < 3 {
            bail!("a level of {h}x{w} has no borders to mirror, take fewer levels")
        }
        let mut values = Vec::with_capacity(self.values.len());
        let mut rows = vec![0.; h * w];
        for plane in self.values.chunks_exact(h * w) {
            for (to, from) in rows.chunks_exact_mut(w).zip(plane.chunks_exact(w)) {
                for (x, to) in to.iter_mut().enumerate() {
                    *to = taps(x, w, |x| from.get(x).copied());
                }
            }
            for y in 0..h {
                values.extend((0..w).map(|x| taps(y, h, |y| rows.get(y * w + x).copied())));
            }
        }
        Ok(Planes { values, ..*self })
    }

    /// Smooths and keeps every second pixel, from the first.
    fn down(&self) -> Result<Planes> {
        let smooth = self.smooth()?;
        let rows = smooth.values.chunks_exact(self.h * self.w);
        let rows = rows.flat_map(|plane| plane.chunks_exact(self.w).step_by(2));
        Ok(Planes {
            h: self.h.div_ceil(2),
            w: self.w.div_ceil(2),
            values: rows
                .flat_map(|row| row.iter().step_by(2))
                .copied()
                .collect(),
            ..*self
        })
    }

    /// Zeros between the pixels, from the second, then four times the filter.
    pub(super) fn up(&self, h: usize, w: usize) -> Result<Planes> {
        let mut values = vec![0.; self.n * self.c * h * w];
        let planes = values.chunks_exact_mut(h * w);
        for (to, from) in planes.zip(self.values.chunks_exact(self.h * self.w)) {
            let rows = to.chunks_exact_mut(w).step_by(2);
            for (to, from) in rows.zip(from.chunks_exact(self.w)) {
                to.iter_mut()
                    .step_by(2)
                    .zip(from)
                    .for_each(|(to, x)| *to = 4. * x);
            }
        }
        Planes {
            values,
            h,
            w,
            ..*self
        }
        .smooth()
    }
}

/// [1 4 6 4 1] / 16 around `i` of `n` values.
fn taps(i: usize, n: usize, at: impl Fn(usize) -> Option<f64>) -> f64 {
    let get = |offset: usize| {
        // `offset` is 2 more than it means, so that no number is negative.
        let j = if i + offset < 2 {
            2 - i - offset
        } else {
            i + offset - 2
        };
        let j = if j >= n { 2 * (n - 1) - j } else { j };
        at(j).unwrap_or(0.)
    };
    (get(0) + get(4) + 4. * (get(1) + get(3)) + 6. * get(2)) / 16.
}
