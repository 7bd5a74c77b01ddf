//! Convolution and transposed convolution in two dimensions, differentiable any number of times.
//!
//! Some 600 lines because the public functions, their checks of shapes, and the ops that are each
//! other's derivatives are read together.
//!
//! Three ops are closed under differentiation: `F` (convolution), `D` (its input gradient, which
//! is the transposed convolution) and `W` (its weight gradient):
//!
//! ```text
//! F(x, w):  dx = D(g, w), dw = W(x, g)
//! D(y, w):  dy = F(g, w), dw = W(g, y)
//! W(x, y):  dx = D(y, g), dy = F(x, g)
//! ```
//!
//! A gain multiplies the weights (equalised learning rate) inside the ops, and a bias is added
//! where the output is written. Float32 on the CPU runs on the kernels of this crate, float64 on
//! plain loops; other devices use candle's convolutions.

use crate::act::Act;
use crate::finish::{channel_sums, rectified_gradient};
use crate::mode::{for_grad, wants_grad, wants_param_grad};
use crate::real::{contiguous, expect_real};
use crate::shape::ConvShape;
use crate::tile::Finish;
use crate::{algorithm, plain, simd, tape};
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Tensor, bail};

/// How [`conv2d`] runs over its input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conv2d {
    /// Step between outputs, in both directions.
    pub stride: usize,
    /// Zeros around the input, on each side.
    pub padding: usize,
    /// Factor of the weights (not of the bias).
    pub gain: f64,
    /// What is applied to the output, in the same node.
    pub act: Act,
}

impl Default for Conv2d {
    /// Stride 1, no padding, gain 1, no activation.
    fn default() -> Self {
        Self {
            stride: 1,
            padding: 0,
            gain: 1.0,
            act: Act::None,
        }
    }
}

/// How [`conv_transpose2d`] spreads its input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConvTranspose2d {
    /// Step in the output for a step in the input, in both directions.
    pub stride: usize,
    /// Rows and columns cut off on each side of the output.
    pub padding: usize,
    /// Rows and columns added at the lower and right sides of the output; less than the stride.
    pub output_padding: usize,
    /// Factor of the weights (not of the bias).
    pub gain: f64,
    /// What is applied to the output, in the same node.
    pub act: Act,
}

impl Default for ConvTranspose2d {
    /// Stride 1, no padding, gain 1, no activation.
    fn default() -> Self {
        Self {
            stride: 1,
            padding: 0,
            output_padding: 0,
            gain: 1.0,
            act: Act::None,
        }
    }
}

/// `y = act(gain * (x ⋆ weight) + bias)`.
///
/// x `[b, ci, h, w]`, weight `[co, ci, kh, kw]`, bias `[co]`; y `[b, co, oh, ow]` with
/// `oh = (h + 2 padding - kh) / stride + 1`, rounded down (rows that the kernel does not reach
/// are left out, as in PyTorch's `conv2d`).
///
/// Errors: shapes that do not fit, an empty tensor, a padded input smaller than the kernel, a
/// type other than float32 and float64.
pub fn conv2d(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, conv: &Conv2d) -> Result<Tensor> {
    let s = conv.shape(x, weight)?;
    check_bias(bias, s.co, "conv2d", weight)?;
    check_types("conv2d", x, weight, bias)?;
    if !x.device().is_cpu() {
        let (x, weight) = (x.contiguous()?, weight.contiguous()?);
        return conv.act.apply(&native_conv2d(&x, &weight, bias, conv, &s)?);
    }
    Op::new(Kind::F, s, conv.gain).apply_with(x, weight, bias, conv.act)
}

/// `y = act(gain * (the transposed convolution of x) + bias)`.
///
/// x `[b, ci, h, w]`, weight `[ci, co, kh, kw]`, bias `[co]`; y `[b, co, oh, ow]` with
/// `oh = (h - 1) stride - 2 padding + kh + output_padding`, as PyTorch's `conv_transpose2d`.
///
/// Errors: as [`conv2d`], an output padding not less than the stride, and an empty output.
pub fn conv_transpose2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    conv: &ConvTranspose2d,
) -> Result<Tensor> {
    let s = conv.shape(x, weight)?;
    check_bias(bias, s.ci, "conv_transpose2d", weight)?;
    check_types("conv_transpose2d", x, weight, bias)?;
    if !x.device().is_cpu() {
        let (x, weight) = (x.contiguous()?, weight.contiguous()?);
        return conv
            .act
            .apply(&native_conv_transpose2d(&x, &weight, bias, conv)?);
    }
    Op::new(Kind::D, s, conv.gain).apply_with(x, weight, bias, conv.act)
}

fn dims4(name: &str, x: &Tensor, weight: &Tensor) -> Result<([usize; 4], [usize; 4])> {
    match (x.dims(), weight.dims()) {
        (&[b, c, h, w], &[o, i, kh, kw]) => {
            if x.elem_count() == 0 || weight.elem_count() == 0 {
                bail!(
                    "{name}: empty input {:?} or weight {:?}",
                    x.shape(),
                    weight.shape()
                )
            }
            Ok(([b, c, h, w], [o, i, kh, kw]))
        }
        _ => bail!(
            "{name}: expected input [b, c, h, w] and a weight of four axes, got {:?} and {:?}",
            x.shape(),
            weight.shape()
        ),
    }
}

fn check_bias(bias: Option<&Tensor>, channels: usize, name: &str, weight: &Tensor) -> Result<()> {
    match bias {
        Some(b) if b.dims() != [channels] => bail!(
            "{name}: expected a bias [{channels}] for weight {:?}, got {:?}",
            weight.shape(),
            b.shape()
        ),
        _ => Ok(()),
    }
}

/// Float32 or float64; all arguments must agree in type and device.
pub(crate) fn check_types(
    name: &str,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> Result<()> {
    for other in [Some(weight), bias].into_iter().flatten() {
        if other.dtype() != x.dtype() || !other.device().same_device(x.device()) {
            bail!(
                "{name}: input is {:?} on {:?}, a parameter {:?} on {:?}",
                x.dtype(),
                x.device().location(),
                other.dtype(),
                other.device().location()
            )
        }
    }
    expect_real(name, x)
}

impl Conv2d {
    fn shape(&self, x: &Tensor, weight: &Tensor) -> Result<ConvShape> {
        let ([b, ci, h, w], [co, wi, kh, kw]) = dims4("conv2d", x, weight)?;
        let (stride, padding) = (self.stride, self.padding);
        let shapes = || format!("input {:?}, weight {:?}", x.shape(), weight.shape());
        if wi != ci {
            bail!(
                "conv2d: {ci} channels do not fit a weight for {wi} ({})",
                shapes()
            )
        }
        if stride == 0 {
            bail!("conv2d: stride 0 ({})", shapes())
        }
        let padded = |n: usize| padding.checked_mul(2).and_then(|p| p.checked_add(n));
        let out = |n, k| {
            padded(n)
                .and_then(|n| n.checked_sub(k))
                .map(|n| n / stride + 1)
        };
        match (out(h, kh), out(w, kw)) {
            (Some(oh), Some(ow)) => {
                let s = ConvShape {
                    b,
                    ci,
                    h,
                    w,
                    co,
                    kh,
                    kw,
                    stride,
                    padding,
                    oh,
                    ow,
                };
                sizes_fit(&s)
                    .then_some(s)
                    .ok_or_else(|| too_large("conv2d", &shapes()))
            }
            _ => bail!(
                "conv2d: the kernel is larger than the input with padding {padding} ({})",
                shapes()
            ),
        }
    }
}

impl ConvTranspose2d {
    /// The convolution of which this is the input gradient: its x is this one's output.
    fn shape(&self, x: &Tensor, weight: &Tensor) -> Result<ConvShape> {
        let name = "conv_transpose2d";
        let ([b, co, oh, ow], [wo, ci, kh, kw]) = dims4(name, x, weight)?;
        let (stride, padding, extra) = (self.stride, self.padding, self.output_padding);
        let shapes = || format!("input {:?}, weight {:?}", x.shape(), weight.shape());
        if wo != co {
            bail!(
                "{name}: {co} channels do not fit a weight for {wo} ({})",
                shapes()
            )
        }
        if stride == 0 || extra >= stride {
            bail!(
                "{name}: output padding {extra} is not less than stride {stride} ({})",
                shapes()
            )
        }
        let out = |n: usize, k: usize| {
            let full = (n - 1)
                .checked_mul(stride)?
                .checked_add(k)?
                .checked_add(extra)?;
            full.checked_sub(padding.checked_mul(2)?).filter(|&n| n > 0)
        };
        match (out(oh, kh), out(ow, kw)) {
            (Some(h), Some(w)) => {
                let s = ConvShape {
                    b,
                    ci,
                    h,
                    w,
                    co,
                    kh,
                    kw,
                    stride,
                    padding,
                    oh,
                    ow,
                };
                sizes_fit(&s)
                    .then_some(s)
                    .ok_or_else(|| too_large(name, &shapes()))
            }
            _ => bail!("{name}: padding {padding} leaves no output ({})", shapes()),
        }
    }
}

fn too_large(name: &str, shapes: &str) -> candle_core::Error {
    candle_core::Error::Msg(format!(
        "{name}: sizes beyond what can be addressed ({shapes})"
    ))
}

/// Whether all buffers of a convolution can be addressed, padding included.
fn sizes_fit(s: &ConvShape) -> bool {
    let product = |n: &[usize]| n.iter().try_fold(1usize, |a, &b| a.checked_mul(b));
    let around = |n: usize, k: usize| n.checked_add(2 * s.padding).and_then(|n| n.checked_add(k));
    let limit = |n: Option<usize>| n.is_some_and(|n| n < isize::MAX as usize / 64);
    let (Some(h), Some(w)) = (
        around(s.h, s.kh * s.stride)
            .zip(around(s.oh, s.kh))
            .map(|(a, b)| a.max(b)),
        around(s.w, s.kw * s.stride)
            .zip(around(s.ow, s.kw))
            .map(|(a, b)| a.max(b)),
    ) else {
        return false;
    };
    limit(product(&[s.b, s.ci.max(s.co).next_multiple_of(32), h, w]))
        && limit(product(&[s.co.next_multiple_of(32), s.ci, s.kh, s.kw, 8]))
}

/// Which of the three ops.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    F,
    D,
    W,
}

/// One op: `F(x, w)`, `D(y, w)` or `W(x, y)`, with a bias for the first two as third argument.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Op {
    kind: Kind,
    s: ConvShape,
    gain: f64,
    /// Whether tensors have their first two axes only (a linear layer: the others are 1).
    flat: bool,
    /// Factor of negative results, 0 to 1: the activation in the same node, 1 for none.
    slope: f64,
}

impl Op {
    /// `y = gain * x w^T`: x `[rows, inputs]`, w `[out, inputs]`.
    pub(crate) fn linear(rows: usize, inputs: usize, out: usize, gain: f64) -> Self {
        let s = ConvShape {
            b: rows,
            ci: inputs,
            h: 1,
            w: 1,
            co: out,
            kh: 1,
            kw: 1,
            stride: 1,
            padding: 0,
            oh: 1,
            ow: 1,
        };
        Self {
            flat: true,
            ..Self::new(Kind::F, s, gain)
        }
    }

    fn new(kind: Kind, s: ConvShape, gain: f64) -> Self {
        Self {
            kind,
            s,
            gain,
            flat: false,
            slope: 1.0,
        }
    }

    /// Another op of the same layer, without the activation.
    fn with(&self, kind: Kind) -> Self {
        Self {
            kind,
            slope: 1.0,
            ..*self
        }
    }

    /// Applies the op and then `act`, in the same node where its slope is between 0 and 1.
    pub(crate) fn apply_with(
        mut self,
        a: &Tensor,
        b: &Tensor,
        bias: Option<&Tensor>,
        act: Act,
    ) -> Result<Tensor> {
        self.slope = match act {
            Act::None => 1.0,
            Act::Relu => 0.0,
            Act::LeakyRelu(slope) if (0.0..=1.0).contains(&slope) => slope,
            _ => return act.apply(&self.apply(a, b, bias)?),
        };
        self.apply(a, b, bias)
    }

    pub(crate) fn apply(self, a: &Tensor, b: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let (a, b) = (a.contiguous()?, b.contiguous()?);
        match bias {
            Some(bias) => tape::apply3(&a, &b, &bias.contiguous()?, self),
            None => tape::apply2(&a, &b, self),
        }
    }

    fn run(
        &self,
        a: (&CpuStorage, &Layout),
        b: (&CpuStorage, &Layout),
        bias: Option<(&CpuStorage, &Layout)>,
    ) -> Result<(CpuStorage, candle_core::Shape)> {
        let s = &self.s;
        let storage = match (a.0, b.0) {
            (CpuStorage::F32(x), CpuStorage::F32(y)) => {
                let bias = match bias {
                    Some((CpuStorage::F32(bias), l)) => Some(contiguous(bias, l)?),
                    Some(_) => bail!("convolution: the bias is not of the input's type"),
                    None => None,
                };
                let (x, y) = (contiguous(x, a.1)?, contiguous(y, b.1)?);
                let (level, gain) = (simd::level(), self.gain as f32);
                let slope = self.slope as f32;
                let finish = Finish { bias, slope };
                CpuStorage::F32(match self.kind {
                    Kind::F => algorithm::forward(level, s, x, y, finish, gain),
                    Kind::D => algorithm::input_gradient(level, s, x, y, finish, gain),
                    Kind::W => algorithm::weight_gradient(level, s, x, y, gain),
                })
            }
            (CpuStorage::F64(x), CpuStorage::F64(y)) => {
                let bias = match bias {
                    Some((CpuStorage::F64(bias), l)) => Some(contiguous(bias, l)?),
                    Some(_) => bail!("convolution: the bias is not of the input's type"),
                    None => None,
                };
                let (x, y) = (contiguous(x, a.1)?, contiguous(y, b.1)?);
                let mut out = match self.kind {
                    Kind::F => plain::forward(s, x, y, bias, self.gain),
                    Kind::D => plain::input_gradient(s, x, y, bias, self.gain),
                    Kind::W => plain::weight_gradient(s, x, y, self.gain),
                };
                if self.slope != 1.0 {
                    out.iter_mut()
                        .filter(|y| **y <= 0.0)
                        .for_each(|y| *y *= self.slope);
                }
                CpuStorage::F64(out)
            }
            _ => bail!("convolution: expected two tensors of float32 or of float64"),
        };
        let shape = match self.kind {
            Kind::F => (s.b, s.co, s.oh, s.ow),
            Kind::D => (s.b, s.ci, s.h, s.w),
            Kind::W => (s.co, s.ci, s.kh, s.kw),
        };
        let shape = if self.flat {
            (shape.0, shape.1).into()
        } else {
            shape.into()
        };
        Ok((storage, shape))
    }

    /// The gradient before the activation, for the gradient `g` of the result `y`.
    fn before_act(&self, y: &Tensor, g: &Tensor) -> Result<Tensor> {
        let g = for_grad(g);
        if self.slope == 1.0 {
            return Ok(g);
        }
        rectified_gradient(&y.detach(), &g, self.slope)
    }

    /// Gradients of the two arguments, for the gradient `g` of the result before the activation.
    fn gradients(
        &self,
        a: &Tensor,
        b: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        // In F and D the second argument is the weight; W's are both inputs.
        let b_wanted = if self.kind == Kind::W {
            wants_grad(b)
        } else {
            wants_param_grad(b)
        };
        let (to_a, to_b) = match self.kind {
            Kind::F => (Kind::D, Kind::W),
            Kind::D => (Kind::F, Kind::W),
            Kind::W => (Kind::D, Kind::F),
        };
        let da = match wants_grad(a) {
            false => None,
            // W's: D(y, g); F's and D's: D(g, w) and F(g, w).
            true if self.kind == Kind::W => Some(self.with(to_a).apply(&for_grad(b), g, None)?),
            true => Some(self.with(to_a).apply(g, &for_grad(b), None)?),
        };
        let db = match b_wanted {
            false => None,
            // D's: W(g, y); F's and W's: W(x, g) and F(x, g).
            true if self.kind == Kind::D => Some(self.with(to_b).apply(g, &for_grad(a), None)?),
            true => Some(self.with(to_b).apply(&for_grad(a), g, None)?),
        };
        Ok((da, db))
    }
}

impl CustomOp2 for Op {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::F => "conv2d",
            Kind::D => "conv_transpose2d",
            Kind::W => "conv2d-weight-gradient",
        }
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, candle_core::Shape)> {
        self.run((s1, l1), (s2, l2), None)
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        y: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        self.gradients(a, b, &self.before_act(y, g)?)
    }
}

impl CustomOp3 for Op {
    fn name(&self) -> &'static str {
        CustomOp2::name(self)
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, candle_core::Shape)> {
        self.run((s1, l1), (s2, l2), Some((s3, l3)))
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        bias: &Tensor,
        y: &Tensor,
        g: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let g = self.before_act(y, g)?;
        let (da, db) = self.gradients(a, b, &g)?;
        let dbias = match wants_param_grad(bias) {
            true => Some(channel_sums(&g)?),
            false => None,
        };
        Ok((da, db, dbias))
    }
}

fn native_bias(y: Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    match bias {
        Some(b) => y.broadcast_add(&b.reshape((1, b.elem_count(), 1, 1))?),
        None => Ok(y),
    }
}

fn scaled(weight: &Tensor, gain: f64) -> Result<Tensor> {
    if gain == 1.0 {
        Ok(weight.clone())
    } else {
        weight * gain
    }
}

/// Candle's convolution. Its backward is wrong where the stride leaves rows over, and it assumes
/// one remainder for both axes: those rows and columns are cut off first.
fn native_conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    conv: &Conv2d,
    s: &ConvShape,
) -> Result<Tensor> {
    let used = |out: usize, k: usize| (out - 1) * s.stride + k;
    let (h, w) = (used(s.oh, s.kh), used(s.ow, s.kw));
    let weight = scaled(weight, conv.gain)?;
    let y = if (h, w) == (s.h + 2 * s.padding, s.w + 2 * s.padding) {
        x.conv2d(&weight, s.padding, s.stride, 1, 1)?
    } else {
        let p = s.padding;
        let x = x.pad_with_zeros(2, p, p)?.pad_with_zeros(3, p, p)?;
        x.narrow(2, 0, h)?
            .narrow(3, 0, w)?
            .contiguous()?
            .conv2d(&weight, 0, s.stride, 1, 1)?
    };
    native_bias(y, bias)
}

fn native_conv_transpose2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    conv: &ConvTranspose2d,
) -> Result<Tensor> {
    let weight = scaled(weight, conv.gain)?;
    let y = x.conv_transpose2d(&weight, conv.padding, conv.output_padding, conv.stride, 1)?;
    native_bias(y, bias)
}

#[cfg(test)]
#[path = "conv_tests.rs"]
mod tests;
