//! Approvals as data: what is asked, who voted, where it stands (C4).

use serde::{Deserialize, Serialize};
use writ_model::{
    ApprovalId, BindingDigest, DatabaseName, DurationMs, EnvironmentName, Epoch, GroupName,
    JointDigest, PrincipalId, RuleId, SessionId, Timestamp,
};

use crate::seats::Seats;

/// A column that the held statement reads or writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TouchedColumn {
    /// The schema's name.
    pub schema: String,
    /// The relation's name.
    pub relation: String,
    /// The column's name.
    pub column: String,
    /// What it holds; empty: harmless.
    pub tag: String,
    /// Whether it is written.
    pub written: bool,
}

/// What an edge asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRequest {
    /// The statement id: asking twice makes one request.
    pub idempotency_key: String,
    /// Who wants to run the statement.
    pub principal: PrincipalId,
    /// Whom that principal acts for, nearest first, as the edge saw it.
    pub on_behalf_of: Vec<PrincipalId>,
    /// In which session.
    pub session: SessionId,
    /// In which environment.
    pub environment: EnvironmentName,
    /// Against which database.
    pub database: DatabaseName,
    /// Who answers for the database.
    pub database_owner: String,
    /// Where the client is.
    pub client_address: String,
    /// What the client calls itself.
    pub application_name: String,
    /// The statement, for people; the digest covers the exact bytes.
    pub statement_text: String,
    /// The bind values, for people.
    pub bind_summary: String,
    /// What kinds of statement it is.
    pub kinds: Vec<String>,
    /// The columns it touches.
    pub columns: Vec<TouchedColumn>,
    /// The planner's estimate, in whole rows: a float would not survive JSON bit for bit (C1).
    pub rows_estimate: Option<u64>,
    /// Members of any of these groups may vote.
    pub approvers: Vec<GroupName>,
    /// How many distinct approvals it takes.
    pub quorum: u32,
    /// How long it waits.
    pub expires: DurationMs,
    /// Why it is held.
    pub reason: String,
    /// The rules that hold it.
    pub rules: Vec<RuleId>,
    /// The epoch it was decided under.
    pub epoch: Epoch,
    /// What the grant is bound to.
    pub binding_digest: BindingDigest,
    /// The same without the session: requests that share it may be one. `None`: it joins nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joint_digest: Option<JointDigest>,
}

/// One person's vote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// Who.
    pub approver: PrincipalId,
    /// Yes or no.
    pub approve: bool,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// How many sessions a yes is for: all that waited. `None`: a no, or a vote from before requests were joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<u32>,
}

/// Where an approval stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalStatus {
    /// Waiting for votes.
    Pending,
    /// Enough votes; may be used once.
    Granted,
    /// Somebody said no.
    Denied,
    /// Nobody decided, or nobody used it, in time.
    Expired,
    /// The requester gave up, or is gone.
    Cancelled,
    /// The grant was used.
    Used,
    /// The grant was taken back.
    Revoked,
}

impl ApprovalStatus {
    /// Whether nothing can happen to it any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Denied | Self::Expired | Self::Cancelled | Self::Revoked)
    }

    /// Whether time can end it.
    #[must_use]
    pub fn can_expire(self) -> bool {
        matches!(self, Self::Pending | Self::Granted)
    }

    /// The word for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Granted => "granted",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Used => "used",
            Self::Revoked => "revoked",
        }
    }
}

/// One approval with everything that happened to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Its id.
    pub id: ApprovalId,
    /// What is asked, as the first session asked it.
    pub request: ApprovalRequest,
    /// The sessions that wait for it, or did, in the order in which they asked. Only their edges may use or cancel.
    pub seats: Seats,
    /// Where the sessions went on waiting that a voter had not seen.
    pub follow_up: Option<ApprovalId>,
    /// Everyone the requester acts for, as the control plane knows them and as the edge said: none may vote (C4).
    pub involved: Vec<PrincipalId>,
    /// Where it stands.
    pub status: ApprovalStatus,
    /// Votes in order.
    pub votes: Vec<Vote>,
    /// When it was asked.
    pub requested_at: Timestamp,
    /// When it ends by itself; a grant moves this to when it must be used by.
    pub expires_at: Timestamp,
    /// Why it ended, for people; empty while it goes on.
    pub ended_reason: String,
}
