//! The names that published files have for the layers of an RRDB network, and the network that a file holds.

use crate::model::{Rrdb, RrdbSizes};
use candle_core::{Device, Result, bail};
use gan_core::layout::{self, Kernels, Layout};
use gan_core::{Net, Weights, check};

/// The network's own names.
const OWN: Layout = Layout {
    name: "RRDB network (body.N.rdbM.convK)",
    layers: &[
        "conv_first",
        "body.#.rdb#.conv#",
        "conv_body",
        "conv_up#",
        "conv_hr",
        "conv_last",
    ],
};
/// Those of the authors' code of 2019.
const TRUNK: Layout = Layout {
    name: "RRDB network as of 2019 (RRDB_trunk.N.RDBM.convK)",
    layers: &[
        "conv_first",
        "RRDB_trunk.#.RDB#.conv#",
        "trunk_conv",
        "upconv#",
        "HRconv",
        "conv_last",
    ],
};
/// Those of the authors' code of 2018, where layers are numbered.
const NUMBERED: Layout = Layout {
    name: "RRDB network as of 2018 (model.1.sub.N.RDBM.convK)",
    layers: &["model.#", "model.1.sub.#.RDB#.conv#.0", "model.1.sub.#"],
};

/// The three ways in which files name the layers, and the discriminator's.
pub const LAYOUTS: &[Layout] = &[
    OWN,
    TRUNK,
    NUMBERED,
    Layout {
        name: "discriminator of ESRGAN",
        layers: &["conv#_#", "bn#_#", "linear#"],
    },
];

/// Which of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    /// [`OWN`]
    Own,
    /// [`TRUNK`]
    Trunk,
    /// [`NUMBERED`]
    Numbered,
}

impl Names {
    /// Those that most of a file's keys are of, and their layout.
    fn of(weights: &Weights) -> (Self, &'static Layout) {
        let all = [(Self::Trunk, &TRUNK), (Self::Numbered, &NUMBERED)];
        let own = (Self::Own, &OWN);
        // Keys that all have say nothing: the network's own names come before the others.
        all.into_iter().fold(own, |best, other| {
            match other.1.among(weights) > best.1.among(weights) {
                true => other,
                false => best,
            }
        })
    }

    /// The file's name of a layer of ours, in a network with so many blocks and doublings.
    fn layer(self, layer: &str, blocks: usize, ups: usize) -> String {
        let dense = layer.strip_prefix("body.").map(|rest| match self {
            Self::Own => layer.to_string(),
            Self::Trunk => format!("RRDB_trunk.{}", rest.replace("rdb", "RDB")),
            Self::Numbered => format!("model.1.sub.{}.0", rest.replace("rdb", "RDB")),
        });
        let up = layer.strip_prefix("conv_up").map(|n| match self {
            Self::Own => layer.to_string(),
            Self::Trunk => format!("upconv{n}"),
            // An enlargement, a convolution and an activation each.
            Self::Numbered => format!("model.{}", 3 * n.parse().unwrap_or(0usize)),
        });
        let other = || match (self, layer) {
            (Self::Trunk, "conv_body") => "trunk_conv".into(),
            (Self::Trunk, "conv_hr") => "HRconv".into(),
            (Self::Numbered, "conv_first") => "model.0".into(),
            (Self::Numbered, "conv_body") => format!("model.1.sub.{blocks}"),
            (Self::Numbered, "conv_hr") => format!("model.{}", 3 * ups + 2),
            (Self::Numbered, "conv_last") => format!("model.{}", 3 * ups + 4),
            _ => layer.to_string(),
        };
        dense.or(up).unwrap_or_else(other)
    }

    /// The same of a tensor: a layer's name and a word.
    fn key(self, key: &str, blocks: usize, ups: usize) -> String {
        match key.rsplit_once('.') {
            Some((layer, leaf)) => format!("{}.{leaf}", self.layer(layer, blocks, ups)),
            None => key.to_string(),
        }
    }

    /// Blocks and doublings of a file with these names.
    fn counts(self, weights: &Weights) -> (usize, usize) {
        match self {
            Self::Own => (
                layout::count(weights, "body."),
                layout::count(weights, "conv_up").saturating_sub(1),
            ),
            Self::Trunk => (
                layout::count(weights, "RRDB_trunk."),
                layout::count(weights, "upconv").saturating_sub(1),
            ),
            // After the blocks comes one more convolution in the same list; the last layer is 3·ups + 4.
            Self::Numbered => (
                layout::count(weights, "model.1.sub.").saturating_sub(1),
                layout::count(weights, "model.").saturating_sub(5) / 3,
            ),
        }
    }
}

impl RrdbSizes {
    /// Refuses what cannot be built.
    pub fn check(&self) -> Result<()> {
        check::within("width", self.width, 1..=4096)?;
        check::within("growth", self.growth, 1..=4096)?;
        check::within("blocks", self.blocks, 1..=1024)?;
        check::within("ups", self.ups, 0..=4)?;
        if !matches!(self.channels, 1 | 3) || !matches!(self.unshuffle, 1 | 2 | 4) {
            bail!(
                "pictures have {} channels, made {} times smaller first; expected 1 or 3, and 1, 2 or 4",
                self.channels,
                self.unshuffle
            )
        }
        if self.scale() == 0 {
            bail!(
                "{} doublings after the picture was made {} times smaller: it would shrink",
                self.ups,
                self.unshuffle
            )
        }
        Ok(())
    }
}

impl Rrdb {
    /// The sizes of a network in a file, from its keys and shapes alone: any of the three layouts, any numbers of
    /// blocks, channels and doublings.
    ///
    /// # Errors
    /// Keys or shapes of something else.
    pub fn recognise(weights: &Weights) -> Result<RrdbSizes> {
        recognise(weights).map(|(_, sizes)| sizes)
    }

    /// The network of a file.
    ///
    /// # Errors
    /// Those of [`Rrdb::recognise`]; keys that are missing, left over or of another shape.
    pub fn open(weights: &Weights, device: &Device) -> Result<Self> {
        let (names, sizes) = recognise(weights).map_err(|error| weights.named(error))?;
        let RrdbSizes { blocks, ups, .. } = sizes;
        let names = move |key: &str| names.key(key, blocks, ups);
        let build = |vb| Self::new(&sizes, vb);
        Ok(Net::open_as(weights, device, "g", names, build)?.frozen)
    }
}

fn recognise(weights: &Weights) -> Result<(Names, RrdbSizes)> {
    let (names, layout) = Names::of(weights);
    let (blocks, ups) = names.counts(weights);
    let kernels = Kernels::new(weights, layout, blocks);
    let kernel = |layer: &str, published: (usize, usize)| {
        kernels.channels(&names.key(layer, blocks, ups), published)
    };
    let (growth, _) = kernel("body.0.rdb1.conv1.weight", (32, 64))?;
    let (width, inputs) = kernel("conv_first.weight", (64, 3))?;
    let (channels, _) = kernel("conv_last.weight", (inputs, width))?;
    let Some(unshuffle) = [1, 2, 4].into_iter().find(|r| inputs == channels * r * r) else {
        bail!(
            "the network takes {inputs} channels and makes {channels}: neither as many, nor 4 or 16 times as many for \
             a picture made smaller first"
        )
    };
    let sizes = RrdbSizes {
        channels,
        width,
        growth,
        blocks,
        ups,
        unshuffle,
    };
    sizes.check()?;
    Ok((names, sizes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_have_their_names_in_all_layouts() {
        for (layer, trunk, numbered) in [
            ("conv_first", "conv_first", "model.0"),
            (
                "body.22.rdb3.conv5",
                "RRDB_trunk.22.RDB3.conv5",
                "model.1.sub.22.RDB3.conv5.0",
            ),
            ("conv_body", "trunk_conv", "model.1.sub.23"),
            ("conv_up1", "upconv1", "model.3"),
            ("conv_up2", "upconv2", "model.6"),
            ("conv_hr", "HRconv", "model.8"),
            ("conv_last", "conv_last", "model.10"),
        ] {
            let of = |names: Names| names.key(&format!("{layer}.weight"), 23, 2);
            assert_eq!(of(Names::Own), format!("{layer}.weight"));
            assert_eq!(of(Names::Trunk), format!("{trunk}.weight"));
            assert_eq!(of(Names::Numbered), format!("{numbered}.weight"));
            for (layer, layout) in [layer, trunk, numbered].iter().zip(LAYOUTS) {
                assert!(layout.has(&format!("{layer}.bias")), "{layer}");
            }
        }
    }
}
