//! Losses that two or more papers use.

pub use gan_kernels::loss::{Target, bce, bce_with_logits, l1, mse};
