//! The control plane's rules, pure: a command is decided against the state into events or a refusal; events
//! evolve the state. Time and random ids are inputs (C2); the event log is dense and hash-chained (C1).

pub mod approval;
pub mod command;
pub mod decide;
pub mod decide_approval;
pub mod decide_fleet;
pub mod decide_identity;
pub mod decide_logins;
pub mod decide_operations;
pub mod event;
pub mod evolve_approval;
pub mod join;
pub mod password;
pub mod refusal;
pub mod seats;
pub mod state;

pub use approval::{Approval, ApprovalRequest, ApprovalStatus, TouchedColumn, Vote};
pub use command::{Command, Submission};
pub use decide::{PolicyCheck, decide, seal};
pub use decide_operations::SessionToEnd;
pub use event::{ActorName, ChainError, Event, EventEnvelope, EventHash, NodeKind};
pub use join::{JOIN_TIME_LEFT_PERCENT_MIN, SESSIONS_JOINED_MAX};
pub use refusal::{Refusal, RefusalKind};
pub use seats::{Seat, Seats, WaitingSession};
pub use state::{ClassifiedColumns, JoinToken, Node, NodeDrain, State};

/// May change everything in the control plane.
pub const GROUP_ADMINS: &str = "admins";
/// May approve held statements and correct classifications.
pub const GROUP_DBA: &str = "dba";
/// May read everything that the control plane lists.
pub const GROUP_AUDITORS: &str = "auditors";
/// The groups that every control plane starts with.
pub const GROUPS_AT_START: [&str; 4] = [GROUP_ADMINS, GROUP_AUDITORS, GROUP_DBA, "developers"];
