//! A stand-in for the hub on the loopback address: it answers what hf-hub and a download ask, and fails where it is told
//! to.

use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The commit that every branch is at, until it is moved.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Bytes from which on a file is elsewhere, and known by another sum.
const LARGE: usize = 5_000;

/// How the server fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// Every answer has this status.
    Status(u16),
    /// A file ends after so many bytes, as often as this is asked for.
    Cut(usize, u32),
    /// A file's contents are others than its tag says.
    Wrong,
    /// A file has more bytes when it is sent than when it is asked about.
    Longer,
    /// Files are sent on to where nobody listens.
    Nowhere,
    /// Files are sent on to themselves.
    Around,
    /// Nothing is said.
    Silent,
    /// A file stops in the middle, and the connection stays.
    Stalls,
    /// A part that is asked for is not given: all of it is sent.
    NoRanges,
}

#[derive(Default)]
struct State {
    /// Files by repository and path: `datasets/ORG/NAME/PATH`, `ORG/NAME/PATH`, and others by their path.
    files: BTreeMap<String, Vec<u8>>,
    fault: Option<Fault>,
    commit: String,
    asked: Vec<String>,
}

/// The server; it ends with the test's process.
#[derive(Clone)]
pub struct Server {
    state: Arc<Mutex<State>>,
    pub url: String,
}

impl Server {
    /// One that holds nothing.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = State {
            commit: COMMIT.into(),
            ..State::default()
        };
        let server = Self {
            state: Arc::new(Mutex::new(state)),
            url,
        };
        let own = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let own = own.clone();
                std::thread::spawn(move || own.serve(stream));
            }
        });
        server
    }

    pub fn put(&self, path: &str, contents: &[u8]) {
        self.state
            .lock()
            .unwrap()
            .files
            .insert(path.into(), contents.to_vec());
    }

    pub fn fails(&self, fault: impl Into<Option<Fault>>) {
        self.state.lock().unwrap().fault = fault.into();
    }

    /// Seconds that it is to be waited for: a busy machine takes its time, too.
    pub fn patience(&self) -> &'static str {
        match self.state.lock().unwrap().fault {
            Some(Fault::Silent | Fault::Stalls) => "1",
            _ => "20",
        }
    }

    pub fn moves_to(&self, commit: &str) {
        self.state.lock().unwrap().commit = commit.into();
    }

    /// What was asked for since the last time: `GET /path` and, of a part, where it begins; `who` where a token came.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let mut words = line.split_whitespace();
            let (method, path) = (
                words.next().unwrap().to_string(),
                words.next().unwrap().to_string(),
            );
            let (mut from, mut who) = (None, "");
            loop {
                let mut header = String::new();
                if reader.read_line(&mut header).unwrap_or(0) == 0 || header.trim().is_empty() {
                    break;
                }
                let header = header.trim().to_lowercase();
                if let Some(range) = header.strip_prefix("range: bytes=") {
                    from = range.trim_end_matches('-').parse::<usize>().ok();
                }
                if header.starts_with("authorization: bearer ") {
                    who = " who";
                }
            }
            let note = format!(
                "{method} {path}{}{who}",
                from.map_or(String::new(), |from| format!(" from {from}"))
            );
            self.state.lock().unwrap().asked.push(note);
            if !self.answer(&mut stream, &method, &path, from) {
                return;
            }
        }
    }

    /// Answers a request; whether the connection stays.
    fn answer(
        &self,
        stream: &mut TcpStream,
        method: &str,
        path: &str,
        from: Option<usize>,
    ) -> bool {
        let (fault, commit) = {
            let state = self.state.lock().unwrap();
            (state.fault, state.commit.clone())
        };
        let mut say = |status: &str, headers: &str, body: &[u8]| {
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n",
                body.len()
            );
            let body = if method == "HEAD" { &[] } else { body };
            stream.write_all(&[head.as_bytes(), body].concat()).is_ok()
        };
        match fault {
            Some(Fault::Status(429)) => {
                return say("429 Too Many Requests", "Retry-After: 7\r\n", b"slow down");
            }
            Some(Fault::Status(status)) => return say(&format!("{status} No"), "", b"no"),
            Some(Fault::Silent) => {
                std::thread::sleep(Duration::from_secs(30));
                return false;
            }
            _ => {}
        }
        if let Some(rest) = path.strip_prefix("/api/") {
            // datasets/ORG/NAME/revision/REVISION
            let words: Vec<&str> = rest.split('/').collect();
            let [kind, owner, name, "revision", revision] = words[..] else {
                return say("404 Not Found", "", b"");
            };
            let before = if kind == "datasets" { "datasets/" } else { "" };
            let revision = revision.replace("%2F", "/");
            let converted = revision == "refs/convert/parquet";
            let repository = format!(
                "{before}{owner}/{name}{}/",
                if converted { "@converted" } else { "" }
            );
            let state = self.state.lock().unwrap();
            let files: Vec<String> = state
                .files
                .keys()
                .filter_map(|file| file.strip_prefix(&repository))
                .map(|file| format!("{{\"rfilename\":\"{file}\"}}"))
                .collect();
            if files.is_empty() {
                return say("404 Not Found", "", b"");
            }
            let commit = if converted {
                commit.replace('0', "f")
            } else {
                commit
            };
            let text = format!(
                "{{\"id\":\"{owner}/{name}\",\"sha\":\"{commit}\",\"siblings\":[{}]}}",
                files.join(",")
            );
            return say(
                "200 OK",
                "Content-Type: application/json\r\n",
                text.as_bytes(),
            );
        }
        // Large files are elsewhere; the hub says first what they are.
        let is_elsewhere = path.strip_prefix("/elsewhere/");
        let name = match (is_elsewhere, path.split_once("/resolve/")) {
            (Some(name), _) => name.to_string(),
            (None, Some((repository, rest))) => {
                let (revision, file) = rest.split_once('/').unwrap_or((rest, ""));
                let at = if revision == commit.replace('0', "f") {
                    "@converted"
                } else {
                    ""
                };
                format!(
                    "{}{at}/{}",
                    repository.trim_start_matches('/'),
                    file.replace("%20", " ")
                )
            }
            (None, None) => path.trim_start_matches('/').to_string(),
        };
        let Some(file) = self.state.lock().unwrap().files.get(&name).cloned() else {
            return say("404 Not Found", "", b"");
        };
        let large = file.len() > LARGE;
        let etag = match large {
            true => hex(&Sha256::digest(&file)),
            false => git_hash(&file),
        };
        if is_elsewhere.is_none() && path.contains("/resolve/") {
            let asked = path
                .split_once("/resolve/")
                .map_or("", |(_, rest)| rest.get(..40).unwrap_or(""));
            let is_commit = asked.bytes().all(|b| b.is_ascii_hexdigit()) && !asked.is_empty();
            let about = format!(
                "X-Repo-Commit: {}\r\n",
                if is_commit { asked } else { &commit }
            );
            if large || matches!(fault, Some(Fault::Nowhere | Fault::Around)) {
                let to = match fault {
                    Some(Fault::Nowhere) if method == "GET" => "http://127.0.0.1:1/x".into(),
                    Some(Fault::Around) => path.to_string(),
                    // Another host by its name.
                    _ => format!(
                        "{}/elsewhere/{name}",
                        self.url.replace("127.0.0.1", "localhost")
                    ),
                };
                let etag = match fault {
                    Some(Fault::Around) => String::new(),
                    _ => format!(
                        "X-Linked-ETag: \"{etag}\"\r\nX-Linked-Size: {}\r\n",
                        file.len()
                    ),
                };
                return say(
                    "302 Found",
                    &format!("{about}{etag}Location: {to}\r\n"),
                    b"",
                );
            }
            return say("200 OK", &format!("{about}ETag: \"{etag}\"\r\n"), &file);
        }
        let mut file = file;
        let about = format!("ETag: \"{etag}\"\r\nAccept-Ranges: bytes\r\n");
        if fault == Some(Fault::Wrong) {
            file.iter_mut().for_each(|byte| *byte = !*byte);
        }
        if fault == Some(Fault::Longer) && method == "GET" {
            file.push(0);
        }
        let from = from.filter(|_| fault != Some(Fault::NoRanges));
        let (status, range) = match from {
            Some(from) if from >= file.len() => return say("416 Range Not Satisfiable", "", b""),
            Some(from) => (
                "206 Partial Content",
                format!(
                    "Content-Range: bytes {from}-{}/{}\r\n",
                    file.len() - 1,
                    file.len()
                ),
            ),
            None => ("200 OK", String::new()),
        };
        let body = &file[from.unwrap_or(0)..];
        let short = match fault {
            Some(Fault::Cut(after, times)) if method == "GET" && times > 0 => {
                self.fails(Fault::Cut(after, times - 1));
                Some(after)
            }
            Some(Fault::Stalls) if method == "GET" => Some(body.len() / 2),
            _ => None,
        };
        let Some(short) = short else {
            return say(status, &format!("{about}{range}"), body);
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{about}{range}\r\n",
            body.len()
        );
        let sent = [head.as_bytes(), &body[..short.min(body.len())]].concat();
        let _ = stream.write_all(&sent);
        if fault == Some(Fault::Stalls) {
            std::thread::sleep(Duration::from_secs(30));
        }
        false
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The hash by which git knows a file.
fn git_hash(file: &[u8]) -> String {
    let mut git = Command::new("git")
        .args(["hash-object", "--stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    git.stdin.take().unwrap().write_all(file).unwrap();
    let hash = git.wait_with_output().unwrap().stdout;
    String::from_utf8(hash).unwrap().trim().to_string()
}
