//! Shapes, key names and parameter counts of the networks; a generator saved by PyTorch.

#![allow(clippy::unwrap_used, missing_docs)]

use candle_core::{DType, Device, Tensor};
use gan_core::nn::{Mode, maps::Norm};
use gan_core::{Context, DataInfo, Net, Paper, Params, Preset, Weights, init};
use gan_dcgan::{Config, Discriminator, Generator, StridedSizes};
use std::collections::BTreeMap;
use std::path::Path;

fn context(channels: usize) -> Context {
    let data = DataInfo::unlabelled(channels, 64);
    Context::new(&Device::Cpu, 1, data, 1)
}

fn networks(config: &Config, cx: &Context) -> (Net<Discriminator>, Net<Generator>) {
    let d = Net::new(cx, "d", init::convolutions_normal, |vb| {
        Discriminator::new(Norm::Batch, &config.discriminator(), vb)
    });
    let g = Net::new(cx, "g", init::convolutions_normal, |vb| {
        Generator::new(config.z_dim, &config.generator(), vb)
    });
    (d.unwrap(), g.unwrap())
}

fn keys(params: &Params) -> Vec<String> {
    params.all().into_iter().map(|(key, _)| key).collect()
}

/// The counts of the published networks (64 px, RGB).
#[test]
fn counts_are_the_published_ones() {
    let cx = context(3);
    let (d, g) = networks(&Config::preset(Preset::Paper, &cx.data), &cx);
    assert_eq!(g.params.count(), 3_576_704);
    assert_eq!(d.params.count(), 2_765_568);
}

#[test]
fn keys_are_those_of_a_pytorch_sequential() {
    let cx = context(1);
    let config = Config {
        width_d: 4,
        width_g: 4,
        ..Config::preset(Preset::Paper, &cx.data)
    };
    let (d, g) = networks(&config, &cx);
    let norm = |n: usize| {
        ["weight", "bias", "running_mean", "running_var"].map(|leaf| format!("main.{n}.{leaf}"))
    };
    let mut want: Vec<String> = vec!["main.0.weight".into()];
    for n in [2, 5, 8] {
        want.push(format!("main.{n}.weight"));
        want.extend(norm(n + 1));
    }
    want.push("main.11.weight".into());
    assert_eq!(keys(&d.params), want);
    let mut want = Vec::new();
    for n in [0, 3, 6, 9] {
        want.push(format!("main.{n}.weight"));
        want.extend(norm(n + 1));
    }
    want.push("main.12.weight".into());
    assert_eq!(keys(&g.params), want);
}

#[test]
fn every_power_of_two_has_its_picture_and_its_score() {
    for (size, channels) in [(16, 1), (32, 3), (64, 1), (128, 3)] {
        let mut cx = context(channels);
        (cx.data.height, cx.data.width) = (size, size);
        let config = Config {
            size,
            width_d: 2,
            width_g: 2,
            z_dim: 5,
            ..Config::preset(Preset::Paper, &cx.data)
        };
        let (d, g) = networks(&config, &cx);
        let z = Tensor::zeros((3, 5, 1, 1), DType::F32, &Device::Cpu).unwrap();
        let fake = g.live.forward(&z, Mode::Train).unwrap();
        assert_eq!(fake.dims(), [3, channels, size, size]);
        assert_eq!(d.live.forward(&fake, Mode::Train).unwrap().dims(), [3]);
        let weights = g.params.all().into_iter();
        let weights: BTreeMap<_, _> = weights
            .map(|(key, var)| (key, var.as_detached_tensor()))
            .collect();
        let sizes = Generator::recognise(&Weights::from_tensors(Path::new("g"), weights));
        let want = StridedSizes {
            size,
            channels,
            width: 2,
        };
        assert_eq!(sizes.unwrap(), (5, want));
    }
}

/// A file as `torch` writes it has counters of batches besides; other left-over keys are refused.
#[test]
fn a_generator_saved_by_pytorch_opens() {
    let cx = context(3);
    let config = Config {
        size: 16,
        width_g: 2,
        ..Config::preset(Preset::Paper, &cx.data)
    };
    let (_, g) = networks(&config, &cx);
    let mut saved: BTreeMap<String, Tensor> = g
        .params
        .all()
        .into_iter()
        .map(|(key, var)| (key, var.as_detached_tensor()))
        .collect();
    let zero = Tensor::zeros((), DType::I64, &Device::Cpu).unwrap();
    for n in [1, 4] {
        saved.insert(format!("main.{n}.num_batches_tracked"), zero.clone());
    }
    let open = |tensors: &BTreeMap<String, Tensor>| {
        Generator::open(
            &Weights::from_tensors(Path::new("g"), tensors.clone()),
            &Device::Cpu,
        )
    };
    let z = Tensor::ones((2, 100, 1, 1), DType::F32, &Device::Cpu).unwrap();
    let pictures = |g: &Generator| {
        let fake = g.forward(&z, Mode::Eval).unwrap();
        fake.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    assert_eq!(pictures(&open(&saved).unwrap()), pictures(&g.frozen));
    let refused = |change: &dyn Fn(&mut BTreeMap<String, Tensor>)| {
        let mut changed = saved.clone();
        change(&mut changed);
        open(&changed).unwrap_err().to_string()
    };
    let said = refused(&|t| drop(t.insert("main.9.bias".into(), zero.clone())));
    assert!(said.contains("main.9.bias is not expected"), "{said}");
    let said = refused(&|t| drop(t.remove("main.4.running_var")));
    assert!(said.contains("main.4.running_var is missing"), "{said}");
    let said = refused(&|t| drop(t.remove("main.0.weight")));
    assert!(said.contains("main.0.weight is missing"), "{said}");
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let data = context(3).data;
    let config = Config::preset(Preset::Demo, &data);
    for (config, want) in [
        (
            Config {
                size: 48,
                ..config.clone()
            },
            "size is 48, expected a power of two from 16 to 1024",
        ),
        (
            Config {
                size: 8,
                ..config.clone()
            },
            "size is 8, expected a power of two from 16 to 1024",
        ),
        (
            Config {
                channels: 2,
                ..config.clone()
            },
            "channels is 2, expected 1 or 3",
        ),
        (
            Config {
                lr: 0.,
                ..config.clone()
            },
            "lr is 0, expected a number above 0",
        ),
    ] {
        let said = config.check().unwrap_err().to_string();
        assert!(said.starts_with(want), "{said}");
    }
    let grey = Config {
        channels: 1,
        ..config
    };
    let cx = Context::new(&Device::Cpu, 1, data, 1);
    let said = grey.build(&cx).map(drop).unwrap_err().to_string();
    assert!(
        said.starts_with("channels is 1, but the data's pictures have 3"),
        "{said}"
    );
}
