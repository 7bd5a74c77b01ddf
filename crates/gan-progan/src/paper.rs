//! What ProGAN is: its facts, its presets, what it learns from, how it is built.

use crate::algorithm::ProGan;
use crate::config::{Batch, Config};
use crate::model::Generator;
use crate::schedule::Schedule;
use candle_core::{Device, Result, bail};
use gan_core::Means::{Always, Channels, Doublings, Nothing, Setting};
use gan_core::{
    Algorithm, Bench, Context, DataInfo, Layout, Learns, Length, Paper, PaperInfo, Preset,
    Recording, Sampler, View, Weights, check,
};

/// How the reference names the settings.
const RECORDING: Recording = Recording {
    name: "progan-grow",
    keys: &[
        ("opt", Always("\"adam\"")),
        ("lr", Setting("lr")),
        ("beta1", Setting("beta1")),
        ("beta2", Setting("beta2")),
        ("lambda_gp", Setting("lambda_gp")),
        ("drift", Setting("drift")),
        ("ema", Setting("ema")),
        ("level", Doublings("size")),
        ("alpha", Setting("alpha")),
        ("batch", Setting("batch")),
        ("c", Setting("channels")),
        ("c", Channels),
        ("z", Setting("z_dim")),
        ("fmap_base", Setting("fmap_base")),
        ("fmap_max", Setting("fmap_max")),
        ("group", Setting("group")),
        ("d_last", Nothing),
    ],
    set: &[("grow", "false")],
};

impl Paper for Config {
    const INFO: PaperInfo = PaperInfo {
        name: "progan",
        title: "Progressive Growing of GANs for Improved Quality, Stability, and Variation",
        authors: "Karras, Aila, Laine, Lehtinen",
        year: 2018,
        arxiv: "1710.10196",
        data: "emoji",
        recordings: &[
            RECORDING,
            Recording {
                name: "progan-stable",
                ..RECORDING
            },
        ],
        bench: &[Bench::new("progan", DataInfo::unlabelled(3, 32))],
    };

    const LAYOUTS: &'static [Layout] = &[
        Layout {
            name: "generator of ProGAN",
            layers: &[
                "initial.dense",
                "initial.conv",
                "blocks.#.conv#",
                "to_rgb.#",
            ],
        },
        Layout {
            name: "discriminator of ProGAN",
            layers: &["from_rgb.#", "blocks.#.conv#", "final.conv", "final.dense#"],
        },
    ];

    /// Those of the paper are section 2's, Table 2's and appendix A.1's; the final size is the data's.
    fn preset(preset: Preset, data: &DataInfo) -> Self {
        let side = |most: usize| {
            let side = data.side().clamp(4, most);
            1 << side.ilog2()
        };
        let paper = Self {
            batch: Batch::Each(vec![16, 16, 16, 16, 16, 16, 14, 6, 3]),
            size: side(1024),
            flip: false,
            channels: data.channels,
            z_dim: 512,
            fmap_base: 8192,
            fmap_max: 512,
            group: 4,
            grow: true,
            alpha: 1.,
            stable: 800_000,
            fading: 800_000,
            reset: true,
            lr: 1e-3,
            beta1: 0.,
            beta2: 0.99,
            lambda_gp: 10.,
            drift: 1e-3,
            ema: 0.999,
        };
        match preset {
            Preset::Paper => paper,
            Preset::Bench => Self {
                batch: Batch::All(16),
                z_dim: 256,
                fmap_max: 256,
                grow: false,
                alpha: 0.5,
                ..paper
            },
            Preset::Demo => Self {
                batch: Batch::All(16),
                size: side(32),
                z_dim: 64,
                fmap_base: 512,
                fmap_max: 64,
                stable: 0,
                fading: 0,
                ema: 0.995,
                ..paper
            },
            Preset::Smoke => Self {
                batch: Batch::All(8),
                size: side(16),
                z_dim: 8,
                fmap_base: 64,
                fmap_max: 8,
                stable: 0,
                fading: 0,
                ..paper
            },
        }
    }

    fn steps(&self, preset: Preset, _: &DataInfo) -> u64 {
        match preset {
            // 800,000 pictures at 4x4, and twice that at each further resolution (section 2 and appendix A.1).
            Preset::Paper => (0..self.levels())
                .map(|level| {
                    let batch = self.batch.at(level).max(1) as u64;
                    let fading = if level > 0 { self.fading } else { 0 };
                    fading.div_ceil(batch) + self.stable.div_ceil(batch)
                })
                .sum(),
            Preset::Bench => 200,
            Preset::Demo => 3_500,
            Preset::Smoke => 200,
        }
    }

    fn check(&self) -> Result<()> {
        if !self.size.is_power_of_two() || !(4..=1024).contains(&self.size) {
            bail!(
                "size is {}, expected a power of two from 4 to 1024",
                self.size
            )
        }
        if !matches!(self.channels, 1 | 3) {
            bail!("channels is {}, expected 1 or 3", self.channels)
        }
        let levels = self.levels();
        self.batch.check(levels)?;
        for level in 0..levels {
            check::size("batch", self.batch.at(level))?;
        }
        check::size("z_dim", self.z_dim)?;
        check::size("fmap_max", self.fmap_max)?;
        check::within("fmap_base", self.fmap_base, 2 << (levels - 1)..=1 << 20)?;
        check::size("group", self.group)?;
        check::positive("alpha", self.alpha)?;
        check::within("alpha", self.alpha, 0. ..=1.)?;
        if self.stable == 0 && self.fading > 0 {
            bail!(
                "stable is 0 and fading is {}, expected both above 0, or both 0 for equal parts of the run",
                self.fading
            )
        }
        check::within("stable", self.stable, 0..=1 << 40)?;
        check::within("fading", self.fading, 0..=1 << 40)?;
        check::positive("lr", self.lr)?;
        check::fraction("beta1", self.beta1)?;
        check::fraction("beta2", self.beta2)?;
        check::within("lambda_gp", self.lambda_gp, 0. ..=1e6)?;
        check::within("drift", self.drift, 0. ..=1e6)?;
        check::fraction("ema", self.ema)
    }

    fn learns(&self) -> Learns {
        let batch = self.batch.at(self.levels() - 1);
        let view = View::square(self.size).flipped(self.flip);
        Learns::pictures(view, batch).scheduled(self.grow && self.stable == 0)
    }

    fn parts_end(&self, length: &Length) -> Vec<u64> {
        Schedule::new(self, *length).map_or(Vec::new(), |schedule| schedule.ends())
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Algorithm>> {
        Ok(Box::new(ProGan::new(self, cx)?))
    }

    fn open(weights: &Weights, device: &Device) -> Result<Box<dyn Sampler>> {
        Ok(Box::new(Generator::open(weights, device)?))
    }
}
