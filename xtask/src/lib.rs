//! The runner of all papers, as a library, so that tests can run it with papers of their own.
//!
//! Architecture invariants:
//!
//! - Only [`registry`] knows the papers' names; help, tests and reports sweep the slice it holds.
//! - One file a command. Nothing here knows how a paper trains; nothing in a paper knows of files.
//! - The environment is set here alone, by starting the program again once ([`process::settle`]).

/// Prints a line to the standard output; a terminal obeys no name that is printed.
macro_rules! say {
    ($($arg:tt)*) => { $crate::print_line(&format!($($arg)*)) };
}

/// The same to the standard error output.
macro_rules! warn {
    ($($arg:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr().lock(), "{}", $crate::harmless(&format!($($arg)*)));
    }};
}

mod begins;
pub mod bench;
mod cache;
mod changes;
mod child;
pub mod classifier;
pub mod cli;
mod compare;
pub mod data;
pub mod dataset;
mod demo;
pub mod doctor;
pub mod eval;
mod eval_larger;
mod eval_noise;
mod eval_sides;
mod features;
mod finish;
pub mod folder;
pub mod gpu;
mod health;
mod heldout;
mod hub;
mod inputs;
mod interpolation;
pub mod job;
mod judging;
pub mod list;
mod looked_at;
mod made;
mod measured;
mod measuring;
mod memory;
mod nearest;
pub mod observers;
mod ops;
pub mod output;
pub mod parity;
mod photos;
mod plan;
pub mod process;
pub mod registry;
pub mod report;
mod results;
mod resume;
mod room;
mod samedata;
pub mod sample;
pub mod settings;
mod shell;
mod start;
mod table;
pub mod tfevents;
pub mod tidy;
pub mod train;
mod translation;
pub mod weights;

use clap::Parser;
use cli::{Cli, Command};
use gan_core::Recipe;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Stack of the thread that trains: candle walks a graph by recursion.
const STACK: usize = 64 << 20;

/// Exit code of a run that was stopped and saved. Errors are 1, wrong usage is 2.
pub const INTERRUPTED: u8 = 130;

/// The program: settles the environment, then [`run`].
pub fn main(papers: &[&dyn Recipe]) -> ExitCode {
    process::report_panics();
    let args: Vec<OsString> = std::env::args_os().collect();
    match Cli::try_parse_from(&args) {
        Ok(cli) => match process::settle(cli.threads).and_then(|()| process::outlive_size_limits())
        {
            Ok(()) => run(papers, args),
            Err(error) => report(&error),
        },
        Err(error) => help(&error),
    }
}

/// Runs one command line with these papers. Does not touch the environment.
pub fn run(papers: &[&dyn Recipe], args: Vec<OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return help(&error),
    };
    // Everything that touches a device stays on this one thread.
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        let worker = thread.spawn_scoped(scope, || command(papers, cli));
        match worker.map(|worker| worker.join()) {
            Ok(Ok(Ok(code))) => match lost() {
                // That a run was stopped says that it was saved, too.
                Some(error) if code == INTERRUPTED => {
                    report(&error);
                    ExitCode::from(code)
                }
                Some(error) => report(&error),
                None => ExitCode::from(code),
            },
            Ok(Ok(Err(error))) => report(&error),
            Ok(Err(_)) => ExitCode::FAILURE, // a panic has been printed
            Err(error) => report(&error.into()),
        }
    })
}

fn command(papers: &[&dyn Recipe], mut cli: Cli) -> anyhow::Result<u8> {
    hub::settle(&mut cli.command, cli.offline)?;
    match cli.command {
        Command::Train(args) => train::train(papers, &args),
        Command::Sample(args) => sample::sample(papers, &args).map(|()| 0),
        Command::Eval(args) => eval::eval(papers, &args).map(|()| 0),
        Command::Compare(args) => compare::compare(papers, &args, cli.threads),
        Command::Results(args) => results::results(papers, &args, cli.threads),
        Command::Report(args) => report::report(papers, &args).map(|()| 0),
        Command::Calibrate(args) => compare::calibrate::calibrate(papers, &args).map(|()| 0),
        Command::List => list::list(papers).map(|()| 0),
        Command::Info(args) => list::info(papers, &args).map(|()| 0),
        Command::Data(args) => data::data(&args).map(|()| 0),
        Command::Weights(args) => weights::weights(papers, &args).map(|()| 0),
        Command::Classifier(args) => classifier::classifier(&args).map(|()| 0),
        Command::Parity(args) => parity::parity(papers, &args),
        Command::Bench(args) => bench::bench(papers, &args).map(|()| 0),
        Command::Doctor(args) => doctor::doctor(&args).map(|()| 0),
        Command::GpuCheck(args) => gpu::check::gpu_check(papers, &args),
        Command::Tidy => {
            let faults = tidy::tidy(&dataset::workspace()?)?;
            faults.iter().for_each(|fault| say!("{fault}"));
            if faults.is_empty() {
                say!("tidy: no violation of the house rules");
            }
            Ok(u8::from(!faults.is_empty()))
        }
    }
}

/// A mistake in how the program was called; exit code 2.
#[derive(Debug)]
pub struct Usage(pub String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// The first error of writing to the standard output.
static LOST: Mutex<Option<io::Error>> = Mutex::new(None);

/// What [`say!`] does: a line that cannot be written does not end what is under way, but its end is an error. A reader
/// that has gone, as `head` does, has all that it wants.
fn print_line(text: &str) {
    note_lost(writeln!(io::stdout().lock(), "{}", harmless(text)));
}

fn note_lost(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        let mut lost = LOST.lock().unwrap_or_else(PoisonError::into_inner);
        lost.get_or_insert(error);
    }
}

/// What kept the standard output from being written to its end, if anything did.
fn lost() -> Option<anyhow::Error> {
    note_lost(io::stdout().lock().flush());
    let mut lost = LOST.lock().unwrap_or_else(PoisonError::into_inner);
    lost.take().map(|error| {
        anyhow::anyhow!(
            "the standard output cannot be written ({error}); what should stand there is lost"
        )
    })
}

/// Prints help, or what is wrong with a command line.
fn help(error: &clap::Error) -> ExitCode {
    let printed = error.print();
    if !error.use_stderr() {
        note_lost(printed);
    }
    match lost() {
        Some(error) => report(&error),
        None => ExitCode::from(error.exit_code().clamp(0, 2) as u8),
    }
}

/// A text whose control characters are written out, but for ends of lines and tabs.
fn harmless(text: &str) -> String {
    text.split_inclusive(['\n', '\t'])
        .map(|piece| match piece.strip_suffix(['\n', '\t']) {
            Some(start) => gan_core::plain(start) + piece.get(start.len()..).unwrap_or(""),
            None => gan_core::plain(piece),
        })
        .collect()
}

/// Prints an error as one line and gives its exit code.
fn report(error: &anyhow::Error) -> ExitCode {
    // What a command line holds may be of any length.
    let line = gan_core::shortened(&one_line(error), gan_core::LONGEST);
    if process::is_out_of_memory(error) {
        warn!(
            "error: the GPU has no memory left ({line}); use a smaller batch (--set batch=N; with sample and eval -n N), \
             or --device cpu"
        );
    } else {
        warn!("error: {line}");
    }
    ExitCode::from(match error {
        error if error.is::<Usage>() => 2,
        error if error.is::<photos::Stopped>() => INTERRUPTED,
        _ => 1,
    })
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// The chain of an error as one line; candle's own backtraces are left out.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        let text = first_line(&text);
        // candle repeats what it wraps.
        if !line.ends_with(text) {
            if !line.is_empty() {
                line.push_str(": ");
            }
            line.push_str(text);
        }
    }
    line
}
