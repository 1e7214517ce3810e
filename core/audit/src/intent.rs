//! Encoding for the edge's hot path: what is constant for a session or for a cached decision is encoded
//! once, and an intent is a header, two spliced blobs and a few bytes in a buffer that is used again.

use std::sync::Arc;

use writ_model::{ApprovalId, Epoch, Timestamp};

use crate::codec::{Reader, Wire, put_blob, put_number};
use crate::encoding::{CLEAR, put_header, tag};
use crate::record::{Effect, ProtocolKind, SessionProfile, StatementProfile, TextValue};

/// The encoded form of a [`SessionProfile`]; cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedSession(Arc<[u8]>);

/// The encoded form of a [`StatementProfile`]; cheap to clone, kept next to the cached decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedStatement(Arc<[u8]>);

impl From<&SessionProfile> for EncodedSession {
    fn from(profile: &SessionProfile) -> Self {
        let mut out = Vec::new();
        profile.put(&mut out);
        Self(out.into())
    }
}

impl From<&StatementProfile> for EncodedStatement {
    fn from(profile: &StatementProfile) -> Self {
        let mut out = Vec::new();
        profile.put(&mut out);
        Self(out.into())
    }
}

impl EncodedStatement {
    /// The same profile with another text in clear. `None` where its own text is not in clear, or this
    /// is no profile's encoding. Decodes nothing: it is made for each of ever new texts.
    #[must_use]
    pub fn with_text(&self, text: &str) -> Option<Self> {
        let mut reader = Reader::new(&self.0);
        if reader.byte("text value").ok()? != CLEAR {
            return None;
        }
        let length = usize::try_from(reader.number().ok()?).ok()?;
        reader.bytes(length, "text").ok()?;
        let rest = reader.rest();
        let mut out = Vec::with_capacity(text.len() + rest.len() + 16);
        out.push(CLEAR);
        put_blob(text.as_bytes(), &mut out);
        out.extend_from_slice(rest);
        Some(Self(out.into()))
    }

    /// The same profile without its text. `None` where this is no profile's encoding.
    #[must_use]
    pub fn without_text(&self) -> Option<Self> {
        self.with(&TextValue::Redacted)
    }

    fn with(&self, text: &TextValue) -> Option<Self> {
        // The text is the first field.
        let mut reader = Reader::new(&self.0);
        TextValue::take(&mut reader).ok()?;
        let mut out = Vec::with_capacity(self.0.len() + 64);
        text.put(&mut out);
        out.extend_from_slice(reader.rest());
        Some(Self(out.into()))
    }

    /// Whether the record keeps the text, or would if it were not too large: what it withholds, nobody else is shown.
    #[must_use]
    pub fn keeps_text(&self) -> bool {
        matches!(
            TextValue::take(&mut Reader::new(&self.0)),
            Ok(TextValue::Clear(_) | TextValue::Digest { .. })
        )
    }

    /// How many bytes it holds, for cache accounting.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.0.len()
    }
}

/// What every record begins with.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    /// The source's name.
    pub source: &'a str,
    /// The record's number at that source.
    pub seq: u64,
    /// When it is written.
    pub at: Timestamp,
}

/// The values of a Bind message, borrowed.
#[derive(Debug, Clone, Copy)]
pub enum BindValuesRef<'a> {
    /// There are none.
    None,
    /// As they were: their number, and each as [`BindValueRef::put`] wrote it.
    Clear(u32, &'a [u8]),
    /// Not kept; only how many there were.
    Redacted(u32),
    /// Kept, encrypted.
    Sealed(&'a [u8]),
}

/// One value of a Bind message, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindValueRef<'a> {
    /// NULL.
    Null,
    /// A value in text format.
    Text(&'a str),
    /// A value in binary format, or a text that is not UTF-8.
    Binary(&'a [u8]),
}

impl BindValueRef<'_> {
    /// Appends the value's encoding: the same as that of a [`BindValue`](crate::record::BindValue).
    pub fn put(self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.push(1),
            Self::Text(text) => {
                out.push(2);
                put_blob(text.as_bytes(), out);
            }
            Self::Binary(bytes) => {
                out.push(3);
                put_blob(bytes, out);
            }
        }
    }
}

/// An intent, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct IntentRef<'a> {
    /// The statement's id; must be a valid `StatementId`.
    pub statement: &'a str,
    /// Who and from where.
    pub session: &'a EncodedSession,
    /// What, and what was decided.
    pub profile: &'a EncodedStatement,
    /// How it came.
    pub protocol: ProtocolKind,
    /// Whether it goes on to the database.
    pub effect: Effect,
    /// What was decided, for counting: `allow`, `mask`, `hold` or `deny`. In the record the profile says it.
    pub decided: &'static str,
    /// The epoch that it was decided under, for traces. In the record the profile says it.
    pub epoch: Epoch,
    /// The statement's text as the client sent it, for the trace that it names. In the record the profile says it.
    pub text: &'a [u8],
    /// The approval that was asked for or used.
    pub approval: Option<&'a ApprovalId>,
    /// The Bind message's values.
    pub binds: BindValuesRef<'a>,
}

/// An outcome, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct OutcomeRef<'a> {
    /// The statement's id; must be a valid `StatementId`.
    pub statement: &'a str,
    /// The error's SQLSTATE; `None`: it succeeded.
    pub sqlstate: Option<&'a str>,
    /// Rows sent to the client or affected.
    pub rows: u64,
    /// Bytes sent to the client for it.
    pub bytes_out: u64,
    /// From the decision to the last byte, in microseconds.
    pub duration_us: u64,
    /// Whether the client cancelled it or went away.
    pub cancelled: bool,
    /// The server's command tag.
    pub command_tag: &'a str,
}

/// Appends the canonical bytes of an intent record: the same as [`crate::Record::encode`] would.
pub fn encode_intent(header: Header<'_>, intent: &IntentRef<'_>, out: &mut Vec<u8>) {
    put_header(tag::INTENT, header.source, header.seq, header.at, out);
    put_blob(intent.statement.as_bytes(), out);
    put_blob(&intent.session.0, out);
    put_blob(&intent.profile.0, out);
    intent.protocol.put(out);
    intent.effect.put(out);
    intent.approval.is_some().put(out);
    if let Some(approval) = intent.approval {
        put_blob(approval.as_str().as_bytes(), out);
    }
    put_binds(intent.binds, out);
}

fn put_binds(binds: BindValuesRef<'_>, out: &mut Vec<u8>) {
    match binds {
        BindValuesRef::None => out.push(1),
        BindValuesRef::Clear(count, encoded) => {
            out.push(2);
            put_number(u64::from(count), out);
            out.extend_from_slice(encoded);
        }
        BindValuesRef::Redacted(count) => {
            out.push(3);
            count.put(out);
        }
        BindValuesRef::Sealed(bytes) => {
            out.push(4);
            put_blob(bytes, out);
        }
    }
}

/// Appends the canonical bytes of an outcome record: the same as [`crate::Record::encode`] would.
pub fn encode_outcome(header: Header<'_>, outcome: &OutcomeRef<'_>, out: &mut Vec<u8>) {
    put_header(tag::OUTCOME, header.source, header.seq, header.at, out);
    put_blob(outcome.statement.as_bytes(), out);
    outcome.sqlstate.is_some().put(out);
    if let Some(sqlstate) = outcome.sqlstate {
        put_blob(sqlstate.as_bytes(), out);
    }
    put_number(outcome.rows, out);
    put_number(outcome.bytes_out, out);
    put_number(outcome.duration_us, out);
    outcome.cancelled.put(out);
    put_blob(outcome.command_tag.as_bytes(), out);
}
