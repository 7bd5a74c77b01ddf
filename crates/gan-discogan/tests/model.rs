//! Shapes, key names and parameter counts of the networks, and what the settings change.

#![allow(clippy::unwrap_used, missing_docs)]

use candle_core::{DType, Device, Tensor};
use gan_core::data::{Data, Held};
use gan_core::nn::{Mode, maps::Norm};
use gan_core::{
    Algorithm, Context, DataInfo, Iter, LiveSource, Net, Paper, Preset, Seen, Weights, init,
};
use gan_discogan::{
    Config, DiscoGan, Discriminator, Distance, Generator, GeneratorSizes, StridedSizes,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

fn context() -> Context {
    let data = DataInfo::picture(3, 16, 16).of(5);
    Context::new(&Device::Cpu, 1, data, 1)
}

fn generator(sizes: &GeneratorSizes) -> Net<Generator> {
    Net::new(&context(), "g", init::convolutions_normal, |vb| {
        Generator::new(sizes, vb)
    })
    .unwrap()
}

fn sizes(size: usize, width: usize, bottleneck: usize) -> GeneratorSizes {
    let strided = StridedSizes {
        size,
        channels: 3,
        width,
    };
    GeneratorSizes {
        strided,
        bottleneck,
    }
}

/// The counts of the reference's networks (64 px, RGB), which has the authors' layers.
#[test]
fn counts_are_the_references() {
    let config = Config::preset(Preset::Paper, &context().data);
    let count = |bottleneck| generator(&sizes(64, 64, bottleneck)).params.count();
    assert_eq!(config.generator(), sizes(64, 64, 0));
    assert_eq!((count(0), count(100)), (5_513_856, 7_153_480));
    let d = Net::new(&context(), "d_x", init::convolutions_normal, |vb| {
        Discriminator::new(Norm::Batch, &config.discriminator(), vb)
    });
    assert_eq!(d.unwrap().params.count(), 2_765_568);
}

#[test]
fn keys_are_those_of_a_pytorch_sequential() {
    for (bottleneck, norms, last) in [
        (0, vec![3, 6, 9, 12, 15, 18], 20),
        (5, vec![3, 6, 9, 12, 15, 18, 21, 24], 26),
    ] {
        let mut want = vec!["main.0.weight".to_string()];
        for n in norms {
            want.push(format!("main.{}.weight", n - 1));
            let leaves = ["weight", "bias", "running_mean", "running_var"];
            want.extend(leaves.map(|leaf| format!("main.{n}.{leaf}")));
        }
        want.push(format!("main.{last}.weight"));
        let params = generator(&sizes(64, 2, bottleneck)).params;
        let keys: Vec<String> = params.all().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, want);
    }
}

/// Sizes are read off the shapes; the pictures are those of the network that was saved, of larger ones too.
#[test]
fn saved_generators_open_as_they_were() {
    for sizes in [
        sizes(16, 3, 0),
        sizes(16, 3, 7),
        sizes(64, 2, 16),
        sizes(32, 2, 4),
    ] {
        let g = generator(&sizes);
        let tensors = g.params.all().into_iter();
        let tensors: BTreeMap<_, _> = tensors
            .map(|(key, var)| (key, var.as_detached_tensor()))
            .collect();
        let weights = Weights::from_tensors(Path::new("g"), tensors.clone());
        let opened = Generator::open(&weights, &Device::Cpu).unwrap();
        assert_eq!(opened.sizes(), &sizes);
        let side = sizes.strided.size;
        for (h, w) in [(side, side), (side + side / 4, 2 * side)] {
            let x = Tensor::full(0.3f32, (2, 3, h, w), &Device::Cpu).unwrap();
            let [a, b] = [&g.frozen, &opened].map(|g| g.forward(&x, Mode::Eval).unwrap());
            assert_eq!(a.dims(), [2, 3, h, w]);
            let values = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(values(&a), values(&b));
            assert!(values(&a).iter().all(|x| (0. ..=1.).contains(x)));
        }
        let mut lacking = tensors;
        lacking.remove("main.3.running_var");
        let weights = Weights::from_tensors(Path::new("g"), lacking);
        let said = Generator::open(&weights, &Device::Cpu).unwrap_err();
        assert!(
            said.to_string().contains("main.3.running_var is missing"),
            "{said}"
        );
    }
}

#[test]
fn other_files_are_refused_by_name() {
    for (key, dims, want) in [
        (
            "gen.0.weight",
            vec![4, 4],
            "main.0.weight is missing, the file begins with gen.0.weight",
        ),
        (
            "main.0.weight",
            vec![8, 3, 5, 5],
            "main.0.weight is [8, 3, 5, 5], expected two numbers",
        ),
        (
            "main.0.weight",
            vec![8, 3, 4, 4],
            "main.2.weight is missing",
        ),
    ] {
        let x = Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
        let weights = Weights::from_tensors(Path::new("g"), [(key.to_string(), x)].into());
        let said = Generator::open(&weights, &Device::Cpu)
            .unwrap_err()
            .to_string();
        assert!(said.contains(want), "{said}");
    }
}

/// The losses are the sums of their parts, and each distance is its own.
#[test]
fn losses_are_their_parts() {
    let mut found = Vec::new();
    for distance in [Distance::Mse, Distance::L1, Distance::Huber] {
        let config = Config {
            distance,
            ..Config::preset(Preset::Smoke, &context().data)
        };
        let mut gan = DiscoGan::new(&config, &context()).unwrap();
        let side = |len: usize, tint: usize| {
            let info = context().data.of(len);
            let bytes = (0..len * info.pixels()).map(|i| (i * tint % 256) as u8);
            Arc::new(Held::new(info, bytes.collect(), None).unwrap())
        };
        let data = Data::apart(side(5, 11), side(3, 29));
        let (mut source, mut seen) = (LiveSource::new(&data, 1, &Device::Cpu), Seen::default());
        gan.step(&mut Iter::new(0, &mut source, &mut seen)).unwrap();
        let read = |(name, value): &(String, Tensor)| (name.clone(), value.to_scalar().unwrap());
        let seen: BTreeMap<String, f32> = seen.scalars.iter().map(read).collect();
        let sum = |names: &[&str]| names.iter().map(|name| seen[*name]).sum::<f32>();
        let near = |a: f32, b: f32| assert!((a - b).abs() < 1e-4 * b, "{a}, expected {b}");
        near(sum(&["loss/d/d"]), sum(&["loss/d/d_x", "loss/d/d_y"]));
        let parts = ["gan_g", "gan_f", "rec_x", "rec_y"].map(|term| format!("loss/g/{term}"));
        near(
            sum(&["loss/g/g"]),
            sum(&parts.each_ref().map(|name| &name[..])),
        );
        found.push(seen["loss/g/rec_x"]);
    }
    // Values in [0, 1] differ by less than 1, where Huber's is half the square.
    assert!((found[0] / found[2] - 2.).abs() < 1e-4, "{found:?}");
    assert!(found[1] > found[0], "{found:?}");
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let smoke = || Config::preset(Preset::Smoke, &context().data);
    for (config, want) in [
        (
            Config {
                size: 24,
                ..smoke()
            },
            "size is 24, expected a power of two from 16 to 1024",
        ),
        (
            Config {
                bottleneck: 16,
                ..smoke()
            },
            "bottleneck is 16, expected another number than 16, which a further halving would have",
        ),
        (
            Config {
                width_d: 0,
                ..smoke()
            },
            "width_d is 0, expected 1 to 1024",
        ),
        (
            Config {
                weight_decay: -1.,
                ..smoke()
            },
            "weight_decay is -1, expected 0 to 1",
        ),
        (
            Config {
                channels: 1,
                ..smoke()
            },
            "channels is 1, but the data's pictures have 3",
        ),
    ] {
        let said = DiscoGan::new(&config, &context()).unwrap_err().to_string();
        assert_eq!(said.lines().next().unwrap(), want);
    }
}
