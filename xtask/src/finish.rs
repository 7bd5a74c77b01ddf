//! What a run leaves at its end beside its checkpoints: weights, film, held-out pictures. They are made when it ends;
//! where it was stopped between its last checkpoint and its end, `--resume` makes what is missing.

use crate::folder::RunFolder;
use crate::heldout::HeldOut;
use crate::job::{Job, Running};
use crate::observers::progress::Progress;
use crate::observers::{is_since, strips, thousands};
use crate::resume::all_done;
use anyhow::Result;
use gan_core::{Algorithm, Event, FileError, Observer, Port, Side};
use image::ImageFormat;
use std::path::{Path, PathBuf};

/// The last bytes of a PNG: without them it was cut off, also where a decoder has all pixels.
const PNG_END: &[u8] = b"IEND\xae\x42\x60\x82";

/// What a run makes at its end, where it makes it and of what.
pub struct End<'a> {
    /// The run's job.
    pub job: &'a Job<'a>,
    /// Its folder.
    pub folder: &'a RunFolder,
}

/// What is not there of a finished run, not to its end, or from before it went on to be longer.
#[derive(Debug, Default)]
struct Missing {
    weights: Vec<String>,
    film: bool,
    held_out: bool,
}

impl Missing {
    /// The files' names.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.weights.iter().map(|n| weights_name(n)).collect();
        if self.film {
            names.push("progress.gif".into());
        }
        if self.held_out {
            names.push("held-out pictures".into());
        }
        names
    }
}

fn weights_name(part: &str) -> String {
    format!("weights/{part}.safetensors")
}

/// The column of grids that shows how a run went whose generator takes this.
pub fn column(port: Option<&Port>) -> &'static str {
    port.map_or("fake", |_| strips::COLUMN)
}

/// The film of a run whose generator takes this.
pub fn film(dir: &Path, port: Option<&Port>) -> Progress {
    Progress::new(dir, column(port))
}

impl End<'_> {
    /// Writes the weights of each network whose name is wanted.
    ///
    /// # Errors
    /// Files that cannot be written; a folder that is another's now.
    pub fn weights(
        &self,
        algorithm: &mut dyn Algorithm,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<()> {
        self.folder.require_own()?;
        let dir = self.folder.weights();
        std::fs::create_dir_all(&dir).map_err(|e| FileError::writing(&dir, &e))?;
        for (name, part) in algorithm.parts() {
            if let (Some(params), true) = (part.params(), wanted(name)) {
                self.folder.require_own()?;
                params.write_weights(&self.folder.path().join(weights_name(name)))?;
            }
        }
        Ok(())
    }

    /// Writes the held-out pictures; gives their paths. They are made in a folder beside, so that each is whole once
    /// it is in its place.
    ///
    /// # Errors
    /// Those of reading, of the generator, of writing.
    pub fn held_out(
        &self,
        algorithm: &dyn Algorithm,
        held_out: &HeldOut,
        port: &Port,
    ) -> Result<Vec<PathBuf>> {
        let (settings, dir) = (&self.job.settings, self.folder.path());
        self.folder.require_own()?;
        let aside = gan_core::whole::aside(dir)?;
        let sampler = algorithm.sampler(settings.steps);
        let (seed, device) = (settings.seed, &self.job.device);
        let made = held_out.write(&*sampler, port, aside.path(), seed, device)?;
        self.folder.require_own()?;
        let mut paths = Vec::new();
        for from in made {
            let path = dir.join(from.file_name().unwrap_or_default());
            std::fs::File::open(&from)
                .and_then(|file| file.sync_all())
                .and_then(|()| std::fs::rename(&from, &path))
                .map_err(|e| FileError::writing(&path, &e))?;
            paths.push(path);
        }
        Ok(paths)
    }

    /// Makes what a run promised whose last iteration is done; `running` stands at its last `checkpoint`.
    ///
    /// # Errors
    /// A run of which all is there: wrong usage. Those of making it.
    pub fn make_up(
        &self,
        running: &mut Running<'_>,
        checkpoint: &Path,
        held_out: Option<&HeldOut>,
        dry_run: bool,
        quiet: bool,
    ) -> Result<()> {
        let (dir, steps) = (self.folder.path(), self.job.settings.steps);
        let takes = running.algorithm.sampler(steps).takes();
        let port = takes.port.as_ref();
        // Without a test part nothing of it was promised.
        let held_out = held_out.filter(|held_out| held_out.is_held_out);
        let promised = port.filter(|_| held_out.is_some());
        let missing = self.missing(&mut *running.algorithm, checkpoint, port, promised)?;
        let names = missing.names();
        if names.is_empty() {
            return Err(all_done(dir, steps, self.job.learns.scheduled).into());
        }
        let what = format!(
            "{}: all {} iterations are done, but not all that a run leaves at its end was there",
            dir.display(),
            thousands(steps)
        );
        if dry_run {
            say!("{what}\n  missing  {}", names.join(", "));
            say!("dry run: nothing was done");
            return Ok(());
        }
        if !missing.weights.is_empty() {
            self.weights(&mut *running.algorithm, |name| {
                missing.weights.iter().any(|missing| missing == name)
            })?;
        }
        if missing.film {
            self.folder.require_own()?;
            film(dir, port).on(&Event::Ended { t: steps })?;
        }
        if let (true, Some(port), Some(held_out)) = (missing.held_out, port, held_out) {
            self.held_out(&*running.algorithm, held_out, port)?;
        }
        if !quiet {
            say!("{what}\n  made     {}", names.join(", "));
        }
        Ok(())
    }

    fn missing(
        &self,
        algorithm: &mut dyn Algorithm,
        checkpoint: &Path,
        port: Option<&Port>,
        promised: Option<&Port>,
    ) -> Result<Missing> {
        let dir = self.folder.path();
        // Weights are those of the checkpoint, whose every bit is known.
        let aside = gan_core::whole::aside(dir)?;
        let mut weights = Vec::new();
        for (name, part) in algorithm.parts() {
            let Some(params) = part.params() else {
                continue;
            };
            let made = aside.path().join("weights");
            params.write_weights(&made)?;
            let wanted = std::fs::read(&made).map_err(|e| FileError::reading(&made, &e))?;
            if std::fs::read(dir.join(weights_name(name))).ok() != Some(wanted) {
                weights.push(name.to_string());
            }
        }
        Ok(Missing {
            weights,
            film: !film(dir, port).is_whole(),
            held_out: promised.is_some_and(|port| {
                let mut names = held_out_names(port).iter();
                names.any(|name| {
                    let path = dir.join(name);
                    !is_whole_png(&path) || !is_since(&path, checkpoint)
                })
            }),
        })
    }
}

/// The files that [`HeldOut::write`] makes.
fn held_out_names(port: &Port) -> &'static [&'static str] {
    match port.sides {
        [Side::A, Side::B] | [Side::B, Side::A] => &["held-out-a2b.png", "held-out-b2a.png"],
        _ => &["held-out.png"],
    }
}

fn is_whole_png(path: &Path) -> bool {
    let bytes = std::fs::read(path).unwrap_or_default();
    bytes.ends_with(PNG_END)
        && image::load_from_memory_with_format(&bytes, ImageFormat::Png).is_ok()
}
