//! A folder or zip file of pictures, looked at and then read: first every file's header, so that a run's
//! settings can be made for the data; then the pixels, brought to what the run needs.
//!
//! One policy for all of them: turned upright as their orientation tag says; of more than 8 bits a channel
//! rounded to 8; transparent ones on white; grey ones with three equal channels where others have colours;
//! cut and resized as [`View::kept`](crate::data::View::kept) says, each for itself. What was changed is
//! said in notes. Nothing depends on the number of threads.

mod notes;

use super::decode::{self, Looks};
use super::parallel::{Room, in_parallel};
use super::parts::{counted, some_of};
use super::told::Told;
use super::{Entry, Files};
use crate::FileError;
use crate::data::held::{Slots, hex, written};
use crate::data::resize::{brought, planar};
use crate::data::view::Kept;
use crate::data::{Data, DataInfo, Fit, Part, Pictures, Progress, Reading, Small, SourceFile};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes that all threads together hold of files and decoded pictures, at most.
const ROOM: u64 = 768 << 20;

/// A picture, or one half of one, that a set is to hold.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Its file.
    pub entry: Entry,
    /// Which half of the file's picture it is, if it is one.
    pub half: Option<Half>,
    /// Its class.
    pub label: Option<u8>,
}

/// A half of a picture that shows a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    Left,
    Right,
}

/// What the two sides of a set are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Partners {
    /// Nothing; or there is one side.
    None,
    /// Each picture has its partner of the same size in the other.
    Equal,
    /// Those of the second are smaller ones of the first's, by this factor.
    Smaller(usize),
}

/// What the files of a set say, before their pixels are read.
pub struct Survey {
    path: PathBuf,
    files: Files,
    sides: Vec<Vec<(Item, Looks)>>,
    sha256: Vec<String>,
    read_from: Vec<Vec<SourceFile>>,
    partners: Partners,
    classes: Vec<String>,
    notes: Vec<String>,
}

impl Survey {
    /// Looks at the files of one side or two; sides of partners have as many pictures.
    pub(super) fn new(
        path: &Path,
        files: Files,
        sides: Vec<Vec<Item>>,
        partners: Partners,
        classes: Vec<String>,
        progress: &Progress,
    ) -> Result<Self, FileError> {
        // The two halves of a picture come from one file, which is read once.
        let joined =
            partners == Partners::Equal && sides.iter().flatten().all(|item| item.half.is_some());
        let looked: Vec<&Item> = match joined {
            true => sides.iter().take(1).flatten().collect(),
            false => sides.iter().flatten().collect(),
        };
        let room = Room::new(ROOM);
        let seen = in_parallel("looking at pictures", looked.len(), progress, |i| {
            let Some(item) = looked.get(i) else {
                return Err(FileError::new(path, "holds fewer pictures", "try again"));
            };
            let _taken = room.take(files.size(&item.entry));
            let file = files.read(&item.entry)?;
            let fault = |(problem, remedy): decode::Fault| {
                FileError::new(&files.path(&item.entry), problem, remedy)
            };
            let looks = decode::open(&file).map_err(fault)?.looks;
            let hash: [u8; 32] = Sha256::digest(&file).into();
            Ok((looks, hash))
        })?;
        let mut all = seen.into_iter();
        let first: Vec<_> = all
            .by_ref()
            .take(sides.first().map_or(0, Vec::len))
            .collect();
        let second = match joined {
            true => first.clone(),
            false => all.collect(),
        };
        let (mut surveyed, mut hashes, mut read_from) = (Vec::new(), Vec::new(), Vec::new());
        for (items, seen) in sides.into_iter().zip([first, second]) {
            let mut sum = Sha256::new();
            let mut side = Vec::with_capacity(items.len());
            let mut from = Vec::with_capacity(items.len());
            for (item, (mut looks, hash)) in items.into_iter().zip(seen) {
                let name = item.entry.name.as_bytes();
                sum.update((name.len() as u64).to_le_bytes());
                sum.update(name);
                sum.update(hash);
                from.push(SourceFile {
                    name: item.entry.name.clone(),
                    sha256: written(&hash),
                });
                sum.update([
                    item.label.unwrap_or(0),
                    u8::from(item.half == Some(Half::Right)),
                ]);
                if item.half.is_some() {
                    looks.width /= 2;
                }
                side.push((item, looks));
            }
            surveyed.push(side);
            hashes.push(hex(sum));
            read_from.push(from);
        }
        Ok(Self {
            path: path.to_path_buf(),
            files,
            sides: surveyed,
            sha256: hashes,
            read_from,
            partners,
            classes,
            notes: Vec::new(),
        })
    }

    /// The same with what is to be said of the files that it was made of.
    pub(super) fn saying(mut self, notes: Vec<String>) -> Self {
        self.notes = notes;
        self
    }

    /// What each side's pictures look like, by name.
    pub(super) fn side(&self, i: usize) -> impl Iterator<Item = (&Entry, &Looks)> {
        let side = self.sides.get(i).into_iter().flatten();
        side.map(|(item, looks)| (&item.entry, looks))
    }

    /// The file's name for people.
    pub(super) fn path_of(&self, entry: &Entry) -> PathBuf {
        self.files.path(entry)
    }

    fn all(&self) -> impl Iterator<Item = &(Item, Looks)> {
        self.sides.iter().flatten()
    }

    /// The sides whose sizes count; low partners follow theirs.
    fn leading(&self) -> &[Vec<(Item, Looks)>] {
        match self.partners {
            Partners::Smaller(_) => self.sides.get(..1).unwrap_or_default(),
            _ => &self.sides,
        }
    }

    fn channels(&self) -> usize {
        self.all()
            .map(|(_, looks)| looks.channels)
            .max()
            .unwrap_or(1)
    }

    /// Counts, channels, classes and sizes.
    pub fn info(&self) -> DataInfo {
        let leading = self.leading().iter();
        let sizes = leading.clone().flatten();
        let sizes: Vec<_> = sizes
            .map(|(_, looks)| (looks.height, looks.width))
            .collect();
        let mut info = DataInfo::picture(self.channels(), 0, 0).sized(&sizes);
        let counts: Vec<usize> = leading.map(Vec::len).collect();
        info.len = counts.first().copied().unwrap_or(0);
        info.len_b = counts.get(1).copied();
        info.classes = (!self.classes.is_empty()).then_some(self.classes.len());
        info.names = self.classes.clone();
        info
    }

    /// Whether there are two sides.
    pub fn has_two_sides(&self) -> bool {
        self.leading().len() > 1
    }

    /// The pictures, brought to what a run needs and held; beside them, what was changed, a sentence each.
    ///
    /// # Errors
    /// Pictures that are too small, where these are refused; sizes that differ, for a run that takes pictures
    /// as they are; a picture that cannot be decoded; too little room.
    pub fn read(self, reading: &Reading<'_>) -> Result<(Data, Vec<String>), FileError> {
        let mut notes = self.notes.clone();
        notes.extend(self.converted());
        let small = self.small(reading)?;
        let kept = self.kept(reading, &small)?;
        notes.extend(self.changed(reading, &kept, &small));
        let channels = self.channels();
        let bytes: usize = kept
            .iter()
            .flatten()
            .map(|(_, kept)| channels * kept.size.0 * kept.size.1)
            .sum();
        // What is held and what is being decoded lie in memory at once.
        let largest = self.all().map(|(item, looks)| self.takes(item, looks));
        let largest = largest.max().unwrap_or(0).min(ROOM);
        let left = reading.memory.checked_sub(bytes as u64);
        let left = left.filter(|left| *left >= largest);
        let in_memory = left.is_some();
        if !in_memory {
            notes.push(format!(
                "{} MiB of decoded pictures are held in a temporary file: --memory allows {} MiB, and reading the \
                 largest takes {}",
                bytes.div_ceil(1 << 20),
                reading.memory >> 20,
                largest.div_ceil(1 << 20)
            ));
        }
        let room = Room::new(left.unwrap_or(reading.memory).clamp(largest, ROOM));
        let (info, told) = (self.info(), Told::default());
        let sides = kept.iter().zip(&self.sides).zip(&self.sha256);
        let sides = sides.zip(&self.read_from);
        let sides = sides.map(|(((kept, side), sha256), from)| {
            let held = self.held(kept, side, in_memory, reading, (&room, &told))?;
            let labels = kept.iter().map(|(i, _)| side.get(*i)?.0.label).collect();
            let labels: Option<Vec<u8>> = labels;
            let labels = labels.filter(|_| info.classes.is_some());
            let mut info = info.clone();
            info.len_b = None;
            let held = held.finish(info, labels, sha256.clone());
            Ok(Arc::new(held.read_from(from.clone())) as Arc<dyn Pictures>)
        });
        let mut sides = sides.collect::<Result<Vec<_>, FileError>>()?.into_iter();
        let wrong = |problem| FileError::new(&self.path, problem, "check its pictures");
        let data = match (sides.next(), sides.next()) {
            (Some(a), None) => Data::one(a),
            (Some(a), Some(b)) => match self.partners {
                Partners::None => Data::apart(a, b),
                Partners::Equal => Data::paired(a, b).map_err(wrong)?,
                Partners::Smaller(scale) => Data::one(a).with_low(b, scale).map_err(wrong)?,
            },
            (None, _) => return Err(wrong("has no pictures".into())),
        };
        notes.extend(told.notes(self.all().count()));
        Ok((data, notes))
    }

    /// Which pictures of each leading side are too small; of a pair both.
    fn small(&self, reading: &Reading<'_>) -> Result<Vec<Vec<bool>>, FileError> {
        let needs = reading.view.needs();
        let is = |looks: &Looks| looks.height.min(looks.width) < needs;
        let mut small: Vec<Vec<bool>> = self
            .leading()
            .iter()
            .map(|side| side.iter().map(|(_, looks)| is(looks)).collect())
            .collect();
        if let (Partners::Equal, [a, b]) = (self.partners, &mut small[..]) {
            for (a, b) in a.iter_mut().zip(b) {
                (*a, *b) = (*a || *b, *a || *b);
            }
        }
        let count = small.iter().flatten().filter(|small| **small).count();
        let all = self.leading().iter().flatten();
        let named = all.filter(|(_, looks)| is(looks));
        let named = named.map(|(item, looks)| {
            let Looks { width, height, .. } = *looks;
            format!("{} ({width} wide, {height} high)", item.entry.name)
        });
        let mut named: Vec<String> = named.collect();
        named.dedup(); // the halves of one picture
        let named: Vec<&str> = named.iter().map(String::as_str).collect();
        let has_low = self.has_low();
        match reading.small {
            // An enlarged picture would be no partner of its low one any more.
            Small::Refuse | Small::Enlarge if count > 0 && has_low => Err(FileError::new(
                &self.path,
                format!(
                    "holds {} with low partners whose shorter side is below the {needs} pixels that this run needs: {}",
                    counted(count, "picture"),
                    some_of(&named)
                ),
                "--skip-small leaves them out, --set size=N needs less",
            )),
            Small::Refuse if count > 0 => Err(FileError::new(
                &self.path,
                format!(
                    "holds {} whose shorter side is below the {needs} pixels that this run needs: {}",
                    counted(count, "picture"),
                    some_of(&named)
                ),
                "--enlarge enlarges them, --skip-small leaves them out, --set size=N needs less",
            )),
            Small::Skip => match small.iter().find(|side| side.iter().all(|small| *small)) {
                Some(_) => Err(FileError::new(
                    &self.path,
                    format!("has no picture with a shorter side of {needs} pixels or more"),
                    match has_low {
                        true => "--set size=N needs less",
                        false => "--enlarge enlarges them, --set size=N needs less",
                    },
                )),
                None => Ok(small),
            },
            _ => Ok(small),
        }
    }

    /// For each side, the numbers of the pictures that are held and what is kept of each.
    fn kept(
        &self,
        reading: &Reading<'_>,
        small: &[Vec<bool>],
    ) -> Result<Vec<Vec<(usize, Kept)>>, FileError> {
        if reading.view.fit == Fit::Whole
            && let Some((first, size)) = self
                .all()
                .next()
                .map(|(item, l)| (item, (l.height, l.width)))
            && let Some((item, looks)) = self
                .leading()
                .iter()
                .flatten()
                .find(|(_, l)| (l.height, l.width) != size)
        {
            let kind = |looks: &Looks| {
                if looks.channels == 1 {
                    "grey"
                } else {
                    "colour"
                }
            };
            let first_kind = self.all().next().map_or("", |(_, looks)| kind(looks));
            return Err(FileError::new(
                &self.files.path(&item.entry),
                format!(
                    "is {}x{} {}, {} is {}x{} {first_kind}",
                    looks.height,
                    looks.width,
                    kind(looks),
                    first.entry.name,
                    size.0,
                    size.1
                ),
                "name a size with --set size=N, which brings all pictures to it",
            ));
        }
        let side = |(side, small): (&Vec<(Item, Looks)>, &Vec<bool>)| {
            let held = side.iter().zip(small).enumerate();
            let held = held.filter(|(_, (_, small))| !(reading.small == Small::Skip && **small));
            held.map(|(i, ((item, looks), _))| {
                let kept = reading
                    .view
                    .kept((looks.height, looks.width))
                    .map_err(|problem| {
                        let path = self.files.path(&item.entry);
                        FileError::new(&path, format!("cannot be used: {problem}"), "take it out")
                    })?;
                Ok((i, kept))
            })
            .collect()
        };
        let sides = self.leading().iter().zip(small).map(side);
        let mut kept = sides.collect::<Result<Vec<Vec<_>>, FileError>>()?;
        if let (Partners::Smaller(scale), [high]) = (self.partners, &kept[..]) {
            reading.view.smaller(scale).map_err(|problem| {
                let problem = format!("holds low pictures, and {problem}");
                FileError::new(&self.path, problem, "choose a size that is a multiple")
            })?;
            let low = high.iter().map(|&(i, kept)| match kept.smaller(scale) {
                Some(low) => Ok((i, low)),
                None => Err(FileError::new(
                    &self.path,
                    "holds low pictures, and this run would bring their partners to another size",
                    "take low/ away, or cut the pictures to the size that the run needs",
                )),
            });
            kept.push(low.collect::<Result<_, _>>()?);
        }
        Ok(kept)
    }

    fn has_low(&self) -> bool {
        matches!(self.partners, Partners::Smaller(_))
    }

    /// Bytes that reading a picture takes: its file, what is decoded of it, the same turned or made 8 bits a channel,
    /// and with its channels apart.
    fn takes(&self, item: &Item, looks: &Looks) -> u64 {
        self.files.size(&item.entry) + 3 * looks.bytes
    }

    /// Decodes the pictures that are kept of a side.
    fn held(
        &self,
        kept: &[(usize, Kept)],
        side: &[(Item, Looks)],
        in_memory: bool,
        reading: &Reading<'_>,
        (room, told): (&Room, &Told),
    ) -> Result<Slots, FileError> {
        let channels = self.channels();
        let sizes: Vec<_> = kept.iter().map(|(_, kept)| kept.size).collect();
        let slots = Slots::new(channels, &sizes, in_memory, reading.cache.as_deref())?;
        in_parallel("reading pictures", kept.len(), reading.progress, |i| {
            let Some(((item, looks), kept)) = kept
                .get(i)
                .and_then(|(n, kept)| Some((side.get(*n)?, kept)))
            else {
                return Err(FileError::new(
                    &self.path,
                    "holds fewer pictures",
                    "try again",
                ));
            };
            let path = || self.files.path(&item.entry);
            let _taken = room.take(self.takes(item, looks));
            let file = self.files.read(&item.entry)?;
            let fault = |(problem, remedy): decode::Fault| FileError::new(&path(), problem, remedy);
            let opened = decode::open(&file).map_err(fault)?;
            let Looks {
                height,
                width,
                channels: own,
                ..
            } = opened.looks;
            let mut part = kept.part;
            if item.half == Some(Half::Right) {
                part.left += width - width / 2;
            }
            let changed = opened.looks.bytes > looks.bytes
                || (part.top + part.height > height)
                || (part.left + part.width > width);
            if changed || own > channels {
                let problem = "has changed since it was looked at";
                return Err(FileError::new(&path(), problem, "start again"));
            }
            let pixels = opened.pixels().map_err(fault)?;
            told.of(pixels.clear, pixels.brightest);
            let made = match part == Part::whole(kept.size) && kept.size == (height, width) {
                true => pixels.bytes,
                false => brought(&pixels.bytes, own, (height, width), part, kept.size)
                    .map_err(|problem| FileError::new(&path(), problem, "take it out"))?,
            };
            let made = planar(made, own);
            match own < channels {
                true => slots.fill(i, &made.repeat(channels)),
                false => slots.fill(i, &made),
            }
        })?;
        Ok(slots)
    }
}

#[cfg(test)]
mod tests;
