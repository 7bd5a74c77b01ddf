//! A toy's run without the runner: algorithm, source, store.

use crate::toys::{self, CRITIC, CYCLE, GROW};
use candle_core::{Device, Result, Tensor};
use gan_core::train::{Plan, fixed_noise};
use gan_core::{
    Algorithm, Checkpoint, Context, Event, Header, LiveSource, Observer, Outcome, Preset, Probe,
    Recipe, Store, Takes, train,
};
use std::path::Path;
use std::sync::atomic::AtomicBool;

pub const TOYS: &[&dyn Recipe] = &[&CRITIC, &CYCLE, &GROW];

pub struct Run {
    pub recipe: &'static dyn Recipe,
    pub config: serde_json::Value,
    pub algorithm: Box<dyn Algorithm>,
    pub source: LiveSource,
    pub store: Store,
    pub probe: Probe,
}

pub fn run(recipe: &'static dyn Recipe, seed: u64, dir: &Path, set: &[(&str, &str)]) -> Run {
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
    let header = Header::new(recipe.info().name, seed, &config, &data);
    Run {
        recipe,
        config,
        algorithm,
        source: LiveSource::new(&data, seed, &device),
        store: Store::open(dir, u64::MAX, 99, header).unwrap(),
        probe,
    }
}

/// Bits of everything that an observer is shown.
#[derive(Default)]
pub struct Tape(pub Vec<(u64, String, Vec<u32>)>);

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
    pub fn go(&mut self, from: u64, steps: u64, tape: &mut Tape) -> Outcome {
        self.watched(from, steps, &AtomicBool::new(false), tape)
    }

    pub fn watched(
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

    pub fn resume(&mut self, file: &Path) -> u64 {
        let checkpoint = Checkpoint::read(file).unwrap();
        assert_eq!(checkpoint.header.config, self.config);
        checkpoint
            .restore(&mut *self.algorithm, Some(&mut self.source))
            .unwrap();
        checkpoint.header.iteration
    }
}

pub fn file(dir: &Path, t: u64) -> std::path::PathBuf {
    dir.join(format!("step-{t:08}.safetensors"))
}
