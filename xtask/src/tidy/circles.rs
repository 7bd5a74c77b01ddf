//! Circles among the files of one crate: files that use one another cannot be read, moved or tested alone.
//!
//! The graph comes from what the files say, not from a compiler: a path that begins with `crate::` or
//! `super::` leads to the file of the longest module in it, through the `use` lines that pass a name on.
//! Paths to a file's own children by their bare names (`mod`, `use child::…`, `child::f()`) are left out:
//! a module that gathers its children, and whose children share its types, is one thing in many files.

use std::collections::{BTreeMap, BTreeSet};

/// A module's path below its crate; the crate's root is empty.
type Module = Vec<String>;

/// The path and the shipped text of the files of one crate.
type Files<'a> = BTreeMap<Module, (&'a str, String)>;

/// Where names come from: the module that says `use`, the name there, and the path that it stands for.
type Aliases = BTreeMap<(Module, String), Module>;

/// The circles among the files of `sources` (path and text), each sorted, over all crates.
pub(super) fn circles(sources: &BTreeMap<String, String>) -> Vec<Vec<String>> {
    let mut crates: BTreeMap<&str, Files> = BTreeMap::new();
    for (path, text) in sources {
        if let Some((name, inside)) = path.split_once("/src/") {
            let files = crates.entry(name).or_default();
            let file = (path.as_str(), shipped(text));
            files.entry(module(inside)).or_insert(file);
        }
    }
    crates
        .values()
        .flat_map(|files| components(&graph(files)))
        .collect()
}

/// The module that a file below `src/` holds.
fn module(inside: &str) -> Module {
    match inside.trim_end_matches(".rs").trim_end_matches("/mod") {
        "lib" | "main" => Module::new(),
        name => name.split('/').map(str::to_owned).collect(),
    }
}

/// Which files of one crate each of them uses.
fn graph<'a>(files: &Files<'a>) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut aliases = Aliases::new();
    for (module, (_, text)) in files {
        for (path, name) in imports(text) {
            aliases.insert((module.clone(), name), absolute(module, &path));
        }
    }
    let mut graph: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (module, (path, text)) in files {
        let uses = graph.entry(*path).or_default();
        for (used, passed_on) in paths(text) {
            let target = resolve(absolute(module, &used), files, &aliases);
            let own_child = passed_on && target.starts_with(module);
            let file = files
                .get(&target)
                .filter(|_| target != *module && !own_child);
            uses.extend(file.map(|(path, _)| *path));
        }
    }
    graph
}

/// A file without its comments and its module of tests, which stands last.
fn shipped(text: &str) -> String {
    let text = text.split("\nmod tests {").next().unwrap_or_default();
    let code = text.lines().filter_map(|line| line.split("//").next());
    code.collect::<Vec<_>>().join("\n")
}

/// The `use` lines: each path and the name that it has from there on.
fn imports(text: &str) -> Vec<(String, String)> {
    let mut imports = Vec::new();
    for (at, word) in text.match_indices("use ") {
        let line = text[..at].rsplit('\n').next().unwrap_or_default().trim();
        if line.is_empty() || line.starts_with("pub") {
            let tree = text[at + word.len()..].split(';').next();
            imports.extend(expand("", tree.unwrap_or_default()));
        }
    }
    imports
}

/// The paths that begin with `crate::` or `super::`, and whether a `pub use` only passes them on.
fn paths(text: &str) -> Vec<(String, bool)> {
    let mut paths = Vec::new();
    let starts = text.match_indices("crate::");
    for (at, _) in starts.chain(text.match_indices("super::")) {
        let (before, tree) = text.split_at(at);
        if before.ends_with(is_path) {
            continue;
        }
        let line = before.rsplit('\n').next().unwrap_or_default().trim();
        let passed_on = line.starts_with("pub") && line.ends_with(" use");
        let length = tree.find(|c| !is_path(c)).unwrap_or(tree.len());
        let tree = match tree[length..].strip_prefix('{') {
            Some(inside) => &tree[..length + 1 + closing(inside)],
            None => &tree[..length],
        };
        paths.extend(expand("", tree).into_iter().map(|(p, _)| (p, passed_on)));
    }
    paths
}

fn is_path(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == ':'
}

/// Where the brace closes that was open before `text`.
fn closing(text: &str) -> usize {
    let mut depth = 1;
    let close = text.find(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth == 0
    });
    close.unwrap_or(text.len())
}

/// The paths of a tree such as `a::{b, c::{self, D as E}}`, each with the name that it gives.
fn expand(prefix: &str, tree: &str) -> Vec<(String, String)> {
    if let Some((head, inside)) = tree.split_once('{') {
        let prefix = format!("{prefix}{}", head.trim());
        let mut depth = 0;
        let parts = inside[..closing(inside)].split(move |c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            c == ',' && depth == 0
        });
        return parts.flat_map(|part| expand(&prefix, part)).collect();
    }
    let (path, name) = tree.split_once(" as ").unwrap_or((tree, ""));
    let path = format!("{prefix}{}", path.trim());
    let path = path.trim_end_matches("::self").trim_end_matches(':');
    let last = path.rsplit("::").next().unwrap_or_default();
    let name = if name.is_empty() { last } else { name.trim() };
    vec![(path.to_owned(), name.to_owned())]
}

/// The path from the crate's root on, of one that `module` says; a bare name may be one of its children.
fn absolute(module: &Module, path: &str) -> Module {
    let mut from = module.clone();
    for part in path.split("::") {
        match part {
            "crate" => from.clear(),
            "super" => drop(from.pop()),
            "self" | "" => {}
            _ => from.push(part.to_owned()),
        }
    }
    from
}

/// The module that holds what `path` names; names are followed a few times, for they may lead in a ring.
fn resolve(mut path: Module, files: &Files, aliases: &Aliases) -> Module {
    let mut home = Module::new();
    for _ in 0..8 {
        let mut lengths = (0..=path.len()).rev();
        let known = lengths.find(|&n| files.contains_key(&path[..n]));
        let rest = path.split_off(known.unwrap_or(0));
        home = path;
        let alias = rest.first().map(|name| (home.clone(), name.clone()));
        match alias.and_then(|alias| aliases.get(&alias)) {
            Some(target) => path = [target, &rest[1..]].concat(),
            None => break,
        }
    }
    home
}

/// The sets of files that reach one another.
fn components<'a>(graph: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<Vec<String>> {
    let reach = |from: &'a str| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(file) = open.pop() {
            let next = graph.get(file).into_iter().flatten().copied();
            open.extend(next.filter(|file| seen.insert(*file)));
        }
        seen
    };
    let reached: BTreeMap<_, _> = graph.keys().map(|&file| (file, reach(file))).collect();
    let circle = |(file, seen): (&&str, &BTreeSet<&str>)| -> Vec<String> {
        let back = seen.iter().filter(|other| reached[*other].contains(file));
        back.map(|&other| other.to_owned()).collect()
    };
    let circles = reached.iter().map(circle);
    circles.filter(|circle| circle.len() > 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files of one crate, and the circles that are to be found among them.
    const CASES: [&str; 9] = [
        "a: use crate::b::B; | b: use crate::a::A; => a b",
        "a: use crate::b::B; | b: use crate::m; | m/c: use super::super::a; | m: => ",
        "a: fn f() { crate::b::f() } | b: $crate::{m::{self, c::{C as D}}, Z}; | m/c: super::super::a::f() | m: => a b m/c",
        "a: use crate::b; | b: use crate::c; | c: use crate::{d, b}; | d: use crate::{e}; | e: use super::d; => b c, d e",
        // A name that a module passes on leads to where it comes from.
        "a: use crate::m::D; | m/c: use crate::a::A; | m: pub use c::C as D; => a m/c",
        "m/c: use super::M; | m: pub(crate) use super::m::c::C; => ",
        "m/c: use super::M; | m: use super::m::c::C; => m m/c",
        // Neither comments nor a file's tests count.
        "a: use crate::b; | b: /// As [`crate::a`].\nfn f() {} // crate::a => ",
        "a: use crate::b; | b: #[cfg(test)]\nmod tests {\n    use crate::a;\n} => ",
    ];

    #[test]
    fn circles_are_found() {
        for case in CASES {
            let (files, expected) = case.split_once("=> ").unwrap();
            let files = files.split(" | ").map(|file| file.split_once(':').unwrap());
            let path = |name| format!("x/src/{name}.rs");
            let mut sources: BTreeMap<_, _> =
                files.map(|(f, text)| (path(f), text.to_owned())).collect();
            // Another crate's file of the same name takes no part.
            sources.insert("y/src/b.rs".to_owned(), "use crate::a;".to_owned());
            let found = circles(&sources);
            let found: Vec<_> = found.iter().map(|c| c.join(" ")).collect();
            let names = found.join(", ").replace("x/src/", "").replace(".rs", "");
            assert_eq!(names, expected, "{case}");
        }
    }
}
