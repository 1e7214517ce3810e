//! What an edge needs to decide and forward, as one consistent set under one epoch (E5).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::credential::{ClientCertificate, VaultRef};
use crate::ids::{ColumnRef, DatabaseName, EnvironmentName, Epoch, GroupName, PrincipalId, Tag};
use crate::label::Label;
use crate::login::Logins;
use crate::password::{KEY_BYTES, Passwords};
use crate::principal::{Actor, DELEGATION_DEPTH_MAX, Principal};
use crate::role::RoleRule;
use crate::secret::Secret;
use crate::server::SessionAttrs;
use crate::time::DurationMs;

/// Where a credential is; never the credential itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "from", content = "name")]
pub enum CredentialRef {
    /// A file on the edge's machine that holds the password.
    File(String),
    /// An environment variable of the edge's process.
    Variable(String),
    /// A field of a secret in the edge's Vault.
    Vault(VaultRef),
    /// The database asks for no password.
    None,
}

/// How the edge connects to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamTls {
    /// Plain text; only sensible on loopback or a private link.
    Disable,
    /// TLS, certificate not checked.
    Require,
    /// TLS, certificate and host name checked against the edge's trust roots.
    VerifyFull,
}

/// Connections to a database that sessions share, at most, where nothing else is said.
pub const SHARED_CONNECTIONS: u16 = 20;
/// Connections to a database that sessions may share, at most.
pub const SHARED_CONNECTIONS_MAX: u16 = 10_000;

/// How long a session keeps its connection to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "mode")]
pub enum Pooling {
    /// From its beginning to its end.
    #[default]
    Session,
    /// For a transaction: an edge's sessions of one principal share connections, and what is left in one by a session
    /// keeps it with that session.
    Transaction {
        /// How many connections an edge may have for its sessions, from 1 to [`SHARED_CONNECTIONS_MAX`].
        connections_max: u16,
    },
}

/// One named target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// The name that clients use.
    pub name: DatabaseName,
    /// Where it lives.
    pub environment: EnvironmentName,
    /// Who answers for it: a group or a person, in words.
    pub owner: String,
    /// Free labels, such as `tier` = `1`.
    pub tags: BTreeMap<String, String>,
    /// Host names or addresses, with commas between, each with a port of its own or not: see [`Database::servers`].
    pub host: String,
    /// TCP port of those without one.
    pub port: u16,
    /// The database's name at the server.
    pub dbname: String,
    /// The role that the edge logs in with.
    pub username: String,
    /// Where the password is.
    pub credential: CredentialRef,
    /// How to connect.
    pub tls: UpstreamTls,
    /// How long sessions keep their connections.
    #[serde(default)]
    pub pooling: Pooling,
    /// Which of its servers sessions may have.
    #[serde(default)]
    pub session_attrs: SessionAttrs,
    /// What `application_name` tells the database of the session.
    #[serde(default)]
    pub label: Label,
    /// What the edge shows the database in the TLS handshake, where that asks for a certificate.
    #[serde(default)]
    pub client_certificate: Option<ClientCertificate>,
    /// Which of its roles principals act as; none: the one that the edge logs in with, all of them.
    #[serde(default)]
    pub roles: Vec<RoleRule>,
}

/// Who said what a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassificationSource {
    /// Found by names, types and sampled values.
    Detected,
    /// Said by a person; wins over detection.
    Override,
}

/// What one column holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnClassification {
    /// Which column.
    pub column: ColumnRef,
    /// What it holds; `None`: looked at, and found harmless.
    pub tag: Option<Tag>,
    /// 0 to 100.
    pub confidence_percent: u8,
    /// Why, for people.
    pub reason: String,
    /// Who said so.
    pub source: ClassificationSource,
}

/// One policy file as it was applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyFile {
    /// The file's name, for messages.
    pub name: String,
    /// Cedar text.
    pub text: String,
}

/// What an edge does when it has not heard from the control plane for longer than the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenStale {
    /// Refuse every statement with 58000.
    Refuse,
    /// Let reads pass, refuse what changes anything.
    ReadOnly,
    /// Go on with the last known good configuration.
    GoOn,
}

/// One environment's rules for its edges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// The environment's name.
    pub name: EnvironmentName,
    /// How old the configuration may get before `when_stale` holds.
    pub staleness_max: DurationMs,
    /// What happens then.
    pub when_stale: WhenStale,
    /// How clients may prove who they are, besides tokens and passwords.
    #[serde(default)]
    pub logins: Logins,
}

/// A public key that verifies tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenKey {
    /// The `kid` of tokens signed by it.
    pub id: String,
    /// The raw 32-byte Ed25519 public key.
    pub ed25519_public: Vec<u8>,
}

/// Everything that one environment's edges decide with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EdgeConfig {
    /// The epoch of this set.
    pub epoch: Epoch,
    /// The environment's rules.
    pub environment: Option<Environment>,
    /// All principals.
    pub principals: BTreeMap<PrincipalId, Principal>,
    /// All groups, the empty ones too.
    pub groups: BTreeSet<GroupName>,
    /// The databases of the environment.
    pub databases: BTreeMap<DatabaseName, Database>,
    /// What is known of each database's columns.
    pub classifications: BTreeMap<DatabaseName, Vec<ColumnClassification>>,
    /// The policy set; empty means: the default pack alone.
    pub policies: Vec<PolicyFile>,
    /// Keys that verify tokens.
    pub token_keys: Vec<TokenKey>,
    /// What the passwords of services are checked against.
    pub passwords: BTreeMap<PrincipalId, Passwords>,
    /// What salts are made up from for those who have no password: the same on every edge, or two edges would tell who
    /// has one. `None` where nobody has.
    pub mock_salts: Option<Secret<[u8; KEY_BYTES]>>,
}

/// Why a principal cannot act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActorError {
    /// Nobody by that id.
    #[error("{0} is not known; an administrator can add it with `writ identities add {0}`")]
    Unknown(PrincipalId),
    /// The principal, or someone it acts for, is disabled.
    #[error("{0} is disabled")]
    Disabled(PrincipalId),
    /// An agent without anyone to act for.
    #[error(
        "{0} is an agent and acts for nobody; give it a principal with `writ identities add {0} --on-behalf-of …`"
    )]
    NobodyBehind(PrincipalId),
    /// The chain is a loop or deeper than [`DELEGATION_DEPTH_MAX`].
    #[error("the chain of delegation from {0} is longer than {DELEGATION_DEPTH_MAX} or a loop")]
    ChainTooLong(PrincipalId),
}

impl EdgeConfig {
    /// Resolves `id` and the chain of those it acts for.
    pub fn actor(&self, id: &PrincipalId) -> Result<Actor, ActorError> {
        resolve_actor(&self.principals, id)
    }
}

/// Resolves `id` and its delegation chain in `principals`; every one of them must be enabled.
pub fn resolve_actor(
    principals: &BTreeMap<PrincipalId, Principal>,
    id: &PrincipalId,
) -> Result<Actor, ActorError> {
    let find = |id: &PrincipalId| {
        let found = principals.get(id).ok_or_else(|| ActorError::Unknown(id.clone()))?;
        if found.disabled {
            return Err(ActorError::Disabled(id.clone()));
        }
        if found.on_behalf_of.is_none() && id.kind() == crate::ids::PrincipalKind::Agent {
            return Err(ActorError::NobodyBehind(id.clone()));
        }
        Ok(found)
    };
    let principal = find(id)?.clone();
    let mut chain = Vec::new();
    let mut next = principal.on_behalf_of.clone();
    while let Some(behind) = next {
        if chain.len() == DELEGATION_DEPTH_MAX {
            return Err(ActorError::ChainTooLong(id.clone()));
        }
        let found = find(&behind)?.clone();
        next = found.on_behalf_of.clone();
        chain.push(found);
    }
    Ok(Actor { principal, chain })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(id: &str, behind: Option<&str>) -> Principal {
        Principal {
            id: id.parse().expect("id"),
            display_name: id.to_owned(),
            groups: BTreeSet::new(),
            on_behalf_of: behind.map(|b| b.parse().expect("id")),
            disabled: false,
        }
    }

    fn config(principals: Vec<Principal>) -> EdgeConfig {
        EdgeConfig {
            principals: principals.into_iter().map(|p| (p.id.clone(), p)).collect(),
            ..EdgeConfig::default()
        }
    }

    #[test]
    fn an_agent_carries_the_person_behind_it() {
        let config =
            config(vec![principal("agent:a", Some("user:dana")), principal("user:dana", None)]);
        let actor = config.actor(&"agent:a".parse().expect("id")).expect("actor");
        assert!(actor.involves(&"user:dana".parse().expect("id")));
        assert!(!actor.involves(&"user:eve".parse().expect("id")));
    }

    #[test]
    fn a_disabled_person_disables_their_agents() {
        let mut dana = principal("user:dana", None);
        dana.disabled = true;
        let config = config(vec![principal("agent:a", Some("user:dana")), dana]);
        let error = config.actor(&"agent:a".parse().expect("id"));
        assert_eq!(error, Err(ActorError::Disabled("user:dana".parse().expect("id"))));
    }

    #[test]
    fn loops_and_orphans_are_refused() {
        let config = config(vec![
            principal("agent:a", Some("agent:b")),
            principal("agent:b", Some("agent:a")),
            principal("agent:c", None),
        ]);
        assert!(matches!(
            config.actor(&"agent:a".parse().expect("id")),
            Err(ActorError::ChainTooLong(_))
        ));
        assert!(matches!(
            config.actor(&"agent:c".parse().expect("id")),
            Err(ActorError::NobodyBehind(_))
        ));
    }
}
