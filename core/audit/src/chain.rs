//! The hash chain of one source: each record's hash covers all records before it.

use std::fmt;

use sha2::{Digest, Sha256};

/// SHA-256 over the previous hash and the record's canonical bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChainHash(pub [u8; 32]);

impl ChainHash {
    /// What the first record of a source follows.
    pub const START: Self = Self([0; 32]);

    /// The hash after one more record.
    #[must_use]
    pub fn next(&self, bytes: &[u8]) -> Self {
        Self(sha256(&[&self.0, bytes]))
    }

    /// Reads a hash from exactly 32 bytes.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Debug for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChainHash({self})")
    }
}

impl fmt::Display for ChainHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// SHA-256 over the parts, one after the other. Each record of the hot path is hashed: this implementation, which uses the
/// CPU's own instructions where it has them, keeps its state on the stack, while OpenSSL's interface allocates it.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

/// A record as it is kept in a spool and shipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Framed {
    /// Its number at its source.
    pub seq: u64,
    /// Its canonical bytes.
    pub bytes: Vec<u8>,
    /// The chain's hash after it.
    pub chain: ChainHash,
}

/// A [`Framed`], borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FramedRef<'a> {
    /// Its number at its source.
    pub seq: u64,
    /// Its canonical bytes.
    pub bytes: &'a [u8],
    /// The chain's hash after it.
    pub chain: ChainHash,
}

impl Framed {
    /// Borrows it.
    #[must_use]
    pub fn as_ref(&self) -> FramedRef<'_> {
        FramedRef { seq: self.seq, bytes: &self.bytes, chain: self.chain }
    }
}

/// Why a record does not follow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The number is not the next one (L1).
    #[error("record {found} came where {expected} was expected; ship from {expected} on")]
    Hole {
        /// The number that must come next.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// The hash does not follow from the one before and the bytes.
    #[error(
        "record {seq} does not follow from the record before it: its chain hash is {found}, \
         not {expected}; the record or one before it was altered"
    )]
    Broken {
        /// The record's number.
        seq: u64,
        /// The hash that would follow.
        expected: ChainHash,
        /// The hash that came with it.
        found: ChainHash,
    },
}

/// Where one source's chain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainState {
    /// The last record's number; 0 before the first.
    pub seq: u64,
    /// The hash after it.
    pub chain: ChainHash,
}

impl Default for ChainState {
    fn default() -> Self {
        Self { seq: 0, chain: ChainHash::START }
    }
}

impl ChainState {
    /// Appends bytes as the next record; returns its number and hash.
    pub fn append(&mut self, bytes: &[u8]) -> (u64, ChainHash) {
        self.seq = self.seq.saturating_add(1);
        self.chain = self.chain.next(bytes);
        (self.seq, self.chain)
    }

    /// Checks that `record` is the next one, and moves on to it.
    pub fn accept(&mut self, record: FramedRef<'_>) -> Result<(), ChainError> {
        let expected = self.seq.saturating_add(1);
        if record.seq != expected {
            return Err(ChainError::Hole { expected, found: record.seq });
        }
        let chain = self.chain.next(record.bytes);
        if chain != record.chain {
            return Err(ChainError::Broken {
                seq: record.seq,
                expected: chain,
                found: record.chain,
            });
        }
        *self = Self { seq: record.seq, chain };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_accepts_what_was_appended_and_nothing_else() {
        let mut source = ChainState::default();
        let mut lake = ChainState::default();
        for bytes in [b"one".as_slice(), b"two", b"three"] {
            let (seq, chain) = source.append(bytes);
            lake.accept(FramedRef { seq, bytes, chain }).expect("next");
        }
        assert_eq!(source, lake);
        let mut ahead = source;
        let (seq, chain) = ahead.append(b"four");
        let hole = FramedRef { seq: seq + 1, bytes: b"four", chain };
        assert_eq!(lake.accept(hole), Err(ChainError::Hole { expected: 4, found: 5 }));
        let altered = FramedRef { seq, bytes: b"f0ur", chain };
        assert!(matches!(lake.accept(altered), Err(ChainError::Broken { seq: 4, .. })));
        assert_eq!(source, lake, "a refused record moves nothing");
    }
}
