//! Counts, and weights as they are published: what PyTorch makes of a picture with them.
//!
//! The files are made by `tests/reference/make_published.py`.

#![allow(clippy::unwrap_used, missing_docs)]

use candle_core::{Device, Tensor};
use gan_core::rng::CounterRng;
use gan_core::{Context, DataInfo, Draws, Net, Probe, Sampler, Side, Tally, Weights, init};
use gan_srgan::{MsrResnet, MsrResnetSizes, SrResnet, SrResnetSizes, open};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const PUBLISHED: MsrResnetSizes = MsrResnetSizes {
    channels: 3,
    width: 64,
    blocks: 16,
    scale: 4,
};

#[test]
fn the_count_is_that_of_published_weights() {
    let tally = Tally::default();
    let mut cx = Context::new(&Device::Cpu, 1, DataInfo::unlabelled(3, 8), 1);
    cx.tally = Some(tally.clone());
    Net::new(&cx, "g", init::as_layers, |vb| {
        MsrResnet::new(&PUBLISHED, vb)
    })
    .unwrap();
    assert_eq!(tally.bytes() / size_of::<f32>() as u64, 1_517_571);
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/published")
        .join(name)
}

fn picture(name: &str) -> Tensor {
    let pictures = Weights::read(&file("pictures.safetensors")).unwrap();
    pictures.get(name).unwrap().clone()
}

/// What a network makes of the picture x in [0, 1], in [−1, 1].
fn made(g: &dyn Sampler) -> Tensor {
    let mut draws = CounterRng::new(1, &Device::Cpu);
    let x = picture("x").affine(2., -1.).unwrap();
    let made = g.sample(&Probe::pictures(Side::A, x), &mut draws).unwrap();
    made.get("fake").unwrap().clone()
}

fn far(a: &Tensor, b: &Tensor) -> f32 {
    let far = (a - b).unwrap().abs().unwrap().max_all().unwrap();
    far.to_scalar().unwrap()
}

#[test]
fn files_make_pytorchs_picture() {
    let weights = Weights::read(&file("msr.pth")).unwrap();
    let g = open(&weights, &Device::Cpu).unwrap();
    let wanted = picture("msr").affine(2., -1.).unwrap(); // of [0, 1]
    assert!(far(&made(&*g), &wanted) < 1e-4);
    let weights = Weights::read(&file("srresnet-legacy.pth")).unwrap();
    let g = open(&weights, &Device::Cpu).unwrap();
    assert!(far(&made(&*g), &picture("srresnet")) < 1e-4);
}

/// n numbers in [−1, 1): the formula of the reference's script.
fn numbers(key: &str, n: usize) -> impl Iterator<Item = f64> {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let bytes = key.bytes().enumerate();
    let sum: u64 = bytes.map(|(i, b)| (i as u64 + 1) * u64::from(b)).sum();
    let seed = sum.wrapping_mul(STEP);
    (1..=n as u64).map(move |i| {
        let mut z = seed.wrapping_add(i.wrapping_mul(STEP));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 23) - 1.
    })
}

#[test]
fn any_scale_and_depth_makes_pytorchs_picture() {
    let small = MsrResnetSizes {
        width: 4,
        blocks: 2,
        ..PUBLISHED
    };
    let deep = MsrResnetSizes {
        width: 8,
        ..PUBLISHED
    };
    for (name, sizes) in [
        ("msr", small),
        ("msr2", MsrResnetSizes { scale: 2, ..small }),
        ("msr3", MsrResnetSizes { scale: 3, ..small }),
        ("blocks16", deep),
    ] {
        let cx = Context::new(&Device::Cpu, 1, DataInfo::unlabelled(3, 8), 1);
        let g = Net::new(&cx, "g", init::as_layers, |vb| MsrResnet::new(&sizes, vb)).unwrap();
        let all = g.params.all().into_iter().map(|(key, var)| {
            let fan_in: usize = var.dims().iter().skip(1).product();
            let scale = if var.rank() == 4 {
                (fan_in as f64).sqrt()
            } else {
                10.
            };
            let values = numbers(&key, var.elem_count()).map(|u| (u / scale) as f32);
            let tensor = Tensor::from_iter(values, &Device::Cpu).unwrap();
            (key, tensor.reshape(var.shape()).unwrap())
        });
        let tensors: BTreeMap<String, Tensor> = all.collect();
        let weights = Weights::from_tensors(Path::new("formula"), tensors);
        let g = MsrResnet::open(&weights, &Device::Cpu).unwrap();
        assert_eq!(*g.sizes(), sizes);
        let wanted = picture(name).affine(2., -1.).unwrap();
        let far = far(&made(&g), &wanted);
        assert!(far < 1e-4, "{name}: {far}");
    }
}

/// The paper's own network, saved here and opened again, and what its port says.
#[test]
fn the_papers_network_is_recognised_at_any_scale() {
    for ups in 0..4 {
        let sizes = SrResnetSizes {
            channels: 1,
            width: 5,
            blocks: 2,
            ups,
        };
        let cx = Context::new(&Device::Cpu, 1, DataInfo::unlabelled(1, 8), 1);
        let g = Net::new(&cx, "g", init::as_layers, |vb| SrResnet::new(&sizes, vb)).unwrap();
        let all = g.params.all().into_iter();
        let tensors = all.map(|(key, var)| (key, var.as_detached_tensor()));
        let weights = Weights::from_tensors(Path::new("g"), tensors.collect());
        let g = SrResnet::open(&weights, &Device::Cpu).unwrap();
        assert_eq!(*g.sizes(), sizes);
        let port = g.takes().port.unwrap();
        assert_eq!((port.scale, port.restores), (1 << ups, true));
        let mut draws = CounterRng::new(1, &Device::Cpu);
        let x = draws.uniform("x", &[1, 1, 5, 7]).unwrap();
        let made = g.sample(&Probe::pictures(Side::A, x), &mut draws).unwrap();
        assert_eq!(made.get("fake").unwrap().dims(), [1, 1, 5 << ups, 7 << ups]);
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let refused = |name: &str, remove: &str, words: &[&str]| {
        let weights = Weights::read(&file(name)).unwrap();
        let mut tensors: BTreeMap<String, Tensor> = weights
            .iter()
            .map(|(key, t)| (key.to_string(), t.clone()))
            .collect();
        assert!(tensors.remove(remove).is_some(), "{remove}");
        let weights = Weights::from_tensors(Path::new(name), tensors);
        let said = open(&weights, &Device::Cpu)
            .map(drop)
            .unwrap_err()
            .to_string();
        for word in words {
            assert!(said.contains(word), "{word}: {said}");
        }
    };
    refused("msr.pth", "conv_hr.weight", &["conv_hr.weight is missing"]);
    refused(
        "msr.pth",
        "conv_first.weight",
        &["conv_first.weight is missing"],
    );
    refused(
        "srresnet-legacy.pth",
        "bn_body.bias",
        &["bn_body.bias is missing"],
    );
    refused(
        "srresnet-legacy.pth",
        "up.0.act.weight",
        &["up.0.act.weight is missing"],
    );
}
