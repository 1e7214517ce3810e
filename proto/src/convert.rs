//! Wire → model and back. Each field is taken by name, so that a new one breaks the build; what is not known is an error.

use std::collections::BTreeMap;

use writ_model::config::{
    ClassificationSource, ColumnClassification, CredentialRef, Database, Environment, PolicyFile,
    Pooling, TokenKey, UpstreamTls, WhenStale,
};
use writ_model::credential::ClientCertificate;
use writ_model::ids::IdError;
use writ_model::label::Label;
use writ_model::login::Logins;
use writ_model::role::RoleRule;
use writ_model::server::SessionAttrs;
use writ_model::{ColumnRef, DurationMs, Principal, Tag};

use crate::v1;

/// Why a message does not convert.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// A field holds what is not an identifier.
    #[error("{field}: {source}")]
    Id {
        /// The field's name.
        field: &'static str,
        /// What is wrong with it.
        source: IdError,
    },
    /// A field that must be there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A number or enum value that this version does not know.
    #[error("{field} has the unknown value {value}; the sender may be newer than this process")]
    Unknown {
        /// The field's name.
        field: &'static str,
        /// Its value.
        value: i64,
    },
    /// A word that this version does not know.
    #[error("{field}: {reason}; the sender may be newer than this process")]
    Word {
        /// The field's name.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// A sender that is older says nothing.
fn session_attrs(text: &str) -> Result<SessionAttrs, ConvertError> {
    if text.is_empty() {
        return Ok(SessionAttrs::Any);
    }
    let word = |reason| ConvertError::Word { field: "database.target_session_attrs", reason };
    text.parse().map_err(word)
}

/// A sender that is older says nothing.
fn label(text: &str) -> Result<Label, ConvertError> {
    if text.is_empty() {
        return Ok(Label::None);
    }
    text.parse().map_err(|reason| ConvertError::Word { field: "database.label", reason })
}

fn role(text: &str) -> Result<RoleRule, ConvertError> {
    text.parse().map_err(|reason| ConvertError::Word { field: "database.roles", reason })
}

fn id<T: std::str::FromStr<Err = IdError>>(
    field: &'static str,
    text: &str,
) -> Result<T, ConvertError> {
    text.parse().map_err(|source| ConvertError::Id { field, source })
}

impl TryFrom<v1::Principal> for Principal {
    type Error = ConvertError;
    fn try_from(wire: v1::Principal) -> Result<Self, ConvertError> {
        let v1::Principal { id: name, display_name, groups, on_behalf_of, disabled } = wire;
        Ok(Self {
            id: id("principal.id", &name)?,
            display_name,
            groups: groups.iter().map(|g| id("principal.groups", g)).collect::<Result<_, _>>()?,
            on_behalf_of: match on_behalf_of.as_str() {
                "" => None,
                behind => Some(id("principal.on_behalf_of", behind)?),
            },
            disabled,
        })
    }
}

impl From<&Principal> for v1::Principal {
    fn from(model: &Principal) -> Self {
        let Principal { id, display_name, groups, on_behalf_of, disabled } = model;
        Self {
            id: id.to_string(),
            display_name: display_name.clone(),
            groups: groups.iter().map(ToString::to_string).collect(),
            on_behalf_of: on_behalf_of.as_ref().map(ToString::to_string).unwrap_or_default(),
            disabled: *disabled,
        }
    }
}

fn credential(wire: Option<v1::CredentialRef>) -> Result<CredentialRef, ConvertError> {
    use v1::credential_ref::From;
    match wire.and_then(|w| w.from) {
        Some(From::File(name)) => Ok(CredentialRef::File(name)),
        Some(From::Variable(name)) => Ok(CredentialRef::Variable(name)),
        Some(From::Vault(name)) => name
            .parse()
            .map(CredentialRef::Vault)
            .map_err(|reason| ConvertError::Word { field: "database.credential.vault", reason }),
        Some(From::None(_)) => Ok(CredentialRef::None),
        None => Err(ConvertError::Missing("database.credential")),
    }
}

impl TryFrom<v1::Database> for Database {
    type Error = ConvertError;
    fn try_from(wire: v1::Database) -> Result<Self, ConvertError> {
        let v1::Database {
            name,
            environment,
            owner,
            tags,
            host,
            port,
            dbname,
            username,
            credential: credential_ref,
            tls,
            shared_connections,
            target_session_attrs,
            label: label_word,
            client_certificate,
            roles,
        } = wire;
        Ok(Self {
            name: id("database.name", &name)?,
            environment: id("database.environment", &environment)?,
            owner,
            tags: tags.into_iter().collect::<BTreeMap<_, _>>(),
            host,
            port: u16::try_from(port).map_err(|_| ConvertError::Unknown {
                field: "database.port",
                value: i64::from(port),
            })?,
            dbname,
            username,
            credential: credential(credential_ref)?,
            tls: match v1::UpstreamTls::try_from(tls) {
                Ok(v1::UpstreamTls::Disable) => UpstreamTls::Disable,
                Ok(v1::UpstreamTls::Require) => UpstreamTls::Require,
                Ok(v1::UpstreamTls::VerifyFull) => UpstreamTls::VerifyFull,
                Ok(v1::UpstreamTls::Unspecified) | Err(_) => {
                    return Err(ConvertError::Unknown {
                        field: "database.tls",
                        value: i64::from(tls),
                    });
                }
            },
            pooling: match u16::try_from(shared_connections) {
                Ok(0) => Pooling::Session,
                Ok(connections_max) => Pooling::Transaction { connections_max },
                Err(_) => {
                    return Err(ConvertError::Unknown {
                        field: "database.shared_connections",
                        value: i64::from(shared_connections),
                    });
                }
            },
            session_attrs: session_attrs(&target_session_attrs)?,
            label: label(&label_word)?,
            client_certificate: client_certificate.map(|shown| {
                let v1::ClientCertificate { certificate_file, key_file } = shown;
                ClientCertificate { certificate_file, key_file }
            }),
            // E2: a rule that is not understood must not leave the principal with the login's role.
            roles: roles.iter().map(|rule| role(rule)).collect::<Result<_, _>>()?,
        })
    }
}

impl From<&Database> for v1::Database {
    fn from(model: &Database) -> Self {
        use v1::credential_ref::From as Credential;
        let Database {
            name,
            environment,
            owner,
            tags,
            host,
            port,
            dbname,
            username,
            credential,
            tls,
            pooling,
            session_attrs,
            label,
            client_certificate,
            roles,
        } = model;
        let from = match credential {
            CredentialRef::File(name) => Credential::File(name.clone()),
            CredentialRef::Variable(name) => Credential::Variable(name.clone()),
            CredentialRef::Vault(reference) => Credential::Vault(reference.to_string()),
            CredentialRef::None => Credential::None(true),
        };
        Self {
            name: name.to_string(),
            environment: environment.to_string(),
            owner: owner.clone(),
            tags: tags.clone().into_iter().collect(),
            host: host.clone(),
            port: u32::from(*port),
            dbname: dbname.clone(),
            username: username.clone(),
            credential: Some(v1::CredentialRef { from: Some(from) }),
            tls: match tls {
                UpstreamTls::Disable => v1::UpstreamTls::Disable,
                UpstreamTls::Require => v1::UpstreamTls::Require,
                UpstreamTls::VerifyFull => v1::UpstreamTls::VerifyFull,
            }
            .into(),
            shared_connections: match pooling {
                Pooling::Session => 0,
                Pooling::Transaction { connections_max } => u32::from(*connections_max),
            },
            target_session_attrs: session_attrs.as_str().to_owned(),
            label: label.as_str().to_owned(),
            client_certificate: client_certificate.as_ref().map(|shown| {
                let ClientCertificate { certificate_file, key_file } = shown.clone();
                v1::ClientCertificate { certificate_file, key_file }
            }),
            roles: roles.iter().map(ToString::to_string).collect(),
        }
    }
}

impl TryFrom<v1::ColumnClassification> for ColumnClassification {
    type Error = ConvertError;
    fn try_from(wire: v1::ColumnClassification) -> Result<Self, ConvertError> {
        let v1::ColumnClassification {
            schema,
            relation,
            column,
            tag,
            confidence_percent,
            reason,
            source,
        } = wire;
        Ok(Self {
            column: ColumnRef { schema, relation, column },
            tag: match tag.as_str() {
                "" => None,
                text => Some(id::<Tag>("classification.tag", text)?),
            },
            confidence_percent: u8::try_from(confidence_percent).unwrap_or(100).min(100),
            reason,
            source: match v1::ClassificationSource::try_from(source) {
                Ok(v1::ClassificationSource::Detected) => ClassificationSource::Detected,
                Ok(v1::ClassificationSource::Override) => ClassificationSource::Override,
                Ok(v1::ClassificationSource::Unspecified) | Err(_) => {
                    return Err(ConvertError::Unknown {
                        field: "classification.source",
                        value: i64::from(source),
                    });
                }
            },
        })
    }
}

impl From<&ColumnClassification> for v1::ColumnClassification {
    fn from(model: &ColumnClassification) -> Self {
        let ColumnClassification { column, tag, confidence_percent, reason, source } = model;
        Self {
            schema: column.schema.clone(),
            relation: column.relation.clone(),
            column: column.column.clone(),
            tag: tag.as_ref().map(ToString::to_string).unwrap_or_default(),
            confidence_percent: u32::from(*confidence_percent),
            reason: reason.clone(),
            source: match source {
                ClassificationSource::Detected => v1::ClassificationSource::Detected,
                ClassificationSource::Override => v1::ClassificationSource::Override,
            }
            .into(),
        }
    }
}

impl TryFrom<v1::Environment> for Environment {
    type Error = ConvertError;
    fn try_from(wire: v1::Environment) -> Result<Self, ConvertError> {
        let v1::Environment { name, staleness_max_ms, when_stale, logins } = wire;
        Ok(Self {
            name: id("environment.name", &name)?,
            staleness_max: DurationMs(staleness_max_ms),
            logins: logins.unwrap_or_default().try_into()?,
            when_stale: match v1::WhenStale::try_from(when_stale) {
                Ok(v1::WhenStale::Refuse) => WhenStale::Refuse,
                Ok(v1::WhenStale::ReadOnly) => WhenStale::ReadOnly,
                Ok(v1::WhenStale::GoOn) => WhenStale::GoOn,
                Ok(v1::WhenStale::Unspecified) | Err(_) => {
                    return Err(ConvertError::Unknown {
                        field: "environment.when_stale",
                        value: i64::from(when_stale),
                    });
                }
            },
        })
    }
}

impl From<&Environment> for v1::Environment {
    fn from(model: &Environment) -> Self {
        let Environment { name, staleness_max, when_stale, logins } = model;
        Self {
            name: name.to_string(),
            staleness_max_ms: staleness_max.0,
            logins: (*logins != Logins::default()).then(|| logins.into()),
            when_stale: match when_stale {
                WhenStale::Refuse => v1::WhenStale::Refuse,
                WhenStale::ReadOnly => v1::WhenStale::ReadOnly,
                WhenStale::GoOn => v1::WhenStale::GoOn,
            }
            .into(),
        }
    }
}

impl From<v1::PolicyFile> for PolicyFile {
    fn from(wire: v1::PolicyFile) -> Self {
        let v1::PolicyFile { name, text } = wire;
        Self { name, text }
    }
}

impl From<&PolicyFile> for v1::PolicyFile {
    fn from(model: &PolicyFile) -> Self {
        let PolicyFile { name, text } = model;
        Self { name: name.clone(), text: text.clone() }
    }
}

impl From<v1::TokenKey> for TokenKey {
    fn from(wire: v1::TokenKey) -> Self {
        let v1::TokenKey { id, ed25519_public } = wire;
        Self { id, ed25519_public }
    }
}

impl From<&TokenKey> for v1::TokenKey {
    fn from(model: &TokenKey) -> Self {
        let TokenKey { id, ed25519_public } = model;
        Self { id: id.clone(), ed25519_public: ed25519_public.clone() }
    }
}
