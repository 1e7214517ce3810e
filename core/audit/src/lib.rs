//! What an audit record is: its canonical bytes, the hash chain of one source, the Merkle tree over all
//! records of a lake, and the signed checkpoint. Pure: shared by the edge, the lake and the offline verifier.

pub mod chain;
pub mod checkpoint;
pub mod codec;
mod encoding;
pub mod intent;
pub mod keys;
pub mod merkle;
pub mod record;
pub mod stream;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod record_tests;

pub use chain::{ChainError, ChainHash, ChainState, Framed, FramedRef};
pub use checkpoint::{Checkpoint, CheckpointError, CheckpointHash, SignedCheckpoint, SourceHead};
pub use codec::DecodeError;
pub use intent::{
    BindValueRef, BindValuesRef, EncodedSession, EncodedStatement, Header, IntentRef, OutcomeRef,
    encode_intent, encode_outcome,
};
pub use keys::{KeyError, KeyId, PublicKey, SigningKey};
pub use merkle::{Frontier, Hash, MerkleError};
pub use record::{
    BindValue, BindValues, Body, ColumnUse, ConnectionRefused, ControlEvent, DecisionKind, Effect,
    Gap, Intent, OpaquePart, Outcome, ProtocolKind, Record, RelationUse, SessionClosed,
    SessionOpened, SessionProfile, SourceStarted, StatementProfile, TextValue,
};
pub use stream::{STREAMS_MAX, is_stream_of, stream_name};
