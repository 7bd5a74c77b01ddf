//! `times.csv`: what a run has cost when its scalars were logged. It stands apart from the scalars, which are the same
//! for the same run, while times are not.

use super::{append, cut};
use crate::process::peak_rss_mib;
use candle_core::Result;
use cpu_time::ProcessTime;
use gan_core::{Event, Observer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

const HEAD: &str = "iteration,shown,seconds,cpu_seconds,peak_mib";

/// What a run has cost after an iteration, in all its processes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Iterations done.
    pub iteration: u64,
    /// Training pictures shown; a pair counts once.
    pub shown: u64,
    /// Seconds of training, what it draws and saves on the way included.
    pub seconds: f64,
    /// Processor seconds of all threads.
    pub cpu_seconds: f64,
    /// The largest resident memory of a process, in MiB; 0 where the system does not say.
    pub peak_mib: u64,
}

impl Cost {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(',');
        let cost = Self {
            iteration: fields.next()?.parse().ok()?,
            shown: fields.next()?.parse().ok()?,
            seconds: fields.next()?.parse().ok()?,
            cpu_seconds: fields.next()?.parse().ok()?,
            peak_mib: fields.next()?.parse().ok()?,
        };
        let is_whole = fields.next().is_none() && cost.seconds.is_finite();
        (is_whole && cost.cpu_seconds.is_finite()).then_some(cost)
    }
}

/// The iteration of a line without its end; that of the head is 0.
fn when(line: &str) -> Option<u64> {
    match line {
        HEAD => Some(0),
        _ => Cost::parse(line).map(|cost| cost.iteration),
    }
}

/// All that is known of a run's cost, in its order; nothing where it cannot be read.
pub fn read(path: &Path) -> Vec<Cost> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.lines().filter_map(Cost::parse).collect()
}

/// Writes the costs of a run.
#[derive(Debug)]
pub struct Times {
    path: PathBuf,
    /// What the run has cost up to where this process goes on.
    before: Cost,
    /// Pictures that this process has shown.
    shown: Arc<AtomicU64>,
    wall: Instant,
    cpu: ProcessTime,
    headed: bool,
    /// The iteration of the last line.
    last: Option<u64>,
}

impl Times {
    /// Goes on with the file, of which [`cut::cut`] leaves the lines up to `from`; `shown` counts the pictures of this
    /// process.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub fn open(path: &Path, from: u64, later: bool, shown: Arc<AtomicU64>) -> Result<Self> {
        // What is damaged here is no result of the run, and nothing is said of it.
        let (kept, _) = cut::cut(path, from, later, when)?;
        let kept = String::from_utf8_lossy(&kept);
        let last = kept.lines().filter_map(Cost::parse).next_back();
        Ok(Self {
            path: path.to_path_buf(),
            before: last.unwrap_or_default(),
            shown,
            wall: Instant::now(),
            cpu: ProcessTime::now(),
            headed: kept.starts_with(HEAD),
            last: None,
        })
    }

    fn write(&mut self, t: u64) -> Result<()> {
        if self.last == Some(t) {
            return Ok(());
        }
        let head = match self.headed {
            true => String::new(),
            false => format!("{HEAD}\n"),
        };
        let line = format!(
            "{head}{t},{},{:.3},{:.3},{}\n",
            self.before.shown + self.shown.load(Ordering::Relaxed),
            self.before.seconds + self.wall.elapsed().as_secs_f64(),
            self.before.cpu_seconds + self.cpu.elapsed().as_secs_f64(),
            self.before.peak_mib.max(peak_rss_mib().unwrap_or(0)),
        );
        append(&self.path, &line)?;
        (self.headed, self.last) = (true, Some(t));
        Ok(())
    }
}

impl Observer for Times {
    fn on(&mut self, event: &Event<'_>) -> Result<()> {
        match event {
            Event::Started { .. } => {
                (self.wall, self.cpu) = (Instant::now(), ProcessTime::now());
                Ok(())
            }
            // Where it goes on from a checkpoint, the line of that moment is wanted.
            Event::Logged { t, .. } | Event::Saved { t, .. } => self.write(*t),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_go_on_where_a_run_goes_on() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("times.csv");
        let goes_on = |from, to: u64| {
            let shown = Arc::new(AtomicU64::new(0));
            let mut times = Times::open(&path, from, false, Arc::clone(&shown)).expect("a file");
            for t in from + 1..=to {
                shown.fetch_add(32, Ordering::Relaxed);
                times
                    .on(&Event::Logged { t, scalars: &[] })
                    .expect("a line");
            }
        };
        goes_on(0, 3);
        std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + "4,9").unwrap();
        goes_on(2, 4);
        let costs = read(&path);
        let (mut shown, mut seconds) = (Vec::new(), 0.);
        for cost in &costs {
            assert!(cost.seconds >= seconds, "{costs:?}");
            seconds = cost.seconds;
            shown.push((cost.iteration, cost.shown));
        }
        assert_eq!(shown, [(1, 32), (2, 64), (3, 96), (4, 128)]);
        std::fs::write(&path, "iteration,shown\n1,2,nan,0,0\n1,2,3,4,5,6\n").unwrap();
        assert_eq!(read(&path), []);
    }
}
