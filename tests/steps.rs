//! The comparison of a device with the CPU, one iteration at a time; `gpu-check` does it on a GPU.

use crate::program::PAPERS;
use candle_core::Device;
use xtask::gpu::steps::{follow, resumed};

/// The CPU beside the CPU; and that a run goes on where it stopped.
#[test]
fn the_cpu_is_no_different_from_itself() {
    for recipe in PAPERS {
        let paper = recipe.info().name;
        let report = follow(*recipe, &Device::Cpu, 2).unwrap();
        assert!(report.groups.len() > 5 && report.loose.is_empty());
        let nothing = report.groups.iter().all(|group| group.error == 0.);
        assert!(nothing, "{paper}: {:?}", report.groups);
        assert_eq!(resumed(*recipe, &Device::Cpu, 2).unwrap(), None, "{paper}");
    }
}
