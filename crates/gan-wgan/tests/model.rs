//! The critic's parameters, and what the Wasserstein distance is for.

#![allow(clippy::unwrap_used, missing_docs)]

use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::{Init, VarBuilder};
use gan_core::loss::bce_with_logits;
use gan_core::nn::{Linear, Mode, leaky_relu, linear, maps::Norm};
use gan_core::{Context, DataInfo, Net, Optimizer, Paper, Preset, Rule, init};
use gan_wgan::{Config, Critic, Generator};

fn context() -> Context {
    let data = DataInfo::unlabelled(3, 64);
    Context::new(&Device::Cpu, 1, data, 1)
}

/// DCGAN's networks without the sigmoid: the same counts.
#[test]
fn counts_are_those_of_the_networks_without_a_sigmoid() {
    let cx = context();
    let config = Config::preset(Preset::Paper, &cx.data);
    let d = Net::new(&cx, "d", init::convolutions_normal, |vb| {
        Critic::new(Norm::Batch, &config.critic(), vb)
    });
    let g = Net::new(&cx, "g", init::convolutions_normal, |vb| {
        Generator::new(config.z_dim, &config.generator(), vb)
    });
    let (d, g) = (d.unwrap(), g.unwrap());
    assert_eq!(d.params.count(), 2_765_568);
    assert_eq!(g.params.count(), 3_576_704);

    // The clip reaches parameters, norms included, and no running statistics.
    let x = Tensor::ones((2, 3, 64, 64), DType::F32, &Device::Cpu).unwrap();
    d.live.forward(&x, Mode::Train).unwrap();
    let buffers = |name: &str| {
        let all = d.params.all().into_iter();
        all.filter(|(key, _)| key.ends_with(name))
            .flat_map(|(_, v)| v.flatten_all().unwrap().to_vec1::<f32>().unwrap())
            .collect::<Vec<_>>()
    };
    let before = buffers("running_var");
    d.params.clip(0.01).unwrap();
    assert_eq!(buffers("running_var"), before);
    assert!(before.iter().any(|v| *v > 0.5));
    for (key, var) in d.params.trainable() {
        let most = var.abs().unwrap().max_all().unwrap();
        assert!(most.to_scalar::<f32>().unwrap() <= 0.01, "{key}");
    }
    assert!(buffers("3.weight").iter().all(|&gain| gain == 0.01));
}

/// A small judge of points in two dimensions.
struct Judge(Linear, Linear);

impl Judge {
    fn new(vb: VarBuilder<'_>) -> Result<Self> {
        Ok(Self(linear(2, 32, vb.pp("a"))?, linear(32, 1, vb.pp("b"))?))
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.1.forward(&leaky_relu(&self.0.forward(x)?, 0.2)?)
    }
}

/// The gradient that a judge hands to a generator whose samples are all `at`, while the data are all 1:
/// two far-apart points, so the supports do not overlap. The judge is trained well first.
fn gradient(
    rounds: usize,
    clip: Option<f64>,
    judge_loss: impl Fn(&Tensor, &Tensor) -> Result<Tensor>,
    generator_loss: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<f32> {
    let cx = context();
    let d = Net::new(&cx, "d", |_, _, hint: Init| hint, Judge::new)?;
    let mut opt = Optimizer::new(Rule::adam(0.5, 0.9), 1e-2, &[&d.params])?;
    let real = Tensor::ones((16, 2), DType::F32, &cx.device)?;
    let fake = Var::from_tensor(&real.affine(-1., 0.)?)?;
    for _ in 0..rounds {
        let loss = judge_loss(
            &d.live.forward(&real)?,
            &d.live.forward(&fake.as_detached_tensor())?,
        )?;
        opt.step(&loss)?;
        if let Some(c) = clip {
            d.params.clip(c)?;
        }
    }
    // The generator's own step, one without momentum, at rate 1: what it moves its samples by is the gradient.
    let before = fake.copy()?.detach();
    let loss = generator_loss(&d.frozen.forward(fake.as_tensor())?)?;
    let step = loss.backward()?;
    let Some(gradient) = step.get(&fake) else {
        candle_core::bail!("no gradient")
    };
    assert_eq!(before.dims(), gradient.dims());
    gradient
        .affine(16., 0.)?
        .sqr()?
        .sum(1)?
        .mean_all()?
        .sqrt()?
        .to_scalar()
}

/// The original GAN's minimax loss ln(1 − D(G(z))) has a gradient that dies as D gets better; the
/// Wasserstein critic's stays what it was.
#[test]
fn the_minimax_gradient_vanishes_under_a_good_d_and_the_wasserstein_gradient_does_not() {
    let minimax = |rounds| {
        let d_loss =
            |real: &Tensor, fake: &Tensor| bce_with_logits(real, 1.)? + bce_with_logits(fake, 0.)?;
        let g_loss = |fake: &Tensor| bce_with_logits(fake, 0.)?.neg();
        gradient(rounds, None, d_loss, g_loss).unwrap()
    };
    let wasserstein = |rounds| {
        let d_loss = |real: &Tensor, fake: &Tensor| fake.mean_all()? - real.mean_all()?;
        let g_loss = |fake: &Tensor| fake.mean_all()?.neg();
        gradient(rounds, Some(0.1), d_loss, g_loss).unwrap()
    };
    let (early, late) = (minimax(1), minimax(1000));
    println!("minimax: {early} after 1 step of D, {late} after 1000");
    assert!(early > 0.05 && late < 1e-3 * early, "{early}, then {late}");
    let (early, late) = (wasserstein(100), wasserstein(1000));
    println!("wasserstein: {early} after 100 steps of the critic, {late} after 1000");
    assert!(
        late > 0.1 && (late / early - 1.).abs() < 0.2,
        "{early}, then {late}"
    );
}
