//! The instruction set that the CPU kernels use, found once at run time.
//!
//! A kernel is one source. Its body is an `#[inline(always)]` function generic over `Isa`;
//! the `dispatch!` macro compiles it once for each level inside a `#[target_feature]` function
//! and picks one at run time. Helpers that a body calls must be `#[inline(always)]` too and
//! carry no `#[target_feature]` of their own, else they are not inlined.

use candle_core::{Result, bail};
use std::cell::Cell;
use std::sync::OnceLock;

/// An instruction set, from the plainest to the widest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What the target that the program was built for offers; no run-time requirement.
    Portable,
    /// AVX2 with FMA: 8 floats a vector.
    Avx2,
    /// AVX-512 F, BW, DQ and VL: 16 floats a vector.
    Avx512,
}

thread_local! {
    static FORCED: Cell<Option<Level>> = const { Cell::new(None) };
}

/// The widest level that this processor offers.
pub fn best() -> Level {
    static BEST: OnceLock<Level> = OnceLock::new();
    *BEST.get_or_init(detect)
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Level {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let avx512 = avx2
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    match (avx512, avx2) {
        (true, _) => Level::Avx512,
        (false, true) => Level::Avx2,
        (false, false) => Level::Portable,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Level {
    Level::Portable
}

/// The level that ops called from this thread use: [`best`], or what [`force`] says.
///
/// An op reads it once, where it is entered, and hands it to its tasks.
pub fn level() -> Level {
    FORCED.get().unwrap_or_else(best)
}

/// Runs `f` with the ops that this thread calls held to `level`; for tests and comparisons.
///
/// An error if the processor lacks that level.
pub fn force<R>(level: Level, f: impl FnOnce() -> R) -> Result<R> {
    struct Restore(Option<Level>);
    impl Drop for Restore {
        fn drop(&mut self) {
            FORCED.set(self.0);
        }
    }
    if level > best() {
        bail!("this processor offers {:?}, not {level:?}", best())
    }
    let _restore = Restore(FORCED.replace(Some(level)));
    Ok(f())
}

/// What a kernel body may know of the level that it is compiled for.
pub(crate) trait Isa: Copy {
    /// Whether a fused multiply-add is one instruction.
    const FMA: bool;

    /// `a * b + c`, fused where that is one instruction.
    #[inline(always)]
    fn madd(a: f32, b: f32, c: f32) -> f32 {
        if Self::FMA {
            a.mul_add(b, c)
        } else {
            a * b + c
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Portable;
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Avx2;
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Avx512;

impl Isa for Portable {
    const FMA: bool = cfg!(target_feature = "fma") || cfg!(target_arch = "aarch64");
}
#[cfg(target_arch = "x86_64")]
impl Isa for Avx2 {
    const FMA: bool = true;
}
#[cfg(target_arch = "x86_64")]
impl Isa for Avx512 {
    const FMA: bool = true;
}

/// Compiles a kernel body for each level and defines a function that picks one.
///
/// `dispatch! { pub(crate) fn axpy(a: f32, x: &[f32], y: &mut [f32]) = axpy_body; }` defines
/// `axpy(level, a, x, y)`, where `axpy_body<I>(a, x, y)`, with `I: Isa` or `I: Vector`, is `#[inline(always)]`. The loops of
/// the body are vectorised by the compiler for each level.
macro_rules! dispatch {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:ident;) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name(level: $crate::simd::Level, $($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            fn avx512($($arg: $ty),*) $(-> $ret)? {
                $body::<$crate::simd::Avx512>($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            fn avx2($($arg: $ty),*) $(-> $ret)? {
                $body::<$crate::simd::Avx2>($($arg),*)
            }
            match level {
                // SAFETY: `Level` values above Portable come from `level()` and `best()`, which
                // give them only on processors with these features.
                #[cfg(target_arch = "x86_64")]
                $crate::simd::Level::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::simd::Level::Avx2 => unsafe { avx2($($arg),*) },
                _ => $body::<$crate::simd::Portable>($($arg),*),
            }
        }
    };
    ($(#[$meta:meta])* $vis:vis unsafe fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:ident;) => {
        $(#[$meta])*
        ///
        /// # Safety
        ///
        /// Pointers must be valid for what the description says is read and written.
        #[allow(clippy::too_many_arguments)]
        $vis unsafe fn $name(level: $crate::simd::Level, $($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            unsafe fn avx512($($arg: $ty),*) $(-> $ret)? {
                $body::<$crate::simd::Avx512>($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            unsafe fn avx2($($arg: $ty),*) $(-> $ret)? {
                $body::<$crate::simd::Avx2>($($arg),*)
            }
            // SAFETY: `Level` values above Portable come from `level()` and `best()`, which give
            // them only on processors with these features; the caller answers for the pointers.
            unsafe {
                match level {
                    #[cfg(target_arch = "x86_64")]
                    $crate::simd::Level::Avx512 => avx512($($arg),*),
                    #[cfg(target_arch = "x86_64")]
                    $crate::simd::Level::Avx2 => avx2($($arg),*),
                    _ => $body::<$crate::simd::Portable>($($arg),*),
                }
            }
        }
    };
}
#[allow(unused_imports)]
pub(crate) use dispatch;

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(always)]
    fn axpy_body<I: Isa>(a: f32, x: &[f32], y: &mut [f32]) {
        for (y, x) in y.iter_mut().zip(x) {
            *y = I::madd(a, *x, *y);
        }
    }
    dispatch! { fn axpy(a: f32, x: &[f32], y: &mut [f32]) = axpy_body; }

    #[test]
    fn every_level_runs_and_force_is_scoped() {
        for level in [Level::Portable, Level::Avx2, Level::Avx512] {
            if level > best() {
                assert!(force(level, || ()).is_err());
                continue;
            }
            let seen = force(level, || {
                let mut y = vec![1f32; 37];
                axpy(super::level(), 2.0, &[3.0; 37], &mut y);
                assert_eq!(y, [7.0; 37]);
                super::level()
            });
            assert_eq!(seen.ok(), Some(level));
        }
        assert_eq!(super::level(), best());
    }
}
