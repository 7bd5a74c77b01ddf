//! The measures put sets of digits into the order that they deserve, and see what is wrong with each bad one.

use crate::program::{PAPERS, ok};
use candle_core::{Device, Tensor};
use gan_core::data::{Data, Small, Split, pictures};
use gan_core::rng::{CounterRng, Key, uniforms};
use gan_core::{DataInfo, Preset, View, Weights, fixed_noise};
use gan_eval::features::{FeatureSet, Features};
use gan_eval::frechet::Statistics;
use gan_eval::kid::kid;
use gan_eval::lenet::Classifier;
use gan_eval::msssim;
use gan_eval::neighbours::{Nearest, copying};
use gan_eval::precision::precision_recall;
use gan_eval::sliced::{Protocol, SlicedWasserstein};
use std::collections::BTreeMap;
use std::path::Path;
use xtask::dataset;

/// Pictures of each set.
const N: usize = 400;

fn seen(data: &Data, view: View, from: usize, n: usize) -> Tensor {
    dataset::seen(data, from..from + n, view, pictures("real")).unwrap()
}

/// What DCGAN's generator makes by weights of a file.
fn made(weights: &Path) -> Tensor {
    let recipe = PAPERS
        .iter()
        .find(|recipe| recipe.info().name == "dcgan")
        .unwrap();
    let sampler = recipe
        .open(&Weights::read(weights).unwrap(), &Device::Cpu)
        .unwrap();
    let probe = fixed_noise(&sampler.takes(), N, 5, &Device::Cpu).unwrap();
    let mut draws = CounterRng::new(5, &Device::Cpu);
    draws.begin(0);
    let columns = sampler.sample(&probe, &mut draws).unwrap();
    let (_, pictures) = columns.into_iter().next().unwrap();
    pictures.detach()
}

/// What every set is compared with.
struct Judge {
    classifier: Classifier,
    distance: SlicedWasserstein,
    real: FeatureSet,
    training: Tensor,
    held_out: Vec<f64>,
}

impl Judge {
    fn features(&self, pictures: &Tensor) -> FeatureSet {
        FeatureSet::of(&self.classifier.of(pictures).unwrap()).unwrap()
    }

    fn distances(&self, pictures: &Tensor) -> Vec<f64> {
        let mut nearest = Nearest::new(pictures).unwrap();
        nearest.add(&self.training).unwrap();
        nearest.distances()
    }

    fn values(&self, pictures: &Tensor) -> BTreeMap<&'static str, f64> {
        let features = self.features(pictures);
        let statistics = |set: &FeatureSet| Statistics::new(set).unwrap();
        let near = precision_recall(&self.real, &features).unwrap();
        let swd = self.distance.distances(pictures).unwrap();
        let copies = match self.held_out.is_empty() {
            true => None,
            false => Some(copying(&self.distances(pictures), &self.held_out).unwrap()),
        };
        BTreeMap::from([
            ("swd fine", swd[0]),
            ("swd coarse", swd[1]),
            (
                "lenet-fid",
                statistics(&self.real)
                    .distance(&statistics(&features))
                    .unwrap(),
            ),
            ("lenet-kid", kid(&self.real, &features).unwrap()),
            ("precision", near.precision),
            ("recall", near.recall),
            ("ms-ssim", msssim::among(pictures).unwrap()),
            ("nearest", copies.map_or(1., |copies| copies.ratio)),
            ("copied", copies.map_or(0., |copies| copies.share)),
        ])
    }
}

#[test]
fn better_sets_have_better_values_and_each_fault_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let train = [
        "train",
        "dcgan",
        "--steps",
        "150",
        "--seed",
        "1",
        "--sample-every",
        "0",
        "--quiet",
        "--out",
        "r",
    ];
    ok("", dir.path(), &train);
    let recipe = PAPERS
        .iter()
        .find(|recipe| recipe.info().name == "dcgan")
        .unwrap();
    let config = recipe
        .preset(Preset::Demo, &DataInfo::square(28 * 28).unwrap())
        .unwrap();
    let view = recipe.learns(&config).unwrap().view;
    let quiet = |_: &str, _: usize, _: usize| {};
    let open = |split| {
        let looked = dataset::look("mnist", split, None, &quiet).unwrap();
        let how = dataset::How {
            small: Small::Enlarge,
            ..dataset::How::default()
        };
        looked.read(view.still(), &how, &quiet).unwrap().0
    };
    let (test, training) = (open(Split::Test), open(Split::Train));
    let classifier = Classifier::embedded(&Device::Cpu).unwrap();
    let reference = seen(&test, view, 0, N);
    let mut judge = Judge {
        distance: SlicedWasserstein::new(&reference, Protocol::of(N, 1)).unwrap(),
        real: FeatureSet::of(&classifier.of(&reference).unwrap()).unwrap(),
        classifier,
        training: seen(&training, view, 0, 4000),
        held_out: Vec::new(),
    };
    judge.held_out = judge.distances(&reference);
    let held_out = seen(&test, view, N, N);
    let (_, c, h, w) = held_out.dims4().unwrap();
    let noise = uniforms(Key::new(1, "noise", 0, 0), 0, N * c * h * w);
    let noise = ((Tensor::from_vec(noise, (N, c, h, w), &Device::Cpu).unwrap() * 2.).unwrap() - 1.)
        .unwrap();
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/weights/dcgan.safetensors");
    let ranks = [
        ("held out", judge.values(&held_out)),
        ("trained", judge.values(&made(&assets))),
        (
            "barely trained",
            judge.values(&made(&dir.path().join("r/weights/g.safetensors"))),
        ),
        ("noise", judge.values(&noise)),
    ];
    for (name, values) in &ranks {
        println!("{name}: {values:.3?}");
    }
    for pair in ranks.windows(2) {
        let ((better, a), (worse, b)) = (&pair[0], &pair[1]);
        for name in ["swd fine", "swd coarse", "lenet-fid", "lenet-kid"] {
            assert!(
                a[name] < b[name],
                "{name}: {better} {}, {worse} {}",
                a[name],
                b[name]
            );
        }
        for name in ["precision", "recall"] {
            // Neither of the two last lies among digits at all.
            let apart = *better != "barely trained";
            assert!(
                a[name] > b[name] || !apart && a[name] >= b[name],
                "{name}: {better} {}, {worse} {}",
                a[name],
                b[name]
            );
        }
    }

    let real = &ranks[0].1;
    let padded = held_out
        .pad_with_same(2, 2, 2)
        .unwrap()
        .pad_with_same(3, 2, 2)
        .unwrap();
    let blurred = judge.values(&padded.avg_pool2d_with_stride((5, 5), (1, 1)).unwrap());
    println!("blurred: {blurred:.3?}");
    assert!(blurred["swd fine"] > 5. * real["swd fine"]);
    assert!(blurred["lenet-kid"] > 20. * real["lenet-kid"].abs() && blurred["precision"] < 0.8);
    let one = held_out
        .narrow(0, 3, 1)
        .unwrap()
        .repeat((N, 1, 1, 1))
        .unwrap();
    let collapsed = judge.values(&one);
    println!("collapsed: {collapsed:.3?}");
    assert!(collapsed["recall"] < 0.05 && collapsed["ms-ssim"] > 0.99 && real["ms-ssim"] < 0.5);
    assert!(collapsed["lenet-fid"] > 3. * real["lenet-fid"]);
    let memorised = judge.values(&judge.training.narrow(0, 100, N).unwrap());
    println!("memorised: {memorised:.3?}");
    assert!(memorised["nearest"] < 0.05 && memorised["copied"] > 0.99);
    assert!(real["nearest"] > 0.8 && real["copied"] < 0.05 && ranks[1].1["copied"] < 0.05);
    // Nothing else sees it: the pictures are real.
    assert!(memorised["lenet-fid"] < 1.3 * real["lenet-fid"]);
}
