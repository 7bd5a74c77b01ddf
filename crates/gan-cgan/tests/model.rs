//! Shapes, key names and parameter counts of the networks, and what a class does.

#![allow(clippy::unwrap_used, missing_docs)]

use candle_core::{DType, Device, Tensor};
use gan_cgan::{Config, Discriminator, Generator, Joint, Maxout, OptimizerKind, Split};
use gan_core::nn::Mode;
use gan_core::rng::CounterRng;
use gan_core::{Context, DataInfo, Law, Net, Paper, Preset, Probe, Sampler, Takes, init};

fn context(classes: Option<usize>) -> Context {
    let mut data = DataInfo::picture(1, 28, 28).of(9000);
    data.classes = classes;
    Context::new(&Device::Cpu, 1, data, 1)
}

/// Section 4.1's networks.
#[test]
fn keys_shapes_and_counts() {
    let cx = context(Some(10));
    let config = Config::preset(Preset::Paper, &cx.data);
    let judge = |classes| {
        Net::new(&cx, "d", init::as_layers, |vb| {
            Discriminator::new(784, classes, config.judge(), config.d_dropout, vb)
        })
        .unwrap()
    };
    let g = Net::new(&cx, "g", init::as_layers, |vb| {
        Generator::new(config.generator(), 10, config.g_dropout, [1, 28, 28], vb)
    })
    .unwrap();
    let (joint, real) = (judge(Some(10)), judge(None));
    let dense = |i: usize, o: usize| i * o + o;
    assert_eq!(
        g.params.count(),
        dense(100, 200) + dense(10, 1000) + dense(1200, 1200) + dense(1200, 784)
    );
    assert_eq!(
        joint.params.count(),
        dense(784, 240 * 5) + dense(10, 50 * 5) + dense(290, 240 * 4) + dense(240, 1)
    );
    assert_eq!(
        real.params.count(),
        dense(784, 240 * 5) + dense(240, 240 * 4) + dense(240, 1)
    );
    let keys: Vec<String> = joint.params.all().into_iter().map(|(key, _)| key).collect();
    let want = ["x", "y", "joint", "out"];
    let want: Vec<String> = want
        .iter()
        .flat_map(|layer| ["weight", "bias"].map(|leaf| format!("{layer}.{leaf}")))
        .collect();
    assert_eq!(keys, want);

    let mut draws = CounterRng::new(1, &Device::Cpu);
    let x = Tensor::zeros((3, 784), DType::F32, &Device::Cpu).unwrap();
    let y = Tensor::zeros((3, 10), DType::F32, &Device::Cpu).unwrap();
    let scores = joint.live.forward(&x, Some(&y), Mode::Train, &mut draws);
    assert_eq!(scores.unwrap().dims(), [3]);
    let scores = real.live.forward(&x, None, Mode::Train, &mut draws);
    assert_eq!(scores.unwrap().dims(), [3]);
    let said = joint.live.forward(&x, None, Mode::Train, &mut draws);
    assert!(said.unwrap_err().to_string().contains("picture alone"));
}

#[test]
fn a_maxout_unit_is_its_largest_piece() {
    let cx = context(Some(10));
    let net = Net::new(&cx, "m", init::as_layers, |vb| Maxout::new(4, 3, 2, vb)).unwrap();
    let x = Tensor::new(&[[1f32, -2., 0.5, 3.]], &Device::Cpu).unwrap();
    let all = net.params.all();
    let [(_, w), (_, b)] = &all[..] else { panic!() };
    let flat = x.matmul(&w.t().unwrap()).unwrap().broadcast_add(b).unwrap();
    let flat = flat.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let y = net.live.forward(&x).unwrap();
    let y = y.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for (u, y) in y.iter().enumerate() {
        assert!((y - flat[2 * u].max(flat[2 * u + 1])).abs() < 1e-6);
    }
}

#[test]
fn samples_depend_on_the_class_and_dropout_is_a_column_of_its_own() {
    let cx = context(Some(10));
    let config = Config::preset(Preset::Smoke, &cx.data);
    let g = Net::new(&cx, "g", init::as_layers, |vb| {
        Generator::new(config.generator(), 10, config.g_dropout, [1, 28, 28], vb)
    })
    .unwrap();
    let want = Takes::noise(&[100], Law::Uniform).classes(10);
    assert_eq!(g.frozen.takes(), want);
    let z = Tensor::full(0.5f32, (2, 100), &Device::Cpu).unwrap();
    let sample = |labels: [u32; 2]| {
        let labels = Tensor::new(&labels, &Device::Cpu).unwrap();
        let probe = Probe::noise(z.clone()).labelled(labels);
        let mut draws = CounterRng::new(1, &Device::Cpu);
        let columns = g.frozen.sample(&probe, &mut draws).unwrap();
        let columns = columns.into_iter().map(|(name, pictures)| {
            assert_eq!(pictures.dims(), [2, 1, 28, 28]);
            let values = pictures.flatten_from(1).unwrap().to_vec2::<f32>().unwrap();
            (name, values)
        });
        columns.collect::<Vec<_>>()
    };
    let [(undropped, clean), (fake, dropped)] = &sample([3, 3])[..] else {
        panic!("two columns were expected")
    };
    assert_eq!((*undropped, *fake), ("undropped", "fake"));
    assert_eq!(clean[0], clean[1]);
    assert_ne!(dropped[0], dropped[1]);
    let other = &sample([3, 4])[0].1;
    assert_eq!(other[0], clean[0]);
    assert_ne!(other[1], clean[1]);
}

#[test]
fn settings_and_data_that_cannot_be_are_refused() {
    let config = Config::preset(Preset::Smoke, &context(Some(10)).data);
    let said = |result: candle_core::Result<()>| {
        let text = result.unwrap_err().to_string();
        text.lines().next().unwrap().to_string()
    };
    assert_eq!(
        said(Joint::new(&config, &context(None)).map(drop)),
        "the data has no labels, this paper needs them"
    );
    assert_eq!(
        said(Split::new(&config, &context(Some(7))).map(drop)),
        "classes is 10, but the data has 7"
    );
    let adam = Config {
        optimizer: OptimizerKind::Adam,
        ..config.clone()
    };
    assert!(said(adam.check()).starts_with("lr is 0.1, expected at most 0.01"));
    let one = Config {
        classes: 1,
        ..config
    };
    assert_eq!(said(one.check()), "classes is 1, expected 2 to 1000");
}
