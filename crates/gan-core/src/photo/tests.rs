//! Photographs of every kind through toy generators, tile by tile, from file to file.

mod files;
mod kinds;
mod pieces;

use super::*;
use crate::draws::Draws;
use crate::sampler::{Columns, Port, Probe, Sampler, Takes};
use candle_core::{Device, Result as Made, Tensor};
use candle_nn::ops::{pixel_shuffle, pixel_unshuffle};

/// Each pixel as a square of `scale`.
pub(super) struct Nearest(pub Port);

impl Sampler for Nearest {
    fn takes(&self) -> Takes {
        Takes::pictures(self.0.clone())
    }

    fn sample(&self, input: &Probe, _: &mut dyn Draws) -> Made<Columns> {
        let x = input.one()?;
        self.0.check(x)?;
        let (n, c, h, w) = x.dims4()?;
        let s = self.0.scale;
        let large = x
            .reshape((n, c, h, 1, w, 1))?
            .broadcast_as((n, c, h, s, w, s))?
            .reshape((n, c, s * h, s * w))?;
        Ok(Columns::new("fake", large))
    }
}

/// The mean of each pixel's 3x3, whose edges are black, enlarged as [`Nearest`] does.
pub(super) struct Blurred(pub Port);

impl Sampler for Blurred {
    fn takes(&self) -> Takes {
        Takes::pictures(self.0.clone())
    }

    fn sample(&self, input: &Probe, draws: &mut dyn Draws) -> Made<Columns> {
        let x = (input.one()? + 1.)?;
        let (n, c, h, w) = x.dims4()?;
        let mean = Tensor::full(1f32 / 9., (1, 1, 3, 3), &Device::Cpu)?;
        let x = x.reshape((n * c, 1, h, w))?.conv2d(&mean, 1, 1, 1, 1)?;
        let x = (x.reshape((n, c, h, w))? - 1.)?;
        Nearest(self.0.clone()).sample(&Probe::pictures(crate::Side::A, x), draws)
    }
}

/// Two 3x3 convolutions between an unshuffling by the port's multiple and a shuffling, as networks that enlarge have
/// them; their weights are a formula's.
pub(super) struct Convolved {
    port: Port,
    first: Tensor,
    second: Tensor,
}

impl Convolved {
    pub fn new(channels: usize, multiple: usize, scale: usize) -> Made<Self> {
        let weights = |to: usize, from: usize| {
            let share = 1.5 / (from as f32).sqrt();
            let values = (0..to * from * 9).map(|i| share * ((i * 37 % 101) as f32 / 50. - 1.));
            Tensor::from_vec(values.collect::<Vec<_>>(), (to, from, 3, 3), &Device::Cpu)
        };
        let width = 8;
        Ok(Self {
            // Two convolutions reach two squares of the unshuffled picture to each side.
            port: Port::new(channels, multiple)
                .least(2 * multiple)
                .scale(scale)
                .reach(3 * multiple)
                .restoring(),
            first: weights(width, channels * multiple * multiple)?,
            second: weights(channels * (scale * multiple).pow(2), width)?,
        })
    }
}

impl Sampler for Convolved {
    fn takes(&self) -> Takes {
        Takes::pictures(self.port.clone())
    }

    fn sample(&self, input: &Probe, _: &mut dyn Draws) -> Made<Columns> {
        let x = input.one()?;
        self.port.check(x)?;
        let x = pixel_unshuffle(x, self.port.multiple)?;
        let x = x.conv2d(&self.first, 1, 1, 1, 1)?.relu()?;
        let x = x.conv2d(&self.second, 1, 1, 1, 1)?.tanh()?;
        Ok(Columns::new(
            "fake",
            pixel_shuffle(&x, self.port.scale * self.port.multiple)?,
        ))
    }
}

pub(super) fn restoring(channels: usize, scale: usize) -> Port {
    Port::new(channels, 1).scale(scale).reach(1).restoring()
}

pub(super) const fn kind(channels: usize, alpha: bool, deep: bool) -> Kind {
    Kind {
        channels,
        alpha,
        deep,
    }
}

/// A photograph whose value `i` of the pixel (y, x) is a function's.
pub(super) fn photo(
    kind: Kind,
    (height, width): (usize, usize),
    value: impl Fn(usize, usize, usize) -> u16,
) -> Photo {
    let mut bytes = Vec::new();
    for y in 0..height {
        for x in 0..width {
            (0..kind.values()).for_each(|i| kind.push(&mut bytes, value(y, x, i)));
        }
    }
    Photo {
        form: Form {
            height,
            width,
            kind,
        },
        bytes,
        profile: None,
        notes: Vec::new(),
    }
}

/// Values that differ from pixel to pixel and from channel to channel.
pub(super) fn busy(kind: Kind, size: (usize, usize)) -> Photo {
    photo(kind, size, |y, x, i| {
        let value = (y * 7919 + x * 104_729 + i * 1_299_709 + y * x * 31) % 65_536;
        if kind.deep {
            value as u16
        } else {
            (value >> 8) as u16
        }
    })
}

/// What a generator makes of a photograph, in tiles or as they are chosen.
pub(super) fn enlarged(sampler: &dyn Sampler, photo: &Photo, tiles: Option<Tiles>) -> Photo {
    let enlarger = Enlarger::new(sampler).expect("a generator that restores");
    let enlarger = match tiles {
        Some(tiles) => enlarger.tiles(tiles).expect("one with a reach"),
        None => enlarger,
    };
    let bands = enlarger.bands(photo, &|_, _| Ok(())).expect("bands");
    let bytes = bands.map(|band| band.expect("a band")).collect::<Vec<_>>();
    let form = enlarger.form(photo);
    let bytes = bytes.concat();
    assert_eq!(bytes.len(), form.height * form.row());
    Photo {
        form,
        bytes,
        profile: None,
        notes: Vec::new(),
    }
}

/// The values of the pixel (y, x).
pub(super) fn pixel(photo: &Photo, y: usize, x: usize) -> Vec<u16> {
    let kind = photo.form.kind;
    let value = |i| kind.value(photo.row(y), x * kind.values() + i);
    (0..kind.values()).map(value).collect()
}

/// A photograph as a PNG file.
pub(super) fn png_of(photo: &Photo) -> Vec<u8> {
    let mut file = Vec::new();
    let mut bands = photo.bytes.chunks(photo.form.row().max(1));
    let mut bands = std::iter::from_fn(|| bands.next().map(|band| Ok(band.to_vec())));
    write(
        &mut file,
        Format::Png,
        &photo.form,
        photo.profile.as_deref(),
        &mut bands,
    )
    .expect("a PNG");
    file
}

/// The largest difference between values of two photographs of one form.
pub(super) fn furthest(a: &Photo, b: &Photo) -> u16 {
    assert_eq!(a.form, b.form);
    let kind = a.form.kind;
    let n = a.bytes.len() / kind.bytes() * kind.values();
    let far = |i| kind.value(&a.bytes, i).abs_diff(kind.value(&b.bytes, i));
    (0..n).map(far).max().unwrap_or(0)
}
