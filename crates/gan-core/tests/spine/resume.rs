//! Runs that are stopped go on to the same bytes; phases and clips reach what they should.

use crate::run::{Run, TOYS, Tape, file, run};
use crate::toys::grow::Phase;
use crate::toys::{CRITIC, GROW};
use candle_core::Result;
use gan_core::checkpoint::{self, Checkpoint};
use gan_core::{Event, Observer, Outcome};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn interrupted_anywhere_a_run_goes_on_to_the_same_bytes() {
    for recipe in TOYS {
        let name = recipe.info().name;
        let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut tape = Tape::default();
        assert_eq!(
            run(*recipe, 1, whole.path(), &[]).go(0, 12, &mut tape),
            Outcome::Done
        );
        // Every checkpoint of the whole run, taken up by a fresh instance with other initial weights.
        for from in [3, 6, 9] {
            let mut rest = run(*recipe, 1, parts.path(), &[]);
            let mut other = run(*recipe, 777, parts.path(), &[]);
            std::mem::swap(&mut rest.algorithm, &mut other.algorithm);
            assert_eq!(rest.resume(&file(whole.path(), from)), from);
            let mut after = Tape::default();
            rest.go(from, 12, &mut after);
            assert_eq!(
                std::fs::read(file(parts.path(), 12)).unwrap(),
                std::fs::read(file(whole.path(), 12)).unwrap(),
                "{name} resumed at {from}"
            );
            let want: Vec<_> = tape
                .0
                .iter()
                .filter(|(t, _, _)| *t > from)
                .cloned()
                .collect();
            assert_eq!(after.0, want, "{name} resumed at {from}");
        }
    }
}

#[test]
fn a_stop_ends_after_the_iteration_and_saves() {
    struct StopAt(u64, AtomicBool);
    impl Observer for &StopAt {
        fn on(&mut self, event: &Event<'_>) -> Result<()> {
            // The flag is set while iteration 7 is under way: when the 6th has been reported.
            if matches!(event, Event::Stepped { t } if *t + 1 == self.0) {
                self.1.store(true, Ordering::Relaxed);
            }
            Ok(())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let stop = StopAt(7, AtomicBool::new(false));
    let outcome = run(&GROW, 1, dir.path(), &[]).watched(0, 12, &stop.1, &mut &stop);
    assert_eq!(outcome, Outcome::Interrupted(7));
    assert!(file(dir.path(), 7).is_file());
}

#[test]
fn seeds_make_runs() {
    for recipe in TOYS {
        let bytes = |seed| {
            let dir = tempfile::tempdir().unwrap();
            run(*recipe, seed, dir.path(), &[]).go(0, 4, &mut Tape::default());
            let checkpoint = Checkpoint::read(&file(dir.path(), 4)).unwrap();
            let key = checkpoint
                .tensors()
                .keys()
                .find(|k| k.ends_with("weight"))
                .unwrap();
            (
                std::fs::read(file(dir.path(), 4)).unwrap(),
                checkpoint.tensors()[key]
                    .flatten_all()
                    .unwrap()
                    .to_vec1::<f32>()
                    .unwrap(),
            )
        };
        assert_eq!(bytes(1).0, bytes(1).0);
        assert_ne!(bytes(1).1, bytes(2).1);
    }
}

#[test]
fn a_phase_moves_only_what_it_uses() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = run(&GROW, 1, dir.path(), &[]);
    let start = checkpoint::state(&mut *run.algorithm, &run.source).unwrap();
    let start: BTreeMap<_, _> = start
        .into_iter()
        .map(|(k, t)| (k, t.copy().unwrap()))
        .collect();
    let moved = |run: &mut Run, key: &str| {
        let now = checkpoint::state(&mut *run.algorithm, &run.source).unwrap();
        let change = (&now[key] - &start[key])
            .unwrap()
            .abs()
            .unwrap()
            .sum_all()
            .unwrap();
        change.to_scalar::<f32>().unwrap() > 0.
    };
    assert_eq!((Phase::at(4), Phase::at(5)), (Phase::Low, Phase::High));
    run.go(0, 5, &mut Tape::default());
    for key in [
        "g.to_rgb.0.weight",
        "d.from_rgb.0.weight",
        "ema.to_rgb.0.weight",
        "ema.body.main.1.running_mean",
    ] {
        assert!(moved(&mut run, key), "{key} stood still");
    }
    for key in [
        "g.to_rgb.1.weight",
        "d.from_rgb.1.weight",
        "d.mid.weight",
        "ema.to_rgb.1.weight",
    ] {
        assert!(!moved(&mut run, key), "{key} moved");
    }
    run.go(5, 8, &mut Tape::default());
    for key in ["g.to_rgb.1.weight", "d.mid.weight", "ema.to_rgb.1.weight"] {
        assert!(moved(&mut run, key), "{key} stood still");
    }
}

#[test]
fn a_clip_reaches_parameters_and_spares_buffers() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = run(&CRITIC, 1, dir.path(), &[("smooth", "clip")]);
    run.go(0, 3, &mut Tape::default());
    let state = checkpoint::state(&mut *run.algorithm, &run.source).unwrap();
    let largest = |prefix: &str| {
        let values = state.iter().filter(|(key, _)| key.starts_with(prefix));
        let values = values.flat_map(|(_, t)| t.flatten_all().unwrap().to_vec1::<f32>().unwrap());
        values.fold(0f32, |m, x| m.max(x.abs()))
    };
    assert!(largest("d.") <= 0.1);
    assert!(largest("g.main.1.running_var") > 0.1);
}
