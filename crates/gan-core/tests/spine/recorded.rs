//! A recorded source in place of the live one.

use crate::run::{Run, TOYS, data, run};
use candle_core::{Device, Result, Tensor, bail};
use gan_core::{
    Ask, Draws, Iter, LiveSource, Seen, Source, StateReader, StateWriter, Stateful, View, Worker,
};
use std::cell::RefCell;
use std::rc::Rc;

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

    fn batch(&mut self, b: usize, view: &View, asks: &[Ask<'_>]) -> Result<Vec<Tensor>> {
        let mut made = match &mut self.live {
            Some(source) => source.batch(b, view, asks)?,
            None => Vec::new(),
        }
        .into_iter();
        let tensors = asks.iter().map(|ask| {
            let next = made.next();
            self.tensor(ask.role, |_| match next {
                Some(tensor) => Ok(tensor),
                None => bail!("{} was not made", ask.role),
            })
        });
        tensors.collect()
    }

    fn share(&self, batch: usize) -> Result<usize> {
        match &self.live {
            Some(source) => source.share(batch),
            None => Ok(batch),
        }
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
        let live = LiveSource::new(&data(*recipe).0, 1, &Device::Cpu);
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
        draws.borrow_mut().swap(0, 1);
        source.next = 0;
        let error = step(&mut again, &mut source, 0).unwrap_err().to_string();
        assert!(error.contains("was recorded"), "{error}");
    }
}

/// What two workers are given is, put together, what one is given, bit for bit. A pool is each worker's own,
/// so this looks at iterations before it is full.
#[test]
fn the_parts_of_two_workers_are_the_batch_of_one() {
    let drawn = |recipe, worker| {
        let dir = tempfile::tempdir().unwrap();
        let mut run = run(recipe, 1, dir.path(), &[]);
        let draws = Rc::new(RefCell::new(Vec::new()));
        let live = LiveSource::shared(&data(recipe).0, 1, &Device::Cpu, worker);
        let mut source = Recorded {
            live: Some(live),
            draws: draws.clone(),
            next: 0,
        };
        let mut seen = Seen::default();
        // The last is the first of a second phase, for toys that have one.
        for t in [0, 5] {
            run.algorithm
                .step(&mut Iter::new(t, &mut source, &mut seen))
                .unwrap();
        }
        draws.take()
    };
    for recipe in TOYS {
        let whole = drawn(*recipe, Worker::ALONE);
        let parts = [0, 1].map(|index| drawn(*recipe, Worker::new(index, 2).unwrap()));
        let name = recipe.info().name;
        assert!(
            whole.len() >= 2 && parts.iter().all(|part| part.len() >= 2),
            "{name}"
        );
        for (i, (role, value)) in whole.iter().enumerate() {
            let of = |part: &[(String, Drawn)]| part.get(i).cloned();
            let (Some((role_a, a)), Some((role_b, b))) = (of(&parts[0]), of(&parts[1])) else {
                assert!(role.starts_with("pool"), "{name}: {role} was not drawn");
                break;
            };
            if role.starts_with("pool") {
                break;
            }
            assert_eq!((&role_a, &role_b), (role, role), "{name}");
            match (value, a, b) {
                (Drawn::Tensor(whole), Drawn::Tensor(a), Drawn::Tensor(b)) => {
                    let bits = |t: &Tensor| match t.dtype() {
                        candle_core::DType::U32 => t.to_vec1::<u32>().unwrap(),
                        _ => {
                            let values = t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                            values.iter().map(|x| x.to_bits()).collect()
                        }
                    };
                    assert_eq!([bits(&a), bits(&b)].concat(), bits(whole), "{name}: {role}");
                }
                (Drawn::Choices(whole), Drawn::Choices(a), Drawn::Choices(b)) => {
                    assert_eq!([a, b].concat(), *whole, "{name}: {role}");
                }
                _ => panic!("{name}: {role} is not of one kind"),
            }
        }
    }
    let (set, _) = data(TOYS[0]);
    let odd = LiveSource::shared(&set, 1, &Device::Cpu, Worker::new(0, 3).unwrap());
    assert!(
        odd.share(4)
            .unwrap_err()
            .to_string()
            .contains("a batch of 4")
    );
}
