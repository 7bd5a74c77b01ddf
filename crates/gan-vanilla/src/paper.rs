//! What the original GAN is: its facts, its presets, what it learns from, how it is built.

use crate::algorithm::Vanilla;
use crate::config::Config;
use crate::model::Generator;
use candle_core::{Device, Result};
use gan_core::Means::{Always, Pixels, Setting};
use gan_core::{
    Algorithm, Bench, Context, DataInfo, Layout, Learns, Paper, PaperInfo, Preset, Recording,
    Sampler, View, Weights, check,
};

impl Paper for Config {
    const INFO: PaperInfo = PaperInfo {
        name: "vanilla",
        title: "Generative Adversarial Nets",
        authors: "Goodfellow, Pouget-Abadie, Mirza, Xu, Warde-Farley, Ozair, Courville, Bengio",
        year: 2014,
        arxiv: "1406.2661",
        data: "mnist",
        recordings: &[Recording {
            name: "vanilla",
            keys: &[
                ("opt", Always("\"adam\"")),
                ("d_scale", Always("0.5")),
                ("lr", Setting("lr")),
                ("beta1", Setting("beta1")),
                ("beta2", Setting("beta2")),
                ("batch", Setting("batch")),
                ("img", Pixels),
                ("z", Setting("z_dim")),
                ("hidden_d", Setting("hidden_d")),
                ("hidden_g", Setting("hidden_g")),
            ],
            set: &[("size", "null")],
        }],
        bench: &[Bench::new("vanilla", DataInfo::unlabelled(1, 28))],
    };

    const LAYOUTS: &'static [Layout] = &[
        Layout {
            name: "generator of the original GAN (gen.N)",
            layers: &["gen.#"],
        },
        Layout {
            name: "discriminator of the original GAN (disc.N)",
            layers: &["disc.#"],
        },
    ];

    /// The paper gives no settings for this form; see README.md, "Settings".
    fn preset(preset: Preset, data: &DataInfo) -> Self {
        let usual = Self {
            batch: 32,
            size: Some(data.side()),
            flip: false,
            z_dim: 64,
            hidden_d: 128,
            hidden_g: 256,
            lr: 3e-4,
            beta1: 0.9,
            beta2: 0.999,
        };
        match preset {
            Preset::Paper | Preset::Bench | Preset::Demo => usual,
            Preset::Smoke => Self {
                batch: 256,
                z_dim: 8,
                hidden_d: 16,
                hidden_g: 16,
                ..usual
            },
        }
    }

    fn steps(&self, preset: Preset, data: &DataInfo) -> u64 {
        let epochs = match preset {
            Preset::Paper | Preset::Bench => 50,
            // The embedded set has a seventh of MNIST's digits, so an epoch is a seventh as long.
            Preset::Demo => 200,
            Preset::Smoke => 1,
        };
        (epochs * data.epoch() as u64).div_ceil(self.batch.max(1) as u64)
    }

    fn check(&self) -> Result<()> {
        for (key, value) in [
            ("batch", self.batch),
            ("size", self.size.unwrap_or(1)),
            ("z_dim", self.z_dim),
            ("hidden_d", self.hidden_d),
            ("hidden_g", self.hidden_g),
        ] {
            check::size(key, value)?;
        }
        check::positive("lr", self.lr)?;
        check::fraction("beta1", self.beta1)?;
        check::fraction("beta2", self.beta2)
    }

    fn learns(&self) -> Learns {
        let view = self.size.map_or(View::whole(), View::square);
        Learns::pictures(view.flipped(self.flip), self.batch)
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Algorithm>> {
        Ok(Box::new(Vanilla::new(self, cx)?))
    }

    fn open(weights: &Weights, device: &Device) -> Result<Box<dyn Sampler>> {
        Ok(Box::new(Generator::open(weights, device)?))
    }
}
