//! A run as a value: what it is made of, resolved and checked, and what came of it. No command line, no
//! folder and no printing, so that any command can make one and run it.

use crate::begins::Begins;
use crate::changes::Changing;
use crate::process;
use crate::settings::Settings;
use anyhow::Result;
use candle_core::Device;
use cpu_time::ProcessTime;
use gan_core::data::Data;
use gan_core::{
    Algorithm, Checkpoint, Context, DataInfo, Header, Iter, Learns, LiveSource, Observer, Outcome,
    Plan, Probe, Recipe, Seen, Source, Store, Tally, Weights, train,
};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

/// A paper with settings that were checked, and where it runs.
pub struct Job<'a> {
    /// The paper.
    pub recipe: &'a dyn Recipe,
    /// The settings, complete.
    pub settings: Settings,
    /// What the paper learns from with these settings.
    pub learns: Learns,
    /// Where it runs.
    pub device: Device,
    /// The weights of the feature network that its loss looks through, where it does.
    pub features: Option<Arc<Weights>>,
    /// What its networks start from that do not start as usual.
    pub init: Begins,
}

/// How a job is watched while it runs.
#[derive(Default)]
pub struct Watch<'a> {
    /// Iterations to stop after, where that is before its end.
    pub until: Option<u64>,
    /// What is to be said when it begins.
    pub notes: Vec<String>,
    /// What its generator is shown each time.
    pub probe: Option<Probe>,
    /// Where its checkpoints go.
    pub store: Option<&'a mut Store>,
}

/// What came of a run, or of the part of it that this process did.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Why it ended.
    pub outcome: Outcome,
    /// Iterations done by this process.
    pub iterations: u64,
    /// Seconds that they took.
    pub seconds: f64,
    /// Processor seconds of all threads.
    pub cpu_seconds: f64,
    /// Seconds that the run waited for pictures.
    pub waited: f64,
    /// The largest resident memory of the process so far, in MiB; 0 where the system does not say.
    pub peak_rss_mib: u64,
    /// Checkpoints that are there in the end, oldest first.
    pub checkpoints: Vec<std::path::PathBuf>,
}

impl Ran {
    /// The share of the time that was spent waiting for pictures.
    pub fn waiting(&self) -> f64 {
        self.waited / self.seconds.max(f64::MIN_POSITIVE)
    }
}

impl<'a> Job<'a> {
    /// A job of these settings.
    ///
    /// # Errors
    /// A setting that is unknown, missing or out of range.
    pub fn new(recipe: &'a dyn Recipe, mut settings: Settings, device: &Device) -> Result<Self> {
        settings.config = recipe.check(&settings.config)?;
        Ok(Self {
            learns: recipe.learns(&settings.config)?,
            recipe,
            settings,
            device: device.clone(),
            features: None,
            init: Begins::default(),
        })
    }

    /// The job that a checkpoint belongs to, as the checkpoint has it.
    ///
    /// # Errors
    /// Settings that this version does not know.
    pub fn of(recipe: &'a dyn Recipe, checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        Self::new(recipe, Settings::of(recipe, &checkpoint.header)?, device)
    }

    /// Networks and optimizers, untrained, for data like this.
    ///
    /// # Errors
    /// Settings that cannot be built, or that do not fit the data.
    pub fn build(&self, data: &DataInfo) -> Result<Box<dyn Algorithm>, candle_core::Error> {
        self.build_with(&self.settings.config, data)
    }

    fn build_with(
        &self,
        config: &Value,
        data: &DataInfo,
    ) -> Result<Box<dyn Algorithm>, candle_core::Error> {
        self.recipe.build(config, &self.context(data))
    }

    /// Bytes that its networks, the state of their optimizers and a step's gradients take; none where it cannot be
    /// built.
    pub fn weighs(&self, data: &DataInfo) -> Option<u64> {
        let (mut cx, tally) = (self.context(data), Tally::default());
        cx.tally = Some(tally.clone());
        self.recipe.build(&self.settings.config, &cx).ok()?;
        Some(tally.bytes())
    }

    fn context(&self, data: &DataInfo) -> Context {
        let Settings { seed, steps, .. } = self.settings;
        let mut cx = Context::new(&self.device, seed, data.clone(), steps);
        cx.length = self.settings.length();
        cx.features = self.features.clone();
        cx
    }

    /// The training as it was at a checkpoint, without its data.
    ///
    /// # Errors
    /// A checkpoint of other settings.
    pub fn restored(
        &self,
        checkpoint: &Checkpoint,
    ) -> Result<Box<dyn Algorithm>, candle_core::Error> {
        let mut cx = self.context(&checkpoint.header.data);
        let shapes = checkpoint.tensors().iter();
        let shapes = shapes.map(|(key, tensor)| (key.clone(), tensor.dims().to_vec()));
        cx.shapes = Some(Arc::new(shapes.collect()));
        let mut algorithm = self.recipe.build(&self.settings.config, &cx)?;
        checkpoint.restore(&mut *algorithm, None)?;
        Ok(algorithm)
    }

    /// The header of its checkpoints.
    pub fn header(&self, data: &Data) -> Header {
        let Settings {
            paper,
            seed,
            config,
            ..
        } = &self.settings;
        Header::new(paper, *seed, self.settings.length(), config, data)
    }

    /// Ready to run on these data, from the beginning.
    ///
    /// # Errors
    /// Settings that cannot be built, or that do not fit the data.
    pub fn start(&self, data: &Data) -> Result<Running<'_>, candle_core::Error> {
        let info = data.info();
        let algorithm: Box<dyn Algorithm + '_> = match self.settings.changes.is_empty() {
            true => self.build(&info)?,
            false => {
                let build = move |config: &Value| self.build_with(config, &info);
                Box::new(Changing::new(&self.settings, Box::new(build))?)
            }
        };
        Ok(Running {
            algorithm,
            source: LiveSource::new(data, self.settings.seed, &self.device),
            from: 0,
            job: self,
        })
    }
}

/// A job under way.
pub struct Running<'a> {
    job: &'a Job<'a>,
    /// The training.
    pub algorithm: Box<dyn Algorithm + 'a>,
    source: LiveSource,
    /// Iterations done before.
    pub from: u64,
}

impl Running<'_> {
    /// How long an iteration takes, and whether one can be done: this does one or two, from where the training stands.
    ///
    /// # Errors
    /// Those of the step.
    pub fn tried(&mut self) -> Result<Duration, candle_core::Error> {
        let first = self.step(self.from)?;
        // The first one also pays for what is done once; where it took long, that is a small part of it.
        match first < Duration::from_secs(1) {
            true => self.step(self.from + 1),
            false => Ok(first),
        }
    }

    /// Does iteration `t`, which nobody watches; gives the time that it took.
    ///
    /// # Errors
    /// Those of the step.
    pub fn step(&mut self, t: u64) -> Result<Duration, candle_core::Error> {
        let (start, mut seen) = (Instant::now(), Seen::default());
        let mut it = Iter::new(t, &mut self.source, &mut seen);
        self.algorithm.step(&mut it).map(|()| start.elapsed())
    }

    /// Counts the training pictures that were shown since this was made.
    pub fn shown(&self) -> Arc<AtomicU64> {
        self.source.shown()
    }

    /// Goes on from a checkpoint.
    ///
    /// # Errors
    /// A checkpoint of another state.
    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), candle_core::Error> {
        self.from = checkpoint.header.iteration;
        checkpoint.restore(&mut *self.algorithm, Some(&mut self.source))
    }

    /// Runs it to its end, or until `stop` is set.
    ///
    /// # Errors
    /// Those of the step, of reading, of an observer, of writing a checkpoint.
    pub fn run(
        &mut self,
        watch: Watch<'_>,
        stop: &AtomicBool,
        observers: &mut [&mut dyn Observer],
    ) -> Result<Ran> {
        let settings = &self.job.settings;
        let plan = Plan {
            from: self.from,
            steps: settings.steps,
            until: watch.until,
            notes: watch.notes,
            log_every: settings.log_every,
            sample_every: settings.sample_every,
            sample_at: self
                .job
                .recipe
                .parts_end(&settings.config, &settings.length())?,
            save_every: settings.save_every,
            probe: watch.probe,
            seed: settings.seed,
            stop,
        };
        let (wall, cpu, waited) = (Instant::now(), ProcessTime::now(), self.source.waited());
        let mut store = watch.store;
        let outcome = train(
            &mut *self.algorithm,
            &mut self.source,
            &plan,
            store.as_deref_mut(),
            observers,
        )?;
        let done = match outcome {
            Outcome::Done => settings.steps,
            Outcome::Paused(t) | Outcome::Interrupted(t) => t,
        };
        let iterations = done.saturating_sub(self.from);
        self.from = done;
        let waited: Duration = self.source.waited() - waited;
        let checkpoints = match &store {
            Some(store) => store.kept()?.into_iter().map(|(_, path)| path).collect(),
            None => Vec::new(),
        };
        Ok(Ran {
            outcome,
            iterations,
            seconds: wall.elapsed().as_secs_f64(),
            cpu_seconds: cpu.elapsed().as_secs_f64(),
            waited: waited.as_secs_f64(),
            peak_rss_mib: process::peak_rss_mib().unwrap_or(0),
            checkpoints,
        })
    }
}
