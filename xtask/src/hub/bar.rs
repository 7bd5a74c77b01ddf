//! A bar for what is being fetched: on a terminal it moves, elsewhere a line says what begins.

use crate::observers::progress_bar;
use gan_core::hub::Step;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};

/// Shows steps, or nothing where it is to be quiet.
pub fn fetching_bar(quiet: bool) -> impl Fn(Step<'_>) + Sync {
    let bar = std::io::stderr().is_terminal().then(|| {
        let style = ProgressStyle::with_template(
            "{msg}  {bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  ETA {eta}",
        );
        let bar = ProgressBar::new(0);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar
    });
    let counts = progress_bar(quiet);
    let begun = Mutex::new(String::new());
    move |step| match step {
        _ if quiet => {}
        Step::Waiting => warn!("another process fetches the same; waiting for it"),
        Step::Counting { what, done, all } => counts(what, done, all),
        Step::Fetching { name, here, all } => {
            let mut begun = begun.lock().unwrap_or_else(PoisonError::into_inner);
            let is_new = *begun != name;
            if is_new {
                *begun = name.to_string();
            }
            match &bar {
                Some(bar) => {
                    if is_new {
                        bar.reset(); // the next of several
                        bar.set_message(gan_core::shortened(name, 40));
                    }
                    bar.set_length(all.unwrap_or(here));
                    bar.set_position(here);
                    if all == Some(here) {
                        bar.finish_and_clear();
                    }
                }
                None if is_new => {
                    let size = all.map_or(String::new(), |all| format!(", {}", HumanBytes(all)));
                    let from = match here {
                        0 => String::new(),
                        here => format!(", {} of it are here", HumanBytes(here)),
                    };
                    warn!("fetching {name}{size}{from}");
                }
                None => {}
            }
        }
    }
}
