//! The canonical bytes of each kind of record, field by field.

use writ_model::Timestamp;

use crate::codec::{
    DecodeError, RECORD_BYTES_MAX, Reader, Wire, put_blob, put_list, put_number, take_list,
    wire_enum, wire_lists, wire_struct,
};
use crate::record::*;

wire_enum!(DecisionKind "decision" { Allow = 1, Mask = 2, Hold = 3, Deny = 4 });
wire_enum!(Effect "effect" { Forwarded = 1, Withheld = 2 });
wire_enum!(ProtocolKind "protocol" { Simple = 1, Parse = 2, Execute = 3, FunctionCall = 4 });
wire_struct!(ColumnUse { name, tag, masked });
wire_struct!(RelationUse { schema, relation, columns });
wire_struct!(OpaquePart { reason, detail });
wire_lists!(ColumnUse, RelationUse, OpaquePart, BindValue);
wire_struct!(SessionProfile {
    session,
    principal,
    on_behalf_of,
    client_address,
    application_name,
    database,
    environment,
    database_role,
});
wire_struct!(StatementProfile {
    text,
    kinds,
    reads,
    writes,
    functions,
    opaque,
    decision,
    rules,
    reason,
    epoch,
    masked_columns,
    rewritten,
});
wire_struct!(Outcome { statement, sqlstate, rows, bytes_out, duration_us, cancelled, command_tag });
wire_struct!(SessionOpened { session, authentication, tls, epoch });
wire_struct!(SessionClosed { session, reason, statements, duration_us });
wire_struct!(ConnectionRefused { client_address, user, database, sqlstate, reason });
wire_struct!(SourceStarted { version, environment, clean });
wire_struct!(Gap { first, last, reason });
wire_struct!(ControlEvent { event_seq, kind, actor, payload, hash });

/// What stands before a text in clear.
pub(crate) const CLEAR: u8 = 1;

impl Wire for TextValue {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Clear(text) => {
                out.push(CLEAR);
                text.put(out);
            }
            Self::Redacted => out.push(2),
            Self::Sealed(bytes) => {
                out.push(3);
                bytes.put(out);
            }
            Self::Digest { sha256, length } => {
                out.push(4);
                sha256.put(out);
                length.put(out);
            }
        }
    }
    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.byte("text value")? {
            CLEAR => Wire::take(reader).map(Self::Clear),
            2 => Ok(Self::Redacted),
            3 => Wire::take(reader).map(Self::Sealed),
            4 => Ok(Self::Digest { sha256: Wire::take(reader)?, length: Wire::take(reader)? }),
            tag => Err(DecodeError::Tag { what: "text value", tag: u64::from(tag) }),
        }
    }
}

impl Wire for BindValue {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.push(1),
            Self::Text(text) => {
                out.push(2);
                text.put(out);
            }
            Self::Binary(bytes) => {
                out.push(3);
                bytes.put(out);
            }
        }
    }
    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.byte("bind value")? {
            1 => Ok(Self::Null),
            2 => Wire::take(reader).map(Self::Text),
            3 => Wire::take(reader).map(Self::Binary),
            tag => Err(DecodeError::Tag { what: "bind value", tag: u64::from(tag) }),
        }
    }
}

impl Wire for BindValues {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::None => out.push(1),
            Self::Clear(values) => {
                out.push(2);
                put_list(values, out);
            }
            Self::Redacted(count) => {
                out.push(3);
                count.put(out);
            }
            Self::Sealed(bytes) => {
                out.push(4);
                bytes.put(out);
            }
        }
    }
    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.byte("bind values")? {
            1 => Ok(Self::None),
            2 => take_list(reader).map(Self::Clear),
            3 => Wire::take(reader).map(Self::Redacted),
            4 => Wire::take(reader).map(Self::Sealed),
            tag => Err(DecodeError::Tag { what: "bind values", tag: u64::from(tag) }),
        }
    }
}

/// Reads a value that is kept with its length in front, and must fill it.
fn take_framed<T: Wire>(reader: &mut Reader<'_>, what: &'static str) -> Result<T, DecodeError> {
    let mut inner = Reader::new(reader.blob(what)?);
    let value = T::take(&mut inner)?;
    inner.finish()?;
    Ok(value)
}

impl Wire for Intent {
    fn put(&self, out: &mut Vec<u8>) {
        let Self { statement, session, profile, protocol, effect, approval, binds } = self;
        // The two profiles have their length in front, so that an edge can splice in bytes that it
        // encoded once (`intent::encode_intent`).
        statement.put(out);
        let mut blob = Vec::new();
        session.put(&mut blob);
        put_blob(&blob, out);
        blob.clear();
        profile.put(&mut blob);
        put_blob(&blob, out);
        protocol.put(out);
        effect.put(out);
        approval.put(out);
        binds.put(out);
    }
    fn take(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            statement: Wire::take(reader)?,
            session: take_framed(reader, "session")?,
            profile: take_framed(reader, "statement")?,
            protocol: Wire::take(reader)?,
            effect: Wire::take(reader)?,
            approval: Wire::take(reader)?,
            binds: Wire::take(reader)?,
        })
    }
}

/// The tags of record kinds in canonical bytes.
pub(crate) mod tag {
    pub(crate) const SOURCE_STARTED: u8 = 1;
    pub(crate) const GAP: u8 = 2;
    pub(crate) const SESSION_OPENED: u8 = 3;
    pub(crate) const SESSION_CLOSED: u8 = 4;
    pub(crate) const CONNECTION_REFUSED: u8 = 5;
    pub(crate) const INTENT: u8 = 6;
    pub(crate) const OUTCOME: u8 = 7;
    pub(crate) const CONTROL_EVENT: u8 = 8;
}

/// Appends what every record begins with.
pub(crate) fn put_header(kind: u8, source: &str, seq: u64, at: Timestamp, out: &mut Vec<u8>) {
    out.push(RECORD_VERSION);
    out.push(kind);
    put_blob(source.as_bytes(), out);
    put_number(seq, out);
    at.put(out);
}

impl Record {
    /// Appends the canonical bytes to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let header = |kind, out: &mut Vec<u8>| {
            put_header(kind, &self.source, self.seq, self.at, out);
        };
        macro_rules! put {
            ($kind:ident, $body:expr) => {{
                header(tag::$kind, out);
                $body.put(out);
            }};
        }
        match &self.body {
            Body::SourceStarted(body) => put!(SOURCE_STARTED, body),
            Body::Gap(body) => put!(GAP, body),
            Body::SessionOpened(body) => put!(SESSION_OPENED, body),
            Body::SessionClosed(body) => put!(SESSION_CLOSED, body),
            Body::ConnectionRefused(body) => put!(CONNECTION_REFUSED, body),
            Body::Intent(body) => put!(INTENT, body),
            Body::Outcome(body) => put!(OUTCOME, body),
            Body::ControlEvent(body) => put!(CONTROL_EVENT, body),
        }
    }

    /// The canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        self.encode(&mut out);
        out
    }

    /// Reads canonical bytes; refuses everything that [`Record::encode`] would not have written.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(DecodeError::TooLarge(bytes.len()));
        }
        let mut reader = Reader::new(bytes);
        let version = reader.byte("version")?;
        if version != RECORD_VERSION {
            return Err(DecodeError::Version(version));
        }
        let kind = reader.byte("record kind")?;
        let source = String::take(&mut reader)?;
        let seq = reader.number()?;
        let at = Timestamp::take(&mut reader)?;
        let body = take_body(kind, &mut reader)?;
        reader.finish()?;
        Ok(Self { source, seq, at, body })
    }
}

fn take_body(kind: u8, reader: &mut Reader<'_>) -> Result<Body, DecodeError> {
    match kind {
        tag::SOURCE_STARTED => Wire::take(reader).map(Body::SourceStarted),
        tag::GAP => Wire::take(reader).map(Body::Gap),
        tag::SESSION_OPENED => Wire::take(reader).map(Body::SessionOpened),
        tag::SESSION_CLOSED => Wire::take(reader).map(Body::SessionClosed),
        tag::CONNECTION_REFUSED => Wire::take(reader).map(Body::ConnectionRefused),
        tag::INTENT => Wire::take(reader).map(Body::Intent),
        tag::OUTCOME => Wire::take(reader).map(Body::Outcome),
        tag::CONTROL_EVENT => Wire::take(reader).map(Body::ControlEvent),
        tag => Err(DecodeError::Tag { what: "record kind", tag: u64::from(tag) }),
    }
}
