//! Sizes of D, what each stage trains and at which rate, and what settings are refused.

#![allow(clippy::unwrap_used, missing_docs)]

use candle_core::{Device, Tensor};
use gan_core::data::{Data, Held};
use gan_core::{
    Algorithm, Context, DataInfo, Iter, Length, LiveSource, Net, Paper, Preset, Seen, Tally, init,
};
use gan_srgan::{Config, Content, Discriminator, Srgan};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Three photographs of 20x24.
fn data() -> Data {
    let info = DataInfo::picture(3, 20, 24).of(3);
    let bytes = (0..3 * 3 * 20 * 24).map(|i| (i * i % 251) as u8).collect();
    Data::one(Arc::new(Held::new(info, bytes, None).unwrap()))
}

fn context() -> Context {
    Context::new(&Device::Cpu, 1, data().info(), 8)
}

/// The count of the reference's network.
#[test]
fn the_papers_discriminator_has_the_references_parameters() {
    let mut cx = context();
    let tally = Tally::default();
    cx.tally = Some(tally.clone());
    let config = Config::preset(Preset::Paper, &cx.data);
    let sizes = config.discriminator(&cx.data);
    Net::new(&cx, "d", init::as_layers, |vb| {
        Discriminator::new(&sizes, vb)
    })
    .unwrap();
    // With the 3,712 running statistics of its norms.
    assert_eq!(tally.bytes() / 4, 23_563_649 + 3_712);
}

/// Weights by NET.KEY.
fn weights(gan: &mut Srgan, net: &str) -> BTreeMap<String, Vec<f32>> {
    let parts = gan.parts().into_iter();
    let params = parts.filter(|(name, _)| *name == net);
    let params = params.filter_map(|(_, part)| part.params().map(gan_core::Params::trainable));
    let values = |var: &Tensor| var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    params
        .flatten()
        .map(|(key, var)| (key, values(var.as_tensor())))
        .collect()
}

fn rate(seen: &Seen, net: &str) -> Option<f32> {
    let name = format!("lr/{net}");
    let found = seen.scalars.iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| value.to_scalar::<f32>().unwrap())
}

#[test]
fn pre_training_moves_g_and_the_game_both_at_their_rates() {
    let config = Config {
        pretrain: 3,
        lr: 1e-3,
        lr_at: vec![2],
        lr_factor: 0.5,
        lr_gan: 1e-4,
        lr_gan_at: vec![1],
        lr_gan_factor: 0.1,
        ..Config::preset(Preset::Smoke, &data().info())
    };
    let mut gan = Srgan::new(&config, &context()).unwrap();
    let mut source = LiveSource::new(&data(), 1, &Device::Cpu);
    let mut seen = Seen::default();
    let first = weights(&mut gan, "d");
    let want = [
        (1e-3, None),
        (1e-3, None),
        (5e-4, None),
        (1e-4, Some(1e-4)),
        (1e-5, Some(1e-5)),
    ];
    let mut before = weights(&mut gan, "g");
    assert_eq!(before, weights(&mut gan, "psnr"));
    for (t, (of_g, of_d)) in want.into_iter().enumerate() {
        gan.step(&mut Iter::new(t as u64, &mut source, &mut seen))
            .unwrap();
        assert_eq!((rate(&seen, "g"), rate(&seen, "d")), (Some(of_g), of_d));
        let now = weights(&mut gan, "g");
        assert_ne!(now, before);
        // What pre-training has made stays as it was.
        match t < 3 {
            true => assert_eq!(weights(&mut gan, "psnr"), now),
            false => assert_ne!(weights(&mut gan, "psnr"), now),
        }
        assert_eq!(weights(&mut gan, "d") == first, t < 3);
        before = now;
    }
    assert_eq!(config.parts_end(&Length::of(5)), [3]);
}

#[test]
fn without_a_game_there_is_no_discriminator() {
    let config = Config {
        adversarial: false,
        ..Config::preset(Preset::Smoke, &data().info())
    };
    let mut gan = Srgan::new(&config, &context()).unwrap();
    assert!(gan.parts().iter().all(|(name, _)| !name.contains('d')));
    let (mut source, mut seen) = (LiveSource::new(&data(), 1, &Device::Cpu), Seen::default());
    for t in 0..6 {
        gan.step(&mut Iter::new(t, &mut source, &mut seen)).unwrap();
    }
    assert_eq!(weights(&mut gan, "g"), weights(&mut gan, "psnr"));
}

/// Sampling, measuring and pre-training need no features; the game says what it lacks.
#[test]
fn a_loss_of_features_without_their_weights_is_refused_by_the_game_alone() {
    let config = Config {
        size: 16,
        pretrain: 1,
        content: Content::Vgg54,
        ..Config::preset(Preset::Smoke, &data().info())
    };
    let mut gan = Srgan::new(&config, &context()).unwrap();
    let (mut source, mut seen) = (LiveSource::new(&data(), 1, &Device::Cpu), Seen::default());
    gan.step(&mut Iter::new(0, &mut source, &mut seen)).unwrap();
    let error = gan
        .step(&mut Iter::new(1, &mut source, &mut seen))
        .unwrap_err();
    assert!(error.to_string().contains("VGG19"), "{error}");
}

#[test]
fn settings_out_of_range_are_named() {
    let good = Config::preset(Preset::Smoke, &data().info());
    good.check().unwrap();
    let refused = |config: Config, word: &str| {
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains(word), "{word:?} is missing in {error}");
    };
    refused(
        Config {
            scale: 3,
            ..good.clone()
        },
        "scale is 3",
    );
    refused(
        Config {
            size: 18,
            ..good.clone()
        },
        "a multiple of scale, 4",
    );
    refused(
        Config {
            lr_factor: 0.,
            ..good.clone()
        },
        "lr_factor is 0",
    );
    refused(
        Config {
            lr_gan: -1.,
            ..good.clone()
        },
        "lr_gan is -1",
    );
    refused(
        Config {
            channels: 4,
            ..good.clone()
        },
        "channels is 4",
    );
    refused(
        Config {
            size: 12,
            content: Content::Vgg54,
            ..good
        },
        "VGG19",
    );
}
