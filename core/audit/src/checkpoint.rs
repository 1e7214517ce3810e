//! The checkpoint: a signed statement that the lake holds exactly these records, in this order.

use std::fmt;

use writ_model::Timestamp;

use crate::chain::{ChainHash, sha256};
use crate::codec::{DecodeError, Reader, Wire, put_blob, put_list, take_list, wire_struct};
use crate::keys::{KeyId, PublicKey, SigningKey};
use crate::merkle::Hash;

/// What every checkpoint's bytes begin with; keeps its signature from standing for anything else.
const CONTEXT: &[u8] = b"writ checkpoint v1\n";

/// SHA-256 over a checkpoint's canonical bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CheckpointHash(pub [u8; 32]);

impl fmt::Debug for CheckpointHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CheckpointHash({self})")
    }
}

impl fmt::Display for CheckpointHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Where one source's chain was at a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceHead {
    /// The source's name.
    pub source: String,
    /// Its last record's number.
    pub seq: u64,
    /// The chain's hash after it.
    pub chain: ChainHash,
}

/// What the lake holds at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which lake.
    pub lake: String,
    /// 1 for the first, then dense.
    pub number: u64,
    /// How many records.
    pub tree_size: u64,
    /// The Merkle root over them.
    pub root: Hash,
    /// Every source's head, by source name.
    pub heads: Vec<SourceHead>,
    /// When it was made.
    pub at: Timestamp,
    /// The checkpoint before it; `None` for the first.
    pub previous: Option<CheckpointHash>,
}

impl Wire for ChainHash {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Wire::take(reader).map(Self)
    }
}

impl Wire for CheckpointHash {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Wire::take(reader).map(Self)
    }
}

wire_struct!(SourceHead { source, seq, chain });

impl Checkpoint {
    /// The canonical bytes: what is signed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { lake, number, tree_size, root, heads, at, previous } = self;
        let mut out = CONTEXT.to_vec();
        lake.put(&mut out);
        number.put(&mut out);
        tree_size.put(&mut out);
        root.0.put(&mut out);
        put_list(heads, &mut out);
        at.put(&mut out);
        previous.put(&mut out);
        out
    }

    /// Reads canonical bytes, and nothing else.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.bytes(CONTEXT.len(), "checkpoint")? != CONTEXT {
            return Err(DecodeError::Tag { what: "checkpoint", tag: 0 });
        }
        let checkpoint = Self {
            lake: Wire::take(&mut reader)?,
            number: Wire::take(&mut reader)?,
            tree_size: Wire::take(&mut reader)?,
            root: Hash(Wire::take(&mut reader)?),
            heads: take_list(&mut reader)?,
            at: Wire::take(&mut reader)?,
            previous: Wire::take(&mut reader)?,
        };
        reader.finish()?;
        Ok(checkpoint)
    }

    /// This checkpoint's hash: what the next one refers to, and what to keep in another place.
    #[must_use]
    pub fn hash(&self) -> CheckpointHash {
        CheckpointHash(sha256(&[&self.to_bytes()]))
    }

    /// Signs it.
    #[must_use]
    pub fn sign(self, key: &SigningKey) -> SignedCheckpoint {
        let signature = key.sign(&self.to_bytes());
        SignedCheckpoint { checkpoint: self, key: key.public().id(), signature }
    }
}

/// A checkpoint with its signature. Nothing in it is to be trusted before [`SignedCheckpoint::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What is signed.
    pub checkpoint: Checkpoint,
    /// Which key signed.
    pub key: KeyId,
    /// The Ed25519 signature over the canonical bytes.
    pub signature: Vec<u8>,
}

/// Why a checkpoint is not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Signed with a key that was not given.
    #[error("the checkpoint is signed with key {0}, which is not among the trusted keys")]
    UnknownKey(KeyId),
    /// The signature is not the key's.
    #[error("the checkpoint's signature is not by key {0}; the checkpoint was altered")]
    Signature(KeyId),
}

impl SignedCheckpoint {
    /// Checks the signature with the trusted keys; returns what was signed.
    pub fn verify(&self, keys: &[PublicKey]) -> Result<&Checkpoint, CheckpointError> {
        let key = keys
            .iter()
            .find(|key| key.id() == self.key)
            .ok_or_else(|| CheckpointError::UnknownKey(self.key.clone()))?;
        if key.verifies(&self.checkpoint.to_bytes(), &self.signature) {
            Ok(&self.checkpoint)
        } else {
            Err(CheckpointError::Signature(self.key.clone()))
        }
    }

    /// The whole as bytes, for a file or a message.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_blob(&self.checkpoint.to_bytes(), &mut out);
        self.key.0.put(&mut out);
        self.signature.put(&mut out);
        out
    }

    /// Reads what [`SignedCheckpoint::to_bytes`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let checkpoint = Checkpoint::decode(reader.blob("checkpoint")?)?;
        let signed = Self {
            checkpoint,
            key: KeyId(Wire::take(&mut reader)?),
            signature: Wire::take(&mut reader)?,
        };
        reader.finish()?;
        Ok(signed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            lake: "lake-1".into(),
            number: 2,
            tree_size: 3,
            root: Hash([7; 32]),
            heads: vec![SourceHead { source: "edge-1".into(), seq: 3, chain: ChainHash([9; 32]) }],
            at: Timestamp(1),
            previous: Some(CheckpointHash([1; 32])),
        }
    }

    #[test]
    fn a_signature_covers_every_byte() {
        let key = SigningKey::from_seed(&[5; 32]).expect("seed");
        let signed = checkpoint().sign(&key);
        assert_eq!(signed.verify(&[key.public()]), Ok(&checkpoint()));
        let bytes = signed.to_bytes();
        assert_eq!(SignedCheckpoint::decode(&bytes).as_ref(), Ok(&signed));
        for index in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[index] ^= 1;
            let accepted = SignedCheckpoint::decode(&flipped)
                .is_ok_and(|decoded| decoded.verify(&[key.public()]).is_ok());
            assert!(!accepted, "byte {index} is not covered");
        }
    }

    #[test]
    fn other_keys_do_not_verify() {
        let key = SigningKey::from_seed(&[5; 32]).expect("seed");
        let other = SigningKey::from_seed(&[6; 32]).expect("seed");
        let mut signed = checkpoint().sign(&key);
        let unknown = signed.verify(&[other.public()]).expect_err("unknown");
        assert_eq!(unknown, CheckpointError::UnknownKey(key.public().id()));
        signed.key = other.public().id();
        let forged = signed.verify(&[other.public()]).expect_err("forged");
        assert_eq!(forged, CheckpointError::Signature(other.public().id()));
    }
}
