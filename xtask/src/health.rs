//! Whether a run has fallen apart, as far as its losses show it: what was seen, in one sentence.

use crate::observers::{csv, minimised, thousands};
use std::collections::BTreeMap;
use std::path::Path;

/// A minimised loss of this size is beyond reason: the papers' own stay below a thousand.
const BEYOND: f32 = 1e5;
/// A judge's loss that stays below this has nothing left to learn.
const PINNED: f32 = 1e-4;
/// Records that are looked at, the last of the run, and as many as it takes at least to say something.
const LOOKED_AT: usize = 10;
const ENOUGH: usize = 5;

/// What is to be said of a run's losses at its end.
///
/// Looked at is what was logged of the minimised losses (`loss/NAME/NAME`), so that a run that was stopped and went on
/// is judged as one that was not.
pub fn seen(scalars: &Path) -> Option<String> {
    judged(&csv::read(scalars))
}

fn judged(records: &[(u64, String, f32)]) -> Option<String> {
    let mut losses: BTreeMap<&str, Vec<f32>> = BTreeMap::new();
    for (_, name, value) in records {
        if let Some(update) = minimised(name) {
            losses.entry(update).or_default().push(*value);
        }
    }
    let last = |values: &[f32]| {
        values
            .iter()
            .rev()
            .take(LOOKED_AT)
            .copied()
            .collect::<Vec<_>>()
    };
    // A critic's loss is a distance, which may be as small as it likes.
    let is_critic = records
        .iter()
        .any(|(_, name, _)| name.starts_with("wasserstein"));
    let mut said = Vec::new();
    for (update, values) in &losses {
        let values = last(values);
        let Some(&newest) = values.first() else {
            continue;
        };
        let same = values.iter().all(|value| *value == newest);
        let small = values.iter().all(|value| value.abs() < PINNED);
        if newest.abs() >= BEYOND {
            said.push(format!("loss_{update} is {} at the end", size(newest)));
        } else if values.len() >= ENOUGH && !is_critic && small {
            said.push(format!("loss_{update} stays below {PINNED}"));
        } else if values.len() >= ENOUGH && same {
            said.push(format!("loss_{update} stays at {newest}"));
        }
    }
    match said.is_empty() {
        true => None,
        false => Some(format!(
            "{}: the run may have fallen apart; look at its last pictures",
            said.join(", ")
        )),
    }
}

/// A large number for people.
fn size(value: f32) -> String {
    let sign = if value < 0. { "-" } else { "" };
    match value.abs() {
        x if x < 1e15 => format!("{sign}{}", thousands(x as u64)),
        x => format!("{sign}{x:e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(names: &[(&str, &dyn Fn(u64) -> f32)]) -> Option<String> {
        let lines = (1..=20).flat_map(|t| {
            let at = names.iter();
            at.map(move |(name, value)| (10 * t, name.to_string(), value(t)))
        });
        judged(&lines.collect::<Vec<_>>())
    }

    #[test]
    fn losses_beyond_reason_and_pinned_ones_are_told() {
        let text = said(&[
            ("loss/g/g", &|t| 468_691.5 * t as f32),
            ("loss/d/d", &|_| 0.),
            ("loss/d/d_real", &|_| 1e9),
        ])
        .expect("said");
        for words in ["loss_g is 9,373,830", "loss_d stays below 0.0001"] {
            assert!(text.contains(words), "{text}");
        }
        let text = said(&[("loss/d/d", &|_| 50.)]).expect("said");
        assert!(text.contains("loss_d stays at 50"), "{text}");
        let text = said(&[("loss/d_x/d_x", &|t| -1e30 * t as f32)]).expect("said");
        assert!(text.contains("loss_d_x is -2e31"), "{text}");
    }

    #[test]
    fn usual_losses_are_not() {
        let wave = |t: u64| 0.3 + 0.1 * (t as f32).sin();
        assert_eq!(said(&[("loss/g/g", &wave), ("loss/d/d", &wave)]), None);
        // An L1 term times 100; a critic of which little is left; one update of several in a step.
        assert_eq!(said(&[("loss/g/g", &|t| 60. + wave(t))]), None);
        assert_eq!(
            said(&[("wasserstein", &wave), ("loss/d/d", &|t| 1e-6 * wave(t))]),
            None
        );
        assert_eq!(
            said(&[
                ("wasserstein/d_x", &wave),
                ("loss/d_x2/d_x", &|t| 1e-6 * wave(t))
            ]),
            None
        );
        assert_eq!(
            said(&[("loss/g/g", &|t| 900. * wave(t)), ("wasserstein", &|_| 0.)]),
            None
        );
        // Too few records for a judgement.
        let few: Vec<_> = (1..4).map(|t| (t, "loss/d/d".to_string(), 0.)).collect();
        assert_eq!(judged(&few), None);
        assert_eq!(judged(&[]), None);
    }
}
