//! `eval` for generators that take pictures: what they make of held-out ones beside what it should be, and what
//! those came from beside what comes back.

use crate::Usage;
use crate::cli::EvalArgs;
use crate::dataset::{self, Truth};
use crate::heldout::{HeldOut, which};
use crate::job::Job;
use crate::judging::{Judging, Row};
use crate::translation::{Translation, each};
use anyhow::{Result, bail};
use candle_core::{Device, Tensor};
use gan_core::data::{Data, Split, pictures};
use gan_core::{Port, Sampler, Side, View};
use gan_eval::Measure;
use gan_eval::lenet::{self, Classifier};
use gan_eval::pairs::{gradient, l1, psnr};
use gan_eval::sliced::{self, Protocol, SlicedWasserstein};

/// Pictures of a side that are translated, where as many are held out.
const USUAL: usize = 500;
/// Pictures read at once.
const BATCH: usize = 100;

/// What translations are compared with.
pub struct Translations {
    seed: u64,
    device: Device,
    /// The direction that truths are known of, and both where both are translated.
    ways: Vec<Way>,
    reader: Option<Classifier>,
}

/// One direction.
struct Way {
    from: Side,
    input: Tensor,
    /// What the input should become, picture by picture.
    partners: Option<Partners>,
    /// The classes of the input.
    labels: Option<Vec<u32>>,
    /// The other side's training pictures, as many as are compared.
    known: Tensor,
    /// The distance to the other side's held-out pictures, of which there are so many.
    distance: Option<(SlicedWasserstein, usize)>,
}

struct Partners {
    truth: Tensor,
    /// The mean of the other side's training pictures.
    mean: Tensor,
    /// L1 of the input and of the mean picture to the truth.
    copy: f64,
    plain: f64,
}

impl Translations {
    /// For a generator of pictures and the data of its run.
    ///
    /// # Errors
    /// Data without a test part, a generator that takes noise, too many pictures asked for.
    pub fn new(port: Port, job: &Job<'_>, train: &Data, args: &EvalArgs) -> Result<Self> {
        let (settings, device) = (&job.settings, &job.device);
        let held_out = HeldOut::open(job, train)?;
        let truth = match held_out.paired() {
            true => None,
            false => dataset::truth(&settings.data, Split::Test, job.learns.view.still())?,
        };
        let ways = port.sides.iter().map(|&from| {
            let n = args.n.map_or(USUAL.min(held_out.len(from)), |n| n as usize);
            if n > held_out.len(from) {
                bail!(Usage(format!(
                    "-n {n}: side {} has {} pictures for testing",
                    from.letter(),
                    held_out.len(from)
                )))
            }
            Way::new(
                &held_out,
                &port,
                train,
                job.learns.view,
                from,
                n,
                truth.as_ref(),
                args.seed,
            )
        });
        let ways: Vec<Way> = ways.collect::<Result<_>>()?;
        let reads = ways.iter().any(|way| {
            let size = way
                .input
                .dims4()
                .is_ok_and(|(_, _, h, w)| lenet::reads(1, h, w));
            size && way.labels.is_some()
        });
        Ok(Self {
            seed: args.seed,
            device: device.clone(),
            ways,
            reader: match reads {
                true => Some(Classifier::embedded(device)?),
                false => None,
            },
        })
    }

    /// The measures of pictures that the input of `way` became.
    fn measures(&self, way: &Way, made: &Tensor) -> Result<Vec<Measure>> {
        let n = made.dim(0)?;
        let name = |what: &str| match self.ways.len() {
            1 => what.to_string(),
            _ => format!("{} {what}", way.name()),
        };
        let size = way.size()?;
        let mut all = Vec::new();
        let mut add = |what: &str, value: f64, protocol: String| {
            all.push(Measure {
                name: name(what),
                value,
                error: None,
                protocol,
            });
        };
        if let (Some(labels), Some(reader)) = (&way.labels, &self.reader) {
            add(
                "accuracy",
                reader.accuracy(&grey(made)?.to_device(&self.device)?, labels)?,
                format!(
                    "share of {n} held-out pictures of side {}, translated, that the LeNet of \
                     crates/gan-eval/lenet-mnist.safetensors reads as the digit in them, of their luma (0.299 R + 0.587 G \
                     + 0.114 B)",
                    way.from.letter()
                ),
            );
        }
        if let Some(partners) = &way.partners {
            let error = l1(made, &partners.truth)?;
            let from = format!(
                "mean |difference| to the true partner in [−1, 1], {n} held-out pictures of {size}"
            );
            add("l1", error, from);
            let share = |of: &str| format!("l1 as a share of that of {of}");
            add(
                "of input",
                error / partners.copy,
                share("the input as it is"),
            );
            add(
                "of mean",
                error / partners.plain,
                share("the mean of the training pictures"),
            );
            add(
                "psnr",
                psnr(made, &partners.truth)?,
                "dB, RGB or grey, mean over pictures of 10·log₁₀(4 / mean squared difference)"
                    .into(),
            );
        }
        add(
            "gradient",
            gradient(made)?,
            "mean magnitude of Sobel's gradient (kernels ÷ 8, values in [−1, 1]) over all channels"
                .into(),
        );
        if let Some((distance, count)) = &way.distance {
            let values = distance.distances(&made.narrow(0, 0, *count)?)?;
            for ((h, w), value) in distance.sizes().into_iter().zip(values) {
                let held_out = way.from.other().letter();
                let protocol = format!(
                    "{}; held-out pictures of side {held_out}",
                    distance.protocol()
                );
                add(&format!("swd {h}x{w}"), value, protocol);
            }
        }
        Ok(all)
    }

    /// One row, of pictures for each direction.
    fn row(&self, name: &str, pictures: impl Fn(&Way) -> Option<Tensor>) -> Result<Row> {
        let mut measures = Vec::new();
        for way in &self.ways {
            if let Some(pictures) = pictures(way) {
                measures.extend(self.measures(way, &pictures)?);
            }
        }
        Ok(Row {
            name: name.into(),
            measures: bare(measures),
        })
    }
}

impl Way {
    #[allow(clippy::too_many_arguments)]
    fn new(
        held_out: &HeldOut,
        port: &Port,
        train: &Data,
        view: View,
        from: Side,
        n: usize,
        truth: Option<&Truth>,
        seed: u64,
    ) -> Result<Self> {
        let input = held_out.pictures(from, n, 1)?;
        // Of one set alone, pictures become others of the same.
        let to = match &train.b {
            Some(_) => from.other(),
            None => from,
        };
        let goal = held_out.pictures(to, n, 1)?;
        let known = |which: &mut dyn Iterator<Item = usize>| {
            dataset::seen(train, which, view, pictures("known").of(to))
        };
        let len = train.side(to).map_or(0, |set| set.info().len);
        let n = input.dim(0)?;
        let (_, c, h, w) = goal.dims4()?;
        let truth = truth.filter(|_| from == Side::A);
        let labels = truth.and_then(|truth| truth.labels.as_ref());
        let labels = labels.map(|labels| {
            which(labels.len(), n)
                .filter_map(|i| labels.get(i).copied())
                .collect()
        });
        let partners = match (held_out.truth(port, from, n)?, truth) {
            (Some(truth), _) => Some(truth),
            (None, Some(truth)) => {
                let which = which(truth.partners.info().len, n);
                Some(dataset::held(&truth.partners, which)?.0)
            }
            _ => None,
        };
        let partners = match partners {
            Some(truth) => {
                let mean = mean(&known, len)?
                    .broadcast_as(truth.dims())?
                    .contiguous()?;
                Some(Partners {
                    copy: l1(&input, &truth)?,
                    plain: l1(&mean, &truth)?,
                    truth,
                    mean,
                })
            }
            None => None,
        };
        let count = goal.dim(0)?.min(n).min(len);
        // A paired set has a truth for each picture, which says more than a distance of sets.
        let distance = match !held_out.paired() && h.min(w) >= sliced::LEAST && count > 1 {
            true => {
                let protocol = Protocol {
                    seed,
                    ..Protocol::default()
                };
                let goal = goal.narrow(0, 0, count)?.contiguous()?;
                Some((SlicedWasserstein::new(&goal, protocol)?, count))
            }
            false => None,
        };
        let mut shown = known(&mut which(len, n))?;
        if shown.dim(1)? < c {
            shown = shown.repeat((1, c, 1, 1))?;
        }
        Ok(Self {
            from,
            input,
            partners,
            labels,
            known: shown,
            distance,
        })
    }

    /// As `--direction` has it.
    fn name(&self) -> &'static str {
        match self.from {
            Side::A => "a2b",
            Side::B => "b2a",
        }
    }

    fn size(&self) -> Result<String> {
        let (_, c, h, w) = self.input.dims4()?;
        let colour = if c == 1 { "grey" } else { "colour" };
        Ok(format!("{h}x{w} {colour}"))
    }
}

impl Judging for Translations {
    /// What translations stand beside.
    fn yardsticks(&self) -> Result<Vec<Row>> {
        let mut rows = vec![self.row("input", |way| Some(way.input.clone()))?];
        let partners = |of: fn(&Partners) -> &Tensor| {
            move |way: &Way| way.partners.as_ref().map(|partners| of(partners).clone())
        };
        if self.ways.iter().any(|way| way.partners.is_some()) {
            rows.push(self.row("mean", partners(|partners| &partners.mean))?);
            rows.push(self.row("truth", partners(|partners| &partners.truth))?);
        }
        if self.ways.iter().any(|way| way.distance.is_some()) {
            let mut row = self.row("training pictures", |way| {
                let same = way.known.dim(0).ok() == way.input.dim(0).ok();
                (same && way.distance.is_some()).then(|| way.known.clone())
            })?;
            // They belong to no input.
            row.measures.retain(|(measure, _)| {
                let name = &measure.name;
                name.contains("swd") || name.contains("gradient")
            });
            rows.push(row);
        }
        Ok(rows)
    }

    fn rows(&self, sampler: &dyn Sampler, name: &str, _: u64) -> Result<Vec<Row>> {
        let mut measures = Vec::new();
        for way in &self.ways {
            let made = each(sampler, &way.input, way.from, self.seed, &self.device)?;
            let Translation { translated, cycled } = made;
            measures.extend(self.measures(way, &translated)?);
            if let Some(cycled) = cycled {
                let n = way.input.dim(0)?;
                measures.push(Measure {
                    name: format!("{} cycle", way.name()),
                    value: l1(&cycled, &way.input)?,
                    error: None,
                    protocol: format!(
                        "mean |difference| in [−1, 1] of what comes back to where it came from, {n} held-out \
                         pictures of side {}",
                        way.from.letter()
                    ),
                });
            }
        }
        let (name, measures) = (name.to_string(), bare(measures));
        Ok(vec![Row { name, measures }])
    }

    fn tall(&self) -> bool {
        true
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = vec![
            "input: the pictures as they are, not translated; mean: the mean of all training pictures; truth: \
             the true partners"
                .to_string(),
        ];
        if self.reader.is_none() && self.ways.iter().any(|way| way.labels.is_some()) {
            let why = "accuracy: not stated, the classifier reads digits of 28x28 or 32x32";
            notes.push(why.into());
        }
        notes
    }
}

fn bare(measures: Vec<Measure>) -> Vec<(Measure, Option<f64>)> {
    measures
        .into_iter()
        .map(|measure| (measure, None))
        .collect()
}

/// The mean of all `len` pictures that `read` gives, `[1, c, h, w]`.
fn mean(
    read: &dyn Fn(&mut dyn Iterator<Item = usize>) -> Result<Tensor>,
    len: usize,
) -> Result<Tensor> {
    let mut sum: Option<Tensor> = None;
    for from in (0..len).step_by(BATCH) {
        let part = read(&mut (from..len.min(from + BATCH)))?.sum_keepdim(0)?;
        sum = Some(match sum {
            Some(sum) => (sum + part)?,
            None => part,
        });
    }
    match sum {
        Some(sum) => Ok((sum / len as f64)?),
        None => bail!("there are no pictures"),
    }
}

/// The luma of pictures, `[n, 1, h, w]`.
fn grey(pictures: &Tensor) -> candle_core::Result<Tensor> {
    if pictures.dim(1)? == 1 {
        return Ok(pictures.clone());
    }
    let plane = |i: usize, share: f64| pictures.narrow(1, i, 1)? * share;
    (plane(0, 0.299)? + plane(1, 0.587)?)? + plane(2, 0.114)?
}
