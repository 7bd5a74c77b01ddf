//! Weights as they are published: three layouts, both containers of PyTorch, and what PyTorch makes of a picture.
//!
//! The files are made by `tests/reference/make_published.py`.

#![allow(clippy::unwrap_used, missing_docs)]

use candle_core::{Device, Tensor};
use gan_core::rng::CounterRng;
use gan_core::{Context, DataInfo, Net, Probe, Sampler, Side, Weights, init};
use gan_esrgan::{Rrdb, RrdbSizes};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/published")
        .join(name)
}

fn picture(name: &str) -> Tensor {
    let pictures = Weights::read(&file("pictures.safetensors")).unwrap();
    pictures.get(name).unwrap().clone()
}

/// The largest difference between what a network makes of the picture x and PyTorch's picture, both in [0, 1].
fn difference(g: &dyn Sampler, x: &str, wanted: &str) -> f32 {
    let mut draws = CounterRng::new(1, &Device::Cpu);
    let x = picture(x).affine(2., -1.).unwrap();
    let made = g.sample(&Probe::pictures(Side::A, x), &mut draws).unwrap();
    let made = made.get("fake").unwrap().affine(0.5, 0.5).unwrap();
    let far = (made - picture(wanted)).unwrap().abs().unwrap();
    far.max_all().unwrap().to_scalar().unwrap()
}

#[test]
fn files_of_all_layouts_and_containers_make_the_same_picture() {
    for (name, wanted) in [
        ("own.pth", "tiny"),
        ("trunk-legacy.pth", "tiny"),
        ("numbered.pth", "tiny"),
        ("numbered-legacy.pth", "tiny"),
        ("half.pth", "half"),
    ] {
        let weights = Weights::read(&file(name)).unwrap();
        let g = Rrdb::open(&weights, &Device::Cpu).unwrap();
        let far = difference(&g, "x", wanted);
        assert!(far < 1e-4, "{name}: {far}");
    }
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

/// A network with the weights of that formula.
fn of_formula(sizes: RrdbSizes) -> Rrdb {
    let cx = Context::new(&Device::Cpu, 1, DataInfo::unlabelled(3, 8), 1);
    let g = Net::new(&cx, "g", init::as_layers, |vb| Rrdb::new(&sizes, vb)).unwrap();
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
    Rrdb::open(
        &Weights::from_tensors(Path::new("formula"), tensors),
        &Device::Cpu,
    )
    .unwrap()
}

#[test]
fn a_network_of_23_blocks_makes_pytorchs_picture() {
    let sizes = RrdbSizes {
        channels: 3,
        width: 8,
        growth: 4,
        blocks: 23,
        ups: 2,
        unshuffle: 1,
    };
    let far = difference(&of_formula(sizes), "x", "blocks23");
    assert!(far < 1e-4, "{far}");
}

#[test]
fn a_picture_made_smaller_first_makes_pytorchs_picture() {
    for unshuffle in [2, 4] {
        let sizes = RrdbSizes {
            channels: 3,
            width: 4,
            growth: 2,
            blocks: 2,
            ups: 2,
            unshuffle,
        };
        let [x, y] = ["unshuffled{}.x", "unshuffled{}"]
            .map(|name| name.replace("{}", &unshuffle.to_string()));
        let far = difference(&of_formula(sizes), &x, &y);
        assert!(far < 1e-4, "{unshuffle}: {far}");
    }
}

/// Networks of the published size, 16.7 million weights, in three layouts and three containers each. Where
/// `make_published.py --large` wrote them, `GAN_PUBLISHED` says.
#[test]
#[ignore = "needs 600 MB of files that a script makes"]
fn networks_of_the_published_size_make_the_same_picture() {
    let folder = PathBuf::from(std::env::var("GAN_PUBLISHED").unwrap());
    let pictures = Weights::read(&folder.join("pictures.safetensors")).unwrap();
    let x = pictures.get("x").unwrap().affine(2., -1.).unwrap();
    for layout in ["own", "trunk", "numbered"] {
        for container in [".pth", "-legacy.pth", ".safetensors"] {
            let name = format!("{layout}{container}");
            let weights = Weights::read(&folder.join(&name)).unwrap();
            let g = Rrdb::open(&weights, &Device::Cpu).unwrap();
            let mut draws = CounterRng::new(1, &Device::Cpu);
            let made = g
                .sample(&Probe::pictures(Side::A, x.clone()), &mut draws)
                .unwrap();
            let made = made.get("fake").unwrap().affine(0.5, 0.5).unwrap();
            let far = (made - pictures.get("y").unwrap()).unwrap().abs().unwrap();
            let far: f32 = far.max_all().unwrap().to_scalar().unwrap();
            println!("{name}: {far:e}");
            assert!(far < 1e-4, "{name}: {far}");
        }
    }
}
