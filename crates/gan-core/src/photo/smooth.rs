//! A photograph enlarged by MATLAB's bicubic filter: what a generator has to be better than.

use super::{Form, Photo};
use crate::data::bicubic::taps;

/// What the bicubic filter makes of a photograph; its rows are made when they are asked for.
pub struct Smooth<'p> {
    photo: &'p Photo,
    scale: usize,
    /// For each new column, the old ones and their weights.
    columns: Vec<Vec<(usize, f64)>>,
}

impl<'p> Smooth<'p> {
    /// A photograph so many times as large; as it is, where that is once.
    pub fn new(photo: &'p Photo, scale: usize) -> Self {
        let columns = 0..photo.form.width * scale;
        let columns = columns.map(|i| taps(photo.form.width, scale as f64, i));
        Self {
            photo,
            scale,
            columns: columns.collect(),
        }
    }

    /// How large it is, and of which kind.
    pub fn form(&self) -> Form {
        self.photo.form.times(self.scale)
    }

    /// Rows `from` to `to` of it; those outside are left out.
    pub fn rows(&self, from: usize, to: usize) -> Vec<u8> {
        let to = to.min(self.form().height);
        let mut bytes = Vec::with_capacity(to.saturating_sub(from) * self.form().row());
        (from..to).for_each(|y| self.row(y, &mut bytes));
        bytes
    }

    /// Appends a row. What is transparent is filtered as it looks on black, and its opacity by itself.
    fn row(&self, y: usize, bytes: &mut Vec<u8>) {
        let Form {
            height,
            width,
            kind,
        } = self.photo.form;
        let (values, most) = (kind.values(), f64::from(kind.most()));
        let mut filtered = vec![0f64; width * values];
        for (y, weight) in taps(height, self.scale as f64, y) {
            let row = self.photo.row(y);
            for (x, sums) in filtered.chunks_exact_mut(values).enumerate() {
                let value = |i| f64::from(kind.value(row, x * values + i));
                let share = match kind.alpha {
                    true => weight * value(kind.channels) / most,
                    false => weight,
                };
                for (i, sum) in sums.iter_mut().enumerate() {
                    let share = if i < kind.channels { share } else { weight };
                    *sum += share * value(i);
                }
            }
        }
        let whole = |x: f64| (x + 0.5).floor().clamp(0., most);
        let mut pixel = vec![0f64; values];
        for taps in &self.columns {
            pixel.fill(0.);
            for &(x, weight) in taps {
                let old = filtered.iter().skip(x * values);
                pixel
                    .iter_mut()
                    .zip(old)
                    .for_each(|(sum, x)| *sum += weight * x);
            }
            let opaque = match kind.alpha {
                true => pixel.last().copied().unwrap_or(most),
                false => most,
            };
            for &colour in pixel.iter().take(kind.channels) {
                let value = match whole(opaque) {
                    0. => 0.,
                    _ => whole(colour * most / opaque.min(most)),
                };
                kind.push(bytes, value as u16);
            }
            if kind.alpha {
                kind.push(bytes, whole(opaque) as u16);
            }
        }
    }
}
