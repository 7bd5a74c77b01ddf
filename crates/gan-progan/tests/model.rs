//! Counts, phases, and layers that do not take part.

#![allow(clippy::unwrap_used, missing_docs)]

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::VarBuilder;
use gan_core::data::{Data, Held};
use gan_core::rng::CounterRng;
use gan_core::{
    Algorithm, Context, DataInfo, Draws, Iter, Length, LiveSource, Net, Paper, Preset, Seen, Tally,
    Weights, checkpoint,
};
use gan_progan::{
    Batch, Config, Discriminator, Generator, Phase, ProGan, Schedule, Sizes, initial,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// How many numbers a network has, which is not made for that.
fn count<M>(build: impl Fn(VarBuilder<'static>) -> Result<M>) -> u64 {
    let tally = Tally::default();
    let mut cx = Context::new(&Device::Cpu, 1, DataInfo::unlabelled(3, 8), 1);
    cx.tally = Some(tally.clone());
    Net::new(&cx, "net", initial, build).unwrap();
    tally.bytes() / size_of::<f32>() as u64
}

fn counts(sizes: &Sizes) -> [u64; 2] {
    [
        count(|vb| Generator::new(sizes, vb)),
        count(|vb| Discriminator::new(sizes, 4, vb)),
    ]
}

/// Table 2 has 23.1 M for each at 1024x1024.
#[test]
fn counts_are_those_of_table_2() {
    for (side, wanted) in [
        (1024, [23_079_115, 23_087_249]),
        (256, [23_044_309, 23_052_353]),
        (128, [22_933_394, 22_941_313]),
        (32, [20_719_628, 20_726_785]),
    ] {
        let config = Config::preset(Preset::Paper, &DataInfo::unlabelled(3, side));
        assert_eq!(config.size, side);
        assert_eq!(counts(&config.sizes()), wanted, "{side}");
    }
}

fn smoke() -> Config {
    Config::preset(Preset::Smoke, &DataInfo::unlabelled(3, 64))
}

/// Five parts for 4x4, 8x8 and 16x16 in equal numbers of pictures, α inside (0, 1), growth where a resolution begins.
#[test]
fn phases_are_a_function_of_the_iteration() {
    let schedule = Schedule::new(&smoke(), Length::of(20)).unwrap();
    let phases: Vec<_> = (0..20).map(|t| schedule.phase(t)).collect();
    let levels: Vec<_> = phases.iter().map(|phase| phase.level).collect();
    assert_eq!(levels, [[0; 4], [1; 4], [1; 4], [2; 4], [2; 4]].concat());
    let alphas: Vec<_> = phases.iter().map(|phase| phase.alpha).collect();
    let (fading, stable) = ([0.2, 0.4, 0.6, 0.8], [1.; 4]);
    let wanted = [stable, fading, stable, fading, stable].concat();
    for (alpha, wanted) in alphas.iter().zip(wanted) {
        assert!((alpha - wanted).abs() < 1e-12, "{alphas:?}");
    }
    let grows: Vec<_> = (0..20).filter(|&t| schedule.grows(t)).collect();
    assert_eq!(grows, [4, 12]);
    assert_eq!(schedule.ends(), [4, 8, 12, 16]);
    // A run made longer without a new schedule stays at the last phase.
    let length = Length {
        held_from: Some(20),
        ..Length::of(20)
    };
    let held = Schedule::new(&smoke(), length).unwrap();
    assert_eq!(held.phase(30), Phase::whole(2));
    // Twice as many pictures a batch are half as many iterations.
    let config = Config {
        batch: Batch::Each(vec![8, 16, 16]),
        ..smoke()
    };
    let schedule = Schedule::new(&config, Length::of(12)).unwrap();
    assert_eq!(schedule.ends(), [4, 6, 8, 10]);
    // Pictures that are counted, the last batch of a part filled up.
    let config = Config {
        stable: 20,
        fading: 8,
        ..smoke()
    };
    let schedule = Schedule::new(&config, Length::of(100)).unwrap();
    assert_eq!(schedule.ends(), [3, 4, 7, 8]);
    let short = Schedule::new(&config, Length::of(8)).unwrap_err();
    assert!(
        short.to_string().contains("faded in after 8 only"),
        "{short}"
    );
    // Any run has all phases that it has iterations for, and the last one at its end.
    for steps in 1..30 {
        let schedule = Schedule::new(&smoke(), Length::of(steps)).unwrap();
        let phase = schedule.phase(steps - 1);
        assert!(steps < 5 || phase == Phase::whole(2), "{steps}: {phase:?}");
    }
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let refused = |config: Config, words: &str| {
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    refused(
        Config {
            size: 48,
            ..smoke()
        },
        "size is 48, expected a power of two",
    );
    refused(Config { size: 2, ..smoke() }, "size is 2");
    let batch = |numbers: &[usize]| Config {
        batch: Batch::Each(numbers.to_vec()),
        ..smoke()
    };
    refused(batch(&[8, 0, 8]), "batch is 0 at 8x8");
    refused(batch(&[8, 8]), "batch has 2 numbers, expected 3");
    refused(
        Config {
            fading: 8,
            ..smoke()
        },
        "stable is 0 and fading is 8",
    );
    refused(
        Config {
            alpha: 0.,
            ..smoke()
        },
        "alpha is 0",
    );
    refused(
        Config {
            fmap_base: 4,
            ..smoke()
        },
        "fmap_base is 4, expected 8",
    );
    batch(&[8, 8, 8, 8]).check().unwrap(); // a table of more resolutions than the run has
}

/// The layers of other resolutions are not read: what they hold changes nothing.
#[test]
fn layers_that_take_no_part_change_nothing() {
    let cx = Context::new(&Device::Cpu, 1, DataInfo::unlabelled(3, 16), 20);
    let sizes = smoke().sizes();
    let g = Net::new(&cx, "g", initial, |vb| Generator::new(&sizes, vb)).unwrap();
    let mut draws = CounterRng::new(1, &Device::Cpu);
    let z = draws.normal("z", &[4, sizes.z_dim]).unwrap();
    for phase in [
        Phase::whole(0),
        Phase {
            level: 1,
            alpha: 0.3,
        },
        Phase::whole(1),
    ] {
        let made = || {
            let pictures = g.frozen.forward(&z, &phase).unwrap();
            assert_eq!(pictures.dims(), [4, 3, phase.side(), phase.side()]);
            pictures.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        let before = made();
        for (key, var) in g.params.trainable() {
            if !phase.uses(&key) {
                var.set(&(var.detach() + 1.).unwrap()).unwrap();
            }
        }
        assert_eq!(made(), before, "{phase:?}");
        let moved = g
            .params
            .trainable()
            .into_iter()
            .find(|(key, _)| phase.uses(key))
            .unwrap();
        moved.1.set(&(moved.1.detach() + 1.).unwrap()).unwrap();
        assert_ne!(made(), before, "{phase:?}");
    }
}

/// What a weights file holds says how large the networks are.
#[test]
fn saved_weights_are_recognised() {
    let cx = Context::new(&Device::Cpu, 1, DataInfo::unlabelled(1, 16), 20);
    let config = Config {
        channels: 1,
        ..smoke()
    };
    let mut gan = ProGan::new(&config, &cx).unwrap();
    let mut tensors = BTreeMap::new();
    for (name, part) in gan.parts() {
        if let (Some(params), "ema") = (part.params(), name) {
            let all = params.all().into_iter();
            tensors.extend(all.map(|(key, var)| (key, var.as_detached_tensor())));
        }
    }
    let weights = Weights::from_tensors(Path::new("ema.safetensors"), tensors);
    assert_eq!(Generator::recognise(&weights).unwrap(), config.sizes());
    Generator::open(&weights, &Device::Cpu).unwrap();
}

/// A training that goes on from the state before any iteration makes it to the same bits: within parts that fade and
/// that do not, and across each growth, where the optimizers start afresh.
#[test]
fn each_iteration_is_made_again_from_the_state_before_it() {
    let info = DataInfo::unlabelled(3, 16).of(24);
    let bytes = (0..info.len * info.pixels()).map(|i| (i * 37 % 251) as u8);
    let held = Held::new(info.clone(), bytes.collect(), None).unwrap();
    let data = Data::one(Arc::new(held));
    let cx = Context::new(&Device::Cpu, 1, info, 10);
    let begin = || {
        let source = LiveSource::new(&data, 1, &Device::Cpu);
        (ProGan::new(&smoke(), &cx).unwrap(), source)
    };
    let step = |gan: &mut ProGan, source: &mut LiveSource, t: u64| {
        let mut seen = Seen::default();
        gan.step(&mut Iter::new(t, source, &mut seen)).unwrap();
    };
    // Copies: what a training holds moves on.
    let state = |gan: &mut ProGan, source: &LiveSource| -> BTreeMap<String, Tensor> {
        let all = checkpoint::state(gan, source).unwrap().into_iter();
        all.map(|(key, tensor)| (key, tensor.copy().unwrap()))
            .collect()
    };
    let numbers = |tensor: &Tensor| -> Vec<u64> {
        let tensor = tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap();
        let values = tensor.to_vec1::<f64>().unwrap().into_iter();
        values.map(f64::to_bits).collect()
    };
    let (mut gan, mut source) = begin();
    for t in 0..10 {
        let before = state(&mut gan, &source);
        step(&mut gan, &mut source, t);
        let after = state(&mut gan, &source);
        let (mut again, mut its) = begin();
        checkpoint::restore(&before, &mut again, Some(&mut its)).unwrap();
        step(&mut again, &mut its, t);
        let made = state(&mut again, &its);
        assert!(made.keys().eq(after.keys()), "iteration {t}");
        for (key, tensor) in &after {
            let there = made.get(key).unwrap();
            assert_eq!(numbers(there), numbers(tensor), "iteration {t}: {key}");
        }
    }
}
