//! The terminal: a bar with ETA and losses, or plain lines where it is not one.

use super::thousands;
use candle_core::Result;
use gan_core::{Event, Observer};
use indicatif::{ProgressBar, ProgressStyle};
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
                "{bar:30} {human_pos}/{human_len}  {per_sec}  ETA {eta}  {msg}",
            );
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
        }
    }

    fn line(&self, t: u64) -> String {
        let elapsed = self.start.elapsed();
        let done = (t - self.from).max(1) as f64;
        let left = elapsed.mul_f64((self.steps - t) as f64 / done);
        format!(
            "{:>7}/{}  {:.0} it/s  ETA {}  {}",
            thousands(t),
            thousands(self.steps),
            done / elapsed.as_secs_f64().max(1e-9),
            clock(left),
            self.losses
        )
    }
}

/// 1:02:03, or 2:03 below an hour.
fn clock(time: Duration) -> String {
    let s = time.as_secs();
    match s / 3600 {
        0 => format!("{}:{:02}", s / 60, s % 60),
        h => format!("{h}:{:02}:{:02}", s / 60 % 60, s % 60),
    }
}

/// The minimised loss of each update: `loss/d/d`, `loss/g/g`; the last of several critic updates.
fn losses(scalars: &[(String, f32)]) -> String {
    let shown = scalars.iter().filter_map(|(name, value)| {
        let (update, term) = name.strip_prefix("loss/")?.split_once('/')?;
        let plain = update.trim_end_matches(|c: char| c.is_ascii_digit());
        (term == update || term == plain).then_some((plain, value))
    });
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
    words.collect::<Vec<_>>().join("  ")
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
            Event::Stepped { t } => match &self.bar {
                Some(bar) => bar.set_position(*t),
                None if *t >= self.next && self.losses.is_empty() => {
                    warn!("{}", self.line(*t));
                    self.next += (self.steps - self.from).div_ceil(LINES);
                }
                None => {}
            },
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
        ];
        let scalars = scalars.map(|(name, value)| (name.to_string(), value));
        assert_eq!(
            losses(&scalars),
            "loss_d 2.000  loss_g 3.000  loss_d_x 4.000"
        );
    }

    #[test]
    fn times_are_readable() {
        assert_eq!(clock(Duration::from_secs(123)), "2:03");
        assert_eq!(clock(Duration::from_secs(3723)), "1:02:03");
        assert_eq!(thousands(14063), "14,063");
        assert_eq!(thousands(999), "999");
    }
}
