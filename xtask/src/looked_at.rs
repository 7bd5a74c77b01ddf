//! Generators whose pictures are looked at as they make them.

use candle_core::DType;
use gan_core::{Columns, Draws, FileError, Probe, Sampler, Takes};
use std::path::Path;

/// A generator whose pictures are looked at as it makes them: numbers that are finite may be so large that what is
/// made with them is not, and only here is it known which file they came from.
pub struct Judged<'a> {
    /// The generator.
    pub sampler: &'a dyn Sampler,
    /// Its file.
    pub file: &'a Path,
}

impl Sampler for Judged<'_> {
    fn takes(&self) -> Takes {
        self.sampler.takes()
    }

    fn sample(&self, input: &Probe, draws: &mut dyn Draws) -> candle_core::Result<Columns> {
        let made = self.sampler.sample(input, draws)?;
        for (_, pictures) in made.iter() {
            let values = pictures.detach().flatten_all()?.to_dtype(DType::F32)?;
            let values = values.to_vec1::<f32>()?;
            if let Some(x) = values.iter().find(|x| !x.is_finite()) {
                let problem = format!("makes a picture that is not finite (a number in it is {x})");
                let remedy = "its training has failed; take weights from before that";
                return Err(FileError::new(self.file, problem, remedy).into());
            }
        }
        Ok(made)
    }
}

/// Generators of one file.
pub fn judged<'a>(samplers: &'a [Box<dyn Sampler>], file: &'a Path) -> Vec<Judged<'a>> {
    let each = samplers.iter();
    each.map(|sampler| Judged {
        sampler: &**sampler,
        file,
    })
    .collect()
}
