//! Whoever wants to see a run: terminal, files, a user's own program.

use candle_core::{Result, Tensor};
use std::path::Path;

/// What happens in a run, in this order within an iteration. `t` counts the iterations that are done.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The loop begins; `from` iterations were done before.
    Started {
        /// Iterations done before.
        from: u64,
        /// Iterations of the whole run.
        steps: u64,
    },
    /// An iteration has ended.
    Stepped {
        /// Iterations done.
        t: u64,
    },
    /// The scalars of an iteration that is logged.
    Logged {
        /// Iterations done.
        t: u64,
        /// Names and values.
        scalars: &'a [(String, f32)],
    },
    /// Pictures of the fixed noise or inputs.
    Sampled {
        /// Iterations done.
        t: u64,
        /// Named columns of pictures `[n, c, h, w]` in [−1, 1].
        columns: &'a [(&'a str, Tensor)],
    },
    /// Something that the loop or an observer has to say, in one sentence.
    Noted {
        /// Iterations done.
        t: u64,
        /// The sentence.
        text: &'a str,
    },
    /// A checkpoint is about to be written: what is buffered is written first, so that no log ends before it.
    Saving {
        /// Iterations done.
        t: u64,
    },
    /// A checkpoint was written.
    Saved {
        /// Iterations done.
        t: u64,
        /// The checkpoint.
        path: &'a Path,
    },
    /// The loop was asked to end on the way, and its state was saved: what the generator makes now. No part of the
    /// run's course.
    Interrupted {
        /// Iterations done.
        t: u64,
        /// Named columns of pictures `[n, c, h, w]` in [−1, 1].
        columns: &'a [(&'a str, Tensor)],
    },
    /// The loop has ended.
    Ended {
        /// Iterations done.
        t: u64,
    },
}

/// Sees a run's events. An error ends the run.
pub trait Observer {
    /// Called for every event.
    fn on(&mut self, event: &Event<'_>) -> Result<()>;

    /// What it has to say after an event, a sentence each: all observers are told by [`Event::Noted`].
    fn said(&mut self) -> Vec<String> {
        Vec::new()
    }
}
