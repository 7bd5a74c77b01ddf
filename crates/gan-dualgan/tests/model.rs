//! Parameter counts of the networks, what an iteration does to the critics, and how samples are made. The U-Net's
//! shapes, keys and files are tested beside pix2pix, which shares it.

#![allow(clippy::unwrap_used, missing_docs)]

use candle_core::{Device, Tensor};
use gan_core::data::{Data, Held};
use gan_core::nn::maps::Norm;
use gan_core::rng::CounterRng;
use gan_core::{
    Algorithm, Context, DataInfo, Draws, Iter, LiveSource, Net, Paper, Preset, Probe, Seen, Side,
    init, translate,
};
use gan_dualgan::{Config, DualGan, PatchDiscriminator, Unet};
use std::collections::BTreeMap;
use std::sync::Arc;

fn context() -> Context {
    let data = DataInfo::picture(3, 72, 68).of(5);
    Context::new(&Device::Cpu, 1, data, 1)
}

/// The smoke preset's networks, one level deeper: those of 32 pixels have none in which units are dropped.
fn smoke() -> Config {
    Config {
        size: 64,
        downs: 6,
        ..Config::preset(Preset::Smoke, &context().data)
    }
}

fn values(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

/// The counts of the reference's networks (256 px, RGB).
#[test]
fn counts_are_the_references() {
    let config = Config::preset(Preset::Paper, &context().data);
    let g = Net::new(&context(), "g", init::as_layers, |vb| {
        Unet::new(&config.generator(), config.dropout, vb)
    });
    assert_eq!(g.unwrap().params.count(), 54_413_955);
    let d = Net::new(&context(), "d_x", init::as_layers, |vb| {
        PatchDiscriminator::new(Norm::Batch, &config.critic(), vb)
    });
    assert_eq!(d.unwrap().params.count(), 2_765_633);
}

/// After an iteration every weight of a critic is within the bound, statistics are not clipped, and the losses are
/// the sums of their parts with the weights given.
#[test]
fn critics_are_clipped_and_losses_are_their_parts() {
    let config = Config {
        lambda_u: 3.,
        lambda_v: 7.,
        ..smoke()
    };
    let mut gan = DualGan::new(&config, &context()).unwrap();
    let side = |len: usize, tint: usize| {
        let info = context().data.of(len);
        let bytes = (0..len * info.pixels()).map(|i| (i * tint % 256) as u8);
        Arc::new(Held::new(info, bytes.collect(), None).unwrap())
    };
    let data = Data::apart(side(5, 11), side(3, 29));
    let (mut source, mut seen) = (LiveSource::new(&data, 1, &Device::Cpu), Seen::default());
    gan.step(&mut Iter::new(0, &mut source, &mut seen)).unwrap();
    let mut statistics = 0f32;
    for (name, part) in gan.parts() {
        let Some(params) = part.params().filter(|_| name.starts_with("d_")) else {
            continue;
        };
        for (key, var) in params.trainable() {
            let most = values(&var)
                .into_iter()
                .fold(0., |a: f32, b| a.max(b.abs()));
            assert!(most <= 0.01, "{name}.{key} has {most}");
        }
        let all = params.all().into_iter();
        let variances = all.filter(|(key, _)| key.ends_with("running_var"));
        statistics = variances
            .flat_map(|(_, var)| values(&var))
            .fold(statistics, f32::max);
    }
    assert!(
        statistics > 0.1,
        "running variances are {statistics} at most"
    );
    let read = |(name, value): &(String, Tensor)| (name.clone(), value.to_scalar().unwrap());
    let seen: BTreeMap<String, f32> = seen.scalars.iter().map(read).collect();
    let term = |name: &str| seen[&format!("loss/g/{name}")];
    let sum = 3. * term("rec_x") + 7. * term("rec_y") + term("gan_g") + term("gan_f");
    assert!((term("g") - sum).abs() < 1e-4 * sum.abs(), "{seen:?}");
    // The last update of each critic is the second of two.
    for d in ["d_x", "d_y"] {
        let loss = |term: &str| seen[&format!("loss/{d}1/{term}")];
        assert_eq!(seen[&format!("wasserstein/{d}")], -loss(d));
        assert_eq!(loss(d), loss("f_fake") - loss("f_real"));
    }
}

/// Dropout is the noise: two samples of a picture differ, and without it they do not.
#[test]
fn samples_drop_units() {
    for (sample_dropout, want) in [(true, false), (false, true)] {
        let config = Config {
            sample_dropout,
            ..smoke()
        };
        let gan = DualGan::new(&config, &context()).unwrap();
        let mut draws = CounterRng::new(1, &Device::Cpu);
        let x = draws.uniform("x", &[1, 3, 33, 50]).unwrap();
        let mut made = || {
            let probe = Probe::pictures(Side::B, x.clone());
            let columns = translate(&*gan.sampler(0), &probe, &mut draws).unwrap();
            assert_eq!(columns.get("cycled").unwrap().dims(), [1, 3, 33, 50]);
            values(columns.get("fake").unwrap())
        };
        assert_eq!(made() == made(), want);
    }
}

#[test]
fn settings_that_cannot_be_are_refused() {
    for (config, want) in [
        (
            Config {
                size: 96,
                ..smoke()
            },
            "size is 96, expected a multiple of 64",
        ),
        (
            Config {
                n_critic: 0,
                ..smoke()
            },
            "n_critic is 0, expected 1 to 16384",
        ),
        (
            Config {
                clip: 0.,
                ..smoke()
            },
            "clip is 0, expected a number above 0",
        ),
        (
            Config {
                downs: 4,
                ..smoke()
            },
            "downs is 4, expected 5 to 10",
        ),
        (
            Config {
                n_layers: 5,
                ..smoke()
            },
            "size is 64, too small for n_layers = 5: expected at least 96",
        ),
        (
            Config {
                channels: 1,
                ..smoke()
            },
            "channels is 1, but the data's pictures have 3",
        ),
    ] {
        let said = DualGan::new(&config, &context()).unwrap_err().to_string();
        assert_eq!(said.lines().next().unwrap(), want);
    }
}
