//! The relativistic average loss (Wang et al. 2018, section 3.2; Jolicoeur-Martineau 2018).

use candle_core::{Result, Tensor};
use gan_core::loss::bce_with_logits;

/// C(a) − E C(b): how much more real each of a is than those of b are in the mean; `[n]` of scores `[n]` and `[m]`.
/// Its sigmoid is D_Ra(a, b) (equation 1).
pub fn relative(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    a.broadcast_sub(&b.mean_all()?)
}

/// −E ln D_Ra(a, b) − E ln(1 − D_Ra(b, a)) of scores `[n]`, `[m]`: small where those of a are judged more real than
/// those of b are in the mean, and those of b less.
///
/// With a real and b fake it is D's loss, with a fake and b real G's (equations 1 and 2): both terms and both means
/// have gradients.
pub fn relativistic_average(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    bce_with_logits(&relative(a, b)?, 1.)? + bce_with_logits(&relative(b, a)?, 0.)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    /// G learns from what is real, too: the real term of its loss depends on the fakes through E C(x_f). That of the
    /// standard loss does not.
    #[test]
    fn the_real_term_of_gs_loss_has_a_gradient_for_the_fakes() -> Result<()> {
        let real = Tensor::new(&[0.3f32, -0.8, 1.1], &Device::Cpu)?;
        let fake = Var::new(&[-0.2f32, 0.6, 0.1], &Device::Cpu)?;
        // −E ln(1 − D_Ra(x_r, x_f))
        let term = bce_with_logits(&relative(&real, &fake)?, 0.)?;
        let gradient = term.backward()?.get(&fake).map(Tensor::to_vec1::<f32>);
        let gradient = gradient.transpose()?.expect("a gradient");
        // d/dC(x_f,j) = −(1/m)·E σ(C(x_r) − E C(x_f)), the same for each fake.
        let mean = (-0.2 + 0.6 + 0.1) / 3.;
        let sigmoid = |x: f32| 1. / (1. + (-x).exp());
        let share: f32 = [0.3, -0.8, 1.1]
            .map(|c: f32| sigmoid(c - mean))
            .iter()
            .sum();
        for g in &gradient {
            assert!((g + share / 9.).abs() < 1e-6, "{gradient:?}");
        }
        let standard = bce_with_logits(&real, 0.)?;
        assert!(standard.backward()?.get(&fake).is_none());
        Ok(())
    }

    #[test]
    fn each_side_is_judged_against_the_mean_of_the_other() -> Result<()> {
        let (a, b) = ([0.3f32, -0.8, 1.1], [2f32, -1.]);
        let tensor = |x: &[f32]| Tensor::new(x, &Device::Cpu);
        let loss = relativistic_average(&tensor(&a)?, &tensor(&b)?)?.to_scalar::<f32>()?;
        let mean = |x: &[f32]| x.iter().sum::<f32>() / x.len() as f32;
        let ln_sigmoid = |x: f32| -(1. + (-x).exp()).ln();
        let of_a = a.map(|x| -ln_sigmoid(x - mean(&b)));
        let of_b = b.map(|x| -ln_sigmoid(mean(&a) - x));
        assert!((loss - mean(&of_a) - mean(&of_b)).abs() < 1e-6, "{loss}");
        Ok(())
    }
}
