//! A training whose settings change on the way.

use crate::settings::Settings;
use candle_core::Result;
use gan_core::{Algorithm, Iter, Sampler, Stateful, checkpoint};
use serde_json::Value;

/// Builds the training with the settings that are given.
pub type Build<'a> = dyn Fn(&Value) -> Result<Box<dyn Algorithm>> + 'a;

/// A training that is built anew, and given its state, where its settings change: as if it had been stopped there and
/// gone on with the others, bit for bit.
pub struct Changing<'a> {
    settings: &'a Settings,
    build: Box<Build<'a>>,
    config: Value,
    now: Box<dyn Algorithm>,
}

impl<'a> Changing<'a> {
    /// The training from its beginning.
    ///
    /// # Errors
    /// Settings that cannot be built.
    pub fn new(settings: &'a Settings, build: Box<Build<'a>>) -> Result<Self> {
        let config = settings.config_at(0);
        Ok(Self {
            settings,
            now: build(&config)?,
            config,
            build,
        })
    }
}

impl Algorithm for Changing<'_> {
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let wanted = self.settings.config_at(it.t);
        if wanted != self.config {
            let state = checkpoint::parts(&mut *self.now)?;
            let mut next = (self.build)(&wanted)?;
            checkpoint::restore(&state, &mut *next, None)?;
            (self.now, self.config) = (next, wanted);
        }
        self.now.step(it)
    }

    fn sampler(&self, t: u64) -> Box<dyn Sampler + '_> {
        self.now.sampler(t)
    }

    fn parts(&mut self) -> Vec<(&'static str, &mut dyn Stateful)> {
        self.now.parts()
    }
}
