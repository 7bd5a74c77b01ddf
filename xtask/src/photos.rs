//! `sample --input` with a generator that restores: photographs enlarged tile by tile, and written as they are made.

use crate::cli::SampleArgs;
use crate::observers::progress_bar;
use crate::output::{self, Format, Lost};
use crate::{process, room};
use anyhow::{Result, bail};
use candle_core::Device;
use gan_core::data::Progress;
use gan_core::data::images::Album;
use gan_core::image::GAP;
use gan_core::photo::{self, Enlarger, Form, Kind, Photo, Smooth, Tiles};
use gan_core::{Port, Sampler, shortened};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Characters of a name in what is said of it.
const NAME: usize = 60;
/// Names that a note has room for.
const NAMED: usize = 4;

/// How photographs are enlarged, and what is to be said of them in the end.
pub struct Photos<'a> {
    /// One, or of a strip those whose pictures are shown beside each other.
    enlargers: Vec<Enlarger<'a>>,
    port: Port,
    format: photo::Format,
    on_cpu: bool,
    strip: bool,
    times: usize,
    force: bool,
    stop: Arc<AtomicBool>,
    progress: Box<Progress>,
    notes: RefCell<BTreeMap<&'static str, Vec<String>>>,
}

impl<'a> Photos<'a> {
    /// As the command line says.
    ///
    /// # Errors
    /// A generator that does not restore; tiles for one that has to see a photograph whole.
    pub fn new(
        samplers: &[&'a dyn Sampler],
        args: &SampleArgs,
        device: &Device,
        format: Format,
    ) -> Result<Self> {
        let pixels = |n: Option<u32>| n.map(|n| n as usize);
        let memory = args.memory.map_or(Enlarger::MEMORY, |mib| mib << 20);
        let enlarger = |sampler: &&'a dyn Sampler| -> Result<Enlarger<'a>> {
            let enlarger = Enlarger::new(*sampler)?.device(device).seed(args.seed);
            let overlap = pixels(args.overlap).unwrap_or(Tiles::overlap(enlarger.port()));
            Ok(match pixels(args.tile) {
                Some(side) => enlarger.tiles(Tiles { side, overlap })?,
                None => enlarger.overlap(overlap).memory(memory),
            })
        };
        let enlargers = samplers.iter().map(enlarger).collect::<Result<Vec<_>>>()?;
        let Some(first) = enlargers.first() else {
            bail!("there is no generator")
        };
        Ok(Self {
            port: first.port().clone(),
            enlargers,
            format: match format {
                Format::Jpeg => photo::Format::Jpeg,
                Format::Png | Format::Gif => photo::Format::Png,
            },
            on_cpu: device.is_cpu(),
            strip: args.strip,
            times: args.scale.map_or(1, usize::from),
            force: args.force,
            stop: process::watch_signals()?,
            progress: Box::new(progress_bar(false)),
            notes: RefCell::default(),
        })
    }

    /// Reads a picture of an album, enlarges it and writes it to `path`. It is number `i`, from 0, of `of`.
    ///
    /// # Errors
    /// A picture that cannot be read, enlarged or held by the format; a file that cannot be written.
    pub fn make(
        &self,
        album: &Album,
        name: &str,
        (i, of): (usize, usize),
        path: &Path,
    ) -> Result<(), Lost> {
        let short = shortened(name, NAME);
        let photo = album.photo(name).map_err(|e| Lost::Made(e.into()))?;
        let what = match of {
            1 => format!("enlarging {short}"),
            of => format!("enlarging {short} ({} of {of})", i + 1),
        };
        let made = self.written(&photo, &what, path);
        match made {
            // What a second Ctrl-C would leave half is not there.
            Err(_) if self.stop.load(Ordering::Relaxed) => Err(Lost::Written(Stopped.into())),
            Err(Lost::Made(error)) => Err(Lost::Made(error.context(short))),
            Err(error) => Err(error),
            Ok(()) => {
                let lost = self.format.loses(photo.form.kind, photo.is_opaque());
                let mut notes = self.notes.borrow_mut();
                for note in photo.notes.iter().chain(&lost) {
                    notes.entry(note).or_default().push(short.clone());
                }
                Ok(())
            }
        }
    }

    fn written(&self, photo: &Photo, what: &str, path: &Path) -> Result<(), Lost> {
        let Some(first) = self.enlargers.first() else {
            return Ok(());
        };
        let form = self.laid_out(&first.form(photo));
        let watch = |done: usize, all: usize| {
            (self.progress)(what, done, all);
            match self.stop.load(Ordering::Relaxed) {
                true => Err(candle_core::Error::wrap(Stopped)),
                false => Ok(()),
            }
        };
        let ready = || {
            self.format.check(&form)?;
            self.require_room(first, photo)?;
            let bands = self
                .enlargers
                .iter()
                .map(|enlarger| enlarger.bands(photo, &watch));
            Ok(bands.collect::<candle_core::Result<Vec<_>>>()?)
        };
        let mut all = ready().map_err(Lost::Made)?;
        let smooth = Smooth::new(photo, self.port.scale);
        let mut rows = 0;
        // All of them make the same rows at a time.
        let bands = std::iter::from_fn(|| {
            let bands: Option<Vec<_>> = all.iter_mut().map(Iterator::next).collect();
            Some(bands?.into_iter().collect::<candle_core::Result<Vec<_>>>())
        });
        let bands = bands.map(|bands| {
            let bands = bands?;
            let from = rows;
            rows += bands.first().map_or(0, Vec::len) / smooth.form().row().max(1);
            Ok(self.shown(bands, &smooth, from, rows))
        });
        // Above and below a strip, as between its pictures.
        let border = || {
            let rows = if self.strip { GAP } else { 0 };
            Some(Ok(black(form.kind, form.width * rows))).filter(|_| rows > 0)
        };
        let mut bands = border().into_iter().chain(bands).chain(border());
        output::stream(path, self.force, |to| {
            let profile = photo.profile.as_deref();
            photo::write(to, self.format, &form, profile, &mut bands).map_err(anyhow::Error::from)
        })
    }

    /// How large what is written is.
    fn laid_out(&self, form: &Form) -> Form {
        let form = form.times(self.times);
        match self.strip {
            true => Form {
                height: form.height + 2 * GAP,
                width: (self.enlargers.len() + 1) * (form.width + GAP) + GAP,
                ..form
            },
            false => form,
        }
    }

    /// Rows `from` to `to` of what is written: each pixel as large as is asked for, in a strip with the bicubic rows
    /// before them.
    fn shown(
        &self,
        mut bands: Vec<Vec<u8>>,
        smooth: &Smooth<'_>,
        from: usize,
        to: usize,
    ) -> Vec<u8> {
        if !self.strip && self.times == 1 {
            return bands.pop().unwrap_or_default();
        }
        let form = smooth.form();
        let beside = match self.strip {
            true => smooth.rows(from, to),
            false => Vec::new(),
        };
        let (row, pixel) = (form.row(), form.kind.bytes());
        let gap = match self.strip {
            true => black(form.kind, GAP),
            false => Vec::new(),
        };
        let mut shown = Vec::new();
        for y in 0..to - from {
            let mut line = gap.clone();
            for rows in [&beside].into_iter().chain(&bands) {
                let pixels = rows.get(y * row..(y + 1) * row).unwrap_or(&[]);
                for pixel in pixels.chunks_exact(pixel.max(1)) {
                    (0..self.times).for_each(|_| line.extend(pixel));
                }
                if !rows.is_empty() {
                    line.extend(&gap);
                }
            }
            (0..self.times).for_each(|_| shown.extend(&line));
        }
        shown
    }

    /// Refuses tiles that the memory of the machine would not hold.
    fn require_room(&self, enlarger: &Enlarger<'_>, photo: &Photo) -> Result<()> {
        if !self.on_cpu {
            return Ok(());
        }
        let port = &self.port;
        let tiles = enlarger.tiles_of(&photo.form)?;
        let Form { height, width, .. } = photo.form;
        room::require(tiles.needs(port, &photo.form), |need| {
            match port.reach.is_some() {
                true => format!(
                    "a picture of {height}x{width} in tiles of {} needs {need}; choose a smaller --tile or --memory",
                    tiles.side.min(height.max(width))
                ),
                false => {
                    format!("a picture of {height}x{width} needs {need}; make it smaller")
                }
            }
        })
    }

    /// Says what is not in the pictures that were made as it was in their files.
    pub fn say_notes(&self) {
        for (note, names) in self.notes.borrow().iter() {
            let shown: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
            let more = match names.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            say!("note: {note}: {}{more}", shown.join(", "));
        }
    }
}

/// So many black pixels, opaque.
fn black(kind: Kind, pixels: usize) -> Vec<u8> {
    let size = kind.bytes() / kind.values().max(1);
    let colours = vec![0; kind.channels * size];
    let opaque = vec![u8::MAX; if kind.alpha { size } else { 0 }];
    [colours, opaque].concat().repeat(pixels)
}

/// The user has asked for the end.
#[derive(Debug)]
pub struct Stopped;

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stopped; what was being made is not there, what was made before is")
    }
}

impl std::error::Error for Stopped {}
