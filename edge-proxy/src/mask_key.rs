//! The key of masks that hash: made once or given, and told to each session of the database when it starts, where no
//! statement can read it.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac};
use sha2::Sha256;
use writ_model::Secret;
use writ_sql::MASK_KEY_SETTINGS;

/// The fewest bytes of a secret that a file may hold.
const SECRET_BYTES_MIN: usize = 32;
/// The block of HMAC-SHA-256, in bytes.
const BLOCK_BYTES: usize = 64;
/// What the secret is used for; anything else made from it would be another key.
const PURPOSE: &[u8] = b"writ mask key 1";
/// The file in the data directory, where no other is named.
const FILE: &str = "mask.key";

/// Why there is no mask key.
#[derive(Debug, thiserror::Error)]
pub enum MaskKeyError {
    /// The file cannot be read or made.
    #[error("the mask key file {path}: {source}; check `mask_key_file` and its permissions")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file holds too little.
    #[error(
        "the mask key file {0} holds less than {SECRET_BYTES_MIN} bytes; make one with \
         `head -c 32 /dev/urandom | base64 > FILE`, and give the same to every edge"
    )]
    Short(PathBuf),
}

/// The settings that tell the database the key.
#[derive(Debug, Clone)]
pub struct MaskKey {
    settings: [(&'static str, Secret<String>); 2],
}

impl MaskKey {
    /// Reads the file named by the configuration. Without one, a key of this edge alone is made and kept in the data
    /// directory: hashes can then be joined within this edge, and not with those of others.
    pub fn open(
        file: Option<&Path>,
        data_dir: &Path,
        random: &(dyn Fn(&mut [u8]) + Send + Sync),
    ) -> Result<Self, MaskKeyError> {
        let own = data_dir.join(FILE);
        let path = file.unwrap_or(&own);
        let failed = |source| MaskKeyError::File { path: path.to_owned(), source };
        let secret = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && file.is_none() => {
                create(path, random).map_err(failed)?
            }
            read => read.map_err(failed)?,
        };
        let secret = secret.trim_ascii();
        if secret.len() < SECRET_BYTES_MIN {
            return Err(MaskKeyError::Short(path.to_owned()));
        }
        Ok(Self::of(secret))
    }

    fn of(secret: &[u8]) -> Self {
        let key = hmac(secret, PURPOSE);
        let settings = MASK_KEY_SETTINGS;
        let [inner, outer] = [(settings[0], 0x36), (settings[1], 0x5c)].map(|(name, pad)| {
            let mut block = [pad; BLOCK_BYTES];
            block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
            (name, Secret::new(hex(&block)))
        });
        Self { settings: [inner, outer] }
    }

    /// Name and value of the start-up parameters that a session of the database gets.
    pub fn parameters(&self) -> impl Iterator<Item = (String, String)> + '_ {
        self.settings.iter().map(|(name, value)| ((*name).to_owned(), value.expose().clone()))
    }
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    // Any length is a key; the fallback is never taken, and no key at all would only give other hashes.
    Hmac::<Sha256>::new_from_slice(key)
        .map(|mut mac| {
            mac.update(message);
            mac.finalize().into_bytes().into()
        })
        .unwrap_or_default()
}

fn create(path: &Path, random: &(dyn Fn(&mut [u8]) + Send + Sync)) -> io::Result<Vec<u8>> {
    let mut bytes = [0; SECRET_BYTES_MIN];
    random(&mut bytes);
    let text = hex(&bytes);
    let mut open = fs::OpenOptions::new();
    let mut file = open.write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(text.into_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(bytes: &mut [u8]) {
        bytes.fill(7);
    }

    #[test]
    fn the_settings_are_the_padded_key_blocks() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("key");
        fs::write(&path, "0123456789abcdef0123456789abcdef\n").expect("a file");
        let key = MaskKey::open(Some(&path), dir.path(), &random).expect("a key");
        let block = |pad: u8| {
            let key = hmac(b"0123456789abcdef0123456789abcdef", PURPOSE);
            let padded = (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ pad);
            padded.map(|b| format!("{b:02x}")).collect::<String>()
        };
        let parameters: Vec<_> = key.parameters().collect();
        let expected = [
            ("writ.mask_key_inner".to_owned(), block(0x36)),
            ("writ.mask_key_outer".to_owned(), block(0x5c)),
        ];
        assert_eq!(parameters, expected);
        assert!(!format!("{key:?}").contains(&block(0x36)));
    }

    #[test]
    fn a_key_of_its_own_is_made_once_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a directory");
        let one: Vec<_> =
            MaskKey::open(None, dir.path(), &random).expect("a key").parameters().collect();
        let other = |bytes: &mut [u8]| bytes.fill(8);
        let two: Vec<_> =
            MaskKey::open(None, dir.path(), &other).expect("a key").parameters().collect();
        assert_eq!(one, two);
        let mode = fs::metadata(dir.path().join(FILE)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn no_key_is_made_where_one_is_named_and_none_is_short() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("key");
        let error = MaskKey::open(Some(&path), dir.path(), &random).expect_err("no file");
        assert!(error.to_string().contains("mask_key_file"), "{error}");
        fs::write(&path, "short").expect("a file");
        let error = MaskKey::open(Some(&path), dir.path(), &random).expect_err("a short file");
        assert!(error.to_string().contains("less than 32 bytes"), "{error}");
    }
}
