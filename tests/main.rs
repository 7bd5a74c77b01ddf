//! The runner's tests: they sweep the registry, so that a paper is covered by being registered.
//!
//! Most run the real program in a folder of their own. Toy papers that only the tests know run in the
//! test program itself, started again as a child (`program::as_a_program`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod begins;
mod cli;
mod compare;
mod device;
mod edge;
mod enlarge;
mod eval;
mod faults;
mod features;
mod finish;
mod goes_on;
#[cfg(feature = "cuda")]
mod gpu;
mod grows;
mod images;
mod kept;
mod larger;
mod learns;
mod lengths;
mod mistakes;
mod mutants;
mod order;
#[path = "../xtask/examples/own_paper.rs"]
#[allow(dead_code)]
mod own;
mod own_paper;
mod papers;
mod parity;
mod photos;
mod program;
mod pth;
mod refusals;
mod resume;
mod sample;
mod smoke;
mod stages;
mod steps;
mod sweep;
#[path = "../crates/gan-core/tests/toys/mod.rs"]
#[allow(dead_code)]
mod toys;
mod translate;
mod translates;
mod weights;
mod workers;
