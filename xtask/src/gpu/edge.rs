//! Every public op of gan-kernels on two devices: values, gradients, and gradients of gradients.
//!
//! [`sweep`] runs small cases on odd shapes, views, saturated and tiny numbers, kinks and NaN, and
//! compares number by number. What one device refuses the other must refuse in the same words.
//! [`names`] lists the functions that have a case, so that a test can see which have none.

mod case;
mod cases;

pub use case::{Case, Expected, Fault, LIMIT, Measured, Outcome, Part, Quantity, Scale};

use candle_core::{Device, Result};
use std::collections::BTreeSet;
use std::time::Instant;

/// How a sweep went.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Cases that were run.
    pub cases: usize,
    /// Cases with a fault.
    pub faulty: usize,
    /// The largest relative difference of the first order.
    pub first: f64,
    /// The largest relative difference of the second order.
    pub second: f64,
}

/// Runs all cases on both devices, and reports each as it ends.
///
/// # Errors
/// Second derivatives are off in this thread (`CANDLE_GRAD_DO_NOT_DETACH=1` is not set), so that
/// nothing of second order would be compared. What a case makes of a device is no error but a fault.
pub fn sweep(a: &Device, b: &Device, report: &mut dyn FnMut(&Outcome)) -> Result<Summary> {
    if !gan_core::grad::second_order_works()? {
        candle_core::bail!("second derivatives are off: set CANDLE_GRAD_DO_NOT_DETACH=1")
    }
    let mut summary = Summary::default();
    for case in cases() {
        let start = Instant::now();
        let mut outcome = case.compare(&case.measure(a), &case.measure(b));
        outcome.seconds = start.elapsed().as_secs_f64();
        summary.cases += 1;
        summary.faulty += usize::from(!outcome.faults.is_empty());
        summary.first = summary.first.max(outcome.first);
        summary.second = summary.second.max(outcome.second.unwrap_or_default());
        report(&outcome);
    }
    Ok(summary)
}

/// All cases.
pub fn cases() -> Vec<Case> {
    cases::all()
}

/// The functions of gan-kernels that have a case, sorted.
pub fn names() -> Vec<&'static str> {
    let names: BTreeSet<_> = cases().iter().flat_map(|case| case.ops).copied().collect();
    names.into_iter().collect()
}
