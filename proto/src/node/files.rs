//! Small files that must be whole or not there: written beside, synced, renamed.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::NodeError;

/// Only the owner may read: these files hold keys.
const PRIVATE_MODE: u32 = 0o600;

/// The bytes of a file; `None`: there is none.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, NodeError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(NodeError::File { path: path.to_owned(), source }),
    }
}

/// Replaces a file, whole or not at all; only its owner may read it.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), NodeError> {
    try_write(path, bytes).map_err(|source| NodeError::File { path: path.to_owned(), source })
}

fn try_write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let parent = path.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(parent)?;
    // Two processes of one node may write the same file: each beside it, and the last one counts.
    let beside = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(PRIVATE_MODE)
        .open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(parent)?.sync_all()
}
