//! The control plane's own secrets on disk: made once, readable by the owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use sha2::{Digest, Sha256};
use writ_model::config::TokenKey;
use writ_model::{Secret, Timestamp};

use crate::app::Random;
use crate::ca::{CaError, CertificateAuthority};
use crate::vault::Vault;

const PRIVATE_FILE: u32 = 0o600;
const PRIVATE_DIRECTORY: u32 = 0o700;
const SEED_BYTES: usize = 32;

/// Why the keys are not usable.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A key file holds something else.
    #[error("{0} is damaged; restore it from a backup")]
    Damaged(PathBuf),
    /// The certificate authority.
    #[error(transparent)]
    Ca(#[from] CaError),
}

/// An Ed25519 key with its name.
pub(crate) struct SigningKey {
    /// Names the key: begins with what it is for.
    pub(crate) id: String,
    /// The key.
    pub(crate) pair: Ed25519KeyPair,
    /// PKCS#8, for the token library.
    pub(crate) pkcs8: Secret<Vec<u8>>,
}

impl SigningKey {
    /// The raw 32-byte public key.
    #[must_use]
    pub(crate) fn public(&self) -> Vec<u8> {
        self.pair.public_key().as_ref().to_vec()
    }

    /// What verifies tokens signed by it.
    #[must_use]
    pub(crate) fn token_key(&self) -> TokenKey {
        TokenKey { id: self.id.clone(), ed25519_public: self.public() }
    }
}

/// All of them.
pub(crate) struct Keys {
    /// Signs certificates.
    pub(crate) ca: CertificateAuthority,
    /// Signs configurations.
    pub(crate) config: SigningKey,
    /// Signs tokens.
    pub(crate) token: SigningKey,
    /// Seals what passwords are checked against.
    pub(crate) vault: Vault,
}

/// Writes a file that only the owner may read, whole or not at all.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), KeysError> {
    let attempt = || {
        let beside = path.with_extension("new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(PRIVATE_FILE);
        let mut file = options.open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(path.parent().unwrap_or_else(|| Path::new(".")))?.sync_all()
    };
    attempt().map_err(|source| KeysError::File { path: path.to_owned(), source })
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, KeysError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(KeysError::File { path: path.to_owned(), source }),
    }
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<String, KeysError> {
    String::from_utf8(bytes).map_err(|_| KeysError::Damaged(path.to_owned()))
}

/// The seed in a file of its own; made where there is none yet.
fn seed(dir: &Path, purpose: &str, random: &Random) -> Result<[u8; SEED_BYTES], KeysError> {
    let path = dir.join(format!("{purpose}.seed"));
    let mut seed = [0; SEED_BYTES];
    match read(&path)? {
        Some(text) => hex::decode_to_slice(text.trim_ascii(), &mut seed)
            .map_err(|_| KeysError::Damaged(path))?,
        None => {
            random(&mut seed);
            write_private(&path, hex::encode(seed).as_bytes())?;
        }
    }
    Ok(seed)
}

fn signing_key(dir: &Path, purpose: &str, random: &Random) -> Result<SigningKey, KeysError> {
    let seed = seed(dir, purpose, random)?;
    let damaged = || KeysError::Damaged(dir.join(format!("{purpose}.seed")));
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| damaged())?;
    let pkcs8 = pair.to_pkcs8().map_err(|_| damaged())?.as_ref().to_vec();
    let digest = Sha256::digest(pair.public_key().as_ref());
    let id = format!("{purpose}-{}", hex::encode(&digest[..8]));
    Ok(SigningKey { id, pair, pkcs8: Secret::new(pkcs8) })
}

impl Keys {
    /// Loads the keys under `dir`; makes those that are not there yet.
    pub(crate) fn load_or_make(
        dir: &Path,
        now: Timestamp,
        random: &Random,
    ) -> Result<Self, KeysError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(PRIVATE_DIRECTORY)
            .create(dir)
            .map_err(|source| KeysError::File { path: dir.to_owned(), source })?;
        let (key_path, certificate_path) = (dir.join("ca.key"), dir.join("ca.pem"));
        let (certificate, key) = match (read(&certificate_path)?, read(&key_path)?) {
            (Some(certificate), Some(key)) => {
                (text(&certificate_path, certificate)?, text(&key_path, key)?)
            }
            (Some(_), None) => return Err(KeysError::Damaged(key_path)),
            // The certificate is written last: a key without one was never used.
            (None, _) => {
                let (certificate, key) = CertificateAuthority::generate("control plane", now)?;
                write_private(&key_path, key.as_bytes())?;
                write_private(&certificate_path, certificate.as_bytes())?;
                (certificate, key)
            }
        };
        Ok(Self {
            ca: CertificateAuthority::load(&certificate, &key, random.clone())?,
            config: signing_key(dir, "config", random)?,
            token: signing_key(dir, "token", random)?,
            vault: Vault::new(&seed(dir, "vault", random)?)
                .map_err(|_| KeysError::Damaged(dir.join("vault.seed")))?,
        })
    }
}
