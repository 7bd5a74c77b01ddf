//! Two workers' parts of a batch and of its randomness are, put together, what one worker has.

use candle_core::{DType, Device, Result, Tensor};
use gan_core::{
    Ask, Draws, Iter, LiveSource, Preset, Recipe, Seen, Source, StateReader, StateWriter, Stateful,
    View, Worker,
};
use xtask::dataset::{How, look};
use xtask::job::Job;
use xtask::registry::PAPERS;
use xtask::settings::Settings;

/// Writes down what a live source hands out.
struct Tape {
    live: LiveSource,
    /// Role, first axis, and bits.
    draws: Vec<(String, usize, Vec<u32>)>,
}

impl Tape {
    fn note(&mut self, role: &str, tensor: &Tensor) -> Result<()> {
        let flat = tensor.flatten_all()?;
        let bits = match tensor.dtype() {
            DType::U32 => flat.to_vec1::<u32>()?,
            _ => flat.to_vec1::<f32>()?.iter().map(|x| x.to_bits()).collect(),
        };
        self.draws.push((role.into(), tensor.dim(0)?, bits));
        Ok(())
    }

    fn tensor(&mut self, role: &str, tensor: Result<Tensor>) -> Result<Tensor> {
        let tensor = tensor?;
        self.note(role, &tensor)?;
        Ok(tensor)
    }
}

impl Draws for Tape {
    fn normal(&mut self, role: &str, shape: &[usize]) -> Result<Tensor> {
        let drawn = self.live.normal(role, shape);
        self.tensor(role, drawn)
    }

    fn uniform(&mut self, role: &str, shape: &[usize]) -> Result<Tensor> {
        let drawn = self.live.uniform(role, shape);
        self.tensor(role, drawn)
    }

    fn mask(&mut self, role: &str, p: f64, shape: &[usize]) -> Result<Tensor> {
        let drawn = self.live.mask(role, p, shape);
        self.tensor(role, drawn)
    }

    fn choices(&mut self, role: &str, n: usize, below: usize) -> Result<Vec<usize>> {
        let drawn = self.live.choices(role, n, below)?;
        let bits = drawn.iter().map(|&x| x as u32).collect();
        self.draws.push((role.into(), n, bits));
        Ok(drawn)
    }
}

impl Stateful for Tape {
    fn save(&self, to: &mut StateWriter<'_>) -> Result<()> {
        self.live.save(to)
    }

    fn load(&mut self, from: &mut StateReader<'_>) -> Result<()> {
        self.live.load(from)
    }
}

impl Source for Tape {
    fn begin(&mut self, t: u64) {
        self.live.begin(t);
    }

    fn batch(&mut self, b: usize, view: &View, asks: &[Ask<'_>]) -> Result<Vec<Tensor>> {
        let tensors = self.live.batch(b, view, asks)?;
        for (ask, tensor) in asks.iter().zip(&tensors) {
            self.note(ask.role, tensor)?;
        }
        Ok(tensors)
    }

    fn share(&self, batch: usize) -> Result<usize> {
        self.live.share(batch)
    }
}

/// What a worker is given in two iterations of the smoke preset, with more pictures a batch.
fn given(
    recipe: &dyn Recipe,
    worker: Worker,
    set: &[(&str, &str)],
) -> Vec<(String, usize, Vec<u32>)> {
    let quiet = |_: &str, _: usize, _: usize| {};
    let name = recipe.info().data;
    let looked = look(name, gan_core::data::Split::Train, None, &quiet).unwrap();
    let mut config = recipe.preset(Preset::Smoke, &looked.info()).unwrap();
    config["batch"] = 4.into();
    for (key, value) in set {
        config[*key] = (*value).into();
    }
    let job = Job::new(recipe, Settings::bare(recipe, config, 10), &Device::Cpu).unwrap();
    let (data, _) = looked
        .read(job.learns.view, &How::default(), &quiet)
        .unwrap();
    let mut algorithm = job.build(&data.info()).unwrap();
    let mut tape = Tape {
        live: LiveSource::shared(&data, 1, &Device::Cpu, worker),
        draws: Vec::new(),
    };
    let mut seen = Seen::default();
    for t in 0..2 {
        algorithm
            .step(&mut Iter::new(t, &mut tape, &mut seen))
            .unwrap();
    }
    tape.draws
}

/// Each worker keeps a pool of its own, whose draws begin when it is full: those of CycleGAN are left out.
#[test]
fn the_parts_of_two_workers_are_the_whole_for_every_paper() {
    let split: &[(&str, &str)] = &[("design", "split")];
    let runs = PAPERS.iter().map(|recipe| (*recipe, &[][..]));
    for (recipe, set) in runs.chain([(&gan_cgan::RECIPE as &dyn Recipe, split)]) {
        let name = recipe.info().name;
        let own = |draws: Vec<(String, usize, Vec<u32>)>| {
            let kept = draws
                .into_iter()
                .filter(|(role, ..)| !role.starts_with("pool"));
            kept.collect::<Vec<_>>()
        };
        let whole = own(given(recipe, Worker::ALONE, set));
        let [a, b] = [0, 1].map(|i| own(given(recipe, Worker::new(i, 2).unwrap(), set)));
        assert!(whole.len() >= 4, "{name}: {} draws", whole.len());
        assert_eq!((a.len(), b.len()), (whole.len(), whole.len()), "{name}");
        for ((a, b), whole) in a.into_iter().zip(b).zip(&whole) {
            assert_eq!((&a.0, a.1 + b.1), (&whole.0, whole.1), "{name}");
            assert!(
                [a.2, b.2].concat() == whole.2,
                "{name}: {} differs",
                whole.0
            );
        }
    }
}
