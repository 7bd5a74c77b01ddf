//! The shared libraries that a CUDA program opens when it first uses them: whether they are there.
//!
//! cudarc panics where one is missing, so whoever opens a device looks first. This stands in this crate
//! because opening a library is `unsafe`.

use libloading::Library;
use std::error::Error;
use std::ffi::c_int;
use std::path::{Path, PathBuf};

/// A library that cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The file names that were looked for, in the order of the search, in one phrase.
    pub looked_for: String,
    /// What the loader said of a file that is there and cannot be opened.
    pub said: Option<String>,
}

/// Versions in the names that cudarc tries after the name without one, in its order; names of other systems are
/// left out.
const VERSIONS: [&str; 6] = [".13", ".12", ".11", ".10", ".9", ".1"];

/// Looks for the library `lib<name>` as cudarc does, and gives the file that was opened.
///
/// The library stays open, so that it cannot vanish between this look and its first use.
///
/// # Errors
/// None of the names can be opened.
pub fn find(name: &str) -> Result<PathBuf, Missing> {
    let mut said = None;
    for version in [""].iter().chain(&VERSIONS) {
        let file = format!("lib{name}.so{version}");
        // SAFETY: opening runs the initialisers of NVIDIA's libraries, which ask nothing of their caller; cudarc
        // does the same at its first use.
        match unsafe { Library::new(&file) } {
            Ok(library) => {
                std::mem::forget(library);
                return Ok(mapped(&format!("lib{name}.so")).unwrap_or_else(|| file.into()));
            }
            Err(error) => {
                // What the loader said is below what this crate says of it.
                let error = error
                    .source()
                    .map_or_else(|| error.to_string(), ToString::to_string);
                // The loader names the file that is missing: another one than was asked for is a dependency.
                if said.is_none() && !absent(&error, &file) {
                    said = Some(error);
                }
            }
        }
    }
    Err(Missing {
        looked_for: format!("lib{name}.so and lib{name}.so{}", VERSIONS.join(", ")),
        said,
    })
}

/// Whether the loader's message says no more than that there is no such file.
fn absent(message: &str, file: &str) -> bool {
    message.starts_with(&format!("{file}: ")) && message.contains("No such file")
}

/// The file of an open library whose name begins so.
fn mapped(begins: &str) -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines()
        .filter_map(|line| line.find('/').and_then(|at| line.get(at..)))
        .map(Path::new)
        .find(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(begins))
        })
        .map(Path::to_path_buf)
}

/// The newest CUDA version that the driver can run, as 1000 · major + 10 · minor; none where it does not say.
pub fn driver_version() -> Option<u32> {
    type Get = unsafe extern "C" fn(*mut c_int) -> c_int;
    let mut version = 0;
    // SAFETY: the function has had this signature since CUDA 2.2, and may be called before `cuInit`.
    let status = unsafe {
        let library = ["libcuda.so", "libcuda.so.1"]
            .into_iter()
            .find_map(|name| Library::new(name).ok())?;
        let get = library.get::<Get>(b"cuDriverGetVersion\0").ok()?;
        get(&mut version)
    };
    u32::try_from(version).ok().filter(|_| status == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_an_error_with_the_names_that_were_looked_for() {
        let missing = find("no-such-library").unwrap_err();
        let looked_for =
            "libno-such-library.so and libno-such-library.so.13, .12, .11, .10, .9, .1";
        assert_eq!(missing.looked_for, looked_for);
        assert_eq!(missing.said, None);
    }

    #[test]
    fn a_library_that_is_there_is_named_by_its_file() {
        match find("gcc_s") {
            Ok(path) => assert!(path.is_absolute(), "{}", path.display()),
            Err(missing) => assert!(missing.said.is_some(), "{missing:?}"),
        }
    }

    #[test]
    fn only_a_file_that_is_not_there_is_absent() {
        let no = "cannot open shared object file: No such file or directory";
        assert!(absent(&format!("libx.so: {no}"), "libx.so"));
        assert!(!absent(&format!("liby.so: {no}"), "libx.so"));
        assert!(!absent("libx.so: file too short", "libx.so"));
    }
}
