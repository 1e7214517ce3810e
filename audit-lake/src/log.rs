//! The Delta log as it lies on disk: each commit's actions, read and written without a library, so that every
//! byte of it is known. The writer goes on from it and the verifier reads it with the same code.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::table::{DataFile, Position, parse_name};
use crate::verify::Finding;

/// The tag of an add action that holds the file's SHA-256.
pub(crate) const SHA256_TAG: &str = "writ.sha256";
/// The field of a commit's information that holds the lake's position.
pub(crate) const POSITION_FIELD: &str = "writ";
/// The field of a commit's information that holds the SHA-256 of the commit file before it.
pub(crate) const PREVIOUS_FIELD: &str = "writ.previous";
/// The field of a commit's information that holds the last checkpoint's number at that moment.
pub(crate) const CHECKPOINT_FIELD: &str = "writ.checkpoint";
/// The directory of commits inside the table.
pub(crate) const DIRECTORY: &str = "_delta_log";
/// The actions that the lake itself writes after the first commit.
const ACTIONS: [&str; 4] = ["add", "remove", "commitInfo", "txn"];

/// A file that commits name, and the SHA-256 that they name for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) file: DataFile,
    pub(crate) sha256: String,
}

/// What all commits together say.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// The table's id: also the lake's.
    pub(crate) lake: String,
    /// The last commit's version.
    pub(crate) version: u64,
    /// The SHA-256 of the last commit's file; `None`: there are no commits.
    pub(crate) last: Option<String>,
    /// The visible files, by their first record.
    pub(crate) files: BTreeMap<u64, Listed>,
    /// Files that are not visible any more: a larger one has their records.
    pub(crate) merged: Vec<String>,
    /// Where the lake was after so many records.
    pub(crate) positions: BTreeMap<u64, Position>,
    /// The latest checkpoint's number that a commit repeats.
    pub(crate) checkpoint: u64,
    /// What is wrong with the log.
    pub(crate) findings: Vec<Finding>,
    /// Files in its directory that interrupted writes left.
    pub(crate) leftovers: Vec<String>,
}

/// The name of commit `version`'s file.
pub(crate) fn commit_name(version: u64) -> String {
    format!("{version:020}.json")
}

/// The SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The names in a directory, sorted.
pub(crate) fn names(directory: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn version_of(name: &str) -> Option<u64> {
    let version = name.strip_suffix(".json")?.parse().ok()?;
    (commit_name(version) == name).then_some(version)
}

/// A file that an interrupted write left: no reader looks at such names.
fn is_leftover(name: &str) -> bool {
    name.contains('#') || name.ends_with(".tmp")
}

/// Reads the log of the table in `table`. An error names the file or directory that it is about.
pub(crate) fn read(table: &Path) -> Result<Log, (PathBuf, std::io::Error)> {
    let directory = table.join(DIRECTORY);
    let mut log = Log::default();
    let mut next = 0;
    for name in names(&directory).map_err(|error| (directory.clone(), error))? {
        let Some(version) = version_of(&name) else {
            if is_leftover(&name) {
                log.leftovers.push(format!("{DIRECTORY}/{name}"));
            } else {
                log.findings.push(Finding::LogForeign { name });
            }
            continue;
        };
        for version in next..version {
            log.findings.push(Finding::CommitMissing { version });
            log.last = None;
        }
        let path = directory.join(&name);
        let bytes = std::fs::read(&path).map_err(|error| (path, error))?;
        log.take(version, &bytes);
        next = version + 1;
    }
    Ok(log)
}

impl Log {
    /// Where the lake is after the last commit.
    pub(crate) fn position(&self) -> Position {
        self.positions.last_key_value().map(|(_, position)| position.clone()).unwrap_or_default()
    }

    fn take(&mut self, version: u64, bytes: &[u8]) {
        let previous = self.last.replace(sha256(bytes));
        self.version = version;
        let taken = actions(bytes).and_then(|actions| match version {
            0 => {
                self.lake = lake_of(&actions)?;
                Ok(())
            }
            _ => self.apply(version, &actions, previous.as_deref()),
        });
        if let Err(reason) = taken {
            self.findings.push(Finding::CommitDamaged { version, reason });
        }
    }

    fn apply(
        &mut self,
        version: u64,
        actions: &[Value],
        previous: Option<&str>,
    ) -> Result<(), String> {
        let kinds = actions.iter().filter_map(Value::as_object).flat_map(|action| action.keys());
        if let Some(foreign) = kinds.into_iter().find(|kind| !ACTIONS.contains(&kind.as_str())) {
            return Err(format!("the lake never writes a `{foreign}` action"));
        }
        let mut adds = actions.iter().filter_map(|action| action.get("add"));
        let (Some(add), None) = (adds.next(), adds.next()) else {
            return Err("it does not add exactly one file".to_owned());
        };
        let info = actions.iter().find_map(|action| action.get("commitInfo"));
        let info = info.ok_or("it has no commitInfo")?;
        let repeats = info.get(PREVIOUS_FIELD).and_then(Value::as_str);
        let repeats = repeats.ok_or("it does not repeat the hash of the commit before it")?;
        if previous.is_some_and(|previous| previous != repeats) {
            let altered =
                Finding::CommitAltered { version: version.saturating_sub(1), next: version };
            self.findings.push(altered);
        }
        let checkpoint = info.get(CHECKPOINT_FIELD).and_then(Value::as_u64).unwrap_or(0);
        self.checkpoint = self.checkpoint.max(checkpoint);
        let listed = data_file(add)?;
        let removes: Vec<&Value> =
            actions.iter().filter_map(|action| action.get("remove")).collect();
        if !removes.is_empty() {
            return self.apply_merge(listed, &removes);
        }
        let position = info.get(POSITION_FIELD).and_then(Position::from_json);
        let position = position.ok_or("it does not say where the lake is")?;
        check_sequences(&position, actions)?;
        self.apply_append(listed, position)
    }

    fn apply_append(&mut self, listed: Listed, position: Position) -> Result<(), String> {
        let (first, after) = (listed.file.first, listed.file.end());
        let expected = self.files.last_key_value().map_or(0, |(_, last)| last.file.end());
        let size = position.frontier.size();
        self.files.insert(first, listed);
        self.positions.insert(size, position);
        if first != expected {
            return Err(format!("its records begin at {first}, not at {expected}"));
        }
        if size != after {
            return Err(format!("its records end before {after}, it says before {size}"));
        }
        Ok(())
    }

    /// A merge must put one file exactly where several were.
    fn apply_merge(&mut self, listed: Listed, removes: &[&Value]) -> Result<(), String> {
        let mut next = listed.file.first;
        for remove in removes {
            let path = remove.get("path").and_then(Value::as_str).unwrap_or("");
            match self.files.get(&next) {
                Some(old) if old.file.path == path => next = old.file.end(),
                _ => return Err(format!("it takes away `{path}`, whose records it does not have")),
            }
        }
        if next != listed.file.end() {
            return Err("its file does not have exactly the records of those it takes away".into());
        }
        let gone: Vec<u64> = self.files.range(listed.file.first..next).map(|(at, _)| *at).collect();
        for at in gone {
            self.merged.extend(self.files.remove(&at).map(|old| old.file.path));
        }
        self.files.insert(listed.file.first, listed);
        Ok(())
    }
}

fn actions(bytes: &[u8]) -> Result<Vec<Value>, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    text.lines()
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_str(line).map_err(|error| error.to_string()))
        .collect()
}

fn lake_of(actions: &[Value]) -> Result<String, String> {
    if actions.iter().any(|action| action.get("add").is_some()) {
        return Err("the first commit only makes the table, this one adds files".to_owned());
    }
    let id = actions.iter().find_map(|action| action.pointer("/metaData/id")?.as_str());
    id.map(str::to_owned).ok_or_else(|| "it has no table id".to_owned())
}

/// Each source's application sequence must be where its chain is: appends are idempotent by it (L1).
fn check_sequences(position: &Position, actions: &[Value]) -> Result<(), String> {
    let mut said: Vec<(&str, u64)> = actions
        .iter()
        .filter_map(|action| action.get("txn"))
        .filter_map(|txn| Some((txn.get("appId")?.as_str()?, txn.get("version")?.as_u64()?)))
        .collect();
    said.sort_unstable();
    let heads = position.heads.iter().map(|(source, head)| (source.as_str(), head.seq));
    if said.into_iter().eq(heads) {
        Ok(())
    } else {
        Err("its txn actions disagree with where it says the lake is".to_owned())
    }
}

fn data_file(add: &Value) -> Result<Listed, String> {
    let path = add.get("path").and_then(Value::as_str).ok_or("its file has no path")?;
    let name = parse_name(path).filter(|_| !path.contains(['/', '\\', '%']));
    let (first, count) = name.ok_or_else(|| format!("`{path}` is not a file of a lake"))?;
    if add.get("deletionVector").is_some_and(|vector| !vector.is_null()) {
        return Err("a deletion vector hides records of its file".to_owned());
    }
    let size_bytes = add.get("size").and_then(Value::as_u64).ok_or("its file has no size")?;
    let sha256 = add.get("tags").and_then(|tags| tags.get(SHA256_TAG)?.as_str());
    let sha256 = sha256.ok_or("its file has no SHA-256")?.to_owned();
    Ok(Listed { file: DataFile { first, count, path: path.to_owned(), size_bytes }, sha256 })
}
