//! A photograph enlarged tile by tile, and handed out a row of tiles at a time.

use super::tiles::Line;
use super::{Form, Photo, Tiles};
use crate::data::Side;
use crate::rng::CounterRng;
use crate::sampler::{Port, Probe, Sampler};
use crate::translate::places;
use candle_core::{DType, Device, Result, Tensor, bail};

/// Told how many tiles are done, and of how many; an error of its own ends the work.
pub type Watch<'a> = dyn Fn(usize, usize) -> Result<()> + 'a;

/// The share of each channel in what is seen as grey: ITU-R BT.601.
const LUMA: [f32; 3] = [0.299, 0.587, 0.114];
/// Pixels to each side of a given one that all have to be opaque, or clear, for what is made of it to be so by rule: a
/// generator's opacity is a little off everywhere, and its border lies nearer than that.
const NEAR: usize = 2;

/// Enlarges photographs with a generator that restores.
pub struct Enlarger<'a> {
    sampler: &'a dyn Sampler,
    port: Port,
    device: Device,
    seed: u64,
    memory: u64,
    overlap: usize,
    tiles: Option<Tiles>,
}

impl<'a> Enlarger<'a> {
    /// Bytes of memory for tiles where none are named.
    pub const MEMORY: u64 = 1 << 30;

    /// On the CPU, with tiles that take the usual memory.
    ///
    /// # Errors
    /// A generator that makes other pictures of those that it is given, or takes none.
    pub fn new(sampler: &'a dyn Sampler) -> Result<Self> {
        let takes = sampler.takes();
        let (Some(port), None, None) = (takes.port, takes.noise, takes.classes) else {
            bail!(
                "this generator does not take pictures alone, one that enlarges them was expected"
            )
        };
        if !port.restores {
            bail!("this generator makes other pictures, one that enlarges them was expected")
        }
        if !matches!(port.channels, 1 | 3) || port.scale == 0 {
            let Port {
                channels, scale, ..
            } = port;
            bail!(
                "this generator takes {channels} channels and enlarges {scale} times, expected 1 or 3 channels"
            )
        }
        Ok(Self {
            sampler,
            overlap: Tiles::overlap(&port),
            port,
            device: Device::Cpu,
            seed: 1,
            memory: Self::MEMORY,
            tiles: None,
        })
    }

    /// The same on this device.
    pub fn device(self, device: &Device) -> Self {
        let device = device.clone();
        Self { device, ..self }
    }

    /// The same with this seed, for generators that draw.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The same with tiles that take at most so many bytes of memory.
    pub fn memory(self, memory: u64) -> Self {
        Self { memory, ..self }
    }

    /// The same with this overlap of tiles that are chosen by their memory.
    pub fn overlap(self, overlap: usize) -> Self {
        Self { overlap, ..self }
    }

    /// The same with these tiles, whatever memory they take.
    ///
    /// # Errors
    /// A generator that has to see a photograph whole.
    pub fn tiles(self, tiles: Tiles) -> Result<Self> {
        if self.port.reach.is_none() {
            bail!(
                "what this generator makes of a pixel depends on the whole picture: it has no tiles"
            )
        }
        let tiles = Some(tiles);
        Ok(Self { tiles, ..self })
    }

    /// The pictures that the generator takes.
    pub fn port(&self) -> &Port {
        &self.port
    }

    /// How large a photograph becomes, and of which kind.
    pub fn form(&self, photo: &Photo) -> Form {
        photo.form.times(self.port.scale)
    }

    /// The tiles that a photograph is cut into.
    ///
    /// # Errors
    /// Memory that the smallest tiles do not fit.
    pub fn tiles_of(&self, form: &Form) -> Result<Tiles> {
        match self.tiles {
            Some(tiles) => Ok(tiles),
            None => Tiles::within(self.memory, self.overlap, &self.port, form),
        }
    }

    /// What becomes of a photograph, from above, a row of tiles at a time.
    ///
    /// # Errors
    /// A photograph without pixels; memory that the smallest tiles do not fit.
    pub fn bands<'p>(&'p self, photo: &'p Photo, watch: &'p Watch<'p>) -> Result<Bands<'p>> {
        let Form { height, width, .. } = photo.form;
        if height == 0 || width == 0 {
            bail!("a photograph of {height}x{width} has no pixels")
        }
        let tiles = self.tiles_of(&photo.form)?;
        Ok(Bands {
            enlarger: self,
            photo,
            watch,
            rows: tiles.lines(height, &self.port),
            columns: tiles.lines(width, &self.port),
            places: [height, width].map(|side| places(side, &self.port).collect()),
            next: 0,
        })
    }

    /// What the generator makes of planes of `rows`·`columns` values in [−1, 1], as many as the photograph has
    /// colours, or one: the part that is kept, plane by plane.
    fn made(&self, planes: Vec<Vec<f32>>, number: usize, at: (Line, Line)) -> Result<Vec<f32>> {
        match (self.port.channels, planes.len()) {
            (1, _) => {
                let each = planes.into_iter().map(|plane| self.run(plane, number, at));
                Ok(each.collect::<Result<Vec<_>>>()?.concat())
            }
            (channels, 1) => {
                let made = self.run(planes.concat().repeat(channels), number, at)?;
                let n = made.len() / channels;
                let mut grey = vec![0f32; n];
                for (plane, share) in made.chunks_exact(n.max(1)).zip(LUMA) {
                    let values = grey.iter_mut().zip(plane);
                    values.for_each(|(sum, x)| *sum += share * x);
                }
                Ok(grey)
            }
            _ => self.run(planes.concat(), number, at),
        }
    }

    /// The kept part of what the generator makes of one tile `[channels, rows, columns]`.
    fn run(
        &self,
        values: Vec<f32>,
        number: usize,
        (rows, columns): (Line, Line),
    ) -> Result<Vec<f32>> {
        let Port {
            channels, scale, ..
        } = self.port;
        let dims = (1, channels, rows.given(), columns.given());
        let tile = Tensor::from_vec(values, dims, &self.device)?;
        let side = self.port.sides.first().copied();
        let probe = Probe::pictures(side.unwrap_or(Side::A), tile);
        let mut draws = CounterRng::new(self.seed, &self.device);
        draws.begin(number as u64);
        let made = self.sampler.sample(&probe, &mut draws)?;
        let made = made.get("fake")?;
        let wanted = [1, channels, scale * rows.given(), scale * columns.given()];
        if made.dims() != wanted {
            bail!(
                "the generator made {:?} of {dims:?}, expected {wanted:?}",
                made.dims()
            )
        }
        let kept = made
            .detach()
            .narrow(2, scale * rows.from, scale * rows.kept())?
            .narrow(3, scale * columns.from, scale * columns.kept())?;
        let kept = kept
            .to_device(&Device::Cpu)?
            .to_dtype(DType::F32)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        match kept.iter().find(|x| !x.is_finite()) {
            Some(x) => bail!("the generator made a number that is not finite ({x})"),
            None => Ok(kept),
        }
    }
}

/// The rows of what becomes of a photograph, some at a time: each item is whole rows of [`Enlarger::form`].
pub struct Bands<'p> {
    enlarger: &'p Enlarger<'p>,
    photo: &'p Photo,
    watch: &'p Watch<'p>,
    rows: Vec<Line>,
    columns: Vec<Line>,
    /// For each row and each column of the padded photograph, the photograph's own.
    places: [Vec<u32>; 2],
    next: usize,
}

impl Iterator for Bands<'_> {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        let rows = *self.rows.get(self.next)?;
        let first = self.next * self.columns.len();
        self.next += 1;
        let band = self.band(rows, first);
        if band.is_err() {
            self.next = self.rows.len();
        }
        Some(band)
    }
}

impl Bands<'_> {
    /// One row of tiles, of which the first has this number.
    fn band(&self, rows: Line, first: usize) -> Result<Vec<u8>> {
        let form = self.enlarger.form(self.photo);
        let scale = self.enlarger.port.scale;
        let mut band = vec![0; form.row() * scale * rows.kept()];
        for (i, &columns) in self.columns.iter().enumerate() {
            let tile = self.tile(first + i, rows, columns)?;
            let (from, bytes) = (scale * columns.at, scale * columns.kept());
            let (from, bytes) = (from * form.kind.bytes(), bytes * form.kind.bytes());
            let band = band.chunks_exact_mut(form.row());
            for (row, made) in band.zip(tile.chunks_exact(bytes)) {
                if let Some(row) = row.get_mut(from..from + bytes) {
                    row.copy_from_slice(made);
                }
            }
            (self.watch)(first + i + 1, self.rows.len() * self.columns.len())?;
        }
        Ok(band)
    }

    /// What becomes of the kept part of a tile, row by row.
    fn tile(&self, number: usize, rows: Line, columns: Line) -> Result<Vec<u8>> {
        let (kind, at) = (self.photo.form.kind, (rows, columns));
        let scale = self.enlarger.port.scale;
        let seen = self.seen(rows, columns);
        if seen.iter().all(|seen| *seen == Seen::Clear) {
            let pixels = scale * scale * rows.kept() * columns.kept();
            return Ok(vec![0; pixels * kind.bytes()]);
        }
        let colours = (0..kind.channels).map(|channel| self.plane(Some(channel), at));
        let colours = self.enlarger.made(colours.collect(), number, at)?;
        let opacity = match seen.contains(&Seen::Through) {
            true => self.enlarger.made(vec![self.plane(None, at)], number, at)?,
            false => Vec::new(),
        };
        let (width, most) = (scale * columns.kept(), f32::from(kind.most()));
        let n = width * scale * rows.kept();
        // From [−1, 1]; what is outside is clipped.
        let whole = |x: f32, most: f32| ((x + 1.) * (most / 2.)).round().clamp(0., most);
        let mut bytes = Vec::with_capacity(n * kind.bytes());
        for i in 0..n {
            let (y, x) = (i / width / scale, i % width / scale);
            let share = match seen.get(y * columns.kept() + x) {
                Some(Seen::Clear) => 0.,
                Some(Seen::Through) => opacity.get(i).map_or(1., |x| (x + 1.) / 2.).clamp(0., 1.),
                _ => 1.,
            };
            let opaque = (share * most).round();
            for &colour in colours.iter().skip(i).step_by(n.max(1)) {
                let value = match opaque {
                    0. => 0.,
                    _ if opaque == most => whole(colour, most),
                    // By the opacity before it was rounded, so that the colour is what it was.
                    _ => ((colour + 1.) / 2. / share * most).round().clamp(0., most),
                };
                kind.push(&mut bytes, value as u16);
            }
            if kind.alpha {
                kind.push(&mut bytes, opaque as u16);
            }
        }
        Ok(bytes)
    }

    /// A channel of what a tile is given, times the opacity, in [−1, 1]; no channel is the opacity itself.
    fn plane(&self, channel: Option<usize>, (rows, columns): (Line, Line)) -> Vec<f32> {
        let kind = self.photo.form.kind;
        let most = f32::from(kind.most());
        let [all_rows, all_columns] = &self.places;
        let within = |places: &[u32], line: Line| -> Vec<usize> {
            let places = places.iter().skip(line.first).take(line.given());
            places.map(|place| *place as usize).collect()
        };
        let columns = within(all_columns, columns);
        let mut plane = Vec::with_capacity(rows.given() * columns.len());
        for y in within(all_rows, rows) {
            let row = self.photo.row(y);
            plane.extend(columns.iter().map(|x| {
                let value = |i| f32::from(kind.value(row, x * kind.values() + i));
                let shown = match (channel, kind.alpha) {
                    (None, _) => value(kind.channels),
                    (Some(channel), true) => value(channel) * (value(kind.channels) / most),
                    (Some(channel), false) => value(channel),
                };
                shown / (most / 2.) - 1.
            }));
        }
        plane
    }

    /// What is seen of each pixel of a tile that is kept, by those near it; nothing of a photograph that is opaque.
    fn seen(&self, rows: Line, columns: Line) -> Vec<Seen> {
        let Form {
            height,
            width,
            kind,
        } = self.photo.form;
        if !kind.alpha {
            return vec![Seen::Opaque];
        }
        let near = |at: usize, length: usize| at.saturating_sub(NEAR)..(at + NEAR + 1).min(length);
        let is = |y: usize, x: usize, value: u16| {
            near(y, height).all(|y| near(x, width).all(|x| self.photo.opacity(y, x) == value))
        };
        let mut seen = Vec::with_capacity(rows.kept() * columns.kept());
        for y in rows.at..rows.at + rows.kept() {
            for x in columns.at..columns.at + columns.kept() {
                seen.push(match self.photo.opacity(y, x) {
                    0 if is(y, x, 0) => Seen::Clear,
                    value if value == kind.most() && is(y, x, value) => Seen::Opaque,
                    _ => Seen::Through,
                });
            }
        }
        seen
    }
}

/// What is seen of a pixel and those near it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// It alone.
    Opaque,
    /// Nothing.
    Clear,
    /// It, and what lies behind.
    Through,
}
