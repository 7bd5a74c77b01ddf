//! Equality with the reference, and that deliberate mistakes are seen.

use crate::program::{bytes, error_line, fails, ok, run};
use candle_core::{Device, Result};
use gan_core::loss::bce;
use gan_core::{
    Algorithm, Context, DataInfo, Draws, Erased, Iter, Learns, Net, Optimizer, Paper, PaperInfo,
    Preset, Recipe, Rule, Sampler, Stateful, Weights, init, pictures,
};
use gan_vanilla::{Config, Discriminator, Generator};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use xtask::registry::PAPERS;

fn fixture(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
    root.join(format!("{name}.safetensors"))
        .canonicalize()
        .unwrap()
}

/// The CPU, and a GPU in a build that has it.
const DEVICES: &[&str] = match cfg!(feature = "cuda") {
    true => &["cpu", "cuda"],
    false => &["cpu"],
};

#[test]
fn every_recording_is_met() {
    let dir = tempfile::tempdir().unwrap();
    let mut seen = Vec::new();
    let folder = fixture("vanilla").parent().unwrap().to_path_buf();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|e| e == "safetensors") {
            for device in DEVICES {
                let args = ["parity", path.to_str().unwrap(), "--device", device];
                let said = ok("", dir.path(), &args);
                assert!(
                    said.contains("ok") && !said.contains("OVER"),
                    "{device}: {said}"
                );
            }
            seen.push(path.file_stem().unwrap().to_string_lossy().into_owned());
        }
    }
    for name in PAPERS
        .iter()
        .flat_map(|recipe| recipe.info().recordings.iter().map(|r| r.name))
        .chain([
            "optim",
            "layers",
            "metrics-swd",
            "metrics-msssim",
            "metrics-pairs",
            "metrics-features",
            "resize",
        ])
    {
        assert!(
            seen.contains(&name.to_string()),
            "no recording of {name} among {seen:?}"
        );
    }
}

#[test]
fn what_is_over_or_unknown_or_broken_is_said() {
    let dir = tempfile::tempdir().unwrap();
    // One recorded gradient moved by a hundredth: the group is over, the code 1.
    let path = dir.path().join("moved.safetensors");
    let mut file = bytes(&fixture("vanilla"));
    let (header, metadata) = safetensors::SafeTensors::read_metadata(&file).unwrap();
    let at = metadata
        .info("grad.0.d.d.disc.0.weight")
        .unwrap()
        .data_offsets
        .0
        + header
        + 8;
    let mut value = f32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    value += 0.01;
    file[at..at + 4].copy_from_slice(&value.to_le_bytes());
    std::fs::write(&path, &file).unwrap();
    let output = run("", dir.path(), &["parity", "moved.safetensors"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1));
    let over: Vec<_> = said.lines().filter(|line| line.ends_with("OVER")).collect();
    assert_eq!(over.len(), 1, "{said}");
    assert!(over[0].contains("grad.d"), "{said}");

    // A recording of a paper without code, by its metadata: one line, code 2.
    let name = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let file = bytes(&fixture("vanilla"));
        let text = String::from_utf8_lossy(&file[..8 + header]).replace(from, to);
        std::fs::write(&path, [text.as_bytes(), &file[8 + header..]].concat()).unwrap();
    };
    name("\"paper\":\"vanilla\"", "\"paper\":\"unknown\"");
    let output = run("", dir.path(), &["parity", "moved.safetensors"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said.contains("unknown cannot be replayed yet") && said.lines().count() == 1,
        "{said}"
    );

    // A step that draws in another order than was recorded.
    name("draw.0001.z", "draw.0001.y");
    let line = error_line(
        &run("", dir.path(), &["parity", "moved.safetensors"]),
        1,
        &[],
    );
    assert!(
        line.contains("draw 1: z was asked for, y was recorded"),
        "{line}"
    );

    std::fs::write(&path, "not a recording").unwrap();
    let line = fails(dir.path(), &["parity", "moved.safetensors"], 1);
    assert!(
        line.contains("moved.safetensors") && line.contains("not a safetensors file"),
        "{line}"
    );
    fails(dir.path(), &["parity", "absent.safetensors"], 1);
}

/// Settings that lie about sizes cost no memory: what is recorded says how large everything is.
#[test]
fn numbers_of_a_recording_that_lie_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (recording, from, to, wanted) in [
        (
            "vanilla",
            "\\\"img\\\": 49",
            "\\\"img\\\": 1099511627776",
            "img is 1099511627776, expected",
        ),
        (
            "vanilla",
            "\\\"img\\\": 49",
            "\\\"img\\\": 50",
            "d.disc.0.weight is [16, 49]",
        ),
        (
            "vanilla",
            "\\\"hidden_g\\\": 24",
            "\\\"hidden_g\\\": 16000",
            "g.gen.0.weight is [24, 8]",
        ),
        (
            "vanilla",
            "\\\"batch\\\": 6",
            "\\\"batch\\\": 0",
            "batch is 0, expected 1 to 16384",
        ),
        (
            "dcgan",
            "\\\"z\\\": 12",
            "\\\"z\\\": 16384",
            "g.main.0.weight is [12,",
        ),
        (
            "pix2pix",
            "\\\"downs\\\": 6",
            "\\\"downs\\\": 99",
            "downs is 99, expected 5 to 10",
        ),
        (
            "cyclegan",
            "\\\"n_layers\\\": 3",
            "\\\"n_layers\\\": 70",
            "n_layers is 70, expected",
        ),
        (
            "metrics-swd",
            "\\\"levels\\\": ",
            "\\\"levels\\\": 9999",
            "levels is 9999",
        ),
        (
            "resize",
            "\\\"scale\\\": 2.0",
            "\\\"scale\\\": 1e-300",
            "a scale of 1e-300",
        ),
        (
            "layers",
            "\\\"padding\\\": 1",
            "\\\"padding\\\": 4294967296",
            "padding is 4294967296",
        ),
    ] {
        let file = bytes(&fixture(recording));
        let end = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
        let header = std::str::from_utf8(&file[8..end]).unwrap();
        let changed = header.replacen(from, to, 1);
        assert_ne!(header, changed, "{recording} has no {from}");
        let size = (changed.len() as u64).to_le_bytes();
        let whole = [&size[..], changed.as_bytes(), &file[end..]].concat();
        std::fs::write(dir.path().join("lie.safetensors"), whole).unwrap();
        let line = fails(dir.path(), &["parity", "lie.safetensors"], 1);
        assert!(
            line.contains("lie.safetensors: ") && line.contains(wanted),
            "{wanted}: {line}"
        );
        assert!(line.chars().count() <= 300, "{line}");
    }
}

// ------------------------------------------------------------------ deliberate mistakes

const NONE: u8 = 0;
const BETA1: u8 = 1;
const NOT_HALVED: u8 = 2;
const STALE_D: u8 = 3;

/// The vanilla GAN with a mistake in it.
struct Mutant<const MISTAKE: u8> {
    config: Config,
    d: Net<Discriminator>,
    /// A copy of D from before its update: candle's graphs read weights when they are walked.
    old_d: Net<Discriminator>,
    g: Net<Generator>,
    opt_d: Optimizer,
    opt_g: Optimizer,
}

impl<const MISTAKE: u8> Algorithm for Mutant<MISTAKE> {
    fn step(&mut self, it: &mut Iter<'_>) -> Result<()> {
        let view = self.config.learns().view;
        let [x] = it.batch(self.config.batch, view, [pictures("real")])?;
        let x = x.flatten_from(1)?;
        let z = it.normal("z", &[self.config.batch, self.config.z_dim])?;
        let fake = self.g.live.forward(&z)?;
        let d_real = bce(&self.d.live.forward(&x)?, 1.)?;
        let d_fake = bce(&self.d.live.forward(&fake.detach())?, 0.)?;
        let half = if MISTAKE == NOT_HALVED { 1. } else { 2. };
        let d_loss = ((&d_real + &d_fake)? / half)?;
        let terms = [("d", &d_loss), ("d_real", &d_real), ("d_fake", &d_fake)];
        for ((_, old), (_, now)) in self.old_d.params.all().iter().zip(self.d.params.all()) {
            old.set(&now.copy()?.detach())?;
        }
        it.minimise(&mut self.opt_d, "d", &terms)?;
        let d = if MISTAKE == STALE_D {
            &self.old_d
        } else {
            &self.d
        };
        let g_loss = bce(&d.frozen.forward(&fake)?, 1.)?;
        it.minimise(&mut self.opt_g, "g", &[("g", &g_loss)])
    }

    fn sampler(&self, _: u64) -> Box<dyn Sampler + '_> {
        Box::new(&self.g.frozen)
    }

    fn parts(&mut self) -> Vec<(&'static str, &mut dyn Stateful)> {
        vec![
            ("d", &mut self.d),
            ("g", &mut self.g),
            ("opt_d", &mut self.opt_d),
            ("opt_g", &mut self.opt_g),
        ]
    }
}

/// The vanilla GAN's settings, of which a mutant is built.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
struct Mistaken<const MISTAKE: u8>(Config);

impl<const MISTAKE: u8> Paper for Mistaken<MISTAKE> {
    const INFO: PaperInfo = Config::INFO;

    fn preset(preset: Preset, data: &DataInfo) -> Self {
        Self(Config::preset(preset, data))
    }

    fn steps(&self, preset: Preset, data: &DataInfo) -> u64 {
        self.0.steps(preset, data)
    }

    fn check(&self) -> Result<()> {
        self.0.check()
    }

    fn learns(&self) -> Learns {
        self.0.learns()
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Algorithm>> {
        let config = &self.0;
        let discriminator = || {
            Net::new(cx, "d", init::as_layers, |vb| {
                Discriminator::new(cx.data.pixels(), config.hidden_d, vb)
            })
        };
        let (d, old_d) = (discriminator()?, discriminator()?);
        let g = Net::new(cx, "g", init::as_layers, |vb| {
            let DataInfo {
                channels,
                height,
                width,
                ..
            } = cx.data;
            Generator::new(config.z_dim, config.hidden_g, [channels, height, width], vb)
        })?;
        let beta1 = if MISTAKE == BETA1 { 0.5 } else { config.beta1 };
        let adam = |net: &gan_core::Params| {
            Optimizer::new(Rule::adam(beta1, config.beta2), config.lr, &[net])
        };
        Ok(Box::new(Mutant::<MISTAKE> {
            opt_d: adam(&d.params)?,
            opt_g: adam(&g.params)?,
            config: config.clone(),
            d,
            old_d,
            g,
        }))
    }

    fn open(weights: &Weights, device: &Device) -> Result<Box<dyn Sampler>> {
        Config::open(weights, device)
    }
}

/// The group that is furthest over its limit, and how far.
fn verdict<const MISTAKE: u8>() -> (String, f64) {
    let recipe: Erased<Mistaken<MISTAKE>> = Erased::NEW;
    let papers: &[&dyn Recipe] = &[&recipe];
    let report = xtask::parity::check(papers, &fixture("vanilla"), &Device::Cpu).unwrap();
    let ratios = report
        .groups
        .iter()
        .map(|group| (group.name.clone(), group.error / group.limit));
    ratios.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap()
}

#[test]
fn mistakes_are_caught() {
    let (name, ratio) = verdict::<NONE>();
    assert!(
        ratio < 1.,
        "without a mistake {name} is {ratio} of its limit"
    );
    // The reference's own table has 183, 100,000 and 921 for these.
    let (name, ratio) = verdict::<BETA1>();
    assert!(ratio > 100., "beta1 .5: {name} is {ratio} of its limit");
    let (name, ratio) = verdict::<NOT_HALVED>();
    assert!(
        ratio > 10_000.,
        "not halved: {name} is {ratio} of its limit"
    );
    let (name, ratio) = verdict::<STALE_D>();
    assert!(
        ratio > 100. && name == "grad.g",
        "stale D: {name} is {ratio} of its limit"
    );
}
