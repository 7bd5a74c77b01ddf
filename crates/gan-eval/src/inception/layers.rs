//! The layers of Inception v3, by the keys that torchvision has for them.

use candle_core::{D, Result, Tensor, bail};
use candle_nn::VarBuilder;
use gan_core::nn::{Act, avg_pool2d, max_pool2d, strided_conv};
use gan_kernels::conv;

/// Numbers that stand for a picture.
pub(super) const WIDTH: usize = 2048;
/// ε of the batch norms.
const EPS: f64 = 1e-3;

/// How a convolution runs.
#[derive(Clone, Copy)]
struct Kernel {
    size: (usize, usize),
    stride: usize,
    /// Whether zeros around the input keep its size.
    padded: bool,
}

/// One that keeps the input's height and width.
const fn same(height: usize, width: usize) -> Kernel {
    Kernel {
        size: (height, width),
        stride: 1,
        padded: true,
    }
}

/// One of 3x3 without zeros around the input.
const fn inside(stride: usize) -> Kernel {
    Kernel {
        size: (3, 3),
        stride,
        padded: false,
    }
}

const ONE: Kernel = same(1, 1);
const THREE: Kernel = same(3, 3);
const HALVING: Kernel = inside(2);

/// A convolution: its key, its outputs, its kernel.
type Spec = (&'static str, usize, Kernel);

/// A convolution, its batch norm with the statistics of training, which is a factor and an offset of each of its
/// outputs and part of its weights here, and ReLU.
#[derive(Clone, Debug)]
struct Unit {
    weight: Tensor,
    bias: Tensor,
    stride: usize,
    padding: (usize, usize),
}

impl Unit {
    /// Keys `conv.weight` `[outputs, inputs, h, w]`, and `weight`, `bias`, `running_mean`, `running_var` of `bn`.
    fn new(inputs: usize, spec: &Spec, vb: &VarBuilder<'_>) -> Result<Self> {
        let &(key, outputs, kernel) = spec;
        let (vb, (h, w)) = (vb.pp(key), kernel.size);
        let weight = vb.get((outputs, inputs, h, w), "conv.weight")?;
        let of = |key| vb.get(outputs, &format!("bn.{key}"));
        let (gain, offset) = (of("weight")?, of("bias")?);
        let (mean, variance) = (of("running_mean")?, of("running_var")?);
        let factor = (gain / (variance + EPS)?.sqrt()?)?;
        let weight = weight.broadcast_mul(&factor.reshape((outputs, 1, 1, 1))?)?;
        let bias = (offset - (mean * factor)?)?;
        // A network's running statistics are variables, of which no graph is to be kept.
        let (weight, bias) = (weight.detach(), bias.detach());
        for values in [&weight, &bias] {
            if !values.sum_all()?.to_scalar::<f32>()?.is_finite() {
                bail!("{} has numbers that are not finite", vb.prefix())
            }
        }
        Ok(Self {
            weight,
            bias,
            stride: kernel.stride,
            padding: match kernel.padded {
                true => (h / 2, w / 2),
                false => (0, 0),
            },
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (h, w) = self.padding;
        // The kernels take one padding for both directions.
        let (x, padding) = match h == w {
            true => (x.clone(), h),
            false => (surrounded(x, h, w)?, 0),
        };
        let how = strided_conv(self.stride, padding, Act::Relu);
        conv::conv2d(&x, &self.weight, Some(&self.bias), &how)
    }
}

/// Zeros around x `[b, c, h, w]`.
fn surrounded(x: &Tensor, rows: usize, columns: usize) -> Result<Tensor> {
    let x = x.pad_with_zeros(2, rows, rows)?;
    x.pad_with_zeros(3, columns, columns)?.contiguous()
}

/// A pool with windows of 3x3.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pool {
    /// The mean, at stride 1; what lies `outside` of the picture may count as zeros.
    Mean { outside: bool },
    /// The largest; at stride 1 the picture keeps its size.
    Max { stride: usize },
}

impl Pool {
    fn forward(self, x: &Tensor) -> Result<Tensor> {
        let mean = |x: &Tensor| avg_pool2d(&surrounded(x, 1, 1)?, (3, 3), (1, 1));
        match self {
            Pool::Mean { outside: true } => mean(x),
            Pool::Mean { outside: false } => {
                let (_, _, h, w) = x.dims4()?;
                let ones = Tensor::ones((1, 1, h, w), x.dtype(), x.device())?;
                mean(x)?.broadcast_div(&mean(&ones)?)
            }
            // After ReLU no zero around the picture is larger than all that it stands beside.
            Pool::Max { stride: 1 } => max_pool2d(&surrounded(x, 1, 1)?, (3, 3), (1, 1)),
            Pool::Max { stride } => max_pool2d(x, (3, 3), (stride, stride)),
        }
    }
}

/// A pool, convolutions one after the other, and of their result several side by side.
#[derive(Clone, Debug, Default)]
struct Branch {
    pool: Option<Pool>,
    chain: Vec<Unit>,
    ends: Vec<Unit>,
}

impl Branch {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = match self.pool {
            Some(pool) => pool.forward(x)?,
            None => x.clone(),
        };
        let mut chain = self.chain.iter();
        let x = chain.try_fold(x, |x, unit| unit.forward(&x))?;
        let ends = self.ends.iter().map(|unit| unit.forward(&x));
        match &ends.collect::<Result<Vec<_>>>()?[..] {
            [] => Ok(x),
            ends => Tensor::cat(ends, 1),
        }
    }
}

/// Makes the branches of a block.
struct Maker<'a> {
    inputs: usize,
    vb: VarBuilder<'a>,
}

impl Maker<'_> {
    fn branch(&self, pool: Option<Pool>, specs: &[Spec]) -> Result<Branch> {
        let (mut inputs, mut chain) = (self.inputs, Vec::new());
        for spec in specs {
            chain.push(Unit::new(inputs, spec, &self.vb)?);
            inputs = spec.1;
        }
        Ok(Branch {
            pool,
            chain,
            ends: Vec::new(),
        })
    }

    /// A branch that ends in two convolutions of 384 channels, side by side (figure 7 of the paper).
    fn split(&self, specs: &[Spec], ends: [&'static str; 2]) -> Result<Branch> {
        let end = |key, kernel| Unit::new(384, &(key, 384, kernel), &self.vb);
        let [row, column] = ends;
        Ok(Branch {
            ends: vec![end(row, same(1, 3))?, end(column, same(3, 1))?],
            ..self.branch(None, specs)?
        })
    }
}

/// The kinds of blocks, by torchvision's letters.
#[derive(Clone, Copy)]
enum Mixed {
    /// Figure 5 of the paper; channels of the pool's branch.
    A(usize),
    /// Halves height and width.
    B,
    /// Figure 6; channels inside.
    C(usize),
    /// Halves height and width.
    D,
    /// Figure 7.
    E,
}

/// Blocks, their inputs and their kind.
const BLOCKS: [(&str, usize, Mixed); 11] = [
    ("Mixed_5b", 192, Mixed::A(32)),
    ("Mixed_5c", 256, Mixed::A(64)),
    ("Mixed_5d", 288, Mixed::A(64)),
    ("Mixed_6a", 288, Mixed::B),
    ("Mixed_6b", 768, Mixed::C(128)),
    ("Mixed_6c", 768, Mixed::C(160)),
    ("Mixed_6d", 768, Mixed::C(160)),
    ("Mixed_6e", 768, Mixed::C(192)),
    ("Mixed_7a", 768, Mixed::D),
    ("Mixed_7b", 1280, Mixed::E),
    ("Mixed_7c", WIDTH, Mixed::E),
];

impl Mixed {
    /// The branches; `pool` is the one at stride 1.
    fn branches(self, make: &Maker<'_>, pool: Pool) -> Result<Vec<Branch>> {
        let (row, column) = (same(1, 7), same(7, 1));
        let branch = |specs: &[Spec]| make.branch(None, specs);
        let pooled = |outputs| make.branch(Some(pool), &[("branch_pool", outputs, ONE)]);
        let halved = || make.branch(Some(Pool::Max { stride: 2 }), &[]);
        Ok(match self {
            Mixed::A(outputs) => vec![
                branch(&[("branch1x1", 64, ONE)])?,
                branch(&[("branch5x5_1", 48, ONE), ("branch5x5_2", 64, same(5, 5))])?,
                branch(&[
                    ("branch3x3dbl_1", 64, ONE),
                    ("branch3x3dbl_2", 96, THREE),
                    ("branch3x3dbl_3", 96, THREE),
                ])?,
                pooled(outputs)?,
            ],
            Mixed::B => vec![
                branch(&[("branch3x3", 384, HALVING)])?,
                branch(&[
                    ("branch3x3dbl_1", 64, ONE),
                    ("branch3x3dbl_2", 96, THREE),
                    ("branch3x3dbl_3", 96, HALVING),
                ])?,
                halved()?,
            ],
            Mixed::C(inner) => vec![
                branch(&[("branch1x1", 192, ONE)])?,
                branch(&[
                    ("branch7x7_1", inner, ONE),
                    ("branch7x7_2", inner, row),
                    ("branch7x7_3", 192, column),
                ])?,
                branch(&[
                    ("branch7x7dbl_1", inner, ONE),
                    ("branch7x7dbl_2", inner, column),
                    ("branch7x7dbl_3", inner, row),
                    ("branch7x7dbl_4", inner, column),
                    ("branch7x7dbl_5", 192, row),
                ])?,
                pooled(192)?,
            ],
            Mixed::D => vec![
                branch(&[("branch3x3_1", 192, ONE), ("branch3x3_2", 320, HALVING)])?,
                branch(&[
                    ("branch7x7x3_1", 192, ONE),
                    ("branch7x7x3_2", 192, row),
                    ("branch7x7x3_3", 192, column),
                    ("branch7x7x3_4", 192, HALVING),
                ])?,
                halved()?,
            ],
            Mixed::E => vec![
                branch(&[("branch1x1", 320, ONE)])?,
                make.split(
                    &[("branch3x3_1", 384, ONE)],
                    ["branch3x3_2a", "branch3x3_2b"],
                )?,
                make.split(
                    &[("branch3x3dbl_1", 448, ONE), ("branch3x3dbl_2", 384, THREE)],
                    ["branch3x3dbl_3a", "branch3x3dbl_3b"],
                )?,
                pooled(192)?,
            ],
        })
    }
}

/// The layers up to the features.
#[derive(Clone, Debug)]
pub(super) struct Layers {
    /// Convolutions, and a pool after some.
    stem: Vec<Branch>,
    blocks: Vec<Vec<Branch>>,
}

impl Layers {
    /// torchvision's keys. The pools at stride 1 are that of all blocks but the last, and that of the last.
    pub(super) fn new([pool, last]: [Pool; 2], vb: VarBuilder<'_>) -> Result<Self> {
        let halved = Some(Pool::Max { stride: 2 });
        let stem = |inputs, pool, specs: &[Spec]| {
            let vb = vb.clone();
            Maker { inputs, vb }.branch(pool, specs)
        };
        let blocks = BLOCKS
            .into_iter()
            .enumerate()
            .map(|(i, (key, inputs, kind))| {
                let vb = vb.pp(key);
                let pool = if i + 1 == BLOCKS.len() { last } else { pool };
                kind.branches(&Maker { inputs, vb }, pool)
            });
        Ok(Self {
            stem: vec![
                stem(
                    3,
                    None,
                    &[
                        ("Conv2d_1a_3x3", 32, HALVING),
                        ("Conv2d_2a_3x3", 32, inside(1)),
                        ("Conv2d_2b_3x3", 64, THREE),
                    ],
                )?,
                stem(
                    64,
                    halved,
                    &[
                        ("Conv2d_3b_1x1", 80, ONE),
                        ("Conv2d_4a_3x3", 192, inside(1)),
                    ],
                )?,
                stem(192, halved, &[])?,
            ],
            blocks: blocks.collect::<Result<_>>()?,
        })
    }

    /// Pictures `[b, 3, 299, 299]` in [−1, 1] to features `[b, 2048]`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut stem = self.stem.iter();
        let x = stem.try_fold(x.clone(), |x, branch| branch.forward(&x))?;
        let mut blocks = self.blocks.iter();
        let x = blocks.try_fold(x, |x, branches| {
            let parts = branches.iter().map(|branch| branch.forward(&x));
            Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 1)
        })?;
        x.flatten_from(2)?.mean(D::Minus1)
    }
}
