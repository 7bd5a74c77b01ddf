//! A device beside the CPU, one iteration at a time, for every paper.

use crate::program::PAPERS;
use candle_core::Device;
#[cfg(feature = "cuda")]
use xtask::gpu::steps::{LIMIT, Report};
use xtask::gpu::steps::{follow, resumed};

/// Of what an iteration leaves behind, how much may be as far from the CPU's as the CPU is from itself.
#[cfg(feature = "cuda")]
const LOOSE: f64 = 0.15;

#[cfg(feature = "cuda")]
fn assert_close(paper: &str, report: &Report) {
    for group in report.failed() {
        panic!(
            "{paper}: {} is off by {:.1e}, accepted {LIMIT:.0e}: {}",
            group.name, group.error, group.worst
        );
    }
    let share = report.loose.len() as f64 / report.tensors as f64;
    println!(
        "{paper}: {} of {} tensors are loose",
        report.loose.len(),
        report.tensors
    );
    assert!(share < LOOSE, "{paper}: {:#?}", report.loose);
}

/// The comparison itself: the CPU beside the CPU, and that it goes on where it stopped.
#[test]
fn the_cpu_is_no_different_from_itself() {
    for recipe in PAPERS {
        let paper = recipe.info().name;
        let report = follow(*recipe, &Device::Cpu, 3).unwrap();
        assert!(report.groups.len() > 5 && report.loose.is_empty());
        let nothing = report.groups.iter().all(|group| group.error == 0.);
        assert!(nothing, "{paper}: {:?}", report.groups);
        assert_eq!(resumed(*recipe, &Device::Cpu, 2).unwrap(), None, "{paper}");
    }
}

#[cfg(feature = "cuda")]
#[test]
fn every_iteration_is_the_cpus() {
    let device = crate::program::gpu();
    for recipe in PAPERS {
        let report = follow(*recipe, &device, 30).unwrap();
        assert_close(recipe.info().name, &report);
    }
}
