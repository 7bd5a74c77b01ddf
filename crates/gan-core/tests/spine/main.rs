//! The training abstraction on toys of hard papers: trained, saved, killed, resumed, replayed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod checkpoints;
mod gradients;
mod recorded;
mod resume;
mod run;
#[path = "../toys/mod.rs"]
mod toys;
