//! What is checked on a GPU, or on any device beside the CPU.

pub mod check;
pub mod edge;
pub mod steps;

use crate::dataset::{self, How};
use crate::job::Job;
use crate::settings::Settings;
use anyhow::Result;
use candle_core::Device;
use gan_core::data::{Data, DataInfo, Split};
use gan_core::{Preset, Recipe};

/// A paper's smoke preset on its own data.
///
/// # Errors
/// Those of reading the data.
pub fn smoke<'a>(recipe: &'a dyn Recipe, device: &Device) -> Result<(Job<'a>, Data)> {
    // What it learns from has to be known before its preset can be made for its data.
    let likely = recipe.preset(Preset::Smoke, &DataInfo::square(28 * 28)?)?;
    let learns = recipe.learns(&likely)?;
    let looked = dataset::look(
        recipe.info().data,
        Split::Train,
        Some(learns),
        &|_, _, _| {},
    )?;
    let info = looked.info();
    let config = recipe.preset(Preset::Smoke, &info)?;
    let view = recipe.learns(&config)?.view;
    let (data, _) = looked.read(view, &How::default(), &|_, _, _| {})?;
    let steps = recipe.steps(&config, Preset::Smoke, &info)?;
    let job = Job::new(recipe, Settings::bare(recipe, config, steps), device)?;
    Ok((job, data))
}
