//! Signed checkpoints as files, `checkpoints/NNNNNNNNNNNNNNNNNNNN.json`: readable fields for people, and the
//! exact bytes that are signed.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use writ_audit::SignedCheckpoint;

use crate::error::StoreError;

/// The directory of checkpoints inside a lake.
pub const DIRECTORY: &str = "checkpoints";

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Head {
    source: String,
    seq: u64,
    chain: String,
}

/// The file's content. Only `signed` counts; the rest must repeat what it says.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct File {
    lake: String,
    number: u64,
    tree_size: u64,
    root: String,
    at_us: i64,
    heads: Vec<Head>,
    previous: Option<String>,
    hash: String,
    key: String,
    signed: String,
}

/// The name of checkpoint `number`'s file.
#[must_use]
pub fn file_name(number: u64) -> String {
    format!("{number:020}.json")
}

/// The file's text for a checkpoint.
#[must_use]
pub fn render(signed: &SignedCheckpoint) -> String {
    let checkpoint = &signed.checkpoint;
    let head = |head: &writ_audit::SourceHead| Head {
        source: head.source.clone(),
        seq: head.seq,
        chain: head.chain.to_string(),
    };
    let file = File {
        lake: checkpoint.lake.clone(),
        number: checkpoint.number,
        tree_size: checkpoint.tree_size,
        root: checkpoint.root.to_string(),
        at_us: checkpoint.at.0,
        heads: checkpoint.heads.iter().map(head).collect(),
        previous: checkpoint.previous.map(|hash| hash.to_string()),
        hash: checkpoint.hash().to_string(),
        key: signed.key.to_string(),
        signed: hex::encode(signed.to_bytes()),
    };
    serde_json::to_string_pretty(&file).unwrap_or_default() + "\n"
}

/// Reads a file's text; refuses one whose readable fields say something else than what is signed.
pub fn parse(text: &str) -> Result<SignedCheckpoint, String> {
    let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let bytes = hex::decode(&file.signed).map_err(|_| "`signed` is not hexadecimal".to_owned())?;
    let signed = SignedCheckpoint::decode(&bytes).map_err(|error| error.to_string())?;
    if render(&signed) == text {
        Ok(signed)
    } else {
        Err("its readable fields disagree with what is signed; it was edited".to_owned())
    }
}

/// Writes a checkpoint, durable before this returns: the directory entry too.
pub fn write(lake: &Path, signed: &SignedCheckpoint) -> Result<(), StoreError> {
    let directory = lake.join(DIRECTORY);
    let path = directory.join(file_name(signed.checkpoint.number));
    let temporary = path.with_extension("tmp");
    let put = || -> std::io::Result<()> {
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(render(signed).as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&temporary, &path)?;
        std::fs::File::open(&directory)?.sync_all()
    };
    put().map_err(|source| StoreError::File { path: path.clone(), source })
}

/// All checkpoint files of a lake, by name.
pub fn files(lake: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let directory = lake.join(DIRECTORY);
    let error = |source| StoreError::File { path: directory.clone(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(&directory).map_err(error)? {
        let path = entry.map_err(error)?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Reads one checkpoint file.
pub fn read(path: &Path) -> Result<SignedCheckpoint, StoreError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| StoreError::File { path: path.to_owned(), source })?;
    parse(&text).map_err(|reason| StoreError::Checkpoint { path: path.to_owned(), reason })
}
