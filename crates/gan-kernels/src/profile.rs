//! Where a training step's time goes: seconds of each op of this crate by the shapes of its
//! arguments.
//!
//! Off by default, when an op pays for one look at a thread-local flag. Backward passes are ops too
//! and are listed under their own names; candle's ops are not seen.

use candle_core::Tensor;
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Instant;

/// What the calls of one op on arguments of the same shapes took together.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The op, and the shapes of its arguments.
    pub op: String,
    /// How often it ran.
    pub calls: usize,
    /// Wall-clock time of all calls, in seconds.
    pub seconds: f64,
}

thread_local! {
    static SEEN: RefCell<Option<HashMap<String, (usize, f64)>>> = const { RefCell::new(None) };
}

/// Counts ops that the calling thread runs from now on, from zero.
pub fn start() {
    SEEN.replace(Some(HashMap::new()));
}

/// Ends counting and returns what was seen since [`start`], the longest first.
pub fn finish() -> Vec<Entry> {
    let seen = SEEN.take().unwrap_or_default();
    let mut all: Vec<Entry> = seen
        .into_iter()
        .map(|(op, (calls, seconds))| Entry { op, calls, seconds })
        .collect();
    all.sort_by(|a, b| b.seconds.total_cmp(&a.seconds).then(a.op.cmp(&b.op)));
    all
}

/// Runs `f`, and counts it under `name` and the shapes of `args`.
pub(crate) fn timed<R>(name: &str, args: &[&Tensor], f: impl FnOnce() -> R) -> R {
    if SEEN.with_borrow(Option::is_none) {
        return f();
    }
    let start = Instant::now();
    let result = f();
    let seconds = start.elapsed().as_secs_f64();
    let shapes: Vec<String> = args.iter().map(|t| format!("{:?}", t.dims())).collect();
    SEEN.with_borrow_mut(|seen| {
        if let Some(seen) = seen {
            let key = format!("{name} {}", shapes.join(" "));
            let entry = seen.entry(key).or_default();
            *entry = (entry.0 + 1, entry.1 + seconds);
        }
    });
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device, Result, Var};

    #[test]
    fn ops_of_both_directions_are_counted_while_it_is_on() -> Result<()> {
        let x = Var::zeros((2, 3), DType::F32, &Device::Cpu)?;
        let step = || crate::tape::backward(&crate::act::tanh(&x)?.sum_all()?);
        step()?;
        assert!(finish().is_empty());
        start();
        step()?;
        step()?;
        let seen = finish();
        assert_eq!(seen.len(), 2, "{seen:?}");
        assert!(
            seen.iter()
                .all(|e| e.calls == 2 && e.seconds > 0.0 && e.op.contains("[2, 3]"))
        );
        assert!(finish().is_empty());
        Ok(())
    }
}
