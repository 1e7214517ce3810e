//! Where credentials for databases are; never the credentials themselves.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest reference, in bytes.
pub const VAULT_REF_BYTES_MAX: usize = 512;
/// What a reference may begin with, where it is written among others.
const SCHEME: &str = "vault:";

/// A field of a secret in a Vault (KV version 2), written `secret/data/PATH#FIELD`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VaultRef {
    path: String,
    field: String,
}

impl VaultRef {
    /// The path behind `/v1/`, such as `secret/data/shop`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The secret's field, such as `password`.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }
}

impl fmt::Display for VaultRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.path, self.field)
    }
}

impl FromStr for VaultRef {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("`{text}` {why}; write it as secret/data/PATH#FIELD");
        let rest = text.strip_prefix(SCHEME).unwrap_or(text);
        let (path, field) = rest.split_once('#').ok_or_else(|| wrong("names no field"))?;
        if text.len() > VAULT_REF_BYTES_MAX {
            return Err(format!("a reference has at most {VAULT_REF_BYTES_MAX} bytes"));
        }
        // What goes into the request's first line: nothing that would have to be escaped there.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
        let part = |part: &str| !matches!(part, "" | "." | "..");
        if !path.chars().all(plain) || !path.split('/').all(part) {
            return Err(wrong("has a path of other characters than letters, digits and -_./"));
        }
        if path.split('/').nth(1) != Some("data") || path.split('/').nth(2).is_none() {
            return Err(wrong("is not the path of a KV version 2 secret"));
        }
        if field.is_empty() {
            return Err(wrong("names no field"));
        }
        Ok(Self { path: path.to_owned(), field: field.to_owned() })
    }
}

impl TryFrom<String> for VaultRef {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<VaultRef> for String {
    fn from(reference: VaultRef) -> String {
        reference.to_string()
    }
}

/// The certificate that the edge shows a database, and its key: PEM files on the edge's machine, read for each connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientCertificate {
    /// The certificate, and those between it and the issuer.
    pub certificate_file: String,
    /// Its private key.
    pub key_file: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_people_write_them() {
        for text in ["secret/data/shop#password", "vault:secret/data/shop#password"] {
            let read: VaultRef = text.parse().expect(text);
            assert_eq!((read.path(), read.field()), ("secret/data/shop", "password"));
            assert_eq!(read.to_string(), "secret/data/shop#password");
        }
        let nested: VaultRef = "kv/data/a/b-c_d.e#x y".parse().expect("a reference");
        assert_eq!((nested.path(), nested.field()), ("kv/data/a/b-c_d.e", "x y"));
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for wrong in [
            "",
            "secret/data/shop",
            "secret/data/shop#",
            "secret/shop#password",
            "secret/data#password",
            "secret/data/#password",
            "/secret/data/shop#password",
            "secret/data/../../sys/seal#password",
            "secret/data/a b#password",
            "secret/data/a?version=1#password",
            "secret/data/a\r\nX: y#password",
            "secret/data/a%2e#password",
        ] {
            assert!(wrong.parse::<VaultRef>().is_err(), "{wrong:?}");
        }
        assert!(format!("secret/data/{}#p", "x".repeat(600)).parse::<VaultRef>().is_err());
    }
}
