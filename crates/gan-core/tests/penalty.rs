//! The whole gradient penalty through critics shaped as WGAN-GP's and ProGAN's, against central
//! differences in f64.

#![allow(clippy::unwrap_used, missing_docs)]

use candle_core::{DType, Device, Result, Tensor, Var};
use gan_core::loss::gradient_penalty;
use gan_core::rng::{Key, normals};
use gan_kernels::act::{Act, leaky_relu};
use gan_kernels::conv::{Conv2d, conv2d};
use gan_kernels::linear::{linear, linear_act};
use gan_kernels::norm::{layer_norm, minibatch_stddev};
use gan_kernels::pool2d::avg_pool2d;
use gan_kernels::tape;

const SLOPE: Act = Act::LeakyRelu(0.2);

/// Weights in f64, made on first use and found again by their number.
struct Weights(Vec<Var>);

impl Weights {
    fn new(shapes: &[&[usize]]) -> Self {
        let weight = |(i, shape): (usize, &&[usize])| {
            let values = normals(Key::new(3, "w", i as u64, 0), 0, shape.iter().product());
            let values: Vec<f64> = values.into_iter().map(|x| f64::from(x) * 0.5).collect();
            Var::from_vec(values, *shape, &Device::Cpu).unwrap()
        };
        Self(shapes.iter().enumerate().map(weight).collect())
    }
}

fn half() -> Conv2d {
    Conv2d {
        stride: 2,
        padding: 1,
        ..Default::default()
    }
}

/// Convolutions of stride 2, layer norm with LeakyReLU in the same node, a convolution to one score.
fn wgan_gp(w: &[Var], x: &Tensor) -> Result<Tensor> {
    let h = leaky_relu(&conv2d(x, &w[0], None, &half())?, 0.2)?; // [b, 3, 4, 4]
    let h = conv2d(&h, &w[1], None, &half())?; // [b, 4, 2, 2]
    let h = layer_norm(&h, Some((&w[2], &w[3])), 1e-5, SLOPE)?;
    conv2d(&h, &w[4], None, &Conv2d::default())?.flatten_from(1)
}

/// Equalised learning rate, a fade between two resolutions, pooling, the minibatch deviation, dense layers.
fn progan(w: &[Var], x: &Tensor) -> Result<Tensor> {
    let gained = |k: usize, padding: usize| Conv2d {
        padding,
        gain: (2. / k as f64).sqrt(),
        act: SLOPE,
        ..Default::default()
    };
    let high = conv2d(x, &w[0], Some(&w[1]), &gained(2, 0))?; // from_rgb, [b, 3, 6, 6]
    let high = conv2d(&high, &w[2], Some(&w[3]), &gained(27, 1))?;
    let high = avg_pool2d(&high, (2, 2), (2, 2))?; // [b, 3, 3, 3]
    let low = conv2d(
        &avg_pool2d(x, (2, 2), (2, 2))?,
        &w[0],
        Some(&w[1]),
        &gained(2, 0),
    )?;
    let h = ((low * 0.3)? + (high * 0.7)?)?;
    let h = minibatch_stddev(&h, 2, 1e-8)?; // [b, 4, 3, 3]
    let h = conv2d(&h, &w[4], Some(&w[5]), &gained(36, 1))?.flatten_from(1)?;
    let h = linear_act(&h, &w[6], Some(&w[7]), 0.5, SLOPE)?;
    linear(&h, &w[8], Some(&w[9]), 0.6)
}

fn check(critic: fn(&[Var], &Tensor) -> Result<Tensor>, shapes: &[&[usize]], x: [usize; 4]) {
    let Weights(weights) = Weights::new(shapes);
    let n = x.iter().product();
    let x = Tensor::from_vec(normals(Key::new(4, "x", 0, 0), 0, n), &x[..], &Device::Cpu).unwrap();
    let x = x.to_dtype(DType::F64).unwrap();
    // The penalty as it stands in a critic's loss: beside scores that have first derivatives.
    let loss = || {
        let (gp, _) = gradient_penalty(|x| critic(&weights, x), &x)?;
        (gp * 10.)? + critic(&weights, &x)?.mean_all()?
    };
    let gradients = loss().unwrap().backward().unwrap();
    // As a step computes it: scores recorded, the penalty beside them not.
    let recorded = tape::backward(&tape::record(loss).unwrap()).unwrap();
    for var in &weights {
        let [a, b] = [&gradients, &recorded].map(|store| {
            let gradient = store.get(var).map(|g| g.flatten_all().unwrap());
            gradient.map(|g| g.to_vec1::<f64>().unwrap())
        });
        let (a, b) = (a.unwrap_or_default(), b.unwrap_or_default());
        let size = a.iter().fold(0f64, |m, x| m.max(x.abs()));
        assert_eq!(a.len(), b.len());
        assert!(a.iter().zip(&b).all(|(x, y)| (x - y).abs() <= 1e-13 * size));
    }
    for (i, var) in weights.iter().enumerate() {
        let gradient = gradients
            .get(var)
            .map(|g| g.flatten_all().unwrap().to_vec1::<f64>().unwrap());
        let gradient = gradient.unwrap_or_else(|| vec![0.; var.elem_count()]);
        let start = var.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let (mut difference, mut size) = (0f64, 0f64);
        for k in 0..start.len() {
            let at = |h: f64| {
                let mut values = start.clone();
                values[k] += h;
                let moved = Tensor::from_vec(values, var.shape(), &Device::Cpu).unwrap();
                var.set(&moved).unwrap();
                loss().unwrap().to_scalar::<f64>().unwrap()
            };
            let fd = (at(1e-5) - at(-1e-5)) / 2e-5;
            difference = difference.max((fd - gradient[k]).abs());
            size = size.max(fd.abs());
        }
        var.set(&Tensor::from_vec(start, var.shape(), &Device::Cpu).unwrap())
            .unwrap();
        assert!(
            difference <= 1e-6 * size.max(1e-3),
            "weight {i} {:?}: {difference} of {size}",
            var.dims()
        );
    }
}

#[test]
fn through_a_critic_as_wgan_gp_has_it() {
    let shapes: [&[usize]; 5] = [&[3, 2, 4, 4], &[4, 3, 4, 4], &[4], &[4], &[1, 4, 2, 2]];
    check(wgan_gp, &shapes, [3, 2, 8, 8]);
    check(wgan_gp, &shapes, [1, 2, 9, 8]);
}

#[test]
fn through_a_critic_as_progan_has_it() {
    let shapes: [&[usize]; 10] = [
        &[3, 2, 1, 1],
        &[3],
        &[3, 3, 3, 3],
        &[3],
        &[3, 4, 3, 3],
        &[3],
        &[5, 27],
        &[5],
        &[1, 5],
        &[1],
    ];
    check(progan, &shapes, [4, 2, 6, 6]);
}
