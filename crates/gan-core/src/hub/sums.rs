//! What the contents of a file are to be, and what they are.

use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;

/// Bytes that are written at a time.
pub(super) const PIECE: usize = 1 << 16;

/// What the contents of a file are to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sum {
    /// SHA-256, in hexadecimal: all of it, or its first digits.
    Sha256(String),
    /// SHA-1 of the file as a blob of git, in hexadecimal.
    Git(String),
    /// Nobody says.
    Unknown,
}

impl Sum {
    /// The sum that a hub's ETag is: SHA-256 of large files, git's of others.
    pub fn of_etag(etag: &str) -> Self {
        let is_hex = etag.bytes().all(|b| b.is_ascii_hexdigit());
        match etag.len() {
            64 if is_hex => Sum::Sha256(etag.to_lowercase()),
            40 if is_hex => Sum::Git(etag.to_lowercase()),
            _ => Sum::Unknown,
        }
    }
}

/// What a file turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Its bytes.
    pub size: u64,
    /// SHA-256 of its contents, in hexadecimal.
    pub sha256: String,
}

/// The sums of a file as it comes in.
pub(super) struct Sums {
    sha256: Sha256,
    git: Option<Sha1>,
}

impl Sums {
    pub fn new(sum: &Sum, size: Option<u64>) -> Self {
        let git = match (sum, size) {
            (Sum::Git(_), Some(size)) => Some(Sha1::new_with_prefix(format!("blob {size}\0"))),
            _ => None,
        };
        Self {
            sha256: Sha256::new(),
            git,
        }
    }

    pub fn add(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(git) = &mut self.git {
            git.update(bytes);
        }
    }

    /// Adds what a file holds, to its end; gives its bytes.
    pub fn read(&mut self, file: &mut File) -> std::io::Result<u64> {
        let (mut piece, mut all) = (vec![0; PIECE], 0);
        loop {
            let n = file.read(&mut piece)?;
            if n == 0 {
                return Ok(all);
            }
            self.add(piece.get(..n).unwrap_or_default());
            all += n as u64;
        }
    }

    pub fn finish(self, sum: &Sum, size: u64) -> Result<Fetched, String> {
        let hex =
            |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
        let sha256 = hex(&self.sha256.finalize());
        let other = |what: &str, found: &str, wanted: &str| {
            Err(format!(
                "is not what it is to be: {what} {found}, expected {wanted}"
            ))
        };
        match (sum, self.git.map(|git| hex(&git.finalize()))) {
            (Sum::Sha256(wanted), _) if !sha256.starts_with(wanted) => other(
                "SHA-256",
                sha256.get(..wanted.len().max(8)).unwrap_or(&sha256),
                wanted,
            ),
            (Sum::Git(wanted), Some(found)) if found != *wanted => {
                other("git's SHA-1", &found, wanted)
            }
            _ => Ok(Fetched { size, sha256 }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_that_etags_are() {
        // `printf hello | git hash-object --stdin`, `printf hello | sha256sum`.
        let git = "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0";
        let sha = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        for (etag, right) in [
            (git, true),
            (sha, true),
            (&sha[..8], true),
            (&git.replace('b', "c"), false),
        ] {
            let sum = match etag.len() {
                8 => Sum::Sha256(etag.into()),
                _ => Sum::of_etag(etag),
            };
            let mut sums = Sums::new(&sum, Some(5));
            sums.add(b"hel");
            sums.add(b"lo");
            let found = sums.finish(&sum, 5);
            assert_eq!(found.is_ok(), right, "{found:?}");
            if let Ok(found) = found {
                assert_eq!((found.size, found.sha256.as_str()), (5, sha));
            }
        }
        assert_eq!(Sum::of_etag("abc-multipart-2"), Sum::Unknown);
    }
}
