//! Shapes, key names and parameter counts of the networks, what the settings change, and weights that PyTorch
//! made (`tests/reference/make_weights.py`).

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use candle_core::{Device, Tensor};
use gan_core::data::{Data, Held};
use gan_core::nn::Mode;
use gan_core::rng::CounterRng;
use gan_core::{
    Algorithm, Context, DataInfo, Draws, Iter, LiveSource, Net, Paper, Preset, Probe, Sampler,
    Seen, Side, Weights, init, translate,
};
use gan_pix2pix::{
    Config, Direction, Noise, Norm, Objective, PatchDiscriminator, Pix2Pix, Regression, Translator,
    Unet, UnetSizes,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

fn context(channels: usize) -> Context {
    let data = DataInfo::picture(channels, 32, 32).of(4);
    Context::new(&Device::Cpu, 1, data, 1)
}

fn unet(sizes: &UnetSizes, p: f64) -> Net<Unet> {
    let start = init::convolutions_normal_offsets_zero;
    Net::new(&context(3), "g", start, |vb| Unet::new(sizes, p, vb)).unwrap()
}

fn saved(name: &str) -> Weights {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/weights");
    Weights::read(&root.join(format!("{name}.safetensors"))).unwrap()
}

fn values(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

fn gap(a: &Tensor, b: &Tensor) -> f32 {
    let gaps = values(a).into_iter().zip(values(b));
    gaps.map(|(a, b)| (a - b).abs()).fold(0., f32::max)
}

fn noise(norm: Mode) -> Noise {
    Noise {
        norm,
        dropout: Mode::Eval,
    }
}

/// Settings that train in milliseconds.
fn tiny() -> Config {
    Config {
        size: 32,
        jitter: 4,
        downs: 5,
        width_g: 2,
        width_d: 2,
        n_layers: 1,
        ..Config::preset(Preset::Smoke, &context(3).data)
    }
}

/// The counts of the published networks (256 px, RGB).
#[test]
fn counts_are_the_published_ones() {
    let config = Config::preset(Preset::Paper, &context(3).data);
    assert_eq!(unet(&config.generator(), 0.5).params.count(), 54_413_955);
    let d = Net::new(&context(3), "d", init::as_layers, |vb| {
        PatchDiscriminator::new(config.norm, &config.discriminator(), vb)
    });
    assert_eq!(d.unwrap().params.count(), 2_768_705);
}

/// A file of PyTorch's opens, with its counters of batches and a `module.` before every key or without, and
/// makes the same pictures.
#[test]
fn a_generator_saved_by_pytorch_opens_and_makes_the_same() {
    let (weights, pictures) = (saved("unet"), saved("unet-pictures"));
    assert!(
        weights
            .keys()
            .any(|key| key.ends_with("num_batches_tracked"))
    );
    let wrapped = weights
        .iter()
        .map(|(key, t)| (format!("module.{key}"), t.clone()));
    let wrapped = Weights::from_tensors(Path::new("wrapped"), wrapped.collect());
    let x = pictures.get("input").unwrap();
    let mut draws = CounterRng::new(1, &Device::Cpu);
    for weights in [weights, wrapped] {
        let g = Unet::open(&weights, &Device::Cpu).unwrap();
        let want = UnetSizes {
            inputs: 3,
            outputs: 3,
            width: 2,
            downs: 5,
            norm: Norm::Batch,
        };
        assert_eq!(g.sizes(), &want);
        for (mode, name) in [(Mode::Eval, "eval"), (Mode::Batch, "train")] {
            let made = g.forward(x, noise(mode), &mut draws).unwrap();
            let gap = gap(&made, pictures.get(name).unwrap());
            assert!(gap < 1e-5, "{name}: {gap}");
        }
    }
}

#[test]
fn other_files_are_refused_by_their_first_keys() {
    let weights = saved("unet");
    let refused = |change: &dyn Fn(&mut BTreeMap<String, Tensor>)| {
        let mut tensors: BTreeMap<_, _> = weights
            .iter()
            .map(|(key, t)| (key.to_string(), t.clone()))
            .collect();
        change(&mut tensors);
        let weights = Weights::from_tensors(Path::new("g"), tensors);
        let said = Translator::open(&weights, &Device::Cpu)
            .unwrap_err()
            .to_string();
        said.lines().next().unwrap().to_string()
    };
    let inner = "model.model.1.model.3.model.2.running_var";
    for (said, want) in [
        (
            refused(&|t| drop(t.remove(inner))),
            "model.model.1.model.3.model.2.running_var is missing",
        ),
        (
            refused(&|t| t.retain(|key, _| key != "model.model.0.weight")),
            "model.model.0.weight is missing, the file begins with model.model.1.model.1.weight",
        ),
        (
            refused(&|t| {
                let bias = t["model.model.3.bias"].clone();
                t.insert("model.model.4.bias".into(), bias);
            }),
            "model.model.4.bias is not expected",
        ),
        (
            refused(&|t| {
                let wide = Tensor::zeros((2, 3, 3, 3), candle_core::DType::F32, &Device::Cpu);
                t.insert("model.model.0.weight".into(), wide.unwrap());
            }),
            "model.model.0.weight is [2, 3, 3, 3]",
        ),
    ] {
        assert!(said.contains(want), "{want:?} is not in {said:?}");
    }
}

/// Instance norm has no parameters, so each convolution has a bias; statistics that are left over are not read.
#[test]
fn a_network_with_instance_norm_is_recognised() {
    let sizes = UnetSizes {
        inputs: 1,
        outputs: 3,
        width: 2,
        downs: 6,
        norm: Norm::Instance,
    };
    let g = unet(&sizes, 0.5);
    let mut tensors = BTreeMap::new();
    for (key, var) in g.params.all() {
        assert!(!key.contains("running"));
        tensors.insert(key, var.as_detached_tensor());
    }
    let left = Tensor::zeros(4, candle_core::DType::F32, &Device::Cpu).unwrap();
    tensors.insert("model.model.1.model.6.running_mean".into(), left);
    let weights = Weights::from_tensors(Path::new("g"), tensors);
    assert_eq!(Unet::open(&weights, &Device::Cpu).unwrap().sizes(), &sizes);
}

/// Masks are drawn for the levels that have them, deepest first, and only where they are wanted.
#[test]
fn dropout_is_where_the_published_network_has_it() {
    struct Masks(CounterRng, Vec<Vec<usize>>);
    impl Draws for Masks {
        fn normal(&mut self, role: &str, shape: &[usize]) -> candle_core::Result<Tensor> {
            self.0.normal(role, shape)
        }
        fn uniform(&mut self, role: &str, shape: &[usize]) -> candle_core::Result<Tensor> {
            self.0.uniform(role, shape)
        }
        fn mask(&mut self, role: &str, p: f64, shape: &[usize]) -> candle_core::Result<Tensor> {
            self.1.push(shape.to_vec());
            self.0.mask(role, p, shape)
        }
        fn choices(
            &mut self,
            role: &str,
            n: usize,
            below: usize,
        ) -> candle_core::Result<Vec<usize>> {
            self.0.choices(role, n, below)
        }
    }
    let sizes = UnetSizes {
        downs: 8,
        ..tiny().generator()
    };
    let g = unet(&sizes, 0.5);
    let x = Tensor::zeros((2, 3, 256, 256), candle_core::DType::F32, &Device::Cpu).unwrap();
    let mut draws = Masks(CounterRng::new(1, &Device::Cpu), Vec::new());
    g.live.forward(&x, Noise::TRAIN, &mut draws).unwrap();
    assert_eq!(draws.1, [[2, 16, 4, 4], [2, 16, 8, 8], [2, 16, 16, 16]]);
    g.live.forward(&x, noise(Mode::Batch), &mut draws).unwrap();
    assert_eq!(draws.1.len(), 3);
}

fn source(seed: u64) -> LiveSource {
    let info = context(3).data;
    let side = |tint: usize| {
        let bytes = (0..info.len * info.pixels()).map(|i| ((i * 37 + i / 96 * tint) % 256) as u8);
        Arc::new(Held::new(info.clone(), bytes.collect(), None).unwrap())
    };
    let data = Data::paired(side(11), side(23)).unwrap();
    LiveSource::new(&data, seed, &Device::Cpu)
}

/// Scalars of one iteration.
fn scalars(algorithm: &mut dyn Algorithm) -> BTreeMap<String, f32> {
    let (mut source, mut seen) = (source(1), Seen::default());
    algorithm
        .step(&mut Iter::new(0, &mut source, &mut seen))
        .unwrap();
    let read = |(name, value): &(String, Tensor)| (name.clone(), value.to_scalar().unwrap());
    seen.scalars.iter().map(read).collect()
}

#[test]
fn objectives_and_directions() {
    let with = |objective, direction| Config {
        objective,
        direction,
        ..tiny()
    };
    let cx = context(3);
    let both = |direction| {
        let config = with(Objective::CganL1, direction);
        scalars(&mut Pix2Pix::new(&config, &cx).unwrap())
    };
    let there = both(Direction::AToB);
    let sum = there["loss/g/g_gan"] + 100. * there["loss/g/g_l1"];
    assert!((there["loss/g/g"] - sum).abs() < 1e-4 * sum);
    let halves = (there["loss/d/d_real"] + there["loss/d/d_fake"]) / 2.;
    assert!((there["loss/d/d"] - halves).abs() < 1e-6);
    assert_ne!(there["loss/g/g_l1"], both(Direction::BToA)["loss/g/g_l1"]);

    let gan = scalars(&mut Pix2Pix::new(&with(Objective::Cgan, Direction::AToB), &cx).unwrap());
    assert_eq!(gan["loss/g/g"], gan["loss/g/g_gan"]);
    assert!(gan["loss/g/g_l1"] > 0.);

    let config = with(Objective::L1, Direction::AToB);
    let mut alone = Regression::new(&config, &cx).unwrap();
    let l1 = scalars(&mut alone);
    assert_eq!(l1["loss/g/g_l1"], there["loss/g/g_l1"]);
    assert!(!l1.keys().any(|name| name.contains("d_real")));
    let parts: Vec<_> = alone.parts().into_iter().map(|(name, _)| name).collect();
    assert_eq!(parts, ["g", "opt_g"]);
}

/// Samples are random where dropout is on, do not depend on their neighbours, and keep their size.
#[test]
fn samples_of_any_size() {
    let config = Config {
        downs: 6,
        size: 64,
        jitter: 0,
        ..tiny()
    };
    let algorithm = Pix2Pix::new(&config, &context(3)).unwrap();
    let x = CounterRng::new(3, &Device::Cpu)
        .uniform("x", &[2, 3, 64, 64])
        .unwrap();
    let made = |sampler: &dyn Sampler, x: &Tensor, seed| {
        let mut draws = CounterRng::new(seed, &Device::Cpu);
        let columns = translate(sampler, &Probe::pictures(Side::A, x.clone()), &mut draws).unwrap();
        let (real, fake) = (columns.get("real").unwrap(), columns.get("fake").unwrap());
        assert_eq!(columns.len(), 2);
        assert_eq!((values(real), fake.dims()), (values(x), x.dims()));
        fake.clone()
    };
    let sampler = algorithm.sampler(0);
    assert_eq!(
        values(&made(&*sampler, &x, 1)),
        values(&made(&*sampler, &x, 1))
    );
    assert_ne!(
        values(&made(&*sampler, &x, 1)),
        values(&made(&*sampler, &x, 2))
    );
    let first = x.narrow(0, 0, 1).unwrap();
    let alone = made(&*sampler, &first, 1);
    assert_eq!(
        values(&alone),
        values(&made(&*sampler, &x, 1).narrow(0, 0, 1).unwrap())
    );
    let odd = x.narrow(2, 0, 37).unwrap().narrow(3, 0, 61).unwrap();
    made(&*sampler, &odd, 1);
    let mut draws = CounterRng::new(1, &Device::Cpu);
    let said = sampler
        .sample(&Probe::pictures(Side::A, odd), &mut draws)
        .unwrap_err()
        .to_string();
    assert!(said.contains("sides that are multiples of 64"), "{said}");

    let still = Pix2Pix::new(
        &Config {
            sample_dropout: false,
            ..config
        },
        &context(3),
    )
    .unwrap();
    let sampler = still.sampler(0);
    assert_eq!(
        values(&made(&*sampler, &x, 1)),
        values(&made(&*sampler, &x, 2))
    );
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let said = |config: Config| {
        let said = Pix2Pix::new(&config, &context(3)).unwrap_err().to_string();
        said.lines().next().unwrap().to_string()
    };
    for (config, want) in [
        (
            Config { size: 48, ..tiny() },
            "size is 48, expected a multiple of 32",
        ),
        (
            Config {
                jitter: 9999,
                ..tiny()
            },
            "jitter is 9999, expected 0 to 4096",
        ),
        (
            Config { downs: 4, ..tiny() },
            "downs is 4, expected 5 to 10",
        ),
        (
            Config {
                n_layers: 4,
                ..tiny()
            },
            "size is 32, too small for n_layers = 4: expected at least 48",
        ),
        (
            Config {
                channels: 1,
                ..tiny()
            },
            "channels is 1, but the data's pictures have 3",
        ),
        (
            Config {
                decay: 1.5,
                ..tiny()
            },
            "decay is 1.5, expected 0 to 1",
        ),
    ] {
        assert_eq!(said(config), want);
    }
}
