//! The kinds of records and what each says.

use writ_model::{
    ApprovalId, DatabaseName, EnvironmentName, Epoch, PrincipalId, RuleId, SessionId, StatementId,
    StatementKind, Tag, Timestamp,
};

/// The version of the canonical bytes: the first byte of every record.
pub const RECORD_VERSION: u8 = 1;

/// One audit entry of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Who wrote it: an edge's id, or `control-plane:NODE`.
    pub source: String,
    /// Its number: dense from 1 for each source (L1).
    pub seq: u64,
    /// When the source wrote it.
    pub at: Timestamp,
    /// What it says.
    pub body: Body,
}

/// What a record says.
// Records are decoded one at a time and taken apart at once: a box would only cost an allocation.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The source's process started; the first record of every run.
    SourceStarted(SourceStarted),
    /// Records were lost before they could be shipped.
    Gap(Gap),
    /// A client proved who it is and its session began.
    SessionOpened(SessionOpened),
    /// A session ended.
    SessionClosed(SessionClosed),
    /// A client was turned away before it had a session.
    ConnectionRefused(ConnectionRefused),
    /// A statement was decided: written before its effect. A refused statement has an intent too,
    /// with [`Effect::Withheld`].
    Intent(Intent),
    /// What came of a statement. Every intent is followed by at most one outcome; a withheld
    /// statement's outcome says which SQLSTATE the client saw.
    Outcome(Outcome),
    /// An event of the control plane's log.
    ControlEvent(ControlEvent),
}

impl Body {
    /// The name of this kind in the lake.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::SourceStarted(_) => "source_started",
            Self::Gap(_) => "gap",
            Self::SessionOpened(_) => "session_opened",
            Self::SessionClosed(_) => "session_closed",
            Self::ConnectionRefused(_) => "connection_refused",
            Self::Intent(_) => "intent",
            Self::Outcome(_) => "outcome",
            Self::ControlEvent(_) => "control_event",
        }
    }
}

/// A text whose keeping is policy's choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextValue {
    /// As it was.
    Clear(String),
    /// Not kept.
    Redacted,
    /// Kept, encrypted for a key that the lake does not have.
    Sealed(Vec<u8>),
    /// Too large to keep: its SHA-256 and its length in bytes.
    Digest {
        /// SHA-256 of the text.
        sha256: [u8; 32],
        /// Its length in bytes.
        length: u64,
    },
}

/// One value of a Bind message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BindValue {
    /// NULL.
    Null,
    /// A value in text format.
    Text(String),
    /// A value in binary format, or a text that is not UTF-8.
    Binary(Vec<u8>),
}

/// The values of a Bind message, as policy lets them be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BindValues {
    /// There are none: a simple query.
    None,
    /// As they were.
    Clear(Vec<BindValue>),
    /// Not kept; only how many there were.
    Redacted(u32),
    /// Kept, encrypted for a key that the lake does not have.
    Sealed(Vec<u8>),
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DecisionKind {
    /// Allowed as it was.
    Allow,
    /// Allowed with masked columns.
    Mask,
    /// Held for an approval.
    Hold,
    /// Refused.
    Deny,
}

/// Whether the statement's bytes went to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// They did, after this record was written (E6).
    Forwarded,
    /// They did not: denied, or an approval that did not come.
    Withheld,
}

/// How the statement came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProtocolKind {
    /// A Query message.
    Simple,
    /// A Parse message (decided again at Bind or Execute where needed).
    Parse,
    /// An Execute message with its Bind.
    Execute,
    /// A FunctionCall message.
    FunctionCall,
}

macro_rules! names {
    ($name:ident { $($variant:ident = $text:literal),* $(,)? }) => {
        impl $name {
            /// The name in the lake.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $text ),* }
            }
        }
    };
}
names!(DecisionKind { Allow = "allow", Mask = "mask", Hold = "hold", Deny = "deny" });
names!(Effect { Forwarded = "forwarded", Withheld = "withheld" });
names!(ProtocolKind {
    Simple = "simple", Parse = "parse", Execute = "execute", FunctionCall = "function_call",
});

/// One column that a statement uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnUse {
    /// Its exact name.
    pub name: String,
    /// What it holds, where that is known.
    pub tag: Option<Tag>,
    /// Whether this principal saw it masked.
    pub masked: bool,
}

/// One relation that a statement uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationUse {
    /// The schema's exact name.
    pub schema: String,
    /// The relation's exact name.
    pub relation: String,
    /// The columns used.
    pub columns: Vec<ColumnUse>,
}

/// One part that analysis could not know (E2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpaquePart {
    /// Why, as `OpaqueReason::as_str` names it.
    pub reason: String,
    /// What exactly.
    pub detail: String,
}

/// Who acts and from where: constant for a session until its role or application name changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionProfile {
    /// The session.
    pub session: SessionId,
    /// Who connected.
    pub principal: PrincipalId,
    /// Whom it acts for, nearest first.
    pub on_behalf_of: Vec<PrincipalId>,
    /// The client's `address:port`.
    pub client_address: String,
    /// The client's `application_name`; empty where it gave none.
    pub application_name: String,
    /// The database, as the client named it.
    pub database: DatabaseName,
    /// The database's environment.
    pub environment: EnvironmentName,
    /// `current_user` at the server.
    pub database_role: String,
}

/// What a statement is and what was decided: constant for one cached decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementProfile {
    /// The statement's text.
    pub text: TextValue,
    /// The kinds of all statements in it.
    pub kinds: Vec<StatementKind>,
    /// Relations read.
    pub reads: Vec<RelationUse>,
    /// Relations written.
    pub writes: Vec<RelationUse>,
    /// Functions called, `schema.name`.
    pub functions: Vec<String>,
    /// What is not known.
    pub opaque: Vec<OpaquePart>,
    /// What was decided.
    pub decision: DecisionKind,
    /// The rules that decided.
    pub rules: Vec<RuleId>,
    /// Why, in words; empty for a plain allow.
    pub reason: String,
    /// The epoch that it was decided under (E5).
    pub epoch: Epoch,
    /// Masked columns, `schema.relation.column`.
    pub masked_columns: Vec<String>,
    /// Whether the bytes sent differ from the client's because masks were written into them.
    pub rewritten: bool,
}

/// A statement was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The statement, unique fleet-wide.
    pub statement: StatementId,
    /// Who and from where.
    pub session: SessionProfile,
    /// What, and what was decided.
    pub profile: StatementProfile,
    /// How it came.
    pub protocol: ProtocolKind,
    /// Whether it goes on to the database.
    pub effect: Effect,
    /// The approval that was asked for or used.
    pub approval: Option<ApprovalId>,
    /// The Bind message's values.
    pub binds: BindValues,
}

/// What came of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The statement.
    pub statement: StatementId,
    /// The error's SQLSTATE; `None`: it succeeded.
    pub sqlstate: Option<String>,
    /// Rows sent to the client or affected.
    pub rows: u64,
    /// Bytes sent to the client for it.
    pub bytes_out: u64,
    /// From the decision to the last byte, in microseconds.
    pub duration_us: u64,
    /// Whether the client cancelled it or went away.
    pub cancelled: bool,
    /// The server's command tag, such as `DELETE 3`; empty where there was none.
    pub command_tag: String,
}

/// A session began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionOpened {
    /// Who and from where.
    pub session: SessionProfile,
    /// How the principal proved who it is: `token`, `scram`, `certificate`, `oauth`.
    pub authentication: String,
    /// Whether the client's connection is encrypted.
    pub tls: bool,
    /// The epoch at that moment.
    pub epoch: Epoch,
}

/// A session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionClosed {
    /// The session.
    pub session: SessionId,
    /// Why: `terminated`, `client_gone`, `upstream_gone`, `drained`, `revoked`, ….
    pub reason: String,
    /// How many statements were decided in it.
    pub statements: u64,
    /// How long it lasted, in microseconds.
    pub duration_us: u64,
}

/// A client was turned away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionRefused {
    /// The client's `address:port`.
    pub client_address: String,
    /// The user name that it gave; not proven.
    pub user: String,
    /// The database that it asked for.
    pub database: String,
    /// The SQLSTATE that it got.
    pub sqlstate: String,
    /// Why.
    pub reason: String,
}

/// A source's process started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceStarted {
    /// The version of `writ`.
    pub version: String,
    /// Where it runs; empty for the control plane.
    pub environment: String,
    /// Whether the last run ended in order.
    pub clean: bool,
}

/// Records that were lost before they could be shipped. Numbering goes on at this record's own `seq`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The first lost record's number.
    pub first: u64,
    /// The last lost record's number.
    pub last: u64,
    /// Why they were lost.
    pub reason: String,
}

/// An event of the control plane's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlEvent {
    /// Its number in that log.
    pub event_seq: u64,
    /// Its kind, such as `approval_requested`.
    pub kind: String,
    /// Who caused it.
    pub actor: String,
    /// Its content as JSON.
    pub payload: String,
    /// Its hash in that log's chain.
    pub hash: [u8; 32],
}
