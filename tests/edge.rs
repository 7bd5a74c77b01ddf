//! Every public op of gan-kernels on the CPU and on a GPU, and that none of them is left out.

use candle_core::Device;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use xtask::gpu::edge::{self, Fault, Measured, Summary};

/// Runs the sweep, prints what it cost, and fails with all faults.
fn sweep(a: &Device, b: &Device) -> Summary {
    let mut seconds: BTreeMap<&str, f64> = BTreeMap::new();
    let mut faults = Vec::new();
    let start = cpu_time::ProcessTime::now();
    let summary = edge::sweep(a, b, &mut |outcome| {
        *seconds.entry(outcome.op).or_default() += outcome.seconds;
        if !outcome.faults.is_empty() {
            faults.push(outcome.to_string());
        }
    });
    let summary = summary.unwrap();
    for (op, seconds) in &seconds {
        println!("{seconds:8.3} s  {op}");
    }
    println!("{summary:?} in {:?} of CPU", start.elapsed());
    assert!(
        faults.is_empty(),
        "{} of {} cases:\n{}",
        faults.len(),
        summary.cases,
        faults.join("\n")
    );
    summary
}

#[test]
fn a_gpu_computes_what_the_cpu_does() {
    if cfg!(feature = "cuda")
        && let Ok(gpu) = Device::new_cuda(0)
    {
        sweep(&Device::Cpu, &gpu);
    }
}
