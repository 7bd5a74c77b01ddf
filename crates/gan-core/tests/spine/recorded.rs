//! A recorded source in place of the live one.

use crate::run::{Run, TOYS, run};
use crate::toys;
use candle_core::{Device, Result, Tensor, bail};
use gan_core::{Draws, Iter, LiveSource, Seen, Source, StateReader, StateWriter, Stateful, Want};
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
