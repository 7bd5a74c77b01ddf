//! The affine map of a fully connected layer, differentiable any number of times.
//!
//! It is a convolution whose kernel covers its 1 x 1 input, so it is the same three ops: products
//! of matrices read in place, whatever their orientation.

use crate::act::Act;
use crate::conv::{Op, check_types};
use candle_core::{Result, Tensor, bail};

/// `y = gain * x weightᵀ + bias`.
///
/// x `[..., in]`, weight `[out, in]`, bias `[out]`; y `[..., out]`. The gain is a factor of the
/// weights alone (equalised learning rate).
///
/// Errors: shapes that do not fit, an empty tensor, a type other than float32 and float64.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, gain: f64) -> Result<Tensor> {
    linear_act(x, weight, bias, gain, Act::None)
}

/// `y = act(gain * x weightᵀ + bias)` in one node; otherwise as [`linear`].
pub fn linear_act(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    gain: f64,
    act: Act,
) -> Result<Tensor> {
    let (&[out, inputs], Some((&last, leading))) = (weight.dims(), x.dims().split_last()) else {
        bail!(
            "linear: expected input [..., in] and weight [out, in], got {:?} and {:?}",
            x.shape(),
            weight.shape()
        )
    };
    if last != inputs {
        bail!(
            "linear: input {:?} does not fit weight {:?}",
            x.shape(),
            weight.shape()
        )
    }
    if x.elem_count() == 0 || out == 0 {
        bail!(
            "linear: empty input {:?} or weight {:?}",
            x.shape(),
            weight.shape()
        )
    }
    if let Some(b) = bias
        && b.dims() != [out]
    {
        bail!(
            "linear: bias {:?} does not fit weight {:?}",
            b.shape(),
            weight.shape()
        )
    }
    check_types("linear", x, weight, bias)?;
    let rows: usize = leading.iter().product();
    let flat = if leading.len() == 1 {
        x.clone()
    } else {
        x.reshape((rows, inputs))?
    };
    let y = if x.device().is_cpu() {
        Op::linear(rows, inputs, out, gain).apply_with(&flat, weight, bias, act)?
    } else {
        let weight = if gain == 1.0 {
            weight.clone()
        } else {
            (weight * gain)?
        };
        // A GPU's product takes no other views than the transpose of a matrix.
        let y = flat.contiguous()?.matmul(&weight.contiguous()?.t()?)?;
        act.apply(&match bias {
            Some(b) => y.broadcast_add(b)?,
            None => y,
        })?
    };
    if leading.len() == 1 {
        return Ok(y);
    }
    let mut dims = leading.to_vec();
    dims.push(out);
    y.reshape(dims)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::par::testing::with_threads;
    use crate::simd::{Level, best, force};
    use crate::testing::{Rng, error, first_order, numbers, second_order};
    use candle_core::{DType, Device};

    #[test]
    fn finite_differences() -> Result<()> {
        let mut rng = Rng(1);
        for (dims, inputs, out) in [
            (vec![3], 4, 5),
            (vec![1], 3, 1),
            (vec![2, 3], 2, 4),
            (vec![], 3, 2),
        ] {
            let mut shape = dims.clone();
            shape.push(inputs);
            let x = rng.tensor(&shape)?;
            let (w, b) = (rng.tensor(&[out, inputs])?, rng.tensor(&[out])?);
            let all = [x, w, b];
            let f = |v: &[Tensor]| linear(&v[0], &v[1], Some(&v[2]), 0.6);
            assert!(first_order(&all, &f)? < 1e-8);
            assert!(second_order(&all, &f)? < 1e-7);
        }
        let all = [
            rng.tensor(&[3, 4])?,
            rng.tensor(&[5, 4])?,
            rng.tensor(&[5])?,
        ];
        for act in [Act::Relu, Act::LeakyRelu(0.2)] {
            let f = |v: &[Tensor]| linear_act(&v[0], &v[1], Some(&v[2]), 0.6, act);
            assert!(first_order(&all, &f)? < 1e-8);
            assert!(second_order(&all, &f)? < 1e-7);
        }
        // Views, the input used twice, a weight that is a transposed view.
        let (x, w) = (rng.tensor(&[4, 3])?, rng.tensor(&[4, 2])?);
        let f = |v: &[Tensor]| {
            let a = linear(&v[0].t()?, &v[1].t()?, None, 1.0)?; // [3, 2]
            let b = linear(
                &v[0].narrow(0, 1, 2)?.t()?,
                &v[1].narrow(0, 0, 2)?,
                None,
                1.0,
            )?;
            a * b
        };
        assert!(first_order(&[x.clone(), w.clone()], &f)? < 1e-8);
        assert!(second_order(&[x, w], &f)? < 1e-6);
        Ok(())
    }

    #[test]
    fn float32_agrees_with_float64_at_every_level_and_thread_count() -> Result<()> {
        let mut rng = Rng(2);
        for (n, inputs, out) in [
            (32, 784, 128),
            (32, 128, 1),
            (1, 7, 5),
            (100, 240, 50),
            (256, 300, 700),
        ] {
            let x = rng.tensor(&[n, inputs])?;
            let (w, b) = (rng.tensor(&[out, inputs])?, rng.tensor(&[out])?);
            let wide = numbers(&linear(&x, &w, Some(&b), 0.5)?)?;
            let (x, w, b) = (
                x.to_dtype(DType::F32)?,
                w.to_dtype(DType::F32)?,
                b.to_dtype(DType::F32)?,
            );
            let run = || numbers(&linear(&x, &w, Some(&b), 0.5)?);
            let first = run()?;
            for level in [Level::Portable, Level::Avx2, Level::Avx512] {
                if level <= best() {
                    assert!(error(&force(level, run)??, &wide) < 2e-6);
                }
            }
            // Products too small to be shared are one thread's.
            let several: &[usize] = if n * inputs * out > 1 << 17 {
                &[2, 8]
            } else {
                &[]
            };
            for &threads in [1].iter().chain(several) {
                let again = with_threads(threads, run)?;
                assert!(again == first, "{n} {inputs} {out}: {threads} threads");
            }
        }
        Ok(())
    }

    #[test]
    fn wrong_shapes_are_errors_that_name_them() -> Result<()> {
        let t = |d: &[usize]| Tensor::zeros(d, DType::F32, &Device::Cpu);
        for (x, w) in [
            (t(&[2, 3])?, t(&[4, 2])?),
            (t(&[0, 2])?, t(&[4, 2])?),
            (t(&[2, 2])?, t(&[4, 2, 1])?),
        ] {
            let m = linear(&x, &w, None, 1.0)
                .err()
                .map(|e| e.to_string())
                .unwrap_or_default();
            assert!(
                m.contains(&format!("{:?}", x.shape())) && m.contains(&format!("{:?}", w.shape()))
            );
        }
        assert!(linear(&t(&[2, 2])?, &t(&[4, 2])?, Some(&t(&[3])?), 1.0).is_err());
        Ok(())
    }
}
