//! The networks: perceptrons that take a class besides noise or a picture.

use candle_core::{DType, Device, Result, Tensor, bail};
use candle_nn::VarBuilder;
use gan_core::nn::{Linear, Mode, dropout, linear, maxout, relu, sigmoid};
use gan_core::{Columns, DataInfo, Draws, Law, Net, Probe, Sampler, Takes, Weights, check};

/// The paper's probability of dropping a unit (section 4.1).
pub(crate) const DROPOUT: f64 = 0.5;

/// Classes `[b]` (u32) as one-hot vectors `[b, classes]`: rows of the identity, so that the host need not wait for
/// the labels.
pub(crate) fn encode(labels: &Tensor, classes: usize) -> Result<Tensor> {
    Tensor::eye(classes, DType::F32, labels.device())?.index_select(labels, 0)
}

/// The largest of several affine maps for each unit (Goodfellow et al. 2013).
#[derive(Clone, Debug)]
pub struct Maxout {
    linear: Linear,
    pieces: usize,
}

impl Maxout {
    /// Keys `weight` and `bias`; row u·pieces + k is piece k of unit u.
    pub fn new(inputs: usize, units: usize, pieces: usize, vb: VarBuilder<'_>) -> Result<Self> {
        Ok(Self {
            linear: linear(inputs, units * pieces, vb)?,
            pieces,
        })
    }

    /// x `[b, inputs]` to `[b, units]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        maxout(&self.linear.forward(x)?, self.pieces)
    }
}

/// D(x|y), or D(x) without classes: pictures as vectors and classes to scores, without a sigmoid.
#[derive(Clone, Debug)]
pub struct Discriminator {
    x: Maxout,
    y: Option<Maxout>,
    joint: Maxout,
    out: Linear,
    p: f64,
}

/// The widths of a judge: units and pieces of each maxout layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JudgeWidths {
    /// After the picture.
    pub x: (usize, usize),
    /// After the class.
    pub y: (usize, usize),
    /// After both.
    pub joint: (usize, usize),
}

impl Discriminator {
    /// Keys `x`, `y`, `joint`, `out`, each with `weight` and `bias`; `y` only where there are classes. Units
    /// of hidden layers are dropped with probability `p`.
    pub fn new(
        pixels: usize,
        classes: Option<usize>,
        widths: JudgeWidths,
        p: f64,
        vb: VarBuilder<'_>,
    ) -> Result<Self> {
        let JudgeWidths { x, y, joint } = widths;
        let units = x.0 + classes.map_or(0, |_| y.0);
        let of_class = |classes| Maxout::new(classes, y.0, y.1, vb.pp("y"));
        Ok(Self {
            x: Maxout::new(pixels, x.0, x.1, vb.pp("x"))?,
            y: classes.map(of_class).transpose()?,
            joint: Maxout::new(units, joint.0, joint.1, vb.pp("joint"))?,
            out: linear(joint.0, 1, vb.pp("out"))?,
            p,
        })
    }

    /// x `[b, pixels]` in [0, 1] and y `[b, classes]` to `[b]`. A network with classes needs y, one
    /// without ignores it.
    pub fn forward(
        &self,
        x: &Tensor,
        y: Option<&Tensor>,
        mode: Mode,
        draws: &mut dyn Draws,
    ) -> Result<Tensor> {
        let mut h = dropout(&self.x.forward(x)?, self.p, mode, draws)?; // [b, x_units]
        if let Some(layer) = &self.y {
            let Some(y) = y else {
                bail!("this network judges picture and class, it was given a picture alone")
            };
            let y = dropout(&layer.forward(y)?, self.p, mode, draws)?; // [b, y_units]
            h = Tensor::cat(&[&h, &y], 1)?;
        }
        let h = dropout(&self.joint.forward(&h)?, self.p, mode, draws)?; // [b, joint_units]
        self.out.forward(&h)?.flatten_all()
    }
}

/// G(z|y): noise and classes to pictures as vectors `[b, pixels]` in [0, 1].
#[derive(Clone, Debug)]
pub struct Generator {
    z: Linear,
    y: Linear,
    joint: Linear,
    out: Linear,
    p: f64,
    z_dim: usize,
    classes: usize,
    picture: [usize; 3],
}

/// The widths of a generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeneratorWidths {
    /// Components of z.
    pub z_dim: usize,
    /// Units after z.
    pub z: usize,
    /// Units after y.
    pub y: usize,
    /// Units after both.
    pub joint: usize,
}

impl Generator {
    /// Keys `z`, `y`, `joint`, `out`, each with `weight` and `bias`; `picture` is `[c, h, w]`.
    pub fn new(
        widths: GeneratorWidths,
        classes: usize,
        p: f64,
        picture: [usize; 3],
        vb: VarBuilder<'_>,
    ) -> Result<Self> {
        let GeneratorWidths { z_dim, z, y, joint } = widths;
        Ok(Self {
            z: linear(z_dim, z, vb.pp("z"))?,
            y: linear(classes, y, vb.pp("y"))?,
            joint: linear(z + y, joint, vb.pp("joint"))?,
            out: linear(joint, picture.iter().product(), vb.pp("out"))?,
            p,
            z_dim,
            classes,
            picture,
        })
    }

    /// z `[b, z]` and y `[b, classes]` to `[b, pixels]`.
    pub fn forward(
        &self,
        z: &Tensor,
        y: &Tensor,
        mode: Mode,
        draws: &mut dyn Draws,
    ) -> Result<Tensor> {
        let z = dropout(&relu(&self.z.forward(z)?)?, self.p, mode, draws)?;
        let y = dropout(&relu(&self.y.forward(y)?)?, self.p, mode, draws)?;
        let h = relu(&self.joint.forward(&Tensor::cat(&[&z, &y], 1)?)?)?;
        let h = dropout(&h, self.p, mode, draws)?;
        sigmoid(&self.out.forward(&h)?)
    }

    /// A saved generator: widths, classes, and the picture, square and grey or RGB, from the shapes. Its
    /// dropout is the paper's.
    ///
    /// # Errors
    /// Other keys or shapes, naming the first that differs.
    pub fn open(weights: &Weights, device: &Device) -> Result<Self> {
        let (widths, classes, picture) = Self::sizes(weights).map_err(|e| weights.named(e))?;
        let build = |vb| Self::new(widths, classes, DROPOUT, picture, vb);
        Ok(Net::open(weights, device, "g", build)?.frozen)
    }

    /// Widths, classes and the picture of a saved generator.
    fn sizes(weights: &Weights) -> Result<(GeneratorWidths, usize, [usize; 3])> {
        let dims = |key: &str| match weights.dims(key) {
            Some(&[rows, columns]) => check::size(key, rows.max(columns)).map(|()| (rows, columns)),
            Some(dims) => bail!("{key} is {dims:?}, expected two dimensions"),
            None => bail!("{key} is missing"),
        };
        let ((z, z_dim), (y, classes)) = (dims("z.weight")?, dims("y.weight")?);
        // All classes are sampled where none is named, and labels are bytes.
        check::within("the number of classes", classes, 1..=256)?;
        let ((joint, _), (pixels, _)) = (dims("joint.weight")?, dims("out.weight")?);
        let square = DataInfo::square(pixels)?;
        let picture = [square.channels, square.height, square.width];
        Ok((GeneratorWidths { z_dim, z, y, joint }, classes, picture))
    }

    fn pictures(
        &self,
        z: &Tensor,
        y: &Tensor,
        mode: Mode,
        draws: &mut dyn Draws,
    ) -> Result<Tensor> {
        let [c, h, w] = self.picture;
        let unit = self.forward(z, y, mode, draws)?;
        unit.affine(2., -1.)?.reshape((z.dim(0)?, c, h, w))
    }
}

impl Sampler for Generator {
    fn takes(&self) -> Takes {
        Takes::noise(&[self.z_dim], Law::Uniform).classes(self.classes)
    }

    /// The columns are `undropped`, without dropout, and `fake`, with units dropped as in training: the
    /// noise z does little beside it, so without it all pictures of a class are all but one.
    fn sample(&self, input: &Probe, draws: &mut dyn Draws) -> Result<Columns> {
        let (z, y) = (input.z()?, encode(input.labels()?, self.classes)?);
        let undropped = self.pictures(z, &y, Mode::Eval, draws)?;
        let fake = self.pictures(z, &y, Mode::Batch, draws)?;
        Ok(Columns::new("undropped", undropped).with("fake", fake))
    }
}
