//! What policy says of one statement.

use serde::{Deserialize, Serialize};

use crate::ids::{Epoch, GroupName, RuleId};
use crate::limits::Limits;
use crate::time::DurationMs;

/// Who may let a held statement go on, and for how long it waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldTerms {
    /// Members of any of these groups may vote.
    pub approvers: Vec<GroupName>,
    /// How many distinct approvals it takes; at least 1.
    pub quorum: u32,
    /// How long the request waits before it expires.
    pub expires: DurationMs,
    /// Why it is held, for the requester and the approver.
    pub reason: String,
}

/// Why a statement is refused, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// Why, in a sentence.
    pub reason: String,
    /// The next step for the person or agent that was refused.
    pub next_step: String,
}

/// The verdict itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It may go on (masked where the principal's masks say so).
    Allow,
    /// It waits for an approval.
    Hold(HoldTerms),
    /// It is refused.
    Deny(Denial),
}

impl Verdict {
    /// `allow`, `hold` or `deny`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Hold(_) => "hold",
            Self::Deny(_) => "deny",
        }
    }
}

/// A verdict, the rules that made it and the epoch it was made under (E5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The verdict.
    pub verdict: Verdict,
    /// The determining rules; never empty for a deny or a hold.
    pub rules: Vec<RuleId>,
    /// The epoch of the policies, identities, masks and classifications used.
    pub epoch: Epoch,
    /// Whether the intent record must be durable before the bytes go on (E6).
    pub strict: bool,
    /// What it may still not exceed while it runs.
    #[serde(default)]
    pub limits: Limits,
}
