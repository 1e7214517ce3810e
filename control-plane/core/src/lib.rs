//! The control plane's rules, pure: a command is decided against the state into events or a refusal; events
//! evolve the state. Time and random ids are inputs (C2); the event log is dense and hash-chained (C1).

pub mod approval;
pub mod command;
pub mod decide;
pub mod decide_approval;
pub mod decide_fleet;
pub mod decide_identity;
pub mod decide_logins;
pub mod event;
pub mod password;
pub mod refusal;
pub mod state;

pub use approval::{Approval, ApprovalRequest, ApprovalStatus, TouchedColumn, Vote};
pub use command::{Command, Submission};
pub use decide::{PolicyCheck, decide, seal};
pub use event::{ActorName, ChainError, Event, EventEnvelope, EventHash, NodeKind};
pub use refusal::{Refusal, RefusalKind};
pub use state::{ClassifiedColumns, JoinToken, Node, State};

/// May change everything in the control plane.
pub const GROUP_ADMINS: &str = "admins";
/// May approve held statements and correct classifications.
pub const GROUP_DBA: &str = "dba";
/// May read everything that the control plane lists.
pub const GROUP_AUDITORS: &str = "auditors";
/// The groups that every control plane starts with.
pub const GROUPS_AT_START: [&str; 4] = [GROUP_ADMINS, GROUP_AUDITORS, GROUP_DBA, "developers"];
