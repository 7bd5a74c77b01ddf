//! The critic's parameters, and what the penalty is for.

#![allow(clippy::unwrap_used, missing_docs)]

use candle_core::{DType, Device, Result, Tensor};
use gan_core::data::{Data, Held};
use gan_core::nn::maps::Norm;
use gan_core::{Algorithm, Context, DataInfo, Iter, LiveSource, Net, Paper, Preset, Seen, init};
use gan_wgan_gp::{Config, Critic, Generator, WganGp};
use std::sync::Arc;

fn context(size: usize) -> Context {
    let data = DataInfo::unlabelled(3, size).of(64);
    Context::new(&Device::Cpu, 1, data, 1)
}

#[test]
fn counts_and_no_running_statistics_in_the_critic() {
    let cx = context(64);
    let config = Config::preset(Preset::Paper, &cx.data);
    let d = Net::new(&cx, "d", init::convolutions_normal, |vb| {
        Critic::new(Norm::Layer, &config.critic(), vb)
    });
    let g = Net::new(&cx, "g", init::convolutions_normal, |vb| {
        Generator::new(config.z_dim, &config.generator(), vb)
    });
    let (d, g) = (d.unwrap(), g.unwrap());
    // A gain and an offset a channel, as batch norm has them.
    assert_eq!(d.params.count(), 2_765_568);
    assert_eq!(d.params.all().len(), d.params.trainable().len());
    assert_eq!(g.params.count(), 3_576_704);
}

/// The mean norm of the critic's gradient at the interpolates, over the last iterations of a short training.
fn norm(lambda_gp: f64) -> Result<f32> {
    let cx = context(16);
    // Smooth pictures of different colours.
    let bytes = (0..cx.data.len * cx.data.pixels()).map(|i| {
        let (picture, place) = (i / cx.data.pixels(), i % cx.data.pixels());
        ((picture * 37) % 200 + place % 16 * 3) as u8
    });
    let pictures = Held::new(cx.data.clone(), bytes.collect(), None);
    let data = Data::one(Arc::new(pictures.map_err(candle_core::Error::msg)?));
    let config = Config {
        lambda_gp,
        lr: 1e-3,
        ..Config::preset(Preset::Smoke, &cx.data)
    };
    let mut gan = WganGp::new(&config, &cx)?;
    let mut source = LiveSource::new(&data, 1, &cx.device);
    let mut seen = Seen::default();
    let mut norms = Vec::new();
    for t in 0..60 {
        gan.step(&mut Iter::new(t, &mut source, &mut seen))?;
        let norm = seen
            .scalars
            .iter()
            .find(|(name, _)| name == "gradient_norm");
        if let (Some((_, norm)), true) = (norm, t >= 50) {
            norms.push(norm.to_dtype(DType::F32)?.to_scalar::<f32>()?);
        }
    }
    Ok(norms.iter().sum::<f32>() / norms.len() as f32)
}

#[test]
fn the_penalty_keeps_the_gradient_near_one_and_without_it_it_leaves() {
    let (free, kept) = (norm(0.).unwrap(), norm(10.).unwrap());
    println!("gradient norm: {free} without a penalty, {kept} with λ = 10");
    assert!(!(0.5..=2.).contains(&free), "{free} without a penalty");
    assert!((0.5..=2.).contains(&kept), "{kept} with λ = 10");
}

/// The penalty by hand: a critic w·x has the gradient w everywhere.
#[test]
fn the_penalty_of_a_linear_critic_is_known() {
    let w = Tensor::new(&[3f32, 4.], &Device::Cpu).unwrap();
    let x_hat = Tensor::zeros((5, 2), DType::F32, &Device::Cpu).unwrap();
    let (gp, norms) =
        gan_core::loss::gradient_penalty(|x| x.broadcast_mul(&w)?.sum(1), &x_hat).unwrap();
    assert!((gp.to_scalar::<f32>().unwrap() - 16.).abs() < 1e-4);
    assert_eq!(norms.to_vec1::<f32>().unwrap(), [5.; 5]);
}
