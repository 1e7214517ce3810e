//! What proves that a service knows its password without being it: SCRAM-SHA-256's keys (RFC 5802, RFC 7677).

use crate::secret::Secret;

/// How often the hash is iterated. By all, and never fewer than RFC 7677 asks for: another number would tell who exists.
pub const ITERATIONS: u32 = 4_096;
/// How long salts are, in bytes. All are, for the same reason.
pub const SALT_BYTES: usize = 16;
/// The length of keys, in bytes.
pub const KEY_BYTES: usize = 32;
/// How many passwords a service may have at once: the one in use, and the one that replaces it.
pub const PASSWORDS_MAX: usize = 2;

/// The keys of one password. Whoever has them can test guesses of it, so they are secret; they log nobody in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordKeys {
    /// The hash of the key that the client proves to have.
    pub stored_key: Secret<[u8; KEY_BYTES]>,
    /// The key by which the server proves that it knows the password too.
    pub server_key: Secret<[u8; KEY_BYTES]>,
}

/// What a service's passwords are checked against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passwords {
    /// Of all of them: the client is told one salt before it proves anything.
    pub salt: [u8; SALT_BYTES],
    /// One for each password, at most [`PASSWORDS_MAX`].
    pub keys: Vec<PasswordKeys>,
}
