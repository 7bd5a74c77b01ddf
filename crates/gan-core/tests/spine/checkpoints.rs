//! Damage anywhere is seen; a killed process loses nothing.

use crate::run::{TOYS, Tape, file, run};
use crate::toys::CRITIC;
use gan_core::{Checkpoint, Store};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn every_bit_counts() {
    let dir = tempfile::tempdir().unwrap();
    run(&CRITIC, 1, dir.path(), &[]).go(0, 3, &mut Tape::default());
    let path = file(dir.path(), 3);
    let whole = std::fs::read(&path).unwrap();
    let damaged = dir.path().join("damaged");
    let refuse = |bytes: &[u8], what: &str| {
        std::fs::write(&damaged, bytes).unwrap();
        assert!(Checkpoint::read(&damaged).is_err(), "{what}");
    };
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    let mut flipped = whole.clone();
    for i in 0..whole.len() {
        // Each bit of the header; of the numbers one bit a byte, each position in turn.
        for bit in 0..8 {
            if i < header || i % 8 == bit {
                flipped[i] ^= 1 << bit;
                refuse(&flipped, &format!("bit {bit} of byte {i}"));
                flipped[i] ^= 1 << bit;
            }
        }
    }
    for n in (0..whole.len()).step_by(7) {
        refuse(&whole[..n], &format!("cut to {n} bytes"));
    }
    refuse(&[&whole[..], &[0]].concat(), "a byte too many");
    assert_eq!(Checkpoint::read(&path).unwrap().header.iteration, 3);
}

#[test]
fn a_write_that_was_cut_off_is_cleaned_up_and_old_checkpoints_go() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = run(&CRITIC, 1, dir.path(), &[]);
    first.store = Store::open(dir.path(), 0, 2, header(&first)).unwrap();
    first.go(0, 12, &mut Tape::default());
    let kept: Vec<_> = Store::list(dir.path())
        .unwrap()
        .into_iter()
        .map(|(t, _)| t)
        .collect();
    assert_eq!(kept, [9, 12]);
    std::fs::write(dir.path().join(".saving-abc"), "half a checkpoint").unwrap();
    Store::open(dir.path(), 9, 2, header(&first)).unwrap();
    assert!(!dir.path().join(".saving-abc").exists());
    // A run that goes on from 9 sets what comes after it aside; its own saves are not pruned for it.
    let list = || {
        Store::list(dir.path())
            .unwrap()
            .into_iter()
            .map(|(t, _)| t)
            .collect::<Vec<_>>()
    };
    assert_eq!(list(), [9]);
    assert!(
        dir.path()
            .join("step-00000012.safetensors.abandoned")
            .exists()
    );
    first.go(9, 11, &mut Tape::default());
    assert_eq!(list(), [9, 11]);
}

#[test]
fn state_that_is_not_finite_is_not_saved_and_what_was_saved_stands() {
    for (number, word) in [(f32::INFINITY, "inf"), (f32::NAN, "NaN")] {
        let dir = tempfile::tempdir().unwrap();
        let mut run = run(&CRITIC, 1, dir.path(), &[]);
        run.store = Store::open(dir.path(), 0, 1, header(&run)).unwrap();
        run.go(0, 3, &mut Tape::default());
        let whole = std::fs::read(file(dir.path(), 3)).unwrap();
        let mut broken = None;
        for (name, part) in run.algorithm.parts() {
            if let (Some(params), None) = (part.params(), &broken) {
                let (key, var) = params.all().into_iter().next_back().unwrap();
                var.set(&var.affine(0., f64::from(number)).unwrap())
                    .unwrap();
                broken = Some((name.to_string(), key));
            }
        }
        let (part, key) = broken.unwrap();
        let said = run.store.save(4, &mut *run.algorithm, &run.source);
        let said = said.unwrap_err().to_string();
        let stands = file(dir.path(), 3);
        for word in [
            format!("after 4 iterations is not finite: {key} of part {part} holds {word}"),
            format!("{} stands", stands.display()),
        ] {
            assert!(said.contains(&word), "{word:?} is missing in {said}");
        }
        assert!(!file(dir.path(), 4).exists());
        assert!(std::fs::read(stands).unwrap() == whole);
    }
}

#[test]
fn a_folder_that_another_run_has_made_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("checkpoints");
    let mut old = run(&CRITIC, 1, &place, &[]);
    old.store = Store::open(&place, 0, 1, header(&old)).unwrap();
    old.go(0, 3, &mut Tape::default());
    let mut save = |t| {
        let said = old.store.save(t, &mut *old.algorithm, &old.source);
        said.unwrap_err().to_string()
    };
    std::fs::rename(&place, dir.path().join("moved")).unwrap();
    let said = save(4);
    assert!(said.contains("removed or renamed"), "{said}");
    let mut new = run(&CRITIC, 1, &place, &[]);
    new.go(0, 6, &mut Tape::default());
    let list = |dir: &Path| -> Vec<u64> {
        let list = Store::list(dir).unwrap();
        list.into_iter().map(|(t, _)| t).collect()
    };
    let whole = list(&place);
    let said = save(9);
    assert!(said.contains("another has taken its place"), "{said}");
    assert_eq!(list(&place), whole);
    assert_eq!(list(&dir.path().join("moved")), [3]);
}

#[test]
fn a_checkpoint_of_a_newer_version_is_called_so_and_nothing_goes_on_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = run(&CRITIC, 1, dir.path(), &[]);
    run.go(0, 6, &mut Tape::default());
    let newest = file(dir.path(), 6);
    let whole = std::fs::read(&newest).unwrap();
    let at = |what: &[u8]| whole.windows(what.len()).position(|w| w == what).unwrap();
    let mut newer = whole.clone();
    let what = br#"{\"format\":2,"#;
    newer[at(what) + what.len() - 2] = b'7';
    // What it calls its own things, this version cannot know.
    let key = br#"\"seed\""#;
    newer[at(key) + 2] = b'z';
    std::fs::write(&newest, &newer).unwrap();
    for said in [
        Checkpoint::read(&newest).unwrap_err().to_string(),
        Store::newest(dir.path()).unwrap_err().to_string(),
    ] {
        assert!(said.contains("a newer version"), "{said}");
        assert!(said.contains("format 7") && !said.contains("damaged"));
    }
    assert!(std::fs::read(&newest).unwrap() == newer);
}

fn header(run: &crate::run::Run) -> gan_core::Header {
    let (data, _) = crate::run::data(run.recipe);
    let length = gan_core::Length::of(crate::run::STEPS);
    gan_core::Header::new(run.recipe.info().name, 1, length, &run.config, &data)
}

const CHILD: &str = "GAN_TEST_TOY";
const STEPS: u64 = 200;

/// Not a test: trains a toy from its newest checkpoint until it is killed or done.
#[test]
#[ignore = "started by other tests only"]
fn as_a_program() {
    let Ok(args) = std::env::var(CHILD) else {
        return;
    };
    let (name, dir) = args.split_once(' ').unwrap();
    let recipe = TOYS.iter().find(|toy| toy.info().name == name).unwrap();
    let mut run = run(*recipe, 1, Path::new(dir), &[]);
    let from = match Store::newest(Path::new(dir)).unwrap() {
        (Some(newest), damaged) if damaged.is_empty() => run.resume(&newest.path),
        (None, damaged) if damaged.is_empty() => 0,
        (_, damaged) => panic!("{damaged:?}"),
    };
    run.go(from, STEPS, &mut Tape::default());
}

fn killed(kills: u32) {
    for recipe in TOYS {
        let name = recipe.info().name;
        let (whole, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let child = |dir: &Path| {
            Command::new(std::env::current_exe().unwrap())
                .args([
                    "--exact",
                    "checkpoints::as_a_program",
                    "--ignored",
                    "--quiet",
                ])
                .env(CHILD, format!("{name} {}", dir.display()))
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        };
        let start = Instant::now();
        assert!(child(whole.path()).wait().unwrap().success());
        let took = start.elapsed();
        let (mut done, mut random) = (0, 0x2545_f491_4f6c_dd1du64);
        while done < kills {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let mut process = child(dir.path());
            std::thread::sleep(Duration::from_secs_f64(
                took.as_secs_f64() * (random >> 40) as f64 / (1u64 << 24) as f64,
            ));
            done += u32::from(process.try_wait().unwrap().is_none());
            process.kill().unwrap();
            process.wait().unwrap();
            if file(dir.path(), STEPS).exists() {
                compare(name, whole.path(), dir.path());
                for (_, path) in Store::list(dir.path()).unwrap() {
                    std::fs::remove_file(path).unwrap();
                }
            }
        }
        assert!(child(dir.path()).wait().unwrap().success());
        compare(name, whole.path(), dir.path());
    }
}

fn compare(name: &str, whole: &Path, dir: &Path) {
    let [a, b] = [whole, dir].map(|dir| std::fs::read(file(dir, STEPS)).unwrap());
    assert!(a == b, "{name}: other bytes after a kill");
}

#[test]
fn killed_three_times() {
    killed(3);
}

#[test]
#[ignore = "long: 50 kills a toy"]
fn killed_fifty_times() {
    killed(50);
}
