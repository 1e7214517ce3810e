//! What can be asked of the control plane. Time and random ids are inputs (C2).

use std::collections::BTreeSet;

use writ_model::config::{ColumnClassification, Database, Environment, PolicyFile, TokenKey};
use writ_model::{
    ApprovalId, BindingDigest, ColumnRef, DatabaseName, DurationMs, EdgeId, EnvironmentName, Epoch,
    GroupName, Principal, PrincipalId, Tag, Timestamp,
};

use crate::approval::ApprovalRequest;
use crate::decide_operations::SessionToEnd;
use crate::event::{ActorName, EventHash, NodeKind};
use crate::password::{Salt, SealedKeys};

/// A command with who asks and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Who asks; already authenticated.
    pub actor: ActorName,
    /// When, by the leader's clock.
    pub at: Timestamp,
    /// What.
    pub command: Command,
}

/// One command.
#[allow(missing_docs)] // the fields carry the model's own names
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Makes the first state; only the system, and only once.
    Bootstrap {
        cluster: String,
        admin: Principal,
        token_key: TokenKey,
    },
    AddPrincipal {
        principal: Principal,
    },
    DisablePrincipal {
        id: PrincipalId,
    },
    EnablePrincipal {
        id: PrincipalId,
    },
    SetGroups {
        id: PrincipalId,
        groups: BTreeSet<GroupName>,
    },
    /// `keys` are sealed: nobody reads them in the log.
    SetPassword {
        id: PrincipalId,
        salt: Salt,
        keys: SealedKeys,
    },
    RemovePassword {
        id: PrincipalId,
        number: u32,
    },
    SetEnvironment {
        environment: Environment,
    },
    SetDatabase {
        database: Database,
    },
    RemoveDatabase {
        name: DatabaseName,
    },
    /// What an edge found; replaces what was found before, overrides stay.
    ReportClassification {
        database: DatabaseName,
        columns: Vec<ColumnClassification>,
    },
    OverrideClassification {
        database: DatabaseName,
        column: ColumnRef,
        tag: Option<Tag>,
        reason: String,
    },
    ApplyPolicies {
        files: Vec<PolicyFile>,
    },
    IssueJoinToken {
        hash: EventHash,
        kind: NodeKind,
        environment: Option<EnvironmentName>,
        expires_at: Timestamp,
    },
    Enroll {
        token_hash: EventHash,
        name: EdgeId,
        kind: NodeKind,
        environment: Option<EnvironmentName>,
        host_names: Vec<String>,
        certificate_expires_at: Timestamp,
    },
    RenewNode {
        certificate_expires_at: Timestamp,
    },
    RemoveNode {
        name: EdgeId,
    },
    /// `id` is fresh; where the idempotency key is known, or the session joins a request, `id` is not used.
    RequestApproval {
        id: ApprovalId,
        request: Box<ApprovalRequest>,
    },
    /// `sessions`: how many waiting sessions the voter saw. `follow_up` is fresh: those that came after wait there.
    Vote {
        id: ApprovalId,
        approve: bool,
        sessions: Option<u32>,
        reason: String,
        follow_up: ApprovalId,
    },
    /// `key`: the idempotency key that the session asked with, here and below.
    UseGrant {
        id: ApprovalId,
        key: String,
        binding_digest: BindingDigest,
        epoch: Epoch,
    },
    CancelApproval {
        id: ApprovalId,
        key: String,
        reason: String,
    },
    RevokeApproval {
        id: ApprovalId,
        reason: String,
    },
    /// Ends a session.
    KillSession {
        target: SessionToEnd,
        reason: String,
    },
    /// Makes an edge take no new sessions; those that it has then end.
    DrainEdge {
        name: EdgeId,
        deadline: DurationMs,
        reason: String,
    },
    /// Makes it take sessions again.
    ResumeEdge {
        name: EdgeId,
    },
    /// Ends what is due; only the system.
    ExpireDue,
}
