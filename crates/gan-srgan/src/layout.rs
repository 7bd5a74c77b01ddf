//! The names that files have for the layers of both networks, and the network that a file holds.

use crate::model::{SrResnet, SrResnetSizes};
use crate::msr::{MsrResnet, MsrResnetSizes};
use candle_core::{Device, Result, bail};
use gan_core::{Layout, Net, Sampler, Weights, check, layout};

/// The names of the paper's network, of that of public toolboxes, and of the discriminator.
pub const LAYOUTS: &[Layout] = &[
    Layout {
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
    },
    Layout {
        name: "MSRResNet (without batch norm)",
        layers: &[
            "conv_first",
            "body.#.conv#",
            "upconv#",
            "conv_hr",
            "conv_last",
        ],
    },
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
    let among = |layout: &Layout| layout.among(weights);
    match LAYOUTS.iter().map(among).collect::<Vec<_>>()[..] {
        [with, without, ..] if with > without => Ok(Box::new(SrResnet::open(weights, device)?)),
        _ => Ok(Box::new(MsrResnet::open(weights, device)?)),
    }
}

/// What the sizes are read from.
struct Shapes<'a> {
    weights: &'a Weights,
    /// Whether most keys are of the layout: then all are compared, also where those that say how large the network is
    /// are missing.
    is_near: bool,
}

impl<'a> Shapes<'a> {
    fn new(weights: &'a Weights, layout: Option<&Layout>, blocks: usize) -> Self {
        let among = layout.map_or(0, |layout| layout.among(weights));
        let is_near = 2 * among >= weights.keys().count() && blocks > 0;
        Self { weights, is_near }
    }

    /// Output and input channels of a convolution.
    fn kernel(&self, key: &str, usual: (usize, usize)) -> Result<(usize, usize)> {
        match self.weights.dims(key) {
            Some(&[outputs, inputs, _, _]) => Ok((outputs, inputs)),
            _ if self.is_near => Ok(usual),
            Some(dims) => bail!("{key} is {dims:?}, expected two numbers of channels and a kernel"),
            None => bail!(
                "{key} is missing, the file begins with {}",
                self.weights.first_keys()
            ),
        }
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
        let shapes = Shapes::new(weights, LAYOUTS.first(), blocks);
        let (width, channels) = shapes.kernel("conv_first.weight", (64, 3))?;
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
        let shapes = Shapes::new(weights, LAYOUTS.get(1), blocks);
        let (width, channels) = shapes.kernel("conv_first.weight", (64, 3))?;
        check(channels, width, blocks)?;
        let (up, _) = shapes.kernel("upconv1.weight", (4 * width, width))?;
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
