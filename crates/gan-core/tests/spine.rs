//! The training abstraction on toys of hard papers: trained, saved, killed, resumed, replayed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod toys;

use candle_core::{Device, Result, Tensor, Var, bail};
use gan_core::checkpoint::{self, Checkpoint};
use gan_core::train::{Plan, fixed_noise};
use gan_core::{
    Algorithm, Context, Draws, Event, Header, Iter, LiveSource, Observer, Optimizer, Outcome,
    Preset, Probe, Recipe, Rule, Seen, Source, StateReader, StateWriter, Stateful, Store, Takes,
    Update, Want, train,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use toys::{CRITIC, CYCLE, GROW, Phase};

const TOYS: &[&dyn Recipe] = &[&CRITIC, &CYCLE, &GROW];

struct Run {
    recipe: &'static dyn Recipe,
    config: serde_json::Value,
    algorithm: Box<dyn Algorithm>,
    source: LiveSource,
    store: Store,
    probe: Probe,
}

fn run(recipe: &'static dyn Recipe, seed: u64, dir: &Path, set: &[(&str, &str)]) -> Run {
    let task = recipe.task(
        &recipe
            .preset(Preset::Smoke, &toys::data(gan_core::Task::Images).info())
            .unwrap(),
    );
    let data = toys::data(task.unwrap());
    let info = data.info();
    let mut config = recipe.preset(Preset::Smoke, &info).unwrap();
    for (key, value) in set {
        config[key] = (*value).into();
    }
    let device = Device::Cpu;
    let cx = Context {
        device: device.clone(),
        seed,
        data: info.clone(),
    };
    let algorithm = recipe.build(&config, &cx).unwrap();
    let probe = match algorithm.sampler(0).takes() {
        Takes::Image { .. } => {
            Probe::Image(Tensor::zeros((2, 1, 2, 2), candle_core::DType::F32, &device).unwrap())
        }
        takes => fixed_noise(&takes, 2, seed, &device).unwrap(),
    };
    let header = Header::new(recipe.info().name, seed, &config, &info);
    Run {
        recipe,
        config,
        algorithm,
        source: LiveSource::new(&data, seed, &device),
        store: Store::open(dir, 99, header).unwrap(),
        probe,
    }
}

/// Bits of everything that an observer is shown.
#[derive(Default)]
struct Tape(Vec<(u64, String, Vec<u32>)>);

impl Observer for Tape {
    fn on(&mut self, event: &Event<'_>) -> Result<()> {
        match event {
            Event::Logged { t, scalars } => {
                for (name, value) in *scalars {
                    self.0.push((*t, name.clone(), vec![value.to_bits()]));
                }
            }
            Event::Sampled { t, columns } => {
                for (name, pictures) in *columns {
                    let values = pictures.flatten_all()?.to_vec1::<f32>()?;
                    let bits = values.iter().map(|x| x.to_bits()).collect();
                    self.0.push((*t, name.to_string(), bits));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Run {
    fn go(&mut self, from: u64, steps: u64, tape: &mut Tape) -> Outcome {
        self.watched(from, steps, &AtomicBool::new(false), tape)
    }

    fn watched(
        &mut self,
        from: u64,
        steps: u64,
        stop: &AtomicBool,
        observer: &mut dyn Observer,
    ) -> Outcome {
        let plan = Plan {
            from,
            steps,
            log_every: 1,
            sample_every: 4,
            save_every: 3,
            probe: Some(self.probe.clone()),
            seed: 1,
            stop,
        };
        train(
            &mut *self.algorithm,
            &mut self.source,
            &plan,
            Some(&mut self.store),
            &mut [observer],
        )
        .unwrap()
    }

    fn resume(&mut self, file: &Path) -> u64 {
        let checkpoint = Checkpoint::read(file).unwrap();
        assert_eq!(checkpoint.header.config, self.config);
        checkpoint
            .restore(&mut *self.algorithm, &mut self.source)
            .unwrap();
        checkpoint.header.iteration
    }
}

fn file(dir: &Path, t: u64) -> std::path::PathBuf {
    dir.join(format!("step-{t:08}.safetensors"))
}

#[test]
fn interrupted_anywhere_a_run_goes_on_to_the_same_bytes() {
    for recipe in TOYS {
        let name = recipe.info().name;
        let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut tape = Tape::default();
        assert_eq!(
            run(*recipe, 1, whole.path(), &[]).go(0, 12, &mut tape),
            Outcome::Done
        );
        // Every checkpoint of the whole run, taken up by a fresh instance with other initial weights.
        for from in [3, 6, 9] {
            let mut rest = run(*recipe, 1, parts.path(), &[]);
            let mut other = run(*recipe, 777, parts.path(), &[]);
            std::mem::swap(&mut rest.algorithm, &mut other.algorithm);
            assert_eq!(rest.resume(&file(whole.path(), from)), from);
            let mut after = Tape::default();
            rest.go(from, 12, &mut after);
            assert_eq!(
                std::fs::read(file(parts.path(), 12)).unwrap(),
                std::fs::read(file(whole.path(), 12)).unwrap(),
                "{name} resumed at {from}"
            );
            let want: Vec<_> = tape
                .0
                .iter()
                .filter(|(t, _, _)| *t > from)
                .cloned()
                .collect();
            assert_eq!(after.0, want, "{name} resumed at {from}");
        }
    }
}

#[test]
fn a_stop_ends_after_the_iteration_and_saves() {
    struct StopAt(u64, AtomicBool);
    impl Observer for &StopAt {
        fn on(&mut self, event: &Event<'_>) -> Result<()> {
            // The flag is set while iteration 7 is under way: when the 6th has been reported.
            if matches!(event, Event::Stepped { t } if *t + 1 == self.0) {
                self.1.store(true, Ordering::Relaxed);
            }
            Ok(())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let stop = StopAt(7, AtomicBool::new(false));
    let outcome = run(&GROW, 1, dir.path(), &[]).watched(0, 12, &stop.1, &mut &stop);
    assert_eq!(outcome, Outcome::Interrupted(7));
    assert!(file(dir.path(), 7).is_file());
}

#[test]
fn seeds_make_runs() {
    for recipe in TOYS {
        let bytes = |seed| {
            let dir = tempfile::tempdir().unwrap();
            run(*recipe, seed, dir.path(), &[]).go(0, 4, &mut Tape::default());
            let checkpoint = Checkpoint::read(&file(dir.path(), 4)).unwrap();
            let key = checkpoint
                .tensors()
                .keys()
                .find(|k| k.ends_with("weight"))
                .unwrap();
            (
                std::fs::read(file(dir.path(), 4)).unwrap(),
                checkpoint.tensors()[key]
                    .flatten_all()
                    .unwrap()
                    .to_vec1::<f32>()
                    .unwrap(),
            )
        };
        assert_eq!(bytes(1).0, bytes(1).0);
        assert_ne!(bytes(1).1, bytes(2).1);
    }
}

#[test]
fn a_phase_moves_only_what_it_uses() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = run(&GROW, 1, dir.path(), &[]);
    let start = checkpoint::state(&mut *run.algorithm, &run.source).unwrap();
    let start: BTreeMap<_, _> = start
        .into_iter()
        .map(|(k, t)| (k, t.copy().unwrap()))
        .collect();
    let moved = |run: &mut Run, key: &str| {
        let now = checkpoint::state(&mut *run.algorithm, &run.source).unwrap();
        let change = (&now[key] - &start[key])
            .unwrap()
            .abs()
            .unwrap()
            .sum_all()
            .unwrap();
        change.to_scalar::<f32>().unwrap() > 0.
    };
    assert_eq!((Phase::at(4), Phase::at(5)), (Phase::Low, Phase::High));
    run.go(0, 5, &mut Tape::default());
    for key in [
        "g.to_rgb.0.weight",
        "d.from_rgb.0.weight",
        "ema.to_rgb.0.weight",
        "ema.body.main.1.running_mean",
    ] {
        assert!(moved(&mut run, key), "{key} stood still");
    }
    for key in [
        "g.to_rgb.1.weight",
        "d.from_rgb.1.weight",
        "d.mid.weight",
        "ema.to_rgb.1.weight",
    ] {
        assert!(!moved(&mut run, key), "{key} moved");
    }
    run.go(5, 8, &mut Tape::default());
    for key in ["g.to_rgb.1.weight", "d.mid.weight", "ema.to_rgb.1.weight"] {
        assert!(moved(&mut run, key), "{key} stood still");
    }
}

#[test]
fn a_clip_reaches_parameters_and_spares_buffers() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = run(&CRITIC, 1, dir.path(), &[("smooth", "clip")]);
    run.go(0, 3, &mut Tape::default());
    let state = checkpoint::state(&mut *run.algorithm, &run.source).unwrap();
    let largest = |prefix: &str| {
        let values = state.iter().filter(|(key, _)| key.starts_with(prefix));
        let values = values.flat_map(|(_, t)| t.flatten_all().unwrap().to_vec1::<f32>().unwrap());
        values.fold(0f32, |m, x| m.max(x.abs()))
    };
    assert!(largest("d.") <= 0.1);
    assert!(largest("g.main.1.running_var") > 0.1);
}

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
                checkpoint::restore(&state, &mut *run.algorithm, &mut run.source).unwrap();
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

// ------------------------------------------------------------------ a recorded source

#[derive(Clone)]
enum Drawn {
    Tensor(Tensor),
    Choices(Vec<usize>),
}

/// Records what a live source hands out, then hands out the same.
struct Recorded {
    live: Option<LiveSource>,
    draws: Rc<RefCell<Vec<(String, Drawn)>>>,
    next: usize,
}

impl Recorded {
    fn draw(
        &mut self,
        role: &str,
        live: impl FnOnce(&mut LiveSource) -> Result<Drawn>,
    ) -> Result<Drawn> {
        if let Some(source) = &mut self.live {
            let value = live(source)?;
            self.draws.borrow_mut().push((role.into(), value.clone()));
            return Ok(value);
        }
        let draws = self.draws.borrow();
        let Some((recorded, value)) = draws.get(self.next) else {
            bail!("{role} was not recorded")
        };
        if recorded != role {
            bail!("{role} was asked for, {recorded} was recorded")
        }
        self.next += 1;
        Ok(value.clone())
    }

    fn tensor(
        &mut self,
        role: &str,
        live: impl FnOnce(&mut LiveSource) -> Result<Tensor>,
    ) -> Result<Tensor> {
        match self.draw(role, |source| live(source).map(Drawn::Tensor))? {
            Drawn::Tensor(tensor) => Ok(tensor),
            Drawn::Choices(_) => bail!("{role} is a choice"),
        }
    }
}

impl Draws for Recorded {
    fn normal(&mut self, role: &str, shape: &[usize]) -> Result<Tensor> {
        self.tensor(role, |source| source.normal(role, shape))
    }

    fn uniform(&mut self, role: &str, shape: &[usize]) -> Result<Tensor> {
        self.tensor(role, |source| source.uniform(role, shape))
    }

    fn mask(&mut self, role: &str, p: f64, shape: &[usize]) -> Result<Tensor> {
        self.tensor(role, |source| source.mask(role, p, shape))
    }

    fn choices(&mut self, role: &str, n: usize, below: usize) -> Result<Vec<usize>> {
        match self.draw(role, |source| {
            source.choices(role, n, below).map(Drawn::Choices)
        })? {
            Drawn::Choices(choices) => Ok(choices),
            Drawn::Tensor(_) => bail!("{role} is no choice"),
        }
    }
}

impl Source for Recorded {
    fn begin(&mut self, t: u64) {
        if let Some(source) = &mut self.live {
            source.begin(t);
        }
    }

    fn batch(&mut self, roles: &[&str], want: Want) -> Result<Vec<Tensor>> {
        let batch = |source: &mut LiveSource| Ok(source.batch(roles, want)?.remove(0));
        Ok(vec![self.tensor(roles[0], batch)?])
    }
}

impl Stateful for Recorded {
    fn save(&self, _: &mut StateWriter<'_>) -> Result<()> {
        Ok(())
    }

    fn load(&mut self, _: &mut StateReader<'_>) -> Result<()> {
        Ok(())
    }
}

#[test]
fn a_recorded_run_replays_and_refuses_another_order_of_draws() {
    for recipe in TOYS {
        let dir = tempfile::tempdir().unwrap();
        let draws = Rc::new(RefCell::new(Vec::new()));
        let mut losses = Vec::new();
        let mut seen = Seen::default();
        let mut step = |run: &mut Run, source: &mut Recorded, t: u64| {
            run.algorithm.step(&mut Iter::new(t, source, &mut seen))?;
            let scalars = seen
                .scalars
                .iter()
                .map(|(name, value)| Ok((name.clone(), value.to_scalar::<f32>()?)));
            scalars.collect::<Result<Vec<_>>>()
        };
        let mut first = run(*recipe, 1, dir.path(), &[]);
        let live = LiveSource::new(
            &toys::data(recipe.task(&first.config).unwrap()),
            1,
            &Device::Cpu,
        );
        let mut source = Recorded {
            live: Some(live),
            draws: draws.clone(),
            next: 0,
        };
        for t in 0..8 {
            losses.push(step(&mut first, &mut source, t).unwrap());
        }
        let mut again = run(first.recipe, 1, dir.path(), &[]);
        let mut source = Recorded {
            live: None,
            draws: draws.clone(),
            next: 0,
        };
        for t in 0..8 {
            assert_eq!(
                step(&mut again, &mut source, t).unwrap(),
                losses[t as usize]
            );
        }
        assert_eq!(source.next, draws.borrow().len());
        draws.borrow_mut().swap(0, 2);
        source.next = 0;
        let error = step(&mut again, &mut source, 0).unwrap_err().to_string();
        assert!(error.contains("was recorded"), "{error}");
    }
}

// ------------------------------------------------------------------ minimise

#[test]
fn an_update_that_is_not_finite_is_refused_and_changes_nothing() {
    let data = toys::data(gan_core::Task::Images);
    let cx = Context {
        device: Device::Cpu,
        seed: 1,
        data: data.info(),
    };
    let net = gan_core::Net::new(&cx, "d", gan_core::init::torch, |vb| {
        candle_nn::linear(2, 1, vb)
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
    use candle_core::Module;
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
    // A loss that does not reach a parameter is refused, unless the optimizer is partial.
    let loss = net.params.trainable()[1].1.sum_all().unwrap();
    let error = it
        .minimise(&mut opt, "d", &[("d", &loss)])
        .unwrap_err()
        .to_string();
    assert!(error.contains("does not reach d.weight"), "{error}");
    let mut opt = Optimizer::new(Rule::adam(0.9, 0.999), 0.1, &[&net.params])
        .unwrap()
        .partial();
    it.minimise(&mut opt, "d", &[("d", &loss)]).unwrap();
    let after = weights(&net);
    assert_eq!(after[0], before[0]);
    assert_ne!(after[1], before[1]);
}
