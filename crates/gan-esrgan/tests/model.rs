//! Counts, layouts, borders.

#![allow(clippy::unwrap_used, missing_docs)]

use candle_core::{DType, Device, Result, Tensor};
use gan_core::rng::CounterRng;
use gan_core::{
    Context, DataInfo, Draws, Net, Probe, Sampler, Side, Tally, Weights, init, translate,
};
use gan_esrgan::{LAYOUTS, Rrdb, RrdbSizes};
use std::collections::BTreeMap;
use std::path::Path;

/// The sizes of published networks.
const PUBLISHED: RrdbSizes = RrdbSizes {
    channels: 3,
    width: 64,
    growth: 32,
    blocks: 23,
    ups: 2,
    unshuffle: 1,
};

const SMALL: RrdbSizes = RrdbSizes {
    width: 8,
    growth: 4,
    blocks: 2,
    ..PUBLISHED
};

/// How many numbers a network has, which is not made for that.
fn count(sizes: RrdbSizes) -> u64 {
    let tally = Tally::default();
    let mut cx = Context::new(&Device::Cpu, 1, DataInfo::unlabelled(3, 8), 1);
    cx.tally = Some(tally.clone());
    Net::new(&cx, "g", init::as_layers, |vb| Rrdb::new(&sizes, vb)).unwrap();
    tally.bytes() / size_of::<f32>() as u64
}

#[test]
fn counts_are_those_of_published_networks() {
    assert_eq!(count(PUBLISHED), 16_697_987);
    let six = RrdbSizes {
        blocks: 6,
        ..PUBLISHED
    };
    assert_eq!(count(six), 4_467_779);
    let unshuffled = RrdbSizes {
        unshuffle: 2,
        ..PUBLISHED
    };
    assert_eq!((count(unshuffled), unshuffled.scale()), (16_703_171, 2));
}

fn tensors(sizes: RrdbSizes) -> BTreeMap<String, Tensor> {
    let cx = Context::new(&Device::Cpu, 3, DataInfo::unlabelled(3, 8), 1);
    let g = Net::new(&cx, "g", init::as_layers, |vb| Rrdb::new(&sizes, vb)).unwrap();
    let all = g.params.all().into_iter();
    all.map(|(key, var)| (key, var.as_detached_tensor()))
        .collect()
}

fn opened(tensors: BTreeMap<String, Tensor>) -> Result<Rrdb> {
    let weights = Weights::from_tensors(Path::new("g.pth"), tensors);
    Rrdb::open(&weights, &Device::Cpu)
}

fn values(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

fn made(g: &Rrdb, x: &Tensor) -> Tensor {
    let mut draws = CounterRng::new(1, &Device::Cpu);
    let made = g.sample(&Probe::pictures(Side::A, x.clone()), &mut draws);
    made.unwrap().get("fake").unwrap().clone()
}

fn picture(dims: &[usize]) -> Tensor {
    let mut draws = CounterRng::new(1, &Device::Cpu);
    draws.uniform("x", dims).unwrap().affine(2., -1.).unwrap()
}

/// The keys of a network of [`SMALL`]'s blocks under the names of 2019 and of 2018.
fn renamed(key: &str) -> [String; 2] {
    let (layer, leaf) = key.rsplit_once('.').unwrap();
    let upper = |begin: &str| layer.replacen("body.", begin, 1).replace("rdb", "RDB");
    let [trunk, numbered] = match layer {
        "conv_first" => ["conv_first", "model.0"].map(String::from),
        "conv_body" => ["trunk_conv", "model.1.sub.2"].map(String::from),
        "conv_up1" => ["upconv1", "model.3"].map(String::from),
        "conv_up2" => ["upconv2", "model.6"].map(String::from),
        "conv_hr" => ["HRconv", "model.8"].map(String::from),
        "conv_last" => ["conv_last", "model.10"].map(String::from),
        _ => [upper("RRDB_trunk."), upper("model.1.sub.") + ".0"],
    };
    [format!("{trunk}.{leaf}"), format!("{numbered}.{leaf}")]
}

#[test]
fn three_layouts_are_one_network() {
    let own = tensors(SMALL);
    let x = picture(&[1, 3, 9, 7]);
    let g = opened(own.clone()).unwrap();
    assert_eq!(*g.sizes(), SMALL);
    let wanted = values(&made(&g, &x));
    for i in 0..2 {
        let other = own
            .iter()
            .map(|(key, t)| (renamed(key)[i].clone(), t.clone()));
        let g = opened(other.collect()).unwrap();
        assert_eq!(*g.sizes(), SMALL);
        assert_eq!(values(&made(&g, &x)), wanted, "{}", LAYOUTS[i + 1].name);
    }
}

#[test]
fn any_scale_size_and_colour_is_recognised() {
    for (channels, ups, unshuffle, scale) in [
        (1, 2, 1, 4),
        (3, 1, 1, 2),
        (3, 0, 1, 1),
        (3, 3, 1, 8),
        (3, 2, 2, 2),
        (3, 2, 4, 1),
        (1, 2, 2, 2),
    ] {
        let sizes = RrdbSizes {
            channels,
            ups,
            unshuffle,
            width: 6,
            growth: 5,
            blocks: 1,
        };
        let g = opened(tensors(sizes)).unwrap();
        assert_eq!(*g.sizes(), sizes);
        let port = g.takes().port.unwrap();
        assert_eq!(
            (port.scale, port.multiple, port.restores),
            (scale, unshuffle, true)
        );
        let x = picture(&[1, channels, 8, 4]);
        assert_eq!(made(&g, &x).dims(), [1, channels, 8 * scale, 4 * scale]);
        // What does not divide is mirrored on.
        let x = picture(&[1, channels, 7, 5]);
        let mut draws = CounterRng::new(1, &Device::Cpu);
        let all = translate(&g, &Probe::pictures(Side::A, x), &mut draws).unwrap();
        assert_eq!(
            all.get("fake").unwrap().dims(),
            [1, channels, 7 * scale, 5 * scale]
        );
    }
}

/// A pixel further away than the reach changes nothing; within it, something.
#[test]
fn the_reach_is_how_far_a_pixel_is_felt() {
    for unshuffle in [1, 2] {
        let sizes = RrdbSizes {
            unshuffle,
            width: 6,
            growth: 5,
            blocks: 1,
            ..PUBLISHED
        };
        let g = opened(tensors(sizes)).unwrap();
        let reach = g.takes().port.unwrap().reach.unwrap();
        let w = 2 * unshuffle * (reach / unshuffle + 3);
        let x = picture(&[1, 3, 4, w]);
        let changed = |from: usize| {
            let column = Tensor::arange(0u32, w as u32, &Device::Cpu).unwrap();
            let far = column
                .ge(from as u32)
                .unwrap()
                .to_dtype(DType::F32)
                .unwrap();
            let y = x
                .broadcast_sub(&far.reshape((1, 1, 1, w)).unwrap())
                .unwrap();
            let first = |x: &Tensor| values(&made(&g, x).narrow(3, 0, g.sizes().scale()).unwrap());
            first(&x) != first(&y)
        };
        assert!(changed(reach / 2), "{reach}");
        assert!(!changed(reach + 1), "{reach}");
    }
}

/// A picture that takes several strips is what the whole is.
#[test]
fn strips_are_not_seen() {
    let g = opened(tensors(RrdbSizes { blocks: 1, ..SMALL })).unwrap();
    let x = picture(&[1, 3, 150, 260]);
    let strips = made(&g, &x);
    let whole = g.forward(&x.affine(0.5, 0.5).unwrap()).unwrap();
    let whole = whole.affine(2., -1.).unwrap();
    let far = (strips - whole).unwrap().abs().unwrap().max_all().unwrap();
    assert!(far.to_scalar::<f32>().unwrap() < 1e-5);
}

#[test]
fn what_does_not_fit_is_named_by_the_names_of_its_file() {
    let refused = |change: &dyn Fn(&mut BTreeMap<String, Tensor>), words: &[&str]| {
        for layout in 0..3 {
            let mut own = tensors(SMALL);
            change(&mut own);
            let name = |key: &str| match layout {
                0 => key.to_string(),
                i => renamed(key)[i - 1].clone(),
            };
            let file = own.iter().map(|(key, t)| (name(key), t.clone())).collect();
            let said = opened(file).unwrap_err().to_string();
            for word in words {
                let word = match word.strip_prefix('@') {
                    Some(key) => name(key),
                    None => word.to_string(),
                };
                assert!(said.contains(&word), "{word}: {said}");
            }
        }
    };
    let one = || Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
    refused(
        &|file| {
            file.remove("body.1.rdb2.conv3.bias");
            file.remove("conv_body.weight");
            file.insert("conv_hr.weight".into(), one());
            file.insert("body.0.rdb1.conv6.bias".into(), one());
        },
        &[
            "@body.1.rdb2.conv3.bias",
            "is missing",
            "@conv_hr.weight",
            "is [1], expected",
            "@body.0.rdb1.conv6.bias",
            "is not expected",
        ],
    );
    // What says how large the network is may be missing, too.
    refused(
        &|file| drop(file.remove("conv_last.weight")),
        &["@conv_last.weight", "is missing"],
    );
    refused(
        &|file| drop(file.remove("body.0.rdb1.conv1.weight")),
        &["@body.0.rdb1.conv1.weight"],
    );
    let five = || Tensor::zeros((8, 5, 3, 3), DType::F32, &Device::Cpu).unwrap();
    refused(
        &|file| drop(file.insert("conv_first.weight".into(), five())),
        &["takes 5 channels and makes 3"],
    );
}
