//! Work on many pictures by several threads, and a bound on what these hold at once.

use crate::FileError;
use crate::data::Progress;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

/// Runs `each` on the numbers below `n` with as many threads as there are cores, and gives the results in
/// order; the first error, by number, ends it.
pub(super) fn in_parallel<T: Send>(
    what: &str,
    n: usize,
    progress: &Progress,
    each: impl Fn(usize) -> Result<T, FileError> + Sync,
) -> Result<Vec<T>, FileError> {
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let made: Mutex<Vec<Option<T>>> = Mutex::new((0..n).map(|_| None).collect());
    let failed: Mutex<Option<(usize, FileError)>> = Mutex::new(None);
    let work = || {
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= n {
                return;
            }
            match each(i) {
                Ok(value) => {
                    let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(slot) = made.get_mut(i) {
                        *slot = Some(value);
                    }
                }
                Err(error) => {
                    // Those before it are under way and may fail, too; those after it are left.
                    next.fetch_max(n, Ordering::Relaxed);
                    let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                    if failed.as_ref().is_none_or(|(first, _)| i < *first) {
                        *failed = Some((i, error));
                    }
                }
            }
            progress(what, done.fetch_add(1, Ordering::Relaxed) + 1, n);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 1..threads.min(n) {
            scope.spawn(work);
        }
        work();
    });
    if let Some((_, error)) = failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let made = made.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(made.into_iter().flatten().collect())
}

/// So many bytes.
pub(super) struct Room {
    all: u64,
    free: Mutex<u64>,
    freed: Condvar,
}

/// Bytes that are given back when this goes.
pub(super) struct Taken<'a> {
    room: &'a Room,
    bytes: u64,
}

impl Room {
    /// Room for this many.
    pub fn new(all: u64) -> Self {
        Self {
            all,
            free: Mutex::new(all),
            freed: Condvar::new(),
        }
    }

    /// Waits until there are so many left. What is larger than all of it takes all of it. A thread that holds some
    /// takes no more.
    pub fn take(&self, bytes: u64) -> Taken<'_> {
        let bytes = bytes.min(self.all);
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free < bytes {
            free = self
                .freed
                .wait(free)
                .unwrap_or_else(PoisonError::into_inner);
        }
        *free -= bytes;
        Taken { room: self, bytes }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        *self
            .room
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner) += self.bytes;
        self.room.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn threads_hold_no_more_than_there_is() {
        let (room, held, most) = (Room::new(10), AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for bytes in [3, 7, 4, 99, 1, 10, 5] {
                let (room, held, most) = (&room, &held, &most);
                scope.spawn(move || {
                    for _ in 0..50 {
                        let taken = room.take(bytes);
                        let now = held.fetch_add(taken.bytes, Ordering::SeqCst) + taken.bytes;
                        most.fetch_max(now, Ordering::SeqCst);
                        std::thread::yield_now();
                        held.fetch_sub(taken.bytes, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(most.into_inner(), 10);
        assert_eq!(*room.free.lock().expect("no thread failed"), 10);
    }
}
