//! The house rules that neither rustc nor clippy can check; each violation is one line
//! `path:line: sentence`. What they can check is in `Cargo.toml` and `clippy.toml`.

mod circles;

use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use toml::{Table, Value};

/// Where the project's own files lie; what is built or made by runs lies elsewhere.
const FOLDERS: [&str; 4] = ["assets", "crates", "tests", "xtask"];

/// The one crate with `unsafe`, which the workspace's lints forbid.
const UNSAFE: &str = "gan-kernels";

/// A file this long must say why.
const LONG: usize = 500;

/// Circles that are there today, each with its reason. None may be added, and a part of one may stay while
/// the rest is taken apart.
const CIRCLES: [&str; 1] = [
    // A network's parameters are state, and state says whether it is a network's.
    "crates/gan-core/src/params.rs crates/gan-core/src/state.rs",
];

/// Checks the workspace at `root` and returns the violations, sorted; none means that it is tidy.
pub fn tidy(root: &Path) -> Result<Vec<String>> {
    let paths = files(root)?;
    let workspace = manifest(root, "Cargo.toml")?;
    let mut found = Vec::new();
    let sources = sources(root)?;
    for (path, text) in &sources {
        opening(path, text, &mut found);
        if path.ends_with("/src/config.rs") {
            config_keys(path, text, &mut found);
        }
    }
    for path in &paths {
        let name = match path.split('/').collect::<Vec<_>>()[..] {
            ["crates", name, "Cargo.toml"] => name,
            ["xtask", "Cargo.toml"] => "xtask",
            _ => continue,
        };
        let own = manifest(root, path)?;
        dependencies(path, name, &own, &mut found);
        lints(path, name, &own, &workspace, &mut found);
        if name != "xtask" {
            readme(root, name, &mut found);
        }
    }
    assets(root, &paths, &mut found);
    for circle in circles::circles(&sources) {
        if !CIRCLES.iter().any(|listed| is_within(&circle, listed)) {
            let (first, all) = (&circle[0], circle.join(", "));
            let what = "files that use one another in a circle";
            found.push(format!("{first}:1: {what}: {all}"));
        }
    }
    found.sort();
    Ok(found)
}

/// The circles of files that use one another, within each crate; listed ones too.
pub fn circles(root: &Path) -> Result<Vec<Vec<String>>> {
    Ok(circles::circles(&sources(root)?))
}

fn is_within(circle: &[String], listed: &str) -> bool {
    let is_listed = |file: &String| listed.split(' ').any(|other| other == file);
    circle.iter().all(is_listed)
}

/// The paths of the project's files; hidden ones and links do not count.
fn files(root: &Path) -> Result<Vec<String>> {
    let folders = FOLDERS.iter().map(|folder| root.join(folder));
    let mut folders: Vec<_> = folders.filter(|folder| folder.is_dir()).collect();
    let mut paths = Vec::new();
    while let Some(folder) = folders.pop() {
        let cannot = || format!("cannot list {}", folder.display());
        for entry in fs::read_dir(&folder).with_context(cannot)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            } else if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                paths.push(path.strip_prefix(root)?.to_string_lossy().into_owned());
            }
        }
    }
    Ok(paths)
}

fn read(root: &Path, path: &str) -> Result<String> {
    fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"))
}

/// The text of each Rust file.
fn sources(root: &Path) -> Result<BTreeMap<String, String>> {
    let paths = files(root)?
        .into_iter()
        .filter(|path| path.ends_with(".rs"));
    let sources = paths.map(|path| Ok((path.clone(), read(root, &path)?)));
    sources.collect()
}

fn manifest(root: &Path, path: &str) -> Result<Table> {
    let text = read(root, path)?;
    text.parse().with_context(|| format!("cannot parse {path}"))
}

/// A file says what it is for, and a long one why it is long.
fn opening(path: &str, text: &str, found: &mut Vec<String>) {
    if !text.trim_start().starts_with("//!") {
        let what = "the file must open with `//!` sentences that say what it is for";
        found.push(format!("{path}:1: {what}"));
    }
    let lines: Vec<&str> = text.lines().collect();
    let opening = lines.iter().take(10).flat_map(|line| line.split(' '));
    let opening: Vec<&str> = opening.filter(|word| *word != "//!").collect();
    if lines.len() > LONG && !opening.join(" ").contains("lines because") {
        let (n, reason) = (lines.len(), "`… lines because …` in the first 10");
        let what = format!("{n} lines, expected at most {LONG}, or {reason}");
        found.push(format!("{path}:1: {what}"));
    }
}

/// The sentence above a key is what `info` and the schema print.
fn config_keys(path: &str, text: &str, found: &mut Vec<String>) {
    let lines = text.lines().map(str::trim_end).enumerate();
    let body = lines.skip_while(|(_, line)| *line != "pub struct Config {");
    let mut sentence = false;
    for (i, line) in body.skip(1).take_while(|(_, line)| *line != "}") {
        // Lines of an attribute between the two start otherwise or lie deeper.
        match line.strip_prefix("    ").unwrap_or_default() {
            doc if doc.starts_with("/// ") => sentence = true,
            field if field.starts_with(char::is_alphabetic) => {
                let key = field.strip_prefix("pub ").and_then(|f| f.split_once(':'));
                if let Some((key, _)) = key.filter(|_| !sentence) {
                    let what = format!("config key `{key}` needs a `///` sentence above");
                    found.push(format!("{path}:{}: {what}", i + 1));
                }
                sentence = false;
            }
            _ => {}
        }
    }
}

/// The place of a crate in the order of dependencies; what is not the project's own has none.
fn layer(name: &str) -> Option<u8> {
    match name {
        "gan-kernels" => Some(0),
        "gan-core" => Some(1),
        "xtask" => Some(3),
        _ => name.starts_with("gan-").then_some(2),
    }
}

/// The entries of what should be a table; none of anything else.
fn entries(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value.and_then(Value::as_table).into_iter().flatten()
}

/// xtask → gan-PAPER, gan-eval → gan-core → gan-kernels, and nothing sideways or back.
fn dependencies(path: &str, name: &str, manifest: &Table, found: &mut Vec<String>) {
    let targets = entries(manifest.get("target")).filter_map(|(_, target)| target.as_table());
    for part in targets.chain([manifest]) {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (key, value) in entries(part.get(kind)) {
                let package = value.get("package").and_then(Value::as_str).unwrap_or(key);
                let why = match (layer(name), layer(package)) {
                    (Some(2), Some(2)) => "what two papers share belongs in gan-core",
                    (Some(from), Some(to)) if to >= from => {
                        "dependencies go xtask → gan-PAPER, gan-eval → gan-core → gan-kernels"
                    }
                    _ => continue,
                };
                let what = format!("{name} must not depend on {package}: {why}");
                found.push(format!("{path}:1: {what}"));
            }
        }
    }
}

/// A crate that does not take the workspace's lints would escape them in silence.
fn lints(path: &str, name: &str, own: &Table, workspace: &Table, found: &mut Vec<String>) {
    let own = own.get("lints");
    if own.and_then(|own| own.get("workspace")?.as_bool()) == Some(true) {
        return;
    } else if name != UNSAFE {
        found.push(format!("{path}:1: needs `[lints]` with `workspace = true`"));
        return;
    }
    let workspace = workspace.get("workspace").and_then(|w| w.get("lints"));
    for (tool, lints) in entries(workspace) {
        for (lint, level) in entries(Some(lints)).filter(|(lint, _)| *lint != "unsafe_code") {
            if own.and_then(|own| own.get(tool)?.get(lint)) != Some(level) {
                found.push(format!("{path}:1: needs {tool}'s lint {lint} = {level}"));
            }
        }
    }
}

/// A crate of a paper lists what differs from the paper.
fn readme(root: &Path, name: &str, found: &mut Vec<String>) {
    let path = format!("crates/{name}/README.md");
    let heading = |line: &str| line.starts_with('#') && line.contains("Deviations");
    match read(root, &path) {
        Err(_) => found.push(format!("{path}:1: every crate needs a README.md")),
        Ok(text) if layer(name) == Some(2) && name != "gan-eval" && !text.lines().any(heading) => {
            let what = "needs a heading `Deviations` that lists what differs from the paper";
            found.push(format!("{path}:1: {what}"));
        }
        Ok(_) => {}
    }
}

/// Each entry of assets/ has a row with a licence in a table of assets/README.md.
fn assets(root: &Path, paths: &[String], found: &mut Vec<String>) {
    const README: &str = "assets/README.md";
    let entries = paths.iter().filter(|path| *path != README);
    let entries = entries.filter_map(|path| path.strip_prefix("assets/")?.split('/').next());
    let text = read(root, README).unwrap_or_default();
    let (mut licensed, mut column) = (BTreeSet::new(), None);
    for line in text.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if !line.starts_with('|') {
            column = None;
        } else if let Some(i) = column {
            let licence: Option<&&str> = cells.get(i);
            if licence.is_some_and(|cell| cell.contains(char::is_alphabetic)) {
                licensed.insert(cells[1].trim_matches(['`', '/']));
            }
        } else {
            column = cells.iter().position(|cell| *cell == "Licence");
        }
    }
    for name in entries.collect::<BTreeSet<_>>().difference(&licensed) {
        let what = format!("`{name}` needs a row with its licence in a table of {README}");
        found.push(format!("assets/{name}:1: {what}"));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A workspace without a fault: each file's path and text.
    const CLEAN: [&str; 12] = [
        "Cargo.toml => [workspace.lints]\nrust.unsafe_code = 'forbid'\nclippy.todo = 'warn'",
        "xtask/Cargo.toml => lints.workspace = true\ndependencies.gan-toy.workspace = true",
        "crates/gan-kernels/Cargo.toml => lints.clippy = { todo = 'warn', panic = 'warn' }",
        "crates/gan-kernels/README.md => # Kernels",
        "crates/gan-core/README.md => # Core",
        "crates/gan-toy/Cargo.toml => lints.workspace = true\n[dependencies]\ngan-core = '1'\nganesh = '1'",
        "crates/gan-toy/README.md => # Toy\n\n## Deviations\n\nNone.",
        "crates/gan-toy/src/lib.rs => //! T.\npub use crate::config::Config;",
        "crates/gan-toy/src/config.rs => //! C.\nuse super::Shared;\npub struct Config {\n    /// A.\n    \
         #[serde(\n        default\n    )]\n    pub a: u8,\n    own: u8,\n}",
        "assets/digits/a.bin => x",
        "assets/README.md => | Name | Licence |\n|---|---|\n| `digits/` | MIT |",
        "target/debug/build/made.rs => fn made() {}",
    ];

    /// Changes to it, each with the place and the words of the one violation that it makes.
    const FAULTS: [&str; 18] = [
        "tests/t.rs =>  => tests/t.rs:1: the file must open with `//!`",
        "xtask/src/t.rs => // T.\n//! U. => xtask/src/t.rs:1: the file must open with `//!`",
        "crates/gan-toy/Cargo.toml => lints.workspace = true\ndependencies.gan-b.path = 'b' => crates/gan-toy/Cargo.toml:1: gan-toy must not depend on gan-b: what two papers share",
        "crates/gan-toy/Cargo.toml => lints.workspace = true\ntarget.x.dev-dependencies.x.package = 'gan-eval' => crates/gan-toy/Cargo.toml:1: gan-toy must not depend on gan-eval: what two",
        "crates/gan-toy/Cargo.toml => lints.workspace = true\nbuild-dependencies.xtask = '1' => crates/gan-toy/Cargo.toml:1: gan-toy must not depend on xtask: dependencies go",
        "crates/gan-core/Cargo.toml => lints.workspace = true\ndependencies.gan-toy = '1' => crates/gan-core/Cargo.toml:1: gan-core must not depend on gan-toy: dependencies go",
        "crates/gan-toy/Cargo.toml => lints.clippy.todo = 'warn' => crates/gan-toy/Cargo.toml:1: needs `[lints]` with",
        "crates/gan-kernels/Cargo.toml => lints.clippy.todo = 'allow' => crates/gan-kernels/Cargo.toml:1: needs clippy's lint todo = \"warn\"",
        "crates/gan-toy/README.md => # Toy\n\nDeviations: none. => crates/gan-toy/README.md:1: needs a heading",
        "crates/gan-new/Cargo.toml => lints.workspace = true => crates/gan-new/README.md:1: every crate needs",
        "crates/gan-toy/src/config.rs => //! C.\npub struct Config {\n    /// A.\n    pub a: u8,\n    pub b: u8,\n} => crates/gan-toy/src/config.rs:5: config key `b`",
        "crates/gan-toy/src/config.rs => //! C.\npub struct Config {\n    ///\n    pub b: u8,\n} => crates/gan-toy/src/config.rs:4: config key `b`",
        "crates/gan-toy/src/config.rs => //! C.\npub struct Config {\n    // B.\n    #[x]\n    pub b: u8,\n} => crates/gan-toy/src/config.rs:5: config key `b`",
        "assets/new.zip => x => assets/new.zip:1: `new.zip` needs a row with its licence",
        "assets/README.md => digits, licence MIT => assets/digits:1: `digits` needs a row",
        "assets/README.md => | Name | Licence |\n|---|---|\n| `digits` | | => assets/digits:1: `digits` needs a row",
        "assets/README.md => | Name | Size |\n|---|---|\n| `digits` | MIT | => assets/digits:1: `digits` needs a row",
        "crates/gan-toy/src/lib.rs => //! T.\nuse crate::config::Config; => crates/gan-toy/src/config.rs:1: files that use one another in a circle: crates/gan-toy/src/config.rs, crates/gan-toy/src/lib.rs",
    ];

    /// The violations of the clean workspace after a change.
    fn check(path: &str, text: &str) -> Result<Vec<String>> {
        let root = tempfile::tempdir().unwrap();
        let clean = CLEAN.iter().map(|file| file.split_once(" => ").unwrap());
        for (path, text) in clean.chain([(path, text)]) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        tidy(root.path())
    }

    #[test]
    fn a_clean_workspace_has_no_violation() {
        assert_eq!(check("notes", "").unwrap(), [""; 0]);
    }

    #[test]
    fn each_fault_is_found() {
        for fault in FAULTS {
            let [path, text, expected] = fault.split(" => ").collect::<Vec<_>>()[..] else {
                panic!("{fault}");
            };
            let found = check(path, text).unwrap();
            assert_eq!(found.len(), 1, "{fault}: {found:?}");
            assert!(found[0].starts_with(expected), "{fault}: {found:?}");
        }
    }

    #[test]
    fn a_long_file_says_why() {
        let long = |first| format!("//! T.\n{first}{}", "\n".repeat(LONG));
        let found = check("tests/t.rs", &long("")).unwrap();
        assert!(
            found[0].starts_with("tests/t.rs:1: 501 lines,"),
            "{found:?}"
        );
        let reason = long("//! Some 502\n//! lines because so.\n");
        assert_eq!(check("tests/t.rs", &reason).unwrap(), [""; 0]);
    }

    #[test]
    fn a_manifest_that_cannot_be_read_is_an_error() {
        let error = check("xtask/Cargo.toml", "[dependencies\n").unwrap_err();
        assert!(error.to_string().contains("xtask/Cargo.toml"), "{error}");
    }

    /// A circle that has gone must not come back unseen.
    #[test]
    fn every_listed_circle_is_still_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let circles = circles(&root).unwrap();
        for listed in CIRCLES {
            let is_there = circles.iter().any(|circle| is_within(circle, listed));
            assert!(
                is_there,
                "no circle any more, take it off the list: {listed}"
            );
        }
    }
}
