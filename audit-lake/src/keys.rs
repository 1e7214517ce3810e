//! The checkpoint key's file: made once with mode 0600, refused where others may read it.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rand::RngCore;
use writ_audit::keys::KEY_BYTES;
use writ_audit::{PublicKey, SigningKey};

use crate::error::StoreError;

const KEY_FILE_MODE: u32 = 0o600;
const OTHERS: u32 = 0o077;

/// Loads the key at `path`, or makes one there from the operating system's randomness. Its public half is
/// kept beside it: that file may be given to anyone who verifies.
pub fn load_or_create(path: &Path) -> Result<SigningKey, StoreError> {
    let key = if path.exists() { load(path)? } else { create(path)? };
    let public = public_path(path);
    std::fs::write(&public, format!("{}\n", key.public())).map_err(file_error(&public))?;
    Ok(key)
}

/// Where the public half of the key at `path` is.
#[must_use]
pub fn public_path(path: &Path) -> PathBuf {
    path.with_extension("pub")
}

/// Loads a public key.
pub fn load_public(path: &Path) -> Result<PublicKey, StoreError> {
    let text = std::fs::read_to_string(path).map_err(file_error(path))?;
    text.parse().map_err(|error: writ_audit::KeyError| key_error(path, error.to_string()))
}

fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> StoreError + '_ {
    |source| StoreError::File { path: path.to_owned(), source }
}

fn key_error(path: &Path, reason: String) -> StoreError {
    StoreError::Key { path: path.to_owned(), reason }
}

/// Loads the key at `path`.
pub fn load(path: &Path) -> Result<SigningKey, StoreError> {
    let mode = std::fs::metadata(path).map_err(file_error(path))?.permissions().mode();
    if mode & OTHERS != 0 {
        let reason = "others may read this key; run chmod 600 on it, and replace it where they did";
        return Err(key_error(path, reason.to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(file_error(path))?;
    let seed = hex::decode(text.trim())
        .map_err(|_| key_error(path, "is not a checkpoint key (64 hexadecimal digits)".into()))?;
    SigningKey::from_seed(&seed).map_err(|error| key_error(path, error.to_string()))
}

fn create(path: &Path) -> Result<SigningKey, StoreError> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(file_error(parent))?;
    }
    let mut seed = [0_u8; KEY_BYTES];
    rand::rng().fill_bytes(&mut seed);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(KEY_FILE_MODE)
        .open(path)
        .map_err(file_error(path))?;
    writeln!(file, "{}", hex::encode(seed)).map_err(file_error(path))?;
    file.sync_all().map_err(file_error(path))?;
    SigningKey::from_seed(&seed).map_err(|error| key_error(path, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_kept_private() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("checkpoint.key");
        let made = load_or_create(&path).expect("made").public();
        assert_eq!(load_or_create(&path).expect("loaded").public(), made);
        assert_eq!(load_public(&public_path(&path)).expect("public"), made);
        let mode = std::fs::metadata(&path).expect("file").permissions().mode();
        assert_eq!(mode & 0o777, KEY_FILE_MODE);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("chmod");
        let refused = load_or_create(&path).expect_err("refused").to_string();
        assert!(refused.contains("chmod 600"), "{refused}");
    }
}
