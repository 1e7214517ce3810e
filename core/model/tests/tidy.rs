//! What keeps the code base in shape: who may import whom, documentation on every file, and bounds on sizes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The longest file, in lines.
const FILE_LINES_MAX: usize = 600;
/// The longest function, in lines from `fn` to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;
/// Functions over the bound. This list only gets shorter.
const LONG_FUNCTIONS: &[&str] =
    &["core/classify/tests/tables.rs: the_shop_of_the_tour", "edge-proxy/src/app.rs: start"];

/// Which of our crates each may import.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("writ-model", &[]),
    ("writ-sql-tree", &[]),
    ("writ-sql", &["writ-model", "writ-sql-tree"]),
    ("writ-policy", &["writ-model"]),
    ("writ-audit", &["writ-model"]),
    ("writ-classify", &["writ-model"]),
    ("writ-proto", &["writ-model", "writ-policy", "writ-audit"]),
    ("writ-control-core", &["writ-model", "writ-policy"]),
    ("writ-edge-core", &["writ-model", "writ-sql", "writ-policy", "writ-audit"]),
    (
        "writ-control-plane",
        &["writ-model", "writ-policy", "writ-audit", "writ-proto", "writ-control-core"],
    ),
    (
        "writ-edge-proxy",
        &[
            "writ-model",
            "writ-sql",
            "writ-policy",
            "writ-audit",
            "writ-classify",
            "writ-proto",
            "writ-edge-core",
        ],
    ),
    ("writ-audit-lake", &["writ-model", "writ-policy", "writ-audit", "writ-proto"]),
    (
        "writ",
        &[
            "writ-model",
            "writ-policy",
            "writ-audit",
            "writ-proto",
            "writ-control-plane",
            "writ-edge-proxy",
            "writ-audit-lake",
        ],
    ),
    ("writ-loadtest", &["writ-model", "writ-proto"]),
];

/// Crates that decide, and what they must never reach, by whatever way.
const PURE: &[&str] = &[
    "writ-model",
    "writ-sql-tree",
    "writ-sql",
    "writ-policy",
    "writ-audit",
    "writ-classify",
    "writ-control-core",
    "writ-edge-core",
];
const IMPURE: &[&str] =
    &["tokio", "tonic", "hyper", "openraft", "rocksdb", "object_store", "reqwest"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What `cargo metadata` says. Its own crate would turn on a feature of serde_json, and with it all crates above would be
/// built a second time for tests.
fn metadata() -> Value {
    let run = |options: &[&str]| {
        let done = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--locked"])
            .args(options)
            .current_dir(root())
            .output()
            .expect("cargo runs");
        done.status.success().then(|| serde_json::from_slice(&done.stdout).expect("JSON"))
    };
    // A fresh machine has downloaded nothing for other platforms yet.
    run(&["--offline"]).or_else(|| run(&[])).expect("cargo metadata")
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().expect("a text")
}

/// The packages of this workspace.
fn ours(metadata: &Value) -> Vec<&Value> {
    let members = list(metadata, "workspace_members");
    list(metadata, "packages").iter().filter(|p| members.contains(&p["id"])).collect()
}

#[test]
fn crates_import_only_what_they_may() {
    let metadata = metadata();
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        MAY_IMPORT.iter().map(|(name, list)| (*name, list.iter().copied().collect())).collect();
    let packages = ours(&metadata);
    assert!(packages.len() > 10, "{}", packages.len());
    for package in packages {
        let importer = text(package, "name");
        let may = allowed
            .get(importer)
            .unwrap_or_else(|| panic!("{importer} is new: say in this test what it may import"));
        for dependency in list(package, "dependencies") {
            let name = text(dependency, "name");
            let ours = allowed.contains_key(name);
            let for_tests = dependency["kind"] == "dev";
            assert!(!ours || for_tests || may.contains(name), "{importer} must not import {name}");
        }
    }
}

#[test]
fn pure_crates_reach_nothing_impure() {
    let metadata = metadata();
    let names: BTreeMap<&str, &str> =
        list(&metadata, "packages").iter().map(|p| (text(p, "id"), text(p, "name"))).collect();
    let normal = |dependency: &&Value| {
        list(dependency, "dep_kinds").iter().any(|kind| kind["kind"].is_null())
    };
    let edges: BTreeMap<&str, Vec<&str>> = list(&metadata["resolve"], "nodes")
        .iter()
        .map(|node| {
            let reached = list(node, "deps").iter().filter(normal).map(|d| text(d, "pkg"));
            (text(node, "id"), reached.collect())
        })
        .collect();
    for start in ours(&metadata).into_iter().filter(|p| PURE.contains(&text(p, "name"))) {
        let mut seen = BTreeSet::new();
        let mut next = vec![text(start, "id")];
        while let Some(id) = next.pop() {
            if seen.insert(id) {
                let (from, to) = (text(start, "name"), names[id]);
                assert!(!IMPURE.contains(&to), "{from} reaches {to}");
                next.extend(edges[id].iter().copied());
            }
        }
        assert!(seen.len() > 1, "control: {} depends on something", text(start, "name"));
    }
}

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a directory").flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && name != "target" && !name.to_string_lossy().starts_with('.') {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    rust_files(&root(), &mut found);
    let root = root();
    found
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&root).expect("below the root").display().to_string();
            (name, fs::read_to_string(&path).expect("a source file"))
        })
        .collect()
}

#[test]
fn every_file_says_what_it_is_for_and_is_short() {
    for (name, text) in sources() {
        assert!(
            text.lines().next().is_some_and(|line| line.starts_with("//!")),
            "{name} has no //! line"
        );
        let lines = text.lines().count();
        assert!(lines <= FILE_LINES_MAX, "{name} has {lines} lines; split it by topic");
    }
}

#[test]
fn functions_are_short() {
    let mut long = BTreeSet::new();
    for (file, text) in sources() {
        for (name, lines) in functions(&text) {
            if lines > FUNCTION_LINES_MAX {
                long.insert(format!("{file}: {name}"));
            }
        }
    }
    let known: BTreeSet<String> = LONG_FUNCTIONS.iter().map(ToString::to_string).collect();
    assert_eq!(long, known, "split new ones; take those that got shorter off the list");
}

/// Functions and their lengths, by the indentation that rustfmt gives them.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        let words: Vec<&str> = code.split_whitespace().take(5).collect();
        let Some(at) = words.iter().position(|w| *w == "fn") else { continue };
        let modifiers = |w: &&str| {
            matches!(*w, "pub" | "async" | "const" | "unsafe" | "pub(crate)" | "pub(super)")
        };
        if !words[..at].iter().all(modifiers) {
            continue;
        }
        let name = words.get(at + 1).map_or("", |w| w.split(['(', '<']).next().unwrap_or(""));
        let opens = lines[start..].iter().find(|l| l.ends_with(['{', ';', '}']));
        if !opens.is_some_and(|l| l.ends_with('{')) {
            continue; // a declaration, or all on one line
        }
        let closing = format!("{}}}", " ".repeat(indent));
        if let Some(length) = lines[start..].iter().position(|l| *l == closing) {
            found.push((name.to_owned(), length + 1));
        }
    }
    found
}

#[test]
fn the_function_counter_counts() {
    let text = "    pub(crate) fn a(\n        x: u8,\n    ) {\n        b();\n    }\nfn c() {\n}\n    fn d();\n    fn e() {}\n    }\n";
    assert_eq!(functions(text), [("a".to_owned(), 5), ("c".to_owned(), 2)]);
}
