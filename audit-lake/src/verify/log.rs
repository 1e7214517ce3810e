//! The Delta log as it lies on disk: each commit's actions, read without any Delta library.

use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Finding, VerifyError};
use crate::table::{
    CHECKPOINT_FIELD, DataFile, LOG_DIRECTORY, POSITION_FIELD, PREVIOUS_FIELD, Position,
    SHA256_TAG, commit_name, parse_name,
};

/// The actions that the lake itself writes after the first commit.
const ACTIONS: [&str; 3] = ["add", "commitInfo", "txn"];

/// One commit after the first.
pub(super) struct Commit {
    pub(super) version: u64,
    pub(super) file: DataFile,
    pub(super) sha256: String,
    pub(super) position: Position,
    /// The last checkpoint's number when it was made.
    pub(super) checkpoint: u64,
}

/// The whole log.
#[derive(Default)]
pub(super) struct Log {
    pub(super) lake: String,
    pub(super) commits: Vec<Commit>,
    pub(super) findings: Vec<Finding>,
    pub(super) leftovers: Vec<String>,
}

/// The names in a directory, sorted.
pub(super) fn names(directory: &Path) -> Result<Vec<String>, VerifyError> {
    let error = |source| VerifyError::File { path: directory.to_owned(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(error)? {
        names.push(entry.map_err(error)?.file_name().to_string_lossy().into_owned());
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

/// Reads the log of the table in `table`.
pub(super) fn read(table: &Path) -> Result<Log, VerifyError> {
    let directory = table.join(LOG_DIRECTORY);
    let mut log = Log::default();
    let (mut next, mut previous) = (0, None);
    for name in names(&directory)? {
        let Some(version) = version_of(&name) else {
            if is_leftover(&name) {
                log.leftovers.push(format!("{LOG_DIRECTORY}/{name}"));
            } else {
                log.findings.push(Finding::LogForeign { name });
            }
            continue;
        };
        for version in next..version {
            log.findings.push(Finding::CommitMissing { version });
            previous = None;
        }
        let path = directory.join(&name);
        let bytes = std::fs::read(&path).map_err(|source| VerifyError::File { path, source })?;
        log.take(version, &bytes, previous.as_deref());
        previous = Some(hex::encode(Sha256::digest(&bytes)));
        next = version + 1;
    }
    Ok(log)
}

impl Log {
    fn take(&mut self, version: u64, bytes: &[u8], previous: Option<&str>) {
        let taken = actions(bytes).and_then(|actions| {
            if version == 0 {
                self.lake = lake_of(&actions)?;
                return Ok(());
            }
            let (commit, repeats) = commit(version, &actions)?;
            if previous.is_some_and(|previous| previous != repeats) {
                let altered = Finding::CommitAltered { version: version - 1, next: version };
                self.findings.push(altered);
            }
            self.commits.push(commit);
            Ok(())
        });
        if let Err(reason) = taken {
            self.findings.push(Finding::CommitDamaged { version, reason });
        }
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

/// The commit, and the hash of the commit before it that it repeats.
fn commit(version: u64, actions: &[Value]) -> Result<(Commit, String), String> {
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
    let position = info.get(POSITION_FIELD).and_then(Position::from_json);
    let position = position.ok_or("it does not say where the lake is")?;
    check_sequences(&position, actions)?;
    let repeats = info.get(PREVIOUS_FIELD).and_then(Value::as_str);
    let repeats = repeats.ok_or("it does not repeat the hash of the commit before it")?;
    let (file, sha256) = data_file(add)?;
    let checkpoint = info.get(CHECKPOINT_FIELD).and_then(Value::as_u64).unwrap_or(0);
    Ok((Commit { version, file, sha256, position, checkpoint }, repeats.to_owned()))
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

fn data_file(add: &Value) -> Result<(DataFile, String), String> {
    let path = add.get("path").and_then(Value::as_str).ok_or("its file has no path")?;
    let name = parse_name(path).filter(|_| !path.contains(['/', '\\', '%']));
    let (first, count) = name.ok_or_else(|| format!("`{path}` is not a file of a lake"))?;
    if add.get("deletionVector").is_some_and(|vector| !vector.is_null()) {
        return Err("a deletion vector hides records of its file".to_owned());
    }
    let size_bytes = add.get("size").and_then(Value::as_u64).ok_or("its file has no size")?;
    let sha256 = add.get("tags").and_then(|tags| tags.get(SHA256_TAG)?.as_str());
    let sha256 = sha256.ok_or("its file has no SHA-256")?.to_owned();
    Ok((DataFile { first, count, path: path.to_owned(), size_bytes }, sha256))
}
