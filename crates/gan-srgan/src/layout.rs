//! The names that files have for the layers of both networks, and the network that a file holds.

use crate::model::{SrResnet, SrResnetSizes};
use crate::msr::{MsrResnet, MsrResnetSizes};
use candle_core::{Device, Result, bail};
use gan_core::layout::{self, Kernels, Layout};
use gan_core::{Net, Sampler, Weights, check};

/// The names of the paper's network.
const SRRESNET: Layout = Layout {
    name: "SRResNet (with batch norm)",
    layers: &[
        "conv_first",
        "act_first",
        "body.#.conv#",
        "body.#.bn#",
        "body.#.act",
        "conv_body",
        "bn_body",
        "up.#.conv",
        "up.#.act",
        "conv_last",
    ],
};
/// The names of the network of public toolboxes.
const MSRRESNET: Layout = Layout {
    name: "MSRResNet (without batch norm)",
    layers: &[
        "conv_first",
        "body.#.conv#",
        "upconv#",
        "conv_hr",
        "conv_last",
    ],
};

/// Both, and the discriminator's.
pub const LAYOUTS: &[Layout] = &[
    SRRESNET,
    MSRRESNET,
    Layout {
        name: "discriminator of SRGAN, or VGG network",
        layers: &["features.#", "classifier.#"],
    },
];

/// The network of a file, whichever of the two it is.
///
/// # Errors
/// Keys or shapes of something else; keys that are missing, left over or of another shape.
pub fn open(weights: &Weights, device: &Device) -> Result<Box<dyn Sampler>> {
    match SRRESNET.among(weights) > MSRRESNET.among(weights) {
        true => Ok(Box::new(SrResnet::open(weights, device)?)),
        false => Ok(Box::new(MsrResnet::open(weights, device)?)),
    }
}

/// Refuses what cannot be built.
fn check(channels: usize, width: usize, blocks: usize) -> Result<()> {
    if !matches!(channels, 1 | 3) {
        bail!("the network takes pictures of {channels} channels, expected 1 or 3")
    }
    check::within("width", width, 1..=4096)?;
    check::within("blocks", blocks, 1..=1024)
}

impl SrResnet {
    /// The sizes of a network in a file, from its keys and shapes alone.
    ///
    /// # Errors
    /// Keys or shapes of something else.
    pub fn recognise(weights: &Weights) -> Result<SrResnetSizes> {
        let blocks = layout::count(weights, "body.");
        let kernels = Kernels::new(weights, &SRRESNET, blocks);
        let (width, channels) = kernels.channels("conv_first.weight", (64, 3))?;
        check(channels, width, blocks)?;
        let ups = layout::count(weights, "up.");
        check::within("ups", ups, 0..=4)?;
        Ok(SrResnetSizes {
            channels,
            width,
            blocks,
            ups,
        })
    }

    /// The network of a file.
    ///
    /// # Errors
    /// Those of [`SrResnet::recognise`]; keys that are missing, left over or of another shape.
    pub fn open(weights: &Weights, device: &Device) -> Result<Self> {
        let sizes = Self::recognise(weights).map_err(|error| weights.named(error))?;
        Ok(Net::open(weights, device, "g", |vb| Self::new(&sizes, vb))?.frozen)
    }
}

impl MsrResnet {
    /// The sizes of a network in a file, from its keys and shapes alone.
    ///
    /// # Errors
    /// Keys or shapes of something else.
    pub fn recognise(weights: &Weights) -> Result<MsrResnetSizes> {
        let blocks = layout::count(weights, "body.");
        let kernels = Kernels::new(weights, &MSRRESNET, blocks);
        let (width, channels) = kernels.channels("conv_first.weight", (64, 3))?;
        check(channels, width, blocks)?;
        let (up, _) = kernels.channels("upconv1.weight", (4 * width, width))?;
        let scale = match (weights.dims("upconv2.weight").is_some(), up / width) {
            (true, _) => 4,
            (false, 9) => 3,
            (false, 4) => 2,
            _ => bail!(
                "upconv1.weight makes {up} channels of {width}, expected 4 or 9 times as many"
            ),
        };
        Ok(MsrResnetSizes {
            channels,
            width,
            blocks,
            scale,
        })
    }

    /// The network of a file.
    ///
    /// # Errors
    /// Those of [`MsrResnet::recognise`]; keys that are missing, left over or of another shape.
    pub fn open(weights: &Weights, device: &Device) -> Result<Self> {
        let sizes = Self::recognise(weights).map_err(|error| weights.named(error))?;
        Ok(Net::open(weights, device, "g", |vb| Self::new(&sizes, vb))?.frozen)
    }
}
