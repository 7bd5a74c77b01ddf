//! Shapes, key names and parameter counts of the networks, the pools, and weights that PyTorch made
//! (`tests/reference/make_weights.py`).

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use candle_core::{DType, Device, Result, Tensor};
use gan_core::data::{Data, Held};
use gan_core::nn::Mode;
use gan_core::rng::CounterRng;
use gan_core::{
    Algorithm, Columns, Context, DataInfo, Draws, Iter, LiveSource, Net, Paper, Preset, Probe,
    Seen, Side, StateReader, StateWriter, Stateful, Weights, init, translate,
};
use gan_cyclegan::{
    Config, CycleGan, Norm, PatchDiscriminator, Pool, ResnetGenerator, ResnetSizes,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

fn context() -> Context {
    let data = DataInfo::picture(3, 20, 16).of(5);
    Context::new(&Device::Cpu, 1, data, 1)
}

fn saved(name: &str) -> Weights {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/weights");
    Weights::read(&root.join(format!("{name}.safetensors"))).unwrap()
}

fn values(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

/// The counts of the published networks (RGB).
#[test]
fn counts_are_the_published_ones() {
    let config = Config::preset(Preset::Paper, &context().data);
    let start = init::convolutions_normal_offsets_zero;
    for (size, count) in [(256, 11_378_179), (128, 7_837_699)] {
        let sizes = ResnetSizes {
            blocks: Config::blocks(size),
            ..config.generator()
        };
        let g = Net::new(&context(), "g", start, |vb| {
            ResnetGenerator::new(&sizes, vb)
        })
        .unwrap();
        assert_eq!(g.params.count(), count);
    }
    let d = Net::new(&context(), "d_x", start, |vb| {
        PatchDiscriminator::new(config.norm, &config.discriminator(), vb)
    });
    assert_eq!(d.unwrap().params.count(), 2_764_737);
}

/// Files of PyTorch's open: plain; trained on several devices, with statistics of instance norm that no one
/// uses; with batch norm. Each makes the pictures that PyTorch makes of it.
#[test]
fn generators_saved_by_pytorch_open_and_make_the_same() {
    for (file, pictures, norm) in [
        ("resnet", "resnet-pictures", Norm::Instance),
        ("resnet-wrapped", "resnet-pictures", Norm::Instance),
        ("resnet-batch", "resnet-batch-pictures", Norm::Batch),
    ] {
        let g = ResnetGenerator::open(&saved(file), &Device::Cpu).unwrap();
        let want = ResnetSizes {
            inputs: 3,
            outputs: 3,
            width: 3,
            blocks: 2,
            norm,
        };
        assert_eq!(g.sizes(), &want);
        let pictures = saved(pictures);
        for (mode, name) in [(Mode::Eval, "eval"), (Mode::Batch, "train")] {
            let made = g.forward(pictures.get("input").unwrap(), mode).unwrap();
            let want = values(pictures.get(name).unwrap());
            let gaps = values(&made)
                .into_iter()
                .zip(want)
                .map(|(a, b)| (a - b).abs());
            let gap = gaps.fold(0., f32::max);
            assert!(gap < 1e-5, "{file}, {name}: {gap}");
        }
    }
}

/// Networks that dropped units in training have the second convolution of a block, and its norm, one place later.
#[test]
fn generators_trained_with_dropout_open_and_make_the_same() {
    for file in ["resnet", "resnet-batch"] {
        let plain = saved(file);
        let later = |key: &str| match key.split('.').collect::<Vec<_>>()[..] {
            ["model", n, "conv_block", "5", leaf] => format!("model.{n}.conv_block.6.{leaf}"),
            ["model", n, "conv_block", "6", leaf] => format!("model.{n}.conv_block.7.{leaf}"),
            _ => key.to_string(),
        };
        let tensors: BTreeMap<String, Tensor> = plain
            .iter()
            .map(|(key, t)| (later(key), t.clone()))
            .collect();
        let dropped = Weights::from_tensors(Path::new("dropped"), tensors);
        assert!(dropped.get("model.11.conv_block.6.weight").is_some());
        let [a, b] = [&plain, &dropped].map(|weights| {
            let g = ResnetGenerator::open(weights, &Device::Cpu).unwrap();
            let pictures = saved("resnet-pictures");
            values(
                &g.forward(pictures.get("input").unwrap(), Mode::Eval)
                    .unwrap(),
            )
        });
        assert_eq!(a, b, "{file}");
    }
}

#[test]
fn other_files_are_refused_by_their_first_keys() {
    let refused = |change: &dyn Fn(&mut BTreeMap<String, Tensor>)| {
        let weights = saved("resnet");
        let mut tensors: BTreeMap<_, _> = weights
            .iter()
            .map(|(key, t)| (key.to_string(), t.clone()))
            .collect();
        change(&mut tensors);
        let weights = Weights::from_tensors(Path::new("g"), tensors);
        let said = ResnetGenerator::open(&weights, &Device::Cpu)
            .unwrap_err()
            .to_string();
        said.lines().next().unwrap().to_string()
    };
    for (said, want) in [
        (
            refused(&|t| t.retain(|key, _| !key.starts_with("model.1."))),
            "model.1.weight is missing, the file begins with model.10.conv_block.1.bias",
        ),
        (
            refused(&|t| drop(t.remove("model.4.bias"))),
            "model.4.bias is missing",
        ),
        // A network with dropout has its second convolution one further.
        (
            refused(&|t| {
                for leaf in ["weight", "bias"] {
                    let moved = t.remove(&format!("model.11.conv_block.5.{leaf}")).unwrap();
                    t.insert(format!("model.11.conv_block.6.{leaf}"), moved);
                }
            }),
            "model.11.conv_block.5.weight is missing, model.11.conv_block.6.bias is not expected, \
             model.11.conv_block.5.bias is missing",
        ),
        (
            refused(&|t| t.retain(|key, _| !key.contains("conv_block"))),
            "model.10.conv_block.1.weight is missing",
        ),
    ] {
        assert!(said.contains(want), "{want:?} is not in {said:?}");
    }
    // An affine instance norm is another network.
    let said = refused(&|t| {
        let gain = Tensor::ones(3, DType::F32, &Device::Cpu).unwrap();
        t.insert("model.2.weight".into(), gain);
    });
    assert!(said.contains("model.2.bias is missing"), "{said}");
}

/// Hands out given coins and slots.
struct Given(Vec<usize>);

impl Draws for Given {
    fn normal(&mut self, role: &str, _: &[usize]) -> Result<Tensor> {
        panic!("{role} was drawn")
    }
    fn uniform(&mut self, role: &str, _: &[usize]) -> Result<Tensor> {
        panic!("{role} was drawn")
    }
    fn mask(&mut self, role: &str, _: f64, _: &[usize]) -> Result<Tensor> {
        panic!("{role} was drawn")
    }
    fn choices(&mut self, _: &str, _: usize, _: usize) -> Result<Vec<usize>> {
        Ok(vec![self.0.remove(0)])
    }
}

#[test]
fn a_pool_fills_then_swaps_or_passes_and_is_saved() {
    let fakes = |from: usize| {
        let x = Tensor::arange(from as f32, from as f32 + 2., &Device::Cpu).unwrap();
        x.reshape((2, 1, 1, 1)).unwrap()
    };
    let mut pool = Pool::new("pool_x", 3, &Device::Cpu);
    let ask = |pool: &mut Pool, from, draws: &[usize]| {
        let mut given = Given(draws.to_vec());
        let out = values(&pool.query(&fakes(from), &mut given).unwrap());
        assert!(given.0.is_empty());
        out
    };
    assert_eq!(ask(&mut pool, 0, &[]), [0., 1.]);
    assert_eq!(ask(&mut pool, 2, &[0]), [2., 3.]); // held: 0 1 2
    assert_eq!(ask(&mut pool, 4, &[1, 1, 1, 1]), [1., 4.]); // held: 0 5 2
    let mut tensors = BTreeMap::new();
    pool.save(&mut StateWriter::new(&mut tensors)).unwrap();
    let mut other = Pool::new("pool_x", 3, &Device::Cpu);
    let mut used = BTreeSet::new();
    other
        .load(&mut StateReader::new(&tensors, &mut used))
        .unwrap();
    assert_eq!(used.len(), tensors.len());
    assert_eq!(ask(&mut other, 6, &[1, 0, 1, 1]), [0., 5.]);
    let mut narrow = Pool::new("pool_x", 2, &Device::Cpu);
    let said = narrow.load(&mut StateReader::new(&tensors, &mut used));
    assert!(
        said.unwrap_err()
            .to_string()
            .contains("holds 3 pictures, this one has room for 2")
    );
    let mut none = Pool::new("pool_x", 0, &Device::Cpu);
    assert_eq!(ask(&mut none, 8, &[]), [8., 9.]);
}

fn source() -> LiveSource {
    let side = |len: usize, tint: usize| {
        let info = context().data.of(len);
        let bytes = (0..len * info.pixels()).map(|i| ((i * 37 + i / 48 * tint) % 256) as u8);
        Arc::new(Held::new(info, bytes.collect(), None).unwrap())
    };
    let data = Data::apart(side(5, 11), side(3, 29));
    LiveSource::new(&data, 1, &Device::Cpu)
}

#[test]
fn the_loss_is_its_parts_and_identity_is_a_key() {
    for (weight, count) in [(0., 5), (0.5, 7)] {
        let config = Config {
            lambda_identity: weight,
            ..Config::preset(Preset::Smoke, &context().data)
        };
        let mut algorithm = CycleGan::new(&config, &context()).unwrap();
        let (mut source, mut seen) = (source(), Seen::default());
        algorithm
            .step(&mut Iter::new(0, &mut source, &mut seen))
            .unwrap();
        let read = |(name, value): &(String, Tensor)| (name.clone(), value.to_scalar().unwrap());
        let seen: BTreeMap<String, f32> = seen.scalars.iter().map(read).collect();
        let term = |name: &str| seen.get(&format!("loss/g/{name}")).copied().unwrap_or(0.);
        let sum = term("gan_g")
            + term("gan_f")
            + 10. * (term("cycle_x") + term("cycle_y"))
            + 10. * weight as f32 * (term("idt_x") + term("idt_y"));
        assert!((term("g") - sum).abs() < 1e-4 * sum);
        assert_eq!(
            seen.keys()
                .filter(|name| name.starts_with("loss/g/"))
                .count(),
            count
        );
    }
}

/// Each side is translated and brought back by the other generator, in its own size.
#[test]
fn both_sides_are_translated() {
    let config = Config::preset(Preset::Smoke, &context().data);
    let algorithm = CycleGan::new(&config, &context()).unwrap();
    let sampler = algorithm.sampler(0);
    let mut draws = CounterRng::new(1, &Device::Cpu);
    let x = draws.uniform("x", &[2, 3, 13, 18]).unwrap();
    let y = draws.uniform("y", &[2, 3, 13, 18]).unwrap();
    let mut made = |probe| translate(&*sampler, &probe, &mut draws).unwrap();
    let (there, back) = (
        made(Probe::pictures(Side::A, x.clone())),
        made(Probe::pictures(Side::B, y.clone())),
    );
    let both = made(Probe::pictures(Side::A, x).with(Side::B, y));
    let names: Vec<_> = both.iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        ["real", "fake", "cycled", "real_y", "fake_x", "cycled_y"]
    );
    for ((_, one), (_, all)) in there.iter().chain(back.iter()).zip(both.iter()) {
        assert_eq!(one.dims(), [2, 3, 13, 18]);
        assert_eq!(values(one), values(all));
    }
    let fake = |columns: &Columns| values(columns.get("fake").unwrap());
    assert_ne!(fake(&there), fake(&back));
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let smoke = || Config::preset(Preset::Smoke, &context().data);
    for (config, want) in [
        (
            Config {
                size: 18,
                ..smoke()
            },
            "size is 18, expected a multiple of 4",
        ),
        (
            Config {
                jitter: 9999,
                ..smoke()
            },
            "jitter is 9999, expected 0 to 4096",
        ),
        (
            Config {
                n_layers: 3,
                ..smoke()
            },
            "size is 16, too small for n_layers = 3: expected at least 24",
        ),
        (
            Config {
                blocks: 0,
                ..smoke()
            },
            "blocks is 0, expected 1 to 64",
        ),
        (
            Config {
                lambda_identity: -1.,
                ..smoke()
            },
            "lambda_identity is -1, expected 0 to 1000000",
        ),
        (
            Config {
                channels: 1,
                ..smoke()
            },
            "channels is 1, but the data's pictures have 3",
        ),
    ] {
        let said = CycleGan::new(&config, &context()).unwrap_err().to_string();
        assert_eq!(said.lines().next().unwrap(), want);
    }
}
