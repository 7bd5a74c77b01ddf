//! The generator: two halvings, residual blocks, two doublings; borders are padded by reflection.

use candle_core::{Device, Result, Tensor, bail};
use candle_nn::VarBuilder;
use gan_core::nn::maps::{Norm, NormLayer};
use gan_core::nn::{
    Act, Conv2d, ConvTranspose2d, Mode, add, conv2d, reflection_pad2d, strided_conv,
    strided_conv_transpose, tanh,
};
use gan_core::{Columns, Draws, Net, Port, Probe, Sampler, Takes, Weights, check};
use std::ops::Range;

/// What the sides of a picture are multiples of: it is halved twice.
const MULTIPLE: usize = 4;
/// The smallest side: at a quarter of it the border of a residual block is mirrored.
const LEAST: usize = 8;
/// Kernel and padding of the first and the last layer.
const WIDE: (usize, usize) = (7, 3);
/// Kernel of every other layer.
const K: usize = 3;

/// How large the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResnetSizes {
    /// Channels of the picture that it is given.
    pub inputs: usize,
    /// Channels of the picture that it makes.
    pub outputs: usize,
    /// Channels at full size; twice and four times as many at half and at a quarter.
    pub width: usize,
    /// Residual blocks.
    pub blocks: usize,
    /// What its features are normalised with.
    pub norm: Norm,
}

impl ResnetSizes {
    /// Refuses what cannot be built.
    pub fn check(&self) -> Result<()> {
        for channels in [self.inputs, self.outputs] {
            if !matches!(channels, 1 | 3) {
                bail!("channels is {channels}, expected 1 or 3")
            }
        }
        check::within("width_g", self.width, 1..=1024)?;
        check::within("blocks", self.blocks, 1..=64)
    }
}

/// x + what two convolutions make of it.
#[derive(Clone, Debug)]
struct Block {
    layers: [(Conv2d, NormLayer); 2],
}

impl Block {
    /// Keys `conv_block.1` and `conv_block.5`, with batch norm also `conv_block.2` and `conv_block.6`.
    fn new(channels: usize, norm: Norm, vb: VarBuilder<'_>) -> Result<Self> {
        let vb = vb.pp("conv_block");
        let layer = |n: usize, act| -> Result<_> {
            let conv = norm.conv(
                channels,
                channels,
                K,
                strided_conv(1, 0, Act::None),
                vb.pp(n),
            )?;
            Ok((conv, norm.layer(channels, act, vb.pp(n + 1))?))
        };
        Ok(Self {
            layers: [layer(1, Act::Relu)?, layer(5, Act::None)?],
        })
    }

    /// x `[b, c, h, w]`, to the same.
    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut h = x.clone();
        for (conv, norm) in &self.layers {
            h = norm.forward(&conv.forward(&reflection_pad2d(&h, 1)?)?, mode)?;
        }
        add(x, &h)
    }
}

/// Whether the blocks of a saved network dropped units after their first half, which counts as a layer, so that the
/// second convolution is 6 and not 5.
fn has_dropout(weights: &Weights) -> bool {
    let second = weights.dims("model.10.conv_block.6.weight");
    second.is_some_and(|dims| dims.len() == 4)
}

/// The name of a layer in such a network.
fn after_dropout(key: &str, blocks: &Range<usize>) -> String {
    let words: Vec<&str> = key.split('.').collect();
    match words[..] {
        ["model", n, "conv_block", layer @ ("5" | "6"), leaf]
            if n.parse().is_ok_and(|n| blocks.contains(&n)) =>
        {
            let layer = if layer == "5" { 6 } else { 7 };
            format!("model.{n}.conv_block.{layer}.{leaf}")
        }
        _ => key.to_string(),
    }
}

/// G or F: pictures `[b, inputs, h, w]` to pictures `[b, outputs, h, w]` in [−1, 1].
#[derive(Clone, Debug)]
pub struct ResnetGenerator {
    down: Vec<(Conv2d, NormLayer)>,
    blocks: Vec<Block>,
    up: Vec<(ConvTranspose2d, NormLayer)>,
    last: Conv2d,
    sizes: ResnetSizes,
}

impl ResnetGenerator {
    /// Keys `model.N` with N = 1, 4, 7 (convolutions), from 10 on (blocks), then two transposed
    /// convolutions and the last convolution, three, three and four further; norms' keys are one after
    /// their convolution's.
    pub fn new(sizes: &ResnetSizes, vb: VarBuilder<'_>) -> Result<Self> {
        let vb = vb.pp("model");
        let ResnetSizes { width, norm, .. } = *sizes;
        let (k, _) = WIDE;
        let none = Act::None;
        let down = [
            (sizes.inputs, width, k, strided_conv(1, 0, none)),
            (width, 2 * width, K, strided_conv(2, 1, none)),
            (2 * width, 4 * width, K, strided_conv(2, 1, none)),
        ];
        let down = down
            .into_iter()
            .enumerate()
            .map(|(i, (inputs, outputs, k, how))| {
                let n = 1 + 3 * i;
                let conv = norm.conv(inputs, outputs, k, how, vb.pp(n))?;
                Ok((conv, norm.layer(outputs, Act::Relu, vb.pp(n + 1))?))
            });
        let down = down.collect::<Result<_>>()?;
        let blocks = (0..sizes.blocks).map(|i| Block::new(4 * width, norm, vb.pp(10 + i)));
        let blocks = blocks.collect::<Result<_>>()?;
        let end = 10 + sizes.blocks;
        let up = [(4 * width, end), (2 * width, end + 3)];
        let up = up.into_iter().map(|(inputs, n)| {
            let how = strided_conv_transpose(2, 1, 1);
            let conv = norm.conv_transpose(inputs, inputs / 2, K, how, vb.pp(n))?;
            Ok((conv, norm.layer(inputs / 2, Act::Relu, vb.pp(n + 1))?))
        });
        let up = up.collect::<Result<_>>()?;
        let last = conv2d(
            width,
            sizes.outputs,
            k,
            strided_conv(1, 0, none),
            vb.pp(end + 7),
        )?;
        Ok(Self {
            down,
            blocks,
            up,
            last,
            sizes: *sizes,
        })
    }

    /// The sizes of a saved network, from its keys and shapes alone.
    ///
    /// # Errors
    /// Keys or shapes of something else, naming the first that does not fit.
    pub fn recognise(weights: &Weights) -> Result<ResnetSizes> {
        let kernel = |key: &str| match weights.dims(key) {
            Some(&[a, b, 7, 7]) => Ok((a, b)),
            Some(dims) => bail!("{key} is {dims:?}, expected two numbers of channels, 7, 7"),
            None => bail!(
                "{key} is missing, the file begins with {}",
                weights.first_keys()
            ),
        };
        let (width, inputs) = kernel("model.1.weight")?;
        let block = |i: &usize| weights.dims(&format!("model.{}.conv_block.1.weight", 10 + i));
        let blocks = (0..65).take_while(|i| block(i).is_some()).count();
        if blocks == 0 {
            bail!("model.10.conv_block.1.weight is missing: there is no residual block")
        }
        let (outputs, _) = kernel(&format!("model.{}.weight", 17 + blocks))?;
        let norm = match weights.dims("model.2.weight") {
            Some(_) => Norm::Batch,
            None => Norm::Instance,
        };
        let sizes = ResnetSizes {
            inputs,
            outputs,
            width,
            blocks,
            norm,
        };
        sizes.check()?;
        Ok(sizes)
    }

    /// A saved network.
    ///
    /// # Errors
    /// Those of [`ResnetGenerator::recognise`]; keys that are missing, left over or of another shape.
    pub fn open(weights: &Weights, device: &Device) -> Result<Self> {
        let sizes = Self::recognise(weights).map_err(|e| weights.named(e))?;
        let bare = weights.without_statistics();
        let weights = match sizes.norm {
            Norm::Batch | Norm::Layer => weights,
            Norm::Instance => &bare,
        };
        let (blocks, dropout) = (10..10 + sizes.blocks, has_dropout(weights));
        let names = move |key: &str| match dropout {
            true => after_dropout(key, &blocks),
            false => key.to_string(),
        };
        let build = |vb| Self::new(&sizes, vb);
        Ok(Net::open_as(weights, device, "g", names, build)?.frozen)
    }

    /// How large it is.
    pub fn sizes(&self) -> &ResnetSizes {
        &self.sizes
    }

    /// Pictures for pictures, whose sides are multiples of 4, from 8.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut h = reflection_pad2d(x, WIDE.1)?;
        for (conv, norm) in &self.down {
            h = norm.forward(&conv.forward(&h)?, mode)?; // [b, width, h, w], …, [b, 4·width, h/4, w/4]
        }
        for block in &self.blocks {
            h = block.forward(&h, mode)?;
        }
        for (conv, norm) in &self.up {
            h = norm.forward(&conv.forward(&h)?, mode)?; // …, [b, width, h, w]
        }
        tanh(&self.last.forward(&reflection_pad2d(&h, WIDE.1)?)?)
    }

    /// The pictures that it takes; what is made of them depends on all of each, through its norms.
    fn port(&self) -> Port {
        Port::new(self.sizes.inputs, MULTIPLE).least(LEAST)
    }

    /// What it makes of pictures.
    fn there(&self, x: &Tensor) -> Result<Tensor> {
        self.port().check(x)?;
        Ok(self.forward(x, Mode::Eval)?.detach())
    }
}

impl Sampler for ResnetGenerator {
    fn takes(&self) -> Takes {
        Takes::pictures(self.port())
    }

    /// The columns are `real`, the picture given, and `fake`.
    fn sample(&self, input: &Probe, _: &mut dyn Draws) -> Result<Columns> {
        let x = input.one()?;
        Ok(Columns::new("real", x.clone()).with("fake", self.there(x)?))
    }
}
