//! Initial values. Each paper states its own; a rule maps a variable to the law it is drawn from.

use crate::rng::{self, Key};
use candle_core::{Result, Shape, bail};
use candle_nn::Init;

/// What each layer asks for itself; for those of [`crate::nn`] that is PyTorch's default.
pub fn as_layers(_: &str, _: &Shape, hint: Init) -> Init {
    hint
}

/// Kernels of convolutions from N(0, .02²), as Radford et al. 2015 (section 4) start them; the rest as
/// the layers ask for it themselves.
pub fn convolutions_normal(_: &str, shape: &Shape, hint: Init) -> Init {
    match shape.rank() {
        4 => Init::Randn {
            mean: 0.,
            stdev: 0.02,
        },
        _ => hint,
    }
}

/// Kernels of convolutions from N(0, .02²), offsets 0; the rest as the layers ask for it themselves.
pub fn convolutions_normal_offsets_zero(key: &str, shape: &Shape, hint: Init) -> Init {
    match key.rsplit('.').next() {
        Some("bias") => Init::Const(0.),
        _ => convolutions_normal(key, shape, hint),
    }
}

/// The values of one variable, a pure function of its key.
pub(crate) fn values(init: Init, shape: &Shape, key: Key) -> Result<Vec<f32>> {
    let n = shape.elem_count();
    let scaled = |values: Vec<f32>, scale: f64, shift: f64| {
        values
            .into_iter()
            .map(|x| (f64::from(x) * scale + shift) as f32)
            .collect()
    };
    Ok(match init {
        Init::Const(c) => vec![c as f32; n],
        Init::Randn { mean, stdev } => scaled(rng::normals(key, 0, n), stdev, mean),
        Init::Uniform { lo, up } => scaled(rng::uniforms(key, 0, n), up - lo, lo),
        Init::Kaiming {
            dist: candle_nn::init::NormalOrUniform::Normal,
            fan,
            non_linearity,
        } => {
            let stdev = non_linearity.gain() / (fan.for_shape(shape) as f64).sqrt();
            scaled(rng::normals(key, 0, n), stdev, 0.)
        }
        Init::Kaiming { .. } => bail!("name the bounds of a uniform init"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_nn::init::DEFAULT_KAIMING_NORMAL;

    #[test]
    fn values_follow_their_law() -> Result<()> {
        let shape = Shape::from((64, 16, 3, 3));
        let key = Key::new(1, "d.main.0.weight", 0, 0);
        let moments = |init| {
            let values = values(init, &shape, key)?;
            let n = values.len() as f32;
            let mean = values.iter().sum::<f32>() / n;
            let deviation = (values.iter().map(|x| x * x).sum::<f32>() / n - mean * mean).sqrt();
            candle_core::Result::Ok((mean, deviation))
        };
        let near = |(a, b): (f32, f32), (c, d): (f32, f32)| {
            assert!(
                (a - c).abs() < 0.02 && (b - d).abs() < 0.02,
                "{a} {b}, expected {c} {d}"
            );
        };
        near(moments(Init::Uniform { lo: 1., up: 2. })?, (1.5, 0.289));
        near(
            moments(Init::Randn {
                mean: 1.,
                stdev: 0.5,
            })?,
            (1., 0.5),
        );
        near(moments(DEFAULT_KAIMING_NORMAL)?, (0., (2f32 / 144.).sqrt()));
        near(moments(Init::Const(3.))?, (3., 0.));
        Ok(())
    }
}
