//! Facts, and the chain that they are kept in (C1). Names and fields here are the log's format: add, never change.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use writ_model::config::{ColumnClassification, Database, Environment, PolicyFile, TokenKey};
use writ_model::{
    ApprovalId, BindingDigest, DatabaseName, EdgeId, EnvironmentName, Epoch, EventSeq, GroupName,
    Principal, PrincipalId, Timestamp,
};

use crate::approval::{ApprovalRequest, Vote};
use crate::password::{Salt, SealedKeys};

/// Who caused an event: a principal, `edge:NAME`, `lake:NAME` or `system`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by", content = "id")]
pub enum ActorName {
    /// A person, a service or an agent.
    Principal(PrincipalId),
    /// An enrolled node, or one that enrols.
    Node(EdgeId),
    /// The control plane itself.
    System,
}

impl fmt::Display for ActorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Principal(id) => id.fmt(f),
            Self::Node(id) => write!(f, "node:{id}"),
            Self::System => f.write_str("system"),
        }
    }
}

/// What sort of node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// A proxy in front of databases.
    Edge,
    /// A lake.
    Lake,
}

impl NodeKind {
    /// The word in certificates and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Lake => "lake",
        }
    }
}

/// A fact.
#[allow(missing_docs)] // the fields carry the model's own names
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// The first event of every log.
    ClusterBootstrapped {
        cluster: String,
    },
    PrincipalAdded {
        principal: Principal,
    },
    PrincipalDisabled {
        id: PrincipalId,
    },
    PrincipalEnabled {
        id: PrincipalId,
    },
    PrincipalGroupsSet {
        id: PrincipalId,
        groups: BTreeSet<GroupName>,
    },
    /// Another password of a service, beside the one that it may have.
    PasswordSet {
        id: PrincipalId,
        number: u32,
        salt: Salt,
        keys: SealedKeys,
    },
    PasswordRemoved {
        id: PrincipalId,
        number: u32,
    },
    GroupAdded {
        name: GroupName,
    },
    EnvironmentSet {
        environment: Environment,
    },
    DatabaseSet {
        database: Database,
    },
    DatabaseRemoved {
        name: DatabaseName,
    },
    ClassificationDetected {
        database: DatabaseName,
        columns: Vec<ColumnClassification>,
    },
    ClassificationOverridden {
        database: DatabaseName,
        classification: ColumnClassification,
    },
    PoliciesApplied {
        files: Vec<PolicyFile>,
    },
    TokenKeyAdded {
        key: TokenKey,
    },
    /// Only the SHA-256 of the token is kept.
    JoinTokenIssued {
        hash: EventHash,
        kind: NodeKind,
        environment: Option<EnvironmentName>,
        expires_at: Timestamp,
    },
    JoinTokenUsed {
        hash: EventHash,
    },
    NodeEnrolled {
        name: EdgeId,
        kind: NodeKind,
        environment: Option<EnvironmentName>,
        host_names: Vec<String>,
        certificate_expires_at: Timestamp,
    },
    NodeRenewed {
        name: EdgeId,
        certificate_expires_at: Timestamp,
    },
    NodeRemoved {
        name: EdgeId,
    },
    ApprovalRequested {
        id: ApprovalId,
        edge: EdgeId,
        request: Box<ApprovalRequest>,
        involved: Vec<PrincipalId>,
        expires_at: Timestamp,
    },
    ApprovalVoted {
        id: ApprovalId,
        vote: Vote,
    },
    ApprovalGranted {
        id: ApprovalId,
        usable_until: Timestamp,
    },
    ApprovalDenied {
        id: ApprovalId,
        reason: String,
    },
    ApprovalExpired {
        id: ApprovalId,
    },
    ApprovalCancelled {
        id: ApprovalId,
        reason: String,
    },
    ApprovalUsed {
        id: ApprovalId,
        binding_digest: BindingDigest,
    },
    ApprovalRevoked {
        id: ApprovalId,
        reason: String,
    },
}

impl Event {
    /// Whether it changes what edges get, and so begins a new epoch (E5).
    #[must_use]
    pub fn changes_configuration(&self) -> bool {
        match self {
            Self::PrincipalAdded { .. }
            | Self::PrincipalDisabled { .. }
            | Self::PrincipalEnabled { .. }
            | Self::PrincipalGroupsSet { .. }
            | Self::PasswordSet { .. }
            | Self::PasswordRemoved { .. }
            | Self::GroupAdded { .. }
            | Self::EnvironmentSet { .. }
            | Self::DatabaseSet { .. }
            | Self::DatabaseRemoved { .. }
            | Self::ClassificationDetected { .. }
            | Self::ClassificationOverridden { .. }
            | Self::PoliciesApplied { .. }
            | Self::TokenKeyAdded { .. } => true,
            Self::ClusterBootstrapped { .. }
            | Self::JoinTokenIssued { .. }
            | Self::JoinTokenUsed { .. }
            | Self::NodeEnrolled { .. }
            | Self::NodeRenewed { .. }
            | Self::NodeRemoved { .. }
            | Self::ApprovalRequested { .. }
            | Self::ApprovalVoted { .. }
            | Self::ApprovalGranted { .. }
            | Self::ApprovalDenied { .. }
            | Self::ApprovalExpired { .. }
            | Self::ApprovalCancelled { .. }
            | Self::ApprovalUsed { .. }
            | Self::ApprovalRevoked { .. } => false,
        }
    }

    /// The approval that it is about.
    #[must_use]
    pub fn approval(&self) -> Option<&ApprovalId> {
        match self {
            Self::ApprovalRequested { id, .. }
            | Self::ApprovalVoted { id, .. }
            | Self::ApprovalGranted { id, .. }
            | Self::ApprovalDenied { id, .. }
            | Self::ApprovalExpired { id }
            | Self::ApprovalCancelled { id, .. }
            | Self::ApprovalUsed { id, .. }
            | Self::ApprovalRevoked { id, .. } => Some(id),
            _ => None,
        }
    }

    /// The stable name, as in the log.
    #[must_use]
    pub fn kind(&self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|v| v.get("type").and_then(|t| t.as_str().map(str::to_owned)))
            .unwrap_or_default()
    }
}

/// A SHA-256; hexadecimal in the log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventHash(pub [u8; 32]);

impl EventHash {
    /// The SHA-256 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Debug for EventHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", hex::encode(self.0))
    }
}

impl From<EventHash> for String {
    fn from(hash: EventHash) -> Self {
        hex::encode(hash.0)
    }
}

impl TryFrom<String> for EventHash {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(&text, &mut bytes).map_err(|e| format!("not a SHA-256: {e}"))?;
        Ok(Self(bytes))
    }
}

/// An event in its place in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventEnvelope {
    /// Dense from 1.
    pub seq: EventSeq,
    /// When the leader decided.
    pub at: Timestamp,
    /// Who caused it.
    pub actor: ActorName,
    /// The epoch after the command that it belongs to.
    pub epoch: Epoch,
    /// What happened.
    pub event: Event,
    /// The hash of the event before; zeros for the first.
    pub previous_hash: EventHash,
    /// SHA-256 over `previous_hash` and the canonical body.
    pub hash: EventHash,
}

/// Why an event does not continue a log (C1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// A number is missing or there twice.
    #[error("event {found} does not follow event {last}")]
    Gap {
        /// The last event there is.
        last: u64,
        /// What came.
        found: u64,
    },
    /// It was chained to something else, or was altered.
    #[error("event {0} does not continue the hash chain")]
    Hash(u64),
    /// It cannot be encoded.
    #[error("event {0} cannot be encoded: {1}")]
    Encode(u64, String),
}

#[derive(Serialize)]
struct Body<'a> {
    seq: EventSeq,
    at: Timestamp,
    actor: &'a ActorName,
    epoch: Epoch,
    event: &'a Event,
}

impl EventEnvelope {
    /// The hash that this event must have: over the previous one and the JSON of seq, at, actor, epoch, event
    /// in this order, without spaces.
    pub fn expected_hash(&self) -> Result<EventHash, ChainError> {
        let body = Body {
            seq: self.seq,
            at: self.at,
            actor: &self.actor,
            epoch: self.epoch,
            event: &self.event,
        };
        let json =
            serde_json::to_vec(&body).map_err(|e| ChainError::Encode(self.seq.0, e.to_string()))?;
        let mut hash = Sha256::new();
        hash.update(self.previous_hash.0);
        hash.update(&json);
        Ok(EventHash(hash.finalize().into()))
    }
}
