//! What SRGAN is: its facts, its presets, what it learns from, how it is built.

use crate::algorithm::Srgan;
use crate::config::{Config, Content};
use crate::layout;
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
    ("blocks", Setting("blocks")),
];

/// Those of the game.
const GAME: &[(&str, Means)] = &[
    ("opt", Always("\"adam\"")),
    ("lr", Setting("lr_gan")),
    ("beta1", Setting("beta1")),
    ("beta2", Setting("beta2")),
    ("content", Setting("content")),
    ("lambda_adv", Setting("lambda_adv")),
    ("batch", Setting("batch")),
    ("h", LowHeight(4)),
    ("w", LowWidth(4)),
    ("f_g", Colour),
    ("f_g", Setting("width_g")),
    ("blocks", Setting("blocks")),
    ("f_d", Setting("width_d")),
    ("dense", Setting("dense")),
];

/// Those of the game with VGG19, whose widths its weights say.
const GAME_WITH_VGG: &[(&str, Means)] = &[
    ("opt", Always("\"adam\"")),
    ("lr", Setting("lr_gan")),
    ("beta1", Setting("beta1")),
    ("beta2", Setting("beta2")),
    ("content", Setting("content")),
    ("vgg_divisor", Setting("vgg_divisor")),
    ("vgg_widths", Nothing),
    ("lambda_adv", Setting("lambda_adv")),
    ("batch", Setting("batch")),
    ("h", LowHeight(4)),
    ("w", LowWidth(4)),
    ("f_g", Colour),
    ("f_g", Setting("width_g")),
    ("blocks", Setting("blocks")),
    ("f_d", Setting("width_d")),
    ("dense", Setting("dense")),
];

/// A recording that begins with the game.
const fn game(name: &'static str, keys: &'static [(&'static str, Means)]) -> Recording {
    Recording {
        name,
        keys,
        set: &[
            ("channels", "3"),
            ("size", "0"),
            ("augment", "false"),
            ("pretrain", "0"),
        ],
    }
}

impl Paper for Config {
    const INFO: PaperInfo = PaperInfo {
        name: "srgan",
        title: "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network",
        authors: "Ledig, Theis, Huszár, Caballero, Cunningham, Acosta, Aitken, Tejani, Totz, Wang, Shi",
        year: 2016,
        arxiv: "1609.04802",
        data: "photos",
        recordings: &[
            Recording {
                name: "srgan-pretrain",
                keys: PRETRAIN,
                set: &[
                    ("channels", "3"),
                    ("size", "0"),
                    ("augment", "false"),
                    ("adversarial", "false"),
                ],
            },
            game("srgan-mse", GAME),
            game("srgan-vgg", GAME_WITH_VGG),
        ],
        bench: &[
            Bench::new("srgan-mse", DataInfo::unlabelled(3, 96)),
            Bench {
                label: "srgan-vgg54",
                data: DataInfo::unlabelled(3, 96),
                set: &[("content", "vgg54")],
            },
        ],
    };

    const RATES: &'static [&'static str] = Stages::RATES;

    const LAYOUTS: &'static [Layout] = layout::LAYOUTS;

    /// Those of the paper are in its section 3.2.
    fn preset(preset: Preset, data: &DataInfo) -> Self {
        let paper = Self {
            batch: 16,
            size: 96,
            scale: 4,
            augment: false,
            channels: data.channels,
            blocks: 16,
            width_g: 64,
            width_d: 64,
            dense: 1024,
            content: Content::Vgg54,
            vgg_divisor: 12.75,
            lambda_adv: 1e-3,
            pretrain: 1_000_000,
            adversarial: true,
            lr: 1e-4,
            lr_at: Vec::new(),
            lr_factor: 1.,
            lr_gan: 1e-4,
            lr_gan_at: vec![100_000],
            lr_gan_factor: 0.1,
            beta1: 0.9,
            beta2: 0.999,
        };
        match preset {
            Preset::Paper => paper,
            Preset::Bench => Self {
                content: Content::Mse,
                pretrain: 0,
                ..paper
            },
            Preset::Demo => Self {
                batch: 4,
                augment: true,
                blocks: 5,
                width_g: 32,
                width_d: 16,
                dense: 64,
                content: Content::Mse,
                pretrain: 5_600,
                lr: 7e-4,
                lr_at: vec![4_400],
                lr_factor: 0.2,
                lr_gan_at: Vec::new(),
                ..paper
            },
            Preset::Smoke => Self {
                batch: 2,
                size: 16,
                augment: true,
                blocks: 1,
                width_g: 4,
                width_d: 2,
                dense: 4,
                content: Content::Mse,
                pretrain: 4,
                lr: 1e-2, // so that pictures change in a few iterations
                lr_gan: 2e-3,
                ..paper
            },
        }
    }

    fn steps(&self, preset: Preset, _: &DataInfo) -> u64 {
        let game = match preset {
            Preset::Paper => 200_000, // 10^5 at each rate (section 3.2)
            Preset::Bench | Preset::Smoke => 200,
            Preset::Demo => 800,
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
        check::within("width_d", self.width_d, 1..=1024)?;
        check::size("dense", self.dense)?;
        check::positive("vgg_divisor", self.vgg_divisor)?;
        check::within("lambda_adv", self.lambda_adv, 0. ..=1e6)?;
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
        let pixels = self.adversarial && self.content == Content::Mse;
        let note = "content is mse: the game compares pixels in place of VGG19's features, which need --set content=vgg54 \
                    --vgg FILE";
        pixels.then(|| note.to_string()).into_iter().collect()
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Algorithm>> {
        Ok(Box::new(Srgan::new(self, cx)?))
    }

    fn open(weights: &Weights, device: &Device) -> Result<Box<dyn Sampler>> {
        layout::open(weights, device)
    }
}
