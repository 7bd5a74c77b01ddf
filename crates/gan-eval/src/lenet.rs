//! A small convolutional network that reads digits, after LeNet-5 (LeCun et al. 1998, "Gradient-Based
//! Learning Applied to Document Recognition", section II), trained by this project on the embedded digits.
//!
//! | layer | output |
//! |---|---|
//! | conv 5x5, padding 2, ReLU, max pool 2 | 16 x 14 x 14 |
//! | conv 5x5, ReLU, max pool 2 | 32 x 5 x 5: the features that sets are compared by |
//! | linear, ReLU | 120 |
//! | linear, ReLU | 84 |
//! | linear | 10 |
//!
//! It differs from LeNet-5 in its width (16 and 32 maps instead of 6 and 16), its activation and its
//! pooling; it is called "LeNet" wherever a number depends on it.

use crate::classes;
use crate::features::Features;
use candle_core::{D, DType, Device, Result, Tensor, bail};
use candle_nn::VarBuilder;
use gan_core::data::{Data, Pictures};
use gan_core::nn::{Act, Conv2d, Linear, conv2d, linear, max_pool2d, relu};
use gan_core::rng::{self, Key};
use gan_core::{
    Context, LiveSource, Net, Optimizer, Rule, Source, View, Weights, init, labels,
    pictures as asked,
};
use gan_kernels::conv;
use std::path::Path;
use std::sync::Arc;

/// Side of the pictures it reads.
const SIDE: usize = 28;
/// Digits.
const CLASSES: usize = 10;
/// Numbers before the last layer.
const LAST: usize = 84;
/// Numbers after the second pooling.
const MAPS: usize = 32 * 5 * 5;
/// Pictures read at once.
const BATCH: usize = 250;
/// The weights in `assets/`, made by `cargo xtask classifier`.
static EMBEDDED: &[u8] = include_bytes!("../lenet-mnist.safetensors");

/// The network.
#[derive(Clone, Debug)]
pub struct LeNet {
    conv1: Conv2d,
    conv2: Conv2d,
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
}

impl LeNet {
    /// Keys `conv1`, `conv2`, `fc1`, `fc2`, `fc3`, each with `weight` and `bias`.
    pub fn new(vb: VarBuilder<'_>) -> Result<Self> {
        let how = |padding| conv::Conv2d {
            padding,
            act: Act::Relu,
            ..conv::Conv2d::default()
        };
        Ok(Self {
            conv1: conv2d(1, 16, 5, how(2), vb.pp("conv1"))?,
            conv2: conv2d(16, 32, 5, how(0), vb.pp("conv2"))?,
            fc1: linear(800, 120, vb.pp("fc1"))?,
            fc2: linear(120, LAST, vb.pp("fc2"))?,
            fc3: linear(LAST, CLASSES, vb.pp("fc3"))?,
        })
    }

    /// Pictures `[b, 1, 28, 28]` in [−1, 1] to what is left after the second pooling, `[b, 800]`.
    fn maps(&self, x: &Tensor) -> Result<Tensor> {
        let pool = |x: &Tensor| max_pool2d(x, (2, 2), (2, 2));
        let h = pool(&self.conv1.forward(x)?)?; // [b, 16, 14, 14]
        pool(&self.conv2.forward(&h)?)?.flatten_from(1) // [b, 32, 5, 5]
    }

    /// Pictures `[b, 1, 28, 28]` in [−1, 1] to the features `[b, 84]`.
    pub fn features(&self, x: &Tensor) -> Result<Tensor> {
        let h = relu(&self.fc1.forward(&self.maps(x)?)?)?; // [b, 120]
        relu(&self.fc2.forward(&h)?) // [b, 84]
    }

    /// Pictures `[b, 1, 28, 28]` in [−1, 1] to scores `[b, 10]`; the largest is the digit's.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.fc3.forward(&self.features(x)?)
    }
}

/// Reads digits.
#[derive(Debug)]
pub struct Classifier {
    net: Net<LeNet>,
    device: Device,
}

impl Classifier {
    /// With the weights that come with the project.
    ///
    /// # Errors
    /// A build whose `lenet-mnist.safetensors` is damaged.
    pub fn embedded(device: &Device) -> Result<Self> {
        let tensors = candle_core::safetensors::load_buffer(EMBEDDED, &Device::Cpu)?;
        let path = Path::new("crates/gan-eval/lenet-mnist.safetensors");
        let weights = Weights::from_tensors(path, tensors.into_iter().collect());
        Self::open(&weights, device)
    }

    /// With weights of the same layout.
    ///
    /// # Errors
    /// Keys or shapes that do not fit, by name, and the file.
    pub fn open(weights: &Weights, device: &Device) -> Result<Self> {
        let net = Net::open(weights, device, "lenet", LeNet::new);
        let misfit = |e: candle_core::Error| {
            let problem = e.to_string();
            let problem = problem.lines().next().unwrap_or_default();
            candle_core::Error::Msg(format!(
                "{problem}; train them with `cargo xtask classifier`"
            ))
        };
        Ok(Self {
            net: net.map_err(misfit)?,
            device: device.clone(),
        })
    }

    /// Its parameters, to be written to a file.
    pub fn params(&self) -> &gan_core::Params {
        &self.net.params
    }

    /// The digit that each of the pictures `[n, 1, 28, 28]` or `[n, 1, 32, 32]` in [−1, 1] looks like most.
    ///
    /// # Errors
    /// Other sizes and channels; values that are not finite.
    pub fn classify(&self, pictures: &Tensor) -> Result<Vec<u32>> {
        let scores = self.read(pictures, LeNet::forward)?;
        scores.argmax(D::Minus1)?.to_vec1()
    }

    /// The features `[n, 84]` of pictures as [`Classifier::classify`] takes them.
    ///
    /// # Errors
    /// As there.
    pub fn features(&self, pictures: &Tensor) -> Result<Tensor> {
        self.read(pictures, LeNet::features)
    }

    /// The share of pictures that look like what they should be.
    ///
    /// # Errors
    /// As [`Classifier::classify`], and another number of labels than pictures.
    pub fn accuracy(&self, pictures: &Tensor, labels: &[u32]) -> Result<f64> {
        classes::accuracy(&self.classify(pictures)?, labels)
    }

    fn read(
        &self,
        pictures: &Tensor,
        layer: impl Fn(&LeNet, &Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        crate::values(pictures)?;
        let x = cropped(pictures)?;
        let n = x.dim(0)?;
        let parts = (0..n).step_by(BATCH).map(|i| {
            let part = x.narrow(0, i, BATCH.min(n - i))?.contiguous()?;
            layer(&self.net.frozen, &part)
        });
        Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 0)?.to_device(&Device::Cpu)
    }
}

/// The features by which sets of digits are compared: those after the second pooling, of each picture brought to a mean
/// square of 1. Those of the last layer tell digits apart and nothing else: noise lies among them.
impl Features for Classifier {
    fn name(&self) -> &str {
        "lenet"
    }

    fn width(&self) -> usize {
        MAPS
    }

    fn protocol(&self) -> String {
        format!(
            "the {MAPS} features after the second pooling of the LeNet of crates/gan-eval/lenet-mnist.safetensors, \
             which was trained on digits, of each picture brought to a mean square of 1"
        )
    }

    fn of(&self, pictures: &Tensor) -> Result<Tensor> {
        let maps = self.read(&pictures.to_device(&self.device)?, LeNet::maps)?;
        // A picture of which nothing is seen has features of 0.
        let size = (maps.sqr()?.mean_keepdim(1)? + 1e-12)?.sqrt()?;
        maps.broadcast_div(&size)
    }
}

/// Whether the classifier reads pictures of these channels and sizes.
pub fn reads(channels: usize, height: usize, width: usize) -> bool {
    channels == 1 && height == width && [SIDE, SIDE + 4].contains(&height)
}

/// Digits of 28x28 are there as they are, those of 32x32 with the border of two pixels that brings MNIST
/// to a power of two.
fn cropped(pictures: &Tensor) -> Result<Tensor> {
    let (_, c, h, w) = pictures.dims4()?;
    if !reads(c, h, w) {
        bail!(
            "the digit classifier reads grey pictures of 28x28, or 32x32 with a border of 2, not {:?}",
            pictures.dims()
        )
    }
    let pictures = pictures.detach().to_dtype(DType::F32)?;
    let border = (h - SIDE) / 2;
    pictures.narrow(2, border, SIDE)?.narrow(3, border, SIDE)
}

/// How [`train`] trains.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Training {
    /// Seed of weights, order and shifts.
    pub seed: u64,
    /// Passes over the pictures.
    pub epochs: u64,
    /// Pictures a batch.
    pub batch: usize,
    /// Adam's first learning rate; it falls to 0 along half a cosine.
    pub lr: f64,
    /// Each picture is moved by up to so many pixels in both directions.
    pub shift: usize,
}

impl Default for Training {
    fn default() -> Self {
        Self {
            seed: 1,
            epochs: 15,
            batch: 64,
            lr: 2e-3,
            shift: 2,
        }
    }
}

/// Trains a classifier on digits; `progress` is told the epoch, from 1, and its mean loss.
///
/// # Errors
/// Pictures that are no labelled 28x28 grey digits; settings of 0; a loss that is not finite.
pub fn train(
    digits: Arc<dyn Pictures>,
    how: &Training,
    device: &Device,
    progress: &mut dyn FnMut(u64, f32),
) -> Result<Classifier> {
    let info = digits.info().clone();
    let is_digits = info.channels == 1 && info.height == SIDE && info.width == SIDE;
    if !is_digits || info.classes.is_none_or(|classes| classes > CLASSES) {
        bail!("the classifier learns from grey 28x28 pictures with up to 10 classes, not {info:?}")
    }
    if how.epochs == 0 || how.batch == 0 {
        bail!("the classifier wants at least one epoch and one picture a batch")
    }
    let steps = (info.len / how.batch).max(1) as u64;
    let cx = Context::new(device, how.seed, info, steps * how.epochs);
    let net = Net::new(&cx, "lenet", init::as_layers, LeNet::new)?;
    let mut adam = Optimizer::new(Rule::adam(0.9, 0.999), how.lr, &[&net.params])?;
    let mut source = LiveSource::new(&Data::one(digits), how.seed, device);
    for epoch in 0..how.epochs {
        let mut sum = 0.;
        for step in 0..steps {
            let t = epoch * steps + step;
            let done = t as f64 / (how.epochs * steps) as f64;
            adam.lr = how.lr * (1. + (std::f64::consts::PI * done).cos()) / 2.;
            source.begin(t);
            let asks = [asked("x"), labels("y")];
            let [x, y] = &source.batch(how.batch, &View::whole(), &asks)?[..] else {
                bail!("the data gave no pictures with labels")
            };
            let x = shifted(x, how, t)?;
            let loss = candle_nn::loss::cross_entropy(&net.live.forward(&x)?, y)?;
            adam.step(&loss)?;
            sum += loss.to_scalar::<f32>()?;
        }
        let mean = sum / steps as f32;
        if !mean.is_finite() {
            bail!(
                "the loss is not finite after epoch {}; lower the learning rate",
                epoch + 1
            )
        }
        progress(epoch + 1, mean);
    }
    Ok(Classifier {
        net,
        device: device.clone(),
    })
}

/// Moves each picture by its own number of rows and columns; what comes in is black.
fn shifted(x: &Tensor, how: &Training, t: u64) -> Result<Tensor> {
    let (b, _, h, w) = x.dims4()?;
    let key = Key::new(how.seed, "shift", t, 0);
    let shifts = rng::choices(key, 2 * b, 2 * how.shift + 1);
    let values = x.flatten_all()?.to_vec1::<f32>()?;
    let mut moved = vec![-1f32; values.len()];
    let pictures = moved
        .chunks_exact_mut(h * w)
        .zip(values.chunks_exact(h * w));
    for ((to, from), by) in pictures.zip(shifts.chunks_exact(2)) {
        let [down, right] = by else { continue };
        for y in 0..h {
            let source = (y + down)
                .checked_sub(how.shift)
                .filter(|&source| source < h);
            let Some(source) = source else { continue };
            let from = from.iter().skip(source * w).take(w);
            let to = to.iter_mut().skip(y * w).take(w);
            // One of the two skips is by 0.
            let to = to.skip(how.shift.saturating_sub(*right));
            let from = from.skip(right.saturating_sub(how.shift));
            to.zip(from).for_each(|(to, from)| *to = *from);
        }
    }
    Tensor::from_vec(moved, x.dims(), x.device())
}

#[cfg(test)]
mod tests {
    use super::*;
    use gan_core::data::{Held, Split, idx, padded};

    fn digits(split: Split) -> Arc<dyn Pictures> {
        let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/mnist");
        Arc::new(idx::folder(&assets, split).expect("the embedded digits"))
    }

    /// All pictures of a set in [−1, 1], and their labels.
    fn all(set: &dyn Pictures) -> (Tensor, Vec<u32>) {
        let info = set.info();
        let mut bytes = Vec::new();
        (0..info.len).for_each(|i| set.whole(i, &mut bytes).expect("a picture"));
        let values: Vec<f32> = bytes.iter().map(|&x| f32::from(x) / 127.5 - 1.).collect();
        let dims = (info.len, 1, info.height, info.width);
        let labels = (0..info.len).filter_map(|i| set.label(i)).collect();
        (
            Tensor::from_vec(values, dims, &Device::Cpu).expect("pictures"),
            labels,
        )
    }

    #[test]
    fn the_embedded_weights_read_held_out_digits() -> Result<()> {
        let classifier = Classifier::embedded(&Device::Cpu)?;
        assert_eq!(classifier.params().count(), 120_382);
        assert!(EMBEDDED.len() < 1_000_000);
        let set = digits(Split::Test);
        let (pictures, labels) = all(&*set);
        let accuracy = classifier.accuracy(&pictures, &labels)?;
        assert!(accuracy >= 0.985, "{accuracy}");
        // With the border that brings them to 32x32 they are the same pictures.
        let (wide, _) = all(&padded(&*set, 32)?);
        assert_eq!(classifier.classify(&wide)?, classifier.classify(&pictures)?);
        assert_eq!(classifier.features(&pictures)?.dims(), [1000, 84]);
        let error = classifier
            .classify(&wide.narrow(2, 0, 30)?)
            .expect_err("a size");
        assert!(error.to_string().contains("28x28"), "{error}");
        Ok(())
    }

    #[test]
    fn training_is_repeatable_and_learns() -> Result<()> {
        let few = || {
            let set = digits(Split::Train);
            let (n, mut bytes) = (1000, Vec::new());
            (0..n).for_each(|i| set.whole(i, &mut bytes).expect("a picture"));
            let labels = (0..n).filter_map(|i| set.label(i)).map(|label| label as u8);
            let info = set.info().clone().of(n);
            Arc::new(Held::new(info, bytes, Some(labels.collect())).expect("a set"))
        };
        let how = Training {
            epochs: 3,
            batch: 50,
            ..Training::default()
        };
        let mut losses = [Vec::new(), Vec::new()];
        let mut trained = |i: usize| {
            let mut progress = |_, loss| losses[i].push(loss);
            train(few(), &how, &Device::Cpu, &mut progress)
        };
        let (a, b) = (trained(0)?, trained(1)?);
        assert_eq!(losses[0], losses[1]);
        let (pictures, labels) = all(&*digits(Split::Test));
        assert_eq!(a.classify(&pictures)?, b.classify(&pictures)?);
        let accuracy = a.accuracy(&pictures, &labels)?;
        assert!(accuracy > 0.7, "{accuracy}");
        Ok(())
    }

    #[test]
    fn shifts_move_pictures_and_fill_with_black() -> Result<()> {
        let x = Tensor::from_vec(
            (0..28 * 28).map(|i| i as f32).collect(),
            (1, 1, 28, 28),
            &Device::Cpu,
        )?;
        let how = Training::default();
        for t in 0..20 {
            let moved = shifted(&x, &how, t)?.flatten_all()?.to_vec1::<f32>()?;
            let by = rng::choices(Key::new(how.seed, "shift", t, 0), 2, 5);
            let want = (14 + by[0] - 2) * 28 + 14 + by[1] - 2;
            assert_eq!(moved[14 * 28 + 14], want as f32);
            let black = moved.iter().filter(|&&v| v == -1.).count();
            let side = |by: usize| 28 - by.abs_diff(2);
            assert_eq!(black, 28 * 28 - side(by[0]) * side(by[1]));
        }
        Ok(())
    }
}
