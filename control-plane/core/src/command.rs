//! What can be asked of the control plane. Time and random ids are inputs (C2).

use std::collections::BTreeSet;

use writ_model::config::{ColumnClassification, Database, Environment, PolicyFile, TokenKey};
use writ_model::{
    ApprovalId, BindingDigest, ColumnRef, DatabaseName, EdgeId, EnvironmentName, Epoch, GroupName,
    Principal, PrincipalId, Tag, Timestamp,
};

use crate::approval::ApprovalRequest;
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
    /// `id` is fresh; where the idempotency key is known, the old request stands and `id` is not used.
    RequestApproval {
        id: ApprovalId,
        request: Box<ApprovalRequest>,
    },
    Vote {
        id: ApprovalId,
        approve: bool,
        reason: String,
    },
    UseGrant {
        id: ApprovalId,
        binding_digest: BindingDigest,
        epoch: Epoch,
    },
    CancelApproval {
        id: ApprovalId,
        reason: String,
    },
    RevokeApproval {
        id: ApprovalId,
        reason: String,
    },
    /// Ends what is due; only the system.
    ExpireDue,
}
