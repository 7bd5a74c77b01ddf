//! A toy's run without the runner: algorithm, source, store.

use crate::toys;
use candle_core::{Device, Result, Tensor};
use gan_core::data::{Block, Data, What, batch, pictures as asked};
use gan_core::{
    Algorithm, Checkpoint, Context, Event, Header, Learns, Length, LiveSource, Observer, Outcome,
    Plan, Preset, Probe, Recipe, Side, Store, fixed_noise, train,
};
use std::path::Path;
use std::sync::atomic::AtomicBool;

pub use crate::toys::TOYS;

/// Iterations of all runs here.
pub const STEPS: u64 = 12;

pub struct Run {
    pub recipe: &'static dyn Recipe,
    pub config: serde_json::Value,
    pub algorithm: Box<dyn Algorithm>,
    pub source: LiveSource,
    pub store: Store,
    pub probe: Probe,
}

/// A toy's data and what it learns from.
pub fn data(recipe: &dyn Recipe) -> (Data, Learns) {
    let any = toys::data(gan_core::Sides::One, gan_core::View::whole());
    let config = recipe.preset(Preset::Smoke, &any.info()).unwrap();
    let learns = recipe.learns(&config).unwrap();
    (toys::data(learns.sides, learns.view), learns)
}

/// The first pictures of a side as the run sees them, smaller where the generator enlarges them.
fn given(data: &Data, learns: &Learns, side: Side, scale: usize) -> Tensor {
    let ask = asked("x").of(side);
    let ask = if scale > 1 { ask.shrunk(scale) } else { ask };
    let asks: [What; 1] = [ask.what];
    let mut blocks = batch(data, 0..2, &learns.view, &asks).unwrap();
    match blocks.remove(0) {
        Block::Pictures { values, dims } => {
            Tensor::from_vec(values, &dims[..], &Device::Cpu).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

pub fn run(recipe: &'static dyn Recipe, seed: u64, dir: &Path, set: &[(&str, &str)]) -> Run {
    let (data, learns) = data(recipe);
    let info = data.info();
    let mut config = recipe.preset(Preset::Smoke, &info).unwrap();
    for (key, value) in set {
        config[key] = (*value).into();
    }
    let device = Device::Cpu;
    let cx = Context::new(&device, seed, info, STEPS);
    let algorithm = recipe.build(&config, &cx).unwrap();
    let takes = algorithm.sampler(0).takes();
    let mut probe = match &takes.port {
        None => fixed_noise(&takes, 2, seed, &device).unwrap(),
        Some(port) => port.sides.iter().fold(Probe::default(), |probe, &side| {
            probe.with(side, given(&data, &learns, side, port.scale))
        }),
    };
    if takes.classes.is_some() {
        probe = probe.labelled(Tensor::new(&[0u32, 2], &device).unwrap());
    }
    let length = Length::of(STEPS);
    let header = Header::new(recipe.info().name, seed, length, &config, &data);
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
            until: None,
            notes: Vec::new(),
            log_every: 1,
            sample_every: 4,
            sample_at: Vec::new(),
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
