//! `eval` for generators that enlarge: what they make of held-out photographs, each whole and in its own size, beside
//! the photograph and MATLAB's bicubic filter.

use crate::Usage;
use crate::cli::EvalArgs;
use crate::dataset::{self, How};
use crate::heldout::which;
use crate::job::Job;
use crate::judging::{Judging, Row};
use crate::translation::bicubic;
use anyhow::{Context as _, Result, bail};
use candle_core::{Device, Tensor};
use gan_core::data::{Data, Small, Split, pictures};
use gan_core::image::{Picture, single};
use gan_core::photo::{Enlarger, Form, Kind, Photo};
use gan_core::{FileError, Port, Sampler, View};
use gan_eval::Measure;
use gan_eval::similarity::{LEAST, Likeness, high_frequency, likeness};
use std::path::Path;

/// The held-out photographs, and how near bicubic comes to each.
pub struct Enlargements {
    seed: u64,
    device: Device,
    scale: usize,
    data: Data,
    /// Numbers of the photographs that are measured.
    which: Vec<usize>,
    bicubic: Vec<Likeness>,
    yardstick: Row,
    /// What every measure is taken of, in words.
    protocol: String,
}

impl Enlargements {
    /// For a generator that enlarges and the data of its run.
    ///
    /// # Errors
    /// Data without a test part, more photographs asked for than there are, one that is too small to be measured.
    pub fn new(port: Port, job: &Job<'_>, args: &EvalArgs) -> Result<Self> {
        let (scale, place) = (port.scale, &job.settings.data);
        let quiet = |_: &str, _: usize, _: usize| {};
        let looked = dataset::look(place, Split::Test, Some(job.learns), &quiet)?;
        let info = looked.info();
        let (h, w) = info.smallest.unwrap_or((info.height, info.width));
        // One that is smaller than a pixel of its low picture is refused below, in its own size.
        let view = View::multiples(if h.min(w) < scale { 1 } else { scale });
        let how = How {
            small: Small::Enlarge,
            ..How::default()
        };
        let (data, _) = looked.read(view, &how, &quiet)?;
        let len = data.a.info().len;
        let n = args.n.map_or(len, |n| n as usize);
        if n > len {
            bail!(Usage(format!(
                "-n {n}: there are {len} pictures for testing"
            )))
        }
        let which: Vec<usize> = which(len, n).collect();
        refuse_small(&data, scale, place)?;
        let protocol = protocol(&data, &which, scale, place);
        let mut judge = Self {
            seed: args.seed,
            device: job.device.clone(),
            scale,
            data,
            which,
            bicubic: Vec::new(),
            yardstick: Row {
                name: "bicubic".into(),
                measures: Vec::new(),
            },
            protocol,
        };
        let (all, fine) = judge.measured(&|low, _| Ok(single(&bicubic(low, scale)?)?))?;
        judge.yardstick.measures = judge.measures(&all, fine);
        judge.bicubic = all;
        Ok(judge)
    }

    /// How near what `made` makes of the low pictures comes to the photographs, and how much of their fine detail it has
    /// over all, where they have some. One photograph is held at a time.
    fn measured(
        &self,
        made: &dyn Fn(&Tensor, usize) -> Result<Picture>,
    ) -> Result<(Vec<Likeness>, Option<f64>)> {
        let (mut all, mut fine) = (Vec::new(), [0., 0.]);
        for &i in &self.which {
            let seen = |scale| {
                let ask = pictures("held out");
                let ask = if scale == 1 { ask } else { ask.shrunk(scale) };
                dataset::seen(&self.data, std::iter::once(i), View::whole(), ask)
            };
            let measured = || -> Result<_> {
                let truth = single(&seen(1)?)?;
                let made = made(&seen(self.scale)?, i)?;
                let fine = [&made, &truth].map(|picture| high_frequency(picture, self.scale));
                let [of_made, of_truth] = fine;
                Ok((likeness(&made, &truth, self.scale)?, of_made?, of_truth?))
            };
            let (alike, of_made, of_truth) = measured().with_context(|| self.name(i))?;
            all.push(alike);
            fine = [fine[0] + of_made, fine[1] + of_truth];
        }
        Ok((all, (fine[1] > 0.).then(|| fine[0] / fine[1])))
    }

    fn name(&self, i: usize) -> String {
        named(&self.data, i)
    }

    fn measures(&self, all: &[Likeness], fine: Option<f64>) -> Vec<(Measure, Option<f64>)> {
        let mean = |of: fn(&Likeness) -> f64| all.iter().map(of).sum::<f64>() / all.len() as f64;
        let psnr = "dB, 10·log₁₀(255² / mean squared difference), at most 100";
        let ssim =
            "structural similarity (Gaussian window of 11x11, σ 1.5, K₁ .01, K₂ .03, range 255)";
        let y = "of Y (BT.601, studio range, not rounded)";
        let said = |what: String| format!("{what}, mean over {}", self.protocol);
        let mut measures = vec![
            ("psnr y", mean(|of| of.psnr_y), said(format!("{psnr}, {y}"))),
            ("ssim y", mean(|of| of.ssim_y), said(format!("{ssim} {y}"))),
            (
                "psnr rgb",
                mean(|of| of.psnr_rgb),
                said(format!("{psnr}, of all channels together")),
            ),
            (
                "ssim rgb",
                mean(|of| of.ssim_rgb),
                said(format!("{ssim}, mean over channels")),
            ),
        ];
        measures.extend(fine.map(|share| {
            let protocol = format!(
                "mean square of Y minus Y smoothed by [1 4 6 4 1] / 16 in both directions, as a share of the truth's, over \
                 {}",
                self.protocol
            );
            ("high frequency", share, protocol)
        }));
        // Of what bicubic itself makes nothing is known yet to compare it with.
        if !self.bicubic.is_empty() {
            let pairs = all.iter().zip(&self.bicubic);
            let better = pairs.filter(|(made, bicubic)| made.psnr_y > bicubic.psnr_y);
            let protocol = format!(
                "photographs with a higher PSNR on Y than what bicubic makes, of {}",
                self.protocol
            );
            measures.push(("better", better.count() as f64, protocol));
        }
        let measure = |(name, value, protocol): (&str, f64, String)| Measure {
            name: name.into(),
            value,
            error: None,
            protocol,
        };
        let measures = measures.into_iter().map(measure);
        measures.map(|measure| (measure, None)).collect()
    }
}

impl Judging for Enlargements {
    fn yardsticks(&self) -> Result<Vec<Row>> {
        Ok(vec![Row {
            name: self.yardstick.name.clone(),
            measures: self.yardstick.measures.clone(),
        }])
    }

    fn rows(&self, sampler: &dyn Sampler, name: &str, _: u64) -> Result<Vec<Row>> {
        let enlarger = Enlarger::new(sampler)?.device(&self.device);
        let enlarger = enlarger.seed(self.seed);
        let (all, fine) = self.measured(&|low, _| enlarged(&enlarger, low))?;
        let measures = self.measures(&all, fine);
        let name = name.to_string();
        Ok(vec![Row { name, measures }])
    }

    fn tall(&self) -> bool {
        true
    }

    fn notes(&self) -> Vec<String> {
        let note = "bicubic: the low pictures enlarged by MATLAB's bicubic filter (a = −1/2), clipped and rounded to 8 bits";
        vec![note.into()]
    }
}

/// What a generator makes of a low picture `[1, c, h, w]` in [−1, 1], as `sample --input` writes it: in tiles that fit the
/// memory, clipped and rounded to 8 bits.
fn enlarged(enlarger: &Enlarger<'_>, low: &Tensor) -> Result<Picture> {
    let Picture {
        width,
        height,
        channels,
        bytes,
    } = single(low)?;
    let kind = Kind {
        channels,
        alpha: false,
        deep: false,
    };
    let photo = Photo {
        form: Form {
            height,
            width,
            kind,
        },
        bytes,
        profile: None,
        notes: Vec::new(),
    };
    let Form { height, width, .. } = enlarger.form(&photo);
    let watch = |_: usize, _: usize| Ok(());
    let bands = enlarger.bands(&photo, &watch)?;
    let bands: Vec<Vec<u8>> = bands.collect::<candle_core::Result<_>>()?;
    Ok(Picture {
        width,
        height,
        channels,
        bytes: bands.concat(),
    })
}

/// A photograph's name for people.
fn named(data: &Data, i: usize) -> String {
    let file = data.a.files().get(i);
    file.map_or_else(|| format!("picture {}", i + 1), |file| file.name.clone())
}

/// Refuses photographs that leave no place for the measures' window.
fn refuse_small(data: &Data, scale: usize, place: &str) -> Result<()> {
    let least = (LEAST + 2 * scale).next_multiple_of(scale);
    let size = |i: usize| data.a.size(i);
    let mut all = 0..data.a.info().len;
    let Some(i) = all.find(|&i| size(i).0.min(size(i).1) < least) else {
        return Ok(());
    };
    let (height, width) = size(i);
    bail!(FileError::new(
        Path::new(place),
        format!(
            "holds {} for testing, which is {width} wide and {height} high: too small to measure, {least} pixels are needed \
             a side",
            named(data, i)
        ),
        "take it out of the test part, or put a larger one in its place"
    ))
}

/// What is measured, in words.
fn protocol(data: &Data, which: &[usize], scale: usize, place: &str) -> String {
    let sizes = which.iter().map(|&i| data.a.size(i));
    let by_area = |(h, w): &(usize, usize)| h * w;
    let (smallest, largest) = (
        sizes.clone().min_by_key(by_area).unwrap_or_default(),
        sizes.max_by_key(by_area).unwrap_or_default(),
    );
    let written = |(h, w): (usize, usize)| format!("{h}x{w}");
    let of = match smallest == largest {
        true => written(smallest),
        false => format!("{} to {}", written(smallest), written(largest)),
    };
    let kind = match data.a.info().channels {
        1 => "grey",
        _ => "colour",
    };
    let low = match data.low {
        Some(_) => "low pictures as given".to_string(),
        None => format!(
            "low pictures made of them by MATLAB's antialiased bicubic filter, {scale} times smaller, rounded to 8 bits"
        ),
    };
    format!(
        "{} held-out pictures of {place} (test part), whole, {of} {kind}, 8 bits, {scale} pixels taken off on each side; {low}",
        which.len()
    )
}
