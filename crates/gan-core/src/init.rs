//! Initial values. Each paper states its own; a rule maps a variable to the law it is drawn from.

use crate::rng::{self, Key};
use candle_core::{Result, Shape, bail};
use candle_nn::Init;

/// PyTorch's default for linear and convolution layers: weight and bias from U(−1/√fan_in, 1/√fan_in).
///
/// A layer's bias comes with that law as its own hint; everything else keeps the layer's hint.
pub fn torch(key: &str, shape: &Shape, hint: Init) -> Init {
    match (key.rsplit('.').next(), shape.dims()) {
        (Some("weight"), [_, rest @ ..]) if !rest.is_empty() => {
            let bound = 1. / (rest.iter().product::<usize>() as f64).sqrt();
            Init::Uniform {
                lo: -bound,
                up: bound,
            }
        }
        _ => hint,
    }
}

/// What each layer asks for itself.
pub fn as_layers(_: &str, _: &Shape, hint: Init) -> Init {
    hint
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

    #[test]
    fn torch_bounds_are_one_over_the_root_of_fan_in() -> Result<()> {
        let shape = Shape::from((64, 16, 3, 3));
        let init = torch("main.0.weight", &shape, Init::Const(0.));
        let values = values(init, &shape, Key::new(1, "d.main.0.weight", 0, 0))?;
        let bound = 1. / 12.; // fan_in = 16·3·3 = 144
        let largest = values.iter().fold(0f32, |m, x| m.max(x.abs()));
        assert!(largest <= bound && largest > 0.99 * bound);
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        assert!(mean.abs() < 0.003);
        assert!(matches!(
            torch("main.0.bias", &Shape::from(64), Init::Const(3.)),
            Init::Const(c) if c == 3.
        ));
        Ok(())
    }
}
