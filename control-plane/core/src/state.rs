//! What the log adds up to (C1): a fold over its envelopes, the same on every node.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use writ_model::config::{
    ColumnClassification, Database, EdgeConfig, Environment, PolicyFile, TokenKey, resolve_actor,
};
use writ_model::{
    Actor, ApprovalId, ColumnRef, DatabaseName, EdgeId, EnvironmentName, Epoch, EventSeq,
    GroupName, Principal, PrincipalId, Timestamp,
};

use crate::approval::{Approval, ApprovalStatus};
use crate::event::{ChainError, Event, EventEnvelope, EventHash, NodeKind};
use crate::password::{self, ServicePasswords};

/// How many ended approvals are kept for listing; older ones are only in the log.
pub const ENDED_APPROVALS_KEPT_MAX: usize = 1_000;

/// What is known of one database's columns: detection can be repeated, what people said stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassifiedColumns {
    /// As the edge reported it last, sorted by column.
    pub detected: Vec<ColumnClassification>,
    /// What people said, sorted by column; wins.
    pub overrides: Vec<ColumnClassification>,
}

impl ClassifiedColumns {
    /// One entry for each column, overrides first.
    #[must_use]
    pub fn effective(&self) -> Vec<ColumnClassification> {
        let both = self.detected.iter().chain(&self.overrides);
        let by_column: BTreeMap<&ColumnRef, &ColumnClassification> =
            both.map(|c| (&c.column, c)).collect();
        by_column.into_values().cloned().collect()
    }
}

/// A join token that is out; only its hash is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    /// What it lets in.
    pub kind: NodeKind,
    /// Where to; `None` for a lake.
    pub environment: Option<EnvironmentName>,
    /// Until when.
    pub expires_at: Timestamp,
}

/// An enrolled edge or lake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Which environment it serves; `None` for a lake.
    pub environment: Option<EnvironmentName>,
    /// Names and addresses in its certificate.
    pub host_names: Vec<String>,
    /// When its newest certificate ends.
    pub certificate_expires_at: Timestamp,
}

/// Everything that the control plane knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The cluster's name; empty before the first event.
    pub cluster: String,
    /// The last event.
    pub last: EventSeq,
    /// Its hash.
    pub last_hash: EventHash,
    /// The current epoch.
    pub epoch: Epoch,
    /// Users, services and agents.
    pub principals: BTreeMap<PrincipalId, Principal>,
    /// What the passwords of services are checked against.
    #[serde(default)]
    pub passwords: BTreeMap<PrincipalId, ServicePasswords>,
    /// All groups.
    pub groups: BTreeSet<GroupName>,
    /// All environments.
    pub environments: BTreeMap<EnvironmentName, Environment>,
    /// All databases.
    pub databases: BTreeMap<DatabaseName, Database>,
    /// What is known of their columns.
    pub classifications: BTreeMap<DatabaseName, ClassifiedColumns>,
    /// The policy set.
    pub policies: Vec<PolicyFile>,
    /// Keys that verify tokens.
    pub token_keys: Vec<TokenKey>,
    /// Join tokens that are out.
    pub join_tokens: BTreeMap<EventHash, JoinToken>,
    /// Enrolled nodes.
    pub nodes: BTreeMap<EdgeId, Node>,
    /// Approvals: all that go on, and the newest of those that ended.
    pub approvals: BTreeMap<ApprovalId, Approval>,
}

impl State {
    /// Takes the next event. On an error nothing changed.
    pub fn apply(&mut self, envelope: &EventEnvelope) -> Result<(), ChainError> {
        // C1: dense and chained, checked where state is made.
        let expected = self.last.0.saturating_add(1);
        if envelope.seq.0 != expected {
            return Err(ChainError::Gap { last: self.last.0, found: envelope.seq.0 });
        }
        if envelope.previous_hash != self.last_hash || envelope.expected_hash()? != envelope.hash {
            return Err(ChainError::Hash(envelope.seq.0));
        }
        evolve(self, envelope);
        self.last = envelope.seq;
        self.last_hash = envelope.hash;
        self.epoch = envelope.epoch;
        Ok(())
    }

    /// What one environment's edges decide with; `None`: what a lake gets.
    #[must_use]
    pub fn edge_config(&self, environment: Option<&EnvironmentName>) -> EdgeConfig {
        let mut config = EdgeConfig {
            epoch: self.epoch,
            principals: self.principals.clone(),
            groups: self.groups.clone(),
            token_keys: self.token_keys.clone(),
            ..EdgeConfig::default()
        };
        let Some(environment) = environment else { return config };
        config.environment = self.environments.get(environment).cloned();
        config.policies.clone_from(&self.policies);
        for (name, database) in &self.databases {
            if database.environment == *environment {
                config.databases.insert(name.clone(), database.clone());
                if let Some(columns) = self.classifications.get(name) {
                    config.classifications.insert(name.clone(), columns.effective());
                }
            }
        }
        config
    }

    /// Resolves a principal with everyone it acts for.
    pub fn actor(&self, id: &PrincipalId) -> Result<Actor, writ_model::config::ActorError> {
        resolve_actor(&self.principals, id)
    }

    /// Whether an enabled principal is a direct member of any of `groups`.
    #[must_use]
    pub fn is_member(&self, id: &PrincipalId, groups: &[&str]) -> bool {
        self.actor(id).is_ok_and(|actor| {
            actor.principal.groups.iter().any(|group| groups.contains(&group.as_str()))
        })
    }

    /// The approval that `edge` asked for under this idempotency key.
    #[must_use]
    pub fn approval_by_key(&self, edge: &EdgeId, key: &str) -> Option<&Approval> {
        self.approvals.values().find(|a| a.edge == *edge && a.request.idempotency_key == key)
    }

    /// When the next approval ends by itself.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Timestamp> {
        self.approvals.values().filter(|a| a.status.can_expire()).map(|a| a.expires_at).min()
    }
}

/// Changes `state` by one fact. Total: a fact about what is not there changes nothing.
pub fn evolve(state: &mut State, envelope: &EventEnvelope) {
    match &envelope.event {
        Event::ClusterBootstrapped { cluster } => state.cluster.clone_from(cluster),
        Event::PrincipalAdded { principal } => {
            state.principals.insert(principal.id.clone(), principal.clone());
        }
        Event::PrincipalDisabled { id } => set_disabled(state, id, true),
        Event::PrincipalEnabled { id } => set_disabled(state, id, false),
        Event::PrincipalGroupsSet { id, groups } => {
            if let Some(principal) = state.principals.get_mut(id) {
                principal.groups.clone_from(groups);
            }
        }
        Event::PasswordSet { .. } | Event::PasswordRemoved { .. } => {
            password::evolve(&mut state.passwords, &envelope.event, envelope.at);
        }
        Event::GroupAdded { name } => {
            state.groups.insert(name.clone());
        }
        Event::EnvironmentSet { environment } => {
            state.environments.insert(environment.name.clone(), environment.clone());
        }
        Event::DatabaseSet { database } => {
            state.databases.insert(database.name.clone(), database.clone());
        }
        Event::DatabaseRemoved { name } => {
            state.databases.remove(name);
            state.classifications.remove(name);
        }
        Event::ClassificationDetected { database, columns } => {
            state.classifications.entry(database.clone()).or_default().detected.clone_from(columns);
        }
        Event::ClassificationOverridden { database, classification } => {
            let known = &mut state.classifications.entry(database.clone()).or_default().overrides;
            known.retain(|c| c.column != classification.column);
            known.push(classification.clone());
            known.sort_by(|a, b| a.column.cmp(&b.column));
        }
        Event::PoliciesApplied { files } => state.policies.clone_from(files),
        Event::TokenKeyAdded { key } => {
            state.token_keys.retain(|known| known.id != key.id);
            state.token_keys.push(key.clone());
        }
        event => evolve_fleet(state, event, envelope.at),
    }
}

fn set_disabled(state: &mut State, id: &PrincipalId, disabled: bool) {
    if let Some(principal) = state.principals.get_mut(id) {
        principal.disabled = disabled;
    }
}

fn evolve_fleet(state: &mut State, event: &Event, at: Timestamp) {
    match event {
        Event::JoinTokenIssued { hash, kind, environment, expires_at } => {
            state.join_tokens.retain(|_, token| token.expires_at > at);
            let environment = environment.clone();
            let token = JoinToken { kind: *kind, environment, expires_at: *expires_at };
            state.join_tokens.insert(*hash, token);
        }
        Event::JoinTokenUsed { hash } => {
            state.join_tokens.remove(hash);
        }
        Event::NodeEnrolled { name, kind, environment, host_names, certificate_expires_at } => {
            let node = Node {
                kind: *kind,
                environment: environment.clone(),
                host_names: host_names.clone(),
                certificate_expires_at: *certificate_expires_at,
            };
            state.nodes.insert(name.clone(), node);
        }
        Event::NodeRenewed { name, certificate_expires_at } => {
            if let Some(node) = state.nodes.get_mut(name) {
                node.certificate_expires_at = *certificate_expires_at;
            }
        }
        Event::NodeRemoved { name } => {
            state.nodes.remove(name);
        }
        event => evolve_approval(state, event, at),
    }
}

fn evolve_approval(state: &mut State, event: &Event, at: Timestamp) {
    if let Event::ApprovalRequested { id, edge, request, involved, expires_at } = event {
        forget_ended(state);
        let approval = Approval {
            id: id.clone(),
            edge: edge.clone(),
            request: (**request).clone(),
            involved: involved.clone(),
            status: ApprovalStatus::Pending,
            votes: Vec::new(),
            requested_at: at,
            expires_at: *expires_at,
            ended_reason: String::new(),
        };
        state.approvals.insert(id.clone(), approval);
        return;
    }
    let Some(approval) = event.approval().and_then(|id| state.approvals.get_mut(id)) else {
        return;
    };
    let not_in_time = match approval.status {
        ApprovalStatus::Granted => "the grant was not used in time",
        _ => "nobody decided in time",
    };
    let mut end = |status, reason: &str| {
        approval.status = status;
        reason.clone_into(&mut approval.ended_reason);
    };
    match event {
        Event::ApprovalVoted { vote, .. } => approval.votes.push(vote.clone()),
        Event::ApprovalGranted { usable_until, .. } => {
            approval.status = ApprovalStatus::Granted;
            approval.expires_at = *usable_until;
        }
        Event::ApprovalUsed { .. } => approval.status = ApprovalStatus::Used,
        Event::ApprovalDenied { reason, .. } => end(ApprovalStatus::Denied, reason),
        Event::ApprovalExpired { .. } => end(ApprovalStatus::Expired, not_in_time),
        Event::ApprovalCancelled { reason, .. } => end(ApprovalStatus::Cancelled, reason),
        Event::ApprovalRevoked { reason, .. } => end(ApprovalStatus::Revoked, reason),
        _ => {}
    }
}

/// Drops the oldest approvals that need no more memory; which ones depends on the log alone (C1).
fn forget_ended(state: &mut State) {
    let mut ended: Vec<(Timestamp, ApprovalId)> = state
        .approvals
        .values()
        .filter(|a| !a.status.can_expire())
        .map(|a| (a.requested_at, a.id.clone()))
        .collect();
    let excess = ended.len().saturating_sub(ENDED_APPROVALS_KEPT_MAX);
    if excess > 0 {
        ended.sort();
        for (_, id) in ended.into_iter().take(excess) {
            state.approvals.remove(&id);
        }
    }
}
