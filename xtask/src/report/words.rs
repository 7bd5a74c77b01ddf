//! What several parts of the page say in the same way.

use super::model::{Run, State};
use crate::observers::thousands;
use maud::{Markup, html};

/// A text that begins with a capital letter.
pub fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

/// How far a run is, in words.
pub fn status(run: &Run) -> String {
    let of = |done: u64| format!("iteration {} of {}", whole(done), whole(run.steps));
    match &run.state {
        State::Waiting => "waiting".into(),
        State::Training { done } => format!("training, {}", of(*done)),
        State::Stopped { done } => format!("stopped, {}", of(*done)),
        State::Measuring => "trained, being measured".into(),
        State::Done => format!("done, {} iterations", whole(run.steps)),
        State::Failed(why) => format!("failed: {why}"),
    }
}

/// A whole number with its thousands apart.
pub fn whole(n: u64) -> String {
    thousands(n)
}

/// A box that scrolls by itself where what is in it is wide, by the keyboard, too.
pub fn scrolled(name: &str, inside: &Markup) -> Markup {
    html! { div.box tabindex="0" role="region" aria-label={ "Table: " (name) } { (inside) } }
}
