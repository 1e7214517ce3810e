//! What passwords are checked against, between wire and model.

use writ_model::password::{KEY_BYTES, PASSWORDS_MAX, PasswordKeys, Passwords, SALT_BYTES};
use writ_model::{PrincipalId, Secret};

use crate::convert::ConvertError;
use crate::v1;

/// What a service's passwords are checked against. What an edge could not hold is an error.
pub fn from_wire(wire: v1::Passwords) -> Result<(PrincipalId, Passwords), ConvertError> {
    let v1::Passwords { principal, salt: bytes, keys: wire } = wire;
    let field = "passwords.principal";
    let id = principal.parse().map_err(|source| ConvertError::Id { field, source })?;
    if wire.len() > PASSWORDS_MAX {
        let value = i64::try_from(wire.len()).unwrap_or(i64::MAX);
        return Err(ConvertError::Unknown { field: "passwords.keys", value });
    }
    let keys = wire.into_iter().map(keys).collect::<Result<_, _>>()?;
    Ok((id, Passwords { salt: salt("passwords.salt", &bytes)?, keys }))
}

/// The same, to be sent.
#[must_use]
pub fn to_wire(principal: &PrincipalId, passwords: &Passwords) -> v1::Passwords {
    let Passwords { salt, keys } = passwords;
    let keys = keys.iter().map(|PasswordKeys { stored_key, server_key }| v1::PasswordKeys {
        stored_key: stored_key.expose().to_vec(),
        server_key: server_key.expose().to_vec(),
    });
    v1::Passwords { principal: principal.to_string(), salt: salt.to_vec(), keys: keys.collect() }
}

/// The keys of one password.
pub fn keys(wire: v1::PasswordKeys) -> Result<PasswordKeys, ConvertError> {
    let v1::PasswordKeys { stored_key, server_key } = wire;
    Ok(PasswordKeys {
        stored_key: key("password.stored_key", &stored_key)?,
        server_key: key("password.server_key", &server_key)?,
    })
}

/// A salt.
pub fn salt(field: &'static str, bytes: &[u8]) -> Result<[u8; SALT_BYTES], ConvertError> {
    bytes.try_into().map_err(|_| length(field, bytes, SALT_BYTES))
}

/// One key.
pub fn key(field: &'static str, bytes: &[u8]) -> Result<Secret<[u8; KEY_BYTES]>, ConvertError> {
    bytes.try_into().map(Secret::new).map_err(|_| length(field, bytes, KEY_BYTES))
}

fn length(field: &'static str, bytes: &[u8], expected: usize) -> ConvertError {
    let reason = format!("it has {} bytes and not {expected}", bytes.len());
    ConvertError::Word { field, reason }
}

impl std::fmt::Debug for v1::PasswordKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordKeys(…)")
    }
}

impl std::fmt::Debug for v1::MockSalts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MockSalts(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(salt: usize, key: usize, count: usize) -> v1::Passwords {
        let keys = v1::PasswordKeys { stored_key: vec![1; key], server_key: vec![2; key] };
        let principal = "service:batch".to_owned();
        v1::Passwords { principal, salt: vec![3; salt], keys: vec![keys; count] }
    }

    #[test]
    fn only_what_an_edge_can_hold_is_taken() {
        let good = wire(SALT_BYTES, KEY_BYTES, PASSWORDS_MAX);
        let (id, passwords) = from_wire(good.clone()).expect("converted");
        assert_eq!(to_wire(&id, &passwords), good);
        let printed = format!("{good:?} {passwords:?}");
        assert!(!printed.contains("1, 1") && !printed.contains("2, 2"), "{printed}");
        for bad in [
            wire(SALT_BYTES - 1, KEY_BYTES, 1),
            wire(SALT_BYTES, KEY_BYTES + 1, 1),
            wire(SALT_BYTES, KEY_BYTES, PASSWORDS_MAX + 1),
            v1::Passwords { principal: "batch".into(), ..good },
        ] {
            from_wire(bad.clone()).expect_err(&bad.principal);
        }
    }
}
