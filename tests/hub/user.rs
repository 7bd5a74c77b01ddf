//! A user with caches of their own, who runs the real program against the stand-in; and what is published there.

use crate::server::Server;
use gan_core::data::images::{self, Labels};
use gan_core::data::{Pictures, Reading, Split};
use gan_core::{Side, View};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A user with caches of their own, and the hub that they know.
pub struct User {
    pub home: tempfile::TempDir,
    pub server: Server,
}

impl User {
    pub fn new() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
            server: Server::start(),
        }
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().to_string();
            if [
                "HF_",
                "HUGGINGFACE_",
                "XDG_",
                "CANDLE_",
                "MIMALLOC_",
                "http",
                "HTTP",
                "all_proxy",
                "ALL_PROXY",
            ]
            .iter()
            .any(|start| name.starts_with(start))
            {
                command.env_remove(name);
            }
        }
        command
            .args(args)
            .current_dir(self.home.path())
            .env("HOME", self.home.path())
            .env("HF_ENDPOINT", &self.server.url)
            .env("GAN_WEIGHTS_URL", &self.server.url)
            .env("HF_HUB_DOWNLOAD_TIMEOUT", self.server.patience());
        command
    }

    pub fn ok(&self, args: &[&str]) -> (String, String) {
        said(&self.command(args).output().unwrap(), 0, args)
    }

    /// The one line of an error, and its exit code.
    pub fn fails(&self, args: &[&str]) -> String {
        let begun = Instant::now();
        let (_, errors) = said(&self.command(args).output().unwrap(), 1, args);
        assert!(
            begun.elapsed() < Duration::from_secs(25),
            "{args:?}: {errors}"
        );
        let lines: Vec<&str> = errors
            .lines()
            .filter(|line| !line.starts_with("fetching "))
            .collect();
        assert_eq!(lines.len(), 1, "{args:?}: {errors}");
        assert!(lines[0].starts_with("error: "), "{errors}");
        lines[0].to_string()
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.home.path().join(".cache").join(path)
    }

    /// The names of all files in a folder that are parts of others or are being made.
    pub fn parts(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![self.path("")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let name = entry.file_name().into_string().unwrap();
                match entry.file_type().unwrap().is_dir() {
                    true => folders.push(entry.path()),
                    false if name.ends_with(".incomplete") || name.starts_with(".saving") => {
                        found.push(name)
                    }
                    false => {}
                }
            }
        }
        found
    }
}

pub fn said(output: &Output, code: i32, args: &[&str]) -> (String, String) {
    let [text, errors] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).to_string());
    assert_eq!(
        output.status.code(),
        Some(code),
        "{args:?}\n{text}\n{errors}"
    );
    (text, errors)
}

pub fn published(file: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/hub/published")
        .join(file);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Puts a data set of `published` where the hub has it.
pub fn put(server: &Server, name: &str, repository: &str, folder: &str) {
    for part in ["train", "test"] {
        let file = format!("{part}-00000-of-00001.parquet");
        server.put(
            &format!("datasets/{repository}/{folder}/{file}"),
            &published(&format!("{name}/{file}")),
        );
    }
    server.put(&format!("datasets/{repository}/README.md"), b"---\n");
}

pub fn put_cifar(server: &Server) {
    put(server, "cifar10", "uoft-cs/cifar10", "plain_text");
}

/// Bytes that no compression makes fewer.
pub fn noise(n: usize, seed: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut block = vec![seed];
    while bytes.len() < n {
        block = Sha256::digest(&block).to_vec();
        bytes.extend(&block);
    }
    bytes.truncate(n);
    bytes
}

pub fn read(place: &Path, split: Split) -> (Arc<dyn Pictures>, Vec<String>) {
    let survey = images::open(place, split, Labels::Needed, &|_, _, _| {}).unwrap();
    let (data, notes) = survey.read(&Reading::new(View::whole())).unwrap();
    (data.side(Side::A).unwrap().clone(), notes)
}

/// Where `data get` says that a data set is.
pub fn place(text: &str) -> PathBuf {
    PathBuf::from(text.lines().nth(1).unwrap().trim())
}
