//! What ESRGAN is: its facts, its presets, what it learns from, how it is built.

use crate::algorithm::Esrgan;
use crate::config::{Config, Content};
use crate::layout;
use crate::model::Rrdb;
use candle_core::{Device, Result, bail};
use gan_core::Means::{Always, Colour, LowHeight, LowWidth, Nothing, Setting};
use gan_core::{
    Algorithm, Bench, Context, DataInfo, Layout, Learns, Length, Means, Paper, PaperInfo, Preset,
    Recording, Sampler, Stages, Weights, check,
};

/// How the reference names the settings of pre-training.
const PRETRAIN: &[(&str, Means)] = &[
    ("opt", Always("\"adam\"")),
    ("lr", Setting("lr")),
    ("beta1", Setting("beta1")),
    ("beta2", Setting("beta2")),
    ("batch", Setting("batch")),
    ("h", LowHeight(4)),
    ("w", LowWidth(4)),
    ("f_g", Colour),
    ("f_g", Setting("width_g")),
    ("gc", Setting("growth")),
    ("blocks", Setting("blocks")),
];

/// Those of the game.
const GAME: &[(&str, Means)] = &[
    ("opt", Always("\"adam\"")),
    ("lr", Setting("lr_gan")),
    ("beta1", Setting("beta1")),
    ("beta2", Setting("beta2")),
    ("lambda_ra", Setting("lambda_ra")),
    ("eta_l1", Setting("eta_l1")),
    ("ra_scale", Always("1.0")),
    ("vgg_widths", Nothing), // its weights say
    ("batch", Setting("batch")),
    ("h", LowHeight(4)),
    ("w", LowWidth(4)),
    ("f_g", Colour),
    ("f_g", Setting("width_g")),
    ("gc", Setting("growth")),
    ("blocks", Setting("blocks")),
    ("f_d", Setting("width_d")),
    ("levels", Setting("levels")),
    ("dense", Setting("dense")),
];

impl Paper for Config {
    const INFO: PaperInfo = PaperInfo {
        name: "esrgan",
        title: "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks",
        authors: "Wang, Yu, Wu, Gu, Liu, Dong, Loy, Qiao, Tang",
        year: 2018,
        arxiv: "1809.00219",
        data: "photos",
        recordings: &[
            Recording {
                name: "esrgan-pretrain",
                keys: PRETRAIN,
                set: &[
                    ("channels", "3"),
                    ("size", "0"),
                    ("augment", "false"),
                    ("adversarial", "false"),
                ],
            },
            Recording {
                name: "esrgan-gan",
                keys: GAME,
                set: &[
                    ("channels", "3"),
                    ("size", "0"),
                    ("augment", "false"),
                    ("pretrain", "0"),
                ],
            },
        ],
        bench: &[Bench::new("esrgan", DataInfo::unlabelled(3, 128))],
    };

    const RATES: &'static [&'static str] = Stages::RATES;

    const LAYOUTS: &'static [Layout] = layout::LAYOUTS;

    /// Those of the paper are in its section 4.1.
    fn preset(preset: Preset, data: &DataInfo) -> Self {
        let paper = Self {
            batch: 16,
            size: 128,
            scale: 4,
            augment: true,
            channels: data.channels,
            blocks: 23,
            width_g: 64,
            growth: 32,
            width_d: 64,
            levels: 5,
            dense: 100,
            content: Content::Vgg54,
            lambda_ra: 5e-3,
            eta_l1: 1e-2,
            pretrain: 1_000_000,
            adversarial: true,
            lr: 2e-4,
            lr_at: vec![200_000, 400_000, 600_000, 800_000],
            lr_factor: 0.5,
            lr_gan: 1e-4,
            lr_gan_at: vec![50_000, 100_000, 200_000, 300_000],
            lr_gan_factor: 0.5,
            beta1: 0.9,
            beta2: 0.999,
        };
        match preset {
            Preset::Paper => paper,
            Preset::Bench => Self {
                batch: 4,
                pretrain: 0,
                ..paper
            },
            Preset::Demo => Self {
                batch: 4,
                size: 96,
                blocks: 3,
                width_g: 32,
                growth: 16,
                width_d: 16,
                dense: 32,
                content: Content::L1,
                lambda_ra: 1e-3,
                eta_l1: 1.,
                pretrain: 3_000,
                lr: 7e-4,
                lr_at: vec![2_000, 2_600],
                lr_factor: 0.3,
                lr_gan_at: Vec::new(),
                ..paper
            },
            Preset::Smoke => Self {
                batch: 2,
                size: 16,
                blocks: 1,
                width_g: 4,
                growth: 2,
                width_d: 2,
                levels: 2,
                dense: 4,
                content: Content::L1,
                eta_l1: 1.,
                pretrain: 4,
                lr: 1e-2, // so that pictures change in a few iterations
                lr_gan: 2e-3,
                ..paper
            },
        }
    }

    fn steps(&self, preset: Preset, _: &DataInfo) -> u64 {
        let game = match preset {
            Preset::Paper => 400_000,
            Preset::Bench | Preset::Smoke => 200,
            Preset::Demo => 400,
        };
        self.pretrain + if self.adversarial { game } else { 0 }
    }

    fn check(&self) -> Result<()> {
        check::size("batch", self.batch)?;
        if !matches!(self.scale, 2 | 4) {
            bail!("scale is {}, expected 2 or 4", self.scale)
        }
        check::crops(self.size, self.scale)?;
        if let Some(features) = self.content.features() {
            features.check(self.size)?;
        }
        if !matches!(self.channels, 1 | 3) {
            bail!("channels is {}, expected 1 or 3", self.channels)
        }
        check::within("blocks", self.blocks, 1..=1024)?;
        check::within("width_g", self.width_g, 1..=4096)?;
        check::within("growth", self.growth, 1..=4096)?;
        check::within("width_d", self.width_d, 1..=1024)?;
        check::within("levels", self.levels, 1..=12)?;
        if self.size > 0 && self.size >> self.levels == 0 {
            bail!(
                "levels is {}, but crops of {} are halved to nothing before that",
                self.levels,
                self.size
            )
        }
        check::size("dense", self.dense)?;
        check::within("lambda_ra", self.lambda_ra, 0. ..=1e6)?;
        check::within("eta_l1", self.eta_l1, 0. ..=1e6)?;
        self.stages().check()?;
        check::fraction("beta1", self.beta1)?;
        check::fraction("beta2", self.beta2)
    }

    fn learns(&self) -> Learns {
        Learns::pictures(self.view(), self.batch)
            .enlarging(self.scale)
            .looking_at(self.content.features().filter(|_| self.adversarial))
    }

    fn parts_end(&self, length: &Length) -> Vec<u64> {
        self.stages().ends(length)
    }

    fn notes(&self) -> Vec<String> {
        let pixels = self.adversarial && self.content == Content::L1;
        let note = "content is l1: the game compares pixels in place of VGG19's features (L_percep), which need --set \
                    content=vgg54 --vgg FILE";
        pixels.then(|| note.to_string()).into_iter().collect()
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Algorithm>> {
        Ok(Box::new(Esrgan::new(self, cx)?))
    }

    fn open(weights: &Weights, device: &Device) -> Result<Box<dyn Sampler>> {
        Ok(Box::new(Rrdb::open(weights, device)?))
    }
}
