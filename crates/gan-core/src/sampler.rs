//! Generators: what they take, what they are given, what they make.

use crate::data::Side;
use crate::draws::Draws;
use crate::rng::CounterRng;
use candle_core::{Device, Result, Tensor, bail};

/// A generator alone: what a trained run samples from and what a weights file opens.
pub trait Sampler {
    /// What [`Sampler::sample`] wants.
    fn takes(&self) -> Takes;
    /// Named columns of pictures `[n, c, h, w]` in [−1, 1], whatever range the paper trains in.
    ///
    /// `draws` serves papers that are random at sampling, too.
    fn sample(&self, input: &Probe, draws: &mut dyn Draws) -> Result<Columns>;
}

impl<S: Sampler + ?Sized> Sampler for &S {
    fn takes(&self) -> Takes {
        (**self).takes()
    }

    fn sample(&self, input: &Probe, draws: &mut dyn Draws) -> Result<Columns> {
        (**self).sample(input, draws)
    }
}

/// The law of a latent vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// N(0, 1)
    Normal,
    /// U[0, 1)
    Uniform,
}

/// The noise that a generator takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noise {
    /// `[z]` or `[z, 1, 1]`, without the batch.
    pub shape: Vec<usize>,
    /// The law of each component.
    pub law: Law,
}

/// The pictures that a generator takes, in [−1, 1], and how large those are that it makes of them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Port {
    /// 1 or 3
    pub channels: usize,
    /// What height and width are multiples of; whoever has others pads and crops.
    pub multiple: usize,
    /// The smallest height and width that it takes; whoever has smaller ones pads and crops.
    pub least: usize,
    /// How many times as large the pictures are that it makes.
    pub scale: usize,
    /// Pixels to each side of a given one that what is made of it depends on; none: the whole picture.
    pub reach: Option<usize>,
    /// Whether what is made is the same picture, larger or better, so that its kind (grey, 16 bits, alpha) is kept.
    pub restores: bool,
    /// Bytes of memory that each pixel of the input takes on its way; none: nobody has counted them.
    pub bytes: Option<usize>,
    /// The sides whose pictures it takes; of two, each is translated to the other.
    pub sides: &'static [Side],
}

impl Port {
    /// Pictures of side A with sides that are multiples of a number, which stay as large as they are.
    pub fn new(channels: usize, multiple: usize) -> Self {
        Self {
            channels,
            multiple,
            least: multiple,
            scale: 1,
            reach: None,
            restores: false,
            bytes: None,
            sides: &[Side::A],
        }
    }

    /// The same with this smallest height and width.
    pub fn least(self, least: usize) -> Self {
        Self { least, ..self }
    }

    /// The same with pictures that become this many times as large.
    pub fn scale(self, scale: usize) -> Self {
        Self { scale, ..self }
    }

    /// The same where what is made of a pixel depends on this many to each side.
    pub fn reach(self, pixels: usize) -> Self {
        Self {
            reach: Some(pixels),
            ..self
        }
    }

    /// The same where what is made of a picture is the same picture, larger or better.
    pub fn restoring(self) -> Self {
        Self {
            restores: true,
            ..self
        }
    }

    /// The same where each pixel of the input takes this many bytes of memory on its way.
    pub fn bytes(self, bytes: usize) -> Self {
        Self {
            bytes: Some(bytes),
            ..self
        }
    }

    /// The same for pictures of these sides.
    pub fn of(self, sides: &'static [Side]) -> Self {
        Self { sides, ..self }
    }

    /// Whether it takes pictures of both sides.
    pub fn both_ways(&self) -> bool {
        self.sides.len() > 1
    }

    /// Refuses pictures `[n, c, h, w]` that it cannot make others of.
    ///
    /// # Errors
    /// Other channels, or sides that are too small or no multiples.
    pub fn check(&self, x: &Tensor) -> Result<()> {
        let Self {
            channels,
            multiple,
            least,
            ..
        } = self;
        let (n, c, h, w) = x.dims4()?;
        let fits = |side: usize| side >= *least && side.is_multiple_of(*multiple);
        if n == 0 || c != *channels || !fits(h) || !fits(w) {
            bail!(
                "pictures are {:?}, expected [n, {channels}, h, w] with sides that are multiples of {multiple}, from \
                 {least} on",
                x.dims()
            )
        }
        Ok(())
    }
}

/// What a generator takes: any of the three, together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Takes {
    /// Noise.
    pub noise: Option<Noise>,
    /// A class, from 0 to below this.
    pub classes: Option<usize>,
    /// Pictures.
    pub port: Option<Port>,
}

impl Takes {
    /// Noise of this shape, without the batch.
    pub fn noise(shape: &[usize], law: Law) -> Self {
        let shape = shape.to_vec();
        Self {
            noise: Some(Noise { shape, law }),
            ..Self::default()
        }
    }

    /// Pictures.
    pub fn pictures(port: Port) -> Self {
        Self {
            port: Some(port),
            ..Self::default()
        }
    }

    /// The same and a class.
    pub fn classes(self, classes: usize) -> Self {
        Self {
            classes: Some(classes),
            ..self
        }
    }
}

/// What a generator is given: each of its tensors has as many rows.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Probe {
    /// Noise `[n, …shape]`.
    pub z: Option<Tensor>,
    /// Classes `[n]` (u32).
    pub labels: Option<Tensor>,
    /// Pictures `[n, c, h, w]` in [−1, 1] of side A.
    pub x: Option<Tensor>,
    /// Pictures `[n, c, h, w]` in [−1, 1] of side B.
    pub y: Option<Tensor>,
}

impl Probe {
    /// Noise alone.
    pub fn noise(z: Tensor) -> Self {
        Self {
            z: Some(z),
            ..Self::default()
        }
    }

    /// Pictures of a side alone.
    pub fn pictures(side: Side, pictures: Tensor) -> Self {
        Self::default().with(side, pictures)
    }

    /// The same and pictures of a side.
    pub fn with(self, side: Side, pictures: Tensor) -> Self {
        let pictures = Some(pictures);
        match side {
            Side::A => Self {
                x: pictures,
                ..self
            },
            Side::B => Self {
                y: pictures,
                ..self
            },
        }
    }

    /// The same and classes.
    pub fn labelled(self, labels: Tensor) -> Self {
        Self {
            labels: Some(labels),
            ..self
        }
    }

    /// The noise.
    ///
    /// # Errors
    /// There is none.
    pub fn z(&self) -> Result<&Tensor> {
        wanted(&self.z, "noise")
    }

    /// The classes.
    ///
    /// # Errors
    /// There are none.
    pub fn labels(&self) -> Result<&Tensor> {
        wanted(&self.labels, "classes")
    }

    /// The pictures, for a generator that takes those of one side, whichever it is.
    ///
    /// # Errors
    /// There are none, or of both sides.
    pub fn one(&self) -> Result<&Tensor> {
        match (&self.x, &self.y) {
            (Some(pictures), None) | (None, Some(pictures)) => Ok(pictures),
            (None, None) => wanted(&None, "pictures"),
            _ => bail!("this generator takes pictures of one side, it was given both"),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Tensor> {
        [&self.z, &self.labels, &self.x, &self.y]
            .into_iter()
            .flatten()
    }

    /// The same with each of its tensors changed.
    fn map(&self, change: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let each = |tensor: &Option<Tensor>| tensor.as_ref().map(&change).transpose();
        Ok(Self {
            z: each(&self.z)?,
            labels: each(&self.labels)?,
            x: each(&self.x)?,
            y: each(&self.y)?,
        })
    }

    /// The same with its pictures changed.
    pub(crate) fn map_pictures(&self, change: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let each = |tensor: &Option<Tensor>| tensor.as_ref().map(&change).transpose();
        Ok(Self {
            x: each(&self.x)?,
            y: each(&self.y)?,
            ..self.clone()
        })
    }

    /// Where its tensors are; the CPU, where it has none.
    pub fn device(&self) -> Device {
        self.all()
            .next()
            .map_or(Device::Cpu, |tensor| tensor.device().clone())
    }

    /// How many pictures it asks for.
    ///
    /// # Errors
    /// Nothing in it, or tensors of different numbers of rows.
    pub fn count(&self) -> Result<usize> {
        let counts = self
            .all()
            .map(|tensor| tensor.dim(0))
            .collect::<Result<Vec<_>>>()?;
        match counts[..] {
            [first, ref rest @ ..] if rest.iter().all(|count| *count == first) => Ok(first),
            _ => bail!("a generator is given tensors of {counts:?} rows, expected one number"),
        }
    }

    /// Rows `from` to `from + n` of it.
    ///
    /// # Errors
    /// When it has fewer.
    pub fn rows(&self, from: usize, n: usize) -> Result<Self> {
        self.map(|tensor| tensor.narrow(0, from, n)?.contiguous())
    }
}

fn wanted<'a>(tensor: &'a Option<Tensor>, what: &str) -> Result<&'a Tensor> {
    match tensor {
        Some(tensor) => Ok(tensor),
        None => bail!("this generator takes {what}, it was given none"),
    }
}

/// What a generator made: pictures `[n, c, h, w]` in [−1, 1] by the names of their columns.
#[derive(Clone, Debug, Default)]
pub struct Columns(Vec<(&'static str, Tensor)>);

impl Columns {
    /// One column.
    pub fn new(name: &'static str, pictures: Tensor) -> Self {
        Self::default().with(name, pictures)
    }

    /// The same and one more on the right.
    pub fn with(mut self, name: &'static str, pictures: Tensor) -> Self {
        self.0.push((name, pictures));
        self
    }

    /// The column of that name.
    ///
    /// # Errors
    /// A name that is not there; those that are there are named.
    pub fn get(&self, name: &str) -> Result<&Tensor> {
        match self.0.iter().find(|(known, _)| *known == name) {
            Some((_, pictures)) => Ok(pictures),
            None => {
                let names: Vec<_> = self.iter().map(|(name, _)| name).collect();
                bail!(
                    "the generator made no column {name}, but {}",
                    names.join(", ")
                )
            }
        }
    }

    /// Names and pictures, from left to right.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Tensor)> {
        self.0.iter().map(|(name, pictures)| (*name, pictures))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The column on the right: what the generator makes in the end.
    ///
    /// # Errors
    /// There is none.
    pub fn last(&self) -> Result<&Tensor> {
        match self.0.last() {
            Some((_, pictures)) => Ok(pictures),
            None => bail!("the generator made no pictures"),
        }
    }

    /// The same with pictures changed, name by name.
    pub(crate) fn map(self, change: impl Fn(&str, Tensor) -> Result<Tensor>) -> Result<Self> {
        let columns = self.0.into_iter();
        let columns = columns.map(|(name, pictures)| Ok((name, change(name, pictures)?)));
        Ok(Self(columns.collect::<Result<_>>()?))
    }
}

impl IntoIterator for Columns {
    type Item = (&'static str, Tensor);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Noise, and classes where there are some, for a fixed grid: the same for the same seed. A generator of
/// classes is asked for all of them in equal parts, one class after the other.
///
/// # Errors
/// When the generator takes pictures, which only the data can give.
pub fn fixed_noise(takes: &Takes, n: usize, seed: u64, device: &Device) -> Result<Probe> {
    let (Some(noise), None) = (&takes.noise, &takes.port) else {
        bail!("this generator takes pictures, not noise")
    };
    let mut draws = CounterRng::new(seed, device);
    let dims = [&[n], &noise.shape[..]].concat();
    let z = match noise.law {
        Law::Normal => draws.normal("fixed z", &dims)?,
        Law::Uniform => draws.uniform("fixed z", &dims)?,
    };
    let probe = Probe::noise(z);
    let Some(classes) = takes.classes else {
        return Ok(probe);
    };
    let labels: Vec<u32> = (0..n).map(|i| (i * classes / n) as u32).collect();
    Ok(probe.labelled(Tensor::from_vec(labels, n, device)?))
}
