//! The nouns of Writ: ids, principals, time as a value, catalogs, statement facts, masks, decisions,
//! approvals and SQLSTATEs. Pure: no IO, no clock, no randomness; every plane shares these words.

pub mod approval;
pub mod behind;
pub mod catalog;
pub mod config;
pub mod credential;
pub mod decision;
pub mod facts;
pub mod ids;
pub mod label;
pub mod limits;
pub mod lineage;
pub mod login;
pub mod mask;
mod mask_kind;
pub mod password;
pub mod principal;
pub mod role;
pub mod secret;
pub mod server;
pub mod sqlstate;
pub mod time;

pub use approval::{Binding, BindingDigest, JointDigest};
pub use behind::Behind;
pub use catalog::{Catalog, Column, Function, Relation, RelationKind};
pub use decision::{Decision, Denial, HoldTerms, Verdict};
pub use facts::{OpaqueReason, RelationUse, StatementFacts, StatementKind};
pub use ids::{
    ApprovalId, ColumnRef, DatabaseName, EdgeId, EnvironmentName, Epoch, EventSeq, GroupName,
    PrincipalId, PrincipalKind, RuleId, SessionId, StatementId, Tag,
};
pub use limits::{HourlyLimit, Limits, Usage};
pub use lineage::Lineage;
pub use mask::{ColumnMasks, MaskKind};
pub use principal::{Actor, Principal};
pub use secret::Secret;
pub use time::{DurationMs, Timestamp};
