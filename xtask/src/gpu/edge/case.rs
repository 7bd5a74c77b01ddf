//! A case of the sweep: what it runs on, what it measures on a device, and how that is compared.

use candle_core::{DType, Device, Result, Tensor, Var};
use gan_kernels::mode;
use std::fmt;

/// The largest difference that is allowed, relative to what [`Scale`] says.
pub const LIMIT: f64 = 1e-5;

/// Relative differences of smaller numbers are those of this one: gan-kernels' F32 kernels flush
/// results below 1e-37.
const LEAST: f64 = 1e-30;

/// What the difference of two numbers is relative to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// The largest number of the first device's tensor.
    Largest,
    /// The same, or 1 if that is more: where the result is 0 but for what terms of about 1 leave.
    LargestOrOne,
    /// The larger of the two: for pointwise functions, whose tails matter by themselves.
    Each,
}

/// What a part of a case must give, on both devices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Expected {
    /// Numbers.
    Numbers,
    /// An error that names the op.
    Error,
}

/// A tensor that came out of a case.
#[derive(Clone, Debug)]
pub struct Quantity {
    /// `value`, `d0` for the gradient of argument 0, `second d1` …
    pub what: String,
    /// Its shape.
    pub dims: Vec<usize>,
    /// Its elements in reading order.
    pub numbers: Vec<f64>,
}

/// What came out of the first or second order of a case, or the first line of the error.
pub type Part = std::result::Result<Vec<Quantity>, String>;

/// What one device made of a case.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Values, first-order gradients, and state that was changed.
    pub first: Part,
    /// The gradient of the squared norm of the first argument's gradient; none if the case has none.
    pub second: Option<Part>,
}

pub(super) type Run = dyn Fn(&Device) -> Measured;

/// One function on certain arguments.
pub struct Case {
    /// The function, as `module::function` or `module::Type::method`, and others that the case
    /// calls too.
    pub ops: &'static [&'static str],
    /// Shapes, settings and views.
    pub name: String,
    pub(super) scale: Scale,
    pub(super) first: Expected,
    pub(super) second: Expected,
    pub(super) run: Box<Run>,
}

/// How a case went.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The function.
    pub op: &'static str,
    /// Shapes, settings and views.
    pub case: String,
    /// The largest relative difference of values, gradients and state.
    pub first: f64,
    /// The same of second-order gradients, if there are any.
    pub second: Option<f64>,
    /// What is wrong, a sentence each: at best nothing.
    pub faults: Vec<Fault>,
    /// Wall-clock time on both devices.
    pub seconds: f64,
}

/// What is wrong with a case.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Two numbers differ by more than [`LIMIT`].
    Differs {
        /// Which quantity.
        what: String,
        /// Position in reading order.
        index: usize,
        /// The first device's number, and the second's.
        numbers: [f64; 2],
        /// The difference, relatively.
        error: f64,
    },
    /// There is an error on one device, or another than on the other, or none where one belongs;
    /// or the devices give different quantities. A sentence.
    Other(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Differs {
                what,
                index,
                numbers: [a, b],
                error,
            } => write!(
                f,
                "{what}[{index}] is {a:e} and {b:e}, relatively {error:.1e}"
            ),
            Fault::Other(sentence) => sentence.fmt(f),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}: {:.1e}", self.op, self.case, self.first)?;
        if let Some(second) = self.second {
            write!(f, " {second:.1e}")?;
        }
        self.faults
            .iter()
            .try_for_each(|fault| write!(f, "; {fault}"))
    }
}

impl Case {
    /// The function.
    pub fn op(&self) -> &'static str {
        self.ops.first().copied().unwrap_or_default()
    }

    /// Runs the case on a device; errors are part of the result.
    pub fn measure(&self, device: &Device) -> Measured {
        (self.run)(device)
    }

    /// Compares what two devices made of the case.
    pub fn compare(&self, a: &Measured, b: &Measured) -> Outcome {
        let mut faults = Vec::new();
        let first = self.part("", self.first, &a.first, &b.first, &mut faults);
        let second = match (&a.second, &b.second) {
            (Some(a), Some(b)) => Some(self.part("second ", self.second, a, b, &mut faults)),
            (None, None) => None,
            _ => {
                let sentence = "one device has a second order and the other none";
                faults.push(Fault::Other(sentence.into()));
                None
            }
        };
        Outcome {
            op: self.op(),
            case: self.name.clone(),
            first,
            second,
            faults,
            seconds: 0.0,
        }
    }

    /// The largest difference of a part; what is wrong with it goes to `faults`.
    fn part(
        &self,
        order: &str,
        expected: Expected,
        a: &Part,
        b: &Part,
        faults: &mut Vec<Fault>,
    ) -> f64 {
        let mut other = |sentence| {
            faults.push(Fault::Other(sentence));
            0.0
        };
        let (a, b) = match (a, b) {
            (Ok(a), Ok(b)) => (a, b),
            (Ok(_), Err(e)) => return other(format!("{order}only the second device fails: {e}")),
            (Err(e), Ok(_)) => return other(format!("{order}only the first device fails: {e}")),
            (Err(a), Err(b)) if a != b => {
                return other(format!("{order}the devices fail differently: {a} | {b}"));
            }
            (Err(e), Err(_)) if expected == Expected::Numbers => {
                return other(format!("{order}both devices fail: {e}"));
            }
            (Err(e), Err(_)) => {
                // The name of a family will do: linear for linear_act.
                let short = self.op().rsplit("::").next().unwrap_or_default();
                let named = e.split(':').next().unwrap_or_default();
                if named.is_empty() || !short.starts_with(named) {
                    return other(format!("{order}the error does not begin with {short}: {e}"));
                }
                return 0.0;
            }
        };
        if expected == Expected::Error {
            return other(format!("{order}both devices give numbers, not an error"));
        }
        let list = |part: &[Quantity]| -> Vec<String> {
            part.iter()
                .map(|q| format!("{} {:?}", q.what, q.dims))
                .collect()
        };
        if list(a) != list(b) || a.is_empty() {
            let (a, b) = (list(a).join(", "), list(b).join(", "));
            return other(format!("{order}the devices give ({a}) and ({b})"));
        }
        let mut worst = 0f64;
        for (a, b) in a.iter().zip(b) {
            let error = self.quantity(a, b, faults);
            worst = worst.max(error);
        }
        worst
    }

    /// The largest difference of two tensors, infinite for NaN on one side; a fault beyond [`LIMIT`].
    fn quantity(&self, a: &Quantity, b: &Quantity, faults: &mut Vec<Fault>) -> f64 {
        let finite = a.numbers.iter().filter(|v| v.is_finite());
        let largest = finite.fold(LEAST, |m, v| m.max(v.abs()));
        let (mut worst, mut place) = (0f64, None);
        for (index, (&a, &b)) in a.numbers.iter().zip(&b.numbers).enumerate() {
            let scale = match self.scale {
                Scale::Largest => largest,
                Scale::LargestOrOne => largest.max(1.0),
                Scale::Each => a.abs().max(b.abs()).max(LEAST),
            };
            let error = match a == b || (a.is_nan() && b.is_nan()) {
                true => 0.0,
                false => (a - b).abs() / scale,
            };
            // One NaN, or one infinity.
            let error = if error.is_finite() {
                error
            } else {
                f64::INFINITY
            };
            if error > worst {
                (worst, place) = (error, Some((index, [a, b])));
            }
        }
        if let Some((index, numbers)) = place
            && worst > LIMIT
        {
            faults.push(Fault::Differs {
                what: a.what.clone(),
                index,
                numbers,
                error: worst,
            });
        }
        worst
    }
}

/// How an argument lies in the memory of the variable behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum View {
    /// It is the variable.
    Plain,
    /// The last two dimensions are exchanged.
    Transposed,
    /// The first and last dimensions are longer in the variable.
    Narrowed,
    /// The first dimension is 1 in the variable.
    Broadcast,
}

pub(super) const VIEWS: [View; 4] = [
    View::Plain,
    View::Transposed,
    View::Narrowed,
    View::Broadcast,
];

impl View {
    /// The variable's shape.
    fn behind(self, shape: &[usize]) -> Vec<usize> {
        let mut dims = shape.to_vec();
        match (self, dims.as_mut_slice()) {
            (View::Transposed, [.., a, b]) => std::mem::swap(a, b),
            (View::Narrowed, [one]) => *one += 3,
            (View::Narrowed, [first, .., last]) => {
                *first += 1;
                *last += 2;
            }
            (View::Broadcast, [first, ..]) => *first = 1,
            _ => {}
        }
        dims
    }

    fn of(self, t: &Tensor, shape: &[usize]) -> Result<Tensor> {
        match (self, shape) {
            (View::Transposed, &[.., _, _]) => t.transpose(shape.len() - 2, shape.len() - 1),
            (View::Narrowed, &[one]) => t.narrow(0, 1, one),
            (View::Narrowed, &[first, .., last]) => {
                t.narrow(0, 1, first)?.narrow(shape.len() - 1, 1, last)
            }
            (View::Broadcast, _) => t.broadcast_as(shape),
            _ => Ok(t.clone()),
        }
    }
}

/// The numbers of an argument.
#[derive(Clone, Copy, Debug)]
pub(super) enum Numbers {
    /// Around an offset, to both sides by as much as a factor.
    Around(f64, f64),
    /// A few, again and again.
    Given(&'static [f64]),
    /// -2, -1, 0, 1 and 2, so that many are equal.
    Few,
}

impl Numbers {
    /// F32 numbers that depend on nothing but the arguments.
    fn make(self, shape: &[usize], seed: u64) -> Vec<f64> {
        let mut state = seed;
        let mut unit = || {
            // Knuth's linear congruential generator, of which the upper bits are good.
            state = (state.wrapping_mul(6364136223846793005)).wrapping_add(1442695040888963407);
            ((state >> 40) as f64 / (1u64 << 23) as f64) - 1.0
        };
        unit();
        (0..shape.iter().product())
            .map(|i: usize| match self {
                Numbers::Around(offset, factor) => f64::from((offset + factor * unit()) as f32),
                Numbers::Given(few) => few.get(i % few.len().max(1)).copied().unwrap_or_default(),
                Numbers::Few => (2.4 * unit()).round(),
            })
            .collect()
    }
}

/// What is asked about an argument.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Role {
    /// Its gradient.
    Variable,
    /// Nothing: it has no graph.
    Constant,
    /// What it is after the call, which changes it in place.
    State,
}

#[derive(Clone, Debug)]
pub(super) struct Arg {
    pub(super) shape: Vec<usize>,
    pub(super) numbers: Numbers,
    pub(super) role: Role,
    pub(super) view: View,
}

/// A variable of numbers -1 to 1 times a factor.
pub(super) fn arg(shape: &[usize], factor: f64) -> Arg {
    Arg {
        shape: shape.to_vec(),
        numbers: Numbers::Around(0.0, factor),
        role: Role::Variable,
        view: View::Plain,
    }
}

impl Arg {
    pub(super) fn numbers(self, numbers: Numbers) -> Self {
        Self { numbers, ..self }
    }

    pub(super) fn role(self, role: Role) -> Self {
        Self { role, ..self }
    }

    pub(super) fn view(self, view: View) -> Self {
        Self { view, ..self }
    }

    fn make(&self, seed: u64, dtype: DType, device: &Device) -> Result<(Var, Tensor)> {
        let shape = self.view.behind(&self.shape);
        let variable = Var::from_tensor(&tensor(self.numbers, &shape, seed, dtype, device)?)?;
        let view = self.view.of(&variable, &self.shape)?;
        let view = match self.role {
            Role::Variable => view,
            Role::Constant | Role::State => view.detach(),
        };
        Ok((variable, view))
    }
}

/// Made on the CPU, as types that are refused have no kernels elsewhere.
pub(super) fn tensor(
    numbers: Numbers,
    shape: &[usize],
    seed: u64,
    dtype: DType,
    device: &Device,
) -> Result<Tensor> {
    Tensor::from_vec(numbers.make(shape, seed), shape, &Device::Cpu)?
        .to_dtype(dtype)?
        .to_device(device)
}

/// Factors of a result before it is summed, so that every element counts otherwise.
pub(super) fn factors(y: &Tensor, seed: u64) -> Result<Tensor> {
    let numbers = Numbers::Around(1.5, 1.0);
    tensor(numbers, y.dims(), seed, y.dtype(), y.device())
}

pub(super) fn quantity(what: impl Into<String>, t: &Tensor) -> Result<Quantity> {
    let host = t.detach().to_device(&Device::Cpu)?;
    Ok(Quantity {
        what: what.into(),
        dims: t.dims().to_vec(),
        numbers: host.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?,
    })
}

pub(super) fn part(result: Result<Vec<Quantity>>) -> Part {
    let first_line = |text: String| text.lines().next().unwrap_or_default().to_string();
    result.map_err(|e| first_line(e.to_string()))
}

pub(super) type Function = dyn Fn(&[Tensor]) -> Result<Tensor>;

/// Value, gradients and state of a function of arguments.
pub(super) fn first_order(
    f: &Function,
    args: &[Arg],
    dtype: DType,
    device: &Device,
) -> Result<Vec<Quantity>> {
    let (variables, views) = make(args, dtype, device)?;
    let y = f(&views)?;
    let mut all = vec![quantity("value", &y)?];
    let gradients = (&y * factors(&y, 90)?)?.sum_all()?.backward()?;
    for (i, (arg, variable)) in args.iter().zip(&variables).enumerate() {
        if let (Role::Variable, Some(gradient)) = (arg.role, gradients.get(variable)) {
            all.push(quantity(format!("d{i}"), gradient)?);
        }
        if arg.role == Role::State {
            all.push(quantity(format!("argument {i} afterwards"), variable)?);
        }
    }
    Ok(all)
}

/// The gradients of the squared norm of the first argument's gradient, which a penalty takes. The
/// function is squared, so that a linear one too has a gradient that depends on the argument.
pub(super) fn second_order(
    f: &Function,
    args: &[Arg],
    dtype: DType,
    device: &Device,
) -> Result<Vec<Quantity>> {
    let (variables, views) = make(args, dtype, device)?;
    let y = f(&views)?;
    let score = (y.sqr()? * factors(&y, 91)?)?.sum_all()?;
    let gradients = mode::penalty(|| score.backward())?;
    let Some(gradient) = variables.first().and_then(|x| gradients.get(x)) else {
        return Ok(Vec::new());
    };
    let norm = (gradient.sqr()? * factors(gradient, 92)?)?.sum_all()?;
    let mut all = vec![quantity("second norm", &norm)?];
    let gradients = norm.backward()?;
    for (i, (arg, variable)) in args.iter().zip(&variables).enumerate() {
        if let (Role::Variable, Some(gradient)) = (arg.role, gradients.get(variable)) {
            all.push(quantity(format!("second d{i}"), gradient)?);
        }
    }
    // The norm alone is no result: the graph of the gradient was lost.
    Ok(if all.len() > 1 { all } else { Vec::new() })
}

pub(super) fn make(args: &[Arg], dtype: DType, device: &Device) -> Result<(Vec<Var>, Vec<Tensor>)> {
    let made = args.iter().zip(1..);
    let made = made.map(|(arg, seed)| arg.make(seed, dtype, device));
    Ok(made.collect::<Result<Vec<_>>>()?.into_iter().unzip())
}
