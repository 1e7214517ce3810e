//! What a session wants done: bytes for both sides, and effects as data for the shell to carry out.

use bytes::BytesMut;
use writ_audit::{IntentRef, OutcomeRef};
use writ_model::approval::Binding;
use writ_model::{ApprovalId, BindingDigest, DurationMs, Epoch, HoldTerms, Timestamp};

use crate::gate::{Permit, TouchedColumn};

/// The spool has no room; the record was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalFull;

/// Where records go, in order. Writing one survives a kill of the process; [`Effect::Sync`] asks for more.
pub trait Journal {
    /// Writes an intent and returns its number.
    fn intent(&mut self, at: Timestamp, intent: &IntentRef<'_>) -> Result<u64, JournalFull>;
    /// Writes an outcome. There is room for it, because every intent reserves it.
    fn outcome(&mut self, at: Timestamp, outcome: &OutcomeRef<'_>);
}

/// What an approver is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalAsk {
    /// The statement's number, which news of the request name: what is said of an older one concerns no other.
    pub number: u64,
    /// Makes asking twice one request.
    pub statement_id: String,
    /// Everything that the grant is bound to (C4).
    pub binding: Binding,
    /// Its digest.
    pub digest: BindingDigest,
    /// The terms that policy set.
    pub terms: HoldTerms,
    /// The determining rules.
    pub rules: Vec<String>,
    /// The statement's kinds.
    pub kinds: Vec<&'static str>,
    /// The columns that it touches.
    pub touched: Vec<TouchedColumn>,
    /// Whether bind values must not be shown.
    pub redact_binds: bool,
}

/// What the shell has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Find a connection for the session; give it with [`crate::session::Session::attach`].
    Acquire,
    /// The session does not wait for a connection any more.
    StopAcquiring,
    /// Make the journal durable up to this number, then tell [`crate::session::Session::on_durable`].
    Sync(u64),
    /// Ask for an approval; answer with [`crate::session::Session::on_approval`].
    RequestApproval(Box<ApprovalAsk>),
    /// Use the grant; answer with [`crate::session::Session::on_approval`].
    UseGrant {
        /// The statement's number.
        number: u64,
        /// The request.
        id: ApprovalId,
        /// What is about to run.
        digest: BindingDigest,
        /// Under which epoch.
        epoch: Epoch,
    },
    /// Nobody waits for this approval any more.
    CancelApproval {
        /// The request; `None`: whatever was asked for this session and not answered yet.
        id: Option<ApprovalId>,
        /// Why, for the record.
        reason: &'static str,
    },
    /// Ask the planner how many rows it expects; answer with [`crate::session::Session::on_estimate`].
    Estimate {
        /// The session's schemas in the order of look-up.
        search_path: Vec<String>,
        /// The statement: exactly one.
        text: String,
        /// How many parameters it has; their values are not known.
        parameters: u32,
    },
    /// Ask the server to cancel what it runs; tell [`crate::session::Session::on_cancel_sent`] when that is over, whether
    /// it worked or not.
    CancelUpstream,
    /// Read the database's catalog and classify again; answer with [`crate::session::Session::on_database_fresh`].
    RefreshDatabase,
    /// The session's next statement waits for its turn: tell [`crate::session::Session::on_wake`] at this time.
    Wake {
        /// When.
        at: Timestamp,
        /// Whether it will be refused then.
        refused: bool,
    },
    /// Send what is buffered, then end both connections.
    End(EndReason),
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// The client said goodbye.
    Terminated,
    /// The client's connection ended without goodbye.
    ClientGone,
    /// The database's connection ended.
    UpstreamGone,
    /// Someone broke the protocol.
    Protocol,
    /// The principal was disabled, the database removed, or the approval of what ran taken back.
    Revoked,
    /// An operator ended it.
    Killed,
    /// The edge is drained or shuts down.
    Drained,
    /// The session's names could not be read, or its record not written.
    Unavailable,
}

impl EndReason {
    /// The name in the record.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Terminated => "terminated",
            Self::ClientGone => "client_gone",
            Self::UpstreamGone => "upstream_gone",
            Self::Protocol => "protocol",
            Self::Revoked => "revoked",
            Self::Killed => "killed",
            Self::Drained => "drained",
            Self::Unavailable => "unavailable",
        }
    }
}

/// How an approval went on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApprovalNews {
    /// It waits for votes, from now on under this id.
    Pending {
        /// The request.
        id: ApprovalId,
        /// How long from now.
        expires: DurationMs,
    },
    /// There are enough votes: the grant may be used.
    Granted,
    /// The grant was used for exactly this statement: it goes on.
    Used,
    /// It ended without a grant, or the grant does not cover the statement.
    Ended(String),
}

/// What a step of the session produced. Statement bytes enter only with a [`Permit`].
#[derive(Debug, Default)]
pub struct Outbox {
    /// Bytes for the client.
    pub to_client: BytesMut,
    to_upstream: BytesMut,
    /// Values in which something was hidden as they passed.
    pub values_screened: u64,
    /// Things to do, in order, before `to_upstream` is written.
    pub effects: Vec<Effect>,
}

impl Outbox {
    /// Bytes for the server; the shell writes and clears them.
    pub fn to_upstream(&mut self) -> &mut BytesMut {
        &mut self.to_upstream
    }

    /// E1: the only way for a statement's bytes to the server.
    #[allow(clippy::needless_pass_by_value)] // the permit is consumed
    pub(crate) fn statement(&mut self, _permit: Permit) -> &mut BytesMut {
        &mut self.to_upstream
    }

    /// For what is no statement: Sync, Flush, Close, Describe, our own probes and refusals.
    pub(crate) fn control(&mut self) -> &mut BytesMut {
        &mut self.to_upstream
    }
}
