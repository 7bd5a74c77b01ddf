//! `sample --input`: translates pictures of any size, one, a folder or a zip file of them.

use crate::Usage;
use crate::cli::{DirectionArg, SampleArgs};
use crate::translation::{Translation, each, strips};
use anyhow::{Context as _, Result, bail};
use candle_core::{Device, Tensor};
use gan_core::data::images::Album;
use gan_core::image::single;
use gan_core::{FileError, Sampler, Side, Takes};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Refuses options that are not for this generator.
///
/// # Errors
/// Pictures for a generator that takes noise, none for one that takes pictures, a direction for one that has
/// no choice, options of noise for pictures.
pub fn check(takes: &Takes, args: &SampleArgs) -> Result<()> {
    let problem = match (&takes.port, &args.input) {
        (None, Some(_)) => "--input: this generator takes noise, not pictures; leave it out",
        (None, None) => match (args.direction.is_some(), args.strip) {
            (true, _) => "--direction: this generator takes noise and has one direction",
            (_, true) => "--strip: this generator takes noise, there is nothing to compare with",
            _ => return Ok(()),
        },
        (Some(_), None) => {
            "this generator takes pictures: name one, a folder or a zip file of them with --input"
        }
        (Some(port), Some(_)) if args.direction.is_some() && !port.both_ways() => {
            "--direction: this generator translates one way only; leave it out"
        }
        _ => match (args.n, &args.class, args.interpolate) {
            (None, None, None) => return Ok(()),
            _ => "-n, --class and --interpolate are for generators that take noise; leave them out",
        },
    };
    bail!(Usage(problem.into()))
}

/// Translates what `--input` names, into `--out` or the usual folder.
///
/// # Errors
/// Pictures that cannot be read or written, those of the generator.
pub fn sample(
    sampler: &dyn Sampler,
    args: &SampleArgs,
    input: &Path,
    device: &Device,
    usual: PathBuf,
) -> Result<()> {
    let Some(port) = sampler.takes().port else {
        bail!("this generator takes no pictures")
    };
    let side = match (args.direction, port.sides) {
        (_, [side]) => *side,
        (Some(DirectionArg::B2a), _) => Side::B,
        _ => Side::A,
    };
    let album = Album::open(input)?;
    album.notes().iter().for_each(|note| say!("note: {note}"));
    let names = album.names();
    let out = args.out.clone().unwrap_or(usual);
    let is_file = out
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("png"));
    if is_file && names.len() > 1 {
        bail!(Usage(format!(
            "--out {}: {} pictures need a folder, not one file",
            out.display(),
            names.len()
        )))
    }
    if let (false, Some(ending), None) = (out.is_dir(), out.extension(), names.get(1))
        && ["jpg", "jpeg"]
            .iter()
            .any(|jpeg| ending.eq_ignore_ascii_case(jpeg))
    {
        bail!(Usage(format!(
            "--out {}: pictures are written as PNG; name a .png file or a folder",
            out.display()
        )))
    }
    let paths: Vec<PathBuf> = match is_file {
        true => vec![out.clone()],
        false => outputs(&names)
            .into_iter()
            .map(|name| out.join(name))
            .collect(),
    };
    // Before the first is made, so that nothing is lost halfway.
    for path in &paths {
        let sources = names.iter().map(|name| match input.is_dir() {
            true => input.join(name),
            false => input.to_path_buf(),
        });
        if let Ok(path) = path.canonicalize()
            && sources
                .flat_map(|source| source.canonicalize())
                .any(|source| source == path)
        {
            bail!(FileError::new(
                &path,
                "is an input, and would be written over",
                "choose another --out"
            ))
        }
    }
    for (name, path) in names.iter().zip(&paths) {
        let picture = album.read(name)?.tensor(port.channels, &Device::Cpu)?;
        let Translation { translated, cycled } =
            each(sampler, &picture, side, args.seed, device).with_context(|| name.clone())?;
        let made = match args.strip {
            true => {
                let columns = [Some(picture), Some(translated), cycled];
                let columns: Vec<Tensor> = columns.into_iter().flatten().collect();
                strips(&columns, 1)?
            }
            false => single(&translated)?,
        };
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            std::fs::create_dir_all(folder).map_err(|e| FileError::writing(folder, &e))?;
        }
        std::fs::write(path, made.png()?).map_err(|e| FileError::writing(path, &e))?;
    }
    match &paths[..] {
        [path] => say!("1 picture: {}", path.display()),
        _ => say!("{} pictures: {}", paths.len(), out.display()),
    }
    Ok(())
}

/// Where each picture goes: its own name as PNG. Where two have one name but for their endings, these are
/// kept: `a.jpg.png`.
fn outputs(names: &[String]) -> Vec<String> {
    let stem = |name: &str| match name.rsplit_once('.') {
        Some((stem, _)) => stem.to_string(),
        None => name.to_string(),
    };
    let mut uses: BTreeMap<String, usize> = BTreeMap::new();
    for name in names {
        *uses.entry(stem(name)).or_default() += 1;
    }
    let one = |name: &String| match uses.get(&stem(name)) {
        Some(1) => format!("{}.png", stem(name)),
        _ => format!("{name}.png"),
    };
    names.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept() {
        let names = ["a/b c.jpg", "ä.PNG", "x.jpg", "x.png"].map(String::from);
        let want = ["a/b c.png", "ä.png", "x.jpg.png", "x.png.png"];
        assert_eq!(outputs(&names), want);
    }
}
