//! From a photograph's file to another's, in one call.

use super::{Enlarger, Form, Format, Kind, Photo, write};
use crate::FileError;
use crate::data::Side;
use crate::data::images::open_single;
use crate::rng::CounterRng;
use crate::sampler::{Probe, Sampler};
use crate::translate::translate;
use candle_core::{Device, Result, bail};
use std::path::Path;

/// Reads a photograph, gives it to the generator on the CPU, and writes what that makes as a PNG or a JPEG, as the ending
/// says; whole or not at all. Tiles take at most [`Enlarger::MEMORY`] bytes.
///
/// A generator that restores keeps the photograph's kind. Any other one is given the whole picture, on white, in 8 bits
/// and in the channels that it takes.
///
/// # Errors
/// A generator that takes no pictures; a photograph that cannot be read; another ending; a file that cannot be written,
/// or is the photograph itself.
pub fn upscale(sampler: &dyn Sampler, from: &Path, to: &Path) -> Result<()> {
    let Some(format) = Format::of(to) else {
        let problem = "has no ending that says how it is written";
        return Err(FileError::new(to, problem, "let it end with .png, .jpg or .jpeg").into());
    };
    if let (Ok(from), Ok(there)) = (from.canonicalize(), to.canonicalize())
        && from == there
    {
        let problem = "is the photograph itself, and would be written over";
        return Err(FileError::new(to, problem, "choose another name").into());
    }
    let Some(port) = sampler.takes().port else {
        bail!("this generator takes no pictures")
    };
    let save = |form: &Form, profile: Option<&[u8]>, bands: &mut dyn Iterator<Item = _>| {
        format.check(form)?;
        crate::whole::stream_whole(to, |to| write(to, format, form, profile, bands))
    };
    if port.restores {
        let photo = Photo::read(from)?;
        let enlarger = Enlarger::new(sampler)?;
        let form = enlarger.form(&photo);
        let mut bands = enlarger.bands(&photo, &|_, _| Ok(()))?;
        return save(&form, photo.profile.as_deref(), &mut bands);
    }
    let picture = open_single(from, port.channels, &Device::Cpu)?;
    let side = port.sides.first().copied().unwrap_or(Side::A);
    let mut draws = CounterRng::new(1, &Device::Cpu);
    draws.begin(0);
    let made = translate(sampler, &Probe::pictures(side, picture), &mut draws)?;
    let made = crate::image::single(made.get("fake")?)?;
    let form = Form {
        height: made.height,
        width: made.width,
        kind: Kind {
            channels: made.channels,
            alpha: false,
            deep: false,
        },
    };
    save(&form, None, &mut std::iter::once(Ok(made.bytes)))
}
