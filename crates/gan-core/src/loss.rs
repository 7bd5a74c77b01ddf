//! Losses that two or more papers use.

use candle_core::{Result, Tensor};

/// Binary cross-entropy of probabilities `p` in [0, 1] against one target, the mean over all:
/// −mean(y·ln p + (1−y)·ln(1−p)), each logarithm at least −100, as PyTorch's `BCELoss`.
///
/// First-order gradient only.
pub fn bce(p: &Tensor, y: f64) -> Result<Tensor> {
    let d = p.detach();
    let ln = |t: &Tensor| t.log()?.maximum(-100f64);
    let value = ((ln(&d)? * -y)? - (ln(&d.affine(-1., 1.)?)? * (1. - y))?)?.mean_all()?;
    // d/dp = (p − y)/(p(1−p)); the floor keeps a saturated p finite.
    let slope = (d.affine(1., -y)? / (&d * d.affine(-1., 1.)?)?.maximum(1e-12)?)?;
    with_slope(p, &value, &slope)
}

/// Binary cross-entropy of logits `x` against one target, the mean over all:
/// mean(max(x, 0) − x·y + ln(1 + e^−|x|)), finite for every finite x.
///
/// First-order gradient only.
pub fn bce_with_logits(x: &Tensor, y: f64) -> Result<Tensor> {
    let d = x.detach();
    let tail = (d.abs()?.neg()?.exp()? + 1.)?.log()?;
    let value = ((d.relu()? - (&d * y)?)? + tail)?.mean_all()?;
    let slope = (candle_nn::ops::sigmoid(&d)? - y)?;
    with_slope(x, &value, &slope)
}

/// `value`, whose gradient with respect to `x` is `slope / n`. candle's own derivatives of the
/// pieces are wrong or not finite where a logarithm saturates.
fn with_slope(x: &Tensor, value: &Tensor, slope: &Tensor) -> Result<Tensor> {
    let linear = (x * slope)?.mean_all()?;
    value + (&linear - linear.detach())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    fn check(x: &[f64], loss: fn(&Tensor, f64) -> Result<Tensor>, want: impl Fn(f64, f64) -> f64) {
        for y in [0., 1., 0.9] {
            let var = Var::from_tensor(&Tensor::new(x, &Device::Cpu).expect("x")).expect("var");
            let value = loss(&var, y).expect("loss");
            let n = x.len() as f64;
            let expected = x.iter().map(|&x| want(x, y)).sum::<f64>() / n;
            let got = value.to_scalar::<f64>().expect("a scalar");
            assert!(
                (got - expected).abs() < 1e-12 * expected.abs().max(1.),
                "{got} {expected}"
            );
            let grads = value.backward().expect("backward");
            let slope: Vec<f64> = grads.get(&var).expect("a gradient").to_vec1().expect("f64");
            for (i, &x) in x.iter().enumerate() {
                let h = 1e-6 * x.abs().clamp(1e-3, 1.);
                let fd = (want(x + h, y) - want(x - h, y)) / (2. * h) / n;
                assert!(
                    (slope[i] - fd).abs() < 1e-6 * fd.abs().max(1.),
                    "at {x}, {y}: {} {fd}",
                    slope[i]
                );
            }
        }
    }

    #[test]
    fn from_probabilities() {
        check(&[0.001, 0.2, 0.5, 0.7, 0.999], bce, |p, y| {
            -(y * p.ln() + (1. - y) * (1. - p).ln())
        });
    }

    #[test]
    fn from_logits() {
        check(&[-30., -2., 0.3, 1., 25.], bce_with_logits, |x, y| {
            x.max(0.) - x * y + (-x.abs()).exp().ln_1p()
        });
    }

    #[test]
    fn saturated_values_stay_finite() -> Result<()> {
        for (x, loss, largest) in [
            ([0f32, 1.], bce as fn(&Tensor, f64) -> Result<Tensor>, 100.),
            ([-300., 300.], bce_with_logits, 300.),
        ] {
            for y in [0., 1.] {
                let var = Var::new(&x, &Device::Cpu)?;
                let value = loss(&var, y)?;
                assert_eq!(value.to_scalar::<f32>()?, largest / 2.);
                let grads = value.backward()?;
                let slope = grads.get(&var).map(|g| g.to_vec1::<f32>()).transpose()?;
                assert!(slope.is_some_and(|slope| slope.iter().all(|g| g.is_finite())));
            }
        }
        Ok(())
    }
}
