//! Patches as rows of numbers, and their projections.

use super::pyramid::Planes;
use candle_core::{Device, Result, Tensor, bail};

/// Side of a patch.
pub(super) const PATCH: usize = 7;

/// Appends the patches of a level, one after the other.
pub(super) fn cut(planes: &Planes, positions: &[[usize; 3]], values: &mut Vec<f64>) -> Result<()> {
    let Planes { n, c, h, w, .. } = *planes;
    values.reserve(positions.len() * c * PATCH * PATCH);
    for &[i, y, x] in positions {
        if i >= n || y + PATCH > h || x + PATCH > w {
            bail!("a patch at row {y}, column {x} of picture {i} lies outside [{n}, {c}, {h}, {w}]")
        }
        for channel in 0..c {
            let rows = (0..PATCH).map(|dy| ((i * c + channel) * h + y + dy) * w + x);
            for start in rows {
                values.extend(planes.values.iter().skip(start).take(PATCH));
            }
        }
    }
    Ok(())
}

/// Brings each channel of all patches to mean 0 and deviation 1.
pub(super) fn normalise(values: &mut [f64], c: usize) {
    let area = PATCH * PATCH;
    let count = values.len() / (c * area).max(1);
    for channel in 0..c {
        let each = |values: &[f64], f: &dyn Fn(f64) -> f64| -> f64 {
            let patches = values.chunks_exact(c * area);
            let sum: f64 = patches
                .map(|patch| {
                    patch
                        .iter()
                        .skip(channel * area)
                        .take(area)
                        .map(|&x| f(x))
                        .sum::<f64>()
                })
                .sum();
            sum / (count * area) as f64
        };
        let mean = each(values, &|x| x);
        let deviation = each(values, &|x| (x - mean) * (x - mean)).sqrt();
        // Pictures without any variation have descriptors of 0.
        let scale = if deviation > 0. { 1. / deviation } else { 0. };
        for patch in values.chunks_exact_mut(c * area) {
            for x in patch.iter_mut().skip(channel * area).take(area) {
                *x = (*x - mean) * scale;
            }
        }
    }
}

/// Descriptors `[m, width]` along each of the directions `[k, width]`, sorted: k rows of m values.
pub(super) fn projections(
    descriptors: &[f64],
    directions: &[f64],
    width: usize,
) -> Result<Vec<Vec<f64>>> {
    let unit: Vec<f64> = directions
        .chunks_exact(width)
        .flat_map(|direction| {
            let length = direction.iter().map(|x| x * x).sum::<f64>().sqrt();
            direction.iter().map(move |x| x / length)
        })
        .collect();
    let matrix =
        |values: &[f64]| Tensor::from_slice(values, (values.len() / width, width), &Device::Cpu);
    let mut rows = matrix(&unit)?
        .matmul(&matrix(descriptors)?.t()?)?
        .to_vec2::<f64>()?;
    rows.iter_mut()
        .for_each(|row| row.sort_unstable_by(f64::total_cmp));
    Ok(rows)
}

/// Mean |a − b|.
pub(super) fn gap(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    let count: usize = a.iter().map(Vec::len).sum();
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    pairs.map(|(a, b)| (a - b).abs()).sum::<f64>() / count as f64
}
