//! Checks of what a GPU computes, against the CPU.

pub mod edge;
