//! The optimizers against PyTorch's, recorded in f64 (`optim.safetensors` and `optim-decay.safetensors` of the
//! workspace).

use super::*;
use crate::par::testing::with_threads;
use crate::simd::Level;
use candle_core::Device;
use safetensors::SafeTensors;
use std::collections::HashMap;

struct Fixture {
    tensors: HashMap<String, Tensor>,
    config: Vec<serde_json::Value>,
    limit: serde_json::Value,
}

fn fixture(name: &str) -> Fixture {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures");
    let path = format!("{folder}/{name}.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let (_, meta) = SafeTensors::read_metadata(&bytes).unwrap();
    let meta = meta.metadata().clone().unwrap();
    Fixture {
        tensors: candle_core::safetensors::load(path, &Device::Cpu).unwrap(),
        config: serde_json::from_str(&meta["config"]).unwrap(),
        limit: serde_json::from_str(&meta["limit"]).unwrap(),
    }
}

impl Fixture {
    /// max|a - b| / max|b| must be within the recorded limit.
    fn check(&self, key: &str, got: &[Tensor]) {
        let got = Tensor::stack(got, 0).unwrap().to_dtype(DType::F64).unwrap();
        let want = self.tensors[key].to_dtype(DType::F64).unwrap();
        let most = |t: Tensor| {
            t.abs()
                .unwrap()
                .flatten_all()
                .unwrap()
                .max(0)
                .unwrap()
                .to_scalar::<f64>()
                .unwrap()
        };
        let error = most((got - &want).unwrap()) / most(want);
        let limit = self.limit[key].as_f64().unwrap();
        assert!(error <= limit, "{key}: error {error:e}, limit {limit:e}");
    }
}

fn number(c: &serde_json::Value, key: &str) -> Option<f64> {
    c.get(key).and_then(|v| v.as_f64())
}

/// Replays all optimizers of the fixture with parameters of `dtype`.
fn replay(dtype: DType) {
    for name in ["optim", "optim-decay"] {
        replay_one(&fixture(name), dtype);
    }
}

fn replay_one(f: &Fixture, dtype: DType) {
    let grads = f.tensors["grads"].to_dtype(dtype).unwrap();
    for c in &f.config {
        let name = c["name"].as_str().unwrap();
        let p =
            Var::from_tensor(&f.tensors["w0"].to_dtype(dtype).unwrap().copy().unwrap()).unwrap();
        let shared = p.as_tensor().detach();
        let (mut a, mut r, mut s) = (
            Adam::new(&p).unwrap(),
            RmsProp::new(&p).unwrap(),
            Sgd::new(),
        );
        let mut weights = Vec::new();
        let mut states: HashMap<&str, Vec<Tensor>> = HashMap::new();
        for t in 0..grads.dim(0).unwrap() {
            let g = grads.get(t).unwrap();
            let mut lr = number(c, "lr").unwrap();
            if number(c, "lr_halves_at").is_some_and(|at| t >= at as usize) {
                lr *= 0.5;
            }
            match c["kind"].as_str().unwrap() {
                "adam" => {
                    let [beta1, beta2, eps] =
                        ["beta1", "beta2", "eps"].map(|k| number(c, k).unwrap());
                    a.step(
                        &p,
                        &g,
                        &AdamConfig {
                            lr,
                            beta1,
                            beta2,
                            eps,
                            weight_decay: number(c, "weight_decay").unwrap_or(0.),
                        },
                    )
                    .unwrap();
                    // Saving and loading changes nothing.
                    let [m, v] = a.moments(&p).unwrap();
                    a = Adam::new(&p).unwrap();
                    a.load(&p, [&m, &v], t as u64 + 1).unwrap();
                    assert_eq!(a.steps(), t as u64 + 1);
                    states.entry("exp_avg").or_default().push(m);
                    states.entry("exp_avg_sq").or_default().push(v);
                }
                "rmsprop" => {
                    let [alpha, eps] = ["alpha", "eps"].map(|k| number(c, k).unwrap());
                    r.step(&p, &g, &RmsPropConfig { lr, alpha, eps }).unwrap();
                    let v = r.square_avg(&p).unwrap();
                    r = RmsProp::new(&p).unwrap();
                    r.load(&p, &v).unwrap();
                    states.entry("square_avg").or_default().push(v);
                }
                _ => {
                    let decay = number(c, "lr_decay").unwrap_or(1.0);
                    let lr = lr / decay.powi(t as i32);
                    let momentum = number(c, "momentum").unwrap()
                        + number(c, "momentum_step").unwrap_or(0.0) * t as f64;
                    s.step(&p, &g, &SgdConfig { lr, momentum }).unwrap();
                    if let Some(v) = s.momentum_buffer(&p).unwrap() {
                        s = Sgd::new();
                        s.load(&p, &v).unwrap();
                        states.entry("momentum_buffer").or_default().push(v);
                    }
                }
            }
            weights.push(shared.copy().unwrap());
        }
        f.check(&format!("{name}.w"), &weights);
        for (state, values) in states {
            f.check(&format!("{name}.{state}"), &values);
        }
    }
}

#[test]
fn optimizers_are_pytorchs() {
    replay(DType::F32);
    // The composed path, which other devices use.
    replay(DType::F64);
    for level in [Level::Portable, Level::Avx2, Level::Avx512] {
        let _ = simd::force(level, || replay(DType::F32));
    }
}

#[test]
fn same_bits_for_any_number_of_threads() {
    let n = 100_003;
    let run = || {
        let g: Vec<f32> = (0..n)
            .map(|i| ((i * 7919 % 1000) as f32 - 500.0) / 300.0)
            .collect();
        let (mut p, mut m, mut v) = (vec![0.5f32; n], vec![0f32; n], vec![0f32; n]);
        for step in 1..4 {
            adam(&mut p, &g, &mut m, &mut v, &AdamConfig::default(), step).unwrap();
            let config = RmsPropConfig {
                lr: 1e-3,
                alpha: 0.99,
                eps: 1e-8,
            };
            rms_prop(&mut p, &g, &mut v, &config).unwrap();
            sgd(
                &mut p,
                &g,
                &mut m,
                &SgdConfig {
                    lr: 1e-2,
                    momentum: 0.5,
                },
            )
            .unwrap();
            sgd(
                &mut p,
                &g,
                &mut [],
                &SgdConfig {
                    lr: 1e-2,
                    momentum: 0.0,
                },
            )
            .unwrap();
        }
        p.iter()
            .chain(&m)
            .chain(&v)
            .map(|x| x.to_bits())
            .collect::<Vec<_>>()
    };
    let one = with_threads(1, run);
    for threads in [2, 8] {
        assert!(one == with_threads(threads, run), "{threads} threads");
    }
}

#[test]
fn wrong_shapes_are_errors() {
    let d = &Device::Cpu;
    let p = Var::zeros((2, 3), DType::F32, d).unwrap();
    let g = Tensor::zeros((3, 2), DType::F32, d).unwrap();
    let message = Adam::new(&p)
        .unwrap()
        .step(&p, &g, &AdamConfig::default())
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("[2, 3]") && message.contains("[3, 2]"),
        "{message}"
    );
    let sgd_config = SgdConfig {
        lr: 0.1,
        momentum: 0.9,
    };
    assert!(Sgd::new().step(&p, &g, &sgd_config).is_err());
    let g64 = Tensor::zeros((2, 3), DType::F64, d).unwrap();
    assert!(Sgd::new().step(&p, &g64, &sgd_config).is_err());
    // A parameter that is its own gradient would be read while it is written.
    assert!(Sgd::new().step(&p, p.as_tensor(), &sgd_config).is_err());
    assert!(Adam::new(&p).unwrap().load(&p, [&g, &g], 1).is_err());
    let (mut a, b) = ([0f32; 3], [0f32; 2]);
    assert!(sgd(&mut a, &b, &mut [], &sgd_config).is_err());
    assert!(
        adam(
            &mut a,
            &[0.; 3],
            &mut [0.; 3],
            &mut [0.; 3],
            &AdamConfig::default(),
            0
        )
        .is_err()
    );
    // A strided gradient is fine.
    let g = Tensor::ones((3, 2), DType::F32, d).unwrap().t().unwrap();
    Sgd::new().step(&p, &g, &sgd_config).unwrap();
    assert_eq!(
        p.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
        [-0.1; 6]
    );
}
