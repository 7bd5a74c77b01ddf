//! A discriminator that judges each patch of a picture (Isola et al. 2017, section 3.2.2): a score for every
//! patch, not one for the picture.
//!
//! With n strided layers a score sees 16, 34, 70, 142 or 286 pixels for n = 1 to 5; with none it sees one
//! pixel, through 1x1 convolutions. Key names are those of the networks published for PyTorch.

use super::maps::{Norm, NormLayer};
use super::{Act, Conv2d, Mode, conv2d};
use crate::check;
use crate::layout::Layout;
use candle_core::{Result, Tensor, bail};
use candle_nn::VarBuilder;
use gan_kernels::conv;

/// The names of its layers.
pub const LAYOUT: Layout = Layout {
    name: "PatchGAN discriminator (model.N)",
    layers: &["model.#"],
};

/// Kernel of every layer but the pixel variant's.
const K: usize = 4;
/// LeakyReLU's slope (Isola et al. 2017, appendix 6.1.2).
const LEAKY: Act = Act::LeakyRelu(0.2);
/// The deepest network: with more, a score sees more than the largest pictures.
const DEEPEST: usize = 6;

/// How large the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatchSizes {
    /// Channels of the input: of two pictures, where the discriminator sees pairs.
    pub channels: usize,
    /// Channels after the first layer; doubled with each further strided layer, up to eight times.
    pub width: usize,
    /// Layers of stride 2; 0: the pixel variant.
    pub n_layers: usize,
}

impl PatchSizes {
    /// Refuses what cannot be built, or has no score for square pictures of this side.
    pub fn check(&self, width_key: &str, layers_key: &str, size: usize) -> Result<()> {
        check::within(width_key, self.width, 1..=1024)?;
        check::within(layers_key, self.n_layers, 0..=DEEPEST)?;
        let least = 3 << self.n_layers;
        if self.n_layers > 0 && size < least {
            bail!(
                "size is {size}, too small for {layers_key} = {}: expected at least {least}",
                self.n_layers
            )
        }
        Ok(())
    }

    /// Pixels that a score sees, to each side.
    pub fn sees(&self) -> usize {
        match self.n_layers {
            0 => 1,
            n => (0..n).fold(1 + 2 * (K - 1), |seen, _| 2 * seen + K - 2),
        }
    }
}

/// Pictures `[b, channels, h, w]` to scores `[b, 1, h', w']`, without a sigmoid.
#[derive(Clone, Debug)]
pub struct PatchDiscriminator {
    first: Conv2d,
    blocks: Vec<(Conv2d, NormLayer)>,
    last: Conv2d,
}

impl PatchDiscriminator {
    /// Keys `model.0` (convolution with bias), then `model.N` (convolution) and `model.N+1` (norm) for N =
    /// 2, 5, …, and the last convolution with bias; the pixel variant has `net.0`, `net.2`, `net.3`,
    /// `net.5`. Convolutions have a bias where the norm has no parameters.
    pub fn new(norm: Norm, sizes: &PatchSizes, vb: VarBuilder<'_>) -> Result<Self> {
        let &PatchSizes {
            channels,
            width,
            n_layers,
        } = sizes;
        if n_layers == 0 {
            return Self::pixels(norm, channels, width, vb.pp("net"));
        }
        let vb = vb.pp("model");
        let strided = |stride, act| conv::Conv2d {
            stride,
            padding: 1,
            act,
            ..Default::default()
        };
        let first = conv2d(channels, width, K, strided(2, LEAKY), vb.pp(0))?;
        let (mut inputs, mut n, mut blocks) = (width, 2, Vec::new());
        for layer in 1..=n_layers {
            let outputs = width * (1 << layer.min(3));
            let stride = if layer < n_layers { 2 } else { 1 };
            let how = strided(stride, Act::None);
            blocks.push((
                norm.conv(inputs, outputs, K, how, vb.pp(n))?,
                norm.layer(outputs, LEAKY, vb.pp(n + 1))?,
            ));
            (inputs, n) = (outputs, n + 3);
        }
        Ok(Self {
            first,
            blocks,
            last: conv2d(inputs, 1, K, strided(1, Act::None), vb.pp(n))?,
        })
    }

    fn pixels(norm: Norm, channels: usize, width: usize, vb: VarBuilder<'_>) -> Result<Self> {
        let (plain, leaky) = (
            conv::Conv2d::default(),
            conv::Conv2d {
                act: LEAKY,
                ..Default::default()
            },
        );
        Ok(Self {
            first: conv2d(channels, width, 1, leaky, vb.pp(0))?,
            blocks: vec![(
                norm.conv(width, 2 * width, 1, plain, vb.pp(2))?,
                norm.layer(2 * width, LEAKY, vb.pp(3))?,
            )],
            last: norm.conv(2 * width, 1, 1, plain, vb.pp(5))?,
        })
    }

    /// Scores for a batch.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut h = self.first.forward(x)?; // [b, width, h/2, w/2]
        for (down, norm) in &self.blocks {
            h = norm.forward(&down.forward(&h)?, mode)?; // [b, 2·width, h/4, w/4], …; the last keeps its size but 1
        }
        self.last.forward(&h)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, DataInfo, Net, init};
    use candle_core::{DType, Device, Var};

    fn net(norm: Norm, sizes: &PatchSizes) -> Net<PatchDiscriminator> {
        let cx = Context::new(&Device::Cpu, 1, DataInfo::unlabelled(1, 1), 1);
        Net::new(&cx, "d", init::convolutions_normal_offsets_zero, |vb| {
            PatchDiscriminator::new(norm, sizes, vb)
        })
        .expect("a network")
    }

    /// The published counts at 70 pixels, and the receptive fields of the paper's table 3.
    #[test]
    fn counts_fields_and_keys() {
        let sizes = |channels, n_layers| PatchSizes {
            channels,
            width: 64,
            n_layers,
        };
        let count = |norm, channels, n| net(norm, &sizes(channels, n)).params.count();
        assert_eq!(count(Norm::Batch, 6, 3), 2_768_705);
        assert_eq!(count(Norm::Instance, 3, 3), 2_764_737);
        for (n, sees) in [(0, 1), (1, 16), (2, 34), (3, 70), (5, 286)] {
            assert_eq!(sizes(6, n).sees(), sees);
        }
        let keys = |norm, n| {
            let all = net(norm, &sizes(3, n)).params.all().into_iter();
            let weights = all.filter_map(|(key, _)| key.strip_suffix(".weight").map(String::from));
            weights.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            keys(Norm::Batch, 3),
            "model.0 model.2 model.3 model.5 model.6 model.8 model.9 model.11"
        );
        assert_eq!(keys(Norm::Instance, 2), "model.0 model.2 model.5 model.8");
        assert_eq!(keys(Norm::Batch, 0), "net.0 net.2 net.3 net.5");
    }

    /// A score sees as many pixels as is said: those that its gradient reaches.
    #[test]
    fn a_score_sees_its_patch_alone() -> Result<()> {
        for n_layers in [0, 1, 2] {
            let sizes = PatchSizes {
                channels: 1,
                width: 2,
                n_layers,
            };
            let x = Var::from_tensor(&Tensor::ones((1, 1, 80, 80), DType::F32, &Device::Cpu)?)?;
            // The running statistics, so that no norm mixes all pixels.
            let y = net(Norm::Batch, &sizes).live.forward(&x, Mode::Eval)?;
            let middle = y.dim(2)? / 2;
            let score = y.narrow(2, middle, 1)?.narrow(3, middle, 1)?.sum_all()?;
            let gradient = gan_kernels::tape::backward(&score)?;
            let gradient = gradient.get(&x).map(|g| g.flatten_all()?.to_vec1::<f32>());
            let reached = gradient.transpose()?.unwrap_or_default();
            let reached = reached.iter().filter(|g| **g != 0.).count();
            assert_eq!(reached, sizes.sees().pow(2), "n_layers {n_layers}");
        }
        Ok(())
    }

    #[test]
    fn pictures_too_small_are_refused() {
        let sizes = PatchSizes {
            channels: 3,
            width: 8,
            n_layers: 3,
        };
        let said = sizes
            .check("width_d", "n_layers", 16)
            .expect_err("too small");
        assert!(said.to_string().contains("expected at least 24"), "{said}");
        assert!(sizes.check("width_d", "n_layers", 24).is_ok());
        let x = Tensor::zeros((2, 3, 24, 24), DType::F32, &Device::Cpu).expect("zeros");
        let y = net(Norm::Instance, &sizes).frozen.forward(&x, Mode::Train);
        assert_eq!(y.expect("scores").dims(), [2, 1, 1, 1]);
    }
}
