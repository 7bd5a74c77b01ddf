//! What becomes of pictures of all sizes, and where they are held.

use super::super::tests::{grey, open, png, seen, three_ways, whole};
use crate::data::idx;
use crate::data::images::Album;
use crate::data::{Choice, Reading, Small, Split, View};
use crate::{Checkpoint, FileError, Weights};
use image::ExtendedColorType;

/// Pictures of this side as a folder of files, and others beside them.
fn among_others(others: &[(&str, (u32, u32))]) -> (tempfile::TempDir, [std::path::PathBuf; 3]) {
    let ramp = |n: usize, i: usize| (0..n).map(|k| (k * 7 + i * 13) as u8).collect::<Vec<_>>();
    let mut files: Vec<(String, Vec<u8>)> = (0..40)
        .map(|i| {
            let picture = png(&ramp(64 * 64, i), (64, 64), ExtendedColorType::L8);
            (format!("{i:02}.png"), picture)
        })
        .collect();
    for (name, (w, h)) in others {
        let picture = png(&ramp((w * h) as usize, 3), (*w, *h), ExtendedColorType::L8);
        files.push((name.to_string(), picture));
    }
    let files: Vec<_> = files.iter().map(|(n, c)| (n.as_str(), c.clone())).collect();
    three_ways(&files)
}

#[test]
fn a_small_picture_is_named_and_nothing_else_changes() {
    let square = |small| {
        let mut how = Reading::new(View::square(32));
        how.small = small;
        how
    };
    let (_dir, paths) = among_others(&[]);
    let plain = seen(&paths[0], Split::Train, &square(Small::Refuse))
        .expect("a set")
        .0;
    for (name, size, says) in [
        ("20a.png", (1, 1), "20a.png (1 wide, 1 high)"),
        ("20a.png", (16, 16), "20a.png (16 wide, 16 high)"),
        ("zz.png", (600, 10), "zz.png (600 wide, 10 high)"),
    ] {
        let (_dir, paths) = among_others(&[(name, size)]);
        for path in &paths {
            let error = seen(path, Split::Train, &square(Small::Refuse)).map(drop);
            let error = error.expect_err("too small").to_string();
            for words in [
                "holds 1 picture ",
                says,
                "--enlarge",
                "--skip-small",
                "32 pixels",
            ] {
                assert!(error.contains(words), "{words:?} is missing in {error}");
            }
            let (skipped, notes) = seen(path, Split::Train, &square(Small::Skip)).expect("a set");
            assert!(
                notes.join("\n").contains("1 of 41 pictures are left out"),
                "{notes:?}"
            );
            let (enlarged, notes) =
                seen(path, Split::Train, &square(Small::Enlarge)).expect("a set");
            assert!(notes.join("\n").contains("and are enlarged"), "{notes:?}");
            assert_eq!((skipped.info().len, enlarged.info().len), (40, 41));
            let at = if name == "zz.png" { 40 } else { 21 };
            for i in 0..40 {
                assert_eq!(whole(&skipped, i), whole(&plain, i));
                assert_eq!(whole(&enlarged, i + usize::from(i >= at)), whole(&plain, i));
            }
            assert_eq!(whole(&enlarged, at).len(), 32 * 32);
        }
    }
    let (_dir, paths) = three_ways(&[("1.png", grey(1))]);
    let error = seen(&paths[0], Split::Train, &square(Small::Skip)).map(drop);
    assert!(
        error
            .expect_err("nothing is left")
            .to_string()
            .contains("has no picture")
    );
}

#[test]
fn sets_that_memory_does_not_hold_are_the_same_from_a_file() {
    let (_dir, paths) = among_others(&[("a.png", (90, 120)), ("b.png", (200, 80))]);
    for view in [View::square(48), View::jittered(40, 8), View::crop(64)] {
        let read = |memory| {
            let mut how = Reading::new(view);
            how.memory = memory;
            seen(&paths[0], Split::Train, &how).expect("a set")
        };
        let ((held, quiet), (packed, said)) = (read(1 << 30), read(1000));
        assert!(
            said.join("\n").contains("temporary file") && !quiet.join("\n").contains("temporary")
        );
        assert_eq!(held.sha256(), packed.sha256());
        for i in 0..42 {
            assert_eq!(held.size(i), packed.size(i));
            let choice = Choice {
                y: 0.7,
                x: 0.2,
                ..Choice::MIDDLE
            };
            let part = view.cut(held.size(i), choice).expect("a square");
            let [mut a, mut b] = [Vec::new(), Vec::new()];
            held.read(i, part, &mut a).expect("a part");
            packed.read(i, part, &mut b).expect("a part");
            assert_eq!(a, b);
        }
    }
    let mut how = Reading::new(View::square(48));
    (how.memory, how.cache) = (0, Some("/nowhere/at/all".into()));
    let error = seen(&paths[0], Split::Train, &how)
        .map(drop)
        .expect_err("no folder");
    assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
}

/// A named pipe would be waited for without end.
#[test]
fn what_is_no_regular_file_is_named() {
    let (_dir, paths) = three_ways(&[("1.png", grey(1))]);
    let pipe = paths[0].join("2.png");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo").success());
    let named = |error: FileError| {
        let error = error.to_string();
        assert!(
            error.contains("2.png") && error.contains("regular file"),
            "{error}"
        );
    };
    named(open(&pipe, Split::Train).map(drop).expect_err("a pipe"));
    named(Album::open(&pipe).map(drop).expect_err("a pipe"));
    named(Weights::read(&pipe).map(drop).expect_err("a pipe"));
    named(Checkpoint::read(&pipe).map(drop).expect_err("a pipe"));
    named(idx::read(&pipe).map(drop).expect_err("a pipe"));
}

/// What is held and what is decoded lie in memory at once.
#[test]
fn room_to_decode_in_is_a_part_of_the_memory() {
    let files = [("a.png", grey(1)), ("b.png", grey(2))];
    let largest = files.iter().map(|(_, file)| file.len()).max();
    // Two pictures of 4 bytes are held; a file and three copies of what is in it are read.
    let needed = (2 * 4 + largest.expect("two files") + 3 * 4) as u64;
    let (_dir, paths) = three_ways(&files);
    let notes = |path, memory| {
        let mut how = Reading::new(View::whole());
        how.memory = memory;
        seen(path, Split::Train, &how).expect("a set").1.join("\n")
    };
    for path in &paths {
        assert_eq!(notes(path, needed), "");
        let said = notes(path, needed - 1);
        assert!(said.contains("temporary file"), "{said}");
    }
}

/// The hash is of names and contents, so that a run of another size learns from the same data.
#[test]
fn a_set_on_disk_is_known_by_its_files() {
    let sha256 = |files: &[(&str, Vec<u8>)], view| {
        let (_dir, paths) = three_ways(files);
        let mut how = Reading::new(view);
        how.small = Small::Enlarge;
        let sums = paths.map(|path| {
            let set = seen(&path, Split::Train, &how).expect("a set").0;
            set.sha256().to_string()
        });
        assert_eq!((&sums[0], &sums[0]), (&sums[1], &sums[2]));
        sums[0].clone()
    };
    let files = [("a.png", grey(1)), ("b.png", grey(2))];
    let one = sha256(&files, View::whole());
    assert_eq!(one, sha256(&files, View::square(7)));
    assert_ne!(
        one,
        sha256(&[("a.png", grey(1)), ("c.png", grey(2))], View::whole())
    );
    assert_ne!(
        one,
        sha256(&[("a.png", grey(1)), ("b.png", grey(3))], View::whole())
    );
}
