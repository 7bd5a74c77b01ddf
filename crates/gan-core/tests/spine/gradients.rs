//! Second derivatives, and what `minimise` refuses.

use crate::run::{Run, run};
use crate::toys::{self, CRITIC};
use candle_core::Result;
use candle_core::{Device, Tensor, Var};
use gan_core::checkpoint;
use gan_core::{
    Context, Iter, LiveSource, Net, Optimizer, Reducer, Rule, Seen, StateReader, Stateful, Update,
    init, nn,
};
use gan_core::{DataInfo, Sides, View};
use std::collections::BTreeMap;

/// The weights' gradient of a penalty, against central differences.
#[test]
fn the_penalty_is_differentiated_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = run(&CRITIC, 1, dir.path(), &[]);
    let record = |run: &mut Run| {
        let mut seen = Seen::default();
        let mut found = None;
        {
            let mut recorder = |update: &Update<'_>| {
                if found.is_none() {
                    let loss = update.terms[0].1.to_scalar::<f32>()?;
                    found = Some((loss, update.gradients.to_vec()));
                }
                Ok(())
            };
            run.source.load_cursor(0);
            let mut it = Iter::new(0, &mut run.source, &mut seen).recorded(&mut recorder);
            run.algorithm.step(&mut it).unwrap();
        }
        found.unwrap()
    };
    // A step changes the weights, so each probe starts from the same state.
    let start = checkpoint::state(&mut *run.algorithm, &run.source).unwrap();
    let start: BTreeMap<_, _> = start
        .into_iter()
        .map(|(k, t)| (k, t.copy().unwrap()))
        .collect();
    let (_, gradients) = record(&mut run);
    for (key, gradient) in gradients {
        let gradient = gradient
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        for i in [0, gradient.len() / 2] {
            let mut at = |h: f32| {
                let mut state = start.clone();
                let shape = state[&key].shape().clone();
                let mut values = state[&key].flatten_all().unwrap().to_vec1::<f32>().unwrap();
                values[i] += h;
                state.insert(
                    key.clone(),
                    Tensor::from_vec(values, shape, &Device::Cpu).unwrap(),
                );
                checkpoint::restore(&state, &mut *run.algorithm, Some(&mut run.source)).unwrap();
                record(&mut run).0
            };
            let fd = (at(1e-2) - at(-1e-2)) / 2e-2;
            assert!(
                (fd - gradient[i]).abs() < 2e-3 * fd.abs().max(1.),
                "{key}[{i}]: {} {fd}",
                gradient[i]
            );
        }
    }
}

trait LoadCursor {
    fn load_cursor(&mut self, at: i64);
}

impl LoadCursor for LiveSource {
    fn load_cursor(&mut self, at: i64) {
        let count = Tensor::new(&[at], &Device::Cpu).unwrap();
        let tensors = BTreeMap::from([("cursor.a".to_string(), count)]);
        self.load(&mut StateReader::new(&tensors, &mut Default::default()))
            .unwrap();
    }
}

#[test]
fn an_update_that_is_not_finite_is_refused_and_changes_nothing() {
    let data = toys::data(Sides::One, View::whole());
    let cx = Context::new(&Device::Cpu, 1, DataInfo::unlabelled(1, 1), 1);
    let net = gan_core::Net::new(&cx, "d", gan_core::init::as_layers, |vb| {
        gan_core::nn::linear(2, 1, vb)
    })
    .unwrap();
    let mut opt = Optimizer::new(Rule::adam(0.9, 0.999), 0.1, &[&net.params]).unwrap();
    let mut source = LiveSource::new(&data, 1, &Device::Cpu);
    let mut seen = Seen::default();
    let mut it = Iter::new(3, &mut source, &mut seen);
    let weights = |net: &gan_core::Net<_>| -> Vec<Vec<f32>> {
        let vars: Vec<(String, Var)> = net.params.all();
        vars.iter()
            .map(|(_, v)| v.flatten_all().unwrap().to_vec1().unwrap())
            .collect()
    };
    let before = weights(&net);
    let x = Tensor::new(&[[1f32, f32::NAN]], &Device::Cpu).unwrap();
    let loss = net.live.forward(&x).unwrap().sum_all().unwrap();
    let error = it
        .minimise(&mut opt, "d", &[("d", &loss)])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("iteration 3") && error.contains("the loss d is not finite"),
        "{error}"
    );
    // A finite loss with an infinite gradient: √x at 0.
    let zero = Tensor::zeros((1, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
    let y = net.live.forward(&zero).unwrap();
    let loss = (&y - y.detach())
        .unwrap()
        .sqrt()
        .unwrap()
        .sum_all()
        .unwrap();
    let error = it
        .minimise(&mut opt, "d", &[("d", &loss)])
        .unwrap_err()
        .to_string();
    assert!(error.contains("the gradient of d."), "{error}");
    assert_eq!(weights(&net), before);
    // A loss that does not reach a parameter is refused, unless the optimizer is told not to train it; one
    // that reaches a parameter which is not trained leaves it where it is.
    let bias = || net.params.trainable()[1].1.sum_all().unwrap();
    let error = it
        .minimise(&mut opt, "d", &[("d", &bias())])
        .unwrap_err()
        .to_string();
    assert!(error.contains("does not reach d.weight"), "{error}");
    opt.train_only(|key| key == "d.bias");
    it.minimise(&mut opt, "d", &[("d", &bias())]).unwrap();
    let after = weights(&net);
    assert_eq!(after[0], before[0]);
    assert_ne!(after[1], before[1]);
    let ones = Tensor::ones((1, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
    let loss = net.live.forward(&ones).unwrap().sum_all().unwrap();
    it.minimise(&mut opt, "d", &[("d", &loss)]).unwrap();
    assert_eq!(weights(&net)[0], before[0]);
    drop(it);
    let logged: Vec<_> = seen.scalars.iter().map(|(name, _)| name.as_str()).collect();
    assert!(logged.contains(&"lr/d"), "{logged:?}");
}

/// Several workers judge the mean of what they have, so that all of them stop together.
#[test]
fn gradients_are_reduced_before_they_are_judged() {
    struct Other(f32);
    impl Reducer for Other {
        fn mean(&mut self, tensors: Vec<Tensor>) -> Result<Vec<Tensor>> {
            let other = self.0;
            let mean = |t: &Tensor| t.affine(0.5, f64::from(other) / 2.);
            tensors.iter().map(mean).collect()
        }
    }
    let data = toys::data(Sides::One, View::whole());
    let cx = Context::new(&Device::Cpu, 1, DataInfo::unlabelled(1, 1), 1);
    let net = Net::new(&cx, "d", init::as_layers, |vb| nn::linear(2, 1, vb)).unwrap();
    let mut opt = Optimizer::new(Rule::Sgd { momentum: 0. }, 1., &[&net.params]).unwrap();
    let mut source = LiveSource::new(&data, 1, &Device::Cpu);
    let x = Tensor::new(&[[3f32, 5.]], &Device::Cpu).unwrap();
    let weight = || {
        let (_, weight) = net.params.trainable().remove(0);
        weight.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    let before = weight();
    let mut step = |other: f32| {
        let (mut seen, mut reducer) = (Seen::default(), Other(other));
        let mut it = Iter::new(0, &mut source, &mut seen).reduced(&mut reducer);
        let loss = net.live.forward(&x).unwrap().sum_all().unwrap();
        it.minimise(&mut opt, "d", &[("d", &loss)])
    };
    let error = step(f32::NAN).unwrap_err().to_string();
    assert!(error.contains("not finite"), "{error}");
    assert_eq!(weight(), before);
    step(1.).unwrap();
    let moved: Vec<f32> = before.iter().zip(weight()).map(|(a, b)| a - b).collect();
    assert!(
        (moved[0] - 2.).abs() < 1e-6 && (moved[1] - 3.).abs() < 1e-6,
        "{moved:?}"
    );
}

/// While an iteration lives ops are recorded, and candle's own backward says what to call instead.
#[test]
fn an_iteration_records_and_its_end_stops_that() {
    let data = toys::data(Sides::One, View::whole());
    let mut source = LiveSource::new(&data, 1, &Device::Cpu);
    let mut seen = Seen::default();
    let x = Var::new(&[0.5f32, -1.], &Device::Cpu).unwrap();
    let loss = || gan_core::nn::tanh(&x).unwrap().sum_all().unwrap();
    let gradient =
        |store: candle_core::backprop::GradStore| store.get(&x).unwrap().to_vec1::<f32>().unwrap();
    let it = Iter::new(0, &mut source, &mut seen);
    let recorded = loss();
    let error = recorded.backward().unwrap_err().to_string();
    assert!(error.contains("tape::backward"), "{error}");
    drop(it);
    let plain = gradient(loss().backward().unwrap());
    assert_eq!(
        gradient(gan_kernels::tape::backward(&recorded).unwrap()),
        plain
    );
}
