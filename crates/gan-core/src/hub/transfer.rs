//! One file from a server: asked for, gone on with where it was cut, checked, and put in its place whole.

use super::sums::{Fetched, PIECE, Sum, Sums};
use crate::FileError;
use reqwest::blocking::{Client, Response};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_RANGE, HeaderMap, LOCATION, RANGE, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Another process fetches the same; it is waited for.
    Waiting,
    /// A file comes in.
    Fetching {
        /// What it is called.
        name: &'a str,
        /// Its bytes that are here.
        here: u64,
        /// All of them, where the server says so.
        all: Option<u64>,
    },
    /// Things are done one after another.
    Counting {
        /// What is done with them.
        what: &'a str,
        /// How many are done.
        done: usize,
        /// How many there are.
        all: usize,
    },
}

/// Told what is being done.
pub type Progress<'a> = dyn Fn(Step<'_>) + Sync + 'a;

/// Redirections that are followed.
const REDIRECTIONS: usize = 10;
/// How often one file is asked for again after a connection that ended too soon or a server that failed.
const ATTEMPTS: u32 = 4;
/// The first pause between two attempts; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(250);
/// What the name of a file ends with of which a part is here.
const PARTIAL: &str = "incomplete";

/// A file on a server.
pub struct Remote<'a> {
    /// What it is called in messages.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// What says who asks; told to this server alone.
    pub token: Option<&'a str>,
}

/// What a server says of a file before it is fetched.
#[derive(Debug, Default)]
pub struct About {
    /// The commit that the file is of.
    pub commit: Option<String>,
    /// What changes when its contents do.
    pub etag: Option<String>,
    /// Its bytes.
    pub size: Option<u64>,
}

/// How files are asked for.
#[derive(Debug)]
pub struct Transfer {
    client: Client,
    waits: u64,
}

/// Why an attempt ended.
enum Ended {
    /// It can be made again.
    Early(FileError),
    /// It cannot.
    For(FileError),
}

impl From<FileError> for Ended {
    fn from(error: FileError) -> Self {
        Ended::For(error)
    }
}

impl Transfer {
    /// Waits so many seconds for a connection, for an answer, and between two pieces of one.
    ///
    /// # Errors
    /// A machine on which no connection can be made safe.
    pub fn new(waits: u64) -> reqwest::Result<Self> {
        let client = Client::builder()
            .connect_timeout(Duration::from_secs(waits))
            .timeout(Duration::from_secs(waits))
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("gan-core/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, waits })
    }

    /// Asks what a file is.
    ///
    /// # Errors
    /// A server that cannot be reached, is silent, or refuses.
    pub fn about(&self, remote: &Remote<'_>) -> Result<About, FileError> {
        attempts(|| {
            let (_, about) = self.ask(Method::HEAD, remote, 0)?;
            Ok(about)
        })
    }

    /// Fetches a file to `to`, whole or not at all; what is here of it from before is gone on with.
    ///
    /// Whoever calls keeps two processes from doing so at once.
    ///
    /// # Errors
    /// Those of [`Transfer::about`]; a connection that ends too soon again and again; contents that are not what they
    /// are to be, which are removed; a file that cannot be written.
    pub fn fetch(
        &self,
        remote: &Remote<'_>,
        to: &Path,
        sum: &Sum,
        about: &About,
        progress: &Progress<'_>,
    ) -> Result<Fetched, FileError> {
        let part = partial(to, about.etag.as_deref());
        if about.etag.is_none() {
            // Nobody says whether what is here is a part of the same contents.
            let _ = std::fs::remove_file(&part);
        }
        let fetched = attempts(|| self.attempt(remote, &part, sum, about.size, progress))?;
        let file = OpenOptions::new().append(true).open(&part);
        file.and_then(|file| file.sync_all())
            .and_then(|()| std::fs::rename(&part, to))
            .map_err(|e| FileError::writing(to, &e))?;
        Ok(fetched)
    }

    fn attempt(
        &self,
        remote: &Remote<'_>,
        part: &Path,
        sum: &Sum,
        size: Option<u64>,
        progress: &Progress<'_>,
    ) -> Result<Fetched, Ended> {
        let writing = |e: std::io::Error| FileError::writing(part, &e);
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(part)
            .map_err(writing)?;
        let mut sums = Sums::new(sum, size);
        let mut here = sums.read(&mut file).map_err(writing)?;
        if size.is_some_and(|size| here > size) {
            (sums, here) = (Sums::new(sum, size), 0);
            empty(&mut file).map_err(writing)?;
        }
        if size != Some(here) {
            let (mut response, _) = self.ask(Method::GET, remote, here)?;
            if response.status() != StatusCode::PARTIAL_CONTENT && here > 0 {
                // The server begins from the start, or what is here ends behind its end.
                (sums, here) = (Sums::new(sum, size), 0);
                empty(&mut file).map_err(writing)?;
                if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
                    let error = of_answer(remote, response.status(), response.headers());
                    return Err(Ended::Early(error));
                }
            }
            let all = size.or_else(|| Some(here + response.content_length()?));
            let mut piece = vec![0; PIECE];
            loop {
                progress(Step::Fetching {
                    name: &remote.name,
                    here,
                    all,
                });
                let n = match response.read(&mut piece) {
                    Ok(0) => break,
                    Ok(n) => n,
                    Err(e) => return Err(self.cut(remote, &e, here, all)),
                };
                let read = piece.get(..n).unwrap_or_default();
                file.write_all(read).map_err(writing)?;
                sums.add(read);
                here += n as u64;
                if size.is_some_and(|size| here > size) {
                    break;
                }
            }
            if all.is_some_and(|all| here < all) {
                let early = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
                return Err(self.cut(remote, &early, here, all));
            }
            progress(Step::Fetching {
                name: &remote.name,
                here,
                all: Some(here),
            });
        }
        drop(file);
        let is_whole = match size {
            Some(size) if here > size => {
                Err(format!("has more than the {size} bytes that it is to have"))
            }
            _ => sums.finish(sum, here),
        };
        match is_whole {
            Ok(fetched) => Ok(fetched),
            Err(problem) => {
                std::fs::remove_file(part).map_err(writing)?;
                let remedy =
                    "it was removed; run this again, or look for a changed file at its source";
                Err(Ended::For(about_remote(remote, problem, remedy)))
            }
        }
    }

    /// Asks a server, from a byte on; follows to other places, of which only the first server is told who asks. What the
    /// hub says of a file it says before it sends one on.
    fn ask(
        &self,
        method: Method,
        remote: &Remote<'_>,
        from: u64,
    ) -> Result<(Response, About), Ended> {
        let first = Url::parse(&remote.url).map_err(|e| {
            about_remote(
                remote,
                format!("has the address {} ({e})", remote.url),
                "check HF_ENDPOINT",
            )
        })?;
        let (mut url, mut about) = (first.clone(), About::default());
        for _ in 0..=REDIRECTIONS {
            let mut request = self.client.request(method.clone(), url.clone());
            // A length and a range are of the bytes of the file.
            request = request.header(ACCEPT_ENCODING, "identity");
            if let Some(token) = remote.token.filter(|_| url.origin() == first.origin()) {
                request = request.bearer_auth(token);
            }
            if from > 0 {
                request = request.header(RANGE, format!("bytes={from}-"));
            }
            let sent = request.send().map_err(|e| {
                let host = url.host_str().unwrap_or("the server");
                let error = unreachable(&remote.name, host, &e, self.waits);
                // Silence has taken its time; another attempt would take it again.
                match e.is_timeout() {
                    true => Ended::For(error),
                    false => Ended::Early(error),
                }
            });
            let response = sent?;
            let (status, headers) = (response.status(), response.headers());
            about.hear(headers, status.is_success());
            if status.is_redirection() {
                let to = headers
                    .get(LOCATION)
                    .and_then(|to| url.join(to.to_str().ok()?).ok());
                let Some(to) = to.filter(|to| matches!(to.scheme(), "http" | "https")) else {
                    let problem = format!("is sent on to nowhere by {url} ({status})");
                    return Err(about_remote(remote, problem, "try again later").into());
                };
                // All that is asked for is known.
                if method == Method::HEAD && about.etag.is_some() && to.origin() != url.origin() {
                    return Ok((response, about));
                }
                url = to;
                continue;
            }
            let usable = match status {
                StatusCode::PARTIAL_CONTENT => begins_at(headers, from),
                StatusCode::RANGE_NOT_SATISFIABLE => from > 0,
                status => status.is_success(),
            };
            if usable {
                return Ok((response, about));
            }
            let error = of_answer(remote, status, headers);
            return Err(match status.is_server_error() {
                true => Ended::Early(error),
                false => Ended::For(error),
            });
        }
        let problem = format!("is sent from place to place more than {REDIRECTIONS} times");
        Err(about_remote(remote, problem, "try again later, or check HF_ENDPOINT").into())
    }

    fn cut(
        &self,
        remote: &Remote<'_>,
        error: &std::io::Error,
        here: u64,
        all: Option<u64>,
    ) -> Ended {
        let own = error
            .get_ref()
            .and_then(|e| e.downcast_ref::<reqwest::Error>());
        let silent = own.is_some_and(reqwest::Error::is_timeout);
        let why = match (silent, error.kind()) {
            (true, _) => format!("silence for {} s", self.waits),
            (_, std::io::ErrorKind::UnexpectedEof) => "the connection ended".into(),
            _ => innermost(error),
        };
        let of = all.map_or(String::new(), |all| format!(" of {all}"));
        let problem = format!("ended after {here}{of} bytes ({why})");
        let error = about_remote(remote, problem, "run this again: it goes on from there");
        match silent {
            true => Ended::For(error),
            false => Ended::Early(error),
        }
    }
}

/// What to do about a server that cannot be reached.
pub(super) const NETWORK: &str = "check the network";

/// A server that cannot be reached, or is silent.
pub(super) fn unreachable(name: &str, host: &str, error: &reqwest::Error, waits: u64) -> FileError {
    match error.is_timeout() {
        true => FileError::new(
            Path::new(name),
            format!("{host} said nothing for {waits} s"),
            "try again, or wait longer: HF_HUB_DOWNLOAD_TIMEOUT=60",
        ),
        false => FileError::new(
            Path::new(name),
            format!("{host} cannot be reached ({})", innermost(error)),
            NETWORK,
        ),
    }
}

/// What the status of an answer means that is not the file.
pub(super) fn refused(name: &str, status: u16, retry_after: Option<u64>) -> FileError {
    let (problem, remedy) = match status {
        401 => (
            "the server does not say whether it is there, without knowing who asks",
            "check the name; of what is private, set HF_TOKEN to a token of your account"
                .to_string(),
        ),
        403 => (
            "the server does not give it to this account",
            "ask for access on its page on the hub, and set HF_TOKEN to a token of that account"
                .into(),
        ),
        404 | 410 => (
            "there is no such thing on the server",
            "check organisation, name, revision and file".into(),
        ),
        429 => {
            let wait = retry_after.map_or("a while".into(), |after| format!("{after} s"));
            (
                "the server has been asked too often",
                format!("try again in {wait}; with HF_TOKEN it answers more often"),
            )
        }
        500.. => ("the server failed", "try again later".into()),
        _ => (
            "the server answers something else than the file",
            "try again later".into(),
        ),
    };
    FileError::new(
        Path::new(name),
        format!("{problem} (status {status})"),
        remedy,
    )
}

fn of_answer(remote: &Remote<'_>, status: StatusCode, headers: &HeaderMap) -> FileError {
    let after = headers
        .get(RETRY_AFTER)
        .and_then(|after| after.to_str().ok());
    refused(
        &remote.name,
        status.as_u16(),
        after.and_then(|after| after.parse().ok()),
    )
}

/// Makes attempts until one ends well or for good.
fn attempts<T>(mut attempt: impl FnMut() -> Result<T, Ended>) -> Result<T, FileError> {
    let mut pause = PAUSE;
    for _ in 1..ATTEMPTS {
        match attempt() {
            Ok(done) => return Ok(done),
            Err(Ended::For(error)) => return Err(error),
            Err(Ended::Early(_)) => std::thread::sleep(pause),
        }
        pause *= 2;
    }
    attempt().map_err(|(Ended::Early(error) | Ended::For(error))| error)
}

impl About {
    /// Takes from an answer what no answer before has said.
    fn hear(&mut self, headers: &HeaderMap, is_file: bool) {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        let unquoted = |etag: &str| {
            let etag = etag.trim_start_matches("W/").trim_matches('"');
            etag.to_string()
        };
        let commit = text("x-repo-commit").filter(|commit| super::address::is_commit(commit));
        self.commit = self.commit.take().or(commit.map(str::to_string));
        // Of a server that only sends on, size and tag are those of its answer, not of the file.
        let etag = text("x-linked-etag").or(text("etag").filter(|_| is_file || commit.is_some()));
        self.etag = self.etag.take().or(etag.map(unquoted));
        let size = text("x-linked-size").or(text("content-length").filter(|_| is_file));
        self.size = self.size.or(size.and_then(|size| size.parse().ok()));
    }
}

/// Whether a part of a file begins where it is to.
fn begins_at(headers: &HeaderMap, from: u64) -> bool {
    let range = headers
        .get(CONTENT_RANGE)
        .and_then(|range| range.to_str().ok());
    let range = range.and_then(|range| range.strip_prefix("bytes "));
    range.is_some_and(|range| range.starts_with(&format!("{from}-")))
}

/// Where a part of a file waits for the rest. The name says of which contents it is, so that two are never mixed.
fn partial(to: &Path, etag: Option<&str>) -> PathBuf {
    let of = Sha256::digest(etag.unwrap_or_default());
    let of: String = of
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let mut name = to.as_os_str().to_os_string();
    name.push(format!(".{of}.{PARTIAL}"));
    PathBuf::from(name)
}

/// Empties a file of which nothing can be used.
fn empty(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0)).map(|_| ())
}

fn about_remote(
    remote: &Remote<'_>,
    problem: impl Into<String>,
    remedy: impl Into<String>,
) -> FileError {
    FileError::new(Path::new(&remote.name), problem, remedy)
}

/// What an error comes from, in its own words.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
