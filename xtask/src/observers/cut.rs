//! Logs of lines, cut to where a run goes on. What is more than the end of a run that was killed is kept aside.

use gan_core::FileError;
use gan_core::whole::{set_aside, write_whole};
use std::path::Path;

/// The bytes of a log that is there; none where there is none.
fn bytes(path: &Path) -> Result<Vec<u8>, FileError> {
    match std::fs::read(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read.map_err(|e| FileError::reading(path, &e)),
    }
}

/// The iteration of a line, which `when` tells of one that is whole.
fn iteration(line: &[u8], when: fn(&str) -> Option<u64>) -> Option<u64> {
    let line = std::str::from_utf8(line).ok()?;
    when(line.strip_suffix('\n')?)
}

/// The last iteration that a log holds.
///
/// # Errors
/// A file that cannot be read.
pub fn last(path: &Path, when: fn(&str) -> Option<u64>) -> Result<Option<u64>, FileError> {
    let bytes = bytes(path)?;
    let lines = bytes.split_inclusive(|&byte| byte == b'\n');
    Ok(lines.filter_map(|line| iteration(line, when)).max())
}

/// Removes the lines of a log that are past iteration `from`, and those that are not whole. Gives what is kept, and
/// what is to be said.
///
/// A run that is killed leaves, after its lines up to the checkpoint, lines past it and a torn one: these will be
/// written again and are gone. A damaged line among others, or one past the checkpoint before others, is no such end:
/// what is removed is kept aside then, and where a run leaves `later` checkpoints behind.
///
/// # Errors
/// A file that cannot be read or written.
pub fn cut(
    path: &Path,
    from: u64,
    later: bool,
    when: fn(&str) -> Option<u64>,
) -> Result<(Vec<u8>, Option<String>), FileError> {
    let bytes = bytes(path)?;
    let (mut kept, mut removed, mut ranks) = (Vec::new(), Vec::new(), Vec::new());
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        let rank = match iteration(line, when) {
            Some(t) if t <= from => 0,
            Some(_) => 1,
            None => 2,
        };
        ranks.push(rank);
        match rank {
            0 => kept.extend_from_slice(line),
            _ => removed.extend_from_slice(line),
        }
    }
    if removed.is_empty() {
        return Ok((kept, None));
    }
    let nothing_good = ranks.first() == Some(&2) && ranks.len() > 1;
    let mut note = None;
    if later || nothing_good || !ranks.is_sorted() {
        let aside = set_aside(path, &removed)?;
        let lines = ranks.iter().filter(|rank| **rank > 0).count();
        note = Some(format!(
            "{lines} line{} of {} that {} damaged or past iteration {from} {} kept in {}",
            if lines == 1 { "" } else { "s" },
            path.display(),
            if lines == 1 { "is" } else { "are" },
            if lines == 1 { "is" } else { "are" },
            aside.display()
        ));
    }
    write_whole(path, |file| std::fs::write(file, &kept))?;
    Ok((kept, note))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn when(line: &str) -> Option<u64> {
        line.split_once(' ')?.0.parse().ok()
    }

    /// What is kept, and what is kept aside.
    fn after(text: &[u8], from: u64, later: bool) -> (Vec<u8>, Option<Vec<u8>>) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("log");
        std::fs::write(&path, text).expect("a file");
        let (kept, note) = cut(&path, from, later, when).expect("cut");
        assert_eq!(std::fs::read(&path).expect("a file"), kept);
        let aside = std::fs::read(dir.path().join("log.cut-0001")).ok();
        assert_eq!(note.is_some(), aside.is_some());
        assert!(note.is_none_or(|note| note.contains("log.cut-0001")));
        (kept, aside)
    }

    #[test]
    fn the_end_of_a_killed_run_is_cut_and_gone() {
        let whole = b"1 a\n2 b\n2 c\n";
        for end in [
            &b""[..],
            b"3 d\n",
            b"3 d\n4 e\n5",
            b"5",
            b"\0\0\0\0\0",
            b"3 d\n\xff\xfe\x80\n\0\n\xc3",
        ] {
            let text = [&whole[..], end].concat();
            assert_eq!(after(&text, 2, false), (whole.to_vec(), None), "{end:?}");
        }
        assert_eq!(after(b"", 2, false), (Vec::new(), None));
    }

    #[test]
    fn a_damaged_line_among_others_costs_itself_and_is_kept_aside() {
        for bad in [&b"9 b\n"[..], b"x b\n", b"\xff b\n", b"\0\0\0\n"] {
            let text = [b"1 a\n", bad, b"2 c\n3 d\n"].concat();
            let removed = [bad, b"3 d\n"].concat();
            assert_eq!(
                after(&text, 2, false),
                (b"1 a\n2 c\n".to_vec(), Some(removed))
            );
        }
        let foreign = b"someone's\nown\n";
        assert_eq!(
            after(foreign, 2, false),
            (Vec::new(), Some(foreign.to_vec()))
        );
        // Past an earlier checkpoint lies another course of the run.
        let (kept, aside) = after(b"1 a\n2 b\n3 c\n", 1, true);
        assert_eq!(
            (kept, aside),
            (b"1 a\n".to_vec(), Some(b"2 b\n3 c\n".to_vec()))
        );
    }

    #[test]
    fn nothing_that_is_kept_aside_is_written_over() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("log");
        for n in 1..=3 {
            std::fs::write(&path, format!("1 a\nbad{n}\n1 b\n")).expect("a file");
            cut(&path, 1, false, when).expect("cut");
            let aside = dir.path().join(format!("log.cut-000{n}"));
            assert_eq!(
                std::fs::read(aside).expect("a file"),
                format!("bad{n}\n").as_bytes()
            );
        }
        assert_eq!(last(&path, when).expect("a log"), Some(1));
        assert_eq!(last(&dir.path().join("none"), when).expect("no log"), None);
    }
}
