//! The generator: strided convolutions down to 4x4, as many transposed ones back.

use candle_core::{Device, Result, Tensor, bail};
use candle_nn::VarBuilder;
use gan_core::nn::strided::StridedSizes;
use gan_core::nn::{
    Act, BatchNorm, Conv2d, ConvTranspose2d, Mode, batch_norm, conv_transpose2d_no_bias,
    conv2d_no_bias, sigmoid, strided_conv, strided_conv_transpose,
};
use gan_core::{Columns, Draws, Net, Port, Probe, Sampler, Takes, Weights, check};

/// Kernel of every layer, and the size of the smallest picture inside.
const K: usize = 4;
/// LeakyReLU on the way down.
const LEAKY: Act = Act::LeakyRelu(0.2);

/// How large the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeneratorSizes {
    /// The picture, and the channels at half its size.
    pub strided: StridedSizes,
    /// Channels at 1x1; 0: the network turns at 4x4.
    pub bottleneck: usize,
}

impl GeneratorSizes {
    /// Refuses what cannot be built or, saved, could not be told from another.
    pub fn check(&self) -> Result<()> {
        self.strided.check("width_g")?;
        check::within("bottleneck", self.bottleneck, 0..=4096)?;
        // A layer to 1x1 and one to half the size would have kernels of one shape.
        if self.bottleneck == 2 * self.widest() {
            bail!(
                "bottleneck is {0}, expected another number than {0}, which a further halving would have",
                self.bottleneck
            )
        }
        Ok(())
    }

    /// Channels at 4x4.
    fn widest(&self) -> usize {
        self.strided.width * self.strided.size / (2 * K)
    }
}

/// G or F: pictures `[b, channels, h, w]` in [0, 1] to pictures of the same size in [0, 1].
#[derive(Clone, Debug)]
pub struct Generator {
    first: Conv2d,
    down: Vec<(Conv2d, BatchNorm)>,
    up: Vec<(ConvTranspose2d, BatchNorm)>,
    last: ConvTranspose2d,
    sizes: GeneratorSizes,
}

impl Generator {
    /// Keys `main.N.weight`: N = 0 (convolution), then a convolution and its norm at N and N + 1 for N = 2, 5,
    /// …, then three further each a transposed convolution and its norm, and the last transposed convolution.
    pub fn new(sizes: &GeneratorSizes, vb: VarBuilder<'_>) -> Result<Self> {
        let vb = vb.pp("main");
        let StridedSizes {
            channels, width, ..
        } = sizes.strided;
        let (half, double) = (
            strided_conv(2, 1, Act::None),
            strided_conv_transpose(2, 1, 0),
        );
        let first = strided_conv(2, 1, LEAKY);
        let first = conv2d_no_bias(channels, width, K, first, vb.pp(0))?;
        // What each layer halves from and to, which the way back has in reverse.
        let mut layers = Vec::new();
        let mut at = width;
        while at < sizes.widest() {
            layers.push((at, 2 * at, half, double));
            at *= 2;
        }
        if sizes.bottleneck > 0 {
            let (to_point, from_point) = (
                strided_conv(1, 0, Act::None),
                strided_conv_transpose(1, 0, 0),
            );
            layers.push((at, sizes.bottleneck, to_point, from_point));
        }
        let (mut n, mut down, mut up) = (2, Vec::new(), Vec::new());
        for &(outer, inner, how, _) in &layers {
            down.push((
                conv2d_no_bias(outer, inner, K, how, vb.pp(n))?,
                batch_norm(inner, LEAKY, vb.pp(n + 1))?,
            ));
            n += 3;
        }
        for &(outer, inner, _, how) in layers.iter().rev() {
            up.push((
                conv_transpose2d_no_bias(inner, outer, K, how, vb.pp(n))?,
                batch_norm(outer, Act::Relu, vb.pp(n + 1))?,
            ));
            n += 3;
        }
        Ok(Self {
            first,
            down,
            up,
            last: conv_transpose2d_no_bias(width, channels, K, double, vb.pp(n))?,
            sizes: *sizes,
        })
    }

    /// The sizes of a saved network, from its keys and shapes alone.
    ///
    /// # Errors
    /// Keys or shapes of something else, naming the first that does not fit.
    pub fn recognise(weights: &Weights) -> Result<GeneratorSizes> {
        let kernel = |n: usize| {
            let key = format!("main.{n}.weight");
            match weights.dims(&key) {
                Some(&[a, b, K, K]) => Ok((a, b)),
                Some(dims) => {
                    bail!("{key} is {dims:?}, expected two numbers of channels, {K}, {K}")
                }
                None => bail!(
                    "{key} is missing, the file begins with {}",
                    weights.first_keys()
                ),
            }
        };
        let (width, channels) = kernel(0)?;
        let (mut widest, mut size, mut n) = (width, 2 * K, 2);
        // A convolution's kernel begins with what it makes, a transposed one's with what it is given.
        while kernel(n)? == (2 * widest, widest) && size < 1024 {
            (widest, size, n) = (2 * widest, 2 * size, n + 3);
        }
        let sizes = GeneratorSizes {
            strided: StridedSizes {
                size,
                channels,
                width,
            },
            bottleneck: match kernel(n)? {
                (bottleneck, given) if given == widest => bottleneck,
                _ => 0,
            },
        };
        sizes.check()?;
        Ok(sizes)
    }

    /// A saved network.
    ///
    /// # Errors
    /// Those of [`Generator::recognise`]; keys that are missing, left over or of another shape.
    pub fn open(weights: &Weights, device: &Device) -> Result<Self> {
        let sizes = Self::recognise(weights).map_err(|e| weights.named(e))?;
        Ok(Net::open(weights, device, "g", |vb| Self::new(&sizes, vb))?.frozen)
    }

    /// How large it is.
    pub fn sizes(&self) -> &GeneratorSizes {
        &self.sizes
    }

    /// Pictures for pictures, whose sides are multiples of a quarter of its size; with a bottleneck at least its
    /// size.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut h = self.first.forward(x)?; // [b, width, h/2, w/2]
        for (conv, norm) in &self.down {
            h = norm.forward(&conv.forward(&h)?, mode)?; // …, [b, widest, 4, 4], [b, bottleneck, 1, 1]
        }
        for (conv, norm) in &self.up {
            h = norm.forward(&conv.forward(&h)?, mode)?; // [b, widest, 4, 4], …, [b, width, h/2, w/2]
        }
        sigmoid(&self.last.forward(&h)?)
    }

    /// The pictures that it takes. It sees as far as all its layers together.
    fn port(&self) -> Port {
        let StridedSizes { size, channels, .. } = self.sizes.strided;
        let port = Port::new(channels, size / K);
        match self.sizes.bottleneck {
            0 => port,
            _ => port.least(size),
        }
    }
}

impl Sampler for Generator {
    fn takes(&self) -> Takes {
        Takes::pictures(self.port())
    }

    /// The columns are `real`, the picture given, and `fake`; both in [−1, 1], as all pictures outside of the
    /// networks.
    fn sample(&self, input: &Probe, _: &mut dyn Draws) -> Result<Columns> {
        let x = input.one()?;
        self.port().check(x)?;
        let unit = self.forward(&x.affine(0.5, 0.5)?, Mode::Eval)?.detach();
        Ok(Columns::new("real", x.clone()).with("fake", unit.affine(2., -1.)?))
    }
}
