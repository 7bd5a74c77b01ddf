//! The house rules that a program can check; each violation is one line `path:line: sentence`.
//!
//! Some 970 lines because the rules, the scanner that they stand on and a test for each rule, which is
//! nearly half, are read together.
//!
//! The scanner knows strings, characters and comments, not Rust's grammar: rules look at identifiers and
//! what stands beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Crates with a place of their own in the order of dependencies; every other `gan-*` is an algorithm.
const LAYERS: [(&str, u8); 4] = [
    ("gan-kernels", 0),
    ("gan-core", 1),
    ("gan-eval", ALGORITHM),
    ("xtask", 3),
];
const ALGORITHM: u8 = 2;

/// The one file that may call candle's random constructors.
const RNG: &str = "crates/gan-core/src/rng.rs";

/// A file this long must say why.
const LONG: usize = 500;

/// Checks the workspace at `root` and returns the violations, sorted; none means that it is tidy.
pub fn tidy(root: &Path) -> Result<Vec<String>> {
    let mut paths = Vec::new();
    walk(root, "", &mut paths)?;
    let mut sources = BTreeMap::new();
    for path in paths.iter().filter(|p| p.ends_with(".rs")) {
        sources.insert(path.as_str(), Source::new(&read(root, path)?));
    }
    let test_files: BTreeSet<String> = sources
        .iter()
        .flat_map(|(path, source)| test_modules(path, source))
        .collect();

    let mut found = Violations::default();
    for (path, source) in &sources {
        every_source(path, source, &mut found);
        unsafe_code(path, source, &mut found);
        if !is_test(path) && !test_files.contains(*path) {
            shipped_source(path, source, &mut found);
        }
        if path.starts_with("crates/gan-") && path.ends_with("/src/config.rs") {
            config_keys(path, source, &mut found);
        }
    }
    for path in paths.iter().filter(|p| p.ends_with("Cargo.toml")) {
        match path.split('/').collect::<Vec<_>>()[..] {
            ["crates", name, _] => {
                dependencies(path, name, &read(root, path)?, &mut found)?;
                readme(root, name, &paths, &mut found)?;
            }
            ["xtask", _] => dependencies(path, "xtask", &read(root, path)?, &mut found)?,
            _ => {}
        }
    }
    assets(root, &paths, &mut found)?;
    found.0.sort();
    Ok(found
        .0
        .into_iter()
        .map(|(path, line, what)| format!("{path}:{line}: {what}"))
        .collect())
}

#[derive(Default)]
struct Violations(Vec<(String, usize, String)>);

impl Violations {
    fn add(&mut self, path: &str, line: usize, what: impl Into<String>) {
        self.0.push((path.to_owned(), line, what.into()));
    }
}

fn read(root: &Path, path: &str) -> Result<String> {
    fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"))
}

/// Lists the files below `root`, without what is built, made by runs, hidden or linked from elsewhere.
fn walk(root: &Path, folder: &str, paths: &mut Vec<String>) -> Result<()> {
    let at = root.join(folder);
    for entry in fs::read_dir(&at).with_context(|| format!("cannot list {}", at.display()))? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        let name = name.to_string_lossy();
        let path = if folder.is_empty() {
            name.to_string()
        } else {
            format!("{folder}/{name}")
        };
        let made = folder.is_empty() && ["target", "runs"].contains(&&*name)
            || entry.path().join("CACHEDIR.TAG").exists();
        if kind.is_dir() && !made && !name.starts_with('.') {
            walk(root, &path, paths)?;
        } else if kind.is_file() {
            paths.push(path);
        }
    }
    Ok(())
}

// ---- rules for Rust files -------------------------------------------------------------------------

fn every_source(path: &str, source: &Source, found: &mut Violations) {
    let first = source.text.lines().find(|line| !line.trim().is_empty());
    if !first.is_some_and(|line| line.starts_with("//!")) {
        found.add(
            path,
            1,
            "the file must open with `//!` sentences that say what it is for",
        );
    }
    let lines = source.text.lines().count();
    let opening = source
        .text
        .lines()
        .take(10)
        .map(|l| l.trim_start_matches("//!").trim());
    if lines > LONG
        && !opening
            .collect::<Vec<_>>()
            .join(" ")
            .contains("lines because")
    {
        found.add(path, 1, format!(
            "{lines} lines, expected at most {LONG}, or `… lines because …` within the first 10 lines"
        ));
    }
}

/// `unsafe` stays in one crate, and each use there says why it is sound.
fn unsafe_code(path: &str, source: &Source, found: &mut Violations) {
    for word in source.words(&source.code).filter(|w| w.text == "unsafe") {
        // Blocks and impls promise something, so each says why it may. A function asks something of its
        // callers: one section for a file's functions will do. `unsafe fn(…)` is only a type.
        let function = word.after.strip_prefix("fn");
        let is_type = function.is_some_and(|s| s.trim_start().starts_with('('));
        if !path.starts_with("crates/gan-kernels/") {
            found.add(
                path,
                word.line,
                "`unsafe` is allowed in crates/gan-kernels only",
            );
        } else if function.is_some() {
            if !is_type && !source.comments.contains("# Safety") {
                found.add(
                    path,
                    word.line,
                    "`unsafe fn` in a file without a `# Safety` section",
                );
            }
        } else {
            let above = source
                .comments
                .lines()
                .take(word.line)
                .skip(word.line.saturating_sub(5));
            if !above.into_iter().any(|line| line.contains("SAFETY:")) {
                found.add(
                    path,
                    word.line,
                    "`unsafe` without a `SAFETY:` comment in the 4 lines above",
                );
            }
        }
    }
}

/// What only tests, benches and examples may do.
fn shipped_source(path: &str, source: &Source, found: &mut Violations) {
    const PANICS: [&str; 4] = ["unwrap", "expect", "unwrap_err", "expect_err"];
    const MACROS: [&str; 4] = ["panic", "todo", "unimplemented", "unreachable"];
    const METHODS: [&str; 6] = [
        "rand_like",
        "randn_like",
        "rand_uniform",
        "rand_normal",
        "rand_uniform_f64",
        "rand_normal_f64",
    ];
    for word in source.words(&source.shipped) {
        let member = word.before.ends_with('.') || word.before.ends_with("::");
        if PANICS.contains(&word.text) && member {
            found.add(
                path,
                word.line,
                format!(
                    "`{}` outside tests: return an error that names what was expected",
                    word.text
                ),
            );
        }
        if MACROS.contains(&word.text)
            && word.after.starts_with('!')
            && !word.after.starts_with("!=")
        {
            found.add(
                path,
                word.line,
                format!(
                    "`{}!` outside tests: return an error that names what was expected",
                    word.text
                ),
            );
        }
        let owner = word.before.strip_suffix("::").map_or("", str::trim_end);
        let of_candle = ["Tensor", "Var"].iter().any(|name| {
            owner
                .strip_suffix(name)
                .is_some_and(|rest| !rest.ends_with(is_word))
        });
        let random = of_candle && word.text.starts_with("rand")
            || word.before.ends_with('.') && METHODS.contains(&word.text);
        if random && path != RNG {
            found.add(
                path,
                word.line,
                format!(
                    "candle's `{}` cannot be seeded: draw through gan-core's rng",
                    word.text
                ),
            );
        }
    }
}

/// The sentence above a key is what `info` and the schema print.
fn config_keys(path: &str, source: &Source, found: &mut Violations) {
    let code: Vec<&str> = source.code.lines().collect();
    let text: Vec<&str> = source.text.lines().collect();
    let head = |line: &&str| {
        let rest = line.trim_start().strip_prefix("pub struct Config");
        rest.is_some_and(|rest| !rest.starts_with(is_word))
    };
    let Some(start) = code.iter().position(head) else {
        return;
    };
    let mut depth = 0;
    for (i, line) in code.iter().enumerate().skip(start) {
        let key = line
            .trim_start()
            .strip_prefix("pub ")
            .and_then(|rest| rest.split_once(':'));
        if let Some((key, _)) = key.filter(|_| depth == 1) {
            let mut above = i;
            while above > start + 1 && is_attribute(&code, start, &mut above) {}
            let doc = text[above - 1].trim_start().strip_prefix("///");
            if doc.is_none_or(|sentence| sentence.trim().is_empty()) {
                found.add(
                    path,
                    i + 1,
                    format!(
                        "config key `{}` needs a `///` sentence directly above",
                        key.trim()
                    ),
                );
            }
        }
        depth += line.matches('{').count();
        depth = depth.saturating_sub(line.matches('}').count());
        if depth == 0 && line.contains(['}', ';']) {
            break;
        }
    }
}

/// Whether an attribute ends above line `above`; if so, moves `above` to its first line.
fn is_attribute(code: &[&str], start: usize, above: &mut usize) -> bool {
    if !code[*above - 1].trim_end().ends_with(']') {
        return false;
    }
    let first = (start + 1..*above)
        .rev()
        .find(|&i| code[i].trim_start().starts_with("#["));
    let closed = |&i: &usize| code[i..*above].iter().map(|l| depth_of(l)).sum::<i64>() == 0;
    first.filter(closed).inspect(|&i| *above = i).is_some()
}

fn depth_of(line: &str) -> i64 {
    line.matches('[').count() as i64 - line.matches(']').count() as i64
}

// ---- rules for crates and assets ------------------------------------------------------------------

fn layer(name: &str) -> Option<u8> {
    let named = LAYERS
        .iter()
        .find(|(n, _)| *n == name)
        .map(|&(_, layer)| layer);
    named.or(name.starts_with("gan-").then_some(ALGORITHM))
}

/// xtask → gan-PAPER, gan-eval → gan-core → gan-kernels, and nothing sideways or back.
fn dependencies(path: &str, name: &str, text: &str, found: &mut Violations) -> Result<()> {
    let manifest: toml::Table = text
        .parse()
        .with_context(|| format!("cannot parse {path}"))?;
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let targets = targets
        .into_iter()
        .flat_map(|t| t.values())
        .filter_map(toml::Value::as_table);
    for part in std::iter::once(&manifest).chain(targets) {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(table) = part.get(kind).and_then(toml::Value::as_table) else {
                continue;
            };
            for (key, value) in table {
                let package = value
                    .get("package")
                    .and_then(toml::Value::as_str)
                    .unwrap_or(key);
                let (Some(from), Some(to)) = (layer(name), layer(package)) else {
                    continue;
                };
                if to < from {
                    continue;
                }
                let line = text
                    .lines()
                    .position(|l| l.contains(key.as_str()))
                    .map_or(1, |i| i + 1);
                let why = if from == ALGORITHM && to == ALGORITHM {
                    "what two papers share belongs in gan-core"
                } else {
                    "dependencies go xtask → gan-PAPER, gan-eval → gan-core → gan-kernels"
                };
                found.add(
                    path,
                    line,
                    format!("{name} must not depend on {package}: {why}"),
                );
            }
        }
    }
    Ok(())
}

fn readme(root: &Path, name: &str, paths: &[String], found: &mut Violations) -> Result<()> {
    let path = format!("crates/{name}/README.md");
    if !paths.contains(&path) {
        found.add(&path, 1, "every crate needs a README.md");
    } else if layer(name) == Some(ALGORITHM) && name != "gan-eval" {
        let heading = |line: &str| line.starts_with('#') && line.contains("Deviations");
        if !read(root, &path)?.lines().any(heading) {
            found.add(
                &path,
                1,
                "needs a heading `Deviations` that lists what differs from the paper",
            );
        }
    }
    Ok(())
}

/// Each entry of assets/ has a row with a licence in a table of assets/README.md.
fn assets(root: &Path, paths: &[String], found: &mut Violations) -> Result<()> {
    const README: &str = "assets/README.md";
    let entries: BTreeSet<&str> = paths
        .iter()
        .filter(|path| path.as_str() != README)
        .filter_map(|path| path.strip_prefix("assets/")?.split('/').next())
        .filter(|name| !name.starts_with('.'))
        .collect();
    if entries.is_empty() {
        return Ok(());
    }
    let text = if paths.iter().any(|p| p == README) {
        read(root, README)?
    } else {
        String::new()
    };
    let (mut licensed, mut column) = (BTreeSet::new(), None);
    for line in text.lines().map(str::trim) {
        if !line.starts_with('|') {
            column = None;
            continue;
        }
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let is_head = |cell: &&str| ["licence", "license"].contains(&&*cell.to_lowercase());
        match column {
            None => column = Some(cells.iter().position(is_head)),
            Some(Some(i))
                if cells
                    .get(i)
                    .is_some_and(|cell| cell.contains(char::is_alphanumeric)) =>
            {
                licensed.insert(cells[0].trim_matches('`').trim_end_matches('/'));
            }
            Some(_) => {}
        }
    }
    for name in entries.difference(&licensed) {
        let what = format!("`{name}` needs a row with its licence in a table of {README}");
        found.add(&format!("assets/{name}"), 1, what);
    }
    Ok(())
}

// ---- the scanner ----------------------------------------------------------------------------------

/// A Rust file in layers of one layout: what one layer does not hold is blank there.
struct Source {
    text: String,
    /// Without comments and without what is inside strings and characters.
    code: String,
    /// `code` without the items that only tests compile.
    shipped: String,
    comments: String,
}

/// An identifier and what stands beside it.
struct Word<'a> {
    text: &'a str,
    before: &'a str,
    after: &'a str,
    line: usize,
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_test(path: &str) -> bool {
    path.split('/')
        .any(|part| ["tests", "benches", "examples"].contains(&part))
}

impl Source {
    fn new(text: &str) -> Self {
        let (code, comments) = layers(text);
        let shipped = without_tests(&code);
        Self {
            text: text.to_owned(),
            code,
            shipped,
            comments,
        }
    }

    fn words<'a>(&self, layer: &'a str) -> impl Iterator<Item = Word<'a>> + use<'a> {
        let (mut at, mut line) = (0, 1);
        std::iter::from_fn(move || {
            let start = at + layer[at..].find(is_word)?;
            let end = layer[start..]
                .find(|c| !is_word(c))
                .map_or(layer.len(), |n| start + n);
            line += layer[at..start].matches('\n').count();
            at = end;
            Some(Word {
                text: &layer[start..end],
                before: layer[..start].trim_end(),
                after: layer[end..].trim_start(),
                line,
            })
        })
    }
}

/// Splits a file into its code and its comments.
fn layers(text: &str) -> (String, String) {
    let (mut code, mut comments) = (String::new(), String::new());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after_word = code.ends_with(is_word);
        let (length, is_comment) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), true)
        } else if rest.starts_with("/*") {
            (block_comment(rest), true)
        } else if let Some(length) = string(rest).filter(|_| !after_word || rest.starts_with('"')) {
            (length, false)
        } else {
            code.push(c);
            comments.push(if c == '\n' { c } else { ' ' });
            rest = &rest[c.len_utf8()..];
            continue;
        };
        let blank = |c: char| if c == '\n' { c } else { ' ' };
        let (taken, left) = rest.split_at(length);
        if is_comment {
            comments.push_str(taken);
            code.extend(taken.chars().map(blank));
        } else {
            // The quotes stay, so that what stands beside a string does not seem to stand together.
            let last = taken.chars().count() - 1;
            let inside = taken.chars().enumerate();
            code.extend(inside.map(|(i, c)| if i == 0 || i == last { '"' } else { blank(c) }));
            comments.extend(taken.chars().map(blank));
        }
        rest = left;
    }
    (code, comments)
}

/// Length of the block comment that `text` opens with; Rust's nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Length of the string or character that `text` opens with, prefix included.
fn string(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r"].into_iter().find(|p| {
        text.strip_prefix(p)
            .is_some_and(|s| s.starts_with(['"', '\'']) || s.starts_with('#') && p.ends_with('r'))
    });
    let start = prefix.map_or(0, str::len);
    let body = &text[start..];
    if prefix.is_some_and(|p| p.ends_with('r')) {
        let hashes = body.len() - body.trim_start_matches('#').len();
        // `r#name` is an identifier.
        let inside = body[hashes..].strip_prefix('"')?;
        let close = format!("\"{}", "#".repeat(hashes));
        let length = inside
            .find(&close)
            .map_or(inside.len(), |n| n + close.len());
        return Some(start + hashes + 1 + length);
    }
    let quote = body.chars().next().filter(|c| ['"', '\''].contains(c))?;
    let mut chars = body.char_indices().skip(1).peekable();
    let &(second_at, second) = chars.peek()?;
    if quote == '\'' && second != '\\' {
        // `'a` is a lifetime unless its quote closes at once.
        let closed = body[second_at + second.len_utf8()..].starts_with('\'');
        return closed.then_some(start + second_at + second.len_utf8() + 1);
    }
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if c == quote {
            return Some(start + at + 1);
        }
    }
    Some(text.len())
}

/// The attributes that keep an item out of what ships.
const TEST_ATTRIBUTES: [&str; 4] = [
    "#[cfg(test)]",
    "#[cfg(all(test,",
    "#[test]",
    "#![cfg(test)]",
];

/// Where the next item that only tests compile begins and ends.
fn next_test_item(code: &str, from: usize) -> Option<(usize, usize)> {
    let start = TEST_ATTRIBUTES
        .iter()
        .filter_map(|a| code[from..].find(a))
        .min()?
        + from;
    if code[start..].starts_with("#!") {
        return Some((start, code.len()));
    }
    let (mut braces, mut others) = (0, 0);
    for (i, c) in code[start..].char_indices() {
        match c {
            '(' | '[' => others += 1,
            ')' | ']' => others -= 1,
            '{' => braces += 1,
            // The brace that closes is the item's own, or its parent's when the item is a field.
            '}' => {
                braces -= 1;
                if braces <= 0 && others == 0 {
                    return Some((start, start + i + usize::from(braces == 0)));
                }
            }
            ';' if braces == 0 && others == 0 => return Some((start, start + i + 1)),
            _ => {}
        }
    }
    Some((start, code.len()))
}

fn without_tests(code: &str) -> String {
    let (mut shipped, mut at) = (String::new(), 0);
    while let Some((start, end)) = next_test_item(code, at) {
        shipped.push_str(&code[at..start]);
        shipped.extend(
            code[start..end]
                .chars()
                .map(|c| if c == '\n' { c } else { ' ' }),
        );
        at = end;
    }
    shipped + &code[at..]
}

/// The files of modules that are declared for tests only, as `#[cfg(test)] mod NAME;`.
fn test_modules(path: &str, source: &Source) -> Vec<String> {
    let (mut files, mut at) = (Vec::new(), 0);
    let folder = match path.rsplit_once('/') {
        Some((folder, "lib.rs" | "main.rs" | "mod.rs")) => folder,
        _ => path.trim_end_matches(".rs"),
    };
    while let Some((start, end)) = next_test_item(&source.code, at) {
        let item = source.code[start..end]
            .rsplit(']')
            .next()
            .unwrap_or_default();
        let name = item
            .trim()
            .strip_suffix(';')
            .and_then(|s| s.rsplit_once("mod "));
        if let Some((_, name)) = name {
            files.push(format!("{folder}/{}.rs", name.trim()));
            files.push(format!("{folder}/{}/mod.rs", name.trim()));
        }
        at = end;
    }
    files
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A workspace without a fault; a test replaces one file or adds one.
    const CLEAN: [(&str, &str); 9] = [
        (
            "xtask/Cargo.toml",
            "[dependencies]\ngan-toy.workspace = true\ngan-eval.workspace = true\n",
        ),
        (
            "crates/gan-kernels/Cargo.toml",
            "[dependencies]\ncandle-core = \"0.11\"\n",
        ),
        ("crates/gan-kernels/README.md", "# Kernels\n"),
        (
            "crates/gan-core/Cargo.toml",
            "[dependencies]\ngan-kernels.workspace = true\n",
        ),
        ("crates/gan-core/README.md", "# Core\n"),
        (
            "crates/gan-toy/Cargo.toml",
            "[dependencies]\ngan-core = { path = \"../gan-core\" }\n",
        ),
        (
            "crates/gan-toy/README.md",
            "# Toy\n\n## Deviations\n\nNone.\n",
        ),
        ("crates/gan-toy/src/lib.rs", "//! A toy.\n"),
        ("target/debug/build/made.rs", "fn made() { x.unwrap() }\n"),
    ];

    fn check(files: &[(&str, &str)]) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in CLEAN.iter().chain(files) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        tidy(root.path()).unwrap()
    }

    #[track_caller]
    fn passes(path: &str, text: &str) {
        assert_eq!(check(&[(path, text)]), [""; 0]);
    }

    /// One violation at the given place, with the given words.
    #[track_caller]
    fn catches(path: &str, text: &str, line: usize, words: &str) {
        let found = check(&[(path, text)]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with(&format!("{path}:{line}: ")),
            "{found:?}"
        );
        assert!(found[0].contains(words), "{found:?}");
    }

    const LIB: &str = "crates/gan-toy/src/lib.rs";

    #[test]
    fn clean() {
        assert_eq!(check(&[]), [""; 0]);
    }

    #[test]
    fn dependencies_go_one_way() {
        let toy = "crates/gan-toy/Cargo.toml";
        passes(
            toy,
            "[dependencies]\ngan-kernels = \"1\"\n[dev-dependencies]\nganesh = \"1\"\n",
        );
        catches(
            toy,
            "[dependencies]\ngan-other.workspace = true\n",
            2,
            "belongs in gan-core",
        );
        catches(
            toy,
            "[dev-dependencies.gan-other]\npath = \"x\"\n",
            1,
            "gan-other",
        );
        catches(
            toy,
            "[dependencies]\nx = { package = \"gan-eval\" }\n",
            2,
            "gan-eval",
        );
        catches(
            toy,
            "[target.'cfg(unix)'.dependencies]\nxtask = \"1\"\n",
            2,
            "→",
        );
        let core = "crates/gan-core/Cargo.toml";
        catches(
            core,
            "[build-dependencies]\ngan-toy = \"1\"\n",
            2,
            "must not depend on gan-toy",
        );
        catches(
            "crates/gan-kernels/Cargo.toml",
            "[dependencies]\ngan-core = \"1\"\n",
            2,
            "→",
        );
    }

    #[test]
    fn no_panics_outside_tests() {
        catches(
            LIB,
            "//! T.\nfn f() {\n    x\n        .unwrap();\n}\n",
            4,
            "`unwrap` outside tests",
        );
        catches(LIB, "//! T.\nfn f() { x.expect(\"y\") }\n", 2, "`expect`");
        catches(
            LIB,
            "//! T.\nfn f() { x.map(Option::unwrap) }\n",
            2,
            "`unwrap`",
        );
        for name in ["panic", "todo", "unimplemented", "unreachable"] {
            catches(
                LIB,
                &format!("//! T.\nfn f() {{ {name}!() }}\n"),
                2,
                &format!("`{name}!`"),
            );
        }
        passes(
            LIB,
            "//! T.\n#[expect(unused)]\nfn f() { x.unwrap_or(0); unwrap(x); todo != x }\n",
        );
        passes(
            LIB,
            "//! `x.unwrap()`\n/// panic!()\n/* a /* b */ todo!() */\nfn f() {} // x.unwrap()\n",
        );
        passes(
            LIB,
            "//! T.\nfn f<'a>() { (\"\\\"panic!()\", r#\"a\"todo!()\"#, '\"', \"x.unwrap()\") }\n",
        );
        catches(
            LIB,
            "//! T.\nfn f<'a>(x: &'a u8) { ('\\'', '\"', b'\"', r#type, x.unwrap()) }\n",
            2,
            "unwrap",
        );
    }

    #[test]
    fn tests_may_panic() {
        let tests = "#[cfg(test)]\n#[allow(x)]\nmod tests {\n    fn f() { { x.unwrap(); '}' } panic!() }\n}\n";
        passes(LIB, &format!("//! T.\n{tests}"));
        catches(
            LIB,
            &format!("//! T.\n{tests}fn f() {{ x.unwrap() }}\n"),
            7,
            "unwrap",
        );
        passes(
            LIB,
            "//! T.\n#[cfg(test)]\nuse a::{b, c};\n#[test]\nfn t(x: [u8; 2]) { x.unwrap() }\n",
        );
        catches(
            LIB,
            "//! T.\n#[cfg(test)]\nuse a::b;\nfn f() { x.unwrap() }\n",
            4,
            "unwrap",
        );
        catches(
            LIB,
            "//! T.\n#[cfg(not(test))]\nfn f() { x.unwrap() }\n",
            3,
            "unwrap",
        );
        for folder in ["tests", "benches", "examples"] {
            passes(
                &format!("crates/gan-toy/{folder}/t.rs"),
                "//! T.\nfn t() { x.unwrap() }\n",
            );
        }
        let module = (
            "crates/gan-toy/src/checks.rs",
            "//! T.\nfn t() { x.unwrap() }\n",
        );
        assert_eq!(check(&[module]).len(), 1);
        assert_eq!(
            check(&[module, (LIB, "//! T.\n#[cfg(test)]\nmod checks;\n")]),
            [""; 0]
        );
    }

    #[test]
    fn randomness_has_one_home() {
        let draw = |call: &str| format!("//! T.\nfn f() {{ {call} }}\n");
        for call in [
            "Tensor::randn(0f32)",
            "candle_core::Var::rand_f64(0)",
            "x.randn_like(0.)",
        ] {
            catches(LIB, &draw(call), 2, "cannot be seeded");
            passes("crates/gan-core/src/rng.rs", &draw(call));
            passes("crates/gan-toy/tests/t.rs", &draw(call));
        }
        passes(
            LIB,
            &draw("draws.randn(0); MyTensor::rand(0); Tensor::zeros(0)"),
        );
    }

    #[test]
    fn files_open_with_a_sentence() {
        passes(LIB, "\n//! T.\n");
        catches(LIB, "// T.\n//! U.\n", 1, "`//!`");
        catches("tests/t.rs", "", 1, "`//!`");
    }

    #[test]
    fn long_files_say_why() {
        let long = "\n".repeat(500);
        catches(LIB, &format!("//! T.\n{long}"), 1, "501 lines");
        passes(LIB, &format!("//! T.\n{}", "\n".repeat(499)));
        passes(
            LIB,
            &format!("//! T.\n//! 501 lines\n//! because so.\n{long}"),
        );
    }

    #[test]
    fn crates_have_readmes() {
        catches(
            "crates/gan-toy/README.md",
            "# Toy\n\nDeviations: none.\n",
            1,
            "heading",
        );
        let found = check(&[("crates/gan-new/Cargo.toml", "")]);
        assert_eq!(
            found,
            ["crates/gan-new/README.md:1: every crate needs a README.md"]
        );
    }

    #[test]
    fn config_keys_have_sentences() {
        let path = "crates/gan-toy/src/config.rs";
        let config = |body: &str| {
            format!("//! C.\npub struct Config {{\n{body}}}\npub struct B {{ pub c: u8 }}\n")
        };
        passes(
            path,
            &config(
                "    /// Size.\n    pub size: usize,\n    /// Rate.\n    #[serde(\n        default\n    )]\n    #[x]\n    pub lr: f64,\n    own: u8,\n",
            ),
        );
        catches(
            path,
            &config("    /// Size.\n    pub size: [u8; 2],\n    pub lr: f64,\n"),
            5,
            "`lr`",
        );
        catches(
            path,
            &config(
                "    /// Size.\n    #[x]\n    pub size: u8,\n    #[serde(\n        y\n    )]\n    pub lr: f64,\n",
            ),
            9,
            "`lr`",
        );
        catches(path, &config("    ///\n    pub lr: f64,\n"), 4, "`lr`");
        catches(path, &config("    // Rate.\n    pub lr: f64,\n"), 4, "`lr`");
    }

    #[test]
    fn assets_have_licences() {
        let file = ("assets/digits/a.bin", "x");
        let with = |readme: &str| check(&[file, ("assets/README.md", readme)]);
        assert_eq!(
            with("| Name | Licence |\n|---|---|\n| `digits/` | MIT |\n"),
            [""; 0]
        );
        assert_eq!(check(&[file]).len(), 1);
        assert_eq!(
            with("| Name | Licence |\n|---|---|\n| `digits` | |\n").len(),
            1
        );
        assert_eq!(
            with("| Name | Size |\n|---|---|\n| `digits` | 1 |\n").len(),
            1
        );
        let found = with("digits, licence MIT\n");
        assert_eq!(found.len(), 1);
        assert!(
            found[0].starts_with("assets/digits:1: `digits` needs a row"),
            "{found:?}"
        );
    }

    #[test]
    fn unsafe_has_one_home_and_a_reason() {
        let block = "//! T.\nfn f() {\n    // SAFETY: so.\n    let x = unsafe { y };\n}\n";
        let kernel = "crates/gan-kernels/src/k.rs";
        passes(kernel, block);
        catches(LIB, block, 4, "crates/gan-kernels only");
        catches(kernel, "//! T.\nunsafe impl A for B {}\n", 2, "SAFETY:");
        catches(
            kernel,
            "//! T.\n// SAFETY: far.\n\n\n\n\nunsafe impl A for B {}\n",
            7,
            "SAFETY:",
        );
        catches(kernel, "//! T.\nunsafe fn f() {}\n", 2, "# Safety");
        passes(kernel, "//! T.\n//! # Safety\n//! So.\nunsafe fn f() {}\n");
        catches(
            kernel,
            "//! T.\nfn f() { let s = \"SAFETY:\"; unsafe { y } }\n",
            2,
            "SAFETY:",
        );
        passes(
            kernel,
            "//! T. unsafe\n#![deny(unsafe_op_in_unsafe_fn)]\ntype F = unsafe fn(u8);\n",
        );
    }

    #[test]
    fn words_that_cannot_be_read_are_an_error() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("xtask")).unwrap();
        fs::write(root.path().join("xtask/Cargo.toml"), "[dependencies\n").unwrap();
        assert!(
            tidy(root.path())
                .unwrap_err()
                .to_string()
                .contains("xtask/Cargo.toml")
        );
    }
}
