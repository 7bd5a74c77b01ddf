//! `sample --input`: translates pictures of any size, one, a folder or a zip file of them.

use crate::cli::{DirectionArg, SampleArgs};
use crate::output::{self, Format, Lost, Target, Usual, counted};
use crate::photos::Photos;
use crate::translation::{Translation, each, larger, strips};
use crate::{Usage, interpolation, one_line, room};
use anyhow::{Context as _, Result, bail};
use candle_core::{DType, Device, Tensor};
use gan_core::data::images::Album;
use gan_core::image::{Picture, single};
use gan_core::{FileError, Port, Sampler, Side, Takes, shortened};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Refuses options that are not for this generator.
///
/// # Errors
/// Pictures for a generator that takes noise, none for one that takes pictures, a direction for one that has
/// no choice, options of noise for pictures, tiles for one that has none.
pub fn check(takes: &Takes, args: &SampleArgs) -> Result<()> {
    let tiles = [
        ("--tile", args.tile.is_some()),
        ("--overlap", args.overlap.is_some()),
        ("--memory", args.memory.is_some()),
    ];
    if let Some((option, _)) = tiles.iter().find(|(_, given)| *given)
        && let Some(why) = no_tiles(takes.port.as_ref())
    {
        bail!(Usage(format!("{option}: {why}; leave it out")))
    }
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
        _ => match (args.n, &args.class, args.interpolate, args.separate) {
            (None, None, None, false) => return Ok(()),
            (None, None, None, true) => {
                "--separate: what is made of --input is written to a file each in any case; leave it out"
            }
            _ => "-n, --class and --interpolate are for generators that take noise; leave them out",
        },
    };
    bail!(Usage(problem.into()))
}

/// Why pictures are not cut into tiles for a generator, if they are not.
fn no_tiles(port: Option<&Port>) -> Option<&'static str> {
    match port {
        None => Some("this generator takes noise, there is nothing to cut into tiles"),
        Some(port) if port.reach.is_none() => {
            Some("what this generator makes of a pixel depends on the whole picture")
        }
        Some(port) if !port.restores => {
            Some("this generator makes other pictures, each of a whole one")
        }
        Some(_) => None,
    }
}

/// Refuses options that one file in this format cannot follow.
///
/// # Errors
/// A film of what does not move, single files, another format.
pub fn check_file(path: &Path, format: Format, args: &SampleArgs) -> Result<()> {
    let problem = match format {
        Format::Gif if args.interpolate.is_none() => {
            "a GIF shows an interpolation; add --interpolate N"
        }
        _ if args.separate => "--separate makes several files; name a folder with / at its end",
        _ if args.format.is_some_and(|other| other != format) => {
            "--format is another one; leave it out, the ending says it"
        }
        _ => return Ok(()),
    };
    bail!(Usage(format!("--out {}: {problem}", path.display())))
}

/// Pictures whose names an error has room for.
const NAMED: usize = 4;
/// Characters of names in an error.
const NAME: usize = 200;
/// Pixels of a picture up to which it is translated without asking whether it fits into the memory.
const SMALL: usize = 1 << 20;
/// The side of the first square that is tried then.
const TRIED: usize = 64;

/// Translates what `--input` names, into `--out` or the usual folder. A picture that cannot be translated does not
/// keep the others from it.
///
/// # Errors
/// Pictures that cannot be read or translated, by name, once the others are made; those that cannot be written.
pub fn sample(
    samplers: &[&dyn Sampler],
    args: &SampleArgs,
    input: &Path,
    device: &Device,
    usual: &Usual,
) -> Result<()> {
    let first = samplers
        .first()
        .and_then(|&sampler| Some((sampler, sampler.takes().port?)));
    let Some((sampler, port)) = first else {
        bail!("this generator takes no pictures")
    };
    if samplers.len() > 1 && !port.restores {
        bail!(Usage(
            "--alpha: several of them are shown of generators that enlarge; name one".into()
        ))
    }
    let side = match (args.direction, port.sides) {
        (_, [side]) => *side,
        (Some(DirectionArg::B2a), _) => Side::B,
        _ => Side::A,
    };
    let album = Album::open(input)?;
    album.notes().iter().for_each(|note| say!("note: {note}"));
    let names = album.names();
    let places = Places::new(args, &port, side, &names, usual)?;
    places.refuse_inputs(input, &names)?;
    let way = Way {
        sampler,
        port: &port,
        side,
        args,
        device,
    };
    let photos = match port.restores {
        true => Some(Photos::new(samplers, args, device, places.format)?),
        false => None,
    };
    let write = |i: usize, name: &String, path: &Path| match &photos {
        Some(photos) => photos.make(&album, name, (i, names.len()), path),
        None => {
            let made = way.made(&album, name);
            let made = made.and_then(|made| places.format.encode(&made));
            let file = made.map_err(Lost::Made)?;
            output::write(path, &file, args.force).map_err(Lost::Written)
        }
    };
    let mut bad = Vec::new();
    let mut fatal = None;
    let mut made = 0;
    for (i, (name, path)) in names.iter().zip(&places.paths).enumerate() {
        match write(i, name, path) {
            Ok(()) => made += 1,
            Err(Lost::Made(error)) if names.len() > 1 => bad.push((name, error)),
            Err(Lost::Made(error) | Lost::Written(error)) => {
                fatal = Some(error);
                break;
            }
        }
    }
    // What was made before an error stands, and is said.
    if made > 0 {
        say!("{}: {}", counted(made), places.shown.display());
    }
    if let Some(photos) = &photos {
        photos.say_notes();
    }
    if let (Some(alphas), true, true) = (interpolation::alphas(args)?, args.strip, made > 0) {
        say!("{}", interpolation::caption(&alphas));
    }
    match fatal {
        Some(error) => Err(error),
        None if bad.is_empty() => Ok(()),
        None => Err(named(&bad, names.len(), &port)),
    }
}

/// What a generator does to a picture, in a word.
fn done(port: &Port) -> &'static str {
    match (port.restores, port.scale) {
        (false, _) => "translated",
        (true, 1) => "restored",
        (true, _) => "enlarged",
    }
}

/// What is wrong with pictures of an input: a line each, and all of it in one.
fn named(bad: &[(&String, anyhow::Error)], of: usize, port: &Port) -> anyhow::Error {
    let was = if bad.len() == 1 { "was" } else { "were" };
    let done = done(port);
    let what = format!("{} of {} {was} not {done}", bad.len(), counted(of));
    if let [(_, error)] = bad {
        return anyhow::anyhow!("{what}: {}", one_line(error));
    }
    for (_, error) in bad {
        warn!("warning: {}", one_line(error));
    }
    let names: Vec<String> = bad
        .iter()
        .take(NAMED)
        .map(|(name, _)| shortened(name, NAME / NAMED))
        .collect();
    let more = match bad.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    anyhow::anyhow!("{what}: {}{more}", names.join(", "))
}

/// Where translations go.
struct Places {
    paths: Vec<PathBuf>,
    format: Format,
    /// The one file, or the folder.
    shown: PathBuf,
}

impl Places {
    fn new(
        args: &SampleArgs,
        port: &Port,
        side: Side,
        names: &[String],
        usual: &Usual,
    ) -> Result<Self> {
        let target = match &args.out {
            Some(out) => output::target(out)?.unwrap_or_else(|| Target::Folder(out.clone())),
            None => {
                let way = match (port.both_ways(), side) {
                    (false, _) => "",
                    (true, Side::A) => "-a2b",
                    (true, Side::B) => "-b2a",
                };
                let strip = if args.strip { "-strip" } else { "" };
                let scale = args
                    .scale
                    .map_or(String::new(), |scale| format!("-x{scale}"));
                let named =
                    |word: &str, n: Option<u64>| n.map_or(String::new(), |n| format!("-{word}{n}"));
                let tiles = named("tile", args.tile.map(u64::from))
                    + &named("overlap", args.overlap.map(u64::from))
                    + &named("memory", args.memory);
                let between = interpolation::named(args)?;
                let rest = format!("{way}-seed{}{between}{strip}{scale}{tiles}", args.seed);
                Target::Folder(usual.path(done(port), &rest))
            }
        };
        match target {
            Target::File(path, format) => {
                if names.len() > 1 {
                    bail!(Usage(format!(
                        "--out {}: {} need a folder, not one file; its name ends with /",
                        path.display(),
                        counted(names.len())
                    )))
                }
                check_file(&path, format, args)?;
                Ok(Self {
                    paths: vec![path.clone()],
                    format,
                    shown: path,
                })
            }
            Target::Folder(dir) => {
                let format = args.format.unwrap_or(Format::Png);
                let files = outputs(names, format.ending());
                let paths: Vec<PathBuf> = files.iter().map(|name| dir.join(name)).collect();
                let shown = match &paths[..] {
                    [path] => path.clone(),
                    _ => dir,
                };
                Ok(Self {
                    paths,
                    format,
                    shown,
                })
            }
        }
    }

    /// Refuses to write over a picture that is to be read, before the first is made.
    fn refuse_inputs(&self, input: &Path, names: &[String]) -> Result<()> {
        let sources = names.iter().map(|name| match input.is_dir() {
            true => input.join(name),
            false => input.to_path_buf(),
        });
        let sources: BTreeSet<PathBuf> = sources.flat_map(|path| path.canonicalize()).collect();
        for path in self.paths.iter().flat_map(|path| path.canonicalize()) {
            if sources.contains(&path) {
                bail!(FileError::new(
                    &path,
                    "is an input, and would be written over",
                    "choose another --out"
                ))
            }
        }
        Ok(())
    }
}

/// How each picture is translated.
struct Way<'a> {
    sampler: &'a dyn Sampler,
    port: &'a Port,
    side: Side,
    args: &'a SampleArgs,
    device: &'a Device,
}

impl Way<'_> {
    /// What becomes of a picture, with the picture beside it where a strip is asked for.
    fn made(&self, album: &Album, name: &str) -> Result<Picture> {
        let picture = album.read(name)?;
        let size = (picture.height, picture.width);
        self.refuse_more_than_memory(size)
            .with_context(|| shortened(name, NAME))?;
        let picture = picture.tensor(self.port.channels, &Device::Cpu)?;
        self.translated(picture)
            .with_context(|| shortened(name, NAME))
    }

    fn translated(&self, picture: Tensor) -> Result<Picture> {
        let (seed, scale) = (self.args.seed, self.args.scale);
        let Translation { translated, cycled } =
            each(self.sampler, &picture, self.side, seed, self.device)?;
        if !self.args.strip {
            return Ok(single(&larger(&translated, scale)?)?);
        }
        let columns = [Some(picture), Some(translated), cycled];
        let columns = columns.into_iter().flatten();
        let columns = columns.map(|column| larger(&column, scale));
        Ok(strips(&columns.collect::<Result<Vec<_>, _>>()?, 1)?)
    }

    /// Refuses a picture that the memory of the machine would not hold on its way, from what small ones take.
    fn refuse_more_than_memory(&self, (h, w): (usize, usize)) -> Result<()> {
        if h * w <= SMALL {
            return Ok(());
        }
        let mut few = |squares: usize| {
            let shape = (1, self.port.channels, TRIED, TRIED * squares);
            let tried = Tensor::zeros(shape, DType::F32, &Device::Cpu)?;
            self.translated(tried).map(drop)
        };
        room::refuse_beyond((h * w).div_ceil(TRIED * TRIED), &mut few, |need| {
            format!("a picture of {h}x{w} needs {need}; make it smaller")
        })
    }
}

/// Where each picture goes: its own name with another ending. Where two would have one name, in whatever case, or one
/// that of a folder, endings are kept: `a.jpg.png`.
fn outputs(names: &[String], ending: &str) -> Vec<String> {
    let mut kept: BTreeSet<usize> = BTreeSet::new();
    loop {
        let one = |(i, name): (usize, &String)| match (kept.contains(&i), name.rsplit_once('.')) {
            // A dot in a folder's name begins no ending.
            (false, Some((stem, rest))) if !rest.contains('/') => format!("{stem}.{ending}"),
            _ => format!("{name}.{ending}"),
        };
        let files: Vec<String> = names.iter().enumerate().map(one).collect();
        let mut uses: BTreeMap<String, usize> = BTreeMap::new();
        let folders = |file: &str| -> Vec<String> {
            let ends = file.match_indices('/').map(|(end, _)| end);
            ends.filter_map(|end| file.get(..end))
                .map(str::to_lowercase)
                .collect()
        };
        let taken: BTreeSet<String> = files.iter().flat_map(|file| folders(file)).collect();
        for file in &files {
            *uses.entry(file.to_lowercase()).or_default() += 1;
        }
        let clash = |file: &str| {
            let file = file.to_lowercase();
            taken.contains(&file) || uses.get(&file).is_some_and(|n| *n > 1)
        };
        let before = kept.len();
        kept.extend((0..files.len()).filter(|&i| files.get(i).is_some_and(|file| clash(file))));
        if kept.len() == before {
            return files;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_and_as_many_as_there_are_pictures() {
        let made = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            outputs(&names, "png")
        };
        assert_eq!(
            made(&["a/b c.jpg", "ä.PNG", "x.jpg", "x.png"]),
            ["a/b c.png", "ä.png", "x.jpg.png", "x.png.png"]
        );
        // The third would take the name of the first.
        assert_eq!(
            made(&["x.jpg", "x.png", "x.jpg.png"]),
            ["x.jpg.png", "x.png.png", "x.jpg.png.png"]
        );
        assert_eq!(made(&["X.jpg", "x.bmp"]), ["X.jpg.png", "x.bmp.png"]);
        assert_eq!(
            made(&["a.jpg", "a.png/b.jpg"]),
            ["a.jpg.png", "a.png/b.png"]
        );
        assert_eq!(made(&["none", "d.d/none"]), ["none.png", "d.d/none.png"]);
        assert_eq!(outputs(&["x.jpg".into()], "jpg"), ["x.jpg"]);
    }
}
