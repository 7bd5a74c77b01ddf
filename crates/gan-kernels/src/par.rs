//! The one thread pool of this crate's ops.
//!
//! A job of two tasks on two idle cores costs 1 µs beyond its work while the helper spins, and
//! 20 to 40 µs when it has to be woken; rayon's pool cost 5 to 75 µs and 20 to 180 µs in the same
//! measurement, which is why this is not rayon.
//!
//! Tasks are claimed from a counter, so which thread runs a task depends on timing; results do
//! not, as long as each output element is written by one task only. A helper thread spins for a
//! moment after a job and then sleeps: jobs of a training step follow each other closely, and
//! waking a sleeping thread takes longer than many ops. A job never waits for a helper that has
//! not started on it, so a busy machine costs no more than the helper's share.

use std::any::Any;
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, TryLockError};
use std::thread::{self, Thread};

/// Turns of the waiting loop before a helper sleeps (some tens of microseconds).
const SPINS: u32 = 20_000;

/// Below this much work (about one multiply-add a unit) a job runs on the calling thread.
pub(crate) const SMALL: usize = 1 << 15;

static THREADS: AtomicUsize = AtomicUsize::new(0);

/// Sets how many threads the ops of this crate use, the calling one included; 0 means the default.
///
/// The default is `RAYON_NUM_THREADS`, or else the number of processors. Results do not depend on
/// it.
pub fn set_threads(n: usize) {
    THREADS.store(n.min(1024), Ordering::Relaxed);
}

/// How many threads the ops of this crate use, the calling one included.
pub fn threads() -> usize {
    static DEFAULT: OnceLock<usize> = OnceLock::new();
    match THREADS.load(Ordering::Relaxed) {
        0 => *DEFAULT.get_or_init(|| {
            std::env::var("RAYON_NUM_THREADS")
                .ok()
                .and_then(|v| v.parse().ok())
                .filter(|n| (1..=1024).contains(n))
                .or_else(|| thread::available_parallelism().ok().map(usize::from))
                .unwrap_or(1)
        }),
        n => n,
    }
}

/// Runs `f(0)`, …, `f(tasks - 1)`, each once, in any order, on the pool.
///
/// Runs them in order on the calling thread if the pool is busy (a call from inside a task, or
/// from another thread at the same time). A panic in a task is passed on.
pub(crate) fn for_each(tasks: usize, f: impl Fn(usize) + Sync) {
    if tasks > 1 && threads() > 1 {
        static POOL: OnceLock<Mutex<Pool>> = OnceLock::new();
        let pool = POOL.get_or_init(|| {
            Mutex::new(Pool {
                helpers: Vec::new(),
            })
        });
        #[cfg(test)]
        if let Some(mut pool) = testing::wait_for(pool) {
            return pool.run(threads() - 1, tasks, &f);
        }
        match pool.try_lock() {
            Ok(mut pool) => return pool.run(threads() - 1, tasks, &f),
            Err(TryLockError::Poisoned(e)) => return e.into_inner().run(threads() - 1, tasks, &f),
            Err(TryLockError::WouldBlock) => {}
        }
    }
    (0..tasks).for_each(f);
}

/// [`for_each`], or a plain loop if `work` (about one multiply-add a unit, over all tasks) is
/// less than [`SMALL`].
pub(crate) fn for_each_sized(tasks: usize, work: usize, f: impl Fn(usize) + Sync) {
    if work < SMALL {
        (0..tasks).for_each(f);
    } else {
        for_each(tasks, f);
    }
}

/// Cuts `out` into chunks of `chunk` elements (the last may be shorter) and runs
/// `f(index of the chunk's first element, the chunk)` for each, as [`for_each_sized`].
pub(crate) fn for_each_chunk<T: Send>(
    out: &mut [T],
    chunk: usize,
    work: usize,
    f: impl Fn(usize, &mut [T]) + Sync,
) {
    let (len, chunk) = (out.len(), chunk.max(1));
    let base = SendPtr(out.as_mut_ptr());
    for_each_sized(len.div_ceil(chunk), work, |i| {
        let start = i * chunk;
        // SAFETY: chunk i is `[start, start + chunk)` cut at `len`; chunks do not overlap, each
        // index is passed once, and `out` is borrowed until all tasks are done.
        let part = unsafe {
            std::slice::from_raw_parts_mut(base.get().add(start), chunk.min(len - start))
        };
        f(start, part);
    });
}

/// A new vector of `len` elements written chunk by chunk, as [`for_each_chunk`].
///
/// # Safety
///
/// `f` must write every element of the chunk that it gets.
pub(crate) unsafe fn fill_chunks<T: Copy + Send>(
    len: usize,
    chunk: usize,
    work: usize,
    f: impl Fn(usize, &mut [MaybeUninit<T>]) + Sync,
) -> Vec<T> {
    // SAFETY: the chunks cover the whole slice, and the caller promises that each is written.
    unsafe { crate::memory::filled(len, |out| for_each_chunk(out, chunk, work, f)) }
}

/// A pointer that tasks share, each writing a part of its own.
pub(crate) struct SendPtr<T>(pub(crate) *mut T);
// SAFETY: the pointer is only a number here; whoever dereferences it answers for disjointness.
unsafe impl<T: Send> Sync for SendPtr<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for SendPtr<T> {}
impl<T> Clone for SendPtr<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for SendPtr<T> {}
impl<T> SendPtr<T> {
    /// The pointer (a method, so that closures capture the whole wrapper).
    pub(crate) fn get(&self) -> *mut T {
        self.0
    }
}

/// Set in [`GATE`] while helpers may enter the current job.
const OPEN: u64 = 1 << 31;
/// One job, in the upper half of [`GATE`].
const EPOCH: u64 = 1 << 32;

/// Job number (upper half), [`OPEN`], and how many helpers are inside (the low bits).
static GATE: AtomicU64 = AtomicU64::new(0);
static JOB: JobCell = JobCell(UnsafeCell::new(None));
static NEXT: AtomicUsize = AtomicUsize::new(0);
/// How many helpers may join the current job.
static LIMIT: AtomicUsize = AtomicUsize::new(0);
static PANIC: Mutex<Option<Box<dyn Any + Send>>> = Mutex::new(None);

#[derive(Clone, Copy)]
struct Job {
    f: &'static (dyn Fn(usize) + Sync),
    tasks: usize,
}

struct JobCell(UnsafeCell<Option<Job>>);
// SAFETY: written only by the holder of the pool's lock while the gate is shut and empty, read
// only by helpers inside the gate.
unsafe impl Sync for JobCell {}

struct Helper {
    thread: Thread,
    asleep: &'static AtomicBool,
}

struct Pool {
    helpers: Vec<Helper>,
}

impl Pool {
    fn run(&mut self, helpers: usize, tasks: usize, f: &(dyn Fn(usize) + Sync)) {
        let helpers = helpers.min(tasks - 1);
        while self.helpers.len() < helpers {
            match spawn(self.helpers.len()) {
                Some(helper) => self.helpers.push(helper),
                None => break,
            }
        }
        // What is left of a job whose caller and helper both panicked is not this job's.
        PANIC.lock().unwrap_or_else(PoisonError::into_inner).take();
        // SAFETY: the lifetime is extended only while `Shut` below lives: it shuts the gate and
        // waits until no helper is inside, also when a task panics here.
        let f: &'static (dyn Fn(usize) + Sync) = unsafe { std::mem::transmute(f) };
        // SAFETY: this thread holds the pool's lock and the gate is shut and empty, so nobody
        // reads the cell.
        unsafe { *JOB.0.get() = Some(Job { f, tasks }) };
        NEXT.store(0, Ordering::Relaxed);
        LIMIT.store(helpers, Ordering::Relaxed);
        let shut = Shut;
        // The gate is shut and empty: only this thread changes it.
        let epoch = GATE.load(Ordering::Relaxed) & !(EPOCH - 1);
        GATE.store(epoch.wrapping_add(EPOCH) | OPEN, Ordering::SeqCst);
        for helper in self.helpers.iter().take(helpers) {
            if helper.asleep.swap(false, Ordering::SeqCst) {
                helper.thread.unpark();
            }
        }
        work(f, tasks);
        drop(shut);
        let panic = PANIC.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}

/// Shuts the gate when dropped and waits for the helpers inside.
struct Shut;
impl Drop for Shut {
    fn drop(&mut self) {
        // No task is handed out after a panic, so that helpers come out soon.
        NEXT.fetch_add(usize::MAX / 2, Ordering::Relaxed);
        GATE.fetch_and(!OPEN, Ordering::SeqCst);
        let mut turns = 0u32;
        while GATE.load(Ordering::Acquire) & (OPEN - 1) != 0 {
            turns = turns.wrapping_add(1);
            if turns.is_multiple_of(1 << 12) {
                thread::yield_now();
            }
            std::hint::spin_loop();
        }
    }
}

fn work(f: &(dyn Fn(usize) + Sync), tasks: usize) {
    loop {
        let i = NEXT.fetch_add(1, Ordering::Relaxed);
        if i >= tasks {
            return;
        }
        f(i);
    }
}

fn spawn(index: usize) -> Option<Helper> {
    // A helper lives as long as the program, so its flag may be leaked.
    let asleep: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
    let handle = thread::Builder::new()
        .name(format!("kernels-{index}"))
        .spawn(move || help(index, asleep))
        .ok()?;
    Some(Helper {
        thread: handle.thread().clone(),
        asleep,
    })
}

fn help(index: usize, asleep: &AtomicBool) {
    let mut seen = 0;
    let mut turns = 0;
    loop {
        let gate = GATE.load(Ordering::SeqCst);
        let fresh = gate & OPEN != 0 && gate / EPOCH != seen;
        if fresh && index < LIMIT.load(Ordering::Relaxed) {
            if GATE
                .compare_exchange(gate, gate + 1, Ordering::SeqCst, Ordering::Relaxed)
                .is_err()
            {
                continue;
            }
            seen = gate / EPOCH;
            turns = 0;
            // SAFETY: this helper is inside the gate, so the cell is not written until it leaves.
            if let Some(job) = unsafe { *JOB.0.get() } {
                let done = catch_unwind(AssertUnwindSafe(|| work(job.f, job.tasks)));
                if let Err(panic) = done {
                    *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
                }
            }
            GATE.fetch_sub(1, Ordering::Release);
        } else if turns < SPINS {
            turns += 1;
            std::hint::spin_loop();
        } else {
            asleep.store(true, Ordering::SeqCst);
            // A job may have been published between the last look and the flag.
            if GATE.load(Ordering::SeqCst) == gate {
                thread::park();
            }
            asleep.store(false, Ordering::SeqCst);
            turns = 0;
        }
    }
}

/// For tests of what must not depend on the number of threads.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use std::cell::Cell;
    use std::sync::MutexGuard;
    use std::time::{Duration, Instant};

    /// A helper is woken in microseconds; on a machine that is busy with other things it may wait its turn.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// One test at a time sets the number of threads.
    static ONE: Mutex<()> = Mutex::new(());

    thread_local! {
        /// Whether this thread waits for the pool instead of doing all tasks itself, and outside a job.
        static WAITS: Cell<bool> = const { Cell::new(false) };
        /// Jobs of this thread in which helpers ran tasks too.
        static POOLED: Cell<usize> = const { Cell::new(0) };
    }

    /// The pool, for a thread that waits for it.
    pub(super) fn wait_for(pool: &'static Mutex<Pool>) -> Option<Waited> {
        WAITS.get().then(|| {
            WAITS.set(false); // a job inside this one must not wait for itself
            Waited(pool.lock().unwrap_or_else(PoisonError::into_inner))
        })
    }

    /// The pool while a job runs on it.
    pub(super) struct Waited(MutexGuard<'static, Pool>);

    impl Waited {
        /// Runs a job of which helpers do a part: the caller, which could be done before the first of them is
        /// awake, holds its tasks back until one has begun.
        pub(super) fn run(&mut self, helpers: usize, tasks: usize, f: &(dyn Fn(usize) + Sync)) {
            let (caller, helped) = (thread::current().id(), AtomicBool::new(false));
            self.0.run(helpers, tasks, &|i| {
                if thread::current().id() != caller {
                    helped.store(true, Ordering::Relaxed);
                }
                let begin = Instant::now();
                while !helped.load(Ordering::Relaxed) {
                    assert!(begin.elapsed() < PATIENCE, "no helper came");
                    thread::yield_now();
                }
                f(i);
            });
            POOLED.set(POOLED.get() + 1);
        }
    }

    impl Drop for Waited {
        fn drop(&mut self) {
            WAITS.set(true);
        }
    }

    /// Runs `f` with this many threads, whatever other tests do meanwhile; of each job with several, a helper
    /// runs a task at least.
    ///
    /// # Panics
    /// With several threads, when `f` gave the pool no job: then nothing was tested.
    pub(crate) fn with_threads<R>(n: usize, f: impl FnOnce() -> R) -> R {
        struct Reset;
        impl Drop for Reset {
            fn drop(&mut self) {
                WAITS.set(false);
                set_threads(0);
            }
        }
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let _reset = Reset;
        set_threads(n);
        POOLED.set(0);
        WAITS.set(true);
        let result = f();
        assert!(n == 1 || POOLED.get() > 0, "no job ran on {n} threads");
        result
    }
}

#[cfg(test)]
mod tests {
    use super::testing::with_threads;
    use super::*;

    #[test]
    fn runs_each_task_once_with_any_number_of_threads() {
        for threads in [1, 2, 8] {
            with_threads(threads, || {
                for tasks in [0, 1, 2, 3, 100] {
                    for _ in 0..50 {
                        let counts: Vec<AtomicUsize> = (0..tasks).map(|_| 0.into()).collect();
                        for_each(tasks, |i| {
                            counts[i].fetch_add(1, Ordering::Relaxed);
                            for_each(3, |_| {}); // nested: on the calling thread
                        });
                        assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 1));
                    }
                }
            });
        }
    }

    #[test]
    fn passes_panics_on_and_goes_on() {
        for bad in [0, 63] {
            let caught = catch_unwind(|| {
                for_each(64, |i| {
                    if i == bad {
                        panic!("task")
                    }
                })
            });
            assert!(caught.is_err());
        }
        // Both the caller and a helper panic, each in a task of its own; nothing of that is left.
        with_threads(2, || {
            for _ in 0..20 {
                let both = std::sync::Barrier::new(2);
                let caught = catch_unwind(AssertUnwindSafe(|| {
                    for_each(2, |_| {
                        both.wait();
                        panic!("task")
                    })
                }));
                assert!(caught.is_err());
                for_each(64, |_| {});
            }
        });
        let sum = AtomicUsize::new(0);
        for_each(64, |i| {
            sum.fetch_add(i, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 64 * 63 / 2);
    }

    #[test]
    fn chunks_cover_the_slice() {
        // SAFETY: every element of each chunk is written.
        let v = unsafe {
            fill_chunks(1003, 10, SMALL, |start, part| {
                for (i, x) in part.iter_mut().enumerate() {
                    x.write(start + i);
                }
            })
        };
        assert!(v.iter().enumerate().all(|(i, &x)| i == x));
    }
}
