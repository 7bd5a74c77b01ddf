//! The features of VGG19 (Simonyan, Zisserman 2014, configuration E), which losses look through.
//!
//! Key names are those of torchvision's `features.N`: convolutions and activations are counted apart, and poolings
//! too. Its weights are never trained here; they come from a file.

use super::{Act, Conv2d, conv2d, max_pool2d, strided_conv};
use crate::draws::Draws;
use crate::params::Net;
use crate::rng::CounterRng;
use crate::weights::Weights;
use candle_core::{DType, Device, Result, Tensor, bail};
use candle_nn::VarBuilder;
use std::collections::BTreeMap;
use std::path::Path;

/// Kernel of every layer.
const K: usize = 3;
/// Convolutions before each pooling (table 1, E).
const CONVOLUTIONS: [usize; 5] = [2, 2, 4, 4, 4];
/// Channels of each block (table 1, E); files of other widths are opened as well.
const WIDTHS: [usize; CONVOLUTIONS.len()] = [64, 128, 256, 512, 512];
/// Mean and deviation of ImageNet's pictures, in [0, 1]: what torchvision's weights were trained with.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// Which features φ_{i,j} are looked at: those of the j-th convolution before the i-th pooling (Ledig et al. 2016,
/// section 2.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Features {
    /// φ_{2,2}, after the activation.
    Vgg22,
    /// φ_{5,4}, after the activation.
    Vgg54,
    /// φ_{5,4}, before the activation (Wang et al. 2018, section 3.3).
    Vgg54Before,
}

impl Features {
    /// Convolutions up to it.
    fn convolutions(self) -> usize {
        match self {
            Features::Vgg22 => 4,
            Features::Vgg54 | Features::Vgg54Before => 16,
        }
    }

    /// The smallest height and width of pictures that have such features: one halving a pooling.
    pub fn least(self) -> usize {
        1 << numbered(self).filter(|(.., pooled)| *pooled).count()
    }

    /// Refuses crops of `size` without such features; 0: pictures whole, of which the network itself judges.
    ///
    /// # Errors
    /// Names the size and the smallest one.
    pub fn check(self, size: usize) -> Result<()> {
        match size == 0 || size >= self.least() {
            true => Ok(()),
            false => bail!(
                "size is {size}, but content looks at features of VGG19, which crops from {} on have",
                self.least()
            ),
        }
    }

    /// The weights of a file that these features depend on.
    pub fn part(self, weights: &Weights) -> Weights {
        weights.only(|key| {
            let mut layers = numbered(self);
            layers.any(|(number, ..)| key.starts_with(&format!("features.{number}.")))
        })
    }
}

/// One layer of it.
#[derive(Clone, Debug)]
enum Layer {
    Conv(Conv2d),
    Pool,
}

/// VGG19 up to the features that are looked at.
#[derive(Clone, Debug)]
pub struct Vgg19 {
    layers: Vec<Layer>,
    least: usize,
    mean: Tensor,
    deviation: Tensor,
}

/// The layers up to those features: the number of each convolution, its block, and whether a pooling comes before it.
fn numbered(features: Features) -> impl Iterator<Item = (usize, usize, bool)> {
    let blocks = CONVOLUTIONS.into_iter().enumerate();
    let places = blocks.flat_map(|(block, n)| (0..n).map(move |i| (block, i == 0 && block > 0)));
    let mut next = 0;
    let all = places.map(move |(block, pooled)| {
        let number = next + usize::from(pooled);
        next = number + 2; // its activation comes after it
        (number, block, pooled)
    });
    all.take(features.convolutions())
}

impl Vgg19 {
    /// The network of a file with torchvision's keys, of any widths; what lies behind the features that are looked at
    /// may be missing.
    ///
    /// # Errors
    /// Layers that are missing, or of another network, by name and with the file's.
    pub fn open(weights: &Weights, features: Features, device: &Device) -> Result<Self> {
        // A layer that is missing is named below; whatever its width, the others are compared.
        let mut widths = WIDTHS;
        for (number, block, _) in numbered(features) {
            let dims = weights.dims(&format!("features.{number}.weight"));
            if let (Some(&[width, ..]), Some(known)) = (dims, widths.get_mut(block)) {
                *known = width;
            }
        }
        let part = features.part(weights);
        let build = |vb| Self::new(features, widths, vb);
        Ok(Net::open(&part, device, "vgg", build)?.frozen)
    }

    /// Weights of the paper's widths over `narrower` that nobody trained, for timing: each layer about keeps its input's
    /// size.
    ///
    /// # Errors
    /// A device without memory for them.
    pub fn untrained(narrower: usize, device: &Device) -> Result<Weights> {
        let (mut tensors, mut inputs) = (BTreeMap::new(), MEAN.len());
        let mut rng = CounterRng::new(1, device);
        for (number, block, _) in numbered(Features::Vgg54) {
            let width = WIDTHS.get(block).copied().unwrap_or_default() / narrower.max(1);
            let key = format!("features.{number}");
            let scale = (2. / (inputs * K * K) as f64).sqrt();
            let kernel = (rng.normal(&key, &[width, inputs, K, K])? * scale)?;
            tensors.insert(format!("{key}.weight"), kernel);
            tensors.insert(
                format!("{key}.bias"),
                Tensor::zeros(width, DType::F32, device)?,
            );
            inputs = width;
        }
        Ok(Weights::from_tensors(Path::new("untrained VGG19"), tensors))
    }

    fn new(
        features: Features,
        widths: [usize; CONVOLUTIONS.len()],
        vb: VarBuilder<'_>,
    ) -> Result<Self> {
        let last = features.convolutions();
        let mut inputs = MEAN.len();
        let mut layers = Vec::new();
        for (i, (number, block, pooled)) in numbered(features).enumerate() {
            let width = widths.get(block).copied().unwrap_or_default();
            let act = match i + 1 == last && features == Features::Vgg54Before {
                true => Act::None,
                false => Act::Relu,
            };
            if pooled {
                layers.push(Layer::Pool);
            }
            let vb = vb.pp("features").pp(number);
            let conv = conv2d(inputs, width, K, strided_conv(1, K / 2, act), vb)?;
            layers.push(Layer::Conv(conv));
            inputs = width;
        }
        let each = |values: [f32; 3]| Tensor::new(&values, vb.device())?.reshape((1, 3, 1, 1));
        Ok(Self {
            layers,
            least: features.least(),
            mean: each(MEAN)?,
            deviation: each(DEVIATION)?,
        })
    }

    /// Pictures `[b, c, h, w]` in [0, 1], c = 3, or 1 for grey ones, which are seen as coloured ones; to features
    /// `[b, width, h / 2^p, w / 2^p]` with the p poolings before them.
    ///
    /// # Errors
    /// Pictures too small for the poolings.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (least, (_, c, h, w)) = (self.least, x.dims4()?);
        if h.min(w) < least {
            bail!("VGG19 is shown pictures of {h}x{w}, its poolings need {least}x{least}")
        }
        let x = match c {
            1 => Tensor::cat(&[x, x, x], 1)?,
            _ => x.clone(),
        };
        let x = x
            .broadcast_sub(&self.mean)?
            .broadcast_div(&self.deviation)?;
        self.layers.iter().try_fold(x, |x, layer| match layer {
            Layer::Conv(conv) => conv.forward(&x),
            Layer::Pool => max_pool2d(&x, (2, 2), (2, 2)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// torchvision's numbers of the 16 convolutions.
    #[test]
    fn layers_have_torchvisions_numbers() {
        let numbers: Vec<usize> = numbered(Features::Vgg54).map(|(n, ..)| n).collect();
        let known = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34];
        assert_eq!(numbers, known);
        assert_eq!(numbered(Features::Vgg22).last(), Some((7, 1, false)));
    }

    fn weights(leave_out: usize) -> Result<Weights> {
        let widths = [2, 3, 2, 2, 3];
        let (mut tensors, mut inputs) = (BTreeMap::new(), 3);
        for (number, block, _) in numbered(Features::Vgg54) {
            let width: usize = widths[block];
            let n = width * inputs * K * K;
            let values: Vec<f32> = (0..n)
                .map(|i| ((i * 7 + number) % 13) as f32 / 26. - 0.2)
                .collect();
            let kernel = Tensor::from_vec(values, (width, inputs, K, K), &Device::Cpu)?;
            let bias = Tensor::full(0.1f32, width, &Device::Cpu)?;
            if number != leave_out {
                tensors.insert(format!("features.{number}.weight"), kernel);
                tensors.insert(format!("features.{number}.bias"), bias);
            }
            inputs = width;
        }
        let dense = Tensor::zeros((2, 2), DType::F32, &Device::Cpu)?;
        tensors.insert("classifier.0.weight".into(), dense);
        Ok(Weights::from_tensors(Path::new("vgg.pth"), tensors))
    }

    #[test]
    fn features_are_halved_by_each_pooling_and_only_the_last_may_be_negative() -> Result<()> {
        let weights = weights(99)?;
        let x = Tensor::ones((2, 3, 40, 33), DType::F32, &Device::Cpu)?;
        let of = |features, x: &Tensor| Vgg19::open(&weights, features, &Device::Cpu)?.forward(x);
        assert_eq!(of(Features::Vgg22, &x)?.dims(), [2, 3, 20, 16]);
        let (before, after) = (of(Features::Vgg54Before, &x)?, of(Features::Vgg54, &x)?);
        assert_eq!(before.dims(), [2, 3, 2, 2]);
        let values = |t: &Tensor| t.flatten_all()?.to_vec1::<f32>();
        let rectified: Vec<f32> = values(&before)?.iter().map(|x| x.max(0.)).collect();
        assert_eq!(rectified, values(&after)?);
        // A grey picture is seen as a coloured one; one that is too small is refused.
        let grey = x.narrow(1, 0, 1)?;
        assert_eq!(values(&of(Features::Vgg54, &grey)?)?, values(&after)?);
        let small = x.narrow(2, 0, 15)?;
        let error = of(Features::Vgg54, &small)
            .expect_err("too small")
            .to_string();
        assert!(
            error.contains("15x33") && error.contains("16x16"),
            "{error}"
        );
        Ok(())
    }

    #[test]
    fn a_file_without_a_layer_is_refused_where_the_layer_is_needed() -> Result<()> {
        let weights = weights(28)?;
        Vgg19::open(&weights, Features::Vgg22, &Device::Cpu)?;
        let error =
            Vgg19::open(&weights, Features::Vgg54, &Device::Cpu).expect_err("a layer is missing");
        let said = error.to_string();
        assert!(
            said.contains("vgg.pth") && said.contains("features.28"),
            "{said}"
        );
        Ok(())
    }
}
