//! Every public op of gan-kernels on the CPU and on a GPU, and that none of them is left out.

use candle_core::Device;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use xtask::gpu::edge::{self, Case, Fault, Measured, Outcome, Part, Summary};

/// Public functions that the sweep does not call, or whose result is the same on any device.
const EXEMPT: [(&str, &str); 17] = [
    ("loading::driver_version", "asks the driver"),
    ("loading::find", "looks for a library"),
    ("meter::count", "says what a stand-in counted"),
    ("meter::peak_bytes", "says what a GPU's tensors took"),
    ("meter::reset_peak", "counts that anew"),
    ("mode::current", "says the mode of the thread"),
    (
        "optim::adam",
        "a kernel over slices of the CPU, which Adam::step calls",
    ),
    (
        "optim::rms_prop",
        "a kernel over slices of the CPU, which RmsProp::step calls",
    ),
    (
        "optim::sgd",
        "a kernel over slices of the CPU, which Sgd::step calls",
    ),
    ("profile::finish", "says how long ops took"),
    ("profile::start", "says how long ops take"),
    (
        "set_threads",
        "sets the CPU's threads, which change no result",
    ),
    ("simd::best", "says what the CPU offers"),
    ("simd::force", "a test's choice of the CPU's kernels"),
    ("simd::level", "says which of the CPU's kernels run"),
    (
        "tape::recording",
        "says whether ops of the CPU are recorded",
    ),
    ("threads", "says how many threads the CPU has"),
];

/// Runs the sweep, prints what it cost, and fails with all faults.
fn sweep(a: &Device, b: &Device) -> Summary {
    let mut seconds: BTreeMap<&str, f64> = BTreeMap::new();
    let mut faults = Vec::new();
    let start = cpu_time::ProcessTime::now();
    let summary = edge::sweep(a, b, &mut |outcome| {
        *seconds.entry(outcome.op).or_default() += outcome.seconds;
        if !outcome.faults.is_empty() {
            faults.push(outcome.to_string());
        }
    });
    let summary = summary.unwrap();
    for (op, seconds) in &seconds {
        println!("{seconds:8.3} s  {op}");
    }
    println!("{summary:?} in {:?} of CPU", start.elapsed());
    let (bad, all) = (faults.len(), summary.cases);
    assert!(
        faults.is_empty(),
        "{bad} of {all} cases:\n{}",
        faults.join("\n")
    );
    summary
}

#[test]
fn a_gpu_computes_what_the_cpu_does() {
    // A build with CUDA is tested where there is a GPU, or the stand-in for one.
    if cfg!(feature = "cuda") {
        sweep(&Device::Cpu, &Device::new_cuda(0).unwrap());
    }
}

#[test]
fn the_cpu_computes_what_the_cpu_does() {
    let summary = sweep(&Device::Cpu, &Device::Cpu);
    assert_eq!((summary.faulty, summary.first, summary.second), (0, 0., 0.));
    assert!(summary.cases > 600, "{summary:?}");
}

// ------------------------------------------------------------------ the comparison itself

fn measured() -> Vec<(Case, Measured)> {
    let cases = edge::cases().into_iter();
    let measure = |case: Case| {
        let measured = case.measure(&Device::Cpu);
        (case, measured)
    };
    cases.map(measure).collect()
}

/// The parts of what was measured that hold numbers.
fn parts(measured: &mut Measured) -> impl Iterator<Item = &mut Vec<edge::Quantity>> {
    let parts = [Some(&mut measured.first), measured.second.as_mut()];
    parts
        .into_iter()
        .flatten()
        .filter_map(|part| part.as_mut().ok())
}

/// The number at `index` of quantity `i`, changed by a part of itself, in each of the quantities.
fn changed(measured: &Measured, by: f64) -> Vec<(Measured, String, usize)> {
    let mut all = Vec::new();
    let count = parts(&mut measured.clone()).map(|part| part.len()).sum();
    for i in 0..count {
        let mut changed = measured.clone();
        let mut quantities = parts(&mut changed).flatten();
        let quantity = quantities.nth(i).unwrap();
        // The largest number, which a difference is relative to.
        let numbers = quantity.numbers.iter().map(|v| v.abs()).enumerate();
        let finite = numbers.filter(|(_, v)| v.is_finite());
        let Some((index, largest)) = finite.max_by(|a, b| a.1.total_cmp(&b.1)) else {
            continue;
        };
        if largest > 1e-20 {
            quantity.numbers[index] *= 1. + by;
            let what = quantity.what.clone();
            drop(quantities);
            all.push((changed, what, index));
        }
    }
    all
}

/// In each case, each quantity in turn.
#[test]
fn a_wrong_number_is_named() {
    let (mut caught, mut small) = (0, 0);
    for (case, right) in measured() {
        for (wrong, what, index) in changed(&right, 1e-2) {
            let outcome = case.compare(&right, &wrong);
            let named = |fault: &Fault| matches!(fault, Fault::Differs { what: w, index: i, .. } if *w == what && *i == index);
            // Results that are about 0 and stand beside 1.
            match outcome.faults.iter().any(named) {
                true => caught += 1,
                false => small += 1,
            }
            let text = outcome.to_string();
            assert!(
                text.starts_with(case.op()) && text.contains(&case.name),
                "{text}"
            );
        }
        for (same, ..) in changed(&right, 1e-7) {
            assert_eq!(case.compare(&right, &same).faults, []);
        }
    }
    assert!(caught > 2000 && small < 20, "{caught} caught, {small} not");
}

/// The case of this name, and what the CPU makes of it.
fn case(op: &str, name: &str) -> (Case, Measured) {
    let all = edge::cases().into_iter();
    let mut found = all.filter(|case| case.op() == op && case.name.contains(name));
    let case = found
        .next()
        .unwrap_or_else(|| panic!("no case {op} {name}"));
    let measured = case.measure(&Device::Cpu);
    (case, measured)
}

fn texts(outcome: &Outcome) -> Vec<String> {
    outcome
        .faults
        .iter()
        .map(|fault| fault.to_string())
        .collect()
}

#[test]
fn a_lost_tail_is_seen_beside_large_numbers() {
    let (case, right) = case("act::sigmoid", "tail");
    let mut wrong = right.clone();
    let value = &mut parts(&mut wrong).next().unwrap()[0];
    assert!(value.what == "value" && value.numbers[8] < 3e-9);
    let was = value.numbers[8];
    value.numbers[8] = 0.;
    let said = case.compare(&right, &wrong).to_string();
    let expected =
        format!("act::sigmoid, tail: 1.0e0 0.0e0; value[8] is {was:e} and 0e0, relatively 1.0e0");
    assert_eq!(said, expected);
    let value = &mut parts(&mut wrong).next().unwrap()[0];
    value.numbers[8] = f64::NAN;
    let said = case.compare(&right, &wrong).to_string();
    assert!(said.contains("and NaN, relatively inf"), "{said}");
}

#[test]
fn errors_on_one_device_and_lost_gradients_are_faults() {
    let (case_of_linear, right) = case("linear::linear", "[5, 6]");
    let with = |first: Part, second: Option<Part>| {
        texts(&case_of_linear.compare(&right, &Measured { first, second }))
    };
    let (first, second) = (right.first.clone(), right.second.clone());
    assert!(with(first.clone(), second.clone()).is_empty());
    let failed = || Part::Err("linear: no".into());
    assert_eq!(
        with(failed(), second.clone()),
        ["only the second device fails: linear: no"]
    );
    assert_eq!(
        with(first.clone(), Some(failed())),
        ["second only the second device fails: linear: no"]
    );
    assert_eq!(
        with(first.clone(), None),
        ["one device has a second order and the other none"]
    );
    let lost = with(first.clone(), Some(Ok(Vec::new())));
    assert!(
        lost[0].contains("second norm []") && lost[0].ends_with("and ()"),
        "{lost:?}"
    );
    let mut fewer = first.clone().unwrap();
    fewer.pop();
    let lost = with(Ok(fewer), second.clone());
    assert!(lost[0].contains("d2 [4]"), "{lost:?}");
    let both = Measured {
        first: failed(),
        second: None,
    };
    let said = texts(&case_of_linear.compare(&both, &both));
    assert_eq!(said, ["both devices fail: linear: no"]);

    // Where an error belongs: the same, with the op's name.
    let (case, right) = case("linear::linear", "F16");
    assert!(case.compare(&right, &right).faults.is_empty());
    let said = |first: Part| {
        let other = Measured {
            first,
            second: None,
        };
        texts(&case.compare(&right, &other)).pop().unwrap()
    };
    assert!(said(failed()).starts_with("the devices fail differently: "));
    assert!(said(Ok(Vec::new())).starts_with("only the first device fails: "));
    let unnamed = Measured {
        first: Err("no kernel".into()),
        second: None,
    };
    assert_eq!(
        texts(&case.compare(&unnamed, &unnamed)),
        ["the error does not begin with linear: no kernel"]
    );
}

// ------------------------------------------------------------------ what is covered

/// The public functions and methods of a crate whose files are formatted by rustfmt, as
/// `module::function` and `module::Type::method`.
fn public(files: &BTreeMap<String, String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    visit(files, "", &mut found);
    found
}

/// Adds what is public in a module, in public modules in it, and what it makes public of others.
fn visit(files: &BTreeMap<String, String>, module: &str, found: &mut BTreeSet<String>) {
    let within = |name: &str| match module {
        "" => name.to_string(),
        _ => format!("{module}::{name}"),
    };
    let text = &files[module];
    found.extend(functions(text).iter().map(|name| within(name)));
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("pub mod ") {
            visit(files, &within(name.trim_end_matches(';')), found);
        } else if let Some(uses) = line.strip_prefix("pub use ") {
            let (from, names) = uses.trim_end_matches(';').split_once("::").unwrap();
            let names = names.trim_matches(['{', '}']).split(", ");
            let all = functions(&files[&within(from)]);
            for name in names {
                assert!(!name.contains([':', '*']), "cannot follow `{line}`");
                let of_type = format!("{name}::");
                let named = |f: &&String| **f == name || f.starts_with(&of_type);
                found.extend(all.iter().filter(named).map(|f| within(f)));
            }
        }
    }
}

/// The type's name in what follows `impl`: behind the parameters and the trait.
fn subject(block: &str) -> &str {
    let mut depth = 0;
    let mut closed = block.char_indices().skip_while(|(_, c)| {
        depth += i32::from(*c == '<') - i32::from(*c == '>');
        depth > 0
    });
    let rest = closed.next().map_or("", |(i, _)| &block[i + 1..]);
    let rest = rest.rsplit(" for ").next().unwrap_or(rest).trim_start();
    let end = rest.find(['<', ' ']).unwrap_or(rest.len());
    &rest[..end]
}

/// The public functions of a file, and the public methods of its public types.
fn functions(text: &str) -> Vec<String> {
    let name = |line: &str| {
        let (words, rest) = line.strip_prefix("pub ")?.split_once("fn ")?;
        let qualifies = |word: &str| matches!(word, "const" | "unsafe" | "async");
        let name = rest.split(['(', '<']).next()?;
        words
            .split_whitespace()
            .all(qualifies)
            .then(|| name.to_string())
    };
    let is_public = |of: &str| {
        ["struct", "enum"].iter().any(|kind| {
            let declared = |line: &str| {
                let rest = line.strip_prefix("pub ")?.strip_prefix(kind)?.trim_start();
                rest.strip_prefix(of)?.chars().next()
            };
            let mut after = text.lines().filter_map(declared);
            after.any(|c| !c.is_alphanumeric() && c != '_')
        })
    };
    let (mut found, mut of) = (Vec::new(), None);
    for line in text.lines() {
        if let Some(block) = line.strip_prefix("impl") {
            let subject = subject(block);
            of = is_public(subject).then_some(subject);
        } else if line == "}" {
            of = None;
        }
        if let Some(name) = name(line) {
            found.push(name);
        }
        if let (Some(of), Some(name)) = (&of, line.strip_prefix("    ").and_then(name)) {
            found.push(format!("{of}::{name}"));
        }
    }
    found
}

/// The files below a folder, by their modules' paths.
fn files(folder: &Path, module: &str, found: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let inside = match (module, name.as_str()) {
            ("", "lib") => String::new(),
            ("", _) => name,
            _ => format!("{module}::{name}"),
        };
        if path.is_dir() {
            files(&path, &inside, found);
        } else {
            found.insert(inside, std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// What is neither swept nor exempt, and what is named of which there is nothing.
fn uncovered(public: &BTreeSet<String>, swept: &[&str], exempt: &[&str]) -> Vec<String> {
    let named: BTreeSet<&str> = swept.iter().chain(exempt).copied().collect();
    let missing = public.iter().filter(|name| !named.contains(name.as_str()));
    let missing = missing.map(|name| format!("{name} is not in xtask/src/gpu/edge/cases.rs"));
    let dangling = named.iter().filter(|name| !public.contains(**name));
    let dangling = dangling.map(|name| format!("there is no public {name}"));
    let twice = exempt.iter().filter(|name| swept.contains(name));
    let twice = twice.map(|name| format!("{name} is swept and exempt"));
    missing.chain(dangling).chain(twice).collect()
}

#[test]
fn every_public_function_is_swept_or_exempt() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/gan-kernels/src");
    let mut texts = BTreeMap::new();
    files(&root, "", &mut texts);
    let public = public(&texts);
    for name in [
        "add",
        "conv::conv2d",
        "optim::Adam::step",
        "tape::backward",
        "norm::pixel_norm",
    ] {
        assert!(public.contains(name), "{name} among {public:?}");
    }
    let exempt = EXEMPT.map(|(name, _)| name);
    assert_eq!(uncovered(&public, &edge::names(), &exempt), [""; 0]);
}

#[test]
fn public_functions_are_found() {
    let files = [
        (
            "",
            "pub mod a;\nmod b;\nmod c;\npub use b::{shown, Shown};\npub fn f() {}\n",
        ),
        (
            "a",
            "pub use d::deep;\npub(crate) fn no() {}\nfn no() {}\npub const fn g<T>(x: T) {}\n\
             pub struct Plain;\nstruct Hidden;\nimpl Plain {\n    pub fn m() {}\n    fn no() {}\n}\n\
             impl Hidden {\n    pub fn no() {}\n}\nimpl<T: U<V>> Generic<T> {\n    pub fn n(self) {}\n}\n\
             pub enum Generic<T> {}\nimpl fmt::Display for Plain {\n    fn no() {}\n}\n",
        ),
        ("a::d", "pub fn deep() {}\npub fn no() {}\n"),
        (
            "b",
            "pub fn shown(\n) {}\npub struct Shown(u8);\nimpl Shown {\n    pub unsafe fn m() {}\n}\npub fn no() {}\n",
        ),
        ("c", "pub fn no() {}\n"),
    ];
    let files = files.map(|(module, text)| (module.to_string(), text.to_string()));
    let found = public(&files.into());
    let expected = "Shown::m a::Generic::n a::Plain::m a::deep a::g f shown";
    assert_eq!(
        found.iter().cloned().collect::<Vec<_>>().join(" "),
        expected
    );
    let said = uncovered(
        &found,
        &["f", "shown", "a::g", "x"],
        &["f", "a::deep", "a::Plain::m", "a::Generic::n"],
    );
    assert_eq!(
        said,
        [
            "Shown::m is not in xtask/src/gpu/edge/cases.rs",
            "there is no public x",
            "f is swept and exempt"
        ]
    );
}
