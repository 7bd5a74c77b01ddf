//! Whether what is asked for fits into the memory of the machine: found out with a little of it, before the start.

use crate::Usage;
use crate::observers::thousands;
use crate::process::kib;
use anyhow::{Result, bail};
use std::path::Path;

/// Growth from which the need of more can be told: less drowns in what the process takes for itself.
const TELLING: u64 = 64 << 20;

/// Refuses to make `n` of something that would not fit: `few` makes as many as it is told, twice as many each time,
/// until what they take can be seen. Where the system does not say, nothing is refused, nor on a GPU, whose own error
/// says what to do.
///
/// # Errors
/// Those of making; more than there is, in the words of `why`, which is given the need and what there is.
pub fn refuse_beyond(
    n: usize,
    few: &mut dyn FnMut(usize) -> Result<()>,
    why: impl Fn(&str) -> String,
) -> Result<()> {
    let (Some(available), Some(before)) = (available(), peak()) else {
        return Ok(());
    };
    let mut made = 1;
    while made < n {
        few(made)?;
        let Some(grown) = peak().map(|peak| peak.saturating_sub(before)) else {
            return Ok(());
        };
        if grown >= TELLING {
            let need = (grown as u128 * n as u128 / made as u128).min(u128::from(u64::MAX)) as u64;
            return refuse(need, available, why);
        }
        made *= 2;
    }
    Ok(())
}

/// Refuses what needs more bytes than there are, in the words of `why`. Where the system does not say, nothing is refused.
///
/// # Errors
/// More than there is.
pub fn require(need: u64, why: impl Fn(&str) -> String) -> Result<()> {
    available().map_or(Ok(()), |available| refuse(need, available, why))
}

fn refuse(need: u64, available: u64, why: impl Fn(&str) -> String) -> Result<()> {
    if need <= available {
        return Ok(());
    }
    let mib = |bytes: u64| thousands(bytes >> 20);
    let words = format!(
        "some {} MiB of memory, this machine has {} left",
        mib(need),
        mib(available)
    );
    bail!(Usage(why(&words)))
}

/// The largest memory of this process so far, in bytes.
fn peak() -> Option<u64> {
    kib("/proc/self/status", "VmHWM:").map(|kib| kib << 10)
}

/// Bytes that the machine can still give, or the group of processes that this one belongs to.
pub fn available() -> Option<u64> {
    let machine = kib("/proc/meminfo", "MemAvailable:").map(|kib| kib << 10);
    machine.into_iter().chain(of_group()).min()
}

/// What a container may still take: its limit less what it holds, but for what the system would give up.
fn of_group() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let rooms = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (kinds, group) = (fields.next()?, fields.next()?.trim_start_matches('/'));
        // The first names are those of version 2. A container may see its own group at the root.
        let (root, limit, held, spare) = match kinds {
            "" => (
                "/sys/fs/cgroup",
                "memory.max",
                "memory.current",
                "inactive_file",
            ),
            _ if kinds.split(',').any(|kind| kind == "memory") => (
                "/sys/fs/cgroup/memory",
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                "total_inactive_file",
            ),
            _ => return None,
        };
        let places = [Path::new(root).join(group), root.into()];
        let rooms = places.iter().filter_map(|place| {
            let read = |name: &str| std::fs::read_to_string(place.join(name)).ok();
            let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
            let stat = read("memory.stat").unwrap_or_default();
            let spare = stat
                .lines()
                .find_map(|line| line.strip_prefix(spare)?.trim().parse().ok());
            let held = number(held)?.saturating_sub(spare.unwrap_or(0));
            Some(number(limit)?.saturating_sub(held))
        });
        rooms.min()
    });
    rooms.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_from_a_little_of_it() {
        let made = std::cell::RefCell::new(Vec::new());
        let mut few = |n: usize| {
            // Four MiB a piece, each page of them touched.
            made.borrow_mut().push(n);
            let held = std::hint::black_box(vec![1u8; n << 22]);
            anyhow::ensure!(held.iter().step_by(4096).all(|x| *x == 1));
            Ok(())
        };
        let why = |need: &str| format!("too much: {need}");
        refuse_beyond(8, &mut few, why).expect("eight fit");
        assert_eq!(*made.borrow(), [1, 2, 4]);
        let said = refuse_beyond(1 << 30, &mut few, why).expect_err("four PiB");
        assert!(
            said.to_string().contains("MiB of memory, this machine has"),
            "{said}"
        );
        assert!(made.borrow().iter().all(|n| *n <= 1024), "{made:?}");
    }

    #[test]
    fn the_system_says_what_is_left() {
        let available = available().expect("a Linux system");
        assert!(available > 16 << 20, "{available}");
    }
}
