//! The terminal: a bar with ETA and losses, or plain lines where it is not one.

use super::{minimised, thousands};
use crate::process::peak_rss_mib;
use candle_core::Result;
use gan_core::{Event, Observer};
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use std::fmt;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Plain lines of a whole run, at most.
const LINES: u64 = 25;
/// How long the work before a run goes on without a line.
const SILENCE: Duration = Duration::from_secs(2);

/// Whether the standard error output is a terminal that can draw a bar, and not one that is asked for lines alone.
fn draws() -> bool {
    let term = std::env::var_os("TERM").unwrap_or_default();
    std::io::stderr().is_terminal() && !term.is_empty() && term != "dumb"
}

/// Shows progress on the standard error output.
pub struct Terminal {
    bar: Option<ProgressBar>,
    start: Instant,
    from: u64,
    steps: u64,
    next: u64,
    losses: String,
    /// When the last event came, while no iteration was timed yet.
    before: Option<Instant>,
}

impl Default for Terminal {
    fn default() -> Self {
        Self::new()
    }
}

impl Terminal {
    /// A bar on a terminal, lines otherwise.
    pub fn new() -> Self {
        let bar = draws().then(|| {
            let style = ProgressStyle::with_template(
                "{bar:30} {human_pos}/{human_len}  {rate}  ETA {eta}  {msg}",
            )
            .map(|style| {
                style.with_key(
                    "rate",
                    |state: &ProgressState, text: &mut dyn fmt::Write| {
                        // A text that cannot be written is not shown.
                        let _ = text.write_str(&rate(state.per_sec()));
                    },
                )
            });
            let bar = ProgressBar::new(0);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Self {
            bar,
            start: Instant::now(),
            from: 0,
            steps: 0,
            next: 0,
            losses: String::new(),
            before: None,
        }
    }

    /// How long the run may take, by its second iteration: the first one also waits for what is done once.
    fn expect(&mut self, t: u64) {
        match (t - self.from, self.before) {
            (1, _) => self.before = Some(Instant::now()),
            (2, Some(before)) => {
                let line = expected(before.elapsed(), self.steps - self.from);
                match &self.bar {
                    Some(bar) => bar.suspend(|| say!("{line}")),
                    None => say!("{line}"),
                }
                self.before = None;
            }
            _ => {}
        }
    }

    fn line(&self, t: u64) -> String {
        let elapsed = self.start.elapsed();
        let done = (t - self.from).max(1) as f64;
        let left = elapsed.mul_f64((self.steps - t) as f64 / done);
        format!(
            "{:>7}/{}  {}  ETA {}  {}",
            thousands(t),
            thousands(self.steps),
            rate(done / elapsed.as_secs_f64().max(1e-9)),
            clock(left),
            self.losses
        )
    }
}

/// Iterations a second, or seconds an iteration where that is below one.
fn rate(per_second: f64) -> String {
    match per_second {
        n if n >= 10. => format!("{n:.0} it/s"),
        n if n >= 1. => format!("{n:.1} it/s"),
        n if n > 0. => format!("{:.1} s/it", 1. / n),
        _ => "- it/s".into(),
    }
}

/// A line of the plan: the time and memory that a run of this many iterations takes, by one of them.
pub fn expected(iteration: Duration, steps: u64) -> String {
    let seconds = iteration.as_secs_f64();
    let whole = Duration::try_from_secs_f64(seconds * steps as f64).unwrap_or(Duration::MAX);
    let memory = peak_rss_mib().map_or(String::new(), |mib| {
        format!("; memory so far {} MiB", thousands(mib))
    });
    format!(
        "  time    some {} in all, by an iteration of {seconds:.2} s{memory}",
        clock(whole)
    )
}

/// 1:02:03, or 2:03 below an hour.
fn clock(time: Duration) -> String {
    let s = time.as_secs();
    match s / 3600 {
        0 => format!("{}:{:02}", s / 60, s % 60),
        h => format!("{h}:{:02}:{:02}", s / 60 % 60, s % 60),
    }
}

/// The minimised loss of each update: `loss/d/d`, `loss/g/g`; the last of several critic updates. Where there is a
/// critic, the distance that it estimates.
fn losses(scalars: &[(String, f32)]) -> String {
    let shown = scalars
        .iter()
        .filter_map(|(name, value)| Some((minimised(name)?, value)));
    let mut latest: Vec<(&str, &f32)> = Vec::new();
    for (name, value) in shown {
        match latest.iter_mut().find(|(known, _)| *known == name) {
            Some(slot) => slot.1 = value,
            None => latest.push((name, value)),
        }
    }
    let words = latest
        .iter()
        .map(|(name, value)| format!("loss_{name} {value:.3}"));
    let distance = scalars.iter().filter(|(name, _)| name == "wasserstein");
    let distance = distance.map(|(name, value)| format!("{name} {value:.3}"));
    words.chain(distance).collect::<Vec<_>>().join("  ")
}

impl Observer for Terminal {
    fn on(&mut self, event: &Event<'_>) -> Result<()> {
        match event {
            Event::Started { from, steps } => {
                (self.from, self.steps, self.start) = (*from, *steps, Instant::now());
                self.next = from + (steps - from).div_ceil(LINES);
                if let Some(bar) = &self.bar {
                    bar.set_length(*steps);
                    bar.set_position(*from);
                    bar.reset_eta();
                }
            }
            Event::Stepped { t } => {
                self.expect(*t);
                match &self.bar {
                    Some(bar) => bar.set_position(*t),
                    None if *t >= self.next && self.losses.is_empty() => {
                        warn!("{}", self.line(*t));
                        self.next += (self.steps - self.from).div_ceil(LINES);
                    }
                    None => {}
                }
            }
            Event::Logged { t, scalars } => {
                self.losses = losses(scalars);
                match &self.bar {
                    Some(bar) => bar.set_message(self.losses.clone()),
                    None if *t >= self.next => {
                        warn!("{}", self.line(*t));
                        self.next += (self.steps - self.from).div_ceil(LINES);
                    }
                    None => {}
                }
            }
            Event::Noted { text, .. } => match &self.bar {
                Some(bar) => bar.suspend(|| say!("  note    {text}")),
                None => say!("  note    {text}"),
            },
            Event::Ended { .. } => {
                if let Some(bar) = &self.bar {
                    bar.abandon();
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// A bar for the work before a run, on a terminal, or now and then a line; nothing where it is to be quiet.
pub fn progress_bar(quiet: bool) -> impl Fn(&str, usize, usize) + Sync {
    let bar = draws().then(|| {
        let style =
            ProgressStyle::with_template("{msg}  {bar:30} {human_pos}/{human_len}  ETA {eta}");
        let bar = ProgressBar::new(0);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar
    });
    let last = Mutex::new(Instant::now());
    move |what: &str, done: usize, all: usize| {
        if quiet {
            return;
        }
        match &bar {
            Some(bar) => {
                if bar.is_finished() {
                    bar.reset(); // the next of several
                }
                bar.set_length(all as u64);
                bar.set_position(done as u64);
                bar.set_message(what.to_string());
                if done == all {
                    bar.finish_and_clear();
                }
            }
            None => {
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                if last.elapsed() > SILENCE {
                    *last = Instant::now();
                    warn!(
                        "{what}: {} of {}",
                        thousands(done as u64),
                        thousands(all as u64)
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_those_minimised() {
        let scalars = [
            ("loss/d0/d", 1.),
            ("loss/d0/f_real", 7.),
            ("loss/d1/d", 2.),
            ("loss/g/g", 3.),
            ("loss/d_x/d_x", 4.),
            ("grad_norm/g", 9.),
            ("wasserstein", 0.25),
        ];
        let scalars = scalars.map(|(name, value)| (name.to_string(), value));
        assert_eq!(
            losses(&scalars),
            "loss_d 2.000  loss_g 3.000  loss_d_x 4.000  wasserstein 0.250"
        );
    }

    #[test]
    fn times_are_readable() {
        assert_eq!(clock(Duration::from_secs(123)), "2:03");
        assert_eq!(clock(Duration::from_secs(3723)), "1:02:03");
        assert_eq!(thousands(14063), "14,063");
        assert_eq!(thousands(999), "999");
        let rates = [250.4, 3.25, 0.999, 0.02, 0.].map(rate);
        assert_eq!(
            rates,
            ["250 it/s", "3.2 it/s", "1.0 s/it", "50.0 s/it", "- it/s"]
        );
        let line = expected(Duration::from_millis(500), 7200);
        assert!(
            line.starts_with("  time    some 1:00:00 in all, by an iteration of 0.50 s"),
            "{line}"
        );
        expected(Duration::MAX, u64::MAX);
    }
}
