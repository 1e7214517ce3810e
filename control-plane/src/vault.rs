//! Seals what passwords are checked against: the log, backups and the lake carry it, the edges alone use it.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use writ_control_core::password::{Salt, SealedKeys, ServicePasswords};
use writ_model::password::{KEY_BYTES, PasswordKeys, Passwords};
use writ_model::{PrincipalId, Secret};

use crate::app::Random;

/// What the key that seals is derived for: nothing else may be derived for the same.
const SEALING: &[u8] = b"writ vault: password keys";
/// What made-up salts are derived for.
const MOCK_SALTS: &[u8] = b"writ vault: mock salts";

/// Seals and opens under keys derived from one seed.
pub(crate) struct Vault {
    key: LessSafeKey,
    mock_salts: Secret<[u8; KEY_BYTES]>,
}

fn derived(seed: &[u8], purpose: &[u8]) -> [u8; KEY_BYTES] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, seed), purpose);
    let mut key = [0; KEY_BYTES];
    key.copy_from_slice(tag.as_ref());
    key
}

/// Sealed keys are those of one principal under one salt: moved to another, they do not open.
fn belonging(principal: &PrincipalId, salt: Salt) -> Aad<Vec<u8>> {
    Aad::from([principal.to_string().as_bytes(), &[0], &salt.0].concat())
}

impl Vault {
    pub(crate) fn new(seed: &[u8]) -> Result<Self, Unspecified> {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &derived(seed, SEALING))?);
        Ok(Self { key, mock_salts: Secret::new(derived(seed, MOCK_SALTS)) })
    }

    /// What salts are made up from: the same for as long as the seed is.
    pub(crate) fn mock_salts(&self) -> Secret<[u8; KEY_BYTES]> {
        self.mock_salts.clone()
    }

    pub(crate) fn seal(
        &self,
        principal: &PrincipalId,
        salt: Salt,
        keys: &PasswordKeys,
        random: &Random,
    ) -> Result<SealedKeys, Unspecified> {
        let PasswordKeys { stored_key, server_key } = keys;
        let mut nonce = [0; NONCE_LEN];
        random(&mut nonce);
        let mut sealed = [&stored_key.expose()[..], server_key.expose()].concat();
        let aad = belonging(principal, salt);
        self.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed)?;
        Ok(SealedKeys([&nonce[..], &sealed].concat()))
    }

    fn open(
        &self,
        principal: &PrincipalId,
        salt: Salt,
        sealed: &SealedKeys,
    ) -> Option<PasswordKeys> {
        let (nonce, sealed) = sealed.0.split_first_chunk::<NONCE_LEN>()?;
        let mut bytes = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.key.open_in_place(nonce, belonging(principal, salt), &mut bytes).ok()?;
        let (stored_key, rest) = opened.split_first_chunk::<KEY_BYTES>()?;
        let server_key: &[u8; KEY_BYTES] = (&*rest).try_into().ok()?;
        Some(PasswordKeys {
            stored_key: Secret::new(*stored_key),
            server_key: Secret::new(*server_key),
        })
    }

    /// What edges check a service's passwords against. What does not open is left out: nobody logs in by it.
    pub(crate) fn passwords(&self, principal: &PrincipalId, all: &ServicePasswords) -> Passwords {
        let open = |password: &writ_control_core::password::ServicePassword| {
            let keys = self.open(principal, all.salt, &password.keys);
            if keys.is_none() {
                tracing::error!(
                    %principal, number = password.number,
                    "a password cannot be unsealed: is keys/vault.seed that of this cluster? set the password again"
                );
            }
            keys
        };
        Passwords { salt: all.salt.0, keys: all.list.iter().filter_map(open).collect() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use writ_control_core::password::ServicePassword;
    use writ_model::Timestamp;

    use super::*;

    #[test]
    fn what_is_sealed_opens_where_it_belongs_and_nowhere_else() {
        let random: Random = Arc::new(|bytes: &mut [u8]| bytes.fill(7));
        let vault = Vault::new(&[1; 32]).expect("a vault");
        let keys = PasswordKeys {
            stored_key: Secret::new([8; KEY_BYTES]),
            server_key: Secret::new([9; KEY_BYTES]),
        };
        let batch: PrincipalId = "service:batch".parse().expect("an id");
        let salt = Salt([3; 16]);
        let sealed = vault.seal(&batch, salt, &keys, &random).expect("sealed");
        assert!(!sealed.0.windows(8).any(|bytes| bytes == [8; 8] || bytes == [9; 8]));
        let passwords = |vault: &Vault, principal: &str, salt, keys: &SealedKeys| {
            let password = ServicePassword { number: 1, set_at: Timestamp(1), keys: keys.clone() };
            let all = ServicePasswords { salt, last: 1, list: vec![password] };
            vault.passwords(&principal.parse().expect("an id"), &all).keys
        };
        assert_eq!(passwords(&vault, "service:batch", salt, &sealed), [keys]);
        let mut altered = sealed.clone();
        *altered.0.last_mut().expect("a byte") ^= 1;
        let other = Vault::new(&[2; 32]).expect("a vault");
        for (vault, principal, salt, keys) in [
            (&vault, "service:other", salt, &sealed),
            (&vault, "service:batch", Salt([4; 16]), &sealed),
            (&vault, "service:batch", salt, &altered),
            (&vault, "service:batch", salt, &SealedKeys(Vec::new())),
            (&other, "service:batch", salt, &sealed),
        ] {
            assert!(passwords(vault, principal, salt, keys).is_empty());
        }
        assert_ne!(vault.mock_salts(), other.mock_salts());
    }
}
