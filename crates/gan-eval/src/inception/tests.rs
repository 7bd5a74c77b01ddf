//! Inception against what both public modules made of the same weights.

use super::*;
use candle_core::Shape;
use candle_nn::Init;
use candle_nn::VarBuilder;
use candle_nn::var_builder::SimpleBackend;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The numbers of `tests/reference/make_published.py`: the upper 24 bits of SplitMix64, in [−1, 1).
fn numbers(key: &str, n: usize) -> impl Iterator<Item = f64> {
    let bytes = (1..).zip(key.bytes());
    let seed = bytes.map(|(i, byte)| i * u64::from(byte)).sum::<u64>();
    (1..=n as u64).map(move |i| {
        let mut z = seed.wrapping_add(i).wrapping_mul(GOLDEN);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 23) - 1.
    })
}

/// Makes what is asked for by the formula of `tests/reference/make_inception.py`, and keeps it.
#[derive(Clone, Default)]
struct Formula(Arc<Mutex<BTreeMap<String, Tensor>>>);

impl SimpleBackend for Formula {
    fn get(&self, s: Shape, key: &str, _: Init, _: DType, device: &Device) -> Result<Tensor> {
        let (factor, offset) = match (s.dims(), key) {
            ([_, rest @ ..], _) if rest.len() == 3 => {
                ((6. / rest.iter().product::<usize>() as f64).sqrt(), 0.)
            }
            _ if key.ends_with("running_var") || key.ends_with("bn.weight") => (0.5, 1.),
            _ => (0.1, 0.),
        };
        let values = numbers(key, s.elem_count()).map(|u| (u * factor + offset) as f32);
        let tensor = Tensor::from_vec(values.collect::<Vec<_>>(), s, device)?;
        let mut kept = self.0.lock().expect("the tensors");
        kept.insert(key.to_string(), tensor.clone());
        Ok(tensor)
    }

    fn get_unchecked(&self, _: &str, _: DType, _: &Device) -> Result<Tensor> {
        bail!("asked for without a shape")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

/// All tensors up to the features, which both files have; the tests change copies.
static TENSORS: LazyLock<BTreeMap<String, Tensor>> = LazyLock::new(|| {
    let formula = Formula::default();
    let backend = Box::new(formula.clone());
    let vb = VarBuilder::from_backend(backend, DType::F32, Device::Cpu);
    Layers::new(Origin::TensorFlow.pools(), vb).expect("layers");
    formula.0.lock().expect("the tensors").clone()
});

/// A file of so many classes with its tensors changed.
fn file(classes: usize, change: impl Fn(&mut BTreeMap<String, Tensor>)) -> Weights {
    let mut tensors = TENSORS.clone();
    let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).expect("zeros");
    tensors.insert("fc.weight".into(), zeros(&[classes, WIDTH]));
    tensors.insert("fc.bias".into(), zeros(&[classes]));
    tensors.insert("AuxLogits.fc.bias".into(), zeros(&[classes]));
    change(&mut tensors);
    Weights::from_tensors(Path::new("inception.pth"), tensors)
}

/// The pictures of `make_inception.py`, in [0, 1].
fn pictures(n: usize, h: usize, w: usize) -> Result<Tensor> {
    let mut values = Vec::new();
    for (i, c) in (0..n).flat_map(|i| (0..3).map(move |c| (i, c))) {
        for (y, x) in (0..h).flat_map(|y| (0..w).map(move |x| (y, x))) {
            let value = y * (7 + 3 * c) + x * (5 + 2 * i) + c * i * 31 + y * x / 16;
            values.push((value % 256) as f32 / 255.);
        }
    }
    Tensor::from_vec(values, (n, 3, h, w), &Device::Cpu)
}

/// What the public modules make of them.
fn expected(key: &str) -> Result<Tensor> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inception.safetensors");
    let mut tensors = candle_core::safetensors::load(path, &Device::Cpu)?;
    Ok(tensors.remove(key).expect("a recorded tensor"))
}

/// The largest difference, and the largest number.
fn apart(a: &Tensor, b: &Tensor) -> Result<(f32, f32)> {
    assert_eq!(a.dims(), b.dims());
    let largest = |t: Tensor| t.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>();
    Ok((largest((a - b)?)?, largest(b.clone())?))
}

#[test]
fn features_are_those_of_the_public_modules() -> Result<()> {
    for (classes, name) in [(1008, "inception"), (1000, "torchvision")] {
        let net = Inception::open(&file(classes, |_| ()), &Device::Cpu)?;
        let sizes = [
            ("small", 2, 40, 36),
            ("large", 1, 310, 321),
            ("whole", 1, SIDE, SIDE),
        ];
        for (size, n, h, w) in sizes {
            let features = net.of(&pictures(n, h, w)?.affine(2., -1.)?)?;
            assert!(!features.track_op(), "a graph is kept");
            let (difference, largest) = apart(&features, &expected(&format!("{name}.{size}"))?)?;
            assert!(
                difference < 1e-4 * largest,
                "{name}.{size}: {difference} of {largest}"
            );
        }
    }
    Ok(())
}

#[test]
fn resizing_is_pytorchs() -> Result<()> {
    let x = pictures(2, 40, 36)?.narrow(0, 0, 1)?;
    for side in [64, 27] {
        let (difference, _) = apart(
            &bilinear(&x, side, 41)?,
            &expected(&format!("resized.{side}"))?,
        )?;
        assert!(difference < 1e-5, "{side}: {difference}");
    }
    Ok(())
}

#[test]
fn other_files_are_refused_by_name() {
    type Change = fn(&mut BTreeMap<String, Tensor>);
    let numbers = |x: f32| Tensor::full(x, 32, &Device::Cpu).expect("numbers");
    let faults: [(usize, Change, &str); 4] = [
        (10, |_| (), "fc.weight is [10, 2048]"),
        (
            1008,
            |all| drop(all.remove("fc.weight")),
            "fc.weight is missing",
        ),
        (
            1000,
            |all| drop(all.remove("Mixed_7c.branch1x1.bn.bias")),
            "Mixed_7c.branch1x1.bn.bias is missing",
        ),
        (
            1008,
            |all| drop(all.insert("features.0.weight".into(), all["fc.bias"].clone())),
            "features.0.weight is not expected",
        ),
    ];
    for (classes, change, says) in faults {
        let error = Inception::open(&file(classes, change), &Device::Cpu).expect_err(says);
        let said = error.to_string();
        assert!(
            said.contains(says) && said.contains("inception.pth"),
            "{said}"
        );
    }
    for (key, x) in [("running_var", -1.), ("bias", f32::NAN)] {
        let weights = file(1008, |all| {
            all.insert(format!("Conv2d_1a_3x3.bn.{key}"), numbers(x));
        });
        let error = Inception::open(&weights, &Device::Cpu).expect_err(key);
        assert!(error.to_string().contains("Conv2d_1a_3x3"), "{error}");
    }
}
